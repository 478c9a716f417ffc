"""What else is wrong with the pixels: rounding, clipping, impulses, a chequerboard."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Floats = NDArray[np.floating[Any]]

RING = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]], bool)
GLIMPSE = 160  # side of the windows in which impulses are looked for first
ANYWHERE = 0.55  # of what all pixels' neighbours are off a value, what they are where it is that of lost pixels
FRAME = 0.95  # of a row or column of the border that is of one value
IMPULSE_STEPS = 4  # between values: impulses are not fainter
FEW_REPAIRED = 1e-4  # share of impulses below which they are not worth a word
ANYHOW = 0.17  # of impulses, which may be anywhere, what lies in the quieter half of an image; of details hardly any do


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


def without_impulses(
    planes: Sequence[Floats], explained: Callable[[Floats], Floats] | None = None
) -> tuple[list[Floats], float, tuple[float, ...]]:
    """Replace single pixels that fit neither their neighbours nor the noise by the median of the eight around.

    Parameters
    ----------
    planes : sequence of array, shape (Y, X)
    explained : callable, optional
        Brightness -> the largest deviation that noise explains there, where that is known: photons come in gains.

    Returns
    -------
    planes : list of array
    fraction : float
        Share of such pixels; 0 when there are hardly any (then nothing is replaced).
    values : tuple of float
        The one or two values that they have, if they have so few.
    """
    if explained is None and all(plane.size > 4 * GLIMPSE**2 for plane in planes):
        glimpses = [window for plane in planes for window in _corners(plane)]
        if not without_impulses(glimpses)[1]:  # a median over a large plane takes its time
            return list(planes), 0.0, ()
    repaired, found, odd = [], [], []
    for plane in planes:
        middle = ndimage.median_filter(np.nan_to_num(plane), footprint=RING, mode="mirror")
        hit = impulses(plane, middle)
        if explained is not None:
            hit &= np.abs(plane - middle) > explained(middle)
        found.append(hit)
        odd.append(plane[hit])
        repaired.append(np.where(hit, middle, plane))
    hits = sum(int(hit.sum()) for hit in found)
    fraction = hits / sum(hit.size for hit in found)
    if fraction < FEW_REPAIRED:
        return list(planes), 0.0, ()
    levels, counts = np.unique(np.concatenate(odd), return_counts=True)
    common = levels[counts > 0.1 * hits]
    few = 0 < len(common) <= 2 and counts[counts > 0.1 * hits].sum() > 0.8 * hits
    if not few and sum(int(hit[_quiet(one)].sum()) for hit, one in zip(found, repaired, strict=True)) < ANYHOW * hits:
        return list(planes), 0.0, ()
    return repaired, fraction, tuple(map(float, common)) if few else ()


def _quiet(plane: Floats) -> NDArray[np.bool_]:
    """The half of the pixels around which values differ least."""
    plane = np.nan_to_num(plane)
    reach = ndimage.maximum_filter(plane, 5) - ndimage.minimum_filter(plane, 5)
    inside: NDArray[np.bool_] = reach <= np.median(reach)
    return inside


def _corners(plane: Floats) -> list[Floats]:
    tops, lefts = ((0, size - GLIMPSE) for size in plane.shape)
    return [plane[y : y + GLIMPSE, x : x + GLIMPSE] for y in tops for x in lefts]


def impulses(plane: Floats, middle: Floats) -> NDArray[np.bool_]:
    """Find single pixels far outside their neighbours, in units of the noise at their brightness.

    Parameters
    ----------
    plane : array, shape (Y, X)
    middle : array, shape (Y, X)
        Median of the eight neighbours.
    """
    values = np.nan_to_num(plane)
    away = values - middle
    edges = np.quantile(middle[:: max(1, middle.shape[0] // 256)], np.linspace(0, 1, 13)[1:-1])
    bins = np.searchsorted(edges, middle)
    above, below = (_spread(sign * away, bins) for sign in (1, -1))
    size = np.abs(away)
    step = quantisation(values[:: max(1, len(values) // 64)])
    limit = np.where(away > 0, above[bins], below[bins]) + 1e-6 * float(np.ptp(middle))
    found = np.zeros(plane.shape, bool)
    for end in _suspicious(values):  # lost and stuck pixels share one value, far from their neighbours
        same = _within_frame(values == end)
        odd = same & (size > 4 * limit)
        if odd.mean() < max(FEW_REPAIRED, (middle == end).mean()):  # neighbourhoods have it too: it is a common value
            continue
        # a pixel is lost wherever it is; where a colour is hardly there it is cut off at zero among small values
        hit = same & (size > limit)
        if np.quantile(size[hit], 0.8) > ANYWHERE * np.quantile(np.abs(middle - end), 0.8):
            telling = step is None and odd.sum() > 0.3 * same.sum()
            found |= same if telling else hit
    suspects = ~found & (size > np.maximum(8 * limit, IMPULSE_STEPS * (step or 0)))
    if suspects.any():  # any other impulse stands alone: its neighbours agree among themselves
        busy = ndimage.percentile_filter(size, 75, footprint=RING, mode="mirror")
        found |= suspects & (busy < 0.35 * size)
    return found


def _within_frame(same: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Leave out whole rows and columns at the border: a frame of one value is no loss."""
    rows, columns = (np.flatnonzero(same.mean(axis) < FRAME) for axis in (1, 0))
    inside = np.zeros_like(same)
    if len(rows) and len(columns):
        window = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        inside[window] = same[window]
    return inside


def _suspicious(values: Floats) -> set[float]:
    """Values at which pixels may be stuck: the ends, zero, and what repeats where nothing else does."""
    levels, counts = np.unique(values, return_counts=True)
    often = levels[counts > max(8, 20 * np.median(counts), FEW_REPAIRED * values.size)]
    return {float(levels[0]), float(levels[-1]), 0.0} | (set(map(float, often)) if len(often) <= 4 else set())


def _spread(away: Floats, bins: NDArray[np.intp]) -> Floats:
    """Noise on one side of the median at each brightness, from a quantile that 25 % of impulses do not move."""
    each = np.zeros(13)
    for k in range(13):  # by chance the darkest medians lie below their own pixels: the middle is taken off first
        inside = away[bins == k]
        if inside.size:
            middle, high = np.quantile(inside[:: max(1, inside.size >> 14)], [0.5, 0.72])
            each[k] = (high - middle) / 0.5828
    result: Floats = np.maximum(each, 0.5 * np.median(each))
    return result


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
