"""Stripes: offsets that whole rows or columns share, found, estimated and taken off."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hush.core.image import Array, Image

Floats = NDArray[np.floating[Any]]

LEAST_SIDE = 24  # of a plane in which stripes are looked for
PARTS = 4  # of a row or column, which share its offset
# standard errors, and share of what varies between rows, from which on it is their offset
SURE_STRIPES, WHOLE = 5.0, 0.7
REPEATED = 0.3  # of what rows share, what comes again some rows on; by chance it is 3 / sqrt(rows) more
INDEPENDENT = 1.5  # times what neighbours are apart, what rows two apart may be: offsets know nothing of one another
SQUARE = 8  # side of the squares in which the picture is looked at along its rows
FAINT = 0.1  # of the noise: fainter offsets are none
SMOOTHNESS = 10.0 ** np.arange(-1, 7.1, 0.5)  # of the profile of the picture, of which one is chosen
TURNS = 8  # in which the profile's own steps are found
STEEP = 3.0  # times the median bend, from which on a bend is a step


def amplitudes(plane: Floats, sigma: float) -> dict[str, float]:
    """Return the standard deviation of offsets that whole rows or columns share, where there are such.

    Parameters
    ----------
    plane : array, shape (Y, X)
    sigma : float
        Standard deviation of the noise.
    """
    found = {}
    for name, view in (("rows", plane), ("columns", plane.T)):
        if min(view.shape) < LEAST_SIDE:
            continue
        bends = _bends(view, 1)
        chance = sigma**2 * 1.5 * np.pi / 2 / (view.shape[1] / PARTS)  # variance of a median of the noise's bend
        shared, all_of_it = _covariance(bends)
        own = all_of_it - chance
        error = (max(own, 0) + chance) / np.sqrt(bends.shape[1] * PARTS * (PARTS - 1) / 2)
        # the offset of a row is the same all along it, what is in the picture is not, unless it is periodic: then it
        # comes again some rows on, or has wide bars: then rows two apart differ more than neighbours do; the offset of
        # a row tells nothing of any other. Where nothing else is in the picture it may be a barcode
        again = REPEATED + 3 / np.sqrt(bends.shape[1])
        if (
            shared > max(SURE_STRIPES * error, WHOLE * own, 1.5 * (FAINT * sigma) ** 2)
            and repeated(bends) < again * shared
            and _covariance(_bends(view, 2))[0] < INDEPENDENT * shared
            and _along(view) ** 2 > shared / 1.5
        ):
            found[name] = float(np.sqrt(shared / 1.5))
    return found


def _bends(view: Floats, distance: int) -> Floats:
    """What parts of rows differ by from the mean of those before and after them, of shape (PARTS, rows)."""
    bend = np.nan_to_num(
        view[distance:-distance] - (view[2 * distance :] + view[: -2 * distance]) / 2, posinf=0, neginf=0
    )
    parts = np.stack([np.median(part, 1) for part in np.array_split(bend, PARTS, axis=1)])
    parts -= np.median(parts, 1, keepdims=True)
    spread = 1.4826 * np.median(np.abs(parts))
    bounded: Floats = parts.clip(-3 * spread, 3 * spread)
    return bounded


def _along(view: Floats) -> float:
    """The range of what the picture has along its rows, in means of squares."""
    high, wide = (size // SQUARE * SQUARE for size in view.shape)
    squares = view[:high, :wide].reshape(high // SQUARE, SQUARE, wide // SQUARE, SQUARE).mean((1, 3), dtype=np.float64)
    away = squares - np.median(squares, 1, keepdims=True)
    away = away[np.isfinite(away)]
    return float(np.ptp(away)) if away.size else 0.0


def _covariance(parts: Floats) -> tuple[float, float]:
    """The mean covariance of two parts, and the mean variance of one."""
    both = np.cov(parts)
    return float(both[np.triu_indices(PARTS, 1)].mean()), float(both.trace() / PARTS)


def repeated(parts: Floats) -> float:
    """Return the largest covariance of parts of rows with other parts of rows three or more farther on.

    Parameters
    ----------
    parts : array, shape (parts, rows)

    Examples
    --------
    >>> wave = np.sin(np.arange(60) * 2 * np.pi / 7)
    >>> round(repeated(np.stack([wave, wave])), 1)
    0.5
    """
    number, rows = parts.shape
    waves = np.fft.rfft(parts - parts.mean(1, keepdims=True), 2 * rows)
    both = (np.abs(waves.sum(0)) ** 2 - (np.abs(waves) ** 2).sum(0)) / (number * (number - 1))
    covariance = np.fft.irfft(both)[: rows // 2] / (rows - np.arange(rows // 2))
    return float(covariance[3:].max())


def without_stripes(plane: Array, axes: Iterable[str]) -> Array:
    """Return a plane (Y, X), in float32, without the offsets of its ``rows``, its ``columns``, or both.

    Examples
    --------
    >>> rows = np.random.default_rng(0).normal(0, 9, (64, 1))
    >>> flat = without_stripes(100 + np.tile(rows, 64), ["rows"])
    >>> bool(flat.std() < 0.6 * rows.std())
    True
    """
    clean: Array = np.asarray(plane, np.float32)
    for axis in axes if min(clean.shape) >= LEAST_SIDE else ():
        across = clean if axis == "rows" else clean.T
        across = across - offsets(across)[:, None]
        clean = across if axis == "rows" else across.T
    return clean


def destriped(image: Image, axes: Sequence[Iterable[str]]) -> Image:
    """Return an image, in float32, each plane without its own offsets.

    Parameters
    ----------
    image : Image
    axes : sequence of iterables
        Of each channel (and colour): ``"rows"``, ``"columns"``, both or none.
    """
    data = np.array(image.data, np.float32)
    for plane in image.planes(2):
        for sample, values in enumerate(plane.view(data)):
            values[...] = without_stripes(values, axes[plane.channel * image.samples() + sample])
    return replace(image, data=data)


def offsets(plane: Array) -> Floats:
    """Return the offset of each row of (Y, X): what its profile has and a smooth one, with steps, has not.

    The profile is the sum of the steps from row to row, each the mean of the middle half of its pixels. What is smooth
    in it is the picture's: the penalised least squares of its bends (Whittaker), as smooth as generalised
    cross-validation says, and where it must bend sharply the penalty is lifted.

    Raises
    ------
    ValueError
        For fewer than three rows.
    """
    profile = np.concatenate([[0.0], np.cumsum(_steps(plane))])
    bends, penalty = np.ones(len(profile)), _smoothness(profile)
    for _ in range(TURNS):
        smooth = _penalised(profile, penalty * bends)
        away = np.abs(np.diff(np.pad(smooth, 1, "edge"), 2))
        bends = 1 / np.maximum(away / max(STEEP * float(np.median(away)), 1e-30), 1)
    result: Floats = profile - smooth
    return result


def _steps(plane: Array) -> Floats:
    """From each row to the next, the mean of the middle half of the differences; 0 where nothing is known."""
    steps = np.diff(np.asarray(plane, np.float32), axis=0)
    steps[~np.isfinite(steps)] = np.nan
    steps.sort(1)  # NaN comes last
    known = np.isfinite(steps).sum(1, keepdims=True)
    place = np.arange(steps.shape[1])
    half = (place >= known // 4) & (place < known - known // 4)
    result: Floats = np.where(half, steps, 0).sum(1, dtype=np.float64) / np.maximum(half.sum(1), 1)
    return result


def _smoothness(profile: Floats) -> float:
    """The penalty that generalised cross-validation chooses, where all bends count alike."""
    from scipy import fft

    number = len(profile)
    bends = (2 - 2 * np.cos(np.pi * np.arange(number) / number)) ** 2
    waves = fft.dct(profile, norm="ortho")
    kept = 1 / (1 + SMOOTHNESS[:, None] * bends)
    risk = np.square((1 - kept) * waves).sum(1) / np.square(number - kept.sum(1))
    return float(SMOOTHNESS[np.argmin(risk)])


def _penalised(profile: Floats, penalty: Floats) -> Floats:
    """The smooth profile z that minimises ``sum (p - z)^2 + sum penalty * bend(z)^2``."""
    from scipy import linalg

    inner, first, last = penalty[1:-1], penalty[0], penalty[-1]
    bands = np.zeros((3, len(profile)))  # the upper ones; at its ends the profile is mirrored
    bands[2] = 1
    for shift, factor in ((0, 1), (1, 4), (2, 1)):
        bands[2, shift : shift + len(inner)] += factor * inner
    bands[2, [0, 1]] += first
    bands[2, [-2, -1]] += last
    bands[1, 1:-1] -= 2 * inner
    bands[1, 2:] -= 2 * inner
    bands[1, [1, -1]] -= first, last
    bands[0, 2:] += inner
    smooth: Floats = linalg.solveh_banded(bands, profile)
    return smooth
