"""Study: how near the estimated noise is to the true one, and how often its interval holds it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hush.bench.tables import groups, percent
from hush.core.image import Array, Image
from hush.datasets.recipes import Item
from hush.estimation.analyze import analyze
from hush.estimation.learned import Evidence
from hush.estimation.report import ChannelNoise
from hush.nets._level import QUANTILES
from hush.noise import Noise, NoiseModel, parse
from hush.noise.rician import Rician
from hush.pretrained import level

# what analysis tells from the noise's level
NOT_LEVEL = ("stripes", "chequerboard", "salt_pepper", "impulse", "bernoulli")
WRONG = 0.2  # of the true level, from which on an estimate counts as wrong
LEAST_COVERED = 0.8  # of a row's images whose level an honest interval holds

Row = dict[str, Any]
Floats = NDArray[np.float64]


def row(item: Item, method: Row, recipe: Row) -> Row:
    """Estimate the noise; errors relative to the truth, over the brightnesses that the image has."""
    truth = _true_model(item.noise)
    low, high = (float(end) for end in np.percentile(item.clean, [2, 98]))
    values = np.linspace(low, high, 32)
    variance = truth.moments(values[:, None])[1][:, 0]
    if isinstance(truth, Rician):  # its level is that of the two parts, whatever the brightness
        variance = np.full(len(values), truth.sigma**2)
    true = float(np.sqrt(variance.mean()))
    begun = time.perf_counter()
    if method.get("peer") == "skimage":
        from skimage.restoration import estimate_sigma

        found = float(estimate_sigma(item.noisy))  # type: ignore[no-untyped-call]
        return {"level": true, "found": found, "error": found / true - 1, "seconds": time.perf_counter() - begun}
    one, told = _analysed(item.as_image())
    seconds = time.perf_counter() - begun
    predicted = _variance(one, values)
    found = float(np.sqrt(predicted.mean()))
    row: Row = {"level": true, "found": found, "error": found / true - 1, "seconds": seconds, "white": one.white}
    row |= {"variance_error": float(np.abs(predicted / np.maximum(variance, 1e-9) - 1).mean()), "kind": one.kind}
    at_middle = float(np.sqrt(np.interp(one.middle, values, variance)))
    ends = one.interval.get("level", (0.0, 0.0))
    row |= {"inside": bool(ends[0] <= at_middle <= ends[1])}
    if told is not None:
        row["below"] = [bool(at_middle < quantile) for quantile in told * (ends[1] / told[-1])]
    gain = getattr(truth, "gain", 0.0)
    return row | ({"gain": gain, "gain_error": one.a / gain - 1} if gain else {})


def _true_model(notation: str) -> NoiseModel:
    """The noise without what analysis tells from its level."""
    noise = parse(notation.removesuffix(" (8 bit)"))
    kept = [(share, tuple(step for step in steps if step[0] not in NOT_LEVEL)) for share, steps in noise.terms]
    return Noise(tuple(kept)).draw(np.random.default_rng(0))


def _analysed(image: Image) -> tuple[ChannelNoise, Floats | None]:
    """What analysis finds, and the quantiles of the level that it was told, where it believes them."""
    told: list[Floats | None] = [None]

    def estimator(planes: Sequence[Array], blocks: Evidence) -> Floats | None:
        told.append(level.estimate(planes, blocks))
        return told[-1]

    one = analyze(image, estimator=estimator).channels[0]
    return one, told[-1] if one.learned else None


def _variance(one: ChannelNoise, values: Floats) -> Floats:
    """The variance that was found, at some brightnesses."""
    if one.kind == "rician":
        return np.full(len(values), one.sigma**2)
    if one.kind == "speckle":
        return np.asarray((one.sigma / 255 * values) ** 2)
    return np.maximum(one.a * values + one.b, 0)


def table(rows: Sequence[Row], recipe: Row) -> str:
    """Return the table of levels; where there are intervals, how often they hold the truth; learned quantiles."""
    return "\n".join([*_levels(rows), *_covered(rows), *_reliability(rows)])


def _levels(rows: Sequence[Row]) -> list[str]:
    """Bias, spread and median error of the level; of gain and variance for photon noise; coverage of the interval."""
    lines = [
        "| data | noise | estimator | n | level: bias | spread | median error | median ratio | > 20 % wrong "
        "| gain: median error | variance | inside interval |",
        "| --- " * 12 + "|",
    ]
    for group in groups(rows, "data", "noise", "method"):
        error = np.array([row["error"] for row in group])
        gain = [abs(row["gain_error"]) for row in group if "gain_error" in row]
        line = [row["variance_error"] for row in group if "variance_error" in row]
        inside = _inside(group)
        lines.append(
            f"| {group[0]['data']} | {group[0]['noise']} | {group[0]['method']} | {len(group)} | {error.mean():+.1%} | "
            f"{error.std():.1%} | {np.median(np.abs(error)):.1%} | {1 + np.median(error):.2f} | "
            f"{int((np.abs(error) > WRONG).sum())} | {percent(gain)} | {percent(line)} | "
            f"{f'{np.mean(inside):.0%}' if inside else '–'} |"
        )
    return lines


def _inside(rows: Sequence[Row]) -> list[bool]:
    return [row["inside"] for row in rows if "inside" in row]


def _covered(rows: Sequence[Row]) -> list[str]:
    """Say how often intervals hold the level: of all images, and in which rows too rarely."""
    inside = _inside(rows)
    if not inside:
        return []
    every = groups([row for row in rows if "inside" in row], "data", "noise", "method")
    low = [group for group in every if np.mean(_inside(group)) < LEAST_COVERED]
    text = (
        f"The interval holds the level of {np.mean(inside):.1%} of {len(inside)} images; in {len(low)} of {len(every)} "
    )
    text += f"rows of fewer than {LEAST_COVERED:.0%}"
    names = [f"{group[0]['data']}, {group[0]['noise']}: {np.mean(_inside(group)):.0%}" for group in low]
    return ["", f"{text} ({'; '.join(names)})." if names else f"{text}."]


def _reliability(rows: Sequence[Row]) -> list[str]:
    """Stated against measured: the learned quantiles of the level, and the intervals between them."""
    below = [row["below"] for row in rows if row.get("below")]
    if not below:
        return []
    measured = np.mean(below, 0)
    lines = ["", f"| learned, {len(below)} images | stated | measured |", "| --- " * 3 + "|"]
    lines += [
        f"| level is below the quantile | {stated:.0%} | {share:.1%} |"
        for stated, share in zip(QUANTILES, measured, strict=True)
    ]
    for first in range(len(QUANTILES) // 2):
        stated, share = (each[-1 - first] - each[first] for each in (QUANTILES, measured))
        lines.append(f"| level is in the interval | {stated:.0%} | {share:.1%} |")
    return lines
