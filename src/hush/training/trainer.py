"""The one training loop: schedule, averaged weights, interruption, progress."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from hush.training.processes import current

WARMUP = 10  # steps; they are also the stopwatch that turns seconds into steps
CHECKS = 50  # looks at the part held out, spread over a training
Loss = Callable[[nn.Module, int], Tensor]
Look = Callable[[nn.Module], float]
Progress = Callable[[int, int, float], None]


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to learn. Time is counted in steps.

    Attributes
    ----------
    steps : int or None
        Number of steps; None: as many as fit into `seconds`, found by timing the first ten.
    seconds : float
        Budget when `steps` is None.
    learning_rate : float
        Peak of the rate: linear warm-up over ten steps, then a cosine that ends at zero with the last step.
    averaging : float
        Exponent of the averaged weights' power-law memory (Karras et al. 2024): the larger, the more the
        last steps count; it needs no knowledge of how long training will be.
    clip : float
        Largest norm of the gradient.
    patience : int or None
        With a part held out: stop after so many looks at it without a better one; None: never early.
    """

    steps: int | None = None
    seconds: float = 20.0
    learning_rate: float = 1e-3
    averaging: float = 16.0
    clip: float = 1.0
    patience: int | None = None

    def rate(self, step: int, steps: int | None) -> float:
        """Learning rate of a step; `steps` may be unknown during the warm-up."""
        warm = WARMUP if steps is None else min(WARMUP, max(1, steps // 2))
        if step < warm or steps is None:
            return self.learning_rate * (step + 1) / warm
        part = (step - warm) / max(1, steps - warm)
        return self.learning_rate * 0.5 * (1 + float(torch.cos(torch.tensor(part * torch.pi))))


@dataclass
class State:
    """Where training stands: everything that a resumed run needs to end in the same bytes.

    Attributes
    ----------
    step, steps : int
        Done, and all; the last is None until it is known.
    losses : list of [step, loss]
    validation : list of [step, loss]
        Of the averaged weights on the part held out.
    best : int or None
        Step of the lowest of these.
    stopped : bool
        Whether `patience` ended it.
    seconds : float
    """

    step: int = 0
    steps: int | None = None
    losses: list[list[float]] = field(default_factory=list)
    validation: list[list[float]] = field(default_factory=list)
    best: int | None = None
    stopped: bool = False
    seconds: float = 0.0


@contextmanager
def deferred_interrupt(insist: bool = True) -> Iterator[Callable[[], bool]]:
    """Turn Ctrl-C into a question that the loop asks between two steps, so that what is done can be kept.

    Parameters
    ----------
    insist : bool
        Whether the second time ends the training at once. Not under torchrun: it sends every process what the terminal
        has sent it already, and ends what does not end by itself.
    """
    asked = False

    def note(number: int, frame: Any) -> None:
        nonlocal asked
        if asked and insist:
            raise KeyboardInterrupt
        asked = True

    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = signal.signal(signal.SIGINT, note)
    try:
        yield lambda: asked
    finally:
        signal.signal(signal.SIGINT, before)


class Trainer:
    """Minimises a loss; plain PyTorch. With several processes (`hush.training.processes`) each has its own part of it.

    Parameters
    ----------
    net : Module
        On its device, in its memory format.
    schedule : Schedule
        How long and how fast.

    Attributes
    ----------
    average : Module
        A copy of `net` with the averaged weights and buffers: the result.
    state : State
        Where training stands.
    """

    def __init__(self, net: nn.Module, average: nn.Module, schedule: Schedule) -> None:
        self.net, self.average, self.schedule = net, average, schedule
        fused = next(net.parameters()).device.type in ("cpu", "cuda")
        self.optimizer = torch.optim.Adam(net.parameters(), lr=0.0, fused=fused)
        self.state = State(steps=schedule.steps)
        self.best: dict[str, Tensor] = {}
        self.processes = current()

    def run(
        self,
        loss: Loss,
        save: Callable[[bool], None] | None = None,
        progress: Progress | None = None,
        look: Look | None = None,
    ) -> State:
        """Train to the end of the schedule.

        Parameters
        ----------
        loss : callable
            (net, step) -> scalar. Must draw its random numbers from `step`, so that resuming repeats them; on several
            processes each draws others.
        save : callable, optional
            Called after every step; True: at once, since the run is about to end or its length has just been found.
        progress : callable, optional
            (step, steps, loss) after every step.
        look : callable, optional
            (averaged net) -> loss on the part held out; the best weights are kept. The first process's figure counts.

        Raises
        ------
        KeyboardInterrupt
            After the state was saved.
        """
        state, times, begun = self.state, [], time.perf_counter()
        before = state.seconds
        self.net.train()
        with deferred_interrupt(self.processes.alone) as interrupted:
            while (state.steps is None or state.step < state.steps) and not state.stopped:
                start = time.perf_counter()
                value = self._step(loss)
                times.append(time.perf_counter() - start)
                state.seconds = before + time.perf_counter() - begun
                timed = state.step == WARMUP
                if timed and state.steps is None:
                    state.steps = self.processes.from_first(self._budget(times, state.seconds))
                self._note(value)
                if state.steps is not None and self._time_to_look(state.steps):
                    self.processes.check_weights(self.net, state.step)
                    if look is not None:
                        self._look(look)
                stop = self.processes.any(interrupted())
                if save is not None:
                    save(timed or stop)
                if progress is not None:
                    progress(state.step, state.steps or 0, value)
                if stop:
                    raise KeyboardInterrupt
            if self.processes.any(interrupted()):  # while the last state was saved
                raise KeyboardInterrupt
        return state

    def _step(self, loss: Loss) -> float:
        state = self.state
        for group in self.optimizer.param_groups:
            group["lr"] = self.schedule.rate(state.step, state.steps)
        value = loss(self.net, state.step)
        self.optimizer.zero_grad()
        value.backward()  # type: ignore[no-untyped-call]
        value = self.processes.average(self.net, value.detach())
        nn.utils.clip_grad_norm_(self.net.parameters(), self.schedule.clip)
        self.optimizer.step()
        state.step += 1
        self._average()
        return float(value)

    @torch.no_grad()
    def _average(self) -> None:
        keep = (1 - 1 / self.state.step) ** (self.schedule.averaging + 1)
        for mean, value in zip(self.average.parameters(), self.net.parameters(), strict=True):
            mean.lerp_(value, 1 - keep)
        for average, buffer in zip(self.average.buffers(), self.net.buffers(), strict=True):
            if buffer.is_floating_point():
                average.lerp_(buffer, 1 - keep)
            else:
                average.copy_(buffer)

    def _budget(self, times: list[float], spent: float) -> int:
        """Steps that fit: the first ones are slow (kernels are being chosen), so their median counts."""
        typical = sorted(times[2:])[len(times[2:]) // 2]
        return WARMUP + max(WARMUP, int((self.schedule.seconds - spent) / typical))

    def _time_to_look(self, steps: int) -> bool:
        return self.state.step == steps or self.state.step % max(1, steps // CHECKS) == 0

    def _look(self, look: Look) -> None:
        """Look at the part held out; keep the best weights, and stop when it has not become better for long."""
        state = self.state
        value = self.processes.from_first(look(self.average))
        lowest = min((loss for _, loss in state.validation), default=float("inf"))
        state.validation.append([state.step, value])
        if value < lowest:
            state.best = state.step
            self.best = {key: tensor.clone() for key, tensor in self.average.state_dict().items()}
        since = sum(step > (state.best or 0) for step, _ in state.validation)
        state.stopped = self.schedule.patience is not None and since >= self.schedule.patience

    def _note(self, value: float) -> None:
        """Keep the loss, thinned out so that the history never exceeds some hundred entries."""
        state = self.state
        if state.step % max(1, (state.steps or 1) // 200) == 0:
            state.losses.append([state.step, value])

    def tensors(self) -> dict[str, Tensor]:
        """All tensors of the state, flat."""
        flat = {f"net/{key}": value for key, value in self.net.state_dict().items()}
        flat |= {f"average/{key}": value for key, value in self.average.state_dict().items()}
        flat |= {f"best/{key}": value for key, value in self.best.items()}
        for index, moments in self.optimizer.state_dict()["state"].items():
            flat |= {f"adam/{index}/{key}": value for key, value in moments.items()}
        return flat

    def restore(self, tensors: Mapping[str, Tensor], state: State) -> None:
        """Continue from what `tensors` gave."""
        parts: dict[str, dict[str, Tensor]] = {"net": {}, "average": {}, "best": {}}
        adam: dict[int, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            kind, _, name = key.partition("/")
            if kind in parts:
                parts[kind][name] = value
            elif kind == "adam":
                index, _, name = name.partition("/")
                adam.setdefault(int(index), {})[name] = value
        self.net.load_state_dict(parts["net"])
        self.average.load_state_dict(parts["average"])
        self.best = parts["best"]
        # fused Adam walks through memory: its moments must lie there as the weights do (channels last)
        weights = list(self.net.parameters())
        for number, moments in adam.items():  # none before the first step
            weight = weights[number]
            for name, value in moments.items():
                if value.shape == weight.shape and value.ndim:
                    moments[name] = torch.empty_like(weight, requires_grad=False).copy_(value)
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": adam, "param_groups": groups})
        self.state = state

    def share(self) -> None:
        """Let all processes stand where the first one does: at its first weights, or at what it resumed."""
        if self.processes.alone:
            return
        mine = {key: value.detach().cpu() for key, value in self.tensors().items()} if self.processes.first else {}
        tensors, state = self.processes.from_first((mine, self.state))
        if not self.processes.first:
            self.restore(tensors, state)
