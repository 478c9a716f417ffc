"""HDR (Radiance): RGB floats of a shared exponent, 8 bits each; the lines of its header are kept.

A value is rounded to the nearest that the format holds (1 part in 256 of the brightest colour of its pixel).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from hush.core.errors import FormatError
from hush.core.image import Array, Image
from hush.io._common import check_claim, flat, from_note, refuse, settle_axes, to_note

SUFFIXES = (".hdr", ".rgbe", ".xyze")
HEADER_OF_NIFTI, OTHER_ORDER = b"\x5c\x01\0\0", b"\0\0\x01\x5c"  # its length, 348
HEADER_OF_ENVI = b"ENVI"
MAGIC = (b"#?", HEADER_OF_NIFTI, OTHER_ORDER, HEADER_OF_ENVI)  # the last three are read to be refused with their name

SIZE_LINE = re.compile(rb"([-+][XY]) +(\d+) +([-+][XY]) +(\d+)")
LONGEST_HEADER = 2**16
PACKED_HDR = 191  # bytes that a byte becomes at most: 127 equal ones are two, and four of them a pixel of twelve
NOTE_OF_HDR = "# hush "
LARGEST_HDR = 255.0 * 2.0**119


def read(path: Path, axes: str | None) -> Image:
    """Read the picture as (Y, X, S), float32, as it is shown: its first line on top."""
    import imagecodecs

    raw = path.read_bytes()
    if not raw.startswith(b"#?"):
        raise FormatError(_refusal(raw))
    lines, first, second, start = _header(raw)
    shape = (int(first[2]), int(second[2]))
    check_claim(12 * shape[0] * shape[1], len(raw) - start, PACKED_HDR, len(raw))
    packed = raw.startswith(b"\2\2", start)
    plain = b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y %d +X %d\n" % shape
    data = _shown(imagecodecs.rgbe_decode(plain + raw[start:], header=True, rle=None), first, second)
    chosen, _ = settle_axes(data.shape, axes, "YXS")
    notes = [note for line in lines if line.startswith(NOTE_OF_HDR) and (note := from_note(line))]
    kept = [line for line in lines if not line.startswith(NOTE_OF_HDR)]
    about = [line[1:].strip() for line in kept if line.startswith("#") and not line.startswith("#?")]
    meta: dict[str, Any] = {"description": "\n".join(about), "warnings": []}
    meta["hdr"] = {"lines": kept, "order": (first[1], second[1]), "packed": packed, "description": "\n".join(about)}
    if any(line.startswith("FORMAT=") and "xyze" in line for line in kept):
        meta["warnings"].append("its colours are X, Y and Z of CIE 1931, and are denoised as they are")
    if notes:
        meta["hush"] = notes[-1]
    return Image(data, chosen, meta=meta)


def write(path: Path, image: Image) -> None:
    """Write RGB of float32 with the input's header; values below zero, which the format lacks, become zero."""
    import imagecodecs

    data = flat(image, "HDR")
    if data.dtype != np.float32 or data.ndim != 3 or data.shape[2] != 3:
        raise refuse("HDR", "RGB of float32", data)
    if not np.isfinite(data).all():
        raise FormatError(
            "HDR holds no NaN and no infinite values, and this image has some; write an .exr or .tif file"
        )
    old = image.meta.get("hdr") or {}
    first, second = old.get("order", (b"-Y", b"+X"))
    stored = _stored(np.asarray(data, np.float32), first, second)
    lines = list(old.get("lines") or ["#?RADIANCE", "FORMAT=32-bit_rle_rgbe"])
    description = str(image.meta.get("description") or "")
    if description != old.get("description", ""):
        lines = [line for line in lines if not line.startswith("#") or line.startswith("#?")]
        lines[1:1] = [f"# {line}" for line in description.splitlines()]
    if note := to_note(image.meta.get("hush")):
        lines.insert(1, "# " + note)
    height, width = stored.shape[:2]
    size = f"\n\n{first.decode()} {height} {second.decode()} {width}\n"
    packed = old.get("packed", True) and 8 <= width < 2**15
    room = stored.nbytes // 2 + 8 * height + 1024  # what cannot be packed grows by a part in 128
    pixels = bytes(imagecodecs.rgbe_encode(_rounded(stored), header=False, rle=packed, out=bytearray(room)))
    path.write_bytes(("\n".join(lines) + size).encode("utf-8", "surrogateescape") + pixels)


def create(path: Path, like: Image) -> None:
    """Return None: lines are compressed, each to another length."""


def _refusal(raw: bytes) -> str:
    """Say what an .hdr file is that is no picture."""
    if raw.startswith(HEADER_OF_ENVI):
        return "it is the header of an ENVI image, which is not read; save it as a .tif file"
    return "it is the header of a NIfTI or Analyze pair: give the .img file beside it"


def _header(raw: bytes) -> tuple[list[str], tuple[bytes, bytes, bytes], tuple[bytes, bytes, bytes], int]:
    """Return the lines of the header, both sides with their direction, and where the pixels begin."""
    end = raw.find(b"\n\n", 0, LONGEST_HEADER)
    stop = raw.find(b"\n", end + 2) if end >= 0 else -1
    size = SIZE_LINE.fullmatch(raw[end + 2 : stop].strip()) if stop >= 0 else None
    if size is None or {size[1][1:], size[3][1:]} != {b"X", b"Y"}:
        raise FormatError("it is cut short or damaged: its header does not say its size")
    lines = raw[:end].decode("utf-8", "surrogateescape").split("\n")
    return lines, (size[0], size[1], size[2]), (size[0], size[3], size[4]), stop + 1


def _shown(data: Array, first: tuple[bytes, ...], second: tuple[bytes, ...]) -> Array:
    """Return the picture with its first line on top, from left to right."""
    if first[1] in (b"-X", b"+X"):
        data, (first, second) = data.transpose(1, 0, 2), (second, first)
    return np.ascontiguousarray(data[:: -1 if first[1] == b"+Y" else 1, :: -1 if second[1] == b"-X" else 1])


def _stored(data: Array, first: bytes, second: bytes) -> Array:
    """Return the picture in the order of the file: what `_shown` does, undone."""
    down, across = (second, first) if first in (b"-X", b"+X") else (first, second)
    data = data[:: -1 if down == b"+Y" else 1, :: -1 if across == b"-X" else 1]
    return np.ascontiguousarray(data if down == first else data.transpose(1, 0, 2))


def _rounded(data: Array) -> Array:
    """Return the nearest values that the format holds; the encoder would cut them."""
    data = np.clip(data, 0, LARGEST_HDR)
    brightest = data.max(-1, keepdims=True)
    exponent = np.frexp(brightest)[1]
    exponent += np.rint(np.ldexp(brightest, 8 - exponent)) > 255  # 255.5 and more of 256 is 128 of the next
    step = np.ldexp(np.float32(1), np.maximum(exponent, -118) - 8)
    return np.asarray(np.rint(data / step) * step, np.float32)
