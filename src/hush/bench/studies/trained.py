"""Study: methods that learn from a collection, trained once for a data set, noise and seed, then tested."""

from __future__ import annotations

import hashlib
import json
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hush.bench.peers import run_peer
from hush.bench.tables import difference, groups
from hush.core import files, registry
from hush.core.errors import HushError, HushWarning
from hush.core.image import Image
from hush.core.metrics import psnr
from hush.datasets.recipes import Item, frozen_noise, pictures
from hush.methods._learned import NetDenoiser
from hush.methods._model_file import load, save_model

EQUAL = 0.05  # dB: smaller differences count as none


Row = dict[str, Any]


def row(item: Item, method: Row, recipe: Row) -> Row:
    """Score one method on one test image; it is trained before, unless that was done."""
    if "peer" in method:
        clean = run_peer(method["peer"], item.noisy, method["settings"])
        return {"psnr": psnr(clean, item.clean, item.peak), "ssim": item.ssim(clean), "picture": clean}
    model, notes = _model(item, method, recipe)
    begun = time.perf_counter()
    result = model.run(item.as_image())
    clean = result.image.data
    row: Row = {"psnr": psnr(clean, item.clean, item.peak), "ssim": item.ssim(clean)}
    row |= {"seconds": round(time.perf_counter() - begun, 3)} | notes
    if result.std is not None:
        away = np.abs(clean - item.clean) / np.maximum(result.std.data, 1e-6)
        row |= {"inside_1": float((away < 1).mean()), "inside_2": float((away < 2).mean())}
    return row | {"picture": clean}


def _model(item: Item, method: Row, recipe: Row) -> tuple[NetDenoiser, Row]:
    """The trained model, from the results' folder or trained now; and what is noted about its training."""
    settings = _told(method["settings"], item) | {"seed": item.seed}
    said = [method["name"], settings, item.data, item.spec, item.noise, recipe["here"]["limits"], method.get("begin")]
    key = hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:12]
    folder: Path = recipe["here"]["out"] / "models"
    path = folder / f"{method['label'].replace(' ', '-')}-{key}.hush"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        _train(method, settings, item, recipe, path)
    return load(path), json.loads(path.with_suffix(".json").read_text("utf-8"))


def _told(settings: Row, item: Item) -> Row:
    """Settings in which ``"known"`` stands for the noise of the item."""
    return {key: item.noise if value == "known" else value for key, value in settings.items()}


def _train(method: Row, settings: Row, item: Item, recipe: Row, path: Path) -> None:
    """Train on the data's training images; where the method says so, after (or only) a training on others."""
    begin = method.get("begin", {})
    if "train" not in item.spec:
        raise HushError(f"the data {item.data} says nothing to train on: give it train = {{ files = ... }}")
    start = None
    if begin:
        before = settings | _told(begin.get("settings", {}), item)
        before |= {key: value for key, value in recipe["here"]["limits"].items() if key == "steps"}
        model = registry.get("methods", method["name"])(**before)
        start = model.fit(_images(item, recipe, "pretrain"))
    if begin.get("only"):
        model, seconds, warned = start, 0.0, []
    else:
        fresh = not item.spec["train"].get("frozen")
        model = registry.get("methods", method["name"])(**settings | ({"simulate": item.noise} if fresh else {}))
        begun = time.perf_counter()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", HushWarning)
            images = _images(item, recipe, "train")
            model.fit(images, checkpoint=path.with_suffix(".partial"), resume=True, start=start)
        seconds = time.perf_counter() - begun
        warned = [str(one.message) for one in caught if issubclass(one.category, HushWarning)]
    notes = {
        "training_seconds": round(seconds, 1),
        "training_pixels": int(model.history_[0].step * model.batch * model.patch**2) if seconds else 0,
        "noise_used": [str(noise) for noise in getattr(model, "used_noise", [])],
        "warned": warned,
    }
    files.write_text(path.with_suffix(".json"), json.dumps(notes))
    save_model(model, path, overwrite=True)
    path.with_suffix(".partial").unlink(missing_ok=True)


def _images(item: Item, recipe: Row, part: str) -> list[Image]:
    """The images to train on, clean, or with one frozen draw each, as if nobody had the clean ones."""
    data = item.spec[part]
    kinds = {key: item.spec[key] for key in ("grey", "copies") if key in item.spec}
    limits = {"images": 8} if recipe["here"]["limits"].get("steps", 100) < 10 else {}
    axes = item.as_image().axes
    source = pictures({"name": item.data} | data | kinds, recipe["here"]["data"], limits)
    images = [Image(clean, axes, meta={"name": stem}) for stem, clean, _ in source]
    if not data.get("frozen"):
        return images
    return [
        Image(frozen_noise(image.data, item.noise, f"train/{image.meta['name']}", item.seed, item.peak), axes)
        for image in images
    ]


def table(rows: Sequence[Row], recipe: Row) -> str:
    """Mean PSNR and SSIM, spread over seeds, differences to the baseline by pairs, coverage of the deviations."""
    lines = [
        "| data | noise | method | images x seeds | PSNR | seeds' spread | SSIM | against baseline "
        "| inside 1, 2 deviations | training (Mpixel, s) |",
        "| --- " * 10 + "|",
    ]
    for group in groups(rows, "data", "noise"):
        of: dict[str, dict[Any, Row]] = {}
        for row in group:
            of.setdefault(row["method"], {})[row["image"], row["seed"]] = row
        base = of.get(recipe.get("baseline", ""), {})
        for method, mine in of.items():
            scores = [row["psnr"] for row in mine.values()]
            seeds = [np.mean([row["psnr"] for row in one]) for one in groups(list(mine.values()), "seed")]
            paired = [row["psnr"] - base[key]["psnr"] for key, row in mine.items() if key in base]
            against = "baseline" if mine is base else difference(paired)
            if mine is not base and paired and abs(np.mean(paired)) < EQUAL:
                against += " (equal)"
            first = next(iter(mine.values()))
            covered = [np.mean([row[f"inside_{n}"] for row in mine.values()]) for n in (1, 2) if f"inside_{n}" in first]
            training = "–"
            if "training_seconds" in first:
                seconds = np.median([row["training_seconds"] for row in mine.values()])
                training = f"{first['training_pixels'] / 1e6:.1f}, {seconds:.0f}"
            lines.append(
                f"| {group[0]['data']} | {group[0]['noise']} | {method} | {len(mine)} | {np.mean(scores):.2f} | "
                f"{np.ptp(seeds):.2f} | {np.mean([row['ssim'] for row in mine.values()]):.4f} | {against} | "
                f"{', '.join(f'{value:.1%}' for value in covered) or '–'} | {training} |"
            )
    warned = {text for row in rows for text in row.get("warned") or []}
    return "\n".join([*lines, *(f"\nWarned while training: {text}." for text in sorted(warned)[:4])])
