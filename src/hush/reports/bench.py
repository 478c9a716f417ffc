"""The page of an experiment, and its table in a document; it computes nothing."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hush import __version__
from hush.core import files
from hush.reports import _html


def bench_page(folder: Path, recipe: dict[str, Any], table: str) -> None:
    """Write ``page.html`` into a results folder.

    Parameters
    ----------
    folder : Path
        With ``pictures/``, where there are any.
    recipe : dict
    table : str
        In Markdown.
    """
    cells = _cells(table)
    text = _html.render(
        "bench.html",
        kind="bench",
        name=recipe["title"],
        summary=recipe.get("about", ""),
        made_by=_made_by(folder / "environment.json"),
        head=cells[0],
        rows=cells[1:],
        groups=_pictures(folder / "pictures"),
    )
    files.write_text(folder / "page.html", text)


def _made_by(record: Path) -> dict[str, Any]:
    """Return what the figures depend on, as the experiment noted it."""
    known = {} if not record.is_file() else _html.read_json(record, "hush bench")
    names = {"hush": "hush", "torch": "PyTorch", "processor": "processor", "threads": "threads"}
    return {name: known[key] for key, name in names.items() if known.get(key)} or {"hush": __version__}


def _cells(markdown: str) -> list[list[str]]:
    """Return the cells of a Markdown table, the head first."""
    lines = [line for line in markdown.split("\n") if line.startswith("|") and not re.fullmatch(r"[|\- ]+", line)]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def _pictures(folder: Path) -> dict[str, list[dict[str, str]]]:
    """Return the pictures of each data set and noise: the clean one, and the others as they were made."""
    groups: dict[str, list[dict[str, str]]] = {}
    paths = folder.glob("*.png") if folder.is_dir() else ()
    for path in sorted(paths, key=lambda path: (not path.stem.endswith("--clean"), path.stat().st_mtime_ns)):
        title, _, label = path.stem.partition("--")
        words = " ".join(title.replace("_", " ").split())
        groups.setdefault(words, []).append({"label": label, "data": _html.picture(folder, path.name)})
    return groups


def write_document(
    name: str, recipe: dict[str, Any], scale: str, table: str, environment: dict[str, Any], path: Path
) -> None:
    """Put a table into a document, between its two marks, and leave all other text alone.

    Parameters
    ----------
    name : str
        Of the recipe: the marks are ``<!-- bench:NAME -->`` and ``<!-- /bench:NAME -->``, added at the end if missing.
    recipe, environment : dict
    scale : str
    table : str
    path : Path
    """
    start, end = f"<!-- bench:{name} -->", f"<!-- /bench:{name} -->"
    about = f"`hush bench {name} --scale {scale}`, {environment['processor']}, {environment['threads']} threads, "
    about += f"PyTorch {environment['torch']}"
    block = f"{start}\n### {recipe['title']}\n\n{recipe.get('about', '')}\n\n{table}\n\n*{about}.*\n{end}"
    text = path.read_text("utf-8") if path.exists() else "# Benchmarks\n"
    if start in text and end in text:
        text = text[: text.index(start)] + block + text[text.index(end) + len(end) :]
    else:
        text = text.rstrip() + "\n\n" + block + "\n"
    files.write_text(path, text)
