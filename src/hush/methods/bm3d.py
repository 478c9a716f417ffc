"""BM3D, our own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch

from hush.core.device import available_memory, device_of
from hush.methods import _bm3d
from hush.methods._filter import Filter
from hush.vst.stabilizer import Stabilizer

Array = Any


@dataclass(kw_only=True, eq=False)
class BM3D(Filter):
    """Block matching and three-dimensional filtering: the classic to beat (Dabov et al., IEEE TIP 2007).

    Both stages; grey, or colour in opponent space; other noise than white Gaussian through a variance-stabilising
    transform. Written as matrix products, see `hush.methods._bm3d`.

    Parameters
    ----------
    wiener : bool
        Whether the second stage runs: twice the time, about 0.4 dB.
    device : str or None
        ``cpu``, ``cuda``, ``mps``; None: the best there is.

    Notes
    -----
    Use it for white noise of one level, where no network is wanted, and where patterns repeat.

    ::

        Ŷ_S = W⁻¹( H(W(Y_S)) )
        then  W⁻¹( |W(Ŷ_S)|² / (|W(Ŷ_S)|² + σ²) W(Y_S) )

    Y_S is a stack of similar blocks, W a three-dimensional transform, H hard thresholding at 2.5 σ; the second stage
    is a Wiener filter. Raise `sigma` where noise is left, lower it where texture is lost; None measures it.

    References
    ----------
    * K. Dabov, A. Foi, V. Katkovnik and K. Egiazarian, Image denoising by sparse 3-D transform-domain collaborative
      filtering, IEEE TIP 2007.

    Examples
    --------
    >>> noisy = np.random.default_rng(0).normal(100, 9, (64, 64)).astype(np.float32)
    >>> bool(BM3D(sigma=9).fit(noisy).denoise(noisy).data.std() < 2)
    True
    """

    needs: ClassVar[str] = "noisy"
    scope: ClassVar[str] = "image"
    volumes: ClassVar[bool] = False
    grid: ClassVar[int] = _bm3d.BM3D_STEP

    wiener: bool = True
    device: str | None = None

    def prepare(self, views: Sequence[Array], ways: Sequence[Stabilizer]) -> tuple[float, float]:
        """Return the range of the stabilised values of all planes, in which blocks are compared."""
        thin = [np.asarray(view.reshape(len(view), -1)[:, :: max(1, view[0].size >> 18)], np.float32) for view in views]
        ready = [
            np.mean([way.forward(channel) for way, channel in zip(ways, piece, strict=True)], axis=0) for piece in thin
        ]
        values = np.concatenate(ready)
        low, high = np.quantile(values[np.isfinite(values)], [0.001, 0.999])
        return float(low), float(high - low)

    def filter_prepared(self, values: Array, sigma: Array, value: float, prepared: Any) -> Array:
        """Run both stages on one piece; more than three joint channels are filtered one by one."""
        device = device_of(self.device)
        groups = [slice(0, 3)] if len(values) == 3 else [slice(k, k + 1) for k in range(len(values))]
        parts = []
        for group in groups:
            noise = _bm3d.Noise(tuple(map(float, sigma[group])), *prepared)
            noisy = torch.from_numpy(np.ascontiguousarray(values[group])).to(device)
            parts.append(_bm3d.bm3d(noisy, noise, wiener=self.wiener).cpu().numpy())
        return np.concatenate(parts)

    @property
    def side(self) -> int:
        """Side of a tile: a pixel takes about 2 kB, and margins are wide."""
        return 1024 if available_memory() > 8 << 30 else 384

    @property
    def pixel_bytes(self) -> int:
        """Bytes of memory for a pixel of a tile, roughly."""
        return 2200

    @property
    def workers(self) -> int:
        """One tile at a time: PyTorch uses all cores for it."""
        return 1

    def margin(self, value: float) -> int:
        """Return how far the filter looks, in pixels."""
        return _bm3d.MARGIN
