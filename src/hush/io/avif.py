"""AVIF: 8, 10 and 12 bits, grey or RGB, alpha, sequences; written without loss, with its EXIF, profile and XMP.

A lossy file is written without loss as well: the denoised pixels are kept as they are, and the file grows.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from hush.core.errors import FormatError
from hush.core.image import Array, Image
from hush.io import _boxes, _exif, _heif_meta
from hush.io._common import check_claim, frames, from_note, refuse, settle_axes, to_note

SUFFIXES = (".avif", ".avifs")
MAGIC_AT = 4
MAGIC = (b"ftypavif", b"ftypavis", b"ftypmif1", b"ftypmsf1")

PACKED_AVIF = 10**6  # bytes that a byte becomes at most: blocks of 128x128 that are like their neighbours take a bit
NOTE_OF_AVIF = b"hush\0\0\0\1hush\0\0\0\1"  # a uuid: everybody may add boxes under one
OPAQUE_IN_AVIF = b"hush\0\0\0\2hush\0\0\0\2"  # the encoder leaves out an opacity that is full everywhere
IDENTITY, UNSPECIFIED = 0, 2  # codes of the colours: what is coded is R, G, B itself; nobody knows
DEPTHS_OF_AVIF = (10, 12)
AVIF_SPEED = 6  # of 10: without loss, slower ones hardly save bytes


def read(path: Path, axes: str | None) -> Image:
    """Read the picture as it is stored, not turned; of a sequence the frames are T. 10 and 12 bits come as uint16."""
    import imagecodecs

    raw = path.read_bytes()
    boxes = _boxes.boxes_of(raw)
    body = _boxes.first(boxes, b"meta")
    if not body:
        raise FormatError("it holds no picture: its list of parts (meta) is missing")
    meta = _heif_meta.parse(body)
    size = _boxes.first(meta.properties, b"ispe")
    if len(size) == 12:
        width, height = int.from_bytes(size[4:8], "big"), int.from_bytes(size[8:12], "big")
        check_claim(width * height, len(raw), PACKED_AVIF, len(raw))
    data = np.asarray(imagecodecs.avif_decode(raw))
    if any(kind == b"uuid" and body == OPAQUE_IN_AVIF for kind, body in boxes):
        data = _with_opacity(data, 2 ** (_bits(meta) or 8) - 1)
    data, declared, remarks = _described(data, raw, boxes, meta)
    chosen, _ = settle_axes(data.shape, axes, declared)
    exif = meta.content(raw, b"Exif")
    exif = exif[4 + int.from_bytes(exif[:4], "big") :]
    icc = next((body[4:] for kind, body in meta.properties if kind == b"colr" and body[:4] in (b"prof", b"rICC")), b"")
    found = _exif.embedded(exif, icc, meta.content(raw, b"XMP "), meta.orientation)
    if data.dtype == np.uint16:
        found["bits"] = _bits(meta) or 12
    about: dict[str, Any] = {"warnings": remarks, "description": _exif.description_of(exif), "embedded": found}
    about["avif"] = {
        "properties": [one for one in meta.properties if one[0] not in (*_heif_meta.MADE_ANEW, b"colr")],
        "codes": _codes(meta),
        "size": data.shape[-2:] if declared.endswith("X") else data.shape[-3:-1],
        "boxes": [box for box in boxes if box[0] == b"uuid" and not box[1].startswith((NOTE_OF_AVIF, OPAQUE_IN_AVIF))],
    }
    for kind, body in boxes:
        if (
            kind == b"uuid"
            and body.startswith(NOTE_OF_AVIF)
            and (note := from_note(body[16:].decode("utf-8", "replace")))
        ):
            about["hush"] = note
    return Image(data, chosen, meta=about)


def write(path: Path, image: Image) -> None:
    """Write the picture without loss (4:4:4, R, G and B as they are); T becomes the frames of a sequence."""
    import imagecodecs

    data, count = frames(image, "AVIF")
    shown = data[0] if count else data
    samples = shown.shape[2] if shown.ndim == 3 else 1
    bits = 8 if data.dtype == np.uint8 else _exif.bits_of(image)
    fits = data.dtype in (np.uint8, np.uint16) and bits in (8, *DEPTHS_OF_AVIF)
    if not fits or not (samples in (1, 3) or (samples in (2, 4) and image.alpha)):
        raise refuse("AVIF", "8 bits (uint8), and 10 or 12 where the input says so, grey or RGB, or with alpha", shown)
    if data.dtype == np.uint16:
        data = np.minimum(data, 2**bits - 1)  # what a denoiser may add to the brightest
    old = image.meta.get("avif") or {}
    primaries, transfer = old.get("codes", (UNSPECIFIED, UNSPECIFIED))
    how: dict[str, Any] = {"pixelformat": "400"} if samples < 3 else {"pixelformat": "444", "matrix": IDENTITY}
    if count and shown.ndim == 2:
        data = data[..., None]
    native = np.ascontiguousarray(data, data.dtype.newbyteorder("="))
    made = bytes(imagecodecs.avif_encode(
        native, level=100, speed=AVIF_SPEED, bitspersample=bits, primaries=primaries, transfer=transfer, **how
    ))  # fmt: skip
    path.write_bytes(_extended(made, image, old, samples, shown.shape[:2]))


def create(path: Path, like: Image) -> None:
    """Return None: AVIF is compressed as a whole."""


def _extended(made: bytes, image: Image, old: dict[str, Any], samples: int, size: tuple[int, ...]) -> bytes:
    """Return the encoder's file with what else the input carried."""
    carried = _exif.fitting(image, samples, turned=True)
    properties = list(old.get("properties", ()))
    if tuple(old.get("size", ())) != tuple(size):
        properties = [one for one in properties if one[0] != b"clap"]  # a part of another size
    if "icc" in carried:
        properties.append((b"colr", b"prof" + carried["icc"]))
    properties += _heif_meta.turning(carried.get("orientation", 1))
    described = [(b"Exif", b"", bytes(4) + carried["exif"])] if "exif" in carried else []
    described += [(b"mime", _heif_meta.XMP_TYPE, carried["xmp"])] if "xmp" in carried else []
    others = list(old.get("boxes", ()))
    if samples in (2, 4) and not any(one.kind == b"av01" for n, one in _items(made).items() if n > 1):
        others.append((b"uuid", OPAQUE_IN_AVIF))
    if note := to_note(image.meta.get("hush")):
        others.append((b"uuid", NOTE_OF_AVIF + note.encode("ascii")))
    return _heif_meta.extended(made, properties, described, others)


def _described(data: Array, raw: bytes, boxes: list[_boxes.Box], meta: _heif_meta.Meta) -> tuple[Array, str, list[str]]:
    """Return the pixels, their axes, and what is to be said of them."""
    is_sequence = any(kind == b"moov" for kind, _ in boxes)
    declared = {2: "YX", 3: "TYX" if is_sequence and data.shape[-1] > 4 else "YXS", 4: "TYXS"}[data.ndim]
    if declared[0] == "T" and len(data) == 1:
        data, declared = data[0], declared[1:]
    remarks = []
    if declared[0] == "T":
        remarks.append("how long each of its frames is shown is not read, and not written again")
    used = {meta.primary} | {one for kind, one, to in meta.references if kind == b"auxl" and meta.primary in to}
    used |= {one for kind, start, to in meta.references if kind == b"dimg" and start in used for one in to}
    pictures = [number for number, item in meta.items.items() if item.kind in (b"av01", b"grid", b"tmap", b"sato")]
    more = [number for number in pictures if number not in used]
    maps = [one for number in used - {meta.primary} for one in meta.items[number].properties if one[0] == b"auxC"]
    gains = sum(b"gainmap" in body for _, body in maps)
    if more or gains:
        remarks.append("it holds more than one picture (a gain map, further bits, or others); only the first was read")
    return data, declared, remarks


def _items(raw: bytes) -> dict[int, _heif_meta.Item]:
    return _heif_meta.parse(_boxes.first(_boxes.boxes_of(raw), b"meta")).items


def _with_opacity(data: Array, top: int) -> Array:
    """Return the pixels with a last sample that is `top` everywhere; grey ones (Y, X) become (Y, X, S)."""
    data = data if data.shape[-1] == 3 else data[..., None]
    return np.concatenate([data, np.full_like(data[..., :1], top)], -1)


def _bits(meta: _heif_meta.Meta) -> int:
    """Return the bits of a sample, 0 where the file does not say them."""
    body = _boxes.first(meta.properties, b"pixi")
    return body[5] if len(body) > 5 else 0


def _codes(meta: _heif_meta.Meta) -> tuple[int, int]:
    """Return the codes of primaries and transfer (ITU-T H.273)."""
    for kind, body in meta.properties:
        if kind == b"colr" and body[:4] == b"nclx" and len(body) >= 8:
            return int.from_bytes(body[4:6], "big"), int.from_bytes(body[6:8], "big")
    return UNSPECIFIED, UNSPECIFIED
