"""Noise2Void: learn to predict a noisy pixel from its neighbourhood."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from hush.methods._base import demand
from hush.methods._learned import NetDenoiser
from hush.training.masking import RULES, error_at, hide_pixels
from hush.training.patches import Batch


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
        How a hidden pixel is replaced, one of `hush.training.masking.RULES`.

    Notes
    -----
    Use it where the noise is independent between pixels and the image is unlike any training data; better on a series
    than on one image.

    ::

        L(θ) = E Σ_{i∈M} ( f_θ(y_M)_i - y_i )²

    M are the masked pixels and y_M is the image with a neighbour's value at them. Raise `hidden_fraction` to learn
    more from each step, lower it if fine detail is lost. Raise `radius` for coarse structure, lower it for fine.

    The defaults are for one image and half a minute of two cores, chosen on development images
    (``docs/decisions/002``); the paper trains for hours on many. Where they differ: 15 % of the pixels are hidden
    (paper: 64 of a 64 x 64 patch, 1.6 %) and replaced from 5 x 5 pixels; 16 first maps (32 or 96) and 8 patches a
    step (128), for more steps in the same time; Adam at 4e-3 with a cosine to zero (4e-4, halved on plateaus) and
    averaged weights; the network adds to the mean over 5 x 5 pixels of its masked input (nothing), so that
    brightness and colour are right from the start.

    References
    ----------
    * A. Krull, T.-O. Buchholz and F. Jug, Noise2Void: learning denoising from single noisy images, CVPR 2019.

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
