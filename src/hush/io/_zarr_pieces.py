"""Arrays that are stored in chunks (Zarr, HDF5): read and written in boxes of whole chunks, memory stays small."""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import Any

import numpy as np

from hush.core.errors import FormatError
from hush.core.image import Array
from hush.core.lazy import Lazy

SPOOL_FROM = 512 * 2**20  # decoded bytes; larger ones are decoded into a temporary file, not into memory
MOST_AT_ONCE = 16 * 2**20  # bytes that are read or written at once; of a smaller copy's source four times as many

Box = tuple[slice, ...]


def boxes(shape: Sequence[int], chunks: Sequence[int], itemsize: int, most: int = MOST_AT_ONCE) -> Iterator[Box]:
    """Divide an array into boxes of whole chunks, each of at most `most` bytes or of one chunk.

    Parameters
    ----------
    shape, chunks : sequence of int
        Of the array, and of one chunk (or shard).
    itemsize : int
        Bytes of a number.
    most : int
        Bytes of a box.

    Examples
    --------
    >>> [[(s.start, s.stop) for s in box] for box in boxes((4, 5), (1, 2), 1, 10)]
    [[(0, 2), (0, 5)], [(2, 4), (0, 5)]]
    """
    step = [max(1, min(chunk, size)) for chunk, size in zip(chunks, shape, strict=True)]
    for axis in reversed(range(len(step))):
        room = most // max(1, math.prod(step) * itemsize)
        step[axis] = min(shape[axis], step[axis] * max(1, room))
    starts = (range(0, size, by) for size, by in zip(shape, step, strict=True))
    for corner in product(*starts):
        yield tuple(slice(at, min(at + by, size)) for at, by, size in zip(corner, step, shape, strict=True))


def given(
    source: Any, chunks: Sequence[int] | None, lazy_from: int | None, stored: Callable[[], Any] | None = None
) -> Array:
    """Return a stored array as it is asked for: unread from so many bytes on, else as `load` gives it.

    Parameters
    ----------
    source, chunks
        See `load`.
    lazy_from : int or None
        None: always read.
    stored : callable, optional
        Gives what is read from in place of `source`, where that does not stay open.
    """
    shape, dtype = tuple(source.shape), np.dtype(source.dtype).newbyteorder("=")
    if lazy_from is None or math.prod(shape) * dtype.itemsize < lazy_from:
        return load(source, chunks)
    return Lazy(source if stored is None else stored(), chunks, dtype)


def load(source: Any, chunks: Sequence[int] | None = None) -> Array:
    """Return the numbers of a stored array, in memory or, where they are many, mapped from a temporary file.

    Parameters
    ----------
    source : array
        Of Zarr or HDF5: has shape and dtype, and gives numpy arrays for boxes.
    chunks : sequence of int, optional
        Of `source`.

    Raises
    ------
    FormatError
        When there is no room for them.
    """
    shape, dtype = tuple(source.shape), np.dtype(source.dtype).newbyteorder("=")
    data = room(shape, dtype)
    for box in boxes(shape, chunks or source.chunks or shape, dtype.itemsize):
        data[box] = source[box]
    return data


def room(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Return an empty array, in memory or, where it is large, mapped from a temporary file."""
    nbytes = math.prod(shape) * dtype.itemsize
    if nbytes < SPOOL_FROM:
        return np.zeros(shape, dtype)
    free = shutil.disk_usage(tempfile.gettempdir()).free
    if nbytes > free:
        raise FormatError(
            f"its {nbytes / 1e9:.1f} GB of pixels need a temporary file, and {free / 1e9:.1f} GB are free in "
            f"{tempfile.gettempdir()}; set TMPDIR to a folder with more room"
        )
    with tempfile.TemporaryFile(prefix="hush-") as file:
        return np.memmap(file, dtype, "w+", shape=shape)


class Spooled(np.ndarray[Any, Any]):
    """An array that is filled in any order, and given to a function when it is full: `flush` does that."""

    _finish: Callable[[Array], None] | None = None

    @classmethod
    def of(cls, shape: tuple[int, ...], dtype: np.dtype[Any], finish: Callable[[Array], None]) -> Spooled:
        """Return one of zeros."""
        made: Spooled = np.asarray(room(shape, dtype)).view(cls)
        made._finish = finish
        return made

    def flush(self) -> None:
        """Give the array to its function."""
        if self._finish is not None:
            self._finish(np.asarray(self))
