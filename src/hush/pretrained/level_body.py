"""Train the network that sees the level: the first part of ``hush pretrain level``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor, nn
from torch.nn import functional as F

from hush.estimation.impulses import RING
from hush.nets._level import GRID, QUANTILES, LevelNet, inputs
from hush.pretrained._steps import Report, take
from hush.pretrained.level_data import Floats, draw

IMAGES = 16  # a step
SIDES, SHARES = (96, 64, 128), (0.5, 0.25, 0.25)  # of the images of a step
RATE = 1.5e-3
REPAIRED_SHARE, MOST_REPAIRED = (
    0.12,
    0.25,
)  # share of images with pixels that were filled in, as impulses are, and how many
NOTHING = 3e-4  # of the range: a level that counts as none


def learned(pool: Sequence[Floats], steps: int, seed: int, report: Report | None = None) -> LevelNet:
    """Return a network that has learned from noisy images of a pool of scenes.

    The loss is the pinball loss of the plane's quantiles, and the likelihood of a Laplace distribution of its squares.
    """
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    net = LevelNet()

    def next_loss() -> Tensor:
        return loss_of(net, *batch(pool, IMAGES, int(rng.choice(SIDES, p=SHARES)), rng))

    take(net, torch.optim.AdamW(net.parameters(), RATE, weight_decay=1e-4), next_loss, steps, report)
    return net.eval()


def batch(pool: Sequence[Floats], number: int, side: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Return noisy images and their variance, both (B, 1, side, side)."""
    drawn = [draw(pool, side, rng) for _ in range(number)]
    noisy, variance = (torch.from_numpy(np.stack(each))[:, None] for each in zip(*drawn, strict=True))
    return torch.stack([_filled(one, rng) for one in noisy]), variance


def _filled(noisy: Tensor, rng: np.random.Generator) -> Tensor:
    """In some images (1, Y, X) some pixels are the median of the eight around."""
    if rng.random() >= REPAIRED_SHARE:
        return noisy
    around = ndimage.median_filter(noisy.numpy(), footprint=RING[None], mode="mirror")
    hit = rng.random(noisy.shape) < rng.uniform(0, MOST_REPAIRED)
    return torch.from_numpy(np.where(hit, around, noisy.numpy()))


def truth_of(variance: Tensor, span: Tensor) -> Tensor:
    """Return the logarithm of the level of planes in units of their range."""
    found: Tensor = (variance.mean((1, 2, 3)).sqrt() / span).clamp(NOTHING, 1 / NOTHING).log()
    return found


def pinball(quantiles: Tensor, truth: Tensor) -> Tensor:
    """Return the loss of quantiles (B, 5) of a truth (B,)."""
    away, quantile = truth[:, None] - quantiles, torch.tensor(QUANTILES)
    return torch.maximum(quantile * away, (quantile - 1) * away).mean()


def loss_of(net: nn.Module, noisy: Tensor, variance: Tensor) -> Tensor:
    """Return the loss of a batch."""
    shown, span = inputs(noisy)
    whole, middle, width = net(shown)
    of_the_plane = pinball(whole, truth_of(variance, span))
    squares = F.avg_pool2d(variance, GRID)[:, 0].sqrt() / span[:, None, None]
    local = ((squares.clamp(NOTHING, 1 / NOTHING).log() - middle).abs() * torch.exp(-width) + width).mean()
    loss: Tensor = 4 * of_the_plane + local / 2
    return loss
