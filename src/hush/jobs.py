"""What the commands do: one image from Python; files through fit, run, and writing."""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hush import __version__, io, registry
from hush.denoiser import Denoiser, Result
from hush.files import Job, Options
from hush.image import Array, Image
from hush.models import save_model
from hush.netdenoiser import NetDenoiser

DEFAULT_METHOD = "n2v"


def denoise(image: Image | Array, method: str = DEFAULT_METHOD, **settings: Any) -> Image | Array:
    """Denoise one image by itself.

    Parameters
    ----------
    image : Image or array
        The noisy image; axes of an array are guessed from its shape (pages are Z, a last axis of 3 or 4 is colour).
    method : str
        A name that ``hush list`` shows.
    **settings
        The method's settings, for example ``seconds=60``.

    Returns
    -------
    Image or array
        Like what was given: same type, shape and dtype.

    Examples
    --------
    >>> noisy = np.random.default_rng(0).poisson(30, (64, 64)).astype(np.uint8)
    >>> denoise(noisy, steps=2, maps=4).dtype
    dtype('uint8')
    """
    denoiser = registry.get("methods", method)(**settings)
    result: Image = denoiser.fit([image]).denoise(image)
    return result if isinstance(image, Image) else result.data


Done = Callable[[int, int], None]


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
    with io.create(job.target, like, overwrite=options.overwrite) as out:
        array = np.empty(noisy.data.shape, dtype) if out is None else out
        result = denoiser.run(noisy, array, done)
        result.info["reason"] = options.reason
        result.info["warnings"] = [*noisy.meta.get("warnings", []), *result.info["warnings"]]
        _write_page(job, noisy, result, options, several)
    if out is None:
        io.write(job.target, result.image, overwrite=options.overwrite)
    result.info.pop("loss", None)
    job.record = {"input": str(job.source), "output": str(job.target), **result.info}
    job.image = None  # bounded memory: the next file needs the room


def _write_page(job: Job, noisy: Image, result: Result, options: Options, several: bool) -> None:
    if options.report is None and options.results is None:
        return
    from hush.report import page
    from hush.results import collect

    with _results_folder(options, job.source.stem, several) as folder:
        collect(folder, noisy, result, command=command(job, result.info))
        if options.report is not None:
            target = options.report / f"{job.target.stem}.html" if several else options.report
            target.parent.mkdir(parents=True, exist_ok=True)
            page(folder, target, overwrite=options.overwrite)


@contextmanager
def _results_folder(options: Options, name: str, several: bool) -> Iterator[Path]:
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
    jobs: Sequence[Job], denoiser: Denoiser, checkpoint: Path, resume: bool, progress: Callable[..., None] | None
) -> Denoiser:
    """Fit one model to the images of all jobs."""
    images = [job.image for job in jobs if job.image is not None]
    if isinstance(denoiser, NetDenoiser):
        return denoiser.fit(images, checkpoint=checkpoint, resume=resume, progress=progress)
    return denoiser.fit(images)


def train_file(
    jobs: Sequence[Job], denoiser: NetDenoiser, path: Path, resume: bool, overwrite: bool, progress: Callable[..., None]
) -> NetDenoiser:
    """Fit one model to all jobs and save it."""
    partial = path.with_name(path.name + ".partial")
    fit_jobs(jobs, denoiser, partial, resume, progress)
    save_model(denoiser, path, overwrite=overwrite)
    partial.unlink(missing_ok=True)
    return denoiser
