"""Study: how well white noise is told from spatially correlated noise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hush.bench.tables import groups
from hush.datasets.recipes import Item
from hush.estimation.level import NOT_WHITE
from hush.pretrained.analyze import analyze

Row = dict[str, Any]


def row(item: Item, method: Row, recipe: Row) -> Row:
    """Score how far the noise is from white, beside the true correlation of neighbours."""
    one = analyze(item.as_image()).channels[0]
    rest = item.noisy - item.clean
    rest = rest - rest.mean()
    lags = [(rest[:, 1:] * rest[:, :-1]).mean(), (rest[1:] * rest[:-1]).mean()]
    found = max(one.lags.get("0,1", 0.0), one.lags.get("1,0", 0.0))
    score = found - min(max(one.lags.get("1,1", 0.0), 0.0), 0.15)
    return {"score": score, "white": one.white, "lag": float(max(lags) / (rest**2).mean()), "found": found}


def table(rows: Sequence[Row], recipe: Row) -> str:
    """Area under the curve: correlated noises against the white one of the same level."""
    lines = [
        f"| data | noise | lag-one correlation | found | called white (score up to {NOT_WHITE}) | AUC against white |",
        "| --- " * 6 + "|",
    ]
    for group in groups(rows, "data"):
        white: dict[str, list[float]] = {row["noise"].split("=")[1].split(",")[0]: [] for row in group}
        for row in group:
            if row["noise"].startswith("gaussian"):
                white[row["noise"].split("=")[1]].append(row["score"])
        for one in groups(group, "noise"):
            level = one[0]["noise"].split("=")[1].split(",")[0]
            scores, plain = np.array([row["score"] for row in one]), np.array(white[level])
            above = (scores[:, None] > plain).mean() + 0.5 * (scores[:, None] == plain).mean() if plain.size else 0.5
            auc = "–" if one[0]["noise"].startswith("gaussian") else f"{above:.4f}"
            lines.append(
                f"| {one[0]['data']} | {one[0]['noise']} | {np.mean([r['lag'] for r in one]):.2f} | "
                f"{np.mean([r['found'] for r in one]):.2f} | {np.mean([r['white'] for r in one]):.0%} | {auc} |"
            )
    return "\n".join(lines)
