"""The lists of tags of a DNG, changed where they stand: every byte that is not spoken of stays at its place.

Notes of camera makers hold places in the file, so a DNG is never laid out anew.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from hush.core.errors import FormatError
from hush.io._tiff_tags import IFD, IFD8, PIECES, SIZES, Form

SUB_IFDS = 330
MOST_FOLDERS = 64  # lists of tags; more of them are a loop
SIGNS = {1: "B", 3: "H", 4: "I", 5: "I", 6: "b", 7: "B", 8: "h", 9: "i", 10: "i", 11: "f", 12: "d", 13: "I",
         16: "Q", 17: "q", 18: "Q"}  # fmt: skip


@dataclass
class Folder:
    """One list of tags: where it stands, where its place is stated, and the four or eight bytes of each tag.

    Attributes
    ----------
    at, pointer : int
        Of the list, and of the offset that leads to it.
    room : int
        How many tags there is room for at its place.
    entries : dict
        Tag -> (type, count, bytes of the value or of its offset).
    following : int
        Where the next list stands.
    """

    at: int
    pointer: int
    room: int
    entries: dict[int, tuple[int, int, bytes]]
    following: int
    sub: list[Folder] = field(default_factory=list)


class Patched:
    r"""A TIFF file in memory whose tags and pixels are replaced; `data` is the file.

    Examples
    --------
    >>> file = Patched(b"II*\0\x08\0\0\0" + b"\x01\0" + struct.pack("<HHII", 274, 3, 1, 1) + b"\0" * 4)
    >>> folder = file.folders[0]
    >>> file.put(folder, 274, 3, [6])
    >>> file.save(folder)
    >>> file.numbers(folder, 274), len(file.data)
    ((6,), 26)
    """

    def __init__(self, raw: bytes) -> None:
        self.data = bytearray(raw)
        order = {b"II": "<", b"MM": ">"}.get(raw[:2], "")
        mark = struct.unpack(order + "H", raw[2:4])[0] if order and len(raw) >= 8 else 0
        if mark not in (42, 43):
            raise FormatError("it is no DNG: its content is not TIFF")
        self.form = Form(order, mark == 43)
        self._width = struct.calcsize(self.form.offset)
        self._free: list[tuple[int, int]] = []
        self.folders = self._chain(8 if self.form.big else 4)

    def every(self, folders: Sequence[Folder] | None = None) -> Iterator[Folder]:
        """Walk through all lists of tags."""
        for folder in self.folders if folders is None else folders:
            yield folder
            yield from self.every(folder.sub)

    def body(self, folder: Folder, code: int) -> bytes:
        """Return a tag's value as it stands in the file; empty where there is none."""
        if code not in folder.entries:
            return b""
        kind, count, value = folder.entries[code]
        size = SIZES.get(kind, 0) * count
        if size <= self._width:
            return value[:size]
        at = self._number(value)
        return bytes(self.data[at : at + size])

    def numbers(self, folder: Folder, code: int) -> tuple[float, ...]:
        """Return a tag's numbers, fractions divided; empty where there are none."""
        body = self.body(folder, code)
        kind = folder.entries[code][0] if body else 7
        if kind not in SIGNS:
            return ()
        each = PIECES.get(kind, SIZES[kind])
        values = struct.unpack(f"{self.form.order}{len(body) // each}{SIGNS[kind]}", body[: len(body) // each * each])
        if kind in PIECES:
            return tuple(a / b if b else 0.0 for a, b in zip(values[::2], values[1::2], strict=False))
        return values

    def put(self, folder: Folder, code: int, kind: int, values: Sequence[int] | bytes) -> None:
        """Set a tag; where its value does not fit into its place, it moves."""
        if not isinstance(values, bytes):
            values = struct.pack(f"{self.form.order}{len(values)}{SIGNS[kind]}", *values)
        count = len(values) // SIZES[kind]
        if len(values) > self._width:
            old = len(self.body(folder, code))
            if old >= len(values):
                at = self._number(folder.entries[code][2])
                self.data[at : at + len(values)] = values
            else:
                at = self.place(values)
            values = struct.pack(self.form.offset, at)
        folder.entries[code] = (kind, count, values.ljust(self._width, b"\0"))

    def save(self, folder: Folder) -> None:
        """Write a list of tags back, at another place where it has grown; what it leads to stays in reach."""
        order, width = self.form.order, self._width
        if folder.sub:
            self.put(folder, SUB_IFDS, folder.entries[SUB_IFDS][0], [one.at for one in folder.sub])
        folder.entries = dict(sorted(folder.entries.items()))
        whole = b"".join(
            struct.pack(order + "HH" + self.form.offset[1], code, kind, count) + value
            for code, (kind, count, value) in folder.entries.items()
        )
        body = (
            struct.pack(self.form.count, len(folder.entries)) + whole + struct.pack(self.form.offset, folder.following)
        )
        if len(folder.entries) > folder.room:
            folder.at, folder.room = self.place(body), len(folder.entries)
            self.data[folder.pointer : folder.pointer + width] = struct.pack(self.form.offset, folder.at)
        self.data[folder.at : folder.at + len(body)] = body
        for one, (_, pointer) in zip(folder.sub, self._sub_places(folder) if folder.sub else [], strict=True):
            one.pointer = pointer
        for one, after in pairwise(self.folders):
            if one is folder:
                after.pointer = folder.at + len(body) - width

    def keep_only(self, folder: Folder, sub: Sequence[Folder]) -> None:
        """Leave only some of the lists that one holds, at the places where they stand."""
        for gone in folder.sub:
            if not any(gone is one for one in sub):
                self.clear(gone.at, struct.calcsize(self.form.count) + gone.room * (4 + 2 * self._width) + self._width)
        folder.sub = list(sub)
        if not sub:
            del folder.entries[SUB_IFDS]
        self.save(folder)

    def clear(self, start: int, size: int) -> None:
        """Make a part of the file free for `place`; nothing of it is left."""
        self.data[start : start + size] = bytes(min(size, len(self.data) - start))
        self._free = sorted([*self._free, (start + start % 2, start + size)])

    def place(self, body: bytes) -> int:
        """Write into a free part, or at the end; return where."""
        for i, (start, end) in enumerate(self._free):
            if end - start >= len(body):
                self.data[start : start + len(body)] = body
                after = start + len(body)
                self._free[i] = (after + after % 2, end)
                return start
        self.data += b"\0" * (len(self.data) % 2)
        self.data += body
        return len(self.data) - len(body)

    def trim(self) -> None:
        """Cut free parts off the end of the file."""
        for start, end in reversed(self._free):
            if end < len(self.data) or start >= end:
                break
            del self.data[start:]

    def _number(self, value: bytes | bytearray) -> int:
        return int(struct.unpack(self.form.offset, value[: self._width])[0])

    def _chain(self, pointer: int) -> list[Folder]:
        """Read the lists of tags that follow one another, each with those inside it."""
        found: list[Folder] = []
        seen: set[int] = set()
        while len(found) < MOST_FOLDERS:
            at = self._number(self.data[pointer : pointer + self._width].ljust(self._width, b"\0"))
            if not at or at in seen:
                break
            seen.add(at)
            folder = self._folder(at, pointer)
            found.append(folder)
            pointer = at + struct.calcsize(self.form.count) + folder.room * (4 + 2 * self._width)
        return found

    def _folder(self, at: int, pointer: int, depth: int = 0) -> Folder:
        """Read one list of tags, and those that it holds."""
        head, each = struct.calcsize(self.form.count), 4 + 2 * self._width
        raw = bytes(self.data[at : at + head])
        number = struct.unpack(self.form.count, raw)[0] if len(raw) == head else len(self.data)
        end = at + head + number * each
        if end + self._width > len(self.data):
            raise FormatError(f"it is cut short: its list of tags at byte {at} ends beyond the file")
        entries = {}
        for start in range(at + head, end, each):
            code, kind, count = struct.unpack_from(self.form.order + "HH" + self.form.offset[1], self.data, start)
            entries[code] = (kind, count, bytes(self.data[start + each - self._width : start + each]))
        folder = Folder(at, pointer, number, entries, self._number(self.data[end : end + self._width]))
        if depth < 2 and SUB_IFDS in entries:
            folder.sub = [self._folder(a, p, depth + 1) for a, p in self._sub_places(folder)[:MOST_FOLDERS]]
        return folder

    def _sub_places(self, folder: Folder) -> list[tuple[int, int]]:
        """Return where the lists inside one stand, and where that is stated."""
        kind, count, value = folder.entries[SUB_IFDS]
        if kind not in (4, IFD, 16, IFD8):
            return []
        where = (
            folder.at + struct.calcsize(self.form.count) + (4 + 2 * self._width) * list(folder.entries).index(SUB_IFDS)
        )
        inline = SIZES[kind] * count <= self._width
        first = where + 4 + self._width if inline else self._number(value)
        return [(int(a), first + SIZES[kind] * k) for k, a in enumerate(self.numbers(folder, SUB_IFDS))]
