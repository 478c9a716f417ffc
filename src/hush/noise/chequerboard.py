"""A chequerboard pattern."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from hush.noise._base import NoiseModel
from hush.noise._formulas import demand

Array = Any


@dataclass(frozen=True)
class Chequerboard(NoiseModel):
    """A chequerboard: the amplitude is added to one half of the pixels and taken from the other.

    Parameters
    ----------
    amplitude : float
        In image units.

    Examples
    --------
    >>> Chequerboard(1).sample(np.zeros((1, 2, 2)), np.random.default_rng(0))[0].tolist()
    [[1.0, -1.0], [-1.0, 1.0]]
    """

    amplitudes: ClassVar[tuple[str, ...]] = ("amplitude",)
    pixelwise: ClassVar[bool] = False

    amplitude: float

    def __post_init__(self) -> None:
        demand("chequerboard", "amplitude", self.amplitude, 0)

    def sample(self, clean: Array, rng: np.random.Generator) -> Array:
        """Return the image with its pattern; nothing is drawn."""
        y, x = np.indices(clean.shape[-2:])
        return clean + self.amplitude * (1 - 2 * ((y + x) % 2))

    def moments(self, clean: Array) -> tuple[Array, Array]:
        """Return mean and variance of the noisy value, when it is not known which half a pixel is of."""
        return clean, self.amplitude**2 + 0 * clean
