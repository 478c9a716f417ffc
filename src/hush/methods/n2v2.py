"""N2V2: Noise2Void without its checkerboards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import nn

from hush.methods.n2v import Noise2Void


@dataclass(kw_only=True, eq=False)
class N2V2(Noise2Void):
    """Noise2Void without checkerboards: blurred pooling, no top skip, medians (Höck et al., ECCVW 2022).

    Differs from `n2v` in three settings only: hidden pixels become the median of their neighbours,
    pooling is max-blur-pool, and the network has neither a skip connection at full resolution nor a residual.

    Notes
    -----
    Use it where `n2v` leaves a checkerboard.

    ::

        L(θ) = E Σ_{i∈M} ( f_θ(y_M)_i - y_i )²
        (y_M)_i = median of the neighbours of i

    Raise `hidden_fraction` to learn more from each step, lower it if fine detail is lost; `radius` as in `n2v`.

    References
    ----------
    * E. Höck, T.-O. Buchholz, A. Brachmann, F. Jug and A. Freytag, N2V2: fixing Noise2Void checkerboard artifacts,
      ECCV Workshops 2022.

    Examples
    --------
    >>> N2V2(maps=4).build(1, 2).up[0].skip is None
    True
    """

    needs: ClassVar[str] = "noisy"

    hidden_fraction: float = 0.05
    rule: str = "median"
    residual: Literal["none"] = "none"

    def build(self, channels: int, ndim: int) -> nn.Module:
        """Return a U-Net with blurred pooling and no top skip."""
        return self.network(channels, channels, ndim, blur_pool=True, top_skip=False)
