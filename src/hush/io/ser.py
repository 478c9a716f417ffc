"""SER of FEI's TIA: a series of images of one size, with their pixel size; read only.

A header, then an array of the offsets of all elements; every element states its calibration, kind and size. Layout:
C. Boothroyd, http://www.er-c.org/cbb/info/TIAformat.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np

from hush.core.errors import FormatError
from hush.core.image import Image
from hush.io import _zarr_pieces
from hush.io._common import check_claim, positive, settle_axes

SUFFIXES = (".ser",)
MAGIC = (b"II\x97\x01",)
PLANES_OF_SER = 0x4122  # kind of element: two axes
KINDS_OF_SER = {1: "u1", 2: "<u2", 3: "<u4", 4: "i1", 5: "<i2", 6: "<i4", 7: "<f4", 8: "<f8"}
LONG_OFFSETS = 0x0220  # version from which on offsets have 64 bits
ELEMENT_OF_SER = 50  # bytes before the pixels
METRE = 1e6  # micrometres


def read(path: Path, axes: str | None) -> Image:
    """Read all images of the series: of several T is guessed."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(30)
        try:
            version, kind, _, total, valid = struct.unpack_from("<HIIII", head, 4)
            wide = "Q" if version >= LONG_OFFSETS else "I"
            start = struct.unpack_from(f"<{wide}", head, 22)[0]
            if kind != PLANES_OF_SER:
                raise FormatError("it holds spectra, and no images")
            if not 0 < valid <= total or start + total * struct.calcsize(wide) > size:
                raise FormatError(f"it is cut short or damaged: it claims {valid} images, and has {size} bytes")
            file.seek(start)
            places = struct.unpack(f"<{valid}{wide}", file.read(valid * struct.calcsize(wide)))
            elements = [_element(file, place) for place in places]
        except struct.error as error:
            raise FormatError(f"it is cut short: it ends at byte {size}, within a header") from error
        steps, number, shape = elements[0]
        if any(one[1:] != (number, shape) for one in elements) or number not in KINDS_OF_SER or 0 in shape:
            raise FormatError("its images differ in size or kind, or are complex; export them one by one")
        dtype = np.dtype(KINDS_OF_SER[number])
        nbytes = shape[0] * shape[1] * dtype.itemsize
        for place in places:
            check_claim(nbytes, size - place - ELEMENT_OF_SER, 1, size)
        data = _zarr_pieces.room((valid, *shape), dtype.newbyteorder("="))
        for target, place in zip(data, places, strict=True):
            file.seek(place + ELEMENT_OF_SER)
            target[...] = np.frombuffer(file.read(nbytes), dtype).reshape(shape)[::-1]  # stored from the bottom up
    data = data if valid > 1 else data[0]
    chosen, _ = settle_axes(data.shape, axes, "TYX" if valid > 1 else "YX")
    scale = {axis: step * METRE for axis, step in zip("XY", steps, strict=True) if positive(step) and step < 1e-3}
    meta: dict[str, Any] = (
        {"guessed": f"axes TYX guessed from shape {data.shape}"} if valid > 1 and axes is None else {}
    )
    return Image(data, chosen, scale, "µm" if scale else None, meta)


def _element(file: Any, place: int) -> tuple[tuple[float, float], int, tuple[int, int]]:
    """Return pixel size (X, Y), kind of number and shape of an image."""
    file.seek(place)
    raw = file.read(ELEMENT_OF_SER)
    _, across, _, _, down, _, number, width, height = struct.unpack("<ddiddiHII", raw)
    return (across, down), number, (height, width)
