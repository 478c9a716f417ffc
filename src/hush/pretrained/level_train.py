"""Train the level's network: ``hush pretrain level``."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hush.core.device import device_name
from hush.datasets.hard import DEVELOPMENT
from hush.nets._level import GRID, QUANTILES, LevelNet, inputs
from hush.pretrained import level
from hush.pretrained.level_data import Floats, draw, scenes

STEPS, IMAGES = 16_000, 16
SIDES, SHARES = (96, 64, 128), (0.5, 0.25, 0.25)  # of the images of a step
RATE, LEAST_RATE, WARM = 1.5e-3, 1e-5, 200
AVERAGED = 0.999  # memory of the averaged weights
NOTHING = 3e-4  # of the range: a level that counts as none
TESTED, TEST_SIDE = 2048, 96
SEEN = 1 / 255  # of the range: noise of a grey level


def train(
    data: Path,
    path: Path,
    *,
    steps: int | None = None,
    seed: int = 0,
    report: Callable[[int, int, float], None] | None = None,
) -> None:
    """Train on photographs, simulated cells and the hard kinds for development, and write weights and card.

    The loss is the pinball loss of the plane's quantiles, and the likelihood of a Laplace distribution of its squares.
    """
    begun, steps = time.perf_counter(), steps or STEPS
    pool, rng = scenes(data, DEVELOPMENT, seed), np.random.default_rng(seed)
    torch.manual_seed(seed)
    net = LevelNet()
    mean = {name: value.clone() for name, value in net.state_dict().items()}
    optimiser = torch.optim.AdamW(net.parameters(), RATE, weight_decay=1e-4)
    for step in range(steps):
        fall = (1 + math.cos(math.pi * step / steps)) / 2
        for group in optimiser.param_groups:
            group["lr"] = RATE * min(1.0, step / WARM) * fall + LEAST_RATE
        loss = loss_of(net, *batch(pool, IMAGES, int(rng.choice(SIDES, p=SHARES)), rng))
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(net.parameters(), 2.0)
        optimiser.step()
        memory = min(AVERAGED, (1 + step) / (10 + step))
        with torch.no_grad():
            for name, value in net.state_dict().items():
                mean[name].mul_(memory).add_(value, alpha=1 - memory)
        if report is not None:
            report(step + 1, steps, loss.item())
    net.load_state_dict(mean)
    note = {
        "steps": steps, "batch": IMAGES, "seed": seed, "seconds": round(time.perf_counter() - begun),
        "device": device_name("cpu"), "command": f"hush pretrain level --steps {steps}",
    }  # fmt: skip
    level.write(path, net, note | {"scores": reliability(net, scenes(data, DEVELOPMENT, seed, development=True))})


def batch(pool: Sequence[Floats], number: int, side: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Return noisy images and their variance, both (B, 1, side, side)."""
    drawn = [draw(pool, side, rng) for _ in range(number)]
    noisy, variance = (torch.from_numpy(np.stack(each))[:, None] for each in zip(*drawn, strict=True))
    return noisy, variance


def truth_of(variance: Tensor, span: Tensor) -> Tensor:
    """Return the logarithm of the level of planes in units of their range."""
    found: Tensor = (variance.mean((1, 2, 3)).sqrt() / span).clamp(NOTHING, 1 / NOTHING).log()
    return found


def loss_of(net: nn.Module, noisy: Tensor, variance: Tensor) -> Tensor:
    """Return the loss of a batch."""
    shown, span = inputs(noisy)
    whole, middle, width = net(shown)
    away, quantile = truth_of(variance, span)[:, None] - whole, torch.tensor(QUANTILES)
    pinball = torch.maximum(quantile * away, (quantile - 1) * away).mean()
    squares = F.avg_pool2d(variance, GRID)[:, 0].sqrt() / span[:, None, None]
    local = ((squares.clamp(NOTHING, 1 / NOTHING).log() - middle).abs() * torch.exp(-width) + width).mean()
    loss: Tensor = 4 * pinball + local / 2
    return loss


def reliability(net: nn.Module, pool: Sequence[Floats], number: int = TESTED, seed: int = 7) -> dict[str, Any]:
    """Return how often the truth lies below each quantile, and how near the middle one is."""
    rng, told, truths = np.random.default_rng(seed), [], []
    with torch.inference_mode():
        for _ in range(number // 32):
            noisy, variance = batch(pool, 32, TEST_SIDE, rng)
            shown, span = inputs(noisy)
            told.append(net(shown)[0].numpy())
            truths.append(truth_of(variance, span).numpy())
    quantiles, truth = np.concatenate(told), np.concatenate(truths)
    seen, none = truth > math.log(SEEN), truth <= math.log(NOTHING) + 1e-3
    error = np.abs(quantiles[seen, 2] - truth[seen])
    return {
        "below": [round(float((truth <= each).mean()), 3) for each in quantiles.T],
        "median_error": round(float(np.median(error)), 3),
        "error_of_9_in_10": round(float(np.quantile(error, 0.9)), 3),
        "width_90": round(float(np.median(quantiles[seen, 4] - quantiles[seen, 0])), 3),
        "clean_said_noisy": round(float((quantiles[none, 0] > math.log(SEEN / 2)).mean()), 3),
    }
