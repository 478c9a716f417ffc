"""Slices of volumes in NIfTI files: as they were scanned, or sagittal."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hush import io
from hush.core.errors import FormatError
from hush.core.image import Array

PLACES = {348: ("i2", 254, "f4", 280), 540: ("i4", 348, "f8", 400)}  # of a header's length: code and rows of its axes
THICK_SLICES = 1.5  # times the thinnest side of a voxel: from there on a volume is a stack of slices


@dataclass(frozen=True)
class Volume:
    """Values of a NIfTI file, and how its axes lie in the body.

    Attributes
    ----------
    values : array, shape (Z, Y, X)
        As `hush.io` reads them, after slope and intercept.
    axes : array, shape (3, 3)
        A column for each of these axes: millimetres to the right, to the front and up that one voxel more along it is.
    """

    values: Array
    axes: Array


def read_volume(path: Path) -> Volume:
    """Read a NIfTI file, ``.nii`` or ``.nii.gz``.

    Raises
    ------
    FormatError
        Where it is damaged, or has other axes than three.
    """
    image = io.read(path)
    if image.axes != "ZYX":
        raise FormatError(f"{path.name} has the axes {image.axes}; slices are cut from a volume, ZYX")
    values = np.asarray(image.data)
    rescale = image.meta.get("rescale")
    if rescale:
        values = values * np.float32(rescale["slope"]) + np.float32(rescale["intercept"])
    header = image.meta["nifti"]
    kind, code, number, rows = PLACES[len(header.raw)]
    if np.frombuffer(header.raw, header.order + kind, 1, code)[0] > 0:
        placed = np.frombuffer(header.raw, header.order + number, 12, rows).reshape(3, 4)[:, 2::-1]
        return Volume(values, placed.astype(np.float64))
    return Volume(values, np.diag([image.scale.get(axis, 1.0) for axis in "ZYX"])[::-1])


def slices_of(volume: Volume, peak: float = 255.0) -> Array:
    """Return the slices (N, Y, X) of a volume as float32, brightest value `peak`, without its empty borders.

    A volume of thick slices is cut as it was scanned, any other into sagittal slices. What is above in the body, or
    of axial slices in front, is above in a slice.

    Parameters
    ----------
    volume : Volume
        Of three axes.
    peak : float

    Examples
    --------
    >>> values = np.zeros((4, 5, 6))
    >>> values[1:3, 2:, 3] = 7
    >>> slices_of(Volume(values, np.eye(3))).shape
    (2, 1, 3)
    """
    sizes = np.linalg.norm(volume.axes, axis=0)
    thick = sizes.max() > THICK_SLICES * sizes.min()
    through = int(np.argmax(sizes if thick else np.abs(volume.axes[0])))
    plane = [axis for axis in range(3) if axis != through]
    up = 2 if np.abs(volume.axes[2, plane]).max() > sizes.min() / 2 else 1
    rows = max(plane, key=lambda axis: abs(volume.axes[up, axis]))
    columns = next(axis for axis in plane if axis != rows)
    cut = volume.values.transpose(through, rows, columns).astype(np.float32)
    if volume.axes[up, rows] > 0:
        cut = cut[:, ::-1]
    filled = cut != 0
    if not filled.any():
        return cut[:0]
    box = tuple(_extent(filled.any(tuple(other for other in range(3) if other != axis))) for axis in range(3))
    return np.ascontiguousarray(cut[box] * np.float32(peak / cut.max()))


def _extent(used: Array) -> slice:
    where = np.flatnonzero(used)
    return slice(int(where[0]), int(where[-1]) + 1)
