"""Neighbours: a plane of a volume, or a frame of a series, is denoised with the help of those beside it."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from hush.core.device import body_precision, device_of, memory_format
from hush.core.errors import HushError
from hush.core.image import Array, Image, cast
from hush.core.pieces import Need
from hush.estimation.correlation import lags_of, like
from hush.methods import _drift, _stacks
from hush.methods._apply import mean_over_symmetries
from hush.methods._base import Denoiser, Report, Result, Strength, demand
from hush.methods._filter import Filter
from hush.methods.pretrained import Pretrained
from hush.nets._parts import pad_end
from hush.pretrained import weights
from hush.pretrained.conditioning import Conditioning
from hush.pretrained.neighbours import gathering, network
from hush.vst.stabilizer import Stabilizer

LEAST_NOISE_SHARE = 0.05  # of its level that noise is taken to have where photons are few
PROBE_SIDE = 256  # of the noise on which is measured what blurs leave of it
REVERSED = (0, 1, 2, 3, 5, 4, 7, 6)  # the planes of `network.tell`, those before and those after exchanged


@dataclass(frozen=True)
class _Told:
    """What is known of a channel's stack before it is cut into tiles.

    Attributes
    ----------
    plain : Conditioning
        How its planes are shown.
    shared : list of float
        See `hush.pretrained.neighbours.gathering.gather`.
    """

    plain: Conditioning
    shared: list[float]


@dataclass(kw_only=True, eq=False)
class Neighbours(Pretrained):
    """Denoise planes of volumes and frames of series with the help of their neighbours, by a network that comes along.

    A plane and two on each side of it are averaged wherever they show the same, and a network that was trained on
    volumes and moving pictures sees that mean, its noise, and the planes themselves. Where something moves or flashes
    a frame stands for itself: nothing is smeared into the next.

    Parameters
    ----------
    axis : {"T", "Z"} or None
        Along which planes are neighbours; None: T where there are several frames, else Z.
    orientations : {1, 3} or None
        Mean of three results for a volume, whose planes stand along Z, along Y and along X, in three times the time;
        None: three where the file says that voxels are cubes.

    Notes
    -----
    Use it for stacks of MRI, CT and light-sheet microscopes, and for series of a camera. A single plane is denoised as
    `pretrained` does it.

    ::

        m = Σ_k w_k T(y_k) / Σ_k w_k,    w_k = 1 / (1 + excess of |T(y_k) - T(y_0)|² over the noise's)
        x̂ = T⁻¹( f_θ(m, s σ (Σ w²)^½ / Σ w, T(y_k)) )

    T stabilizes the variance, f_θ is the network, σ the noise level, s the `scale`. Where the noise is spatially
    correlated, or the count low, the network of `pretrained` for such noise is given the mean. Raise `scale` where
    noise is left, lower it where detail is lost. Raise `turns` for a few hundredths of a decibel, lower it for time.

    References
    ----------
    * M. Maggioni, G. Boracchi, A. Foi and K. Egiazarian, Video denoising, deblocking, and enhancement through separable
      4-D nonlocal spatiotemporal transforms, IEEE TIP 2012.
    * M. Tassano, J. Delon and T. Veit, FastDVDnet: towards real-time deep video denoising without flow estimation,
      CVPR 2020.

    Examples
    --------
    >>> noise = np.random.default_rng(0).normal(0, 9, (5, 64, 64)).astype(np.float32)
    >>> model = Neighbours(sigma=9.0, scale=1.0).fit(Image(100 + noise, "TYX"))
    >>> bool(model.denoise(Image(100 + noise, "TYX")).data.std() < 1)
    True
    """

    needs: ClassVar[str] = "noisy"
    scope: ClassVar[str] = "image"
    volumes: ClassVar[bool] = False

    axis: str | None = None
    orientations: int | None = None

    _stacked: bool = field(default=False, init=False, repr=False)  # of the copy that works on stacks along Z
    _steps: Array = field(default=None, init=False, repr=False)  # in that copy: of the drift, see `_drift.steps_of`

    def check(self) -> None:
        """Refuse settings that make no sense, naming what is possible."""
        if self._stacked:
            return
        if self.ndim == 3:
            raise HushError(f"{self.method} takes planes and their neighbours: leave --ndim 3 out")
        super().check()
        demand(self.axis in (None, *_stacks.STACKED), "axis", self.axis, "T, Z, or none: T if there is one, else Z")
        demand(self.orientations in (None, 1, 3), "orientations", self.orientations, "1, 3, or none: chosen")
        demand(not self.blind, "weights", self.weights, "those that are told the noise, or none: taken by the noise")

    def ready(self, image: Image) -> None:
        """Take the weights, the axis and the orientations for an image."""
        super().ready(image)
        self.axis_ = _stacks.axis_of(image, self.axis)
        self.orientations_ = self.orientations or 1
        if self.axis_ == "Z" and self.orientations is None and _stacks.of_cubes(image):
            self.orientations_ = 3

    @property
    def uncertain(self) -> bool:
        """Whether it gives a per-pixel standard deviation: of a single plane."""
        return super().uncertain and getattr(self, "axis_", None) is None

    def margin(self, value: float) -> int:
        """How far the network and the weights look."""
        return super().margin(value) + (gathering.reach() + _stacks.HALO * _drift.MOST_DRIFT if self._stacked else 0)

    def need_prepared(self, image: Image) -> Need:
        """Say what it needs to work on pieces: all of the planes, which are neighbours."""
        return super().need_prepared(image) if self.axis_ is None else Denoiser.need(self, image)

    # Applying ------------------------------------------------------------------------------------

    def run_prepared(
        self, image: Image, out: Array | None, done: Report | None, std: Array | None, strength: Strength
    ) -> Result:
        """Denoise an image; see `hush.methods._base.Denoiser.run`."""
        axis = None if self._stacked else _stacks.axis_of(image, self.axis)
        if axis is None:
            return super().run_prepared(image, out, done, std, strength)
        self.check()
        clean = np.empty(image.data.shape, image.data.dtype) if out is None else out
        axes = [axis] if axis == "T" or self.orientations_ == 1 else ["Z", "Y", "X"]
        stacks = [_stacks.along(image, one) for one in axes]
        parts = [(stack, run) for stack in stacks for run in self._runs(stack)]
        infos: list[dict[str, Any]] = []
        whole = len(parts) == 1  # nothing is joined: what is made is written at once
        mean = clean if whole else np.zeros(clean.shape, np.float32)
        models = {stack.axes: self._for(stack) for stack in stacks}
        steps = {
            stack.axes: _drift.steps_of(stack, self._ways(stack, 0), network.NEIGHBOUR_OFFSETS) for stack in stacks
        }
        for number, (stack, run) in enumerate(parts):
            piece = _stacks.cut(stack, run.read)
            models[stack.axes]._steps = steps[stack.axes][run.read]
            made = mean if whole else np.empty(piece.data.shape, np.float32)
            result = Pretrained.run_prepared(models[stack.axes], piece, made, None, None, strength)
            infos.append(result.info)
            if not whole:
                kept = _stacks.cut(replace(piece, data=made), run.inner).data
                _stacks.cut(replace(stack, data=mean), run.write).data[...] += kept / np.float32(len(stacks))
            if done is not None:
                done(number + 1, len(parts))
        if not whole:
            clean[...] = cast(mean if clean.dtype.kind == "f" else np.nan_to_num(mean), clean.dtype)
        return Result(
            replace(image, data=clean).with_meta(hush=result.image.meta["hush"]), None, self._said(image, axes, infos)
        )

    def _runs(self, stack: Image) -> list[_stacks.Run]:
        return list(_stacks.runs(stack.sizes["Z"], stack.data.size // stack.sizes["Z"], _stacks.CHUNK_PIXELS))

    def _said(self, image: Image, axes: Sequence[str], infos: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """What is said of a run, of what its parts say."""
        found: list[Any] = []
        for warning in (one for info in infos for one in info["warnings"]):
            found += [warning] if warning not in found else []
        return infos[0] | {
            "warnings": found,
            "seconds": round(sum(info["seconds"] for info in infos), 3),
            "settings": self.settings | {self.parameter: self.values_[0]},
            "axes": image.axes,
            "ndim": self.ndim,
            "neighbours": {"axes": list(axes)},
        }

    def _for(self, stack: Image) -> Neighbours:
        """A copy that works on stacks along Z, and knows what holds of this one."""
        one = copy.copy(self)
        one._stacked, one.ndim = True, 3
        one.prepared_ = [one.prepare(one._views(stack, n), one._ways(stack, n)) for n in range(one._works(stack))]
        return one

    def prepare(self, views: Sequence[Array], ways: Sequence[Stabilizer]) -> Any:
        """Look at some planes of a channel: how they are to be shown."""
        if not self._stacked:
            return super().prepare(views, ways)
        planes = [view[:, at] for view in views for at in range(view.shape[1])]
        card = self._loaded[1] if self._for_camera else weights.card(network.BEGUN_WITH)
        plain = Conditioning.of(planes, ways, card, self.samples_ > 1 and not self.joint_channels)
        return _Told(plain, _shared(ways, self.seed))

    @property
    def _for_camera(self) -> bool:
        """Whether the noise is a camera's, which the network of neighbours does not know."""
        return bool(weights.card(self.taken_).inputs.camera)

    def stabilised(self, piece: Array, ways: Sequence[Stabilizer]) -> tuple[Array, Array]:
        """Stabilise a piece of shape (C, [Z,] Y, X), and say its channels' noise."""
        return Filter.stabilised(self, piece, ways) if self._stacked else super().stabilised(piece, ways)

    def filter_prepared(self, values: Array, sigma: Array, value: float, prepared: Any) -> Array:
        """Denoise (C, [Z,] Y, X); see `Filter.filter`."""
        if not self._stacked:
            return super().filter_prepared(values, sigma, value, prepared)
        plain, made = prepared.plain, np.empty(values.shape, np.float32)
        level = plain.level(sigma) * value
        extent = plain.range(level)
        planes = np.moveaxis(values, 1, 0)
        kept = [plain.beyond(plane, level) for plane in planes]
        shown = [torch.from_numpy(np.asarray((plain.mixed(plane) - over - plain.middle) / extent, np.float32))
                 for plane, over in zip(planes, kept, strict=True)]  # fmt: skip
        told = torch.from_numpy(np.asarray(level / extent, np.float32))[:, None]
        for at in range(len(shown)):
            own, (others, there) = shown[at][:, None], self._beside(shown, at)
            if self._for_camera:
                y = self._by_mean(own, others, told, there, prepared, values[:, at], level)
            else:
                y = self._by_planes(own, others, told, there)
            made[:, at] = plain.unmixed(self._back(y, values[:, at].shape) * extent + plain.middle + kept[at])
        return made

    def _beside(self, shown: Sequence[Tensor], at: int) -> tuple[Tensor, Tensor]:
        """The neighbours (C, 4, Y, X) of a plane, without the drift, and where they were seen, (1, 4, Y, X)."""
        others, there = [], []
        for number, near in enumerate(at + offset for offset in network.NEIGHBOUR_OFFSETS):
            here = 0 <= near < len(shown)
            step = [int(one) for one in self._steps[at, number]]
            other, seen = _drift.brought_back(shown[near if here else at], step)
            others.append(other)
            there.append(seen * here)
        return torch.stack(others, 1), torch.stack(there)[None]

    def _by_planes(self, own: Tensor, others: Tensor, sigma: Tensor, there: Tensor) -> Tensor:
        """What the network of neighbours makes of planes (C, 1, Y, X) and their neighbours (C, 4, Y, X)."""
        device = device_of(self.device)
        net = network.load(device)
        x = network.tell(own.to(device), others.to(device), sigma.to(device), there.to(device))

        def either_way(x: Tensor) -> Tensor:
            return (self._through(net, x) + self._through(net, x[:, REVERSED])) / 2

        return self._turned(either_way, x, int(net.multiple), False)  # type: ignore[arg-type]

    def _by_mean(
        self, own: Tensor, others: Tensor, sigma: Tensor, there: Tensor, prepared: _Told, values: Array, level: Array
    ) -> Tensor:
        """What the network for a camera's noise makes of the mean of planes (C, 1, Y, X) and their neighbours."""
        planes = torch.from_numpy(prepared.plain.planes(values, level))
        inputs = prepared.plain.card.inputs
        share = (1 - planes[:, inputs.at("deficit")]).clamp(min=LEAST_NOISE_SHARE)  # where photons are few: less noise
        mean, left = gathering.gather(own, others, sigma * share, there, prepared.shared)
        planes[:, inputs.at("values")], planes[:, inputs.at("level")] = (
            mean,
            left / share,
        )  # the network knows the share
        net = self._loaded[0]

        def plainly(x: Tensor) -> Tensor:
            return self._through(net, x)

        return self._turned(plainly, planes.to(device_of(self.device)), self.grid, True)

    def _turned(self, function: Any, x: Tensor, multiple: int, along: bool) -> Tensor:
        """The mean over turns of the plane, where that is asked for."""
        x = pad_end(x, multiple)
        with torch.inference_mode():
            return mean_over_symmetries(function, x, along, self.turns if self.tta else 1)

    def _through(self, net: nn.Module, x: Tensor) -> Tensor:
        with body_precision(*self.where):
            y: Tensor = net(x.contiguous(memory_format=memory_format(2)))
        return y.float()


def _shared(ways: Sequence[Stabilizer], seed: int) -> list[float]:
    """By how much more of the noise each blur leaves than of white noise."""
    if all(way.noise.white for way in ways):
        return [1.0] * len(gathering.BLURS)
    noise = like((len(ways), PROBE_SIDE, PROBE_SIDE), lags_of([way.noise for way in ways]), seed)
    planes = torch.from_numpy(noise.astype(np.float32))[None]
    return [float(gathering.blurred(planes, blur).square().mean()) / gathering.power(blur) for blur in gathering.BLURS]
