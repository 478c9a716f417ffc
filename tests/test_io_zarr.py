"""OME-Zarr: what yaozarrs finds valid, the version, chunks and compression that stay, the pyramid made again."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hush import io
from hush.core.errors import FormatError, HushError
from hush.core.image import Image
from hush.io import _zarr_pieces, _zarr_pyramid

zarr = pytest.importorskip("zarr")
yaozarrs = pytest.importorskip("yaozarrs")
SHARED = Path(__file__).parents[2] / "shared" / "data"
RNG = np.random.default_rng(0)


def stack(shape: tuple[int, ...] = (2, 3, 40, 37), kind: str = "uint16") -> np.ndarray:
    return RNG.integers(0, 1000, shape).astype(kind)


def metadata(path: Path) -> dict[str, Any]:
    """Everything that a Zarr says, by file."""
    names = ("zarr.json", ".zattrs", ".zgroup", ".zarray")
    files = {str(one.relative_to(path)): json.loads(one.read_text()) for one in path.rglob("*") if one.name in names}
    return {name: said for name, said in files.items() if said}


def made(path: Path, form: int, data: np.ndarray, levels: int = 2, shards: tuple[int, ...] | None = None) -> Path:
    """Write an OME-Zarr with the library: axes czyx, micrometres."""
    chunks = (1, 1, 16, 16)
    names = "czyx"[-data.ndim :]
    units = {"z": "micrometer", "y": "micrometer", "x": "micrometer"}
    kinds = {"c": "channel", "z": "space", "y": "space", "x": "space"}
    axes = [{"name": n, "type": kinds[n]} | ({"unit": units[n]} if n in units else {}) for n in names]
    datasets = []
    for level in range(levels):
        scale = [1.0, 2.0, 0.5 * 2**level, 0.5 * 2**level][-data.ndim :]
        datasets.append({"path": f"s{level}", "coordinateTransformations": [{"type": "scale", "scale": scale}]})
        zarr.create_array(
            store=str(path / f"s{level}"), data=data[..., :: 2**level, :: 2**level], chunks=chunks[-data.ndim :],
            shards=shards, zarr_format=form, compressors=zarr.codecs.GzipCodec(level=3) if form == 3 else "auto",
            dimension_names=list(names) if form == 3 else None,
            chunk_key_encoding=None if form == 3 else {"name": "v2", "separator": "/"},
        )  # fmt: skip
    multiscales: Any = [{"name": "cells", "axes": axes, "datasets": datasets}]
    window = {"start": 0, "end": 900, "min": 0, "max": 1000}
    omero = {
        "channels": [{"label": n, "color": c, "window": window} for n, c in (("DAPI", "0000FF"), ("GFP", "00FF00"))]
    }
    if form == 3:
        attributes = {"ome": {"version": "0.5", "multiscales": multiscales, "omero": omero}, "mine": {"kept": True}}
        (path / "zarr.json").write_text(json.dumps({"zarr_format": 3, "node_type": "group", "attributes": attributes}))
    else:
        multiscales[0]["version"] = "0.4"
        (path / ".zgroup").write_text('{"zarr_format": 2}')
        (path / ".zattrs").write_text(json.dumps({"multiscales": multiscales, "omero": omero, "mine": {"kept": True}}))
    return path


def valid(path: Path, form: int = 3) -> None:
    if form == 3:
        yaozarrs.validate_ome_json((path / "zarr.json").read_text())
    else:
        yaozarrs.validate_ome_json((path / ".zattrs").read_text())


@pytest.mark.parametrize("form", [2, 3])
def test_what_it_says_stays_and_the_levels_are_made_again(tmp_path: Path, form: int) -> None:
    data = stack()
    source = made(tmp_path / "a.ome.zarr", form, data, shards=(1, 1, 32, 32) if form == 3 else None)
    image = io.read(source)
    np.testing.assert_array_equal(image.data, data)
    assert (image.axes, image.unit) == ("CZYX", "µm")
    assert dict(image.scale) == {"Z": 2.0, "Y": 0.5, "X": 0.5}
    assert image.meta["channels"] == ["DAPI", "GFP"]
    io.write(tmp_path / "b.ome.zarr", image)
    assert metadata(tmp_path / "b.ome.zarr") == metadata(source)
    valid(tmp_path / "b.ome.zarr", form)
    group = zarr.open_group(str(tmp_path / "b.ome.zarr"), mode="r")
    np.testing.assert_array_equal(group["s0"][:], data)
    blocks = data[..., :36].reshape(2, 3, 20, 2, 18, 2).mean((3, 5))
    np.testing.assert_array_equal(group["s1"][..., :18], np.rint(blocks).astype(np.uint16))


@pytest.mark.parametrize("form", [2, 3])
def test_written_in_pieces_as_floats(tmp_path: Path, form: int) -> None:
    source = made(tmp_path / "a.zarr", form, stack(), shards=(1, 1, 32, 32) if form == 3 else None)
    image = io.read(source)
    values = image.data.astype(np.float32) / 7
    like = Image(np.broadcast_to(np.float32(0), values.shape), image.axes, image.scale, image.unit, image.meta)
    with io.create(tmp_path / "b.zarr", like.with_meta(hush={"method": "n2v"})) as array:
        assert array is not None
        for plane in like.planes():
            plane.view(array)[...] = plane.view(values)
    again = io.read(tmp_path / "b.zarr")
    np.testing.assert_array_equal(again.data, values)
    assert again.meta["hush"] == {"method": "n2v"}
    array = zarr.open_array(str(tmp_path / "b.zarr" / "s0"), mode="r")
    assert (array.chunks, array.shards) == ((1, 1, 16, 16), (1, 1, 32, 32) if form == 3 else None)
    valid(tmp_path / "b.zarr", form)


def test_large_arrays_go_through_a_temporary_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = stack()
    source = made(tmp_path / "a.zarr", 3, data)
    monkeypatch.setattr(_zarr_pieces, "SPOOL_FROM", 1)
    monkeypatch.setattr(_zarr_pieces, "MOST_AT_ONCE", 4096)
    image = io.read(source)
    assert isinstance(image.data, np.memmap)
    np.testing.assert_array_equal(image.data, data)
    with io.create(tmp_path / "b.zarr", image) as array:
        assert array is not None
        array[...] = data + 1
    np.testing.assert_array_equal(io.read(tmp_path / "b.zarr").data, data + 1)


def test_a_new_file_has_levels_and_is_valid(tmp_path: Path) -> None:
    data = stack((2, 600, 530))
    image = Image(data, "CYX", {"Y": 0.2, "X": 0.2}, "µm", {"channels": ["a", "b"], "description": "liver"})
    io.write(tmp_path / "a.ome.zarr", image)
    yaozarrs.validate_zarr_store(str(tmp_path / "a.ome.zarr"))
    group = zarr.open_group(str(tmp_path / "a.ome.zarr"), mode="r")
    assert [group[str(level)].shape for level in range(3)] == [(2, 600, 530), (2, 300, 265), (2, 150, 132)]
    again = io.read(tmp_path / "a.ome.zarr")
    assert (dict(again.scale), again.unit, again.axes) == ({"Y": 0.2, "X": 0.2}, "µm", "CYX")
    assert (again.meta["channels"], again.meta["description"]) == (["a", "b"], "liver")
    np.testing.assert_array_equal(again.data, data)


@pytest.mark.parametrize("kind", ["bool", "int8", "uint8", "float16", "float64", "int64", ">i2"])
def test_every_kind_of_numbers(tmp_path: Path, kind: str) -> None:
    data = RNG.integers(0, 2, (20, 30)).astype(kind)
    io.write(tmp_path / "a.zarr", Image(data, "YX"))
    again = io.read(tmp_path / "a.zarr").data
    assert again.dtype == data.dtype.newbyteorder("=")
    np.testing.assert_array_equal(again, data)


def test_other_axes_are_written_in_the_order_of_the_format(tmp_path: Path) -> None:
    data = stack((5, 6, 2, 4, 3))
    io.write(tmp_path / "a.zarr", Image(data, "YXCTZ", {"T": 3.0, "X": 2.0}, "nm"))
    again = io.read(tmp_path / "a.zarr")
    assert again.axes == "TCZYX"
    np.testing.assert_array_equal(again.data, data.transpose(3, 2, 4, 0, 1))
    assert again.scale["T"] == 3
    io.write(tmp_path / "colour.zarr", Image(stack((9, 8, 3), "uint8"), "YXS"))
    assert io.read(tmp_path / "colour.zarr").meta["channels"] == ["red", "green", "blue"]


def test_a_crop_keeps_pixel_size_and_chunks(tmp_path: Path) -> None:
    image = io.read(made(tmp_path / "a.zarr", 3, stack(), shards=(1, 1, 32, 32)))
    io.write(tmp_path / "b.zarr", image.crop(slice(0, 21), slice(5, 30)))
    again = io.read(tmp_path / "b.zarr")
    np.testing.assert_array_equal(again.data, image.data[..., :21, 5:30])
    assert dict(again.scale) == dict(image.scale)
    assert zarr.open_array(str(tmp_path / "b.zarr" / "s1"), mode="r").shape == (2, 3, 10, 12)


def test_another_pixel_size_reaches_every_level(tmp_path: Path) -> None:
    image = io.read(made(tmp_path / "a.zarr", 2, stack()))
    io.write(tmp_path / "b.zarr", Image(image.data, image.axes, {"Z": 2, "Y": 3, "X": 3}, "nm", image.meta))
    again = io.read(tmp_path / "b.zarr")
    assert (dict(again.scale), again.unit) == ({"Z": 2, "Y": 3, "X": 3}, "nm")
    said = json.loads((tmp_path / "b.zarr" / ".zattrs").read_text())["multiscales"][0]["datasets"][1]
    assert said["coordinateTransformations"][0]["scale"][-1] == 6


def test_labels_are_copied(tmp_path: Path) -> None:
    source = made(tmp_path / "a.zarr", 2, stack())
    zarr.create_array(store=str(source / "labels" / "cells" / "0"), data=stack((40, 37)), zarr_format=2)
    io.write(tmp_path / "b.zarr", io.read(source))
    copied = zarr.open_array(str(tmp_path / "b.zarr" / "labels" / "cells" / "0"), mode="r")
    assert copied.shape == (40, 37)


def test_several_images_are_chosen_by_number_or_name(tmp_path: Path) -> None:
    root = tmp_path / "a.zarr"
    for name in ("2", "10", "0"):
        made(root / name, 2, stack((2, 1, 8, int(name) + 1)), levels=1)
    (root / ".zgroup").write_text('{"zarr_format": 2}')
    (root / ".zattrs").write_text('{"bioformats2raw.layout": 3}')
    assert io.read(root).sizes["X"] == 1
    assert io.read(f"{root}:2").sizes["X"] == 11
    assert io.read(root, choice="2").sizes["X"] == 11
    with pytest.raises(FormatError, match="image 7"):
        io.read(root, choice=7)


def test_the_fields_of_a_plate(tmp_path: Path) -> None:
    root = tmp_path / "a.zarr"
    made(root / "B" / "3" / "0", 2, stack(), levels=1)
    for folder, said in (
        (root, {"plate": {"wells": [{"path": "B/3"}]}}),
        (root / "B/3", {"well": {"images": [{"path": "0"}]}}),
    ):
        (folder / ".zgroup").write_text('{"zarr_format": 2}')
        (folder / ".zattrs").write_text(json.dumps(said))
    np.testing.assert_array_equal(io.read(root).data, io.read(f"{root}:B/3/0").data)


def test_bare_arrays(tmp_path: Path) -> None:
    data = stack((4, 9, 8))
    zarr.create_array(store=str(tmp_path / "a.zarr"), data=data, chunks=(2, 9, 8), dimension_names=["t", "y", "x"])
    image = io.read(tmp_path / "a.zarr")
    assert image.axes == "TYX"
    io.write(tmp_path / "b.zarr", image)
    assert metadata(tmp_path / "b.zarr") == metadata(tmp_path / "a.zarr")
    np.testing.assert_array_equal(io.read(tmp_path / "b.zarr").data, data)
    zarr.create_array(store=str(tmp_path / "c.zarr"), name="raw/x", data=data)
    zarr.create_array(store=str(tmp_path / "c.zarr"), name="raw/small", data=data[0])
    assert io.read(tmp_path / "c.zarr").meta["guessed"]


def test_means_of_blocks_leave_missing_pixels_out() -> None:
    block = np.array([[1, np.nan, np.nan], [3, 2, np.nan]], np.float32)
    found = _zarr_pyramid.means(block, (2, 2), (1, 2))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, [[2, np.nan]])


@pytest.mark.parametrize("name", ["blobs_v04.ome.zarr", "blobs_v05.ome.zarr", "nuclei_control.ome.zarr", "zip"])
def test_real_files_come_back(tmp_path: Path, name: str) -> None:
    source = SHARED / "formats_micro" / name
    if name == "zip":
        source = SHARED / "Formats" / "zarr" / "made_nuclei_v05.ome.zarr.zip"
    if not source.exists():
        pytest.skip("the shared data are not here")
    if name == "zip":
        with zipfile.ZipFile(source) as packed:
            packed.extractall(tmp_path / "in")
        source = tmp_path / "in" / "nuclei_v05.ome.zarr"
    image = io.read(source)
    io.write(tmp_path / "b.ome.zarr", image)
    assert metadata(tmp_path / "b.ome.zarr") == metadata(source)
    old, new = (zarr.open_group(str(path), mode="r")["0"][:] for path in (source, tmp_path / "b.ome.zarr"))
    np.testing.assert_array_equal(new, old)
    assert dict(io.read(tmp_path / "b.ome.zarr").scale) == dict(image.scale)


def test_damage_is_said(tmp_path: Path) -> None:
    source = made(tmp_path / "a.zarr", 3, stack())
    chunk = max((source / "s0").rglob("*"), key=lambda path: path.stat().st_size if path.is_file() else 0)
    whole = chunk.read_bytes()
    for tenth in range(1, 10):
        chunk.write_bytes(whole[: len(whole) * tenth // 10])
        with pytest.raises(HushError, match=r"a\.zarr"):
            io.read(source)
    chunk.write_bytes(whole)
    text = (source / "zarr.json").read_text()
    for cut in range(10, len(text), len(text) // 10):
        (source / "zarr.json").write_text(text[:cut])
        with pytest.raises(FormatError):
            io.read(source)
    (source / "zarr.json").write_text(text.replace('"s0"', '"../s0"'))
    with pytest.raises(FormatError):
        io.read(source)
    (source / "zarr.json").write_text(text)
    shutil.rmtree(source / "s0")
    with pytest.raises(FormatError, match="s0"):
        io.read(source)


def test_what_is_no_zarr(tmp_path: Path) -> None:
    (tmp_path / "empty.zarr").mkdir()
    (tmp_path / "file.zarr").write_bytes(b"PK")
    for name in ("empty.zarr", "file.zarr"):
        with pytest.raises(FormatError):
            io.read(tmp_path / name)


def test_a_result_replaces_a_folder(tmp_path: Path) -> None:
    for value in (1, 2):
        io.write(tmp_path / "a.zarr", Image(np.full((9, 8), value, np.uint8), "YX"), overwrite=value == 2)
    assert io.read(tmp_path / "a.zarr").data.max() == 2
    assert [path.name for path in tmp_path.iterdir()] == ["a.zarr"]


def test_it_is_known_before_the_work_whether_it_can_be_written(tmp_path: Path) -> None:
    image = Image(stack((2, 60, 50)), "CYX")
    io.check_output(tmp_path / "a.ome.zarr", like=image)
    io.check_output(tmp_path / "b.zarr", like=io.read(made(tmp_path / "c.zarr", 2, stack())))
    with pytest.raises(FormatError):
        io.check_output(tmp_path / "d.zarr", like=Image(stack((2, 60, 50, 3)), "CYXS"))
