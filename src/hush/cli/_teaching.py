"""hush train --method noisebreaker: a noise more for it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hush.cli._options import console_of
from hush.core.errors import HushError

METHOD = "noisebreaker"
OF_OTHERS = ("targets", "seconds", "resume", "validation", "patience", "sets", "gain", "offset", "read_noise", "dark")


def teach(inputs: Sequence[str], output: Path, begin: Path | None, said: dict[str, Any]) -> int:
    """Train a denoiser for a noise on clean images, refit the classifier's head, and write both to a file."""
    from hush.cli import files
    from hush.methods import _noisebreaker_train as training
    from hush.noise import parse

    if begin is not None and str(begin) != METHOD:
        raise HushError(f"--from {begin}: noisebreaker goes on from itself, --from noisebreaker; a file has one noise")
    if said["noise"] is None:
        raise HushError('noisebreaker learns a noise more: say which, for example --noise "stripes:amplitude=5..30"')
    for name in OF_OTHERS:
        if said.get(name):
            option = "set" if name == "sets" else name.replace("_", "-")
            raise HushError(f"noisebreaker learns a noise by --noise and --steps: leave --{option} out")
    console, noise = console_of(said), parse(said["noise"])
    planned = [files.Job(source, output) for source in files.expand(inputs, folders=True)]
    files.check_model_output(output, said["overwrite"])
    opened = files.open_images(planned, files.Options(axes=said["axes"], again=said["again"]))
    images = [job.image for job in opened if job.image is not None]
    if images:
        console.say(f"a denoiser for {noise} and the classifier's head, from {len(images)} clean images")
        how = {name: said[name] for name in ("steps", "seed", "device", "precision")}
        with console.training(opened) as progress:
            made = training.teach(images, noise, report=progress, **how)
        made.write(output, overwrite=said["overwrite"])
        console.say(f"wrote {output}; hush denoise --method {METHOD} --set model={output.name} takes it")
    return console.close(planned)
