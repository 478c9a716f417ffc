"""By how much a scene drifts from plane to plane of a stack: a stage that creeps, a camera that shakes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from hush.core.image import Array, Image
from hush.core.missing import fill
from hush.pretrained.neighbours.gathering import equality
from hush.vst.stabilizer import Stabilizer

MOST_DRIFT = 8  # pixels from one plane to the next
FINE, COARSE = 1.5, 8.0  # blurs between which structure is compared: below is noise, above uneven light
SURE_PEAK = 6.0  # deviations of the correlation at other places, by which a peak stands out
DRIFT_WINDOW = 512  # side of the middle that is looked at


def steps_of(image: Image, ways: Sequence[Stabilizer], offsets: Sequence[int]) -> Array:
    """Return by how many whole pixels, along Y and X, the scene lies elsewhere in each neighbour: (Z, offsets, 2).

    Where parts of a scene move they pass for a drift of all of it: so a step counts only if more of the two planes is
    alike with it than without. Of a stack of several axes and channels the first channel tells, and the middle of the
    others.

    Parameters
    ----------
    image : Image
        With a Z axis.
    ways : sequence of Stabilizer
        Of the first channel.
    offsets : sequence of int
        Of the neighbours.
    """
    volumes = [plane for plane in image.planes(3) if plane.channel == 0]
    volume = volumes[len(volumes) // 2].view(image.data)[0]
    places = _places(volume, ways[0])
    steps = np.zeros((len(volume), len(offsets), 2), int)
    for at in range(len(volume)):
        for number, near in enumerate(at + offset for offset in offsets):
            if 0 <= near < len(volume):
                step = np.rint(places[near] - places[at]).astype(int)
                if not step.any():
                    continue
                own, other = (_ready(volume[k], ways[0]) for k in (at, near))
                if _more_alike(own, other, step, ways[0].sigma):
                    steps[at, number] = step
    return steps


def _places(volume: Array, way: Stabilizer) -> Array:
    """Where each plane of (Z, Y, X) lies against the first, (Z, 2) in pixels; two are looked at at a time."""
    steps, before = np.zeros((len(volume), 2)), _structure(_ready(volume[0], way))
    for at in range(1, len(volume)):
        here = _structure(_ready(volume[at], way))
        steps[at], before = step_between(before, here), here
    places: Array = np.cumsum(steps, 0)
    return places


def _more_alike(own: Array, other: Array, step: Array, sigma: float) -> bool:
    """Whether a plane is more like another one that is brought back by a step than like that one as it is."""
    one, two = (torch.from_numpy(plane)[None] for plane in (own, other))
    back, seen = brought_back(two, [int(part) for part in step])
    level = torch.full((1, 1, 1, 1), max(sigma, 1e-12))
    plainly, moved = (equality(one[None], each[None], level)[0, 0] * seen for each in (two, back))
    return bool(moved.sum() > plainly.sum())


def step_between(one: Array, other: Array) -> Array:
    """Return by how many pixels, along Y and X, the structure of a plane has moved in another; 0 where none is found.

    Examples
    --------
    >>> blob = np.zeros((64, 64))
    >>> blob[20:30, 30:50] = 1
    >>> step_between(blob, np.roll(blob, (3, -2), (0, 1))).round(1).tolist()
    [3.0, -2.0]
    """
    found = np.fft.irfft2(np.conj(np.fft.rfft2(one)) * np.fft.rfft2(other), one.shape)
    most = [min(MOST_DRIFT, (size - 1) // 4) for size in one.shape]
    near = np.ix_(*(np.arange(-far, far + 1) for far in most))
    close = found[near]
    down, right = np.unravel_index(int(np.argmax(close)), close.shape)
    away = found.copy()
    away[near] = np.nan
    spread = float(np.nanstd(away)) if np.isfinite(away).any() else 0.0
    if not close[down, right] > SURE_PEAK * spread > 0:
        return np.zeros(2)
    peak = np.array([down, right]) - most
    return peak + [_vertex([found[tuple(peak + k * unit)] for k in (-1, 0, 1)]) for unit in np.eye(2, dtype=int)]


def _vertex(values: Sequence[float]) -> float:
    """Where a parabola through three values at -1, 0 and 1 is highest."""
    before, here, after = values
    curve = before - 2 * here + after
    return float(np.clip((before - after) / (2 * curve), -0.5, 0.5)) if curve < 0 else 0.0


def _ready(plane: Array, way: Stabilizer) -> Array:
    """The middle of a plane, stabilised."""
    window = tuple(slice(max(0, (size - DRIFT_WINDOW) // 2), (size + DRIFT_WINDOW) // 2) for size in plane.shape)
    ready: Array = way.forward(np.asarray(fill(plane[window][None])[0][0], np.float32)).astype(np.float32)
    return ready


def _structure(values: Array) -> Array:
    """What of a plane lies between two blurs, fading out at its edges."""
    bands = ndimage.gaussian_filter(values, FINE) - ndimage.gaussian_filter(values, COARSE)
    fading: Array = bands * np.hanning(bands.shape[0])[:, None] * np.hanning(bands.shape[1])
    return fading


def brought_back(plane: Tensor, step: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Undo a drift by whole pixels, which leaves noise white.

    Parameters
    ----------
    plane : Tensor, shape (C, Y, X)
    step : sequence of int
        Along Y and X.

    Returns
    -------
    Tensor, shape (C, Y, X)
    Tensor, shape (Y, X)
        1 where it was seen, 0 where it came in from beyond the edge.

    Examples
    --------
    >>> brought_back(torch.tensor([[[0.0, 0.0, 7.0]]]), (0, 1))
    (tensor([[[0., 7., 0.]]]), tensor([[1., 1., 0.]]))
    """
    (down, right), (high, wide) = step, plane.shape[-2:]
    if not down and not right:
        return plane, torch.ones((high, wide), dtype=plane.dtype)
    rows, columns = torch.arange(high) + down, torch.arange(wide) + right
    seen = ((rows >= 0) & (rows < high))[:, None] & ((columns >= 0) & (columns < wide))
    back = torch.roll(plane, (-down, -right), (-2, -1))
    return back, seen.to(plane.dtype)
