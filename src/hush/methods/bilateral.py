"""Bilateral filter."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any, ClassVar

import numpy as np

from hush.methods._filter import Filter

Array = Any
RADIUS = 4  # of the window


@dataclass(kw_only=True, eq=False)
class Bilateral(Filter):
    """Bilateral filter: a blur that keeps to pixels of like brightness (Tomasi and Manduchi, ICCV 1998).

    Colours are compared together. scikit-image's rounds brightness to a table of the piece that it is given; this
    one does not, so that tiles agree.

    Parameters
    ----------
    width : float
        Standard deviation in space, in pixels.
    contrast : float or None
        Standard deviation in brightness, in units of the noise's; None: 2.5, or calibrated.

    Notes
    -----
    Use it for weak noise and strong edges, and as a baseline.

    ::

        x̂_i = Σ_j w_ij y_j / Σ_j w_ij
        w_ij = exp( -|i - j|² / (2 s²) - (y_i - y_j)² / (2 c²) )

    s is `width`, and c is `contrast` times σ. Raise `contrast` where noise is left, lower it where edges are blurred.
    Raise `width` for coarser noise.

    References
    ----------
    * C. Tomasi and R. Manduchi, Bilateral filtering for gray and color images, ICCV 1998.

    Examples
    --------
    >>> noisy = np.random.default_rng(0).normal(100, 9, (64, 64)).astype(np.float32)
    >>> bool(Bilateral().fit(noisy).denoise(noisy).data.std() < 4)
    True
    """

    needs: ClassVar[str] = "noisy"
    scope: ClassVar[str] = "image"
    parameter: ClassVar[str] = "contrast"
    options: ClassVar[tuple[float, ...]] = (2.0, 2.5, 3.2, 4.0)
    usual: ClassVar[float | None] = 2.5

    width: float = 1.4
    contrast: float | None = None

    def filter(self, values: Array, sigma: Array, value: float) -> Array:
        """Remove white Gaussian noise; see `Filter.filter`."""
        axes = values.ndim - 1
        radius = RADIUS if axes == 2 else 2
        padded = np.pad(values, ((0, 0), *((radius, radius),) * axes), "symmetric")
        scale = (value * sigma.astype(np.float32)).reshape(-1, *(1,) * axes) * np.sqrt(len(values))
        total, weights = np.zeros(values.shape, np.float32), np.zeros(values.shape[1:], np.float32)
        for shift in product(range(2 * radius + 1), repeat=axes):
            distance = sum((step - radius) ** 2 for step in shift)
            if distance > radius**2:
                continue
            window = tuple(slice(step, step + size) for step, size in zip(shift, values.shape[1:], strict=True))
            other = padded[(slice(None), *window)]
            unlike = np.square((other - values) / scale).sum(0)
            weight = np.exp(-0.5 * (unlike + np.float32(distance / self.width**2)))
            total += weight * other
            weights += weight
        return total / weights

    def margin(self, value: float) -> int:
        """Return how far the filter looks, in pixels."""
        return RADIUS
