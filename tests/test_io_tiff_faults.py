"""Strangers' TIFF and JPEG files: unusual tags, codes and pages come back as what they are."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow

from hush import io
from hush.core.image import Image

SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 7: 1, 12: 8, 13: 4}
LETTERS = {3: "H", 4: "I", 5: "I", 12: "d", 13: "I"}


def make(path: Path, pixels: bytes, tags: dict[int, tuple[int, Any]], order: str = "<") -> Path:
    """Write a TIFF of one strip from nothing but its tags: code, and type and value or values."""
    tags = {259: (3, 1), 273: (4, 8), 277: (3, 1), 279: (4, len(pixels))} | tags
    start = 8 + len(pixels) + len(pixels) % 2
    rest = start + 2 + 12 * len(tags) + 4
    entries, bodies = b"", b""
    for code, (kind, value) in sorted(tags.items()):
        numbers = value if isinstance(value, bytes | tuple) else (value,)
        body = numbers if isinstance(numbers, bytes) else struct.pack(f"{order}{len(numbers)}{LETTERS[kind]}", *numbers)
        if len(body) > 4:
            place = struct.pack(order + "I", rest + len(bodies))
            bodies += body + b"\0" * (len(body) % 2)
        else:
            place = body.ljust(4, b"\0")
        entries += struct.pack(order + "HHI", code, kind, len(body) // SIZES[kind]) + place
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, start)
    ifd = struct.pack(order + "H", len(tags)) + entries + b"\0" * 4
    path.write_bytes(head + pixels.ljust(start - 8, b"\0") + ifd + bodies)
    return path


def picture(width: int, height: int, samples: int = 1, bits: int = 8, **more: Any) -> dict[int, tuple[int, Any]]:
    """Return the tags that every picture has."""
    return {256: (4, width), 257: (4, height), 258: (3, (bits,) * samples), 277: (3, samples), 278: (4, height)}


def again(path: Path) -> tuple[Image, Path]:
    """Read a file and write it again with its own pixels."""
    image = io.read(path)
    target = path.with_name("again.tif")
    io.write(target, image, overwrite=True)
    return image, target


def shown(path: Path, mode: str) -> np.ndarray:
    """Return what another program shows."""
    with Pillow.open(path) as opened:
        return np.asarray(opened.convert(mode)).astype(int)


def packed(values: np.ndarray, bits: int) -> bytes:
    """Return rows of values of a few bits, highest bit first, each row filled up to whole bytes."""
    flags = (values[..., None].astype(np.uint32) >> np.arange(bits - 1, -1, -1)) & 1
    return np.packbits(flags.reshape(len(values), -1).astype(np.uint8), axis=1).tobytes()


# -- codes of the values -------------------------------------------------------------------------------


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_adobe_deflate", "jpeg"])
def test_ycbcr_keeps_its_colours(tmp_path: Path, compression: str | None) -> None:
    colours = np.random.default_rng(0).integers(0, 256, (4, 6, 3)).astype(np.uint8).repeat(16, 0).repeat(16, 1)
    Pillow.fromarray(colours).convert("YCbCr").save(tmp_path / "a.tif", compression=compression)
    image, target = again(tmp_path / "a.tif")
    assert image.axes == "YXS"
    assert np.abs(shown(tmp_path / "a.tif", "RGB") - image.data).max() <= 5
    np.testing.assert_array_equal(shown(target, "RGB"), image.data)


def test_ycbcr_of_video_range_and_other_shares(tmp_path: Path) -> None:
    """White is Y = 235 and grey Cb = Cr = 128, as the reference tag says; shares of ITU-R BT.709."""
    pixels = np.array([[[16, 128, 128], [235, 128, 128], [235, 240, 128], [125, 128, 128]]], np.uint8)
    tags = picture(4, 1, 3) | {
        262: (3, 6), 530: (3, (1, 1)), 529: (5, (2126, 10000, 7152, 10000, 722, 10000)),
        532: (5, (16, 1, 235, 1, 128, 1, 240, 1, 128, 1, 240, 1)),
    }  # fmt: skip
    image, target = again(make(tmp_path / "a.tif", pixels.tobytes(), tags))
    np.testing.assert_array_equal(image.data[0, [0, 1, 3]], [[0] * 3, [255] * 3, [127] * 3])
    assert tuple(image.data[0, 2]) == (255, 231, 255)  # 255 - .0722 * 1.8556 * 127 / .7152
    assert not {529, 530, 532} & {tag.code for tag in tifffile.TiffFile(target).pages.first.tags}


@pytest.mark.parametrize(("wide", "high"), [(2, 2), (2, 1), (4, 2), (1, 2)])
@pytest.mark.parametrize("shape", [(8, 8), (7, 9)])
def test_ycbcr_with_subsampled_colours(tmp_path: Path, wide: int, high: int, shape: tuple[int, int]) -> None:
    rows, columns = -(-shape[0] // high), -(-shape[1] // wide)
    rng = np.random.default_rng(1)
    y = rng.integers(60, 180, (rows * high, columns * wide)).astype(np.uint8)
    colour = rng.integers(100, 156, (rows, columns, 2)).astype(np.uint8)
    blocks = y.reshape(rows, high, columns, wide).swapaxes(1, 2).reshape(rows, columns, -1)
    raw = np.concatenate([blocks, colour], axis=-1).tobytes()
    tags = picture(shape[1], shape[0], 3) | {262: (3, 6), 530: (3, (wide, high))}
    image, _ = again(make(tmp_path / "a.tif", raw, tags))
    full = np.dstack([y, colour.repeat(high, 0).repeat(wide, 1)])[: shape[0], : shape[1]]
    expected = np.asarray(Pillow.fromarray(full, "YCbCr").convert("RGB")).astype(int)
    assert np.abs(image.data - expected).max() <= 2


@pytest.mark.parametrize("photometric", [0, 1])
@pytest.mark.parametrize("bits", [2, 3, 4, 6])
@pytest.mark.parametrize("order", ["<", ">"])
def test_few_bits_are_widened(tmp_path: Path, photometric: int, bits: int, order: str) -> None:
    values = np.random.default_rng(2).integers(0, 2**bits, (9, 13))
    path = make(tmp_path / "a.tif", packed(values, bits), picture(13, 9, bits=bits) | {262: (3, photometric)}, order)
    image, target = again(path)
    np.testing.assert_array_equal(image.data, np.rint(values * 255 / (2**bits - 1)))
    with tifffile.TiffFile(target) as tif:
        assert int(tif.pages.first.photometric) == photometric
    if bits in (2, 4):  # what Pillow reads
        np.testing.assert_array_equal(shown(target, "L"), shown(path, "L"))


@pytest.mark.parametrize(("samples", "photometric"), [(3, 2), (4, 5)])
def test_colours_of_few_bits_are_widened(tmp_path: Path, samples: int, photometric: int) -> None:
    values = np.random.default_rng(3).integers(0, 16, (9, 14, samples))
    tags = picture(14, 9, samples, 4) | {262: (3, photometric)}
    image, target = again(make(tmp_path / "a.tif", packed(values.reshape(9, -1), 4), tags))
    np.testing.assert_array_equal(image.data, values * 17)
    np.testing.assert_array_equal(tifffile.imread(target), values * 17)


@pytest.mark.parametrize("bits", [9, 10, 12, 14, 20, 24])
@pytest.mark.parametrize("photometric", [0, 1, 2])
@pytest.mark.parametrize("order", ["<", ">"])
def test_bits_between_whole_bytes_stay(tmp_path: Path, bits: int, photometric: int, order: str) -> None:
    samples = 3 if photometric == 2 else 1
    values = np.random.default_rng(4).integers(0, 2**bits, (9, 13 * samples)).astype(np.uint32)
    tags = picture(13, 9, samples, bits) | {262: (3, photometric)}
    path = make(tmp_path / "a.tif", packed(values, bits), tags, order)
    image, target = again(path)
    np.testing.assert_array_equal(np.reshape(image.data, values.shape), values)
    with tifffile.TiffFile(target) as tif:
        page = tif.pages.first
        assert (page.bitspersample, int(page.photometric)) == (bits, photometric)
        np.testing.assert_array_equal(page.asarray(), image.data)
    with io.create(tmp_path / "b.tif", image) as out:
        assert out is None, "packed values cannot be written in pieces"
    io.write(tmp_path / "c.tif", image.like(image.data + image.data.dtype.type(1)))  # one bit more for the largest
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "c.tif"), image.data + 1)


@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
@pytest.mark.parametrize(("samples", "expected"), [(1, 1), (3, 2)])
def test_a_missing_photometric_interpretation(tmp_path: Path, dtype: str, samples: int, expected: int) -> None:
    pixels = np.random.default_rng(5).integers(0, 200, (8, 9, samples)).astype(dtype)
    tags = picture(9, 8, samples, pixels.itemsize * 8) | {339: (3, (3 if dtype == "f4" else 1,) * samples)}
    image, target = again(make(tmp_path / "a.tif", pixels.tobytes(), tags))
    with tifffile.TiffFile(target) as tif:
        assert int(tif.pages.first.photometric) == expected
    np.testing.assert_array_equal(tifffile.imread(target), image.data)
