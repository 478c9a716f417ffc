"""Odd files of every format: exit code 2 and nothing written, or the right result and a remark; nothing else."""

from __future__ import annotations

import bz2
import gzip
import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hush import io
from hush.core.errors import FormatError, HushError
from hush.core.image import Image

Run = Callable[..., tuple[int, str, str]]
VALUES = np.random.default_rng(0).integers(100, 900, (3, 40, 60)).astype(np.int16)  # whole blocks of FITS


def whole(path: Path) -> Path:
    """Write an image in the format of the suffix."""
    suffix = "".join(path.suffixes[-2:]) if path.suffix in (".gz", ".bz2", ".fz") else path.suffix
    if suffix == ".dcm":
        return dicom(path)
    if suffix == ".fits.fz":
        fits: Any = pytest.importorskip("astropy.io.fits")
        fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(VALUES)]).writeto(path)
        return path
    data = VALUES.astype(np.uint16) if suffix == ".ims" else VALUES
    io.write(path, Image(data, "ZYX", {"Z": 2.0, "Y": 0.5, "X": 0.5}, "µm"))
    return path


def dicom(path: Path, data: np.ndarray = VALUES[0], *, modality: str = "MR", **elements: Any) -> Path:
    pydicom: Any = pytest.importorskip("pydicom")
    made = pydicom.Dataset()
    made.file_meta = pydicom.dataset.FileMetaDataset()
    made.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    made.SOPClassUID, made.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.4", "1.2.3.4"
    made.StudyInstanceUID, made.SeriesInstanceUID, made.Modality = "1.2.3", "1.2.3.5", modality
    if data.size:
        made.Rows, made.Columns = data.shape
        made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
        made.BitsAllocated = made.BitsStored = 16
        made.HighBit, made.PixelRepresentation = 15, 1
        made.PixelData = data.astype("<i2").tobytes()
        made["PixelData"].VR = "OW"
    for name, value in elements.items():
        if value is None:
            delattr(made, name)
        else:
            setattr(made, name, value)
    pydicom.dcmwrite(path, made, enforce_file_format=True)
    return path


def refused(run: Run, path: Path) -> None:
    """The command says that it is bad input, and leaves nothing behind."""
    out = path.parent / "out"
    code, _, said = run("denoise", path, "-o", out / f"r{path.suffix or '.dcm'}", "--method", "median", "-q")
    assert code == 2, said
    assert not out.exists() or not list(out.iterdir())
    with pytest.raises(HushError):
        io.read(path)


SUFFIXES = (
    ".dcm", ".nii", ".nii.gz", ".mrc", ".mrc.gz", ".map.bz2", ".fits", ".fits.gz", ".fits.fz", ".tif", ".ome.tif",
    ".h5", ".ims", ".npy",
)  # fmt: skip
NEEDED = {".dcm": "pydicom", ".fits": "astropy", ".fz": "astropy", ".h5": "h5py", ".ims": "h5py"}


@pytest.mark.parametrize("share", [10, 50, 90])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_that_is_cut_short(tmp_path: Path, run: Run, suffix: str, share: int) -> None:
    for part in suffix.split("."):
        if f".{part}" in NEEDED:
            pytest.importorskip(NEEDED[f".{part}"])
    path = whole(tmp_path / f"a{suffix}")
    raw = path.read_bytes()
    path.write_bytes(raw[: len(raw) * share // 100])
    refused(run, path)


@pytest.mark.parametrize("suffix", [s for s in SUFFIXES if s not in (".ome.tif", ".fits.fz")])
def test_a_wrong_suffix(tmp_path: Path, run: Run, suffix: str) -> None:
    """The image, and a remark of what it is; or an error."""
    pytest.importorskip("astropy")
    pytest.importorskip("h5py")
    path = whole(tmp_path / f"a{suffix}")
    data = io.read(path).data
    for other in SUFFIXES:
        named = tmp_path / f"b{other}"
        if other == suffix:
            continue
        shutil.copyfile(path, named)
        try:
            image = io.read(named)
        except HushError:
            refused(run, named)
        else:
            assert np.array_equal(image.data, data)
        named.unlink()


@pytest.mark.parametrize("suffix", [*SUFFIXES, ".czi", ".nd2", ".lif", ".oib", ".dm3", ".ser", ".spe", ".lsm"])
def test_nothing_and_noise(tmp_path: Path, suffix: str) -> None:
    for content in (b"", b"\0" * 5000, np.random.default_rng(3).bytes(5000)):
        path = tmp_path / f"a{suffix}"
        path.write_bytes(content)
        with pytest.raises(HushError):
            io.read(path)


@pytest.mark.parametrize("suffix", [".nii.gz", ".mrc.gz", ".map.bz2"])
def test_a_wrong_checksum_is_found(tmp_path: Path, suffix: str) -> None:
    """Also where something stands behind the pixels, so that reading them does not come to the end."""
    opener: Any = bz2 if suffix.endswith("bz2") else gzip
    path = whole(tmp_path / f"a{suffix}")
    raw = bytearray(opener.compress(opener.decompress(path.read_bytes()) + b"more behind"))
    path.write_bytes(raw)
    assert np.array_equal(io.read(path).data, VALUES)
    raw[-6] ^= 255  # in the checksum of all
    path.write_bytes(raw)
    with pytest.raises(FormatError):
        io.read(path)


@pytest.mark.parametrize("suffix", [".nii", ".mrc"])
def test_bytes_behind_the_pixels_are_said(tmp_path: Path, suffix: str) -> None:
    path = whole(tmp_path / f"a{suffix}")
    assert io.read(path).meta["warnings"] == []
    path.write_bytes(path.read_bytes() + b"0123456789")
    image = io.read(path)
    assert np.array_equal(image.data, VALUES)
    assert len(image.meta["warnings"]) == 1


# -- DICOM -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("modality", ["SR", "PR", "KO", "RTSTRUCT", "DOC"])
def test_dicom_without_pixels(tmp_path: Path, run: Run, modality: str) -> None:
    """A report, a presentation state, a key object note, contours, a document."""
    refused(run, dicom(tmp_path / "a.dcm", np.zeros((0, 0)), modality=modality))


def test_an_index_of_a_disc_is_no_image(tmp_path: Path, run: Run) -> None:
    path = dicom(tmp_path / "DICOMDIR", np.zeros((0, 0)), modality="", DirectoryRecordSequence=[])
    refused(run, path)


@pytest.mark.parametrize(
    "elements",
    [{"BitsStored": 0}, {"BitsStored": 20}, {"BitsStored": None}, {"PhotometricInterpretation": None},
     {"PixelRepresentation": None}, {"SamplesPerPixel": None}, {"SamplesPerPixel": 3}, {"NumberOfFrames": 5},
     {"Rows": 0}, {"Rows": 41}, {"PixelData": None}],
    ids=str,
)  # fmt: skip
def test_dicom_headers_that_do_not_fit(tmp_path: Path, run: Run, elements: dict[str, Any]) -> None:
    refused(run, dicom(tmp_path / "a.dcm", **elements))


def test_dicom_with_more_pixels_than_it_states(tmp_path: Path) -> None:
    image = io.read(dicom(tmp_path / "a.dcm", Rows=20))
    assert np.array_equal(image.data, VALUES[0, :20])
    assert len(image.meta["warnings"]) == 1
    assert io.read(dicom(tmp_path / "b.dcm")).meta["warnings"] == []


def series(folder: Path, places: list[float]) -> Path:
    folder.mkdir()
    for number, place in enumerate(places):
        where: dict[str, Any] = {
            "ImagePositionPatient": [0.0, 0.0, place],
            "ImageOrientationPatient": [1.0, 0, 0, 0, 1.0, 0],
        }
        uids: dict[str, Any] = {"SOPInstanceUID": f"1.2.3.{number + 10}", "InstanceNumber": number + 1}
        dicom(folder / f"{number}.dcm", VALUES[number % 3], PixelSpacing=[1, 1], **where, **uids)
    return folder


@pytest.mark.parametrize("places", [[0, 2, 4, 8, 10], [0, 2, 4, 5, 7]])
def test_missing_slices_and_unequal_spacing(tmp_path: Path, run: Run, places: list[float]) -> None:
    """The image, and a remark; the result is a series of as many files."""
    source = series(tmp_path / "a", places)
    image = io.read(source)
    assert image.sizes["Z"] == len(places)
    assert len(image.meta["warnings"]) == 1
    code, _, said = run("denoise", source, "-o", tmp_path / "b", "--method", "median", "-q")
    assert code == 0, said
    assert len(list((tmp_path / "b").iterdir())) == len(places)


def test_a_folder_of_two_series_and_a_damaged_slice(tmp_path: Path, run: Run) -> None:
    source = series(tmp_path / "a", [0, 2, 4])
    dicom(source / "scout.dcm", SeriesInstanceUID="1.2.3.99")
    refused(run, source)
    (source / "scout.dcm").unlink()
    first = source / "0.dcm"
    first.write_bytes(first.read_bytes()[:-900])
    refused(run, source)


# -- NIfTI -----------------------------------------------------------------------------------------------

DIMENSIONS = [(40, 0), (40, 8), (40, -1), (40, 1), (42, 0), (42, -5), (42, 32767)]
OTHERS = [(0, 347), (70, 0), (70, 1), (70, 32), (70, 999)]


@pytest.mark.parametrize(("at", "value"), DIMENSIONS + OTHERS)
def test_nifti_numbers_that_make_no_sense(tmp_path: Path, run: Run, at: int, value: int) -> None:
    path = whole(tmp_path / "a.nii")
    raw = bytearray(path.read_bytes())
    struct.pack_into("<i" if at == 0 else "<h", raw, at, value)
    path.write_bytes(raw)
    refused(run, path)


@pytest.mark.parametrize("start", [1e9, -5.0, float("nan")])
def test_nifti_pixels_that_begin_nowhere(tmp_path: Path, run: Run, start: float) -> None:
    path = whole(tmp_path / "a.nii")
    raw = bytearray(path.read_bytes())
    struct.pack_into("<f", raw, 108, start)
    path.write_bytes(raw)
    refused(run, path)


@pytest.mark.parametrize("shape", [(4, 5, 3, 2, 2, 2), (7,)])
def test_nifti_of_too_many_dimensions_or_too_few(tmp_path: Path, run: Run, shape: tuple[int, ...]) -> None:
    nib: Any = pytest.importorskip("nibabel")
    nib.save(nib.Nifti1Image(np.zeros(shape, np.int16), np.eye(4)), tmp_path / "a.nii")
    refused(run, tmp_path / "a.nii")


def test_an_image_of_which_nothing_is_known(tmp_path: Path, run: Run) -> None:
    """All pixels are NaN: it comes back as it is."""
    io.write(tmp_path / "a.nii", Image(np.full((3, 15, 14), np.nan, np.float32), "ZYX"))
    code, _, said = run("denoise", tmp_path / "a.nii", "-o", tmp_path / "b.nii", "--method", "median", "-q")
    assert code == 0, said
    assert np.isnan(io.read(tmp_path / "b.nii").data).all()


# -- MRC, FITS -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at", "value"), [(0, 0), (0, -1), (8, 0), (12, 3), (12, 4), (12, 5), (12, 16), (92, -1), (92, 10**9), (0, 10**5)]
)
def test_mrc_numbers_that_make_no_sense(tmp_path: Path, run: Run, at: int, value: int) -> None:
    path = whole(tmp_path / "a.mrc")
    raw = bytearray(path.read_bytes())
    struct.pack_into("<i", raw, at, value)
    path.write_bytes(raw)
    refused(run, path)


def test_an_mrc_file_without_pixels(tmp_path: Path, run: Run) -> None:
    path = whole(tmp_path / "a.mrc")
    path.write_bytes(path.read_bytes()[:1024])
    refused(run, path)


@pytest.mark.parametrize("what", ["nothing", "binary table", "text table", "one axis", "seven axes"])
def test_fits_without_an_image(tmp_path: Path, run: Run, what: str) -> None:
    fits: Any = pytest.importorskip("astropy.io.fits")
    column = {"binary table": fits.Column("a", "E", array=np.arange(5.0)),
              "text table": fits.Column("a", "F8.3", array=np.arange(5.0))}  # fmt: skip
    parts = {
        "nothing": lambda: [fits.PrimaryHDU()],
        "binary table": lambda: [fits.PrimaryHDU(), fits.BinTableHDU.from_columns([column[what]])],
        "text table": lambda: [fits.PrimaryHDU(), fits.TableHDU.from_columns([column[what]])],
        "one axis": lambda: [fits.PrimaryHDU(np.arange(50, dtype=np.float32))],
        "seven axes": lambda: [fits.PrimaryHDU(np.zeros((2, 2, 2, 2, 2, 3, 4), np.int16))],
    }[what]()
    fits.HDUList(parts).writeto(tmp_path / "a.fits")
    refused(run, tmp_path / "a.fits")


@pytest.mark.parametrize(
    ("key", "value"),
    [("BITPIX", "7"), ("BITPIX", "'abc'"), ("NAXIS", "-1"), ("NAXIS", "1000"), ("NAXIS", "'two'"), ("NAXIS1", "0"),
     ("NAXIS1", "1000000"), ("SIMPLE", "F")],
)  # fmt: skip
def test_fits_cards_that_make_no_sense(tmp_path: Path, run: Run, key: str, value: str) -> None:
    pytest.importorskip("astropy")
    path = whole(tmp_path / "a.fits")
    raw = path.read_bytes()
    at = raw.find(key.ljust(8).encode())
    path.write_bytes(raw[:at] + f"{key:<8}= {value:>20}".ljust(80).encode() + raw[at + 80 :])
    refused(run, path)


# -- Zarr, HDF5, TIFF ------------------------------------------------------------------------------------

AXES = [{"name": "y", "type": "space"}, {"name": "x", "type": "space"}]
LEVELS = [{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [1, 1]}]}]
GROUPS: dict[str, dict[str, Any]] = {
    "empty": {},
    "no JSON": {"zarr.json": "{nope"},
    "a list": {"zarr.json": "[1]"},
    "a group alone": {"zarr.json": {"zarr_format": 3, "node_type": "group", "attributes": {}}},
    "a group of format 2": {".zgroup": {"zarr_format": 2}},
    "level missing": {".zgroup": {"zarr_format": 2}, ".zattrs": {"multiscales": [{"axes": AXES, "datasets": LEVELS}]}},
    "no levels": {".zgroup": {"zarr_format": 2}, ".zattrs": {"multiscales": [{"axes": AXES, "datasets": []}]}},
    "levels outside": {".zgroup": {"zarr_format": 2}, ".zattrs": {"multiscales": [{"datasets": [{"path": "../a"}]}]}},
    "no list": {".zgroup": {"zarr_format": 2}, ".zattrs": {"multiscales": "x"}},
}


@pytest.mark.parametrize("what", GROUPS)
def test_zarr_without_an_image(tmp_path: Path, run: Run, what: str) -> None:
    pytest.importorskip("zarr")
    (tmp_path / "a.zarr").mkdir()
    for name, said in GROUPS[what].items():
        (tmp_path / "a.zarr" / name).write_text(said if isinstance(said, str) else json.dumps(said))
    refused(run, tmp_path / "a.zarr")


HDF5: dict[str, Callable[[Any, Any], object]] = {
    "nothing": lambda file, h5py: None,
    "a group": lambda file, h5py: file.create_group("a/b"),
    "one axis": lambda file, h5py: file.create_dataset("a", data=np.arange(50)),
    "compound": lambda file, h5py: file.create_dataset("a", data=np.zeros((8, 9), [("r", "f4"), ("i", "f4")])),
    "complex": lambda file, h5py: file.create_dataset("a", data=np.zeros((8, 9), np.complex64)),
    "text": lambda file, h5py: file.create_dataset("a", data=np.full((8, 9), b"x")),
    "no pixels": lambda file, h5py: file.create_dataset("a", shape=(0, 9), dtype="f4"),
    "no space": lambda file, h5py: file.create_dataset("a", data=h5py.Empty("f4")),
    "elsewhere": lambda file, h5py: file.create_dataset("a", (8, 9), "f4", external=[("b", 0, h5py.h5f.UNLIMITED)]),
    "link": lambda file, h5py: file.__setitem__("a", h5py.ExternalLink("nosuch.h5", "/a")),
    "seven axes": lambda file, h5py: file.create_dataset("a", data=np.zeros((2, 2, 2, 2, 2, 8, 9))),
    "put together of nothing": lambda file, h5py: file.create_virtual_dataset("a", together(h5py, "nosuch.h5")),
}


def together(h5py: Any, source: str) -> Any:
    layout = h5py.VirtualLayout((40, 60), "i2")
    layout[:] = h5py.VirtualSource(source, "d", (40, 60))
    return layout


@pytest.mark.parametrize("what", HDF5)
def test_hdf5_without_an_image(tmp_path: Path, run: Run, what: str) -> None:
    h5py: Any = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        HDF5[what](file, h5py)
    refused(run, tmp_path / "a.h5")


def test_what_a_virtual_data_set_is_put_together_from_stays(tmp_path: Path) -> None:
    """A copy of it still points to the files of its parts: what is written into it would be written into them."""
    h5py: Any = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "part.h5", "w") as file:
        file["d"] = VALUES[0]
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_virtual_dataset("a", together(h5py, "part.h5"))
    before = (tmp_path / "part.h5").read_bytes()
    image = io.read(tmp_path / "a.h5")
    assert np.array_equal(image.data, VALUES[0])
    result = Image(np.full_like(image.data, 7), image.axes, meta=image.meta)
    io.write(tmp_path / "b.h5", result)
    with io.create(tmp_path / "c.h5", result) as array:
        assert array is not None
        array[...] = 8
    assert (tmp_path / "part.h5").read_bytes() == before
    assert (io.read(tmp_path / "b.h5").data == 7).all()
    assert (io.read(tmp_path / "c.h5").data == 8).all()


@pytest.mark.parametrize("what", ["no data", "two axes", "compound", "too large", "a time without channels", "a link"])
def test_imaris_that_is_damaged(tmp_path: Path, run: Run, what: str) -> None:
    h5py: Any = pytest.importorskip("h5py")
    path, channel = whole(tmp_path / "a.ims"), "DataSet/ResolutionLevel 0/TimePoint 0/Channel 0"
    with h5py.File(path, "r+") as file:
        if what == "too large":
            file[channel].attrs["ImageSizeX"] = np.frombuffer(b"99999", "S1")
        elif what == "a time without channels":
            file.create_group("DataSet/ResolutionLevel 0/TimePoint 1")
        else:
            del file[f"{channel}/Data"]
        if what == "two axes":
            file[channel].create_dataset("Data", data=np.zeros((8, 9), np.uint8))
        if what == "compound":
            file[channel].create_dataset("Data", data=np.zeros(VALUES.shape, [("a", "u1")]))
        if what == "a link":
            file[channel]["Data"] = h5py.ExternalLink("other.h5", "/d")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["d"] = VALUES.astype(np.uint16)
    refused(run, path)


def test_imaris_without_its_information(tmp_path: Path, run: Run) -> None:
    h5py: Any = pytest.importorskip("h5py")
    path = whole(tmp_path / "a.ims")
    with h5py.File(path, "r+") as file:
        del file["DataSetInfo"]
    code, _, said = run("denoise", path, "-o", tmp_path / "b.ims", "--method", "median", "-q")
    assert code == 0, said
    assert io.read(tmp_path / "b.ims").data.shape == VALUES.shape


def tags(*entries: tuple[int, int, int, int]) -> bytes:
    body = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + body + b"\0\0\0\0"


SIZE, KIND = ((256, 4, 1, 5), (257, 4, 1, 5)), ((258, 3, 1, 8), (262, 3, 1, 1))
PLACE = ((273, 4, 1, 8), (279, 4, 1, 25))
TIFFS = {
    "no pages": b"II*\0\0\0\0\0",
    "no first place": b"II*\0",
    "a page far away": b"II*\0\xff\xff\xff\x7f",
    "no pages of BigTIFF": b"II+\0\x08\0\0\0" + bytes(8),
    "no tags": tags(),
    "no width": tags((256, 4, 1, 0), (257, 4, 1, 5), *KIND, *PLACE),
    "no strips": tags(*SIZE, *KIND),
    "compression": tags(*SIZE, (258, 3, 1, 8), (259, 3, 1, 7777), (262, 3, 1, 1), *PLACE),
    "bits": tags(*SIZE, (258, 3, 1, 77), (262, 3, 1, 1), *PLACE),
}


@pytest.mark.parametrize("what", TIFFS)
def test_tiff_without_an_image(tmp_path: Path, run: Run, what: str) -> None:
    (tmp_path / "a.tif").write_bytes(TIFFS[what])
    refused(run, tmp_path / "a.tif")


# -- real files ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [10, 50, 90])
@pytest.mark.parametrize(
    ("name", "module"),
    [("Formats/micro/tiles.czi", "pylibCZIrw"), ("formats_micro/cluster.nd2", "nd2"),
     ("formats_micro/2channel_xz.lif", "liffile"), ("Formats/micro/test.oib", "oiffile"),
     ("Formats/micro/test_STEM_image.dm3", ""), ("Formats/micro/64x64_TEM.ser", ""),
     ("formats_micro/spestack.spe", "")],
)  # fmt: skip
def test_a_microscope_s_file_that_is_cut_short(tmp_path: Path, data: Path, name: str, module: str, share: int) -> None:
    """An error, or the very pixels: of several images the first may be whole."""
    if module:
        pytest.importorskip(module)
    raw = (data / name).read_bytes()
    path = tmp_path / Path(name).name
    path.write_bytes(raw[: len(raw) * share // 100])
    try:
        image = io.read(path)
    except HushError:
        return
    assert path.suffix == ".lif"
    assert np.array_equal(image.data, io.read(data / name).data)


def test_an_ome_series_of_several_files(tmp_path: Path, data: Path) -> None:
    """tifffile closes all files but the first; their tags are read all the same."""
    image = io.read(data / "formats_micro/ometiff_master/multifile-Z1.ome.tiff")
    assert image.sizes == {"Z": 5, "Y": 24, "X": 18}
    io.write(tmp_path / "a.ome.tif", image)
    assert np.array_equal(io.read(tmp_path / "a.ome.tif").data, image.data)
