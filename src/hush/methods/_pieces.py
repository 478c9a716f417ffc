"""An image that is denoised in pieces, each by itself: what depends on all of it is found once, on a sample."""

from __future__ import annotations

import copy
import hashlib
import mmap
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from hush.core import tiling
from hush.core.device import peak_memory_mb
from hush.core.errors import HushError, HushWarning
from hush.core.image import Array, Image
from hush.core.lazy import chunk_shape
from hush.core.pieces import Box, Need, PiecePlan, plan_pieces, within
from hush.core.sample import sample_of
from hush.quality.estimate import middle

if TYPE_CHECKING:
    from hush.methods._base import Denoiser, Strength

FIRST_LOOK = 1024  # side of the window that a method is run on once, before all pieces
WIDER = 2.5  # times the margin that is read where pixels are missing: the nearest measured one is in it
SAMPLE_PIXEL_BYTES = 128  # of memory for a pixel of a sample: an analysis holds many copies in float32
LEAST_SAMPLE = 1 << 19  # pixels
SPREAD_MEMORY = 8  # times the memory for a standard deviation: what the layers gave is held for their derivative
SAID_BY_PIECE = ("constant", "missing-pixels", "outliers-kept")  # findings of a window that say nothing of the image


class Freezing:
    """What a method answers that works on pieces of an image, each by itself."""

    is_frozen = False  # whether it is a copy that `frozen` gave

    @property
    def method(self) -> str:
        """The public name."""
        raise TypeError(f"{type(self).__name__} has no name")

    @property
    def cuts(self) -> bool:
        """Whether it can work on pieces."""
        return False

    def need(self, image: Image) -> Need:
        """Say what it needs, once fitted, to work on pieces of an image; a method that can, answers.

        Raises
        ------
        HushError
            When it must see all of an image.
        """
        raise HushError(
            f"{self.method} must see all of an image at once, and cannot take this one in pieces: crop it (--crop), or "
            "take another method, e.g. auto, n2v or median"
        )

    def frozen(self, sample: Image) -> Self:
        """Return a copy that treats all pieces of an image alike: what depends on all of it is found on `sample`."""
        one = copy.copy(self)
        one.is_frozen = True
        one.freeze(sample)
        return one

    def freeze(self, sample: Image) -> None:
        """Find out what depends on all of an image, for a method of which something does."""


@dataclass(frozen=True)
class Made:
    """What became of a piece.

    Attributes
    ----------
    number : int
    write : tuple of slice
        Where it stands in the image.
    clean : array
    std : array of float32 or None
    findings : list of dict
        Warnings, as in a result's ``info``.
    """

    number: int
    write: Box
    clean: Array
    std: Array | None
    findings: list[dict[str, Any]]


@dataclass
class Pieces:
    """A fitted method, an image, and the plan: `region` computes one piece from these alone.

    Attributes
    ----------
    model : Denoiser
        Frozen; see `hush.methods._base.Denoiser.frozen`.
    image : Image
        Its data may be mapped or lazy.
    plan : PiecePlan
    dtype : dtype
        Of the result.
    strength : Strength or None
        Instead of the settings' own.
    uncertain : bool
        Whether the standard deviation is computed too.
    workers : int
        Pieces that are worked on at once.
    info : dict
        What a run on the middle of the sample said.
    look : (Image, Image) or None
        What that run was given, and its result.
    digest : str
        Of that: the same where the method is fitted the same.
    unchanged : bool
        Whether the image comes back as it is, since that run lost its contrast.
    """

    model: Denoiser
    image: Image
    plan: PiecePlan
    dtype: np.dtype[Any]
    strength: Strength | None = None
    uncertain: bool = False
    workers: int = 1
    info: dict[str, Any] = field(default_factory=dict)
    look: tuple[Image, Image] | None = None
    digest: str = ""
    unchanged: bool = False

    def region(self, number: int) -> Made:
        """Compute piece `number` of the plan."""
        piece = self.plan[number]
        read, source = piece.read, self._read(piece.read)
        if source.dtype.kind == "f" and not np.isfinite(source).all():
            read = self.plan.around(piece.write, WIDER)
            source = self._read(read)
        wider = 1.0 if read == piece.read else WIDER
        shape = [part.stop - part.start for part in piece.write]
        clean = np.empty(shape, self.dtype)
        std = np.zeros(shape, np.float32) if self.uncertain else None
        findings: list[dict[str, Any]] = []
        for tile in self.plan.tiles(piece):
            around = self.plan.around(tile, wider)
            made, spread, said = self._tile(source[within(around, read)])
            inner = within(tile, around)
            clean[within(tile, piece.write)] = made[inner]
            if std is not None:
                std[within(tile, piece.write)] = 0 if spread is None else spread[inner]
            findings += [one for one in said if one not in findings]
        return Made(number, piece.write, clean, std, findings)

    def _read(self, box: Box) -> Array:
        read = np.array(self.image.data[box])
        let_go(self.image.data)
        return read

    def _tile(self, data: Array) -> tuple[Array, Array | None, list[dict[str, Any]]]:
        noisy = replace(self.image, data=data)
        out = np.empty(data.shape, self.dtype)
        if self.unchanged:
            out[...] = data
            return out, None, []
        std = np.zeros(data.shape, np.float32) if self.uncertain else None
        result = self.model.run(noisy, out, None, std, self.strength)
        return result.image.data, None if result.std is None else result.std.data, result.info["warnings"]

    def results(self, numbers: Sequence[int]) -> Iterator[Made]:
        """Compute several pieces, some at once, and yield each when it is ready."""
        if self.workers == 1:
            yield from map(self.region, numbers)
            return
        for begin in range(0, len(numbers), self.workers):  # no more of them are held than are worked on
            some: list[Made | None] = [None] * len(numbers[begin : begin + self.workers])

            def one(place: int, begin: int = begin, some: list[Made | None] = some) -> None:
                some[place] = self.region(numbers[begin + place])

            for place, _ in enumerate(tiling.at_once(one, range(len(some)), self.workers)):
                made, some[place] = some[place], None
                assert made is not None
                yield made


def let_go(array: Array) -> None:
    """Give back the memory of pages of a mapped file that were read or written: they are in the file."""
    while not isinstance(array, np.memmap):
        array = getattr(array, "base", None)
        if array is None:
            return
    pages = getattr(array, "_mmap", None)
    if array.mode in ("r", "r+", "w+") and pages is not None and hasattr(mmap, "MADV_DONTNEED"):
        pages.madvise(mmap.MADV_DONTNEED)  # of a shared map: what was written stays with the file


def sample_for(image: Image, memory: int, ndim: int = 2) -> Image:
    """Return what of an image is looked at and learned from where so many bytes of memory may be used."""
    pixels = max(memory // SAMPLE_PIXEL_BYTES, LEAST_SAMPLE)
    return sample_of(image, pixels * image.data.dtype.itemsize, ndim)


def cut(
    denoiser: Denoiser,
    image: Image,
    memory: int,
    *,
    sample: Image | None = None,
    chunks: Sequence[int] | None = None,
    dtype: np.dtype[Any] | None = None,
    strength: Strength | None = None,
    uncertain: bool = False,
    plan: PiecePlan | None = None,
) -> Pieces:
    """Divide the work of a fitted method on an image into pieces.

    Parameters
    ----------
    denoiser : Denoiser
        After `fit`.
    image : Image
    memory : int
        Bytes that the work may take.
    sample : Image, optional
        Stands for the image; by default `sample_for`.
    chunks : sequence of int, optional
        Of what the result is written into.
    dtype : dtype, optional
        Of the result.
    strength : Strength, optional
    uncertain : bool
    plan : PiecePlan, optional
        One that was made before, to be gone on with.

    Raises
    ------
    HushError
        When the method must see all of an image, or the memory is too little.
    """
    need = denoiser.need(image)
    if denoiser.sharpen:
        need = replace(need, margin=need.margin + 1)
    if uncertain:
        need = replace(need, pixel_bytes=need.pixel_bytes * SPREAD_MEMORY)
    dtype = image.data.dtype if dtype is None else dtype
    joint = "S" + "C" * denoiser.joint_channels
    chunks = chunks or getattr(image.data, "chunks", None)
    itemsize = image.data.dtype.itemsize + dtype.itemsize + 4 * uncertain
    made = plan_pieces(
        image.data.shape, image.axes, need, memory, ndim=denoiser.ndim, joint=joint, chunks=chunks, itemsize=itemsize
    )
    if made is None:
        at_once = "all of a plane" if need.whole else f"chunks of {' x '.join(map(str, chunks))}" if chunks else "tiles"
        raise HushError(
            f"{memory / 1e9:.2f} GB of memory are too little for {denoiser.method} on {at_once}: give more with "
            "--memory, take gaussian or median" + (", or store the image in smaller chunks" if chunks else "")
        )
    plan, workers = (made[0] if plan is None else plan), made[1]
    sample = sample_for(image, memory, denoiser.ndim) if sample is None else sample
    look = middle(sample, FIRST_LOOK) if denoiser.ndim == 2 else _middle_volume(sample)
    with quiet():
        first = denoiser.run(look, None, None, None, strength)
        frozen = denoiser.frozen(sample)
    codes = [one["code"] for one in first.info["warnings"]]
    info = {**first.info, "settings": denoiser.settings, "axes": image.axes}
    info["warnings"] = [one for one in info["warnings"] if one["code"] not in SAID_BY_PIECE]
    digest = hashlib.sha256(np.ascontiguousarray(first.image.data).tobytes())
    return Pieces(
        frozen,
        image,
        plan,
        dtype,
        strength,
        uncertain,
        workers,
        info,
        (look, first.image),
        digest.hexdigest(),
        unchanged="contrast-lost" in codes,
    )


def _middle_volume(sample: Image) -> Image:
    """The middle of a volume: fewer pixels to the side, and the planes about the middle."""
    cuts = []
    for axis, size in zip(sample.axes, sample.data.shape, strict=True):
        side = {"Y": 128, "X": 128, "Z": 32, "T": 1}.get(axis, size)
        start = max(0, (size - side) // 2)
        cuts.append(slice(start, start + side))
    return replace(sample, data=sample.data[tuple(cuts)])


class quiet(warnings.catch_warnings):  # noqa: N801 -- used as a function
    """Raise no HushWarning: every piece would say the same; they are in the findings."""

    def __enter__(self) -> None:
        super().__enter__()
        warnings.simplefilter("ignore", HushWarning)


class Sayings:
    """The warnings of all pieces, each once: that of the largest figure, and how many pieces say it."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.found: dict[str, dict[str, Any]] = {}
        self.counts: dict[str, int] = {}

    def add(self, findings: Sequence[dict[str, Any]]) -> None:
        """Take those of a piece."""
        for code in {one["code"] for one in findings}:
            self.counts[code] = self.counts.get(code, 0) + 1
        for one in findings:
            before = self.found.get(one["code"])
            if before is None or (one.get("figure") or 0) > (before.get("figure") or 0):
                self.found[one["code"]] = one

    def all(self) -> list[dict[str, Any]]:
        """Return them; of an image of one value only if every piece is."""
        said = []
        for code, one in self.found.items():
            count = self.counts[code]
            if code == "constant" and count < self.total:
                continue
            where = f" (So in {count} of {self.total} pieces.)" if self.total > 1 else ""
            said.append({**one, "sentence": f"{one['sentence']}{where}"})
        return said


def told(pieces: Pieces, sayings: Sayings, begun: float) -> dict[str, Any]:
    """Return the ``info`` of a result that was made in pieces."""
    plan = pieces.plan
    known = [one["code"] for one in pieces.info["warnings"]]
    return {
        **pieces.info,
        "warnings": [*pieces.info["warnings"], *(one for one in sayings.all() if one["code"] not in known)],
        "seconds": round(pieces.info.get("seconds", 0.0) + time.perf_counter() - begun, 3),
        "peak_memory_mb": peak_memory_mb(),
        "plan": plan.as_dict() | {"pieces": len(plan)},
    }


def run_in_pieces(
    denoiser: Denoiser,
    image: Image,
    out: Array,
    memory: int,
    done: Callable[[int, int], None] | None = None,
    std: Array | None = None,
    strength: Strength | None = None,
) -> dict[str, Any]:
    """Denoise an image in pieces, write them into `out` (and `std`), and return the ``info`` of the result.

    Parameters
    ----------
    denoiser : Denoiser
        After `fit`.
    image : Image
    out, std : array
        Anything of the image's shape that takes ``out[box] = values``; whole chunks are written where it has
        ``chunks``.
    memory : int
        Bytes that the work may take.
    done : callable, optional
        (piece, pieces) after every piece.
    strength : Strength, optional
    """
    begun = time.perf_counter()
    dtype = np.dtype(out.dtype)
    pieces = cut(
        denoiser, image, memory, chunks=chunk_shape(out), dtype=dtype, strength=strength, uncertain=std is not None
    )
    sayings = Sayings(len(pieces.plan))
    with quiet():
        for count, made in enumerate(pieces.results(range(len(pieces.plan))), 1):
            out[made.write] = made.clean
            let_go(out)
            if std is not None:
                std[made.write] = made.std
                let_go(std)
            sayings.add(made.findings)
            if done is not None:
                done(count, len(pieces.plan))
    return told(pieces, sayings, begun)
