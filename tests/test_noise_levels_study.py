"""The study of the estimated noise: the true level, intervals, learned quantiles; and its scenes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers import waves
from hush.bench import runner
from hush.bench.studies import noise_estimation as study
from hush.datasets.level_scenes import SCENES, SHIPPED_PHOTOGRAPHS
from hush.datasets.recipes import Item, frozen_noise, pictures
from hush.pretrained import level

FACTORS = np.array([0.8, 0.95, 1.0, 1.05, 1.2])  # of what the stub says, against what blocks say
HUSH: dict[str, Any] = {"name": "hush", "settings": {}}


@pytest.fixture(autouse=True)
def _known_quantiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(level, "estimate", lambda planes, blocks: FACTORS * max(blocks.level, 1e-3))


def row(noise: str) -> dict[str, Any]:
    clean = waves(192).astype(np.float32)
    item = Item("waves", "b", noise, 0, clean, frozen_noise(clean, noise, "a/b", 0), 255.0, False)
    return study.row(item, HUSH, {})


@pytest.mark.parametrize(
    ("noise", "true"),
    [
        ("gaussian:sigma=12", 12.0),
        ("gaussian:sigma=12 + salt_pepper:p=0.05", 12.0),
        ("stripes:amplitude=10 + gaussian:sigma=12", 12.0),
        ("rician:sigma=12", 12.0),
        ("correlated:sigma=12,length=0.8", 12.0),
    ],
)
def test_the_level_is_that_of_the_noise_without_stripes_and_stuck_pixels(noise: str, true: float) -> None:
    made = row(noise)
    assert made["level"] == pytest.approx(true)
    assert made["error"] == pytest.approx(0, abs=0.15)
    assert made["inside"]


def test_speckle_grows_with_brightness() -> None:
    made = row("speckle:sigma=25")
    assert made["kind"] == "speckle"
    assert made["variance_error"] < 0.1


def test_the_truth_has_a_place_among_the_learned_quantiles() -> None:
    below = row("gaussian:sigma=12")["below"]
    assert (below[0], below[-1]) == (False, True)
    assert sorted(below) == below


def test_the_table_counts_what_is_wrong_and_what_is_covered() -> None:
    base = {"data": "d", "noise": "gaussian:sigma=5", "method": "hush", "seed": 0, "variance_error": 0.1}
    errors, inside = (-0.3, -0.1, 0.1, 0.5), (False, True, True, False)
    rows: list[dict[str, Any]] = [
        base | {"image": k, "error": error, "inside": inside[k], "below": [k > 2, k > 2, k > 1, k > 0, True]}
        for k, error in enumerate(errors)
    ]
    rows.append(base | {"method": "skimage", "image": 0, "error": 0.0})
    lines = study.table(rows, {}).splitlines()
    cells = {tuple(part.strip() for part in line.strip("|").split("|")) for line in lines}
    mine = next(one for one in cells if one[2:3] == ("hush",))
    assert mine[7:9] == ("1.00", "2")
    assert mine[-1] == "50%"
    other = next(one for one in cells if one[2:3] == ("skimage",))
    assert other[-1] == "–"
    (said,) = [line for line in lines if "50.0% of 4 images" in line]
    assert "1 of 1" in said
    assert ("level is below the quantile", "25%", "25.0%") in cells
    assert ("level is in the interval", "50%", "50.0%") in cells
    assert ("level is in the interval", "90%", "75.0%") in cells


def test_without_intervals_there_is_one_table() -> None:
    text = study.table([{"data": "d", "noise": "n", "method": "skimage", "error": 0.1}], {})
    assert text.count("\n| ---") == 1
    assert "learned" not in text


@pytest.mark.parametrize("name", SCENES)
def test_scenes_are_the_same_at_every_call_and_large_enough(name: str) -> None:
    first, again, other = (SCENES[name](seed=seed) for seed in (2, 2, 3))
    assert (first == again).all()
    assert first.shape != other.shape or (first != other).any()
    assert first.dtype == np.float32
    assert 0 <= first.min() < first.max() <= 255
    assert min(min(SCENES[name](seed=seed).shape) for seed in range(len(SHIPPED_PHOTOGRAPHS))) >= 256


def test_every_scene_of_the_recipe_can_be_made() -> None:
    recipe = runner.load("noise-levels")
    for data in (one for one in recipe["data"] if "generate" in one):
        (made,) = pictures(data, Path(), {"images": 1})
        assert min(made[1].shape) >= data.get("crop", 0)
    assert {one["generate"] for one in recipe["data"] if "generate" in one} == set(SCENES)
