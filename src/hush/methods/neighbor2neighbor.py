"""Neighbor2Neighbor: two neighbours out of every 2 x 2 pixels make a noisy pair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from hush.core.image import Image
from hush.methods._base import demand
from hush.methods._learned import NetDenoiser
from hush.training.checkpoint import Checkpoint
from hush.training.masking import error_everywhere
from hush.training.patches import Batch
from hush.training.train_network import Learned
from hush.training.trainer import WARMUP

CELL = 2  # pixels a side of the squares from which neighbours are drawn
COUNT = "steps_done_and_all"  # buffer of a network in training
# numbers of two pixels of a square that share a side
ADJACENT = ((0, 1), (0, 2), (1, 3), (2, 3), (1, 0), (2, 0), (3, 1), (3, 2))


@dataclass(kw_only=True, eq=False)
class Neighbor2Neighbor(NetDenoiser):
    """Learn from single noisy images by drawing two neighbours of every 2 x 2 pixels (Huang et al., CVPR 2021).

    The neighbours make two images of half the size: nearly the same picture, with independent noise. A network learns
    one from the other, and that denoising and drawing may change places; this second part corrects that neighbours do
    not show quite the same. In volumes the drawing is in the plane.

    Parameters
    ----------
    regularization : float
        Weight that the second part has at the end of training: it rises from zero.

    Notes
    -----
    Use it where the noise is independent between pixels, as `n2v`; better on a series than on one image.

    ::

        L(θ) = ‖f_θ(g₁y) - g₂y‖² + γ ‖f_θ(g₁y) - g₂y - (g₁f(y) - g₂f(y))‖²

    g₁ and g₂ take one pixel each of every 2 x 2, two that share a side, anew in every step; f(y) is the network's
    output for the whole patch, without gradient; γ rises to the `regularization`. Raise that where detail is lost,
    lower it where noise is left.

    The paper trains for 100 epochs of 44,328 images: batches of 4 patches of 256 pixels, a U-Net of 48 maps, Adam at
    3e-4, halved every 20 epochs. The defaults are those of `n2v`, for one image and half a minute of two cores, but
    for the batch norm: half images and whole ones have statistics of their own.

    References
    ----------
    * T. Huang, S. Li, X. Jia, H. Lu and J. Liu, Neighbor2Neighbor: self-supervised denoising from single noisy
      images, CVPR 2021.

    Examples
    --------
    >>> import numpy as np
    >>> noisy = np.random.default_rng(0).normal(100, 9, (64, 64)).astype(np.float32)
    >>> Neighbor2Neighbor(steps=2, maps=4).fit(noisy).denoise(noisy).data.shape
    (64, 64)
    """

    needs: ClassVar[str] = "noisy"

    regularization: float = 2.0
    norm: Literal["batch", "none"] = "none"

    def check(self) -> None:
        """Refuse settings that make no sense, naming what is possible."""
        super().check()
        demand(self.regularization >= 0, "regularization", self.regularization, "0 (none) or more")

    @property
    def grid(self) -> int:
        """On which patches lie: their halves lie on the pooling grid."""
        return CELL * super().grid

    def _begin(self, network: int, channels: int, start: NetDenoiser | None) -> nn.Module:
        """The network before training, with a count of its steps and of all that there will be: 0 until that is known.

        Both are part of what a checkpoint holds, so that a resumed training weighs as one that was never stopped.
        """
        net = super()._begin(network, channels, start)
        net.register_buffer(COUNT, torch.tensor([0, self.steps or 0]))
        self._learning = net
        return net

    def _learn(
        self,
        network: int,
        networks: int,
        channels: int,
        pairs: Sequence[tuple[Image, Image | None]],
        keeper: Checkpoint | None,
        report: Any,
        start: NetDenoiser | None,
    ) -> Learned | None:
        """Train one network, which is told how many steps there will be; what is learned has no count."""

        def noted(step: int, steps: int, loss: float) -> None:
            self._learning.get_buffer(COUNT)[1] = steps
            report(step, steps, loss)

        learned = super()._learn(network, networks, channels, pairs, keeper, noted, start)
        for net in (learned.net, learned.last) if learned else ():
            if net is not None:
                delattr(net, COUNT)
        return learned

    def loss(self, net: nn.Module, batch: Batch, rng: torch.Generator) -> Tensor:
        """Return the error to the other neighbours, and that of drawing and denoising in the other order."""
        first, second = draw_neighbours(batch.noisy, rng)
        valid = None if batch.valid is None else taken(batch.valid, first) & taken(batch.valid, second)
        away = net(taken(batch.noisy, first)) - taken(batch.noisy, second)
        loss = error_everywhere(away, torch.zeros_like(away), valid)
        if self.regularization == 0 or not net.training:  # what is held out is judged alike at all times
            return loss
        weight = self.regularization * _share_done(net.get_buffer(COUNT))
        with torch.no_grad():
            whole = net(batch.noisy)
        unlike = taken(whole, first) - taken(whole, second)
        return loss + weight * error_everywhere(away, unlike, valid)


def _share_done(count: Tensor) -> float:
    """Count a step; and return which share of all steps were done, the first few left out, that tell how many fit."""
    done, every = count.tolist()
    count[0] += 1
    return float(max(0, done - WARMUP) / max(1, every - WARMUP))


def draw_neighbours(x: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw two pixels that share a side from every 2 x 2 of (B, C, [Z,] Y, X), all channels alike.

    Returns
    -------
    first, second : Tensor of int64, shape (B, 1, [Z,] Y / 2, X / 2)
        Their numbers in the cell, row by row.
    """
    cells = (x.shape[0], 1, *x.shape[2:-2], x.shape[-2] // CELL, x.shape[-1] // CELL)
    drawn = torch.randint(len(ADJACENT), cells, generator=rng, device=x.device)
    pairs = torch.tensor(ADJACENT, device=x.device)[drawn]
    return pairs[..., 0], pairs[..., 1]


def taken(x: Tensor, which: Tensor) -> Tensor:
    """Return one pixel of every 2 x 2 of (B, C, [Z,] Y, X), by its number.

    Examples
    --------
    >>> square = torch.tensor([[[[1.0, 2.0], [4.0, 8.0]]]])
    >>> [float(taken(square, torch.full((1, 1, 1, 1), number))) for number in range(4)]
    [1.0, 2.0, 4.0, 8.0]
    """
    high, wide = which.shape[-2:]
    cells = x.reshape(*x.shape[:-2], high, CELL, wide, CELL).transpose(-2, -3).flatten(-2)
    one: Tensor = cells.gather(-1, which[..., None].expand(*cells.shape[:-1], 1))[..., 0]
    return one
