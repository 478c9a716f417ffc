"""HDF5: one data set of a file, which is copied with it; chunks, compression and attributes stay."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from hush.core.errors import FormatError
from hush.core.image import Array, Image
from hush.core.lazy import Stored
from hush.io import _hdf5_place, _zarr_pieces
from hush.io._common import LETTERS, MAP_FROM, check_claim, choose, need, positive, settle_axes
from hush.io._tiff_ome import OME_MICRONS

SUFFIXES = (".h5", ".hdf5")
MAGIC = (b"\x89HDF\r\n\x1a\n",)
CHOICES = "data set"
EXTRA = "microscopy"
NEEDS = ("h5py",)
LAZY = SPOOLED = True
NEW_NAME = "data"  # of the data set in a new file
ELEMENT_SIZE = "element_size_um"  # Z, Y, X: an attribute that ilastik, PlantSeg and Fiji's plugin share


def read(path: Path, axes: str | None, *, choice: int | str | None = None, lazy_from: int | None = None) -> Image:
    """Read a data set: the one named (``file.h5:group/name``), else the largest that can be an image.

    Its axes are those of its attributes ``axes`` or ``axistags`` or of its dimensions' labels, else guessed.
    """
    h5py = need("h5py", EXTRA)
    with h5py.File(path, "r") as file:
        sets = _images(file)
        name = choice.strip("/") if isinstance(choice, str) else choice
        chosen = list(sets)[choose(name, list(sets), CHOICES)]
        stored = sets[chosen]
        _check(stored, path)
        said = _plain_attributes(stored)
        data = _pixels(path, stored, lazy_from)
        declared = _axes(stored, said)
    letters, guessed = settle_axes(data.shape, axes, declared)
    meta: dict[str, Any] = {
        "hdf5": {"path": str(path.resolve()), "name": chosen, "shape": data.shape, "dtype": data.dtype.name},
        "description": said["description"] if isinstance(said.get("description"), str) else "",
        "channels": _channels(said, dict(zip(letters, data.shape, strict=True)).get("C", 1)),
    }
    if guessed:
        meta["guessed"] = guessed
    if isinstance(note := _json(said.get("hush")), dict):
        meta["hush"] = note
    if len(sets) > 1 and choice is None:
        meta["warnings"] = [f"it holds {len(sets)} images; this is the largest, {path.name}:{chosen}"]
    scale, unit = _scale(said, letters)
    meta["hdf5"] |= {
        "axes": declared or (letters if axes is None else None),
        "scale": scale,
        "unit": unit,
        "description": meta["description"],
    }
    return Image(data, letters, scale, unit, meta)


def write(path: Path, image: Image) -> None:
    """Write the data set into a copy of the file it came from, else into a new file as ``data``.

    Of an image of another size than its file's, a crop, only the data set itself is written.
    """
    with _prepared(path, image) as file:
        stored = file[_name(image)]
        for box in _zarr_pieces.boxes(stored.shape, _unit(stored), stored.dtype.itemsize):
            stored[box] = np.asarray(image.data[box])


def create(path: Path, like: Image) -> Array:
    """Return a writable array: mapped where the data set is one piece, else written by chunk at the end."""
    with _prepared(path, like) as file:
        stored = file[_name(like)]
        place, dtype = stored.id.get_offset(), stored.dtype
        whole = place is not None and not stored.chunks and dtype.kind in "uif"
    shape = tuple(like.data.shape)
    if whole:
        return np.memmap(path, dtype, "r+", place, shape)

    def finish(data: Array) -> None:
        with need("h5py", EXTRA).File(path, "r+") as file:
            stored = file[_name(like)]
            for box in _zarr_pieces.boxes(shape, _unit(stored), dtype.itemsize):
                stored[box] = data[box]

    return _zarr_pieces.Spooled.of(shape, like.data.dtype, finish)


# -- reading --------------------------------------------------------------------------------------------


def _images(file: Any) -> dict[str, Any]:
    """Return the data sets that can be images, the largest first."""
    import h5py

    found: dict[str, Any] = {}

    def look(name: str, one: Any) -> None:
        numbers = isinstance(one, h5py.Dataset) and one.dtype.kind in "buif" and one.dtype.shape == ()
        if numbers and one.shape and sum(size > 1 for size in one.shape) >= 2 and one.size:
            found[name] = one

    file.visititems(look)  # follows no links out of the file
    if not found:
        raise FormatError("it holds no image: no data set of numbers with two or more axes")
    return dict(sorted(found.items(), key=lambda item: -item[1].size))


def _check(stored: Any, path: Path) -> None:
    """Refuse what cannot be read, before it is: pixels in other files, filters that are not here, false claims."""
    import h5py

    if stored.external:
        raise FormatError(f"the pixels of {stored.name} are in another file, and are not looked for")
    others = {one.file_name for one in stored.virtual_sources()} - {"."} if stored.is_virtual else set()
    if missing := sorted(one for one in others if not (path.resolve().parent / one).is_file()):
        raise FormatError(f"the pixels of {stored.name} are in {Path(missing[0]).name}, which is not there")
    plan = stored.id.get_create_plist()
    filters = [plan.get_filter(i) for i in range(plan.get_nfilters())]
    for code, _, _, label in filters:
        if not h5py.h5z.filter_avail(code):
            raise FormatError(
                f"its compression ({label.decode('latin-1') or code}) needs a library that is not here; repack it, "
                f"e.g. h5repack -f GZIP=5 {path.name} new.h5"
            )
    wanted = math.prod(stored.shape) * stored.dtype.itemsize
    if not stored.chunks and not stored.is_virtual and stored.id.get_offset() is not None:
        check_claim(wanted, stored.id.get_storage_size(), 1, path.stat().st_size)


class _DataSet(Stored):
    """A data set that is read in pieces."""

    def __init__(self, path: Path, stored: Any) -> None:
        super().__init__(path.resolve(), stored.shape, stored.dtype)
        self.name = stored.name

    def __getitem__(self, index: tuple[int | slice, ...]) -> Array:
        """Read a part."""
        with need("h5py", EXTRA).File(self.path, "r") as file:
            return file[self.name][index]


def _pixels(path: Path, stored: Any, lazy_from: int | None) -> Array:
    """Return the pixels: mapped where they are one large piece of the file."""
    place, nbytes = stored.id.get_offset(), math.prod(stored.shape) * stored.dtype.itemsize
    if place is not None and not stored.chunks and nbytes >= MAP_FROM and stored.dtype.kind in "uif":
        check_claim(nbytes, path.stat().st_size - place, 1, path.stat().st_size)
        return np.memmap(path, stored.dtype, "r", place, stored.shape)
    return _zarr_pieces.given(stored, _unit(stored), lazy_from, lambda: _DataSet(path, stored))


def _unit(stored: Any) -> tuple[int, ...]:
    """Return the shape of what is read or written at once: a chunk, or a plane."""
    return tuple(stored.chunks or (1,) * (stored.ndim - 2) + tuple(stored.shape[-2:]))


def _plain_attributes(stored: Any) -> dict[str, Any]:
    """Return the attributes that are texts and numbers."""
    found: dict[str, Any] = {}
    for name in stored.attrs:
        try:
            value = stored.attrs[name]
        except (OSError, TypeError, ValueError):  # a type that numpy has none for
            continue
        value = value.item() if isinstance(value, np.ndarray) and value.shape == () else value
        found[name] = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    return found


def _texts(values: Any) -> list[str]:
    return [one.decode("utf-8", "replace") if isinstance(one, bytes) else str(one) for one in np.ravel(values)]


def _axes(stored: Any, said: dict[str, Any]) -> str | None:
    """Return the axes that the file states: by hush's letters, vigra's tags, or the labels of the dimensions."""
    told: list[Any] = []
    if isinstance(said.get("axes"), str):
        told.append(list(said["axes"]))
    elif isinstance(said.get("axes"), np.ndarray | list):
        told.append(_texts(said["axes"]))
    tags = _json(said.get("axistags"))
    if isinstance(tags, dict) and isinstance(tags.get("axes"), list):
        told.append([str(one.get("key", "")) for one in tags["axes"] if isinstance(one, dict)])
    told.append([dimension.label for dimension in stored.dims])
    for names in told:
        axes = "".join(names).upper()
        if len(names) == len(axes) == stored.ndim == len(set(axes)) and {*"YX"} <= set(axes) <= set(LETTERS):
            return axes
    return None


def _json(text: Any) -> Any:
    try:
        return json.loads(text) if isinstance(text, str) else None
    except ValueError:
        return None


def _channels(said: dict[str, Any], count: int) -> list[str]:
    names = _texts(said["channels"]) if "channels" in said else []
    return names if len(names) == count else []


def _scale(said: dict[str, Any], axes: str) -> tuple[dict[str, float], str | None]:
    own = _json(said.get("scale"))
    if isinstance(own, dict):
        scale = {axis: float(size) for axis, size in own.items() if axis in axes and positive(size)}
        return scale, str(said.get("unit")) if scale and said.get("unit") else None
    sizes = np.ravel(said.get(ELEMENT_SIZE, ()))
    if len(sizes) != 3:
        return {}, None
    scale = {axis: float(size) for axis, size in zip("ZYX", sizes, strict=True) if axis in axes and positive(size)}
    return scale, "µm" if scale else None


# -- writing --------------------------------------------------------------------------------------------


def _name(image: Image) -> str:
    return str((image.meta.get("hdf5") or {}).get("name", NEW_NAME))


def _prepared(path: Path, image: Image) -> Any:
    """Return the open file with the data set in it, of the right shape and kind, its attributes set."""
    h5py = need("h5py", EXTRA)
    if image.data.dtype.kind not in "buif":
        raise FormatError(f"HDF5 is not written with {image.data.dtype}")
    old = image.meta.get("hdf5") or {}
    source, name = Path(old["path"]) if old else None, _name(image)
    if source is not None and not source.is_file():
        raise FormatError(
            f"{source.name}, whose other data sets are copied, is not there any more; put it back, or write a .tif file"
        )
    same = source is not None and tuple(old["shape"]) == tuple(image.data.shape)
    if same:
        shutil.copyfile(source or "", path)
    file = h5py.File(path, "r+" if same else "w")
    try:
        if source is None:
            file.create_dataset(name, image.data.shape, image.data.dtype.newbyteorder("="))
        elif not same or old["dtype"] != image.data.dtype.name or file[name].is_virtual:
            # what is written into a virtual data set is written into the files that it is put together from
            _like(file, source, name, image)
        _describe(file[name], image, old)
        _hdf5_place.move(file[name], image)
    except BaseException:
        file.close()
        raise
    return file


def _like(file: Any, source: Path, name: str, image: Image) -> None:
    """Make the data set anew: as in the source, of the shape and kind of the image."""
    import h5py

    dtype = image.data.dtype.newbyteorder("=")
    with h5py.File(source, "r") as whole:
        old = whole[name]
        how: dict[str, Any] = {}
        if old.chunks and old.ndim == image.data.ndim:
            chunks = tuple(min(chunk, size) for chunk, size in zip(old.chunks, image.data.shape, strict=True))
            how = {"chunks": chunks, "compression": old.compression, "compression_opts": old.compression_opts}
            how |= {"shuffle": old.shuffle, "fletcher32": old.fletcher32}
        if name in file:
            del file[name]
        made = file.create_dataset(name, image.data.shape, dtype, **how)
        for key in old.attrs:
            kind = old.attrs.get_id(key).dtype
            if kind.kind != "O" or h5py.check_string_dtype(kind):  # references point into the old file
                made.attrs[key] = old.attrs[key]


def _describe(stored: Any, image: Image, old: dict[str, Any]) -> None:
    """Set what the data set says of its axes, pixel size and history, where it does not say so already."""
    if image.meta.get("hush"):
        stored.attrs["hush"] = json.dumps(dict(image.meta["hush"]), default=str)
    elif "hush" in stored.attrs:
        del stored.attrs["hush"]
    if old.get("axes") != image.axes and (image.axes != "YX" or old):
        stored.attrs["axes"] = image.axes
    text = str(image.meta.get("description") or "")
    if text != old.get("description", ""):
        stored.attrs["description"] = text
    if not old and image.meta.get("channels"):
        stored.attrs["channels"] = [str(name) for name in image.meta["channels"]]
    if dict(image.scale) == old.get("scale", {}) and image.unit == old.get("unit"):
        return
    stored.attrs["scale"] = json.dumps({axis: float(size) for axis, size in image.scale.items()})
    stored.attrs["unit"] = image.unit or ""
    microns = OME_MICRONS.get({"inch": "in", "um": "µm"}.get(image.unit or "", image.unit or ""))
    if microns and {*"YX"} <= set(image.scale):
        stored.attrs[ELEMENT_SIZE] = [image.scale.get(axis, 1 / microns) * microns for axis in "ZYX"]
