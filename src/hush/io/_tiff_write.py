"""How an image becomes a TIFF file: the kind of file and the arguments that tifffile needs for it."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from hush.core.errors import FormatError
from hush.core.findings import Finding
from hush.core.image import Image
from hush.io import _tiff_ome, _tiff_place
from hush.io._common import cut_before, to_note
from hush.io._tiff_read import CCITT, LOSSLESS, TIFF_MICRONS, scale_of_resolution, usual_unit
from hush.io._tiff_tags import IMAGEJ, NUMBERS, SIZES, Tag

MINISWHITE, MINISBLACK, RGB, PALETTE, CMYK, LAB = 0, 1, 2, 3, 5, 8
COLOURS = {RGB: 3, CMYK: 4, LAB: 3}  # samples a pixel before extra ones
CLASSIC_LIMIT = 2**32 - 2**25  # what plain TIFF's 32-bit offsets reach, with room for tags
COMPRESS_LIMIT = 512 * 2**20  # larger results are written in pieces, and those cannot be compressed


@dataclass
class Plan:
    """Arguments for tifffile's writer and for its one call."""

    file: dict[str, Any] = field(default_factory=dict)
    page: dict[str, Any] = field(default_factory=dict)
    tags: Sequence[tuple[Tag, ...]] = ()  # of each page, to be copied
    order: str = "<"  # their byte order
    without: set[int] = field(default_factory=set)  # tags that are not true any more


def plan(path: Path, image: Image, *, compress: bool = True) -> Plan:
    """Decide how to write `image`; the path only tells whether it is to be OME-TIFF."""
    old = image.meta.get("tiff") or {}
    kind = _kind(path, image, old)
    large = image.data.nbytes > CLASSIC_LIMIT
    found = Plan(
        {
            "byteorder": old.get("byteorder") or "<",
            "bigtiff": kind != "imagej" and (large or bool(old.get("bigtiff"))),
            "imagej": kind == "imagej",
            "ome": False,  # hush composes the XML itself
        }
    )
    if image.data.dtype.kind not in "buif" or image.data.dtype.itemsize > 8:
        raise FormatError(f"TIFF cannot hold {image.data.dtype}; convert it to float64")
    found.page = _layout(image, old, kind)
    if bits := _bits(image, old):
        found.page["bitspersample"] = bits
        found.file["byteorder"] = "<"  # tifffile packs numbers of the other order wrongly
    else:
        found.page |= _compression(image, old, kind, compress)
    found.page["software"] = old.get("software") or ""
    found.page["metadata"] = None
    found.order = old.get("byteorder") or "<"
    found.tags = _tiff_place.moved(old.get("tags") or (), found.order, cut_before(image, "XY"), old.get("resolution"))
    if old.get("numbers") != image.data.dtype.name:
        found.without |= NUMBERS
    if "imagej" in (kind, old.get("kind")):
        found.without |= IMAGEJ
    if kind == "imagej":
        _imagej(found.page, image, old, large)
        found.tags = () if large else found.tags
    elif kind == "ome":
        found.page |= _resolution(image, old)
        found.page["description"] = _tiff_ome.compose(image, old.get("ome")).encode("utf-8")
    else:
        _plain(found.page, image, old)
    found.page["software"] = found.page["software"].encode("latin-1", "replace")
    return found


def without_single_sample(image: Image) -> Image:
    """Return the image without a colour axis of length one, which TIFF does not know."""
    if image.sizes.get("S") != 1:
        return image
    return replace(image, data=image.data[image.colour(0)], axes=image.axes.replace("S", ""))


def _kind(path: Path, image: Image, old: dict[str, Any]) -> str:
    """Choose the kind of TIFF: by an .ome suffix, else the input's, if it can hold the image."""
    wanted = str(old.get("kind") or "plain")
    if ".ome." in path.name.lower():
        wanted = "ome"
    able = {"ome": _tiff_ome.holds, "imagej": _imagej_holds}.get(wanted, lambda _: True)(image)
    if able:
        return wanted
    what = {"ome": "OME-TIFF", "imagej": "ImageJ's TIFF"}[wanted]
    sentence = (
        f"{what} cannot hold {image.data.dtype} with axes {image.axes}; written as plain TIFF, whose "
        "description states axes and pixel size"
    )
    warnings.warn(Finding("written-as-plain-tiff", sentence).warning(), stacklevel=2)
    return "plain"


def _imagej_holds(image: Image) -> bool:
    ordered = image.axes == "".join(axis for axis in "TZCYXS" if axis in image.axes)
    kind = image.data.dtype.name
    if "S" in image.axes:
        return ordered and kind == "uint8" and image.sizes["S"] == 3
    return ordered and kind in ("uint8", "uint16", "int16", "float32")


def _layout(image: Image, old: dict[str, Any], kind: str) -> dict[str, Any]:
    """Return photometric, planar configuration, extra samples and colour map."""
    interleaved, separate = image.axes.endswith("YXS"), image.axes.endswith("SYX")
    stored = old.get("photometric", MINISBLACK)
    if not interleaved and not separate:
        if kind == "imagej" and stored == PALETTE and image.data.dtype.name == "uint8":
            return {"photometric": PALETTE, "colormap": old["colormap"]}
        return {"photometric": MINISWHITE if stored == MINISWHITE else MINISBLACK}
    samples = image.sizes["S"]
    if not old:
        stored = CMYK if image.meta.get("cmyk") else RGB if samples in (3, 4) else MINISBLACK
    elif stored not in COLOURS or COLOURS[stored] > samples:
        stored = MINISBLACK
    extra = samples - COLOURS.get(stored, 1)
    layout: dict[str, Any] = {"photometric": stored, "planarconfig": "separate" if separate else "contig"}
    if extra:
        before = tuple(old.get("extrasamples") or ())
        usual = (0,) * (extra - 1) + (2 if image.alpha else 0,)
        layout["extrasamples"] = before if len(before) == extra else usual
    return layout


def _bits(image: Image, old: dict[str, Any]) -> int | None:
    """Return the input's bits a sample where they are no whole numbers' usual ones, and the values fit."""
    bits, data = old.get("bits") or 8, image.data
    odd = data.dtype.kind == "u" and data.dtype.itemsize * 4 < bits < data.dtype.itemsize * 8
    return bits if bits > 8 and odd and int(data.max()) < 2**bits else None


def _compression(image: Image, old: dict[str, Any], kind: str, compress: bool) -> dict[str, Any]:
    """Return the input's compression when it is lossless and the image is small."""
    number = old.get("compression", 1)
    if not compress or kind == "imagej" or image.data.nbytes > COMPRESS_LIMIT:
        return {}
    if image.data.dtype == bool:  # fax codes and Deflate of single bits: only PackBits can be written
        return {"compression": 32773} if number in (*CCITT, *LOSSLESS) else {}
    if number not in LOSSLESS:
        return {}
    chosen: dict[str, Any] = {"compression": 8 if number == 32946 else number}
    whole = image.data.dtype.kind in "ui"
    if old.get("predictor", 1) != 1 and number != 32773 and not (whole and image.data.dtype.itemsize == 8):
        chosen["predictor"] = True
    tile = old.get("tile")
    if tile and not any(side % 16 for side in tile):
        chosen["tile"] = tile
    return chosen


def _resolution(image: Image, old: dict[str, Any]) -> dict[str, Any]:
    """Return the resolution tags: the input's own while they say the same, else pixels a centimetre."""
    before, unit = old.get("resolution"), old.get("resolutionunit", 1)
    scale = {axis: image.scale[axis] for axis in "XY" if axis in image.scale}
    told = old.get("kind") == "ome" or not scale or _by_vendor(image, old)
    if before and (told or _same(image, *scale_of_resolution(before, unit))):
        return {"resolution": before, "resolutionunit": unit}
    microns = TIFF_MICRONS.get(usual_unit(image.unit or ""))
    if microns is None or len(scale) < 2:
        return {}
    per_cm = [TIFF_MICRONS["cm"] / (scale[axis] * microns) for axis in "XY"]
    if not all(1e-6 < value < 4e9 for value in per_cm):  # a TIFF fraction holds no more
        return {}
    return {"resolution": tuple(_fraction(value) for value in per_cm), "resolutionunit": 3}


def _by_vendor(image: Image, old: dict[str, Any]) -> bool:
    """Whether the pixel size is the one that a copied tag states."""
    scale, unit = old.get("vendor") or ({}, None)
    return bool(scale) and (dict(image.scale), image.unit) == (scale, unit)


def _fraction(value: float) -> tuple[int, int]:
    """Return the nearest fraction of two 32-bit integers."""
    near = Fraction(value).limit_denominator(min(2**32 - 1, int((2**32 - 1) / value)))
    return near.numerator, near.denominator


def _same(image: Image, scale: dict[str, float], unit: str | None) -> bool:
    """Tell whether a pixel size is the image's own, X and Y only."""
    own = {axis: image.scale[axis] for axis in "XY" if axis in image.scale}
    close = all(math.isclose(own[a], scale[a], rel_tol=1e-9) for a in own if a in scale)
    return own.keys() == scale.keys() and close and (unit == image.unit or not own)


def _plain(page: dict[str, Any], image: Image, old: dict[str, Any]) -> None:
    """Add a JSON description for what plain tags cannot say; a simple picture gets none."""
    page |= _resolution(image, old)
    said = scale_of_resolution(page.get("resolution"), page.get("resolutionunit", 1))
    more = dict(old.get("shaped") or {})
    if image.meta.get("channels"):
        more["channels"] = list(image.meta["channels"])
    if image.scale and not _by_vendor(image, old) and (set(image.scale) - {*"XY"} or not _same(image, *said)):
        more |= {"scale": {axis: float(size) for axis, size in image.scale.items()}, "unit": image.unit}
    lead = image.axes.removesuffix("S").removesuffix("YX").removesuffix("S")
    told = image.axes in (f"{lead}YX", f"{lead}YXS", f"{lead}SYX") and (
        lead == "" or (lead == "Z" and image.sizes["Z"] > 1 and "guessed" in image.meta)
    )
    if more or not told or old.get("kind") == "shaped":
        page["metadata"] = {"axes": image.axes, **json.loads(json.dumps(more, default=str))}
    if description := str(image.meta.get("description") or ""):
        text, raw = old.get("described") or ("", b"")
        page["description"] = raw if description == text else description.encode("utf-8")
    page["software"] = " | ".join(part for part in (page["software"], to_note(image.meta.get("hush"))) if part)


def _imagej(page: dict[str, Any], image: Image, old: dict[str, Any], large: bool) -> None:
    """Give ImageJ back its own entries, and what changed."""
    said = {k: v for k, v in (old.get("imagej") or {}).items() if k not in ("images", "channels", "slices", "frames")}
    planes = int(np.prod([image.sizes[a] for a in image.axes if a in "TZC"], dtype=np.int64))
    channels = list(image.meta.get("channels") or [])
    if len(channels) == planes == image.channels:
        said["Labels"] = channels
    for key, count in (("Labels", planes), ("LUTs", image.channels)):
        if len(said.get(key) or []) != count:
            said.pop(key, None)
    if len(np.ravel(said.get("Ranges", ()))) != 2 * image.channels:
        said.pop("Ranges", None)
    _imagej_scale(page, said, image, old)
    said |= _tiff_place.imagej_origin(said, cut_before(image, "XY"))
    info = str(image.meta.get("description") or "")
    note = to_note(image.meta.get("hush"))
    if info or note or "Info" in said:
        said["Info"] = "\n".join(part for part in (info, note) if part)
    page["metadata"] = {"axes": image.axes} | {k: _ascii(k, v) for k, v in said.items()}
    if large:
        # no place behind the pixels can be pointed to: tags must go before them, and lists of tags cannot
        page["extratags"] = [(t.code, t.kind, len(t.body) // SIZES[t.kind], t.body, True) for t in _simple(old)]
        page["truncate"] = True  # one page entry, all pixels after it: how ImageJ itself passes 4 GB


def _imagej_scale(page: dict[str, Any], said: dict[str, Any], image: Image, old: dict[str, Any]) -> None:
    if {*"XY"} <= set(image.scale):
        page["resolution"] = tuple(_fraction(1 / image.scale[axis]) for axis in "XY")
    before = old.get("resolution")
    if before and all(
        axis not in image.scale or math.isclose(value[0] / value[1] * image.scale[axis], 1, rel_tol=1e-9)
        for axis, value in zip("XY", before, strict=True)
        if value[0]
    ):
        page["resolution"], page["resolutionunit"] = before, old.get("resolutionunit", 1)
    if image.unit and usual_unit(str(said.get("unit", ""))) != image.unit:
        said["unit"] = image.unit
    if "Z" in image.scale:
        said["spacing"] = image.scale["Z"]
    if "T" in image.scale:
        said["finterval"] = image.scale["T"]


def _simple(old: dict[str, Any]) -> list[Tag]:
    return [tag for tag in (old.get("tags") or [()])[0] if not tag.inside and tag.kind <= 12 and tag.code not in IMAGEJ]


def _ascii(key: str, value: Any) -> Any:
    r"""Write text of ImageJ's description as Java does (\\u00B5m); long texts have a tag of their own."""
    if key in ("Info", "Labels") or not isinstance(value, str):
        return value
    return "".join(c if ord(c) < 128 else f"\\u{ord(c):04X}" for c in value)
