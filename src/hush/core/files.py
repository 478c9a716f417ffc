"""Files, and folders that are one image, are written whole or not at all: to a hidden name, and then renamed."""

from __future__ import annotations

import errno
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from hush.core.errors import HushError, HushWarning

PLAIN_REASONS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EACCES: "no permission",
    errno.EPERM: "no permission",
    errno.EROFS: "the disk is read-only",
    errno.EFBIG: "the file is larger than the disk's file system allows",
    errno.ENAMETOOLONG: "the name is too long",
    errno.EMFILE: "too many files are open",
}


def reason(error: BaseException) -> str:
    """Say in plain words why reading or writing failed.

    Examples
    --------
    >>> reason(OSError(errno.ENOSPC, "No space left on device"))
    'the disk is full'
    """
    if isinstance(error, OSError) and error.errno:
        return PLAIN_REASONS.get(error.errno) or os.strerror(error.errno).lower()
    if isinstance(error, MemoryError):
        return "not enough memory"
    return " ".join(str(error).split()) or type(error).__name__


@contextmanager
def plain_errors(path: Path) -> Iterator[None]:
    """Turn what goes wrong while a file is written into a HushError that names the file and the reason."""
    try:
        yield
    except (HushError, HushWarning):  # a HushWarning is an exception where warnings are made errors
        raise
    except Exception as error:
        raise HushError(f"{path} cannot be written: {reason(error)}") from error


@contextmanager
def temporary(path: Path, suffix: str | None = None) -> Iterator[tuple[Path, Path]]:
    """Give a hidden name beside a file, and the file itself behind any link; what is left at that name is removed."""
    target = path.resolve()  # a link keeps pointing to its file
    hidden = target.with_name(f".hush-{secrets.token_hex(6)}{path.suffix if suffix is None else suffix}")
    try:
        yield hidden, target
    finally:
        with suppress(OSError):
            shutil.rmtree(hidden) if hidden.is_dir() else hidden.unlink(missing_ok=True)


def publish(hidden: Path, target: Path) -> None:
    """Bring the bytes to the disk, then swap names: a crash leaves the old file or the new one."""
    if hidden.is_dir():
        _publish_folder(hidden, target)
        return
    with hidden.open("rb+") as file:
        os.fsync(file.fileno())
    if target.exists():
        shutil.copymode(target, hidden)
    hidden.replace(target)


def _publish_folder(hidden: Path, target: Path) -> None:
    """Swap names of folders; the old one goes last, so that one of both is always there, under this name or another."""
    for path in hidden.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
    old = target.with_name(f"{hidden.name}.old")
    if target.exists():
        target.replace(old)
    hidden.replace(target)
    shutil.rmtree(old, ignore_errors=True)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a name to write to; the file takes the place of `path` when the block ends, and is gone if it raises.

    Raises
    ------
    HushError
        When the file cannot be written, with the reason.
    """
    with temporary(path) as (hidden, target), plain_errors(path):
        yield hidden
        publish(hidden, target)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file, whole or not at all."""
    with replacing(path) as hidden:
        hidden.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Write a text in UTF-8, whole or not at all."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """Write plain values as JSON, whole or not at all; what JSON cannot hold becomes a number."""
    write_text(path, json.dumps(value, indent=1, default=float) + "\n")


def refuse_existing(path: Path, overwrite: bool) -> None:
    """Refuse to replace a file unless that was asked for.

    Raises
    ------
    HushError
        When the file exists and `overwrite` is false.
    """
    if path.exists() and not overwrite:
        raise HushError(f"{path.name} exists; --overwrite replaces it")
