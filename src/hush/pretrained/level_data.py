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
from hush.noise.emccd import EMCCD
from hush.noise.poisson_gaussian import PoissonGaussian

Floats = NDArray[np.float32]

SCENE_SIDE = 128  # of the scenes
OF_A_PHOTOGRAPH, OF_A_KIND, OF_CELLS = 12, 120, 60  # scenes
SHRINK = (1.0, 2.2)  # of photographs, so that their own noise is gone
# of which so many of the first repeat others, and so many of the last are for development
PHOTOGRAPH_FILES = (("BSDS500_train/*.jpg", 0, 20), ("Train400/*.png", 200, 40))
CLEAN = 0.22  # share of images without noise
LEVELS = (0.4, 70.0)  # grey levels of 255
PHOTONS, READ = (2.0, 5000.0), (0.3, 20.0)
AMPLIFIED, EXCESS = 0.3, (1.15, 2.5)  # share of photons that are amplified by chance, and how much more noise
SPECKLES = (0.02, 0.4)
# shares of the noisy ones: of one level, of photons, speckle, and bent by what follows the noise
EVEN_LEVEL, LIGHT, SPECKLED, BENT = 0.5, 0.32, 0.08, 0.1
MAGNITUDE, TONE_EXPONENTS = 0.3, (1.4, 3.0)  # share of the last that are magnitudes, as of MRI; the others' tone curve
BENT_LEVELS, BENT_DRAWS = 48, 400  # at which a bent noise's variance is measured, and by how many draws
# share with spatially correlated noise, its length; of these the share that is so along one axis only
SHARED, SHARED_LENGTHS, ALONG = 0.25, (0.4, 2.0), 0.4
DARK, MOST_DARK = 0.3, 0.6  # share of clipped images of which much is cut off in the dark, and how much
ROUNDED, CLIPPED, EVEN = 0.5, 0.25, 0.08  # shares that are rounded, clipped, and of uniform noise


def scenes(
    folder: Path, kinds: Sequence[str], seed: int, development: bool = False, side: int = SCENE_SIDE, share: float = 1.0
) -> list[Floats]:
    """Return clean scenes (side, side): photographs, the hard kinds that are named, and simulated cells.

    `share` of as many as for training the network.

    Raises
    ------
    HushError
        When there are no photographs.
    """
    rng = np.random.default_rng(seed)
    pieces = max(1, round(share * OF_A_PHOTOGRAPH))
    made = [piece for one in _photographs(folder, development) for piece in _pieces(one, rng, side, pieces)]
    first = 10**6 * (1 + development)
    for kind in kinds:
        for number in range(int(share * OF_A_KIND) // (25 if development else 1)):
            made.append(KINDS[kind](side, np.random.default_rng(first + number)).astype(np.float32))
    for number in range(int(share * OF_CELLS) // (10 if development else 1)):
        for cells in (epithelium(256, first + number), fluorescence(seed=first + number)):
            made += [_piece(np.asarray(cells, np.float32), rng, side) for _ in range(2)]
    return made


def _photographs(folder: Path, development: bool) -> list[Floats]:
    found = []
    for pattern, first, last in PHOTOGRAPH_FILES:
        files = sorted(folder.glob(pattern))[first:]
        if len(files) <= last:
            raise HushError(f"no photographs in {folder.name}/{pattern}: say where with --data DIR")
        for file in files[-last:] if development else files[:-last]:
            values = np.asarray(io.read(file).data, np.float32)
            found.append(np.asarray(grey(values) if values.ndim == 3 else values, np.float32))
    return found


def _pieces(photograph: Floats, rng: np.random.Generator, side: int, number: int) -> list[Floats]:
    made = []
    for _ in range(number):
        factor = min(rng.uniform(*SHRINK), min(photograph.shape) / side)
        small = ndimage.gaussian_filter(photograph, max(0.0, (factor - 1) / 2))
        small = ndimage.zoom(small, 1 / factor, order=1)
        if min(small.shape) >= side:
            made.append(_piece(small, rng, side))
    return made


def _piece(image: Floats, rng: np.random.Generator, side: int) -> Floats:
    top, left = (int(rng.integers(0, size - side + 1)) for size in image.shape)
    return np.ascontiguousarray(image[top : top + side, left : left + side])


def draw(pool: Sequence[Floats], side: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Return a noisy image (side, side) and the variance of every pixel's noise."""
    scene = _changed(_piece(pool[int(rng.integers(len(pool)))], rng, side), pool, rng)
    span = max(float(np.ptp(scene)), 1e-3)
    variance = np.zeros_like(scene)
    if rng.random() >= CLEAN:
        noise, variance = _noise(scene, span, rng)
        scene = (scene + noise).astype(np.float32)
    if rng.random() < ROUNDED:
        step = span / 255 * _log_uniform((0.25, 2.0), rng)
        scene = (np.round(scene / step) * step).astype(np.float32)
    if rng.random() < CLIPPED:
        dark = rng.uniform(0, MOST_DARK if rng.random() < DARK else 0.1)
        low, high = np.quantile(scene, [dark, 1 - rng.uniform(0, 0.1)])
        scene = scene.clip(low, high) if high > low else scene
    return scene.astype(np.float32), variance


def _changed(scene: Floats, pool: Sequence[Floats], rng: np.random.Generator) -> Floats:
    """A scene turned, inverted, with another contrast, beside or over another one."""
    scene = scene[::-1] if rng.random() < 0.5 else scene
    scene = scene.T if rng.random() < 0.5 else scene
    scene = 255 - scene if rng.random() < 0.3 else scene
    if rng.random() < 0.3:
        low, extent = scene.min(), max(float(np.ptp(scene)), 1e-6)
        scene = low + extent * ((scene - low) / extent) ** np.exp(rng.normal(0, 0.4))
    if rng.random() < 0.25:
        other = pool[int(rng.integers(len(pool)))][: len(scene), : len(scene)]
        place = rng.integers(len(scene) // 4, 3 * len(scene) // 4)
        if rng.random() < 0.5:
            scene = np.concatenate([scene[:, :place], other[:, place:]], 1)
        else:
            scene = rng.uniform(0.3, 0.7) * scene + rng.uniform(0.3, 0.7) * other
    return np.ascontiguousarray(scene * (rng.uniform(0.1, 1) if rng.random() < 0.3 else 1), np.float32)


def _noise(scene: Floats, span: float, rng: np.random.Generator) -> tuple[Any, Floats]:
    """Noise of one of four families, some of it spatially correlated; and its variance."""
    dark = np.asarray(scene - scene.min(), np.float64)
    family = (_even, _light, _speckle, _bent)[int(rng.choice(4, p=[EVEN_LEVEL, LIGHT, SPECKLED, BENT]))]
    shared = family is not _bent and rng.random() < SHARED
    noise, variance = family(dark, span, rng)
    return _smoothed(noise, rng) if shared else noise, variance.astype(np.float32)


def _even(dark: Any, span: float, rng: np.random.Generator) -> tuple[Any, Any]:
    """Noise of one level everywhere, mostly Gaussian."""
    sigma = span / 255 * _log_uniform(LEVELS, rng)
    even = rng.uniform(-1, 1, dark.shape) * np.sqrt(3) if rng.random() < EVEN else rng.standard_normal(dark.shape)
    return sigma * even, np.full_like(dark, sigma**2)


def _light(dark: Any, span: float, rng: np.random.Generator) -> tuple[Any, Any]:
    """Noise of photons, of some amplified, of some with read noise."""
    read = span / 255 * _log_uniform(READ, rng) if rng.random() < 0.6 else 0.0
    gain = span / _log_uniform(PHOTONS, rng)
    amplified = rng.random() < AMPLIFIED
    light = EMCCD(gain, 0.0, read, rng.uniform(*EXCESS)) if amplified else PoissonGaussian(gain, 0.0, read)
    return light.sample(dark, rng) - dark, light.moments(dark)[1]


def _speckle(dark: Any, span: float, rng: np.random.Generator) -> tuple[Any, Any]:
    """Noise that multiplies, of a gamma distribution or Gaussian."""
    share = rng.uniform(*SPECKLES)
    bright = dark + rng.choice([0.0, 0.1]) * span
    looks = 1 / share**2
    grain = (
        rng.gamma(looks, 1 / looks, dark.shape) - 1 if rng.random() < 0.5 else share * rng.standard_normal(dark.shape)
    )
    return bright * grain, (bright * share) ** 2


def _bent(dark: Any, span: float, rng: np.random.Generator) -> tuple[Any, Any]:
    """Noise that goes through what follows it: the tone curve of a camera, or the magnitude of a complex number.

    Its variance is measured by drawing it at some brightnesses.
    """
    if rng.random() < MAGNITUDE:
        sigma = span / 255 * _log_uniform(LEVELS, rng)

        def noisy(clean: Any) -> Any:
            return np.hypot(clean + rng.normal(0, sigma, clean.shape), rng.normal(0, sigma, clean.shape))
    else:
        gamma, photons, read = rng.uniform(*TONE_EXPONENTS), _log_uniform(PHOTONS, rng), _log_uniform(READ, rng) / 255

        def noisy(clean: Any) -> Any:
            light = (clean / span) ** gamma
            light = rng.poisson(light * photons) / photons + rng.normal(0, read / gamma, clean.shape)
            return span * light.clip(0) ** (1 / gamma)

    levels = np.linspace(0, dark.max(), BENT_LEVELS)
    spread = noisy(np.repeat(levels[:, None], BENT_DRAWS, 1)).var(1)
    return noisy(dark) - dark, np.interp(dark, levels, spread)


def _smoothed(noise: Any, rng: np.random.Generator) -> Any:
    """Noise that neighbours share, of the same power."""
    length, axis = rng.uniform(*SHARED_LENGTHS), int(rng.integers(2))
    lengths = (length * (axis == 0), length * (axis == 1)) if rng.random() < ALONG else (length, length)
    smooth = ndimage.gaussian_filter(noise, lengths)
    return smooth * (noise.std() / max(smooth.std(), 1e-30))


def _log_uniform(ends: tuple[float, float], rng: np.random.Generator) -> float:
    return float(np.exp(rng.uniform(*np.log(ends))))
