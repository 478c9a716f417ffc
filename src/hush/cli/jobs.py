"""What the commands do: one image from Python; files through fit, run, and writing."""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hush import __version__, io
from hush.cli.files import Job, Options
from hush.core import registry
from hush.core.errors import HushError
from hush.core.findings import as_findings
from hush.core.image import Image
from hush.datasets.synthetic import add_noise
from hush.methods._base import Denoiser, Result
from hush.methods._learned import RUN_SETTINGS, NetDenoiser
from hush.methods._model_file import load, save_model
from hush.noise import Noise, parse
from hush.pretrained.analyze import analyze
from hush.training.processes import current

NETWORK = ("net", "depth", "kernel", "maps", "norm", "residual", "ndim", "joint_channels")  # what shapes a network
TIMES = ("steps", "seconds", "seed", *RUN_SETTINGS)  # what a training does not take over from another


Done = Callable[[int, int], None]
WHAT = {"description": "per-pixel standard deviation"}


def finish_job(job: Job, denoiser: Denoiser, options: Options, several: bool, done: Done | None = None) -> None:
    """Denoise one opened file, write it and its page, and fill in its record.

    Raises
    ------
    HushError
        When the result cannot be written, or the image does not fit the model.
    """
    assert job.image is not None
    noisy = job.image
    dtype = np.dtype(np.float32) if options.as_float else noisy.data.dtype
    note = {"hush": {"version": __version__, "method": denoiser.method}}
    blank = np.broadcast_to(np.zeros((), dtype), noisy.data.shape)
    like = replace(noisy, data=blank, meta={**noisy.meta, **note})
    spread = spread_path(job, options, several)
    if spread is not None and not denoiser.uncertain:
        raise no_uncertainty(denoiser)
    with ExitStack() as files:
        out = files.enter_context(io.create(job.target, like, overwrite=options.overwrite))
        array = np.empty(noisy.data.shape, dtype) if out is None else out
        std = None
        if spread is not None:
            wide = replace(like, data=np.broadcast_to(np.float32(0), noisy.data.shape))
            wide = wide.with_meta(**WHAT, hush=note["hush"] | {"what": "standard deviation"})
            streamed = files.enter_context(io.create(spread, wide, overwrite=options.overwrite))
            std = np.zeros(noisy.data.shape, np.float32) if streamed is None else streamed
        result = denoiser.run(noisy, array, done, std)
        if spread is not None and result.std is not None and streamed is None:
            io.write(spread, result.std.with_meta(**WHAT), overwrite=options.overwrite)
        result.info.setdefault("reason", options.reason)
        result.info["warnings"] = [*as_findings(noisy.meta.get("warnings", [])), *result.info["warnings"]]
        write_page(job, noisy, result, options, several)
    if out is None:
        io.write(job.target, result.image, overwrite=options.overwrite)
    for key in ("loss", "stages"):  # too much for a record
        result.info.pop(key, None)
    job.record = {"input": str(job.source), "output": str(job.target), **result.info}
    job.image = None  # bounded memory: the next file needs the room


def no_uncertainty(denoiser: Denoiser) -> HushError:
    """Make the error for a method that knows no standard deviation for an image."""
    return HushError(
        f"{denoiser.method} gives no uncertainty for this image: what suits it knows none. Say what its noise is "
        "(--noise gaussian:sigma=8), or take --method ssdn"
    )


def spread_path(job: Job, options: Options, several: bool) -> Path | None:
    """Where the standard deviation goes; its folder is made."""
    if options.uncertainty is None:
        return None
    target = options.uncertainty / job.spread if several else options.uncertainty
    target.parent.mkdir(parents=True, exist_ok=True)
    return target


def write_page(job: Job, noisy: Image, result: Result, options: Options, several: bool) -> None:
    """Write the page of a result, and keep the folder that it is made from, where that is asked for."""
    if options.report is None and options.results is None:
        return
    from hush.reports.denoising import page
    from hush.reports.results import collect

    with _results_folder(options, job.page, several) as folder:
        collect(folder, noisy, result, command=command(job, result.info))
        if options.report is not None:
            target = options.report / f"{job.page}.html" if several else options.report
            target.parent.mkdir(parents=True, exist_ok=True)
            page(folder, target, overwrite=options.replaces(job.target))


@contextmanager
def _results_folder(options: Options, name: Path, several: bool) -> Iterator[Path]:
    if options.results is not None:
        yield options.results / name if several else options.results
    else:
        with tempfile.TemporaryDirectory(prefix="hush-") as folder:
            yield Path(folder)


def command(job: Job, info: dict[str, Any]) -> str:
    """Return the command that makes the same bytes again, with names and without folders."""
    words = ["hush", "denoise", job.source.name, "-o", job.target.name, "--method", info["method"]]
    steps = info.get("steps")
    if isinstance(steps, int) and steps:
        words += ["--steps", str(steps)]
    words += ["--seed", str(info["seed"])]
    defaults = registry.get("methods", info["method"])().settings
    for name, value in info["settings"].items():
        if value != defaults[name] and name not in ("steps", "seconds", "seed"):
            words += ["--set", f"{name}={value}"]
    return shlex.join(words)


def fit_jobs(
    jobs: Sequence[Job],
    denoiser: Denoiser,
    checkpoint: Path,
    resume: bool,
    progress: Callable[..., None] | None,
    start: NetDenoiser | None = None,
) -> Denoiser:
    """Fit one model to the images of all jobs, and their partners."""
    images = [job.image for job in jobs if job.image is not None]
    others = [job.target_image for job in jobs if job.target_image is not None] or None
    if isinstance(denoiser, NetDenoiser):
        return denoiser.fit(images, others, checkpoint=checkpoint, resume=resume, progress=progress, start=start)
    return denoiser.fit(images, others)


def train_file(
    jobs: Sequence[Job],
    denoiser: NetDenoiser,
    path: Path,
    resume: bool,
    overwrite: bool,
    progress: Callable[..., None],
    start: NetDenoiser | None = None,
    notes: dict[str, Any] | None = None,
) -> list[Path]:
    """Fit one model to all jobs and save it with `notes`, and its last weights where the best ones are others.

    Of several processes (`hush.training.processes`) the first one saves it, and their number with it.
    """
    partial = path.with_name(path.name + ".partial")
    fit_jobs(jobs, denoiser, partial, resume, progress, start)
    processes = current()
    denoiser.learned_ |= (notes or {}) | ({} if processes.alone else {"processes": processes.count})
    written = [path]
    if not processes.first:
        return written
    save_model(denoiser, path, overwrite=overwrite)
    if any(net is not None for net in denoiser.lasts_):
        written.append(path.with_suffix(f".last{path.suffix}"))
        save_model(denoiser, written[-1], overwrite=True, last=True)
    partial.unlink(missing_ok=True)
    return written


def fine_tuned(path: Path, method: str | None) -> tuple[NetDenoiser, str, dict[str, Any]]:
    """Load the model that a training begins with.

    Parameters
    ----------
    path : Path
    method : str or None
        Another method that is to go on with its network.

    Returns
    -------
    start : NetDenoiser
    method : str
    settings : dict
        Those of the model that the new training keeps: all of them, or for another method its network's.
    """
    start = load(path)
    kind = registry.get("methods", method or start.method)
    kept = start.settings if method in (None, start.method) else {key: start.settings[key] for key in NETWORK}
    if kind.needs == "noisy":  # the new images are noisy by themselves, whatever the first ones were
        kept = {key: value for key, value in kept.items() if key != "simulate"}
    given = {key: value for key, value in kept.items() if key in kind.settings_of() and key not in TIMES}
    return start, method or start.method, given


def add_noise_job(
    job: Job, noise: Noise, seed: int, peak: float | None, clip: bool, axes: str | None, overwrite: bool
) -> None:
    """Put noise onto one file, and fill in its record.

    Raises
    ------
    HushError
        When the result does not fit into the format: PNG and JPEG hold no unclipped values.
    """
    if not clip and job.target.suffix.lower() in (".png", ".jpg", ".jpeg", ".bmp"):
        raise HushError(
            f"{job.target.name} cannot hold noisy values below zero or between whole numbers: "
            f"give {job.target.with_suffix('.tif').name}, or --clip"
        )
    noisy = add_noise(io.read(job.source, axes), noise, seed=seed, peak=peak, clip=clip)
    note = noisy.meta["noise"]
    words = f"noise {note['notation']}, seed {note['seed']}, peak {note['peak']:g}"
    said = noisy.meta.get("description")
    noisy = noisy.with_meta(description=f"{said}; {words}" if isinstance(said, str) and said else words)
    io.write(job.target, noisy, overwrite=overwrite)
    job.record = {
        "input": str(job.source),
        "output": str(job.target),
        "noise": note["notation"],
        **{key: note[key] for key in ("seed", "peak")},
    }


def analyze_file(
    path: Path,
    axes: str | None,
    page: Path | None,
    overwrite: bool,
    *,
    noise: str | None = None,
    dark: str | None = None,
    **known: Any,
) -> dict[str, Any]:
    """Analyse one file and write its page; return the record."""
    image = io.read(path, axes)
    found = analyze(image, noise=parse(noise) if noise else None, dark=io.read(dark) if dark else None, **known)
    record = {"input": str(path), **found.as_dict()}
    if image.meta.get("rescale"):
        record["rescale"] = dict(image.meta["rescale"])
    if page is not None:
        from hush.reports.noise import noise_page

        noise_page(record | {"input": path.name}, page, overwrite=overwrite)
    return record
