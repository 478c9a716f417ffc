"""Commands that look: info, list, report, doctor."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import click

from hush.cli._options import AXES, JSON, OVERWRITE, SERIES
from hush.core import registry


@click.command(epilog="Example: hush info fish.tif")
@click.argument("files", nargs=-1, required=True)
@AXES
@SERIES
@JSON
def info(files: Sequence[str], axes: str | None, series: str | None, as_json: bool) -> int:
    """Say what is in a file: axes, type, pixel size, range."""
    from hush.cli.console import Console
    from hush.cli.files import Job, Options, expand, file_facts

    console = Console(quiet=False, as_json=as_json)
    planned = [Job(source, source) for source in expand(files, series=series)]
    for job in planned:
        with console.attempt([job], len(planned) > 1):
            job.record = file_facts(job.source, Options(axes=axes, again=True))
            console.facts(job.record)
    return console.close(planned)


@click.command("list", epilog="Example: hush list formats")
@click.argument("what", type=click.Choice(["methods", "formats"]), default="methods")
@JSON
def list_(what: str, as_json: bool) -> int:
    """List the methods: what each needs and does; or the formats of files."""
    if what == "formats":
        return _list_formats(as_json)
    rows = [registry.describe("methods", name) for name in registry.names("methods")]
    for row in rows:
        click.echo(json.dumps(row) if as_json else f"{row['name']:<12}needs {row['needs']:<17}{row['about']}")
    return 0


def _list_formats(as_json: bool) -> int:
    from hush import io

    for row in io.formats():
        if as_json:
            click.echo(json.dumps(row))
            continue
        how = "read and written" if row["written"] else "read"
        how = how if row["here"] else f"needs pip install 'hush-denoise[{row['extra']}]'"
        click.echo(f"{row['name']:<8}{how}: {' '.join(row['suffixes'])}\n{'':<8}{row['about']}")
    return 0


@click.command(epilog="Example: hush report results/ -o page.html")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="The page, NAME.html.")
@OVERWRITE
def report(folder: Path, output: Path, overwrite: bool) -> int:
    """Write the page of a results folder (see --results)."""
    from hush.reports.denoising import page

    page(folder, output, overwrite=overwrite)
    return 0


@click.command(epilog="Example: hush doctor")
@JSON
def doctor(as_json: bool) -> int:
    """Say what this machine can do: versions, device, precision, memory, speed."""
    from hush.cli.doctor import examine

    facts = examine()
    if as_json:
        click.echo(json.dumps(facts))
    else:
        for name, value in facts.items():
            click.echo(f"{name:<24}{value}")
    return 0
