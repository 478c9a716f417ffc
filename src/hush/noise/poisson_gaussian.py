"""Photon noise with a gain, an offset and read noise: what a camera gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from hush.noise._base import NoiseModel
from hush.noise._formulas import demand, log_normal

Array = Any


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
        """Return the logarithm of the density, with the photons' noise as Gaussian of the same variance."""
        mean, variance = self.moments(clean)
        # without light and read noise there would be no density
        return log_normal(noisy, mean, variance + 1e-6 * self.gain**2)
