"""What shipped weights are trained on: clean patches of many collections, and the noise that is put on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from hush.dataset import pictures
from hush.image import Array
from hush.patches import Batch, Patches, Scale

PEAK = 255.0  # networks see -0.5 to 0.5
REACH = 4  # pixels over which neighbours may share noise


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


def noisy_and_told(clean: Tensor, recipe: dict[str, Any], rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Put noise of a level a patch on clean patches (B, C, Y, X).

    Returns
    -------
    x : Tensor, shape (B, 2 C, Y, X), or two more
        Noisy channels and planes that tell their levels; where the recipe has noise that neighbours share, also planes
        of the correlation of neighbours along Y and along X.
    level : Tensor, shape (B, C, 1, 1)
    """
    level = _levels(clean, recipe["sigma"], rng)
    told = [level.expand_as(clean)]
    if recipe.get("shared"):
        noise, shared = _shared_noise(clean, recipe["shared"], rng)
        told.append(shared.expand(-1, -1, *clean.shape[2:]))
    else:
        noise = torch.randn(clean.shape, generator=rng, device=clean.device)
    return torch.cat([clean + level * noise, *told], 1).contiguous(memory_format=torch.channels_last), level


def _levels(clean: Tensor, ends: tuple[float, float], rng: torch.Generator) -> Tensor:
    low, high = ends
    shape = (len(clean), clean.shape[1], 1, 1)
    level = torch.rand((shape[0], 1, 1, 1), generator=rng, device=clean.device) * (high - low) + low
    if shape[1] > 1:  # a camera's colours have levels of their own: in half of the patches up to twice apart
        apart = torch.rand(shape, generator=rng, device=clean.device) - 0.5
        half = torch.rand((shape[0], 1, 1, 1), generator=rng, device=clean.device) < 0.5
        level = torch.where(half, level * 2**apart, level.expand(shape)).clip(low, high)
    return level / PEAK


def _shared_noise(clean: Tensor, how: dict[str, float], rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Noise of variance 1 that neighbours share, and the correlation of neighbours along Y and X, (B, 2, 1, 1).

    White noise is smoothed by Gaussians of lengths up to `longest` pixels; a third along one axis only, as where a
    scanner reads rows; the rest, less `share`, stays white.
    """
    count, channels, high, wide = clean.shape

    def draw(*shape: int) -> Tensor:
        return torch.rand(shape, generator=rng, device=clean.device)

    length = draw(count, 2) * how["longest"]
    alone = draw(count, 1)  # below 1/6: along X only, below 1/3: along Y only
    length = length * torch.cat([alone >= 1 / 6, (alone < 1 / 6) | (alone >= 1 / 3)], 1)
    length = length * (draw(count, 1) < how["share"])
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
