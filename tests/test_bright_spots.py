"""Bright spots and high dynamic range: a network's range holds them, and what is beyond it stays."""

from __future__ import annotations

import numpy as np
import pytest

from helpers import data
from hush.core import registry
from hush.core.errors import HushWarning
from hush.core.image import Image
from hush.estimation.report import ChannelNoise
from hush.pretrained import weights
from hush.pretrained.conditioning import SURELY_BEYOND, WIDEST_RANGE, Conditioning
from hush.vst.stabilizer import Stabilizer

SIGMA = 20.0


def spots(height: float, width: float = 1.0) -> tuple[np.ndarray, np.ndarray, list[tuple[int, int]]]:
    """Twelve spots on a flat background, the same with noise, and where they are."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:128, :128]
    at = [(20 + 40 * (k // 4) + int(rng.integers(-5, 5)), 14 + 32 * (k % 4)) for k in range(12)]
    clean = 100.0 + sum(height * np.exp(-((y - a) ** 2 + (x - b) ** 2) / (2 * width**2)) for a, b in at)
    noisy = rng.normal(clean, SIGMA).astype(np.float32)
    return np.asarray(clean), noisy, at


def conditioning(values: np.ndarray) -> Conditioning:
    ways = [Stabilizer(ChannelNoise("gaussian", 0.0, 0.0, SIGMA, 0.0, SIGMA**2))]
    return Conditioning.of([values[None]], ways, weights.card("gaussian-fast"), False)


@pytest.mark.parametrize(("height", "share"), [(150.0, 0.7), (400.0, 0.85), (6000.0, 0.98)])
def test_small_spots_keep_their_height(height: float, share: float) -> None:
    _, noisy, at = spots(height)
    model = registry.get("methods", "pretrained")(noise=f"gaussian:sigma={SIGMA}", scale=1.0)
    clean = model.fit(noisy).denoise(noisy).data
    assert np.mean([(clean[a, b] - 100) / height for a, b in at]) > share
    away = np.hypot(*(np.indices(noisy.shape) - np.array(at[0]).reshape(2, 1, 1))) > 12
    for a, b in at:
        away &= np.hypot(*(np.indices(noisy.shape) - np.array([a, b]).reshape(2, 1, 1))) > 6
    assert clean[away].std() < SIGMA / 4


def test_what_is_far_beyond_the_range_is_not_shown_and_comes_back() -> None:
    _, noisy, at = spots(60000.0, 0.4)
    shown = conditioning(noisy)
    level = shown.level(np.array([SIGMA]))
    over = shown.beyond(noisy[None], level)
    assert float(shown.extent.max()) <= WIDEST_RANGE * SIGMA * (1 + 1e-6)
    assert all(over[0, a, b] > 50000 for a, b in at)
    assert abs(shown.planes(noisy[None], level)[:, 0]).max() <= 0.5 + SURELY_BEYOND * SIGMA / shown.extent.max() + 1e-4
    assert (over != 0).mean() < 0.01  # noise is within


def test_noise_alone_is_within_the_range() -> None:
    noise = np.random.default_rng(0).normal(0, SIGMA, (256, 256)).astype(np.float32)
    shown = conditioning(noise)
    assert not shown.beyond(noise[None], shown.level(np.array([SIGMA]))).any()


def test_the_sky_between_stars_is_denoised_and_their_light_kept() -> None:
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:256, :256]
    clean = np.full((256, 256), 200.0)
    for _ in range(100):
        a, b = rng.uniform(4, 252, 2)
        clean += 10 ** rng.uniform(2, 4.6) * np.exp(-((y - a) ** 2 + (x - b) ** 2) / 3.4)
    noisy = (rng.poisson(clean) + rng.normal(0, 8, clean.shape)).astype(np.float32)
    result = registry.get("methods", "pretrained")().fit(noisy).denoise(noisy).data
    sky = clean < 210
    assert (result - clean)[sky].std() < 0.7 * (noisy - clean)[sky].std()
    assert (result - 200).sum() == pytest.approx((clean - 200).sum(), rel=0.03)


@pytest.mark.parametrize("width", [1.0, 3.0])
def test_a_range_of_thousands_of_times_the_noise_leaves_no_image_worse(width: float) -> None:
    clean, noisy, _ = spots(60000.0, width)
    model = registry.get("methods", "pretrained")(noise=f"gaussian:sigma={SIGMA}", scale=1.0)
    result = model.fit(noisy).denoise(noisy).data
    assert np.square(result - clean).mean() < 0.7 * np.square(noisy - clean).mean()


def test_an_image_of_two_values_is_taken() -> None:
    image = Image(np.indices((64, 64)).sum(0) % 16 < 8, "YX")
    model = registry.get("methods", "pretrained")(noise="gaussian:sigma=0.1").fit(image)
    with pytest.warns(HushWarning) as said:
        assert model.denoise(image).data.shape == image.data.shape
    assert [getattr(one.message, "code", "") for one in said] == ["two-valued"]


@pytest.mark.parametrize("lost", [0, 255])
def test_lost_pixels_in_colours_without_other_noise_are_filled(lost: int) -> None:
    clean = data.chelsea()[20:276, 100:356]
    values = clean.copy()
    values[np.random.default_rng(0).random(clean.shape[:2]) < 0.05] = lost
    image = Image(values, "YXS")
    model = registry.get("methods", "pretrained")().fit(image)
    assert {one.kind for one in model.report_.channels} == {"none"}
    away = model.denoise(image).data.astype(float) - clean
    assert np.square(away).mean() < 4.0
    assert np.square(away).mean() < np.square(values.astype(float) - clean).mean() / 50
