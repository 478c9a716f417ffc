"""Noise2VST: a variance-stabilizing transform learned on the image, round the network that comes with hush."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn

from hush.core.device import body_precision
from hush.core.errors import HushError
from hush.core.image import Image
from hush.methods._base import demand
from hush.methods._learned import NetDenoiser
from hush.methods._stabilized import Stabilized
from hush.nets import resunet
from hush.pretrained import weights
from hush.training.dataset import Scene
from hush.training.masking import error_at, grid_phase
from hush.training.normalization import Scale
from hush.training.patches import Batch, Patches

LOOKED_AT_PATCHES = 16  # in which the range of values and the level of noise are looked for


@dataclass(kw_only=True, eq=False)
class Noise2VST(NetDenoiser):
    """Learn the transform that makes an image's noise Gaussian for a shipped network (Herbreteau and Unser, ICCV 2025).

    The network for Gaussian noise stays as it is. What is learned are a rising curve of brightness and the noise level
    that the network is conditioned on, some 130 numbers, so that it predicts masked pixels best. No law of the noise is
    assumed but that it is independent between pixels and grows or shrinks with brightness in some way.

    Parameters
    ----------
    knots : int
        Of the curve of every channel.
    width : int
        One pixel in ``width`` squared is masked, on a grid.
    weights : str or None
        Name of shipped or cached weights, see ``hush weights``; None: by the colours of the image.
    best : bool
        Where they are taken by the colours: those of more arithmetic, if there are any.
    net, depth, kernel, maps, norm, residual
        Those of the shipped network: they change nothing.

    Notes
    -----
    Use it where the noise is strong, independent between pixels, and no law is known for it: speckle, a tone curve, an
    unknown detector. For Gaussian and for photon noise `pretrained` knows the transform. Of faint noise masked pixels
    say little: fine texture goes with it.

    ::

        f(y) = c⁻¹(z) + α z + β,    z = D(c(y), σ)
        L(c, σ, α, β) = E Σ_{i∈M} ( f(y_M)_i - y_i )²

    c is piecewise linear and monotone, D the shipped network. M are masked pixels, in whose places D is shown the mean
    of the pixels around, and is told that they are missing where it knows what that is. Denoising masks nothing. Raise
    `steps` for large images and where the curve bends strongly, lower it for time. Lower `knots` for images of few
    pixels.

    Differs from the paper in that σ is learned and the curve's range is fixed (there σ is 25/255 and the curve free,
    which is the same to a network without scale), in the rate of Adam, 0.05 with a cosine to zero and averaged weights,
    which needs a few hundred steps (there 0.01, a tenth after each third of 2000), and in the mean over the eight
    pixels around (there four).

    References
    ----------
    * S. Herbreteau and M. Unser, Self-calibrated variance-stabilizing transformations for real-world image denoising,
      ICCV 2025.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> noisy = (100 * rng.gamma(25, 1 / 25, (64, 64))).astype(np.float32)
    >>> bool(Noise2VST(steps=4).fit(noisy).denoise(noisy).data.std() < noisy.std() / 2)
    True
    """

    needs: ClassVar[str] = "noisy"
    scope: ClassVar[str] = "image"

    knots: int = 128
    width: int = 4
    weights: str | None = None
    best: bool = False

    seconds: float = 10.0
    batch: int = 4
    learning_rate: float = 0.05
    net: str = "resunet"
    maps: int = 32
    norm: Literal["batch", "none"] = "none"
    residual: Literal["none", "input", "smooth"] = "input"

    _looked_at: Batch | None = field(default=None, init=False, repr=False)

    def check(self) -> None:
        """Refuse settings that make no sense, naming what is possible."""
        super().check()
        demand(self.knots >= 2, "knots", self.knots, "2 (a line) or more")
        demand(2 <= self.width <= 8, "width", self.width, "2 to 8")
        demand(self.net == "resunet", "net", self.net, "resunet, which the shipped weights are for")

    @property
    def grid(self) -> int:
        """The pooling grid of the shipped networks."""
        return resunet.grid(None)

    def get_ready(self, images: Sequence[Image]) -> None:
        """Take the weights for the colours of the images; masked pixels are told to those that know missing ones."""
        samples = images[0].samples(self.joint_channels)
        taken = self.weights or weights.suited(samples, samples == 1, self.best)
        known = weights.card(taken)
        if known.blind or known.channels not in (1, samples):
            what = "are told no noise level" if known.blind else f"are for {known.channels} colours a pixel"
            raise HushError(f"the weights {taken} {what}, and noise2vst needs others: leave them out")
        self.learned_["weights"] = taken

    def build(self, channels: int, ndim: int) -> nn.Module:
        """Return the shipped network between a curve and its inverse."""
        shipped, known = weights.load(self.learned_["weights"], self.device_)
        return Stabilized(channels, self.knots, shipped, known)

    def sources(
        self, kept: Sequence[Scene], held: Sequence[Scene], size: Sequence[int], scale: Scale
    ) -> tuple[Patches, Patches | None]:
        """Return what patches are drawn from; and look at some."""
        source, aside = super().sources(kept, held, size, scale)
        self._looked_at = source.batch(LOOKED_AT_PATCHES, np.random.default_rng(self.seed), self.device_)
        return source, aside

    def equip(self, net: nn.Module, network: int) -> None:
        """Begin with what was found in some patches; a model file holds what became of it."""
        assert isinstance(net, Stabilized)
        some = self._looked_at
        if some is None or some.scale is None:
            return
        hidden = grid_phase(some.noisy.shape[-2:], self.width, 0, some.noisy.device)
        with body_precision(self.device_, self.precision_):
            net.to(self.device_).begin(some.noisy, some.valid, some.scale.std, hidden)
        self._looked_at = None

    def loss(self, net: nn.Module, batch: Batch, rng: torch.Generator) -> Tensor:
        """Return the squared error to the noisy values at one phase of the grid, which is masked."""
        y = batch.noisy
        phase = int(torch.randint(self.width**2, (), generator=rng, device=rng.device))
        hidden = grid_phase(y.shape[-2:], self.width, phase, y.device)
        return error_at(hidden if y.ndim == 4 else hidden[:, :, None], net(y, hidden), y, batch.valid)
