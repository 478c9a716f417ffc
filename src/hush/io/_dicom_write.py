"""A denoised DICOM file: the header of its input, what the standard wants of a derived image, and the new pixels."""

from __future__ import annotations

import hashlib
import math
import struct
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hush.core.errors import FormatError
from hush.core.image import Array
from hush.io import _dicom_decode as decode
from hush.io import _dicom_place as place
from hush.io import _dicom_read as single
from hush.io._common import need, to_note

DERIVATION_MOST = 1024  # characters of a derivation description (value representation ST)
SOURCE_PURPOSE = ("121322", "DCM", "Source image for image processing operation")  # context group 7202
SEGMENTS_MOST = 15  # byte planes that a frame of RLE has at most
UUID_ROOT = "2.25"  # of UIDs that are made from a UUID (PS3.5, B.2)
NAMESPACE = uuid.UUID("6e1d2f9c-4d3b-5a0e-9a57-68757368646e")  # of hush's UIDs
METHODS_OF_LOSS = {
    decode.BASELINE: "ISO_10918_1", decode.EXTENDED: "ISO_10918_1", decode.JPEG_LS[1]: "ISO_14495_1",
}  # fmt: skip
STORAGE = "1.2.840.10008.5.1.4.1.1."  # classes of images begin so
# Classes whose image type has PRIMARY for its second value, whatever its first one is: enhanced CT, MR, PET, XA, US
# volumes, what was converted to them, PET, and maps of parameters.
ALWAYS_PRIMARY = ("2.1", "2.2", "4.1", "4.3", "4.4", "6.2", "12.1.1", "12.2.1", "30", "128", "128.1", "130")
# What is not true of new pixels: signatures, where frames of the old ones began, how a palette coloured them.
NOT_KEPT = (
    "DigitalSignaturesSequence", "MACParametersSequence", "ExtendedOffsetTable", "ExtendedOffsetTableLengths",
)  # fmt: skip
PALETTE_GROUP, PALETTE_ELEMENTS = 0x0028, (*range(0x1101, 0x1104), *range(0x1199, 0x11A0), *range(0x1201, 0x1224))
BYTES_OF = {"OW": 2, "OL": 4, "OF": 4, "OD": 8, "OV": 8}  # of a number, of value representations that are swapped


def frames_of(stored: single.Stored, frames: Array, cut: tuple[int, int] = (0, 0)) -> Array:
    """Return frames as the file stores them: slope and intercept taken off, in range, padding where it was.

    `cut` is how many rows and columns of the file lie before them.

    Raises
    ------
    FormatError
        When they are of another kind than the file's pixels.
    """
    wanted = stored.dtype
    if not stored.rescales and frames.dtype.newbyteorder("=") != wanted:
        raise FormatError(f"this DICOM file holds {wanted}, not {frames.dtype}; write a .nii, .tif or .npy file")
    if stored.rescales:
        slopes, intercepts = (
            np.array(column).reshape(-1, *[1] * (frames.ndim - 1)) for column in zip(*stored.rescales, strict=True)
        )
        frames = (np.asarray(frames, np.float64) - intercepts) / slopes
    if wanted.kind in "ui":
        low, high = limits(stored)
        frames = np.rint(frames) if frames.dtype.kind == "f" else frames
        frames = np.clip(frames, low, high)
    frames = np.ascontiguousarray(frames, wanted)
    if stored.padding is not None and len(frames) == stored.shape[0]:
        _pad(frames, stored.padding, stored.shape, cut)
    return frames


def _pad(frames: Array, padding: tuple[Array, Array], shape: tuple[int, ...], cut: tuple[int, int]) -> None:
    """Put padding back where the file has it; of a piece where the piece has it."""
    there = np.unpackbits(padding[0], count=math.prod(shape)).astype(bool).reshape(shape)
    if frames.shape == shape:
        frames[there] = padding[1]
        return
    whole = np.zeros(shape, frames.dtype)
    whole[there] = padding[1]
    piece = (slice(None), *(slice(first, first + size) for first, size in zip(cut, frames.shape[1:3], strict=True)))
    inside = there[piece]
    if inside.shape == frames.shape:  # else it is larger than the file, and no piece of it
        frames[inside] = whole[piece][inside]


def limits(stored: single.Stored) -> tuple[int, int]:
    """Return the lowest and highest number that the bits of the file can say."""
    bits = stored.bits
    return (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if stored.dtype.kind == "i" else (0, 2**bits - 1)


def series_uid(
    stored: single.Stored, note: dict[str, Any] | None, pixels: Sequence[bytes] = (), cut: tuple[int, int] = (0, 0)
) -> str:
    """Return the UID of the new series: the same for the same series, method, piece and (of a folder) pixels."""
    with decode.discreet():
        old = str(stored.header().get("SeriesInstanceUID") or "")
    return _uid("series", old, to_note(note), *map(bytes.hex, pixels), *_words(cut))


def digest(frames: Array) -> bytes:
    """Return what tells these pixels from others."""
    return hashlib.sha256(np.ascontiguousarray(frames).data).digest()


def _words(cut: tuple[int, int]) -> list[str]:
    """Return what tells a piece from another and from the whole."""
    return [f"cut {cut}"] if any(cut) else []


def _uid(*words: str) -> str:
    return f"{UUID_ROOT}.{uuid.uuid5(NAMESPACE, chr(10).join(words)).int}"


def write(
    path: Path,
    stored: single.Stored,
    frames: Array,
    note: dict[str, Any] | None,
    series: str,
    cut: tuple[int, int] = (0, 0),
) -> None:
    """Write one file.

    Parameters
    ----------
    path : path
        Where to.
    stored : Stored
        Header and name of the input.
    frames : array
        Shape (frames, rows, columns) or with three samples behind, as the file stores them.
    note : mapping or None
        What hush did.
    series : str
        UID of the new series.
    cut : (int, int)
        How many rows and columns of the file lie before the frames, of a crop.
    """
    uid = need("pydicom.uid", single.MEDICAL)
    with decode.discreet():
        header = stored.header()
        before = single.syntax_of(header)
        if before == single.BIG_ENDIAN:
            _swap(header)
        words = (str(header.get("SOPInstanceUID")), to_note(note), digest(frames).hex(), *_words(cut))
        _derive(header, note, series, _uid("image", *words))
        _say_loss(header, before, path)
        packed = before not in single.NATIVE
        _put_pixels(header, frames, packed)
        place.move(header, *cut)
        after = (
            decode.RLE
            if packed
            else single.DEFLATED_EXPLICIT
            if before == single.DEFLATED_EXPLICIT
            else single.EXPLICIT
        )
        header.file_meta.TransferSyntaxUID = uid.UID(after)
        header.file_meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID
        if "SOPClassUID" in header:
            header.file_meta.MediaStorageSOPClassUID = header.SOPClassUID
        for name in ("ImplementationClassUID", "ImplementationVersionName"):
            if name in header.file_meta:
                del header.file_meta[name]
        try:
            need("pydicom", single.MEDICAL).dcmwrite(
                path, header, implicit_vr=False, little_endian=True, enforce_file_format=True
            )
        except (OSError, MemoryError):
            raise
        except Exception as error:  # its message may quote the header
            raise FormatError(f"its header cannot be written again ({type(error).__name__})") from None


def _derive(header: Any, note: dict[str, Any] | None, series: str, image: str) -> None:
    """Say that this is another image, made from the first."""
    dataset = need("pydicom.dataset", single.MEDICAL)
    if header.get("SOPInstanceUID") and header.get("SOPClassUID"):
        purpose = dataset.Dataset()
        purpose.CodeValue, purpose.CodingSchemeDesignator, purpose.CodeMeaning = SOURCE_PURPOSE
        source = dataset.Dataset()
        source.ReferencedSOPClassUID, source.ReferencedSOPInstanceUID = header.SOPClassUID, header.SOPInstanceUID
        source.PurposeOfReferenceCodeSequence = [purpose]
        header.SourceImageSequence = [*(header.get("SourceImageSequence") or []), source]
    header.SOPInstanceUID, header.SeriesInstanceUID = image, series
    second = "PRIMARY" if _is_primary(header) else "SECONDARY"
    header.ImageType = _derived(header.get("ImageType"), second)
    for name in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        for group in header.get(name) or []:
            for kind in [element for element in group if element.VR == "SQ"]:
                for item in kind.value:
                    if "FrameType" in item:
                        item.FrameType = _derived(item.FrameType, second)
    by = note or {}
    said = f"noise reduced by hush {by.get('version', '')} ({by.get('method', '')})".replace(" ()", "")
    old = str(header.get("DerivationDescription") or "")
    header.DerivationDescription = (f"{old} | {said}" if old else said)[-DERIVATION_MOST:]
    if note:
        block = header.private_block(single.NOTE_GROUP, single.NOTE_CREATOR, create=True)
        block.add_new(single.NOTE_ELEMENT, "UT", to_note(note))
    for name in NOT_KEPT:
        if name in header:
            del header[name]


def _is_primary(header: Any) -> bool:
    """Whether the standard knows no secondary images of this class."""
    return str(header.get("SOPClassUID") or "").removeprefix(STORAGE) in ALWAYS_PRIMARY


def _derived(kind: Any, second: str) -> list[str]:
    """Return an image type whose first two values are those of a derived image.

    Examples
    --------
    >>> _derived(["ORIGINAL", "PRIMARY", "AXIAL"], "SECONDARY")
    ['DERIVED', 'SECONDARY', 'AXIAL']
    """
    values = [kind] if isinstance(kind, str) else list(kind or [])
    return ["DERIVED", second, *map(str, values[2:])]


def _say_loss(header: Any, before: str, path: Path) -> None:
    """An image that was compressed with loss once stays one, whatever became of it."""
    if before in METHODS_OF_LOSS and header.get("LossyImageCompression") != "01":
        header.LossyImageCompression = "01"
        if "LossyImageCompressionMethod" not in header:
            header.LossyImageCompressionMethod = METHODS_OF_LOSS[before]


def _put_pixels(header: Any, frames: Array, packed: bool) -> None:
    """Set the pixels and what the header says of them."""
    colours = frames.ndim == 4
    header.Rows, header.Columns = frames.shape[1], frames.shape[2]
    floats = next((name for name, kind in single.FLOATS.items() if frames.dtype == np.dtype(kind)), None)
    if floats is not None:
        setattr(header, floats, frames.astype(f"<{single.FLOATS[floats]}").tobytes())
        return
    bits = 8 * frames.dtype.itemsize
    if colours:
        header.SamplesPerPixel, header.PhotometricInterpretation, header.PlanarConfiguration = 3, "RGB", 0
        for element in PALETTE_ELEMENTS:
            header.pop((PALETTE_GROUP, element), None)
    if int(header.BitsAllocated) != bits:
        header.BitsAllocated = header.BitsStored = bits
    header.HighBit = int(header.BitsStored) - 1
    for name, extreme in (("SmallestImagePixelValue", frames.min()), ("LargestImagePixelValue", frames.max())):
        if name in header:
            header[name].VR = "SS" if frames.dtype.kind == "i" else "US"
            header[name].value = int(extreme)
    if packed:
        encaps = need("pydicom.encaps", single.MEDICAL)
        header.PixelData = encaps.encapsulate([run_lengths(frame) for frame in frames])
        header["PixelData"].VR = "OB"
        header["PixelData"].is_undefined_length = True
        return
    raw = frames.astype(frames.dtype.newbyteorder("<"), copy=False).tobytes()
    header.PixelData = raw + b"\0" * (len(raw) % 2)
    header["PixelData"].VR = "OB" if bits == 8 else "OW"
    header["PixelData"].is_undefined_length = False


def run_lengths(frame: Array) -> bytes:
    """Return a frame in DICOM's RLE: the bytes of all numbers by their weight, packed row by row (PS3.5, annex G).

    Examples
    --------
    >>> run_lengths(np.zeros((2, 3), np.uint8))[64:].hex()
    'fe00fe00'
    """
    import imagecodecs

    planes = frame[np.newaxis] if frame.ndim == 2 else np.moveaxis(frame, -1, 0)
    size = frame.dtype.itemsize
    segments = []
    for plane in planes:
        heavy_first = np.ascontiguousarray(plane, plane.dtype.newbyteorder(">")).view(np.uint8)
        for weight in range(size):
            packed = imagecodecs.packbits_encode(heavy_first[:, weight::size].copy())
            segments.append(packed + b"\0" * (len(packed) % 2))
    starts = np.cumsum([64, *map(len, segments)])[:-1]
    head = struct.pack("<16I", len(segments), *(int(at) for at in starts), *[0] * (SEGMENTS_MOST - len(segments)))
    return head + b"".join(segments)


def _swap(header: Any) -> None:
    """Turn the bytes of tables that pydicom leaves as they stood in a big-endian file."""
    for element in header:
        if element.VR == "SQ":
            for item in element.value:
                _swap(item)
        elif element.VR in BYTES_OF and isinstance(element.value, bytes):
            element.value = np.frombuffer(element.value, f">u{BYTES_OF[element.VR]}").byteswap().tobytes()
