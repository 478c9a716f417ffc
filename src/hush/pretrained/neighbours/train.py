"""Train the network of neighbours: ``hush pretrain neighbours``."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hush.core.device import body_precision, device_name, device_of, precision_of
from hush.core.image import Array
from hush.core.metrics import psnr
from hush.datasets.camera import PEAK
from hush.datasets.series import series
from hush.datasets.slices import read_volume
from hush.nets._parts import pad_end
from hush.pretrained import weights
from hush.pretrained.neighbours import network
from hush.pretrained.neighbours.data import OF_VOLUMES, PICTURES, REACH, VOLUMES, Stacks, noisy_stacks
from hush.pretrained.train import LARGE_LOSS, usual_error
from hush.training.checkpoint import Checkpoint
from hush.training.patches import Batch
from hush.training.train_network import Task, learn
from hush.training.trainer import Schedule

STACKS_A_STEP, STACK_SIDE = 8, 96
# steps of each cycle, its learning rate, and the share of the pictures whose light changes: flashes gain by the second
CYCLES = ((2600, 5e-4, 0.35), (3200, 3e-4, 0.6))
NEIGHBOURS_SIGMA, STATE_EVERY = (0.0, 75.0), 120.0
SCORED_LEVELS = (10.0, 25.0, 50.0)
SCORED_SERIES = ("still", "drifting", "moving", "calcium")  # of seeds that are even


def train(
    data: Path,
    path: Path,
    *,
    steps: int | None = None,
    seed: int = 0,
    resume: bool = False,
    keep: bool = False,
    report: Callable[[int, int, float], None] | None = None,
) -> None:
    """Train from ``gaussian-fast``, and write weights and card.

    The loss is the squared error, each stack's over what is usual for its noise. Each cycle begins with the averaged
    weights of the one before; with `steps` there is one of so many. While training ``NAME.safetensors.partial`` holds
    the state; after a stop, `resume` goes on, also where a cycle was added.
    """
    cycles = ((steps, *CYCLES[0][1:]),) if steps else CYCLES
    device = device_of(None)
    precision = precision_of(device, None, 2)
    stacks = Stacks.of(data, STACK_SIDE)
    begun = weights.card(network.BEGUN_WITH)
    identity = {"name": "neighbours", "steps": cycles[0][0], "seed": seed, "precision": precision,
                "begin": begun.sha256}  # fmt: skip
    keeper = Checkpoint(path.with_name(path.name + ".partial"), identity, resume, STATE_EVERY)
    net: nn.Module = network.untrained()
    seconds, before, every = 0.0, 0, sum(cycle[0] for cycle in cycles)
    for number, (own, rate, light) in enumerate(cycles):
        task = Task(number, seed, STACKS_A_STEP, 2, device, precision, Schedule(own, learning_rate=rate))
        source: Any = replace(stacks, light=light)

        def told(step: int, steps: int, loss: float, before: int = before) -> None:
            if report is not None:
                report(before + step, every, loss)

        learned = learn(task, partial(_as_it_is, net), loss_of, source, None, keeper, told)
        net, seconds, before = learned.net, seconds + learned.state.seconds, before + own
    net = net.requires_grad_(False)
    network.write(path, net, {
        "cycles": [list(cycle) for cycle in cycles], "batch": STACKS_A_STEP, "patch": STACK_SIDE, "seed": seed,
        "sigma": NEIGHBOURS_SIGMA, "seconds": round(seconds), "device": f"{device_name(device)}, {precision}",
        "command": "hush pretrain neighbours" + (f" --steps {steps}" if steps else ""), "data": _said(),
        "parameters": sum(value.numel() for value in net.parameters()),
        "scores": scores(net, data, device, precision),
    })  # fmt: skip
    if not keep:
        keeper.remove()


def _as_it_is(net: nn.Module) -> nn.Module:
    """What a cycle begins with."""
    return copy.deepcopy(net).requires_grad_(True)


def loss_of(net: nn.Module, batch: Batch, rng: torch.Generator) -> Tensor:
    """Return the squared error of the middle planes of clean stacks (B, 5, Y, X), each over what is usual."""
    noisy, sigma, there = noisy_stacks(batch.noisy, NEIGHBOURS_SIGMA, rng)
    with torch.autocast(noisy.device.type, enabled=False):
        own, others = noisy[:, REACH : REACH + 1], noisy[:, [REACH + at for at in network.NEIGHBOUR_OFFSETS]]
        seen = network.tell(own, others, sigma, there)
    away = net(seen.contiguous(memory_format=torch.channels_last)) - batch.noisy[:, REACH : REACH + 1]
    usual = usual_error(PEAK * sigma.flatten()) / PEAK**1.2
    relative: Tensor = LARGE_LOSS * (away.square().mean((1, 2, 3)) / usual).mean()
    return relative


def _said() -> list[dict[str, Any]]:
    """What the card says of the data sets."""
    parts = [(data["file"], OF_VOLUMES, data) for data in VOLUMES]
    parts += [(data["name"], 1 - OF_VOLUMES, data) for data in PICTURES]
    return [{"name": name, "share": share * data["share"], "licence": data["licence"]} for name, share, data in parts]


# Scores --------------------------------------------------------------------------------------------------------------


def scores(net: nn.Module, folder: Path, device: str, precision: str) -> list[dict[str, Any]]:
    """Measure PSNR on stacks that were not learned from, a row a stack and a level, beside each plane by itself."""
    alone, rows = weights.load(network.BEGUN_WITH, device)[0], []
    for name, clean in development(folder).items():
        for sigma in SCORED_LEVELS:
            noisy = clean + np.random.default_rng(0).normal(0, sigma, clean.shape).astype(np.float32)
            each = answers(alone, noisy, sigma, device, precision, single=True)
            near = answers(net, noisy, sigma, device, precision)
            rows.append({"name": name, "sigma": sigma, "alone": psnr(each, clean, PEAK),
                         "psnr": psnr(near, clean, PEAK)})  # fmt: skip
    return rows


def development(folder: Path) -> dict[str, Array]:
    """Return clean stacks (Z, Y, X) on which choices are made."""
    head = read_volume(folder / "MRI_nifti/chris_t1.nii.gz").values[70:94, 20:116, 10:106]
    brain = read_volume(folder / "MRI_fetal_atlas/SB_GA25_operated.nii.gz").values
    brain = brain[60:84, 30:150, 20:116] * np.float32(PEAK / brain.max())
    stacks = {"head, isotropic": head, "brain GA25, isotropic": brain}
    return {name: np.asarray(one, np.float32) for name, one in stacks.items()} | {
        kind: series(kind, 7, 96, seed=0) for kind in SCORED_SERIES
    }


def answers(net: nn.Module, noisy: Array, sigma: float, device: str, precision: str, single: bool = False) -> Array:
    """Return what a network makes of the planes of a stack (Z, Y, X)."""
    x = torch.from_numpy(np.asarray(noisy, np.float32) / np.float32(PEAK) - np.float32(0.5)).to(device)
    made = torch.empty_like(x)
    for at in range(len(x)):
        own, level = x[at][None, None], torch.full((1, 1, 1, 1), sigma / PEAK, device=device)
        if single:
            seen = torch.cat([own, level.expand_as(own)], 1)
        else:
            near = [at + offset for offset in network.NEIGHBOUR_OFFSETS]
            there = torch.tensor([float(0 <= k < len(x)) for k in near], device=device).view(1, -1, 1, 1)
            others = torch.stack([x[k] if 0 <= k < len(x) else x[at] for k in near])[None]
            seen = network.tell(own, others, level, there)
        seen = pad_end(seen, int(net.multiple)).contiguous(memory_format=torch.channels_last)  # type: ignore[arg-type]
        with torch.inference_mode(), body_precision(device, precision):
            made[at] = net(seen)[0, 0, : x.shape[1], : x.shape[2]].float()
    return (made.cpu().numpy() + np.float32(0.5)) * np.float32(PEAK)
