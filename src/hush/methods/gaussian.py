"""Gaussian filter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy import ndimage

from hush.methods._filter import Filter

Array = Any


@dataclass(kw_only=True, eq=False)
class GaussianFilter(Filter):
    """Gaussian blur.

    Parameters
    ----------
    width : float or None
        Standard deviation of the kernel, in pixels; None: chosen for the noise that was found.

    Notes
    -----
    Use it as a baseline, or where only coarse structure counts.

    ::

        x̂ = y * G_w
        G_w(r) ∝ exp( -r² / (2 w²) )

    Raise `width` where noise is left, lower it where edges are blurred.

    References
    ----------
    * C. M. Stein, Estimation of the mean of a multivariate normal distribution, Annals of Statistics 1981: the risk
      by which `width` is chosen.

    Examples
    --------
    >>> noisy = np.random.default_rng(0).normal(100, 9, (64, 64)).astype(np.float32)
    >>> bool(GaussianFilter().fit(noisy).denoise(noisy).data.std() < 2)
    True
    """

    needs: ClassVar[str] = "noisy"
    scope: ClassVar[str] = "image"
    parameter: ClassVar[str] = "width"
    options: ClassVar[tuple[float, ...]] = (0.4, 0.55, 0.7, 0.9, 1.2, 1.6, 2.2)

    width: float | None = None

    def filter(self, values: Array, sigma: Array, value: float) -> Array:
        """Remove white Gaussian noise; see `Filter.filter`."""
        return ndimage.gaussian_filter(values, (0, *(value,) * (values.ndim - 1)), output=np.float64, mode="mirror")

    def margin(self, value: float) -> int:
        """Return how far the filter looks, in pixels."""
        return int(4 * value + 0.5)
