"""NPY: one bare array; large ones are memory-mapped."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from hush.core.errors import FormatError
from hush.core.image import Array, Image
from hush.io._common import MAP_FROM, check_claim, settle_axes

SUFFIXES = (".npy",)
MAGIC = (b"\x93NUMPY",)
HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def read(path: Path, axes: str | None) -> Image:
    """Read an array; its axes are guessed unless given."""
    _check_claim(path)
    try:
        data = np.lib.format.open_memmap(path, mode="r")
    except ValueError as error:
        if "Python objects" in str(error):
            raise FormatError("it holds Python objects, not numbers") from error
        raise
    axes, guessed = settle_axes(data.shape, axes, None)
    meta = {"guessed": guessed} if guessed else {}
    image = Image(data, axes, meta={**meta, "npy": {}})  # checks the kind of numbers first
    if data.nbytes < MAP_FROM:
        image = Image(np.array(data, order="K", subok=False), axes, meta=image.meta)
    return image


def _check_claim(path: Path) -> None:
    """Compare the shape in the header with the length of the file: counted in Python, whose numbers do not overflow."""
    with path.open("rb") as file:
        version = np.lib.format.read_magic(file)
        if version not in HEADERS:
            return
        shape, _, dtype = HEADERS[version](file)
        size = path.stat().st_size
        if min(shape, default=1) < 0:
            raise FormatError(f"it is damaged: its shape is {shape}")
        if not dtype.hasobject:
            check_claim(math.prod(shape) * dtype.itemsize, size - file.tell(), 1, size)


def write(path: Path, image: Image) -> None:
    """Write the array; NPY holds neither axes nor pixel size."""
    with path.open("wb") as file:
        np.lib.format.write_array(file, np.asanyarray(image.data), allow_pickle=False)


def create(path: Path, like: Image) -> Array:
    """Return a writable memory map, in the order (C or Fortran) of `like`."""
    flags = like.data.flags
    fortran = bool(flags.f_contiguous and not flags.c_contiguous)
    return np.lib.format.open_memmap(path, "w+", like.data.dtype, tuple(like.data.shape), fortran)
