"""Non-local means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from skimage.restoration import denoise_nl_means

from hush.methods._filter import Filter

Array = Any
PATCH, DISTANCE = 5, 6  # side of the patches that are compared, and how far away they may be


@dataclass(kw_only=True, eq=False)
class NonLocalMeans(Filter):
    """Non-local means: the mean of pixels whose surroundings look alike (Buades et al., CVPR 2005; scikit-image).

    Parameters
    ----------
    decay : float or None
        How fast unlike patches lose weight, in units of the noise's standard deviation; None: 0.7, or calibrated.

    Notes
    -----
    Use it for volumes, and for images whose structures repeat, where BM3D takes too long.

    ::

        x̂_i = Σ_j w_ij y_j / Σ_j w_ij
        w_ij = exp( -max(d_ij² - 2 σ², 0) / h² )

    d_ij is the mean difference of the patches around i and j, and h is `decay` times σ. Raise `decay` where noise is
    left, lower it where texture is lost.

    References
    ----------
    * A. Buades, B. Coll and J.-M. Morel, A non-local algorithm for image denoising, CVPR 2005.

    Examples
    --------
    >>> noisy = np.random.default_rng(0).normal(100, 9, (64, 64)).astype(np.float32)
    >>> bool(NonLocalMeans().fit(noisy).denoise(noisy).data.std() < 3)
    True
    """

    needs: ClassVar[str] = "noisy"
    scope: ClassVar[str] = "image"
    parameter: ClassVar[str] = "decay"
    options: ClassVar[tuple[float, ...]] = (0.5, 0.6, 0.7, 0.85, 1.0)
    usual: ClassVar[float | None] = 0.7

    decay: float | None = None

    def filter(self, values: Array, sigma: Array, value: float) -> Array:
        """Remove white Gaussian noise; see `Filter.filter`."""
        unit = sigma.reshape(-1, *(1,) * (values.ndim - 1))
        flat = values.ndim == 3
        result = denoise_nl_means(
            np.moveaxis((values / unit).astype(np.float64), 0, -1),
            patch_size=PATCH if flat else 3,
            patch_distance=DISTANCE if flat else 3,
            h=value,
            sigma=1.0,
            fast_mode=True,
            channel_axis=-1,
        )
        return np.moveaxis(result.reshape(*values.shape[1:], len(values)), -1, 0) * unit

    def margin(self, value: float) -> int:
        """Return how far the filter looks, in pixels."""
        return PATCH + DISTANCE
