"""NIfTI: the same header, affine and extensions around new pixels; compared with nibabel."""

from __future__ import annotations

import gzip
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hush import io
from hush.core.errors import FormatError, HushError
from hush.core.image import Image
from hush.io import _nifti_header as headers
from hush.io import nifti

nibabel = pytest.importorskip("nibabel", reason="nibabel reads what hush writes")

NOTE = {"version": "0.1.0", "method": "n2v"}
TYPES = ["u1", "i1", "<u2", ">u2", "<i2", ">i2", "<u4", ">i4", "<u8", ">i8", "<f4", ">f4", "<f8", ">f8"]


def values(shape: tuple[int, ...], dtype: str = "<i2") -> np.ndarray:
    return np.asarray(np.random.default_rng(0).integers(0, 100, shape), dtype)


def made(path: Path, data: np.ndarray, kind: Any = None, order: str | None = None, slope: float | None = None) -> Path:
    """A file as nibabel writes it: data in hush's order, an oblique affine, a comment."""
    order = order or ("<" if data.dtype.byteorder in "=|<" else ">")
    affine = np.array([[-2.0, 0.1, 0, 90], [0.1, 2, 0.3, -126], [0, -0.2, 3, -72], [0, 0, 0, 1]])
    header = (kind or nibabel.Nifti1Image).header_class(endianness=order)
    header.set_data_dtype(data.dtype)
    image = (kind or nibabel.Nifti1Image)(data.T, affine, header)
    image.header.set_xyzt_units("mm", "msec")
    image.header.set_qform(affine, 1)
    image.header["pixdim"][4] = 1500
    image.header["descrip"] = b"made by a test"
    image.header["cal_max"] = 77
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", b"a comment"))
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension(4, b"\x01\x02 bytes \xff" * 5))
    nibabel.save(image, path)
    if slope is not None:  # nibabel would choose one of its own
        changed = headers.parse(path.read_bytes())
        changed.fields["scl_slope"], changed.fields["scl_inter"] = slope, -1024
        path.write_bytes(bytes(changed.raw) + path.read_bytes()[len(changed.raw) :])
    return path


def unpacked(path: Path) -> bytes:
    raw = path.read_bytes()
    return gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw


# -- what nibabel says ----------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
@pytest.mark.parametrize("dtype", TYPES)
def test_a_file_comes_back_byte_for_byte(tmp_path: Path, dtype: str, kind: type, suffix: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nibabel warns of 64-bit integers
        path = made(tmp_path / f"a{suffix}", values((2, 3, 4, 5), dtype), kind)
    image = io.read(path)
    assert (image.axes, image.data.dtype, image.unit) == ("TZYX", np.dtype(dtype), "mm")
    np.testing.assert_array_equal(image.data, values((2, 3, 4, 5), dtype))
    assert image.scale == pytest.approx({"X": nibabel.load(path).header["pixdim"][1], "Y": 2.0124612, "Z": 3.0149627,
                                         "T": 1.5}, rel=1e-4)  # fmt: skip
    assert image.meta["medical"] is True
    assert image.meta["description"] == "made by a test"
    io.write(tmp_path / f"b{suffix}", image)
    assert unpacked(tmp_path / f"b{suffix}") == unpacked(path)


@pytest.mark.parametrize("order", ["<", ">"])
def test_new_pixels_keep_the_header(tmp_path: Path, order: str) -> None:
    path = made(tmp_path / "a.nii", values((3, 4, 5), f"{order}i2"), slope=2.5)
    image = io.read(path)
    assert image.meta["rescale"] == {"slope": 2.5, "intercept": -1024.0}
    result = Image(image.data[...] + np.int16(1), image.axes, image.scale, image.unit, {**image.meta, "hush": NOTE})
    io.write(tmp_path / "b.nii.gz", result)
    old, new = nibabel.load(path), nibabel.load(tmp_path / "b.nii.gz")
    np.testing.assert_allclose(new.get_fdata(), old.get_fdata() + 2.5)
    np.testing.assert_array_equal(new.affine, old.affine)
    assert new.header.endianness == order
    for name in set(old.header) - {"vox_offset", "scl_slope", "scl_inter"}:
        np.testing.assert_array_equal(new.header[name], old.header[name], name)
    contents = [one.get_content() for one in new.header.extensions]
    assert contents[:2] == [one.get_content() for one in old.header.extensions]
    again = io.read(tmp_path / "b.nii.gz")
    assert again.meta["hush"] == NOTE
    io.write(tmp_path / "c.nii", again.with_meta(hush=None))
    assert len((tmp_path / "c.nii").read_bytes()) == len(path.read_bytes()), "the note is taken out again"


def test_bytes_depend_on_nothing_but_the_image(tmp_path: Path) -> None:
    image = Image(values((3, 4, 5)), "ZYX")
    io.write(tmp_path / "a.nii.gz", image)
    io.write(tmp_path / "another name.nii.gz", image)
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "another name.nii.gz").read_bytes()


@pytest.mark.parametrize("samples", [3, 4])
def test_colours(tmp_path: Path, samples: int) -> None:
    image = Image(values((3, 4, 5, samples), "u1"), "ZYXS")
    io.write(tmp_path / "a.nii", image)
    peer = np.asanyarray(nibabel.load(tmp_path / "a.nii").dataobj)
    np.testing.assert_array_equal(
        np.stack([peer[name] for name in "RGBA"[:samples]], -1), image.data.transpose(2, 1, 0, 3)
    )
    result = io.read(tmp_path / "a.nii")
    assert (result.axes, result.alpha) == ("ZYXS", samples == 4)
    np.testing.assert_array_equal(result.data, image.data)


@pytest.mark.parametrize(
    ("axes", "shape", "dims"),
    [("YX", (4, 5), (5, 4)), ("CYX", (2, 4, 5), (5, 4, 1, 1, 2)), ("TCYX", (3, 2, 4, 5), (5, 4, 1, 3, 2)),
     ("ZTYX", (3, 2, 4, 5), (5, 4, 3, 2)), ("YXC", (4, 5, 2), (5, 4, 1, 1, 2))],
)  # fmt: skip
def test_images_of_other_formats(tmp_path: Path, axes: str, shape: tuple[int, ...], dims: tuple[int, ...]) -> None:
    image = Image(values(shape), axes, {"X": 0.25, "Y": 0.5}, "µm")
    io.write(tmp_path / "a.nii", image)
    peer = nibabel.load(tmp_path / "a.nii")
    assert peer.shape == dims
    assert peer.header.get_xyzt_units()[0] == "micron"
    letters = "XYZTC"[: len(dims)]
    wanted = np.moveaxis(image.data, [axes.index(a) for a in letters if a in axes], range(len(axes)))
    np.testing.assert_array_equal(np.asanyarray(peer.dataobj).squeeze(), wanted.squeeze())
    result = io.read(tmp_path / "a.nii")
    assert result.unit == "µm"
    assert [result.scale[a] for a in "XY"] == [0.25, 0.5]


def test_slope_and_intercept_of_another_format(tmp_path: Path) -> None:
    image = Image(values((3, 4, 5)), "ZYX", meta={"rescale": {"slope": 2.0, "intercept": -1024.0, "unit": "HU"}})
    io.write(tmp_path / "a.nii", image)
    np.testing.assert_array_equal(nibabel.load(tmp_path / "a.nii").get_fdata().T, image.data * 2.0 - 1024)


def test_pairs_are_read(tmp_path: Path) -> None:
    nibabel.save(nibabel.Nifti1Pair(values((3, 4, 5)).T, np.eye(4)), tmp_path / "a.img")
    image = io.read(tmp_path / "a.img")
    np.testing.assert_array_equal(image.data, values((3, 4, 5)))
    io.write(tmp_path / "b.nii", image)
    np.testing.assert_array_equal(np.asanyarray(nibabel.load(tmp_path / "b.nii").dataobj).T, image.data)
    with pytest.raises(FormatError, match=r"\.nii"):
        io.write(tmp_path / "c.img", image)
    (tmp_path / "a.hdr").unlink()
    with pytest.raises(FormatError, match=r"\.hdr"):
        io.read(tmp_path / "a.img")


def test_a_standard_deviation_has_no_offset(tmp_path: Path) -> None:
    image = io.read(made(tmp_path / "a.nii", values((3, 4, 5)), slope=2.0))
    wide = Image(
        np.full((3, 4, 5), 0.5, np.float32), "ZYX", meta={**image.meta, "hush": {**NOTE, "what": "standard deviation"}}
    )
    io.write(tmp_path / "std.nii", wide)
    assert (nibabel.load(tmp_path / "std.nii").get_fdata() == 1.0).all()


# -- large files ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["<i2", ">f4"])
def test_large_files_are_mapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: str) -> None:
    path = made(tmp_path / "a.nii", values((2, 3, 4, 5), dtype))
    monkeypatch.setattr(nifti, "MAP_FROM", 100)
    image = io.read(path)
    assert isinstance(image.data, np.memmap)
    assert not image.data.flags.writeable
    with io.create(tmp_path / "b.nii", image.with_meta(hush=NOTE)) as array:
        assert isinstance(array, np.memmap)
        assert array.dtype == image.data.dtype
        array[...] = image.data
    np.testing.assert_array_equal(np.asanyarray(nibabel.load(tmp_path / "b.nii").dataobj).T, image.data)
    assert io.read(tmp_path / "b.nii").meta["hush"] == NOTE
    with io.create(tmp_path / "c.nii.gz", image) as array:
        assert array is None


def test_what_is_unpacked_can_go_to_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = made(tmp_path / "a.nii.gz", values((2, 3, 4, 5)))
    monkeypatch.setattr(nifti, "TEMPORARY_FROM", 100)
    image = io.read(path)
    assert isinstance(image.data, np.memmap)
    np.testing.assert_array_equal(image.data, values((2, 3, 4, 5)))


# -- hostile files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_files_that_are_cut(tmp_path: Path, suffix: str) -> None:
    raw = made(tmp_path / f"a{suffix}", values((2, 6, 8, 9))).read_bytes()
    for tenth in range(10):
        path = tmp_path / f"cut{suffix}"
        path.write_bytes(raw[: len(raw) * tenth // 10])
        with pytest.raises(HushError, match="cut"):
            io.read(path)


def change(name: str, value: float) -> Callable[[Path], None]:
    def by(path: Path) -> None:
        header = headers.parse(path.read_bytes())
        if name == "dim":
            header.fields["dim"][1:4] = value
        else:
            header.fields[name] = value
        path.write_bytes(bytes(header.raw) + path.read_bytes()[len(header.raw) :])

    return by


@pytest.mark.parametrize(
    "by",
    [change("dim", 32767), change("dim", -1), change("dim", 0), change("vox_offset", 1e9), change("vox_offset", np.nan),
     change("vox_offset", -1), change("datatype", 32), change("datatype", 1792), change("datatype", 1),
     change("datatype", 77)],
)  # fmt: skip
def test_headers_that_lie_are_refused(tmp_path: Path, by: Callable[[Path], None]) -> None:
    path = made(tmp_path / "a.nii", values((3, 4, 5)))
    by(path)
    with pytest.raises(FormatError, match=r"^a\.nii"):
        io.read(path)


def test_what_is_no_nifti_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.nii").write_bytes(b"no image at all" * 50)
    (tmp_path / "b.nii.gz").write_bytes(gzip.compress(b"no image at all" * 50))
    (tmp_path / "c.nii").write_bytes((348).to_bytes(4, "little") + bytes(500))
    for name in ("a.nii", "b.nii.gz", "c.nii"):
        with pytest.raises(HushError, match=name):
            io.read(tmp_path / name)


@pytest.mark.parametrize(
    "data", [np.zeros((4, 5), np.float16), np.zeros((4, 5), bool), np.zeros((4, 5), np.longdouble)]
)
def test_numbers_that_nifti_does_not_know(tmp_path: Path, data: np.ndarray) -> None:
    with pytest.raises(FormatError, match=str(data.dtype)):
        io.write(tmp_path / "a.nii", Image(data, "YX"))
    assert not list(tmp_path.iterdir())


# -- real files -------------------------------------------------------------------------------------------


def real() -> list[str]:
    root = Path(__file__).parents[2] / "shared" / "data"
    found = [
        *root.glob("Formats/nifti/*.nii*"),
        *root.glob("MRI_[dns]*/*.nii*"),
        root / "MRI_fetal/sub-01_run-5_T2w.nii.gz",
    ]
    return sorted(str(path.relative_to(root)) for path in found if path.stat().st_size < 2**21) or ["(none is here)"]


@pytest.mark.parametrize("name", real())
def test_real_files(tmp_path: Path, data: Path, name: str) -> None:
    path = data / name
    image, peer = io.read(path), nibabel.load(path)
    np.testing.assert_array_equal(image.data.T, peer.dataobj.get_unscaled())
    out = tmp_path / path.name
    io.write(out, image)
    assert unpacked(out) == unpacked(path)
    io.write(out, image.with_meta(hush=NOTE), overwrite=True)
    result = nibabel.load(out)
    np.testing.assert_array_equal(result.affine, peer.affine)
    np.testing.assert_array_equal(result.get_fdata(), peer.get_fdata())
