"""Options that commands share, and what is made of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hush.core import registry
from hush.core.errors import HushError

if TYPE_CHECKING:
    from hush.cli.console import Console
    from hush.cli.files import Job, Options


def together(*options: Callable[..., Any]) -> Callable[..., Any]:
    """Make one decorator of several options."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


AXES = click.option("--axes", help="What the file's axes are, e.g. ZYX or TCYX; by default what the file says.")
SERIES = click.option(
    "--series", "--scene", "series", help="Number (from 0) or name of one image, of files that hold several."
)
JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object a line on standard output.")
OVERWRITE = click.option("--overwrite", is_flag=True, help="Replace results that exist.")
QUIET_OPTION = click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors.")
SET = click.option("--set", "sets", multiple=True, metavar="NAME=VALUE", help="A setting of the method; repeatable.")
RESUME = click.option("--resume", is_flag=True, help="Continue what was interrupted.")
LEARN = together(
    click.option("--method", help="A name of 'hush list'.  [default: auto; to train: n2v]"),
    click.option("--steps", type=click.IntRange(1), help="Training steps: the same steps give the same bytes."),
    click.option("--seconds", type=click.FloatRange(0, min_open=True), help="Training time.  [default: 20]"),
    click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of all random numbers."),
    click.option("--ndim", type=click.Choice(["2", "3"]), default="2", show_default=True, help="3: whole volumes."),
    click.option("--joint-channels", is_flag=True, help="One network for all channels of C."),
    RESUME,
    SET,
)
RUN_OPTIONS = together(
    click.option("--device", help="cpu, cuda, mps.  [default: the best there is]"),
    click.option("--precision", type=click.Choice(["bfloat16", "float32"]), help="[default: by the processor]"),
    click.option("--tile", type=click.IntRange(1), help="Side of a tile.  [default: by the memory]"),
    click.option("--tta", is_flag=True, help="Test-time augmentation: mean over eight turns and flips, 8 x slower."),
)
NOISE_OPTIONS = together(
    click.option("--noise", help="What noise it is, e.g. gaussian:sigma=25, in image units.  [default: found out]"),
    click.option("--gain", type=click.FloatRange(0, min_open=True), help="Of the camera: image units a photon."),
    click.option("--offset", type=float, help="Of the camera: its value without light."),
    click.option("--read-noise", type=click.FloatRange(0), help="Of the camera: standard deviation, image units."),
    click.option("--dark", type=click.Path(), help="A picture without light: the offset of every pixel."),
    click.option(
        "--hot-pixels",
        type=click.Choice(["keep", "remove"]),
        help="Single bright or dark points, which may be the picture's, and dead lines.  [default: keep]",
    ),
)
KNOWN = ("noise", "gain", "offset", "read_noise", "dark", "hot_pixels")  # settings that those options are
TARGETS = click.option(
    "--targets", help="Partners of the inputs: a folder with the same names, a quoted pattern, or one file."
)
MEMORY = click.option(
    "--memory", metavar="SIZE", help="What may be taken, e.g. 2GB: the image is read and written in pieces."
)
CLUSTER = click.option(
    "--cluster",
    metavar="ADDRESS",
    help="Compute pieces on a cluster of Dask: tcp://host:8786, or local:4 (workers here); each may take --memory.",
)
EFFORT = click.option(
    "--effort",
    type=click.Choice(["fast", "balanced", "thorough"]),
    help="How much is tried when no method is named: about 2, 20 or 180 s for a million pixels.  [default: fast]",
)
UNCERTAINTY = click.option(
    "--uncertainty",
    type=click.Path(path_type=Path),
    help="Write the per-pixel standard deviation: a file, or a folder for several.",
)
WRITE = together(
    AXES,
    click.option("--crop", help="Try it on a piece: y0:y1,x0:x1."),
    click.option(
        "--strength", type=click.FloatRange(0, 1), default=1.0, show_default=True, help="Below 1: noise mixed back."
    ),
    click.option("--strength-luma", type=click.FloatRange(0, 1), help="Colour images: the same for brightness alone."),
    click.option(
        "--strength-chroma", type=click.FloatRange(0, 1), help="And for colours alone.  [default: --strength]"
    ),
    click.option("--sharpen", is_flag=True, help="Sharpen the result, and with it what noise is left."),
    click.option("--float", "as_float", is_flag=True, help="Write float32 instead of the file's own type."),
    click.option("--again", is_flag=True, help="Denoise files that hush has denoised already."),
    OVERWRITE,
    click.option("--report", type=click.Path(path_type=Path), help="Write a page: .html, or a folder for several."),
    click.option("--results", type=click.Path(path_type=Path), help="Keep the folder that the page is made from."),
    JSON,
    QUIET_OPTION,
)


def console_of(said: dict[str, Any]) -> Console:
    """Make the console that the options ask for."""
    from hush.cli.console import Console

    return Console(quiet=said.get("quiet", False), as_json=said.get("as_json", False))


def options_of(said: dict[str, Any]) -> Options:
    """Say how files are read and written."""
    from hush.cli.files import Options, parse_crop
    from hush.core.device import parse_memory

    crop = parse_crop(said["crop"]) if said["crop"] else None
    names = ("axes", "as_float", "again", "overwrite", "report", "results")
    reason = "a trained model" if "method" not in said else "asked for" if said["method"] else "the default"
    found = {name: said[name] for name in names} | {"uncertainty": said.get("uncertainty")}
    memory = said.get("memory")
    found |= {"memory": None if memory is None else parse_memory(memory), "resume": said.get("resume", False)}
    found["cluster"] = said.get("cluster")
    return Options(crop=crop, reason=reason, **found)


def run_settings(said: dict[str, Any]) -> dict[str, Any]:
    """Return the settings that do not change what was learned."""
    from hush.methods._base import STRENGTHS

    names = ("device", "precision", "tile", "tta", *STRENGTHS)
    return {name: said[name] for name in names if name in said}


def build(said: dict[str, Any], default: str, kept: dict[str, Any] | None = None) -> Any:
    """Make the method from --method, the options, and --set; `kept`: settings of a model that it goes on from."""
    if said["steps"] and said["seconds"]:
        raise HushError("--steps and --seconds are two ways to say how long: give one")
    learning = ("steps", "seconds", "seed", "joint_channels", "validation", "patience")
    names = (*learning, "effort", *KNOWN)
    known = {name: said[name] for name in names if said.get(name) is not None}
    if kept is None:
        known |= {"ndim": int(said["ndim"])}
    known |= run_settings(said)
    kind = registry.get("methods", said["method"] or default)
    if "noise" in known and kind.needs in ("noisy pairs", "noisy and clean"):
        known["simulate"] = known.pop("noise")  # put on clean images, where a method learns from pairs
    usable = {name: value for name, value in known.items() if name in kind.settings_of()}
    if "effort" in known and "effort" not in usable:
        raise HushError(f"--effort is for auto, which chooses the method: leave --method {said['method']} out")
    told = [name for name in KNOWN if name in known and name not in usable]
    if told:
        raise HushError(f"{said['method']} does not use what is known about the noise (--{told[0].replace('_', '-')})")
    denoiser = kind.from_text(said["sets"], **((kept or {}) | usable))
    denoiser.check()
    if said.get("uncertainty") is not None and not denoiser.uncertain:
        raise HushError(f"{denoiser.method} gives no uncertainty; possible: --method pretrained or ssdn")
    return denoiser


def pair(planned: Sequence[Job], targets: str | None, denoiser: Any) -> None:
    """Find the partner of every file, before any work."""
    from hush.cli.pairs import partners

    if targets is None:
        return
    if denoiser.needs not in ("noisy pairs", "noisy and clean"):
        raise HushError(f"{denoiser.method} learns without partners: leave --targets out, or take n2n or n2c")
    for job, path in zip(planned, partners([job.source for job in planned], targets), strict=True):
        job.partner = path


def check_pages(planned: Sequence[Job], options: Options) -> None:
    """Refuse, before any work, a page or an uncertainty that could not be written."""
    from hush import io

    page, spread = options.report, options.uncertainty
    replaces = [options.replaces(job.target) for job in planned]
    if spread is not None:
        spreads = [spread / job.spread for job in planned] if len(planned) > 1 else [spread]
        for path, replaced in zip(spreads, replaces, strict=True):
            if path.suffix.lower() not in (".tif", ".tiff", ".npy"):
                raise HushError(f"--uncertainty {path.name} must hold fractions: give .tif or .npy")
            if path.absolute() in [job.target.absolute() for job in planned]:
                raise HushError(f"--uncertainty {path.name} is the denoised image's own name: give another")
            io.check_output(path, overwrite=replaced, inputs=[job.source for job in planned])
    if page is None:
        return
    if len(planned) > 1 and page.suffix == ".html":
        raise HushError(f"--report {page.name} is one page, and there are {len(planned)} files: give a folder")
    pages = [page / f"{job.page}.html" for job in planned] if len(planned) > 1 else [page]
    for path, replaced in zip(pages, replaces, strict=True):
        if path.is_dir():
            raise HushError(f"--report {path} is a folder; for one file give a name, e.g. {path / 'page.html'}")
        if path.exists() and not replaced:
            raise HushError(f"{path} exists; --overwrite replaces it")


def finish(group: Sequence[Job], planned: Sequence[Job], denoiser: Any, options: Options, console: Console) -> None:
    """Denoise and write every file of a group; one that fails does not stop the others."""
    from hush.cli.jobs import finish_job
    from hush.cli.streamed import finish_streamed, wanted

    for job in group:
        with console.attempt([job], len(planned) > 1), console.tiling(job) as done:
            in_pieces = wanted(job, options) and denoiser.cuts
            (finish_streamed if in_pieces else finish_job)(job, denoiser, options, len(planned) > 1, done)
            console.finished(job)
