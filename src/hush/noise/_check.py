"""What every noise model checks about its numbers, and formulas that several share."""

from __future__ import annotations

from typing import Any

from hush.errors import HushError

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
    if not isinstance(value, (int, float)):
        return
    if not (low < value if open_low else low <= value) or not value <= high:
        possible = f"more than {low:g}" if open_low else f"{low:g} or more"
        possible = possible if high == float("inf") else f"{low:g} to {high:g}"
        raise HushError(f"{name} of {model} cannot be {value:g}; possible: {possible}")


def outer(values: Array) -> Array:
    """Return the outer product of each vector with itself: (..., C) -> (..., C, C)."""
    return values[..., :, None] * values[..., None, :]


def either(lost: Array, then: tuple[Array, Array], otherwise: tuple[Array, Array]) -> tuple[Array, Array]:
    """Mix two (mean, covariance) pairs: `lost` is the probability, shape (..., 1), of the first."""
    mean = lost * then[0] + (1 - lost) * otherwise[0]
    cov = sum(
        weight[..., None] * (part[1] + outer(part[0] - mean)) for weight, part in ((lost, then), (1 - lost, otherwise))
    )
    return mean, cov
