"""TIFF: plain, OME and ImageJ files, with their axes, pixel size and display settings."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hush.core.errors import FormatError
from hush.core.image import Array, Image
from hush.io import _tiff_read, _tiff_tags, _tiff_values, _tiff_write
from hush.io._common import LETTERS, MAP_FROM, settle_axes

if TYPE_CHECKING:
    from tifffile import TiffFile, TiffPageSeries

SUFFIXES = (".tif", ".tiff", ".ome.tif", ".ome.tiff")
MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

SPOOL_FROM = 512 * 2**20  # decoded bytes; larger ones are decoded into a temporary file, not into memory

OLD_JPEG = 6  # compression

# What tifffile logs when the chain of pages leads out of the file: without care, pages go missing silently.
CUT_SHORT = ("invalid page offset", "corrupted tag list", "invalid offset to page")


def read(path: Path, axes: str | None) -> Image:
    """Read the first series of a TIFF file at full resolution."""
    import tifffile

    with _mutterings() as said, tifffile.TiffFile(path) as tif:
        if not tif.series:
            raise FormatError("it holds no image")
        # a reduced copy may come first, for a quick look
        series = next((one for one in tif.series if not one.keyframe.aspage().is_reduced), tif.series[0])
        places = _check_whole(tif, series, said)
        data = _pixels(path, tif, series)
        facts = _tiff_read.facts(tif, series, places)
        data, declared, guessed = _name_axes(data, facts.axes)
        data, declared = _tiff_values.meant(data, declared, facts.code)
    chosen, guess = settle_axes(data.shape, axes, declared)
    if axes is None:
        guess = guess or guessed
    meta = facts.meta | {"warnings": [*facts.meta["warnings"], *dict.fromkeys(said)]}
    if guess:
        meta["guessed"] = guess
    if "S" not in chosen:
        meta.pop("alpha", None)
    elif meta.get("alpha") == (data.shape[chosen.index("S")] in (2, 4)):
        del meta["alpha"]  # the usual rule says the same
    scale = {axis: size for axis, size in facts.scale.items() if axis in chosen}
    return Image(data, chosen, scale, facts.unit if scale else None, meta)


def write(path: Path, image: Image) -> None:
    """Write the image in the kind of TIFF it came from, or a plain one."""
    import tifffile

    image = _tiff_write.without_single_sample(image)
    plan = _tiff_write.plan(path, image)
    with tifffile.TiffWriter(path, **plan.file) as writer:
        writer.write(np.asarray(image.data), **plan.page)
    _copy_tags(path, plan)


def create(path: Path, like: Image) -> Array | None:
    """Return a writable memory map, or None when the file is to be compressed as its input was."""
    import tifffile

    wanted = tuple(like.data.shape)
    like = _tiff_write.without_single_sample(like)
    plan = _tiff_write.plan(path, like, compress=like.data.nbytes < SPOOL_FROM)
    if plan.page.get("compression") or plan.page.get("bitspersample") or like.data.dtype == bool:
        return None
    dtype = like.data.dtype.newbyteorder(plan.file["byteorder"])
    with tifffile.TiffWriter(path, **plan.file) as writer:
        shape = tuple(like.data.shape)
        place = writer.write(data=None, shape=shape, dtype=dtype, returnoffset=True, align=4096, **plan.page)
    if place is None:
        return None
    _copy_tags(path, plan)
    return np.memmap(path, dtype, "r+", place[0], wanted)


def _copy_tags(path: Path, plan: _tiff_write.Plan) -> None:
    if any(plan.tags):
        _tiff_tags.graft(path, plan.tags, plan.order, plan.without)


@contextmanager
def _mutterings() -> Iterator[list[str]]:
    """Collect what tifffile logs as a warning or an error."""
    said: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record.getMessage())

    log, listener = logging.getLogger("tifffile"), Listener(logging.WARNING)
    log.addHandler(listener)
    try:
        yield said
    finally:
        log.removeHandler(listener)


def _check_whole(tif: TiffFile, series: TiffPageSeries, said: list[str]) -> list[_tiff_tags.Place]:
    """Return where the pages are; raise unless every byte is inside the file (tifffile fills gaps with zeros)."""
    len(tif.pages)  # walks the whole chain of pages, and says so in the log when it breaks
    broken = next((line for line in said if any(phrase in line for phrase in CUT_SHORT)), None)
    end, places = 0, []
    if series.dataoffset is not None:
        end = series.dataoffset + series.nbytes
    for page in series.pages:  # once: tifffile reads each page anew
        places.append(None if page is None else (page.parent, page.offset))
        if page is None:
            continue
        if not page.dataoffsets:
            raise FormatError("it is cut short or damaged: a page has no pixels")
        last = max(o + n for o, n in zip(page.dataoffsets, page.databytecounts, strict=False))
        if page.parent is tif:
            end = max(end, last)
        elif last > page.parent.filehandle.size:
            raise FormatError(f"its part {page.parent.filename} is cut short")
    size = tif.filehandle.size
    if end > size:
        raise FormatError(f"it is cut short: its pixels end at byte {end}, and the file at byte {size}")
    if broken:
        raise FormatError("it is cut short or damaged: its list of pages breaks off")
    return places


def _pixels(path: Path, tif: TiffFile, series: TiffPageSeries) -> Array:
    """Return the pixels in the shape the file declares: mapped, in memory, or in a temporary file."""
    shape = series.get_shape(False) if series.kind == "shaped" else series.shape
    if series.dtype is None:
        raise FormatError("its kind of numbers is not known")
    first = series.keyframe.aspage()
    _tiff_values.check_known(first)
    if _tiff_values.is_subsampled(first):
        return np.stack([_tiff_values.subsampled(page.aspage()) for page in series.pages if page]).reshape(shape)
    if int(first.compression) == OLD_JPEG:
        return _old_jpeg(series).reshape(shape)
    if series.dataoffset is not None and series.nbytes >= MAP_FROM and series.keyframe.is_memmappable:
        dtype = np.dtype(tif.byteorder + series.dtype.char)
        return np.memmap(path, dtype, "r", series.dataoffset, shape)
    data = series.asarray(out="memmap" if series.nbytes >= SPOOL_FROM else None)
    if series.keyframe.bitspersample == 24 and data.dtype.kind == "u" and data.max() >= 2**24:
        data = data.byteswap()  # imagecodecs unpacks 24 bits in the machine's order and calls it the file's
    if not data.dtype.isnative:
        data = data.astype(data.dtype.newbyteorder("="))
    return data.reshape(shape)


def _old_jpeg(series: TiffPageSeries) -> Array:
    pages = [page.aspage() for page in series.pages if page is not None]
    found = [_tiff_values.old_jpeg(page) for page in pages]
    try:
        return np.stack([page.asarray() if data is None else data for page, data in zip(pages, found, strict=True)])
    except Exception as error:
        raise FormatError(
            "it holds old-style JPEG (compression 6) without a whole JPEG file in it, which is not read; save it with "
            "another compression, e.g. tiffcp -c lzw"
        ) from error


def _name_axes(data: Array, axes: str) -> tuple[Array, str, str | None]:
    """Give letters that hush does not know one that it knows: Z, then T, then C; say so."""
    unknown = [i for i, a in enumerate(axes) if a not in LETTERS]
    free = [a for a in "ZTC" if a not in axes]
    if len(unknown) > len(free):  # axes of length one can go without loss
        keep = [i for i in range(data.ndim) if i not in unknown or data.shape[i] > 1]
        data = data.reshape([data.shape[i] for i in keep])
        axes = "".join(axes[i] for i in keep)
        unknown = [i for i, a in enumerate(axes) if a not in LETTERS]
    if not unknown:
        return data, axes, None
    if len(unknown) > len(free):
        raise FormatError(f"it has axes {axes} of shape {data.shape}, more than T, C, Z, Y, X, S can name")
    names = sorted(free[: len(unknown)], key="TCZ".index)
    named = list(axes)
    for i, name in zip(unknown, names, strict=True):
        named[i] = name
    chosen = "".join(named)
    return data, chosen, f"axes {chosen} guessed from shape {tuple(data.shape)}"
