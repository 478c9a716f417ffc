"""Weights that come trained, trained further on the image."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import hush
from helpers import data
from hush.core.errors import HushError, HushWarning
from hush.core.image import Image
from hush.methods._budget import USUAL_STEPS
from hush.methods.finetuned import Finetuned
from hush.methods.pretrained import Pretrained


@pytest.fixture(scope="module")
def bricks() -> tuple[np.ndarray, np.ndarray]:
    """A texture that no weights have seen, and a photon image of it."""
    clean = np.asarray(data.brick()[:192, :192], np.float32)
    return clean, np.random.default_rng(0).poisson(clean / 10).astype(np.float32) * 10


def tuned(**settings: Any) -> Finetuned:
    usual: dict[str, Any] = {"best": False, "steps": 3, "patch": 32}
    return Finetuned(**usual | settings)


def test_it_learns_what_repeats(bricks: tuple[np.ndarray, np.ndarray]) -> None:
    clean, noisy = bricks
    before = hush.psnr(Pretrained(weights="camera-fast").fit(noisy).denoise(noisy).data, clean, 255)
    model = tuned(steps=40, patch=96, learning_rate=1e-4).fit(noisy)
    result = model.run(Image(noisy, "YX"))
    assert hush.psnr(result.image.data, clean, 255) > before + 0.05
    assert result.info["steps"] == 40
    assert tuned(steps=None).expectation([]).endswith(f"{USUAL_STEPS} steps more")


def test_same_seed_same_bytes_and_shipped_weights_stay(bricks: tuple[np.ndarray, np.ndarray]) -> None:
    noisy = bricks[1]
    shipped = Pretrained(weights="camera-fast").fit(noisy)
    before = shipped.denoise(noisy).data
    one, two, other = (tuned(seed=seed).fit(noisy).denoise(noisy).data for seed in (0, 0, 1))
    assert np.array_equal(one, two)
    assert not np.array_equal(one, other)
    assert not np.array_equal(one, before)
    assert np.array_equal(shipped.denoise(noisy).data, before)


@pytest.mark.parametrize(("mask", "lags"), [(None, {}), ("1x3", {}), (None, {"0,1": 0.05, "1,0": 0.01})])
def test_hidden_pixels_tell_nothing_of_themselves(mask: str | None, lags: dict[str, float]) -> None:
    rng = np.random.default_rng(0)
    model = tuned().fit(rng.normal(100, 9, (64, 64)).astype(np.float32))
    noise = model.report_.channels[0]
    object.__setattr__(noise, "mask", mask)
    object.__setattr__(noise, "lags", lags)
    planes = rng.normal(0, 1, (1, 6, 64, 64)).astype(np.float32)
    missing = model._inputs.at("missing").start
    planes[:, missing] = 0
    planes[:, missing, 5, :] = 1  # missing: what stands there was made up
    seen, target, where = model._hidden(planes, rng)
    assert 0.01 < where.mean() < 0.25
    gone = seen[missing] == 1
    assert gone[where[0]].all()
    assert gone.sum() > where.sum() * (2 if mask or lags else 0.99)
    beside = (gone[:, 2:] | (where[0] == 0)[:, 1:-1]).all()  # what is right of a hidden pixel
    assert bool(beside) == bool(mask or lags)
    assert not np.isclose(seen[0], target[0])[where[0]].any()
    kept = ~gone
    assert np.array_equal(seen[0][kept], target[0][kept])


def test_the_dark_does_not_teach_alone() -> None:
    light = np.full((96, 96), 0.02)
    light[:, 48:] = 40.0
    noisy = np.random.default_rng(0).poisson(light).astype(np.float32)
    model = tuned().fit(noisy)
    shown = list(model._shown(model.prepared(Image(noisy, "YX"))))
    dim = [one.copy() for one in shown]
    dim[0][0, 0, :, :40] += 0.2 * dim[0][0, 1, :, :40]  # a fifth of the level more, where there is nearly no noise
    net = model._loaded[0]
    one, other = (float(model._loss(net, each, 0)) for each in (shown, dim))
    assert abs(other - one) < 0.2 * one


def test_only_weights_that_know_missing_pixels() -> None:
    noisy = np.random.default_rng(0).normal(100, 9, (64, 64)).astype(np.float32)
    with pytest.raises(HushError, match=r"gaussian-fast.*camera-best"):
        tuned(weights="gaussian-fast").fit(noisy)
    for wrong in ({"steps": 0}, {"learning_rate": 0.0}, {"batch": 0}, {"patch": 4}):
        with pytest.raises(HushError, match=next(iter(wrong))):
            tuned(**wrong).fit(noisy)


def test_missing_values_stay_missing_and_do_not_spread(bricks: tuple[np.ndarray, np.ndarray]) -> None:
    noisy = bricks[1].copy()
    noisy[40:44, 50:55] = np.nan
    with pytest.warns(HushWarning, match=r"\b20\b"):
        clean = tuned().fit(noisy).denoise(noisy).data
    assert np.array_equal(np.isnan(clean), np.isnan(noisy))
