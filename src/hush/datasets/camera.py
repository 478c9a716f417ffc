"""What a camera makes of a scene, photons on a mosaic, smoothed and compressed; and how its pictures are known."""

from __future__ import annotations

import io
from functools import lru_cache

import numpy as np
from PIL import Image as Pillow
from scipy import ndimage

from hush.core.color import from_opponent, opponent
from hush.core.image import Array

PEAK = 255.0
GAMMA = 2.2  # of the scale that files have
PHOTON_RANGE, READ_PHOTONS = (50, 30000), 5.0  # in white, and the most electrons of read noise
RED, BLUE = (1.4, 2.4), (1.2, 2.2)  # white balance: times green
QUALITY = (70, 99)  # of the compression
FINER = 2.5  # times its detail that a camera's pixels may be
SMALLER = 0.4  # share of the photographs that were made smaller afterwards
LUMA_BLUR, CHROMA = 1.2, 3.0  # pixels over which brightness and colours may be smoothed
SHARPENING = 0.8  # of what a pixel's surroundings lack that may be added
ONE_LEVEL = 1 / PEAK  # level of a photograph's noise for a loss


def photograph(clean: Array, rng: np.random.Generator, photons: float | None = None) -> tuple[Array, Array, Array]:
    """Take a colour scene as a camera stores it, once with its noise and once without.

    Photons and read noise on a Bayer mosaic, interpolated, smoothed and sharpened, on the scale that eyes like,
    compressed: noise is shared by neighbours and colours, depends on brightness, and is gone where the compression was
    coarse. No number says that. What a network has to come to is the JPEG of the scene without noise: a clean
    photograph is left as it is. A camera's pixels are finer than the scene's detail; in a picture that was made
    smaller, as most were that are not a camera's own files, nothing is left of the mosaic, and detail is as fine as
    pixels are.

    Parameters
    ----------
    clean : array, shape (3, Y, X)
        -0.5 to 0.5.
    rng : Generator
    photons : float, optional
        In white; None: any.

    Returns
    -------
    noisy, target : array of float32, shape (3, Y, X)
        -0.5 to 0.5, in steps of 8 bits.
    level : array, shape (3, 1, 1)
        Standard deviation of their difference, at least that of a step.
    """
    scene = np.clip(np.asarray(clean, np.float32) + np.float32(0.5), 0, 1)
    smaller, finer = rng.random() < SMALLER, rng.uniform(1, FINER)
    scene = scene if smaller else _finer(scene, finer)
    count = np.exp(rng.uniform(*np.log(PHOTON_RANGE))) if photons is None else photons
    read = rng.uniform(0, READ_PHOTONS)
    balance = np.array([rng.uniform(*RED), 1.0, rng.uniform(*BLUE)], np.float32).reshape(3, 1, 1)
    smooth = [rng.uniform(0, most) * (rng.random() < 0.6) for most in (LUMA_BLUR, CHROMA)]
    share, sharp = rng.uniform(0.5, 1), rng.uniform(0, SHARPENING) * (rng.random() < 0.5)
    light = scene**GAMMA / balance
    noise = np.float32(read) * rng.standard_normal(light.shape, np.float32)
    counts = (rng.poisson(light * count).astype(np.float32) + noise) / np.float32(count)
    quality, subsampling = int(rng.integers(*QUALITY)), int(rng.choice([0, 2]))
    noisy, target = (
        _compressed(_finished(_developed(one, balance, not smaller), smooth, share, sharp), quality, subsampling)
        for one in (counts, light)
    )
    return noisy, target, np.maximum((noisy - target).std((1, 2), keepdims=True), ONE_LEVEL)


def _finer(scene: Array, times: float) -> Array:
    """The middle of (C, Y, X), enlarged to the same size."""
    for axis in (1, 2):
        size = scene.shape[axis]
        where = (np.arange(size) - size / 2) / times + size / 2
        before = where.astype(int)
        part = (where - before).astype(np.float32).reshape(-1, *(1,) * (2 - axis))
        after = np.minimum(before + 1, size - 1)
        scene = scene.take(before, axis) * (1 - part) + scene.take(after, axis) * part
    return scene


def _spread(planes: Array) -> Array:
    """Weighted sums over 3 x 3 pixels: what linear interpolation of a mosaic takes."""
    for axis in (1, 2):
        planes = ndimage.convolve1d(planes, [0.5, 1.0, 0.5], axis=axis, mode="mirror")
    return planes


@lru_cache(maxsize=8)
def _mosaic(high: int, wide: int) -> tuple[Array, Array]:
    """Which colour (3, Y, X) every pixel measures, and the weights of what lies around."""
    colour = np.zeros((high, wide), int)
    colour[::2, 1::2] = colour[1::2, ::2] = 1
    colour[1::2, 1::2] = 2
    known = (colour == np.arange(3).reshape(3, 1, 1)).astype(np.float32)
    return known, _spread(known)


def _developed(light: Array, balance: Array, mosaic: bool) -> Array:
    """From linear light (3, Y, X) to the scale of files, 0 to 1; on a mosaic every pixel has measured one colour."""
    if mosaic:
        known, weights = _mosaic(*light.shape[1:])
        light = _spread(light * known) / weights
    full: Array = np.clip(light * balance, 0, 1) ** np.float32(1 / GAMMA)
    return full


def _finished(image: Array, smooth: list[float], share: float, sharp: float) -> Array:
    """What cameras do to (3, Y, X): smooth brightness a little and colours more, and sharpen."""
    planes = opponent(image)
    for plane, length in zip(planes, (smooth[0], smooth[1], smooth[1]), strict=True):
        if length > 0:
            plane += np.float32(share) * (ndimage.gaussian_filter(plane, length) - plane)
    if sharp > 0:
        planes[0] += np.float32(sharp) * (planes[0] - ndimage.gaussian_filter(planes[0], 1.0))
    return np.clip(from_opponent(planes), 0, 1)


def _compressed(image: Array, quality: int, subsampling: int) -> Array:
    """A JPEG of (3, Y, X), 0 to 1, read again: -0.5 to 0.5."""
    file = io.BytesIO()
    pixels = np.rint(PEAK * np.moveaxis(image, 0, -1)).astype(np.uint8)
    Pillow.fromarray(pixels).save(file, "JPEG", quality=quality, subsampling=subsampling)
    return np.moveaxis(np.asarray(Pillow.open(file), np.float32), -1, 0) / np.float32(PEAK) - np.float32(0.5)
