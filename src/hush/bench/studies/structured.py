"""Study: noise with a pattern, what the analysis says of it, and how much of it each method leaves (figure 6)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hush.bench.studies import denoise, trained
from hush.bench.tables import groups
from hush.core.image import Array
from hush.datasets.recipes import Item
from hush.estimation.report import ChannelNoise
from hush.pretrained.analyze import analyze

USUAL_MASK = "1x11"  # of structn2v where the analysis has none

Row = dict[str, Any]


def row(item: Item, method: Row, recipe: Row) -> Row:
    """Run one method on the image by itself, or of ``family`` "trained" on others, and measure the pattern it leaves.

    The mask ``"found"`` of structn2v stands for the one that the analysis finds. The row of the noisy image has the
    analysis' findings.
    """
    settings = dict(method["settings"])
    found: ChannelNoise | None = None
    if "peer" in method or settings.get("mask") == "found":
        found = analyze(item.as_image()).channels[0]
    if found is not None and "mask" in settings:
        settings["mask"] = found.mask or USUAL_MASK
    study = trained if method.get("family") == "trained" else denoise
    made: Row = study.row(item, method | {"settings": settings}, recipe)
    if "error" in made:
        return made
    made |= {"pattern_left": left(made["picture"] - item.clean, item.noisy - item.clean, item.noise)}
    made |= {"mask": settings.get("mask")}
    return made | ({"found": finding(found)} if found is not None and "peer" in method else {})


def pattern(rest: Array, noise: str) -> Array:
    """Return the part of what differs from the clean image that a noise's pattern can be in, as numbers.

    Of a chequerboard its amplitude; of stripes the means of rows or columns; of spatially correlated noise, which has
    no pattern but lasts over some pixels, the means of 2 x 2.

    Examples
    --------
    >>> pattern(np.array([[3.0, -1.0], [-1.0, 3.0]]), "chequerboard:amplitude=2").tolist()
    [2.0]
    >>> pattern(np.array([[3.0, 3.0], [-1.0, -1.0]]), "stripes:amplitude=2").tolist()
    [3.0, -1.0]
    """
    if "chequerboard" in noise:
        y, x = np.indices(rest.shape)
        return np.array([np.mean(rest * (1 - 2 * ((y + x) % 2)), dtype=np.float64)])
    if "stripes" in noise:
        return np.asarray(rest.mean(0 if "columns" in noise else 1, dtype=np.float64))
    high, wide = (size // 2 * 2 for size in rest.shape)
    return np.asarray(rest[:high, :wide].reshape(high // 2, 2, wide // 2, 2).mean((1, 3), dtype=np.float64))


def left(after: Array, before: Array, noise: str) -> float | None:
    """Return the share of a pattern that is left in an error, by least squares; None where there was none.

    Examples
    --------
    >>> before = np.array([[9.0, 9.0], [-9.0, -9.0]])
    >>> left(before / 3 + np.array([[1, -1], [-1, 1]]), before, "stripes:amplitude=9")
    0.3333333333333333
    """
    was, now = pattern(before, noise), pattern(after, noise)
    power = float((was * was).sum())
    return float((now * was).sum()) / power if power > 0 else None


def finding(one: ChannelNoise) -> str:
    """Say what the analysis found against independent noise; a dash for nothing.

    Examples
    --------
    >>> finding(ChannelNoise("gaussian", 0, 0, 9, 0, 81, chequerboard=3.04))
    'a chequerboard (3)'
    """
    parts = [f"a chequerboard ({one.chequerboard:.2g})"] if one.chequerboard else []
    parts += [f"stripes along {axis} ({value:.2g})" for axis, value in one.stripes.items()]
    if not one.white:
        lag = max(one.lags.get("0,1", 0.0), one.lags.get("1,0", 0.0))
        parts.append(f"spatially correlated noise ({lag:.2f}; mask {one.mask or 'none'})")
    return ", ".join(parts) or "–"


def table(rows: Sequence[Row], recipe: Row) -> str:
    """PSNR, SSIM and what is left of the pattern; then what the analysis found, and in how many images."""
    lines = ["| data | noise | method | n | PSNR | SSIM | pattern left |", "| --- " * 7 + "|"]
    good = [one for one in rows if "error" not in one]
    for group in groups(good, "data", "noise", "method"):
        scores = [np.mean([one[key] for one in group]) for key in ("psnr", "ssim")]
        left = [one["pattern_left"] for one in group if one["pattern_left"] is not None]
        share = f"{np.mean(left):.0%}" if left else "–"
        first = group[0]
        lines.append(
            f"| {first['data']} | {first['noise']} | {first['method']} | {len(group)} | {scores[0]:.2f} | "
            f"{scores[1]:.4f} | {share} |"
        )
    lines += ["", "| noise | the analysis warns of a pattern in | it says of the first |", "| --- " * 3 + "|"]
    for group in groups([one for one in good if "found" in one], "noise"):
        warned = sum(one["found"] != "–" for one in group)
        lines.append(f"| {group[0]['noise']} | {warned} of {len(group)} images | {group[0]['found']} |")
    return "\n".join(lines)
