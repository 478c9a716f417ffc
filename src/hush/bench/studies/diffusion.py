"""Study: a diffusion series, all volumes at once and one by one, and the bias of its magnitudes."""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from hush.bench.tables import difference, groups, mean
from hush.core import registry
from hush.core.image import Array, Image
from hush.datasets.diffusion import b_values
from hush.datasets.recipes import Item
from hush.methods._series import Series
from hush.noise import parse

SCORED_EVERY = 6  # volumes, of which one is scored: methods that take them one by one denoise no others

Row = dict[str, Any]


def row(item: Item, method: Row, recipe: Row) -> Row:
    """Denoise a series (volumes, Z, Y, X), and score some of its volumes in the head: PSNR, and the mean error."""
    scored = slice(SCORED_EVERY // 2, None, SCORED_EVERY)
    weights = b_values(len(item.noisy))[scored]
    begun = time.perf_counter()
    clean: Array = item.noisy[scored]
    notes: Row = {}
    if "name" in method:
        clean, notes = _denoised(item, method, scored)
    seconds = time.perf_counter() - begun
    inside = item.clean[0] > 0
    away = clean[:, inside].astype(np.float64) - item.clean[scored][:, inside]
    score = 10 * np.log10(item.peak**2 / np.square(away).mean())
    outside = clean[:, ~inside].astype(np.float64) - item.clean[scored][:, ~inside]
    biases = {
        "bias_b0": away[weights == weights.min()].mean(),
        "bias_b_most": away[weights == weights.max()].mean(),
        "bias_air": outside.mean(),
    }
    scores = {name: float(value) for name, value in ({"psnr": score} | biases).items()}
    return scores | notes | {"seconds": round(seconds, 2)}


def _denoised(item: Item, method: Row, scored: slice) -> tuple[Array, Row]:
    """The scored volumes, of a method that sees all at once or each by itself, and the level that it found."""
    kind, settings = registry.get("methods", method["name"]), method["settings"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if issubclass(kind, Series):
            series = Image(item.noisy, "TZYX")
            result = kind(**settings).fit(series).run(series)
            sigma = float(parse(item.noise).draw(np.random.default_rng(0)).parameters["sigma"])
            level = result.info.get("noise_level")
            return result.image.data[scored], {} if level is None else {"level": level / sigma}
        volumes = [Image(one, "ZYX") for one in item.noisy[scored]]
        return np.stack([kind(**settings).fit(one).denoise(one).data for one in volumes]), {}


def table(rows: Sequence[Row], recipe: Row) -> str:
    """PSNR in the head, mean errors by weighting, and the level over the true one."""
    lines = [
        "| data | noise | method | n | PSNR | against baseline | mean error, b 0 | b 2000 | air | level found / sigma "
        "| seconds |",
        "| --- " * 11 + "|",
    ]
    for group in groups(rows, "data", "noise"):
        base = {one["image"]: one["psnr"] for one in group if one["method"] == recipe.get("baseline")}
        for some in groups(group, "method"):
            first = some[0]
            paired = [one["psnr"] - base[one["image"]] for one in some if one["image"] in base]
            against = "baseline" if first["method"] == recipe.get("baseline") else difference(paired)
            errors = " | ".join(
                f"{mean([one[name] for one in some]):+.2f}" for name in ("bias_b0", "bias_b_most", "bias_air")
            )
            level = f"{mean([one['level'] for one in some]):.3f}" if "level" in first else "–"
            lines.append(
                f"| {first['data']} | {first['noise']} | {first['method']} | {len(some)} | "
                f"{mean([one['psnr'] for one in some]):.2f} | {against} | {errors} | {level} | "
                f"{np.median([one['seconds'] for one in some]):.3g} |"
            )
    return "\n".join(lines)
