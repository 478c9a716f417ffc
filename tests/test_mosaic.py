"""The planes of a mosaic, denoised together: an orthogonal mixture of what is in units of its noise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hush.core import registry
from hush.core.image import Image
from hush.estimation.report import ChannelNoise
from hush.methods._mosaic import MOSAIC_OPPONENT, MosaicConditioning, is_mosaic
from hush.pretrained import weights
from hush.vst.stabilizer import Stabilizer

CAMERA = {"camera": {"pattern": "GRBG"}}


def scene() -> np.ndarray:
    """Four planes with one structure, and a colour."""
    y, x = np.indices((96, 96))
    light = 2000 + 800 * np.sin(x / 11) * np.cos(y / 9) + 500 * (np.hypot(y - 50, x - 40) < 25)
    return np.asarray(light * np.array([0.5, 1.0, 1.0, 0.7]).reshape(4, 1, 1))


def noisy() -> Image:
    rng = np.random.default_rng(0)
    clean = scene()
    values = 20 * rng.poisson(clean / 20) + rng.normal(0, 30, clean.shape) + 512
    return Image(np.rint(values).astype(np.uint16), "CYX", meta=CAMERA)


def test_the_mixture_is_orthogonal_and_its_first_plane_is_brightness() -> None:
    np.testing.assert_allclose(MOSAIC_OPPONENT @ MOSAIC_OPPONENT.T, np.eye(4), atol=1e-6)
    np.testing.assert_allclose(MOSAIC_OPPONENT @ np.ones(4), [2, 0, 0, 0], atol=1e-6)


@pytest.mark.parametrize(
    ("pattern", "channels", "expected"),
    [("RGGB", 4, True), ("GBRG", 4, True), ("RGWB", 4, False), (None, 4, False), ("RGGB", 3, False)],
)
def test_only_planes_of_a_bayer_mosaic_are_taken_for_one(pattern: str | None, channels: int, expected: bool) -> None:
    image = Image(np.zeros((channels, 8, 8)), "CYX", meta={"camera": {"pattern": pattern}})
    assert is_mosaic(image) is expected
    assert not is_mosaic(replace(image, meta={}))


def test_what_is_shown_comes_back_and_its_noise_is_of_level_one() -> None:
    ways = [Stabilizer(ChannelNoise("gaussian", 0.0, 0.0, s, 0.0, s**2)) for s in (2.0, 3.0, 3.0, 5.0)]
    noise = np.random.default_rng(0).normal(0, 1, (4, 64, 64)) * np.array([2, 3, 3, 5]).reshape(4, 1, 1)
    card = weights.card("gaussian-fast")
    shown = MosaicConditioning.of([noise], ways, card, True)
    mixed = shown.mixed(noise)
    np.testing.assert_allclose(shown.unmixed(mixed), noise, atol=1e-5)
    np.testing.assert_allclose(np.cov(mixed.reshape(4, -1)), np.eye(4), atol=0.06)
    np.testing.assert_allclose(shown.level(np.array([2.0, 3.0, 3.0, 5.0])), np.ones((4, 1, 1)), atol=1e-6)
    np.testing.assert_allclose(shown.unmixed_variance(np.ones((4, 1, 1))).ravel(), [4, 9, 9, 25], rtol=1e-5)
    assert shown.planes(noise, shown.level(np.array([2.0, 3.0, 3.0, 5.0]))).shape[0] == 4


def test_planes_together_are_nearer_to_the_scene_than_each_by_itself() -> None:
    image, errors = noisy(), []
    for joint in (False, True):
        model = registry.get("methods", "pretrained")(joint_channels=joint, scale=1.0).fit(image)
        errors.append(float(np.square(model.denoise(image).data - (scene() + 512)).mean()))
    before = float(np.square(image.data - (scene() + 512)).mean())
    assert errors[1] < errors[0] < before / 4


def test_the_automatic_choice_takes_them_together() -> None:
    image = noisy()
    model = registry.get("methods", "auto")().fit(image)
    assert (model.chosen_.method, model.chosen_.joint_channels) == ("pretrained", True)
    assert not registry.get("methods", "auto")().fit(image.with_meta(camera={})).chosen_.joint_channels
    result = model.denoise(image)
    assert (result.data.dtype, result.data.shape) == (image.data.dtype, image.data.shape)
    np.testing.assert_allclose(result.data.mean((1, 2)), image.data.mean((1, 2)), rtol=2e-3)  # no cast of colour
