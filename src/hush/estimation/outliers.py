"""Single pixels far beyond all others, and thin lines of one value: hot pixels, cosmic rays, dead columns."""

from __future__ import annotations

import numpy as np

from hush.core.image import Array
from hush.estimation.impulses import without_impulses

MOST_OUTLIERS = 1e-3  # share of the pixels at either end of the values that may lie apart from the others
BEYOND_RANGE = 2.0  # by so many times the range of the others
LONELY = 0.15  # of its height what surrounds a single pixel has at most: a point that optics blurred has more
THIN = 3  # rows or columns side by side that are lines; more are an area
OTHER_VALUES = 0.5  # of the lines beside it that have its value, from which on a line is none
RANGE_SAMPLE = 1 << 20  # pixels of which the range is measured
NEIGHBOURS = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if (y, x) != (0, 0)]


def outliers(plane: Array) -> Array | None:
    """Return which pixels of (Y, X) are single ones far beyond all others, or on a thin line of one value.

    None where no pixel is, and where they are so many that the analysis takes them for impulses.
    """
    if plane.dtype.kind not in "iuf" or min(plane.shape) < 8:
        return None
    apart = _lines(plane)
    rows = slice(None, None, max(1, plane.size // RANGE_SAMPLE))
    some = plane[rows][~apart[rows]].astype(np.float64)
    some = some[np.isfinite(some)]
    if some.size < 64:
        return None
    rank = int(MOST_OUTLIERS * some.size) + 1
    low, high = (float(value) for value in np.partition(some, [rank, some.size - 1 - rank])[[rank, -1 - rank]])
    reach = high - low
    far = np.zeros_like(apart)
    if reach > 0:
        far = (
            np.isfinite(plane) & ~apart & ((plane > high + BEYOND_RANGE * reach) | (plane < low - BEYOND_RANGE * reach))
        )
    if 0 < far.sum() <= MOST_OUTLIERS * plane.size + 1:
        centre = float(np.median(some))
        for y, x in np.argwhere(far):
            far[y, x] = _sharp(plane, y, x, centre)
        if (
            far.any()
            and not without_impulses([np.where(apart, np.float32(centre), np.asarray(plane, np.float32))]).fraction
        ):
            apart |= far
    return apart if apart.any() else None


def _sharp(plane: Array, y: int, x: int, centre: float) -> bool:
    """Whether all but two of those around a pixel know nothing of it: it is alone, or in the streak of a cosmic ray."""
    inside = [
        (y + dy, x + dx) for dy, dx in NEIGHBOURS if 0 <= y + dy < plane.shape[0] and 0 <= x + dx < plane.shape[1]
    ]
    others = np.array([plane[at] for at in inside], np.float64)
    third = np.sort(np.abs(others[np.isfinite(others)] - centre))[::-1][2:3]
    return not (third > LONELY * abs(float(plane[y, x]) - centre)).any()


def _lines(plane: Array) -> Array:
    """Rows and columns of one value all along, at most `THIN` of them side by side."""
    lines = np.zeros(plane.shape, bool)
    for axis in (0, 1):
        same = plane.max(axis) == plane.min(axis)
        edges = np.flatnonzero(np.diff(np.concatenate([[0], same, [0]])))
        for first, last in zip(edges[::2], edges[1::2], strict=True):
            if last - first > min(THIN, len(same) - 1):
                continue
            across = plane if axis else plane.T
            beside = across[[k for k in (first - 1, last) if 0 <= k < len(same)]]
            # where most values around are the same one, as at a low count, a line of it is chance
            odd = any(np.mean(beside == across[k, 0]) < OTHER_VALUES for k in range(first, last))
            if odd:
                (lines if axis else lines.T)[first:last] = True
    return lines
