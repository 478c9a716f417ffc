"""Images made by rule, and noise put onto images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hush.core.errors import HushError
from hush.core.image import Image, cast
from hush.noise import Noise, NoiseModel


def epithelium(size: int = 512, seed: int = 0) -> NDArray[np.float32]:
    """Make membrane-labelled cells, as in section 4.2 of the Noise2Void paper (Krull et al., CVPR 2019).

    Edges of a Voronoi diagram, uneven in brightness and blurred, on a background of 10. Of 512 x 512 pixels all
    but half a percent are below about 250; the few spots where bright membranes meet reach about 360.

    Parameters
    ----------
    size : int
        Side of the square image, at least 16.
    seed : int

    Returns
    -------
    array of float32, shape (size, size)

    Examples
    --------
    >>> epithelium(64).shape, float(epithelium(64).min().round())
    ((64, 64), 10.0)
    """
    if size < 16:
        raise HushError(f"an epithelium of size {size} holds no cells: give 16 or more")
    from scipy.spatial import cKDTree  # slow to import, and for this alone

    rng = np.random.default_rng(seed)
    points = rng.uniform(0, size, (max(4, size * size // 900), 2))
    distance, _ = cKDTree(points).query(np.moveaxis(np.mgrid[:size, :size], 0, -1), k=2)
    membrane = np.exp(-(((distance[..., 1] - distance[..., 0]) / 2) ** 2))
    # a field no larger than its own smoothing is one number, which may be below zero: no membrane at all would be left
    side = size if size >= 64 else 128
    middle = slice((side - size) // 2, (side - size) // 2 + size)
    membrane *= ndimage.gaussian_filter(rng.standard_normal((side, side)), 20)[middle, middle] * 20 + 1
    picture: NDArray[np.float32] = (10 + 200 * ndimage.gaussian_filter(membrane.clip(0), 1)).astype(np.float32)
    return picture


def random_field(size: int = 256, seed: int = 0, length: float = 3.0) -> NDArray[np.float32]:
    """Make a Gaussian random field: white noise blurred by a Gaussian, of mean 128 and standard deviation 40.

    Every pixel's distribution given the others is known to be normal, which makes it the test of what a method
    says about its uncertainty.

    Parameters
    ----------
    size : int
        Side, pixels.
    seed : int
    length : float
        Standard deviation of the blur, pixels: the covariance of two pixels at distance d is
        1600 exp(-d^2 / (4 length^2)).

    Examples
    --------
    >>> field = random_field(256, seed=1)
    >>> bool(30 < field.std() < 50)
    True
    """
    white = np.random.default_rng(seed).standard_normal((size, size))
    smooth = ndimage.gaussian_filter(white, length, mode="wrap")
    # the blur leaves 1 / (4 pi length^2) of the variance
    field: NDArray[np.float32] = (128 + 40 * smooth * np.sqrt(4 * np.pi) * length).astype(np.float32)
    return field


def add_noise(
    image: Image, noise: Noise | NoiseModel, *, seed: int = 0, peak: float | None = None, clip: bool = False
) -> Image:
    """Put noise onto an image.

    Parameters
    ----------
    image : Image
        The clean image. Colours (S) get their lost pixels together; other planes are drawn one by one.
    noise : Noise or NoiseModel
        From `hush.noise.parse`; ranges are drawn once an image.
    seed : int
        Of all random numbers: same seed, same bytes.
    peak : float, optional
        Amplitudes are multiplied by peak / 255; without it nothing is scaled.
    clip : bool
        Round and clip to the image's own dtype; otherwise the result is float32 and unclipped.

    Returns
    -------
    Image
        With what was drawn in ``meta["noise"]``. Opacity stays, NaN stays NaN.

    Examples
    --------
    >>> from hush.noise import parse
    >>> noisy = add_noise(Image(np.full((64, 64), 100, np.uint8), "YX"), parse("gaussian:sigma=0..50"), seed=3)
    >>> noisy.data.dtype, noisy.meta["noise"]["notation"]
    (dtype('float32'), 'gaussian:sigma=4.282458357181218')
    """
    if seed < 0:
        raise HushError(f"seed cannot be {seed}: give a whole number, 0 or more")
    if peak is not None and not 0 < peak < float("inf"):
        raise HushError(f"peak cannot be {peak:g}: give the value of white, more than 0")
    peak = 255.0 if peak is None else peak  # of 8 bits; where nobody says what white is, nothing is scaled
    rng = np.random.default_rng(seed)
    model = noise.scaled(peak / 255)
    drawn = model.draw(rng) if isinstance(model, Noise) else model
    data = np.array(image.data, image.data.dtype if clip else np.float32)
    for plane in image.planes(2):
        view = plane.view(data)
        clean = np.asarray(plane.view(image.data), np.float64)
        holes = ~np.isfinite(clean)
        noisy = drawn.sample(np.where(holes, 0, clean), rng)
        view[...] = cast(np.where(holes, clean, noisy).astype(np.float32), data.dtype)
    note = {"notation": str(drawn), "seed": seed, "peak": peak}
    return replace(image, data=data).with_meta(noise=note)


Array = NDArray[np.float64]
SMALLEST_SCENE = 32  # pixels a side
FULL_SCALE = 240.0  # what the brightest come close to


def fluorescence(size: int = 512, seed: int = 0) -> NDArray[np.float32]:
    """Make a picture of one to three kinds of labelled structure, sharp and out of focus, in parts of the field.

    What is there, how much of it, how bright and how blurred, is drawn from wide ranges, so that many pictures have
    little in common. The ground is 1 to 12; nothing is brighter than 252.

    Parameters
    ----------
    size : int
        Side of the square image, at least 32.
    seed : int

    Returns
    -------
    array of float32, shape (size, size)

    Examples
    --------
    >>> picture = fluorescence(64, seed=1)
    >>> picture.shape, bool(picture.min() >= 1)
    ((64, 64), True)
    """
    if size < SMALLEST_SCENE:
        raise HushError(f"a micrograph of size {size} holds no structure: give {SMALLEST_SCENE} or more")
    rng = np.random.default_rng(seed)
    kinds: list[Callable[[], Array]] = [
        lambda: _threads(size, rng.uniform(3e-4, 3e-3), rng.uniform(60, 300), rng.uniform(0.02, 0.15), rng),  # fibres
        lambda: _threads(size, rng.uniform(4e-3, 3e-2), rng.uniform(4, 25), rng.uniform(0.3, 1.0), rng),  # organelles
        lambda: _threads(size, rng.uniform(1e-3, 1e-2), 1.0, 0.0, rng),  # dots
        lambda: _nuclei(size, rng),
    ]
    picture = np.zeros((size, size))
    for kind in rng.permutation(len(kinds))[: rng.integers(1, 4)]:
        sharp = ndimage.gaussian_filter(kinds[kind](), rng.uniform(0.5, 2.0))
        far = ndimage.gaussian_filter(sharp, rng.uniform(4, 15))
        cells = 1 / (
            1 + np.exp(-rng.uniform(1, 5) * (_field(size, size / rng.uniform(6, 20), rng) + rng.uniform(-0.5, 1.5)))
        )
        made = (sharp + rng.uniform(0, 2) * far) * cells
        picture += rng.lognormal(0, 0.7) * made / max(float(np.percentile(made, 99)), 1e-9)
    picture = ndimage.gaussian_filter(picture, rng.uniform(0.4, 1.2))
    picture *= rng.uniform(0.3, 1.2) / max(float(np.percentile(picture, 99.7)), 1e-9)
    made = FULL_SCALE * np.tanh(picture) + rng.uniform(1, 12)  # a few bright spots leave the others light enough
    return np.asarray(made, np.float32)


def _field(size: int, length: float, rng: np.random.Generator) -> Array:
    """Smooth random numbers of mean 0 and deviation 1."""
    smooth = ndimage.gaussian_filter(rng.standard_normal((size, size)), length, mode="wrap")
    return np.asarray(smooth / max(float(smooth.std()), 1e-9))


def _threads(size: int, density: float, length: float, wander: float, rng: np.random.Generator) -> Array:
    """Lines that follow a common grain, each of a brightness and a length of its own: so many a pixel."""
    number = max(1, int(density * size**2))
    grain = rng.uniform(0, np.pi) + rng.uniform(0.2, 1.2) * _field(size, size / rng.uniform(4, 16), rng)
    place, turn = rng.uniform(0, size - 1, (number, 2)), rng.normal(0, wander, number)
    light, left = rng.lognormal(0, 0.7, number), rng.uniform(0.3, 1, number) * length
    made = np.zeros((size, size))
    for step in range(int(np.ceil(length))):
        kept = ((place >= 0) & (place < size - 1)).all(1) & (step <= left)
        place, turn, light, left = place[kept], turn[kept], light[kept], left[kept]
        y, x = np.floor(place).astype(int).T
        b, a = (place % 1).T
        for down, right, share in ((0, 0, (1 - b) * (1 - a)), (0, 1, (1 - b) * a), (1, 0, b * (1 - a)), (1, 1, b * a)):
            np.add.at(made, (y + down, x + right), light * share)
        turn = turn + rng.normal(0, wander / 4, len(turn))
        place = place + np.stack([np.sin(grain[y, x] + turn), np.cos(grain[y, x] + turn)], 1)
    return made


def _nuclei(size: int, rng: np.random.Generator) -> Array:
    """Bright ellipses with a texture and a soft edge."""
    radius = rng.uniform(8, 40)
    rows, columns = np.mgrid[:size, :size]
    made = np.zeros((size, size))
    for _ in range(max(1, rng.poisson(rng.uniform(0.1, 0.4) * size**2 / (np.pi * radius**2)))):
        (y, x), (ry, rx), angle = rng.uniform(0, size, 2), radius * rng.uniform(0.6, 1.3, 2), rng.uniform(0, np.pi)
        reach = int(max(ry, rx)) + 1
        near = tuple(slice(max(0, int(at) - reach), int(at) + reach + 1) for at in (y, x))
        down, right = rows[near] - y, columns[near] - x
        along, across = down * np.cos(angle) + right * np.sin(angle), right * np.cos(angle) - down * np.sin(angle)
        depth = (1 - np.hypot(along / ry, across / rx)) * min(ry, rx)  # pixels from the edge, roughly
        made[near] += rng.lognormal(0, 0.4) * (depth / rng.uniform(1, 4)).clip(0, 1)
    return np.asarray(made * np.exp(rng.uniform(0.1, 0.5) * _field(size, rng.uniform(1, 5), rng)))
