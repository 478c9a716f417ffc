"""Pretrained: the network that comes with hush, where the noise is made Gaussian and of one level first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor, nn

from hush.core.block_means import block_means
from hush.core.device import body_precision, device_of, memory_format, precision_of
from hush.core.errors import HushError
from hush.core.image import Array, Image
from hush.core.missing import fill
from hush.core.tiling import windows
from hush.estimation.camera_pipeline import eight_bits
from hush.estimation.correlation import like
from hush.estimation.report import ChannelNoise
from hush.methods._apply import mean_over_symmetries
from hush.methods._base import Report, Result, Strength, demand
from hush.methods._filter import Filter
from hush.methods._grey_levels import GreyLevels
from hush.methods._mosaic import MosaicConditioning, is_mosaic
from hush.nets._parts import pad_end
from hush.pretrained import weights
from hush.pretrained.card import Card
from hush.pretrained.conditioning import PEAK, Conditioning, dark, filled, noisy_where, waves
from hush.quality import risk
from hush.quality.estimate import middle
from hush.vst.stabilizer import Stabilizer

# share of its deviation that noise lacks where photons are few; share of such pixels that counts
DEFICIT, DEFICIT_SHARE = 0.1, 0.02
MOST_SCALE = 1.6  # multiple of a level that was found; only one that was said can be further off
FULL_NOISE = 0.05  # share of pixels that must have all their noise: of fewer nothing is concluded
NEAR_ONE = 0.1  # departure of the level that is none
NETWORK_TILE = 1024  # of a tile
GAUGED, TOLD_MULTIPLE = 1024, 1.25  # side of the window in which a gauge looks; multiple of what it finds that is told
LEAST_GAUGED = 64  # least side of what is looked at in means
MOST_OFF = 0.8  # by how much, as a logarithm, a gauge may be off: beyond, the picture is unlike those that it knows
# pixels over which the deviation is smoothed; smallest share of the noise's variance
DEVIATION_BLUR, LEAST_VARIANCE_SHARE = 1.0, 1e-3


@dataclass(kw_only=True, eq=False)
class Pretrained(Filter):
    """Denoise with weights that were trained beforehand on clean images: nothing is learned from this one.

    The noise is stabilised, so that it is Gaussian and of one level, on which the network is conditioned. Since an
    analysis may be wrong, that level is multiplied where two estimates agree that it should be: how well masked pixels
    are predicted, and the self-consistent level (`hush.quality.risk.consistent`). The first leans to strong filters
    where there is texture, the second to weak ones where the noise is correlated and the correlation unknown. Where it
    is known, and the level was estimated too high, the second is right by itself.

    Parameters
    ----------
    scale : float or None
        Multiple of the noise's level that the network is told; None: chosen.
    calibrate : bool
        Choose it; otherwise it is 1.
    weights : str or None
        Name of shipped or cached weights, see ``hush weights``; None: by the noise and the colours of the image.
        Some are told nothing of the noise: for colour photographs from black, 0, to white, as a camera or a converter
        of raw files stores them, whose noise has been changed beyond what an analysis can say. They may find one level
        themselves: of these `scale` is that level, where white is 255.
    best : bool
        Where weights are taken by the noise: those of more arithmetic, if there are any for it.
    device, precision : str or None
        Where to compute, and in what the network's body: see `hush.core.device`; None: the best there is.
    tta : bool
        Mean over turns and flips of the image.
    turns : int
        Over how many of them, 8 at most. Two, the image and its half turn, bring more than half of what eight do.

    Notes
    -----
    Use it for a result in seconds with a map of the uncertainty, where `auto` would look at other methods as well.

    ::

        x̂ = T⁻¹( f_θ(T(y), s σ) )

    T stabilizes the variance, T⁻¹ is its unbiased inverse, f_θ the network, σ the noise level that it is conditioned
    on, s the `scale`. Raise `scale` where noise is left, lower it where detail is lost. Raise `turns` for a few
    hundredths of a decibel, lower it for time.

    References
    ----------
    * K. Zhang, W. Zuo and L. Zhang, FFDNet, IEEE TIP 2018.
    * M. Mäkitalo and A. Foi, Optimal inversion of the generalized Anscombe transformation, IEEE TIP 2013.

    Examples
    --------
    >>> noisy = np.random.default_rng(0).normal(100, 9, (64, 64)).astype(np.float32)
    >>> bool(Pretrained(scale=1.0).fit(noisy).denoise(noisy).data.std() < noisy.std() / 2)
    True
    """

    needs: ClassVar[str] = "noisy"
    scope: ClassVar[str] = "image"

    volumes: ClassVar[bool] = False
    parameter: ClassVar[str] = "scale"
    usual: ClassVar[float | None] = 1.0
    options: ClassVar[tuple[float, ...]] = (0.5, 0.65, 0.8, 0.9, 1.0, 1.15, 1.35, 1.6, 2.0, 2.5)

    scale: float | None = None
    calibrate: bool = True
    weights: str | None = None
    best: bool = False
    device: str | None = None
    precision: Literal["bfloat16", "float32"] | None = None
    tta: bool = False
    turns: int = 8

    def check(self) -> None:
        """Refuse settings that make no sense, naming what is possible."""
        super().check()
        demand(self.scale is None or self.scale > 0, "scale", self.scale, "more than 0, or none: chosen")
        demand(1 <= self.turns <= 8, "turns", self.turns, "1 to 8")

    def expectation(self, images: Sequence[Image], models: int = 1) -> str:
        """Say in a sentence what will be done."""
        which = f"the weights {self.weights}" if self.weights else "weights"
        return f"{which}, trained beforehand, on {len(images)} image{'s' * (len(images) > 1)}"

    def ready(self, image: Image) -> None:
        """Take the weights for the colours and the noise of an image."""
        self.samples_ = image.samples()
        self.mosaic_ = self.joint_channels and is_mosaic(image)
        self.own_: list[risk.Consistent | None] = []
        self.levels_ = self._levels(image)
        self.surely_: float | None = None  # the level of noise that a gauge is sure of: a deviation below what it finds
        self.taken_ = self.weights or self._suited(image)
        known, here = weights.card(self.taken_).channels, image.samples(self.joint_channels)
        if known not in (1, here):
            raise HushError(
                f"the weights {self.taken_} are for {known} colours a pixel, and this image has {here}: "
                "leave them out, and others are taken"
            )

    def _levels(self, image: Image) -> GreyLevels:
        """What is black and white in an image, for weights that are told nothing else."""
        if not self.blind:
            return GreyLevels()
        window = middle(image, GAUGED)
        known = np.asarray(window.data, np.float32)
        known = known[np.isfinite(known)]
        return GreyLevels() if not known.size or eight_bits(known) else GreyLevels.of(self._views(window, 0))

    def _suited(self, image: Image) -> str:
        """The name of the weights for the noise of an image."""
        camera = False
        for number in range(self._works(image)):
            ways = self._ways(image, number)
            shares = [_low_count(window, ways) for window in windows(self._views(image, number)[0])]
            camera |= float(np.mean(shares)) > DEFICIT_SHARE or not all(way.noise.white for way in ways)
        return weights.suited(self.samples_, camera, self.best)

    @property
    def blind(self) -> bool:
        """Whether its weights are told nothing of what an analysis finds of the noise."""
        return self.weights is not None and weights.card(self.weights).blind

    @property
    def level_factors(self) -> Sequence[float]:
        """Multiples of the estimated noise level that the network is given."""
        return self.values_

    @property
    def self_consistent(self) -> Sequence[risk.Consistent | None]:
        """Multiples of that level at which the network's estimate explains the residual; None: not measured."""
        return self.own_

    @property
    def weights_used(self) -> str:
        """Name of the weights."""
        return getattr(self, "taken_", "")

    @property
    def label(self) -> str:
        """The weights that were asked for, or the method's name."""
        return self.weights or self.method

    @property
    def uncertain(self) -> bool:
        """Whether it gives a per-pixel standard deviation: not where its weights are blind."""
        return not self.blind

    @property
    def grid(self) -> int:  # type: ignore[override]
        """The pooling grid of the network."""
        return int(self._loaded[0].multiple)  # type: ignore[arg-type]

    @property
    def where(self) -> tuple[str, str]:
        """Device and precision of the network's body."""
        device = device_of(self.device)
        return device, precision_of(device, self.precision, 2)

    @property
    def side(self) -> int:
        """Side of a tile: large, since the network looks far."""
        return NETWORK_TILE

    @property
    def pixel_bytes(self) -> int:
        """Bytes of memory for a pixel of a tile, roughly."""
        return 400

    @property
    def workers(self) -> int:
        """One tile after the other: the network itself uses all cores."""
        return 1

    @property
    def alone(self) -> Callable[[], Any] | None:
        """On the CPU a thread is kept to one core: the result is the same to the bit."""
        return partial(torch.set_num_threads, 1) if self.where[0] == "cpu" else None

    @property
    def cores(self) -> int:
        """How many cores PyTorch uses."""
        return torch.get_num_threads()

    def run_prepared(
        self, image: Image, out: Array | None, done: Report | None, std: Array | None, strength: Strength
    ) -> Result:
        """Denoise an image; see `hush.methods._base.Denoiser.run`."""
        cores = torch.get_num_threads()
        try:
            return super().run_prepared(image, out, done, std, strength)
        finally:
            torch.set_num_threads(cores)  # threads that are kept to one core change what new threads begin with

    def margin(self, value: float) -> int:
        """How far the network looks, and the smoothing of the deviation."""
        return int(self._loaded[0].margin) + int(4 * DEVIATION_BLUR)  # type: ignore[arg-type]

    @property
    def _loaded(self) -> tuple[nn.Module, Card]:
        return weights.load(self.taken_, device_of(self.device))

    # Applying ------------------------------------------------------------------------------------

    def _ways(self, image: Image, number: int) -> list[Stabilizer]:
        return [untold(self.levels_.unit)] * self.samples_ if self.blind else super()._ways(image, number)

    def prepare(self, views: Sequence[Array], ways: Sequence[Stabilizer]) -> Conditioning:
        """Look at some planes of a channel: how they are to be shown."""
        if self.blind:
            return Conditioning.untold(ways, self._loaded[1], self.levels_.black, self.levels_.white)
        if self.mosaic_ and self._loaded[1].channels == 1:
            return MosaicConditioning.of(views, ways, self._loaded[1], True)
        return Conditioning.of(views, ways, self._loaded[1], self.samples_ > 1 and not self.joint_channels)

    def choose(self, ready: Array, sigma: Array, prepared: Conditioning, ways: Sequence[Stabilizer]) -> float:
        """Choose the multiple of the level: the nearest to one between two estimates."""
        impulses = all(way.noise.kind == "none" for way in ways)  # and nothing else: what is left is no noise's level
        if self.blind or impulses:
            return 1.0
        whole, _ = filled(ready)
        where = noisy_where(whole, ways)
        if where.mean() < FULL_NOISE:
            self.own_.append(None)
            return 1.0
        real = sigma.reshape(-1, 1, 1) * (1 - dark(whole, ways)).clip(0.05)
        found = risk.consistent(
            lambda values, scale: self.filter_trial(values, sigma, scale, prepared),
            whole,
            (real * like(ready.shape, prepared.lags, self.seed)).astype(np.float32),
            where,
        )
        self.own_.append(found)
        own = found.factor
        if abs(own - 1) < NEAR_ONE:
            return 1.0
        least, most = _possible(ways)
        if own < 1 and self.knows_missing and not all(way.noise.white for way in ways):
            return max(own, least)  # given the correlation it is right, and what was found holds texture
        hidden = super().choose(ready, sigma, prepared, ways)
        low, high = sorted((hidden, own))
        most = min(most, self.options[-1] if any(way.noise.given for way in ways) else MOST_SCALE)
        return float(np.clip(np.clip(1.0, low, high), least, most))

    def _value(self, image: Image, number: int) -> float:
        """The scale; of weights with a gauge the level, of 255, somewhat above the one that it finds.

        A network that is told too little leaves noise, one that is told a little too much loses next to nothing. Where
        a gauge is unsure, it is asked about means of 2 x 2 pixels: noise that is too strong for it, as in the dark, is
        one that it knows in them.
        """
        if self.scale is not None or not (self.blind and self._loaded[1].finds_level):
            return super()._value(image, number)
        views = self._views(image, number)
        view = np.asarray(fill(views[len(views) // 2])[0], np.float32)
        window = tuple(slice(max(0, size // 2 - GAUGED // 2), size // 2 + GAUGED // 2) for size in view.shape[1:])
        seen = view[(slice(None), *window)]
        level, off = self._gauged(seen)
        if off > MOST_OFF and min(seen.shape[1:]) >= LEAST_GAUGED:
            level, off = self._gauged(block_means(seen, 2))
            level /= self._left_in_means()
        self.surely_ = level * float(np.exp(-off)) if off <= MOST_OFF else 0.0
        return level * TOLD_MULTIPLE

    def _gauged(self, seen: Array) -> tuple[float, float]:
        """The level, of 255, that a gauge finds in (C, Y, X), and by how much, as a logarithm, it may be off."""
        x = self._tensor((self.levels_.into(seen) / np.float32(PEAK) - np.float32(0.5))[None])
        with torch.inference_mode():
            level, off = (float(one) for one in self._loaded[0].gauge(x))  # type: ignore[operator]
        return PEAK * float(np.exp(level)), float(np.exp(off))

    def _left_in_means(self) -> float:
        """The share of the noise's level that means of 2 x 2 pixels have, by the correlation that the analysis found.

        ::

            (1 + ρ01 + ρ10 + ρ11)^(1/2) / 2
        """
        found = [[one.lags.get(key, 0.0) for key in ("0,1", "1,0", "1,1")] for one in self.report_.channels]
        return float(np.clip(1 + np.mean(found, 0).sum(), 1.0, 4.0) ** 0.5 / 2)

    def stabilised(self, piece: Array, ways: Sequence[Stabilizer]) -> tuple[Array, Array]:
        """Stabilise (C, Y, X), impulses missing: the network is told where; and say its channels' noise."""
        ready, sigma = super().stabilised(piece, ways)
        if self.knows_missing:
            hit = np.stack([way.repair(plane) for way, plane in zip(ways, piece, strict=True)]) != piece
            ready = np.where(hit, np.float32(np.nan), ready)
        return ready, sigma

    def filter_prepared(self, values: Array, sigma: Array, value: float, prepared: Conditioning) -> Array:
        """Denoise (C, Y, X) with the network: all channels at once where it knows colours, else each by itself."""
        return self._filtered(values, sigma, value, prepared, self.tta)

    def filter_trial(self, values: Array, sigma: Array, value: float, prepared: Conditioning) -> Array:
        """Denoise while the scale is being chosen: no mean over turns, which favours none."""
        return self._filtered(values, sigma, value, prepared, False)

    def _filtered(self, values: Array, sigma: Array, value: float, prepared: Conditioning, tta: bool) -> Array:
        level = prepared.level(sigma) * value
        x = self._tensor(prepared.planes(values, level))
        with torch.inference_mode():
            y = mean_over_symmetries(self._apply, x, self.knows_missing, self.turns if tta else 1)
        kept = prepared.beyond(values, level)
        return prepared.unmixed(self._back(y, values.shape) * prepared.range(level) + prepared.middle + kept)

    def deviation(self, values: Array, sigma: Array, value: float, prepared: Conditioning) -> Array:
        """Return the posterior's standard deviation.

        The mean that a network has learned changes with its input by the posterior's variance over the noise's
        (Tweedie's formula, the second order). The diagonal of that derivative is the mean over all frequencies of
        what the network does to a wave; it is taken at three a direction. Off zero, since a denoiser lets pass the
        lowest of all: with zero among them the deviation comes out up to a quarter too large in flat areas.
        """
        level = prepared.level(sigma) * value
        x = self._tensor(prepared.planes(values, level)).requires_grad_()
        y = self._apply(x)
        share, every = np.zeros(values.shape, np.float32), list(waves(*y.shape[1:]))
        for wave in every:
            along = torch.from_numpy(wave).to(y).expand_as(y)
            (slope,) = torch.autograd.grad(y, x, along, retain_graph=True)
            share += self._back(along * slope[:, : y.shape[1]], values.shape) / (len(every) / 2)
        kept = prepared.beyond(values, level)
        share = np.where(kept == 0, share, np.float32(1))  # as noisy as they were
        share = ndimage.gaussian_filter(share, (0, DEVIATION_BLUR, DEVIATION_BLUR)).clip(LEAST_VARIANCE_SHARE)
        real = 1 - prepared.weighed(dark(filled(values)[0], prepared.ways))  # where photons are few: less noise
        result: Array = np.sqrt(prepared.unmixed_variance(share * (level * real) ** 2))
        return result

    @property
    def knows_missing(self) -> bool:
        """Whether the network is told which pixels are missing."""
        return self._loaded[1].inputs.camera

    def _tensor(self, planes: Array) -> Tensor:
        x = pad_end(torch.from_numpy(planes), int(self._loaded[0].multiple))  # type: ignore[arg-type]
        return x.to(device_of(self.device)).contiguous(memory_format=memory_format(2))

    def _apply(self, x: Tensor) -> Tensor:
        with body_precision(*self.where):
            y: Tensor = self._loaded[0](x)
        return y

    @staticmethod
    def _back(y: Tensor, shape: tuple[int, ...]) -> Array:
        """The network's output (B, channels, Y, X) as (C, Y, X) of this shape."""
        made: Array = y.float().cpu().numpy().reshape(-1, *y.shape[2:])[:, : shape[1], : shape[2]]
        return made


def untold(level: float) -> Stabilizer:
    """Return a way that changes nothing, of which a level is said for weights that find it themselves."""
    return Stabilizer(ChannelNoise("gaussian", 0.0, 0.0, level, 0.0, level**2), transform=False)


def _low_count(view: Array, ways: Sequence[Stabilizer]) -> float:
    """Share of the pixels of (C, Y, X) whose noise lacks much of its level, since photons are few."""
    plane = np.asarray(fill(view)[0], np.float32)
    values = np.stack([way.forward(one) for way, one in zip(ways, plane, strict=True)])
    return float((dark(values, ways) > DEFICIT).mean())


def _possible(ways: Sequence[Stabilizer]) -> tuple[float, float]:
    """Multiples of the level that the analysis holds possible; all, where it was said or the noise is speckle."""
    least, most = 1.0, 1.0
    for noise in (way.noise for way in ways):
        ends = noise.interval.get("level")
        if noise.given or noise.kind == "speckle" or ends is None or not noise.level > 0:
            return 0.0, np.inf
        least, most = min(least, ends[0] / noise.level), max(most, ends[1] / noise.level)
    return least, most
