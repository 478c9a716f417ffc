"""DnCNN: a plain stack of convolutions that predicts the noise."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from hush.nets._parts import CONVOLUTION, NORM, SMOOTH_KERNEL, finish, initialise

DEPTH = 17  # layers, by default


def grid(depth: int | None) -> int:
    """Return the pooling grid: there is no pooling."""
    return 1


class DnCNN(nn.Module):
    """A stack of 3x3 convolutions with batch normalisation, residual (Zhang et al., IEEE TIP 2017).

    Parameters
    ----------
    inputs, outputs : int
        Channels of the input and of the output.
    ndim : {2, 3}
        Images or volumes.
    depth : int or None
        Number of layers; None: 17, as in DnCNN-S.
    kernel : int
        Odd size of the convolutions.
    maps : int
        Feature maps of all layers; the paper has 64.
    norm : {"batch", "none"}
        Normalisation of all layers but the first and the last.
    residual : {"none", "input", "smooth"}
        What is added to the output; see `hush.nets.unet.UNet`. The paper's is ``"input"``.

    Attributes
    ----------
    margin, multiple : int
        Pixels around a tile that its result depends on; 1.

    Examples
    --------
    >>> import torch
    >>> net = DnCNN(1, 1, depth=5, maps=8)
    >>> net(torch.zeros(1, 1, 33, 47)).shape, net.margin
    (torch.Size([1, 1, 33, 47]), 5)
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
        norm: Literal["batch", "none"] = "batch",
        residual: Literal["none", "input", "smooth"] = "input",
    ) -> None:
        super().__init__()
        depth = DEPTH if depth is None else depth
        self.residual, self.multiple = residual, 1
        self.margin = max(depth * (kernel // 2), SMOOTH_KERNEL // 2)

        def convolution(source: int, out: int, bias: bool) -> nn.Module:
            return CONVOLUTION[ndim](source, out, kernel, padding=kernel // 2, bias=bias)

        layers: list[nn.Module] = [convolution(inputs, maps, True), nn.ReLU(inplace=True)]
        for _ in range(depth - 2):
            layers.append(convolution(maps, maps, norm == "none"))
            layers += [NORM[ndim](maps)] if norm == "batch" else []
            layers.append(nn.ReLU(inplace=True))
        self.body = nn.Sequential(*layers)
        self.last = convolution(maps, outputs, True)
        initialise(self, self.last)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, [Z,] Y, X) to (B, outputs, [Z,] Y, X) in float32."""
        return finish(self.last, self.body(x), x, self.residual)
