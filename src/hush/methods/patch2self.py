"""Patch2Self of a series of volumes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hush.core.image import Array
from hush.methods._series import Separated, Series, Tick

SINGULAR = 1e-12  # of the summed variances: what makes the matrix of copied volumes regular
AT_ONCE = 1 << 16  # voxels that are predicted at once


@dataclass(kw_only=True, eq=False)
class Patch2Self(Series):
    """Patch2Self: predict each volume of a diffusion series from all others, by linear regression (Fadnavis 2020).

    The noise of a volume is independent of that of the others, so none of it can be predicted: like Noise2Self, it is
    J-invariant, and least squares to the noisy volume find what least squares to the clean one would.

    Notes
    -----
    Use it for diffusion MRI of many directions. Nothing is assumed of the level of the noise or of its dependence on
    place; it only has to be independent between volumes. What a volume does not share with others is lost, as is all
    motion between them.

    ::

        x̂_v = b_v + Σ_{u≠v} w_uv y_u
        w, b = argmin ‖ y_v - b_v - Σ_{u≠v} w_uv y_u ‖²      over all voxels

    All regressions have one solution: with P the inverse of the volumes' covariance C, x̂ = y - P y / diag P (y less its
    mean). Patches are of one voxel, as in DIPY by default.

    There is no setting of its own. Raise the number of volumes that are measured for a better prediction;
    lower `strength` where structure is seen in the residual.

    References
    ----------
    * S. Fadnavis, J. Batson and E. Garyfallidis, Patch2Self: denoising diffusion MRI with self-supervised learning,
      NeurIPS 2020.

    Examples
    --------
    >>> from hush.core.image import Image
    >>> rng = np.random.default_rng(0)
    >>> clean = rng.uniform(50, 100, (20, 1, 1, 1)) * rng.uniform(0, 1, (6, 20, 20))
    >>> noisy = Image(clean + rng.normal(0, 9, clean.shape), "TZYX")
    >>> bool((Patch2Self().fit(noisy).denoise(noisy).data - clean).std() < 4)
    True
    """

    needs: ClassVar[str] = "noisy volumes"
    scope: ClassVar[str] = "image"

    @property
    def blind(self) -> bool:
        """It is given nothing about the noise."""
        return True

    def separate(self, volumes: Array, tick: Tick) -> Separated:
        """Predict every one of (volumes, [Z,] Y, X) from the others."""
        flat = volumes.reshape(len(volumes), -1)
        mean = flat.mean(1, dtype=np.float64)[:, None]
        parts = [slice(first, first + AT_ONCE) for first in range(0, flat.shape[1], AT_ONCE)]
        covariance = np.zeros((len(flat), len(flat)))
        for part in parts:
            away = flat[:, part] - mean
            covariance += away @ away.T
        least = SINGULAR * float(np.trace(covariance)) or 1.0  # of volumes that are all constant nothing is predicted
        precision = np.linalg.inv(covariance + least * np.eye(len(flat)))
        others = precision / np.diag(precision)[:, None]
        clean = np.empty(flat.shape, np.result_type(flat.dtype, np.float32))
        for number, part in enumerate(parts):
            clean[:, part] = flat[:, part] - others @ (flat[:, part] - mean)
            tick(number + 1, len(parts))
        return Separated(clean.reshape(volumes.shape))
