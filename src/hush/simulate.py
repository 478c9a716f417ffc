"""Images made by rule, and noise put onto images."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from hush.errors import HushError
from hush.image import Image, cast
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
