"""Photographs of cameras: what is simulated, by known answers; and how its pictures are known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import ndimage

import hush
from helpers import data
from hush.core import registry
from hush.core.image import Array, Image
from hush.datasets import _camera_finish as finishing
from hush.datasets import _camera_sensor as sensing
from hush.datasets import camera
from hush.datasets._camera_finish import Finish, Smoothing
from hush.datasets._camera_sensor import Sensor
from hush.methods._photograph import noise_of_camera
from hush.methods.pretrained import MOST_OFF, TOLD_MULTIPLE
from hush.nets._gauge import USUAL_LOG, USUAL_SPREAD_LOG, Gauge
from hush.pretrained import data as learning
from hush.pretrained import weights
from hush.pretrained.card import Card
from hush.training.patches import Batch

NONE = Smoothing("none", 1.0, 2, 1.0, 1.0)
PLAIN = Finish(NONE, NONE, 0.0, 1.0, 0.0, 8.0)


@pytest.fixture(scope="module")
def scene() -> Array:
    """A part of the astronaut, -0.5 to 0.5."""
    return np.moveaxis(data.astronaut()[:96, 100:196].astype(np.float32) / 255 - 0.5, -1, 0)


def sensor(mosaic: str, seed: int = 0) -> Sensor:
    """Any camera with this mosaic, whose filters let one colour pass."""
    drawn = Sensor.draw(np.random.default_rng(seed), 1000.0, mosaic == "binned")
    return replace(drawn, mosaic=mosaic, matrix=np.eye(3, dtype=np.float32), steady=1)


def test_without_photon_noise_there_is_none(scene: Array) -> None:
    for seed in range(20):
        noisy, target, level = camera.photograph(scene, np.random.default_rng(seed), np.inf)
        np.testing.assert_array_equal(noisy, target)
        assert (level == camera.ONE_LEVEL).all()


def test_noise_grows_with_the_gain_and_belongs_to_the_seed(scene: Array) -> None:
    levels = []
    for photons in (100.0, 1000.0, 10000.0):
        pairs = [camera.photograph(scene, np.random.default_rng(seed), photons) for seed in range(8)]
        again = camera.photograph(scene, np.random.default_rng(3), photons)
        np.testing.assert_array_equal(again[0], pairs[3][0])
        levels.append(np.mean([level.mean() for _, _, level in pairs]))
    assert levels[0] > 1.5 * levels[1] > 1.5**2 * levels[2] > 0


@pytest.mark.parametrize("shape", [(96, 96), (37, 50), (64, 33)])
def test_a_photograph_has_the_shape_of_its_scene_and_steps_of_eight_bits(scene: Array, shape: tuple[int, int]) -> None:
    part = scene[:, : shape[0], : shape[1]]
    for seed in range(12):
        for image in camera.photograph(part, np.random.default_rng(seed))[:2]:
            assert image.shape == part.shape
            assert image.dtype == np.float32
            np.testing.assert_allclose((image + 0.5) * 255, np.rint((image + 0.5) * 255), atol=1e-4)
            assert -0.5 <= image.min() <= image.max() <= 0.5


def test_the_mean_of_many_shots_comes_near_to_what_is_there_without_noise(scene: Array) -> None:
    for seed in (1, 2, 4):
        noisy, target, _ = camera.photograph(scene, np.random.default_rng(seed), 2000.0)
        _, mean, _ = camera.photograph(scene, np.random.default_rng(seed), 2000.0, shots=16)
        assert ((mean - target) ** 2).mean() < 0.5 * ((noisy - target) ** 2).mean()


@pytest.mark.parametrize("mosaic", ["binned", "linear", "corrected", "directed"])
def test_one_colour_comes_through_every_mosaic(mosaic: str) -> None:
    colour = np.array([0.7, 0.4, 0.2], np.float32).reshape(3, 1, 1)
    one = sensor(mosaic)
    made = one.developed(one.seen(one.light(np.tile(colour, (1, 12, 14)))))
    np.testing.assert_allclose(made, np.broadcast_to(colour, made.shape), atol=2e-3)


@pytest.mark.parametrize(("mosaic", "most"), [("linear", 0.5), ("corrected", 0.5), ("directed", 0.02)])
def test_grey_edges_are_kept_by_what_looks_along_them(mosaic: str, most: float) -> None:
    grey = np.full((3, 24, 24), 0.2, np.float32)
    grey[:, :, 12:] = 0.8
    one = sensor(mosaic)
    for image in (grey, grey.swapaxes(1, 2)):
        made = one.developed(one.seen(one.light(image)))
        inner = np.s_[:, 4:-4, 4:-4]
        assert np.abs(made - image)[inner].max() < most
    if mosaic == "linear":  # which makes colours of it
        assert np.ptp(made[inner], 0).max() > 0.1


def test_photons_have_the_variance_of_their_count() -> None:
    one = replace(sensor("binned"), read=3.0, rows=0.0, photons=400.0)
    light = np.full((3, 200, 200), 0.25, np.float32)
    counts = one.counted(light, np.random.default_rng(0)) * 400
    assert counts.mean() == pytest.approx(100, rel=0.01)
    assert counts.var() == pytest.approx(100 + 9, rel=0.03)
    rows = replace(one, rows=5.0).counted(light, np.random.default_rng(0)) * 400
    assert rows.mean(2).std() == pytest.approx(5, rel=0.2)


def test_a_finish_that_does_nothing_changes_nothing(scene: Array) -> None:
    full = scene + np.float32(0.5)
    np.testing.assert_allclose(PLAIN(full, np.ones(3)), full, atol=1e-6)
    for way in ("guided", "bands"):  # no noise is expected: nothing is taken for it
        gentle = replace(PLAIN, luma=replace(NONE, way=way, strength=0.0))
        np.testing.assert_allclose(gentle(full, np.zeros(3)), full, atol=1e-5)


@pytest.mark.parametrize("way", ["blur", "guided", "bands"])
def test_smoothing_takes_noise_and_not_brightness(way: str) -> None:
    rng = np.random.default_rng(0)
    plane = (0.5 + 0.05 * rng.standard_normal((80, 80))).astype(np.float32)
    smooth = Smoothing(way, 1.5, 2, 3.0, 1.0)(plane, 0.05)
    assert smooth.std() < plane.std() / 2
    assert smooth.mean() == pytest.approx(plane.mean(), abs=1e-3)


def test_a_strong_edge_is_kept_by_the_guided_filter() -> None:
    step = np.where(np.arange(40) < 20, 0.2, 0.8).astype(np.float32) * np.ones((40, 1), np.float32)
    guided = Smoothing("guided", 1.0, 2, 1.0, 1.0)(step, 0.01)
    blurred = Smoothing("blur", 1.5, 2, 1.0, 1.0)(step, 0.01)
    assert np.abs(guided - step).max() < 0.01 < np.abs(blurred - step).max()


def test_sharpening_raises_edges() -> None:
    step = np.broadcast_to(np.where(np.arange(40) < 20, 0.3, 0.6), (3, 40, 40)).astype(np.float32)
    sharp = replace(PLAIN, sharpen=0.8)(step, np.zeros(3))
    assert sharp.max() > 0.62
    assert sharp.min() < 0.28


def test_blocks_of_a_picture_that_was_cut_begin_before_it(scene: Array) -> None:
    pixels = np.rint(255 * np.moveaxis(scene + 0.5, 0, -1)).astype(np.uint8)
    whole = camera._compressed(pixels, 60, 0, 0, 0)
    part = camera._compressed(pixels[5:, 3:], 60, 0, 5, 3)
    inner = np.s_[8:-8, 8:-8]  # whose blocks hold the same pixels
    assert np.abs(whole[5:, 3:][inner].astype(int) - part[inner]).max() <= 1
    other = camera._compressed(pixels[5:, 3:], 60, 0, 0, 0)
    assert np.abs(whole[5:, 3:][inner].astype(int) - other[inner]).max() > 1


def test_resizing_keeps_the_middle_in_place() -> None:
    ramp = np.broadcast_to(np.arange(40, dtype=np.float32) / 40, (3, 30, 40))
    for times in (0.7, 1.0, 1.5):
        made = camera.scaled(ramp, times, (3, 20, 24))
        assert made.shape == (3, 20, 24)
        assert made.mean() == pytest.approx(ramp.mean(), abs=1e-4)
        assert np.diff(made[0, 0]) == pytest.approx(1 / 40 / times, abs=1e-5)


def test_ways_are_those_that_there_are() -> None:
    for ways in (finishing.LUMA_WAYS, finishing.CHROMA_WAYS):
        assert set(ways) <= {"none", "blur", "guided", "bands"}
    assert set(sensing.MOSAICS) == {"linear", "corrected", "directed"}


# what networks learn of it -------------------------------------------------------------------------


TAKEN: dict[str, Any] = {
    "channels": 3,
    "patch": 32,
    "seed": 4,
    "taken": 6,
    "shots": 1,
    "blind": True,
    "data": [{"share": 1.0}],
}


def test_photographs_are_taken_once_and_learned_from_in_pairs(scene: Array) -> None:
    sets = [[np.rint(255 * (scene[:, :size, :60] + 0.5)).astype(np.uint8) for size in (96, 40)]]
    pairs = learning.photographs(TAKEN, sets)
    again = learning.photographs(TAKEN, sets)
    other = learning.photographs(TAKEN, sets, cycle=1)
    assert [a.shape for pair in pairs for a in pair] == [(3, 64, 64)] * 12
    assert all(
        np.array_equal(a, b) for one, two in zip(pairs, again, strict=True) for a, b in zip(one, two, strict=True)
    )
    assert not np.array_equal(pairs[0][0], other[0][0])

    batch = learning.mixture(TAKEN, sets).batch(5, np.random.default_rng(0))
    seen = learning.given(batch, TAKEN, torch.Generator())
    assert seen.x.shape == seen.target.shape == (5, 3, 32, 32)
    torch.testing.assert_close(seen.level, (seen.x - seen.target).std((2, 3), keepdim=True).clip(1 / 255))


def test_of_a_recipe_without_noise_both_are_the_same(scene: Array) -> None:
    sets = [[np.rint(255 * (scene + 0.5)).astype(np.uint8)]]
    pairs = learning.photographs(TAKEN | {"quiet": 1.0, "dim": 1.0}, sets)
    assert all(np.array_equal(noisy, target) for noisy, target in pairs)
    assert np.mean([noisy.mean() for noisy, _ in pairs]) < sets[0][0].mean()


def test_one_level_of_all_colours_is_told_without_the_noise_of_the_mean(scene: Array) -> None:
    rng = torch.Generator().manual_seed(0)
    target = torch.zeros(400, 3, 32, 32)
    noise = torch.randn(target.shape, generator=rng) * torch.tensor([0.02, 0.04, 0.06]).reshape(3, 1, 1)
    own = float(np.sqrt(np.mean(np.square([0.02, 0.04, 0.06]))))
    for shots, off in ((0, 0.0), (3, 0.0), (3, 0.2)):
        recipe = TAKEN | {"finds_level": True, "shots": shots, "level_off": off}
        mean = torch.randn(target.shape, generator=rng) * noise.std((0, 2, 3), keepdim=True) * (shots and shots**-0.5)
        seen = learning.given(Batch(noise, None, target + mean), recipe, rng)
        told = seen.x[:, 3:]
        assert seen.found is not None
        assert float(seen.found.mean()) == pytest.approx(own, rel=0.03)
        assert float(told.log().mean().exp()) == pytest.approx(own, rel=0.03)
        assert float(told[:, 0, 0, 0].log().std()) == pytest.approx(off, abs=0.03)
        assert float(told.flatten(1).std(1).max()) == pytest.approx(0, abs=1e-6)


TRAINING = {"parameters": 1, "cycles": [], "gigapixels": 0.0, "hours": 0.0, "device": "", "seed": 0, "command": ""}


def test_a_gauge_learns_levels_and_how_sure_it_is() -> None:
    torch.manual_seed(0)
    gauge, rng = Gauge(3, 8), np.random.default_rng(0)
    optimizer = torch.optim.Adam(gauge.parameters(), 3e-3)

    def drawn(count: int, side: int) -> tuple[torch.Tensor, torch.Tensor]:
        level = np.exp(rng.uniform(np.log(0.005), np.log(0.1), count)).astype(np.float32)
        noise = rng.standard_normal((count, 3, side, side), np.float32) * level.reshape(-1, 1, 1, 1)
        slope = rng.uniform(-0.4, 0.4, (count, 3, 1, 1)) * np.linspace(-1, 1, side)
        return torch.from_numpy(noise + slope.astype(np.float32)), torch.from_numpy(level)

    for _ in range(150):
        optimizer.zero_grad()
        gauge.loss(*drawn(8, 24)).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    x, level = drawn(40, 40)  # of any size
    said, spread = gauge(x)
    off = (said - level.log()).detach()
    assert float(off.square().mean().sqrt()) < 0.3
    assert float((off.abs() < 3 * spread.exp()).float().mean()) > 0.8


def test_weights_that_find_a_level_have_a_gauge(tmp_path: Path) -> None:
    known = Card("some", "none", "resunet", {"maps": 8}, 3, blind=True, finds_level=True)
    assert known.inputs.names == ("values", "level")
    net = weights.build(known)
    weights.write(tmp_path / "some.safetensors", net, replace(known, training=TRAINING))
    again = weights.tensors(tmp_path / "some.safetensors")
    assert {key for key in again if key.startswith("gauge.")} == {f"gauge.{key}" for key in Gauge(3).state_dict()}


def test_the_page_beside_the_weights_says_what_they_hold() -> None:
    known = weights.card(weights.BLIND_WEIGHTS)
    page = (weights.HERE / f"{weights.BLIND_WEIGHTS}.md").read_text("utf-8")
    assert page == known.as_text(weights.BLIND_WEIGHTS)
    assert known.training["note"] in page


def test_the_level_that_a_gauge_finds_is_told_unless_one_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scene: Array
) -> None:
    known = Card("some", "none", "resunet", {"maps": 8}, 3, blind=True, finds_level=True, training=TRAINING)
    net = weights.build(known)
    last: Any = net.get_submodule("gauge.body.5")
    torch.nn.init.zeros_(last.weight)  # it says the same of everything
    last.bias.data = torch.tensor([np.log(0.04) - USUAL_LOG, 0.0, np.log(0.2) - USUAL_SPREAD_LOG], dtype=torch.float32)
    weights.write(tmp_path / "told.safetensors", net, known)
    monkeypatch.setenv("HUSH_WEIGHTS", str(tmp_path))
    weights.load.cache_clear()
    photo = Image(np.rint(255 * np.moveaxis(scene + 0.5, 0, -1)).astype(np.uint8), "YXS")
    model = registry.get("methods", "pretrained")(weights="told")
    result = model.fit(photo).run(photo)
    assert model.surely_ == pytest.approx(0.04 * 255 * np.exp(-0.2), rel=0.01)
    assert model.values_ == [pytest.approx(0.04 * 255 * TOLD_MULTIPLE, rel=0.01)]  # a little more than that is told
    assert (result.image.data.shape, result.image.data.dtype) == (photo.data.shape, np.uint8)
    given = registry.get("methods", "pretrained")(weights="told", scale=7.0).fit(photo)
    assert given.values_ == [7.0]

    holes = photo.data.astype(np.float32)
    holes[10:12, 10:12] = np.nan
    model.fit(Image(holes, "YXS"))
    assert model.surely_ == pytest.approx(0.04 * 255 * np.exp(-0.2), rel=0.01)


@pytest.mark.parametrize("white", [65535, 1.0, 1e-9, 4e8])
def test_colours_are_taken_from_black_to_white_whatever_their_numbers(white: float) -> None:
    rng = np.random.default_rng(0)
    clean = data.coffee()[40:168, 150:278].astype(float)
    drawn = ndimage.gaussian_filter(rng.normal(0, 1, clean.shape), (0.7, 0.7, 0))
    drawn = 0.3 * drawn + drawn.mean(2, keepdims=True)  # a camera smooths colours more than brightness
    photo = np.clip(np.rint(clean + 12 * drawn / drawn.std()), 0, 255).astype(np.uint8)
    other = (photo * (white / 255)).astype(np.uint16 if white == 65535 else np.float32)
    results = []
    for values in (photo, other):
        model = registry.get("methods", "auto")().fit(Image(values, "YXS"))
        results.append(model.run(Image(values, "YXS")))
    assert {one.info["reason_code"] for one in results} == {"camera-photograph"}
    eight, same = results[0].image.data, results[1].image.data.astype(np.float64) * (255 / white)
    if white in (65535, 1.0):  # which are known for white
        assert np.abs(same.clip(0, 255) - eight).max() < 0.6  # 8 bits are rounded
    for found in (eight, same):
        assert np.square(found - clean).mean() < np.square(photo - clean).mean() / 2


def test_where_the_analysis_finds_nothing_a_camera_is_thought_of_in_8_bits_only() -> None:
    photo = Image(data.coffee()[40:168, 150:278], "YXS")
    wide = Image((photo.data * 257.0).astype(np.uint16), "YXS")
    found = hush.analyze(wide)
    nothing, something = (replace(found, recommendation={"method": method}) for method in (None, "pretrained"))
    assert noise_of_camera(photo, nothing)
    assert not noise_of_camera(wide, nothing)
    assert noise_of_camera(wide, something)


@pytest.mark.filterwarnings("ignore::hush.core.errors.HushWarning")
def test_blurred_noise_of_each_colour_is_no_cameras() -> None:
    clean = data.coffee()[40:296, 150:406].astype(float)
    drawn = ndimage.gaussian_filter(np.random.default_rng(0).normal(0, 1, clean.shape), (0.8, 0.8, 0))
    values = np.clip(np.rint(clean + 20 * drawn / drawn.std()), 0, 255).astype(np.uint8)
    result = registry.get("methods", "auto")().fit(Image(values, "YXS")).run(Image(values, "YXS"))
    assert result.info["reason_code"] == "correlated"
    assert np.square(result.image.data - clean).mean() < np.square(values - clean).mean() / 4


def test_noise_too_strong_for_a_gauge_is_found_in_means_of_pixels() -> None:
    clean = data.coffee()[40:296, 150:406].astype(float) / 8
    drawn = ndimage.gaussian_filter(np.random.default_rng(0).normal(0, 1, clean.shape), (0.5, 0.5, 0))
    values = np.clip(np.rint(clean + 100 * drawn / drawn.std()), 0, 255)
    photo, noise = Image(values.astype(np.uint8), "YXS"), float((values - clean).std())
    model = registry.get("methods", "pretrained")(weights="snapshot-fast", joint_channels=True).fit(photo)
    assert model._gauged(np.moveaxis(values, -1, 0).astype(np.float32))[1] > MOST_OFF
    assert 0.4 * noise < model.surely_ < 1.1 * noise
    chosen = registry.get("methods", "auto")().fit(photo)
    after = chosen.denoise(photo).data
    assert np.square(after - clean).mean() < np.square(values - clean).mean() / 3


@pytest.mark.parametrize(("lags", "left"), [((0.0, 0.0, 0.0), 0.5), ((1.0, 1.0, 1.0), 1.0), ((-0.9, -0.9, 0.4), 0.5)])
def test_the_share_of_noise_that_means_have_follows_its_correlation(lags: tuple[float, ...], left: float) -> None:
    photo = Image(data.coffee()[:64, :64], "YXS")
    model = registry.get("methods", "pretrained")(weights="snapshot-fast").fit(photo)
    named = dict(zip(("0,1", "1,0", "1,1"), lags, strict=True))
    channels = tuple(replace(one, lags=named) for one in model.report_.channels)
    model.report_ = replace(model.report_, channels=channels)
    assert model._left_in_means() == pytest.approx(left)
