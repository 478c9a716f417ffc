"""Trained: networks with their weights, applied tile by tile; what learned methods share once they have learned."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from hush import __version__
from hush.core.device import body_precision, memory_format, peak_memory_mb
from hush.core.errors import HushError
from hush.core.image import Array, Image, as_image
from hush.core.pieces import Need
from hush.methods._apply import FROM_EDGE_TO_EDGE, Work, apply, mean_over_symmetries, tile_side
from hush.methods._base import Denoiser, Report, Result, Strength, demand, spread_of
from hush.methods._set_aside import put_back, set_aside
from hush.nets._parts import pad_end
from hush.training.normalization import Scale, scale_of
from hush.training.trainer import State


@dataclass(frozen=True)
class Context:
    """What a network needs to know of the whole image, prepared once an image and never once a tile."""

    scale: Scale


@dataclass(kw_only=True, eq=False)
class Trained(Denoiser):
    """A method with one network a channel; it answers `prepare` and `predict` where the defaults do not do.

    Parameters
    ----------
    maps : int
        Feature maps of the network's first level.
    device, precision : str or None
        Where to compute, and in what the network's body: see `hush.core.device`; None: the best there is.
    tile : int or None
        Side of a tile in prediction; None: by the memory there is.
    tta : bool
        Mean over the eight turns and flips of the image: better, at eight times the cost.
    renormalize : bool
        Measure the normalisation anew on every image instead of using the training set's.

    Attributes
    ----------
    nets_ : list of Module or None
        One a channel; None for a channel that was constant.
    scales_ : list of Scale
        Their normalisation.
    history_ : list of State
    """

    maps: int = 16
    device: str | None = None
    precision: Literal["bfloat16", "float32"] | None = None
    tile: int | None = None
    tta: bool = False
    renormalize: bool = False

    nets_: list[nn.Module | None] = field(init=False, repr=False)
    scales_: list[Scale] = field(init=False, repr=False)
    history_: list[State] = field(init=False, repr=False)
    device_: str = field(init=False, repr=False)
    precision_: str = field(init=False, repr=False)

    contexts_: list[Context] | None = field(default=None, init=False, repr=False)  # of a copy that is frozen

    def check(self) -> None:
        """Refuse settings that make no sense, naming what is possible."""
        super().check()
        demand(self.tile is None or self.tile > 0, "tile", self.tile, "1 or more, or none")
        demand(self.maps > 0, "maps", self.maps, "more than 0")

    def prepare(self, net: nn.Module, views: Sequence[Array], scale: Scale) -> Context:
        """Return what `predict` needs of all planes (C, [Z,] Y, X) that the network will see of an image."""
        return Context(scale)

    def predict(self, net: nn.Module, x: Tensor, context: Context) -> tuple[Tensor, Tensor | None]:
        """Return mean and variance (or None) for normalised input (B, C, [Z,] Y, X)."""
        return net(x), None

    @property
    def blind_to_itself(self) -> bool:
        """Whether a pixel's own value must not reach what `predict`, or its network, says of it."""
        return False

    @property
    def removes_outliers(self) -> bool:
        """Whether single pixels far beyond all others, and dead lines, are replaced by what is around."""
        return False

    @property
    def fingerprint(self) -> str:
        """Short text that tells these weights from others."""
        tensors = [value for net in self.nets_ if net is not None for value in net.state_dict().values()]
        digest = hashlib.sha256()
        for value in tensors:
            digest.update(value.detach().cpu().float().numpy().tobytes())
        return digest.hexdigest()[:16]

    # Applying --------------------------------------------------------------------------------

    def run(
        self,
        image: Image | Array,
        out: Array | None = None,
        done: Report | None = None,
        std: Array | None = None,
        strength: Strength | None = None,
    ) -> Result:
        """Denoise an image tile by tile; see `hush.methods._base.Denoiser.run`."""
        self.check()
        if not hasattr(self, "nets_"):
            raise HushError(f"{type(self).__name__} has learned nothing yet: call fit first, or load a model")
        noisy = as_image(image)
        self._fits(noisy)
        if std is None and self.uncertain:
            std = np.zeros(noisy.data.shape, np.float32)
        begun = time.perf_counter()
        info: dict[str, Any] = {"warnings": []}
        clear, aside = set_aside(noisy)
        if out is None:
            out = np.empty(noisy.data.shape, noisy.data.dtype)
        works = [self._work(clear, network) for network in range(len(self.nets_))]
        clean = apply(clear, works, self, strength or self.own_strength, out, info, done, std)
        info |= self._info(noisy, time.perf_counter() - begun)
        note = {"version": __version__, "method": self.method}
        result = Result(clean.with_meta(hush=note), spread_of(noisy, std, note), info)
        if aside is not None:
            put_back(noisy, aside, result, outliers=not self.removes_outliers)
        return result

    @property
    def cuts(self) -> bool:
        """Whether it can work on pieces."""
        return True

    def need(self, image: Image) -> Need:
        """Say what its networks need to work on pieces of an image."""
        if not self.cuts:
            return super().need(image)
        nets = [net for net in self.nets_ if net is not None]
        margin, multiple = (
            max([int(getattr(net, name)) for net in nets], default=1) for name in ("margin", "multiple")
        )
        return Need(margin, multiple, self.tile or (512 if self.ndim == 2 else 96), 4 * 8 * self.maps)

    def freeze(self, sample: Image) -> None:
        """Find out what the networks must know of all of an image."""
        clear, _ = set_aside(sample)
        self.contexts_ = [
            Context(self.scales_[network]) if net is None else self._context(clear, network, net)
            for network, net in enumerate(self.nets_)
        ]
        self.tile = FROM_EDGE_TO_EDGE

    def _context(self, image: Image, network: int, net: nn.Module) -> Context:
        """What a network must know of all of an image."""
        if self.contexts_ is not None:
            return self.contexts_[network]
        scale = self.scales_[network]
        if self.renormalize:
            scale = scale_of(self._views(image, network)).without_zero()
        return self.prepare(net, self._views(image, network), scale)

    def _work(self, image: Image, network: int) -> Work | None:
        """What is done to a piece of the image by one network; None where there is nothing to remove."""
        net = self.nets_[network]
        if net is None:
            return None
        context = self._context(image, network, net)
        margin, multiple = int(net.margin), int(net.multiple)  # type: ignore[arg-type]

        def function(piece: Array) -> tuple[Array, ...]:
            x = torch.from_numpy(context.scale.normalise(piece))[None].to(self.device_)
            inside = tuple(slice(0, size) for size in piece.shape[1:])
            made = [y[0].cpu().numpy() for y in self._forward(net, pad_end(x, multiple), context)]
            mean, *variance = (y[(slice(None), *inside)] for y in made)
            clean = context.scale.restore(mean, piece)
            return (clean, *(context.scale.spread(np.sqrt(np.maximum(y, 0))) for y in variance))

        side = (self.tile,) * self.ndim if self.tile else tile_side(self.ndim, margin, self.maps)
        # a mirror image, in which a pixel finds its own value again, is no place for those that must not see it
        return Work(function, side, margin, multiple, padded=not self.blind_to_itself)

    @torch.inference_mode()
    def _forward(self, net: nn.Module, x: Tensor, context: Context) -> tuple[Tensor, ...]:
        """Mean, and variance where the method gives it."""
        x = x.contiguous(memory_format=memory_format(self.ndim))

        def function(turned: Tensor) -> Tensor:
            mean, variance = self.predict(net, turned, context)
            return mean if variance is None else torch.cat([mean, variance], 1)

        with body_precision(self.device_, self.precision_):
            both = mean_over_symmetries(function, x) if self.tta else function(x)
        return tuple(torch.split(both, x.shape[1], 1))

    def _fits(self, image: Image) -> None:
        wanted = len(self.nets_)
        if self._networks(image) != wanted:
            raise HushError(f"the model has {wanted} channels and the image has {self._networks(image)}")
        samples = image.samples(self.joint_channels)
        for scale in self.scales_:
            if len(scale.mean) != samples:
                raise HushError(f"the model was trained on {len(scale.mean)} samples a pixel, the image has {samples}")

    def _info(self, image: Image, seconds: float) -> dict[str, Any]:
        steps = [state.steps for state in self.history_]
        return {
            "method": self.method,
            "settings": self.settings,
            "seed": self.seed,
            "steps": steps[0] if len(set(steps)) == 1 else steps,
            "seconds": round(seconds + sum(state.seconds for state in self.history_), 3),
            "device": self.device_,
            "precision": self.precision_,
            "peak_memory_mb": peak_memory_mb(),
            "axes": image.axes,
            "ndim": self.ndim,
            "loss": [state.losses for state in self.history_],
        }

    def _networks(self, image: Image) -> int:
        return 1 if self.joint_channels else image.channels

    def _views(self, image: Image, network: int) -> list[Array]:
        planes = image.planes(self.ndim, self.joint_channels)
        return [plane.view(image.data) for plane in planes if plane.channel == network]
