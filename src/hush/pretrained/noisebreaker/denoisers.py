"""NoiseBreaker's denoisers, one for each type of noise, and the end-to-end network: their files, and their use."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hush.core import tiling
from hush.core.device import body_precision, device_of, memory_format, precision_of
from hush.core.errors import WeightsError, unknown
from hush.core.image import Array
from hush.nets._parts import pad_end
from hush.pretrained import _halves, weights
from hush.pretrained.card import Card
from hush.pretrained.conditioning import PEAK

FOLDER = Path(__file__).parent
DENOISER_KEY = "hush-denoiser"
GAUSSIAN, END_TO_END = "gaussian", "end-to-end"
GAUSSIAN_WEIGHTS = "gaussian-fast"  # the denoiser of Gaussian noise, and what the others were fine-tuned from
TRAINED = ("speckle", "uniform", "bernoulli", "poisson", END_TO_END)
BLACK = 1e-3  # grey levels up to which a value is 0
LOST_TOLD = 0.1  # what is told of a pixel that may be lost, beside the share of those that are
LARGEST_TILE = 1024  # a side; larger images are denoised in tiles


def remove(
    values: Array,
    name: str,
    level: float,
    *,
    device: str | None = None,
    precision: str | None = None,
    path: Path | None = None,
) -> Array:
    """Remove one type of noise, and leave the others.

    Parameters
    ----------
    values : array of float32, shape (C, Y, X)
        Grey levels of an image whose peak is 255; every channel is denoised by itself.
    name : str
        ``"gaussian"``, or one of `TRAINED`.
    level : float
        Of the noise, as its class says it: sigma, s, p or photons; the end-to-end network ignores it.
    device, precision : str, optional
    path : Path, optional
        Of weights that are no shipped ones.

    Returns
    -------
    array of float32, shape (C, Y, X)

    Raises
    ------
    WeightsError
        When there are no such weights, or they are damaged.

    Examples
    --------
    >>> noisy = np.random.default_rng(0).uniform(50, 150, (1, 64, 64)).astype(np.float32)
    >>> bool(noisy.std() > 3 * remove(noisy, "uniform", 50.0).std())
    True
    """
    device = device_of(device)
    precision = precision_of(device, precision)
    return removed(load(name, device, path), values, name, level, device, precision)


def removed(net: nn.Module, values: Array, name: str, level: float, device: str, precision: str) -> Array:
    """Return what `remove` does, of a network at hand: pixels that were not lost are not filled."""
    known = told(values, name, level)
    result = in_tiles(net, values, known, device, precision)
    if name != "bernoulli":
        return result
    kept: Array = np.where(known > 0, result, values)
    return np.asarray(kept, np.float32)


def told(values: Array, name: str, level: float) -> Array:
    """Return what a denoiser is told of grey levels (C, Y, X): about the noise in white, of a range of 1, (1, Y, X).

    It is the same everywhere, but for lost pixels: those that may be lost are 0 in all channels; of others it is 0.

    Examples
    --------
    >>> told(np.array([[[0, 7]]]), "speckle", 25.5).tolist(), told(np.array([[[0, 7]]]), "bernoulli", 0.1).tolist()
    ([[[0.1, 0.1]]], [[[0.2, 0.0]]])
    """
    if name in (END_TO_END, "bernoulli"):
        black = (np.abs(values) <= BLACK).all(0, keepdims=True)
        return black * (LOST_TOLD + (level if name == "bernoulli" else LOST_TOLD))
    if name == "poisson":
        share = 1 / math.sqrt(max(level, 1.0))
    else:
        share = level / PEAK / (math.sqrt(3) if name == "uniform" else 1)
    return np.full_like(values[:1], share, float)


def in_tiles(net: nn.Module, values: Array, known: float | Array, device: str, precision: str) -> Array:
    """Return what a network makes of grey levels (C, Y, X), each channel by itself, as if it saw the whole.

    What it is told is one number, or (1, Y, X).
    """
    both = np.concatenate([values, np.broadcast_to(known, values[:1].shape)]).astype(np.float32)

    def function(piece: Array, region: tiling.Region) -> Array:
        return np.concatenate([apply(net, one[None], piece[-1:], device, precision) for one in piece[:-1]])

    result = np.empty(values.shape, np.float32)
    side = (LARGEST_TILE,) * 2
    tiles = tiling.plan(values.shape[1:], side, int(net.margin), int(net.multiple))  # type: ignore[arg-type]
    tiling.run(function, both, tiles, result)
    return result


def apply(net: nn.Module, values: Array, known: float | Array, device: str, precision: str) -> Array:
    """Return what a network makes of grey levels (1, Y, X), told one number, or (1, Y, X)."""
    both = torch.from_numpy(np.stack([values, np.broadcast_to(known, values.shape)]).astype(np.float32))
    x = planes(both[:1], both[1:])
    x = pad_end(x, int(net.multiple)).to(device).contiguous(memory_format=memory_format(2))  # type: ignore[arg-type]
    with torch.inference_mode(), body_precision(device, precision):
        y = net(x)[0].float().cpu().numpy()
    answer: Array = ((y + 0.5) * PEAK)[:, : values.shape[1], : values.shape[2]]
    return answer


def planes(values: Tensor, known: Tensor) -> Tensor:
    """Return what a network sees of grey levels (B, 1, Y, X), told (B, 1, Y, X) or a number each: (B, 2, Y, X)."""
    shown = torch.cat([values / PEAK - 0.5, known.expand_as(values)], 1)
    return shown.contiguous(memory_format=memory_format(2))


@lru_cache(maxsize=8)
def load(name: str, device: str = "cpu", path: Path | None = None) -> nn.Module:
    """Return a denoiser with its weights, ready to be applied to `planes`.

    Raises
    ------
    WeightsError
        When they are missing or damaged.
    """
    if name == GAUSSIAN and path is None:
        return weights.load(GAUSSIAN_WEIGHTS, device)[0]
    if name not in TRAINED and path is None:
        raise unknown("denoiser", name, (GAUSSIAN, *TRAINED), WeightsError)
    path = path or FOLDER / f"{name}.safetensors"
    with _halves.readable(path):
        said, tensors = _halves.read(path)
        net = weights.build(Card.of(json.loads(said[DENOISER_KEY])))
        net.load_state_dict(tensors)
    net = net.to(device).eval().requires_grad_(False)
    return net.to(memory_format=memory_format(2))  # type: ignore[call-overload,no-any-return]


def untrained() -> nn.Module:
    """Return what every denoiser is fine-tuned from: a copy of the one of Gaussian noise, which can learn."""
    return copy.deepcopy(weights.load(GAUSSIAN_WEIGHTS)[0]).requires_grad_(True)


def write(path: Path, net: nn.Module, note: Mapping[str, Any]) -> None:
    """Write weights in half precision and, beside them, their card."""
    _halves.write(path, net.state_dict(), DENOISER_KEY, note, card(path.stem, note))


def card(name: str, note: Mapping[str, Any]) -> str:
    """Return the card of weights for people."""
    data = [f"| {one['name']} | {one['images']} | {one['share']:.0%} | {one['licence']} |" for one in note["data"]]
    scores = [f"| {one['noise']} | {one['noisy']:.2f} | {one['psnr']:.2f} |" for one in note["scores"]]
    return "\n".join([
        f"# {name}", "", note["title"], "",
        f"- Network: `{note['net']}` {note['settings']}, {note['parameters']:,} weights in float16; begun with the "
        f"weights `{note['begin']}`.",
        f"- Input: grey levels over {PEAK:g} less 1/2, and a plane of what it is told: {note['told']}.",
        f"- Target: {note['target']}.",
        "- In a quarter of the patches the input is rounded and clipped to 0..255, as files are.",
        f"- Licence: {note['licence']}.",
        f"- Trained for {note['steps']:,} steps of {note['batch']} x {note['patch']}² pixels in {note['seconds']:,.0f} "
        f"s on {note['device']}, seed {note['seed']}; the averaged weights of the lowest error on development patches, "
        f"of step {note['best']:,}.",
        f"- Command: `{note['command']}`", "",
        "## Trained on", "", "| images | number | share | licence |", "| --- | --- | --- | --- |", *data, "",
        "## Scores", "",
        f"Mean PSNR of {note['tested']} development images (the last 40 of Train400 and the last 20 of "
        "BSDS500_train) against the target; noise of known level, one frozen draw an image, unclipped, peak 255.", "",
        "| noise | noisy | denoised |", "| --- | --- | --- |", *scores, "",
    ])  # fmt: skip
