"""Train the classifier of noise: ``hush pretrain noise-classifier`` and ``noise-mobilenet``; add a class to it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from hush.core.device import device_name
from hush.core.errors import HushError
from hush.nets._mobilenet import MobileNetV2, load_body
from hush.nets._noise_net import NoiseNet
from hush.pretrained._steps import Report, take
from hush.pretrained.noisebreaker import classifier
from hush.pretrained.noisebreaker.classes import NoiseClass, classes
from hush.pretrained.noisebreaker.classifier_data import Pool, draw, photographs, pool_of

BODY = "MobileNetV2/mobilenet_v2_1.0_224_imagenet_features.npz"
SMALL_STEPS, SMALL_RATE = 6000, 2e-3
PIXELS, WINDOWS, WINDOW_SHARES = 2**18, (96, 128, 192, 224), (0.3, 0.35, 0.25, 0.1)  # of a step; sides, how often
MOBILE_STEPS, MOBILE_RATE, MOBILE_IMAGES = 800, 2e-4, 16  # the paper has 5e-5, for eighty times as many images
FEATURED, HEAD_STEPS, HEAD_RATE, HEAD_IMAGES = 3000, 600, 1e-3, 128
LEVEL_SHARE, LEVEL_BEND = 2.0, 0.05  # of the loss; the error of a place from which it is linear
JUDGED_WINDOWS = 2200
REFIT_IMAGES, REFIT_SIDE, REFIT_SHARE = 2400, 160, 0.25  # images, their side, the share of the new class
REFIT_STEPS, REFIT_RATE = 400, 1e-3


def train_small(
    data: Path, path: Path, *, steps: int | None = None, seed: int = 0, report: Report | None = None
) -> None:
    """Train the small network, and write weights and card."""
    begun, steps, table = time.perf_counter(), steps or SMALL_STEPS, classes()
    pool, rng = pool_of(data, table, seed), np.random.default_rng(seed)
    torch.manual_seed(seed)
    net = NoiseNet(len(table))
    optimiser = torch.optim.AdamW(net.parameters(), SMALL_RATE, weight_decay=1e-4)

    def batches() -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        while True:
            side = int(rng.choice(WINDOWS, p=WINDOW_SHARES))
            yield batch(pool, table, PIXELS // side**2, side, rng)

    learn(net, optimiser, batches(), table, steps, report)
    said = {"training": f"{steps:,} steps of {PIXELS:,} pixels, AdamW", "begin": ""}
    _finish(net, "noise-classifier", steps, seed, begun, data, path, said)


def train_mobilenet(
    data: Path, path: Path, *, steps: int | None = None, seed: int = 0, report: Report | None = None
) -> None:
    """Train the paper's network as it says: its new head first, then all of it; write weights and card."""
    begun, steps, table = time.perf_counter(), steps or MOBILE_STEPS, classes()
    pool, rng = pool_of(data, table, seed), np.random.default_rng(seed)
    torch.manual_seed(seed)
    net = MobileNetV2(len(table))
    load_body(net, data / BODY)
    net.eval()
    features, labels, places = featured(net, pool, table, classifier.CROP, rng, [None] * FEATURED)
    head = torch.optim.Adam(net.head.parameters(), HEAD_RATE)
    learn(net.head, head, _shuffled(features, labels, places, rng), table, min(HEAD_STEPS, steps))
    net.train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    whole = torch.optim.Adam(net.parameters(), MOBILE_RATE)

    def batches() -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        while True:
            yield batch(pool, table, MOBILE_IMAGES, classifier.CROP, rng)

    learn(net, whole, batches(), table, steps, report)
    told = f"{HEAD_STEPS} steps of the head, {steps:,} steps of all with {MOBILE_IMAGES} images, Adam {MOBILE_RATE:g}"
    begin = "\n  It begins with MobileNetV2's body for ImageNet (MIT, JonathanCMitchell/mobilenet_v2_keras @8ab6f544)."
    _finish(net, "noise-mobilenet", steps, seed, begun, data, path, {"training": told, "begin": begin})


def learn(
    net: nn.Module,
    optimiser: torch.optim.Optimizer,
    batches: Iterator[tuple[Tensor, Tensor, Tensor]],
    table: Sequence[NoiseClass],
    steps: int,
    report: Report | None = None,
) -> None:
    """Learn the classes of a table from batches."""
    take(net, optimiser, lambda: loss_of(net, *next(batches), table), steps, report)


def loss_of(net: nn.Module, shown: Tensor, labels: Tensor, places: Tensor, table: Sequence[NoiseClass]) -> Tensor:
    """Return the cross entropy of the classes, and the error of the level of the true one."""
    found = net(shown)
    logits, told = found.chunk(2, 1) if isinstance(found, Tensor) else found
    ranged = torch.tensor([one.limits[1] > one.limits[0] for one in table])[labels]
    away = F.smooth_l1_loss(told.gather(1, labels[:, None])[:, 0], places, reduction="none", beta=LEVEL_BEND)
    loss: Tensor = F.cross_entropy(logits, labels) + LEVEL_SHARE * (ranged * away).mean()
    return loss


def batch(
    pool: Pool, table: Sequence[NoiseClass], number: int, side: int, rng: np.random.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Return images (B, 1, side, side), their classes and the places of their levels."""
    images, labels, places = zip(*(draw(pool, table, side, rng) for _ in range(number)), strict=True)
    return torch.from_numpy(np.stack(images))[:, None], torch.tensor(labels), torch.tensor(places)


def featured(
    net: Any,
    pool: Pool,
    table: Sequence[NoiseClass],
    side: int,
    rng: np.random.Generator,
    labels: Sequence[int | None] | NDArray[np.int64],
) -> tuple[Tensor, Tensor, Tensor]:
    """Return what a network's head sees of images of given classes, None for any, with their classes and places."""
    seen, drawn = [], []
    with torch.no_grad():
        for only in labels:
            image, label, place = draw(pool, table, side, rng, only)
            seen.append(net.seen(torch.from_numpy(image)[None, None]))
            drawn.append((label, place))
    known, places = zip(*drawn, strict=True)
    return torch.cat(seen), torch.tensor(known), torch.tensor(places)


def _shuffled(
    features: Tensor, labels: Tensor, places: Tensor, rng: np.random.Generator
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    while True:
        chosen = torch.from_numpy(rng.integers(len(features), size=HEAD_IMAGES))
        yield features[chosen], labels[chosen], places[chosen]


def refit(
    new: NoiseClass, scenes: Sequence[Any], steps: int | None = None, net: str = "small", seed: int = 0
) -> dict[str, Tensor]:
    """Return a head that knows one class more than the shipped ones; the body stays as it is.

    Parameters
    ----------
    new : NoiseClass
    scenes : sequence of array, shape (Y, X)
        Clean images in grey levels of a peak of 255.
    steps : int, optional
    net : str
        ``small`` or ``mobilenet``.
    seed : int

    Returns
    -------
    dict of str to Tensor
        What `hush.pretrained.noisebreaker.classifier.classify` takes as `head`.
    """
    table, rng = [*classes(), new], np.random.default_rng(seed)
    torch.manual_seed(seed)
    body = classifier.load(net)
    pool = Pool([np.asarray(scene, np.float32) for scene in scenes])
    side = min(REFIT_SIDE, max(min(scene.shape) for scene in pool.scenes))
    if side < classifier.LEAST_CLASSIFIED:
        raise HushError(f"clean images of at least {classifier.LEAST_CLASSIFIED} pixels a side are needed")
    every = [number for number, _ in enumerate(classes())]
    labels = np.where(rng.random(REFIT_IMAGES) < REFIT_SHARE, len(every), rng.choice(every, REFIT_IMAGES))
    features = featured(body, pool, table, side, rng, labels)
    head = _extended(body.head)
    optimiser = torch.optim.AdamW(head.parameters(), REFIT_RATE)
    learn(head, optimiser, _shuffled(*features, rng), table, steps or REFIT_STEPS)
    return {name: value.detach() for name, value in head.state_dict().items()}


def _extended(head: Any) -> nn.Sequential:
    """A copy of a head that tells one class more, the last, which is as likely as the others are on average."""
    *hidden, last = deepcopy(head).requires_grad_(True)
    made = nn.Sequential(*hidden, nn.Linear(last.in_features, last.out_features + 2))
    with torch.no_grad():
        for parameter, old in zip(made[-1].parameters(), last.parameters(), strict=True):
            logits, places = old.chunk(2)
            parameter.copy_(torch.cat([logits, logits.mean(0, keepdim=True), places, places.mean(0, keepdim=True)]))
    return made


def judge(net: nn.Module, scenes: Sequence[Any], table: Sequence[NoiseClass], seed: int = 7) -> dict[str, Any]:
    """Return the accuracy on scenes with noise of each class in turn, and the median error of the level's place."""
    rng, right, away = np.random.default_rng(seed), np.zeros((len(table), 2)), []
    with torch.inference_mode():
        for number in range(JUDGED_WINDOWS):
            image, label, place = draw(Pool(scenes), table, classifier.CROP, rng, only=number % len(table))
            logits, places = net(torch.from_numpy(image)[None, None])
            right[label] += (int(logits.argmax()) == label, 1)
            if table[label].limits[1] > table[label].limits[0]:
                away.append(abs(float(places[0, label]) - place))
    by_class = {one.name: round(float(a / b), 3) for one, (a, b) in zip(table, right, strict=True)}
    accuracy = round(float(right[:, 0].sum() / right[:, 1].sum()), 4)
    return {"accuracy": accuracy, "by_class": by_class, "level_error": float(np.median(away)), "tested": JUDGED_WINDOWS}


def _finish(
    net: nn.Module, name: str, steps: int, seed: int, begun: float, data: Path, path: Path, said: dict[str, Any]
) -> None:
    """Write weights, judged on the development images, and their card."""
    kind = "small" if isinstance(net, NoiseNet) else "mobilenet"
    seconds = round(time.perf_counter() - begun)
    note = said | judge(net.eval(), photographs(data, development=True), classes()) | {
        "net": kind, "module": type(net).__module__.rpartition(".")[2], "seed": seed, "seconds": seconds,
        "device": device_name("cpu"), "command": f"hush pretrain {name} --steps {steps}",
    }  # fmt: skip
    classifier.write(path, net, note)
