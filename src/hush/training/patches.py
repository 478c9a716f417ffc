"""Random patches straight from images, drawn lazily, and the statistics that normalise them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from hush.core.missing import fill
from hush.noise import Noise
from hush.training.normalization import Scale

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
