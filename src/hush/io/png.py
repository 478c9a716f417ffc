"""PNG: 8 and 16 bits exactly; colour profile, texts and pixel size are copied as they were."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hush.core.errors import FormatError
from hush.core.image import Array, Image
from hush.io import _exif
from hush.io._common import check_claim, flat, is_screen, refuse, settle_axes

SUFFIXES = (".png",)
MAGIC = (b"\x89PNG\r\n\x1a\n",)

# Chunks that stay true whatever the pixels become; tRNS, PLTE, sBIT, bKGD, hIST and animations do not. Others say it
# themselves: a small fourth letter is "safe to copy".
KEPT_CHUNKS = (b"iCCP", b"sRGB", b"gAMA", b"cHRM", b"cICP", b"mDCV", b"cLLI", b"sTER", b"oFFs", b"sCAL")
TEXT_CHUNKS = (b"tEXt", b"zTXt", b"iTXt")
DESCRIBED = (b"fcTL", b"fdAT", b"acTL", b"tRNS")  # of animations, which have small letters and are not kept; of opacity
XMP_WORD, PROFILE_WORD = "XML:com.adobe.xmp", b"ICC profile"
GREY, PALETTE = 0, 3  # colour types
SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
DEFLATED = 1032  # bytes that a byte becomes at most
LONGEST_TEXT = 2**24
PNG_MICRONS = {"nm": 1e-3, "µm": 1.0, "mm": 1e3, "cm": 1e4, "m": 1e6, "inch": 25400.0}

Chunk = tuple[bytes, bytes]


def read(path: Path, axes: str | None) -> Image:
    """Read the picture: a palette becomes its colours, single bits become booleans."""
    import imagecodecs

    raw = path.read_bytes()
    chunks = list(_chunks(raw))
    if chunks[0][0] != b"IHDR" or len(chunks[0][1]) != 13:
        raise FormatError("it is damaged: its header is missing")
    width, height, depth, colour = struct.unpack(">IIBB", chunks[0][1][:10])
    packed = sum(len(body) for kind, body in chunks if kind == b"IDAT")
    check_claim(height * -(-width * depth * SAMPLES.get(colour, 1) // 8), packed, DEFLATED, len(raw))
    kinds = {kind for kind, _ in chunks}
    data: Array = imagecodecs.png_decode(raw)
    if depth == 1 and colour == GREY and b"tRNS" not in kinds:
        data = data > 0
    chosen, _ = settle_axes(data.shape, axes, "YXS" if data.ndim == 3 else "YX")
    meta: dict[str, Any] = {"warnings": _remarks(kinds, depth, colour)}
    pixels = next((place for place, chunk in enumerate(chunks) if chunk[0] == b"IDAT"), len(chunks))
    kept = [(place < pixels or chunk[0] in TEXT_CHUNKS, chunk) for place, chunk in enumerate(chunks) if _stays(chunk)]
    meta["png"] = {
        "chunks": [one for before, one in kept if before],
        "after": [one for before, one in kept if not before],
    }
    meta["embedded"] = _embedded(chunks)
    texts = dict(_words(chunk) for chunk in chunks)
    meta["description"] = texts.get("Description", "")
    if "hush" in texts:
        meta["hush"] = _note(texts["hush"])
    scale = _scale(chunks)
    return Image(data, chosen, scale, "µm" if scale else None, meta)


def write(path: Path, image: Image) -> None:
    """Write grey, RGB, either with alpha, of 8 or 16 bits, or single bits."""
    data = flat(image, "PNG")
    holds = "8- and 16-bit whole numbers without sign (uint8, uint16) and bool, grey or RGB, with or without alpha"
    samples = data.shape[2] if data.ndim == 3 else 1
    fits = data.dtype == bool and samples == 1
    if data.dtype.kind == "u" and data.dtype.itemsize <= 2:
        fits = samples in (1, 3) or (samples in (2, 4) and image.alpha)
    if not fits:
        raise refuse("PNG", holds, data)
    chunks = _encode(data)
    pixels = next(i for i, chunk in enumerate(chunks) if chunk[0] == b"IDAT")
    chunks[1:pixels] = _about(image, samples)  # what the encoder adds of its own is not the file's
    chunks[-1:-1] = (image.meta.get("png") or {}).get("after", ())
    with path.open("wb") as file:
        file.write(MAGIC[0])
        for kind, body in chunks:
            file.write(struct.pack(">I", len(body)) + kind + body)
            file.write(struct.pack(">I", zlib.crc32(kind + body)))


def create(path: Path, like: Image) -> None:
    """Return None: PNG is compressed as a whole."""


def _chunks(raw: bytes) -> Iterator[Chunk]:
    """Yield kind and body of every chunk, checked; the last one is IEND."""
    at, kind = len(MAGIC[0]), b""
    while kind != b"IEND":
        length, kind = struct.unpack(">I4s", raw[at : at + 8]) if at + 8 <= len(raw) else (len(raw), b"")
        body, check = raw[at + 8 : at + 8 + length], raw[at + 8 + length : at + 12 + length]
        if len(check) != 4:
            raise FormatError(f"it is cut short: it ends at byte {len(raw)} without its last part")
        if zlib.crc32(kind + body) != int.from_bytes(check, "big"):
            raise FormatError(f"it is damaged: the checksum of its {kind.decode('latin-1')!r} part is wrong")
        yield kind, body
        at += 12 + length


def _encode(data: Array) -> list[Chunk]:
    """Return the chunks of a file that holds nothing but the pixels."""
    import imagecodecs

    if data.dtype != bool:
        return list(_chunks(bytes(imagecodecs.png_encode(data.astype(data.dtype.newbyteorder("="))))))
    height, width = data.shape
    rows = np.packbits(data, axis=1)
    plain = np.hstack([np.zeros((height, 1), np.uint8), rows])  # each row begins with filter 0: none
    header = struct.pack(">IIBBBBB", width, height, 1, GREY, 0, 0, 0)
    return [(b"IHDR", header), (b"IDAT", zlib.compress(plain.tobytes())), (b"IEND", b"")]


def _stays(chunk: Chunk) -> bool:
    """Whether a chunk is written again whatever the pixels have become."""
    kind = chunk[0]
    safe = bool(kind[3] & 0x20) and kind not in DESCRIBED
    return (kind in KEPT_CHUNKS or safe) and _words(chunk)[0] != "hush"


def _embedded(chunks: list[Chunk]) -> dict[str, Any]:
    """Return EXIF, colour profile and XMP, for files of other formats."""
    exif = next((body for kind, body in chunks if kind == b"eXIf"), b"")
    packed = next((body.partition(b"\0")[2][1:] for kind, body in chunks if kind == b"iCCP"), b"")
    try:
        icc = _inflated(packed) if packed else b""
    except zlib.error:
        icc = b""
    xmp = next((text for word, text in map(_words, chunks) if word == XMP_WORD), "")
    return _exif.embedded(exif, icc, xmp.encode("utf-8"))


def _carried(image: Image, samples: int) -> list[Chunk]:
    """Return the chunks of a file of another format: its EXIF, profile and XMP."""
    found, chunks = _exif.fitting(image, samples, in_exif=False), []
    if "icc" in found:
        chunks.append((b"iCCP", PROFILE_WORD + b"\0\0" + zlib.compress(found["icc"])))
    if "exif" in found:
        chunks.append((b"eXIf", found["exif"]))
    if "xmp" in found:
        chunks.append((b"iTXt", XMP_WORD.encode("ascii") + bytes(5) + found["xmp"]))
    return chunks


def _about(image: Image, samples: int) -> list[Chunk]:
    """Return the chunks between header and pixels: the input's own, and what changed."""
    old = image.meta.get("png")
    chunks: list[Chunk] = list(old["chunks"]) if old else _carried(image, samples)
    wanted = {axis: image.scale[axis] for axis in "XY" if axis in image.scale}
    said = _scale(chunks)
    microns = PNG_MICRONS.get(image.unit or "", 0.0)
    if len(wanted) == 2 and microns and (wanted != said or image.unit != "µm"):
        per_metre = [round(1e6 / (wanted[axis] * microns)) for axis in "XY"]
        if all(0 < value < 2**31 for value in per_metre):
            chunks = [chunk for chunk in chunks if chunk[0] != b"pHYs"]
            chunks.append((b"pHYs", struct.pack(">IIB", *per_metre, 1)))
    description = str(image.meta.get("description") or "")
    if description != dict(_words(chunk) for chunk in chunks).get("Description", ""):
        chunks = [chunk for chunk in chunks if _words(chunk)[0] != "Description"]
        if description:
            chunks.append((b"iTXt", b"Description\0\0\0\0\0" + description.encode("utf-8")))
    if image.meta.get("hush"):
        text = json.dumps(dict(image.meta["hush"]), default=str)
        chunks.append((b"tEXt", b"hush\0" + text.encode("ascii")))
    return chunks


def _words(chunk: Chunk) -> tuple[str, str]:
    """Return keyword and text of a text chunk, empty ones for other chunks and damaged texts."""
    kind, body = chunk
    key, _, rest = body.partition(b"\0")
    try:
        if kind == b"tEXt":
            return key.decode("latin-1"), rest.decode("latin-1")
        if kind == b"zTXt":
            return key.decode("latin-1"), _inflated(rest[1:]).decode("latin-1")
        if kind == b"iTXt":
            text = rest[2:].split(b"\0", 2)[2]  # after language and translated keyword
            return key.decode("latin-1"), (_inflated(text) if rest[0] else text).decode("utf-8")
    except (zlib.error, IndexError, UnicodeDecodeError):
        pass
    return "", ""


def _inflated(packed: bytes) -> bytes:
    """Decompress a text; no honest one is longer than some megabytes."""
    inflate = zlib.decompressobj()
    text = inflate.decompress(packed, LONGEST_TEXT)
    if not inflate.eof:
        raise zlib.error("too long, or cut short")
    return text


def _note(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _scale(chunks: list[Chunk]) -> dict[str, float]:
    """Return the pixel size in micrometres, if pHYs counts pixels a metre."""
    for kind, body in chunks:
        if kind == b"pHYs" and len(body) == 9 and body[8] == 1:
            x, y = struct.unpack(">II", body[:8])
            known = x and y and not (is_screen(1e6 / x) or is_screen(1e6 / y))
            return {"X": 1e6 / x, "Y": 1e6 / y} if known else {}
    return {}


def _remarks(kinds: set[bytes], depth: int, colour: int) -> list[str]:
    remarks = []
    if colour == PALETTE:
        remarks.append("its palette was replaced by the colours (RGB) it stands for")
    if colour == GREY and depth in (2, 4):
        remarks.append(f"its {depth} bits a pixel were widened to 8")
    if b"acTL" in kinds:
        remarks.append("it is animated, and only its first picture was read")
    return remarks
