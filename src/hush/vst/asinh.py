"""The variance-stabilising transform of speckle, whose deviation is a share of brightness: an inverse hyperbolic sine.

Where it is bright that is a logarithm; in the dark, where a logarithm would stretch without end, it is a line. The
functions are those of `hush.vst.anscombe`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

Array = Any
BRIGHT = 1e6  # floors that the table reaches


def forward(image: Array, share: float, floor: float) -> Array:
    """Stabilise speckle.

    Parameters
    ----------
    image : array
        In image units.
    share : float
        Of brightness that the noise's standard deviation is.
    floor : float
        Standard deviation, in image units, that noise is taken to have in the dark.

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
    return np.arcsinh(np.asarray(image) * (share / floor)) / share


def inverse(stabilised: Array, share: float, floor: float) -> Array:
    """Return from the stabilised domain without bias; below zero there is nothing.

    Examples
    --------
    >>> noisy = 200 * (1 + 0.3 * np.random.default_rng(0).standard_normal(400_000))
    >>> round(float(inverse(np.array([forward(noisy, 0.3, 1.0).mean()]), 0.3, 1.0)[0]))
    200
    """
    table = _table(share)
    return floor * np.interp(stabilised, table.stabilised, table.floors)


def plain_inverse(stabilised: Array, share: float, floor: float) -> Array:
    """Return value by value: undoes `forward`."""
    return np.sinh(np.asarray(stabilised) * share) * (floor / share)


def expected(image: Array, share: float, floor: float) -> Array:
    """Return the mean of the stabilised noisy values of a clean image: undoes `inverse`.

    Examples
    --------
    >>> inverse(expected(np.array([0.5, 9.0, 200.0]), 0.2, 1.0), 0.2, 1.0).round(2).tolist()
    [0.5, 9.0, 200.0]
    """
    table = _table(share)
    return np.interp(np.asarray(image) / floor, table.floors, table.stabilised)


def deviation(stabilised: Array, share: float, floor: float) -> Array:
    """Return the standard deviation that the noise has in the stabilised domain, whatever the floor: none at zero."""
    table = _table(share)
    return np.interp(stabilised, table.stabilised, table.deviation)


@dataclass(frozen=True)
class _Table:
    floors: Array
    stabilised: Array
    deviation: Array


@lru_cache(maxsize=64)
def _table(share: float) -> _Table:
    """Mean and deviation of the transformed values, for means in floors."""
    floors = np.concatenate([[0.0], np.geomspace(1e-2, BRIGHT, 600)])
    nodes = np.linspace(-7, 7, 2001)  # close enough to hold values near zero, where the transform bends
    weights = np.exp(-0.5 * nodes**2)
    each = forward(floors[:, None] * (1 + share * nodes), share, 1.0)
    mean = each @ (weights / weights.sum())
    square = each**2 @ (weights / weights.sum())
    return _Table(floors, mean, np.sqrt(np.maximum(square - mean**2, 0)))
