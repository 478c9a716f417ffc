"""What shipped weights are trained on: clean patches of many collections, and the noise that is put on them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image as Pillow
from scipy import ndimage
from torch import Tensor
from torch.nn import functional

from hush import risk, vst
from hush.dataset import pictures
from hush.image import Array
from hush.patches import Batch, Patches, Scale
from hush.shown import OPPONENT
from hush.stabilise import AROUND

PEAK = 255.0  # networks see -0.5 to 0.5
REACH = 4  # pixels over which neighbours may share noise
GAMMA = 2.2  # of the scale that files have
READ = (0.0, 0.0, 0.4, 0.8, 1.5)  # photons of read noise
PHOTONS, QUALITY = (20, 10000), (70, 99)  # of a photograph: in white, and of its compression
FINER = 2.5  # times its detail that a camera's pixels may be
LEAST = 1 / PEAK  # level of a photograph's noise for the loss


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
        return Batch(torch.cat([one.noisy for one in drawn]), None if every else torch.cat(good))


def views_of(data: dict[str, Any], folder: Path, channels: int) -> list[Array]:
    """Read the images of a recipe's data set as (C, Y, X) of 8 bits."""
    views = []
    for _, clean, _ in pictures(data | {"grey": channels == 1}, folder, {}):
        view = np.moveaxis(clean, -1, 0) if clean.ndim == 3 else clean[None]
        view = np.repeat(view, channels, 0) if len(view) < channels else view
        peak = max(PEAK, float(view.max()))
        views.append(np.rint(np.maximum(view, 0) * (PEAK / peak)).astype(np.uint8))
    return views


def mixture(recipe: dict[str, Any], sets: Sequence[Sequence[Array]]) -> Mixture:
    """Return where patches are drawn from."""
    channels = recipe["channels"]
    scale = Scale((PEAK / 2,) * channels, (PEAK,) * channels)
    size = (recipe["patch"],) * 2
    return Mixture([Patches(views, size, scale) for views in sets], [data["share"] for data in recipe["data"]])


@dataclass(frozen=True)
class Shown:
    """What a network is shown, and what it is to answer.

    Attributes
    ----------
    x : Tensor, shape (B, C, Y, X) and planes
        Noisy channels and planes that tell their levels; for camera noise also those of `hush.weights.inputs_of`. Of a
        photograph nothing is told: its level is zero, and its noise below that by all.
    target : Tensor, shape (B, C, Y, X)
    level : Tensor, shape (B, C, 1, 1)
    """

    x: Tensor
    target: Tensor
    level: Tensor


def shown(clean: Tensor, recipe: dict[str, Any], rng: torch.Generator) -> Shown:
    """Put noise of a level a patch on clean patches (B, C, Y, X); where the recipe has camera noise, of its kinds."""
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
            made = _photons(patch, how, recipe["sigma"][1], numbers)
        elif share >= 1 - how["photons"] - how.get("photographs", 0):
            made = photograph(patch, numbers)
        else:
            continue
        for whole, one in zip((noisy, target, level, told, dark, shared), made, strict=True):
            whole[k] = torch.from_numpy(np.asarray(one)).to(whole)
    lost = torch.zeros_like(clean[:, :1])
    for k in np.flatnonzero(numbers.random(len(clean)) < how["lost"]).tolist():
        where = _lost(clean.shape[2:], numbers)
        noisy[k] = torch.from_numpy(np.where(where, risk.around(noisy[k].cpu().numpy(), where), noisy[k].cpu().numpy()))
        lost[k] = torch.from_numpy(where).to(lost)
    planes = [told.expand_as(noisy), dark, lost, shared.expand(-1, -1, *clean.shape[2:])]
    return Shown(_together(noisy, *planes), target, level)


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
    if shape[1] > 1:  # a camera's colours have levels of their own: in half of the patches up to twice apart
        apart = torch.rand(shape, generator=rng, device=clean.device) - 0.5
        half = torch.rand((shape[0], 1, 1, 1), generator=rng, device=clean.device) < 0.5
        level = torch.where(half, level * 2**apart, level.expand(shape)).clip(low, high)
    return level / PEAK


def _shared_noise(clean: Tensor, longest: float, chosen: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Noise of variance 1 that in chosen patches (B, 1) neighbours share, and their correlation, (B, 2, 1, 1).

    White noise is smoothed by Gaussians of lengths up to `longest` pixels; in a third along one axis only, as where a
    scanner reads rows.
    """
    count, channels, high, wide = clean.shape

    def draw(*shape: int) -> Tensor:
        return torch.rand(shape, generator=rng, device=clean.device)

    length = draw(count, 2) * longest * chosen
    alone = draw(count, 1)  # below 1/6: along X only, below 1/3: along Y only
    length = length * torch.cat([alone >= 1 / 6, (alone < 1 / 6) | (alone >= 1 / 3)], 1)
    taps = torch.arange(-REACH, REACH + 1.0, device=clean.device)
    kernel = torch.exp(-0.5 * (taps / length[..., None].clip(1e-3)) ** 2)  # (B, 2, taps)
    kernel = kernel / kernel.square().sum(-1, keepdim=True).sqrt()
    told = (kernel[..., 1:] * kernel[..., :-1]).sum(-1)
    noise = torch.randn(
        (count, channels, high + 2 * REACH, wide + 2 * REACH), generator=rng, device=clean.device
    ).swapaxes(0, 1)  # (C, B, Y, X): a kernel a patch
    with torch.autocast(clean.device.type, enabled=False):
        noise = functional.conv2d(noise, kernel[:, :1, :, None], groups=count)
        noise = functional.conv2d(noise, kernel[:, 1:, None, :], groups=count)
    return noise.swapaxes(0, 1), told[..., None, None]


def _photons(
    clean: Array, how: dict[str, float], most: float, rng: np.random.Generator
) -> tuple[Array, Array, float, float, Array, float]:
    """A patch (C, Y, X) by few photons, stabilised.

    Returns noisy, its mean, level, the level that is told, by how much noise is below it, correlation.

    Where photons are few their noise is neither Gaussian nor, after stabilising, of one level: this is what a
    network for Gaussian noise does badly.
    """
    peak = np.exp(rng.uniform(np.log(how["least"]), np.log(how["most"])))
    floor = peak * 10 ** rng.uniform(-3, -0.5)  # a background that is never quite dark
    read = float(rng.choice(READ))
    rate = floor + (peak - floor) * np.clip(clean + 0.5, 0, 1)
    counts = rng.poisson(rate) + read * rng.standard_normal(rate.shape)
    seen, mean = vst.forward(counts, 1.0, 0.0, read), vst.expected(rate, 1.0, 0.0, read)
    dark = 1 - vst.deviation(ndimage.gaussian_filter(seen, (0, AROUND, AROUND)), 1.0, 0.0, read)
    low, high = np.percentile(seen, [0.5, 99.5])
    extent = max(float(high - low) * 2 ** rng.uniform(0, 1), PEAK / most)  # whole images extend further than patches
    middle = (low + high) / 2 + rng.uniform(-0.2, 0.2) * extent
    return (seen - middle) / extent, (mean - middle) / extent, 1 / extent, 1 / extent, dark, 0.0


def photograph(clean: Array, rng: np.random.Generator) -> tuple[Array, Array, Array, float, float, float]:
    """A colour patch (3, Y, X) as a camera's JPEG; returns the same as `_photons`.

    Photons and read noise on a Bayer mosaic, interpolated, smoothed and sharpened, on the scale that eyes like,
    compressed: noise is shared by neighbours and colours, depends on brightness, and is gone where the compression was
    coarse. No number says that, so none is told. What it has to come to is the JPEG of the scene without noise: a clean
    photograph is left as it is. Pixels are finer than the scene's detail, as a camera's are.
    """
    scene = _finer(clean + 0.5, rng.uniform(1, FINER) if rng.random() < 0.7 else 1.0)
    photons, read = np.exp(rng.uniform(*np.log(PHOTONS))), rng.uniform(0, 5)
    balance = np.array([rng.uniform(1.4, 2.4), 1.0, rng.uniform(1.2, 2.2)]).reshape(3, 1, 1)
    smooth = [rng.uniform(0, most) * (rng.random() < 0.6) for most in (1.2, 3.0)]
    share, sharp = rng.uniform(0.5, 1), rng.uniform(0, 0.8) * (rng.random() < 0.5)
    light = np.clip(scene, 0, 1) ** GAMMA / balance
    counts = (rng.poisson(light * photons) + read * rng.standard_normal(light.shape)) / photons
    quality, subsampling = int(rng.integers(*QUALITY)), int(rng.choice([0, 2]))
    target, noisy = (
        _compressed(_finished(_developed(one, balance), smooth, share, sharp), quality, subsampling)
        for one in (light, counts)
    )
    level = np.maximum((noisy - target).std((1, 2), keepdims=True), LEAST)
    return noisy - 0.5, target - 0.5, level, 0.0, 1.0, 0.0


def _finer(scene: Array, times: float) -> Array:
    """The middle of (C, Y, X), enlarged to the same size."""
    high, wide = scene.shape[1:]
    rows, columns = ((np.arange(size) - size / 2) / times + size / 2 for size in (high, wide))
    where = np.meshgrid(rows, columns, indexing="ij")
    return np.stack([ndimage.map_coordinates(plane, where, order=1, mode="mirror") for plane in scene])


def _developed(light: Array, balance: Array) -> Array:
    """From linear light (3, Y, X) to the scale of files, 0 to 1: every pixel has measured one colour only."""
    colour = np.zeros(light.shape[1:], int)
    colour[::2, 1::2] = colour[1::2, ::2] = 1
    colour[1::2, 1::2] = 2
    known = (colour == np.arange(3).reshape(3, 1, 1)).astype(float)
    near = np.array([[0.25, 0.5, 0.25], [0.5, 1.0, 0.5], [0.25, 0.5, 0.25]])[None]
    sums, weights = (ndimage.convolve(one, near, mode="mirror") for one in (light * known, known))
    full: Array = np.clip(sums / weights * balance, 0, 1) ** (1 / GAMMA)
    return full


def _finished(image: Array, smooth: Sequence[float], share: float, sharp: float) -> Array:
    """What cameras do to (3, Y, X): smooth brightness a little and colours more, and sharpen."""
    planes = np.tensordot(OPPONENT, image, 1)
    for plane, length in zip(planes, (smooth[0], smooth[1], smooth[1]), strict=True):
        if length > 0:
            plane += share * (ndimage.gaussian_filter(plane, length) - plane)
    planes[0] += sharp * (planes[0] - ndimage.gaussian_filter(planes[0], 1.0))
    return np.clip(np.tensordot(OPPONENT.T, planes, 1), 0, 1)


def _compressed(image: Array, quality: int, subsampling: int) -> Array:
    file = io.BytesIO()
    pixels = np.rint(255 * np.moveaxis(image, 0, -1)).astype(np.uint8)
    Pillow.fromarray(pixels).save(file, "JPEG", quality=quality, subsampling=subsampling)
    return np.moveaxis(np.asarray(Pillow.open(file), np.float64), -1, 0) / 255
