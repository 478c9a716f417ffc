"""Photon noise, told by the photons at the peak."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy import special

from hush.noise._base import NoiseModel, namespace
from hush.noise._formulas import demand

Array = Any


@dataclass(frozen=True)
class Poisson(NoiseModel):
    """Poisson noise: y = gain Poisson(x / gain) with gain = peak / photons.

    Parameters
    ----------
    photons : float
        Expected photons in a pixel of value `peak`; 255 photons at 255 is NoiseBreaker's Poisson noise.
    peak : float
        In image units.

    Examples
    --------
    >>> noisy = Poisson(30).sample(np.full((1, 64, 64), 255.0), np.random.default_rng(0))
    >>> round(float(noisy.var() / 255**2 * 30), 1)
    1.0
    """

    amplitudes: ClassVar[tuple[str, ...]] = ("peak",)
    learnable: ClassVar[tuple[str, ...]] = ("photons",)

    photons: float = 255.0
    peak: float = 255.0

    def __post_init__(self) -> None:
        demand("poisson", "photons", self.photons, 0, open_low=True)
        demand("poisson", "peak", self.peak, 0, open_low=True)

    @property
    def gain(self) -> float:
        """Image units a photon."""
        return self.peak / self.photons

    def sample(self, clean: Array, rng: np.random.Generator) -> Array:
        """Return a noisy draw, unclipped."""
        return self.gain * rng.poisson(np.maximum(clean, 0) / self.gain)

    def moments(self, clean: Array) -> tuple[Array, Array]:
        """Return mean and variance of the noisy value."""
        above = clean.clip(0)
        return above, self.gain * above

    def log_prob(self, noisy: Array, clean: Array) -> Array:
        """Return the logarithm of the probability of a whole number of photons."""
        xp = namespace(clean)
        rate, count = clean.clip(1e-6 * self.gain) / self.gain, noisy / self.gain
        lgamma = special.gammaln if xp is np else xp.lgamma
        return count * xp.log(rate) - rate - lgamma(count + 1)
