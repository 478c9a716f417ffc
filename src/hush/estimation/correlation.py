"""The level of spatially correlated noise, measured at all frequencies, in blocks among flat blocks.

Such noise is strong at low frequencies, where texture is too, so a block cannot be called flat for holding little
there: that would pick the blocks where the noise happens to be weak. Here the four blocks beside it decide. Texture
comes in regions, and noise shared over a pixel or two does not reach into the next block: a block whose neighbours
hold little energy is as flat as they are, and its own noise had no say. Where a region of flat blocks exists, the
energy no longer falls with that of the neighbours (a plateau), and scatters among blocks as chance has it; where
either fails there is only texture, and no answer is trusted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, special

from hush.core.image import Array
from hush.estimation import flat_blocks
from hush.estimation.flat_blocks import BLOCK_SIDE, LAGS, TINY, Floats
from hush.estimation.report import ChannelNoise

PICKED = 0.05  # of the blocks, those with the calmest neighbours
LEAST_SIDE = 24  # blocks that are picked
FEWEST_PAIRS = 200  # blocks of an image: fewer say nothing about how energy falls
MEDIAN = 0.45494  # of the square of a normal number


@dataclass(frozen=True)
class Shared:
    """Noise measured at all frequencies.

    Attributes
    ----------
    ratio : float
        Variance over that of the line it was measured by.
    lags : dict
        Correlation at (rows, columns) of distance.
    slope : float
        Energy of blocks with less calm neighbours over that of the calmest: 1 on a plateau, more in texture.
    scatter : float
        How much the energy differs among blocks, over what chance has: 1 for noise, more for texture.
    floor : float
        Energy of the calmest blocks of all, over what chance has: little more than 1 where all blocks hold the noise.
    """

    ratio: float
    lags: dict[tuple[int, int], float]
    slope: float
    scatter: float
    floor: float

    def oddity(self, slope: float, scatter: float, floor: float) -> float:
        """Return how far it is from what noise would be: 1 where one of three limits is reached."""
        return max(self.slope / slope, self.scatter / scatter, self.floor / floor)


def measure(
    planes: Sequence[tuple[Floats, Floats]],
    fitted: flat_blocks.Line,
    low: float | None = None,
    high: float | None = None,
) -> Shared | None:
    """Measure spatially correlated noise; None where there are too few blocks.

    Parameters
    ----------
    planes : sequence of (brightness, noisy), arrays of shape (Y, X)
        As `hush.estimation.flat_blocks.points` takes them.
    fitted : Line
        How variance goes with brightness: every block is measured in units of it.
    low, high : float, optional
        Values at which the image is clipped.
    """
    energy, calm = _calm(planes, fitted, low, high)
    count = int(np.isfinite(calm).sum())
    if count < FEWEST_PAIRS:
        return None
    order = np.argsort(calm, kind="stable")[:count]
    total = energy[order, 1:].sum(1)
    few, some = max(LEAST_SIDE, int(0.4 * PICKED * count)), max(LEAST_SIDE, int(PICKED * count))
    first, middle, later = (float(np.median(part)) for part in (total[:few], total[:some], total[some : 2 * some]))
    least, most = np.quantile(total[:some], [0.1, 0.9])
    if min(first, middle, least) <= 0:
        return None
    # the median takes no notice of a few blocks that have an edge in spite of their neighbours
    spectrum = np.median(energy[order[:some]], 0).astype(float).reshape(BLOCK_SIDE, BLOCK_SIDE) / MEDIAN + TINY
    spectrum[0, 0] = 0
    freedom = spectrum.sum() ** 2 / (spectrum**2).sum()
    lowest, tenth, half, ninth = special.gammaincinv(freedom / 2, [0.01, 0.1, 0.5, 0.9])
    spectrum[0, 0] = _mean(spectrum)
    return Shared(
        ratio=float(spectrum.mean()),
        lags=_lags(spectrum),
        slope=later / first,
        scatter=float(np.log(most / least) / np.log(ninth / tenth)),
        floor=float(np.quantile(total, 0.01) / middle * half / lowest),
    )


def _calm(
    planes: Sequence[tuple[Floats, Floats]], fitted: flat_blocks.Line, low: float | None, high: float | None
) -> tuple[Floats, NDArray[np.float64]]:
    """Energies of all blocks in units of the line, and how much energy their neighbours have."""
    step = flat_blocks.stride(planes)
    away = -(-BLOCK_SIDE // step)  # the nearest blocks that share no pixel
    energies, calms = [np.zeros((0, BLOCK_SIDE * BLOCK_SIDE), np.float32)], [np.zeros(0)]
    for plane in planes:
        if min(plane[1].shape) < BLOCK_SIDE:
            continue
        means, energy, usable = flat_blocks.transform([plane], low, high, step)
        energy /= np.maximum(fitted.a * means + fitted.b, 0.05 * fitted.level)[:, None]
        shape = [(size - BLOCK_SIDE) // step + 1 for size in plane[1].shape]
        total = np.pad(np.where(usable, energy[:, 1:].sum(1), np.inf).reshape(shape), away, constant_values=np.inf)
        beside = [
            total[away + y : away + y + shape[0], away + x : away + x + shape[1]]
            for y, x in ((-away, 0), (away, 0), (0, -away), (0, away))
        ]
        third = np.sort(beside, axis=0)[2]  # one of the four may be beyond the border of a flat region
        energies.append(energy)
        calms.append(np.where(usable, third.ravel(), np.inf))
    return np.concatenate(energies), np.concatenate(calms)


def _mean(spectrum: Floats) -> float:
    """Energy of a block's mean, which the scene hides: the lowest frequencies, continued as a Gaussian would be."""
    first, second = ((spectrum[0, k] + spectrum[k, 0]) / 2 for k in (1, 2))
    return float(first * np.clip(first / second, 1, 8) ** (1 / 3))


def _lags(spectrum: Floats) -> dict[tuple[int, int], float]:
    """Correlation between neighbours: the cosine transform of the spectrum, whose ends count half."""
    whole = np.pad(spectrum, (0, 1), mode="edge")
    half = np.ones(BLOCK_SIDE + 1)
    half[[0, -1]] = 0.5
    waves = [half * np.cos(np.pi * np.arange(BLOCK_SIDE + 1) * lag / BLOCK_SIDE) for lag in range(3)]
    values = {(y, x): float(waves[y] @ whole @ waves[x]) for y, x in LAGS}
    return {lag: value / values[0, 0] for lag, value in values.items()}


MOST_SHARED = 0.9  # correlation of neighbours
PROBE = 0x5EED  # no image whose noise was drawn with the same seed holds the same numbers: that would tell a lie
LENGTHS, LAG_REACH = np.linspace(0.15, 2.5, 200), 12  # pixels; up to a correlation of .96


def lags_of(noises: Sequence[ChannelNoise]) -> Array:
    """Correlation of neighbours along Y and along X, (C, 2).

    Also where it is so low that the noise passes for white: it is known to about a hundredth, and being told helps.
    """
    lags = [[noise.lags.get(key, 0.0) for key in ("1,0", "0,1")] for noise in noises]
    return np.clip(lags, 0, MOST_SHARED)


def like(shape: tuple[int, ...], lags: Array, seed: int) -> Array:
    """Noise (C, Y, X) of deviation 1 whose neighbours correlate as said, (C, 2).

    Normal, not of signs alone: steps of one size added to an image of whole numbers are all rounded the same way by a
    network in half precision.

    Examples
    --------
    >>> noise = like((1, 500, 500), np.array([[0, 0.2]]), 0)[0]
    >>> float((noise[:, 1:] * noise[:, :-1]).mean().round(2)), float((noise[1:] * noise[:-1]).mean().round(2))
    (0.2, 0.0)
    """
    noise = np.random.default_rng([seed, PROBE]).standard_normal(shape)
    for channel, each in zip(noise, lags, strict=True):
        for axis, lag in enumerate(each):
            if lag > 0:
                length = float(np.interp(lag, _correlations(), LENGTHS))
                channel[...] = ndimage.gaussian_filter1d(channel, length, axis=axis, mode="wrap")
        channel /= channel.std() or 1.0  # of one pixel there is none
    return noise


@cache
def _correlations() -> Array:
    """The correlation of neighbours in white noise that is smoothed by Gaussians of LENGTHS."""
    spike = np.zeros(2 * LAG_REACH + 1)
    spike[LAG_REACH] = 1
    kernels = [ndimage.gaussian_filter1d(spike, length) for length in LENGTHS]
    return np.array([float((one[1:] * one[:-1]).sum() / (one**2).sum()) for one in kernels])
