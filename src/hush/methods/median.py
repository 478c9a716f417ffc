"""Median filter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from scipy import ndimage

from hush.methods._filter import Filter

Array = Any


@dataclass(kw_only=True, eq=False)
class Median(Filter):
    """Median of a square of pixels: keeps edges, removes impulses.

    Parameters
    ----------
    size : float or None
        Side of the square (or cube), odd; None: chosen for the noise that was found.

    Notes
    -----
    Use it against impulses (salt and pepper, hot pixels), and as a baseline.

    ::

        x̂_i = median { y_j : |j - i| ≤ (size - 1) / 2 }

    Raise `size` where impulses touch each other, lower it where thin lines vanish.

    References
    ----------
    * J. W. Tukey, Exploratory Data Analysis, Addison-Wesley 1977.

    Examples
    --------
    >>> import numpy as np
    >>> noisy = np.random.default_rng(0).normal(100, 9, (64, 64)).astype(np.float32)
    >>> bool(Median().fit(noisy).denoise(noisy).data.std() < 3)
    True
    """

    needs: ClassVar[str] = "noisy"
    scope: ClassVar[str] = "image"
    parameter: ClassVar[str] = "size"
    options: ClassVar[tuple[float, ...]] = (3, 5, 7)

    size: float | None = None

    def filter(self, values: Array, sigma: Array, value: float) -> Array:
        """Remove white Gaussian noise; see `Filter.filter`."""
        return ndimage.median_filter(values, (1, *(int(value),) * (values.ndim - 1)), mode="mirror")

    def margin(self, value: float) -> int:
        """Return how far the filter looks, in pixels."""
        return int(value) // 2
