"""Lazy: an array that stays where it is stored, and is read in pieces."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from hush.core.errors import HushError

Array = Any
LAZY_FROM = 64 * 2**20  # bytes from which on somebody else's lazy array stays one; a smaller one is read


class Lazy:
    """An array whose numbers are read only where they are asked for: ``lazy[10:20, :, 5]`` is a numpy array.

    It is cut and transposed without being read. What asks for all of it (``np.asarray``) gets it, if there is memory.

    Parameters
    ----------
    source : object
        Has ``shape`` and ``dtype``, and gives for a tuple of integers and slices, one an axis, what numpy can make an
        array of: an array of Zarr, a data set of HDF5, an array of Dask, a reader of hush.
    chunks : sequence of int, optional
        Shape of the pieces in which it is stored: whole ones are read fastest.
    dtype : dtype, optional
        Of what is read; by default the source's.

    Attributes
    ----------
    shape, ndim, size, dtype, nbytes
        As of a numpy array.
    chunks : tuple of int or None
        Of the axes as they are now.

    Raises
    ------
    HushError
        When all of it is asked for, and is more than there is memory.

    Examples
    --------
    >>> lazy = Lazy(np.arange(24).reshape(2, 3, 4))
    >>> lazy.cut((1,)).transpose((1, 0)).shape, lazy[1, 2, 1:3].tolist()
    ((4, 3), [21, 22])
    """

    __array_priority__ = 100  # numpy's arrays leave an operation with one to it, and it has none

    def __init__(self, source: Any, chunks: Sequence[int] | None = None, dtype: Any = None) -> None:
        self._source = source
        self._cuts: tuple[int | slice, ...] = tuple(slice(0, int(size), 1) for size in source.shape)
        self._order: tuple[int | None, ...] = tuple(range(len(source.shape)))  # places in the source; None: a new axis
        self._chunks = None if chunks is None else tuple(map(int, chunks))
        self.dtype: np.dtype[Any] = np.dtype(source.dtype if dtype is None else dtype)

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis."""
        return tuple(1 if at is None else len(_range(self._cuts[at])) for at in self._order)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self._order)

    @property
    def size(self) -> int:
        """Number of values."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of all values."""
        return self.size * int(self.dtype.itemsize)

    @property
    def chunks(self) -> tuple[int, ...] | None:
        """Shape of the stored pieces, along the axes as they are now."""
        if self._chunks is None:
            return None
        return tuple(1 if at is None else self._chunks[at] for at in self._order)

    def cut(self, index: Any) -> Lazy:
        """Return a part, unread.

        Parameters
        ----------
        index : int, slice, ``...``, ``None``, or a tuple of them
            As of a numpy array; slices go forward.
        """
        parts = list(index) if isinstance(index, tuple) else [index]
        for part in parts:
            if not (part is None or part is Ellipsis or isinstance(part, (int, np.integer, slice))):
                raise IndexError(f"an array that is read in pieces takes integers and slices, not {type(part)}")
        named = sum(part is not None and part is not Ellipsis for part in parts)
        if named > self.ndim or parts.count(Ellipsis) > 1:
            raise IndexError(f"{index} is no index of an array of shape {self.shape}")
        where = parts.index(Ellipsis) if Ellipsis in parts else len(parts)
        parts[where : where + 1] = [slice(None)] * (self.ndim - named)
        cuts, left = list(self._cuts), iter(self._order)
        order: list[int | None] = []
        for part in parts:
            if part is None:
                order.append(None)
                continue
            at = next(left)
            if at is None:  # an axis of length one that was added
                if isinstance(part, slice) and len(range(1)[part]) == 1:
                    order.append(None)
                elif isinstance(part, slice):
                    raise IndexError("an axis of length one that was added cannot be cut to nothing")
                continue
            taken = _range(cuts[at])[part]
            if isinstance(taken, int):
                cuts[at] = taken
            elif taken.step < 0:
                raise IndexError("an array that is read in pieces is read forward only")
            else:
                cuts[at] = slice(taken.start, taken.stop, taken.step)
                order.append(at)
        return self._with(cuts, order)

    def transpose(self, *order: Any) -> Lazy:
        """Return it with its axes in another order, unread."""
        places = order[0] if len(order) == 1 and not isinstance(order[0], int) else order
        return self._with(self._cuts, [self._order[at] for at in places])

    def astype(self, dtype: Any, copy: bool = True) -> Array:
        """Return all of it as a numpy array of another dtype."""
        return np.asarray(self).astype(dtype, copy=False)

    def copy(self) -> Array:
        """Return all of it as a numpy array."""
        return np.asarray(self)

    def __getitem__(self, index: Any) -> Array:
        """Read a part."""
        return self.cut(index)._read()

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[Array]:
        return (self[at] for at in range(len(self)))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        """Read all of it."""
        from hush.core.device import available_memory

        if self.nbytes > available_memory():
            raise HushError(
                f"this needs all {self.nbytes / 1e9:.1f} GB of an array that is stored in pieces, and "
                f"{available_memory() / 1e9:.1f} GB of memory are free: crop it, or take a command that reads pieces "
                "(denoise, apply)"
            )
        read = self._read()
        return read if dtype is None else read.astype(dtype, copy=False)

    def _with(self, cuts: Sequence[int | slice], order: Sequence[int | None]) -> Lazy:
        other = object.__new__(Lazy)
        other._source, other._chunks, other.dtype = self._source, self._chunks, self.dtype
        other._cuts, other._order = tuple(cuts), tuple(order)
        return other

    def _read(self) -> Array:
        piece = np.asarray(self._source[self._cuts])
        kept = [at for at, cut in enumerate(self._cuts) if isinstance(cut, slice)]
        piece = piece.reshape([len(_range(self._cuts[at])) for at in kept])
        piece = piece.transpose([kept.index(at) for at in self._order if at is not None])
        if None in self._order:
            piece = piece[tuple(np.newaxis if at is None else slice(None) for at in self._order)]
        return piece.astype(self.dtype, copy=False)


def _range(cut: int | slice) -> range:
    return range(cut.start, cut.stop, cut.step) if isinstance(cut, slice) else range(cut, cut + 1)


def stays_lazy(given: Any) -> bool:
    """Whether somebody else's array is read in pieces: one of Zarr, HDF5 or Dask that is large.

    Examples
    --------
    >>> stays_lazy(np.zeros(9)), stays_lazy([1, 2])
    (False, False)
    """
    if isinstance(given, np.ndarray) or not all(hasattr(given, name) for name in ("shape", "chunks", "__getitem__")):
        return False
    dtype = getattr(given, "dtype", None)
    return isinstance(dtype, np.dtype) and math.prod(given.shape) * dtype.itemsize >= LAZY_FROM


def chunk_shape(given: Any) -> tuple[int, ...] | None:
    """Return the shape of an array's shards or chunks (of Dask's the largest); None where it has none."""
    said = getattr(given, "shards", None) or getattr(given, "chunks", None)
    if not said:
        return None
    return tuple(max(size) if isinstance(size, tuple) else int(size) for size in said)


class Stored:
    """A source of a `Lazy` that opens its file for every read: nothing stays open, and it can be sent to a process.

    Parameters
    ----------
    shape, dtype
        Of the array.
    path : path
        Of the file.
    """

    def __init__(self, path: str | os.PathLike[str], shape: Sequence[int], dtype: Any) -> None:
        self.path, self.shape, self.dtype = os.fspath(path), tuple(map(int, shape)), np.dtype(dtype)

    def __getitem__(self, index: tuple[int | slice, ...]) -> Array:
        """Read a part; a format answers this one."""
        raise TypeError(f"{type(self).__name__} reads nothing")
