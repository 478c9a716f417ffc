"""Series and a volume made by rule: scenes that stay, drift, bleach or move, cells that flash, a light sheet."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hush.core.errors import HushError, unknown
from hush.datasets.synthetic import SMALLEST_SCENE, fluorescence

FRAMES = 9  # of a series, by default
GROUND, FULL = 10.0, 255.0  # brightness where nothing is, and what the brightest come close to
DRIFT = (0.3, 2.5)  # pixels a frame by which a whole scene drifts
SPEED = (0.4, 5.0)  # pixels a frame by which a part of it moves
BLEACHED = (0.02, 0.12)  # share of the light that a frame loses
FLASH = (0.4, 2.0)  # of a cell's brightness, by which it grows when it flashes
FLASH_DECAY = (2.0, 8.0)  # frames in which a flash falls to a third
SHEET_PLANES, SHEET_SIDE = 24, 128  # of a volume
SHEET_BLUR = (2.2, 1.0, 1.0)  # of a light-sheet microscope along Z, Y and X, in voxels

Array = NDArray[np.float32]


def series(kind: str, frames: int = FRAMES, size: int = 128, seed: int = 0) -> Array:
    """Make a series without noise, of 0 to about 255.

    Parameters
    ----------
    kind : {"still", "drifting", "bleaching", "moving", "calcium"}
        A scene that stays; one that drifts as a whole, by fractions of a pixel; one whose light fades; one on which
        spots and discs move, each its own way; cells that flash, as in calcium imaging: a sudden rise, and a decay.
    frames : int
    size : int
        Side of a frame, at least 32.
    seed : int

    Returns
    -------
    array of float32, shape (frames, size, size)

    Raises
    ------
    HushError
        For another kind, or a size or a number of frames that is too small.

    Examples
    --------
    >>> still = series("still", frames=3, size=32)
    >>> still.shape, bool((still[0] == still[2]).all())
    ((3, 32, 32), True)
    """
    if kind not in KINDS:
        raise unknown("kind of series", kind, KINDS)
    if frames < 1 or size < SMALLEST_SCENE:
        what = f"{frames} frames of {size} x {size} pixels"
        raise HushError(f"a series cannot have {what}: give 1 frame or more of {SMALLEST_SCENE} pixels or more")
    rng = np.random.default_rng(seed)
    made: Array = KINDS[kind](frames, size, rng).astype(np.float32)
    return made


def _scene(size: int, rng: np.random.Generator) -> Array:
    return fluorescence(size, int(rng.integers(1 << 31)))


def _still(frames: int, size: int, rng: np.random.Generator) -> Array:
    return np.repeat(_scene(size, rng)[None], frames, 0)


def _drifting(frames: int, size: int, rng: np.random.Generator) -> Array:
    """A window that slides over a larger scene, with a jitter: what comes in at one side was not seen before."""
    angle, speed = rng.uniform(0, 2 * np.pi), rng.uniform(*DRIFT)
    steps = speed * np.array([np.sin(angle), np.cos(angle)]) + rng.normal(0, 0.2, (frames, 2))
    places = np.cumsum(steps, 0)
    places -= places.min(0)
    room = int(np.ceil(places.max())) + 4
    scene = _scene(size + room, rng)
    return np.stack([ndimage.shift(scene, -place, order=3, mode="nearest")[:size, :size] for place in places])


def _bleaching(frames: int, size: int, rng: np.random.Generator) -> Array:
    left = (1 - rng.uniform(*BLEACHED)) ** np.arange(frames)
    light = _scene(size, rng) - GROUND
    return np.asarray(GROUND + left[:, None, None] * light.clip(0), np.float32)


def _moving(frames: int, size: int, rng: np.random.Generator) -> Array:
    """Spots and discs over a dim scene, each with a way of its own."""
    made = np.repeat(0.4 * _scene(size, rng)[None], frames, 0)
    rows, columns = np.mgrid[:size, :size]
    for _ in range(max(3, size * size // 1500)):
        place, angle = rng.uniform(0, size, 2), rng.uniform(0, 2 * np.pi)
        step = rng.uniform(*SPEED) * np.array([np.sin(angle), np.cos(angle)])
        radius, light, disc = rng.uniform(1.0, 5.0), rng.uniform(30, 150), rng.random() < 0.5
        for frame in made:
            away = np.hypot(rows - place[0], columns - place[1])
            spot = 1 / (1 + np.exp(2 * (away - 2 * radius))) if disc else np.exp(-((away / radius) ** 2) / 2)
            frame += (light * spot).astype(np.float32)
            place = place + step + rng.normal(0, 0.3, 2)
    return made


def _calcium(frames: int, size: int, rng: np.random.Generator) -> Array:
    """Cells on a still ground, each of which flashes once or more in the series."""
    made = np.repeat(0.25 * _scene(size, rng)[None], frames, 0)
    rows, columns = np.mgrid[:size, :size]
    for _ in range(max(2, size * size // 1600)):
        y, x = rng.uniform(0, size, 2)
        away = np.hypot((rows - y) / rng.uniform(0.8, 1.2), columns - x)
        cell = 1 / (1 + np.exp(1.5 * (away - rng.uniform(3.0, 8.0))))
        light, flashes = rng.uniform(20, 70), np.zeros(frames)
        for at in rng.integers(0, frames, max(1, rng.poisson(frames / 12))):
            after = np.arange(frames) - at
            flashes += rng.uniform(*FLASH) * np.where(
                after < 0, 0, np.exp(-np.maximum(after, 0) / rng.uniform(*FLASH_DECAY))
            )
        made += (light * (1 + flashes)[:, None, None] * cell).astype(np.float32)
    return made


KINDS: dict[str, Callable[[int, int, np.random.Generator], Array]] = {
    "still": _still,
    "drifting": _drifting,
    "bleaching": _bleaching,
    "moving": _moving,
    "calcium": _calcium,
}


def light_sheet(planes: int = SHEET_PLANES, size: int = SHEET_SIDE, seed: int = 0) -> Array:
    """Make a volume as a light-sheet microscope sees it: nuclei and fibres, blurred more along Z; 0 to about 255.

    Parameters
    ----------
    planes, size : int
        Number of planes, and their side.
    seed : int

    Returns
    -------
    array of float32, shape (planes, size, size)

    Examples
    --------
    >>> light_sheet(4, 32).shape
    (4, 32, 32)
    """
    rng = np.random.default_rng(seed)
    grid = np.mgrid[:planes, :size, :size]
    made = np.zeros((planes, size, size))
    for _ in range(max(2, planes * size * size // 16_000)):
        middle, radius = rng.uniform(0, (planes, size, size)), rng.uniform(5, 11)
        flat = np.array([1.5, 1.0, rng.uniform(0.8, 1.3)])  # planes are further apart than pixels
        away = np.sqrt(sum((scale * (axis - at)) ** 2 for axis, at, scale in zip(grid, middle, flat, strict=True)))
        made += rng.uniform(40, 120) / (1 + np.exp(np.clip(2 * (away - radius), -30, 30)))
    texture = ndimage.gaussian_filter(rng.standard_normal(made.shape), (1.0, 1.5, 1.5))
    made *= 1 + 0.25 * texture / texture.std()
    for _ in range(max(2, planes * size * size // 20_000)):
        place, way = rng.uniform(0, (planes, size, size)), rng.normal(0, (0.4, 1, 1))
        light = rng.uniform(150, 600)
        for _ in range(int(rng.integers(40, 160))):
            way = way / np.linalg.norm(way) + rng.normal(0, 0.12, 3) * (0.4, 1, 1)
            place = place + 0.7 * way
            at = tuple(np.rint(place).astype(int))
            if all(0 <= one < length for one, length in zip(at, made.shape, strict=True)):
                made[at] += light
    blurred = ndimage.gaussian_filter(made, SHEET_BLUR)
    return np.asarray(GROUND + (FULL - GROUND) * np.tanh(blurred / FULL), np.float32)


def _of_a_table(kind: str, seed: int = 0) -> Array:
    """A series whose seed is odd: choices are made on those of even ones."""
    return series(kind, seed=2 * seed + 1)


def _sheet_of_a_table(seed: int = 0) -> Array:
    return light_sheet(seed=2 * seed + 1)


SERIES: dict[str, Callable[..., Array]] = {  # what a recipe may `generate`
    **{f"series-{kind}": partial(_of_a_table, kind) for kind in KINDS},
    "light-sheet": _sheet_of_a_table,
}
