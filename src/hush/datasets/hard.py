"""Images on which a denoiser may do harm, with noise and without, as cameras and programs store them."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from hush.core.errors import HushError, unknown
from hush.core.image import Image, cast
from hush.datasets.hard_scenes import KINDS as KINDS
from hush.datasets.hard_scenes import Array
from hush.datasets.hard_scenes import Scene as Scene
from hush.noise import parse

# each noise as hush writes it, for a scene from 0 to 255
NOTATION = {
    "gaussian-1": "gaussian:sigma=1",
    "gaussian-2": "gaussian:sigma=2",
    "gaussian-5": "gaussian:sigma=5",
    "gaussian-10": "gaussian:sigma=10",
    "gaussian-25": "gaussian:sigma=25",
    "photons-300": "poisson:photons=300",
    "photons-30": "poisson:photons=30",
    "correlated": "correlated:sigma=10,length=0.8",
    "clipped": "gaussian:sigma=25",
}
NOISES = ("clean", *NOTATION)
# kinds that may be looked at, learned from and chosen on; the others are for the table of the recipe alone
DEVELOPMENT = (
    "stars-one-pixel", "stars-psf", "text-two-valued", "lines-grey", "chequerboard-coarse", "grating", "lattice-square",
    "texture-pink", "texture-binary-fine", "texture-grey-coarse", "gradient-banded", "chart", "cells",
    "filtered-gaussian", "filtered-tv", "jpeg", "padded",
)  # fmt: skip
DTYPES = ("uint8", "uint16", "int16", "float32")
PEDESTAL, UNITS = 5000.0, 40.0  # of 16 bits: what black is, beyond the strongest noise, and units a grey
ZERO = (0.2, 0.8)  # where the 0 of signed numbers may lie, as a share of the scene's range
DECADES = (-17.0, 12.0)  # of the factor of floats
SMALL_SIDES = (64, 96, 128)  # every kind has one of these
LARGE_SIDES = (192, 256, 384, 192, 256, 512)  # and one of these, as often as it stands here
GIANT_SIDE, GIANT_KINDS, GIANT_CASES = 1024, 4, 4
PHOTOGRAPHIC = {"filtered-gaussian", "filtered-median", "filtered-tv", "jpeg", "upsampled", "masked", "padded"}


Card = TypeVar("Card")


@dataclass(frozen=True)
class Case:
    """One image of the design.

    Attributes
    ----------
    kind, noise, dtype : str
        From `KINDS`, `NOISES` and `DTYPES`; "clipped" is of uint8.
    size : int
        Side, pixels.
    seed : int

    Examples
    --------
    >>> Case("cells", 64, "gaussian-5", "uint16", 3).name
    'cells_64_gaussian-5_uint16_3'
    """

    kind: str
    size: int
    noise: str
    dtype: str
    seed: int = 0

    def __post_init__(self) -> None:
        for what, given, possible in (
            ("kind of scene", self.kind, KINDS),
            ("noise", self.noise, NOISES),
            ("dtype", self.dtype, DTYPES),
        ):
            if given not in possible:
                raise unknown(what, given, possible)
        if self.noise == "clipped" and self.dtype != "uint8":
            raise HushError(f"noise that is clipped to 8 bits cannot be of {self.dtype}: give uint8")

    @property
    def name(self) -> str:
        """All of it in one word, which is also that of a file."""
        return f"{self.kind}_{self.size}_{self.noise}_{self.dtype}_{self.seed}"


def design(seed: int = 0) -> list[Case]:
    """Draw which kinds, sizes, noises and dtypes meet; every case has a scene of its own.

    Every kind has every noise twice, in a small size and in a large one; every dtype four times or more.

    Parameters
    ----------
    seed : int

    Returns
    -------
    list of Case
        Of fewer than 60 million pixels.

    Examples
    --------
    >>> cases = design()
    >>> len(cases), cases[0].name
    (680, 'stars-one-pixel_128_clean_uint8_0')
    """
    rng = np.random.default_rng(seed)
    small, large = (_dealt(sides, len(KINDS), rng) for sides in (SMALL_SIDES, LARGE_SIDES))
    giants = rng.choice([kind for kind in KINDS if kind not in PHOTOGRAPHIC], GIANT_KINDS, replace=False)
    cases = []
    for kind, low, high in zip(KINDS, small, large, strict=True):
        few = set(rng.choice(NOISES, GIANT_CASES, replace=False))
        sizes = [low] * len(NOISES) + [high] * len(NOISES)
        if kind in giants:
            sizes[len(NOISES) :] = [GIANT_SIDE if noise in few else low for noise in NOISES]
        noises = 2 * NOISES
        dtypes = iter(_dealt(DTYPES[::-1], len(noises) - noises.count("clipped"), rng))
        for number, (size, noise) in enumerate(zip(sizes, noises, strict=True)):
            dtype = "uint8" if noise == "clipped" else next(dtypes)
            cases.append(Case(kind, size, noise, dtype, seed * len(noises) + number))
    return cases


def _dealt(cards: Sequence[Card], number: int, rng: np.random.Generator) -> list[Card]:
    """So many of the cards in any order, each as often as the others."""
    dealt = [cards[place % len(cards)] for place in range(number)]
    return [dealt[place] for place in rng.permutation(number)]


def make(case: Case) -> tuple[Image, NDArray[np.float64], float]:
    """Make an image, the same at every call.

    Parameters
    ----------
    case : Case

    Returns
    -------
    noisy : Image
        Of the case's dtype.
    truth : array of float64, shape (Y, X)
        The scene without noise as that dtype holds it.
    peak : float
        Range of the truth.

    Examples
    --------
    >>> noisy, truth, peak = make(Case("grating", 64, "clean", "int16"))
    >>> noisy.data.dtype, bool((noisy.data == truth).all())
    (dtype('int16'), True)
    """
    scene = KINDS[case.kind](case.size, _generator(f"{case.kind}_{case.size}_{case.seed}"))
    rng = _generator(case.name)
    zero, factor = _units(case.dtype, scene, rng)
    noisy = scene if case.noise == "clean" else _with_noise(scene, case, rng)
    stored, truth = (cast((values - zero) * factor, np.dtype(case.dtype)) for values in (noisy, scene))
    truth = truth.astype(np.float64)
    return Image(stored, "YX"), truth, float(truth.max() - truth.min())


def _generator(name: str) -> np.random.Generator:
    """Random numbers that depend on a name alone."""
    return np.random.default_rng(zlib.crc32(name.encode()))


def _units(dtype: str, scene: Array, rng: np.random.Generator) -> tuple[float, float]:
    """The grey that becomes 0, and units a grey."""
    if dtype == "uint8":
        return 0.0, 1.0
    if dtype == "uint16":
        return -PEDESTAL / UNITS, UNITS
    if dtype == "int16":
        return float(scene.min() + rng.uniform(*ZERO) * np.ptp(scene)), UNITS
    return 0.0, float(10 ** rng.uniform(*DECADES))


def _with_noise(scene: Array, case: Case, rng: np.random.Generator) -> Array:
    """The scene with noise of a strength that follows its range; what is not measured has none."""
    low, span = scene.min(), np.ptp(scene)
    noise = parse(NOTATION[case.noise]).scaled(span / 255).draw(rng)
    noisy = low + noise.sample(scene - low, rng)
    return np.where(_not_measured(case.kind, scene), scene, noisy)


def _not_measured(kind: str, scene: Array) -> NDArray[np.bool_]:
    """Where a mask or padding is: whole rows and columns of one value."""
    if kind == "masked":
        return np.asarray(scene == 0)
    if kind != "padded":
        return np.zeros(scene.shape, bool)
    rows, columns = ((scene == scene.take([0], axis)).all(axis) for axis in (1, 0))
    return np.asarray(rows[:, None] | columns)
