"""How the pictures of a camera are known, whose noise its smoothing and JPEG have changed."""

from __future__ import annotations

import numpy as np

from hush.core.color import opponent
from hush.core.image import Array

JPEG_BLOCKS = 16  # side of the blocks in which a picture is looked at
OWN_NOISE = (0.75, 1.2)  # what is finest in colours over that in brightness, where noise is of each colour by itself


def eight_bits(values: Array) -> bool:
    """Whether these are the values of a photograph's file, 0 to 255."""
    return bool(values.min() >= 0 and 1 < values.max() <= 255 and (values == np.rint(values)).all())


def of_a_camera(values: Array) -> bool:
    """Whether what is finest in a picture (3, Y, X) is in brightness and colours as a camera leaves it.

    Noise of each colour by itself is as strong in the differences of colours as in their mean. A camera has measured
    one colour a pixel, smooths colours, multiplies some, and JPEG keeps little of them. No camera leaves one out.
    """
    if np.ptp(values, axis=(1, 2)).min() == 0:
        return False
    planes = opponent(values)
    fine = np.diff(np.diff(planes, axis=1), axis=2)
    luma, *chroma = (np.quantile(_blocks(plane**2), 0.25) for plane in fine)
    return not OWN_NOISE[0] ** 2 * luma <= max(chroma) <= OWN_NOISE[1] ** 2 * luma


def _blocks(square: Array) -> Array:
    """Means of (Y, X) over blocks; of a picture that is smaller than one, its mean."""
    high, wide = (size // JPEG_BLOCKS for size in square.shape)
    if not high * wide:
        return square.mean()
    means: Array = (
        square[: high * JPEG_BLOCKS, : wide * JPEG_BLOCKS].reshape(high, JPEG_BLOCKS, wide, JPEG_BLOCKS).mean((1, 3))
    )
    return means
