"""Random patches straight from images, drawn lazily, and the statistics that normalise them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from hush.noise import Noise

Array = Any
AUGMENT = ("all", "flips", "none")


@dataclass(frozen=True)
class Batch:
    """What a loss sees: normalised patches of shape (B, C, [Z,] Y, X).

    Attributes
    ----------
    noisy : Tensor
        The noisy patches.
    valid : Tensor of bool or None, shape (B, 1, [Z,] Y, X)
        Pixels that were measured; the others were NaN, infinite or padding. None when all were.
    target : Tensor or None
        The other half of a pair, where the method has one.
    scale : Scale
        What brings them back to image units.
    """

    noisy: Tensor
    valid: Tensor | None = None
    target: Tensor | None = None
    scale: Scale | None = None


@dataclass(frozen=True)
class Scale:
    """Mean and standard deviation of a training set, one a network channel: the only normalisation there is."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def without_zero(self) -> Scale:
        """The same with 1 where a channel is constant, so that it can be divided by."""
        return Scale(self.mean, tuple(std or 1.0 for std in self.std))

    def _shaped(self, values: tuple[float, ...], array: Array) -> Array:
        wide = array.dtype.itemsize > 4 or (array.dtype.kind in "ui" and array.dtype.itemsize == 4)
        # float32 holds 24 bits: enough for 16-bit integers, not for 32-bit ones
        dtype = np.float64 if wide else np.float32
        return np.asarray(values, dtype).reshape(-1, *(1,) * (array.ndim - 1))

    def normalise(self, array: Array) -> Array:
        """Map (C, ...) in image units to float32 of mean 0 and standard deviation 1."""
        mean, std = self._shaped(self.mean, array), self._shaped(self.std, array)
        return ((array.astype(mean.dtype) - mean) / std).astype(np.float32)

    def restore(self, array: Array, like: Array) -> Array:
        """Map (C, ...) back to image units, as precise as `like` needs it."""
        mean, std = self._shaped(self.mean, like), self._shaped(self.std, like)
        return array * std + mean

    def spread(self, array: Array) -> Array:
        """Map a standard deviation (C, ...) back to image units."""
        return array * np.asarray(self.std, np.float32).reshape(-1, *(1,) * (array.ndim - 1))


def scale_of(views: Sequence[Array], limit: int = 1 << 27) -> Scale:
    """Measure mean and standard deviation of views (C, [Z,] Y, X), one pass, NaN and infinity left out.

    Parameters
    ----------
    views : sequence of array
        All with the same number of channels C.
    limit : int
        From so many pixels on only every n-th row is read.

    Raises
    ------
    ValueError
        When not one pixel is finite.
    """
    channels = views[0].shape[0]
    total = sum(view[0].size for view in views)
    skip = max(1, total // limit)
    count = np.zeros(channels)
    first, second = np.zeros(channels), np.zeros(channels)
    origin: Array = None
    for view in views:
        for rows in _strips(view, skip):
            values = rows.reshape(channels, -1).astype(np.float64)
            if origin is None:  # sums about a typical value: no cancellation for images on a high pedestal
                typical = [np.median(v[np.isfinite(v)]) if np.isfinite(v).any() else 0.0 for v in values]
                origin = np.asarray(typical)[:, None]
            finite = np.isfinite(values)
            centred = np.where(finite, values - origin, 0.0)
            count += finite.sum(1)
            first += centred.sum(1)
            second += (centred**2).sum(1)
    if not count.all():
        raise ValueError("there is not one finite pixel")
    mean = first / count
    std = np.sqrt(np.maximum(second / count - mean**2, 0))
    return Scale(tuple((mean + origin[:, 0]).tolist()), tuple(std.tolist()))


def _strips(view: Array, skip: int, pixels: int = 1 << 22) -> Any:
    """Blocks of rows of (C, [Z,] Y, X), each a few megabytes."""
    planes = [view] if view.ndim == 3 else [view[:, z] for z in range(view.shape[1])]
    for plane in planes:
        height = max(1, pixels // plane.shape[-1])
        for top in range(0, plane.shape[1], height * skip):
            yield plane[:, top : top + height]


def fill(array: Array) -> tuple[Array, Array | None]:
    """Fill NaN and infinity from the nearest measured pixel of the same channel.

    Returns
    -------
    filled : array
        `array` itself when everything is finite.
    valid : array of bool or None, shape (1, ...)
        Where all channels were finite; None when everything is.

    Examples
    --------
    >>> fill(np.array([[1.0, np.nan, 3.0]], np.float32))[0]
    array([[1., 1., 3.]], dtype=float32)
    """
    if array.dtype.kind != "f":
        return array, None
    finite = np.isfinite(array)
    if finite.all():
        return array, None
    filled = array.copy()
    for channel, good in zip(filled, finite, strict=True):
        if good.any():
            nearest = ndimage.distance_transform_edt(~good, return_distances=False, return_indices=True)
            channel[...] = channel[tuple(nearest)]
        else:
            channel[...] = 0
    return filled, finite.all(0, keepdims=True)


class Patches:
    """Draws batches of random patches from views; nothing but the patches is ever in memory.

    Parameters
    ----------
    views : sequence of array, each (C, [Z,] Y, X)
        May be memory-mapped. Larger ones are drawn from more often.
    size : sequence of int
        Shape of a patch. Where a view is smaller, the rest is zero and not valid.
    scale : Scale
        Normalisation.
    augment : {"all", "flips", "none"}
        Flips and quarter turns in the plane, flips only (for noise with a direction), or nothing.
    targets : sequence of sequences of array, optional
        For each view those of the same shape that may be its target: one is drawn, and cut at the same place.
    noise : Noise, optional
        The views are clean: a new draw of this noise is put on every patch.
    partner : {"none", "noisy", "clean"}
        With `noise`: the target is a second draw, or the clean patch.
    chosen : callable, optional
        (origin, shape) -> bool array: which pixels of a patch count; the others are not valid.
    """

    def __init__(
        self,
        views: Sequence[Array],
        size: Sequence[int],
        scale: Scale,
        augment: str = "all",
        targets: Sequence[Sequence[Array]] | None = None,
        noise: Noise | None = None,
        partner: Literal["none", "noisy", "clean"] = "none",
        chosen: Callable[[Sequence[int], Sequence[int]], Array] | None = None,
    ) -> None:
        self.views, self.size, self.scale, self.augment, self.targets = views, tuple(size), scale, augment, targets
        self.noise, self.partner, self.chosen = noise, partner, chosen
        pixels = np.array([view[0].size for view in views], float)
        self.share = np.cumsum(pixels / pixels.sum())

    def batch(self, count: int, rng: np.random.Generator, device: str = "cpu") -> Batch:
        """Draw `count` patches."""
        noisy, valid, target = [], [], []
        for _ in range(count):
            which = min(int(np.searchsorted(self.share, rng.random(), side="right")), len(self.views) - 1)
            shape = self.views[which].shape[1:]
            at = [int(rng.integers(max(1, n - s + 1))) for n, s in zip(shape, self.size, strict=True)]
            turn = self._turn(rng)
            *patches, good = self._pair(which, at, rng)
            noisy.append(turn(self._ready(patches[0])))
            valid.append(turn(self._padded(good)))
            target += [turn(self._ready(patch)) for patch in patches[1:]]

        def tensor(parts: list[Array]) -> Tensor:
            return torch.from_numpy(np.stack(parts)).to(device)

        every = all(good.all() for good in valid)
        return Batch(
            tensor(noisy), None if every else tensor(valid), tensor(target) if target else None, scale=self.scale
        )

    def _pair(self, which: int, at: Sequence[int], rng: np.random.Generator) -> list[Array]:
        """The noisy patch, its target where there is one, and the pixels that were measured; image units."""
        patch, good = self._cut(self.views[which], at)
        if self.chosen is not None:
            good &= self.chosen(at, good.shape[1:])
        if self.noise is not None:
            model = self.noise.draw(rng)
            draws = [model.sample(patch.astype(np.float64), rng) for _ in range(2 if self.partner == "noisy" else 1)]
            return [*draws, *([patch] if self.partner == "clean" else []), good]
        if self.targets is None:
            return [patch, good]
        others = self.targets[which]
        target, also = self._cut(others[int(rng.integers(len(others)))], at)
        return [patch, target, good & also]

    def _cut(self, view: Array, at: Sequence[int]) -> tuple[Array, Array]:
        window = tuple(slice(a, a + s) for a, s in zip(at, self.size, strict=True))
        filled, good = fill(np.asarray(view[(slice(None), *window)]))
        return filled, np.ones((1, *filled.shape[1:]), bool) if good is None else good

    def _ready(self, patch: Array) -> Array:
        return self._padded(self.scale.normalise(patch))

    def _padded(self, patch: Array) -> Array:
        missing = [(0, 0)] + [(0, s - n) for s, n in zip(self.size, patch.shape[1:], strict=True)]
        # zero is the mean; a mirror image would show hidden pixels
        return np.pad(patch, missing) if any(after for _, after in missing) else patch

    def _turn(self, rng: np.random.Generator) -> Any:
        """Draw one of the plane's symmetries; the same for a patch, its target and its valid pixels."""
        flip_y, flip_x, swap = rng.integers(2, size=3) * (self.augment != "none")
        swap = swap and self.augment == "all" and self.size[-1] == self.size[-2]

        def turn(patch: Array) -> Array:
            patch = patch[..., ::-1, :] if flip_y else patch
            patch = patch[..., ::-1] if flip_x else patch
            return np.ascontiguousarray(patch.swapaxes(-1, -2) if swap else patch)

        return turn
