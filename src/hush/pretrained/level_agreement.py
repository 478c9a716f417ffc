"""Train what brings the level's network and flat blocks to one answer: the second part of ``hush pretrain level``."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from hush.estimation.analyze import analyze
from hush.estimation.flat_blocks import TooFewBlocksError
from hush.estimation.impulses import cleared
from hush.estimation.learned import Evidence
from hush.nets._level import Agreement, LevelNet, inputs
from hush.pretrained import level
from hush.pretrained.level_body import pinball, truth_of
from hush.pretrained.level_data import Floats, draw

CUTS, OFTEN = (64, 96, 128, 192, 256), (0.15, 0.2, 0.25, 0.2, 0.2)  # sides of the images, and how often
PADDED, LACKING, HIT = 0.1, 0.1, 0.25  # shares of images with a border of one value, one that is missing, impulses
MOST_HIT = 0.2  # of the pixels
FITTED, LEARNING_RATE, DECAY, DRAWN = 8000, 3e-3, 0.1, 1024  # steps over so many examples

Examples = tuple[Tensor, Tensor, Tensor]  # what the network sees, what blocks say, and the truth


def examples(seen: LevelNet, pool: Sequence[Floats], numbers: Sequence[int], seed: int) -> Examples:
    """Return what the network sees (N, 5), what blocks say (N, FACTS) and the truth (N,) of noisy images.

    Every number draws an image of its own; of those whose photons can be counted there is nothing to learn.
    """
    rows: list[tuple[Tensor, ...]] = []
    for number in numbers:
        rng = np.random.default_rng([seed, number])
        noisy, variance = _partly(*draw(pool, int(rng.choice(CUTS, p=OFTEN)), rng), rng)
        found = analyze(noisy).channels[0]
        plane = cleared([noisy])[0] if found.impulse_fraction else noisy  # as the analysis has it
        window = level.window_of(plane)
        if window is None or found.photons or found.binary or not np.ptp(window) > 0:
            continue
        try:
            blocks = Evidence.of(found, [plane])
        except TooFewBlocksError:  # nor is the estimator asked then
            continue
        with torch.inference_mode():
            shown, span = inputs(torch.from_numpy(window[None, None]))
            told = seen(shown)[0][0]
            truth = truth_of(torch.from_numpy(variance[np.isfinite(plane)])[None, None, None], span)[0]
        rows.append((told, torch.from_numpy(level.facts_of(blocks, float(span[0]), window.size)), truth))
    told, facts, truths = (torch.stack(column).clone() for column in zip(*rows, strict=True))
    return told, facts, truths


def _partly(noisy: Floats, variance: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """In some images a border of one value, pixels that are missing, or impulses: noise too, where none finds them."""
    rows, columns = noisy.shape
    tall, wide = (int(size * rng.uniform(0, 0.3)) for size in (rows, columns))
    border = np.ones((rows, columns), bool)
    border[tall : rows - tall // 2, wide // 2 : columns - wide] = False
    chance = rng.random()
    if chance < PADDED:
        return np.where(border, noisy.min(), noisy), np.where(border, np.float32(0), variance)
    if chance < PADDED + LACKING:
        return np.where(border, np.float32(np.nan), noisy), variance
    if chance < PADDED + LACKING + HIT:
        low, high = float(noisy.min()), float(noisy.max())
        stuck: tuple[float, ...] = ((low,), (low, high), (float(rng.uniform(low, high)),))[int(rng.integers(3))]
        values = rng.choice(stuck, noisy.shape) if rng.random() < 0.7 else rng.uniform(low, high, noisy.shape)
        hit = rng.random(noisy.shape) < rng.uniform(0, MOST_HIT)
        return np.where(hit, values, noisy).astype(np.float32), np.where(hit, (values - noisy) ** 2, variance).astype(
            np.float32
        )
    return noisy, variance


def fit(known: Examples, seed: int = 0, turns: int = FITTED) -> Agreement:
    """Fit the quantiles to examples by the pinball loss."""
    torch.manual_seed(seed)
    net = Agreement(known[1].shape[1])
    net.accustom(known[1])
    optimiser = torch.optim.AdamW(net.parameters(), LEARNING_RATE, weight_decay=DECAY)
    for turn in range(turns):
        for group in optimiser.param_groups:
            group["lr"] = LEARNING_RATE * (1 + math.cos(math.pi * turn / turns)) / 2
        chosen = torch.randint(len(known[2]), (DRAWN,))
        said = net.each(known[0][chosen], known[1][chosen])
        loss = sum((pinball(one, known[2][chosen]) for one in said), torch.zeros(()))
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    return net.eval()
