"""What a blind-spot network says of a pixel: a normal distribution, and how well the noisy value fits into it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from scipy import optimize
from torch import Tensor

from hush.noise import NoiseModel
from hush.noise.gaussian import Gaussian
from hush.noise.poisson_gaussian import PoissonGaussian
from hush.training.normalization import Scale

Array = Any
FLOOR = 1e-4  # smallest variance of a prior, of the image's: the paper keeps 1e-3 of the range
BEGIN = 0.1  # standard deviation of a prior at the beginning, of the image's
DARK_QUANTILE, BRIGHT_QUANTILE = 0.02, 0.97  # quantiles outside of which the line is not fitted (Khademi et al. 2021)


@dataclass(frozen=True)
class Prior:
    """Distributions of clean pixels, before their own noisy values are seen.

    Attributes
    ----------
    mean, noisy : Tensor, shape (B, [Z,] Y, X, C)
        In units of `unit`, and not shifted: noise models need values that are zero without light.
    covariance : Tensor, shape (B, [Z,] Y, X, C, C)
    unit : float
        Image units.
    """

    mean: Tensor
    noisy: Tensor
    covariance: Tensor
    unit: float

    def part(self, index: int) -> Prior:
        """Return one image of the batch."""
        one = slice(index, index + 1)
        return replace(self, mean=self.mean[one], noisy=self.noisy[one], covariance=self.covariance[one])

    def without(self, noise: NoiseModel) -> Prior:
        """Return the prior of the clean pixel, when this one is of the noisy pixel."""
        zero = torch.zeros_like(self.covariance)
        rest = self.covariance - noise.marginal(self.mean, zero)[1]
        kept = rest.diagonal(0, -2, -1).clip(FLOOR)
        return replace(self, covariance=torch.diag_embed(kept))

    def back(self, mean: Tensor, covariance: Tensor, scale: Scale) -> tuple[Tensor, Tensor]:
        """Return mean and variance (B, C, [Z,] Y, X) as the network knows them: normalised."""
        middle, std = (mean.new_tensor(values) / self.unit for values in (scale.mean, scale.std))
        variance = covariance.diagonal(0, -2, -1) / std**2
        return ((mean - middle) / std).movedim(-1, 1), variance.movedim(-1, 1)


def prior_of(out: Tensor, noisy: Tensor, scale: Scale, covariance: str) -> Prior:
    """Read a network's output as distributions.

    Parameters
    ----------
    out : Tensor, shape (B, C + n, [Z,] Y, X)
        Normalised means; then the lower triangle of A by rows (``"full"``), its diagonal (``"diag"``), or one value
        for all channels. The covariance is A transposed times A.
    noisy : Tensor, shape (B, C, [Z,] Y, X)
        Normalised.
    scale : Scale
        Brings both to image units.
    covariance : {"full", "diag"}
    """
    channels = noisy.shape[1]
    unit = float(np.mean(scale.std))
    middle, std = (out.new_tensor(values) / unit for values in (scale.mean, scale.std))
    mean, rest = torch.split(out.movedim(1, -1), [channels, out.shape[1] - channels], -1)
    factor = rest.new_zeros(*rest.shape[:-1], channels, channels)
    if rest.shape[-1] == channels or rest.shape[-1] == 1:
        factor = torch.diag_embed((rest + BEGIN).expand(*rest.shape[:-1], channels))
    else:
        rows, columns = torch.tril_indices(channels, channels, device=rest.device)
        begin = BEGIN * (rows == columns)
        factor[..., rows, columns] = rest + begin
    factor = factor * std  # columns: A diag(std)
    spread = factor.transpose(-1, -2) @ factor if channels > 1 else factor**2
    spread = spread + torch.diag_embed((FLOOR * std**2).expand_as(mean))
    return Prior(mean * std + middle, noisy.movedim(1, -1) * std + middle, spread, unit)


def negative_log_likelihood(away: Tensor, covariance: Tensor) -> Tensor:
    """Return half of the squared distance and of the logarithm of the determinant, without the constant.

    Parameters
    ----------
    away : Tensor, shape (..., C)
        Value minus mean.
    covariance : Tensor, shape (..., C, C)
        Its lower triangle is used. Factored by hand: for so many matrices of at most four rows this is an order
        faster than a general solver, forward and backward.

    Returns
    -------
    Tensor, shape (...)

    Examples
    --------
    >>> round(float(negative_log_likelihood(torch.tensor([2.0]), torch.tensor([[4.0]]))), 4)  # 1/2 + log 2
    1.1931
    """
    size = away.shape[-1]
    lower: dict[tuple[int, int], Tensor] = {}
    loss: Tensor | float = 0.0
    solved: list[Tensor] = []
    for j in range(size):
        rest = covariance[..., j, j] - sum(lower[j, k] ** 2 for k in range(j))
        # rounding may leave nothing of a variance that others explain
        lower[j, j] = rest.clip(1e-6 * covariance[..., j, j].detach()).sqrt()
        for i in range(j + 1, size):
            inner = sum(lower[i, k] * lower[j, k] for k in range(j))
            lower[i, j] = (covariance[..., i, j] - inner) / lower[j, j]
        solved.append((away[..., j] - sum(lower[j, k] * solved[k] for k in range(j))) / lower[j, j])
        loss = loss + 0.5 * solved[j] ** 2 + lower[j, j].log()
    assert isinstance(loss, Tensor)
    return loss


def fit_line(mean: Array, noisy: Array) -> NoiseModel:
    """Fit variance a x + b to predictions and noisy values by Nelder-Mead, and return it as a noise model.

    Parameters
    ----------
    mean, noisy : array
        In image units; the darkest 2 and the brightest 3 per cent are left out.
    """
    mean, noisy = (np.asarray(values, np.float64).ravel() for values in (mean, noisy))
    low, high = np.quantile(mean, [DARK_QUANTILE, BRIGHT_QUANTILE])
    kept = (mean >= low) & (mean <= high)
    mean, square = mean[kept], (noisy - mean)[kept] ** 2
    level = square.mean()

    def loss(line: Array) -> float:
        variance = np.maximum(line[0] * level * (mean - mean.mean()) / (np.ptp(mean) or 1.0) + line[1] * level,
                              1e-6 * level)  # fmt: skip
        return float(np.mean(square / variance + np.log(variance)))

    slope, middle = optimize.minimize(loss, [0.5, 1.0], method="Nelder-Mead").x
    a = slope * level / (np.ptp(mean) or 1.0)
    b = middle * level - a * mean.mean()
    if a * np.ptp(mean) < 1e-3 * level:
        return Gaussian(math.sqrt(level))
    return PoissonGaussian.from_line(float(a), float(b))
