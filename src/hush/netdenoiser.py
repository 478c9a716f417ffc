"""NetDenoiser: everything that learned methods share, so that a method is its network and its loss."""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import torch
from torch import Tensor, nn

from hush import __version__
from hush.apply import Work, apply
from hush.checkpoint import Checkpoint, digest
from hush.denoiser import Denoiser, Images, Report, Result, as_images, demand
from hush.errors import HushError
from hush.image import Array, Image, as_image
from hush.machine import body_precision, device_of, memory_format, peak_memory_mb, precision_of
from hush.nets.unet import UNet
from hush.patches import AUGMENT, Batch, Patches, Scale, scale_of
from hush.prediction import mean_over_symmetries, pad_end, tile_side
from hush.train import Schedule, State, Trainer

RUN_SETTINGS = ("device", "precision", "tile", "tta", "renormalize", "strength")


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
        Patches a step and their side; volumes use (patch / 4, patch / 2, patch / 2).
    learning_rate : float
        Peak of the learning rate.
    averaging : float
        Memory of the averaged weights; see `hush.train.Schedule`.
    augment : {"all", "flips", "none"}
        Turns and flips of the patches.
    depth, kernel, maps, norm, residual : see `hush.nets.unet.UNet`
    device, precision : str or None
        Where to compute, and in what the network's body: see `hush.machine`; None: the best there is.
    tile : int or None
        Side of a tile in prediction; None: by the memory there is.
    tta : bool
        Mean over the eight turns and flips of the image: better, at eight times the cost.
    renormalize : bool
        Measure the normalisation anew on every image instead of using the training set's.
    """

    steps: int | None = None
    seconds: float = 20.0
    batch: int = 8
    patch: int = 64
    learning_rate: float = 4e-3
    averaging: float = 16.0
    augment: Literal["all", "flips", "none"] = "all"
    depth: int = 2
    kernel: int = 3
    maps: int = 16
    norm: Literal["batch", "none"] = "batch"
    residual: Literal["none", "input", "smooth"] = "smooth"
    device: str | None = None
    precision: Literal["bfloat16", "float32"] | None = None
    tile: int | None = None
    tta: bool = False
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
        demand(
            self.patch > 0 and self.patch % 2**self.depth == 0, "patch", self.patch, f"a multiple of {2**self.depth}"
        )
        demand(self.tile is None or self.tile > 0, "tile", self.tile, "1 or more, or none")
        demand(self.augment in AUGMENT, "augment", self.augment, ", ".join(AUGMENT))

    def expectation(self, images: Sequence[Image], models: int = 1) -> str:
        """Say in a sentence what will be done, how long it takes and how much memory."""
        text = super().expectation(images, models)
        if hasattr(self, "nets_"):
            return f"{text}, with a trained model"
        time = f"{self.steps} steps" if self.steps else f"{self.seconds:g} s of training"
        megabytes = 350 + 28 * 4 * self.maps * self.batch * self.patch**self.ndim / 16 ** (self.ndim - 2) / 1e6
        time += f" for each of {models} models" if models > 1 else ""
        return f"{text}: {time} and then some seconds, about {megabytes / 1000:.1f} GB of memory"

    # What a method answers -------------------------------------------------------------------

    def build(self, channels: int, ndim: int) -> nn.Module:
        """Return the network for so many channels; by default a U-Net."""
        return self.unet(channels, ndim, residual=self.residual)

    def unet(self, channels: int, ndim: int, **variant: Any) -> UNet:
        """Return a U-Net of this method's settings."""
        sizes: dict[str, Any] = {"depth": self.depth, "kernel": self.kernel, "maps": self.maps, "norm": self.norm}
        return UNet(channels, channels, ndim=ndim, **sizes, **variant)

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
            File that keeps the state; whoever called removes it once the result is safe.
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
        """
        self.check()
        noisy = as_images(images)
        clean = as_images(targets) if targets is not None else None
        networks, channels = self._layout(noisy)
        self.device_ = device_of(self.device)
        self.precision_ = precision_of(self.device_, self.precision, self.ndim)
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
            self.scales_.append(scale.without_zero())
            if not any(scale.std):  # a constant image has no noise: it is given back as it is
                self.nets_.append(None)
                self.history_.append(State(steps=0))
                continue
            patches = Patches(views, self._patch_shape(views), scale.without_zero(), self.augment, pairs)

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
        net = self.build(channels, self.ndim).to(self.device_)
        net = net.to(memory_format=layout)  # type: ignore[call-overload]
        average = copy.deepcopy(net).requires_grad_(False)
        schedule = Schedule(self.steps, self.seconds / networks, self.learning_rate, self.averaging)
        trainer = Trainer(net, average, schedule)
        rng = torch.Generator(self.device_)

        if keeper is not None:
            keeper.restore(str(network), trainer)

        def loss(net: nn.Module, step: int) -> Tensor:
            # random numbers belong to the step, so that a resumed run draws the same ones
            batch = patches.batch(self.batch, np.random.default_rng([self.seed, network, step]), self.device_)
            rng.manual_seed((self.seed * 1009 + network) * 1_000_003 + step)
            batch = Batch(batch.noisy.contiguous(memory_format=layout), batch.valid, batch.target)
            with body_precision(self.device_, self.precision_):
                return self.loss(net, batch, rng)

        def save(now: bool) -> None:
            if keeper is not None and (now or keeper.due):
                keeper.store(str(network), trainer)

        trainer.run(loss, save, report)
        save(True)
        return average.eval(), trainer.state

    def _identity(self, images: Sequence[Image]) -> dict[str, Any]:
        """What must be the same for a run to be resumed."""
        unseen = (*RUN_SETTINGS, "seconds") if self.steps is None else RUN_SETTINGS
        settings = {key: value for key, value in self.settings.items() if key not in unseen}
        inputs = [[image.meta.get("name"), list(image.data.shape), digest(image.data)] for image in images]
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

    def _patch_shape(self, views: Sequence[Array]) -> tuple[int, ...]:
        """Shape of a patch: on the pooling grid, and no larger than most of the images."""
        grid = 2**self.depth
        half = self.patch // 2  # a volume has many more neighbours: as many patches fit into the time only if smaller
        wanted = (self.patch, self.patch) if self.ndim == 2 else (half // 2, half, half)
        usual = np.median([view.shape[1:] for view in views], axis=0).astype(int).tolist()
        return tuple(max(grid, min(a, b) // grid * grid) for a, b in zip(wanted, usual, strict=True))

    # Applying --------------------------------------------------------------------------------

    def run(self, image: Image | Array, out: Array | None = None, done: Report | None = None) -> Result:
        """Denoise an image tile by tile.

        Parameters
        ----------
        image : Image or array
            With the same channels as the training images.
        out : array, optional
            Writable, of the image's shape and dtype, for streaming.
        done : callable, optional
            (tile, tiles) after every tile.

        Returns
        -------
        Result
        """
        self.check()
        if not hasattr(self, "nets_"):
            raise HushError(f"{type(self).__name__} has learned nothing yet: call fit first, or load a model")
        noisy = as_image(image)
        self._fits(noisy)
        begun = time.perf_counter()
        info: dict[str, Any] = {"warnings": []}
        works = [self._work(noisy, network) for network in range(len(self.nets_))]
        clean = apply(noisy, works, self, out, info, done)
        info |= self._info(noisy, time.perf_counter() - begun)
        return Result(clean.with_meta(hush={"version": __version__, "method": self.method}), None, info)

    def _work(self, image: Image, network: int) -> Work | None:
        """What is done to a piece of the image by one network; None where there is nothing to remove."""
        net = self.nets_[network]
        if net is None:
            return None
        scale = self.scales_[network]
        if self.renormalize:
            scale = scale_of(self._views(image, network)).without_zero()
        context = self.prepare(net, image, scale)
        margin, multiple = int(net.margin), int(net.multiple)  # type: ignore[arg-type]

        def function(piece: Array) -> Array:
            x = torch.from_numpy(context.scale.normalise(piece))[None].to(self.device_)
            y = self._forward(net, pad_end(x, multiple), context)
            inside = tuple(slice(0, size) for size in piece.shape[1:])
            return context.scale.restore(y[0].cpu().numpy()[(slice(None), *inside)], piece)

        side = (self.tile,) * self.ndim if self.tile else tile_side(self.ndim, margin, self.maps)
        return Work(function, side, margin, multiple)

    @torch.inference_mode()
    def _forward(self, net: nn.Module, x: Tensor, context: Context) -> Tensor:
        x = x.contiguous(memory_format=memory_format(self.ndim))
        with body_precision(self.device_, self.precision_):
            if self.tta:
                return mean_over_symmetries(lambda turned: self.predict(net, turned, context)[0], x)
            return self.predict(net, x, context)[0]

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
