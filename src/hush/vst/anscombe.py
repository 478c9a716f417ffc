"""Variance-stabilising transforms and their exact unbiased inverses: pure functions.

After the generalised Anscombe transform Poisson-Gaussian noise has variance one at (nearly) every brightness, so
that a filter for white Gaussian noise serves. Going back by the algebraic inverse would darken: the mean of the
transformed values is not the transform of the mean. The exact unbiased inverse maps that mean back (Makitalo and
Foi, IEEE TIP 2011, 2013); here it is computed as a table, from the distribution itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from scipy.special import gammaln

Array = Any
ASYMPTOTIC = 60.0  # photons beyond which the asymptotic inverse serves: it is off by less than 1e-4 photons there
READ_REACH, NODES = 9.0, 96  # deviations of read noise that are integrated over, and points of the rule


def forward(image: Array, gain: float, offset: float = 0.0, sigma: float = 0.0) -> Array:
    """Stabilise Poisson-Gaussian noise: the generalised Anscombe transform.

    Parameters
    ----------
    image : array
        In image units.
    gain, offset, sigma : float
        Of `hush.noise.poisson_gaussian.PoissonGaussian`, in image units.

    Returns
    -------
    array
        Noise of standard deviation one.

    Examples
    --------
    >>> noisy = 4.0 * np.random.default_rng(0).poisson(20, 100_000)
    >>> round(float(forward(noisy, gain=4).std()), 2)
    1.0
    """
    photons = (image - offset) / gain
    return 2 * np.sqrt(np.maximum(photons + 0.375 + (sigma / gain) ** 2, 0))


def inverse(stabilised: Array, gain: float, offset: float = 0.0, sigma: float = 0.0) -> Array:
    """Return from the stabilised domain without bias.

    Parameters
    ----------
    stabilised : array
        A denoised image in the domain of `forward`: an estimate of the mean there.
    gain, offset, sigma : float
        As given to `forward`.

    Returns
    -------
    array
        In image units; never below the offset.

    Examples
    --------
    >>> noisy = np.random.default_rng(0).poisson(0.5, 400_000)
    >>> round(float(inverse(np.array([forward(noisy, 1).mean()]), 1)[0]), 2)
    0.5
    """
    read = sigma / gain
    table = _table(round(read, 6))
    values = np.asarray(stabilised)
    photons = np.interp(values, table.stabilised, table.photons)
    safe = np.maximum(values, table.stabilised[-1])
    far = safe**2 / 4 - 0.125 - read**2 + np.sqrt(1.5) / 4 / safe - 11 / 8 / safe**2
    shift = table.photons[-1] - (
        table.stabilised[-1] ** 2 / 4 - 0.125 - read**2 + np.sqrt(1.5) / 4 / table.stabilised[-1]
        - 11 / 8 / table.stabilised[-1] ** 2
    )  # fmt: skip
    photons = np.where(values > table.stabilised[-1], far + shift * table.stabilised[-1] / safe, photons)
    return offset + gain * photons


def plain_inverse(stabilised: Array, gain: float, offset: float = 0.0, sigma: float = 0.0) -> Array:
    """Return value by value: undoes `forward`.

    Examples
    --------
    >>> plain_inverse(forward(np.array([3.0, 40.0]), 2, 1), 2, 1).round(6).tolist()
    [3.0, 40.0]
    """
    return offset + gain * (np.asarray(stabilised) ** 2 / 4 - 0.375 - (sigma / gain) ** 2)


def expected(image: Array, gain: float, offset: float = 0.0, sigma: float = 0.0) -> Array:
    """Return the mean of the stabilised noisy values of a clean image: undoes `inverse`.

    Parameters
    ----------
    image : array
        Clean, in image units.
    gain, offset, sigma : float
        As given to `forward`.

    Examples
    --------
    >>> clean = np.array([0.2, 5.0, 900.0])
    >>> inverse(expected(clean, 1), 1).round(2).tolist()
    [0.2, 5.0, 900.0]
    """
    read = sigma / gain
    table = _table(round(read, 6))
    photons = np.maximum((np.asarray(image) - offset) / gain, 0)

    def far(photons: Array) -> Array:
        root = np.sqrt(photons + 0.375 + read**2)
        return 2 * root - 0.25 / root

    shift = table.stabilised[-1] - far(table.photons[-1])
    bright = far(photons) + shift * table.photons[-1] / np.maximum(photons, table.photons[-1])
    return np.where(photons > table.photons[-1], bright, np.interp(photons, table.photons, table.stabilised))


def deviation(stabilised: Array, gain: float, offset: float = 0.0, sigma: float = 0.0) -> Array:
    """Return the standard deviation that the noise really has in the stabilised domain: less than one in the dark.

    Parameters
    ----------
    stabilised : array
        Means in the domain of `forward`.
    gain, offset, sigma : float
        As given to `forward`; the offset plays no part.

    Examples
    --------
    >>> deviation(np.array([1.3, 20.0]), 1).round(1).tolist()
    [0.3, 1.0]
    """
    table = _table(round(sigma / gain, 6))
    return np.interp(stabilised, table.stabilised, table.deviation)


@dataclass(frozen=True)
class _Table:
    photons: Array
    stabilised: Array
    deviation: Array


@lru_cache(maxsize=64)
def _table(read: float) -> _Table:
    """Mean of the transformed values for means of 0 to `ASYMPTOTIC` photons; `read` noise in photons."""
    # near zero the curve bends over hundredths of a photon
    photons = np.concatenate([[0], np.geomspace(1e-4, 0.02, 40), np.linspace(0, 4, 201)[2:]])
    photons = np.concatenate([photons, np.linspace(4, ASYMPTOTIC, 300)[1:]])
    count = np.arange(int(ASYMPTOTIC + 12 * np.sqrt(ASYMPTOTIC)))
    values, squares = _read_out(count + 0.375 + read**2, read)
    with np.errstate(divide="ignore", invalid="ignore"):
        chances = np.exp(count * np.log(photons[:, None]) - photons[:, None] - gammaln(count + 1))
    chances[0] = count == 0
    mean = chances @ values
    return _Table(photons, mean, np.sqrt(np.maximum(chances @ squares - mean**2, 0)))


def _read_out(values: Array, read: float) -> tuple[Array, Array]:
    """Mean of 2 sqrt(max(v, 0)) and of its square where v is normal around `values`.

    The root has a kink at zero, across which no rule for smooth functions is exact. As an integral over the root
    itself, from zero on, it has none.
    """
    if read == 0:
        return 2 * np.sqrt(values), 4 * values
    low, high = (np.sqrt(np.maximum(values + end * READ_REACH * read, 0))[:, None] for end in (-1, 1))
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    root = (low + high) / 2 + (high - low) / 2 * nodes
    away = (root**2 - values[:, None]) / read
    density = np.exp(-(away**2) / 2) * 2 * root / (read * np.sqrt(2 * np.pi))
    each = density * weights * (high - low) / 2
    return (2 * root * each).sum(1), (4 * root**2 * each).sum(1)
