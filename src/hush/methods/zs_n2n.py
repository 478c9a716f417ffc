"""Zero-Shot Noise2Noise: the image's own pixels make the pair."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from hush.methods._learned import NetDenoiser
from hush.training.masking import error_everywhere
from hush.training.patches import Batch

DIAGONALS = ((0.0, 0.5, 0.5, 0.0), (0.5, 0.0, 0.0, 0.5))  # of 2 x 2 pixels


@dataclass(kw_only=True, eq=False)
class ZSN2N(NetDenoiser):
    """Learn from one image by halving it in two ways, which makes a noisy pair (Mansour and Heckel, CVPR 2023).

    The means over the two diagonals of 2 x 2 pixels show nearly the same picture with independent noise. A network
    of 21,000 weights learns one from the other, and that denoising and halving may change places. In volumes the
    halving is in the plane.

    Notes
    -----
    Use it for one small image and a few seconds, without any training data.

    ::

        L(θ) = ‖f(D₁y) - D₂y‖² + ‖f(D₂y) - D₁y‖² + ‖f(D₁y) - D₁f(y)‖² + ‖f(D₂y) - D₂f(y)‖²

    D₁ and D₂ are the means over the two diagonals. Raise `steps` where noise is left, lower them for time. Raise
    `patch` to the image's size to train as published.

    References
    ----------
    * Y. Mansour and R. Heckel, Zero-Shot Noise2Noise: efficient image denoising without any data, CVPR 2023.

    Examples
    --------
    >>> import numpy as np
    >>> noisy = np.random.default_rng(0).normal(100, 9, (64, 64)).astype(np.float32)
    >>> ZSN2N(steps=4).fit(noisy).denoise(noisy).data.shape
    (64, 64)
    """

    needs: ClassVar[str] = "noisy"
    scope: ClassVar[str] = "image"

    net: str = "shallow"
    maps: int = 48
    batch: int = 1
    patch: int = 128
    learning_rate: float = 2e-3
    norm: Literal["batch", "none"] = "none"
    residual: Literal["none", "input", "smooth"] = "input"

    def loss(self, net: nn.Module, batch: Batch, rng: torch.Generator) -> Tensor:
        """Return the error of each half to the other, and of halving what was denoised to denoising the half."""
        first, second = halves(batch.noisy)
        valid = None if batch.valid is None else functional.avg_pool2d(_flat(batch.valid.float()), 2) == 1
        valid = None if batch.valid is None or valid is None else valid.reshape(-1, 1, *first.shape[2:])
        one, other = net(first), net(second)
        pair = error_everywhere(one, second, valid) + error_everywhere(other, first, valid)
        whole_first, whole_second = halves(net(batch.noisy))
        same = error_everywhere(one, whole_first, valid) + error_everywhere(other, whole_second, valid)
        return (pair + same) / 2


def _flat(x: Tensor) -> Tensor:
    """All planes of (B, C, [Z,] Y, X) as (N, 1, Y, X)."""
    return x.reshape(-1, 1, *x.shape[-2:])


def halves(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the two diagonal means of 2 x 2 pixels of (B, C, [Z,] Y, X), each half as high and wide.

    Examples
    --------
    >>> first, second = halves(torch.tensor([[[[1.0, 2.0], [4.0, 8.0]]]]))
    >>> float(first), float(second)
    (3.0, 4.5)
    """
    made = []
    for weights in DIAGONALS:
        kernel = x.new_tensor(weights).reshape(1, 1, 2, 2)
        half = functional.conv2d(_flat(x), kernel, stride=2)
        made.append(half.reshape(*x.shape[:-2], *half.shape[-2:]))
    return made[0], made[1]
