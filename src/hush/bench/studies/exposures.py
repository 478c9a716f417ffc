"""Study: networks trained on photographs with simulated noise, on averages of several exposures of a microscope."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hush.bench.boxes import NAMES_WIDTH
from hush.bench.studies import _plots, trained
from hush.bench.tables import groups
from hush.core.errors import HushWarning
from hush.core.image import Array
from hush.core.metrics import fit_gain
from hush.datasets.recipes import Item, cut, frozen_noise
from hush.noise import NoiseModel
from hush.noise.poisson_gaussian import PoissonGaussian
from hush.quality.relative_change import relative_change

AVERAGED = (1, 2, 4, 8, 16)  # exposures in an average
REAL_EXPOSURE = "raw"  # the exposure that was really taken
BRIGHTNESS_BINS, LEAST_IN_BIN = 24, 64  # of brightness, of equally many pixels, for the line of variance
SHOWN_CROP = 80  # side of each of the four crops of a picture
SHOWN_LEVELS = ((REAL_EXPOSURE, "2"), ("4", "16"))
CHANGES = {"psnr_var": "PSNR_var, %", "ssim_var": "SSIM_var, %"}

Row = dict[str, Any]


def row(item: Item, method: Row, recipe: Row) -> Row:
    """Score one method on the real exposure and on averages of simulated ones, by the change of PSNR and SSIM.

    A method's ``family``, "grey" or "colour", says what photographs it is trained on: to a network of colours the grey
    image is shown three times. Its ``simulate`` is the noise that these are trained with.
    """
    noise = line_of_noise(item)
    images = {REAL_EXPOSURE: item.noisy} | {str(count): image for count, image in averages(item, noise).items()}
    colour = method.get("family") == "colour"
    made: Row = {"exposure_noise": str(noise)}
    results: dict[str, Array] = {}
    for level, noisy in images.items():
        one = _as_photograph(item, noisy, method, colour)
        result = one.noisy if "peer" in method else _trained(one, method, recipe)
        changed = relative_change(_planes(result), _planes(one.noisy), _planes(one.clean), peak=item.peak)
        names = ("psnr_noisy", "ssim_noisy") if "peer" in method else CHANGES
        made |= {f"{name}_{level}": changed[name] for name in names}
        results[level] = result
    if "peer" not in method:
        _draw(recipe["here"]["out"], item.key | {"method": method["label"]} | made)
    return made | {"picture": _crops(results)}


def _trained(one: Item, method: Row, recipe: Row) -> Array:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HushWarning)  # the noise is another than that of the training: on purpose
        return trained.row(one, method, recipe)["picture"]


def _as_photograph(item: Item, noisy: Array, method: Row, colour: bool) -> Item:
    """The item with another noisy image, said to be of the photographs and the noise that a method is trained on."""
    clean, noisy = (np.repeat(x[..., None], 3, -1) if colour else x for x in (item.clean, noisy))
    noise = method["settings"].get("simulate", item.noise)
    spec = {"train": item.spec.get("train"), "grey": not colour}
    return replace(item, data="photographs", noise=noise, clean=clean, noisy=noisy.astype(np.float32), spec=spec)


def _planes(image: Array) -> Array:
    return np.moveaxis(image, -1, 0) if image.ndim == 3 else image


# The exposures -------------------------------------------------------------------------------------------------------


def line_of_noise(item: Item) -> NoiseModel:
    """Return the noise of the real exposure: its variance about the reference as a line of brightness.

    The reference is fitted to the exposure by a gain and an offset first. A pixel's weight is one over the standard
    deviation of its noise: between equal weights, which leave the dark without noise, and those of the best fit of a
    true line, which overlook the bright.
    """
    about, _, _ = fit_gain(item.clean, item.noisy)
    order = np.argsort(item.clean, axis=None, kind="stable")
    count = max(2, min(BRIGHTNESS_BINS, order.size // LEAST_IN_BIN))
    bins = np.array_split(order, count)
    means = np.array([item.clean.ravel()[one].mean() for one in bins], np.float64)
    variances = np.array([(item.noisy - about).ravel()[one].var() for one in bins], np.float64)
    weights = 1 / np.sqrt(np.maximum(variances, 1e-3 * variances.max() + 1e-12))
    slope, at_zero = np.polyfit(means, variances, 1, w=weights)
    return PoissonGaussian.from_line(max(float(slope), 1e-3), float(at_zero))


def averages(item: Item, noise: NoiseModel) -> dict[int, Array]:
    """Return the means of the first 1, 2, 4 ... of a row of frozen exposures of the reference."""
    name = f"{item.data}/{item.image}"
    draws = [frozen_noise(item.clean, str(noise), name, number, item.peak) for number in range(max(AVERAGED))]
    return {count: np.mean(draws[:count], 0, dtype=np.float64).astype(np.float32) for count in AVERAGED}


# Pictures and the table ----------------------------------------------------------------------------------------------


def _crops(results: Mapping[str, Array]) -> Array:
    """The middles of four results in a square: of the real exposure, and below it of averages."""
    return np.concatenate([np.concatenate([cut(results[k], SHOWN_CROP) for k in line], 1) for line in SHOWN_LEVELS])


def _draw(out: Path, made: Row) -> None:
    """Draw both figures again, with the rows that are on disk already."""
    rows = [one for one in _plots.known_rows(out, made) if "psnr_var_1" in one]
    for number, (score, title) in enumerate(CHANGES.items(), 3):
        values = {method: {k: 100 * v for k, v in line.items()} for method, line in changes(rows, score).items()}
        page = _plots.dots(values, title, NAMES_WIDTH + 60)
        _plots.save(page, out / "pictures" / f"figure {number}--{score}.png")


def changes(rows: Sequence[Row], score: str) -> dict[str, dict[str, float]]:
    """Return the mean change of a score for each method and number of exposures, over the images that have one."""
    levels = [*map(str, AVERAGED), REAL_EXPOSURE]
    found = {}
    for group in groups(rows, "method"):
        of = {level: [one[f"{score}_{level}"] for one in group if f"{score}_{level}" in one] for level in levels}
        known = {level: [value for value in values if value is not None] for level, values in of.items()}
        if any(of.values()):
            found[str(group[0]["method"])] = {k: float(np.mean(v)) if v else float("nan") for k, v in known.items()}
    return found


def table(rows: Sequence[Row], recipe: Row) -> str:
    """Changes of PSNR and SSIM in percent, a line a method; first the noisy images' own scores."""
    heads = [*(f"{count} averaged" for count in AVERAGED), "the real exposure"]
    lines = [f"| score | trained on | method | n | {' | '.join(heads)} |", "| --- " * (4 + len(heads)) + "|"]
    common = recipe.get("common", {})
    trained_on = {
        str(one.get("label") or one["name"]): (common | one.get("settings", {})).get("simulate", "–")
        for one in recipe.get("method", [])
        if "name" in one
    }
    images = len({(one["data"], one["image"], one["seed"]) for one in rows})
    for score, unit in {"psnr_noisy": "PSNR, dB", "ssim_noisy": "SSIM", **CHANGES}.items():
        digits = {"psnr_noisy": "{:.2f}", "ssim_noisy": "{:.4f}"}.get(score, "{:+.1f}")
        for method, line in changes(rows, score).items():
            cells = " | ".join(digits.format(value * (100 if score in CHANGES else 1)) for value in line.values())
            lines.append(f"| {unit} | {trained_on.get(method, '–')} | {method} | {images} | {cells} |")
    noises = dict.fromkeys(f"{one['image']} {_short(one['exposure_noise'])}" for one in rows)
    return "\n".join([*lines, f"\nThe noise that was fitted and simulated: {'; '.join(noises)}."])


def _short(notation: str) -> str:
    """A noise with its numbers cut to three digits."""
    kind, _, numbers = notation.partition(":")
    pairs = (one.partition("=") for one in numbers.split(","))
    return f"{kind}:" + ",".join(f"{name}={float(value):.3g}" for name, _, value in pairs)
