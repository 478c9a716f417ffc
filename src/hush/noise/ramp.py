"""Gaussian noise whose level rises from one side of the image to the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from hush.core.errors import HushError
from hush.noise._base import NoiseModel
from hush.noise._formulas import demand

Array = Any


@dataclass(frozen=True)
class Ramp(NoiseModel):
    """Independent Gaussian noise whose standard deviation is a line: ``low`` at the first column, ``high`` at the last.

    A model of a pixel whose place is not known: `moments` are those over the whole image. Who knows the place takes
    `levels` as a noise map (``hush.SSDN(noise_map=...)``).

    Parameters
    ----------
    low, high : float
        Standard deviations at both ends, in image units.
    axis : {"x", "y"}
        Along which it changes: from left to right, or from top to bottom.

    Examples
    --------
    >>> Ramp(5, 50).levels((2, 4)).tolist()
    [[5.0, 20.0, 35.0, 50.0], [5.0, 20.0, 35.0, 50.0]]
    """

    amplitudes: ClassVar[tuple[str, ...]] = ("low", "high")
    pixelwise: ClassVar[bool] = False

    low: float
    high: float
    axis: Literal["x", "y"] = "x"

    def __post_init__(self) -> None:
        demand("ramp", "low", self.low, 0)
        demand("ramp", "high", self.high, 0)
        if self.axis not in ("x", "y"):
            raise HushError(f"axis of ramp cannot be {self.axis!r}; possible: x, y")

    def levels(self, shape: Sequence[int]) -> Array:
        """Return the standard deviation at every pixel of a plane of this shape (Y, X)."""
        along = 1 if self.axis == "x" else 0
        line = np.linspace(self.low, self.high, shape[along])
        return np.broadcast_to(line if along else line[:, None], tuple(shape))

    def sample(self, clean: Array, rng: np.random.Generator) -> Array:
        """Return a noisy draw, unclipped."""
        return clean + self.levels(clean.shape[-2:]) * rng.normal(0, 1, clean.shape)

    def moments(self, clean: Array) -> tuple[Array, Array]:
        """Return mean and variance of the noisy value of a pixel somewhere in the image."""
        return clean, (self.low**2 + self.low * self.high + self.high**2) / 3 + 0 * clean
