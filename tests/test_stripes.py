"""Stripes: what is found, what is taken off, and what stays since it may be the picture."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import hush
from hush.core.image import Image
from hush.datasets.synthetic import epithelium
from hush.estimation.stripes import amplitudes, offsets, without_stripes
from hush.methods._base import Strength

Floats = np.ndarray[Any, np.dtype[np.floating[Any]]]
SIDE = 192


def scene() -> Floats:
    y, x = np.mgrid[:SIDE, :SIDE]
    cells = epithelium(SIDE, 3).astype(np.float64)
    values: Floats = 60 + 30 * np.sin(x / 40) * np.cos(y / 55) + 0.4 * cells
    return values


def lines(amplitude: float, axis: str, seed: int = 0) -> Floats:
    each = np.random.default_rng(seed).normal(0, amplitude, SIDE)
    shape = (SIDE, 1) if axis == "rows" else (1, SIDE)
    return np.broadcast_to(each.reshape(shape), (SIDE, SIDE))


def rms(values: Any) -> float:
    return float(np.std(np.asarray(values, np.float64)))


@pytest.mark.parametrize("axis", ["rows", "columns"])
@pytest.mark.parametrize("amplitude", [15, 5])
def test_stripes_alone_are_taken_off(axis: str, amplitude: float) -> None:
    noisy = (scene() + lines(amplitude, axis)).astype(np.float32)
    result = hush.Auto().fit(noisy).run(noisy)
    assert rms(result.image.data - scene()) < 0.4 * amplitude
    assert result.info["noise"]["stripes"] == {axis: pytest.approx(amplitude, rel=0.2)}
    assert result.info["chosen"] is None


def test_stripes_and_noise_together() -> None:
    drawn = np.random.default_rng(1).normal(0, 10, (SIDE, SIDE))
    plain, striped = scene() + drawn, scene() + drawn + lines(15, "rows")
    without, result = hush.Auto().fit(plain).run(plain), hush.Auto().fit(striped).run(striped)
    assert result.info["noise"]["sigma"] == pytest.approx(10, rel=0.1)
    assert rms(result.image.data - scene()) < rms(without.image.data - scene()) + 0.4 * 15


def test_rows_and_columns_at_once() -> None:
    noisy = scene() + lines(12, "rows") + lines(9, "columns", 1)
    found = hush.analyze(noisy).channels[0].stripes
    assert found == {"rows": pytest.approx(12, rel=0.2), "columns": pytest.approx(9, rel=0.2)}
    assert rms(without_stripes(noisy, found) - scene()) < 0.4 * 15


def test_each_plane_loses_its_own_and_the_file_stays_what_it_was() -> None:
    stack = np.stack([scene() + lines(15, "rows", seed) for seed in range(3)])
    noisy = Image(np.rint(stack + 1000).astype(np.uint16), "ZYX")
    model = hush.Auto().fit(noisy)
    clean = model.denoise(noisy)
    assert (clean.data.dtype, clean.axes, clean.data.shape) == (np.uint16, "ZYX", noisy.data.shape)
    assert rms(clean.data - 1000.0 - scene()) < 0.4 * 15
    kept = model.run(noisy, strength=Strength(0.0)).image
    np.testing.assert_array_equal(kept.data, noisy.data)


def test_missing_pixels_stay_missing() -> None:
    noisy = (scene() + lines(15, "rows")).astype(np.float32)
    noisy[40:70, 30:90] = np.nan
    noisy[100] = np.nan
    clean = hush.Auto().fit(noisy).denoise(noisy).data
    np.testing.assert_array_equal(np.isnan(clean), np.isnan(noisy))
    known = np.isfinite(noisy)
    assert rms((clean - scene())[known]) < 0.4 * 15


def test_colours_have_stripes_of_their_own() -> None:
    colours = np.stack([scene() + lines(12, "rows", 7), scene() + 20, scene() + lines(12, "rows", 8)], -1)
    found = hush.analyze(Image(colours, "YXS"))
    assert [list(channel.stripes) for channel in found.channels] == [["rows"], [], ["rows"]]
    clean = hush.BM3D().fit(Image(colours, "YXS")).denoise(Image(colours, "YXS")).data
    assert rms(clean[..., 0] - scene()) < 0.35 * 12


def test_a_step_of_the_picture_is_none() -> None:
    step = np.where(np.arange(SIDE) < 80, 0.0, 90.0)
    each = np.random.default_rng(5).normal(0, 4, SIDE)
    found = offsets(scene() + (step + each)[:, None])
    assert abs(found[70:80].mean() - found[80:90].mean() - each[70:80].mean() + each[80:90].mean()) < 9


def test_rounded_offsets_are_known_to_less_than_a_step() -> None:
    x = np.arange(SIDE)
    each = np.random.default_rng(2).uniform(-0.5, 0.5, SIDE)
    found = offsets(np.rint(100 + x / 3 + each[:, None]))
    assert np.corrcoef(found, each)[0, 1] > 0.8


@pytest.mark.parametrize("sigma", [0, 2, 10])
@pytest.mark.parametrize("wide", [1, 2, 5])
def test_a_barcode_is_the_picture(wide: int, sigma: float) -> None:
    rng = np.random.default_rng(0)
    bars = np.repeat(rng.integers(0, 2, SIDE // wide + 1), wide)[:SIDE] * 200.0
    seen = np.tile(bars, (SIDE, 1)) + rng.normal(0, 1, (SIDE, SIDE)) * sigma
    assert amplitudes(seen, sigma) == {}


def test_what_is_said_of_stripes_is_used() -> None:
    noisy = scene() + lines(1.0, "columns") + np.random.default_rng(3).normal(0, 10, (SIDE, SIDE))
    said = "gaussian:sigma=10 + stripes:amplitude=1,axis=columns"
    assert hush.analyze(noisy).channels[0].stripes == {}  # too faint to be sure of
    assert hush.Auto(noise=said).fit(noisy).found_.channels[0].stripes == {"columns": 1.0}
    assert hush.Auto(noise="gaussian:sigma=10").fit(noisy).found_.channels[0].stripes == {}
