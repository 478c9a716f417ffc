"""The learned level: its interval holds the truth, whatever the units, and it corrects what blocks take for noise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import hush
from helpers import noisy, waves
from hush.core.errors import WeightsError
from hush.core.image import Image
from hush.datasets import hard
from hush.datasets.hard_scenes import KINDS
from hush.estimation.analyze import analyze
from hush.estimation.learned import Evidence, with_learned_level
from hush.nets._level import QUANTILES, LevelNet, inputs
from hush.pretrained import level, level_agreement, level_body, level_data

Floats = np.ndarray[Any, np.dtype[np.floating[Any]]]
SIDE = 128


def told_of(image: Any) -> Any:
    """What the estimator says of a plane of which flat blocks were asked first."""
    plane = np.asarray(image, np.float32)
    return level.estimate([plane], Evidence.of(analyze(plane).channels[0], [plane]))


@pytest.mark.parametrize("sigma", [2, 8, 30])
def test_the_interval_holds_the_level(sigma: float) -> None:
    told = told_of(noisy(waves(SIDE), f"gaussian:sigma={sigma}"))
    assert told is not None
    assert told.shape == (len(QUANTILES),)
    assert (np.diff(told) >= 0).all()
    assert told[0] < 1.1 * sigma < 1.21 * told[-1]
    assert told[2] == pytest.approx(sigma, rel=0.35)


def test_other_units_are_other_levels() -> None:
    image = noisy(waves(SIDE), "gaussian:sigma=8")
    here, there = told_of(image), told_of(1000 * image - 5e4)
    np.testing.assert_allclose(np.asarray(there), 1000 * np.asarray(here), rtol=0.02)


def test_small_planes_tell_nothing_and_missing_pixels_are_filled() -> None:
    assert told_of(waves(SIDE)[:40, :40]) is None
    image = noisy(waves(SIDE), "gaussian:sigma=8")
    image[30:40, 20:32] = np.nan
    told = told_of(image)
    assert told is not None
    assert told[0] < 8.8 < 1.21 * told[-1]
    image[30:50, 20:90] = np.nan
    assert told_of(image) is None


@pytest.mark.parametrize("kind", ["text-two-valued", "chart", "chequerboard-coarse"])
def test_what_blocks_take_for_noise_is_put_right(kind: str) -> None:
    scene = KINDS[kind](SIDE, np.random.default_rng(77))
    span = np.ptp(scene)
    image = Image(noisy(scene, f"gaussian:sigma={4 * span / 255}"), "YX")
    blocks, learned = (one(image).channels[0] for one in (analyze, hush.analyze))
    true = 4 * span / 255
    assert abs(np.log(learned.level / true)) < max(0.5, 0.5 * abs(np.log(max(blocks.level, 1e-3) / true)))
    assert learned.interval["level"][0] < 1.1 * true


def test_a_level_inside_the_interval_stays() -> None:
    planes = [noisy(waves(SIDE), "gaussian:sigma=8").astype(np.float32)]
    found = analyze(planes[0]).channels[0]
    kept = with_learned_level(found, planes, lambda *_: np.array([4.0, 6.0, 7.0, 9.0, 12.0]))
    assert (kept.sigma, kept.kind) == (found.sigma, found.kind)
    assert kept.interval["level"] == pytest.approx((4.0, 12.0))
    halved = with_learned_level(found, planes, lambda *_: np.array([3.0, 3.5, 4.0, 4.5, 5.0]))
    assert halved.sigma == pytest.approx(4.0, rel=0.02)
    assert halved.level == pytest.approx(4.0, rel=0.02)
    none = with_learned_level(found, planes, lambda *_: np.array([0.001, 0.01, 0.02, 0.1, 1.0]))
    assert none.kind == "none"


def test_photon_noise_keeps_its_shape() -> None:
    planes = [noisy(waves(SIDE), "poisson:photons=60").astype(np.float32)]
    found = analyze(planes[0]).channels[0]
    more = with_learned_level(found, planes, lambda *_: np.array([30.0, 35.0, 40.0, 45.0, 50.0]))
    assert more.kind == "poisson_gaussian"
    bright = np.linspace(60, 160, 9)
    ratio = (more.a * bright + more.b) / (found.a * bright + found.b)
    np.testing.assert_allclose(ratio, ratio[0])
    assert ratio[0] > 2


def test_what_was_said_stays() -> None:
    image = noisy(waves(SIDE), "gaussian:sigma=8")
    said = hush.analyze(image, noise=hush.noise.parse("gaussian:sigma=3"))
    assert said.channels[0].sigma == 3


def test_a_variance_of_every_pixel_is_drawn() -> None:
    pool = [waves(SIDE).astype(np.float32)] * 3
    rng, ratios = np.random.default_rng(0), []
    for _ in range(60):
        image, variance = level_data.draw(pool, 64, rng)
        assert image.shape == variance.shape == (64, 64)
        assert image.dtype == np.float32
        assert np.isfinite(image).all()
        assert (variance >= 0).all()
        ratios.append(float(variance.mean()))
    assert 0.05 < np.mean(np.array(ratios) == 0) < 0.5


def test_training_learns(tmp_path: Path) -> None:
    pool = [waves(SIDE).astype(np.float32)] * 2
    torch.manual_seed(0)
    net, rng = LevelNet(8), np.random.default_rng(0)
    optimiser = torch.optim.Adam(net.parameters(), 3e-3)
    losses = []
    for _ in range(40):
        loss = level_body.loss_of(net, *level_body.batch(pool, 8, 48, rng))
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        losses.append(loss.item())
    assert np.mean(losses[-8:]) < np.mean(losses[:4]) - 1
    shown, _ = inputs(torch.zeros(1, 1, 32, 32))  # of one value: no level, and a slope all the same
    net(shown)[0].sum().backward()
    assert all(torch.isfinite(one.grad).all() for one in net.parameters() if one.grad is not None)


def test_blocks_are_believed_where_they_are_right() -> None:
    rng = np.random.default_rng(0)
    truth = torch.from_numpy(rng.uniform(-6, -2, 3000)).float()[:, None]
    seen = truth + torch.from_numpy(rng.normal(0, 0.5, (3000, 1)).astype(np.float32)) + torch.linspace(-0.8, 0.8, 5)
    right = torch.from_numpy((rng.random((3000, 1)) < 0.5).astype(np.float32))
    blocks = torch.where(right > 0, truth, truth + 2)
    facts = torch.cat([blocks, right], 1)
    net = level_agreement.fit((seen, facts, truth[:, 0]), turns=400)
    with torch.inference_mode():
        away = (net(seen, facts)[:, 2] - truth[:, 0]).abs()
    assert away[right[:, 0] > 0].median() < 0.15
    assert away[right[:, 0] == 0].median() < 0.6


def test_damaged_weights_are_said(tmp_path: Path) -> None:
    path = tmp_path / "level.safetensors"
    path.write_bytes(b"nothing")
    with pytest.raises(WeightsError, match="damaged"):
        level.load(path)


def test_no_kind_of_the_table_is_learned_from() -> None:
    assert set(hard.DEVELOPMENT) < set(KINDS)
    assert len(hard.DEVELOPMENT) == len(KINDS) // 2
