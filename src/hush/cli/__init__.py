"""The command line: each command a few lines over the API; whatever is heavy is imported when it runs."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

import click

from hush import __version__
from hush.cli import _comparing, _denoising, _looking, _noise, _pretraining
from hush.core.errors import HushError

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


@click.group(context_settings=CONTEXT)
@click.version_option(__version__, prog_name="hush")
def hush() -> None:
    """Remove noise from images when nobody has the clean ones."""


for _command in (
    _denoising.denoise, _denoising.train, _denoising.apply,
    _noise.analyze, _noise.noise, _noise.simulate,
    _comparing.score, _comparing.compare, _comparing.bench,
    _pretraining.pretrain, _pretraining.weights_,
    _looking.info, _looking.list_, _looking.report, _looking.doctor,
):  # fmt: skip
    hush.add_command(_command)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 0, 1 (some files failed), 2 (bad input), 130 (Ctrl-C)."""
    try:
        code = hush.main(arguments, prog_name="hush", standalone_mode=False)
        return int(code or 0)
    except HushError as error:
        if "--json" in (sys.argv[1:] if arguments is None else arguments):
            click.echo(json.dumps({"input": error.source, "error": str(error)}))
        click.echo(f"hush: error: {error}", err=True)
        return 2
    except click.ClickException as error:
        error.show()
        return 2
    except (KeyboardInterrupt, click.Abort):
        click.echo("hush: interrupted; what was done is kept, --resume continues a training", err=True)
        return 130
    except BrokenPipeError:  # the reader of our output has gone, as in `hush list | head -1`
        sys.stderr.close()
        return 0
