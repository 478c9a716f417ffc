"""Commands for what comes trained: pretrain, weights."""

from __future__ import annotations

import json
from pathlib import Path

import click

from hush.cli._options import JSON, OVERWRITE, QUIET_OPTION
from hush.core.errors import HushError, WeightsError, unknown


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
    from hush.pretrained.trainings import TRAININGS

    if name is None:
        titles = {one: training.recipe_of(one)["title"] for one in training.recipes()}
        for one, title in ({one: known.title for one, known in TRAININGS.items()} | titles).items():
            click.echo(f"{one:<25}{title}")
        return 0
    if name not in TRAININGS and not name.endswith(".toml") and name not in training.recipes():
        raise unknown("weights", name, [*TRAININGS, *training.recipes()])
    console = Console(quiet=quiet, as_json=False)
    target = output or Path(f"{Path(name).stem}.safetensors")
    if target.suffix != ".safetensors":
        raise HushError(f"weights are .safetensors, not {target.name!r}")
    if target.exists() and not overwrite:
        raise HushError(f"{target.name} exists; --overwrite replaces it")
    if name in TRAININGS:
        known = TRAININGS[name]
        if (resume or keep) and not known.resumes:
            raise HushError(f"{name} is trained in one go: leave --resume and --keep out")
        state = {"resume": resume, "keep": keep} if known.resumes else {}
        with console.counting(target.stem) as progress:
            known.run(
                data,
                target,
                steps=steps,
                report=lambda at, every, loss: progress(at, every, f"loss {loss:.4f}"),
                **state,
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
    from hush.pretrained.trainings import TRAININGS

    here = weights.paths()
    special = {one: known for one, known in TRAININGS.items() if one not in here}  # what one task alone uses
    if name in special:
        text = special[name].shipped.with_suffix(".md").read_text("utf-8")
        click.echo(json.dumps({"name": name, "card": text}) if as_json else text.rstrip("\n"))
        return 0
    if name is not None and name not in here:
        raise unknown("weights", name, [*here, *special], WeightsError)
    if name is not None:
        card = weights.card(name)
        click.echo(json.dumps({"name": name} | card.as_dict()) if as_json else card.as_text(name))
        return 0
    for one, path in here.items():
        card = weights.card(one)
        if as_json:
            click.echo(json.dumps({"name": one} | card.as_dict()))
        else:
            _line(one, path, "shipped" if path.parent == weights.HERE else str(path), card.title)
    for one, known in special.items():
        if as_json:
            click.echo(json.dumps({"name": one, "title": known.title, "bytes": known.shipped.stat().st_size}))
        else:
            _line(one, known.shipped, "shipped", known.title)
    return 0


def _line(name: str, path: Path, where: str, title: str) -> None:
    """Print a line of the list of weights."""
    size = f"{path.stat().st_size / 1e6:.1f} MB"
    click.echo(f"{name:<25}{size:<9}{where:<9}{title}")
