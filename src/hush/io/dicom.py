"""DICOM: single images, many frames, and the series of a folder; written as derived images of the same patient."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hush.core.errors import FormatError
from hush.core.image import Array, Image
from hush.io import _dicom_read as single
from hush.io import _dicom_series as folders
from hush.io import _dicom_write as writing
from hush.io._common import choose, cut_before, settle_axes

SUFFIXES = (".dcm", ".dicom", ".ima")
MAGIC = (folders.DICOM_MARK,)
MAGIC_AT = folders.MARK_AT
CHOICES = "series"
EXTRA = single.MEDICAL
NEEDS = ("pydicom",)

FRAME_TIME, FRAME_TIMES = 0x00181063, 0x00181065  # what a frame increment pointer of a film points to
ONE_PLACE = 1e-3  # millimetres: frames nearer than that show one place


def holds(folder: Path) -> bool:
    """Whether all files of a folder are DICOM."""
    return folders.holds(folder)


def read(path: Path, axes: str | None, choice: int | str | None = None) -> Image:
    """Read an image: the values that are stored, or after slope and intercept where those differ between frames."""
    if path.is_dir():
        volume = folders.read(path, choice)
        if len(volume.opened) == 1:
            return _image(volume.opened[0], axes, volume.warnings, folder=True)
        return _of_series(volume, axes)
    opened = single.open_file(path)
    if choice is not None:
        choose(choice, [str(opened.header.get("SeriesInstanceUID") or "")], CHOICES)
    return _image(opened, axes, opened.warnings, folder=False)


def write(path: Path, image: Image) -> None:
    """Write a file, or a folder with the names of its files, from what a DICOM file gave."""
    old = image.meta.get("dicom")
    if old is None:
        raise FormatError(
            "DICOM states whose image it is: it is written only from a DICOM file; write a .nii, .tif or .npy file"
        )
    files: Sequence[single.Stored] = old["files"]
    colours = "S" in image.axes
    plain = image.axes.rstrip("S") if colours else image.axes
    if not plain.endswith("YX") or (colours and image.sizes["S"] != 3):
        raise FormatError(f"a DICOM file holds rows and columns, and three colours, last: not axes {image.axes}")
    shape = image.data.shape
    data = np.asarray(image.data).reshape(-1, *shape[len(plain) - 2 :])
    counts = [one.shape[0] for one in files]
    if len(data) != sum(counts) or colours != (len(files[0].shape) == 4):
        raise FormatError(f"its input held {sum(counts)} frames, and this image has shape {tuple(shape)}")
    ends = np.cumsum(counts)
    down, right = cut_before(image, "YX")
    cut = (down, right)
    parts = [writing.frames_of(one, data[end - one.shape[0] : end], cut) for one, end in zip(files, ends, strict=True)]
    note = image.meta.get("hush")
    series = writing.series_uid(files[0], note, [writing.digest(part) for part in parts] if old["folder"] else (), cut)
    if not old["folder"]:
        writing.write(path, files[0], parts[0], note, series, cut)
        return
    path.mkdir(exist_ok=True)
    for one, part in zip(files, parts, strict=True):
        writing.write(path / one.name, one, part, note, series, cut)


def _of_series(volume: folders.Volume, axes: str | None) -> Image:
    first = volume.opened[0]
    data = folders.stack(volume)
    declared = "TZYX" if volume.repeats > 1 else "ZYX"
    chosen, _ = settle_axes(data.shape, axes, declared + "S" * (first.data.ndim == 4))
    meta = _meta(first, [one.stored for one in volume.opened], volume.warnings, folder=True)
    paddings = [one.padding for one in volume.opened if one.padding is not None]
    if paddings:
        meta["padding"] = paddings[0]
    scale = {axis: size for axis, size in volume.scale.items() if axis in chosen}
    return Image(data, chosen, scale, "mm" if scale else None, meta)


def _image(opened: single.Opened, axes: str | None, warnings: list[str], *, folder: bool) -> Image:
    data, header = opened.data, opened.header
    count = data.shape[0]
    letters, sides, along, remarks = _frames(header, count)
    data = data[0] if count == 1 else data.reshape(*sides, *data.shape[1:])
    chosen, _ = settle_axes(data.shape, axes, letters + "YX" + "S" * (opened.data.ndim == 4))
    scale = {axis: size for axis, size in (single.spacing(header, count) | along).items() if axis in chosen}
    meta = _meta(opened, [opened.stored], [*warnings, *remarks], folder=folder)
    return Image(data, chosen, scale, "mm" if set(scale) & set("XYZ") else None, meta)


def _meta(opened: single.Opened, files: list[single.Stored], warnings: list[str], *, folder: bool) -> dict[str, Any]:
    meta: dict[str, Any] = {
        "description": "",  # what the header says may name the patient
        "medical": True,
        "warnings": warnings,
        "dicom": {"files": files, "folder": folder},
    }
    if opened.hush:
        meta["hush"] = opened.hush
    if opened.padding is not None:
        meta["padding"] = opened.padding
    slope, intercept = opened.rescale
    unit = str(opened.header.get("RescaleType") or "")
    unit = unit if unit.isalnum() and unit != "US" else "HU" if opened.header.get("Modality") == "CT" else ""
    if not intercept and single.is_magnitude(opened.header):
        meta["magnitude"] = True
    if (slope, intercept) != (1, 0) or unit:
        meta["rescale"] = {"slope": slope, "intercept": intercept, "unit": unit}
    return meta


def _frames(header: Any, count: int) -> tuple[str, tuple[int, ...], dict[str, float], list[str]]:
    """Return what the frames of a file are: letters, lengths, sizes along them (mm, s), and what is odd about them."""
    if count == 1:
        return "", (), {}, []
    places = _places(header, count)
    if places is not None:
        return _by_places(places, count)
    if seconds := _seconds(header):
        return "T", (count,), {"T": seconds}, []
    offsets = header.get("GridFrameOffsetVector")
    if offsets is not None and np.size(offsets) == count:
        step = abs(float(np.median(np.diff(np.array(offsets, float)))))
        return "Z", (count,), {"Z": step} if step > 0 and math.isfinite(step) else {}, []
    return "Z", (count,), {}, []


def _places(header: Any, count: int) -> Array | None:
    """Return how far each frame lies along the normal, in millimetres; None where not every frame says.

    NaN where they lie in different directions.
    """
    positions = single.groups(header, "PlanePositionSequence", count)
    directions = single.groups(header, "PlaneOrientationSequence", count)
    found = [
        None if position is None or direction is None else single.place(header, position, direction)
        for position, direction in zip(positions, directions, strict=True)
    ]
    known = [place for place in found if place is not None]
    if len(known) < count:
        return None
    normal = known[0][1]
    if any(float(np.abs(other - normal).max()) > folders.SAME_DIRECTION for _, other in known):
        return np.full(count, np.nan)  # no slices of one volume
    return np.array([float(where @ normal) for where, _ in known])


def _by_places(places: Array, count: int) -> tuple[str, tuple[int, ...], dict[str, float], list[str]]:
    """Divide frames into slices and repetitions, in the order in which they stand in the file."""
    if np.isnan(places).any():
        return "Z", (count,), {}, ["its frames lie in different directions: they are read as Z, and are no volume"]
    names = {value: number for number, value in enumerate(dict.fromkeys(np.round(places / ONE_PLACE)))}
    order = [names[value] for value in np.round(places / ONE_PLACE)]
    slices = len(names)
    if slices == 1:
        return "T", (count,), {}, []
    distances = np.diff(np.sort(np.array(list(names)) * ONE_PLACE))
    along = {"Z": float(np.median(distances))}
    odd = [] if distances.max() < 1.05 * distances.min() else ["its slices are not evenly spaced"]
    steps = np.diff(np.array(list(names)))
    if not ((steps > 0).all() or (steps < 0).all()):
        odd.append("its frames are not in the order of their positions: neighbours in Z may be none")
    if slices == count:
        return "Z", (count,), along, odd
    repeats = count // slices
    if order == list(range(slices)) * repeats:
        return "TZ", (repeats, slices), along, odd
    if order == [number for number in range(slices) for _ in range(repeats)]:
        return "ZT", (slices, repeats), along, odd
    return "Z", (count,), {}, ["its frames are repetitions of places in no regular order: they are read as Z"]


def _seconds(header: Any) -> float | None:
    """Return the time between the frames of a film; None where it is none."""
    pointer = header.get("FrameIncrementPointer")
    times = header.get("FrameTimeVector")
    milliseconds = header.get("FrameTime")
    if milliseconds is None and times is not None and np.size(times) > 1:
        milliseconds = float(np.median(np.array(times, float)[1:]))
    film = pointer in (FRAME_TIME, FRAME_TIMES) or header.get("CineRate") or header.get("RecommendedDisplayFrameRate")
    rate = single.number(header.get("CineRate") or header.get("RecommendedDisplayFrameRate"), 0.0)
    if not film:
        return None
    seconds = single.number(milliseconds, 0.0) / 1000 or (1 / rate if rate > 0 else 0.0)
    return seconds if seconds > 0 else None
