"""Missing pixels: NaN and infinity, filled so that a method can work around them."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import ndimage

Array = Any


def fill(array: Array) -> tuple[Array, Array | None]:
    """Fill NaN and infinity from the nearest measured pixel of the same channel.

    Returns
    -------
    filled : array
        `array` itself when everything is finite.
    valid : array of bool or None, shape (1, ...)
        Where all channels were finite; None when everything is.

    Examples
    --------
    >>> fill(np.array([[1.0, np.nan, 3.0]], np.float32))[0]
    array([[1., 1., 3.]], dtype=float32)
    """
    if array.dtype.kind != "f":
        return array, None
    finite = np.isfinite(array)
    if finite.all():
        return array, None
    filled = array.copy()
    for channel, good in zip(filled, finite, strict=True):
        if good.any():
            nearest = ndimage.distance_transform_edt(~good, return_distances=False, return_indices=True)
            channel[...] = channel[tuple(nearest)]
        else:
            channel[...] = 0
    return filled, finite.all(0, keepdims=True)
