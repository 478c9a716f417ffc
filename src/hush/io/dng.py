"""DNG: raw photographs, the mosaic of the sensor as planes of one colour each; linear ones as colours."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hush.core.errors import FormatError
from hush.core.image import Array, Image
from hush.io import _dng_facts as facts_of
from hush.io import _dng_new, _dng_pixels
from hush.io._common import settle_axes, to_note, without_note
from hush.io._dng_tags import Patched

SUFFIXES = (".dng",)


def read(path: Path, axes: str | None) -> Image:
    """Read the raw picture: a mosaic as planes R, G1, G2, B of half its size, a linear one as colours.

    Values are those of the sensor: they lie below the black level where noise is darker, and are not balanced.
    ``meta["camera"]`` has ``pattern``, ``black`` (of every plane), ``white`` and, where the file states it, ``noise``
    (of every plane). Where values are stored on a curve, they are made linear.
    """
    raw = path.read_bytes()
    file = Patched(raw)
    facts = facts_of.look(file)
    frame = _dng_pixels.decode(file, facts)
    meta = facts_of.meta(file, facts)
    if facts.mosaic is not None:
        data, declared = facts.mosaic.planes(frame), "CYX"
    else:
        data, declared = frame, "YXS" if frame.ndim == 3 else "YX"
        meta["alpha"] = False
    return Image(data, settle_axes(data.shape, axes, declared)[0], meta=meta | {"dng": raw})


def write(path: Path, image: Image) -> None:
    """Write the file that was read with other pixels in it, or a new one for those of another raw file.

    All else stays where it is: what is outside of the active area, previews too small to show noise, notes of the
    camera's maker. Large previews, digests of the old pixels, and the noise that was stated are left out where pixels
    have changed.
    """
    source = image.meta.get("dng")
    if source is None:
        raise FormatError(
            "a DNG is written only of a raw file (DNG, CR2, NEF, ARW ...), whose levels and colours it needs, and this "
            "image comes from none; write a .tif file"
        )
    note = to_note(image.meta.get("hush"))
    if isinstance(source, _dng_new.Camera):
        planes = _ordered(image, "CYX", source.frame.dtype, len(source.mosaic.pattern))
        _dng_new.write(path, source, planes, note or "hush")
        return
    file = Patched(source)
    facts = facts_of.look(file)
    old = _dng_pixels.decode(file, facts)
    axes = "CYX" if facts.mosaic else "YXS" if old.ndim == 3 else "YX"
    pixels = _ordered(image, axes, old.dtype, 4 if facts.mosaic else facts.samples)
    if old.dtype.kind == "u" and not facts.table:
        pixels = np.minimum(pixels, old.dtype.type(2**facts.bits - 1))
    if pixels.shape != (facts.mosaic.shape if facts.mosaic else old.shape):
        _dng_new.write_piece(path, source, facts, pixels, _software(file, note))
        return
    frame = facts.mosaic.joined(old, pixels) if facts.mosaic else pixels
    if not np.array_equal(frame, old, equal_nan=frame.dtype.kind == "f"):
        _replace(file, facts, frame, note)
    path.write_bytes(file.data)


def _replace(file: Patched, facts: facts_of.Facts, frame: Array, note: str) -> None:
    """Put other pixels into a file, and take out what is not true of them."""
    facts_of.without_previews(file, facts)
    _dng_pixels.encode(file, facts, frame)
    _dng_pixels.forget(file, facts)
    if note:
        file.put(facts.folder, facts_of.NOISE_REDUCTION, 5, [1, 1])
    file.save(facts.folder)
    first = file.folders[0]
    if note:
        file.put(first, facts_of.SOFTWARE, 2, _software(file, note).encode("latin-1", "replace") + b"\0")
        file.save(first)
    file.trim()


def _software(file: Patched, note: str) -> str:
    """Return what is said to have made a file: what did before, and hush."""
    old = without_note(file.body(file.folders[0], facts_of.SOFTWARE).decode("latin-1").rstrip("\0"))
    return " | ".join(part for part in (old, note) if part)


def _ordered(image: Image, axes: str, dtype: np.dtype, count: int) -> Array:
    """Return the pixels with axes in the file's order, in its kind of numbers.

    Raises
    ------
    FormatError
        When the image has become another one, or has numbers that the file cannot hold.
    """
    kind = image.data.dtype.kind
    if sorted(image.axes) != sorted(axes) or (len(axes) > 2 and image.sizes[axes.strip("YX")] != count):
        raise FormatError(
            f"this DNG holds {count} planes with axes {axes}, and the image has axes {image.axes} of shape "
            f"{tuple(image.data.shape)}; write a .tif file"
        )
    if kind not in "ui" and dtype.kind != kind:
        raise FormatError(f"this DNG holds {dtype}, not {image.data.dtype}; write a .tif file, or leave --float out")
    data = np.asarray(image.data).transpose([image.axes.index(axis) for axis in axes])
    if dtype.kind == "u" and data.dtype != dtype:
        data = np.clip(data, 0, np.iinfo(dtype).max)
    return data.astype(dtype, copy=False)
