"""WebP: 8-bit RGB with or without alpha, and animations; written without loss, and with its EXIF, profile and XMP.

A lossy file is written without loss as well: the denoised pixels are kept as they are, and the file grows.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np

from hush.core.errors import FormatError
from hush.core.image import Array, Image
from hush.io import _exif, _riff, _zarr_pieces
from hush.io._common import frames, from_note, refuse, settle_axes, to_note

SUFFIXES = (".webp",)
MAGIC_AT = 8
MAGIC = (b"WEBP",)

LONGEST_SIDE_OF_WEBP = 2**14 - 1
NOTE_OF_WEBP = b"hush"  # the format lets everybody add chunks
USUAL_DURATION = 100  # milliseconds of a frame
MARK_OF = {"icc": b"ICCP", "exif": b"EXIF", "xmp": b"XMP "}


def read(path: Path, axes: str | None) -> Image:
    """Read the picture as it is stored, or the frames of an animation as T, each as it is shown."""
    raw = path.read_bytes()
    chunks = _riff.chunks_of(raw)
    alpha = _riff.has_alpha(chunks)
    width, height = _riff.size_of(chunks)
    durations = [int.from_bytes(body[12:15], "little") for kind, body in chunks if kind == b"ANMF"]
    samples = 4 if alpha else 3
    if durations:
        data = _animated(path, (len(durations), height, width, samples))
    else:
        data = _single(raw, (height, width), alpha)
    declared = "TYXS" if durations else "YXS"
    if data.shape[0] == 1 and durations:
        data, declared = data[0], "YXS"
    chosen, _ = settle_axes(data.shape, axes, declared)
    found = {key: next((body for kind, body in chunks if kind == mark), b"") for key, mark in MARK_OF.items()}
    notes = [from_note(body.decode("utf-8", "replace")) for kind, body in chunks if kind == NOTE_OF_WEBP]
    meta: dict[str, Any] = {
        "embedded": _exif.embedded(found["exif"], found["icc"], found["xmp"]),
        "description": _exif.description_of(found["exif"]),
    }
    meta["webp"] = {
        "durations": durations,
        "exif": found["exif"],
        "anim": next((body for kind, body in chunks if kind == b"ANIM"), b""),
        "chunks": [c for c in chunks if c[0] not in (*_riff.PIXEL_CHUNKS, *MARK_OF.values(), NOTE_OF_WEBP)],
    }
    if notes and notes[-1]:
        meta["hush"] = notes[-1]
    seconds = durations[0] / 1000 if len(set(durations)) == 1 and durations[0] and "T" in chosen else 0.0
    return Image(data, chosen, {"T": seconds} if seconds else {}, None, meta)


def write(path: Path, image: Image) -> None:
    """Write 8-bit RGB or RGBA without loss; grey becomes three equal colours, T the frames of an animation."""
    data, count = frames(image, "WebP")
    shown = data[0] if count else data
    samples = shown.shape[2] if shown.ndim == 3 else 1
    if data.dtype != np.uint8 or not (samples in (1, 3) or (samples in (2, 4) and image.alpha)):
        raise refuse("WebP", "8-bit grey and RGB, either with alpha (uint8)", shown)
    height, width = shown.shape[:2]
    if max(width, height) > LONGEST_SIDE_OF_WEBP:
        raise FormatError(f"WebP holds {LONGEST_SIDE_OF_WEBP} pixels a side at most; write a .png or .tif file")
    alpha = samples in (2, 4)
    old = image.meta.get("webp") or {}
    pixels = [(b"VP8L", _packed(shown))]
    if count:
        durations = old.get("durations", [])
        if len(durations) != count:
            step = round(image.scale.get("T", 0.0) * 1000)
            durations = [min(step, 2**24 - 1) or USUAL_DURATION] * count
        pixels = [(b"ANIM", old.get("anim") or struct.pack("<IH", 0, 0))]  # a clear background, without end
        pixels += [
            (b"ANMF", _riff.frame(_packed(one), (width, height), shows))
            for one, shows in zip(data, durations, strict=True)
        ]
    carried = _exif.fitting(image, 3)
    if (written := old.get("exif", b"")).removeprefix(_exif.EXIF_MARK) == carried.get("exif"):
        carried["exif"] = written  # some writers put JPEG's mark before it
    others = [(mark, carried[key]) for key, mark in MARK_OF.items() if key in carried] + list(old.get("chunks", ()))
    if note := to_note(image.meta.get("hush")):
        others.append((NOTE_OF_WEBP, note.encode("ascii")))
    path.write_bytes(_riff.composed(pixels, others, (width, height), alpha))


def create(path: Path, like: Image) -> None:
    """Return None: WebP is compressed as a whole."""


def _single(raw: bytes, size: tuple[int, int], alpha: bool) -> Array:
    import imagecodecs

    if max(size) > LONGEST_SIDE_OF_WEBP:
        raise FormatError(f"it is damaged: its header says {size[1]}x{size[0]} pixels, more than WebP holds")
    data = imagecodecs.webp_decode(raw, hasalpha=alpha)
    if data.shape[:2] != size:
        raise FormatError(
            f"it is damaged: its header says {size[1]}x{size[0]} pixels, and it holds {data.shape[1::-1]}"
        )
    return data


def _animated(path: Path, shape: tuple[int, ...]) -> Array:
    """Return all frames as they are shown, one laid over the other."""
    from PIL import WebPImagePlugin

    data = _zarr_pieces.room(shape, np.dtype(np.uint8))
    with WebPImagePlugin.WebPImageFile(path) as picture:
        if getattr(picture, "n_frames", 1) != len(data):
            raise FormatError(f"it is damaged: it holds {len(data)} frames, and not all of them can be read")
        for place in range(len(data)):
            picture.seek(place)
            data[place] = np.asarray(picture.convert("RGBA" if shape[-1] == 4 else "RGB"))
    return data


def _packed(data: Array) -> bytes:
    """Return the content of a VP8L chunk: the pixels without loss, also where they are transparent."""
    import imagecodecs

    if data.ndim == 2:
        data = np.repeat(data[..., None], 3, -1)
    elif data.shape[-1] == 2:
        data = data[..., [0, 0, 0, 1]]
    raw = bytes(imagecodecs.webp_encode(np.ascontiguousarray(data), lossless=True))
    return next(body for kind, body in _riff.chunks_of(raw) if kind == b"VP8L")
