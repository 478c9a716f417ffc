"""Commands for what comes trained: pretrain, weights."""

from __future__ import annotations

import json
from pathlib import Path

import click

from hush.cli._options import JSON, OVERWRITE, QUIET_OPTION
from hush.core.errors import HushError

CLASSIFIER_TITLES = {
    "noise-classifier": "the classifier of noise",
    "noise-mobilenet": "the classifier of noise of NoiseBreaker's paper",
}
NOISEBREAKER = "noisebreaker-"  # how the names of its denoisers begin


@click.command(epilog="Example: hush pretrain gaussian-fast --data DATA -o mine.safetensors")
@click.argument("name", required=False)
@click.option("--data", type=click.Path(path_type=Path), default=Path("../shared/data"), show_default=True,
              help="Folder of the data sets.")  # fmt: skip
@click.option("-o", "--output", type=click.Path(path_type=Path),
              help="The weights.  [default: NAME.safetensors]")  # fmt: skip
@click.option("--steps", type=click.IntRange(1), help="Steps, instead of the recipe's.")
@click.option("--resume", is_flag=True, help="Go on after a stop, or with a recipe that has got more cycles.")
@click.option("--keep", is_flag=True, help="Keep the state (.partial) when done, for more cycles.")
@OVERWRITE
@QUIET_OPTION
def pretrain(
    name: str | None,
    data: Path,
    output: Path | None,
    steps: int | None,
    resume: bool,
    keep: bool,
    overwrite: bool,
    quiet: bool,
) -> int:
    """Train shipped weights again, from clean images. Without a name: list the recipes."""
    from hush.cli.console import Console
    from hush.pretrained import train as training
    from hush.pretrained.noisebreaker.denoisers_train import DENOISER_TITLES

    if name is None:
        click.echo(f"{'level':<25}the estimator of the noise's level")
        for one, title in CLASSIFIER_TITLES.items():
            click.echo(f"{one:<25}{title}")
        for one, title in DENOISER_TITLES.items():
            click.echo(f"{NOISEBREAKER + one:<25}{title}")
        for one in training.recipes():
            click.echo(f"{one:<25}{training.recipe_of(one)['title']}")
        return 0
    console = Console(quiet=quiet, as_json=False)
    target = output or Path(f"{Path(name).stem}.safetensors")
    if target.suffix != ".safetensors":
        raise HushError(f"weights are .safetensors, not {target.name!r}")
    if target.exists() and not overwrite:
        raise HushError(f"{target.name} exists; --overwrite replaces it")
    if name == "level":
        if resume or keep:
            raise HushError("the level is trained in one go: leave --resume and --keep out")
        from hush.pretrained import level_train

        with console.counting(target.stem) as progress:
            level_train.train(
                data, target, steps=steps, report=lambda step, every, loss: progress(step, every, f"loss {loss:.4f}")
            )
        console.say(f"wrote {target} and its card {target.with_suffix('.md')}")
        return 0
    if name in CLASSIFIER_TITLES:
        if resume or keep:
            raise HushError("a classifier is trained in one go: leave --resume and --keep out")
        from hush.pretrained.noisebreaker import classifier_train

        with console.counting(target.stem) as progress:
            classifier_train.TRAININGS[name](
                data, target, steps=steps, report=lambda step, every, loss: progress(step, every, f"loss {loss:.4f}")
            )
        console.say(f"wrote {target} and its card {target.with_suffix('.md')}")
        return 0
    if name.startswith(NOISEBREAKER):
        from hush.pretrained.noisebreaker import denoisers_train

        with console.counting(target.stem) as progress:
            denoisers_train.train(
                name.removeprefix(NOISEBREAKER),
                data,
                target,
                steps=steps,
                resume=resume,
                keep=keep,
                report=lambda step, steps, loss: progress(step, steps, f"loss {loss:.4f}"),
            )
        console.say(f"wrote {target} and its card {target.with_suffix('.md')}")
        return 0
    with console.counting(target.stem) as progress:
        card = training.pretrain(
            name,
            data,
            target,
            resume=resume,
            steps=steps,
            keep=keep,
            report=lambda step, steps, loss: progress(step, steps, f"loss {loss:.4f}"),
        )
    for row in card.scores:
        click.echo(f"{row['name']:<40}{row['noise']:<34}{row['psnr']:.2f} dB")
    console.say(f"wrote {target} and its card {target.with_suffix('.md')}")
    return 0


@click.command("weights", epilog="Example: hush weights camera-fast")
@click.argument("name", required=False)
@JSON
def weights_(name: str | None, as_json: bool) -> int:
    """List the weights that are here, or show one's card."""
    from hush.pretrained import weights

    if name is not None:
        card = weights.card(name)
        click.echo(json.dumps({"name": name} | card.as_dict()) if as_json else card.as_text(name))
        return 0
    for one, path in weights.paths().items():
        card = weights.card(one)
        if as_json:
            click.echo(json.dumps({"name": one} | card.as_dict()))
        else:
            where = "shipped" if path.parent == weights.HERE else str(path)
            size = f"{card.bytes / 1e6:.1f} MB"
            click.echo(f"{one:<20}{size:<9}{where:<9}{card.title}")
    return 0
