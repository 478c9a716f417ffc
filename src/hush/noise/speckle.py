"""Multiplicative noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from hush.noise._base import NoiseModel, diagonal, namespace
from hush.noise._formulas import demand, log_normal

Array = Any


@dataclass(frozen=True)
class Speckle(NoiseModel):
    """Speckle: y = x (1 + n) with n ~ N(0, (sigma / peak)^2).

    Parameters
    ----------
    sigma : float
        Standard deviation of the noise in a pixel of value `peak`, in image units.
    peak : float
        In image units.

    Examples
    --------
    >>> mean, variance = Speckle(25.5).moments(np.array([100.0]))
    >>> float(mean[0]), round(float(variance[0]), 6)
    (100.0, 100.0)
    """

    amplitudes: ClassVar[tuple[str, ...]] = ("sigma", "peak")
    learnable: ClassVar[tuple[str, ...]] = ("sigma",)

    sigma: float
    peak: float = 255.0

    def __post_init__(self) -> None:
        demand("speckle", "sigma", self.sigma, 0)
        demand("speckle", "peak", self.peak, 0, open_low=True)

    def sample(self, clean: Array, rng: np.random.Generator) -> Array:
        """Return a noisy draw, unclipped."""
        return clean * (1 + rng.normal(0, self.sigma / self.peak, clean.shape))

    def moments(self, clean: Array) -> tuple[Array, Array]:
        """Return mean and variance of the noisy value."""
        return clean, (self.sigma / self.peak * clean) ** 2

    def marginal(self, mu: Array, cov: Array) -> tuple[Array, Array]:
        """Return the noisy value's mean and covariance; the noise's variance is that of mean x squared."""
        square = mu**2 + namespace(mu).diagonal(cov, 0, -2, -1)
        return mu, cov + diagonal((self.sigma / self.peak) ** 2 * square)

    def log_prob(self, noisy: Array, clean: Array) -> Array:
        """Return the logarithm of the density."""
        return log_normal(noisy, clean, (self.sigma / self.peak * clean) ** 2 + 1e-12 * self.peak**2)
