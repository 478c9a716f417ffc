"""The unit of an image changes nothing: what is tiny, huge or far off zero is denoised as if it were near one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import hush
from hush.core import registry
from hush.core.image import Image
from hush.core.units import Units

Y, X = np.mgrid[:64, :64]
TRUTH = 1 + 0.6 * np.sin(X / 9) * np.cos(Y / 7)
NOISY = TRUTH + np.random.default_rng(0).normal(0, 0.12, TRUTH.shape)
PHOTONS = np.random.default_rng(0).poisson(20 * TRUTH)


@pytest.mark.parametrize("exponent", [-37, -26, -17, -12, -4, 12, 20, 30, 37])
@pytest.mark.parametrize("method", ["auto", "bm3d", "median", "nlm"])
def test_a_float_of_any_size_is_denoised_alike(method: str, exponent: int) -> None:
    unit = 10.0**exponent
    usual: Any = hush.denoise(NOISY.astype(np.float32), method)
    result: Any = hush.denoise((NOISY * unit).astype(np.float32), method)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result / unit, usual, atol=2e-3)


@pytest.mark.parametrize("exponent", [-100, -20, 20, 100])
def test_what_is_found_is_in_the_units_of_the_image(exponent: int) -> None:
    unit = 10.0**exponent
    usual, found = (hush.analyze(unit * PHOTONS.astype(float)).channels[0] for unit in (1.0, unit))
    assert found.kind == usual.kind
    assert found.gain == pytest.approx(usual.gain * unit, rel=1e-3)
    assert found.level == pytest.approx(usual.level * unit, rel=1e-3)
    assert found.interval["level"] == pytest.approx([end * unit for end in usual.interval["level"]], rel=1e-2)


@pytest.mark.parametrize("exponent", [-20, 0, 20])
@pytest.mark.parametrize("method", ["auto", "bm3d"])
def test_noise_is_given_in_the_units_of_the_image(method: str, exponent: int) -> None:
    unit = 10.0**exponent
    given: Any = hush.denoise((NOISY * unit).astype(np.float32), method, noise=f"gaussian:sigma={0.12 * unit}")
    assert hush.rmse(given / unit, TRUTH) < 0.035


def test_the_standard_deviation_is_in_the_units_of_the_image() -> None:
    spreads = []
    for unit in (1.0, 1e-20):
        image = (NOISY * unit).astype(np.float32)
        spread = np.zeros(image.shape, np.float32)
        registry.get("methods", "auto")().fit(image).run(image, std=spread)
        spreads.append(spread / unit)
    np.testing.assert_allclose(spreads[0], spreads[1], rtol=0.02)


@pytest.mark.parametrize("offset", [1e7, -1e8, 1e9, 1e12])
@pytest.mark.parametrize("method", ["auto", "bm3d"])
def test_a_large_offset_costs_no_digit(method: str, offset: float) -> None:
    truth = 100 * TRUTH
    result: Any = hush.denoise(100 * NOISY + offset, method)
    assert hush.rmse(result - offset, truth) < 4
    assert len(np.unique(result)) > 4000


@pytest.mark.parametrize(
    ("dtype", "top"), [(np.int64, 2**40), (np.int64, -(2**48)), (np.uint64, 2**40), (np.uint32, 2**32 - 9999)]
)
def test_whole_numbers_far_off_zero_stay_exact(dtype: Any, top: int) -> None:
    image = np.array((100 * NOISY).round().astype(np.int64).astype(dtype) + dtype(top))
    result: Any = hush.denoise(image, "bm3d")
    assert result.dtype == dtype
    away = (result - dtype(top)).astype(np.int64)
    assert hush.rmse(away, 100 * TRUTH) < 4


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32, np.float64, np.bool_])
def test_a_usual_image_is_shown_as_it_is(dtype: Any) -> None:
    image = Image((100 * NOISY).astype(dtype), "YX")
    assert Units.of(image).own
    assert Units.of(image).into(image) is image


@pytest.mark.parametrize("exponent", [-30, 30])
@pytest.mark.parametrize("name", ["n2v", "ssdn", "zs_n2n"])
def test_a_learned_method_takes_any_unit(name: str, exponent: int) -> None:
    unit = 10.0**exponent
    settings: dict[str, Any] = {"steps": 3, "maps": 4} if name != "zs_n2n" else {"steps": 3}
    image = (NOISY * unit).astype(np.float32)
    result: Any = hush.denoise(image, name, **settings)
    assert np.isfinite(result).all()
    assert abs(float(np.mean(result / unit)) - 1) < 0.2
