"""The parts of a FITS file: headers and data units, where they are, and what their numbers stand for."""

from __future__ import annotations

import gzip
import io as streams
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hush.core.device import available_memory
from hush.core.errors import FormatError

FITS_EXTRA = "astronomy"
FITS_BEGIN = b"SIMPLE"
DAMAGED_FITS = "it is cut short or damaged: its headers, or the sizes that they state, make no sense"
KINDS_OF_BITPIX = {8: "u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}
HALVES = {"uint16": 2**15, "uint32": 2**31, "uint64": 2**63, "int8": -(2**7)}  # BZERO that stands for the sign
WIDE_OF_HALF = {"uint16": 16, "uint32": 32, "uint64": 64, "int8": 8}


@dataclass
class Part:
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


def unpacked(path: Path) -> bytes | None:
    """Return the bytes of a gzipped file; None for any other."""
    with path.open("rb") as file:
        if file.read(2) != b"\x1f\x8b":
            return None
    most, pieces, size = available_memory() // 4, [], 0
    with gzip.open(path) as file:
        while piece := file.read(2**24):
            size += len(piece)
            if size > most:
                raise FormatError(
                    "unpacked it is larger than a quarter of the free memory; unpack it first, e.g. gunzip -k"
                )
            pieces.append(piece)
    return b"".join(pieces)


@contextmanager
def opened_with(path: Path, raw: bytes | None, **how: Any) -> Iterator[Any]:
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


def parts_of(path: Path, raw: bytes | None) -> list[Part]:
    """Return all headers, with where they and their data are."""
    from astropy.io import fits

    size = path.stat().st_size if raw is None else len(raw)
    found: list[Part] = []
    with opened_with(path, raw, disable_image_compression=True) as opened:
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
            found.append(Part(header, start, data, min(size, data + span), packed))
    return found


def _bytes(path: Path, raw: bytes | None, start: int, count: int) -> bytes:
    if raw is not None:
        return raw[start : start + count]
    with path.open("rb") as file:
        file.seek(start)
        return file.read(count)


def is_image(part: Part) -> bool:
    return len(part.shape) >= 2 and math.prod(part.shape) > 1 and part.get("BITPIX") in KINDS_OF_BITPIX


def half_of(part: Part) -> str:
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


def history(header: Any) -> str:
    return "".join(str(line) for line in header["HISTORY"]) if "HISTORY" in header else ""
