"""The blind-spot network of SSDN: it sees everything but the pixel that it predicts."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from hush.nets._blind import BLUR_SCALES, Ending, layout
from hush.nets._parts import CONVOLUTION, NORM, POOL, initialise

DEPTH = 3  # poolings, by default
BLIND = True  # to the pixel that it predicts


def grid(depth: int | None) -> int:
    """Return the pooling grid of a network of so many poolings."""
    return int(2 ** (DEPTH if depth is None else depth))


class _Upward(nn.Module):
    """A convolution that sees its own row and rows above."""

    def __init__(self, into: int, out: int, kernel: int, ndim: int, bias: bool = True) -> None:
        super().__init__()
        self.rows = (0, 0, kernel - 1, 0)  # all of Y's padding at the top
        padding: Any = (*(kernel // 2,) * (ndim - 2), 0, kernel // 2)
        self.layer = CONVOLUTION[ndim](into, out, kernel, padding=padding, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layer(functional.pad(x, self.rows))
        return out


def _active(maps: int, ndim: int, norm: str) -> nn.Sequential:
    first = [NORM[ndim](maps)] if norm == "batch" else []
    return nn.Sequential(*first, nn.LeakyReLU(0.1, inplace=True))


class _Rise(nn.Module):
    """A stage of the decoder; as in `Stage` the maps from below are convolved before they are up-sampled."""

    def __init__(self, below: int, skipped: int, wide: int, kernel: int, ndim: int, norm: str) -> None:
        super().__init__()
        self.lift = _Upward(below, wide, kernel, ndim)
        self.skip = _Upward(skipped, wide, kernel, ndim, bias=False)
        self.active = _active(wide, ndim, norm)
        self.second = nn.Sequential(_Upward(wide, wide, kernel, ndim), _active(wide, ndim, norm))

    def forward(self, below: Tensor, skipped: Tensor) -> Tensor:
        maps = functional.interpolate(self.lift(below), scale_factor=2.0, mode="nearest")
        out: Tensor = self.second(self.active(maps + self.skip(skipped)))
        return out


def _lower(x: Tensor) -> Tensor:
    """Shift (B, C, [Z,] Y, X) down by a row."""
    return functional.pad(x[..., :-1, :], (0, 0, 1, 0))


class _HalfPlane(nn.Module):
    """A U-Net in which a pixel sees only the rows above it."""

    def __init__(self, inputs: int, ndim: int, depth: int, kernel: int, maps: int, norm: str) -> None:
        super().__init__()
        self.ndim, wide = ndim, 2 * maps

        def down(into: int) -> nn.Sequential:
            return nn.Sequential(_Upward(into, maps, kernel, ndim), _active(maps, ndim, norm))

        self.first = down(inputs)
        self.down = nn.ModuleList(down(maps) for _ in range(depth + 1))
        self.up = nn.ModuleList(
            _Rise(wide if level else maps, maps, wide, kernel, ndim, norm) for level in range(depth)
        )  # the deepest level first
        self.outputs = wide if depth else maps

    def forward(self, x: Tensor) -> Tensor:
        features, skips = self.first(x), []
        for layer in self.down[:-1]:
            features = layer(features)
            skips.append(features)
            features = POOL[self.ndim](_lower(features), 2)
        features = self.down[-1](features)
        for stage, skipped in zip(self.up, reversed(skips), strict=True):
            features = stage(features, skipped)
        return _lower(features)


class BlindSpot(nn.Module):
    """A network whose receptive field leaves out its own pixel (Laine et al., NeurIPS 2019).

    One U-Net, in which every convolution sees only rows above, looks at the image turned by 0, 90, 180 and 270
    degrees; its four half planes together are everything but the pixel, and 1x1 layers join them. In volumes the
    turns are about Z, and what is left out is the pixel's column along Z.

    Parameters
    ----------
    inputs, outputs : int
        Channels of the input and of the output.
    ndim : {2, 3}
        Images or volumes.
    depth : int or None
        Number of poolings; None: 3. The paper has 5.
    kernel : int
        Odd size of the convolutions.
    maps : int
        Feature maps of the encoder, at all levels; the decoder has twice as many. The paper has 48.
    norm : {"batch", "none"}
        Normalisation before each activation; the paper has none.
    residual : {"none", "smooth"}
        What is added to the first `inputs` outputs: nothing, or the mean of the 24 pixels around, so that
        brightness and colour are right from the start.

    Attributes
    ----------
    margin : int
        Pixels around a tile that its result depends on.
    multiple : int
        Pooling grid: input sizes are multiples of it.

    Examples
    --------
    >>> net = BlindSpot(1, 2, depth=2, maps=8)
    >>> net(torch.zeros(1, 1, 32, 48)).shape
    torch.Size([1, 2, 32, 48])
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        ndim: int = 2,
        depth: int | None = None,
        kernel: int = 3,
        maps: int = 24,
        norm: Literal["batch", "none"] = "none",
        residual: Literal["none", "input", "smooth"] = "smooth",
    ) -> None:
        super().__init__()
        depth = DEPTH if depth is None else depth
        self.inputs, self.ndim, self.multiple = inputs, ndim, grid(depth)
        self.margin = self._margin(depth, kernel)
        self.plane = _HalfPlane(inputs, ndim, depth, kernel, maps, norm)
        self.end = Ending(4 * self.plane.outputs, inputs, outputs, maps, ndim, residual)
        initialise(self, self.end.last)

    @staticmethod
    def _margin(depth: int, kernel: int) -> int:
        reach = kernel - 1  # of a convolution: all of it upward
        levels = sum(2**level for level in range(depth))
        # a level: a convolution down and a row of shift, on its way up two convolutions, and one on the level below
        return max(int(reach + levels * (3 * reach + 2 + reach) + reach * 2**depth + 1), *BLUR_SCALES)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, [Z,] Y, X) to (B, outputs, [Z,] Y, X) in float32; the body runs in autocast's precision."""
        halves: list[Tensor] = []
        for turns in ((0, 2), (1, 3)):  # two by two: turned by 90 degrees the sides of the image change places
            turned = torch.cat([torch.rot90(x, turn, (-2, -1)) for turn in turns])
            seen = self.plane(turned.contiguous(memory_format=layout(x))).chunk(2)
            halves += [torch.rot90(one, -turn, (-2, -1)) for turn, one in zip(turns, seen, strict=True)]
        out: Tensor = self.end(halves, x)
        return out
