"""Study: how often a standard deviation holds the truth."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from hush.bench.tables import groups
from hush.core import registry
from hush.core.metrics import fit_gain, psnr
from hush.datasets.recipes import Item

Row = dict[str, Any]


def row(item: Item, method: Row, recipe: Row) -> Row:
    """Denoise with a per-pixel standard deviation, and count the clean pixels within one and two of them."""
    image = item.as_image()
    std = np.zeros(image.data.shape, np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        clean = (
            registry.get("methods", method["name"])(**method["settings"]).fit([image]).run(image, std=std).image.data
        )
    gain = 1.0
    if item.fit_gain:
        clean, gain, _ = fit_gain(clean, item.clean)
    away = np.abs(clean - item.clean) / np.maximum(abs(gain) * std, 1e-6)
    error = float(np.sqrt(np.mean((clean - item.clean) ** 2)))
    said = float(np.sqrt(np.mean((gain * std) ** 2)))
    row = {"psnr": psnr(clean, item.clean, item.peak), "ratio": said / error}
    return row | {f"inside_{n}": float((away < n).mean()) for n in (1, 2)}


def table(rows: Sequence[Row], recipe: Row) -> str:
    """Share of the clean pixels within one and two deviations, and the deviation against the true error."""
    lines = ["| data | noise | method | n | PSNR | inside 1 (68.3 %) | inside 2 (95.4 %) | deviation over error |",
             "| --- " * 8 + "|"]  # fmt: skip
    for group in groups(rows, "data", "noise", "method"):
        mean = {key: np.mean([row[key] for row in group]) for key in ("psnr", "inside_1", "inside_2", "ratio")}
        lines.append(
            f"| {group[0]['data']} | {group[0]['noise']} | {group[0]['method']} | {len(group)} | {mean['psnr']:.2f} | "
            f"{mean['inside_1']:.1%} | {mean['inside_2']:.1%} | {mean['ratio']:.2f} |"
        )
    return "\n".join(lines)
