"""Noise2Void."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from hush.denoiser import demand
from hush.masking import RULES, hide_pixels
from hush.netdenoiser import NetDenoiser
from hush.patches import Batch


@dataclass(kw_only=True, eq=False)
class Noise2Void(NetDenoiser):
    """Learn from single noisy images by hiding pixels (Krull et al., CVPR 2019)."""

    needs: ClassVar[str] = "noisy"

    hidden_fraction: float = 0.03
    radius: int = 5
    rule: str = "uniform"

    def check(self) -> None:
        """Refuse settings that make no sense, naming what is possible."""
        super().check()
        demand(0 < self.hidden_fraction <= 0.5, "hidden_fraction", self.hidden_fraction, "more than 0, to 0.5")
        demand(self.radius >= 1, "radius", self.radius, "1 or more")
        demand(self.rule in RULES, "rule", self.rule, ", ".join(RULES))

    def loss(self, net: nn.Module, batch: Batch, rng: torch.Generator) -> Tensor:
        """Squared error to the noisy values at hidden pixels."""
        hidden, where = hide_pixels(batch.noisy, self.hidden_fraction, self.radius, self.rule, rng)
        if batch.valid is not None:
            where = where & batch.valid
        return ((net(hidden) - batch.noisy) ** 2 * where).sum() / where.sum().clamp(min=1) / batch.noisy.shape[1]
