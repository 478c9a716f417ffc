"""Random-valued impulses."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from hush.noise._base import NoiseModel, diagonal, namespace
from hush.noise._formulas import (
    Weighed,
    demand,
    either,
    exactly,
    log_normal_vector,
    mixture,
    odds_times,
    outer,
    replaced,
)

Array = Any


@dataclass(frozen=True)
class Impulse(NoiseModel):
    """Impulses: with probability p a pixel is replaced by uniform values in [0, peak], all channels at once.

    The noise of the SSDN paper (Laine et al., NeurIPS 2019), with its marginal and posterior.

    Parameters
    ----------
    p : float
        From 0 to 1.
    peak : float
        In image units.

    Examples
    --------
    >>> float(Impulse(1.0).moments(np.array([10.0]))[0][0])
    127.5
    """

    amplitudes: ClassVar[tuple[str, ...]] = ("peak",)
    learnable: ClassVar[tuple[str, ...]] = ("p",)

    p: float
    peak: float = 255.0

    def __post_init__(self) -> None:
        demand("impulse", "p", self.p, 0, 1)
        demand("impulse", "peak", self.peak, 0, open_low=True)

    def varied(self, factors: Sequence[Any]) -> Self:
        """Return the same noise with the odds of being hit multiplied."""
        return dataclasses.replace(self, p=odds_times(self.p, factors[0]))

    def sample(self, clean: Array, rng: np.random.Generator) -> Array:
        """Return a noisy draw."""
        hit = rng.random(clean.shape[1:]) < self.p
        return np.where(hit, rng.uniform(0, self.peak, clean.shape), clean)

    def moments(self, clean: Array) -> tuple[Array, Array]:
        """Return mean and variance of the noisy value."""
        mean = self.p * self.peak / 2 + (1 - self.p) * clean
        return mean, self.p * self.peak**2 / 3 + (1 - self.p) * clean**2 - mean**2

    def marginal(self, mu: Array, cov: Array) -> tuple[Array, Array]:
        """Return the noisy value's mean and covariance."""
        mean = self.p * self.peak / 2 + (1 - self.p) * mu
        square = self.peak**2 * (0.25 + diagonal(0 * mu + 1 / 12))
        return mean, self.p * square + (1 - self.p) * (cov + outer(mu)) - outer(mean)

    def over(self, noisy: Array, clean: Array, before: Weighed) -> list[Weighed]:
        """Return the mixture of values that are kept, which were `before`, and of those that were hit."""
        nothing = 0.0 * (noisy + clean)
        inside = namespace(nothing).where((noisy >= 0) & (noisy <= self.peak), nothing, nothing - math.inf)
        return [(1 - self.p, *before[1:]), (self.p, inside - math.log(self.peak), nothing != 0)]

    def log_prob(self, noisy: Array, clean: Array) -> Array:
        """Return the logarithm of the probability of the clean value itself, and of the density of every other."""
        return mixture(self.over(noisy, clean, (1, *exactly(clean, noisy, clean))))

    def atom(self, noisy: Array, clean: Array) -> Array:
        """Return where a value has a probability: where it is the clean one, unless all are hit."""
        return (noisy == clean) & (self.p < 1)

    def posterior(self, noisy: Array, mu: Array, cov: Array) -> tuple[Array, Array]:
        """Return the clean value's mean and covariance, weighing replaced against untouched."""
        untouched = log_normal_vector(noisy - mu, cov, 1e-9 * self.peak**2)
        lost = replaced(self.p, untouched + mu.shape[-1] * math.log(self.peak))
        return either(lost, (mu, cov), (noisy, 0 * cov))
