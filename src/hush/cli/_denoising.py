"""Commands that remove noise: denoise, train, apply."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from hush.cli._options import (
    AXES,
    CLUSTER,
    EFFORT,
    JSON,
    LEARN,
    MEMORY,
    NOISE_OPTIONS,
    OVERWRITE,
    QUIET_OPTION,
    RESUME,
    RUN_OPTIONS,
    SERIES,
    TARGETS,
    UNCERTAINTY,
    WRITE,
    build,
    check_pages,
    console_of,
    finish,
    options_of,
    pair,
    run_settings,
)  # fmt: skip
from hush.core.errors import HushError


@click.command(epilog="Example: hush denoise noisy.tif -o clean.tif --report page.html")
@click.argument("inputs", nargs=-1, required=True)
@click.option("-o", "--output", help="File for one input, folder for several.  [default: NAME_denoised.EXT]")
@EFFORT
@LEARN
@click.option("--each", is_flag=True, help="Train one model a file instead of one for all.")
@RUN_OPTIONS
@NOISE_OPTIONS
@TARGETS
@UNCERTAINTY
@MEMORY
@CLUSTER
@SERIES
@WRITE
def denoise(inputs: Sequence[str], output: str | None, each: bool, targets: str | None, **said: Any) -> int:
    """Denoise files, knowing nothing but themselves."""
    from hush import _api
    from hush.cli import files, jobs, streamed

    console, options = console_of(said), options_of(said)
    denoiser = build(said, _api.DEFAULT_METHOD)
    planned = files.plan_outputs(files.expand(inputs, series=said["series"]), output, options.replaces)
    check_pages(planned, options)
    pair(planned, targets, denoiser)
    streamed.refuse_begun(planned, options)
    opened = files.open_images(planned, options, results=True)
    streamed.check(opened, denoiser, options)
    console.plan(opened, denoiser, each)
    for group in [[job] for job in opened] if each or denoiser.scope == "image" else [opened] if opened else []:
        partial = files.partial_of(group)
        with console.attempt(group, len(planned) > 1), console.training(group) as progress:
            samples = streamed.samples(group, denoiser, options)
            jobs.fit_jobs(samples, denoiser, partial, said["resume"], progress)
            finish(group, planned, denoiser, options, console)
            partial.unlink(missing_ok=True)
    return console.close(planned)


@click.command(epilog="Example: hush train stack/*.tif --method n2v -o stack.hush")
@click.argument("inputs", nargs=-1, required=True)
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="The model, NAME.hush.")
@click.option("--from", "begin", type=click.Path(path_type=Path), help="Go on with a trained model (fine-tuning).")
@LEARN
@RUN_OPTIONS
@NOISE_OPTIONS
@TARGETS
@click.option("--validation", type=click.FloatRange(0, 0.5), help="Share of the files held out; the best weights win.")
@click.option("--patience", type=click.IntRange(1), help="Stop after so many of 50 looks without a better one.")
@click.option(
    "--folds",
    type=click.IntRange(2),
    help="Cross-validate first: so many models, each tested on files that it has not seen. They are scored against "
    "--targets, or --noise is put on clean files; with neither by the loss.",
)
@AXES
@click.option("--again", is_flag=True, help="Learn from files that hush has denoised already.")
@OVERWRITE
@JSON
@QUIET_OPTION
def train(
    inputs: Sequence[str], output: Path, begin: Path | None, targets: str | None, folds: int | None, **said: Any
) -> int:
    """Train a model on files or folders and keep it for 'hush apply'."""
    from hush.cli import _training, files, jobs
    from hush.cli._teaching import METHOD, teach

    _training.check_together(said["method"], folds)
    if said["method"] == METHOD:
        if folds:
            raise HushError(f"{METHOD} learns a noise from clean images and is not cross-validated: leave --folds out")
        return teach(inputs, output, begin, said | {"targets": targets})
    console = console_of(said)
    options = files.Options(axes=said["axes"], again=said["again"])
    start, kept = None, None
    if begin is not None:
        start, said["method"], kept = jobs.fine_tuned(begin, said["method"])
    denoiser = build(_training.said_for_folds(said, "n2v") if folds else said, "n2v", kept)
    planned = [files.Job(source, output) for source in files.expand(inputs, folders=True)]
    files.check_model_output(output, said["overwrite"])
    if folds:
        _training.check_learns(denoiser)
        _training.pair_for_folds(planned, targets)
    else:
        pair(planned, targets, denoiser)
    opened = files.open_images(planned, options)
    console.plan(opened, denoiser, False)
    if opened:
        _training.say_together(denoiser, console)
        how = (opened, denoiser, output)
        found = _training.validate(*how, folds, said["resume"], console, start) if folds else None
        with console.training(opened) as progress:
            notes = None if found is None else {"cross_validation": found.as_dict()}
            written = jobs.train_file(*how, said["resume"], said["overwrite"], progress, start, notes)
        if folds:
            _training.finished_folds(output).unlink(missing_ok=True)
        console.say(f"wrote {' and '.join(map(str, written))}")
        if console.as_json:
            click.echo(json.dumps(_training.record(written, denoiser, opened, found)))
    return console.close(planned)


@click.command(epilog="Example: hush apply stack.hush new/*.tif -o out/")
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("inputs", nargs=-1, required=True)
@click.option("-o", "--output", help="File for one input, folder for several.  [default: NAME_denoised.EXT]")
@click.option("--renormalize", is_flag=True, help="Measure mean and spread on every image anew.")
@RUN_OPTIONS
@UNCERTAINTY
@MEMORY
@CLUSTER
@RESUME
@SERIES
@WRITE
def apply(model: Path, inputs: Sequence[str], output: str | None, renormalize: bool, **said: Any) -> int:
    """Denoise files with a trained model."""
    from hush.cli import files, streamed
    from hush.methods._model_file import load

    console, options = console_of(said), options_of(said)
    planned = files.plan_outputs(files.expand(inputs, series=said["series"]), output, options.replaces)
    check_pages(planned, options)
    denoiser = load(model, renormalize=renormalize, **run_settings(said))
    if said["uncertainty"] is not None and not denoiser.uncertain:
        raise HushError(f"the model's method {denoiser.method} gives no uncertainty; possible: one trained by ssdn")
    streamed.refuse_begun(planned, options)
    for job in planned:
        with console.attempt([job], len(planned) > 1):
            streamed.check(files.open_images([job], options, results=True), denoiser, options)
            console.plan([job], denoiser, False)
            finish([job], planned, denoiser, options, console)
    return console.close(planned)
