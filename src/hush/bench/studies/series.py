"""Study: stacks denoised with and without the planes beside each one: ghosts, and what becomes of flashes."""

from __future__ import annotations

import importlib.util
import time
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import ndimage

from hush.bench.tables import difference, groups
from hush.core import registry
from hush.core.errors import HushError
from hush.core.image import Array, Image
from hush.core.metrics import psnr
from hush.datasets.recipes import Item
from hush.noise import parse

CHANGING = 10.0  # of 255, by which a pixel differs in a frame beside: there ghosts would be seen
FLASHING, LEAST_CELL = 25.0, 20  # of 255, by which a cell grows brighter, and pixels of the smallest that is looked at
SURE_FLASH = 0.03  # of a flash, by which noise may leave its mean over the cell uncertain

Row = dict[str, Any]


def row(item: Item, method: Row, recipe: Row) -> Row:
    """Denoise a stack (Z, Y, X), and score all of it, where it changes from frame to frame, and its flashes.

    It is a series where its name begins with ``series``, else a volume. With ``sigma = "known"`` among its settings a
    method is given the noise.
    """
    axes = "TYX" if item.image.startswith("series") else "ZYX"
    settings = {key: _known(item) if value == "known" else value for key, value in method["settings"].items()}
    begun = time.perf_counter()
    notes: Row = {}
    try:
        if "peer" in method:
            clean = _peer(method["peer"], item)
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                image = Image(item.noisy, axes)
                result = registry.get("methods", method["name"])(**settings, seed=item.seed).fit([image]).run(image)
            clean, notes = result.image.data, {key: result.info[key] for key in ("chosen",) if key in result.info}
    except (HushError, ImportError) as error:
        return {"error": str(error)}
    seconds = time.perf_counter() - begun
    worst = min(psnr(one, two, item.peak) for one, two in zip(clean, item.clean, strict=True))
    made: Row = {"psnr": psnr(clean, item.clean, item.peak), "psnr_worst_plane": worst}
    changing = _changing(item.clean, CHANGING * item.peak / 255)
    if axes == "TYX" and changing.any():
        made["psnr_changing"] = psnr(clean[changing], item.clean[changing], item.peak)
    if "calcium" in item.image:
        kept = flashes_kept(item.clean, clean, FLASHING * item.peak / 255, _known(item))
        made |= {"flash_median": float(np.median(kept)), "flash_worst": min(kept), "flashes": len(kept)} if kept else {}
    return made | notes | {"seconds": round(seconds, 2)}


def _known(item: Item) -> float:
    return float(parse(item.noise).scaled(item.peak / 255).draw(np.random.default_rng(0)).parameters["sigma"])


def _peer(name: str, item: Item) -> Array:
    """The image itself, or BM4D of the package bmnd, where that is installed; it is given the noise."""
    if name == "noisy":
        return item.noisy
    if importlib.util.find_spec(name) is None:
        raise ImportError(f"{name} is not installed: pip install {name}")
    import bmnd

    return np.asarray(bmnd.bmnd(np.asarray(item.noisy, np.float32), bmnd.BM4DProfile(), sigma=_known(item)), np.float32)


def _changing(clean: Array, step: float) -> Array:
    """Where a pixel differs from itself in a frame beside."""
    changes = np.zeros(clean.shape, bool)
    away = np.abs(np.diff(clean, axis=0)) > step
    changes[1:] |= away
    changes[:-1] |= away
    return changes


def flashes_kept(truth: Array, result: Array, step: float, sigma: float = 0.0) -> list[float]:
    """Return for every cell that flashes how much of its largest flash there is in a result: 1 for all of it.

    A cell is what grows brighter by `step` from its median to its brightest frame; a flash is the mean over the cell
    in that frame less its median over time. Flashes that the noise itself leaves uncertain are left out.

    Parameters
    ----------
    truth, result : array, shape (T, Y, X)
    step : float
    sigma : float
        Of the noise.

    Examples
    --------
    >>> truth = np.zeros((5, 32, 32))
    >>> truth[2, 10:20, 10:20] = 100
    >>> flashes_kept(truth, truth / 2, 25.0)
    [0.5]
    """
    cells, count = ndimage.label(truth.max(0) - np.median(truth, 0) > step)
    kept = []
    for number in range(1, count + 1):
        where = cells == number
        if where.sum() < LEAST_CELL:
            continue
        one, other = (stack[:, where].mean(1) for stack in (truth, result))
        at = int(one.argmax())
        flash = one[at] - np.median(one)
        if sigma / np.sqrt(where.sum()) <= SURE_FLASH * flash:
            kept.append(float((other[at] - np.median(other)) / flash))
    return kept


def table(rows: Sequence[Row], recipe: Row) -> str:
    """Mean PSNR, worst plane, where it changes, flashes, median seconds, and paired differences to the baseline."""
    heads = ["data", "noise", "method", "n", "PSNR", "against baseline", "at least", "where it changes", "worst plane",
             "flashes kept (median, worst)", "seconds"]  # fmt: skip
    lines = [f"| {' | '.join(heads)} |", "| --- " * len(heads) + "|"]
    for group in groups(rows, "data", "noise"):
        of: dict[str, dict[Any, Row]] = {}
        for one in group:
            if "error" not in one:
                of.setdefault(one["method"], {})[one["image"], one["seed"]] = one
        base = of.get(recipe.get("baseline", ""), {})
        for method, mine in of.items():
            paired = [mine[key]["psnr"] - base[key]["psnr"] for key in mine if key in base]
            is_base = method == recipe.get("baseline")
            cells = [
                group[0]["data"], group[0]["noise"], method, str(len(mine)), f"{_mean(mine, 'psnr'):.2f}",
                "baseline" if is_base else difference(paired),
                "–" if is_base or not paired else f"{min(paired):+.2f}",
                _dash(mine, "psnr_changing"), _dash(mine, "psnr_worst_plane"), _flashes(mine),
                f"{np.median([one['seconds'] for one in mine.values()]):.3g}",
            ]  # fmt: skip
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _mean(mine: dict[Any, Row], score: str) -> float:
    return float(np.mean([one[score] for one in mine.values() if score in one]))


def _dash(mine: dict[Any, Row], score: str) -> str:
    return f"{_mean(mine, score):.2f}" if any(score in one for one in mine.values()) else "–"


def _flashes(mine: dict[Any, Row]) -> str:
    known = [one for one in mine.values() if "flash_worst" in one]
    if not known:
        return "–"
    return f"{np.median([one['flash_median'] for one in known]):.1%}, {min(one['flash_worst'] for one in known):.1%}"
