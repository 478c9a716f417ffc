"""Fine-tune NoiseBreaker's denoisers: ``hush pretrain noisebreaker-speckle``, and so on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hush.core.device import device_name, device_of, precision_of
from hush.core.errors import unknown
from hush.core.image import Array
from hush.core.metrics import psnr
from hush.datasets.recipes import frozen_noise, pictures
from hush.pretrained import weights
from hush.pretrained.conditioning import PEAK
from hush.pretrained.data import Mixture
from hush.pretrained.noisebreaker import denoisers
from hush.pretrained.noisebreaker.denoisers import END_TO_END, GAUSSIAN_WEIGHTS, TRAINED
from hush.pretrained.noisebreaker.denoisers_data import DEVELOPMENT_IMAGES, examples, held_out, shares, sources
from hush.training.checkpoint import Checkpoint
from hush.training.normalization import Scale
from hush.training.patches import Batch, Patches
from hush.training.train_network import Task, learn
from hush.training.trainer import Schedule

DENOISER_STEPS = {"speckle": 1300, "uniform": 900, "bernoulli": 4000, "poisson": 1200, END_TO_END: 5000}
PATCHES_A_STEP, PATCH_SIDE = 8, 96
TUNING_RATE = 5e-4
KEPT_EVERY = 180.0  # seconds
DENOISER_TITLES = {
    "speckle": "Removes speckle, y = x (1 + n), from grey images",
    "uniform": "Removes uniform noise from grey images",
    "bernoulli": "Fills lost pixels, which are 0, in grey images, and leaves the others with their noise",
    "poisson": "Removes photon noise from grey images",
    END_TO_END: "Removes Gaussian noise of sigma up to 55, then up to 20% lost pixels, from grey images",
}
TOLD_AS = {
    "speckle": "sigma over 255", "uniform": "s over the root of 3 and 255",
    "bernoulli": "p + 0.1 where a pixel is 0, else 0",
    "poisson": "1 over the root of the photons at 255", END_TO_END: "0.2 where a pixel is 0, else 0",
}  # fmt: skip
# noise that is left, and noise that is removed with its level
TESTED_ON: dict[str, Sequence[tuple[str, str, float]]] = {
    "speckle": [("", f"speckle:sigma={sigma}", sigma) for sigma in (7, 15, 25, 35, 50)],
    "uniform": [("", f"uniform:s={s}", s) for s in (10, 50)],
    "bernoulli": [
        *(("", f"bernoulli:p={p}", p) for p in (0.02, 0.1, 0.2)),
        *((f"gaussian:sigma={sigma}", "bernoulli:p=0.1", 0.1) for sigma in (15, 50)),
    ],
    "poisson": [("", "poisson:photons=255", 255), ("", "poisson:photons=100", 100)],
    END_TO_END: [
        ("", f"gaussian:sigma={sigma} + bernoulli:p={p}", 0) for sigma in (5, 15, 25, 50) for p in (0.05, 0.15)
    ],
}


def train(
    name: str,
    data: Path,
    path: Path,
    *,
    steps: int | None = None,
    seed: int = 0,
    resume: bool = False,
    keep: bool = False,
    report: Callable[[int, int, float], None] | None = None,
) -> None:
    """Fine-tune a denoiser from ``gaussian-fast``, and write weights and card.

    The loss is the squared error, each patch's over what is usual for its noise. While training
    ``NAME.safetensors.partial`` holds the state; after a stop, `resume` goes on.
    """
    if name not in TRAINED:
        raise unknown("denoiser", name, TRAINED)
    steps = steps or DENOISER_STEPS[name]
    device = device_of(None)
    precision = precision_of(device)
    sets, views = sources(data, seed)
    known = weights.card(GAUSSIAN_WEIGHTS)
    identity = {"name": name, "steps": steps, "seed": seed, "precision": precision, "begin": known.sha256}
    keeper = Checkpoint(path.with_name(path.name + ".partial"), identity, resume, KEPT_EVERY)
    task = Task(0, seed, PATCHES_A_STEP, 2, device, precision, Schedule(steps, learning_rate=TUNING_RATE))
    learned = learn(
        task,
        denoisers.untrained,
        partial(_loss, name),
        _clean(views, shares(sets)),
        _clean(held_out(data), shares(DEVELOPMENT_IMAGES)),
        keeper,
        report or (lambda step, steps, loss: None),
    )
    net = learned.net.requires_grad_(False)
    rows = scores(name, net, data, device, precision)
    denoisers.write(path, net, {
        "title": DENOISER_TITLES[name], "licence": known.licence, "net": known.net, "settings": dict(known.settings),
        "channels": 1, "sigma": known.sigma, "begin": GAUSSIAN_WEIGHTS, "told": TOLD_AS[name], "target": _target(name),
        "data": [_said(one, len(images)) for one, images in zip(sets, views, strict=True)],
        "steps": steps, "batch": PATCHES_A_STEP, "patch": PATCH_SIDE, "seed": seed, "best": learned.state.best or steps,
        "seconds": round(learned.state.seconds), "device": f"{device_name(device)}, {precision}",
        "command": f"hush pretrain noisebreaker-{name} --steps {steps}",
        "parameters": sum(value.numel() for value in net.parameters()),
        "validation": learned.state.validation, "scores": rows, "tested": rows[0]["images"],
    })  # fmt: skip
    if not keep:
        keeper.remove()


def _clean(views: Sequence[Sequence[Array]], parts: Sequence[float]) -> Any:
    """Where clean patches are drawn from: of a range of 1 about zero."""
    scale = Scale((PEAK / 2,), (PEAK,))
    return Mixture([Patches(each, (PATCH_SIDE,) * 2, scale) for each in views], parts)


def _loss(name: str, net: nn.Module, batch: Batch, rng: torch.Generator) -> Tensor:
    seed = int(torch.randint(1 << 31, (1,), generator=rng, device=batch.noisy.device))
    seen = examples(name, batch.noisy, np.random.default_rng(seed))
    away = PEAK * (net(seen.x) - seen.target)
    if batch.valid is not None:
        away = away * batch.valid
    relative: Tensor = (away.square().mean((1, 2, 3)) / seen.usual).mean()
    return relative


def _target(name: str) -> str:
    if name == END_TO_END:
        return "the clean image"
    if name == "bernoulli":
        return "the image before pixels were lost, in half of the patches with noise of another class in it"
    return "the clean image, in a quarter of the patches with Gaussian noise of sigma below 10 that is in both"


def _said(data: dict[str, Any], images: int) -> dict[str, Any]:
    """What a card says of a data set."""
    return {key: data[key] for key in ("name", "share", "licence")} | {"images": images}


def scores(
    name: str, net: nn.Module, folder: Path, device: str, precision: str, limits: dict[str, Any] | None = None
) -> list[dict[str, Any]]:
    """Measure PSNR on development images before and after, a row a noise."""
    rows = []
    for left, removed, level in TESTED_ON[name]:
        before, after = [], []
        for data in DEVELOPMENT_IMAGES:
            for image, clean, _ in pictures(data | {"grey": True}, folder, limits or {}):
                key = f"{data['name']}/{image}"
                target = frozen_noise(clean, left, key, 0) if left else clean
                noisy = frozen_noise(target, removed, key, 0)
                result = denoisers.removed(net, noisy[None], name, level, device, precision)
                before.append(psnr(noisy, target, PEAK))
                after.append(psnr(result[0], target, PEAK))
        noise = f"{left} in both, then {removed}" if left else removed
        row = {"noise": noise, "noisy": float(np.mean(before)), "psnr": float(np.mean(after)), "images": len(after)}
        rows.append(row)
    return rows
