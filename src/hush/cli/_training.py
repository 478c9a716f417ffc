"""hush train: k-fold cross-validation before the model is trained on all files (--folds), and several processes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hush.cli._teaching import METHOD
from hush.core import registry
from hush.core.errors import HushError
from hush.core.launched import launched

if TYPE_CHECKING:
    from hush.cli.console import Console
    from hush.cli.files import Job
    from hush.methods._learned import NetDenoiser
    from hush.training.folds import CrossValidation

AGAINST = {  # what the figures of a cross-validation are measured with, for people
    "targets": "scored against --targets",
    "clean": "scored against the clean files, with one draw of the noise each",
    "loss": "the method's loss on files that the model has not seen",
}


def said_for_folds(said: dict[str, Any], default: str) -> dict[str, Any]:
    """Return what was said, where --noise of a method that is told no noise is that to put on clean files."""
    settings = registry.get("methods", said["method"] or default).settings_of()
    if said["noise"] is None or "noise" in settings or "simulate" not in settings:
        return said
    return said | {"noise": None, "sets": [*said["sets"], f"simulate={said['noise']}"]}


def pair_for_folds(planned: Sequence[Job], targets: str | None) -> None:
    """Find the partner of every file, to score against; whether the method learns from it is its own affair."""
    from hush.cli.pairs import partners

    if targets is not None:
        for job, path in zip(planned, partners([job.source for job in planned], targets), strict=True):
            job.partner = path


def finished_folds(output: Path) -> Path:
    """Where the folds that are finished are kept, beside the model."""
    return output.with_name(f"{output.name}.folds")


def validate(
    opened: Sequence[Job],
    denoiser: NetDenoiser,
    output: Path,
    folds: int,
    resume: bool,
    console: Console,
    start: NetDenoiser | None = None,
) -> CrossValidation:
    """Cross-validate a method on the opened files, say which fold it is, and print the table.

    Raises
    ------
    HushError
        When there are fewer files than folds, or what is to be resumed is of other files or settings.
    """
    from hush.training.folds import cross_validate

    @contextmanager
    def watch(fold: int, of: int, kept: int, held: int) -> Iterator[Callable[..., None]]:
        console.say(f"fold {fold} of {of}: learns from {kept} files, is tested on {held}")
        with console.training(opened) as progress:
            yield progress

    console.say(f"{folds} such trainings, one a fold, and then one on all files")
    images = [job.image for job in opened if job.image is not None]
    targets = [job.target_image for job in opened if job.target_image is not None] or None
    found = cross_validate(
        denoiser,
        images,
        targets,
        folds=folds,
        seed=denoiser.seed,
        start=start,
        checkpoint=finished_folds(output),
        resume=resume,
        watch=watch,
    )
    if console.as_json:
        for row in found.rows:
            click.echo(json.dumps(row))
    else:
        click.echo(found.table())
    noisy = ", which are noisy themselves" if found.against == "targets" and denoiser.needs == "noisy pairs" else ""
    console.say(f"mean ± standard deviation of {folds} folds, {AGAINST[found.against]}{noisy}")
    console.say(f"now the model itself: trained on all {len(images)} files, and tested on none")
    return found


def record(
    written: Sequence[Path], denoiser: NetDenoiser, opened: Sequence[Job], found: CrossValidation | None
) -> dict[str, Any]:
    """Return what --json says of the model that was written."""
    steps = [state.step for state in denoiser.history_]
    facts = {"output": str(written[0]), "method": denoiser.method, "trained_on": [str(job.source) for job in opened]}
    together = {"processes": denoiser.learned_["processes"]} if "processes" in denoiser.learned_ else {}
    return facts | {"steps": steps} | together | ({} if found is None else {"cross_validation": found.as_dict()})


def check_together(method: str | None, folds: int | None) -> None:
    """Refuse, before any file is read, what several processes (torchrun) do not do together."""
    count = launched().count
    if count > 1 and (folds or method == METHOD):
        what = "--folds" if folds else f"--method {METHOD}"
        raise HushError(f"hush train {what} runs in one process and torchrun has started {count}: leave torchrun out")


def say_together(denoiser: NetDenoiser, console: Console) -> None:
    """Say how many processes learn together, and from how many patches a step."""
    count = launched().count
    if count > 1:
        console.say(f"{count} processes: each step learns from {count} x {denoiser.batch} patches")


def check_learns(denoiser: Any) -> None:
    """Refuse, before any file is read, a method that takes nothing over from one file to another."""
    from hush.methods._learned import NetDenoiser

    if not isinstance(denoiser, NetDenoiser) or denoiser.scope == "image":
        raise HushError(
            f"{denoiser.method} learns nothing from some files that others could test: leave --folds out, "
            "or take --method n2v, ssdn or n2c"
        )
