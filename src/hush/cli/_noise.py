"""Commands about noise: noise, simulate, analyze."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from hush.cli._options import AXES, JSON, KNOWN, NOISE_OPTIONS, OVERWRITE, QUIET_OPTION, SERIES
from hush.core.errors import HushError


@click.command(epilog="Example: hush noise clean.tif -o noisy.tif --noise 'poisson:photons=30'")
@click.argument("inputs", nargs=-1, required=True)
@click.option("-o", "--output", required=True, help="File for one input, folder for several.")
@click.option("--noise", "text", required=True, help="e.g. 'gaussian:sigma=0..55 + bernoulli:p=0.1'.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Same seed, same bytes.")
@click.option(
    "--peak", type=click.FloatRange(0, min_open=True), help="Amplitudes are times PEAK / 255.  [default: 255]"
)
@click.option("--clip", is_flag=True, help="Keep the file's own type: rounded and clipped.")
@AXES
@OVERWRITE
@JSON
@QUIET_OPTION
def noise(inputs: Sequence[str], output: str, text: str, seed: int, peak: float | None, clip: bool, **said: Any) -> int:
    """Put noise onto clean files."""
    from hush.cli import files, jobs
    from hush.cli.console import Console
    from hush.noise import parse

    console = Console(quiet=said["quiet"], as_json=said["as_json"])
    parsed = parse(text)
    planned = files.plan_outputs(files.expand(inputs), output, said["overwrite"])
    for job in planned:
        with console.attempt([job], len(planned) > 1):
            jobs.add_noise_job(job, parsed, seed, peak, clip, said["axes"], said["overwrite"])
            console.say(f"wrote {job.target}: {job.record['noise']}")
    return console.close(planned)


@click.command(epilog="Example: hush simulate epithelium -o cells.tif --size 512")
@click.argument("what", type=click.Choice(["epithelium", "fluorescence"]))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="File, e.g. clean.tif.")
@click.option("--size", type=click.IntRange(16), default=512, show_default=True, help="Side in pixels.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Same seed, same picture.")
@OVERWRITE
def simulate(what: str, output: Path, size: int, seed: int, overwrite: bool) -> int:
    """Make clean images by rule: membrane-labelled cells, or fibres, nuclei, organelles and dots."""
    from hush import io
    from hush.core.image import Image
    from hush.datasets import recipes

    io.check_output(output, overwrite=overwrite)
    clean = Image(recipes.SIMULATED[what](size, seed), "YX", meta={"description": f"simulated {what}, seed {seed}"})
    io.write(output, clean, overwrite=overwrite)
    return 0


@click.command(epilog="Example: hush analyze fish.tif --report noise.html")
@click.argument("inputs", nargs=-1, required=True)
@NOISE_OPTIONS
@AXES
@SERIES
@click.option("--report", type=click.Path(path_type=Path), help="Write a page: .html, or a folder for several.")
@OVERWRITE
@JSON
@QUIET_OPTION
def analyze(inputs: Sequence[str], report: Path | None, **said: Any) -> int:
    """Find out what noise is in files, and which method it calls for."""
    from hush.cli import files, jobs
    from hush.cli.console import Console

    console = Console(quiet=said["quiet"], as_json=said["as_json"])
    known = {name: said[name] for name in KNOWN if said[name] is not None}
    sources = files.expand(inputs, series=said["series"])
    named = zip(sources, files.names_apart(sources, stems=True), strict=True)
    planned = [files.Job(source, source, name) for source, name in named]
    if report is not None and len(planned) > 1 and report.suffix == ".html":
        raise HushError(f"--report {report.name} is one page, and there are {len(planned)} files: give a folder")
    for job in planned:
        page = report / f"{job.page}.html" if report is not None and len(planned) > 1 else report
        with console.attempt([job], len(planned) > 1):
            job.record = jobs.analyze_file(job.source, said["axes"], page, said["overwrite"], **known)
            if not said["as_json"]:
                click.echo(f"{job.source.name}: {job.record['verdict']}")
                click.echo(f"  {suggestion(job.record['recommendation'])}")
    return console.close(planned)


def suggestion(advice: dict[str, Any]) -> str:
    """Say the recommendation in a line."""
    if advice["method"] is None:
        return f"nothing to do: {advice['reason']}"
    words = ["--method", advice["method"]]
    for name, value in advice["settings"].items():
        words += ["--set", f"{name}={value}"]
    return f"{' '.join(words)}  ({advice['reason']})"
