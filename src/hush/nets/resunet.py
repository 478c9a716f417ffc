"""The residual U-Net of the shipped denoisers: it works on the image folded to half its size."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from hush.nets._parts import initialise, smooth

DEPTH = 2  # poolings of the folded image, by default
FOLD = 2  # pixels a side that become channels
QUIET_START = 0.1  # share with which a residual block begins
BLOCKS = 2  # residual blocks a level on the way down, and as many on the way up, by default


def grid(depth: int | None) -> int:
    """Return the pooling grid of a network of so many poolings."""
    return int(FOLD * 2 ** (DEPTH if depth is None else depth))


class _Residual(nn.Module):
    """Two convolutions whose result is added."""

    def __init__(self, maps: int, kernel: int, norm: str, slope: float) -> None:
        super().__init__()
        rectified = nn.LeakyReLU(slope, inplace=True) if slope else nn.ReLU(inplace=True)

        def convolution() -> list[nn.Module]:
            layer = nn.Conv2d(maps, maps, kernel, padding=kernel // 2, bias=norm == "none")
            return [layer, nn.BatchNorm2d(maps)] if norm == "batch" else [layer]

        self.body = nn.Sequential(*convolution(), rectified, *convolution())

    def quieten(self, share: float) -> None:
        """Let what is added begin small: else every block doubles the variance, and large steps kill its units."""
        last = [layer for layer in self.body if isinstance(layer, nn.Conv2d)][-1]
        with torch.no_grad():
            last.weight.mul_(share)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.body(x)
        return out


class ResUNet(nn.Module):
    """A U-Net of residual blocks on pixel-unshuffled images: about 100 kFLOP a pixel with 32 maps and 2 blocks.

    What limits a network on a processor is its arithmetic a pixel. Folding 2 x 2 pixels into channels quarters it
    (FFDNet), and residual blocks on three levels (DRUNet) use what is left well.

    Parameters
    ----------
    inputs, outputs : int
        Channels of the input and of the output; inputs beyond `outputs` are what the network is told, such as the
        noise's level.
    ndim : {2}
        Images only: volumes are denoised slice by slice.
    depth : int or None
        Number of poolings of the folded image; None: 2.
    kernel : int
        Odd size of the convolutions.
    maps : int
        Feature maps of the first level; each level below has twice as many.
    blocks : int
        Residual blocks a level on the way down, and as many on the way up.
    norm : {"batch", "none"}
        Normalisation after each convolution.
    slope : float
        Of the rectified units below zero. With 0 a unit that never fires is never trained again, and a quarter of
        the deepest ones were lost that way.
    residual : {"none", "input", "smooth"}
        What is added to the output, see `hush.nets.unet.UNet`.

    Attributes
    ----------
    margin : int
        Pixels around a tile that its result depends on.
    multiple : int
        Pooling grid: input sizes are multiples of it.

    Examples
    --------
    >>> net = ResUNet(2, 1, maps=8)
    >>> net(torch.zeros(1, 2, 32, 48)).shape, net.multiple
    (torch.Size([1, 1, 32, 48]), 8)
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        ndim: int = 2,
        depth: int | None = None,
        kernel: int = 3,
        maps: int = 32,
        blocks: int = BLOCKS,
        norm: Literal["batch", "none"] = "none",
        slope: float = 0.0,
        residual: Literal["none", "input", "smooth"] = "input",
    ) -> None:
        super().__init__()
        if ndim != 2:
            raise ValueError("it folds images, not volumes: ndim is 2")
        depth = DEPTH if depth is None else depth
        self.outputs, self.residual, self.multiple = outputs, residual, grid(depth)
        self.blocks, self.margin = blocks, self._margin(depth, kernel, blocks)
        width = [maps * 2**level for level in range(depth + 1)]

        def several(maps: int) -> nn.Sequential:
            return nn.Sequential(*(_Residual(maps, kernel, norm, slope) for _ in range(blocks)))

        self.first = nn.Conv2d(inputs * FOLD**2, maps, kernel, padding=kernel // 2)
        self.down = nn.ModuleList(several(n) for n in width)
        self.shrink = nn.ModuleList(nn.Conv2d(a, b, 2, stride=2) for a, b in pairwise(width))
        self.grow = nn.ModuleList(nn.ConvTranspose2d(2 * n, n, 2, stride=2) for n in width[:-1])
        self.up = nn.ModuleList(several(n) for n in width[:-1])
        self.last = nn.Conv2d(maps, outputs * FOLD**2, kernel, padding=kernel // 2)
        initialise(self, self.last)
        for block in self.modules():
            if isinstance(block, _Residual):
                block.quieten(QUIET_START)

    def silence(self, kept: int) -> None:
        """Let the blocks of a level after the first so many add nothing at first: the network is what it was."""
        for several in (*self.down, *self.up):
            for block in list(several)[kept:]:
                block.quieten(0.0)

    @staticmethod
    def _margin(depth: int, kernel: int, blocks: int) -> int:
        reach = kernel // 2
        level = 2 * blocks * reach  # of a level's blocks, once
        # down and up on every level, once on the deepest; a pooling sees one pixel more than its own
        inner = sum(2 * level * 2**k + 2 ** (k + 1) for k in range(depth)) + level * 2**depth + 2 * reach
        return int(FOLD * inner + FOLD - 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, Y, X) to (B, outputs, Y, X) in float32; the body runs in autocast's precision."""
        features, skips = self.first(functional.pixel_unshuffle(x, FOLD)), []
        for level, layers in enumerate(self.down):
            features = layers(features)
            if level < len(self.shrink):
                skips.append(features)
                features = self.shrink[level](features)
        for level in reversed(range(len(self.up))):
            features = self.up[level](self.grow[level](features) + skips[level])
        own = x[:, : self.outputs]
        with torch.autocast(x.device.type, enabled=False):
            out = functional.pixel_shuffle(self.last(features.to(self.last.weight.dtype)), FOLD)
            if self.residual == "none":
                return out
            return out + (own if self.residual == "input" else smooth(own)).to(out.dtype)
