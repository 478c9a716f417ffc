"""The page of `hush analyze`: the variance against brightness, the line, and what follows; it computes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hush import __version__
from hush.core import files
from hush.reports import _html

WIDE, HIGH, LEFT, BELOW = 640, 360, 64, 44  # of a plot, and its margins, in pixels


def noise_page(record: dict[str, Any], target: Path, *, overwrite: bool = False) -> None:
    """Write the page of one analysed image: one file that loads nothing from elsewhere.

    Parameters
    ----------
    record : dict
        ``input`` and what `NoiseReport.as_dict` gives.
    target : Path
    overwrite : bool

    Raises
    ------
    HushError
        When the page exists or cannot be written.
    """
    _html.check(target, overwrite)
    files.write_text(target, _html.render("noise.html", **_context(record)))


def _context(record: dict[str, Any]) -> dict[str, Any]:
    """Return what the template asks for."""
    advice, noise = record["recommendation"], record["noise"]
    channels = noise.get("channels", [noise])
    return {
        "kind": "noise report",
        "name": record["input"],
        "summary": record["verdict"],
        "made_by": {"hush": __version__},
        "method": advice["method"],
        "settings": " ".join(f"--set {key}={value}" for key, value in advice["settings"].items()),
        "reason": advice["reason"],
        "sections": [_section(number, channel, len(channels)) for number, channel in enumerate(channels)],
    }


def _section(number: int, channel: dict[str, Any], count: int) -> dict[str, Any]:
    from markupsafe import Markup

    title = f"Channel {number}" if count > 1 else "Variance against brightness"
    correlation = channel["correlation"]
    lags = ", ".join(f"{key} {value:+.2f}" for key, value in correlation["lags"].items())
    rows = {
        "kind": channel["kind"],
        "gain, offset, sigma": ", ".join(f"{channel[key]:.4g}" for key in ("gain", "offset", "sigma")),
        "variance": f"{channel['a']:.4g} x {channel['b']:+.4g}",
        "level, 95 %": " to ".join(f"{end:.4g}" for end in channel["interval"].get("level", ())),
        "neighbours": "independent" if correlation["white"] else f"share noise (mask {correlation['mask']})",
        "correlation (rows,columns)": lags,
        "impulses": f"{100 * channel['impulse_fraction']:.3g} %",
        "cut off at": ", ".join(f"{v:g}" for v in (channel["clipped_low"], channel["clipped_high"]) if v is not None),
        "step between values": "none" if channel["quantisation"] is None else f"{channel['quantisation']:g}",
        "stripes": ", ".join(f"{axis} {value:.3g}" for axis, value in channel["stripes"].items()),
        "flat blocks": f"{100 * channel['flat']:.0f} %",
    }
    return {
        "title": title,
        "plot": Markup(_plot(channel)),  # numbers, and nothing else
        "rows": [(key, value or "–") for key, value in rows.items()],
    }


def _plot(channel: dict[str, Any]) -> str:
    points: Sequence[Sequence[float]] = channel["points"]
    if not points:
        return ""
    low, high = min(p[0] for p in points), max(p[0] for p in points)
    low, high = low - 0.04 * (high - low or 1), high + 0.04 * (high - low or 1)
    a, b, middle = channel["a"], channel["b"], channel["middle"]
    kept = [p[1] for p in points if p[2] > 0.3] or [p[1] for p in points]
    top = 1.25 * max(*kept, a * high + b, 1e-30)
    slopes = channel["interval"].get("a", (a, a))
    levels = [end**2 for end in channel["interval"].get("level", (0, 0))]

    def at(x: float, y: float) -> str:
        across = LEFT + (x - low) / (high - low) * (WIDE - LEFT - 10)
        return f"{across:.1f},{HIGH - BELOW - min(max(y / top, 0), 1.02) * (HIGH - BELOW - 10):.1f}"

    xs = [low + (high - low) * k / 40 for k in range(41)]
    half = [((slopes[1] - slopes[0]) / 2 * abs(x - middle)) + (levels[1] - levels[0]) / 2 for x in xs]
    upper = [at(x, a * x + b + h) for x, h in zip(xs, half, strict=True)]
    lower = [at(x, a * x + b - h) for x, h in zip(xs, half, strict=True)]
    band = f'<polygon class="band" points="{" ".join(upper + lower[::-1])}"/>'
    ends = f"{at(low, a * low + b)} {at(high, a * high + b)}"
    dots = "".join(
        '<circle class="{}" r="4" cx="{}" cy="{}"/>'.format("kept" if w > 0.3 else "left", *at(x, y).split(","))
        for x, y, w in points
    )
    ticks = "".join(
        f'<text x="{at(x, 0).split(",")[0]}" y="{HIGH - BELOW + 18}" text-anchor="middle">{x:.4g}</text>'
        for x in (low + (high - low) * k / 4 for k in range(5))
    ) + "".join(
        f'<text x="{LEFT - 6}" y="{float(at(low, y).split(",")[1]) + 4:.0f}" text-anchor="end">{y:.3g}</text>'
        for y in (top * k / 4 for k in range(5))
    )
    frame = f'<path class="axis" d="M{LEFT} 10 V{HIGH - BELOW} H{WIDE - 10}"/>'
    names = f'<text x="{WIDE // 2}" y="{HIGH - 6}" text-anchor="middle">brightness</text>'
    return (
        f'<svg class="plot" viewBox="0 0 {WIDE} {HIGH}" role="img" aria-label="Variance against brightness">'
        f'{band}<polyline class="line" points="{ends}"/>{dots}{frame}{ticks}{names}</svg>'
    )
