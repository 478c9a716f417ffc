"""Study: noises that lie over each other; how scores spread, and whether the right noises are found in their order."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hush.bench import boxes
from hush.bench.peers import run_peer
from hush.bench.tables import groups
from hush.core import files, registry
from hush.core.errors import HushError
from hush.core.image import Array
from hush.core.metrics import psnr
from hush.datasets.recipes import Item, drawn_noise
from hush.noise import NoiseModel, parse
from hush.pretrained.noisebreaker import denoisers
from hush.pretrained.noisebreaker.classes import NoiseClass, classes

PUBLISHED_NOISE = "gaussian:sigma=0..55 + bernoulli:p=0..0.2"
# what the paper says of its figure 4: (method, against which, dB, SSIM in percent)
PUBLISHED = (
    ("noisebreaker", "noisy", "+11", "–"),
    ("noisebreaker", "end-to-end", "-3", "–"),
    ("noisebreaker", "n2v", "-0.6", "+4 %"),
    ("noisebreaker-p", "noisebreaker", "+0.7", "+7 %"),
)
PUBLISHED_SPREAD = "-41 %"  # of noisebreaker-p against noisebreaker
SCORES = {"psnr": "PSNR, dB", "ssim": "SSIM"}
UNCHANGED_DB = 99.0  # of a clean image that comes back as it was

Row = dict[str, Any]


def row(item: Item, method: Row, recipe: Row) -> Row:
    """Run one method, score its float output, and note which noises there were and which were found."""
    made: Row = {"true": None, "found": None}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            truth = true_classes(item)
            made["true"] = None if truth is None else [one.name for one in truth]
            settings = {name: _given(value, truth) for name, value in method["settings"].items()}
            begun = time.perf_counter()
            clean, listed = _run(item, method, settings)
        except HushError as error:
            return made | {"error": str(error)}
    made |= {"seconds": round(time.perf_counter() - begun, 4), "found": None if "classes" in settings else listed}
    made |= {"psnr": min(psnr(clean, item.clean, item.peak), UNCHANGED_DB), "ssim": item.ssim(clean)}
    if "here" in recipe:
        _draw(recipe["here"]["out"], item.key | {"method": method["label"]} | made)
    return made | {"picture": clean}


def _run(item: Item, method: Row, settings: Row) -> tuple[Array, list[str] | None]:
    """What a method makes of the noisy image, and which noises it lists, the first that it removed first."""
    if method.get("peer") == denoisers.END_TO_END:
        return denoisers.remove(item.noisy[None], denoisers.END_TO_END, 0.0)[0], None
    if "peer" in method:
        return run_peer(method["peer"], item.noisy, settings), None
    result = registry.get("methods", method["name"])(**settings).fit([item.as_image()]).run(item.as_image())
    listed = result.info.get("noises")
    return result.image.data, None if listed is None else [one["class"] for one in listed]


def _given(value: Any, truth: Sequence[NoiseClass] | None) -> Any:
    """A setting, in which ``"known"`` stands for the classes of the noise that was drawn."""
    if value != "known":
        return value
    if not truth:
        raise HushError("what was drawn is no sequence of classes, or none: nothing can be given")
    return ",".join(one.name for one in truth)


# What was drawn ------------------------------------------------------------------------------------------------------


def drawn(item: Item) -> NoiseModel:
    """Return the noise that `hush.datasets.recipes.frozen_noise` drew for an image."""
    return drawn_noise(item.noise, f"{item.data}/{item.image}", item.seed, item.peak)[0]


def true_classes(item: Item) -> list[NoiseClass] | None:
    """Return the classes of the noises of an image, in the order in which they were applied.

    Returns
    -------
    list of NoiseClass, or None
        Empty of a clean image; None where they are no sequence, or one of them is of no class.

    Examples
    --------
    >>> still = np.full((8, 8), 100, np.float32)
    >>> one = Item("a", "b", "gaussian:sigma=40 + bernoulli:p=0.1", 0, still, still, 255.0, False)
    >>> [each.name for each in true_classes(one)]
    ['gaussian-strong', 'bernoulli']
    """
    if item.noise in ("real", "clean"):
        return None
    terms = parse(str(drawn(item))).terms
    found = [_class_of(name, dict(given), item.peak / 255) for name, given in terms[0][1]]
    if len(terms) > 1 or any(one is None for one in found):
        return None
    return [one for one in found if one is not None and one.noise is not None]


def _class_of(name: str, given: Mapping[str, float], unit: float) -> NoiseClass | None:
    """The class of one noise; of several that hold its level the first, of none the nearest."""
    table = classes()
    same = [one for one in table if _type(one) == name]
    if not same:
        return None
    level = float(given[str(same[0].level)])
    if same[0].level not in ("p", "photons"):
        level /= unit
    if level == 0:
        return next(one for one in table if one.noise is None)
    return min(same, key=lambda one: max(one.limits[0] - level, level - one.limits[1], 0.0))


def _type(one: NoiseClass) -> str:
    """The type of a class's noise; of the clean one ``clean``."""
    return one.name if one.noise is None else one.noise.terms[0][1][0][0]


# Pictures and tables -------------------------------------------------------------------------------------------------


def _draw(out: Path, made: Row) -> None:
    """Draw the scores of one data set and noise again, with those that are on disk already."""
    kept = out / "rows.jsonl"
    known = [_read(line) for line in kept.read_text("utf-8").splitlines()] if kept.exists() else []
    same = [one for one in [*known, made] if all(one.get(key) == made[key] for key in ("data", "noise"))]
    safe = "".join(c if c.isalnum() else "_" for c in f"{made['data']}_{made['noise']}")
    (out / "pictures").mkdir(parents=True, exist_ok=True)
    for score, title in SCORES.items():
        values = {str(group[0]["method"]): [one[score] for one in group] for group in _by_method(same)}
        with files.replacing(out / "pictures" / f"{safe}_scores--{score}.png") as hidden:
            boxes.draw(values, title).save(hidden)


def _read(line: str) -> Row:
    try:
        return dict(json.loads(line))
    except json.JSONDecodeError:  # the line at which a run was killed
        return {}


def _by_method(rows: Sequence[Row]) -> list[list[Row]]:
    """The rows of each method that have scores."""
    return groups([one for one in rows if one.get("psnr") is not None and one.get("ssim") is not None], "method")


def table(rows: Sequence[Row], recipe: Row) -> str:
    """Return the scores, what the paper says of them, how often the noises were found, and what could not be run."""
    return "\n".join([*_scores(rows), *_published(rows), *_noises(rows), *_failed(rows)])


def _scores(rows: Sequence[Row]) -> list[str]:
    """Means and quantiles of PSNR and SSIM, the mean gain over the noisy image, median seconds."""
    shares = " | ".join(f"{share:.0%}" for share in boxes.SHOWN_QUANTILES)
    lines = [
        f"| data | noise | method | n | PSNR | {shares} | gain | SSIM | {shares} | median seconds |",
        "| --- " * 18 + "|",
    ]
    for group in groups(rows, "data", "noise"):
        noisy = {_key(one): one["psnr"] for one in group if one["method"] == "noisy"}
        for mine in _by_method(group):
            gain = [one["psnr"] - noisy[_key(one)] for one in mine if noisy.get(_key(one), UNCHANGED_DB) < UNCHANGED_DB]
            cells = [
                _spread([one["psnr"] for one in mine], 2), f"{np.mean(gain):+.2f}" if gain else "–",
                _spread([one["ssim"] for one in mine], 3), f"{np.median([one['seconds'] for one in mine]):.3g}",
            ]  # fmt: skip
            first = mine[0]
            lines.append(
                f"| {first['data']} | {_named(first)} | {first['method']} | {len(mine)} | {' | '.join(cells)} |"
            )
    return lines


def _named(one: Row) -> str:
    """The noise of a row, as a cell of a table can hold it."""
    return str(one["noise"]).replace("|", "¦")


def _key(one: Row) -> tuple[Any, ...]:
    return one["image"], one["seed"]


def _spread(values: Sequence[float], digits: int) -> str:
    """The cells of a mean and of the quantiles."""
    return " | ".join(f"{value:.{digits}f}" for value in (np.mean(values), *boxes.quantiles(values)))


def _published(rows: Sequence[Row]) -> list[str]:
    """Differences of methods here, beside those of the paper; SSIM in percent of the other's mean."""
    of = {str(group[0]["method"]): group for group in _by_method([r for r in rows if r["noise"] == PUBLISHED_NOISE])}
    lines = []
    for name, other, decibel, similarity in PUBLISHED:
        if name in of and other in of:
            mine, theirs = _means(of[name]), _means(of[other])
            lines.append(
                f"| {name} against {other} | {mine[0] - theirs[0]:+.1f} | {decibel} | {mine[1] / theirs[1] - 1:+.0%} | "
                f"{similarity} |"
            )
    if {"noisebreaker", "noisebreaker-p"} <= set(of):
        ends = [boxes.quantiles([one["psnr"] for one in of[name]]) for name in ("noisebreaker-p", "noisebreaker")]
        widths = [each[-1] - each[0] for each in ends]
        lines.append(f"| the same two, from 10 to 90 % | {_share(*widths)} | {PUBLISHED_SPREAD} | – | – |")
    head = ["", "| difference of means | PSNR here | in the paper | SSIM here | in the paper |", "| --- " * 5 + "|"]
    return head + lines if lines else []


def _means(rows: Sequence[Row]) -> list[float]:
    return [float(np.mean([one[score] for one in rows])) for score in SCORES]


def _share(one: float, other: float) -> str:
    return f"{one / other - 1:+.0%}" if other > 0 else "–"


def _noises(rows: Sequence[Row]) -> list[str]:
    """How often a list of noises is that of what was drawn: its classes, its types in order, its types."""
    told = [one for one in rows if one.get("found") is not None and one.get("true") is not None]
    if not told:
        return []
    lines = ["", "| noises found in | by | n | right classes | right types in order | right types | first right type |",
             "| --- " * 7 + "|"]  # fmt: skip
    for group in groups(told, "noise", "method"):
        right = np.mean([found_right(one["true"], one["found"]) for one in group], 0)
        cells = " | ".join(f"{share:.0%}" for share in right)
        lines.append(f"| {_named(group[0])} | {group[0]['method']} | {len(group)} | {cells} |")
    return lines


def found_right(true: Sequence[str], found: Sequence[str]) -> tuple[bool, bool, bool, bool]:
    """Tell whether a list of classes is right: what was applied last is found first.

    Parameters
    ----------
    true : sequence of str
        Names of classes in the order in which they were applied.
    found : sequence of str
        Names in the order in which they were removed.

    Returns
    -------
    tuple of bool
        Whether all classes are right; their types, in order; their types in any order, each as often as may be; the
        type of the first.

    Examples
    --------
    >>> found_right(["gaussian-weak", "bernoulli"], ["bernoulli", "gaussian-medium"])
    (False, True, True, True)
    """
    type_of = {one.name: _type(one) for one in classes()}
    last_first = list(reversed(true))
    types, other = ([type_of.get(name, name) for name in names] for names in (last_first, found))
    return last_first == list(found), types == other, set(types) == set(other), types[:1] == other[:1]


def _failed(rows: Sequence[Row]) -> list[str]:
    """Say which methods could not be run, and why."""
    lines = []
    for group in groups([one for one in rows if one.get("error")], "method", "error"):
        reason = group[0]["error"].partition(":")[0]  # what follows may name a folder
        lines.append(f"\nNot run: {group[0]['method']} on {len(group)} images: {reason}.")
    return lines
