"""Lost pixels."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from hush.noise._base import NoiseModel
from hush.noise._formulas import Weighed, demand, either, exactly, mixture, odds_times, outer

Array = Any


@dataclass(frozen=True)
class Bernoulli(NoiseModel):
    """Lost pixels: set to 0 with probability p, all channels at once.

    Parameters
    ----------
    p : float
        From 0 to 1.

    Examples
    --------
    >>> noisy = Bernoulli(0.2).sample(np.ones((3, 100, 100)), np.random.default_rng(0))
    >>> round(float((noisy[0] == 0).mean()), 1)
    0.2
    """

    learnable: ClassVar[tuple[str, ...]] = ("p",)

    p: float

    def __post_init__(self) -> None:
        demand("bernoulli", "p", self.p, 0, 1)

    def varied(self, factors: Sequence[Any]) -> Self:
        """Return the same noise with the odds of being hit multiplied."""
        return dataclasses.replace(self, p=odds_times(self.p, factors[0]))

    def sample(self, clean: Array, rng: np.random.Generator) -> Array:
        """Return a noisy draw."""
        return np.where(rng.random(clean.shape[1:]) < self.p, np.zeros((), clean.dtype), clean)

    def moments(self, clean: Array) -> tuple[Array, Array]:
        """Return mean and variance of the noisy value."""
        return (1 - self.p) * clean, self.p * (1 - self.p) * clean**2

    def marginal(self, mu: Array, cov: Array) -> tuple[Array, Array]:
        """Return the noisy value's mean and covariance."""
        mean = (1 - self.p) * mu
        return mean, (1 - self.p) * (cov + outer(mu)) - outer(mean)

    def posterior(self, noisy: Array, mu: Array, cov: Array) -> tuple[Array, Array]:
        """Return the clean value's mean and covariance: a pixel that is 0 in all channels was lost.

        Among brightnesses without gaps none is exactly 0, so one such pixel in the clean image has no weight.
        """
        lost = 1.0 * ((abs(noisy).sum(-1) == 0) & (self.p > 0))[..., None]
        return either(lost, (mu, cov), (noisy, 0 * cov))

    def over(self, noisy: Array, clean: Array, before: Weighed) -> list[Weighed]:
        """Return the mixture of values that are kept, which were `before`, and of lost ones."""
        return [(1 - self.p, *before[1:]), (self.p, *exactly(0, noisy, clean))]

    @property
    def stuck(self) -> list[tuple[Any, float]]:
        """Probabilities and values of lost pixels."""
        return [(self.p, 0.0)]

    def log_prob(self, noisy: Array, clean: Array) -> Array:
        """Return the logarithm of the probability of one value: of the clean one, and of zero; no other has any."""
        return mixture(self.over(noisy, clean, (1, *exactly(clean, noisy, clean))))

    def atom(self, noisy: Array, clean: Array) -> Array:
        """Return where a value has a probability: wherever it can be."""
        return (noisy == clean) | (noisy == 0)
