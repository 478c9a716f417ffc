"""Imaris (.ims): times, channels and volumes in HDF5; the smaller copies and histograms are made again.

Layout: ``/DataSet/ResolutionLevel r/TimePoint t/Channel c/Data`` (Z, Y, X, padded to whole chunks), with the true
size, as texts, in the attributes of the channel; https://imaris.oxinst.com/support/imaris-file-format.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from hush.core.errors import FormatError
from hush.core.image import Array, Image
from hush.core.lazy import Lazy, Stored
from hush.io import _zarr_pieces, _zarr_pyramid
from hush.io._common import cut_before, from_note, need, positive, settle_axes, to_note, without_note
from hush.io._tiff_ome import OME_MICRONS

SUFFIXES = (".ims",)
MAGIC = (b"\x89HDF\r\n\x1a\n",)
EXTRA = "microscopy"
NEEDS = ("h5py",)
LAZY = SPOOLED = True
IMARIS_KINDS = ("uint8", "uint16", "uint32", "float32")
HISTOGRAM_BINS = 256  # of a histogram
CHUNK_OF_IMARIS = (8, 128, 128)  # of a new file
TIME_OF_IMARIS = "%Y-%m-%d %H:%M:%S.%f"


def read(path: Path, axes: str | None, *, lazy_from: int | None = None) -> Image:
    """Read all times and channels at full resolution; axes of length one are left out."""
    h5py = need("h5py", EXTRA)
    with h5py.File(path, "r") as file:
        if "DataSet/ResolutionLevel 0/TimePoint 0/Channel 0/Data" not in file:
            raise FormatError(
                "it is no Imaris file, or damaged: it has no /DataSet/ResolutionLevel 0/TimePoint 0/Channel 0"
            )
        times, channels = _counts(file)
        size = _size(file["DataSet/ResolutionLevel 0/TimePoint 0/Channel 0"])
        shape = (times, channels, *size)
        kind = file["DataSet/ResolutionLevel 0/TimePoint 0/Channel 0/Data"].dtype
        for _, _, group in _channels(file, 0):
            stored = group["Data"]
            if stored.file.filename != file.filename or stored.is_virtual or stored.external:
                raise FormatError("its pixels are in another file, and are not looked for")
            if stored.ndim != 3 or any(have < want for have, want in zip(stored.shape, size, strict=True)):
                raise FormatError(f"it is damaged: {group.name} has shape {stored.shape}, and should hold {size}")
        chunks = (1, 1, *(stored.chunks or size))
        data = _zarr_pieces.given(_Volumes(path.resolve(), shape, kind), chunks, lazy_from)
        scale, unit = _scale(file, size, times)
        corner = _corner(file)
        description = _text(file, "DataSetInfo/Image", "Description")
        names = [_text(file, f"DataSetInfo/Channel {c}", "Name") for c in range(channels)]
    kept = [place for place, length in enumerate(shape) if length > 1 or place > 2]
    alone = tuple(slice(None) if place in kept else 0 for place in range(len(shape)))
    data = data.cut(alone) if isinstance(data, Lazy) else data[alone]
    chosen, _ = settle_axes(data.shape, axes, "".join("TCZYX"[place] for place in kept))
    scale = {axis: step for axis, step in scale.items() if axis in chosen}
    private = {"path": str(path.resolve()), "shape": shape, "dtype": data.dtype.name, "corner": corner}
    meta: dict[str, Any] = {"imaris": private}
    meta["channels"] = [name or f"channel {i}" for i, name in enumerate(names, 1)] if any(names) else []
    meta["description"] = without_note(description)
    if note := from_note(description):
        meta["hush"] = note
    return Image(data, chosen, scale, unit if scale else None, meta)


def write(path: Path, image: Image) -> None:
    """Write a copy of the file it came from with new pixels, else a new file."""
    _prepare(path, image)
    _fill(path, _five(image))


def create(path: Path, like: Image) -> Array:
    """Return a writable array, mapped from a temporary file where it is large; its chunks are written at the end."""
    _prepare(path, like)
    shape = tuple(like.data.shape)

    def finish(data: Array) -> None:
        _fill(path, _five(Image(data, like.axes)))

    return _zarr_pieces.Spooled.of(shape, like.data.dtype, finish)


# -- reading --------------------------------------------------------------------------------------------


class _Volumes(Stored):
    """All times and channels (T, C, Z, Y, X), each a data set of its own, without what fills their last chunks."""

    def __getitem__(self, index: tuple[int | slice, ...]) -> Array:
        """Read a part."""
        times, channels = (
            [part] if isinstance(part, int) else range(size)[part]
            for part, size in zip(index[:2], self.shape[:2], strict=True)
        )
        inside = tuple(
            part if isinstance(part, int) else slice(*part.indices(size))
            for part, size in zip(index[2:], self.shape[2:], strict=True)
        )
        with need("h5py", EXTRA).File(self.path, "r") as file:
            level = file["DataSet/ResolutionLevel 0"]
            made = np.stack(
                [np.stack([level[f"TimePoint {t}/Channel {c}/Data"][inside] for c in channels]) for t in times]
            )
        return made[tuple(0 if isinstance(part, int) else slice(None) for part in index[:2])]


def _counts(file: Any) -> tuple[int, int]:
    """Return the numbers of times and channels."""
    level = file["DataSet/ResolutionLevel 0"]
    times = sum(name.startswith("TimePoint ") for name in level)
    return times, sum(name.startswith("Channel ") for name in level["TimePoint 0"])


def _channels(file: Any, level: int) -> Iterator[tuple[int, int, Any]]:
    times, channels = _counts(file)
    for time in range(times):
        for channel in range(channels):
            place = f"DataSet/ResolutionLevel {level}/TimePoint {time}/Channel {channel}"
            if f"{place}/Data" not in file:
                raise FormatError(f"it is damaged: it has no /{place}")
            yield time, channel, file[place]


def _word(value: Any) -> str:
    """Return an attribute as text: Imaris stores one letter an element."""
    if isinstance(value, np.ndarray):
        return b"".join(one if isinstance(one, bytes) else str(one).encode() for one in value.ravel()).decode(
            "utf-8", "replace"
        )
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _letters(text: str) -> Array:
    return np.frombuffer(text.encode("utf-8") or b" ", "S1")


def _text(file: Any, group: str, name: str) -> str:
    return _word(file[group].attrs[name]) if group in file and name in file[group].attrs else ""


def _size(channel: Any) -> tuple[int, ...]:
    """Return the true size (Z, Y, X) of a channel."""
    stored = channel["Data"].shape
    if len(stored) != 3:
        raise FormatError(f"it is damaged: {channel.name} has shape {stored}, and Imaris has three axes")
    said = [_word(channel.attrs.get(f"ImageSize{axis}", b"")) for axis in "ZYX"]
    return tuple(
        int(text) if text.isdecimal() and int(text) > 0 else have for text, have in zip(said, stored, strict=True)
    )


def _scale(file: Any, size: tuple[int, ...], times: int) -> tuple[dict[str, float], str | None]:
    scale: dict[str, float] = {}
    for number, (axis, count) in enumerate(zip("XYZ", reversed(size), strict=True)):
        low, high = (_text(file, "DataSetInfo/Image", f"Ext{end}{number}") for end in ("Min", "Max"))
        try:
            step = positive((float(high) - float(low)) / count)
        except ValueError:
            step = None
        if step:
            scale[axis] = step
    try:
        first, last = (
            datetime.strptime(_text(file, "DataSetInfo/TimeInfo", f"TimePoint{t}"), TIME_OF_IMARIS) for t in (1, times)
        )
        if times > 1 and last > first:
            scale["T"] = (last - first).total_seconds() / (times - 1)
    except ValueError:
        pass
    unit = _text(file, "DataSetInfo/Image", "Unit").strip() or "um"
    return scale, {"um": "µm"}.get(unit, unit)


def _corner(file: Any) -> list[float]:
    """Return where the first voxel begins along X, Y and Z; zero where the file does not say."""
    found = []
    for number in range(3):
        try:
            found.append(float(_text(file, "DataSetInfo/Image", f"ExtMin{number}")))
        except ValueError:
            found.append(0.0)
    return found


# -- writing --------------------------------------------------------------------------------------------


def _five(image: Image) -> Array:
    """Return the pixels as (T, C, Z, Y, X)."""
    if "S" in image.axes or image.data.dtype.name not in IMARIS_KINDS:
        raise FormatError(
            f"Imaris holds {', '.join(IMARIS_KINDS)} in channels, not {image.data.dtype} with axes {image.axes}; "
            "write a .tif or .npy file"
        )
    order = [axis for axis in "TCZYX" if axis in image.axes]
    data = image.data.transpose([image.axes.index(axis) for axis in order])
    return data[tuple(slice(None) if axis in order else np.newaxis for axis in "TCZYX")]


def _prepare(path: Path, image: Image) -> None:
    """Write everything but the pixels."""
    h5py = need("h5py", EXTRA)
    old, data = image.meta.get("imaris") or {}, _five(image)
    same = bool(old) and tuple(old["shape"]) == tuple(data.shape) and old["dtype"] == data.dtype.name
    if same and not Path(old["path"]).is_file():
        same = False
    if same:
        shutil.copyfile(old["path"], path)
    with h5py.File(path, "r+" if same else "w") as file:
        if not same:
            _fresh(file, image, data)
        file.require_group("DataSetInfo/Image")
        text = str(image.meta.get("description") or "")
        note = to_note(image.meta.get("hush"))
        file["DataSetInfo/Image"].attrs["Description"] = _letters(" | ".join(one for one in (text, note) if one))
        if not same or _scale(file, tuple(data.shape[2:]), data.shape[0])[0] != dict(image.scale):
            _set_scale(file, image, data.shape)


def _fresh(file: Any, image: Image, data: Array) -> None:
    """Write the groups, attributes and empty arrays of a new file."""
    file.attrs["ImarisDataSet"], file.attrs["ImarisVersion"] = _letters("ImarisDataSet"), _letters("5.5.0")
    file.attrs["DataSetDirectoryName"], file.attrs["DataSetInfoDirectoryName"] = (
        _letters("DataSet"),
        _letters("DataSetInfo"),
    )
    file.attrs["NumberOfDataSets"] = np.array([1], np.uint32)
    info = file.create_group("DataSetInfo")
    info.create_group("ImarisDataSet")
    about = info.create_group("Image")
    for axis, count in zip("ZYX", data.shape[2:], strict=True):
        about.attrs[axis] = _letters(str(count))
    names = list(image.meta.get("channels") or []) or [f"channel {c + 1}" for c in range(data.shape[1])]
    for channel in range(data.shape[1]):
        group = info.create_group(f"Channel {channel}")
        group.attrs["Name"] = _letters(str(names[channel]) if channel < len(names) else "")
        group.attrs["Color"] = _letters("1.000 1.000 1.000")
    info.create_group("TimeInfo").attrs["DatasetTimePoints"] = _letters(str(data.shape[0]))
    sizes = [tuple(data.shape[2:])]
    for by in _zarr_pyramid.usual_factors(sizes[0], "ZYX"):
        sizes.append(_zarr_pyramid.smaller(sizes[-1], by))
    for level, size in enumerate(sizes):
        chunks = tuple(min(chunk, length) for chunk, length in zip(CHUNK_OF_IMARIS, size, strict=True))
        padded = tuple(-(-length // chunk) * chunk for length, chunk in zip(size, chunks, strict=True))
        for time in range(data.shape[0]):
            for channel in range(data.shape[1]):
                group = file.create_group(f"DataSet/ResolutionLevel {level}/TimePoint {time}/Channel {channel}")
                for axis, count in zip("ZYX", size, strict=True):
                    group.attrs[f"ImageSize{axis}"] = _letters(str(count))
                group.create_dataset("Data", padded, data.dtype.newbyteorder("="), chunks=chunks, compression=2)
                group.create_dataset("Histogram", (HISTOGRAM_BINS,), np.uint64)


def _set_scale(file: Any, image: Image, shape: tuple[int, ...]) -> None:
    about, unit = file["DataSetInfo/Image"], image.unit or "um"
    corner = (image.meta.get("imaris") or {}).get("corner")
    unit = {"µm": "um", "Å": "nm", "inch": "um", "cm": "mm", "pm": "nm"}.get(unit, unit)
    change = OME_MICRONS.get({"inch": "in"}.get(image.unit or "µm", image.unit or "µm"), 1.0)
    change /= OME_MICRONS.get({"um": "µm"}.get(unit, unit), 1.0)
    about.attrs["Unit"] = _letters(unit)
    for number, axis in enumerate("XYZ"):
        step = image.scale.get(axis, 1.0) * change
        low = corner[number] + cut_before(image, axis)[0] * step if corner else 0.0
        about.attrs[f"ExtMin{number}"] = _letters(repr(low))
        about.attrs[f"ExtMax{number}"] = _letters(repr(low + step * shape[4 - number]))
    group, start = file.require_group("DataSetInfo/TimeInfo"), datetime(2000, 1, 1)
    if "T" in image.scale and shape[0] > 1:
        for time in range(shape[0]):
            when = start + timedelta(seconds=time * image.scale["T"])
            group.attrs[f"TimePoint{time + 1}"] = _letters(when.strftime(TIME_OF_IMARIS)[:-3])


def _fill(path: Path, data: Array) -> None:
    """Write the pixels, the smaller copies, and the histograms of all."""
    with need("h5py", EXTRA).File(path, "r+") as file:
        levels = sum(name.startswith("ResolutionLevel ") for name in file["DataSet"])
        for level in range(levels):
            for time, channel, group in _channels(file, level):
                stored, size = group["Data"], _size(group)
                if level == 0:
                    for box in _zarr_pieces.boxes(size, stored.chunks or size, stored.dtype.itemsize):
                        stored[box] = np.asarray(data[(time, channel, *box)])
                else:
                    above = file[f"DataSet/ResolutionLevel {level - 1}/TimePoint {time}/Channel {channel}"]
                    by = _zarr_pyramid.factors([_size(above), size])[0]
                    _zarr_pyramid.fill(stored, above["Data"], by, stored.chunks or size)
                _set_histogram(group, size)


def _set_histogram(group: Any, size: tuple[int, ...]) -> None:
    stored, low, high = group["Data"], math.inf, -math.inf
    whole = list(_zarr_pieces.boxes(size, stored.chunks or size, stored.dtype.itemsize))
    for box in whole:
        values = stored[box]
        values = values[np.isfinite(values)]
        if values.size:
            low, high = min(low, float(values.min())), max(high, float(values.max()))
    low, high = (low, high) if low < high else (0.0, 1.0)
    counts = np.zeros(HISTOGRAM_BINS, np.uint64)
    for box in whole:
        values = stored[box]
        counts += np.histogram(values[np.isfinite(values)], HISTOGRAM_BINS, (low, high))[0].astype(np.uint64)
    group.attrs["HistogramMin"], group.attrs["HistogramMax"] = _letters(repr(low)), _letters(repr(high))
    if "Histogram" in group and group["Histogram"].shape == counts.shape:
        group["Histogram"][:] = counts
