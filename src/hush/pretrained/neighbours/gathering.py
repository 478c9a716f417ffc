"""The mean of a plane and its neighbours, wherever they show the same: what is known before a network sees them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

BLURS = (1.0, 2.0)  # pixels over which differences are averaged before they are tested
POOLED_BLURS = 1.5  # times as far the squares of these are averaged
EQUAL_UP_TO = 1.5  # times what noise alone makes of them, up to which planes are taken to be equal
CUT_AT = 3.0  # deviations at which a Gaussian is cut off


def gather(
    own: Tensor, others: Tensor, sigma: Tensor, there: Tensor, shared: Sequence[float] = (1.0,) * len(BLURS)
) -> tuple[Tensor, Tensor]:
    """Average a plane with those of its neighbours that show the same, pixel by pixel.

    ::

        m = Σ_k w_k y_k / Σ_k w_k,    w_0 = 1,    w_k = min_b 1 / (1 + max(e_kb - c, 0))

    e_kb is the local mean square of the blurred difference y_k - y_0, over what noise alone makes of it: 1 where the
    planes are equal, so w_k is 1. With a difference δ that is as large as the noise it is the weight of the least
    squared error, and it goes to zero where something moved. b are two blurs: a fine one sees small spots, a coarse
    one faint areas.

    Parameters
    ----------
    own : Tensor, shape (B, 1, Y, X)
        With white Gaussian noise.
    others : Tensor, shape (B, K, Y, X)
        Its neighbours, with noise of their own of the same level.
    sigma : Tensor, shape (B, 1, 1, 1) or (B, 1, Y, X)
        That level.
    there : Tensor, shape (B, K, 1, 1)
        1 for a neighbour that there is, 0 for one beyond the end.
    shared : sequence of float
        By how much more of spatially correlated noise each of `BLURS` leaves than of white noise.

    Returns
    -------
    Tensor, shape (B, 1, Y, X)
        m.
    Tensor, shape (B, 1, Y, X)
        The deviation of its noise: `sigma` times the root of Σ w² over Σ w.

    Examples
    --------
    >>> noise = torch.randn(1, 5, 64, 64, generator=torch.Generator().manual_seed(0))
    >>> mean, level = gather(noise[:, :1], noise[:, 1:], torch.ones(1, 1, 1, 1), torch.ones(1, 4, 1, 1))
    >>> bool(0.44 < mean.std() < 0.55 and 0.44 < level.mean() < 0.5)
    True
    """
    weights = equality(own, others, sigma, shared) * there
    total = 1 + weights.sum(1, keepdim=True)
    mean = (own + (weights * others).sum(1, keepdim=True)) / total
    level: Tensor = sigma * (1 + weights.square().sum(1, keepdim=True)).sqrt() / total
    return mean, level


def equality(own: Tensor, others: Tensor, sigma: Tensor, shared: Sequence[float] = (1.0,) * len(BLURS)) -> Tensor:
    """Return the weights (B, K, Y, X) of neighbours, 0 to 1; see `gather`."""
    difference, weights = others - own, torch.ones_like(others)
    for blur, more in zip(BLURS, shared, strict=True):
        seen = blurred(difference, blur) / (sigma * math.sqrt(2 * more * power(blur)) + 1e-12)
        excess = blurred(seen.square(), POOLED_BLURS * blur) - EQUAL_UP_TO
        weights = torch.minimum(weights, 1 / (1 + excess.clamp(min=0)))
    return weights


def reach() -> int:
    """Return how far, in pixels, a weight looks."""
    return max(_radius(blur) + _radius(POOLED_BLURS * blur) for blur in BLURS)


def blurred(planes: Tensor, blur: float) -> Tensor:
    """Return planes (B, K, Y, X) blurred by a Gaussian, mirrored at the edges."""
    kernel = _kernel(blur).to(planes)
    radius, (high, wide) = len(kernel) // 2, planes.shape[-2:]
    flat = planes.reshape(-1, 1, high, wide)
    if min(high, wide) <= radius:  # a mirror cannot reach that far
        flat = functional.pad(flat, (radius,) * 4, mode="replicate")
    else:
        flat = functional.pad(flat, (radius,) * 4, mode="reflect")
    flat = functional.conv2d(functional.conv2d(flat, kernel.view(1, 1, -1, 1)), kernel.view(1, 1, 1, -1))
    return flat.reshape(planes.shape)


def power(blur: float) -> float:
    """Return what a blur leaves of the variance of white noise."""
    return float(_kernel(blur).square().sum()) ** 2


def _radius(blur: float) -> int:
    return int(CUT_AT * blur + 0.5)


@lru_cache(maxsize=16)
def _kernel(blur: float) -> Tensor:
    """A Gaussian of sum 1."""
    radius = _radius(blur)
    values = torch.exp(-0.5 * (torch.arange(-radius, radius + 1) / blur).square())
    return values / values.sum()
