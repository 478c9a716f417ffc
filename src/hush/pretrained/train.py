"""Pretraining: what made the weights that hush ships, and makes them again."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hush.core.device import body_precision, device_name, device_of, precision_of
from hush.core.errors import HushError, unknown
from hush.core.image import Array
from hush.core.metrics import psnr
from hush.datasets.camera import PEAK, photograph
from hush.datasets.recipes import frozen_noise, pictures
from hush.nets._parts import pad_end
from hush.nets.resunet import ResUNet
from hush.noise.correlated import Correlated
from hush.pretrained import weights
from hush.pretrained.card import Card
from hush.pretrained.data import given, mixture, views_of
from hush.training.checkpoint import Checkpoint
from hush.training.patches import Batch
from hush.training.train_network import Task, learn
from hush.training.trainer import Schedule

USUAL = (3.0, 1.2)  # the error that a patch may be expected to have at a level: (sigma + 3) ** 1.2, roughly
OWN_SETTINGS = ("batch", "patch", "power", "amplified")  # what a cycle may have of its own
GAUGE_SHARE = 0.2  # of the loss of a gauge, which has weights of its own
LARGE_LOSS = 100.0  # what the loss is multiplied by: its gradient must be far above Adam's epsilon


def recipes() -> dict[str, Path]:
    """Return the recipes of the shipped weights by name."""
    return {path.stem: path for path in sorted(weights.HERE.glob("*.toml"))}


def recipe_of(name: str) -> dict[str, Any]:
    """Read a recipe: a shipped one by name, or a file."""
    path = Path(name) if name.endswith(".toml") else recipes().get(name)
    if path is None:
        raise unknown("weights", name, recipes())
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise HushError(f"the recipe {name} cannot be read: {error}") from None


def usual_error(sigma: Any, power: float = USUAL[1]) -> Any:
    """Return the squared error that may be expected at a level of Gaussian noise, both in grey levels, roughly."""
    return (sigma + USUAL[0]) ** power


def loss_of(recipe: dict[str, Any]) -> Callable[[nn.Module, Batch, torch.Generator], Tensor]:
    """Return the loss: squared error, each patch's in units of what is usual at its level, so that all levels count.

    With a `power` below the usual one, strong noise counts more.
    """
    power = recipe.get("power", USUAL[1])

    def loss(net: nn.Module, batch: Batch, rng: torch.Generator) -> Tensor:
        seen = given(batch, recipe, rng)
        away = net(seen.x) - seen.target
        if batch.valid is not None:
            away = away * batch.valid
        square = away.square().mean((1, 2, 3))
        usual = usual_error(PEAK * seen.level.mean(1).flatten(), power) / PEAK**power
        relative: Tensor = LARGE_LOSS * (square / usual).mean()
        if seen.found is not None:
            relative = relative + GAUGE_SHARE * net.gauge.loss(seen.x[:, : seen.target.shape[1]], seen.found)  # type: ignore[operator, union-attr]
        return relative

    return loss


def pretrain(
    name: str,
    folder: Path,
    output: Path,
    *,
    resume: bool = False,
    steps: int | None = None,
    report: Callable[[int, int, float], None] | None = None,
    every: float = 60.0,
    keep: bool = False,
) -> Card:
    """Train weights from scratch and write them with their card; after a stop, `resume` goes on.

    A recipe has cycles: each begins with the averaged weights of the one before, and ends with a learning rate of
    zero; it may have a `batch`, a `patch` and a `power` of its own, and a share of its photon noise that is
    `amplified` by chance; a data set may have a share for each. A recipe to which a cycle was added goes on from a
    state that was kept. A recipe may `begin` with other weights; what the network is told beyond those is ignored at
    first, the residual blocks that it has more add nothing at first, and one for colours begins with what those do to
    the mean of the colours.

    Parameters
    ----------
    name : str
        Of a recipe: a shipped one, or a file.
    folder : Path
        Of the data sets.
    output : Path
        ``NAME.safetensors``; while training ``NAME.safetensors.partial`` beside it holds the state.
    resume : bool
        Go on from that state.
    steps : int, optional
        One cycle of so many steps instead of the recipe's.
    report : callable, optional
        (step, steps, loss) after every step.
    every : float
        Seconds between two states that are kept.
    keep : bool
        Whether the state stays when the weights are written.

    Returns
    -------
    Card
    """
    recipe = recipe_of(name)
    if steps:
        recipe["cycles"] = [recipe["cycles"][0] | {"steps": steps}]
    sets = [views_of(data, folder, recipe["channels"]) for data in recipe["data"]]
    device = device_of(None)
    precision = precision_of(device, None, 2)
    identity = {key: value for key, value in recipe.items() if key not in ("title", "licence", "cycles", "score")}
    identity |= {"precision": precision}
    keeper = Checkpoint(output.with_name(output.name + ".partial"), identity, resume, every)
    net, seconds, before = weights.load(recipe["begin"])[0] if "begin" in recipe else None, 0.0, 0
    every_step = sum(cycle["steps"] for cycle in recipe["cycles"])
    for number, cycle in enumerate(recipe["cycles"]):
        schedule = Schedule(cycle["steps"], learning_rate=cycle["learning_rate"], averaging=recipe["averaging"])
        own = _own(recipe) | _own(cycle)
        source: Any = mixture(recipe | own, sets, number)
        task = Task(number, recipe["seed"], own["batch"], 2, device, precision, schedule)

        def told(step: int, steps: int, loss: float, before: int = before) -> None:
            if report is not None:
                report(before + step, every_step, loss)

        learned = learn(task, partial(_begun, recipe, net), loss_of(recipe | own), source, None, keeper, told)
        net, seconds, before = learned.net, seconds + learned.state.seconds, before + cycle["steps"]
    assert net is not None
    words = ["hush", "pretrain", Path(name).stem, *(["--steps", str(steps)] if steps else [])]
    training = {"device": f"{device_name(device)}, {precision}", "command": " ".join(words), "hours": seconds / 3600}
    rows = [row for data in recipe["score"] for row in scores(net, recipe, data, folder, device, precision)]
    card = _card(recipe, sets, training, net, rows)
    weights.write(output, net, card)
    if not keep:
        keeper.remove()
    return card


def _own(cycle: dict[str, Any]) -> dict[str, Any]:
    """What of `OWN_SETTINGS` is said."""
    return {key: cycle[key] for key in OWN_SETTINGS if key in cycle}


def _begun(recipe: dict[str, Any], begin: nn.Module | None) -> nn.Module:
    """The network of a cycle before it is trained."""
    net = weights.build(Card.of(recipe))
    if begin is None:
        return net
    if isinstance(net, ResUNet) and isinstance(begin, ResUNet):
        net.silence(begin.blocks)
    state, channels, colours = dict(begin.state_dict()), recipe["channels"], recipe["channels"] > begin.outputs
    for key, value in net.state_dict().items():
        old = state.setdefault(key, value)  # a block that the other network lacks
        if len(value) > len(old):  # the last layer: every colour is corrected as the one channel was
            state[key] = old.repeat(channels, *(1,) * (old.ndim - 1))
        elif value.shape != old.shape and colours:  # the first layer: it sees the mean of colours, and its level
            seen, level = old.chunk(2, 1)
            state[key] = torch.cat([seen / channels] * channels + [level / channels**1.5] * channels, 1)
        elif value.shape != old.shape:  # the first layer, which sees more planes than before
            state[key] = torch.zeros_like(value)
            state[key][:, : old.shape[1]] = old
    net.load_state_dict(state)
    return net


def _card(
    recipe: dict[str, Any],
    sets: Sequence[Sequence[Array]],
    training: dict[str, Any],
    net: nn.Module,
    rows: Sequence[dict[str, Any]],
) -> Card:
    cycles = [_own(recipe) | cycle for cycle in recipe["cycles"]]
    data = [
        {"name": data["name"], "images": len(views), "share": data["share"], "licence": data["licence"]}
        for data, views in zip(recipe["data"], sets, strict=True)
    ]
    training = training | {
        "steps": sum(cycle["steps"] for cycle in cycles),
        "cycles": cycles,
        "gigapixels": sum(cycle["steps"] * cycle["batch"] * cycle["patch"] ** 2 for cycle in cycles) / 1e9,
        "seed": recipe["seed"],
        "parameters": sum(value.numel() for value in net.parameters()),
    }
    return replace(Card.of(recipe), data=data, training=training, scores=rows)


def scores(
    net: nn.Module, recipe: dict[str, Any], data: dict[str, Any], folder: Path, device: str, precision: str
) -> list[dict[str, Any]]:
    """Measure PSNR on images that were not trained on, a row a level; `length` of the data: correlated noise."""
    if recipe.get("blind"):
        return _photographed(net, recipe, data, folder, device, precision)
    grey, length = recipe["channels"] == 1, data.get("length", 0)
    lag, inputs = Correlated(1, length).lag_one() if length else 0.0, Card.of(recipe).inputs
    rows = []
    for sigma in data["sigma"]:
        found = []
        notation = f"correlated:sigma={sigma},length={length}" if length else f"gaussian:sigma={sigma}"
        for name, clean, _ in pictures(data | {"grey": grey}, folder, {}):
            noisy = frozen_noise(clean, notation, f"{data['name']}/{name}", 0)
            views = noisy[None] if grey else np.moveaxis(noisy, -1, 0)
            level, none = np.full_like(views, sigma / PEAK), np.zeros_like(views)
            shared = np.full_like(views[:1], lag)
            planes = inputs.ordered(
                values=views / PEAK - 0.5, level=level, deficit=none, missing=none[:1], lag_y=shared, lag_x=shared
            )
            y = _answer(net, np.concatenate(planes), device, precision)
            result = (y + 0.5) * PEAK
            found.append(psnr(result[0] if grey else np.moveaxis(result, 0, -1), clean, PEAK))
        rows.append({"name": data["name"], "noise": notation, "psnr": float(np.mean(found))})
    return rows


def _photographed(
    net: nn.Module, recipe: dict[str, Any], data: dict[str, Any], folder: Path, device: str, precision: str
) -> list[dict[str, Any]]:
    """Measure PSNR on photographs of scenes that were not trained on, a row a number of photons in white."""
    rows, inputs = [], Card.of(recipe).inputs
    for photons in data["photons"]:
        before, after = [], []
        for number, scene in enumerate(views_of(data, folder, 3)):
            noisy, target, level = photograph(scene / PEAK - 0.5, np.random.default_rng(number), photons)
            planes = inputs.ordered(values=noisy, level=np.full_like(noisy, np.sqrt(np.mean(level**2))))
            before.append(psnr(noisy, target, 1.0))
            after.append(psnr(_answer(net, np.concatenate(planes), device, precision), target, 1.0))
        noise = f"{photons} photons in white ({np.mean(before):.2f})"
        rows.append({"name": data["name"], "noise": noise, "psnr": float(np.mean(after))})
    return rows


def _answer(net: nn.Module, planes: Array, device: str, precision: str) -> Array:
    """What a network makes of (its planes, Y, X)."""
    x = pad_end(torch.from_numpy(planes[None]), int(net.multiple)).to(device)  # type: ignore[arg-type]
    with torch.inference_mode(), body_precision(device, precision):
        y = net(x.contiguous(memory_format=torch.channels_last))[0].float().cpu().numpy()
    answer: Array = y[:, : planes.shape[1], : planes.shape[2]]
    return answer
