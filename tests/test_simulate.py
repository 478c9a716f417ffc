"""Images made by rule, and noise put onto images."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hush.core.errors import HushError
from hush.core.image import Image, cast
from hush.datasets.synthetic import add_noise, epithelium
from hush.noise import parse


def test_noise_on_images(noisy: np.ndarray) -> None:
    image = Image(noisy.astype(np.uint8), "YX", {"X": 0.5}, "µm", {"description": "cells"})
    before = image.data.tobytes()
    one, same, other = (add_noise(image, parse("gaussian:sigma=0..50"), seed=seed) for seed in (1, 1, 2))
    assert one.data.dtype == np.float32
    assert one.data.tobytes() == same.data.tobytes() != other.data.tobytes()
    assert image.data.tobytes() == before
    assert (one.axes, one.scale, one.unit, one.meta["description"]) == ("YX", {"X": 0.5}, "µm", "cells")


def test_meta_says_how_to_make_the_same_noise_again(noisy: np.ndarray) -> None:
    image = Image(noisy, "YX")
    noise = add_noise(image, parse("gaussian:sigma=10..50"), seed=3, peak=25.5).meta["noise"]
    assert (noise["seed"], noise["peak"]) == (3, 25.5)
    sigma = float(noise["notation"].removeprefix("gaussian:sigma="))
    assert 1 <= sigma <= 5
    drawn = add_noise(image, parse(noise["notation"]), seed=3)
    assert (drawn.data - noisy).std() == pytest.approx(sigma, rel=0.05)


def test_amplitudes_are_scaled_to_the_peak_that_is_given() -> None:
    eight = Image(np.full((64, 64), 100, np.uint8), "YX")
    plain, said = (add_noise(eight, parse("gaussian:sigma=20"), peak=peak).data for peak in (None, 255))
    assert (plain == said).all()
    assert (plain - 100).std() == pytest.approx(20, rel=0.05)
    sixteen = Image(np.full((64, 64), 30000, np.uint16), "YX")
    for peak, sigma in ((None, 20), (65535, 20 * 257)):
        assert add_noise(sixteen, parse("gaussian:sigma=20"), peak=peak).data.std() == pytest.approx(sigma, rel=0.05)


def test_clipping_gives_the_own_dtype_back(noisy: np.ndarray) -> None:
    image = Image(noisy.astype(np.uint8), "YX")
    free, clipped = (add_noise(image, parse("gaussian:sigma=90"), clip=clip).data for clip in (False, True))
    assert clipped.dtype == np.uint8
    assert (clipped == cast(free, np.dtype(np.uint8))).all()
    assert free.min() < 0 < 255 < free.max()


@pytest.mark.parametrize("clip", [False, True])
def test_noise_keeps_opacity_and_nan(clip: bool) -> None:
    rgba = np.full((20, 20, 4), 100.0)
    rgba[..., 3] = 0.1  # float32 does not hold it
    rgba[3, 4, 1] = np.nan
    result = add_noise(Image(rgba, "YXS"), parse("gaussian:sigma=5 + bernoulli:p=0.3"), clip=clip).data
    assert (result[..., 3] == (0.1 if clip else np.float32(0.1))).all()
    assert np.isnan(result[3, 4, 1])
    assert np.isnan(result).sum() == 1


def test_colours_are_lost_together_and_channels_apart() -> None:
    data = np.full((24, 24, 3), 100, np.uint8)
    joint, apart = (add_noise(Image(data, axes), parse("bernoulli:p=0.4")).data == 0 for axes in ("YXS", "YXC"))
    for lost in (joint, apart):
        assert 0.3 < lost.mean() < 0.5
    assert (joint == joint[..., :1]).all()
    assert (apart[..., 0] != apart[..., 1]).any()


@pytest.mark.parametrize("axes", ["CYX", "TYX", "ZYX"])
def test_planes_have_one_level_and_noise_of_their_own(axes: str) -> None:
    result = add_noise(Image(np.zeros((3, 60, 60), np.float32), axes), parse("gaussian:sigma=5..50"), seed=5)
    sigma = float(result.meta["noise"]["notation"].removeprefix("gaussian:sigma="))
    np.testing.assert_allclose(result.data.std((1, 2)), sigma, rtol=0.06)
    assert abs(np.corrcoef(result.data.reshape(3, -1)) - np.eye(3)).max() < 0.1


@pytest.mark.parametrize(("name", "value"), [("seed", -1), ("peak", 0), ("peak", float("nan"))])
def test_impossible_settings_are_named(name: str, value: float) -> None:
    setting: dict[str, Any] = {name: value}
    with pytest.raises(HushError, match=f"{name} cannot be {value}"):
        add_noise(Image(np.zeros((4, 4)), "YX"), parse("gaussian:sigma=3"), **setting)


def test_epithelium_is_cells() -> None:
    assert epithelium(64, 1).tobytes() == epithelium(64, 1).tobytes() != epithelium(64, 2).tobytes()
    picture = epithelium()
    assert picture.dtype == np.float32
    assert 10 <= picture.min() < 11
    assert np.percentile(picture, 99.5) == pytest.approx(250, rel=0.1)
    assert 0.1 < (picture > 60).mean() < 0.5


@pytest.mark.parametrize("size", [16, 17, 43, 63])
def test_small_epithelia_have_membranes(size: int) -> None:
    for seed in range(60):
        picture = epithelium(size, seed)
        assert picture.shape == (size, size)
        assert np.isfinite(picture).all()
        assert np.ptp(picture) > 50
    with pytest.raises(HushError, match=r"\b16\b"):
        epithelium(15)


def test_epithelium_is_the_one_that_the_defaults_were_chosen_on() -> None:
    path = Path(__file__).parents[1] / "benchmarks" / "defaults.py"
    spec = importlib.util.spec_from_file_location("defaults", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert epithelium(512, 1).tobytes() == module.cells(1).tobytes()
