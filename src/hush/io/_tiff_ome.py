"""OME-XML: read what hush needs from it, and write it back with everything else untouched."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from xml.etree import ElementTree

import numpy as np

from hush.core.errors import FormatError
from hush.core.image import Image
from hush.io._common import cut_before, positive

TYPES = {
    "int8": "int8", "int16": "int16", "int32": "int32", "uint8": "uint8", "uint16": "uint16",
    "uint32": "uint32", "float32": "float", "float64": "double", "bool": "bit",
}  # fmt: skip
OME_MICRONS = {"pm": 1e-6, "Å": 1e-4, "nm": 1e-3, "µm": 1.0, "mm": 1e3, "cm": 1e4, "m": 1e6, "in": 25400.0}
SECONDS = {"ns": 1e-9, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
NOTE = "Annotation:hush"


@dataclass
class Said:
    """What an OME-XML text says about its first image."""

    scale: dict[str, float] = field(default_factory=dict)
    unit: str | None = None
    channels: list[str] = field(default_factory=list)
    description: str = ""
    hush: dict[str, Any] | None = None


def parse(xml: str) -> Said:
    """Return pixel size, channel names, description, and what hush did, of the first image."""
    try:
        root = ElementTree.fromstring(xml.strip().encode("utf-8"))
    except ElementTree.ParseError as error:
        raise FormatError(f"its OME-XML is damaged: {error}") from error
    image = root.find("{*}Image")
    pixels = image.find("{*}Pixels") if image is not None else None
    if image is None or pixels is None:
        return Said()
    said = Said(description=(image.findtext("{*}Description") or "").strip())
    said.scale, said.unit = _scale(pixels.attrib)
    names = [channel.get("Name") for channel in pixels.findall("{*}Channel")]
    if any(names):
        said.channels = [name or f"channel {i}" for i, name in enumerate(names, 1)]
    for note in root.iterfind(f".//{{*}}MapAnnotation[@ID='{NOTE}']/{{*}}Value/{{*}}M[@K='hush']"):
        try:
            said.hush = dict(json.loads(note.text or ""))
        except ValueError:
            said.hush = None
    return said


def _scale(pixels: Mapping[str, str]) -> tuple[dict[str, float], str | None]:
    """Return pixel sizes in the unit of X, and the time step in seconds."""
    scale: dict[str, float] = {}
    unit: str | None = None
    for axis in "XYZ":
        size = positive(pixels.get(f"PhysicalSize{axis}"))
        own = pixels.get(f"PhysicalSize{axis}Unit", "µm").replace("μ", "µ")
        if size is None or own not in OME_MICRONS:
            continue
        unit = unit or own
        scale[axis] = size if own == unit else size * OME_MICRONS[own] / OME_MICRONS[unit]
    step = positive(pixels.get("TimeIncrement"))
    seconds = SECONDS.get(pixels.get("TimeIncrementUnit", "s").replace("μ", "µ"))
    if step and seconds:
        scale["T"] = step * seconds
    return scale, unit


def holds(image: Image) -> bool:
    """Tell whether OME-TIFF can hold the image: its kind of numbers, and pages of Y and X."""
    lead = image.axes.removesuffix("S").removesuffix("YX").removesuffix("S")
    ends = image.axes.endswith(("YX", "YXS"))
    return image.data.dtype.name in TYPES and ends and "S" not in lead


def compose(image: Image, old: str | None) -> str:
    """Return OME-XML for `image`: `old` with what has changed, or a new one when that does not fit."""
    root = ElementTree.fromstring((old or _fresh(image)).strip().encode("utf-8"))
    if not _fits(root, image):
        root = ElementTree.fromstring(_fresh(image).encode("utf-8"))
    root.attrib.pop("UUID", None)
    first, *others = root.findall("{*}Image")
    for other in others:
        root.remove(other)
    space = first.tag[: first.tag.index("}") + 1]
    pixels = first.find("{*}Pixels")
    assert pixels is not None
    _set_layout(pixels, image, space)
    if old:
        _move(root, first, cut_before(image, "XY"), space)
    _set_scale(pixels, image)
    names = list(image.meta.get("channels") or [])
    for channel, name in zip(pixels.findall("{*}Channel"), names, strict=False):
        if channel.get("Name") is not None or not name.startswith("channel "):
            channel.set("Name", name)
    _set_description(first, str(image.meta.get("description") or ""), space)
    _set_note(root, first, image.meta.get("hush"), space)
    ElementTree.register_namespace("", space.strip("{}"))
    return '<?xml version="1.0" encoding="UTF-8"?>' + ElementTree.tostring(root, encoding="unicode")


def _fresh(image: Image) -> str:
    from tifffile import OmeXml

    sizes, samples = image.sizes, image.sizes.get("S", 1)
    separate = image.axes.endswith("SYX")
    planes = image.data.size // (sizes["Y"] * sizes["X"] * samples)
    stored = (planes, samples if separate else 1, 1, sizes["Y"], sizes["X"], 1 if separate else samples)
    xml = OmeXml()
    name = str(image.meta.get("name") or "image")
    xml.addimage(image.data.dtype, tuple(image.data.shape), stored, axes=image.axes, Name=name)
    return str(xml.tostring())


def _fits(root: ElementTree.Element, image: Image) -> bool:
    """Tell whether the XML describes an image with these channels and colour samples."""
    channels = root.findall("{*}Image[1]/{*}Pixels/{*}Channel")
    samples = [int(channel.get("SamplesPerPixel") or 1) for channel in channels]
    return samples == [image.sizes.get("S", 1)] * image.channels


def _set_layout(pixels: ElementTree.Element, image: Image, space: str) -> None:
    sizes = {axis: image.sizes.get(axis, 1) for axis in "XYZCT"}
    sizes["C"] *= image.sizes.get("S", 1)
    changed = any(pixels.get(f"Size{axis}") != str(sizes[axis]) for axis in "ZCT")  # which planes there are
    lead = [axis for axis in image.axes if axis in "TCZ"]
    order = "XY" + "".join(reversed(lead)) + "".join(a for a in "CZT" if a not in lead)
    pixels.set("DimensionOrder", order)
    pixels.set("Type", TYPES[image.data.dtype.name])
    for axis, size in sizes.items():
        pixels.set(f"Size{axis}", str(size))
    if "S" in image.axes:
        pixels.set("Interleaved", "true" if image.axes.endswith("S") else "false")
    pixels.attrib.pop("BigEndian", None)
    stale = {"TiffData", "BinData", "MetadataOnly"} | ({"Plane"} if changed else set())
    for child in list(pixels):
        if child.tag.removeprefix(space) in stale:
            pixels.remove(child)
    planes = int(np.prod([image.sizes[a] for a in lead], dtype=np.int64)) if lead else 1
    data = ElementTree.Element(f"{space}TiffData", {"IFD": "0", "PlaneCount": str(planes)})
    pixels.insert(len(pixels.findall("{*}Channel")), data)  # the schema's place: after the channels


def _set_scale(pixels: ElementTree.Element, image: Image) -> None:
    """Store the pixel size, unless the XML says the same already, perhaps in another unit."""
    said, unit = _scale(pixels.attrib)
    if said == dict(image.scale) and (unit == image.unit or not {*"XYZ"} & set(said)):
        return
    unit = {"inch": "in", "um": "µm", None: "µm"}.get(image.unit, image.unit)
    for axis in "XYZ":
        pixels.attrib.pop(f"PhysicalSize{axis}", None)
        pixels.attrib.pop(f"PhysicalSize{axis}Unit", None)
        if axis in image.scale:
            pixels.set(f"PhysicalSize{axis}", repr(float(image.scale[axis])))
            pixels.set(f"PhysicalSize{axis}Unit", unit or "µm")
    for name in ("TimeIncrement", "TimeIncrementUnit"):
        pixels.attrib.pop(name, None)
    if "T" in image.scale:
        pixels.set("TimeIncrement", repr(float(image.scale["T"])))
        pixels.set("TimeIncrementUnit", "s")


def _move(root: ElementTree.Element, first: ElementTree.Element, cut: tuple[int, ...], space: str) -> None:
    """Let positions of planes, and regions of interest, be those of a piece, before which `cut` pixels lie in X and Y.

    A position of the stage is taken for that of the first pixel. One without a unit of length stays as it is: what a
    pixel is in it is not known.
    """
    if not any(cut):
        return
    pixels = first.find("{*}Pixels")
    assert pixels is not None
    for axis, count in zip("XY", cut, strict=True):
        size, unit = positive(pixels.get(f"PhysicalSize{axis}")), pixels.get(f"PhysicalSize{axis}Unit", "µm")
        microns = OME_MICRONS.get(unit.replace("μ", "µ"))
        for plane in pixels.findall("{*}Plane"):
            where, own = plane.get(f"Position{axis}"), plane.get(f"Position{axis}Unit", "reference frame")
            factor = OME_MICRONS.get(own.replace("μ", "µ"))
            step = 1.0 if own == "pixel" else size * microns / factor if size and microns and factor else None
            if where is not None and step:
                plane.set(f"Position{axis}", repr(float(where) + count * step))
    regions = {one.get("ID") for one in first.findall("{*}ROIRef")}
    for region in root.findall("{*}ROI"):
        if region.get("ID") in regions:
            for shape in region.findall("{*}Union/*"):
                _move_shape(shape, cut, space)


def _move_shape(shape: ElementTree.Element, cut: tuple[int, ...], space: str) -> None:
    """Move a region, whatever its shape is, by its affine transform."""
    transform = shape.find("{*}Transform")
    if transform is None:
        same = {"A00": "1.0", "A10": "0.0", "A01": "0.0", "A11": "1.0", "A02": "0.0", "A12": "0.0"}
        transform = ElementTree.Element(f"{space}Transform", same)
        shape.insert(0, transform)
    for name, count in zip(("A02", "A12"), cut, strict=True):
        transform.set(name, repr(float(transform.get(name) or 0) - count))


def _set_description(first: ElementTree.Element, text: str, space: str) -> None:
    element = first.find("{*}Description")
    if element is None and text:
        element = ElementTree.Element(f"{space}Description")
        before = {f"{space}AcquisitionDate", f"{space}ExperimenterRef"}
        first.insert(sum(child.tag in before for child in first), element)
    if element is not None and (element.text or "").strip() != text:
        element.text = text


def _set_note(root: ElementTree.Element, first: ElementTree.Element, hush: Any, space: str) -> None:
    """Replace hush's annotation by one that says what it did now."""
    notes = root.find("{*}StructuredAnnotations")
    for parent in (notes, first):
        for child in list(parent) if parent is not None else []:
            if child.get("ID") == NOTE:
                parent.remove(child)  # type: ignore[union-attr]
    if not hush:
        return
    if notes is None:
        notes = ElementTree.Element(f"{space}StructuredAnnotations")
        root.insert(list(root).index(first) + 1, notes)
    note = ElementTree.SubElement(notes, f"{space}MapAnnotation", {"ID": NOTE, "Namespace": "hush"})
    entry = ElementTree.SubElement(ElementTree.SubElement(note, f"{space}Value"), f"{space}M", {"K": "hush"})
    entry.text = json.dumps(dict(hush), default=str)
    ElementTree.SubElement(first, f"{space}AnnotationRef", {"ID": NOTE})
