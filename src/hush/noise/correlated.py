"""Spatially correlated Gaussian noise."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy import ndimage

from hush.noise._base import NoiseModel
from hush.noise._formulas import demand

Array = Any


@dataclass(frozen=True)
class Correlated(NoiseModel):
    """Spatially correlated Gaussian noise: white noise through a Gaussian kernel.

    Parameters
    ----------
    sigma : float
        Standard deviation of a pixel, in image units.
    length : float
        Standard deviation of the kernel, in pixels: at 0.6 neighbours correlate by about a half.

    Examples
    --------
    >>> noise = Correlated(20, 1.0).sample(np.zeros((1, 128, 128)), np.random.default_rng(0))[0]
    >>> round(float(np.corrcoef(noise[:, 1:].ravel(), noise[:, :-1].ravel())[0, 1]), 1)
    0.8
    """

    amplitudes: ClassVar[tuple[str, ...]] = ("sigma",)
    pixelwise: ClassVar[bool] = False

    sigma: float
    length: float = 1.0

    def __post_init__(self) -> None:
        demand("correlated", "sigma", self.sigma, 0)
        demand("correlated", "length", self.length, 0)

    def sample(self, clean: Array, rng: np.random.Generator) -> Array:
        """Return a noisy draw, unclipped; the noise has the standard deviation sigma exactly in expectation."""
        reach = (0,) * (clean.ndim - 2) + (self.length, self.length)
        white = rng.normal(0, 1, clean.shape)
        # the kernel's sum of squares along rows and along columns, equal unless it winds around a short axis
        norm = math.sqrt(math.prod(float((self._kernel(size) ** 2).sum()) for size in clean.shape[-2:]))
        smooth = ndimage.gaussian_filter(white, reach, mode="wrap") if self.length else white
        return clean + self.sigma / norm * smooth

    def _kernel(self, size: float = math.inf) -> Array:
        """One dimension of the kernel, wound around an axis of this size."""
        spike = np.zeros(int(min(size, 2 * int(4 * self.length + 1) + 1)))
        spike[len(spike) // 2] = 1
        return ndimage.gaussian_filter1d(spike, self.length, mode="wrap") if self.length else spike

    def lag_one(self) -> float:
        """Return the correlation of neighbours."""
        kernel = self._kernel()
        return float((kernel[1:] * kernel[:-1]).sum() / (kernel**2).sum())

    def moments(self, clean: Array) -> tuple[Array, Array]:
        """Return mean and variance of the noisy value of one pixel."""
        return clean, self.sigma**2 + 0 * clean
