"""A piece of an image that stands for all of it: what is looked at and learned from where the image is too large."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import numpy as np

from hush.core.image import Image
from hush.core.lazy import Lazy
from hush.core.tiling import WINDOW_SIDE

SAMPLE_BYTES = 1 << 25  # that a sample has, where nobody says
SAMPLE_SIDE = 128  # side of its windows, which are smaller than the analysis takes where there is little memory


def sample_of(image: Image, most: int = SAMPLE_BYTES, ndim: int = 2) -> Image:
    """Return an image itself, in memory, or the same of fewer pixels where it has more than `most` bytes.

    Of longer sides the two middles of their halves are taken, as the analysis takes them, put together: rows and
    columns stay whole ones. Of planes some are taken, evenly spaced; of frames, and of volumes with `ndim` 3, those in
    the middle in a row.

    Parameters
    ----------
    image : Image
    most : int
        Bytes.
    ndim : {2, 3}

    Examples
    --------
    >>> stack = Image(np.zeros((50, 100, 3000), np.uint8), "ZYX")
    >>> sample_of(stack, 1 << 20).data.shape
    (5, 100, 2048)
    """
    if image.data.nbytes <= most:
        return replace(image, data=np.asarray(image.data)) if isinstance(image.data, Lazy) else image
    sizes = image.sizes
    side = WINDOW_SIDE
    while True:
        places = {axis: _middles(sizes[axis], side) if axis in "YX" else range(sizes[axis]) for axis in image.axes}
        each = math.prod(len(places[axis]) for axis in image.axes if axis not in "TZ") * image.data.dtype.itemsize
        if each <= most or side <= SAMPLE_SIDE:
            break
        side //= 2
    counts = _counts([sizes.get("T", 1), sizes.get("Z", 1)], max(1, most // each))
    for axis, count in zip("TZ", counts, strict=True):
        if axis in sizes:
            row = axis == "T" if sizes.get("Z", 1) == 1 else axis == "Z" and ndim == 3
            start = (sizes[axis] - count) // 2
            spread = np.linspace(0, sizes[axis] - 1, count).round().astype(int).tolist()
            places[axis] = range(start, start + count) if row else sorted(set(spread))
    made = np.empty([len(places[axis]) for axis in image.axes], image.data.dtype)
    for runs in product(*(_runs(places[axis]) for axis in image.axes)):
        made[tuple(to for to, _ in runs)] = image.data[tuple(at for _, at in runs)]
    return replace(image, data=made)


def _middles(size: int, side: int) -> Sequence[int]:
    """The places along a side that are taken: all, or two windows in the middle of its halves."""
    if size <= 2 * side:
        return range(size)
    starts = [size // 4 * k - side // 2 for k in (1, 3)]
    return [at for start in starts for at in range(start, start + side)]


def _counts(sizes: Sequence[int], most: int) -> list[int]:
    """How many frames and planes are taken, together at most `most`."""
    frames, planes = sizes
    planes_taken = min(planes, most if frames == 1 else max(1, math.isqrt(most)))
    return [min(frames, max(1, most // planes_taken)), planes_taken]


def _runs(places: Sequence[int]) -> list[tuple[slice, slice]]:
    """Places as (where they go, where they come from), those in a row together."""
    runs: list[list[int]] = []
    for at in places:
        if runs and runs[-1][1] == at:
            runs[-1][1] = at + 1
        else:
            runs.append([at, at + 1])
    begun, found = 0, []
    for first, last in runs:
        found.append((slice(begun, begun + last - first), slice(first, last)))
        begun += last - first
    return found
