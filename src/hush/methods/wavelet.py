"""Wavelet shrinkage."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from skimage.restoration import denoise_wavelet

from hush.methods._filter import Filter

Array = Any


@dataclass(kw_only=True, eq=False)
class Wavelet(Filter):
    """Wavelet shrinkage with BayesShrink thresholds, averaged over shifts (Chang et al., TIP 2000; scikit-image).

    Thresholds come from whole planes, so planes are not cut into tiles.

    Parameters
    ----------
    factor : float or None
        Multiplies the noise level from which thresholds are made; None: 1, or calibrated.
    shifts : int
        Shifts along each axis whose results are averaged.

    Notes
    -----
    Use it for a quick result on smooth images; it leaves ripples beside edges.

    ::

        x̂ = W⁻¹ S_τ(W y)
        S_τ(c) = sign(c) max(|c| - τ, 0)
        τ = σ² / σ_x

    σ_x is the signal's standard deviation in a band. Raise `factor` where noise is left, lower it where detail is
    lost. Raise `shifts` against ripples, at as many times the cost.

    References
    ----------
    * S. G. Chang, B. Yu and M. Vetterli, Adaptive wavelet thresholding for image denoising and compression, IEEE TIP
      2000.

    Examples
    --------
    >>> noisy = np.random.default_rng(0).normal(100, 9, (64, 64)).astype(np.float32)
    >>> bool(Wavelet().fit(noisy).denoise(noisy).data.std() < 5)
    True
    """

    needs: ClassVar[str] = "noisy"
    scope: ClassVar[str] = "image"
    whole: ClassVar[bool] = True
    parameter: ClassVar[str] = "factor"
    options: ClassVar[tuple[float, ...]] = (0.6, 0.8, 1.0, 1.2, 1.5)
    usual: ClassVar[float | None] = 1.0

    factor: float | None = None
    shifts: int = 3

    def filter(self, values: Array, sigma: Array, value: float) -> Array:
        """Remove white Gaussian noise; see `Filter.filter`."""
        result = np.zeros(values.shape)
        axes = tuple(range(1, values.ndim))
        levels = max(1, int(np.log2(max(2, min(values.shape[1:]) / 7))) - 1)
        for step in range(self.shifts):
            moved = np.roll(values, (step,) * len(axes), axes).astype(np.float64)
            for channel, level in enumerate(sigma):
                with warnings.catch_warnings():  # that a thin image has an edge everywhere is said by `apply`
                    warnings.filterwarnings("ignore", "Level value")
                    clean = denoise_wavelet(
                        moved[channel], value * level, "sym4", "soft", wavelet_levels=levels, rescale_sigma=False
                    )
                result[channel] += np.roll(clean, (-step,) * len(axes), tuple(axis - 1 for axis in axes))
        return result / self.shifts

    def margin(self, value: float) -> int:
        """Return how far the filter looks: everything, so tiles are whole planes."""
        return 0
