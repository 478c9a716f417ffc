"""Noise2Void: learn to predict a noisy pixel from its neighbourhood."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from hush.denoiser import demand
from hush.masking import RULES, error_at, hide_pixels
from hush.netdenoiser import NetDenoiser
from hush.patches import Batch


@dataclass(kw_only=True, eq=False)
class Noise2Void(NetDenoiser):
    """Learn from single noisy images by hiding pixels (Krull et al., CVPR 2019).

    The noise must be independent from pixel to pixel; where it is not, see `structn2v`.

    Parameters
    ----------
    hidden_fraction : float
        Part of the pixels that is hidden, one in every box of ``1 / hidden_fraction``.
    radius : int
        Half side of the neighbourhood from which the replacement is drawn.
    rule : str
        How a hidden pixel is replaced, one of `hush.masking.RULES`.

    Notes
    -----
    The defaults are chosen for one image and a minute of two cores, on development images only
    (``docs/benchmarks.md`` has the table).

    Examples
    --------
    >>> import numpy as np
    >>> noisy = np.random.default_rng(0).normal(100, 9, (64, 64)).astype(np.float32)
    >>> clean = Noise2Void(steps=2, maps=4).fit(noisy).denoise(noisy)
    >>> clean.data.shape
    (64, 64)
    """

    needs: ClassVar[str] = "noisy"

    hidden_fraction: float = 0.15
    radius: int = 2
    rule: str = "uniform"

    def check(self) -> None:
        """Refuse settings that make no sense, naming what is possible."""
        super().check()
        demand(0 < self.hidden_fraction <= 0.5, "hidden_fraction", self.hidden_fraction, "more than 0, to 0.5")
        demand(self.radius >= 1, "radius", self.radius, "1 or more")
        demand(self.rule in RULES, "rule", self.rule, ", ".join(RULES))

    def loss(self, net: nn.Module, batch: Batch, rng: torch.Generator) -> Tensor:
        """Return the squared error to the noisy values at hidden pixels."""
        hidden, where = hide_pixels(batch.noisy, self.hidden_fraction, self.radius, self.rule, rng)
        return error_at(where, net(hidden), batch.noisy, batch.valid)
