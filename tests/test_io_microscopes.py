"""Files of microscopes that can be read only: the pixels that their library gives, names and sizes of what is there."""

from __future__ import annotations

import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hush import io
from hush.core.errors import FormatError, HushError
from hush.core.image import Image
from hush.io import spe

SHARED = Path(__file__).parents[2] / "shared" / "data"
RNG = np.random.default_rng(0)


def shared(name: str, *libraries: str) -> Path:
    for library in libraries:
        pytest.importorskip(library)
    if not (SHARED / name).exists():
        pytest.skip("the shared data are not here")
    return SHARED / name


def as_ome_tiff(tmp_path: Path, image: Image) -> None:
    """What is read only is written as OME-TIFF: with the same axes, pixel sizes and channels."""
    target = tmp_path / "result.ome.tif"
    io.write(target, image)
    again = io.read(target)
    np.testing.assert_array_equal(again.data, image.data)
    assert (again.axes, again.unit) == (image.axes, image.unit)
    assert dict(again.scale) == pytest.approx(dict(image.scale))
    assert again.meta["channels"] == image.meta["channels"]


READ_ONLY = {
    "cluster.nd2": "nd2", "2channel_xz.lif": "liffile", "CD_s_1_t_3_c_2_z_5.czi": "pylibCZIrw", "spestack.spe": "numpy",
}  # fmt: skip


@pytest.mark.parametrize("name", READ_ONLY)
def test_they_cannot_be_written_and_are_told_so(tmp_path: Path, name: str) -> None:
    source = shared(f"formats_micro/{name}", READ_ONLY[name])
    assert io.beside(source, "_denoised").name.endswith("_denoised.ome.tif")
    with pytest.raises(FormatError, match=r"\.tif"):
        io.check_output(tmp_path / name)


@pytest.mark.parametrize("name", READ_ONLY)
def test_cut_and_strange_files_are_refused(tmp_path: Path, name: str) -> None:
    source, path = shared(f"formats_micro/{name}", READ_ONLY[name]), tmp_path / name
    raw = source.read_bytes()
    whole, refused = io.read(source).data, 0
    for tenth in range(1, 10):
        path.write_bytes(raw[: len(raw) * tenth // 10])
        try:
            image = io.read(path)
        except HushError as error:
            assert name in str(error)
            refused += 1
        else:  # of several images the first may be whole
            np.testing.assert_array_equal(image.data, whole)
    assert refused == 9 or (name.endswith(".lif") and refused)
    path.write_bytes(b"x" * 9000)
    with pytest.raises(FormatError):
        io.read(path)


@pytest.mark.parametrize(
    ("suffix", "library"), [(".nd2", "nd2"), (".lif", "liffile"), (".oib", "oiffile"), (".czi", "pylibCZIrw.czi")]
)
def test_a_library_that_is_not_here_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, library: str
) -> None:
    magic = {".nd2": b"\xda\xce\xbe\x0a", ".czi": b"ZISRAWFILE"}
    (tmp_path / f"a{suffix}").write_bytes(magic.get(suffix, b"") + b"x" * 99)
    monkeypatch.setitem(sys.modules, library, None)
    monkeypatch.setitem(sys.modules, library.partition(".")[0], None)
    with pytest.raises(FormatError, match="pip install"):
        io.read(tmp_path / f"a{suffix}")


# -- ND2 ------------------------------------------------------------------------------------------------


def test_nd2(tmp_path: Path) -> None:
    source = shared("formats_micro/cluster.nd2", "nd2")
    import nd2

    image = io.read(source)
    np.testing.assert_array_equal(image.data, nd2.imread(source))
    assert (image.axes, image.data.shape, image.unit) == ("TZCYX", (3, 10, 2, 31, 38), "µm")
    assert dict(image.scale) == pytest.approx({"X": 0.167809, "Y": 0.167809, "Z": 0.5}, rel=1e-5)
    assert image.meta["channels"] == ["5-FAM/pH 9.0", "FM 4-64/2% CHAPS"]
    with pytest.raises(FormatError, match="position 1"):
        io.read(source, choice=1)
    as_ome_tiff(tmp_path, image)


# -- LIF ------------------------------------------------------------------------------------------------


def test_lif(tmp_path: Path) -> None:
    source = shared("formats_micro/2channel_xz.lif", "liffile")
    import liffile

    with liffile.LifFile(source) as file:
        stored = [np.asarray(image.asarray()) for image in file.images]
    for choice, (name, axes) in enumerate({"xzt": "TCYX", "xzy": "YCZX", "xz": "CYX"}.items()):
        image = io.read(f"{source}:{name}")
        np.testing.assert_array_equal(image.data, stored[choice])
        assert image.axes == axes
        assert image.meta["channels"] == ["Green", "Red"]
        np.testing.assert_array_equal(io.read(source, choice=choice).data, stored[choice])
    assert dict(io.read(source).scale) == pytest.approx({"T": 0.53, "Y": 0.14028, "X": 0.14028}, rel=1e-4)
    as_ome_tiff(tmp_path, io.read(source))
    with pytest.raises(FormatError, match="xzy"):
        io.read(f"{source}:nothing")


# -- OIB ------------------------------------------------------------------------------------------------


def test_oib(tmp_path: Path) -> None:
    source = shared("Formats/micro/test.oib", "oiffile")
    import oiffile

    image = io.read(source)
    np.testing.assert_array_equal(image.data, oiffile.imread(source))
    assert (image.axes, image.data.max(), image.meta["channels"]) == ("CYX", 820, ["CH1", "Alexa Fluor 546", "TD1"])
    assert dict(image.scale) == pytest.approx({"X": 45.135 / 256, "Y": 45.135 / 256}, rel=2e-2)
    as_ome_tiff(tmp_path, image)
    raw, path = source.read_bytes(), tmp_path / "a.oib"
    for tenth in range(1, 10):
        path.write_bytes(raw[: len(raw) * tenth // 10])
        with pytest.raises(HushError, match=r"a\.oib"):
            io.read(path)


# -- CZI ------------------------------------------------------------------------------------------------


def made_czi(path: Path, data: dict[int, np.ndarray], **about: Any) -> Path:
    """Write scenes of axes TCZYX(S)."""
    czi = pytest.importorskip("pylibCZIrw.czi")
    with czi.create_czi(str(path)) as file:
        for scene, values in data.items():
            for t, c, z in np.ndindex(*values.shape[:3]):
                plane = values[t, c, z]
                file.write(
                    plane if plane.ndim == 3 else plane[..., np.newaxis],
                    plane={"T": t, "C": c, "Z": z}, scene=scene, location=(1000 * scene, 0),
                )  # fmt: skip
        file.write_metadata("made", **about)
    return path


def test_czi_scenes(tmp_path: Path) -> None:
    data = {scene: RNG.integers(0, 4000, (2, 3, 4, 20 + scene, 30)).astype(np.uint16) for scene in (0, 1)}
    names = {0: "DAPI", 1: "GFP", 2: "RFP"}
    path = made_czi(tmp_path / "a.czi", data, channel_names=names, scale_x=1e-7, scale_y=1e-7, scale_z=5e-7)
    for scene, values in data.items():
        image = io.read(f"{path}:{scene}")
        np.testing.assert_array_equal(image.data, values)
        assert (image.axes, image.unit) == ("TCZYX", "µm")
        assert dict(image.scale) == pytest.approx({"X": 0.1, "Y": 0.1, "Z": 0.5})
        assert image.meta["channels"] == list(names.values())
    assert io.read(path).data.shape == data[0].shape
    with pytest.raises(FormatError, match="scene 2"):
        io.read(f"{path}:2")
    as_ome_tiff(tmp_path, io.read(path))


@pytest.mark.parametrize("kind", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("colours", [False, True])
def test_czi_kinds_of_numbers(tmp_path: Path, kind: str, colours: bool) -> None:
    if colours and kind == "float32":
        pytest.skip("the library does not write them")
    values = RNG.integers(0, 200, (1, 1, 1, 20, 30, *((3,) if colours else ()))).astype(kind)
    stored = {0: values[..., ::-1] if colours else values}  # it writes blue first
    image = io.read(made_czi(tmp_path / "a.czi", stored))
    np.testing.assert_array_equal(image.data, values[0, 0, 0])
    assert (image.axes, image.data.dtype.name) == ("YXS" if colours else "YX", kind)


POLARISED = ["Bright", *(f"Pol_{angle}" for angle in range(0, 90, 15))]


@pytest.mark.parametrize(("name", "axes", "shape", "channels"), [
    ("formats_micro/CD_s_1_t_3_c_2_z_5.czi", "TCZYX", (3, 2, 5, 170, 240), ["LED555", "LED470"]),
    ("formats_micro/RGB-multichannel.czi", "CYXS", (7, 81, 147, 3), POLARISED),
    ("Formats/micro/tiles.czi", "CYX", (2, 512, 510), ["Ch1", "T PMT"]),
])  # fmt: skip
def test_czi_real_files(name: str, axes: str, shape: tuple[int, ...], channels: list[str]) -> None:
    image = io.read(shared(name, "pylibCZIrw"))
    assert (image.axes, image.data.shape) == (axes, shape)
    assert image.meta["channels"] == channels
    assert np.asarray(image.data).std() > 0


# -- SPE ------------------------------------------------------------------------------------------------


def made_spe(path: Path, data: np.ndarray, gap: int = 0, regions: int = 1) -> Path:
    """Write frames; with a gap between them as version 3 stores what it measured."""
    raw = bytearray(spe.HEADER_OF_SPE)
    number = next(n for n, kind in spe.KINDS_OF_SPE.items() if np.dtype(kind) == data.dtype)
    for kind, at, value in (("<H", 42, data.shape[2]), ("<H", 656, data.shape[1]), ("<h", 108, number)):
        struct.pack_into(kind, raw, at, value)
    struct.pack_into("<i", raw, 1446, data.shape[0])
    struct.pack_into("<f", raw, 1992, 3.0 if gap else 2.5)
    raw[200:211] = b"sample of 7"
    pixels = b"".join(frame.tobytes() + b"\xff" * gap for frame in data)
    xml = ""
    if gap:
        struct.pack_into("<Q", raw, 678, len(raw) + len(pixels))
        region = f'<DataBlock type="Region" count="1" width="{data.shape[2]}" height="{data.shape[1]}"/>'
        size = data[0].nbytes
        xml = (
            '<SpeFormat xmlns="http://www.princetoninstruments.com/spe/2009"><DataFormat>'
            f'<DataBlock type="Frame" size="{size}" stride="{size + gap}">{region * regions}</DataBlock>'
            "</DataFormat></SpeFormat>"
        )
    path.write_bytes(bytes(raw) + pixels + xml.encode())
    return path


@pytest.mark.parametrize("kind", ["<f4", "<i4", "<i2", "<u2", "u1", "<u4"])
@pytest.mark.parametrize("gap", [0, 16])
def test_spe(tmp_path: Path, kind: str, gap: int) -> None:
    data = RNG.integers(0, 100, (3, 9, 8)).astype(kind)
    image = io.read(made_spe(tmp_path / "a.spe", data, gap))
    np.testing.assert_array_equal(image.data, data)
    assert (image.axes, image.data.dtype, image.meta["description"]) == ("TYX", data.dtype, "sample of 7")


def test_spe_large_files_are_mapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spe, "MAP_FROM", 1)
    data = RNG.integers(0, 100, (3, 9, 8)).astype("<u2")
    image = io.read(made_spe(tmp_path / "a.spe", data))
    assert isinstance(image.data, np.memmap)
    np.testing.assert_array_equal(image.data, data)


def test_spe_regions_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="2 regions"):
        io.read(made_spe(tmp_path / "a.spe", np.ones((2, 9, 8), "<u2"), 4, regions=2))


def test_spe_real_file(tmp_path: Path) -> None:
    source = shared("formats_micro/spestack.spe")
    image = io.read(source)
    raw = np.frombuffer(source.read_bytes(), "<u2", 5 * 128 * 128, 4100).reshape(5, 128, 128)
    np.testing.assert_array_equal(image.data, raw)
    assert image.axes == "TYX"
    as_ome_tiff(tmp_path, image)


# -- DM3, DM4 -------------------------------------------------------------------------------------------


def made_dm(path: Path, data: np.ndarray, version: int, order: str = "<") -> Path:
    """Write a thumbnail and an image with calibrations of 0.5 nm."""
    word = ">I" if version == 3 else ">Q"

    def tag(name: str, body: bytes, mark: int) -> bytes:
        size = struct.pack(">Q", len(body)) if version == 4 else b""
        return struct.pack(">BH", mark, len(name)) + name.encode() + size + body

    def group(**tags: bytes) -> bytes:
        return b"\0\0" + struct.pack(word, len(tags)) + b"".join(tags.values())

    def number(name: str, kind: int, code: str, value: float) -> bytes:
        body = b"%%%%" + struct.pack(word, 1) + struct.pack(word, kind) + struct.pack(order + code, value)
        return tag(name, body, 21)

    def array(name: str, kind: int, raw: bytes, length: int) -> bytes:
        kinds = b"".join(struct.pack(word, one) for one in (20, kind, length))
        return tag(name, b"%%%%" + struct.pack(word, 3) + kinds + raw, 21)

    def image(values: np.ndarray, kind: int, code: int) -> bytes:
        sizes = {str(i): number("", 5, "I", size) for i, size in enumerate(reversed(values.shape))}
        unit = array("Units", 4, "nm".encode("utf-16-le" if order == "<" else "utf-16-be"), 2)
        each = group(a=number("Scale", 6, "f", 0.5), b=unit)
        dimensions = {str(i): tag("", each, 20) for i in range(values.ndim)}
        calibrations = group(a=tag("Dimension", group(**dimensions), 20))
        raw = values.astype(order + values.dtype.str[1:]).tobytes()
        body = group(
            a=tag("Calibrations", calibrations, 20), b=array("Data", kind, raw, values.size),
            c=number("DataType", 5, "I", code), d=tag("Dimensions", group(**sizes), 20),
        )  # fmt: skip
        return tag("", group(a=tag("ImageData", body, 20)), 20)

    listed = group(a=image(np.zeros((4, 4), np.uint8), 9, 6), b=image(data, 4, 10))
    tree = group(a=tag("ImageList", listed, 20))
    path.write_bytes(struct.pack(">I", version) + struct.pack(word, len(tree)) + struct.pack(">I", order == "<") + tree)
    return path


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("version", [3, 4])
@pytest.mark.parametrize("shape", [(30, 40), (3, 70, 50)])
def test_dm(tmp_path: Path, version: int, order: str, shape: tuple[int, ...]) -> None:
    data = RNG.integers(0, 60000, shape).astype(np.uint16)
    path = made_dm(tmp_path / f"a.dm{version}", data, version, order)
    image = io.read(path)
    np.testing.assert_array_equal(image.data, data)
    assert (image.axes, image.unit) == ("ZYX"[-len(shape) :], "nm")
    assert set(image.scale.values()) == {0.5}
    raw = path.read_bytes()
    for tenth in range(1, 10):
        path.write_bytes(raw[: len(raw) * tenth // 10])
        with pytest.raises(FormatError):
            io.read(path)
    path.write_bytes(b"x" * 999)
    with pytest.raises(FormatError):
        io.read(path)


def test_dm3_real_file(tmp_path: Path) -> None:
    image = io.read(shared("Formats/micro/test_STEM_image.dm3"))
    assert (image.data.shape, image.data.dtype, image.unit) == ((68, 68), np.uint32, "nm")
    assert 0 < image.data.std() < image.data.max() < 2**24
    as_ome_tiff(tmp_path, image)


# -- SER ------------------------------------------------------------------------------------------------


def made_ser(path: Path, data: np.ndarray, kind: int, version: int) -> Path:
    wide = "Q" if version >= 0x220 else "I"
    start = 22 + struct.calcsize(f"<{wide}") + 4
    elements = [
        struct.pack("<ddiddiHII", 0, 2e-9, 0, 0, 3e-9, 0, kind, data.shape[2], data.shape[1]) + one[::-1].tobytes()
        for one in data
    ]
    first = start + 2 * len(data) * struct.calcsize(f"<{wide}")
    places = [first + sum(map(len, elements[:place])) for place in range(len(data))]
    head = b"II\x97\x01" + struct.pack("<HIIII", version, 0x4122, 0x4152, len(data), len(data))
    table = struct.pack(f"<{len(data)}{wide}", *places) + b"\0" * len(data) * struct.calcsize(f"<{wide}")
    path.write_bytes(head + struct.pack(f"<{wide}I", start, 0) + table + b"".join(elements))
    return path


@pytest.mark.parametrize("version", [0x210, 0x220])
@pytest.mark.parametrize(("kind", "number"), [("u1", 1), ("<u2", 2), ("<i4", 6), ("<f4", 7)])
def test_ser(tmp_path: Path, version: int, kind: str, number: int) -> None:
    data = RNG.integers(0, 100, (3, 30, 20)).astype(kind)
    path = made_ser(tmp_path / "a.ser", data, number, version)
    image = io.read(path)
    np.testing.assert_array_equal(image.data, data)
    assert image.axes == "TYX"
    assert dict(image.scale) == pytest.approx({"X": 0.002, "Y": 0.003})
    raw = path.read_bytes()
    for tenth in range(1, 10):
        path.write_bytes(raw[: len(raw) * tenth // 10])
        with pytest.raises(FormatError):
            io.read(path)


def test_ser_real_file(tmp_path: Path) -> None:
    image = io.read(shared("Formats/micro/64x64_TEM.ser"))
    assert (image.data.shape, image.axes) == ((64, 64), "YX")
    as_ome_tiff(tmp_path, image)


# -- LSM ------------------------------------------------------------------------------------------------


def made_lsm(path: Path, data: np.ndarray) -> Path:
    """Write a stack (Z, Y, X) with the tag that Zeiss adds: sizes, and voxels of 0.1, 0.2 and 0.5 µm."""
    tifffile = pytest.importorskip("tifffile")
    z, y, x = data.shape
    info = struct.pack("<Ii5i3i", 67127628, 500, x, y, z, 1, 1, 2, 32, 32)
    info += struct.pack("<6dHHI", 1e-7, 2e-7, 5e-7, 0, 0, 0, 0, 0, 0)
    tags = [(34412, 1, 500, info.ljust(500, b"\0"), True)]
    with tifffile.TiffWriter(path) as writer:
        for plane in data:
            writer.write(plane, extratags=tags, metadata=None, contiguous=False)
            writer.write(plane[::2, ::2].astype(np.uint8), metadata=None, contiguous=False, subfiletype=1)
            tags = []
    return path


def test_lsm(tmp_path: Path) -> None:
    data = RNG.integers(0, 999, (3, 30, 40)).astype(np.uint16)
    path = made_lsm(tmp_path / "a.lsm", data)
    image = io.read(path)
    np.testing.assert_array_equal(np.squeeze(image.data), data)
    assert [axis for axis in image.axes if image.sizes[axis] > 1] == [*"ZYX"]
    assert dict(image.scale) == pytest.approx({"X": 0.1, "Y": 0.2, "Z": 0.5})
    assert io.beside(path, "_denoised").name == "a_denoised.ome.tif"
    as_ome_tiff(tmp_path, image)
    raw = path.read_bytes()
    for tenth in range(1, 10):
        path.write_bytes(raw[: len(raw) * tenth // 10])
        with pytest.raises(HushError, match=r"a\.lsm"):
            io.read(path)
