"""Sharpening: the kernel, what it leaves alone, and that it is the last step of any method."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

import hush
from conftest import SMALL, records
from hush import io
from hush.core import registry
from hush.core.errors import HushError, HushWarning
from hush.core.image import Image, cast
from hush.methods._model_file import save_model
from hush.methods._sharpen import sharpen, sharpened

KERNEL = np.array([[0, -1, 0], [-1, 5, -1], [0, -1, 0]])  # the paper's
Run = Callable[..., tuple[int, str, str]]


def picture(*shape: int, seed: int = 0) -> np.ndarray:
    return np.asarray(np.random.default_rng(seed).normal(100, 20, shape), np.float32)


def sharp(data: np.ndarray, axes: str, noisy: np.ndarray | None = None) -> np.ndarray:
    result = Image(data.copy(), axes)
    sharpen(result, result if noisy is None else Image(noisy, axes))
    return np.asarray(result.data)


def by_scipy(values: np.ndarray) -> np.ndarray:
    return np.asarray(ndimage.convolve(values.astype(np.float64), KERNEL, mode="nearest"))


def test_a_point_becomes_the_kernel() -> None:
    point = np.zeros((1, 5, 5))
    point[0, 2, 2] = 1
    np.testing.assert_array_equal(sharpened(point)[0, 1:4, 1:4], KERNEL)


@pytest.mark.parametrize("shape", [(40, 50), (1, 30), (30, 1), (1, 1), (1100, 1030)])
def test_it_is_a_convolution_with_edges_repeated(shape: tuple[int, int]) -> None:
    """The last shape has several tiles."""
    values = picture(*shape)
    np.testing.assert_allclose(sharp(values, "YX"), by_scipy(values), rtol=0, atol=1e-3)


def test_the_mean_stays_and_a_constant_stays_exactly() -> None:
    values = np.random.default_rng(0).normal(1e3, 50, (33, 47))
    assert sharp(values, "YX").mean() == pytest.approx(values.mean(), rel=1e-12)
    for flat in (np.full((9, 9), 0.1, np.float32), np.full((9, 9), 65535, np.uint16), np.full((9, 9), -7.3)):
        assert (sharp(flat, "YX") == flat).all()


@pytest.mark.parametrize("dtype", ["u1", "i2", ">u2", "u4", "f2", "f4", "f8", "?"])
def test_only_the_range_of_the_type_clips(dtype: str) -> None:
    kind = np.dtype(dtype)
    top = np.iinfo(kind).max if kind.kind in "ui" else 1
    steps = np.broadcast_to(np.array([0, 0, top, top]), (3, 4)).astype(kind)
    below, above = {"u": (0, top), "b": (0, 1), "i": (-top, top), "f": (-1, 2)}[kind.kind]
    expected = [0, below, above, top]
    result = sharp(steps, "YX")
    assert result.dtype == kind
    np.testing.assert_array_equal(result, np.broadcast_to(expected, (3, 4)).astype(kind))


def test_planes_and_colours_are_sharpened_apart_and_opacity_stays() -> None:
    stack = picture(2, 2, 3, 20, 24)
    result = sharp(stack, "TCZYX")
    for at in np.ndindex(2, 2, 3):
        np.testing.assert_allclose(result[at], by_scipy(stack[at]), atol=1e-3)
    rgba = picture(20, 24, 4)
    result = sharp(rgba, "YXS")
    assert (result[..., 3] == rgba[..., 3]).all()
    for colour in range(3):
        np.testing.assert_allclose(result[..., colour], by_scipy(rgba[..., colour]), atol=1e-3)


def test_missing_pixels_stay_and_do_not_spread() -> None:
    values = picture(30, 40)
    values[5, 7], values[20:23, 30:33], values[0, 0] = np.nan, np.inf, -np.inf
    result = sharp(values, "YX")
    gone = ~np.isfinite(values)
    np.testing.assert_array_equal(result[gone], values[gone])
    assert np.isfinite(result[~gone]).all()
    assert result[~gone].min() > 100 - 5.4 * 20 * 4.5
    away = ~ndimage.binary_dilation(gone, iterations=2)
    np.testing.assert_allclose(result[away], by_scipy(np.where(gone, 0, values))[away], atol=1e-3)


def test_a_hot_pixel_that_stays_casts_no_cross() -> None:
    noisy = np.random.default_rng(0).integers(90, 130, (128, 128)).astype(np.uint16)
    noisy[20, 30] = 65535
    clean = np.full((128, 128), 110, np.uint16)
    removed = sharp(clean, "YX", noisy)
    assert (removed == clean).all()
    clean[20, 30] = 65535  # put back, as methods do
    assert (sharp(clean, "YX", noisy) == clean).all()


def test_areas_without_data_stay() -> None:
    noisy = np.random.default_rng(0).normal(50, 9, (64, 64)).astype(np.float32)
    noisy[:20, :20] = -9999
    clean = np.where(noisy == -9999, np.float32(-9999), np.float32(50))
    assert (sharp(clean, "YX", noisy) == clean).all()


# The last step of any method ---------------------------------------------------------------------


def method(name: str, **settings: Any) -> Any:
    kind = registry.get("methods", name)
    return kind(**{key: value for key, value in SMALL.items() if key in kind.settings_of()}, **settings)


@pytest.mark.parametrize(
    ("name", "settings"),
    [("auto", {}), ("pretrained", {}), ("gaussian", {"sigma": 20.0}), ("n2v", {}), ("noisebreaker", {"most": 1}),
     ("n2n", {"average_frames": True}), ("n2n", {}), ("n2v", {"strength": 0.5})],
)  # fmt: skip
def test_every_method_ends_with_it_once(name: str, settings: dict[str, Any], noisy: np.ndarray) -> None:
    frames = Image(np.stack([noisy, noisy[::-1]]), "TYX")
    plain, edged = (method(name, **settings, sharpen=sharp).fit(frames).run(frames) for sharp in (False, True))
    expected = np.stack([by_scipy(frame) for frame in plain.image.data])
    assert np.abs(plain.image.data - noisy).max() > 1
    np.testing.assert_allclose(edged.image.data, expected, rtol=0, atol=2e-3)
    assert edged.info["warnings"] == plain.info["warnings"]


def test_what_auto_chooses_does_not_depend_on_it(noisy: np.ndarray) -> None:
    infos = [method("auto", sharpen=sharp).fit(noisy).run(noisy).info for sharp in (0, 1)]
    first, second = ([info[key] for key in ("chosen", "decisions", "trials")] for info in infos)
    assert first == second


def test_from_python_as_an_argument(noisy: np.ndarray) -> None:
    plain: Any = hush.denoise(noisy, "gaussian", sigma=20.0)
    edged: Any = hush.denoise(noisy, "gaussian", sigma=20.0, sharpen=True)
    np.testing.assert_allclose(edged, by_scipy(plain), atol=1e-3)
    with pytest.raises(HushError, match="sharpen"):
        hush.denoise(noisy, "gaussian", sharpen="very")


def test_a_standard_deviation_is_said_to_be_that_before(noisy: np.ndarray) -> None:
    std = np.zeros(noisy.shape, np.float32)
    with pytest.warns(HushWarning):
        result = method("pretrained", sharpen=True).fit(noisy).run(noisy, std=std)
    assert "std-before-sharpening" in {found["code"] for found in result.info["warnings"]}
    before = method("pretrained").fit(noisy).run(noisy, std=np.zeros_like(std)).std
    np.testing.assert_array_equal(std, before.data)


def test_it_is_no_part_of_a_model(noisy: np.ndarray, tmp_path: Path) -> None:
    for sharp in (False, True):
        save_model(method("n2v", sharpen=sharp).fit(noisy), tmp_path / f"{sharp}.hush")
    plain = hush.load(tmp_path / "True.hush").denoise(noisy).data
    assert plain.tobytes() == hush.load(tmp_path / "False.hush").denoise(noisy).data.tobytes()
    edged = hush.load(tmp_path / "False.hush", sharpen=True).denoise(noisy).data
    np.testing.assert_allclose(edged, by_scipy(plain), atol=1e-3)


def test_the_commands_sharpen_what_they_write(tmp_path: Path, run: Run, noisy: np.ndarray) -> None:
    io.write(tmp_path / "a.tif", Image(noisy.clip(0, 255).astype(np.uint8), "YX"))
    save_model(method("n2v").fit(noisy), tmp_path / "m.hush")
    for how in (
        ["denoise", tmp_path / "a.tif", "--method", "gaussian"],
        ["apply", tmp_path / "m.hush", tmp_path / "a.tif"],
    ):
        written = []
        for more in ([], ["--sharpen"]):
            target = tmp_path / f"{how[0]}{len(more)}.tif"
            code, out, said = run(*how, "-o", target, "--json", *more)
            assert code == 0, said
            assert records(out)[0]["settings"]["sharpen"] is bool(more)
            written.append(io.read(target).data)
        np.testing.assert_array_equal(written[1], cast(by_scipy(written[0]), np.dtype(np.uint8)))
