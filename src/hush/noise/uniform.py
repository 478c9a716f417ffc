"""Additive uniform noise."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from hush.noise._base import NoiseModel, namespace, tiny
from hush.noise._formulas import demand

Array = Any


@dataclass(frozen=True)
class Uniform(NoiseModel):
    """Additive uniform noise in [-s, s].

    Parameters
    ----------
    s : float
        Half width, in image units.

    Examples
    --------
    >>> float(Uniform(3).moments(np.zeros(1))[1][0])
    3.0
    """

    amplitudes: ClassVar[tuple[str, ...]] = ("s",)
    learnable: ClassVar[tuple[str, ...]] = ("s",)

    s: float

    def __post_init__(self) -> None:
        demand("uniform", "s", self.s, 0)

    def sample(self, clean: Array, rng: np.random.Generator) -> Array:
        """Return a noisy draw, unclipped."""
        return clean + rng.uniform(-self.s, self.s, clean.shape)

    def moments(self, clean: Array) -> tuple[Array, Array]:
        """Return mean and variance of the noisy value."""
        return clean, self.s**2 / 3 + 0 * clean

    def log_prob(self, noisy: Array, clean: Array) -> Array:
        """Return the logarithm of the density, minus infinity outside."""
        xp, width = namespace(clean), 2 * self.s + 0 * clean
        inside = abs(noisy - clean) <= self.s
        return xp.where(inside, -xp.log(width + tiny(width)), 0 * clean - math.inf)
