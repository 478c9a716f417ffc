"""Damaged and hostile files: a HushError or an image, never another exception, a hang, or memory for a false claim."""

from __future__ import annotations

import io as streams
import struct
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from hush import io
from hush.core.errors import HushError
from hush.core.image import Image

LITTLE = b"\0" * 8  # all the pixels that these files hold


def bmp(width: int, height: int, bits: int = 24, compression: int = 0, data: bytes = LITTLE) -> bytes:
    palette = b"\0\1\2\0" * (1 << bits) if bits <= 8 else b""
    start = 54 + len(palette)
    head = struct.pack("<2sIHHI", b"BM", start + len(data), 0, 0, start)
    return head + struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, compression, 0, 1, 1, 0, 0) + palette + data


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, depth: int = 8, colour: int = 2, extra: bytes = b"", data: bytes = LITTLE) -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + extra + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


def npy(shape: tuple[int, ...], dtype: str = "<f8", data: bytes = LITTLE) -> bytes:
    head = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(head)) + head.encode() + data


def jpeg(width: int, height: int, **how: object) -> bytes:
    stream = streams.BytesIO()
    Pillow.new("RGB", (64, 64)).save(stream, "JPEG", **how)
    raw = stream.getvalue()
    at = next(i for i in (raw.find(b"\xff\xc0"), raw.find(b"\xff\xc2")) if i > 0)
    return raw[: at + 5] + struct.pack(">HH", height, width) + raw[at + 9 :]


CLAIMS = {
    "rgb.bmp": bmp(3_000_000, 2_000_000),
    "top down.bmp": bmp(3_000_000, -2_000_000),
    "grey.bmp": bmp(100_000, 100_000, 8),
    "bits.bmp": bmp(2**31 - 1, 2**31 - 1, 1),
    "alpha.bmp": bmp(40_000, 30_000, 32),
    "runs.bmp": bmp(300_000, 200_000, 8, 1),
    "runs of 4.bmp": bmp(300_000, 200_000, 4, 2),
    "largest.png": png(2**31 - 1, 2**31 - 1),
    "rgb.png": png(100_000, 100_000),
    "rgba16.png": png(50_000, 50_000, 16, 6),
    "bits.png": png(200_000, 200_000, 1, 0),
    "large.npy": npy((3_000_000, 2_000_000)),
    "overflow.npy": npy((2**33, 2**31)),
    "overflow to nothing.npy": npy((2**32, 2**32)),
    "negative.npy": npy((-1, 5)),
    "bytes.npy": npy((100_000, 100_000), "|u1"),
    "baseline.jpg": jpeg(65_500, 65_500),
    "progressive.jpg": jpeg(65_500, 65_500, progressive=True),
    "wide.jpg": jpeg(65_500, 2_000),
}


def test_a_false_claim_is_refused_from_the_header(tmp_path: Path) -> None:
    """In a process of its own, since memory that was taken once cannot be told from memory that is."""
    for name, content in CLAIMS.items():
        (tmp_path / name).write_bytes(content)
    code = (
        "import resource, sys, time, hush, PIL.BmpImagePlugin, PIL.JpegImagePlugin, imagecodecs\n"
        "resource.setrlimit(resource.RLIMIT_AS, (12 * 2**30,) * 2)\n"  # where it fails, it must not take the machine
        "for path in sys.argv[1:]:\n"
        "    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "    begun = time.process_time()\n"
        "    try: hush.read(path)\n"
        "    except hush.HushError: pass\n"
        "    else: print(path, 'was read')\n"
        "    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "    if after - before > 30_000 or time.process_time() - begun > 2: print(path, after - before, 'kB')\n"
    )
    words = [sys.executable, "-c", code, *(str(tmp_path / name) for name in CLAIMS)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


@pytest.mark.parametrize("size", [(1, 1), (7, 5), (4000, 3000)])
@pytest.mark.parametrize("suffix", [".png", ".bmp", ".jpg", ".npy"])
def test_an_honest_picture_of_one_colour_is_read(tmp_path: Path, suffix: str, size: tuple[int, int]) -> None:
    """Nothing compresses further: what is refused must be more than that."""
    path = tmp_path / f"a{suffix}"
    io.write(path, Image(np.zeros(size, np.uint8), "YX"))
    assert io.read(path).data.shape == size


@pytest.mark.parametrize("depth", [8, 4])
def test_honest_runs_are_read(tmp_path: Path, depth: int) -> None:
    path = tmp_path / "a.bmp"
    run, end = bytes([60, 0]), b"\0\0"
    path.write_bytes(bmp(60, 40, depth, 3 - depth // 4, (run + end) * 40 + b"\0\1"))
    assert io.read(path).data.shape[:2] == (40, 60)


def test_a_text_that_is_a_bomb_is_left_out(tmp_path: Path) -> None:
    bomb = zlib.compress(b" " * 2**28)
    texts = chunk(b"zTXt", b"Description\0\0" + bomb) + chunk(b"iTXt", b"hush\0\1\0\0\0" + bomb)
    (tmp_path / "a.png").write_bytes(png(1, 1, extra=texts, data=b"\0" * 4))
    code = (
        "import resource, sys, hush, imagecodecs\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "assert hush.read(sys.argv[1]).meta['description'] == ''\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    words = [sys.executable, "-c", code, str(tmp_path / "a.png")]
    assert int(subprocess.run(words, capture_output=True, text=True, check=True).stdout) < 120_000


# -- what is damaged by chance --------------------------------------------------------------------------


def encoded(suffix: str, data: np.ndarray) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"a{suffix}"
        image = Image(data, "YX" if data.ndim == 2 else "YXS", {"Y": 0.5, "X": 0.5}, "µm")
        io.write(path, image.with_meta(description="words", hush={"method": "n2v"}))
        return path.read_bytes()


GREY = np.random.default_rng(0).integers(0, 255, (9, 12), np.uint8)
COLOUR = np.random.default_rng(0).integers(0, 255, (9, 12, 3), np.uint8)
WHOLE = {
    f"{suffix} {data.dtype} {data.ndim}": (suffix, encoded(suffix, data))
    for suffix, kinds in {
        ".png": [GREY, COLOUR, GREY > 99, GREY.astype(np.uint16) * 257],
        ".bmp": [GREY, COLOUR, GREY > 99, np.dstack([COLOUR, GREY])],
        ".npy": [GREY, GREY.astype(np.float32), COLOUR.astype(">i4")],
        ".jpg": [GREY, COLOUR],
    }.items()
    for data in kinds
} | {"runs": (".bmp", bmp(60, 9, 8, 1, bytes([60, 0, 0, 0]) * 9 + b"\0\1"))}


@st.composite
def damaged(draw: st.DrawFn) -> tuple[str, bytes]:
    """A file cut short, with bytes changed (headers more often than pixels), or a piece taken out or doubled."""
    suffix, whole = WHOLE[draw(st.sampled_from(sorted(WHOLE)))]
    raw, size = bytearray(whole), len(whole)
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, min(80, size - 1)) | st.integers(0, size - 1))
        raw[at] = draw(st.sampled_from([0, 1, 0x7F, 0x80, 0xFF]) | st.integers(0, 255))
    first, last = sorted((draw(st.integers(0, size)), draw(st.integers(0, size))))
    how = draw(st.sampled_from(["as it is", "cut", "without a piece", "a piece twice", "longer"]))
    return suffix, bytes(
        {
            "as it is": raw,
            "cut": raw[:last],
            "without a piece": raw[:first] + raw[last:],
            "a piece twice": raw[:last] + raw[first:],
            "longer": raw + raw[first:last],
        }[how]
    )


def with_true_checksums(raw: bytes) -> bytes:
    """Set the checksums of a PNG right: else nearly all damage is found by them, and what is behind is not tested."""
    fixed, at = bytearray(raw), 8
    while at + 12 <= len(fixed):
        end = at + 8 + int.from_bytes(fixed[at : at + 4], "big")
        if end + 4 > len(fixed):
            break
        fixed[end : end + 4] = struct.pack(">I", zlib.crc32(fixed[at + 4 : end]))
        at = end + 4
    return bytes(fixed)


@settings(max_examples=400, deadline=5000, suppress_health_check=[HealthCheck.too_slow])
@given(damaged(), st.booleans())
def test_damage_gives_an_image_or_a_hush_error(file: tuple[str, bytes], fixed: bool) -> None:
    suffix, raw = file
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"a{suffix}"
        path.write_bytes(with_true_checksums(raw) if fixed and suffix == ".png" else raw)
        try:
            image = io.read(path)
        except HushError as error:
            assert path.name in str(error)
        else:
            assert image.data.nbytes <= 2**27  # 16 million pixels of two colours or three
            assert {"Y", "X"} <= set(image.axes)
