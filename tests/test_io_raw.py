"""Raw photographs: the mosaic as planes, the file around it untouched; compared with LibRaw."""

from __future__ import annotations

import importlib
import struct
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import imagecodecs
import numpy as np
import pytest
import tifffile

from hush import io
from hush.core.errors import FormatError, HushError
from hush.core.image import Image
from hush.io import _dng_facts
from hush.io._dng_mosaic import Mosaic
from hush.io._dng_new import shot
from hush.io._dng_tags import Patched
from hush.io._tiff_tags import Tag, graft

PHOTO = Path(__file__).parents[2] / "shared" / "data" / "formats_photo"
NOTE = {"version": "0.1.0", "method": "auto"}
BLACK, WHITE = 256, 4095
SIZE = (64, 96)
MATRIX = (6461, 10000, -1164, 10000, -857, 10000, -3825, 10000, 11597, 10000, 2534, 10000, -416, 10000, 1540, 10000,
          6000, 10000)  # fmt: skip
SHOT = (
    (33434, 5, struct.pack("<2I", 1, 125)),
    (34855, 3, struct.pack("<H", 1600)),
    (37500, 7, b"maker's note \xff" * 3),
)


@pytest.fixture
def rawpy() -> Any:
    return pytest.importorskip("rawpy", reason="LibRaw opens what hush writes")


def sensor(size: tuple[int, int] = SIZE) -> np.ndarray:
    """Values of 12 bits, some of them below the black level."""
    y, x = np.indices(size)
    light = 300 + 1500 * (1 + np.sin(x / 9) * np.cos(y / 7)) * np.where((y + x) % 2, 1.0, 0.6)
    noisy = light - 250 + np.random.default_rng(0).normal(0, 40, size)
    return np.clip(np.rint(noisy), 0, WHITE).astype(np.uint16)


def of_raw(
    frame: np.ndarray, pattern: bytes = b"\0\1\1\2", area: tuple[int, ...] | None = None, more: Any = ()
) -> list[Any]:
    """Tags of a mosaic, as tifffile takes them."""
    tags: list[Any] = [
        (33421, 3, 2, (2, 2), True), (33422, 1, 4, pattern, True), (50713, 3, 2, (1, 1), True),
        (50714, 3, 1, BLACK, True), (50717, 4, 1, WHITE, True), (50829, 4, 4, area or (0, 0, *frame.shape), True),
    ]  # fmt: skip
    return [*tags, *more]


def of_file() -> list[Any]:
    return [
        (50706, 1, 4, b"\1\4\0\0", True), (50707, 1, 4, b"\1\1\0\0", True), (50708, 2, 0, "Test 1", True),
        (50721, 10, 9, MATRIX, True), (50728, 5, 3, (1, 2, 1, 1, 2, 3), True), (50778, 3, 1, 21, True),
        (271, 2, 0, "Test", True), (272, 2, 0, "Test 1", True), (274, 3, 1, 6, True),
        (50740, 1, 12, b"private data", True), (50972, 1, 16, bytes(range(16)), True),
    ]  # fmt: skip


def encoded(frame: np.ndarray, tile: tuple[int, int], components: int) -> Iterator[bytes]:
    """Tiles in lossless JPEG, filled at the edge with zeros."""
    high, wide = tile
    for y in range(0, frame.shape[0], high):
        for x in range(0, frame.shape[1], wide):
            piece = np.zeros(tile, np.uint16)
            part = frame[y : y + high, x : x + wide]
            piece[: part.shape[0], : part.shape[1]] = part
            flat = piece.reshape(high // components, wide * components)
            yield bytes(imagecodecs.ljpeg_encode(flat, bitspersample=12))


STORED: dict[str, dict[str, Any]] = {
    "16 bits": {},
    "12 bits packed": {"bitspersample": 12},
    "14 bits packed in strips": {"bitspersample": 14, "rowsperstrip": 24},
    "lossless JPEG": {"tile": (32, 64), "compression": 7, "components": 1},
    "lossless JPEG of two rows": {"tile": (48, 64), "compression": 7, "components": 2},
    "Deflate": {"compression": 8, "tile": (32, 64)},
    "Deflate with a predictor": {"compression": 8, "predictor": 2},
}


def made(
    path: Path,
    stored: str = "16 bits",
    order: Literal["<", ">"] = "<",
    preview: bool = False,
    more: Any = (),
    **raw: Any,
) -> Path:
    """A DNG as tifffile writes it: the mosaic first, or in a list of its own beside a small and a large preview."""
    frame = raw.pop("frame", sensor())
    how = dict(STORED[stored])
    components = how.pop("components", 0)
    data: Any = encoded(frame, how["tile"], components) if components else frame
    page = {"photometric": "cfa", "metadata": None, "software": "camera 1.0", **how}
    page |= {"shape": frame.shape, "dtype": frame.dtype} if components else {}
    with tifffile.TiffWriter(path, byteorder=order) as writer:
        if preview:
            small, large = np.full((12, 16, 3), 90, np.uint8), np.full((400, 600, 3), 91, np.uint8)
            writer.write(small, photometric="rgb", subfiletype=1, subifds=2, metadata=None, software="camera 1.0",
                         extratags=of_file())  # fmt: skip
            writer.write(data, subfiletype=0, extratags=[*of_raw(frame, **raw), *more], **page)
            writer.write(large, photometric="rgb", subfiletype=1, metadata=None)
        else:
            writer.write(data, extratags=[*of_raw(frame, **raw), *of_file(), *more], **page)
    return path


def with_exif(path: Path) -> Path:
    """Give a file a list of EXIF tags, with a maker's note."""
    inside = tuple(Tag(code, kind, body) for code, kind, body in SHOT)
    graft(path, [(Tag(34665, 4, b"\0" * 4, inside),)], "<", set())
    return path


def tags(path: Path) -> dict[str, Any]:
    """Every tag of every list of a file by its place and name, but for places of pixels."""
    found: dict[str, Any] = {}
    with tifffile.TiffFile(path) as tif:
        for number, page in enumerate(tif.pages):
            for place, one in {
                f"{number}": page,
                **{f"{number}.{k}": sub for k, sub in enumerate(page.pages or ())},
            }.items():
                for tag in one.aspage().tags:
                    if tag.name not in ("StripOffsets", "TileOffsets", "StripByteCounts", "TileByteCounts", "SubIFDs"):
                        found[f"{place} {tag.name}"] = tag.value
    return found


def changed(image: Image) -> Image:
    """Other values: of the noise a half, and the note of a method."""
    data = image.data.astype(np.float32)
    smooth = (data + np.roll(data, 1, -1)) / 2
    return replace(image, data=np.rint(smooth).astype(image.data.dtype)).with_meta(hush=NOTE)


def rendered(rawpy: Any, path: Path) -> np.ndarray:
    with rawpy.imread(str(path)) as raw:
        return np.array(raw.postprocess(use_camera_wb=True, no_auto_bright=True, output_bps=16))


# -- the mosaic -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("pattern", ["RGGB", "GRBG", "GBRG", "BGGR", "RGWB", "CYGM"])
@pytest.mark.parametrize("area", [(0, 0, 10, 12), (1, 1, 10, 12), (1, 2, 10, 11)])
def test_planes_hold_one_colour_each_and_join_to_the_same_frame(area: tuple[int, ...], pattern: str) -> None:
    frame = np.random.default_rng(0).integers(0, 4096, (10, 12))
    mosaic = Mosaic.of(area, frame.shape, (2, 2), pattern)
    planes = mosaic.planes(frame)
    assert planes.shape == mosaic.shape
    colours = np.empty(frame.shape, "U1")
    for y, x in np.ndindex(*frame.shape):
        colours[y, x] = pattern[(y - area[0]) % 2 * 2 + (x - area[1]) % 2]
    for name, of_plane in zip(mosaic.names, mosaic.planes(colours), strict=True):
        assert set(of_plane.ravel()) == {name[0]}
    np.testing.assert_array_equal(mosaic.joined(frame, planes), frame)
    outside = mosaic.joined(frame, planes + 1) == frame
    assert outside.sum() == frame.size - planes.size


@pytest.mark.parametrize("pattern", [b"\0\1\1\2", b"\1\0\2\1", b"\1\2\0\1", b"\2\1\1\0"])
@pytest.mark.parametrize("area", [(0, 0, 64, 96), (2, 4, 62, 90), (3, 5, 64, 96), (1, 2, 62, 95)])
def test_colours_are_those_that_libraw_sees(
    tmp_path: Path, rawpy: Any, area: tuple[int, int, int, int], pattern: bytes
) -> None:
    path = made(tmp_path / "a.dng", area=area, pattern=pattern)
    image = io.read(path)
    top, left, bottom, right = area
    assert (image.axes, image.data.shape) == ("CYX", (4, (bottom - top) // 2, (right - left) // 2))
    assert image.meta["channels"] == ["R", "G1", "G2", "B"]
    with rawpy.imread(str(path)) as raw:
        colours, names, sizes = np.array(raw.raw_colors_visible), raw.color_desc.decode(), raw.sizes
    mosaic = Mosaic(top, left, bottom - top, right - left, "".join("RGB"[one] for one in pattern))
    places = mosaic.planes(np.arange(sensor().size).reshape(SIZE))
    for name, plane in zip(image.meta["channels"], places, strict=True):
        y, x = np.divmod(plane.ravel(), SIZE[1])
        y, x = y - sizes.top_margin, x - sizes.left_margin  # LibRaw may leave an odd row or column out
        seen = (y >= 0) & (x >= 0) & (y < sizes.height) & (x < sizes.width)
        assert {names[one] for one in colours[y[seen], x[seen]]} == {name[0]}


# -- the same file around other pixels ------------------------------------------------------------------


@pytest.mark.parametrize("preview", [False, True])
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("stored", STORED)
def test_a_file_comes_back_byte_for_byte(tmp_path: Path, stored: str, order: Literal["<", ">"], preview: bool) -> None:
    if order == ">" and ("packed" in stored or "JPEG" in stored):
        pytest.skip("tifffile writes such files of this order wrongly")
    path = made(tmp_path / "a.dng", stored, order, preview)
    image = io.read(path)
    np.testing.assert_array_equal(image.data, Mosaic(0, 0, *SIZE, "RGGB").planes(sensor()))
    assert image.meta["camera"] == {"black": [BLACK] * 4, "white": WHITE, "pattern": "RGGB"}
    io.write(tmp_path / "b.dng", image)
    assert (tmp_path / "b.dng").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("preview", [False, True])
@pytest.mark.parametrize("stored", STORED)
def test_new_pixels_keep_all_else(tmp_path: Path, rawpy: Any, stored: str, preview: bool) -> None:
    path = with_exif(made(tmp_path / "a.dng", stored, preview=preview, area=(2, 4, 63, 95)))
    image = io.read(path)
    new = changed(image)
    io.write(tmp_path / "b.dng", new)
    back = io.read(tmp_path / "b.dng")
    np.testing.assert_array_equal(back.data, new.data)
    assert back.meta["hush"] == NOTE
    before, after = tags(path), tags(tmp_path / "b.dng")
    own = {"Software", "RawImageDigest", "NoiseReductionApplied"}
    if stored == "Deflate with a predictor":  # written plain
        own |= {"Compression", "Predictor"}
    left = {key for key in before | after if before.get(key) != after.get(key) and key.split()[1] not in own}
    assert {key[:3] for key in left} == ({"0.1"} if preview else set())  # the large preview
    assert not [key for key in after if "Digest" in key]
    if "Deflate" in stored:  # LibRaw reads it of floats only
        return
    with rawpy.imread(str(path)) as old, rawpy.imread(str(tmp_path / "b.dng")) as raw:
        seen = np.array(raw.raw_image)
        np.testing.assert_array_equal(Mosaic(2, 4, 61, 91, "RGGB").planes(seen), new.data)
        around = Mosaic(2, 4, 61, 91, "RGGB").joined(np.array(old.raw_image), new.data)
        np.testing.assert_array_equal(seen, around)  # the margin, and the last row and column of an odd area
        assert raw.camera_whitebalance == old.camera_whitebalance
        np.testing.assert_array_equal(raw.color_matrix, old.color_matrix)
        assert raw.black_level_per_channel == old.black_level_per_channel
        assert (raw.white_level, raw.sizes) == (old.white_level, old.sizes)


def test_a_note_alone_changes_nothing(tmp_path: Path) -> None:
    path = made(tmp_path / "a.dng", preview=True)
    io.write(tmp_path / "b.dng", io.read(path).with_meta(hush=NOTE))
    assert (tmp_path / "b.dng").read_bytes() == path.read_bytes()


def test_large_previews_go_and_small_ones_stay(tmp_path: Path) -> None:
    path = made(tmp_path / "a.dng", preview=True)
    image = io.read(path)
    assert len(image.meta["warnings"]) == 1
    io.write(tmp_path / "b.dng", changed(image))
    file = Patched((tmp_path / "b.dng").read_bytes())
    assert [len(folder.sub) for folder in file.folders] == [1]
    assert len(file.data) < path.stat().st_size - 600_000
    with tifffile.TiffFile(tmp_path / "b.dng") as tif:
        assert (tif.pages[0].asarray() == 90).all()
    assert io.read(tmp_path / "b.dng").meta["warnings"] == []


def test_values_stay_within_the_bits_of_the_file(tmp_path: Path) -> None:
    image = io.read(made(tmp_path / "a.dng", "12 bits packed"))
    io.write(tmp_path / "b.dng", replace(image, data=image.data + np.uint16(60000)))
    assert (io.read(tmp_path / "b.dng").data == 4095).all()


def test_values_on_a_curve_become_linear(tmp_path: Path, rawpy: Any) -> None:
    table = np.rint(np.linspace(0, 63, 4096) ** 2).astype(np.uint16)
    path = made(tmp_path / "a.dng", more=[(50712, 3, len(table), table, True)])
    image = io.read(path)
    np.testing.assert_array_equal(image.data, Mosaic(0, 0, *SIZE, "RGGB").planes(table[sensor()]))
    new = changed(image)
    io.write(tmp_path / "b.dng", new)
    np.testing.assert_array_equal(io.read(tmp_path / "b.dng").data, new.data)
    with rawpy.imread(str(tmp_path / "b.dng")) as raw:
        np.testing.assert_array_equal(Mosaic(0, 0, *SIZE, "RGGB").planes(np.array(raw.raw_image)), new.data)
    assert "0 LinearizationTable" not in tags(tmp_path / "b.dng")


def test_rows_and_columns_of_fields_come_to_their_places(tmp_path: Path) -> None:
    frame = sensor()
    fields = np.concatenate([np.concatenate([frame[y::2, x::2] for x in (0, 1)], 1) for y in (0, 1)])
    path = made(tmp_path / "a.dng", frame=fields, more=[(50975, 4, 1, 2, True), (52547, 4, 1, 2, True)])
    image = io.read(path)
    np.testing.assert_array_equal(image.data, Mosaic(0, 0, *SIZE, "RGGB").planes(frame))
    new = changed(image)
    io.write(tmp_path / "b.dng", new)
    np.testing.assert_array_equal(io.read(tmp_path / "b.dng").data, new.data)


def test_the_noise_that_a_file_states_is_that_of_its_values(tmp_path: Path) -> None:
    profile = (2e-3, 1e-6, 1e-3, 4e-6, 3e-3, 9e-6)
    path = made(tmp_path / "a.dng", more=[(51041, 12, 6, profile, True), (50710, 1, 3, b"\0\1\2", True)])
    image = io.read(path)
    red, green, same, blue = image.meta["camera"]["noise"]
    extent = WHITE - BLACK
    assert green == same != blue
    for text, (slope, constant) in ((red, profile[:2]), (green, profile[2:4]), (blue, profile[4:])):
        given = dict(one.split("=") for one in text.removeprefix("poisson_gaussian:").split(","))
        assert float(given["gain"]) == pytest.approx(slope * extent, rel=1e-4)
        assert float(given["offset"]) == BLACK
        assert float(given["sigma"]) == pytest.approx(extent * constant**0.5, rel=1e-4)
    io.write(tmp_path / "b.dng", changed(image))
    assert "noise" not in io.read(tmp_path / "b.dng").meta["camera"]


def test_black_levels_of_a_pattern_go_to_their_planes(tmp_path: Path) -> None:
    tags = [tag for tag in of_raw(sensor(), b"\1\0\2\1") if tag[0] not in (50713, 50714)]
    tags += [(50713, 3, 2, (2, 2), True), (50714, 3, 4, (11, 12, 13, 14), True)]
    with tifffile.TiffWriter(tmp_path / "a.dng") as writer:
        writer.write(sensor(), photometric="cfa", metadata=None, extratags=tags + of_file())
    assert io.read(tmp_path / "a.dng").meta["camera"]["black"] == [12, 11, 14, 13]


# -- pieces, linear pictures, other files ---------------------------------------------------------------


def test_a_piece_is_a_dng_of_its_own(tmp_path: Path, rawpy: Any) -> None:
    path = with_exif(made(tmp_path / "a.dng", "lossless JPEG", preview=True, area=(2, 4, 63, 95)))
    whole = io.read(path)
    piece = whole.crop(slice(3, 27), slice(5, 40))
    io.write(tmp_path / "b.dng", piece)
    back = io.read(tmp_path / "b.dng")
    np.testing.assert_array_equal(back.data, piece.data)
    assert back.meta["camera"] == whole.meta["camera"]
    after = tags(tmp_path / "b.dng")
    assert after["0 ExifTag"]["ISOSpeedRatings"] == 1600
    assert after["0 Orientation"] == 6
    with rawpy.imread(str(path)) as old, rawpy.imread(str(tmp_path / "b.dng")) as raw:
        assert raw.camera_whitebalance == old.camera_whitebalance
        np.testing.assert_array_equal(raw.color_matrix, old.color_matrix)


@pytest.mark.parametrize("samples", [1, 3])
@pytest.mark.parametrize("order", "<>")
def test_a_linear_picture_has_its_colours_at_every_pixel(
    tmp_path: Path, order: Literal["<", ">"], samples: int
) -> None:
    data = np.random.default_rng(0).integers(0, 65536, (20, 30, samples)).astype(np.uint16)
    data, photometric = (data, "linear_raw") if samples > 1 else (data[..., 0], "minisblack")
    with tifffile.TiffWriter(tmp_path / "a.dng", byteorder=order) as writer:
        writer.write(data, photometric=photometric, metadata=None, extratags=of_file())
    file = Patched((tmp_path / "a.dng").read_bytes())
    file.put(file.folders[0], 262, 3, [34892])  # tifffile writes none of one sample
    file.save(file.folders[0])
    (tmp_path / "a.dng").write_bytes(file.data)
    image = io.read(tmp_path / "a.dng")
    assert (image.axes, image.samples()) == ("YXS" if samples > 1 else "YX", samples)
    np.testing.assert_array_equal(image.data, data)
    io.write(tmp_path / "b.dng", image)
    assert (tmp_path / "b.dng").read_bytes() == (tmp_path / "a.dng").read_bytes()
    new = replace(image, data=image.data[::-1]).with_meta(hush=NOTE)
    io.write(tmp_path / "c.dng", new)
    np.testing.assert_array_equal(io.read(tmp_path / "c.dng").data, new.data)
    piece = image.crop(slice(3, 9), slice(5, 16))
    io.write(tmp_path / "d.dng", piece)
    np.testing.assert_array_equal(io.read(tmp_path / "d.dng").data, piece.data)


def test_floats_of_a_file_stay_floats(tmp_path: Path) -> None:
    frame = (sensor() / np.float32(WHITE)).astype(np.float32)
    image = io.read(made(tmp_path / "a.dng", "Deflate", frame=frame))
    assert image.data.dtype == np.float32
    new = changed(image)
    io.write(tmp_path / "b.dng", new)
    np.testing.assert_array_equal(io.read(tmp_path / "b.dng").data, new.data)


def test_planes_as_tiff_say_which_colour_they_are(tmp_path: Path) -> None:
    image = io.read(made(tmp_path / "a.dng"))
    io.write(tmp_path / "b.tif", image)
    back = io.read(tmp_path / "b.tif")
    np.testing.assert_array_equal(back.data, image.data)
    assert (back.axes, back.meta["channels"]) == ("CYX", ["R", "G1", "G2", "B"])


def test_the_command_gives_the_same_file_without_its_noise(tmp_path: Path, run: Any) -> None:
    path = made(tmp_path / "a.dng", "12 bits packed", preview=True)
    code, _, _ = run("denoise", str(path), "-o", str(tmp_path / "b.dng"), "--method", "gaussian")
    assert code == 0
    before, after = io.read(path), io.read(tmp_path / "b.dng")
    assert after.meta["hush"]["method"] == "gaussian"
    assert after.meta["camera"] == before.meta["camera"]
    roughness = [float(np.diff(one.data[:, ::2].astype(float), axis=-1).std()) for one in (before, after)]
    assert roughness[1] < roughness[0]


# -- real cameras ---------------------------------------------------------------------------------------


@pytest.fixture
def photographs() -> Path:
    if not PHOTO.is_dir():
        pytest.skip("the photographs of shared/data are not here")
    return PHOTO


def test_a_camera_s_dng_is_rendered_the_same(tmp_path: Path, rawpy: Any, photographs: Path) -> None:
    path = photographs / "colorchart_bayer.dng"
    image = io.read(path)
    with rawpy.imread(str(path)) as raw:
        seen = np.array(raw.raw_image)
    assert image.data.shape == (4, 578, 867)
    assert image.data.min() < min(image.meta["camera"]["black"])  # noise around black is not cut off
    np.testing.assert_array_equal(image.data, Mosaic(26, 152, 1156, 1734, "RGGB").planes(seen))
    for data in (image.data, changed(image).data):
        io.write(tmp_path / "b.dng", replace(image, data=data), overwrite=True)
        with rawpy.imread(str(tmp_path / "b.dng")) as raw:
            np.testing.assert_array_equal(Mosaic(26, 152, 1156, 1734, "RGGB").planes(np.array(raw.raw_image)), data)
        assert tags(tmp_path / "b.dng") == tags(path)
    io.write(tmp_path / "b.dng", image, overwrite=True)
    np.testing.assert_array_equal(rendered(rawpy, tmp_path / "b.dng"), rendered(rawpy, path))


def test_another_maker_s_file_becomes_a_dng(tmp_path: Path, rawpy: Any, photographs: Path) -> None:
    path = photographs / "KODAK_DC50.kdc"
    image = io.read(path)
    assert image.meta["channels"] == ["R", "G1", "G2", "B"]
    io.write(tmp_path / "b.dng", image.with_meta(hush=NOTE))
    seen = []
    for one in (path, tmp_path / "b.dng"):
        with rawpy.imread(str(one)) as raw:
            own: dict[str, Any] = {  # the sensor's colours, since nothing is stated of them; no choice depends on them
                "user_wb": [1, 1, 1, 1],
                "output_color": rawpy.ColorSpace.raw,
                "demosaic_algorithm": rawpy.DemosaicAlgorithm.LINEAR,
            }
            seen.append((np.array(raw.raw_image), raw.postprocess(output_bps=16, no_auto_bright=True, **own)))
    np.testing.assert_array_equal(seen[0][0], seen[1][0])
    np.testing.assert_array_equal(seen[0][1], seen[1][1])
    back = io.read(tmp_path / "b.dng")
    assert (back.meta["hush"], back.meta["camera"]["pattern"]) == (NOTE, "GRBG")
    before, after = tags(path), tags(tmp_path / "b.dng")
    for name in ("Make", "Model", "DateTime", "ExposureTime", "FNumber", "FocalLength", "Flash", "Copyright"):
        assert after[f"0 {name}"] == before[f"0 {name}"], name


# -- what cannot be done --------------------------------------------------------------------------------


def test_a_tiff_is_no_dng(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.dng", np.zeros((8, 8), np.uint8))
    with pytest.raises(FormatError):
        io.read(tmp_path / "a.dng")
    (tmp_path / "b.dng").write_bytes(b"\x89PNG and no TIFF")
    with pytest.raises(FormatError):
        io.read(tmp_path / "b.dng")


@pytest.mark.parametrize("stored", STORED)
def test_a_file_that_is_cut_short_is_refused_wherever_it_is_cut(tmp_path: Path, stored: str) -> None:
    raw = made(tmp_path / "a.dng", stored, preview=True).read_bytes()
    file = Patched(raw)
    folder = _dng_facts.look(file).folder
    tiled = 324 in folder.entries
    places = zip(*(file.numbers(folder, code) for code in ((324, 325) if tiled else (273, 279))), strict=True)
    end = int(max(start + size for start, size in places))
    for size in np.linspace(4, end - 1, 23).astype(int):
        (tmp_path / "b.dng").write_bytes(raw[:size])
        with pytest.raises(HushError):
            io.read(tmp_path / "b.dng")


def test_a_damaged_list_of_tags_is_an_error_and_no_crash(tmp_path: Path) -> None:
    raw = made(tmp_path / "a.dng", "lossless JPEG", preview=True).read_bytes()
    rng = np.random.default_rng(0)
    file = Patched(raw)
    ends = [(folder.at, folder.at + 2 + 12 * folder.room + 4) for folder in file.every()]
    for _ in range(60):
        bad = bytearray(raw)
        for _ in range(3):
            start, end = ends[rng.integers(len(ends))]
            bad[rng.integers(start, end)] = rng.integers(256)
        (tmp_path / "b.dng").write_bytes(bad)
        try:
            image = io.read(tmp_path / "b.dng")
        except HushError:
            continue
        assert image.data.ndim >= 2


def test_fields_that_cannot_be_are_refused(tmp_path: Path) -> None:
    path = made(tmp_path / "a.dng", more=[(50975, 4, 1, 2**32 - 1, True)])
    with pytest.raises(FormatError):
        io.read(path)


@pytest.mark.parametrize("side", [(6, 6), (4, 4), (2, 4)])
def test_other_patterns_are_refused(tmp_path: Path, side: tuple[int, int]) -> None:
    count = side[0] * side[1]
    extra = [(33421, 3, 2, side, True), (33422, 1, count, bytes([0, 1, 1, 2] * count)[:count], True)]
    with tifffile.TiffWriter(tmp_path / "a.dng") as writer:
        writer.write(sensor(), photometric="cfa", metadata=None, extratags=extra + of_file())
    with pytest.raises(FormatError):
        io.read(tmp_path / "a.dng")


def test_an_image_that_was_no_raw_file_is_refused_before_the_work(tmp_path: Path) -> None:
    plain = Image(np.zeros((16, 16), np.uint16), "YX")
    with pytest.raises(FormatError):
        io.check_output(tmp_path / "a.dng", like=plain)
    image = io.read(made(tmp_path / "a.dng"))
    for wrong in (replace(image, data=image.data[:3]), replace(image, data=image.data.astype(np.float32))):
        with pytest.raises(FormatError):
            io.check_output(tmp_path / "b.dng", like=wrong)
    io.check_output(tmp_path / "b.dng", like=image)


def test_without_rawpy_the_error_has_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = importlib.import_module

    def without(name: str, package: str | None = None) -> Any:
        if name == "rawpy":
            raise ImportError(name)
        return whole(name, package)

    monkeypatch.setattr(importlib, "import_module", without)
    (tmp_path / "a.nef").write_bytes(b"MM\0*" + b"\0" * 60)
    with pytest.raises(FormatError, match=r"pip install 'hush-denoise\[photo\]'"):
        io.read(tmp_path / "a.nef")


def test_a_raw_file_that_libraw_does_not_know_is_an_error(tmp_path: Path, rawpy: Any) -> None:
    (tmp_path / "a.cr2").write_bytes(made(tmp_path / "a.dng").read_bytes()[:300])
    with pytest.raises(FormatError):
        io.read(tmp_path / "a.cr2")


def test_the_raw_picture_is_found_among_others(tmp_path: Path) -> None:
    file = Patched(made(tmp_path / "a.dng", preview=True).read_bytes())
    facts = _dng_facts.look(file)
    assert facts.folder is file.folders[0].sub[0]
    assert [one is file.folders[0].sub[1] for one in facts.previews] == [True]


def test_how_a_picture_was_taken_is_told_where_no_tag_does(tmp_path: Path) -> None:
    taken = datetime(2020, 5, 17, 12, 30, 1)
    other = SimpleNamespace(shutter_speed=1 / 60, aperture=2.8, focal_length=35.0, iso_speed=800.0, timestamp=taken)
    path = made(tmp_path / "a.dng")
    graft(path, [shot(other, "<")], "<", set())
    exif = tags(path)["0 ExifTag"]
    assert exif["ExposureTime"][0] / exif["ExposureTime"][1] == pytest.approx(1 / 60, rel=1e-4)
    assert (exif["FNumber"], exif["FocalLength"]) == ((14, 5), (35, 1))
    assert (exif["ISOSpeedRatings"], exif["DateTimeOriginal"]) == (800, "2020:05:17 12:30:01")
    unknown = SimpleNamespace(
        shutter_speed=0.0, aperture=0.0, focal_length=np.nan, iso_speed=0.0, timestamp=datetime(1970, 1, 1)
    )
    assert shot(unknown, "<") == ()
