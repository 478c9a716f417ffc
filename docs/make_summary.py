"""Write docs/benchmarks/index.md, the summary, from the pages beside it: what `make docs` runs first."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

PAGES = Path(__file__).parent / "benchmarks"
TARGET = PAGES / "index.md"
ORDER = (
    "automatic", "effort", "clean", "hard", "micrographs", "shipped-weights", "noise-estimation", "uncertainty",
    "noisebreaker", "classical", "learned", "noise2void", "careamics", "zero-shot", "fine-tuning", "risk", "medical",
)  # fmt: skip
HEAD = """# Benchmarks

One page a question. Every table between `bench` marks is made by `hush bench NAME --table FILE`, from one frozen noise
draw for each image. The data are research data and not part of this repository: `--data` says where they are. What was
chosen by hand was chosen on development images ([decision 015](../decisions/015-development-images.md)), with the
exceptions that [the first page](automatic.md) names.

The rows of what hush ships or chooses (`auto`, `pretrained`, `gaussian-fast`, `camera-fast`, `camera-best`,
`colour-fast`) are of later runs than the others, on the same machine. `hush bench NAME` writes the score of every image
to `results/NAME/rows.csv`; copied to `docs/benchmarks/rows/NAME.csv` it is listed below. The runs behind today's tables
left no such files.
"""
Row = dict[str, str]


def table(name: str) -> list[Row]:
    """Return the rows of a generated table by the name of its recipe.

    Examples
    --------
    >>> table("auto")[1]["method"]
    'auto'
    """
    for page in sorted(PAGES.glob("*.md")):
        found = re.search(rf"<!-- bench:{name} -->(.*?)<!-- /bench:{name} -->", page.read_text("utf-8"), re.DOTALL)
        if found and page != TARGET:
            lines = [line for line in found[1].splitlines() if line.startswith("|") and not line.startswith("| ---")]
            head, *rest = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)
            return [dict(zip(head, cells, strict=True)) for cells in rest]
    raise LookupError(f"no page has the table {name}")


def surely(difference: str) -> bool:
    """Say whether a paired difference, ``+0.93 ± 0.13``, lies outside its 95 % interval.

    Examples
    --------
    >>> surely("+0.07 ± 0.11"), surely("+0.93 ± 0.13")
    (False, True)
    """
    mean, _, half = difference.partition("±")
    return bool(half) and abs(float(mean)) > float(half)


def headline() -> Iterator[str]:
    """Yield what hush chooses by itself beside BM3D, a line for each kind of data and noise."""
    yield "| data | noise | n | noisy | hush | BM3D | hush - BM3D |"
    yield "| --- " * 7 + "|"
    rows = table("auto") + table("photographs")
    for one in rows:
        if one["method"] != "auto":
            continue
        of = {row["method"]: row for row in rows if (row["data"], row["noise"]) == (one["data"], one["noise"])}
        fitted = any(row["not fitted"] != "–" for row in of.values())
        scores = {name: of[name]["PSNR"] for name in ("noisy", "auto", "bm3d")}
        if surely(one["against baseline"]):
            best = "auto" if one["against baseline"].startswith("+") else "bm3d"
            scores[best] = f"**{scores[best]}**"
        data = one["data"] + (" (fitted)" if fitted else " (with starfish)" if one["data"] == "Set12" else "")
        yield f"| {data} | {one['noise']} | {one['n']} | {' | '.join(scores.values())} | {one['against baseline']} |"


def in_short(page: str) -> tuple[str, str]:
    """Return a page's question and its answer, on one line each."""
    text = (PAGES / f"{page}.md").read_text("utf-8")
    question, answer = re.search(r"^# (.*?)\n+\*\*In short\.\*\* (.*?)\n\n", text, re.DOTALL).groups()  # type: ignore[union-attr]
    return question, " ".join(answer.split())


def summary() -> str:
    """Return the page."""
    lines = [HEAD, "## Questions and answers\n", "| question | in short |", "| --- | --- |"]
    for page in ORDER:
        question, answer = in_short(page)
        lines.append(f"| [{question}]({page}.md) | {answer} |")
    lines += ["", "## `hush denoise` beside BM3D, the noise unknown\n"]
    lines += [
        "Mean PSNR in dB; bold where the paired difference lies outside its 95 % interval. Fitted: after a gain and"
    ]
    lines += ["offset. Starfish: Set12 04 is a crop of a training image. From `auto` and `photographs`.\n", *headline()]
    if rows := sorted((PAGES / "rows").glob("*.csv")):
        lines += ["", "## Scores of every image\n", *(f"- [{path.stem}](rows/{path.name})" for path in rows)]
    pages = "\n".join(ORDER)
    return "\n".join(lines) + f"\n\n```{{toctree}}\n:hidden:\n\n{pages}\n```\n\n*Made by `make docs`; do not edit.*\n"


if __name__ == "__main__":
    TARGET.write_text(summary(), "utf-8")
