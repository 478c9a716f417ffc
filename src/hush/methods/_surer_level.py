"""The lowest likely level of white noise, raised by an estimate that is surer of it than the analysis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from hush.core.findings import Decision
from hush.core.image import Image
from hush.estimation.report import NoiseReport
from hush.methods._certain import SURE, lowest
from hush.methods._counts import summed
from hush.pretrained.analyze import analyze
from hush.pretrained.conditioning import PEAK
from hush.pretrained.level_data import LEVELS
from hush.quality.estimate import middle
from hush.quality.risk import Consistent

AGREED = (0.85, 1.1)  # multiples of the level that was found at which the network's own agrees with it
LEAST_OF_AGREED = 0.7  # of a level on which both agree: what it is at least, by development images
MOST_PASSED = 0.75  # share of its noise that passes a network which can still say how strong that is
MEANS_OF = 2  # pixels a side: the means of so many have a half of white noise
MEANS_SIDE = 1024  # of the window of which they are taken


def unsure(report: NoiseReport) -> bool:
    """Whether the lowest likely level of a channel is so far below its level that noise may have to stay."""
    return any(low is not None and low < SURE for low in map(lowest, report.channels))


def with_lowest(report: NoiseReport, levels: Sequence[float]) -> NoiseReport:
    """Return a report whose lowest likely levels are raised to what another estimate is sure of, for every channel.

    No more is believed than the level that was found.
    """
    channels = []
    for one, level in zip(report.channels, levels, strict=True):
        low, high = one.interval.get("level", (one.level, one.level))
        channels.append(replace(one, interval=one.interval | {"level": (max(low, min(level, one.level)), high)}))
    return replace(report, channels=tuple(channels))


def least_of(report: NoiseReport) -> Decision:
    """Say how much of the level of the least sure channel there is at least, beside what is sure enough."""
    shares = [low for low in map(lowest, report.channels) if low is not None]
    return Decision.at_least("lowest-level", min(shares, default=1.0), SURE)


def of_all(report: NoiseReport, level: float) -> list[float]:
    """Divide a level of all channels together, the root of the mean of their variances, as what was found is."""
    found = float(np.sqrt(np.mean([one.level**2 for one in report.channels])))
    return [level * one.level / max(found, 1e-30) for one in report.channels]


def agreed(report: NoiseReport, found: Sequence[Consistent | None]) -> NoiseReport:
    """Return a report whose lowest levels are raised where the network by itself finds the level of the analysis.

    What the network removes, and its own uncertainty, make up the noise that it was told: this holds of noise, and not
    of texture, which it takes for more noise than there is. Of noise that it passes it can say nothing.

    Parameters
    ----------
    report : NoiseReport
    found : sequence of Consistent or None
        The network's own level over that of the analysis, for each channel; see `hush.quality.risk.consistent`.
    """
    samples = len(report.channels) // max(len(found), 1)
    if not unsure(report) or samples * len(found) != len(report.channels):
        return report
    sure = [one.factor if one and _agrees(one) else 0.0 for one in found for _ in range(samples)]
    levels = [LEAST_OF_AGREED * factor * one.level for one, factor in zip(report.channels, sure, strict=True)]
    return with_lowest(report, levels)


def _agrees(found: Consistent) -> bool:
    """Whether a network's own level is that of the analysis."""
    return found.passed <= MOST_PASSED and AGREED[0] <= found.factor <= AGREED[1]


def seen_in_means(report: NoiseReport, image: Image) -> NoiseReport:
    """Return a report whose lowest levels are what means of 2 x 2 pixels show, if noise is too strong for it.

    ::

        σ(mean of 2 x 2) = σ / 2

    holds for white noise, also where it was cut off. The estimator of the level knows noise of up to 70 of 255; where
    what it holds possible reaches beyond, it is asked again about the means, in which the noise is one that it knows.
    """
    most = LEVELS[1] / PEAK * report.peak
    ends = [one.interval.get("level", (0.0, 0.0))[1] for one in report.channels]
    if max(ends) < most or not unsure(report) or not all(one.white for one in report.channels):
        return report
    sums = summed(middle(image, MEANS_SIDE), MEANS_OF)
    found = analyze(replace(sums, data=sums.data / MEANS_OF**2))
    if found.recommendation["method"] is None:
        return report
    lows = [one.interval.get("level", (0.0, 0.0))[0] if one.white else 0.0 for one in found.channels]
    return with_lowest(report, [MEANS_OF * low for low in lows])
