"""A crop lies where it was cut out: a point of the scene has the same coordinates in the field's own library."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hush import io
from hush.core.image import Image
from hush.io._common import cut_before

DOWN, RIGHT = 5, 3  # rows and columns that are cut off
SHAPE = (4, 24, 30)
VALUES = np.random.default_rng(0).integers(100, 900, SHAPE).astype(np.int16)


def cropped(source: Path, target: Path) -> Image:
    """Read, crop twice, write; what was cut off adds up."""
    image = io.read(source).crop(slice(2, 20), slice(3, None)).crop(slice(3, 15), slice(0, 20))
    io.write(target, image)
    again = io.read(target)
    assert np.array_equal(again.data, image.data)
    assert "cropped" not in again.meta
    return image


def test_crops_add_up() -> None:
    image = Image(VALUES, "ZYX")
    assert "cropped" not in image.crop(slice(0, 9), slice(None, 7)).meta
    twice = image.crop(slice(4, None), slice(-10, None)).crop(slice(2, 5), slice(None))
    assert twice.meta["cropped"] == {"Y": 6, "X": 20}
    assert cut_before(twice, "XYZ") == (20, 6, 0)
    assert np.array_equal(twice.data, VALUES[:, 6:9, 20:])


# -- NIfTI -----------------------------------------------------------------------------------------------

OBLIQUE = np.array([[-0.9, 0.3, 0.2, 80.5], [0.1, 1.1, -0.6, -70.25], [0.3, 0.4, 3.1, 12.0], [0, 0, 0, 1.0]])


def turned(degrees: float, sizes: tuple[float, float, float], flip: int = 1) -> np.ndarray:
    """An affine without shear, as a quaternion can state it."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]]) @ np.array([[1.0, 0, 0], [0, c, -s], [0, s, c]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag([sizes[0], sizes[1], flip * sizes[2]])
    affine[:3, 3] = 10.5, -20.25, 30.0
    return affine


@pytest.mark.parametrize("kind", ["Nifti1Image", "Nifti2Image"])
@pytest.mark.parametrize("which", ["sform", "qform", "qform flipped", "half a turn"])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_nifti(tmp_path: Path, kind: str, which: str, suffix: str) -> None:
    nib: Any = pytest.importorskip("nibabel")
    affine = {
        "sform": OBLIQUE, "qform": turned(25, (0.8, 0.9, 3.0)), "qform flipped": turned(130, (0.8, 0.9, 3.0), -1),
        "half a turn": np.diag([-0.8, -0.9, 3.0, 1.0]),
    }[which]  # fmt: skip
    made = getattr(nib, kind)(VALUES.transpose(2, 1, 0), affine)
    made.set_sform(affine, code=2 if which == "sform" else 0)
    if which != "sform":
        made.set_qform(affine, code=1)
    source, target = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
    nib.save(made, source)
    cropped(source, target)
    before, after = nib.load(source), nib.load(target)
    assert np.allclose(after.affine[:3, :3], before.affine[:3, :3], atol=1e-6)
    for point in ([7, 9, 2], [3, 5, 0], [0, 0, 3]):  # x, y, z of the file
        moved = np.array([*(np.array(point) - [RIGHT, DOWN, 0]), 1])
        assert np.allclose((after.affine @ moved)[:3], (before.affine @ [*point, 1])[:3], atol=1e-4)


def test_nifti_slices_that_were_cut_have_no_order(tmp_path: Path) -> None:
    nib: Any = pytest.importorskip("nibabel")
    made = nib.Nifti1Image(VALUES, OBLIQUE)
    made.header.set_dim_info(slice=0)
    made.header["slice_code"], made.header["slice_end"] = 3, 3
    for number, along in enumerate((0, 2)):
        made.header.set_dim_info(slice=along)
        nib.save(made, tmp_path / f"{number}.nii")
        image = io.read(tmp_path / f"{number}.nii").crop(slice(2, None), slice(1, None))
        io.write(tmp_path / f"{number} cropped.nii", image)
        header = nib.load(tmp_path / f"{number} cropped.nii").header
        assert int(header["slice_code"]) == (0 if along == 0 else 3)


# -- DICOM -----------------------------------------------------------------------------------------------

ORIENTATION = [0.8, 0.6, 0.0, -0.6, 0.8, 0.0]
POSITION = [-100.5, 20.25, -33.0]


def patient(header: Any, row: int, column: int, item: Any = None) -> np.ndarray:
    """The point of the patient at a pixel, by the equation of the standard (PS3.3, C.7.6.2.1.1)."""
    position = np.array((item or header).ImagePositionPatient, float)
    along, down = np.split(np.array(ORIENTATION), 2)
    return np.asarray(position + column * 0.25 * along + row * 0.5 * down)


def dicom(path: Path, data: np.ndarray, **elements: Any) -> Path:
    pydicom: Any = pytest.importorskip("pydicom")
    made = pydicom.Dataset()
    made.file_meta = pydicom.dataset.FileMetaDataset()
    made.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    made.SOPClassUID, made.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.4", "1.2.3.4"
    made.StudyInstanceUID, made.SeriesInstanceUID, made.Modality = "1.2.3", "1.2.3.5", "MR"
    made.Rows, made.Columns = data.shape[-2:]
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.BitsAllocated = made.BitsStored = 16
    made.HighBit, made.PixelRepresentation = 15, 1
    if data.ndim > 2:
        made.NumberOfFrames = len(data)
    for name, value in elements.items():
        setattr(made, name, value)
    made.PixelData = data.astype("<i2").tobytes()
    made["PixelData"].VR = "OW"
    pydicom.dcmwrite(path, made, enforce_file_format=True)
    return path


def test_dicom(tmp_path: Path) -> None:
    place = {"ImagePositionPatient": POSITION, "ImageOrientationPatient": ORIENTATION, "PixelSpacing": [0.5, 0.25]}
    source = dicom(tmp_path / "a.dcm", VALUES[0], **place)
    cropped(source, tmp_path / "b.dcm")
    pydicom: Any = pytest.importorskip("pydicom")
    before, after = pydicom.dcmread(source), pydicom.dcmread(tmp_path / "b.dcm")
    for row, column in ((9, 8), (DOWN, RIGHT), (0, 29)):
        moved = patient(after, row - DOWN, column - RIGHT)
        assert np.allclose(moved, patient(before, row, column), atol=1e-9)
    assert list(after.ImageOrientationPatient) == ORIENTATION
    assert (after.Rows, after.Columns) == (12, 20)
    assert after.SeriesInstanceUID != before.SeriesInstanceUID


@pytest.mark.parametrize("shared", [False, True])
def test_dicom_frames(tmp_path: Path, shared: bool) -> None:
    """Positions in the functional groups of frames; directions and spacing in shared ones, or not."""
    pydicom: Any = pytest.importorskip("pydicom")

    def item(**elements: Any) -> Any:
        made = pydicom.Dataset()
        for name, value in elements.items():
            setattr(made, name, value)
        return made

    common, each = item(), [item() for _ in VALUES]
    for number, group in enumerate(each):
        where = [POSITION[0], POSITION[1], POSITION[2] + 2 * number]
        group.PlanePositionSequence = [item(ImagePositionPatient=where)]
    for group in [common] if shared else each:
        group.PlaneOrientationSequence = [item(ImageOrientationPatient=ORIENTATION)]
        group.PixelMeasuresSequence = [item(PixelSpacing=[0.5, 0.25], SliceThickness=2)]
    groups = {"SharedFunctionalGroupsSequence": [common], "PerFrameFunctionalGroupsSequence": each}
    source = dicom(tmp_path / "a.dcm", VALUES, SOPClassUID="1.2.840.10008.5.1.4.1.1.4.1", **groups)
    cropped(source, tmp_path / "b.dcm")
    before, after = pydicom.dcmread(source), pydicom.dcmread(tmp_path / "b.dcm")
    pairs = zip(before.PerFrameFunctionalGroupsSequence, after.PerFrameFunctionalGroupsSequence, strict=True)
    for old, new in pairs:
        moved = patient(after, 9 - DOWN, 8 - RIGHT, new.PlanePositionSequence[0])
        assert np.allclose(moved, patient(before, 9, 8, old.PlanePositionSequence[0]), atol=1e-9)


def test_dicom_what_is_counted_in_pixels(tmp_path: Path) -> None:
    """An overlay, a shutter and the regions of ultrasound stay where they lay on the scene."""
    pydicom: Any = pytest.importorskip("pydicom")
    inside, outside = pydicom.Dataset(), pydicom.Dataset()
    for region, left in ((inside, 1), (outside, 0)):
        region.RegionLocationMinX0, region.RegionLocationMaxX1 = left, 15 * left + 2
        region.RegionLocationMinY0, region.RegionLocationMaxY1 = 7, 11
        region.ReferencePixelX0 = 4
    source = dicom(
        tmp_path / "a.dcm", VALUES[0], SequenceOfUltrasoundRegions=[inside, outside],
        ShutterLeftVerticalEdge=6, ShutterUpperHorizontalEdge=7, CenterOfCircularShutter=[12, 15],
    )  # fmt: skip
    made = pydicom.dcmread(source)
    made.add_new(0x60000010, "US", 8)
    made.add_new(0x60000011, "US", 8)
    made.add_new(0x60000050, "SS", [4, 9])
    made.add_new(0x60003000, "OW", bytes(8))
    made.save_as(source)
    cropped(source, tmp_path / "b.dcm")
    after = pydicom.dcmread(tmp_path / "b.dcm")
    assert list(after[0x60000050].value) == [4 - DOWN, 9 - RIGHT]
    assert (after.ShutterLeftVerticalEdge, after.ShutterUpperHorizontalEdge) == (6 - RIGHT, 7 - DOWN)
    assert list(after.CenterOfCircularShutter) == [12 - DOWN, 15 - RIGHT]
    (region,) = after.SequenceOfUltrasoundRegions
    sides = (region.RegionLocationMinX0, region.RegionLocationMaxX1, region.RegionLocationMinY0)
    assert sides == (0, 17 - RIGHT, 7 - DOWN)
    # the point is pixel 1 + 4 of the whole, and what the region is told is counted from its corner
    assert region.RegionLocationMinX0 + region.ReferencePixelX0 == 1 + 4 - RIGHT


def test_dicom_padding_of_a_piece(tmp_path: Path) -> None:
    data = VALUES[0].copy()
    data[:8, :6] = -2000
    source = dicom(tmp_path / "a.dcm", data, PixelPaddingValue=-2000)
    image = io.read(source).crop(slice(DOWN, None), slice(RIGHT, None))
    blurred = np.where(image.data == -2000, -1990, image.data).astype(np.int16)  # as a denoiser might leave it
    io.write(tmp_path / "b.dcm", Image(blurred, image.axes, image.scale, image.unit, image.meta))
    assert np.array_equal(io.read(tmp_path / "b.dcm").data, data[DOWN:, RIGHT:])
    larger = np.pad(data, 4)  # no piece of the file: it is written as it is
    io.write(tmp_path / "c.dcm", Image(larger, image.axes, image.scale, image.unit, io.read(source).meta))
    assert np.array_equal(io.read(tmp_path / "c.dcm").data, larger)


# -- MRC -------------------------------------------------------------------------------------------------


def corner(path: Path) -> np.ndarray:
    """Where the first voxel lies (Å): the origin, or where that is zero, the first column, row and section."""
    mrcfile: Any = pytest.importorskip("mrcfile")
    with mrcfile.open(path) as file:
        origin = np.array([file.header.origin[axis] for axis in "xyz"], float)
        start = np.array([file.header[f"n{axis}start"] for axis in "xyz"], float)
        size = np.array([file.voxel_size[axis] for axis in "xyz"], float)
    return origin if origin.any() else start * size


@pytest.mark.parametrize(
    ("origin", "start"),
    [((-12.5, 7.0, 3.0), (0, 0, 0)), ((0, 0, 0), (-10, 4, 2)), ((0, 0, 0), (0, 0, 0)), ((-7.5, -15, 0), (4, 4, 4))],
)
def test_mrc(tmp_path: Path, origin: tuple[float, ...], start: tuple[int, ...]) -> None:
    mrcfile: Any = pytest.importorskip("mrcfile")
    with mrcfile.new(tmp_path / "a.mrc") as file:
        file.set_data(VALUES)
        file.set_volume()
        file.voxel_size = (2.5, 3.0, 4.0)
        file.header.origin = origin
        file.nstart = start
    before = corner(tmp_path / "a.mrc")
    cropped(tmp_path / "a.mrc", tmp_path / "b.mrc")
    assert np.allclose(corner(tmp_path / "b.mrc"), before + np.array([RIGHT * 2.5, DOWN * 3.0, 0]), atol=1e-4)
    with mrcfile.open(tmp_path / "b.mrc") as file:
        assert np.allclose([file.voxel_size[axis] for axis in "xyz"], (2.5, 3.0, 4.0))


# -- FITS ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("packed", [False, True])
def test_fits(tmp_path: Path, packed: bool) -> None:
    """The world coordinates of astropy: TAN with a rotation, a second system that names no reference pixel, LTV."""
    fits: Any = pytest.importorskip("astropy.io.fits")
    wcs: Any = pytest.importorskip("astropy.wcs")
    header = fits.Header()
    header["CTYPE1"], header["CTYPE2"], header["CTYPE3"] = "RA---TAN", "DEC--TAN", "FREQ"
    header["CRPIX1"], header["CRPIX2"], header["CRVAL1"], header["CRVAL2"] = 12.5, 9.0, 150.1, 2.2
    header["CD1_1"], header["CD1_2"], header["CD2_1"], header["CD2_2"] = -1e-4, 3e-5, 3e-5, 1e-4
    header["CD3_3"], header["CRVAL3"], header["CRPIX3"] = 1e6, 1.4e9, 1.0
    header["CTYPE1A"], header["CTYPE2A"], header["CTYPE3A"], header["CDELT1A"] = "X", "Y", "Z", 2.0
    header["LTV1"], header["LTV2"] = -100.0, 0.0
    kind = fits.CompImageHDU if packed else fits.PrimaryHDU
    parts = [kind(VALUES, header)]
    fits.HDUList([fits.PrimaryHDU(), *parts] if packed else parts).writeto(tmp_path / "a.fits")
    cropped(tmp_path / "a.fits", tmp_path / "b.fits")
    old, new = (fits.getheader(tmp_path / f"{name}.fits", int(packed)) for name in "ab")
    for version in " A":
        before, after = wcs.WCS(old, key=version), wcs.WCS(new, key=version)
        for x, y, z in ((8, 9, 1), (RIGHT, DOWN, 0), (29, 0, 3)):
            world = before.wcs_pix2world([[x, y, z]], 0)
            assert np.allclose(after.wcs_pix2world([[x - RIGHT, y - DOWN, z]], 0), world, rtol=1e-12, atol=1e-10)
    assert (new["LTV1"], new["LTV2"]) == (-100 - RIGHT, -DOWN)


# -- microscopes -----------------------------------------------------------------------------------------

OME = "http://www.openmicroscopy.org/Schemas/OME/2016-06"


def test_ome_tiff(tmp_path: Path) -> None:
    """The stage's position of every plane in another unit than the pixels'; regions move by their transform."""
    tifffile: Any = pytest.importorskip("tifffile")
    ome_types: Any = pytest.importorskip("ome_types")
    planes = [
        {"TheC": 0, "TheT": 0, "TheZ": z, "PositionX": 1.5, "PositionXUnit": "mm", "PositionY": 7.0,
         "PositionYUnit": "reference frame"} for z in range(4)
    ]  # fmt: skip
    whole = {key: [plane[key] for plane in planes] for key in planes[0] if not key.startswith("The")}
    metadata = {"axes": "ZYX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.25, "Plane": whole}
    metadata |= {"PhysicalSizeXUnit": "µm", "PhysicalSizeYUnit": "µm"}
    source, target = tmp_path / "a.ome.tif", tmp_path / "b.ome.tif"
    tifffile.imwrite(source, VALUES, metadata=metadata, ome=True)
    xml = tifffile.tiffcomment(source)
    region = (
        '<ROI ID="ROI:0"><Union><Rectangle ID="Shape:0" X="10" Y="12" Width="4" Height="3"/>'
        '<Point ID="Shape:1" X="2" Y="2"><Transform A00="2" A10="0" A01="0" A11="2" A02="1" A12="1"/></Point>'
        "</Union></ROI>"
    )
    xml = xml.replace("</Pixels>", '</Pixels><ROIRef ID="ROI:0"/>').replace("</OME>", f"{region}</OME>")
    tifffile.tiffcomment(source, xml.encode())
    cropped(source, target)
    said = ome_types.from_tiff(target)
    for plane in said.images[0].pixels.planes:
        assert plane.position_x == pytest.approx(1.5 + RIGHT * 0.5e-3)
        assert plane.position_y == 7.0  # what a pixel is in a reference frame nobody knows
    assert len(said.images[0].pixels.planes) == 4
    shapes = {type(shape).__name__: shape for shape in said.rois[0].union}
    rectangle, point = shapes["Rectangle"], shapes["Point"]
    assert (rectangle.transform.a02, rectangle.transform.a12, rectangle.transform.a00) == (-RIGHT, -DOWN, 1)
    assert (point.transform.a02, point.transform.a12, point.transform.a00) == (1 - RIGHT, 1 - DOWN, 2)


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_ome_zarr(tmp_path: Path, version: str) -> None:
    """The translation of every level, after scale and translation of the whole."""
    zarr: Any = pytest.importorskip("zarr")
    validate: Any = pytest.importorskip("yaozarrs")
    form = 2 if version == "0.4" else 3
    group = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=form)
    small = VALUES[:, ::2, ::2]
    levels = []
    for name, data, step, shift in (("0", VALUES, 1.0, 0.0), ("1", small, 2.0, 0.5)):
        group.create_array(name, data=data, dimension_names=None if form == 2 else ["z", "y", "x"])
        scale = {"type": "scale", "scale": [3.0, 0.5 * step, 0.25 * step]}
        moved = [{"type": "translation", "translation": [10.0, 0.5 * shift, 0.25 * shift - 7]}]
        levels.append({"path": name, "coordinateTransformations": [scale, *(moved if shift else [])]})
    axes = [{"name": name, "type": "space", "unit": "micrometer"} for name in "zyx"]
    image = {"axes": axes, "datasets": levels, "name": "a"}
    said = {"multiscales": [image | ({"version": "0.4"} if form == 2 else {})]}
    group.attrs.update(said if form == 2 else {"ome": said | {"version": "0.5"}})
    cropped(tmp_path / "a.zarr", tmp_path / "b.zarr")
    attributes = zarr.open_group(tmp_path / "b.zarr", mode="r").attrs.asdict()
    (first,) = attributes.get("ome", attributes)["multiscales"]
    found = [level["coordinateTransformations"] for level in first["datasets"]]
    assert [[one["type"] for one in level] for level in found] == [["scale", "translation"]] * 2
    assert found[0][1]["translation"] == pytest.approx([0, DOWN * 0.5, RIGHT * 0.25])
    assert found[1][1]["translation"] == pytest.approx([10, 0.25 + DOWN * 0.5, 0.125 - 7 + RIGHT * 0.25])
    validate.validate_zarr_store(str(tmp_path / "b.zarr"))


def test_imaris(tmp_path: Path) -> None:
    h5py: Any = pytest.importorskip("h5py")
    source, target = tmp_path / "a.ims", tmp_path / "b.ims"
    image = Image(VALUES.astype(np.uint16), "ZYX", {"Z": 2.0, "Y": 0.5, "X": 0.25}, "µm")
    io.write(source, image)

    def ends(path: Path) -> dict[str, float]:
        with h5py.File(path) as file:
            said = file["DataSetInfo/Image"].attrs
            return {name: float(b"".join(said[name])) for name in said if name.startswith("Ext")}

    with h5py.File(source, "r+") as file:  # a stage: below zero in X
        said = file["DataSetInfo/Image"].attrs
        for name, value in {"ExtMin0": -40.0, "ExtMax0": -32.5, "ExtMin1": 3.0, "ExtMax1": 15.0}.items():
            said[name] = np.frombuffer(repr(value).encode(), "S1")
    cropped(source, target)
    after = ends(target)
    assert after["ExtMin0"] == pytest.approx(-40 + RIGHT * 0.25)
    assert after["ExtMax0"] == pytest.approx(-40 + RIGHT * 0.25 + 20 * 0.25)
    assert after["ExtMin1"] == pytest.approx(3 + DOWN * 0.5)
    assert after["ExtMin2"] == pytest.approx(ends(source)["ExtMin2"])


def test_hdf5(tmp_path: Path) -> None:
    """CREMI's and funlib's offset, in the unit of the resolution."""
    h5py: Any = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        made = file.create_dataset("volumes/raw", data=VALUES, chunks=(2, 8, 8), compression="gzip")
        made.attrs["resolution"], made.attrs["offset"] = np.array([40, 4, 4]), np.array([80, 0, -12])
        made.attrs["axes"] = "ZYX"
    cropped(tmp_path / "a.h5", tmp_path / "b.h5")
    with h5py.File(tmp_path / "b.h5") as file:
        assert file["volumes/raw"].attrs["offset"].tolist() == [80, DOWN * 4, RIGHT * 4 - 12]


def test_geotiff(tmp_path: Path) -> None:
    """A tie point, and a transformation: a pixel lies where it lay on the earth."""
    tifffile: Any = pytest.importorskip("tifffile")
    tie = (33922, "d", 6, (0.0, 0.0, 0.0, 500000.0, 4100000.0, 0.0), True)
    steps = (33550, "d", 3, (30.0, 30.0, 0.0), True)
    matrix = np.array([[30.0, 2, 0, 5e5], [2, -30, 0, 4e6], [0, 0, 0, 0], [0, 0, 0, 1]])
    for name, tags in (("tie", (tie, steps)), ("matrix", ((34264, "d", 16, tuple(matrix.ravel()), True),))):
        source, target = tmp_path / f"{name}.tif", tmp_path / f"{name} b.tif"
        tifffile.imwrite(source, VALUES[0], extratags=tags, metadata=None)
        cropped(source, target)
        with tifffile.TiffFile(target) as file:
            page = file.pages.first.tags
            if name == "matrix":
                moved = np.array(page[34264].value).reshape(4, 4)
                assert np.allclose(moved @ [4, 6, 0, 1], matrix @ [4 + RIGHT, 6 + DOWN, 0, 1])
            else:
                i, j, _, x, y, _ = page[33922].value
                assert (x + (0 - i) * 30, y - (0 - j) * 30) == (500000 + RIGHT * 30, 4100000 - DOWN * 30)


def test_position_on_a_page_and_origin_of_imagej(tmp_path: Path) -> None:
    tifffile: Any = pytest.importorskip("tifffile")
    where = [(286, "2I", 1, (5, 2), True), (287, "2I", 1, (1, 3), True)]
    resolution = ((20000, 1), (40000, 3))
    tifffile.imwrite(tmp_path / "a.tif", VALUES[0], extratags=where, resolution=resolution, resolutionunit=3)
    cropped(tmp_path / "a.tif", tmp_path / "b.tif")
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        (a, b), (c, d) = (file.pages.first.tags[code].value for code in (286, 287))
    assert (a / b, c / d) == pytest.approx((2.5 + RIGHT / 20000, 1 / 3 + DOWN * 3 / 40000), rel=1e-9)
    metadata = {"axes": "ZYX", "unit": "um", "xorigin": 12.0}
    tifffile.imwrite(tmp_path / "i.tif", VALUES, imagej=True, resolution=(2, 2), metadata=metadata)
    cropped(tmp_path / "i.tif", tmp_path / "j.tif")
    with tifffile.TiffFile(tmp_path / "j.tif") as file:
        assert file.imagej_metadata["xorigin"] == 12.0 - RIGHT
        assert "yorigin" not in file.imagej_metadata


def test_the_command_line_crops_in_place(tmp_path: Path, run: Callable[..., tuple[int, str, str]]) -> None:
    nib: Any = pytest.importorskip("nibabel")
    nib.save(nib.Nifti1Image(VALUES.transpose(2, 1, 0), OBLIQUE), tmp_path / "a.nii")
    words = ("denoise", tmp_path / "a.nii", "--method", "median", "--crop", f"{DOWN}:20,{RIGHT}:", "-q")
    code, _, said = run(*words, "-o", tmp_path / "b.nii")
    assert code == 0, said
    affine = nib.load(tmp_path / "b.nii").affine
    assert np.allclose(affine[:, 3], OBLIQUE @ [RIGHT, DOWN, 0, 1], atol=1e-4)
