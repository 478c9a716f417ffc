"""Where a piece of a TIFF image lies: the tags of GeoTIFF, the position on a page or a stage, ImageJ's origin."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np

from hush.io._tiff_tags import Tag

TIEPOINTS, TRANSFORMATION, RATIONAL_POLYNOMIAL = 33922, 34264, 50844  # of GeoTIFF
LINE_OFFSET, SAMPLE_OFFSET = 2, 3  # places in the numbers of a rational polynomial camera
POSITIONS_ON_PAGE = {286: 0, 287: 1}  # XPosition, YPosition: in units of the resolution, from the page's corner
IMAGEJ_ORIGIN = ("xorigin", "yorigin")  # the pixel at which ImageJ's coordinates are zero
DOUBLE, FRACTION = 12, 5  # kinds of tags


def moved(
    pages: Sequence[tuple[Tag, ...]], order: str, cut: tuple[int, ...], resolution: Any
) -> Sequence[tuple[Tag, ...]]:
    """Return the tags of every page as they are for a piece.

    Parameters
    ----------
    pages : sequence of tuple of Tag
    order : str
        Byte order of their values.
    cut : (int, int)
        How many pixels lie before the piece along X and Y.
    resolution : pair of fractions or None
        Pixels a unit along X and Y.
    """
    if not any(cut):
        return pages
    done: dict[int, tuple[Tag, ...]] = {}  # equal pages share one tuple, of thousands as well
    for tags in pages:
        if id(tags) not in done:
            done[id(tags)] = tuple(_moved(tag, order, cut, resolution) for tag in tags)
    return [done[id(tags)] for tags in pages]


def _moved(tag: Tag, order: str, cut: tuple[int, ...], resolution: Any) -> Tag:
    if tag.kind == DOUBLE and tag.code in (TIEPOINTS, TRANSFORMATION, RATIONAL_POLYNOMIAL):
        numbers = np.frombuffer(tag.body, f"{order}f8").copy()
        if tag.code == TIEPOINTS and numbers.size % 6 == 0:  # a pixel (I, J, K) and where it lies
            numbers.reshape(-1, 6)[:, :2] -= cut
        elif tag.code == TRANSFORMATION and numbers.size == 16:
            matrix = numbers.reshape(4, 4)
            matrix[:, 3] = matrix @ [*cut, 0, 1]
        elif tag.code == RATIONAL_POLYNOMIAL and numbers.size > SAMPLE_OFFSET:
            numbers[[SAMPLE_OFFSET, LINE_OFFSET]] -= cut
        return replace(tag, body=numbers.tobytes())
    if tag.code in POSITIONS_ON_PAGE and tag.kind == FRACTION and resolution and len(tag.body) == 8:
        axis = POSITIONS_ON_PAGE[tag.code]
        above, below = (int(one) for one in np.frombuffer(tag.body, f"{order}u4"))
        many, unit = (int(one) for one in resolution[axis])
        if below and many:
            where = Fraction(above, below) + Fraction(cut[axis] * unit, many)
            near = where.limit_denominator((2**32 - 1) // max(1, math.ceil(where)))
            return replace(tag, body=np.array([near.numerator, near.denominator], f"{order}u4").tobytes())
    return tag


def imagej_origin(said: Mapping[str, Any], cut: tuple[int, ...]) -> dict[str, Any]:
    """Return the origin of ImageJ's coordinates for a piece, where the file states one.

    Examples
    --------
    >>> imagej_origin({"xorigin": 12.0, "unit": "um"}, (10, 3))
    {'xorigin': 2.0}
    """
    stated = {name: count for name, count in zip(IMAGEJ_ORIGIN, cut, strict=True) if name in said}
    return {name: float(said[name]) - count for name, count in stated.items()}
