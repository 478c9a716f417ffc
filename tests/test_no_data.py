"""Pixels that hold no data: left out of the analysis, filled for the method, and given back as they were."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import hush
from helpers import data
from hush.core import registry
from hush.core.image import Image
from hush.datasets.synthetic import epithelium
from hush.estimation.no_data import no_data, without_no_data
from hush.quality.diagnostics import contrast_lost

Y, X = np.mgrid[:96, :96]
TRUTH = 100 + 60 * np.sin(X / 9) * np.cos(Y / 7)
NOISY = (TRUTH + np.random.default_rng(0).normal(0, 12, TRUTH.shape)).astype(np.float32)
CORNER = X + Y < 50
FRAME = (np.minimum(X, Y) < 8) | (np.maximum(X, Y) > 94)
THIN = (np.minimum(X, Y) < 2) | (np.maximum(X, Y) > 94)


@pytest.mark.parametrize("value", [-500, -9999, 65535, float(np.finfo("f4").min), float(np.finfo("f4").max)])
@pytest.mark.parametrize("where", [CORNER, FRAME, THIN])
def test_an_area_of_one_far_value_is_left_out_and_stays(value: float, where: np.ndarray) -> None:
    image = np.where(where, np.float32(value), NOISY)
    if where is not THIN:
        np.testing.assert_array_equal(no_data(image), where)
    assert hush.analyze(image).channels[0].level == pytest.approx(12, rel=0.1)
    for method in ("auto", "bm3d"):
        with pytest.warns(hush.HushWarning):
            result: Any = hush.denoise(image, method)
        assert (result[where] == np.float32(value)).all()
        assert hush.rmse(result[~where], TRUTH[~where]) < 5


@pytest.mark.parametrize(("dtype", "value"), [(np.uint16, 65535), (np.int16, -9999), (np.int32, -(2**31))])
def test_whole_numbers_and_colours_keep_theirs(dtype: type, value: int) -> None:
    image = np.rint(NOISY).astype(dtype)
    image[CORNER] = value
    stored = Image(np.stack([image] * 3, -1), "YXS")
    with pytest.warns(hush.HushWarning):
        alone: Any = hush.denoise(image, "bm3d")
        colours = hush.denoise(stored, "bm3d").data
    assert alone.dtype == dtype
    assert (alone[CORNER] == value).all()
    assert hush.rmse(alone[~CORNER], TRUTH[~CORNER]) < 5
    assert (colours == alone[..., None]).all()


@pytest.mark.filterwarnings("ignore::hush.HushWarning")
def test_how_far_they_are_off_is_not_known() -> None:
    image = np.where(CORNER, np.float32(-9999), NOISY)
    model = registry.get("methods", "auto")().fit(image)
    spread = np.zeros(image.shape, np.float32)
    model.run(image, std=spread)
    assert np.isnan(spread[CORNER]).all()
    assert (spread[~CORNER] > 0).all()


@pytest.mark.parametrize(("air", "padding"), [(-1000, -1024), (50, 42)])
def test_padding_among_the_values_of_the_dark_is_missing(air: float, padding: int) -> None:
    """As around the field of view of computed tomography: noise makes values below it as well."""
    far = np.hypot(Y - 48, X - 48)
    clean = np.where(far < 42, air + 1000 + 30 * np.sin(X / 7), air)
    rng = np.random.default_rng(0)
    image = np.where(far < 46, clean + rng.normal(0, 25, clean.shape), padding).round().astype(np.int16)
    where = no_data(image)
    assert where is not None
    assert (where != (far >= 46)).sum() < 10
    assert hush.analyze(image).channels[0].level == pytest.approx(25, rel=0.15)


def test_what_was_measured_is_not_missing() -> None:
    rng = np.random.default_rng(0)
    cells = epithelium(192, 3).astype(float)
    pictures = [
        data.page(),
        data.moon()[:200, :200],
        data.rocket()[:200, :300, 1],
        np.rint(cells),
        rng.poisson(cells / 20),
        rng.poisson(cells / 500),
        rng.random(cells.shape) < 0.02,
        np.where(rng.random(cells.shape) < 0.9, 0, 90 + cells),
        np.where(rng.random(cells.shape) < 0.3, 255, 60 + cells / 20),
        np.kron(rng.integers(0, 2, (9, 9)), np.ones((9, 9))),
    ]
    for picture in pictures:
        for kind in (np.float32, np.uint16):
            assert no_data(np.asarray(picture).astype(kind)) is None


@pytest.mark.parametrize("share", [0.2, 0.3, 0.5, 0.8])
def test_pixels_that_are_missing_all_over(share: float) -> None:
    rng = np.random.default_rng(0)
    image = rng.normal(100, 8, (96, 96)).astype(np.float32)
    gone = rng.random(image.shape) < share
    image[gone] = np.nan
    assert hush.analyze(image).channels[0].level == pytest.approx(8, rel=0.15)
    with pytest.warns(hush.HushWarning):
        result: Any = hush.denoise(image)
    assert np.isnan(result[gone]).all()
    assert result[~gone].std() < 6


def test_a_result_without_contrast_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    kind = registry.get("methods", "median")
    monkeypatch.setattr(kind, "filter", lambda self, values, sigma, value: 0 * values)
    monkeypatch.setattr("hush.methods._filter.BOUNDED", ())  # where what noise cannot do stays, contrast does
    with pytest.warns(hush.HushWarning) as seen:
        np.testing.assert_array_equal(hush.denoise(NOISY, "median"), NOISY)
    assert "contrast-lost" in [getattr(one.message, "code", None) for one in seen]
    flat = np.random.default_rng(0).normal(100, 8, (96, 96))
    assert not contrast_lost(flat, 0 * flat)  # it has no contrast but its noise


def test_what_a_file_says_is_padding_is_no_data() -> None:
    image = np.random.default_rng(0).integers(40, 60, (32, 32)).astype(np.int16)
    image[3, 5], image[9, 9:12] = -2000, -1990
    for padding, missing in ((-2000, 1), ((-2000, -1990), 4), (None, 0)):
        meta = {} if padding is None else {"padding": padding}
        found = without_no_data(hush.Image(image, "YX", meta=meta))
        assert int((~np.isfinite(np.asarray(found.data, np.float64))).sum()) == missing
    with pytest.warns(hush.HushWarning):
        result = hush.denoise(hush.Image(image, "YX", meta={"padding": (-2000, -1990)}), method="median")
    assert (result.data[image < 0] == image[image < 0]).all()
    assert abs(float(result.data[image > 0].mean()) - 50) < 2
