"""What a TIFF file says besides its pixels: plain tags, ImageJ's and tifffile's metadata, OME-XML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hush.io import _tiff_ome, _tiff_tags, _tiff_values, _tiff_vendor
from hush.io._common import from_note, is_screen, positive, without_note
from hush.io._tiff_tags import Tag
from hush.io._tiff_values import RGB, Code

if TYPE_CHECKING:
    from tifffile import TiffFile, TiffPage, TiffPageSeries

# Compressions that give back what was put in, by their number in the file.
LOSSLESS = {5: "LZW", 8: "Deflate", 32946: "Deflate", 32773: "PackBits", 34925: "LZMA", 50000: "Zstandard"}
CCITT = (2, 3, 4)

KINDS = (0, 1, 2)  # of extra samples: unspecified, opacity that colours are multiplied with, opacity

TIFF_MICRONS = {"nm": 1e-3, "µm": 1.0, "mm": 1e3, "cm": 1e4, "m": 1e6, "inch": 25400.0}


@dataclass
class Facts:
    """Everything a file says besides its pixels."""

    axes: str
    scale: dict[str, float] = field(default_factory=dict)
    unit: str | None = None
    meta: dict[str, Any] = field(default_factory=dict)
    code: Code = field(default_factory=Code)  # what the numbers stand for


def facts(tif: TiffFile, series: TiffPageSeries, places: Sequence[_tiff_tags.Place]) -> Facts:
    """Gather what the file says about its first series."""
    page = series.keyframe.aspage()
    kind = series.kind if series.kind in ("ome", "imagej", "shaped") else "plain"
    found = Facts(series.get_axes(False) if kind == "shaped" else series.axes)
    tags = _tiff_tags.of_pages(places, tif.byteorder)
    private = _page_facts(tif, page) | _text_facts(page, tags) | {"kind": kind}
    found.meta = {"tiff": private, "warnings": [], "channels": [], "description": page.description or ""}
    found.scale, found.unit = scale_of_resolution(private["resolution"], private["resolutionunit"])
    private["vendor"] = _tiff_vendor.size(tags[0])
    if private["vendor"][0]:
        found.scale, found.unit = private["vendor"]
    hush = from_note(page.software)
    if kind == "shaped":
        _shaped(found, page, dict((tif.shaped_metadata or ({},))[0]))
    elif kind == "imagej":
        hush = _imagej(found, dict(tif.imagej_metadata or {})) or hush
    elif kind == "ome":
        hush = _ome(found, tif.ome_metadata or "") or hush
    if hush:
        found.meta["hush"] = hush
    _samples(found, page)
    private["numbers"] = str(series.dtype) if found.code.plain else ""
    found.meta["warnings"] += _remarks(tif, series, page)
    if codes := sorted({code for page_tags in tags for code in _tiff_tags.lost(page_tags)}):
        found.meta["warnings"].append(
            f"tags {', '.join(map(str, codes))} are not written again: they hold places in this file, or the old pixels"
        )
    return found


def scale_of_resolution(resolution: Any, unit: int) -> tuple[dict[str, float], str | None]:
    """Return pixel sizes in micrometres from pixels an inch (2) or a centimetre (3)."""
    length = {2: TIFF_MICRONS["inch"], 3: TIFF_MICRONS["cm"]}.get(unit)
    if length is None or resolution is None:
        return {}, None
    sizes = {axis: ratio(value) for axis, value in zip("XY", resolution, strict=True)}
    scale = {axis: length / value for axis, value in sizes.items() if value}
    if any(map(is_screen, scale.values())):
        return {}, None
    return scale, "µm" if scale else None


def ratio(value: tuple[int, int]) -> float | None:
    """Return a TIFF fraction as a number, None when it is no positive one."""
    return positive(value[0] / value[1]) if value[1] else None


def usual_unit(unit: str) -> str:
    r"""Return the usual sign of a unit of length: um, micron and ImageJ's \\u00B5m are µm."""
    unit = unit.strip().replace("\\u00B5", "µ").replace("\\u00b5", "µ").replace("μ", "µ")
    if unit.lower() in ("um", "micron", "microns", "micrometer", "micrometre", "µm"):
        return "µm"
    return {"in": "inch", "inches": "inch", "\\u00C5": "Å", "angstrom": "Å"}.get(unit, unit)


def _page_facts(tif: TiffFile, page: TiffPage) -> dict[str, Any]:
    """Return what is needed to write a page of the same kind."""
    tags = page.tags
    resolution = tuple(tags.valueof(code) for code in (282, 283))
    usable = all(isinstance(value, tuple) and len(value) == 2 and value[1] for value in resolution)
    return {
        "byteorder": tif.byteorder,
        "bigtiff": tif.is_bigtiff,
        "photometric": _photometric(page),
        "bits": page.bitspersample if isinstance(page.bitspersample, int) else None,
        "compression": int(page.compression),
        "predictor": int(page.predictor),
        "tile": (page.tilelength, page.tilewidth) if page.is_tiled else None,
        "extrasamples": tuple(sample if sample in KINDS else 0 for sample in map(int, page.extrasamples)),
        "resolution": resolution if usable else None,
        "resolutionunit": int(tags.valueof(296, 2)),  # 2, inch, is what the standard assumes
        "colormap": page.colormap,
    }


def _text_facts(page: TiffPage, pages: list[tuple[Tag, ...]]) -> dict[str, Any]:
    """Return the tags to be copied, a list a page, and the two that hush may add to, as bytes."""
    raw = {tag.code: tag.body.rstrip(b"\0") for tag in reversed(pages[0])}
    first = _tiff_tags.kept(pages[0], first=True)
    others = {id(tags): _tiff_tags.kept(tags, first=False) for tags in pages[1:]}
    return {
        "tags": [first, *(others[id(tags)] for tags in pages[1:])],
        "software": without_note(raw.get(305, b"").decode("latin-1")),
        "described": (page.description, raw.get(270, b"")),
    }


def _photometric(page: TiffPage) -> int:
    """Return the photometric interpretation; where the tag is missing, what libtiff assumes."""
    if 262 in page.tags or page.photometric:
        return int(page.photometric)
    if page.samplesperpixel - len(page.extrasamples) == 3:
        return RGB
    return 0 if int(page.compression) in CCITT else 1


def _samples(found: Facts, page: TiffPage) -> None:
    """Say whether the last sample is opacity, and whether numbers stand for a palette's colours."""
    private = found.meta["tiff"]
    if private["photometric"] == 6 and "S" in found.axes:
        private["photometric"] = RGB  # YCbCr becomes RGB
    if "S" in found.axes:
        found.meta["alpha"] = bool(private["extrasamples"]) and private["extrasamples"][-1] in (1, 2)
    if private["photometric"] == 5 and "S" in found.axes:
        found.meta["cmyk"] = True
    found.code = _tiff_values.code_of(page, private["kind"])
    found.meta["warnings"] += _tiff_values.remarks(found.code)
    if found.code.palette is not None:
        private["photometric"] = RGB


def _remarks(tif: TiffFile, series: TiffPageSeries, page: TiffPage) -> list[str]:
    from tifffile import COMPRESSION

    remarks = []
    # tifffile takes any later page of half the size for a copy; only pages that say so are
    copies = [level for level in series.levels[1:] if series.kind != "generic" or _is_copy(level)]
    images = len(tif.series) + len(series.levels) - 1 - len(copies)
    if images > 1:
        remarks.append(f"only the first of its {images} images was read, {images - 1} left out")
    if copies:
        remarks.append(f"its {len(copies)} smaller copies (pyramid levels) are not written again")
    if strange := sorted(set(map(int, page.extrasamples)) - set(KINDS)):
        remarks.append(f"its extra sample is of a kind that TIFF does not know ({strange[0]}): taken as unspecified")
    if int(page.compression) not in (1, *LOSSLESS, *CCITT):
        known = page.compression in list(COMPRESSION)
        name = COMPRESSION(page.compression).name if known else f"method {page.compression}"
        remarks.append(f"it was compressed with {name}; the result is written uncompressed")
    return remarks


def _is_copy(level: TiffPageSeries) -> bool:
    page = level.keyframe.aspage()
    return bool(page.is_reduced or page.is_subifd)


def _shaped(found: Facts, page: TiffPage, said: dict[str, Any]) -> None:
    """Take what tifffile and hush put into the JSON description."""
    for key in ("shape", "axes", "truncated"):
        said.pop(key, None)
    if page.description.lstrip().startswith(("{", "shape=")):  # no description by the user before it
        found.meta["description"] = ""
    channels, scale, unit = said.pop("channels", None), said.pop("scale", None), said.pop("unit", None)
    if isinstance(channels, list):
        found.meta["channels"] = [str(name) for name in channels]
    if isinstance(scale, Mapping):
        found.scale = {axis: size for axis, value in scale.items() if (size := positive(value))}
        found.unit = unit
    found.meta["tiff"]["shaped"] = said


def _imagej(found: Facts, said: dict[str, Any]) -> dict[str, Any] | None:
    info = str(said.get("Info", ""))
    if "Info" in said:
        said["Info"] = without_note(info)
    unit = usual_unit(str(said.get("unit", "")))
    resolution = found.meta["tiff"]["resolution"]
    found.scale, found.unit = {}, None
    if unit not in ("", "pixel", "pixels"):
        found.unit = unit
        sizes = [ratio(value) for value in resolution or ()]
        found.scale = {axis: 1 / value for axis, value in zip("XY", sizes, strict=False) if value}
        if spacing := positive(said.get("spacing")):
            found.scale["Z"] = spacing
    if interval := positive(said.get("finterval")) or (positive(1 / fps) if (fps := said.get("fps")) else None):
        found.scale["T"] = interval
    labels = said.get("Labels") or []
    if "C" in found.axes and found.axes.strip("YXS") == "C":
        found.meta["channels"] = [str(label) for label in labels]
    found.meta["description"] = said.get("Info", "")
    found.meta["tiff"]["imagej"] = said
    return from_note(info)


def _ome(found: Facts, xml: str) -> dict[str, Any] | None:
    said = _tiff_ome.parse(xml)
    if said.scale:
        found.scale, found.unit = said.scale, said.unit
    found.meta |= {"channels": said.channels, "description": said.description}
    found.meta["tiff"]["ome"] = xml
    return said.hush
