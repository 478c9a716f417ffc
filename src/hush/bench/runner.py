"""Experiments as recipes: data, noise, methods, seeds -> rows on disk, resumable, from which tables are made."""

from __future__ import annotations

import csv
import json
import os
import platform
import shutil
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from importlib import metadata, resources
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as Picture

from hush import __version__, io
from hush.core import files
from hush.core.errors import HushError, unknown
from hush.core.image import Array, Image
from hush.datasets.recipes import Item, cut, items
from hush.noise import parse

KEYS = {
    "": {"title", "about", "kind", "data", "noise", "method", "seeds", "baseline", "scale",
         "common", "paper", "shows", "published"},
    "data": {"name", "files", "reference", "generate", "count", "first", "last", "pick", "peak", "grey", "fit_gain",
             "copies", "crop", "train", "pretrain", "volume", "kinds"},
    "noise": {"notation", "clip8"},
    "method": {"name", "peer", "settings", "label", "family", "begin"},
    "scale": {"images", "crop", "seeds", "seconds", "steps", "hours"},
    "published": {"data", "noise", "method", "score", "value", "where", "against", "percent", "note"},
}  # fmt: skip
PUBLISHED_NEEDS = ("data", "noise", "method", "score", "value", "where")
READING = {"paper", "shows", "published"}  # keys for a reader: no row depends on them, nor on a scale's hours
ROW_KEYS = ("data", "image", "noise", "seed", "method")  # what names a row
SCALES = ("smoke", "cpu", "full")
PICTURE = 160  # side of the pictures that are kept


def names() -> list[str]:
    """Return the names of the recipes that come with hush."""
    return sorted(
        file.name[:-5]
        for file in resources.files("hush").joinpath("bench", "recipes").iterdir()
        if file.name.endswith(".toml")
    )


def source(name: str) -> str:
    """Return the text of a recipe: a shipped one by name, or a file."""
    if not name.endswith(".toml") and name not in names():
        raise unknown("recipe", name, names())
    try:
        path = (
            Path(name)
            if name.endswith(".toml")
            else resources.files("hush").joinpath("bench", "recipes", f"{name}.toml")
        )
        return path.read_text("utf-8")
    except OSError as error:
        raise HushError(f"the recipe {name} cannot be read: {error.strerror}") from None


def load(name: str) -> dict[str, Any]:
    """Read and check a recipe: a shipped one by name, or a file.

    Raises
    ------
    HushError
        For an unknown recipe, key, or a file that is no TOML.
    """
    try:
        recipe = tomllib.loads(source(name))
    except tomllib.TOMLDecodeError as error:
        raise HushError(f"the recipe {name} cannot be read: {error}") from None
    _check("", recipe)
    for part in ("data", "noise", "method", "published"):
        for one in recipe.get(part, []):
            _check(part, one)
    for one in recipe.get("published", []):
        for key in PUBLISHED_NEEDS:
            if key not in one:
                raise HushError(f"a published figure of the recipe {name} lacks {key!r}: {one}")
    for one in recipe.get("scale", {}).values():
        _check("scale", one)
    for one in recipe.get("noise", []):
        parse(one["notation"])
    return recipe


def _check(part: str, table: dict[str, Any]) -> None:
    for key in table:
        if key not in KEYS[part]:
            raise unknown(f"key of a recipe's {part or 'top'}", key, KEYS[part])


def label_of(method: dict[str, Any]) -> str:
    """Return what a method of a recipe is called in its rows.

    Examples
    --------
    >>> label_of({"name": "n2v"}), label_of({"name": "n2v", "label": "n2v, 20 s"}), label_of({"peer": "noisy"})
    ('n2v', 'n2v, 20 s', 'noisy')
    """
    return str(method.get("label") or method.get("name") or method.get("peer", ""))


def _of_rows(said: dict[str, Any]) -> dict[str, Any]:
    """Return what the rows depend on, of a recipe and a scale: without what is for a reader."""
    recipe = {key: value for key, value in said.get("recipe", {}).items() if key not in READING}
    scales = {
        scale: {key: value for key, value in limits.items() if key != "hours"}
        for scale, limits in recipe.get("scale", {}).items()
    }
    return said | {"recipe": recipe | {"scale": {scale: limits for scale, limits in scales.items() if limits}}}


def run(
    recipe: dict[str, Any],
    make: Callable[[Item, dict[str, Any], dict[str, Any]], dict[str, Any]],
    *,
    scale: str,
    data: Path,
    out: Path,
    overwrite: bool = False,
    export: Path | None = None,
    progress: Callable[[int, int, str], None] = lambda done, total, text: None,
) -> list[dict[str, Any]]:
    """Run a recipe and write ``rows.json``, ``rows.csv``, ``recipe.json``, ``environment.json``, and small pictures.

    A row is on disk as soon as it is known; a run that was stopped goes on where it stopped.

    Parameters
    ----------
    recipe : dict
        From `load`.
    make : callable
        (item, method, recipe) -> what one row holds besides the names; ``recipe["here"]`` has ``data`` and ``out``,
        the folders, and ``limits``, what the scale says.
    scale : {"smoke", "cpu", "full"}
    data, out : Path
        Folder of the data, and of the results.
    overwrite : bool
        Begin anew.
    export : Path, optional
        Folder to which the frozen noisy images are written as TIFF.
    progress : callable, optional
        (done, total, what) before every row.

    Returns
    -------
    list of dict
        All rows, in the order of the recipe.
    """
    if scale not in SCALES:
        raise unknown("scale", scale, SCALES)
    said = {"recipe": recipe, "scale": scale}
    with files.plain_errors(out):
        out.mkdir(parents=True, exist_ok=True)
    kept, lines = out / "recipe.json", out / "rows.jsonl"
    if overwrite:
        for old in (lines, out / "rows.json", out / "rows.csv"):
            old.unlink(missing_ok=True)
        shutil.rmtree(out / "models", ignore_errors=True)
    elif kept.exists() and _of_rows(json.loads(kept.read_text("utf-8"))) != _of_rows(said):
        raise HushError(f"{out} holds results of another recipe or scale; --overwrite replaces them")
    files.write_json(kept, said)
    done = {_name(row): row for row in _lines(lines)}
    limits = _of_rows(said)["recipe"]["scale"].get(scale, {})
    methods = recipe.get("method", [{"name": ""}])
    todo = [(item, method) for item in items(recipe, scale, data) for method in methods]
    here = {"data": data, "out": out, "limits": limits}
    rows = []
    for number, (item, method) in enumerate(todo):
        label = label_of(method)
        key = item.key | {"method": label}
        progress(number, len(todo), f"{item.data} {item.image} {item.noise} {label}")
        if export is not None:
            _export(export, item)
        if _name(key) not in done:
            files.write_json(out / "environment.json", environment())  # of those rows that were made last
            settings = ({} if "peer" in method else recipe.get("common", {})) | method.get("settings", {})
            settings |= {name: limits[name] for name in ("seconds", "steps") if name in limits and name in settings}
            made = make(item, method | {"settings": settings, "label": label}, recipe | {"here": here})
            _picture(out / "pictures", item, label, made.pop("picture", None))
            row = key | made
            with files.plain_errors(lines), lines.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row, default=float) + "\n")
                file.flush()
                os.fsync(file.fileno())
            done[_name(key)] = json.loads(json.dumps(row, default=float))
        rows.append(done[_name(key)])
    files.write_json(out / "rows.json", rows)
    _csv(out / "rows.csv", rows)
    return rows


def _name(row: dict[str, Any]) -> str:
    return "|".join(str(row[key]) for key in ROW_KEYS)


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    for line in path.read_text("utf-8").splitlines() if path.exists() else []:
        try:
            yield json.loads(line)
        except json.JSONDecodeError:  # the line at which a run was killed
            continue


def _csv(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    columns = list(dict.fromkeys(key for row in rows for key in row))
    text = StringIO(newline="")
    writer = csv.DictWriter(text, columns)
    writer.writeheader()
    writer.writerows(rows)
    files.write_text(path, text.getvalue())


def _picture(folder: Path, item: Item, label: str, clean: Array | None) -> None:
    """Keep a small 8-bit picture of the result, for the first image of each data set and noise."""
    safe = "".join(c if c.isalnum() else "_" for c in f"{item.data}_{item.noise}")
    first = folder / f"{safe}.txt"
    if clean is None or (first.exists() and first.read_text("utf-8") != f"{item.image} {item.seed}"):
        return
    folder.mkdir(parents=True, exist_ok=True)
    files.write_text(first, f"{item.image} {item.seed}")
    for name, values in (("clean", item.clean), (label, clean)):
        grey = np.clip(cut(np.asarray(values), PICTURE) * (255 / item.peak) + 0.5, 0, 255).astype(np.uint8)
        path = folder / f"{safe}--{''.join(c if c.isalnum() else '_' for c in name)}.png"
        with files.replacing(path) as hidden:
            Picture.fromarray(grey).save(hidden)


def _export(folder: Path, item: Item) -> None:
    axes = "YXS" if item.noisy.ndim == 3 else "YX"
    safe = "".join(c if c.isalnum() or c in "-=._" else "_" for c in f"{item.image}_{item.noise}_{item.seed}")
    path = folder / item.data / f"{safe}.tif"
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        image = Image(item.noisy, axes)
        io.write(path, replace(image, meta={"description": f"{item.noise}, seed {item.seed}"}), overwrite=False)


def environment() -> dict[str, Any]:
    """Return what figures depend on: versions, processor, threads; no names of machines or folders."""
    import torch

    from hush.core.device import cores

    versions = {}
    for package in ("numpy", "scipy", "scikit-image", "torch", "bm3d", "PyWavelets"):
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "not installed"
    model = ""
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
        model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
    return {
        "hush": __version__,
        "python": platform.python_version(),
        **versions,
        "processor": model,
        "cores": cores(),
        "threads": torch.get_num_threads(),
    }
