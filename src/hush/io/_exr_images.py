"""Which images an OpenEXR file holds: its parts, their layers, and the channels that belong together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

RGB_OF_EXR, GREY_OF_EXR, ALPHA_OF_EXR = ("R", "G", "B"), "Y", "A"


@dataclass(frozen=True)
class Group:
    """Channels that are one image.

    Attributes
    ----------
    name : str
        What it is called: of its part, its layer, or its channel.
    part : int
        Position of its part.
    channels : tuple of str
        Names in the file, in the order of the image.
    axes : str
        ``"YX"`` one channel, ``"YXS"`` colours or grey with opacity, ``"CYX"`` others.
    """

    name: str
    part: int
    channels: tuple[str, ...]
    axes: str


def groups(parts: Sequence[Any]) -> list[Group]:
    """Return all images of a file's parts, those of colours first within a part.

    Channels are one image where they are of one layer, one kind of number and one sampling.
    """
    found: list[Group] = []
    for place, part in enumerate(parts):
        prefix = f"{part.name()}/" if len(parts) > 1 and part.name() else f"{place}/" if len(parts) > 1 else ""
        kinds = {name: _kind(channel) for name, channel in part.channels.items()}
        for layer, names in _layers(kinds).items():
            found += [
                Group(prefix + title, place, channels, axes) for title, channels, axes in _divided(layer, names, kinds)
            ]
    return sorted(found, key=lambda one: (one.part, "S" not in one.axes, "." in one.channels[0]))


def ordered(group: Group, wanted: Iterable[str]) -> Group:
    """Return the group with its channels in the order that hush once wrote them, where they are the same.

    Examples
    --------
    >>> ordered(Group("", 0, ("a", "b"), "CYX"), ["b", "a"]).channels
    ('b', 'a')
    """
    names = tuple(wanted)
    same = group.axes == "CYX" and sorted(names) == sorted(group.channels)
    return Group(group.name, group.part, names, group.axes) if same else group


def _kind(channel: Any) -> tuple[str, int, int]:
    return str(np.asarray(channel.pixels).dtype), int(channel.xSampling), int(channel.ySampling)


def _layers(names: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the channels of every layer, which is what stands before the last dot."""
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(name.rpartition(".")[0], []).append(name)
    return found


def _divided(
    layer: str, names: list[str], kinds: Mapping[str, tuple[str, int, int]]
) -> list[tuple[str, tuple[str, ...], str]]:
    """Return title, channels and axes of every image of a layer."""
    dot = f"{layer}." if layer else ""
    for main in (RGB_OF_EXR, (GREY_OF_EXR,)):
        wanted = [dot + one for one in main]
        if not set(wanted) <= set(names) or len({kinds[name] for name in wanted}) > 1:
            continue
        alpha = dot + ALPHA_OF_EXR
        if alpha in names and kinds[alpha] == kinds[wanted[0]]:
            wanted.append(alpha)
        rest = [name for name in names if name not in wanted]
        title = layer or "".join(wanted)
        axes = "YXS" if len(wanted) > 1 else "YX"
        return [(title, tuple(wanted), axes), *((name, (name,), "YX") for name in rest)]
    found = []
    for kind in dict.fromkeys(kinds[name] for name in names):
        same = tuple(name for name in names if kinds[name] == kind)
        title = same[0] if len(same) == 1 else layer or ",".join(same)
        found.append((title, same, "CYX" if len(same) > 1 else "YX"))
    return found
