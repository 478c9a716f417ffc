"""Total variation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from skimage.restoration import denoise_tv_chambolle

from hush.methods._filter import Filter

Array = Any
TV_TURNS = 50  # of Chambolle's iteration; fixed, so that tiles agree


@dataclass(kw_only=True, eq=False)
class TotalVariation(Filter):
    """Total variation: the flattest image within the noise (Chambolle, JMIV 2004; scikit-image).

    Parameters
    ----------
    weight : float or None
        Of flatness, in units of the noise's standard deviation; None: 0.7, or calibrated.

    Notes
    -----
    Use it for images of flat areas with sharp edges; it turns smooth shading into steps.

    ::

        x̂ = argmin_x  ‖x - y‖² / 2 + λ Σ_i |∇x|_i

    λ is `weight` times σ. Raise `weight` for flatter results, lower it where fine structure is lost.

    References
    ----------
    * A. Chambolle, An algorithm for total variation minimization and applications, JMIV 2004.

    Examples
    --------
    >>> noisy = np.random.default_rng(0).normal(100, 9, (64, 64)).astype(np.float32)
    >>> bool(TotalVariation().fit(noisy).denoise(noisy).data.std() < 4)
    True
    """

    needs: ClassVar[str] = "noisy"
    scope: ClassVar[str] = "image"
    parameter: ClassVar[str] = "weight"
    options: ClassVar[tuple[float, ...]] = (0.35, 0.45, 0.6, 0.8, 1.1)
    usual: ClassVar[float | None] = 0.7

    weight: float | None = None

    def filter(self, values: Array, sigma: Array, value: float) -> Array:
        """Remove white Gaussian noise; see `Filter.filter`."""
        unit = sigma.reshape(-1, *(1,) * (values.ndim - 1))
        scaled = (values / unit).astype(np.float64)
        return unit * denoise_tv_chambolle(scaled, weight=value, eps=0, max_num_iter=TV_TURNS, channel_axis=0)  # type: ignore[no-untyped-call]

    def margin(self, value: float) -> int:
        """Return how far the filter looks, in pixels."""
        return TV_TURNS + 2
