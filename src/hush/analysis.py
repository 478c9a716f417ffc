"""What noise is in this image? One noisy image is enough; frames or a stack say it better."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hush import defects
from hush.errors import HushError
from hush.image import Array, Image, as_image
from hush.metrics import data_range
from hush.noise import Noise, NoiseModel, _blocks
from hush.noise.gaussian import Gaussian
from hush.noise.poisson_gaussian import PoissonGaussian
from hush.noise.rician import Rician
from hush.noise.speckle import Speckle

PLANES = 8  # of a channel that are looked at
WINDOW = 1024  # side of the windows that are looked at in a larger plane, four of them
NOT_WHITE = 0.11  # score of correlation beyond which noise is not white: AUC 1.0 at .155 on development images


@dataclass(frozen=True)
class ChannelNoise:
    """What was found in one channel; amplitudes in image units.

    Attributes
    ----------
    kind : str
        ``none``, ``gaussian``, ``poisson``, ``poisson_gaussian``, ``speckle`` or ``rician``.
    gain, offset, sigma : float
        Of the model; gain 0 for noise that is the same at all brightnesses.
    a, b : float
        The variance as a line of brightness: a x + b.
    interval : dict
        For ``a`` and ``sigma`` (at `middle`) what holds the true value in about 95 of 100 images.
    white : bool
        Whether neighbours are independent.
    lags : dict
        Correlation at ``"rows,columns"`` of distance.
    mask : str or None
        For structN2V: the neighbours that share noise.
    impulse_fraction : float
        Share of single pixels that fit neither their neighbours nor the noise.
    impulse_values : tuple of float
        The values they have, when they have but one or two.
    clipped_low, clipped_high : float or None
        Values at which the image is cut off.
    quantisation : float or None
        Step between values.
    stripes : dict
        Amplitude of offsets of ``rows`` and ``columns``, those that are there.
    chequerboard : float
        Amplitude of a chequerboard, 0 when there is none.
    middle : float
        The brightness at which the level is known best.
    points : tuple
        (brightness, variance, weight in the fit) of the flat blocks, for the plot.
    flat : float
        Share of blocks that are flat; where it is small, texture may have been taken for noise.
    said : bool
        Whether the user said what noise it is.
    """

    kind: str
    gain: float
    offset: float
    sigma: float
    a: float
    b: float
    interval: dict[str, tuple[float, float]] = field(default_factory=dict)
    white: bool = True
    lags: dict[str, float] = field(default_factory=dict)
    mask: str | None = None
    impulse_fraction: float = 0.0
    impulse_values: tuple[float, ...] = ()
    clipped_low: float | None = None
    clipped_high: float | None = None
    quantisation: float | None = None
    stripes: dict[str, float] = field(default_factory=dict)
    chequerboard: float = 0.0
    middle: float = 0.0
    points: tuple[tuple[float, float, float], ...] = ()
    flat: float = 0.0
    said: bool = False

    @property
    def model(self) -> NoiseModel | None:
        """The pixelwise noise as a model, None for none."""
        if self.kind == "none":
            return None
        if self.kind == "rician":
            return Rician(self.sigma)
        if self.kind == "speckle":
            return Speckle(self.sigma)
        return PoissonGaussian(self.gain, self.offset, self.sigma) if self.gain > 0 else Gaussian(self.sigma)

    @property
    def level(self) -> float:
        """Standard deviation at the middle brightness, in image units."""
        return float(np.sqrt(max(self.a * self.middle + self.b, 0.0)))


@dataclass(frozen=True)
class NoiseReport:
    """What `analyze` found, a `ChannelNoise` for each channel (or colour).

    Attributes
    ----------
    channels : tuple of ChannelNoise
    peak : float
        255 for 8 bits, else the extent of the values.
    verdict : str
        One sentence.
    recommendation : dict
        ``method`` (None for a clean image), ``settings``, ``reason``.
    """

    channels: tuple[ChannelNoise, ...]
    peak: float
    verdict: str
    recommendation: dict[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain values for JSON; ``channels`` only where there are several."""
        rows = []
        for channel in self.channels:
            row = dataclasses.asdict(channel)
            correlation = {"white": row.pop("white"), "lags": row.pop("lags"), "mask": row.pop("mask")}
            rows.append(row | {"correlation": correlation, "peak": self.peak})
        noise = rows[0] | ({"channels": rows} if len(rows) > 1 else {})
        return {"noise": noise, "verdict": self.verdict, "recommendation": self.recommendation}


def analyze(
    image: Image | Array,
    *,
    noise: Noise | NoiseModel | None = None,
    gain: float | None = None,
    offset: float | None = None,
    read_noise: float | None = None,
    dark: Image | Array | None = None,
) -> NoiseReport:
    """Find out what noise is in an image.

    Parameters
    ----------
    image : Image or array
        One noisy image, or frames of one scene along T, whose differences hold nothing but noise.
    noise : Noise or NoiseModel, optional
        What the user knows, in image units: it is used instead of what would be found.
    gain, offset, read_noise : float, optional
        Of the camera, in image units; each replaces what would be found.
    dark : Image or array, optional
        A picture without light: its values are every pixel's offset.

    Returns
    -------
    NoiseReport

    Raises
    ------
    HushError
        When the image is too small, or what is said contradicts itself.

    Notes
    -----
    See `hush.noise._blocks` for how. Texture, correlation along rows or columns, clipping and rounding to 8 bits
    are told apart from noise; ``hush bench noise-estimation`` shows how well.

    Examples
    --------
    >>> noisy = np.random.default_rng(0).normal(100, 20, (128, 128))
    >>> report = analyze(noisy)
    >>> report.channels[0].kind, round(report.channels[0].sigma)
    ('gaussian', 20)
    """
    image = as_image(image)
    if dark is not None:
        image = _without_dark(image, as_image(dark))
        offset = 0.0 if offset is None else offset
    found = [_channel(*stack, image.data.dtype) for stack in _stacks(image)]
    if noise is not None:
        drawn = noise.draw(np.random.default_rng(0)) if isinstance(noise, Noise) else noise
        found = [_said(one, drawn) for one in found]
    if not (gain is None and offset is None and read_noise is None):
        found = [_camera(one, gain, offset, read_noise) for one in found]
    peak = data_range(image)
    return NoiseReport(tuple(found), peak, _verdict(found), recommend(found))


def _stacks(image: Image) -> list[tuple[list[Array], bool]]:
    """Planes of each channel (and colour), and whether they are frames of one scene."""
    groups: dict[tuple[int, int], list[Array]] = {}
    for plane in image.planes(2):
        for sample, view in enumerate(plane.view(image.data)):
            groups.setdefault((plane.channel, sample), []).append(view)
    frames = image.sizes.get("T", 1) > 1 and image.sizes.get("Z", 1) == 1
    stacks = []
    for views in groups.values():
        if len(views) > PLANES:
            start = (len(views) - PLANES) // 2 if frames else 0
            at = range(start, start + PLANES) if frames else np.linspace(0, len(views) - 1, PLANES).astype(int)
            views = [views[i] for i in at]
        stacks.append(([np.asarray(part, np.float32) for view in views for part in _windows(view)], frames))
        if frames and len(views) * 4 == len(stacks[-1][0]):  # all frames of a window in a row
            parts = stacks[-1][0]
            stacks[-1] = ([parts[i] for k in range(4) for i in range(k, len(parts), 4)], frames)
    return stacks


def _windows(view: Array) -> list[Array]:
    if max(view.shape) <= 2 * WINDOW:
        return [view]
    tops, lefts = ([size // 4 * k - min(size // 4, WINDOW // 2) for k in (1, 3)] for size in view.shape)
    return [view[y : y + WINDOW, x : x + WINDOW] for y in tops for x in lefts]


def _channel(planes: list[Array], frames: bool, dtype: np.dtype[Any]) -> ChannelNoise:
    """Analyse the planes of one channel."""
    values = np.concatenate([plane[np.isfinite(plane)][:: max(1, plane.size >> 18)] for plane in planes])
    if values.size < 64 or values.min() == values.max():
        return ChannelNoise("none", 0.0, 0.0, 0.0, 0.0, 0.0)
    step = defects.quantisation(values)
    low, high = defects.clipped(values)
    repaired, fraction, odd = defects.without_impulses(planes)
    pairs = [(plane, plane) for plane in repaired]
    if frames and len(repaired) > 1:
        both = [(one, two) for one, two in zip(repaired, repaired[1:], strict=False) if one.shape == two.shape]
        pairs = [((one + two) / 2, (one - two) / np.float32(np.sqrt(2))) for one, two in both if (one != two).any()]
        pairs = pairs or [(plane, plane) for plane in repaired]
    try:
        points = _blocks.points(pairs, low, high)
    except ValueError:
        try:  # nearly everything is clipped: better than nothing
            points = _blocks.points(pairs)
        except ValueError:
            raise HushError(
                f"an image of {planes[0].shape[0]} x {planes[0].shape[1]} pixels is too small to tell its noise: it takes "
                "24 x 24, or say the noise, for example --noise gaussian:sigma=25"
            ) from None
    lost = step**2 / 12 if step else 0.0  # rounding adds its own variance, which no method can take away
    filled = 1 - 0.8 * fraction  # where an impulse was repaired there is less noise
    points = dataclasses.replace(points, variance=np.maximum(points.variance / filled - lost, 0))
    line = _blocks.line(points)
    spectrum = _blocks.spectrum(points, line)
    white = spectrum.score <= NOT_WHITE
    scale = 1.0 if white else spectrum.ratio
    kind, a, b, sigma = _kind(points, line, float(np.ptp(np.percentile(values, [0.5, 99.5]))), step)
    a, b, sigma = a * scale, b * scale, sigma * float(np.sqrt(scale))
    model = PoissonGaussian.from_line(a, b) if a > 0 else None
    ends = np.sqrt(np.maximum(scale * (line.level + np.array([-1, 1]) * line.error_level), 0))
    return ChannelNoise(
        kind=kind,
        gain=model.gain if model else 0.0,
        offset=model.offset if model else 0.0,
        sigma=model.sigma if model and kind not in ("speckle", "rician") else sigma,
        a=a,
        b=b,
        interval={
            "a": (scale * (line.a - line.error_a), scale * (line.a + line.error_a)),
            "level": (float(ends[0]), float(ends[1])),
        },
        white=white,
        lags={f"{y},{x}": round(value, 3) for (y, x), value in spectrum.lags.items() if (y, x) != (0, 0)},
        mask=None if white else _mask(spectrum.lags),
        impulse_fraction=fraction,
        impulse_values=odd,
        clipped_low=low,
        clipped_high=high,
        quantisation=step,
        stripes=defects.stripes(repaired[0], float(np.sqrt(scale * line.level))),
        chequerboard=defects.chequerboard(repaired[0], float(np.sqrt(scale * line.level))),
        middle=line.middle,
        points=tuple(
            (float(m), float(v) * scale, float(w))
            for m, v, w in zip(points.mean, points.variance, line.weights, strict=True)
        ),
        flat=points.flat,
    )


def _kind(points: _blocks.Points, line: _blocks.Line, extent: float, step: float | None) -> tuple[str, float, float, float]:
    """Choose the kind: (kind, a, b, sigma)."""
    level = float(np.sqrt(max(line.level, 0)))
    if level < max(0.5 * (step or 0), 0.001 * extent):
        return "none", 0.0, max(line.level, 0.0), level
    trusted = points.mean[line.weights > 0.3] if (line.weights > 0.3).sum() > 2 else points.mean
    reach = float(np.ptp(trusted))
    if _is_rician(points, line):
        bright = float(np.sqrt(np.median(points.variance[len(points.variance) // 2 :])))
        return "rician", 0.0, bright**2, bright
    if abs(line.a) > line.error_a and line.a * reach > 0.15 * line.level:
        if _is_speckle(points, line):
            ratio = float(np.median(np.sqrt(points.variance) / np.maximum(points.mean, 1e-9)))
            return "speckle", line.a, line.b, 255 * ratio
        error_b = float(np.hypot(line.error_level, line.middle * line.error_a))
        return ("poisson" if abs(line.b) <= error_b else "poisson_gaussian"), line.a, line.b, level
    flat = _blocks.line(points, flat=True)
    sigma = float(np.sqrt(max(flat.level, 0)))
    return "gaussian", 0.0, sigma**2, sigma


def _is_speckle(points: _blocks.Points, line: _blocks.Line) -> bool:
    """Whether the variance grows with the square of brightness rather than along a line."""
    use = line.weights > 0.05
    mean, variance = points.mean[use], points.variance[use]
    if len(mean) < 6 or mean.min() <= 0 or mean.max() < 3 * mean.min():
        return False
    slope = np.polyfit(np.log(mean), np.log(np.maximum(variance, 1e-12)), 1)[0]
    ratio = np.sqrt(variance) / mean
    return bool(slope > 1.7 and ratio.std() < 0.1 * ratio.mean())


def _is_rician(points: _blocks.Points, line: _blocks.Line) -> bool:
    """Whether the darkest blocks are Rayleigh noise: mean 1.91 deviations, at .43 of the bright variance."""
    if len(points.mean) < 6 or points.mean[0] <= 0:
        return False
    dark = points.mean[:2] / np.sqrt(np.maximum(points.variance[:2], 1e-12))
    bright = points.variance[len(points.variance) // 2 :]
    rise = np.median(bright) / max(float(points.variance[:2].mean()), 1e-12)
    level = bright.std() < 0.15 * bright.mean()
    return bool((np.abs(dark - 1.913) < 0.15).all() and 1.9 < rise < 2.8 and level)


def _mask(lags: dict[tuple[int, int], float]) -> str:
    """Neighbours that share noise, as structN2V takes them: an odd rectangle, or a cross."""
    reach = [2 * k if lags[2 - 2 * axis, 2 * axis] > 0.1 else k * (lags[1 - axis, axis] > 0.05) for axis, k in ((0, 1), (1, 1))]
    down, across = reach
    if not (down or across):
        across = 1
    if lags[1, 1] > 0.1:
        return f"{2 * max(down, 1) + 1}x{2 * max(across, 1) + 1}"
    if down and across:
        rows = [
            "".join("1" if y == down or x == across else "0" for x in range(2 * across + 1))
            for y in range(2 * down + 1)
        ]
        return ",".join(rows)
    return f"{2 * down + 1}x{2 * across + 1}"


def _without_dark(image: Image, dark: Image) -> Image:
    pattern = np.asarray(dark.data, np.float32)
    while pattern.ndim > 2 and pattern.shape != image.data.shape:
        pattern = pattern.mean(0)
    if pattern.shape != image.data.shape[-pattern.ndim :]:
        raise HushError(f"the dark image has shape {dark.data.shape}, and the image {image.data.shape}")
    return dataclasses.replace(image, data=np.asarray(image.data, np.float32) - pattern)


def _said(found: ChannelNoise, model: NoiseModel) -> ChannelNoise:
    """Replace what was found by what the user says."""
    mean, variance = model.moments(np.array([[found.middle], [found.middle + 1.0]]))
    values = model.parameters
    a = float(variance[1, 0] - variance[0, 0])
    b = float(variance[0, 0]) - a * found.middle
    gain = float(getattr(model, "gain", 0.0))
    kind = type(model).__module__.rpartition(".")[2]
    kind = kind if kind in ("gaussian", "poisson", "poisson_gaussian", "speckle", "rician") else "gaussian"
    sigma = float(values.get("sigma", 0.0 if gain else np.sqrt(max(float(variance[0, 0]), 0.0))))
    offset = float(values.get("offset", 0.0))
    interval = {"a": (a, a), "level": (float(np.sqrt(max(variance[0, 0], 0))),) * 2}
    return dataclasses.replace(
        found, kind=kind, gain=gain, offset=offset, sigma=sigma, a=a, b=b, interval=interval, said=True
    )  # type: ignore[arg-type]


def _camera(found: ChannelNoise, gain: float | None, offset: float | None, read: float | None) -> ChannelNoise:
    """Replace single parameters of the camera by what the user says."""
    gain = found.gain if gain is None else gain
    if gain <= 0:
        raise HushError("--offset and --read-noise need --gain: no photon noise was found in this image")
    offset = found.offset if offset is None else offset
    sigma = found.sigma if read is None else read
    model = PoissonGaussian(gain, offset, sigma)
    return dataclasses.replace(
        found, kind="poisson_gaussian", gain=gain, offset=offset, sigma=sigma, a=model.a, b=model.b, said=True
    )


NAMES = {
    "none": "no noise",
    "gaussian": "Gaussian noise",
    "poisson": "photon (Poisson) noise",
    "poisson_gaussian": "photon and read (Poisson-Gaussian) noise",
    "speckle": "speckle",
    "rician": "Rician (magnitude MRI) noise",
}


def _verdict(channels: Sequence[ChannelNoise]) -> str:
    one = max(channels, key=lambda channel: channel.level)
    if one.kind == "none":
        text = "No noise to speak of was found"
    elif one.gain > 0 and one.kind != "speckle":
        shift = f" less {one.offset:.4g}" if one.offset else ""
        read = f", and {one.sigma:.4g} of read noise" if one.sigma else ""
        text = f"{NAMES[one.kind]}, {one.gain:.4g} a photon{shift}{read}: {one.level:.4g} at {one.middle:.4g}"
    else:
        text = f"{NAMES[one.kind]} of standard deviation {one.sigma:.4g}"
    text = text[0].upper() + text[1:]
    extras = ["" if one.white else f"neighbours share it (correlation {max(one.lags['0,1'], one.lags['1,0']):.2f})"]
    extras += [f"{100 * one.impulse_fraction:.2g} % of the pixels are impulses" if one.impulse_fraction else ""]
    extras += [f"stripes along {axis} ({value:.3g})" for axis, value in one.stripes.items()]
    extras += [f"a chequerboard ({one.chequerboard:.3g})" if one.chequerboard else ""]
    extras += [f"cut off at {one.clipped_low:g}" if one.clipped_low is not None else ""]
    extras += [f"cut off at {one.clipped_high:g}" if one.clipped_high is not None else ""]
    extras += ["little of the image is flat, texture may pass for noise" if 0 < one.flat < 0.02 else ""]
    several = f" (the noisiest of {len(channels)} channels)" if len(channels) > 1 else ""
    return "; ".join([text + several, *filter(None, extras)]) + "."


def recommend(channels: Sequence[ChannelNoise]) -> dict[str, Any]:
    """Suggest a method for noise like this: ``method``, ``settings``, ``reason``."""
    one = max(channels, key=lambda channel: channel.level)
    if all(channel.kind == "none" and not channel.impulse_fraction for channel in channels):
        return {"method": None, "settings": {}, "reason": "there is no noise to remove"}
    if not one.white or one.stripes:
        mask = one.mask or ("1x11" if "rows" in one.stripes else "11x1")
        why = "stripes" if one.stripes and one.white else "neighbours share their noise"
        return {
            "method": "structn2v",
            "settings": {"mask": mask},
            "reason": f"{why}: a method that predicts a pixel from its neighbours must not see those under {mask}",
        }
    if one.gain > 0 and one.kind != "speckle":
        return {"method": "bm3d", "settings": {}, "reason": "white noise that grows with brightness: stabilised, then BM3D"}
    return {"method": "bm3d", "settings": {}, "reason": "white noise of one level: BM3D"}
