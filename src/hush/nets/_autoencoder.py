"""A convolutional autoencoder with a short code: images of one size, since its middle is fully connected."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from hush.nets._parts import CONVOLUTION, NORM, finish

TRANSPOSED = {2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
LEAK = 0.01  # slope of the leaky ReLU below zero, the paper's
ACTIVATIONS = ("leaky_relu", "relu")


class Autoencoder(nn.Module):
    """Convolutions at stride 2, a code of a few numbers, and the same backwards (Bernier and Lucio 2021).

    Parameters
    ----------
    channels : int
        Of the input and of the output.
    size : sequence of int
        [Z,] Y, X of the images that it takes, multiples of 2^depth.
    depth : int
        Convolutions at stride 2.
    kernel : int
        Odd size of the convolutions.
    maps : int
        Feature maps of the first convolution; each that follows has twice as many.
    latent : int
        Numbers of the code.
    norm : {"batch", "none"}
        Normalisation after each activation.
    activation : {"leaky_relu", "relu"}

    Attributes
    ----------
    margin, multiple : int
        0 and 1: it is shown whole images.

    Examples
    --------
    >>> net = Autoencoder(1, (28, 28))
    >>> net(torch.zeros(2, 1, 28, 28)).shape, net.encode.out_features
    (torch.Size([2, 1, 28, 28]), 16)
    """

    def __init__(
        self,
        channels: int,
        size: Sequence[int],
        *,
        depth: int = 2,
        kernel: int = 3,
        maps: int = 32,
        latent: int = 16,
        norm: Literal["batch", "none"] = "batch",
        activation: Literal["leaky_relu", "relu"] = "leaky_relu",
    ) -> None:
        super().__init__()
        self.margin, self.multiple, ndim = 0, 1, len(size)
        self.coarse = tuple(side // 2**depth for side in size)
        widths = [maps * 2**level for level in range(depth)]
        pad, self.deepest = kernel // 2, widths[-1]

        def finished(layer: nn.Module, width: int) -> nn.Sequential:
            bend = nn.LeakyReLU(LEAK) if activation == "leaky_relu" else nn.ReLU()
            return nn.Sequential(layer, bend, NORM[ndim](width) if norm == "batch" else nn.Identity())

        self.down = nn.Sequential(
            *(finished(CONVOLUTION[ndim](a, b, kernel, 2, pad), b) for a, b in pairwise([channels, *widths]))
        )
        self.encode = nn.Linear(widths[-1] * math.prod(self.coarse), latent)
        self.decode = nn.Linear(latent, widths[-1] * math.prod(self.coarse))
        # what is added at the end makes a size of 2 n from n
        self.up = nn.Sequential(
            *(finished(TRANSPOSED[ndim](a, b, kernel, 2, pad, 1), b) for a, b in pairwise([widths[-1], *widths[::-1]]))
        )
        self.last = TRANSPOSED[ndim](widths[0], channels, kernel, 1, pad)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, channels, *size) to the same in float32; the code is float32, the body in autocast's precision."""
        features = self.down(x)
        with torch.autocast(x.device.type, enabled=False):
            code = self.encode(features.float().flatten(1))  # (B, latent)
            features = self.decode(code).unflatten(1, (self.deepest, *self.coarse))
        return finish(self.last, self.up(features), x, "none")
