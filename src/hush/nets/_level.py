"""LevelNet: the level of the noise of a plane, with quantiles, from what high frequencies show at several gains."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hush.nets._parts import high_pass, leaky

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)  # that it gives
GRID = 16  # a plane's sides are multiples of it, and a square of it has a level of its own
GAINS = (8.0, 64.0, 512.0)  # of what is high in frequency, so that noise of 1 and of 50 grey levels can be seen
ENDS = (0.005, 0.995)  # quantiles of the values, between which is the range
SAMPLE = 20_000  # values of which they are taken
EPSILON = 1e-6
LEAST_SPREAD = 0.05  # of a fact
MOST_UNUSUAL = 5.0  # deviations of a fact off its mean: examples say nothing of more
USUAL_LEVEL = -5.0  # logarithm of a usual level in units of the range


def inputs(planes: Tensor) -> tuple[Tensor, Tensor]:
    """Return what the network is shown of planes (B, 1, Y, X), and their ranges (B,).

    The values in units of their range, and the difference to their binomial mean, h, as ``asinh(gain h)``.
    """
    flat = planes.flatten(1)
    low, high = torch.quantile(flat[:, :: max(1, flat.shape[1] // SAMPLE)], torch.tensor(ENDS), dim=1)
    span = torch.maximum(high - low, 1e-3 * flat.std(1)).clamp_min(1e-30)
    values = (planes - low.view(-1, 1, 1, 1)) / span.view(-1, 1, 1, 1)
    fine = high_pass(values)
    shown = [(2 * values - 1).clamp(-3, 3), *(torch.asinh(gain * fine) / 2 for gain in GAINS)]
    return torch.cat(shown, 1), span


class LevelNet(nn.Module):
    """Quantiles of the logarithm of the level, in units of the range, of planes and of their squares.

    Parameters
    ----------
    maps : int
        Of the first level.

    Examples
    --------
    >>> shown, _ = inputs(torch.rand(2, 1, 64, 48))
    >>> whole, middle, width = LevelNet(8)(shown)
    >>> tuple(whole.shape), tuple(middle.shape)
    ((2, 5), (2, 4, 3))
    """

    def __init__(self, maps: int = 32) -> None:
        super().__init__()
        more = maps + 16
        steps = [
            (4 * (1 + len(GAINS)), maps, 1), (maps, maps, 1), (maps, more, 2), (more, more, 1), (more, 64, 2),
            (64, 64, 1), (64, 64, 2), (64, 64, 1),
        ]  # fmt: skip
        self.body = nn.Sequential(nn.PixelUnshuffle(2), *(leaky(*step) for step in steps))
        self.whole = nn.Sequential(nn.Linear(128, 64), nn.LeakyReLU(0.1), nn.Linear(64, 64))
        self.mix = nn.Sequential(nn.LeakyReLU(0.1), nn.Conv2d(64, 64, 1), nn.LeakyReLU(0.1))
        self.local = nn.Conv2d(64, 3, 1)
        self.head = nn.Sequential(nn.Linear(64 + 64 + 2, 64), nn.LeakyReLU(0.1), nn.Linear(64, len(QUANTILES)))

    def forward(self, shown: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return quantiles (B, 5) of the plane; of its squares the middle (B, Y, X) and the logarithm of its error."""
        seen = self.body(shown)
        spread = (seen.var((2, 3)) + EPSILON).sqrt()  # which has a slope where all is the same
        every = self.whole(torch.cat([seen.mean((2, 3)), spread], 1))
        seen = self.mix(seen + every[:, :, None, None])
        middle, width, telling = self.local(seen).unbind(1)
        middle, width = middle + USUAL_LEVEL, width.clamp(-4, 3)
        share = torch.softmax(telling.flatten(1), 1)  # squares that tell the level
        of_squares = (share * middle.flatten(1)).sum(1, keepdim=True)
        error = (share * width.flatten(1)).sum(1, keepdim=True)
        told = self.head(torch.cat([(share[:, None] * seen.flatten(2)).sum(2), every, of_squares, error], 1))
        return in_order(of_squares + told[:, 2:3], told[:, [0, 1, 3, 4]]), middle, width


class Agreement(nn.Module):
    """Quantiles of the level from those that `LevelNet` sees and from what flat blocks measured.

    Several small networks that began differently: where they disagree, the interval is wider.

    Parameters
    ----------
    facts : int
        Numbers that say what the blocks found; the first is the logarithm of their level.

    Examples
    --------
    >>> seen = torch.tensor([[-4.0, -3.5, -3.0, -2.5, -2.0]])
    >>> tuple(Agreement(3)(seen, torch.zeros(1, 3)).shape)
    (1, 5)
    """

    def __init__(self, facts: int, units: int = 64, members: int = 6) -> None:
        super().__init__()
        self.register_buffer("usual", torch.zeros(facts))
        self.register_buffer("spread", torch.ones(facts))
        self.members = nn.ModuleList(_member(len(QUANTILES) + 1 + facts, units) for _ in range(members))

    def accustom(self, facts: Tensor) -> None:
        """Take the mean and the spread of facts (N, facts) for the usual ones."""
        self.get_buffer("usual").copy_(facts.mean(0))
        self.get_buffer("spread").copy_(facts.std(0).clamp_min(LEAST_SPREAD))

    def each(self, seen: Tensor, facts: Tensor) -> Tensor:
        """Return what each member says, (members, B, 5)."""
        middle, blocks = seen[:, 2:3], facts[:, :1]
        known = ((facts - self.get_buffer("usual")) / self.get_buffer("spread")).clamp(-MOST_UNUSUAL, MOST_UNUSUAL)
        given = torch.cat([seen - USUAL_LEVEL, blocks - middle, known], 1)
        said = []
        for member in self.members:
            told = member(given)
            centre = middle + torch.sigmoid(told[:, :1]) * (blocks - middle) + told[:, 1:2]
            said.append(in_order(centre, told[:, 2:]))
        return torch.stack(said)

    def forward(self, seen: Tensor, facts: Tensor) -> Tensor:
        """Return (B, 5) from what is seen, (B, 5), and the facts (B, facts): the mean, and wider where they differ."""
        said = self.each(seen, facts)
        apart = said[:, :, 2:3].std(0) if len(said) > 1 else torch.zeros_like(said[0, :, 2:3])
        return said.mean(0) + apart * torch.tensor([-1.0, 0.0, 0.0, 0.0, 1.0])


def _member(inputs: int, units: int) -> nn.Module:
    layers = [nn.Linear(inputs, units), nn.LeakyReLU(0.1), nn.Linear(units, units), nn.LeakyReLU(0.1)]
    return nn.Sequential(*layers, nn.Linear(units, 2 + len(QUANTILES) - 1))


def in_order(centre: Tensor, away: Tensor) -> Tensor:
    """Return five rising quantiles (B, 5): the middle one (B, 1), and steps (B, 4) of any sign away from it."""
    steps = F.softplus(away)
    below, above = centre - steps[:, 1:2], centre + steps[:, 2:3]
    return torch.cat([below - steps[:, :1], below, centre, above, above + steps[:, 3:]], 1)
