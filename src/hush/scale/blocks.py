"""A lazy array of Dask, denoised lazily: the method is fitted at once, a block is computed when it is asked for."""

from __future__ import annotations

import importlib
import threading
import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hush.core.device import available_memory, cores
from hush.core.errors import HushWarning
from hush.core.findings import Finding
from hush.core.image import Array, Image
from hush.core.lazy import Lazy
from hush.methods._base import Denoiser
from hush.methods._pieces import WIDER, Pieces, cut, sample_for


@dataclass
class Window:
    """The part of an image that is here, indexed as if all of it were: a source of a `Lazy`.

    Attributes
    ----------
    part : array
    corner : tuple of int
        Where it begins.
    shape : tuple of int
        Of the image.
    """

    part: Array
    corner: tuple[int, ...]
    shape: tuple[int, ...]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the image."""
        found: np.dtype[Any] = self.part.dtype
        return found

    def __getitem__(self, box: tuple[slice, ...]) -> Array:
        return self.part[tuple(slice(at.start - by, at.stop - by) for at, by in zip(box, self.corner, strict=True))]


class Blocks:
    """The pieces of an image that is not here: called with a piece's number and what it needs to see.

    Parameters
    ----------
    pieces : Pieces
    """

    def __init__(self, pieces: Pieces) -> None:
        noisy, nothing = pieces.image, np.zeros((1,) * len(pieces.image.axes), pieces.image.data.dtype)
        self.pieces = replace(pieces, image=replace(noisy, data=nothing), info={}, look=None)

    def __call__(self, number: int, part: Array, corner: tuple[int, ...]) -> Array:
        """Return a piece without its noise."""
        window = Window(np.asarray(part), corner, self.pieces.plan.shape)
        image = replace(self.pieces.image, data=Lazy(window))
        with _quiet_together:
            return replace(self.pieces, image=image).region(number).clean


def denoised_lazily(denoiser: Denoiser, noisy: Image, source: Any) -> Any:
    """Fit a method to a sample, and return an array of Dask whose chunks are the pieces.

    Parameters
    ----------
    denoiser : Denoiser
        One that works on pieces (`cuts`), not fitted.
    noisy : Image
        Its data is a `Lazy` of `source`.
    source : dask.array.Array

    Returns
    -------
    dask.array.Array
        Of the same shape and dtype. What the method says of the sample is said at once, as HushWarning.
    """
    array: Any = importlib.import_module("dask.array")
    delayed: Any = importlib.import_module("dask").delayed
    memory = available_memory() // 2 // cores()  # Dask works on as many pieces at once
    sample = sample_for(noisy, memory, denoiser.ndim)
    pieces = cut(denoiser.fit([sample]), noisy, memory, sample=sample)
    for one in pieces.info["warnings"]:
        warnings.warn(Finding(**one).warning(), stacklevel=3)
    nothing = np.empty((0,) * source.ndim, pieces.dtype)
    plan, blocks = pieces.plan, delayed(Blocks(pieces), pure=False, traverse=False)
    grid = np.empty(plan.counts, object)
    for piece, place in zip(plan, np.ndindex(*plan.counts), strict=True):
        # of floats some may be missing, and then the nearest measured pixels must be in it
        box = plan.around(piece.write, WIDER) if source.dtype.kind == "f" else piece.read
        made = blocks(piece.number, source[box], tuple(part.start for part in box))
        shape = tuple(part.stop - part.start for part in piece.write)
        grid[place] = array.from_delayed(made, shape, pieces.dtype, meta=nothing)
    return array.block(grid.tolist())


class _QuietTogether:
    """Raise no HushWarning as long as any thread is in it: what `warnings` offers is for one thread only."""

    def __init__(self) -> None:
        self.lock, self.inside = threading.Lock(), 0

    def __enter__(self) -> None:
        with self.lock:
            self.inside += 1
            if self.inside == 1:
                self.before = warnings.catch_warnings()
                self.before.__enter__()
                warnings.simplefilter("ignore", HushWarning)

    def __exit__(self, *_: object) -> None:
        with self.lock:
            self.inside -= 1
            if self.inside == 0:
                self.before.__exit__(None, None, None)


_quiet_together = _QuietTogether()
