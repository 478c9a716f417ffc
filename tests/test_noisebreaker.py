"""NoiseBreaker: the loop with stand-ins for what is trained, then with the shipped weights; a noise more."""

from __future__ import annotations

import json
import re
import runpy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import hush
from helpers import data, noisy
from hush.core.errors import HushError, HushWarning
from hush.core.image import Image
from hush.methods import _noisebreaker_train as training
from hush.methods._agreed_level import agreed
from hush.methods._gradual import Loop
from hush.methods._grey_levels import GreyLevels
from hush.methods._new_noise import NewNoise
from hush.methods.noisebreaker import NoiseBreaker
from hush.noise import parse
from hush.pretrained import weights
from hush.pretrained.noisebreaker import classifier_train, denoisers
from hush.pretrained.noisebreaker.classes import classes
from hush.pretrained.noisebreaker.classifier import Verdict

NAMES = [one.name for one in classes()]
MIXTURE = "gaussian:sigma=30 + bernoulli:p=0.1"


@pytest.fixture(scope="module")
def scene() -> np.ndarray:
    return np.asarray(data.camera()[100:260, 150:347], np.float32)


def verdict(name: str, level: float = 0.0) -> Verdict:
    sure = np.array([1.0 * (one == name) for one in NAMES])
    return Verdict(sure, np.full(len(NAMES), level))


def loop(told: Sequence[tuple[str, float]], share: float = 0.5) -> tuple[Loop, list[tuple[str, float]]]:
    """A loop whose classifier says these, and whose denoisers multiply by a share; and what they were asked."""
    said, asked = iter(told), []

    def remove(values: Any, noise: Any, level: float) -> Any:
        asked.append((noise.name, level))
        return share * values

    return Loop(classes(), lambda planes: verdict(*next(said)), remove), asked


def test_the_loop_goes_on_until_the_picture_is_clean() -> None:
    made, asked = loop([("bernoulli", 0.1), ("gaussian-strong", 40.0), ("clean", 0.0)])
    trail = made.blind([np.full((1, 50, 50), 8.0)], 4)
    assert asked == [("bernoulli", 0.1), ("gaussian-strong", 40.0)]
    assert trail.ended == "clean"
    assert [float(stage.mean()) for stage in trail.stages] == [8.0, 4.0, 2.0]
    assert trail.shares == pytest.approx([16 / 20, 4 / 20])


@pytest.mark.parametrize(
    ("told", "share", "steps", "ended"),
    [
        ([("gaussian-weak", 9.0), ("uniform-weak", 9.0), ("poisson", 255.0)], 0.5, 2, "most"),
        ([("gaussian-strong", 40.0), ("gaussian-weak", 9.0), ("gaussian-weak", 9.0)], 0.5, 2, "most"),
        ([("gaussian-weak", 9.0), ("gaussian-weak", 9.0)], 0.5, 1, "again"),
        ([("gaussian-weak", 9.0)], 0.999, 0, "hardly changed"),
    ],
)
def test_the_loop_ends(told: list[tuple[str, float]], share: float, steps: int, ended: str) -> None:
    trail = loop(told, share)[0].blind([np.full((1, 50, 50), 80.0)], 2)
    assert (len(trail.steps), trail.ended) == (steps, ended)


def test_told_classes_go_in_reverse_at_levels_within_their_range() -> None:
    made, asked = loop([("clean", 0.15), ("clean", 99.0)])
    table = {one.name: one for one in classes()}
    made.told([np.full((1, 50, 50), 8.0)], [table["gaussian-medium"], table["bernoulli"]])
    assert asked == [("bernoulli", 0.15), ("gaussian-medium", 35.0)]


@pytest.mark.parametrize(("certain", "lowest", "first"), [(0.03, -5.0, True), (0.03, 0.0, False), (0.2, 0.0, True)])
def test_lost_pixels_that_are_likely_at_all_go_first(certain: float, lowest: float, first: bool) -> None:
    """Where nothing lies below zero a dark pixel may be 0 without being lost."""
    made, asked = loop([])
    both = verdict("gaussian-strong", 40.0).probabilities * (1 - certain) + verdict("bernoulli").probabilities * certain
    window = np.full((1, 50, 50), 80.0)
    window[0, 0, 0] = lowest
    Loop(made.table, lambda planes: Verdict(both, np.full(len(NAMES), 0.1)), made.remove).blind([window], 1)
    assert asked[0][0] == ("bernoulli" if first else "gaussian-strong")


@pytest.mark.parametrize("found", [14.0, 20.0, 26.0])
def test_a_denoiser_corrects_the_level_that_was_found(scene: np.ndarray, found: float) -> None:
    image = noisy(scene, "gaussian:sigma=20")
    lost = np.random.default_rng(1).random(image.shape) < 0.15
    image[lost] = scene[lost]  # filled in: they have no noise
    medium = classes()[1]

    def remove(values: Any, noise: Any, level: float) -> Any:
        return denoisers.remove(values, "gaussian", level)

    level = agreed(classes(), remove, image[None], ~lost[None], medium, found)
    assert level == pytest.approx(20, rel=0.1)
    assert (
        agreed(classes(), remove, image[None], ~lost[None], classes()[8], 0.1) == 0.1
    )  # lost pixels have no such level


def test_without_soft_a_level_is_the_middle_of_its_class() -> None:
    made, asked = loop([("gaussian-strong", 36.0), ("clean", 0.0)])
    Loop(made.table, made.look, made.remove, soft=False).blind([np.full((1, 50, 50), 8.0)], 4)
    assert asked == [("gaussian-strong", 45.0)]


@pytest.mark.parametrize(
    ("low", "high", "dtype", "black", "white"),
    [
        (0, 60, "u1", 0, 255),
        (0, 200, "f4", 0, 255),
        (0.0, 0.9, "f8", 0, 1),
        (0, 40000, "u2", 0, 65535),
        (100, 4000, "u2", 0, 4000),
        (-1.0, 3.0, "f4", -1, 3),
        (1e6, 1e6 + 50, "f8", 1e6, 1e6 + 50),
    ],
)
def test_grey_levels_are_found_and_lead_back(low: float, high: float, dtype: str, black: float, white: float) -> None:
    values = np.repeat(np.linspace(low, high, 8), 16)[None, None].repeat(64, 1).astype(dtype)
    levels = GreyLevels.of([values])
    assert (levels.black, levels.white) == pytest.approx((black, white))
    np.testing.assert_allclose(levels.back(levels.into(values)), values, atol=1e-5 * (white - black))


# With the shipped weights ------------------------------------------------------------------------


def gain(result: Any, image: np.ndarray, clean: np.ndarray) -> float:
    return hush.psnr(np.asarray(result, np.float32), clean, 255) - hush.psnr(image.astype(np.float32), clean, 255)


def test_a_mixture_is_found_in_order_and_removed(scene: np.ndarray) -> None:
    image = noisy(scene, MIXTURE)
    result = NoiseBreaker().fit(image).run(image)
    first, second, *_ = result.info["noises"]
    assert (first["class"], second["class"].split("-")[0]) == ("bernoulli", "gaussian")
    assert first["level"] == pytest.approx(0.1, abs=0.03)
    assert second["level"] == pytest.approx(30, rel=0.25)
    assert sum(one["share"] for one in result.info["noises"]) == pytest.approx(1, abs=0.01)
    assert gain(result.image.data, image, scene) > 8
    told = NoiseBreaker(classes="gaussian:15..35,bernoulli").fit(image).run(image)
    assert [one["class"] for one in told.info["noises"]] == ["bernoulli", "gaussian-medium"]
    assert gain(told.image.data, image, scene) > 8


@pytest.mark.parametrize("kind", ["u1", "u2", "colours", "channels", "frames"])
def test_every_kind_of_image_comes_back_as_it_was(scene: np.ndarray, kind: str) -> None:
    image = noisy(scene, MIXTURE)
    axes = {"colours": "YXS", "channels": "CYX", "frames": "TYX"}.get(kind, "YX")
    clean = scene
    if kind == "u1":
        image = image.round().clip(0, 255).astype(np.uint8)
    elif kind == "u2":
        image = (257 * image).round().clip(0, 65535).astype(np.uint16)
    elif kind == "colours":
        clean = np.stack([scene, 0.8 * scene, scene], -1)
        image = noisy(clean, MIXTURE)
    else:
        clean = np.stack([scene, scene])
        other = scene if kind == "channels" else noisy(scene, MIXTURE, 1)
        image = np.stack([image, other])
    result = NoiseBreaker().fit(Image(image, axes)).run(Image(image, axes))
    assert (result.image.data.dtype, result.image.data.shape) == (image.dtype, image.shape)
    factor = 257 if kind == "u2" else 1
    assert gain(result.image.data / factor, image / factor, clean) > 4
    found = result.info["noises"]
    assert {one.get("channel") for one in found} == ({0} if kind == "channels" else {None})
    if kind == "channels":  # the second has no noise
        assert np.array_equal(result.image.data[1], scene)


@pytest.mark.parametrize("image", [data.camera()[:160, :197], data.chelsea()[:160, :197]], ids=["grey", "colours"])
def test_a_clean_image_is_left_as_it_is(image: np.ndarray) -> None:
    result = NoiseBreaker().fit(image).run(image)
    assert result.image.data.tobytes() == image.tobytes()
    assert (result.info["noises"], result.info["ended"]) == ([], ["clean"])


def test_most_noises_are_respected(scene: np.ndarray) -> None:
    image = noisy(scene, MIXTURE)
    result = NoiseBreaker(most=1).fit(image).run(image)
    assert [one["class"] for one in result.info["noises"]] == ["bernoulli"]
    assert result.info["ended"] == ["most"]


def test_pieces_are_the_whole(scene: np.ndarray) -> None:
    image = noisy(np.tile(scene, (1, 2)), MIXTURE)
    models = [NoiseBreaker(classes="bernoulli", tile=tile, precision="float32").fit(image) for tile in (240, 4096)]
    small, whole = (model.denoise(image).data for model in models)
    np.testing.assert_allclose(small, whole, atol=0.01)


def test_lost_pixels_at_the_end_of_the_range_are_filled_and_missing_ones_stay(scene: np.ndarray) -> None:
    image = noisy(scene + 100, "bernoulli:p=0.0005")
    lost = image == 0
    assert lost.any()
    image[50, 60] = np.nan
    with pytest.warns(HushWarning):
        result = NoiseBreaker(classes="bernoulli").fit(image).run(image)
    assert np.isnan(result.image.data[50, 60])
    assert result.image.data[lost].min() > 50


@pytest.mark.parametrize(
    ("settings", "shape", "part"),
    [
        ({}, (12, 60), "16"),
        ({"most": 0}, (64, 64), "most"),
        ({"net": "large"}, (64, 64), "mobilenet"),
        ({"classes": "gaussian:1..2"}, (64, 64), "15..35"),
        ({"ndim": 3}, (4, 64, 64), "--ndim 3"),
        ({"model": "missing.hush"}, (64, 64), r"missing\.hush"),
        ({"peak": 0.0}, (64, 64), "peak"),
    ],
)
def test_what_cannot_be_is_refused(settings: dict[str, Any], shape: tuple[int, ...], part: str) -> None:
    with pytest.raises(HushError, match=part):
        NoiseBreaker(**settings).fit(Image(np.zeros(shape, np.float32), "ZYX"[-len(shape) :]))


def test_the_command_lists_the_noises_and_the_page_shows_each_step(
    tmp_path: Path, scene: np.ndarray, run: Callable[..., tuple[int, str, str]]
) -> None:
    hush.write(tmp_path / "a.tif", Image(noisy(scene, MIXTURE), "YX"))
    how = ("--method", "noisebreaker", "--set", "classes=gaussian:15..35,bernoulli", "--json", "-q")
    pages = ("--report", tmp_path / "p.html", "--results", tmp_path / "r")
    code, out, _ = run("denoise", tmp_path / "a.tif", "-o", tmp_path / "b.tif", *how, *pages)
    assert code == 0
    assert [one["class"] for one in json.loads(out)["noises"]] == ["bernoulli", "gaussian-medium"]
    assert len(list((tmp_path / "r").glob("stage-*.png"))) == 3
    page = (tmp_path / "p.html").read_text("utf-8")
    assert page.count("gaussian-medium") >= 2


# A noise more -----------------------------------------------------------------------------------


def test_the_example_finds_and_removes_a_noise_more(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(classifier_train, "REFIT_IMAGES", 400)
    made = runpy.run_path(str(Path(__file__).parents[1] / "examples" / "new_noise.py"))
    assert "stripes" in [one["class"] for one in made["result"].info["noises"]]
    before, after = map(float, re.findall(r"(\d+\.\d) (?:before|after)", capsys.readouterr().out))
    assert after < before / 2


def test_the_command_learns_a_noise_more_and_takes_it(
    tmp_path: Path, scene: np.ndarray, run: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(classifier_train, "REFIT_IMAGES", 20)
    monkeypatch.setattr(classifier_train, "REFIT_STEPS", 2)
    hush.write(tmp_path / "clean.tif", Image(scene, "YX"))
    hush.write(tmp_path / "noisy.tif", Image(noisy(scene, "stripes:amplitude=20"), "YX"))
    how = ("--noise", "stripes:amplitude=10..30", "--steps", 2, "-q")
    learned = ("--method", "noisebreaker", "--from", "noisebreaker", "-o", tmp_path / "m.hush")
    assert run("train", tmp_path / "clean.tif", *learned, *how)[0] == 0
    taken = ("--method", "noisebreaker", "--set", f"model={tmp_path / 'm.hush'}", "--set", "classes=stripes:10..30")
    code, out, said = run("denoise", tmp_path / "noisy.tif", "-o", tmp_path / "c.tif", *taken, "--json")
    assert code == 0, said
    assert [one["class"] for one in json.loads(out)["noises"]] == ["stripes"]


def test_files_of_a_noise_and_of_a_model_are_told_apart(tmp_path: Path, scene: np.ndarray) -> None:
    from hush.methods._model_file import save_model

    net, known = weights.load("gaussian-fast")
    one = training.new_class(parse("stripes:amplitude=5..30"))
    NewNoise(one, net, known, {"2.bias": torch.zeros(24)}).write(tmp_path / "m.hush")
    with pytest.raises(HushError, match="noisebreaker"):
        hush.load(tmp_path / "m.hush")
    again = NewNoise.read(tmp_path / "m.hush")
    assert again.noise == one
    small = np.random.default_rng(0).normal(100, 20, (48, 48)).astype(np.float32)
    save_model(hush.Noise2Void(steps=2, maps=4, batch=1, patch=16).fit(small), tmp_path / "n.hush")
    with pytest.raises(HushError, match="n2v"):
        NewNoise.read(tmp_path / "n.hush")
    content = (tmp_path / "m.hush").read_bytes()
    (tmp_path / "d.hush").write_bytes(content.replace(b'\\"noise\\"', b'\\"noisy\\"'))
    with pytest.raises(HushError, match="damaged"):
        NewNoise.read(tmp_path / "d.hush")


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ((), "--noise"),
        (("--noise", "stripes:amplitude=5", "--seconds", "5"), "--seconds"),
        (("--noise", "stripes:amplitude=5", "--from", "other.hush"), "--from noisebreaker"),
    ],
)
def test_what_a_noise_more_does_not_take_is_said(
    options: tuple[str, ...], part: str, tmp_path: Path, scene: np.ndarray, run: Callable[..., tuple[int, str, str]]
) -> None:
    hush.write(tmp_path / "a.tif", Image(scene, "YX"))
    code, _, said = run("train", tmp_path / "a.tif", "--method", "noisebreaker", *options, "-o", tmp_path / "m.hush")
    assert code == 2
    assert part in said
    assert not (tmp_path / "m.hush").exists()
