"""What blind-spot networks share: the mean around a pixel without the pixel, and the last layers."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from hush.nets._parts import CONVOLUTION, finish

SURROUND = 2  # pixels: half side of the neighbourhood whose mean is the residual
BLUR_SCALES = (1, 4, 8)  # half sides of others that the last layers are shown as well


def surroundings(x: Tensor, half: int = SURROUND) -> Tensor:
    """Return the mean over ``2 half + 1`` pixels a side of the plane, without the centre, of (B, C, [Z,] Y, X).

    At the edges of what there is.
    """
    ndim, channels, side = x.ndim - 2, x.shape[1], 2 * half + 1
    kernel = torch.ones(side**2, dtype=x.dtype, device=x.device)
    kernel[side**2 // 2] = 0  # the centre
    flat = (1,) * (ndim - 2)
    kernel = kernel.reshape(1, 1, *flat, side, side).expand(channels, 1, *flat, side, side)
    convolve = functional.conv2d if ndim == 2 else functional.conv3d
    padding = (*(0,) * (ndim - 2), half, half)
    total = convolve(x, kernel, padding=padding, groups=channels)
    count = convolve(torch.ones_like(x[:1]), kernel, padding=padding, groups=channels)
    return total / count.clip(1)  # a picture of one pixel has no surroundings


def layout(x: Tensor) -> torch.memory_format:
    """Return the memory format in which convolutions of such a tensor are fast."""
    return torch.channels_last if x.ndim == 4 else torch.channels_last_3d


class Ending(nn.Module):
    """The last layers, pixel by pixel: from features that have not seen it to what is said of it.

    Parameters
    ----------
    features : int
        Maps that come in, and of the first layer.
    inputs, outputs : int
        Channels of the image and of the result.
    maps : int
        The second layer has twice as many.
    ndim : {2, 3}
        Images or volumes.
    residual : {"none", "smooth"}
        What is added to the first `inputs` outputs: nothing, or the mean of the 24 pixels around.

    Raises
    ------
    ValueError
        When the residual is to be the pixel itself.
    """

    def __init__(self, features: int, inputs: int, outputs: int, maps: int, ndim: int, residual: str) -> None:
        super().__init__()
        if residual == "input":
            raise ValueError("a blind-spot network must not be given its own pixel: residual is smooth or none")
        self.inputs, self.residual = inputs, residual
        seen = len(BLUR_SCALES) * inputs if residual == "smooth" else 0
        self.join = nn.Sequential(
            CONVOLUTION[ndim](features + seen, features, 1), nn.LeakyReLU(0.1, inplace=True),
            CONVOLUTION[ndim](features, 2 * maps, 1), nn.LeakyReLU(0.1, inplace=True),
        )  # fmt: skip
        self.last = CONVOLUTION[ndim](2 * maps, outputs, 1)

    def forward(self, features: list[Tensor], x: Tensor) -> Tensor:
        """Map maps (B, n, [Z,] Y, X) and the image (B, inputs, [Z,] Y, X) to (B, outputs, [Z,] Y, X) in float32."""
        if self.residual == "none":
            return finish(self.last, self.join(self._joined(features, x)), x, "none")
        with torch.autocast(x.device.type, enabled=False):
            around = surroundings(x)
            # at other scales: whether to look near or far is then a matter of the last layers alone
            others = [surroundings(x, half) - around for half in BLUR_SCALES]
        out = finish(self.last, self.join(self._joined([*features, *others], x)), x, "none")
        return torch.cat([out[:, : self.inputs] + around, out[:, self.inputs :]], 1)

    @staticmethod
    def _joined(parts: list[Tensor], x: Tensor) -> Tensor:
        return torch.cat([part.to(parts[0].dtype) for part in parts], 1).contiguous(memory_format=layout(x))
