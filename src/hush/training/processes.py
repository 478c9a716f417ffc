"""One training on several processes (torchrun): means over them, what the first decides, whether they still agree."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous
from torch.nn.modules.batchnorm import _BatchNorm

from hush.core.errors import HushError
from hush.core.launched import launched

SPOKEN = "spoken"  # key of the store that all processes share: how many have wanted to say why the training ended
Value = TypeVar("Value")


class Processes:
    """The processes that train one network together; by itself the only one, for which nothing here costs anything.

    Every process holds the whole network and draws patches of its own. The mean over the processes is what one process
    with as many times the batch would have computed (batch normalization apart: each normalizes by its own patches).

    Parameters
    ----------
    rank, count : int
        Which one this is, from 0, and how many there are.
    local : int
        Which one on its machine, from 0.
    store : Store or None
        Where one can leave word for the others.
    """

    def __init__(self, rank: int = 0, count: int = 1, local: int = 0, store: Store | None = None) -> None:
        self.rank, self.count, self.local, self.store = rank, count, local, store

    @property
    def first(self) -> bool:
        """Whether this one writes files and speaks."""
        return self.rank == 0

    @property
    def alone(self) -> bool:
        """Whether there are no others."""
        return self.count == 1

    def average(self, net: nn.Module, loss: Tensor) -> Tensor:
        """Put means over the processes in place of gradients and of batch norm's statistics; return that of the loss.

        One message: it is the same sum, bit for bit, that all of them receive. A weight that has no gradient anywhere
        keeps none, so that the optimizer leaves it alone, as it does in one process.
        """
        if self.alone:
            return loss
        weights = list(net.parameters())
        # what else a network keeps is constant, and a mean of three times the same number may be another one
        normed = [part for part in net.modules() if isinstance(part, _BatchNorm)]
        kept = [value for part in normed for value in (part.running_mean, part.running_var) if value is not None]
        here = torch.tensor([weight.grad is not None for weight in weights], dtype=loss.dtype, device=loss.device)
        slopes = [torch.zeros_like(weight) if weight.grad is None else weight.grad for weight in weights]
        parts = [*slopes, *kept, loss.detach(), here]
        flat = torch.cat([part.flatten() for part in parts])
        self._all(flat, dist.ReduceOp.SUM)
        means = torch.split(flat / self.count, [part.numel() for part in parts])
        anywhere = means[-1].tolist()
        with torch.no_grad():
            for weight, slope, mean, found in zip(weights, slopes, means[: len(weights)], anywhere, strict=True):
                weight.grad = slope.copy_(mean.view_as(slope)) if found else None
            for value, mean in zip(kept, means[len(weights) : -2], strict=True):
                value.copy_(mean.view_as(value))
        return means[-2]

    def any(self, asked: bool) -> bool:
        """Return whether one of the processes answers yes: all learn of a Ctrl-C after the same step."""
        if self.alone:
            return asked
        answer = torch.tensor([float(asked)])
        self._all(answer, dist.ReduceOp.MAX)
        return bool(answer.item())

    def from_first(self, value: Value) -> Value:
        """Return the first process's value, which may be anything that can be pickled: what a clock or a file said."""
        if self.alone:
            return value
        said: list[Any] = [value if self.first else None]
        self._meet(lambda: dist.broadcast_object_list(said, src=0, device=torch.device("cpu")))
        result: Value = said[0]
        return result

    def demand_equal(self, facts: dict[str, Any]) -> None:
        """Refuse to train with other inputs or settings than the first process.

        Raises
        ------
        HushError
            On a process where they differ: files that are not the same on all machines.
        """
        known = self.from_first(facts)
        differ = [key for key in facts if facts[key] != known.get(key)]
        if differ:
            key = differ[0]
            raise HushError(
                f"process {self.rank} of {self.count} was given other {key} ({facts[key]!r}) than the first "
                f"({known.get(key)!r}): give all the same command and the same files"
            )

    def check_weights(self, net: nn.Module, step: int) -> None:
        """Check that the weights are equal everywhere: updates are, so a difference means that something is broken.

        Raises
        ------
        HushError
            When they differ: machines of several kinds, or versions of PyTorch, do not compute the same.
        """
        if self.alone:
            return
        values = [value.detach().cpu().double() for value in net.state_dict().values()]
        mine = torch.stack([value.sum() for value in values] + [value.square().sum() for value in values]).nan_to_num()
        both = torch.cat([mine, -mine])
        self._all(both, dist.ReduceOp.MAX)
        highest, lowest = torch.split(both, len(mine))
        if not torch.equal(highest, -lowest):
            raise HushError(
                f"the weights of the {self.count} processes differ after step {step}: start them on machines of one "
                "kind with the same versions of hush and PyTorch, or train in one process"
            )

    def check_device(self, device: str) -> None:
        """Refuse a device that the processes cannot share out: each has a GPU of its own, or all compute on CPUs.

        Raises
        ------
        HushError
            When it is one GPU by its number, of another kind, or there are fewer GPUs than processes.
        """
        if self.alone or device == "cpu":
            return
        if device != "cuda":
            raise HushError(
                f"{self.count} processes cannot share device {device!r}; possible: --device cuda (each takes a GPU "
                "of its own) or cpu"
            )
        if self.local >= torch.cuda.device_count():
            raise HushError(
                f"process {self.local + 1} on this machine finds {torch.cuda.device_count()} GPUs: start as many "
                "processes as there are GPUs (--nproc-per-node), or give --device cpu"
            )

    def speaks(self) -> bool:
        """Return whether this process says why all end: one of them does, whichever asks first."""
        if self.store is None:
            return True
        try:
            return bool(self.store.add(SPOKEN, 1) == 1)
        except RuntimeError:  # torchrun itself has gone, and the store with it
            return self.first

    def _all(self, values: Tensor, how: Any) -> None:
        self._meet(lambda: dist.all_reduce(values, how))

    def _meet(self, exchange: Callable[[], Any]) -> None:
        """Exchange something with the others."""
        try:
            exchange()
        except RuntimeError as error:  # most often its connection was closed
            why = str(error).splitlines()[0].rpartition("] ")[2].partition(". ")[0]  # without places in libraries
            raise HushError(
                f"one of the {self.count} processes has ended or is out of reach ({why}), perhaps for want of memory: "
                "all end, and --resume continues the training"
            ) from error


ONE_PROCESS = Processes()
_current = ONE_PROCESS


def current() -> Processes:
    """Return the processes that train together with this one; outside of `joined` it is the only one."""
    return _current


@contextmanager
def joined() -> Iterator[Processes]:
    """Train with the other processes that torchrun started, as long as this lasts.

    Examples
    --------
    >>> with joined() as processes:
    ...     processes.count
    1
    """
    global _current
    mine = launched()
    if mine.count == 1:
        yield ONE_PROCESS
        return
    gpus = torch.cuda.is_available() and dist.is_nccl_available()
    if gpus and mine.local < torch.cuda.device_count():
        torch.cuda.set_device(mine.local)  # from here on "cuda" is this one
    store, rank, count = next(rendezvous("env://"))
    dist.init_process_group("cpu:gloo,cuda:nccl" if gpus else "gloo", store=store, rank=rank, world_size=count)
    _current = Processes(rank, count, mine.local, PrefixStore("hush", store))
    try:
        yield _current
    finally:
        _current = ONE_PROCESS
        dist.destroy_process_group()
