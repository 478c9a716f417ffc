"""How much faster two workers on this machine are than one, each with one thread: the median of several runs.

Run on a machine that does nothing else: ``OMP_NUM_THREADS=1 python benchmarks/cluster.py``; it needs the extras cluster
and zarr, and two free cores. What is timed is the work, from the first piece asked for to the last one written, on
workers that have opened everything by one piece before.
"""

from __future__ import annotations

import argparse
import logging
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from hush import io
from hush.core import registry
from hush.core.image import Image
from hush.io._unfinished import Growing, Journal
from hush.methods._pieces import cut, quiet
from hush.scale import cluster


def seconds(workers: int, folder: Path, source: Path, method: str) -> float:
    from distributed import LocalCluster

    image = io.read(source, lazy_from=0)
    with quiet():
        model = registry.get("methods", method)(noise="gaussian:sigma=30").fit([image])
        target = folder / f"clean{workers}.zarr"
        growing = Growing(target, image)
        pieces = cut(model, image, 1 << 30, chunks=growing.chunks)
    journal = Journal(target)
    journal.begin({"digest": pieces.digest})
    there = cluster.Target(target, image.data.dtype.str, {}, growing.note())
    work = cluster.Work.of(pieces, cluster.Source(str(source), image.axes), [there])
    with LocalCluster(
        n_workers=workers, threads_per_worker=1, memory_limit=0, dashboard_address=None, silence_logs=logging.CRITICAL
    ) as local:
        done = iter(cluster.results(local.scheduler_address, work, range(len(pieces.plan))))
        for _ in range(workers):  # the first pieces open the files and the weights
            next(done)
        begun = time.perf_counter()
        count = sum(1 for _ in done)
        took = time.perf_counter() - begun
    if not count:
        raise SystemExit(f"{len(pieces.plan)} pieces are too few for {workers} workers: give more --planes")
    journal.remove()
    return took / count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--method", default="pretrained")
    parser.add_argument("--planes", type=int, default=64)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--runs", type=int, default=3)
    said = parser.parse_args()
    rng = np.random.default_rng(0)
    y, x = np.mgrid[: said.side, : said.side]
    clean = 1000 + 300 * np.sin(y / 17) * np.cos(x / 23)
    stack = rng.normal(np.broadcast_to(clean, (said.planes, said.side, said.side)), 30).astype(np.uint16)
    gains = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        io.write(folder / "noisy.zarr", Image(stack, "ZYX"))
        for run in range(said.runs):
            one, two = (seconds(workers, folder, folder / "noisy.zarr", said.method) for workers in (1, 2))
            gains.append(one / two)
            print(f"run {run + 1}: one worker {one:.2f} s a piece, two {two:.2f} s: {one / two:.2f} times as fast")
    print(f"median of {said.runs}: {statistics.median(gains):.2f}")


if __name__ == "__main__":
    main()
