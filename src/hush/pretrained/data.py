"""What shipped weights are trained on: clean patches of many collections, and the noise that is put on them."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor
from torch.nn import functional

from hush.core.device import cores
from hush.core.errors import HushError
from hush.core.image import Array
from hush.datasets.camera import ONE_LEVEL, PEAK, Storage, photograph
from hush.datasets.recipes import pictures
from hush.noise.emccd import EMCCD
from hush.pretrained.card import Inputs
from hush.quality import risk
from hush.training.normalization import Scale
from hush.training.patches import Batch, Patches
from hush.vst import anscombe
from hush.vst.stabilizer import BLUR

SHIFT_REACH = 4  # pixels over which neighbours may share noise
SMEARED = 0.2  # correlation up to which low-count noise is smeared
EXCESS = (1.15, 2.5)  # of amplified photons: photomultipliers have less than EMCCDs, which have 2
PHOTOGRAPH_RIM = 32  # pixels that a photograph is larger than a patch
DIM = 0.25  # of its light that a dim scene has at least
UNTOUCHED_SHARE = 0.7  # share of the pictures without noise that no camera has changed
READ_NOISES = (0.0, 0.0, 0.4, 0.8, 1.5)  # photons of read noise


@dataclass(frozen=True)
class Mixture:
    """Clean patches from several collections, each with its share of the patches."""

    parts: Sequence[Patches]
    shares: Sequence[float]

    def batch(self, count: int, rng: np.random.Generator, device: str = "cpu") -> Batch:
        """Draw `count` clean patches, normalised."""
        chosen = rng.choice(len(self.parts), size=count, p=np.asarray(self.shares) / sum(self.shares))
        drawn = [self.parts[k].batch(1, rng, device) for k in chosen]
        good = [torch.ones_like(one.noisy[:, :1]) if one.valid is None else one.valid.float() for one in drawn]
        every = all(one.valid is None for one in drawn)
        targets = [one.target for one in drawn if one.target is not None]
        target = torch.cat(targets) if len(targets) == count else None
        return Batch(torch.cat([one.noisy for one in drawn]), None if every else torch.cat(good), target)


def views_of(data: dict[str, Any], folder: Path, channels: int) -> list[Array]:
    """Read the images of a recipe's data set as (C, Y, X) of 8 bits.

    With `shrink` they are means of so many pixels squared; with `together` every so many grey images, one after the
    other, are the colours of one, as the dyes of a micrograph are.
    """
    if "together" in data:
        each = views_of({key: value for key, value in data.items() if key != "together"}, folder, 1)
        return [np.concatenate(each[at : at + data["together"]]) for at in range(0, len(each), data["together"])]
    views = []
    for _, clean, _ in pictures(data | {"grey": channels == 1}, folder, {}):
        view = np.moveaxis(clean, -1, 0) if clean.ndim == 3 else clean[None]
        view = np.repeat(view, channels, 0) if len(view) < channels else view
        peak = max(PEAK, float(view.max()))
        view = _shrunk(np.maximum(view, 0) * (PEAK / peak), data.get("shrink", 1))
        views.append(np.rint(view).astype(np.uint8))
    return views


def _shrunk(view: Array, times: int) -> Array:
    """Means of (C, Y, X) over squares: what noise and compression an image came with is gone."""
    high, wide = (size // times for size in view.shape[1:])
    squares = view[:, : high * times, : wide * times].reshape(-1, high, times, wide, times)
    means: Array = squares.mean((2, 4))
    return means


def mixture(recipe: dict[str, Any], sets: Sequence[Sequence[Array]], cycle: int = 0) -> Mixture:
    """Return where the patches of a cycle are drawn from: a data set may have a share for each.

    Where a recipe has photographs `taken` they are patches of these, with what they are to become.
    """
    channels = recipe["channels"]
    scale = Scale((PEAK / 2,) * channels, (PEAK,) * channels)
    size = (recipe["patch"],) * 2
    if "taken" in recipe:
        pairs = photographs(recipe, sets, cycle)
        return Mixture([Patches([a for a, _ in pairs], size, scale, targets=[[b] for _, b in pairs])], [1.0])
    return Mixture([Patches(views, size, scale) for views in sets], shares_of(recipe, cycle))


def shares_of(recipe: dict[str, Any], cycle: int) -> list[float]:
    """Return the shares of the data sets in a cycle."""
    shares = []
    for data in recipe["data"]:
        share = data["share"]
        if isinstance(share, list) and cycle >= len(share):
            raise HushError(f"{data['name']} has {len(share)} shares, but none for cycle {cycle + 1}: add it")
        shares.append(float(share[cycle] if isinstance(share, list) else share))
    return shares


@dataclass(frozen=True)
class Shown:
    """What a network is shown, and what it is to answer.

    Attributes
    ----------
    x : Tensor, shape (B, C, Y, X) and planes
        Noisy channels and planes that tell their levels, see `hush.pretrained.card.Inputs`.
    target : Tensor, shape (B, C, Y, X)
    level : Tensor, shape (B, C, 1, 1)
    found : Tensor or None, shape (B,)
        The level that a gauge is to find.
    """

    x: Tensor
    target: Tensor
    level: Tensor
    found: Tensor | None = None


def given(batch: Batch, recipe: dict[str, Any], rng: torch.Generator) -> Shown:
    """Return what a network is shown of a batch: noise is put on clean patches; of pairs it is there already."""
    if batch.target is None:
        return shown(batch.noisy, recipe, rng)
    level = (batch.noisy - batch.target).std((2, 3), keepdim=True).clip(ONE_LEVEL)
    return _photographic(batch.noisy, batch.target, level, recipe, rng)


def shown(clean: Tensor, recipe: dict[str, Any], rng: torch.Generator) -> Shown:
    """Put noise of a level a patch on clean patches (B, C, Y, X); where the recipe has camera noise, of its kinds.

    To a `blind` recipe they are scenes, of which a camera takes photographs.
    """
    if recipe.get("blind"):
        return _photographs(clean, recipe, rng)
    level = _levels(clean, recipe["sigma"], rng)
    how = recipe.get("camera")
    if not how:
        noise = torch.randn(clean.shape, generator=rng, device=clean.device)
        return Shown(_together(clean + level * noise, level.expand_as(clean)), clean, level)
    kind = torch.rand((len(clean), 1), generator=rng, device=clean.device)
    noise, shared = _shared_noise(clean, how["longest"], (kind < how["shared"]).float(), rng)
    noisy, target, told, dark = clean + level * noise, clean.clone(), level.clone(), torch.zeros_like(clean)
    numbers = np.random.default_rng(int(torch.randint(1 << 31, (1,), generator=rng, device=clean.device)))
    for k, share in enumerate(kind[:, 0].tolist()):
        patch = clean[k].cpu().numpy()
        if share >= 1 - how["photons"]:
            made = _photons(patch, how | {"amplified": recipe.get("amplified", 0.0)}, recipe["sigma"][1], numbers)
            for whole, one in zip((noisy, target, level, told, dark, shared), made, strict=True):
                whole[k] = torch.from_numpy(np.asarray(one)).to(whole)
    lost = torch.zeros_like(clean[:, :1])
    for k in np.flatnonzero(numbers.random(len(clean)) < how["lost"]).tolist():
        where = _lost(clean.shape[2:], numbers)
        noisy[k] = torch.from_numpy(np.where(where, risk.around(noisy[k].cpu().numpy(), where), noisy[k].cpu().numpy()))
        lost[k] = torch.from_numpy(where).to(lost)
    lags = shared.expand(-1, -1, *clean.shape[2:])
    planes = Inputs(clean.shape[1], camera=True).ordered(
        values=noisy, level=told.expand_as(noisy), deficit=dark, missing=lost, lag_y=lags[:, :1], lag_x=lags[:, 1:]
    )
    return Shown(_together(*planes), target, level)


def photographs(recipe: dict[str, Any], sets: Sequence[Sequence[Array]], cycle: int = 0) -> list[tuple[Array, Array]]:
    """Take a recipe's photographs (3, Y, X) of 8 bits, and what each is to become, before a cycle begins.

    A camera works as long as a network learns: of each photograph, a little larger than a patch, many are learned from.
    """
    shares = np.cumsum(shares_of(recipe, cycle)) / sum(shares_of(recipe, cycle))
    side = recipe["patch"] + PHOTOGRAPH_RIM
    # of small scenes there is no more than they have: the rest is mirrored
    parts = [Patches(views, (1, 1), Scale((0.0,) * 3, (1.0,) * 3)) for views in sets]

    def one(number: int) -> tuple[Array, Array]:
        rng = np.random.default_rng([recipe["seed"], cycle, number])
        part = parts[int(np.searchsorted(shares, rng.random()))]
        view = part.views[int(np.searchsorted(part.share, rng.random()))]
        top, left = (int(rng.integers(max(1, size - side + 1))) for size in view.shape[1:])
        scene = np.asarray(view[:, top : top + side, left : left + side], np.float32)
        scene = np.pad(scene, [(0, 0), *((0, side - size) for size in scene.shape[1:])], mode="symmetric")
        noisy, target, _ = _photograph(scene / PEAK - 0.5, recipe, rng)
        pair = [np.rint((image + 0.5) * PEAK).astype(np.uint8) for image in (noisy, target)]
        return pair[0], pair[1]

    with ThreadPoolExecutor(cores()) as pool:
        return list(pool.map(one, range(recipe["taken"])))


def _photograph(scene: Array, recipe: dict[str, Any], rng: np.random.Generator) -> tuple[Array, Array, Array]:
    """A photograph as a recipe wants it: a share of the scenes is dim, and a share has no noise.

    Of these most are the scene as it is, in a file: a picture whose detail is as fine as its pixels.
    """
    light = rng.uniform(DIM, 1) if rng.random() < recipe.get("dim", 0) else 1.0
    quiet, plain = rng.random() < recipe.get("quiet", 0), rng.random() < UNTOUCHED_SHARE
    scene = (scene + 0.5) * light - 0.5
    if quiet and plain:
        file = Storage.draw(rng).of(scene + 0.5)
        return file, file, np.full((3, 1, 1), ONE_LEVEL)
    return photograph(scene, rng, np.inf if quiet else None, recipe.get("shots", 0))


def _photographs(clean: Tensor, recipe: dict[str, Any], rng: torch.Generator) -> Shown:
    """What a camera makes of (B, 3, Y, X), and would without noise."""
    seeds = torch.randint(1 << 31, (len(clean),), generator=rng, device=clean.device).tolist()
    with ThreadPoolExecutor(cores()) as pool:
        scenes = clean.cpu().numpy()
        made = list(pool.map(lambda one, seed: _photograph(one, recipe, np.random.default_rng(seed)), scenes, seeds))
    noisy, target, level = (torch.from_numpy(np.stack(each)).to(clean) for each in zip(*made, strict=True))
    return _photographic(noisy, target, level, recipe, rng)


def _photographic(noisy: Tensor, target: Tensor, level: Tensor, recipe: dict[str, Any], rng: torch.Generator) -> Shown:
    """Photographs, and one level of all colours where the network is told it: not quite right, as what will be found.

    A mean of shots has noise of its own, which is none of the photograph's.
    """
    if not recipe.get("finds_level"):
        return Shown(_together(noisy), target, level)
    shots = recipe.get("shots", 0)
    own = level.square().mean(1, keepdim=True).sqrt() / (np.sqrt(1 + 1 / shots) if shots else 1.0)
    own = own.clip(ONE_LEVEL)
    off = torch.randn(own.shape, generator=rng, device=own.device) * recipe.get("level_off", 0)
    return Shown(_together(noisy, (own * off.exp()).expand_as(noisy)), target, level, own.flatten())


def _together(*planes: Tensor) -> Tensor:
    return torch.cat(planes, 1).contiguous(memory_format=torch.channels_last)


def _lost(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Pixels that are not known: a grid, as is hidden to measure a risk, some with their neighbours, or any."""
    if rng.random() < 0.4:
        return rng.random(shape) < 10 ** rng.uniform(-2.5, -0.6)
    mask = (None, None, "1x3", "3x1", "3x3", "1x5", "5x1")[int(rng.integers(7))]
    where = risk.hidden_grid(shape, int(rng.integers(risk.spacing(mask) ** 2)), mask)
    return risk.with_neighbours(where, mask)


def _levels(clean: Tensor, ends: tuple[float, float], rng: torch.Generator) -> Tensor:
    low, high = ends
    shape = (len(clean), clean.shape[1], 1, 1)
    level = torch.rand((shape[0], 1, 1, 1), generator=rng, device=clean.device) * (high - low) + low
    if shape[1] > 1:  # a camera's colours have levels of their own: in half of the patches up to four times apart
        apart = torch.rand(shape, generator=rng, device=clean.device) - 0.5
        half = torch.rand((shape[0], 1, 1, 1), generator=rng, device=clean.device) < 0.5
        level = torch.where(half, level * 4**apart, level.expand(shape)).clip(low, high)
    return level / PEAK


def _shared_noise(clean: Tensor, longest: float, chosen: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Noise of variance 1, spatially correlated in chosen patches (B, 1), and its correlation, (B, 2, 1, 1).

    White noise is smoothed by Gaussians of lengths up to `longest` pixels; in a third along one axis only, as where a
    scanner reads rows.
    """
    count, channels, high, wide = clean.shape

    def draw(*shape: int) -> Tensor:
        return torch.rand(shape, generator=rng, device=clean.device)

    length = draw(count, 2) * longest * chosen
    alone = draw(count, 1)  # below 1/6: along X only, below 1/3: along Y only
    length = length * torch.cat([alone >= 1 / 6, (alone < 1 / 6) | (alone >= 1 / 3)], 1)
    taps = torch.arange(-SHIFT_REACH, SHIFT_REACH + 1.0, device=clean.device)
    kernel = torch.exp(-0.5 * (taps / length[..., None].clip(1e-3)) ** 2)  # (B, 2, taps)
    kernel = kernel / kernel.square().sum(-1, keepdim=True).sqrt()
    told = (kernel[..., 1:] * kernel[..., :-1]).sum(-1)
    noise = torch.randn(
        (count, channels, high + 2 * SHIFT_REACH, wide + 2 * SHIFT_REACH), generator=rng, device=clean.device
    ).swapaxes(0, 1)  # (C, B, Y, X): a kernel a patch
    with torch.autocast(clean.device.type, enabled=False):
        noise = functional.conv2d(noise, kernel[:, :1, :, None], groups=count)
        noise = functional.conv2d(noise, kernel[:, 1:, None, :], groups=count)
    return noise.swapaxes(0, 1), told[..., None, None]


def _photons(
    clean: Array, how: dict[str, float], most: float, rng: np.random.Generator
) -> tuple[Array, Array, float, float, Array, Array]:
    """A low-count patch (C, Y, X), stabilised; a share of the patches has excess noise.

    Returns noisy, its mean, level, the level that is told, by how much noise is below it, correlation (2, 1, 1): in
    some patches slow electronics smear the noise along rows, or an optical filter both ways.

    Where photons are few their noise is neither Gaussian nor, after stabilising, of one level: this is what a
    network for Gaussian noise does badly.
    """
    peak = np.exp(rng.uniform(np.log(how["least"]), np.log(how["most"])))
    floor = peak * 10 ** rng.uniform(-3, -0.5)  # a background that is never quite dark
    read = float(rng.choice(READ_NOISES))
    rate = floor + (peak - floor) * np.clip(clean + 0.5, 0, 1)
    if how["amplified"] and rng.random() < how["amplified"]:  # their variance is the same, and the transform with it
        counts = EMCCD(1.0, sigma=read, excess=rng.uniform(*EXCESS)).sample(rate, rng)
    else:
        counts = rng.poisson(rate) + read * rng.standard_normal(rate.shape)
    seen, mean = anscombe.forward(counts, 1.0, 0.0, read), anscombe.expected(rate, 1.0, 0.0, read)
    dark = 1 - anscombe.deviation(ndimage.gaussian_filter(seen, (0, BLUR, BLUR)), 1.0, 0.0, read)
    low, high = np.percentile(seen, [0.5, 99.5])
    extent = max(float(high - low) * 2 ** rng.uniform(0, 1), PEAK / most)  # whole images extend further than patches
    middle = (low + high) / 2 + rng.uniform(-0.2, 0.2) * extent
    told = np.zeros((2, 1, 1))
    if rng.random() < how.get("smeared", 0):
        lags = rng.uniform(0, SMEARED) * np.array([rng.random() < 1 / 3, 1.0])
        seen, told = mean + _smeared(seen - mean, lags), lags.reshape(2, 1, 1)
    return (seen - middle) / extent, (mean - middle) / extent, 1 / extent, 1 / extent, dark, told


def _smeared(noise: Array, lags: Array) -> Array:
    """Noise (C, Y, X) mixed with its neighbours', so that those along Y and along X correlate by `lags`; same power."""
    for axis, lag in enumerate(lags, 1):
        share = (1 - np.sqrt(1 - 4 * lag**2)) / (2 * max(lag, 1e-6))  # of the neighbour before, over the pixel's own
        noise = (noise + share * np.roll(noise, 1, axis)) / np.sqrt(1 + share**2)
    return noise
