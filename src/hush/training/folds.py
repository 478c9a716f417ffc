"""K-fold cross-validation: every file is tested once, by a model that was trained without it."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch

from hush.core import files
from hush.core.device import body_precision, memory_format
from hush.core.errors import HushError
from hush.core.findings import Finding
from hush.core.image import Array, Image, as_image
from hush.core.metrics import scores
from hush.core.missing import fill
from hush.estimation.no_data import without_no_data
from hush.estimation.outliers import outliers
from hush.noise import Noise, parse
from hush.training.checkpoint import digest
from hush.training.dataset import Scene, scene_of
from hush.training.patches import Batch
from hush.training.train_network import HELD

if TYPE_CHECKING:
    from hush.methods._base import Denoiser
    from hush.methods._learned import NetDenoiser

FIGURES = {"psnr": 2, "ssim": 4, "rmse": 3, "psnr_noisy": 2, "loss": 5}  # what is measured, and digits of it that count
RESULT_ONLY = ("tile",)  # settings that no figure depends on
Row = dict[str, Any]
Watch = Callable[[int, int, int, int], AbstractContextManager[Callable[..., None] | None]]


@dataclass(frozen=True)
class CrossValidation:
    """What cross-validation gives: the figures of every fold, their mean and their spread.

    Attributes
    ----------
    rows : list of dict
        One a fold: ``fold`` (from 1), ``files`` (for each file that was tested its ``name`` and its figures), ``steps``
        of the training, and the mean of each figure over those files. None stands for a figure that is not defined.
    against : {"targets", "clean", "loss"}
        What the figures were measured with: the targets; the clean images, on which noise was put; or nothing, so that
        the figure is the method's own loss.
    seed : int
        Of the division.
    """

    rows: list[Row]
    against: str
    seed: int

    @property
    def figures(self) -> list[str]:
        """Names of the figures: ``psnr`` (dB), ``ssim``, ``rmse`` (image units), ``psnr_noisy``; or ``loss``."""
        return [name for name in FIGURES if any(name in row for row in self.rows)]

    @property
    def mean(self) -> dict[str, float | None]:
        """Of each figure the mean over the folds."""
        return {name: _mean(row[name] for row in self.rows) for name in self.figures}

    @property
    def spread(self) -> dict[str, float | None]:
        """Of each figure the standard deviation between the folds (n - 1)."""
        known = {name: [row[name] for row in self.rows if row[name] is not None] for name in self.figures}
        return {name: float(np.std(of, ddof=1)) if len(of) > 1 else None for name, of in known.items()}

    def as_dict(self) -> Row:
        """Return plain values without the names of files, as they are kept with a model."""
        each = [{**row, "files": len(row["files"])} for row in self.rows]
        summary = {"mean": self.mean, "spread": self.spread}
        return {"folds": len(self.rows), "seed": self.seed, "against": self.against, **summary, "each": each}

    def table(self) -> str:
        """Return a table as text: a line for each fold, and the mean ± spread.

        Examples
        --------
        >>> rows = [{"fold": k + 1, "files": [{}, {}], "steps": 9, "loss": 0.5 + k / 4} for k in range(2)]
        >>> print(CrossValidation(rows, "loss", seed=0).table())
        fold  files  steps               loss
           1      2      9            0.50000
           2      2      9            0.75000
        mean      4         0.62500 ± 0.17678
        """
        names, mean, spread = self.figures, self.mean, self.spread
        lines = [["fold", "files", "steps", *(name.replace("_", ", ") for name in names)]]
        lines += [
            [str(row["fold"]), str(len(row["files"])), str(row["steps"]), *(_text(row[name], name) for name in names)]
            for row in self.rows
        ]
        last = [f"{_text(mean[name], name)} ± {_text(spread[name], name)}" for name in names]
        lines.append(["mean", str(sum(len(row["files"]) for row in self.rows)), "", *last])
        wide = [max(len(line[k]) for line in lines) for k in range(len(lines[0]))]
        return "\n".join(
            "  ".join(cell.rjust(width) for cell, width in zip(line, wide, strict=True)).rstrip() for line in lines
        )


def divide(groups: Sequence[Hashable], folds: int, seed: int = 0) -> list[list[int]]:
    """Divide files into folds of nearly the same size; files of one group stay together.

    Parameters
    ----------
    groups : sequence of hashable
        For each file the group that it belongs to: the specimen or the volume that it shows.
    folds : int
        2 or more.
    seed : int
        Of the order in which they are dealt out.

    Returns
    -------
    list of list of int
        For each fold the places of the files that it tests, in rising order; every file stands in one fold.

    Raises
    ------
    HushError
        When there are fewer groups than folds.

    Examples
    --------
    >>> divide(range(7), folds=3)
    [[1, 2, 6], [4, 5], [0, 3]]
    >>> divide(["a", "a", "b", "b", "c"], folds=2)
    [[0, 1, 4], [2, 3]]
    """
    members: dict[Hashable, list[int]] = {}
    for place, group in enumerate(groups):
        members.setdefault(group, []).append(place)
    _demand_enough(len(groups), len(members), folds)
    drawn = [list(members.values())[k] for k in np.random.default_rng(seed).permutation(len(members))]
    found: list[list[int]] = [[] for _ in range(folds)]
    for together in sorted(drawn, key=len, reverse=True):  # the largest first, each to the fold that has least
        min(found, key=len).extend(together)
    return [sorted(fold) for fold in found]


def _demand_enough(count: int, groups: int, folds: int) -> None:
    if folds < 2:
        raise HushError(f"cross-validation needs 2 folds or more, and was given {folds}")
    if groups < folds:
        there = f"there {'is' if count == 1 else 'are'} {count}"
        there += "" if groups == count else f", of which {groups} are independent of one another"
        possible = f"2 to {groups} folds, or more files" if groups > 1 else "more files; one file is never divided"
        raise HushError(f"{folds} folds need {folds} files, and {there}; possible: {possible}")


def cross_validate(
    model: Denoiser,
    images: Sequence[Image | Array],
    targets: Sequence[Image | Array] | None = None,
    *,
    folds: int = 5,
    seed: int = 0,
    groups: Sequence[Hashable] | None = None,
    peak: float | None = None,
    fit_gain: bool = False,
    start: NetDenoiser | None = None,
    checkpoint: Path | None = None,
    resume: bool = False,
    watch: Watch | None = None,
) -> CrossValidation:
    """Train a method on all folds but one, test it on that one, and so on with each.

    The files are divided by whole files: the planes of a volume, or the pages of a stack, are never on both sides.
    Files of equal content are one group.

    Parameters
    ----------
    model : Denoiser
        A method of `hush.methods` that learns from a collection; it stays as it is, copies of it learn.
    images : sequence of Image or array
        One a file, all with the same channels. They are noisy, or clean where the method has ``simulate``.
    targets : sequence of Image or array, optional
        Partners of the same shape, clean or a second exposure. The results are scored against them; a method that
        needs pairs also learns from those of its training files.
    folds : int
        2 or more, and no more than there are files; with as many as files each is left out once.
    seed : int
        Of the division, and of the noise that is put on the tested files.
    groups : sequence of hashable, optional
        For each file what it shows: files of one specimen are tested together. By default every file is on its own.
    peak : float, optional
        Data range of PSNR and SSIM; by default `hush.core.metrics.data_range` of the target.
    fit_gain : bool
        Fit gain and offset of every result to its target before it is scored.
    start : NetDenoiser, optional
        A trained model with which every training begins (fine-tuning). It must not have seen the files.
    checkpoint : Path, optional
        File that keeps the finished folds, and beside it that of the training that runs; whoever called removes it
        once the result is safe.
    resume : bool
        Continue from `checkpoint` if it is there.
    watch : callable, optional
        (fold, folds, files to learn from, files to test) -> a context that gives `fit` its ``progress`` or None.

    Returns
    -------
    CrossValidation
        PSNR, SSIM and RMSE against the targets, or against the clean images of ``simulate``; where there is neither,
        the method's loss on the tested files: at masked pixels for a method that masks, of normalised values.

    Raises
    ------
    HushError
        When there are fewer files than folds, the images do not fit together, the method learns from no collection,
        or a checkpoint is of other files or settings.

    Notes
    -----
    The spread is the standard deviation between folds. It says how much the figure depends on the files. It is no
    standard error: the folds share most of their training files, and no unbiased estimate of that error exists [1]_.

    References
    ----------
    .. [1] Y. Bengio and Y. Grandvalet, No unbiased estimator of the variance of K-fold cross-validation, Journal of
       Machine Learning Research 5, 2004.

    Examples
    --------
    >>> from hush import Noise2Void
    >>> rng = np.random.default_rng(0)
    >>> clean = [np.full((32, 32), 100 + 9 * k, np.float32) for k in range(4)]
    >>> noisy = [one + rng.normal(0, 9, one.shape).astype(np.float32) for one in clean]
    >>> found = cross_validate(Noise2Void(steps=2, maps=4), noisy, clean, folds=2, peak=255)
    >>> [len(row["files"]) for row in found.rows], sorted(found.mean)
    ([2, 2], ['psnr', 'psnr_noisy', 'rmse', 'ssim'])
    """
    inputs = [as_image(image) for image in images]
    partners = None if targets is None else [as_image(target) for target in targets]
    made = _check(model, inputs, partners)
    labels = [(digest(one.data), one.data.shape) for one in inputs] if groups is None else list(groups)
    if len(labels) != len(inputs):
        raise HushError(f"there are {len(inputs)} files and {len(labels)} groups: each file needs one")
    tested = divide(labels, folds, seed)
    against = "clean" if made is not None else "targets" if partners is not None else "loss"
    kept = _Finished(checkpoint, _identity(model, inputs, partners, start, tested, peak, fit_gain), resume)
    for number, places in enumerate(tested, 1):
        if str(number) in kept.rows:
            continue
        others = [k for k in range(len(inputs)) if k not in places]
        with (watch or _unwatched)(number, folds, len(others), len(places)) as progress:
            path = kept.training(number)
            how = {"checkpoint": path, "resume": resume, "progress": progress, "start": start}
            learned = _learned(model, [inputs[k] for k in others], _some(partners, others), how)
        figures = [
            _tested(learned, inputs[k], None if partners is None else partners[k], made, [seed, k], peak, fit_gain)
            for k in places
        ]
        names = [str(inputs[k].meta.get("name") or k) for k in places]
        kept.store(number, _row(number, names, figures, _steps(learned)))
    return CrossValidation([kept.rows[str(number)] for number in range(1, folds + 1)], against, seed)


@contextmanager
def _unwatched(*what: int) -> Iterator[None]:
    yield None


def _check(model: Denoiser, images: Sequence[Image], targets: Sequence[Image] | None) -> Noise | None:
    """Refuse, before any training, what could not be tested; return the noise that is put on clean images."""
    model.check()
    if model.scope == "image":
        raise HushError(f"{model.method} works on each image by itself: it takes nothing over from one file to another")
    simulate = getattr(model, "simulate", None)
    if targets is None:
        if simulate is None and not hasattr(model, "loss"):
            raise HushError(f"{model.method} has no loss: give targets to score its results against")
        return None if simulate is None else parse(simulate)
    if simulate is not None:
        raise HushError(f"with noise ({simulate}) on clean images these are the reference: leave the targets out")
    if len(targets) != len(images):
        raise HushError(f"there are {len(images)} images and {len(targets)} targets: each needs one")
    for image, target in zip(images, targets, strict=True):
        if image.data.shape != target.data.shape or image.axes != target.axes:
            one, other = (f"{x.meta.get('name') or 'an image'} ({x.axes} {x.data.shape})" for x in (image, target))
            raise HushError(f"{one} and {other} are no pair: their axes and shapes must be the same")
    return None


def _some(images: Sequence[Image] | None, places: Sequence[int]) -> list[Image] | None:
    return None if images is None else [images[k] for k in places]


def _learned(model: Denoiser, images: Sequence[Image], targets: Sequence[Image] | None, how: Row) -> Denoiser:
    """Return a copy of the method that has learned from these files."""
    copy = type(model)(**model.settings)
    given = targets if model.needs in ("noisy pairs", "noisy and clean") else None
    if hasattr(copy, "loss"):
        return cast("NetDenoiser", copy).fit(images, given, **how)
    return copy.fit(images, given)


def _steps(model: Denoiser) -> int:
    """Steps that were trained, of the network that was trained longest."""
    return max((state.step for state in getattr(model, "history_", [])), default=0)


# Testing one file ----------------------------------------------------------------------------------------------------


def _tested(
    model: Denoiser,
    image: Image,
    target: Image | None,
    made: Noise | None,
    draw: list[int],
    peak: float | None,
    fit_gain: bool,
) -> dict[str, float | None]:
    """Return the figures of one file that the model has not seen."""
    if made is not None:
        noisy, reference = _noisy(image, made, draw, model), image
    elif target is not None:
        noisy, reference = image, target
    else:
        return {"loss": _loss(cast("NetDenoiser", model), image, draw)}
    found = scores(model.run(noisy).image, reference, peak=peak, fit=fit_gain)
    before = scores(noisy, reference, peak=peak, fit=fit_gain)["psnr"]
    return {name: found[name] for name in ("psnr", "ssim", "rmse")} | {"psnr_noisy": before}


def _floats(image: Image) -> Array:
    """The values as floats that hold them."""
    wide = image.data.dtype.itemsize > 2 and image.data.dtype != np.float32
    return np.array(image.data, np.float64 if wide else np.float32)


def _noisy(image: Image, noise: Noise, draw: list[int], model: Denoiser) -> Image:
    """A clean image with one draw of the noise, unclipped; the same for all methods of a seed."""
    data, rng = _floats(image), np.random.default_rng(draw)
    drawn = noise.draw(rng)
    for plane in image.planes(model.ndim, model.joint_channels):
        clean = np.asarray(plane.view(image.data), np.float64)
        filled = drawn.sample(fill(clean)[0], rng)
        plane.view(data)[...] = np.where(np.isfinite(clean), filled, clean)
    return replace(image, data=data)


def _measured(image: Image) -> Image:
    """The image with NaN, which no loss counts, where it holds no data and at single pixels far beyond all others."""
    shown = without_no_data(image)
    data = None
    for plane in shown.planes(2):
        for sample, values in enumerate(plane.view(shown.data)):
            apart = outliers(np.asarray(values))
            if apart is not None:
                data = _floats(shown) if data is None else data
                plane.view(data)[sample][apart] = np.nan
    return shown if data is None else replace(shown, data=data)


@torch.no_grad()
def _loss(model: NetDenoiser, image: Image, draw: list[int]) -> float | None:
    """Return the mean loss on patches of a file, as the method's own validation takes it; None of a constant one."""
    losses = []
    partner: Any = "noisy" if model.needs == "noisy pairs" else "none"
    for network, net in enumerate(model.nets_):
        if net is None:
            continue
        scene: Scene = scene_of(_measured(image), None, network, model.ndim, model.joint_channels, partner, False)
        scenes, scale = [scene], model.scales_[network]
        held = model.sources(scenes, scenes, model._patch_shape(scene.views), scale)[1]
        assert held is not None  # a whole file is held out
        rng = torch.Generator(model.device_)
        for number in range(HELD):
            drawn = np.random.default_rng([*draw, network, number])
            batch = held.batch(model.batch, drawn, model.device_)
            rng.manual_seed(int(drawn.integers(1 << 62)))
            noisy = batch.noisy.contiguous(memory_format=memory_format(model.ndim))
            with body_precision(model.device_, model.precision_):
                losses.append(float(model.loss(net, Batch(noisy, batch.valid, batch.target, batch.scale), rng)))
    return _mean(losses)


def _mean(values: Any) -> float | None:
    """The mean of those that are known and finite."""
    known = [value for value in values if value is not None and np.isfinite(value)]
    return float(np.mean(known)) if known else None


def _text(value: float | None, name: str) -> str:
    return "–" if value is None else f"{value:.{FIGURES[name]}f}"


def _row(number: int, names: Sequence[str], figures: Sequence[Mapping[str, float | None]], steps: int) -> Row:
    """What is kept of a fold."""
    each = [{"name": name, **found} for name, found in zip(names, figures, strict=True)]
    return {"fold": number, "files": each, "steps": steps} | {
        name: _mean(found[name] for found in figures) for name in figures[0]
    }


# What is finished, on disk -------------------------------------------------------------------------------------------


def _identity(
    model: Denoiser,
    images: Sequence[Image],
    targets: Sequence[Image] | None,
    start: NetDenoiser | None,
    tested: list[list[int]],
    peak: float | None,
    fit_gain: bool,
) -> Row:
    """What must be the same for a cross-validation to be resumed."""
    settings = {key: value for key, value in model.settings.items() if key not in RESULT_ONLY}
    shown = {"inputs": images, "targets": targets or []}
    return {
        "method": model.method,
        **{k: [[x.meta.get("name"), list(x.data.shape), digest(x.data)] for x in v] for k, v in shown.items()},
        "folds": tested,
        "scored with": [peak, fit_gain],
        "start": None if start is None else start.fingerprint,
        **settings,
    }


class _Finished:
    """The folds that are finished, in a file: written after each, read again to go on."""

    def __init__(self, path: Path | None, identity: Row, resume: bool) -> None:
        self.path, self.identity = path, json.loads(json.dumps(identity, default=str))
        self.rows: dict[str, Row] = {}
        if path is not None and resume and path.exists():
            self.rows = self._read(path)

    def _read(self, path: Path) -> dict[str, Row]:
        try:
            note = json.loads(path.read_text("utf-8"))
            known, rows = dict(note["identity"]), dict(note["rows"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise HushError(f"{path.name} keeps no folds that can be resumed ({error}); delete it") from None
        for key, value in self.identity.items():
            if known.get(key) != value:
                raise HushError(
                    f"cannot resume {path.name}: {key} was {known.get(key)!r} and is now {value!r}; "
                    "use the same inputs and settings, or start again without --resume"
                )
        return rows

    def training(self, number: int) -> Path | None:
        """Where the training of a fold is kept while it runs."""
        return None if self.path is None else self.path.with_name(f"{self.path.name}-{number}.partial")

    def store(self, number: int, row: Row) -> None:
        """Keep a fold; its training is no longer needed then."""
        self.rows[str(number)] = row = json.loads(json.dumps(row))  # as it is read again
        if self.path is None:
            return
        try:
            files.write_json(self.path, {"identity": self.identity, "rows": self.rows})
        except HushError as error:  # a full disk must not end what the file protects
            warnings.warn(Finding("no-checkpoint", f"no checkpoint: {error}").warning(), stacklevel=3)
            return
        partial = self.training(number)
        assert partial is not None
        partial.unlink(missing_ok=True)
