"""Noise of magnitude images: MRI."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import scipy.special

from hush.noise._base import NoiseModel, diagonal, namespace, tiny
from hush.noise._formulas import demand, like, outer

Array = Any
POINTS = 32  # of a phase
WIDE_PRIOR = 7.0  # deviations of a phase beyond which none is likely
FAR_FROM_ZERO = 400.0  # squared mean over variance beyond which noise is all but Gaussian
HALVINGS = 12  # of the interval in which sigma is sought: to a ten-thousandth


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

    def marginal(self, mu: Array, cov: Array) -> tuple[Array, Array]:
        """Return the noisy value's mean and covariance, exactly; between channels by the slope of the mean.

        The length of a vector in the plane is the mean of its shadows along all directions, times a constant, and each
        shadow is normal.
        """
        xp, clean = namespace(mu), namespace(mu).diagonal(cov, 0, -2, -1)
        angle, weight = (like(values, mu) for values in _rule(math.pi / 2))
        cosine = xp.cos(angle)
        middle, spread = mu[..., None] * cosine, (clean[..., None] * cosine**2 + self.sigma**2) ** 0.5
        inside = _erf(middle / (math.sqrt(2) * spread))
        shadow = math.sqrt(2 / math.pi) * spread * xp.exp(-0.5 * (middle / spread) ** 2) + middle * inside
        mean, slope = (shadow * weight).sum(-1), (cosine * inside * weight).sum(-1)
        snr = mu**2 / (clean + self.sigma**2)
        bend = self.sigma**2 / (mu**2).clip(self.sigma**2)
        far = clean * (1 - bend) + self.sigma**2 * (1 - bend / 2)  # where `exact` is the difference of large numbers
        exact = mu**2 + clean + 2 * self.sigma**2 - mean**2
        total = outer(slope) * cov
        own = xp.where(snr > FAR_FROM_ZERO, far, exact) - xp.diagonal(total, 0, -2, -1)
        return mean, total + diagonal(own)

    def posterior(self, noisy: Array, mu: Array, cov: Array) -> tuple[Array, Array]:
        """Return the clean value's mean and covariance, exactly for one channel; of several, one after the other.

        Each channel's value tells of the others by their covariance, as if what is known after it were normal.
        """
        for channel in range(mu.shape[-1]):
            before, clean = mu[..., channel], cov[..., channel, channel]
            mean, left = self._posterior(noisy[..., channel], before, clean)
            share = cov[..., channel] / (clean + tiny(clean))[..., None]
            mu = mu + share * (mean - before)[..., None]
            cov = cov + outer(share) * (left - clean)[..., None, None]
        return mu, cov

    def _posterior(self, noisy: Array, mu: Array, clean: Array) -> tuple[Array, Array]:
        """Mean and variance of one channel: were the phase of the noisy value known, all would be normal.

        Then it would be told the real part, noisy cos(phase). So the phases are weighed by how likely they are.
        """
        xp, total = namespace(mu), clean + self.sigma**2
        square, product = noisy**2 * clean / (self.sigma**2 * total), noisy * mu / total
        sharp = square + abs(product)
        sharp = sharp if xp is np else sharp.detach()
        narrow = (
            WIDE_PRIOR / sharp.clip((2 * WIDE_PRIOR / math.pi) ** 2) ** 0.5
        )  # at most half a pi; none are likely beyond
        angle, weight = (like(values, mu) for values in _rule(1.0))
        cosine = xp.cos(narrow[..., None] * angle)
        fall = square[..., None] * (cosine**2 - 1) / 2 - abs(product)[..., None]
        ahead, behind = (weight * xp.exp(fall + sign * product[..., None] * cosine) for sign in (1, -1))
        whole = (ahead + behind).sum(-1)
        middle = ((ahead - behind) * cosine).sum(-1) / whole
        spread = (ahead * (cosine - middle[..., None]) ** 2 + behind * (cosine + middle[..., None]) ** 2).sum(-1)
        told = noisy * clean / total
        mean = mu * self.sigma**2 / total + told * middle
        return mean, clean * self.sigma**2 / total + told**2 * spread / whole

    def correct(self, mean: Array) -> Array:
        """Return the clean value whose noisy values have this mean: the bias of the magnitude is removed.

        Parameters
        ----------
        mean : array of float
            For example a denoised image; below the mean of pure noise the result is 0.
        """
        return signal_of(np.asarray(mean, np.float64), self.sigma)


RATIOS = np.concatenate([np.linspace(0, 8, 2049), np.linspace(8, 100, 512)[1:]])  # signal over sigma, of tables


def fixed_point(mean: Array, variance: Array) -> tuple[Array, Array]:
    """Return signals and sigma from means and variance of magnitudes (Koay and Basser, JMR 2006).

    Of a signal of r sigma the mean is m(r) sigma and the variance xi(r) sigma^2, with xi(r) = 2 + r^2 - m(r)^2: less
    than sigma^2 in the dark, down to .43 of it. Several signals of one sigma are solved for together.

    Parameters
    ----------
    mean : array of float, shape (signals, ...)
        For example denoised volumes.
    variance : array of float, shape (...)
        Of the noise in the magnitudes, its mean over the signals.

    Returns
    -------
    signal : array, shape (signals, ...)
        Zero where the mean is no larger than that of pure noise.
    sigma : array, shape (...)

    Examples
    --------
    >>> mean, variance = Rician(10).moments(np.array([5.0, 15.0, 80.0]))
    >>> signal, sigma = fixed_point(mean, variance.mean())
    >>> signal.round(1).tolist(), round(float(sigma), 2)
    ([5.0, 15.0, 80.0], 10.0)
    """
    means, variances = Rician(1.0).moments(RATIOS)
    least, most = np.sqrt(variance), np.sqrt(variance / variances[0])
    for _ in range(HALVINGS):
        sigma = (least + most) / 2
        ratio = mean / np.maximum(sigma, tiny(np.asarray(mean)))
        too_much = sigma**2 * np.interp(ratio, means, variances).mean(0) > variance
        least, most = np.where(too_much, least, sigma), np.where(too_much, sigma, most)
    sigma = (least + most) / 2
    return signal_of(mean, sigma), sigma


def signal_of(mean: Array, sigma: Array) -> Array:
    """Return the signal of which magnitudes have this mean; 0 where that is below the mean of pure noise.

    Examples
    --------
    >>> signal_of(Rician(10).moments(np.array([15.0, 80.0]))[0], np.array(10.0)).round(1).tolist()
    [15.0, 80.0]
    """
    means, safe = Rician(1.0).moments(RATIOS)[0], np.maximum(sigma, tiny(mean))
    ratio = mean / safe
    far = mean - sigma**2 / (2 * np.maximum(mean, safe))  # beyond the table
    return np.where(ratio > means[-1], far, safe * np.interp(ratio, means, RATIOS))


def _rule(end: float) -> tuple[Array, Array]:
    """Points and weights of a rule from zero to `end`."""
    points, weights = np.polynomial.legendre.leggauss(POINTS)
    return end / 2 * (1 + points), end / 2 * weights


def _erf(x: Array) -> Array:
    return scipy.special.erf(x) if namespace(x) is np else x.erf()


def _scaled_bessel(x: Array) -> tuple[Array, Array]:
    """exp(-|x|) I0(x) and exp(-|x|) I1(x)."""
    xp = namespace(x)
    if xp is np:
        return scipy.special.i0e(x), scipy.special.i1e(x)
    return xp.special.i0e(x), xp.special.i1e(x)
