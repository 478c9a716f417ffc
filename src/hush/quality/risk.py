"""How good is a result, without a clean image? Hidden pixels, and what a Bayesian denoiser says of itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Array = Any
Function = Callable[[Array], Array]

SPACING = 4  # of masked pixels, more where noise is correlated
FRESH = 0.5  # noise given to hidden pixels, in units of the image's: 0 favours weak filters, 1 strong ones
RISK_BLOCK = 32  # side of the blocks whose spread gives the standard error


@dataclass(frozen=True)
class Risk:
    """An estimate of the mean squared error.

    Attributes
    ----------
    value : float
        Squared units of what it was measured in; hidden pixels add the noise's own variance, the same for all.
    error : float
        Its standard error.
    """

    value: float
    error: float

    def below(self, other: Risk) -> bool:
        """Whether it is lower by more than two standard errors of the difference."""
        return self.value < other.value - 2 * float(np.hypot(self.error, other.error))


def hidden_grid(shape: tuple[int, ...], phase: int, mask: str | None = None) -> NDArray[np.bool_]:
    """Return which pixels are hidden: a grid, whose phases together hold every pixel.

    Parameters
    ----------
    shape : tuple of int
        (Y, X) or (Z, Y, X).
    phase : int
        Which of the ``spacing**2`` grids.
    mask : str, optional
        Of structN2V: neighbours that share noise; the grid is wide enough for them.

    Examples
    --------
    >>> int(hidden_grid((8, 8), 0).sum())
    4
    """
    wide = spacing(mask)
    grid = np.zeros(shape[-2:], bool)
    grid[phase // wide % wide :: wide, phase % wide :: wide] = True
    return np.broadcast_to(grid, shape).copy()


def spacing(mask: str | None) -> int:
    """Return the distance of hidden pixels: 4, or 6 and more where neighbours under a mask are hidden too."""
    return SPACING if mask is None else max(6, max(footprint(mask).shape) + 2)


def footprint(mask: str | None) -> NDArray[np.bool_]:
    """Return the neighbours that are hidden with a pixel, itself among them, as a small odd array."""
    if mask is None:
        return np.ones((1, 1), bool)
    if "x" in mask:
        down, across = map(int, mask.split("x"))
        return np.ones((down, across), bool)
    return np.array([[digit == "1" for digit in row] for row in mask.split(",")])


def fill_hidden(noisy: Array, where: Array, fresh: Array, mask: str | None = None) -> Array:
    """Replace hidden pixels (and their masked neighbours) by a weighted mean of those around, with fresh noise.

    Without the noise the mean itself would be a good prediction, and the weakest filter would seem the best.

    Parameters
    ----------
    noisy : array of float, shape (..., Y, X)
    where : array of bool, shape (Y, X) or (Z, Y, X)
    fresh : array, shape of `noisy`
        Noise like that of the image.
    mask : str, optional
        Of structN2V.
    """
    gone = with_neighbours(where, mask)
    filled = around(noisy, gone, 0.35 * max(2, max(footprint(mask).shape))) + fresh
    return np.where(gone, filled, noisy).astype(noisy.dtype)


def with_neighbours(where: Array, mask: str | None) -> Array:
    """Return pixels (Y, X) or (Z, Y, X) and those that a mask of structN2V hides with them."""
    shape = footprint(mask)
    return ndimage.binary_dilation(where, shape.reshape((1,) * (where.ndim - 2) + shape.shape))


def around(values: Array, gone: Array, width: float = 0.7) -> Array:
    """Return at every pixel the mean of those around that are there, weighted by a Gaussian of this width.

    Parameters
    ----------
    values : array, shape (..., Y, X)
        What stands at pixels that are gone plays no part.
    gone : array of bool
        As far as it reaches like `values`.
    width : float
        In pixels.
    """
    known = np.broadcast_to(~gone, values.shape)
    there = np.where(known, values, 0)
    widths = (0.0,) * (values.ndim - 2) + (width, width)
    weight = ndimage.gaussian_filter(known.astype(np.float32), widths, mode="mirror")
    mean = ndimage.gaussian_filter(there, widths, mode="mirror") / np.maximum(weight, 1e-6)
    return np.where(weight > 1e-4, mean, there.sum() / max(1, known.sum()))


def hidden(
    function: Function,
    noisy: Array,
    sigma: Array,
    *,
    mask: str | None = None,
    phases: int = 4,
    seed: int = 0,
    told: bool = False,
) -> Risk:
    """Estimate the risk by hiding pixels: how well are noisy values predicted that were not seen.

    Good for choosing a setting within one family: every method is judged without the pixel itself.

    Parameters
    ----------
    function : callable
        Noisy array -> denoised array of the same shape. If it learned from this image, it must have done so
        without these pixels: otherwise its risk says nothing.
    noisy : array, shape (C, [Z,] Y, X)
        With noise of one level: stabilise other noise first.
    sigma : array, shape (C,)
        Its standard deviation.
    mask : str, optional
        Neighbours that share noise, as structN2V takes them: they are hidden as well.
    phases : int
        How many grids are tried.
    seed : int
        Of the noise that hidden pixels get.
    told : bool
        Hidden pixels are NaN: the function knows what to do with missing ones.

    Returns
    -------
    Risk
        Mean squared error to the noisy values.
    """
    noisy = np.asarray(noisy, np.float32)
    total = np.full(noisy.shape, np.nan)
    rng = np.random.default_rng(seed)
    spread = np.asarray(sigma).reshape(-1, *(1,) * (noisy.ndim - 1))
    step = max(1, spacing(mask) ** 2 // phases)
    for phase in range(0, phases * step, step):
        where = hidden_grid(noisy.shape[1:], phase, mask)
        if told:
            seen = np.where(with_neighbours(where, mask), np.float32(np.nan), noisy)
        else:
            seen = fill_hidden(noisy, where, FRESH * spread * rng.standard_normal(noisy.shape), mask)
        predicted = function(seen)
        total[:, where] = (predicted[:, where] - noisy[:, where]) ** 2
    return mean(total)


class Consistent(NamedTuple):
    """At which multiple of the noise's level a denoiser is self-consistent, and what share of that noise it passes."""

    factor: float
    passed: float


def consistent(
    function: Callable[[Array, float], Array],
    noisy: Array,
    probe: Array,
    where: Array | None = None,
    *,
    rounds: int = 8,
    change: float = 0.01,
) -> Consistent:
    """Find the multiple of the noise's level at which a Bayesian denoiser is self-consistent.

    The mean that it gives lies as far from the noisy image as the noise's variance less the posterior's, which is its
    derivative (Tweedie's formula). Told a wrong level this does not hold, and the level at which it does is the
    maximum of likelihood: this is the EM algorithm. Texture that it knows is not taken for noise.

    Parameters
    ----------
    function : callable
        (noisy, multiple of the level) -> mean of the posterior.
    noisy : array
    probe : array, shape of `noisy`
        A draw of the noise as it was found: its level, correlation and dependence on brightness.
    where : array of bool, shape of `noisy`, optional
        Pixels that have such noise, all of it: a few without any would lead it astray.
    rounds : int
        At most so many times.
    change : float
        Smaller changes end it.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> noisy, probe = rng.normal(0, 5, (256, 256)), rng.normal(0, 2, (256, 256))  # signal 4, noise 3, said to be 2
    >>> found = consistent(lambda y, scale: y * 16 / (16 + (2 * scale) ** 2), noisy, probe, rounds=99, change=1e-4)
    >>> round(found.factor, 1), round(found.passed, 2)
    (1.5, 0.64)
    """
    kept = slice(None) if where is None else where
    power, scale, step = float(np.mean(probe[kept] ** 2)), 1.0, 0.05
    for turn in range(rounds):
        plain = function(noisy, scale)
        moved = function((noisy + step * probe).astype(noisy.dtype), scale)
        posterior = scale**2 * float(np.mean((probe * (moved - plain))[kept])) / step
        better = float(np.sqrt(max(float(np.mean((noisy - plain)[kept] ** 2)) + posterior, 0.0) / power))
        better, before = float(np.clip(better, 0.25, 4.0)), scale
        scale = better
        if abs(better / before - 1) < change:
            break
        if turn == 0 and better > 1:
            scale = 4.0  # a network that was told too little passes noise on, and climbs slowly: come from above
    return Consistent(scale, posterior / power / before**2)


def mean(errors: Array) -> Risk:
    """Mean, and its standard error from blocks: neighbours are not independent."""
    value = float(np.nanmean(errors))
    high, wide = (max(1, size // RISK_BLOCK) for size in errors.shape[-2:])
    rows = np.array_split(np.arange(errors.shape[-2]), high)
    columns = np.array_split(np.arange(errors.shape[-1]), wide)
    flat = errors.reshape(-1, *errors.shape[-2:])
    means = [
        float(np.nanmean(flat[:, r[0] : r[-1] + 1, c[0] : c[-1] + 1]))
        for r in rows
        for c in columns
        if np.isfinite(flat[:, r[0] : r[-1] + 1, c[0] : c[-1] + 1]).any()
    ]
    if len(means) < 2:
        return Risk(value, abs(value))
    return Risk(value, float(np.std(means, ddof=1) / np.sqrt(len(means))))


def residual(noisy: Array, clean: Array) -> dict[str, float]:
    """Look at what was removed: noise, or structure.

    Parameters
    ----------
    noisy, clean : array, shape (..., Y, X)
        Best in the stabilised domain.

    Returns
    -------
    dict
        ``whiteness``: the largest correlation of neighbours in the residual, 0 for white noise; ``slope`` and
        ``offset`` of a line through the means of blocks
        after against before, 1 and 0 for a method that keeps brightness.
    """
    noisy, clean = np.asarray(noisy, np.float64), np.asarray(clean, np.float64)
    rest = noisy - clean
    rest = np.where(np.isfinite(rest), rest - np.nanmean(rest), 0)
    power = float((rest**2).mean()) or 1.0
    lags = [float((rest[..., 1:, :] * rest[..., :-1, :]).mean()), float((rest[..., 1:] * rest[..., :-1]).mean())]
    whiteness = max(lags, key=abs) / power
    before, after = _block_means(noisy), _block_means(clean)
    if before.size < 3 or before.std() == 0:
        return {"whiteness": whiteness, "slope": 1.0, "offset": float(clean.mean() - noisy.mean())}
    slope, offset = np.polyfit(before, after, 1)
    return {"whiteness": float(whiteness), "slope": float(slope), "offset": float(offset)}


def _block_means(image: Array) -> Array:
    size = (1,) * (image.ndim - 2) + (8, 8)
    return ndimage.uniform_filter(np.nan_to_num(image), size)[..., 4::8, 4::8].ravel()


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
        Noise of deviation 1 like that of the image, where it is a little correlated.
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
