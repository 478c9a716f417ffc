"""An amount added to an image, as a camera's offset is or a dark frame taken off, is added to the result: no more."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import hush
from hush.noise import parse
from hush.noise.poisson_gaussian import PoissonGaussian
from hush.vst import anscombe
from hush.vst.stabilizer import Stabilizer


def waves(size: int = 96) -> np.ndarray:
    y, x = np.mgrid[:size, :size]
    return np.asarray(100 + 60 * np.sin(x / 9) * np.cos(y / 7))


def noisy(text: str, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.asarray(parse(text).draw(rng).sample(waves()[None], rng)[0], np.float32)


@pytest.mark.parametrize("method", ["auto", "bm3d", "wavelet"])
@pytest.mark.parametrize(
    "text", ["poisson_gaussian:gain=4,sigma=16", "poisson_gaussian:gain=4,offset=30,sigma=4", "gaussian:sigma=12"]
)
def test_an_added_constant_is_added_to_the_result(method: str, text: str) -> None:
    image = noisy(text)
    plain = hush.denoise(image, method)
    assert hush.rmse(plain, waves()) < 0.6 * hush.rmse(image, waves())
    for added in (-300.0, -50.0, 1000.0):
        moved: Any = hush.denoise(image + np.float32(added), method)
        other = moved - np.float32(added)
        assert hush.rmse(other, plain) < 0.1  # of float32; it turns the choice of a few of BM3D's blocks


@pytest.mark.parametrize("added", [-5000.0, -120.0, 0.0, 700.0])
def test_the_analysis_moves_with_the_image(added: float) -> None:
    plain = hush.analyze(noisy("poisson_gaussian:gain=4,sigma=16")).channels[0]
    moved = hush.analyze(noisy("poisson_gaussian:gain=4,sigma=16") + np.float32(added)).channels[0]
    assert moved.a == pytest.approx(plain.a, rel=1e-3)
    assert moved.level == pytest.approx(plain.level, rel=1e-3)
    assert moved.light.offset - plain.light.offset == pytest.approx(added, abs=0.1)
    assert moved.light.sigma == plain.light.sigma
    lowest = min(point[0] for point in moved.points)
    assert Stabilizer(moved).inverse(np.zeros(1))[0] < lowest


@pytest.mark.parametrize(("a", "b"), [(4.0, 9.0), (4.0, -80.0), (0.5, 100.0)])
def test_a_line_has_one_model_wherever_its_zero_is(a: float, b: float) -> None:
    model, moved = PoissonGaussian.from_line(a, b), PoissonGaussian.from_line(a, b - a * 300)
    assert model.a == a
    assert model.b == pytest.approx(b)
    assert moved.offset == pytest.approx(model.offset + 300)
    assert moved.sigma == model.sigma
    values = np.linspace(0, 30, 50)
    one, other = (anscombe.inverse(values, each.gain, each.offset, each.sigma) for each in (model, moved))
    np.testing.assert_allclose(other - 300, one, atol=1e-9)


def test_no_signal_lies_below_the_offset() -> None:
    """Where variance is no line of brightness, its zero may lie above dark parts: they keep their contrast."""
    rng = np.random.default_rng(0)
    clean = 3 * waves(192) - 100  # of which a line through noise that grows with its square is below zero
    image = (clean + 0.0015 * (clean + 200) ** 1.8 * rng.normal(size=clean.shape) / 4).astype(np.float32)
    found = hush.analyze(image).channels[0]
    dark = min(point[0] for point in found.points)
    assert not found.a > 0 or -found.b / found.a <= dark + found.a


def test_a_gain_that_is_said_of_signed_values() -> None:
    """Without an offset it is the slope through the noise that was found, and no value is lost below zero."""
    image = noisy("poisson_gaussian:gain=4,sigma=16") - np.float32(300)
    found = hush.analyze(image, gain=4.0).channels[0]
    assert found.offset < image.min()
    assert found.level == pytest.approx(np.sqrt(4 * 100 + 256), rel=0.15)
    assert hush.analyze(image, gain=4.0, offset=-300.0).channels[0].offset == -300
