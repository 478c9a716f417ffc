"""The contract that every registered method keeps, and what is particular to the hidden-pixel methods."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import hush
from conftest import SMALL
from hush.core import registry
from hush.core.errors import HushError, HushWarning
from hush.core.image import Image
from hush.core.metrics import psnr
from hush.methods._filter import Filter
from hush.methods._learned import NetDenoiser
from hush.methods._model_file import save_model

# of those that take a series of volumes, tests/test_mppca.py asks the same
METHODS = [name for name in registry.names("methods") if registry.get("methods", name).needs != "noisy volumes"]
LEARNED = [name for name in METHODS if issubclass(registry.get("methods", name), NetDenoiser)]
FILTERS = [name for name in METHODS if issubclass(registry.get("methods", name), Filter)]


def build(name: str, **settings: Any) -> Any:
    kind = registry.get("methods", name)
    known = {key: value for key, value in SMALL.items() if key in kind.settings_of()}
    if name == "dncnn":  # so deep a network has hardly moved after six steps
        known |= {"depth": 3, "steps": 30, "learning_rate": 0.02}
    if name == "autoencoder":  # it is shown no more pixels than that, and warns where they are less than an image has
        known |= {"patch": 128}
    return kind(**{**known, **settings})


def taught(model: Any, image: Any, partner: Any = None) -> Any:
    """Fit, with a partner where the method needs one: the image mirrored, if nothing else is given."""
    if model.needs not in ("noisy pairs", "noisy and clean"):
        return model.fit(image)
    if partner is None:
        mirrored = image.data if isinstance(image, Image) else image
        mirrored = np.flip(mirrored, -2)
        partner = replace(image, data=mirrored) if isinstance(image, Image) else mirrored
    return model.fit(image, partner)


@pytest.mark.parametrize("name", METHODS)
def test_describes_itself_without_being_imported(name: str) -> None:
    facts = registry.describe("methods", name)
    kind = registry.get("methods", name)
    assert facts["about"] == (kind.__doc__ or "").split("\n")[0]
    assert facts["needs"] == kind.needs
    assert facts["scope"] == kind.scope
    assert kind().method == name


@pytest.mark.parametrize("name", METHODS)
def test_constructor_stores_and_nothing_else(name: str) -> None:
    kind = registry.get("methods", name)
    for key, value in kind().settings.items():
        assert getattr(kind(**{key: value}), key) == value
    with pytest.raises(HushError, match="call fit"):
        kind().run(np.zeros((8, 8), np.float32))


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize(("axes", "other"), [("YXS", "YXC"), ("YXC", "YXS")])
def test_colours_and_channels_are_not_taken_for_each_other(name: str, axes: str, other: str) -> None:
    values = np.random.default_rng(0).normal(100, 9, (33, 20, 3)).astype(np.float32)
    model = taught(build(name), Image(values, axes))
    with pytest.raises(HushError, match="3"):
        model.run(Image(values, other))


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize(
    ("axes", "shape", "dtype"),
    [
        ("YX", (33, 47), "u1"),
        ("ZYX", (2, 33, 20), "u2"),
        ("CYX", (2, 20, 33), "f4"),
        ("YXS", (33, 20, 3), "u1"),
        ("TCZYX", (1, 2, 2, 18, 17), "i2"),
        ("YX", (33, 20), "f8"),
        ("YX", (33, 20), "f2"),
        ("YX", (33, 20), ">u2"),
    ],
)
def test_what_goes_in_comes_out(name: str, axes: str, shape: tuple[int, ...], dtype: str) -> None:
    data = np.random.default_rng(0).normal(100, 15, shape).astype(dtype)
    image = Image(data, axes, {"X": 0.5}, "µm", {"channels": ["a", "b"]})
    before = data.copy()
    result = taught(build(name), image).run(image)
    assert (result.image.axes, result.image.scale, result.image.unit) == (axes, {"X": 0.5}, "µm")
    assert result.image.data.dtype == data.dtype
    assert result.image.data.shape == shape
    assert result.image.meta["channels"] == ["a", "b"]
    assert result.image.meta["hush"]["method"] == name
    assert 50 < result.image.data.astype(float).mean() < 150
    assert (result.image.data != data).any()
    np.testing.assert_array_equal(data, before)
    assert result.info["warnings"] == []


@pytest.mark.parametrize("name", LEARNED)
@pytest.mark.parametrize("augmented", [False, True])
@pytest.mark.parametrize("shape", [(70, 91), (3, 700), (1, 1), (2, 5), (64, 64)])
def test_tiled_is_untiled(
    name: str, augmented: bool, shape: tuple[int, int], noisy: np.ndarray, tmp_path: Path
) -> None:
    model = taught(build(name, precision="float32"), noisy)
    save_model(model, tmp_path / "m.hush")
    image = np.random.default_rng(1).normal(100, 20, shape).astype(np.float32)
    how = {"precision": "float32", "tta": augmented}
    models = [hush.load(tmp_path / "m.hush", tile=tile, **how) for tile in (16, 4096)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HushWarning)
        small, whole = (model.denoise(image).data for model in models)
    # within 1e-5 of the noise's own scale
    np.testing.assert_allclose(small, whole, rtol=0, atol=1e-5 * 20)


@pytest.mark.parametrize("name", LEARNED)
def test_tiled_is_untiled_in_three_dimensions(name: str, tmp_path: Path) -> None:
    volume = Image(np.random.default_rng(1).normal(100, 20, (9, 37, 41)).astype(np.float32), "ZYX")
    save_model(taught(build(name, ndim=3, depth=1), volume), tmp_path / "m.hush")
    small = hush.load(tmp_path / "m.hush", tile=8).denoise(volume).data
    whole = hush.load(tmp_path / "m.hush", tile=64).denoise(volume).data
    np.testing.assert_allclose(small, whole, rtol=0, atol=1e-5 * 20)


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("shape", [(170, 191), (3, 300), (1, 1), (2, 5), (64, 64)])
def test_filters_tiled_are_untiled(name: str, shape: tuple[int, int], noisy: np.ndarray) -> None:
    image = np.random.default_rng(1).normal(100, 20, shape).astype(np.float32)
    models = [build(name, sigma=20.0, tile=tile).fit(noisy) for tile in (48, 4096)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HushWarning)
        small, whole = (model.denoise(image).data for model in models)
    np.testing.assert_allclose(small, whole, rtol=0, atol=1e-5 * 20)


@pytest.mark.parametrize("name", [name for name in FILTERS if registry.get("methods", name).volumes])
def test_filters_take_volumes(name: str) -> None:
    rng = np.random.default_rng(1)
    clean = np.broadcast_to(50 * np.sin(np.arange(40) / 6), (12, 36, 40))
    volume = Image((clean + rng.normal(100, 20, clean.shape)).astype(np.float32), "ZYX")
    flat, deep = (build(name, ndim=ndim, sigma=20.0).fit(volume).denoise(volume).data for ndim in (2, 3))
    assert flat.tobytes() != deep.tobytes()
    assert np.abs(deep - 100 - clean).mean() < np.abs(volume.data - 100 - clean).mean()
    small = build(name, ndim=3, sigma=20.0, tile=16).fit(volume).denoise(volume).data
    np.testing.assert_allclose(small, deep, rtol=0, atol=1e-5 * 20)


def test_bm3d_takes_no_volumes() -> None:
    with pytest.raises(HushError, match="--ndim 3"):
        build("bm3d", ndim=3).fit(Image(np.zeros((4, 32, 32)), "ZYX"))


@pytest.mark.parametrize("name", LEARNED)
def test_same_seed_same_bytes(name: str, noisy: np.ndarray) -> None:
    first, again, other = (taught(build(name, seed=seed), noisy).denoise(noisy).data for seed in (1, 1, 2))
    assert first.tobytes() == again.tobytes()
    assert first.tobytes() != other.tobytes()


@pytest.mark.parametrize("name", LEARNED)
def test_a_saved_model_is_the_model(name: str, noisy: np.ndarray, tmp_path: Path) -> None:
    model = taught(build(name), noisy)
    save_model(model, tmp_path / "m.hush")
    loaded = hush.load(tmp_path / "m.hush")
    assert loaded.denoise(noisy).data.tobytes() == model.denoise(noisy).data.tobytes()
    assert {k: v for k, v in loaded.settings.items() if k != "precision"} == {
        k: v for k, v in model.settings.items() if k != "precision"
    }


@pytest.mark.parametrize("name", METHODS)
def test_missing_pixels_stay_missing_and_do_not_spread(name: str, noisy: np.ndarray) -> None:
    holed = noisy.copy()
    holed[5, 7], holed[20:23, 30:33], holed[40, 1] = np.nan, np.inf, -np.inf
    with pytest.warns(HushWarning, match=r"\b11\b"):
        result = taught(build(name), holed).run(holed)
    gone = ~np.isfinite(holed)
    np.testing.assert_array_equal(result.image.data[gone], holed[gone])
    assert np.isfinite(result.image.data[~gone]).all()
    assert len(result.info["warnings"]) == 1


@pytest.mark.parametrize("name", METHODS)
def test_a_constant_image_comes_back_unchanged(name: str) -> None:
    flat = np.full((30, 30), 7, np.uint8)
    with pytest.warns(HushWarning, match="constant"):
        assert (taught(build(name), flat).denoise(flat).data == 7).all()


def test_one_constant_channel_does_not_stop_the_other(noisy: np.ndarray) -> None:
    image = Image(np.stack([np.zeros_like(noisy), noisy]), "CYX")
    with pytest.warns(HushWarning, match="constant"):
        clean = build("n2v").fit(image).denoise(image).data
    assert not clean[0].any()
    assert clean[1].std() < noisy.std()


def test_alpha_is_copied(noisy: np.ndarray) -> None:
    rgba = np.dstack([noisy.clip(0, 255)] * 3 + [np.arange(noisy.size).reshape(noisy.shape) % 256]).astype(np.uint8)
    clean = build("n2v").fit(rgba).denoise(rgba).data
    assert (clean[..., 3] == rgba[..., 3]).all()
    assert (clean[..., :3] != rgba[..., :3]).any()


def test_bool_is_cut_at_one_half() -> None:
    image = np.random.default_rng(0).random((30, 30)) < 0.5
    with pytest.warns(HushWarning, match="two values"):
        assert build("n2v").fit(image).denoise(image).data.dtype == bool


def test_brightness_and_colours_have_strengths_of_their_own() -> None:
    rng = np.random.default_rng(0)
    image = Image(rng.normal(100, 20, (40, 36, 3)).astype(np.float32), "YXS")
    clean = build("gaussian", sigma=20.0).fit(image).denoise(image).data
    luma = np.array([0.299, 0.587, 0.114], np.float32)
    for settings, bright, colour in [
        ({"strength_luma": 0.0}, image.data, clean),
        ({"strength_chroma": 0.0}, clean, image.data),
        ({"strength": 0.5, "strength_luma": 1.0}, clean, (clean + image.data) / 2),
    ]:
        mixed = build("gaussian", sigma=20.0, **settings).fit(image).denoise(image).data
        np.testing.assert_allclose(mixed @ luma, bright @ luma, atol=1e-3)
        expected = colour - (colour @ luma)[..., None]
        np.testing.assert_allclose(mixed - (mixed @ luma)[..., None], expected, atol=1e-3)
    grey = Image(image.data[..., 0], "YX")
    with pytest.raises(HushError, match=r"RGB.*--strength"):
        build("gaussian", sigma=20.0, strength_luma=0.5).fit(grey).run(grey)


def test_strength_mixes_noise_back_in_image_units(noisy: np.ndarray) -> None:
    model = build("n2v").fit(noisy)
    full = model.denoise(noisy).data
    model.strength = 0.25
    np.testing.assert_allclose(model.denoise(noisy).data, noisy + 0.25 * (full - noisy), rtol=1e-5)


@pytest.mark.parametrize("name", METHODS)
def test_noise_goes_and_the_picture_stays(name: str) -> None:
    """On white noise over a smooth picture every method gains at least 4 dB in a few seconds."""
    y, x = np.mgrid[:128, :128]
    clean = (100 + 60 * np.sin(x / 9) * np.cos(y / 7)).astype(np.float32)
    image = clean + np.random.default_rng(0).normal(0, 25, clean.shape).astype(np.float32)
    how = {"steps": 80, "maps": 8, "batch": 8, "patch": 32, "learning_rate": 4e-3} if name in LEARNED else {}
    how |= (
        {"learning_rate": 1e-3} if name == "ssdn" else {}
    )  # without batch norm, so few pixels a step need a lower one
    how |= {"patch": 128} if name == "autoencoder" else {}
    how |= {"depth": 3} if name == "noise2fast" else {}  # a deeper chain is still flat after so few steps
    if name == "dip":
        how |= {"steps": 100, "maps": 8, "inputs": 8, "depth": 3, "smoothing": 0.9}
    again = clean + np.random.default_rng(1).normal(0, 25, clean.shape).astype(np.float32)
    model = build(name, **how, **({"depth": 4} if name == "dncnn" else {}))
    partner = again if model.needs == "noisy pairs" else clean
    gain = psnr(taught(model, image, partner).denoise(image), clean, 255) - psnr(image, clean, 255)
    assert gain > 4


def test_structn2v_removes_what_noise2void_keeps() -> None:
    """Noise correlated along rows: hiding the row's neighbours as well gains over plain Noise2Void."""
    y, x = np.mgrid[:128, :128]
    clean = (100 + 60 * np.sin(x / 19) * np.cos(y / 17)).astype(np.float32)
    white = np.random.default_rng(0).normal(0, 40, (128, 130))
    image = clean + ((white[:, :-2] + white[:, 1:-1] + white[:, 2:]) / 3).astype(np.float32)
    how = {"steps": 200, "maps": 8, "batch": 8, "patch": 32}
    plain = registry.get("methods", "n2v")(**how, augment="flips").fit(image).denoise(image)
    masked = registry.get("methods", "structn2v")(**how, mask="1x5").fit(image).denoise(image)
    assert psnr(masked, clean, 255) > psnr(plain, clean, 255) + 1


@pytest.mark.parametrize(
    ("settings", "part"),
    [
        ({"maps": 0}, "maps"),
        ({"patch": 3}, "patch"),
        ({"patch": 18}, "multiple of 4"),
        ({"kernel": 4}, "odd"),
        ({"rule": "best"}, "uniform"),
        ({"hidden_fraction": 0.9}, "0.5"),
        ({"strength": 1.5}, "strength"),
        ({"ndim": 4}, "2 or 3"),
        ({"steps": 0}, "steps"),
        ({"device": "tpu"}, "not here"),
    ],
)
def test_settings_that_make_no_sense(settings: dict[str, Any], part: str, noisy: np.ndarray) -> None:
    with pytest.raises(HushError, match=part):
        build("n2v", **settings).fit(noisy)


def test_images_that_do_not_fit() -> None:
    with pytest.raises(HushError):
        build("n2v").fit(np.zeros((1, 1)))
    two, three = (Image(np.random.default_rng(0).random((n, 20, 20)), "CYX") for n in (2, 3))
    with pytest.raises(HushError, match=r"2.*3.*--each"):
        build("n2v").fit([two, three])
    with pytest.raises(HushError, match=r"\b2\b.*\b3\b"):
        build("n2v").fit(two).run(three)
    with pytest.raises(HushError, match="finite"):
        build("n2v").fit(np.full((20, 20), np.nan))


@pytest.mark.parametrize("shape", [(1, 200), (200, 1), (3, 90), (5, 6)])
def test_thin_images_can_be_learned_from(shape: tuple[int, int]) -> None:
    image = np.random.default_rng(0).normal(100, 20, shape).astype(np.float32)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        clean = build("n2v", steps=30).fit(image).denoise(image).data
    assert ["thin" in str(one.message) for one in caught] == [True] * (1 in shape)
    assert np.isfinite(clean).all()
    assert clean.std() < image.std()


def test_many_images_train_one_model() -> None:
    images = [np.random.default_rng(k).normal(100, 20, (20 + k, 30)).astype(np.float32) for k in range(30)]
    model = build("n2v").fit(images)
    assert len(model.nets_) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert model.denoise(images[7]).data.shape == (27, 30)


def test_model_files_that_are_none(tmp_path: Path, noisy: np.ndarray) -> None:
    path = tmp_path / "m.hush"
    model = build("n2v").fit(noisy)
    save_model(model, path)
    with pytest.raises(HushError, match="--overwrite"):
        save_model(model, path)
    whole = path.read_bytes()
    for name, content, part in (
        ("half.hush", whole[: len(whole) // 2], "damaged"),
        ("text.hush", b"hello", "not a model"),
        ("empty.hush", b"", "not a model"),
        ("newer.hush", whole.replace(b'\\"format\\": 1', b'\\"format\\": 9'), "format 9"),
        ("method.hush", whole.replace(b'\\"method\\": \\"n2v\\"', b'\\"method\\": \\"n9v\\"'), "no method 'n9v'"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(HushError, match=part):
            hush.load(tmp_path / name)
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(1)}, tmp_path / "foreign.hush")
    with pytest.raises(HushError, match=r"foreign\.hush"):
        hush.load(tmp_path / "foreign.hush")
    with pytest.raises(HushError, match=r"missing\.hush"):
        hush.load(tmp_path / "missing.hush")
    with pytest.raises(HushError, match=tmp_path.name):
        hush.load(tmp_path)
    with pytest.raises(HushError, match=r"maps.*device, precision"):
        hush.load(path, maps=3)
