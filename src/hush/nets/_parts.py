"""Parts that networks share: layers by number of axes, smoothing, pooling without aliasing, decoder stages."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

CONVOLUTION = {2: nn.Conv2d, 3: nn.Conv3d}
NORM = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
POOL = {2: functional.max_pool2d, 3: functional.max_pool3d}

AVERAGE = {2: functional.avg_pool2d, 3: functional.avg_pool3d}
SMOOTH_KERNEL = 5  # pixels a side


def smooth(x: Tensor) -> Tensor:
    """Return the mean over 5 pixels a side of (B, C, [Z,] Y, X), at the edges over what there is."""
    ndim = x.ndim - 2
    padding = (SMOOTH_KERNEL // 2,) * (2 * ndim)
    total = AVERAGE[ndim](functional.pad(x, padding), SMOOTH_KERNEL, stride=1)
    share = AVERAGE[ndim](functional.pad(torch.ones_like(x[:1, :1]), padding), SMOOTH_KERNEL, stride=1)
    return total / share


def high_pass(planes: Tensor) -> Tensor:
    """Return the difference of planes (B, 1, Y, X) to their binomial mean over 3 x 3: what is high in frequency."""
    line = torch.tensor([1.0, 2.0, 1.0])
    kernel = (line[:, None] * line).view(1, 1, 3, 3) / 16
    return planes - functional.conv2d(functional.pad(planes, (1, 1, 1, 1), mode="reflect"), kernel)


def leaky(into: int, out: int, stride: int) -> nn.Module:
    """Return a convolution over 3 x 3 and what is rectified of it, with a slope below zero."""
    return nn.Sequential(nn.Conv2d(into, out, 3, stride, 1), nn.LeakyReLU(0.1))


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


def block(into: int, out: int, kernel: int, ndim: int, norm: str) -> nn.Sequential:
    """Return a convolution, its normalisation (``"batch"`` or ``"none"``), and a leaky ReLU."""
    parts: list[nn.Module] = [CONVOLUTION[ndim](into, out, kernel, padding=kernel // 2, bias=norm == "none")]
    if norm == "batch":
        parts.append(NORM[ndim](out))
    return nn.Sequential(*parts, nn.LeakyReLU(0.1, inplace=True))


def initialise(net: nn.Module, last: nn.Module) -> None:
    """Draw the weights (He et al. 2015); the last layer starts near zero: at the mean, or at the residual."""
    for module in net.modules():
        if isinstance(module, (nn.Conv2d, nn.Conv3d)):
            nn.init.kaiming_normal_(module.weight, a=0.1)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    nn.init.normal_(last.weight, std=1e-2)  # type: ignore[arg-type]


def finish(last: nn.Module, features: Tensor, x: Tensor, residual: str) -> Tensor:
    """Run the last layer and add what the network corrects: nothing, the input, or its mean over 5 pixels a side.

    Both stay in float32: bfloat16 would leave 8 bits of a 16-bit image.
    """
    with torch.autocast(x.device.type, enabled=False):
        out: Tensor = last(features.to(last.weight.dtype))  # type: ignore[arg-type]
        if residual == "none":
            return out
        return out + (x if residual == "input" else smooth(x)).to(out.dtype)


def pad_end(x: Tensor, multiple: int) -> Tensor:
    """Mirror (B, C, [Z,] Y, X) at its end up to a multiple; with zeros where it is shorter than one.

    Zeros are what patches of such thin images were padded with in training; mirroring there would
    show the network copies of the very noise that it is to remove.
    """
    for axis in range(2, x.ndim):
        size = x.shape[axis]
        need = -size % multiple
        if need and size >= multiple:
            x = torch.cat([x, x.narrow(axis, size - 1 - need, need).flip(axis)], axis)
        elif need:
            x = torch.cat([x, x.new_zeros(*x.shape[:axis], need, *x.shape[axis + 1 :])], axis)
    return x
