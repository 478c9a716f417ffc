"""Study: what a trained network and filters need for an image, beside BM3D; its training counted apart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from hush.bench.studies import denoise, trained
from hush.bench.tables import groups
from hush.datasets.recipes import Item

Row = dict[str, Any]


def row(item: Item, method: Row, recipe: Row) -> Row:
    """Run a method: of ``family`` "trained" one that has learned from other images, whose training is noted apart."""
    study = trained if method.get("family") == "trained" else denoise
    made: Row = study.row(item, method, recipe)
    return made if "error" in made else made | {"pixels": int(np.prod(item.clean.shape[:2]))}


def table(rows: Sequence[Row], recipe: Row) -> str:
    """Median seconds, how many times faster than the baseline, and after how many images the training has paid."""
    base = recipe.get("baseline", "bm3d")
    lines = [
        f"| data | megapixels | method | n | PSNR | seconds an image | times as fast as {base} | seconds of training "
        "| paid back after |",
        "| --- " * 9 + "|",
    ]
    timed = [one for one in rows if "error" not in one and one.get("seconds") is not None]
    for group in groups(timed, "data", "noise"):
        of = {str(mine[0]["method"]): mine for mine in groups(group, "method")}
        theirs = _seconds(of.get(base, []))
        for method, mine in of.items():
            first, own = mine[0], _seconds(mine)
            taught = [one["training_seconds"] for one in mine if "training_seconds" in one]
            training = "– | –"
            if taught:
                cost = float(np.median(taught))
                training = f"{cost:.0f} | {paid_back(cost, own, theirs)} images"
            lines.append(
                f"| {first['data']} | {np.mean([one['pixels'] for one in mine]) / 1e6:.3g} | {method} | {len(mine)} | "
                f"{np.mean([one['psnr'] for one in mine]):.2f} | {own:.3g} | {_faster(theirs, own)} | {training} |"
            )
    failed = dict.fromkeys(f"\nNot run: {one['method']}." for one in rows if one.get("error"))
    return "\n".join([*lines, *failed])


def _seconds(rows: Sequence[Row]) -> float:
    """The median time of an image; nothing for no rows."""
    return float(np.median([one["seconds"] for one in rows])) if rows else float("nan")


def _faster(theirs: float, mine: float) -> str:
    return f"{theirs / mine:.3g}" if mine > 0 and math.isfinite(theirs) else "–"


def paid_back(training: float, mine: float, theirs: float) -> str:
    """Return after how many images training and applying take less time than the other method; "no" for never.

    Examples
    --------
    >>> paid_back(100, 0.5, 2.5), paid_back(100, 2.5, 0.5)
    ('50', 'no')
    """
    return f"{math.ceil(training / (theirs - mine))}" if theirs > mine else "no"
