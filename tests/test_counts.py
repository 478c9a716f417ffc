"""Single photons: the mean is kept at every density, in floats and whole numbers; pictures of two values are none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import hush
from helpers import data
from hush.core.image import Image
from hush.methods._counts import spread_out, summed, whole_numbers
from hush.vst import binary

Y, X = np.mgrid[:150, :170]
SHAPE = 0.1 + np.exp(-((X - 60) ** 2 + (Y - 50) ** 2) / 300) + 0.7 * np.exp(-((X - 120) ** 2 + (Y - 110) ** 2) / 700)


def counted(mean: float, law: str, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A noisy frame and its clean one, in photons."""
    rng = np.random.default_rng(seed)
    clean = np.clip(SHAPE / SHAPE.mean() * mean, 0, 0.95 if law == "binary" else None)
    return (rng.random(clean.shape) < clean if law == "binary" else rng.poisson(clean)), clean


@pytest.mark.filterwarnings("ignore::hush.HushWarning")
@pytest.mark.parametrize("law", ["binary", "poisson"])
@pytest.mark.parametrize("mean", [0.003, 0.01, 0.05, 0.2, 0.4])
@pytest.mark.parametrize("gain", [1, 255])
def test_light_is_kept_at_every_density(mean: float, law: str, gain: int) -> None:
    frame, clean = counted(mean, law)
    denoised: Any = hush.denoise((gain * frame).astype(np.float32))
    result = denoised / gain
    assert result.mean() == pytest.approx(frame.mean(), rel=0.06)
    assert hush.rmse(result, clean) < (0.5 if mean > 0.005 else 0.8) * clean.std()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.bool_])
@pytest.mark.parametrize("method", ["auto", "bm3d"])
def test_whole_numbers_keep_light_and_float_is_named(dtype: type, method: str) -> None:
    frame, clean = counted(0.05, "binary")
    with pytest.warns(hush.HushWarning) as seen:
        result: Any = hush.denoise(frame.astype(dtype), method)
    assert result.dtype == dtype
    assert "low-count-integers" in [getattr(one.message, "code", None) for one in seen]
    assert result.mean() == pytest.approx(frame.mean(), rel=0.1)
    bright = SHAPE > 0.5
    assert result[bright].mean() == pytest.approx(clean[bright].mean(), rel=0.15)


@pytest.mark.filterwarnings("ignore::hush.HushWarning")
def test_strength_and_missing_pixels_are_of_single_pixels_where_sums_are_denoised() -> None:
    frame = counted(0.02, "poisson")[0].astype(np.float32)
    np.testing.assert_array_equal(hush.denoise(frame, strength=0.0), frame)
    np.testing.assert_array_equal(hush.denoise(frame.astype(np.uint8), strength=0.0), frame)
    whole: Any = hush.denoise(frame)
    half: Any = hush.denoise(frame, strength=0.5)
    np.testing.assert_allclose(half, (frame + whole) / 2, atol=1e-5)
    frame[20:24, 30] = np.nan
    result: Any = hush.denoise(frame)
    np.testing.assert_array_equal(np.isnan(result), np.isnan(frame))


def test_binary_frames_are_found_and_pictures_of_two_values_are_not() -> None:
    assert hush.analyze(counted(0.3, "binary")[0].astype(np.uint8)).channels[0].binary
    assert not hush.analyze(counted(0.3, "poisson")[0].astype(np.uint8)).channels[0].binary
    rng = np.random.default_rng(0)
    pictures = [data.page() > 128, data.horse()[:200, :200], data.camera() > 100, data.grass()[:200, :200] > 110]
    pictures += [np.kron(rng.integers(0, 2, (50, 50)), np.ones((2, 2))), np.add.outer(Y[:, 0], 2 * X[0]) % 7 < 1]
    pictures.append(np.indices((90, 90)).sum(0) % 2)
    for picture in pictures:
        for gain in (1, 255):
            assert not hush.analyze(np.asarray(picture).astype(np.float32) * gain).channels[0].binary


def test_the_inverse_has_no_bias_and_the_deviation_is_that_of_a_bernoulli_variable() -> None:
    rng = np.random.default_rng(0)
    for chance in (0.01, 0.3, 0.9):
        stabilised = binary.forward(7.0 * (rng.random(400_000) < chance), 7.0)
        middle = np.array([stabilised.mean()])
        assert binary.inverse(middle, 7.0)[0] / 7 == pytest.approx(chance, abs=2e-3)
        assert binary.deviation(middle, 7.0)[0] == pytest.approx(stabilised.std(), rel=0.01)


@pytest.mark.parametrize("axes", ["YX", "ZYX", "YXS"])
@pytest.mark.parametrize("side", [2, 3, 7])
def test_squares_hold_all_light(axes: str, side: int) -> None:
    shape = tuple({"Y": 31, "X": 44, "Z": 3, "S": 3}[axis] for axis in axes)
    image = Image(np.random.default_rng(0).poisson(3, shape).astype(float), axes)
    sums = summed(image, side)
    assert sums.sizes["Y"] == -(-31 // side)
    back = spread_out(sums, side, shape)
    assert back.shape == shape
    assert back.mean() == pytest.approx(image.data.mean(), rel=0.02)


@pytest.mark.parametrize("axes", ["YX", "XY", "ZYX", "YXS"])
def test_dithered_sums_are_right_over_small_areas(axes: str) -> None:
    shape = tuple({"Y": 64, "X": 48, "Z": 2, "S": 3}[axis] for axis in axes)
    values = np.random.default_rng(0).uniform(0, 0.2, shape)
    values = np.sort(values, axis=axes.index("X"))
    whole = whole_numbers(5 * values, axes, 5.0) / 5
    assert set(np.unique(whole)) <= {0.0, 1.0}
    piece = tuple(slice(8, 24) if axis in "YX" else 0 for axis in axes)
    assert abs(whole[piece].sum() - values[piece].sum()) < 4
