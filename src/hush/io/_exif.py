"""What photographs carry beside their pixels: EXIF, colour profile (ICC), XMP, and how they are to be turned.

``meta["embedded"]`` holds what was found, under ``exif`` (a TIFF stream), ``icc`` and ``xmp`` (bytes) and
``orientation`` (1 to 8, EXIF's numbers), and ``bits`` where pixels use fewer than their 16. Pixels are read as they are
stored, so a writer states the orientation once, where its format has the place for it: in EXIF (JPEG, PNG, WebP) or
beside the pixels (AVIF, JPEG XL).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

from hush.core.image import Image

EXIF_MARK = b"Exif\0\0"
DESCRIPTION_TAG, ORIENTATION_TAG = 270, 274
ASCII_KIND, SHORT_KIND = 2, 3  # of a TIFF field
ENTRY_SIZE = 12  # bytes of a TIFF field
SPACES = {1: (b"GRAY",), 2: (b"GRAY",), 3: (b"RGB ",), 4: (b"RGB ", b"CMYK")}  # of a profile, for so many samples

Field = tuple[int, int, int, bytes]  # tag, kind, count, value or offset


def embedded(exif: bytes = b"", icc: bytes = b"", xmp: bytes = b"", orientation: int = 0) -> dict[str, Any]:
    """Return the entry of `meta`: only what there is; an orientation that is not given is that of EXIF.

    Examples
    --------
    >>> embedded(icc=b"profile")
    {'icc': b'profile'}
    """
    exif = exif.removeprefix(EXIF_MARK)
    found: dict[str, Any] = {"exif": exif, "icc": icc, "xmp": xmp}
    found["orientation"] = orientation or orientation_of(exif)
    return {key: value for key, value in found.items() if value and (key, value) != ("orientation", 1)}


def fitting(image: Image, samples: int, *, turned: bool = False, in_exif: bool = True) -> dict[str, Any]:
    """Return what a file of so many samples a pixel carries of `image`: a profile of other colours is left out.

    Parameters
    ----------
    image : Image
        With ``meta["embedded"]``, or without.
    samples : int
        Values a pixel, opacity counted: 1 to 4.
    turned : bool
        Whether the format states the orientation beside the pixels; else EXIF is made to state it.
    in_exif : bool
        Whether a description that nothing else holds is written into EXIF.
    """
    found: Mapping[str, Any] = image.meta.get("embedded") or {}
    icc = bytes(found.get("icc", b""))
    if icc[16:20] in (b"GRAY", b"RGB ", b"CMYK") and icc[16:20] not in SPACES[samples]:
        icc = b""
    exif, orientation = bytes(found.get("exif", b"")), int(found.get("orientation", 1))
    description = str(image.meta.get("description") or "")
    if description and not exif and in_exif:
        exif = with_field(exif, DESCRIPTION_TAG, ASCII_KIND, description.encode("utf-8") + b"\0")
    if not turned and orientation_of(exif) != orientation:
        exif = with_field(exif, ORIENTATION_TAG, SHORT_KIND, bytes([orientation]))
    return embedded(exif, icc, bytes(found.get("xmp", b"")), orientation)


def bits_of(image: Image) -> int:
    """Return how many bits of 16 an image's file said to use; 16 where it said nothing."""
    stated = (image.meta.get("embedded") or {}).get("bits") or (image.meta.get("tiff") or {}).get("bits")
    return int(stated or 16)


def description_of(exif: bytes) -> str:
    """Return the one line that EXIF says about the picture, empty where it says nothing."""
    order, fields = _fields(exif.removeprefix(EXIF_MARK))
    for tag, kind, count, value in fields:
        if (tag, kind) == (DESCRIPTION_TAG, ASCII_KIND):
            at = struct.unpack(order + "I", value)[0]
            text = value[:count] if count <= 4 else exif.removeprefix(EXIF_MARK)[at : at + count]
            text = text.partition(b"\0")[0]
            try:
                return text.decode("utf-8").strip()
            except UnicodeDecodeError:  # EXIF says ASCII, and older programs wrote Latin-1
                return text.decode("latin-1").strip()
    return ""


def orientation_of(exif: bytes) -> int:
    """Return how EXIF says that the picture is to be turned, 1 (not at all) to 8.

    Examples
    --------
    >>> orientation_of(with_field(b"", ORIENTATION_TAG, SHORT_KIND, bytes([6])))
    6
    """
    order, fields = _fields(exif.removeprefix(EXIF_MARK))
    for tag, kind, count, value in fields:
        if (tag, kind, count) == (ORIENTATION_TAG, SHORT_KIND, 1):
            number = int(struct.unpack(order + "H", value[:2])[0])
            return number if 1 <= number <= 8 else 1
    return 1


def with_field(exif: bytes, tag: int, kind: int, body: bytes) -> bytes:
    """Return a TIFF stream in which a field of the first directory is set; what else it holds stays where it is.

    Parameters
    ----------
    exif : bytes
        A TIFF stream; empty, or damaged, for a new one.
    tag, kind : int
        Of the field: `ASCII_KIND` text, `SHORT_KIND` one number below 256.
    body : bytes
        The text with its zero, or the number as one byte.
    """
    order, fields = _fields(exif)
    if not order:
        exif, order = b"II*\0" + struct.pack("<I", 8), "<"
    start = struct.unpack(order + "I", exif[4:8])[0]
    after = start + 2 + ENTRY_SIZE * len(fields)  # where the next directory is named
    following = exif[after : after + 4] if fields and after + 4 <= len(exif) else bytes(4)
    exif += bytes(len(exif) % 2)
    count, value = (len(body), body) if kind == ASCII_KIND else (1, struct.pack(order + "H", body[0]))
    if len(value) > 4:
        value, exif = struct.pack(order + "I", len(exif)), exif + body + bytes(len(body) % 2)
    new = sorted([field for field in fields if field[0] != tag] + [(tag, kind, count, value.ljust(4, b"\0"))])
    head = exif[:4] + struct.pack(order + "I", len(exif))
    directory = b"".join(struct.pack(order + "HHI", *field[:3]) + field[3] for field in new)
    return head + exif[8:] + struct.pack(order + "H", len(new)) + directory + following


def _fields(exif: bytes) -> tuple[str, list[Field]]:
    """Return the byte order and the fields of the first directory; an empty order where this is no TIFF stream."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4], "")
    if not order or len(exif) < 10:
        return "", []
    start = struct.unpack(order + "I", exif[4:8])[0]
    if start + 2 > len(exif):
        return "", []
    count = struct.unpack(order + "H", exif[start : start + 2])[0]
    fields = []
    for place in range(start + 2, start + 2 + ENTRY_SIZE * count, ENTRY_SIZE):
        if place + ENTRY_SIZE > len(exif):
            break
        fields.append((*struct.unpack(order + "HHI", exif[place : place + 8]), exif[place + 8 : place + 12]))
    return order, fields
