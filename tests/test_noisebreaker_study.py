"""The study of noises that lie over each other: what was drawn, what was found, how scores spread."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers import waves
from hush.bench import boxes, runner
from hush.bench.studies import noisebreaker as study
from hush.core import registry
from hush.core.image import Image
from hush.datasets.recipes import Item, frozen_noise
from hush.methods._base import Result
from hush.pretrained.noisebreaker import denoisers
from hush.pretrained.noisebreaker.classes import classes, named

MIXTURE = study.PUBLISHED_NOISE
NOISY: dict[str, Any] = {"peer": "noisy", "settings": {}, "label": "noisy"}


def item(noise: str, image: str = "a", seed: int = 0) -> Item:
    clean = waves(64).astype(np.float32)
    return Item("BSD68", image, noise, seed, clean, frozen_noise(clean, noise, f"BSD68/{image}", seed), 255.0, False)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_noise_is_the_one_that_was_drawn(seed: int) -> None:
    one = item(MIXTURE, seed=seed)
    sigma, p = (next(iter(part.parameters.values())) for part in study.drawn(one).parts)  # type: ignore[attr-defined]
    lost = one.noisy == 0
    assert lost.mean() == pytest.approx(p, abs=0.02)
    assert (one.noisy - one.clean)[~lost].std() == pytest.approx(sigma, rel=0.06)


@pytest.mark.parametrize(
    ("noise", "expected"),
    [
        ("gaussian:sigma=12 + bernoulli:p=0.1", ["gaussian-weak", "bernoulli"]),
        ("gaussian:sigma=25 + speckle:sigma=70 + bernoulli:p=0.2", ["gaussian-medium", "speckle-strong", "bernoulli"]),
        ("uniform:s=10", ["uniform-weak"]),
        ("uniform:s=45", ["uniform-strong"]),
        ("poisson:photons=255", ["poisson"]),
        ("gaussian:sigma=0", []),
        ("rician:sigma=5", None),
        ("10% uniform:s=50 | 90% gaussian:sigma=5", None),
    ],
)
def test_the_true_classes_in_the_order_in_which_they_were_applied(noise: str, expected: list[str] | None) -> None:
    found = study.true_classes(item(noise))
    assert (None if found is None else [one.name for one in found]) == expected


@pytest.mark.parametrize("one", classes(), ids=lambda one: one.name)
def test_every_class_is_known_by_its_notation(one: Any) -> None:
    noise = str(one.noise or "gaussian:sigma=0")
    for seed in range(3):
        found = study.true_classes(item(noise, seed=seed))
        assert found == ([] if one.noise is None else [one])


def test_a_list_is_right_where_what_came_last_is_found_first() -> None:
    true = ["gaussian-strong", "bernoulli"]
    assert study.found_right(true, ["bernoulli", "gaussian-strong"]) == (True, True, True, True)
    assert study.found_right(true, ["bernoulli", "gaussian-weak"]) == (False, True, True, True)
    assert study.found_right(true, ["gaussian-strong", "bernoulli"]) == (False, False, True, False)
    assert study.found_right(true, ["bernoulli"]) == (False, False, False, True)
    assert study.found_right(true, ["bernoulli", "gaussian-strong", "gaussian-weak"])[1:3] == (False, True)
    assert study.found_right([], []) == (True, True, True, True)


def test_the_perfect_method_is_told_what_was_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str | None] = []

    class Fake:
        def __init__(self, classes: str | None = None) -> None:
            told.append(classes)

        def fit(self, images: list[Image]) -> Fake:
            return self

        def run(self, image: Image) -> Result:
            return Result(image, None, {"noises": [{"class": "bernoulli"}, {"class": "gaussian-weak"}]})

    others = registry.get
    monkeypatch.setattr(registry, "get", lambda kind, name: Fake if kind == "methods" else others(kind, name))
    method = {"name": "noisebreaker", "label": "noisebreaker-p", "settings": {"classes": "known"}}
    one = item(MIXTURE)
    made = study.row(one, method, {})
    assert made["found"] is None  # what was told is no finding
    assert study.row(one, method | {"settings": {}}, {})["found"] == ["bernoulli", "gaussian-weak"]
    assert [each.name for each in named(str(told[0]), classes())] == made["true"]
    assert [each.split("-")[0] for each in made["true"]] == ["gaussian", "bernoulli"]
    assert "error" in study.row(item("rician:sigma=5"), method, {})
    assert told[1:] == [None]


def test_the_end_to_end_network_is_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(denoisers, "remove", lambda values, name, level: values / 2)
    one = item(MIXTURE)
    made = study.row(one, {"peer": "end-to-end", "settings": {}, "label": "end-to-end"}, {})
    assert (made["picture"] == one.noisy / 2).all()
    assert made["found"] is None


def rows(method: str, scores: list[float], **more: Any) -> list[dict[str, Any]]:
    return [
        {"data": "BSD68", "noise": MIXTURE, "image": k, "seed": 0, "method": method, "psnr": score, "ssim": score / 40,
         "seconds": 1.0, "true": ["gaussian-weak", "bernoulli"], "found": None} | more
        for k, score in enumerate(scores)
    ]  # fmt: skip


def test_the_table_has_quantiles_and_the_differences_of_the_paper() -> None:
    both = ["bernoulli", "gaussian-medium"]
    every = rows("noisy", [14.0, 16.0, 18.0]) + rows("noisebreaker", [24.0, 26.0, 31.0], found=both)
    every += rows("noisebreaker-p", [26.0, 28.0, 30.0]) + rows("end-to-end", [30.0, 30.0, 30.0])
    every += [{**rows("n2v", [0.0])[0], "psnr": None, "ssim": None, "error": "no weights: /x/y"}]
    lines = study.table(every, {}).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    own = next(one for one in cells if one[2:3] == ["noisebreaker"])
    assert own[3:11] == ["3", "27.00", "24.40", "25.00", "26.00", "28.50", "30.00", "+11.00"]
    against = {one[0]: one[1:3] for one in cells if "against" in one[0]}
    assert against["noisebreaker against noisy"] == ["+11.0", "+11"]
    assert against["noisebreaker against end-to-end"] == ["-3.0", "-3"]
    assert against["noisebreaker-p against noisebreaker"] == ["+1.0", "+0.7"]
    spread = next(one for one in cells if "10 to 90 %" in one[0])
    assert spread[1] == "-43%"  # from 26.4..29.6 to 24.4..30
    found = next(one for one in cells if one[:2] == [MIXTURE, "noisebreaker"])
    assert found[2:] == ["3", "0%", "100%", "100%", "100%"]
    assert "/x/y" not in "\n".join(lines)
    assert "n2v" in lines[-1]


def test_a_clean_image_that_stays_has_a_finite_score_and_no_gain() -> None:
    one = item("gaussian:sigma=0")
    made = one.key | {"method": "noisy"} | study.row(one, NOISY, {})
    assert made["psnr"] == study.UNCHANGED_DB
    assert study.table([made], {}).splitlines()[2].split("|")[11].strip() == "–"


def test_a_mixture_in_space_does_not_break_the_table() -> None:
    noise = "10% uniform:s=50 | 90% gaussian:sigma=5"
    lines = study.table([one | {"noise": noise} for one in rows("noisy", [20.0])], {}).splitlines()
    assert {line.count("|") for line in lines} == {19}


def test_every_row_draws_the_boxes_of_all_that_is_known(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"data": "BSD68", "noi', "utf-8")
    study.row(item(MIXTURE), NOISY, {"here": {"out": tmp_path}})
    assert {path.name.rpartition("--")[2] for path in (tmp_path / "pictures").glob("*.png")} == {"psnr.png", "ssim.png"}


def test_boxes_lie_where_the_quantiles_are() -> None:
    page = np.asarray(boxes.draw({"low": list(range(0, 101)), "high": [100.0] * 3}, "x").convert("RGB"))
    blue = (page == [0x9E, 0xC5, 0xE8]).all(-1)
    columns = np.flatnonzero(blue[boxes.EDGE + boxes.LINE_HEIGHT // 2 + 8])
    left, right = (boxes.NAMES_WIDTH + boxes.PLOT_WIDTH * share for share in (0.25, 0.75))
    assert columns.min() == pytest.approx(left, abs=3)
    assert columns.max() == pytest.approx(right, abs=3)


def test_the_recipes_have_every_class_and_the_published_mixture() -> None:
    assert [one["notation"] for one in runner.load("noisebreaker")["noise"]] == [MIXTURE]
    notations = [one["notation"] for one in runner.load("noisebreaker-classes")["noise"]]
    assert {str(one.noise) for one in classes() if one.noise is not None} < set(notations)
