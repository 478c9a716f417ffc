"""Speckle of few looks: brightness is kept, and the result is nearer to the truth."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import hush
from hush.vst import asinh

Y, X = np.mgrid[:160, :160]
TRUTH = 30 + 150 * np.exp(-((X - 50) ** 2 + (Y - 90) ** 2) / 500) + 90 * np.exp(-((X - 120) ** 2 + (Y - 40) ** 2) / 200)


@pytest.mark.parametrize("looks", [1, 1.5, 3, 6, 40])
@pytest.mark.parametrize("method", ["auto", "bm3d", "nlm"])
def test_brightness_is_kept(looks: float, method: str) -> None:
    noisy = (TRUTH * np.random.default_rng(1).gamma(looks, 1 / looks, TRUTH.shape)).astype(np.float32)
    result: Any = hush.denoise(noisy, method)
    assert result.mean() == pytest.approx(noisy.mean(), rel=0.05)
    assert hush.rmse(result, TRUTH) < 0.5 * hush.rmse(noisy, TRUTH)


@pytest.mark.parametrize("looks", [1, 2, 5, 100])
def test_the_inverse_is_exact_for_the_gamma_law(looks: float) -> None:
    share = looks**-0.5
    draws = np.random.default_rng(0).gamma(looks, 1 / looks, 400_000)
    for bright in (3.0, 100.0, 5000.0):
        stabilised = asinh.forward(bright * draws, share, 2.0, True)
        assert asinh.inverse(np.array([stabilised.mean()]), share, 2.0, True)[0] == pytest.approx(bright, rel=0.01)
        assert asinh.deviation(np.array([stabilised.mean()]), share, 2.0, True)[0] == pytest.approx(
            stabilised.std(), rel=0.02
        )
    assert stabilised.std() == pytest.approx(1, abs=0.02)  # where it is bright


def test_many_looks_are_normal() -> None:
    values = np.linspace(1, 40, 9)
    np.testing.assert_allclose(asinh.inverse(values, 0.05, 1.0, True), asinh.inverse(values, 0.05, 1.0), rtol=2e-3)
