"""The command line: each command a few lines over the API; whatever is heavy is imported when it runs."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hush import __version__, registry
from hush.errors import HushError

if TYPE_CHECKING:
    from hush.console import Console
    from hush.files import Job, Options
    from hush.netdenoiser import NetDenoiser

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


def together(*options: Callable[..., Any]) -> Callable[..., Any]:
    """Make one decorator of several options."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


AXES = click.option("--axes", help="What the file's axes are, e.g. ZYX or TCYX; by default what the file says.")
JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object a line on standard output.")
OVERWRITE = click.option("--overwrite", is_flag=True, help="Replace results that exist.")
QUIET = click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors.")
SET = click.option("--set", "sets", multiple=True, metavar="NAME=VALUE", help="A setting of the method; repeatable.")
LEARN = together(
    click.option("--method", help="A name of 'hush list'.  [default: n2v]"),
    click.option("--steps", type=click.IntRange(1), help="Training steps: the same steps give the same bytes."),
    click.option("--seconds", type=click.FloatRange(0, min_open=True), help="Training time.  [default: 20]"),
    click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of all random numbers."),
    click.option("--ndim", type=click.Choice(["2", "3"]), default="2", show_default=True, help="3: whole volumes."),
    click.option("--joint-channels", is_flag=True, help="One network for all channels of C."),
    click.option("--resume", is_flag=True, help="Continue what was interrupted."),
    SET,
)
RUN = together(
    click.option("--device", help="cpu, cuda, mps.  [default: the best there is]"),
    click.option("--precision", type=click.Choice(["bfloat16", "float32"]), help="[default: by the processor]"),
    click.option("--tile", type=click.IntRange(1), help="Side of a tile.  [default: by the memory]"),
    click.option("--tta", is_flag=True, help="Test-time augmentation: mean over eight turns and flips, 8 x slower."),
)
WRITE = together(
    AXES,
    click.option("--crop", help="Try it on a piece: y0:y1,x0:x1."),
    click.option(
        "--strength", type=click.FloatRange(0, 1), default=1.0, show_default=True, help="Below 1: noise mixed back."
    ),
    click.option("--float", "as_float", is_flag=True, help="Write float32 instead of the file's own type."),
    click.option("--again", is_flag=True, help="Denoise files that hush has denoised already."),
    OVERWRITE,
    click.option("--report", type=click.Path(path_type=Path), help="Write a page: .html, or a folder for several."),
    click.option("--results", type=click.Path(path_type=Path), help="Keep the folder that the page is made from."),
    JSON,
    QUIET,
)


@click.group(context_settings=CONTEXT)
@click.version_option(__version__, prog_name="hush")
def hush() -> None:
    """Remove noise from images when nobody has the clean ones."""


@hush.command()
@click.argument("inputs", nargs=-1, required=True)
@click.option("-o", "--output", help="File for one input, folder for several.  [default: NAME_denoised.EXT]")
@LEARN
@click.option("--each", is_flag=True, help="Train one model a file instead of one for all.")
@RUN
@WRITE
def denoise(inputs: Sequence[str], output: str | None, each: bool, **said: Any) -> int:
    """Denoise files, learning from nothing but themselves."""
    from hush import files, jobs

    console, options = _console(said), _options(said)
    denoiser = _build(said)
    planned = files.plan_outputs(files.expand(inputs), output, options.overwrite)
    _pages(planned, options)
    opened = files.open_images(planned, options)
    console.plan(opened, denoiser, each)
    for group in [[job] for job in opened] if each or denoiser.scope == "image" else [opened] if opened else []:
        partial = files.partial_of(group)
        with console.attempt(group, len(planned) > 1), console.training(group) as progress:
            jobs.fit_jobs(group, denoiser, partial, said["resume"], progress)
            _finish(group, planned, denoiser, options, console)
            partial.unlink(missing_ok=True)
    return console.close(planned)


@hush.command()
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

    console = _console(said)
    options = files.Options(axes=said["axes"], again=said["again"])
    denoiser = _build(said)
    planned = [files.Job(source, output) for source in files.expand(inputs)]
    files.check_model_output(output, said["overwrite"])
    opened = files.open_images(planned, options)
    console.plan(opened, denoiser, False)
    if opened:
        with console.training(opened) as progress:
            jobs.train_file(opened, denoiser, output, said["resume"], said["overwrite"], progress)
        console.say(f"wrote {output}")
    return console.close(planned)


@hush.command()
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

    console, options = _console(said), _options(said)
    planned = files.plan_outputs(files.expand(inputs), output, options.overwrite)
    _pages(planned, options)
    denoiser = load(model, renormalize=renormalize, **_run_settings(said))
    for job in planned:
        with console.attempt([job], len(planned) > 1):
            files.open_images([job], options)
            console.plan([job], denoiser, False)
            _finish([job], planned, denoiser, options, console)
    return console.close(planned)


@hush.command()
@click.argument("image")
@click.argument("reference")
@AXES
@click.option("--fit-gain", is_flag=True, help="Fit gain and offset to the reference first.")
@click.option("--peak", type=click.FloatRange(0, min_open=True), help="[default: 255 for 8 bit, else the extent]")
@JSON
def score(image: str, reference: str, axes: str | None, fit_gain: bool, peak: float | None, as_json: bool) -> int:
    """Compare an image with a reference: PSNR, SSIM, RMSE."""
    from hush import io
    from hush.metrics import scores

    result = scores(io.read(image, axes), io.read(reference, axes), peak=peak, fit=fit_gain)
    if as_json:
        click.echo(json.dumps({"image": image, "reference": reference, **result}))
        return 0
    for name, value in result.items():
        unknown = "infinite" if name == "psnr" else "the image is too small"
        click.echo(f"{name:<8}{unknown if value is None else f'{value:.6g}'}")
    return 0


@hush.command()
@click.argument("files", nargs=-1, required=True)
@AXES
@JSON
def info(files: Sequence[str], axes: str | None, as_json: bool) -> int:
    """Say what is in a file: axes, type, pixel size, range."""
    from hush.console import Console
    from hush.files import Job, Options, expand, file_facts

    console = Console(quiet=False, as_json=as_json)
    planned = [Job(source, source) for source in expand(files)]
    for job in planned:
        with console.attempt([job], len(planned) > 1):
            job.record = file_facts(job.source, Options(axes=axes, again=True))
            console.facts(job.record)
    return console.close(planned)


@hush.command("list")
@JSON
def list_(as_json: bool) -> int:
    """List the methods: what each needs and does."""
    rows = [registry.describe("methods", name) for name in registry.names("methods")]
    for row in rows:
        click.echo(json.dumps(row) if as_json else f"{row['name']:<12}needs {row['needs']:<14}{row['about']}")
    return 0


@hush.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="The page, NAME.html.")
@OVERWRITE
def report(folder: Path, output: Path, overwrite: bool) -> int:
    """Write the page of a results folder (see --results)."""
    from hush.report import page

    page(folder, output, overwrite=overwrite)
    return 0


@hush.command()
@JSON
def doctor(as_json: bool) -> int:
    """Say what this machine can do: versions, device, precision, memory, speed."""
    from hush.machine import examine

    facts = examine()
    if as_json:
        click.echo(json.dumps(facts))
    else:
        for name, value in facts.items():
            click.echo(f"{name:<24}{value}")
    return 0


def _console(said: dict[str, Any]) -> Console:
    from hush.console import Console

    return Console(quiet=said.get("quiet", False), as_json=said.get("as_json", False))


def _options(said: dict[str, Any]) -> Options:
    from hush.files import Options, parse_crop

    crop = parse_crop(said["crop"]) if said["crop"] else None
    names = ("axes", "as_float", "again", "overwrite", "report", "results")
    reason = "a trained model" if "method" not in said else "asked for" if said["method"] else "the default"
    return Options(crop=crop, reason=reason, **{name: said[name] for name in names})


def _run_settings(said: dict[str, Any]) -> dict[str, Any]:
    return {name: said[name] for name in ("device", "precision", "tile", "tta", "strength") if name in said}


def _build(said: dict[str, Any]) -> NetDenoiser:
    """Make the method from --method, the options, and --set."""
    from hush.jobs import DEFAULT_METHOD

    if said["steps"] and said["seconds"]:
        raise HushError("--steps and --seconds are two ways to say how long: give one")
    known = {name: said[name] for name in ("steps", "seconds", "seed", "joint_channels") if said[name] is not None}
    known |= {"ndim": int(said["ndim"]), **_run_settings(said)}
    kind = registry.get("methods", said["method"] or DEFAULT_METHOD)
    usable = {name: value for name, value in known.items() if name in kind.settings_of()}
    denoiser: NetDenoiser = kind.from_text(said["sets"], **usable)
    denoiser.check()
    return denoiser


def _pages(planned: Sequence[Job], options: Options) -> None:
    """Refuse, before any work, a page that could not be written."""
    page = options.report
    if page is None:
        return
    if len(planned) > 1 and page.suffix == ".html":
        raise HushError(f"--report {page.name} is one page, and there are {len(planned)} files: give a folder")
    pages = [page / f"{job.target.stem}.html" for job in planned] if len(planned) > 1 else [page]
    for path in pages:
        if path.is_dir():
            raise HushError(f"--report {path} is a folder; for one file give a name, e.g. {path / 'page.html'}")
        if path.exists() and not options.overwrite:
            raise HushError(f"{path} exists; --overwrite replaces it")


def _finish(group: Sequence[Job], planned: Sequence[Job], denoiser: Any, options: Options, console: Console) -> None:
    """Denoise and write every file of a group; one that fails does not stop the others."""
    from hush.jobs import finish_job

    for job in group:
        with console.attempt([job], len(planned) > 1), console.tiling(job) as done:
            finish_job(job, denoiser, options, len(planned) > 1, done)
            console.finished(job)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 0, 1 (some files failed), 2 (bad input), 130 (Ctrl-C)."""
    try:
        code = hush.main(arguments, prog_name="hush", standalone_mode=False)
        return int(code or 0)
    except HushError as error:
        if "--json" in (sys.argv[1:] if arguments is None else arguments):
            click.echo(json.dumps({"input": error.source, "error": str(error)}))
        click.echo(f"hush: error: {error}", err=True)
        return 2
    except click.ClickException as error:
        error.show()
        return 2
    except (KeyboardInterrupt, click.Abort):
        click.echo("hush: interrupted; what was done is kept, --resume continues a training", err=True)
        return 130
    except BrokenPipeError:  # the reader of our output has gone, as in `hush list | head -1`
        sys.stderr.close()
        return 0


if __name__ == "__main__":
    sys.exit(main())
