"""A photograph: what a camera makes of a scene, photons on a mosaic, smoothed, sharpened, made smaller, compressed."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from PIL import Image as Pillow
from scipy import ndimage

from hush.core.color import opponent
from hush.core.image import Array
from hush.datasets._camera_finish import Finish
from hush.datasets._camera_sensor import Sensor

PEAK = 255.0
FINER, LENS = 5.0, (0.15, 0.45)  # times its detail that a camera's pixels may be, and blur of the lens, of a detail
SMALLER = 0.3  # share of the photographs that were made smaller so far that nothing is left of the mosaic
RESIZED, SHRUNK, GROWN = 0.3, (0.5, 0.95), (1.05, 1.6)  # share that is resized after the finish, and by what
QUALITY = (60, 98)  # of the compression
STORED, TWICE = 0.85, 0.4  # share that is compressed, and of these a second time, of another cut
SUBSAMPLINGS = (0, 1, 2, 2)  # of colours: none, across, across and down
COLOUR_BLOCK = 16  # pixels of JPEG's blocks of colours
ONE_LEVEL = 1 / PEAK  # level of a photograph's noise for a loss


@dataclass(frozen=True)
class Storage:
    """How a picture becomes a file.

    Attributes
    ----------
    resize : float
        By how much it is made larger, or smaller.
    jpegs : tuple of (quality, subsampling, down, across)
        Of every compression, and by how many pixels its blocks lie off the picture's corner.
    """

    resize: float
    jpegs: tuple[tuple[int, int, int, int], ...]

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Self:
        """Draw any."""
        shrinks, resized = rng.random() < 0.5, rng.random() < RESIZED
        resize = rng.uniform(*(SHRUNK if shrinks else GROWN)) if resized else 1.0
        times = int(rng.random() < STORED) * (1 + int(rng.random() < TWICE))
        jpegs = []
        for last in range(times):
            quality = int(rng.integers(QUALITY[0], QUALITY[1] + 1)) if last == times - 1 else int(rng.integers(85, 99))
            down, across = (
                (int(one) for one in rng.integers(COLOUR_BLOCK, size=2)) if times > 1 and not last else (0, 0)
            )
            jpegs.append((quality, int(rng.choice(SUBSAMPLINGS)), down, across))
        return cls(float(resize), tuple(jpegs))

    def before(self, shape: tuple[int, ...]) -> tuple[int, int]:
        """Return how large (Y, X) are that become of this shape."""
        high, wide = (int(np.ceil(size / min(1.0, self.resize) / 2)) * 2 for size in shape[-2:])
        return high, wide

    def of(self, image: Array) -> Array:
        """Store (3, Y, X), 0 to 1, at its own size: -0.5 to 0.5, in steps of 8 bits."""
        return replace(self, resize=1.0)(image, image.shape)

    def __call__(self, image: Array, shape: tuple[int, ...]) -> Array:
        """Resize (3, Y, X), 0 to 1, to this shape, and compress it: -0.5 to 0.5, in steps of 8 bits."""
        if self.resize < 1:
            image = ndimage.gaussian_filter(image, (0, *(0.35 / self.resize,) * 2), truncate=3)
        if self.resize != 1 or image.shape[-2:] != tuple(shape[-2:]):
            image = scaled(image, self.resize, shape)
        pixels = np.rint(PEAK * np.moveaxis(image, 0, -1).clip(0, 1)).astype(np.uint8)
        for jpeg in self.jpegs:
            pixels = _compressed(pixels, *jpeg)
        return np.moveaxis(pixels.astype(np.float32), -1, 0) / np.float32(PEAK) - np.float32(0.5)


def photograph(
    clean: Array, rng: np.random.Generator, photons: float | None = None, shots: int = 0
) -> tuple[Array, Array, Array]:
    """Take a colour scene as a camera stores it, once with its noise and once without.

    Photons and read noise on a Bayer mosaic, interpolated, balanced, on a tone curve, smoothed and sharpened, perhaps
    resized, compressed: noise is shared by neighbours and colours, depends on brightness, and is gone where a camera
    smoothed it or the compression was coarse. No number says that. What a network has to come to is the file of the
    scene without noise: a clean photograph is left as it is. A camera's pixels are finer than the scene's detail; in a
    picture that was made smaller, as most were that are not a camera's own files, nothing is left of the mosaic, and
    detail is as fine as pixels are.

    Parameters
    ----------
    clean : array, shape (3, Y, X)
        -0.5 to 0.5.
    rng : Generator
    photons : float, optional
        In white; infinite: no noise at all; None: any.
    shots : int
        Of so many the mean is taken for what there is without noise; 0: the scene itself goes through the camera.

    Returns
    -------
    noisy, target : array of float32, shape (3, Y, X)
        -0.5 to 0.5, in steps of 8 bits.
    level : array, shape (3, 1, 1)
        Standard deviation of their difference, at least that of a step.
    """
    scene = np.clip(np.asarray(clean, np.float32) + np.float32(0.5), 0, 1)
    shape, smaller = scene.shape, rng.random() < SMALLER
    finer, lens = float(np.exp(rng.uniform(0, np.log(FINER)))), rng.uniform(*LENS)
    quiet = photons is not None and not np.isfinite(photons)
    sensor = Sensor.draw(rng, None if quiet else photons, smaller)
    finish, storage = Finish.draw(rng), Storage.draw(rng)
    scene = _extended(scene, storage.before(shape))
    if not smaller:
        scene = ndimage.gaussian_filter(scaled(scene, finer, scene.shape), (0, *(lens * finer,) * 2), truncate=3)
    light = sensor.light(scene)
    plain = sensor.developed(sensor.seen(light))
    shot = plain if quiet else sensor.developed(sensor.counted(light, rng))
    sigma = opponent(shot - plain).std((1, 2))  # what a camera knows by its setting
    noisy = storage(finish(shot, sigma), shape)
    if shots and not quiet:
        every = [finish(sensor.developed(sensor.counted(light, rng)), sigma) for _ in range(shots)]
        target = storage(np.mean(every, 0), shape)
    else:
        target = storage(finish(plain, sigma), shape)
    return noisy, target, np.maximum((noisy - target).std((1, 2), keepdims=True), ONE_LEVEL)


def scaled(image: Array, times: float, shape: tuple[int, ...]) -> Array:
    """Enlarge (C, Y, X) about its middle, interpolated, and return the middle of this shape."""
    for axis in (1, 2):
        size, wanted = image.shape[axis], shape[axis]
        where = ((np.arange(wanted) - (wanted - 1) / 2) / times + (size - 1) / 2).clip(0, size - 1)
        before = where.astype(int)
        part = (where - before).astype(np.float32).reshape(-1, *(1,) * (2 - axis))
        after = np.minimum(before + 1, size - 1)
        image = image.take(before, axis) * (1 - part) + image.take(after, axis) * part
    return image


def _extended(scene: Array, shape: tuple[int, int]) -> Array:
    """A scene (C, Y, X), mirrored at its edges where it has to be larger."""
    missing = [max(0, wanted - size) for wanted, size in zip(shape, scene.shape[1:], strict=True)]
    if not any(missing):
        return scene
    return np.pad(scene, [(0, 0), *((less // 2, less - less // 2) for less in missing)], mode="symmetric")


def _compressed(pixels: Array, quality: int, subsampling: int, down: int, across: int) -> Array:
    """A JPEG of (Y, X, 3) of 8 bits, read again; its blocks begin so many pixels before the corner."""
    high, wide = pixels.shape[:2]
    if down or across:
        pixels = np.pad(pixels, ((down, 0), (across, 0), (0, 0)), mode="edge")
    file = io.BytesIO()
    Pillow.fromarray(pixels).save(file, "JPEG", quality=quality, subsampling=subsampling)
    return np.asarray(Pillow.open(file))[down : down + high, across : across + wide]
