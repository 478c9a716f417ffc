"""PNG, JPEG, BMP, NPY, and what every format promises: the same picture comes back."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image as Pillow
from PIL import JpegImagePlugin, PngImagePlugin

from hush import io
from hush.core.errors import FormatError
from hush.core.image import Image

SHARED = Path(__file__).parents[2] / "shared" / "data"
NOTE = {"version": "0.1.0", "method": "n2v", "steps": 300}


def noise(shape: tuple[int, ...], dtype: str = "uint8") -> np.ndarray:
    values = np.random.default_rng(0).random(shape)
    if dtype == "bool":
        return values > 0.5
    top = np.iinfo(dtype).max if np.dtype(dtype).kind in "iu" else 1.0
    return np.asarray(values * top).astype(dtype)


def again(path: Path, image: Image) -> Image:
    io.write(path, image)
    return io.read(path)


def smooth(*colours: int) -> np.ndarray:
    """A picture that JPEG hardly changes."""
    y, x = np.mgrid[:48, :64]
    planes = [(x * 2 + y + 20 * c).astype(np.uint8) for c in range(*colours)]
    return np.dstack(planes) if len(planes) > 1 else planes[0]


def chunks_of(raw: bytes) -> list[tuple[bytes, bytes]]:
    at = 8
    found: list[tuple[bytes, bytes]] = []
    while at < len(raw):
        length, kind = struct.unpack(">I4s", raw[at : at + 8])
        found.append((kind, raw[at + 8 : at + 8 + length]))
        at += 12 + length
    return found


# -- the package ---------------------------------------------------------------------------------------


def test_suffixes_names_every_format() -> None:
    assert {".tif", ".tiff", ".png", ".jpg", ".jpeg", ".bmp", ".npy"} <= set(io.suffixes())


def test_import_is_light() -> None:
    code = (
        "import sys, hush.io; hush.io.suffixes(); "
        "sys.exit(', '.join({'tifffile', 'PIL', 'imagecodecs'} & set(sys.modules)) or None)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_a_third_party_adds_a_format(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from types import SimpleNamespace

    from hush.core import registry

    raw = SimpleNamespace(
        SUFFIXES=(".raw.gz",),
        read=lambda path, axes: Image(np.frombuffer(path.read_bytes(), np.uint8).reshape(4, -1), axes or "YX"),
        write=lambda path, image: path.write_bytes(image.data.tobytes()),
    )
    names, get = registry.names, registry.get
    monkeypatch.setattr(registry, "names", lambda kind: (*names(kind), "raw"))
    monkeypatch.setattr(registry, "get", lambda kind, name: raw if name == "raw" else get(kind, name))
    image = Image(noise((4, 7)), "YX")
    result = again(tmp_path / "a.raw.gz", image)
    np.testing.assert_array_equal(result.data, image.data)
    assert result.meta["format"] == "raw"
    with io.create(tmp_path / "b.raw.gz", image) as array:  # it has no create
        assert array is None


@pytest.mark.parametrize("name", ["with space", "späße", "画像", "a.b.c", "UPPER.TIF", "-dash", "quote'\"$x"])
@pytest.mark.parametrize("suffix", [".tif", ".png", ".npy", ".bmp", ".jpg"])
def test_unusual_names(tmp_path: Path, name: str, suffix: str) -> None:
    image = Image(noise((16, 24)), "YX")
    path = tmp_path / f"folder {name}" / (name + suffix)
    result = again(path, image)
    assert result.meta["name"] == path.name
    assert result.data.shape == (16, 24)
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_meta_has_its_keys(tmp_path: Path) -> None:
    for suffix in (".tif", ".png", ".npy", ".bmp", ".jpg"):
        meta = again(tmp_path / f"a{suffix}", Image(noise((16, 24)), "YX")).meta
        assert meta["warnings"] == []
        assert meta["channels"] == []
        assert isinstance(meta["description"], str)
        assert meta["format"] in meta, "the private entry"
        assert "guessed" not in meta
        assert "alpha" not in meta


def test_content_counts_more_than_the_suffix(tmp_path: Path) -> None:
    io.write(tmp_path / "a.png", Image(noise((16, 24)), "YX"))
    (tmp_path / "a.png").rename(tmp_path / "a.jpg")
    image = io.read(tmp_path / "a.jpg")
    np.testing.assert_array_equal(image.data, noise((16, 24)))
    assert image.meta["format"] == "png"
    assert image.meta["warnings"] == ["a.jpg is a PNG file in spite of its name"]


def test_axes_of_the_user_win(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", noise((3, 16, 24)))
    assert io.read(tmp_path / "a.npy").axes == "ZYX"
    assert io.read(tmp_path / "a.npy").meta["guessed"] == "axes ZYX guessed from shape (3, 16, 24)"
    image = io.read(tmp_path / "a.npy", axes="tyx")
    assert image.axes == "TYX"
    assert "guessed" not in image.meta


def test_scale_and_names_move_between_formats(tmp_path: Path) -> None:
    meta = {"description": "µ text", "channels": []}
    image = Image(noise((16, 24)), "YX", {"X": 0.125, "Y": 0.25}, "µm", meta)
    for first, second in ((".png", ".tif"), (".tif", ".png"), (".ome.tif", ".png"), (".png", ".ome.tif")):
        middle = again(tmp_path / f"a{first}{second}{first}", image)
        result = again(tmp_path / f"b{first}{second}", middle)
        assert result.scale == pytest.approx({"X": 0.125, "Y": 0.25})
        assert result.unit == "µm"
        assert result.meta["description"] == "µ text"
        np.testing.assert_array_equal(result.data, image.data)


def test_large_pictures_are_no_bombs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Pillow, "MAX_IMAGE_PIXELS", 100)
    for suffix in (".png", ".jpg", ".bmp"):
        assert again(tmp_path / f"a{suffix}", Image(noise((64, 64)), "YX")).data.shape == (64, 64)


# -- NPY -----------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    hnp.arrays(
        st.sampled_from(["?", "u1", "i1", "<u2", ">u2", ">i4", "u8", "f2", "<f4", ">f8"]),
        hnp.array_shapes(min_dims=2, max_dims=5, max_side=4),
    ),
    st.booleans(),
)
def test_npy_returns_any_array(tmp_path: Path, array: np.ndarray, fortran: bool) -> None:
    array = np.asfortranarray(array) if fortran else array
    axes = "TCZYX"[5 - array.ndim :]
    path = tmp_path / "a.npy"
    io.write(path, Image(array, axes), overwrite=True)
    result = io.read(path, axes=axes)
    assert result.data.dtype == array.dtype
    np.testing.assert_array_equal(result.data, array)
    np.testing.assert_array_equal(np.load(path), array)  # an independent reader


def test_npy_large_files_are_mapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hush.io import npy

    path = tmp_path / "a.npy"
    np.save(path, np.asfortranarray(noise((3, 16, 24), "float32")))
    assert not isinstance(io.read(path).data, np.memmap)
    monkeypatch.setattr(npy, "MAP_FROM", 100)
    image = io.read(path)
    assert isinstance(image.data, np.memmap)
    assert not image.data.flags.writeable
    assert image.data.flags.f_contiguous
    with io.create(tmp_path / "b.npy", image) as array:
        assert array is not None
        array[...] = image.data
    np.testing.assert_array_equal(np.load(tmp_path / "b.npy"), np.load(path))
    assert np.load(tmp_path / "b.npy").flags.f_contiguous


# -- PNG -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("samples", [(), (2,), (3,), (4,)])
def test_png_keeps_every_bit(tmp_path: Path, dtype: str, samples: tuple[int, ...]) -> None:
    image = Image(noise((16, 24, *samples), dtype), "YXS" if samples else "YX")
    result = again(tmp_path / "a.png", image)
    assert (result.axes, result.data.dtype, result.alpha) == (image.axes, image.data.dtype, samples in ((2,), (4,)))
    np.testing.assert_array_equal(result.data, image.data)
    if dtype == "uint8" or not samples:  # what Pillow can hold
        with Pillow.open(tmp_path / "a.png") as picture:
            np.testing.assert_array_equal(np.asarray(picture), image.data)


@pytest.mark.parametrize("width", [1, 7, 8, 25])
def test_png_bool_is_one_bit(tmp_path: Path, width: int) -> None:
    image = Image(noise((5, width), "bool"), "YX")
    result = again(tmp_path / "a.png", image)
    assert result.data.dtype == bool
    np.testing.assert_array_equal(result.data, image.data)
    with Pillow.open(tmp_path / "a.png") as picture:
        assert picture.mode == "1"
        np.testing.assert_array_equal(np.asarray(picture), image.data)


def test_png_palettes_become_colours(tmp_path: Path) -> None:
    paletted = Pillow.fromarray(noise((16, 24, 3))).quantize(8)
    paletted.save(tmp_path / "a.png")
    paletted.save(tmp_path / "b.png", transparency=b"\x00\x80")
    opaque, clear = io.read(tmp_path / "a.png"), io.read(tmp_path / "b.png")
    np.testing.assert_array_equal(opaque.data, np.asarray(paletted.convert("RGB")))
    assert clear.data.shape == (16, 24, 4)
    assert clear.alpha
    assert "palette" in opaque.meta["warnings"][0]


@pytest.mark.parametrize(("depth", "step"), [(2, 85), (4, 17)])
def test_png_few_bits_are_stretched(tmp_path: Path, depth: int, step: int) -> None:
    values = np.arange(8, dtype=np.uint8) % 2**depth
    bits = "".join(f"{v:0{depth}b}" for v in values)
    row = b"\0" + int(bits, 2).to_bytes(len(bits) // 8, "big")
    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", 8, 2, depth, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(row * 2)),
        (b"IEND", b""),
    ]
    raw = b"\x89PNG\r\n\x1a\n"
    for kind, body in parts:
        raw += struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    (tmp_path / "a.png").write_bytes(raw)
    image = io.read(tmp_path / "a.png")
    np.testing.assert_array_equal(image.data, [values * step] * 2)
    assert f"{depth} bits" in image.meta["warnings"][0]


def test_png_chunks_are_copied(tmp_path: Path) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("Title", "a title")
    info.add_text("Comment", "c" * 50, zip=True)
    info.add_itxt("Author", "Zoë")
    exif = Pillow.Exif()
    exif[274] = 6
    Pillow.fromarray(noise((16, 24))).save(
        tmp_path / "a.png", pnginfo=info, dpi=(300, 300), icc_profile=b"profile" * 9, exif=exif, gamma=0.4
    )
    image = io.read(tmp_path / "a.png").with_meta(hush=NOTE)
    again(tmp_path / "b.png", image)
    kept = {b"tEXt", b"zTXt", b"iTXt", b"pHYs", b"iCCP", b"eXIf"}
    before = [c for c in chunks_of((tmp_path / "a.png").read_bytes()) if c[0] in kept]
    after = [c for c in chunks_of((tmp_path / "b.png").read_bytes()) if c[0] in kept]
    assert {kind for kind, _ in before} == kept
    assert after[:-1] == before
    assert after[-1] == (b"tEXt", b"hush\0" + json.dumps(NOTE).encode())
    with Pillow.open(tmp_path / "b.png") as picture:
        assert picture.info["icc_profile"] == b"profile" * 9
        assert picture.getexif()[274] == 6
        assert isinstance(picture, PngImagePlugin.PngImageFile)
        assert picture.text["Author"] == "Zoë"
    assert image.scale == pytest.approx({"X": 25400 / 300, "Y": 25400 / 300}, rel=1e-4)


def test_png_animation_gives_its_first_picture(tmp_path: Path) -> None:
    frames = [Pillow.fromarray(noise((16, 24)) // (i + 1)) for i in range(3)]
    frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:])
    image = io.read(tmp_path / "a.png")
    np.testing.assert_array_equal(image.data, np.asarray(frames[0]))
    assert "animated" in image.meta["warnings"][0]
    again(tmp_path / "b.png", image)
    with Pillow.open(tmp_path / "b.png") as picture:
        assert getattr(picture, "n_frames", 1) == 1


# -- JPEG ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("samples", [1, 3])
def test_jpeg_is_nearly_the_same_picture(tmp_path: Path, samples: int) -> None:
    image = Image(smooth(samples), "YX" if samples == 1 else "YXS")
    result = again(tmp_path / "a.jpg", image)
    assert result.axes == image.axes
    assert np.abs(result.data.astype(int) - image.data).max() <= 4
    with Pillow.open(tmp_path / "a.jpg") as picture:
        assert picture.mode == ("L" if samples == 1 else "RGB")
        assert isinstance(picture, JpegImagePlugin.JpegImageFile)
        assert all(layer[1:3] == (1, 1) for layer in picture.layer), "4:4:4"


def test_jpeg_keeps_exif_profile_comment_and_orientation(tmp_path: Path) -> None:
    exif = Pillow.Exif()
    exif[274], exif[270], exif[271] = 6, "a description", "a maker"
    exif.get_ifd(0x8769)[33434] = 0.25
    Pillow.fromarray(smooth(3)).save(
        tmp_path / "a.jpg", exif=exif, icc_profile=b"profile" * 9999, comment=b"a comment", dpi=(200, 100)
    )
    image = io.read(tmp_path / "a.jpg")
    assert image.data.shape == (48, 64, 3), "as stored, not turned"
    assert image.meta["description"] == "a comment"
    result = again(tmp_path / "b.jpg", image.with_meta(hush=NOTE))
    with Pillow.open(tmp_path / "a.jpg") as before, Pillow.open(tmp_path / "b.jpg") as after:
        for key in ("exif", "icc_profile", "dpi"):
            assert after.info[key] == before.info[key]
        assert after.getexif()[274] == 6
        assert isinstance(before, JpegImagePlugin.JpegImageFile)
        assert isinstance(after, JpegImagePlugin.JpegImageFile)
        assert after.applist[0][0] == before.applist[0][0]
        assert ("COM", b"a comment") in after.applist
    assert result.meta["hush"] == NOTE
    assert result.meta["description"] == "a comment"
    third = again(tmp_path / "c.jpg", result.with_meta(hush={"method": "n2n"}))
    assert third.meta["hush"] == {"method": "n2n"}
    assert (tmp_path / "c.jpg").read_bytes().count(b"hush {") == 1


def test_jpeg_cmyk(tmp_path: Path) -> None:
    picture = Pillow.frombytes("CMYK", (64, 48), smooth(4).tobytes())
    picture.save(tmp_path / "a.jpg", quality=95)
    image = io.read(tmp_path / "a.jpg")
    assert (image.axes, image.alpha, image.samples()) == ("YXS", False, 4)
    result = again(tmp_path / "b.jpg", image)
    assert np.abs(result.data.astype(int) - smooth(4)).max() <= 8
    with Pillow.open(tmp_path / "b.jpg") as written:
        assert written.mode == "CMYK"
        assert "adobe" in written.info
    tiff = again(tmp_path / "b.tif", image)
    assert not tiff.alpha
    with Pillow.open(tmp_path / "b.tif") as written:
        assert written.mode == "CMYK"


# -- BMP -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "dtype"), [((5, 7), "uint8"), ((5, 7, 3), "uint8"), ((5, 7, 4), "uint8"), ((5, 9), "bool")]
)
def test_bmp_returns_the_same(tmp_path: Path, shape: tuple[int, ...], dtype: str) -> None:
    image = Image(noise(shape, dtype), "YXS"[: len(shape)])
    result = again(tmp_path / "a.bmp", image)
    assert result.axes == image.axes
    assert result.data.dtype == image.data.dtype
    np.testing.assert_array_equal(result.data, image.data)
    with Pillow.open(tmp_path / "a.bmp") as picture:
        np.testing.assert_array_equal(np.asarray(picture), image.data)


def test_bmp_palette(tmp_path: Path) -> None:
    coloured = Pillow.fromarray(noise((16, 24, 3))).quantize(8)
    coloured.save(tmp_path / "a.bmp")
    np.testing.assert_array_equal(io.read(tmp_path / "a.bmp").data, np.asarray(coloured.convert("RGB")))
    grey = Pillow.fromarray(noise((16, 24)))
    grey = grey.convert("P")
    grey.putpalette([v for i in range(256) for v in (255 - i,) * 3])  # greys, but not in order
    grey.save(tmp_path / "b.bmp")
    image = io.read(tmp_path / "b.bmp")
    assert image.axes == "YX"
    np.testing.assert_array_equal(image.data, np.asarray(grey.convert("L")))


# -- real files ----------------------------------------------------------------------------------------


@pytest.mark.skipif(not SHARED.exists(), reason="the shared real images are not here")
@pytest.mark.parametrize(
    "pattern", ["MRI_brain_jpg/*", "Set12/*", "ChestXray_NIH_64/test/*/*", "FMD/*/*", "PolyU_cropped/*"]
)
def test_real_files_come_back(tmp_path: Path, pattern: str) -> None:
    files = [f for f in sorted(SHARED.glob(pattern)) if f.suffix.lower() in io.suffixes()][::8]
    if not files:
        pytest.skip(f"no files {pattern} among the shared images")
    for file in files:
        image = io.read(file)
        suffix = {"png": ".png", "jpeg": ".jpg", "tiff": ".tif"}[image.meta["format"]]
        result = again(tmp_path / f"{file.stem}{suffix}", image.with_meta(hush=NOTE))
        assert (result.axes, result.data.shape, result.data.dtype) == (image.axes, image.data.shape, image.data.dtype)
        assert (result.scale, result.unit) == (image.scale, image.unit)
        assert result.meta["hush"] == NOTE
        if suffix == ".jpg":
            assert np.abs(result.data.astype(float) - image.data).mean() < 4
        else:
            np.testing.assert_array_equal(result.data, image.data)


def test_streams_are_closed(tmp_path: Path) -> None:
    """A file that was read can be removed at once; nothing keeps it open."""
    for suffix in (".png", ".jpg", ".bmp", ".npy", ".tif"):
        again(tmp_path / f"a{suffix}", Image(noise((16, 24)), "YX"))
    descriptors = Path("/proc/self/fd")
    if not descriptors.exists():
        pytest.skip("this system does not list open files in /proc")
    names = [str(d.readlink()) for d in descriptors.iterdir() if d.is_symlink()]
    assert not [name for name in names if str(tmp_path) in name]


def test_names_beside_inputs_and_one_image_of_several(tmp_path: Path) -> None:
    for name, beside in {
        "a.ome.tif": "a_denoised.ome.tif", "b.nii.gz": "b_denoised.nii.gz", "C.TIF": "C_denoised.TIF",
        "d.czi": "d_denoised.ome.tif", "e.lif:2": "e_2_denoised.ome.tif", "f.h5:raw/x": "f_raw_x_denoised.h5",
        "g.HEIC:1": "g_1_denoised.avif", "h.NEF": "h_denoised.dng",
    }.items():  # fmt: skip
        assert io.beside(tmp_path / name, "_denoised") == tmp_path / beside
    assert io.parts("dir/f.h5:raw/x") == (Path("dir/f.h5"), "raw/x")
    assert io.parts("a.tif:1") == (Path("a.tif:1"), None)
    assert io.chosen("scan.lif", "2") == Path("scan.lif:2")
    with pytest.raises(FormatError):
        io.chosen("a.png", "2")
    with pytest.raises(FormatError):
        io.read("s3://bucket/x.zarr")
    for name in ("a.czi", "b.nd2"):
        with pytest.raises(FormatError):
            io.check_output(tmp_path / name)
