"""The U-Net of Noise2Void and its variants, in two and three dimensions."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from hush.nets._parts import CONVOLUTION, POOL, SMOOTH_KERNEL, MaxBlurPool, Stage, block, finish, initialise

DEPTH = 2  # poolings, by default


def grid(depth: int | None) -> int:
    """Return the pooling grid of a network of so many poolings."""
    return int(2 ** (DEPTH if depth is None else depth))


class UNet(nn.Module):
    """A U-Net with nearest up-sampling and a linear last layer (Ronneberger et al. 2015; Krull et al. 2019).

    Parameters
    ----------
    inputs, outputs : int
        Channels of the input and of the output.
    ndim : {2, 3}
        Images or volumes.
    depth : int or None
        Number of poolings; None: 2.
    kernel : int
        Odd size of the convolutions.
    maps : int
        Feature maps of the first level; each level below has twice as many.
    norm : {"batch", "none"}
        Normalisation before each activation.
    residual : {"none", "input", "smooth"}
        What is added to the output: nothing; the input (the network predicts the noise); or the mean over
        5 pixels a side (the network predicts detail, and brightness and colour are right from the start).
    blur_pool : bool
        Max-blur-pool instead of max-pool (N2V2).
    top_skip : bool
        Connect encoder and decoder at full resolution (not in N2V2).

    Attributes
    ----------
    margin : int
        Pixels around a tile that its result depends on.
    multiple : int
        Pooling grid: input sizes are multiples of it.

    Examples
    --------
    >>> import torch
    >>> net = UNet(1, 1, depth=2, maps=8)
    >>> net(torch.zeros(1, 1, 32, 48)).shape, net.multiple
    (torch.Size([1, 1, 32, 48]), 4)
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
        norm: Literal["batch", "none"] = "batch",
        residual: Literal["none", "input", "smooth"] = "none",
        blur_pool: bool = False,
        top_skip: bool = True,
    ) -> None:
        super().__init__()
        depth = DEPTH if depth is None else depth
        self.ndim, self.depth, self.residual = ndim, depth, residual
        self.multiple = grid(depth)
        self.margin = self._margin(kernel, blur_pool)

        def pair(into: int, out: int) -> nn.Sequential:
            return nn.Sequential(*(block(source, out, kernel, ndim, norm) for source in (into, out)))

        width = [maps * 2**level for level in range(depth + 1)]
        self.down = nn.ModuleList(pair(a, b) for a, b in zip([inputs, *width[:-1]], width, strict=True))
        self.pool = nn.ModuleList(MaxBlurPool(ndim) for _ in range(depth if blur_pool else 0))
        self.up = nn.ModuleList(
            Stage(width[level + 1], width[level], kernel, ndim, norm == "batch", skip=level > 0 or top_skip)
            for level in range(depth)
        )
        self.last = CONVOLUTION[ndim](maps, outputs, 1)
        initialise(self, self.last)

    def _margin(self, kernel: int, blur_pool: bool) -> int:
        reach = 2 * (kernel // 2)  # two convolutions a block
        down = sum((reach + (3 if blur_pool else 1)) * 2**level for level in range(self.depth))
        # a stage looks half a kernel far on the level below, half a kernel on its own, and one for the up-sampling
        up = sum((3 * (kernel // 2) + 1) * 2**level for level in range(self.depth))
        return max(int(down + reach * 2**self.depth + up), SMOOTH_KERNEL // 2)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, [Z,] Y, X) to (B, outputs, [Z,] Y, X) in float32; the body runs in autocast's precision."""
        features, skips = x, []
        for level, layers in enumerate(self.down):
            features = layers(features)
            if level < self.depth:
                skips.append(features)
                features = self.pool[level](features) if self.pool else POOL[self.ndim](features, 2)
        for level in reversed(range(self.depth)):
            features = self.up[level](features, skips[level])
        return finish(self.last, features, x, self.residual)
