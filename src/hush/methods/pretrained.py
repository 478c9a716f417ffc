"""Pretrained: the network that comes with hush, where the noise is made Gaussian and of one level first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor, nn

from hush import risk, weights
from hush.classical import Classical
from hush.denoiser import demand
from hush.image import Array, Image
from hush.machine import body_precision, device_of, memory_format, precision_of
from hush.patches import fill
from hush.prediction import mean_over_symmetries, pad_end
from hush.stabilise import Stabiliser

WEIGHTS = {  # what ships for so many colours, without and with a camera's noise; the first that is here is taken
    (1, False): ("gaussian-fast",),
    (1, True): ("camera-fast", "gaussian-fast"),
    (3, False): ("gaussian-fast-rgb", "camera-fast-rgb", "gaussian-fast"),
    (3, True): ("camera-fast-rgb", "camera-fast", "gaussian-fast"),
}
DARK, FEW = 0.1, 0.02  # share of its deviation that noise lacks where photons are few; share of such pixels that counts
# brightness and two colours, of length 1, for weights that know only grey: rows
OPPONENT = np.array([[1, 1, 1], [1, 0, -1], [1, -2, 1]], np.float32) / np.sqrt([[3], [2], [6]], dtype=np.float32)
MOST = 1.6  # multiple of a level that was found; only one that was said can be further off
NEAR = 0.1  # departure of the level that is none
MOST_SHARED = 0.9  # correlation of neighbours
PEAK = 255.0  # levels of the weights are said of it
LOW, HIGH = 0.5, 99.5  # percentiles that are taken for black and white
LOOKED = 8  # planes in which they are looked for
SAMPLE = 1 << 18  # pixels of them
SIDE = 1024  # of a tile
WAVES = 3  # frequencies along Y, along X and over colours at which the network's derivative is read
TURN = 0.42  # radians a pixel by which they lie off zero
SMOOTH, LEAST = 1.0, 1e-3  # pixels over which the deviation is smoothed; smallest share of the noise's variance


def suited(samples: int, camera: bool) -> str:
    """Return the name of the weights for an image of so many colours, whose noise is white and Gaussian or not."""
    names = WEIGHTS[samples if samples in (1, 3) else 1, camera]
    here = weights.paths()
    return next((name for name in names if name in here), names[-1])


def _draw(shape: tuple[int, ...], lags: Array, seed: int) -> Array:
    """Noise (C, Y, X) of deviation 1 whose neighbours correlate as said."""
    noise = np.random.default_rng(seed).standard_normal(shape)
    for channel, each in zip(noise, lags, strict=True):
        for axis, lag in enumerate(each):
            if lag > 0:  # white noise smoothed by a Gaussian of this length
                channel[...] = ndimage.gaussian_filter1d(channel, 0.5 / np.sqrt(-np.log(lag)), axis=axis, mode="wrap")
        channel /= channel.std()
    return noise


def _waves(channels: int, high: int, wide: int) -> Iterator[Array]:
    """Cosines and sines (C, Y, X) at a lattice of frequencies: of two pixels nearer than three they say nothing."""
    c, y, x = (np.arange(size, dtype=np.float32) for size in (channels, high, wide))
    steps = 2 * np.pi / WAVES * np.arange(WAVES) + TURN
    for down, across, colour in product(steps, steps, 2 * np.pi / channels * np.arange(channels)):
        phase = colour * c[:, None, None] + down * y[:, None] + across * x
        yield from (np.cos(phase).astype(np.float32), np.sin(phase).astype(np.float32))


def _filled(values: Array) -> tuple[Array, Array]:
    """Missing values of (C, Y, X) filled from around, and where they are: 1, elsewhere 0."""
    gone: Array = np.isnan(values)
    if not gone.any():
        return values, np.zeros(values.shape, np.float32)
    return np.asarray(np.where(gone, risk.around(values, gone), values), np.float32), np.asarray(gone, np.float32)


@dataclass(frozen=True)
class _Prepared:
    """What is known of a channel's planes before they are cut into tiles.

    Attributes
    ----------
    middle, extent : array, shape (C,)
        Of the stabilised values.
    lags : array, shape (C, 2)
        Correlation of neighbours along Y and along X.
    ways : sequence of Stabiliser
    """

    middle: Array
    extent: Array
    lags: Array
    ways: Sequence[Stabiliser]


@dataclass(kw_only=True, eq=False)
class Pretrained(Classical):
    """Denoise with weights that were trained beforehand on clean images: nothing is learned from this one.

    The noise is stabilised, so that it is Gaussian and of one level, of which the network is told. Since an analysis
    may be wrong, that level is multiplied where two witnesses agree that it should be: how well hidden pixels are
    predicted, and at which level the network is at peace with itself (`hush.risk.consistent`). The first leans to
    strong filters where there is texture, the second to weak ones where neighbours share noise of which nothing is
    known.

    Parameters
    ----------
    scale : float or None
        Multiple of the noise's level that the network is told; None: chosen.
    calibrate : bool
        Choose it; otherwise it is 1.
    weights : str or None
        Name of shipped or cached weights, see ``hush weights``; None: by the noise and the colours of the image.
    device, precision : str or None
        Where to compute, and in what the network's body: see `hush.machine`; None: the best there is.
    tta : bool
        Mean over the eight turns and flips of the image.

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
    device: str | None = None
    precision: Literal["bfloat16", "float32"] | None = None
    tta: bool = False

    def check(self) -> None:
        """Refuse settings that make no sense, naming what is possible."""
        super().check()
        demand(self.scale is None or self.scale > 0, "scale", self.scale, "more than 0, or none: chosen")

    def expectation(self, images: Sequence[Image], models: int = 1) -> str:
        """Say in a sentence what will be done."""
        which = f"the weights {self.weights}" if self.weights else "weights"
        return f"{which}, trained beforehand, on {len(images)} image{'s' * (len(images) > 1)}"

    def ready(self, image: Image) -> None:
        """Take the weights for the colours and the noise of an image."""
        self.samples_ = image.samples()
        self.own_: list[float] = []
        camera = False
        for number in range(self._works(image)):
            ways = self._ways(image, number)
            plane = np.asarray(fill(self._views(image, number)[0])[0], np.float32)
            values = np.stack([way.forward(one) for way, one in zip(ways, plane, strict=True)])
            few = (self._dark(values, ways) > DARK).mean() > FEW
            camera |= bool(few) or not all(way.noise.white for way in ways)
        self.taken_ = self.weights or suited(self.samples_, camera)

    @property
    def uncertain(self) -> bool:
        """Whether it gives a standard deviation a pixel."""
        return True

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
        return SIDE

    @property
    def workers(self) -> int:
        """One tile after the other: the network itself uses all cores."""
        return 1

    def margin(self, value: float) -> int:
        """How far the network looks, and the smoothing of the deviation."""
        return int(self._loaded[0].margin) + int(4 * SMOOTH)  # type: ignore[arg-type]

    @property
    def _loaded(self) -> tuple[nn.Module, dict[str, Any]]:
        return weights.load(self.taken_, device_of(self.device))

    # Applying ------------------------------------------------------------------------------------

    def prepare(self, views: Sequence[Array], ways: Sequence[Stabiliser]) -> _Prepared:
        """Look at some planes of a channel: middle and extent of its stabilised values."""
        some = [views[k] for k in np.unique(np.linspace(0, len(views) - 1, LOOKED).astype(int))]
        each = [np.stack([way.forward(fill(v)[0]) for way, v in zip(ways, view, strict=True)]) for view in some]
        lags = [[0.0 if way.noise.white else way.noise.lags.get(key, 0.0) for key in ("1,0", "0,1")] for way in ways]
        values = self._mixed(np.concatenate([values.reshape(len(ways), -1) for values in each], 1))
        low, high = np.percentile(values[:, :: max(1, values.shape[1] // SAMPLE)], [LOW, HIGH], axis=1)
        extent = np.maximum(high - low, 1e-12)
        return _Prepared((low + high) / 2, extent, self._weighed(np.clip(lags, 0, MOST_SHARED)), ways)

    def choose(self, ready: Array, sigma: Array, prepared: _Prepared, ways: Sequence[Stabiliser]) -> float:
        """Choose the multiple of the level: the nearest to one between what two witnesses say."""
        if all(way.noise.kind == "none" for way in ways):  # nothing but impulses: what is left is no noise's level
            return 1.0
        whole, _ = _filled(ready)
        real = sigma.reshape(-1, 1, 1) * (1 - self._dark(whole, ways)).clip(0.05)
        own = risk.consistent(
            lambda values, scale: self.filter_trial(values, sigma, scale, prepared),
            whole,
            (real * _draw(ready.shape, prepared.lags, self.seed)).astype(np.float32),
        )
        self.own_.append(own)
        if abs(own - 1) < NEAR:
            return 1.0
        hidden = super().choose(ready, sigma, prepared, ways)
        low, high = sorted((hidden, own))
        most = self.options[-1] if any(way.noise.said for way in ways) else MOST
        return float(min(np.clip(1.0, low, high), most))

    def stabilised(self, piece: Array, ways: Sequence[Stabiliser]) -> tuple[Array, Array]:
        """Stabilise (C, Y, X), impulses missing: the network is told where; and say its channels' noise."""
        ready, sigma = super().stabilised(piece, ways)
        if self.knows_missing:
            hit = np.stack([way.repair(plane) for way, plane in zip(ways, piece, strict=True)]) != piece
            ready = np.where(hit, np.float32(np.nan), ready)
        return ready, sigma

    @staticmethod
    def _dark(values: Array, ways: Sequence[Stabiliser]) -> Array:
        """By how much the noise of stabilised (C, Y, X) is below its level, where photons are few."""
        each = [1 - way.deviation(plane) / max(way.sigma, 1e-12) for way, plane in zip(ways, values, strict=True)]
        return np.stack(each)

    def filter_prepared(self, values: Array, sigma: Array, value: float, prepared: _Prepared) -> Array:
        """Denoise (C, Y, X) with the network: all channels at once where it knows colours, else each by itself."""
        return self._filtered(values, sigma, value, prepared, self.tta)

    def filter_trial(self, values: Array, sigma: Array, value: float, prepared: _Prepared) -> Array:
        """Denoise while the scale is being chosen: no mean over turns, which favours none."""
        return self._filtered(values, sigma, value, prepared, False)

    def _filtered(self, values: Array, sigma: Array, value: float, prepared: _Prepared, tta: bool) -> Array:
        x, middle, extent = self._shown(values, sigma, value, prepared)
        with torch.inference_mode():
            y = mean_over_symmetries(self._apply, x, self.knows_missing) if tta else self._apply(x)
        return self._unmixed(self._back(y, values.shape) * extent + middle)

    def deviation(self, values: Array, sigma: Array, value: float, prepared: _Prepared) -> Array:
        """Return the posterior's standard deviation.

        The mean that a network has learned changes with its input by the posterior's variance over the noise's
        (Tweedie's formula, the second order). The diagonal of that derivative is the mean over all frequencies of
        what the network does to a wave; it is taken at three a direction. Off zero, since a denoiser lets pass the
        lowest of all: with zero among them the deviation comes out up to a quarter too large in flat areas.
        """
        x, _, _ = self._shown(values, sigma, value, prepared)
        y = self._apply(x.requires_grad_())
        share = np.zeros(values.shape, np.float32)
        waves = list(_waves(*y.shape[1:]))
        for wave in waves:
            along = torch.from_numpy(wave).to(y).expand_as(y)
            (slope,) = torch.autograd.grad(y, x, along, retain_graph=True)
            share += self._back(along * slope[:, : y.shape[1]], values.shape) / (len(waves) / 2)
        share = ndimage.gaussian_filter(share, (0, SMOOTH, SMOOTH)).clip(LEAST)
        real = 1 - self._weighed(self._dark(_filled(values)[0], prepared.ways))  # where photons are few: less noise
        variance = share * ((self._level(sigma) * value).reshape(-1, 1, 1) * real) ** 2
        if self._by_opponents(len(values)):
            variance = np.tensordot(OPPONENT.T**2, variance, 1)
        result: Array = np.sqrt(variance)
        return result

    # Colours, where the weights know only grey ---------------------------------------------------

    def _by_opponents(self, count: int) -> bool:
        return count == self.samples_ == 3 and self._outputs == 1 and not self.joint_channels

    def _mixed(self, values: Array) -> Array:
        """(C, ...) as the network is shown it: colours as brightness and two differences, each denoised by itself."""
        mixed: Array = np.tensordot(OPPONENT, values, 1) if self._by_opponents(len(values)) else values
        return mixed

    def _unmixed(self, values: Array) -> Array:
        back: Array = np.tensordot(OPPONENT.T, values, 1) if self._by_opponents(len(values)) else values
        return back

    def _weighed(self, values: Array) -> Array:
        """What holds of (C, ...) channels' variances, for what the network is shown."""
        weighed: Array = np.tensordot(OPPONENT**2, values, 1) if self._by_opponents(len(values)) else values
        return weighed

    def _level(self, sigma: Array) -> Array:
        level: Array = np.sqrt(self._weighed(np.asarray(sigma, np.float32) ** 2))
        return level

    # What the network sees -----------------------------------------------------------------------

    @property
    def knows_missing(self) -> bool:
        """Whether the network is told which pixels are missing."""
        return bool(self._loaded[1].get("camera"))

    @property
    def _outputs(self) -> int:
        return int(self._loaded[1]["channels"])

    def _shown(self, values: Array, sigma: Array, value: float, prepared: _Prepared) -> tuple[Tensor, Array, Array]:
        """What the network sees of (C, Y, X): (B, its planes, Y, X); and the middle and the extent, (C, 1, 1)."""
        net, card = self._loaded
        middle, extent = (np.asarray(one, np.float32).reshape(-1, 1, 1) for one in (prepared.middle, prepared.extent))
        joint = self._outputs == len(values)
        if joint or self._by_opponents(len(values)):
            extent = np.full_like(extent, extent.max())
        values, lost = _filled(values)
        dark = self._weighed(self._dark(values, prepared.ways)) if self.knows_missing else None
        values, level = self._mixed(values), (self._level(sigma) * value).reshape(-1, 1, 1)
        extent = np.maximum(extent, level * PEAK / card["sigma"][1])  # noise stronger than any that it has seen
        planes = [(values - middle) / extent, np.broadcast_to(level / extent, values.shape)]
        if dark is not None:
            lags = [np.broadcast_to(lag.reshape(-1, 1, 1), values.shape) for lag in prepared.lags.T]
            planes += [dark, *(one.mean(0, keepdims=True) if joint else one for one in (self._weighed(lost), *lags))]
        x = torch.from_numpy((np.concatenate(planes)[None] if joint else np.stack(planes, 1)).astype(np.float32))
        x = pad_end(x, int(net.multiple)).to(device_of(self.device))  # type: ignore[arg-type]
        return x.contiguous(memory_format=memory_format(2)), middle, extent

    def _apply(self, x: Tensor) -> Tensor:
        with body_precision(*self.where):
            y: Tensor = self._loaded[0](x)
        return y

    @staticmethod
    def _back(y: Tensor, shape: tuple[int, ...]) -> Array:
        """The network's output (B, channels, Y, X) as (C, Y, X) of this shape."""
        made: Array = y.float().cpu().numpy().reshape(-1, *y.shape[2:])[:, : shape[1], : shape[2]]
        return made
