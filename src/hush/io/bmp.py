"""BMP: 8-bit grey, RGB, RGB with alpha, and single bits."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hush.core.image import Array, Image
from hush.io._common import check_claim, flat, refuse, settle_axes

if TYPE_CHECKING:
    from PIL.BmpImagePlugin import BmpImageFile

SUFFIXES = (".bmp",)
MAGIC = (b"BM",)
LONGEST_RUN = 128  # pixels that a byte of run lengths becomes at most: two are 255


def read(path: Path, axes: str | None) -> Image:
    """Read the picture; a palette becomes its colours, or grey when it holds only greys."""
    from PIL import BmpImagePlugin

    # the class itself, not Image.open: no limit on the size of honest pictures
    with BmpImagePlugin.BmpImageFile(path) as picture:
        _check_claim(path, picture)
        remarks = []
        if picture.mode == "P":
            data = np.array(picture.convert("RGB"))
            if (data == data[..., :1]).all():
                data = data[..., 0]
            remarks.append("its palette was replaced by the colours it stands for")
        else:
            data = np.array(picture)
        private = {"dpi": picture.info.get("dpi")}
    chosen, _ = settle_axes(data.shape, axes, "YXS" if data.ndim == 3 else "YX")
    meta: dict[str, Any] = {"warnings": remarks, "bmp": private}
    return Image(data, chosen, meta=meta)


def write(path: Path, image: Image) -> None:
    """Write 8-bit grey, RGB, RGBA, or single bits."""
    from PIL import Image as Pillow

    data = flat(image, "BMP")
    samples = data.shape[2] if data.ndim == 3 else 1
    fits = data.dtype == np.uint8 and (samples in (1, 3) or (samples == 4 and image.alpha))
    if not fits and not (data.dtype == bool and samples == 1):
        raise refuse("BMP", "8-bit grey, RGB and RGBA (uint8) and bool", data)
    dpi = (image.meta.get("bmp") or {}).get("dpi") or (96.0, 96.0)
    if samples == 4:
        path.write_bytes(_with_alpha(data, dpi))
    else:
        Pillow.fromarray(data).save(path, "BMP", dpi=dpi)


def create(path: Path, like: Image) -> None:
    """Return None: rows are stored from the bottom up and padded."""


def _check_claim(path: Path, picture: BmpImageFile) -> None:
    """Compare what the header claims with the length of the file; Pillow would ask for all its memory first."""
    size = path.stat().st_size
    tiles: Any = picture.tile
    for codec, _, start, details in tiles:
        if codec == "raw":
            stride, rows = details[1], picture.height
            check_claim(stride * rows - 3, size - start, 1, size)  # the last row may lack its padding
        else:
            check_claim(picture.width * picture.height, size - start, LONGEST_RUN, size)


def _with_alpha(data: Array, dpi: tuple[float, float]) -> bytes:
    """Return a file with the version 4 header, the first that states where alpha is."""
    height, width = data.shape[:2]
    body: bytes = data[::-1, :, [2, 1, 0, 3]].tobytes()  # bottom up, BGRA
    per_metre = [round(value / 0.0254) for value in dpi]
    start = 14 + 108
    head = struct.pack("<2sIII", b"BM", start + len(body), 0, start)
    info = struct.pack("<IiiHHIIiiII", 108, width, height, 1, 32, 3, len(body), *per_metre, 0, 0)
    masks = struct.pack("<IIII4s48x", 0xFF0000, 0xFF00, 0xFF, 0xFF000000, b"BGRs")
    return head + info + masks + body
