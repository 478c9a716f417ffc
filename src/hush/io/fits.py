"""FITS: one image of a file, which is copied with it; header, world coordinates and tile compression stay.

Stored values are kept: where BSCALE and BZERO are a unit of measurement, they stay in the header; where they stand for
numbers without sign, those are what is read. BLANK becomes ``meta["padding"]``. Format: FITS Standard 4.0 (2018).
"""

from __future__ import annotations

import gzip
import io as streams
import math
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hush.core.device import available_memory
from hush.core.errors import FormatError
from hush.core.image import Array, Image
from hush.io import _fits_place, _zarr_pieces
from hush.io._common import MAP_FROM, check_claim, cut_before, from_note, need, settle_axes, to_note, without_note

PLAIN_FITS = (".fits", ".fit", ".fts", ".fits.fz", ".fz")
SUFFIXES = (*PLAIN_FITS, ".fits.gz", ".fit.gz", ".fts.gz")
CHOICES = "extension"
EXTRA = "astronomy"
NEEDS = ("astropy",)
FITS_BEGIN = b"SIMPLE"
DAMAGED_FITS = "it is cut short or damaged: its headers, or the sizes that they state, make no sense"
FITS_BLOCK = 2880  # bytes: headers and pixels are padded to whole blocks
KINDS_OF_BITPIX = {8: "u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}
HALVES = {"uint16": 2**15, "uint32": 2**31, "uint64": 2**63, "int8": -(2**7)}  # BZERO that stands for the sign
WIDE_OF_HALF = {"uint16": 16, "uint32": 32, "uint64": 64, "int8": 8}
FINER_STEP = (
    0.25  # of the input's step: floats that were rounded for compression are rounded again, and that should not show
)
MOST_PACKED = 10_000  # bytes that a byte of a compressed tile becomes at most
TEXT_OF_CARD = 72  # letters of a HISTORY card
CODES_OF_AXES = {
    "STOKES": "C",
    "TIME": "T",
    "FREQ": "Z",
    "WAVE": "Z",
    "AWAV": "Z",
    "VELO": "Z",
    "VRAD": "Z",
    "VOPT": "Z",
}


@dataclass
class _Part:
    """A header and its data unit: where they are, and of what kind."""

    header: Any
    start: int
    data: int
    end: int
    packed: bool  # an image in the tiles of a table

    def get(self, key: str, default: Any = None) -> Any:
        """Return a value that describes the image, compressed or not."""
        return self.header.get(f"Z{key}" if self.packed else key, default)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the image; empty where there is none."""
        kind = str(self.header.get("XTENSION", "IMAGE")).strip()
        if not self.packed and kind != "IMAGE":
            return ()
        count = self.get("NAXIS", 0)
        sizes = [self.get(f"NAXIS{place}", 0) for place in range(count, 0, -1)]
        return tuple(sizes) if all(isinstance(size, int) and size > 0 for size in sizes) else ()

    @property
    def name(self) -> str:
        """Its EXTNAME, and its version where that is not 1."""
        version = self.header.get("EXTVER", 1)
        return str(self.header.get("EXTNAME", "")).strip() + (f",{version}" if version != 1 else "")


def read(path: Path, axes: str | None, *, choice: int | str | None = None) -> Image:
    """Read the first image, or the extension of a number (the primary one is 0) or name (``SCI``, ``SCI,2``)."""
    need("astropy.io.fits", EXTRA)
    raw = _unpacked(path)
    parts = _parts(path, raw)
    number = _chosen(parts, choice)
    part = parts[number]
    stored = _packed_pixels(path, raw, part, number) if part.packed else _plain_pixels(path, raw, part)
    half = _half(part)
    data = _with_sign(stored, half) if half else stored
    chosen, guessed = settle_axes(data.shape, axes, _axes(part))
    images = [one.name or str(place) for place, one in enumerate(parts) if _is_image(one)]
    meta: dict[str, Any] = {
        "fits": {"path": str(path.resolve()), "number": number, "shape": tuple(data.shape), "dtype": data.dtype.name},
        "description": str(part.header.get("OBJECT", "")).strip(),
        "warnings": [],
    }
    if guessed:
        meta["guessed"] = guessed
    if note := from_note(_history(part.header)):
        meta["hush"] = note
    blank = part.header.get("BLANK", part.header.get("ZBLANK"))
    if data.dtype.kind in "iu" and isinstance(blank, int):
        meta["padding"] = blank + (HALVES[half] if half else 0)
    if len(images) > 1 and choice is None:
        meta["warnings"].append(f"it holds {len(images)} images ({', '.join(images)}); this is the first")
    return Image(data, chosen, {}, None, meta)


def write(path: Path, image: Image) -> None:
    """Write the image into a copy of the file it came from, else into a new file."""
    _Plan(path, image).write(image.data)


def create(path: Path, like: Image) -> Array | None:
    """Return a writable array: mapped where the file's numbers are the image's, else written at the end."""
    plan = _Plan(path, like)
    shape = tuple(like.data.shape)
    if plan.packed or path.name.lower().endswith(".gz"):
        return None
    if plan.half or plan.order or plan.blank is not None or plan.sums:
        return _zarr_pieces.Spooled.of(shape, like.data.dtype, plan.write)
    plan.write(None)
    return np.memmap(path, plan.kind, "r+", plan.place, shape)


# -- reading --------------------------------------------------------------------------------------------


def _unpacked(path: Path) -> bytes | None:
    """Return the bytes of a gzipped file; None for any other."""
    with path.open("rb") as file:
        if file.read(2) != b"\x1f\x8b":
            return None
    most, pieces, size = available_memory() // 4, [], 0
    with gzip.open(path) as unpacked:
        while piece := unpacked.read(2**24):
            size += len(piece)
            if size > most:
                raise FormatError(
                    "unpacked it is larger than a quarter of the free memory; unpack it first, e.g. gunzip -k"
                )
            pieces.append(piece)
    return b"".join(pieces)


@contextmanager
def _opened(path: Path, raw: bytes | None, **how: Any) -> Iterator[Any]:
    """Open all parts with astropy, which closes no file that it cannot read.

    Raises
    ------
    FormatError
        When it is no FITS file, or its headers make no sense.
    """
    from astropy.io import fits

    with path.open("rb") if raw is None else streams.BytesIO(raw) as source:
        if source.read(len(FITS_BEGIN)) != FITS_BEGIN:
            raise FormatError("it is no FITS file: it does not begin with SIMPLE")
        source.seek(0)
        try:
            opened = fits.open(source, memmap=False, do_not_scale_image_data=True, lazy_load_hdus=False, **how)
        except (OSError, MemoryError) as error:
            if getattr(error, "errno", None) or isinstance(error, MemoryError):
                raise
            raise FormatError(DAMAGED_FITS) from error
        except Exception as error:  # of wrong kinds and missing cards
            raise FormatError(DAMAGED_FITS) from error
        with opened:
            yield opened


def _parts(path: Path, raw: bytes | None) -> list[_Part]:
    """Return all headers, with where they and their data are."""
    from astropy.io import fits

    size = path.stat().st_size if raw is None else len(raw)
    found: list[_Part] = []
    with _opened(path, raw, disable_image_compression=True) as opened:
        for one in opened:
            place = one.fileinfo() if hasattr(one, "fileinfo") else None
            if place is None:
                raise FormatError("it is no standard FITS file: it says so itself (SIMPLE is F)")
            start, data, span = place["hdrLoc"], place["datLoc"], place["datSpan"]
            header = fits.Header.fromstring(_bytes(path, raw, start, data - start).decode("latin-1"))
            packed = bool(header.get("ZIMAGE", False)) and isinstance(one, fits.BinTableHDU)
            if data + one.size > size:
                raise FormatError(
                    f"it is cut short: its part {len(found)} ends at byte {data + one.size}, and it at {size}"
                )
            found.append(_Part(header, start, data, min(size, data + span), packed))
    return found


def _bytes(path: Path, raw: bytes | None, start: int, count: int) -> bytes:
    if raw is not None:
        return raw[start : start + count]
    with path.open("rb") as file:
        file.seek(start)
        return file.read(count)


def _is_image(part: _Part) -> bool:
    return len(part.shape) >= 2 and math.prod(part.shape) > 1 and part.get("BITPIX") in KINDS_OF_BITPIX


def _chosen(parts: list[_Part], choice: int | str | None) -> int:
    images = [place for place, part in enumerate(parts) if _is_image(part)]
    if not images:
        raise FormatError("it holds no image: no part of it has two or more axes")
    if choice is None:
        return images[0]
    wanted = str(choice).upper()
    for place in images:
        if wanted in (str(place), parts[place].name.upper()):
            return place
    listed = ", ".join(f"{place}: {parts[place].name or 'without a name'}" for place in images)
    raise FormatError(f"there is no image in {CHOICES} {choice!r}: it holds {listed}")


def _plain_pixels(path: Path, raw: bytes | None, part: _Part) -> Array:
    """Return the stored numbers: mapped where they are many, else in this machine's order."""
    kind, shape = np.dtype(KINDS_OF_BITPIX[part.get("BITPIX")]), part.shape
    if raw is not None:
        data: Array = np.frombuffer(raw, kind, math.prod(shape), part.data).reshape(shape)
    else:
        check_claim(math.prod(shape) * kind.itemsize, path.stat().st_size - part.data, 1, path.stat().st_size)
        data = np.memmap(path, kind, "r", part.data, shape)
        if data.nbytes >= MAP_FROM:
            return data
    return np.array(data, kind.newbyteorder("="), subok=False)


def _packed_pixels(path: Path, raw: bytes | None, part: _Part, number: int) -> Array:
    shape, size = part.shape, path.stat().st_size
    wanted = math.prod(shape) * abs(part.get("BITPIX")) // 8
    check_claim(wanted, part.end - part.data, MOST_PACKED, size)
    with _opened(path, raw) as opened:
        data = np.asarray(opened[number].data)
    kind = np.dtype(KINDS_OF_BITPIX[part.get("BITPIX")]).newbyteorder("=")
    return data.astype(kind, copy=False)


def _half(part: _Part) -> str:
    """Return the dtype that BZERO stands for; empty where it is a measure, or nothing."""
    zero, scale = part.header.get("BZERO", 0), part.header.get("BSCALE", 1)
    return next(
        (
            name
            for name, half in HALVES.items()
            if scale == 1 and zero == half and part.get("BITPIX") == WIDE_OF_HALF[name]
        ),
        "",
    )


def _with_sign(stored: Array, half: str) -> Array:
    """Turn stored numbers into those that they stand for, and back: the highest bit is the other one."""
    kind = np.dtype(half)
    data = _zarr_pieces.room(stored.shape, kind)
    bit = kind.type(1 << (8 * kind.itemsize - 1)) if kind.kind == "u" else np.uint8(128)
    for box in _zarr_pieces.boxes(stored.shape, (1,) * (stored.ndim - 2) + stored.shape[-2:], kind.itemsize):
        piece = np.asarray(stored[box], stored.dtype.newbyteorder("="))
        data[box] = (piece.view(f"u{kind.itemsize}") ^ bit).view(kind)
    return data


def _axes(part: _Part) -> str | None:
    """Return the axes of a plane, or those that CTYPE names."""
    count = len(part.shape)
    if count == 2:
        return "YX"
    found = "YX"
    for place in range(3, count + 1):
        code = str(part.header.get(f"CTYPE{place}", "")).upper()[:6]
        letter = next((letter for name, letter in CODES_OF_AXES.items() if code.startswith(name)), None)
        if letter is None or letter in found:
            return None
        found = letter + found
    return found


def _history(header: Any) -> str:
    return "".join(str(line) for line in header["HISTORY"]) if "HISTORY" in header else ""


# -- writing --------------------------------------------------------------------------------------------


class _Plan:
    """How an image becomes a file: the parts before and after it, its header, its numbers."""

    def __init__(self, path: Path, image: Image) -> None:
        need("astropy.io.fits", EXTRA)
        old = image.meta.get("fits") or {}
        self.path, self.source = path, Path(old["path"]) if old else None
        if self.source is not None and not self.source.is_file():
            raise FormatError(
                f"{self.source.name}, whose header and other parts are copied, is not there any more; put it back, or "
                "write a .tif file"
            )
        self.number, self.place = int(old.get("number", 0)), 0
        self.raw = _unpacked(self.source) if self.source else None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # said when the file was read
            self.parts = _parts(self.source, self.raw) if self.source else []
        self.order = _order(image, old)
        self.shape = tuple(image.data.shape[place] for place in self.order) if self.order else tuple(image.data.shape)
        self.dtype = image.data.dtype
        self.half = self.dtype.name if self.dtype.name in HALVES else ""
        self.kind = _kind(self.dtype)
        self.packed = bool(self.parts) and self.parts[self.number].packed
        self.blank = image.meta.get("padding") if self.dtype.kind == "f" else None
        self.header = _header(self.parts[self.number] if self.parts else None, image, self.shape, self.kind, self.half)
        letters = "".join(image.axes[place] for place in self.order) or image.axes
        if old:
            _fits_place.move(self.header, cut_before(image, letters[::-1]))
        self.sums = "DATASUM" in self.header or "CHECKSUM" in self.header
        # of an image of another size than its file's, a crop, only its own part is written
        self.alone = not old or tuple(old["shape"]) != tuple(image.data.shape)

    def write(self, data: Array | None) -> None:
        """Write the file, with zeros where no data is given yet; `place` is then where its pixels begin."""
        from astropy.io import fits

        opener: Any = gzip.open if self.path.name.lower().endswith(".gz") else open
        with opener(self.path, "wb") as file:
            if self.alone and (self.packed or "XTENSION" in self.header):
                file.write(fits.PrimaryHDU().header.tostring().encode("ascii"))
            if not self.alone:
                self._copy(file, self.parts[: self.number])
            if self.packed:
                file.write(self._compressed(np.asarray(data)))
            else:
                file.write(self.header.tostring().encode("ascii", "replace"))
                self.place = file.tell()
                self._pixels(file, data)
            if not self.alone:
                self._copy(file, self.parts[self.number + 1 :])
        if self.sums and data is not None and opener is open and not self.packed:
            number = self.number if not self.alone else int("XTENSION" in self.header)
            with fits.open(self.path, "update", do_not_scale_image_data=True, disable_image_compression=True) as opened:
                opened[number].add_checksum()

    def _copy(self, file: Any, parts: list[_Part]) -> None:
        if not parts:
            return
        assert self.source is not None
        if self.raw is not None:
            file.write(self.raw[parts[0].start : parts[-1].end])
            return
        with self.source.open("rb") as old:
            for part in parts:
                old.seek(part.start)
                piece = streams.BytesIO(old.read(part.end - part.start))
                shutil.copyfileobj(piece, file)

    def _stored(self, data: Array) -> Array:
        """Return numbers as the file stores them."""
        if self.half:
            bit = 1 << (8 * self.dtype.itemsize - 1)
            native = np.ascontiguousarray(data, self.dtype.newbyteorder("="))
            flipped = native.view(f"u{self.dtype.itemsize}") ^ np.array(bit, f"u{self.dtype.itemsize}")
            return flipped.view("u1" if self.half == "int8" else f"i{self.dtype.itemsize}").astype(self.kind)
        stored = np.ascontiguousarray(data, self.kind)
        if self.blank is not None:
            stored = np.where(stored == self.blank, np.array(np.nan, self.kind), stored).astype(self.kind)
        return stored

    def _pixels(self, file: Any, data: Array | None) -> None:
        nbytes = math.prod(self.shape) * self.kind.itemsize
        if data is None:
            file.truncate(file.tell() + nbytes)
            file.seek(0, 2)
        else:
            ordered = data.transpose(self.order) if self.order else data
            for rows in ordered.reshape(-1, *self.shape[-2:]):
                file.write(self._stored(rows).tobytes())
        file.write(b"\0" * (-nbytes % FITS_BLOCK))

    def _step(self) -> float:
        """Return the finest step of the compressed floats of the input."""
        assert self.source is not None
        with _opened(self.source, self.raw, disable_image_compression=True) as opened:
            steps = np.abs(np.asarray(opened[self.number].data["ZSCALE"], np.float64))
        steps = steps[np.isfinite(steps) & (steps > 0)]
        return float(steps.min()) if steps.size else 1.0

    def _compressed(self, data: Array) -> bytes:
        """Return the part of a compressed image: tiles and kind of compression are those of the input."""
        from astropy.io import fits

        old, ordered = self.parts[self.number].header, data.transpose(self.order) if self.order else data
        tile = tuple(
            min(int(old.get(f"ZTILE{place}", 1)), self.shape[-place]) for place in range(len(self.shape), 0, -1)
        )
        columns = {str(old.get(f"TTYPE{place}", "")) for place in range(1, int(old.get("TFIELDS", 0)) + 1)}
        how: dict[str, Any] = {"compression_type": str(old.get("ZCMPTYPE", "RICE_1")).strip(), "tile_shape": tile}
        if self.kind.kind == "f":
            if "ZSCALE" not in columns:  # floats without loss
                how |= {"quantize_level": 0.0}
                how["compression_type"] = "GZIP_2" if "GZIP" not in how["compression_type"] else how["compression_type"]
            else:
                methods = {"NO_DITHER": -1, "SUBTRACTIVE_DITHER_1": 1, "SUBTRACTIVE_DITHER_2": 2}
                how["quantize_method"] = methods.get(str(old.get("ZQUANTIZ", "")).strip(), -1)
                how["quantize_level"] = -self._step() * FINER_STEP  # below zero: the step itself
        header = self.header.copy()
        for key in ("XTENSION", "SIMPLE", "CHECKSUM", "DATASUM"):
            header.remove(key, ignore_missing=True)
        kept = {key: header.get(key) for key in ("BSCALE", "BZERO", "BLANK") if key in header}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            native = np.ascontiguousarray(ordered, self.dtype.newbyteorder("="))
            part = fits.CompImageHDU(native, header, uint=bool(self.half), **how)
            if not self.half:
                part.header.update(kept)
            stream = streams.BytesIO()
            fits.HDUList([fits.PrimaryHDU(), part]).writeto(stream, output_verify="silentfix")
        return stream.getvalue()[FITS_BLOCK:]


def _order(image: Image, old: dict[str, Any]) -> tuple[int, ...]:
    """Return how the axes are transposed: not at all where they are the file's, or end with Y and X."""
    if image.axes.endswith("YX") or (old and len(old["shape"]) == image.data.ndim):
        return ()
    return tuple(image.axes.index(axis) for axis in "TCZSYX" if axis in image.axes)


def _kind(dtype: np.dtype[Any]) -> np.dtype[Any]:
    name = {"int8": "u1", "uint8": "u1"}.get(dtype.name) or (">" + dtype.str[1:].replace("u", "i"))
    if dtype.kind not in "uif" or name not in KINDS_OF_BITPIX.values():
        raise FormatError(
            f"FITS holds integers of 8 to 64 bits, float32 and float64, not {dtype.name}; write a .tif or .npy file"
        )
    return np.dtype(name)


def _header(old: _Part | None, image: Image, shape: tuple[int, ...], kind: np.dtype[Any], half: str) -> Any:
    """Return the header of the image: the input's, with what must change."""
    from astropy.io import fits

    bits = next(bits for bits, name in KINDS_OF_BITPIX.items() if np.dtype(name) == kind)
    if old is None:
        header = fits.PrimaryHDU().header
        header.remove("EXTEND", ignore_missing=True)
    elif old.packed:
        header = _image_header(old)
    else:
        header = old.header.copy()
    was = _half(old) if old else ""
    if (header["BITPIX"], header["NAXIS"]) != (bits, len(shape)):
        header["BITPIX"], header["NAXIS"] = bits, len(shape)
    for place, size in enumerate(reversed(shape), 1):
        if header.get(f"NAXIS{place}") != size:
            header.set(f"NAXIS{place}", size, after=f"NAXIS{place - 1}" if place > 1 else "NAXIS")
    if half != was:
        header.remove("BZERO", ignore_missing=True)
        header.remove("BSCALE", ignore_missing=True)
        if half:
            header["BZERO"], header["BSCALE"] = HALVES[half], 1
    if kind.kind == "f":
        header.remove("BLANK", ignore_missing=True)
    _note(header, image)
    return header


def _image_header(old: _Part) -> Any:
    """Return the header that a compressed image had before it was put into a table."""
    from astropy.io import fits

    whole = fits.Header()
    whole["XTENSION"], whole["BITPIX"], whole["NAXIS"] = "IMAGE", old.get("BITPIX"), len(old.shape)
    for place, size in enumerate(reversed(old.shape), 1):
        whole[f"NAXIS{place}"] = size
    whole["PCOUNT"], whole["GCOUNT"] = 0, 1
    table = ("XTENSION", "SIMPLE", "BITPIX", "NAXIS", "PCOUNT", "GCOUNT", "TFIELDS", "THEAP", "TTYPE", "TFORM", "TUNIT",
             "TDIM", "ZIMAGE", "ZTENSION", "ZSIMPLE", "ZEXTEND", "ZBITPIX", "ZNAXIS", "ZPCOUNT", "ZGCOUNT", "ZTILE",
             "ZCMPTYPE", "ZNAME", "ZVAL", "ZQUANTIZ", "ZDITHER", "ZMASKCMP", "ZHECKSUM", "ZDATASUM", "CHECKSUM",
             "DATASUM", "ZBLANK", "ZBLOCKED")  # fmt: skip
    for card in old.header.cards:
        if card.keyword.rstrip("0123456789") not in table and card.keyword != "EXTEND":
            whole.append(card)
    return whole


def _note(header: Any, image: Image) -> None:
    """Replace what hush said of itself in the history, and add a new description as a comment."""
    if from_note(_history(header)):
        lines = [str(line) for line in header["HISTORY"]]
        kept = without_note("".join(lines))
        while "HISTORY" in header:
            header.remove("HISTORY")
        for line in lines:
            if not kept:
                break
            header.add_history(line[: len(kept)])
            kept = kept[len(line) :]
    text = to_note(image.meta.get("hush"))
    while text:
        cut = TEXT_OF_CARD
        while text[cut - 1 : cut] == " ":  # a card loses spaces at its end
            cut -= 1
        header.add_history(text[:cut])
        text = text[cut:]
    words = str(image.meta.get("description") or "")
    if words and words != str(header.get("OBJECT", "")).strip():
        header.add_comment(words.encode("ascii", "replace").decode())
