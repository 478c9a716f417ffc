"""Units: an image brought to where float32 computes well, and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from hush.core.image import Array, Image, cast

# largest value between which nothing is done: to 2^24 float32 holds whole numbers
SMALLEST, LARGEST = 2.0**-10, 2.0**24
FAR_OFF_ZERO = 256.0  # times its extent that an image may lie off zero: the 16 bits left of float32 are for the image
STEEPEST = 1000  # exponent of two: beyond it the way back is no number


@dataclass(frozen=True)
class Units:
    """x = offset + factor * y, where y is near one: the power of two is exact, the offset is taken off in float64.

    Attributes
    ----------
    offset : float or int
        In image units; 0 where float32 holds the image as it is. Exact, also of 64-bit integers.
    factor : float
        A power of two.

    Examples
    --------
    >>> far = Image(1e9 + np.arange(6.0).reshape(2, 3), "YX")
    >>> units = Units.of(far)
    >>> near = units.into(far).data
    >>> near.tolist(), bool((units.back(near, far.data.dtype) == far.data).all())
    ([[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]], True)
    """

    offset: float | int = 0
    factor: float = 1.0

    @classmethod
    def of(cls, image: Image) -> Units:
        """Return units in which an image is near one: its own, where that is so; integers of 16 bits always are."""
        return cls.of_arrays([plane.view(image.data) for plane in image.planes(2)])

    @classmethod
    def of_arrays(cls, arrays: Sequence[Array]) -> Units:
        """Return the same for arrays of one dtype."""
        dtype = arrays[0].dtype
        if dtype.kind not in "uif" or (dtype.kind != "f" and dtype.itemsize < 4):
            return cls()
        known = [end for values in arrays for end in _ends(np.asarray(values))]
        if not known:
            return cls()
        low, high = min(known), max(known)
        offset = low if min(abs(low), abs(high)) > FAR_OFF_ZERO * (float(high) - float(low)) > 0 else 0
        largest = max(abs(float(low - offset)), abs(float(high - offset)))
        if not largest or SMALLEST <= largest <= LARGEST:
            return cls(offset)
        return cls(offset, float(2.0 ** np.clip(np.frexp(largest)[1], -STEEPEST, STEEPEST)))

    @property
    def own(self) -> bool:
        """Whether they are those of the image."""
        return self.offset == 0 and self.factor == 1

    @property
    def inverse(self) -> Units:
        """The way back as units."""
        return Units(-float(self.offset) / self.factor, 1 / self.factor)

    def into(self, image: Image) -> Image:
        """Return an image in these units, in float32; the same where they are its own."""
        return image if self.own else replace(image, data=self.values(image.data))

    def values(self, array: Array) -> Array:
        """Return an array in these units, in float32."""
        if self.own:
            return np.asarray(array, np.float32)
        away = array - array.dtype.type(self.offset) if self.offset else array
        return (np.asarray(away, np.float64) / self.factor).astype(np.float32)

    def back(self, values: Array, dtype: np.dtype) -> Array:
        """Return values in these units in image units, as numbers of `dtype`."""
        if self.own:
            return cast(values, dtype)
        wide = np.asarray(values, np.float64) * self.factor
        if dtype.kind in "ui":
            if not self.offset:
                return cast(wide, dtype)
            ends = (int(end) - int(self.offset) for end in (np.iinfo(dtype).min, np.iinfo(dtype).max))
            low, high = (max(-(2**62), min(end, 2**62)) for end in ends)  # an image off zero is not as wide
            return np.clip(np.rint(wide), low, high).astype(np.int64).astype(dtype) + dtype.type(self.offset)
        wide, most = wide + float(self.offset), float(np.finfo(dtype).max)
        return np.where(np.isinf(wide), wide, np.clip(wide, -most, most)).astype(dtype)


def _ends(values: Array) -> tuple[float | int, ...]:
    """The lowest and the highest finite value, or nothing."""
    if values.dtype.kind != "f":
        return int(values.min()), int(values.max())
    low, high = np.nanmin(values, initial=np.inf), np.nanmax(values, initial=-np.inf)
    if np.isfinite(low) and np.isfinite(high):
        return float(low), float(high)
    finite = values[np.isfinite(values)]
    return (float(finite.min()), float(finite.max())) if finite.size else ()
