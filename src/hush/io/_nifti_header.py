"""The header of a NIfTI file: its fields in both versions and byte orders, and the extensions behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from hush.core.errors import FormatError
from hush.core.image import Array, Image
from hush.io._common import cut_before, from_note, positive, to_note

Extension = tuple[int, bytes]

# Name, kind and place of every field that hush reads or writes (nifti1.h and nifti2.h); the others stay bytes.
FIELDS_1 = {
    "dim": ("8i2", 40), "datatype": ("i2", 70), "bitpix": ("i2", 72), "pixdim": ("8f4", 76), "vox_offset": ("f4", 108),
    "scl_slope": ("f4", 112), "scl_inter": ("f4", 116), "xyzt_units": ("u1", 123), "descrip": ("S80", 148),
    "magic": ("S4", 344), "dim_info": ("u1", 39), "slice_start": ("i2", 74), "slice_end": ("i2", 120),
    "slice_code": ("u1", 122), "qform_code": ("i2", 252), "sform_code": ("i2", 254), "quatern": ("3f4", 256),
    "qoffset": ("3f4", 268), "srow": ("(3,4)f4", 280),
}  # fmt: skip
FIELDS_2 = {
    "dim": ("8i8", 16), "datatype": ("i2", 12), "bitpix": ("i2", 14), "pixdim": ("8f8", 104), "vox_offset": ("i8", 168),
    "scl_slope": ("f8", 176), "scl_inter": ("f8", 184), "xyzt_units": ("i4", 500), "descrip": ("S80", 240),
    "magic": ("S8", 4), "dim_info": ("u1", 524), "slice_start": ("i8", 224), "slice_end": ("i8", 232),
    "slice_code": ("i4", 496), "qform_code": ("i4", 344), "sform_code": ("i4", 348), "quatern": ("3f8", 352),
    "qoffset": ("3f8", 376), "srow": ("(3,4)f8", 400),
}  # fmt: skip
HEADER_SIZES = {348: FIELDS_1, 540: FIELDS_2}  # bytes of a header, which are its first number
MAGICS = {348: (b"n+1", b"ni1"), 540: (b"n+2\0\r\n\x1a\n", b"ni2\0\r\n\x1a\n")}  # one file, and a pair
NUMBER_TYPES = {
    2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4", 1024: "i8", 1280: "u8"
}  # fmt: skip
COLOUR_TYPES = {128: 3, 2304: 4}  # samples of a pixel: RGB24 and RGBA32
REFUSED = {1: "single bits", 32: "complex", 1536: "128-bit floats", 1792: "complex", 2048: "complex"}
COMMENT_CODE = 6  # code of an extension that is plain text (NIFTI_ECODE_COMMENT)
SPACE = {0: ("mm", 1.0), 1: ("mm", 1000.0), 2: ("mm", 1.0), 3: ("µm", 1.0)}  # of a code: unit and factor
MILLIMETRE, MICRON, SECOND = 2, 3, 8  # codes of units
TIME = {8: 1.0, 16: 1e-3, 24: 1e-6}  # seconds of a code
SHORT_SIDE = 32767  # pixels a side that the first version can name
DESCRIPTION_MOST = 80  # bytes
LETTERS_OF_DIM = "XYZTC"  # what the first five dimensions are


@dataclass(repr=False)
class Header:
    """A header as it stands in the file, with its fields by name.

    Attributes
    ----------
    raw : bytearray
        All its bytes; `fields` is a view of them.
    order : str
        ``"<"`` or ``">"``.
    extensions : sequence of (int, bytes)
        Code and content of each, without hush's note.
    gap : bytes
        What stands between a header without extensions and the pixels.
    """

    raw: bytearray
    order: Literal["<", ">"]
    extensions: Sequence[Extension] = ()
    gap: bytes = b""
    hush: dict[str, Any] | None = None
    warnings: list[str] = field(default_factory=list)

    @property
    def fields(self) -> Any:
        """The named fields, writable."""
        table = HEADER_SIZES[len(self.raw)]
        formats = [np.dtype(kind).newbyteorder(self.order) for kind, _ in table.values()]
        places = [place for _, place in table.values()]
        kind = np.dtype({"names": list(table), "formats": formats, "offsets": places, "itemsize": len(self.raw)})
        return np.frombuffer(self.raw, kind)[0]

    def copy(self) -> Header:
        """Return a header that can be changed without changing this one."""
        return Header(bytearray(self.raw), self.order, self.extensions, self.gap)

    @property
    def description(self) -> str:
        """The file's one line about itself, as a string of C: it ends at the first zero."""
        return bytes(self.fields["descrip"]).partition(b"\0")[0].decode("utf-8", "replace").strip()

    @property
    def is_pair(self) -> bool:
        """Whether the pixels are in another file."""
        return bytes(self.fields["magic"]).startswith(b"ni")


def size_of(raw: bytes) -> tuple[int, Literal["<", ">"]]:
    """Return how long the header is that begins so, and its byte order.

    Examples
    --------
    >>> size_of((540).to_bytes(4, "big"))
    (540, '>')
    """
    little, big = int.from_bytes(raw[:4], "little"), int.from_bytes(raw[:4], "big")
    if little in HEADER_SIZES:
        return little, "<"
    if big in HEADER_SIZES:
        return big, ">"
    raise FormatError("it is no NIfTI file: its header has neither 348 nor 540 bytes")


def parse(raw: bytes) -> Header:
    """Return the header of these bytes.

    Raises
    ------
    FormatError
        When they are no header, or one that makes no sense.
    """
    size, order = size_of(raw)
    if len(raw) < size:
        raise FormatError(f"it is cut short: it ends at byte {len(raw)} in its header")
    header = Header(bytearray(raw[:size]), order)
    if not bytes(header.fields["magic"]).startswith(MAGICS[size]):
        raise FormatError("it is an Analyze 7.5 file, or none: NIfTI's mark is missing; convert it to NIfTI")
    return header


def shape_of(header: Header) -> tuple[tuple[int, ...], str]:
    """Return the shape in hush's order, the last dimension first, and its axes.

    Raises
    ------
    FormatError
        When the header names no plane, or more than five dimensions.
    """
    dim = [int(n) for n in header.fields["dim"]]
    if not 1 <= dim[0] <= 7 or min(dim[1 : dim[0] + 1]) < 1:
        raise FormatError(f"it is damaged: its dimensions are {dim[1:]}, of which {dim[0]} count")
    sides = dim[1 : dim[0] + 1]
    while len(sides) > len(LETTERS_OF_DIM) and sides[-1] == 1:
        sides.pop()
    if not 2 <= len(sides) <= len(LETTERS_OF_DIM):
        raise FormatError(f"it has {len(sides)} dimensions ({sides}), and hush reads 2 to 5: X, Y, Z, T, C")
    shape, axes = tuple(sides[::-1]), LETTERS_OF_DIM[: len(sides)][::-1]
    samples = COLOUR_TYPES.get(int(header.fields["datatype"]))
    return (shape, axes) if samples is None else ((*shape, samples), axes + "S")


def dtype_of(header: Header) -> np.dtype[Any]:
    """Return the kind of numbers, in the file's byte order.

    Raises
    ------
    FormatError
        When hush does not denoise such.
    """
    code = int(header.fields["datatype"])
    if code in COLOUR_TYPES:
        return np.dtype(np.uint8)
    if code not in NUMBER_TYPES:
        kind = REFUSED.get(code, f"numbers of kind {code}, which NIfTI does not know")
        more = ": give its magnitude, or its real and imaginary part, as a file of floats" if kind == "complex" else ""
        raise FormatError(f"it holds {kind} numbers{more}" if kind == "complex" else f"it holds {kind}")
    return np.dtype(NUMBER_TYPES[code]).newbyteorder(header.order)


def scale_of(header: Header, axes: str) -> tuple[dict[str, float], str | None]:
    """Return the size of a voxel along the file's own axes; millimetres where the file names no unit."""
    units = int(header.fields["xyzt_units"])
    unit, factor = SPACE.get(units & 7, SPACE[0])
    seconds = TIME.get(units & 0x38, 0.0)
    factors = {"X": factor, "Y": factor, "Z": factor, "T": seconds}
    found = {}
    for letter, size in zip("XYZT", header.fields["pixdim"][1:5], strict=True):
        if letter in axes and (value := positive(abs(float(size)) * factors[letter])):
            found[letter] = value
    return found, unit if set(found) & set("XYZ") else None


def take_extensions(header: Header, after: bytes) -> None:
    """Divide what stands between the header and the pixels into extensions; hush's own note is taken out."""
    if len(after) < 4 or after[0] == 0:
        header.gap = after[4:]
        return
    found: list[Extension] = []
    at = 4
    while at + 8 <= len(after):
        size, code = (int(n) for n in np.frombuffer(after, f"{header.order}i4", 2, at))
        if not 8 <= size <= len(after) - at:
            header.warnings.append("what stands behind its header is no extension, and is not written again")
            break
        body = after[at + 8 : at + size]
        note = (
            from_note(body.decode("ascii", "replace")) if code == COMMENT_CODE and body.startswith(b"hush {") else None
        )
        if note is None:
            found.append((code, body))
        else:
            header.hush = note
        at += size
    header.extensions = tuple(found)


def compose(image: Image, shape: tuple[int, ...]) -> tuple[Header, bytes]:
    """Return the header for pixels of this shape (T and so on first), and everything that stands before them."""
    old: Header | None = image.meta.get("nifti")
    header = _new(image, shape) if old is None else old.copy()
    _describe_pixels(header, image, shape)
    if old is not None:
        _move(header, cut_before(image, image.axes.removesuffix("S")[:-4:-1]))
    fields = header.fields
    description = str(image.meta.get("description") or "")
    if description != header.description:
        fields["descrip"] = description.encode("utf-8")[:DESCRIPTION_MOST]
    if (image.meta.get("hush") or {}).get("what"):
        fields["scl_inter"] = 0  # a standard deviation has the slope of its image and no offset
    size = len(header.raw)
    fields["magic"] = MAGICS[size][0]
    note = to_note(image.meta.get("hush")).encode("ascii")
    extensions = [*header.extensions, *([(COMMENT_CODE, note)] if note else [])]
    body = b"".join(_packed(one, header.order) for one in extensions)
    after = b"\1\0\0\0" + body if extensions else b"\0\0\0\0" + header.gap
    fields["vox_offset"] = size + len(after)
    return header, bytes(header.raw) + after


def _move(header: Header, cut: Sequence[int]) -> None:
    """Let the header state the place of a piece, before which `cut` voxels of the file's first dimensions lie."""
    if not any(cut):
        return
    fields = header.fields
    steps = np.zeros(3)
    steps[: len(cut)] = cut
    if int(fields["qform_code"]):
        sizes = np.abs(np.array(fields["pixdim"][1:4], np.float64))
        sizes[2] *= -1 if fields["pixdim"][0] < 0 else 1
        fields["qoffset"] = fields["qoffset"] + _turn(*map(float, fields["quatern"])) @ (sizes * steps)
    if int(fields["sform_code"]):
        fields["srow"][:, 3] += np.array(fields["srow"][:, :3], np.float64) @ steps
    along = (int(fields["dim_info"]) >> 4 & 3) - 1  # the dimension in which slices were taken one after the other
    if 0 <= along < len(cut) and cut[along]:
        fields["slice_start"] = fields["slice_end"] = fields["slice_code"] = 0  # the order of those left has no code


def _turn(b: float, c: float, d: float) -> Array:
    """Return the rotation of a unit quaternion of which the first part, positive, is not stored (nifti1.h)."""
    rest = 1 - (b * b + c * c + d * d)
    if rest < 1e-7:  # half a turn: what rounding left is taken off
        length = (b * b + c * c + d * d) ** -0.5
        a, b, c, d = 0.0, b * length, c * length, d * length
    else:
        a = rest**0.5
    return np.array([
        [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
        [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
        [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
    ])  # fmt: skip


def _packed(extension: Extension, order: str) -> bytes:
    code, body = extension
    size = -(-(len(body) + 8) // 16) * 16  # a multiple of 16 bytes
    return np.array([size, code], f"{order}i4").tobytes() + body.ljust(size - 8, b"\0")


def _describe_pixels(header: Header, image: Image, shape: tuple[int, ...]) -> None:
    """Set what depends on the pixels: their kind and number."""
    fields, sides = header.fields, shape[: len(shape) - ("S" in image.axes)][::-1]
    if len(header.raw) == 348 and max(sides) > SHORT_SIDE:
        raise FormatError(f"a NIfTI-1 file holds {SHORT_SIDE} pixels a side at most; write a .tif or .npy file")
    count = int(fields["dim"][0])
    if count < len(sides) or any(fields["dim"][len(sides) + 1 : count + 1] != 1):
        fields["dim"][0] = count = len(sides)
    fields["dim"][1 : len(sides) + 1] = sides
    code = _code(image.data, "S" in image.axes)
    if code != int(fields["datatype"]):
        fields["datatype"] = code
        fields["bitpix"] = 8 * (COLOUR_TYPES[code] if code in COLOUR_TYPES else np.dtype(NUMBER_TYPES[code]).itemsize)


def _code(data: Array, colours: bool) -> int:
    kind = data.dtype.newbyteorder("=")
    if colours:
        found = [code for code, samples in COLOUR_TYPES.items() if samples == data.shape[-1] and kind == np.uint8]
    else:
        found = [code for code, name in NUMBER_TYPES.items() if np.dtype(name) == kind]
    if not found:
        what = f"{kind} with {data.shape[-1]} colour samples" if colours else str(kind)
        raise FormatError(
            f"NIfTI holds integers, float32, float64 and 8-bit RGB or RGBA, not {what}; write a .tif or .npy file"
        )
    return found[0]


def _new(image: Image, shape: tuple[int, ...]) -> Header:
    """Return a header for an image that came from no NIfTI file: its pixel size, and no place in space."""
    large = max(shape) > SHORT_SIDE
    header = Header(bytearray(540 if large else 348), "<")
    header.raw[:4] = len(header.raw).to_bytes(4, "little")
    fields = header.fields
    micron = image.unit == "µm"
    factor = {"µm": 1.0, "mm": 1.0, "nm": 1e-6, "cm": 10.0, "m": 1000.0}.get(image.unit or "", 1.0)
    known = any(axis in image.scale for axis in "XYZ") and image.unit is not None
    fields["xyzt_units"] = (MICRON if micron else MILLIMETRE if known else 0) | (SECOND if "T" in image.scale else 0)
    fields["pixdim"][:] = 1
    for place, axis in enumerate("XYZ", 1):
        fields["pixdim"][place] = image.scale.get(axis, 1 / factor) * factor
    fields["pixdim"][4] = image.scale.get("T", 1)
    fields["dim"][:] = 1
    fields["dim"][0] = len(shape) - ("S" in image.axes)
    rescale = image.meta.get("rescale") or {}  # of a DICOM file: its Hounsfield units stay what they are
    fields["scl_slope"], fields["scl_inter"] = rescale.get("slope", 1), rescale.get("intercept", 0)
    return header
