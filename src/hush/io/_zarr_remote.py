"""Zarrs that lie elsewhere (http, https, s3, ...): found and read through fsspec, chunk by chunk, never whole."""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Iterator
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any

from hush.core import files
from hush.core.errors import FormatError
from hush.io._common import need

MARKS = ("zarr.json", ".zgroup", ".zarray", ".zattrs")  # files that describe a group or an array
ADDRESS = re.compile("([a-z][a-z0-9+-]+):/+(.+)")  # of the net; a path has lost one of its two slashes
REMOTE_EXTRA = "zarr"
NOT_ALLOWED = ("NoCredentialsError", "PermissionError")  # of a store that may be public all the same
MISSING = (FileNotFoundError, IsADirectoryError, NotADirectoryError)


def address_of(path: str | os.PathLike[str]) -> str | None:
    """Return an address with both its slashes; None for a path.

    Examples
    --------
    >>> address_of(PurePosixPath("https://host/a.zarr")), address_of("folder/a.zarr")
    ('https://host/a.zarr', None)
    """
    found = ADDRESS.match(os.fspath(path))
    return None if found is None else f"{found[1]}://{found[2].rstrip('/')}"


class Remote:
    """A place of a Zarr that is not on a disk of this machine: as much of a `pathlib.Path` as reading one asks for.

    Parameters
    ----------
    address : str
        Of the Zarr.
    below : str
        Of a group or an array in it.

    Raises
    ------
    FormatError
        When it cannot be asked: no such host, no permission, no library for such addresses.

    Examples
    --------
    >>> place = Remote("https://host/a.zarr") / "0"
    >>> str(place), place.name
    ('https://host/a.zarr/0', '0')
    """

    def __init__(self, address: str, below: str = "", options: dict[str, Any] | None = None) -> None:
        self.address, self.below = address, below
        self.options = {} if options is None else options  # of the connection; all places of a Zarr share them

    def __str__(self) -> str:
        return f"{self.address}/{self.below}" if self.below else self.address

    def __truediv__(self, name: str) -> Remote:
        inner = str(PurePosixPath(self.below) / name)
        return Remote(self.address, "" if inner == "." else inner, self.options)

    def __getstate__(self) -> dict[str, Any]:
        """Leave the open connection out: another process makes its own."""
        return {"address": self.address, "below": self.below, "options": self.options}

    @property
    def name(self) -> str:
        """The last part of the address."""
        return str(self).rpartition("/")[2]

    def is_file(self) -> bool:
        """Whether something is stored there."""
        return self._bytes is not None

    def is_dir(self) -> bool:
        """Whether it may hold something: without a list of names nobody knows."""
        return True

    def read_text(self, encoding: str = "utf-8") -> str:
        """Return what is stored there."""
        if self._bytes is None:
            raise FormatError(f"{self} is not there")
        return self._bytes.decode(encoding)

    def iterdir(self) -> Iterator[Remote]:
        """Yield what is below it, where the host says so; many do not."""
        try:
            found = self._ask(lambda fs: fs.ls(str(self), detail=False))
        except MISSING:
            return
        for one in sorted(found):
            name = str(one).rstrip("/").rpartition("/")[2]
            if name and not name.startswith(("?", "#")):
                yield self / name

    def store(self) -> Any:
        """Return it as a store of zarr."""
        fsspec_store = need("zarr.storage", REMOTE_EXTRA).FsspecStore
        return fsspec_store.from_url(str(self), storage_options=self._settings(), read_only=True)

    @cached_property
    def _bytes(self) -> bytes | None:
        try:
            found: bytes = self._ask(lambda fs: fs.cat_file(str(self)))
        except MISSING:
            return None
        return found

    def _ask(self, question: Any) -> Any:
        """Ask the host; of s3 without a name where there is none, or the one there is does not help."""
        fsspec = need("fsspec", REMOTE_EXTRA)
        scheme = self.address.partition(":")[0]
        try:
            return question(fsspec.filesystem(scheme, **self._settings()))
        except MISSING:
            raise
        except (ImportError, ValueError) as error:
            raise FormatError(
                f"{self.address} cannot be read: {files.reason(error)}; possible: http:// and https:// "
                f"(pip install 'hush-denoise[{REMOTE_EXTRA}]'), s3:// (pip install 'hush-denoise[s3]'), "
                "and what else fsspec finds a library for"
            ) from error
        except Exception as error:  # aiohttp, botocore and the system: each fails in its own way
            if type(error).__name__ in NOT_ALLOWED and scheme == "s3" and not self.options.get("anon"):
                self.options["anon"] = True
                return self._ask(question)
            raise FormatError(
                f"{self.address} cannot be read ({type(error).__name__}: {files.reason(error)}): is the address right, "
                "and may you read it?"
            ) from error

    def _settings(self) -> dict[str, Any]:
        return {**self.options, "use_listings_cache": False}


def zarr_at(address: str, suffix: str) -> Remote:
    """Return the Zarr at an address.

    Parameters
    ----------
    address : str
    suffix : str
        Of a known format, empty for another: what has one of its own and is no Zarr is not asked for.

    Raises
    ------
    FormatError
        When it is something else, or not there.
    """
    place = Remote(address)
    if suffix and not suffix.endswith(".zarr"):
        raise FormatError(f"{address} is an address, and only a Zarr is read from one: download it first")
    if not any((place / mark).is_file() for mark in MARKS):
        raise FormatError(f"{address}: no Zarr is there (none of {', '.join(MARKS)}); other files: download them first")
    return place


def stamp(path: str | os.PathLike[str]) -> list[int]:
    """Return numbers that are others once the Zarr at an address is another: of its metadata, not of its pixels."""
    address = address_of(path)
    assert address is not None
    place = Remote(address)
    texts = [(place / name)._bytes or b"" for name in MARKS]
    return [sum(map(len, texts)), zlib.crc32(b"".join(texts))]
