"""Where a piece of a DICOM image lies: positions in the patient, and what its header counts in pixels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from hush.io._common import need
from hush.io._dicom_read import MEDICAL, groups_of

# A position, and the directions of rows and columns, each with the functional group that holds it.
POSITIONS = (
    ("PlanePositionSequence", "ImagePositionPatient", "PlaneOrientationSequence", "ImageOrientationPatient"),
    ("PlanePositionVolumeSequence", "ImagePositionVolume", "PlaneOrientationVolumeSequence", "ImageOrientationVolume"),
)
DECIMALS = 9  # of a millimetre: what rounding leaves is cut

# Shutters and collimators: edges by their row (0) or column (1), and points as row, column, row and so on.
EDGES = {
    "ShutterUpperHorizontalEdge": 0, "ShutterLowerHorizontalEdge": 0, "ShutterLeftVerticalEdge": 1,
    "ShutterRightVerticalEdge": 1, "CollimatorUpperHorizontalEdge": 0, "CollimatorLowerHorizontalEdge": 0,
    "CollimatorLeftVerticalEdge": 1, "CollimatorRightVerticalEdge": 1,
}  # fmt: skip
POINT_TAGS = (
    "CenterOfCircularShutter", "VerticesOfThePolygonalShutter", "CenterOfCircularCollimator",
    "VerticesOfThePolygonalCollimator",
)  # fmt: skip
OVERLAYS = range(0x6000, 0x6020, 2)  # groups of overlays, which lie upon the image at an origin
OVERLAY_ORIGIN = 0x0050

# Regions of an ultrasound image: first and last pixel, along columns and rows, and the pixel that is their reference.
REGION_SIDES = (
    ("RegionLocationMinX0", "RegionLocationMaxX1", "ReferencePixelX0", 1, "Columns"),
    ("RegionLocationMinY0", "RegionLocationMaxY1", "ReferencePixelY0", 0, "Rows"),
)


def move(header: Any, down: int, right: int) -> None:
    """Let a header state the place of a piece of its image.

    The position of the first pixel becomes ``position + right * column spacing * direction of rows + down * row spacing
    * direction of columns`` (PS3.3, C.7.6.2.1.1), in the header and in every functional group; overlays, shutters and
    regions of ultrasound stay where they lay on the scene.

    Parameters
    ----------
    header : pydicom Dataset
        Changed in place; its ``Rows`` and ``Columns`` are those of the piece.
    down, right : int
        How many rows and columns of the image lie before the piece.
    """
    if not down and not right:
        return
    cut = (down, right)
    common, each = groups_of(header)
    for group_name, name, directions_name, directions in POSITIONS:
        for group in [*common, *each]:
            measures = _first("PixelMeasuresSequence", header, group, *common, *each[:1])
            turned = _first(directions_name, header, group, *common, *each[:1])
            for item in group.get(group_name) or []:
                _move_one(item, name, turned.get(directions), measures.get("PixelSpacing"), cut)
    name, directions = POSITIONS[0][1], POSITIONS[0][3]
    for item in [header, *(header.get("DetectorInformationSequence") or [])]:  # of nuclear medicine
        _move_one(item, name, item.get(directions), header.get("PixelSpacing"), cut)
    for item in [header, *_items([*common, *each])]:
        _move_edges(item, cut)
    for number in OVERLAYS:
        if (number, OVERLAY_ORIGIN) in header:
            element = header[number, OVERLAY_ORIGIN]
            element.value = [int(one) - count for one, count in zip(element.value, cut, strict=True)]
    _move_regions(header, cut)


def _first(name: str, otherwise: Any, *groups: Any) -> Any:
    """Return the first item of this kind among functional groups."""
    return next((item for group in groups for item in group.get(name) or []), otherwise)


def _items(groups: list[Any]) -> Iterator[Any]:
    for group in groups:
        for element in group:
            if element.VR == "SQ":
                yield from element.value


def _move_one(item: Any, name: str, directions: Any, spacing: Any, cut: tuple[int, int]) -> None:
    """Move one position; what is not stated whole stays as it is."""
    try:
        where, axes, steps = (np.array(value, float) for value in (item.get(name), directions, spacing))
    except (TypeError, ValueError):
        return
    if where.shape != (3,) or axes.shape != (6,) or steps.shape != (2,):
        return
    moved = where + cut[1] * steps[1] * axes[:3] + cut[0] * steps[0] * axes[3:]
    if not np.isfinite(moved).all():
        return
    decimal = need("pydicom.valuerep", MEDICAL).DSfloat
    element = item.data_element(name)
    values = [round(float(value), DECIMALS) + 0.0 for value in moved]
    element.value = [decimal(value, auto_format=True) for value in values] if element.VR == "DS" else values


def _move_edges(item: Any, cut: tuple[int, int]) -> None:
    for name, along in EDGES.items():
        if item.get(name) is not None:
            item.data_element(name).value = int(item.get(name)) - cut[along]
    for name in POINT_TAGS:
        if item.get(name) is not None and np.size(item.get(name)) % 2 == 0:
            item.data_element(name).value = [int(one) - cut[k % 2] for k, one in enumerate(item.get(name))]


def _move_regions(header: Any, cut: tuple[int, int]) -> None:
    """Keep the regions of an ultrasound image that are still in it; their numbers have no sign."""
    kept = []
    for region in header.get("SequenceOfUltrasoundRegions") or []:
        for first, last, reference, along, side in REGION_SIDES:
            if region.get(first) is None or region.get(last) is None:
                continue
            low, high = int(region.get(first)) - cut[along], int(region.get(last)) - cut[along]
            if high < 0 or low >= int(header.get(side)):
                break
            region.data_element(first).value = max(0, low)
            region.data_element(last).value = min(high, int(header.get(side)) - 1)
            if region.get(reference) is not None:  # it counts from the corner of the region
                region.data_element(reference).value = int(region.get(reference)) + low - max(0, low)
        else:
            kept.append(region)
    if "SequenceOfUltrasoundRegions" in header:
        header.SequenceOfUltrasoundRegions = kept
