"""EXIF, colour profile, XMP and orientation: byte for byte within a format, and carried to another."""

from __future__ import annotations

import io as streams
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow
from PIL import ImageCms, JpegImagePlugin

from hush import io
from hush.core.image import Image
from hush.io import _exif

SHARED = Path(__file__).parents[2] / "shared" / "data"
NOTE = {"version": "0.1.0", "method": "n2v"}
XMP = b"<?xpacket begin='\xef\xbb\xbf'?><x:xmpmeta xmlns:x='adobe:ns:meta/'>a text</x:xmpmeta><?xpacket end='w'?>"
SUFFIXES = [".jpg", ".png", ".webp", ".jxl", ".avif"]


def picture(shape: tuple[int, ...] = (48, 64, 3)) -> np.ndarray:
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    plane = np.asarray(rows + columns, "u1")
    return plane if len(shape) == 2 else np.stack([plane + np.uint8(30 * n) for n in range(shape[2])], -1)


def exif_of(orientation: int, description: str = "") -> bytes:
    exif = Pillow.Exif()
    exif[271] = "a maker"
    exif[274] = orientation
    if description:
        exif[270] = description
    inner = exif.get_ifd(0x8769)
    inner[33434], inner[37500] = 0.25, b"a maker's note \x00\xff" * 9
    return exif.tobytes().removeprefix(_exif.EXIF_MARK)


def profile(space: str = "sRGB") -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile(space)).tobytes()  # type: ignore[arg-type]


def again(path: Path, image: Image) -> Image:
    io.write(path, image, overwrite=True)
    return io.read(path)


# -- every format ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", SUFFIXES)
@pytest.mark.parametrize("source", SUFFIXES)
def test_it_goes_from_every_format_to_every_other(tmp_path: Path, source: str, target: str) -> None:
    """JPEG XL has its profile among the pixels, where it is not written: all else must come."""
    meta = {"embedded": {"exif": exif_of(6, "a word"), "icc": profile(), "xmp": XMP, "orientation": 6}}
    first = again(tmp_path / f"a{source}", Image(picture(), "YXS", meta={**meta, "description": "a word"}))
    expected = dict(meta["embedded"])
    if source == ".jxl":
        expected.pop("icc")
    assert first.meta["embedded"] == expected
    second = again(tmp_path / f"b{target}", first.with_meta(hush=NOTE))
    if target == ".jxl":
        expected.pop("icc", None)
    assert second.meta["embedded"] == expected
    assert second.data.shape == (48, 64, 3), "as it is stored, not turned"
    assert (second.meta["description"], second.meta["hush"]) == ("a word", NOTE)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".avif"])
def test_pillow_finds_it(tmp_path: Path, suffix: str) -> None:
    meta = {"embedded": {"exif": exif_of(3), "icc": profile(), "xmp": XMP, "orientation": 3}}
    io.write(tmp_path / f"a{suffix}", Image(picture(), "YXS", meta=meta))
    with Pillow.open(tmp_path / f"a{suffix}") as found:
        assert found.getexif()[274] == 3
        assert found.getexif().get_ifd(0x8769)[37500] == b"a maker's note \x00\xff" * 9
        assert found.info["icc_profile"] == profile()
        xmp = found.info.get("xmp") or found.info["XML:com.adobe.xmp"].encode()
        assert xmp == XMP


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".avif"])
def test_a_profile_of_other_colours_is_left_out(tmp_path: Path, suffix: str) -> None:
    image = Image(picture((48, 64)), "YX", meta={"embedded": {"icc": profile()}})
    assert "icc" not in again(tmp_path / f"a{suffix}", image).meta["embedded"]


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_exif_states_an_orientation_that_was_beside_the_pixels(tmp_path: Path, suffix: str) -> None:
    """AVIF and JPEG XL turn by themselves whatever EXIF says; a format that does not must say the same there."""
    for exif, stated in ((b"", 8), (exif_of(6), 8), (exif_of(6), 1)):
        found = _exif.embedded(exif, orientation=stated)
        result = again(tmp_path / f"a{suffix}", Image(picture(), "YXS", meta={"embedded": found}))
        assert result.meta["embedded"].get("orientation", 1) == stated
        with Pillow.open(tmp_path / f"a{suffix}") as seen:
            assert seen.getexif().get(274, 1) == stated


# -- EXIF -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_field_is_set_and_the_others_stay(order: str) -> None:
    exif = Pillow.Exif()
    exif.endian = order
    exif[271], exif[305] = "a maker of cameras", "a program"
    exif.get_ifd(0x8769)[33434] = 0.5
    raw = exif.tobytes().removeprefix(_exif.EXIF_MARK)
    for tag, kind, body, value in (
        (274, _exif.SHORT_KIND, bytes([7]), 7),
        (270, _exif.ASCII_KIND, b"a description\0", "a description"),
        (270, _exif.ASCII_KIND, b"abc\0", "abc"),
    ):
        raw = _exif.with_field(raw, tag, kind, body)
        found = Pillow.Exif()
        found.load(_exif.EXIF_MARK + raw)
        assert (found[tag], found[271], found[305]) == (value, "a maker of cameras", "a program")
        assert found.get_ifd(0x8769)[33434] == 0.5
    assert (_exif.orientation_of(raw), _exif.description_of(raw)) == (7, "abc")


@pytest.mark.parametrize(
    "damaged", [b"", b"II*\0", b"II*\0\xff\xff\xff\xff\0\0", b"nonsense of some length", exif_of(6)[:14]]
)
def test_damaged_exif_says_nothing(damaged: bytes) -> None:
    assert (_exif.orientation_of(damaged), _exif.description_of(damaged)) == (1, "")


@pytest.mark.parametrize("suffix", [".webp", ".jpg", ".avif", ".jxl"])
@pytest.mark.parametrize("coding", ["utf-8", "latin-1"])
def test_a_description_is_read_as_it_was_meant(tmp_path: Path, suffix: str, coding: str) -> None:
    exif = _exif.with_field(b"", 270, _exif.ASCII_KIND, "5 µm".encode(coding) + b"\0")
    image = Image(picture(), "YXS", meta={"embedded": {"exif": exif}, "description": "5 µm"})
    assert again(tmp_path / f"a{suffix}", image).meta["description"] == "5 µm"
    assert again(tmp_path / f"b{suffix}", io.read(tmp_path / f"a{suffix}")).meta["description"] == "5 µm"


# -- JPEG -----------------------------------------------------------------------------------------------


def jpeg_facts(path: Path) -> dict[str, Any]:
    """Return everything about a JPEG file but its pixels and what hush said."""
    with JpegImagePlugin.JpegImageFile(path) as found:
        facts: dict[str, Any] = {str(key): value for key, value in found.info.items() if key != "comment"}
        facts["segments"] = [(kind, body) for kind, body in found.applist if not body.startswith(b"hush {")]
        facts["sampling"] = [layer[1:3] for layer in found.layer]
        facts["size"], facts["mode"] = found.size, found.mode
    return facts


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("subsampling", [0, 1, 2])
def test_all_of_a_jpeg_comes_back_but_its_pixels(tmp_path: Path, subsampling: int, progressive: bool) -> None:
    Pillow.fromarray(picture()).save(
        tmp_path / "a.jpg", exif=_exif.EXIF_MARK + exif_of(6), icc_profile=profile() * 200, comment=b"a comment",
        dpi=(150, 150), xmp=XMP, subsampling=subsampling, progressive=progressive, quality=70,
    )  # fmt: skip
    again(tmp_path / "b.jpg", io.read(tmp_path / "a.jpg").with_meta(hush=NOTE))
    assert jpeg_facts(tmp_path / "b.jpg") == jpeg_facts(tmp_path / "a.jpg")


def test_a_jpeg_is_never_coded_more_coarsely(tmp_path: Path) -> None:
    """Not than the input was, and not than at quality 95."""
    for quality in (50, 95, 100):
        for mode in ("L", "RGB"):
            Pillow.fromarray(picture()).convert(mode).save(tmp_path / "a.jpg", quality=quality)
            again(tmp_path / "b.jpg", io.read(tmp_path / "a.jpg"))
            Pillow.fromarray(picture()).convert(mode).save(tmp_path / "c.jpg", quality=95)
            tables = []
            for name in "abc":
                with JpegImagePlugin.JpegImageFile(tmp_path / f"{name}.jpg") as found:
                    tables.append(np.array([found.quantization[key] for key in sorted(found.quantization)]))
            np.testing.assert_array_equal(tables[1], np.minimum(tables[0], tables[2]))


@pytest.mark.skipif(not SHARED.is_dir(), reason="the photographs of shared/data are not here")
@pytest.mark.parametrize("pattern", ["Burst_handheld/1.jpg", "ImageNet_sample/*.JPEG", "MRI_brain_jpg/*.jpg"])
def test_all_of_real_jpegs_comes_back(tmp_path: Path, pattern: str) -> None:
    for path in sorted(SHARED.glob(pattern))[:8]:
        image = io.read(path)
        again(tmp_path / "b.jpg", image)
        before, after = jpeg_facts(path), jpeg_facts(tmp_path / "b.jpg")
        if before["sampling"] not in ([(1, 1)], [(1, 1)] * 3, [(2, 1), (1, 1), (1, 1)], [(2, 2), (1, 1), (1, 1)]):
            before.pop("sampling"), after.pop("sampling")  # what the encoder cannot make becomes 4:4:4
        if image.meta["warnings"]:  # of several pictures the first was read
            before.pop("segments"), after.pop("segments")
            before = {key: value for key, value in before.items() if not key.startswith("mp")}
        assert after == before, path.name


# -- PNG ------------------------------------------------------------------------------------------------


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def kinds_of(raw: bytes) -> list[bytes]:
    at, found = 8, []
    while at < len(raw):
        length, kind = struct.unpack(">I4s", raw[at : at + 8])
        found.append(kind)
        at += 12 + length
    return found


def test_a_png_keeps_what_says_that_it_may_be_copied(tmp_path: Path) -> None:
    stream = streams.BytesIO()
    Pillow.fromarray(picture()).save(stream, "PNG", exif=_exif.EXIF_MARK + exif_of(6), icc_profile=profile())
    raw = stream.getvalue()
    pixels, end = raw.index(b"IDAT") - 4, raw.index(b"IEND") - 4
    before = chunk(b"prVa", b"private") + chunk(b"prVA", b"of the pixels") + chunk(b"oFFs", bytes(9))
    after = chunk(b"tEXt", b"Author\0somebody") + chunk(b"laSt", b"behind the pixels")
    (tmp_path / "a.png").write_bytes(raw[:pixels] + before + raw[pixels:end] + after + raw[end:])
    image = io.read(tmp_path / "a.png")
    again(tmp_path / "b.png", image)
    kinds = kinds_of((tmp_path / "b.png").read_bytes())
    assert {b"prVa", b"oFFs", b"tEXt", b"laSt", b"iCCP", b"eXIf"} <= set(kinds)
    assert b"prVA" not in kinds
    assert kinds.index(b"laSt") > kinds.index(b"IDAT") > kinds.index(b"prVa")
    io.write(tmp_path / "c.png", io.read(tmp_path / "b.png"))
    assert (tmp_path / "c.png").read_bytes() == (tmp_path / "b.png").read_bytes()
