"""The pixels of a DNG: decoded, and encoded again as they were stored where that can be done."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator

import numpy as np

from hush.core.errors import FormatError
from hush.core.image import Array
from hush.io import _dng_facts as facts_of
from hush.io._common import check_claim
from hush.io._dng_facts import Facts
from hush.io._dng_tags import Patched

UNCOMPRESSED, LOSSLESS_JPEG, DEFLATE = 1, 7, 8
STRIPS, TILES = (273, 279), (324, 325)
# what says how pixels are stored, and is wrong once they are stored as one plain strip
LAID_OUT = (266, 273, 278, 279, 317, 322, 323, 324, 325)
LINEAR_VALUES = (facts_of.CURVE_TAG, facts_of.ROW_INTERLEAVE, facts_of.COLUMN_INTERLEAVE)
# digests of the raw picture, its identity, and its noise: not true of other pixels
OLD_PIXELS = (50781, 50972, 51111, facts_of.NOISE_PROFILE)
DECODED_MOST = 1032  # bytes that one of the file becomes at most, in Deflate


def decode(file: Patched, facts: Facts) -> Array:
    """Return the frame (Y, X) or (Y, X, S) of linear values, rows and columns in their places.

    Raises
    ------
    FormatError
        When bytes are missing, or the compression is not known.
    """
    import tifffile

    folder, size = facts.folder, len(file.data)
    starts, sizes = (file.numbers(folder, code) for code in _segment_tags(facts))
    if not starts or len(starts) != len(sizes):
        raise FormatError("it is damaged: its raw picture has no pixels")
    if max(a + b for a, b in zip(starts, sizes, strict=True)) > size:
        raise FormatError(f"it is cut short: its pixels end beyond the file, at byte {size}")
    with tifffile.TiffFile(io.BytesIO(file.data)) as tif:
        tif.filehandle.seek(folder.at)
        page = tifffile.TiffPage(tif, index=0)
        check_claim(page.nbytes, int(sum(sizes)), DECODED_MOST, size)
        frame = page.asarray()
    if frame.ndim == 3 and page.planarconfig == 2:
        frame = np.moveaxis(frame, 0, -1)
    if facts.table:
        table = np.asarray(facts.table, np.uint16)
        frame = table[np.minimum(frame, len(table) - 1)]
    for axis, code in enumerate((facts_of.ROW_INTERLEAVE, facts_of.COLUMN_INTERLEAVE)):
        factor = int((file.numbers(folder, code) or (1,))[0])
        if factor > frame.shape[axis]:
            raise FormatError(f"it is damaged: its rows or columns stand in {factor} fields")
        if factor > 1:
            frame = _in_place(frame, factor, axis)
    return np.ascontiguousarray(frame)


def _in_place(frame: Array, factor: int, axis: int) -> Array:
    """Rows (or columns) k, k + factor, ... stand in a row; put them back."""
    size = frame.shape[axis]
    where = np.concatenate([np.arange(k, size, factor) for k in range(factor)])
    back: Array = frame.take(np.argsort(where), axis)
    return back


def _segment_tags(facts: Facts) -> tuple[int, int]:
    return TILES if TILES[0] in facts.folder.entries else STRIPS


def encode(file: Patched, facts: Facts, frame: Array) -> None:
    """Put other pixels in the place of the old ones; as one plain strip where their compression cannot be written."""
    folder = facts.folder
    codes = _segment_tags(facts)
    for start, size in zip(*(file.numbers(folder, code) for code in codes), strict=True):
        file.clear(int(start), int(size))
    kept = _packed(file, facts, frame)
    if kept is None:
        for code in LAID_OUT:
            folder.entries.pop(code, None)
        bits = 8 * frame.dtype.itemsize
        file.put(folder, facts_of.BITS, 3, [bits] * facts.samples)
        file.put(folder, facts_of.COMPRESSION, 3, [UNCOMPRESSED])
        if 284 in folder.entries:
            file.put(folder, 284, 3, [1])
        file.put(folder, 278, 4, [frame.shape[0]])
        if frame.dtype.kind == "f":
            file.put(folder, 339, 3, [3] * facts.samples)
        codes, kept = STRIPS, [frame.astype(frame.dtype.newbyteorder(file.form.order)).tobytes()]
    elif facts.table:
        file.put(folder, facts_of.BITS, 3, [16] * facts.samples)
    kind = 16 if file.form.big else 4
    file.put(folder, codes[0], kind, [file.place(body) for body in kept])
    file.put(folder, codes[1], 4, [len(body) for body in kept])
    for code in LINEAR_VALUES:
        folder.entries.pop(code, None)


def forget(file: Patched, facts: Facts) -> None:
    """Take out what was true of the old pixels only."""
    for folder in file.every():
        if set(folder.entries) & set(OLD_PIXELS) and folder is not facts.folder:
            for code in OLD_PIXELS:
                folder.entries.pop(code, None)
            file.save(folder)
    for code in OLD_PIXELS:
        facts.folder.entries.pop(code, None)


def _packed(file: Patched, facts: Facts, frame: Array) -> list[bytes] | None:
    """Return the segments as they were compressed; None where that cannot be written."""
    folder = facts.folder
    compression = int((file.numbers(folder, facts_of.COMPRESSION) or (UNCOMPRESSED,))[0])
    predicted = (file.numbers(folder, 317) or (1,))[0] != 1
    turned = (file.numbers(folder, 266) or (1,))[0] == 2
    separate = facts.samples > 1 and (file.numbers(folder, 284) or (1,))[0] == 2
    bits = 16 if facts.table else facts.bits
    whole = frame.dtype.kind == "u"
    if predicted or turned or separate or not (whole or 8 * frame.dtype.itemsize == bits):
        return None
    if compression == LOSSLESS_JPEG and whole and facts.samples == 1 and frame.dtype.itemsize == 2:
        return [_jpeg(piece, bits) for piece in _segments(file, facts, frame)]
    if compression == DEFLATE and 8 * frame.dtype.itemsize == bits:
        order = file.form.order
        return [zlib.compress(one.astype(one.dtype.newbyteorder(order)).tobytes())
                for one in _segments(file, facts, frame)]  # fmt: skip
    if compression == UNCOMPRESSED:
        return [_plain(piece, bits, file.form.order) for piece in _segments(file, facts, frame)]
    return None


def _segments(file: Patched, facts: Facts, frame: Array) -> Iterator[Array]:
    """Cut a frame into its tiles, the last of which are filled with their own edge, or its strips."""
    folder = facts.folder
    if TILES[0] not in folder.entries:
        rows = int((file.numbers(folder, 278) or (0,))[0]) or len(frame)
        yield from (frame[y : y + rows] for y in range(0, len(frame), rows))
        return
    wide, high = (int(file.numbers(folder, code)[0]) for code in (322, 323))
    for y in range(0, frame.shape[0], high):
        for x in range(0, frame.shape[1], wide):
            piece = frame[y : y + high, x : x + wide]
            lacking = [(0, high - piece.shape[0]), (0, wide - piece.shape[1]), *[(0, 0)] * (frame.ndim - 2)]
            yield np.pad(piece, lacking, "edge")


def _plain(piece: Array, bits: int, order: str) -> bytes:
    import imagecodecs

    if 8 * piece.dtype.itemsize == bits:
        return bytes(piece.astype(piece.dtype.newbyteorder(order)).tobytes())
    flat = np.ascontiguousarray(piece).reshape(len(piece), -1)
    return bytes(imagecodecs.packints_encode(flat, bits, runlen=flat.shape[1]))


def _jpeg(piece: Array, bits: int) -> bytes:
    """Compress a piece of a mosaic, two rows in one: each value's neighbour above is then of its own colour."""
    import imagecodecs

    high, wide = piece.shape
    flat = np.ascontiguousarray(piece).reshape(high // 2, 2 * wide) if high % 2 == 0 else piece
    return bytes(imagecodecs.ljpeg_encode(np.ascontiguousarray(flat), bitspersample=bits))
