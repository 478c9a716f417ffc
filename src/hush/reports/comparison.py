"""The page of `hush compare`: any two results over each other, and the figures; it computes nothing."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hush import __version__
from hush.core import files
from hush.reports import _html

FORMAT = 1
HEADS = {
    "psnr": "PSNR, dB", "ssim": "SSIM", "rmse": "RMSE", "risk": "risk (SURE)", "hidden": "risk (masked pixels)",
    "whiteness": "residual correlation", "slope": "brightness slope", "offset": "brightness offset",
    "seconds": "seconds", "memory_mb": "peak memory, MB",
}  # fmt: skip


def compare_page(folder: str | os.PathLike[str], target: Path, *, overwrite: bool = False) -> None:
    """Write one self-contained page from a folder that `hush.bench.compare.collect` wrote.

    Parameters
    ----------
    folder : path
    target : Path
        Written whole or not at all.
    overwrite : bool

    Raises
    ------
    HushError
        When the folder holds no comparison, or one of a newer format, or the page exists.
    """
    folder = Path(folder)
    _html.check(target, overwrite)
    record = folder / "comparison.json"
    facts = _html.read_record(record, FORMAT, "hush compare")
    with _html.reading(record, "hush compare"):
        context = _context(facts, folder)
    files.write_text(target, _html.render("comparison.html", **context))


def _context(facts: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Return what the template asks for."""
    rows = facts["rows"]
    used = [name for name in HEADS if any(_known(row["figures"], name) for row in rows)]
    best = {name: _best(rows, name, facts["goals"][name]) for name in used}
    pictures = [{"label": one["label"], "data": _html.picture(folder, one["file"])} for one in facts["pictures"]]
    return {
        "kind": "comparison",
        "name": facts["name"],
        "summary": "Any two results over each other, with the same pixels and the same contrast.",
        "made_by": {"hush": __version__},
        "heads": [HEADS[name] for name in used],
        "rows": [
            {
                "method": row["method"],
                "failed": row["failed"],
                "note": "" if row["note"] == "asked for" else row["note"],
                "cells": [_cell(row["figures"], name, best[name]) for name in used],
            }
            for row in rows
        ],
        "command": facts["command"],
        "script": "comparison.js",
        "data": {"pictures": pictures},
    }


def _known(figures: Mapping[str, float | None], name: str) -> bool:
    value = figures.get(name)
    return value is not None and math.isfinite(value)


def _best(rows: list[Mapping[str, Any]], name: str, goal: str) -> float:
    """Return the best value of a column: the highest, the lowest, or the nearest to zero or one."""
    distance = {"high": lambda v: -v, "low": lambda v: v, "zero": abs, "one": lambda v: abs(v - 1)}[goal]
    return float(min((row["figures"][name] for row in rows if _known(row["figures"], name)), key=distance))


def _cell(figures: Mapping[str, float | None], name: str, best: float) -> dict[str, Any]:
    """Return a cell of the table: its text, its value for sorting, and whether it is the best."""
    value, error = figures.get(name), figures.get(f"{name}_error")
    if value is None or not math.isfinite(value):
        return {"text": "–", "value": "", "best": False}
    text = f"{value:.4g}" + (f" ± {error:.2g}" if error is not None else "")
    return {"text": text, "value": repr(value), "best": value == best}
