"""Auto: what it chooses, why, what it warns of, and what it leaves alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hush
from helpers import data, noisy
from hush import io
from hush.core import registry
from hush.core.findings import Finding
from hush.core.image import Image
from hush.datasets.camera import photograph
from hush.datasets.synthetic import epithelium
from hush.estimation.camera_pipeline import of_a_camera
from hush.estimation.report import NoiseReport
from hush.methods._budget import BUDGET, Clock
from hush.methods._ensemble import Blend, Candidate, Trial, choose, weigh
from hush.noise import parse
from hush.pretrained import weights
from hush.quality.diagnostics import diagnose
from hush.quality.estimate import Domain
from hush.quality.risk import Stein

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def two_cores(computer: Callable[..., None]) -> None:
    """Choose what a machine of two cores has time for, whichever this is; tests of choice say which they mean."""
    computer("float32")


@pytest.fixture
def camera() -> np.ndarray:
    return np.asarray(data.camera()[100:292, 180:372], np.float32)


@pytest.mark.parametrize("text", ["gaussian:sigma=20", "poisson:photons=30", "gaussian:sigma=15 + bernoulli:p=0.02"])
def test_the_default_says_why(camera: np.ndarray, text: str) -> None:
    image = noisy(camera, text)
    result = hush.Auto().fit(image).run(image)
    assert result.info["chosen"] == "pretrained"
    assert result.info["warnings"] == []
    assert result.info["reason"]
    assert hush.psnr(result.image.data, camera, 255) > hush.psnr(image, camera, 255) + 5


def test_a_clean_image_comes_back_untouched() -> None:
    clean = data.camera()
    std = np.ones(clean.shape, np.float32)
    result = hush.Auto().fit(clean).run(clean, std=std)
    assert result.info["chosen"] is None
    assert result.info["reason"]
    assert result.image.data.tobytes() == clean.tobytes()
    assert (std > 0).all()  # there may be a little noise


@pytest.mark.filterwarnings("ignore::hush.HushWarning")
def test_of_texture_no_more_is_removed_than_is_surely_noise() -> None:
    clean = data.gravel()[-320:, -320:]
    result = hush.Auto().fit(clean).run(clean)
    assert np.sqrt(np.mean((result.image.data.astype(float) - clean) ** 2)) < 2
    said = hush.Auto(noise="gaussian:sigma=10").fit(clean)
    assert said.chosen_ is not None
    assert said.run(clean).info["share"] == 1


def codes(result: hush.Result) -> set[str]:
    """The codes of a result's warnings."""
    return {found["code"] for found in result.info["warnings"]}


def weights_of(model: hush.Auto) -> str | None:
    """Name the weights of the network that was chosen."""
    return model.chosen_.weights_used if model.chosen_ is not None else None


def snapshot(photons: float) -> tuple[Image, Image]:
    """A photograph with and without its noise."""
    clean = np.moveaxis(data.astronaut()[:256, 100:356] / 255 - 0.5, -1, 0)
    pair = photograph(clean, np.random.default_rng(0), photons)[:2]
    noisy, target = (Image(np.rint((np.moveaxis(one, 0, -1) + 0.5) * 255).astype(np.uint8), "YXS") for one in pair)
    return noisy, target


def test_of_a_photograph_the_network_is_told_nothing() -> None:
    before, after = snapshot(200)
    assert of_a_camera(np.moveaxis(before.data, -1, 0))
    model = hush.Auto().fit(before)
    result = model.run(before)
    assert result.info["chosen"] == "pretrained"
    assert weights_of(model) == weights.BLIND_WEIGHTS
    gain = hush.psnr(result.image.data, after.data) - hush.psnr(before.data, after.data)
    assert gain > 3
    assert result.image.data.astype(float).mean() == pytest.approx(after.data.mean(), abs=1)
    clean = hush.Auto().fit(after).run(after)
    assert clean.info["chosen"] is None
    assert clean.image.data.tobytes() == after.data.tobytes()


def test_of_a_photograph_opacity_and_order_of_axes_come_back() -> None:
    before, _ = snapshot(200)
    plain = hush.Auto().fit(before).run(before).image.data
    opaque = Image(np.concatenate([before.data, np.full((256, 256, 1), 77, np.uint8)], 2), "YXS")
    result = hush.Auto().fit(opaque).run(opaque)
    assert result.info["chosen"] == "pretrained"
    assert (result.image.data[..., 3] == 77).all()
    np.testing.assert_array_equal(result.image.data[..., :3], plain)
    turned = Image(np.moveaxis(before.data, -1, 0)[None], "TSYX")
    np.testing.assert_array_equal(hush.Auto().fit(turned).run(turned).image.data[0], np.moveaxis(plain, -1, 0))


def test_noise_of_each_colour_by_itself_is_no_cameras() -> None:
    scene = data.astronaut()[:256, 100:356]
    image = Image(np.rint(noisy(scene, "gaussian:sigma=12")).clip(0, 255).astype(np.uint8), "YXS")
    assert not of_a_camera(np.moveaxis(image.data, -1, 0))
    model = hush.Auto().fit(image)
    result = model.run(image)
    assert weights_of(model) == "colour-fast"  # which is told the level
    assert hush.psnr(result.image.data, scene) > hush.psnr(image.data, scene) + 5


@pytest.mark.filterwarnings("ignore:the noise looks")
def test_without_its_weights_a_photograph_is_left_to_the_analysis(monkeypatch: pytest.MonkeyPatch) -> None:
    before, _ = snapshot(200)
    monkeypatch.setattr(weights, "BLIND_WEIGHTS", "not-here")
    model = hush.Auto().fit(before)
    model.run(before)
    assert weights_of(model) in (None, "camera-fast", "colour-fast", "gaussian-fast")


def test_how_much_is_removed_changes_nothing_in_what_is_chosen(camera: np.ndarray) -> None:
    faint, _ = snapshot(500)
    image = noisy(camera[:128, :128], "gaussian:sigma=12")
    cases: list[tuple[Any, dict[str, Any]]] = [(faint, {"strength_luma": 0.0}), (image, {"strength": 0.5})]
    for given, less in cases:
        whole = hush.Auto().fit(given).run(given)
        part = hush.Auto(**less).fit(given).run(given)
        assert whole.info["chosen"] == "pretrained"
        assert (part.info["chosen"], part.info["reason"]) == ("pretrained", whole.info["reason"])
        assert part.info.get("tried") == whole.info.get("tried")
        assert (part.image.data != whole.image.data).any()


def test_an_image_of_hardly_a_photon_a_pixel_is_not_taken_for_clean() -> None:
    clean = epithelium(160, seed=1).astype(np.float64)
    rate = 3 * (0.02 + clean / clean.max())
    counts = np.random.default_rng(0).poisson(rate).astype(np.uint8)
    assert counts.mean() < 0.6
    model = hush.Auto().fit(counts.astype(np.float32))
    result = model.run(counts.astype(np.float32))
    assert result.info["warnings"] == []
    assert "poisson" in result.info["noise"]["kind"]
    assert hush.psnr(result.image.data, rate, 3) > hush.psnr(counts, rate, 3) + 14
    assert result.image.data.mean() == pytest.approx(rate.mean(), rel=0.03)
    with pytest.warns(hush.HushWarning, match="--float"):
        assert model.run(counts).image.data.dtype == np.uint8


def spoiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the network remove nothing."""
    monkeypatch.setattr(registry.get("methods", "pretrained"), "_apply", lambda self, x: x[:, :1])


@pytest.mark.filterwarnings("ignore:the noise looks")
def test_a_bad_default_is_replaced_by_what_is_surely_better(
    camera: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoiled(monkeypatch)
    image = noisy(camera, "gaussian:sigma=20")
    result = hush.Auto().fit(image).run(image)
    assert result.info["chosen"] == "bm3d"
    risks = {trial["method"]: trial for trial in result.info["trials"]}
    margin = 2 * np.hypot(risks["bm3d"]["error"], risks["pretrained"]["error"])
    assert risks["bm3d"]["risk"] + margin < risks["pretrained"]["risk"]
    assert risks["pretrained"]["risk"] == pytest.approx(1, abs=0.005)  # nothing was removed: the noise's own variance
    assert all(name in text for text in (result.info["reason"], result.info["tried"]) for name in risks)
    assert hush.psnr(result.image.data, camera, 255) > hush.psnr(image, camera, 255) + 6


@pytest.mark.filterwarnings("ignore::hush.core.errors.HushWarning")
@pytest.mark.parametrize("precision", ["bfloat16", "float32"])
def test_with_little_time_a_slow_method_is_not_tried_on_a_large_image(
    precision: str, camera: np.ndarray, computer: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    computer(precision)
    spoiled(monkeypatch)
    image = noisy(camera, "gaussian:sigma=20")
    monkeypatch.setitem(BUDGET, "fast", 0.5)  # as of a larger image
    model = hush.Auto().fit(image)
    assert model.trials_ == []
    balanced = hush.Auto(effort="balanced", steps=2).fit(image)
    assert {"pretrained", "bm3d", "n2v", "noise2vst"} <= {trial.method for trial in balanced.trials_}
    result = model.run(image)
    assert {"power-low", "power-high"} & codes(result)


@pytest.mark.parametrize("damage", ["missing", "cut"])
def test_without_weights_bm3d_serves_and_one_warning_says_so(
    camera: np.ndarray, damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "HERE", tmp_path)
    monkeypatch.setenv("HUSH_WEIGHTS", str(tmp_path))
    weights.load.cache_clear()
    if damage == "cut":
        (tmp_path / "gaussian-fast.safetensors").write_bytes(b"x" * 100)
    image = noisy(camera, "gaussian:sigma=20")
    with pytest.warns(hush.HushWarning, match="gaussian-fast") as said:
        result = hush.Auto().fit(image).run(image)
    weights.load.cache_clear()
    assert result.info["chosen"] == "bm3d"
    assert len(said) == len(result.info["warnings"]) == 1
    assert result.info["reason_code"] == "weights-missing"
    assert hush.psnr(result.image.data, camera, 255) > hush.psnr(image, camera, 255) + 6


def test_more_time_tries_others_and_keeps_what_is_not_surely_worse(
    camera: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = noisy(camera[:128, :128], "gaussian:sigma=20")
    model = hush.Auto(effort="balanced", steps=2).fit(image)
    assert model.chosen_ is not None
    assert model.usual_ is not None
    risks = {trial.name: trial.risk for trial in model.trials_}
    assert {name for name in risks if "+" not in name} == {"pretrained", "camera-best", "bm3d", "n2v"}
    taken = risks[model.chosen_.method]
    assert taken.value <= risks[model.usual_.method].value
    assert not any(risk.below(taken) for name, risk in risks.items() if name != "n2v")  # which knows the noise
    assert model.usual_.settings["tta"]
    monkeypatch.setitem(BUDGET, "balanced", 12.0)  # as for a larger image: there is no time to train
    assert "n2v" not in {trial.method for trial in hush.Auto(effort="balanced").fit(image).trials_}


def cells(side: int) -> tuple[np.ndarray, np.ndarray]:
    """Cells of up to a hundred photons a pixel, and their noisy image."""
    clean = epithelium(side)
    clean = clean / clean.max() * 200 + 5
    return clean, noisy(clean, "poisson:photons=128 + gaussian:sigma=4")


def test_with_time_other_weights_join_where_they_know_what_is_in_the_image(monkeypatch: pytest.MonkeyPatch) -> None:
    clean, image = cells(256)
    monkeypatch.setitem(BUDGET, "balanced", 12.0)  # no time to train
    model = hush.Auto(effort="balanced").fit(image)
    result = model.run(image)
    assert model.usual_ is not None
    assert {"pretrained", "camera-best"} <= set(result.info["chosen"].split(" + "))
    assert "camera-best" in result.info["reason"]
    assert "camera-best" in {trial["settings"].get("weights") for trial in result.info["trials"]}
    assert hush.psnr(result.image.data, clean, 255) > hush.psnr(model.usual_.run(image).image.data, clean, 255) + 0.1


def test_other_weights_that_are_damaged_are_left_out_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clean, image = cells(128)
    (tmp_path / "camera-best.safetensors").write_bytes(b"x" * 100)
    monkeypatch.setenv("HUSH_WEIGHTS", str(tmp_path))
    model = hush.Auto(effort="balanced", steps=2).fit(image)
    with pytest.warns(hush.HushWarning, match="camera-best"):
        result = model.run(image)
    assert "camera-best" not in result.info["chosen"]
    assert hush.psnr(result.image.data, clean, 255) > hush.psnr(image, clean, 255) + 6


def test_noise_that_neighbours_share_a_little_is_told_though_it_passes_for_white() -> None:
    clean = epithelium(256)
    rng = np.random.default_rng(0)
    noise = rng.poisson(clean / 20) * 20.0 - clean
    image = (clean + 0.92 * noise + 0.08 * np.roll(noise, 1, 1)).astype(np.float32)
    model = registry.get("methods", "pretrained")(tta=True).fit(image)
    (found,) = model.report_.channels
    assert found.white
    assert found.lags["0,1"] == pytest.approx(0.087, abs=0.04)
    told = hush.psnr(model.run(image).image.data, clean, 255)
    found.lags.clear()
    untold = hush.psnr(model.run(image).image.data, clean, 255)
    assert told > untold + 0.1


# Means of methods ------------------------------------------------------------------------------


def made(name: str, error: np.ndarray, model: Any = None) -> Candidate:
    """A method whose errors are known: Stein's estimate without its chance."""
    zero = np.zeros(error.shape)
    part = Stein(error, zero, zero)
    return Candidate(Trial(name, {}, part.risk), model or registry.get("methods", name)(), part)


def test_methods_that_err_in_different_ways_are_averaged() -> None:
    errors = np.random.default_rng(0).normal(0, 1, (3, 1, 512, 512))
    best, reason, _ = choose([made("nlm", errors[0]), made("bm3d", errors[1]), made("tv", 1.5 * errors[2])])
    shares = best.trial.settings["shares"]
    assert list(shares) == ["nlm", "bm3d", "tv"]
    # halfway between nearly all for the first and what is best: in proportion to one over the squared error
    ideal = np.array([1, 1, 1 / 1.5**2]) / (2 + 1 / 1.5**2)
    np.testing.assert_allclose(list(shares.values()), (ideal + np.array([0.8, 0.1, 0.1])) / 2, atol=0.01)
    assert best.trial.risk.value < 0.5
    assert reason is not None and reason.code == "mean-of-methods"


def test_a_method_that_failed_has_no_share_and_spoils_no_mean() -> None:
    errors = np.random.default_rng(0).normal(0, 1, (3, 1, 512, 512))
    best, _, _ = choose([made("nlm", errors[0]), made("bm3d", errors[1]), made("n2v", 6 * errors[2])])
    assert best.trial.method == "nlm + bm3d"


def test_of_a_small_window_little_is_believed() -> None:
    errors = np.random.default_rng(0).normal(0, 1, (2, 1, 64, 64))
    assert weigh([Stein(error, np.zeros(error.shape), np.zeros(error.shape)) for error in errors])[0] > 0.88


def test_what_learned_from_the_image_joins_but_does_not_take_over() -> None:
    errors = np.random.default_rng(0).normal(0, 1, (2, 1, 512, 512)) * np.array([1, 0.6]).reshape(2, 1, 1, 1)
    assert choose([made("nlm", errors[0]), made("bm3d", errors[1])])[0].trial.method == "bm3d + nlm"
    best, _, decisions = choose([made("nlm", errors[0]), made("n2v", errors[1])])
    assert [one.passed for one in decisions if one.name == "risk-n2v"] == [False]
    shares = best.trial.settings["shares"]
    assert list(shares) == ["nlm", "n2v"]
    assert shares["n2v"] == pytest.approx(0.1)  # by its estimate alone it would have three quarters


def test_what_is_no_better_changes_nothing() -> None:
    errors = np.random.default_rng(0).normal(0, 1, (2, 1, 512, 512))
    usual = made("nlm", errors[0])
    assert choose([usual, made("bm3d", errors[0] + errors[1])])[:2] == (usual, None)  # the same error, and more
    assert choose([usual]) == (usual, None, [])


def test_a_mean_is_that_of_its_methods_in_the_images_own_type(camera: np.ndarray) -> None:
    stack = np.stack([noisy(camera[:64, :80], "gaussian:sigma=20", seed) for seed in range(3)]).clip(0, 255)
    image = Image(np.rint(stack).astype(np.uint8), "TYX")
    models = [registry.get("methods", name)(noise="gaussian:sigma=20").fit(image) for name in ("gaussian", "median")]
    mean = Blend(models=models, shares=[0.75, 0.25])
    seen: list[tuple[int, int]] = []
    result = mean.run(image, done=lambda *counts: seen.append(counts))
    assert mean.method == "gaussian + median"
    assert result.image.data.dtype == np.uint8
    floats = Image(image.data.astype(np.float32), "TYX")
    one, other = (model.run(floats).image.data for model in models)
    np.testing.assert_array_equal(result.image.data, np.rint(0.75 * one + 0.25 * other))
    assert seen[-1] == (6, 6)
    mean.strength = 0.0
    np.testing.assert_array_equal(mean.run(image).image.data, image.data)


def cloth(side: int, waves: float = 0.17) -> np.ndarray:
    """Threads that repeat over long ways: what a network that looks at its surroundings knows least."""
    y, x = np.mgrid[:side, :side].astype(np.float32)
    threads = 30 * np.sin(2 * np.pi * (x * waves + y * 0.165)) * (1 + 0.5 * np.sin(y / 40))
    return np.asarray(128 + threads + 30 * np.sin(x / 50 + y / 70), np.float32)


def test_where_a_pattern_was_removed_bm3d_is_tried_or_a_warning_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    image = noisy(cloth(256), "gaussian:sigma=25", 3)
    result = hush.Auto().fit(image).run(image)
    assert result.info["chosen"] == "bm3d"
    assert result.info["warnings"] == []
    assert hush.psnr(result.image.data, cloth(256), 255) > hush.psnr(image, cloth(256), 255) + 5
    monkeypatch.setitem(BUDGET, "fast", 0.5)  # as of a larger image, for which there is no time
    with pytest.warns(hush.HushWarning):
        result = hush.Auto().fit(image).run(image)
    assert result.info["chosen"] == "pretrained"
    assert codes(result) == {"residual-periodic"}


def test_more_time_weighs_the_network_and_bm3d(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = np.array(data.camera()[100:356, 180:436], np.float32)
    scene[156:, 156:] = cloth(256)[156:, 156:]
    image = noisy(scene, "gaussian:sigma=20", 3)
    monkeypatch.setitem(BUDGET, "balanced", 12.0)  # no time to train
    model = hush.Auto(effort="balanced").fit(image)
    result = model.run(image)
    assert {"pretrained", "bm3d"} <= set(result.info["chosen"].split(" + "))
    (shares,) = (t["settings"]["shares"] for t in result.info["trials"] if "shares" in t["settings"])
    assert sum(shares.values()) == pytest.approx(1, abs=0.01)
    assert isinstance(model.chosen_, Blend)
    singles = [single.run(image) for single in model.chosen_.models]
    best = max(hush.psnr(single.image.data, scene, 255) for single in singles)
    assert hush.psnr(result.image.data, scene, 255) > best
    std = np.zeros((64, 64), np.float32)
    assert model.run(image[:64, :64], std=std).info["chosen"] == "pretrained"  # which alone knows a deviation


def test_uncertainty_comes_from_the_network_whatever_was_chosen(
    camera: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = noisy(camera, "gaussian:sigma=20")
    model = hush.Auto().fit(image)
    model.chosen_ = registry.get("methods", "bm3d")().fit(image)
    std = np.zeros(image.shape, np.float32)
    result = model.run(image, std=std)
    assert result.info["chosen"] == "pretrained"
    assert "bm3d" in result.info["reason"]
    inside = np.abs(result.image.data - camera) < std
    assert 0.55 < inside.mean() < 0.85


def test_uncertainty_is_there_where_what_was_chosen_knows_it(camera: np.ndarray) -> None:
    image = noisy(camera[:96, :96], "gaussian:sigma=20")
    model = hush.Auto().fit(image)
    model.usual_ = registry.get("methods", "bm3d")().fit(image)
    assert model.uncertain
    model.chosen_ = model.usual_
    assert not model.uncertain


def test_shares_are_of_one_whole() -> None:
    errors = np.random.default_rng(0).normal(0, 1, (3, 1, 1024, 1024))
    zero = np.zeros(errors.shape[1:])
    image = Image(np.dstack([np.full((16, 16, 3), 60000, np.uint16), np.full((16, 16, 1), 65535, np.uint16)]), "YXS")
    same = registry.get("methods", "gaussian")(sigma=1e-6).fit(image)
    tried = [Candidate(Trial(name, {}, (part := Stein(error, zero, zero)).risk), same, part)
             for name, error in zip("abc", errors, strict=True)]  # fmt: skip
    mean, _, _ = choose(tried)
    assert isinstance(mean.model, Blend)
    assert len(mean.model.shares) == 3
    assert sum(mean.model.shares) == pytest.approx(1, abs=1e-9)
    np.testing.assert_array_equal(mean.model.run(image).image.data, image.data)


def test_where_only_some_channels_share_noise_none_is_judged_by_its_neighbours() -> None:
    reports = [hush.analyze(noisy(np.full((128, 128), 90.0), text)).channels[0]
               for text in ("gaussian:sigma=9", "correlated:sigma=9,length=0.8")]  # fmt: skip
    image = Image(np.random.default_rng(0).normal(90, 9, (2, 64, 64)).astype(np.float32), "CYX")
    assert reports[0].mask is None
    assert Domain(image, NoiseReport(tuple(reports), 255, "", {})).mask == reports[1].mask is not None


def test_a_channel_of_one_value_says_nothing_against_the_others(camera: np.ndarray) -> None:
    stack = np.stack([noisy(camera, "gaussian:sigma=12"), np.full_like(camera, 5)])
    with pytest.warns(hush.HushWarning) as said:
        result = hush.Auto().fit(Image(stack, "CYX")).run(Image(stack, "CYX"))
    messages: list[Any] = [one.message for one in said]
    assert {(one.code, one.figure) for one in messages} == {("constant", 1)}
    assert (result.image.data[1] == 5).all()
    assert hush.psnr(result.image.data[0], camera, 255) > 30


@pytest.mark.filterwarnings("ignore::hush.core.errors.HushWarning")
@pytest.mark.parametrize(("text", "less"), [("salt_pepper:p=0.05", 20), ("bernoulli:p=0.05", 2)])
def test_impulses_that_are_said_are_no_gaussian_noise(text: str, less: float) -> None:
    clean = epithelium(144, seed=1).astype(np.float32)
    image = np.rint(noisy(clean, text)).clip(0, 255).astype(np.uint8)
    told, found = (hush.Auto(noise=said).fit(image).run(image).image.data for said in (text, None))
    assert hush.rmse(told, clean) == pytest.approx(hush.rmse(found, clean), rel=0.15)
    assert hush.rmse(told, clean) < hush.rmse(image, clean) / less


@pytest.mark.filterwarnings("ignore::hush.core.errors.HushWarning")
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (2, 1, 1)])
def test_a_pixel_or_a_few_come_back(shape: tuple[int, ...]) -> None:
    image = np.full(shape, 7, np.uint8)
    image.flat[-1] = 9
    result = hush.Auto(noise="gaussian:sigma=9").fit(image).run(image)
    assert result.image.data.shape == shape
    assert 6 <= result.image.data.min() <= result.image.data.max() <= 9


# What no noise can have reached ------------------------------------------------------------------


def test_a_masked_background_and_saturated_areas_stay(camera: np.ndarray) -> None:
    y, x = np.mgrid[:192, :192]
    scene = noisy(camera * 0.6 + 40, "gaussian:sigma=12").clip(0, 255)
    scene[(y - 96) ** 2 + (x - 96) ** 2 > 85**2] = 0
    scene[40:60, 70:95] = 255
    image = np.rint(scene).astype(np.uint8)
    (own,) = registry.get("methods", "pretrained")().fit(image).self_consistent  # of the pixels that have noise
    assert own is not None
    assert own.factor == pytest.approx(1, abs=0.05)
    std = np.zeros(image.shape, np.float32)
    result = hush.Auto().fit(image).run(image, std=std)
    outside = (y - 96) ** 2 + (x - 96) ** 2 > 92**2
    for area, value in ((outside, 0), (np.s_[40:60, 70:95], 255)):
        assert (result.image.data[area] == value).all()
        assert not std[area].any()
    assert result.info["kept"] == pytest.approx(((scene == 0).sum() + 500) / scene.size, abs=0.02)
    inside = (y - 96) ** 2 + (x - 96) ** 2 < 80**2
    assert (result.image.data[inside] != image[inside]).mean() > 0.8
    assert (std[inside] > 0).mean() > 0.9


def test_where_photons_are_few_no_mask_is_seen() -> None:
    from hush.estimation.saturation import flat

    assert flat(np.random.default_rng(0).poisson(0.1, (256, 256))) is None
    everywhere = flat(np.zeros((20, 20)))
    assert everywhere is not None
    assert everywhere.all()
    assert flat(np.full((20, 20), np.nan)) is None


def test_single_saturated_pixels_are_noise(camera: np.ndarray) -> None:
    image = noisy(camera + 60, "gaussian:sigma=25").clip(0, 255)
    result = hush.Auto().fit(image).run(image)
    top = (image == 255) & (camera < 150)
    assert top.sum() > 20
    assert result.image.data[top].mean() < 240


# Doubts ----------------------------------------------------------------------------------------


@pytest.fixture
def report(camera: np.ndarray) -> Any:
    return hush.analyze(noisy(camera, "gaussian:sigma=20"), noise=parse("gaussian:sigma=20"))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda clean, image: clean + 4, "brightness-changed"),
        (lambda clean, image: 100 + 0.9 * (clean - 100), "contrast-changed"),
        (lambda clean, image: np.roll(clean, 3, 0), "residual-structure"),
        (lambda clean, image: np.full_like(clean, clean.mean()), "residual-correlated"),
        (lambda clean, image: 0.6 * image + 0.4 * clean, "power-low"),
        (lambda clean, image: clean - 15 * np.sign(image - clean), "power-high"),
    ],
)
def test_what_was_removed_is_looked_at(camera: np.ndarray, report: Any, spoil: Any, said: str) -> None:
    image = noisy(camera, "gaussian:sigma=20")
    assert diagnose(Image(image, "YX"), Image(camera, "YX"), report) == []
    found = diagnose(Image(image, "YX"), Image(spoil(camera, image).astype(np.float32), "YX"), report)
    figures = {one.code: one.figure for one in found}
    assert said in figures
    assert said != "brightness-changed" or figures[said] == pytest.approx(0.2, abs=0.01)


def test_few_photons_alone_are_no_reason_for_doubt(camera: np.ndarray) -> None:
    scene = 6.0 * (camera / 255) ** 3  # photons: most pixels have none
    image = noisy(scene, "poisson:photons=255") * 4
    report = hush.analyze(image, noise=parse("poisson_gaussian:gain=4"))
    assert diagnose(Image(image, "YX"), Image((4 * scene).astype(np.float32), "YX"), report) == []


def test_a_wrong_level_is_said_and_put_right(camera: np.ndarray) -> None:
    image = noisy(np.tile(camera, (2, 2)), "gaussian:sigma=30")
    with pytest.warns(hush.HushWarning):
        result = hush.Auto(noise="gaussian:sigma=14").fit(image).run(image)
    (found,) = result.info["warnings"]
    assert (found["code"], found["figure"]) == ("level-changed", pytest.approx(30 / 14, rel=0.1))
    assert hush.psnr(result.image.data, np.tile(camera, (2, 2)), 255) > 26


# The command -----------------------------------------------------------------------------------


def test_the_command_says_what_was_tried(camera: np.ndarray, tmp_path: Path, run: Run) -> None:
    io.write(tmp_path / "a.tif", Image(noisy(camera[:96, :96], "gaussian:sigma=20"), "YX"))
    said = ("--effort", "balanced", "--steps", "2", "--report", tmp_path / "a.html", "--json")
    code, out, _ = run("denoise", tmp_path / "a.tif", "-o", tmp_path / "b.tif", *said)
    assert code == 0
    record = json.loads(out.splitlines()[-1])
    assert {"pretrained", "bm3d"} <= {trial["method"] for trial in record["trials"]}
    page = (tmp_path / "a.html").read_text("utf-8")
    assert all(trial["method"] in page for trial in record["trials"])
    code, _, err = run("denoise", tmp_path / "a.tif", "-o", tmp_path / "c.tif", "--effort", "fast", "--method", "n2v")
    assert (code, "--effort" in err) == (2, True)


def test_of_a_photograph_there_is_no_deviation_unless_its_noise_is_said(tmp_path: Path, run: Run) -> None:
    whole = snapshot(200)[0]
    io.write(tmp_path / "a.png", Image(whole.data[:128, 64:192], "YXS"))
    said = ("denoise", tmp_path / "a.png", "-o", tmp_path / "b.png", "--uncertainty", tmp_path / "u.tif")
    code, _, err = run(*said)
    assert (code, "--noise gaussian" in err) == (2, True)
    assert not (tmp_path / "b.png").exists()
    assert run(*said, "--noise", "gaussian:sigma=8")[0] == 0
    assert 0.5 < float(np.median(io.read(tmp_path / "u.tif").data)) < 8


def test_with_more_time_weights_learn_an_image_of_camera_noise_further(
    camera: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    dim = noisy(camera[:176, :176], "poisson_gaussian:gain=40,sigma=4")
    model = hush.Auto(effort="balanced", steps=3).fit(dim)
    assert isinstance(model.chosen_, Blend)
    learned, other = model.chosen_.models
    assert (learned.method, other.method, model.chosen_.shares) == ("finetuned", "bm3d", [0.85, 0.15])
    assert learned.settings["tta"]
    assert model.trials_ == []  # the time is spent
    part = dim[40:120, 40:120]
    result = model.run(part)
    assert result.info["chosen"] == "finetuned + bm3d"
    mean = 0.85 * learned.run(part).image.data + 0.15 * other.run(part).image.data
    np.testing.assert_allclose(result.image.data, mean, atol=1e-3)
    fast = hush.Auto(steps=3).fit(dim).usual_
    monkeypatch.setitem(BUDGET, "balanced", 0.1)  # nothing else is tried
    few = hush.Auto(effort="balanced", steps=3).fit(dim[:160, :160]).usual_  # pixels
    assert fast is not None and few is not None
    assert fast.method == few.method == "pretrained"


@pytest.mark.parametrize("precision", ["bfloat16", "float32"])
@pytest.mark.parametrize(("left", "method"), [(0.9, "finetuned"), (1.1, "finetuned + bm3d")])
def test_a_large_image_leaves_no_time_for_a_mean(
    left: float, method: str, precision: str, camera: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = Image(noisy(camera[:64, :64], "poisson_gaussian:gain=40,sigma=4"), "YX")
    model = hush.Auto(effort="balanced", noise="poisson_gaussian:gain=40,sigma=4")
    model.clock_, model.reason_, model.decisions_ = Clock("balanced", "cpu", precision, cores=2), Finding("", ""), []
    model.report_ = model.look(image)
    usual = registry.get("methods", "finetuned")(steps=3)
    alone, other = (model.clock_.seconds(name, {"steps": 3}, image) for name in ("finetuned", "bm3d"))
    monkeypatch.setitem(BUDGET, "balanced", alone + left * other)  # as of a larger image
    assert model._beside(usual, [image]).method == method


def test_the_deviation_is_that_of_what_learned(camera: np.ndarray) -> None:
    dim = noisy(camera[:176, :176], "poisson_gaussian:gain=40,sigma=4")
    model = hush.Auto(effort="balanced", steps=3).fit(dim)
    result = model.run(dim[:64, :64], std=np.zeros((64, 64), np.float32))
    assert result.info["chosen"] == "finetuned"
    assert result.std is not None
    assert float(np.median(result.std.data)) > 1
