"""Doubts: what speaks against a result, in words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hush.core.image import Array, Image
from hush.estimation.level import FLAT
from hush.estimation.report import NoiseReport
from hush.estimation.saturation import flat
from hush.quality import risk
from hush.quality.estimate import Domain
from hush.vst.stabilizer import Stabiliser

LEAST = 64  # pixels a side: smaller images say too little
SHARED = 0.1  # correlation of neighbours in what was removed from which on it is not the noise alone
KEPT = -0.2  # the same below which noise was kept: a mean over neighbours leaves what alternates
STRUCTURE = 2.5  # variance of the means of 8 x 8 removed pixels, in units of what noise alone would have
SLOPE = 0.05  # departure of the slope of brightness after against before
TELLING = 100  # the same variance of the noisy image from which on a slope through block means says something
LITTLE, MUCH = 0.6, 1.3  # power of what was removed, in units of the noise's
PATTERN = 22  # peak in the spectrum of what was removed: development images have up to 18
LESS = 0.75  # of the level found: where the network sees less, and nearly nothing is flat, it is texture
OFFSET = 0.1  # departure of mean brightness, in standard deviations of the noise


def texture(report: NoiseReport, own: Sequence[float]) -> str:
    """Say why what was found is likely texture: nearly nothing is flat, neighbours share it, the network sees far less.

    Parameters
    ----------
    report : NoiseReport
        What noise was found.
    own : sequence of float
        Multiples of its level at which the network is at peace with itself.
    """
    said = any(channel.said or channel.white or channel.flat >= FLAT for channel in report.channels)
    if said or not own or max(own) >= LESS:
        return ""
    return f"it stays as it is; the network sees {max(own):.2g} times as much; if it is noise, say --noise"


def doubts(noisy: Image, clean: Image, report: NoiseReport, level: float = 1.0) -> list[str]:
    """Say what speaks against a result: what was removed is not the noise alone, or brightness moved.

    Parameters
    ----------
    noisy, clean : Image
        Best a window of both, see `hush.quality.estimate.middle`.
    report : NoiseReport
        What noise there is.
    level : float
        Multiple of its level that was found better.
    """
    if min(noisy.sizes["Y"], noisy.sizes["X"]) < LEAST or not np.isfinite(np.asarray(noisy.data, np.float32)).all():
        return []
    domain = Domain(noisy, report)
    before = domain.stack(noisy.data, lambda way, plane: way.forward(way.repair(plane)))  # impulses are meant to go
    after = domain.stack(clean.data, Stabiliser.forward_mean)
    areas, said = domain.stack(noisy.data, _flat), []
    if areas.all():
        return []
    # of all pixels together: where photons are few there is hardly any noise to compare with
    spread = level * float(np.sqrt(np.mean(domain.deviation(after)[~areas] ** 2)))
    for area, one, other in zip(areas, before, after, strict=True):
        other[area] = one[area] = other.mean()  # a masked background says nothing
    if all(channel.white for channel in report.channels):
        said = _shape((before - after) / spread, float(areas.mean()))
    found = risk.residual(before, after)
    # where blocks differ by little but their noise, a line through them says nothing; noise itself makes it flatter
    structure = _structure(before / spread)
    if structure > TELLING and abs(found["slope"] - 1 + 1 / structure) > SLOPE:
        said.append(f"contrast was changed: bright against dark is {found['slope']:.2f} of what it was")
    shift = float(np.mean((before - after) / spread))
    if abs(shift) > OFFSET:
        said.append(f"brightness was moved by {-shift:+.2f} standard deviations of the noise")
    return said


def _flat(_: Stabiliser, plane: Array) -> Array:
    area = flat(plane)
    return np.zeros(plane.shape, bool) if area is None else area


def _shape(rest: Array, flat: float) -> list[str]:
    """Whether what was removed, (planes, Y, X) in deviations of white noise, is that noise; a share of it is flat."""
    said = []
    power = float(np.mean(rest**2)) / (1 - flat)
    white = risk.residual(rest, np.zeros_like(rest))["whiteness"]
    if white > SHARED:
        said.append(f"neighbours share what was removed (correlation {white:.2f}): fine detail may be lost")
    if white < KEPT:
        said.append(f"what was removed alternates (correlation {white:.2f}): part of the noise has stayed")
    if power < LITTLE:
        said.append(f"only {power:.0%} of the noise's power was removed: part of the noise has stayed")
    if power > MUCH:
        said.append(f"{power:.1f} times the noise's power was removed: detail may be lost")
    structure = _structure(rest)
    if structure > STRUCTURE:
        said.append(f"structure is left in what was removed ({structure:.1f} times what noise alone would show)")
    if _pattern(rest) > PATTERN:
        said.append("a pattern that repeats was removed with the noise: if it is of the image, try --effort balanced")
    return said


def _pattern(rest: Array) -> float:
    """The highest peak in the spectra of squares of (planes, Y, X), in units of what white noise has in the mean.

    Chance has 11 in a window of 256 x 256 and 14 in one of 1024 x 1024. A square that has more of everything, as a
    bright one in the dark where photons are few, is measured by what it has.
    """
    window = np.outer(np.hanning(LEAST + 2)[1:-1], np.hanning(LEAST + 2)[1:-1])
    window /= np.sqrt((window**2).sum())
    squares = np.lib.stride_tricks.sliding_window_view(rest, (LEAST, LEAST), (-2, -1))
    half = squares[:, :: LEAST // 2, :: LEAST // 2]
    highest = 0.0
    for row in half.swapaxes(0, 1):
        power = np.abs(np.fft.rfft2(row * window)) ** 2
        highest = max(highest, float((power.max((-2, -1)) / np.maximum(power.mean((-2, -1)), 1)).max()))
    return highest


def _structure(rest: Array, block: int = 8) -> float:
    """Variance of the means of blocks of (planes, Y, X), in units of what white noise of deviation 1 would have."""
    high, wide = (size // block * block for size in rest.shape[-2:])
    split = rest[..., :high, :wide].reshape(*rest.shape[:-2], high // block, block, wide // block, block)
    return float(split.mean((-3, -1)).var() * block**2)
