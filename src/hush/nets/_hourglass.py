"""The hourglass of Deep Image Prior: from noise to an image."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

SLOPE_BELOW_ZERO = 0.2  # of all rectifiers


class Hourglass(nn.Module):
    """Encoder and decoder with thin skips, whose weights are the picture (Ulyanov et al., CVPR 2018).

    A level halves its maps by a stride, and gives them to the level below; what comes back is doubled in size, joined
    with few skipped maps, and convolved. Batch normalisation takes the statistics of the one input there is.

    Parameters
    ----------
    inputs, outputs : int
        Channels of the noise and of the image.
    depth : int
        Levels; 5 in the paper.
    maps : int
        Feature maps of every level; 128 in the paper.
    skips : int
        Maps that every level skips; 4 in the paper.

    Attributes
    ----------
    multiple : int
        Sides of the input are multiples of it, and at least twice as long.

    Examples
    --------
    >>> net = Hourglass(8, 1, depth=2, maps=4)
    >>> net(torch.rand(1, 8, 16, 24)).shape, net.multiple
    (torch.Size([1, 1, 16, 24]), 4)
    """

    def __init__(self, inputs: int, outputs: int, *, depth: int = 5, maps: int = 128, skips: int = 4) -> None:
        super().__init__()
        self.multiple = 2**depth
        sources = [inputs, *[maps] * (depth - 1)]
        self.skip = nn.ModuleList(_layer(source, skips, 1) for source in sources)
        self.down = nn.ModuleList(nn.Sequential(_layer(a, maps, 3, stride=2), _layer(maps, maps, 3)) for a in sources)
        joined = skips + maps
        self.up = nn.ModuleList(
            nn.Sequential(nn.BatchNorm2d(joined), _layer(joined, maps, 3), _layer(maps, maps, 1)) for _ in sources
        )
        self.last = nn.Conv2d(maps, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, Y, X) to (B, outputs, Y, X), between 0 and 1, in float32."""
        skipped = []
        for skip, down in zip(self.skip, self.down, strict=True):
            skipped.append(skip(x))
            x = down(x)
        for thin, up in zip(reversed(skipped), reversed(self.up), strict=True):
            x = functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
            x = up(torch.cat([thin, x.to(thin.dtype)], 1))
        with torch.autocast(x.device.type, enabled=False):
            return torch.sigmoid(self.last(x.float()))


def _layer(into: int, out: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """A convolution that mirrors at the edges, its normalisation, and a rectifier."""
    convolution = nn.Conv2d(into, out, kernel, stride, kernel // 2, padding_mode="reflect" if kernel > 1 else "zeros")
    return nn.Sequential(convolution, nn.BatchNorm2d(out), nn.LeakyReLU(SLOPE_BELOW_ZERO, inplace=True))
