"""Doubts: what speaks against a result, in words."""

from __future__ import annotations

import numpy as np

from hush.core.findings import Finding
from hush.core.image import Array, Image
from hush.estimation.report import NoiseReport
from hush.estimation.saturation import flat
from hush.quality import risk
from hush.quality.estimate import Domain
from hush.vst.stabilizer import Stabilizer

SMALLEST_SIDE = 64  # pixels a side: smaller images say too little
RESIDUAL_SHARED = 0.1  # correlation of neighbours in what was removed from which on it is not the noise alone
ALTERNATES = -0.2  # the same below which noise was kept: a mean over neighbours leaves what alternates
STRUCTURE = 2.5  # variance of the means of 8 x 8 removed pixels, in units of what noise alone would have
SLOPE = 0.05  # departure of the slope of brightness after against before
TELLING = 100  # the same variance of the noisy image from which on a slope through block means says something
POWER_LITTLE, POWER_MUCH = 0.6, 1.3  # power of what was removed, in units of the noise's
PATTERN = 22  # peak in the spectrum of what was removed: development images have up to 18
SQUARE_SIDE = 8  # side of the squares whose medians have the contrast of an image
# deviations of such a median beyond which contrast is sure; share of it that none has
SURE_CONTRAST, NO_CONTRAST = 10.0, 0.02
OFFSET = 0.1  # departure of mean brightness, in standard deviations of the noise


def diagnose(noisy: Image, clean: Image, report: NoiseReport, level: float = 1.0) -> list[Finding]:
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
    if (
        min(noisy.sizes["Y"], noisy.sizes["X"]) < SMALLEST_SIDE
        or not np.isfinite(np.asarray(noisy.data, np.float32)).all()
    ):
        return []
    domain = Domain(noisy, report)
    before = domain.stack(noisy.data, lambda way, plane: way.forward(way.repair(plane)))  # impulses are meant to go
    after = domain.stack(clean.data, Stabilizer.forward_mean)
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
        said.append(_found("contrast-changed", found["slope"], "The contrast is {:.2f} of what it was."))
    shift = float(np.mean((before - after) / spread))
    if abs(shift) > OFFSET:
        said.append(_found("brightness-changed", -shift, "The mean moved by {:+.2f} standard deviations of the noise."))
    return said


def contrast_lost(noisy: Array, clean: Array) -> bool:
    """Return whether a denoised (Y, X) has none of the contrast that the noisy one surely has: in medians of squares.

    Examples
    --------
    >>> image = np.linspace(-90, 90, 64) + np.random.default_rng(0).normal(0, 9, (64, 64))
    >>> contrast_lost(image, 0 * image), contrast_lost(image, image / 2), contrast_lost(image * 0 + 3, image * 0)
    (True, False, False)
    """
    high, wide = (size // SQUARE_SIDE for size in noisy.shape)
    skip = max(1, noisy.size >> 18)
    spreads, middles = [], []
    for plane in (noisy, clean):
        cut = (
            plane[: high * SQUARE_SIDE, : wide * SQUARE_SIDE]
            .reshape(high, SQUARE_SIDE, wide, SQUARE_SIDE)[::skip]
            .swapaxes(1, 2)
        )
        blocks = np.asarray(cut, np.float64).reshape(-1, SQUARE_SIDE**2)
        with np.errstate(invalid="ignore"):  # squares with infinite values are left out
            middles.append(np.median(blocks, 1))
            spreads.append(blocks.std(1))
    known = np.isfinite(middles[0]) & np.isfinite(middles[1])
    if known.sum() < SQUARE_SIDE**2:
        return False
    before, after = (float(np.ptp(np.quantile(each[known], [0.05, 0.95]))) for each in middles)
    return before > SURE_CONTRAST * float(np.median(spreads[0][known])) / SQUARE_SIDE and after < NO_CONTRAST * before


def _flat(_: Stabilizer, plane: Array) -> Array:
    area = flat(plane)
    return np.zeros(plane.shape, bool) if area is None else area


def _found(code: str, figure: float, sentence: str) -> Finding:
    return Finding(code, sentence.format(figure), float(figure))


def _shape(rest: Array, flat: float) -> list[Finding]:
    """Whether the residual (planes, Y, X), in standard deviations of white noise, is that; a share of it is flat."""
    said = []
    power = float(np.mean(rest**2)) / (1 - flat)
    white = risk.residual(rest, np.zeros_like(rest))["whiteness"]
    if white > RESIDUAL_SHARED:
        said.append(
            _found(
                "residual-correlated", white, "The residual is spatially correlated ({:.2f}): fine detail may be lost."
            )
        )
    if white < ALTERNATES:
        said.append(
            _found("residual-alternates", white, "The residual alternates ({:.2f}): part of the noise is left.")
        )
    if power < POWER_LITTLE:
        said.append(_found("power-low", power, "Only {:.0%} of the noise's power was removed: part of it is left."))
    if power > POWER_MUCH:
        said.append(_found("power-high", power, "{:.1f} times the noise's power was removed: detail may be lost."))
    structure = _structure(rest)
    if structure > STRUCTURE:
        said.append(
            _found("residual-structure", structure, "The residual has structure ({:.1f} times that of noise alone).")
        )
    pattern = _pattern(rest)
    if pattern > PATTERN:
        sentence = "A periodic pattern was removed (peak {:.0f}): if it is part of the image, try --effort balanced."
        said.append(_found("residual-periodic", pattern, sentence))
    return said


def _pattern(rest: Array) -> float:
    """The highest peak in the spectra of squares of (planes, Y, X), in units of what white noise has in the mean.

    Chance has 11 in a window of 256 x 256 and 14 in one of 1024 x 1024. A square that has more of everything, as a
    bright one in the dark where photons are few, is measured by what it has.
    """
    window = np.outer(np.hanning(SMALLEST_SIDE + 2)[1:-1], np.hanning(SMALLEST_SIDE + 2)[1:-1])
    window /= np.sqrt((window**2).sum())
    squares = np.lib.stride_tricks.sliding_window_view(rest, (SMALLEST_SIDE, SMALLEST_SIDE), (-2, -1))
    half = squares[:, :: SMALLEST_SIDE // 2, :: SMALLEST_SIDE // 2]
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
