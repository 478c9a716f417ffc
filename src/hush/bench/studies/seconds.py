"""Study: decibels against seconds, all methods on the same images, each of them told nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hush.bench.studies import _plots, denoise
from hush.bench.tables import difference, groups
from hush.datasets.recipes import Item

FEWER_IMAGES = {"dip": 1, "noise2fast": 3}  # of each data and noise, for methods that take minutes
BASE_METHOD = "bm3d"  # that every image has: what stands in for images that a slow method did not get
PICTURE_FILE = "methods--seconds.png"
LEFT_OUT = "left out: it takes minutes, and has had its images"

Row = dict[str, Any]


def row(item: Item, method: Row, recipe: Row) -> Row:
    """Run one method on an image by itself, unless it is a slow one that has had its images; and draw the plot anew."""
    out: Path = recipe["here"]["out"]
    key = item.key | {"method": method["label"]}
    before = [one for one in _plots.known_rows(out, key)[:-1] if "error" not in one]
    mine = [one for one in before if all(one[name] == key[name] for name in ("data", "noise", "method"))]
    if len(mine) >= FEWER_IMAGES.get(method.get("name", ""), len(mine) + 1):
        return {"error": LEFT_OUT}
    made = denoise.row(item, method, recipe)
    if "error" not in made and "peer" not in method:
        page = plot([*before, key | {name: value for name, value in made.items() if name != "picture"}])
        if page is not None:
            _plots.save(page, out / "pictures" / PICTURE_FILE)
    return made


def plot(rows: Sequence[Row]) -> Any:
    """Draw all methods that have every data and noise so far; None as long as there are none."""
    found = summary(rows)
    every = max((len(one["gains"]) for one in found.values()), default=0)
    points = {name: (one["seconds"], one["gain"]) for name, one in found.items() if len(one["gains"]) == every}
    return _plots.scatter(points, "mean gain over the noisy image, dB") if points else None


def summary(rows: Sequence[Row]) -> dict[str, Row]:
    """Return for each method its seconds, its gains by data and noise, and their mean.

    The gain is a mean over all images that the baseline has: for a method that had fewer, it is the baseline's, and the
    mean of their difference on the images that it had.

    Returns
    -------
    dict
        By method: ``seconds`` (the median), ``n``, ``gains`` by (data, noise), ``against`` (differences to the
        baseline), ``gain``; best first.
    """
    good = [one for one in rows if "error" not in one and one.get("psnr") is not None]
    found: dict[str, Row] = {}
    for group in groups(good, "data", "noise"):
        score = "psnr_fitted" if any("psnr_fitted" in one for one in group) else "psnr"
        of = {str(mine[0]["method"]): {(r["image"], r["seed"]): r for r in mine} for mine in groups(group, "method")}
        noisy, base = of.get("noisy", {}), of.get(BASE_METHOD, {})
        for method, mine in of.items():
            if method == "noisy":
                continue
            entry = found.setdefault(method, {"times": [], "gains": {}, "against": [], "n": 0})
            own = [one[score] - noisy[key][score] for key, one in mine.items() if key in noisy]
            apart = [one[score] - base[key][score] for key, one in mine.items() if key in base]
            whole = [one[score] - noisy[key][score] for key, one in base.items() if key in noisy]
            if not own:
                continue
            gain = np.mean(whole) + np.mean(apart) if apart and whole else np.mean(own)
            entry["gains"][group[0]["data"], group[0]["noise"]] = float(gain)
            entry["times"] += [one["seconds"] for one in mine.values()]
            entry["against"] += apart
            entry["n"] += len(own)
    known = {name: one for name, one in found.items() if one["gains"]}
    for one in known.values():
        one |= {
            "seconds": max(float(np.median(one.pop("times"))), 1e-3),
            "gain": float(np.mean(list(one["gains"].values()))),
        }
    return dict(sorted(known.items(), key=lambda item: -item[1]["gain"]))


def table(rows: Sequence[Row], recipe: Row) -> str:
    """Seconds and gains, the best first, and the paired difference to BM3D."""
    found = summary(rows)
    kinds = list(dict.fromkeys(kind for one in found.values() for kind in one["gains"]))
    heads = " | ".join(f"{data}, {noise}" for data, noise in kinds)
    lines = [
        f"| method | n | seconds an image | mean gain, dB | {heads} | against {BASE_METHOD} |",
        "| --- " * (5 + len(kinds)) + "|",
    ]
    for method, one in found.items():
        gains = " | ".join(f"{one['gains'][kind]:+.2f}" if kind in one["gains"] else "–" for kind in kinds)
        against = "baseline" if method == BASE_METHOD else difference(one["against"])
        lines.append(f"| {method} | {one['n']} | {one['seconds']:.3g} | {one['gain']:+.2f} | {gains} | {against} |")
    others = [one for one in rows if one.get("error") and one["error"] != LEFT_OUT]
    lines += dict.fromkeys(f"\nNot run: {one['method']} ({one['error'].partition(':')[0]})." for one in others)
    return "\n".join(lines)
