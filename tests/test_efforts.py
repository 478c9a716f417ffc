"""How much time an effort has, on processors of all kinds."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import hush
from hush.core.device import cores
from hush.core.image import Image
from hush.methods._budget import BATCH, FEWEST_STEPS, USUAL_STEPS, Clock

PRECISIONS = ("bfloat16", "float32")  # of a processor of today, and of an older one


def clock(effort: str, precision: str, cores: int = 2) -> Clock:
    return Clock(effort, "cpu", precision, cores)


def square(side: int) -> Image:
    return Image(np.broadcast_to(np.uint8(0), (side, side)), "YX")


def test_networks_take_longer_where_bfloat16_is_not_multiplied() -> None:
    today, older = (clock("balanced", precision) for precision in PRECISIONS)
    for settings in ({}, {"tta": True}, {"best": True}):
        assert older.seconds("pretrained", settings, square(512)) > 2 * today.seconds(
            "pretrained", settings, square(512)
        )
    assert older.seconds("bm3d", {}, square(512)) == today.seconds("bm3d", {}, square(512))
    assert not Clock("balanced", "cuda", "float32", cores=2).slow  # a GPU's float32 is fast enough


def test_turned_images_where_there_is_time() -> None:
    today, older = (clock("fast", precision) for precision in PRECISIONS)
    every, two, none = {"tta": True}, {"tta": True, "turns": 2}, {"tta": False}
    assert [today.turned(square(side)) for side in (512, 1024, 2048)] == [every, two, none]
    assert [older.turned(square(side)) for side in (256, 512, 1024)] == [every, two, none]
    assert older.seconds("pretrained", two, square(512)) == older.seconds("pretrained", every, square(256))
    assert clock("balanced", "float32").turned(square(1024)) == every


def test_as_many_steps_as_there_is_time_for() -> None:
    all_of_them = {"steps": USUAL_STEPS, "batch": BATCH}
    for side in (512, 1024, 2048):
        assert clock("balanced", "bfloat16").learning(square(side)) == all_of_them
    older = clock("balanced", "float32")
    fewer = older.learning(square(512))
    assert FEWEST_STEPS < fewer["steps"] < USUAL_STEPS and fewer["batch"] < BATCH  # smaller ones, so as to have more
    assert older.learning(square(1024)) == {}  # hardly more than none: not worth the start
    assert clock("thorough", "float32").learning(square(1024)) == all_of_them
    assert clock("balanced", "float32", cores=8).learning(square(512)) == all_of_them


@pytest.mark.parametrize(("precision", "large"), [("bfloat16", 1024), ("float32", 700)])
def test_time_is_left_for_bm3d_where_it_costs_few_steps(precision: str, large: int) -> None:
    machine = clock("balanced", precision)
    for side, fits in ((512, True), (large, False)):
        image = square(side)
        learning = machine.seconds("finetuned", machine.learning(image), image)
        assert learning <= machine.budget(image)
        assert (learning + machine.seconds("bm3d", {}, image) <= machine.budget(image)) == fits


@pytest.mark.parametrize(("precision", "trained"), [("bfloat16", (True, True, True)), ("float32", (True, False, True))])
def test_what_else_there_is_time_for_by_size(precision: str, trained: tuple[bool, ...]) -> None:
    for effort, method, sides, fits in (
        ("fast", "bm3d", (256, 370, 390, 1024), (True, True, False, False)),
        ("balanced", "bm3d", (512, 1024, 2048), (True, True, True)),
        ("balanced", "n2v", (512, 900, 2048), trained),  # from a million pixels on there is more time for more
    ):
        machine, images = clock(effort, precision), [square(side) for side in sides]
        assert tuple(machine.seconds(method, {}, image) <= machine.budget(image) for image in images) == fits


@pytest.mark.parametrize("precision", PRECISIONS)
def test_twice_the_cores_take_half_the_time_and_what_is_allowed_stays(precision: str) -> None:
    two, four = (clock("balanced", precision, cores) for cores in (2, 4))
    for method, settings in (("bm3d", {}), ("pretrained", {"tta": True})):
        taken = [machine.seconds(method, settings, square(512)) for machine in (two, four)]
        assert taken[0] == pytest.approx(2 * taken[1])
    assert two.budget(square(2048)) == four.budget(square(2048))


@pytest.mark.parametrize(("precision", "turns"), [("bfloat16", 8), ("float32", 2)])
def test_auto_keeps_its_time_on_processors_of_all_kinds(
    precision: str, turns: int, computer: Callable[..., None]
) -> None:
    computer(precision)
    noisy = np.random.default_rng(0).normal(100, 9, (400, 400)).astype(np.float32)
    for asked, made in ((False, turns), (True, 8)):
        model = hush.Auto(tta=asked).fit(noisy)
        assert model.chosen_ is not None
        assert model.chosen_.settings["tta"] and model.chosen_.settings["turns"] == made


@pytest.mark.parametrize("precision", PRECISIONS)
def test_what_the_user_asks_for_is_what_the_time_is_told_from(precision: str) -> None:
    found = Clock.of("fast", "cpu", precision)
    assert found == Clock("fast", "cpu", precision, cores())
    assert found.slow == (precision == "float32")
