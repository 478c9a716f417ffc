"""Run a function over all planes of an image, tile by tile: what every method shares when it is applied."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hush.core import tiling
from hush.core.device import available_memory
from hush.core.findings import Finding
from hush.core.image import Array, Image, Plane, cast
from hush.core.missing import fill
from hush.methods._base import Denoiser, Strength, warn


def mean_over_symmetries(
    function: Callable[[Tensor], Tensor], x: Tensor, along: bool = False, number: int = 8
) -> Tensor:
    """Return the mean of a function over turns and flips of the plane, each turned back.

    Parameters
    ----------
    function : callable
        (B, C, [Z,] Y, X) -> the same but for the number of channels.
    x : Tensor
        On the pooling grid, so that a turned tile lies on it as well.
    along : bool
        Whether the last two channels say something of Y and of X: they change places where those do.
    number : int
        Of the eight turns and flips: the first of them leaves the plane as it is, the second is the half turn.
    """
    total: Tensor | float = 0.0
    other = torch.cat([x[:, :-2], x[:, -1:], x[:, -2:-1]], 1) if along else x
    for swap, axes in [(swap, axes) for swap in (False, True) for axes in ((), (-2, -1), (-1,), (-2,))][:number]:
        turned = (other.transpose(-1, -2) if swap else x).flip(axes)
        y = function(turned).flip(axes)
        total = total + (y.transpose(-1, -2) if swap else y)
    assert isinstance(total, Tensor)
    return total / number


def tile_side(ndim: int, margin: int, maps: int) -> tuple[int, ...]:
    """Choose a tile whose activations take at most a quarter of the free memory: 512 x 512, or smaller."""
    side = 512 if ndim == 2 else 96
    each = 4 * 8 * maps  # bytes a pixel: about eight sets of full-resolution maps are alive at once
    while side > 32 and (side + 2 * margin) ** ndim * each > available_memory() / 4:
        side //= 2
    return (side,) * ndim


FROM_EDGE_TO_EDGE = 1 << 30  # side of a tile that is as large as the image
SMALL_PLANE = 128 * 128  # pixels of a plane that is too little for several cores


@dataclass(frozen=True)
class Work:
    """What is done to the planes of one channel.

    Attributes
    ----------
    function : callable
        Piece of shape (C, [Z,] Y, X) in the image's dtype, all of it finite -> floats in image units, or a
        tuple of them and of their standard deviation.
    tile : tuple of int
        Size of what one call writes.
    margin, multiple : int
        How far the result looks, and the grid it needs; see `hush.core.tiling.plan`.
    workers : int
        Tiles that are worked on at once.
    padded : bool
        Whether the function may pad what is no multiple; see `hush.core.tiling.plan`.
    alone : callable, optional
        What a thread does first, so that `function` keeps to one core in it. Where planes are small and many, each core
        takes planes of its own then: cores that share a small plane mostly wait for each other.
    cores : int
        How many threads there are for that.
    """

    function: Callable[[Array], Array | tuple[Array, ...]]
    tile: tuple[int, ...]
    margin: int
    multiple: int
    workers: int = 1
    padded: bool = True
    alone: Callable[[], Any] | None = None
    cores: int = 1


def apply(
    image: Image,
    works: Sequence[Work | None],
    settings: Denoiser,
    strength: Strength,
    out: Array | None,
    info: dict[str, Any],
    done: Callable[[int, int], None] | None = None,
    std: Array | None = None,
) -> Image:
    """Denoise all planes of an image.

    Parameters
    ----------
    image : Image
        The noisy image.
    works : sequence of Work or None
        One a channel; None gives the channel back unchanged.
    settings : Denoiser
        Its ``ndim`` and ``joint_channels`` are used.
    strength : Strength
        Share of the noise that is removed.
    out : array or None
        Writable, of the image's shape; its dtype may differ (float32 for ``--float``).
    info : dict
        Its ``warnings`` are added to.
    done : callable, optional
        (tile, tiles) after every tile.
    std : array of float32, optional
        Writable, of the image's shape, for the standard deviation; the functions give one then.

    Returns
    -------
    Image
        With `out`, or a new array of the image's dtype, as its data.
    """
    strength.check(image)
    clean = np.empty(image.data.shape, image.data.dtype) if out is None else out
    if image.alpha and "S" in image.axes:  # opacity is no brightness: no method touches it
        clean[image.colour(-1)] = image.data[image.colour(-1)]
    if image.data.dtype.kind == "b" and clean.dtype.kind == "b":
        warn(
            info,
            Finding(
                "two-valued",
                "The image has only two values: the result is cut at one half (--float keeps the fractions).",
            ),
        )
    if 1 in (image.sizes["Y"], image.sizes["X"]) and image.data.size > 1:
        warn(
            info,
            Finding("one-pixel-thin", "The image is one pixel thin: little tells signal from noise; look with care."),
        )
    planes = list(image.planes(settings.ndim, settings.joint_channels))
    plans = [_plan(plane.view(image.data).shape[1:], works[plane.channel]) for plane in planes]
    total, count = sum(map(len, plans)), 0

    def ticked() -> None:
        nonlocal count
        count += 1
        if done is not None:
            done(count, total)

    for number, work in enumerate(works):
        if work is None:
            what = f"Channel {number}" if len(works) > 1 else "The image"
            warn(info, Finding("constant", f"{what} is constant: it comes back unchanged.", number))

    def one(pair: tuple[Plane, Sequence[tiling.Tile]], tick: Callable[[], None] | None = None) -> None:
        plane, plan = pair
        _one_plane(plane, works[plane.channel], plan, image.data, (clean, std), strength, info, tick)

    pairs, crew = list(zip(planes, plans, strict=True)), _crew(works, planes, plans, image)
    if crew is None:
        for pair in pairs:
            one(pair, ticked)
    else:
        for (_, plan), _ in zip(pairs, tiling.at_once(one, pairs, crew.cores, crew.alone), strict=True):
            for _ in plan:
                ticked()
    return replace(image, data=clean)


def _crew(
    works: Sequence[Work | None], planes: Sequence[Plane], plans: Sequence[Sequence[tiling.Tile]], image: Image
) -> Work | None:
    """Return the work that says how each core takes planes of its own, where there are enough small ones; else None."""
    crew = next((work for work in works if work is not None and work.alone is not None), None)
    if crew is None or crew.cores < 2 or len(planes) < crew.cores:
        return None
    small = image.sizes["Y"] * image.sizes["X"] <= SMALL_PLANE and all(len(plan) <= 1 for plan in plans)
    return crew if small else None


def _plan(shape: Sequence[int], work: Work | None) -> list[tiling.Tile]:
    return [] if work is None else tiling.plan(shape, work.tile, work.margin, work.multiple, padded=work.padded)


def _one_plane(
    plane: Plane,
    work: Work | None,
    plan: Sequence[tiling.Tile],
    noisy: Array,
    results: tuple[Array, Array | None],
    strength: Strength,
    info: dict[str, Any],
    ticked: Callable[[], None] | None,
) -> None:
    clean, std = results
    source, target = plane.view(noisy), plane.view(clean)
    spread = None if std is None else plane.view(std)
    if work is None:
        target[...] = source
        if spread is not None:
            spread[...] = 0
        return
    filled, valid = fill(source)  # the whole plane, so that all tiles agree; a copy only when something is missing
    if valid is not None:
        count = int(valid.size - np.count_nonzero(valid))
        sentence = f"{count} pixels hold no data (NaN, infinite, or areas of one value of their own): they stay."
        warn(info, Finding("missing-pixels", sentence, count))

    def function(piece: Array, region: tiling.Region) -> Any:
        piece = np.asarray(piece)
        original = piece if valid is None else source[(slice(None), *region)]
        made = work.function(piece)
        result, *more = made if isinstance(made, tuple) else (made,)
        result = cast(strength.mix(original, result), clean.dtype)
        if valid is not None:
            kept = original if clean.dtype.kind == "f" else 0  # whole numbers hold no NaN
            result = np.where(np.isfinite(original), result, kept)
        if spread is None:
            return result
        return result, (more[0] if valid is None else np.where(np.isfinite(original), more[0], np.nan))

    tiling.run(function, filled, plan, target if spread is None else (target, spread), ticked, work.workers)
