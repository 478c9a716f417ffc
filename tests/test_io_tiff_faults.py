"""Strangers' TIFF and JPEG files: unusual tags, codes and pages come back as what they are."""

from __future__ import annotations

import json
import struct
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow

from hush import io
from hush.core.errors import HushError
from hush.core.image import Image
from hush.io import _tiff_tags

SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 7: 1, 12: 8, 13: 4}
LETTERS = {3: "H", 4: "I", 5: "I", 12: "d", 13: "I"}


def make(
    path: Path, pixels: bytes, tags: dict[int, tuple[int, Any]], order: str = "<", without: Collection[int] = ()
) -> Path:
    """Write a TIFF of one strip from nothing but its tags: code, and type and value or values."""
    tags = {259: (3, 1), 273: (4, 8), 277: (3, 1), 279: (4, len(pixels))} | tags
    tags = {code: tag for code, tag in tags.items() if code not in without}
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
    assert not {529, 530, 532} & raw_tags(target)[0].keys()


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
    brighter = replace(image, data=image.data + image.data.dtype.type(1))  # one bit more for the largest
    io.write(tmp_path / "c.tif", brighter)
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


# -- tags ----------------------------------------------------------------------------------------------


def raw_tags(path: Path) -> list[dict[int, bytes]]:
    """Return the bytes of every tag of every page."""
    with tifffile.TiffFile(path) as tif, path.open("rb") as file:
        found: list[dict[int, bytes]] = []
        for page in tif.pages:
            found.append({})
            for tag in page.aspage().tags:
                file.seek(tag.valueoffset)
                found[-1][tag.code] = file.read(tag.valuebytecount)
        return found


GREY = np.random.default_rng(6).integers(0, 200, (8, 9)).astype(np.uint8)
GREY_TAGS = picture(9, 8) | {262: (3, 1)}
TEXTS = ["5 µm".encode("latin-1"), "Größe".encode(), b"\xff\xfe\x80", b"a\0b", b"plain", b"1"]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("order", ["<", ">"])
def test_texts_are_copied_byte_for_byte(tmp_path: Path, text: bytes, order: str) -> None:
    codes = (269, 270, 271, 272, 285, 305, 306, 315, 316, 33432, 65000)
    tags = GREY_TAGS | dict.fromkeys(codes, (2, text + b"\0"))
    image, target = again(make(tmp_path / "a.tif", GREY.tobytes(), tags, order))
    before, after = raw_tags(tmp_path / "a.tif")[0], raw_tags(target)[0]
    for code in codes:
        assert after[code].rstrip(b"\0") == before[code].rstrip(b"\0"), code
    io.write(tmp_path / "noted.tif", image.with_meta(hush={"method": "n2v"}))
    assert raw_tags(tmp_path / "noted.tif")[0][305].startswith(text)
    assert io.read(tmp_path / "noted.tif").meta["hush"] == {"method": "n2v"}
    io.write(tmp_path / "named.tif", image.with_meta(description="größer"))
    assert io.read(tmp_path / "named.tif").meta["description"] == "größer"


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("pieces", [False, True])
def test_tags_of_every_type_are_copied(tmp_path: Path, order: str, pieces: bool) -> None:
    tags = {
        297: (3, (0, 7)), 318: (5, (3127, 10000, 3290, 10000)), 319: (5, tuple(range(1, 13))), 340: (3, 4),
        33723: (7, b"\x1c\x01Z\0\x03\x1b%G"), 34377: (1, b"8BIM\4\4\0\0"), 50838: (4, (12, 4)), 50839: (7, bytes(16)),
        65001: (12, (1.5, -2.0)), 65535: (4, 9),
    }  # fmt: skip
    image, target = again(make(tmp_path / "a.tif", GREY.tobytes(), GREY_TAGS | tags, order))
    if pieces:
        target = tmp_path / "b.tif"
        with io.create(target, image) as out:
            assert out is not None
            out[...] = image.data
    before, after = raw_tags(tmp_path / "a.tif")[0], raw_tags(target)[0]
    assert {code: after.get(code) for code in tags} == {code: before[code] for code in tags}
    np.testing.assert_array_equal(tifffile.imread(target), GREY)
    wide = Image(image.data.astype(np.float32), image.axes, meta=image.meta)
    io.write(tmp_path / "wide.tif", wide)
    assert tags.keys() - raw_tags(tmp_path / "wide.tif")[0].keys() == {340}  # the least of the old numbers


@pytest.mark.parametrize("bits", [8, 12])
def test_tags_survive_another_byte_order(tmp_path: Path, bits: int) -> None:
    tags = picture(9, 8, bits=bits) | {262: (3, 1), 318: (5, (3127, 10000, 3290, 10000)), 65000: (12, (0.1, 7.0))}
    _, target = again(make(tmp_path / "a.tif", packed(GREY, bits), tags, ">"))
    with tifffile.TiffFile(target) as tif:
        assert tif.pages.first.tags[318].value == (3127, 10000, 3290, 10000)
        assert tif.pages.first.tags[65000].value == (0.1, 7.0)


@pytest.mark.parametrize("bigtiff", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_every_page_keeps_its_own_tags(
    tmp_path: Path, bigtiff: bool, order: Literal["<", ">"], compression: str | None
) -> None:
    pages = np.stack([GREY, GREY // 2, GREY // 3])
    with tifffile.TiffWriter(tmp_path / "a.tif", bigtiff=bigtiff, byteorder=order) as tif:
        for number, page in enumerate(pages):
            own = [(51123, 2, None, json.dumps({"Slice": number, "PixelSizeUm": 0.25}), True), (65000, 4, 1, 7, True)]
            tif.write(page, metadata=None, photometric="minisblack", extratags=own[number == 1 :],
                      description=f"page {number}", compression=compression, contiguous=False)  # fmt: skip
    image, target = again(tmp_path / "a.tif")
    assert (dict(image.scale), image.unit) == ({"X": 0.25, "Y": 0.25}, "µm")
    before, after = raw_tags(tmp_path / "a.tif"), raw_tags(target)
    assert len(after) == 3
    for old, new in zip(before, after, strict=True):
        for code in (270, 51123, 65000):
            assert new.get(code) == old.get(code)
    np.testing.assert_array_equal(tifffile.imread(target), pages)
    _, third = again(target)
    np.testing.assert_array_equal(io.read(third).data, pages)


def test_exif_and_gps_come_back(tmp_path: Path) -> None:
    about = {
        271: "a maker", 34853: {1: "N", 2: (48.0, 8.0, 1.5)},
        34665: {33434: 0.25, 36867: "2026:11:29 08:00:00", 37500: b"maker's note" * 9},
    }  # fmt: skip
    Pillow.fromarray(GREY).save(tmp_path / "a.tif", tiffinfo=about)
    image, target = again(tmp_path / "a.tif")
    assert image.meta["warnings"] == []
    for _ in range(2):
        with Pillow.open(tmp_path / "a.tif") as before, Pillow.open(target) as after:
            for place in (0x8769, 0x8825):
                assert dict(after.getexif().get_ifd(place)) == dict(before.getexif().get_ifd(place)) != {}
            np.testing.assert_array_equal(np.asarray(after), GREY)
        image, target = io.read(target), tmp_path / "third.tif"
        io.write(target, image, overwrite=True)


@pytest.mark.parametrize("bigtiff", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
def test_lists_of_tags_in_every_form_of_file(tmp_path: Path, order: Literal["<", ">"], bigtiff: bool) -> None:
    about = {34853: {1: "N", 2: (48.0, 8.0, 1.5)}, 34665: {33434: 0.25, 36867: "2026:11:29 08:00:00"}}
    Pillow.fromarray(GREY).save(tmp_path / "a.tif", tiffinfo=about)
    tags = io.read(tmp_path / "a.tif").meta["tiff"]["tags"]
    path = tmp_path / "b.tif"
    tifffile.imwrite(path, GREY, byteorder=order, bigtiff=bigtiff, metadata=None, photometric="minisblack")
    _tiff_tags.graft(path, tags, "<", set())
    for source in (path, again(path)[1]):
        with tifffile.TiffFile(source) as tif:
            found = tif.pages.first.tags
            assert tif.is_bigtiff == bigtiff
            assert found[34665].value["ExposureTime"] == 0.25
            assert found[34853].value["GPSLatitude"] == (48, 1, 8, 1, 3, 2)
            np.testing.assert_array_equal(tif.asarray(), GREY)


def test_what_points_into_the_old_file_is_left_out_with_a_word(tmp_path: Path) -> None:
    tags = GREY_TAGS | {33629: (5, (1, 2)), 37724: (7, b"Adobe Photoshop Document Data Block\0"), 34665: (4, 99999)}
    image, target = again(make(tmp_path / "a.tif", GREY.tobytes(), tags))
    assert not {33629, 37724, 34665} & raw_tags(target)[0].keys()
    assert all(any(str(code) in text for text in image.meta["warnings"]) for code in (33629, 37724, 34665))


@pytest.mark.parametrize("dots", [72, 96])
@pytest.mark.parametrize("unit", ["inch", "cm"])
def test_a_screen_is_no_pixel_size(tmp_path: Path, dots: int, unit: str) -> None:
    value = (dots, 1) if unit == "inch" else (round(dots / 2.54 * 100), 100)
    tags = GREY_TAGS | {282: (5, value), 283: (5, value), 296: (3, 2 if unit == "inch" else 3)}
    image, target = again(make(tmp_path / "a.tif", GREY.tobytes(), tags))
    assert not image.scale
    assert image.unit is None
    with tifffile.TiffFile(target) as tif:
        assert np.divide(*tif.pages.first.tags[282].value) == value[0] / value[1]
    true = Image(GREY, "YX", {"X": 25400 / dots, "Y": 25400 / dots}, "µm")  # really of that size: it is said in words
    io.write(tmp_path / "b.tif", true)
    assert io.read(tmp_path / "b.tif").scale == true.scale


@pytest.mark.parametrize(("dots", "known"), [(72, False), (96, False), (100, True), (300, True), (25400, True)])
def test_a_screen_is_no_pixel_size_in_png(tmp_path: Path, dots: int, known: bool) -> None:
    Pillow.fromarray(GREY).save(tmp_path / "a.png", dpi=(dots, dots))
    image = io.read(tmp_path / "a.png")
    assert bool(image.scale) == known
    io.write(tmp_path / "b.png", image)
    with Pillow.open(tmp_path / "b.png") as picture:
        assert picture.info["dpi"] == pytest.approx((dots, dots), rel=1e-3)


@pytest.mark.parametrize(
    ("code", "text", "expected"),
    [
        (34682, "[User]\r\nDate=1\r\n[Scan]\r\nPixelWidth=5.1e-9\r\nPixelHeight=5.2e-09\r\n", {"X": 5.1, "Y": 5.2}),
        (34680, "[Scan]\nPixelWidth=1e-6\nPixelHeight=1e-6\n", {"X": 1000.0, "Y": 1000.0}),
        (34118, "0\r\nAP_IMAGE_PIXEL_SIZE\r\nImage Pixel Size = 5.1 nm\r\n", {"X": 5.1, "Y": 5.1}),
        (34118, "AP_MAG\r\nMag = 5.00 K X\r\nAP_PIXEL_SIZE\r\nPixel Size = 1.2 µm\r\n", {"X": 1200.0, "Y": 1200.0}),
        (34682, "[Scan]\r\nPixelWidth=\r\nPixelHeight=nan\r\n", {}),
        (34118, "AP_IMAGE_PIXEL_SIZE\r\nImage Pixel Size = --- \r\n", {}),
    ],
)  # fmt: skip
def test_the_pixel_size_of_the_microscope_counts(
    tmp_path: Path, code: int, text: str, expected: dict[str, float]
) -> None:
    screen = {282: (5, (96, 1)), 283: (5, (96, 1)), 296: (3, 2)}
    tags = GREY_TAGS | screen | {code: (2, text.encode("cp1252") + b"\0")}
    image, target = again(make(tmp_path / "a.tif", GREY.tobytes(), tags))
    result = io.read(target)
    assert dict(image.scale) == dict(result.scale) == expected
    assert image.unit == result.unit == ("nm" if expected else None)
    before, after = raw_tags(tmp_path / "a.tif")[0], raw_tags(target)[0]
    assert {c: after[c] for c in (code, 282, 283)} == {c: before[c] for c in (code, 282, 283)}
    io.write(tmp_path / "b.ome.tif", image)
    assert dict(io.read(tmp_path / "b.ome.tif").scale) == expected
    changed = Image(image.data, "YX", {"X": 3.0, "Y": 3.0}, "nm", image.meta)
    io.write(tmp_path / "c.tif", changed)
    assert dict(io.read(tmp_path / "c.tif").scale) == {"X": 3.0, "Y": 3.0}


# -- what cannot be written is known before the work ---------------------------------------------------


@pytest.mark.parametrize("kind", [3, 999, 65535])
@pytest.mark.parametrize("samples", [2, 3])
def test_extra_samples_of_unknown_kinds(tmp_path: Path, kind: int, samples: int) -> None:
    pixels = np.random.default_rng(7).integers(0, 200, (8, 9, samples)).astype(np.uint8)
    tags = picture(9, 8, samples) | {262: (3, 1), 338: (3, (0, kind)[-samples + 1 :])}
    image, target = again(make(tmp_path / "a.tif", pixels.tobytes(), tags))
    assert any(str(kind) in text for text in image.meta["warnings"])
    assert not image.alpha
    with tifffile.TiffFile(target) as tif:
        assert tif.pages.first.extrasamples == (0,) * (samples - 1)
    np.testing.assert_array_equal(tifffile.imread(target), pixels)


@pytest.mark.parametrize("shape", [(20, 24, 1), (2, 20, 24, 1)])
@pytest.mark.parametrize("dtype", ["?", "u1", "u2", "f4"])
def test_a_single_sample_is_grey(tmp_path: Path, shape: tuple[int, ...], dtype: str) -> None:
    image = Image(np.random.default_rng(8).integers(0, 2, shape).astype(dtype), "ZYXS"[4 - len(shape) :])
    io.write(tmp_path / "a.tif", image)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "a.tif"), image.data[..., 0])
    with io.create(tmp_path / "b.tif", image) as out:
        if out is not None:
            out[...] = image.data
            assert out.shape == image.data.shape


@pytest.mark.parametrize("dtype", ["u8", "i8"])
def test_numbers_without_a_predictor(tmp_path: Path, dtype: str) -> None:
    tifffile.imwrite(tmp_path / "a.tif", GREY.astype("u4"), compression="zlib", predictor=True)
    image = io.read(tmp_path / "a.tif")
    io.write(tmp_path / "b.tif", Image(image.data.astype(dtype), "YX", meta=image.meta))
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "b.tif"), GREY)


IMPOSSIBLE = [
    ("a.png", "f4", "YX", (20, 24)), ("a.jpg", "u2", "YX", (20, 24)), ("a.bmp", "u2", "YX", (20, 24)),
    ("a.png", "u1", "ZYX", (3, 20, 24)), ("a.png", "u1", "YXS", (20, 24, 5)), ("a.jpg", "u1", "YX", (3, 70000)),
]  # fmt: skip


@pytest.mark.parametrize(("name", "dtype", "axes", "shape"), IMPOSSIBLE)
def test_what_a_format_cannot_hold_is_known_before(
    tmp_path: Path, name: str, dtype: str, axes: str, shape: tuple[int, ...]
) -> None:
    like = Image(np.broadcast_to(np.zeros((), dtype), shape), axes)
    with pytest.raises(HushError):
        io.check_output(tmp_path / name, like=like)
    with pytest.raises(HushError), io.create(tmp_path / name, like):
        pytest.fail("the work began")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("method", ["n2v", "gaussian"])
def test_a_command_refuses_before_it_learns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    from hush.cli import jobs, main

    tifffile.imwrite(tmp_path / "a.tif", GREY.astype(np.float32))
    monkeypatch.setattr(jobs, "fit_jobs", lambda *_: pytest.fail("the work began"))
    argv = ["denoise", str(tmp_path / "a.tif"), "-o", str(tmp_path / "b.png"), "--method", method, "-q"]
    assert main(argv) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["a.tif"]


# -- sound files that were called damaged --------------------------------------------------------------


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("alpha", [None, 0, 2])
@pytest.mark.parametrize("fine", [False, True])
def test_palettes_of_every_depth(tmp_path: Path, bits: int, alpha: int | None, fine: bool) -> None:
    rng = np.random.default_rng(9)
    colours = rng.integers(1, 256, (3, 2**bits)) * 257 + fine
    index = rng.integers(0, 2**bits, (8, 9) if alpha is None else (8, 9, 2))
    index[0, 0] = 2**bits - 1
    samples = 1 if alpha is None else 2
    tags = picture(9, 8, samples, bits) | {262: (3, 3), 320: (3, tuple((colours % 65536).ravel().tolist()))}
    tags |= {} if alpha is None else {338: (3, alpha)}
    image, target = again(make(tmp_path / "a.tif", packed(index.reshape(8, -1), bits), tags))
    shown_in = index if alpha is None else index[..., 0]
    expected = (colours % 65536).T[shown_in]
    top = np.iinfo(image.data.dtype).max
    np.testing.assert_array_equal(image.data[..., :3], expected if top == 65535 else expected >> 8)
    assert image.alpha == (alpha == 2)
    if alpha is not None:
        np.testing.assert_allclose(image.data[..., 3] / top, index[..., 1] / (2**bits - 1), atol=1e-6)
    np.testing.assert_array_equal(tifffile.imread(target), image.data)


@pytest.mark.parametrize("stray", [b"\0", b"\0\0\0", b"abc", b"\xff\xff", b"\xff\0", bytes(500)])
@pytest.mark.parametrize("where", [1, 2, -1])
def test_jpeg_with_stray_bytes_between_markers(tmp_path: Path, stray: bytes, where: int) -> None:
    Pillow.fromarray(np.dstack([GREY] * 3)).save(tmp_path / "a.jpg", comment=b"a comment")
    raw = (tmp_path / "a.jpg").read_bytes()
    places, at = [], 2
    while raw[at + 1] != 0xDA:
        places.append(at)
        at += 2 + int.from_bytes(raw[at + 2 : at + 4], "big")
    place = places[where]
    (tmp_path / "b.jpg").write_bytes(raw[:place] + stray + raw[place:])
    image = io.read(tmp_path / "b.jpg")
    np.testing.assert_array_equal(image.data, io.read(tmp_path / "a.jpg").data)
    assert image.meta["description"] == "a comment"
    io.write(tmp_path / "c.jpg", image)
    assert io.read(tmp_path / "c.jpg").meta["description"] == "a comment"


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("strips", ["whole", "scan", "none"])
def test_old_style_jpeg(tmp_path: Path, mode: str, strips: str) -> None:
    y, x = np.mgrid[:16, :24]
    grey = (x * 4 + y * 3).astype(np.uint8)
    Pillow.fromarray(grey).convert(mode).save(tmp_path / "a.jpg", quality=98, subsampling=0)
    raw = (tmp_path / "a.jpg").read_bytes()
    samples = len(mode)
    tags = picture(24, 16, samples) | {259: (3, 6), 262: (3, 6 if samples == 3 else 1), 513: (4, 8), 514: (4, len(raw))}
    scan = raw.index(b"\xff\xda")
    scan += 2 + int.from_bytes(raw[scan + 2 : scan + 4], "big")
    if strips == "scan":  # the strip is the compressed part only
        tags |= {273: (4, 8 + scan), 279: (4, len(raw) - scan)}
    path = make(tmp_path / "a.tif", raw, tags, without=(273, 279) if strips == "none" else ())
    image, target = again(path)
    expected = io.read(tmp_path / "a.jpg").data
    np.testing.assert_array_equal(image.data, expected)
    np.testing.assert_array_equal(tifffile.imread(target), expected)
    make(tmp_path / "b.tif", raw[scan:], tags | {513: (4, 8), 514: (4, len(raw) - scan), 273: (4, 8)})
    with pytest.raises(HushError) as caught:
        io.read(tmp_path / "b.tif")
    assert "damaged" not in str(caught.value)


@pytest.mark.parametrize("number", [34676, 32766, 12345])
def test_a_compression_that_is_not_known_is_no_damage(tmp_path: Path, number: int) -> None:
    path = make(tmp_path / "a.tif", GREY.tobytes(), GREY_TAGS | {259: (3, number)})
    with pytest.raises(HushError) as caught:
        io.read(path)
    assert "damaged" not in str(caught.value)


# -- pages ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("factor", [2, 3, 4])
@pytest.mark.parametrize("reduced", [False, True])
def test_only_reduced_pages_are_pyramid_levels(tmp_path: Path, factor: int, reduced: bool) -> None:
    page = np.random.default_rng(10).integers(0, 200, (48, 96)).astype(np.uint8)
    with tifffile.TiffWriter(tmp_path / "a.tif") as tif:
        tif.write(page, metadata=None, photometric="minisblack")
        tif.write(page[::factor, ::factor], metadata=None, photometric="minisblack", subfiletype=int(reduced))
    image = io.read(tmp_path / "a.tif")
    np.testing.assert_array_equal(image.data, page)
    assert len(image.meta["warnings"]) == 1
    assert ("pyramid" in image.meta["warnings"][0]) == reduced
    assert ("2 images" in image.meta["warnings"][0]) != reduced


def test_a_thumbnail_before_the_image_is_not_the_image(tmp_path: Path) -> None:
    page = np.random.default_rng(11).integers(0, 200, (48, 96)).astype(np.uint8)
    with tifffile.TiffWriter(tmp_path / "a.tif") as tif:
        tif.write(page[::4, ::4], metadata=None, photometric="minisblack", subfiletype=1)
        tif.write(page, metadata=None, photometric="minisblack")
    np.testing.assert_array_equal(io.read(tmp_path / "a.tif").data, page)
