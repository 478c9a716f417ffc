"""What every noise model checks about its numbers, and formulas that several share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce
from numbers import Real
from typing import Any

import numpy as np

from hush.core.errors import HushError
from hush.noise._base import diagonal, namespace, tiny

Array = Any


def demand(
    model: str, name: str, value: Any, low: float, high: float = float("inf"), *, open_low: bool = False
) -> None:
    """Refuse a plain number outside its range; tensors are being learned and are let through.

    Raises
    ------
    HushError
        Naming the model, the parameter, its value, and what is possible.
    """
    if not isinstance(value, Real):
        return
    number = float(value)
    if not (low < number if open_low else low <= number) or not number <= high:
        possible = f"more than {low:g}" if open_low else f"{low:g} or more"
        possible = possible if high == float("inf") else f"{low:g} to {high:g}"
        raise HushError(f"{name} of {model} cannot be {number:g}; possible: {possible}")


def odds_times(p: Any, factor: Any) -> Any:
    """Return the probability whose odds are `factor` times those of `p`.

    Examples
    --------
    >>> odds_times(0.5, 3.0)
    0.75
    """
    return p * factor / (1 - p + p * factor)


def outer(values: Array) -> Array:
    """Return the outer product of each vector with itself: (..., C) -> (..., C, C)."""
    return values[..., :, None] * values[..., None, :]


def like(values: Array, array: Array) -> Array:
    """Return numpy values as the type, precision and place of an array or tensor."""
    return np.asarray(values) if namespace(array) is np else array.new_tensor(values)


def either(lost: Array, then: tuple[Array, Array], otherwise: tuple[Array, Array]) -> tuple[Array, Array]:
    """Mix two (mean, covariance) pairs: `lost` is the probability, shape (..., 1), of the first."""
    mean = lost * then[0] + (1 - lost) * otherwise[0]
    cov = sum(
        weight[..., None] * (part[1] + outer(part[0] - mean)) for weight, part in ((lost, then), (1 - lost, otherwise))
    )
    return mean, cov


Weighed = tuple[Any, Array, Array]  # probability, logarithm of density or probability, where it is the latter


def mixture(parts: Sequence[Weighed]) -> Array:
    """Return the logarithm of a mixture: where one of its parts has a probability, no density counts beside it."""
    xp = namespace(parts[0][1])
    atoms = reduce(lambda one, other: one | other, [atom for _, _, atom in parts])
    logs = []
    for share, log, atom in parts:
        if not isinstance(share, (int, float)) or share > 0:
            weight = math.log(share) if isinstance(share, (int, float)) else xp.log(share)
            logs.append(xp.where(atoms & ~atom, -math.inf + 0 * share, log + weight))
    return reduce(xp.logaddexp, logs)


def exactly(value: Array, noisy: Array, clean: Array) -> tuple[Array, Array]:
    """Return logarithm and place of the probability of one value: all of it there, none elsewhere."""
    there = (noisy == value) & (clean == clean)
    nothing = 0.0 * (noisy + clean)
    return namespace(nothing).where(there, nothing, nothing - math.inf), there


def log_normal(noisy: Array, mean: Array, variance: Array) -> Array:
    """Return the logarithm of the normal density, finite also where the variance is zero."""
    variance = variance + tiny(variance)
    return -0.5 * ((noisy - mean) ** 2 / variance + namespace(variance).log(2 * math.pi * variance))


def log_normal_vector(away: Array, cov: Array, floor: float = 0.0) -> Array:
    """Return the logarithm of the normal density of vectors (..., C) at this distance from their mean.

    `floor` is a variance added to every channel, for covariances that may be singular.
    """
    xp, size = namespace(away), away.shape[-1]
    cov = cov + diagonal(0 * away + (floor + tiny(cov)))
    distance = (away * xp.linalg.solve(cov, away[..., None])[..., 0]).sum(-1)
    return -0.5 * (distance + xp.linalg.slogdet(cov)[1] + size * math.log(2 * math.pi))


def replaced(p: Any, log_ratio: Array) -> Array:
    """Return the probability (..., 1) that a pixel was replaced.

    Parameters
    ----------
    p : float
        Probability of it before the value was seen.
    log_ratio : array
        Logarithm of how much likelier the value is of an untouched pixel than of a replaced one.
    """
    ratio = namespace(log_ratio).exp(log_ratio.clip(-80, 80))  # 80: so that float32 holds it, and 0 / 0 cannot be
    return (p / (p + (1 - p) * ratio))[..., None]
