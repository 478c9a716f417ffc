"""A DNG of its own: for pictures of other raw files, and pieces of a DNG."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from hush.core.image import Array
from hush.io import _dng_facts as facts_of
from hush.io import _tiff_tags
from hush.io._dng_mosaic import CELL, COLOUR_CODES, Mosaic
from hush.io._dng_tags import Patched
from hush.io._tiff_tags import Tag

DNG_VERSION = b"\1\4\0\0"
READABLE_SINCE = b"\1\1\0\0"  # the first version whose readers know all that is used here
# XYZ to linear sRGB: the colours of a sensor of which nothing is stated
SRGB_MATRIX = (3.2404542, -1.5371385, -0.4985314, -0.9692660, 1.8760108, 0.0415560, 0.0556434, -0.2040259, 1.0572252)
EPOCH = 1970  # of a clock that was never set
DAYLIGHT = 21  # D65, the light of that matrix
# true of the whole sensor at its old places, or written anew
PLACED = {
    facts_of.ACTIVE_AREA, 50719, 50720, 50830, 50715, 50716, 51008, 51009, 51022, 51125, facts_of.CURVE_TAG,
    facts_of.ROW_INTERLEAVE, facts_of.COLUMN_INTERLEAVE, 50781, 50828, 50933, 50972, 51111,
}  # fmt: skip


@dataclass(frozen=True)
class Camera:
    """Everything that is needed to write a DNG.

    Attributes
    ----------
    frame : array (Y, X)
        Of the whole sensor.
    mosaic : Mosaic
    black : sequence of float
        Levels of a cell's pixels, row by row.
    white : int
    neutral : sequence of float
        What grey is under the light of the picture, by colour (R, G, B); empty where that is not known.
    matrix : sequence of float
        XYZ to the sensor's colours; empty where that is not known.
    crop : tuple of int or None
        (left, top, wide, high) of what is to be shown, in the active area.
    model : str
    tags : tuple of Tag
        Those that are copied: EXIF, GPS, orientation and the like.
    order : str
        Their byte order.
    """

    frame: Array
    mosaic: Mosaic
    black: Sequence[float]
    white: int
    neutral: Sequence[float]
    matrix: Sequence[float]
    crop: tuple[int, int, int, int] | None
    model: str
    tags: tuple[Tag, ...]
    order: str

    def entries(self, frame: Array, mosaic: Mosaic) -> list[tuple[int, int, int, Any, bool]]:
        """Return the tags of a DNG as tifffile takes them."""
        bottom, right = mosaic.top + mosaic.high, mosaic.left + mosaic.wide
        model = self.model.encode("ascii", "replace").decode() or "unknown"
        numbers = _fractions([*self.black], 10**4, signed=False)
        found: list[tuple[int, int, int, Any, bool]] = [
            (facts_of.VERSION, 1, 4, DNG_VERSION, True),
            (50707, 1, 4, READABLE_SINCE, True),
            (50708, 2, 0, model, True),
            *pattern_entries(mosaic),
            (facts_of.ACTIVE_AREA, 4, 4, (mosaic.top, mosaic.left, bottom, right), True),
            (facts_of.BLACK_REPEAT_TAG, 3, 2, (CELL, CELL), True),
            (facts_of.BLACK_TAG, 5, 4, numbers, True),
            (facts_of.WHITE_TAG, 4, 1, int(self.white), True),
            (50721, 10, 9, _fractions(self.matrix or SRGB_MATRIX, 10**4), True),
            (50778, 3, 1, DAYLIGHT, True),
        ]
        if self.neutral:
            found.append((50728, 5, 3, _fractions(self.neutral, 10**6, signed=False), True))
        if self.crop and mosaic is self.mosaic:
            found += [(50719, 4, 2, self.crop[:2], True), (50720, 4, 2, self.crop[2:], True)]
        return found


def pattern_entries(mosaic: Mosaic) -> list[tuple[int, int, int, Any, bool]]:
    """Return the tags of a mosaic's pattern."""
    numbers = bytes(COLOUR_CODES.index(colour) for colour in mosaic.pattern)
    among = bytes(sorted(set(numbers)))
    return [
        (facts_of.CFA_REPEAT, 3, 2, (CELL, CELL), True),
        (facts_of.CFA_PATTERN, 1, len(numbers), numbers, True),
        (facts_of.CFA_COLOURS, 1, len(among), among, True),
        (50711, 3, 1, 1, True),
    ]


def shot(other: Any, order: str) -> tuple[Tag, ...]:
    """Return EXIF of how a picture was taken, as LibRaw knows it, for files that state it in a way of their own."""
    exposure, aperture, length = (
        _fractions([value], 10**5, signed=False) if math.isfinite(value) and value > 0 else None
        for value in (other.shutter_speed, other.aperture, other.focal_length)
    )
    found = [
        Tag(code, 5, struct.pack(f"{order}2I", *value))
        for code, value in ((33434, exposure), (33437, aperture), (37386, length))
        if value
    ]
    if 0 < other.iso_speed < 2**16:
        found.append(Tag(34855, 3, struct.pack(f"{order}H", int(other.iso_speed))))
    if other.timestamp.year > EPOCH:
        found.append(Tag(36867, 2, other.timestamp.strftime("%Y:%m:%d %H:%M:%S").encode() + b"\0"))
    return (Tag(34665, 4, b"\0" * 4, tuple(sorted(found, key=lambda tag: tag.code))),) if found else ()


def write(path: Path, camera: Camera, planes: Array, software: str) -> None:
    """Write planes (C, Y, X) as a DNG of their camera, with the pixels around them where they are all there."""
    if planes.shape == camera.mosaic.shape:
        frame, mosaic = camera.mosaic.joined(camera.frame, planes), camera.mosaic
    else:
        frame, mosaic = camera.mosaic.alone(planes)
    _write(path, frame, "cfa", camera.entries(frame, mosaic), software)
    _tiff_tags.graft(path, [camera.tags], camera.order, set())


def write_piece(path: Path, raw: bytes, facts: facts_of.Facts, pixels: Array, software: str) -> None:
    """Write a piece of a DNG's picture, planes (C, Y, X) or colours (Y, X, S), with what is still true of it."""
    file, photometric = Patched(raw), "cfa"
    own: list[tuple[int, int, int, Any, bool]] = []
    if facts.mosaic is None:
        photometric = "linear_raw"
    else:
        pixels, mosaic = facts.mosaic.alone(pixels)
        own = pattern_entries(mosaic)
    reader = _Reader(raw)
    lists = [_tiff_tags.read(reader, file.form, at) for at in dict.fromkeys((facts.folder.at, file.folders[0].at))]
    kept = [tag for tags in reversed(lists) for tag in _tiff_tags.kept(tags, first=True) if tag.code not in PLACED]
    every = {tag.code: tag for tag in kept}
    _write(path, pixels, photometric, own, software)
    _tiff_tags.graft(path, [tuple(every.values())], file.form.order, set())


class _Reader:
    """Bytes that are read as a file is."""

    def __init__(self, raw: bytes) -> None:
        self._raw, self._at = raw, 0

    def seek(self, offset: int, /) -> int:
        """Go to a place."""
        self._at = offset
        return offset

    def read(self, size: int, /) -> bytes:
        """Return that many bytes from there."""
        self._at += size
        return self._raw[self._at - size : self._at]


def _write(
    path: Path, frame: Array, photometric: str, entries: list[tuple[int, int, int, Any, bool]], software: str
) -> None:
    import tifffile

    with tifffile.TiffWriter(path, byteorder="<") as writer:
        writer.write(
            np.ascontiguousarray(frame),
            photometric=photometric if photometric == "cfa" or frame.ndim == 3 else "minisblack",
            planarconfig="contig" if frame.ndim == 3 else None,
            metadata=None,
            software=software.encode("latin-1", "replace"),
            extratags=entries,
            rowsperstrip=frame.shape[0],
        )
    if photometric != "cfa" and frame.ndim == 2:  # tifffile writes no linear picture of one sample
        file = Patched(path.read_bytes())
        file.put(file.folders[0], facts_of.PHOTOMETRIC, 3, [facts_of.LINEAR])
        file.save(file.folders[0])
        path.write_bytes(file.data)


def _fractions(values: Sequence[float], most: int, *, signed: bool = True) -> tuple[int, ...]:
    near = [Fraction(float(value) if signed else max(float(value), 0.0)).limit_denominator(most) for value in values]
    return tuple(part for one in near for part in (one.numerator, one.denominator))
