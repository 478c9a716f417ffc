"""CZI of Zeiss: one scene of a file, its mosaic put together, with times, volumes and channels; read only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from hush.core.errors import FormatError
from hush.core.image import Image
from hush.io import _zarr_pieces
from hush.io._common import check_claim, choose, need, positive, settle_axes

SUFFIXES = (".czi",)
MAGIC = (b"ZISRAWFILE",)
CHOICES = "scene"
EXTRA = "czi"
NEEDS = ("pylibCZIrw",)
KINDS_OF_CZI = {"Gray8": "u1", "Gray16": "u2", "Gray32Float": "f4", "Bgr24": "u1", "Bgr48": "u2", "Bgr96Float": "f4"}
PACKED_CZI = 5000  # bytes that a byte becomes at most, in JPEG XR or Zstandard, where nothing is between the tiles
METRE = 1e6  # micrometres


def read(path: Path, axes: str | None, *, choice: int | str | None = None) -> Image:
    """Read one scene, the first unless another is named; pixel sizes in µm, the time step in seconds.

    Axes of length one are left out. Of views, phases, rotations and illuminations the first is read, which is said.
    """
    czi = need("pylibCZIrw.czi", EXTRA)
    with czi.open_czi(str(path)) as file:
        said = _about(file)
        box, scenes = dict(file.total_bounding_box), dict(file.scenes_bounding_rectangle)
        names = _scenes(said, scenes)
        number = choose(choice, names, CHOICES)
        scene = list(scenes)[number] if scenes else None
        if "X" not in box or "Y" not in box:
            raise FormatError("it holds no image")
        where = scenes[scene] if scenes else czi.Rectangle(*_whole(box))
        kind, colours = _kind(file)
        first = {axis: span[0] for axis, span in box.items() if axis in "TCZ"}
        counts = {axis: max(1, box[axis][1] - box[axis][0]) if axis in box else 1 for axis in "TCZ"}
        shape = (*counts.values(), where.h, where.w, *((3,) if colours else ()))
        size = path.stat().st_size
        check_claim(int(np.prod(shape, dtype=np.int64)) * kind.itemsize, size, PACKED_CZI, size)
        data = _zarr_pieces.room(shape, kind)
        for at in np.ndindex(*counts.values()):
            plane = {axis: first[axis] + place for axis, place in zip("TCZ", at, strict=True) if axis in box}
            values = file.read(roi=(where.x, where.y, where.w, where.h), plane=plane, scene=scene)
            data[at] = values[..., ::-1] if colours else values[..., 0]
    declared = "TCZYX" + ("S" if colours else "")
    kept = [place for place, letter in enumerate(declared) if letter in "YXS" or shape[place] > 1]
    data = data.reshape([shape[place] for place in kept])
    chosen, _ = settle_axes(data.shape, axes, "".join(declared[place] for place in kept))
    remarks = [
        f"it has {span[1] - span[0]} of axis {axis}; the first is read"
        for axis, span in box.items()
        if axis not in "TCZYXMSB" and span[1] - span[0] > 1
    ]
    if len(names) > 1 and choice is None:
        remarks.append(f"it holds {len(names)} scenes ({', '.join(names)}); this is the first")
    channels = _channels(said)
    meta: dict[str, Any] = {"warnings": remarks, "channels": channels if len(channels) == counts["C"] else []}
    meta["description"] = str(_at(said, "Information", "Document", "Title") or "")
    scale = {axis: step for axis, step in _scale(said).items() if axis in chosen}
    return Image(data, chosen, scale, "µm" if {*"XYZ"} & set(scale) else None, meta)


def _whole(box: dict[str, tuple[int, int]]) -> tuple[int, int, int, int]:
    return box["X"][0], box["Y"][0], box["X"][1] - box["X"][0], box["Y"][1] - box["Y"][0]


def _kind(file: Any) -> tuple[np.dtype[Any], bool]:
    """Return the dtype of all channels, and whether they are colours."""
    kinds = sorted(set(file.pixel_types.values()))
    if len(kinds) != 1 or kinds[0] not in KINDS_OF_CZI:
        raise FormatError(
            f"its channels are of kind {', '.join(kinds) or 'none'}; possible is one for all: {', '.join(KINDS_OF_CZI)}"
        )
    return np.dtype(KINDS_OF_CZI[kinds[0]]), kinds[0].startswith("Bgr")


def _about(file: Any) -> dict[str, Any]:
    """Return the metadata as nested dicts; none where they are damaged."""
    try:
        said = file.metadata
    except Exception:  # an XML parser's, of its own kind
        return {}
    found = _at(said, "ImageDocument", "Metadata")
    return found if isinstance(found, dict) else {}


def _at(said: Any, *names: str) -> Any:
    for name in names:
        said = said.get(name) if isinstance(said, dict) else None
    return said


def _listed(said: Any) -> list[dict[str, Any]]:
    """Return what may be one or several as a list."""
    return [one for one in (said if isinstance(said, list) else [said]) if isinstance(one, dict)]


def _scenes(said: dict[str, Any], scenes: dict[int, Any]) -> list[str]:
    listed = _listed(_at(said, "Information", "Image", "Dimensions", "S", "Scenes", "Scene"))
    names = {str(one.get("@Index")): str(one.get("@Name") or "") for one in listed}
    return [names.get(str(number)) or str(number) for number in scenes] or ["0"]


def _channels(said: dict[str, Any]) -> list[str]:
    listed = _listed(_at(said, "Information", "Image", "Dimensions", "Channels", "Channel"))
    return [str(one.get("@Name") or one.get("Fluor") or f"channel {i}") for i, one in enumerate(listed, 1)]


def _scale(said: dict[str, Any]) -> dict[str, float]:
    scale = {}
    for one in _listed(_at(said, "Scaling", "Items", "Distance")):
        if one.get("@Id") in ("X", "Y", "Z") and (step := positive(one.get("Value"))):
            scale[str(one["@Id"])] = step * METRE
    times = _at(said, "Information", "Image", "Dimensions", "T", "Positions", "Interval", "Increment")
    if step := positive(times):
        scale["T"] = step
    return scale
