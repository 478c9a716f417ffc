"""Files of a command: names, what is refused before any work, reading them one bad one among many."""

from __future__ import annotations

import glob
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from hush import io
from hush.core.device import available_memory
from hush.core.errors import HushError
from hush.core.image import Array, Image
from hush.core.lazy import Lazy
from hush.io._unfinished import folder_of

LAZY_IMAGE = 512 * 2**20  # bytes of a chunked image from which on it is read in pieces


@dataclass
class Job:
    """One file: where it comes from, where its result goes, and how it ended.

    `page` and `spread` are what its page (without ``.html``) and its uncertainty are called in the folders for several.
    """

    source: Path
    target: Path
    page: Path = Path()
    spread: Path = Path()
    image: Image | None = None
    partner: Path | None = None
    target_image: Image | None = None
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
    uncertainty : Path or None
        Where the standard deviation of every pixel is written; a folder for several files.
    reason : str
        Why this method.
    memory : int or None
        Bytes that the command may take: images are cut into pieces then; None: only those that are too large.
    resume : bool
        Go on with results that were interrupted.
    cluster : str or None
        Where pieces are computed, see `hush.scale.cluster.check`; None: here.
    """

    axes: str | None = None
    crop: tuple[slice, slice] | None = None
    as_float: bool = False
    again: bool = False
    overwrite: bool = False
    report: Path | None = None
    results: Path | None = None
    uncertainty: Path | None = None
    reason: str = "asked for"
    memory: int | None = None
    resume: bool = False
    cluster: str | None = None

    def replaces(self, target: Path) -> bool:
        """Whether what exists of a result may be replaced: asked for, or a stop came while names were being taken."""
        return self.overwrite or (self.resume and folder_of(target).is_dir())


def expand(patterns: Sequence[str], folders: bool = False, series: str | None = None) -> list[Path]:
    """Turn file names and quoted patterns into files; the same file is taken once.

    Parameters
    ----------
    patterns : sequence of str
    folders : bool
        Whether a folder stands for the images in it.
    series : str or None
        Number or name of one image of every file, where files hold several.

    Raises
    ------
    HushError
        When a pattern matches nothing.
    """
    found: dict[Path, None] = {}
    for pattern in patterns:
        if folders and Path(pattern).is_dir() and not io.is_folder(pattern):
            inside = [path for path in sorted(Path(pattern).iterdir()) if path.name.lower().endswith(io.suffixes())]
            if not inside:
                raise HushError(f"there is no image in the folder {pattern}")
            found |= dict.fromkeys(inside)
            continue
        if Path(pattern).exists() or not glob.has_magic(pattern):
            found[Path(pattern)] = None
            continue
        matches = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 -- absolute patterns, and ** on request
        if not matches:
            raise HushError(f"no file matches {pattern!r}")
        found |= dict.fromkeys(Path(match) for match in matches if Path(match).is_file())
    return [io.chosen(path, series) for path in found]


def plan_outputs(sources: Sequence[Path], out: str | None, overwrite: bool | Callable[[Path], bool]) -> list[Job]:
    """Choose a name for every result and refuse, before any work, what could not be written.

    Parameters
    ----------
    sources : sequence of Path
        The inputs.
    out : str or None
        A file for one input; a folder for several, in which sub-folders are kept; None: beside
        each input as ``NAME_denoised.EXT``.
    overwrite : bool or callable
        Whether a result that exists may be replaced.

    Raises
    ------
    HushError
        When two results would have one name, or one cannot be written.
    """
    folder = out is not None and (len(sources) > 1 or Path(out).is_dir() or out.endswith(("/", os.sep)))
    if out is None:
        targets = [io.beside(source, "_denoised") for source in sources]
    elif folder:
        if Path(out).is_file():
            raise HushError(f"{Path(out).name} is a file, and {len(sources)} results need a folder")
        full = [Path(os.path.abspath(source)) for source in sources]  # noqa: PTH100 -- folds ".." and keeps links
        top = os.path.commonpath([path.parent for path in full])
        targets = [io.beside(Path(out) / path.relative_to(top), "") for path in full]
    else:
        targets = [Path(out)]
    names: dict[Path, Path] = {}
    for source, target in zip(sources, targets, strict=True):
        other = names.setdefault(target.absolute(), source)
        if other is not source:
            raise HushError(f"{other} and {source} would both become {target}: give folders of their own")
        if source.is_dir() and not io.is_folder(source):
            raise HushError(f"{source.name} is a folder; give its files, e.g. {source / '*.tif'}")
    for target in targets:
        io.check_output(target, overwrite=overwrite(target) if callable(overwrite) else overwrite, inputs=sources)
    pages, spreads = names_apart(targets, stems=True), names_apart(targets, stems=False)
    return [Job(*each) for each in zip(sources, targets, pages, spreads, strict=True)]


def names_apart(targets: Sequence[Path], stems: bool) -> list[Path]:
    """Name what stands beside results, all in one folder: the shortest names that differ.

    Parameters
    ----------
    targets : sequence of Path
        The results.
    stems : bool
        Whether a name without its suffix will do.

    Returns
    -------
    list of Path
        All stems, all names, or all paths below the folder that the results share.

    Examples
    --------
    >>> [str(name) for name in names_apart([Path("o/a.tif"), Path("o/a.png")], stems=True)]
    ['a.tif', 'a.png']
    """
    full = [Path(os.path.abspath(target)) for target in targets]  # noqa: PTH100 -- folds ".." and keeps links
    if stems and len({path.stem for path in full}) == len(full):
        return [Path(path.stem) for path in full]
    if len({path.name for path in full}) == len(full):
        return [Path(path.name) for path in full]
    top = os.path.commonpath([path.parent for path in full])
    return [path.relative_to(top) for path in full]


def partial_of(jobs: Sequence[Job]) -> Path:
    """Where the training state is kept: beside the (first) output."""
    target = jobs[0].target
    return target.with_name(target.name + ".partial")


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


def open_images(jobs: Sequence[Job], options: Options, *, results: bool = False) -> list[Job]:
    """Read what can be read; of several files a bad one is recorded and left out.

    With `results`, a file whose result its target's format cannot hold is bad as well.

    Raises
    ------
    HushError
        When there is one file, and it is bad.
    """
    held, limit = 0, available_memory() // 4
    for job in jobs:
        try:
            lazy_from = None if not results else LAZY_IMAGE if options.memory is None else 0
            image = open_image(job.source, options, lazy_from)
            if results:
                dtype = np.dtype(np.float32) if options.as_float else image.data.dtype
                like = replace(image, data=np.broadcast_to(np.zeros((), dtype), image.data.shape))
                io.check_output(job.target, overwrite=options.replaces(job.target), like=like)
            if not isinstance(_base(image.data), (np.memmap, Lazy)):
                held += image.data.nbytes
                image = image if held < limit else _spill(image)
            if job.partner is not None:
                job.target_image = open_image(job.partner, options, lazy_from)
            job.image = image
        except HushError as error:
            if len(jobs) == 1:
                error.source = str(job.source)
                raise
            job.record = {"input": str(job.source), "error": str(error)}
    return [job for job in jobs if job.image is not None]


def open_image(path: Path, options: Options, lazy_from: int | None = None) -> Image:
    """Read one file as the options say; `lazy_from`: see `hush.io.read`."""
    image = io.read(path, options.axes, lazy_from=lazy_from)
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
        "rescale": dict(image.meta.get("rescale") or {}),
        "not_finite": sample.size - finite.size,
        "guessed": image.meta.get("guessed"),
        "denoised_by": image.meta.get("hush"),
        "warnings": list(image.meta.get("warnings", [])),
    }
    return {name: value for name, value in facts.items() if value not in (None, [], {})}
