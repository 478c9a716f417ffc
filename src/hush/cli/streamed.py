"""Files that are denoised in pieces: bounded memory, and whatever stops it loses a piece at most."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hush import __version__, io
from hush.cli.files import LAZY_IMAGE, Job, Options, _base
from hush.cli.jobs import WHAT, Done, no_uncertainty, spread_path, write_page
from hush.core.device import available_memory, memory_taken
from hush.core.errors import HushError
from hush.core.findings import as_findings
from hush.core.image import Image
from hush.core.lazy import Lazy
from hush.core.pieces import PiecePlan
from hush.io import _unfinished, _zarr_pieces, _zarr_remote
from hush.io._unfinished import Growing, Journal, Line, checksum
from hush.methods._base import Denoiser, Result
from hush.methods._pieces import Pieces, Sayings, cut, let_go, quiet, sample_for, told
from hush.scale import cluster
from hush.scale.cluster import Source, Target, Work

LEAST_ROOM = 96 << 20  # bytes beside the libraries that some pieces and a sample need
SAME_TO_GO_ON = (
    "version",
    "input",
    "image",
    "method",
    "settings",
    "float",
    "crop",
    "axes",
)  # else nothing is gone on with


def refuse_begun(jobs: Sequence[Job], options: Options) -> None:
    """Refuse, before any work, to begin again what was interrupted, unless that was asked for."""
    for job in jobs:
        _unfinished.refuse_begun(job.target, options.resume, options.overwrite)
        if options.overwrite and (spread := spread_path(job, options, len(jobs) > 1)) is not None:
            Journal(spread).remove()


def wanted(job: Job, options: Options) -> bool:
    """Whether a file is denoised in pieces: asked for, begun so, or too large."""
    assert job.image is not None
    data = job.image.data
    if isinstance(data, Lazy) or _asked(options) or (options.resume and Journal(job.target).exists):
        return True
    return isinstance(_base(data), np.memmap) and data.nbytes > max(LAZY_IMAGE, available_memory() // 8)


def _asked(options: Options) -> bool:
    return options.memory is not None or options.cluster is not None


def check(jobs: Sequence[Job], denoiser: Denoiser, options: Options) -> None:
    """Find out, before any work, whether a method can work on pieces where that is needed.

    Raises
    ------
    HushError
        When it cannot, and it was asked for, or the memory is too little for anything, or no cluster answers.
    """
    if options.cluster is not None:
        cluster.check(options.cluster)
    for job in jobs:
        if job.image is None or not wanted(job, options):
            continue
        if not denoiser.cuts:
            if _asked(options):
                denoiser.need(job.image)  # says why not
            for name in ("image", "target_image"):
                image = getattr(job, name)
                if image is not None and isinstance(image.data, Lazy):
                    setattr(job, name, replace(image, data=_zarr_pieces.load(image.data)))
            continue
        _room(_memory(job, options))


def samples(jobs: Sequence[Job], denoiser: Denoiser, options: Options) -> list[Job]:
    """Return jobs to fit a method to: of what is denoised in pieces with samples of the images."""
    found = []
    for job in jobs:
        if job.image is None or not wanted(job, options) or not denoiser.cuts:
            found.append(job)
            continue
        share = _memory(job, options) // len(jobs)
        other = job.target_image
        image = sample_for(job.image, share, denoiser.ndim)
        partner = None if other is None else sample_for(other, share, denoiser.ndim)
        found.append(replace(job, image=image, target_image=partner))
    return found


def _memory(job: Job, options: Options) -> int:
    """How much memory may be taken by a process: as when it was begun, as asked for, or half of what is free."""
    begun = Journal(job.target).read() if options.resume and Journal(job.target).exists else {}
    sharing = 1 if options.cluster is None else cluster.workers_here(options.cluster) or 1
    return int(begun.get("memory") or options.memory or available_memory() // 2 // sharing)


def _room(memory: int) -> int:
    """What of it is left beside what this process takes already."""
    taken = memory_taken()
    if memory - taken < LEAST_ROOM:
        raise HushError(
            f"{memory / 1e9:.2f} GB of memory are too little: hush and its libraries take {taken / 1e9:.2f} GB "
            f"themselves; give --memory {(taken + 4 * LEAST_ROOM) / 1e9:.1f}GB or more"
        )
    return memory - taken


def finish_streamed(job: Job, denoiser: Denoiser, options: Options, several: bool, done: Done | None = None) -> None:
    """Denoise one opened file in pieces, write it and its page, and fill in its record.

    Raises
    ------
    HushError
        When the result cannot be written, the image does not fit the model, or what was begun is something else.
    """
    assert job.image is not None
    begun, noisy, memory = time.perf_counter(), job.image, _memory(job, options)
    dtype = np.dtype(np.float32) if options.as_float else noisy.data.dtype
    spread = spread_path(job, options, several)
    if spread is not None and not denoiser.uncertain:
        raise no_uncertainty(denoiser)
    journal, facts = Journal(job.target), _facts(job, denoiser, options, dtype)
    kept = _begun(journal, facts) if options.resume and journal.exists else {}
    results = _results(job.target, spread, noisy, dtype, denoiser, kept)
    plan = PiecePlan.from_dict({k: v for k, v in kept["plan"].items() if k != "pieces"}) if kept else None
    try:
        pieces = cut(
            denoiser,
            noisy,
            _room(memory),
            sample=sample_for(noisy, memory, denoiser.ndim),
            chunks=results[0].chunks,
            dtype=dtype,
            uncertain=spread is not None,
            plan=plan,
        )
    except BaseException:
        for one in results if not kept else ():  # nothing is in them that could be gone on with
            Journal(one.path).remove()
        raise
    if kept and kept["digest"] != pieces.digest:
        raise HushError(
            f"cannot go on with {journal.folder.name}: the method is not fitted as it was (another model, or another "
            "number of threads?); --overwrite starts again"
        )
    if not kept:
        place = {"results": [one.note() for one in results]}
        planned = {"plan": pieces.plan.as_dict() | {"pieces": len(pieces.plan)}, "memory": memory}
        journal.begin({**facts, **place, **planned, "digest": pieces.digest})
    if options.cluster is None:
        sayings = _write_all(pieces, results, journal, done)
    else:
        sayings = _write_far(pieces, results, journal, done, _work(job, options, pieces, results), options.cluster)
        results = [Growing(one.path, one.like, one.note()) for one in results]  # others have written into them
    info = told(pieces, sayings, begun) | {"memory": memory}
    info.setdefault("reason", options.reason)
    info["warnings"] = [*as_findings(noisy.meta.get("warnings", [])), *info["warnings"]]
    assert pieces.look is not None
    write_page(job, pieces.look[0], Result(pieces.look[1], None, info), options, several)
    for one in reversed(results):  # the folder by which a result is gone on with goes last
        one.finish()
    for one in reversed(results):
        Journal(one.path).remove()
    for key in ("loss", "stages"):  # too much for a record
        info.pop(key, None)
    job.record = {"input": str(job.source), "output": str(job.target), **info}
    job.image = None


def _begun(journal: Journal, facts: dict[str, Any]) -> dict[str, Any]:
    """Return what was planned when a result was begun; refuse to go on with another one."""
    kept = journal.read()
    if kept and (other := _unfinished.differs(kept, facts, SAME_TO_GO_ON)):
        raise HushError(
            f"cannot go on with {journal.folder.name}: {other}; use the same inputs and settings, or --overwrite "
            "to start again"
        )
    return kept


def _results(
    target: Path, spread: Path | None, noisy: Image, dtype: np.dtype[Any], denoiser: Denoiser, kept: dict[str, Any]
) -> list[Growing]:
    """Open the result, and its standard deviation where there is one, to be written."""
    note = {"version": __version__, "method": denoiser.method}
    like = replace(noisy, data=np.broadcast_to(np.zeros((), dtype), noisy.data.shape)).with_meta(hush=note)
    wanted_files = [(target, like)]
    if spread is not None:
        wide = replace(like, data=np.broadcast_to(np.float32(0), noisy.data.shape))
        wanted_files.append((spread, wide.with_meta(**WHAT, hush=note | {"what": "standard deviation"})))
    notes = kept.get("results") or [None] * len(wanted_files)
    if len(notes) != len(wanted_files):
        raise HushError("it was begun with another --uncertainty: leave that as it was, or --overwrite starts again")
    return [Growing(path, image, one) for (path, image), one in zip(wanted_files, notes, strict=True)]


def _facts(job: Job, denoiser: Denoiser, options: Options, dtype: np.dtype[Any]) -> dict[str, Any]:
    """What must be the same to go on with a result."""
    assert job.image is not None
    crop = None if options.crop is None else [[part.start, part.stop] for part in options.crop]
    return {
        "version": __version__,
        "input": [job.source.name, *_stamp(job.source)],
        "image": [list(job.image.data.shape), str(job.image.data.dtype), dtype.name],
        "method": denoiser.method,
        "settings": denoiser.settings,
        "float": options.as_float,
        "crop": crop,
        "axes": job.image.axes,
    }


def _stamp(source: Path) -> list[int]:
    """Size and time of a file; of a Zarr those of what describes it, of another folder those of its files."""
    path = io.parts(source)[0]
    if io.is_address(path):
        return _zarr_remote.stamp(path)
    if path.is_dir():
        marks = [one for name in _zarr_remote.MARKS for one in (path / name, *path.glob(f"*/{name}")) if one.is_file()]
        marks = marks or [one for one in path.iterdir() if one.is_file()]
    else:
        marks = [path]
    stats = [one.stat() for one in marks]
    return [sum(one.st_size for one in stats), max((one.st_mtime_ns for one in stats), default=0)]


def _write_all(pieces: Pieces, results: Sequence[Growing], journal: Journal, done: Done | None) -> Sayings:
    """Compute and write what is not there yet."""
    sayings, left = _left(pieces, results, journal)
    with quiet():
        for count, made in enumerate(pieces.results(left), len(pieces.plan) - len(left) + 1):
            parts = [made.clean] if made.std is None else [made.clean, made.std]
            for one, values in zip(results, parts, strict=True):
                one.write(made.write, values)
                let_go(one.array)
            journal.add(Line(made.number, [checksum(values) for values in parts], made.findings))
            sayings.add(made.findings)
            if done is not None:
                done(count, len(pieces.plan))
    return sayings


def _left(pieces: Pieces, results: Sequence[Growing], journal: Journal) -> tuple[Sayings, list[int]]:
    """Return what is to be done; a piece whose bytes are not as they were written is to be computed again."""
    sayings, there = Sayings(len(pieces.plan)), set()
    for line in journal.lines().values():
        if _sums(results, pieces.plan[line.number].write) == line.checksums:
            there.add(line.number)
            sayings.add(line.more)
    return sayings, [number for number in range(len(pieces.plan)) if number not in there]


def _sums(results: Sequence[Growing], box: tuple[slice, ...]) -> list[int]:
    """Return the checksums of what stands in a box of every result."""
    found = [checksum(np.asarray(one.array[box])) for one in results]
    for one in results:
        let_go(one.array)
    return found


def _work(job: Job, options: Options, pieces: Pieces, results: Sequence[Growing]) -> Work:
    """Say what the workers of a cluster need."""
    assert job.image is not None
    path = str(job.source) if io.is_address(job.source) else str(job.source.absolute())
    targets = []
    for at, one in enumerate(results):
        meta = {name: one.like.meta[name] for name in ["hush", *(WHAT if at else ())]}  # the second: its spread
        targets.append(Target(one.path.absolute(), one.like.data.dtype.str, meta, one.note()))
    return Work.of(pieces, Source(path, job.image.axes, options.crop), targets)


def _write_far(
    pieces: Pieces, results: Sequence[Growing], journal: Journal, done: Done | None, work: Work, where: str
) -> Sayings:
    """Let a cluster compute and write what is not there yet."""
    sayings, left = _left(pieces, results, journal)
    seen: set[str] = set()
    for count, made in enumerate(cluster.results(where, work, left), len(pieces.plan) - len(left) + 1):
        if made.worker not in seen and _sums(results, pieces.plan[made.number].write) != made.checksums:
            raise HushError(
                f"what the worker {made.worker} writes does not arrive here: input and output must be in folders that "
                "all machines see, under the same paths"
            )
        seen.add(made.worker)
        journal.add(Line(made.number, made.checksums, made.findings))
        sayings.add(made.findings)
        if done is not None:
            done(count, len(pieces.plan))
    return sayings
