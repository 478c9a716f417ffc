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
