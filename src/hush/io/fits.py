"""FITS: one image of a file, which is copied with it; header, world coordinates and tile compression stay.

Stored values are kept: where BSCALE and BZERO are a unit of measurement, they stay in the header; where they stand for
numbers without sign, those are what is read. BLANK becomes ``meta["padding"]``. Format: FITS Standard 4.0 (2018).
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from hush.core.errors import FormatError
from hush.core.image import Array, Image
from hush.io import _zarr_pieces
from hush.io._common import MAP_FROM, check_claim, from_note, need, settle_axes
from hush.io._fits_parts import (
    FITS_EXTRA,
    HALVES,
    KINDS_OF_BITPIX,
    Part,
    half_of,
    history,
    is_image,
    opened_with,
    parts_of,
    unpacked,
)
from hush.io._fits_write import Plan

PLAIN_FITS = (".fits", ".fit", ".fts", ".fits.fz", ".fz")
SUFFIXES = (*PLAIN_FITS, ".fits.gz", ".fit.gz", ".fts.gz")
CHOICES = "extension"
EXTRA = FITS_EXTRA
NEEDS = ("astropy",)
MOST_PACKED = 10_000  # bytes that a byte of a compressed tile becomes at most
CODES_OF_AXES = {
    "STOKES": "C",
    "TIME": "T",
    "FREQ": "Z",
    "WAVE": "Z",
    "AWAV": "Z",
    "VELO": "Z",
    "VRAD": "Z",
    "VOPT": "Z",
}


def read(path: Path, axes: str | None, *, choice: int | str | None = None) -> Image:
    """Read the first image, or the extension of a number (the primary one is 0) or name (``SCI``, ``SCI,2``)."""
    need("astropy.io.fits", EXTRA)
    raw = unpacked(path)
    parts = parts_of(path, raw)
    number = _chosen(parts, choice)
    part = parts[number]
    stored = _packed_pixels(path, raw, part, number) if part.packed else _plain_pixels(path, raw, part)
    half = half_of(part)
    data = _with_sign(stored, half) if half else stored
    chosen, guessed = settle_axes(data.shape, axes, _axes(part))
    images = [one.name or str(place) for place, one in enumerate(parts) if is_image(one)]
    meta: dict[str, Any] = {
        "fits": {"path": str(path.resolve()), "number": number, "shape": tuple(data.shape), "dtype": data.dtype.name},
        "description": str(part.header.get("OBJECT", "")).strip(),
        "warnings": [],
    }
    if guessed:
        meta["guessed"] = guessed
    if note := from_note(history(part.header)):
        meta["hush"] = note
    blank = part.header.get("BLANK", part.header.get("ZBLANK"))
    if data.dtype.kind in "iu" and isinstance(blank, int):
        meta["padding"] = blank + (HALVES[half] if half else 0)
    if len(images) > 1 and choice is None:
        meta["warnings"].append(f"it holds {len(images)} images ({', '.join(images)}); this is the first")
    return Image(data, chosen, {}, None, meta)


def write(path: Path, image: Image) -> None:
    """Write the image into a copy of the file it came from, else into a new file."""
    Plan(path, image).write(image.data)


def create(path: Path, like: Image) -> Array | None:
    """Return a writable array: mapped where the file's numbers are the image's, else written at the end."""
    plan = Plan(path, like)
    shape = tuple(like.data.shape)
    if plan.packed or path.name.lower().endswith(".gz"):
        return None
    if plan.half or plan.order or plan.blank is not None or plan.sums:
        return _zarr_pieces.Spooled.of(shape, like.data.dtype, plan.write)
    plan.write(None)
    return np.memmap(path, plan.kind, "r+", plan.place, shape)


def _chosen(parts: list[Part], choice: int | str | None) -> int:
    images = [place for place, part in enumerate(parts) if is_image(part)]
    if not images:
        raise FormatError("it holds no image: no part of it has two or more axes")
    if choice is None:
        return images[0]
    wanted = str(choice).upper()
    for place in images:
        if wanted in (str(place), parts[place].name.upper()):
            return place
    listed = ", ".join(f"{place}: {parts[place].name or 'without a name'}" for place in images)
    raise FormatError(f"there is no image in {CHOICES} {choice!r}: it holds {listed}")


def _plain_pixels(path: Path, raw: bytes | None, part: Part) -> Array:
    """Return the stored numbers: mapped where they are many, else in this machine's order."""
    kind, shape = np.dtype(KINDS_OF_BITPIX[part.get("BITPIX")]), part.shape
    if raw is not None:
        data: Array = np.frombuffer(raw, kind, math.prod(shape), part.data).reshape(shape)
    else:
        check_claim(math.prod(shape) * kind.itemsize, path.stat().st_size - part.data, 1, path.stat().st_size)
        data = np.memmap(path, kind, "r", part.data, shape)
        if data.nbytes >= MAP_FROM:
            return data
    return np.array(data, kind.newbyteorder("="), subok=False)


def _packed_pixels(path: Path, raw: bytes | None, part: Part, number: int) -> Array:
    shape, size = part.shape, path.stat().st_size
    wanted = math.prod(shape) * abs(part.get("BITPIX")) // 8
    check_claim(wanted, part.end - part.data, MOST_PACKED, size)
    with opened_with(path, raw) as opened:
        data = np.asarray(opened[number].data)
    kind = np.dtype(KINDS_OF_BITPIX[part.get("BITPIX")]).newbyteorder("=")
    return data.astype(kind, copy=False)


def _with_sign(stored: Array, half: str) -> Array:
    """Turn stored numbers into those that they stand for, and back: the highest bit is the other one."""
    kind = np.dtype(half)
    data = _zarr_pieces.room(stored.shape, kind)
    bit = kind.type(1 << (8 * kind.itemsize - 1)) if kind.kind == "u" else np.uint8(128)
    for box in _zarr_pieces.boxes(stored.shape, (1,) * (stored.ndim - 2) + stored.shape[-2:], kind.itemsize):
        piece = np.asarray(stored[box], stored.dtype.newbyteorder("="))
        data[box] = (piece.view(f"u{kind.itemsize}") ^ bit).view(kind)
    return data


def _axes(part: Part) -> str | None:
    """Return the axes of a plane, or those that CTYPE names."""
    count = len(part.shape)
    if count == 2:
        return "YX"
    found = "YX"
    for place in range(3, count + 1):
        code = str(part.header.get(f"CTYPE{place}", "")).upper()[:6]
        letter = next((letter for name, letter in CODES_OF_AXES.items() if code.startswith(name)), None)
        if letter is None or letter in found:
            return None
        found = letter + found
    return found
