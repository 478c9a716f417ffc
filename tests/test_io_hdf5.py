"""HDF5 and Imaris: the data set that is chosen, everything else in the file that stays, the smaller copies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hush import io
from hush.core.errors import FormatError, HushError
from hush.core.image import Image
from hush.io import _zarr_pieces, hdf5

h5py = pytest.importorskip("h5py")
SHARED = Path(__file__).parents[2] / "shared" / "data"
RNG = np.random.default_rng(0)


def stack(shape: tuple[int, ...] = (4, 30, 20), kind: str = "uint16") -> np.ndarray:
    return RNG.integers(0, 1000, shape).astype(kind)


def made(path: Path) -> Path:
    """Write a file of two images, a table, a link and a reference."""
    with h5py.File(path, "w") as file:
        file.attrs["session"] = "morning"
        raw = file.create_dataset(
            "scan/raw", data=stack(), chunks=(2, 16, 16), compression="gzip", compression_opts=7, shuffle=True
        )
        raw.attrs["element_size_um"], raw.attrs["axes"] = [2.0, 0.5, 0.5], "zyx"
        raw.attrs["gain"] = np.float32(3.5)
        file.create_dataset("mask", data=stack((30, 20), "uint8"))
        file.create_dataset("table", data=np.zeros(5, [("a", "i4"), ("b", "f8")]))
        file["link"] = h5py.SoftLink("/scan/raw")
        file["elsewhere"] = h5py.ExternalLink("other.h5", "/x")
        file.attrs["points"] = raw.ref
    return path


def contents(path: Path, without: str = "") -> dict[str, Any]:
    """Everything in a file by name, as plain values."""
    found: dict[str, Any] = {}

    def look(name: str, one: Any) -> None:
        found[name] = {key: np.asarray(one.attrs[key]).tolist() for key in one.attrs}
        if isinstance(one, h5py.Dataset):
            found[name] |= {
                "how": (one.shape, one.dtype.str, one.chunks, one.compression, one.compression_opts, one.shuffle)
            }
            found[name] |= {} if name == without else {"data": one[...].tobytes()}

    with h5py.File(path) as file:
        file.visititems(look)
        found["links"] = [file.get("link", getlink=True).path, file.get("elsewhere", getlink=True).filename]
        found["points"] = file[file.attrs["points"]].name
        found["session"] = file.attrs["session"]
    return found


def test_the_largest_image_and_all_the_rest(tmp_path: Path) -> None:
    source = made(tmp_path / "a.h5")
    image = io.read(source)
    assert (image.axes, image.unit, dict(image.scale)) == ("ZYX", "µm", {"Z": 2, "Y": 0.5, "X": 0.5})
    with h5py.File(source) as file:
        np.testing.assert_array_equal(image.data, file["scan/raw"][...])
    io.write(tmp_path / "b.h5", Image(image.data + 1, image.axes, image.scale, image.unit, image.meta))
    assert contents(tmp_path / "b.h5", "scan/raw") == contents(source, "scan/raw")
    np.testing.assert_array_equal(io.read(tmp_path / "b.h5").data, image.data + 1)


def test_a_data_set_is_named(tmp_path: Path) -> None:
    source = made(tmp_path / "a.h5")
    assert io.read(f"{source}:mask").axes == "YX"
    assert io.read(f"{source}:/scan/raw").axes == "ZYX"
    assert io.read(source, choice=1).data.dtype == np.uint8
    with pytest.raises(FormatError, match="scan/raw"):
        io.read(f"{source}:nothing")
    io.write(tmp_path / "b.h5", io.read(f"{source}:mask").with_meta(hush={"method": "bm3d"}))
    assert io.read(f"{tmp_path / 'b.h5'}:mask").meta["hush"] == {"method": "bm3d"}
    assert "hush" not in io.read(tmp_path / "b.h5").meta


def test_as_floats_with_the_compression_of_the_input(tmp_path: Path) -> None:
    image = io.read(made(tmp_path / "a.h5"))
    values = image.data.astype(np.float32) / 3
    with io.create(tmp_path / "b.h5", Image(values * 0, image.axes, image.scale, image.unit, image.meta)) as array:
        assert array is not None
        array[:2], array[2:] = values[:2], values[2:]
    with h5py.File(tmp_path / "b.h5") as file:
        stored = file["scan/raw"]
        assert (stored.chunks, stored.compression, stored.compression_opts) == ((2, 16, 16), "gzip", 7)
        assert stored.attrs["gain"] == np.float32(3.5)
        assert file["mask"].shape == (30, 20)
    np.testing.assert_array_equal(io.read(tmp_path / "b.h5").data, values)


def test_one_large_piece_is_mapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = stack(kind=">i2")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = data
    monkeypatch.setattr(hdf5, "MAP_FROM", 1)
    image = io.read(tmp_path / "a.h5", "TYX")
    assert isinstance(image.data, np.memmap)
    np.testing.assert_array_equal(image.data, data)
    with io.create(tmp_path / "b.h5", image) as array:
        assert isinstance(array, np.memmap)
        array[...] = data + 1
    np.testing.assert_array_equal(io.read(tmp_path / "b.h5").data, data + 1)
    assert io.read(tmp_path / "b.h5").axes == "TYX"


def test_large_chunked_data_sets_go_through_a_temporary_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = made(tmp_path / "a.h5")
    monkeypatch.setattr(_zarr_pieces, "SPOOL_FROM", 1)
    monkeypatch.setattr(_zarr_pieces, "MOST_AT_ONCE", 2048)
    image = io.read(source)
    assert isinstance(image.data, np.memmap)
    with h5py.File(source) as file:
        np.testing.assert_array_equal(image.data, file["scan/raw"][...])


def test_a_new_file_keeps_what_other_formats_know(tmp_path: Path) -> None:
    meta = {"channels": ["a", "b"], "description": "liver", "hush": {"method": "n2v"}}
    image = Image(stack((2, 30, 20), "float32"), "CYX", {"X": 5.0, "Y": 5.0, "T": 2.0}, "nm", meta)
    io.write(tmp_path / "a.h5", image)
    again = io.read(tmp_path / "a.h5")
    np.testing.assert_array_equal(again.data, image.data)
    assert (again.axes, again.unit, dict(again.scale)) == ("CYX", "nm", {"X": 5.0, "Y": 5.0})
    assert {key: again.meta[key] for key in meta} == meta
    with h5py.File(tmp_path / "a.h5") as file:
        assert file["data"].attrs["element_size_um"].tolist() == pytest.approx([1, 0.005, 0.005])


@pytest.mark.parametrize("kind", ["bool", "int8", "uint64", "float16", "float64"])
def test_kinds_of_numbers(tmp_path: Path, kind: str) -> None:
    data = RNG.integers(0, 2, (9, 8)).astype(kind)
    io.write(tmp_path / "a.h5", Image(data, "YX"))
    again = io.read(tmp_path / "a.h5").data
    assert again.dtype == data.dtype
    np.testing.assert_array_equal(again, data)


def test_axes_that_vigra_tags(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = stack((9, 8, 2))
        file["x"].attrs["axistags"] = '{"axes": [{"key": "y"}, {"key": "x"}, {"key": "c"}]}'
        file["y"] = stack((3, 9, 8))
        for place, label in enumerate("tyx"):
            file["y"].dims[place].label = label
    assert io.read(f"{tmp_path / 'a.h5'}:x").axes == "YXC"
    assert io.read(f"{tmp_path / 'a.h5'}:y").axes == "TYX"


def test_a_crop_is_written_alone(tmp_path: Path) -> None:
    image = io.read(made(tmp_path / "a.h5"))
    io.write(tmp_path / "b.h5", image.crop(slice(0, 7), slice(3, 20)))
    with h5py.File(tmp_path / "b.h5") as file:
        assert list(file) == ["scan"]
        np.testing.assert_array_equal(file["scan/raw"][...], image.data[:, :7, 3:20])
        assert file["scan/raw"].compression == "gzip"


def test_real_file(tmp_path: Path) -> None:
    source = SHARED / "Formats" / "micro" / "made_stack.h5"
    if not source.exists():
        pytest.skip("the shared data are not here")
    image = io.read(f"{source}:exported/data")
    assert image.axes == "TZYX"
    io.write(tmp_path / "b.h5", image)
    with h5py.File(source) as old, h5py.File(tmp_path / "b.h5") as new:
        np.testing.assert_array_equal(new["exported/data"][...], old["exported/data"][...])
        assert dict(new["exported/data"].attrs) == dict(old["exported/data"].attrs)
        assert new["exported/data"].chunks == old["exported/data"].chunks


@pytest.mark.parametrize("suffix", [".h5", ".ims"])
def test_cut_and_strange_files_are_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    io.write(path, Image(stack(), "ZYX"))
    raw = path.read_bytes()
    for tenth in range(1, 10):
        path.write_bytes(raw[: len(raw) * tenth // 10])
        with pytest.raises(HushError, match=f"a{suffix}"):
            io.read(path)
    path.write_bytes(b"x" * 3000)
    with pytest.raises(FormatError):
        io.read(path)
    with h5py.File(path, "w") as file:
        file["words"] = b"no image"
    with pytest.raises(FormatError):
        io.read(path)


def test_pixels_in_other_files_are_not_looked_for(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"x" * 64)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", (8, 8), np.uint8, external=[(str(tmp_path / "secret"), 0, 64)])
    with pytest.raises(FormatError, match="another file"):
        io.read(tmp_path / "a.h5")


def test_a_source_that_is_gone_is_said(tmp_path: Path) -> None:
    source = made(tmp_path / "a.h5")
    image = io.read(source)
    source.unlink()
    with pytest.raises(FormatError, match=r"a\.h5"):
        io.write(tmp_path / "b.h5", image)


# -- Imaris ---------------------------------------------------------------------------------------------


def volume() -> Image:
    data = stack((2, 3, 5, 300, 310))
    meta = {"channels": ["DAPI", "GFP", "RFP"], "description": "wing"}
    return Image(data, "TCZYX", {"T": 2.5, "Z": 1.5, "Y": 0.2, "X": 0.1}, "µm", meta)


def word(group: Any, name: str) -> str:
    return b"".join(group.attrs[name]).decode()


def test_imaris_returns(tmp_path: Path) -> None:
    image = volume()
    io.write(tmp_path / "a.ims", image.with_meta(hush={"method": "n2v"}))
    again = io.read(tmp_path / "a.ims")
    np.testing.assert_array_equal(again.data, image.data)
    assert (again.axes, again.unit) == ("TCZYX", "µm")
    assert dict(again.scale) == pytest.approx(dict(image.scale))
    assert again.meta["hush"] == {"method": "n2v"}
    assert {key: again.meta[key] for key in image.meta} == dict(image.meta)


def test_imaris_levels_and_histograms(tmp_path: Path) -> None:
    image = volume()
    io.write(tmp_path / "a.ims", image)
    with h5py.File(tmp_path / "a.ims") as file:
        place = "DataSet/ResolutionLevel {}/TimePoint 1/Channel 2"
        first, second = file[place.format(0)], file[place.format(1)]
        assert (word(second, "ImageSizeY"), word(second, "ImageSizeX")) == ("150", "155")
        means = image.data[1, 2].reshape(5, 150, 2, 155, 2).mean((2, 4))
        np.testing.assert_array_equal(second["Data"][:5, :150, :155], np.rint(means).astype(np.uint16))
        assert all(size % chunk == 0 for size, chunk in zip(first["Data"].shape, first["Data"].chunks, strict=True))
        assert int(first["Histogram"][...].sum()) == image.data[1, 2].size
        assert float(word(first, "HistogramMax")) == image.data[1, 2].max()


def test_imaris_keeps_what_it_does_not_know(tmp_path: Path) -> None:
    io.write(tmp_path / "a.ims", volume())
    with h5py.File(tmp_path / "a.ims", "r+") as file:
        file["Scene8/spots"] = np.arange(5)
        file["DataSetInfo/Channel 1"].attrs["LSMEmissionWavelength"] = np.frombuffer(b"520.000", "S1")
    image = io.read(tmp_path / "a.ims")
    with io.create(tmp_path / "b.ims", image) as array:
        assert array is not None
        array[...] = image.data // 2
    with h5py.File(tmp_path / "b.ims") as file:
        np.testing.assert_array_equal(file["Scene8/spots"][...], np.arange(5))
        assert word(file["DataSetInfo/Channel 1"], "LSMEmissionWavelength") == "520.000"
    again = io.read(tmp_path / "b.ims")
    np.testing.assert_array_equal(again.data, image.data // 2)
    assert dict(again.scale) == dict(image.scale)


def test_imaris_refuses_what_it_cannot_hold(tmp_path: Path) -> None:
    for image in (Image(stack((9, 8, 3)), "YXS"), Image(stack(kind="float64"), "ZYX")):
        with pytest.raises(FormatError, match="Imaris"):
            io.write(tmp_path / "a.ims", image)


def test_an_imaris_crop(tmp_path: Path) -> None:
    io.write(tmp_path / "a.ims", volume())
    image = io.read(tmp_path / "a.ims")
    io.write(tmp_path / "b.ims", image.crop(slice(10, 60), slice(0, 33)))
    again = io.read(tmp_path / "b.ims")
    np.testing.assert_array_equal(again.data, image.data[..., 10:60, :33])
    assert dict(again.scale) == pytest.approx(dict(image.scale))


@pytest.mark.parametrize("suffix", [".h5", ".ims"])
def test_it_is_known_before_the_work_whether_it_can_be_written(tmp_path: Path, suffix: str) -> None:
    io.check_output(tmp_path / f"a{suffix}", like=Image(stack(), "ZYX"))
    io.write(tmp_path / f"b{suffix}", Image(stack(), "ZYX"))
    io.check_output(tmp_path / f"a{suffix}", like=io.read(tmp_path / f"b{suffix}"))
