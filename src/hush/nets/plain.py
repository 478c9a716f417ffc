"""The network of Noise2Fast: a plain chain of convolutions, and nothing else."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

from torch import Tensor, nn

from hush.nets._parts import CONVOLUTION, NORM, SMOOTH_KERNEL, finish

DEPTH = 8  # convolutions before the last layer, by default


def grid(depth: int | None) -> int:
    """Return the pooling grid: there is no pooling."""
    return 1


class Plain(nn.Module):
    """Convolutions with rectifiers and a 1x1 layer, as PyTorch initialises them (Lequyer et al. 2022).

    What a layer passes on is small at first: it learns slowly, smooth things before the noise.

    Parameters
    ----------
    inputs, outputs, ndim, kernel, norm, residual : see `hush.nets.unet.UNet`
    depth : int or None
        Number of convolutions before the last layer; None: 8.
    maps : int
        Feature maps; the paper has 64.

    Attributes
    ----------
    margin, multiple : int
        Pixels around a tile that its result depends on; 1.

    Examples
    --------
    >>> sum(weight.numel() for weight in Plain(1, 1).parameters())
    259201
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        ndim: int = 2,
        depth: int | None = None,
        kernel: int = 3,
        maps: int = 64,
        norm: Literal["batch", "none"] = "none",
        residual: Literal["none", "input", "smooth"] = "none",
    ) -> None:
        super().__init__()
        depth = DEPTH if depth is None else depth
        self.residual, self.multiple = residual, 1
        self.margin = max(depth * (kernel // 2), SMOOTH_KERNEL // 2)
        layers: list[nn.Module] = []
        for into, out in pairwise([inputs, *[maps] * depth]):
            layers.append(CONVOLUTION[ndim](into, out, kernel, padding=kernel // 2))
            layers += [NORM[ndim](out)] if norm == "batch" else []
            layers.append(nn.ReLU(inplace=True))
        self.body = nn.Sequential(*layers)
        self.last = CONVOLUTION[ndim](maps if depth else inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, [Z,] Y, X) to (B, outputs, [Z,] Y, X) in float32."""
        return finish(self.last, self.body(x), x, self.residual)
