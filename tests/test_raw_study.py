"""The study of raw photographs: what it does to a scene is what a sensor and an interpolation do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hush.bench import runner, studies
from hush.bench.studies import raw
from hush.datasets.recipes import Item

SIDE = 96


def item(noise: str = "poisson_gaussian:gain=0.425,sigma=1.275") -> Item:
    y, x = np.indices((SIDE, SIDE))
    waves = [128 + 80 * np.sin(x / a) * np.cos(y / b) for a, b in ((9, 7), (8, 11), (12, 6))]
    clean = np.stack(waves, -1).astype(np.float32)
    return Item("waves", "one", noise, 0, clean, clean, 255.0, False)


def scores(method: dict[str, Any]) -> dict[str, Any]:
    return raw.row(item(), {"settings": {}} | method, {})


def test_a_plane_of_light_is_developed_exactly_wherever_it_is_measured() -> None:
    y, x = np.indices((24, 32))
    ramp = (0.1 + 0.01 * y + 0.005 * x)[..., None] * np.ones(3)
    made = raw._developed(raw._mosaic(ramp / raw.BALANCE))
    np.testing.assert_allclose(made[3:-3, 3:-3], ramp[3:-3, 3:-3], atol=1e-12)


def test_planes_join_to_the_mosaic() -> None:
    mosaic = np.random.default_rng(0).random((8, 12))
    np.testing.assert_array_equal(raw._joined(raw._planes(mosaic)), mosaic)


def test_the_scale_of_files_comes_back() -> None:
    values = np.linspace(0, 1, 101)
    np.testing.assert_allclose(raw._srgb(raw._linear(values)), values, atol=1e-12)
    assert raw._linear(np.array(0.5)) == pytest.approx(0.2140, abs=1e-4)  # IEC 61966-2-1


def test_noise_has_the_variance_that_is_said_and_reaches_below_black() -> None:
    one = item()
    light = np.full((200, 200), 0.25)
    stored = raw._light(raw._stored(light, one)) * 255
    assert stored.mean() == pytest.approx(0.25 * 255, rel=0.01)
    assert stored.var() == pytest.approx(0.425 * 0.25 * 255 + 1.275**2, rel=0.05)
    assert raw._stored(np.zeros((64, 64)), one).min() < raw.BLACK_LEVEL


def test_denoising_on_the_mosaic_is_nearer_to_the_scene() -> None:
    clean, noisy = scores({"peer": "clean"}), scores({"peer": "noisy"})
    better = scores({"name": "gaussian", "settings": {"where": "mosaic"}})
    after = scores({"name": "gaussian", "settings": {"where": "linear"}})
    assert noisy["psnr"] < min(better["psnr"], after["psnr"]) < clean["psnr"]
    assert noisy["psnr_linear"] < better["psnr_linear"] < clean["psnr_linear"]


def test_the_recipe_is_of_this_study() -> None:
    recipe = runner.load("raw")
    assert studies.kind_of(recipe) == (raw.row, raw.table)
    rows = [{"data": "a", "image": "1", "noise": "n", "seed": 0, "method": one, "psnr": 30.0 + k, "psnr_linear": 40.0,
             "seconds": 1.0} for k, one in enumerate(("noisy", "auto on the mosaic"))]  # fmt: skip
    assert raw.table(rows, recipe).splitlines()[-1] == "| a | n | auto on the mosaic | 1 | 31.00 | +1.00 | 40.00 | 1 |"
