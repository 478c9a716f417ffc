"""The certain part of what seems noise: as much is removed as cannot harm at the lowest level that is likely."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hush.core.image import Array, Image
from hush.estimation.report import ChannelNoise, NoiseReport
from hush.methods._base import Result
from hush.quality.estimate import Domain
from hush.vst.stabilizer import Stabilizer

MOST_SQUARE = 25.0  # of a residual in units of the noise's variance: what is further off is kept anyway


def certain_shares(noisy: Image, clean: Image, report: NoiseReport) -> list[float]:
    """Return for each channel the share of what was removed that is surely noise: 1 where the level is sure enough.

    Of noise of variance v, a share t of the residual y - f is removed at a change of the squared error of
    ``t^2 m - 2 t v (1 - d)`` per pixel (Stein), where m is the mean of (y - f)^2 and d, small, the mean of f's
    derivative. It is below zero for every v down to l, the lowest that is likely, if ``t < 2 l (1 - d) / m``.

    Parameters
    ----------
    noisy, clean : Image
        Best a window of both, see `hush.quality.estimate.middle`.
    report : NoiseReport
        With an interval for the level.
    """
    samples = noisy.samples()
    shares = [1.0] * noisy.channels
    if all(_lowest(one) is None for one in report.channels):
        return shares
    domain = Domain(noisy, report)
    before = domain.stack(noisy.data, lambda way, plane: way.forward(way.repair(plane)))
    after = domain.stack(clean.data, Stabilizer.forward_mean)
    with np.errstate(invalid="ignore"):  # infinite values stay
        removed = np.square((before - after) / np.maximum(domain.deviation(after), 1e-30))
    for (plane, sample, way), squares in zip(domain.places, removed, strict=True):
        low = _lowest(report.channels[plane.channel * samples + sample])
        known = squares[np.isfinite(squares)]
        if low is None or not known.size or not way.sigma > 0:
            continue
        share = 2 * low**2 / max(float(np.minimum(known, MOST_SQUARE).mean()), 1e-9)
        shares[plane.channel] = min(shares[plane.channel], share)
    return shares


def _lowest(noise: ChannelNoise) -> float | None:
    """The lowest likely level in units of the level; None where it was said, or its interval is not learned."""
    if noise.given or not noise.learned or not noise.level > 0:
        return None
    return float(np.clip(noise.interval["level"][0] / noise.level, 0, 1))


def keep_the_rest(noisy: Image, result: Result, shares: Sequence[float], report: NoiseReport) -> None:
    """Mix back what is not surely noise; the standard deviation then holds the noise that stays."""
    samples = noisy.samples()
    for plane in noisy.planes(2):
        share = shares[plane.channel]
        if share >= 1:
            continue
        before, after = plane.view(noisy.data), plane.view(result.image.data)
        with np.errstate(invalid="ignore"):
            mixed = before + share * (np.asarray(after, np.float64) - before)
        if result.std is not None:
            noises = report.channels[plane.channel * samples : (plane.channel + 1) * samples]
            spread = plane.view(result.std.data)
            spread[...] = np.hypot(share * spread, (1 - share) * _deviation(np.asarray(after, np.float64), noises))
        after[...] = np.where(np.isfinite(mixed), mixed, before)


def _deviation(clean: Array, noises: Sequence[ChannelNoise]) -> Array:
    """The noise's standard deviation at every pixel of (C, Y, X)."""
    return np.stack([np.sqrt(np.maximum(n.a * one + n.b, 0)) for n, one in zip(noises, clean, strict=True)])
