"""The network of Zero-Shot Noise2Noise: two convolutions and a linear layer."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

from torch import Tensor, nn

from hush.nets._parts import CONVOLUTION, SMOOTH_KERNEL, block, finish, initialise

DEPTH = 2  # convolutions before the last layer, by default


def grid(depth: int | None) -> int:
    """Return the pooling grid: there is no pooling."""
    return 1


class Shallow(nn.Module):
    """Few convolutions and a 1x1 layer: little capacity, so that one image does not teach it its noise.

    Parameters
    ----------
    inputs, outputs, ndim, kernel, norm, residual : see `hush.nets.unet.UNet`
    depth : int or None
        Number of convolutions before the last layer; None: 2 (Mansour and Heckel, CVPR 2023).
    maps : int
        Feature maps; the paper has 48.

    Attributes
    ----------
    margin, multiple : int
        Pixels around a tile that its result depends on; 1.

    Examples
    --------
    >>> sum(weight.numel() for weight in Shallow(1, 1).parameters())
    21313
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        ndim: int = 2,
        depth: int | None = None,
        kernel: int = 3,
        maps: int = 48,
        norm: Literal["batch", "none"] = "none",
        residual: Literal["none", "input", "smooth"] = "input",
    ) -> None:
        super().__init__()
        depth = DEPTH if depth is None else depth
        self.residual, self.multiple = residual, 1
        self.margin = max(depth * (kernel // 2), SMOOTH_KERNEL // 2)
        widths = [inputs, *[maps] * depth]
        self.body = nn.Sequential(*(block(a, b, kernel, ndim, norm) for a, b in pairwise(widths)))
        self.last = CONVOLUTION[ndim](maps, outputs, 1)
        initialise(self, self.last)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, [Z,] Y, X) to (B, outputs, [Z,] Y, X) in float32."""
        return finish(self.last, self.body(x), x, self.residual)
