"""A result that grows piece by piece beside its final place, and can be gone on with after any stop.

Beside ``clean.zarr`` that is the folder ``clean.zarr.unfinished``: the file itself under a hidden name,
``journal.json`` with the plan and what must be the same to go on, and ``done``, a line for every piece that was
written, with its checksum. Nothing takes the result's name before the last piece is in it.
"""

from __future__ import annotations

import json
import os
import shutil
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from hush import io
from hush.core import files, registry
from hush.core.errors import FormatError, HushError
from hush.core.image import Array, Image

JOURNAL_FORMAT = 1


def folder_of(path: Path) -> Path:
    """Return where a result grows: a folder beside it."""
    target = Path(os.path.abspath(path))  # noqa: PTH100 -- folds ".." and keeps links
    return target.with_name(f"{target.name}.unfinished")


class Growing:
    """One file that grows.

    Parameters
    ----------
    path : Path
        Where it will be.
    like : Image
        Shape, dtype and metadata; its data is not looked at.
    kept : dict or None
        What `note` said of one that was begun and is to be gone on with.

    Attributes
    ----------
    array : array
        Takes ``array[box] = values``, and gives ``array[box]``.
    chunks : tuple of int or None
        No chunk must be written by two pieces.

    Raises
    ------
    HushError
        When it cannot be written, with the reason.
    """

    def __init__(self, path: Path, like: Image, kept: Mapping[str, Any] | None = None) -> None:
        self.path, self.like = path, like
        self.folder = folder_of(path)
        self.kind = io._format_to_write(path, like)
        suffix = io._suffix(path)
        self.hidden = self.folder / f".result{path.name[len(path.name) - len(suffix) :] if suffix else ''}"
        with files.plain_errors(path):
            self.folder.mkdir(parents=True, exist_ok=True)
            self.array, self.way = self._begin() if kept is None else self._again(kept)
        self.chunks: tuple[int, ...] | None = getattr(self.array, "chunks", None)

    def note(self) -> dict[str, Any]:
        """Return what is needed to open it again, as plain values."""
        if self.way != "mapped":
            return {"way": self.way}
        array = self.array
        place = {"dtype": array.dtype.str, "offset": array.offset, "fortran": bool(array.flags.fnc)}
        return {"way": self.way, **place}

    def write(self, box: tuple[slice, ...], values: Array) -> None:
        """Write a piece."""
        with files.plain_errors(self.path):
            self.array[box] = values

    def finish(self) -> None:
        """Complete the file, and let it take its name."""
        with files.plain_errors(self.path):
            if self.way == "spooled":
                image = replace(self.like, data=self.array)
                self._module().write(self.hidden, image)
            else:
                self.array.flush()
            del self.array
            target = self.path.resolve()
            files.publish(self.hidden, target)

    def _module(self) -> Any:
        return registry.get("io", self.kind)

    def _begin(self) -> tuple[Array, str]:
        module = self._module()
        if hasattr(module, "grow"):
            return module.grow(self.hidden, self.like, False), "chunks"
        can = hasattr(module, "create") and not hasattr(module, "SPOOLED")
        array = module.create(self.hidden, self.like) if can else None
        if isinstance(array, np.memmap):
            io._reserve(self.hidden)
            return array, "mapped"
        if array is None:
            io._try_edges(self.path, self.like)
        del array
        shutil.rmtree(self.hidden) if self.hidden.is_dir() else self.hidden.unlink(missing_ok=True)
        spool = np.lib.format.open_memmap(self._spool, "w+", self.like.data.dtype, tuple(self.like.data.shape))
        io._reserve(self._spool)
        return spool, "spooled"

    def _again(self, kept: Mapping[str, Any]) -> tuple[Array, str]:
        module, way = self._module(), str(kept["way"])
        if way != "spooled" and not self.hidden.exists() and self.path.exists():
            self.path.resolve().replace(self.hidden)  # it was complete, and another result was not
        if way == "chunks":
            return module.grow(self.hidden, self.like, True), way
        if way == "spooled":
            if not self._spool.exists():
                return self._begin()
            return np.lib.format.open_memmap(self._spool, "r+"), way
        if hasattr(module, "reopen"):
            return module.reopen(self.hidden, self.like), way
        order: Any = "F" if kept["fortran"] else "C"
        shape = tuple(self.like.data.shape)
        return np.memmap(self.hidden, np.dtype(kept["dtype"]), "r+", int(kept["offset"]), shape, order), way

    @property
    def _spool(self) -> Path:
        """Pixels of a format that is written at once, or that a stop in the middle would damage (HDF5)."""
        return self.folder / ".pixels.npy"


@dataclass
class Line:
    """A piece that is done: its number, the checksum of every result, and what else is known of it."""

    number: int
    checksums: list[int]
    more: Any


class Journal:
    """What is done of a result that grows, and what must be the same to go on.

    Parameters
    ----------
    path : Path
        Of the result.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.folder = folder_of(path)
        self.file, self.log = self.folder / "journal.json", self.folder / "done"

    @property
    def exists(self) -> bool:
        """Whether something was begun."""
        return self.folder.is_dir()

    def begin(self, note: Mapping[str, Any]) -> None:
        """Write down what is planned."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.log.unlink(missing_ok=True)
        files.write_json(self.file, {"format": JOURNAL_FORMAT, **note})

    def read(self) -> dict[str, Any]:
        """Return what was planned; empty where a stop came before that.

        Raises
        ------
        HushError
            When it is damaged, or of a later format.
        """
        if not self.file.exists():
            return {}
        try:
            note = dict(json.loads(self.file.read_text("utf-8")))
        except (ValueError, OSError) as error:
            raise HushError(f"{self.file} cannot be read ({files.reason(error)}); --overwrite starts again") from None
        if note.get("format") != JOURNAL_FORMAT:
            raise HushError(
                f"{self.folder.name} was begun by another version of hush ({note.get('version')}); go on with that "
                "one, or --overwrite starts again"
            )
        return note

    def lines(self) -> dict[int, Line]:
        """Return the pieces that were written; a line that a stop cut off is none."""
        found: dict[int, Line] = {}
        text = self.log.read_text("utf-8", "replace") if self.log.exists() else ""
        for line in text.splitlines(keepends=True):
            try:
                number, checksums, more = json.loads(line)
            except (ValueError, TypeError):
                continue
            found[int(number)] = Line(int(number), [int(one) for one in checksums], more)
        return found

    def add(self, line: Line) -> None:
        """Write down that a piece is in its place."""
        text = json.dumps([line.number, line.checksums, line.more], default=float)
        with self.log.open("ab") as file:
            if file.tell() and not self._whole():
                file.write(b"\n")  # behind a line that a stop cut off
            file.write(f"{text}\n".encode())

    def _whole(self) -> bool:
        with self.log.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read(1) == b"\n"

    def remove(self) -> None:
        """Remove what was begun."""
        shutil.rmtree(self.folder, ignore_errors=True)


def checksum(values: Array) -> int:
    """Return a checksum of an array's numbers.

    Examples
    --------
    >>> checksum(np.zeros(3)) == checksum(np.zeros((3, 1), ">f8"))
    True
    """
    return zlib.crc32(np.ascontiguousarray(values, values.dtype.newbyteorder("=")).tobytes())


def refuse_begun(path: Path, resume: bool, overwrite: bool) -> None:
    """Refuse, before any work, to begin again what was interrupted, unless that was asked for.

    Raises
    ------
    HushError
        Naming both ways on.
    """
    journal = Journal(path)
    if not journal.exists or resume:
        return
    if overwrite:
        journal.remove()
        return
    total = (journal.read().get("plan") or {}).get("pieces", "?")
    raise FormatError(
        f"{journal.folder.name} holds {len(journal.lines())} of {total} pieces of a result that was interrupted; "
        "--resume goes on with it, --overwrite starts again"
    )


def differs(before: Mapping[str, Any], now: Mapping[str, Any], names: Sequence[str]) -> str | None:
    """Return the first of some entries that is not what it was, as a sentence; None where all are.

    Examples
    --------
    >>> differs({"a": 1}, {"a": 2}, ["a"])
    'a was 1 and is now 2'
    """
    plain = json.loads(json.dumps(dict(now), default=str))
    for name in names:
        if before.get(name) != plain.get(name):
            return f"{name} was {before.get(name)} and is now {plain.get(name)}"
    return None
