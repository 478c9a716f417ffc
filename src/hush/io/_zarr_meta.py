"""OME-Zarr's metadata: what a folder says of its image, and the same for a result with everything else untouched."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hush.core.errors import FormatError
from hush.core.image import Image
from hush.io._common import cut_before, positive
from hush.io._tiff_ome import OME_MICRONS, SECONDS
from hush.io._zarr_remote import Remote

OME_ZARR = "0.5"  # version of new files
LENGTHS_OF_ZARR = {
    "picometer": "pm", "angstrom": "Å", "nanometer": "nm", "micrometer": "µm", "millimeter": "mm", "centimeter": "cm",
    "meter": "m", "inch": "inch",
}  # fmt: skip
TIMES_OF_ZARR = {"nanosecond": "ns", "microsecond": "µs", "millisecond": "ms", "second": "s", "minute": "min",
                 "hour": "h", "day": "d"}  # fmt: skip
KINDS_OF_AXES = {"T": "time", "C": "channel", "Z": "space", "Y": "space", "X": "space"}
COLOURS_OF_SAMPLES = ("FF0000", "00FF00", "0000FF", "FFFFFF")

Json = dict[str, Any]


@dataclass
class Node:
    """A group or an array: its format (2 or 3), its attributes, and its whole JSON (an array's own in format 2)."""

    folder: Path | Remote
    format: int
    is_array: bool
    attributes: Json
    json: Json

    @property
    def ome(self) -> Json:
        """What OME-Zarr keeps: below "ome" from version 0.5 on."""
        said = self.attributes.get("ome")
        return said if isinstance(said, dict) else self.attributes


@dataclass
class Pyramid:
    """What the first multiscale image of a group says."""

    paths: list[str]
    axes: str
    scale: dict[str, float] = field(default_factory=dict)
    unit: str | None = None


def node(folder: Path | Remote) -> Node | None:
    """Return what stands in a folder, None where it is no part of a Zarr."""
    if (folder / "zarr.json").is_file():
        whole = _json(folder / "zarr.json")
        return Node(folder, 3, whole.get("node_type") == "array", dict(whole.get("attributes") or {}), whole)
    attributes = _json(folder / ".zattrs") if (folder / ".zattrs").is_file() else {}
    if (folder / ".zarray").is_file():
        return Node(folder, 2, True, attributes, _json(folder / ".zarray"))
    if (folder / ".zgroup").is_file() or attributes:
        return Node(folder, 2, False, attributes, {"zarr_format": 2})
    return None


def _json(path: Path | Remote) -> Json:
    try:
        found = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise FormatError(f"it is damaged: {path.name} is no JSON") from error
    if not isinstance(found, dict):
        raise FormatError(f"it is damaged: {path.name} is no JSON object")
    return found


def pyramid(group: Node) -> Pyramid | None:
    """Return levels, axes and pixel size of a group's image; None when it says none."""
    many = group.ome.get("multiscales")
    if not many:
        return None
    try:
        first = many[0]
        paths = [str(level["path"]) for level in first["datasets"]]
        if not paths or any(".." in Path(path).parts or Path(path).is_absolute() for path in paths):
            raise ValueError
        names = first.get("axes")
        level = _scale_of(first["datasets"][0])
        whole = _scale_of(first)
        ndim = len(names) if names else 5
        axes = _letters(names or list("tczyx"))
        steps = [a * b for a, b in zip(level or [1.0] * ndim, whole or [1.0] * ndim, strict=True)]
        found = Pyramid(paths, axes)
        units = [axis.get("unit") if isinstance(axis, dict) else None for axis in names or [{}] * ndim]
        found.scale, found.unit = _sizes(axes, steps, units)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise FormatError("it is damaged: what it says of its levels and axes makes no sense") from error
    return found


def _scale_of(said: Json) -> list[float] | None:
    for one in said.get("coordinateTransformations") or []:
        if one.get("type") == "scale" and isinstance(one.get("scale"), list):
            return [float(value) for value in one["scale"]]
    return None


def _letters(names: Sequence[Any]) -> str:
    """Return hush's letters for axes; those of other names by their kind."""
    told = [str(one["name"] if isinstance(one, dict) else one).upper() for one in names]
    kinds = [str(one.get("type", "")) if isinstance(one, dict) else "" for one in names]
    letters = [name if name in KINDS_OF_AXES and told.count(name) == 1 else "" for name in told]
    for place in reversed(range(len(letters))):
        if not letters[place]:
            free = [a for a in "XYZTC" if a not in letters]
            fits = [a for a in free if KINDS_OF_AXES[a] == kinds[place]]
            letters[place] = (fits or free)[0]
    return "".join(letters)


def _sizes(axes: str, steps: Sequence[float], units: Sequence[Any]) -> tuple[dict[str, float], str | None]:
    """Return pixel sizes in the unit of X, and the time step in seconds; ones without a unit say nothing."""
    symbols = [LENGTHS_OF_ZARR.get(str(unit)) for unit in units]
    unit = next((symbols[axes.index(a)] for a in "XYZ" if a in axes and symbols[axes.index(a)]), None)
    scale: dict[str, float] = {}
    for axis, step, symbol, name in zip(axes, steps, symbols, units, strict=True):
        if positive(step) is None or axis == "C":
            continue
        if axis == "T":
            if name in TIMES_OF_ZARR:
                scale[axis] = step * SECONDS[TIMES_OF_ZARR[name]]
        elif symbol and unit:
            scale[axis] = step if symbol == unit else step * _microns(symbol) / _microns(unit)
        elif unit is None and any(steps[axes.index(a)] != 1 for a in "YX"):
            scale[axis] = step
    return scale, unit


def _microns(symbol: str) -> float:
    return OME_MICRONS["in" if symbol == "inch" else symbol]


def channels(ome: Json, count: int) -> list[str]:
    """Return the names of the channels, where they have some."""
    said = ome.get("omero")
    listed = said.get("channels") if isinstance(said, dict) else None
    names = [str(one.get("label", "")) if isinstance(one, dict) else "" for one in listed or []]
    return [name or f"channel {i}" for i, name in enumerate(names, 1)] if any(names) and len(names) == count else []


def compose(old: Node | None, image: Image, axes: str, paths: Sequence[str], ratios: Sequence[Sequence[float]]) -> Json:
    """Return the attributes of a result's group.

    Parameters
    ----------
    old : Node or None
        The group that the image came from.
    image : Image
        What is written.
    axes : str
        Its letters in the order of the file; S is written as channels.
    paths : sequence of str
        Of the levels.
    ratios : sequence
        By how much a pixel of each level is longer than one of the image, along every axis.
    """
    attributes: Json = copy.deepcopy(old.attributes) if old else {"ome": {"version": OME_ZARR}}
    ome = attributes["ome"] if isinstance(attributes.get("ome"), dict) else attributes
    said = pyramid(old) if old else None
    many: list[Json] = ome.get("multiscales") or [{"name": str(image.meta.get("name") or "image")}]
    first = many[0]
    ome["multiscales"] = [first]
    if said is None or said.axes != axes or len(said.paths) < len(paths):
        first["axes"] = [_axis(letter, image) for letter in axes]
        first.pop("coordinateTransformations", None)
        first["datasets"] = [_level(path, axes, image, ratio) for path, ratio in zip(paths, ratios, strict=True)]
    else:
        first["datasets"] = first["datasets"][: len(paths)]
        _move(first, axes, image)
        _rescale(first, said, axes, image)
    _set_names(ome, image, axes, old is None)
    _set_texts(attributes, first, image)
    return attributes


def _move(first: Json, axes: str, image: Image) -> None:
    """Let every level state the place of a piece: further by the length of what was cut off before it."""
    cut, steps = cut_before(image, axes), _scale_of(first["datasets"][0])
    if not any(cut) or steps is None or len(steps) != len(axes):
        return
    for level in first["datasets"]:
        said = [dict(one) for one in level.get("coordinateTransformations") or []]
        own = next((one for one in said if one.get("type") == "translation"), None)
        if own is None:
            own = {"type": "translation", "translation": [0.0] * len(axes)}
            said.append(own)
        before = own.get("translation")
        if isinstance(before, list) and len(before) == len(axes):
            own["translation"] = [float(a) + n * step for a, n, step in zip(before, cut, steps, strict=True)]
        level["coordinateTransformations"] = said


def _axis(letter: str, image: Image) -> Json:
    axis = {"name": letter.lower(), "type": KINDS_OF_AXES[letter]}
    if letter in "ZYX" and letter in image.scale:
        unit = {"um": "µm", "in": "inch"}.get(image.unit or "", image.unit)
        names = [name for name, symbol in LENGTHS_OF_ZARR.items() if symbol == unit]
        axis |= {"unit": names[0]} if names else {}
    elif letter == "T" and letter in image.scale:
        axis["unit"] = "second"
    return axis


def _level(path: str, axes: str, image: Image, ratio: Sequence[float]) -> Json:
    steps = [float(image.scale.get(a, 1.0)) * r for a, r in zip(axes, ratio, strict=True)]
    return {"path": path, "coordinateTransformations": [{"type": "scale", "scale": steps}]}


def _rescale(first: Json, said: Pyramid, axes: str, image: Image) -> None:
    """Set the pixel size of every level, unless it is what the file says already."""
    changed = {a: size for a, size in image.scale.items() if a in axes and not math.isclose(size, said.scale.get(a, 0))}
    if not changed and (image.unit == said.unit or not image.scale):
        return
    level, ndim = _scale_of(first["datasets"][0]), len(axes)
    for axis in list(first["axes"]):
        place = first["axes"].index(axis)
        first["axes"][place] = {**(axis if isinstance(axis, dict) else {}), **_axis(axes[place], image)}
    first.pop("coordinateTransformations", None)
    for one in first["datasets"]:
        own = _scale_of(one) or [1.0] * ndim
        ratio = [a / b if b else 1.0 for a, b in zip(own, level or [1.0] * ndim, strict=True)]
        one["coordinateTransformations"] = _level("", axes, image, ratio)["coordinateTransformations"]


def _set_names(ome: Json, image: Image, axes: str, new: bool) -> None:
    names = [str(name) for name in image.meta.get("channels") or []]
    colours = [""] * len(names)
    if "S" in image.axes:
        count = image.sizes["S"]
        names = [*(("red", "green", "blue") if count > 2 else ("grey",)), "alpha"][:count]
        colours = list(COLOURS_OF_SAMPLES[:count]) if count > 2 else ["FFFFFF"] * count
    listed = (ome.get("omero") or {}).get("channels") if isinstance(ome.get("omero"), dict) else None
    count = image.sizes.get("C", image.sizes.get("S", 1))
    if listed and len(listed) == count:
        for one, name in zip(listed, names, strict=False):
            if str(one.get("label", "")) != name and ("label" in one or not name.startswith("channel ")):
                one["label"] = name
        return
    ome.pop("omero", None)
    if len(names) == count and "C" in axes:
        top = _brightest(image)
        window = {"start": 0, "end": top, "min": 0, "max": top}
        ome["omero"] = {"channels": [
            {"label": name, "color": colour or "FFFFFF", "active": True, "window": dict(window)}
            for name, colour in zip(names, colours, strict=True)
        ]}  # fmt: skip


def _brightest(image: Image) -> float:
    import numpy as np

    return float(np.iinfo(image.data.dtype).max) if image.data.dtype.kind in "ui" else 1.0


def _set_texts(attributes: Json, first: Json, image: Image) -> None:
    """Say what hush did, and describe the image."""
    attributes.pop("hush", None)
    if image.meta.get("hush"):
        attributes["hush"] = json.loads(json.dumps(dict(image.meta["hush"]), default=str))
    text = str(image.meta.get("description") or "")
    if text != description(first):
        first["metadata"] = {**(first.get("metadata") or {}), "description": text}


def description(first: Json) -> str:
    """Return the description of an image."""
    said = first.get("metadata")
    return str(said.get("description") or "") if isinstance(said, dict) else ""


def write_group(folder: Path, attributes: Json, form: int) -> None:
    """Write the metadata of a group."""
    folder.mkdir(parents=True, exist_ok=True)
    if form == 2:
        (folder / ".zgroup").write_text('{\n  "zarr_format" : 2\n}', "utf-8")
        (folder / ".zattrs").write_text(json.dumps(attributes, indent=2), "utf-8")
    else:
        whole = {"attributes": attributes, "zarr_format": 3, "node_type": "group"}
        (folder / "zarr.json").write_text(json.dumps(whole, indent=2), "utf-8")


def write_array(folder: Path, old: Node, shape: Sequence[int], dtype: Any) -> None:
    """Write the metadata of an array: those of `old`, of another shape and kind of numbers."""
    folder.mkdir(parents=True, exist_ok=True)
    whole = copy.deepcopy(old.json) | {"shape": list(shape)}
    if old.format == 2:
        if not _same_v2(whole["dtype"], dtype):
            whole |= {"dtype": dtype.str.replace(">", "<"), "fill_value": 0, "filters": None}
        (folder / ".zarray").write_text(json.dumps(whole, indent=2), "utf-8")
        if old.attributes:
            (folder / ".zattrs").write_text(json.dumps(old.attributes, indent=2), "utf-8")
        return
    if whole["data_type"] != dtype.name:
        whole |= {"data_type": dtype.name, "fill_value": False if dtype.kind == "b" else 0}
        _retype(whole["codecs"], dtype)
    (folder / "zarr.json").write_text(json.dumps(whole, indent=2), "utf-8")


def _same_v2(said: Any, dtype: Any) -> bool:
    return isinstance(said, str) and said.lstrip("<>|=") == dtype.str.lstrip("<>|=")


def _retype(codecs: list[Json], dtype: Any) -> None:
    """Let codecs serve numbers of another kind."""
    for codec in codecs:
        settings = codec.setdefault("configuration", {})
        if codec["name"] == "bytes" and dtype.itemsize > 1:
            settings.setdefault("endian", "little")
        elif codec["name"] == "blosc":
            settings["typesize"] = dtype.itemsize
        elif codec["name"] == "sharding_indexed":
            _retype(settings["codecs"], dtype)
