"""DnCNN, trained as in its paper."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import nn

from hush.methods._base import demand
from hush.methods.n2c import Noise2Clean

LAYERS = {"S": 17, "B": 20}


@dataclass(kw_only=True, eq=False)
class DnCNN(Noise2Clean):
    """DnCNN: a deep stack of convolutions that predicts the noise (Zhang et al., IEEE TIP 2017).

    Noise2Clean with the paper's network and training: 64 maps, the network predicts the noise, Adam at 1e-3.

    Parameters
    ----------
    variant : {"S", "B"}
        S: 17 layers, for one noise level. B: 20 layers, blind: give `simulate` a range of levels, in the paper
        ``gaussian:sigma=0..55``, and patches of 50 pixels.

    Notes
    -----
    Use it to compare with the paper, or with hours and a large collection of clean images.

    ::

        L(θ) = E ‖R_θ(y) - (y - x)‖²
        x̂ = y - R_θ(y)

    Raise `patch` for a range of noise levels (50 in the paper), lower `batch` where memory is short.

    References
    ----------
    * K. Zhang, W. Zuo, Y. Chen, D. Meng and L. Zhang, Beyond a Gaussian denoiser, IEEE TIP 2017.

    Examples
    --------
    >>> len([layer for layer in DnCNN(variant="B", maps=4).build(1, 2).body if "Conv" in str(layer)])
    19
    """

    needs: ClassVar[str] = "noisy and clean"

    variant: Literal["S", "B"] = "S"
    net: str = "dncnn"
    maps: int = 64
    batch: int = 128
    patch: int = 40
    learning_rate: float = 1e-3
    residual: Literal["none", "input", "smooth"] = "input"

    def check(self) -> None:
        """Refuse settings that make no sense, naming what is possible."""
        super().check()
        demand(self.variant in LAYERS, "variant", self.variant, "S, B")

    def build(self, channels: int, ndim: int) -> nn.Module:
        """Return the variant's network."""
        usual = LAYERS[self.variant] if self.net == "dncnn" else None
        return self.network(channels, channels, ndim, depth=usual if self.depth is None else self.depth)
