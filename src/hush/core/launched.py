"""Which of the processes that torchrun started this one is; nothing but the environment is asked."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Launched:
    """A process among those that torchrun started together.

    Attributes
    ----------
    rank : int
        Its number among all of them, from 0.
    count : int
        How many there are, 1 without torchrun.
    local : int
        Its number among those on this machine, from 0: which of the machine's GPUs is its own.
    """

    rank: int = 0
    count: int = 1
    local: int = 0

    @property
    def first(self) -> bool:
        """Whether it is the one that speaks and writes."""
        return self.rank == 0


def launched() -> Launched:
    """Return which process this is; the only one, unless torchrun started it.

    Other launchers set some of the same variables for programs that have nothing to do with each other: torchrun's own
    is asked for first.

    Examples
    --------
    >>> launched().count
    1
    """
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return Launched()
    rank, count, local = (int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"))
    return Launched(rank, count, local)
