"""Commands that measure: score, compare, bench."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import click

from hush.cli._options import AXES, JSON, OVERWRITE, QUIET_OPTION
from hush.core import files
from hush.core.errors import HushError


@click.command(epilog="Example: hush score clean.tif truth.tif --fit-gain")
@click.argument("image")
@click.argument("reference")
@AXES
@click.option("--fit-gain", is_flag=True, help="Fit gain and offset to the reference first.")
@click.option("--peak", type=click.FloatRange(0, min_open=True), help="[default: 255 for 8 bit, else the extent]")
@JSON
def score(image: str, reference: str, axes: str | None, fit_gain: bool, peak: float | None, as_json: bool) -> int:
    """Compare an image with a reference: PSNR, SSIM, RMSE."""
    from hush import io
    from hush.core.metrics import scores

    result = scores(io.read(image, axes), io.read(reference, axes), peak=peak, fit=fit_gain)
    if as_json:
        click.echo(json.dumps({"image": image, "reference": reference, **result}))
        return 0
    for name, value in result.items():
        unknown = "infinite" if name == "psnr" else "the image is too small"
        click.echo(f"{name:<8}{unknown if value is None else f'{value:.6g}'}")
    return 0


@click.command(epilog="Example: hush compare fish.tif --methods bm3d,nlm,n2v -o compared/")
@click.argument("image")
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="Folder of page.html.")
@click.option("--reference", help="A clean image of the same shape: PSNR, SSIM and RMSE as well.")
@click.option("--methods", default="bm3d,nlm,n2v", show_default=True, help="Names of 'hush list', with commas.")
@click.option("--seconds", type=click.FloatRange(0, min_open=True), default=30.0, show_default=True, help="A training.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of all random numbers.")
@click.option("--hidden", is_flag=True, help="Risk at hidden pixels too: learned methods train twice.")
@AXES
@OVERWRITE
@JSON
@QUIET_OPTION
def compare(
    image: str,
    output: Path,
    reference: str | None,
    methods: str,
    seconds: float,
    seed: int,
    hidden: bool,
    axes: str | None,
    overwrite: bool,
    as_json: bool,
    quiet: bool,
) -> int:
    """Run several methods on one file: a table, and a page that lays any two over each other."""
    from hush import io
    from hush.bench.compare import collect
    from hush.bench.compare import compare as run
    from hush.cli.console import Console
    from hush.reports.comparison import compare_page

    console = Console(quiet=quiet, as_json=as_json)
    if (output / "page.html").exists() and not overwrite:
        raise HushError(f"{output / 'page.html'} exists; --overwrite replaces it")
    if output.is_file():
        raise HushError(f"{output} is a file; -o takes a folder")
    noisy = io.read(image, axes)
    truth = io.read(reference, axes) if reference else None
    names = [name.strip().replace("-", "_") for name in methods.split(",") if name.strip()]
    if not names:
        raise HushError("--methods names no method; for example --methods bm3d,nlm,n2v")
    entries = run(noisy, names, reference=truth, seconds=seconds, seed=seed, hidden=hidden, said=console.say)
    words = ["hush", "compare", Path(image).name, "--methods", ",".join(names), "--seconds", f"{seconds:g}"]
    words += (["--reference", Path(reference).name] if reference else []) + ["--seed", str(seed), "-o", output.name]
    collect(output, noisy, entries, truth, shlex.join(words))
    compare_page(output, output / "page.html", overwrite=overwrite)
    for entry in entries:
        if as_json:
            click.echo(json.dumps({"method": entry.method, "failed": entry.image is None, "note": entry.note}
                                  | {"figures": entry.figures}))  # fmt: skip
        else:
            figures = {k: v for k, v in entry.figures.items() if v is not None and not k.endswith("_error")}
            click.echo(f"{entry.method:<10}" + "  ".join(f"{k} {v:.4g}" for k, v in figures.items()))
            if entry.image is None:
                click.echo(f"  {entry.note}")
    console.say(f"wrote {output / 'page.html'}")
    return 1 if any(entry.image is None for entry in entries) else 0


@click.command(epilog="Example: hush bench classical --scale smoke --table tables.md")
@click.argument("name", required=False)
@click.option("--data", type=click.Path(path_type=Path), default=Path("../shared/data"), show_default=True,
              help="Folder of the data sets.")  # fmt: skip
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Folder of results.  [default: results/NAME]")
@click.option(
    "--scale", type=click.Choice(["smoke", "cpu", "full"]), default="cpu", show_default=True, help="How much."
)
@click.option("--table", type=click.Path(path_type=Path), help="Put the table into this document.")
@click.option("--export-noise", type=click.Path(path_type=Path), help="Write the frozen noisy images to this folder.")
@OVERWRITE
@QUIET_OPTION
def bench(
    name: str | None,
    data: Path,
    output: Path | None,
    scale: str,
    table: Path | None,
    export_noise: Path | None,
    overwrite: bool,
    quiet: bool,
) -> int:
    """Run a recipe: every figure that is published. Without a name: list the recipes."""
    from hush.bench import runner, studies
    from hush.cli.console import Console
    from hush.reports.bench import bench_page, write_document

    if name is None:
        for one in runner.names():
            click.echo(f"{one:<20}{runner.load(one)['title']}")
        return 0
    console = Console(quiet=quiet, as_json=False)
    recipe = runner.load(name)
    make, as_table = studies.kind_of(recipe)
    short = Path(name).stem
    folder = output or Path("results") / short
    with console.counting(short) as progress:
        rows = runner.run(
            recipe,
            make,
            scale=scale,
            data=data,
            out=folder,
            overwrite=overwrite,
            export=export_noise,
            progress=progress,
        )
    files.write_text(folder / "recipe.toml", runner.source(name))
    text = as_table(rows, recipe)
    bench_page(folder, recipe, text)
    click.echo(text)
    if table is not None:
        write_document(short, recipe, scale, text, json.loads((folder / "environment.json").read_text("utf-8")), table)
    console.say(f"wrote {folder}")
    return 0
