"""The level's network with its weights: quantiles of the noise's level of a plane."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hush.core.image import Array
from hush.core.missing import fill
from hush.datasets.recipes import cut
from hush.estimation.band_energies import BAND_FACTS
from hush.estimation.learned import Evidence
from hush.nets._level import GRID, QUANTILES, Agreement, LevelNet, inputs
from hush.pretrained import _halves

PATH = Path(__file__).parent / "analysis" / "level.safetensors"
LEVEL_KEY = "hush-level"
LEVEL_WINDOW, LEAST_WINDOW = 384, 48  # sides of the middle of a plane that is looked at; smaller ones tell too little
LEVEL_PLANES = 4  # that are looked at
NETWORKS = ("seen.", "agreement.")
BLOCK_FACTS = 18  # numbers that say what blocks found
FACTS = BLOCK_FACTS + BAND_FACTS
LOGARITHMS = (-9.0, 1.0)  # of a level in units of the range
MOST_LEVEL = 1.1  # deviations of all there is: noise is no more, but for chance
MOST_MISSING = 0.01  # share of the pixels that may be filled in


def estimate(planes: Sequence[Array], blocks: Evidence) -> NDArray[np.float64] | None:
    """Return quantiles (`hush.nets._level.QUANTILES`) of the noise's level, the root of its mean variance.

    Parameters
    ----------
    planes : sequence of array, shape (Y, X)
        Of one channel, in units near one; NaN where a pixel is missing. Of several the median is taken.
    blocks : Evidence
        What flat blocks say of them.

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
    >>> from hush.estimation.report import ChannelNoise
    >>> noisy = np.random.default_rng(0).normal(100, 20, (128, 128)).astype(np.float32)
    >>> found = ChannelNoise("gaussian", 0.0, 0.0, 20.0, 0.0, 400.0, {"level": (19.0, 21.0)}, flat=1.0)
    >>> low, *_, high = estimate([noisy], Evidence.of(found, [noisy]))
    >>> bool(low < 20 < high)
    True
    """
    told = []
    for plane in planes[:LEVEL_PLANES]:
        window = window_of(plane)
        if window is None:
            continue
        with torch.inference_mode():
            seen, agreement = load()
            shown, span = inputs(torch.from_numpy(window[None, None]))
            facts = torch.from_numpy(facts_of(blocks, float(span[0]), window.size))
            whole = agreement(seen(shown)[0], facts[None])
        quantiles = np.exp(whole[0].double().numpy()) * float(span[0])
        told.append(np.minimum(quantiles, MOST_LEVEL * float(np.std(window, dtype=np.float64))))
    return np.median(told, 0) if told else None


def window_of(plane: Array) -> NDArray[np.float32] | None:
    """Return the middle of a plane that is looked at, or None where it is too small or lacks too many pixels."""
    window = np.asarray(cut(plane, LEVEL_WINDOW), np.float32)
    window = window[tuple(slice(size // GRID * GRID) for size in window.shape)]
    if min(window.shape) < LEAST_WINDOW or np.isnan(window).mean() > MOST_MISSING:  # what is filled in has no noise
        return None
    return np.ascontiguousarray(fill(window[None])[0][0], np.float32)


def facts_of(blocks: Evidence, span: float, pixels: int) -> NDArray[np.float32]:
    """Return what blocks say, in units of the range, as FACTS numbers near one."""
    noise = blocks.noise
    low, high = (max(end, 1e-30) / max(noise.level, 1e-30) for end in noise.interval.get("level", (0.0, 0.0)))
    kinds = [float(noise.kind in names) for names in (("none",), ("poisson", "poisson_gaussian"), ("speckle",))]
    lags = [float(noise.lags.get(name, 0.0)) for name in ("0,1", "1,0", "1,1", "0,2", "2,0")]
    step = (noise.quantisation or 0.0) / span
    facts = [
        float(np.clip(np.log(max(blocks.level / span, 1e-30)), *LOGARITHMS)),
        *np.clip(np.log([low, high]), -3, 3), np.log10(noise.flat + 1e-3) + 1.5, *kinds, *np.clip(lags, -1, 1),
        float(noise.white), float(noise.clipped_low is not None), float(noise.clipped_high is not None),
        min(100 * step, 5.0), np.log2(pixels / 128**2) / 2, min(10 * noise.impulse_fraction, 3.0),
    ]  # fmt: skip
    return np.concatenate([np.asarray(facts, np.float32), blocks.bands])


@lru_cache(maxsize=1)
def load(path: Path = PATH) -> tuple[LevelNet, Agreement]:
    """Return the networks with their weights.

    Raises
    ------
    WeightsError
        When they are missing or damaged.
    """
    nets = LevelNet(), Agreement(FACTS)
    with _halves.readable(path):
        _, tensors = _halves.read(path)
        for name, net in zip(NETWORKS, nets, strict=True):
            net.load_state_dict({key.removeprefix(name): tensors[key] for key in tensors if key.startswith(name)})
            net.eval().requires_grad_(False)
    return nets


def write(path: Path, seen: LevelNet, agreement: Agreement, note: dict[str, Any]) -> None:
    """Write weights in half precision and, beside them, their card."""
    both = zip(NETWORKS, (seen, agreement), strict=True)
    tensors = {name + key: value for name, net in both for key, value in net.state_dict().items()}
    _halves.write(path, tensors, LEVEL_KEY, note, card(path.stem, note))


def card(name: str, note: dict[str, Any]) -> str:
    """Return the card of the weights for people."""
    scores = dict(note["scores"])
    every, visible = (
        ", ".join(f"{share:.1%} below that of {q:.0%}" for q, share in zip(QUANTILES, scores[which], strict=True))
        for which in ("below", "below_visible")
    )
    numbers = [sum(value.numel() for value in net.state_dict().values()) for net in (LevelNet(), Agreement(FACTS))]
    return f"""# {name}

Quantiles of the level of the noise of one plane, for `hush.analyze`.

- **Networks**: `hush.nets._level`, stored in half precision: one that sees the plane ({numbers[0]:,} parameters), and
  one that brings it and flat blocks to one answer ({numbers[1]:,}).
- **Images**: BSDS500_train but for its last 20 and Train400 201-360 (Berkeley, for research and education), the hard
  kinds for development (`hush.datasets.hard.DEVELOPMENT`, made by rule and of the photographs
  that scikit-image ships), simulated cells. No image of a table.
- **Noise**: none, Gaussian, photons with read noise, speckle, uniform; white or spatially correlated; rounded and
  clipped (`hush.pretrained.level_data`).
- **Training**: {note["steps"]:,} steps of {note["batch"]} images and {note["examples"]:,} images of which blocks were
  asked, seed {note["seed"]}, {note["seconds"]:,} s on {note["device"]}: `{note["command"]}`.
- **Scores** on development scenes. True levels: {every}.
  Of noise above a grey level: {visible}; median error of the logarithm {scores["median_error"]}, of nine in ten below
  {scores["error_of_9_in_10"]}, 90 % interval {scores["width_90"]} wide. Of clean images
  {scores["clean_said_noisy"]:.1%} are surely said to have more than half a grey level.
"""
