"""Gauge: one level of the noise of a photograph, and how sure it is, of what every place says."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from hush.nets._parts import high_pass, leaky

GAUGE_GAINS = (8.0, 64.0)  # of what is high in frequency, so that noise of 1 and of 50 grey levels can be seen
GAUGE_FOLD = 2  # pixels a side that become channels
USUAL_LOG, USUAL_SPREAD_LOG = -3.5, -1.0  # logarithms of a usual level where white is 1, and of by how much it is off


class Gauge(nn.Module):
    """The logarithm of the level of a photograph's noise and its standard deviation.

    Every place says a level v, how much that counts (w, a logarithm), and how far off it may be (u): the level is
    the mean of v with weights exp(w), so that flat places count where there are some. It says one for any size.

    Parameters
    ----------
    channels : int
    maps : int
        Of the first level.

    Examples
    --------
    >>> level, spread = Gauge(3, 8)(torch.zeros(2, 3, 32, 48))
    >>> level.shape, spread.shape
    (torch.Size([2]), torch.Size([2]))
    """

    def __init__(self, channels: int, maps: int = 32) -> None:
        super().__init__()
        shown, more, most = GAUGE_FOLD**2 * channels * (1 + len(GAUGE_GAINS)), maps + maps // 2, 2 * maps
        steps = [(shown, maps, 1), (maps, more, 2), (more, more, 1), (more, most, 2), (most, most, 1)]
        self.body = nn.Sequential(*(leaky(*step) for step in steps), nn.Conv2d(most, 3, 1))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map photographs (B, C, Y, X) from -0.5 to 0.5 to two logarithms (B,): the level, and by how much it is off.

        The second is a standard deviation of the first.
        """
        fine = high_pass(x.flatten(0, 1)[:, None]).view_as(x)
        shown = torch.cat([2 * x, *(torch.asinh(gain * fine) / 2 for gain in GAUGE_GAINS)], 1)
        said = self.body(functional.pixel_unshuffle(shown, GAUGE_FOLD).contiguous(memory_format=torch.channels_last))
        level, weight, spread = said.float().flatten(2).unbind(1)
        share = weight.softmax(1)
        return USUAL_LOG + (share * level).sum(1), USUAL_SPREAD_LOG + (share * spread).sum(1)

    def loss(self, x: Tensor, level: Tensor) -> Tensor:
        """Return the mean of minus the logarithm of the probability of true levels (B,), whose logarithm is normal."""
        said, spread = self(x)
        off = (said - level.log()) * (-spread).exp()
        mean: Tensor = (off.square() / 2 + spread).mean()
        return mean
