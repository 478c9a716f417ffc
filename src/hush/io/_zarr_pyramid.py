"""The smaller copies of an image in a pyramid: means of blocks, in the image's own dtype."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from hush.core.image import Array, cast
from hush.io._zarr_pieces import boxes

SMALLEST_LEVEL = 256  # pixels: where Y and X are no longer than this, no smaller copy is made


def factors(shapes: Sequence[Sequence[int]]) -> list[tuple[int, ...]]:
    """Return by how much every level is smaller than the one before.

    Examples
    --------
    >>> factors([(3, 341, 341), (3, 170, 170)])
    [(1, 2, 2)]
    """
    return [tuple(max(1, round(a / b)) for a, b in zip(old, new, strict=True)) for old, new in pairwise(shapes)]


def usual_factors(shape: Sequence[int], axes: str) -> list[tuple[int, ...]]:
    """Return the factors of a new pyramid: two in Y and X, until both are at most `SMALLEST_LEVEL`."""
    sides, found = [size for size, axis in zip(shape, axes, strict=True) if axis in "YX"], []
    while max(sides) > SMALLEST_LEVEL and min(sides) > 1:
        found.append(tuple(2 if axis in "YX" else 1 for axis in axes))
        sides = [max(1, side // 2) for side in sides]
    return found


def smaller(shape: Sequence[int], by: Sequence[int]) -> tuple[int, ...]:
    """Return the shape of the next level: whole blocks only, and at least one."""
    return tuple(max(1, size // factor) for size, factor in zip(shape, by, strict=True))


def fill(target: Any, source: Any, by: Sequence[int], chunks: Sequence[int]) -> None:
    """Fill a level from the one before, box by box.

    Parameters
    ----------
    target, source : array
        Of Zarr.
    by : sequence of int
        How many pixels of `source` become one, along every axis.
    chunks : sequence of int
        Of `target`.
    """
    dtype = np.dtype(source.dtype)
    for box in boxes(target.shape, chunks, dtype.itemsize):
        wide = tuple(slice(part.start * f, part.stop * f) for part, f in zip(box, by, strict=True))
        block = np.asarray(source[wide])
        target[box] = means(block, by, tuple(part.stop - part.start for part in box))


def means(block: Array, by: Sequence[int], shape: tuple[int, ...]) -> Array:
    """Return the means of blocks, in the dtype of `block`; missing pixels are left out of them.

    Examples
    --------
    >>> means(np.array([[1, 2, 9], [3, 6, 9]], np.uint8), (2, 2), (1, 2))
    array([[3, 9]], dtype=uint8)
    """
    lacking = [(0, size * f - have) for size, f, have in zip(shape, by, block.shape, strict=True)]
    if any(after > 0 for _, after in lacking):
        block = np.pad(block, [(0, max(0, after)) for _, after in lacking], "edge")
    parts = [number for pair in zip(shape, by, strict=True) for number in pair]
    apart = np.asarray(block, np.float64).reshape(parts)
    own = tuple(range(1, 2 * len(shape), 2))
    known = np.isfinite(apart)
    if known.all():
        return cast(apart.mean(own), block.dtype)
    count = known.sum(own)
    total = np.where(known, apart, 0).sum(own)
    return cast(np.where(count > 0, total / np.maximum(count, 1), np.nan), block.dtype)
