"""Means of square blocks of pixels."""

from __future__ import annotations

import numpy as np

from hush.core.image import Array


def block_means(values: Array, side: int) -> Array:
    """Return means of blocks of `side` x `side` pixels; rows and columns that fill no block are left out.

    Parameters
    ----------
    values : array, shape (..., Y, X)
    side : int

    Returns
    -------
    array, shape (..., Y // side, X // side), float32

    Examples
    --------
    >>> block_means(np.arange(10.0).reshape(2, 5), 2).tolist()
    [[3.0, 5.0]]
    """
    high, wide = (size // side for size in values.shape[-2:])
    whole = np.asarray(values[..., : high * side, : wide * side], np.float32)
    means: Array = whole.reshape(*whole.shape[:-2], high, side, wide, side).mean((-3, -1))
    return means
