"""Teach NoiseBreaker a noise more: a denoiser for it, fine-tuned, and a head of the classifier; the others stay."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hush.core.device import device_of, precision_of
from hush.core.errors import HushError
from hush.core.image import Array, Image
from hush.core.missing import fill
from hush.methods._grey_levels import GreyLevels
from hush.methods._new_noise import NewNoise, told_of
from hush.noise import Noise
from hush.pretrained import weights
from hush.pretrained.conditioning import PEAK
from hush.pretrained.noisebreaker import classifier_train, denoisers
from hush.pretrained.noisebreaker.classes import NoiseClass, classes
from hush.pretrained.train import usual_error
from hush.training.normalization import Scale
from hush.training.patches import Batch, Patches
from hush.training.train_network import Task, learn
from hush.training.trainer import Schedule

STEPS_OF_NEW = 600  # of the denoiser
PATCHES_OF_NEW, SIDE_OF_NEW = 8, 96
RATE_OF_NEW = 5e-4
OTHER_NOISE, OTHER_LEVEL = 0.25, 10.0  # share of the patches with Gaussian noise that is to stay, and its largest level

Report = Callable[[int, int, int, int, float], None]


def new_class(noise: Noise) -> NoiseClass:
    """Return the class of a noise: called as its first model, or in full where a shipped class is called so.

    Examples
    --------
    >>> from hush.noise import parse
    >>> new_class(parse("stripes:amplitude=5..30")).name
    'stripes'
    """
    shipped = {name for one in classes() for name in (one.name, one.denoiser)}
    kind = noise.terms[0][1][0][0]
    name = str(noise) if kind in shipped or len(noise.terms) > 1 or len(noise.terms[0][1]) > 1 else kind
    return NoiseClass(name, noise, name)


def teach(
    images: Sequence[Image],
    noise: Noise,
    *,
    steps: int | None = None,
    seed: int = 0,
    device: str | None = None,
    precision: str | None = None,
    report: Report | None = None,
) -> NewNoise:
    """Train a denoiser for a noise on clean images, and refit the classifier's head.

    Parameters
    ----------
    images : sequence of Image
        Clean, and of the kind that will be denoised.
    noise : Noise
        Amplitudes for a peak of 255; the parameter that is a range is the level.
    steps : int, optional
        Of the denoiser.
    seed : int
    device, precision : str, optional
    report : callable, optional
        (training, trainings, step, steps, loss) after every step of the denoiser.

    Raises
    ------
    HushError
        When there is no image that is large enough.
    """
    one, views, steps = new_class(noise), scenes_of(images), steps or STEPS_OF_NEW
    device = device_of(device)
    precision = precision_of(device, precision)
    task = Task(0, seed, PATCHES_OF_NEW, 2, device, precision, Schedule(steps, learning_rate=RATE_OF_NEW))
    patches = Patches(views, (SIDE_OF_NEW,) * 2, Scale((PEAK / 2,), (PEAK,)))
    told = None if report is None else partial(report, 0, 1)
    learned = learn(task, denoisers.untrained, partial(_loss, one), patches, None, None, told or (lambda *_: None))
    head = classifier_train.refit(one, [view[0] for view in views], seed=seed)
    known = replace(
        weights.card(denoisers.GAUSSIAN_WEIGHTS), title=f"Removes {noise}", begin=denoisers.GAUSSIAN_WEIGHTS
    )
    return NewNoise(one, learned.net.cpu().eval().requires_grad_(False), known, head)


def scenes_of(images: Sequence[Image]) -> list[Array]:
    """Return the planes of images (1, Y, X) in grey levels, float32: colours one by one."""
    views = []
    for image in images:
        planes = [np.asarray(fill(np.asarray(plane.view(image.data)))[0]) for plane in image.planes(2)]
        levels = GreyLevels.of(planes)
        views += [levels.into(channel)[None] for plane in planes for channel in plane]
    large = [view for view in views if min(view.shape[1:]) >= SIDE_OF_NEW]
    if not large:
        raise HushError(f"there is no image of {SIDE_OF_NEW} x {SIDE_OF_NEW} pixels or more to learn from")
    return large


def _loss(one: NoiseClass, net: nn.Module, batch: Batch, rng: torch.Generator) -> Tensor:
    """Squared error, each patch's over what is usual at its level, so that all levels count."""
    numbers = np.random.default_rng(int(torch.randint(1 << 31, (1,), generator=rng, device=batch.noisy.device)))
    made = [_example(one, PEAK * (patch + 0.5), numbers) for patch in batch.noisy.cpu().numpy()]
    noisy, target, told = (torch.from_numpy(np.stack(each)).to(batch.noisy) for each in zip(*made, strict=True))
    away = PEAK * net(denoisers.planes(noisy, told.reshape(-1, 1, 1, 1))) - (target - PEAK / 2)
    usual = usual_error(PEAK * told)
    relative: Tensor = (away.square().mean((1, 2, 3)) / usual).mean()
    return relative


def _example(one: NoiseClass, clean: Array, rng: np.random.Generator) -> tuple[Array, Array, Any]:
    """A noisy patch (1, Y, X), what is to be left of it, and the level that is told."""
    model, level = one.draw(rng)
    assert model is not None
    if rng.random() < OTHER_NOISE:
        clean = clean + rng.uniform(0, OTHER_LEVEL) * rng.standard_normal(clean.shape)
    noisy = model.sample(clean, rng)
    return np.asarray(noisy, np.float32), np.asarray(clean, np.float32), np.float32(told_of(one, level))
