"""Train the level's estimator: ``hush pretrain level``."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hush.core.device import device_name
from hush.datasets.hard import DEVELOPMENT
from hush.nets._level import Agreement
from hush.pretrained import level
from hush.pretrained._steps import Report
from hush.pretrained.level_agreement import Examples, examples, fit
from hush.pretrained.level_body import IMAGES, NOTHING, learned
from hush.pretrained.level_data import scenes

STEPS, EXAMPLES, HELD_OUT = 16_000, 48_000, 1500  # of fewer steps so many fewer examples
# of the scenes in which blocks are looked at: they tell more of larger ones; share of as many of them
LARGE_SIDE, LARGE_SHARE = 256, 0.6
SEEN = 1 / 255  # of the range: noise of a grey level


def train(
    data: Path,
    path: Path,
    *,
    steps: int | None = None,
    seed: int = 0,
    report: Report | None = None,
) -> None:
    """Train on photographs, simulated cells and the hard kinds for development, and write weights and card.

    First the network that sees the level; then what brings it and flat blocks to one answer.
    """
    begun, steps = time.perf_counter(), steps or STEPS
    seen = learned(scenes(data, DEVELOPMENT, seed), steps, seed, report)
    number = max(1, EXAMPLES * steps // STEPS)
    known = examples(seen, scenes(data, DEVELOPMENT, seed, side=LARGE_SIDE, share=LARGE_SHARE), range(number), seed)
    agreement = fit(known, seed)
    other = scenes(data, DEVELOPMENT, seed, development=True, side=LARGE_SIDE)
    held_out = examples(seen, other, range(min(HELD_OUT, number)), seed + 7)
    note = {
        "steps": steps, "batch": IMAGES, "examples": number, "seed": seed,
        "seconds": round(time.perf_counter() - begun), "device": device_name("cpu"),
        "command": "hush pretrain level" + (f" --steps {steps}" if steps != STEPS else ""),
        "scores": reliability(agreement, held_out),
    }  # fmt: skip
    level.write(path, seen, agreement, note)


def reliability(agreement: Agreement, known: Examples) -> dict[str, Any]:
    """Return how often the truth lies below each quantile, and how near the middle one is."""
    with torch.inference_mode():
        quantiles, truth = agreement(*known[:2]).numpy(), known[2].numpy()
    visible, none = truth > math.log(SEEN), truth <= math.log(NOTHING) + 1e-3
    error = np.abs(quantiles[visible, 2] - truth[visible])
    return {
        "below": [round(float((truth <= each).mean()), 3) for each in quantiles.T],
        "below_visible": [round(float((truth <= each)[visible].mean()), 3) for each in quantiles.T],
        "median_error": round(float(np.median(error)), 3),
        "error_of_9_in_10": round(float(np.quantile(error, 0.9)), 3),
        "width_90": round(float(np.median(quantiles[visible, 4] - quantiles[visible, 0])), 3),
        "clean_said_noisy": round(float((quantiles[none, 0] > math.log(SEEN / 2)).mean()), 3),
    }
