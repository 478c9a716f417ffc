"""What flat blocks say of the noise of an image, and what a learned estimate changes in it."""

from __future__ import annotations

import dataclasses
from itertools import pairwise
from typing import Any, Literal

import numpy as np

from hush.core.errors import HushError
from hush.core.findings import Finding
from hush.core.image import Array, Image, as_image
from hush.core.metrics import data_range
from hush.core.tiling import windows
from hush.core.units import Units
from hush.estimation import air, artifacts, flat_blocks, low_count
from hush.estimation import level as levels
from hush.estimation.impulses import cleared, without_impulses
from hush.estimation.learned import Estimator, with_learned_level
from hush.estimation.no_data import no_data
from hush.estimation.outliers import outliers
from hush.estimation.report import ChannelNoise, NoiseReport, recommend, verdict
from hush.estimation.stripes import amplitudes, without_stripes
from hush.noise import Noise, NoiseModel, _whole
from hush.noise.poisson_gaussian import PoissonGaussian
from hush.noise.speckle import Speckle

PLANES_LOOKED_AT = 8  # of a channel that are looked at
PHOTON_KINDS = ("poisson", "poisson_gaussian")
WRONG_FACTOR = 2.0  # factor between the variance that was given and the one found, from which on there is a doubt


def analyze(
    image: Image | Array,
    *,
    noise: Noise | NoiseModel | None = None,
    gain: float | None = None,
    offset: float | None = None,
    read_noise: float | None = None,
    dark: Image | Array | None = None,
    hot_pixels: Literal["keep", "remove"] = "keep",
    estimator: Estimator | None = None,
) -> NoiseReport:
    """Find out what noise is in an image: see `hush.pretrained.analyze`, which hands over the shipped estimator.

    Parameters
    ----------
    image, noise, gain, offset, read_noise, dark, hot_pixels
        As there.
    estimator : callable, optional
        What has learned to tell the level; without it texture may pass for noise where few blocks are flat.

    Examples
    --------
    >>> noisy = np.random.default_rng(0).normal(100, 20, (128, 128))
    >>> report = analyze(noisy)
    >>> report.channels[0].kind, round(report.channels[0].sigma)
    ('gaussian', 20)
    """
    image = as_image(image)
    if dark is not None:
        image = without_dark(image, as_image(dark))
    stacks = _stacks(image)
    found = [_found(*stack, estimator) for stack in stacks]
    if image.meta.get("magnitude") and noise is None and gain is None:
        found = [air.as_rician(one, list(map(_measured, parts))) for one, (parts, _) in zip(found, stacks, strict=True)]
    if hot_pixels == "remove":
        found = [dataclasses.replace(one, impulses_stay=False) for one in found]
    if noise is not None:
        found = [_said(one, noise) for one in found]
    if not (gain is None and offset is None and read_noise is None):
        found = [_camera(one, gain, offset, read_noise) for one in found]
    peak = data_range(image)
    return NoiseReport(tuple(found), peak, verdict(found), recommend(found))


def _stacks(image: Image) -> list[tuple[list[Array], bool]]:
    """Planes of each channel (and colour), and whether they are frames of one scene."""
    groups: dict[tuple[int, int], list[Array]] = {}
    for plane in image.planes(2):
        for sample, view in enumerate(plane.view(image.data)):
            groups.setdefault((plane.channel, sample), []).append(view)
    frames = image.sizes.get("T", 1) > 1 and image.sizes.get("Z", 1) == 1
    stacks = []
    for views in groups.values():
        if len(views) > PLANES_LOOKED_AT:
            start = (len(views) - PLANES_LOOKED_AT) // 2 if frames else 0
            spread = np.linspace(0, len(views) - 1, PLANES_LOOKED_AT).astype(int)
            at = range(start, start + PLANES_LOOKED_AT) if frames else spread
            views = [views[i] for i in at]
        stacks.append(([part for view in views for part in windows(view)], frames))
        if frames and len(views) * 4 == len(stacks[-1][0]):  # all frames of a window in a row
            parts = stacks[-1][0]
            stacks[-1] = ([parts[i] for k in range(4) for i in range(k, len(parts), 4)], frames)
    return stacks


def _found(parts: list[Array], frames: bool, estimator: Estimator | None = None) -> ChannelNoise:
    """Analyse the planes of one channel, in units near one; where pixels are missing all over, by those beside them."""
    parts = [_measured(np.asarray(part)) for part in parts]
    units = Units.of_arrays(parts)
    planes = [units.values(part) for part in parts]
    try:
        found = _striped(planes, frames, estimator)
    except flat_blocks.TooFewBlocksError:
        found = _small(planes)
    return found.in_units(units.inverse)


def _measured(part: Array) -> Array:
    """A plane with NaN where it holds no data, and where single pixels or lines are far beyond all others."""
    for find in (no_data, outliers):
        where = find(part)
        if where is not None:
            part = np.where(where, np.nan, part.astype(np.promote_types(part.dtype, np.float32)))
    return part


def _striped(planes: list[Array], frames: bool, estimator: Estimator | None) -> ChannelNoise:
    """Analyse the planes of one channel; where rows or columns have offsets of their own, once more without them.

    Differences of frames hold nothing but noise: of them nobody else is asked for the level.
    """
    first = found = _channel(planes, frames)
    stripes: dict[str, float] = {}
    while found.stripes.keys() - stripes.keys():
        new = {axis: value for axis, value in found.stripes.items() if axis not in stripes}
        stripes |= new
        planes = [without_stripes(plane, new) for plane in planes]
        found = _channel(planes, frames)
    if estimator is not None and not (frames and len(planes) > 1):
        seen = cleared(planes) if found.impulse_fraction else planes
        found = with_learned_level(found, seen, estimator)
    if not stripes:
        return found
    pixels = {name: getattr(first, name) for name in ("quantisation", "clipped_low", "clipped_high")}
    return dataclasses.replace(found, stripes=stripes, **pixels)


def _channel(planes: list[Array], frames: bool) -> ChannelNoise:
    """Analyse the planes of one channel."""
    planes = [np.where(np.isfinite(plane), plane, np.float32(np.nan)) for plane in planes]
    values = np.concatenate([plane[np.isfinite(plane)][:: max(1, plane.size >> 18)] for plane in planes])
    if values.size < 2 or values.min() == values.max():
        return ChannelNoise("none", 0.0, 0.0, 0.0, 0.0, 0.0)
    step = artifacts.quantisation(values)
    repaired, fraction, odd, stay, lost = without_impulses(planes)
    if lost:  # at the end of the values they are not what is cut off there, and dark ones not a low count
        planes, values = repaired, values[~np.isin(values, odd)]
    low, high = artifacts.clipped(values)
    if sum((plane.shape[0] - 4) // 4 * ((plane.shape[1] - 4) // 4) for plane in planes if min(plane.shape) >= 8) < 16:
        return _small(planes)
    light = low_count.counted(planes, step)
    if light is not None or low is not None:
        points, line = _fit(_pairs(planes, frames), None, None, None, 0)
        if light is not None:
            return _few(light, points, line, high, step)
        spectrum = flat_blocks.spectrum(points, line)
        light = low_count.amplified(planes, low, spectrum.shared, high) if low is not None else None
        if light is not None:
            return _few(light, points, line, high, step, spectrum.lags, levels.is_white(spectrum))
    pairs = _pairs(repaired, frames)
    points, line = _fit(pairs, low, high, step, fraction)
    if fraction and not lost and (not odd or line.a > line.error_a > 0):
        # photons come in gains: what looked like impulses may be rare bright ones

        def explained(middle: Array) -> Array:
            return 5 * (np.sqrt(np.maximum(line.a * middle + line.b, max(0.2 * line.level, 0.0))) + max(line.a, 0.0))

        repaired, fraction, odd, stay, _ = without_impulses(planes, explained)
        pairs = _pairs(repaired, frames)
        points, line = _fit(pairs, low, high, step, fraction)
    extent = float(np.ptp(np.percentile(values, [0.5, 99.5])))
    one = levels.find(pairs, points, line, (low, high), step, extent)
    light = low_count.above_dark(repaired if odd else planes, step, low is not None, one.shared, high)
    if light is not None and one.kind not in PHOTON_KINDS:  # but for a few pixels all is dark
        return _few(light, points, line, high, step, one.lags, one.white)
    light = light if one.white else None
    if light is not None:
        one = dataclasses.replace(one, kind=light.kind, a=light.line[0], b=light.line[1])
    points, line, level = one.points, one.line, float(np.sqrt(max(one.line.level, 0)))
    if one.kind in PHOTON_KINDS and light is None:
        a, b = _above(one.a, one.b, points, line)
        one = dataclasses.replace(one, a=a, b=b)
    model = PoissonGaussian.from_line(one.a, one.b) if one.a > 0 else None
    if model and one.b > 0 and points.mean.min() >= 0:  # nothing below zero: an offset of none, and read noise
        model = PoissonGaussian(one.a, 0.0, float(np.sqrt(one.b)))
    if light is not None and light.sigma:
        model = PoissonGaussian(light.gain, light.offset, light.sigma)
    interval = {"a": (line.a - line.error_a, line.a + line.error_a), "level": one.ends}
    if one.kind == "rician":  # of one level, whatever the line through its dark parts
        interval["a"] = (min(interval["a"][0], one.a), max(interval["a"][1], one.a))
    return ChannelNoise(
        kind=one.kind,
        gain=model.gain if model else 0.0,
        offset=model.offset if model else 0.0,
        sigma=model.sigma if model and one.kind not in ("speckle", "rician") else one.sigma,
        a=one.a,
        b=one.b,
        interval=light.interval(line.middle) if light else interval,
        white=one.white,
        lags=_named(one.lags),
        mask=None if one.white else _mask(one.lags),
        impulse_fraction=fraction,
        impulse_values=odd,
        impulses_stay=stay,
        clipped_low=low,
        clipped_high=high,
        quantisation=step,
        stripes=amplitudes(repaired[0], level),
        chequerboard=artifacts.chequerboard(repaired[0], level),
        middle=line.middle,
        points=tuple(
            (float(m), float(v), float(w)) for m, v, w in zip(points.mean, points.variance, line.weights, strict=True)
        ),
        flat=points.flat,
        apart=light is not None,
        positive=low is None and bool(values.min() >= 0),
    )


def _above(a: float, b: float, points: flat_blocks.Points, line: flat_blocks.Line) -> tuple[float, float]:
    """The line, turned about its middle where it is below zero at a signal: there is none without its noise."""
    dark = float(points.mean.min())
    if not (a > 0 and line.middle > dark and -b / a > dark + a):
        return a, b
    slope = (a * line.middle + b) / (line.middle - dark)
    return slope, -slope * dark


def _few(
    light: low_count.Photons,
    points: flat_blocks.Points,
    line: flat_blocks.Line,
    high: float | None,
    step: float | None,
    lags: dict[tuple[int, int], float] | None = None,
    white: bool = True,
) -> ChannelNoise:
    """Few photons, and nothing else: what is known of them does not come from flat blocks, but how they are smeared."""
    a, b = light.line
    ones = zip(points.mean, points.variance, np.ones_like(points.mean), strict=True)
    return ChannelNoise(
        kind=light.kind,
        gain=light.gain,
        offset=light.offset,
        sigma=light.sigma,
        a=a,
        b=b,
        interval=light.interval(line.middle),
        white=white,
        lags=_named(lags or {}),
        mask=None if white or not lags else _mask(lags),
        clipped_high=high,
        quantisation=step,
        middle=line.middle,
        points=tuple((float(mean), float(variance), float(weight)) for mean, variance, weight in ones),
        flat=points.flat,
        apart=True,
        binary=light.binary,
    )


def _small(planes: list[Array]) -> ChannelNoise:
    """Judge an image of a few pixels by the differences of neighbours."""
    steps = [np.diff(plane, axis=axis).ravel() for plane in planes for axis in (0, 1)]
    away = np.abs(np.concatenate(steps))
    away = away[np.isfinite(away)]
    sigma = 1.4826 * float(np.median(away)) / float(np.sqrt(2)) if away.size else 0.0
    spread = 1 + 3 / float(np.sqrt(max(1, away.size)))
    kind = "gaussian" if sigma > 0 else "none"
    return ChannelNoise(kind, 0.0, 0.0, sigma, 0.0, sigma**2, {"level": (sigma / spread, sigma * spread)})


def _pairs(planes: list[Array], frames: bool) -> list[tuple[Array, Array]]:
    """(brightness, noisy): the same plane twice, or mean and difference of two frames."""
    pairs = [(plane, plane) for plane in planes]
    if frames and len(planes) > 1:
        both = [(one, two) for one, two in pairwise(planes) if one.shape == two.shape and (one != two).any()]
        half = np.float32(np.sqrt(2))  # the difference of two frames has twice the variance
        pairs = [((one + two) / 2, (one - two) / half) for one, two in both] or pairs
    return pairs


def _fit(
    pairs: list[tuple[Array, Array]], low: float | None, high: float | None, step: float | None, fraction: float
) -> tuple[flat_blocks.Points, flat_blocks.Line]:
    """Measure variance against brightness and fit the line."""
    try:
        points = flat_blocks.points(pairs, low, high)
    except flat_blocks.TooFewBlocksError:  # nearly everything is clipped: better than nothing
        points = flat_blocks.points(pairs)
    lost = step**2 / 12 if step else 0.0  # rounding adds its own variance, which no method can take away
    filled = 1 - 0.8 * fraction  # where an impulse was repaired there is less noise
    points = dataclasses.replace(points, variance=np.maximum(points.variance / filled - lost, 0))
    return points, flat_blocks.line(points)


def _named(lags: dict[tuple[int, int], float]) -> dict[str, float]:
    return {f"{y},{x}": round(value, 3) for (y, x), value in lags.items() if (y, x) != (0, 0)}


def _mask(lags: dict[tuple[int, int], float]) -> str:
    """Neighbours that share noise, as structN2V takes them: an odd rectangle, or a cross."""
    down = 2 if lags[2, 0] > 0.1 or lags[1, 0] > 0.45 else int(lags[1, 0] > 0.05)
    across = 2 if lags[0, 2] > 0.1 or lags[0, 1] > 0.45 else int(lags[0, 1] > 0.05 or not down)
    if lags[1, 1] > 0.1:
        return f"{2 * max(down, 1) + 1}x{2 * max(across, 1) + 1}"
    if not (down and across):
        return f"{2 * down + 1}x{2 * across + 1}"
    high, wide = 2 * down + 1, 2 * across + 1
    return ",".join("".join("01"[y == down or x == across] for x in range(wide)) for y in range(high))


def without_dark(image: Image, dark: Image) -> Image:
    """Return an image, in float32, less what every pixel shows without light.

    Raises
    ------
    HushError
        When the two have different shapes.
    """
    pattern = np.asarray(dark.data, np.float32)
    while pattern.ndim > 2 and pattern.shape != image.data.shape:
        pattern = pattern.mean(0)
    if pattern.shape != image.data.shape[-pattern.ndim :]:
        raise HushError(f"the dark image has shape {dark.data.shape}, and the image {image.data.shape}")
    return dataclasses.replace(image, data=np.asarray(image.data, np.float32) - pattern)


def _said(found: ChannelNoise, noise: Noise | NoiseModel) -> ChannelNoise:
    """Replace what was found by what the user says: all of it; between the ends of a range what was found decides."""
    bright = [point[0] for point in found.points]
    ends = (min(bright), max(bright)) if len(set(bright)) > 1 else (found.middle, found.middle + 1.0)
    if isinstance(noise, NoiseModel):
        return _replaced(found, noise, ends)
    if not noise.ranges:
        return _replaced(found, noise.at([]), ends)
    model, limits = _whole.decided(noise, lambda x: found.a * x + found.b, ends)
    said = _replaced(found, model, ends)
    quiet, loud = (_replaced(found, limit, ends) for limit in limits)
    if found.kind == "none" and quiet.level <= found.level:  # less than anybody sees, and that is one of the possible
        said = dataclasses.replace(found, given=True)
    interval = {}
    for name, (low, high) in found.interval.items():
        here, *both = (one.a if name == "a" else one.level for one in (said, quiet, loud))
        least, most = np.clip([low, high], min(both), max(both))
        interval[name] = min(float(least), here), max(float(most), here)
    return dataclasses.replace(said, interval=interval)


def _replaced(found: ChannelNoise, model: NoiseModel, ends: tuple[float, float]) -> ChannelNoise:
    """Replace what was found by a model."""
    share, left = _whole.remaining(model)
    stripes = _whole.stripes(model)
    if left is None:  # pixels are lost or stuck, or rows are off: what noise the others have, the image says better
        return dataclasses.replace(found, given=True, stripes=found.stripes | stripes)
    lost, pixelwise, model = share < 1, left.pixelwise, _whole.as_one(left, ends)
    if not lost:
        found = dataclasses.replace(found, impulse_fraction=0.0, impulse_values=(), impulses_stay=False)
    if pixelwise:
        found = dataclasses.replace(found, white=True, mask=None, stripes=stripes, chequerboard=0.0)
    _, variance = model.moments(np.array([[found.middle], [found.middle + 1.0]]))
    values = model.parameters
    a = float(variance[1, 0] - variance[0, 0])
    b = float(variance[0, 0]) - a * found.middle
    gain = float(getattr(model, "gain", 0.0))
    kind = type(model).__module__.rpartition(".")[2].replace("emccd", "poisson_gaussian")
    kind = kind if kind in ("gaussian", "poisson", "poisson_gaussian", "speckle", "rician") else "gaussian"
    level = float(np.sqrt(max(float(variance[0, 0]), 0.0)))
    sigma = float(values.get("sigma", 0.0 if gain else level) or 0.0)
    if kind == "speckle":
        sigma *= Speckle.peak / float(values.get("peak") or Speckle.peak)
    offset = float(values.get("offset") or 0.0)
    interval = {"a": (a, a), "level": (level, level)}
    doubt = _doubt(found, model)
    told: dict[str, Any] = {"kind": kind, "gain": gain, "offset": offset, "sigma": sigma, "a": a, "b": b}
    return dataclasses.replace(found, **told, interval=interval, given=True, doubt=doubt, apart=gain > 0)


def _doubt(found: ChannelNoise, model: NoiseModel) -> Finding | None:
    """Say where the noise that was given is far from what was found: a wrong model costs decibels."""
    if found.kind == "none" or len(found.points) < 4 or not model.pixelwise:
        return None
    ends = np.quantile([point[0] for point in found.points], [0.05, 0.95])
    said = model.moments(ends[:, None])[1][:, 0]
    little = 0.1 * found.level**2  # where there is little noise, a factor of it is little as well
    seen = np.maximum(found.a * ends + found.b, little)
    factors = np.maximum(said, little) / seen
    worst = int(np.argmax(np.abs(np.log(factors))))
    if 1 / WRONG_FACTOR < factors[worst] < WRONG_FACTOR:
        return None
    sentence = (
        f"{model} was given, but at brightness {ends[worst]:.4g} the noise found has the variance {seen[worst]:.4g}, "
        f"not {said[worst]:.4g}: it looks like {found.model}"
    )
    return Finding("given-differs", sentence, float(factors[worst]))


def _camera(found: ChannelNoise, gain: float | None, offset: float | None, read: float | None) -> ChannelNoise:
    """Replace single parameters of the camera by what the user says."""
    gain = found.gain if gain is None else gain
    if gain <= 0:
        raise HushError("--offset and --read-noise need --gain: no photon noise was found in this image")
    model = PoissonGaussian(gain, found.offset if offset is None else offset, found.sigma if read is None else read)
    dark = min((point[0] for point in found.points), default=found.middle)
    if offset is None and dark < model.offset:  # there is signal below: the line with this slope through what was found
        model = PoissonGaussian.from_line(gain, found.level**2 - gain * found.middle)
    found = dataclasses.replace(found, gain=model.gain, offset=model.offset, sigma=model.sigma, a=model.a, b=model.b)
    return dataclasses.replace(found, kind="poisson_gaussian", given=True, apart=True)
