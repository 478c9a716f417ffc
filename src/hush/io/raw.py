"""Raw photographs of camera makers (CR2, NEF, ARW, RAF ...), read through LibRaw; their results are DNG."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from hush.core.errors import FormatError
from hush.core.image import Image
from hush.io import _tiff_tags
from hush.io._common import need, settle_axes
from hush.io._dng_mosaic import CELL, Mosaic
from hush.io._dng_new import Camera, shot
from hush.io._tiff_tags import Form, Tag

SUFFIXES = (
    ".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dcr", ".erf", ".iiq", ".k25", ".kdc", ".mef", ".mos", ".mrw", ".nef",
    ".nrw", ".orf", ".pef", ".raf", ".rw2", ".rwl", ".sr2", ".srf", ".srw", ".x3f",
)  # fmt: skip
INSTEAD = ".dng"
EXTRA, NEEDS = "photo", ("rawpy",)

MAKER_NOTE, MAKE, MODEL = 37500, 271, 272
EXIF, GPS, EXPOSURE = 34665, 34853, 33434
UNKNOWN_COLOURS = "the colours of its sensor are not known: a DNG that is written of it has those of sRGB"
# of the first list of tags: description, maker, orientation, date, artist, copyright, XMP, and what TIFF/EP has of EXIF
COPIED = {270, MAKE, MODEL, 274, 306, 315, 700, 33432, EXPOSURE, 33437, 34850, 34855, EXIF, GPS, *range(36867, 37397)}


def read(path: Path, axes: str | None) -> Image:
    """Read the mosaic of the sensor as planes R, G1, G2, B of half its size; see `hush.io.dng.read`.

    A DNG that is written of it has all of EXIF but the maker's own note, which holds places in the old file.

    Raises
    ------
    FormatError
        Without rawpy, for sensors without a mosaic of 2 x 2 pixels, and for pictures that are no mosaic any more.
    """
    rawpy = need("rawpy", EXTRA)
    with path.open("rb") as file, rawpy.imread(file) as raw:
        if raw.raw_type != rawpy.RawType.Flat or raw.raw_pattern is None:
            raise FormatError(
                "it holds no mosaic (several colours a pixel, or a small raw picture): convert it to a linear DNG, or "
                "develop it into a TIFF of 16 bits"
            )
        camera = _camera(raw, *_tags(path))
    data = camera.mosaic.planes(camera.frame)
    black = camera.mosaic.in_order(camera.black)
    meta: dict[str, Any] = {
        "channels": camera.mosaic.names,
        "camera": {"black": black, "white": camera.white, "pattern": camera.mosaic.pattern},
        "dng": camera,
        "warnings": [] if camera.matrix else [UNKNOWN_COLOURS],
    }
    return Image(data, settle_axes(data.shape, axes, "CYX")[0], meta=meta)


def _camera(raw: Any, tags: tuple[Tag, ...], order: str) -> Camera:
    """Gather what a DNG needs of an opened raw file."""
    sizes, pattern = raw.sizes, raw.raw_pattern
    names = raw.color_desc.decode("ascii", "replace")
    area = (sizes.top_margin, sizes.left_margin, sizes.top_margin + sizes.height, sizes.left_margin + sizes.width)
    frame = np.array(raw.raw_image)
    colours = "".join(names[number] for row in pattern for number in row)
    mosaic = Mosaic.of(area, frame.shape, pattern.shape, colours)
    if set(colours) != set("RGB"):
        raise FormatError(
            f"its sensor measures {'/'.join(dict.fromkeys(colours))}, and only red, green and blue are read"
        )
    levels = raw.black_level_per_channel
    balance = [float(value) for value in (raw.camera_whitebalance or ())][:3]
    usable = len(balance) == 3 and all(np.isfinite(balance)) and min(balance) > 0
    matrix = np.asarray(raw.rgb_xyz_matrix, float)[:3].ravel()
    text = {tag.code: tag.body.rstrip(b"\0 ").decode("latin-1") for tag in tags if tag.code in (MAKE, MODEL)}
    make, model = text.get(MAKE, ""), text.get(MODEL, "")
    return Camera(
        frame=frame,
        mosaic=mosaic,
        black=[float(levels[number]) for row in pattern for number in row],
        white=int(raw.white_level),
        neutral=[balance[1] / value for value in balance] if usable else [],
        matrix=[float(value) for value in matrix] if matrix.any() else [],
        crop=_crop(sizes),
        model=model if make.split(" ")[0] in model else f"{make} {model}".strip(),
        tags=tags if {EXIF, EXPOSURE} & {tag.code for tag in tags} else (*tags, *shot(raw.other, order)),
        order=order,
    )


def _crop(sizes: Any) -> tuple[int, int, int, int] | None:
    """Return what the maker wants to be shown of the active area, where that lies in it."""
    try:
        wide, high = int(sizes.crop_width), int(sizes.crop_height)
        left, top = int(sizes.crop_left_margin) - sizes.left_margin, int(sizes.crop_top_margin) - sizes.top_margin
    except AttributeError:  # an older rawpy
        return None
    inside = min(left, top) >= 0 and left + wide <= sizes.width and top + high <= sizes.height
    return (left, top, wide, high) if inside and min(wide, high) >= CELL else None


def _tags(path: Path) -> tuple[tuple[Tag, ...], str]:
    """Return the tags that are copied from a raw file that is a TIFF, as most are, and their byte order."""
    with path.open("rb") as file:
        head = file.read(16)
        order = {b"II": "<", b"MM": ">"}.get(head[:2])
        if order is None or path.suffix.lower() == ".crw":
            return (), "<"
        at = int.from_bytes(head[4:8], "little" if order == "<" else "big")
        found = _tiff_tags.read(file, Form(order, False), at)
    kept = []
    for tag in found:
        if tag.code not in COPIED or (tag.code in (EXIF, GPS) and not tag.inside):
            continue
        inside = tuple(one for one in tag.inside if one.code != MAKER_NOTE)
        kept.append(Tag(tag.code, tag.kind, tag.body, inside))
    return tuple(kept), order
