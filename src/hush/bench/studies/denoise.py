"""Study: scores of denoised images."""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from hush.bench.peers import run_peer
from hush.bench.tables import difference, groups
from hush.core import registry
from hush.core.errors import HushError
from hush.core.image import Image
from hush.core.metrics import fit_gain, psnr
from hush.datasets.recipes import Item
from hush.estimation.report import together
from hush.methods._base import Result
from hush.noise import parse
from hush.pretrained.analyze import analyze

Row = dict[str, Any]


def row(item: Item, method: Row, recipe: Row) -> Row:
    """Run one method, of hush or a peer, and score its float output."""
    settings = {key: _known(value, item) for key, value in method["settings"].items()}
    begun = time.perf_counter()
    notes: Row = {}
    try:
        if "peer" in method:
            clean = run_peer(method["peer"], item.noisy, settings)
        else:
            result = _own(method["name"], item, settings)
            clean, notes = result.image.data, {k: result.info[k] for k in ("chosen",) if k in result.info}
    except (HushError, ImportError) as error:
        return {"error": str(error)}
    seconds = time.perf_counter() - begun
    row: Row = {"psnr": psnr(clean, item.clean, item.peak), "ssim": item.ssim(clean)}
    if item.fit_gain:
        row["psnr_fitted"] = psnr(fit_gain(clean, item.clean)[0], item.clean, item.peak)
    return row | notes | {"seconds": round(seconds, 4), "picture": clean}


def _own(name: str, item: Item, settings: Row) -> Result:
    image = item.as_image()
    kind = registry.get("methods", name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if kind.needs != "noisy" and "simulate" not in settings:  # a bound: it learns from the reference itself
            noise = together(analyze(image).channels)
            model = kind(**settings, simulate=str(noise)).fit([Image(item.clean, image.axes)])
        else:
            model = kind(**settings).fit([image])
        result: Result = model.run(image)
        return result


def _known(value: Any, item: Item) -> Any:
    if value != "known":
        return value
    model = parse(item.noise.removesuffix(" (8 bit)")).draw(np.random.default_rng(0))
    return float(model.parameters["sigma"])


def table(rows: Sequence[Row], recipe: Row) -> str:
    """Mean PSNR and SSIM, median seconds, and paired differences to the baseline with their 95 % interval."""
    lines = ["| data | noise | method | n | PSNR | SSIM | seconds | against baseline |", "| --- " * 8 + "|"]
    for group in groups(rows, "data", "noise"):
        methods = list(dict.fromkeys(row["method"] for row in group))
        score = "psnr_fitted" if any("psnr_fitted" in row for row in group) else "psnr"
        of = {m: {(r["image"], r["seed"]): r for r in group if r["method"] == m and "error" not in r} for m in methods}
        base = of.get(recipe.get("baseline", ""), {})
        for method in methods:
            mine = list(of[method].values())
            if not mine:
                continue
            paired = [of[method][k][score] - base[k][score] for k in of[method] if k in base]
            against = difference(paired) if method != recipe.get("baseline") else "baseline"
            mean = [np.mean([r[key] for r in mine if r[key] is not None]) for key in (score, "ssim")]
            lines.append(
                f"| {mine[0]['data']} | {mine[0]['noise']} | {method} | {len(mine)} | {mean[0]:.2f} | {mean[1]:.4f} | "
                f"{np.median([r['seconds'] for r in mine]):.3g} | {against} |"
            )
    return "\n".join(lines)
