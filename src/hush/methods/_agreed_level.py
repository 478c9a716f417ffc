"""The level at which a denoiser agrees with itself: what it removes is as much noise as it was told of."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from hush.core.image import Array
from hush.pretrained.conditioning import PEAK
from hush.pretrained.noisebreaker.classes import NoiseClass
from hush.quality import risk

AGREEING = ("gaussian", "speckle")  # denoisers of Gaussian noise of any level
AGREED_SIDE, LEAST_WHOLE = 192, 0.05  # of the window that is looked at; share of its pixels that must have all noise
FAINT_LEVEL, MOST_WRONG = 0.5, 2.0  # grey levels that are left alone; by how many times a level may be wrong
AGREED_ROUNDS, AGREED_CHANGE = 4, 0.04  # see `hush.quality.risk.consistent`


def agreed(
    table: Sequence[NoiseClass],
    remove: Callable[[Array, NoiseClass, float], Array],
    window: Array,
    whole: Array,
    one: NoiseClass,
    level: float,
) -> float:
    """Return a better level of a class's noise, within the ranges of its type; of other noise than Gaussian the same.

    The classifier says too little where pixels without noise lie among the others, as those that were filled in.

    Parameters
    ----------
    table : sequence of NoiseClass
    remove : callable
        (values, class, level) -> the same without that noise.
    window : array, shape (C, Y, X)
        In grey levels.
    whole : array of bool
        Pixels of the window that have all of their noise.
    one : NoiseClass
    level : float
        That was found.
    """
    middle = (slice(None), *(slice(max(0, (n - AGREED_SIDE) // 2), (n + AGREED_SIDE) // 2) for n in window.shape[1:]))
    values, where, model = window[middle], whole[middle], one.at(level)
    if one.denoiser not in AGREEING or model is None or level < FAINT_LEVEL or where.mean() < LEAST_WHOLE:
        return level
    _, variance = model.moments(remove(values, one, level))
    probe = np.sqrt(variance) * np.random.default_rng(0).standard_normal(values.shape)
    factor, _ = risk.consistent(
        lambda noisy, times: remove(noisy, one, level * times),
        values,
        probe.astype(np.float32),
        where,
        rounds=AGREED_ROUNDS,
        change=AGREED_CHANGE,
    )
    ends = [end for other in table if other.denoiser == one.denoiser for end in other.limits]
    return float(np.clip(level * np.clip(factor, 1 / MOST_WRONG, MOST_WRONG), min(ends), max(ends)))


def with_all_noise(window: Array) -> Array:
    """Return which pixels have all of their noise: they are neither lost nor at an end of 8 bits."""
    return (window != 0) & (window != PEAK)
