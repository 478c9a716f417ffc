"""The decoders of compressed DICOM pixels: a plugin of pydicom that calls imagecodecs, which hush has anyway."""

from __future__ import annotations

import logging
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from hush.core.errors import FormatError
from hush.core.image import Array
from hush.io._common import need

PLUGIN = "hush"
BASELINE, EXTENDED = "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51"
JPEG_LOSSLESS = ("1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70")  # JPEG process 14, any and first-order prediction
JPEG_LS = ("1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81")
JPEG_2000 = ("1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91")
HTJ2K = ("1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.4.202", "1.2.840.10008.1.2.4.203")
RLE = "1.2.840.10008.1.2.5"
DECODED_SYNTAXES = (BASELINE, EXTENDED, *JPEG_LOSSLESS, *JPEG_LS, *JPEG_2000, *HTJ2K)

# bytes that one of a frame can become at most; a run of JPEG-LS, an empty packet of JPEG 2000 can be very long
DENSEST_DICOM = {RLE: 64, BASELINE: 2**12, EXTENDED: 2**12, JPEG_LOSSLESS[0]: 32, JPEG_LOSSLESS[1]: 32}
DENSEST_WAVELET = 2**16

DECODER_DEPENDENCIES = dict.fromkeys(
    DECODED_SYNTAXES, ("imagecodecs",)
)  # pydicom asks for it where a decoder is missing

FRAME_MARKERS = (*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0), 0xF7)  # 0xF7: JPEG-LS
APP14_MARKER = 0xEE  # Adobe's: its last byte says whether colours were transformed
WITHOUT_BODY = (0x01, *range(0xD0, 0xD9))


def is_available(uid: str) -> bool:
    """Whether pydicom may use this plugin for a transfer syntax."""
    return uid in DECODED_SYNTAXES


def register() -> None:
    """Tell pydicom of the plugin, once."""
    pixels = need("pydicom.pixels", "medical")
    for uid in DECODED_SYNTAXES:
        decoder = pixels.get_decoder(uid)
        if PLUGIN not in decoder.available_plugins:
            decoder.add_plugin(PLUGIN, (__name__, "decode_frame"))


@contextmanager
def discreet() -> Iterator[None]:
    """Let pydicom say nothing while it works: what it says may quote the header, where the patient's name is."""
    log = logging.getLogger("pydicom")
    before = log.level
    log.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(before)


def decode_frame(src: bytes, runner: Any) -> bytes:
    """Return the pixels of one frame as pydicom wants them: bytes, and in `runner` what they are.

    Raises
    ------
    FormatError
        When the frame is of another size than the header says; before it is decoded.
    """
    uid = str(runner.transfer_syntax)
    height, width, adobe = frame_size(src)
    if (height, width) != (runner.rows, runner.columns):
        raise FormatError(
            f"its frame has {height} x {width} pixels, and its header says {runner.rows} x {runner.columns}"
        )
    data = _pixels(src, uid)
    if data.ndim == 3 and runner.samples_per_pixel > 1:
        runner.set_option("planar_configuration", 0)
        _set_colours(runner, uid, adobe)
    size = runner.rows * runner.columns * runner.samples_per_pixel
    if data.size != size:
        raise FormatError(f"its frame holds {data.size} values, and its header says {size}")
    runner.set_option("bits_allocated", 8 * data.dtype.itemsize)
    return np.ascontiguousarray(data).tobytes()


def _pixels(src: bytes, uid: str) -> Array:
    import imagecodecs

    if uid in JPEG_LS:
        return imagecodecs.jpegls_decode(src)
    if uid in JPEG_2000:
        return imagecodecs.jpeg2k_decode(src)
    if uid in HTJ2K:
        return imagecodecs.htj2k_decode(src)
    if uid in JPEG_LOSSLESS:
        try:
            return imagecodecs.ljpeg_decode(src)
        except Exception:  # colours, which it does not know
            return imagecodecs.jpegsof3_decode(src)
    # colours as they are stored: whether they are to be transformed the header says, not the decoder's guess
    return (
        imagecodecs.jpeg8_decode(src, colorspace="YCBCR", outcolorspace="YCBCR")
        if _colours(src)
        else (imagecodecs.jpeg8_decode(src))
    )


def _set_colours(runner: Any, uid: str, adobe: int | None) -> None:
    """Say what the decoded colours are, where decoding changed them or the stream knows better than the header."""
    if uid in (*JPEG_2000, *HTJ2K) and runner.photometric_interpretation in ("YBR_ICT", "YBR_RCT"):
        runner.set_option("photometric_interpretation", "RGB")
    elif uid in (BASELINE, EXTENDED) and adobe is not None:
        runner.set_option("photometric_interpretation", "YBR_FULL" if adobe else "RGB")


def frame_size(src: bytes) -> tuple[int, int, int | None]:
    """Return height and width of a frame from its own markers, and Adobe's colour transform where it says one.

    Examples
    --------
    >>> import imagecodecs
    >>> frame_size(imagecodecs.jpegls_encode(np.zeros((3, 5), np.uint8)))
    (3, 5, None)
    """
    if src[:2] == b"\xff\x4f" and len(src) >= 24:  # JPEG 2000: SIZ comes first
        right, lower, left, upper = struct.unpack(">4I", src[8:24])
        return lower - upper, right - left, None
    if src[4:8] == b"jP  " and (at := src.find(b"\xff\x4f\xff\x51")) >= 0:  # a whole JP2 file, against the standard
        return frame_size(src[at:])
    adobe = None
    for marker, body in _segments(src):
        if marker == APP14_MARKER and body.startswith(b"Adobe") and len(body) >= 12:
            adobe = body[11]
        if marker in FRAME_MARKERS and len(body) >= 6:
            height, width = struct.unpack(">HH", body[1:5])
            return height, width, adobe
    raise FormatError("a frame of it is cut short or damaged: it states no size")


def _colours(src: bytes) -> bool:
    """Whether a JPEG has three components."""
    return any(marker in FRAME_MARKERS and len(body) >= 6 and body[5] == 3 for marker, body in _segments(src))


def _segments(src: bytes) -> Iterator[tuple[int, bytes]]:
    """Every marker of a JPEG before its first scan."""
    at = 2
    while at + 4 <= len(src):
        marker = src[at + 1]
        if src[at] != 0xFF or marker == 0xFF:
            at += 1
        elif marker in WITHOUT_BODY:
            at += 2
        elif marker == 0xDA:  # the scan
            return
        else:
            length = int.from_bytes(src[at + 2 : at + 4], "big")
            yield marker, src[at + 4 : at + 2 + length]
            at += 2 + max(length, 2)
