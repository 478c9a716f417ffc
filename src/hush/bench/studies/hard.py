"""Study: what is harmed, and what is gained, on images of kinds that no network has seen."""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from hush.bench.tables import groups
from hush.core import registry
from hush.core.errors import HushError
from hush.core.metrics import psnr
from hush.datasets import hard
from hush.datasets.recipes import Item
from hush.noise import parse

HARM_DB = 0.05  # below the input, from which on a result counts as harm
CHANGED = 0.1  # grey levels (1/255 of the peak), root mean square, of a clean image from which on it counts as changed
WORTH_DB = 1.0  # that BM3D given the noise must gain for its gain to be compared with
ENOUGH_GAIN = 0.5  # of that gain, which is asked for

Row = dict[str, Any]


def row(item: Item, method: Row, recipe: Row) -> Row:
    """Run one method on an image as its file holds it, and score what would be written."""
    begun = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            settings = {
                name: true_noise(item) if given == "known" else given for name, given in method["settings"].items()
            }
            model = registry.get("methods", method["name"])(**settings).fit(item.as_image())
            result = model.run(item.as_image())
        except HushError as error:
            return {"error": str(error)}
    seconds = time.perf_counter() - begun
    clean = np.asarray(result.image.data, np.float64)
    away, before = clean - item.clean, np.asarray(item.noisy, np.float64) - item.clean
    noisy = bool(np.any(before))
    scores: Row = {"kind": item.spec.get("kind", item.data), "size": len(clean), "dtype": str(item.noisy.dtype)}
    scores |= {"grey": 255 * float(np.sqrt(np.mean(away**2))) / item.peak, "noisy": noisy}
    if noisy:
        scores |= {"before": psnr(item.noisy, item.clean, item.peak), "after": psnr(clean, item.clean, item.peak)}
    scores |= {key: result.info[key] for key in ("chosen", "reason_code") if key in result.info}
    return scores | {"codes": [one["code"] for one in result.info["warnings"]], "seconds": round(seconds, 3)}


def true_noise(item: Item) -> str:
    """Return the notation of the noise that was put on an image, in its own units.

    Raises
    ------
    HushError
        Where nobody knows it.
    """
    if item.noise in ("real", "clean"):
        raise HushError(f"the noise of {item.image} is not known, or none: nothing can be given")
    if item.noise in hard.NOTATION and item.noise.startswith("photons-"):  # counted from the darkest value
        gain = item.peak / float(item.noise.removeprefix("photons-"))
        return f"poisson_gaussian:gain={gain!r},offset={float(item.clean.min())!r},sigma={1e-6 * item.peak!r}"
    return str(parse(hard.NOTATION.get(item.noise, item.noise)).scaled(item.peak / 255))


def harmed(one: Row) -> bool:
    """Tell whether an image is worse than its input, or was clean and is not any more."""
    return bool(one["after"] < one["before"] - HARM_DB) if one["noisy"] else bool(one["grey"] > CHANGED)


def table(rows: Sequence[Row], recipe: Row) -> str:
    """Return three tables: of all, of kinds and noises, and of every image that is harmed."""
    known = [one for one in rows if "error" not in one]
    auto = [one for one in known if one["method"] != "bm3d"]
    given = {_key(one): one for one in known if one["method"] == "bm3d"}
    lines = [
        "| data | method | noisy | harmed | clean | changed | worth more than 1 dB | at least half of it "
        "| median seconds |",
        "| --- " * 9 + "|",
    ]
    for group in groups(auto, "data", "method"):
        noisy, clean = ([one for one in group if one["noisy"] is which] for which in (True, False))
        worth = [(one, given[_key(one)]) for one in noisy if _key(one) in given and _gain(given[_key(one)]) > WORTH_DB]
        half = [_gain(one) >= ENOUGH_GAIN * _gain(other) for one, other in worth]
        lines.append(
            f"| {group[0]['data']} | {group[0]['method']} | {len(noisy)} | "
            f"{_share(noisy)} | {len(clean)} | {_share(clean)} | {len(worth)} | "
            f"{f'{np.mean(half):.0%}' if half else '–'} | {np.median([one['seconds'] for one in group]):.2g} |"
        )
    lines += [
        "",
        "| kind | noise | method | n | input dB | output dB | BM3D given the noise | harmed | decided |",
        "| --- " * 9 + "|",
    ]
    for group in groups(auto, "kind", "noise", "method"):
        before, after = (_mean([one.get(key) for one in group]) for key in ("before", "after"))
        other = _mean([given[_key(one)].get("after") for one in group if _key(one) in given])
        lines.append(
            f"| {group[0]['kind']} | {group[0]['noise']} | {group[0]['method']} | {len(group)} | "
            f"{before} | {after} | {other} | {sum(map(harmed, group))} | {_decided(group)} |"
        )
    lines += [
        "",
        "| harmed | method | input dB | output dB | changed by grey levels | decided | said |",
        "| --- " * 7 + "|",
    ]
    for one in filter(harmed, auto):
        before, after = (_mean([one.get(key)]) for key in ("before", "after"))
        lines.append(
            f"| {one['data']}: {one['image']}, {one['noise']} | {one['method']} | "
            f"{before} | {after} | {one['grey']:.2f} | {_decided([one])} | {', '.join(one['codes']) or '–'} |"
        )
    return "\n".join(lines)


def _key(one: Row) -> tuple[Any, ...]:
    return one["data"], one["image"], one["noise"], one["seed"]


def _gain(one: Row) -> float:
    return float(one["after"] - one["before"])


def _share(rows: Sequence[Row]) -> str:
    """How many are harmed, and which share."""
    number = sum(map(harmed, rows))
    return f"{number} ({number / len(rows):.1%})" if rows else "–"


def _mean(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None and np.isfinite(value)]
    return f"{np.mean(known):.1f}" if known else "–"


def _decided(rows: Sequence[Row]) -> str:
    """What was chosen and why, most frequent first."""
    said = [f"{one.get('chosen') or 'untouched'} ({one.get('reason_code', '–')})" for one in rows]
    return ", ".join(sorted(set(said), key=lambda text: (-said.count(text), text)))
