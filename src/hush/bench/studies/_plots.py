"""Plots of several studies: a line of dots for each variant, and decibels against seconds."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from hush.bench.boxes import EDGE, INK, NAMES_WIDTH, PALE, PLOT_WIDTH, round_numbers
from hush.core import files

DOT = 5  # radius of a dot, screen pixels
DOT_LINE = 24  # height of a line of dots
SHADES = ("#0b3c6f", "#2f7ab8", "#7db5de", "#e0a458", "#c0432f", "#707070")  # of the first, second ... dot of a line
LEGEND_STEP = 64  # between two names of the legend
SCATTER_WIDTH, SCATTER_HEIGHT, SCATTER_EDGE = 720, 440, 56
LABEL_HEIGHT = 15  # that the name of a point takes, screen pixels
SECONDS_TICKS = tuple(step * 10.0**power for power in range(-3, 6) for step in (1, 3))

Row = dict[str, Any]
Box = tuple[float, float, float, float]


def known_rows(out: Path, made: Row) -> list[Row]:
    """Return the rows that a run has on disk, and one more."""
    kept = out / "rows.jsonl"
    rows = []
    for line in kept.read_text("utf-8").splitlines() if kept.exists() else []:
        try:
            rows.append(dict(json.loads(line)))
        except json.JSONDecodeError:  # the line at which a run was killed
            continue
    return [*rows, made]


def save(page: Image.Image, path: Path) -> None:
    """Write a picture whole or not at all, and its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with files.replacing(path) as hidden:
        page.save(hidden)


def dots(values: Mapping[str, Mapping[str, float]], title: str, wide: int = NAMES_WIDTH) -> Image.Image:
    """Draw a line of dots for each variant, in the order given, and a dark line at zero.

    Parameters
    ----------
    values : mapping of str to (mapping of str to float)
        For each variant its values, by what they are of; the same names in the same order for all.
    title : str
    wide : int
        Screen pixels for the names of the variants.

    Examples
    --------
    >>> dots({"known": {"1": 20.0, "2": 10.0}, "mean": {"1": 22.0, "2": -4.0}}, "PSNR, %").size
    (744, 140)
    """
    shown = [value for line in values.values() for value in line.values()]
    ticks = round_numbers(min([*shown, 0.0]), max([*shown, 0.0]))
    top = 2 * EDGE - 10
    bottom = top + DOT_LINE * len(values)
    page = Image.new("RGB", (wide + PLOT_WIDTH + EDGE, bottom + EDGE), "white")
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(size=14)

    def at(value: float) -> float:
        return wide + PLOT_WIDTH * (value - ticks[0]) / (ticks[-1] - ticks[0])

    for tick in ticks:
        pen.line((at(tick), top, at(tick), bottom), fill=INK if abs(tick) < 1e-9 else PALE)
        pen.text((at(tick), bottom + 5), f"{tick:g}", fill=INK, font=font, anchor="ma")
    pen.text((wide, EDGE / 2), title, fill=INK, font=font, anchor="lm")
    for number, name in enumerate(dict.fromkeys(name for line in values.values() for name in line)):
        _dot(pen, wide + DOT + LEGEND_STEP * number, EDGE + 6, SHADES[number % len(SHADES)])
        pen.text((wide + 3 * DOT + LEGEND_STEP * number, EDGE + 6), name, fill=INK, font=font, anchor="lm")
    for number, (name, line) in enumerate(values.items()):
        y = top + DOT_LINE * (number + 0.5)
        pen.text((wide - 8, y), name, fill=INK, font=font, anchor="rm")
        for shade, value in zip(SHADES * len(line), line.values(), strict=False):
            _dot(pen, at(value), y, shade)
    return page


def _dot(pen: ImageDraw.ImageDraw, x: float, y: float, shade: str) -> None:
    pen.ellipse((x - DOT, y - DOT, x + DOT, y + DOT), fill=shade, outline="white")


def scatter(points: Mapping[str, tuple[float, float]], title: str) -> Image.Image:
    """Draw a labelled dot for each method: seconds to the right, by their logarithm, and decibels upwards.

    Parameters
    ----------
    points : mapping of str to (float, float)
        Seconds (more than 0) and decibels of each.
    title : str

    Examples
    --------
    >>> scatter({"bm3d": (1.5, 9.0), "dip": (200.0, 7.5)}, "dB").size
    (720, 440)
    """
    page = Image.new("RGB", (SCATTER_WIDTH, SCATTER_HEIGHT), "white")
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(size=14)
    seconds, decibels = zip(*points.values(), strict=True)
    across, up = _decades(min(seconds), max(seconds)), round_numbers(min(decibels), max(decibels))
    left, right, top, bottom = SCATTER_EDGE, SCATTER_WIDTH - 2 * SCATTER_EDGE, EDGE, SCATTER_HEIGHT - SCATTER_EDGE

    def at(x: float, y: float) -> tuple[float, float]:
        share = math.log(x / across[0]) / math.log(across[-1] / across[0])
        return left + (right - left) * share, bottom - (bottom - top) * (y - up[0]) / (up[-1] - up[0])

    for tick in across:
        x, _ = at(tick, up[0])
        pen.line((x, top, x, bottom), fill=PALE)
        pen.text((x, bottom + 5), f"{tick:g}", fill=INK, font=font, anchor="ma")
    for tick in up:
        _, y = at(across[0], tick)
        pen.line((left, y, right, y), fill=PALE)
        pen.text((left - 6, y), f"{tick:g}", fill=INK, font=font, anchor="rm")
    pen.text(((left + right) / 2, SCATTER_HEIGHT - 12), "seconds an image", fill=INK, font=font, anchor="mm")
    pen.text((left, EDGE / 2), title, fill=INK, font=font, anchor="lm")
    places = {name: at(*point) for name, point in points.items()}
    for name, (x, y) in _apart(places, font.getlength).items():
        _dot(pen, *places[name], SHADES[1])
        pen.text((x, y), name, fill=INK, font=font, anchor="lm")
    return page


def _decades(low: float, high: float) -> list[float]:
    """Round numbers of seconds, from at most the lowest to at least the highest."""
    first = max([k for k, tick in enumerate(SECONDS_TICKS) if tick <= low], default=0)
    last = next((k for k, tick in enumerate(SECONDS_TICKS) if tick >= high), len(SECONDS_TICKS) - 1)
    return list(SECONDS_TICKS[first : max(last, first + 1) + 1])


def _apart(places: Mapping[str, tuple[float, float]], width: Callable[[str], float]) -> dict[str, tuple[float, float]]:
    """Where the names begin: beside their dots, where no dot and no name is in the way."""
    taken: list[Box] = [(x - DOT, y - DOT, x + DOT, y + DOT) for x, y in places.values()]
    found = {}
    for name, (x, y) in sorted(places.items(), key=lambda item: item[1][1]):
        wide = width(name)
        begins = [
            (left, y + LABEL_HEIGHT * down)
            for down in (0, 1, -1, 2, -2, 3)
            for left in (x + DOT + 4, x - DOT - 4 - wide)
        ]
        boxes = [(left, at - LABEL_HEIGHT / 2 + 1, left + wide, at + LABEL_HEIGHT / 2 - 1) for left, at in begins]
        free = [k for k, box in enumerate(boxes) if not any(_meet(box, other) for other in taken)]
        best = free[0] if free else 0
        taken.append(boxes[best])
        found[name] = begins[best]
    return found


def _meet(one: Box, other: Box) -> bool:
    """Whether two boxes (left, top, right, bottom) have a point in common."""
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
