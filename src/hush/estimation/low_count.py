"""Few photons: what one counts, and what a pixel shows without any, where flat blocks tell little of either."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Floats = NDArray[np.floating[Any]]

FEW_PHOTONS, COUNTS = 3.0, 3  # photons a pixel in the mean, and values, of an image that may hold nothing but photons
# share that the gain may be off: counted, else, where pixels are saturated
COUNTED_ERROR, USUAL_ERROR, SATURATED_ERROR = 0.01, 0.08, 0.12
AWAY = [(0, 2), (2, 0), (1, 2), (2, 1), (2, 2), (0, 3), (3, 0), (1, 3), (3, 1)]  # pixels that tell each other's chance
EVEN_PAIRS, CHANCE = 0.3, 6.0  # share, and deviations of chance, that these may differ by: lines and patterns do more
SQUARES, DENSER = 4.0, 4.0  # lit pixels in squares that are compared, and errors of their dispersion that are no chance
LIKE = (0.9, 1.12)  # power of what is finest, in units of theirs: development images have .98 to 1.03, clean ones 0.3
MANY_PHOTONS = 10.0  # photons a pixel in the mean, beyond which flat blocks know as much
# photons by which a pixel's brightness is known, and the sides of squares that hold them
SEEN_PHOTONS, SQUARE_SIDES = 100.0, (9, 65)
# of brightness that are looked at, and that must hold light; more where it may be cut off
OCTAVES, OCTAVE_RANGE = 8, (2, 3)
LEAST_LIGHT, OCTAVE_PHOTONS = 0.03, 500.0  # share of all light, and photons, of an octave that tells something
READ_SHARE = 0.5  # and photon noise, in units of the variance without light
EVEN_OCTAVES, ALIKE = 1.4, 2.0  # what octaves, and distances, may differ by where all is photons
GROWTH = 11.0  # of what is finest in structure from a distance of one to two: clean development images have 10 to 13
DARK_SQUARE, DARKEST = 12, 0.02  # pixels a side of squares in which dark is looked for, and share of them that is dark
DARK_PHOTONS = 1.5  # photons a pixel, whose variance the dark may have: in brighter squares may be texture
# in which pixels without light are told from those with, and deviations that they stay within
DARK_TURNS, FAR_FROM_DARK = 10, 3.0
APART = 0.25  # of what a photon counts, a pixel's deviation without light, up to which the two can be told apart
AGREE = (0.7, 1.4)  # what the variance in the dark may be, of what the pixels without light, and the others, explain


@dataclass(frozen=True)
class Photons:
    """Photon noise.

    Attributes
    ----------
    gain : float
        What a photon counts by its share of variance: more than by its mean, as far as amplification varies.
    offset, sigma : float
        Mean and standard deviation of a pixel without light.
    error : float
        Of the gain, as a share of it: what holds the true one in about 95 of 100 simulated micrographs.
    binary : bool
        Whether a pixel counts one photon at most.
    """

    gain: float
    offset: float
    sigma: float
    error: float = USUAL_ERROR
    binary: bool = field(default=False, repr=False)

    @property
    def kind(self) -> str:
        """As in `hush.estimation.report.ChannelNoise`."""
        return "poisson_gaussian" if self.offset or self.sigma else "poisson"

    @property
    def line(self) -> tuple[float, float]:
        """Slope and zero of variance against brightness."""
        return self.gain, self.sigma**2 - self.gain * self.offset

    def interval(self, middle: float) -> dict[str, tuple[float, float]]:
        """Of slope, and of level at a brightness; as in `hush.estimation.report.ChannelNoise`."""
        a, b = self.line
        level = float(np.sqrt(max(a * middle + b, 0.0)))
        low, high = 1 - self.error, 1 + self.error
        return {"a": (a * low, a * high), "level": (level * low**0.5, level * high**0.5)}


def counted(planes: Sequence[Floats], step: float | None) -> Photons | None:
    """Return low-count noise of counted photons, one a step between values; None where it is other noise.

    The squares of what is finest in an image are then its values times that step, however dark the image is and
    whatever it shows; what is clean has far less there. Flat blocks tell little where most pixels are zero.

    Where a pixel counts one photon at most, as on a gated or a single-photon detector, the squares are less by four
    times the square of that chance, which pixels a little apart tell: they are independent, and nearly as bright. Of
    such pixels spread evenly nobody knows whether they are photons, lost pixels, or a texture: they are taken for none.

    Parameters
    ----------
    planes : sequence of array, shape (Y, X)
    step : float or None
        Between values.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> counted([25.0 * rng.poisson(0.1, (99, 99))], 25.0)
    Photons(gain=25.0, offset=0.0, sigma=0.0, error=0.01)
    >>> counted([np.eye(99) + np.eye(99)[::-1]], 1.0)
    """
    values = np.concatenate([plane[np.isfinite(plane)] for plane in planes])
    if not step or values.min() != 0 or values.mean() > FEW_PHOTONS * step:
        return None
    binary = len(np.unique(values)) < COUNTS
    square, total = _sums(planes)
    wanted = step * total
    if binary:
        both = _together(planes)
        if np.ptp(both) > EVEN_PAIRS * both.mean() + CHANCE * np.sqrt(both.mean()) or not _varied(planes):
            return None
        wanted -= 4 * step**2 * float(both.mean())
    if not LIKE[0] * wanted < square < LIKE[1] * wanted:
        return None
    return Photons(step, 0.0, 0.0, COUNTED_ERROR, binary)


def amplified(
    planes: Sequence[Floats], low: float, shared: tuple[float, float] = (0.0, 0.0), high: float | None = None
) -> Photons | None:
    """Return low-count noise with excess noise, where many pixels without a photon show the same value.

    A photomultiplier or an EMCCD makes of each photon what it likes: values have no step, and photons that did not come
    look like an image that is cut off. But at every brightness the squares of what is finest are one number times the
    values. Those of noise that is cut off are less of the values the brighter it is, and what is clean has far more at
    a distance of two.

    Parameters
    ----------
    planes : sequence of array, shape (Y, X)
    low : float
        The lowest value.
    shared : tuple of float
        Correlation of the noise of neighbours along Y and X, where electronics are slow.
    high : float, optional
        The value of saturated pixels.

    Returns
    -------
    Photons or None
        None where it is other noise, or photons are many.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> light = np.geomspace(0.1, 9, 200) * np.ones((200, 1))
    >>> round(amplified([rng.gamma(rng.poisson(light)) * 20], 0.0).gain, -1)  # exponential, of mean 20
    40.0
    >>> amplified([rng.normal(10 * light, 20).clip(0)], 0.0)
    """
    gain = _gain(planes, low, 0.0, OCTAVE_RANGE[1], shared, high)
    return None if gain is None else Photons(gain, low, 0.0, USUAL_ERROR if high is None else SATURATED_ERROR)


def above_dark(
    planes: Sequence[Floats],
    step: float | None,
    cut: bool,
    shared: tuple[float, float] = (0.0, 0.0),
    high: float | None = None,
) -> Photons | None:
    """Return low-count noise where a pixel without light has noise of its own, which the darkest squares show.

    Parameters
    ----------
    planes : sequence of array, shape (Y, X)
    step : float or None
        Between values.
    cut : bool
        Whether the lowest values may be cut off.
    shared, high
        As of `amplified`.

    Returns
    -------
    Photons or None
        As of `amplified`. Where dark pixels and single photons cannot be told apart, of the same line with no noise
        in the dark.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> light = np.geomspace(0.01, 9, 200) * np.ones((200, 1))
    >>> found = above_dark([rng.gamma(rng.poisson(light)) * 20 + rng.normal(100, 2, light.shape)], None, False)
    >>> round(found.gain), round(found.offset), round(found.sigma)
    (40, 100, 2)
    """
    dark = _darkest(planes)
    if not dark.size:
        return None
    middle, power = float(dark.mean()), float(dark.var())
    gain = _gain(planes, middle, power, OCTAVE_RANGE[cut], shared, high)
    if gain is None or power > DARK_PHOTONS * gain**2:
        return None
    rounding, error = step**2 / 12 if step else 0.0, USUAL_ERROR if high is None else SATURATED_ERROR
    offset, variance = _without_light(dark, (step or 0) / 2)
    explained = variance + gain * (middle - offset)
    if variance > (APART * gain) ** 2 or not AGREE[0] * power < explained < AGREE[1] * power:
        return Photons(gain, middle - max(power - rounding, 0.0) / gain, 0.0, error)
    return Photons(gain, offset, float(np.sqrt(max(variance - rounding, 0.0))), error)


def _gain(
    planes: Sequence[Floats],
    offset: float,
    variance: float,
    octaves: int,
    shared: tuple[float, float],
    high: float | None,
) -> float | None:
    """What a photon counts, given mean and variance of a pixel without light; None if that differs with brightness."""
    above = [np.asarray(plane, np.float64) - offset for plane in planes]
    square, total = _sums(above, variance)
    if not (square > 0 and total > 0) or total > 4 * MANY_PHOTONS * square / total * sum(plane.size for plane in above):
        return None
    known = [np.nan_to_num(plane) for plane in above]
    # brightness where the light is
    lit = sum(float((plane * ndimage.uniform_filter(plane, SQUARE_SIDES[0])).sum()) for plane in known) / (total / 4)
    if lit <= 0:
        return None
    side = int(np.clip(np.sqrt(SEEN_PHOTONS * square / total / lit), *SQUARE_SIDES))
    around = [ndimage.uniform_filter(plane, side) for plane in known]
    if high is not None:
        full = [ndimage.maximum_filter(plane >= high - offset, SQUARE_SIDES[0]) for plane in known]
        above = [np.where(where, np.nan, plane) for where, plane in zip(full, above, strict=True)]
        around = [np.where(where, 0, plane) for where, plane in zip(full, around, strict=True)]
    top = max(float(each.max()) for each in around)
    if top <= 0:  # where there is light, all is saturated
        return None
    sums = np.zeros((2, 3, OCTAVES))  # distance; squares, values and their number; octaves below the brightest
    for plane, bright in zip(above, around, strict=True):
        octave = np.minimum(np.log2(top / bright.clip(top / 2**OCTAVES)), OCTAVES - 0.5).astype(int)
        for each, distance in zip(sums, (1, 2), strict=True):
            where = octave[:-distance, :-distance].ravel()
            fine, values = _finest(plane, distance)
            for one, what in zip(each, (fine - 4 * variance, values, np.ones(values.shape)), strict=True):
                one += np.bincount(where, np.where(np.isnan(values), 0, what).ravel(), OCTAVES)
    (squares, values, number), (far, far_values, _) = sums
    photon = square / total
    light = (values > LEAST_LIGHT * total) & (values > 4 * OCTAVE_PHOTONS * photon)
    used = light & (photon * values > READ_SHARE * 4 * variance * number)
    if used.sum() < octaves:
        return None
    kept = (1 - shared[0]) * (1 - shared[1])  # of the noise, in what is finest
    each, twice = squares[used] / values[used] / kept, far[used] / far_values[used]
    if each.min() <= 0 or each.max() > EVEN_OCTAVES * each.min() or np.median(twice / each) > ALIKE:
        return None
    one, two = squares[used].sum() / values[used].sum() / kept, far[used].sum() / far_values[used].sum()
    return float(one - (two - one) / (GROWTH - 1))  # less what is structure


def _finest(plane: Floats, distance: int = 1) -> tuple[Floats, Floats]:
    """The square of what is finest in the corners of a square, and the sum of their values."""
    ends = (slice(None, -distance), slice(distance, None))
    one, two, three, four = (np.asarray(plane[y, x], np.float64) for y in ends for x in ends)
    return (one - two - three + four) ** 2, one + two + three + four


def _sums(planes: Sequence[Floats], variance: float = 0.0) -> tuple[float, float]:
    """Of the squares less a variance of noise, and of the values."""
    parts = [_finest(plane) for plane in planes]
    return sum(float(np.nansum(one - 4 * variance)) for one, _ in parts), sum(float(np.nansum(one)) for _, one in parts)


def _together(planes: Sequence[Floats]) -> Floats:
    """How often two pixels some `AWAY` apart both have a photon, as often as `_finest` looks."""
    number = np.zeros(len(AWAY))
    for plane in planes:
        lit = np.nan_to_num(plane) > 0
        looks = (plane.shape[0] - 1) * (plane.shape[1] - 1)
        for k, (down, across) in enumerate(AWAY):
            one, two = lit[down:, across:], lit[: len(lit) - down, : lit.shape[1] - across]
            number[k] += looks * float(np.mean(one & two)) if one.size else 0.0
    return number


def _varied(planes: Sequence[Floats]) -> bool:
    """Whether lit pixels are denser at some places than chance makes them: by the dispersion of their numbers."""
    numbers: list[Floats] = []
    share = float(np.mean(np.concatenate([np.nan_to_num(plane).ravel() > 0 for plane in planes])))
    for plane in planes:
        side = min(int(np.ceil(np.sqrt(SQUARES / min(share, 1 - share)))), min(plane.shape))
        high, wide = (size // side for size in plane.shape)
        lit = (np.nan_to_num(plane) > 0)[: high * side, : wide * side].reshape(high, side, wide, side)
        numbers.append(lit.sum((1, 3)).ravel() / (side**2 * share * (1 - share)) ** 0.5)
    each = np.concatenate(numbers)
    return len(each) > 1 and float(each.var(ddof=1)) > 1 + DENSER * np.sqrt(2 / (len(each) - 1))


def _darkest(planes: Sequence[Floats]) -> Floats:
    """Every other pixel of the squares in which the others are darkest: chosen by themselves they would be too dark."""
    squares = []
    for plane in planes:
        high, wide = (size // DARK_SQUARE for size in plane.shape)
        cut = np.asarray(plane[: high * DARK_SQUARE, : wide * DARK_SQUARE], np.float64)
        squares.append(cut.reshape(high, DARK_SQUARE, wide, DARK_SQUARE).swapaxes(1, 2).reshape(-1, DARK_SQUARE**2))
    whole = np.concatenate(squares)
    whole = whole[np.isfinite(whole).all(1)]
    order = np.argsort(whole[:, ::2].mean(1))
    return whole[order[: max(1, int(np.ceil(DARKEST * len(order))))], 1::2]


def _without_light(dark: Floats, least: float) -> tuple[float, float]:
    """Mean and variance of the pixels without light among these: photons only add to a value."""
    middle = float(np.median(dark))
    spread = float(np.sqrt(np.mean((dark[dark <= middle] - middle) ** 2)))
    for _ in range(DARK_TURNS):
        kept = dark[np.abs(dark - middle) <= FAR_FROM_DARK * max(spread, least)]
        if not kept.size:
            break
        middle, spread = float(kept.mean()), float(kept.std())
    return middle, spread**2
