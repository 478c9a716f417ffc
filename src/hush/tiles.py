"""Cut a large image into tiles, run a function on each, join the results: equal to running it on the whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

Array = Any
Region = tuple[slice, ...]


@dataclass(frozen=True)
class Tile:
    """One tile of a plan.

    Attributes
    ----------
    read : tuple of slice
        What the function sees, in coordinates of the padded image (may end beyond the true one).
    inner : tuple of slice
        The part of the function's result that is kept.
    write : tuple of slice
        Where that part stands in the image.
    """

    read: Region
    inner: Region
    write: Region


def plan(shape: Sequence[int], tile: Sequence[int], margin: int, multiple: int) -> list[Tile]:
    """Plan tiles that cover an image once.

    Parameters
    ----------
    shape : sequence of int
        Spatial shape of the image.
    tile : sequence of int
        Wanted size of what one tile writes, an axis each; rounded up to `multiple`.
    margin : int
        Pixels around a tile that its result depends on (the network's receptive field).
    multiple : int
        Pooling grid of the network: tiles begin and end on multiples of it.

    Returns
    -------
    list of Tile
        In reading order. Seen as a whole, the image is padded once at its end to `multiple`; tiles
        at an edge see that edge and nothing beyond it.

    Examples
    --------
    >>> [t.write for t in plan((10,), (8,), margin=2, multiple=4)]
    [(slice(0, 8, None),), (slice(8, 10, None),)]
    """
    wide = -(-margin // multiple) * multiple
    axes = []
    for size, side in zip(shape, tile, strict=True):
        padded = -(-size // multiple) * multiple
        step = max(1, -(-side // multiple)) * multiple
        cuts = []
        for start in range(0, padded, step):
            stop = min(start + step, padded)
            first, last = max(0, start - wide), min(padded, stop + wide)
            end = min(stop, size)
            cuts.append((slice(first, last), slice(start - first, end - first), slice(start, end)))
        axes.append(cuts)
    return [Tile(*zip(*cuts, strict=True)) for cuts in product(*axes)]


def take(array: Array, region: Region) -> Array:
    """Read a region whose slices may end beyond the array: what lies there mirrors what lies before the edge."""
    places = [mirror(np.arange(s.start, s.stop), n) for s, n in zip(region, array.shape[1:], strict=True)]
    piece = np.asarray(array[(slice(None), *(slice(p.min(), p.max() + 1) for p in places))])
    for axis, (wanted, size) in enumerate(zip(region, array.shape[1:], strict=True), start=1):
        if wanted.stop > size:
            piece = np.take(piece, places[axis - 1] - places[axis - 1].min(), axis=axis)
    return piece


def mirror(places: Array, size: int) -> Array:
    """Fold coordinates beyond an axis back into it, without repeating the edge pixel.

    Examples
    --------
    >>> mirror(np.arange(3, 8), 3)
    array([1, 0, 1, 2, 1])
    """
    if size == 1:
        return np.zeros_like(places)
    folded = np.abs(places) % (2 * size - 2)
    return np.where(folded < size, folded, 2 * size - 2 - folded)


def run(
    function: Callable[[Array, Region], Array],
    array: Array,
    tiles: Sequence[Tile],
    out: Array,
    done: Callable[[], None] | None = None,
) -> None:
    """Run a function tile by tile and write what it gives.

    Parameters
    ----------
    function : callable
        (piece of shape (C, ...), its region) -> array of shape (C', ...) in `out`'s dtype.
    array : array, shape (C, [Z,] Y, X)
        Read a tile at a time; may be memory-mapped.
    tiles : sequence of Tile
        From `plan`.
    out : array, shape (C', [Z,] Y, X)
        Written a tile at a time; may be memory-mapped.
    done : callable, optional
        Called after every tile.
    """
    for tile in tiles:
        result = function(take(array, tile.read), tile.read)
        out[(slice(None), *tile.write)] = result[(slice(None), *tile.inner)]
        if done is not None:
            done()
