"""The U-Net of Noise2Void and its variants, in two and three dimensions."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

CONVOLUTION = {2: nn.Conv2d, 3: nn.Conv3d}
NORM = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
POOL = {2: functional.max_pool2d, 3: functional.max_pool3d}

AVERAGE = {2: functional.avg_pool2d, 3: functional.avg_pool3d}
SMOOTH = 5  # pixels a side


def smooth(x: Tensor) -> Tensor:
    """Return the mean over 5 pixels a side of (B, C, [Z,] Y, X), at the edges over what there is."""
    ndim = x.ndim - 2
    padding = (SMOOTH // 2,) * (2 * ndim)
    total = AVERAGE[ndim](functional.pad(x, padding), SMOOTH, stride=1)
    share = AVERAGE[ndim](functional.pad(torch.ones_like(x[:1, :1]), padding), SMOOTH, stride=1)
    return total / share


class MaxBlurPool(nn.Module):
    """Maximum at stride 1, binomial blur, then every second pixel: no aliasing (Zhang, ICML 2019)."""

    kernel: Tensor

    def __init__(self, ndim: int) -> None:
        super().__init__()
        line = torch.tensor([1.0, 2.0, 1.0]) / 4
        kernel = line
        for _ in range(ndim - 1):
            kernel = kernel[..., None] * line
        self.ndim = ndim
        self.register_buffer("kernel", kernel[None, None], persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Halve (B, maps, [Z,] Y, X)."""
        # the maximum reaches one pixel back: padding at the start keeps it on the pooling grid's phase
        x = functional.pad(x, (1, 0) * self.ndim, mode="replicate")
        x = functional.pad(POOL[self.ndim](x, 2, stride=1), (1, 1) * self.ndim, mode="replicate")
        maps = x.shape[1]
        blur = functional.conv2d if self.ndim == 2 else functional.conv3d
        return blur(x, self.kernel.to(x.dtype).expand(maps, *self.kernel.shape[1:]), stride=2, groups=maps)


class Stage(nn.Module):
    """A stage of the decoder: from the level below and the encoder's maps to this level's maps.

    The first convolution of (up-sampled, skipped) maps is split in two that are added. The half for the maps
    from below runs before they are up-sampled, at a quarter of the cost, and nothing has to be joined in memory.
    """

    def __init__(self, below: int, width: int, kernel: int, ndim: int, norm: bool, skip: bool) -> None:
        super().__init__()

        def convolution(source: int, bias: bool) -> nn.Module:
            return CONVOLUTION[ndim](source, width, kernel, padding=kernel // 2, bias=bias)

        self.lift = convolution(below, not norm)
        self.skip = convolution(width, False) if skip else None
        self.first = nn.Sequential(NORM[ndim](width) if norm else nn.Identity(), nn.LeakyReLU(0.1, inplace=True))
        self.second = nn.Sequential(
            convolution(width, not norm), NORM[ndim](width) if norm else nn.Identity(), nn.LeakyReLU(0.1, inplace=True)
        )

    def forward(self, below: Tensor, skipped: Tensor) -> Tensor:
        """Map (B, below, ...) and (B, width, twice ...) to (B, width, twice ...)."""
        maps = functional.interpolate(self.lift(below), scale_factor=2.0, mode="nearest")
        if self.skip is not None:
            maps = maps + self.skip(skipped)
        out: Tensor = self.second(self.first(maps))
        return out


class UNet(nn.Module):
    """A U-Net with nearest up-sampling and a linear last layer (Ronneberger et al. 2015; Krull et al. 2019).

    Parameters
    ----------
    inputs, outputs : int
        Channels of the input and of the output.
    ndim : {2, 3}
        Images or volumes.
    depth : int
        Number of poolings.
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
        depth: int = 2,
        kernel: int = 3,
        maps: int = 32,
        norm: Literal["batch", "none"] = "batch",
        residual: Literal["none", "input", "smooth"] = "none",
        blur_pool: bool = False,
        top_skip: bool = True,
    ) -> None:
        super().__init__()
        self.ndim, self.depth, self.residual = ndim, depth, residual
        self.multiple = 2**depth
        self.margin = self._margin(kernel, blur_pool)

        def block(into: int, out: int) -> nn.Sequential:
            parts: list[nn.Module] = []
            for source in (into, out):
                parts.append(CONVOLUTION[ndim](source, out, kernel, padding=kernel // 2, bias=norm == "none"))
                if norm == "batch":
                    parts.append(NORM[ndim](out))
                parts.append(nn.LeakyReLU(0.1, inplace=True))
            return nn.Sequential(*parts)

        width = [maps * 2**level for level in range(depth + 1)]
        self.down = nn.ModuleList(block(a, b) for a, b in zip([inputs, *width[:-1]], width, strict=True))
        self.pool = nn.ModuleList(MaxBlurPool(ndim) for _ in range(depth if blur_pool else 0))
        self.up = nn.ModuleList(
            Stage(width[level + 1], width[level], kernel, ndim, norm == "batch", skip=level > 0 or top_skip)
            for level in range(depth)
        )
        self.last = CONVOLUTION[ndim](maps, outputs, 1)
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Conv3d)):
                nn.init.kaiming_normal_(module.weight, a=0.1)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        nn.init.normal_(self.last.weight, std=1e-2)  # starts at the mean (or, when residual, at the input)

    def _margin(self, kernel: int, blur_pool: bool) -> int:
        reach = 2 * (kernel // 2)  # two convolutions a block
        down = sum((reach + (3 if blur_pool else 1)) * 2**level for level in range(self.depth))
        # a stage looks half a kernel far on the level below, half a kernel on its own, and one for the up-sampling
        up = sum((3 * (kernel // 2) + 1) * 2**level for level in range(self.depth))
        return max(int(down + reach * 2**self.depth + up), SMOOTH // 2)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, [Z,] Y, X) to (B, outputs, [Z,] Y, X) in float32; the body runs in autocast's precision."""
        features, skips = x, []
        for level, block in enumerate(self.down):
            features = block(features)
            if level < self.depth:
                skips.append(features)
                features = self.pool[level](features) if self.pool else POOL[self.ndim](features, 2)
        for level in reversed(range(self.depth)):
            features = self.up[level](features, skips[level])
        # the last layer and the sum stay in float32: bfloat16 would leave 8 bits of a 16-bit image
        with torch.autocast(x.device.type, enabled=False):
            out: Tensor = self.last(features.to(self.last.weight.dtype))
            if self.residual == "none":
                return out
            return out + (x if self.residual == "input" else smooth(x)).to(out.dtype)
