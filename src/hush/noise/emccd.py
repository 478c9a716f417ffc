"""Few photons, each amplified by chance: what a photomultiplier or an EMCCD gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hush.noise._formulas import demand, log_normal
from hush.noise.poisson_gaussian import PoissonGaussian

Array = Any


@dataclass(frozen=True)
class EMCCD(PoissonGaussian):
    """Photons whose amounts are gamma-distributed, and Gaussian noise of electronics.

    The variance is gain max(x - offset, 0) + sigma^2, as with every photon counted alike (`PoissonGaussian`), but most
    pixels without light show nothing but the electronics' noise, and the others any value (Robbins and Hadwen, IEEE
    TED 2003, on the excess noise of EMCCDs).

    Parameters
    ----------
    gain : float
        What a photon counts by its share of variance, in image units: `excess` times its mean amount.
    offset : float
        Value without light, in image units.
    sigma : float
        Standard deviation of the electronics' noise, in image units.
    excess : float
        Mean square of a photon's amount over the square of its mean, above 1: 2 of an EMCCD or an exponential amount.
        No estimate tells it.

    Examples
    --------
    >>> noisy = EMCCD(gain=20, offset=5).sample(np.full((1, 400, 400), 15.0), np.random.default_rng(0))
    >>> round(float((noisy == 5).mean()), 2), round(float(noisy.var() / 10), -1)  # one a pixel
    (0.37, 20.0)
    """

    excess: float = 2.0

    def __post_init__(self) -> None:
        super().__post_init__()
        demand("emccd", "excess", self.excess, 1, open_low=True)

    def log_prob(self, noisy: Array, clean: Array) -> Array:
        """Return the logarithm of the density, with all noise as Gaussian of the same variance.

        An approximation: single photons of many amounts under read noise have no density that a sum would give.
        """
        mean, variance = self.moments(clean)
        return log_normal(noisy, mean, variance + 1e-6 * self.gain**2)  # also without light and read noise

    def sample(self, clean: Array, rng: np.random.Generator) -> Array:
        """Return a noisy draw, unclipped."""
        amount, even = self.gain / self.excess, 1 / (self.excess - 1)  # mean, and the gamma's shape
        photons = rng.poisson(np.maximum(clean - self.offset, 0) / amount)
        light = amount / even * rng.gamma(even * np.maximum(photons, 1)) * (photons > 0)
        return light + self.offset + rng.normal(0, self.sigma, clean.shape)
