"""Mean and standard deviation of a training set: the only normalisation there is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = Any


@dataclass(frozen=True)
class Scale:
    """Mean and standard deviation of a training set, one a network channel: the only normalisation there is."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def without_zero(self) -> Scale:
        """The same with 1 where a channel is constant, so that it can be divided by."""
        return Scale(self.mean, tuple(std or 1.0 for std in self.std))

    def _shaped(self, values: tuple[float, ...], array: Array) -> Array:
        wide = array.dtype.itemsize > 4 or (array.dtype.kind in "ui" and array.dtype.itemsize == 4)
        # float32 holds 24 bits: enough for 16-bit integers, not for 32-bit ones
        dtype = np.float64 if wide else np.float32
        return np.asarray(values, dtype).reshape(-1, *(1,) * (array.ndim - 1))

    def normalise(self, array: Array) -> Array:
        """Map (C, ...) in image units to float32 of mean 0 and standard deviation 1."""
        mean, std = self._shaped(self.mean, array), self._shaped(self.std, array)
        return ((array.astype(mean.dtype) - mean) / std).astype(np.float32)

    def restore(self, array: Array, like: Array) -> Array:
        """Map (C, ...) back to image units, as precise as `like` needs it."""
        mean, std = self._shaped(self.mean, like), self._shaped(self.std, like)
        return array * std + mean

    def spread(self, array: Array) -> Array:
        """Map a standard deviation (C, ...) back to image units."""
        return array * np.asarray(self.std, np.float32).reshape(-1, *(1,) * (array.ndim - 1))


def scale_of(views: Sequence[Array], limit: int = 1 << 27) -> Scale:
    """Measure mean and standard deviation of views (C, [Z,] Y, X), one pass, NaN and infinity left out.

    Parameters
    ----------
    views : sequence of array
        All with the same number of channels C.
    limit : int
        From so many pixels on only every n-th row is read.

    Raises
    ------
    ValueError
        When not one pixel is finite.
    """
    channels = views[0].shape[0]
    total = sum(view[0].size for view in views)
    skip = max(1, total // limit)
    count = np.zeros(channels)
    first, second = np.zeros(channels), np.zeros(channels)
    origin: Array = None
    for view in views:
        for rows in _strips(view, skip):
            values = rows.reshape(channels, -1).astype(np.float64)
            if origin is None:  # sums about a typical value: no cancellation for images on a high pedestal
                typical = [np.median(v[np.isfinite(v)]) if np.isfinite(v).any() else 0.0 for v in values]
                origin = np.asarray(typical)[:, None]
            finite = np.isfinite(values)
            centred = np.where(finite, values - origin, 0.0)
            count += finite.sum(1)
            first += centred.sum(1)
            second += (centred**2).sum(1)
    if not count.all():
        raise ValueError("there is not one finite pixel")
    mean = first / count
    std = np.sqrt(np.maximum(second / count - mean**2, 0))
    return Scale(tuple((mean + origin[:, 0]).tolist()), tuple(std.tolist()))


def _strips(view: Array, skip: int, pixels: int = 1 << 22) -> Any:
    """Blocks of rows of (C, [Z,] Y, X), each a few megabytes."""
    planes = [view] if view.ndim == 3 else [view[:, z] for z in range(view.shape[1])]
    for plane in planes:
        height = max(1, pixels // plane.shape[-1])
        for top in range(0, plane.shape[1], height * skip):
            yield plane[:, top : top + height]
