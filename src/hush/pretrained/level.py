"""The level's network with its weights: quantiles of the noise's level of a plane."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from hush.core import files
from hush.core.errors import WeightsError
from hush.core.image import Array
from hush.core.missing import fill
from hush.datasets.recipes import cut
from hush.nets._level import GRID, QUANTILES, LevelNet, inputs

PATH = Path(__file__).parent / "analysis" / "level.safetensors"
LEVEL_KEY = "hush-level"
LEVEL_WINDOW, LEAST_WINDOW = 384, 48  # sides of the middle of a plane that is looked at; smaller ones tell too little
LEVEL_PLANES = 4  # that are looked at
MOST_MISSING = 0.01  # share of the pixels that may be filled in


def estimate(planes: Sequence[Array]) -> NDArray[np.float64] | None:
    """Return quantiles (`hush.nets._level.QUANTILES`) of the noise's level, the root of its mean variance.

    Parameters
    ----------
    planes : sequence of array, shape (Y, X)
        Of one channel, in units near one; NaN where a pixel is missing. Of several the median is taken.

    Returns
    -------
    array, shape (5,), or None
        In units of the planes; None where they are too small, or lack too many pixels.

    Raises
    ------
    WeightsError
        When the weights are missing or damaged.

    Examples
    --------
    >>> noisy = np.random.default_rng(0).normal(100, 20, (128, 128)).astype(np.float32)
    >>> low, *_, high = estimate([noisy])
    >>> bool(low < 20 < high)
    True
    """
    told = []
    for plane in planes[:LEVEL_PLANES]:
        window = np.asarray(cut(plane, LEVEL_WINDOW), np.float32)
        window = window[tuple(slice(size // GRID * GRID) for size in window.shape)]
        if min(window.shape) < LEAST_WINDOW or np.isnan(window).mean() > MOST_MISSING:  # what is filled in has no noise
            continue
        with torch.inference_mode():
            shown, span = inputs(torch.from_numpy(np.ascontiguousarray(fill(window[None])[0]))[None])
            whole, _, _ = load()(shown)
        told.append(np.exp(whole[0].double().numpy()) * float(span[0]))
    return np.median(told, 0) if told else None


@lru_cache(maxsize=1)
def load(path: Path = PATH) -> LevelNet:
    """Return the network with its weights.

    Raises
    ------
    WeightsError
        When they are missing or damaged.
    """
    try:
        with safe_open(path, "pt") as file:
            tensors = {key: file.get_tensor(key).float() for key in file.keys()}  # noqa: SIM118
        net = LevelNet()
        net.load_state_dict(tensors)
    except (SafetensorError, OSError, KeyError, ValueError, RuntimeError) as error:
        why = str(error).splitlines()[0]
        raise WeightsError(f"the weights {path.name} are missing, damaged or not hush's: {why}") from None
    return net.eval().requires_grad_(False)


def write(path: Path, net: LevelNet, note: dict[str, Any]) -> None:
    """Write weights in half precision and, beside them, their card."""
    halves = {key: value.detach().half().contiguous() for key, value in net.state_dict().items()}
    files.write_bytes(path, save(halves, {LEVEL_KEY: json.dumps(note, sort_keys=True)}))
    files.write_text(path.with_suffix(".md"), card(path.stem, note))


def card(name: str, note: dict[str, Any]) -> str:
    """Return the card of the weights for people."""
    scores = dict(note["scores"])
    below = ", ".join(f"{share:.1%} below that of {q:.0%}" for q, share in zip(QUANTILES, scores["below"], strict=True))
    return f"""# {name}

Quantiles of the level of the noise of one plane: `hush.analyze(image, estimator=hush.pretrained.level.estimate)`.

- **Network**: `hush.nets._level`, {sum(value.numel() for value in LevelNet().state_dict().values()):,} parameters,
  stored in half precision.
- **Images**: BSDS500_train but for its last 20 and Train400 but for its last 40 (Berkeley, for research and
  education), the hard kinds for development (`hush.datasets.hard.DEVELOPMENT`, made by rule and of the photographs
  that scikit-image ships), simulated cells. No image of a table.
- **Noise**: none, Gaussian, photons with read noise, speckle, uniform; white or spatially correlated; rounded and
  clipped (`hush.pretrained.level_data`).
- **Training**: {note["steps"]:,} steps of {note["batch"]} images, seed {note["seed"]}, {note["seconds"]:,} s on
  {note["device"]}: `{note["command"]}`.
- **Scores** on development scenes ({below}): median error of the logarithm {scores["median_error"]}, of nine in ten
  below {scores["error_of_9_in_10"]}, 90 % interval {scores["width_90"]} wide; of clean ones
  {scores["clean_said_noisy"]:.1%} are surely said to have more than half a grey level.
"""
