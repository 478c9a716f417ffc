"""A chequerboard pattern."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from hush.defects import chequerboard
from hush.noise._blocks import level_estimate
from hush.noise._check import demand
from hush.noise._model import Estimate, NoiseModel

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

    @classmethod
    def estimate(cls, image: Array) -> Estimate | None:
        """Estimate the amplitude; None where there is no chequerboard."""
        plane, sigma = np.asarray(image).reshape(-1, *image.shape[-2:])[0], level_estimate(image)[0]
        amplitude = chequerboard(plane, sigma)
        spread = 2 * sigma / np.sqrt(plane.size)
        return Estimate(cls(amplitude), {"amplitude": (amplitude - spread, amplitude + spread)}) if amplitude else None
