"""Rows or columns with an offset of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from hush.core.errors import HushError
from hush.noise._base import NoiseModel
from hush.noise._formulas import demand

Array = Any


@dataclass(frozen=True)
class Stripes(NoiseModel):
    """Stripes: every row (or column) gets its own offset N(0, amplitude^2), the same in all channels.

    Parameters
    ----------
    amplitude : float
        Standard deviation of the offsets, in image units.
    axis : {"rows", "columns"}

    Examples
    --------
    >>> noisy = Stripes(5, "columns").sample(np.zeros((1, 4, 6)), np.random.default_rng(0))
    >>> bool((noisy[0, 0] == noisy[0, 3]).all())
    True
    """

    amplitudes: ClassVar[tuple[str, ...]] = ("amplitude",)
    pixelwise: ClassVar[bool] = False

    amplitude: float
    axis: Literal["rows", "columns"] = "rows"

    def __post_init__(self) -> None:
        demand("stripes", "amplitude", self.amplitude, 0)
        if self.axis not in ("rows", "columns"):
            raise HushError(f"axis of stripes cannot be {self.axis!r}; possible: rows, columns")

    def sample(self, clean: Array, rng: np.random.Generator) -> Array:
        """Return a noisy draw, unclipped."""
        shape = [1, *clean.shape[1:]]
        shape[-1 if self.axis == "rows" else -2] = 1
        return clean + rng.normal(0, self.amplitude, shape)

    def moments(self, clean: Array) -> tuple[Array, Array]:
        """Return mean and variance of the noisy value of one pixel."""
        return clean, self.amplitude**2 + 0 * clean
