"""Colours of one scene are taken together; dyes of a composite, which share nothing, each by itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import ndimage
from skimage import data

import hush
from hush.core import registry
from hush.core.image import Image
from hush.datasets.synthetic import epithelium, fluorescence
from hush.estimation.one_scene import shared_structure
from hush.methods._noise_aware import ONE_SCENE


def method(name: str, **settings: Any) -> Any:
    return registry.get("methods", name)(**settings)


def cells(kind: Callable[[int, int], np.ndarray] = epithelium, size: int = 160) -> np.ndarray:
    values: np.ndarray = np.stack([kind(size, seed) for seed in range(3)], -1).astype(float)
    return np.asarray(values * (200 / values.max()) + 20)


def drawn(clean: np.ndarray, level: float, blur: float = 0.0) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, 1, clean.shape)
    noise = ndimage.gaussian_filter(noise, (blur, blur, 0)) if blur else noise
    return np.asarray(clean + level * noise / noise.std())


def shared(values: np.ndarray) -> float:
    return shared_structure(np.moveaxis(values.astype(float), -1, 0))


@pytest.mark.parametrize("picture", ["coffee", "astronaut", "immunohistochemistry"])
@pytest.mark.parametrize(("level", "blur"), [(0, 0), (10, 0), (50, 0), (20, 0.8)])
def test_photographs_share_structure_between_colours_whatever_their_noise(
    picture: str, level: float, blur: float
) -> None:
    assert shared(drawn(getattr(data, picture)()[100:356, 100:356].astype(float), level, blur)) > ONE_SCENE


@pytest.mark.parametrize("kind", [epithelium, fluorescence])
@pytest.mark.parametrize(("level", "blur"), [(0, 0), (10, 0), (40, 0), (20, 0.8)])
def test_dyes_share_none(kind: Callable[[int, int], np.ndarray], level: float, blur: float) -> None:
    assert shared(drawn(cells(kind), level, blur)) < ONE_SCENE


def test_a_colour_that_stands_alone_is_no_scene() -> None:
    green = np.zeros((64, 64, 3))
    assert shared(green) == 0
    green[..., 1] = epithelium(64)
    assert shared(green) == 0


def test_scale_and_offset_change_nothing() -> None:
    one = cells(size=128)
    for factor, offset in ((1e-17, 0.0), (1e12, 3e13)):
        assert shared(one * factor + offset) == pytest.approx(shared(one), rel=1e-3)


@pytest.mark.filterwarnings("ignore::hush.core.errors.HushWarning")  # what else it says of them
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("blur", [0.0, 0.7])
def test_dyes_are_denoised_as_channels_of_one_image_would_be(dtype: str, blur: float) -> None:
    noisy = drawn(cells(), 15, blur).clip(0, 255).astype(dtype)
    as_colours = (
        method("auto").fit(Image(noisy, "YXS")).run(Image(noisy, "YXS"), std=(std := np.zeros(noisy.shape, "f4")))
    )
    as_channels = hush.denoise(Image(noisy, "YXC"))
    np.testing.assert_array_equal(as_colours.image.data, as_channels.data)
    assert (as_colours.image.axes, as_colours.info["axes"], as_colours.image.data.dtype) == ("YXS", "YXS", noisy.dtype)
    decided = {one["name"]: one["passed"] for one in as_colours.info["decisions"]}
    assert decided["structure-shared-by-colours"] is False
    assert (std > 0).any((0, 1)).all()


def test_clean_dyes_stay_as_they_are() -> None:
    clean = np.rint(cells()).astype(np.uint8)
    np.testing.assert_array_equal(hush.denoise(Image(clean, "YXS")).data, clean)


@pytest.mark.filterwarnings("ignore:.*is constant")
def test_green_alone_leaves_the_others_black() -> None:
    noisy = np.zeros((96, 96, 3), np.uint8)
    noisy[..., 1] = drawn(cells(size=96), 15)[..., 1].clip(0, 255)
    found = hush.denoise(Image(noisy, "YXS")).data
    grey = hush.denoise(Image(np.ascontiguousarray(noisy[..., 1]), "YX")).data
    assert not found[..., [0, 2]].any()
    assert np.abs(found[..., 1].astype(int) - grey).max() <= 1


def test_who_speaks_of_brightness_and_colours_gets_them() -> None:
    noisy = Image(drawn(cells(size=96), 15).astype(np.float32), "YXS")
    for settings in ({"strength_chroma": 0.5}, {"joint_channels": True}):
        model = method("pretrained", **settings).fit(noisy)
        assert model.scene_ is None
    half = method("pretrained").fit(noisy)
    assert half.scene_ is not None
    whole, kept = (half.run(noisy, strength=hush.methods._base.Strength(share)).image.data for share in (1.0, 0.5))
    np.testing.assert_allclose(kept, (whole + noisy.data) / 2, atol=1e-3)
