"""NIfTI: volumes and series of magnetic resonance imaging, .nii and .nii.gz; pairs of .hdr and .img are read."""

from __future__ import annotations

import gzip
import math
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import numpy as np

from hush.core.errors import FormatError
from hush.core.image import Array, Image
from hush.io import _nifti_header as headers
from hush.io._common import MAP_FROM, check_claim, left_over, settle_axes

SUFFIXES = (".nii", ".nii.gz", ".img")
GZIP = b"\x1f\x8b\x08"
DEFLATED_MOST = 1032  # bytes that one of deflate becomes at most
TEMPORARY_FROM = 512 * 2**20  # unpacked bytes; more of them go into a temporary file, not into memory
PIECE = 2**24  # bytes that are unpacked at once


def read(path: Path, axes: str | None) -> Image:
    """Read a volume or a series of volumes: the values that are stored, before slope and intercept.

    X runs fastest in the file, so the array is the file's with its axes named the other way round: (T, Z, Y, X).
    """
    head, pixels = _pair(path)
    size = pixels.stat().st_size
    with _opened(head) as file:
        header = headers.parse(file.read(540))
    shape, declared = headers.shape_of(header)
    dtype = headers.dtype_of(header)
    start = _start(header)
    packed = _is_packed(pixels)
    check_claim(start + math.prod(shape) * dtype.itemsize, size, DEFLATED_MOST if packed else 1, size)
    with _opened(head) as file:
        before = file.read(-1 if header.is_pair else start)
    headers.take_extensions(header, before[len(header.raw) :])
    if not packed:
        header.warnings += left_over(size - start - math.prod(shape) * dtype.itemsize)
    if packed:
        data = _unpacked(pixels, start, dtype, shape)
    elif math.prod(shape) * dtype.itemsize >= MAP_FROM:
        data = np.memmap(pixels, dtype, "r", start, shape)
    else:
        data = np.fromfile(pixels, dtype, math.prod(shape), offset=start).reshape(shape)
    chosen, _ = settle_axes(shape, axes, declared)
    scale, unit = headers.scale_of(header, chosen)
    return Image(data, chosen, scale, unit, _meta(header))


def write(path: Path, image: Image) -> None:
    """Write the image with the header it came with, or a new one that knows only the size of its voxels."""
    if path.name.lower().endswith(".img"):
        raise FormatError("pairs of .hdr and .img are read only; write a .nii or .nii.gz file")
    image = _in_order(image)
    header, before = headers.compose(image, tuple(image.data.shape))
    data = np.asarray(image.data)
    data = data.astype(data.dtype.newbyteorder(header.order), copy=False)
    with path.open("wb") as file:
        if not path.name.lower().endswith(".gz"):
            file.write(before)
            _put(file, data)
            return
        with gzip.GzipFile("", "wb", 6, file, mtime=0) as stream:  # no name and no date: the same bytes again
            stream.write(before)
            _put(stream, data)


def create(path: Path, like: Image) -> Array | None:
    """Return a writable memory map, or None when the file is to be compressed."""
    if not path.name.lower().endswith(".nii"):
        return None
    ordered = _in_order(like)
    if ordered.axes != like.axes:
        return None  # the pixels stand in another order
    header, before = headers.compose(ordered, tuple(ordered.data.shape))
    with path.open("wb") as file:
        file.write(before)
        file.truncate(len(before) + ordered.data.nbytes)
    dtype = ordered.data.dtype.newbyteorder(header.order)
    return np.memmap(path, dtype, "r+", len(before), tuple(like.data.shape))


def _meta(header: headers.Header) -> dict[str, Any]:
    meta: dict[str, Any] = {
        "description": header.description,
        "medical": True,
        "nifti": header,
        "warnings": header.warnings,
    }
    slope, inter = float(header.fields["scl_slope"]), float(header.fields["scl_inter"])
    if slope and math.isfinite(slope) and math.isfinite(inter) and (slope, inter) != (1, 0):
        meta["rescale"] = {"slope": slope, "intercept": inter}
    if not meta.get("rescale", {}).get("intercept"):  # the header does not say what was measured: the air around may
        meta["magnitude"] = True
    if header.hush:
        meta["hush"] = header.hush
    return meta


def _pair(path: Path) -> tuple[Path, Path]:
    """Return the files of the header and of the pixels: the same, but for a pair."""
    with _opened(path) as file:
        magic = file.read(540)
    lower = path.name.lower()
    if lower.endswith(".img"):
        other = _beside(path, ".hdr")
        if other is None:
            raise FormatError("its header is missing: a file of the same name that ends in .hdr stands beside it")
        return other, path
    if headers.parse(magic).is_pair:
        other = _beside(path, ".img")
        if other is None:
            raise FormatError("its pixels are missing: they are in a file of the same name that ends in .img")
        return path, other
    return path, path


def _beside(path: Path, suffix: str) -> Path | None:
    stem = path.name[: -len(path.suffix)]
    return next((file for end in (suffix, suffix.upper()) if (file := path.with_name(stem + end)).is_file()), None)


def _is_packed(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(3) == GZIP


def _opened(path: Path) -> IO[bytes]:
    return gzip.open(path, "rb") if _is_packed(path) else path.open("rb")  # type: ignore[return-value]


def _start(header: headers.Header) -> int:
    """Return where the pixels begin."""
    stated = float(header.fields["vox_offset"])
    if not math.isfinite(stated) or stated < 0:
        raise FormatError(f"it is damaged: its pixels begin at byte {stated:g}")
    return int(stated) if header.is_pair else max(int(stated), len(header.raw) + 4)


def _unpacked(path: Path, start: int, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Array:
    """Return the pixels of a compressed file, in memory or in a temporary file that has no name."""
    count = math.prod(shape) * dtype.itemsize
    data: Array
    if count >= TEMPORARY_FROM:
        with tempfile.TemporaryFile() as room:
            data = np.memmap(room, dtype, "w+", 0, shape)
    else:
        data = np.empty(shape, dtype)
    flat = memoryview(data.reshape(-1).view(np.uint8))
    with gzip.open(path, "rb") as file:
        file.seek(start)
        at = 0
        while at < count and (got := file.readinto(flat[at : at + PIECE])):
            at += got
        if at < count:
            raise FormatError(f"it is cut short: it holds {at} bytes of {count} of pixels")
        while file.read(PIECE):  # what may follow, and at the end its checksum is compared
            pass
    return data


def _in_order(image: Image) -> Image:
    """Return the image with its axes as the file has them: those of the NIfTI file it was, else C, T, Z, Y, X, S."""
    old: headers.Header | None = image.meta.get("nifti")
    if old is not None and len(headers.shape_of(old)[1]) == len(image.axes) and image.axes.rstrip("S").endswith("YX"):
        return image
    inner = "CTZYX"[min("CTZYX".index(axis) for axis in image.axes if axis != "S") :]
    ordered = [axis for axis in (*inner, "S") if axis in image.axes]
    data = image.data.transpose([image.axes.index(axis) for axis in ordered])
    for place, axis in enumerate(inner):
        if axis not in image.axes:
            data = np.expand_dims(data, place)
    return replace(image, data=data, axes=inner + "S" * ("S" in image.axes))


def _put(file: Any, data: Array) -> None:
    """Write the pixels in pieces, so that a mapped array is never copied as a whole."""
    if data.ndim > 2 and data.nbytes > PIECE:
        for part in data:
            _put(file, part)
        return
    file.write(np.ascontiguousarray(data).data)
