"""Weights: networks that come with hush, trained beforehand on clean images, each with its card."""

from __future__ import annotations

import hashlib
import json
import os
from functools import lru_cache
from pathlib import Path
from typing import Any

import platformdirs
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from hush.core import files, registry
from hush.core.device import memory_format
from hush.core.errors import WeightsError, unknown
from hush.nets._gauge import Gauge
from hush.pretrained.card import Card

FORMAT = 1
HERE = Path(__file__).parent
KEY = "hush-weights"
WEIGHTS = {  # what ships for so many colours, without and with a camera's noise; the first that is here is taken
    (1, False): ("gaussian-fast",),
    (1, True): ("camera-fast", "gaussian-fast"),
    (3, False): ("colour-fast", "gaussian-fast"),
    (3, True): ("camera-fast", "gaussian-fast"),
}
BLIND_WEIGHTS = "snapshot-fast"  # those that analyse the noise themselves
FAST, BEST = "-fast", "-best"  # how the names of weights end: of less arithmetic, and of more, where there are any


def cache() -> Path:
    """Return the folder of weights that were put there by hand: ``HUSH_WEIGHTS``, or one in the user's cache."""
    return Path(os.environ.get("HUSH_WEIGHTS") or platformdirs.user_cache_path("hush", appauthor=False) / "weights")


def paths() -> dict[str, Path]:
    """Return the files of all weights by name; one in the cache goes before a shipped one."""
    found: dict[str, Path] = {}
    for folder in (HERE, cache()):
        if folder.is_dir():
            found |= {path.stem: path for path in sorted(folder.glob("*.safetensors"))}
    return found


def suited(samples: int, camera: bool, best: bool = False) -> str:
    """Return the name of the weights for an image of so many colours, whose noise is white and Gaussian or not.

    With `best` those of more arithmetic, where there are any.
    """
    names = WEIGHTS[samples if samples in (1, 3) else 1, camera]
    here = paths()
    return _better(next((name for name in names if name in here), names[-1]), best)


def rival(samples: int, taken: str, best: bool = False) -> str | None:
    """Return the name of other weights that may suit an image of so many colours too; None where there are none."""
    here, count = paths(), samples if samples in (1, 3) else 1
    names = (*WEIGHTS[count, False], *WEIGHTS[count, True])
    other = next((name for name in names if name in here and name != taken.replace(BEST, FAST)), None)
    return other and _better(other, best)


def _better(name: str, best: bool) -> str:
    """The weights of the same kind and of more arithmetic, if they are asked for and here."""
    better = name.replace(FAST, BEST)
    return better if best and better in paths() else name


def card(name: str) -> Card:
    """Return what is known of some weights.

    Raises
    ------
    WeightsError
        When they are missing or damaged.
    """
    return _read(name)[0]


@lru_cache(maxsize=8)
def load(name: str, device: str = "cpu") -> tuple[nn.Module, Card]:
    """Return a network with its weights, ready to be applied, and its card.

    It maps (B, `Inputs.count`, Y, X), noisy channels in -0.5 to 0.5 and what the card's inputs say of their noise, to
    (B, C, Y, X).

    Raises
    ------
    WeightsError
        When they are missing or damaged.
    """
    known, values = _read(name)
    try:
        net = build(known)
        net.load_state_dict({key: value.float() for key, value in values.items()})
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise WeightsError(f"the weights {name} are damaged: {str(error).splitlines()[0]}") from None
    net = net.to(device).eval().requires_grad_(False)
    return net.to(memory_format=memory_format(2)), known  # type: ignore[call-overload]


def build(known: Card) -> nn.Module:
    """Build the network of a card, untrained."""
    net: nn.Module = registry.get("nets", known.net)(known.inputs.count, known.channels, ndim=2, **known.settings)
    if known.finds_level:
        net.add_module("gauge", Gauge(known.channels))
    return net


def write(path: Path, net: nn.Module, known: Card) -> None:
    """Write weights in half precision and, beside them, their card for people.

    Parameters
    ----------
    path : Path
        ``NAME.safetensors``.
    net : Module
    known : Card
    """
    halves = {key: value.detach().cpu().half().contiguous() for key, value in net.state_dict().items()}
    data = save(halves, {KEY: json.dumps({"format": FORMAT} | known.as_dict(), sort_keys=True)})
    files.write_bytes(path, data)
    files.write_text(path.with_suffix(".md"), known.as_text(path.stem))


def tensors(path: Path) -> dict[str, torch.Tensor]:
    """Return what a file holds, in float16."""
    return _open(path)[1]


def _open(path: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    try:
        with safe_open(path, "pt") as file:
            note = json.loads((file.metadata() or {})[KEY])
            return note, {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise WeightsError(f"the weights {path.name} are damaged or not hush's: {error}") from None


def _read(name: str) -> tuple[Card, dict[str, torch.Tensor]]:
    found = paths()
    if name not in found:
        raise unknown("weights", name, found, WeightsError)
    path = found[name]
    note, values = _open(path)
    if note.get("format", 0) > FORMAT:
        raise WeightsError(f"the weights {path.name} have format {note['format']}: a later hush wrote them")
    facts = {"bytes": path.stat().st_size, "parameters": sum(value.numel() for value in values.values())}
    try:
        return Card.of(note | facts | {"sha256": hashlib.sha256(path.read_bytes()).hexdigest()}), values
    except (KeyError, TypeError, ValueError) as error:
        raise WeightsError(f"the weights {path.name} are damaged: their card lacks {error}") from None
