"""Study: which images an automatic choice harms, and how near it is to the best method."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hush.bench.studies.denoise import row as row
from hush.bench.tables import difference, groups

HARM = 0.05  # dB below the noisy image from which on a result counts as harm
NEAR_DB = 0.2  # dB below the best method's that still counts as the best
SLOW_SECONDS = 20.0  # seconds an image: slower methods are not among those that are compared with

Row = dict[str, Any]


def table(rows: Sequence[Row], recipe: Row) -> str:
    """Mean scores, and for every method the images that it harms, where it beats BM3D, and where it is near the best.

    The best is that of all methods of the run that take less than 20 s an image, `auto` itself left out.
    """
    lines = [
        "| data | noise | method | n | PSNR | not fitted | SSIM | seconds | against baseline | harmed "
        "| above baseline | within 0.2 dB of the best | chosen |",
        "| --- " * 13 + "|",
    ]
    for group in groups(rows, "data", "noise"):
        score = "psnr_fitted" if any("psnr_fitted" in one for one in group) else "psnr"
        of: dict[str, dict[Any, Row]] = {}
        for one in group:
            if "error" not in one:
                of.setdefault(one["method"], {})[one["image"], one["seed"]] = one
        base, noisy = of.get(recipe.get("baseline", ""), {}), of.get("noisy", {})
        rivals = [
            mine for method, mine in of.items()
            if not method.startswith("auto") and np.median([one["seconds"] for one in mine.values()]) < SLOW_SECONDS
        ]  # fmt: skip
        for method, mine in of.items():
            paired = [one[score] - base[key][score] for key, one in mine.items() if key in base]
            harmed = sum(one[score] < noisy[key][score] - HARM for key, one in mine.items() if key in noisy)
            best = {key: max(other[key][score] for other in rivals if key in other) for key in mine}
            near = np.mean([one[score] >= best[key] - NEAR_DB for key, one in mine.items()])
            lines.append(
                f"| {group[0]['data']} | {group[0]['noise']} | {method} | {len(mine)} | "
                f"{np.mean([one[score] for one in mine.values()]):.2f} | "
                f"{'–' if score == 'psnr' else format(np.mean([one['psnr'] for one in mine.values()]), '.2f')} | "
                f"{np.mean([one['ssim'] for one in mine.values()]):.4f} | "
                f"{np.median([one['seconds'] for one in mine.values()]):.3g} | "
                f"{'baseline' if mine is base else difference(paired)} | {harmed} | "
                f"{'–' if mine is base or not paired else f'{np.mean(np.array(paired) > 0):.0%}'} | {near:.0%} | "
                f"{_chosen(list(mine.values()))} |"
            )
    return "\n".join(lines)


def _chosen(rows: Sequence[Row]) -> str:
    """What was chosen how often."""
    names = [str(one["chosen"] or "nothing") for one in rows if "chosen" in one]
    return ", ".join(f"{name} {names.count(name)}" for name in sorted(set(names))) or "–"
