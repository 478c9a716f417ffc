"""A training run as a file, so that it can be resumed after any stop."""

from __future__ import annotations

import hashlib
import json
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from hush.core import files
from hush.core.errors import HushError
from hush.core.findings import Finding
from hush.training.processes import current
from hush.training.trainer import State, Trainer


class Checkpoint:
    """A file that holds a training run, written atomically; see ``--resume``.

    Of several processes the first one reads and writes; the others take the state from it (`Trainer.share`).

    Parameters
    ----------
    path : Path
        Where; beside the output.
    identity : mapping
        Settings and inputs, plain JSON. A checkpoint of another identity is refused.
    resume : bool
        Whether to read what is there.
    every : float
        Seconds between two writes.

    Raises
    ------
    HushError
        When resuming from a file that is damaged or belongs to other inputs or settings.
    """

    def __init__(self, path: Path, identity: Mapping[str, Any], resume: bool, every: float = 5.0) -> None:
        self.path, self.every = Path(path), every
        self.processes = current()
        self.identity = json.loads(json.dumps({**identity, "processes": self.processes.count}))
        self.processes.demand_equal(self.identity)
        self.tensors: dict[str, Tensor] = {}
        self.states: dict[str, dict[str, Any]] = {}
        self.written = time.monotonic()
        if resume and self.processes.first and self.path.exists():
            self._read()

    def _read(self) -> None:
        try:
            with safe_open(self.path, "pt") as file:
                note = json.loads((file.metadata() or {})["hush-checkpoint"])
                self.tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        except (SafetensorError, KeyError, ValueError, OSError) as error:
            raise HushError(f"{self.path.name} is not a checkpoint that can be resumed ({error}); delete it") from None
        known = {"processes": 1, **note["identity"]}  # earlier versions did not say how many
        changed = [key for key in self.identity if self.identity[key] != known.get(key)]
        if changed:
            key = changed[0]
            raise HushError(
                f"cannot resume {self.path.name}: {key} was {known.get(key)!r} and is now "
                f"{self.identity[key]!r}; use the same inputs and settings, or start again without --resume"
            )
        self.states = note["states"]

    @property
    def due(self) -> bool:
        """Whether it is time to write again."""
        return time.monotonic() - self.written > self.every

    def store(self, name: str, trainer: Trainer) -> None:
        """Write a trainer's state under a name, beside the others': to a temporary file, then renamed."""
        if not self.processes.first:
            return
        self.tensors = {key: value for key, value in self.tensors.items() if not key.startswith(f"{name}/")}
        for key, value in trainer.tensors().items():
            self.tensors[f"{name}/{key}"] = value.detach().cpu().clone().contiguous()
        self.states[name] = dict(vars(trainer.state))
        note = json.dumps({"identity": self.identity, "states": self.states})
        self.written = time.monotonic()
        try:
            files.write_bytes(self.path, save(self.tensors, {"hush-checkpoint": note}))
        except HushError as error:  # a full disk must not end the training that the checkpoint protects
            warnings.warn(Finding("no-checkpoint", f"no checkpoint: {error}").warning(), stacklevel=2)

    def restore(self, name: str, trainer: Trainer) -> None:
        """Put a trainer where it stood, if its state is here."""
        if name in self.states:
            mine = {key.partition("/")[2]: v for key, v in self.tensors.items() if key.startswith(f"{name}/")}
            trainer.restore(mine, State(**self.states[name]))

    def remove(self) -> None:
        """Delete the file, at success."""
        self.path.unlink(missing_ok=True)


def digest(data: Any) -> str:
    """Return a short fingerprint of an array, from up to a thousand of its rows."""
    rows = data.size // data.shape[-1]
    return hashlib.sha256(np.ascontiguousarray(data[..., :: max(1, rows // 1000), :]).tobytes()).hexdigest()[:16]
