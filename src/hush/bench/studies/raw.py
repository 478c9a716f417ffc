"""Study: a photograph denoised on the mosaic of the sensor, or after its colours were interpolated."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import ndimage

from hush.bench.tables import difference, groups
from hush.core import registry
from hush.core.image import Array, Image, cast
from hush.datasets.recipes import Item, drawn_noise

BALANCE = np.array([2.0, 1.0, 1.6])  # white balance, which the scene's colours are divided by on the sensor
BLACK_LEVEL, WHITE_LEVEL = 2048, 16383  # of 14 bits, with room for noise below black
SCENE_FINER = 2  # times: a camera's pixels are finer than the detail that a small photograph has
BORDER = 8  # pixels that are not scored: interpolated from one side
SENSOR = {"camera": {"pattern": "RGGB"}}
CELLS = [(0, 0), (0, 1), (1, 0), (1, 1)]  # R, G1, G2, B
# linear interpolation corrected by the second derivative of the colour that is there (Malvar, He and Cutler 2004)
GREEN_AT_OTHERS = (
    np.array([[0, 0, -1, 0, 0], [0, 0, 2, 0, 0], [-1, 2, 4, 2, -1], [0, 0, 2, 0, 0], [0, 0, -1, 0, 0]]) / 8
)
IN_ITS_ROW = (
    np.array([[0, 0, 0.5, 0, 0], [0, -1, 0, -1, 0], [-1, 4, 5, 4, -1], [0, -1, 0, -1, 0], [0, 0, 0.5, 0, 0]]) / 8
)
ACROSS_CORNERS = (
    np.array([[0, 0, -1.5, 0, 0], [0, 2, 0, 2, 0], [-1.5, 0, 6, 0, -1.5], [0, 2, 0, 2, 0], [0, 0, -1.5, 0, 0]]) / 8
)

Row = dict[str, Any]


def row(item: Item, method: Row, recipe: Row) -> Row:
    """Take the scene through a sensor, denoise where the method's setting ``where`` says, and develop.

    ``where`` is ``mosaic`` (planes of one colour, as `hush.io.dng` gives them), ``linear`` (interpolated colours) or
    ``srgb`` (those on the scale of files, 8 bits; ``srgb16``: 16). Peers denoise nothing: ``clean`` has no noise,
    ``noisy`` all of it.
    """
    settings = dict(method["settings"])
    where = settings.pop("where", "mosaic")
    scene = _scene(item.clean, item.peak)
    light = _mosaic(scene / BALANCE)
    stored = _stored(light, item)
    begun = time.perf_counter()
    if method.get("peer") == "clean":
        colours = _developed(light)
    elif "name" not in method:
        colours = _developed(_light(stored))
    elif where == "mosaic":
        planes = Image(_planes(stored), "CYX", meta=SENSOR)
        colours = _developed(_light(_joined(_denoised(planes, method, settings, item.seed))))
    elif where == "linear":
        shown = Image(_developed(_light(stored)).astype(np.float32), "YXS")
        colours = _denoised(shown, method, settings, item.seed)
    else:
        white, dtype = (65535, "uint16") if where == "srgb16" else (255, "uint8")
        shown = Image(cast(white * _srgb(_developed(_light(stored))), np.dtype(dtype)), "YXS")
        colours = _linear(_denoised(shown, method, settings, item.seed) / white)
    seconds = time.perf_counter() - begun
    inner = (slice(BORDER, -BORDER),) * 2
    made, truth = np.clip(colours[inner], 0, 1), scene[inner]
    scores = [float(-10 * np.log10(np.square(a - b).mean())) for a, b in ((made, truth), (_srgb(made), _srgb(truth)))]
    return {"psnr_linear": scores[0], "psnr": scores[1], "seconds": round(seconds, 2)}


def table(rows: Sequence[Row], recipe: Row) -> str:
    """PSNR on the scale of files and in linear light."""
    lines = [
        "| data | noise | method | n | PSNR, sRGB | against baseline | PSNR, linear | seconds |",
        "| --- " * 8 + "|",
    ]
    for group in groups(rows, "data", "noise"):
        base = {one["image"]: one for one in group if one["method"] == recipe.get("baseline")}
        for mine in groups(group, "method"):
            paired = [one["psnr"] - base[one["image"]]["psnr"] for one in mine if one["image"] in base]
            against = "baseline" if mine[0]["method"] == recipe.get("baseline") else difference(paired)
            srgb, linear = (np.mean([one[name] for one in mine]) for name in ("psnr", "psnr_linear"))
            names = " | ".join(mine[0][key] for key in ("data", "noise", "method"))
            lines.append(
                f"| {names} | {len(mine)} | {srgb:.2f} | {against} | "
                f"{linear:.2f} | {np.median([one['seconds'] for one in mine]):.3g} |"
            )
    return "\n".join(lines)


def _denoised(image: Image, method: Row, settings: Row, seed: int) -> Array:
    return registry.get("methods", method["name"])(**settings, seed=seed).fit([image]).denoise(image).data


def _scene(clean: Array, peak: float) -> Array:
    """Linear light (Y, X, 3), 0 to 1, of the middle of a photograph, enlarged to its size."""
    high, wide = (size // (2 * SCENE_FINER) * 2 for size in clean.shape[:2])  # even also when enlarged by an odd factor
    top, left = (clean.shape[0] - high) // 2, (clean.shape[1] - wide) // 2
    part = clean[top : top + high, left : left + wide] / peak
    return np.clip(ndimage.zoom(_linear(part), (SCENE_FINER, SCENE_FINER, 1), order=3, mode="mirror"), 0, 1)


def _stored(light: Array, item: Item) -> Array:
    """What the sensor counts of light (Y, X), from 0 to 1, as the file holds it; noise is said of a white of 255."""
    model, rng = drawn_noise(item.noise, f"{item.data}/{item.image}", item.seed, item.peak)
    noisy = model.sample(light[None] * item.peak, rng)[0] / item.peak
    extent = WHITE_LEVEL - BLACK_LEVEL
    return np.minimum(cast(BLACK_LEVEL + extent * noisy, np.dtype(np.uint16)), WHITE_LEVEL)


def _light(stored: Array) -> Array:
    return (stored.astype(np.float64) - BLACK_LEVEL) / (WHITE_LEVEL - BLACK_LEVEL)


def _mosaic(colours: Array) -> Array:
    """One colour a pixel of (Y, X, 3): RGGB."""
    made = np.empty(colours.shape[:2])
    for (y, x), colour in zip(CELLS, (0, 1, 1, 2), strict=True):
        made[y::2, x::2] = colours[y::2, x::2, colour]
    return made


def _planes(mosaic: Array) -> Array:
    return np.stack([mosaic[y::2, x::2] for y, x in CELLS])


def _joined(planes: Array) -> Array:
    made = np.empty((2 * planes.shape[1], 2 * planes.shape[2]), planes.dtype)
    for (y, x), plane in zip(CELLS, planes, strict=True):
        made[y::2, x::2] = plane
    return made


def _developed(light: Array) -> Array:
    """Balanced linear colours (Y, X, 3) of a mosaic."""
    balanced = _joined(_planes(light) * BALANCE[[0, 1, 1, 2], None, None])
    green, along, down, across = (
        ndimage.convolve(balanced, k, mode="mirror")
        for k in (GREEN_AT_OTHERS, IN_ITS_ROW, IN_ITS_ROW.T, ACROSS_CORNERS)
    )
    found = {  # of each colour, at R, G1, G2 and B
        0: (balanced, along, down, across),
        1: (green, balanced, balanced, green),
        2: (across, down, along, balanced),
    }
    made = np.empty((*light.shape, 3))
    for colour, parts in found.items():
        for (y, x), part in zip(CELLS, parts, strict=True):
            made[y::2, x::2, colour] = part[y::2, x::2]
    return made


def _linear(values: Array) -> Array:
    """From the scale of files, 0 to 1, to linear light (sRGB, IEC 61966-2-1)."""
    return np.where(values <= 0.04045, values / 12.92, ((np.maximum(values, 0) + 0.055) / 1.055) ** 2.4)


def _srgb(values: Array) -> Array:
    """From linear light to the scale of files."""
    values = np.clip(values, 0, 1)
    return np.where(values <= 0.0031308, 12.92 * values, 1.055 * values ** (1 / 2.4) - 0.055)
