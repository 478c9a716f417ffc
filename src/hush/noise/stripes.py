"""Rows or columns with an offset of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from hush.defects import stripes
from hush.errors import HushError
from hush.noise._blocks import level_estimate
from hush.noise._check import demand
from hush.noise._model import Estimate, NoiseModel

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

    @classmethod
    def estimate(cls, image: Array) -> Estimate | None:
        """Estimate the stronger of rows and columns; None where there are no stripes."""
        found = stripes(np.asarray(image).reshape(-1, *image.shape[-2:])[0], level_estimate(image)[0])
        if not found:
            return None
        axis: Literal["rows", "columns"] = "rows" if found.get("rows", 0) >= found.get("columns", 0) else "columns"
        amplitude = found[axis]
        return Estimate(cls(amplitude, axis), {"amplitude": (0.8 * amplitude, 1.2 * amplitude)})
