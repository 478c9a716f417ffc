"""A shipped network between a curve that is learned and its inverse: the model of Noise2VST."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from hush.nets._curve import MonotoneCurve
from hush.pretrained.card import Card
from hush.pretrained.conditioning import HIGH_PERCENTILE, LOW, PEAK
from hush.training.masking import between

# deviations of the noise, of what is shown, of which a training begins with the best
FIRST_LEVELS = tuple(2.0**power for power in range(-7, 1))
NARROWEST = 1e-3  # of the values, in the image's standard deviations
CORRECTION_PACE = 0.1  # how much slower the inverse's correction moves than the curve


def ranges(values: Tensor, valid: Tensor | None, unit: Sequence[float], together: bool) -> tuple[Tensor, Tensor]:
    """Return the lowest and highest values of every channel, and what a network is shown as -0.5 and 0.5, both (C, 2).

    Parameters
    ----------
    values : Tensor, shape (B, C, [Z,] Y, X)
        Normalised.
    valid : Tensor of bool or None, shape (B, 1, [Z,] Y, X)
        Pixels that were measured.
    unit : sequence of float
        What one of every channel's normalised values is in the image.
    together : bool
        Whether the network sees the channels, which are colours, at once: all are shown with the contrast of the
        strongest.
    """
    known = values if valid is None else torch.where(valid, values, torch.nan)
    shares = known.new_tensor([0.0, LOW / 100, HIGH_PERCENTILE / 100, 1.0])
    least, dark, bright, most = known.transpose(0, 1).flatten(1).nanquantile(shares, dim=1)
    width = (bright - dark).clamp(min=NARROWEST)
    if together:
        units = width.new_tensor(unit)
        width = (width * units).amax() / units
    ends = torch.stack([least, torch.maximum(most, least + NARROWEST)], 1)
    return ends, (dark + bright)[:, None] / 2 + width[:, None] * width.new_tensor([-0.5, 0.5])


class Stabilized(nn.Module):
    """A network for Gaussian noise of a known level, through a curve: what is learned is the curve and the level.

    ::

        f(y) = c⁻¹(z) + α z + β,    z = D(c(y), σ)

    D is the network, which is not trained and is no part of what is saved. Volumes go through it plane by plane.

    Parameters
    ----------
    channels, knots : int
    shipped : Module
        D.
    card : Card
        What is known of it.

    Attributes
    ----------
    margin, multiple : int
        See `hush.nets.unet.UNet`.
    """

    def __init__(self, channels: int, knots: int, shipped: nn.Module, card: Card) -> None:
        super().__init__()
        self.curve = MonotoneCurve(channels, knots)
        self.level = nn.Parameter(torch.zeros(channels))  # its logarithm
        self.correction = nn.Parameter(torch.zeros(2, channels))  # α and β
        self.inputs, self.most = card.inputs, (card.sigma or (0.0, PEAK))[1] / PEAK
        self.margin, self.multiple = int(shipped.margin), int(shipped.multiple)  # type: ignore[arg-type]
        self._shipped = (shipped,)  # in a tuple: its weights are not this module's

    @property
    def at_once(self) -> bool:
        """Whether the network sees all channels together."""
        return self.inputs.channels == len(self.level)

    @torch.no_grad()
    def begin(self, values: Tensor, valid: Tensor | None, unit: Sequence[float], hidden: Tensor) -> None:
        """Start with straight lines, and with the levels at which masked pixels are predicted best.

        From a level that is much too low a training does not find out: all noise is detail to the network.

        Parameters
        ----------
        values, valid, unit
            Some patches, see `ranges`.
        hidden : Tensor of bool, shape (1, 1, Y, X)
            As in `forward`.
        """
        self.curve.span(*ranges(values, valid, unit, self.at_once and len(unit) > 1))
        where = hidden if values.ndim == 4 else hidden[:, :, None]
        where = where if valid is None else where & valid
        errors = []
        for level in FIRST_LEVELS:
            self.level.fill_(math.log(level))
            away = (self(values, hidden) - values).square() * where
            errors.append(away.transpose(0, 1).flatten(1).sum(1))
        best = torch.stack(errors).argmin(0).cpu()
        self.level.copy_(torch.tensor(FIRST_LEVELS).log()[best])

    def forward(self, x: Tensor, hidden: Tensor | None = None) -> Tensor:
        """Denoise (B, C, [Z,] Y, X).

        Parameters
        ----------
        x : Tensor
            Normalised.
        hidden : Tensor of bool, shape (1, 1, Y, X), optional
            Pixels that the network does not see: in their places it is shown the mean of those around.
        """
        shown = self.curve(_planes(x))
        if hidden is not None:
            shown = torch.where(hidden, between(shown), shown)
        made = self._denoised(shown, hidden)
        slope, offset = (CORRECTION_PACE * self.correction)[..., None, None]
        clean: Tensor = self.curve.inverse(made) + slope * made + offset
        return clean.reshape(x.transpose(1, 2).shape).transpose(1, 2) if x.ndim == 5 else clean

    def _denoised(self, shown: Tensor, hidden: Tensor | None) -> Tensor:
        """What the network makes of (B, C, Y, X): of all channels at once where it knows colours, else of each."""
        level = self.level.exp()[:, None, None]
        extent = (level / self.most).clamp(min=1)  # noise stronger than any that it has seen: shown smaller
        if self.at_once:
            extent = extent.amax(0, keepdim=True)
        values, level = shown / extent, (level / extent).expand_as(shown)
        if not self.at_once:
            values, level = (one.reshape(-1, 1, *shown.shape[2:]) for one in (values, level))
        none = torch.zeros_like(values[:, :1])
        missing = none if hidden is None else hidden.to(none).expand_as(none)
        rest = {"deficit": torch.zeros_like(values), "missing": missing, "lag_y": none, "lag_x": none}
        rest = {name: plane for name, plane in rest.items() if name in self.inputs.names}
        made: Tensor = self._shipped[0](torch.cat(self.inputs.ordered(values=values, level=level, **rest), 1))
        return made.reshape(shown.shape) * extent


def _planes(x: Tensor) -> Tensor:
    """(B, C, [Z,] Y, X) as (planes, C, Y, X)."""
    return x.transpose(1, 2).flatten(0, 1) if x.ndim == 5 else x
