"""SPE of Princeton Instruments (WinView, LightField): frames of a camera; read only.

The header has 4100 bytes; a version 3 file has an XML text behind the pixels, which says where frames are. Formats:
WinSpec manual, appendix C; "SPE 3.0 File Format Specification" (2014).
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from hush.core.errors import FormatError
from hush.core.image import Array, Image
from hush.io._common import MAP_FROM, check_claim, settle_axes

SUFFIXES = (".spe",)
HEADER_OF_SPE = 4100  # bytes
KINDS_OF_SPE = {0: "<f4", 1: "<i4", 2: "<i2", 3: "<u2", 5: "<f8", 6: "u1", 8: "<u4"}
COMMENTS_AT, COMMENT_LENGTH, COMMENT_COUNT = 200, 80, 5


def read(path: Path, axes: str | None) -> Image:
    """Read all frames; the pixel size of the sample is not known to it."""
    size = path.stat().st_size
    with path.open("rb") as file:
        raw = file.read(HEADER_OF_SPE)
    if len(raw) < HEADER_OF_SPE:
        raise FormatError(f"it is cut short: it has {len(raw)} bytes, and the header alone is {HEADER_OF_SPE}")
    (width,), (height,), (number,), (frames,) = (
        struct.unpack_from(kind, raw, at) for kind, at in (("<H", 42), ("<H", 656), ("<h", 108), ("<i", 1446))
    )
    (version,), (behind,) = struct.unpack_from("<f", raw, 1992), struct.unpack_from("<Q", raw, 678)
    if number not in KINDS_OF_SPE or not width or not height or frames < 1:
        raise FormatError(
            f"it is not an SPE file, or damaged: {frames} frames of {width} x {height}, numbers of kind {number}"
        )
    kind = np.dtype(KINDS_OF_SPE[number])
    frame = width * height * kind.itemsize
    stride = _stride(path, behind, frame) if version >= 3 and 0 < behind < size else frame
    check_claim((frames - 1) * stride + frame, size - HEADER_OF_SPE, 1, size)
    data = _pixels(path, kind, (frames, height, width), stride)
    data = data[0] if frames == 1 else data
    chosen, _ = settle_axes(data.shape, axes, "YX" if frames == 1 else "TYX")
    meta: dict[str, Any] = {"description": _comments(raw)}
    exposure = struct.unpack_from("<f", raw, 10)[0]
    return Image(data, chosen, {}, None, meta | ({"exposure": exposure} if exposure > 0 else {}))


def _pixels(path: Path, kind: np.dtype[Any], shape: tuple[int, ...], stride: int) -> Array:
    """Return the frames, mapped where they are many; what stands between them is left out."""
    frames, each = shape[0], shape[1] * shape[2] * kind.itemsize
    room = np.memmap(path, np.uint8, "r", HEADER_OF_SPE, ((frames - 1) * stride + each,))
    views = np.lib.stride_tricks.as_strided(room, (frames, each), (stride, 1), writeable=False)
    if stride == each and frames * each >= MAP_FROM:
        return np.memmap(path, kind, "r", HEADER_OF_SPE, shape)
    return np.array(views).view(kind).reshape(shape).astype(kind.newbyteorder("="), copy=False)


def _stride(path: Path, behind: int, frame: int) -> int:
    """Return the bytes from one frame to the next, as the XML behind the pixels says."""
    with path.open("rb") as file:
        file.seek(behind)
        try:
            root = ElementTree.fromstring(file.read())
        except ElementTree.ParseError:
            return frame
    for block in root.iterfind("{*}DataFormat/{*}DataBlock[@type='Frame']"):
        regions = block.findall("{*}DataBlock[@type='Region']")
        if len(regions) > 1:
            raise FormatError(
                f"its frames have {len(regions)} regions of interest, which is not read; export one as TIFF"
            )
        stride = block.get("stride", "")
        return int(stride) if stride.isdecimal() and int(stride) >= frame else frame
    return frame


def _comments(raw: bytes) -> str:
    starts = range(COMMENTS_AT, COMMENTS_AT + COMMENT_COUNT * COMMENT_LENGTH, COMMENT_LENGTH)
    lines = [raw[at : at + COMMENT_LENGTH].partition(b"\0")[0].decode("latin-1").strip() for at in starts]
    return "\n".join(line for line in lines if line)
