"""The certain part of what seems noise, and the bound of what stays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hush.core.image import Array, Image
from hush.estimation.correlation import like
from hush.estimation.report import ChannelNoise, NoiseReport
from hush.methods._base import Result
from hush.quality import risk
from hush.quality.estimate import Denoise, Domain, middle
from hush.vst.stabilizer import Stabilizer

SURE = 0.85  # of the level: where the lowest is above, it is not worth a look at how much of the noise passes


def certain_shares(noisy: Image, clean: Image, report: NoiseReport, denoise: Denoise) -> list[float]:
    """Return for each channel the share of what was removed that is surely noise: 1 where the level is sure enough.

    Of noise of variance v, a share t of the residual y - f is removed at a change of the squared error of
    ``t^2 m - 2 t v (1 - d)`` per pixel (Stein), where m is the mean of (y - f)^2 and d the mean of f's derivative. It
    is below zero for every v down to l, the lowest that is likely, if ``t < 2 l (1 - d) / m``.

    Parameters
    ----------
    noisy, clean : Image
        Best a window of both, see `hush.quality.estimate.middle`.
    report : NoiseReport
        With an interval for the level.
    denoise : callable
        What made the one of the other.
    """
    samples, shares = noisy.samples(), [1.0] * noisy.channels
    if all(lowest(one) is None for one in report.channels):
        return shares
    domain = Domain(noisy, report)
    before = domain.stack(noisy.data, Stabilizer.forward)
    after = domain.stack(clean.data, Stabilizer.forward_mean)
    hit = domain.stack(noisy.data, Stabilizer.hit)
    with np.errstate(invalid="ignore"):  # infinite values stay
        removed = np.square(before - after)
    power = np.square(domain.deviation(after))
    passing: Array | None = None
    for number, ((plane, sample, way), squares) in enumerate(zip(domain.places, removed, strict=True)):
        low = lowest(report.channels[plane.channel * samples + sample])
        known = np.isfinite(squares) & ~hit[number]
        if low is None or not known.any() or not way.sigma > 0:
            continue
        share = 2 * low**2 * float(power[number][known].sum()) / max(float(squares[known].sum()), 1e-30)
        if low < SURE:
            passing = _passing(middle(noisy), report, denoise) if passing is None else passing
            share *= 1 - float(passing[number])
        shares[plane.channel] = min(shares[plane.channel], share)
    return shares


def _passing(window: Image, report: NoiseReport, denoise: Denoise) -> Array:
    """The share of a little noise that passes, for every plane of a window: a Monte-Carlo divergence."""
    domain = Domain(window, report)
    noisy = domain.stack(window.data, lambda way, plane: way.forward(way.repair(plane)))  # a moved impulse is none
    if np.isnan(noisy).any():
        return np.zeros(len(noisy))
    probe = like(noisy.shape, domain.lags, 0).astype(np.float32)
    found = risk.stein(domain.through(denoise), noisy, domain.deviation(noisy), probe=probe)
    passed: Array = found.passed.mean((1, 2)) / np.maximum(2 * found.power.mean((1, 2)), 1e-30)
    return np.clip(passed, 0, 1)


def lowest(noise: ChannelNoise) -> float | None:
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
        noises = report.channels[plane.channel * samples : (plane.channel + 1) * samples]
        before, after = plane.view(noisy.data), plane.view(result.image.data)
        each = zip(map(Stabilizer, noises), np.asarray(before, np.float32), strict=True)
        hit = np.stack([way.hit(one) for way, one in each])
        with np.errstate(invalid="ignore"):
            mixed = before + share * (np.asarray(after, np.float64) - before)
        if result.std is not None:
            spread = plane.view(result.std.data)
            wider = np.hypot(share * spread, (1 - share) * _deviation(np.asarray(after, np.float64), noises))
            spread[...] = np.where(hit, spread, wider)
        after[...] = np.where(hit, after, np.where(np.isfinite(mixed), mixed, before))


def fill_with_bound(noisy: Image, std: Image, report: NoiseReport) -> None:
    """Write into a standard deviation the most noise that may be in an image that was left as it is."""
    samples = noisy.samples()
    for plane in noisy.planes(2):
        noises = report.channels[plane.channel * samples : (plane.channel + 1) * samples]
        spread = plane.view(std.data)
        for one, noise in zip(spread, noises, strict=False):
            rounded = (noise.quantisation or 0.0) / 12**0.5
            one[...] = max(noise.interval.get("level", (0.0, 0.0))[1], noise.level, rounded)


def _deviation(clean: Array, noises: Sequence[ChannelNoise]) -> Array:
    """The noise's standard deviation at every pixel of (C, Y, X)."""
    return np.stack([np.sqrt(np.maximum(n.a * one + n.b, 0)) for n, one in zip(noises, clean, strict=True)])
