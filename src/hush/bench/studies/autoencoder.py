"""Study: a denoising autoencoder on a collection of small images: its error on unseen ones, its curves, examples."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as Picture
from PIL import ImageDraw, ImageFont

from hush.bench.boxes import INK, PALE
from hush.bench.studies.collection import kept
from hush.bench.tables import groups
from hush.core import files, registry
from hush.core.image import Array, Image
from hush.datasets.recipes import Item, frozen_noise, pictures
from hush.methods._learned import NetDenoiser
from hush.methods._sharpen import sharpened
from hush.methods.autoencoder import resized

SHOWN_EXAMPLES = 3  # images in the picture of results, as in the paper
EXAMPLE_ENLARGED = 4  # times, in that picture
CURVE_WIDTH, CURVE_HEIGHT, CURVE_EDGE = 420, 240, 54  # pixels of the picture of the curves, and of its borders
CURVES = {"training": "#3b78b5", "held out": "#c8553d"}  # colours

Row = dict[str, Any]


def row(item: Item, method: Row, recipe: Row) -> Row:
    """Train an autoencoder on the images of ``train`` and score it on all of ``files``; the item only names them.

    The error is the mean squared one at a peak of 1. With the setting `leaking` of the recipe each image stands
    `copies` times in the collection before some of it is held out, as in the paper, and `mse` is that on copies of
    images that were learned from; `mse_unseen` is always that on others.
    """
    seen, unseen = _split(item, recipe)
    noisy = _noisy(unseen, item, "unseen")
    made: Row = {"mse_noisy": _mse(noisy, unseen, item), "images": len(unseen)}
    if "peer" in method:
        return made | {"mse": made["mse_noisy"], "mse_unseen": made["mse_noisy"]}
    model, notes = _model(seen, item, method, recipe)
    clean = _denoised(model, noisy)
    made |= {"mse": _mse(clean, unseen, item), "mse_unseen": _mse(clean, unseen, item)}
    made["mse_sharpened"] = _mse(sharpened(clean), unseen, item)
    if method["settings"].get("leaking"):
        copies = _noisy(seen, item, "copies")
        made["mse"], made["mse_noisy"] = _mse(_denoised(model, copies), seen, item), _mse(copies, seen, item)
    _draw(recipe["here"]["out"] / "pictures", item, method["label"], notes.pop("curves"), [noisy, clean, unseen])
    return made | notes


def _split(item: Item, recipe: Row) -> tuple[Array, Array]:
    """Images (N, Y, X) to train on and those to test on: none of them twice, and no tested one among the others."""
    spec = {key: value for key, value in item.spec.items() if key not in ("pick", "train")}
    found: list[list[Array]] = []
    known: set[bytes] = set()
    for part in ({"name": item.data} | item.spec["train"], spec):
        found.append([])
        for _, image, _ in pictures(part, recipe["here"]["data"], recipe["here"]["limits"]):
            if (content := hashlib.sha256(image.tobytes()).digest()) not in known:
                known.add(content)
                found[-1].append(_sized(image, item.spec["train"].get("size")))
    return np.stack(found[0]), np.stack(found[1])


def _sized(image: Array, side: int | None) -> Array:
    return image if side is None else np.asarray(resized(image[None], (side, side))[0], np.float32)


def _noisy(images: Array, item: Item, part: str) -> Array:
    """One frozen draw of each image."""
    name = f"{item.data}/{part}"
    return np.stack(
        [frozen_noise(one, item.noise, f"{name}/{k}", item.seed, item.peak) for k, one in enumerate(images)]
    )


def _mse(images: Array, clean: Array, item: Item) -> float:
    return float(np.square((images - clean) / item.peak, dtype=np.float64).mean())


def _denoised(model: NetDenoiser, noisy: Array) -> Array:
    return np.asarray(model.denoise(Image(noisy, "TYX")).data)


def _model(seen: Array, item: Item, method: Row, recipe: Row) -> tuple[NetDenoiser, Row]:
    settings = {key: value for key, value in method["settings"].items() if key != "leaking"}
    settings |= {key: value for key, value in recipe["here"]["limits"].items() if key == "steps"}
    settings |= {"simulate": item.noise, "seed": item.seed, "patch": max(seen.shape[1:])}
    leaking, copies = method["settings"].get("leaking", False), settings.get("copies") or 1
    said = [settings, leaking, item.data, item.spec, recipe["here"]["limits"]]
    settings |= {"copies": 1} if leaking else {}

    def train(path: Path) -> tuple[NetDenoiser, Row]:
        model = registry.get("methods", method["name"])(**settings)
        images = [Image(one, "YX") for one in seen] * (copies if leaking else 1)
        model.fit(images, checkpoint=path.with_suffix(".partial"), resume=True)
        state, unit = model.history_[0], (model.scales_[0].std[0] / item.peak) ** 2
        found = {"training": state.losses, "held out": state.validation}
        curves = {name: [[step, loss * unit] for step, loss in points] for name, points in found.items()}
        ends = {f"loss_{name.replace(' ', '_')}": points[-1][1] for name, points in curves.items() if points}
        notes = {"trained_images": len(seen), "copies": copies, "steps": state.step, "best_step": state.best}
        return model, notes | ends | {"training_seconds": round(state.seconds, 1), "curves": curves}

    return kept(recipe["here"]["out"], method["name"], said, train)


# Pictures ------------------------------------------------------------------------------------------------------------


def _draw(
    folder: Path, item: Item, label: str, curves: Mapping[str, Sequence[Sequence[float]]], images: Sequence[Array]
) -> None:
    """Keep the curves of the losses, and rows of examples: noisy, output, sharpened output, clean."""
    name, method = ("".join(c if c.isalnum() else "_" for c in text) for text in (item.data, label))
    noisy, clean, truth = (one[:SHOWN_EXAMPLES] for one in images)
    lines = [np.concatenate(list(one), 1) for one in (noisy, clean, sharpened(clean), truth)]
    grey = np.clip(np.concatenate(lines) * (255 / item.peak) + 0.5, 0, 255).astype(np.uint8)
    made = {
        "loss": curve(curves, f"{item.data}, {label}: mean squared error"),
        "noisy_output_sharpened_clean": Picture.fromarray(grey.repeat(EXAMPLE_ENLARGED, 0).repeat(EXAMPLE_ENLARGED, 1)),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for what, picture in made.items():
        with files.replacing(folder / f"{name}_{what}--{method}.png") as hidden:
            picture.save(hidden)


def curve(curves: Mapping[str, Sequence[Sequence[float]]], title: str) -> Picture.Image:
    """Draw losses over steps, on a logarithmic axis.

    Parameters
    ----------
    curves : mapping of str to sequence of (step, loss)
        Names of `CURVES`.
    title : str

    Examples
    --------
    >>> curve({"training": [[1, 0.5], [100, 0.02]], "held out": [[50, 0.05]]}, "loss").size
    (528, 348)
    """
    page = Picture.new("RGB", (CURVE_WIDTH + 2 * CURVE_EDGE, CURVE_HEIGHT + 2 * CURVE_EDGE), "white")
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(size=12)
    shown = [(step, max(loss, 1e-9)) for points in curves.values() for step, loss in points]
    last = max((step for step, _ in shown), default=1)
    low, high = min((loss for _, loss in shown), default=0.1), max((loss for _, loss in shown), default=1.0)
    high = max(high, low * 1.1)

    def at(step: float, loss: float) -> tuple[float, float]:
        part = math.log(max(loss, 1e-9) / low) / math.log(high / low)
        return CURVE_EDGE + CURVE_WIDTH * step / last, CURVE_EDGE + CURVE_HEIGHT * (1 - part)

    for loss in _ticks(low, high):
        pen.line((at(0, loss), at(last, loss)), fill=PALE)
        pen.text((CURVE_EDGE - 6, at(0, loss)[1]), f"{loss:g}", fill=INK, font=font, anchor="rm")
    pen.text((CURVE_EDGE, CURVE_EDGE / 3), title, fill=INK, font=font, anchor="lm")
    bottom = CURVE_EDGE + CURVE_HEIGHT
    pen.text((CURVE_EDGE + CURVE_WIDTH, bottom + 8), f"{last:g} steps", fill=INK, font=font, anchor="ra")
    for number, (name, points) in enumerate(curves.items()):
        pen.line([at(step, loss) for step, loss in points], fill=CURVES[name], width=2)
        pen.text((CURVE_EDGE + 90 * number, bottom + 8), name, fill=CURVES[name], font=font, anchor="la")
    return page


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers between two losses: 1, 2 and 5 times the powers of ten."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [value for power in powers for times in (1, 2, 5) if low <= (value := times * 10.0**power) <= high]


# Tables --------------------------------------------------------------------------------------------------------------


def table(rows: Sequence[Row], recipe: Row) -> str:
    """Mean squared errors at a peak of 1: as the recipe splits, of unseen images, sharpened; losses at the end."""
    lines = ["| data | noise | method | trained on | tested on | noisy | MSE | unseen | sharpened | loss, training "
             "| loss, held out | steps (best) | training s |", "| --- " * 13 + "|"]  # fmt: skip
    for group in groups(rows, "data", "noise", "method"):
        first = group[0]
        trained = f"{first['trained_images']} x {first['copies']}" if "copies" in first else "–"
        steps = f"{first['steps']} ({first['best_step'] or first['steps']})" if "steps" in first else "–"
        scores = [_mean(group, key) for key in ("mse_noisy", "mse", "mse_unseen", "mse_sharpened")]
        losses = [_mean(group, key) for key in ("loss_training", "loss_held_out")]
        seconds = f"{np.mean([one['training_seconds'] for one in group]):.0f}" if "steps" in first else "–"
        cells = [first["data"], first["noise"], first["method"], trained, str(first["images"]), *scores, *losses]
        lines.append(f"| {' | '.join([*cells, steps, seconds])} |")
    return "\n".join(lines)


def _mean(rows: Sequence[Row], score: str) -> str:
    values = [one[score] for one in rows if score in one]
    return f"{np.mean(values):.4f}" if values else "–"
