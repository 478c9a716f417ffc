"""Pretrained: the network that comes with hush, where the noise is made Gaussian and of one level first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from scipy import linalg, ndimage
from torch import Tensor, nn

from hush import weights
from hush.classical import Classical
from hush.denoiser import Images, as_images, demand
from hush.image import Array, Image
from hush.machine import body_precision, device_of, memory_format, precision_of
from hush.patches import fill
from hush.prediction import mean_over_symmetries, pad_end
from hush.stabilise import Stabiliser

WEIGHTS = {  # what ships for so many colours, and whether neighbours share the noise; the first that is here is taken
    (1, True): ("gaussian-fast",),
    (1, False): ("correlated-fast", "gaussian-fast"),
    (3, True): ("gaussian-fast-rgb", "gaussian-fast"),
    (3, False): ("correlated-fast-rgb", "correlated-fast", "gaussian-fast"),
}
MOST_SHARED = 0.9  # correlation of neighbours
PEAK = 255.0  # levels of the weights are said of it
LOW, HIGH = 0.5, 99.5  # percentiles that are taken for black and white
LOOKED = 8  # planes in which they are looked for
SAMPLE = 1 << 18  # pixels of them
SIDE = 1024  # of a tile
HADAMARD = linalg.hadamard(4).astype(np.float32)
PATTERNS = [np.outer(rows, columns) for rows in HADAMARD for columns in HADAMARD]  # of 4 x 4 pixels
SMOOTH, LEAST = 1.0, 1e-3  # pixels over which the deviation is smoothed; smallest share of the noise's variance


def suited(samples: int, white: bool) -> str:
    """Return the name of the weights for an image of so many colours, whose noise is white or not."""
    names = WEIGHTS[samples if samples in (1, 3) else 1, white]
    here = weights.paths()
    return next((name for name in names if name in here), names[-1])


@dataclass(kw_only=True, eq=False)
class Pretrained(Classical):
    """Denoise with weights that were trained beforehand on clean images: nothing is learned from this one.

    The noise is stabilised, so that it is Gaussian and of one level, of which the network is told. How that level is
    multiplied, since an analysis may be wrong, is chosen by hiding pixels.

    Parameters
    ----------
    scale : float or None
        Multiple of the noise's level that the network is told; None: chosen.
    calibrate : bool
        Choose it by hiding pixels; otherwise it is 1.
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
    options: ClassVar[tuple[float, ...]] = (0.8, 0.9, 1.0, 1.12, 1.25, 1.4, 1.6)

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

    def fit(self, images: Images, targets: Images | None = None) -> Self:
        """Find out the noise of an image, take the weights for it, and choose the scale, where it is not given."""
        self.samples_ = max((image.samples() for image in as_images(images)), default=1)
        return super().fit(images, targets)

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
    def taken(self) -> str:
        """Name of the weights that are used."""
        if self.weights is not None:
            return self.weights
        white = all(channel.white for channel in self.report_.channels)
        return suited(self.samples_, white)

    @property
    def _loaded(self) -> tuple[nn.Module, dict[str, Any]]:
        return weights.load(self.taken, device_of(self.device))

    # Applying ------------------------------------------------------------------------------------

    def prepare(self, views: Sequence[Array], ways: Sequence[Stabiliser]) -> Array:
        """Return of every channel, (C, 4): middle and extent of its stabilised values, correlation along Y and X."""
        some = [views[k] for k in np.unique(np.linspace(0, len(views) - 1, LOOKED).astype(int))]
        each = [np.stack([way.forward(fill(v)[0]) for way, v in zip(ways, view, strict=True)]) for view in some]
        lags = [[0.0 if way.noise.white else way.noise.lags.get(key, 0.0) for key in ("1,0", "0,1")] for way in ways]
        extent = self._extent(np.concatenate([values.reshape(len(ways), -1) for values in each], 1))
        return np.concatenate([extent, np.clip(lags, 0, MOST_SHARED)], 1)

    def filter_prepared(self, values: Array, sigma: Array, value: float, prepared: Array) -> Array:
        """Denoise (C, Y, X) with the network: all channels at once where it knows colours, else each by itself."""
        return self._filtered(values, sigma, value, prepared, self.tta)

    def filter_trial(self, values: Array, sigma: Array, value: float, prepared: Array) -> Array:
        """Denoise while the scale is being chosen: no mean over turns, which favours none."""
        return self._filtered(values, sigma, value, prepared, False)

    def _filtered(self, values: Array, sigma: Array, value: float, prepared: Array, tta: bool) -> Array:
        x, middle, extent = self._shown(values, sigma, value, prepared)
        with torch.inference_mode():
            y = mean_over_symmetries(self._apply, x, bool(self._loaded[1].get("shared"))) if tta else self._apply(x)
        return self._back(y, values.shape) * extent + middle

    def deviation(self, values: Array, sigma: Array, value: float, prepared: Array) -> Array:
        """Return the posterior's standard deviation.

        The mean that a network has learned changes with its input by the posterior's variance over the noise's
        (Tweedie's formula, the second order). The diagonal of its derivative is read in 16 directions of plus and
        minus one, in whose mean all neighbours nearer than 4 pixels cancel.
        """
        x, _, _ = self._shown(values, sigma, value, prepared)
        y = self._apply(x.requires_grad_())
        share = np.zeros(values.shape, np.float32)
        for pattern in PATTERNS:
            along = torch.from_numpy(np.tile(pattern, (y.shape[-2] // 4, y.shape[-1] // 4))).to(y).expand_as(y)
            (slope,) = torch.autograd.grad(y, x, along, retain_graph=True)
            share += self._back(along * slope[:, : y.shape[1]], values.shape) / len(PATTERNS)
        share = ndimage.gaussian_filter(share, (0, SMOOTH, SMOOTH)).clip(LEAST)
        told = np.asarray(sigma, np.float32).reshape(-1, 1, 1) * value
        result: Array = np.sqrt(share) * told
        return result

    @property
    def _outputs(self) -> int:
        return int(self._loaded[1]["channels"])

    def _shown(self, values: Array, sigma: Array, value: float, prepared: Array) -> tuple[Tensor, Array, Array]:
        """What the network sees of (C, Y, X): (B, its planes, Y, X); and the middle and the extent, (C, 1, 1)."""
        net, card = self._loaded
        middle, extent, *lags = (np.asarray(one, np.float32).reshape(-1, 1, 1) for one in prepared.T)
        joint = self._outputs == len(values)
        if joint:
            extent = np.full_like(extent, extent.max())
        level = np.asarray(sigma, np.float32).reshape(-1, 1, 1) * value
        extent = np.maximum(extent, level * PEAK / card["sigma"][1])  # noise stronger than any that it has seen
        noisy = ((values - middle) / extent).astype(np.float32)
        told = np.broadcast_to(level / extent, noisy.shape).astype(np.float32)
        shared = [np.broadcast_to(lag, noisy.shape) for lag in lags] if card.get("shared") else []
        if joint:
            planes = np.concatenate([noisy, told, *(lag.mean(0, keepdims=True) for lag in shared)])[None]
        else:
            planes = np.stack([noisy, told, *shared], 1)
        x = torch.from_numpy(planes)
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

    @staticmethod
    def _extent(values: Array) -> Array:
        """Middle and extent of (C, n)."""
        step = max(1, values.shape[1] // SAMPLE)
        low, high = np.percentile(values[:, ::step], [LOW, HIGH], axis=1)
        return np.stack([(low + high) / 2, np.maximum(high - low, 1e-12)], 1)
