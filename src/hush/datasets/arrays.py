"""Files that hold many images: MNIST's idx files, and the slices of volumes."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np

from hush.core.errors import FormatError
from hush.core.image import Array
from hush.datasets.slices import read_volume, slices_of

IDX_BYTES = bytes([0, 0, 8, 3])  # how an idx file of bytes begins that has three axes
IDX_HEADER = 16  # bytes before the first pixel


def read_idx(path: Path) -> Array:
    """Read the images (N, Y, X) of an idx file of bytes, packed with gzip or not.

    Raises
    ------
    FormatError
        Where it is another kind of file, or shorter than its header says.
    """
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError) as error:
        raise FormatError(f"{path.name} cannot be read: {error}") from None
    if data[:4] != IDX_BYTES:
        raise FormatError(f"{path.name} is no idx file of images: its first bytes are not 0, 0, 8, 3")
    shape = np.frombuffer(data, ">u4", 3, 4).astype(int)
    if len(data) < IDX_HEADER + shape.prod():
        raise FormatError(f"{path.name} is cut off: it is shorter than its header says")
    return np.frombuffer(data, np.uint8, int(shape.prod()), IDX_HEADER).reshape(shape)


def holds_many(path: Path) -> bool:
    """Tell by its name whether a file holds many images that `images_in` reads.

    Examples
    --------
    >>> [holds_many(Path(name)) for name in ("train-images-idx3-ubyte.part0.gz", "head.nii.gz", "a.tif")]
    [True, True, False]
    """
    return "idx3-ubyte" in path.name or path.name.endswith((".nii", ".nii.gz"))


def images_in(path: Path, peak: float = 255.0) -> Array:
    """Return the images (N, Y, X) of a file: those of an idx file, or the slices of a volume, scaled to `peak`."""
    return read_idx(path) if "idx3-ubyte" in path.name else slices_of(read_volume(path), peak)


def evenly(total: int, count: int | None) -> list[int]:
    """Return `count` of `total` places, evenly spread and away from both ends; all of them where there are no more.

    Examples
    --------
    >>> evenly(10, 2), evenly(3, None), evenly(3, 5)
    ([2, 7], [0, 1, 2], [0, 1, 2])
    """
    if count is None or count >= total:
        return list(range(total))
    return [(2 * number + 1) * total // (2 * count) for number in range(count)]
