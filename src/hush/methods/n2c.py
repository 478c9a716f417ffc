"""Noise2Clean: learn from noisy images and the clean ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from hush.methods._learned import NetDenoiser
from hush.training.masking import error_everywhere
from hush.training.patches import Batch


@dataclass(kw_only=True, eq=False)
class Noise2Clean(NetDenoiser):
    """Learn from noisy images and their clean partners: the supervised case that the others are measured against.

    The clean images come with ``--targets``, or the images are clean and `simulate` says which noise is put on them.

    Notes
    -----
    Use it where clean images of the same kind exist, or can be made by averaging.

    ::

        L(θ) = E ‖f_θ(y) - x‖²

    Raise `maps` and `steps` for a large collection, lower them for a small one, which is soon learned by heart
    (`validation` tells).

    References
    ----------
    * K. Zhang, W. Zuo, Y. Chen, D. Meng and L. Zhang, Beyond a Gaussian denoiser, IEEE TIP 2017.

    Examples
    --------
    >>> import numpy as np
    >>> clean = np.random.default_rng(0).normal(100, 9, (32, 32)).astype(np.float32)
    >>> Noise2Clean(steps=2, maps=4, simulate="gaussian:sigma=5").fit(clean).denoise(clean).data.shape
    (32, 32)
    """

    needs: ClassVar[str] = "noisy and clean"

    def loss(self, net: nn.Module, batch: Batch, rng: torch.Generator) -> Tensor:
        """Return the squared error to the clean image."""
        return error_everywhere(net(batch.noisy), batch.target, batch.valid)
