"""A denoising autoencoder: whole images of one size, through a code of a few numbers."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, ClassVar, Literal, Self

import numpy as np
from torch import nn

from hush.core.findings import Finding
from hush.core.image import Array, Image, as_image
from hush.core.missing import fill
from hush.methods._apply import Work
from hush.methods._base import Report, Result, Strength, demand, warn
from hush.methods._learned import NetDenoiser
from hush.methods.n2c import Noise2Clean
from hush.nets._autoencoder import ACTIVATIONS
from hush.nets._autoencoder import Autoencoder as Net
from hush.training.checkpoint import Checkpoint
from hush.training.dataset import Partner, Scene
from hush.training.normalization import Scale
from hush.training.patches import Patches
from hush.training.train_network import Learned

AUTOENCODER_DEPTH = 2  # convolutions at stride 2, by default


@dataclass(kw_only=True, eq=False)
class Autoencoder(Noise2Clean):
    """Denoising autoencoder: rebuild a whole small image from a code of a few numbers (Bernier and Lucio 2021).

    For collections of small images of one kind: digits, faces, films of one part of the body. Each image is resized by
    area to one size, encoded, decoded, and resized back: what is finer than that size is lost, and what the code does
    not hold. The result is as large as the image, and a warning says what it lost. There are no tiles: of a plane all
    is in memory.

    Parameters
    ----------
    patch : int
        Longest side of what the network is shown: of larger images this many pixels are left, smaller ones are shown
        as they are, as a square. The paper has 28, 48 and 52. Of volumes, half as many rows and columns and a quarter
        of the planes.
    latent : int
        Numbers of the code.
    activation : {"leaky_relu", "relu"}
    epochs : int or None
        How many times an image is shown, on average: 25 or 50 in the paper; goes before `seconds`, and `steps` goes
        before it. None: by these.
    copies : int or None
        Noisy copies of each clean image, each with noise of its own that stays: 1 or 100 in the paper. An epoch shows
        all of them. None: the noise of `simulate` is fresh whenever an image is shown.
    validation : float
        Share of the files held out, of a single file of its planes, before there are copies; the weights that are best
        on it are taken. Of a single plane nothing is.
    depth, maps : int
        Convolutions at stride 2, and the maps of the first; each that follows has twice as many. None: 2.
    augment : {"none", "flips", "all"}
        A digit that is turned is none: take the others, and `tta`, for images without an up and a left.

    Notes
    -----
    Use it to compare with the paper, and for images that are all alike. For any other images another method is better:
    a few numbers hold no detail.

    ::

        L(θ) = E ‖g_θ(h_θ(y)) - x‖²

    h gives the code, g the image. Raise `latent` and `patch` where detail is lost, and `copies` or `epochs` where
    images are few; lower them where what is held out gets worse.

    References
    ----------
    * N. Bernier and A. Lucio, Image denoising using autoencoders, term project, Concordia University 2021.
    * P. Vincent, H. Larochelle, Y. Bengio and P.-A. Manzagol, Extracting and composing robust features with denoising
      autoencoders, ICML 2008.

    Examples
    --------
    >>> clean = np.random.default_rng(0).normal(100, 9, (20, 28, 28)).astype(np.float32)
    >>> model = Autoencoder(steps=2, maps=4, simulate="gaussian:sigma=5").fit(Image(clean, "TYX"))
    >>> model.denoise(clean[0]).data.shape
    (28, 28)
    """

    needs: ClassVar[str] = "noisy and clean"

    latent: int = 16
    activation: Literal["leaky_relu", "relu"] = "leaky_relu"
    epochs: int | None = None
    copies: int | None = None
    maps: int = 32
    batch: int = 32
    patch: int = 52
    learning_rate: float = 1e-3
    augment: Literal["all", "flips", "none"] = "none"
    validation: float = 0.1
    residual: Literal["none", "input", "smooth"] = "none"

    def check(self) -> None:
        """Refuse settings that make no sense, naming what is possible."""
        super().check()
        demand(self.patch >= 2 * self.grid, "patch", self.patch, f"{2 * self.grid} or more")
        demand(self.depth is None or self.depth > 0, "depth", self.depth, "1 or more, or none: 2")
        demand(self.latent > 0, "latent", self.latent, "1 or more")
        demand(self.activation in ACTIVATIONS, "activation", self.activation, ", ".join(ACTIVATIONS))
        demand(self.copies is None or self.copies > 0, "copies", self.copies, "1 or more, or none: always fresh noise")
        demand(self.epochs is None or self.epochs > 0, "epochs", self.epochs, "1 or more, or none: by steps or seconds")
        timed = self.seconds != NetDenoiser.seconds
        demand(self.epochs is None or not timed, "seconds", self.seconds, "left out, where epochs say how long")
        demand(self.net == NetDenoiser.net, "net", self.net, "left out: an autoencoder is a network of its own")
        demand(self.residual == "none", "residual", self.residual, "none: all goes through the code")

    def expectation(self, images: Sequence[Image], models: int = 1) -> str:
        """Say in a sentence what will be done, how long it takes and how much memory."""
        counted = self._counted(sum(_planes_of(image, self.ndim) for image in images))
        text = NetDenoiser.expectation(counted, images, models)
        return f"{text}; images are shown with sides of {self.patch} pixels at most"

    # The network -----------------------------------------------------------------------------

    @property
    def grid(self) -> int:
        """What the sides of what is shown are multiples of."""
        return int(2 ** (AUTOENCODER_DEPTH if self.depth is None else self.depth))

    def get_ready(self, images: Sequence[Image]) -> None:
        """Choose the size: that of most of the images, but no larger than `patch` says, as a square."""
        usual = np.median([[image.sizes[axis] for axis in "ZYX"[3 - self.ndim :]] for image in images], axis=0)
        most = self.patch if self.ndim == 2 else self.patch // 2
        side = self._on_grid(max(usual[-2:]), most, 2)
        planes = [self._on_grid(usual[0], self.patch // 4, 1)] if self.ndim == 3 else []
        self.learned_["size"] = [*planes, side, side]

    def _on_grid(self, usual: float, most: int, least: int) -> int:
        """The next multiple of the grid that holds `usual` pixels, up to `most` and from `least` times the grid on."""
        grid = self.grid
        return max(least * grid, min(-(-int(usual) // grid), most // grid) * grid)

    def build(self, channels: int, ndim: int) -> nn.Module:
        """Return the network."""
        depth = AUTOENCODER_DEPTH if self.depth is None else self.depth
        how: dict[str, Any] = {name: getattr(self, name) for name in ("kernel", "maps", "latent", "norm", "activation")}
        return Net(channels, self.learned_["size"], depth=depth, **how)

    # Learning --------------------------------------------------------------------------------

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
        """Train one network, for as many steps as the epochs have; planes of a single file are as files."""
        if start is not None and "size" in start.learned_:
            self.learned_["size"] = start.learned_["size"]
        if len(pairs) == 1:
            pairs = list(_each_alone(*pairs[0], self.ndim))
        held = min(max(1, round(self.validation * len(pairs))), len(pairs) - 1) if self.validation else 0
        planes = sum(_planes_of(image, self.ndim) for image, _ in pairs)
        how = self._counted(round(planes * (1 - held / len(pairs))))
        if not held:
            how.validation = 0.0
        return Noise2Clean._learn(how, network, networks, channels, pairs, keeper, report, start)

    def _counted(self, planes: int) -> Self:
        """The same method with the steps that its epochs have for so many planes, and the same lists of what it learns.

        A method's settings are its user's, and stay as they are.
        """
        twin = copy.copy(self)
        if self.epochs is not None and self.steps is None:
            twin.steps = self.epochs * -(-planes * (self.copies or 1) // self.batch)
        return twin

    def _patch_shape(self, views: Sequence[Array]) -> tuple[int, ...]:
        return tuple(self.learned_["size"])

    def sources(
        self, kept: Sequence[Scene], held: Sequence[Scene], size: Sequence[int], scale: Scale
    ) -> tuple[Patches, Patches | None]:
        """Return what draws images to learn from, and those held out, whole."""
        learned = self._wholes(kept, size, scale, self.augment, self.copies)
        return learned, self._wholes(held, size, scale, "none", None) if held else None

    def _wholes(
        self, scenes: Sequence[Scene], size: Sequence[int], scale: Scale, augment: str, copies: int | None
    ) -> _Wholes:
        views = [view for scene in scenes for view in scene.views]
        targets = [others for scene in scenes for others in scene.targets]
        noise = self._made
        partner: Partner = "none" if noise is None else "clean"
        return _Wholes(
            views, size, scale, augment, targets or None, noise, partner, copies=copies, copies_seed=self.seed
        )

    # Applying --------------------------------------------------------------------------------

    @property
    def cuts(self) -> bool:
        """Whether it can work on pieces: the network takes images of one size only."""
        return False

    def run(
        self,
        image: Image | Array,
        out: Array | None = None,
        done: Report | None = None,
        std: Array | None = None,
        strength: Strength | None = None,
    ) -> Result:
        """Denoise an image plane by plane; see `hush.methods._base.Denoiser.run`."""
        noisy = as_image(image)
        result = super().run(noisy, out, done, std, strength)
        shape = [noisy.sizes[axis] for axis in "ZYX"[3 - self.ndim :]]
        smaller = max(side / shown for side, shown in zip(shape, self.learned_["size"], strict=True))
        if smaller > 1 and any(net is not None for net in self.nets_):
            size = " x ".join(map(str, self.learned_["size"]))
            sentence = (
                f"The network is shown {size} pixels of the image: detail finer than {smaller:.3g} of its own is lost."
            )
            warn(result.info, Finding("detail-lost", sentence, smaller))
        return result

    def _work(self, image: Image, network: int) -> Work | None:
        """What is done to a whole plane: resized, rebuilt, and resized back."""
        work, whole = super()._work(image, network), tuple(image.sizes[axis] for axis in "ZYX"[3 - self.ndim :])
        if work is None:
            return None

        def function(piece: Array) -> Array:
            made = work.function(resized(piece, self.learned_["size"]))[0]
            return resized(made, whole)

        return Work(function, whole, 0, 1)


class _Wholes(Patches):
    """Draws whole images, resized, each as likely as any other, where `Patches` draws patches.

    Parameters
    ----------
    *how, **more
        Those of `Patches`; the size is that to which images are resized.
    copies : int or None
        Noisy copies of an image, whose noise is the same whenever they are drawn; None: it is fresh.
    copies_seed : int
        Of that noise.
    """

    def __init__(self, *how: Any, copies: int | None, copies_seed: int, **more: Any) -> None:
        super().__init__(*how, **more)
        self.copies, self.copies_seed = copies, copies_seed
        self.share = np.arange(1, len(self.views) + 1) / len(self.views)

    def _pair(self, which: int, at: Sequence[int], rng: np.random.Generator) -> list[Array]:
        if self.copies is not None:
            rng = np.random.default_rng([self.copies_seed, which, int(rng.integers(self.copies))])
        return super()._pair(which, at, rng)

    def _cut(self, view: Array, at: Sequence[int]) -> tuple[Array, Array]:
        filled, good = fill(np.asarray(view))
        return filled, np.ones((1, *filled.shape[1:]), bool) if good is None else good

    def _ready(self, patch: Array) -> Array:
        return resized(self.scale.normalise(patch), self.size)

    def _padded(self, patch: Array) -> Array:
        """Pixels most of whose area was measured."""
        return resized(patch.astype(np.float32), self.size) > 0.5


def _planes_of(image: Image, ndim: int) -> int:
    """How many planes, or volumes, a channel has."""
    return math.prod(image.sizes.get(axis, 1) for axis in ("TZ" if ndim == 2 else "T"))


def _each_alone(image: Image, target: Image | None, ndim: int) -> Iterator[tuple[Image, Image | None]]:
    """Return the planes, or volumes, of an image and of its target as images of their own, with all channels."""
    if target is not None and (target.axes, target.data.shape) != (image.axes, image.data.shape):
        yield image, target  # what is wrong with them is said where pairs are made
        return
    single = [axis for axis in image.axes if axis in ("TZ" if ndim == 2 else "T")]
    axes = "".join(axis for axis in image.axes if axis not in single)
    for at in itertools.product(*(range(image.sizes[axis]) for axis in single)):
        place = dict(zip(single, at, strict=True))
        index = tuple(place.get(axis, slice(None)) for axis in image.axes)
        one, other = (None if x is None else replace(x, data=x.data[index], axes=axes) for x in (image, target))
        assert one is not None
        yield one, other


def resized(values: Array, size: Sequence[int]) -> Array:
    """Return (C, [Z,] Y, X) at another size, as floats: by area where an axis shrinks, linear where it grows.

    Examples
    --------
    >>> resized(np.array([[[0.0, 2.0, 4.0], [2.0, 2.0, 2.0]]]), (1, 2))
    array([[[1.33333333, 2.66666667]]])
    """
    shape = values.shape[1:]
    if tuple(shape) == tuple(size):
        return values
    wide = values.dtype.itemsize > 2 and values.dtype != np.float32
    made = values.astype(np.float64 if wide else np.float32)
    for axis, (into, out) in enumerate(zip(shape, size, strict=True), 1):
        if into != out:
            made = np.moveaxis(np.tensordot(_weights(into, out).astype(made.dtype), made, (1, axis)), 0, axis)
    return np.ascontiguousarray(made)


@lru_cache(maxsize=64)
def _weights(into: int, out: int) -> Array:
    """Weights (out, into) with which pixels make others: of their area in the new one, or of the two nearest."""
    if out < into:
        edges = np.arange(out + 1)[:, None] * (into / out)
        pixels = np.arange(into)
        shared = np.minimum(edges[1:], pixels + 1) - np.maximum(edges[:-1], pixels)
        return np.maximum(shared, 0) * (out / into)
    places = np.clip((np.arange(out) + 0.5) * (into / out) - 0.5, 0, into - 1)
    return np.maximum(1 - np.abs(places[:, None] - np.arange(into)), 0)
