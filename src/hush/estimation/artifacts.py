"""What else is wrong with the pixels: rounding, clipping, a chequerboard."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]


def quantisation(values: Floats) -> float | None:
    """Return the step between values, None when they are continuous.

    Examples
    --------
    >>> quantisation(np.array([0.0, 4.0, 12.0, 8.0])), quantisation(np.random.default_rng(0).random(999) / 2)
    (4.0, None)
    """
    levels = np.unique(values.astype(np.float64))
    if len(levels) < 2:
        return None
    if (levels == np.rint(levels)).all():
        return float(np.gcd.reduce(np.diff(levels).astype(np.int64)))
    if len(levels) > len(values) / 4:  # hardly any value twice: continuous
        return None
    gaps = np.diff(levels)
    parts = gaps / gaps.min()
    even = np.abs(parts - np.rint(parts)).max() < 0.02 and parts.max() < 1e4
    return float(gaps.min()) if even else None


def clipped(values: Floats) -> tuple[float | None, float | None]:
    """Return the values at which an image is cut off: its ends, where they hold far more pixels than levels near.

    Examples
    --------
    >>> clipped(np.clip(np.random.default_rng(0).normal(0, 1, 9999), -1, 9))
    (-1.0, None)
    """
    found: list[float | None] = []
    for end, sign in ((values.min(), 1), (values.max(), -1)):
        at_end = int((values == end).sum())
        levels, counts = np.unique(sign * values, return_counts=True)
        # photons too are often zero, but then one photon is not rare
        near = max(counts[1:6].mean(), counts[1]) if len(levels) > 5 else np.inf
        found.append(float(end) if at_end > max(3.5 * near, 0.0005 * len(values), 8) else None)
    return found[0], found[1]


def chequerboard(plane: Floats, sigma: float) -> float:
    """Return the amplitude of a chequerboard, 0 when there is none."""
    side = 32
    high, wide = (size // side * side for size in plane.shape)
    if not (high and wide):
        return 0.0
    sign = 1 - 2 * (np.indices((side, side)).sum(0) % 2)
    tiles = plane[:high, :wide].reshape(high // side, side, wide // side, side).swapaxes(1, 2)
    each = (tiles * sign).mean((2, 3)).ravel()
    amplitude = abs(float(np.median(np.nan_to_num(each))))
    chance = 1.2533 * sigma / side / np.sqrt(len(each))
    return amplitude if amplitude > max(5 * chance, 0.05 * sigma) else 0.0
