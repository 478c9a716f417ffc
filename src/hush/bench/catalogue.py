"""What recipes there are, what each needs and has, and the figures that papers print beside those of its rows."""

from __future__ import annotations

import csv
import importlib.util
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from hush.bench import runner
from hush.bench.tables import groups
from hush.core import files
from hush.core.errors import HushError, unknown

ROWS = Path("docs") / "benchmarks" / "rows"  # where rows are kept that are published
LESS_IS_BETTER = ("mse", "loss", "error", "seconds")  # a score whose name has one of these; rmse too
PACKAGES = {
    "bm3d": "bm3d",
    "bmnd": "bmnd",
    "careamics": "careamics",
}  # of peers that are no part of hush's own requirements
DIGITS = 6  # significant ones, of scores in a file of rows

Row = dict[str, Any]


@dataclass(frozen=True)
class Entry:
    """One recipe, as ``hush bench --list`` shows it.

    Attributes
    ----------
    name, title : str
    paper, shows : str
        Which paper it repeats, and which table or figure; empty where it answers a question of hush's own.
    data, methods : list of str
        Names, each once, in the recipe's order.
    hours : dict of str to float
        Estimates on two cores by scale, where the recipe has them.
    missing : str or None
        Which files of the data are not there.
    without : list of str
        Peers among the methods that are not installed: their rows will hold no score.
    results : str or None
        File of rows that was found, and `scale` what it was made at.
    """

    name: str
    title: str
    paper: str
    shows: str
    data: list[str]
    methods: list[str]
    hours: dict[str, float]
    missing: str | None
    without: list[str]
    results: str | None
    scale: str | None

    def as_dict(self) -> Row:
        """Return a record for JSON."""
        return asdict(self) | {"data_there": self.missing is None}


def entry(name: str, data: Path, results: Path = Path("results"), kept: Path = ROWS) -> Entry:
    """Describe a recipe.

    Parameters
    ----------
    name : str
        Of a shipped recipe, or a file.
    data, results, kept : Path
        Folders of the data sets, of results (one folder a recipe), and of rows that are published.
    """
    recipe = runner.load(name)
    found, scale = _found(Path(name).stem, results, kept)
    return Entry(
        name=Path(name).stem,
        title=recipe["title"],
        paper=recipe.get("paper", ""),
        shows=recipe.get("shows", ""),
        data=list(dict.fromkeys(one["name"] for one in recipe["data"])),
        methods=list(dict.fromkeys(runner.label_of(one) for one in recipe.get("method", []))),
        hours={scale: one["hours"] for scale, one in recipe.get("scale", {}).items() if "hours" in one},
        missing=missing(recipe, data),
        without=not_installed(recipe),
        results=None if found is None else found.as_posix(),
        scale=scale,
    )


def _found(name: str, results: Path, kept: Path) -> tuple[Path | None, str | None]:
    """Rows of a run that is complete, or those that are published; and their scale."""
    mine, said = results / name / "rows.csv", results / name / "recipe.json"
    if mine.is_file() and said.is_file():
        return mine, json.loads(said.read_text("utf-8")).get("scale")
    if (path := kept / f"{name}.csv").is_file():
        return path, next((one.get("scale") for one in read_rows(path)), None)
    return None, None


def of_paper(paper: str | None) -> list[str]:
    """Return the recipes of a paper, or all.

    Raises
    ------
    HushError
        When no recipe names it.

    Examples
    --------
    >>> "n2v-figure4" in of_paper("noise2void")
    True
    """
    papers = {name: str(runner.load(name).get("paper", "")) for name in runner.names()}
    if paper is None:
        return list(papers)
    chosen = [name for name, said in papers.items() if said.lower() == paper.lower()]
    if not chosen:
        raise unknown("paper among the recipes", paper, {said for said in papers.values() if said})
    return chosen


def missing(recipe: Row, data: Path) -> str | None:
    """Say which files of a recipe, to test or to train on, are not there; None for nothing."""
    for one in recipe["data"]:
        for part in (one, one.get("train", {}), one.get("pretrain", {})):
            for pattern in (part[key] for key in ("files", "reference") if key in part):
                if next(data.glob(pattern), None) is None:
                    return f"no data: {pattern}"
    return None


def not_installed(recipe: Row) -> list[str]:
    """Return the peers of a recipe that are not installed."""
    needed = dict.fromkeys(PACKAGES.get(one.get("peer", ""), "") for one in recipe.get("method", []))
    return [package for package in needed if package and importlib.util.find_spec(package) is None]


def in_words(hours: float) -> str:
    """Say how long something takes.

    Examples
    --------
    >>> in_words(0.004), in_words(0.2), in_words(2.5), in_words(40)
    ('less than a minute', 'about 12 minutes', 'about 2.5 hours', 'about 40 hours')
    """
    if hours < 1 / 60:
        return "less than a minute"
    if hours < 1:
        return f"about {hours * 60:.0f} minutes"
    return f"about {hours:.2g} hours"


# Rows that are published ---------------------------------------------------------------------------------------------


def write_rows(path: Path, rows: Sequence[Row], scale: str) -> None:
    """Write the scores of a run as CSV: the scale, what names a row, and every number.

    Texts and lists of a row (what was warned of, names of folders) are left out.

    Parameters
    ----------
    path : Path
    rows : sequence of dict
        From `hush.bench.runner.run`.
    scale : str
        What it was run at: the first column.
    """
    numbers = dict.fromkeys(key for row in rows for key, value in row.items() if _is_number(value))
    columns = ["scale", *runner.ROW_KEYS, *(key for key in numbers if key not in runner.ROW_KEYS)]
    text = StringIO(newline="")
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        scores = {key: f"{row[key]:.{DIGITS}g}" for key in numbers if _is_number(row.get(key))}
        writer.writerow({"scale": scale} | scores | {key: row[key] for key in runner.ROW_KEYS})
    with files.plain_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    files.write_text(path, text.getvalue())


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and bool(np.isfinite(value))


def read_rows(path: Path) -> list[Row]:
    """Read what `write_rows` wrote: texts as texts, scores as numbers; a score that a row lacks is no key of it."""
    texts = {"scale", *runner.ROW_KEYS}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            lines = list(csv.DictReader(file))
        return [{key: value if key in texts else float(value) for key, value in row.items() if value} for row in lines]
    except (OSError, ValueError, TypeError) as error:
        raise HushError(f"{path} is no file of rows: {files.reason(error)}") from None


# Published figures ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Figure:
    """A figure that a paper prints, and ours.

    Attributes
    ----------
    recipe, paper, where, data, noise, method, score, note : str
    against : str
        The method from which a difference is printed (of means; in percent where `percent`); empty for a plain score.
    percent : bool
    value : float
        The paper's.
    ours, spread : float or None
        Mean over our images, and half of its 95 % interval (Student's t; of one image over its seeds); None where
        nothing was run, and where there is one value only.
    count : int
        Images of ours.
    scale : str
        Of the rows; empty where nothing was run.
    """

    recipe: str
    paper: str
    where: str
    data: str
    noise: str
    method: str
    against: str
    score: str
    percent: bool
    note: str
    value: float
    ours: float | None
    spread: float | None
    count: int
    scale: str

    @property
    def difference(self) -> float | None:
        """Ours less the paper's."""
        return None if self.ours is None else self.ours - self.value

    @property
    def worse(self) -> bool:
        """Whether ours is worse by more than the spread."""
        if self.difference is None or self.spread is None:
            return False
        sign = -1 if any(part in self.score for part in LESS_IS_BETTER) else 1
        return sign * self.difference < -self.spread


def published(name: str, kept: Path = ROWS) -> list[Figure]:
    """Return the published figures of a recipe, beside the means of its rows in ``kept/NAME.csv`` where that is.

    Parameters
    ----------
    name : str
        Of a shipped recipe, or a file.
    kept : Path
        Folder of rows.
    """
    recipe = runner.load(name)
    path = kept / f"{Path(name).stem}.csv"
    rows = read_rows(path) if path.is_file() else []
    made = []
    for one in recipe.get("published", []):
        ours, spread, count, scale = _ours(rows, one)
        made.append(
            Figure(
                recipe=Path(name).stem,
                paper=recipe.get("paper", ""),
                **{key: str(one.get(key, "")) for key in ("where", "data", "noise", "method", "against", "score")},
                percent=bool(one.get("percent", False)),
                note=one.get("note", ""),
                value=float(one["value"]),
                ours=ours,
                spread=spread,
                count=count,
                scale=scale,
            )
        )
    return made


def _ours(rows: Sequence[Row], one: Row) -> tuple[float | None, float | None, int, str]:
    """Mean, spread, number of images and scale of the rows that a published figure is about."""
    same = [row for row in rows if (row["data"], row["noise"]) == (one["data"], one["noise"]) and one["score"] in row]
    mine = {_draw(row): row for row in same if row["method"] == one["method"]}
    theirs = {_draw(row): row for row in same if row["method"] == one.get("against")}
    if "against" in one:
        mine = {key: row for key, row in mine.items() if key in theirs}
    if not mine:
        return None, None, 0, ""
    images = groups(list(mine.values()), "image")
    units = images if len(images) > 1 else [[row] for row in images[0]]  # of one image: its seeds
    values = np.array([np.mean([row[one["score"]] for row in unit]) for unit in units])
    factor = 1.0
    if "against" in one:
        base = np.array([np.mean([theirs[_draw(row)][one["score"]] for row in unit]) for unit in units])
        values, factor = values - base, 100 / float(base.mean()) if one.get("percent") else 1.0
    scale = ", ".join(sorted({row["scale"] for row in mine.values()}))
    return float(values.mean()) * factor, _half_width(values * factor), len(images), scale


def _draw(row: Row) -> tuple[str, str]:
    return row["image"], row["seed"]


def _half_width(values: Any) -> float | None:
    """Half of the 95 % interval of a mean."""
    if len(values) < 2:
        return None
    return float(stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values)))
