"""DICOM: every compression, the series of a folder, and what the header of a derived image must say."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hush import io
from hush.core.errors import FormatError, HushError
from hush.core.image import Image
from hush.io import _dicom_decode as decode
from hush.io import _dicom_read as single
from hush.io import _dicom_write as writing

pydicom = pytest.importorskip("pydicom", reason="pydicom makes the files")

NOTE = {"version": "0.1.0", "method": "n2v"}
NAME = "Sawicka^Agnieszka"  # whom no message may name
STUDY = "1.2.826.0.1.3680043.8.498.1"
CT, MR, PET, ENHANCED_MR = (f"1.2.840.10008.5.1.4.1.1.{end}" for end in ("2", "4", "128", "4.1"))
IMPLICIT, EXPLICIT, DEFLATED, BIG = single.IMPLICIT, single.EXPLICIT, single.DEFLATED_EXPLICIT, single.BIG_ENDIAN


def values(shape: tuple[int, ...], dtype: str = "i2", low: int = -500, high: int = 1500) -> np.ndarray:
    smooth = np.add.outer(np.arange(shape[-2]) * 7, np.arange(shape[-1]) * 3)
    drawn = np.random.default_rng(0).integers(0, 100, shape) + smooth
    return np.asarray(np.clip(drawn + low, low, high), dtype)


def dataset(data: np.ndarray, *, kind: str = MR, series: str = "1", number: int = 1, **elements: Any) -> Any:
    """An image of a patient: stored values (frames,) rows, columns(, 3)."""
    made = pydicom.Dataset()
    made.file_meta = pydicom.dataset.FileMetaDataset()
    made.SOPClassUID, made.SOPInstanceUID = kind, f"{STUDY}.{series}.{number}"
    made.StudyInstanceUID, made.SeriesInstanceUID = STUDY, f"{STUDY}.{series}"
    made.PatientName, made.PatientID, made.InstanceNumber = NAME, "Sawicka-1", number
    made.Modality = {CT: "CT", PET: "PT"}.get(kind, "MR")
    made.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    made.PixelSpacing = [0.5, 0.25]
    colours = data.ndim > 2 and data.shape[-1] == 3
    made.SamplesPerPixel, made.PhotometricInterpretation = (3, "RGB") if colours else (1, "MONOCHROME2")
    if colours:
        made.PlanarConfiguration = 0
    plane = data.shape[-2 - colours :]
    made.Rows, made.Columns = plane[:2]
    if data.ndim > len(plane):
        made.NumberOfFrames = data.shape[0]
    made.BitsAllocated = made.BitsStored = 8 * data.dtype.itemsize
    made.HighBit, made.PixelRepresentation = made.BitsStored - 1, int(data.dtype.kind == "i")
    block = made.private_block(0x0011, "A SCANNER", create=True)
    block.add_new(0x01, "OB", b"\x01\x02\x03\x04")
    for name, value in elements.items():
        setattr(made, name, value)
    return made


def saved(path: Path, made: Any, data: np.ndarray, syntax: str = EXPLICIT) -> Path:
    """Write it uncompressed."""
    made.PixelData = data.astype(data.dtype.newbyteorder(">" if syntax == BIG else "<")).tobytes()
    made["PixelData"].VR = "OW" if data.dtype.itemsize > 1 else "OB"
    made.file_meta.TransferSyntaxUID = pydicom.uid.UID(syntax)
    pydicom.dcmwrite(path, made, implicit_vr=syntax == IMPLICIT, little_endian=syntax != BIG, enforce_file_format=True)
    return path


def packed(path: Path, made: Any, frames: Sequence[Any], syntax: str) -> Path:
    """Write frames that are compressed already."""
    made.PixelData = pydicom.encaps.encapsulate(list(frames))
    made["PixelData"].VR = "OB"
    made.file_meta.TransferSyntaxUID = pydicom.uid.UID(syntax)
    pydicom.dcmwrite(path, made, implicit_vr=False, little_endian=True, enforce_file_format=True)
    return path


def one(path: Path, data: np.ndarray, **elements: Any) -> Path:
    return saved(path, dataset(data, **elements), data)


def folder(path: Path, count: int = 4, repeats: int = 1, **elements: Any) -> tuple[Path, np.ndarray]:
    """A series whose names are in another order than its places; shape (repeats, count, rows, columns)."""
    path.mkdir(exist_ok=True)
    data = np.stack([values((8, 9)) + np.int16(10 * n) for n in range(count * repeats)])
    for number in range(count * repeats):
        turn, place = divmod(number, count)
        header = {
            "ImagePositionPatient": [1.0, 2.0, -30.0 + 2.5 * place], "ImageOrientationPatient": [1.0, 0, 0, 0, 1.0, 0],
            "TemporalPositionIdentifier": turn + 1,
        }  # fmt: skip
        name = f"im{(number * 7) % (count * repeats):02}.dcm"
        one(path / name, data[number], number=number + 1, **header | elements)
    return path, data.reshape(repeats, count, 8, 9)


def read_quietly(path: Path) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pydicom.dcmread(path)


def again(path: Path, out: Path, note: dict[str, str] | None = NOTE) -> tuple[Image, Any, Any]:
    """Read, write the same pixels, and return the image read again and both headers."""
    image = io.read(path)
    io.write(out, image.with_meta(hush=note))
    return io.read(out), read_quietly(path), read_quietly(out)


# -- pixels ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, DEFLATED, BIG])
@pytest.mark.parametrize("dtype", ["u1", "u2", "i2", "u4", "i4"])
def test_uncompressed(tmp_path: Path, syntax: str, dtype: str) -> None:
    data = values((8, 9), dtype, 0, 120)
    path = saved(tmp_path / "a.dcm", dataset(data), data, syntax)
    result, _, new = again(path, tmp_path / "b.dcm")
    assert (result.axes, result.data.dtype, result.scale, result.unit) == (
        "YX", np.dtype(dtype), {"Y": 0.5, "X": 0.25}, "mm",
    )  # fmt: skip
    np.testing.assert_array_equal(result.data, data)
    np.testing.assert_array_equal(new.pixel_array, data)
    assert new.file_meta.TransferSyntaxUID == (DEFLATED if syntax == DEFLATED else EXPLICIT)
    assert result.meta["medical"] is True


def encoders() -> dict[str, tuple[str, Callable[[np.ndarray], Any]]]:
    import imagecodecs as codecs

    return {
        "JPEG lossless": (decode.JPEG_LOSSLESS[1], lambda a: codecs.ljpeg_encode(a.view("u2"))),
        "JPEG-LS": (decode.JPEG_LS[0], lambda a: codecs.jpegls_encode(a.view("u2"))),
        "JPEG 2000": (decode.JPEG_2000[0], lambda a: codecs.jpeg2k_encode(a, level=0, codecformat="J2K")),
        "HTJ2K": (decode.HTJ2K[0], lambda a: codecs.htj2k_encode(a)),
        "RLE": (decode.RLE, writing.run_lengths),
    }


@pytest.mark.parametrize("name", ["JPEG lossless", "JPEG-LS", "JPEG 2000", "HTJ2K", "RLE"])
@pytest.mark.parametrize("frames", [1, 3])
def test_lossless_compression(tmp_path: Path, name: str, frames: int) -> None:
    syntax, encode = encoders()[name]
    data = values((frames, 40, 64))
    path = packed(tmp_path / "a.dcm", dataset(data), [encode(frame) for frame in data], syntax)
    result, _, new = again(path, tmp_path / "b.dcm")
    np.testing.assert_array_equal(result.data, data[0] if frames == 1 else data)
    assert new.file_meta.TransferSyntaxUID == decode.RLE
    np.testing.assert_array_equal(new.pixel_array, result.data)  # pydicom's own decoder
    assert "LossyImageCompression" not in new


@pytest.mark.parametrize("dtype", ["u1", "i2", "u4"])
@pytest.mark.parametrize("shape", [(5, 7), (6, 300), (5, 7, 3), (1, 1)])
def test_run_lengths_are_those_of_pydicom(dtype: str, shape: tuple[int, ...]) -> None:
    from pydicom.pixels.decoders.rle import _rle_decode_frame

    for frame in (values(shape[::-1], dtype, 0, 120).T, np.zeros(shape, dtype)):
        frame = np.ascontiguousarray(frame).reshape(shape)
        samples, bits = (3 if len(shape) == 3 else 1), 8 * frame.dtype.itemsize
        raw = _rle_decode_frame(writing.run_lengths(frame), shape[0], shape[1], samples, bits)
        planes = np.moveaxis(frame, -1, 0) if len(shape) == 3 else frame
        assert bytes(raw) == planes.astype(planes.dtype.newbyteorder("<")).tobytes()


@pytest.mark.parametrize("samples", [1, 3])
def test_jpeg_is_decoded_as_others_decode_it(tmp_path: Path, samples: int) -> None:
    import imagecodecs

    grey = values((40, 64), "u1", 0, 250)
    data = grey if samples == 1 else np.stack([grey, grey[::-1], 255 - grey], -1)
    raw = imagecodecs.jpeg8_encode(np.ascontiguousarray(data), level=95)
    kind = "MONOCHROME2" if samples == 1 else "YBR_FULL_422"
    path = packed(tmp_path / "a.dcm", dataset(data, PhotometricInterpretation=kind), [raw], decode.BASELINE)
    result, _, new = again(path, tmp_path / "b.dcm")
    peer = imagecodecs.jpeg8_decode(raw)
    assert np.abs(result.data.astype(int) - peer).max() <= 2
    np.testing.assert_array_equal(new.pixel_array, result.data)
    assert new.PhotometricInterpretation == ("MONOCHROME2" if samples == 1 else "RGB")
    assert new.LossyImageCompression == "01"


def test_colours(tmp_path: Path) -> None:
    data = np.random.default_rng(0).integers(0, 256, (8, 9, 3), np.uint8)
    result, _, new = again(one(tmp_path / "a.dcm", data), tmp_path / "b.dcm")
    assert result.axes == "YXS"
    np.testing.assert_array_equal(result.data, data)
    np.testing.assert_array_equal(new.pixel_array, data)
    planes = dataset(data, PlanarConfiguration=1)
    path = saved(tmp_path / "c.dcm", planes, np.ascontiguousarray(data.transpose(2, 0, 1)))
    result, _, new = again(path, tmp_path / "d.dcm")
    np.testing.assert_array_equal(result.data, data)
    assert new.PlanarConfiguration == 0


def test_a_palette_becomes_colours(tmp_path: Path) -> None:
    data = np.arange(12, dtype=np.uint8).reshape(3, 4)
    made = dataset(data, PhotometricInterpretation="PALETTE COLOR")
    for place, name in enumerate(("Red", "Green", "Blue")):
        setattr(made, f"{name}PaletteColorLookupTableDescriptor", [12, 0, 16])
        table = (np.arange(12, dtype="<u2") * (place + 1)) << 8
        setattr(made, f"{name}PaletteColorLookupTableData", table.tobytes())
    result, _, new = again(saved(tmp_path / "a.dcm", made, data), tmp_path / "b.dcm")
    np.testing.assert_array_equal(result.data, np.stack([data, 2 * data, 3 * data], -1))
    assert (new.PhotometricInterpretation, new.SamplesPerPixel) == ("RGB", 3)
    assert "RedPaletteColorLookupTableData" not in new
    assert len(io.read(tmp_path / "a.dcm").meta["warnings"]) == 1


@pytest.mark.parametrize(("name", "kind"), [("FloatPixelData", "f4"), ("DoubleFloatPixelData", "f8")])
def test_floats(tmp_path: Path, name: str, kind: str) -> None:
    data = np.random.default_rng(0).normal(size=(8, 9)).astype(kind)
    made = dataset(data)
    del made.BitsStored, made.HighBit, made.PixelRepresentation
    setattr(made, name, data.tobytes())
    made.file_meta.TransferSyntaxUID = pydicom.uid.UID(EXPLICIT)
    pydicom.dcmwrite(tmp_path / "a.dcm", made, enforce_file_format=True)
    result, _, new = again(tmp_path / "a.dcm", tmp_path / "b.dcm")
    assert result.data.dtype == np.dtype(kind)
    np.testing.assert_array_equal(result.data, data)
    assert new[name].value == data.tobytes()


def test_what_does_not_fit_is_cut_at_the_bits(tmp_path: Path) -> None:
    data = values((8, 9), "u2", 0, 4000)
    image = io.read(one(tmp_path / "a.dcm", data, BitsStored=12, HighBit=11))
    above = image.data.copy()
    above[0, 0], above[0, 1] = 5000, 60000
    io.write(tmp_path / "b.dcm", Image(above, "YX", meta=image.meta))
    new = read_quietly(tmp_path / "b.dcm")
    assert list(new.pixel_array[0, :2]) == [4095, 4095]
    assert new.BitsStored == 12


def test_another_kind_of_numbers_is_refused(tmp_path: Path) -> None:
    image = io.read(one(tmp_path / "a.dcm", values((8, 9))))
    with pytest.raises(FormatError, match="float32"):
        io.write(tmp_path / "b.dcm", Image(image.data.astype(np.float32), "YX", meta=image.meta))
    with pytest.raises(FormatError, match="only from"):
        io.write(tmp_path / "c.dcm", Image(values((8, 9)), "YX"))
    assert [path.name for path in tmp_path.iterdir()] == ["a.dcm"]


def test_large_files_are_mapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = values((3, 40, 50))
    monkeypatch.setattr(single, "MAP_FROM", 100)
    for syntax in (IMPLICIT, EXPLICIT):
        image = io.read(saved(tmp_path / f"{syntax}.dcm", dataset(data), data, syntax))
        base: Any = image.data
        while base is not None and not isinstance(base, np.memmap):
            base = base.base
        assert isinstance(base, np.memmap)
        np.testing.assert_array_equal(image.data, data)


# -- values --------------------------------------------------------------------------------------------------


def test_slope_and_intercept_of_all_stay_in_the_header(tmp_path: Path) -> None:
    data = values((8, 9))
    path = one(tmp_path / "a.dcm", data, kind=CT, RescaleSlope="2.5", RescaleIntercept="-1024", RescaleType="HU")
    result, _, new = again(path, tmp_path / "b.dcm")
    assert result.meta["rescale"] == {"slope": 2.5, "intercept": -1024.0, "unit": "HU"}
    np.testing.assert_array_equal(result.data, data)
    assert (new.RescaleSlope, new.RescaleIntercept) == (2.5, -1024)


def test_slopes_that_differ_from_frame_to_frame(tmp_path: Path) -> None:
    data = values((3, 8, 9), "u2", 0, 4000)
    groups = []
    for number in range(3):
        item = pydicom.Dataset()
        transformation = pydicom.Dataset()
        transformation.RescaleSlope, transformation.RescaleIntercept = str(0.5 * 4**number), str(-100 * number)
        item.PixelValueTransformationSequence = [transformation]
        groups.append(item)
    path = one(tmp_path / "a.dcm", data, kind=ENHANCED_MR, PerFrameFunctionalGroupsSequence=groups)
    image = io.read(path)
    assert image.data.dtype == np.float32
    physical = data * np.array([0.5, 2, 8]).reshape(3, 1, 1) - np.array([0, 100, 200]).reshape(3, 1, 1)
    np.testing.assert_allclose(image.data, physical)
    io.write(tmp_path / "b.dcm", Image(image.data + np.float32(16), image.axes, meta=image.meta))
    new = read_quietly(tmp_path / "b.dcm")
    np.testing.assert_array_equal(new.pixel_array, data + np.array([32, 8, 2]).reshape(3, 1, 1))
    assert new.PerFrameFunctionalGroupsSequence[2].PixelValueTransformationSequence[0].RescaleSlope == 8


@pytest.mark.parametrize(("stated", "kind"), [(-2000, "SS"), (63536, "US")])
def test_padding_stays(tmp_path: Path, stated: int, kind: str) -> None:
    data = values((8, 9))
    data[:2], data[5, 5] = -2000, -2000
    made = dataset(data, kind=CT)
    made.add_new(0x00280120, kind, stated)
    image = io.read(saved(tmp_path / "a.dcm", made, data))
    assert image.meta["padding"] == -2000
    io.write(tmp_path / "b.dcm", Image(image.data + np.int16(3), "YX", meta=image.meta))
    new = read_quietly(tmp_path / "b.dcm")
    np.testing.assert_array_equal(new.pixel_array, np.where(data == -2000, data, data + 3))
    assert new.PixelPaddingValue == stated


def test_padding_that_a_ct_does_not_state(tmp_path: Path) -> None:
    data = values((20, 30), low=0)  # -1024 Hounsfield units and above
    header = {"RescaleSlope": "1", "RescaleIntercept": "-1024"}
    assert "padding" not in io.read(one(tmp_path / "a.dcm", data, kind=CT, **header)).meta
    data[:3, :5] = -2000
    assert io.read(one(tmp_path / "b.dcm", data, kind=CT, **header)).meta["padding"] == -2000
    assert "padding" not in io.read(one(tmp_path / "c.dcm", data, kind=MR, **header)).meta
    data[0, 0] = -1997  # as lossy compression leaves it
    image = io.read(one(tmp_path / "d.dcm", data, kind=CT, **header))
    assert image.meta["padding"] == (-2000, -1997)
    io.write(tmp_path / "e.dcm", Image(np.zeros_like(image.data), "YX", meta=image.meta))
    np.testing.assert_array_equal(read_quietly(tmp_path / "e.dcm").pixel_array, np.where(data < -1900, data, 0))


# -- the header ---------------------------------------------------------------------------------------------


def test_a_result_is_another_image_of_the_same_patient(tmp_path: Path) -> None:
    path = one(tmp_path / "a.dcm", values((8, 9)), SmallestImagePixelValue=-9, DerivationDescription="masked")
    result, old, new = again(path, tmp_path / "b.dcm")
    assert result.meta["hush"] == NOTE
    assert new.SOPInstanceUID == new.file_meta.MediaStorageSOPInstanceUID != old.SOPInstanceUID
    assert new.SeriesInstanceUID != old.SeriesInstanceUID
    assert (new.StudyInstanceUID, new.PatientName, new.PatientID) == (old.StudyInstanceUID, NAME, "Sawicka-1")
    assert list(new.ImageType) == ["DERIVED", "SECONDARY", "AXIAL"]
    assert new.DerivationDescription.startswith("masked | ")
    assert new.SourceImageSequence[-1].ReferencedSOPInstanceUID == old.SOPInstanceUID
    assert new[0x0011, 0x1001].value == b"\x01\x02\x03\x04"
    assert new.SmallestImagePixelValue == values((8, 9)).min()
    for uid in (new.SOPInstanceUID, new.SeriesInstanceUID):
        assert uid.is_valid
    changed = {"SOPInstanceUID", "SeriesInstanceUID", "ImageType", "DerivationDescription", "SmallestImagePixelValue"}
    for element in old:
        if element.keyword not in changed:
            assert new[element.tag] == element, element.keyword


def test_the_same_result_has_the_same_bytes_and_another_has_others(tmp_path: Path) -> None:
    image = io.read(one(tmp_path / "a.dcm", values((8, 9)))).with_meta(hush=NOTE)
    other = Image(image.data + np.int16(1), "YX", meta=image.meta)
    for name, result in (("b", image), ("c", image), ("d", other)):
        io.write(tmp_path / f"{name}.dcm", result)
    assert (tmp_path / "b.dcm").read_bytes() == (tmp_path / "c.dcm").read_bytes()
    b, d = read_quietly(tmp_path / "b.dcm"), read_quietly(tmp_path / "d.dcm")
    assert b.SOPInstanceUID != d.SOPInstanceUID
    assert b.SeriesInstanceUID == d.SeriesInstanceUID


def test_a_second_time_replaces_the_first_note(tmp_path: Path) -> None:
    again(one(tmp_path / "a.dcm", values((8, 9))), tmp_path / "b.dcm")
    result, _, new = again(tmp_path / "b.dcm", tmp_path / "c.dcm", {"method": "bm3d"})
    assert result.meta["hush"] == {"method": "bm3d"}
    assert len(new.group_dataset(0x0099)) == 2
    _, _, bare = again(tmp_path / "c.dcm", tmp_path / "d.dcm", None)
    assert len(bare.group_dataset(0x0099)) == 0


@pytest.mark.parametrize(("kind", "second"), [(CT, "SECONDARY"), (PET, "PRIMARY"), (ENHANCED_MR, "PRIMARY")])
def test_image_type(tmp_path: Path, kind: str, second: str) -> None:
    frame, item = pydicom.Dataset(), pydicom.Dataset()
    frame.FrameType = ["ORIGINAL", "PRIMARY", "X", "NONE"]
    item.MRImageFrameTypeSequence = [frame]
    path = one(tmp_path / "a.dcm", values((8, 9)), kind=kind, SharedFunctionalGroupsSequence=[item])
    _, _, new = again(path, tmp_path / "b.dcm")
    assert list(new.ImageType) == ["DERIVED", second, "AXIAL"]
    made = new.SharedFunctionalGroupsSequence[0].MRImageFrameTypeSequence[0]
    assert list(made.FrameType) == ["DERIVED", second, "X", "NONE"]


def test_tables_of_a_big_endian_file_are_turned(tmp_path: Path) -> None:
    data = values((8, 9))
    made = dataset(data)
    inner = pydicom.Dataset()
    inner.add_new(0x00283006, "OW", np.array([1, 2, 300], ">u2").tobytes())
    made.add_new(0x00283010, "SQ", [inner])
    path = saved(tmp_path / "a.dcm", made, data, BIG)
    _, _, new = again(path, tmp_path / "b.dcm")
    assert np.frombuffer(new[0x00283010][0][0x00283006].value, "<u2").tolist() == [1, 2, 300]


# -- frames -------------------------------------------------------------------------------------------------


def enhanced(path: Path, places: list[float], **elements: Any) -> Image:
    """A file whose frames state their positions along Z."""
    groups = []
    for place in places:
        item, where, how = pydicom.Dataset(), pydicom.Dataset(), pydicom.Dataset()
        where.ImagePositionPatient = [0, 0, place]
        how.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        item.PlanePositionSequence, item.PlaneOrientationSequence = [where], [how]
        groups.append(item)
    data = values((len(places), 4, 5))
    return io.read(one(path, data, kind=ENHANCED_MR, PerFrameFunctionalGroupsSequence=groups, **elements))


@pytest.mark.parametrize(
    ("places", "axes", "shape", "warned"),
    [([0, 3, 6, 9], "ZYX", (4,), 0), ([5, 5, 5], "TYX", (3,), 0), ([0, 3, 6, 0, 3, 6], "TZYX", (2, 3), 0),
     ([0, 0, 3, 3, 6, 6], "ZTYX", (3, 2), 0), ([0, 3, 3, 0, 6, 6], "ZYX", (6,), 1), ([0, 6, 3], "ZYX", (3,), 1),
     ([0, 3, 9], "ZYX", (3,), 1)],
)  # fmt: skip
def test_frames_are_slices_or_repetitions(
    tmp_path: Path, places: list[float], axes: str, shape: tuple[int, ...], warned: int
) -> None:
    image = enhanced(tmp_path / "a.dcm", places)
    assert (image.axes, image.data.shape) == (axes, (*shape, 4, 5))
    np.testing.assert_array_equal(image.data.reshape(-1, 4, 5), values((len(places), 4, 5)))
    assert len(image.meta["warnings"]) == warned
    if not warned and "Z" in axes:
        assert image.scale["Z"] == 3
    io.write(tmp_path / "b.dcm", image)
    np.testing.assert_array_equal(read_quietly(tmp_path / "b.dcm").pixel_array, values((len(places), 4, 5)))


def test_a_film_has_time(tmp_path: Path) -> None:
    header = {"FrameTime": "40", "FrameIncrementPointer": 0x00181063}
    image = io.read(one(tmp_path / "a.dcm", values((5, 8, 9)), **header))
    assert (image.axes, image.scale["T"]) == ("TYX", 0.04)
    assert io.read(one(tmp_path / "b.dcm", values((5, 8, 9)))).axes == "ZYX"
    assert io.read(tmp_path / "b.dcm", axes="TYX").axes == "TYX"


# -- series -------------------------------------------------------------------------------------------------


def test_a_folder_is_a_volume(tmp_path: Path) -> None:
    path, data = folder(tmp_path / "in")
    assert io.is_folder(path)
    image = io.read(path)
    assert (image.axes, image.scale, image.unit) == ("ZYX", {"Z": 2.5, "Y": 0.5, "X": 0.25}, "mm")
    np.testing.assert_array_equal(image.data, data[0])
    assert image.meta["warnings"] == []
    out = tmp_path / "out.dcm"
    io.write(out, Image(image.data + np.int16(1), image.axes, image.scale, image.unit, {**image.meta, "hush": NOTE}))
    assert sorted(p.name for p in out.iterdir()) == sorted(p.name for p in path.iterdir())
    headers = [read_quietly(file) for file in out.iterdir()]
    assert len({header.SeriesInstanceUID for header in headers}) == 1
    assert len({header.SOPInstanceUID for header in headers}) == 4
    for header in headers:
        old = read_quietly(path / Path(header.filename).name)
        np.testing.assert_array_equal(header.pixel_array, old.pixel_array + 1)
        assert header.ImagePositionPatient == old.ImagePositionPatient
    result = io.read(out)
    assert (result.axes, result.scale, result.meta["hush"]) == (image.axes, image.scale, NOTE)


def test_what_was_taken_again_is_time(tmp_path: Path) -> None:
    path, data = folder(tmp_path / "in", 3, 2)
    image = io.read(path)
    assert image.axes == "TZYX"
    np.testing.assert_array_equal(image.data, data)
    io.write(tmp_path / "out.dcm", image)
    np.testing.assert_array_equal(io.read(tmp_path / "out.dcm").data, data)


def test_slices_run_along_an_oblique_normal(tmp_path: Path) -> None:
    tmp = tmp_path / "in"
    tmp.mkdir()
    across, down = np.array([0.8, 0.6, 0]), np.array([0, 0, -1.0])
    normal = np.cross(across, down)
    data = values((4, 8, 9))
    for number in range(4):
        where = [round(float(v), 6) for v in np.array([10, 20, 30]) + 1.5 * number * normal]
        one(tmp / f"{(number * 3) % 4}.dcm", data[number], number=9 - number, ImagePositionPatient=where,
            ImageOrientationPatient=[*across, *down])  # fmt: skip
    image = io.read(tmp)
    np.testing.assert_array_equal(image.data, data)
    assert image.scale["Z"] == pytest.approx(1.5, rel=1e-4)


@pytest.mark.parametrize("gone", [0, 2])
def test_missing_slices_are_said(tmp_path: Path, gone: int) -> None:
    path, _ = folder(tmp_path / "in", 6)
    for file in path.iterdir():
        if read_quietly(file).InstanceNumber == gone + 1:
            file.unlink()
    image = io.read(path)
    assert len(image.data) == 5
    assert len(image.meta["warnings"]) == (gone != 0)  # the first may end the volume
    assert image.scale["Z"] == 2.5


def test_unequal_spacing_is_said(tmp_path: Path) -> None:
    path, _ = folder(tmp_path / "in", 4)
    last = max(path.iterdir(), key=lambda file: int(read_quietly(file).InstanceNumber))
    header = read_quietly(last)
    header.ImagePositionPatient = [1, 2, -30 + 2.5 * 3.4]
    header.save_as(last)
    assert len(io.read(path).meta["warnings"]) == 1


def test_files_without_positions_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    data = values((4, 8, 9))
    for number in range(4):
        one(tmp_path / f"{3 - number}.dcm", data[number], number=number + 1)
    image = io.read(tmp_path)
    np.testing.assert_array_equal(image.data, data)
    assert len(image.meta["warnings"]) == 1


def test_slopes_that_differ_from_slice_to_slice(tmp_path: Path) -> None:
    """Positron emission: each slice has the slope that fills its sixteen bits."""
    data = values((3, 8, 9), low=0, high=30000)
    slopes = [0.5, 3.0, 0.25]
    for number in range(3):
        header: dict[str, Any] = {"RescaleSlope": str(slopes[number]), "RescaleIntercept": "0"}
        header |= {"ImagePositionPatient": [0, 0, 4 * number], "ImageOrientationPatient": [1, 0, 0, 0, 1, 0]}
        one(tmp_path / f"{number}.dcm", data[number], kind=PET, number=number, **header)
    image = io.read(tmp_path)
    assert image.data.dtype == np.float32
    np.testing.assert_allclose(image.data, data * np.array(slopes).reshape(3, 1, 1))
    io.write(tmp_path.parent / "out.dcm", Image(image.data * np.float32(2), "ZYX", meta=image.meta), overwrite=True)
    for number in range(3):
        new = read_quietly(tmp_path.parent / "out.dcm" / f"{number}.dcm")
        np.testing.assert_array_equal(new.pixel_array, 2 * data[number])
        assert slopes[number] == new.RescaleSlope


def test_several_series_are_chosen_from(tmp_path: Path) -> None:
    first, _ = folder(tmp_path / "in", 2, series="1")
    second, data = folder(tmp_path / "other", 3, series="2")
    for file in second.iterdir():
        file.rename(first / f"z{file.name}")
    with pytest.raises(FormatError, match=r"0: .*1: "):
        io.read(first)
    for choice in (1, "1", f"{STUDY}.2"):
        np.testing.assert_array_equal(io.read(first, choice=choice).data, data[0])
    with pytest.raises(FormatError, match="5"):
        io.read(first, choice=5)


def spoil(how: str, path: Path) -> None:
    """Make of a series what is none."""
    file = sorted(path.iterdir())[1]
    header = read_quietly(file)
    if how == "size":
        header.Rows, header.PixelData = 4, header.PixelData[: 4 * 9 * 2]
    elif how == "sign":
        header.PixelRepresentation = 0
    elif how == "direction":
        header.ImageOrientationPatient = [0, 1, 0, 0, 0, 1]
    elif how == "frames":
        header.NumberOfFrames, header.PixelData = 2, header.PixelData * 2
    elif how == "cut":
        file.write_bytes(file.read_bytes()[:-20])
        return
    elif how == "repetition":
        header.ImagePositionPatient = read_quietly(sorted(path.iterdir())[0]).ImagePositionPatient
    header.save_as(file)


@pytest.mark.parametrize("how", ["size", "sign", "direction", "frames", "cut", "repetition"])
def test_files_that_are_no_series(tmp_path: Path, how: str) -> None:
    path, _ = folder(tmp_path / "in")
    spoil(how, path)
    with pytest.raises(FormatError) as caught:
        io.read(path)
    assert "Sawicka" not in str(caught.value)


def test_what_is_no_image_is_left_out(tmp_path: Path) -> None:
    path, data = folder(tmp_path / "in")
    report = dataset(values((8, 9)), series="9")
    for name in ("Rows", "Columns"):
        delattr(report, name)
    report.file_meta.TransferSyntaxUID = pydicom.uid.UID(EXPLICIT)
    pydicom.dcmwrite(path / "report.dcm", report, enforce_file_format=True)
    (path / ".hidden").write_text("not an image")
    image = io.read(path)
    np.testing.assert_array_equal(image.data, data[0])
    assert len(image.meta["warnings"]) == 1
    (path / "notes.txt").write_text("not an image")
    assert not io.is_folder(path)


# -- what must not happen -----------------------------------------------------------------------------------


def broken(path: Path) -> list[Path]:
    """Files that cannot be read, each with the patient's name in it."""
    data = values((8, 9))
    raw = one(path / "whole.dcm", data).read_bytes()
    found = []
    for tenth in range(1, 10):
        found.append(path / f"cut{tenth}.dcm")
        found[-1].write_bytes(raw[: len(raw) * tenth // 10])
    claims: dict[str, dict[str, Any]] = {
        "large": {"Rows": 65535, "Columns": 65535}, "frames": {"NumberOfFrames": 10**8}, "bits": {"BitsAllocated": 12},
        "colour": {"PhotometricInterpretation": "CMYK", "SamplesPerPixel": 4}, "none": {"Rows": 0},
    }  # fmt: skip
    for name, elements in claims.items():
        found.append(one(path / f"{name}.dcm", data, **elements))
    syntaxes = {
        "jpeg": decode.BASELINE, "jls": decode.JPEG_LS[0], "j2k": decode.JPEG_2000[0], "rle": decode.RLE,
        "mpeg": "1.2.840.10008.1.2.4.102", "own": "1.2.3.4",
    }  # fmt: skip
    for name, syntax in syntaxes.items():
        found.append(packed(path / f"{name}.dcm", dataset(data), [b"not a frame of JPEG"], syntax))
    return found


def test_errors_name_no_patient(tmp_path: Path, run: Callable[..., tuple[int, str, str]], caplog: Any) -> None:
    for path in broken(tmp_path):
        with pytest.raises(HushError) as caught:
            io.read(path)
        assert str(caught.value).startswith(path.name)
        assert "Sawicka" not in str(caught.value)
    code, out, err = run("info", *broken(tmp_path))
    assert code == 1  # one of several, each time
    assert "Sawicka" not in out + err + caplog.text


def test_a_frame_of_another_size_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    import imagecodecs

    raw = imagecodecs.jpegls_encode(np.zeros((2000, 2000), np.uint8))
    path = packed(tmp_path / "a.dcm", dataset(values((8, 9), "u1", 0, 99)), [raw], decode.JPEG_LS[0])
    with pytest.raises(FormatError):
        io.read(path)


def test_nothing_that_is_kept_shows_the_patient(tmp_path: Path) -> None:
    path, _ = folder(tmp_path / "in")
    for image in (io.read(path), io.read(next(path.iterdir()))):
        assert "Sawicka" not in repr(image.meta)


def test_a_page_names_no_patient(tmp_path: Path, run: Callable[..., tuple[int, str, str]]) -> None:
    path = one(tmp_path / "a.dcm", values((64, 64)), kind=CT, RescaleSlope="1", RescaleIntercept="-1024")
    page = tmp_path / "page.html"
    code, out, err = run("denoise", path, "-o", tmp_path / "b.dcm", "--method", "gaussian", "--report", page, "--json")
    assert code == 0, err
    assert "Sawicka" not in out + err + page.read_text("utf-8")
    assert read_quietly(tmp_path / "b.dcm").pixel_array.dtype == np.int16


# -- real files ---------------------------------------------------------------------------------------------


def real() -> list[str]:
    root = Path(__file__).parents[2] / "shared" / "data"
    found = [*root.glob("DICOM/*.dcm"), *root.glob("Formats/dicom/*.dcm"), *root.glob("*_dicom/*.dcm")]
    return sorted(str(path.relative_to(root)) for path in found if path.name != "liver_1frame.dcm") or [
        "(none is here)"
    ]


LOSSLESS = ("implicit", "bigendian", "deflated", "j2k", "jls", "jpegll_sv1", "jpegll_57", "rle")


def test_one_slice_in_eight_transfer_syntaxes(data: Path) -> None:
    images = [io.read(data / "DICOM" / f"ct_{name}.dcm") for name in LOSSLESS]
    for image in images:
        np.testing.assert_array_equal(image.data, images[0].data)
        assert image.meta["padding"] == -2000
    small = [io.read(data / name) for name in ("DICOM/MR_small.dcm", "Formats/dicom/MR_small_RLE.dcm",
             "Formats/dicom/MR_small_bigendian.dcm", "Formats/dicom/MR_small_implicit.dcm")]  # fmt: skip
    for image in small:
        np.testing.assert_array_equal(image.data, small[0].data)


@pytest.mark.parametrize(("name", "farthest"), [("j2k_lossy", 10), ("jls_lossy", 1), ("jpeg12", 130), ("jpeg8", 130)])
def test_lossy_copies_are_near(data: Path, name: str, farthest: int) -> None:
    """In Hounsfield units, on tissue: the lossy ones have other slopes and cut bone."""
    exact, lossy = (io.read(data / "DICOM" / f"ct_{one}.dcm") for one in ("implicit", name))
    scale = lossy.meta["rescale"]
    tissue = (exact.data > 900) & (exact.data < 1200)
    there = lossy.data * scale["slope"] + scale["intercept"]
    assert np.abs(there - (exact.data - 1024.0))[tissue].max() <= farthest


@pytest.mark.parametrize("name", real())
def test_real_files(tmp_path: Path, data: Path, name: str) -> None:
    image = io.read(data / name)
    io.write(tmp_path / "a.dcm", image.with_meta(hush=NOTE))
    result = io.read(tmp_path / "a.dcm")
    assert (result.axes, result.scale, result.data.dtype) == (image.axes, image.scale, image.data.dtype)
    np.testing.assert_array_equal(result.data, image.data)
    assert result.meta["hush"] == NOTE
    new, old = read_quietly(tmp_path / "a.dcm"), read_quietly(data / name)
    first = image.data[0] if int(new.get("NumberOfFrames") or 1) > 1 else image.data
    np.testing.assert_array_equal(pydicom.pixels.pixel_array(new, index=0), first)
    private = [tag for tag in old.keys() if tag.is_private and tag.elem]  # noqa: SIM118 -- the values may be odd
    assert all(tag in new for tag in private)
    assert new.get("PatientName") == old.get("PatientName")


def test_a_real_series(tmp_path: Path, data: Path) -> None:
    image = io.read(data / "DICOM" / "series_ge_epi")
    assert (image.axes, image.data.shape, image.scale["Z"]) == ("TZYX", (2, 15, 64, 64), 5.0)
    shutil.copytree(data / "DICOM" / "series_ge_epi", tmp_path / "in")
    for turn, place in ((0, 0), (0, 14), (1, 3)):
        file = read_quietly(tmp_path / "in" / f"i{turn * 15 + place + 1:03}.dcm")
        np.testing.assert_array_equal(image.data[turn, place], file.pixel_array)


def test_a_segmentation_is_refused(data: Path) -> None:
    with pytest.raises(FormatError, match="single bits"):
        io.read(data / "Formats/dicom/liver_1frame.dcm")
