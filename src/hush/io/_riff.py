"""The chunks of a WebP file: taken apart, and put together around new pixels."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from hush.core.errors import FormatError

Chunk = tuple[bytes, bytes]

ANIMATED, HAS_XMP, HAS_EXIF, HAS_ALPHA, HAS_ICC = 0x02, 0x04, 0x08, 0x10, 0x20  # flags of VP8X
KEPT_WHOLE = 0x02  # flag of a frame: it replaces what is below, and is not laid over it
PIXEL_CHUNKS = (b"VP8X", b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF")


def chunks_of(raw: bytes) -> list[Chunk]:
    """Return kind and content of every chunk of a file.

    Raises
    ------
    FormatError
        When it ends before it says it does.
    """
    end = int.from_bytes(raw[4:8], "little") + 8
    if raw[8:12] != b"WEBP" or end < 20:
        raise FormatError("it is damaged: it says WebP nowhere")
    if end > len(raw) + end % 2:  # some writers count a last byte of padding that they do not write
        raise FormatError(f"it is cut short: it ends at byte {len(raw)} of {end}")
    found, at = [], 12
    while at + 8 <= min(end, len(raw)):
        kind, size = raw[at : at + 4], int.from_bytes(raw[at + 4 : at + 8], "little")
        body = raw[at + 8 : at + 8 + size]
        if len(body) < size:
            raise FormatError(f"it is cut short: its part {kind.decode('latin-1')!r} has {len(body)} bytes of {size}")
        found.append((kind, body))
        at += 8 + size + size % 2
    if not any(kind in PIXEL_CHUNKS for kind, _ in found):
        raise FormatError("it holds no picture")
    return found


def size_of(chunks: Sequence[Chunk]) -> tuple[int, int]:
    """Return width and height of the picture.

    Examples
    --------
    >>> size_of([(b"VP8X", bytes(4) + bytes([29, 0, 0, 19, 0, 0]))])
    (30, 20)
    """
    kind, body = next(chunk for chunk in chunks if chunk[0] in PIXEL_CHUNKS)
    if kind == b"VP8X" and len(body) >= 10:
        return int.from_bytes(body[4:7], "little") + 1, int.from_bytes(body[7:10], "little") + 1
    if kind == b"VP8L" and len(body) >= 5:
        bits = int.from_bytes(body[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 " and len(body) >= 10:
        width, height = struct.unpack("<HH", body[6:10])
        return width & 0x3FFF, height & 0x3FFF
    raise FormatError("it is damaged: its size is missing")


def has_alpha(chunks: Sequence[Chunk]) -> bool:
    """Whether its header says that pixels have an opacity, even if all are opaque."""
    kind, body = next(chunk for chunk in chunks if chunk[0] in PIXEL_CHUNKS)
    if kind == b"VP8X":
        return bool(body[0] & HAS_ALPHA)
    return kind == b"VP8L" and bool(body[4] & 0x10)


def frame(body: bytes, size: tuple[int, int], duration: int) -> bytes:
    """Return the content of an ANMF chunk: a lossless picture that fills the canvas, shown for some milliseconds."""
    sides = b"".join((side - 1).to_bytes(3, "little") for side in size)
    head = bytes(6) + sides + duration.to_bytes(3, "little") + bytes([KEPT_WHOLE])
    return head + _packed((b"VP8L", body))


def composed(pixels: Sequence[Chunk], others: Sequence[Chunk], size: tuple[int, int], alpha: bool) -> bytes:
    """Return a file of these parts, in the order that the format asks for.

    Parameters
    ----------
    pixels : sequence of chunks
        One VP8L, or ANIM and the ANMF.
    others : sequence of chunks
        ICCP, EXIF, XMP and whatever else.
    size : (int, int)
        Width and height.
    alpha : bool
        Whether pixels have an opacity.
    """
    kinds = {kind for kind, _ in others}
    flags = HAS_ALPHA * alpha | ANIMATED * (pixels[0][0] == b"ANIM")
    flags |= HAS_ICC * (b"ICCP" in kinds) | HAS_EXIF * (b"EXIF" in kinds) | HAS_XMP * (b"XMP " in kinds)
    sides = b"".join((side - 1).to_bytes(3, "little") for side in size)
    head = (b"VP8X", bytes([flags, 0, 0, 0]) + sides)
    first = [chunk for chunk in others if chunk[0] == b"ICCP"]
    last = [chunk for kind in (b"EXIF", b"XMP ") for chunk in others if chunk[0] == kind]
    rest = [chunk for chunk in others if chunk[0] not in (b"ICCP", b"EXIF", b"XMP ")]
    body = b"WEBP" + b"".join(_packed(chunk) for chunk in (head, *first, *pixels, *last, *rest))
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _packed(chunk: Chunk) -> bytes:
    kind, body = chunk
    return kind + struct.pack("<I", len(body)) + body + bytes(len(body) % 2)
