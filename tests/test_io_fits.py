"""FITS: what astropy reads from what hush wrote; headers, other parts and compression that stay."""

from __future__ import annotations

import gzip
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hush import io
from hush.core.errors import FormatError, HushError
from hush.core.image import Image
from hush.io import fits as format_

fits = pytest.importorskip("astropy.io.fits")
SHARED = Path(__file__).parents[2] / "shared" / "data"
RNG = np.random.default_rng(0)
REAL = {
    "Formats/fits/WFPC2u5780205r_c0fx.fits": 0,
    "Formats/fits/made_float32_nan_inf.fits": 0,
    "Formats/fits/simple.fits": 0,
    "formats_photo/arange.fits": 0,
    "formats_photo/compressed_with_nan.fits": 1,
    "formats_photo/m13.fits": 0,
    "formats_photo/m13_gzip.fits": 1,
    "formats_photo/m13_rice.fits": 1,
    "formats_photo/multi.fits": 1,
    "formats_photo/o4sp040b0_raw.fits": 1,
    "formats_photo/scale.fits": 0,
    "formats_photo/test0.fits": 1,
}


def plane(kind: str = "int16", shape: tuple[int, ...] = (30, 20)) -> np.ndarray:
    return np.clip(RNG.normal(60, 20, shape), 1, 120).astype(kind)


def opened(path: Path, **how: Any) -> Any:
    warnings.simplefilter("ignore")
    return fits.open(path, memmap=False, **how)


def cards(header: Any) -> list[str]:
    """Every card but the checksum, which says when it was made."""
    return [str(card) for card in header.cards if card.keyword not in ("CHECKSUM", "DATASUM")]


@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize("pieces", [False, True])
def test_real_files_come_back(tmp_path: Path, name: str, pieces: bool) -> None:
    source, target, number = SHARED / name, tmp_path / "b.fits", REAL[name]
    if not source.exists():
        pytest.skip("the shared data are not here")
    image = io.read(source)
    if pieces:
        with io.create(target, image) as array:
            if array is None:
                pytest.skip("compressed files are written whole")
            array[...] = image.data
    else:
        io.write(target, image)
    how = {"disable_image_compression": True, "do_not_scale_image_data": True}
    with warnings.catch_warnings(), opened(source, **how) as old, opened(target, **how) as new:
        assert len(old) == len(new)
        for place, (before, after) in enumerate(zip(old, new, strict=True)):
            if place != number or not before.header.get("ZIMAGE"):
                assert cards(after.header) == cards(before.header)
                assert np.asarray(after.data).tobytes() == np.asarray(before.data).tobytes()
            else:
                for key in ("ZCMPTYPE", "ZTILE1", "ZTILE2", "ZBITPIX"):
                    assert after.header[key] == before.header[key]
    with warnings.catch_warnings(), opened(source) as old, opened(target) as new:
        rounded = 0.07 if name.endswith("with_nan.fits") else 0  # an eighth of the step of its compression
        np.testing.assert_allclose(new[number].data, old[number].data, rtol=0, atol=rounded)
    assert io.read(target).data.dtype == image.data.dtype


@pytest.mark.parametrize(
    "kind", ["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float32", "float64"]
)
@pytest.mark.parametrize("suffix", [".fits", ".fts", ".fits.gz"])
def test_every_kind_of_numbers(tmp_path: Path, kind: str, suffix: str) -> None:
    info = np.iinfo(kind) if kind[0] in "ui" else None
    data = RNG.integers(info.min, info.max, (9, 8), kind, True) if info else plane(kind)
    io.write(tmp_path / f"a{suffix}", Image(data, "YX"))
    again = io.read(tmp_path / f"a{suffix}").data
    assert again.dtype == data.dtype
    np.testing.assert_array_equal(again, data)
    with opened(tmp_path / f"a{suffix}") as file:
        np.testing.assert_array_equal(file[0].data, data)
        assert file.verify("exception") is None


def compressed(path: Path, data: np.ndarray, **how: Any) -> Path:
    header = fits.Header()
    header["CRVAL1"], header["CTYPE1"], header["OBJECT"] = 83.6, "RA---TAN", "Crab"
    part = fits.CompImageHDU(data, header, name="SCI", **how)
    fits.HDUList([fits.PrimaryHDU(), part, fits.ImageHDU(plane(), name="DQ")]).writeto(path)
    return path


@pytest.mark.parametrize("how", [
    {"compression_type": "RICE_1", "tile_shape": (5, 20)}, {"compression_type": "HCOMPRESS_1", "tile_shape": (15, 20)},
    {"compression_type": "GZIP_1"}, {"compression_type": "GZIP_2"},
], ids=lambda how: how["compression_type"])  # fmt: skip
@pytest.mark.parametrize("kind", ["int16", "uint16", "int32"])
def test_tiles_and_their_compression_stay(tmp_path: Path, how: dict[str, Any], kind: str) -> None:
    source, data = tmp_path / "a.fits", plane(kind)
    compressed(source, data, **how)
    image = io.read(source)
    np.testing.assert_array_equal(image.data, data)
    assert image.data.dtype == data.dtype
    io.write(tmp_path / "b.fits", Image(image.data + 1, "YX", meta={**image.meta, "hush": {"method": "n2v"}}))
    with opened(tmp_path / "b.fits") as file:
        assert [part.name for part in file] == ["PRIMARY", "SCI", "DQ"]
        assert file[1].compression_type == how["compression_type"]
        np.testing.assert_array_equal(file[1].data, data + 1)
        assert (file[1].header["CTYPE1"], file[1].header["OBJECT"]) == ("RA---TAN", "Crab")
    again = io.read(tmp_path / "b.fits")
    assert again.meta["hush"] == {"method": "n2v"}
    assert again.meta["description"] == "Crab"


def test_compressed_floats(tmp_path: Path) -> None:
    data = plane("float32", (64, 64))
    for level in (0.0, 16.0):
        kind = "GZIP_2" if level == 0 else "RICE_1"
        source = compressed(tmp_path / f"a{level}.fits", data, compression_type=kind, quantize_level=level)
        image = io.read(source)
        io.write(tmp_path / f"b{level}.fits", image)
        again = io.read(tmp_path / f"b{level}.fits").data
        np.testing.assert_allclose(again, image.data, atol=0 if level == 0 else 20 / level)


def test_an_extension_is_chosen(tmp_path: Path) -> None:
    data = [plane() for _ in range(3)]
    parts = [fits.ImageHDU(one, name="SCI", ver=place + 1) for place, one in enumerate(data)]
    table = fits.BinTableHDU.from_columns([fits.Column("a", "J", array=np.arange(9))])
    fits.HDUList([fits.PrimaryHDU(), parts[0], table, *parts[1:]]).writeto(tmp_path / "a.fits")
    path = str(tmp_path / "a.fits")
    for choice, place in (("1", 0), ("SCI", 0), ("sci,2", 1), ("4", 2)):
        np.testing.assert_array_equal(io.read(f"{path}:{choice}").data, data[place])
    for choice in ("0", "2", "ERR", "9"):
        with pytest.raises(FormatError, match="SCI"):
            io.read(f"{path}:{choice}")
    image = io.read(f"{path}:SCI,2")
    io.write(tmp_path / "b.fits", Image(image.data * 0, "YX", meta=image.meta))
    with opened(tmp_path / "b.fits") as file:
        assert [int(part.data.max()) > 0 for part in file[1:] if part.is_image] == [True, False, True]
        assert file[2].data["a"].tolist() == list(range(9))


def test_a_measure_stays_in_the_header(tmp_path: Path) -> None:
    part = fits.PrimaryHDU(plane())
    part.header["BSCALE"], part.header["BZERO"], part.header["BLANK"] = 0.25, 100.0, -32768
    part.writeto(tmp_path / "a.fits")
    image = io.read(tmp_path / "a.fits")
    assert image.data.dtype == np.int16
    assert image.meta["padding"] == -32768
    for kind in ("int16", "float32"):
        io.write(tmp_path / f"{kind}.fits", Image(image.data.astype(kind), "YX", meta=image.meta))
        with opened(tmp_path / f"{kind}.fits") as file, opened(tmp_path / "a.fits") as old:
            np.testing.assert_allclose(file[0].data, old[0].data)


def test_blank_is_a_number_of_the_image_and_nan_among_floats(tmp_path: Path) -> None:
    data = plane("uint16")
    data[3, 4] = 65535
    part = fits.PrimaryHDU(data)
    part.header["BLANK"] = 32767
    part.writeto(tmp_path / "a.fits")
    image = io.read(tmp_path / "a.fits")
    assert image.meta["padding"] == 65535
    floats = Image(image.data.astype(np.float32), "YX", meta=image.meta)
    with io.create(tmp_path / "b.fits", floats) as array:
        assert array is not None
        array[...] = floats.data
    again = io.read(tmp_path / "b.fits").data
    assert np.isnan(again[3, 4])
    assert np.isnan(again).sum() == 1


def test_checksums_are_made_again(tmp_path: Path) -> None:
    fits.PrimaryHDU(plane()).writeto(tmp_path / "a.fits", checksum=True)
    image = io.read(tmp_path / "a.fits")
    io.write(tmp_path / "b.fits", Image(image.data + 1, "YX", meta=image.meta))
    with fits.open(tmp_path / "b.fits", checksum=True) as file:  # a wrong one is a warning, and here an error
        assert "CHECKSUM" in file[0].header
        assert int(file[0].data.sum()) == int(image.data.sum()) + image.data.size


def test_large_files_are_mapped_and_written_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = plane("float32", (3, 30, 20))
    fits.HDUList([fits.PrimaryHDU(data), fits.ImageHDU(plane())]).writeto(tmp_path / "a.fits")
    monkeypatch.setattr(format_, "MAP_FROM", 1)
    image = io.read(tmp_path / "a.fits", "TYX")
    assert isinstance(image.data, np.memmap)
    with io.create(tmp_path / "b.fits", image.with_meta(hush={"method": "x" * 300, "a": "b c"})) as array:
        assert isinstance(array, np.memmap)
        array[...] = data * 2
    with opened(tmp_path / "b.fits") as file:
        np.testing.assert_array_equal(file[0].data, data * 2)
        assert file[1].data.shape == (30, 20)
    assert io.read(tmp_path / "b.fits").meta["hush"] == {"method": "x" * 300, "a": "b c"}


def test_the_note_is_replaced_and_history_stays(tmp_path: Path) -> None:
    part = fits.PrimaryHDU(plane())
    for line in ("flat field of March", "dark frame taken off"):
        part.header.add_history(line)
    part.writeto(tmp_path / "a.fits")
    image = io.read(tmp_path / "a.fits")
    for turn in range(3):
        image = io.read(tmp_path / "a.fits") if turn == 0 else io.read(tmp_path / f"{turn - 1}.fits")
        io.write(tmp_path / f"{turn}.fits", image.with_meta(hush={"turn": turn, "words": "y " * 60}))
    with opened(tmp_path / "2.fits") as file:
        lines = [str(line) for line in file[0].header["HISTORY"]]
    assert lines[:2] == ["flat field of March", "dark frame taken off"]
    assert sum("hush {" in line for line in lines) == 1
    assert io.read(tmp_path / "2.fits").meta["hush"]["turn"] == 2


def test_axes_by_ctype(tmp_path: Path) -> None:
    part = fits.PrimaryHDU(plane(shape=(1, 4, 9, 8)))
    part.header["CTYPE3"], part.header["CTYPE4"] = "FREQ", "STOKES"
    part.writeto(tmp_path / "a.fits")
    assert io.read(tmp_path / "a.fits").axes == "CZYX"
    assert "guessed" not in io.read(tmp_path / "a.fits").meta


def test_a_crop_is_written_alone(tmp_path: Path) -> None:
    source = compressed(tmp_path / "a.fits", plane(), compression_type="RICE_1")
    image = io.read(source)
    io.write(tmp_path / "b.fits", image.crop(slice(0, 7), slice(3, 20)))
    np.testing.assert_array_equal(io.read(tmp_path / "b.fits").data, image.data[:7, 3:20])
    with opened(tmp_path / "b.fits") as file:
        assert len(file) == 2


@pytest.mark.parametrize("name", ["blank.fits", "table.fits", "compressed_float_bzero.fits"])
def test_files_without_an_image_are_refused(name: str) -> None:
    if not (SHARED / "formats_photo" / name).exists():
        pytest.skip("the shared data are not here")
    with pytest.raises(FormatError):
        io.read(SHARED / "formats_photo" / name)


@pytest.mark.parametrize("kind", ["float16", "bool"])
def test_what_it_cannot_hold_is_refused(tmp_path: Path, kind: str) -> None:
    with pytest.raises(FormatError, match=kind):
        io.write(tmp_path / "a.fits", Image(plane(kind), "YX"))


@pytest.mark.parametrize("how", ["plain", "gz", "tiles"])
def test_cut_and_strange_files_are_refused(tmp_path: Path, how: str) -> None:
    path = tmp_path / ("a.fits.gz" if how == "gz" else "a.fits")
    if how == "tiles":
        fits.CompImageHDU(plane(shape=(90, 80))).writeto(path)
    else:
        io.write(path, Image(plane(shape=(90, 80)), "YX"))
    raw = path.read_bytes()
    for tenth in range(1, 10):
        path.write_bytes(raw[: len(raw) * tenth // 10])
        with pytest.raises(HushError, match=r"a\.fits"):
            io.read(path)
    for content in (b"x" * 3000, b"\0" * 3000):
        path.write_bytes(gzip.compress(content) if how == "gz" else content)
        with pytest.raises(HushError, match=r"a\.fits"):
            io.read(path)
    if how == "plain":
        path.write_bytes(raw.replace(b"NAXIS1  =                   80", b"NAXIS1  =          80000000000"))
        with pytest.raises(FormatError):
            io.read(path)


@pytest.mark.parametrize("kind", ["int16", "uint16", "float32"])
def test_it_is_known_before_the_work_whether_it_can_be_written(tmp_path: Path, kind: str) -> None:
    source = compressed(tmp_path / "a.fits", plane(kind, (64, 64)), tile_shape=(32, 32))
    io.check_output(tmp_path / "b.fits", like=io.read(source))
    io.check_output(tmp_path / "b.fits", like=Image(plane(kind), "YX"))
