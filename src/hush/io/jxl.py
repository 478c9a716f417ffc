"""JPEG XL: 8 to 16 bits and floats, grey or RGB, alpha, animations; written without loss, in its own colours.

A lossy file is written without loss as well: the denoised pixels are kept as they are, and the file grows.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hush.core.errors import FormatError
from hush.core.image import Array, Image
from hush.io import _boxes, _exif, _jxl_header
from hush.io._common import check_claim, frames, from_note, refuse, settle_axes, to_note

SUFFIXES = (".jxl",)
BARE, SIGNATURE = b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n"
MAGIC = (BARE, SIGNATURE)

PACKED_JXL = 10**6  # bytes that a byte becomes at most: a group of 256x256 pixels takes some bits
FILE_TYPE = b"jxl \0\0\0\0jxl "
# Boxes that are made anew, or speak of the pixels as they were: the JPEG that a file was made of, its index, its level.
NOT_KEPT_OF_JXL = (b"JXL ", b"ftyp", b"jxlc", b"jxlp", b"jxll", b"jxli", b"jbrd")
NOTE_OF_JXL = b"hush"
LEVEL_10 = b"\x0a"  # more than 8 bits, floats and large pictures are allowed
SRGB_COLOURS, SRGB_GREY = "1", "001010001110110"  # colour encodings in the header: red, green, blue, and grey


@dataclass
class _File:
    """A file as it was read: the header of its pixels, and its other boxes."""

    header: _jxl_header.Header
    boxes: list[_boxes.Box] = field(default_factory=list)


def read(path: Path, axes: str | None) -> Image:
    """Read the picture as it is stored, not turned; of an animation the frames are T."""
    import imagecodecs

    raw = path.read_bytes()
    codestream, boxes = _parts(raw)
    header = _jxl_header.parse(codestream)
    wide = 4 if header.is_float or header.bits > 16 else 2 if header.bits > 8 else 1
    check_claim(header.size[0] * header.size[1] * wide, len(raw), PACKED_JXL, len(raw))
    data = imagecodecs.jpegxl_decode(raw, keeporientation=True)
    data, declared, remarks = _described(data, header)
    chosen, _ = settle_axes(data.shape, axes, declared)
    if header.has_profile:
        remarks.append("its colour profile (ICC) is not read, and not written again")
    if any(kind == b"jbrd" for kind, _ in boxes):
        remarks.append("it was made of a JPEG file without loss; a .jxl result cannot be turned back into one")
    plain = [_plain(box) for box in boxes]
    exif, xmp = _boxes.first(plain, b"Exif"), _boxes.first(plain, b"xml ")
    exif = exif[4 + int.from_bytes(exif[:4], "big") :]
    meta: dict[str, Any] = {"warnings": remarks, "description": _exif.description_of(exif)}
    meta["embedded"] = _exif.embedded(exif, b"", xmp, header.orientation)
    if data.dtype == np.uint16 and header.bits < 16:
        meta["embedded"]["bits"] = header.bits
    meta["jxl"] = _File(header, [box for box in boxes if box[0] not in (*NOT_KEPT_OF_JXL, NOTE_OF_JXL)])
    if note := from_note(_boxes.first(boxes, NOTE_OF_JXL).decode("utf-8", "replace")):
        meta["hush"] = note
    return Image(data, chosen, meta=meta)


def write(path: Path, image: Image) -> None:
    """Write the picture without loss: uint8, uint16, float16 or float32, grey or RGB, with or without alpha."""
    import imagecodecs

    data, count = frames(image, "JPEG XL")
    shown = data[0] if count else data
    samples = shown.shape[2] if shown.ndim == 3 else 1
    fits = (samples in (1, 3) or (samples in (2, 4) and image.alpha)) and data.dtype.name in (
        "uint8", "uint16", "float16", "float32"
    )  # fmt: skip
    if not fits:
        raise refuse("JPEG XL", "uint8, uint16, float16 and float32, grey or RGB, with or without alpha", shown)
    old: _File | None = image.meta.get("jxl")
    how: dict[str, Any] = {}
    if data.dtype == np.uint16 and 8 < (bits := _exif.bits_of(image)) < 16:
        how["bitspersample"] = bits
        data = np.minimum(data, 2**bits - 1)  # what a denoiser may add to the brightest
    native = np.ascontiguousarray(data, data.dtype.newbyteorder("="))
    if count and shown.ndim == 2:
        native = native[..., None]
    if samples != 2:  # of grey with opacity the encoder would make frames
        how["photometric"] = "gray" if samples == 1 else "rgb"
    made = imagecodecs.jpegxl_encode(native, lossless=True, usecontainer=True, **how)
    codestream = _with_header(_parts(bytes(made))[0], image, old)
    path.write_bytes(SIGNATURE + b"".join(_boxes.boxed(*box) for box in _about(image, old, codestream)))


def create(path: Path, like: Image) -> None:
    """Return None: JPEG XL is compressed as a whole."""


def _parts(raw: bytes) -> tuple[bytes, list[_boxes.Box]]:
    """Return the codestream, and the boxes of its container if there is one."""
    if raw.startswith(BARE):
        return raw, []
    boxes = _boxes.boxes_of(raw)
    whole = _boxes.first(boxes, b"jxlc") or b"".join(body[4:] for kind, body in boxes if kind == b"jxlp")
    return whole, boxes


def _described(data: Array, header: _jxl_header.Header) -> tuple[Array, str, list[str]]:
    """Return the pixels, their axes, and what is to be said of them."""
    remarks = []
    colours = 1 if header.is_grey else 3
    alpha = header.extra[:1] == [_jxl_header.ALPHA_CHANNEL]
    height, width = header.size[::-1]
    plane = (height, width) if data.shape[-2:] == (height, width) else (height, width, data.shape[-1])
    if data.shape[data.ndim - len(plane) :] != plane or data.ndim - len(plane) not in (0, 1):
        raise FormatError(f"its pixels of shape {data.shape} do not fit its header, which says {width}x{height}")
    if len(header.extra) > alpha:
        remarks.append("of its channels only colours and opacity are read, and written again")
        if len(plane) == 3:
            data = data[..., : colours + alpha]
    declared = "T" * (data.ndim - len(plane)) + "YX" + "S" * (len(plane) - 2)
    if declared[0] == "T" and len(data) == 1:
        data, declared = data[0], declared[1:]
    if declared[0] == "T":
        remarks.append("how long each of its frames is shown is not read, and not written again")
    return data, declared, remarks


def _with_header(codestream: bytes, image: Image, old: _File | None) -> bytes:
    """Return the new codestream with the input's orientation and colours."""
    made = _jxl_header.parse(codestream)
    if old is None or old.header.is_grey != made.is_grey or old.header.has_profile:
        orientation = int((image.meta.get("embedded") or {}).get("orientation", 1))
        whole = image.data.dtype.kind in "bu"  # their custom is sRGB; floats are linear
        colours = (SRGB_GREY if made.is_grey else SRGB_COLOURS) if whole else made.colours
        return _jxl_header.joined(codestream, _jxl_header.Header(orientation=orientation, colours=colours))
    return _jxl_header.joined(codestream, old.header)


def _about(image: Image, old: _File | None, codestream: bytes) -> list[_boxes.Box]:
    """Return the boxes of the new file in their order."""
    boxes: list[_boxes.Box] = [(b"ftyp", FILE_TYPE), (b"jxll", LEVEL_10)]
    if old is not None:
        boxes += old.boxes
    else:
        carried = _exif.fitting(image, 3, turned=True)
        if "exif" in carried:
            boxes.append((b"Exif", bytes(4) + carried["exif"]))
        if "xmp" in carried:
            boxes.append((b"xml ", carried["xmp"]))
    if note := to_note(image.meta.get("hush")):
        boxes.append((NOTE_OF_JXL, note.encode("ascii")))
    return [*boxes, (b"jxlc", codestream)]


def _plain(box: _boxes.Box) -> _boxes.Box:
    """Return a box that may be compressed as what it is; damaged ones stay what they are."""
    import imagecodecs

    kind, body = box
    if kind != b"brob":
        return box
    try:
        return body[:4], bytes(imagecodecs.brotli_decode(body[4:]))
    except RuntimeError:
        return box
