"""Commands that remove noise: denoise, train, apply."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from hush.cli._options import (
    AXES,
    KNOWN,
    LEARN,
    OVERWRITE,
    QUIET,
    RUN,
    WRITE,
    build,
    check_pages,
    console_of,
    finish,
    options_of,
    run_settings,
)  # fmt: skip


@click.command()
@click.argument("inputs", nargs=-1, required=True)
@click.option("-o", "--output", help="File for one input, folder for several.  [default: NAME_denoised.EXT]")
@LEARN
@click.option("--each", is_flag=True, help="Train one model a file instead of one for all.")
@RUN
@KNOWN
@WRITE
def denoise(inputs: Sequence[str], output: str | None, each: bool, **said: Any) -> int:
    """Denoise files, knowing nothing but themselves."""
    from hush import files, jobs

    console, options = console_of(said), options_of(said)
    denoiser = build(said, jobs.DEFAULT_METHOD)
    planned = files.plan_outputs(files.expand(inputs), output, options.overwrite)
    check_pages(planned, options)
    opened = files.open_images(planned, options)
    console.plan(opened, denoiser, each)
    for group in [[job] for job in opened] if each or denoiser.scope == "image" else [opened] if opened else []:
        partial = files.partial_of(group)
        with console.attempt(group, len(planned) > 1), console.training(group) as progress:
            jobs.fit_jobs(group, denoiser, partial, said["resume"], progress)
            finish(group, planned, denoiser, options, console)
            partial.unlink(missing_ok=True)
    return console.close(planned)


@click.command()
@click.argument("inputs", nargs=-1, required=True)
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="The model, NAME.hush.")
@LEARN
@RUN
@AXES
@click.option("--again", is_flag=True, help="Learn from files that hush has denoised already.")
@OVERWRITE
@QUIET
def train(inputs: Sequence[str], output: Path, **said: Any) -> int:
    """Train a model on files and keep it for 'hush apply'."""
    from hush import files, jobs

    console = console_of(said)
    options = files.Options(axes=said["axes"], again=said["again"])
    denoiser = build(said, "n2v")
    planned = [files.Job(source, output) for source in files.expand(inputs)]
    files.check_model_output(output, said["overwrite"])
    opened = files.open_images(planned, options)
    console.plan(opened, denoiser, False)
    if opened:
        with console.training(opened) as progress:
            jobs.train_file(opened, denoiser, output, said["resume"], said["overwrite"], progress)
        console.say(f"wrote {output}")
    return console.close(planned)


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("inputs", nargs=-1, required=True)
@click.option("-o", "--output", help="File for one input, folder for several.  [default: NAME_denoised.EXT]")
@click.option("--renormalize", is_flag=True, help="Measure mean and spread on every image anew.")
@RUN
@WRITE
def apply(model: Path, inputs: Sequence[str], output: str | None, renormalize: bool, **said: Any) -> int:
    """Denoise files with a trained model."""
    from hush import files
    from hush.models import load

    console, options = console_of(said), options_of(said)
    planned = files.plan_outputs(files.expand(inputs), output, options.overwrite)
    check_pages(planned, options)
    denoiser = load(model, renormalize=renormalize, **run_settings(said))
    for job in planned:
        with console.attempt([job], len(planned) > 1):
            files.open_images([job], options)
            console.plan([job], denoiser, False)
            finish([job], planned, denoiser, options, console)
    return console.close(planned)
