"""What a learned estimate of the level changes in an analysis: the line keeps its shape, and gets another level."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hush.core.image import Array
from hush.estimation.report import ChannelNoise

# planes of one channel -> five quantiles of the level of their noise, rising, or None where it cannot tell
Estimator = Callable[[Sequence[Array]], NDArray[np.float64] | None]
INVISIBLE_NOISE = 0.4 / 255  # of the extent: noise that is none
SURE_NOISE = 1.5 / 255  # of the extent, where blocks found none and the lowest quantile is above it
SEEN_PIXELS = 1 << 14  # of a plane, over which variance is averaged
LEARNED_KINDS = ("none", "gaussian", "poisson", "poisson_gaussian")  # of which it has learned


def with_learned_level(found: ChannelNoise, planes: Sequence[Array], estimator: Estimator) -> ChannelNoise:
    """Return the noise with the learned interval of its level, and its level where it lies outside of that.

    Flat blocks know the level well where some are flat, and take texture for noise where none is. The learned interval
    is sure of neither: where the level of the blocks lies in it, it stays; else the learned middle takes its place, and
    the variance keeps its dependence on brightness.

    Parameters
    ----------
    found : ChannelNoise
        Of the planes, in their units.
    planes : sequence of array, shape (Y, X)
    estimator : callable
    """
    if found.given or found.photons or found.binary or found.kind not in LEARNED_KINDS:
        return found
    told = estimator(planes)
    if told is None:
        return found
    found = replace(found, learned=True)
    low, middle, high = float(told[0]), float(told[2]), float(told[-1])
    values = np.concatenate([plane[np.isfinite(plane)][:: max(1, plane.size // SEEN_PIXELS)] for plane in planes])
    extent = float(np.ptp(np.quantile(values, [0.005, 0.995])))
    if found.kind == "none":
        if low <= SURE_NOISE * extent:
            return replace(found, interval=found.interval | {"level": (0.0, high)})
        return _of_one_level(found, (low, middle, high))
    level = float(np.sqrt(np.mean(np.maximum(found.a * values + found.b, 0))))
    if not level > 0:
        return found
    share = found.level / level  # of the level at the brightness that the interval is for
    if low <= level <= high:
        return replace(found, interval=found.interval | {"level": (low * share, high * share)})
    if middle < INVISIBLE_NOISE * extent:
        interval = found.interval | {"level": (0.0, high)}
        return replace(found, kind="none", a=0.0, b=0.0, sigma=0.0, gain=0.0, interval=interval)
    return _scaled(found, middle / level, (low * share, high * share))


def _of_one_level(found: ChannelNoise, told: tuple[float, float, float]) -> ChannelNoise:
    low, middle, high = told
    interval = {"a": (0.0, 0.0), "level": (low, high)}
    return replace(found, kind="gaussian", sigma=middle, a=0.0, b=middle**2, interval=interval, doubt=None)


def _scaled(found: ChannelNoise, factor: float, ends: tuple[float, float]) -> ChannelNoise:
    """The same noise at another level."""
    square = factor**2
    slope = found.interval.get("a", (found.a, found.a))
    interval = {"a": (square * slope[0], square * slope[1]), "level": ends}
    kind = "poisson_gaussian" if found.gain > 0 else found.kind
    return replace(
        found, kind=kind, gain=square * found.gain, sigma=factor * found.sigma, a=square * found.a, b=square * found.b,
        interval=interval, apart=False, doubt=None,
    )  # fmt: skip
