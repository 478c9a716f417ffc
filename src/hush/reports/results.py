"""A results folder of one denoised image: its figures in ``result.json``, and pictures for display."""

from __future__ import annotations

import ast
import dataclasses
import json
import math
import os
import platform
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image as Picture

from hush import __version__
from hush.core import files, registry
from hush.core.image import Array, Image
from hush.quality.residual import Pair, correlation, measure, summary, trust

if TYPE_CHECKING:
    from hush.methods._base import Result

FORMAT = 1
PICTURE_SIDE = 1024  # longest side of a picture
SETS, PLANES_SHOWN = 24, 6  # sets of before, after and noise in all; planes of a channel
# in all sets together: noise does not compress, and this keeps the page below about 60 MB
VALUES = 16 * PICTURE_SIDE**2
HISTOGRAM_SAMPLE = 1 << 22  # values of a channel from which its numbers are measured
HUGE = 1 << 28  # pixels of a plane beyond which an overview reads one row of each block only
# what is taken over from a result as it is
DONE = ("tried", "kept", "steps", "seconds", "seed", "device", "precision", "peak_memory_mb", "axes", "ndim")


def collect(folder: str | os.PathLike[str], noisy: Image, result: Result, *, command: str) -> None:
    """Write everything that the page shows of one denoised image into a folder.

    Parameters
    ----------
    folder : path
        Made when it does not exist; gets ``result.json`` (written last) and PNG files for display.
    noisy : Image
        The image that was denoised. Of its metadata only the base name of the file, the pixel size and
        the channels' names are used: a description may hold a patient's name.
    result : Result
        What the denoiser gave.
    command : str
        What was typed; absolute paths are cut to their last part.
    """
    folder = Path(folder)
    record = folder / "result.json"
    with files.plain_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        record.unlink(missing_ok=True)  # a folder half written must not pass for a whole one
    chosen, views = _choose(noisy, result.image)
    windows = _windows([pairs[len(pairs) // 2] for pairs in chosen.values()], views)
    info, medical = result.info, bool(noisy.meta.get("medical"))
    method, about = _method(str(info.get("chosen") or info.get("method") or "This method"))
    channels, sets = [], []
    for number, pairs in chosen.items():
        channel, pictures = _channel(folder, number, pairs, windows, noisy, _expected(info))
        channels.append(channel)
        sets += pictures
    short = without_directories(command)
    facts = {
        "format": FORMAT,
        "summary": summary(method, channels),
        "input": _input(noisy) | {"medical": medical, "planes": sum(1 for _ in noisy.planes())},
        "done": {"method": info.get("method"), "title": method, "about": about, "reason": info.get("reason")}
        | {key: info[key] for key in DONE if info.get(key) is not None},
        "settings": dict(info.get("settings") or {}),
        "warnings": list(info.get("warnings") or []),
        "decisions": list(info.get("decisions") or []),
        "noises": list(info.get("noises") or []),
        "stages": _stages(folder, info, channels[0]["range"]),
        "trust": trust(channels),
        "command": short,
        "shortened": short != command,
        "versions": _versions(),
        "loss": [_spread(list(curve), 500) for curve in info.get("loss") or []],
        "channels": channels,
        "sets": sets,
    }
    files.write_text(record, _readable(_plain(facts)))


def without_directories(command: str) -> str:
    """Cut the absolute paths of a command line to their last part.

    Examples
    --------
    >>> without_directories("hush denoise '/home/ann b/in.tif' -o=/data/out.tif sub/x.tif")
    'hush denoise in.tif -o=out.tif sub/x.tif'
    """
    lexer = shlex.shlex(command, posix=True, punctuation_chars=False)
    lexer.whitespace_split, lexer.commenters = True, ""
    if re.search(r"[A-Za-z]:\\|\\\\", command):
        lexer.escape = ""  # Windows: a backslash parts folders
    try:
        words = list(lexer)
    except ValueError:  # an open quote
        words = re.sub("['\"]", " ", command).split()
    path = re.compile(r"(-\w(?=[/~])|[^=/\\~]*=|)((?:file://|~|[A-Za-z]:[\\/]|[\\/]).*)", re.DOTALL)
    found = [path.fullmatch(word) for word in words]
    if not any(found):
        return command
    short = [hit[1] + _base(hit[2]) if hit else word for word, hit in zip(words, found, strict=True)]
    return shlex.join(short)


def _base(path: str) -> str:
    return re.split(r"[\\/]", path.rstrip("\\/"))[-1]


def _no_paths(text: str) -> str:
    """Cut absolute paths in running text; quoted ones may hold spaces."""
    text = re.sub(r"""(['"])(?:[A-Za-z]:|~)?[\\/][^'"\n]*[\\/](?=[^'"\n]*\1)""", r"\1", text)
    return re.sub(r"""(?<![\w/.:\\])(?:[A-Za-z]:|~)?[\\/](?:[^\s\\/'":;,]+[\\/])+""", "", text)


def _plain(value: Any) -> Any:
    """Make a value fit for JSON: no NaN, no numpy types, no absolute paths; a record becomes a mapping."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = dataclasses.asdict(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, (bool, np.bool_)):
        return None if value is None else bool(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        return float(f"{value:.7g}") if math.isfinite(value) else None
    return _no_paths(str(value))


def _readable(facts: Any) -> str:
    """Write JSON with rows of numbers on one line each."""
    text = json.dumps(facts, indent=1, ensure_ascii=False, allow_nan=False)
    row = re.compile(r"\[\s+((?:-?\d[\d.e+-]*|null)(?:,\s+(?:-?\d[\d.e+-]*|null))*)\s+\]")
    return row.sub(lambda hit: "[" + re.sub(r"\s+", " ", hit[1]) + "]", text) + "\n"


def _spread(items: Sequence[Any], count: int) -> list[Any]:
    """Return `count` of the items, evenly spaced, the first and the last among them; one: the middle."""
    if count >= len(items):
        return list(items)
    at = np.linspace(0, len(items) - 1, count) if count > 1 else [len(items) // 2]
    return [items[round(float(i))] for i in at]


def _choose(noisy: Image, clean: Image) -> tuple[dict[int, list[Pair]], int]:
    """Choose the planes that are shown, by channel, and how many views each gets (overview and crops)."""
    by_channel: dict[int, list[Any]] = {}
    for plane in noisy.planes():
        by_channel.setdefault(plane.channel, []).append(plane)
    shown = _spread(sorted(by_channel), SETS)
    height, width = noisy.sizes["Y"], noisy.sizes["X"]
    most = len(by_channel[0])
    views = 1 if max(height, width) <= PICTURE_SIDE else 4 if most == 1 else 2
    values = min(height, PICTURE_SIDE) * min(width, PICTURE_SIDE) * noisy.samples()
    sets = max(1, min(SETS, VALUES // values) // len(shown))
    planes = max(1, min(PLANES_SHOWN, most, sets // views))
    chosen = {}
    for channel in shown:
        pairs = []
        for plane in _spread(by_channel[channel], planes):
            label = " ".join(part for part in plane.label.split() if not part.startswith("C="))
            pairs.append(Pair(label, plane.view(noisy.data), plane.view(clean.data)))
        chosen[channel] = pairs
    return chosen, max(1, min(views, sets // planes))


def _overview(pair: Pair, step: int, rows: int) -> Array:
    """Return block means of before, after, noise and squared noise, (4, samples, Y / step, X / step)."""
    _, height, width = pair.before.shape
    starts = np.arange(0, width, step)
    out = np.empty((4, pair.before.shape[0], -(-height // step), len(starts)))
    for i, top in enumerate(range(0, height, step)):
        bands = pair.read(slice(top, min(top + rows, height)))
        good = np.isfinite(bands[2])
        count = np.add.reduceat(good.sum(axis=1), starts, axis=-1)
        with np.errstate(all="ignore"):
            for k, band in enumerate((*bands, bands[2] ** 2)):
                total = np.add.reduceat(np.where(good, band, 0).sum(axis=1), starts, axis=-1)
                out[k, :, i] = np.where(count > 0, total / count, np.nan)
    return out


def _windows(pairs: Sequence[Pair], views: int) -> list[tuple[str, int, int]]:
    """Choose where the crops are: centre, most detail, most noise; the same places in all planes."""
    _, height, width = pairs[0].before.shape
    if views < 2:
        return []
    high, wide, step = min(height, PICTURE_SIDE), min(width, PICTURE_SIDE), -(-max(height, width) // PICTURE_SIDE)
    maps = np.zeros((2, -(-height // step), -(-width // step)))  # detail, noise
    for pair in pairs:
        _, after, _, energy = np.nan_to_num(_overview(pair, step, 1)).mean(axis=1)
        slope = sum(np.abs(np.diff(after, axis=a, append=np.take(after, [-1], a))) for a in (0, 1))
        maps += [score / (score.max() or 1) for score in (slope, energy)]
    corners = [
        (int(y), int(x))
        for y in np.linspace(0, height - high, -(-height // PICTURE_SIDE))
        for x in np.linspace(0, width - wide, -(-width // PICTURE_SIDE))
    ]
    found = [("centre", (height - high) // 2, (width - wide) // 2)]
    for title, score in zip(("most detail", "largest residual"), maps, strict=True):
        free = [
            c
            for c in corners
            if all(max(0, high - abs(c[0] - y)) * max(0, wide - abs(c[1] - x)) * 2 < high * wide for _, y, x in found)
        ]
        worth = [score[y // step : -(-(y + high) // step), x // step : -(-(x + wide) // step)].mean() for y, x in free]
        if free:
            found.append((title, *free[int(np.argmax(worth))]))
    return found[: views - 1]


def _sample(pairs: Sequence[Pair]) -> list[Array]:
    """Return before, after and noise at finite pixels of whole rows: a grid could fall in step with stripes."""
    samples, height, width = pairs[0].before.shape
    rng, each = np.random.default_rng(0), HISTOGRAM_SAMPLE // len(pairs) // samples
    columns = slice(None, None, -(-width // each))
    count = max(1, min(height, each // min(width, each)))
    found = []
    for pair in pairs:
        rows = np.sort(rng.choice(height, count, replace=False)) if count < height else slice(None)
        pieces = np.stack(pair.read(rows, columns)).reshape(3, -1)  # type: ignore[arg-type]
        found.append(pieces[:, np.isfinite(pieces).all(axis=0)])
    return list(np.concatenate(found, axis=1))


def _span(values: Array, dtype: np.dtype[Any]) -> list[float]:
    """Return the display range, 0.1 to 99.8 percent of the values; something sensible when these agree."""
    if dtype.kind == "b" or not values.size:
        return [0.0, 1.0]
    low, high = (float(v) for v in np.percentile(values, [0.1, 99.8]))
    if low == high:
        low, high = float(values.min()), float(values.max())
    pad = max(abs(low), 1.0) / 2 if low == high else 0.0
    return [low - pad, high + pad]


def _channel(
    folder: Path, number: int, pairs: Sequence[Pair], windows: Sequence[Any], noisy: Image, expected: str
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Measure one channel and write its pictures."""
    before, after, noise = _sample(pairs)
    span = _span(before, noisy.data.dtype)
    reach = _reach(noise)
    sets = []
    for index, pair in enumerate(pairs):
        for view, (values, place) in enumerate(_views(pair, windows)):
            # a mean over blocks holds less noise: the overview of a large image gets its own range
            far = reach if place["step"] == 1 else _reach(values[2])
            sides = {"before": span, "after": span, "noise": [-(far or 1.0), far or 1.0]}
            stem = f"c{number}-p{index}-v{view}"
            for (name, side), value in zip(sides.items(), values, strict=True):
                _png(folder / f"{stem}-{name}.png", value, side, missing=0.5 if name == "noise" else 0.0)
            bars = _bars(noisy, place["width"], place["step"])
            sets.append({"channel": number, "plane": pair.label, **place, "noise_range": sides["noise"], "bars": bars})
            sets[-1] |= {name: f"{stem}-{name}.png" for name in sides}
    names = noisy.meta.get("channels") or []
    name = str(names[number]) if number < len(names) else f"channel {number}" if noisy.channels > 1 else ""
    whole = all(array.dtype.kind in "bui" for array in (pairs[0].before, pairs[0].after))
    found = measure(after, noise, whole)
    found |= correlation(pairs, bool(found["std"]), expected)
    size = pairs[0].before.size * sum(1 for _ in noisy.planes()) // noisy.channels
    found |= {"values": int(noise.size), "of": int(size)}
    return {"channel": number, "name": name, "range": span, "noise": found}, sets


def _expected(info: Mapping[str, Any]) -> str:
    """Why the residual may be correlated."""
    if info.get("method") == "structn2v":
        return "the noise is not white, which structn2v expects along its mask"
    noise = info.get("noise") or {}
    striped = any(channel.get("stripes") for channel in noise.get("channels") or [noise])
    return "the stripes that were taken off are in it" if striped else ""


def _reach(noise: Array) -> float:
    """Return the largest size of the residual that its picture shows: 99.8 percent lie below."""
    sizes = np.abs(noise[np.isfinite(noise)])
    return float(np.percentile(sizes, 99.8)) or float(sizes.max()) if sizes.size else 0.0


def _views(pair: Pair, windows: Sequence[Any]) -> Any:
    """Yield the pictures of a plane: the whole of it, then the crops at full resolution."""
    _, height, width = pair.before.shape
    step = -(-max(height, width) // PICTURE_SIDE)
    title = "whole image" if step == 1 else "overview"
    whole = pair.read() if step == 1 else list(_overview(pair, step, 1 if height * width > HUGE else step)[:3])
    size = {"height": whole[0].shape[-2], "width": whole[0].shape[-1]}
    yield whole, {"view": title, "x": 0, "y": 0, **size, "step": step}
    for count, (why, y, x) in enumerate(windows, 1):
        values = pair.read(slice(y, y + PICTURE_SIDE), slice(x, x + PICTURE_SIDE))
        size = {"height": values[0].shape[-2], "width": values[0].shape[-1]}
        yield values, {"view": f"crop {count}: {why}", "x": x, "y": y, **size, "step": 1}


def _png(path: Path, values: Array, span: Sequence[float], missing: float) -> None:
    """Write values of shape (samples, Y, X) as 8 bits, for display only; 3 samples are colours."""
    low, high = span
    with np.errstate(all="ignore"):
        grey = np.clip((values - low) / (high - low), 0, 1)
        grey = np.where(np.isnan(grey), missing, grey)
        grey = grey if len(grey) in (1, 3) else grey.mean(axis=0, keepdims=True)
        pixels = np.rint(grey * 255).astype(np.uint8)
    with files.replacing(path) as hidden:
        Picture.fromarray(pixels[0] if len(pixels) == 1 else np.moveaxis(pixels, 0, -1).copy()).save(hidden)


def _stages(folder: Path, info: Mapping[str, Any], span: Sequence[float]) -> list[str]:
    """Write the picture before, and after each noise that was removed from the first channel; return their names."""
    names = [f"stage-{number}.png" for number, _ in enumerate(info.get("stages") or [])]
    for name, stage in zip(names, info.get("stages") or [], strict=True):
        _png(folder / name, stage, span, missing=0.0)
    return names


def _bars(image: Image, width: int, step: int) -> list[dict[str, Any]]:
    """Return scale bars of round lengths, from at most a quarter of the picture down: one fits at every zoom."""
    size = float(image.scale.get("X") or 0) * step
    if not (image.unit and math.isfinite(size) and size > 0 and width >= 64):
        return []
    bars = []
    for part in (4, 10, 25, 60):
        most = width * size / part
        power = 10.0 ** math.floor(math.log10(most))
        length = max(power * factor for factor in (1, 2, 5) if factor == 1 or power * factor <= most * (1 + 1e-9))
        bars.append({"pixels": length / size, "text": f"{length:g} {image.unit}"})
    return bars


def _input(image: Image) -> dict[str, Any]:
    pixel = [
        {"axis": axis, "size": image.scale[axis], "unit": "s" if axis == "T" else image.unit or ""}
        for axis in image.axes
        if axis in image.scale
    ]
    name = _base(str(image.meta.get("name") or "")) or "image"
    facts = {"name": name, "shape": image.data.shape, "axes": image.axes, "dtype": str(image.data.dtype)}
    stated = {"rescale": dict(image.meta["rescale"])} if image.meta.get("rescale") else {}
    return {**facts, **stated, "pixel": pixel, "channels": [str(c) for c in image.meta.get("channels") or []]}


def _method(name: str) -> tuple[str, str]:
    """Return a method's name for people (its class) and its first line, from the syntax tree: no import of torch."""
    key = name.replace("-", "_")
    file = registry.PACKAGE / "methods" / f"{key}.py"
    if key not in registry.names("methods") or not file.exists():
        return name, ""
    classes = (node.name for node in ast.parse(file.read_text("utf-8")).body if isinstance(node, ast.ClassDef))
    return next((c for c in classes if not c.startswith("_")), name), registry.describe("methods", key)["about"]


def _versions() -> dict[str, str]:
    found = {"hush": __version__, "Python": platform.python_version(), "numpy": np.__version__}
    torch = sys.modules.get("torch")  # asked, not imported
    return found | ({"torch": str(torch.__version__)} if torch is not None else {})
