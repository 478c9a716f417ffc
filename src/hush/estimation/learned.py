"""What a learned estimate of the level changes in an analysis: the line keeps its shape, and gets another level."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hush.core.image import Array
from hush.estimation.band_energies import band_energies
from hush.estimation.flat_blocks import TINY, TooFewBlocksError
from hush.estimation.report import ChannelNoise

INVISIBLE_NOISE = 0.4 / 255  # of the extent: noise that is none
STORED_NOISE = 1.5  # steps between values: less is hardly more than rounding, and could not be written
SEEN_PIXELS = 1 << 14  # of a plane, over which variance is averaged
LEARNED_KINDS = ("none", "gaussian", "poisson", "poisson_gaussian", "speckle")  # of which it has learned
MOST_SPECKLE = 0.4 * 255  # sigma of the strongest of which it has
ENDS = (0.005, 0.995)  # quantiles of the values, between which is the extent


@dataclass(frozen=True)
class Evidence:
    """What flat blocks say of the noise of some planes.

    Attributes
    ----------
    level : float
        Root of the mean variance over all pixels.
    extent : float
        Of the values.
    noise : ChannelNoise
    bands : array, shape (BAND_FACTS,)
        What blocks hold at every frequency, see `hush.estimation.band_energies`.
    """

    level: float
    extent: float
    noise: ChannelNoise
    bands: NDArray[np.float32]

    @classmethod
    def of(cls, noise: ChannelNoise, planes: Sequence[Array]) -> Evidence:
        """Take the noise that was found over all values of the planes (Y, X).

        Raises
        ------
        TooFewBlocksError
            Where pixels are missing in nearly all blocks.
        """
        each = [plane[np.isfinite(plane)] for plane in planes]
        values = np.concatenate([one[:: max(1, one.size // SEEN_PIXELS)] for one in each])
        if not values.size:
            raise TooFewBlocksError("nothing is known")
        variance = noise.a * values + noise.b if noise.kind != "speckle" else (noise.sigma / 255 * values) ** 2
        extent = float(np.ptp(np.quantile(values, ENDS)))
        bands = band_energies(planes, max(extent, TINY))
        return cls(float(np.sqrt(np.mean(np.maximum(variance, 0)))), extent, noise, bands)


# planes of one channel, and what blocks say -> five rising quantiles of the level, or None where it cannot tell
Estimator = Callable[[Sequence[Array], Evidence], NDArray[np.float64] | None]


def with_learned_level(found: ChannelNoise, planes: Sequence[Array], estimator: Estimator) -> ChannelNoise:
    """Return the noise at its learned level, with its interval.

    Flat blocks know the level well where some are flat, and take texture for noise where none is. The learned interval
    is honest in both: where the level of the blocks lies in it, it stays; else the learned middle takes its place, and
    the variance keeps its dependence on brightness.

    Parameters
    ----------
    found : ChannelNoise
        Of the planes, in their units.
    planes : sequence of array, shape (Y, X)
    estimator : callable
    """
    counted = found.photons or found.binary or found.apart  # single photons tell more than any block
    grainy = found.kind == "speckle" and found.sigma > MOST_SPECKLE
    if found.given or counted or grainy or found.kind not in LEARNED_KINDS:
        return found
    try:
        blocks = Evidence.of(found, planes)
    except TooFewBlocksError:
        return found
    told = estimator(planes, blocks) if blocks.extent > 0 else None
    if told is None:
        return found
    found = replace(found, learned=True)
    low, middle, high = float(told[0]), float(told[2]), float(told[-1])
    if middle < max(INVISIBLE_NOISE * blocks.extent, STORED_NOISE * (found.quantisation or 0.0)):
        interval = found.interval | {"level": (0.0, high)}
        return replace(found, kind="none", a=0.0, b=middle**2, sigma=middle, gain=0.0, interval=interval)
    if found.kind == "none" or not blocks.level > 0:
        return _of_one_level(found, (low, middle, high))
    share = found.level / blocks.level  # of the level at the brightness that the interval is for
    if low <= blocks.level <= high:
        return replace(found, interval=found.interval | {"level": (low * share, high * share)})
    return _scaled(found, middle / blocks.level, (low * share, high * share))


def _of_one_level(found: ChannelNoise, told: tuple[float, float, float]) -> ChannelNoise:
    low, middle, high = told
    interval = {"a": (0.0, 0.0), "level": (low, high)}
    return replace(found, kind="gaussian", sigma=middle, a=0.0, b=middle**2, gain=0.0, interval=interval)


def _scaled(found: ChannelNoise, factor: float, ends: tuple[float, float]) -> ChannelNoise:
    """The same noise at another level."""
    square = factor**2
    slope = found.interval.get("a", (found.a, found.a))
    interval = {"a": (square * slope[0], square * slope[1]), "level": ends}
    kind = "poisson_gaussian" if found.gain > 0 else found.kind
    return replace(
        found, kind=kind, gain=square * found.gain, sigma=factor * found.sigma, a=square * found.a, b=square * found.b,
        interval=interval, apart=False,
    )  # fmt: skip
