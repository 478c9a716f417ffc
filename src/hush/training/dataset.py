"""What a network learns from: the views of every file, what may be their targets, and the files held out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from hush.core.errors import HushError
from hush.core.image import Array, Image
from hush.core.missing import fill
from hush.noise import Noise
from hush.training.normalization import Scale, scale_of
from hush.training.patches import Patches

Partner = Literal["none", "noisy", "clean"]
SAMPLE_SIDE = 128  # side of the pieces on which the spread of noise that is put on clean images is measured


@dataclass(frozen=True)
class Scene:
    """The planes of one file for one network.

    Attributes
    ----------
    views : list of array, each (C, [Z,] Y, X)
    targets : list of list of array
        For each view those that show the same scene; empty where a method needs none.
    """

    views: list[Array]
    targets: list[list[Array]] = field(default_factory=list)


def scene_of(
    image: Image, target: Image | None, network: int, ndim: int, joint: bool, partner: Partner, made: bool
) -> Scene:
    """Return what one network sees of a file, with partners.

    Parameters
    ----------
    image, target : Image
        `target`: the other half of a pair, of the same shape.
    network : int
        Which channel.
    ndim : {2, 3}
    joint : bool
        Channels together.
    partner : {"none", "noisy", "clean"}
        What the method needs.
    made : bool
        The images are clean, and noise will be put on them: no partner is needed.

    Raises
    ------
    HushError
        When there is no partner, or it has another shape.
    """
    views = _views(image, network, ndim, joint)
    if partner == "none" or made:
        return Scene(views)
    if target is not None:
        _same_shape(image, target)
        others = _views(target, network, ndim, joint)
        if partner == "clean":
            return Scene(views, [[other] for other in others])
        return Scene(views + others, [[view] for view in others + views])  # either may be the input
    name = _name(image)
    if partner == "clean":
        raise HushError(f"{name} has no clean partner: give clean images with --targets, or clean images and --noise")
    groups = _frames(image, network, ndim, joint)
    if min(map(len, groups)) < 2:
        raise HushError(
            f"{name} has no second noisy frame: give --targets, an image with a T axis of two or more frames "
            f"(--axes TYX says that pages are frames), or clean images and --noise"
        )
    pairs = [(view, [other for other in group if other is not view]) for group in groups for view in group]
    return Scene([view for view, _ in pairs], [others for _, others in pairs])


def _views(image: Image, network: int, ndim: int, joint: bool) -> list[Array]:
    return [plane.view(image.data) for plane in image.planes(ndim, joint) if plane.channel == network]


def _frames(image: Image, network: int, ndim: int, joint: bool) -> list[list[Array]]:
    """Views that differ in time only, together."""
    groups: dict[str, list[Array]] = {}
    for plane in image.planes(ndim, joint):
        if plane.channel == network:
            place = [index for axis, index in zip(image.axes, plane.index, strict=True) if axis != "T"]
            groups.setdefault(str(place), []).append(plane.view(image.data))
    return list(groups.values())


def _same_shape(image: Image, target: Image) -> None:
    if image.data.shape != target.data.shape or image.axes != target.axes:
        one, other = (f"{_name(x)} ({x.axes} {'x'.join(map(str, x.data.shape))})" for x in (image, target))
        raise HushError(f"{one} and {other} are no pair: their axes and shapes must be the same")


def _name(image: Image) -> str:
    return str(image.meta.get("name") or "the image")


def split(scenes: Sequence[Scene], share: float, seed: int) -> tuple[list[Scene], list[Scene]]:
    """Divide into what is learned from and what is held out: by file, or the lower rows of a single file.

    Parameters
    ----------
    scenes : sequence of Scene
    share : float
        Part that is held out, 0 for nothing.
    seed : int
        Which files.

    Examples
    --------
    >>> kept, held = split([Scene([np.zeros((1, 100, 9))])], 0.1, seed=0)
    >>> kept[0].views[0].shape, held[0].views[0].shape
    ((1, 90, 9), (1, 10, 9))
    """
    if not share:
        return list(scenes), []
    if len(scenes) == 1:
        cut = [round(view.shape[-2] * (1 - share)) for view in scenes[0].views]
        return [_rows(scenes[0], cut, upper=True)], [_rows(scenes[0], cut, upper=False)]
    count = min(max(1, round(share * len(scenes))), len(scenes) - 1)
    chosen = set(np.random.default_rng(seed).permutation(len(scenes))[:count].tolist())
    return (
        [scene for number, scene in enumerate(scenes) if number not in chosen],
        [scene for number, scene in enumerate(scenes) if number in chosen],
    )


def _rows(scene: Scene, cuts: Sequence[int], upper: bool) -> Scene:
    def part(view: Array, cut: int) -> Array:
        return view[..., :cut, :] if upper else view[..., cut:, :]

    views = [part(view, cut) for view, cut in zip(scene.views, cuts, strict=True)]
    pairs = zip(scene.targets, cuts, strict=False)
    return Scene(views, [[part(view, cut) for view in others] for others, cut in pairs])


def measure(scenes: Sequence[Scene], noise: Noise | None, seed: int) -> Scale:
    """Measure mean and spread of what the network will be given.

    Parameters
    ----------
    scenes : sequence of Scene
    noise : Noise or None
        What will be put on the views: it is put on pieces of some of them, and widens the spread.
    seed : int
        Of that noise.

    Raises
    ------
    HushError
        When not one pixel is finite.
    """
    views = [view for scene in scenes for view in scene.views]
    if noise is not None:
        rng = np.random.default_rng(seed)
        some = [views[k] for k in np.unique(np.linspace(0, len(views) - 1, 64).astype(int))]
        pieces = [fill(np.asarray(view[..., :SAMPLE_SIDE, :SAMPLE_SIDE], np.float64))[0] for view in some]
        views = [noise.draw(rng).sample(piece, rng) for piece in pieces]
    try:
        return scale_of(views)
    except ValueError as error:
        raise HushError(f"nothing to learn from: {error}") from None


def patches_of(
    scenes: Sequence[Scene], size: Sequence[int], scale: Scale, augment: str, noise: Noise | None, partner: Partner
) -> Patches:
    """Return what draws patches from scenes."""
    views = [view for scene in scenes for view in scene.views]
    targets = [others for scene in scenes for others in scene.targets]
    return Patches(views, size, scale, augment, targets or None, noise, partner)
