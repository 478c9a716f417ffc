"""Sharpening: a step of its own on what a method gives, plane by plane."""

from __future__ import annotations

import numpy as np

from hush.core import tiling
from hush.core.image import Array, Image, cast
from hush.core.missing import fill
from hush.estimation.no_data import no_data
from hush.estimation.outliers import outliers

SHARPEN_TILE = 1024  # side of what is sharpened at once


def sharpened(values: Array) -> Array:
    """Return values (C, Y, X) and their difference to their four neighbours, added: floats, unclipped.

    ::

        s = x * [[0, -1, 0], [-1, 5, -1], [0, -1, 0]]

    The kernel's sum is 1: the mean stays, and what is constant stays as it is. Beyond an edge its pixels are repeated.
    White noise that is left is 5.4 times as strong afterwards, by the root of the sum of the kernel's squares.

    Parameters
    ----------
    values : array of float, shape (C, Y, X)

    References
    ----------
    * N. Bernier and A. Lucio, Image denoising using autoencoders, term project, Concordia University 2021.

    Examples
    --------
    >>> sharpened(np.array([[[0.0, 0.0, 4.0, 4.0]]]))
    array([[[ 0., -4.,  8.,  4.]]])
    """
    around = np.pad(values, ((0, 0), (1, 1), (1, 1)), "edge")
    made = np.array(values)
    for neighbour in (around[:, :-2, 1:-1], around[:, 2:, 1:-1], around[:, 1:-1, :-2], around[:, 1:-1, 2:]):
        made += values - neighbour  # differences: of equal values they are zero, without rounding
    return made


def sharpen(clean: Image, noisy: Image) -> None:
    """Sharpen a denoised image in place, in its own dtype: whole numbers are rounded, and clipped to its range.

    Opacity stays. So do missing pixels, areas without data, and hot pixels that the method left as they were:
    their neighbours are sharpened as if they had the value of the nearest pixel that was measured.

    Parameters
    ----------
    clean : Image
        Its data is written to.
    noisy : Image
        What it was made from, of the same axes: shows what was set aside.
    """
    for plane in clean.planes(2):
        target, before = plane.view(clean.data), plane.view(noisy.data)
        left = np.stack([_left(*pair) for pair in zip(np.asarray(target), np.asarray(before), strict=True)])
        source = _filled(np.array(target), left)
        tiles = tiling.plan(target.shape[1:], (SHARPEN_TILE,) * 2, 1, 1)

        def function(piece: Array, region: tiling.Region, target: Array = target, left: Array = left) -> Array:
            at = (slice(None), *region)
            return np.where(left[at], target[at], cast(sharpened(_as_floats(piece)), target.dtype))

        tiling.run(function, source, tiles, target)


def _left(clean: Array, noisy: Array) -> Array:
    """Which pixels of (Y, X) stay: missing ones, and such that were set aside and are as they were."""
    left = ~np.isfinite(clean) | ~np.isfinite(noisy)
    for apart in (outliers(noisy), no_data(noisy)):
        if apart is not None:
            left |= apart & (clean == noisy)
    return left


def _filled(values: Array, left: Array) -> Array:
    """Values (C, Y, X) with those of the nearest pixel where one stays as it is."""
    if not left.any():
        return values
    return fill(np.where(left, np.nan, _as_floats(values)))[0]


def _as_floats(values: Array) -> Array:
    """Values as floats that hold them: float32 holds whole numbers of 16 bits."""
    return values.astype(np.float64 if values.dtype.itemsize > 2 and values.dtype != np.float32 else np.float32)
