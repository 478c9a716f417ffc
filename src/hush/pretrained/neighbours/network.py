"""The network of neighbours with its weights, and what it is shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hush.core.device import memory_format
from hush.nets.resunet import ResUNet
from hush.pretrained import _halves, weights
from hush.pretrained.neighbours.gathering import gather

NEIGHBOURS_PATH = Path(__file__).parent / "neighbours.safetensors"
NEIGHBOURS_KEY = "hush-neighbours"
BEGUN_WITH = "gaussian-fast"
NEIGHBOUR_OFFSETS = (-1, 1, -2, 2)  # of the planes that are shown beside the one in question, in this order
SHOWN_PLANES = 4 + len(NEIGHBOUR_OFFSETS)


def tell(own: Tensor, others: Tensor, sigma: Tensor, there: Tensor) -> Tensor:
    """Return what the network sees: the mean with its neighbours and its level, the plane and its level, neighbours.

    Parameters
    ----------
    own : Tensor, shape (B, 1, Y, X)
        In a range of about 1.
    others : Tensor, shape (B, 4, Y, X)
        At `NEIGHBOUR_OFFSETS`.
    sigma : Tensor, shape (B, 1, 1, 1)
    there : Tensor, shape (B, 4, 1, 1)
        0 for those beyond an end: in their place the plane itself is shown.

    Returns
    -------
    Tensor, shape (B, 8, Y, X)
    """
    others = torch.where(there > 0, others, own)
    mean, level = gather(own, others, sigma, there)
    return torch.cat([mean, level, own, sigma.expand_as(own), others], 1)


def untrained() -> ResUNet:
    """Return the network as its training begins: it does to the mean what `gaussian-fast` does to a plane."""
    begin, known = weights.load(BEGUN_WITH)
    net = ResUNet(SHOWN_PLANES, 1, **known.settings)
    state = dict(begin.state_dict())
    first = torch.zeros_like(net.state_dict()["first.weight"])
    first[:, : state["first.weight"].shape[1]] = state["first.weight"]
    net.load_state_dict(state | {"first.weight": first})
    return net


@lru_cache(maxsize=2)
def load(device: str = "cpu", path: Path = NEIGHBOURS_PATH) -> nn.Module:
    """Return the network with its weights.

    Raises
    ------
    WeightsError
        When they are missing or damaged.
    """
    with _halves.readable(path):
        _, tensors = _halves.read(path)
        net = ResUNet(SHOWN_PLANES, 1, **weights.card(BEGUN_WITH).settings)
        net.load_state_dict(tensors)
    net = net.to(device).eval().requires_grad_(False)
    return net.to(memory_format=memory_format(2))  # type: ignore[call-overload,no-any-return]


def write(path: Path, net: nn.Module, note: Mapping[str, Any]) -> None:
    """Write weights in half precision and, beside them, their card."""
    _halves.write(path, net.state_dict(), NEIGHBOURS_KEY, note, card(path.stem, note))


def card(name: str, note: Mapping[str, Any]) -> str:
    """Return the card of the weights for people."""
    rows: Sequence[Mapping[str, Any]] = note["scores"]
    lines = [f"# {name}", "", "One plane of a volume or a series, with the help of two neighbours on each side.", "",
             f"- Network: `resunet`, {note['parameters']:,} weights in float16, begun with `{BEGUN_WITH}`; it is shown",
             "  the mean with its neighbours where they show the same, the plane, the neighbours, and both levels.",
             "- Noise: white and Gaussian, of known level, "
             f"{note['sigma'][0]:g} to {note['sigma'][1]:g} of a range of 255.",
             f"- Trained for {', then '.join(f'{steps:,}' for steps, *_ in note['cycles'])} steps of {note['batch']} x "
             f"{note['patch']}² pixels in "
             f"{note['seconds'] / 3600:.1f} h on {note['device']}, seed {note['seed']}.",
             f"- Licence: {weights.card(BEGUN_WITH).licence}.",
             f"- Command: `{note['command']}`", "", "## Trained on", "", "| images | share | licence |",
             "| --- | --- | --- |"]  # fmt: skip
    lines += [f"| {one['name']} | {one['share']:.0%} | {one['licence']} |" for one in note["data"]]
    lines += ["", "## Scores", "", "On stacks that were not learned from, peak 255: slice by slice with "
              f"`{BEGUN_WITH}`, and with neighbours.", "", "| stacks | sigma | by itself | with neighbours |",
              "| --- | --- | --- | --- |"]  # fmt: skip
    lines += [f"| {one['name']} | {one['sigma']:g} | {one['alone']:.2f} | {one['psnr']:.2f} |" for one in rows]
    return "\n".join(lines) + "\n"
