"""The plan by which a large image is worked on: boxes of whole chunks, each by itself, with what it must see around."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product

Box = tuple[slice, ...]


@dataclass(frozen=True)
class Piece:
    """One piece of a plan.

    Attributes
    ----------
    number : int
        Its place in the plan.
    read : tuple of slice
        What must be read of the image.
    write : tuple of slice
        What it writes: whole chunks, which no other piece writes.
    """

    number: int
    read: Box
    write: Box


@dataclass(frozen=True)
class PiecePlan:
    """Boxes that cover an array once, in the order of the array; ``plan[k]`` is one, and depends on no other.

    The same plan gives the same pieces everywhere: it is plain numbers, to be stored and to be sent.

    Attributes
    ----------
    shape : tuple of int
        Of the array.
    step : tuple of int
        What a piece writes along every axis; whole chunks.
    tile : tuple of int
        What is computed at once of a piece, along every axis; at most `step`.
    margin : tuple of int
        Pixels around it that its result depends on.
    multiple : tuple of int
        Grid on which what is read begins, and ends unless the array does.

    Examples
    --------
    >>> plan = PiecePlan((10, 100), (1, 32), (1, 32), (0, 5), (1, 8))
    >>> len(plan), plan[1].write, plan[1].read
    (40, (slice(0, 1, None), slice(32, 64, None)), (slice(0, 1, None), slice(24, 72, None)))
    """

    shape: tuple[int, ...]
    step: tuple[int, ...]
    tile: tuple[int, ...]
    margin: tuple[int, ...]
    multiple: tuple[int, ...]

    @property
    def counts(self) -> tuple[int, ...]:
        """Number of pieces along every axis."""
        return tuple(-(-size // step) for size, step in zip(self.shape, self.step, strict=True))

    def __len__(self) -> int:
        return math.prod(self.counts)

    def __getitem__(self, number: int) -> Piece:
        if not 0 <= number < len(self):
            raise IndexError(f"the plan has {len(self)} pieces, and there is no {number}")
        corner: list[int] = []
        rest = number
        for count in reversed(self.counts):
            rest, at = divmod(rest, count)
            corner.insert(0, at)
        write = tuple(
            slice(at * step, min((at + 1) * step, size))
            for at, step, size in zip(corner, self.step, self.shape, strict=True)
        )
        return Piece(number, self.around(write), write)

    def __iter__(self) -> Iterator[Piece]:
        return (self[number] for number in range(len(self)))

    def around(self, write: Box, wider: float = 1.0) -> Box:
        """Return what must be read for a box: with the margin, `wider` times as wide, on the grid."""
        read = []
        for part, size, margin, grid in zip(write, self.shape, self.margin, self.multiple, strict=True):
            far = math.ceil(margin * wider)
            start = max(0, part.start - far) // grid * grid
            read.append(slice(start, min(size, -(-(part.stop + far) // grid) * grid)))
        return tuple(read)

    def tiles(self, piece: Piece) -> Iterator[Box]:
        """Yield the boxes of a piece that are computed at once."""
        cuts = [
            [slice(at, min(at + side, part.stop)) for at in range(part.start, part.stop, side)]
            for part, side in zip(piece.write, self.tile, strict=True)
        ]
        yield from product(*cuts)

    def as_dict(self) -> dict[str, list[int]]:
        """Return it as plain values."""
        return {name: list(values) for name, values in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Sequence[int]]) -> PiecePlan:
        """Return the plan of such values."""
        return cls(**{name: tuple(map(int, numbers)) for name, numbers in values.items()})


@dataclass(frozen=True)
class Need:
    """What a method needs to work on a piece: how far it looks, on what grid it begins, and how much memory it takes.

    Attributes
    ----------
    margin, multiple : int
        See `hush.core.tiling.plan`.
    side : int
        Of a tile, as the method likes it.
    pixel_bytes : int
        Of memory for a pixel of a tile, roughly.
    workers : int
        Tiles that can be worked on at once.
    whole : bool
        Whether it must see all of a plane.
    """

    margin: int
    multiple: int = 1
    side: int = 512
    pixel_bytes: int = 512
    workers: int = 1
    whole: bool = False


def within(box: Box, outer: Box) -> Box:
    """Return where a box stands in one around it."""
    return tuple(slice(a.start - b.start, a.stop - b.start) for a, b in zip(box, outer, strict=True))


def volume(box: Sequence[slice]) -> int:
    """Return the number of values in a box."""
    return math.prod(part.stop - part.start for part in box)


MOST_VALUES = 1 << 21  # of a piece, unless one chunk has more: so that an interruption loses little
LEAST_TILE_SIDE = 32  # of a tile


def plan_pieces(
    shape: Sequence[int],
    axes: str,
    need: Need,
    budget: int,
    *,
    ndim: int = 2,
    joint: str = "S",
    chunks: Sequence[int] | None = None,
    itemsize: int = 2,
) -> tuple[PiecePlan, int] | None:
    """Divide an image into pieces of whole chunks, as large as the memory allows.

    Parameters
    ----------
    shape, axes
        Of the image.
    need : Need
        Of the method.
    budget : int
        Bytes that may be used.
    ndim : {2, 3}
    joint : str
        Axes that a method sees together.
    chunks : sequence of int, optional
        Of what is written: no chunk is written by two pieces.
    itemsize : int
        Bytes of a value, read and written together.

    Returns
    -------
    (PiecePlan, int) or None
        The plan, and how many pieces may be worked on at once; None where the memory does not do even for one.

    Examples
    --------
    >>> plan, workers = plan_pieces((9, 4000, 4000), "ZYX", Need(20, 16), 1 << 30, chunks=(4, 300, 300))
    >>> plan.step, plan.tile, workers
    ((4, 600, 600), (4, 512, 512), 1)
    """
    sizes = dict(zip(axes, shape, strict=True))
    spatial = "ZYX"[3 - ndim :]
    side = max(need.side, LEAST_TILE_SIDE)
    while True:
        wide = {axis: sizes[axis] if need.whole else min(side, sizes[axis]) for axis in spatial}
        plan = _plan(sizes, wide, need, joint, chunks or [1] * len(shape))
        plane = math.prod(min(sizes[axis], wide[axis] + 2 * (need.margin + need.multiple)) for axis in spatial)
        # the piece as it is read and written; a tile of it in float32, some times over; a plane as the method sees it
        each = (
            _seen(plan, plan.step) * itemsize + _seen(plan, plan.tile) * (2 * itemsize + 8) + plane * need.pixel_bytes
        )
        if each <= budget:
            return plan, max(1, min(need.workers, budget // each))
        if side <= LEAST_TILE_SIDE or need.whole:
            return None
        side //= 2


def _plan(
    sizes: Mapping[str, int], wide: Mapping[str, int], need: Need, joint: str, chunks: Sequence[int]
) -> PiecePlan:
    """Return the plan whose tiles are `wide` along the axes of a plane."""
    step = []
    for (axis, size), unit in zip(sizes.items(), chunks, strict=True):
        if axis in joint or (axis in wide and need.whole):
            step.append(size)
        elif axis in wide:
            step.append(min(size, max(1, round(wide[axis] / unit)) * unit))
        else:
            step.append(min(size, unit))
    for at, (axis, size) in reversed(list(enumerate(sizes.items()))):
        if axis not in wide and axis not in joint:  # many small planes: several at once
            step[at] = min(size, step[at] * max(1, MOST_VALUES // math.prod(step)))
    tile = [min(wide.get(axis, length), length) for axis, length in zip(sizes, step, strict=True)]
    cut = [axis in wide and not need.whole for axis in sizes]
    margins = [need.margin if one else 0 for one in cut]
    grids = [need.multiple if one else 1 for one in cut]
    return PiecePlan(*map(tuple, (sizes.values(), step, tile, margins, grids)))


def _seen(plan: PiecePlan, inner: Sequence[int]) -> int:
    """The number of values that are read for a box of such lengths."""
    lengths = zip(plan.shape, inner, plan.margin, plan.multiple, strict=True)
    return math.prod(min(size, length + 2 * (margin + grid)) for size, length, margin, grid in lengths)
