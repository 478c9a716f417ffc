"""What else is wrong with the pixels: rounding, clipping, impulses, stripes, a chequerboard."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Floats = NDArray[np.floating[Any]]

RING = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]], bool)
FEW = 1e-4  # share of impulses below which they are not worth a word


def quantisation(values: Floats) -> float | None:
    """Return the step between values, None when they are continuous.

    Examples
    --------
    >>> quantisation(np.array([0.0, 4.0, 12.0, 8.0])), quantisation(np.random.default_rng(0).random(999))
    (4.0, None)
    """
    levels = np.unique(values.astype(np.float64))
    if not 2 <= len(levels) <= max(4096, len(values) // 4):
        if (levels == np.rint(levels)).all():
            return 1.0
        return None
    gaps = np.diff(levels)
    step = float(gaps.min())
    parts = gaps / step
    return step if np.abs(parts - np.rint(parts)).max() < 1e-3 * parts.max() and step > 0 else None


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
        near = counts[1:6].mean() if len(levels) > 5 else np.inf
        found.append(float(end) if at_end > max(3 * near, 0.0005 * len(values), 8) else None)
    return found[0], found[1]


def without_impulses(planes: Sequence[Floats]) -> tuple[list[Floats], float, tuple[float, ...]]:
    """Replace single pixels that fit neither their neighbours nor the noise by the median of the eight around.

    Returns
    -------
    planes : list of array
    fraction : float
        Share of such pixels; 0 when there are hardly any (then nothing is replaced).
    values : tuple of float
        The one or two values that they have, if they have so few.
    """
    repaired, hits, total, odd = [], 0, 0, []
    for plane in planes:
        middle = ndimage.median_filter(np.nan_to_num(plane), footprint=RING, mode="mirror")
        hit = impulses(plane, middle)
        hits, total = hits + int(hit.sum()), total + plane.size
        odd.append(plane[hit])
        repaired.append(np.where(hit, middle, plane))
    fraction = hits / total
    if fraction < FEW:
        return list(planes), 0.0, ()
    levels, counts = np.unique(np.concatenate(odd), return_counts=True)
    common = levels[counts > 0.1 * hits]
    few = 0 < len(common) <= 2 and counts[counts > 0.1 * hits].sum() > 0.8 * hits
    return repaired, fraction, tuple(map(float, common)) if few else ()


def impulses(plane: Floats, middle: Floats) -> NDArray[np.bool_]:
    """Find single pixels far outside their neighbours, in units of the noise at their brightness.

    Parameters
    ----------
    plane : array, shape (Y, X)
    middle : array, shape (Y, X)
        Median of the eight neighbours.
    """
    away = np.abs(np.nan_to_num(plane) - middle)
    edges = np.quantile(middle[:: max(1, middle.shape[0] // 256)], np.linspace(0, 1, 13)[1:-1])
    bins = np.searchsorted(edges, middle)
    spread = np.array([np.median(away[bins == k]) if (bins == k).any() else 0 for k in range(13)]) / 0.6745
    # noise is spread in brightness by chance and in the darkest bins may vanish: never below half the usual
    limit = np.maximum(spread, 0.5 * np.median(spread))[bins] + 1e-6 * float(np.ptp(middle))
    ends = (plane == np.nanmin(plane)) | (plane == np.nanmax(plane))
    suspects = away > np.where(ends, 4.0, 6.0) * limit
    if not suspects.any():
        return suspects
    # an impulse stands alone: its neighbours agree among themselves, or are impulses too
    busy = ndimage.percentile_filter(away, 75, footprint=RING, mode="mirror")
    return suspects & (busy < 0.5 * away)


def stripes(plane: Floats, sigma: float) -> dict[str, float]:
    """Return the standard deviation of offsets that whole rows or columns share, where there are such.

    Parameters
    ----------
    plane : array, shape (Y, X)
    sigma : float
        Standard deviation of the noise.
    """
    found = {}
    for name, view in (("rows", plane), ("columns", plane.T)):
        if min(view.shape) < 24:
            continue
        bend = view[1:-1] - (view[2:] + view[:-2]) / 2
        profile = np.nanmedian(bend, 1)
        spread = 1.4826 * float(np.median(np.abs(profile - np.median(profile))))
        chance = sigma * np.sqrt(1.5) * 1.2533 / np.sqrt(view.shape[1])
        amplitude = np.sqrt(max(spread**2 - chance**2, 0) / 1.5)
        if spread > 2.5 * chance and amplitude > 0.1 * sigma and sigma > 0:
            found[name] = float(amplitude)
    return found


def chequerboard(plane: Floats, sigma: float) -> float:
    """Return the amplitude of a chequerboard, 0 when there is none."""
    side = 32
    high, wide = (size // side * side for size in plane.shape)
    if not (high and wide):
        return 0.0
    sign = 1 - 2 * (np.indices((side, side)).sum(0) % 2)
    tiles = plane[:high, :wide].reshape(high // side, side, wide // side, side).swapaxes(1, 2)
    each = (tiles * sign).mean((2, 3)).ravel()
    amplitude = abs(float(np.nanmedian(each)))
    chance = 1.2533 * sigma / side / np.sqrt(len(each))
    return amplitude if amplitude > max(5 * chance, 0.05 * sigma) else 0.0
