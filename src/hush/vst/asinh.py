"""The variance-stabilising transform of speckle, whose deviation is a share of brightness: an inverse hyperbolic sine.

Where it is bright that is a logarithm; in the dark, where a logarithm would stretch without end, it is a line. The
functions are those of `hush.vst.anscombe`. `positive` says that no value is below zero: then a brightness is multiplied
by a gamma variable of as many looks as the share says (synthetic aperture radar, ultrasound, coherence tomography), and
else by a normal one. The two differ from a share of about .3 on.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from scipy.special import gammaincinv, polygamma

Array = Any
MOST_FLOORS = 1e6  # floors that the table reaches


def forward(image: Array, share: float, floor: float, positive: bool = False) -> Array:
    """Stabilise speckle.

    Parameters
    ----------
    image : array
        In image units.
    share : float
        Of brightness that the noise's standard deviation is.
    floor : float
        Standard deviation, in image units, that noise is taken to have in the dark.
    positive : bool
        Whether the noise follows a gamma law.

    Returns
    -------
    array
        Noise of standard deviation one where it is bright.

    Examples
    --------
    >>> noisy = 200 * (1 + 0.1 * np.random.default_rng(0).standard_normal(100_000))
    >>> round(float(forward(noisy, 0.1, 1.0).std()), 1)
    1.0
    """
    return np.arcsinh(np.asarray(image) * (share / floor)) / _spread(share, positive)


def inverse(stabilised: Array, share: float, floor: float, positive: bool = False) -> Array:
    """Return from the stabilised domain without bias; below zero there is nothing.

    Examples
    --------
    >>> noisy = 200 * (1 + 0.3 * np.random.default_rng(0).standard_normal(400_000))
    >>> round(float(inverse(np.array([forward(noisy, 0.3, 1.0).mean()]), 0.3, 1.0)[0]))
    200
    >>> looks = 50 * np.random.default_rng(0).exponential(size=400_000)  # one look
    >>> round(float(inverse(np.array([forward(looks, 1.0, 2.5, True).mean()]), 1.0, 2.5, True)[0]))
    50
    """
    table = _table(share, positive)
    return floor * np.interp(stabilised, table.stabilised, table.floors)


def plain_inverse(stabilised: Array, share: float, floor: float, positive: bool = False) -> Array:
    """Return value by value: undoes `forward`."""
    return np.sinh(np.asarray(stabilised) * _spread(share, positive)) * (floor / share)


def expected(image: Array, share: float, floor: float, positive: bool = False) -> Array:
    """Return the mean of the stabilised noisy values of a clean image: undoes `inverse`.

    Examples
    --------
    >>> inverse(expected(np.array([0.5, 9.0, 200.0]), 0.2, 1.0), 0.2, 1.0).round(2).tolist()
    [0.5, 9.0, 200.0]
    """
    table = _table(share, positive)
    return np.interp(np.asarray(image) / floor, table.floors, table.stabilised)


def deviation(stabilised: Array, share: float, floor: float, positive: bool = False) -> Array:
    """Return the standard deviation that the noise has in the stabilised domain, whatever the floor: none at zero."""
    table = _table(share, positive)
    return np.interp(stabilised, table.stabilised, table.deviation)


@dataclass(frozen=True)
class _Table:
    floors: Array
    stabilised: Array
    deviation: Array


def _spread(share: float, positive: bool) -> float:
    """Standard deviation of the logarithm of the noise: of few looks more than the share itself."""
    return float(np.sqrt(polygamma(1, share**-2))) if positive else share


def _law(share: float, positive: bool) -> tuple[Array, Array]:
    """Factors by which the noise multiplies, and their chances."""
    if not positive:
        nodes = np.linspace(-7, 7, 2001)  # close enough to hold values near zero, where the transform bends
        weights = np.exp(-0.5 * nodes**2)
        return 1 + share * nodes, weights / weights.sum()
    looks = share**-2
    least, most = np.log(gammaincinv(looks, [1e-12, 1 - 1e-12]) / looks)
    logarithms = np.linspace(least, most, 2001)
    factors = np.exp(logarithms)
    weights = np.exp(looks * (logarithms - factors + 1))  # of the logarithms, each of the same width
    return factors, weights / weights.sum()


@lru_cache(maxsize=64)
def _table(share: float, positive: bool) -> _Table:
    """Mean and deviation of the transformed values, for means in floors."""
    floors = np.concatenate([[0.0], np.geomspace(1e-2, MOST_FLOORS, 600)])
    factors, chances = _law(share, positive)
    each = forward(floors[:, None] * factors, share, 1.0, positive)
    mean = each @ chances
    return _Table(floors, mean, np.sqrt(np.maximum(each**2 @ chances - mean**2, 0)))
