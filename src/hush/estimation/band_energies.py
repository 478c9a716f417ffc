"""What blocks hold at every frequency, from the quietest of them to the loudest: facts for a learned estimate."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from hush.core.image import Array
from hush.estimation import flat_blocks

QUIETEST = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9)  # quantiles over blocks
COARSE_QUANTILES = (0.05, 0.25, 0.5)  # of blocks of an image of half the size
BRIGHT_QUANTILES = (0.05, 0.25)  # of blocks of each quarter by brightness
ORDERS = ((1, 2), (3, 4), (5, 6), (7, 8), (9, 10), (11, 14))  # of the two frequencies together
SHARP = 4  # frequency from which on one along an axis alone is high
ENERGY_BLOCKS = 6000  # that are looked at
SMALLEST_ENERGY, LARGEST_ENERGY = -10.0, 2.0  # logarithm of a root in units of the extent
BAND_FACTS = 8 * len(QUIETEST) + 8 * len(COARSE_QUANTILES) + 4 * len(BRIGHT_QUANTILES) + 8 + 1


def band_energies(planes: Sequence[Array], extent: float) -> NDArray[np.float32]:
    """Return BAND_FACTS numbers of some planes: logarithms of root energies in units of their extent.

    White noise is the same at all frequencies and in all blocks, and Gaussian; texture is neither.

    Parameters
    ----------
    planes : sequence of array, shape (Y, X)
        NaN where a pixel is missing.
    extent : float

    Examples
    --------
    >>> noise = np.random.default_rng(0).normal(0, 1, (128, 128)).astype(np.float32)
    >>> facts = band_energies([noise], 1.0)
    >>> facts.shape == (BAND_FACTS,), bool(abs(facts[4]) < 0.1)
    (True, True)
    """
    means, energies = _blocks(planes)
    fine = np.stack([energies[:, band].mean(1) for band in _bands()], 1)
    loud = _logarithm(np.quantile(fine, QUIETEST, axis=0).T, extent)
    coarse = [_halved(plane) for plane in planes if min(plane.shape) >= 4 * flat_blocks.BLOCK_SIDE]
    slow = np.full((len(_bands()), len(COARSE_QUANTILES)), SMALLEST_ENERGY)
    if coarse:
        _, below = _blocks(coarse)
        bands = np.stack([below[:, band].mean(1) for band in _bands()], 1)
        slow = _logarithm(np.quantile(bands, COARSE_QUANTILES, axis=0).T, extent)
    high = energies[:, flat_blocks.basis().high].mean(1)
    quarters = np.array_split(np.argsort(means, kind="stable"), 4)
    bright = _logarithm(np.array([np.quantile(high[part], BRIGHT_QUANTILES) for part in quarters]), extent)
    quiet = energies[np.argsort(fine[:, 0], kind="stable")[: max(8, len(fine) // 4)]]
    shape = [
        float(np.median(quiet[:, band])) / max(float(quiet[:, band].mean()), flat_blocks.TINY) for band in _bands()
    ]
    silent = float((high < (1e-5 * extent) ** 2).mean())
    return np.concatenate([loud.ravel(), slow.ravel(), bright.ravel(), shape, [silent]]).astype(np.float32)


def _blocks(planes: Sequence[Array]) -> tuple[flat_blocks.Floats, flat_blocks.Floats]:
    """Means and energies of the blocks in which every pixel is known.

    Raises
    ------
    TooFewBlocksError
        When there are fewer than 8.
    """
    pairs = [(plane, plane) for plane in planes]
    means, energies, known = flat_blocks.transform(pairs, None, None, flat_blocks.stride(pairs))
    chosen = np.flatnonzero(known)
    chosen = chosen[:: max(1, len(chosen) // ENERGY_BLOCKS)]
    if len(chosen) < 8:
        raise flat_blocks.TooFewBlocksError("too few blocks are known")
    return means[chosen], energies[chosen]


@cache
def _bands() -> tuple[NDArray[np.bool_], ...]:
    """Frequencies of a block by their order, and those that are high along one axis alone."""
    down, across = (one.ravel() for one in np.mgrid[: flat_blocks.BLOCK_SIDE, : flat_blocks.BLOCK_SIDE])
    order = down + across
    rings = [(order >= low) & (order <= high) for low, high in ORDERS]
    return (*rings, (down >= SHARP) & (across == 0), (across >= SHARP) & (down == 0))


def _halved(plane: Array) -> flat_blocks.Floats:
    """Means of 2 x 2 pixels."""
    high, wide = (size // 2 * 2 for size in plane.shape)
    halved: flat_blocks.Floats = plane[:high, :wide].reshape(high // 2, 2, wide // 2, 2).mean((1, 3))
    return halved


def _logarithm(energy: flat_blocks.Floats, extent: float) -> flat_blocks.Floats:
    root = np.log(np.maximum(energy, flat_blocks.TINY)) / 2 - np.log(extent)
    return np.asarray(np.clip(root, SMALLEST_ENERGY, LARGEST_ENERGY))
