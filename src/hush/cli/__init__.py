"""The command line: each command a few lines over the API; whatever is heavy is imported when it runs."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

import click

from hush import __version__
from hush.cli import _bench, _comparing, _denoising, _looking, _noise, _pretraining
from hush.core.errors import HushError
from hush.core.launched import launched

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


@click.group(context_settings=CONTEXT)
@click.version_option(__version__, prog_name="hush")
@click.pass_context
def hush(context: click.Context) -> None:
    """Remove noise from images when nobody has the clean ones."""
    count, name = launched().count, context.invoked_subcommand
    if count > 1 and name != _denoising.train.name:  # all would write the same file
        raise HushError(
            f"hush {name} runs in one process and torchrun has started {count}: start it without torchrun; "
            "several processes can train a model together (hush train), for hush apply"
        )


for _command in (
    _denoising.denoise, _denoising.train, _denoising.apply,
    _noise.analyze, _noise.noise, _noise.simulate,
    _comparing.score, _comparing.compare, _bench.bench,
    _pretraining.pretrain, _pretraining.weights_,
    _looking.info, _looking.list_, _looking.report, _looking.doctor,
):  # fmt: skip
    hush.add_command(_command)


@contextmanager
def _stops() -> Iterator[list[int]]:
    """Let what ends a program politely (kill, a closed terminal, a batch system) do what Ctrl-C does; note what it was.

    Otherwise temporary files would be left behind. A signal that is ignored stays so: that is how nohup works.
    """
    received: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        received.append(number)
        interrupt = signal.getsignal(signal.SIGINT)
        if not callable(interrupt):  # a job in the background ignores Ctrl-C, and is to be ended all the same
            raise KeyboardInterrupt
        interrupt(signal.SIGINT, frame)

    names = [name for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    known = [getattr(signal, name) for name in names if threading.current_thread() is threading.main_thread()]
    caught = [number for number in known if signal.getsignal(number) == signal.SIG_DFL]
    for number in caught:
        signal.signal(number, stop)
    try:
        yield received
    finally:
        for number in caught:
            signal.signal(number, signal.SIG_DFL)


@contextmanager
def _together() -> Iterator[Callable[[], bool]]:
    """Join the processes that torchrun started, if it did; ask what is given whether this one says how all ended."""
    if launched().count == 1:
        yield lambda: True
        return
    from hush.training.processes import joined

    with joined() as processes:
        yield processes.speaks


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 0, 1 (some files failed), 2 (bad input), or as `_run` says."""
    with _stops() as received, _together() as speaks:
        return _run(arguments, received, speaks)


def run_and_exit() -> NoReturn:
    """Run the command line as a program of its own."""
    code = main()
    if launched().count > 1:  # threads of gloo may still run, at which Python's own end would abort
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):  # its reader has gone, or `_run` has closed it
                stream.flush()
        os._exit(code)
    sys.exit(code)


def _run(arguments: Sequence[str] | None, received: list[int], speaks: Callable[[], bool]) -> int:
    """Run the command line; 130 after Ctrl-C, and 128 more than the signal that stopped it, as shells count (143)."""
    try:
        code = hush.main(arguments, prog_name="hush", standalone_mode=False)
        return int(code or 0)
    except HushError as error:
        if not speaks():
            return 2
        if "--json" in (sys.argv[1:] if arguments is None else arguments):
            click.echo(json.dumps({"input": error.source, "error": str(error)}))
        click.echo(f"hush: error: {error}", err=True)
        return 2
    except click.ClickException as error:
        if speaks():
            error.show()
        return 2
    except (KeyboardInterrupt, click.Abort):
        with suppress(OSError):  # a terminal that was closed
            if speaks():
                click.echo("hush: interrupted; what was done is kept, --resume goes on", err=True)
        return 128 + (received or [signal.SIGINT])[0]
    except BrokenPipeError:  # the reader of our output has gone, as in `hush list | head -1`
        sys.stderr.close()
        return 0
