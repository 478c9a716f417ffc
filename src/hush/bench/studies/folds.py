"""Study: k-fold cross-validation. Each image is tested once, by a model that learned from the other folds."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hush.bench.peers import run_peer
from hush.bench.tables import difference, groups
from hush.core import registry
from hush.core.errors import HushError, HushWarning
from hush.core.image import Array, Image
from hush.core.metrics import scores
from hush.datasets.recipes import Item, items, pictures
from hush.methods._learned import NetDenoiser
from hush.methods._model_file import load, save_model
from hush.training.folds import cross_validate, divide

FOLDS = 5  # or as many as there are images
FEW = 8  # images to begin with, in a smoke run
SCORED = ("psnr", "ssim", "rmse")

Row = dict[str, Any]


def row(item: Item, method: Row, recipe: Row) -> Row:
    """Return the scores of one image: of the model that has not seen it, or of a method that learns from none."""
    together = _all_of(item, recipe)
    names = [one.image for one in together]
    folds = divide(names, min(FOLDS, len(names)), item.seed)
    fold = next(number for number, places in enumerate(folds, 1) if names.index(item.image) in places)
    if "peer" in method:
        return {"fold": fold} | _scored(run_peer(method["peer"], item.noisy, method["settings"]), item)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HushWarning)
        start = _begun(item, method, recipe) if "begin" in method else None
        if start is not None and method["begin"].get("only"):
            return {"fold": fold} | _scored(start.run(item.as_image()).image.data, item)
        found = _cross_validated(together, method, recipe, start, len(folds))
    mine = next(one for one in found[fold - 1]["files"] if one["name"] == item.image)
    return {"fold": fold, "steps": found[fold - 1]["steps"]} | {name: mine[name] for name in SCORED}


def _scored(clean: Array, item: Item) -> Row:
    axes = item.as_image().axes
    found = scores(Image(clean, axes), Image(item.clean, axes), peak=item.peak, fit=item.fit_gain)
    return {name: found[name] for name in SCORED} | {"picture": clean}


def _all_of(item: Item, recipe: Row) -> list[Item]:
    """The images of the same data, noise and seed, in the order of the recipe; kept for the next row of them."""
    here, key = recipe["here"], [item.data, item.noise, item.seed]
    if here.get("together", [None])[0] == key:
        return list(here["together"][1])
    limits = {name: value for name, value in here["limits"].items() if name != "seeds"}
    notation = item.noise.removesuffix(" (8 bit)")
    noises = [one for one in recipe.get("noise", []) if one["notation"] == notation]
    alone = {"data": [item.spec], "noise": noises, "seeds": [item.seed], "scale": {"this": limits}}
    found = [one for one in items(alone, "this", here["data"]) if one.noise == item.noise]
    here["together"] = [key, found]
    return found


def _cross_validated(
    together: Sequence[Item], method: Row, recipe: Row, start: NetDenoiser | None, folds: int
) -> list[Row]:
    """The folds of a method on one data set, from the results' folder or made now."""
    first = together[0]
    model: NetDenoiser = registry.get("methods", method["name"])(**_told(method["settings"], first), seed=first.seed)
    if model.needs == "noisy pairs":
        raise HushError(f"{model.method} needs a second noisy image, and a study of folds has one of each")
    path = _kept([method, first.key, first.spec, recipe["here"]["limits"]], method["label"], recipe).with_suffix(
        ".folds"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    axes = first.as_image().axes
    noisy = [Image(one.noisy, axes, meta={"name": one.image}) for one in together]
    clean = [Image(one.clean, axes, meta={"name": one.image}) for one in together]
    names = [one.image for one in together]
    how: Row = {"groups": names, "peak": first.peak, "fit_gain": first.fit_gain, "start": start}
    found = cross_validate(model, noisy, clean, folds=folds, seed=first.seed, checkpoint=path, resume=True, **how)
    return found.rows


def _begun(item: Item, method: Row, recipe: Row) -> NetDenoiser:
    """The model that a training begins with, from the results' folder or trained now on the data's others."""
    begin = method["begin"]
    if "pretrain" not in item.spec:
        raise HushError(f"the data {item.data} says nothing to begin with: give it pretrain = {{ files = ... }}")
    limits = {name: value for name, value in recipe["here"]["limits"].items() if name == "steps"}
    settings = _told(method["settings"] | begin.get("settings", {}) | limits, item) | {"seed": item.seed}
    spec = {"name": "photographs", **item.spec["pretrain"]}
    path = _kept([method["name"], settings, spec], f"begin-{method['label']}", recipe)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        few = {"images": FEW} if limits.get("steps", 100) < 10 else {}
        images = [Image(clean, "YX", meta={"name": name}) for name, clean, _ in
                  pictures(spec, recipe["here"]["data"], few)]  # fmt: skip
        partial = path.with_suffix(".partial")
        model = registry.get("methods", method["name"])(**settings)
        save_model(model.fit(images, checkpoint=partial, resume=True), path)
        partial.unlink(missing_ok=True)
    return load(path)


def _kept(said: Sequence[Any], label: str, recipe: Row) -> Path:
    """Where a model is kept, by all that it depends on."""
    key = hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:12]
    folder: Path = recipe["here"]["out"] / "models"
    return folder / f"{''.join(c if c.isalnum() else '-' for c in label)}-{key}.hush"


def _told(settings: Row, item: Item) -> Row:
    """Settings in which ``"known"`` stands for the noise of the item."""
    return {key: item.noise if value == "known" else value for key, value in settings.items()}


def table(rows: Sequence[Row], recipe: Row) -> str:
    """Mean of the folds and their standard deviation, and differences to the baseline by pairs of images."""
    lines = [
        "| data | noise | method | images | folds | PSNR | SSIM | RMSE | against baseline, dB |",
        "| --- " * 9 + "|",
    ]
    for group in groups(rows, "data", "noise"):
        of: dict[str, dict[Any, Row]] = {}
        for one in group:
            of.setdefault(one["method"], {})[one["image"], one["seed"]] = one
        base = of.get(recipe.get("baseline", ""), {})
        for method, mine in of.items():
            folds = groups(list(mine.values()), "seed", "fold")
            figures = [_spread(folds, name, digits) for name, digits in (("psnr", 2), ("ssim", 4), ("rmse", 2))]
            paired = [one["psnr"] - base[key]["psnr"] for key, one in mine.items() if key in base]
            against = "baseline" if mine is base else difference(paired) if paired else "–"
            lines.append(
                f"| {group[0]['data']} | {group[0]['noise']} | {method} | {len(mine)} | {len(folds)} | "
                f"{' | '.join(figures)} | {against} |"
            )
    fitted = any(data.get("fit_gain") for data in recipe.get("data", []))
    return "\n".join([*lines, *(["\nReal images are scored after a fit of gain and offset."] if fitted else [])])


def _spread(folds: Sequence[Sequence[Row]], name: str, digits: int) -> str:
    """The mean over folds and its standard deviation between them."""
    means = [float(np.mean([one[name] for one in fold])) for fold in folds]
    spread = f" ± {np.std(means, ddof=1):.{digits}f}" if len(means) > 1 else ""
    return f"{np.mean(means):.{digits}f}{spread}"
