"""What a person sees while a command runs: the plan, progress, warnings, failures; JSON for programs."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console as RichConsole
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from hush.cli.files import Job, describe_image
from hush.core.errors import HushError, HushWarning
from hush.core.launched import launched
from hush.methods._base import Denoiser


class Console:
    """Everything for people goes to standard error; JSON, one object a line, to standard output.

    Of several processes (torchrun) only the first one's says anything.

    Parameters
    ----------
    quiet : bool
        Say nothing but errors.
    as_json : bool
        Print a record for every file, failures too.
    """

    def __init__(self, quiet: bool, as_json: bool) -> None:
        self.first = launched().first
        self.quiet, self.as_json = quiet or not self.first, as_json and self.first
        self.err = RichConsole(stderr=True, highlight=False, soft_wrap=True)
        self.printed: set[int] = set()
        warnings.filterwarnings("ignore", category=HushWarning)  # they are in the records, and said once

    def say(self, text: str) -> None:
        """Print a line for a person."""
        if not self.quiet:
            self.err.print(escape(text))

    def plan(self, jobs: Sequence[Job], denoiser: Denoiser, each: bool) -> None:
        """Say what will be done before it begins: images, axes, time, memory."""
        for job in jobs[:3]:
            assert job.image is not None
            self.say(f"{job.source.name}: {describe_image(job.image)}")
            for text in (job.image.meta.get("guessed"), *job.image.meta.get("warnings", [])):
                if text:
                    self.say(f"  note: {text}")
        if len(jobs) > 3:
            self.say(f"and {len(jobs) - 3} more")
        images = [job.image for job in jobs if job.image is not None]
        if images:
            models = len(jobs) if each or denoiser.scope == "image" else 1
            self.say(denoiser.expectation(images, models))

    @contextmanager
    def attempt(self, jobs: Sequence[Job], several: bool) -> Iterator[None]:
        """Record an error for these files and go on with the others; with one file only, let it through."""
        try:
            yield
        except HushError as error:
            if not several:
                error.source = error.source or str(jobs[0].source)
                raise
            for job in jobs:
                job.image = None
                if "output" not in job.record:
                    job.record = {"input": str(job.source), "error": str(error)}

    @contextmanager
    def training(self, jobs: Sequence[Job]) -> Iterator[Callable[..., None]]:
        """Show steps, loss and time left."""
        with self._progress() as bar:
            task = bar.add_task("learning", total=None, detail="timing the first ten steps")
            told: set[int] = set()

            def progress(network: int, networks: int, step: int, steps: int, loss: float) -> None:
                if steps and network not in told:
                    told.add(network)
                    which = f" for channel {network + 1} of {networks}" if networks > 1 else ""
                    self.say(f"{steps} steps{which} (repeat with --steps {steps})")
                part = (network + step / steps) / networks if steps else None
                detail = f"step {step}/{steps or '?'}  loss {loss:.4f}"
                bar.update(task, total=1.0 if part is not None else None, completed=part or 0, detail=detail)
                if steps and step == steps and network == networks - 1:
                    bar.remove_task(task)

            yield progress

    @contextmanager
    def tiling(self, job: Job) -> Iterator[Callable[[int, int], None]]:
        """Show tiles done."""
        with self._progress() as bar:
            task = bar.add_task(job.source.name, total=None, detail="")
            yield lambda done, total: bar.update(task, completed=done, total=total, detail=f"tile {done}/{total}")

    @contextmanager
    def counting(self, name: str) -> Iterator[Callable[[int, int, str], None]]:
        """Show rows done of an experiment."""
        with self._progress() as bar:
            task = bar.add_task(name, total=None, detail="")
            yield lambda done, total, text: bar.update(
                task, completed=done, total=total, detail=f"{done}/{total} {text}"
            )

    def _progress(self) -> Progress:
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[detail]}"))
        silent = self.quiet or not self.err.is_terminal  # in a log file a bar is only blank lines
        return Progress(*columns, TimeRemainingColumn(), console=self.err, transient=True, disable=silent)

    def finished(self, job: Job) -> None:
        """Say where the result is, and every warning."""
        self._emit(job)
        self.say(f"wrote {job.record['output']} ({job.record['seconds']:.1f} s)")
        if job.record.get("chosen", "") != "":
            self.say(f"  {job.record['reason']}")
        for found in job.record["warnings"]:
            self.say(f"  warning: {found['sentence']}")

    def facts(self, record: dict[str, Any]) -> None:
        """Print facts as lines, or as JSON at the end."""
        if not self.as_json:
            for name, value in record.items():
                print(f"{name:<12}{value}")  # noqa: T201

    def _emit(self, job: Job) -> None:
        if self.as_json and id(job) not in self.printed:
            self.printed.add(id(job))
            print(json.dumps(job.record), flush=True)  # noqa: T201

    def close(self, jobs: Sequence[Job]) -> int:
        """List what failed and return the exit code: 0, or 1 when some of several failed."""
        for job in jobs:
            if job.record:
                self._emit(job)
        failed = [job for job in jobs if "error" in job.record]
        for job in failed if self.first else ():
            print(f"hush: error: {job.record['error']}", file=sys.stderr)  # noqa: T201
        if failed and self.first:
            print(f"hush: {len(failed)} of {len(jobs)} files failed, the others are done", file=sys.stderr)  # noqa: T201
        return 1 if failed else 0
