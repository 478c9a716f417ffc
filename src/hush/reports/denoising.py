"""The page of one denoised image, from its results folder."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hush.core import files
from hush.quality.residual import say
from hush.reports import _html
from hush.reports.results import FORMAT

MADE_BY = "hush denoise --results"
PICTURES = ("before", "after", "noise")
BLANK = "data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw=="
LABELS = {
    "method": "Method",
    "reason": "Chosen because",
    "tried": "Estimated risk",
    "kept": "Clipped areas, left unchanged",
    "steps": "Training steps",
    "seconds": "Time",
    "seed": "Seed",
    "device": "Device",
    "precision": "Precision",
    "peak_memory_mb": "Peak memory",
    "axes": "Axes",
    "ndim": "Spatial dimensions",
}


def page(folder: str | os.PathLike[str], path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Write the page of a results folder as one self-contained HTML file.

    Parameters
    ----------
    folder : path
        What `hush.reports.results.collect` wrote: ``result.json`` and PNG files.
    path : path
        The page; written whole or not at all.
    overwrite : bool
        Whether a file that exists may be replaced.

    Raises
    ------
    HushError
        When the folder holds no results, or those of a newer hush, or the file exists.
    """
    folder, path = Path(folder), Path(path)
    _html.check(path, overwrite)
    record = folder / "result.json"
    facts = _html.read_record(record, FORMAT, MADE_BY)
    with _html.reading(record, MADE_BY):
        context = _context(facts, folder)
    files.write_text(path, _html.render("denoising.html", **context))


def _context(facts: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Return what the template asks for."""
    given, done = facts["input"], facts["done"]
    told = {"method": done.get("title") or done.get("method")}
    told |= {key: done[key] for key in LABELS if key != "method" and done.get(key) is not None}
    sets = [dict(item) for item in facts["sets"]]
    pictures = [{side: _html.picture(folder, item.pop(side)) for side in PICTURES} for item in sets]
    shown = {"channels": facts["channels"], "loss": facts["loss"], "sets": sets}
    return {
        "kind": "denoising report",
        "name": given["name"],
        "medical": given["medical"],
        "facts": _beside(given, told, [channel["noise"]["std"] for channel in facts["channels"]]),
        "about": done.get("about") or "",
        "done": [(LABELS[key], _told(key, value)) for key, value in told.items()],
        "settings": [(key, _html.shown(value)) for key, value in facts["settings"].items()],
        "warnings": [_warning(item) for item in facts["warnings"]],
        "decisions": [_decision(item) for item in facts.get("decisions", [])],
        "noises": [_noise(item) for item in facts.get("noises", [])],
        "stages": [_html.picture(folder, name) for name in facts.get("stages", [])],
        **{key: facts[key] for key in ("summary", "trust", "command", "shortened")},
        "made_by": facts["versions"],
        "blank": BLANK,
        # the page shows something without its script, and the script takes its first pictures from there
        "pictures": pictures[0],
        "script": "denoising.js",
        "data": shown | {"pictures": [None, *pictures[1:]]},
    }


def _beside(
    given: Mapping[str, Any], told: Mapping[str, Any], residuals: Sequence[float | None]
) -> list[tuple[str, str]]:
    """Return what stands beside the picture: the image first, then the method."""
    size = " × ".join(f"{length} {axis}" for axis, length in zip(given["axes"], given["shape"], strict=True))
    rows = [("Image", size), ("Values", given["dtype"]), *_measures(given.get("rescale"), residuals)]
    by_unit: dict[tuple[float, str], list[str]] = {}
    for pixel in given["pixel"]:
        by_unit.setdefault((pixel["size"], pixel["unit"]), []).append(pixel["axis"])
    if by_unit:
        pieces = [f"{size:.4g} {unit} ({', '.join(axes)})".replace("  ", " ") for (size, unit), axes in by_unit.items()]
        rows.append(("Pixel size", "; ".join(pieces)))
    if given["channels"]:
        rows.append(("Channels", ", ".join(given["channels"])))
    return rows + [
        (LABELS[key], _told(key, told[key])) for key in ("method", "steps", "seconds", "device") if told.get(key)
    ]


def _measures(stated: Mapping[str, Any] | None, residuals: Sequence[float | None]) -> list[tuple[str, str]]:
    """Return what stored values stand for, and the standard deviation of the residual in that unit."""
    words = _html.rescale(stated) if stated else ""
    if not stated or not words:
        return []
    unit, slope = str(stated.get("unit") or ""), abs(float(stated["slope"]))
    each = ", ".join(f"{say(std * slope)} {unit}" for std in residuals if std is not None)
    return [("Rescale", words), *([("Residual, standard deviation", each)] if unit and each else [])]


def _told(key: str, value: Any) -> str:
    """Write a fact with its unit."""
    if key == "seconds":
        return f"{value:.1f} s" if value < 120 else f"{int(value // 60)} min {int(value % 60):02d} s"
    if key == "kept":
        return f"{value:.1%} of the pixels"
    return f"{value:,.0f} MB" if key == "peak_memory_mb" else _html.shown(value)


def _figure(value: Any) -> str:
    """Write a figure: numbers to three digits."""
    return say(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else _html.shown(value)


def _warning(item: Mapping[str, Any] | str) -> dict[str, str]:
    """Return a warning as a sentence, and what it was raised by: its code and its figure, where these are known."""
    if isinstance(item, str):
        return {"sentence": item, "by": ""}
    known = [str(item["code"])] if item.get("code") else []
    known += [_figure(item["figure"])] if item.get("figure") is not None else []
    return {"sentence": str(item["sentence"]), "by": " ".join(known)}


def _decision(item: Mapping[str, Any]) -> dict[str, str]:
    """Return a row of the table of decisions; what is not known is left open."""
    row = {key: "–" if item.get(key) is None else _figure(item[key]) for key in ("value", "limit", "passed")}
    return {"name": str(item["name"]), **row}


def _noise(item: Mapping[str, Any]) -> dict[str, str]:
    """Return a row of the table of noises that were found."""
    level = "" if item.get("parameter") is None else f"{item['parameter']} {_figure(item['level'])}"
    row = {"name": str(item["class"]), "level": level, "channel": str(item.get("channel", ""))}
    return row | {key: f"{item[key]:.0%}" for key in ("certainty", "share")}
