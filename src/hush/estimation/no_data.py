"""Areas that hold no data though they hold a number: -9999 in a corner, padding around a field of view."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from scipy import ndimage

from hush.core.image import Array, Image

SIDE = 7  # of the squares of one value that an area is made of: noise makes none
SHARE_IN_AREAS = 0.5  # of the pixels with a value that lie in squares or along lines of it, where it stands for no data
HOLES = 1e-3  # of its pixels, single ones of other values in an area: where there are more, pixels were measured
LEAST_LEVELS = 16  # values that all others have at least: two-valued pictures are no measurement with a hole
BEYOND, BEYOND_VALUES = 0.2, 5  # share of the others on the far side of padding, and values that these have
PLANE_SAMPLE = 1 << 20  # pixels whose range and values are looked at


def without_no_data(image: Image) -> Image:
    """Return an image with NaN where it holds no data; the image itself where it holds data everywhere.

    What its file says is no data (``meta["padding"]``: a value, or the lowest and the highest of a range) is none.

    Examples
    --------
    >>> image = np.random.default_rng(0).integers(40, 60, (32, 32))
    >>> image[:10, :10] = -9999
    >>> int(np.isnan(without_no_data(Image(image, "YX")).data).sum())
    100
    """
    data, padding = None, image.meta.get("padding")
    for plane in image.planes(2):
        for sample, values in enumerate(plane.view(image.data)):
            found = [no_data(np.asarray(values)), _stated(np.asarray(values), padding)]
            where = np.any([one for one in found if one is not None], 0)
            if not where.any():
                continue
            if data is None:
                wide = image.data.dtype.itemsize > 2 and image.data.dtype != np.float32
                data = np.array(image.data, np.float64 if wide else np.float32)
            plane.view(data)[sample][where] = np.nan
    return image if data is None else replace(image, data=data)


def _stated(values: Array, padding: Any) -> Array | None:
    """Where values are those that a file says stand for no data."""
    if padding is None:
        return None
    low, high = padding if isinstance(padding, (tuple, list)) else (padding, padding)
    return np.asarray((values >= low) & (values <= high))


def no_data(values: Array) -> Array | None:
    """Return where (Y, X) holds no data though it holds a number; None for nowhere.

    That is an area of the lowest or the highest value, further from all others than these are from one another; and
    padding among them: an area of one exact value at the dark or the bright end of an image whose noise makes no other.

    Examples
    --------
    >>> image = np.random.default_rng(0).normal(50, 9, (32, 32))
    >>> no_data(image) is None
    True
    >>> image[:10, :10] = -9999
    >>> int(no_data(image).sum())
    100
    """
    if values.dtype.kind not in "uif" or min(values.shape) < SIDE:
        return None
    areas = _areas(values)
    if areas is None:
        return None
    known = np.isfinite(values)
    found = np.zeros(values.shape, bool)
    for end in {values[known].min(), values[known].max()}:
        found |= _far(values, known, end)
    rest = known & ~found
    inner = np.unique(values[areas & rest])
    inner = inner[(inner > values[rest].min()) & (inner < values[rest].max())] if rest.any() else inner
    if len(inner) == 1:
        found |= _padding(values, known & ~found, inner[0], areas)
    return found if found.any() else None


def _areas(values: Array) -> Array | None:
    """Pixels in squares of one value; None where there is no such square."""
    same = values[:-1, :-1] == values[:-1, 1:]
    same &= values[:-1, :-1] == values[1:, :-1]
    same &= values[:-1, :-1] == values[1:, 1:]
    if same.sum() < (SIDE - 1) ** 2:
        return None
    corners = ndimage.binary_erosion(same, np.ones((SIDE - 1, SIDE - 1), bool))
    if not corners.any():
        return None
    corners = np.pad(corners, ((0, 1), (0, 1)))
    return np.asarray(ndimage.binary_dilation(corners, np.ones((SIDE, SIDE), bool)))


def _some(values: Array, where: Array) -> Array:
    """Sorted values at some of the pixels."""
    rows = slice(None, None, max(1, values.size // PLANE_SAMPLE))
    return np.sort(values[rows][where[rows]]).astype(np.float64)


def _far(values: Array, known: Array, end: Any) -> Array:
    """All pixels with a value at the end that is far from all others, if most lie in squares or along lines."""
    same = values == end
    nothing = np.zeros(values.shape, bool)
    some = _some(values, known & ~same)
    if same.sum() < SIDE**2 or some.size < SIDE**2 or len(np.unique(some)) < LEAST_LEVELS:
        return nothing
    low, high = np.quantile(some, [0.001, 0.999])
    gap = high - low
    if min(abs(low - float(end)), abs(high - float(end))) <= gap:
        return nothing
    if (known & ~same & (np.abs(values.astype(np.float64) - float(end)) <= gap)).any():
        return nothing
    alone = ~same & (ndimage.uniform_filter(same.astype(np.float32), 3, mode="nearest") > 7.5 / 9)
    if alone.sum() > HOLES * same.sum():
        return nothing
    whole = nothing
    for shape in ((SIDE, SIDE), (min(SIDE**2, len(values)), 1), (1, min(SIDE**2, values.shape[1]))):
        whole = whole | ndimage.binary_opening(same, np.ones(shape, bool))
    return same if whole.sum() >= SHARE_IN_AREAS * same.sum() else nothing


def _padding(values: Array, known: Array, value: Any, areas: Array) -> Array:
    """The area of the one value that makes any, where it is near an end of the values but not at it."""
    same = values == value
    some = _some(values, known & ~same)
    sides = some[some < value], some[some > value]
    beyond = min(sides, key=len)
    if (
        len(beyond) > BEYOND * len(some)
        or len(np.unique(beyond)) < BEYOND_VALUES
        or len(np.unique(some)) < LEAST_LEVELS
    ):
        return np.zeros(values.shape, bool)
    return np.asarray(ndimage.binary_propagation(areas & same, mask=same))
