"""MRC: electron micrographs, tilt series, movies and volumes, memory-mapped; .gz and .bz2 are read and written whole.

The header (1024 bytes), its labels and the extended header come back byte for byte but for what must change: size,
mode, statistics, and the cell where the size or the pixel size changed. Format: Cheng et al., *J. Struct. Biol.* 192
(2015), 146-150; https://www.ccpem.ac.uk/mrc-format/mrc2014/.
"""

from __future__ import annotations

import bz2
import gzip
import math
import textwrap
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, Any

import numpy as np

from hush.core.errors import FormatError
from hush.core.image import Array, Image, said_guess
from hush.io._common import MAP_FROM, check_claim, cut_before, from_note, left_over, positive, settle_axes, to_note

PLAIN_MRC = (".mrc", ".map", ".rec", ".st", ".mrcs", ".ccp4", ".ali")
PACKED_MRC = tuple(suffix + end for suffix in (".mrc", ".map", ".mrcs", ".rec", ".st") for end in (".gz", ".bz2"))
SUFFIXES = (*PLAIN_MRC, *PACKED_MRC)

HEADER = np.dtype([
    ("n", "i4", 3), ("mode", "i4"), ("start", "i4", 3), ("m", "i4", 3), ("cell", "f4", 3), ("angles", "f4", 3),
    ("map_axes", "i4", 3), ("low", "f4"), ("high", "f4"), ("mean", "f4"), ("spacegroup", "i4"), ("extended", "i4"),
    ("extra", "V8"), ("extended_kind", "S4"), ("version", "i4"), ("more", "V40"), ("imod_stamp", "i4"),
    ("imod_flags", "i4"), ("rest", "V36"), ("origin", "f4", 3), ("mark", "S4"), ("machine", "u1", 4), ("rms", "f4"),
    ("labels_used", "i4"), ("labels", "V80", 10),
])  # fmt: skip
MODES = {0: "i1", 1: "i2", 2: "f4", 6: "u2", 12: "f2"}
REFUSED_MODES = {3: "complex integers", 4: "complex numbers (a transform)", 16: "RGB", 101: "four bits a pixel"}
IMOD = 1146047817  # IMOD's stamp; the lowest bit of its flags says that bytes are signed
IMOD_ORIGIN = 4  # bit of its flags: the origin has the sign of the standard; else where zero lies, seen from the image
LITTLE_STAMP, BIG_STAMP = (0x44, 0x44, 0, 0), (0x11, 0x11, 0, 0)
MRC2014 = 20141  # version that is written
VOLUMES = range(401, 631)  # space groups that stand for a stack of volumes
MRC_LABELS, MRC_LABEL = 10, 80  # number and length
INFLATED = {".gz": 1032, ".bz2": 50_000}  # bytes that a byte becomes at most
PACKED_BEGIN = {".gz": b"\x1f\x8b", ".bz2": b"BZh"}
READ_ROOM = 2**20  # numbers that are looked at together
ANGSTROM = {"pm": 0.01, "Å": 1.0, "nm": 10.0, "µm": 1e4, "mm": 1e7}


def read(path: Path, axes: str | None) -> Image:
    """Read an image, a stack (T), a volume (Z), or a stack of volumes (TZ); pixel sizes are in Å.

    X is the file's fastest axis, also where the header maps it to another axis of the crystal.
    """
    packed = path.suffix.lower() if path.name.lower().endswith(PACKED_MRC) else ""
    if packed and not _first(path).startswith(PACKED_BEGIN[packed]):
        raise FormatError(f"it is damaged, or not packed in spite of its name: then call it {path.stem}")
    with _open(path, packed) as file:
        raw = file.read(HEADER.itemsize)
        if len(raw) < HEADER.itemsize:
            raise FormatError(f"it is cut short: it has {len(raw)} bytes, and the header alone is {HEADER.itemsize}")
        header, remarks = _header(raw)
        kind, shape = _kind(header), _shape(header)
        start, size = HEADER.itemsize + int(header["extended"]), path.stat().st_size
        wanted = math.prod(shape) * kind.itemsize
        if packed:
            check_claim(start + wanted, size, INFLATED[packed], size)
        else:
            check_claim(wanted, size - start, 1, size)
            remarks += left_over(size - start - wanted)
        extended = file.read(int(header["extended"]))
        if packed or wanted < MAP_FROM:
            data: Array = _load(file, kind, shape)
            while packed and file.read(2**24):  # what may follow, and at the end its checksum is compared
                pass
        else:
            data = np.memmap(path, kind, "r", start, shape)
    declared, guess = _axes(header, shape, path)
    chosen, guessed = settle_axes(shape, axes, declared)
    meta: dict[str, Any] = {"warnings": remarks, "mrc": {"header": raw, "extended": extended}}
    if said := guessed or (guess if axes is None else None):
        meta["guessed"] = said
    labels, note = _labels(header)
    meta["description"] = "\n".join(labels)
    if note:
        meta["hush"] = note
    scale = _scale(header) if chosen.endswith("YX") else {}
    scale = {axis: value for axis, value in scale.items() if axis in chosen}
    return Image(data, chosen, scale, "Å" if scale else None, meta)


def write(path: Path, image: Image) -> None:
    """Write an image, a stack, a volume or a stack of volumes in the mode of its dtype."""
    ordered, header = _plan(image)
    data = np.asarray(ordered.data)
    _describe(header, data)
    packed = path.suffix.lower() if path.name.lower().endswith(PACKED_MRC) else ""
    with _open(path, packed, "wb") as file:
        file.write(header.tobytes())
        file.write((image.meta.get("mrc") or {}).get("extended", b""))
        for section in data.reshape(-1, *data.shape[-2:]):
            file.write(np.ascontiguousarray(section, _kind(header)).data)


def create(path: Path, like: Image) -> Array | None:
    """Return a writable memory map whose `flush` sets the header's statistics; None for a packed file."""
    ordered, header = _plan(like)
    if path.name.lower().endswith(PACKED_MRC) or ordered.axes != like.axes:
        return None
    extended = (like.meta.get("mrc") or {}).get("extended", b"")
    with path.open("wb") as file:
        file.write(header.tobytes() + extended)
        file.truncate(HEADER.itemsize + len(extended) + like.data.size * _kind(header).itemsize)
    return _Mapped(path, _kind(header), "r+", HEADER.itemsize + len(extended), tuple(like.data.shape))


def reopen(path: Path, like: Image) -> Array:
    """Return what `create` gave for a file that was begun."""
    ordered, header = _plan(like)
    start = HEADER.itemsize + len((like.meta.get("mrc") or {}).get("extended", b""))
    return _Mapped(path, _kind(header), "r+", start, tuple(ordered.data.shape))


class _Mapped(np.memmap[Any, Any]):
    """Pixels of a file that is written in pieces; at the end the header is told what they are like."""

    def flush(self) -> None:
        """Write what is pending, and lowest, highest, mean and deviation into the header."""
        super().flush()
        with Path(str(self.filename)).open("rb+") as file:
            header, _ = _header(file.read(HEADER.itemsize))
            _describe(header, self)
            file.seek(0)
            file.write(header.tobytes())


def _first(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(3)


def _open(path: Path, packed: str, mode: str = "rb") -> AbstractContextManager[IO[bytes]]:
    openers: dict[str, Any] = {".gz": gzip.open, ".bz2": bz2.open}
    opened: AbstractContextManager[IO[bytes]] = openers.get(packed, open)(path, mode)
    return opened


def _load(file: IO[bytes], kind: np.dtype[Any], shape: tuple[int, ...]) -> Array:
    """Return the pixels in this machine's byte order."""
    data = np.empty(shape, kind)
    room, at = memoryview(data.reshape(-1).view(np.uint8).data), 0
    while at < len(room):
        piece = file.read(min(2**24, len(room) - at))
        if not piece:
            raise FormatError(f"it is cut short: its header claims {len(room)} bytes of pixels, and {at} are there")
        room[at : at + len(piece)] = piece
        at += len(piece)
    return data.astype(kind.newbyteorder("="), copy=False)


def _header(raw: bytes) -> tuple[Array, list[str]]:
    """Return the header as a record in its own byte order, and what is odd about it."""
    stamp, remarks = raw[212:214], []
    orders: dict[bytes, Any] = {b"\x44\x44": "<", b"\x44\x41": "<", b"\x11\x11": ">"}
    header = np.frombuffer(raw, HEADER.newbyteorder(orders.get(stamp, "<")))[0].copy()
    if stamp not in orders and not _plausible(header):
        header = np.frombuffer(raw, HEADER.newbyteorder(">"))[0].copy()
    if not _plausible(header):
        raise FormatError("it is not an MRC file, or damaged: its size and mode make no sense")
    if header["mark"].strip() != b"MAP":
        remarks.append("its header has no mark 'MAP ': it is of an old version, or not quite an MRC file")
    if int(header["mode"]) not in MODES:
        what = REFUSED_MODES.get(int(header["mode"]), "unknown")
        modes = ", ".join(f"{mode} ({np.dtype(kind).name})" for mode, kind in MODES.items())
        raise FormatError(f"its numbers are of mode {header['mode']} ({what}), which is not read; possible: {modes}")
    return header, remarks


def _plausible(header: Array) -> bool:
    known = int(header["mode"]) in {*MODES, *REFUSED_MODES}
    return known and min(header["n"]) > 0 and 0 <= int(header["extended"]) < 2**31


def _kind(header: Array) -> np.dtype[Any]:
    """Return the dtype of the pixels, in the file's byte order."""
    mode = MODES[int(header["mode"])]
    if mode == "i1" and int(header["imod_stamp"]) == IMOD and not int(header["imod_flags"]) & 1:
        mode = "u1"
    order: str = header.dtype["mode"].byteorder
    return np.dtype(order + mode)


def _shape(header: Array) -> tuple[int, ...]:
    columns, rows, sections = (int(count) for count in header["n"])
    each = int(header["m"][2])
    if int(header["spacegroup"]) in VOLUMES and each > 0 and sections % each == 0:
        return (sections // each, each, rows, columns)
    return (rows, columns) if sections == 1 and int(header["spacegroup"]) == 0 else (sections, rows, columns)


def _axes(header: Array, shape: tuple[int, ...], path: Path) -> tuple[str, str | None]:
    """Return the axes, and a sentence where they are guessed: programs disagree on how a stack is marked."""
    if len(shape) != 3:
        return "TZYX"[-len(shape) :], None
    if int(header["spacegroup"]) != 0:
        return "ZYX", None
    stack = int(header["m"][2]) == 1 or path.name.lower().endswith((".mrcs", ".mrcs.gz", ".mrcs.bz2", ".st"))
    axes = "TYX" if stack else "ZYX"
    return axes, said_guess(axes, shape)


def _scale(header: Array) -> dict[str, float]:
    """Return the pixel size of the stored axes in Å, where the header states one."""
    scale = {}
    for place, axis in enumerate("XYZ"):
        along = int(header["map_axes"][place]) - 1
        along = along if 0 <= along <= 2 else place
        if int(header["m"][along]) > 0 and (size := positive(header["cell"][along])):
            scale[axis] = size / int(header["m"][along])
    return scale


def _labels(header: Array) -> tuple[list[str], dict[str, Any] | None]:
    """Return the labels, without what hush wrote, and that."""
    used = min(max(0, int(header["labels_used"])), MRC_LABELS)
    raw = [bytes(one).decode("latin-1").replace("\0", " ") for one in header["labels"][:used]]
    first = next((i for i in range(used - 1, -1, -1) if raw[i].startswith("hush {")), used)
    note = from_note("".join(raw[first:]))
    kept = raw if note is None else raw[:first]
    return [one.rstrip() for one in kept if one.strip()], note


def _plan(image: Image) -> tuple[Image, Array]:
    """Return the image in the order of the file, and its header without statistics."""
    old = image.meta.get("mrc") or {}
    image = _ordered(image)
    header = _header(old["header"])[0] if old else _fresh(image)
    _set_mode(header, image.data.dtype, bool(old))
    _set_size(header, image)
    _set_scale(header, image)
    if old:
        _set_place(header, cut_before(image, "XYZ"))
    labels, _ = _labels(header)
    if str(image.meta.get("description") or "") != "\n".join(labels):
        labels = textwrap.wrap(str(image.meta.get("description") or ""), MRC_LABEL)
    text = to_note(image.meta.get("hush"))
    note = [text[at : at + MRC_LABEL] for at in range(0, len(text), MRC_LABEL)]
    lines = [*labels[: max(0, MRC_LABELS - len(note))], *note][:MRC_LABELS]
    if lines != _raw_lines(header):
        header["labels_used"] = len(lines)
        padded = [line.encode("latin-1", "replace").ljust(MRC_LABEL) for line in lines]
        header["labels"] = np.frombuffer(b"".join(padded).ljust(MRC_LABELS * MRC_LABEL, b"\0"), "V80")
    return image, header


def _raw_lines(header: Array) -> list[str]:
    return [bytes(one).decode("latin-1").rstrip(" \0") for one in header["labels"][: int(header["labels_used"])]]


def _ordered(image: Image) -> Image:
    """Return the image with axes [T][Z]YX."""
    data, axes = image.data, image.axes
    for letter in "CS":
        if image.sizes.get(letter) == 1:
            data, axes = data[tuple(0 if axis == letter else slice(None) for axis in axes)], axes.replace(letter, "")
    if set(axes) - set("TZYX"):
        raise FormatError(
            f"MRC holds sections of one grey image, and this image has axes {image.axes} of shape "
            f"{tuple(image.data.shape)}; write a .tif or .npy file"
        )
    order = "".join(axis for axis in "TZYX" if axis in axes)
    if (order, axes) != (axes, image.axes):
        data = data.transpose([axes.index(axis) for axis in order])
    return Image(data, order, image.scale, image.unit, image.meta)


def _fresh(image: Image) -> Array:
    header = np.zeros((), HEADER.newbyteorder("<"))[()]
    header["map_axes"], header["angles"] = (1, 2, 3), 90
    header["mark"], header["machine"], header["version"] = b"MAP ", LITTLE_STAMP, MRC2014
    header["spacegroup"] = {"Z": 1, "TZ": VOLUMES[0]}.get(image.axes[:-2], 0)
    header["m"] = (image.sizes["X"], image.sizes["Y"], image.sizes.get("Z", 1))
    header["n"] = (image.sizes["X"], image.sizes["Y"], 1)
    return header


def _set_mode(header: Array, dtype: np.dtype[Any], kept: bool) -> None:
    modes = {np.dtype(kind).name: mode for mode, kind in MODES.items()}
    if dtype.name == "uint8" and kept and _kind(header) == np.uint8:
        return
    if dtype.name not in modes:
        raise FormatError(f"MRC holds {', '.join(modes)}, not {dtype.name}; write a .tif or .npy file")
    header["mode"] = modes[dtype.name]
    if dtype.name == "int8" and int(header["imod_stamp"]) == IMOD:
        header["imod_flags"] = int(header["imod_flags"]) | 1


def _set_size(header: Array, image: Image) -> None:
    """Set the number of columns, rows and sections; a cell that was as large as the image stays so."""
    sizes = image.sizes
    new = (sizes["X"], sizes["Y"], sizes.get("T", 1) * sizes.get("Z", 1))
    if {"T", "Z"} <= set(image.axes) and int(header["spacegroup"]) not in VOLUMES:
        header["spacegroup"] = VOLUMES[0]
    if int(header["spacegroup"]) in VOLUMES and "Z" in sizes and int(header["m"][2]) != sizes["Z"]:
        header["m"][2] = sizes["Z"]
    for place, count in enumerate(new):
        along = int(header["map_axes"][place]) - 1
        along = along if 0 <= along <= 2 else place
        before = int(header["n"][place])
        if before != count and int(header["m"][along]) == before and before > 0:
            header["cell"][along] *= count / before
            header["m"][along] = count
        header["n"][place] = count


def _set_scale(header: Array, image: Image) -> None:
    """Set the cell, unless it says the same already."""
    said, unit = _scale(header), ANGSTROM.get(image.unit or "")
    for place, axis in enumerate("XYZ"):
        along = int(header["map_axes"][place]) - 1
        along = along if 0 <= along <= 2 else place
        size = image.scale.get(axis)
        if size is None or unit is None or math.isclose(said.get(axis, 0), size * unit, rel_tol=1e-6):
            continue
        header["m"][along] = max(1, int(header["m"][along]))
        header["cell"][along] = size * unit * int(header["m"][along])


def _set_place(header: Array, cut: tuple[int, ...]) -> None:
    """Let the header state the place of a piece, before which `cut` columns, rows and sections of the file lie.

    Programs take the origin for its place, and only where that is zero the number of the first column, row and section.
    """
    inverted = int(header["imod_stamp"]) == IMOD and not int(header["imod_flags"]) & IMOD_ORIGIN
    had = bool(header["origin"].any())
    for place, count in enumerate(cut):
        along = int(header["map_axes"][place]) - 1
        along = along if 0 <= along <= 2 else place
        header["start"][place] += count
        if had and count and int(header["m"][along]) > 0:
            step = float(header["cell"][along]) / int(header["m"][along])
            header["origin"][along] += -count * step if inverted else count * step
    if had and not header["origin"].any():
        header["start"] = 0  # it begins where coordinates do


def _describe(header: Array, data: Array) -> None:
    """Set lowest, highest, mean and root mean square deviation; what is not known is marked as the format says."""
    count, total, square, low, high = 0, 0.0, 0.0, math.inf, -math.inf
    sections = data.reshape(-1, *data.shape[-2:])
    centre = float(np.nan_to_num(np.float64(sections[0, 0, 0]), posinf=0, neginf=0))
    rows = max(1, READ_ROOM // sections.shape[-1])
    for strip in (section[at : at + rows] for section in sections for at in range(0, sections.shape[1], rows)):
        values = np.asarray(strip, np.float64)
        values = values[np.isfinite(values)]
        if values.size:
            low, high = min(low, float(values.min())), max(high, float(values.max()))
            count, total = count + values.size, total + float((values - centre).sum())
            square += float(((values - centre) ** 2).sum())
    if not count:
        header["low"], header["high"], header["mean"], header["rms"] = 0, -1, -2, -1
        return
    mean = total / count
    header["low"], header["high"], header["mean"] = low, high, centre + mean
    header["rms"] = math.sqrt(max(0.0, square / count - mean**2))
