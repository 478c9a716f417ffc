"""What a camera does to a picture before it is stored: it smooths noise, sharpens, and raises contrast."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy import ndimage

from hush.core.color import from_opponent, opponent
from hush.core.image import Array

LUMA_WAYS = ("none", "blur", "blur", "guided", "guided", "bands")  # how brightness is smoothed
CHROMA_WAYS = ("none", "blur", "blur", "blur", "guided", "bands")  # and colours
LUMA_BLUR, CHROMA_BLUR = (0.4, 1.6), (1.0, 16.0)  # pixels
RADII = (1, 4)  # of the square in which an edge is told from noise
LUMA_STRENGTH, CHROMA_STRENGTH = (0.5, 4.0), (1.0, 6.0)  # deviations of the noise that are smoothed away
UNSMOOTHED = 0.6  # the most of a picture that is left as it was
BANDS = (0.8, 1.6, 3.2)  # pixels by which the bands are taken apart whose small values are taken for noise
SHARPEN, SHARPEN_LENGTH, SHARPENED = (0.1, 1.2), (0.6, 1.6), 0.5  # of what surroundings lack; pixels; share
LOCAL, LOCAL_LENGTH, LOCALLY = (0.1, 0.4), (6.0, 16.0), 0.2  # the same of local contrast
LEAST = 1 / 2048  # level of the noise that a camera expects at least


@dataclass(frozen=True)
class Smoothing:
    """How brightness, or a difference of colours, is smoothed.

    Attributes
    ----------
    way : {"none", "blur", "guided", "bands"}
    length : float
        Pixels of a blur.
    radius : int
        Of the squares of "guided".
    strength : float
        Deviations of the noise that are smoothed away.
    share : float
        Of the result; the rest is the picture as it was.
    """

    way: str
    length: float
    radius: int
    strength: float
    share: float

    @classmethod
    def draw(
        cls,
        rng: np.random.Generator,
        ways: Sequence[str],
        lengths: tuple[float, float],
        strengths: tuple[float, float],
    ) -> Self:
        """Draw one of some ways."""
        return cls(
            way=str(rng.choice(ways)),
            length=float(np.exp(rng.uniform(*np.log(lengths)))),
            radius=int(rng.integers(RADII[0], RADII[1] + 1)),
            strength=rng.uniform(*strengths),
            share=1 - UNSMOOTHED * rng.random() ** 2,
        )

    def __call__(self, plane: Array, sigma: float) -> Array:
        """Smooth (Y, X) with noise of about so much."""
        limit = self.strength * max(sigma, LEAST)
        match self.way:
            case "blur":
                smooth = ndimage.gaussian_filter(plane, self.length, truncate=3)
            case "guided":
                smooth = _guided(plane, self.radius, limit**2)
            case "bands":
                smooth = _banded(plane, limit)
            case _:
                return plane
        mixed: Array = plane + np.float32(self.share) * (smooth - plane)
        return mixed


@dataclass(frozen=True)
class Finish:
    """What one camera does to its pictures.

    Attributes
    ----------
    luma, chroma : Smoothing
    sharpen, sharpen_length : float
        Share of what a pixel's surroundings lack that is added to its brightness; their size in pixels.
    contrast, contrast_length : float
        The same of a wider surrounding.
    """

    luma: Smoothing
    chroma: Smoothing
    sharpen: float
    sharpen_length: float
    contrast: float
    contrast_length: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Self:
        """Draw any."""
        luma = Smoothing.draw(rng, LUMA_WAYS, LUMA_BLUR, LUMA_STRENGTH)
        chroma = Smoothing.draw(rng, CHROMA_WAYS, CHROMA_BLUR, CHROMA_STRENGTH)
        sharpen = rng.uniform(*SHARPEN) * (rng.random() < SHARPENED)
        contrast = rng.uniform(*LOCAL) * (rng.random() < LOCALLY)
        return cls(luma, chroma, sharpen, rng.uniform(*SHARPEN_LENGTH), contrast, rng.uniform(*LOCAL_LENGTH))

    def __call__(self, image: Array, sigma: Array) -> Array:
        """Finish (3, Y, X), 0 to 1, whose opponent planes have noise of these levels, (3,)."""
        planes = opponent(image)
        for number, (plane, level) in enumerate(zip(planes, sigma, strict=True)):
            planes[number] = (self.chroma if number else self.luma)(plane, float(level))
        for share, length in ((self.contrast, self.contrast_length), (self.sharpen, self.sharpen_length)):
            if share > 0:
                planes[0] += np.float32(share) * (planes[0] - ndimage.gaussian_filter(planes[0], length, truncate=3))
        return np.clip(from_opponent(planes), 0, 1)


def _guided(plane: Array, radius: int, variance: float) -> Array:
    """The guided filter by the plane itself: what varies less than noise in a square becomes its mean (He 2013)."""
    side = 2 * radius + 1
    mean = ndimage.uniform_filter(plane, side)
    spread = np.maximum(ndimage.uniform_filter(plane**2, side) - mean**2, 0)
    slope = spread / (spread + np.float32(variance))
    rest = ndimage.uniform_filter((1 - slope) * mean, side)
    guided: Array = ndimage.uniform_filter(slope, side) * plane + rest
    return guided


def _banded(plane: Array, limit: float) -> Array:
    """Bands of frequencies without their small values, as of wavelets; noise is weaker in lower ones."""
    result, before = np.zeros_like(plane), plane
    for length in BANDS:
        after = ndimage.gaussian_filter(before, length, truncate=3)
        band = before - after
        result += np.sign(band) * np.maximum(np.abs(band) - np.float32(limit * BANDS[0] / (BANDS[0] + length)), 0)
        before = after
    banded: Array = result + before
    return banded
