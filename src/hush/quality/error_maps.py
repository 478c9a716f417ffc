"""Where a result is most wrong: the largest errors of single pixels and of areas, and a picture of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture
from PIL import ImageDraw, ImageFont

from hush.core.errors import HushError, SettingError
from hush.core.image import Array, Image
from hush.quality._planes import pair_of, planes_of

ERRORS_APART = 32  # pixels between two places: they are not two pixels of one edge
ERROR_CROP, ERROR_ZOOM = 64, 3  # side of a crop in the picture, pixels of the image; screen pixels for each
GUTTER, CAPTION = 4, 18  # screen pixels between crops, and above them for their names
SHOWN_PERCENT = (0.5, 99.5)  # of the reference's crop: what is shown black and white
MARK = (255, 40, 40)  # colour of the frame round the place


@dataclass(frozen=True)
class Place:
    """Where an error is.

    Attributes
    ----------
    y, x : int
        Upper left pixel.
    value : float
        Sum of the squared errors of `side` x `side` pixels (of one pixel: its squared error), in squared image units;
        of colours their sum.
    side : int
        Of the square, pixels.
    plane : int
        Number of the plane, in the order of `hush.Image.planes`; 0 where there is one.
    """

    y: int
    x: int
    value: float
    side: int = 1
    plane: int = 0


def squared_error(image: Image | Array, reference: Image | Array) -> NDArray[np.float64]:
    """Return the squared error at every pixel as (planes, Y, X); of colours their sum, 0 where a pixel is missing."""
    a, b = pair_of(image, reference)
    known = np.isfinite(a) & np.isfinite(b)
    error: NDArray[np.float64] = (np.where(known, a, 0) - np.where(known, b, 0)) ** 2
    return np.asarray(error.sum(axis=1))


def largest_errors(
    image: Image | Array, reference: Image | Array, count: int = 3, *, side: int = 1, apart: int | None = None
) -> list[Place]:
    r"""Return where a result is most wrong, the worst first: pixels, or squares by the sum of their squared errors.

    .. math:: e(y, x) = \sum_{0 \le i, j < side} (d_{y+i,\,x+j} - s_{y+i,\,x+j})^2

    with the denoised image d and the clean one s. Figure 5 of the Noise2Void paper (Krull et al., CVPR 2019) shows both
    kinds: single bright pixels, and areas of fine texture. `side` 1 finds the first, 32 or 64 the second.

    Parameters
    ----------
    image, reference : Image or array
        The result and the clean image, of one shape; arrays are planes of (..., Y, X).
    count : int
        How many places at most; fewer are returned where no others are far enough away, or no others have an error.
    side : int
        Of the square whose errors are summed. Squares lie within the image.
    apart : int, optional
        Two places of a plane are at least so far from each other, in rows or in columns; by default 32 pixels, and
        `side` where that is more: squares do not overlap.

    Raises
    ------
    HushError
        When the shapes differ, `count` or `apart` is below 1, or a square is larger than the image.

    Examples
    --------
    >>> clean = np.zeros((64, 64))
    >>> result = clean.copy()
    >>> result[5, 60] = -3
    >>> result[40:44, 8:12] = 1
    >>> largest_errors(result, clean, 1)[0]
    Place(y=5, x=60, value=9.0, side=1, plane=0)
    >>> largest_errors(result, clean, 1, side=4)[0]
    Place(y=40, x=8, value=16.0, side=4, plane=0)
    """
    error = squared_error(image, reference)
    apart = max(side, ERRORS_APART) if apart is None else apart
    if min(count, side, apart) < 1:
        raise SettingError(f"count {count}, side {side}, apart {apart}: each is 1 or more")
    if side > min(error.shape[1:]):
        raise SettingError(f"side {side} is more than the image has: {error.shape[1]} x {error.shape[2]} pixels")
    sums = _sums(error, side)
    places: list[Place] = []
    while len(places) < count:
        plane, y, x = (int(at) for at in np.unravel_index(int(np.argmax(sums)), sums.shape))
        if sums[plane, y, x] <= 0:
            break
        places.append(Place(y, x, float(sums[plane, y, x]), side, plane))
        sums[plane, max(0, y - apart + 1) : y + apart, max(0, x - apart + 1) : x + apart] = 0
    return places


def _sums(error: Array, side: int) -> NDArray[np.float64]:
    """Sums over squares by their upper left pixel; not by running sums, which leave a rest where there is no error."""
    for axis in (1, 2):
        error = np.lib.stride_tricks.sliding_window_view(error, side, axis).sum(-1)
    return np.array(error)


def worst_images(pairs: Iterable[tuple[Image | Array, Image | Array]]) -> tuple[int, int]:
    """Return which of several images has the largest squared error of a pixel, and which the largest sum of them.

    These two are the rows of figure 5 of the Noise2Void paper. Images of a set differ in size there too: the sum is not
    divided by it.

    Parameters
    ----------
    pairs : iterable of (image, reference)

    Raises
    ------
    HushError
        When there are none.

    Examples
    --------
    >>> clean = np.zeros((8, 8))
    >>> spot = clean.copy()
    >>> spot[3, 3] = 5
    >>> worst_images([(clean + 1, clean), (spot, clean), (clean, clean)])
    (1, 0)
    """
    found = [(float(error.max()), float(error.sum())) for error in (squared_error(*pair) for pair in pairs)]
    if not found:
        raise HushError("no images were given: the worst of none is not known")
    single, total = (int(np.argmax([each[kind] for each in found])) for kind in (0, 1))
    return single, total


def error_picture(
    reference: Image | Array, images: Mapping[str, Image | Array], places: Sequence[Place], *, side: int = ERROR_CROP
) -> NDArray[np.uint8]:
    """Draw crops round places: a row each, with the reference, every image, and every image's error.

    The crops of a row share the contrast of the reference (0.5 to 99.5 percent of it). The errors of a row share
    theirs: black for none, white for the row's largest. A red frame stands round the pixel or the square.

    Parameters
    ----------
    reference : Image or array
        The clean image.
    images : mapping of str to (Image or array)
        What to show beside it, by name; of its shape.
    places : sequence of Place
        As of `largest_errors`.
    side : int
        Of a crop, pixels of the image; more where a place is larger, less where the image is smaller.

    Returns
    -------
    array of uint8, shape (height, width, 3)

    Raises
    ------
    HushError
        When there is no place or no image, or shapes differ.

    Examples
    --------
    >>> clean = np.zeros((64, 64))
    >>> picture = error_picture(clean, {"n2v": clean + np.eye(64)}, [Place(10, 10, 1.0)], side=32)
    >>> picture.shape, picture.dtype
    ((118, 300, 3), dtype('uint8'))
    """
    if not places or not images:
        raise HushError("a picture of errors needs an image and a place: there may be no error at all")
    clean = planes_of(reference)
    shown = {name: pair_of(image, reference)[0] for name, image in images.items()}
    errors = {name: np.sqrt(squared_error(image, reference)) for name, image in images.items()}
    side = min(max(side, *(place.side for place in places)), *clean.shape[2:])
    rows = [_row(clean, shown, errors, place, side) for place in places]
    names = ["reference", *images, *(f"error of {name}" for name in images)]
    return np.concatenate([_captions(names, side * ERROR_ZOOM), *rows])


def _row(
    clean: Array, shown: Mapping[str, Array], errors: Mapping[str, Array], place: Place, side: int
) -> NDArray[np.uint8]:
    """The crops of one place, side by side, with a frame round it."""
    corner = [
        min(max(0, at + place.side // 2 - side // 2), size - side)
        for at, size in zip((place.y, place.x), clean.shape[2:], strict=True)
    ]
    y, x = (slice(at, at + side) for at in corner)
    crops = [planes[place.plane][:, y, x] for planes in (clean, *shown.values())]
    finite = crops[0][np.isfinite(crops[0])]
    low, high = (float(v) for v in np.percentile(finite, SHOWN_PERCENT)) if finite.size else (0.0, 1.0)
    maps = [error[place.plane][None, y, x] for error in errors.values()]
    top = max(float(error.max()) for error in maps) or 1.0
    tiles = [_tile(crop, low, high if high > low else low + 1) for crop in crops]
    tiles += [_tile(error, 0, top) for error in maps]
    for tile in tiles:
        _frame(tile, place.y - corner[0], place.x - corner[1], place.side)
    return np.concatenate([np.pad(tile, ((0, GUTTER), (0, GUTTER), (0, 0)), constant_values=255) for tile in tiles], 1)


def _tile(values: Array, low: float, high: float) -> NDArray[np.uint8]:
    """Samples (1 or 3, Y, X) as enlarged RGB; other numbers of samples as their mean."""
    grey = np.clip(np.nan_to_num((values - low) / (high - low)), 0, 1)
    grey = grey if len(grey) == 3 else np.repeat(grey.mean(axis=0, keepdims=True), 3, 0)
    pixels: NDArray[np.uint8] = np.rint(255 * np.moveaxis(grey, 0, -1)).astype(np.uint8)
    return pixels.repeat(ERROR_ZOOM, 0).repeat(ERROR_ZOOM, 1)


def _frame(tile: NDArray[np.uint8], y: int, x: int, side: int) -> None:
    """Draw a frame one screen pixel outside a square of the crop, as far as that lies in it."""
    top, left = (max(0, at * ERROR_ZOOM - 1) for at in (y, x))
    bottom, right = (min((at + side) * ERROR_ZOOM, size - 1) for at, size in zip((y, x), tile.shape[:2], strict=True))
    tile[[top, bottom], left : right + 1] = MARK
    tile[top : bottom + 1, [left, right]] = MARK


def _captions(names: Sequence[str], width: int) -> NDArray[np.uint8]:
    """The names above the columns, cut to their width."""
    strip = Picture.new("RGB", (len(names) * (width + GUTTER), CAPTION), "white")
    pen, font = ImageDraw.Draw(strip), ImageFont.load_default(size=12)
    for number, name in enumerate(names):
        while len(name) > 1 and pen.textlength(name, font) > width:
            name = name[:-1]
        pen.text((number * (width + GUTTER), 2), name, fill="black", font=font)
    return np.array(strip)
