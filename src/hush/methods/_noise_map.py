"""The level of the noise at every pixel: as the user gives it, or as it is found, and as networks are shown it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from hush import io
from hush.core import tiling
from hush.core.errors import HushError
from hush.core.image import Array, Image, plain
from hush.core.missing import fill
from hush.methods._apply import Work
from hush.nets._level import inputs
from hush.pretrained import level
from hush.training.dataset import Scene
from hush.training.normalization import Scale
from hush.training.patches import Patches

MAP_WINDOW, MAP_STEP = 48, 24  # sides of the windows whose level is found, and of the steps between them
MOST_WINDOWS = 4096  # of a plane: in larger ones they lie further apart
WINDOWS_AT_ONCE = 64  # that the network is shown
MAP_BLUR = 0.7  # steps over which levels are averaged
LEAST_LEVEL = 0.01  # of the middle level, that any window has
MAP_PLANES = 4  # of a stack in which the map is looked for


class MapPatches(Patches):
    """Patches whose targets are noise maps: they come in units of the normalisation, but not shifted."""

    def _pair(self, which: int, at: Sequence[int], rng: np.random.Generator) -> list[Array]:
        noisy, levels, good = super()._pair(which, at, rng)
        middle = np.reshape(self.scale.mean, (-1, *(1,) * (levels.ndim - 1)))
        return [noisy, levels + middle, good]  # from which the normalisation takes it off

    @classmethod
    def of(cls, scenes: Sequence[Scene], size: Sequence[int], scale: Scale, augment: str) -> MapPatches:
        """Return what draws patches from scenes whose targets are their maps."""
        views = [view for scene in scenes for view in scene.views]
        return cls(views, size, scale, augment, [levels for scene in scenes for levels in scene.targets])


def read_map(given: Any) -> Array:
    """Return a noise map that was given as a file, an image or an array.

    Raises
    ------
    HushError
        When it cannot be read, or holds what no standard deviation is.
    """
    if isinstance(given, (str, Path)):
        given = io.read(given)
    data = given.data if isinstance(given, Image) else plain(given)
    levels = np.array(data, np.float32)  # a copy: it is kept
    if not (np.isfinite(levels).all() and (levels >= 0).all() and (levels > 0).any()):
        raise HushError("a noise map holds standard deviations: finite numbers, none below zero, not all zero")
    return levels


def spread_map(levels: Array, image: Image) -> Array:
    """Return a noise map for all pixels of an image, without a copy.

    Parameters
    ----------
    levels : array
        Of the shape of the image's plane (Y, X), of a frame (the image without T), of a plane with its channels or
        colours, or of the whole image.
    image : Image

    Raises
    ------
    HushError
        When its shape is none of these.

    Examples
    --------
    >>> spread_map(np.ones((4, 6)), Image(np.zeros((3, 4, 6, 3)), "ZYXS")).shape
    (3, 4, 6, 3)
    """
    axes = image.axes
    options = dict.fromkeys(
        "".join(axis for axis in axes if axis in some) for some in ("YX", "YXS", "CYX", "ZYXCS", axes)
    )
    shapes = {some: tuple(image.sizes[axis] for axis in some) for some in options}
    found = next((some for some, shape in shapes.items() if shape == levels.shape), None)
    if found is None:
        possible = ", ".join(f"{some} {'x'.join(map(str, shape))}" for some, shape in shapes.items())
        raise HushError(
            f"the noise map has the shape {'x'.join(map(str, levels.shape))}, which does not fit the image; "
            f"possible: {possible}"
        )
    whole = np.reshape(levels, [image.sizes[axis] if axis in found else 1 for axis in axes])
    return np.broadcast_to(whole, image.data.shape)


def in_words(given: Any) -> Any:
    """Return a setting as a text that tells it from others, where it is no text by itself."""
    if given is None or isinstance(given, str):
        return given
    if isinstance(given, Path):
        return str(given)
    if isinstance(given, (list, tuple)):
        return [in_words(one) for one in given]
    data = np.ascontiguousarray(given.data if isinstance(given, Image) else plain(given))
    return f"map of {'x'.join(map(str, data.shape))}, {hashlib.sha256(data.tobytes()).hexdigest()[:16]}"


def estimated_map(image: Image, joint_channels: bool = False) -> Array:
    """Return the level of the noise at every pixel of an image, found in it: one smooth map for each channel or colour.

    All planes of a channel share their map, the geometric mean of what some of them show.

    Parameters
    ----------
    image : Image
    joint_channels : bool
        See `hush.core.image.Image.planes`.

    Returns
    -------
    array of float32
        Of the image's shape, read only.

    Raises
    ------
    HushError
        When the image is smaller than a window.
    """
    small = np.zeros([size if axis in "CYXS" else 1 for axis, size in zip(image.axes, image.data.shape, strict=True)])
    small = small.astype(np.float32)
    every = list(image.planes(2, joint_channels))
    for channel in dict.fromkeys(plane.channel for plane in every):
        planes = [plane for plane in every if plane.channel == channel]
        some = [planes[k] for k in np.unique(np.linspace(0, len(planes) - 1, MAP_PLANES).astype(int))]
        views = [fill(np.asarray(plane.view(image.data), np.float64))[0] for plane in some]
        target = planes[0].view(small)  # the first of its pages: of the map there is but one
        for sample in range(len(target)):
            logs = [np.log(local_levels(view[sample])) for view in views]
            target[sample] = np.exp(np.mean(logs, 0))
    return np.broadcast_to(small, image.data.shape)


def local_levels(plane: Array) -> NDArray[np.float64]:
    """Return the level of the noise at every pixel of a plane, as it changes slowly from place to place.

    The shipped network of the level (`hush.pretrained.level`) looks at windows that overlap by half; what it says of
    them is averaged over neighbours, and interpolated.

    Parameters
    ----------
    plane : array, shape (Y, X)
        Finite.

    Raises
    ------
    HushError
        When the plane is smaller than a window.

    Examples
    --------
    >>> from hush.noise.ramp import Ramp
    >>> noisy = Ramp(4, 16).sample(np.full((96, 240), 100.0), np.random.default_rng(0))
    >>> found = local_levels(noisy)
    >>> bool(found[:, 20].mean() < 7 < 13 < found[:, -20].mean())
    True
    """
    if min(plane.shape) < MAP_WINDOW:
        raise HushError(
            f"a noise map is found in images of {MAP_WINDOW} x {MAP_WINDOW} pixels or more; for smaller ones give it"
        )
    near = (plane - np.median(plane)).astype(np.float32)
    step = max(MAP_STEP, int(np.ceil(np.sqrt(plane.size / MOST_WINDOWS))))
    tops, lefts = (_starts(size, step) for size in plane.shape)
    found = np.array([_window_levels([near[y : y + MAP_WINDOW, x : x + MAP_WINDOW] for x in lefts]) for y in tops])
    usual = np.median(found)
    if not usual > 0:
        usual = max(float(found.max()), float(np.finfo(np.float32).tiny))
    logs = ndimage.gaussian_filter(np.log(np.maximum(found, LEAST_LEVEL * usual)), MAP_BLUR, mode="nearest")
    for axis, starts in enumerate((tops, lefts)):
        middles = np.asarray(starts) + (MAP_WINDOW - 1) / 2
        logs = np.apply_along_axis(_at_every, axis, logs, middles, plane.shape[axis])
    levels: NDArray[np.float64] = np.exp(logs)
    return levels


def _at_every(line: NDArray[np.float64], places: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """Values at some places along a line, interpolated to all of them."""
    return np.interp(np.arange(size), places, line)


def _starts(size: int, step: int) -> list[int]:
    """Where windows begin: as even as can be, the last one at the end."""
    last = size - MAP_WINDOW
    number = -(-last // step) + 1
    return [round(float(start)) for start in np.linspace(0, last, number)]


def _window_levels(windows: Sequence[NDArray[np.float32]]) -> NDArray[np.float64]:
    """The levels of windows, no more than all that varies in each."""
    seen, _ = level.load()
    told = []
    with torch.inference_mode():
        for first in range(0, len(windows), WINDOWS_AT_ONCE):
            some = np.stack(windows[first : first + WINDOWS_AT_ONCE])
            shown, span = inputs(torch.from_numpy(some[:, None]))
            middle = seen(shown)[0][:, 2].double().exp() * span
            told.append(np.minimum(middle.numpy(), level.MOST_LEVEL * some.std((1, 2), dtype=np.float64)))
    return np.concatenate(told)


def pieces_in_order(image: Image, levels: Array, network: int, work: Work, ndim: int, joint: bool) -> Iterator[Array]:
    """Yield the pieces of a noise map in the order in which `hush.methods._apply.apply` asks a channel for its tiles.

    Parameters
    ----------
    image : Image
    levels : array
        Of the image's shape.
    network : int
        The channel.
    work : Work
        With one worker, so that there is an order.
    ndim : {2, 3}
    joint : bool
        Whether channels are joint.
    """
    for plane in image.planes(ndim, joint):
        if plane.channel == network:
            view = plane.view(levels)
            for tile in tiling.plan(view.shape[1:], work.tile, work.margin, work.multiple, padded=work.padded):
                yield view[(slice(None), *tile.read)]
