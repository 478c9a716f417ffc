"""Clean scenes on which the level of noise is asked for: smooth, photographs, texture, saturated, dark, on black."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage import data

from hush.core.color import grey
from hush.datasets.hard_scenes import KINDS

Picture = NDArray[np.float32]
# those that scikit-image has without a download
SHIPPED_PHOTOGRAPHS = ("astronaut", "camera", "cat", "clock", "coffee", "coins", "moon", "rocket")
SMOOTH_SIDE, TEXTURE_SIDE = 1024, 256  # of what is smooth, and of a texture
BINNED_SIDE = 256  # a photograph is made smaller, with which its own noise fades, while its sides stay as long
DARK_SHARE = 0.15  # of the brightness of a photograph
KEPT_SHARE = 0.85  # of the pixels of a saturated one


def smooth(seed: int = 0) -> Picture:
    """Return slow waves between 30 and 225, 1024 pixels a side.

    Examples
    --------
    >>> smooth().shape, bool(smooth().max() <= 225)
    ((1024, 1024), True)
    """
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SMOOTH_SIDE, :SMOOTH_SIDE]
    waves = [np.sin((y * np.sin(turn) + x * np.cos(turn)) / rng.uniform(25, 80)) for turn in rng.uniform(0, np.pi, 3)]
    return np.asarray(127.5 + 32.5 * np.sum(waves, 0), np.float32)


def on_black(seed: int = 0) -> Picture:
    """Return a smooth disk on a ground of 0, as magnitude images have it, 256 pixels a side.

    Examples
    --------
    >>> round(float((on_black() == 0).mean()), 1)
    0.5
    """
    y, x = np.mgrid[:TEXTURE_SIDE, :TEXTURE_SIDE] - (TEXTURE_SIDE - 1) / 2
    inside = np.hypot(y, x) < 0.4 * TEXTURE_SIDE
    return np.asarray(np.where(inside, smooth(seed)[:TEXTURE_SIDE, :TEXTURE_SIDE], 0), np.float32)


def texture(seed: int = 0) -> Picture:
    """Return a texture without a flat place, 256 pixels a side; the power of a frequency falls with it (1/f).

    Examples
    --------
    >>> texture().shape
    (256, 256)
    """
    return np.asarray(KINDS["texture-pink"](TEXTURE_SIDE, np.random.default_rng(seed)), np.float32)


def photograph(seed: int = 0) -> Picture:
    """Return one of eight photographs that come with scikit-image, in grey.

    Examples
    --------
    >>> photograph(5).shape  # coins
    (303, 384)
    """
    return _photograph(SHIPPED_PHOTOGRAPHS[seed % len(SHIPPED_PHOTOGRAPHS)])


@cache
def _photograph(name: str) -> Picture:
    values = np.asarray(getattr(data, name)(), np.float64)
    values = np.asarray(grey(values) if values.ndim == 3 else values)
    times = max(1, min(values.shape) // BINNED_SIDE)
    high, wide = (size // times for size in values.shape)
    binned = values[: high * times, : wide * times].reshape(high, times, wide, times).mean((1, 3))
    return np.asarray(binned.clip(0, 255), np.float32)


def saturated(seed: int = 0) -> Picture:
    """Return a photograph that was exposed for too long: its brightest places are 255.

    Examples
    --------
    >>> round(float((saturated() == 255).mean()), 2)
    0.15
    """
    values = photograph(seed)
    return np.asarray((values * (255 / np.quantile(values, KEPT_SHARE))).clip(0, 255), np.float32)


def dark(seed: int = 0) -> Picture:
    """Return a photograph of which nothing is brighter than 39.

    Examples
    --------
    >>> bool(dark().max() < 39)
    True
    """
    return np.asarray(DARK_SHARE * photograph(seed), np.float32)


SCENES: dict[str, Callable[..., Any]] = {
    "smooth": smooth,
    "on-black": on_black,
    "texture": texture,
    "photograph": photograph,
    "saturated": saturated,
    "dark": dark,
}
