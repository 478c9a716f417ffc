"""MRC: what mrcfile reads from what hush wrote, and the header that must not change."""

from __future__ import annotations

import gzip
import warnings
from pathlib import Path

import numpy as np
import pytest

from hush import io
from hush.core.errors import FormatError, HushError
from hush.core.image import Image
from hush.io import mrc

mrcfile = pytest.importorskip("mrcfile")
SHARED = Path(__file__).parents[2] / "shared" / "data"
REAL = [
    "Formats/mrc/made_mode0_int8.mrc",
    "Formats/mrc/made_mode1_int16.mrc",
    "Formats/mrc/made_mode2_stack.mrc",
    "Formats/mrc/made_mode6_uint16.mrc",
    "Formats/mrc/made_mode12_float16.mrc",
    "Formats/mrc/Custom_movie.mrc",
    "formats_micro/EMD-3001.map",
    "formats_micro/EMD-3197.map",
    "formats_micro/EMD-3197.map.bz2",
    "formats_micro/emd_3197.map.gz",
]


def volume(kind: str = "float32", shape: tuple[int, ...] = (4, 6, 5)) -> np.ndarray:
    values = np.random.default_rng(0).normal(40, 20, shape)
    return values.astype(kind)


def peer(path: Path) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with mrcfile.open(path, permissive=True) as file:
            return np.array(file.data)


@pytest.mark.parametrize("name", REAL)
def test_real_files_come_back(tmp_path: Path, name: str) -> None:
    source = SHARED / name
    if not source.exists():
        pytest.skip("the shared data are not here")
    image = io.read(source)
    np.testing.assert_array_equal(image.data.reshape(peer(source).shape), peer(source))
    target = tmp_path / source.name
    io.write(target, image)
    again = io.read(target)
    assert (again.axes, dict(again.scale), again.unit) == (image.axes, dict(image.scale), image.unit)
    assert again.data.dtype == image.data.dtype
    assert again.meta["mrc"]["extended"] == image.meta["mrc"]["extended"]
    old, new = (mrc._header(one.meta["mrc"]["header"])[0] for one in (image, again))
    changed = {field for field in mrc.HEADER.names or () if old[field].tobytes() != new[field].tobytes()}
    assert changed <= {"low", "high", "mean", "rms"}
    np.testing.assert_array_equal(again.data, image.data)


@pytest.mark.parametrize("kind", ["int8", "int16", "uint16", "float16", "float32"])
@pytest.mark.parametrize("suffix", [".mrc", ".mrc.gz", ".map.bz2"])
def test_mrcfile_agrees(tmp_path: Path, kind: str, suffix: str) -> None:
    data = volume(kind)
    path = tmp_path / f"a{suffix}"
    io.write(path, Image(data, "ZYX", {"X": 1.5, "Y": 1.5, "Z": 3.0}, "Å"))
    with mrcfile.open(path) as file:  # warnings are errors
        assert file.data.dtype == data.dtype
        np.testing.assert_array_equal(file.data, data)
        assert file.is_volume()
        assert file.voxel_size.tolist() == (1.5, 1.5, 3.0)
        assert float(file.header.dmin) == pytest.approx(float(data.min()))
        assert float(file.header.rms) == pytest.approx(float(data.astype(float).std()), rel=1e-3)
    assert mrcfile.validate(path)


@pytest.mark.parametrize("shape", [(6, 5), (3, 6, 5), (2, 3, 6, 5)])
def test_big_endian_files_stay_so(tmp_path: Path, shape: tuple[int, ...]) -> None:
    path, target = tmp_path / "a.mrc", tmp_path / "b.mrc"
    data = volume("int16", shape)
    with mrcfile.new(path) as file:
        file.set_data(data.astype(">i2"))
        file.voxel_size = 2.5
    image = io.read(path)
    np.testing.assert_array_equal(image.data, data)
    assert image.scale["X"] == 2.5
    io.write(target, image)
    assert target.read_bytes()[:216] == path.read_bytes()[:216]
    np.testing.assert_array_equal(peer(target), data)


def test_large_files_are_mapped_and_written_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, path, target = volume(), tmp_path / "a.mrc", tmp_path / "b.mrc"
    io.write(path, Image(data, "ZYX"))
    monkeypatch.setattr(mrc, "MAP_FROM", 1)
    image = io.read(path)
    assert isinstance(image.data, np.memmap)
    with io.create(target, image) as array:
        assert array is not None
        array[...] = data + 1
    with mrcfile.open(target) as file:
        np.testing.assert_array_equal(file.data, data + 1)
        assert float(file.header.dmax) == pytest.approx(float(data.max()) + 1)
    assert mrcfile.validate(target)


def test_pixel_size_of_another_format_is_in_angstrom(tmp_path: Path) -> None:
    io.write(tmp_path / "a.mrc", Image(volume(), "ZYX", {"X": 0.5, "Y": 0.5, "Z": 1.0}, "nm"))
    image = io.read(tmp_path / "a.mrc")
    assert image.unit == "Å"
    assert image.scale == pytest.approx({"X": 5, "Y": 5, "Z": 10})


def test_a_crop_keeps_its_pixel_size(tmp_path: Path) -> None:
    io.write(tmp_path / "a.mrc", Image(volume(), "ZYX", {"X": 1.5, "Y": 1.5, "Z": 3.0}, "Å"))
    piece = io.read(tmp_path / "a.mrc").crop(slice(1, 4), slice(0, 2))
    io.write(tmp_path / "b.mrc", piece)
    assert io.read(tmp_path / "b.mrc").scale == pytest.approx({"X": 1.5, "Y": 1.5, "Z": 3.0})
    assert mrcfile.validate(tmp_path / "b.mrc")


def test_labels_and_the_note(tmp_path: Path) -> None:
    path = tmp_path / "a.mrc"
    with mrcfile.new(path) as file:
        file.set_data(volume())
        file.add_label("grid 7, blotted twice")
    image = io.read(path)
    assert image.meta["description"].endswith("grid 7, blotted twice")
    note = {"version": "1", "method": "noise2void", "more": "x" * 200}
    io.write(tmp_path / "b.mrc", image.with_meta(hush=note))
    again = io.read(tmp_path / "b.mrc")
    assert again.meta["hush"] == note
    assert again.meta["description"] == image.meta["description"]
    io.write(tmp_path / "c.mrc", again.with_meta(hush={"method": "bm3d"}))  # a new note takes the old one's place
    assert io.read(tmp_path / "c.mrc").meta["hush"] == {"method": "bm3d"}
    assert io.read(tmp_path / "c.mrc").meta["description"] == image.meta["description"]


def test_imod_marks_bytes_without_sign(tmp_path: Path) -> None:
    data = volume("uint8", (6, 5))
    path, target = tmp_path / "a.mrc", tmp_path / "b.mrc"
    io.write(path, Image(data.astype(np.int8), "YX"))
    raw = bytearray(path.read_bytes())
    raw[152:156], raw[1024:] = mrc.IMOD.to_bytes(4, "little"), data.tobytes()
    path.write_bytes(raw)
    np.testing.assert_array_equal(io.read(path).data, data)
    io.write(target, io.read(path))
    assert target.read_bytes()[1024:] == data.tobytes()
    assert io.read(target).data.dtype == np.uint8


def test_stacks_say_that_their_axis_is_guessed(tmp_path: Path) -> None:
    path = tmp_path / "a.mrc"
    with mrcfile.new(path) as file:
        file.set_data(volume())
        file.set_image_stack()
    image = io.read(path)
    assert image.axes == "TYX"
    assert image.meta["guessed"]
    assert io.read(path, "ZYX").axes == "ZYX"
    io.write(tmp_path / "b.mrc", image)
    with mrcfile.open(tmp_path / "b.mrc") as file:
        assert file.is_image_stack()


@pytest.mark.parametrize("image", [
    Image(np.zeros((4, 4), np.uint8), "YX"), Image(np.zeros((4, 4), np.float64), "YX"),
    Image(np.zeros((2, 4, 4), np.int16), "CYX"), Image(np.zeros((4, 4, 3), np.int16), "YXS"),
])  # fmt: skip
def test_what_it_cannot_hold_is_refused(tmp_path: Path, image: Image) -> None:
    with pytest.raises(FormatError, match=r"a\.mrc|MRC"):
        io.write(tmp_path / "a.mrc", image)
    assert not (tmp_path / "a.mrc").exists()


@pytest.mark.parametrize("suffix", [".mrc", ".mrc.gz"])
def test_cut_and_strange_files_are_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    io.write(path, Image(volume(), "ZYX"))
    raw = path.read_bytes()
    for tenth in range(1, 10):
        path.write_bytes(raw[: len(raw) * tenth // 10])
        with pytest.raises(HushError, match=r"a\.mrc"):
            io.read(path)
    for content in (b"x" * 3000, b"\xff" * 3000, b"\0" * 3000):
        path.write_bytes(gzip.compress(content) if suffix.endswith("gz") else content)
        with pytest.raises(FormatError):
            io.read(path)


@pytest.mark.parametrize("suffix", [".mrc", ".mrc.gz"])
def test_a_false_claim_is_refused_from_the_header(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    io.write(tmp_path / "a.mrc", Image(volume(), "ZYX"))
    raw = bytearray((tmp_path / "a.mrc").read_bytes())
    raw[0:12] = (2_000_000).to_bytes(4, "little") * 3
    path.write_bytes(gzip.compress(bytes(raw)) if suffix.endswith("gz") else bytes(raw))
    with pytest.raises(FormatError, match="claims"):
        io.read(path)


def test_transforms_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.mrc"
    with mrcfile.new(path) as file:
        file.set_data(np.ones((4, 3), np.complex64))
    with pytest.raises(FormatError, match="mode 4"):
        io.read(path)


def test_it_is_known_before_the_work_whether_it_can_be_written(tmp_path: Path) -> None:
    io.check_output(tmp_path / "a.mrc", like=Image(volume(), "ZYX"))
    with pytest.raises(FormatError, match="float64"):
        io.check_output(tmp_path / "a.mrc", like=Image(volume("float64"), "ZYX"))
