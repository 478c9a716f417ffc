"""The page of an experiment, and its table in a document; it computes nothing."""

from __future__ import annotations

import base64
import html
import re
from importlib.resources import files
from pathlib import Path
from typing import Any


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
    style = files("hush").joinpath("reports/assets/page.css").read_text("utf-8")
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    text = f"""<!doctype html><html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">
<title>{html.escape(recipe["title"])} · hush bench</title><style>{style}
table {{ width: auto; }} th, td {{ width: auto; padding: .3em .8em; white-space: nowrap; }}
.row {{ display: flex; flex-wrap: wrap; gap: 8px; }} figure {{ margin: 0; }} figcaption {{ font-size: 12px; }}
</style></head>
<body><header><p class="brand">hush <span>bench</span></p><h1>{html.escape(recipe["title"])}</h1>
<p class="summary">{html.escape(recipe.get("about", ""))}</p></header><main>
<section style="overflow-x:auto">{_table(table)}</section>{_pictures(folder / "pictures")}</main></body></html>"""
    partial = folder / "page.html.partial"
    partial.write_text(text, "utf-8")
    partial.replace(folder / "page.html")


def _table(markdown: str) -> str:
    lines = [line for line in markdown.splitlines() if line.startswith("|") and not re.fullmatch(r"[|\- ]+", line)]
    cells = [[html.escape(cell.strip()) for cell in line.strip("|").split("|")] for line in lines]
    head = "".join(f'<th scope="col">{cell}</th>' for cell in cells[0])
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in cells[1:])
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _pictures(folder: Path) -> str:
    groups: dict[str, list[Path]] = {}
    for path in sorted(folder.glob("*.png"), key=lambda path: path.stat().st_mtime_ns) if folder.is_dir() else []:
        groups.setdefault(path.stem.partition("--")[0], []).append(path)
    sections = []
    for name, paths in groups.items():
        figures = "".join(
            f'<figure><img alt="{html.escape(path.stem)}" src="data:image/png;base64,'
            f'{base64.b64encode(path.read_bytes()).decode()}">'
            f"<figcaption>{html.escape(path.stem.partition('--')[2])}</figcaption></figure>"
            for path in paths
        )
        sections.append(f'<section><h2>{html.escape(name)}</h2><div class="row">{figures}</div></section>')
    return "".join(sections)


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
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, "utf-8")
    partial.replace(path)
