"""Study: how near the estimated noise is to the true one."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from hush.bench.tables import groups, percent
from hush.datasets.recipes import Item
from hush.estimation.analyze import analyze
from hush.noise import parse

Row = dict[str, Any]


def row(item: Item, method: Row, recipe: Row) -> Row:
    """Estimate the noise; errors relative to the truth, over the brightnesses that the image has."""
    truth = parse(item.noise.removesuffix(" (8 bit)")).draw(np.random.default_rng(0))
    low, high = (float(end) for end in np.percentile(item.clean, [2, 98]))
    values = np.linspace(low, high, 32)
    variance = truth.moments(values[:, None])[1][:, 0]
    level = float(np.sqrt(variance.mean()))
    begun = time.perf_counter()
    if method.get("peer") == "skimage":
        from skimage.restoration import estimate_sigma

        found = float(estimate_sigma(item.noisy))  # type: ignore[no-untyped-call]
        return {"level": level, "found": found, "error": found / level - 1, "seconds": time.perf_counter() - begun}
    one = analyze(item.as_image()).channels[0]
    seconds = time.perf_counter() - begun
    predicted = np.maximum(one.a * values + one.b, 0)
    found = float(np.sqrt(predicted.mean()))
    row: Row = {"level": level, "found": found, "error": found / level - 1, "seconds": seconds, "white": one.white}
    row |= {"variance_error": float(np.abs(predicted / np.maximum(variance, 1e-9) - 1).mean()), "kind": one.kind}
    at_middle = float(np.sqrt(np.interp(one.middle, values, variance)))
    ends = one.interval["level"]
    row |= {"inside": bool(ends[0] <= at_middle <= ends[1])}
    gain = getattr(truth, "gain", 0.0)
    return row | ({"gain": gain, "gain_error": one.a / gain - 1} if gain else {})


def table(rows: Sequence[Row], recipe: Row) -> str:
    """Bias, spread and median error of the level; of gain and variance for photon noise; coverage of the interval."""
    lines = [
        "| data | noise | estimator | n | level: bias | spread | median error | gain: median error | variance "
        "| inside 95 % |",
        "| --- " * 10 + "|",
    ]
    for group in groups(rows, "data", "noise", "method"):
        error = np.array([row["error"] for row in group])
        gain = [abs(row["gain_error"]) for row in group if "gain_error" in row]
        line = [row["variance_error"] for row in group if "variance_error" in row]
        inside = [row["inside"] for row in group if "inside" in row]
        lines.append(
            f"| {group[0]['data']} | {group[0]['noise']} | {group[0]['method']} | {len(group)} | {error.mean():+.1%} | "
            f"{error.std():.1%} | {np.median(np.abs(error)):.1%} | {percent(gain)} | {percent(line)} | "
            f"{f'{np.mean(inside):.0%}' if inside else '–'} |"
        )
    return "\n".join(lines)
