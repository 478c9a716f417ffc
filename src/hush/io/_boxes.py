"""The boxes of ISO base media files (AVIF, HEIF) and of JPEG XL's container: a size, four letters, a content."""

from __future__ import annotations

import struct

from hush.core.errors import FormatError

Box = tuple[bytes, bytes]


def boxes_of(raw: bytes, at: int = 0) -> list[Box]:
    """Return kind and content of every box from a place on.

    Raises
    ------
    FormatError
        When a box ends behind the end of the bytes.

    Examples
    --------
    >>> boxes_of(boxed(b"free", b"abc") + boxed(b"skip", b""))
    [(b'free', b'abc'), (b'skip', b'')]
    """
    return [(kind, raw[start:end]) for kind, start, end in places_of(raw, at)]


def places_of(raw: bytes, at: int = 0) -> list[tuple[bytes, int, int]]:
    """Return kind, beginning and end of the content of every box from a place on."""
    found = []
    while at < len(raw):
        size, head = int.from_bytes(raw[at : at + 4], "big"), 8
        kind = raw[at + 4 : at + 8]
        if size == 1:  # a long one, whose size stands behind its kind
            size, head = int.from_bytes(raw[at + 8 : at + 16], "big"), 16
        if size == 0:  # the last one
            size = len(raw) - at
        if size < head or at + size > len(raw):
            name = kind.decode("latin-1")
            raise FormatError(f"it is cut short or damaged: its part {name!r} ends at byte {at + size} of {len(raw)}")
        found.append((kind, at + head, at + size))
        at += size
    return found


def boxed(kind: bytes, body: bytes) -> bytes:
    """Return a box."""
    if len(body) + 8 < 2**32:
        return struct.pack(">I", len(body) + 8) + kind + body
    return struct.pack(">I4sQ", 1, kind, len(body) + 16) + body


def first(boxes: list[Box], kind: bytes) -> bytes:
    """Return the content of the first box of a kind, empty where there is none."""
    return next((body for name, body in boxes if name == kind), b"")
