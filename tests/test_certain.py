"""The certain part: no more is removed than lowers the error at the lowest level that is likely."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import hush
from helpers import data, noisy, waves
from hush.core import registry
from hush.core.image import Image
from hush.datasets import hard
from hush.estimation.report import NoiseReport
from hush.methods._base import Result
from hush.methods._certain import certain_shares, keep_the_rest
from hush.methods._surer_level import AGREED, LEAST_OF_AGREED, agreed, of_all, seen_in_means, unsure, with_lowest
from hush.quality.risk import Consistent

SIDE = 128
SCENE = waves(SIDE).astype(np.float32)


def analysed(image: Any, low: float) -> NoiseReport:
    """The report of an image, its level at most so many times too high."""
    report = hush.analyze(image)
    one = report.channels[0]
    return replace(report, channels=(replace(one, interval={"level": (low * one.level, one.level)}, learned=True),))


def truth(_: Image) -> Image:
    """A method that knows the scene: no noise passes."""
    return Image(SCENE, "YX")


def half(image: Image) -> Image:
    """A method through which half of everything passes."""
    return Image((SCENE + image.data) / 2, "YX")


def test_what_passes_is_not_removed() -> None:
    """Where half of the noise passes, half of it is removed, and no more than all of that can be."""
    image = noisy(SCENE, "gaussian:sigma=8").astype(np.float32)
    report = analysed(image, 0.5)
    share = certain_shares(Image(image, "YX"), half(Image(image, "YX")), report, half)[0]
    # 2 l (1 - d) / m: l is a quarter of the noise, d a half, and m a quarter
    assert share == pytest.approx(1.0, rel=0.1)


@pytest.mark.parametrize(("low", "share"), [(1.0, 1.0), (0.8, 1.0), (0.5, 0.5), (0.1, 0.02), (0.0, 0.0)])
def test_the_share_follows_the_lowest_level(low: float, share: float) -> None:
    image = noisy(SCENE, "gaussian:sigma=8").astype(np.float32)
    shares = certain_shares(Image(image, "YX"), Image(SCENE, "YX"), analysed(image, low), truth)
    assert min(1.0, *shares) == pytest.approx(share, rel=0.08, abs=1e-6)


def test_what_was_said_is_removed_whole() -> None:
    image = noisy(SCENE, "gaussian:sigma=8").astype(np.float32)
    report = analysed(image, 0.1)
    said = replace(report, channels=(replace(report.channels[0], given=True),))
    assert certain_shares(Image(image, "YX"), Image(SCENE, "YX"), said, truth) == [1.0]


@pytest.mark.parametrize("true", [0.5, 0.7, 1.0])
def test_no_level_down_to_the_lowest_makes_it_worse(true: float) -> None:
    """Half of what looks like noise is texture: all of it would be removed, and the error grows."""
    rng = np.random.default_rng(0)
    texture = rng.normal(0, 8 * np.sqrt(1 - true**2), SCENE.shape)
    clean = SCENE + texture
    image = (clean + rng.normal(0, 8 * true, SCENE.shape)).astype(np.float32)
    result = Result(Image(SCENE.copy(), "YX"))
    report = analysed(image, 0.5)
    keep_the_rest(Image(image, "YX"), result, certain_shares(Image(image, "YX"), result.image, report, truth), report)
    assert np.mean((result.image.data - clean) ** 2) < 1.01 * np.mean((image - clean) ** 2)


def test_what_stays_is_in_the_deviation() -> None:
    image = noisy(SCENE, "gaussian:sigma=8").astype(np.float32)
    result = Result(Image(SCENE.copy(), "YX"), Image(np.full(SCENE.shape, 2.0, np.float32), "YX"))
    report = analysed(image, 0.5)
    keep_the_rest(Image(image, "YX"), result, [0.25], report)
    np.testing.assert_allclose(result.image.data, image + 0.25 * (SCENE - image), rtol=1e-5)
    assert result.std is not None
    assert np.asarray(result.std.data).mean() == pytest.approx(np.hypot(0.5, 6.0), rel=0.05)


@pytest.mark.filterwarnings("ignore::hush.HushWarning")
@pytest.mark.parametrize("kind", ["text-two-valued", "lines-grey", "texture-binary-fine", "chart", "stars-one-pixel"])
@pytest.mark.parametrize("noise", ["clean", "gaussian-2"])
def test_development_kinds_are_not_harmed(kind: str, noise: str) -> None:
    image, truth, peak = hard.make(hard.Case(kind, 128, noise, "float32", 101))
    before, after = (np.sqrt(np.mean((np.asarray(one, np.float64) - truth) ** 2)) / peak
                     for one in (image.data, hush.denoise(image).data))  # fmt: skip
    assert after <= 1.006 * before + 0.1 / 255


def test_a_surer_estimate_raises_the_lowest_level_and_no_other_figure() -> None:
    report = analysed(noisy(SCENE, "gaussian:sigma=10"), 0.5)
    level = report.channels[0].level
    assert unsure(report)
    raised = with_lowest(report, [0.9 * level])
    assert raised.channels[0].interval["level"] == pytest.approx((0.9 * level, level))
    assert not unsure(raised)
    assert with_lowest(report, [0.3 * level]).channels == report.channels  # it is less sure
    assert with_lowest(report, [3 * level]).channels[0].interval["level"][0] == pytest.approx(level)
    assert replace(raised.channels[0], interval=report.channels[0].interval) == report.channels[0]


def test_a_level_of_all_channels_is_divided_as_theirs_are() -> None:
    report = analysed(noisy(SCENE, "gaussian:sigma=10"), 0.5)
    three = tuple(replace(report.channels[0], a=0.0, b=level**2) for level in (3.0, 4.0, 5.0))
    divided = of_all(replace(report, channels=three), 8.0)
    assert np.sqrt(np.mean(np.square(divided))) == pytest.approx(8.0)
    assert np.divide(divided, divided[0]) == pytest.approx([1, 4 / 3, 5 / 3])


def test_noise_stronger_than_any_learned_is_seen_in_means_of_pixels() -> None:
    clean = data.camera()[100:356, 100:356].astype(float)
    drawn = np.clip(np.rint(np.random.default_rng(0).normal(clean, 90)), 0, 255)
    image = Image(drawn.astype(np.uint8), "YX")
    report = hush.analyze(image)
    low, high = seen_in_means(report, image).channels[0].interval["level"]
    assert report.channels[0].interval["level"][0] < low <= (drawn - clean).std() * 1.02
    assert high == report.channels[0].interval["level"][1]
    before, after = (float(np.square(one - clean).mean()) for one in (drawn, hush.denoise(image).data))
    assert after < before / 5


def test_noise_that_was_learned_is_not_looked_at_again() -> None:
    image = Image(noisy(SCENE, "gaussian:sigma=20"), "YX")
    report = hush.analyze(image)
    assert seen_in_means(report, image) is report


@pytest.mark.parametrize(("level", "gain"), [(75.0, 8.0), (90.0, 8.0)])
def test_strong_noise_in_a_colour_photograph_is_removed(level: float, gain: float) -> None:
    clean = data.chelsea()[20:276, 100:356].astype(float)
    drawn = np.random.default_rng(0).normal(clean, level)
    image = Image(np.clip(np.rint(drawn), 0, 255).astype(np.uint8), "YXS")
    model = registry.get("methods", "auto")().fit(image)
    result = model.denoise(image).data
    before, after = (float(np.square(one - clean).mean()) for one in (image.data, result))
    assert after < before / 10 ** (gain / 10)
    raised = [one for one in model.decisions_ if one.name == "lowest-level"]
    assert raised  # and how far is said
    assert raised[-1].value == pytest.approx(min(c.interval["level"][0] / c.level for c in model.report_.channels))


@pytest.mark.parametrize(
    ("found", "share"),
    [
        (Consistent(1.0, 0.3), LEAST_OF_AGREED),
        (Consistent(0.9, 0.3), 0.9 * LEAST_OF_AGREED),
        (Consistent(1.0, 0.9), 0.1),  # the noise that it passes it does not know
        (Consistent(AGREED[1] + 0.05, 0.3), 0.1),  # texture
        (Consistent(4.0, 0.0), 0.1),
        (Consistent(0.5, 0.3), 0.1),
        (None, 0.1),
    ],
)
def test_a_level_on_which_the_network_agrees_is_likely_to_be_most_of_it(found: Consistent | None, share: float) -> None:
    report = analysed(noisy(SCENE, "gaussian:sigma=20"), 0.1)
    level = report.channels[0].level
    (one,) = agreed(report, [found]).channels
    assert one.interval["level"] == pytest.approx((share * level, level))


def test_of_colours_one_answer_is_that_of_all() -> None:
    one = analysed(noisy(SCENE, "gaussian:sigma=20"), 0.1)
    report = replace(one, channels=one.channels * 3)
    lows = [noise.interval["level"][0] / noise.level for noise in agreed(report, [Consistent(1.0, 0.2)]).channels]
    assert lows == pytest.approx([LEAST_OF_AGREED] * 3)
    two = [Consistent(1.0, 0.2), Consistent(2.0, 0.2)]  # neither of all colours nor of each
    assert agreed(report, two) is report


@pytest.mark.parametrize("noise", ["correlated:sigma=20,length=0.7", "correlated:sigma=10,length=0.5"])
@pytest.mark.filterwarnings("ignore::hush.core.errors.HushWarning")
def test_correlated_noise_of_a_photograph_is_removed(noise: str) -> None:
    clean = data.camera()[100:356, 100:356].astype(np.float32)
    image = noisy(clean, noise)
    by_auto = hush.Auto().fit(image).run(image)
    by_network = registry.get("methods", "pretrained")().fit(image).run(image)
    assert by_auto.info["share"] > 0.8
    assert hush.psnr(by_auto.image.data, clean, 255) > hush.psnr(by_network.image.data, clean, 255) - 0.3


@pytest.mark.filterwarnings("ignore::hush.core.errors.HushWarning")
def test_texture_on_which_the_network_does_not_agree_stays() -> None:
    case = next(one for one in hard.design() if (one.kind, one.noise) == ("texture-pink", "clean") and one.size < 200)
    image, clean, peak = hard.make(case)
    after = hush.denoise(image).data.astype(float)
    assert 255 * np.sqrt(np.mean((after - clean) ** 2)) / peak < 0.1
