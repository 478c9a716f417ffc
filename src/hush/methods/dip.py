"""Deep Image Prior: a network that makes the image out of noise, and is stopped before it makes the image's noise."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from torch import Tensor, nn

from hush import __version__
from hush.core import tiling
from hush.core.device import body_precision, device_of, memory_format, peak_memory_mb, precision_of
from hush.core.errors import HushError
from hush.core.image import Array, Image, as_image
from hush.core.missing import fill
from hush.methods._apply import Work, apply
from hush.methods._base import Denoiser, Images, Report, Result, Strength, as_images, demand
from hush.methods._set_aside import put_back, set_aside, with_contrast
from hush.nets._hourglass import Hourglass
from hush.training.masking import error_at
from hush.training.normalization import Scale, scale_of
from hush.training.trainer import WARMUP, Schedule, State, Trainer

INPUT_RANGE = 0.1  # of the noise that the image is made of: uniform from 0
PLANE_SIDE, OVERLAP = 512, 16  # of a piece that is learned by itself, and how far it reaches into the next
FEWEST_PIXELS = 16  # of an image that can be learned from
SEEDS_APART = 1009  # numbers between the seeds of two seeds' planes


@dataclass(kw_only=True, eq=False)
class DIP(Denoiser):
    """Make the image out of fixed noise by a network that learns it, and stop before it learns its noise as well.

    Deep Image Prior (Ulyanov et al., CVPR 2018): what a convolutional network learns first is a picture. Some pixels
    are masked from the loss, and it stops where the mean of the outputs predicts these best; then it is learned once
    more from all pixels, for as many steps. Every plane is learned by itself, and nothing is kept: another image is
    learned anew.

    Parameters
    ----------
    steps : int
        Training steps of a plane until it is stopped, at most.
    seconds : float or None
        Instead of `steps`: time for the whole image, at most; the first ten steps are timed.
    patience : int
        Stop after so many steps without a better prediction of the masked pixels.
    masked_fraction : float
        Part of the pixels that is masked from the loss.
    refit : bool
        Learn once more from all pixels, for the best number of steps. If not, the mean that was best is the result:
        in half the time, and blurred at the masked pixels.
    maps, depth : int
        Feature maps and levels of the network, see `hush.nets._hourglass`.
    inputs : int
        Channels of the noise that the image is made of.
    jitter : float
        Standard deviation of the noise that is put on that noise, anew in every step; it is between 0 and 0.1.
    smoothing : float
        Memory of the mean of the outputs: so much of it stays in a step.
    learning_rate : float
        Of Adam.
    device, precision : str or None
        Where to compute, and in what the network's body: see `hush.core.device`; None: the best there is.
    tile : int or None
        Side of the pieces in which a larger plane is learned; None: 512.

    Notes
    -----
    Use it to compare with the paper, and for one small image that is unlike any training data. The noise must be
    independent between pixels: where it is not, masked pixels are known by their neighbours, and it stops too late.

    ::

        θ_t :  minimise ‖ m ⊙ ( f_θ(z + ε_t) - y ) ‖²,   x̂_t = s x̂_(t-1) + (1 - s) f_θ(z + ε_t)
        stopped at the t with the least ‖ (1 - m) ⊙ ( x̂_t - y ) ‖²,   then the same with m = 1 for t steps

    z is fixed noise, ε_t the jitter, m is 0 at masked pixels, s is `smoothing`. Raise `maps` for more detail and
    more time. Raise `masked_fraction` where few pixels decide, in images under 100 x 100. Raise `jitter` for stronger
    noise (published: 1/20 for sigma 50 of 255). Lower `learning_rate` where the loss jumps.

    Where it differs from the paper: 32 maps (128), so that 256 x 256 pixels take minutes and not an hour; it stops by
    itself (after a number of steps that the clean image told).

    References
    ----------
    * D. Ulyanov, A. Vedaldi and V. Lempitsky, Deep Image Prior, CVPR 2018.
    * H. Wang et al., Early stopping for Deep Image Prior, TMLR 2023.

    Examples
    --------
    >>> noisy = np.random.default_rng(0).normal(100, 9, (64, 64)).astype(np.float32)
    >>> result = DIP(steps=12, maps=4).fit(noisy).run(noisy)
    >>> result.image.data.shape, result.info["steps"]
    ((64, 64), 12)
    """

    needs: ClassVar[str] = "noisy"
    scope: ClassVar[str] = "image"

    steps: int = 1300
    seconds: float | None = None
    patience: int = 300
    masked_fraction: float = 0.05
    refit: bool = True
    maps: int = 32
    depth: int = 5
    inputs: int = 32
    jitter: float = 1 / 30
    smoothing: float = 0.98
    learning_rate: float = 0.01
    device: str | None = None
    precision: Literal["bfloat16", "float32"] | None = None
    tile: int | None = None

    layout_: tuple[int, int] = field(init=False, repr=False)

    def check(self) -> None:
        """Refuse settings that make no sense, naming what is possible."""
        super().check()
        for name in ("steps", "maps", "inputs", "learning_rate"):
            demand(getattr(self, name) > 0, name, getattr(self, name), "more than 0")
        demand(self.seconds is None or self.seconds > 0, "seconds", self.seconds, "more than 0, or none: steps")
        demand(self.patience > WARMUP, "patience", self.patience, f"more than {WARMUP}")
        demand(0 < self.masked_fraction <= 0.5, "masked_fraction", self.masked_fraction, "more than 0, to 0.5")
        demand(1 <= self.depth <= 6, "depth", self.depth, "1 to 6")
        demand(self.jitter >= 0, "jitter", self.jitter, "0 or more")
        demand(0 <= self.smoothing < 1, "smoothing", self.smoothing, "0 (the last output) to below 1")
        demand(self.tile is None or self.tile > 0, "tile", self.tile, "1 or more, or none")
        if self.ndim == 3:
            raise HushError("dip denoises planes, not volumes: leave --ndim 3 out, or take nlm")

    def expectation(self, images: Sequence[Image], models: int = 1) -> str:
        """Say in a sentence what will be done, and how long it takes."""
        planes = sum(len(list(image.planes(2, self.joint_channels))) for image in images)
        time = f"{self.steps} steps at most for each plane" if self.seconds is None else f"{self.seconds:g} s at most"
        return f"{super().expectation(images, models)}, {planes} plane{'s' * (planes > 1)}: {time}"

    def fit(self, images: Images, targets: Images | None = None) -> Self:
        """Look at what an image is: it is learned when it is denoised.

        Parameters
        ----------
        images : Image or array, or sequence of them
            Of several, the first tells the channels of all.
        targets
            Not used.

        Raises
        ------
        HushError
            When there is no image, or it has too few pixels to learn from.
        """
        self.check()
        given = as_images(images)
        if not given:
            raise HushError("there is no image to learn from")
        if given[0].sizes["Y"] * given[0].sizes["X"] < FEWEST_PIXELS:
            raise HushError("an image of so few pixels cannot be learned from; median and other filters take any")
        self.layout_ = self._layout(given[0])
        return self

    def _layout(self, image: Image) -> tuple[int, int]:
        """Networks of an image, and channels of each."""
        return 1 if self.joint_channels else image.channels, image.samples(self.joint_channels)

    @property
    def sides(self) -> tuple[int, int]:
        """Sides of the pieces that are learned by themselves."""
        return (self.tile or PLANE_SIDE,) * 2

    @property
    def where(self) -> tuple[str, str]:
        """Device, and precision of the network's body."""
        device = device_of(self.device)
        return device, precision_of(device, self.precision, 2)

    # Denoising -------------------------------------------------------------------------------

    def run(
        self,
        image: Image | Array,
        out: Array | None = None,
        done: Report | None = None,
        std: Array | None = None,
        strength: Strength | None = None,
    ) -> Result:
        """Learn an image plane by plane, and denoise it by that; ``done`` is called after every step."""
        self.check()
        if not hasattr(self, "layout_"):
            raise HushError(f"{type(self).__name__} has learned nothing yet: call fit first")
        noisy = as_image(image)
        if self._layout(noisy) != self.layout_:
            known, here = (
                "{} channels of {} samples".format(*layout) for layout in (self.layout_, self._layout(noisy))
            )
            raise HushError(f"fit looked at {known}, and the image has {here}: fit it anew")
        begun = time.perf_counter()
        clear, aside = set_aside(noisy)
        course = _Course(self, clear, done)
        info: dict[str, Any] = {"warnings": []}
        works = [self._work(clear, number, course) for number in range(self.layout_[0])]
        clean = apply(clear, works, self, strength or self.own_strength, out, info)
        info |= self._info(noisy, course.history, time.perf_counter() - begun)
        result = Result(clean.with_meta(hush={"version": __version__, "method": self.method}), None, info)
        if aside is not None:
            put_back(noisy, aside, result)
        with_contrast(noisy, result)
        return result

    def _work(self, image: Image, number: int, course: _Course) -> Work | None:
        """What is done to a piece of one channel; None where there is nothing to remove."""
        planes = [plane for plane in image.planes(2, self.joint_channels) if plane.channel == number]
        views = [plane.view(image.data) for plane in planes]
        try:
            constant = not any(scale_of(views).std)
        except ValueError as error:
            raise HushError(f"nothing to learn from: {error}") from None
        pieces = _measured(views, self.sides)

        def function(piece: Array) -> Array:
            valid = next(pieces)
            return course.learn(piece, valid) if valid.any() else piece

        return None if constant else Work(function, self.sides, OVERLAP, 1)

    def _info(self, image: Image, history: Sequence[State], seconds: float) -> dict[str, Any]:
        device, precision = self.where
        return {
            "method": self.method,
            "settings": self.settings,
            "seed": self.seed,
            "steps": history[0].steps if history else 0,
            "best_steps": [state.best for state in history],
            "seconds": round(seconds, 3),
            "device": device,
            "precision": precision,
            "peak_memory_mb": peak_memory_mb(),
            "axes": image.axes,
            "ndim": self.ndim,
            "loss": [state.losses for state in history],
        }


def _measured(views: Sequence[Array], side: Sequence[int]) -> Iterator[Array]:
    """Pixels that were measured, bool (1, Y, X), of all pieces in the order in which `apply` comes to them."""
    for view in views:
        valid = fill(np.asarray(view))[1]
        every = np.ones((1, *view.shape[1:]), bool) if valid is None else valid
        for tile in tiling.plan(view.shape[1:], side, OVERLAP, 1):
            yield every[(slice(None), *tile.read)]


# Learning a plane --------------------------------------------------------------------------------


class _Steady(Schedule):
    """A schedule of one learning rate: when it will be stopped is not known before."""

    def rate(self, step: int, steps: int | None) -> float:
        """Learning rate of a step."""
        return self.learning_rate


class _Course:
    """All planes of an image, learned one after the other: their steps, progress and histories."""

    def __init__(self, settings: DIP, image: Image, done: Report | None) -> None:
        self.settings, self.done = settings, done
        planes = list(image.planes(2, settings.joint_channels))
        tiles = tiling.plan(planes[0].view(image.data).shape[1:], settings.sides, OVERLAP, 1)
        self.pieces = len(planes) * len(tiles)
        self.times = 2 if settings.refit else 1  # that each is learned
        self.steps = settings.steps if settings.seconds is None else None
        self.history: list[State] = []

    def learn(self, noisy: Array, valid: Array) -> Array:
        """Return what a network makes of values (C, Y, X), of which `valid` were measured."""
        scale = _range(noisy)
        values = scale.normalise(noisy)
        clean, state = self._once(values, valid, self.steps)
        self.steps = state.steps
        if self.settings.refit:
            clean, _ = self._once(values, valid, state.best, every=True)
        self.history.append(state)
        return scale.restore(clean[0].cpu().numpy(), noisy)

    def _once(self, values: Array, valid: Array, steps: int | None, every: bool = False) -> tuple[Tensor, State]:
        """Learn values between 0 and 1 and stop by masked pixels, or, from `every` pixel, after so many steps."""
        settings, number = self.settings, len(self.history)
        device, precision = settings.where
        torch.manual_seed(settings.seed * SEEDS_APART + number)
        net = Hourglass(settings.inputs, len(values), depth=settings.depth, maps=settings.maps).to(device)
        net = net.to(memory_format=memory_format(2))  # type: ignore[call-overload]
        picture = _Picture(settings, values, valid, net.multiple, number, every)
        seconds = (settings.seconds or 0.0) / self.pieces / self.times
        schedule = _Steady(steps, seconds, settings.learning_rate)
        trainer = Trainer(net, copy.deepcopy(net).requires_grad_(False), schedule)

        def loss(net: nn.Module, step: int) -> Tensor:
            with body_precision(device, precision):
                return picture.loss(net, step)

        def progress(step: int, most: int, value: float) -> None:
            trainer.state.stopped = not every and step - picture.best >= settings.patience
            self._report(step, every, self.steps or most)

        state = trainer.run(loss, progress=progress)
        state.best = picture.best
        return picture.clean, state

    def _report(self, step: int, again: bool, most: int) -> None:
        """Tell how many steps of all are done, once it is known how many there are at most."""
        if self.done is not None and most:
            rounds = len(self.history) * self.times + again
            self.done(rounds * most + step, self.pieces * self.times * most)


def _range(values: Array) -> Scale:
    """The least value of each channel and how far the greatest lies beyond it: what is normalised by it is 0 to 1."""
    flat = values.reshape(len(values), -1).astype(np.float64)
    low, high = flat.min(1), flat.max(1)
    return Scale(tuple(low.tolist()), tuple((high - low).tolist())).without_zero()


class _Picture:
    """A plane that is learned: its masked pixels, the mean of the outputs, and which mean predicts those best.

    Attributes
    ----------
    clean : Tensor, shape (1, C, Y, X)
        The best mean.
    best : int
        After how many steps it was that.

    Parameters
    ----------
    every : bool
        Mask no pixel: the last mean is the best.
    """

    def __init__(
        self, settings: DIP, noisy: Array, valid: Array, multiple: int, number: int, every: bool = False
    ) -> None:
        device, _ = settings.where
        rng = torch.Generator().manual_seed(settings.seed * SEEDS_APART + number)
        size = noisy.shape[1:]
        sides = [max(2 * multiple, -(-side // multiple) * multiple) for side in size]
        draw = torch.rand(1, settings.inputs, *sides, generator=rng) * INPUT_RANGE
        self.source = draw.to(device).contiguous(memory_format=memory_format(2))
        self.jitter, self.smoothing, self.every = settings.jitter, settings.smoothing, every
        self.noisy = torch.from_numpy(noisy)[None].to(device)
        measured = torch.from_numpy(valid)[None]
        places = measured.flatten().nonzero()[:, 0]
        places = places[torch.randperm(len(places), generator=rng)]
        masked = torch.zeros(1, 1, *size, dtype=torch.bool)
        masked.view(-1)[places[: 0 if every else max(1, round(settings.masked_fraction * len(places)))]] = True
        self.masked, self.shown = masked.to(device), (measured & ~masked).to(device)
        self.rng = torch.Generator(device).manual_seed(settings.seed * SEEDS_APART + number)
        self.mean = self.clean = self.noisy
        self.error, self.best = float("inf"), 0

    def loss(self, net: nn.Module, step: int) -> Tensor:
        """Return the squared error of an output at the pixels that are shown, and take it into the mean."""
        drawn = torch.randn(self.source.shape, generator=self.rng, device=self.source.device)  # fast where it is dense
        moved = torch.add(self.source, drawn.contiguous(memory_format=memory_format(2)), alpha=self.jitter)
        made = net(moved)[..., : self.noisy.shape[2], : self.noisy.shape[3]]
        self._look(made.detach(), step)
        return error_at(self.shown, made, self.noisy)

    def _look(self, made: Tensor, step: int) -> None:
        """Take an output into the mean, and keep the mean where it predicts the masked pixels best so far."""
        self.mean = torch.lerp(made, self.mean, self.smoothing) if step else made
        error = float(error_at(self.masked, self.mean, self.noisy))
        if error < self.error or self.every:
            self.error, self.best, self.clean = error, step + 1, self.mean
