"""The ``meta`` box of an AVIF file: its items and their properties, read, and added to what an encoder wrote.

Format: ISO/IEC 14496-12 (iloc, iinf, iref) and 23008-12 (iprp).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from hush.core.errors import FormatError
from hush.io import _boxes
from hush.io._boxes import Box

XMP_TYPE = b"application/rdf+xml"
# Of a turned picture: quarter turns against the clock (irot), and the axis that is mirrored afterwards (imir).
TURNS: dict[int, tuple[int, int | None]] = {
    1: (0, None), 2: (0, 1), 3: (2, None), 4: (0, 0), 5: (1, 0), 6: (3, None), 7: (3, 0), 8: (1, None)
}  # fmt: skip
SAME_TURNS = {(1, 1): 7, (2, 1): 4, (2, 0): 2, (3, 1): 5}  # written otherwise
MADE_ANEW = (b"ispe", b"pixi", b"av1C", b"auxC", b"irot", b"imir", b"a1op", b"a1lx", b"lsel")
ESSENTIAL = (b"irot", b"imir", b"clap", b"av1C")  # who does not know these shows nothing


@dataclass
class Item:
    """An item: what it is, where its bytes are, and its properties."""

    kind: bytes = b""
    mime: bytes = b""
    method: int = 0  # 0: places in the file, 1: in the box idat
    extents: list[tuple[int, int]] = field(default_factory=list)
    properties: list[Box] = field(default_factory=list)


@dataclass
class Meta:
    """All items by number."""

    items: dict[int, Item] = field(default_factory=dict)
    primary: int = 0
    idat: bytes = b""
    references: list[tuple[bytes, int, list[int]]] = field(default_factory=list)

    @property
    def properties(self) -> list[Box]:
        """Of the picture that is shown."""
        return self.items[self.primary].properties if self.primary in self.items else []

    def content(self, raw: bytes, wanted: bytes) -> bytes:
        """Return an item that describes the picture: ``b"Exif"`` or ``b"XMP "``; empty where there is none."""
        described = {one for kind, one, to in self.references if kind == b"cdsc" and self.primary in to}
        for number, item in self.items.items():
            is_xmp = item.kind == b"mime" and item.mime == XMP_TYPE
            if number in described and (item.kind == wanted or (wanted == b"XMP " and is_xmp)):
                source = self.idat if item.method else raw
                return b"".join(source[at : at + size] for at, size in item.extents)
        return b""

    @property
    def orientation(self) -> int:
        """How the picture is to be turned, in EXIF's numbers."""
        turn, mirror = _boxes.first(self.properties, b"irot"), _boxes.first(self.properties, b"imir")
        asked = (turn[0] & 3 if turn else 0, mirror[0] & 1 if mirror else None)
        return next(
            (number for number, one in TURNS.items() if one == asked), SAME_TURNS.get((asked[0], asked[1] or 0), 1)
        )


class Reader:
    """Numbers of a box, one after the other."""

    def __init__(self, raw: bytes, at: int = 0) -> None:
        self.raw, self.at = raw, at

    def take(self, size: int) -> int:
        """Return the next number of so many bytes; 0 of none."""
        if self.at + size > len(self.raw):
            raise FormatError("it is damaged: its list of parts ends early")
        number = int.from_bytes(self.raw[self.at : self.at + size], "big")
        self.at += size
        return number

    def word(self) -> bytes:
        """Return the next letters, which end with a zero."""
        end = self.raw.find(b"\0", self.at)
        end = end if end >= 0 else len(self.raw)
        text = self.raw[self.at : end]
        self.at = end + 1
        return text


def parse(body: bytes) -> Meta:
    """Return what a ``meta`` box holds.

    Raises
    ------
    FormatError
        When it is damaged.
    """
    boxes = _boxes.boxes_of(body, 4)
    found = Meta(idat=_boxes.first(boxes, b"idat"))
    if primary := _boxes.first(boxes, b"pitm"):
        found.primary = Reader(primary, 4).take(2 if primary[0] == 0 else 4)
    if names := _boxes.first(boxes, b"iinf"):
        for kind, entry in _boxes.boxes_of(names, 6 if names[0] == 0 else 8):
            if kind == b"infe" and entry[0] >= 2:
                reader = Reader(entry, 4)
                item = found.items.setdefault(reader.take(2 if entry[0] == 2 else 4), Item())
                reader.take(2)
                item.kind = reader.take(4).to_bytes(4, "big")
                reader.word()
                item.mime = reader.word() if item.kind == b"mime" else b""
    if places := _boxes.first(boxes, b"iloc"):
        _locate(found, places)
    if lines := _boxes.first(boxes, b"iref"):
        wide = 2 if lines[0] == 0 else 4
        for kind, entry in _boxes.boxes_of(lines, 4):
            reader = Reader(entry)
            start = reader.take(wide)
            found.references.append((kind, start, [reader.take(wide) for _ in range(reader.take(2))]))
    _associate(found, _boxes.boxes_of(_boxes.first(boxes, b"iprp")))
    return found


def _locate(found: Meta, body: bytes) -> None:
    """Read iloc: where every item is."""
    version, reader = body[0], Reader(body, 4)
    sizes, more = reader.take(1), reader.take(1)
    offset, length, base, index = sizes >> 4, sizes & 15, more >> 4, more & 15 if version else 0
    for _ in range(reader.take(4 if version == 2 else 2)):
        item = found.items.setdefault(reader.take(4 if version == 2 else 2), Item())
        item.method = reader.take(2) & 15 if version else 0
        reader.take(2)
        start = reader.take(base)
        for _ in range(reader.take(2)):
            reader.take(index)
            at = reader.take(offset)
            item.extents.append((start + at, reader.take(length)))


def _associate(found: Meta, boxes: list[Box]) -> None:
    """Read iprp: which properties an item has."""
    held = _boxes.boxes_of(_boxes.first(boxes, b"ipco"))
    for kind, body in boxes:
        if kind != b"ipma":
            continue
        wide, reader = body[3] & 1, Reader(body, 4)
        for _ in range(reader.take(4)):
            item = found.items.setdefault(reader.take(2 if body[0] == 0 else 4), Item())
            for _ in range(reader.take(1)):
                number = reader.take(1 + wide) & (0x7FFF if wide else 0x7F)
                if 0 < number <= len(held):
                    item.properties.append(held[number - 1])


def turning(orientation: int) -> list[Box]:
    r"""Return the properties that turn a picture.

    Examples
    --------
    >>> turning(6)
    [(b'irot', b'\x03')]
    """
    turn, mirror = TURNS[orientation]
    found = [(b"irot", bytes([turn]))] if turn else []
    return found if mirror is None else [*found, (b"imir", bytes([mirror]))]


def extended(
    raw: bytes, properties: list[Box], described: list[tuple[bytes, bytes, bytes]], others: list[Box]
) -> bytes:
    """Return a file as libavif writes it, with more properties of its picture and items that describe it.

    Parameters
    ----------
    raw : bytes
        The file.
    properties : list of boxes
        For the picture.
    described : list of (kind, mime, content)
        Items.
    others : list of boxes
        Of the file itself, behind all others.
    """
    places = _boxes.places_of(raw)
    start, end = next((start, end) for kind, start, end in places if kind == b"meta")
    meta, boxes = parse(raw[start:end]), _boxes.boxes_of(raw[start:end], 4)
    first = max(meta.items) + 1
    body = _meta_box(boxes, meta, properties, described, first, 0, 0)
    grown = len(body) - (end - start)
    tail = _boxes.boxed(b"mdat", b"".join(content for _, _, content in described)) if described else b""
    body = _meta_box(boxes, meta, properties, described, first, grown, len(raw) + grown + 8)
    after = raw[end:]
    if grown and (movie := next(((a, b) for kind, a, b in places if kind == b"moov"), None)):
        moved = _moved(raw[movie[0] : movie[1]], grown)
        after = raw[end : movie[0]] + moved + raw[movie[1] :]
    return (
        raw[: start - 8] + _boxes.boxed(b"meta", body) + after + tail + b"".join(_boxes.boxed(*box) for box in others)
    )


def _meta_box(
    boxes: list[Box],
    meta: Meta,
    properties: list[Box],
    described: list[tuple[bytes, bytes, bytes]],
    first: int,
    grown: int,
    tail: int,
) -> bytes:
    """Return the content of the new box: pixels have moved by `grown` bytes, and new items begin at `tail`."""
    names, links = b"", b""
    places = [(number, [(at + grown, size) for at, size in item.extents]) for number, item in meta.items.items()]
    for number, (kind, mime, content) in enumerate(described, first):
        name = b"Exif\0" if kind == b"Exif" else b"XMP\0"
        entry = b"\2\0\0\1" + struct.pack(">HH", number, 0) + kind + name + (mime + b"\0" if mime else b"")
        names += _boxes.boxed(b"infe", entry)
        links += _boxes.boxed(b"cdsc", struct.pack(">HHH", number, 1, meta.primary))
        places.append((number, [(tail, len(content))]))
        tail += len(content)
    located = bytes(4) + b"\x44\0" + struct.pack(">H", len(places))
    for number, extents in places:
        located += struct.pack(">HHH", number, 0, len(extents))
        located += b"".join(struct.pack(">II", *extent) for extent in extents)
    new, had = b"", {kind for kind, _ in boxes}
    for kind, body in boxes:
        if kind == b"iloc":
            body = located
        elif kind == b"iinf":
            body = body[:4] + struct.pack(">H", int.from_bytes(body[4:6], "big") + len(described)) + body[6:] + names
        elif kind == b"iref":
            body += links
        elif kind == b"iprp":
            body = _properties(body, meta.primary, properties)
        new += _boxes.boxed(kind, body)
        if kind == b"iinf" and links and b"iref" not in had:
            new += _boxes.boxed(b"iref", bytes(4) + links)
    return bytes(4) + new


def _properties(body: bytes, primary: int, properties: list[Box]) -> bytes:
    """Return iprp with more properties of the primary item."""
    boxes = _boxes.boxes_of(body)
    held, said = _boxes.first(boxes, b"ipco"), _boxes.first(boxes, b"ipma")
    count = len(_boxes.boxes_of(held))
    numbers = [(count + place) | (0x80 if kind in ESSENTIAL else 0) for place, (kind, _) in enumerate(properties, 1)]
    reader, table = Reader(said, 4), b""
    entries = reader.take(4)
    for _ in range(entries):
        number, own = reader.take(2), [reader.take(1) for _ in range(reader.take(1))]
        own += numbers if number == primary else []
        table += struct.pack(">HB", number, len(own)) + bytes(own)
    held += b"".join(_boxes.boxed(*box) for box in properties)
    return _boxes.boxed(b"ipco", held) + _boxes.boxed(b"ipma", said[:8] + table)


def _moved(body: bytes, by: int) -> bytes:
    """Return a box of boxes in which every table of places in the file (stco) says them further on."""
    new = b""
    for kind, content in _boxes.boxes_of(body):
        if kind in (b"trak", b"mdia", b"minf", b"stbl"):
            content = _moved(content, by)
        elif kind == b"stco":
            count = int.from_bytes(content[4:8], "big")
            places = struct.unpack(f">{count}I", content[8 : 8 + 4 * count])
            content = content[:8] + struct.pack(f">{count}I", *(place + by for place in places))
        new += _boxes.boxed(kind, content)
    return new
