"""Whether the colours of an image are those of one scene, or three pictures of which each has a colour."""

from __future__ import annotations

import numpy as np

from hush.core.block_means import block_means
from hush.core.image import Array

SIDES_LOOKED_AT = (1, 2, 4, 8)  # of the blocks whose means are compared
LEAST_BLOCKS = 16  # of a side of the image, for its noise to be told
STRUCTURE_SEEN = 2.0  # times the variance of noise that structure and noise together have, where structure is seen
LEAST_STRUCTURE = 0.1  # share of the differences' variance that is never taken for noise
QUIET_AREA, QUIET = 4, 0.25  # side of the areas, in blocks, whose quantile is taken for the noise


def shared_structure(values: Array) -> float:
    """Return how much structure the two most similar colours share: about 1 in a photograph, about 0 in a composite.

    ::

        d_c = differences of neighbouring means of n x n pixels of colour c
        r = max over n, c ≠ c' of cov(d_c, d_c') / ((var d_c - v_c) (var d_c' - v_c'))^(1/2)

    v_c is what noise has in them: twice a quarter of the mean square of their mixed second differences where that is
    least, which structure hardly reaches. n is 1, 2, 4 and 8: noise of each colour by itself hides what fine means
    share, and colours that share nothing are dark together in large ones. In the largest, where correlated noise is
    white too, at least half of their variance has to be structure.

    Parameters
    ----------
    values : array of float, shape (3, Y, X)

    Returns
    -------
    float
        0 where no two colours change; 1 where the image is too small to tell, or too noisy.

    Examples
    --------
    >>> scene, other, third = np.kron(np.random.default_rng(0).normal(0, 40, (3, 8, 8)), np.ones((20, 20)))
    >>> shared_structure(np.stack([scene, scene + 0.3 * other, third])) > 0.8
    True
    >>> shared_structure(np.stack([scene, other, third])) < 0.3
    True
    """
    changing = values[np.ptp(values, axis=(1, 2)) > 0]
    if len(changing) < 2:
        return 0.0
    sides = [side for side in SIDES_LOOKED_AT if min(values.shape[1:]) >= LEAST_BLOCKS * side]
    pairs = [_steps(block_means(changing, side)) for side in sides]
    if not pairs or np.sum(np.diag(pairs[-1][0]) > STRUCTURE_SEEN * pairs[-1][1]) < 2:
        return 1.0
    return max(_shared(covariance, noise) for covariance, noise in pairs)


def _steps(means: Array) -> tuple[Array, Array]:
    """The covariance of differences of neighbouring means (colours, Y, X), and what noise has in their variances."""
    steps = [np.concatenate([np.diff(one, axis=0).ravel(), np.diff(one, axis=1).ravel()]) for one in means]
    mixed = np.diff(np.diff(means, axis=1), axis=2) ** 2
    noise: Array = np.quantile(block_means(mixed, QUIET_AREA).reshape(len(means), -1), QUIET, axis=1) / 2
    return np.cov(steps), noise


def _shared(covariance: Array, noise: Array) -> float:
    """The largest correlation of two colours, without what is noise in their variances."""
    variance = np.diag(covariance)
    structure = np.sqrt(np.maximum(variance - noise, LEAST_STRUCTURE * variance))
    shared = covariance / np.maximum(np.outer(structure, structure), np.finfo(float).tiny)
    return float(shared[np.triu_indices(len(structure), 1)].max())
