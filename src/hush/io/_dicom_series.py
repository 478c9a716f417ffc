"""A folder of DICOM files as one image: its slices in the order of their positions, its repetitions as T."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from hush.core.errors import FormatError
from hush.core.image import Array
from hush.io import _dicom_read as single
from hush.io._common import choose

MARK_AT, DICOM_MARK = 128, b"DICM"
SAME_PLACE = 0.01  # millimetres: two slices nearer than that are two images of one place
SAME_DIRECTION = 1e-3  # difference of unit vectors that rounding in a header makes
EVEN_SPACING = 0.05  # of the spacing: what rounding and a scanner's table add to it
LISTED_MOST = 12  # series that an error names
INDEX = "DICOMDIR"  # a list of files, which lies beside them on a disc


@dataclass
class Slice:
    """One file of a series before its pixels are read."""

    path: Path
    header: Any
    begins: int  # byte of the pixels
    frames: int
    where: float | None = None  # along the normal, millimetres


@dataclass
class Volume:
    """Slices in order: shape (T, Z) of `opened`, T and Z from few to many."""

    opened: list[single.Opened]
    repeats: int
    scale: dict[str, float]
    warnings: list[str]


def holds(folder: Path) -> bool:
    """Whether a folder holds DICOM files and nothing else; hidden files do not count."""
    if not folder.is_dir():
        return False
    files = list(_files(folder))
    return bool(files) and all(path.is_file() and _has_mark(path) for path in files)


def read(folder: Path, choice: int | str | None) -> Volume:
    """Read one series of a folder.

    Raises
    ------
    FormatError
        When it holds several and none is chosen, or its files are not slices of one volume.
    """
    series, skipped = _by_series(folder)
    slices = _chosen(series, choice)
    if len(slices) == 1:
        only = single.open_file(slices[0].path, (slices[0].header, slices[0].begins))
        return Volume([only], 1, single.spacing(only.header, slices[0].frames), [*skipped, *only.warnings])
    _check_alike(slices)
    warnings = [*skipped, *_sort(slices)]
    repeats = _repeats(slices)
    count = len(slices) // repeats
    if repeats > 1:  # sorted by place: each place once, then all again
        slices = [slices[at * repeats + turn] for turn in range(repeats) for at in range(count)]
    scale, uneven = _scale(slices[:count])
    opened = [single.open_file(one.path, (one.header, one.begins)) for one in slices]
    opened = _same_units(opened)
    remarks = dict.fromkeys(remark for one in opened for remark in one.warnings)
    return Volume(opened, repeats, scale, [*warnings, *uneven, *remarks])


def _files(folder: Path) -> Sequence[Path]:
    return [path for path in sorted(folder.iterdir()) if not path.name.startswith(".") and path.name.upper() != INDEX]


def _has_mark(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(MARK_AT + len(DICOM_MARK))[MARK_AT:] == DICOM_MARK
    except OSError:
        return False


def _by_series(folder: Path) -> tuple[dict[str, list[Slice]], list[str]]:
    """Return the images of every series, in the order of their first file, and what was left out."""
    found: dict[str, list[Slice]] = {}
    without = 0
    for path in _files(folder):
        try:
            header, begins = single.open_header(path)
            if not header.get("Rows"):
                without += 1
                continue
            frames = single.check(path, header)
        except FormatError as error:
            raise FormatError(f"{folder.name}: {path.name}: {error}") from error
        found.setdefault(str(header.get("SeriesInstanceUID") or ""), []).append(Slice(path, header, begins, frames))
    if not found:
        raise FormatError(f"{folder.name} holds DICOM files without pixels")
    remarks = [f"left out: {_many(without, 'file')} without pixels"] if without else []
    return found, remarks


def _many(count: int, what: str) -> str:
    """Say how many there are.

    Examples
    --------
    >>> _many(1, "slice"), _many(2, "slice")
    ('1 slice', '2 slices')
    """
    return f"1 {what}" if count == 1 else f"{count} {what}s"


def _chosen(series: dict[str, list[Slice]], choice: int | str | None) -> list[Slice]:
    groups = list(series.values())
    if choice is None and len(groups) > 1:
        listed = "; ".join(f"{number}: {_said(slices)}" for number, slices in enumerate(groups[:LISTED_MOST]))
        listed += ", and so on" * (len(groups) > LISTED_MOST)
        raise FormatError(
            f"it holds {len(groups)} series: choose one by its number or UID, or give its files ({listed})"
        )
    if isinstance(choice, str) and choice in series:
        return series[choice]
    return groups[choose(choice, [_said(slices) for slices in groups], "series")]


def _said(slices: list[Slice]) -> str:
    """Name a series by what tells nobody who was in the scanner."""
    header = slices[0].header
    modality = str(header.get("Modality") or "")
    kind = modality if modality.isalnum() and len(modality) <= 16 else "images"
    count = "1 file" if len(slices) == 1 else f"{len(slices)} files"
    return f"{kind}, {count} of {int(header.Rows)} x {int(header.Columns)}"


def _check_alike(slices: list[Slice]) -> None:
    """Refuse files that are no slices of one volume."""
    if many := sum(one.frames > 1 for one in slices):
        raise FormatError(f"{many} of its {len(slices)} files hold several frames each: give them one by one")
    for name, what in (
        ("Rows", "numbers of rows"), ("Columns", "numbers of columns"), ("BitsAllocated", "numbers of bits"),
        ("PhotometricInterpretation", "kinds of colours"), ("PixelRepresentation", "signs"),
    ):  # fmt: skip
        values = [one.header.get(name) for one in slices]
        if any(value != values[0] for value in values):
            other = next(one for one in slices if one.header.get(name) != values[0])
            raise FormatError(
                f"its files have different {what}: {slices[0].path.name} has {str(values[0])[:20]} and "
                f"{other.path.name} {str(other.header.get(name))[:20]}; give those of one size and kind"
            )


def _sort(slices: list[Slice]) -> list[str]:
    """Bring the slices into the order of their positions along the normal; of their numbers, where they have none."""
    places = [single.place(one.header) for one in slices]
    known = [place for place in places if place is not None]
    if len(known) < len(slices):
        slices.sort(key=_number)
        return ["its files state no positions: they are in the order of their instance numbers"]
    normal = known[0][1]
    for one, (_, other) in zip(slices, known, strict=True):
        if float(np.abs(other - normal).max()) > SAME_DIRECTION:
            raise FormatError(
                f"its slices lie in different directions: {one.path.name} is not parallel to {slices[0].path.name}; "
                "give those of one direction (a scout is often among them)"
            )
    for one, (where, _) in zip(slices, known, strict=True):
        one.where = float(where @ normal)
    slices.sort(key=lambda one: (round((one.where or 0.0) / SAME_PLACE), _number(one)))
    return []


def _number(one: Slice) -> tuple[float, float, float, str]:
    """In which order images of one place were taken."""
    header = one.header
    keys = ("TemporalPositionIdentifier", "AcquisitionNumber", "InstanceNumber")
    first, second, third = (single.number(header.get(key), 0.0) for key in keys)
    return first, second, third, one.path.name


def _repeats(slices: list[Slice]) -> int:
    """Return how often each place was imaged."""
    if any(one.where is None for one in slices):
        return 1
    counts = [1]
    for before, after in pairwise(slices):
        if (after.where or 0.0) - (before.where or 0.0) > SAME_PLACE:
            counts.append(1)
        else:
            counts[-1] += 1
    if len(set(counts)) > 1:
        few, many = min(counts), max(counts)
        raise FormatError(
            f"slices are missing: of its {len(counts)} places some were imaged {many} times and "
            f"{sum(count < many for count in counts)} fewer (at least {few}); give whole volumes"
        )
    return counts[0]


def _scale(slices: list[Slice]) -> tuple[dict[str, float], list[str]]:
    """Return the size of a voxel and what is wrong with the spacing."""
    scale = single.spacing(slices[0].header, 1)
    scale.pop("Z", None)
    if len(slices) < 2 or slices[0].where is None:
        return scale, []
    gaps = np.diff([one.where for one in slices if one.where is not None])
    usual = float(np.median(gaps))
    scale["Z"] = usual
    wide = [at for at, gap in enumerate(gaps) if gap > (1 + EVEN_SPACING) * usual]
    missing = [at for at in wide if abs(gaps[at] / usual - round(gaps[at] / usual)) < EVEN_SPACING]
    if missing and len(missing) == len(wide) and gaps.min() > (1 - EVEN_SPACING) * usual:
        count = sum(round(float(gaps[at]) / usual) - 1 for at in missing)
        after = slices[missing[0]].path.name
        return scale, [f"missing: {_many(count, 'slice')}, the first after {after}; neighbours there are no neighbours"]
    if wide or gaps.min() < (1 - EVEN_SPACING) * usual:
        return scale, [
            f"its slices are {gaps.min():.3g} to {gaps.max():.3g} mm apart: the pixel size states {usual:.3g}"
        ]
    return scale, []


def _same_units(opened: list[single.Opened]) -> list[single.Opened]:
    """Apply slope and intercept where they differ from slice to slice, as those of positron emission do."""
    if len({one.rescale for one in opened}) == 1:
        return opened
    changed = [single.with_units(one, [one.rescale]) for one in opened]
    wide: Any = np.result_type(*(one.data.dtype for one in changed))
    for one in changed:
        one.data = one.data.astype(wide)
    return changed


def stack(volume: Volume) -> Array:
    """Return the slices as one array of shape (T, Z, rows, columns), without T where each place was imaged once."""
    first = volume.opened[0].data
    count = len(volume.opened) // volume.repeats
    out = np.empty((len(volume.opened), *first.shape[1:]), first.dtype)
    for plane, one in zip(out, volume.opened, strict=True):
        if one.data.shape[1:] != plane.shape or one.data.dtype != first.dtype:
            raise FormatError(f"{one.stored.name} is of another kind than the first slice")
        plane[...] = one.data[0]
        one.data = one.data[:0]  # its room is free again
    return out if volume.repeats == 1 else out.reshape(volume.repeats, count, *out.shape[1:])
