"""JPEG: pixels are encoded anew at quality 95 or the file's, if finer; EXIF, profile, XMP, comments are copied.

What is copied stays byte for byte the same, and a progressive file stays one, with its colours sampled as they were.
Its density is nearly always a default of the program that wrote it, so it is kept but not taken for a pixel size.
"""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np

from hush.core.errors import FormatError
from hush.core.image import Image
from hush.io import _exif
from hush.io._common import check_claim, flat, from_note, refuse, settle_axes, to_note

SUFFIXES = (".jpg", ".jpeg", ".jpe")
MAGIC = (b"\xff\xd8\xff",)

APP0, APP14, COMMENT, SCAN, END = 0xE0, 0xEE, 0xFE, 0xDA, 0xD9
FRAME_STARTS = (*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0))
DENSEST = 512  # pixels that a byte becomes at most: a block of 64 takes a bit
BODILESS = (0x00, 0x01, *range(0xD0, 0xD9))  # markers without a body; 0x00 is none
LONGEST_SIDE, LONGEST_SEGMENT = 65500, 65533
JPEG_QUALITY, NOT_SUBSAMPLED = 95, 0  # Pillow's numbers: of the tables, and of colours that are not subsampled (4:4:4)
APP1, APP2 = 0xE1, 0xE2
XMP_MARK, PROFILE_MARK = b"http://ns.adobe.com/xap/1.0/\0", b"ICC_PROFILE\0"

Segment = tuple[int, bytes]


def read(path: Path, axes: str | None) -> Image:
    """Read the picture as it is stored, not turned by its orientation tag."""
    from PIL import JpegImagePlugin

    raw = path.read_bytes()
    segments, _ = _segments(raw)
    for marker, body in segments:
        if marker in FRAME_STARTS and len(body) >= 5:
            height, width = struct.unpack(">HH", body[1:5])
            check_claim(height * width, len(raw), DENSEST, len(raw))
    # the class itself, not Image.open: no limit on the size of honest pictures
    with JpegImagePlugin.JpegImageFile(path) as picture:
        data = np.array(picture)
        coded = {
            "progressive": bool(picture.info.get("progressive")),
            "subsampling": max(NOT_SUBSAMPLED, JpegImagePlugin.get_sampling(picture)),
            "tables": dict(picture.quantization),
        }
    chosen, _ = settle_axes(data.shape, axes, "YXS" if data.ndim == 3 else "YX")
    remarks = []
    kept = [s for s in segments if (0xE0 <= s[0] <= 0xEF and s[0] != APP14) or s[0] == COMMENT]
    if any(_is_index(s) for s in kept):
        remarks.append("it holds several pictures, and only the first was read")
        kept = [s for s in kept if not _is_index(s)]
    notes = [note for s in kept if s[0] == COMMENT and (note := from_note(_text(s)))]
    kept = [s for s in kept if not (s[0] == COMMENT and from_note(_text(s)))]
    comment = "\n".join(_text(s) for s in kept if s[0] == COMMENT)
    found = _embedded(kept)
    description = comment or _exif.description_of(found.get("exif", b""))
    meta: dict[str, Any] = {"warnings": remarks, "description": description, "embedded": found}
    meta["jpeg"] = {
        "segments": kept,
        "adobe": any(marker == APP14 for marker, _ in segments),
        "description": description,
        **coded,
    }
    if notes:
        meta["hush"] = notes[-1]
    if data.ndim == 3 and data.shape[2] == 4 and "S" in chosen:
        meta |= {"alpha": False, "cmyk": True}
    return Image(data, chosen, meta=meta)


def write(path: Path, image: Image) -> None:
    """Write 8-bit grey, RGB or CMYK: colours as the input's are sampled, else at full resolution (4:4:4)."""
    from PIL import Image as Pillow

    data = flat(image, "JPEG")
    samples = data.shape[2] if data.ndim == 3 else 1
    if data.dtype != np.uint8 or not (samples in (1, 3) or (samples == 4 and image.meta.get("cmyk"))):
        raise refuse("JPEG", "8-bit grey, RGB and CMYK without opacity (uint8)", data)
    if max(data.shape[:2]) > LONGEST_SIDE:
        raise FormatError(f"JPEG holds {LONGEST_SIDE} pixels a side at most; write a .png or .tif file")
    encoded = io.BytesIO()
    mode = {1: "L", 3: "RGB", 4: "CMYK"}[samples]
    size = (data.shape[1], data.shape[0])
    Pillow.frombytes(mode, size, data.tobytes()).save(encoded, "JPEG", **_coding(image.meta.get("jpeg"), mode))
    made, scan = _segments(encoded.getvalue())
    with path.open("wb") as file:
        file.write(b"\xff\xd8")
        for marker, body in _merge(made, image):
            file.write(struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body)
        file.write(scan)


def create(path: Path, like: Image) -> None:
    """Return None: JPEG is compressed as a whole."""


def _coding(old: dict[str, Any] | None, mode: str) -> dict[str, Any]:
    """Return how pixels are coded: as the input was, and never coarser than at quality 95."""
    from PIL import Image as Pillow
    from PIL import JpegImagePlugin

    if old is None:
        return {"quality": JPEG_QUALITY, "subsampling": NOT_SUBSAMPLED}
    usual = io.BytesIO()
    Pillow.new(mode, (8, 8)).save(usual, "JPEG", quality=JPEG_QUALITY)
    usual.seek(0)
    with JpegImagePlugin.JpegImageFile(usual) as picture:
        tables = picture.quantization
    finer = [
        [min(pair) for pair in zip(table, old["tables"].get(key, table), strict=True)] for key, table in tables.items()
    ]
    subsampling = old["subsampling"] if mode == "RGB" else NOT_SUBSAMPLED
    return {"qtables": finer, "subsampling": subsampling, "progressive": old["progressive"]}


def _embedded(segments: list[Segment]) -> dict[str, Any]:
    """Return EXIF, colour profile and XMP, for files of other formats."""
    exif = next((body for marker, body in segments if marker == APP1 and body.startswith(_exif.EXIF_MARK)), b"")
    xmp = next((body for marker, body in segments if marker == APP1 and body.startswith(XMP_MARK)), b"")
    pieces = [body for marker, body in segments if marker == APP2 and body.startswith(PROFILE_MARK)]
    pieces.sort(key=lambda body: body[len(PROFILE_MARK) : len(PROFILE_MARK) + 1])  # numbered from 1
    icc = b"".join(body[len(PROFILE_MARK) + 2 :] for body in pieces)
    return _exif.embedded(exif, icc, xmp.removeprefix(XMP_MARK))


def _carried(image: Image, made: list[Segment]) -> list[Segment]:
    """Return the segments of a file of another format: its EXIF, profile and XMP, as far as JPEG holds them."""
    samples = next(body[5] for marker, body in made if marker in FRAME_STARTS)
    found = _exif.fitting(image, samples, in_exif=False)
    segments: list[Segment] = []
    if "exif" in found and len(found["exif"]) + len(_exif.EXIF_MARK) <= LONGEST_SEGMENT:
        segments.append((APP1, _exif.EXIF_MARK + found["exif"]))
    if "xmp" in found and len(found["xmp"]) + len(XMP_MARK) <= LONGEST_SEGMENT:
        segments.append((APP1, XMP_MARK + found["xmp"]))
    step = LONGEST_SEGMENT - len(PROFILE_MARK) - 2
    pieces = [found["icc"][at : at + step] for at in range(0, len(found.get("icc", b"")), step)]
    if len(pieces) < 256:
        segments += [(APP2, PROFILE_MARK + bytes([n, len(pieces)]) + piece) for n, piece in enumerate(pieces, 1)]
    return segments


def _segments(raw: bytes) -> tuple[list[Segment], bytes]:
    """Return the segments before the first scan, and the rest of the file."""
    found: list[Segment] = []
    at = 2
    while at + 4 <= len(raw):
        marker = raw[at + 1]
        if raw[at] != 0xFF or marker == 0xFF:  # stray byte between markers, as decoders pass over; fill byte
            at += 1
            continue
        if marker in BODILESS:
            at += 2
            continue
        if marker in (SCAN, END):
            return found, raw[at:]
        length = int.from_bytes(raw[at + 2 : at + 4], "big")
        found.append((marker, raw[at + 4 : at + 2 + length]))
        at += 2 + length
    raise FormatError(f"it is cut short: it ends at byte {len(raw)} before its pixels")


def _merge(made: list[Segment], image: Image) -> list[Segment]:
    """Put the input's own segments in the place of the encoder's general ones."""
    old = image.meta.get("jpeg")
    tables = [s for s in made if not 0xE0 <= s[0] <= 0xEF]
    adobe = [s for s in made if s[0] == APP14 and (old is None or old["adobe"])]
    kept = list(old["segments"]) if old else [s for s in made if s[0] == APP0] + _carried(image, made)
    description = str(image.meta.get("description") or "")
    said = old["description"] if old else _exif.description_of(bytes(image.meta.get("embedded", {}).get("exif", b"")))
    if description != said:
        kept = [s for s in kept if s[0] != COMMENT]
        if description:
            kept.append((COMMENT, description.encode("utf-8")[:LONGEST_SEGMENT]))
    note = to_note(image.meta.get("hush")).encode("ascii")
    if note and len(note) <= LONGEST_SEGMENT:
        kept.append((COMMENT, note))
    kept.sort(key=lambda s: s[0] != APP0)  # JFIF wants to be first
    return kept + adobe + tables


def _text(segment: Segment) -> str:
    return segment[1].decode("utf-8", "replace").strip("\0")


def _is_index(segment: Segment) -> bool:
    """Tell whether a segment points to further pictures behind the first (MPF)."""
    return segment[0] == 0xE2 and segment[1].startswith(b"MPF\0")
