"""A noise more for NoiseBreaker: its class, its denoiser and the classifier's head that knows it, in one file."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from safetensors.torch import save
from torch import nn

from hush import __version__
from hush.core import files
from hush.core.device import memory_format
from hush.core.errors import HushError, ModelFileError
from hush.core.image import Array
from hush.methods._model_file import FORMAT, read
from hush.noise import parse
from hush.pretrained import weights
from hush.pretrained.card import Card
from hush.pretrained.conditioning import PEAK
from hush.pretrained.noisebreaker import denoisers
from hush.pretrained.noisebreaker.classes import NoiseClass

NET, HEAD = "denoiser/", "head/"  # how the tensors of each are called


@dataclass(frozen=True)
class NewNoise:
    """A class of noise beyond the shipped ones, and what was trained for it.

    Attributes
    ----------
    noise : NoiseClass
    net : Module
        Its denoiser.
    known : Card
        What network that is.
    head : mapping of str to Tensor
        The classifier's last layers, for the shipped classes and this one.
    """

    noise: NoiseClass
    net: nn.Module
    known: Card
    head: Mapping[str, torch.Tensor]

    def remove(self, values: Array, level: float, device: str, precision: str) -> Array:
        """Return grey levels (C, Y, X), float32, without this noise."""
        return denoisers.in_tiles(self.net.to(device), values, told_of(self.noise, level), device, precision)

    def write(self, path: Path, *, overwrite: bool = False) -> None:
        """Write it to a file, atomically; by custom ``NAME.hush``."""
        files.refuse_existing(path, overwrite)
        note = {
            "format": FORMAT, "method": "noisebreaker", "name": self.noise.name, "noise": str(self.noise.noise),
            "card": self.known.as_dict(), "versions": {"hush": __version__, "torch": torch.__version__},
        }  # fmt: skip
        parts = {f"{NET}{key}": value for key, value in self.net.state_dict().items()}
        parts |= {f"{HEAD}{key}": value for key, value in self.head.items()}
        tensors = {key: value.detach().cpu().contiguous() for key, value in parts.items()}
        files.write_bytes(path, save(tensors, {"hush": json.dumps(note, sort_keys=True)}))

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Self:
        """Read one from a file.

        Raises
        ------
        HushError
            When the file is missing, damaged, or holds something else.
        """
        path = Path(path)
        note, tensors = read(path)
        if note.get("method") != "noisebreaker":
            raise ModelFileError(
                f"{path.name} holds a model of {note.get('method')}, and no noise: hush apply takes it"
            )
        try:
            known = Card.of(note["card"])
            net = weights.build(known)
            net.load_state_dict(_part(tensors, NET))
            noise = NoiseClass(note["name"], parse(note["noise"]), note["name"])
        except (KeyError, TypeError, ValueError, RuntimeError, HushError) as error:
            raise ModelFileError(f"{path.name} is damaged: {str(error).splitlines()[0]}") from None
        net = net.eval().requires_grad_(False).to(memory_format=memory_format(2))  # type: ignore[call-overload]
        return cls(noise, net, known, _part(tensors, HEAD))


def told_of(noise: NoiseClass, level: float) -> float:
    """Return what a denoiser is told of a level: the deviation of such noise at half of white, of a range of 1.

    Examples
    --------
    >>> told_of(NoiseClass("stripes", parse("stripes:amplitude=0..51")), 25.5)
    0.1
    """
    model = noise.at(level)
    assert model is not None
    _, variance = model.moments(np.array([PEAK / 2]))
    return float(np.sqrt(np.ravel(variance)[0])) / PEAK


def _part(tensors: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key.removeprefix(name): value for key, value in tensors.items() if key.startswith(name)}
