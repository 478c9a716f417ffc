"""Kind and level of the noise of one channel, from its flat blocks."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from hush.estimation import correlation, flat_blocks
from hush.estimation.flat_blocks import Floats
from hush.noise.rician import Rician
from hush.noise.speckle import Speckle

INVISIBLE = 0.006  # of the extent: one and a half of 255 grey levels, which nobody sees
NOT_WHITE = 0.11  # score of correlation beyond which noise is not white: AUC 1.0 at .155 on development images
RICIAN_ERROR = 0.009  # share of sigma that texture and the choice of bright blocks add or take, in simulated images
STRONGLY_SHARED = 0.25  # score beyond which high frequencies do not tell the level; white noise on texture reaches .26
# slope, scatter and floor (see _shared) up to which it is noise and not texture that all frequencies hold: where noise
# was found, where none was, and where none was but there is more of it than even texture spreads evenly. Of 60 clean
# development images the last two call none noisy, and the first five
LIKELY, CERTAIN, PLAIN = (1.6, 1.5, 3.0), (1.25, 1.25, 2.15), (1.5, 1.25, 2.15)
MUCH_NOISE = 0.04  # of the extent
ODD = 0.7  # of the logarithm of variance that a point may be off a curve: texture lifts some without end
# of a line's residuals: 2 of 100 development images with photons and the offset of a camera give less, and of speckle
# three in four. Photons are the more common, and taken for speckle lose .2 dB; the other way round .7
SQUARED = 0.85
# quantiles of variance over squared brightness, one of which is the speckle's
SPECKLE_QUANTILES = np.linspace(0.05, 0.95, 19)
LEVEL_BELOW, LEVEL_ABOVE = 1.7, 1.25  # of a level found so, what holds the true one in 95 of 100 development images


@dataclasses.dataclass(frozen=True)
class Level:
    """Kind and level of a channel's noise.

    Attributes
    ----------
    kind : str
    a, b, sigma : float
        As in `hush.estimation.report.ChannelNoise`; sigma is the level where there is no line.
    points : Points
    line : Line
        Both at this level.
    ends : tuple of float
        What holds the true standard deviation in about 95 of 100 images.
    white : bool
    lags : dict
        Correlation at (rows, columns) of distance.
    shared : tuple of float
        Along Y and X, as far as it is not texture's.
    """

    kind: str
    a: float
    b: float
    sigma: float
    points: flat_blocks.Points
    line: flat_blocks.Line
    ends: tuple[float, float]
    white: bool
    lags: dict[tuple[int, int], float]
    shared: tuple[float, float] = (0.0, 0.0)


def is_white(spectrum: flat_blocks.Spectrum) -> bool:
    """Whether the noise is so little correlated that most methods take no harm."""
    return spectrum.score <= NOT_WHITE or spectrum.ratio <= 0  # less than nothing: the correlations say nothing


def find(
    pairs: Sequence[tuple[Floats, Floats]],
    points: flat_blocks.Points,
    line: flat_blocks.Line,
    cut: tuple[float | None, float | None],
    step: float | None,
    extent: float,
) -> Level:
    """Find the level from high frequencies, and again from all where these may hold little of the noise.

    Parameters
    ----------
    pairs : sequence of (brightness, noisy), arrays of shape (Y, X)
    points : Points
    line : Line
        Both from high frequencies, without the variance of rounding.
    cut : tuple
        Values at which the image is clipped, or None.
    step : float or None
        Between values, where they are rounded.
    extent : float
        Of the image's values.
    """
    kind, a, b, sigma = _kind(points, line, extent, step)
    spectrum = flat_blocks.spectrum(points, line)
    white = is_white(spectrum)
    scale = spectrum.ratio if not white or (spectrum.ratio > 1 and any(spectrum.shared)) else 1.0
    a, b, sigma = a * scale, b * scale, sigma * float(np.sqrt(scale))
    scaled = _scaled(points, line, scale)
    ends = np.sqrt(np.maximum(scale * (line.level + np.array([-1, 1]) * line.error_level), 0))
    both = float(ends[0]), float(ends[1])
    if kind == "rician":  # its level is not that of the line, which dark parts with less noise pull down
        error = rician_error(points)
        both = sigma * (1 - error), sigma * (1 + error)
    first = Level(kind, a, b, sigma, *scaled, both, white, spectrum.lags, shared=spectrum.shared)
    if spectrum.score > STRONGLY_SHARED or kind == "none":
        return _shared_level(pairs, points, line, cut, step, extent, first) or first
    return first


def _shared_level(
    pairs: Sequence[tuple[Floats, Floats]],
    points: flat_blocks.Points,
    line: flat_blocks.Line,
    cut: tuple[float | None, float | None],
    step: float | None,
    extent: float,
    first: Level,
) -> Level | None:
    """Find the level of spatially correlated noise; None where it cannot be told from texture."""
    lost, clean = step**2 / 12 if step else 0.0, INVISIBLE * extent
    unit = max(line.level, lost, clean**2)
    if not unit > 0:
        return first
    flat = dataclasses.replace(line, a=0.0, b=unit, level=unit, error_a=0.0, error_level=0.0)
    tried = [(correlation.measure(pairs, flat, *cut), flat, np.full_like(points.variance, unit))]
    if abs(line.a) > line.error_a > 0 and line.level > 3 * lost:  # else high frequencies know no slope
        tried.append((correlation.measure(pairs, line, *cut), line, points.variance))
    # in units of the noise at their brightness, flat blocks are most alike
    answers = [(one.oddity(*PLAIN), one, shape, values) for one, shape, values in tried if one is not None]
    if not answers:
        return first
    _, shared, line, variance = min(answers, key=lambda answer: answer[0])
    points = dataclasses.replace(points, variance=variance)
    points, line = _scaled(points, line, shared.ratio - lost / line.level)
    level = float(np.sqrt(max(line.level, 0.0)))
    least = 1.5 * clean if first.kind == "none" else float(np.sqrt(max(first.line.level, 0.0)))
    limits = LIKELY if first.kind != "none" else PLAIN if level > MUCH_NOISE * extent else CERTAIN
    if shared.oddity(*limits) > 1:
        return None
    if level < least:
        return dataclasses.replace(first, ends=(first.ends[0], max(first.ends[1], LEVEL_ABOVE * level)))
    kind, a, b, sigma = _kind(points, line, extent, step)
    return Level(kind, a, b, sigma, points, line, (level / LEVEL_BELOW, level * LEVEL_ABOVE), False, shared.lags)


def _kind(
    points: flat_blocks.Points, line: flat_blocks.Line, extent: float, step: float | None
) -> tuple[str, float, float, float]:
    """Choose the kind: (kind, a, b, sigma)."""
    level, least = float(np.sqrt(max(line.level, 0))), max(0.5 * (step or 0), INVISIBLE * extent)
    if level < least:
        return "none", 0.0, max(line.level, 0.0), level
    trusted = points.mean[line.weights > 0.3] if (line.weights > 0.3).sum() > 2 else points.mean
    reach = float(np.ptp(trusted))
    rician = rician_of(points)
    if rician is not None:
        return "rician", 0.0, rician.sigma**2, rician.sigma
    if abs(line.a) > line.error_a and line.a * reach > 0.15 * line.level:
        speckle = speckle_of(points, line)
        if speckle is not None:
            return "speckle", line.a, line.b, speckle.sigma
        error_b = float(np.hypot(line.error_level, line.middle * line.error_a))
        return ("poisson" if abs(line.b) <= error_b else "poisson_gaussian"), line.a, line.b, level
    flat = flat_blocks.line(points, flat=True)
    sigma = float(np.sqrt(max(flat.level, 0)))
    return "none" if sigma < least else "gaussian", 0.0, sigma**2, sigma


def _scaled(
    points: flat_blocks.Points, line: flat_blocks.Line, scale: float
) -> tuple[flat_blocks.Points, flat_blocks.Line]:
    """Multiply all variances."""
    points = dataclasses.replace(points, variance=points.variance * scale)
    names = ("a", "b", "level", "error_a", "error_level")
    return points, dataclasses.replace(line, **{name: getattr(line, name) * scale for name in names})


def rician_of(points: flat_blocks.Points) -> Rician | None:
    """Return the model where the darkest blocks are Rayleigh noise and the bright ones Gaussian, else None.

    Rayleigh noise has a mean of 1.91 deviations and .43 of the variance that bright parts have.
    """
    mean, variance = points.mean, points.variance
    if len(mean) < 6 or mean.min() <= 0 or not variance.all():
        return None
    dark, bright = mean < 1.5 * mean.min(), mean > (mean.min() + mean.max()) / 2
    if not bright.any():
        return None
    ratio = np.median(mean[dark]) / np.sqrt(np.median(variance[dark]))
    level = float(np.median(variance[bright]))
    rise = level / float(np.median(variance[dark]))
    even = np.median(np.abs(variance[bright] / level - 1)) < 0.1
    if dark.sum() < 2 or abs(ratio - 1.913) >= 0.15 or not 1.9 < rise < 2.8 or not even:
        return None
    return Rician(math.sqrt(level))


def rician_error(points: flat_blocks.Points) -> float:
    """Return the share of sigma, as `rician_of` finds it, that holds the true one to both sides, 95 of 100 times.

    The level is a median over bright blocks: the fewer, the less sure. And texture is left in some.
    """
    bright = points.mean > (points.mean.min() + points.mean.max()) / 2
    values = float(points.count[bright].sum()) * int(flat_blocks.basis().high.sum())
    return 2 * float(np.hypot(math.sqrt(math.pi / 2) * math.sqrt(0.5 / max(values, 1)), RICIAN_ERROR))


def speckle_of(points: flat_blocks.Points, line: flat_blocks.Line) -> Speckle | None:
    """Return the model where variance grows with the square of brightness rather than along a line, else None."""
    mean, variance = points.mean, np.maximum(points.variance, 1e-6 * line.level)
    if len(mean) < 6 or mean.min() <= 0 or mean.max() < 2 * mean.min() or line.b >= 0:
        return None
    square = [level * mean**2 for level in np.quantile(variance / mean**2, SPECKLE_QUANTILES)]
    straight = np.maximum(line.a * mean + line.b, 1e-3 * variance)
    away, *others = (
        np.sqrt(points.share @ np.log(variance / curve).clip(-ODD, ODD) ** 2) for curve in (straight, *square)
    )
    if min(others) > SQUARED * away:
        return None
    return Speckle(255 * float(np.median(np.sqrt(variance) / mean)))
