"""DM3 and DM4 of DigitalMicrograph: the image of a file, with its pixel size; read only.

A tree of tags: every tag has a label and holds more tags, or numbers of a kind that it states. Sizes are big-endian,
and the numbers of the byte order that the header says. The format is not published; its layout is described at
https://imagejdocu.list.lu/doku.php?id=plugin:inputoutput:dm3_reader and http://www.er-c.org/cbb/info/dmformat.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from hush.core.errors import FormatError
from hush.core.image import Array, Image
from hush.io._common import MAP_FROM, check_claim, choose, positive, settle_axes

SUFFIXES = (".dm3", ".dm4")
CHOICES = "image"
NUMBERS_OF_TAGS = {2: "h", 3: "i", 4: "H", 5: "I", 6: "f", 7: "d", 8: "?", 9: "b", 10: "b", 11: "q", 12: "Q"}
STRUCT_OF_TAGS, TEXT_OF_TAGS, ARRAY_OF_TAGS = 15, 18, 20  # what is made of numbers
KINDS_OF_DM = {1: "i2", 2: "f4", 6: "u1", 7: "i4", 9: "i1", 10: "u2", 11: "u4", 12: "f8", 14: "u1"}
GROUP_TAG, DATA_TAG = 20, 21
SHORT_ARRAY = 4096  # numbers: of longer arrays only the place is kept
DEEPEST_TAG = 40
UNITS_OF_DM = {"nm": "nm", "µm": "µm", "um": "µm", "mm": "mm", "pm": "pm", "Å": "Å"}

Tags = dict[str, Any]


def read(path: Path, axes: str | None, *, choice: int | str | None = None) -> Image:
    """Read an image, the first that is no thumbnail unless another is chosen; planes are Z, and the guess is said."""
    size = path.stat().st_size
    with path.open("rb") as file:
        tags = _Reader(file, size).tree()
    images = [one.get("ImageData", {}) for one in _children(tags.get("ImageList")) if isinstance(one, dict)]
    images = [one for one in images if isinstance(one.get("Data"), _Place) and one.get("DataType") in KINDS_OF_DM]
    images = images[1:] if len(images) > 1 else images  # the first is what the file's icon shows
    if not images:
        raise FormatError("it holds no image of numbers (colours, complex numbers and tables are not read)")
    said = images[choose(choice, [str(place) for place in range(len(images))], CHOICES)]
    shape = tuple(int(length) for length in reversed(_children(said.get("Dimensions"))))
    kind, place = np.dtype(KINDS_OF_DM[said["DataType"]]), said["Data"]
    if min(shape, default=0) < 1 or len(shape) < 2:
        raise FormatError(f"it holds no image: its data have shape {shape}")
    wanted = math.prod(shape) * kind.itemsize
    if wanted > place.nbytes:
        raise FormatError(f"it is damaged: it claims {wanted} bytes of pixels, and holds {place.nbytes}")
    check_claim(wanted, size - place.offset, 1, size)
    data = _pixels(path, kind.newbyteorder(place.order), place.offset, shape)
    kept = [at for at, length in enumerate(shape) if length > 1 or at >= len(shape) - 2]
    data = data.reshape([shape[at] for at in kept])
    chosen, guessed = settle_axes(data.shape, axes, "YX" if data.ndim == 2 else None)
    scale, unit = _scale(said, [len(shape) - 1 - at for at in kept], chosen)
    meta: dict[str, Any] = {"guessed": guessed} if guessed else {}
    return Image(data, chosen, scale, unit, meta)


@dataclass(frozen=True)
class _Place:
    """Where the numbers of an array are, and the bytes of a short one, which may be a text."""

    offset: int
    nbytes: int
    order: str
    raw: bytes = b""

    def __str__(self) -> str:
        return self.raw.decode("utf-16-le" if self.order == "<" else "utf-16-be", "replace")


class _Reader:
    """Reads the tags of a file; arrays of pixels are not read, but their place is kept."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self.file, self.size = file, size
        version, self.word, self.order = 0, ">I", "<"
        version = self._number(">I")
        if version not in (3, 4):
            raise FormatError("it is no DigitalMicrograph file, or damaged: its version is neither 3 nor 4")
        self.word = ">I" if version == 3 else ">Q"
        self.version = version
        self._number(self.word)
        self.order = "<" if self._number(">I") else ">"

    def tree(self) -> Tags:
        """Return all tags."""
        return self._group(0)

    def _number(self, kind: str) -> Any:
        raw = self.file.read(struct.calcsize(kind))
        if len(raw) < struct.calcsize(kind):
            raise FormatError(f"it is cut short: its tags go on behind its end at byte {self.size}")
        return struct.unpack(kind, raw)[0]

    def _group(self, depth: int) -> Tags:
        if depth > DEEPEST_TAG:
            raise FormatError("it is damaged: its tags are too deep")
        self.file.read(2)  # sorted, open
        found: Tags = {}
        for place in range(self._number(self.word)):
            mark, length = self._number(">B"), self._number(">H")
            if mark not in (GROUP_TAG, DATA_TAG):
                raise FormatError(f"it is damaged: there is no tag of kind {mark}")
            name = self.file.read(length).decode("latin-1") or str(place)
            if self.version == 4:
                self._number(">Q")  # bytes of the tag
            found[name] = self._group(depth + 1) if mark == GROUP_TAG else self._data()
        return found

    def _data(self) -> Any:
        if self.file.read(4) != b"%%%%":
            raise FormatError("it is damaged: a tag does not begin as it should")
        count = self._number(self.word)
        if count > SHORT_ARRAY:
            raise FormatError("it is damaged: a tag describes itself with too many words")
        kinds = [self._number(self.word) for _ in range(count)]
        return self._value(kinds)

    def _value(self, kinds: list[int]) -> Any:
        """Return a number, a text or a tuple; of a long array its place."""
        if not kinds:
            raise FormatError("it is damaged: a tag is of no kind")
        if kinds[0] in NUMBERS_OF_TAGS:
            return self._number(self.order + NUMBERS_OF_TAGS[kinds[0]])
        if kinds[0] == STRUCT_OF_TAGS:
            return tuple(self._value([kind]) for kind in kinds[4::2])
        if kinds[0] == TEXT_OF_TAGS:
            return self._bytes(2 * kinds[1]).decode("utf-16-le" if self.order == "<" else "utf-16-be", "replace")
        if kinds[0] == ARRAY_OF_TAGS and len(kinds) > 2:
            inside, length = kinds[1:-1], kinds[-1]
            parts = inside[4::2] if inside[0] == STRUCT_OF_TAGS else inside
            if any(part not in NUMBERS_OF_TAGS for part in parts):
                raise FormatError("it is damaged: an array holds no numbers")
            kind = self.order + "".join(NUMBERS_OF_TAGS[part] for part in parts)
            nbytes = length * struct.calcsize(kind)
            if length > SHORT_ARRAY or nbytes > SHORT_ARRAY or len(parts) > 1:
                place = self.file.tell()
                self._skip(nbytes)
                return _Place(place, nbytes, self.order)
            place = self.file.tell()
            return _Place(place, nbytes, self.order, self._bytes(nbytes))
        raise FormatError(f"it is damaged: there is no kind of number {kinds[0]}")

    def _bytes(self, count: int) -> bytes:
        self._skip(count)
        self.file.seek(-count, 1)
        return self.file.read(count)

    def _skip(self, count: int) -> None:
        if self.file.tell() + count > self.size:
            raise FormatError(f"it is cut short: its pixels go on behind its end at byte {self.size}")
        self.file.seek(count, 1)


def _children(tags: Any) -> list[Any]:
    return list(tags.values()) if isinstance(tags, dict) else []


def _pixels(path: Path, kind: np.dtype[Any], offset: int, shape: tuple[int, ...]) -> Array:
    data = np.memmap(path, kind, "r", offset, shape)
    if data.nbytes >= MAP_FROM:
        return data
    return np.array(data, kind.newbyteorder("="), subok=False)


def _scale(said: Tags, places: list[int], axes: str) -> tuple[dict[str, float], str | None]:
    """Return the pixel size of the axes that are lengths, in the unit of X."""
    calibrations = said.get("Calibrations")
    listed = _children(calibrations.get("Dimension")) if isinstance(calibrations, dict) else []
    scale, unit = {}, None
    for axis, place in reversed(list(zip(axes, places, strict=True))):
        one = listed[place] if place < len(listed) and isinstance(listed[place], dict) else {}
        symbol = UNITS_OF_DM.get(str(one.get("Units", "")).replace("μ", "µ").strip("\0 "))
        step = positive(one.get("Scale"))
        if step and symbol and symbol == (unit or symbol):
            scale[axis], unit = step, symbol
    return scale, unit
