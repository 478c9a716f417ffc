"""Box plots: how scores spread, a line for each method."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

SHOWN_QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)  # ends of the whiskers and of the box, and its line
PLOT_WIDTH, NAMES_WIDTH, LINE_HEIGHT, EDGE = 560, 150, 34, 34
MOST_TICKS = 8
INK, PALE, FILL = "#202020", "#d8d8d8", "#9ec5e8"


def quantiles(values: Sequence[float]) -> list[float]:
    """Return the quantiles that a box plot shows: of 10, 25, 50, 75 and 90 %.

    Examples
    --------
    >>> quantiles(range(11))
    [1.0, 2.5, 5.0, 7.5, 9.0]
    """
    return [float(value) for value in np.quantile(values, SHOWN_QUANTILES)]


def draw(scores: Mapping[str, Sequence[float]], title: str) -> Image.Image:
    """Draw a box plot: whiskers from 10 to 90 %, boxes from 25 to 75 %, a line in the middle, a dot for the mean.

    Parameters
    ----------
    scores : mapping of str to sequence of float
        Of each method, which are drawn from the lowest mean to the highest.
    title : str

    Examples
    --------
    >>> draw({"noisy": [20.0, 21.0], "hush": [29.0, 31.0]}, "PSNR, dB").size
    (744, 136)
    """
    order = sorted(scores, key=lambda name: float(np.mean(scores[name])))
    shown = [place for name in order for place in (*quantiles(scores[name]), float(np.mean(scores[name])))]
    ticks = round_numbers(min(shown), max(shown))
    page = Image.new("RGB", (NAMES_WIDTH + PLOT_WIDTH + EDGE, 2 * EDGE + LINE_HEIGHT * len(order)), "white")
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(size=14)

    def at(value: float) -> float:
        return NAMES_WIDTH + PLOT_WIDTH * (value - ticks[0]) / (ticks[-1] - ticks[0])

    bottom = EDGE + LINE_HEIGHT * len(order)
    for tick in ticks:
        pen.line((at(tick), EDGE, at(tick), bottom), fill=PALE)
        pen.text((at(tick), bottom + 5), f"{tick:g}", fill=INK, font=font, anchor="ma")
    pen.text((NAMES_WIDTH, EDGE / 2), title, fill=INK, font=font, anchor="lm")
    for number, name in enumerate(order):
        y = EDGE + LINE_HEIGHT * (number + 0.5)
        pen.text((NAMES_WIDTH - 8, y), name, fill=INK, font=font, anchor="rm")
        _box(pen, [at(value) for value in quantiles(scores[name])], at(float(np.mean(scores[name]))), y)
    return page


def _box(pen: ImageDraw.ImageDraw, places: Sequence[float], mean: float, y: float) -> None:
    low, left, middle, right, high = places
    half = LINE_HEIGHT / 3
    pen.line((low, y, high, y), fill=INK)
    for end in (low, high):
        pen.line((end, y - half / 2, end, y + half / 2), fill=INK)
    pen.rectangle((left, y - half, right, y + half), fill=FILL, outline=INK)
    pen.line((middle, y - half, middle, y + half), fill=INK, width=2)
    pen.ellipse((mean - 3, y - 3, mean + 3, y + 3), fill=INK)


def round_numbers(low: float, high: float) -> list[float]:
    """Round numbers from below the lowest value to above the highest."""
    span = max(high - low, 1e-6)
    unit = 10.0 ** math.floor(math.log10(span / MOST_TICKS))
    step = next(unit * times for times in (1, 2, 5, 10) if span / (unit * times) <= MOST_TICKS)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [step * number for number in range(first, max(last, first + 1) + 1)]
