"""NetDenoiser: how learned methods learn, so that a method is its network and its loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from torch import Tensor, nn

from hush.core import registry
from hush.core.device import device_of, precision_of
from hush.core.errors import HushError, unknown
from hush.core.image import Array, Image
from hush.methods._base import STRENGTHS, Images, Report, as_images, demand
from hush.methods._set_aside import set_aside
from hush.methods._trained import Trained
from hush.noise import Noise, parse
from hush.training.checkpoint import Checkpoint, digest
from hush.training.dataset import Partner, Scene, measure, patches_of, scene_of, split
from hush.training.normalization import Scale
from hush.training.patches import AUGMENT, Batch, Patches
from hush.training.train_network import Learned, Task, learn
from hush.training.trainer import Schedule, State

RUN_SETTINGS = ("device", "precision", "tile", "tta", "renormalize", *STRENGTHS)


PARTNER: dict[str, Partner] = {"noisy": "none", "noisy pairs": "noisy", "noisy and clean": "clean"}


@dataclass(kw_only=True, eq=False)
class NetDenoiser(Trained):
    """A learned method: it answers `build`, `loss`, and where needed `prepare` and `predict`.

    Parameters
    ----------
    steps : int or None
        Training steps for each network; None: as many as fit into `seconds`.
    seconds : float
        Training time for all networks of a fit together, when `steps` is None.
    batch, patch : int
        Patches a step and their side; volumes use (patch / 4, patch / 2, patch / 2). Where several processes train
        together (torchrun) each draws so many: they learn from as many times the batch.
    learning_rate : float
        Peak of the learning rate.
    averaging : float
        Memory of the averaged weights; see `hush.training.trainer.Schedule`.
    augment : {"all", "flips", "none"}
        Turns and flips of the patches.
    simulate : str or None
        The images to learn from are clean, and this noise (``"gaussian:sigma=5..50"``, image units) is put on
        them, drawn anew for every patch.
    validation : float
        Share of the files that is held out (of a single file: of its rows); the weights that were best on it
        are taken.
    patience : int or None
        Stop after so many of about 50 looks at what is held out without a better one; None: never early.
    net : str
        The network, a file of `hush.nets`.
    depth, kernel, maps, norm, residual : see `hush.nets.unet.UNet`
        `depth` None: the network's own.
    """

    needs: ClassVar[str] = "noisy"
    learned_from_image: ClassVar[bool] = True

    steps: int | None = None
    seconds: float = 20.0
    batch: int = 8
    patch: int = 64
    learning_rate: float = 4e-3
    averaging: float = 16.0
    augment: Literal["all", "flips", "none"] = "all"
    simulate: str | None = None
    validation: float = 0.0
    patience: int | None = None
    net: str = "unet"
    depth: int | None = None
    kernel: int = 3
    maps: int = 16
    norm: Literal["batch", "none"] = "batch"
    residual: Literal["none", "input", "smooth"] = "smooth"

    def check(self) -> None:
        """Refuse settings that make no sense, naming what is possible."""
        super().check()
        demand(self.steps is None or self.steps > 0, "steps", self.steps, "1 or more, or none")
        demand(self.seconds > 0, "seconds", self.seconds, "more than 0")
        for name in ("batch", "maps", "learning_rate", "averaging"):
            demand(getattr(self, name) > 0, name, getattr(self, name), "more than 0")
        if self.net not in registry.names("nets"):
            raise unknown("net", self.net, registry.names("nets"))
        deepest = 6 if registry.module("nets", self.net).grid(1) > 1 else 40
        demand(self.depth is None or 0 <= self.depth <= deepest, "depth", self.depth, f"0 to {deepest}")
        demand(self.kernel > 0 and self.kernel % 2 == 1, "kernel", self.kernel, "an odd number")
        demand(self.patch > 0 and self.patch % self.grid == 0, "patch", self.patch, f"a multiple of {self.grid}")
        demand(0 <= self.validation <= 0.5, "validation", self.validation, "0 (nothing is held out) to 0.5")
        demand(self.patience is None or self.patience > 0, "patience", self.patience, "1 or more, or none")
        demand(
            self.patience is None or self.validation > 0,
            "patience",
            self.patience,
            "none, unless validation holds something out",
        )
        if self.simulate is not None:
            parse(self.simulate)
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

    @property
    def grid(self) -> int:
        """The pooling grid of the network."""
        return int(registry.module("nets", self.net).grid(self.depth))

    @property
    def blind_to_itself(self) -> bool:
        """Whether the network leaves out the pixel that it predicts."""
        return bool(getattr(registry.module("nets", self.net), "BLIND", False))

    def build(self, channels: int, ndim: int) -> nn.Module:
        """Return the network for so many channels; by default the one of `net`."""
        return self.network(channels, channels, ndim)

    def network(self, inputs: int, outputs: int, ndim: int, net: str | None = None, **variant: Any) -> nn.Module:
        """Return a network of this method's settings, `variant` instead of some of them."""
        names = ("depth", "kernel", "maps", "norm", "residual")
        settings = {name: getattr(self, name) for name in names} | variant
        try:
            made: nn.Module = registry.get("nets", net or self.net)(inputs, outputs, ndim=ndim, **settings)
        except (TypeError, ValueError) as error:
            raise HushError(f"net {net or self.net} cannot be built for {self.method}: {error}") from None
        return made

    def loss(self, net: nn.Module, batch: Batch, rng: torch.Generator) -> Tensor:
        """Return what is minimised: this is the method."""
        raise TypeError(f"{type(self).__name__} has no loss")

    # Learning --------------------------------------------------------------------------------

    def fit(
        self,
        images: Images,
        targets: Images | None = None,
        *,
        checkpoint: Path | None = None,
        resume: bool = False,
        progress: Report | None = None,
        start: NetDenoiser | None = None,
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
        start : NetDenoiser, optional
            A trained model whose weights and normalisation are the beginning (fine-tuning).

        Returns
        -------
        self
            With ``nets_`` (one a channel), ``lasts_``, ``scales_``, ``axes_``, ``history_``.

        Raises
        ------
        HushError
            When the images do not fit together or are too small to learn from.
        """
        self.check()
        inputs = as_images(images)
        others: list[Image | None] = [None] * len(inputs)
        if targets is not None and self._partner != "none":
            others = [*as_images(targets)]
        if len(others) != len(inputs):
            raise HushError(f"there are {len(inputs)} images and {len(others)} targets: each needs one")
        networks, channels = self._layout(inputs)
        if start is not None:
            for image in inputs:
                start._fits(image)
        self.device_ = device_of(self.device)
        self.precision_ = precision_of(self.device_, self.precision, self.ndim)
        self.axes_ = inputs[0].axes
        self.nets_: list[nn.Module | None] = []
        self.lasts_: list[nn.Module | None] = []
        self.scales_: list[Scale] = []
        self.history_: list[State] = []
        self.learned_: dict[str, Any] = {}  # plain values, kept with the model
        self.get_ready(inputs)
        identity = self._identity([image for image in (*inputs, *others) if image is not None])
        if self._made is None:
            inputs = [set_aside(image)[0] for image in inputs]
        if self._partner == "noisy":
            others = [None if image is None else set_aside(image)[0] for image in others]
        if start is not None:
            identity["start"] = start.fingerprint
        keeper = Checkpoint(checkpoint, identity, resume) if checkpoint else None
        for network in range(networks):

            def report(step: int, steps: int, loss: float, network: int = network) -> None:
                if progress is not None:
                    progress(network, networks, step, steps, loss)

            pairs = list(zip(inputs, others, strict=True))
            learned = self._learn(network, networks, channels, pairs, keeper, report, start)
            self.nets_.append(learned.net if learned else None)
            self.lasts_.append(learned.last if learned else None)
            self.history_.append(learned.state if learned else State(steps=0))
        return self

    def get_ready(self, images: Sequence[Image]) -> None:
        """Find out what the loss must know before training, for a method that needs it; keep it in ``learned_``."""

    def equip(self, net: nn.Module, network: int) -> None:
        """Give a network that was built what it must know beside its weights, from ``learned_``."""

    def settle(self, net: nn.Module, network: int, patches: Patches) -> None:
        """Do what a method needs after training."""

    @property
    def _partner(self) -> Partner:
        return PARTNER[self.needs]

    @property
    def _made(self) -> Noise | None:
        """The noise that is put on clean images."""
        return None if self.simulate is None else parse(self.simulate)

    def _learn(
        self,
        network: int,
        networks: int,
        channels: int,
        pairs: Sequence[tuple[Image, Image | None]],
        keeper: Checkpoint | None,
        report: Any,
        start: NetDenoiser | None,
    ) -> Learned | None:
        """Train one network; None for a constant image: it has no noise, and is given back as it is."""
        how: tuple[Any, ...] = (network, self.ndim, self.joint_channels, self._partner, self._made is not None)
        scenes = [scene_of(image, target, *how) for image, target in pairs]
        kept, held = split(scenes, self.validation, self.seed)
        scale = start.scales_[network] if start else measure(kept, self._made, self.seed)
        self.scales_.append(scale.without_zero())
        if not any(scale.std):
            return None
        size = self._patch_shape([view for scene in kept for view in scene.views])
        source, aside = self.sources(kept, held, size, self.scales_[-1])
        time = self.seconds / networks
        schedule = Schedule(self.steps, time, self.learning_rate, self.averaging, patience=self.patience)
        task = Task(network, self.seed, self.batch, self.ndim, self.device_, self.precision_, schedule)
        learned = learn(task, lambda: self._begin(network, channels, start), self.loss, source, aside, keeper, report)
        self.settle(learned.net, network, source)
        return learned

    def sources(
        self, kept: Sequence[Scene], held: Sequence[Scene], size: Sequence[int], scale: Scale
    ) -> tuple[Patches, Patches | None]:
        """Return what patches to learn from, and what those held out, are drawn from."""
        partner = self._partner if self._made is not None else "none"
        source = patches_of(kept, size, scale, self.augment, self._made, partner)
        return source, patches_of(held, size, scale, "none", self._made, partner) if held else None

    def _begin(self, network: int, channels: int, start: NetDenoiser | None) -> nn.Module:
        """The network before training: drawn, or with the weights of a trained model."""
        net = self.build(channels, self.ndim)
        self.equip(net, network)
        trained = start.nets_[network] if start else None
        if trained is not None:
            try:
                net.load_state_dict(trained.state_dict())
            except RuntimeError as error:
                what = str(error).splitlines()[0]
                raise HushError(
                    f"the model's weights do not fit, leave its net's settings as they are: {what}"
                ) from None
        return net

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

    def _patch_shape(self, views: Sequence[Array]) -> tuple[int, ...]:
        """Shape of a patch: on the pooling grid, and no larger than most of the images."""
        grid = self.grid
        half = self.patch // 2  # a volume has many more neighbours: as many patches fit into the time only if smaller
        wanted = (self.patch, self.patch) if self.ndim == 2 else (half // 2, half, half)
        usual = np.median([view.shape[1:] for view in views], axis=0).astype(int).tolist()
        return tuple(max(grid, min(a, b) // grid * grid) for a, b in zip(wanted, usual, strict=True))
