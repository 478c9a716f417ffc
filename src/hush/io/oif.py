"""OIB and OIF of Olympus: times, volumes and channels; read only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from hush.core.errors import FormatError
from hush.core.image import Image
from hush.io._common import LETTERS, choose, need, positive, settle_axes
from hush.io._tiff_ome import OME_MICRONS, SECONDS

SUFFIXES = (".oib", ".oif")
CHOICES = "series"
EXTRA = "microscopy"
NEEDS = ("oiffile",)
MOST_AXES = 9  # that its settings describe


def read(path: Path, axes: str | None, *, choice: int | str | None = None) -> Image:
    """Read the pixels; their size in µm, the time step in seconds."""
    oiffile = need("oiffile", EXTRA)
    with oiffile.OifFile(str(path)) as file:
        if not file.series:
            raise FormatError("it holds no image")
        number = choose(choice, [str(place) for place in range(len(file.series))], CHOICES)
        data = np.asarray(file.asarray(series=number))
        declared = str(file.series[number].axes)
        declared += "YX" if len(declared) == data.ndim - 2 else "YXS" if len(declared) == data.ndim - 3 else ""
        said = {key: dict(value) for key, value in file.mainfile.items() if hasattr(value, "items")}
    kept = [place for place, letter in enumerate(declared) if letter in LETTERS or data.shape[place] > 1]
    declared = "".join(declared[place] for place in kept)
    data = data.reshape([data.shape[place] for place in kept])
    if axes is None and not ({*"YX"} <= set(declared) <= set(LETTERS)):
        raise FormatError(f"its axes are {declared}, which hush does not know; name them, e.g. --axes TZYX")
    chosen, _ = settle_axes(data.shape, axes, declared)
    scale = {axis: step for axis, step in _scale(said).items() if axis in chosen}
    about = [said.get(f"Channel {number + 1} Parameters", {}) for number in range(_count(data, chosen))]
    names = [str(one.get(_named(one)) or "") for one in about]
    meta: dict[str, Any] = {"channels": names if all(names) else []}
    meta["description"] = str(said.get("File Info", {}).get("UserComment", "")).strip()
    return Image(data, chosen, scale, "µm" if {*"XYZ"} & set(scale) else None, meta)


def _named(about: dict[str, Any]) -> str:
    """Return which entry names a channel: its dye, or the detector where there is none."""
    return "DyeName" if str(about.get("DyeName") or "None") != "None" else "CH Name"


def _count(data: Any, axes: str) -> int:
    return int(data.shape[axes.index("C")]) if "C" in axes else 1


def _scale(said: dict[str, Any]) -> dict[str, float]:
    """Return the distance of neighbours along every axis: an interval, or the length by the number of pixels."""
    scale = {}
    for place in range(MOST_AXES):
        about = said.get(f"Axis {place} Parameters Common", {})
        axis, unit = str(about.get("AxisCode", "")), str(about.get("PixUnit", "")).replace("um", "µm")
        factor = SECONDS.get(unit) if axis == "T" else OME_MICRONS.get(unit) if axis in {*"XYZ"} else None
        count = positive(about.get("MaxSize"))
        if factor is None or count is None or count < 2:
            continue
        try:
            length = abs(float(about["EndPosition"]) - float(about["StartPosition"]))
        except (KeyError, TypeError, ValueError):
            continue
        step = positive(about.get("Interval")) or positive(length / (count if axis in "XY" else count - 1))
        if step:
            scale[axis] = step * factor
    return scale
