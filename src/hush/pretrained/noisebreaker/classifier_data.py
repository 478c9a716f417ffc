"""What the classifier of noise learns from: photographs, what denoisers leave of them, and noise of a class on both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from hush import io
from hush.core.color import grey
from hush.core.errors import HushError
from hush.pretrained import weights
from hush.pretrained.level_data import SHRINK, Floats
from hush.pretrained.noisebreaker.classes import NoiseClass

# Train400's first 200 are crops of BSDS500_train: its 181 to 200 show what is for development there.
LEARNED_FROM = (("BSDS500_train/*.jpg", 0, -20), ("Train400/*.png", 200, -40), ("ImageNet_sample/*.JPEG", 0, None))
CHOSEN_ON = (("BSDS500_train/*.jpg", -20, None),)
LEAST_SCENE, MOST_SCENE = 160, 400  # sides
SCENES_OF_A_PHOTOGRAPH, ENLARGED = 3, (1.0, 1.4)
DENOISED, DENOISED_SIDE, DENOISER = 300, 224, "gaussian-fast"
TOLD = (0.9, 1.4)  # the level that the denoiser is told, against the true one
DENOISED_SHARE = 0.35  # of clean images
MIXED, FILLED, INTEGER = 0.15, 0.07, 0.2  # shares of two noises, of lost pixels filled in, of 8 bits
MOST_FILLED, FILL_WIDTHS = 0.25, (0.4, 1.5)  # share of the pixels, and over how many around them


@dataclass(frozen=True)
class Pool:
    """Clean images, and such as a denoiser made."""

    scenes: Sequence[Floats]
    denoised: Sequence[Floats] = ()


def pool_of(folder: Path, table: Sequence[NoiseClass], seed: int, development: bool = False) -> Pool:
    """Read photographs and denoise some, from a seed.

    Raises
    ------
    HushError
        When there are no photographs.
    """
    rng = np.random.default_rng(seed)
    scenes = [scene for one in photographs(folder, development) for scene in _scenes(one, rng)]
    return Pool(scenes, [_denoised(scenes, table, rng) for _ in range(DENOISED // (4 if development else 1))])


def photographs(folder: Path, development: bool = False) -> list[Floats]:
    """Return the photographs to learn from, or those to choose on, in grey."""
    found = []
    for pattern, first, last in CHOSEN_ON if development else LEARNED_FROM:
        files = sorted(folder.glob(pattern))[first:last]
        if not files:
            raise HushError(f"no photographs in {folder.name}/{pattern}: say where with --data DIR")
        for file in files:
            values = np.asarray(io.read(file).data, np.float32)
            found.append(np.asarray(grey(values[..., :3]) if values.ndim == 3 else values, np.float32))
    return found


def _scenes(photograph: Floats, rng: np.random.Generator) -> list[Floats]:
    """As it is, enlarged, and smaller, where its own noise is gone."""
    made = [photograph, ndimage.zoom(photograph, rng.uniform(*ENLARGED), order=int(rng.choice((1, 3))))]
    for _ in range(SCENES_OF_A_PHOTOGRAPH - len(made)):
        factor = max(1.0, min(rng.uniform(*SHRINK), min(photograph.shape) / LEAST_SCENE))
        made.append(ndimage.zoom(ndimage.gaussian_filter(photograph, (factor - 1) / 2), 1 / factor, order=1))
    sides = [[min(size, MOST_SCENE) for size in one.shape] for one in made]
    windows = [_window(one, high, wide, rng) for one, (high, wide) in zip(made, sides, strict=True)]
    return [one.clip(0, 255) for one in windows if min(one.shape) >= LEAST_SCENE]


def _window(image: Floats, high: int, wide: int, rng: np.random.Generator) -> Floats:
    top, left = int(rng.integers(image.shape[0] - high + 1)), int(rng.integers(image.shape[1] - wide + 1))
    return np.ascontiguousarray(image[top : top + high, left : left + wide], np.float32)


def _denoised(scenes: Sequence[Floats], table: Sequence[NoiseClass], rng: np.random.Generator) -> Floats:
    """A noisy scene after the shipped denoiser, a Gaussian or a median."""
    scene = _drawn(scenes, DENOISED_SIDE, rng)
    noisy = _with_noise(scene, table[int(rng.integers(len(table)))], rng)[0]
    kind = rng.random()
    if kind < 0.1:
        return np.asarray(ndimage.gaussian_filter(noisy, rng.uniform(1, 3)), np.float32)
    if kind < 0.2:
        return np.asarray(ndimage.median_filter(noisy, int(rng.choice((3, 5)))), np.float32)
    net, _ = weights.load(DENOISER)
    lost = (noisy == 0) & (scene > 0)
    if lost.any():
        noisy = _filled(noisy, lost, 1.0)
    level = float((noisy - scene).std()) * rng.uniform(*TOLD)
    values = torch.from_numpy(noisy)[None, None] / 255 - 0.5
    with torch.inference_mode():
        made = net(torch.cat([values, torch.full_like(values, level / 255)], 1))
    return np.asarray(255 * (made[0, 0].numpy() + 0.5), np.float32)


def draw(
    pool: Pool, table: Sequence[NoiseClass], side: int, rng: np.random.Generator, only: int | None = None
) -> tuple[Floats, int, float]:
    """Return an image (side, side), the class of the noise that was put on it last, and the place of its level.

    With `only` a class, its noise on a scene and nothing else. The place within the class's range is 0 to 1.
    """
    label = int(rng.integers(len(table))) if only is None else only
    one, way = table[label], rng.random() if only is None else 1.0
    clean = one.noise is None
    made = clean and pool.denoised and way < DENOISED_SHARE
    scene = _drawn(pool.denoised if made else pool.scenes, side, rng)
    if not clean and way < MIXED:
        scene, _ = _with_noise(scene, table[int(rng.integers(len(table)))], rng)
    image, place = _with_noise(scene, one, rng)
    if not clean and MIXED < way < MIXED + FILLED:
        lost = rng.random(image.shape) < rng.uniform(0, MOST_FILLED)
        image = _filled(image, lost, rng.uniform(*FILL_WIDTHS))
    if only is None and rng.random() < INTEGER:
        image = image.round().clip(0, 255)
    return image, label, place


def _with_noise(scene: Floats, one: NoiseClass, rng: np.random.Generator) -> tuple[Floats, float]:
    """Its noise on a scene, and the place of its level."""
    model, level = one.draw(rng)
    low, high = one.limits
    noisy = scene if model is None else np.asarray(model.sample(scene[None], rng)[0], np.float32)
    return noisy, (level - low) / (high - low) if high > low else 0.0


def _filled(image: Floats, lost: NDArray[np.bool_], width: float) -> Floats:
    """An image whose lost pixels somebody has filled from their neighbours."""
    known = ndimage.gaussian_filter((~lost).astype(np.float32), width)
    around = ndimage.gaussian_filter(np.where(lost, 0, image), width) / np.maximum(known, 1e-6)
    return np.where(lost, around, image).astype(np.float32)


def _drawn(images: Sequence[Floats], side: int, rng: np.random.Generator) -> Floats:
    """A window of one of them, turned or mirrored."""
    large = [one for one in images if min(one.shape) >= side]
    if not large:
        raise HushError(f"there is no clean image of {side} x {side} pixels or more")
    image = _window(large[int(rng.integers(len(large)))], side, side, rng)
    image = image[::-1] if rng.random() < 0.5 else image
    return np.ascontiguousarray(image.T if rng.random() < 0.5 else image)
