"""NetDenoiser: everything that learned methods share, so that a method is its network and its loss."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import torch
from torch import Tensor, nn

from hush import __version__, registry, tiles
from hush.denoiser import Denoiser, Images, Report, Result, as_images, copy_alpha, demand, finish, warn
from hush.errors import HushError
from hush.image import Array, Image, Plane
from hush.memory import available_memory, peak_memory_mb
from hush.nets.unet import UNet
from hush.patches import AUGMENT, Batch, Patches, Scale, fill, scale_of
from hush.train import (
    Checkpoint,
    Schedule,
    State,
    Trainer,
    body_precision,
    device_of,
    memory_format,
    precision_of,
)

FORMAT = 1  # of model files
RUN_SETTINGS = ("device", "precision", "tile", "augmented_prediction", "renormalize", "strength")


@dataclass(frozen=True)
class Context:
    """What a network needs to know of the whole image, prepared once an image and never once a tile."""

    scale: Scale


@dataclass(kw_only=True, eq=False)
class NetDenoiser(Denoiser):
    """A learned method: it answers `build`, `loss`, and where needed `prepare` and `predict`.

    Parameters
    ----------
    steps : int or None
        Training steps for each network; None: as many as fit into `seconds`.
    seconds : float
        Training time for all networks of a fit together, when `steps` is None.
    batch, patch : int
        Patches a step and their side; volumes use patches of (patch / 4, patch, patch).
    learning_rate : float
        Peak of the learning rate.
    averaging : float
        Memory of the averaged weights; see `hush.train.Schedule`.
    augment : {"all", "flips", "none"}
        Turns and flips of the patches.
    depth, kernel, maps, norm, residual
        The U-Net; see `hush.nets.unet.UNet`.
    device : str or None
        ``"cpu"``, ``"cuda"``, ``"mps"``; None: the best there is.
    precision : {"bfloat16", "float32"} or None
        Of the network's body; None: bfloat16 where the processor has it.
    tile : int or None
        Side of a tile in prediction; None: by the memory there is.
    augmented_prediction : bool
        Mean over the eight turns and flips of the image: better, at eight times the cost.
    renormalize : bool
        Measure the normalisation anew on every image instead of using the training set's.
    """

    steps: int | None = None
    seconds: float = 20.0
    batch: int = 16
    patch: int = 64
    learning_rate: float = 2e-3
    averaging: float = 16.0
    augment: Literal["all", "flips", "none"] = "all"
    depth: int = 2
    kernel: int = 3
    maps: int = 32
    norm: Literal["batch", "none"] = "batch"
    residual: bool = False
    device: str | None = None
    precision: Literal["bfloat16", "float32"] | None = None
    tile: int | None = None
    augmented_prediction: bool = False
    renormalize: bool = False

    def check(self) -> None:
        """Refuse settings that make no sense, naming what is possible."""
        super().check()
        demand(self.steps is None or self.steps > 0, "steps", self.steps, "1 or more, or none")
        demand(self.seconds > 0, "seconds", self.seconds, "more than 0")
        for name in ("batch", "maps", "learning_rate", "averaging"):
            demand(getattr(self, name) > 0, name, getattr(self, name), "more than 0")
        demand(0 <= self.depth <= 6, "depth", self.depth, "0 to 6")
        demand(self.kernel > 0 and self.kernel % 2 == 1, "kernel", self.kernel, "an odd number")
        demand(self.patch >= 2**self.depth, "patch", self.patch, f"at least {2**self.depth} at depth {self.depth}")
        demand(self.patch % 2**self.depth == 0, "patch", self.patch, f"a multiple of {2**self.depth}")
        demand(self.tile is None or self.tile > 0, "tile", self.tile, "1 or more, or none")
        demand(self.augment in AUGMENT, "augment", self.augment, ", ".join(AUGMENT))

    # What a method answers -------------------------------------------------------------------

    def build(self, channels: int, ndim: int) -> nn.Module:
        """Return the network for so many channels; by default a U-Net."""
        return UNet(
            channels,
            channels,
            ndim=ndim,
            depth=self.depth,
            kernel=self.kernel,
            maps=self.maps,
            norm=self.norm,
            residual=self.residual,
        )

    def loss(self, net: nn.Module, batch: Batch, rng: torch.Generator) -> Tensor:
        """Return what is minimised: this is the method."""
        raise TypeError(f"{type(self).__name__} has no loss")

    def prepare(self, net: nn.Module, image: Image, scale: Scale) -> Context:
        """Return what `predict` needs of the whole image."""
        return Context(scale)

    def predict(self, net: nn.Module, x: Tensor, context: Context) -> tuple[Tensor, Tensor | None]:
        """Return mean and variance (or None) for normalised input (B, C, [Z,] Y, X)."""
        return net(x), None

    # Learning --------------------------------------------------------------------------------

    def fit(
        self,
        images: Images,
        targets: Images | None = None,
        *,
        checkpoint: Path | None = None,
        resume: bool = False,
        progress: Report | None = None,
    ) -> Self:
        """Learn from noisy images.

        Parameters
        ----------
        images : Image, array, or a sequence of them
            All with the same channels.
        targets : the same, optional
            For methods that need pairs.
        checkpoint : Path, optional
            File that keeps the state while training, removed by whoever called once the result is safe.
        resume : bool
            Continue from `checkpoint` if it is there.
        progress : callable, optional
            (network, networks, step, steps, loss) after every step.

        Returns
        -------
        self
            With ``nets_`` (one a channel), ``scales_``, ``axes_``, ``history_``.

        Raises
        ------
        HushError
            When the images do not fit together or are too small to learn from.
        KeyboardInterrupt
            On Ctrl-C, after the state was saved.
        """
        self.check()
        noisy = as_images(images)
        clean = as_images(targets) if targets is not None else None
        networks, channels = self._layout(noisy)
        self.device_ = device_of(self.device)
        self.precision_ = precision_of(self.device_, self.precision)
        self.axes_ = noisy[0].axes
        self.nets_: list[nn.Module | None] = []
        self.scales_: list[Scale] = []
        self.history_: list[State] = []
        keeper = Checkpoint(checkpoint, self._identity(noisy), resume) if checkpoint else None
        for network in range(networks):
            views = [view for image in noisy for view in self._views(image, network)]
            pairs = [view for image in clean for view in self._views(image, network)] if clean else None
            try:
                scale = scale_of(views)
            except ValueError as error:
                raise HushError(f"nothing to learn from: {error}") from None
            self.scales_.append(scale)
            if not any(scale.std):  # a constant image has no noise: it is given back as it is
                self.nets_.append(None)
                self.history_.append(State())
                continue
            usable = Scale(scale.mean, tuple(std or 1.0 for std in scale.std))
            self.scales_[-1] = usable
            patches = Patches(views, self._patch_shape(), usable, self.augment, pairs)

            def report(step: int, steps: int, loss: float, network: int = network) -> None:
                if progress is not None:
                    progress(network, networks, step, steps, loss)

            net, state = self._train(network, networks, channels, patches, keeper, report)
            self.nets_.append(net)
            self.history_.append(state)
        return self

    def _train(
        self, network: int, networks: int, channels: int, patches: Patches, keeper: Checkpoint | None, report: Any
    ) -> tuple[nn.Module, State]:
        """Train one network, or take it from the checkpoint where it is finished or half done."""
        torch.manual_seed(self.seed * 1009 + network)
        layout = memory_format(self.ndim)
        net = self.build(channels, self.ndim).to(self.device_, memory_format=layout)
        average = copy.deepcopy(net).requires_grad_(False)
        schedule = Schedule(self.steps, self.seconds / networks, self.learning_rate, self.averaging)
        trainer = Trainer(net, average, schedule)
        rng = torch.Generator(self.device_)

        if keeper is not None and str(network) in keeper.info.get("states", {}):
            stored = {k.partition("/")[2]: v for k, v in keeper.tensors.items() if k.startswith(f"{network}/")}
            trainer.restore(stored, State(**keeper.info["states"][str(network)]))

        def loss(net: nn.Module, step: int) -> Tensor:
            # random numbers belong to the step, so that a resumed run draws the same ones
            batch = patches.batch(self.batch, np.random.default_rng([self.seed, network, step]), self.device_)
            rng.manual_seed((self.seed * 1009 + network) * 1_000_003 + step)
            batch = Batch(batch.noisy.contiguous(memory_format=layout), batch.valid, batch.target)
            with body_precision(self.device_, self.precision_):
                return self.loss(net, batch, rng)

        def save(now: bool) -> None:
            if keeper is not None and (now or time.monotonic() - keeper.written > keeper.every):
                self._save_state(keeper, network, trainer)

        trainer.run(loss, save, report)
        if keeper is not None:
            self._save_state(keeper, network, trainer)
        return average.eval(), trainer.state

    def _save_state(self, keeper: Checkpoint, network: int, trainer: Trainer) -> None:
        mine = {f"{network}/{key}": value for key, value in trainer.tensors().items()}
        others = {key: value for key, value in keeper.tensors.items() if not key.startswith(f"{network}/")}
        keeper.tensors = others | {key: value.detach().clone() for key, value in mine.items()}
        states = keeper.info.get("states", {}) | {str(network): vars(trainer.state)}
        keeper.info = {"states": json.loads(json.dumps(states))}
        keeper.save(keeper.tensors, keeper.info)

    def _identity(self, images: Sequence[Image]) -> dict[str, Any]:
        """What must be the same for a run to be resumed."""
        unseen = (*RUN_SETTINGS, "seconds") if self.steps is None else RUN_SETTINGS
        settings = {key: value for key, value in self.settings.items() if key not in unseen}
        inputs = [[image.meta.get("name"), list(image.data.shape), _digest(image.data)] for image in images]
        return {"method": self.method, "inputs": inputs, "precision": self.precision_, **settings}

    def _layout(self, images: Sequence[Image]) -> tuple[int, int]:
        """Number of networks, and channels of each; the same for all images."""
        if not images:
            raise HushError("there is no image to learn from")
        kinds = {(self._networks(image), image.samples(self.joint_channels)) for image in images}
        if len(kinds) > 1:
            counts = sorted({f"{n} channels of {s} samples" for n, s in kinds})
            raise HushError(f"the images do not fit one model: {' and '.join(counts)}; denoise them apart (--each)")
        if max(int(np.prod([image.sizes[a] for a in "YX"])) for image in images) < 16:
            raise HushError("an image of so few pixels can be denoised with a trained model, but not learned from")
        return kinds.pop()

    def _networks(self, image: Image) -> int:
        return 1 if self.joint_channels else image.channels

    def _views(self, image: Image, network: int) -> list[Array]:
        planes = image.planes(self.ndim, self.joint_channels)
        return [plane.view(image.data) for plane in planes if plane.channel == network]

    def _patch_shape(self) -> tuple[int, ...]:
        grid = 2**self.depth
        deep = max(grid, self.patch // 4 // grid * grid)
        return (self.patch, self.patch) if self.ndim == 2 else (deep, self.patch, self.patch)

    # Applying --------------------------------------------------------------------------------

    def run(
        self, image: Image | Array, out: Array | None = None, std: Array | None = None, done: Report | None = None
    ) -> Result:
        """Denoise an image tile by tile.

        Parameters
        ----------
        image : Image or array
            With the same channels as the training images.
        out : array, optional
            Writable, of the image's shape and dtype, for streaming.
        std : array, optional
            Likewise, for the standard deviation, where the method knows it.
        done : callable, optional
            (tile, tiles) after every tile.

        Returns
        -------
        Result
        """
        self.check()
        if not hasattr(self, "nets_"):
            raise HushError(f"{type(self).__name__} has learned nothing yet: call fit first, or load a model")
        noisy = as_images(image)[0]
        self._fits(noisy)
        begun = time.perf_counter()
        clean = np.empty(noisy.data.shape, noisy.data.dtype) if out is None else out
        info: dict[str, Any] = {"warnings": []}
        copy_alpha(noisy, clean)
        planes = list(noisy.planes(self.ndim, self.joint_channels))
        plans = [self._plan(plane.view(noisy.data).shape[1:], self.nets_[plane.channel]) for plane in planes]
        total, count = sum(map(len, plans)), 0

        def ticked() -> None:
            nonlocal count
            count += 1
            if done is not None:
                done(count, total)

        contexts: dict[int, Context | None] = {}
        for plane, plan in zip(planes, plans, strict=True):
            net = self.nets_[plane.channel]
            if plane.channel not in contexts:
                scale = self._scale(noisy, plane.channel)
                contexts[plane.channel] = None if net is None else self.prepare(net, noisy, scale)
            self._run_plane(plane, plan, noisy, clean, contexts[plane.channel], info, ticked)
        result = noisy.like(clean) if out is None else Image(clean, noisy.axes, noisy.scale, noisy.unit, noisy.meta)
        info |= self._info(noisy, time.perf_counter() - begun)
        return Result(result.with_meta(hush={"version": __version__, "method": self.method}), None, info)

    def _run_plane(
        self,
        plane: Plane,
        plan: Sequence[tiles.Tile],
        noisy: Image,
        clean: Array,
        context: Context | None,
        info: dict[str, Any],
        ticked: Any,
    ) -> None:
        net, source, target = self.nets_[plane.channel], plane.view(noisy.data), plane.view(clean)
        if net is None or context is None:
            warn(info, "the image is constant: it is given back unchanged")
            target[...] = source
            return
        filled, valid = fill(source)  # whole plane, so that tiles agree; copies only when something is missing
        if valid is not None:
            warn(info, f"{np.size(valid) - np.count_nonzero(valid)} pixels are NaN or infinite: they stay so")
        if noisy.data.dtype.kind == "b":
            warn(info, "the image has only two values: the result is cut at one half (--float keeps it)")

        def function(piece: Array, region: tiles.Region) -> Array:
            x = torch.from_numpy(context.scale.normalise(piece))[None].to(self.device_)
            y = self._forward(net, x, context).cpu().numpy()[0]
            original = piece if valid is None else tiles.take(source, region)
            return finish(original, context.scale.restore(y, piece), self.strength, clean.dtype)

        tiles.run(function, filled, plan, target, ticked)

    @torch.inference_mode()
    def _forward(self, net: nn.Module, x: Tensor, context: Context) -> Tensor:
        x = x.contiguous(memory_format=memory_format(self.ndim))
        with body_precision(self.device_, self.precision_):
            if not self.augmented_prediction:
                return self.predict(net, x, context)[0]
            total = torch.zeros_like(x)
            for swap in (False, True):
                for axes in ((), (-1,), (-2,), (-2, -1)):
                    turned = (x.transpose(-1, -2) if swap else x).flip(axes)
                    y = self.predict(net, turned, context)[0].flip(axes)
                    total += y.transpose(-1, -2) if swap else y
            return total / 8

    def _scale(self, image: Image, network: int) -> Scale:
        if not self.renormalize:
            return self.scales_[network]
        scale = scale_of(self._views(image, network))
        return Scale(scale.mean, tuple(std or 1.0 for std in scale.std))

    def _plan(self, shape: Sequence[int], net: nn.Module | None) -> list[tiles.Tile]:
        if net is None:
            return []
        side = (self.tile,) * self.ndim if self.tile else self._tile(net)
        return tiles.plan(shape, side, int(net.margin), int(net.multiple))  # type: ignore[arg-type]

    def _tile(self, net: nn.Module) -> tuple[int, ...]:
        """A tile whose activations take a quarter of the free memory at most: 512 x 512, or smaller."""
        side = 512 if self.ndim == 2 else 96
        margin, multiple = int(net.margin), int(net.multiple)  # type: ignore[arg-type]
        each = 4 * 8 * self.maps  # bytes a pixel: about eight sets of full-resolution maps alive at once
        while side > 32 and (side + 2 * margin) ** self.ndim * each > available_memory() / 4:
            side //= 2
        return (max(side // multiple, 1) * multiple,) * self.ndim

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


def _digest(data: Array) -> str:
    """A short fingerprint of an array from up to a thousand of its rows."""
    import hashlib

    rows = data.reshape(-1, data.shape[-1]) if data.flags.c_contiguous else data
    return hashlib.sha256(np.ascontiguousarray(rows[:: max(1, len(rows) // 1000)]).tobytes()).hexdigest()[:16]
