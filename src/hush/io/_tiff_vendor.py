"""The pixel size that a microscope's maker put into a tag of its own."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

from hush.io._common import positive
from hush.io._tiff_tags import Tag

FEI, ZEISS, MICROMANAGER = (34680, 34682), 34118, 51123

NANOMETRES = {"pm": 1e-3, "nm": 1.0, "um": 1e3, "µm": 1e3, "μm": 1e3, "mm": 1e6, "m": 1e9}

Size = tuple[dict[str, float], str | None]


def size(tags: Iterable[Tag]) -> Size:
    r"""Return the pixel size and its unit; empty and None where no known tag states one.

    Examples
    --------
    >>> size([Tag(34682, 2, b"[Scan]\r\nPixelWidth=2e-9\r\nPixelHeight=4e-9\r\n")])
    ({'X': 2.0, 'Y': 4.0}, 'nm')
    """
    for tag in tags:
        text = tag.body.decode("cp1252", "replace")
        if tag.code in FEI:
            found = _fei(text), "nm"
        elif tag.code == ZEISS:
            found = _zeiss(text), "nm"
        elif tag.code == MICROMANAGER:
            found = _micromanager(text), "µm"
        else:
            continue
        if found[0]:
            return found
    return {}, None


def _fei(text: str) -> dict[str, float]:
    """FEI and Thermo Fisher: metres, in lines like those of an INI file."""
    wide, high = (re.search(rf"^Pixel{side}=(\S+)", text, re.MULTILINE) for side in ("Width", "Height"))
    sides = {axis: positive(side[1]) for axis, side in (("X", wide), ("Y", high)) if side}
    return {axis: float(f"{value * 1e9:.12g}") for axis, value in sides.items() if value}


def _zeiss(text: str) -> dict[str, float]:
    """Zeiss SmartSEM: a name, then a line like 'Image Pixel Size = 5.1 nm'."""
    said = re.search(r"^AP_(?:IMAGE_)?PIXEL_SIZE\b[^=]*=\s*([\d.eE+-]+)\s*(\w+)", text, re.MULTILINE)
    value = positive(said[1]) if said else None
    if said is None or value is None or said[2] not in NANOMETRES:
        return {}
    return dict.fromkeys("XY", float(f"{value * NANOMETRES[said[2]]:.12g}"))


def _micromanager(text: str) -> dict[str, float]:
    """Micro-Manager: JSON, where an uncalibrated pixel is 0."""
    try:
        value = positive(json.loads(text.rstrip("\0")).get("PixelSizeUm"))
    except (ValueError, AttributeError):
        return {}
    return dict.fromkeys("XY", value) if value else {}
