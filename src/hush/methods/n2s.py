"""Noise2Self: hide a grid of pixels, learn to predict them, stop by a phase of the grid that is never learned."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from hush.core.image import Array
from hush.methods._base import demand
from hush.methods._learned import NetDenoiser
from hush.methods._trained import Context
from hush.training.dataset import Scene
from hush.training.masking import between, error_at, grid_phase
from hush.training.normalization import Scale
from hush.training.patches import Batch, Patches


@dataclass(kw_only=True, eq=False)
class Noise2Self(NetDenoiser):
    """Learn from single noisy images by hiding a grid of pixels (Batson and Royer, ICML 2019).

    Differs from `n2v` in what is hidden and how: one phase of a regular grid, replaced by the mean of the
    neighbours. The last phase is never learned from: the weights that predict it best are taken.

    Parameters
    ----------
    width : int
        Of the grid: one pixel in ``width`` squared is hidden.
    inference : {"plain", "j-invariant"}
        Apply the network to the image; or, as the theory has it, hide every phase in turn, so that no pixel
        serves for its own estimate, at ``width`` squared times the cost.

    Notes
    -----
    Use it as `n2v`, on a series, where training may run long: it stops learning before it fits the noise.

    ::

        L(θ) = E Σ_{i∈J} ( f_θ(y_J)_i - y_i )²

    J is one phase of the grid; f is J-invariant, so that the loss differs from the true error by a constant. Raise
    `width` to mask fewer pixels at once (finer detail, slower learning), lower it to learn faster.

    References
    ----------
    * J. Batson and L. Royer, Noise2Self: blind denoising by self-supervision, ICML 2019.

    Examples
    --------
    >>> import numpy as np
    >>> noisy = np.random.default_rng(0).normal(100, 9, (32, 32)).astype(np.float32)
    >>> model = Noise2Self(steps=4, maps=4).fit(noisy)
    >>> [len(state.validation) for state in model.history_]
    [4]
    """

    needs: ClassVar[str] = "noisy"

    width: int = 4
    inference: Literal["plain", "j-invariant"] = "plain"

    def check(self) -> None:
        """Refuse settings that make no sense, naming what is possible."""
        super().check()
        demand(2 <= self.width <= 8, "width", self.width, "2 to 8")
        demand(self.inference in ("plain", "j-invariant"), "inference", self.inference, "plain, j-invariant")

    @property
    def blind_to_itself(self) -> bool:
        """Whether the network, or what it is shown, leaves out the pixel that is predicted."""
        return self.inference == "j-invariant" or super().blind_to_itself

    @property
    def phases(self) -> int:
        """Number of phases of the grid."""
        return int(self.width**self.ndim)

    def build(self, channels: int, ndim: int) -> nn.Module:
        """Return the network; tiles begin on the hidden grid as well."""
        net: Any = super().build(channels, ndim)
        net.multiple, net.margin = math.lcm(net.multiple, self.width), net.margin + 1
        made: nn.Module = net
        return made

    def loss(self, net: nn.Module, batch: Batch, rng: torch.Generator) -> Tensor:
        """Return the squared error to the noisy values at one phase of the grid."""
        if net.training or batch.valid is None:
            phase = int(torch.randint(self.phases, (), generator=rng, device=rng.device))
            where = grid_phase(batch.noisy.shape[2:], self.width, phase, batch.noisy.device)
        else:  # what is held out: wherever its phase stands in the patch
            where = batch.valid
        return error_at(where, net(self._hide(batch.noisy, where)), batch.noisy, batch.valid)

    def predict(self, net: nn.Module, x: Tensor, context: Context) -> tuple[Tensor, Tensor | None]:
        """Return the network's output, or for each phase its output where that was hidden."""
        if self.inference == "plain":
            return net(x), None
        clean = torch.zeros_like(x)
        for phase in range(self.phases):
            where = grid_phase(x.shape[2:], self.width, phase, x.device)
            clean = torch.where(where, net(self._hide(x, where)), clean)
        return clean, None

    def _hide(self, noisy: Tensor, where: Tensor) -> Tensor:
        return torch.where(where, between(noisy), noisy)

    def sources(
        self, kept: Sequence[Scene], held: Sequence[Scene], size: Sequence[int], scale: Scale
    ) -> tuple[Patches, Patches | None]:
        """Learn from all phases of the image's grid but the last, which is held out, unless whole files are."""
        source, aside = super().sources(kept, held, size, scale)
        if aside is not None or self._made is not None:
            return source, aside

        def last(origin: Sequence[int], shape: Sequence[int]) -> Array:
            beyond = [start % self.width for start in origin]
            window = (slice(None), *(slice(start, start + n) for start, n in zip(beyond, shape, strict=True)))
            whole = [start + n for start, n in zip(beyond, shape, strict=True)]
            return grid_phase(whole, self.width, self.phases - 1)[0].numpy()[window]

        views = [view for scene in kept for view in scene.views]
        aside = Patches(views, size, scale, "none", chosen=last)
        source.chosen = lambda origin, shape: ~last(origin, shape)
        return source, aside
