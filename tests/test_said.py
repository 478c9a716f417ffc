"""What is said of the noise is used as a whole: sums, mixtures, and ranges between whose ends the analysis decides."""

from __future__ import annotations

import numpy as np
import pytest

import hush
from hush.estimation.report import ChannelNoise
from hush.noise import parse
from hush.noise._whole import remaining


def ramp() -> np.ndarray:
    return np.tile(np.linspace(20, 220, 160), (160, 1))


def said(text: str, sigma: float = 20.0) -> ChannelNoise:
    image = ramp() + np.random.default_rng(0).normal(0, sigma, (160, 160))
    return hush.analyze(image, noise=parse(text)).channels[0]


@pytest.mark.parametrize(
    "text",
    [
        "poisson:photons=255 + gaussian:sigma=25",
        "gaussian:sigma=8 + poisson:photons=255",
        "poisson_gaussian:gain=2,offset=10,sigma=5 + uniform:s=12 + gaussian:sigma=3",
        "gaussian:sigma=9 + uniform:s=20",
        "10% uniform:s=50 | 90% gaussian:sigma=5",
        "30% gaussian:sigma=5 | 70% poisson:photons=50",
        "gaussian:sigma=12 + correlated:sigma=9,length=0.7",
        "20% gaussian:sigma=10 + bernoulli:p=0.5 | 80% gaussian:sigma=20",
        "10% impulse:p=1 | 90% gaussian:sigma=15",
    ],
)
def test_a_sum_or_a_mixture_has_the_variance_of_all_its_parts(text: str) -> None:
    """By simulation, at three brightnesses, of the pixels that are not lost."""
    found = said(text)
    rng = np.random.default_rng(1)
    for bright in (30.0, 120.0, 210.0):
        parts = text.split(" | ")
        shares = [float(part.split("%")[0]) / 100 if "%" in part else 1.0 for part in parts]
        squares, kept = 0.0, 0.0
        for part, share in zip(parts, shares, strict=True):
            names = [one.strip() for one in part.split("%")[-1].split("+")]
            noises = [one for one in names if "p=" not in one]
            alive = float(np.prod([1 - float(one.split("p=")[1]) for one in names if "p=" in one]))
            values = np.full((1, 300, 300), bright)
            for one in noises:
                values = parse(one).draw(rng).sample(values, rng)
            squares, kept = squares + share * alive * values.var(), kept + share * alive
        assert found.a * bright + found.b == pytest.approx(squares / kept, rel=0.05)
    assert found.given
    assert found.interval["level"] == (found.level, found.level)


def test_variance_that_is_no_line_has_the_line_that_fits_it() -> None:
    found = said("speckle:sigma=40 + gaussian:sigma=8")
    bright = np.linspace(20, 220, 50)
    truth = (40 / 255 * bright) ** 2 + 64
    line = np.polynomial.Polynomial.fit(bright, truth, 1)(bright)
    np.testing.assert_allclose(found.a * bright + found.b, line, atol=0.2 * truth.mean())
    assert found.kind == "poisson_gaussian"


def test_lost_pixels_and_patterns_are_set_aside() -> None:
    assert said("gaussian:sigma=10 + bernoulli:p=0.1").level == pytest.approx(10)
    assert said("gaussian:sigma=10 + stripes:amplitude=30").level == pytest.approx(10)
    free = said("gaussian:sigma=0..99").level
    assert said("bernoulli:p=0.1").level == said("salt_pepper:p=0.3").level == pytest.approx(free, rel=1e-6)
    share, left = remaining(parse("50% bernoulli:p=0.4 | 50% gaussian:sigma=3").at([]))
    assert share == pytest.approx(0.8)
    values = np.array([[9.0]])
    assert left is not None
    assert left.moments(values)[1].item() == pytest.approx(9 * 0.5 / 0.8)


@pytest.mark.parametrize(("low", "high"), [(0, 50), (0, 8), (30, 50), (21, 22), (0, 5000)])
def test_between_the_ends_of_a_range_the_analysis_decides(low: float, high: float) -> None:
    free = hush.analyze(ramp() + np.random.default_rng(0).normal(0, 20, (160, 160))).channels[0]
    found = said(f"gaussian:sigma={low}..{high}")
    assert found.level == pytest.approx(np.clip(free.level, low, high), rel=1e-3)
    least, most = found.interval["level"]
    assert low - 1e-9 <= least <= found.level <= most <= high + 1e-9
    np.testing.assert_allclose([least, most], np.clip(free.interval["level"], low, high), rtol=1e-3)


def test_a_range_of_what_lessens_the_noise() -> None:
    rng = np.random.default_rng(0)
    image = rng.poisson(np.tile(np.linspace(20, 220, 200), (200, 1)) / 2) * 2.0
    for text, gain in (("10..1000", 2.0), ("10..60", 255 / 60), ("400..900", 255 / 400)):
        found = hush.analyze(image, noise=parse(f"poisson:photons={text}")).channels[0]
        assert found.gain == pytest.approx(gain, rel=0.1)
        assert found.interval["a"][0] <= found.a <= found.interval["a"][1]


def test_several_ranges_fit_level_and_slope() -> None:
    rng = np.random.default_rng(0)
    image = rng.poisson(ramp() / 3) * 3.0 + rng.normal(0, 12, (160, 160))
    found = hush.analyze(image, noise=parse("poisson:photons=5..2000 + gaussian:sigma=0..60")).channels[0]
    for bright in (40, 120, 200):
        assert found.a * bright + found.b == pytest.approx(3 * bright + 144, rel=0.15)


def test_a_range_says_nothing_of_a_clean_image_but_its_least() -> None:
    clean = ramp().astype(np.uint8)
    assert hush.analyze(clean, noise=parse("gaussian:sigma=0..50")).channels[0].kind == "none"
    least = hush.analyze(clean, noise=parse("gaussian:sigma=5..50")).channels[0]
    assert least.kind == "gaussian"
    assert least.level == pytest.approx(5, rel=1e-3)
