"""Reading and writing images: one file a format, found by its suffix, written whole or not at all.

A format is a module with ``SUFFIXES`` and ``read(path, axes)``. It may have

* ``write(path, image)``, unless it can be read only, and ``create(path, like)``, to be written in pieces;
* ``MAGIC``, the bytes that its files begin with, ``MAGIC_AT`` bytes after the beginning (0);
* ``holds(folder)``: whether a folder is one image of it;
* ``LAZY``: its `read` takes ``lazy_from``, see here;
* ``grow(path, like, again)``: an array that is written chunk by chunk, with ``chunks``, ``[box] = values``, ``[box]``
  and ``flush``; ``again`` goes on with what was begun. ``reopen(path, like)``: what `create` gave, of a file that was
  begun, where that is no plain memory map. Both are for `hush.io._unfinished`;
* ``SPOOLED``: a stop while its file is written would damage it, so that what grows is kept beside it till the end;
* ``CHOICES``: what the images are called of which its files hold several (``"series"``); `read` takes ``choice``, the
  number or name of one, as a keyword;
* ``INSTEAD``: of a format that can be read only, the suffix of the file that keeps most of it (``.ome.tif``);
* ``EXTRA``: which extra of hush brings the libraries that it needs, and ``NEEDS``, their modules.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from hush.core import files, registry
from hush.core.errors import FormatError, HushError, unknown
from hush.core.image import Array, Image
from hush.io._zarr_remote import Remote, address_of, zarr_at

__all__ = [
    "beside", "check_output", "chosen", "create", "formats", "is_address", "is_folder", "parts", "read", "suffixes",
    "write",
]  # fmt: skip

PathLike = str | os.PathLike[str]
BEGINNING = 512  # bytes of a file that are looked at to tell its format


def suffixes() -> tuple[str, ...]:
    """Return every file suffix that can be read and written.

    Examples
    --------
    >>> ".tif" in suffixes()
    True
    """
    return tuple(sorted(_formats_by_suffix()))


def read(
    path: PathLike, axes: str | None = None, *, choice: int | str | None = None, lazy_from: int | None = None
) -> Image:
    """Read an image with its axes, pixel size and everything needed to write the same kind of file.

    Parameters
    ----------
    path : str or path
        A file whose suffix is one of `suffixes`, or a folder that is one image. ``file.h5:name`` and ``file.lif:2`` are
        one image of a file that holds several. Of a Zarr also its address: ``https://host/a.zarr``, ``s3://...``.
    axes : str, optional
        One letter an axis, replacing what the file says: T, C, Z, Y, X, S.
    choice : int or str, optional
        Which image of a file that holds several (a series, a scene, a data set): its number from 0, or its name.
    lazy_from : int, optional
        Pixels of so many bytes stay in the file where it is stored in chunks (`hush.core.lazy.Lazy`): for what reads
        pieces. Without it they are read, into a mapped temporary file where they are many.

    Returns
    -------
    Image
        ``meta`` has ``format``, ``name``, ``channels``, ``description``, ``warnings``, when they apply
        ``guessed``, ``alpha`` and ``hush``, and a private entry for the format.

    Raises
    ------
    HushError
        Names the file and the reason, whatever went wrong.
    """
    path, inside = parts(path)
    choice = inside if choice is None else choice
    place: Path | Remote = path
    name, remark = "zarr", list[str]()
    if address := address_of(path):
        place = zarr_at(address, _suffix(path))
    else:
        name, remark = (_format_of_folder(path), []) if path.is_dir() else _format_of_content(path, _first_bytes(path))
    module = registry.get("io", name)
    chosen: dict[str, Any] = {}
    if choice is not None:
        if not hasattr(module, "CHOICES"):
            raise FormatError(f"{path.name}: {name.upper()} holds one image, there is no {choice!r} to choose")
        chosen = {"choice": int(choice) if str(choice).isdecimal() else choice}
    if hasattr(module, "LAZY"):
        chosen["lazy_from"] = lazy_from
    with warnings.catch_warnings(record=True) as caught:  # what libraries mutter belongs to the image
        warnings.simplefilter("always")
        try:
            image: Image = module.read(place, axes, **chosen)
        except Exception as error:  # tifffile, Pillow, zlib, struct, numpy: each fails in its own way
            raise _unreadable(path, error) from error
    said = [str(one.message) for one in caught if issubclass(one.category, UserWarning | RuntimeWarning)]
    meta = {"channels": [], "description": "", **image.meta, "format": name, "name": path.name}
    meta["warnings"] = [*remark, *image.meta.get("warnings", []), *dict.fromkeys(said)]
    return Image(image.data, image.axes, image.scale, image.unit, meta)


def write(path: PathLike, image: Image, *, overwrite: bool = False) -> None:
    """Write an image in the format of the path's suffix; the file appears whole or not at all.

    Parameters
    ----------
    path : str or path
        Where to; missing folders are made.
    image : Image
        What to write, with its axes, pixel size, channel names and description as far as the format
        holds them.
    overwrite : bool
        Replace a file that exists.

    Raises
    ------
    HushError
        When the format cannot hold the image, the file exists, the disk is full, and so on. An older
        file is then still what it was.
    """
    path = parts(path)[0]
    kind = _format_to_write(path, image)
    check_output(path, overwrite=overwrite, kind=kind)
    with files.temporary(path, _suffix(path)) as (temporary, target), files.plain_errors(path):
        registry.get("io", kind).write(temporary, image)
        files.publish(temporary, target)


@contextmanager
def create(path: PathLike, like: Image, *, overwrite: bool = False) -> Iterator[Array | None]:
    """Open an image file for writing piece by piece, for results larger than memory.

    Parameters
    ----------
    path : str or path
        Where to; the file appears when the ``with`` block ends, and not at all when it raises.
    like : Image
        Shape, dtype and metadata of the file.
    overwrite : bool
        Replace a file that exists.

    Yields
    ------
    array or None
        A writable array of the shape and dtype of ``like.data``; None when the format (or this image's
        compression in it) cannot be written in pieces: use `write` then.
    """
    path = parts(path)[0]
    kind = _format_to_write(path, like)
    check_output(path, overwrite=overwrite, kind=kind)
    with files.temporary(path, _suffix(path)) as (temporary, target):
        with files.plain_errors(path):
            module = registry.get("io", kind)
            array = module.create(temporary, like) if hasattr(module, "create") else None
            if array is None:
                _try_edges(path, like)
            elif isinstance(array, np.memmap):
                _reserve(temporary)
        yield array
        if array is not None:
            with files.plain_errors(path):
                if hasattr(array, "flush"):
                    array.flush()
                files.publish(temporary, target)


def check_output(
    path: PathLike,
    *,
    overwrite: bool = False,
    inputs: Iterable[PathLike] = (),
    nbytes: int = 0,
    like: Image | None = None,
    kind: str | None = None,
) -> None:
    """Find out before the work whether its result can be written; makes missing folders.

    Parameters
    ----------
    path : str or path
        The file to be written.
    overwrite : bool
        Whether it may replace a file that exists.
    inputs : iterable of paths
        Files that are read meanwhile and therefore never written to.
    nbytes : int
        How much free space is needed; 0 when not known.
    like : Image, optional
        Shape, dtype and metadata of the result: whether the format holds it.
    kind : str, optional
        The format, where it is known already.

    Raises
    ------
    HushError
        Names the path, what is wrong, and what to try.
    """
    if address := address_of(path):
        raise FormatError(
            f"{address} is an address, and results are written to disks: give one (-o clean.zarr), and copy it there"
        )
    path, sources = parts(path)[0], [parts(one)[0] for one in inputs]
    module = registry.get("io", kind or _format_to_write(path, like, sources))
    if not hasattr(module, "write"):
        instead = _suffix_instead(module)
        raise FormatError(f"{path.name}: {_suffix(path)} can be read only; write one of {instead}, .tif, .npy")
    try:
        if path.is_dir() and not hasattr(module, "holds"):
            raise FormatError(f"{path} is a folder; give a file name, e.g. {path / 'result.tif'}")
        if path.exists() and any(one.exists() and path.samefile(one) for one in sources):
            raise FormatError(f"{path} is an input as well; give the result another name")
        if path.exists() and not path.is_file() and not path.is_dir():
            raise FormatError(f"{path} is not an ordinary file; give another name")
        if path.exists() and not overwrite:
            raise FormatError(f"{path} exists; use --overwrite (overwrite=True) to replace it")
        folder = path.resolve().parent
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK) or (path.exists() and not os.access(path, os.W_OK)):
            raise FormatError(f"{path} cannot be written: no permission; give another folder")
        free = shutil.disk_usage(folder).free
    except (FileExistsError, NotADirectoryError) as error:
        raise FormatError(f"{path} cannot be written: a file stands where its folder should be") from error
    except OSError as error:
        raise FormatError(f"{path} cannot be written: {files.reason(error)}") from error
    if nbytes > free:
        raise FormatError(
            f"{path} needs {nbytes / 1e9:.1f} GB and {folder} has {free / 1e9:.1f} GB free; "
            "make room or give another folder"
        )
    if like is not None:
        with files.plain_errors(path):
            _try_edges(path, like)


def _try_edges(path: Path, like: Image) -> None:
    """Write the first rows and columns, empty, to nowhere: what the format cannot hold it says now."""
    module, few = registry.get("io", _format_to_write(path, like)), slice(0, 16)
    if hasattr(module, "grow"):  # of thousands of planes, each chunks of its own, two say as much
        like = replace(like, data=like.data[tuple(slice(0, 2 if axis in "TZ" else None) for axis in like.axes)])
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # said when the result is written
        for edge in (like.crop(few, slice(None)), like.crop(slice(None), few)):
            empty = replace(edge, data=np.zeros(edge.data.shape, edge.data.dtype))
            module.write(Path(folder) / f"edge{_suffix(path)}", empty)


def parts(path: PathLike) -> tuple[Path, str | None]:
    """Divide ``file.h5:name`` into the file and the name of the image in it; None where there is no name.

    Examples
    --------
    >>> parts("folder/scan.tif")[1] is None
    True
    """
    text = os.fspath(path)
    for name in registry.names("io"):
        module = registry.get("io", name)
        for suffix in module.SUFFIXES if hasattr(module, "CHOICES") else ():
            at = text.lower().find(suffix + ":")
            if at >= 0 and len(text) > at + len(suffix) + 1:
                return Path(text[: at + len(suffix)]), text[at + len(suffix) + 1 :]
    folder, colon, name = text.rpartition(":")
    if colon and name and Path(folder).is_dir() and not Path(text).exists():
        return Path(folder), name
    return Path(text), None


def chosen(path: PathLike, choice: str | None) -> Path:
    """Return the name of one image of a file that holds several; the file where there is no choice.

    Raises
    ------
    FormatError
        When the file's format holds one image only.
    """
    if choice is None:
        return Path(path)
    named = Path(f"{os.fspath(path)}:{choice}")
    if parts(named)[1] is None:
        raise FormatError(f"{named.name}: such files hold one image, and {choice!r} cannot be chosen: leave it out")
    return named


def is_address(path: PathLike) -> bool:
    """Whether it is an address of the net, as ``https://host/a.zarr`` is, and no path."""
    return address_of(path) is not None


def is_folder(path: PathLike) -> bool:
    """Whether a folder is one image: a series of slices, a Zarr."""
    return any(hasattr(m := registry.get("io", name), "holds") and m.holds(Path(path)) for name in registry.names("io"))


def beside(path: PathLike, addition: str) -> Path:
    """Return the name of a result beside its input, in the input's format, or what is written instead of it.

    Examples
    --------
    >>> beside("scans/a.ome.tif", "_denoised").name, beside("photo.heic", "_denoised").name
    ('a_denoised.ome.tif', 'photo_denoised.avif')
    """
    file, inside = parts(path)
    suffix = _suffix(file)
    stem = file.name[: len(file.name) - len(suffix)] + ("" if inside is None else f"_{inside.replace('/', '_')}")
    module = registry.get("io", _formats_by_suffix()[suffix]) if suffix else None
    if module is not None and not hasattr(module, "write"):
        suffix = _suffix_instead(module)
    else:
        suffix = file.name[len(file.name) - len(suffix) :]  # as it is spelled
    return file.with_name(f"{stem}{addition}{suffix}")


def formats() -> list[dict[str, Any]]:
    """Return what is known of every format: its name, what it is, suffixes, whether it is written and is here.

    Examples
    --------
    >>> [one["suffixes"] for one in formats() if one["name"] == "png"]
    [('.png',)]
    """
    rows = []
    for name in registry.names("io"):
        module = registry.get("io", name)
        needed = getattr(module, "NEEDS", ())
        rows.append({
            "name": name,
            "about": (module.__doc__ or "").partition("\n")[0],
            "suffixes": module.SUFFIXES,
            "written": hasattr(module, "write"),
            "extra": getattr(module, "EXTRA", None),
            "here": all(find_spec(one) is not None for one in needed),
        })  # fmt: skip
    return rows


def _formats_by_suffix() -> dict[str, str]:
    return {s: name for name in registry.names("io") for s in registry.get("io", name).SUFFIXES}


def _suffix(path: Path) -> str:
    """Return the longest known suffix, as .ome.tif is longer than .tif; empty when there is none."""
    lower = path.name.lower()
    return max((s for s in _formats_by_suffix() if lower.endswith(s)), key=len, default="")


def _suffix_instead(module: Any) -> str:
    """Return the suffix of results of a format that can be read only."""
    return str(getattr(module, "INSTEAD", ".ome.tif"))


def _format_of_suffix(path: Path) -> str:
    suffix = _suffix(path)
    if not suffix:
        raise FormatError(f"{path.name}: {unknown('format for suffix', path.suffix, suffixes())}")
    return _formats_by_suffix()[suffix]


def _format_to_write(path: Path, image: Image | None = None, inputs: Iterable[Path] = ()) -> str:
    """Return the format of a result: that of its suffix; without one, as series of slices are, that of its input."""
    if not _suffix(path) and not path.suffix:
        if image is not None and _is_known_without_suffix(name := str(image.meta.get("format"))):
            return name
        for source in inputs:
            if _suffix(source):
                continue
            name = _format_of_folder(source) if source.is_dir() else _format_of_content(source, _first_bytes(source))[0]
            if _is_known_without_suffix(name):
                return name
    return _format_of_suffix(path)


def _is_known_without_suffix(name: str) -> bool:
    """Whether files of a format are found by their first bytes, and folders by `holds`."""
    return name in registry.names("io") and hasattr(registry.get("io", name), "MAGIC")


def _first_bytes(path: Path) -> bytes:
    try:
        if path.exists() and not path.is_file():  # to open a pipe is to wait for who writes into it
            raise FormatError(
                f"{path.name} is a pipe or a device, and not a file: write what it gives into a file first"
            )
        with path.open("rb") as file:
            head = file.read(BEGINNING)
    except FileNotFoundError as error:
        raise FormatError(f"{path.name}: there is no such file in {path.resolve().parent}") from error
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        raise FormatError(f"{path.name} cannot be read: {files.reason(error)}") from error
    if not head:
        raise FormatError(f"{path.name} is empty (0 bytes)")
    return head


def _format_of_content(path: Path, head: bytes) -> tuple[str, list[str]]:
    """Return the format and a remark when the content is of another format than the suffix says."""
    if not _suffix(path) and not path.suffix.strip(".0123456789"):  # IM000001, 1.2.840.113619: DICOM files on discs
        for other in registry.names("io"):
            if _begins(other, head):
                return other, []
    name = _format_of_suffix(path)
    if not getattr(registry.get("io", name), "MAGIC", ()) or _begins(name, head):
        return name, []
    for other in registry.names("io"):
        if _begins(other, head):
            return other, [f"{path.name} is a {other.upper()} file in spite of its name"]
    raise FormatError(f"{path.name} is not an image: its content is not {name.upper()}")


def _begins(name: str, head: bytes) -> bool:
    """Whether a file of this beginning is of a format that tells by its first bytes."""
    module = registry.get("io", name)
    magic = getattr(module, "MAGIC", ())
    return bool(magic) and head[getattr(module, "MAGIC_AT", 0) :].startswith(magic)


def _format_of_folder(path: Path) -> str:
    for name in registry.names("io"):
        module = registry.get("io", name)
        if hasattr(module, "holds") and module.holds(path):
            return name
    raise FormatError(f"{path.name} is a folder; give its files, e.g. {path / '*.tif'}")


def _unreadable(path: Path, error: Exception) -> HushError:
    if isinstance(error, HushError):
        return error if str(error).startswith(path.name) else FormatError(f"{path.name}: {error}")
    return FormatError(f"{path.name} cannot be read, it may be cut short or damaged: {files.reason(error)}")


def _reserve(path: Path) -> None:
    """Take the disk space now: a memory map that meets a full disk later kills the process."""
    with path.open("rb+") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
        except AttributeError:  # not on this system
            pass
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):
                raise
