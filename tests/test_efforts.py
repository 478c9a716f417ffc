"""How much time an effort has, on processors of all kinds."""

from __future__ import annotations

import numpy as np
import pytest

import hush
from hush.core.image import Image
from hush.methods._budget import BATCH, FEWEST, STEPS, Clock


@pytest.fixture(autouse=True)
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hush.methods._budget.os.cpu_count", lambda: 2)


def square(side: int) -> Image:
    return Image(np.broadcast_to(np.uint8(0), (side, side)), "YX")


def test_networks_take_longer_where_bfloat16_is_not_multiplied() -> None:
    today, older = (Clock("balanced", "cpu", precision) for precision in ("bfloat16", "float32"))
    for settings in ({}, {"tta": True}, {"best": True}):
        assert older.seconds("pretrained", settings, square(512)) > 2 * today.seconds(
            "pretrained", settings, square(512)
        )
    assert older.seconds("bm3d", {}, square(512)) == today.seconds("bm3d", {}, square(512))
    assert not Clock("balanced", "cuda", "float32").slow  # a GPU's float32 is fast enough


def test_turned_images_where_there_is_time() -> None:
    today, older = (Clock("fast", "cpu", precision) for precision in ("bfloat16", "float32"))
    every, two, none = {"tta": True}, {"tta": True, "turns": 2}, {"tta": False}
    assert [today.turned(square(side)) for side in (512, 1024, 2048)] == [every, two, none]
    assert [older.turned(square(side)) for side in (256, 512, 1024)] == [every, two, none]
    assert older.seconds("pretrained", two, square(512)) == older.seconds("pretrained", every, square(256))
    assert Clock("balanced", "cpu", "float32").turned(square(1024)) == every


def test_as_many_steps_as_there_is_time_for(monkeypatch: pytest.MonkeyPatch) -> None:
    all_of_them = {"steps": STEPS, "batch": BATCH}
    for side in (512, 1024, 2048):
        assert Clock("balanced", "cpu", "bfloat16").learning(square(side)) == all_of_them
    older = Clock("balanced", "cpu", "float32")
    fewer = older.learning(square(512))
    assert FEWEST < fewer["steps"] < STEPS and fewer["batch"] < BATCH  # smaller ones, so as to have more
    assert older.learning(square(1024)) == {}  # hardly more than none: not worth the start
    assert Clock("thorough", "cpu", "float32").learning(square(1024)) == all_of_them
    monkeypatch.setattr("hush.methods._budget.os.cpu_count", lambda: 8)
    assert older.learning(square(512)) == all_of_them


@pytest.mark.parametrize(("precision", "large"), [("bfloat16", 1024), ("float32", 700)])
def test_time_is_left_for_bm3d_where_it_costs_few_steps(precision: str, large: int) -> None:
    clock = Clock("balanced", "cpu", precision)
    for side, fits in ((512, True), (large, False)):
        image = square(side)
        learning = clock.seconds("finetuned", clock.learning(image), image)
        assert learning <= clock.budget(image)
        assert (learning + clock.seconds("bm3d", {}, image) <= clock.budget(image)) == fits


def test_auto_keeps_its_time_on_an_older_processor() -> None:
    noisy = np.random.default_rng(0).normal(100, 9, (400, 400)).astype(np.float32)
    for asked, turns in ((False, 2), (True, 8)):
        model = hush.Auto(precision="float32", device="cpu", tta=asked).fit(noisy)
        assert model.chosen_ is not None
        assert model.chosen_.settings["tta"] and model.chosen_.settings["turns"] == turns
    assert not Clock.of("fast", "cpu", "bfloat16").slow
