"""The network of SSDN with what it knows or learns of the noise, and what it is told of an image."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hush.methods._trained import Context
from hush.noise import NoiseModel

PACE = 20.0  # how much faster than a weight a global parameter moves: it has hundreds of steps, not 500,000


@dataclass(frozen=True)
class Known(Context):
    """What the posterior needs to know of an image: its normalisation, and its noise where all pixels have the same."""

    noise: NoiseModel | None = None


class BlindNet(nn.Module):
    """A blind-spot network, and what it knows or learns of the noise.

    With a noise map its input is the image's channels and then as many of the map. Their blind-spot network adds the
    surroundings of each to an output of its own: what it says of the map is left out.
    """

    variable: nn.Module | None  # the second network, where an image has its own noise

    def __init__(self, blind: nn.Module, channels: int, maps: int) -> None:
        super().__init__()
        self.blind, self.variable = blind, None
        self.channels, self.maps = channels, maps
        self.margin, self.multiple = blind.margin, blind.multiple
        self.noise: NoiseModel | None = None

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.blind(x)
        return torch.cat([out[:, : self.channels], out[:, self.channels + self.maps :]], 1) if self.maps else out
