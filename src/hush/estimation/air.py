"""The air around a body in magnetic resonance: of magnitudes it holds Rayleigh noise, which tells their level.

A magnitude is the length of a complex signal, so that its noise is Rician: in tissue all but Gaussian, in air, where
there is no signal, Rayleigh. Flat blocks cannot always tell it from photon noise, since texture lifts the variance of
bright ones. Where a file says that its values are magnitudes the air decides, if there is some that was not masked.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hush.core.image import Array
from hush.estimation.flat_blocks import BLOCK_SIDE
from hush.estimation.report import ChannelNoise

RAYLEIGH_MEAN = math.sqrt(math.pi / 2)  # of sigma
RAYLEIGH = math.pi / 4  # square of its mean over its mean square
RAYLEIGH_OFF = 0.02  # from that in air; 40 blocks of white noise are .01 off, two coils' sum of squares .1
FEWEST_AIR = 40  # blocks
DARKEST = 0.02  # share of the blocks with which the search begins
AIR_MOST = 4.5  # sigma; in three of a thousand blocks of air a pixel is above, and in most of those that hold an edge
AIR_WIDTH = 0.3  # of sigma, that the mean of a block of air may be off; white noise's is .08
MOST_ZEROS = 0.05  # share of zeros in a block that was measured and not masked
BRIGHT_TISSUE = 4.0  # sigma from which on noise is all but Gaussian
LOWEST = 0.1  # quantile of the bright points' variance that texture has not lifted
TISSUE_BELOW, TISSUE_ABOVE = 0.6, 2.0  # level of tissue over that of air, where both are one noise; texture lifts it
AIR_ERROR = 0.02  # share of sigma that holds the true one to both sides, beside what chance does


def as_rician(found: ChannelNoise, planes: Sequence[Array]) -> ChannelNoise:
    """Return the noise of magnitudes as Rician at the level of the air, where that holds it and tissue agrees.

    Parameters
    ----------
    found : ChannelNoise
        What else was found, in the planes' units.
    planes : sequence of array, shape (Y, X)
        No value below zero; else it is no magnitude.
    """
    told = sigma_of_air(planes)
    if told is None:
        return found
    sigma, error = told
    bright = np.array([variance for mean, variance, _ in found.points if mean > BRIGHT_TISSUE * sigma])
    if len(bright):
        level = math.sqrt(float(np.quantile(bright, LOWEST))) / sigma
        if not TISSUE_BELOW <= level <= TISSUE_ABOVE:  # the air was filtered, or coils were weighted by place
            return found
    return dataclasses.replace(
        found,
        kind="rician",
        gain=0.0,
        offset=0.0,
        sigma=sigma,
        a=0.0,
        b=sigma**2,
        interval={"a": (0.0, 0.0), "level": (sigma * (1 - error), sigma * (1 + error))},
        apart=False,
        binary=False,
        learned=False,
    )


def sigma_of_air(planes: Sequence[Array]) -> tuple[float, float] | None:
    """Return sigma of Rayleigh noise in the darkest blocks, and its error as a share; None where they hold another.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> sigma, error = sigma_of_air([np.hypot(*rng.normal(0, 5, (2, 96, 96)))])
    >>> abs(sigma - 5) < 5 * error, sigma_of_air([rng.poisson(9.0, (96, 96))])
    (True, None)
    """
    blocks = np.concatenate([_blocks(np.asarray(plane, np.float64)) for plane in planes])
    if len(blocks) < FEWEST_AIR or blocks.min() < 0:
        return None
    mean, power, most = blocks.mean(1), np.square(blocks).mean(1), blocks.max(1)
    start = np.sort(mean)[: max(FEWEST_AIR, int(DARKEST * len(mean)))]
    sigma = float(np.median(start)) / RAYLEIGH_MEAN
    air = np.zeros(len(mean), bool)
    for _ in range(4):  # which blocks are air, and their level, depend on each other
        air = (np.abs(mean - RAYLEIGH_MEAN * sigma) < AIR_WIDTH * sigma) & (most < AIR_MOST * sigma)
        if air.sum() < FEWEST_AIR:
            return None
        sigma = math.sqrt(float(power[air].mean()) / 2)
    if abs(float(mean[air].mean()) ** 2 / float(power[air].mean()) - RAYLEIGH) > RAYLEIGH_OFF:
        return None
    chance = float(np.std(power[air])) / (float(power[air].mean()) * math.sqrt(air.sum()))
    return sigma, math.hypot(AIR_ERROR, chance)


def _blocks(plane: NDArray[np.float64]) -> NDArray[np.float64]:
    """Blocks (number, pixels) that lie side by side, all of them measured."""
    high, wide = (size // BLOCK_SIDE for size in plane.shape)
    whole = plane[: high * BLOCK_SIDE, : wide * BLOCK_SIDE].reshape(high, BLOCK_SIDE, wide, BLOCK_SIDE)
    blocks = whole.swapaxes(1, 2).reshape(high * wide, -1)
    measured = np.isfinite(blocks).all(1) & ((blocks == 0).mean(1) < MOST_ZEROS)
    return np.asarray(blocks[measured])
