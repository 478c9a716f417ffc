"""ND2 of Nikon: one position of a file, with times, volumes and channels; read only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from hush.core.errors import FormatError
from hush.core.image import Array, Image
from hush.io import _zarr_pieces
from hush.io._common import LETTERS, check_claim, choose, need, positive, settle_axes

SUFFIXES = (".nd2",)
MAGIC = (b"\xda\xce\xbe\x0a",)
CHOICES = "position"
EXTRA = "microscopy"
NEEDS = ("nd2",)
PACKED_ND2 = 1032  # bytes that a byte of a compressed frame becomes at most


def read(path: Path, axes: str | None, *, choice: int | str | None = None) -> Image:
    """Read one position, the first unless another is named; pixel sizes in µm, the time step in seconds."""
    nd2 = need("nd2", EXTRA)
    with _opened(nd2, path) as file:
        sizes = {axis: size for axis, size in file.sizes.items() if axis != "P"}
        names = _positions(file)
        number = choose(choice, names, CHOICES)
        unknown = {axis: size for axis, size in sizes.items() if axis not in LETTERS and size > 1}
        if unknown:
            raise FormatError(f"it has axes {dict(file.sizes)}, more than T, C, Z, Y, X, S can name")
        sizes = {axis: size for axis, size in sizes.items() if axis in LETTERS}
        size = path.stat().st_size
        check_claim(int(np.prod(list(file.sizes.values()))) * file.dtype.itemsize, size, PACKED_ND2, size)
        data, declared = _pixels(file, sizes, number), "".join(sizes)
        scale = _scale(file)
        channels = [str(one.channel.name or "") for one in file.metadata.channels or []] if file.metadata else []
        description = str((file.text_info or {}).get("description", ""))
    chosen, _ = settle_axes(data.shape, axes, declared)
    meta: dict[str, Any] = {
        "channels": channels if len(channels) == sizes.get("C", 1) else [],
        "description": description,
    }
    if len(names) > 1 and choice is None:
        meta["warnings"] = [f"it holds {len(names)} positions; this is the first, {names[0]}"]
    scale = {axis: step for axis, step in scale.items() if axis in chosen}
    return Image(data, chosen, scale, "µm" if {*"XYZ"} & set(scale) else None, meta)


def _opened(nd2: Any, path: Path) -> Any:
    """Open a file; the library says of one that is cut short what bytes it met, and they are many."""
    try:
        return nd2.ND2File(path)
    except ValueError as error:
        raise FormatError("it is cut short or damaged: what says where its parts are is not at its end") from error


def _positions(file: Any) -> list[str]:
    """Return the names of the positions: of one there is always one."""
    count = file.sizes.get("P", 1)
    names = [str(place) for place in range(count)]
    for loop in file.experiment or []:
        if loop.type == "XYPosLoop" and len(loop.parameters.points) == count:
            names = [point.name or str(place) for place, point in enumerate(loop.parameters.points)]
    return names


def _pixels(file: Any, sizes: dict[str, int], position: int) -> Array:
    """Return the pixels of a position, frame by frame: a frame holds channels and colours."""
    shape = tuple(sizes.values())
    lead = [axis for axis in sizes if axis not in "CYXS"]
    data = _zarr_pieces.room(shape, np.dtype(file.dtype))
    inside = [axis for axis in sizes if axis in "CYXS"]
    for place, at in enumerate(file.loop_indices or [{}]):
        if at.get("P", 0) != position:
            continue
        index = tuple(at.get(axis, 0) if axis in lead else slice(None) for axis in sizes)
        data[index] = np.asarray(file.read_frame(place)).reshape([sizes[axis] for axis in inside])
    return data


def _scale(file: Any) -> dict[str, float]:
    size = file.voxel_size()
    steps = {"X": size.x, "Y": size.y, "Z": size.z}
    scale = {axis: float(step) for axis, step in steps.items() if positive(step) and step != 1}
    for loop in file.experiment or []:
        if loop.type in ("TimeLoop", "NETimeLoop"):
            told = [loop.parameters, *getattr(loop.parameters, "periods", [])][-1]
            between = getattr(getattr(told, "periodDiff", None), "avg", 0)
            if step := positive(between) or positive(getattr(told, "periodMs", 0)):
                scale["T"] = step / 1000
    return scale
