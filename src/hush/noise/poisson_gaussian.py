"""Photon noise with a gain, an offset and read noise: what a camera gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from scipy import special

from hush.noise._base import NoiseModel, namespace
from hush.noise._formulas import demand, like, log_normal

Array = Any
TERMS, SPAN = 96, 9.0  # numbers of photons that are summed over, and deviations to both sides that they cover
LEAST_READ = 1e-3  # photons of read noise that there is at least
LEAST_GAIN = 1e-6  # photons that are expected at least
NEWTON = 40  # steps to the likeliest number of photons, each at least to a third of the way


@dataclass(frozen=True)
class PoissonGaussian(NoiseModel):
    """Poisson noise of photons and Gaussian noise of reading them out (Foi et al., IEEE TIP 2008).

    y = gain Poisson((x - offset) / gain) + offset + N(0, sigma^2), so that the variance is
    gain max(x - offset, 0) + sigma^2: the line a x + b with a = gain and b = sigma^2 - gain offset.

    Parameters
    ----------
    gain : float
        Image units a photon.
    offset : float
        Value without light, in image units.
    sigma : float
        Standard deviation of the read noise, in image units.

    Examples
    --------
    >>> PoissonGaussian(gain=4, offset=10, sigma=3).b
    -31
    """

    amplitudes: ClassVar[tuple[str, ...]] = ("gain", "offset", "sigma")
    learnable: ClassVar[tuple[str, ...]] = ("gain", "sigma")

    gain: float
    offset: float = 0.0
    sigma: float = 0.0

    def __post_init__(self) -> None:
        demand("poisson_gaussian", "gain", self.gain, 0, open_low=True)
        demand("poisson_gaussian", "sigma", self.sigma, 0)

    @classmethod
    def from_line(cls, a: float, b: float) -> Self:
        """Return the model with variance a x + b, whose offset is where that is zero.

        Every offset between there and the lowest signal has the same line, with some read noise. This one loses no
        signal, and an amount added to the image is added to it.
        """
        return cls(a, -b / a, 0.0)

    @property
    def a(self) -> float:
        """Slope of the variance."""
        return self.gain

    @property
    def b(self) -> float:
        """Variance that the line has at zero; negative with an offset."""
        return self.sigma**2 - self.gain * self.offset

    def sample(self, clean: Array, rng: np.random.Generator) -> Array:
        """Return a noisy draw, unclipped."""
        photons = rng.poisson(np.maximum(clean - self.offset, 0) / self.gain)
        return self.gain * photons + self.offset + rng.normal(0, self.sigma, clean.shape)

    def moments(self, clean: Array) -> tuple[Array, Array]:
        """Return mean and variance of the noisy value."""
        above = (clean - self.offset).clip(0)
        return self.offset + above, self.gain * above + self.sigma**2

    def log_prob(self, noisy: Array, clean: Array) -> Array:
        """Return the logarithm of the density: the sum over all numbers of photons.

        Without read noise, where there is no density but a probability, each number of photons is a peak of a
        thousandth of the gain in width.
        """
        xp, plain = namespace(clean), _plain
        rate = (clean - self.offset).clip(LEAST_GAIN * self.gain) / self.gain
        value, read = (noisy - self.offset) / self.gain, (self.sigma**2 / self.gain**2 + LEAST_READ**2) ** 0.5
        first, step = _window(plain(rate), plain(value), plain(read + 0 * rate))
        photons = first[..., None] + step[..., None] * like(np.arange(TERMS), clean)
        rate, value = rate[..., None], (value + 0 * clean)[..., None]
        lgamma = special.gammaln if xp is np else xp.lgamma
        each = photons * xp.log(rate) - rate - lgamma(photons + 1) + log_normal(value, photons, read**2 + 0 * rate)
        most = plain(each).max(-1)
        most = most if xp is np else most.values
        return most + xp.log((xp.exp(each - most[..., None]) * step[..., None]).sum(-1)) - xp.log(self.gain + 0 * clean)


def _plain(array: Array) -> Array:
    """The same values, of which nothing is learned."""
    return array if namespace(array) is np else array.detach()


def _window(rate: Array, value: Array, read: Array) -> tuple[Array, Array]:
    """The first number of photons that counts, and the step between those that do: more than one where many do.

    Photons n are likeliest where log n + n / read^2 = log rate + value / read^2. Where hundreds are likely the terms
    are so smooth that a sum in steps is as exact.
    """
    xp, variance = namespace(rate), read**2
    aim = xp.log(rate) + value / variance
    power = xp.log(xp.maximum(rate, value + 0 * rate))  # of e; beyond the solution, from where Newton's method is safe
    for _ in range(NEWTON):
        light = xp.exp(power) / variance
        power = power - (power + light - aim) / (1 + light)
    best = xp.exp(power)
    wide = SPAN * (1 / (1 / (best + 1) + 1 / variance)) ** 0.5 + SPAN / 2
    step = xp.ceil(2 * wide / TERMS).clip(1)
    return xp.floor(best - step * TERMS / 2).clip(0), step
