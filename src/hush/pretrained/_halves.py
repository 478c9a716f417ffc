"""Weights in half precision in a file of their own, with a note, and their card beside them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from hush.core import files
from hush.core.errors import WeightsError


def read(path: Path) -> tuple[Mapping[str, str], dict[str, Tensor]]:
    """Return the metadata of a file and its tensors in float32."""
    with safe_open(path, "pt") as file:
        return file.metadata() or {}, {key: file.get_tensor(key).float() for key in file.keys()}  # noqa: SIM118


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Say it where a network cannot be made from a file.

    Raises
    ------
    WeightsError
    """
    try:
        yield
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        why = str(error).splitlines()[0].replace(str(path), path.name)
        what = f"the weights {path.name} are missing, damaged or not hush's ({why})"
        raise WeightsError(f"{what}: install hush again, or train them with 'hush pretrain'") from None


def write(path: Path, tensors: Mapping[str, Tensor], key: str, note: Mapping[str, Any], card: str) -> None:
    """Write tensors in half precision, a note under a key of the metadata, and the card."""
    halves = {name: value.detach().cpu().to(torch.float16).contiguous() for name, value in tensors.items()}
    files.write_bytes(path, save(halves, {key: json.dumps(dict(note), sort_keys=True)}))
    files.write_text(path.with_suffix(".md"), card)
