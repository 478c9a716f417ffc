"""Train one network: the same for every method, resumable, each step with random numbers of its own."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from hush.core.device import body_precision, memory_format
from hush.training.checkpoint import Checkpoint
from hush.training.patches import Batch, Patches
from hush.training.processes import current
from hush.training.trainer import Schedule, State, Trainer

HELD = 4  # batches of the part held out that are looked at: always the same ones
SEEDS_OF_PROCESSES = 2_654_435_761  # between those of two: far from each other, also in the 32 bits that count
LossOf = Callable[[nn.Module, Batch, torch.Generator], Tensor]


@dataclass(frozen=True)
class Task:
    """How one network is trained.

    Attributes
    ----------
    network : int
        Its number.
    seed : int
    batch : int
        Patches a step; of each process, where several train together.
    ndim : {2, 3}
    device, precision : str
    schedule : Schedule
    """

    network: int
    seed: int
    batch: int
    ndim: int
    device: str
    precision: str
    schedule: Schedule

    @property
    def number(self) -> int:
        """Beginning of this network's random numbers."""
        return self.seed * 1009 + self.network

    def draw(self, step: int, rank: int = 0) -> tuple[list[int], int]:
        """Return the seeds of a step's patches and of its loss: others on each process, the first one's as if alone.

        They belong to the step, so that a resumed run draws the same ones.

        Examples
        --------
        >>> task = Task(0, 7, 8, 2, "cpu", "float32", Schedule())
        >>> task.draw(3)[0], task.draw(3, rank=1)[0]
        ([7, 0, 3], [7, 0, 3, 0, 1])
        """
        other = [0, rank] if rank else []
        return [self.seed, self.network, step, *other], self.number * 1_000_003 + step + rank * SEEDS_OF_PROCESSES


@dataclass(frozen=True)
class Learned:
    """What training gives: the network to use, the one at the end where that is another, and its history."""

    net: nn.Module
    last: nn.Module | None
    state: State


def learn(
    task: Task,
    build: Callable[[], nn.Module],
    loss_of: LossOf,
    patches: Patches,
    held: Patches | None,
    keeper: Checkpoint | None,
    report: Callable[[int, int, float], None],
) -> Learned:
    """Train a network, or take it from the checkpoint where it is finished or half done.

    Several processes (`hush.training.processes`) train it together, each by `task.batch` patches of its own a step.

    Parameters
    ----------
    task : Task
    build : callable
        Makes the network; weights are drawn from the task's seed.
    loss_of : callable
        (net, batch, rng) -> what is minimised.
    patches, held : Patches
        What is learned from, and what is held out; None: nothing is.
    keeper : Checkpoint or None
    report : callable
        (step, steps, loss) after every step.
    """
    processes = current()
    processes.check_device(task.device)
    torch.manual_seed(task.number)
    layout = memory_format(task.ndim)
    net = build().to(task.device)
    net = net.to(memory_format=layout)  # type: ignore[call-overload]
    average = copy.deepcopy(net).requires_grad_(False)
    trainer = Trainer(net, average, task.schedule)
    rng = torch.Generator(task.device)
    if keeper is not None:
        keeper.restore(str(task.network), trainer)
    trainer.share()

    def loss_on(net: nn.Module, source: Patches, draw: list[int], number: int) -> Tensor:
        batch = source.batch(task.batch, np.random.default_rng(draw), task.device)
        rng.manual_seed(number)
        noisy = batch.noisy.contiguous(memory_format=layout)
        batch = Batch(noisy, batch.valid, batch.target, batch.scale)
        with body_precision(task.device, task.precision):
            return loss_of(net, batch, rng)

    def loss(net: nn.Module, step: int) -> Tensor:
        return loss_on(net, patches, *task.draw(step, processes.rank))

    @torch.no_grad()
    def look(net: nn.Module) -> float:
        assert held is not None
        net.eval()
        losses = [float(loss_on(net, held, [task.seed, task.network, k, 7], task.number + k)) for k in range(HELD)]
        return float(np.mean(losses))

    def save(now: bool) -> None:
        if keeper is not None and (now or keeper.due):
            keeper.store(str(task.network), trainer)

    trainer.run(loss, save, report, look if held is not None else None)
    save(True)
    average.eval()
    if not trainer.best or trainer.state.best == trainer.state.step:
        return Learned(average, None, trainer.state)
    best = copy.deepcopy(average)
    best.load_state_dict(trainer.best)
    return Learned(best, average, trainer.state)
