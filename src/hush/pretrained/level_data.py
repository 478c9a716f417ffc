"""What the level's network learns from: scenes of many kinds, and noise of which every pixel's variance is known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hush import io
from hush.core.color import grey
from hush.core.errors import HushError
from hush.datasets.hard_scenes import KINDS
from hush.datasets.synthetic import epithelium, fluorescence

Floats = NDArray[np.float32]

SCENE_SIDE = 128  # of the scenes
OF_A_PHOTOGRAPH, OF_A_KIND, OF_CELLS = 6, 300, 60  # scenes
SHRINK = (1.0, 2.2)  # of photographs, so that their own noise is gone
PHOTOGRAPH_FILES = (("BSDS500_train/*.jpg", 20), ("Train400/*.png", 40))  # and how many of the last are for development
CLEAN = 0.22  # share of images without noise
LEVELS = (0.4, 70.0)  # grey levels of 255
PHOTONS, READ = (8.0, 5000.0), (0.3, 20.0)
SPECKLES = (0.02, 0.4)
EVEN_LEVEL, LIGHT = 0.55, 0.35  # shares of the noisy ones: of one level, of photons; the others are speckle
SHARED, SHARED_LENGTHS = 0.2, (0.4, 1.1)  # share with spatially correlated noise, and its length
ROUNDED, CLIPPED, EVEN = 0.5, 0.25, 0.08  # shares that are rounded, clipped, and of uniform noise


def scenes(folder: Path, kinds: Sequence[str], seed: int, development: bool = False) -> list[Floats]:
    """Return clean scenes (SCENE_SIDE, SCENE_SIDE): photographs, the hard kinds that are named, and simulated cells.

    Raises
    ------
    HushError
        When there are no photographs.
    """
    rng = np.random.default_rng(seed)
    made = [piece for photograph in _photographs(folder, development) for piece in _pieces(photograph, rng)]
    first = 10**6 * (1 + development)
    for kind in kinds:
        for number in range(OF_A_KIND // (25 if development else 1)):
            made.append(KINDS[kind](SCENE_SIDE, np.random.default_rng(first + number)).astype(np.float32))
    for number in range(OF_CELLS // (10 if development else 1)):
        for cells in (epithelium(256, first + number), fluorescence(seed=first + number)):
            made += [_piece(np.asarray(cells, np.float32), rng) for _ in range(2)]
    return made


def _photographs(folder: Path, development: bool) -> list[Floats]:
    found = []
    for pattern, last in PHOTOGRAPH_FILES:
        files = sorted(folder.glob(pattern))
        if len(files) <= last:
            raise HushError(f"no photographs in {folder.name}/{pattern}: say where with --data DIR")
        for file in files[-last:] if development else files[:-last]:
            values = np.asarray(io.read(file).data, np.float32)
            found.append(np.asarray(grey(values) if values.ndim == 3 else values, np.float32))
    return found


def _pieces(photograph: Floats, rng: np.random.Generator) -> list[Floats]:
    made = []
    for _ in range(OF_A_PHOTOGRAPH):
        factor = min(rng.uniform(*SHRINK), min(photograph.shape) / SCENE_SIDE)
        small = ndimage.gaussian_filter(photograph, max(0.0, (factor - 1) / 2))
        small = ndimage.zoom(small, 1 / factor, order=1)
        if min(small.shape) >= SCENE_SIDE:
            made.append(_piece(small, rng))
    return made


def _piece(image: Floats, rng: np.random.Generator, side: int = SCENE_SIDE) -> Floats:
    top, left = (int(rng.integers(0, size - side + 1)) for size in image.shape)
    return np.ascontiguousarray(image[top : top + side, left : left + side])


def draw(pool: Sequence[Floats], side: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Return a noisy image (side, side) and the variance of every pixel's noise."""
    scene = _changed(_piece(pool[int(rng.integers(len(pool)))], rng, side), pool, rng)
    span = max(float(np.ptp(scene)), 1e-3)
    variance = np.zeros_like(scene)
    if rng.random() >= CLEAN:
        variance = _variance(scene, span, rng).astype(np.float32)
        scene = (scene + np.sqrt(variance) * _unit_noise(scene.shape, rng)).astype(np.float32)
    if rng.random() < ROUNDED:
        step = span / 255 * _log_uniform((0.25, 2.0), rng)
        scene = (np.round(scene / step) * step).astype(np.float32)
    if rng.random() < CLIPPED:
        low, high = np.quantile(scene, [rng.uniform(0, 0.1), 1 - rng.uniform(0, 0.1)])
        scene = scene.clip(low, high) if high > low else scene
    return scene.astype(np.float32), variance


def _changed(scene: Floats, pool: Sequence[Floats], rng: np.random.Generator) -> Floats:
    """A scene turned, inverted, with another contrast, beside or over another one."""
    scene = scene[::-1] if rng.random() < 0.5 else scene
    scene = scene.T if rng.random() < 0.5 else scene
    scene = 255 - scene if rng.random() < 0.3 else scene
    if rng.random() < 0.3:
        low, high = scene.min(), scene.max() + 1e-6
        scene = low + (high - low) * ((scene - low) / (high - low)) ** np.exp(rng.normal(0, 0.4))
    if rng.random() < 0.25:
        other = pool[int(rng.integers(len(pool)))][: len(scene), : len(scene)]
        place = rng.integers(len(scene) // 4, 3 * len(scene) // 4)
        if rng.random() < 0.5:
            scene = np.concatenate([scene[:, :place], other[:, place:]], 1)
        else:
            scene = rng.uniform(0.3, 0.7) * scene + rng.uniform(0.3, 0.7) * other
    return np.ascontiguousarray(scene * (rng.uniform(0.1, 1) if rng.random() < 0.3 else 1), np.float32)


def _variance(scene: Floats, span: float, rng: np.random.Generator) -> Any:
    """The variance of noise of one level, of photons with read noise, or of speckle."""
    kind, dark = rng.random(), scene - scene.min()
    if kind < EVEN_LEVEL:
        return np.full_like(scene, (span / 255 * _log_uniform(LEVELS, rng)) ** 2)
    if kind < EVEN_LEVEL + LIGHT:
        read = (span / 255 * _log_uniform(READ, rng)) ** 2 if rng.random() < 0.6 else 0.0
        return dark * span / _log_uniform(PHOTONS, rng) + read
    return (dark + 0.1 * span) ** 2 * rng.uniform(*SPECKLES) ** 2


def _unit_noise(shape: tuple[int, ...], rng: np.random.Generator) -> Any:
    """Noise of deviation one: Gaussian, spatially correlated, or uniform."""
    if rng.random() < SHARED:
        noise = ndimage.gaussian_filter(rng.standard_normal(shape), rng.uniform(*SHARED_LENGTHS))
        return noise / noise.std()
    return rng.uniform(-1, 1, shape) * np.sqrt(3) if rng.random() < EVEN else rng.standard_normal(shape)


def _log_uniform(ends: tuple[float, float], rng: np.random.Generator) -> float:
    return float(np.exp(rng.uniform(*np.log(ends))))
