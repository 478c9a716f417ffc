"""What the numbers of a TIFF page stand for: few bits, YCbCr and palettes become grey and RGB values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hush.core.errors import FormatError
from hush.core.image import Array

if TYPE_CHECKING:
    from tifffile import TiffPage

RGB, PALETTE, YCBCR = 2, 3, 6  # photometric interpretations
# Compressions whose decoders return RGB by themselves: JPEG, PNG, WebP, JPEG XL.
DECODED = (6, 7, 33007, 34892, 34933, 50001, 50002, 52546)


@dataclass
class Code:
    """How a page stores its values, as far as it is not by grey or RGB values of whole bytes."""

    bits: int = 0  # a sample, where they are to be widened to 8
    ycbcr: bool = False
    luma: tuple[float, ...] = (0.299, 0.587, 0.114)  # shares of red, green and blue in Y
    reference: tuple[float, ...] = ()  # black and white of Y, Cb and Cr; empty: all of the range
    palette: Array | None = None

    @property
    def plain(self) -> bool:
        """Whether the numbers are the values."""
        return not (self.bits or self.ycbcr or self.palette is not None)


def code_of(page: TiffPage, kind: str) -> Code:
    """Return how a page's numbers are to be taken."""
    photometric, bits = int(page.photometric), page.bitspersample
    if photometric == PALETTE:  # ImageJ stores its display colours so: there the numbers are the measurement
        return Code(palette=page.colormap if kind != "imagej" else None)
    found = Code()
    if page.dtype == np.uint8 and isinstance(bits, int) and bits < 8:
        found.bits = bits
    if photometric == YCBCR and int(page.compression) not in DECODED:
        found.ycbcr = True
        found.luma = _fractions(page.tags.valueof(529), 3) or found.luma
        found.reference = _fractions(page.tags.valueof(532), 6)
    return found


def remarks(code: Code) -> list[str]:
    """Say what becomes of the numbers."""
    said = []
    if code.palette is not None:
        said.append("its palette was replaced by the colours (RGB) it stands for")
    if code.ycbcr:
        said.append("its colours were changed from YCbCr to RGB")
    if code.bits:
        said.append(f"its {code.bits} bits a pixel were widened to 8")
    return said


def meant(data: Array, axes: str, code: Code) -> tuple[Array, str]:
    """Return the values that the numbers stand for, and their axes."""
    if code.palette is not None:
        return _colours(data, axes, code.palette)
    if code.bits:
        top = 2**code.bits - 1
        data = np.rint(np.arange(256) * (255 / top)).clip(0, 255).astype(np.uint8)[data]
    if code.ycbcr and "S" in axes:
        at = axes.index("S")
        data = np.moveaxis(_rgb(np.moveaxis(data, at, -1), code), -1, at)
    return data, axes


def is_subsampled(page: TiffPage) -> bool:
    """Whether colours have fewer pixels than brightness, in a way that tifffile does not decode."""
    return int(page.photometric) == YCBCR and page.is_subsampled and int(page.compression) not in DECODED


def old_jpeg(page: TiffPage) -> Array | None:
    """Return the pixels of old-style JPEG (compression 6) where the page holds a whole JPEG file, else None."""
    import imagecodecs

    at, length = (np.ravel(page.tags.valueof(code, ())) for code in (513, 514))
    if not at.size:
        return None
    page.parent.filehandle.seek(int(at[0]))
    raw = page.parent.filehandle.read(int(length[0]) if length.size else -1)
    try:
        data = imagecodecs.jpeg8_decode(raw)
    except imagecodecs.Jpeg8Error:  # tables only, or nothing
        return None
    return data if data.shape == page.shape else None


def check_known(page: TiffPage) -> None:
    """Raise when the values are packed in a way that is not known: the file is no worse for that."""
    from tifffile import COMPRESSION, TIFF

    number = int(page.compression)
    if number != 1 and number not in TIFF.DECOMPRESSORS:
        name = COMPRESSION(number).name if number in list(COMPRESSION) else f"method {number}"
        raise FormatError(f"its compression ({name}) is not known; save it with another, e.g. LZW or none")


def subsampled(page: TiffPage) -> Array:
    """Return Y, Cb and Cr at full size: a block is its Ys, one Cb and one Cr (TIFF 6.0, section 21)."""
    from tifffile import TIFF

    wide, high = (int(n) for n in page.tags.valueof(530, (2, 2)))
    if page.is_tiled or page.planarconfig != 1 or page.predictor != 1 or page.dtype != np.uint8:
        raise FormatError(f"its colours are subsampled {wide}x{high} in a way that is not read; save it as RGB")
    decode = TIFF.DECOMPRESSORS[page.compression] if page.compression != 1 else bytes
    across, rows = -(-page.imagewidth // wide), []
    for at, count in zip(page.dataoffsets, page.databytecounts, strict=False):
        page.parent.filehandle.seek(at)
        raw = decode(page.parent.filehandle.read(count))
        blocks = np.frombuffer(raw, np.uint8)
        size = across * (wide * high + 2)
        blocks = blocks[: blocks.size // size * size].reshape(-1, across, wide * high + 2)
        y = blocks[..., :-2].reshape(-1, across, high, wide).swapaxes(1, 2).reshape(-1, across * wide)
        colours = [blocks[..., n].repeat(high, 0).repeat(wide, 1) for n in (-2, -1)]
        rows.append(np.stack([y, *colours], axis=-1)[: page.rowsperstrip, : page.imagewidth])
    data = np.concatenate(rows)[: page.imagelength]
    if len(data) != page.imagelength:
        raise FormatError(f"it is cut short: {len(data)} of its {page.imagelength} rows are there")
    return data


def _fractions(value: object, count: int) -> tuple[float, ...]:
    """Return `count` fractions of a tag as numbers; empty when it has others."""
    numbers = np.ravel(np.asarray(value if value is not None else (), dtype=float))
    if numbers.size != 2 * count or not numbers[1::2].all():
        return ()
    return tuple(numbers[::2] / numbers[1::2])


def _rgb(data: Array, code: Code) -> Array:
    """Return RGB for YCbCr, samples last; further samples stay (TIFF 6.0, section 21)."""
    top = np.iinfo(data.dtype).max if data.dtype.kind in "ui" else 1.0
    middle = (top + 1) // 2 if data.dtype.kind in "ui" else 0.5
    black, white = np.reshape(code.reference or (0, top, middle, top, middle, top), (3, 2)).T
    span = np.array([top, top - middle, top - middle])
    y, b, r = np.moveaxis((data[..., :3] - black) * (span / (white - black)), -1, 0)
    of_red, of_green, of_blue = code.luma
    red, blue = y + r * (2 - 2 * of_red), y + b * (2 - 2 * of_blue)
    green = (y - of_red * red - of_blue * blue) / of_green
    values = np.stack([red, green, blue], axis=-1)
    if data.dtype.kind in "ui":
        values = np.rint(values).clip(0, top)
    return np.concatenate([values.astype(data.dtype), data[..., 3:]], axis=-1)


def _colours(data: Array, axes: str, colours: Array) -> tuple[Array, str]:
    """Return the colours that the numbers of a palette image stand for; further samples stay."""
    table = np.asarray(colours).T  # (entries, 3), 16 bit as TIFF stores it
    if table.max() <= 255:
        table = table.astype(np.uint8)  # some writers forget to stretch 8 bits to 16
    elif np.isin(table & 255, (0, 255)).all() or (table % 257 == 0).all():
        table = (table >> 8).astype(np.uint8)
    if data.dtype == bool:
        data = data.view(np.uint8)
    if "S" not in axes:
        return table[data], axes + "S"
    at = axes.index("S")
    data = np.moveaxis(data, at, -1)
    stretch = np.iinfo(table.dtype).max / (len(table) - 1)  # a palette has an entry for every number
    more = np.rint(data[..., 1:] * stretch).astype(table.dtype)
    return np.moveaxis(np.concatenate([table[data[..., 0]], more], axis=-1), -1, at), axes
