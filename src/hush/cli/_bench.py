"""The command bench: one recipe, all of them, or the list of what there is."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hush.cli._options import JSON, OVERWRITE, QUIET_OPTION
from hush.core import files
from hush.core.errors import HushError

if TYPE_CHECKING:
    from hush.bench.catalogue import Entry
    from hush.cli.console import Console

ALL = "all"  # the name that stands for every recipe
WIDTHS = {"shows": 44, "data": 30, "methods": 40}  # characters of these cells, at most
LISTED = ("name", "paper", "shows", "data", "methods", "cpu", "full", "there", "results")

Row = dict[str, Any]


@click.command(epilog="Example: hush bench classical --scale smoke --table tables.md")
@click.argument("name", required=False)
@click.option("--list", "as_list", is_flag=True, help="List the recipes: what each shows, needs, and takes.")
@click.option("--only-paper", metavar="PAPER", help="Of 'all' and --list: the recipes of this paper.")
@click.option("--data", type=click.Path(path_type=Path), default=Path("../shared/data"), show_default=True,
              help="Folder of the data sets.")  # fmt: skip
@click.option("-o", "--output", type=click.Path(path_type=Path),
              help="Folder of results; of 'all' the folder of those folders.  [default: results/NAME]")  # fmt: skip
@click.option(
    "--scale", type=click.Choice(["smoke", "cpu", "full"]), default="cpu", show_default=True, help="How much."
)
@click.option("--table", type=click.Path(path_type=Path), help="Put the table into this document.")
@click.option("--rows", type=click.Path(path_type=Path),
              help="Write every score and the scale to this CSV; of 'all' to NAME.csv in this folder.")  # fmt: skip
@click.option("--export-noise", type=click.Path(path_type=Path), help="Write the frozen noisy images to this folder.")
@OVERWRITE
@JSON
@QUIET_OPTION
def bench(
    name: str | None,
    as_list: bool,
    only_paper: str | None,
    data: Path,
    output: Path | None,
    scale: str,
    table: Path | None,
    rows: Path | None,
    export_noise: Path | None,
    overwrite: bool,
    as_json: bool,
    quiet: bool,
) -> int:
    """Run a recipe: every figure that is published. 'all' runs every recipe; without a name: list them."""
    from hush.bench import catalogue
    from hush.cli.console import Console

    several = name is None or name == ALL
    if only_paper is not None and not several:
        raise HushError("--only-paper chooses among several recipes: hush bench all --only-paper PAPER")
    names = catalogue.of_paper(only_paper) if several else [str(name)]
    root = output or Path("results")
    if as_list or name is None:
        return _list([catalogue.entry(one, data, root) for one in names], as_json)
    how = How(scale, data, overwrite, Console(quiet=quiet, as_json=as_json), rows, export_noise)
    if name != ALL:
        return _one(name, output or root / Path(name).stem, how, table)
    for option, value in (("--table", table), ("--export-noise", export_noise)):
        if value is not None:
            raise HushError(f"{option} takes one recipe: hush bench NAME {option} {value.name}")
    return _all(names, root, how)


# The list ------------------------------------------------------------------------------------------------------------


def _list(entries: Sequence[Entry], as_json: bool) -> int:
    """Print a table of recipes, or a record of each."""
    if as_json:
        for entry in entries:
            click.echo(json.dumps(entry.as_dict()))
        return 0
    lines = [LISTED, *(_cells(entry) for entry in entries)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    return 0


def _cells(entry: Entry) -> tuple[str, ...]:
    long = {"shows": entry.shows or entry.title, "data": "; ".join(entry.data), "methods": "; ".join(entry.methods)}
    short = (text if len(text) <= WIDTHS[key] else f"{text[: WIDTHS[key] - 1]}…" for key, text in long.items())
    hours = (f"{entry.hours[scale]:.2g} h" if scale in entry.hours else "–" for scale in ("cpu", "full"))
    results = "–" if entry.results is None else f"{entry.scale}, {entry.results}"
    there = entry.missing or "yes" + (f", but not {', '.join(entry.without)}" if entry.without else "")
    return (entry.name, entry.paper or "–", *short, *hours, there, results)


# Running -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class How:
    """What was asked for, of one recipe or of all."""

    scale: str
    data: Path
    overwrite: bool
    console: Console
    rows: Path | None
    export: Path | None


def _run(name: str, folder: Path, how: How) -> tuple[Row, list[Row], str]:
    """Run a recipe into its folder, and return the recipe, its rows, its table."""
    from hush.bench import catalogue, runner, studies
    from hush.reports.bench import bench_page

    recipe = runner.load(name)
    make, as_table = studies.kind_of(recipe)
    hours = recipe.get("scale", {}).get(how.scale, {}).get("hours")
    if hours is not None:
        how.console.say(f"{Path(name).stem}: {catalogue.in_words(hours)} at --scale {how.scale} on two cores")
    with how.console.counting(Path(name).stem) as progress:
        rows = runner.run(
            recipe,
            make,
            scale=how.scale,
            data=how.data,
            out=folder,
            overwrite=how.overwrite,
            export=how.export,
            progress=progress,
        )
    files.write_text(folder / "recipe.toml", runner.source(name))
    text = as_table(rows, recipe)
    bench_page(folder, recipe, text)
    return recipe, rows, text


def _one(name: str, folder: Path, how: How, table: Path | None) -> int:
    """Run one recipe and print its table."""
    from hush.bench import catalogue
    from hush.reports.bench import write_document

    recipe, rows, text = _run(name, folder, how)
    click.echo("\n".join(json.dumps(row) for row in rows) if how.console.as_json else text)
    if table is not None:
        made_by = json.loads((folder / "environment.json").read_text("utf-8"))
        write_document(Path(name).stem, recipe, how.scale, text, made_by, table)
    if how.rows is not None:
        catalogue.write_rows(how.rows, rows, how.scale)
    how.console.say(f"wrote {folder}")
    return 0


def _all(names: Sequence[str], root: Path, how: How) -> int:
    """Run one recipe after the other, say how each ended, and go on after one that fails."""
    from hush.bench import runner

    scales = [runner.load(name).get("scale", {}).get(how.scale, {}) for name in names]
    hours = [one["hours"] for one in scales if "hours" in one]
    how.console.say(f"{len(names)} recipes, {sum(hours):.2g} hours where they say it ({len(hours)} of them)")
    ended = []
    for name in names:
        record = _attempt(name, root / name, how)
        ended.append(record)
        click.echo(json.dumps(record) if how.console.as_json else _line(record))
    done, left, failed = ([one for one in ended if one["ended"] == state] for state in ("done", "left out", "failed"))
    how.console.say(f"{len(done)} recipes done, {len(left)} left out, {len(failed)} failed")
    return 1 if failed else 0


def _attempt(name: str, folder: Path, how: How) -> Row:
    """Run one of several recipes: how it ended, why if not well, rows, seconds, and methods without a score."""
    from hush.bench import catalogue, runner

    record: Row = {"name": name, "ended": "left out", "rows": 0, "seconds": 0.0, "reason": None, "without": {}}
    begun = time.perf_counter()
    try:
        lacking = catalogue.missing(runner.load(name), how.data)
        if lacking is not None:
            return record | {"reason": lacking}
        _, rows, _ = _run(name, folder, how)
        if how.rows is not None:
            catalogue.write_rows(how.rows / f"{name}.csv", rows, how.scale)
    except Exception as error:  # a recipe that breaks must not take the others with it
        peer = isinstance(error, ImportError) and not (error.name or "").startswith("hush")
        known = isinstance(error, HushError) or peer
        reason = files.reason(error) if known else f"{type(error).__name__}: {files.reason(error)}"
        return record | {"ended": "left out" if peer else "failed", "reason": reason}
    record |= {"ended": "done", "rows": len(rows), "seconds": round(time.perf_counter() - begun, 1)}
    return record | {"without": {row["method"]: row["error"] for row in rows if row.get("error")}}


def _line(record: Row) -> str:
    """Say how a recipe ended."""
    if record["ended"] != "done":
        return f"{record['name']:<22}{record['ended']}: {record['reason']}"
    lacking = "".join(f"; {method}: {reason}" for method, reason in record["without"].items())
    return f"{record['name']:<22}{record['rows']:>6} rows {record['seconds']:>8.1f} s{lacking}"
