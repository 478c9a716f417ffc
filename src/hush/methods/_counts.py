"""Counts of single photons: sums over squares where they are rare, and whole numbers that keep sums."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import ndimage

from hush.core.image import Array, Image
from hush.estimation.report import ChannelNoise, NoiseReport

# photons per pixel below which the shipped networks lose light, and per square that they need
RARE, PHOTONS_NEEDED = 0.1, 0.2
EVEN_STEPS = 0.7548776662466927, 0.5698402909980532  # of the most even sequence in two dimensions


def side_of_squares(image: Image, report: NoiseReport) -> int:
    """Return the side of squares whose sums are denoised; 1 where photons are many, or not counted."""
    if not all(noise.photons for noise in report.channels):
        return 1
    photons = float(np.nanmean(image.data)) / max(noise.gain for noise in report.channels)
    return int(np.ceil(np.sqrt(PHOTONS_NEEDED / photons))) if 0 < photons < RARE else 1


def summed(image: Image, side: int) -> Image:
    """Return sums over squares of Y and X; what the last squares lack is mirrored in.

    The sum of Poisson variables is one.

    Examples
    --------
    >>> summed(Image(np.ones((4, 6)), "YX"), 2).data.tolist()
    [[4.0, 4.0, 4.0], [4.0, 4.0, 4.0]]
    """
    data = np.asarray(image.data, np.float32)
    for axis in "YX":
        at = image.axes.index(axis)
        lacking = -data.shape[at] % side
        data = np.pad(data, [(0, lacking if k == at else 0) for k in range(data.ndim)], "symmetric")
        shape = (*data.shape[:at], data.shape[at] // side, side, *data.shape[at + 1 :])
        data = data.reshape(shape).sum(at + 1)
    return replace(image, data=data)


def of_squares(report: NoiseReport, side: int) -> NoiseReport:
    """Return the noise of such sums."""

    def one(noise: ChannelNoise) -> ChannelNoise:
        points = tuple((mean * side**2, variance * side**2, weight) for mean, variance, weight in noise.points)
        low, high = noise.interval["level"]
        interval = noise.interval | {"level": (low * side, high * side)}
        return replace(noise, middle=noise.middle * side**2, points=points, interval=interval, binary=False)

    return replace(report, channels=tuple(one(noise) for noise in report.channels))


def spread_out(sums: Image, side: int, shape: tuple[int, ...]) -> Array:
    """Return the pixels of which such sums are, as even as they can be, in an array of this shape."""
    factors = [side if axis in "YX" else 1 for axis in sums.axes]
    wide = ndimage.zoom(np.asarray(sums.data, np.float32), factors, order=1, mode="nearest", grid_mode=True)
    return wide[tuple(slice(0, size) for size in shape)] / side**2


def whole_numbers(values: Array, axes: str, gain: float) -> Array:
    """Return counts in whole numbers whose sums over small areas are those of the values: an ordered dither.

    Rounding would make all light of less than half a photon per pixel dark.

    Examples
    --------
    >>> round(float(whole_numbers(np.full((99, 99), 0.3), "YX", 1.0).mean()), 2)
    0.3
    """
    y, x = (np.arange(size) * step for size, step in zip(_plane(values, axes), EVEN_STEPS, strict=True))
    shape = [size if axis in "YX" else 1 for size, axis in zip(values.shape, axes, strict=True)]
    limits = (y[:, None] + x) % 1 if axes.index("Y") < axes.index("X") else (x[:, None] + y) % 1
    return gain * np.floor(values / gain + limits.reshape(shape))


def _plane(values: Array, axes: str) -> tuple[int, int]:
    return values.shape[axes.index("Y")], values.shape[axes.index("X")]
