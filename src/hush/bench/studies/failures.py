"""Study: where trained networks are most wrong, and two pictures of it (figure 5 of the Noise2Void paper)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as Picture

from hush.bench.studies import _plots, trained
from hush.bench.tables import groups
from hush.core import files
from hush.core.image import Array
from hush.datasets.recipes import Item
from hush.quality.error_maps import ERROR_CROP, error_picture, largest_errors, squared_error

FAILING = "n2v"  # the method whose worst images are shown
AREA_SIDE = 32  # of the square in which the sum of the squared errors is shown
WORST = {"pixel_error": "largest error of a pixel", "total_error": "largest sum of squared errors"}

Row = dict[str, Any]


def row(item: Item, method: Row, recipe: Row) -> Row:
    """Score a trained method, and note its largest error of a pixel and the sum of its squared errors, and where."""
    made = trained.row(item, method, recipe)
    result = made["picture"]
    pixel, area = largest(result, item.clean)
    made |= {"pixel_error": float(np.sqrt(pixel[2])), "pixel_y": pixel[0], "pixel_x": pixel[1]}
    made |= {"area_y": area[0], "area_x": area[1]}
    total = float(squared_error(result, item.clean).sum())
    made |= {"total_error": total, "rmse": float(np.sqrt(total / item.clean.size))}
    if "peer" in method:
        return made
    out: Path = recipe["here"]["out"]
    results = _others(out, item) | {method["label"]: result}
    _keep(out, item, method["label"], result)
    if method["label"] == FAILING:
        shown = {name: value for name, value in made.items() if name != "picture"}
        before = [one for one in _plots.known_rows(out, shown)[:-1] if one.get("method") == FAILING]
        for kind, side in (("pixel_error", 1), ("total_error", min(AREA_SIDE, *result.shape[:2]))):
            if made[kind] > max([one[kind] for one in before], default=-1.0):
                _draw(out / "pictures" / f"figure 5--{kind}.png", item, results, side)
    return made


def largest(result: Array, clean: Array) -> list[tuple[int, int, float]]:
    """Return row, column and value of the largest squared error of a pixel, and of a square's sum."""
    found = []
    for side in (1, min(AREA_SIDE, *result.shape[:2])):
        places = largest_errors(result, clean, 1, side=side)
        found.append((places[0].y, places[0].x, places[0].value) if places else (0, 0, 0.0))
    return found


def _draw(path: Path, item: Item, results: dict[str, Array], side: int) -> None:
    """Draw a crop round the worst place of the failing method, beside the others'."""
    places = largest_errors(results[FAILING], item.clean, 1, side=side)
    if places:
        crop = min(ERROR_CROP, *item.clean.shape[:2])
        _plots.save(Picture.fromarray(error_picture(item.clean, results, places, side=crop)), path)


def _keep(out: Path, item: Item, label: str, result: Array) -> None:
    """Keep the result of the image in work, for the picture that a later method may want."""
    path = out / "results" / f"{label.replace(' ', '-')}.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    with files.replacing(path) as hidden, hidden.open("wb") as file:
        np.savez(file, image=np.array(_name(item)), label=np.array(label), result=result)


def _others(out: Path, item: Item) -> dict[str, Array]:
    """The results that are kept of this image, by method."""
    found = {}
    for path in sorted((out / "results").glob("*.npz")):
        with np.load(path) as kept:
            if str(kept["image"]) == _name(item):
                found[str(kept["label"])] = kept["result"]
    return found


def _name(item: Item) -> str:
    return "|".join(map(str, item.key.values()))


def table(rows: Sequence[Row], recipe: Row) -> str:
    """Scores, then what each method makes of the two images on which the failing one is worst."""
    lines = [
        "| data | noise | method | n | PSNR | SSIM | largest error of a pixel | mean of the images' largest |",
        "| --- " * 8 + "|",
    ]
    for group in groups(rows, "data", "noise", "method"):
        most = [one["pixel_error"] for one in group]
        cells = f"{_mean(group, 'psnr'):.2f} | {_mean(group, 'ssim'):.4f} | {max(most):.0f} | {np.mean(most):.0f}"
        lines.append(f"| {group[0]['data']} | {group[0]['noise']} | {group[0]['method']} | {len(group)} | {cells} |")
    lines += ["", "| worst of | image | method | PSNR | error of a pixel | its row, column | RMSE |",
              "| --- " * 7 + "|"]  # fmt: skip
    failing = [one for one in rows if one["method"] == FAILING]
    for kind, title in WORST.items() if failing else ():
        worst = max(failing, key=lambda one: one[kind])
        for one in rows:
            if all(one[key] == worst[key] for key in ("data", "noise", "image", "seed")):
                lines.append(
                    f"| {title} | {one['image']} | {one['method']} | {one['psnr']:.2f} | {one['pixel_error']:.0f} | "
                    f"{one['pixel_y']}, {one['pixel_x']} | {one['rmse']:.1f} |"
                )
    return "\n".join(lines)


def _mean(rows: Sequence[Row], name: str) -> float:
    return float(np.mean([one[name] for one in rows]))
