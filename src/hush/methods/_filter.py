"""Filter: what all filters share that learn nothing but the noise level."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np

from hush import __version__
from hush.core.device import cores, peak_memory_mb
from hush.core.errors import HushError
from hush.core.image import Array, Image
from hush.core.missing import fill
from hush.core.pieces import Need
from hush.estimation.report import ChannelNoise, NoiseReport
from hush.methods._apply import FROM_EDGE_TO_EDGE, Work, apply
from hush.methods._base import Images, Report, Result, Strength, as_images, demand, spread_of
from hush.methods._noise_aware import PreparedInput
from hush.quality import risk
from hush.vst.stabilizer import Stabilizer

TILE_SIDE = {2: 256, 3: 64}  # of a tile
BEYOND_CHANCE = 5.0  # standard deviations: of noise one in two million is further off
BOUNDED = ("gaussian", "poisson", "poisson_gaussian", "rician")  # kinds that have no tails once stabilised
TRIAL_WINDOW = 256  # side of the window on which a parameter is chosen


@dataclass(kw_only=True, eq=False)
class Filter(PreparedInput):
    """A filter for white Gaussian noise, and how it serves for other noise: stabilised, filtered, brought back.

    A method answers `filter` and says in class attributes what its parameter is.

    Parameters
    ----------
    sigma : float or None
        Standard deviation of white Gaussian noise, in image units; None: found out.
    stabilise : bool
        Make the variance the same at all brightnesses first, where it is not.
    calibrate : bool
        Choose the method's parameter by hiding pixels (J-invariant calibration, Batson and Royer, ICML 2019)
        instead of by its formula.
    tile : int or None
        Side of a tile.
    """

    volumes: ClassVar[bool] = True  # whether it takes (Z, Y, X)
    whole: ClassVar[bool] = False  # whether it must see all of a plane at once
    parameter: ClassVar[str] = ""  # the setting that `calibrate` chooses
    options: ClassVar[tuple[float, ...]] = ()  # its possible values
    grid: ClassVar[int] = 1  # on which tiles begin
    usual: ClassVar[float | None] = None  # its value by default; None: chosen by SURE for the noise that was found

    sigma: float | None = None
    stabilise: bool = True
    calibrate: bool = False
    tile: int | None = None

    prepared_: list[Any] | None = field(default=None, init=False, repr=False)  # of a copy that is frozen

    def check(self) -> None:
        """Refuse settings that make no sense, naming what is possible."""
        super().check()
        demand(self.sigma is None or self.sigma > 0, "sigma", self.sigma, "more than 0, or none: found out")
        demand(self.tile is None or self.tile > 0, "tile", self.tile, "1 or more")
        if self.ndim == 3 and not self.volumes:
            raise HushError(f"{self.method} filters planes, not volumes: leave --ndim 3 out, or take nlm")

    def filter(self, values: Array, sigma: Array, value: float) -> Array:
        """Remove white Gaussian noise.

        Parameters
        ----------
        values : array of float32, shape (C, [Z,] Y, X)
        sigma : array, shape (C,)
            Standard deviation of the noise of each channel.
        value : float
            Of the method's parameter.
        """
        raise TypeError(f"{type(self).__name__} has no filter")

    def margin(self, value: float) -> int:
        """Return how far the filter looks, in pixels."""
        raise TypeError(f"{type(self).__name__} has no margin")

    def fit(self, images: Images, targets: Images | None = None) -> Self:
        """Find out the noise of an image, and the parameter, where it is not given.

        Parameters
        ----------
        images : Image or array, or sequence of them
            The noisy image; of several, the first tells the noise of all.
        targets
            Not used.
        """
        self.check()
        given = as_images(images)
        if not given:
            raise HushError("there is no image to look at")
        image, *_ = self.look_and_prepare(given[:1])
        self.ready(image)
        self.looked_at_ = image.channels, image.samples()
        self.values_ = [self._value(image, number) for number in range(self._works(image))]
        return self

    def analysed(self, clear: Image) -> NoiseReport:
        """Find out the noise of an image, or take it from the settings; `sigma` goes before `noise`."""
        if self.sigma is None:
            return super().analysed(clear)
        noise = f"gaussian:sigma={self.sigma!r}"
        return type(self)(**{**self.settings, "noise": noise, "sigma": None}).analysed(clear)

    def ready(self, image: Image) -> None:
        """Do what a method does once the noise is known: nothing, for most."""

    def run_prepared(
        self, image: Image, out: Array | None, done: Report | None, std: Array | None, strength: Strength
    ) -> Result:
        """Denoise an image tile by tile; see `hush.methods._base.Denoiser.run`."""
        self.check()
        (channels, colours), here = self.looked_at_, (image.channels, image.samples())
        if (channels, colours) != here:
            was = f"{channels} channels of {colours} colours"
            raise HushError(f"fit looked at {was}, and the image has {here[0]} of {here[1]}: fit it anew")
        begun = time.perf_counter()
        info: dict[str, Any] = {"warnings": []}
        std = std if self.uncertain else None
        works = [self._work(image, number, std is not None) for number in range(len(self.values_))]
        clean = apply(image, works, self, strength, out, info, done, std)
        info |= {
            "method": self.method,
            "settings": self.settings | ({self.parameter: self.values_[0]} if self.parameter else {}),
            "seed": self.seed,
            "steps": 0,
            "seconds": round(time.perf_counter() - begun, 3),
            "device": self.where[0],
            "precision": self.where[1],
            "peak_memory_mb": peak_memory_mb(),
            "axes": image.axes,
            "ndim": self.ndim,
            "verdict": self.report_.verdict,
            "loss": [],
        }
        note = {"version": __version__, "method": self.method}
        return Result(clean.with_meta(hush=note), spread_of(image, std, note), info)

    def need_prepared(self, image: Image) -> Need:
        """Say what the filter needs to work on pieces of an image."""
        margin = max(map(self.margin, self.values_)) + 1
        return Need(margin, self.grid, self.tile or self.side, self.pixel_bytes, self.workers, self.whole)

    def freeze_prepared(self, shown: Image) -> None:
        """Find out what the filter must know of all planes."""
        numbers = range(len(self.values_))
        self.prepared_ = [self._prepared_for(shown, number, self._ways(shown, number)) for number in numbers]
        self.tile = FROM_EDGE_TO_EDGE

    def _prepared_for(self, image: Image, number: int, ways: Sequence[Stabilizer]) -> Any:
        if self.prepared_ is not None:
            return self.prepared_[number]
        return self.prepare(self._views(image, number), ways)

    def _works(self, image: Image) -> int:
        return 1 if self.joint_channels else image.channels

    def _noises(self, image: Image, number: int) -> Sequence[ChannelNoise]:
        samples = image.samples(self.joint_channels)
        found = self.report_.channels
        return found if self.joint_channels else found[number * samples : (number + 1) * samples]

    def _views(self, image: Image, number: int) -> list[Array]:
        planes = image.planes(self.ndim, self.joint_channels)
        return [plane.view(image.data) for plane in planes if plane.channel == number]

    def _ways(self, image: Image, number: int) -> list[Stabilizer]:
        return [Stabilizer(noise, self.stabilise) for noise in self._noises(image, number)]

    def _work(self, image: Image, number: int, spread: bool) -> Work | None:
        """What is done to a piece of one channel; `spread`: also its standard deviation."""
        ways = self._ways(image, number)
        if not any(way.sigma > 0 or way.noise.impulse_fraction for way in ways):
            return None
        prepared = self._prepared_for(image, number, ways)
        value = self.values_[number]

        def function(piece: Array) -> Array | tuple[Array, ...]:
            piece = np.asarray(piece, np.float32)  # differences of whole numbers without a sign would come round
            ready, sigma = self.stabilised(piece, ways)
            smooth = self.filter_prepared(ready, sigma, value, prepared)
            clean = np.stack([way.inverse(plane) for way, plane in zip(ways, smooth, strict=True)])
            clean = np.where(self._signal(piece, ready, smooth, sigma, ways), piece, clean)
            if not spread:
                return clean
            wide = self.deviation(ready, sigma, value, prepared)
            pairs = zip(ways, smooth, wide, strict=True)
            return clean, np.stack([(way.inverse(y + s) - way.inverse(y - s)) / 2 for way, y, s in pairs])

        side = (self.tile or self.side,) * self.ndim
        if self.whole:
            side = self._views(image, number)[0].shape[1:]
        return Work(function, side, self.margin(value) + 1, self.grid, self.workers, alone=self.alone, cores=self.cores)

    def _signal(self, piece: Array, ready: Array, smooth: Array, sigma: Array, ways: Sequence[Stabilizer]) -> Array:
        """Pixels that stay as they were: points that may be the picture's, and what is too far off to be noise."""
        stays = np.zeros(piece.shape, bool)
        if self.blind:
            return stays
        for stay, way, before, one, clean, level in zip(stays, ways, piece, ready, smooth, sigma, strict=True):
            if way.noise.impulses_stay:
                stay |= way.repair(before) != before
            elif way.noise.impulse_fraction:  # what is far off is an impulse, and is to go
                continue
            if way.noise.kind in BOUNDED:
                stay |= np.abs(one - clean) > BEYOND_CHANCE * level
        return stays

    @property
    def where(self) -> tuple[str, str]:
        """Device and precision of the filter."""
        return "cpu", "float32"

    @property
    def knows_missing(self) -> bool:
        """Whether `filter_trial` takes NaN for values that are missing."""
        return False

    @property
    def side(self) -> int:
        """Side of a tile, where none is set."""
        return TILE_SIDE[self.ndim]

    @property
    def pixel_bytes(self) -> int:
        """Bytes of memory for a pixel of a tile, roughly."""
        return 160

    @property
    def workers(self) -> int:
        """Tiles that are filtered at once."""
        return cores()

    @property
    def alone(self) -> Callable[[], Any] | None:
        """What keeps a thread to one core, for a filter that uses several by itself; see `hush.methods._apply.Work`."""
        return None

    @property
    def cores(self) -> int:
        """How many cores such a filter uses."""
        return 1

    def prepare(self, views: Sequence[Array], ways: Sequence[Stabilizer]) -> Any:
        """Return what a filter must know of all planes before they are cut into tiles."""
        return None

    def stabilised(self, piece: Array, ways: Sequence[Stabilizer]) -> tuple[Array, Array]:
        """Stabilise a piece of shape (C, [Z,] Y, X), and say its channels' noise."""
        repaired = [way.repair(plane) for way, plane in zip(ways, piece, strict=True)]
        ready = np.stack([way.forward(plane) for way, plane in zip(ways, repaired, strict=True)])
        return ready.astype(np.float32), np.array([max(way.sigma, 1e-12) for way in ways])

    def filter_prepared(self, values: Array, sigma: Array, value: float, prepared: Any) -> Array:
        """Call `filter`; a method that needs what `prepare` gave answers this one instead."""
        return self.filter(values, sigma, value)

    def filter_trial(self, values: Array, sigma: Array, value: float, prepared: Any) -> Array:
        """Filter a window for which a parameter is tried; a method whose choice can be cheaper answers this one."""
        return self.filter_prepared(values, sigma, value, prepared)

    def deviation(self, values: Array, sigma: Array, value: float, prepared: Any) -> Array:
        """Return the standard deviation of what `filter_prepared` gives; a method that is `uncertain` answers this."""
        raise TypeError(f"{type(self).__name__} has no deviation")

    def _value(self, image: Image, number: int) -> float:
        """The parameter: as set, by formula, by SURE, or by hidden pixels."""
        given = getattr(self, self.parameter) if self.parameter else 0.0
        if given is not None:
            return float(given)
        if self.usual is not None and not self.calibrate:
            return self.usual
        if not any(way.sigma > 0 for way in self._ways(image, number)):
            return self.options[0] if self.usual is None else self.usual
        return self.choose(*self._window(image, number))

    def _window(self, image: Image, number: int) -> tuple[Array, Array, Any, Sequence[Stabilizer]]:
        """The middle of a channel's middle plane, stabilised; its noise; what `prepare` gives; and its stabilisers."""
        ways = self._ways(image, number)
        views = self._views(image, number)
        view = np.asarray(fill(views[len(views) // 2])[0], np.float32)
        middle = tuple(
            slice(max(0, size // 2 - TRIAL_WINDOW // 2), size // 2 + TRIAL_WINDOW // 2) for size in view.shape[1:]
        )
        return *self.stabilised(view[(slice(None), *middle)], ways), self.prepare(views, ways), ways

    def choose(self, ready: Array, sigma: Array, prepared: Any, ways: Sequence[Stabilizer]) -> float:
        """Choose the parameter on a window: by hidden pixels with `calibrate`, else by Stein's estimate."""

        def risk_of(value: float) -> float:
            def function(values: Array) -> Array:
                return self.filter_trial(values, sigma, value, prepared)

            if self.calibrate:
                mask, told = next((way.noise.mask for way in ways if way.noise.mask), None), self.knows_missing
                return risk.hidden(function, ready, sigma, mask=mask, seed=self.seed, told=told).value
            return risk.sure(function, ready, sigma, seed=self.seed).value

        return min(self.options, key=risk_of)
