"""Clean scenes on which a denoiser may do harm: points, text, patterns, textures, drawings, finished photographs."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont
from scipy import ndimage
from skimage import data, draw, restoration

from hush.core.color import grey
from hush.datasets.synthetic import epithelium

Array = NDArray[np.float64]
Scene = Callable[[int, np.random.Generator], Array]
Rng = np.random.Generator
pens: Any = draw  # none of their functions says what it returns
tools: Any = restoration

WHITE = 255.0
LEAST_SPAN = 60.0  # greys from the darkest to the brightest of a scene
ALPHABET = [*("eeeeaaaooittnnsshrrdlucmfpgwybvkxq" * 2), *"AEKLMRSTW0123456789.,:;()-=+", *" " * 16]
# those that scikit-image has without a download
PHOTOGRAPHS = ("astronaut", "brick", "camera", "cat", "cell", "clock", "coffee", "coins", "grass", "gravel",
               "immunohistochemistry", "moon", "retina", "rocket")  # fmt: skip
SCANS = ("page", "text")
LEAST_CONTRAST = 50.0  # greys between all but the darkest and the brightest hundredth of a photograph


def _stretched(values: Any, low: float, high: float) -> Array:
    """Values from the one grey to the other."""
    values = np.asarray(values, np.float64)
    least, most = values.min(), values.max()
    return np.asarray((low + (high - low) * ((values - least) / (most - least))).clip(min(low, high), max(low, high)))


def _greys(rng: Rng) -> tuple[float, float]:
    """A dark grey and a bright one."""
    span = rng.uniform(LEAST_SPAN, WHITE)
    low = rng.uniform(0, WHITE - span)
    return low, low + span


def _field(size: int, weight: Callable[[Array], Array], rng: Rng) -> Array:
    """Random numbers, 0 to 1, of an amplitude that is given over frequencies (periods a pixel); they do not repeat."""
    wide = 2 * size
    frequency = np.hypot(np.fft.fftfreq(wide)[:, None], np.fft.rfftfreq(wide))
    frequency[0, 0] = 1 / wide
    made = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((wide, wide))) * weight(frequency), (wide, wide))
    return _stretched(made[:size, :size], 0, 1)


def _smooth(size: int, length: float, rng: Rng) -> Array:
    """Random numbers, 0 to 1, as if blurred over so many pixels."""
    return _field(size, lambda frequency: np.exp(-2 * (np.pi * length * frequency) ** 2), rng)


# ---------------------------------------------------------------------------------------------------- points, lattices


def _spots(size: int, at: Array, light: Array, sigma: Array) -> Array:
    """Gaussians of a height and a width each, at (n, 2) places in pixels."""
    reach = int(np.ceil(4 * sigma.max()))
    kept = ((at > -reach) & (at < size - 1 + reach)).all(1)
    at, light, sigma = at[kept], light[kept], sigma[kept]
    made = np.zeros((size + 4 * reach + 2,) * 2)
    near: NDArray[np.int64] = np.rint(at).astype(np.int64)
    for down in range(-reach, reach + 1):
        for right in range(-reach, reach + 1):
            place = near + np.array([down, right])
            far = ((place - at) ** 2).sum(1)
            y, x = (place + 2 * reach).T
            np.add.at(made, (y, x), light * np.exp(-far / (2 * sigma**2)))
    return made[2 * reach : 2 * reach + size, 2 * reach : 2 * reach + size]


def _bright(number: int, octaves: float, rng: Rng) -> Array:
    """Brightnesses up to 1, log-uniform over so many octaves."""
    return np.asarray(2.0 ** rng.uniform(-octaves, 0, number))


def _pixels(share: float, octaves: float, size: int, rng: Rng) -> Array:
    """Single pixels that are brighter than a level background: a share of all."""
    number = max(4, round(share * size**2))
    made = np.zeros(size**2)
    made[rng.choice(size**2, number, replace=False)] = _bright(number, octaves, rng)
    return made.reshape(size, size)


def _stars_one_pixel(size: int, rng: Rng) -> Array:
    dark = rng.uniform(0, 40)
    return _stretched(_pixels(10 ** rng.uniform(-3.3, -2.3), 4, size, rng), dark, rng.uniform(150, WHITE))


def _points_dense(size: int, rng: Rng) -> Array:
    return _stretched(_pixels(0.03, rng.uniform(0, 4), size, rng), *_greys(rng))


def _psf_stars(size: int, rng: Rng) -> Array:
    number = max(4, round(10 ** rng.uniform(-3, -2) * size**2))
    at = rng.uniform(0, size - 1, (number, 2))
    return _spots(size, at, _bright(number, 5, rng), np.full(number, rng.uniform(0.6, 2)))


def _stars_psf(size: int, rng: Rng) -> Array:
    return _stretched(_psf_stars(size, rng), rng.uniform(0, 40), rng.uniform(150, WHITE))


def _stars_nebula(size: int, rng: Rng) -> Array:
    cloud = _field(size, lambda frequency: frequency**-2.5, rng) ** rng.uniform(1, 3)
    stars = _psf_stars(size, rng) + _pixels(0.002, 4, size, rng)
    return _stretched(rng.uniform(0.2, 0.8) * cloud + stars.clip(0, 1), rng.uniform(0, 30), rng.uniform(180, WHITE))


def _molecules(size: int, rng: Rng) -> Array:
    number = round(rng.uniform(0.01, 0.04) * size**2)
    spots = _spots(size, rng.uniform(0, size - 1, (number, 2)), _bright(number, 2, rng), np.full(number, 1.3))
    ground = rng.uniform(0.2, 1.5) * _smooth(size, size / rng.uniform(6, 16), rng)
    return _stretched(spots + ground, rng.uniform(0, 40), rng.uniform(150, WHITE))


def _lattice(between: float, size: int, rng: Rng) -> Array:
    """Atoms in rows, at an angle (degrees) between the two directions; a few are missing."""
    period, turn = rng.uniform(5, 16), rng.uniform(0, np.pi)
    many = int(2 * size / period) + 2
    steps = np.indices((2 * many, 2 * many)).reshape(2, -1).T - many
    angles = turn + np.array([0, np.radians(between)])
    at = size / 2 + period * (steps + rng.uniform(0, 1, 2)) @ np.stack([np.sin(angles), np.cos(angles)], 1)
    at = at[(np.abs(at - size / 2) < 0.75 * size).all(1)]
    at = at + rng.normal(0, rng.uniform(0, 0.03) * period, at.shape)
    light = (rng.random(len(at)) > rng.uniform(0, 0.03)).astype(np.float64)
    return _stretched(_spots(size, at, light, np.full(len(at), rng.uniform(0.14, 0.26) * period)), *_greys(rng))


# -------------------------------------------------------------------------------------------------- text and line art


def _letters(number: int, rng: Rng) -> str:
    return "".join(rng.choice(ALPHABET, number))


def _font(height: int) -> Any:
    return ImageFont.load_default(size=height)


def _written(size: int, smooth: bool, rng: Rng) -> Array:
    """Lines of text in one height or two, 0 to 1: all ink somewhere."""
    page = Pillow.new("L", (size, size), 0)
    pen = ImageDraw.Draw(page)
    pen.fontmode = "L" if smooth else "1"
    small = int(rng.integers(8, 19))
    heights = [small, int(rng.integers(small, 2 * small))]
    y, left = float(rng.uniform(0, small)), float(rng.uniform(0, small))
    while y < size:
        height = heights[int(rng.random() < 0.2)]
        pen.text((left, y), _letters(3 * size // height + 3, rng).strip(), fill=255, font=_font(height))
        y += height * rng.uniform(1.15, 1.6) + (rng.random() < 0.15) * 2 * height  # new paragraphs
    return np.asarray(page, np.float64) / WHITE


def _scanned(size: int, rng: Rng) -> Array | None:
    """A piece of a photographed page, without most of its noise; None where that is too small, or by chance."""
    page = _picture(SCANS[rng.integers(len(SCANS))])
    if min(page.shape) < size or rng.random() < 0.5:
        return None
    return np.asarray(ndimage.gaussian_filter(_cut(page, size, rng), 0.7))


def _text_two_valued(size: int, rng: Rng) -> Array:
    low, high = _greys(rng)
    page = _scanned(size, rng)
    if page is not None:
        ink = 1.0 * (page < ndimage.gaussian_filter(page, 8) - 12)
        if ink.any():
            return _stretched(ink, high, low)
    return _stretched(_written(size, False, rng), high, low)


def _text_grey(size: int, rng: Rng) -> Array:
    low, high = _greys(rng)
    page = _scanned(size, rng)
    return _stretched(_written(size, True, rng), high, low) if page is None else _stretched(page, low, high)


def _text_inverted(size: int, rng: Rng) -> Array:
    return _stretched(_written(size, True, rng), rng.uniform(0, 60), rng.uniform(150, WHITE))


def _lines(smooth: bool, size: int, rng: Rng) -> Array:
    """Straight lines, polygons and circles, 1 to 3 pixels wide; smooth ones are of several greys."""
    made = np.zeros((size, size))
    for _ in range(rng.integers(6, 14 + size // 16)):
        shape, width = rng.choice(["line", "polygon", "circle"]), int(rng.integers(1, 3 if smooth else 4))
        share = rng.uniform(0.4, 1) if smooth else 1.0
        centre, radius = rng.uniform(0, size, 2), rng.uniform(0.05, 0.6) * size
        for y, x, part in _strokes(shape, centre, radius, smooth, rng):
            for down, right in np.ndindex(width, width):
                inside = (y + down >= 0) & (y + down < size) & (x + right >= 0) & (x + right < size)
                place = (y + down)[inside], (x + right)[inside]
                made[place] = np.maximum(made[place], share * part[inside])
    low, high = _greys(rng)
    return _stretched(made, low, high) if rng.random() < 0.5 else _stretched(made, high, low)


def _strokes(shape: str, centre: Array, radius: float, smooth: bool, rng: Rng) -> list[tuple[Any, Any, Any]]:
    """Rows, columns and coverage of lines one pixel wide."""
    y, x = (int(at) for at in centre)
    if shape == "circle":
        made = [(pens.circle_perimeter_aa if smooth else pens.circle_perimeter)(y, x, int(radius) + 1)]
    else:
        angles = np.sort(rng.uniform(0, 2 * np.pi, 2 if shape == "line" else rng.integers(3, 7)))
        turned = np.stack([np.sin(angles), np.cos(angles)], 1)
        corners = np.rint(centre + radius * turned).astype(int)
        stroke = pens.line_aa if smooth else pens.line
        made = [stroke(*one, *other) for one, other in zip(corners, np.roll(corners, 1, 0), strict=True)]
    return [(one[0], one[1], one[2] if smooth else np.ones(len(one[0]))) for one in made]


# ---------------------------------------------------------------------------------------------- patterns and textures


def _chequerboard(shortest: int, longest: int, size: int, rng: Rng) -> Array:
    period = rng.integers(shortest, longest + 1)
    y, x = (np.arange(size) + rng.integers(period, size=(2, 1))) * 2 // period
    return _stretched((y[:, None] + x) % 2, *_greys(rng))


def _grating(size: int, rng: Rng) -> Array:
    period = 2.0 ** rng.uniform(1, 4)
    period = round(period) if rng.random() < 0.5 else period
    wave = np.cos(2 * np.pi * np.arange(size) / period + rng.uniform(0.1, 1.4))  # of period 2 not where it is 0
    made = np.broadcast_to(wave, (size, size))
    return _stretched(made if rng.random() < 0.5 else made.T, *_greys(rng))


def _grating_oblique(size: int, rng: Rng) -> Array:
    y, x = np.mgrid[:size, :size]
    angle, period = rng.uniform(0, np.pi), 2.0 ** rng.uniform(1.3, 4)
    wave = np.cos(2 * np.pi * (y * np.sin(angle) + x * np.cos(angle)) / period + rng.uniform(0, 2 * np.pi))
    return _stretched(wave if rng.random() < 0.5 else wave > 0, *_greys(rng))


def _texture_pink(size: int, rng: Rng) -> Array:
    return _stretched(_field(size, lambda frequency: frequency**-0.5, rng), *_greys(rng))


def _texture_brown(size: int, rng: Rng) -> Array:
    slope = rng.uniform(1.2, 2)
    return _stretched(_field(size, lambda frequency: frequency**-slope, rng), *_greys(rng))


def _texture_blocks(sides: tuple[int, int], two: bool, size: int, rng: Rng) -> Array:
    """Independent squares of two values, or of any."""
    side, share = rng.integers(sides[0], sides[1] + 1), rng.uniform(0.2, 0.8)
    values = rng.random((-(-size // side),) * 2)
    return _stretched(np.kron(values < share if two else values, np.ones((side, side)))[:size, :size], *_greys(rng))


# --------------------------------------------------------------------------------------- drawings, screens, dark fields


def _gradient_banded(size: int, rng: Rng) -> Array:
    y, x = np.mgrid[:size, :size] / size
    angle, bend = rng.uniform(0, 2 * np.pi), rng.uniform(-1, 1)
    ramp = y * np.sin(angle) + x * np.cos(angle)
    ramp = ramp + bend * ((y - rng.random()) ** 2 + (x - rng.random()) ** 2)
    step = rng.choice([1, 2, 4, 8, 16])
    return np.asarray(np.floor(_stretched(ramp, *_greys(rng)) / step) * step)


def _screenshot(size: int, rng: Rng) -> Array:
    screen = Pillow.new("L", (size, size), int(rng.integers(40, 200)))
    pen = ImageDraw.Draw(screen)
    for _ in range(rng.integers(3, 6 + size // 128)):
        wide, high = (int(side) for side in rng.integers(size // 3, size - size // 8, 2))
        left, top = int(rng.integers(-size // 8, size - wide // 2)), int(rng.integers(0, size - high // 2))
        _window(pen, left, top, wide, high, rng)
    return np.asarray(screen, np.float64)


def _window(pen: ImageDraw.ImageDraw, left: int, top: int, wide: int, high: int, rng: Rng) -> None:
    """A frame with a title, rows of text, and buttons."""
    face, ink = (int(rng.integers(225, 256)), 20) if rng.random() < 0.7 else (int(rng.integers(20, 60)), 220)
    bar, font, line = int(rng.integers(60, 180)), _font(int(rng.integers(8, 12))), 14
    pen.rectangle((left, top, left + wide, top + high), fill=face, outline=90)
    pen.rectangle((left, top, left + wide, top + line), fill=bar, outline=90)
    pen.text((left + 4, top + 2), _letters(10, rng), fill=250, font=font)
    pen.rectangle((left + wide - 10, top + 4, left + wide - 4, top + 10), outline=240)
    for y in range(top + line + 4, top + high - 2 * line, line):
        shown = _letters(int(rng.integers(4, max(5, wide // 7))), rng)
        pen.text((left + 4, y), shown[: max(1, wide // 8)], fill=ink, font=font)
    for x in range(left + 6, left + wide - 40, 44):
        box = (x, top + high - line - 2, x + 36, top + high - 3)
        pen.rectangle(box, fill=int(rng.integers(150, 215)), outline=60)
        pen.text((x + 4, box[1] + 1), _letters(4, rng), fill=10, font=font)


def _chart(size: int, rng: Rng) -> Array:
    """Axes with ticks, grid lines, numbers, and bars or curves."""
    paper, ink = (int(rng.integers(235, 256)), 0) if rng.random() < 0.75 else (int(rng.integers(0, 30)), 240)
    sheet = Pillow.new("L", (size, size), paper)
    pen, font = ImageDraw.Draw(sheet), _font(int(rng.integers(8, 12)))
    left, top, right, low = 20, 12, size - 6, size - 16
    for n, y in enumerate(range(low, top, -int(rng.integers(12, 30)))):
        pen.line((left, y, right, y), fill=(paper * 5 + ink) // 6)
        pen.line((left - 3, y, left, y), fill=ink)
        pen.text((2, y - 6), str(5 * n), fill=ink, font=font)
    step = int(rng.integers(10, 24))
    places = list(range(left + step // 2, right - step // 2, step))
    if rng.random() < 0.5:
        for x in places:
            box = (x - step // 3, int(rng.integers(top, low)), x + step // 3, low)
            pen.rectangle(box, fill=int(rng.integers(60, 200)), outline=ink)
    else:
        for curve in range(rng.integers(1, 5)):
            heights = (low - top) * _smooth(right - left, rng.uniform(3, 30), rng)[0]
            points = list(zip(range(left, right), (low - heights).tolist(), strict=True))
            pen.line(points, fill=abs(ink - 40 * curve), width=int(rng.integers(1, 3)))
    pen.line((left, top, left, low, right, low), fill=ink)
    for x in places:
        pen.line((x, low, x, low + 3), fill=ink)
        pen.text((x - 3, low + 4), _letters(1, rng), fill=ink, font=font)
    pen.text((left + 8, 0), _letters(max(4, size // 12), rng), fill=ink, font=font)
    return np.asarray(sheet, np.float64)


def _dark_cells(size: int, rng: Rng) -> Array:
    """A few bright ellipses with a texture, on a ground that is nearly black."""
    y, x = np.mgrid[:size, :size]
    made = np.zeros((size, size))
    for _ in range(rng.integers(2, 6 + size // 128)):
        centre, angle = rng.uniform(0.1, 0.9, 2) * size, rng.uniform(0, np.pi)
        radii = rng.uniform(5, 12, 2) * (size / 128) ** 0.5
        down, right = y - centre[0], x - centre[1]
        along, across = down * np.cos(angle) + right * np.sin(angle), right * np.cos(angle) - down * np.sin(angle)
        depth = (1 - np.hypot(along / radii[0], across / radii[1])) * radii.min()
        made = np.maximum(made, rng.uniform(0.2, 1) * (depth / rng.uniform(1, 4)).clip(0, 1))
    made *= 1 - 0.5 * _smooth(size, rng.uniform(1, 3), rng)
    return _stretched(made, rng.uniform(0, 8), rng.uniform(80, WHITE))


def _cells(size: int, rng: Rng) -> Array:
    made = np.asarray(epithelium(size, int(rng.integers(1 << 31))), np.float64)
    return np.asarray(made * min(1.0, WHITE / made.max())).clip(0, WHITE)


# -------------------------------------------------------------------------------------------------------- photographs


@cache
def _picture(name: str) -> Array:
    values = np.asarray(getattr(data, name)(), np.float64)
    return np.asarray(grey(values) if values.ndim == 3 else values).clip(0, WHITE)


def _cut(picture: Array, side: int, rng: Rng) -> Array:
    top, left = (rng.integers(length - side + 1) for length in picture.shape)
    return picture[top : top + side, left : left + side]


def _photograph(size: int, rng: Rng) -> Array:
    """A piece of a photograph, turned and made smaller, with which its own noise fades, where it is large enough."""
    large = [name for name in PHOTOGRAPHS if min(_picture(name).shape) >= size]
    piece = np.zeros((size, size))
    while np.ptp(np.percentile(piece, [1, 99])) < LEAST_CONTRAST:  # somewhere in one of them it is
        picture = _picture(large[rng.integers(len(large))])
        most = min(3, min(picture.shape) // size)
        times = int(rng.integers(min(2, most), most + 1))
        piece = _cut(picture, size * times, rng).reshape(size, times, size, times).mean((1, 3))
    piece = np.asarray(np.rot90(piece, int(rng.integers(4))))
    return piece if rng.random() < 0.5 else piece.T


def _pillow(values: Array) -> Pillow.Image:
    return Pillow.fromarray(np.rint(values).clip(0, WHITE).astype(np.uint8))


def _filtered_gaussian(size: int, rng: Rng) -> Array:
    return np.asarray(ndimage.gaussian_filter(_photograph(size, rng), rng.uniform(0.7, 2.5)))


def _filtered_median(size: int, rng: Rng) -> Array:
    return np.asarray(ndimage.median_filter(_photograph(size, rng), int(rng.choice([3, 5]))))


def _filtered_tv(size: int, rng: Rng) -> Array:
    made = WHITE * tools.denoise_tv_chambolle(_photograph(size, rng) / WHITE, weight=rng.uniform(0.05, 0.2))
    return np.asarray(made, np.float64).clip(0, WHITE)


def _jpeg(size: int, rng: Rng) -> Array:
    file = io.BytesIO()
    _pillow(_photograph(size, rng)).save(file, "JPEG", quality=int(rng.integers(30, 96)))
    return np.asarray(Pillow.open(file), np.float64)


def _upsampled(size: int, rng: Rng) -> Array:
    small = _photograph(round(size / rng.uniform(1.5, 3)), rng).astype(np.float32)
    how = Pillow.Resampling.BILINEAR if rng.random() < 0.5 else Pillow.Resampling.BICUBIC
    return np.asarray(Pillow.fromarray(small).resize((size, size), how), np.float64).clip(0, WHITE)


def _masked(size: int, rng: Rng) -> Array:
    """A disk of data, nowhere 0, and 0 around it."""
    y, x = np.mgrid[:size, :size] - rng.uniform(0.42, 0.58, 2)[:, None, None] * size
    inside = np.hypot(y, x) < rng.uniform(0.3, 0.48) * size
    return np.where(inside, 8 + _photograph(size, rng) * (1 - 8 / WHITE), 0.0)


def _padded(size: int, rng: Rng) -> Array:
    """A photograph of 8 or more, and borders of one value at some of its sides."""
    value = rng.choice([0.0, 0.0, WHITE, float(rng.integers(1, 255))])
    made = np.full((size, size), value)
    wide = rng.integers(3, max(4, size // 5), 4) * (rng.random(4) < 0.7)
    wide[rng.integers(4)] = rng.integers(3, max(4, size // 5))
    inside = slice(wide[0], size - wide[1]), slice(wide[2], size - wide[3])
    made[inside] = 8 + _photograph(size, rng)[inside] * (1 - 8 / WHITE)
    return made


KINDS: dict[str, Scene] = {
    "stars-one-pixel": _stars_one_pixel,
    "points-dense": _points_dense,
    "stars-psf": _stars_psf,
    "stars-nebula": _stars_nebula,
    "molecules": _molecules,
    "text-two-valued": _text_two_valued,
    "text-grey": _text_grey,
    "text-inverted": _text_inverted,
    "lines-two-valued": partial(_lines, False),
    "lines-grey": partial(_lines, True),
    "chequerboard-fine": partial(_chequerboard, 2, 4),
    "chequerboard-coarse": partial(_chequerboard, 5, 16),
    "grating": _grating,
    "grating-oblique": _grating_oblique,
    "lattice-square": partial(_lattice, 90),
    "lattice-hexagonal": partial(_lattice, 60),
    "texture-pink": _texture_pink,
    "texture-brown": _texture_brown,
    "texture-binary-fine": partial(_texture_blocks, (1, 1), True),
    "texture-binary-coarse": partial(_texture_blocks, (2, 4), True),
    "texture-grey-fine": partial(_texture_blocks, (1, 1), False),
    "texture-grey-coarse": partial(_texture_blocks, (2, 4), False),
    "gradient-banded": _gradient_banded,
    "screenshot": _screenshot,
    "chart": _chart,
    "dark-cells": _dark_cells,
    "cells": _cells,
    "filtered-gaussian": _filtered_gaussian,
    "filtered-median": _filtered_median,
    "filtered-tv": _filtered_tv,
    "jpeg": _jpeg,
    "upsampled": _upsampled,
    "masked": _masked,
    "padded": _padded,
}
