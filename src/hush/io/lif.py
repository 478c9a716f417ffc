"""LIF of Leica: one image of a file, with times, volumes and channels; read only."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from hush.core.errors import FormatError
from hush.core.image import Image
from hush.io._common import LETTERS, check_claim, choose, need, positive, settle_axes
from hush.io._zarr_pieces import SPOOL_FROM

SUFFIXES = (".lif", ".lof")
CHOICES = "image"
EXTRA = "microscopy"
NEEDS = ("liffile",)
METRE = 1e6  # micrometres


def read(path: Path, axes: str | None, *, choice: int | str | None = None) -> Image:
    """Read one image, the first unless another is named; pixel sizes in µm, the time step in seconds.

    Planes that were scanned in X and Z are read as planes of Y and X, and a remark says so.
    """
    liffile = need("liffile", EXTRA)
    with liffile.LifFile(path) as file:
        names = [str(image.path) for image in file.images]
        if not names:
            raise FormatError("it holds no image")
        number = choose(choice, names, CHOICES)
        stored = file.images[number]
        sizes = dict(stored.sizes)
        size = path.stat().st_size
        wanted = math.prod(sizes.values()) * stored.dtype.itemsize
        if path.suffix.lower() == ".lif":
            check_claim(wanted, size, 1, size)
        data = np.asarray(stored.asarray(out="memmap" if wanted >= SPOOL_FROM else None))
        scale = _scale(stored)
        channels = [one.get("LUTName", "") for one in stored.xml_element.iter("ChannelDescription")]
    letters, remarks = list(sizes), []
    if "Y" not in letters and "Z" in letters:
        letters[letters.index("Z")] = "Y"
        scale |= {"Y": scale.pop("Z")} if "Z" in scale else {}
        remarks.append("its planes were scanned in X and Z: Z is called Y")
    kept = [place for place, letter in enumerate(letters) if letter in LETTERS or data.shape[place] > 1]
    declared = "".join(letters[place] for place in kept)
    data = data.reshape([data.shape[place] for place in kept])
    if axes is None and not ({*"YX"} <= set(declared) <= set(LETTERS)):
        raise FormatError(f"its axes are {declared}, which hush does not know; name them, e.g. --axes TZYX")
    chosen, _ = settle_axes(data.shape, axes, declared)
    if len(names) > 1 and choice is None:
        remarks.append(f"it holds {len(names)} images ({', '.join(names)}); this is the first")
    meta: dict[str, Any] = {"warnings": remarks, "description": names[number]}
    meta["channels"] = channels if len(set(channels)) == len(channels) == sizes.get("C", 1) and all(channels) else []
    scale = {axis: step for axis, step in scale.items() if axis in chosen}
    return Image(data, chosen, scale, "µm" if {*"XYZ"} & set(scale) else None, meta)


def _scale(stored: Any) -> dict[str, float]:
    """Return the mean distance of neighbours along every axis that says where its pixels are."""
    scale = {}
    for axis, places in stored.coords.items():
        places = np.asarray(places)
        if axis not in "TZYX" or len(places) < 2 or places.dtype.kind not in "fiu":
            continue
        if step := positive(abs(float(places[-1]) - float(places[0])) / (len(places) - 1)):
            scale[axis] = step * (1 if axis == "T" else METRE)
    return scale
