"""Fine-tuned: the network that comes with hush, which learns the image further from pixels that are hidden from it."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from hush.core.device import body_precision, memory_format
from hush.core.errors import HushError
from hush.core.image import Array, Image
from hush.core.missing import fill
from hush.estimation.report import ChannelNoise
from hush.methods._base import Images, Report, Result, Strength, as_images, demand
from hush.methods._budget import BATCH, USUAL_STEPS
from hush.methods.pretrained import Pretrained
from hush.pretrained import weights
from hush.pretrained.card import Card, Inputs
from hush.quality import risk
from hush.quality.estimate import middle
from hush.training.trainer import Schedule, Trainer

SHARE_KEPT = 0.7  # of what was learned: so far on the way from what the weights were to what they became
RATE_REACH, FASTEST = 0.0045, 6e-5  # all steps' learning rates together, and one's: more forgets what the weights know
HIDDEN = 0.2  # share of a patch's pixels: few of them say little a step
BARELY_SHARED = 0.03  # correlation from which on neighbours are hidden as well
PLANES_LEARNED, LEARNING_WINDOW = 4, 1024  # planes that are learned from, and the side of what is cut out of them


@dataclass(kw_only=True, eq=False)
class Finetuned(Pretrained):
    """Train the weights that come with hush further on the image itself: they predict pixels hidden from them.

    Noise2Void's loss (Krull et al., CVPR 2019) on a network that knows what missing pixels are, and was never far from
    right: in the seconds that teach a network from nothing hardly anything it learns what repeats in an image. What is
    used are weights on the way from before to after (Wortsman et al., CVPR 2022), which keep what they knew.
    Micrographs gain, those most that are unlike what the weights have seen; photographs gain or lose a little.

    Parameters
    ----------
    best : bool
        The weights of more arithmetic, if there are any.
    steps : int or None
        Training steps; None: 150, about 12 seconds on two cores, or 50 where they do not multiply bfloat16.
    learning_rate : float or None
        Peak of the rate; None: the less, the more steps there are, 3e-5 for 150.
    batch, patch : int
        Patches a step, and the side of a patch in pixels.

    Notes
    -----
    Use it for micrographs that are unlike the training data of the weights, where there are some seconds for each
    image.

    ::

        L(θ) = E Σ_{i∈M} ( f_θ(y_M)_i - y_i )²
        θ* = θ₀ + a (θ_L - θ₀)

    M are the masked pixels, θ₀ the shipped weights, θ_L what training reached, a the share that is kept. Raise
    `steps` for large images, lower it where time is short. Lower `learning_rate` if detail turns into texture that is
    not there.

    References
    ----------
    * A. Krull, T.-O. Buchholz and F. Jug, Noise2Void, CVPR 2019.
    * M. Wortsman et al., Robust fine-tuning of zero-shot models, CVPR 2022.

    Examples
    --------
    >>> noisy = np.random.default_rng(0).normal(100, 9, (64, 64)).astype(np.float32)
    >>> bool(Finetuned(steps=2, patch=32).fit(noisy).denoise(noisy).data.std() < noisy.std() / 2)
    True
    """

    needs: ClassVar[str] = "noisy"
    scope: ClassVar[str] = "image"
    least: ClassVar[int] = 8  # side of a patch

    best: bool = True

    learned_from_image: ClassVar[bool] = True

    steps: int | None = None
    learning_rate: float | None = None
    batch: int = BATCH
    patch: int = 128

    def check(self) -> None:
        """Refuse settings that make no sense, naming what is possible."""
        super().check()
        demand(self.steps is None or self.steps > 0, "steps", self.steps, "1 or more, or none")
        demand(self.learning_rate is None or self.learning_rate > 0, "learning_rate", self.learning_rate, "more than 0")
        demand(self.batch > 0, "batch", self.batch, "1 or more")
        demand(self.patch >= self.least, "patch", self.patch, f"{self.least} or more")

    def expectation(self, images: Any, models: int = 1) -> str:
        """Say in a sentence what will be done."""
        return f"{super().expectation(images, models)}, and on it for {self.steps or USUAL_STEPS} steps more"

    def fit(self, images: Images, targets: Images | None = None) -> Self:
        """Find out the noise, take the weights, and train them further on the first image."""
        self.__dict__.pop("nets_", None)
        super().fit(images)
        shown = list(self._shown(self.prepared(as_images(images)[0])))
        net, _ = weights.load(self.taken_, self.where[0])
        net = copy.deepcopy(net).requires_grad_(True)
        self.trained_ = 0
        if shown:
            average = copy.deepcopy(net).requires_grad_(False)
            steps = self.steps or USUAL_STEPS
            schedule = Schedule(steps, learning_rate=self.learning_rate or min(FASTEST, RATE_REACH / steps))
            state = Trainer(net, average, schedule).run(lambda net, step: self._loss(net, shown, step))
            net, self.trained_ = average, state.step
            for value, before in zip(net.parameters(), super()._loaded[0].parameters(), strict=True):
                value.lerp_(before, 1 - SHARE_KEPT)
        self.nets_ = [net.eval().requires_grad_(False)]
        return self

    def _suited(self, image: Image) -> str:
        """Weights that know missing pixels, whatever the noise."""
        return weights.suited(self.samples_, True, self.best)

    def ready(self, image: Image) -> None:
        """Take the weights; only such as know missing pixels can learn from them."""
        super().ready(image)
        if not self.knows_missing:
            raise HushError(
                f"the weights {self.taken_} know no missing pixels, from which finetuned learns: take camera-best"
            )

    @property
    def _loaded(self) -> tuple[nn.Module, Card]:
        net, card = super()._loaded
        return self.__dict__.get("nets_", [net])[0], card

    @property
    def _inputs(self) -> Inputs:
        return self._loaded[1].inputs

    def _shown(self, image: Image) -> Iterator[Array]:
        """What the network sees of some planes, (B, planes, Y, X)."""
        image = middle(image, LEARNING_WINDOW)
        for number, value in enumerate(self.values_):
            ways = self._ways(image, number)
            if not any(way.sigma > 0 for way in ways):
                continue
            views = self._views(image, number)
            prepared = self.prepare(views, ways)
            for k in np.unique(np.linspace(0, len(views) - 1, PLANES_LEARNED).astype(int)):
                ready, sigma = self.stabilised(np.asarray(fill(views[k])[0], np.float32), ways)
                yield prepared.planes(ready, prepared.level(sigma) * value)

    def _loss(self, net: nn.Module, shown: list[Array], step: int) -> Tensor:
        """Squared error at hidden pixels, in units of the level that is told.

        Where photons are few there is less noise than that; errors in units of what there is would teach the dark only.
        """
        rng = np.random.default_rng([self.seed, step])
        patches = [self._hidden(shown[int(rng.integers(len(shown)))], rng) for _ in range(self.batch)]
        x, noisy, where = (
            torch.from_numpy(np.stack(each).astype(np.float32)).to(self.where[0]) for each in zip(*patches, strict=True)
        )
        with body_precision(*self.where):
            y: Tensor = net(x.contiguous(memory_format=memory_format(2)))
        return (where * ((y.float() - noisy) / x[:, self._inputs.at("level")]) ** 2).sum() / where.sum().clip(1)

    def _hidden(self, x: Array, rng: np.random.Generator) -> tuple[Array, Array, Array]:
        """A random patch with pixels hidden; what stood there, and where that is, (1, Y, X)."""
        x = self._cut(x[int(rng.integers(len(x)))], rng)
        mask = next((mask for mask in map(_beside, self.report_.channels) if mask), None)
        where = rng.random(x.shape[1:]) < HIDDEN / risk.footprint(mask).sum()
        gone = risk.with_neighbours(where, mask) if mask else where
        missing = self._inputs.at("missing")
        where &= x[missing][0] == 0
        seen = x.copy()
        seen[0] = np.where(gone, risk.around(x[0], gone), x[0])
        seen[missing] = np.maximum(x[missing], gone)
        return seen, x[:1], where[None]

    def _cut(self, planes: Array, rng: np.random.Generator) -> Array:
        """A part of the planes, of a side that the network takes, turned over by chance."""
        multiple = int(self._loaded[0].multiple)  # type: ignore[arg-type]
        for axis in (1, 2):
            size = planes.shape[axis]
            side = max(multiple, min(self.patch, size) // multiple * multiple)
            if side > size:  # smaller than the network's grid: mirrored beyond its end
                order = np.pad(np.arange(size), (0, side - size), "symmetric")
            else:
                order = np.arange(side) + int(rng.integers(size - side + 1))
            planes = planes.take(order[::-1] if rng.random() < 0.5 else order, axis)
        return planes

    def run_prepared(
        self, image: Image, out: Array | None, done: Report | None, std: Array | None, strength: Strength
    ) -> Result:
        """Denoise an image; ``info`` says how many steps were trained."""
        result = super().run_prepared(image, out, done, std, strength)
        return replace(result, info=result.info | {"steps": getattr(self, "trained_", 0)})


def _beside(noise: ChannelNoise) -> str | None:
    """Neighbours that share some of the noise, which tell of a hidden pixel's, even where it passes for white."""
    down, across = (noise.lags.get(key, 0.0) > BARELY_SHARED for key in ("1,0", "0,1"))
    little = "010,111,010" if down and across else "3x1" if down else "1x3" if across else None
    return noise.mask or little
