"""Trainings that no recipe describes: networks that analyse noise, and NoiseBreaker's denoisers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from hush.pretrained import level, level_train
from hush.pretrained.neighbours import network
from hush.pretrained.neighbours import train as neighbours_train
from hush.pretrained.noisebreaker import classifier_train, denoisers, denoisers_train


@dataclass(frozen=True)
class Training:
    """How weights are trained: (folder of the data sets, file, steps=, report=), and resume= and keep= if it has them.

    Attributes
    ----------
    title : str
    shipped : Path
        The weights that come with hush; beside them is their card, ``NAME.md``.
    run : callable
    resumes : bool
        Whether it keeps its state, from which it goes on after a stop.
    """

    title: str
    shipped: Path
    run: Callable[..., None]
    resumes: bool = False


NOISEBREAKER = denoisers.FOLDER
TRAININGS = {
    "level": Training("The estimator of the noise's level", level.PATH, level_train.train),
    "neighbours": Training(
        "The network that sees neighbouring planes too", network.NEIGHBOURS_PATH, neighbours_train.train, True
    ),
    "noise-classifier": Training(
        "The classifier of noise", NOISEBREAKER / "classifier.safetensors", classifier_train.train_small
    ),
    "noise-mobilenet": Training(
        "The classifier of noise of NoiseBreaker's paper",
        NOISEBREAKER / "mobilenet.safetensors",
        classifier_train.train_mobilenet,
    ),
} | {
    f"noisebreaker-{name}": Training(
        title, NOISEBREAKER / f"{name}.safetensors", partial(denoisers_train.train, name), True
    )
    for name, title in denoisers_train.DENOISER_TITLES.items()
}
