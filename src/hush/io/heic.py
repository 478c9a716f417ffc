"""HEIC and HEIF: photographs of phones, 8 to 12 bits; read only, their results are AVIF.

The one free encoder (x265) is under the GPL, so hush does not bring it. An .avif file holds the same bits, EXIF,
profile and XMP.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from hush.core.errors import FormatError
from hush.core.image import Image
from hush.io import _exif
from hush.io._common import check_claim, choose, need, settle_axes

SUFFIXES = (".heic", ".heif", ".heics", ".heifs", ".hif")
MAGIC_AT = 4
MAGIC = (b"ftypheic", b"ftypheix", b"ftyphevc", b"ftyphevx", b"ftypheim", b"ftypheis", b"ftypmif1", b"ftypmsf1")
CHOICES = "picture"
INSTEAD = ".avif"
EXTRA = "photo"
NEEDS = ("pi_heif",)

PACKED_HEIC = 10**6  # bytes that a byte becomes at most: blocks of 64x64 that are like their neighbours take a bit
SAMPLES_OF_HEIC = {"L": 1, "LA": 2, "La": 2, "RGB": 3, "RGBA": 4, "RGBa": 4}


def read(path: Path, axes: str | None, *, choice: int | str | None = None) -> Image:
    """Read one picture, the main one unless another is named, turned as the file says; 10 and 12 bits are uint16."""
    heif = need("pi_heif", EXTRA)
    size = path.stat().st_size
    file = heif.open_heif(path, convert_hdr_to_8bit=False, hdr_to_16bit=False)
    count = len(file)
    if not count:
        raise FormatError("it holds no picture")
    number = file.primary_index if choice is None else choose(choice, [""] * count, CHOICES)
    picture = file[number]
    width, height = picture.size
    check_claim(width * height, size, PACKED_HEIC, size)
    mode, _, wide = str(picture.mode).partition(";")
    if mode not in SAMPLES_OF_HEIC:
        raise FormatError(f"its pixels are {picture.mode}, which is not read; possible: {', '.join(SAMPLES_OF_HEIC)}")
    data = np.array(picture)
    chosen, _ = settle_axes(data.shape, axes, "YXS" if data.ndim == 3 else "YX")
    info = picture.info
    found = {key: bytes(info.get(name) or b"") for key, name in
             {"exif": "exif", "icc": "icc_profile", "xmp": "xmp"}.items()}  # fmt: skip
    meta: dict[str, Any] = {"warnings": [], "description": _exif.description_of(found["exif"])}
    meta["embedded"] = _exif.embedded(**found, orientation=1)  # it has been turned
    bits = int(info.get("bit_depth") or 8)
    if wide and bits > 8:
        meta["embedded"]["bits"] = bits
    if count > 1 and choice is None:
        meta["warnings"].append(f"it holds {count} pictures; this is the main one, number {number}")
    for name, what in (("depth_images", "a map of distances"), ("aux", "further images of its own (auxiliary)")):
        if info.get(name):
            meta["warnings"].append(f"it holds {what}, which is not read")
    return Image(data, chosen, meta=meta)
