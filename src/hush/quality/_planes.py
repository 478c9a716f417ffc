"""An image as planes of samples: what every figure of this package is measured on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hush.core.errors import HushError
from hush.core.image import Array, Image, plain


def planes_of(image: Image | Array) -> NDArray[np.float64]:
    """Return (planes, samples, Y, X): samples are colours without opacity, planes everything else.

    Parameters
    ----------
    image : Image or array
        An array is planes of (..., Y, X), each of one sample.

    Raises
    ------
    HushError
        When an array has no Y and X.

    Examples
    --------
    >>> planes_of(Image(np.zeros((2, 8, 9, 4)), "TYXS")).shape, planes_of(np.zeros((2, 8, 9))).shape
    ((2, 3, 8, 9), (2, 1, 8, 9))
    """
    if isinstance(image, Image):
        return np.stack([np.asarray(plane.view(image.data), np.float64) for plane in image.planes(2)])
    array = np.asarray(plain(image), np.float64)
    if array.ndim < 2 or not array.size:
        raise HushError(f"an array of shape {array.shape} is not an image: give (Y, X), or planes of (..., Y, X)")
    return array.reshape(-1, 1, *array.shape[-2:])


def pair_of(image: Image | Array, other: Image | Array) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return both as planes of samples, after checking that they can be compared.

    Raises
    ------
    HushError
        When their shapes differ.
    """
    a, b = planes_of(image), planes_of(other)
    if a.shape != b.shape:
        first, second = (tuple(np.shape(x.data if isinstance(x, Image) else x)) for x in (image, other))
        raise HushError(f"images of shapes {first} and {second} cannot be compared: crop them alike")
    return a, b
