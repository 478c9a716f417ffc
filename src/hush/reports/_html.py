"""A results folder becomes one HTML page that needs nothing else; computes nothing."""

from __future__ import annotations

import base64
import html
import json
import os
import re
import secrets
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from hush.core.errors import HushError

FORMAT = 1
SIDES = ("before", "after", "noise")
BLANK = "data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw=="
LABELS = {
    "method": "Method",
    "reason": "Chosen because",
    "tried": "Estimated errors",
    "kept": "Share of flat areas, kept",
    "steps": "Training steps",
    "seconds": "Time",
    "seed": "Seed",
    "device": "Device",
    "precision": "Precision",
    "peak_memory_mb": "Peak memory",
    "axes": "Axes",
    "ndim": "Dimensions seen at once",
}


def page(folder: str | os.PathLike[str], path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Write the page of a results folder as one self-contained HTML file.

    Parameters
    ----------
    folder : path
        What `hush.reports.denoising.collect` wrote: ``result.json`` and PNG files.
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
    if path.is_dir():
        raise HushError(f"{path.name} is a folder; give the page a name, for example {path.name}/page.html")
    if path.exists() and not overwrite:
        raise HushError(f"{path.name} exists; give another name, or --overwrite to replace it")
    if not path.absolute().parent.is_dir():
        raise HushError(f"there is no folder {path.parent} to write {path.name} into; make it first")
    text = _fill(_read(folder), folder)
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        partial.write_text(text, "utf-8")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _read(folder: Path) -> dict[str, Any]:
    """Read and check ``result.json``."""
    record = folder / "result.json"
    if not record.is_file():
        raise HushError(f"{folder.name} holds no result.json: give a folder that hush denoise --results wrote")
    try:
        facts = json.loads(record.read_text("utf-8"))
        made = int(facts["format"])
    except (ValueError, KeyError, TypeError) as error:
        raise HushError(f"{folder.name}/result.json cannot be read ({error}); denoise again with --results") from None
    if made > FORMAT:
        by = facts.get("versions", {}).get("hush", "a newer one")
        raise HushError(
            f"{folder.name}/result.json has format {made}, written by hush {by}; this hush reads format {FORMAT}: "
            "update it, or denoise again"
        )
    return dict(facts)


def _picture(folder: Path, name: str) -> str:
    """Return a PNG of the folder as a data address."""
    file = folder / name
    if Path(name).name != name or file.suffix != ".png" or not file.is_file():
        raise HushError(f"{folder.name} holds no picture {name!r}; denoise again with --results")
    return "data:image/png;base64," + base64.b64encode(file.read_bytes()).decode("ascii")


def _fill(facts: Mapping[str, Any], folder: Path) -> str:
    """Fill the template: every text is escaped, and what is filled in is not searched for places again."""
    sets = [dict(item) for item in facts["sets"]]
    pictures = [{side: _picture(folder, item.pop(side)) for side in SIDES} for item in sets]
    shown = {"channels": facts["channels"], "loss": facts["loss"], "sets": sets, "pictures": [None, *pictures[1:]]}
    room = files("hush") / "reports" / "assets"
    parts = {
        "css": (room / "page.css").read_text("utf-8"),
        "js": (room / "page.js").read_text("utf-8"),
        "data": _script_safe(json.dumps(shown, ensure_ascii=False, allow_nan=False, separators=(",", ":"))),
        "blank": BLANK,
        **pictures[0],  # the page shows something without its script, and the script takes it from there
        **_texts(facts),
    }
    template = (room / "template.html").read_text("utf-8")
    return re.sub(r"@@(\w+)@@", lambda hit: parts[hit[1]], template)


def _script_safe(text: str) -> str:
    """Escape JSON so that nothing in it can end the script element that holds it."""
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def _texts(facts: Mapping[str, Any]) -> dict[str, str]:
    """Return the page's texts as escaped HTML."""
    given, done = facts["input"], facts["done"]
    told = {"method": done.get("title") or done.get("method")} | {
        key: done[key] for key in LABELS if key != "method" and done.get(key) is not None
    }
    warnings = "".join(f"<li>{_safe(text)}</li>" for text in facts["warnings"])
    return {
        "name": _safe(given["name"]),
        "summary": _safe(facts["summary"]),
        "medical": '<div class="medical" role="note"><strong>Not for diagnosis.</strong> '
        "A denoised medical image may lose or invent small findings.</div>"
        if given["medical"]
        else "",
        "warnings": f'<div class="warnings" role="note"><strong>Warning</strong><ul>{warnings}</ul></div>'
        if warnings
        else "",
        "facts": "".join(f"<dt>{_safe(key)}</dt><dd>{_safe(value)}</dd>" for key, value in _facts(given, told)),
        "trust": "".join(f"<li>{_safe(text)}</li>" for text in facts["trust"]),
        "about": _safe(done.get("about") or ""),
        "done": _rows((LABELS[key], _told(key, value)) for key, value in told.items()),
        "settings": _rows((key, _value(value)) for key, value in facts["settings"].items())
        or "<tr><td>none recorded</td></tr>",
        "command": _safe(facts["command"]),
        "shortened": "Folders were left out: run it where the file is. " if facts["shortened"] else "",
        "versions": " · ".join(f"{_safe(key)} {_safe(value)}" for key, value in facts["versions"].items()),
    }


def _facts(given: Mapping[str, Any], told: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what stands beside the picture: the image first, then the method."""
    size = " × ".join(f"{length} {axis}" for axis, length in zip(given["axes"], given["shape"], strict=True))
    rows = [("Image", size), ("Values", given["dtype"])]
    by_unit: dict[tuple[float, str], list[str]] = {}
    for pixel in given["pixel"]:
        by_unit.setdefault((pixel["size"], pixel["unit"]), []).append(pixel["axis"])
    if by_unit:
        pieces = [f"{size:.4g} {unit} ({', '.join(axes)})".replace("  ", " ") for (size, unit), axes in by_unit.items()]
        rows.append(("Pixel size", "; ".join(pieces)))
    if given["channels"]:
        rows.append(("Channels", ", ".join(given["channels"])))
    rows += [(LABELS[key], _told(key, told[key])) for key in ("method", "steps", "seconds", "device") if told.get(key)]
    return rows


def _told(key: str, value: Any) -> str:
    """Write a fact with its unit."""
    if key == "seconds":
        return f"{value:.1f} s" if value < 120 else f"{int(value // 60)} min {int(value % 60):02d} s"
    if key == "peak_memory_mb":
        return f"{value:,.0f} MB"
    return _value(value)


def _value(value: Any) -> str:
    """Write a setting's value."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, dict)):
        return json.dumps(value, ensure_ascii=False)
    return "none" if value is None else str(value)


def _rows(pairs: Any) -> str:
    return "".join(f'<tr><th scope="row">{_safe(key)}</th><td>{_safe(value)}</td></tr>' for key, value in pairs)


def _safe(value: Any) -> str:
    return html.escape(str(value))
