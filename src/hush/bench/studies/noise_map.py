"""Study: noise whose level changes from place to place, with one level and with a map of it."""

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
from hush.bench.studies import trained
from hush.core import files, registry
from hush.core.errors import HushError
from hush.core.image import Array, Image
from hush.core.metrics import psnr
from hush.datasets.recipes import Item, frozen_noise, pictures
from hush.methods._base import Denoiser, Result
from hush.methods._model_file import load, save_model
from hush.methods.ssdn import SSDN
from hush.noise import parse

FEW_STEPS = 10  # with fewer a recipe is only tried out, on few images

Row = dict[str, Any]


def row(item: Item, method: Row, recipe: Row) -> Row:
    """Score one method on one image; what learns from a collection is trained before, unless that was done.

    Of the settings ``noise_map = "true"`` stands for the standard deviations with which the noise was drawn, and
    ``noise = "mean"`` for one level of the same mean variance.
    """
    if "peer" in method:
        clean = run_peer(method["peer"], item.noisy, method["settings"])
        return {"psnr": psnr(clean, item.clean, item.peak), "ssim": item.ssim(clean), "picture": clean}
    model, notes = _model(item, method, recipe)
    result = _run(model, item)
    clean = result.image.data
    scores: Row = {"psnr": psnr(clean, item.clean, item.peak), "ssim": item.ssim(clean)} | notes
    if result.std is not None:
        away = np.abs(clean - item.clean) / np.maximum(result.std.data, 1e-6)
        scores |= {f"inside_{n}": float((away < n).mean()) for n in (1, 2)}
    return scores | {"picture": clean}


def true_map(notation: str, shape: Sequence[int], peak: float) -> Array:
    """Return the standard deviation of a noise at every pixel of a plane (Y, X).

    Raises
    ------
    HushError
        When the noise is no ramp.
    """
    model = parse(notation).scaled(peak / 255).draw(np.random.default_rng(0))
    if not hasattr(model, "levels"):
        raise HushError(f"noise {notation!r} has no map; the study is for ramp")
    levels: Array = model.levels(shape)
    return levels.astype(np.float32)


def _run(model: Denoiser, item: Item) -> Result:
    image = item.as_image()
    std = np.zeros(image.data.shape, np.float32) if model.uncertain else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.run(image, std=std)


def _model(item: Item, method: Row, recipe: Row) -> tuple[Denoiser, Row]:
    """The method ready to run, and what is noted about its training."""
    kind, settings = registry.get("methods", method["name"]), dict(method["settings"])
    if kind.scope == "image":
        own = {name: value for name, value in settings.items() if name not in recipe.get("common", {})}  # of training
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return kind(**own).fit([item.as_image()]), {}
    if settings.get("noise") == "mean":
        settings["noise"] = f"gaussian:sigma={_mean_level(item)!r}"
    settings["seed"] = item.seed
    path = _path(item, method, settings, recipe)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        _train(item, settings, recipe, path)
    model, notes = load(path), json.loads(path.with_suffix(".json").read_text("utf-8"))
    if settings.get("noise_map") == "true":
        assert isinstance(model, SSDN)
        model = model.with_map(true_map(item.noise, item.clean.shape[:2], item.peak))
    return model, notes


def _mean_level(item: Item) -> float:
    """The one level whose variance is the mean of the noise's."""
    return float(np.sqrt(np.mean(true_map(item.noise, item.clean.shape[:2], item.peak).astype(np.float64) ** 2)))


def _path(item: Item, method: Row, settings: Row, recipe: Row) -> Path:
    unseen = {key: value for key, value in settings.items() if key != "noise"}  # images of all sizes share their model
    said = [method["name"], method["label"], unseen, item.data, item.spec, item.noise, recipe["here"]["limits"]]
    key = hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:12]
    folder: Path = recipe["here"]["out"] / "models"
    return folder / f"{method['label'].replace(' ', '-')}-{key}.hush"


def _train(item: Item, settings: Row, recipe: Row, path: Path) -> None:
    """Train SSDN on one noisy draw of each training image, as if nobody had the clean ones."""
    limits = {"images": 4} if recipe["here"]["limits"].get("steps", 100) < FEW_STEPS else {}
    source = pictures({"name": item.data} | item.spec["train"], recipe["here"]["data"], limits)
    images = [
        Image(frozen_noise(clean, item.noise, f"train/{name}", item.seed, item.peak), "YX") for name, clean, _ in source
    ]
    if settings.get("noise_map") == "true":
        maps = [true_map(item.noise, image.data.shape, item.peak) for image in images]
        settings = settings | {"noise_map": maps}
    begun = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = SSDN(**settings).fit(images, checkpoint=path.with_suffix(".partial"), resume=True)
    notes = {
        "training_seconds": round(time.perf_counter() - begun, 1),
        "training_pixels": int(model.history_[0].step * model.batch * model.patch**2),
        "noise_used": [str(noise) for noise in model.used_noise],
    }
    files.write_text(path.with_suffix(".json"), json.dumps(notes))
    save_model(model, path, overwrite=True)
    path.with_suffix(".partial").unlink(missing_ok=True)


def table(rows: Sequence[Row], recipe: Row) -> str:
    """Return the table of trained methods, and which level was found where none was said."""
    used = {row["method"]: row["noise_used"][0] for row in rows if row.get("noise_used", ["None"])[0] != "None"}
    lines = [f"\n{method} used {noise}." for method, noise in used.items()]
    return "\n".join([trained.table(rows, recipe), *lines])
