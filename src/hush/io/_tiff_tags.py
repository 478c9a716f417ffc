"""Tags that hush does not make itself: read as the bytes they are, and put into the written file again."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

import numpy as np

if TYPE_CHECKING:
    from tifffile import TiffFile

    Place = tuple[TiffFile, int] | None  # a page's file, and where in it the page stands; None: it is missing

SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
PIECES = {5: 4, 10: 4}  # fractions are two numbers of four bytes

IFD, IFD8 = 13, 18
FOLDERS = (400, 34665, 34853, 40965)  # tags that point to a list of tags: EXIF, GPS and the like

# What says how pixels are stored: the written file has its own.
LAYOUT = {
    254, 255, 256, 257, 258, 259, 262, 263, 264, 265, 266, 273, 277, 278, 279, 282, 283, 284, 288, 289, 292, 293,
    296, 317, 320, 321, 322, 323, 324, 325, 326, 327, 328, 330, 338, 339, 347, *range(512, 522), 529, 530, 531, 532,
    32995, 32996, 32997, 32998,
}  # fmt: skip
TEXTS = {270, 305}  # description and software: hush writes those of the first page itself
IMAGEJ = {50838, 50839}  # hush writes ImageJ's own
# What is true of the very numbers: the least and the largest, curves of grey. Left out when the numbers change.
NUMBERS = {280, 281, 290, 291, 301, 340, 341}
# Places in the old file (MetaMorph, LSM, Olympus), Photoshop's layers (the old pixels): cannot be copied.
LOST = {33628, 33629, 33630, 33631, 34412, 33560, 37724}

DEEPEST = 4  # lists of tags in lists of tags


class Readable(Protocol):
    """An open file, Python's or tifffile's."""

    def seek(self, offset: int, /) -> int:
        """Go to a place."""

    def read(self, size: int, /) -> bytes:
        """Return that many bytes from there."""


@dataclass(frozen=True)
class Tag:
    """One tag: code, type and value as they stand in the file; of a list of tags those inside."""

    code: int
    kind: int
    body: bytes
    inside: tuple[Tag, ...] = ()


@dataclass(frozen=True)
class Form:
    """Byte order of a file, and whether its offsets have four bytes or eight (BigTIFF)."""

    order: str
    big: bool

    @property
    def offset(self) -> str:
        """How an offset is packed."""
        return self.order + ("Q" if self.big else "I")

    @property
    def count(self) -> str:
        """How the number of tags of a list is packed."""
        return self.order + ("Q" if self.big else "H")


def read(file: Readable, form: Form, at: int, depth: int = 0) -> tuple[Tag, ...]:
    """Return the tags of the list at `at`; what is damaged or leads out of the file is left out."""
    found = []
    width = struct.calcsize(form.offset)
    for code, kind, count, value in _entries(file, form, at)[0]:
        size = SIZES.get(kind, 0) * count
        inside: tuple[Tag, ...] = ()
        if not size:
            continue
        if size > width:
            file.seek(struct.unpack(form.offset, value)[0])
            value = file.read(size) if size <= 2**31 else b""
        body = value[:size]
        if len(body) < size:
            continue
        if code in FOLDERS and count == 1 and depth < DEEPEST:
            inside = read(file, form, int.from_bytes(body, "little" if form.order == "<" else "big"), depth + 1)
        found.append(Tag(code, kind, body, inside))
    return tuple(found)


def of_pages(places: Iterable[Place], order: str) -> list[tuple[Tag, ...]]:
    """Return all tags of each page of a series; equal lists are held once."""
    seen: dict[tuple[Tag, ...], tuple[Tag, ...]] = {}
    found = []
    for place in places:
        tags: tuple[Tag, ...] = ()
        if place is not None and place[0].byteorder == order:  # a series may be spread over files
            tags = _of_file(place[0], Form(order, place[0].is_bigtiff), place[1])
        found.append(seen.setdefault(tags, tags))
    return found


def _of_file(tif: TiffFile, form: Form, at: int) -> tuple[Tag, ...]:
    """Return the tags of a page; tifffile has closed the other files of a series that is spread over several."""
    handle = tif.filehandle
    if not handle.closed:
        return read(handle, form, at)
    handle.open()
    try:
        return read(handle, form, at)
    finally:
        handle.close()


def kept(tags: Iterable[Tag], first: bool) -> tuple[Tag, ...]:
    """Return the tags of a page that are to be written again."""
    own = LAYOUT | LOST | (TEXTS if first else set())
    return tuple(tag for tag in tags if tag.code not in own and (tag.inside or not _points(tag)))


def lost(tags: Iterable[Tag]) -> list[int]:
    """Return the codes of tags that cannot be written again."""
    return [
        tag.code for tag in tags if tag.code in LOST or (tag.code not in LAYOUT and _points(tag) and not tag.inside)
    ]


def graft(path: Path, pages: Sequence[tuple[Tag, ...]], order: str, leave_out: set[int]) -> None:
    """Add to each page of a written file the tags that it lacks; `order` is the byte order of `pages`."""
    with path.open("r+b") as file:
        form, pointer = _start(file)
        many = _count_pages(file, form, pointer)
        for tags in pages if len(pages) == many else pages[:1]:
            at = _number(file, form, pointer)
            entries, following = _entries(file, form, at)
            there = {code for code, *_ in entries}
            new = [tag for tag in tags if tag.code not in there | leave_out]
            swap = (lambda tag: tag.body) if order == form.order else _swapped
            if new:
                place = _write(file, form, entries, new, swap, following)
                file.seek(pointer)
                file.write(struct.pack(form.offset, place))
                at = place
            pointer = at + struct.calcsize(form.count) + (20 if form.big else 12) * (len(entries) + len(new))


def _points(tag: Tag) -> bool:
    return tag.code in FOLDERS or tag.kind in (IFD, IFD8)


def _start(file: Readable) -> tuple[Form, int]:
    """Return the form of a file, and where it says where its first page is."""
    file.seek(0)
    head = file.read(4)
    form = Form("<" if head[:2] == b"II" else ">", 43 in head[2:4])
    return form, 8 if form.big else 4


def _number(file: Readable, form: Form, at: int) -> int:
    file.seek(at)
    return int(struct.unpack(form.offset, file.read(struct.calcsize(form.offset)))[0])


def _entries(file: Readable, form: Form, at: int) -> tuple[list[tuple[int, int, int, bytes]], int]:
    """Return code, type, count and four or eight bytes of every tag of a list, and where the next list is."""
    width = struct.calcsize(form.offset)
    file.seek(at)
    head = file.read(struct.calcsize(form.count))
    if at < 8 or len(head) < struct.calcsize(form.count):
        return [], 0
    number, size = struct.unpack(form.count, head)[0], 4 + 2 * width
    raw = file.read(min(number, 65536) * size + width)
    whole = [raw[i : i + size] for i in range(0, min(number, 65536) * size, size)]
    found = [
        (*struct.unpack(form.order + "HH" + form.offset[1], entry[:-width]), entry[-width:])
        for entry in whole
        if len(entry) == size
    ]
    following = raw[number * size :]
    return found, struct.unpack(form.offset, following)[0] if len(following) == width else 0


def _count_pages(file: Readable, form: Form, pointer: int) -> int:
    many, at = 0, _number(file, form, pointer)
    while at:
        many += 1
        at = _entries(file, form, at)[1]
    return many


def _write(
    file: BinaryIO,
    form: Form,
    entries: Sequence[tuple[int, int, int, bytes]],
    new: Sequence[Tag],
    swap: Callable[[Tag], bytes],
    following: int,
) -> int:
    """Append a list of old entries and new tags to the file; return where it stands."""
    width = struct.calcsize(form.offset)
    whole = list(entries)
    for tag in new:
        kind, body = tag.kind, swap(tag)
        if tag.inside:
            kind = tag.kind if SIZES[tag.kind] == width else IFD8 if form.big else IFD
            body = struct.pack(form.offset, _write(file, form, (), tag.inside, swap, 0))
        count = len(body) // SIZES[kind]
        if len(body) > width:
            body = struct.pack(form.offset, _append(file, body))
        whole.append((tag.code, kind, count, body.ljust(width, b"\0")))
    whole.sort(key=lambda entry: entry[0])
    packed = b"".join(struct.pack(form.order + "HH" + form.offset[1], *e[:3]) + e[3] for e in whole)
    return _append(file, struct.pack(form.count, len(whole)) + packed + struct.pack(form.offset, following))


def _append(file: BinaryIO, body: bytes) -> int:
    """Write at the end of the file, at an even place as the standard wants; return where."""
    at = file.seek(0, 2)
    at += file.write(b"\0" * (at % 2))
    file.write(body)
    return at


def _swapped(tag: Tag) -> bytes:
    """Return the value in the other byte order."""
    size = PIECES.get(tag.kind, SIZES[tag.kind])
    return np.frombuffer(tag.body, f"u{size}").byteswap().tobytes() if size > 1 else tag.body
