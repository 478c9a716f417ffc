"""Write docs/benchmarks/papers.md, figures of papers beside ours, and index.md, the summary: `make docs` runs it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from hush.bench import catalogue, runner
from hush.bench.catalogue import Figure

PAGES = Path(__file__).parent / "benchmarks"
TARGET = PAGES / "index.md"
PAPERS = PAGES / "papers.md"
ROWS = PAGES / "rows"
ORDER = (
    "automatic", "effort", "clean", "hard", "micrographs", "shipped-weights", "raw", "noise-estimation",
    "uncertainty",
    "noisebreaker", "classical", "learned", "noise2void", "careamics", "zero-shot", "fine-tuning", "folds", "risk",
    "volumes", "medical", "medical-report", "fetal-mri", "diffusion", "autoencoder", "n2v-failures", "noise-map",
    "methods-seconds", "papers",
)  # fmt: skip
HEAD = """# Benchmarks

One page a question. Every table between `bench` marks is made by `hush bench NAME --table FILE`, from one frozen noise
draw for each image. The data are research data and not part of this repository: `--data` says where they are. What was
chosen by hand was chosen on development images ([decision 015](../decisions/015-development-images.md)), with the
exceptions that [the first page](automatic.md) names.

The rows of what hush ships or chooses (`auto`, `pretrained`, `gaussian-fast`, `camera-fast`, `camera-best`,
`colour-fast`) are of later runs than the others, on the same machine.
`hush bench NAME --rows docs/benchmarks/rows/NAME.csv` writes the score of every image and the scale; such files are
listed below. Most runs behind today's tables left none.
"""
PAPERS_HEAD = """
A line for each figure that a paper prints and that a recipe of hush repeats. Ours are means over the rows of the same
data, noise and method in `docs/benchmarks/rows/NAME.csv`, which
`hush bench NAME --scale cpu --rows docs/benchmarks/rows/NAME.csv` writes; the scale is the first column of that file.
± is half of the 95 % interval of our mean over its images (Student's t; of one image over its seeds; none of one).
**Bold**: ours is worse by more than that. n: our images. "Against" means a difference of means, in percent of the
other's mean where it says so. What was not as in the paper stands in the last column; how many images a scale has, and
how long it trains, is in the recipe.
"""
NAMES = {"psnr": "PSNR", "psnr_fitted": "PSNR (fitted)", "ssim": "SSIM", "rmse": "RMSE", "mse": "MSE"}
DIGITS = {"psnr": ".2f", "psnr_fitted": ".2f"}  # of the others four that count
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
    rows = table("auto") + table("photographs") + table("smartphones")
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


def page_of(recipe: str) -> str:
    """Return a link to the page that has a recipe's table, or its name where none has."""
    for page in sorted(PAGES.glob("*.md")):
        if f"<!-- bench:{recipe} -->" in page.read_text("utf-8"):
            return f"[{recipe}]({page.name})"
    return f"`{recipe}`"


def line(one: Figure) -> str:
    """Return the line of a published figure.

    Examples
    --------
    >>> said = dict(recipe="none", paper="P", where="table 1", data="D", noise="real", against="", percent=False)
    >>> line(Figure(**said, method="m", score="psnr", note="", value=30.5, ours=None, spread=None, count=0, scale=""))
    '| P | table 1 | D | real | m | PSNR | 30.5 | not run yet | – | – | – | `none` |  |'
    """
    digits = ".0f" if one.percent else DIGITS.get(one.score, ".4g")
    sign = "+" if one.against else ""
    ours = difference = "–"
    if one.ours is None or one.difference is None:
        ours = "not run yet"
    else:
        ours = f"{one.ours:{sign}{digits}}" + ("" if one.spread is None else f" ± {one.spread:{digits}}")
        difference = f"{one.difference:+{digits}}"
    method = one.method + (f" against {one.against}" if one.against else "")
    score = NAMES.get(one.score, one.score.replace("_", " ")) + (", %" if one.percent else "")
    cells = [
        one.paper, one.where, one.data, one.noise.replace("|", "¦"), method, score, f"{one.value:{sign}g}", ours,
        f"**{difference}**" if one.worse else difference, str(one.count or "–"), one.scale or "–",
        page_of(one.recipe), one.note,
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |"


def papers_in_short(figures: Sequence[Figure]) -> str:
    """Return the answer in a sentence or two."""
    ran = [one for one in figures if one.ours is not None]
    worse = [one for one in ran if one.worse]
    if not ran:
        return f"Not known yet: {len(figures)} published figures have a recipe, and none was run into a file of rows."
    return (
        f"{len(figures)} published figures have a recipe, {len(ran)} were run. {len(ran) - len(worse)} of these are "
        f"not worse than the paper's by more than the spread of ours, {len(worse)} are."
    )


def papers() -> str:
    """Return the page of published figures."""
    recipes = {name: recipe for name in runner.names() if (recipe := runner.load(name)).get("paper")}
    recipes = dict(sorted(recipes.items(), key=lambda one: (one[1]["paper"].casefold(), one[0])))
    figures = [one for name in recipes for one in catalogue.published(name, ROWS)]
    lines = ["# Do the papers' figures come out again?", "", f"**In short.** {papers_in_short(figures)}", PAPERS_HEAD]
    lines.append(
        "| paper | where | data | noise | method | score | published | ours | difference | n | scale | recipe "
        "| not as there |"
    )
    lines += ["| --- " * 13 + "|", *map(line, figures), "", "## Shown, where the paper prints no figure", ""]
    lines += [
        f"- {recipe['paper']}, {recipe.get('shows', '')}: {page_of(name)}"
        for name, recipe in recipes.items()
        if not recipe.get("published")
    ]
    return "\n".join(lines) + "\n\n*Made by `make docs`; do not edit.*\n"


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
    lines += [
        "offset. Starfish: Set12 04 is a crop of a training image. From `auto`, `photographs`, `smartphones`.\n",
        *headline(),
    ]
    if rows := sorted(ROWS.glob("*.csv")):
        lines += ["", "## Scores of every image\n", *(f"- [{path.stem}](rows/{path.name})" for path in rows)]
    pages = "\n".join(ORDER)
    return "\n".join(lines) + f"\n\n```{{toctree}}\n:hidden:\n\n{pages}\n```\n\n*Made by `make docs`; do not edit.*\n"


if __name__ == "__main__":
    PAPERS.write_text(papers(), "utf-8")  # first: the summary quotes it
    TARGET.write_text(summary(), "utf-8")
