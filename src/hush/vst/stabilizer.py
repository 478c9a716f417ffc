"""Between an image and the domain in which its noise is white, Gaussian and of one level."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage

from hush.estimation.impulses import RING
from hush.estimation.report import ChannelNoise
from hush.noise.rician import Rician
from hush.noise.speckle import Speckle
from hush.vst import anscombe, asinh, binary

Array = Any
BLUR = 2.0  # pixels from which brightness is taken
FEW_IMPULSES = 0.001  # share of impulses below which none is repaired
LONE = 0.02  # share of impulses up to which they hardly ever touch
DARKEST_SPECKLE = 20.0  # how much darker than the middle it is where speckle is taken to grow no more


@dataclass(frozen=True)
class Stabilizer:
    """The way to the stabilised domain of one channel and back.

    Attributes
    ----------
    noise : ChannelNoise
    transform : bool
        Whether the variance is made equal; otherwise noise is taken as of one level.
    """

    noise: ChannelNoise
    transform: bool = True

    @property
    def stabilises(self) -> bool:
        """Whether a transform makes the variance equal."""
        return self.transform and self.noise.a > 0 and self.noise.kind not in ("none", "gaussian", "rician")

    @property
    def _law(self) -> tuple[Any, tuple[float, ...]]:
        """The module of the transform, and what its functions are told."""
        found = self.noise
        if not self.stabilises:
            return anscombe, ()
        if found.kind == "speckle":
            share = found.sigma / Speckle.peak
            floor = max(share * abs(found.middle) / DARKEST_SPECKLE, found.quantisation or 0.0, 1e-6)
            return asinh, (share, floor, found.positive)
        if found.binary:
            return binary, (found.gain,)
        light = found.light
        return anscombe, (light.gain, light.offset, light.sigma)

    @property
    def sigma(self) -> float:
        """Standard deviation of the noise in the stabilised domain."""
        return 1.0 if self.stabilises else self.noise.level

    def forward(self, image: Array) -> Array:
        """Image units to the stabilised domain."""
        law, told = self._law
        return law.forward(image, *told) if self.stabilises else image

    def inverse(self, values: Array) -> Array:
        """Back to image units, without bias: `values` are means of noisy ones."""
        law, told = self._law
        if self.stabilises:
            return law.inverse(values, *told)
        return Rician(self.noise.sigma).correct(values) if self.noise.kind == "rician" else values

    def plain_inverse(self, values: Array) -> Array:
        """Back to image units value by value: the image whose transform this is."""
        law, told = self._law
        return law.plain_inverse(values, *told) if self.stabilises else values

    def forward_mean(self, clean: Array) -> Array:
        """Clean image to the mean of the stabilised noisy one: undoes `inverse`."""
        law, told = self._law
        if self.stabilises:
            return law.expected(clean, *told)
        return Rician(self.noise.sigma).moments(clean)[0] if self.noise.kind == "rician" else clean

    def deviation(self, values: Array) -> Array:
        """Standard deviation of the noise at each pixel of a stabilised image, for its brightness around."""
        around = ndimage.gaussian_filter(values, BLUR)
        law, told = self._law
        return law.deviation(around, *told) if self.stabilises else np.full_like(around, max(self.sigma, 1e-12))

    def repair(self, image: Array) -> Array:
        """Replace impulses, if the analysis found many, by the median of their neighbours; shape (Y, X) last."""
        found = self.noise
        if found.impulse_fraction < FEW_IMPULSES:
            return image
        ring = RING.reshape((1,) * (image.ndim - 2) + RING.shape)
        middle = ndimage.median_filter(image, footprint=ring, mode="mirror")
        spread = np.sqrt(np.maximum(found.a * middle + found.b, 0.2 * max(found.level, 1e-12) ** 2))
        away = np.abs(image - middle)
        if found.impulse_values:
            stuck = np.isin(image, np.asarray(found.impulse_values, image.dtype))
            hit = stuck & (away > (2.5 * spread if found.quantisation else 0))
        else:
            hit = away > 5 * (spread + max(found.a, 0.0))
            if found.impulse_fraction < LONE and hit.any():  # its neighbours agree among themselves: no edge, no line
                busy = ndimage.percentile_filter(away, 75, footprint=ring, mode="mirror")
                hit &= busy < 0.35 * away
        return np.where(hit, middle, image)

    def hit(self, image: Array) -> Array:
        """Where pixels (Y, X) were taken for impulses, of which nothing is to stay."""
        return np.zeros(image.shape, bool) if self.noise.impulses_stay else self.repair(image) != image
