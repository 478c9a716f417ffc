"""EXR, HDR, WebP, JPEG XL, AVIF, HEIC and PAR/REC: what goes in comes out; other libraries read what hush writes."""

from __future__ import annotations

import io as streams
import struct
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from PIL import AvifImagePlugin, WebPImagePlugin
from PIL import Image as Pillow

from hush import io
from hush.core.errors import FormatError, HushError
from hush.core.image import Image
from hush.io import _heif_meta, _jxl_header, hdr

SHARED = Path(__file__).parents[2] / "shared" / "data"
PHOTO, MORE = SHARED / "formats_photo", SHARED / "Formats" / "photo"
NOTE = {"version": "0.1.0", "method": "n2v"}
needs_data = pytest.mark.skipif(not PHOTO.is_dir(), reason="the pictures of shared/data are not here")


def values(shape: tuple[int, ...], dtype: str = "u1", top: int = 256) -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.asarray(rng.normal(0, 3, shape) if dtype[0] == "f" else rng.integers(0, top, shape), dtype)


def again(path: Path, image: Image) -> Image:
    io.write(path, image, overwrite=True)
    return io.read(path)


def same(result: Image, image: Image) -> None:
    assert (result.axes, result.data.dtype, result.alpha) == (image.axes, image.data.dtype, image.alpha)
    np.testing.assert_array_equal(result.data, image.data)


# -- WebP, JPEG XL, AVIF --------------------------------------------------------------------------------

KINDS = [
    (".webp", "u1", 256, 0), (".jxl", "u1", 256, 0), (".jxl", "u2", 65536, 0), (".jxl", "f2", 0, 0),
    (".jxl", "f4", 0, 0), (".avif", "u1", 256, 0), (".avif", "u2", 1024, 10), (".avif", "u2", 4096, 12),
]  # fmt: skip


@pytest.mark.parametrize(("axes", "shape"), [
    ("YX", (20, 30)), ("YXS", (20, 30, 2)), ("YXS", (21, 31, 3)), ("YXS", (20, 30, 4)), ("YXS", (1, 1, 3)),
    ("TYXS", (3, 20, 30, 3)), ("TYX", (3, 20, 30)), ("TYXS", (2, 20, 30, 4)),
])  # fmt: skip
@pytest.mark.parametrize(("suffix", "dtype", "top", "bits"), KINDS)
def test_pixels_come_back(
    tmp_path: Path, suffix: str, dtype: str, top: int, bits: int, axes: str, shape: tuple[int, ...]
) -> None:
    image = Image(values(shape, dtype, top), axes, meta={"embedded": {"bits": bits}} if bits else {})
    result = again(tmp_path / f"a{suffix}", image.with_meta(hush=NOTE))
    assert result.meta["hush"] == NOTE
    if suffix == ".webp" and shape[-1] not in (3, 4):  # the format has no grey
        alpha = "S" in axes
        np.testing.assert_array_equal(result.data[..., 0], image.data[..., 0] if alpha else image.data)
        assert (result.data[..., 0] == result.data[..., 2]).all()
        assert result.data.shape[-1] == 3 + alpha
        return
    same(result, image)
    assert result.meta["embedded"].get("bits", 0) == bits
    same(again(tmp_path / f"b{suffix}", result), image)


def test_opacity_that_is_full_stays(tmp_path: Path) -> None:
    for suffix in (".webp", ".jxl", ".avif"):
        data = values((20, 30, 4))
        data[..., 3] = 255
        same(again(tmp_path / f"a{suffix}", Image(data, "YXS")), Image(data, "YXS"))


def test_colours_under_full_transparency_stay(tmp_path: Path) -> None:
    data = values((20, 30, 4))
    data[:10, :, 3] = 0
    for suffix in (".webp", ".jxl", ".avif"):
        same(again(tmp_path / f"a{suffix}", Image(data, "YXS")), Image(data, "YXS"))


def test_no_frame_is_lost_though_it_is_like_its_neighbour(tmp_path: Path) -> None:
    frames = np.repeat(values((1, 20, 30, 3)), 4, 0)
    for suffix in (".webp", ".jxl", ".avif"):
        assert again(tmp_path / f"a{suffix}", Image(frames, "TYXS")).data.shape == frames.shape
    with Pillow.open(tmp_path / "a.webp") as picture:
        assert getattr(picture, "n_frames", 1) == 4


def test_pillow_reads_webp_and_avif(tmp_path: Path) -> None:
    data = values((20, 30, 3))
    for suffix, reader in ((".webp", WebPImagePlugin.WebPImageFile), (".avif", AvifImagePlugin.AvifImageFile)):
        io.write(tmp_path / f"a{suffix}", Image(data, "YXS", meta={"hush": NOTE}))
        with reader(tmp_path / f"a{suffix}") as picture:
            np.testing.assert_array_equal(np.asarray(picture), data)
        io.write(tmp_path / f"b{suffix}", Image(values((3, 20, 30, 3)), "TYXS", meta={"hush": NOTE}))
        with reader(tmp_path / f"b{suffix}") as picture:
            for place in range(3):
                picture.seek(place)
                np.testing.assert_array_equal(np.asarray(picture), values((3, 20, 30, 3))[place])


def test_webp_of_pillow_comes_back_with_its_times(tmp_path: Path) -> None:
    frames = [Pillow.fromarray(one) for one in values((3, 20, 30, 3))]
    frames[0].save(
        tmp_path / "a.webp", save_all=True, append_images=frames[1:], duration=[40, 50, 60], loop=3, lossless=True
    )
    image = io.read(tmp_path / "a.webp")
    np.testing.assert_array_equal(image.data, values((3, 20, 30, 3)))
    again(tmp_path / "b.webp", image)
    with Pillow.open(tmp_path / "b.webp") as picture:
        times = []
        for place in range(3):
            picture.seek(place)
            picture.load()
            times.append(picture.info["duration"])
        assert (times, picture.info["loop"]) == ([40, 50, 60], 3)


def test_times_of_equal_frames_are_the_scale(tmp_path: Path) -> None:
    image = Image(values((3, 20, 30, 3)), "TYXS", {"T": 0.04})
    assert again(tmp_path / "a.webp", image).scale == {"T": 0.04}


def test_jpeg_xl_keeps_nan_and_values_beyond_one(tmp_path: Path) -> None:
    data = values((20, 30), "f4") * 1e6
    data[0, :3] = np.nan, np.inf, -np.inf
    same(again(tmp_path / "a.jxl", Image(data, "YX")), Image(data, "YX"))


def test_jpeg_xl_of_12_bits_stays_one(tmp_path: Path) -> None:
    data = values((20, 30, 3), "u2", 4096)
    (tmp_path / "a.jxl").write_bytes(imagecodecs.jpegxl_encode(data, lossless=True, bitspersample=12))
    image = io.read(tmp_path / "a.jxl")
    brighter = Image(image.data + np.uint16(1000), image.axes, meta=image.meta)
    result = again(tmp_path / "b.jxl", brighter)
    np.testing.assert_array_equal(result.data, np.minimum(data + 1000, 4095))
    assert result.meta["jxl"].header.bits == 12


@pytest.mark.parametrize("orientation", range(1, 9))
def test_jpeg_xl_is_turned_by_its_header(tmp_path: Path, orientation: int) -> None:
    """libjxl turns what it decodes: the answer is a peer's."""
    for shape, dtype in (((20, 30), "u1"), ((20, 30, 3), "u2"), ((20, 30, 4), "f4")):
        data = values(shape, dtype, 200)
        meta = {"embedded": {"orientation": orientation}}
        result = again(tmp_path / "a.jxl", Image(data, "YX" + "S" * (len(shape) - 2), meta=meta))
        np.testing.assert_array_equal(result.data, data)
        assert result.meta["embedded"].get("orientation", 1) == orientation
        upright = imagecodecs.jpegxl_decode((tmp_path / "a.jxl").read_bytes())
        np.testing.assert_array_equal(upright, turned(data, orientation))
        again(tmp_path / "b.jxl", result)
        assert io.read(tmp_path / "b.jxl").meta["embedded"].get("orientation", 1) == orientation


def turned(data: np.ndarray, orientation: int) -> np.ndarray:
    """What EXIF's numbers mean."""
    flips = {1: data, 2: data[:, ::-1], 3: data[::-1, ::-1], 4: data[::-1]}
    if orientation in flips:
        return flips[orientation]
    across = data.swapaxes(0, 1)
    return {5: across, 6: across[:, ::-1], 7: across[::-1, ::-1], 8: across[::-1]}[orientation]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_avif_is_turned_as_pillow_says(tmp_path: Path, orientation: int) -> None:
    exif = Pillow.Exif()
    exif[274] = orientation
    Pillow.fromarray(values((20, 30, 3))).save(tmp_path / "a.avif", exif=exif)
    image = io.read(tmp_path / "a.avif")
    assert image.data.shape == (20, 30, 3)
    assert image.meta["embedded"].get("orientation", 1) == orientation
    result = again(tmp_path / "b.avif", image)
    assert result.meta["embedded"] == image.meta["embedded"]
    with AvifImagePlugin.AvifImageFile(tmp_path / "b.avif") as picture:
        assert picture.getexif().get(274, 1) == orientation


def test_header_of_jpeg_xl_is_read_as_it_was_written() -> None:
    made = imagecodecs.jpegxl_encode(
        values((21, 400, 3), "u2", 999), lossless=True, bitspersample=10, usecontainer=False
    )
    header = _jxl_header.parse(bytes(made))
    assert (header.size, header.bits, header.is_float, header.is_grey, header.loses) == (
        (400, 21),
        10,
        False,
        False,
        False,
    )
    assert _jxl_header.joined(bytes(made), header) == bytes(made), "nothing changes where nothing is new"


@pytest.mark.parametrize("suffix", [".webp", ".jxl", ".avif", ".hdr", ".exr"])
@pytest.mark.parametrize("image", [
    Image(values((20, 30), "i4"), "YX"), Image(values((20, 30), "f8"), "YX"), Image(values((20, 30, 3), "i2"), "YXS"),
    Image(values((2, 3, 20, 30)), "TZYX"), Image(values((3, 20, 30), "i2"), "ZYX"), Image(values((20, 30)) > 9, "YX"),
])  # fmt: skip
def test_what_a_format_does_not_hold_is_refused(tmp_path: Path, suffix: str, image: Image) -> None:
    with pytest.raises(FormatError):
        io.check_output(tmp_path / f"a{suffix}", like=image)
    with pytest.raises(FormatError):
        io.write(tmp_path / f"a{suffix}", image)
    assert not list(tmp_path.iterdir())


def test_avif_refuses_16_bits_that_nobody_calls_12(tmp_path: Path) -> None:
    with pytest.raises(FormatError):
        io.write(tmp_path / "a.avif", Image(values((20, 30), "u2", 4096), "YX"))


def test_bits_of_16_go_from_format_to_format(tmp_path: Path) -> None:
    image = Image(values((20, 30, 3), "u2", 1024), "YXS", meta={"embedded": {"bits": 10}})
    for suffix in (".avif", ".jxl", ".avif"):
        image = again(tmp_path / f"a{suffix}", image)
        assert image.meta["embedded"]["bits"] == 10
        np.testing.assert_array_equal(image.data, values((20, 30, 3), "u2", 1024))


# -- EXR ------------------------------------------------------------------------------------------------


def exr_of(path: Path) -> Any:
    return pytest.importorskip("OpenEXR").File(str(path), separate_channels=True)


@pytest.mark.parametrize("dtype", ["f2", "f4", "u4"])
@pytest.mark.parametrize(("axes", "shape", "names"), [
    ("YX", (20, 30), "Y"), ("YXS", (20, 30, 3), "BGR"), ("YXS", (20, 30, 4), "ABGR"), ("YXS", (20, 30, 2), "AY"),
])  # fmt: skip
def test_exr_comes_back(tmp_path: Path, dtype: str, axes: str, shape: tuple[int, ...], names: str) -> None:
    pytest.importorskip("OpenEXR")
    image = Image(values(shape, dtype), axes, {"X": 0.5, "Y": 0.25}, "µm", {"hush": NOTE, "description": "a word"})
    result = again(tmp_path / "a.exr", image)
    same(result, image)
    assert (result.meta["hush"], result.meta["description"], result.unit) == (NOTE, "a word", "µm")
    assert result.scale == pytest.approx(image.scale)
    assert sorted(exr_of(tmp_path / "a.exr").channels()) == list(names)


def test_exr_keeps_channels_in_their_order(tmp_path: Path) -> None:
    pytest.importorskip("OpenEXR")
    image = Image(values((3, 20, 30), "f4"), "CYX", meta={"channels": ["red", "actin", "Nuclei"]})
    result = again(tmp_path / "a.exr", image)
    same(result, image)
    assert result.meta["channels"] == ["red", "actin", "Nuclei"]
    np.testing.assert_array_equal(exr_of(tmp_path / "a.exr").channels()["actin"].pixels, image.data[1])


def made_exr(path: Path) -> dict[str, np.ndarray]:
    """Two parts: colours, a layer, a depth and numbers; luminance with subsampled colours."""
    exr = pytest.importorskip("OpenEXR")
    half, single = values((20, 30), "f2"), values((20, 30), "f4")
    half[0, :3] = np.nan, np.inf, -np.inf
    first = {
        name: half + np.float16(number)
        for number, name in enumerate(("R", "G", "B", "A", "dirt.R", "dirt.G", "dirt.B"))
    }
    first |= {"Z": single, "id": values((20, 30), "u4")}
    window = (np.array([4, -2], "i4"), np.array([33, 17], "i4"))
    view = (np.array([0, 0], "i4"), np.array([99, 99], "i4"))
    head = {"compression": exr.PIZ_COMPRESSION, "type": exr.scanlineimage, "dataWindow": window, "displayWindow": view}
    head |= {
        "owner": "somebody",
        "exposure": 0.25,
        "worldToCamera": np.eye(4, dtype="f4"),
        "chromaticities": tuple(float(one) for one in range(8)),
    }
    second = {"Y": half, "RY": exr.Channel(half, 2, 2), "BY": exr.Channel(half, 2, 2)}
    other = {
        "compression": exr.ZIPS_COMPRESSION,
        "type": exr.scanlineimage,
        "displayWindow": view,
        "dataWindow": window,
    }
    other["chromaticities"] = head["chromaticities"]
    exr.File([exr.Part(head, first, "left"), exr.Part(other, second, "right")]).write(str(path))
    return {name: np.asarray(one.pixels) for name, one in exr_of(path).parts[0].channels.items()}


@pytest.mark.parametrize(("choice", "changed"), [
    (None, ("R", "G", "B", "A")), ("left/dirt", ("dirt.R", "dirt.G", "dirt.B")), ("left/Z", ("Z",)),
    ("left/id", ("id",)),
])  # fmt: skip
def test_exr_changes_one_image_and_nothing_else(tmp_path: Path, choice: str | None, changed: tuple[str, ...]) -> None:
    before = made_exr(tmp_path / "a.exr")
    image = io.read(tmp_path / "a.exr", choice=choice)
    planes = np.moveaxis(image.data, -1, 0) if image.data.ndim == 3 else image.data[None]
    for plane, name in zip(planes, changed, strict=True):
        np.testing.assert_array_equal(plane, before[name])
    io.write(tmp_path / "b.exr", Image(image.data + image.data.dtype.type(1), image.axes, meta=image.meta))
    old, new = exr_of(tmp_path / "a.exr"), exr_of(tmp_path / "b.exr")
    for one, two in zip(old.parts, new.parts, strict=True):
        assert one.name() == two.name()
        assert {k: str(v) for k, v in one.header.items()} == {k: str(v) for k, v in two.header.items()}
        for name, channel in one.channels.items():
            expected = channel.pixels + channel.pixels.dtype.type(one.name() == "left" and name in changed)
            np.testing.assert_array_equal(two.channels[name].pixels, expected)
            assert two.channels[name].xSampling == channel.xSampling


def test_exr_names_its_images(tmp_path: Path) -> None:
    made_exr(tmp_path / "a.exr")
    with pytest.raises(FormatError, match="left/dirt"):
        io.read(tmp_path / "a.exr", choice="nothing")
    assert io.read(f"{tmp_path / 'a.exr'}:right/Y").data.dtype == np.float16


def test_exr_of_a_crop_is_written_alone(tmp_path: Path) -> None:
    made_exr(tmp_path / "a.exr")
    image = io.read(tmp_path / "a.exr", choice="left/dirt").crop(slice(0, 8), slice(0, 9))
    result = again(tmp_path / "b.exr", image)
    np.testing.assert_array_equal(result.data, image.data)
    assert sorted(exr_of(tmp_path / "b.exr").channels()) == ["dirt.B", "dirt.G", "dirt.R"]


@pytest.mark.parametrize("kind", range(14))
def test_exr_keeps_its_compression_where_it_loses_nothing(tmp_path: Path, kind: int) -> None:
    exr = pytest.importorskip("OpenEXR")
    compression = exr.Compression(kind)
    for dtype in ("f2", "f4"):
        half = np.zeros((300, 400), dtype)
        half[50:60] = values((10, 400), dtype)
        exr.File({"compression": compression, "type": exr.scanlineimage}, {"Y": half}).write(str(tmp_path / "a.exr"))
        image = io.read(tmp_path / "a.exr")
        same(again(tmp_path / "b.exr", image), image)
        lossy = kind in (6, 7, 8, 9) or (kind == 5 and dtype == "f4")  # B44, DWA, PXR24 of floats
        written = exr_of(tmp_path / "b.exr").header()["compression"]
        assert written == (exr.ZIP_COMPRESSION if lossy else compression)
        assert bool(image.meta["warnings"]) == lossy


# -- HDR ------------------------------------------------------------------------------------------------


def test_hdr_rounds_to_the_nearest_of_its_values(tmp_path: Path) -> None:
    for width in (5, 8, 40):  # lines of fewer than 8 pixels are not compressed
        data = np.random.default_rng(0).lognormal(0, 4, (20, width, 3)).astype("f4")
        data[0], data[1] = 0, 255.9
        result = again(tmp_path / "a.hdr", Image(data, "YXS"))
        assert (result.axes, result.data.dtype) == ("YXS", np.float32)
        assert (np.abs(result.data - data) <= data.max(-1, keepdims=True) / 255).all()
        assert (result.data[0] == 0).all()
        same(again(tmp_path / "b.hdr", result), result)
        peer = imagecodecs.rgbe_decode((tmp_path / "b.hdr").read_bytes())
        np.testing.assert_array_equal(peer, result.data)


@pytest.mark.parametrize(
    "order", ["-Y {} +X {}", "+Y {} +X {}", "-Y {} -X {}", "+X {} -Y {}", "-X {} +Y {}", "+X {} +Y {}"]
)
def test_hdr_is_shown_upright_and_written_as_it_was(tmp_path: Path, order: str) -> None:
    data = again(tmp_path / "a.hdr", Image(np.abs(values((4, 6, 3), "f4")), "YXS")).data
    stored = data.swapaxes(0, 1) if order[1] == "X" else data
    down, across = (order[6], order[0]) if order[1] == "X" else (order[0], order[6])
    flip = data[:: -1 if down == "+" else 1, :: -1 if across == "-" else 1]
    stored = flip.swapaxes(0, 1) if order[1] == "X" else flip
    pixels = bytes(imagecodecs.rgbe_encode(np.ascontiguousarray(stored), header=False, rle=False))
    head = f"#?RADIANCE\n# a word\nFORMAT=32-bit_rle_rgbe\nEXPOSURE=2\n\n{order.format(*stored.shape[:2])}\n"
    (tmp_path / "b.hdr").write_bytes(head.encode() + pixels)
    image = io.read(tmp_path / "b.hdr")
    np.testing.assert_array_equal(image.data, data)
    assert image.meta["description"] == "a word"
    io.write(tmp_path / "c.hdr", image)
    assert (tmp_path / "c.hdr").read_bytes() == (tmp_path / "b.hdr").read_bytes()
    assert again(tmp_path / "d.hdr", image.with_meta(hush=NOTE)).meta["hush"] == NOTE


def test_hdr_has_no_values_below_zero_and_none_that_are_missing(tmp_path: Path) -> None:
    data = np.full((4, 9, 3), -1, "f4")
    assert (again(tmp_path / "a.hdr", Image(data, "YXS")).data == 0).all()
    data[0, 0] = np.nan
    with pytest.raises(FormatError):
        io.write(tmp_path / "b.hdr", Image(data, "YXS"))


@pytest.mark.parametrize("head", [hdr.HEADER_OF_NIFTI, hdr.OTHER_ORDER, hdr.HEADER_OF_ENVI])
def test_other_files_that_end_in_hdr_are_told_apart(tmp_path: Path, head: bytes) -> None:
    (tmp_path / "a.hdr").write_bytes(head + bytes(344))
    with pytest.raises(FormatError, match=r"\.img|ENVI"):
        io.read(tmp_path / "a.hdr")


# -- PAR/REC --------------------------------------------------------------------------------------------

COLUMNS = """\
#  slice number                             (integer)
#  echo number                              (integer)
#  dynamic scan number                      (integer)
#  cardiac phase number                     (integer)
#  image_type_mr                            (integer)
#  scanning sequence                        (integer)
#  index in REC file (in images)            (integer)
#  image pixel size (in bits)               (integer)
#  scan percentage                          (integer)
#  recon resolution (x y)                   (2*integer)
#  rescale intercept                        (float)
#  rescale slope                            (float)
#  scale slope                              (float)
#  window center                            (integer)
#  window width                             (integer)
#  image angulation (ap,fh,rl in degrees )  (3*float)
#  image offcentre (ap,fh,rl in mm )        (3*float)
#  slice thickness (in mm )                 (float)
#  slice gap (in mm )                       (float)
#  image_display_orientation                (integer)
#  slice orientation ( TRA/SAG/COR )        (integer)
#  fmri_status_indication                   (integer)
#  image_type_ed_es  (end diast/end syst)   (integer)
#  pixel spacing (x,y) (in mm)              (2*float)
#  echo_time                                (float)
#  dyn_scan_begin_time                      (float)
#  trigger_time                             (float)
#  diffusion_b_factor                       (float)
#  number of averages                       (integer)
#  image_flip_angle (in degrees)            (float)
#  cardiac frequency   (bpm)                (integer)
#  minimum RR-interval (in ms)              (integer)
#  maximum RR-interval (in ms)              (integer)
#  TURBO factor  <0=no turbo>               (integer)
#  Inversion delay (in ms)                  (float)
"""


def made_par(path: Path, data: np.ndarray, slopes: tuple[float, ...] = (2.0, 2.0), left_out: int = 0) -> Path:
    """A scan (echo, dynamic, slice, Y, X) whose images stand in another order in the REC file."""
    lines, planes = [], []
    order = [(e, t, z) for t in range(data.shape[1]) for z in range(data.shape[2]) for e in range(data.shape[0])]
    for place, (e, t, z) in enumerate(order[: len(order) - left_out]):
        planes.append(data[e, t, z])
        lines.append(
            f"{z + 1} {e + 1} {t + 1} 1 0 2 {place} {8 * data.dtype.itemsize} 100 {data.shape[4]} {data.shape[3]} 0 "
            f"{slopes[e]} 0.004 10 20 0 0 0 0 0 {z * 5} 4 1 0 1 0 2 1.5 2.5 {30 * e} {t * 3} 0 0 1 90 0 0 0 1 0"
        )
    text = (
        "# === DATA DESCRIPTION FILE ===\n# CLINICAL TRYOUT    Research image export tool     V4\n"
        ".    Protocol name                      :   a protocol\n.    Repetition time [ms]               :   9\n"
        "# === IMAGE INFORMATION DEFINITION ===\n" + COLUMNS + "# === IMAGE INFORMATION ===\n\n"
    )
    path.write_text(text + "\n".join(lines) + "\n\n# === END OF DATA DESCRIPTION FILE ===\n")
    path.with_suffix(".REC").write_bytes(b"".join(np.ascontiguousarray(one).tobytes() for one in planes))
    return path


@pytest.mark.parametrize("dtype", ["u1", "<u2"])
def test_par_gives_what_is_stored(tmp_path: Path, dtype: str) -> None:
    data = values((2, 3, 4, 5, 6), dtype)
    image = io.read(made_par(tmp_path / "a.PAR", data))
    np.testing.assert_array_equal(image.data, data)
    assert (image.axes, image.unit, image.meta["medical"]) == ("CTZYX", "mm", True)
    assert image.scale == {"X": 1.5, "Y": 2.5, "Z": 5.0, "T": 3.0}
    assert image.meta["rescale"] == {"slope": 2.0, "intercept": 0.0}
    assert (image.meta["channels"], image.meta["description"]) == (["echo 1", "echo 2"], "a protocol")
    np.testing.assert_array_equal(io.read(tmp_path / "a.REC").data, data)


def test_par_with_slopes_of_their_own_gives_the_consoles_values(tmp_path: Path) -> None:
    data = values((2, 1, 4, 5, 6), "<u2")
    image = io.read(made_par(tmp_path / "a.PAR", data, (2.0, 0.5)))
    np.testing.assert_allclose(image.data, data[:, 0] * np.array([2, 0.5]).reshape(2, 1, 1, 1), rtol=1e-6)
    assert (image.axes, image.data.dtype, "rescale" in image.meta) == ("CZYX", np.float32, False)


def test_par_without_its_last_dynamic(tmp_path: Path) -> None:
    data = values((2, 3, 4, 5, 6), "<u2")
    image = io.read(made_par(tmp_path / "a.PAR", data, left_out=1))
    np.testing.assert_array_equal(image.data, data[:, :2])
    assert image.meta["warnings"]


def test_par_that_is_no_pair_or_cut_is_refused(tmp_path: Path) -> None:
    path = made_par(tmp_path / "a.PAR", values((1, 2, 3, 4, 5), "<u2"))
    text, pixels = path.read_bytes(), (tmp_path / "a.REC").read_bytes()
    (tmp_path / "a.REC").write_bytes(pixels[:-3])
    with pytest.raises(HushError):
        io.read(path)
    (tmp_path / "a.REC").write_bytes(pixels)
    for cut in (1, 30, 100, 400, len(text) - 200):
        path.write_bytes(text[:cut])
        with pytest.raises(HushError):
            io.read(path)
    path.write_bytes(text)
    (tmp_path / "a.REC").unlink()
    with pytest.raises(HushError):
        io.read(path)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # nibabel leaves the file open
@pytest.mark.skipif(not (SHARED / "Formats").is_dir(), reason="the scan of shared/data is not here")
def test_par_as_nibabel_reads_it() -> None:
    nibabel = pytest.importorskip("nibabel")
    path = SHARED / "Formats" / "nifti" / "phantom_EPI.PAR"
    peer, image = nibabel.load(path), io.read(path)
    np.testing.assert_array_equal(np.asarray(peer.dataobj.get_unscaled()).T, image.data)
    assert [image.scale[axis] for axis in "XYZT"] == pytest.approx([float(one) for one in peer.header.get_zooms()])


# -- real files -----------------------------------------------------------------------------------------

REAL = [
    ("BrightRingsNanInf.exr", "YXS", (800, 800, 3), "float16"),
    ("ColorCodedLevels.exr", "YXS", (512, 512, 4), "float16"),
    ("Garden.exr", "YX", (493, 874), "float16"), ("RgbRampsDiagonal.exr", "YXS", (800, 800, 3), "float16"),
    ("WideFloatRange.exr", "YX", (500, 500), "float32"), ("t08.exr", "YXS", (300, 400, 3), "float16"),
    ("AllHalfValues.exr", "YXS", (256, 256, 3), "float16"), ("GammaChart.exr", "YXS", (800, 800, 3), "float16"),
    ("GrayRampsHorizontal.exr", "YX", (800, 800), "float16"), ("384x256.hdr", "YXS", (384, 256, 3), "float32"),
    ("sample.hdr", "YXS", (980, 141, 3), "float32"), ("flower.webp", "YXS", (360, 480, 3), "uint8"),
    ("flower2.webp", "YXS", (225, 300, 3), "uint8"), ("iss634.webp", "TYXS", (42, 245, 245, 4), "uint8"),
    ("frames.webp", "TYXS", (11, 32, 31, 3), "uint8"), ("bicycles.jxl", "YXS", (631, 1024, 3), "uint8"),
    ("lossless_pfm.jxl", "YXS", (500, 500, 3), "float32"), ("noise.jxl", "YXS", (606, 500, 3), "uint8"),
    ("made_uint16_lossless.jxl", "YX", (128, 160), "uint16"),
    ("colors_hdr_rec2020.avif", "YXS", (200, 200, 3), "uint16"),
    ("paris_icc_exif_xmp.avif", "YXS", (302, 403, 3), "uint8"),
    ("colors-animated-8bpc-alpha-exif-xmp.avif", "TYXS", (5, 150, 150, 4), "uint8"),
]  # fmt: skip


@needs_data
@pytest.mark.parametrize(("name", "axes", "shape", "dtype"), REAL)
def test_real_files_come_back(tmp_path: Path, name: str, axes: str, shape: tuple[int, ...], dtype: str) -> None:
    path = next(folder / name for folder in (PHOTO, MORE) if (folder / name).is_file())
    if path.suffix == ".exr":
        pytest.importorskip("OpenEXR")
    image = io.read(path)
    assert (image.axes, image.data.shape, image.data.dtype.name) == (axes, shape, dtype)
    result = again(tmp_path / name, image.with_meta(hush=NOTE))
    same(result, image)
    for key in ("description", "embedded", "channels", "alpha"):
        assert result.meta.get(key) == image.meta.get(key)
    assert (result.meta["hush"], result.scale) == (NOTE, image.scale)
    if path.suffix == ".exr":
        old, new = exr_of(path).header(), exr_of(tmp_path / name).header()
        for key in set(old) - {"compression", "tiles"}:
            assert str(new[key]) == str(old[key])


@needs_data
def test_deep_files_are_refused() -> None:
    pytest.importorskip("OpenEXR")
    with pytest.raises(FormatError, match="deep"):
        io.read(PHOTO / "Trunks.exr")


@needs_data
@pytest.mark.parametrize(("name", "shape", "bits"), [
    ("zPug_3.heic", (64, 64), 0),
    ("RGBA_10__128x128.heif", (128, 128, 4), 10),
    ("RGB_12__128x128.heif", (128, 128, 3), 12), ("RGB_8_chroma444.heif", (100, 29, 3), 0),
])  # fmt: skip
def test_heic_is_read_and_becomes_avif(tmp_path: Path, name: str, shape: tuple[int, ...], bits: int) -> None:
    pytest.importorskip("pi_heif", reason="pi-heif reads HEIC")
    path = next(folder / name for folder in (PHOTO, MORE) if (folder / name).is_file())
    image = io.read(path)
    assert (image.data.shape, image.meta["embedded"].get("bits", 0)) == (shape, bits)
    same(again(tmp_path / "a.avif", image), image)
    with pytest.raises(FormatError):
        io.write(tmp_path / name, image)


# -- damaged files --------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".webp", ".jxl", ".avif", ".exr", ".hdr"])
def test_a_file_that_is_cut_is_refused(tmp_path: Path, suffix: str) -> None:
    if suffix == ".exr":
        pytest.importorskip("OpenEXR")
    dtype = "f4" if suffix in (".exr", ".hdr") else "u1"
    io.write(tmp_path / f"a{suffix}", Image(np.abs(values((40, 50, 3), dtype)), "YXS"))
    raw = (tmp_path / f"a{suffix}").read_bytes()
    for cut in (1, 4, 9, 12, 20, 40, 80, 200, len(raw) // 2, len(raw) - 40, len(raw) - 1):
        (tmp_path / f"b{suffix}").write_bytes(raw[:cut])
        with pytest.raises(HushError):
            io.read(tmp_path / f"b{suffix}")
    rng = np.random.default_rng(0)
    for _ in range(40):  # one byte is another: an image or a HushError
        spoiled = bytearray(raw)
        spoiled[rng.integers(min(len(raw), 400))] = rng.integers(256)
        (tmp_path / f"b{suffix}").write_bytes(spoiled)
        try:
            io.read(tmp_path / f"b{suffix}")
        except HushError:
            continue


@pytest.mark.parametrize("suffix", [".webp", ".jxl", ".avif", ".exr", ".hdr", ".heic", ".par"])
def test_a_file_of_another_kind_is_told_apart(tmp_path: Path, suffix: str) -> None:
    io.write(tmp_path / "a.png", Image(values((20, 30)), "YX"))
    (tmp_path / f"b{suffix}").write_bytes(b"this is a text and no picture at all")
    with pytest.raises(HushError):
        io.read(tmp_path / f"b{suffix}")
    if suffix != ".par":  # a text, which begins as it likes
        (tmp_path / "a.png").rename(tmp_path / f"a{suffix}")
        assert io.read(tmp_path / f"a{suffix}").meta["format"] == "png"


def test_claims_are_refused_from_the_header(tmp_path: Path) -> None:
    bodies = {
        "a.webp": b"RIFF"
        + struct.pack("<I", 30)
        + b"WEBPVP8X"
        + struct.pack("<I", 10)
        + bytes(4)
        + b"\xff" * 6
        + bytes(8),
        "a.hdr": b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 1000000 +X 30000\n" + bytes(40),
    }
    for name, body in bodies.items():
        (tmp_path / name).write_bytes(body)
        with pytest.raises(HushError):
            io.read(tmp_path / name)


def test_turning_is_undone_by_reading() -> None:
    for orientation in range(1, 9):
        item = _heif_meta.Item(properties=_heif_meta.turning(orientation))
        assert _heif_meta.Meta({1: item}, 1).orientation == orientation


def test_formats_are_listed() -> None:
    rows = {one["name"]: one for one in io.formats()}
    assert [rows[name]["written"] for name in ("exr", "hdr", "webp", "jxl", "avif", "heic", "par")] == [True] * 5 + [
        False
    ] * 2
    assert rows["exr"]["extra"] == rows["heic"]["extra"] == "photo"


def test_bytes_are_the_same_again(tmp_path: Path) -> None:
    for suffix in (".webp", ".jxl", ".avif", ".hdr"):
        data = np.abs(values((20, 30, 3), "f4" if suffix == ".hdr" else "u1"))
        written = []
        for name in ("a", "b"):
            io.write(tmp_path / f"{name}{suffix}", Image(data, "YXS"))
            written.append(streams.BytesIO((tmp_path / f"{name}{suffix}").read_bytes()).getvalue())
        assert written[0] == written[1]
