"""A monotone piecewise linear curve of every channel's values, that can be learned, and its inverse."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

LEAST_RISE = 1e-3  # of the mean rise between knots, that every piece of a curve has beside what is learned
Ends = Sequence[Sequence[float]] | Tensor  # two values of every channel


class MonotoneCurve(nn.Module):
    """One rising curve a channel: straight between its knots, and straight on beyond them.

    ::

        c(x) = a + b Σ_k (exp(θ_k) + ε) r_k(x)

    r_k is the share of the k-th piece that lies below x; θ is what is learned, zero at first: a straight line. a and b
    are such that two values that are given become -0.5 and 0.5: the curve has a shape and no scale.

    Parameters
    ----------
    channels, knots : int
        Knots are at equal distances.

    Examples
    --------
    >>> curve = MonotoneCurve(1, 8)
    >>> curve.span(ends=[(0.0, 10.0)], shown=[(0.0, 10.0)])
    >>> y = curve(torch.tensor([[[[0.0, 2.5, 12.0]]]]))
    >>> y.flatten().tolist()[:2]
    [-0.5, -0.25]
    >>> curve.inverse(y).flatten().round(decimals=4).tolist()
    [0.0, 2.5, 12.0]
    """

    ends: Tensor
    shown: Tensor

    def __init__(self, channels: int, knots: int) -> None:
        super().__init__()
        self.knots = knots
        self.rises = nn.Parameter(torch.zeros(channels, knots - 1))
        for name in ("ends", "shown"):
            self.register_buffer(name, torch.tensor([[0.0, 1.0]] * channels))

    def span(self, ends: Ends, shown: Ends) -> None:
        """Set every channel's first and last knot, and the two values that become -0.5 and 0.5."""
        self.ends.copy_(torch.as_tensor(ends))
        self.shown.copy_(torch.as_tensor(shown))

    def heights(self) -> Tensor:
        """Return the values at the knots, (C, knots)."""
        rises = self.rises.exp() + LEAST_RISE
        raw = torch.cat([torch.zeros_like(rises[:, :1]), rises.cumsum(1)], 1)
        dark, bright = _between(raw, self._position(self.shown)).T[..., None]
        heights: Tensor = (raw - dark) / (bright - dark) - 0.5
        return heights

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, ...) value by value."""
        return _like(_between(self.heights(), self._position(_by_channel(x))), x)

    def inverse(self, y: Tensor) -> Tensor:
        """Undo `forward`."""
        heights, flat = self.heights(), _by_channel(y)
        piece = (torch.searchsorted(heights.detach(), flat.detach()) - 1).clamp(0, self.knots - 2)
        low, high = heights.gather(1, piece), heights.gather(1, piece + 1)
        first, last = self.ends.T[..., None]
        position = piece + (flat - low) / (high - low)
        return _like(first + position * ((last - first) / (self.knots - 1)), y)

    def _position(self, x: Tensor) -> Tensor:
        """Where values (C, N) lie, in knots after the first."""
        first, last = self.ends.T[..., None]
        position: Tensor = (x - first) * ((self.knots - 1) / (last - first))
        return position


def _between(heights: Tensor, position: Tensor) -> Tensor:
    """Curves (C, knots) at positions (C, N)."""
    piece = position.detach().floor().clamp(0, heights.shape[1] - 2).long()
    low, high = heights.gather(1, piece), heights.gather(1, piece + 1)
    return low + (position - piece) * (high - low)


def _by_channel(x: Tensor) -> Tensor:
    """(B, C, ...) as (C, N)."""
    return x.transpose(0, 1).flatten(1).contiguous()


def _like(flat: Tensor, x: Tensor) -> Tensor:
    """(C, N) as (B, C, ...), as x is."""
    return flat.reshape(x.shape[1], x.shape[0], *x.shape[2:]).transpose(0, 1)
