"""Mean filter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy import ndimage

from hush.methods._filter import Filter

Array = Any


@dataclass(kw_only=True, eq=False)
class Mean(Filter):
    """Mean of a square of pixels: the simplest filter.

    Parameters
    ----------
    size : float or None
        Side of the square (or cube), odd; None: chosen for the noise that was found.

    Notes
    -----
    Use it as a baseline: it is what every other method has to beat.

    ::

        x̂_i = Σ_{|j - i| ≤ (size - 1) / 2} y_j / size²

    Raise `size` where noise is left, lower it where edges are blurred.

    References
    ----------
    * C. M. Stein, Estimation of the mean of a multivariate normal distribution, Annals of Statistics 1981: the risk
      by which `size` is chosen.

    Examples
    --------
    >>> noisy = np.random.default_rng(0).normal(100, 9, (64, 64)).astype(np.float32)
    >>> bool(Mean().fit(noisy).denoise(noisy).data.std() < 2)
    True
    """

    needs: ClassVar[str] = "noisy"
    scope: ClassVar[str] = "image"
    parameter: ClassVar[str] = "size"
    options: ClassVar[tuple[float, ...]] = (1, 3, 5, 7)

    size: float | None = None

    def filter(self, values: Array, sigma: Array, value: float) -> Array:
        """Remove white Gaussian noise; see `Filter.filter`."""
        return ndimage.uniform_filter(values, (1, *(int(value),) * (values.ndim - 1)), np.float64, mode="mirror")

    def margin(self, value: float) -> int:
        """Return how far the filter looks, in pixels."""
        return int(value) // 2
