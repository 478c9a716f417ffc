"""Studies of what is said with nothing known: which images a choice harms, how often a deviation holds the truth."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from hush import registry
from hush.dataset import Item
from hush.metrics import fit_gain, psnr
from hush.tables import difference, groups

Row = dict[str, Any]
HARM = 0.05  # dB below the noisy image from which on a result counts as harm
NEAR = 0.2  # dB below the best method's that still counts as the best
SLOW = 20.0  # seconds an image: slower methods are not among those that are compared with


def choice_table(rows: Sequence[Row], recipe: Row) -> str:
    """Mean scores, and for every method the images that it harms, where it beats BM3D, and where it is near the best.

    The best is that of all methods of the run that take less than 20 s an image, `auto` itself left out.
    """
    lines = [
        "| data | noise | method | n | PSNR | not fitted | SSIM | seconds | against baseline | harmed "
        "| above baseline | within 0.2 dB of the best | chosen |",
        "| --- " * 13 + "|",
    ]
    for group in groups(rows, "data", "noise"):
        score = "psnr_fitted" if any("psnr_fitted" in row for row in group) else "psnr"
        of: dict[str, dict[Any, Row]] = {}
        for row in group:
            if "error" not in row:
                of.setdefault(row["method"], {})[row["image"], row["seed"]] = row
        base, noisy = of.get(recipe.get("baseline", ""), {}), of.get("noisy", {})
        rivals = [
            mine for method, mine in of.items()
            if not method.startswith("auto") and np.median([row["seconds"] for row in mine.values()]) < SLOW
        ]  # fmt: skip
        for method, mine in of.items():
            paired = [row[score] - base[key][score] for key, row in mine.items() if key in base]
            harmed = sum(row[score] < noisy[key][score] - HARM for key, row in mine.items() if key in noisy)
            best = {key: max(other[key][score] for other in rivals if key in other) for key in mine}
            near = np.mean([row[score] >= best[key] - NEAR for key, row in mine.items()])
            lines.append(
                f"| {group[0]['data']} | {group[0]['noise']} | {method} | {len(mine)} | "
                f"{np.mean([row[score] for row in mine.values()]):.2f} | "
                f"{'–' if score == 'psnr' else format(np.mean([row['psnr'] for row in mine.values()]), '.2f')} | "
                f"{np.mean([row['ssim'] for row in mine.values()]):.4f} | "
                f"{np.median([row['seconds'] for row in mine.values()]):.3g} | "
                f"{'baseline' if mine is base else difference(paired)} | {harmed} | "
                f"{'–' if mine is base or not paired else f'{np.mean(np.array(paired) > 0):.0%}'} | {near:.0%} | "
                f"{_chosen(list(mine.values()))} |"
            )
    return "\n".join(lines)


def _chosen(rows: Sequence[Row]) -> str:
    """What was chosen how often."""
    names = [str(row["chosen"] or "nothing") for row in rows if "chosen" in row]
    return ", ".join(f"{name} {names.count(name)}" for name in sorted(set(names))) or "–"


def coverage(item: Item, method: Row, recipe: Row) -> Row:
    """Denoise with a standard deviation a pixel, and count the clean pixels within one and two of them."""
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


def coverage_table(rows: Sequence[Row], recipe: Row) -> str:
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
