"""Study: the line of variance against brightness on real images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hush.datasets.recipes import Item
from hush.pretrained.analyze import analyze

Row = dict[str, Any]


def row(item: Item, method: Row, recipe: Row) -> Row:
    """Compare the found line with the truth: variance of raw about its mean in bins of the reference."""
    one = analyze(item.as_image()).channels[0]
    means, variances = [], []
    edges = np.quantile(item.clean, np.linspace(0, 1, 13))
    bins = np.clip(np.searchsorted(edges, item.clean, side="right") - 1, 0, 11)
    for number in range(12):
        x, y = item.clean[bins == number].astype(float), item.noisy[bins == number].astype(float)
        if x.size < 400:
            continue
        slope = np.cov(x, y)[0, 1] / x.var() if x.var() > 0 else 0.0  # the bin's own spread of brightness
        means.append(y.mean())
        variances.append((y - slope * x).var())
    ratio = np.maximum(one.a * np.array(means) + one.b, 0) / np.array(variances)
    return {"error": float(np.median(np.abs(ratio - 1))), "ratio_low": float(ratio[0]),
            "ratio_high": float(ratio[-1]), "ratio": float(np.median(ratio)), "white": one.white}  # fmt: skip


def table(rows: Sequence[Row], recipe: Row) -> str:
    """Median error of the line over 12 bins of brightness; its ratio to the truth in the darkest and brightest."""
    lines = ["| data | image | median error | median ratio | darkest | brightest |", "| --- " * 6 + "|"]
    lines += [
        f"| {r['data']} | {r['image']} | {r['error']:.1%} | {r['ratio']:.2f} | {r['ratio_low']:.2f} | "
        f"{r['ratio_high']:.2f} |"
        for r in rows
    ]
    good = np.mean([row["error"] < 0.2 for row in rows])
    return "\n".join([*lines, "", f"Within 20 %: {good:.0%} of {len(rows)} images."])
