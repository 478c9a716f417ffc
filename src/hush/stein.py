"""How good is a result, without a clean image, where noise is white: by Stein's unbiased estimate of the risk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hush.risk import Risk, mean

Array = Any
Function = Callable[[Array], Array]


@dataclass(frozen=True)
class Stein:
    """Stein's estimate of a method's squared error, pixel by pixel; that of a mean of methods follows from theirs.

    Attributes
    ----------
    away : array
        Denoised less noisy.
    passed : array, shape of `away`
        Its mean is twice what passes of the noise: of its variance times the derivative of a pixel by itself.
    power : array, shape of `away`
        The noise's variance.
    """

    away: Array
    passed: Array
    power: Array

    @property
    def errors(self) -> Array:
        """The estimate at each pixel: only means of many say something."""
        return self.away**2 - self.power + self.passed

    @property
    def risk(self) -> Risk:
        """Its mean."""
        return mean(self.errors)

    def less(self, other: Stein) -> Risk:
        """By how much its error is above another's, for the same noisy image: known better than either."""
        return mean(self.errors - other.errors)

    @staticmethod
    def of_mean(parts: Sequence[Stein], shares: Sequence[float]) -> Stein:
        """Return the estimate for the weighted mean of methods."""
        away = sum(share * part.away for share, part in zip(shares, parts, strict=True))
        passed = sum(share * part.passed for share, part in zip(shares, parts, strict=True))
        return Stein(away, passed, parts[0].power)


def sure(function: Function, noisy: Array, sigma: Array, *, seed: int = 0) -> Risk:
    """Estimate the mean squared error to the clean image; see `stein`.

    Examples
    --------
    >>> noisy = np.random.default_rng(0).normal(0, 2, (1, 128, 128))
    >>> round(sure(lambda y: 0.5 * y, noisy, np.array([2.0])).value, 1)  # half the noise: a quarter of 4
    1.0
    """
    return stein(function, noisy, sigma, seed=seed).risk


def stein(function: Function, noisy: Array, sigma: Array, *, seed: int = 0, probe: Array | None = None) -> Stein:
    """Estimate the squared error by Stein's formula, with a Monte-Carlo divergence (Ramani et al., TIP 2008).

    Parameters
    ----------
    function : callable
        Noisy array -> denoised array.
    noisy : array, shape (C, [Z,] Y, X)
        With white Gaussian noise: stabilise other noise first.
    sigma : array, shape (C,), or that of `noisy`
        Its standard deviation.
    seed : int
        Of the probe.
    probe : array, shape of `noisy`, optional
        Noise of deviation 1 like that of the image, where neighbours share a little of it.
    """
    noisy = np.asarray(noisy, np.float32)
    if probe is None:
        probe = np.random.default_rng(seed).choice(np.array([-1, 1], np.float32), noisy.shape)
    spread = np.asarray(sigma, np.float32)
    spread = spread if spread.ndim > 1 else spread.reshape(-1, *(1,) * (noisy.ndim - 1))
    epsilon = 0.05 * spread
    plain = np.asarray(function(noisy), np.float64)
    moved = np.asarray(function((noisy + epsilon * probe).astype(np.float32)), np.float64)
    divergence = probe * (moved - plain) / epsilon
    return Stein(plain - noisy, 2 * spread**2 * divergence, np.broadcast_to(spread**2, noisy.shape))
