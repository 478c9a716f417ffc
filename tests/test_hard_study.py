"""The study of hard images: what counts as harmed, and the true noise that BM3D is given."""

from __future__ import annotations

import numpy as np
import pytest

from hush.bench import runner
from hush.bench.studies import hard as study
from hush.datasets import hard
from hush.datasets.recipes import Item
from hush.noise import parse


def item(kind: str, noise: str, dtype: str = "float32", size: int = 96) -> Item:
    case = hard.Case(kind, size, noise, dtype, 1)
    noisy, clean, peak = hard.make(case)
    return Item("development", case.name, noise, 1, clean, noisy.data, peak, False, {"kind": kind})


@pytest.mark.parametrize("noise", [name for name in hard.NOISES if name not in ("clean", "clipped")])
def test_the_noise_that_is_given_is_that_of_the_image(noise: str) -> None:
    one = item("gradient-banded", noise, size=192)
    model = parse(study.true_noise(one)).draw(np.random.default_rng(0))
    away = one.noisy.astype(np.float64) - one.clean
    variance = model.moments(one.clean.reshape(1, -1))[1].mean()
    assert (away**2).mean() == pytest.approx(variance, rel=0.1)


def test_what_is_harmed() -> None:
    assert study.harmed({"noisy": True, "before": 30.0, "after": 29.9})
    assert not study.harmed({"noisy": True, "before": 30.0, "after": 29.96})
    assert study.harmed({"noisy": False, "grey": 0.2})
    assert not study.harmed({"noisy": False, "grey": 0.05})


def test_a_row_has_what_the_table_asks_for() -> None:
    rows = []
    for noise in ("clean", "gaussian-25"):
        one = item("cells", noise)
        for method in ({"name": "auto", "settings": {}}, {"name": "bm3d", "settings": {"noise": "known"}}):
            rows.append(one.key | {"method": method["name"]} | study.row(one, method, {}))
    of = {(row["method"], row["noise"]): row for row in rows}
    assert not of["auto", "clean"]["noisy"]
    assert of["auto", "clean"]["grey"] == 0
    assert of["auto", "gaussian-25"]["after"] > of["auto", "gaussian-25"]["before"] + 3
    assert of["bm3d", "gaussian-25"]["after"] > of["auto", "gaussian-25"]["before"] + 3
    lines = study.table(rows, {}).splitlines()
    assert lines[2].split("|")[1:9] == [
        " development ",
        " auto ",
        " 1 ",
        " 0 (0.0%) ",
        " 1 ",
        " 0 (0.0%) ",
        " 1 ",
        " 100% ",
    ]


def test_every_kind_is_for_development_or_for_the_test() -> None:
    data = runner.load("hard")["data"]
    development, test = (set(one["kinds"]) for one in data if "kinds" in one)
    assert development == set(hard.DEVELOPMENT)
    assert development | test == set(hard.KINDS)
    assert not development & test
