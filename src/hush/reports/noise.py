"""The page of `hush analyze`: the variance against brightness, the line, and what follows; it computes nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hush import __version__
from hush.core import files
from hush.estimation.report import NAMES
from hush.reports import _html

PLOT_WIDE, PLOT_HIGH, LEFT, PLOT_BELOW, ROOM = 640, 360, 64, 44, 10  # of a plot, and its margins, in pixels
USED = 0.3  # weight in the fit from which on a point counts as used


def noise_page(record: dict[str, Any], target: Path, *, overwrite: bool = False) -> None:
    """Write the page of one analysed image: one file that loads nothing from elsewhere.

    Parameters
    ----------
    record : dict
        ``input`` and what `NoiseReport.as_dict` gives; ``rescale``, where the file states one.
    target : Path
    overwrite : bool

    Raises
    ------
    HushError
        When the page exists or cannot be written.
    """
    _html.check(target, overwrite)
    files.write_text(target, _html.render("noise.html", **_context(record)))


def _context(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the template asks for."""
    advice, noise = record["recommendation"], record["noise"]
    settings = [word for key, value in advice["settings"].items() for word in ("--set", f"{key}={value}")]
    return {
        "kind": "noise report",
        "name": record["input"],
        "summary": record["verdict"],
        "made_by": {"hush": __version__},
        "method": advice["method"],
        "options": " ".join(["--method", advice["method"], *settings]) if advice["method"] else "",
        "reason": advice["reason"],
        "rescale": _html.rescale(record["rescale"]) if record.get("rescale") else "",
        "channels": [_channel(channel) for channel in noise.get("channels", [noise])],
    }


def _channel(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return the plot of one channel and its figures, written out; the template has the words."""
    ends = found["interval"].get("level", ())
    lags = found["correlation"]["lags"]
    clipped = [end for end in (found["clipped_low"], found["clipped_high"]) if end is not None]
    return {
        "plot": _plot(found) if found["points"] else None,
        "kind": NAMES.get(found["kind"], found["kind"]),
        "per_photon": found["gain"] > 0 and found["kind"] != "speckle",
        **{key: f"{found[key]:.4g}" for key in ("gain", "offset", "sigma", "middle")},
        "variance": f"{found['a']:.4g} × brightness {'−' if found['b'] < 0 else '+'} {abs(found['b']):.4g}",
        "level": " to ".join(f"{end:.4g}" for end in ends),
        "white": found["correlation"]["white"],
        "mask": found["correlation"]["mask"],
        "lags": ", ".join(f"{value:+.2f} at ({key})" for key, value in lags.items()),
        "impulses": f"{100 * found['impulse_fraction']:.3g} % of the pixels",
        "clipped": " and ".join(f"{end:g}" for end in clipped),
        "step": "" if found["quantisation"] is None else f"{found['quantisation']:g}",
        "stripes": ", ".join(f"{value:.3g} along {axis}" for axis, value in found["stripes"].items()),
        "flat": f"{100 * found['flat']:.0f} % of the image",
    }


@dataclass(frozen=True)
class Frame:
    """What a plot shows: brightness from `low` to `high`, variance from 0 to `top`; and where that is, in pixels."""

    low: float
    high: float
    top: float

    def x(self, brightness: float) -> float:
        """Return how far to the right a brightness is."""
        return round(LEFT + (brightness - self.low) / (self.high - self.low) * (PLOT_WIDE - LEFT - ROOM), 1)

    def y(self, variance: float) -> float:
        """Return how far down a variance is; what is outside is drawn at the edge."""
        return round(
            PLOT_HIGH - PLOT_BELOW - min(max(variance / self.top, 0), 1.02) * (PLOT_HIGH - PLOT_BELOW - ROOM), 1
        )

    def path(self, variance: Callable[[float], float]) -> list[str]:
        """Return the points of a curve from the left to the right."""
        steps = (self.low + (self.high - self.low) * step / 40 for step in range(41))
        return [f"{self.x(step)},{self.y(variance(step))}" for step in steps]


def _plot(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return where the template draws the points, the fitted line, its interval and the ticks."""
    a, b, middle, points = found["a"], found["b"], found["middle"], found["points"]
    frame = _frame(found)
    slopes, ends = (found["interval"].get(name, (0.0, 0.0)) for name in ("a", "level"))

    def half(brightness: float) -> float:
        """Half the width of the interval: what the slope adds grows with the distance from the middle."""
        return float((slopes[1] - slopes[0]) * abs(brightness - middle) + ends[1] ** 2 - ends[0] ** 2) / 2

    upper = frame.path(lambda x: a * x + b + half(x))
    lower = frame.path(lambda x: a * x + b - half(x))
    return {
        "line": " ".join(frame.path(lambda x: a * x + b)),
        "band": " ".join(upper + lower[::-1]),
        "dots": [{"x": frame.x(x), "y": frame.y(y), "used": weight > USED} for x, y, weight in points],
        "across": [{"at": frame.x(value), "text": f"{value:g}"} for value in ticks(frame.low, frame.high, 6)],
        "up": [{"at": frame.y(value), "text": f"{value:g}"} for value in ticks(0.0, frame.top, 5)],
        "left": LEFT,
        "right": PLOT_WIDE - ROOM,
        "top": ROOM,
        "floor": PLOT_HIGH - PLOT_BELOW,
        "width": PLOT_WIDE,
        "height": PLOT_HIGH,
    }


def _frame(found: Mapping[str, Any]) -> Frame:
    """Return what the plot shows: all points that were used, and the line."""
    points = found["points"]
    low, high = (end(point[0] for point in points) for end in (min, max))
    margin = 0.04 * (high - low or abs(high) or 1.0)
    used = [point[1] for point in points if point[2] > USED] or [point[1] for point in points]
    high += margin
    highest = max([*used, found["a"] * high + found["b"]])
    return Frame(low - margin, high, 1.25 * highest if highest > 0 else 1.0)


def ticks(low: float, high: float, most: int) -> list[float]:
    """Return round numbers between two ends, `most` steps of them or fewer.

    Examples
    --------
    >>> ticks(-3.9, 336.1, 6), ticks(0.0, 0.07, 5)
    ([0.0, 100.0, 200.0, 300.0], [0.0, 0.02, 0.04, 0.06])
    """
    power = 10.0 ** math.floor(math.log10((high - low) / most))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power * most >= high - low)
    return [float(f"{count * step:.6g}") for count in range(math.ceil(low / step), math.floor(high / step) + 1)]
