"""Additive Gaussian noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from hush.noise._base import NoiseModel
from hush.noise._formulas import demand, log_normal

Array = Any


@dataclass(frozen=True)
class Gaussian(NoiseModel):
    """Additive white Gaussian noise: y = x + N(0, sigma^2).

    Parameters
    ----------
    sigma : float
        Standard deviation, in image units.

    Examples
    --------
    >>> noisy = Gaussian(25).sample(np.full((1, 64, 64), 100.0), np.random.default_rng(0))
    >>> round(float(noisy.std()))
    25
    """

    amplitudes: ClassVar[tuple[str, ...]] = ("sigma",)
    learnable: ClassVar[tuple[str, ...]] = ("sigma",)

    sigma: float

    def __post_init__(self) -> None:
        demand("gaussian", "sigma", self.sigma, 0)

    def sample(self, clean: Array, rng: np.random.Generator) -> Array:
        """Return a noisy draw, unclipped."""
        return clean + rng.normal(0, self.sigma, clean.shape)

    def moments(self, clean: Array) -> tuple[Array, Array]:
        """Return mean and variance of the noisy value."""
        return clean, self.sigma**2 + 0 * clean

    def log_prob(self, noisy: Array, clean: Array) -> Array:
        """Return the logarithm of the density."""
        return log_normal(noisy, clean, self.sigma**2 + 0 * clean)
