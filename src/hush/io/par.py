"""PAR/REC of Philips: magnetic resonance volumes as the scanner exports them, a text and its pixels; read only."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hush.core.errors import FormatError
from hush.core.image import Array, Image
from hush.io import _zarr_pieces
from hush.io._common import check_claim, positive, settle_axes

SUFFIXES = (".par", ".rec")

LONGEST_TEXT_OF_PAR = 2**26  # bytes; a line an image
COLUMN = re.compile(r"#\s+(.+?)\s*\((?:(\d+)\*)?(integer|float|string)\)\s*$")
GENERAL = re.compile(r"\.\s+(.*?)\s*:\s*(.*)$")
KINDS_OF_PAR = {8: "u1", 16: "<u2"}
SLICE, DYNAMIC, PLACE_IN_REC = "slice number", "dynamic scan number", "index in REC file"
# What else tells images of one slice and time apart: they are channels.
OTHERS_OF_PAR = (
    "echo number",
    "cardiac phase number",
    "image_type_mr",
    "scanning sequence",
    "diffusion b value number",
    "gradient orientation number",
    "label type",
)
IMAGE_TYPES = {0: "magnitude", 1: "real", 2: "imaginary", 3: "phase"}


@dataclass
class _Table:
    """The text: what it says of all images, and a row for each."""

    general: dict[str, str]
    columns: dict[str, slice]
    rows: list[list[str]]

    def all(self, name: str, missing: float = 0.0) -> list[float]:
        """Return the first number of a column for every image; of a column that is not there, `missing`."""
        place = next((one for key, one in self.columns.items() if key.startswith(name)), None)
        if place is None:
            return [missing] * len(self.rows)
        return [float(row[place][0]) for row in self.rows]

    def pair(self, name: str) -> tuple[float, float] | None:
        """Return the two numbers of a column that must be the same for all images, None where it is not there."""
        place = next((one for key, one in self.columns.items() if key.startswith(name)), None)
        if place is None:
            found = next((value.split() for key, value in self.general.items() if key.lower().startswith(name)), [])
        else:
            if len({tuple(row[place]) for row in self.rows}) > 1:
                raise FormatError(f"its images differ in their {name}; such files are not read")
            found = self.rows[0][place]
        return (float(found[0]), float(found[1])) if len(found) >= 2 else None


def read(path: Path, axes: str | None) -> Image:
    """Read all images of a scan: dynamics as T, slices as Z, echoes and the like as C; the stored values.

    Where images have slopes of their own the values are those that the scanner's console shows (float32).
    """
    text, pixels = _pair(path)
    table = _parsed(text)
    resolution = table.pair("recon resolution")
    if resolution is None:
        raise FormatError("its text does not say how many pixels an image has")
    width, height = (int(side) for side in resolution)
    bits = {int(n) for n in table.all("image pixel size", _general(table, "image pixel size"))}
    if len(bits) != 1 or not bits <= set(KINDS_OF_PAR):
        raise FormatError(f"its pixels have {', '.join(map(str, sorted(bits)))} bits; possible are 8 and 16")
    dtype = np.dtype(KINDS_OF_PAR[bits.pop()])
    order, remarks, names = _ordered(table)
    size = pixels.stat().st_size
    held = np.array(table.all(PLACE_IN_REC, -1.0), np.int64)
    places = np.where(held < 0, np.arange(len(held)), held)[order]
    if places.min() < 0 or min(width, height) < 1:
        raise FormatError("its text is damaged: it names an image before the first")
    check_claim((int(places.max()) + 1) * width * height * dtype.itemsize, size, 1, size)
    stored: Array = np.memmap(pixels, dtype, "r", 0, (int(places.max()) + 1, height, width))
    slopes = [table.all(f"rescale {name}", missing) for name, missing in (("slope", 1.0), ("intercept", 0.0))]
    rescales = [(slopes[0][row], slopes[1][row]) for row in order.ravel()]
    data = _gathered(stored, places, rescales)
    kept = [place for place, count in enumerate(data.shape) if place > 2 or count > 1]
    declared = "".join("CTZYX"[place] for place in kept)
    data = data.reshape([data.shape[place] for place in kept])
    chosen, _ = settle_axes(data.shape, axes, declared)
    meta: dict[str, Any] = {"warnings": remarks, "medical": True, "channels": names if "C" in declared else []}
    meta["description"] = table.general.get("Protocol name", "")
    meta["par"] = {"general": table.general}
    if len(set(rescales)) == 1 and rescales[0] != (1.0, 0.0):
        meta["rescale"] = {"slope": rescales[0][0], "intercept": rescales[0][1]}
    elif len(set(rescales)) > 1:
        remarks.append("its images have slopes of their own: the values are those of the console, not those stored")
    scale = {axis: step for axis, step in _scale(table, order).items() if axis in chosen}
    return Image(data, chosen, scale, "mm" if {*"XYZ"} & set(scale) else None, meta)


def _pair(path: Path) -> tuple[Path, Path]:
    """Return the text and the pixels, which have one name and two endings."""
    stem, found = path.name[: -len(path.suffix)], []
    for end in (".par", ".rec"):
        names = [path.name] if path.suffix.lower() == end else [stem + end.upper(), stem + end, stem + end.title()]
        file = next((one for name in names if (one := path.with_name(name)).is_file()), None)
        if file is None:
            raise FormatError(
                f"a file of the same name that ends in {end.upper()} must stand beside it, and is missing"
            )
        found.append(file)
    return found[0], found[1]


def _parsed(path: Path) -> _Table:
    """Return what the text says.

    Raises
    ------
    FormatError
        When it is no such text, or says nothing of its images.
    """
    with path.open("rb") as file:
        lines = file.read(LONGEST_TEXT_OF_PAR).decode("utf-8", "replace").splitlines()
    if not any("DATA DESCRIPTION FILE" in line for line in lines[:10]):
        raise FormatError("it is no PAR file of Philips: its first lines do not say so")
    general, columns, rows, width, defined = {}, {}, [], 0, False
    for line in lines:
        defined |= "IMAGE INFORMATION DEFINITION" in line
        if said := GENERAL.match(line):
            general[said[1]] = said[2].strip()
        elif line.startswith("#") and defined and (said := COLUMN.match(line)):
            count = int(said[2] or 1)
            columns[" ".join(said[1].split())] = slice(width, width + count)
            width += count
        elif line.strip() and not line.startswith(("#", ".")):
            rows.append(line.split())
    if not rows or not columns or not any(name.startswith(SLICE) for name in columns):
        raise FormatError("its text lists no images: it is cut short, or a scan without any")
    if len(rows[-1]) < width:
        raise FormatError(f"its text is cut short: its last line has {len(rows[-1])} numbers of {width}")
    return _Table(general, columns, rows)


def _general(table: _Table, name: str) -> float:
    """Return a number of what is said of all images, 0 where it is not said."""
    found = next((value.split() for key, value in table.general.items() if key.lower().startswith(name)), [])
    return float(found[0]) if found else 0.0


def _ordered(table: _Table) -> tuple[Array, list[str], list[str]]:
    """Return the row of every image (C, T, Z), what is to be said, and what the channels are called.

    A scan that was stopped ends with an incomplete dynamic, which is left out.
    """
    slices, times = table.all(SLICE), table.all(DYNAMIC)
    kinds = list(zip(*(table.all(name) for name in OTHERS_OF_PAR), strict=True))
    rows = {key: row for row, key in enumerate(zip(kinds, times, slices, strict=True))}
    if len(rows) < len(kinds):
        raise FormatError("its text lists several images of one slice, time and kind, which are not told apart")
    channels, planes = sorted(set(kinds)), sorted(set(slices))
    every = sorted(set(times))
    complete = [time for time in every if all((kind, time, z) in rows for kind in channels for z in planes)]
    if not complete:
        raise FormatError(
            "its images are no full volumes: slices, echoes or directions are missing; it may be cut short"
        )
    remarks = []
    if len(complete) < len(every):
        remarks.append(f"of its {len(every)} dynamics {len(every) - len(complete)} are incomplete, and are left out")
    order = np.array([[[rows[kind, time, z] for z in planes] for time in complete] for kind in channels])
    return order, remarks, [_named(kind, channels) for kind in channels]


def _named(kind: tuple[float, ...], channels: list[tuple[float, ...]]) -> str:
    """Return what tells a channel from the others."""
    words = []
    for place, name in enumerate(OTHERS_OF_PAR):
        if len({one[place] for one in channels}) > 1:
            number = int(kind[place])
            known = IMAGE_TYPES.get(number) if name == "image_type_mr" else None
            words.append(known or f"{name.removesuffix(' number')} {number}")
    return " ".join(words)


def _gathered(stored: Array, places: Array, rescales: list[tuple[float, float]]) -> Array:
    """Return the pixels (C, T, Z, Y, X): as they are stored, or as the console shows them."""
    single = len(set(rescales)) == 1
    dtype = stored.dtype.newbyteorder("=") if single else np.dtype(np.float32)
    data = _zarr_pieces.room((*places.shape, *stored.shape[1:]), dtype)
    flat = data.reshape(-1, *stored.shape[1:])
    for number, (place, (slope, intercept)) in enumerate(zip(places.ravel(), rescales, strict=True)):
        flat[number] = stored[place] if single else stored[place] * np.float32(slope) + np.float32(intercept)
    return data


def _scale(table: _Table, order: Array) -> dict[str, float]:
    """Return the size of a voxel in millimetres and the time between dynamics in seconds."""
    spacing = table.pair("pixel spacing") or (0.0, 0.0)
    thick = table.all("slice thickness", _general(table, "slice thickness"))
    gap = table.all("slice gap", _general(table, "slice gap"))
    found: dict[str, Any] = {"X": spacing[0], "Y": spacing[1], "Z": thick[0] + gap[0] if len(set(thick)) == 1 else 0.0}
    begun = np.array(table.all("dyn_scan_begin_time"))[order[0, :, 0]]
    if len(begun) > 1:
        found["T"] = float(begun[-1] - begun[0]) / (len(begun) - 1) or _general(table, "repetition time") / 1000
    return {axis: step for axis, value in found.items() if (step := positive(value))}
