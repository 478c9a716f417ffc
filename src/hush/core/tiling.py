"""Cut a large image into tiles, run a function on each, join the results: as if it ran on the whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from typing import Any

Array = Any
Region = tuple[slice, ...]
WINDOW_SIDE = 1024  # of the windows that are looked at in a larger plane, four of them


def windows(view: Array) -> list[Array]:
    """Return what is looked at of (..., Y, X), as views: all of it, or four windows in the middle of its quarters.

    Examples
    --------
    >>> import numpy as np
    >>> [window.shape for window in windows(np.zeros((3000, 4000)))]
    [(1024, 1024), (1024, 1024), (1024, 1024), (1024, 1024)]
    """
    shape = view.shape[-2:]
    if max(shape) <= 2 * WINDOW_SIDE:
        return [view]
    tops, lefts = ([size // 4 * k - min(size // 4, WINDOW_SIDE // 2) for k in (1, 3)] for size in shape)
    return [view[..., y : y + WINDOW_SIDE, x : x + WINDOW_SIDE] for y in tops for x in lefts]


@dataclass(frozen=True)
class Tile:
    """One tile of a plan.

    Attributes
    ----------
    read : tuple of slice
        The part of the image that the function sees.
    inner : tuple of slice
        The part of the function's result that is kept.
    write : tuple of slice
        Where that part stands in the image.
    """

    read: Region
    inner: Region
    write: Region


def plan(shape: Sequence[int], tile: Sequence[int], margin: int, multiple: int, *, padded: bool = True) -> list[Tile]:
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
        Pooling grid of the network: every tile begins on a multiple of it.
    padded : bool
        Whether the function may pad at the end. If not, what is read is always a multiple long, and the tiles that
        see the end lie on a grid of their own; only along an axis shorter than a multiple something is missing.

    Returns
    -------
    list of Tile
        In reading order. Tiles at an edge of the image see that edge and nothing beyond it; a function
        that needs a multiple pads at the end, where only the image itself can end off the grid.

    Examples
    --------
    >>> [t.read for t in plan((10,), (8,), margin=2, multiple=4)]
    [(slice(0, 10, None),), (slice(4, 10, None),)]
    >>> [t.read for t in plan((10,), (8,), margin=2, multiple=4, padded=False)]
    [(slice(0, 8, None),), (slice(2, 10, None),)]
    """
    wide = -(-margin // multiple) * multiple
    axes = []
    for size, side in zip(shape, tile, strict=True):
        step = max(1, -(-side // multiple)) * multiple
        reads = [
            (start, min(start + step, size), max(0, start - wide), min(size, start + step + wide))
            for start in range(0, size, step)
        ]
        if not padded and size % multiple and size > multiple:
            reads = _joined([part for read in reads for part in _on_grids(*read, size, wide, multiple)])
        axes.append(
            [
                (slice(first, last), slice(start - first, stop - first), slice(start, stop))
                for start, stop, first, last in reads
            ]
        )
    return [Tile(*zip(*cuts, strict=True)) for cuts in product(*axes)]


def _joined(reads: Sequence[tuple[int, int, int, int]]) -> list[tuple[int, int, int, int]]:
    """Join (start, stop, first, last) that read the same: they are read once."""
    joined: list[tuple[int, int, int, int]] = []
    for start, stop, first, last in reads:
        if joined and joined[-1][2:] == (first, last):
            start = joined.pop()[0]
        joined.append((start, stop, first, last))
    return joined


def _on_grids(
    start: int, stop: int, first: int, last: int, size: int, wide: int, multiple: int
) -> list[tuple[int, int, int, int]]:
    """Return (start, stop, first, last) of one or two reads that lie on the grid and together write the same.

    The rest beyond the grid is read by a second grid that ends where the image does. Which of the two a pixel belongs
    to depends on the image's size alone, so that tiles of all sizes agree.
    """
    grid = size // multiple * multiple
    border = max(grid - wide, size // 2)
    reads = []
    if start < border:
        reads.append((start, min(stop, border), first, min(last, grid)))
    if stop > border:
        begin = max(start, border)
        rows = min(grid, -(-(size - max(0, begin - wide)) // multiple) * multiple)
        reads.append((begin, stop, size - rows, size))
    return reads


def run(
    function: Callable[[Array, Region], Any],
    array: Array,
    tiles: Sequence[Tile],
    out: Any,
    done: Callable[[], None] | None = None,
    workers: int = 1,
) -> None:
    """Run a function tile by tile and write what it gives.

    Parameters
    ----------
    function : callable
        (piece of shape (C, ...), where it stands) -> array of the same spatial shape in `out`'s dtype,
        or a tuple of them when `out` is one.
    array : array, shape (C, [Z,] Y, X)
        Read a tile at a time; may be memory-mapped.
    tiles : sequence of Tile
        From `plan`.
    out : array, shape (C', [Z,] Y, X), or a tuple of them
        Written a tile at a time; may be memory-mapped.
    done : callable, optional
        Called after every tile.
    workers : int
        Threads that run the function, for one that does not use several by itself.
    """

    def one(tile: Tile) -> None:
        result = function(array[(slice(None), *tile.read)], tile.read)
        for target, values in zip(out, result, strict=True) if isinstance(out, tuple) else [(out, result)]:
            target[(slice(None), *tile.write)] = values[(slice(None), *tile.inner)]

    if workers == 1 or len(tiles) == 1:
        for tile in tiles:
            one(tile)
            if done is not None:
                done()
        return
    for _ in at_once(one, tiles, workers):
        if done is not None:
            done()


def at_once(
    function: Callable[[Any], None], items: Sequence[Any], workers: int, begin: Callable[[], Any] | None = None
) -> Iterator[None]:
    """Run a function on several items at once, and yield after each; an error ends what has not begun.

    Parameters
    ----------
    function : callable
    items : sequence
    workers : int
        Threads.
    begin : callable, optional
        What every thread does first.

    Examples
    --------
    >>> seen = []
    >>> sum(1 for _ in at_once(seen.append, "abc", 2)), sorted(seen)
    (3, ['a', 'b', 'c'])
    """
    with ThreadPoolExecutor(workers, initializer=begin) as pool:
        try:
            yield from pool.map(function, items)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
