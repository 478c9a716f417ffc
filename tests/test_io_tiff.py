"""TIFF in all its kinds: what an independent reader finds in the written file."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal
from xml.etree import ElementTree

import numpy as np
import pytest
import tifffile

from hush import io
from hush.core.errors import HushError
from hush.core.image import Image


def values(shape: tuple[int, ...], dtype: str = "u2") -> np.ndarray:
    return np.random.default_rng(0).integers(0, 200, shape).astype(dtype)


def through(path: Path, out: Path | None = None) -> tuple[Image, Path]:
    """Read a file, write it again with its pixels turned round, return what is read then."""
    image = io.read(path)
    target = out or path.with_name("again.tif")
    io.write(target, replace(image, data=np.asarray(image.data)[..., ::-1]))
    return image, target


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "i1", "i2", "i4", "f2", "f4", "f8", "?"])
def test_plain_keeps_dtype_and_values(tmp_path: Path, dtype: str) -> None:
    data = values((9, 12), dtype)
    tifffile.imwrite(tmp_path / "a.tif", data)
    image, target = through(tmp_path / "a.tif")
    np.testing.assert_array_equal(image.data, data)
    again = tifffile.imread(target)
    assert again.dtype == data.dtype
    np.testing.assert_array_equal(again, data[..., ::-1])


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("bigtiff", [False, True])
def test_byte_orders(tmp_path: Path, order: Literal["<", ">"], bigtiff: bool) -> None:
    data = values((9, 12))
    tifffile.imwrite(tmp_path / "a.tif", data, byteorder=order, bigtiff=bigtiff)
    image, target = through(tmp_path / "a.tif")
    np.testing.assert_array_equal(image.data, data)
    np.testing.assert_array_equal(tifffile.imread(target), data[:, ::-1])
    with tifffile.TiffFile(target) as tif:
        assert tif.byteorder == order


@pytest.mark.parametrize("kind", ["zlib", "lzw", "zstd", "packbits"])
def test_lossless_compression_stays(tmp_path: Path, kind: str) -> None:
    data = values((2, 40, 50))
    tifffile.imwrite(tmp_path / "a.tif", data, compression=kind, metadata={"axes": "ZYX"})
    _, target = through(tmp_path / "a.tif")
    with tifffile.TiffFile(tmp_path / "a.tif") as before, tifffile.TiffFile(target) as after:
        assert before.pages[0].compression == after.pages[0].compression
    np.testing.assert_array_equal(tifffile.imread(target), data[..., ::-1])


def test_tiles_and_strips_are_read(tmp_path: Path) -> None:
    data = values((70, 90))
    tifffile.imwrite(tmp_path / "a.tif", data, tile=(32, 32))
    np.testing.assert_array_equal(io.read(tmp_path / "a.tif").data, data)
    tifffile.imwrite(tmp_path / "b.tif", data, rowsperstrip=7)
    np.testing.assert_array_equal(io.read(tmp_path / "b.tif").data, data)


def test_imagej_hyperstack(tmp_path: Path) -> None:
    data = values((2, 3, 2, 20, 30))
    metadata: dict[str, Any] = {
        "axes": "TZCYX", "spacing": 0.7, "unit": "um", "finterval": 2.5, "Ranges": (0.0, 150.0, 10.0, 99.0),
        "LUTs": [np.stack([np.arange(256, dtype=np.uint8) * (k == c) for k in range(3)]) for c in range(2)],
        "Labels": [f"p{i}" for i in range(12)], "Info": "objective 63x",
    }  # fmt: skip
    tifffile.imwrite(tmp_path / "a.tif", data, imagej=True, resolution=(4.0, 4.0), metadata=metadata)
    image, target = through(tmp_path / "a.tif")
    assert image.axes == "TZCYX"
    assert {k: round(v, 4) for k, v in image.scale.items()} == {"T": 2.5, "Z": 0.7, "Y": 0.25, "X": 0.25}
    with tifffile.TiffFile(target) as tif:
        found = tif.imagej_metadata
        assert found is not None
        assert tif.series[0].axes == "TZCYX"
        assert tif.pages.first.tags["XResolution"].value == (4, 1) or np.isclose(
            np.divide(*tif.pages.first.tags["XResolution"].value), 4
        )
    assert (found["spacing"], found["finterval"]) == (0.7, 2.5)
    assert tuple(found["Ranges"]) == metadata["Ranges"]
    assert list(found["Labels"]) == metadata["Labels"]
    assert "objective 63x" in found["Info"]
    for lut, expected in zip(found["LUTs"], metadata["LUTs"], strict=True):
        np.testing.assert_array_equal(lut, expected)
    np.testing.assert_array_equal(tifffile.imread(target), data[..., ::-1])


def test_ome(tmp_path: Path) -> None:
    data = values((2, 3, 20, 30))
    metadata = {
        "axes": "CZYX", "PhysicalSizeX": 0.11, "PhysicalSizeXUnit": "µm", "PhysicalSizeY": 0.11,
        "PhysicalSizeYUnit": "µm", "PhysicalSizeZ": 0.4, "PhysicalSizeZUnit": "µm",
        "Channel": {"Name": ["DAPI", "GFP"]},
    }  # fmt: skip
    tifffile.imwrite(tmp_path / "a.ome.tif", data, metadata=metadata)
    image, target = through(tmp_path / "a.ome.tif", tmp_path / "b.ome.tif")
    assert (image.axes, image.unit) == ("CZYX", "µm")
    assert image.scale == {"X": 0.11, "Y": 0.11, "Z": 0.4}
    assert image.meta["channels"] == ["DAPI", "GFP"]
    with tifffile.TiffFile(target) as tif:
        assert tif.series[0].axes == "CZYX"
        pixels = next(e for e in ElementTree.fromstring(tif.ome_metadata or "").iter() if e.tag.endswith("Pixels"))
    assert float(pixels.attrib["PhysicalSizeX"]) == 0.11
    assert float(pixels.attrib["PhysicalSizeZ"]) == 0.4
    assert [e.attrib["Name"] for e in pixels if e.tag.endswith("Channel")] == ["DAPI", "GFP"]
    np.testing.assert_array_equal(tifffile.imread(target), data[..., ::-1])


@pytest.mark.parametrize("name", ["plain.tif", "imagej.tif", "a.ome.tif"])
def test_what_hush_did_is_in_the_file_and_the_description_stays(tmp_path: Path, name: str) -> None:
    how: dict[str, Any] = {"imagej": True} if name == "imagej.tif" else {}
    data = values((3, 20, 30))
    if name == "plain.tif":
        tifffile.imwrite(tmp_path / name, data, photometric="minisblack", description="sample 7", metadata=None)
    else:
        tifffile.imwrite(tmp_path / name, data, metadata={"axes": "ZYX"}, **how)
    note = {"version": "0.1.0", "method": "n2v"}
    image = io.read(tmp_path / name).with_meta(hush=note)
    out = tmp_path / ("out_" + name)
    io.write(out, image)
    again = io.read(out)
    assert again.meta["hush"] == note
    assert again.axes == image.axes == "ZYX"
    assert again.meta["description"] == image.meta["description"]
    if name == "plain.tif":
        assert again.meta["description"] == "sample 7"


def test_unknown_pages_are_z_and_the_guess_is_told(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as tif:
        for page in values((4, 20, 30)):
            tif.write(page, contiguous=False, metadata=None)
    image = io.read(tmp_path / "a.tif")
    assert image.axes == "ZYX"
    assert "guessed" in image.meta["guessed"]
    assert io.read(tmp_path / "a.tif", axes="TYX").axes == "TYX"
    with pytest.raises(HushError, match="TZYX"):
        io.read(tmp_path / "a.tif", axes="TZYX")


def test_colour_and_opacity(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "rgb.tif", values((20, 30, 3), "u1"), photometric="rgb")
    image, target = through(tmp_path / "rgb.tif")
    assert (image.axes, image.alpha) == ("YXS", False)
    with tifffile.TiffFile(target) as tif:
        assert tif.pages.first.photometric == tifffile.PHOTOMETRIC.RGB
    tifffile.imwrite(tmp_path / "rgba.tif", values((20, 30, 4), "u1"), photometric="rgb", extrasamples=["unassalpha"])
    assert io.read(tmp_path / "rgba.tif").alpha


def test_a_palette_becomes_colour(tmp_path: Path) -> None:
    colours = np.random.default_rng(1).integers(0, 256, (3, 256)).astype(np.uint16) * 257
    index = values((20, 30), "u1")
    tifffile.imwrite(tmp_path / "a.tif", index, photometric="palette", colormap=colours)
    image = io.read(tmp_path / "a.tif")
    assert image.axes == "YXS"
    np.testing.assert_array_equal(image.data, (colours // 257).astype(np.uint8).T[index])
    assert image.meta["warnings"]


def test_large_files_are_mapped_and_written_in_pieces(tmp_path: Path) -> None:
    data = values((6000, 6000))
    tifffile.imwrite(tmp_path / "a.tif", data)
    image = io.read(tmp_path / "a.tif")
    assert isinstance(image.data, np.memmap)
    with io.create(tmp_path / "b.tif", image) as out:
        assert out is not None
        out[:3000] = image.data[:3000]
        assert not (tmp_path / "b.tif").exists()
        out[3000:] = image.data[3000:]
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "b.tif"), data)


def test_writing_in_pieces_that_fails_leaves_nothing(tmp_path: Path) -> None:
    image = Image(values((30, 40)), "YX")
    (tmp_path / "b.tif").write_bytes(b"old")
    with pytest.raises(RuntimeError), io.create(tmp_path / "b.tif", image, overwrite=True):
        raise RuntimeError
    assert (tmp_path / "b.tif").read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["b.tif"]


@pytest.mark.parametrize("share", [0.01, 0.3, 0.7, 0.97])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_truncated_is_an_error(tmp_path: Path, share: float, compression: str | None) -> None:
    tifffile.imwrite(tmp_path / "a.tif", values((3, 64, 64)), photometric="minisblack", compression=compression)
    whole = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "a.tif").write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(HushError, match=r"a\.tif"):
        io.read(tmp_path / "a.tif")


def test_killed_while_writing_leaves_the_old_file_or_the_new_one(tmp_path: Path) -> None:
    old, target = values((700, 700)), tmp_path / "a.tif"
    code = (
        "import sys, numpy as np; from hush import io; from hush.image import Image\n"
        "image = Image(np.full((700, 700), 7, np.uint16), 'YX')\nprint('ready', flush=True)\n"
        "while True: io.write(sys.argv[1], image, overwrite=True)"
    )
    for delay in (0.0, 0.01, 0.03, 0.08):
        tifffile.imwrite(target, old)
        process = subprocess.Popen([sys.executable, "-c", code, str(target)], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        found = tifffile.imread(target)
        assert (found == old).all() or (found == 7).all()


def test_real_micrographs_come_back(data: Path, tmp_path: Path) -> None:
    for source in [*sorted((data / "FMD" / "raw").glob("*.tif")), *sorted((data / "W2S" / "avg1").glob("*.tif"))[:3]]:
        image = io.read(source)
        assert image.axes == "YX"
        io.write(tmp_path / source.name, image)
        np.testing.assert_array_equal(tifffile.imread(tmp_path / source.name), tifffile.imread(source))
