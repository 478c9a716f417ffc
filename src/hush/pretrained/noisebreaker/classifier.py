"""The classifier of noise with its weights: which class an image's noise is of, and at what level."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hush.core.errors import HushError, unknown
from hush.core.image import Array
from hush.core.missing import fill
from hush.nets._mobilenet import MobileNetV2
from hush.nets._noise_net import NoiseNet
from hush.pretrained import _halves
from hush.pretrained.noisebreaker.classes import NoiseClass, classes

CLASSIFIER_KEY = "hush-noise-classifier"
CLASSIFIERS = {"small": "classifier", "mobilenet": "mobilenet"}  # networks, and their files
CROP, LEAST_CLASSIFIED = 224, 48  # sides of what votes, and of the smallest image
Head = Mapping[str, Tensor]


@dataclass(frozen=True)
class Verdict:
    """What the classifier says of an image.

    Attributes
    ----------
    probabilities : array, shape (n,)
        Of the classes.
    levels : array, shape (n,)
        Of each class, were the noise its own; see `NoiseClass.level`.
    """

    probabilities: NDArray[np.float64]
    levels: NDArray[np.float64]

    @property
    def best(self) -> int:
        """Which class is the likeliest."""
        return int(self.probabilities.argmax())


def classify(
    planes: Sequence[Array], net: str = "small", head: Head | None = None, table: Sequence[NoiseClass] | None = None
) -> Verdict:
    """Tell the class of the noise; up to five windows of each plane vote: the corners and the middle.

    Parameters
    ----------
    planes : sequence of array, shape (Y, X)
        Grey levels of an image whose peak is 255.
    net : str
        ``small`` or ``mobilenet``.
    head : mapping of str to Tensor, optional
        Of a table with more classes; see `hush.pretrained.noisebreaker.classifier_train.refit`.
    table : sequence of NoiseClass, optional
        The classes; the shipped ones where nothing is said.

    Raises
    ------
    HushError
        Where a plane is smaller than 48 pixels a side.
    WeightsError
        When the weights are missing or damaged.

    Examples
    --------
    >>> noisy = np.random.default_rng(0).normal(120, 25, (128, 128)).astype(np.float32)
    >>> classes()[classify([noisy]).best].name
    'gaussian-medium'
    """
    known = classes() if table is None else table
    windows = [window for plane in planes for window in _windows(plane)]
    network = load(net)
    if head is not None:
        network = _with_head(network, head)
    if network.head[-1].out_features != 2 * len(known):
        told_apart = network.head[-1].out_features // 2
        raise HushError(
            f"{len(known)} classes, but the classifier {net} tells {told_apart} apart: give the head of them"
        )
    with torch.inference_mode():
        told = [network(torch.from_numpy(window)[None, None]) for window in windows]
    votes = torch.stack([torch.log_softmax(logits[0].double(), 0) for logits, _ in told]).mean(0)
    places = torch.stack([places[0].double().clamp(0, 1) for _, places in told]).mean(0).numpy()
    low, high = np.array([one.limits for one in known]).T
    return Verdict(torch.softmax(votes, 0).numpy(), low + places * (high - low))


def _windows(plane: Array) -> list[NDArray[np.float32]]:
    if min(plane.shape) < LEAST_CLASSIFIED:
        seen = f"{plane.shape[1]} x {plane.shape[0]} pixels are too few to tell the noise"
        raise HushError(f"{seen}: the classifier takes {LEAST_CLASSIFIED} x {LEAST_CLASSIFIED} and more")
    whole = fill(np.asarray(plane, np.float32)[None])[0][0]
    high, wide = (min(size, CROP) for size in plane.shape)
    down, right = plane.shape[0] - high, plane.shape[1] - wide
    corners = {(0, 0), (0, right), (down, 0), (down, right), (down // 2, right // 2)}
    return [np.ascontiguousarray(whole[top : top + high, left : left + wide]) for top, left in sorted(corners)]


def _with_head(network: Any, state: Head) -> Any:
    """The same body under another head."""
    made = type(network)(len(state["2.bias"]) // 2)
    made.load_state_dict(network.state_dict() | {f"head.{name}": value for name, value in state.items()})
    return made.eval().requires_grad_(False)


def load(net: str = "small") -> Any:
    """Return a network with its weights.

    Raises
    ------
    HushError
        When there is no such network.
    WeightsError
        When its weights are missing or damaged.
    """
    if net not in CLASSIFIERS:
        raise unknown("classifier", net, CLASSIFIERS)
    return read(net, Path(__file__).parent / f"{CLASSIFIERS[net]}.safetensors")


@lru_cache(maxsize=2)
def read(net: str, path: Path) -> nn.Module:
    """Return a network with the weights of a file.

    Raises
    ------
    WeightsError
        When they are missing or damaged.
    """
    with _halves.readable(path):
        _, tensors = _halves.read(path)
        count = len(tensors["head.2.bias"]) // 2
        made = MobileNetV2(count) if net == "mobilenet" else NoiseNet(count)
        made.load_state_dict(tensors)
    return made.eval().requires_grad_(False)


def write(path: Path, net: nn.Module, note: Mapping[str, Any]) -> None:
    """Write weights in half precision and, beside them, their card."""
    _halves.write(path, net.state_dict(), CLASSIFIER_KEY, note, card(path.stem, net, note))


def card(name: str, net: nn.Module, note: Mapping[str, Any]) -> str:
    """Return the card of the weights for people."""
    of_classes = ", ".join(f"{one} {share:.0%}" for one, share in note["by_class"].items())
    return f"""# {name}

The class of an image's noise and its level, of `hush.pretrained.noisebreaker.classifier`:
`classify(planes, "{note["net"]}")`.

- **Network**: `hush.nets.{note["module"]}`, {sum(value.numel() for value in net.parameters()):,} parameters, stored in
  half precision.{note["begin"]}
- **Classes**: {", ".join(note["by_class"])} (NoiseBreaker's table 1, `classes.toml`).
- **Images**: BSDS500_train but for its last 20 and Train400 201-360 (Berkeley, for research and education),
  ImageNet_sample (licence not stated, for research), in grey, of several sizes; some after `gaussian-fast`, a Gaussian
  or a median (clean). No image of a table.
- **Noise**: of a class that is drawn uniformly, unclipped; on a share of the images on top of another class's, with
  lost pixels filled in, or rounded and clipped to 8 bits (`hush.pretrained.noisebreaker.classifier_data`).
- **Training**: {note["training"]}, seed {note["seed"]}, {note["seconds"]:,} s on {note["device"]}:
  `{note["command"]}`.
- **Accuracy** on {note["tested"]:,} windows of {CROP} x {CROP} pixels of the last 20 of BSDS500_train:
  {note["accuracy"]:.1%} ({of_classes}); median error of the level {note["level_error"]:.1%} of the class's range.
"""
