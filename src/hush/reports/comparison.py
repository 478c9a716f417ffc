"""The page of `hush compare`: any two results over each other, and the figures; it computes nothing."""

from __future__ import annotations

import base64
import html
import json
import os
import re
import tempfile
from importlib.resources import files
from pathlib import Path
from typing import Any

from hush.core.errors import HushError

HEADS = {
    "psnr": "PSNR, dB", "ssim": "SSIM", "rmse": "RMSE", "risk": "risk (SURE)", "hidden": "risk (hidden pixels)",
    "whiteness": "residual correlation", "slope": "slope", "offset": "offset", "seconds": "seconds", "memory_mb": "MB",
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
    source = Path(folder) / "comparison.json"
    if not source.is_file():
        raise HushError(f"{Path(folder).name} holds no comparison.json: give a folder that hush compare wrote")
    facts = json.loads(source.read_text("utf-8"))
    if facts.get("format") != 1:
        raise HushError(f"comparison.json has format {facts.get('format')}, and this hush reads format 1: update hush")
    if target.exists() and not overwrite:
        raise HushError(f"{target.name} exists; --overwrite replaces it")
    shown = [picture | {"data": _data(Path(folder) / picture["file"])} for picture in facts["pictures"]]
    page = files("hush").joinpath("reports", "assets")
    text = page.joinpath("compare.html").read_text("utf-8")
    # </script> inside a name must not end the script
    data = json.dumps({"pictures": shown}).replace("<", "\\u003c")
    parts = {
        "name": _safe(facts["name"]),
        "css": page.joinpath("page.css").read_text("utf-8"),
        "script": page.joinpath("compare.js").read_text("utf-8"),
        "table": _table(facts),
        "command": _safe(facts["command"]),
        "notes": "".join(
            f"<li><b>{_safe(row['method'])}</b> {_safe(row['note'])}</li>"
            for row in facts["rows"]
            if row["note"] not in ("", "asked for")
        ),
        "data": data,
    }
    text = re.sub(r"@@(\w+)@@", lambda hit: parts[hit[1]], text)  # once: what is filled in may hold such signs itself
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=target.parent, delete=False) as file:
        file.write(text)
    os.replace(file.name, target)  # noqa: PTH105 -- whole pages or none
    target.chmod(0o644)


def _table(facts: dict[str, Any]) -> str:
    rows, goals = facts["rows"], facts["goals"]
    used = [name for name in HEADS if any(row["figures"].get(name) is not None for row in rows)]
    best = {name: _best([row["figures"].get(name) for row in rows], goals[name]) for name in used}
    head = "".join(
        f'<th scope="col" aria-sort="none"><button type="button">{HEADS[name]}</button></th>' for name in used
    )
    lines = []
    for row in rows:
        cells = "".join(_cell(row["figures"], name, best[name]) for name in used)
        label = _safe(row["method"]) + (" (failed)" if row["failed"] else "")
        lines.append(f'<tr data-method="{_safe(row["method"])}"><th scope="row">{label}</th>{cells}</tr>')
    return (
        f'<table id="figures"><thead><tr><th scope="col">method</th>{head}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table>"
    )


def _best(values: list[float | None], goal: str) -> float | None:
    known = [value for value in values if value is not None]
    if not known:
        return None
    distance = {"high": lambda v: -v, "low": lambda v: v, "zero": abs, "one": lambda v: abs(v - 1)}[goal]
    return min(known, key=distance)


def _cell(figures: dict[str, float | None], name: str, best: float | None) -> str:
    value = figures.get(name)
    if value is None:
        return '<td data-value="">–</td>'
    error = figures.get(f"{name}_error")
    text = f"{value:.4g}" + (f" ± {error:.2g}" if error is not None else "")
    mark = ' class="best"' if value == best else ""
    return f'<td data-value="{value!r}"{mark}>{text}</td>'


def _data(path: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()


def _safe(value: Any) -> str:
    return html.escape(str(value))
