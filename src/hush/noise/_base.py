"""NoiseModel, the contract that every noise model keeps."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

Array = Any  # numpy array or torch tensor: operators that both have, and `namespace` where those are not enough


def namespace(array: Array) -> Any:
    """Return the module whose functions take this array: numpy, or torch for tensors (without importing it)."""
    if type(array).__module__.split(".")[0] == "torch":
        import torch

        return torch
    return np


@dataclass(frozen=True)
class NoiseModel:
    """How noisy values come from clean ones: a dataclass of its parameters, in image units.

    Formulas use array operators only: they take numpy arrays and torch tensors, and a parameter may itself
    be a tensor that is being learned. Vectors of channels stand last: mu has shape (..., C), cov (..., C, C).

    Attributes
    ----------
    amplitudes : tuple of str
        The parameters in image units: those that `scaled` multiplies.
    pixelwise : bool
        Whether the noise of a pixel is independent of its neighbours'; if not, `log_prob` gives None.
    learnable : tuple of str
        The parameters that can be learned from noisy images, all of them positive; see `varied`.
    """

    amplitudes: ClassVar[tuple[str, ...]] = ()
    pixelwise: ClassVar[bool] = True
    learnable: ClassVar[tuple[str, ...]] = ()

    @property
    def parameters(self) -> dict[str, Any]:
        """The values that the constructor stored, by name."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    def __str__(self) -> str:
        name = type(self).__module__.rpartition(".")[2]
        values = (f"{k}={str(v).removesuffix('.0')}" for k, v in self.parameters.items())
        return f"{name}:{','.join(values)}"

    def scaled(self, factor: float) -> Self:
        """Return the same noise for an image whose values are multiplied by `factor`."""
        return dataclasses.replace(self, **{name: getattr(self, name) * factor for name in self.amplitudes})

    def varied(self, factors: Sequence[Any]) -> Self:
        """Return the same noise with each of its learnable parameters multiplied; a probability's odds are.

        Parameters
        ----------
        factors : sequence of float or tensor
            Positive; one for each name in `learnable`.
        """
        pairs = zip(self.learnable, factors, strict=True)
        return dataclasses.replace(self, **{name: getattr(self, name) * factor for name, factor in pairs})

    def sample(self, clean: Array, rng: np.random.Generator) -> Array:
        """Return a noisy draw, unclipped.

        Parameters
        ----------
        clean : array of float, shape (C, [Z,] Y, X)
            Clean values in image units.
        rng : numpy Generator
            Source of all its random numbers.
        """
        raise TypeError(f"{type(self).__name__} has no sample: a model of hush.noise answers it")

    def moments(self, clean: Array) -> tuple[Array, Array]:
        """Return mean and variance of the noisy value of a pixel, for each clean value."""
        raise TypeError(f"{type(self).__name__} has no moments: a model of hush.noise answers it")

    def marginal(self, mu: Array, cov: Array) -> tuple[Array, Array]:
        """Return the noisy value's mean and covariance when the clean one is N(mu, cov).

        By default by matching moments: the noise's variance at mu is added to the diagonal.

        Parameters
        ----------
        mu : array, shape (..., C)
        cov : array, shape (..., C, C)
        """
        mean, variance = self.moments(mu)
        return mean, cov + diagonal(variance + tiny(variance))

    def posterior(self, noisy: Array, mu: Array, cov: Array) -> tuple[Array, Array]:
        """Return the clean value's mean and covariance, given the noisy value and the prior N(mu, cov).

        By default linear-Gaussian, in the form that stays valid when `cov` is singular:
        K = cov (cov + noise)^-1, mean = mu + K (noisy - E noisy), covariance = cov - K cov.

        Parameters
        ----------
        noisy, mu : array, shape (..., C)
        cov : array, shape (..., C, C)
        """
        mean, total = self.marginal(mu, cov)
        if mu.shape[-1] == 1:  # a division, where a general solver would be slow
            gain = cov / (total + tiny(total))
            return mu + gain[..., 0] * (noisy - mean), cov - gain * cov
        gain = solve(total, cov)  # total^-1 cov, whose transpose is K: both are symmetric
        shift = (gain * (noisy - mean)[..., :, None]).sum(-2)
        return mu + shift, cov - (gain[..., :, :, None] * cov[..., :, None, :]).sum(-3)

    def log_prob(self, noisy: Array, clean: Array) -> Array | None:
        """Return the logarithm of the density of a noisy value, or of its probability at an `atom`.

        None where it has none that is known: of spatially correlated noise, and of some sequences (`hush.noise`).
        """
        return None

    def atom(self, noisy: Array, clean: Array) -> Array:
        """Return where a value has a probability of its own and no density: nowhere, by default.

        Lost and stuck pixels have one value; those that an impulse has not hit are exactly what they were.
        """
        return (noisy != noisy) & (clean != clean)


def tiny(array: Array) -> float:
    """Return a variance that counts for nothing, and whose square these floating-point numbers still hold."""
    smallest = float(namespace(array).finfo((1.0 * array).dtype).tiny)
    return math.sqrt(smallest)


def solve(matrices: Array, right: Array) -> Array:
    """Solve for covariances that may be singular: rounding is added to their diagonal, so that none is."""
    xp = namespace(matrices)
    variances = xp.diagonal(matrices, 0, -2, -1)
    rounding = 8 * float(xp.finfo((1.0 * matrices).dtype).eps) * variances.sum(-1)[..., None] + tiny(matrices)
    return xp.linalg.solve(matrices + diagonal(rounding + 0 * variances), right)


def diagonal(values: Array) -> Array:
    """Return diagonal matrices, shape (..., C, C), of values (..., C)."""
    xp = namespace(values)
    size = values.shape[-1]
    eye = np.eye(size) if xp is np else xp.eye(size, dtype=values.dtype, device=values.device)
    return values[..., :, None] * eye
