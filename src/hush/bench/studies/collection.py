"""Study: methods trained on the slices of volumes, each with noise of its own that stays, tested on other volumes."""

from __future__ import annotations

import hashlib
import json
import time
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as Picture

from hush.bench.peers import run_peer
from hush.bench.studies.volume import FOREGROUND
from hush.bench.tables import difference, groups
from hush.core import files, registry
from hush.core.errors import HushWarning
from hush.core.image import Array, Image
from hush.core.metrics import psnr
from hush.datasets.recipes import Item, frozen_noise, pictures
from hush.methods._base import Denoiser
from hush.methods._learned import NetDenoiser
from hush.methods._model_file import load, save_model
from hush.noise import parse
from hush.noise.rician import Rician

RESIDUAL_SHOWN = 8.0  # times: the residual of a picture is so much stronger than it is
UNTOUCHED = 1e-4  # of the peak: a weaker residual is none

Row = dict[str, Any]


def row(item: Item, method: Row, recipe: Row) -> Row:
    """Score the mean of a method's outputs for `draws` draws of the noise; it is trained before, unless that was done.

    The draws are a setting of the recipe and none of the method: the study on fetal MRI takes the mean of two outputs
    of Noise2Noise. Images that are their own reference have none, and their residual is measured instead.
    """
    settings = dict(method["settings"])
    noisy = [item.noisy, *(_drawn(item, number) for number in range(1, settings.pop("draws", 1)))]
    denoise, notes = _denoiser(item, method, settings, recipe)
    begun = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HushWarning)
        clean = np.mean([denoise(one) for one in noisy], 0, dtype=np.float32)
    made = {"seconds": round(time.perf_counter() - begun, 3)} | notes
    if item.spec.get("reference") == item.spec.get("files", ""):
        _draw(recipe["here"]["out"], item, method["label"], clean)
        return made | _residual(item, clean)
    return made | _scores(item, clean) | {"picture": clean}


def _drawn(item: Item, number: int) -> Array:
    """Another draw of an item's noise, which is as frozen as the first."""
    return frozen_noise(item.clean, item.noise, f"{item.data}/{item.image}/draw {number}", item.seed, item.peak)


def _scores(item: Item, clean: Array) -> Row:
    """PSNR, RMSE in parts of the peak, and PSNR inside, where the clean image is not background."""
    inside = item.clean > FOREGROUND * item.peak
    made: Row = {"psnr": psnr(clean, item.clean, item.peak)}
    made["rmse"] = float(np.sqrt(np.square(clean - item.clean, dtype=np.float64).mean())) / item.peak
    if inside.any():
        made["psnr_inside"] = psnr(clean[inside], item.clean[inside], item.peak)
        if item.noise.startswith("rician:"):
            model = parse(item.noise).draw(np.random.default_rng(0))
            assert isinstance(model, Rician)
            made["psnr_corrected"] = psnr(model.correct(clean[inside]), item.clean[inside], item.peak)
    return made


# Training ------------------------------------------------------------------------------------------------------------


def _denoiser(item: Item, method: Row, settings: Row, recipe: Row) -> tuple[Callable[[Array], Array], Row]:
    """What denoises one image: a peer, a model trained on the collection, or a method that is shown the image alone."""
    if "peer" in method:
        return partial(run_peer, method["peer"], settings=settings), {}
    name, kind = method["name"], registry.get("methods", method["name"])
    settings = settings | {"seed": item.seed}
    if "train" not in item.spec or not issubclass(kind, NetDenoiser) or kind.scope == "image":

        def alone(noisy: Array) -> Array:
            image = Image(noisy, item.as_image().axes)
            return np.asarray(kind(**settings).fit([image]).denoise(image).data)

        return alone, {}

    def train(path: Path) -> tuple[NetDenoiser, Row]:
        images, targets = _volumes(item, kind, recipe)
        model = kind(**settings).fit(images, targets, checkpoint=path.with_suffix(".partial"), resume=True)
        return model, {"training_seconds": round(model.history_[0].seconds, 1), "training_images": _count(images)}

    said = [name, settings, item.spec["train"], item.noise, item.peak, recipe["here"]["limits"]]
    model, notes = kept(recipe["here"]["out"], name, said, train)
    return (lambda noisy: np.asarray(model.denoise(Image(noisy, item.as_image().axes)).data)), notes


def kept(
    out: Path, name: str, said: Sequence[Any], train: Callable[[Path], tuple[NetDenoiser, Row]]
) -> tuple[NetDenoiser, Row]:
    """Return a trained model and what is noted of its training: from the results' folder, or trained now.

    Parameters
    ----------
    out : Path
        Folder of results.
    name : str
        How the file's name begins.
    said : sequence
        All that the weights depend on, plain JSON.
    train : callable
        (file of the model) -> model and notes; may keep the state beside the file, as ``.partial``.
    """
    key = hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:12]
    path = out / "models" / f"{name}-{key}.hush"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", HushWarning)
            model, notes = train(path)
        files.write_json(path.with_suffix(".json"), notes)
        save_model(model, path, overwrite=True)
        path.with_suffix(".partial").unlink(missing_ok=True)
    return load(path), json.loads(path.with_suffix(".json").read_text("utf-8"))


def _volumes(item: Item, kind: type[Denoiser], recipe: Row) -> tuple[list[Image], list[Image] | None]:
    """The volumes to train on, one image each, so that what is held out is a volume and no slice.

    A slice has one frozen draw, and a second one in a T axis for a method that needs pairs.
    """
    data = {"name": item.data, "peak": item.peak} | item.spec["train"]
    slices = list(pictures(data, recipe["here"]["data"], recipe["here"]["limits"]))
    named = [{"volume": name.rpartition("-")[0], "name": name, "values": values} for name, values, _ in slices]
    images, targets = [], []
    for volume in groups(named, "volume"):
        clean = np.stack([one["values"] for one in volume])
        meta = {"name": volume[0]["volume"]}
        targets.append(Image(clean, "ZYX", meta=meta))
        if item.noise == "real":
            images.append(targets[-1])
            continue
        draws = [
            np.stack([frozen_noise(one["values"], item.noise, f"train/{one['name']}/{number}", item.seed, item.peak)
                      for one in volume])
            for number in range(2 if kind.needs == "noisy pairs" else 1)
        ]  # fmt: skip
        images.append(
            Image(np.stack(draws), "TZYX", meta=meta) if len(draws) > 1 else Image(draws[0], "ZYX", meta=meta)
        )
    return images, targets if kind.needs == "noisy and clean" else None


def _count(images: Sequence[Image]) -> int:
    return sum(image.sizes["Z"] for image in images)


# Images without a reference ------------------------------------------------------------------------------------------


def _residual(item: Item, clean: Array) -> Row:
    """What was removed: its standard deviation where there is tissue, and how its neighbours correlate."""
    rest = item.noisy - clean
    inside = item.noisy > FOREGROUND * item.peak
    made: Row = {"removed": float(rest[inside].std()) if inside.any() else 0.0}
    if made["removed"] > UNTOUCHED * item.peak:
        made["lag"] = max(_lag(rest, inside), _lag(rest.T, inside.T))
    return made


def _lag(rest: Array, inside: Array) -> float:
    both = inside[:, 1:] & inside[:, :-1]
    left, right = (part - part.mean() for part in (rest[:, 1:][both], rest[:, :-1][both]))
    return float((left * right).mean() / max(np.sqrt((left**2).mean() * (right**2).mean()), 1e-12))


def _draw(out: Path, item: Item, label: str, clean: Array) -> None:
    """Keep a picture of the slice, of what was made of it, and of its residual, for one slice of each stack."""
    name, method = ("".join(c if c.isalnum() else "_" for c in text) for text in (item.data, label))
    first = out / "pictures" / f"{name}.txt"
    if first.exists() and first.read_text("utf-8") != item.image:
        return
    first.parent.mkdir(parents=True, exist_ok=True)
    files.write_text(first, item.image)
    panels = [item.noisy, clean, item.peak / 2 + RESIDUAL_SHOWN * (item.noisy - clean)]
    grey = np.clip(np.concatenate(panels, 1) * (255 / item.peak) + 0.5, 0, 255).astype(np.uint8)
    with files.replacing(out / "pictures" / f"{name}_noisy_denoised_residual--{method}.png") as hidden:
        Picture.fromarray(grey).save(hidden)


# Tables --------------------------------------------------------------------------------------------------------------


def table(rows: Sequence[Row], recipe: Row) -> str:
    """Means of the scores, paired differences to the baseline; of images without a reference what was removed."""
    scored = [one for one in rows if "psnr" in one]
    real = [one for one in rows if "removed" in one]
    return "\n".join([*(_scored(scored, recipe) if scored else []), *(_removed(real) if real else [])])


def _scored(rows: Sequence[Row], recipe: Row) -> list[str]:
    bias = any("psnr_corrected" in one for one in rows)
    more = " after correction |" if bias else ""
    head = (
        f"| data | noise | method | slices x seeds | PSNR | RMSE | PSNR inside |{more} against baseline | training s |"
    )
    lines = [head, "| --- " * (10 if bias else 9) + "|"]
    for group in groups(rows, "data", "noise"):
        of = {mine[0]["method"]: {(one["image"], one["seed"]): one for one in mine} for mine in groups(group, "method")}
        base = of.get(recipe.get("baseline", ""), {})
        for name, mine in of.items():
            paired = [one["psnr"] - base[key]["psnr"] for key, one in mine.items() if key in base]
            cells = [group[0]["data"], group[0]["noise"], name, str(len(mine)), _mean(mine, "psnr", 2)]
            cells += [_mean(mine, "rmse", 4), _mean(mine, "psnr_inside", 2)]
            cells += [_mean(mine, "psnr_corrected", 2)] if bias else []
            cells += ["baseline" if mine is base else difference(paired), _mean(mine, "training_seconds", 0)]
            lines.append(f"| {' | '.join(cells)} |")
    return lines


def _removed(rows: Sequence[Row]) -> list[str]:
    lines = ["| data | method | slices | removed, of 255 | its lag-one correlation | training s |", "| --- " * 6 + "|"]
    for group in groups(rows, "data", "method"):
        mine = dict(enumerate(group))
        cells = [group[0]["data"], group[0]["method"], str(len(group)), _mean(mine, "removed", 2)]
        lines.append(f"| {' | '.join([*cells, _mean(mine, 'lag', 2), _mean(mine, 'training_seconds', 0)])} |")
    return lines


def _mean(rows: dict[Any, Row], score: str, digits: int) -> str:
    """The mean of a score over the rows that have it, or a dash."""
    values = [one[score] for one in rows.values() if one.get(score) is not None]
    return f"{np.mean(values):.{digits}f}" if values else "–"
