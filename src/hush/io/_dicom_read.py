"""One DICOM file: its pixels as they are stored, and what is needed to write it again."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from hush.core.errors import FormatError
from hush.core.files import reason
from hush.core.image import Array
from hush.io import _dicom_decode as decode
from hush.io._common import MAP_FROM, check_claim, from_note, need, positive

MEDICAL = "medical"
NOTE_GROUP, NOTE_CREATOR, NOTE_ELEMENT = 0x0099, "HUSH", 0x01  # where hush keeps what it did: a private element

DEFLATED_EXPLICIT, BIG_ENDIAN, IMPLICIT = "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
NATIVE = (IMPLICIT, EXPLICIT, BIG_ENDIAN, DEFLATED_EXPLICIT)
DENSEST_DEFLATED = 1032  # bytes that one of deflate becomes at most
FLOATS = {"FloatPixelData": "f4", "DoubleFloatPixelData": "f8"}
COLOUR_KINDS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
PIXEL_ELEMENTS = ("SamplesPerPixel", "PhotometricInterpretation", "BitsStored", "PixelRepresentation")
PIXEL_TAG = b"\xe0\x7f\x10\x00"  # (7FE0,0010), as it stands in a file
GREYS = ("MONOCHROME1", "MONOCHROME2")
PALETTE_COLOR = "PALETTE COLOR"
COMPLEX_PARTS = ("P", "R", "I", "PHASE", "PHASE MAP", "REAL", "IMAGINARY", "MIXED")  # values of ImageType

# Scanners fill the corners of a CT slice outside their circle with a number that no tissue has, and often do not say
# which. Air is -1000 Hounsfield units and noise goes some hundreds below it.
BELOW_AIR = -1500.0  # Hounsfield units: what is lower and stands apart from the rest is padding
CLEAR_OF_PADDING = 200.0  # Hounsfield units from padding to the lowest value that was measured

LONGEST_CODE = 16  # characters of a coded string: longer ones are none, and are not repeated

Rescale = tuple[float, float]  # slope and intercept


@dataclass(frozen=True, repr=False)
class Stored:
    """What a result is written with: a header without pixels. It is never shown, since it names the patient.

    Attributes
    ----------
    head : bytes
        Of the file, up to its pixels; all of a file that is deflated.
    name : str
        Of the file.
    dtype : numpy dtype
        Of the stored values, in the machine's byte order.
    bits : int
        Of them that count.
    rescales : sequence of (float, float)
        Slope and intercept of every frame; empty where the frames have one in common, or none.
    padding : tuple of arrays or None
        Which pixels are padding, in order, and what they hold.
    shape : tuple of int
        Frames, rows, columns, and samples where there are several.
    """

    head: bytes
    name: str
    dtype: np.dtype[Any]
    bits: int
    rescales: Sequence[Rescale] = ()
    padding: tuple[Array, Array] | None = None
    shape: tuple[int, ...] = ()

    def __repr__(self) -> str:
        return "Stored(...)"

    def header(self) -> Any:
        """Return the header, to be changed: everything but the pixels, without what hush did before."""
        header = need("pydicom", MEDICAL).dcmread(io.BytesIO(self.head), stop_before_pixels=True)
        _take_note(header)
        return header


@dataclass
class Opened:
    """A file that was read.

    Attributes
    ----------
    data : array
        Shape (frames, rows, columns), or with samples behind; stored values, or floats after slope and intercept where
        these differ from frame to frame.
    """

    header: Any
    stored: Stored
    data: Array
    rescale: Rescale
    padding: float | tuple[float, float] | None
    warnings: list[str] = field(default_factory=list)
    hush: dict[str, Any] | None = None


def open_header(path: Path) -> tuple[Any, int]:
    """Return everything that stands before the pixels, and at which byte they begin (not of a deflated file).

    Raises
    ------
    FormatError
        When it is no DICOM file of an image that hush reads. What the header says is in no message.
    """
    pydicom = need("pydicom", MEDICAL)
    with decode.discreet():
        try:
            with path.open("rb") as file:
                header = pydicom.dcmread(file, stop_before_pixels=True)
                return header, file.tell()
        except Exception as error:
            raise FormatError(_unreadable(error)) from None


def _unreadable(error: Exception) -> str:
    """Say that a header cannot be read: what a library quotes of it may be the patient's."""
    if isinstance(error, OSError | MemoryError):
        return f"it cannot be read: {reason(error)}"
    return "its header cannot be read: it is cut short or damaged, or no DICOM file"


def check(path: Path, header: Any) -> int:
    """Return the number of frames of an image, before anything is decoded.

    Raises
    ------
    FormatError
        When it is none, or hush cannot read it, or it claims more than the file holds.
    """
    try:
        rows, columns = int(header.get("Rows") or 0), int(header.get("Columns") or 0)
        frames, samples = int(header.get("NumberOfFrames") or 1), int(header.get("SamplesPerPixel") or 1)
        bits = int(header.get("BitsAllocated") or 0)
    except (TypeError, ValueError):
        raise FormatError("it is damaged: the size of its image is no number") from None
    if not rows or not columns or not bits:
        kind = str(header.get("Modality") or "")
        said = f" (it is of kind {kind})" if kind.isalpha() and len(kind) <= LONGEST_CODE else ""
        raise FormatError(f"it holds no pixels{said}, or it is cut short before them")
    if bits == 1:
        raise FormatError("it holds a mask of single bits (a segmentation), and no image to denoise")
    if bits not in (8, 16, 32, 64) or frames < 1:
        raise FormatError(f"it is damaged: it states {bits} bits a pixel and {frames} frames")
    kind = str(header.get("PhotometricInterpretation") or "MONOCHROME2")
    if kind not in (*COLOUR_KINDS, *GREYS, PALETTE_COLOR) or (samples == 3) != (kind in COLOUR_KINDS):
        raise FormatError(
            f"its colours ({kind[:LONGEST_CODE]}, {samples} samples) are not read; convert it to RGB or grey"
        )
    syntax = syntax_of(header)
    if syntax not in (*NATIVE, decode.RLE, *decode.DECODED_SYNTAXES):
        raise FormatError(
            f"its pixels are compressed as {_name_of(syntax)}, which is not read; unpack it first, e.g. gdcmconv --raw"
        )
    size, pixels = path.stat().st_size, rows * columns * samples * frames * bits // 8
    most = 2 if syntax in NATIVE else decode.DENSEST_DICOM.get(syntax, decode.DENSEST_WAVELET)
    check_claim(pixels, size, DENSEST_DEFLATED if syntax == DEFLATED_EXPLICIT else most, size)
    if syntax in NATIVE and syntax != DEFLATED_EXPLICIT and kind != "YBR_FULL_422":
        check_claim(pixels, size, 1, size)
    if syntax not in NATIVE:
        check_claim(8 * frames, size, 1, size)  # each frame is an item of eight bytes and more
    return frames


def syntax_of(header: Any) -> str:
    """Return the transfer syntax; the oldest, where the file names none."""
    return str(header.file_meta.get("TransferSyntaxUID") or IMPLICIT)


def _name_of(syntax: str) -> str:
    name: str = need("pydicom.uid", MEDICAL).UID(syntax).name
    return name if name != syntax else f"transfer syntax {syntax[:64]}"


def open_file(path: Path, found: tuple[Any, int] | None = None) -> Opened:
    """Read one file with all its frames; `found` is what `open_header` gave, where it was asked already."""
    header, at = open_header(path) if found is None else found
    frames = check(path, header)
    data, kind, warnings = _pixels(path, header, at, frames)
    data = data.reshape(frames, *data.shape[data.ndim - 2 - (kind == "RGB") :])
    rescales = _rescales(header, frames)
    note = _take_note(header)
    padding = _padding(header, data, rescales[0])
    places = _places(data, padding)
    dtype = data.dtype
    with path.open("rb") as file:
        head = file.read(-1 if syntax_of(header) == DEFLATED_EXPLICIT else at)
    bits = min(int(header.get("BitsStored") or 64), 8 * dtype.itemsize)
    kept = Stored(head, path.name, dtype, bits, (), places, tuple(data.shape))
    opened = Opened(header, kept, data, rescales[0], padding, warnings, note)
    return opened if len(set(rescales)) == 1 else with_units(opened, rescales)


def with_units(opened: Opened, rescales: Sequence[Rescale]) -> Opened:
    """Return a file with slope and intercept of each frame applied, since they are not those of its neighbours."""
    data = in_units(opened.data, rescales)
    return replace(
        opened, stored=replace(opened.stored, rescales=rescales), data=data, rescale=(1.0, 0.0), padding=None
    )


def _pixels(path: Path, header: Any, at: int, frames: int) -> tuple[Array, str, list[str]]:
    """Return the pixels and what their samples are: GREY or RGB."""
    kind = str(header.get("PhotometricInterpretation") or "MONOCHROME2")
    if kind in GREYS and (mapped := _mapped(path, header, at, frames)) is not None:
        return mapped, "GREY", []
    with decode.discreet():
        try:
            data = _decoded(path)
        except FormatError:
            raise
        except MemoryError:
            raise FormatError("it cannot be read: not enough memory") from None
        except Exception:
            raise FormatError(_undecoded(header)) from None
        if kind == PALETTE_COLOR:
            return _without_palette(data, header), "RGB", ["its palette was replaced by the colours it stands for"]
    return data, "RGB" if kind in COLOUR_KINDS else "GREY", _left_over(path, header, at, data)


def _undecoded(header: Any) -> str:
    """Say why pixels cannot be decoded: what is missing or wrong in the header, else that they are damaged."""
    if lacking := [name for name in PIXEL_ELEMENTS if header.get(name) is None]:
        return f"it is damaged: its header lacks {', '.join(lacking)}, without which its pixels cannot be understood"
    stored, allocated = number(header.get("BitsStored"), 0), number(header.get("BitsAllocated"), 0)
    if not 1 <= stored <= allocated:
        return f"it is damaged: of the {allocated:g} bits of a pixel {stored:g} are said to count"
    return f"its pixels ({_name_of(syntax_of(header))}) cannot be decoded: it is cut short or damaged"


def _left_over(path: Path, header: Any, at: int, data: Array) -> list[str]:
    """Say that a file holds more pixels than its header states: those are not read."""
    if syntax_of(header) not in (IMPLICIT, EXPLICIT):
        return []
    with path.open("rb") as file:
        file.seek(at)
        head = file.read(12)
    stated = int.from_bytes(head[8:12] if syntax_of(header) == EXPLICIT and head[4:5] == b"O" else head[4:8], "little")
    bits = int(header.BitsAllocated)
    expected = data.size * bits // 8
    if head[:4] != PIXEL_TAG or stated == 0xFFFFFFFF or str(header.get("PhotometricInterpretation")) == "YBR_FULL_422":
        return []
    more = stated - expected
    return [f"it holds {more} bytes of pixels more than its header states: they are left out"] if more > 1 else []


def _decoded(path: Path) -> Array:
    pydicom, pixels = need("pydicom", MEDICAL), need("pydicom.pixels", MEDICAL)
    decode.register()
    whole = pydicom.dcmread(path)
    if "TransferSyntaxUID" not in whole.file_meta:
        whole.file_meta.TransferSyntaxUID = pydicom.uid.UID(IMPLICIT)
    syntax = syntax_of(whole)
    plugin = decode.PLUGIN if syntax in decode.DECODED_SYNTAXES else "pydicom" if syntax == decode.RLE else ""
    found, _ = pixels.get_decoder(syntax).as_array(whole, decoding_plugin=plugin, allow_excess_frames=False)
    data: Array = found
    return data if data.dtype.isnative else data.astype(data.dtype.newbyteorder("="))


def _mapped(path: Path, header: Any, at: int, frames: int) -> Array | None:
    """Return a memory map of large pixels that are stored as they are, or None."""
    bits, stored = int(header.BitsAllocated), int(header.get("BitsStored") or header.BitsAllocated)
    syntax, rows, columns = syntax_of(header), int(header.Rows), int(header.Columns)
    if syntax not in (IMPLICIT, EXPLICIT) or bits != stored or rows * columns * frames * bits // 8 < MAP_FROM:
        return None
    with path.open("rb") as file:
        file.seek(at)
        head = file.read(12)  # tag, kind and length of the pixels; without the kind 8 bytes
    if head[:4] != PIXEL_TAG or (syntax == EXPLICIT and head[4:6] not in (b"OW", b"OB")):
        return None
    dtype = np.dtype(f"<{'i' if header.get('PixelRepresentation') else 'u'}{bits // 8}")
    shape = (frames, rows, columns)
    return np.memmap(path, dtype, "r", at + (12 if syntax == EXPLICIT else 8), shape)


def _without_palette(data: Array, header: Any) -> Array:
    from pydicom.pixels.processing import apply_color_lut

    colours: Array = apply_color_lut(data, header)[..., :3]
    if colours.dtype.itemsize == 2:  # tables have 16 bits, what is shown has 8
        colours = (colours >> 8).astype(np.uint8)
    return colours


def groups_of(header: Any) -> tuple[Sequence[Any], Sequence[Any]]:
    """Return the functional groups that all frames share, and those of every frame."""
    return header.get("SharedFunctionalGroupsSequence") or [], header.get("PerFrameFunctionalGroupsSequence") or []


def groups(header: Any, name: str, frames: int) -> Iterator[Any]:
    """Every frame's item of a functional group (``"PixelMeasuresSequence"``); None where a frame has none."""
    shared, each = groups_of(header)
    common = next((item for one in shared for item in one.get(name) or []), None)
    for number in range(frames):
        own = (each[number].get(name) or []) if number < len(each) else []
        yield own[0] if own else common


def _rescales(header: Any, frames: int) -> list[Rescale]:
    """Return slope and intercept of every frame."""
    found = []
    for item in groups(header, "PixelValueTransformationSequence", frames):
        source = header if item is None else item
        slope, intercept = number(source.get("RescaleSlope"), 1.0), number(source.get("RescaleIntercept"), 0.0)
        found.append((slope, intercept) if slope else (1.0, 0.0))
    return found


def number(value: Any, otherwise: float) -> float:
    """Return a number of the header, or another where it holds none."""
    try:
        found = float(value)
    except (TypeError, ValueError):
        return otherwise
    return found if math.isfinite(found) else otherwise


def in_units(data: Array, rescales: Sequence[Rescale]) -> Array:
    """Return slope * stored + intercept of every frame, in float32 where that holds every step, else float64."""
    slopes, intercepts = (
        np.array(column).reshape(-1, *[1] * (data.ndim - 1)) for column in zip(*rescales, strict=True)
    )
    steps = max(abs(b / a) for a, b in rescales) + (2.0 ** (8 * data.dtype.itemsize) if data.dtype.kind in "ui" else 0)
    wide = data * slopes + intercepts  # float64
    return wide.astype(np.float32) if steps < 2**22 else wide


def _padding(header: Any, data: Array, rescale: Rescale) -> float | tuple[float, float] | None:
    """Return the stored value that means no value, or the ends of a range of them."""
    if data.ndim > 3 or data.dtype.kind not in "ui":
        return None
    with decode.discreet():
        value, limit = header.get("PixelPaddingValue"), header.get("PixelPaddingRangeLimit")
    if value is not None and np.size(value) == 1:
        low = _as_stored(int(value), data.dtype)
        high = low if limit is None or np.size(limit) != 1 else _as_stored(int(limit), data.dtype)
        low, high = min(low, high), max(low, high)
        if np.any((data >= low) & (data <= high)):
            return low if low == high else (low, high)
    return _below_air(data, rescale) if header.get("Modality") == "CT" else None


def _as_stored(value: int, dtype: np.dtype[Any]) -> int:
    """Return a number of the kind of the pixels: headers state -2000 as 63536 and the other way round."""
    bits = 8 * dtype.itemsize
    value %= 2**bits
    return value - 2**bits if dtype.kind == "i" and value >= 2 ** (bits - 1) else value


def _below_air(data: Array, rescale: Rescale) -> float | tuple[float, float] | None:
    slope, intercept = rescale
    if slope <= 0 or slope * int(data.min()) + intercept > BELOW_AIR:
        return None
    outside = data <= (BELOW_AIR - intercept) / slope
    low, high = int(data[outside].min()), int(data[outside].max())
    measured = data[~outside]
    if not measured.size or slope * (int(measured.min()) - high) < CLEAR_OF_PADDING:
        return None
    return low if low == high else (low, high)  # a range where lossy compression has blurred it


def _places(data: Array, padding: float | tuple[float, float] | None) -> tuple[Array, Array] | None:
    """Return where padding is, eight pixels a byte, and what it holds, so that it can be put back."""
    if padding is None:
        return None
    low, high = padding if isinstance(padding, tuple) else (padding, padding)
    there = np.asarray((data >= low) & (data <= high))
    return np.packbits(there), np.asarray(data[there])


def is_magnitude(header: Any) -> bool:
    """Whether the values are lengths of a complex signal, as magnetic resonance measures it: neither parts nor maps."""
    if header.get("Modality") != "MR":
        return False
    if header.get("ComplexImageComponent"):
        return str(header.ComplexImageComponent) == "MAGNITUDE"
    kinds = header.get("ImageType") or []
    kinds = [kinds] if isinstance(kinds, str) else list(map(str, kinds))
    parts = any(kind in COMPLEX_PARTS or kind.startswith(("P_", "R_", "I_")) for kind in kinds)
    return kinds[:1] == ["ORIGINAL"] and not parts


def _take_note(header: Any) -> dict[str, Any] | None:
    """Take what hush wrote of itself out of the header, and return it."""
    with decode.discreet():
        try:
            block = header.private_block(NOTE_GROUP, NOTE_CREATOR)
            note = from_note(str(block[NOTE_ELEMENT].value))
            place = block.get_tag(NOTE_ELEMENT)
        except KeyError:
            return None
        del header[place]
        if len(header.group_dataset(NOTE_GROUP)) == 1:  # the name of the block alone
            del header[NOTE_GROUP, place.elem >> 8]
    return note


def spacing(header: Any, frames: int) -> dict[str, float]:
    """Return the size of a pixel in millimetres along Y and X, and along Z where the header says one."""
    measures = next(groups(header, "PixelMeasuresSequence", frames)) or header
    names = ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing")
    pair = next((value for name in names if (value := measures.get(name)) is not None and np.size(value) == 2), ())
    found = {axis: size for axis, value in zip("YX", pair, strict=False) if (size := positive(value)) is not None}
    between = positive(measures.get("SpacingBetweenSlices"))
    return found | ({"Z": between} if between else {})


def place(header: Any, item: Any = None, orientation: Any = None) -> tuple[Array, Array] | None:
    """Return the position of a slice's first pixel and the normal of its plane, in millimetres of the patient."""
    position = (item or header).get("ImagePositionPatient")
    directions = (orientation or header).get("ImageOrientationPatient")
    try:
        where, axes = np.array(position, float), np.array(directions, float)
    except (TypeError, ValueError):
        return None
    if where.shape != (3,) or axes.shape != (6,) or not (np.isfinite(where).all() and np.isfinite(axes).all()):
        return None
    normal = np.cross(axes[:3], axes[3:])
    length = float(np.linalg.norm(normal))
    return (where, normal / length) if length > 0 else None
