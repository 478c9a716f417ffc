"""Means of square blocks of pixels."""

from __future__ import annotations

from hush.core.image import Array


def block_means(values: Array, side: int) -> Array:
    """Return means of blocks of `side` x `side` pixels, or of as many as there are; what fills no block is left out.

    Parameters
    ----------
    values : array, shape (..., Y, X)
    side : int

    Returns
    -------
    array, shape (..., Y // side, X // side)

    Examples
    --------
    >>> import numpy as np
    >>> block_means(np.arange(10.0).reshape(2, 5), 2).tolist()
    [[3.0, 5.0]]
    """
    high, wide = (min(side, size) for size in values.shape[-2:])
    rows, columns = values.shape[-2] // high, values.shape[-1] // wide
    whole = values[..., : rows * high, : columns * wide]
    means: Array = whole.reshape(*whole.shape[:-2], rows, high, columns, wide).mean((-3, -1))
    return means
