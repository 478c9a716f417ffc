"""Pieces of an image on a cluster of Dask: each is a task that reads, computes and writes its own piece.

Who schedules, notices a lost worker and gives its tasks to another is Dask; what a piece is says the plan. A worker
opens input and result by their paths, so that all machines must see them under the same ones, and returns checksums.
"""

from __future__ import annotations

import logging
import os
import pickle
import re
import threading
import time
import uuid
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hush import __version__, io
from hush.core import files
from hush.core.device import cores
from hush.core.errors import HushError, HushWarning
from hush.core.image import Image
from hush.io._unfinished import Growing, Journal, checksum, folder_of
from hush.methods._pieces import Pieces, let_go

CLUSTER_EXTRA = "cluster"
SECONDS_TO_ANSWER = 5  # that a scheduler has
SECONDS_FOR_WORKERS = 60  # until the first is there
LOCAL_CLUSTER = re.compile(r"local(?::(\d+))?")
ADDRESS_OF_CLUSTER = re.compile(r"(tcp|tls|ws|wss|ucx|ucxx|inproc)://[^\s/:]+(:\d+)?/?")
THREADS = "OMP_NUM_THREADS"


@dataclass(frozen=True)
class Source:
    """Where an image comes from: enough for another process to open it.

    Attributes
    ----------
    path : str
        A file's absolute path, or an address.
    axes : str
        Of the image.
    crop : tuple of slice or None
        Rows and columns.
    """

    path: str
    axes: str
    crop: tuple[slice, slice] | None = None

    def open(self) -> Image:
        """Return the image, unread where it can be."""
        image = io.read(self.path, self.axes, lazy_from=0)
        return image if self.crop is None else image.crop(*self.crop)


@dataclass(frozen=True)
class Target:
    """Where a result grows: enough for another process to write into it.

    Attributes
    ----------
    path : Path
        Of the file that it will be, absolute.
    dtype : str
    meta : mapping
        What the file says besides what its input does.
    note : mapping
        See `hush.io._unfinished.Growing`.
    """

    path: Path
    dtype: str
    meta: Mapping[str, Any]
    note: Mapping[str, Any]

    def open(self, source: Image) -> Growing:
        """Return it, to be written into.

        Raises
        ------
        HushError
            When it is not there.
        """
        if not folder_of(self.path).is_dir():
            raise HushError(f"{folder_of(self.path)} is not there: input and output must be in folders that all see")
        blank = np.broadcast_to(np.zeros((), self.dtype), source.data.shape)
        return Growing(self.path, replace(source, data=blank).with_meta(**self.meta), self.note)


@dataclass
class Work:
    """All that a worker needs for any piece: sent once, opened once by every process.

    Attributes
    ----------
    pieces : Pieces
        Without its image.
    source : Source
    targets : list of Target
        The result, and its standard deviation where there is one.
    """

    pieces: Pieces
    source: Source
    targets: list[Target]

    @classmethod
    def of(cls, pieces: Pieces, source: Source, targets: list[Target]) -> Work:
        """Return the work of pieces, without what only their owner needs."""
        empty: Any = None
        return cls(replace(pieces, image=empty, info={}, look=None), source, targets)

    @cached_property
    def opened(self) -> tuple[Pieces, list[Growing], threading.Semaphore]:
        """The pieces of the opened image, the opened results, and who lets no more threads in than the plan does."""
        image = self.source.open()
        if tuple(image.data.shape) != self.pieces.plan.shape:
            raise HushError(f"{self.source.path} has shape {tuple(image.data.shape)}, not {self.pieces.plan.shape}")
        results = [one.open(image) for one in self.targets]
        return replace(self.pieces, image=image), results, threading.Semaphore(self.pieces.workers)

    def do(self, number: int) -> tuple[list[int], list[dict[str, Any]]]:
        """Compute a piece, write it, and return its checksums and what was found."""
        pieces, results, doors = self.opened
        with doors:
            made = pieces.region(number)
        parts = [made.clean] if made.std is None else [made.clean, made.std]
        if Journal(self.targets[0].path).read().get("digest") != pieces.digest:
            raise HushError("the result was begun anew meanwhile")  # this task is left over from before
        for one, values in zip(results, parts, strict=True):
            one.write(made.write, values)
            if isinstance(one.array, np.memmap):
                one.array.flush()  # another machine must see it
            let_go(one.array)
        return [checksum(values) for values in parts], made.findings


@dataclass(frozen=True)
class Done:
    """A piece that is in its place.

    Attributes
    ----------
    number : int
    checksums : list of int
        Of every result.
    findings : list of dict
        See `hush.methods._pieces.Made`.
    worker : str
        Who wrote it.
    """

    number: int
    checksums: list[int]
    findings: list[dict[str, Any]]
    worker: str


# -- on a worker ----------------------------------------------------------------------------------------

_works: dict[str, Work] = {}  # the last one, by its key
_one_opens = threading.Lock()


def compute(number: int, work_key: str, version: str, packed: bytes) -> Done:
    """Compute and write piece `number` of a packed `Work`; a task of Dask."""
    from distributed import get_worker

    if version != __version__:
        raise HushError(f"it has hush {__version__}, and the work is of {version}: install the same")
    with _one_opens:
        if work_key not in _works:
            if THREADS not in os.environ:
                torch.set_num_threads(1)  # a worker is one of many on its machine
            warnings.simplefilter("ignore", HushWarning)  # they are in the findings
            _works.clear()
            _works[work_key] = pickle.loads(packed)
        work = _works[work_key]
        _ = work.opened
    return Done(number, *work.do(number), str(get_worker().address))


def _as_it_is(packed: bytes) -> bytes:
    return packed


# -- who asks for the work ------------------------------------------------------------------------------


def check(where: str) -> None:
    """Find out, before any work, whether a cluster can be reached.

    Parameters
    ----------
    where : str
        ``"tcp://host:8786"``, the address of a scheduler; ``"local"`` or ``"local:4"``, so many workers here.

    Raises
    ------
    HushError
        When it cannot.
    """
    if workers_here(where) is None:
        with _connected(where):
            pass


def workers_here(where: str) -> int | None:
    """Return how many workers are to be started on this machine; None for a cluster that is somewhere.

    Raises
    ------
    HushError
        Where it is no address of a cluster, or Dask is not installed.

    Examples
    --------
    >>> workers_here("local:3"), workers_here("tcp://10.0.0.1:8786")
    (3, None)
    """
    _distributed()
    local = LOCAL_CLUSTER.fullmatch(where)
    if local:
        count = int(local[1]) if local[1] else cores()
        if count:
            return count
    if not ADDRESS_OF_CLUSTER.fullmatch(where):
        raise HushError(
            f"--cluster {where} is no cluster: give the address of a scheduler of Dask (tcp://host:8786), local, or "
            "local:4 for four workers on this machine"
        )
    return None


def results(where: str, work: Work, numbers: Sequence[int]) -> Iterator[Done]:
    """Compute and write pieces on a cluster, and yield each when it is in its place.

    Parameters
    ----------
    where : str
        See `check`.
    work : Work
    numbers : sequence of int
        Of the pieces.

    Raises
    ------
    HushError
        When a piece cannot be computed, or the cluster is lost.
    """
    if not numbers:
        return
    from distributed import as_completed

    key = f"hush-{uuid.uuid4().hex}"
    with _connected(where) as client, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sending large graph")  # weights: once, to the scheduler
        _await_workers(client, where)
        # a task, and no scattered value: one that is lost with its worker is made again
        packed = client.submit(_as_it_is, pickle.dumps(work), key=key, pure=False)
        client.replicate([packed])  # a task is given to a worker that holds what it needs: all must
        names = [f"{key}-{number}" for number in numbers]
        tasks = client.map(compute, numbers, key=names, work_key=key, version=__version__, packed=packed)
        try:
            for task in as_completed(tasks, loop=client.loop):
                yield _result(task, where)
                task.release()
        finally:
            client.cancel([packed, *tasks])


def _result(task: Any, where: str) -> Done:
    from distributed import KilledWorker

    try:
        done: Done = task.result()
    except KilledWorker as error:
        raise HushError(
            f"several workers of {where} died at one piece, which may be for lack of memory: give workers more of it "
            "and go on with --resume, or start again with less --memory and --overwrite"
        ) from error
    except HushError as error:
        raise HushError(f"a worker of {where} cannot go on: {error}") from error
    except Exception as error:  # what is raised on another machine, and what Dask raises where that is lost
        raise HushError(f"a worker of {where} failed: {files.reason(error)}; --resume goes on") from error
    return done


def _await_workers(client: Any, where: str) -> None:
    end = time.monotonic() + SECONDS_FOR_WORKERS
    while not client.scheduler_info().get("workers"):
        if time.monotonic() > end:
            raise HushError(f"the cluster at {where} has no workers: start some, e.g. dask worker {where}")
        time.sleep(0.2)


@contextmanager
def _connected(where: str) -> Iterator[Any]:
    """Connect to a cluster; one on this machine begins and ends with that."""
    distributed, count = _distributed(), workers_here(where)
    log = logging.getLogger("distributed")
    before, cluster, client = log.level, None, None
    log.setLevel(logging.CRITICAL)  # what is wrong is said once, as an error of hush
    try:
        if count is not None:  # memory_limit: the plan keeps to what was asked for
            cluster = distributed.LocalCluster(
                n_workers=count, threads_per_worker=1, memory_limit=0, dashboard_address=None
            )
        try:
            client = distributed.Client(cluster or where, timeout=SECONDS_TO_ANSWER, set_as_default=False)
        except (OSError, TimeoutError) as error:
            raise HushError(
                f"no scheduler of Dask answers at {where} ({files.reason(error)}): is it running (dask scheduler), "
                "and is that its address?"
            ) from error
        yield client
    finally:
        for one in (client, cluster):
            if one is not None:
                one.close()
        log.setLevel(before)


def _distributed() -> Any:
    try:
        import distributed
    except ImportError as error:
        raise HushError(
            f"--cluster needs distributed, which is not here: pip install 'hush-denoise[{CLUSTER_EXTRA}]'"
        ) from error
    return distributed
