"""What methods that know the noise are shown of an image, and that the file's own comes back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hush
from helpers import data
from hush import io
from hush.core import registry
from hush.core.errors import HushError
from hush.core.image import Image
from hush.datasets.synthetic import epithelium
from hush.estimation.camera_pipeline import of_a_camera
from hush.methods._noise_aware import one_colour
from hush.pretrained import weights


@pytest.fixture
def camera() -> np.ndarray:
    return np.asarray(data.camera()[100:228, 180:308], np.float32)


@pytest.fixture
def grey(camera: np.ndarray) -> np.ndarray:
    """Noisy, with 8 bits."""
    noisy = camera + np.random.default_rng(0).normal(0, 15, camera.shape)
    return np.rint(noisy).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("method", "settings"), [("auto", {}), ("pretrained", {"scale": 1.0}), ("bm3d", {}), ("gaussian", {})]
)
def test_grey_stored_as_colours_is_denoised_as_grey(grey: np.ndarray, method: str, settings: dict[str, Any]) -> None:
    def run(image: Image) -> Any:
        model = registry.get("methods", method)(**settings).fit(image)
        std = np.full(image.data.shape, 7, np.float32) if model.uncertain else None
        return model.run(image, std=std)

    alone = run(Image(grey, "YX"))
    stored = Image(np.stack([grey] * 3 + [np.full_like(grey, 99)], -1), "YXS", meta={"description": "x"})
    result = run(stored)
    assert (result.image.data.dtype, result.image.axes, result.info["axes"]) == (np.uint8, "YXS", "YXS")
    assert result.image.meta["description"] == "x"
    for sample in range(3):
        np.testing.assert_array_equal(result.image.data[..., sample], alone.image.data)
    assert (result.image.data[..., 3] == 99).all()
    if alone.std is not None:
        assert result.std.axes == "YXS"
        np.testing.assert_array_equal(result.std.data[..., 1], alone.std.data)
    frames = Image(np.stack([stored.data, stored.data]), "TYXS")
    last = run(frames).image.data[1, ..., 2]  # the level of two frames is another one by a little
    np.testing.assert_allclose(last.astype(float), alone.image.data, atol=4)


def test_one_pixel_of_another_colour_is_a_colour(grey: np.ndarray) -> None:
    colours = np.stack([grey] * 3, -1)
    assert one_colour(Image(colours, "YXS")).axes == "YX"
    colours[5, 5, 1] ^= 1
    assert one_colour(Image(colours, "YXS")).axes == "YXS"


def test_of_grey_stored_as_colours_the_strength_of_brightness_is_that_of_all(grey: np.ndarray) -> None:
    image = Image(np.stack([grey] * 3, -1), "YXS")
    half = hush.Auto(strength_luma=0.5, strength_chroma=0.0).fit(image)
    whole = hush.Auto().fit(image).run(image).image.data.astype(float)
    result = half.run(image).image.data
    np.testing.assert_allclose(result, (image.data + whole) / 2, atol=1)
    assert (half.strength, half.strength_luma, half.strength_chroma) == (1.0, 0.5, 0.0)


def test_an_image_without_one_of_its_colours_is_no_photograph(grey: np.ndarray) -> None:
    other = np.rint(np.random.default_rng(1).normal(90, 12, grey.shape)).clip(0, 255).astype(np.uint8)
    image = Image(np.stack([grey, np.zeros_like(grey), other], -1), "YXS")
    assert not of_a_camera(np.moveaxis(image.data, -1, 0).astype(np.float32))
    model = hush.Auto().fit(image)
    result = model.run(image)
    assert getattr(model.chosen_, "taken_", None) != weights.BLIND_WEIGHTS
    assert (result.image.data[..., 1] == 0).all()
    assert result.image.data[..., 2].std() < 4


def test_a_dark_picture_takes_the_pattern_off_and_leaves_the_brightness(tmp_path: Path) -> None:
    clean = epithelium(128, seed=1).astype(np.float32)
    rng = np.random.default_rng(0)
    pattern = np.rint(rng.normal(100, 12, clean.shape)).astype(np.uint16)
    noisy = np.rint(clean + pattern + rng.normal(0, 8, clean.shape)).astype(np.uint16)
    io.write(tmp_path / "dark.tif", Image(pattern, "YX"))
    truth = clean + pattern.mean()
    for method in ("auto", "bm3d", "pretrained"):
        model = registry.get("methods", method)(dark=str(tmp_path / "dark.tif"))
        result = model.fit(noisy).run(noisy)
        assert result.image.data.dtype == np.uint16
        assert result.info["warnings"] == []
        assert abs(float(result.image.data.mean() - truth.mean())) < 0.5
        assert hush.rmse(result.image.data, truth) < 5
    with pytest.raises(HushError, match=r"\(128, 128\).*\(50, 128\)"):
        model.fit(noisy[:50])
    with pytest.raises(HushError, match=r"dark.*auto"):
        hush.SSDN(dark=str(tmp_path / "dark.tif")).fit(noisy)


def test_a_fit_for_grey_refuses_colours(grey: np.ndarray) -> None:
    colours = np.random.default_rng(0).integers(0, 255, (*grey.shape, 3)).astype(np.uint8)
    model = registry.get("methods", "bm3d")().fit(grey)
    with pytest.raises(HushError, match=r"\b1\b.*\b3\b"):
        model.run(Image(colours, "YXS"))
