"""What experiments are made on: images of a recipe, each with its frozen noise."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hush import io
from hush.core.color import grey
from hush.core.errors import HushError
from hush.core.image import Array, Image
from hush.core.metrics import ssim
from hush.datasets import hard
from hush.datasets.arrays import evenly, holds_many, images_in
from hush.datasets.diffusion import diffusion
from hush.datasets.level_scenes import SCENES
from hush.datasets.series import SERIES
from hush.datasets.slices import read_volume
from hush.datasets.synthetic import epithelium, fluorescence, random_field
from hush.noise import NoiseModel, parse

SIMULATED = {"epithelium": epithelium, "fluorescence": fluorescence, "random-field": random_field}
GENERATED = SIMULATED | SCENES | SERIES | {"diffusion": diffusion}  # what a recipe may `generate`


@dataclass(frozen=True)
class Item:
    """One image of an experiment, with its noise.

    Attributes
    ----------
    data, image, noise : str
        Names: of the data set, of the file, the notation (``"real"`` for images that are noisy by themselves).
    seed : int
    clean, noisy : array, shape (Y, X) or (Y, X, 3), float32
        The noisy one is a frozen draw: the same for all methods and all runs. Of `hush.datasets.hard` float64, and
        of the numbers of a file.
    peak : float
    fit_gain : bool
        Whether gain and offset are fitted before scoring.
    spec : dict
        What the recipe says of the data set.
    """

    data: str
    image: str
    noise: str
    seed: int
    clean: Array
    noisy: Array
    peak: float
    fit_gain: bool
    spec: dict[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> dict[str, Any]:
        """What names this item in a row."""
        return {"data": self.data, "image": self.image, "noise": self.noise, "seed": self.seed}

    def as_image(self) -> Image:
        """Return the noisy image with its axes."""
        return Image(self.noisy, "YXS" if self.noisy.ndim == 3 else "YX")

    def ssim(self, clean: Array) -> float:
        """Return the similarity of a result, colours as planes."""
        one, other = (np.moveaxis(x, -1, 0) if x.ndim == 3 else x for x in (clean, self.clean))
        return ssim(one, other, peak=self.peak)


def items(recipe: dict[str, Any], scale: str, folder: Path) -> Iterator[Item]:
    """Yield the images of a recipe with their frozen noise.

    Raises
    ------
    HushError
        When files are missing, naming the folder.
    """
    limits = recipe.get("scale", {}).get(scale, {})
    for data in recipe["data"]:
        if "kinds" in data:
            yield from _hard(data, limits)
            continue
        for name, clean, noisy in pictures(data, folder, limits):
            side = limits.get("crop", data.get("crop"))
            clean, noisy = cut(clean, side), None if noisy is None else cut(noisy, side)
            common = {"peak": data.get("peak", 255.0), "fit_gain": data.get("fit_gain", False), "spec": data}
            if noisy is not None:
                yield Item(data["name"], name, "real", 0, clean, noisy, **common)
                continue
            for noise in recipe.get("noise", []):
                for seed in limits.get("seeds", recipe.get("seeds", [0])):
                    drawn = frozen_noise(clean, noise["notation"], f"{data['name']}/{name}", seed, common["peak"])
                    if noise.get("clip8"):
                        drawn = np.clip(np.rint(drawn), 0, 255).astype(np.float32)
                    label = noise["notation"] + (" (8 bit)" if noise.get("clip8") else "")
                    yield Item(data["name"], name, label, seed, clean, drawn, **common)


def _hard(data: dict[str, Any], limits: dict[str, Any]) -> Iterator[Item]:
    """Yield the cases of the fixed design that are of these kinds."""
    most = limits.get("crop", 1 << 16)
    cases = [case for case in hard.design() if case.kind in data["kinds"] and case.size <= most]
    for kind in data["kinds"]:
        for case in [case for case in cases if case.kind == kind][: limits.get("images")]:
            noisy, clean, peak = hard.make(case)
            spec = data | {"kind": kind}
            yield Item(data["name"], case.name, case.noise, case.seed, clean, noisy.data, peak, False, spec)


def pictures(data: dict[str, Any], folder: Path, limits: dict[str, Any]) -> Iterator[tuple[str, Array, Array | None]]:
    """Yield (name, clean, noisy or None) of one data set."""
    if data.get("generate"):
        first = data.get("first", 0)
        for seed in range(first, first + data.get("count", 4))[: limits.get("images")]:
            yield f"{data['generate']}-{seed}", GENERATED[data["generate"]](seed=seed), None
        return
    paths = sorted(folder.glob(data["files"]))
    partners = sorted(folder.glob(data["reference"])) if "reference" in data else paths
    if not paths or len(paths) != len(partners):
        what = data["files"] if not paths else f"{data['reference']} ({len(partners)} for {len(paths)} noisy files)"
        raise HushError(f"no data for {data['name']}: {folder.name}/{what} is not there; say where with --data DIR")
    if "volume" not in data and holds_many(paths[0]):
        yield from _of_many(paths, data, limits)
        return
    for path, partner in _chosen(list(zip(paths, partners, strict=True)), data)[: limits.get("images")]:
        clean = _read(partner, data)
        yield path.stem, clean, _read(path, data) if "reference" in data else None


def _chosen(found: list[Any], data: dict[str, Any]) -> list[Any]:
    """Those that the recipe takes, of files or of images in files."""
    found = found[data.get("first", 0) :]
    if "last" in data:  # the last so many; negative: all but the last so many
        found = found[-data["last"] :] if data["last"] > 0 else found[: data["last"]]
    return [found[k] for k in data["pick"]] if "pick" in data else found


def _of_many(
    paths: Sequence[Path], data: dict[str, Any], limits: dict[str, Any]
) -> Iterator[tuple[str, Array, Array | None]]:
    """Yield images of files that hold many: `count` of each file, evenly spread, and so the limit of the scale.

    A reference can only be these files themselves: then there is none, and the images are noisy by themselves.
    """
    found = []
    for path in paths:
        images, stem = images_in(path, data.get("peak", 255.0)), path.name.removesuffix(".gz").removesuffix(".nii")
        found += [(f"{stem}-{number}", images[number]) for number in evenly(len(images), data.get("count"))]
    chosen = _chosen(found, data)
    for at in evenly(len(chosen), limits.get("images")):
        name, image = chosen[at]
        image = np.asarray(image, np.float32)
        yield name, image, image if "reference" in data else None


def _read(path: Path, data: dict[str, Any]) -> Array:
    if "volume" in data:
        return _volume(path, data["volume"])
    values = np.asarray(io.read(path).data, np.float32)
    values = values[..., :3] if values.ndim == 3 else values
    if data.get("grey", True) and values.ndim == 3:
        values = grey(values) if values.shape[-1] == 3 else values[..., 0]
    return np.repeat(values[..., None], data["copies"], -1) if "copies" in data else values


def _volume(path: Path, window: Sequence[Sequence[int]]) -> Array:
    """A piece (Z, Y, X) of a NIfTI volume, begin and end of each axis."""
    values = read_volume(path).values
    return np.ascontiguousarray(values[tuple(slice(*pair) for pair in window)], np.float32)


def cut(picture: Array, side: int | None) -> Array:
    """Return the middle of a picture, `side` pixels high and wide at most."""
    if side is None:
        return picture
    top, left = (max(0, (size - side) // 2) for size in picture.shape[:2])
    return np.ascontiguousarray(picture[top : top + side, left : left + side])


def drawn_noise(notation: str, name: str, seed: int, peak: float = 255.0) -> tuple[NoiseModel, np.random.Generator]:
    """Return the noise of an image, its ranges drawn by nothing but the names and the seed, and what draws it next."""
    digest = hashlib.sha256(f"{name}|{notation}|{seed}".encode()).digest()
    rng = np.random.default_rng(int.from_bytes(digest[:8], "little"))
    return parse(notation).scaled(peak / 255).draw(rng), rng


def frozen_noise(clean: Array, notation: str, name: str, seed: int, peak: float = 255.0) -> Array:
    """Draw noise that depends on nothing but the names and the seed: float32, unclipped.

    Parameters
    ----------
    clean : array, shape (Y, X) or (Y, X, 3)
    notation : str
    name : str
        Of data set and image.
    seed : int
    peak : float

    Examples
    --------
    >>> one, same = (frozen_noise(np.zeros((8, 8)), "gaussian:sigma=5", "x/y", 0) for _ in range(2))
    >>> bool((one == same).all())
    True
    """
    model, rng = drawn_noise(notation, name, seed, peak)
    planes = np.moveaxis(clean, -1, 0) if clean.ndim == 3 else clean[None]
    noisy = model.sample(np.asarray(planes, np.float64), rng).astype(np.float32)
    return np.moveaxis(noisy, 0, -1) if clean.ndim == 3 else noisy[0]
