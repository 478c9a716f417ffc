"""NoiseNet: which class of noise an image has, and how much of it, from what high frequencies show by brightness."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hush.nets._parts import high_pass, initialise, leaky

FINE_GAINS = (1 / 32, 1 / 4, 2.0)  # of what is high in frequency, in grey levels
BRIGHTNESSES, BRIGHTNESS_STEP = 8, 32.0  # at which features are pooled, and grey levels from one to the next
BLOCK = 8  # pixels a side, of which there is one feature
MOMENTS = 6
LEAST_SHARE = 1e-4  # of an image that a brightness has: where it has less, it tells less
FAINTEST = 0.1  # grey levels of deviation, below which levels look alike


def shown(planes: Tensor, fine: Tensor) -> Tensor:
    """Return what the convolutions are shown of planes in grey levels of 255.

    The values, what is high in frequency, h, as ``asinh(gain h)``, and where pixels are lost.
    """
    lost = (planes == 0).to(planes.dtype)
    return torch.cat(
        [(planes / 127.5 - 1).clamp(-3, 3), *(torch.asinh(gain * fine) / 2 for gain in FINE_GAINS), lost], 1
    )


def moments(planes: Tensor, fine: Tensor) -> Tensor:
    """Return (B, MOMENTS, Y, X) of blocks: level, two of shape, two of correlation with neighbours, and lost pixels.

    Near zero for white Gaussian noise, but for the level, the logarithm of the deviation of what is high in frequency.

    Examples
    --------
    >>> uniform = 100 + 50 * torch.rand(1, 1, 256, 256, generator=torch.Generator().manual_seed(0))
    >>> [round(float(each), 1) for each in moments(uniform, high_pass(uniform)).mean((0, 2, 3))][1:3]
    [0.5, -0.4]
    """
    square = F.avg_pool2d(fine**2, BLOCK) + FAINTEST**2
    level = square.sqrt()
    flat = 10 * (F.avg_pool2d(fine.abs(), BLOCK) / level - 0.798)  # of Gaussian noise the root of 2 / pi
    heavy = torch.log((F.avg_pool2d(fine**4, BLOCK) + FAINTEST**4) / (3 * square**2))
    along = [4 * F.avg_pool2d(F.pad(one, pad), BLOCK) / square for one, pad in (
        (fine[..., 1:, :] * fine[..., :-1, :], (0, 0, 0, 1)), (fine[..., 1:] * fine[..., :-1], (0, 1, 0, 0)),
    )]  # fmt: skip
    lost = torch.log1p(BLOCK**2 * F.avg_pool2d((planes == 0).to(planes.dtype), BLOCK))
    return torch.cat([level.log(), flat.clamp(-4, 4), heavy.clamp(-4, 4), *along, lost], 1)


class NoiseNet(nn.Module):
    """Classes of noise of images in grey levels of 255, and for each its level.

    Features and moments of blocks are pooled at several brightnesses, by weights that are learned: how noise depends
    on brightness, and the shape of its distribution, is what tells its kind.

    Parameters
    ----------
    classes : int
    maps : int
        Of the first level.

    Examples
    --------
    >>> logits, places = NoiseNet(11, maps=8)(255 * torch.rand(2, 1, 64, 48))
    >>> tuple(logits.shape), tuple(places.shape)
    ((2, 11), (2, 11))
    """

    def __init__(self, classes: int, maps: int = 16) -> None:
        super().__init__()
        more, most = maps * 3 // 2, 2 * maps
        steps = [
            (4 * (2 + len(FINE_GAINS)), maps, 1), (maps, maps, 1), (maps, more, 2), (more, more, 1), (more, most, 2),
            (most, most, 1),
        ]  # fmt: skip
        self.body = nn.Sequential(nn.PixelUnshuffle(2), *(leaky(*step) for step in steps))
        self.telling = nn.Sequential(
            nn.Conv2d(most + MOMENTS, most, 1), nn.LeakyReLU(0.1), nn.Conv2d(most, 1, 1)
        )  # how much a block does
        pooled, units = (BRIGHTNESSES + 2) * (most + MOMENTS) + most + BRIGHTNESSES, 6 * maps
        self.head = nn.Sequential(nn.Linear(pooled, units), nn.LeakyReLU(0.1), nn.Linear(units, 2 * classes))
        initialise(self, self.head[-1])

    def seen(self, planes: Tensor) -> Tensor:
        """Return what the head decides by, of planes (B, 1, Y, X)."""
        planes = planes[:, :, : planes.shape[2] // BLOCK * BLOCK, : planes.shape[3] // BLOCK * BLOCK]
        fine = high_pass(planes)
        features, measured = self.body(shown(planes, fine)), moments(planes, fine)
        told = self.telling(torch.cat([features, measured], 1)).clamp(-6, 6)
        near = _near(planes)
        weight = near * torch.exp(told).flatten(2)
        weight = weight / (weight.sum(2, keepdim=True) + LEAST_SHARE)
        parts = [_pooled(features.flatten(2), weight), features.amax((2, 3))]
        learned = torch.cat(parts, 1)
        shares = torch.log(near.mean(2) + LEAST_SHARE) / 4
        return torch.cat([F.layer_norm(learned, learned.shape[1:]), _pooled(measured.flatten(2), weight), shares], 1)

    def forward(self, planes: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (B, classes), and for each class the place of the level within its range, near 0 to 1."""
        logits, places = self.head(self.seen(planes)).chunk(2, 1)
        return logits, places


def _near(planes: Tensor) -> Tensor:
    """How near blocks are to each brightness, (B, BRIGHTNESSES, blocks), 0 to 1."""
    middle = BRIGHTNESS_STEP * (torch.arange(BRIGHTNESSES, dtype=planes.dtype) + 0.5).view(1, -1, 1, 1)
    bright = F.avg_pool2d(planes, BLOCK).clamp(BRIGHTNESS_STEP / 2, (BRIGHTNESSES - 0.5) * BRIGHTNESS_STEP)
    return (1 - (bright - middle).abs() / BRIGHTNESS_STEP).clamp_min(0).flatten(2)


def _pooled(features: Tensor, weight: Tensor) -> Tensor:
    """Means of features (B, F, blocks) at each brightness, of all blocks, and their deviation."""
    at_each = torch.einsum("bkp,bfp->bkf", weight, features).flatten(1)
    return torch.cat([at_each, features.mean(2), (features.var(2) + 1e-6).sqrt()], 1)
