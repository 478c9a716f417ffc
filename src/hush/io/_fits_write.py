"""How an image becomes a FITS file: the parts before and after it, its header, its numbers."""

from __future__ import annotations

import gzip
import io as streams
import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from hush.core.errors import FormatError
from hush.core.image import Array, Image
from hush.io import _fits_place
from hush.io._common import cut_before, from_note, need, to_note, without_note
from hush.io._fits_parts import (
    FITS_EXTRA,
    HALVES,
    KINDS_OF_BITPIX,
    Part,
    half_of,
    history,
    opened_with,
    parts_of,
    unpacked,
)

FITS_BLOCK = 2880  # bytes: headers and pixels are padded to whole blocks
FINER_STEP = 0.25  # of the input's: floats that compression rounded are rounded again, which should not show
TEXT_OF_CARD = 72  # letters of a HISTORY card


class Plan:
    """How an image becomes a file: the parts before and after it, its header, its numbers."""

    def __init__(self, path: Path, image: Image) -> None:
        need("astropy.io.fits", FITS_EXTRA)
        old = image.meta.get("fits") or {}
        self.path, self.source = path, Path(old["path"]) if old else None
        if self.source is not None and not self.source.is_file():
            raise FormatError(
                f"{self.source.name}, whose header and other parts are copied, is not there any more; put it back, or "
                "write a .tif file"
            )
        self.number, self.place = int(old.get("number", 0)), 0
        self.raw = unpacked(self.source) if self.source else None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # said when the file was read
            self.parts = parts_of(self.source, self.raw) if self.source else []
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

    def _copy(self, file: Any, parts: list[Part]) -> None:
        if not parts:
            return
        assert self.source is not None
        if self.raw is not None:
            file.write(self.raw[parts[0].start : parts[-1].end])
            return
        with self.source.open("rb") as old:
            for part in parts:
                old.seek(part.start)
                file.write(old.read(part.end - part.start))

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
        with opened_with(self.source, self.raw, disable_image_compression=True) as opened:
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


def _header(old: Part | None, image: Image, shape: tuple[int, ...], kind: np.dtype[Any], half: str) -> Any:
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
    was = half_of(old) if old else ""
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


def _image_header(old: Part) -> Any:
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
    if from_note(history(header)):
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
