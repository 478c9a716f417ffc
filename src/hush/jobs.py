"""Files in, files out: names, what is refused before any work, one bad file among many."""

from __future__ import annotations

import glob
import os
import shlex
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from hush import io, registry
from hush.denoiser import Denoiser, Result
from hush.errors import HushError
from hush.image import Array, Image
from hush.machine import available_memory
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


@dataclass
class Job:
    """One file: where it comes from, where its result goes, and how it ended."""

    source: Path
    target: Path
    image: Image | None = None
    record: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Options:
    """How files are read and written; the same for all of a command.

    Attributes
    ----------
    axes : str or None
        Given axes instead of the file's.
    crop : tuple of slice or None
        Rows and columns to try it on.
    as_float : bool
        Write float32.
    again : bool
        Accept files that hush has denoised already.
    overwrite : bool
        Replace results that exist.
    report : Path or None
        Page of one file, or folder of the pages of several.
    results : Path or None
        Keep the folder that the page was made from (a folder in it for each of several files).
    reason : str
        Why this method.
    """

    axes: str | None = None
    crop: tuple[slice, slice] | None = None
    as_float: bool = False
    again: bool = False
    overwrite: bool = False
    report: Path | None = None
    results: Path | None = None
    reason: str = "asked for"


def expand(patterns: Sequence[str]) -> list[Path]:
    """Turn file names and quoted patterns into files; the same file is taken once.

    Raises
    ------
    HushError
        When a pattern matches nothing.
    """
    found: dict[Path, None] = {}
    for pattern in patterns:
        if Path(pattern).exists() or not glob.has_magic(pattern):
            found[Path(pattern)] = None
            continue
        matches = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 -- absolute patterns, and ** on request
        if not matches:
            raise HushError(f"no file matches {pattern!r}")
        found |= dict.fromkeys(Path(match) for match in matches if Path(match).is_file())
    return list(found)


def plan_outputs(sources: Sequence[Path], out: str | None, overwrite: bool) -> list[Job]:
    """Choose a name for every result and refuse, before any work, what could not be written.

    Parameters
    ----------
    sources : sequence of Path
        The inputs.
    out : str or None
        A file for one input; a folder for several, in which sub-folders are kept; None: beside
        each input as ``NAME_denoised.EXT``.
    overwrite : bool
        Whether results that exist may be replaced.

    Raises
    ------
    HushError
        When two results would have one name, or one cannot be written.
    """
    folder = out is not None and (len(sources) > 1 or Path(out).is_dir() or out.endswith(("/", os.sep)))
    if out is None:
        targets = [source.with_name(f"{source.stem}_denoised{source.suffix}") for source in sources]
    elif folder:
        if Path(out).is_file():
            raise HushError(f"{Path(out).name} is a file, and {len(sources)} results need a folder")
        full = [Path(os.path.abspath(source)) for source in sources]  # noqa: PTH100 -- folds ".." and keeps links
        top = os.path.commonpath([path.parent for path in full])
        targets = [Path(out) / path.relative_to(top) for path in full]
    else:
        targets = [Path(out)]
    names: dict[Path, Path] = {}
    for source, target in zip(sources, targets, strict=True):
        other = names.setdefault(target.absolute(), source)
        if other is not source:
            raise HushError(f"{other} and {source} would both become {target}: give folders of their own")
        if source.is_dir():
            raise HushError(f"{source.name} is a folder; give its files, e.g. {source / '*.tif'}")
    for target in targets:
        io.check_output(target, overwrite=overwrite, inputs=sources)
    return [Job(source, target) for source, target in zip(sources, targets, strict=True)]


def open_images(jobs: Sequence[Job], options: Options) -> list[Job]:
    """Read what can be read; of several files a bad one is recorded and left out.

    Raises
    ------
    HushError
        When there is one file, and it is bad.
    """
    held, limit = 0, available_memory() // 4
    for job in jobs:
        try:
            image = open_image(job.source, options)
            if not isinstance(_base(image.data), np.memmap):
                held += image.data.nbytes
                image = image if held < limit else _spill(image)
            job.image = image
        except HushError as error:
            if len(jobs) == 1:
                error.source = str(job.source)
                raise
            job.record = {"input": str(job.source), "error": str(error)}
    return [job for job in jobs if job.image is not None]


def open_image(path: Path, options: Options) -> Image:
    """Read one file as the options say."""
    image = io.read(path, options.axes)
    if image.meta.get("hush") and not options.again:
        by = image.meta["hush"].get("method", "hush")
        raise HushError(f"{path.name} was denoised already (by hush, {by}); --again denoises it once more")
    if options.crop:
        image = image.crop(*options.crop)
    return image


def _base(array: Array) -> Array:
    while isinstance(getattr(array, "base", None), np.ndarray) and not isinstance(array, np.memmap):
        array = array.base
    return array


def _spill(image: Image) -> Image:
    """Move decoded pixels to a memory map on disk: many files never are in memory together."""
    with tempfile.TemporaryFile(prefix="hush-") as file:
        data = np.memmap(file, image.data.dtype, "w+", shape=image.data.shape)
    data[...] = image.data
    return replace(image, data=data)


def partial_of(jobs: Sequence[Job]) -> Path:
    """Where the training state is kept: beside the (first) output."""
    target = jobs[0].target
    return target.with_name(target.name + ".partial")


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
    note = {"hush": {"version": _version(), "method": denoiser.method}}
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


def parse_crop(text: str) -> tuple[slice, slice]:
    """Read ``y0:y1,x0:x1``.

    Examples
    --------
    >>> parse_crop("0:100,50:")
    (slice(0, 100, None), slice(50, None, None))
    """
    try:
        y, x = (slice(*(int(part) if part.strip() else None for part in half.split(":"))) for half in text.split(","))
        if ":" not in text.split(",")[0] or ":" not in text.split(",")[1] or y.step or x.step:
            raise ValueError
    except (ValueError, TypeError):
        raise HushError(f"--crop takes y0:y1,x0:x1 and was given {text!r}; for example 0:256,100:356") from None
    return y, x


def describe_image(image: Image) -> str:
    """Say what an image is in a few words: axes with sizes, dtype, pixel size."""
    sizes = " x ".join(f"{axis} {size}" for axis, size in image.sizes.items())
    pixel = ", ".join(f"{axis} {value:.4g}" for axis, value in image.scale.items())
    return f"{sizes}, {image.data.dtype}" + (f", pixel size {pixel} {image.unit or ''}".rstrip() if pixel else "")


def _version() -> str:
    from hush import __version__

    return __version__


def check_model_output(path: Path, overwrite: bool) -> None:
    """Refuse, before any work, a model file that could not be written.

    Raises
    ------
    HushError
        When it is a folder, exists, or its folder cannot be written to.
    """
    if path.is_dir():
        raise HushError(f"{path} is a folder; give a file name, e.g. {path / 'model.hush'}")
    if path.exists() and not overwrite:
        raise HushError(f"{path.name} exists; --overwrite replaces it")
    try:
        path.absolute().parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.absolute().parent):
            pass
    except OSError as error:
        raise HushError(f"{path} cannot be written: {error.strerror}") from None


def file_facts(path: Path, options: Options) -> dict[str, Any]:
    """Return what is in a file, as plain values: axes, shape, dtype, pixel size, range, what hush did."""
    image = open_image(path, options)
    sample = np.asarray(image.data[..., :: max(1, image.data.size // (1 << 26)), :])
    finite = sample[np.isfinite(sample)]
    facts = {
        "input": str(path),
        "format": image.meta.get("format"),
        "axes": image.axes,
        "shape": list(image.data.shape),
        "dtype": str(image.data.dtype),
        "scale": dict(image.scale),
        "unit": image.unit,
        "channels": list(image.meta.get("channels", [])),
        "min": finite.min().item() if finite.size else None,
        "max": finite.max().item() if finite.size else None,
        "not_finite": sample.size - finite.size,
        "guessed": image.meta.get("guessed"),
        "denoised_by": image.meta.get("hush"),
        "warnings": list(image.meta.get("warnings", [])),
    }
    return {name: value for name, value in facts.items() if value not in (None, [], {})}
