"""NoiseBreaker: noises of several kinds, told and removed one after the other."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar, Literal, Self

import numpy as np
from torch import nn

from hush import __version__
from hush.core.device import device_of, peak_memory_mb, precision_of
from hush.core.errors import HushError
from hush.core.image import Array, Image, as_image
from hush.core.missing import fill
from hush.methods._agreed_level import agreed
from hush.methods._apply import Work, apply
from hush.methods._base import Denoiser, Images, Report, Result, Strength, as_images, demand, untouched
from hush.methods._gradual import Loop, Trail
from hush.methods._grey_levels import GreyLevels
from hush.methods._new_noise import NewNoise
from hush.methods._set_aside import put_back, set_aside, with_contrast
from hush.pretrained.conditioning import PEAK
from hush.pretrained.noisebreaker import classifier, denoisers
from hush.pretrained.noisebreaker.classes import NoiseClass, named
from hush.pretrained.noisebreaker.classes import classes as shipped

LEAST_PLANE, MIRRORED_TO = 16, 48  # of a plane; sides of smaller ones are mirrored until the classifier sees enough
LOOP_WINDOW, LOOP_PLANES = 512, 4  # side of what the loop looks at, and of how many planes of a channel
GRADUAL_TILE = 1024  # of a tile


@dataclass(kw_only=True, eq=False)
class NoiseBreaker(Denoiser):
    """Find the dominating noise by a classifier, remove it by a network for that noise, and again until it is clean.

    For noises that were applied one after the other: Gaussian, speckle, uniform, lost pixels, photons, of unknown
    levels. ``info["noises"]`` lists what was found. Each channel of C is a case of its own; colours are classified
    together; the planes of a stack have one noise, which four of them tell.

    Parameters
    ----------
    most : int
        Noises that are removed at most.
    classes : str or None
        Which they are, in the order in which they were applied: ``"gaussian:35..55,bernoulli"`` or
        ``"gaussian-strong,bernoulli"``; None: found out.
    soft : bool
        Remove a noise at the level that was found and with which its denoiser agrees, and fill lost pixels first
        wherever they are likely at all; otherwise, as the paper does, what is likeliest, at the middle of its class's
        range.
    net : {"small", "mobilenet"}
        The classifier.
    peak : float or None
        Value of white, in image units; None: 255 of 8 bits, and of other numbers 1, 255 or 65535 where the brightest
        area reaches a third of that, else the brightest area.
    model : str or None
        File with a noise more, which ``hush train --method noisebreaker`` made.
    device, precision : str or None
        Where to compute, and in what a network's body: see `hush.core.device`; None: the best there is.
    tile : int or None
        Side of a tile.

    Notes
    -----
    Use it where several kinds of noise lie over each other and you want to know which.

    ::

        x_0 = y
        η = argmax C(x_k),  x_{k+1} = D_η( x_k, σ_η(x_k) )   until η = clean

    C is the classifier, σ_η the level that it finds, D_η the denoiser of the class. Raise `most` where a mixture has
    more than four noises; lower it where detail is lost.

    References
    ----------
    * F. Lemarchand, E. Nogues and M. Pelcat, NoiseBreaker: gradual image denoising guided by noise analysis, 2020.

    Examples
    --------
    >>> rng, clean = np.random.default_rng(0), np.linspace(50, 200, 96, dtype=np.float32)
    >>> noisy = (clean + rng.normal(0, 9, (96, 96))) * (rng.random((96, 96)) > 0.1)
    >>> [one["class"] for one in NoiseBreaker(most=1).fit(noisy).run(noisy).info["noises"]]
    ['bernoulli']
    """

    needs: ClassVar[str] = "noisy"
    scope: ClassVar[str] = "image"

    most: int = 4
    classes: str | None = None
    soft: bool = True
    net: Literal["small", "mobilenet"] = "small"
    peak: float | None = None
    model: str | None = None
    device: str | None = None
    precision: Literal["bfloat16", "float32"] | None = None
    tile: int | None = None

    trails_: list[Trail] = field(init=False, repr=False)
    levels_: list[GreyLevels] = field(init=False, repr=False)

    def check(self) -> None:
        """Refuse settings that make no sense, naming what is possible."""
        super().check()
        demand(self.most > 0, "most", self.most, "1 or more")
        demand(self.peak is None or self.peak > 0, "peak", self.peak, "more than 0, or none: found out")
        demand(self.tile is None or self.tile > 0, "tile", self.tile, "1 or more, or none")
        demand(self.model is None or self.net == "small", "net", self.net, "small, where a model is given")
        if self.ndim == 3:
            raise HushError("noisebreaker denoises planes, not volumes: leave --ndim 3 out, or take nlm")

    def expectation(self, images: Sequence[Image], models: int = 1) -> str:
        """Say in a sentence what will be done."""
        which = f"the noises {self.classes}" if self.classes else f"at most {self.most} noises"
        return f"{which}, one after the other, on {len(images)} image{'s' * (len(images) > 1)}"

    # Finding out -----------------------------------------------------------------------------

    def fit(self, images: Images, targets: Images | None = None) -> Self:
        """Find out which noises an image has.

        Parameters
        ----------
        images : Image or array, or sequence of them
            Of several, the first tells the noises of all.
        targets
            Not used.

        Raises
        ------
        HushError
            When there is no image, or it is too small.
        """
        self.check()
        given = as_images(images)
        if not given:
            raise HushError("there is no image to look at")
        self.new_ = None if self.model is None else NewNoise.read(self.model)
        table = [*shipped(), *([] if self.new_ is None else [self.new_.noise])]
        told = None if self.classes is None else [one for one in named(self.classes, table) if one.noise is not None]
        loop = Loop(table, self._look, self._remove, self.soft, partial(agreed, table, self._remove))
        image = set_aside(given[0])[0]
        peak = PEAK if self.peak is None and given[0].data.dtype == np.uint8 else self.peak
        self.levels_, self.trails_ = [], []
        for number in range(self._networks(image)):
            views = [_finite(view) for view in self._looked_at(image, number)]
            self.levels_.append(GreyLevels.of(views, peak))
            windows = [_large_enough(self.levels_[-1].into(view)) for view in views]
            if all(window.min() == window.max() for window in windows):
                trail = Trail([], windows[:1], "clean")
            else:
                trail = loop.blind(windows, self.most) if told is None else loop.told(windows, told)
            self.trails_.append(trail)
        return self

    def _networks(self, image: Image) -> int:
        return 1 if self.joint_channels else image.channels

    def _looked_at(self, image: Image, number: int) -> list[Array]:
        """The middle of some planes (C, Y, X) of a channel, the middle plane first."""
        height, width = image.sizes["Y"], image.sizes["X"]
        if min(height, width) < LEAST_PLANE:
            raise HushError(
                f"an image of {height} x {width} pixels is too small to tell its noise: noisebreaker takes "
                f"{LEAST_PLANE} x {LEAST_PLANE} and more; other methods take any"
            )
        tops = [max(0, (size - LOOP_WINDOW) // 2) for size in (height, width)]
        window = image.crop(*(slice(top, top + LOOP_WINDOW) for top in tops))
        planes = [plane for plane in window.planes(2, self.joint_channels) if plane.channel == number]
        some = np.unique(np.linspace(0, len(planes) - 1, LOOP_PLANES).astype(int)).tolist()
        some.sort(key=lambda k: abs(2 * k - len(planes) + 1))
        return [planes[k].view(window.data) for k in some]

    def _look(self, planes: Sequence[Array]) -> classifier.Verdict:
        if self.new_ is None:
            return classifier.classify(planes, self.net)
        return classifier.classify(planes, self.net, self.new_.head, [*shipped(), self.new_.noise])

    def _remove(self, values: Array, noise: NoiseClass, level: float) -> Array:
        """Grey levels (C, Y, X) without a noise."""
        if self.new_ is not None and noise == self.new_.noise:
            return self.new_.remove(values, level, *self.where)
        assert noise.denoiser is not None
        device, precision = self.where
        return denoisers.remove(values, noise.denoiser, level, device=device, precision=precision)

    @property
    def where(self) -> tuple[str, str]:
        """Device, and precision of the networks' bodies."""
        device = device_of(self.device)
        return device, precision_of(device, self.precision, 2)

    # Removing --------------------------------------------------------------------------------

    def run(
        self,
        image: Image | Array,
        out: Array | None = None,
        done: Report | None = None,
        std: Array | None = None,
        strength: Strength | None = None,
    ) -> Result:
        """Remove the noises that `fit` found; ``info`` has ``noises`` and ``ended``."""
        self.check()
        if not hasattr(self, "trails_"):
            raise HushError(f"{type(self).__name__} has learned nothing yet: call fit first")
        noisy = as_image(image)
        if self._networks(noisy) != len(self.trails_):
            raise HushError(f"fit looked at {len(self.trails_)} channels, and the image has {noisy.channels}")
        begun = time.perf_counter()
        if any(trail.steps for trail in self.trails_):
            result = self._removed(noisy, out, done, strength or self.own_strength)
        else:
            result = untouched(self, noisy, out)
        result.image = result.image.with_meta(hush={"version": __version__, "method": self.method})
        result.info |= self._info(noisy, time.perf_counter() - begun)
        return result

    def _removed(self, noisy: Image, out: Array | None, done: Report | None, strength: Strength) -> Result:
        clear, aside = set_aside(noisy)
        clean = np.empty(noisy.data.shape, noisy.data.dtype) if out is None else out
        works = [self._work(clear, number) for number in range(len(self.trails_))]
        info: dict[str, Any] = {"warnings": []}
        result = Result(apply(clear, works, self, strength, clean, info, done), None, info)
        if aside is not None:
            put_back(noisy, aside, result, outliers=not self._lost)
        with_contrast(noisy, result)
        return result

    def _work(self, image: Image, number: int) -> Work | None:
        """What is done to a piece of one channel: all steps; nothing, where none was found."""
        trail, levels = self.trails_[number], self.levels_[number]
        if not trail.steps:
            planes = [plane for plane in image.planes(2, self.joint_channels) if plane.channel == number]
            constant = all((view == view.flat[0]).all() for view in (plane.view(image.data) for plane in planes))
            return None if constant else Work(_same, (GRADUAL_TILE,) * 2, 0, 1)
        nets: list[Any] = [self._net(step.choice.noise) for step in trail.steps]
        margin, grid = sum(int(net.margin) for net in nets), max(int(net.multiple) for net in nets)
        return Work(partial(self._steps, trail, levels), (self.tile or GRADUAL_TILE,) * 2, margin, grid)

    def _net(self, noise: NoiseClass) -> nn.Module:
        """The network for a class of noise."""
        if self.new_ is not None and noise == self.new_.noise:
            return self.new_.net
        return denoisers.load(str(noise.denoiser), self.where[0])

    def _steps(self, trail: Trail, levels: GreyLevels, piece: Array) -> Array:
        values = levels.into(piece)
        for step in trail.steps:
            values = self._remove(values, step.choice.noise, step.choice.level)
        return levels.back(values)

    @property
    def _lost(self) -> bool:
        """Whether pixels were lost: then single ones far beyond all others are noise."""
        return any(step.choice.noise.denoiser == "bernoulli" for trail in self.trails_ for step in trail.steps)

    def _info(self, image: Image, seconds: float) -> dict[str, Any]:
        noises = [
            {
                **({"channel": number} if len(self.trails_) > 1 else {}),
                "class": step.choice.noise.name,
                "certainty": round(step.choice.certainty, 3),
                "parameter": step.choice.noise.level,
                "level": round(step.choice.level, 3),
                "share": round(share, 3),
            }
            for number, trail in enumerate(self.trails_)
            for step, share in zip(trail.steps, trail.shares, strict=True)
        ]
        return {
            "method": self.method,
            "settings": self.settings,
            "seed": self.seed,
            "steps": 0,
            "seconds": round(seconds, 3),
            "device": self.where[0],
            "precision": self.where[1],
            "peak_memory_mb": peak_memory_mb(),
            "axes": image.axes,
            "ndim": self.ndim,
            "loss": [],
            "noises": noises,
            "ended": [trail.ended for trail in self.trails_],
            "stages": [self.levels_[0].back(stage) for stage in self.trails_[0].stages],
        }


def _same(piece: Array) -> Array:
    return piece


def _finite(view: Array) -> Array:
    """A view without missing pixels: what is filled in has no noise, but does not spread."""
    return fill(np.asarray(view))[0]


def _large_enough(values: Array) -> Array:
    """Values (C, Y, X), mirrored until the classifier sees enough of them."""
    more = [(0, 0), *((0, max(0, MIRRORED_TO - size)) for size in values.shape[1:])]
    return np.pad(values, more, "symmetric")
