"""Multiplicative noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from hush.noise import _blocks
from hush.noise._check import demand, log_normal
from hush.noise._model import Estimate, NoiseModel, diagonal, namespace

Array = Any
MOST = 0.7  # of the logarithm of variance that a point may be off a curve: texture lifts some without end
# of a line's residuals: 2 of 100 development images with photons and the offset of a camera give less, and of speckle
# three in four. Photons are the more common, and taken for speckle lose .2 dB; the other way round .7
SQUARE = 0.85
TRIED = np.linspace(0.05, 0.95, 19)  # quantiles of variance over squared brightness, one of which is the speckle's


@dataclass(frozen=True)
class Speckle(NoiseModel):
    """Speckle: y = x (1 + n) with n ~ N(0, (sigma / peak)^2).

    Parameters
    ----------
    sigma : float
        Standard deviation of the noise in a pixel of value `peak`, in image units.
    peak : float
        In image units.

    Examples
    --------
    >>> mean, variance = Speckle(25.5).moments(np.array([100.0]))
    >>> float(mean[0]), round(float(variance[0]), 6)
    (100.0, 100.0)
    """

    amplitudes: ClassVar[tuple[str, ...]] = ("sigma", "peak")
    learnable: ClassVar[tuple[str, ...]] = ("sigma",)

    sigma: float
    peak: float = 255.0

    def __post_init__(self) -> None:
        demand("speckle", "sigma", self.sigma, 0)
        demand("speckle", "peak", self.peak, 0, open_low=True)

    def sample(self, clean: Array, rng: np.random.Generator) -> Array:
        """Return a noisy draw, unclipped."""
        return clean * (1 + rng.normal(0, self.sigma / self.peak, clean.shape))

    def moments(self, clean: Array) -> tuple[Array, Array]:
        """Return mean and variance of the noisy value."""
        return clean, (self.sigma / self.peak * clean) ** 2

    def marginal(self, mu: Array, cov: Array) -> tuple[Array, Array]:
        """Return the noisy value's mean and covariance; the noise's variance is that of mean x squared."""
        square = mu**2 + namespace(mu).diagonal(cov, 0, -2, -1)
        return mu, cov + diagonal((self.sigma / self.peak) ** 2 * square)

    def log_prob(self, noisy: Array, clean: Array) -> Array:
        """Return the logarithm of the density."""
        return log_normal(noisy, clean, (self.sigma / self.peak * clean) ** 2 + 1e-12 * self.peak**2)

    @classmethod
    def from_points(cls, points: _blocks.Points, line: _blocks.Line) -> Speckle | None:
        """Return the model where variance grows with the square of brightness rather than along a line, else None."""
        mean, variance = points.mean, np.maximum(points.variance, 1e-6 * line.level)
        if len(mean) < 6 or mean.min() <= 0 or mean.max() < 2 * mean.min() or line.b >= 0:
            return None
        square = [level * mean**2 for level in np.quantile(variance / mean**2, TRIED)]
        straight = np.maximum(line.a * mean + line.b, 1e-3 * variance)
        away, *others = (
            np.sqrt(points.share @ np.log(variance / curve).clip(-MOST, MOST) ** 2) for curve in (straight, *square)
        )
        if min(others) > SQUARE * away:
            return None
        return cls(255 * float(np.median(np.sqrt(variance) / mean)))

    @classmethod
    def estimate(cls, image: Array) -> Estimate | None:
        """Estimate the level at a peak of 255; None where the noise is no speckle."""
        points = _blocks.points(_blocks.as_pairs(image))
        line = _blocks.line(points)
        model = cls.from_points(points, line)
        part = line.error_level / max(line.level, _blocks.TINY)
        return (
            None if model is None else Estimate(model, {"sigma": (model.sigma * (1 - part), model.sigma * (1 + part))})
        )
