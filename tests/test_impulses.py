"""Impulses: what is drawn is none, single points of one sign stay, and lost or stuck pixels go."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import skimage.data

import hush
from helpers import noisy, waves
from hush.core.image import Image, cast
from hush.datasets.hard_scenes import KINDS
from hush.estimation.impulses import at_random_places, without_impulses
from hush.methods.bm3d import BM3D

Floats = np.ndarray[Any, np.dtype[np.floating[Any]]]
SIDE = 160


def points(share: float, seed: int = 0) -> Any:
    return np.random.default_rng(seed).random((SIDE, SIDE)) < share


def strokes() -> Any:
    y, x = np.mgrid[:SIDE, :SIDE]
    return (y + 2 * x) % 40 == 0


@pytest.mark.parametrize("share", [0.002, 0.05, 0.4])
def test_chance_and_what_is_not(share: float) -> None:
    y, x = np.mgrid[:SIDE, :SIDE]
    assert at_random_places(points(share))
    assert not at_random_places(strokes())
    assert not at_random_places((x % 12 == 5) & (y % 12 == 5))  # a grid of dots
    assert not at_random_places(np.hypot(x - 50, y - 60) < 12)
    assert not at_random_places(skimage.data.page()[:SIDE, :SIDE] < 120)  # type: ignore[no-untyped-call]


@pytest.mark.filterwarnings("ignore::hush.HushWarning")
@pytest.mark.parametrize("kind", ["text-two-valued", "lines-two-valued", "chequerboard-fine", "texture-binary-coarse"])
@pytest.mark.parametrize("seed", [0, 1])
def test_what_is_drawn_in_two_values_is_no_impulse(kind: str, seed: int) -> None:
    plane = KINDS[kind](128, np.random.default_rng(seed)).astype(np.float32)
    assert without_impulses([plane]).fraction == 0


@pytest.mark.filterwarnings("ignore::hush.HushWarning")
@pytest.mark.parametrize("method", ["auto", "bm3d"])
@pytest.mark.parametrize(("peak", "dtype"), [(250, "float32"), (1500, "float32"), (120, "uint8"), (250, "uint16")])
def test_bright_points_stay_as_they_were(method: str, peak: float, dtype: str) -> None:
    clean = waves(SIDE)
    stars = points(0.004)
    clean[stars] += peak * np.random.default_rng(1).uniform(0.8, 1.2, int(stars.sum()))
    drawn = noisy(clean, "gaussian:sigma=8")
    image = cast(drawn, np.dtype(dtype))
    result = np.asarray(hush.denoise(image, method), np.float64)
    assert (result - waves(SIDE))[stars].sum() == pytest.approx((clean - waves(SIDE))[stars].sum(), rel=0.05)
    assert np.sqrt(np.mean((result - clean)[~stars] ** 2)) < 3.5
    removed = np.asarray(hush.denoise(image, method, hot_pixels="remove"), np.float64)
    assert np.abs(removed - waves(SIDE))[stars].mean() < 12


@pytest.mark.filterwarnings("ignore::hush.HushWarning")
@pytest.mark.parametrize("notation", ["salt_pepper:p=0.05", "bernoulli:p=0.1", "impulse:p=0.05"])
def test_lost_and_stuck_pixels_of_both_signs_go(notation: str) -> None:
    image = noisy(waves(SIDE), f"gaussian:sigma=8 + {notation}")
    found = hush.analyze(image).channels[0]
    assert found.impulse_fraction > 0.02
    assert not found.impulses_stay
    assert np.sqrt(np.mean((np.asarray(hush.denoise(image)) - waves(SIDE)) ** 2)) < 4


def test_burnt_in_strokes_stay() -> None:
    truth = waves(SIDE)
    image = noisy(truth, "gaussian:sigma=8")
    image[strokes()] = truth[strokes()] = 255
    clean = np.asarray(hush.denoise(image))
    assert np.abs(clean[strokes()] - 255).max() < 5 * 8
    assert hush.psnr(clean, truth, 255) > hush.psnr(image, truth, 255) + 8


def test_what_noise_cannot_do_is_no_noise() -> None:
    clean = waves(SIDE)
    clean[40:42, 20:140] = 260  # a line that a filter of the middle of a neighbourhood takes off
    image = Image(noisy(clean, "gaussian:sigma=5"), "YX")
    kept = np.asarray(BM3D(noise="gaussian:sigma=5").fit(image).denoise(image).data)
    median = np.asarray(hush.denoise(image, "median", noise="gaussian:sigma=5").data)
    assert np.abs(kept - clean)[40:42, 20:140].mean() < 10
    assert np.abs(median - clean)[40:42, 20:140].max() < 30


def test_pixels_lost_in_strong_noise_are_found() -> None:
    """Values of a continuous noise never repeat, and what is cut off is not common where it is light."""
    rng, lost = np.random.default_rng(3), points(0.12)
    clean = waves(SIDE)
    strong = np.where(lost, 0, clean + rng.normal(0, 46, clean.shape)).astype(np.float32)
    eight_bits = cast(np.where(lost, 0, clean + rng.normal(0, 20, clean.shape)), np.dtype("uint8"))
    for image, level in ((strong, 46), (eight_bits, 20)):
        found = hush.analyze(image).channels[0]
        assert found.impulse_fraction == pytest.approx(lost.mean(), abs=0.01)
        assert found.impulse_values == (0.0,)
        assert found.level == pytest.approx(level, rel=0.1)


def test_what_is_cut_off_in_the_dark_is_not_lost() -> None:
    dark = np.random.default_rng(4).normal(12, 20, (SIDE, SIDE)).clip(0).astype(np.float32)
    found = hush.analyze(dark).channels[0]
    assert found.impulse_fraction == 0
    assert found.clipped_low == 0
