"""Impulses: single pixels that fit neither their neighbours nor the noise, and whether they are noise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.special import ndtr

from hush.estimation.artifacts import quantisation

Floats = NDArray[np.floating[Any]]

RING = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]], bool)
GLIMPSE = 160  # side of the windows in which impulses are looked for first
ANYWHERE = 0.55  # of what all pixels' neighbours are off a value, what they are where it is that of lost pixels
VISIBLE, AROUND = 3.0, 7  # deviations of the noise off the median of a square of so many, where none is cut off
ANYWHERE_SHARE = 0.25  # of how often a value is anywhere: so often it is there, where it is that of lost pixels
FRAME = 0.95  # of a row or column of the border that is of one value
IMPULSE_STEPS = 4  # between values: impulses are not fainter
VALUES_BESIDE = 8  # values to either side with which a common one is compared
SPIKE = 2.0  # times as common as the values beside it, what is stuck
FEW_REPAIRED = 1e-4  # share of impulses below which they are not worth a word
ANYHOW = 0.17  # of impulses, which may be anywhere, what lies in the quieter half of an image; of details hardly any do
BOTH_SIGNS = 0.1  # share of impulses of either sign, below which those of the other may be points of the picture
PAIR_WINDOW = 1024  # side of the middle of a plane in which pairs are counted
PAIR_REACH = 16  # rows and columns within which pairs are counted: strokes, areas, and grids up to this period
SURE_PAIRS = 5.0  # standard errors by which pairs are more than chance makes them
MORE_PAIRS = 1.6  # times what chance makes: impulses that were hard to see beside others are fewer, never so many more


class Impulses(NamedTuple):
    """What `without_impulses` found.

    Attributes
    ----------
    planes : list of array
        Without them.
    fraction : float
        Share of such pixels; 0 when there are hardly any (then nothing is replaced).
    values : tuple of float
        The one or two values that they have, if they have so few.
    stay : bool
        Whether they may be points of the picture: all are bright, or all dark, and no value is common.
    lost : bool
        Whether some have one value wherever they are, see `lost_pixels`.
    """

    planes: list[Floats]
    fraction: float = 0.0
    values: tuple[float, ...] = ()
    stay: bool = False
    lost: bool = False


def without_impulses(planes: Sequence[Floats], explained: Callable[[Floats], Floats] | None = None) -> Impulses:
    """Replace single pixels that fit neither their neighbours nor the noise by the median of the eight around.

    Parameters
    ----------
    planes : sequence of array, shape (Y, X)
    explained : callable, optional
        Brightness -> the largest deviation that noise explains there, where that is known: photons come in gains.
    """
    if explained is None and all(plane.size > 4 * GLIMPSE**2 for plane in planes):
        glimpses = [window for plane in planes for window in _corners(plane)]
        if not without_impulses(glimpses).fraction:  # a median over a large plane takes its time
            return Impulses(list(planes))
    repaired, found, odd, bright, any_lost = [], [], [], 0, False
    for plane in planes:
        middle = ndimage.median_filter(np.nan_to_num(plane), footprint=RING, mode="mirror")
        lost = lost_pixels(plane, middle)
        hit = impulses(plane, middle)
        if explained is not None:
            hit &= np.abs(plane - middle) > explained(middle)
        hit |= lost
        any_lost |= bool(lost.any())
        found.append(hit)
        odd.append(plane[hit])
        bright += int((hit & (plane > middle)).sum())
        repaired.append(np.where(hit, middle, plane))
    hits = sum(int(hit.sum()) for hit in found)
    fraction = hits / sum(hit.size for hit in found)
    if fraction < FEW_REPAIRED:
        return Impulses(list(planes))
    levels, counts = np.unique(np.concatenate(odd), return_counts=True)
    common = levels[counts > 0.1 * hits]
    few = 0 < len(common) <= 2 and counts[counts > 0.1 * hits].sum() > 0.8 * hits
    few = few and set(common.tolist()) <= set().union(*(_suspicious(np.nan_to_num(plane)) for plane in planes))
    if not few and sum(int(hit[_quiet(one)].sum()) for hit, one in zip(found, repaired, strict=True)) < ANYHOW * hits:
        return Impulses(list(planes))
    one_sign = min(bright, hits - bright) < BOTH_SIGNS * hits
    return Impulses(
        repaired, fraction, tuple(map(float, common)) if few else (), one_sign and not few, any_lost and few
    )


def cleared(planes: Sequence[Floats]) -> list[Floats]:
    """Return planes without impulses: lost pixels are missing, others are filled in."""
    clear = without_impulses(planes)
    if not clear.lost:
        return list(clear.planes)
    each = zip(planes, clear.planes, strict=True)
    return [np.where(plane == whole, plane, np.float32(np.nan)) for plane, whole in each]


def _quiet(plane: Floats) -> NDArray[np.bool_]:
    """The half of the pixels around which values differ least."""
    plane = np.nan_to_num(plane)
    reach = ndimage.maximum_filter(plane, 5) - ndimage.minimum_filter(plane, 5)
    inside: NDArray[np.bool_] = reach <= np.median(reach)
    return inside


def _corners(plane: Floats) -> list[Floats]:
    tops, lefts = ((0, size - GLIMPSE) for size in plane.shape)
    return [plane[y : y + GLIMPSE, x : x + GLIMPSE] for y in tops for x in lefts]


def impulses(plane: Floats, middle: Floats) -> NDArray[np.bool_]:
    """Find single pixels far outside their neighbours, in units of the noise at their brightness.

    Parameters
    ----------
    plane : array, shape (Y, X)
    middle : array, shape (Y, X)
        Median of the eight neighbours.
    """
    values = np.nan_to_num(plane)
    away = values - middle
    size = np.abs(away)
    step = quantisation(values[:: max(1, len(values) // 64)])
    least = IMPULSE_STEPS * (step or 0.0)
    above, below = _spreads(values, middle)
    limit = np.where(away > 0, above, below)
    found: NDArray[np.bool_] = np.zeros(plane.shape, bool)
    drawn: NDArray[np.bool_] = np.zeros(plane.shape, bool)
    if len(np.unique(values)) < 3:
        return found
    for end in _suspicious(values):  # lost and stuck pixels share one value, far from their neighbours
        same = _within_frame(values == end)
        odd = same & (size > np.maximum(4 * limit, least))
        if same.mean() < FEW_REPAIRED:
            continue
        visible = np.abs(middle - end) > np.maximum(4 * np.where(middle < end, above, below), least)
        if not (at_random_places(same) or at_random_places(odd, visible)):  # strokes and grids
            drawn |= same
            continue
        if odd.mean() < max(FEW_REPAIRED, (middle == end).mean()):  # neighbourhoods have it too: it is a common value
            continue
        # a pixel is lost wherever it is; where a colour is hardly there it is cut off at zero among small values
        hit = same & (size > np.maximum(limit, least))
        if np.quantile(size[hit], 0.8) > ANYWHERE * np.quantile(np.abs(middle - end), 0.8):
            telling = step is None and odd.sum() > 0.3 * same.sum()
            found |= same if telling else hit
    suspects = ~found & ~drawn & (size > np.maximum(8 * limit, least))
    if suspects.any():  # any other impulse stands alone: its neighbours agree among themselves
        busy = ndimage.percentile_filter(size, 75, footprint=RING, mode="mirror")
        lone = suspects & (busy < 0.35 * size)
        if at_random_places(lone):  # details of a texture are not
            found |= lone
    return found


def lost_pixels(plane: Floats, middle: Floats) -> NDArray[np.bool_]:
    """Find pixels that have one value wherever they are, however strong the noise.

    Of a continuous noise no two values are the same. Where values come in steps, or are cut off, a value is that of
    lost pixels if it is more common than those beside it, and common also where its neighbours are so far from it that
    noise hardly reaches it.

    Parameters
    ----------
    plane : array, shape (Y, X)
    middle : array, shape (Y, X)
        Median of the eight neighbours.
    """
    found: NDArray[np.bool_] = np.zeros(plane.shape, bool)
    values = plane[np.isfinite(plane)]
    if values.size < 2:
        return found
    levels, counts = np.unique(values, return_counts=True)
    spread = np.maximum(*_spreads(np.nan_to_num(plane), middle))  # on one side noise may be cut off
    for here in np.flatnonzero(_common(counts)):
        beside = np.concatenate([counts[max(0, here - VALUES_BESIDE) : here], counts[here + 1 :][:VALUES_BESIDE]])
        same, away = plane == levels[here], np.abs(middle - levels[here])
        single = same.sum() > 2 * (middle == levels[here]).sum()  # neighbourhoods have it too: it is a common value
        if not single or not beside.size or counts[here] <= SPIKE * beside.max() or not at_random_places(same):
            continue
        end = here in (0, len(levels) - 1)
        if end:
            wide = ndimage.median_filter(np.nan_to_num(plane), AROUND, mode="mirror")
            far = np.abs(wide - levels[here]) > VISIBLE * spread
        else:
            far = away >= np.median(away)
        by_chance = beside.max() / values.size + float(ndtr(-VISIBLE)) * end
        if far.any() and same[far].mean() > max(SPIKE * by_chance, ANYWHERE_SHARE * same.mean()):
            found |= same if beside.max() == 1 and not end else same & (away > spread)
    return found


def _within_frame(same: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Leave out whole rows and columns at the border: a frame of one value is no loss."""
    rows, columns = (np.flatnonzero(same.mean(axis) < FRAME) for axis in (1, 0))
    inside = np.zeros_like(same)
    if len(rows) and len(columns):
        window = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        inside[window] = same[window]
    return inside


def _suspicious(values: Floats) -> set[float]:
    """Values at which pixels may be stuck: the ends, zero, and what repeats, if more common than those beside it."""
    near = IMPULSE_STEPS * (quantisation(values[:: max(1, len(values) // 64)]) or 0.0)
    levels, counts = np.unique(values, return_counts=True)
    often = levels[_common(counts)]
    ends = {float(levels[0]), float(levels[-1]), 0.0} | (set(map(float, often)) if len(often) <= 4 else set())
    beside = {end: counts[(np.abs(levels - end) <= near) & (levels != end)] for end in ends}
    return {end for end in ends if not beside[end].size or counts[levels == end].sum() > SPIKE * beside[end].max()}


def _common(counts: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Which values are far more common than others."""
    often: NDArray[np.bool_] = counts > max(8, 20 * np.median(counts), FEW_REPAIRED * counts.sum())
    return often


def _spreads(values: Floats, middle: Floats) -> tuple[Floats, Floats]:
    """Noise above and below the median, at the brightness of every pixel."""
    edges = np.quantile(middle[:: max(1, middle.shape[0] // 256)], np.linspace(0, 1, 13)[1:-1])
    bins = np.searchsorted(edges, middle)
    least = 1e-6 * float(np.ptp(middle))
    above, below = (_spread(sign * (values - middle), bins)[bins] + least for sign in (1, -1))
    return above, below


def _spread(away: Floats, bins: NDArray[np.intp]) -> Floats:
    """Noise on one side of the median at each brightness, from a quantile that 25 % of impulses do not move."""
    each = np.zeros(13)
    for k in range(13):  # by chance the darkest medians lie below their own pixels: the middle is taken off first
        inside = away[bins == k]
        if inside.size:
            middle, high = np.quantile(inside[:: max(1, inside.size >> 14)], [0.5, 0.72])
            each[k] = (high - middle) / 0.5828
    result: Floats = np.maximum(each, 0.5 * np.median(each))
    return result


def at_random_places(hits: NDArray[np.bool_], visible: NDArray[np.bool_] | None = None) -> bool:
    """Tell whether pixels lie at independent places: no neighbour is surely hit more often than all pixels are.

    With a share p of the N pixels hit, N p^2 pairs of any distance are, give or take its root.

    Parameters
    ----------
    hits : array of bool, shape (Y, X)
    visible : array of bool, shape (Y, X), optional
        Where a hit can be seen, if not everywhere.

    Examples
    --------
    >>> hits = np.random.default_rng(0).random((128, 128)) < 0.1
    >>> strokes = np.zeros((128, 128), bool)
    >>> strokes[::20, 10:90] = True
    >>> at_random_places(hits), at_random_places(strokes)
    (True, False)
    """
    window = tuple(slice(max(0, (n - PAIR_WINDOW) // 2), (n + PAIR_WINDOW) // 2) for n in hits.shape)
    places_seen = np.ones_like(hits[window]) if visible is None else visible[window]
    hits = hits[window] & places_seen
    reach = min(PAIR_REACH, *(size - 1 for size in hits.shape))
    shape = [size + reach for size in hits.shape]  # zeros enough that nothing comes round
    waves = np.fft.rfft2(np.stack([hits, places_seen]).astype(np.float32), shape)
    pairs, places = np.fft.irfft2(np.abs(waves) ** 2, shape)[:, : reach + 1]
    near = np.concatenate([np.arange(reach + 1), np.arange(-reach, 0)])
    pairs, places = pairs[:, near], places[:, near]
    pairs[0, 0] = 0
    chance = (hits.sum() / max(int(places_seen.sum()), 1)) ** 2 * places
    return bool((pairs <= MORE_PAIRS * chance + SURE_PAIRS * np.sqrt(np.maximum(chance, 1.0))).all())
