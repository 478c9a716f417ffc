"""Few photons amplified by chance: what one counts, and what only looks like them."""

from __future__ import annotations

import numpy as np
import pytest

import hush
from helpers import data
from hush.datasets.synthetic import epithelium, fluorescence
from hush.estimation import low_count
from hush.estimation.report import ChannelNoise
from hush.noise.emccd import EMCCD


def scene(kind: str, seed: int = 3) -> np.ndarray:
    """A picture from 0 to 1."""
    made = (fluorescence if kind == "fluorescence" else epithelium)(256, seed=seed).astype(np.float64)
    return np.asarray((made - made.min()) / np.ptp(made))


def amplified(light: np.ndarray, gain: float, even: float, seed: int = 0) -> np.ndarray:
    """Each photon a gamma-distributed amount of shape `even`; variance is mean times gain."""
    return np.asarray(EMCCD(gain, excess=1 + 1 / even).sample(light, np.random.default_rng(seed)))


def variance(noise: ChannelNoise, at: float) -> float:
    return noise.a * at + noise.b


@pytest.mark.parametrize("kind", ["cells", "fluorescence"])
@pytest.mark.parametrize("even", [1.0, 4.0])
@pytest.mark.parametrize("peak", [3, 12, 40])
def test_no_light_is_no_clipping(kind: str, even: float, peak: int) -> None:
    image = amplified(255 * (0.02 + 0.98 * scene(kind)), 255 / peak, even) + 50
    noise = hush.analyze(image.astype(np.float32)).channels[0]
    assert noise.model is not None
    assert noise.model.parameters["gain"] == pytest.approx(255 / peak, rel=0.08)
    assert noise.offset == pytest.approx(50, abs=0.2 * 255 / peak)
    assert (noise.impulse_fraction, noise.clipped_low, noise.white) == (0, None, True)


@pytest.mark.parametrize("kind", ["cells", "fluorescence"])
@pytest.mark.parametrize("gain", [4.0, 20.0])
def test_pedestal_and_electronics_of_a_confocal_microscope(kind: str, gain: float) -> None:
    light = amplified(200 * scene(kind), gain, 3)
    image = light + 10.3 + 0.5 * np.random.default_rng(1).standard_normal(light.shape)
    noise = hush.analyze(np.rint(image).clip(0, 255).astype(np.uint8)).channels[0]
    assert noise.gain == pytest.approx(gain, rel=0.1)  # the brightest are clipped
    assert variance(noise, 10.3) == pytest.approx(0.25, abs=0.15 * gain)
    assert noise.offset == pytest.approx(10.3, abs=0.25)


@pytest.mark.parametrize("seed", [0, 2, 3])
def test_saturated_pixels_do_not_hide_what_a_photon_counts(seed: int) -> None:
    """Cells reach 330 of 255: without those squares what is finest is one number times the values at any brightness."""
    clean = epithelium(256, seed).astype(np.float64)
    light = EMCCD(20, 4, 0.5).sample(clean[None], np.random.default_rng(seed))[0]
    noise = hush.analyze(np.rint(light).clip(0, 255).astype(np.uint8)).channels[0]
    assert noise.clipped_high == 255
    assert noise.offset == pytest.approx(4, abs=0.3)
    low, high = noise.interval["level"]
    assert low < np.sqrt(20 * (noise.middle - 4) + 0.25) < high
    assert high < 1.2 * low


def test_an_image_that_is_nearly_all_dark() -> None:
    """Flat blocks hold nothing but what electronics make; the little light there is has noise of its own."""
    light = np.zeros((384, 384))
    light[40:90, 60:120] = 200 * scene("cells")[100:150, 100:160]
    image = amplified(light, 20, 4) + np.random.default_rng(2).normal(5, 0.5, light.shape)
    noise = hush.analyze(np.rint(image).astype(np.uint8)).channels[0]
    assert noise.kind == "poisson_gaussian"
    assert noise.gain == pytest.approx(20, rel=0.12)
    clean, noisy = light + 5, np.rint(image).astype(np.float32)
    got = hush.psnr(hush.denoise(noisy, tta=True).data, clean, 255)  # older processors leave turns out
    assert got > hush.psnr(noisy, clean, 255) + 9


def test_missing_values_are_not_counted() -> None:
    image = amplified(255 * (0.02 + scene("cells")), 60, 2)
    whole = low_count.amplified([image], 0.0)
    image[::17, 5::13] = np.nan
    image[:30, :50] = np.nan
    holey = low_count.amplified([image], 0.0)
    assert whole is not None
    assert holey is not None
    assert holey.gain == pytest.approx(whole.gain, rel=0.05)


@pytest.mark.parametrize("kind", ["cells", "fluorescence", "camera", "page", "coins"])
@pytest.mark.parametrize("noise", ["none", "cut", "cut more", "speckle", "rician", "lost", "salt"])
def test_what_only_looks_like_few_photons(kind: str, noise: str) -> None:
    clean = 200 * (scene(kind) if kind in ("cells", "fluorescence") else getattr(data, kind)() / 255.0)
    clean = (clean - np.percentile(clean, 5)).clip(0)
    rng = np.random.default_rng(4)
    one, two = rng.standard_normal((2, *clean.shape))
    image = {
        "none": clean,
        "cut": clean + 20 * one,
        "cut more": clean - 20 + 20 * one,
        "speckle": clean * (1 + 0.3 * one),
        "rician": np.hypot(clean + 20 * one, 20 * two) * (clean > 10),
        "lost": clean * (rng.random(clean.shape) > 0.05),
        "salt": np.where(rng.random(clean.shape) < 0.05, 255, clean),
    }[noise].clip(0, 255)
    assert low_count.amplified([image], 0.0) is None
    assert low_count.above_dark([image], None, True) is None
    assert low_count.above_dark([np.rint(image)], 1.0, True) is None


def test_many_photons_are_left_to_flat_blocks() -> None:
    image = np.random.default_rng(5).poisson(100 + 900 * scene("cells")).astype(np.float64)
    assert low_count.above_dark([image], 1.0, False) is None
    assert hush.analyze(image.astype(np.uint16)).channels[0].gain == pytest.approx(1, rel=0.2)


@pytest.mark.parametrize("kind", ["cells", "fluorescence"])
@pytest.mark.parametrize(("offset", "lags"), [(0.0, (0.0, 0.12)), (4.0, (0.0, 0.08)), (4.0, (0.08, 0.12))])
def test_photons_smeared_along_a_row_count_as_much(kind: str, offset: float, lags: tuple[float, float]) -> None:
    """Slow electronics give a part of each pixel to the next: the finest has less noise than the image."""
    image, left = amplified(200 * (0.01 + 0.99 * scene(kind)), 10, 3), 1.0
    for axis, lag in enumerate(lags):
        share = (1 - np.sqrt(1 - 4 * lag**2)) / max(2 * lag, 1e-9)
        image = (image + share * np.roll(image, 1, axis)) / (1 + share)
        left *= (1 + share**2) / (1 + share) ** 2
    noise = hush.analyze((image + offset).astype(np.float32)).channels[0]
    assert noise.gain == pytest.approx(10 * left, rel=0.1)
    assert [noise.lags["1,0"], noise.lags["0,1"]] == pytest.approx(lags, abs=0.04)
