"""NoiseBreaker's denoisers: each removes its noise, told how strong it is, and leaves the rest of the image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from helpers import data, noisy
from hush.core.errors import HushError, WeightsError
from hush.core.metrics import psnr
from hush.pretrained.noisebreaker import denoisers, denoisers_train
from hush.pretrained.noisebreaker.classes import classes
from hush.pretrained.noisebreaker.denoisers import TRAINED, load, remove
from hush.pretrained.noisebreaker.denoisers_data import examples

Floats = np.ndarray[Any, np.dtype[np.float32]]
SIDE = 128


@pytest.fixture(scope="module")
def scene() -> Floats:
    """A part of the photographer, (1, Y, X)."""
    part = data.camera()[60 : 60 + 2 * SIDE, 160 : 160 + 2 * SIDE].astype(np.float32)
    return np.asarray(part.reshape(SIDE, 2, SIDE, 2).mean((1, 3)), np.float32)[None]


def drawn(scene: Floats, text: str) -> Floats:
    return np.stack([noisy(plane, text, seed) for seed, plane in enumerate(scene)])


@pytest.mark.parametrize(
    ("name", "noise", "level", "gain"),
    [
        ("gaussian", "gaussian:sigma=25", 25, 6.0),
        ("speckle", "speckle:sigma=10", 10, 3.0),
        ("speckle", "speckle:sigma=45", 45, 7.0),
        ("uniform", "uniform:s=10", 10, 3.0),
        ("uniform", "uniform:s=50", 50, 7.0),
        ("bernoulli", "bernoulli:p=0.05", 0.05, 10.0),
        ("bernoulli", "bernoulli:p=0.2", 0.2, 10.0),
        ("poisson", "poisson:photons=255", 255, 4.0),
        ("end-to-end", "gaussian:sigma=15 + bernoulli:p=0.1", 0, 9.0),
        ("end-to-end", "gaussian:sigma=50 + bernoulli:p=0.1", 0, 9.0),
    ],
)
def test_its_noise_is_removed(scene: Floats, name: str, noise: str, level: float, gain: float) -> None:
    image = drawn(scene, noise)
    assert psnr(remove(image, name, level), scene, 255) > psnr(image, scene, 255) + gain


def test_every_class_has_a_denoiser() -> None:
    for one in classes():
        if one.denoiser is not None:
            assert int(load(one.denoiser).multiple) > 0  # type: ignore[arg-type]


def test_lost_pixels_are_filled_and_the_others_keep_their_noise(scene: Floats) -> None:
    before = drawn(scene, "gaussian:sigma=30")
    lost = np.random.default_rng(3).random(scene.shape) < 0.1
    filled = remove(np.where(lost, np.float32(0), before), "bernoulli", 0.1)
    np.testing.assert_array_equal(filled[~lost], before[~lost])
    assert np.sqrt(np.mean((filled - scene)[lost] ** 2)) < 25


def test_colours_are_lost_together() -> None:
    image = np.full((3, SIDE, SIDE), 200, np.float32)
    image[0, :, 20:60] = 0
    lost = np.random.default_rng(3).random((SIDE, SIDE)) < 0.1
    filled = remove(np.where(lost, np.float32(0), image), "bernoulli", 0.1)
    np.testing.assert_array_equal(filled[:, ~lost], image[:, ~lost])
    assert np.sqrt(np.mean((filled - image)[:, lost] ** 2)) < 25


def test_black_that_was_not_lost_stays() -> None:
    image = np.full((1, SIDE, SIDE), 200, np.float32)
    image[:, 40:80, 30:90] = 0
    lost = np.random.default_rng(3).random(image.shape) < 0.05
    filled = remove(np.where(lost, np.float32(0), image), "bernoulli", 0.05)
    assert np.abs(filled - image)[:, 44:76, 34:86].max() < 20


@pytest.mark.parametrize("name", ["gaussian", *TRAINED])
def test_channels_and_sizes_are_kept(scene: Floats, name: str) -> None:
    image = np.concatenate([scene, scene / 2, 255 - scene])[:, :37, :51]
    result = remove(image, name, 10.0 if name != "bernoulli" else 0.1)
    assert (result.shape, result.dtype) == (image.shape, np.float32)
    np.testing.assert_allclose(result[1:2], remove(image[1:2], name, 10.0 if name != "bernoulli" else 0.1))


def test_tiles_show_no_seams(scene: Floats, monkeypatch: pytest.MonkeyPatch) -> None:
    image = drawn(np.concatenate([scene, scene], 2), "speckle:sigma=30")
    whole = remove(image, "speckle", 30, precision="float32")
    monkeypatch.setattr(denoisers, "LARGEST_TILE", 64)
    np.testing.assert_allclose(remove(image, "speckle", 30, precision="float32"), whole, atol=1e-2)


@pytest.mark.parametrize(("name", "low", "high"), [("speckle", 5, 45), ("uniform", 10, 50), ("gaussian", 5, 45)])
def test_the_level_that_is_told_matters(scene: Floats, name: str, low: float, high: float) -> None:
    image = drawn(scene, f"{name}:{'s' if name == 'uniform' else 'sigma'}={high}")
    right, wrong = (psnr(remove(image, name, level), scene, 255) for level in (high, low))
    assert right > wrong + 2


def test_what_is_no_weights_is_said(tmp_path: Path) -> None:
    damaged = tmp_path / "speckle.safetensors"
    damaged.write_bytes((denoisers.FOLDER / "speckle.safetensors").read_bytes()[:5000])
    for name, path in (("speckle", damaged), ("speckle", tmp_path / "none.safetensors"), ("rain", None)):
        with pytest.raises(WeightsError):
            remove(np.zeros((1, 16, 16), np.float32), name, 5.0, path=path)


def test_lost_pixels_are_learned_with_noise_that_stays() -> None:
    clean = torch.zeros(64, 1, 32, 32)
    drawn = examples("bernoulli", clean, np.random.default_rng(0))
    kept = (drawn.x[:, :1] == drawn.target).float().mean((1, 2, 3))
    assert ((kept > 0.7) & (kept <= 1)).all()
    noise = (drawn.target - clean).flatten(1).std(1)
    assert 0.2 < (noise > 0.005).float().mean() < 0.7


@pytest.mark.parametrize("name", ["speckle", "uniform", "poisson", "end-to-end"])
def test_noise_is_learned_against_clean_targets(name: str) -> None:
    drawn = examples(name, torch.zeros(64, 1, 32, 32), np.random.default_rng(0))
    clean = drawn.target.flatten(1).std(1) < 0.002
    assert clean.float().mean() == pytest.approx(1.0 if name == "end-to-end" else 0.75, abs=0.15)
    assert (drawn.x[:, :1] - drawn.target).std() > 0.03
    told = drawn.x[:, 1] > 0
    assert torch.equal(told, drawn.x[:, 0] == -0.5) if name == "end-to-end" else told.float().mean() > 0.9


def test_training_writes_weights_and_card(scene: Floats, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = {"name": "one", "share": 1.0, "licence": "none"}
    monkeypatch.setattr(denoisers_train, "sources", lambda folder, seed: ([said], [[scene]]))
    monkeypatch.setattr(denoisers_train, "held_out", lambda folder: [[scene], [scene]])
    monkeypatch.setattr(denoisers_train, "PATCH_SIDE", 32)
    row = {"noise": "uniform:s=10", "noisy": 30.0, "psnr": 31.0, "images": 1}
    monkeypatch.setattr(denoisers_train, "scores", lambda *_: [row])
    path, seen = tmp_path / "uniform.safetensors", []
    denoisers_train.train("uniform", tmp_path, path, steps=2, report=lambda step, *_: seen.append(step))
    assert seen == [1, 2]
    assert "31.00" in path.with_suffix(".md").read_text("utf-8")
    assert not list(tmp_path.glob("*.partial"))
    image = drawn(scene, "uniform:s=30")
    assert psnr(remove(image, "uniform", 30, path=path), scene, 255) > psnr(image, scene, 255) + 1
    with pytest.raises(HushError):
        denoisers_train.train("rain", tmp_path, path, steps=2)
