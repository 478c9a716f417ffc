"""What NoiseBreaker's denoisers learn from: clean patches, noise of a type, and what is to be left of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hush.core.image import Array
from hush.datasets.hard import DEVELOPMENT
from hush.datasets.hard_scenes import KINDS
from hush.noise import NoiseModel, parse
from hush.pretrained.conditioning import PEAK
from hush.pretrained.data import views_of
from hush.pretrained.noisebreaker.classes import NoiseClass, classes
from hush.pretrained.noisebreaker.denoisers import END_TO_END, planes, told
from hush.pretrained.train import usual_error

SOURCES: tuple[dict[str, Any], ...] = (  # Train400 001-200 are crops of BSDS500_train, 361-400 are for choices
    {"name": "BSDS500_train less its last 20", "files": "BSDS500_train/*.jpg", "last": -20, "share": 0.4,
     "licence": "BSDS images, research use"},
    {"name": "Train400, 201-360", "files": "Train400/*.png", "first": 200, "last": -40, "share": 0.2,
     "licence": "BSDS images, research use; GPL-3.0 repository"},
    {"name": "ImageNet_sample", "files": "ImageNet_sample/*.JPEG", "share": 0.3,
     "licence": "not stated, research use"},
)  # fmt: skip
DEVELOPMENT_IMAGES: tuple[dict[str, Any], ...] = (
    {"name": "Train400 (last 40)", "files": "Train400/*.png", "last": 40, "share": 0.5},
    {"name": "BSDS500_train (last 20)", "files": "BSDS500_train/*.jpg", "last": 20, "share": 0.5},
)
HARD_SHARE, SCENES_A_KIND, HARD_SIDE = 0.1, 40, 128
WIDE = {  # noise beyond the classes, so that a level that was found need not be quite right
    "speckle": "speckle:sigma=0..60", "uniform": "uniform:s=0..60", "bernoulli": "bernoulli:p=0..0.22",
    "poisson": "poisson:photons=60..600",
}  # fmt: skip
MIXTURE_SIGMA, MIXTURE_LOST = (0.0, 55.0), (0.0, 0.2)  # the paper's mixture: Gaussian noise, then lost pixels
WEAK = 10.0  # grey levels of the Gaussian noise that stays
WITH_WEAK, WITH_EARLIER = 0.25, 0.5  # shares of the patches with noise that stays: of most denoisers, of lost pixels'
OF_FILES, OTHER_CONTRAST = 0.25, 0.25  # shares that are rounded and clipped, and of another contrast
JITTER = 0.1  # of the logarithm of the level that is told
FILLED_WRONG = 12.0  # grey levels by which what fills a lost pixel is usually wrong
LOST_AS_NOISE = 70.0  # grey levels of Gaussian noise that a share of lost pixels counts as


def sources(folder: Path, seed: int = 0) -> tuple[list[dict[str, Any]], list[list[Array]]]:
    """Return the data sets that are learned from, and their images (1, Y, X) of 8 bits; the hard kinds are the last.

    Raises
    ------
    HushError
        When files are missing.
    """
    scenes = [
        KINDS[kind](HARD_SIDE, np.random.default_rng([seed, number, at]))
        for at, kind in enumerate(DEVELOPMENT)
        for number in range(SCENES_A_KIND)
    ]
    hard = {"name": "hard kinds for development", "share": HARD_SHARE,
            "licence": "made by hush, some of scikit-image's photographs"}  # fmt: skip
    hard_views = [np.rint(scene.clip(0, PEAK)).astype(np.uint8)[None] for scene in scenes]
    return [*SOURCES, hard], [*(views_of(data, folder, 1) for data in SOURCES), hard_views]


@dataclass(frozen=True)
class Examples:
    """What a network is shown, and what it is to answer.

    Attributes
    ----------
    x : Tensor, shape (B, 2, Y, X)
    target : Tensor, shape (B, 1, Y, X)
        Of a range of 1 about zero.
    usual : Tensor, shape (B,)
        Squared error that may be expected of such noise, in grey levels: what a patch's own is divided by.
    """

    x: Tensor
    target: Tensor
    usual: Tensor


def examples(name: str, clean: Tensor, rng: np.random.Generator) -> Examples:
    """Put a denoiser's noise on clean patches (B, 1, Y, X) of a range of 1 about zero."""
    made = [_example(name, PEAK * (patch + 0.5), rng) for patch in clean.cpu().numpy()]
    noisy, target, known, usual = (torch.from_numpy(np.stack(each)).to(clean) for each in zip(*made, strict=True))
    return Examples(planes(noisy, known), target / PEAK - 0.5, usual)


def _example(name: str, clean: Array, rng: np.random.Generator) -> tuple[Array, Array, Array, Any]:
    """A patch (1, Y, X) noisy, its target, what is told, and the usual error."""
    if rng.random() < OTHER_CONTRAST:
        share = rng.uniform(0.2, 1)
        clean = share * clean + rng.uniform(0, (1 - share) * PEAK)
    noisy, target, level, usual = _mixed(clean, rng) if name == END_TO_END else _primary(name, clean, rng)
    if rng.random() < OF_FILES:
        noisy, target = (np.rint(values).clip(0, PEAK) for values in (noisy, target))
    known = told(noisy, name, level * float(np.exp(rng.normal(0, JITTER))))
    return noisy.astype(np.float32), target.astype(np.float32), known.astype(np.float32), np.float32(usual)


def _mixed(clean: Array, rng: np.random.Generator) -> tuple[Array, Array, float, float]:
    """The paper's mixture: noisy, target, no level, usual error."""
    sigma, lost = rng.uniform(*MIXTURE_SIGMA), rng.uniform(*MIXTURE_LOST)
    noisy = parse(f"gaussian:sigma={sigma} + bernoulli:p={lost}").draw(rng).sample(clean, rng)
    return noisy, clean, 0.0, usual_error(sigma + LOST_AS_NOISE * lost)


def _primary(name: str, clean: Array, rng: np.random.Generator) -> tuple[Array, Array, float, float]:
    """One type of noise, on noise that is left: noisy, target, level, usual error."""
    model, level = _drawn(name, rng)
    target = _earlier(name, clean, rng)
    noisy = model.sample(target, rng)
    if name == "bernoulli":
        return noisy, target, level, level * (float(np.var(target - clean)) + FILLED_WRONG**2) + 1
    return noisy, target, level, usual_error(PEAK * float(told(clean, name, level).max()))


def _earlier(name: str, clean: Array, rng: np.random.Generator) -> Array:
    """A patch with the noise that a denoiser is to leave: often none."""
    if rng.random() >= (WITH_EARLIER if name == "bernoulli" else WITH_WEAK):
        return clean
    if name != "bernoulli":
        return clean + rng.uniform(0, WEAK) * rng.standard_normal(clean.shape)
    others = [one for one in classes() if one.denoiser not in (None, name)]
    model, _ = others[int(rng.integers(len(others)))].draw(rng)
    assert model is not None
    return np.asarray(model.sample(clean, rng))


def _drawn(name: str, rng: np.random.Generator) -> tuple[NoiseModel, float]:
    """Noise of a denoiser's classes, or of the wide range, and its level."""
    own = [one for one in classes() if one.denoiser == name]
    one = _wide(name) if rng.random() < 0.5 else own[int(rng.integers(len(own)))]
    model, level = one.draw(rng)
    assert model is not None
    return model, level


@cache
def _wide(name: str) -> NoiseClass:
    return NoiseClass(name, parse(WIDE[name]), name)


def held_out(folder: Path) -> list[list[Array]]:
    """Return the images that choices are made on, (1, Y, X) of 8 bits."""
    return [views_of(data, folder, 1) for data in DEVELOPMENT_IMAGES]


def shares(data: Sequence[dict[str, Any]]) -> list[float]:
    """Return which share of the patches each data set has."""
    return [float(one["share"]) for one in data]
