"""Noise of magnitude images: MRI."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import scipy.special

from hush.noise._base import NoiseModel, namespace, tiny
from hush.noise._formulas import demand

Array = Any


@dataclass(frozen=True)
class Rician(NoiseModel):
    """Rician noise: y = sqrt((x + n1)^2 + n2^2) with n1, n2 ~ N(0, sigma^2) (Gudbjartsson and Patz, 1995).

    Parameters
    ----------
    sigma : float
        Standard deviation of the real and of the imaginary part, in image units.

    Examples
    --------
    >>> mean, _ = Rician(10).moments(np.array([0.0, 100.0]))
    >>> mean.round(2).tolist(), Rician(10).correct(mean).round(2).tolist()
    ([12.53, 100.5], [0.0, 100.0])
    """

    amplitudes: ClassVar[tuple[str, ...]] = ("sigma",)
    learnable: ClassVar[tuple[str, ...]] = ("sigma",)

    sigma: float

    def __post_init__(self) -> None:
        demand("rician", "sigma", self.sigma, 0, open_low=True)

    def sample(self, clean: Array, rng: np.random.Generator) -> Array:
        """Return a noisy draw."""
        return np.hypot(clean + rng.normal(0, self.sigma, clean.shape), rng.normal(0, self.sigma, clean.shape))

    def moments(self, clean: Array) -> tuple[Array, Array]:
        """Return mean and variance of the noisy value, exactly, by Bessel functions."""
        half = clean**2 / (4 * self.sigma**2)
        i0, i1 = _scaled_bessel(half)
        mean = self.sigma * math.sqrt(math.pi / 2) * ((1 + 2 * half) * i0 + 2 * half * i1)
        # the difference of two large numbers far from zero, where the variance is sigma^2 (1 - 1 / (2 snr^2))
        exact = 2 * self.sigma**2 + clean**2 - mean**2
        far = self.sigma**2 * (1 - 1 / (8 * half.clip(1)))
        return mean, namespace(clean).where(half > 400, far, exact)

    def log_prob(self, noisy: Array, clean: Array) -> Array:
        """Return the logarithm of the density, minus infinity at values that no magnitude has."""
        xp, variance = namespace(clean), self.sigma**2
        above = noisy.clip(tiny(noisy))
        bessel = _scaled_bessel(above * clean / variance)[0]
        # a clean value below zero, as a network may give, is as likely as its magnitude
        log = xp.log(above / variance) - (above - abs(clean)) ** 2 / (2 * variance) + xp.log(bessel)
        return xp.where(noisy > 0, log, 0 * log - math.inf)

    def correct(self, mean: Array) -> Array:
        """Return the clean value whose noisy values have this mean: the bias of the magnitude is removed.

        Parameters
        ----------
        mean : array of float
            For example a denoised image; below the mean of pure noise the result is 0.
        """
        clean = self.sigma * np.concatenate([np.linspace(0, 8, 2049), np.linspace(8, 100, 512)[1:]])
        values = self.moments(clean)[0]
        far = np.asarray(mean) - self.sigma**2 / (2 * np.maximum(mean, self.sigma))
        return np.where(mean > values[-1], far, np.interp(mean, values, clean))


def _scaled_bessel(x: Array) -> tuple[Array, Array]:
    """exp(-|x|) I0(x) and exp(-|x|) I1(x)."""
    xp = namespace(x)
    if xp is np:
        return scipy.special.i0e(x), scipy.special.i1e(x)
    return xp.special.i0e(x), xp.special.i1e(x)
