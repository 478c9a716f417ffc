"""Few photons, each amplified by chance: what a photomultiplier or an EMCCD gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from hush.noise._blocks import line_estimate
from hush.noise._check import demand, log_normal
from hush.noise._model import Estimate, NoiseModel

Array = Any


@dataclass(frozen=True)
class Amplified(NoiseModel):
    """Photons whose amounts are gamma-distributed, and Gaussian noise of electronics.

    The variance is gain max(x - offset, 0) + sigma^2, as with every photon counted alike (`PoissonGaussian`), but most
    pixels without light show nothing but the electronics' noise, and the others any value (Robbins and Hadwen, IEEE
    TED 2003, on the excess noise of EMCCDs).

    Parameters
    ----------
    gain : float
        What a photon counts by its share of variance, in image units: `excess` times its mean amount.
    excess : float
        Mean square of a photon's amount over the square of its mean, above 1: 2 of an EMCCD or an exponential amount.
    offset : float
        Value without light, in image units.
    sigma : float
        Standard deviation of the electronics' noise, in image units.

    Examples
    --------
    >>> noisy = Amplified(gain=20, offset=5).sample(np.full((1, 400, 400), 15.0), np.random.default_rng(0))
    >>> round(float((noisy == 5).mean()), 2), round(float(noisy.var() / 10), -1)  # one a pixel
    (0.37, 20.0)
    """

    amplitudes: ClassVar[tuple[str, ...]] = ("gain", "offset", "sigma")
    learnable: ClassVar[tuple[str, ...]] = ("gain", "sigma")

    gain: float
    excess: float = 2.0
    offset: float = 0.0
    sigma: float = 0.0

    def __post_init__(self) -> None:
        demand("amplified", "gain", self.gain, 0, open_low=True)
        demand("amplified", "excess", self.excess, 1, open_low=True)
        demand("amplified", "sigma", self.sigma, 0)

    def sample(self, clean: Array, rng: np.random.Generator) -> Array:
        """Return a noisy draw, unclipped."""
        amount, even = self.gain / self.excess, 1 / (self.excess - 1)  # mean, and the gamma's shape
        photons = rng.poisson(np.maximum(clean - self.offset, 0) / amount)
        light = amount / even * rng.gamma(even * np.maximum(photons, 1)) * (photons > 0)
        return light + self.offset + rng.normal(0, self.sigma, clean.shape)

    def moments(self, clean: Array) -> tuple[Array, Array]:
        """Return mean and variance of the noisy value."""
        above = (clean - self.offset).clip(0)
        return self.offset + above, self.gain * above + self.sigma**2

    def log_prob(self, noisy: Array, clean: Array) -> Array:
        """Return the logarithm of the density, as of Gaussian noise of the same variance."""
        mean, variance = self.moments(clean)
        return log_normal(noisy, mean, variance + 1e-6 * self.gain**2)

    @classmethod
    def estimate(cls, image: Array) -> Estimate | None:
        """Estimate gain and offset (or electronics' noise) from one image; the excess cannot be told from it."""
        a, b, (low, high) = line_estimate(image)
        if a <= 0:
            return None
        model = cls(a, sigma=float(np.sqrt(b))) if b > 0 else cls(a, offset=-b / a)
        return Estimate(model, {"gain": (max(low, 0.0), high)})
