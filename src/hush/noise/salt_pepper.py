"""Pixels stuck at black or white."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from hush.noise._base import NoiseModel
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
class SaltPepper(NoiseModel):
    """Salt and pepper: set to 0 or to the peak with probability p / 2 each, all channels at once.

    Parameters
    ----------
    p : float
        From 0 to 1.
    peak : float
        In image units.

    Examples
    --------
    >>> mean, variance = SaltPepper(0.5).moments(np.array([127.5]))
    >>> float(mean[0])
    127.5
    """

    amplitudes: ClassVar[tuple[str, ...]] = ("peak",)
    learnable: ClassVar[tuple[str, ...]] = ("p",)

    p: float
    peak: float = 255.0

    def __post_init__(self) -> None:
        demand("salt_pepper", "p", self.p, 0, 1)
        demand("salt_pepper", "peak", self.peak, 0, open_low=True)

    def varied(self, factors: Sequence[Any]) -> Self:
        """Return the same noise with the odds of being hit multiplied."""
        return dataclasses.replace(self, p=odds_times(self.p, factors[0]))

    def sample(self, clean: Array, rng: np.random.Generator) -> Array:
        """Return a noisy draw."""
        drawn = rng.random(clean.shape[1:])
        salted = np.where(drawn < self.p, np.asarray(self.peak, clean.dtype), clean)
        return np.where(drawn < self.p / 2, np.zeros((), clean.dtype), salted)

    def moments(self, clean: Array) -> tuple[Array, Array]:
        """Return mean and variance of the noisy value."""
        mean = (1 - self.p) * clean + self.p * self.peak / 2
        return mean, (1 - self.p) * clean**2 + self.p * self.peak**2 / 2 - mean**2

    def marginal(self, mu: Array, cov: Array) -> tuple[Array, Array]:
        """Return the noisy value's mean and covariance."""
        mean = (1 - self.p) * mu + self.p * self.peak / 2
        return mean, (1 - self.p) * (cov + outer(mu)) + self.p * self.peak**2 / 2 + 0 * cov - outer(mean)

    def posterior(self, noisy: Array, mu: Array, cov: Array) -> tuple[Array, Array]:
        """Return the clean value's mean and covariance: at 0 or the peak, replaced is weighed against untouched.

        Clean values are taken as rounded to peak / 255, so that an exact 0 has a probability.
        """
        low, high = abs(noisy).sum(-1) == 0, abs(noisy - self.peak).sum(-1) == 0
        level = self.peak / 255
        untouched = log_normal_vector(noisy - mu, cov, level**2 / 12) + mu.shape[-1] * math.log(level)
        lost = (1.0 * (low | high))[..., None] * replaced(self.p, untouched + math.log(2))
        return either(lost, (mu, cov), (noisy, 0 * cov))

    def over(self, noisy: Array, clean: Array, before: Weighed) -> list[Weighed]:
        """Return the mixture of values that are kept, which were `before`, and of stuck ones."""
        stuck = [(share, *exactly(value, noisy, clean)) for share, value in self.stuck]
        return [(1 - self.p, *before[1:]), *stuck]

    @property
    def stuck(self) -> list[tuple[Any, float]]:
        """Probabilities and values of stuck pixels."""
        return [(self.p / 2, 0.0), (self.p / 2, self.peak)]

    def log_prob(self, noisy: Array, clean: Array) -> Array:
        """Return the logarithm of the probability of one value: the clean one, zero or the peak; no other has any."""
        return mixture(self.over(noisy, clean, (1, *exactly(clean, noisy, clean))))

    def atom(self, noisy: Array, clean: Array) -> Array:
        """Return where a value has a probability: wherever it can be."""
        return (noisy == clean) | (noisy == 0) | (noisy == self.peak)
