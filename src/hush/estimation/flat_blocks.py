"""Noise in the flat blocks of an image: variance against brightness, and correlation between neighbours.

Blocks of 8 x 8 pixels are transformed (DCT). Those whose low frequencies hold no more than noise would are
flat; the noise is then measured in their high frequencies, which played no part in choosing them. Every
brightness has its own blocks, so variance against brightness comes out as points, and a robust line leaves
aside the points that texture lifted. Correlation between neighbours shows in the slope of the noise's own
spectrum, without the lowest frequencies: there texture is strongest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = Any
Floats = NDArray[np.floating[Any]]

BLOCK_SIDE = 8
MOST_BLOCKS = 1 << 16  # blocks that are looked at: under half a second
FLATTEST = 0.04  # of the blocks of one brightness, when none is truly flat
FLAT_FACTOR = 1.2  # low frequencies of flat blocks, in units of the noise's variance
BINS = 24  # brightnesses
FEWEST_BLOCKS = 45  # blocks of one
# weight of brightness against number where blocks are split by it; more finds noise in textures
BRIGHTNESS_WEIGHT = 0.3
SAME = 0.005  # of the range of brightness, below which two are one
LAGS = ((0, 0), (0, 1), (1, 0), (1, 1), (0, 2), (2, 0))  # of the fitted correlation: rows, columns
SLOWEST = 5  # frequencies below u + v = 5 are not used for it
LITTLE_SHARED, DIAGONAL = 0.03, 0.015  # correlation that counts, and what diagonals have by chance
TINY = 1e-100  # against division by zero; its square, too, is a number
LINE_ERROR = 0.012  # of variance, systematic, added to the spread of the points


class TooFewBlocksError(ValueError):
    """There are too few blocks in which everything is known: pixels are missing all over, or the image is small."""


@dataclass(frozen=True)
class Basis:
    """The DCT of a block and its frequencies."""

    matrix: Floats  # (64, 64)
    low: NDArray[np.bool_]
    high: NDArray[np.bool_]
    mixed: NDArray[np.bool_]
    design: Floats  # (64, lags): energy of each frequency for a unit of correlation at each lag


@cache
def basis() -> Basis:
    """Return the transform and which of its frequencies serve for what."""
    k, i = np.mgrid[:BLOCK_SIDE, :BLOCK_SIDE]
    rows = np.cos(np.pi * (2 * i + 1) * k / (2 * BLOCK_SIDE)) * np.sqrt(2 / BLOCK_SIDE)
    rows[0] /= np.sqrt(2)
    order = (k + i).ravel()
    high = (order >= 7) & (k.ravel() > 0) & (i.ravel() > 0)
    shifted = [(rows[:, : BLOCK_SIDE - lag] * rows[:, lag:]).sum(1) for lag in range(3)]
    columns = [
        (2 if (y > 0) != (x > 0) else 4 if y and x else 1) * np.outer(shifted[y], shifted[x]).ravel() for y, x in LAGS
    ]
    matrix = np.kron(rows, rows).astype(np.float32)
    return Basis(matrix, (order >= 1) & (order < SLOWEST), high, order >= SLOWEST, np.stack(columns, 1))


@dataclass(frozen=True)
class Points:
    """Variance against brightness, and the flat blocks that it was measured in.

    Attributes
    ----------
    mean, variance, count : array, shape (bins,)
    block_mean : array, shape (blocks,)
    energy : array, shape (blocks, 64)
        Squared DCT coefficients of the chosen blocks.
    bin : array of int, shape (blocks,)
        Which point each chosen block belongs to.
    flat : float
        Share of all blocks that are flat.
    """

    mean: Floats
    variance: Floats
    count: Floats
    block_mean: Floats
    energy: Floats
    bin: NDArray[np.intp]
    flat: float

    @property
    def share(self) -> Floats:
        """Weight of each point: a background of one value is one, not the ten that noise makes of its brightness."""
        same = np.sqrt(np.maximum(self.variance, 0)) / BLOCK_SIDE  # what its blocks' means differ by
        same = same + SAME * np.ptp(self.mean)
        return np.asarray(1 / (np.abs(self.mean - self.mean[:, None]) <= same[:, None]).sum(1))


def points(planes: Sequence[tuple[Floats, Floats]], low: float | None = None, high: float | None = None) -> Points:
    """Measure variance against brightness in flat blocks.

    Parameters
    ----------
    planes : sequence of (brightness, noisy), arrays of shape (Y, X)
        Both the same for a single image; their mean and scaled difference for a pair of frames.
    low, high : float, optional
        Values at which the image is clipped: blocks that touch them are left out.

    Raises
    ------
    TooFewBlocksError
        When the image is too small to hold enough blocks, or pixels are missing in most.
    """
    means, energies, usable = transform(planes, low, high, stride(planes))
    use = np.flatnonzero(usable)
    if len(use) < 16:
        raise TooFewBlocksError("too few blocks")
    this = basis()
    slow, fast = energies[:, this.low].mean(1), energies[:, this.high].mean(1)
    order = use[np.argsort(means[use], kind="stable")]
    count = int(np.clip(len(order) // FEWEST_BLOCKS, 1, BINS))
    rows, chosen, flat = [], [], 0
    bins: list[NDArray[np.intp]] = []
    for part in _split(order, means[order], count):
        picked, variance = _flattest(part, slow, fast)
        flat += int((slow[part] <= FLAT_FACTOR * variance).sum())
        if not len(picked):  # of blocks this different none tells
            continue
        rows.append((means[picked].mean(), variance, len(picked)))
        chosen.append(picked)
        bins.append(np.full(len(picked), len(bins)))
    if not rows:
        raise TooFewBlocksError("no block is like another")
    table, kept = np.array(rows, np.float64), np.concatenate(chosen)
    mean, variance, counts = table.T
    return Points(mean, variance, counts, means[kept], energies[kept], np.concatenate(bins), flat / len(use))


def _split(order: NDArray[np.intp], bright: Floats, count: int) -> list[NDArray[np.intp]]:
    """Split blocks, sorted by brightness, evenly by number and by brightness: few bright cells are seen as well."""
    above = np.asarray(bright - bright[0], np.float64)
    place = np.arange(len(order)) / len(order) + BRIGHTNESS_WEIGHT * above / max(above[-1], TINY)
    parts: list[NDArray[np.intp]] = []
    begin = 0
    for end in np.searchsorted(place, np.linspace(0, place[-1], count + 1)[1:-1]):
        if min(end - begin, len(order) - end) >= FEWEST_BLOCKS:
            parts.append(order[begin:end])
            begin = end
    return [*parts, order[begin:]]


def stride(planes: Sequence[tuple[Floats, Floats]]) -> int:
    """Return the distance between blocks: small images give all they have, large ones no more than takes a moment."""
    return max(4, int(np.ceil(np.sqrt(sum(one.size for one, _ in planes) / MOST_BLOCKS))))


def transform(
    planes: Sequence[tuple[Floats, Floats]], low: float | None, high: float | None, step: int
) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Return mean, squared DCT coefficients and usability (known, not clipped) of blocks `step` pixels apart."""
    means, energies, usable = [], [], []
    for bright, noisy in planes:
        if min(noisy.shape) < BLOCK_SIDE:
            continue
        blocks = _cut(noisy, step)
        dull = blocks if bright is noisy else _cut(bright, step)
        fine: NDArray[np.bool_] = np.asarray(np.isfinite(blocks).all(1))
        for limit, beyond in ((low, np.less_equal), (high, np.greater_equal)):
            if limit is not None:
                fine &= beyond(dull, limit).mean(1) < 0.02
        spectrum = np.where(fine[:, None], blocks, 0) @ basis().matrix.T
        means.append(dull.mean(1))
        energies.append(np.square(spectrum, out=spectrum))
        usable.append(fine)
    if not means:
        raise TooFewBlocksError("smaller than a block")
    return np.concatenate(means), np.concatenate(energies), np.concatenate(usable)


def _cut(plane: Floats, step: int) -> Floats:
    windows = np.lib.stride_tricks.sliding_window_view(plane, (BLOCK_SIDE, BLOCK_SIDE))[::step, ::step]
    return np.ascontiguousarray(windows, np.float32).reshape(-1, BLOCK_SIDE * BLOCK_SIDE)


def _flattest(part: NDArray[np.intp], slow: Floats, fast: Floats) -> tuple[NDArray[np.intp], float]:
    """Choose the flat blocks among those of one brightness, and measure their variance."""
    order = part[np.argsort(slow[part], kind="stable")]
    least = min(len(order), max(12, int(len(order) * FLATTEST)))
    spread = np.sqrt(2 / basis().high.sum())
    picked, variance = order[:least], 0.0
    for _ in range(4):  # flat is relative to the variance, and the variance to what is flat
        values = fast[picked]
        variance = float(np.median(values))
        for _ in range(3):
            variance = float(values[values <= variance * (1 + 3 * spread)].mean())
        picked = order[: max(least, int(np.searchsorted(slow[order], FLAT_FACTOR * variance)))]
    return picked[fast[picked] <= variance * (1 + 4 * spread)], variance


@dataclass(frozen=True)
class Line:
    """Variance as a straight line of brightness: a x + b.

    Attributes
    ----------
    a, b : float
    level : float
        Variance at `middle`, the mean brightness of the points, where it is known best.
    middle : float
    error_a, error_level : float
        Half widths that hold the true values in about 95 of 100 images.
    weights : array, shape (bins,)
        1 for a point on the line, 0 for one that texture lifted.
    """

    a: float
    b: float
    level: float
    middle: float
    error_a: float
    error_level: float
    weights: Floats


def line(measured: Points, flat: bool = False) -> Line:
    """Fit a line through the points, robust against those that texture lifted.

    Parameters
    ----------
    measured : Points
    flat : bool
        Fit a constant.
    """
    mean, variance = measured.mean, measured.variance
    relative = np.sqrt(5 / (measured.count * basis().high.sum())) + LINE_ERROR
    middle = float(np.average(mean, weights=measured.count))
    scale = float(mean.std()) or 1.0
    flat = flat or len(mean) < 3 or mean.std() == 0
    design = np.stack([np.ones_like(mean), (mean - middle) / scale], 1)[:, : 1 if flat else 2]
    weights, expected = np.ones_like(variance), np.full_like(variance, np.percentile(variance, 30) + TINY)
    share, order = measured.share, np.argsort(variance)
    usual = variance[order][np.searchsorted(np.cumsum(share[order]), share.sum() / 2)]
    floor = 0.05 * usual + TINY
    for turn in range(30):
        precision = share * weights / (relative * expected) ** 2
        normal = design.T @ (precision[:, None] * design) + 1e-12 * precision.sum() * np.eye(design.shape[1])
        solution = np.linalg.solve(normal, design.T @ (precision * variance))
        expected = np.maximum(design @ solution, floor)
        away = (variance - design @ solution) / (relative * expected)
        if turn < 15:  # the line below which 30 % of the points lie: texture only lifts
            weights = np.where(away > 0, 0.3, 0.7) / np.maximum(np.abs(away), 0.5)
        else:
            weights = np.maximum(1 - np.where(away > 0, away / 3, away / 6) ** 2, 0) ** 2
            weights = weights if weights.sum() >= min(3, len(weights)) else np.ones_like(weights)
    inflation = np.sqrt(max(1.0, float((weights * away**2).sum() / max(1.0, weights.sum() - 2))))
    covariance = np.linalg.inv(normal) * inflation**2
    slope = 0.0 if flat else float(solution[1]) / scale
    return Line(
        a=slope,
        b=float(solution[0]) - slope * middle,
        level=float(solution[0]),
        middle=middle,
        error_a=0.0 if flat else 2.5 * float(np.sqrt(covariance[1, 1])) / scale,
        error_level=2.5 * float(np.sqrt(covariance[0, 0])),
        weights=weights,
    )


@dataclass(frozen=True)
class Spectrum:
    """Correlation of the noise between neighbours.

    Attributes
    ----------
    lags : dict
        Correlation at (rows, columns) of distance.
    score : float
        How much of it texture cannot explain: above 0.11 the noise is not white.
    ratio : float
        Total variance over that of the high frequencies.
    """

    lags: dict[tuple[int, int], float]
    score: float
    ratio: float

    @property
    def shared(self) -> tuple[float, float]:
        """Correlation along Y and X that slow electronics or optics explain, and texture does not; or none.

        The diagonal then has what the axes have together, or hardly anything is shared along one of them.
        """
        down, across = max(self.lags[1, 0], 0.0), max(self.lags[0, 1], 0.0)
        alone = min(down, across) < LITTLE_SHARED or self.lags[1, 1] < DIAGONAL + down * across
        return (down, across) if self.score > LITTLE_SHARED and alone else (0.0, 0.0)


def spectrum(measured: Points, fitted: Line) -> Spectrum:
    """Fit the correlation between neighbours to the spectrum of the flat blocks."""
    trusted = np.asarray(fitted.weights > 0.3, bool)
    keep = trusted[measured.bin]
    if keep.sum() < 100:
        keep = np.ones_like(keep)
    expected = np.maximum(fitted.a * measured.block_mean + fitted.b, 0.05 * np.median(measured.variance) + TINY)
    # the median of a squared normal number is 0.455; it takes no notice of a few blocks with texture
    energy = np.median(measured.energy[keep] / expected[keep, None], 0) / 0.45494 + 1e-12
    this = basis()
    design = this.design[this.mixed] / energy[this.mixed, None]
    solution = np.linalg.lstsq(design, np.ones(len(design)), rcond=None)[0]
    lags = dict(zip(LAGS, (solution / solution[0]).tolist(), strict=True))
    # texture is smooth and correlates along the diagonal as well; noise correlates along its own direction first
    score = max(lags[0, 1], lags[1, 0]) - min(max(lags[1, 1], 0.0), 0.15)
    return Spectrum(lags, float(score), float(solution[0] / energy[this.high].mean()))
