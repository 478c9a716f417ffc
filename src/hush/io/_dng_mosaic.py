"""The mosaic of a sensor as planes of one colour, and back: every pixel stays what was measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from hush.core.errors import FormatError
from hush.core.image import Array

COLOUR_CODES = "RGBCMYW"  # by their number in a DNG
CELL = 2  # pixels of a side of the pattern


@dataclass(frozen=True)
class Mosaic:
    """Which part of a sensor's pixels is the picture, and which colour each of them measures.

    Attributes
    ----------
    top, left, high, wide : int
        The active area in the whole frame; what is around it, and the last row or column of an odd area, belongs to
        no plane and stays as it is.
    pattern : str
        Colours of a cell of 2 x 2 pixels, row by row from the corner of the area: ``"RGGB"``.

    Examples
    --------
    >>> mosaic = Mosaic(0, 0, 4, 4, "GRBG")
    >>> mosaic.names
    ['R', 'G1', 'G2', 'B']
    >>> frame = np.arange(16).reshape(4, 4)
    >>> mosaic.planes(frame)[0].tolist()
    [[1, 3], [9, 11]]
    >>> bool((mosaic.joined(np.zeros_like(frame), mosaic.planes(frame)) == frame).all())
    True
    """

    top: int
    left: int
    high: int
    wide: int
    pattern: str

    @classmethod
    def of(cls, area: Sequence[float], size: tuple[int, ...], side: Sequence[float], colours: str) -> Mosaic:
        """Build from an area (top, left, bottom, right) and a pattern, as files state them.

        Raises
        ------
        FormatError
            For patterns other than 2 x 2, and areas that lead out of the frame.
        """
        if tuple(side) != (CELL, CELL) or len(colours) != CELL**2:
            shown = " x ".join(f"{value:g}" for value in side)
            raise FormatError(
                f"its colours stand in a pattern of {shown} pixels, and only patterns of 2 x 2 are read: convert it to "
                "a linear DNG (demosaiced) first, or develop it into a TIFF of 16 bits"
            )
        if not set(colours) <= set(COLOUR_CODES):
            raise FormatError(f"its pattern has the colours {colours}, and only those of {COLOUR_CODES} are read")
        top, left, bottom, right = map(int, area)
        if not (0 <= top < top + CELL <= bottom <= size[0] and 0 <= left < left + CELL <= right <= size[1]):
            raise FormatError(f"it is damaged: its active area is {list(area)}, and its frame {size[1]} x {size[0]}")
        return cls(top, left, bottom - top, right - left, colours)

    @property
    def order(self) -> list[int]:
        """Pixels of a cell in the order of the planes: by colour, then row by row."""
        return sorted(range(len(self.pattern)), key=lambda place: COLOUR_CODES.index(self.pattern[place]))

    @property
    def names(self) -> list[str]:
        """Names of the planes: the colour, with a number where there are several of it."""
        found, seen = [], dict.fromkeys(self.pattern, 0)
        for place in self.order:
            colour = self.pattern[place]
            seen[colour] += 1
            found.append(colour if self.pattern.count(colour) == 1 else f"{colour}{seen[colour]}")
        return found

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of the planes."""
        return len(self.pattern), self.high // CELL, self.wide // CELL

    def _views(self, frame: Array) -> list[Array]:
        _, high, wide = self.shape
        area = frame[self.top : self.top + high * CELL, self.left : self.left + wide * CELL]
        return [area[place // CELL :: CELL, place % CELL :: CELL] for place in self.order]

    def planes(self, frame: Array) -> Array:
        """Cut the planes (C, Y, X) out of a frame (Y, X)."""
        return np.stack(self._views(frame))

    def joined(self, frame: Array, planes: Array) -> Array:
        """Return the frame with these planes in it, of the frame's dtype."""
        made: Array = np.array(frame)
        for view, plane in zip(self._views(made), planes, strict=True):
            view[...] = plane
        return made

    def in_order(self, cell: Sequence[float]) -> list[float]:
        """Return values of a cell's pixels in the order of the planes; one value is that of all."""
        if len(cell) == 1:
            return [cell[0]] * len(self.pattern)
        return [cell[place] for place in self.order]

    def alone(self, planes: Array) -> tuple[Array, Mosaic]:
        """Return a frame that holds nothing but planes of this pattern."""
        high, wide = (CELL * size for size in planes.shape[1:])
        own = replace(self, top=0, left=0, high=high, wide=wide)
        return own.joined(np.zeros((high, wide), planes.dtype), planes), own
