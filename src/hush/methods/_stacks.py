"""Stacks: along which axis planes have neighbours, and how an image is cut along it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from hush.core.errors import HushError
from hush.core.image import Image
from hush.core.missing import fill
from hush.pretrained.neighbours.gathering import gather
from hush.pretrained.neighbours.network import NEIGHBOUR_OFFSETS
from hush.vst.stabilizer import Stabilizer

STACKED = ("T", "Z")  # axes along which planes may be alike; the first that there is is taken
HALO = max(NEIGHBOUR_OFFSETS)  # planes beyond both ends of a run that are read
CHUNK_PIXELS = 1 << 25  # of the planes that are worked on at once
LOOK_SIDE = 192  # of the window, planes of which are compared
CUBE = 1.5  # longest side of a voxel over its shortest, up to which it is one


@dataclass(frozen=True)
class Run:
    """Some planes of a stack, and those beyond both ends that are read for them.

    Attributes
    ----------
    read : slice
        In the stack.
    inner : slice
        In what is read: what is kept.
    write : slice
        Where that stands in the stack.
    """

    read: slice
    inner: slice
    write: slice


def axis_of(image: Image, asked: str | None) -> str | None:
    """Return the axis along which planes have neighbours; None where there is one plane only.

    Raises
    ------
    HushError
        Where the axis that is asked for is not there.

    Examples
    --------
    >>> [axis_of(Image(np.zeros(shape), axes), None) for shape, axes in (((2, 3, 8, 8), "TZYX"), ((1, 8, 8), "ZYX"))]
    ['T', None]
    """
    if asked is not None and asked not in image.axes:
        raise HushError(
            f"planes have no neighbours along {asked}: the axes are {image.axes!r}; name the axes (--axes), "
            "or leave the setting axis out"
        )
    wanted = STACKED if asked is None else (asked,)
    return next((axis for axis in wanted if image.sizes.get(axis, 1) > 1), None)


def along(image: Image, axis: str) -> Image:
    """Return an image whose Z axis is another one, which takes its place: a view of the same data.

    Examples
    --------
    >>> along(Image(np.zeros((2, 3, 8, 9)), "TZYX"), "X").axes
    'TXYZ'
    """
    places = {axis: "Z", "Z": axis}
    axes = "".join(places.get(one, one) for one in image.axes)
    return replace(image, axes=axes, scale={places.get(one, one): size for one, size in image.scale.items()})


def runs(planes: int, pixels: int, most: int = CHUNK_PIXELS) -> Iterator[Run]:
    """Cut a stack of so many planes, each of so many pixels, into runs that fit into memory.

    Examples
    --------
    >>> [run.read for run in runs(9, 1, most=9)], [run.write for run in runs(9, 1, most=8)]
    ([slice(0, 9, None)], [slice(0, 4, None), slice(4, 8, None), slice(8, 9, None)])
    """
    each = planes if planes * pixels <= most else max(1, most // pixels - 2 * HALO)
    for start in range(0, planes, each):
        stop, first = min(start + each, planes), max(0, start - HALO)
        yield Run(slice(first, min(planes, stop + HALO)), slice(start - first, stop - first), slice(start, stop))


def cut(image: Image, where: slice) -> Image:
    """Return some planes along Z of an image."""
    return replace(image, data=image.data[tuple(where if axis == "Z" else slice(None) for axis in image.axes)])


# How much planes have in common --------------------------------------------------------------------------------------


def planes_in_mean(image: Image, ways: Sequence[Stabilizer]) -> float:
    """Return how many planes along Z the mean of a plane and its neighbours is worth: 1 if none is like it, 5 at most.

    The middle plane's, of the first channel, where the noise is taken to be white.
    """
    volume = next(iter(image.planes(3))).view(image.data)
    middle = volume.shape[1] // 2
    near = [middle + at for at in (0, *NEIGHBOUR_OFFSETS)]
    there = [0 <= k < volume.shape[1] for k in near]
    window = tuple(slice(max(0, (size - LOOK_SIDE) // 2), (size + LOOK_SIDE) // 2) for size in volume.shape[2:])
    seen = np.stack(
        [np.asarray(volume[(0, k if here else middle, *window)]) for k, here in zip(near, there, strict=True)]
    )
    ready = ways[0].forward(np.asarray(fill(seen)[0], np.float32))
    planes, sigma = torch.from_numpy(np.asarray(ready, np.float32))[None], max(ways[0].sigma, 1e-12)
    known = torch.tensor(there[1:], dtype=torch.float32).view(1, -1, 1, 1)
    _, level = gather(planes[:, :1], planes[:, 1:], torch.full((1, 1, 1, 1), sigma), known)
    return float(1 / (level / sigma).square().mean())


def of_cubes(image: Image) -> bool:
    """Whether a volume's voxels are cubes, as far as its scale says: then planes along Y and X are like those along Z.

    Pixels do not tell: a series of frames may look as much alike along its axis as along the others.

    Examples
    --------
    >>> volume = Image(np.zeros((8, 8, 8)), "ZYX", {"Z": 1.0, "Y": 0.9, "X": 0.9})
    >>> of_cubes(volume), of_cubes(replace(volume, scale={})), of_cubes(replace(volume, scale={**volume.scale, "Z": 4}))
    (True, False, False)
    """
    voxel = [image.scale.get(axis, 0.0) for axis in "ZYX"]
    return 0 < max(voxel) <= CUBE * min(voxel) and min(image.sizes[axis] for axis in "ZYX") > 2 * HALO
