"""OME-Zarr 0.4 and 0.5: a folder of chunks with axes, pixel size, channels, and smaller copies that are made again."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hush.core.errors import FormatError
from hush.core.image import Array, Image
from hush.io import _zarr_meta, _zarr_pieces, _zarr_pyramid
from hush.io._common import choose, need, settle_axes
from hush.io._zarr_meta import Node
from hush.io._zarr_remote import MARKS, Remote

SUFFIXES = (".zarr", ".ome.zarr")
CHOICES = "image"
EXTRA = "zarr"
NEEDS = ("zarr",)
LAZY = True
NEW_CHUNK = 1024  # longest side, in Y and X, of a chunk of a new file
TORN = ".partial"  # what zarr calls a chunk until it is whole
DEEPEST_ARRAY = 3  # folders that are looked into for arrays


def holds(folder: Path) -> bool:
    """Whether a folder is a Zarr."""
    return folder.is_dir() and (
        folder.name.lower().endswith(SUFFIXES) or any((folder / mark).is_file() for mark in MARKS)
    )


def read(
    path: Path | Remote, axes: str | None, *, choice: int | str | None = None, lazy_from: int | None = None
) -> Image:
    """Read an image at full resolution: of several (a plate, a collection) the first, unless one is named.

    An array without OME's metadata is read as well, its axes by the names of its dimensions or guessed.
    """
    zarr = need("zarr", EXTRA)
    if not path.is_dir():
        raise FormatError("a Zarr is a folder, and this is a file; unpack it where it is a packed one")
    names = _images(path)
    group = _zarr_meta.node(path / names[choose(choice, names, CHOICES)])
    assert group is not None
    said = None if group.is_array else _zarr_meta.pyramid(group)
    levels = [_level(group.folder / one) for one in said.paths] if said else [group]
    place = levels[0].folder
    stored = zarr.open_array(store=place.store() if isinstance(place, Remote) else str(place), mode="r")
    if said and len(said.axes) != stored.ndim:
        raise FormatError(f"it is damaged: it names {len(said.axes)} axes, and its array has shape {stored.shape}")
    if stored.dtype.kind not in "buif":
        raise FormatError(f"it holds {stored.dtype}, and no numbers of an image")
    data = _zarr_pieces.given(stored, stored.shards or stored.chunks, lazy_from)
    chosen, guessed = settle_axes(data.shape, axes, said.axes if said else _named(group, data.ndim))
    meta: dict[str, Any] = {"zarr": {"group": None if group.is_array else group, "levels": levels}}
    meta["channels"] = _zarr_meta.channels(group.ome, dict(zip(chosen, data.shape, strict=True)).get("C", 1))
    if guessed:
        meta["guessed"] = guessed
    if said:
        meta["description"] = _zarr_meta.description(group.ome["multiscales"][0])
    if isinstance(group.attributes.get("hush"), dict):
        meta["hush"] = group.attributes["hush"]
    scale = {axis: size for axis, size in said.scale.items() if axis in chosen} if said else {}
    return Image(data, chosen, scale, said.unit if said and scale else None, meta)


def write(path: Path, image: Image) -> None:
    """Write an OME-Zarr of the version, chunks, shards and compression of the input, else a new one of version 0.5."""
    plan = _plan(image)
    plan.make(path)
    plan.fill(path, image.data)


def create(path: Path, like: Image) -> Array:
    """Return a writable array, mapped from a temporary file where it is large; its chunks are written at the end."""
    plan = _plan(like)
    plan.make(path)
    return _zarr_pieces.Spooled.of(tuple(like.data.shape), like.data.dtype, lambda data: plan.fill(path, data))


def grow(path: Path, like: Image, again: bool) -> _Growing:
    """Return what the pixels are written into chunk by chunk; `again`: what was begun is gone on with."""
    plan = _plan(like)
    if not again:
        plan.make(path)
    return _Growing(path, plan, again)


# -- reading --------------------------------------------------------------------------------------------


def _images(root: Path | Remote) -> list[str]:
    """Return where the images of a Zarr are, as paths below it; the largest array first where OME says nothing."""
    top = _zarr_meta.node(root)
    if top is None:
        raise FormatError("it is no Zarr, or damaged: it has neither zarr.json nor .zgroup nor .zarray")
    if top.is_array or _zarr_meta.pyramid(top):
        return ["."]
    if isinstance(top.ome.get("plate"), dict):
        found = list(_fields(root, top.ome["plate"]))
    else:
        below = sorted((one for one in root.iterdir() if one.is_dir()), key=_by_number)
        nodes = [node for one in below if (node := _zarr_meta.node(one)) and not node.is_array]
        found = [node.folder.name for node in nodes if _zarr_meta.pyramid(node)]
    if found:
        return found
    arrays = [node for node in _nodes(root, DEEPEST_ARRAY) if node.is_array and len(node.json.get("shape", ())) > 1]
    arrays.sort(key=lambda node: -math.prod(node.json["shape"]))
    if not arrays:
        raise FormatError("it holds no image: neither one of OME-Zarr nor an array of two or more axes")
    return [_below(root, node.folder) for node in arrays]


def _below(root: Path | Remote, folder: Path | Remote) -> str:
    """Return where a folder is below another one."""
    if isinstance(root, Remote):
        return "." if str(folder) == str(root) else str(folder).removeprefix(f"{root}/")
    return str(Path(str(folder)).relative_to(root))


def _by_number(path: Path | Remote) -> tuple[bool, int, str]:
    number = path.name.isdecimal()
    return (not number, int(path.name) if number else 0, path.name)


def _fields(root: Path | Remote, plate: dict[str, Any]) -> Iterator[str]:
    """Yield the fields of view of a plate, well by well."""
    for one in plate.get("wells") or []:
        place = str(one.get("path", "")) if isinstance(one, dict) else ""
        well = _zarr_meta.node(root / place) if place and ".." not in Path(place).parts else None
        said = well.ome.get("well") if well else None
        for image in (said.get("images") or []) if isinstance(said, dict) else []:
            yield f"{place}/{image['path']}"


def _nodes(root: Path | Remote, deep: int) -> Iterator[Node]:
    below: Iterator[Path | Remote] = iter(root.iterdir())
    for one in sorted(below, key=str):
        node = _zarr_meta.node(one) if one.is_dir() else None
        if node:
            yield node
            if not node.is_array and deep:
                yield from _nodes(one, deep - 1)


def _level(folder: Path | Remote) -> Node:
    node = _zarr_meta.node(folder)
    if node is None or not node.is_array:
        raise FormatError(f"it is damaged: its level {folder.name} is not there")
    return node


def _named(node: Node, ndim: int) -> str | None:
    """Return the axes that an array's dimensions are named after, if they are."""
    names = node.json.get("dimension_names") or node.attributes.get("_ARRAY_DIMENSIONS") or []
    axes = "".join(str(name).upper() for name in names)
    fits = len(axes) == len(names) == ndim == len(set(axes)) and set(axes) <= set("TCZYXS") and {*"YX"} <= {*axes}
    return axes if fits else None


# -- writing --------------------------------------------------------------------------------------------


@dataclass
class _Plan:
    """The levels of a file and all that it says."""

    axes: str  # of the file
    order: tuple[int, ...]  # of the image's axes
    shapes: list[tuple[int, ...]]
    factors: list[tuple[int, ...]]
    paths: list[str]
    attributes: dict[str, Any] | None  # None: a bare array
    form: int
    levels: list[Node]  # to be like; none for a new file
    dtype: np.dtype[Any]
    beside: list[Path]  # folders that are copied

    def make(self, path: Path) -> None:
        """Write the metadata, and empty arrays."""
        if path.is_dir():  # as a file is written over
            shutil.rmtree(path)
        path.mkdir(parents=True)
        if self.attributes is not None:
            _zarr_meta.write_group(path, self.attributes, self.form)
        for folder in self.beside:
            shutil.copytree(folder, path / folder.name)
        zarr = need("zarr", EXTRA)
        for place, (name, shape) in enumerate(zip(self.paths, self.shapes, strict=True)):
            if self.levels:
                old = self.levels[min(place, len(self.levels) - 1)]
                _zarr_meta.write_array(path / name, old, shape, self.dtype)
                continue
            chunks = tuple(
                min(size, NEW_CHUNK) if axis in "YX" else 1 for size, axis in zip(shape, self.axes, strict=True)
            )
            zarr.create_array(
                store=str(path / name), shape=shape, dtype=self.dtype.newbyteorder("="), chunks=chunks,
                dimension_names=list(self.axes.lower()), zarr_format=3,
            )  # fmt: skip

    def fill(self, path: Path, data: Array) -> None:
        """Write the pixels, and the smaller copies."""
        source: Any = data.transpose(self.order).reshape(self.shapes[0])
        array, unit = self.level(path, 0)
        for box in _zarr_pieces.boxes(array.shape, unit, self.dtype.itemsize):
            array[box] = np.asarray(source[box])
        self.fill_copies(path)

    def fill_copies(self, path: Path) -> None:
        """Write the smaller copies, each from the one before."""
        before, _ = self.level(path, 0)
        for place, by in enumerate(self.factors, 1):
            array, unit = self.level(path, place)
            _zarr_pyramid.fill(array, before, by, unit)
            before = array

    def level(self, path: Path, place: int) -> tuple[Any, tuple[int, ...]]:
        """Return the array of a level, and the shape of what is written at once."""
        array = need("zarr", EXTRA).open_array(store=str(path / self.paths[place]), mode="r+")
        return array, array.shards or array.chunks


class _Growing:
    """The pixels of a file that is written chunk by chunk, with the axes of the image; `flush` makes the copies."""

    def __init__(self, path: Path, plan: _Plan, again: bool) -> None:
        self._path, self._plan, self._again = path, plan, again
        self._array, unit = plan.level(path, 0)
        self._back = tuple(plan.order.index(axis) for axis in range(len(plan.order)))  # from the file's axes
        self.shape: tuple[int, ...] = tuple(self._array.shape[at] for at in self._back)
        self.chunks: tuple[int, ...] = tuple(unit[at] for at in self._back)
        self.dtype = plan.dtype

    def __setitem__(self, box: tuple[slice, ...], values: Array) -> None:
        self._array[self._stored(box)] = np.ascontiguousarray(values.transpose(self._plan.order))

    def __getitem__(self, box: tuple[slice, ...]) -> Array:
        return np.asarray(self._array[self._stored(box)]).transpose(self._back)

    def _stored(self, box: tuple[slice, ...]) -> tuple[slice, ...]:
        return tuple(box[axis] for axis in self._plan.order)

    def flush(self) -> None:
        """Make the smaller copies; of a chunk that somebody was killed at nothing is left."""
        for torn in self._path.rglob(f"*{TORN}") if self._again else ():
            torn.unlink()
        self._plan.fill_copies(self._path)


def _plan(image: Image) -> _Plan:
    old = image.meta.get("zarr") or {}
    group: Node | None = old.get("group")
    said = _zarr_meta.pyramid(group) if group else None
    levels: list[Node] = old.get("levels") or []
    axes, order = _order(image, said.axes if said else None)
    shape = tuple(image.data.shape[place] for place in order)
    if levels and (len(levels[0].json["shape"]) != len(axes) or (said and said.axes != axes)):
        levels, group, said = [], None, None  # of other axes than the input: a new file
    bare = bool(levels) and group is None
    shapes = [tuple(node.json["shape"]) for node in levels]
    factors = _zarr_pyramid.factors(shapes) if shapes else _zarr_pyramid.usual_factors(shape, axes)
    same = bool(shapes) and shapes[0] == shape
    if not same:
        shapes = [shape]
        for by in factors:
            shapes.append(_zarr_pyramid.smaller(shapes[-1], by))
    paths = (["."] if bare else said.paths if said else [str(place) for place in range(len(shapes))])[: len(shapes)]
    ratios = [(1,) * len(axes)]
    for by in factors:
        ratios.append(tuple(a * b for a, b in zip(ratios[-1], by, strict=True)))
    attributes = None if bare else _zarr_meta.compose(group, image, axes, paths, ratios)
    form = levels[0].format if levels else 3
    beside = _beside(group, paths) if group and same else []
    return _Plan(axes, order, shapes, factors, paths, attributes, form, levels, image.data.dtype, beside)


def _order(image: Image, stored: str | None) -> tuple[str, tuple[int, ...]]:
    """Return the axes of the file and where they are among the image's; colour samples become channels."""
    axes = image.axes
    if "S" in axes:
        if "C" in axes:
            raise FormatError(
                f"OME-Zarr holds channels or colour samples, and this image has axes {axes}; write a .tif or .npy file"
            )
        axes = axes.replace("S", "C")
    wanted = stored if stored and set(stored) == set(axes) else "".join(axis for axis in "TCZYX" if axis in axes)
    return wanted, tuple(axes.index(axis) for axis in wanted)


def _beside(group: Node, paths: Sequence[str]) -> list[Path]:
    """Return what stands in the group besides its levels: labels, OME-XML."""
    if isinstance(group.folder, Remote) or not group.folder.is_dir():
        return []
    levels = {Path(path).parts[0] for path in paths}
    return [
        one for one in sorted(group.folder.iterdir()) if one.is_dir() and one.name not in levels and one.name != "c"
    ]
