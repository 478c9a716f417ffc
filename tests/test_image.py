from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import hush
from hush.core.errors import HushError, HushWarning
from hush.core.image import Image, as_image, cast, guess_axes


def noise(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(0).normal(100, 5, shape)


@pytest.mark.parametrize(
    ("axes", "ndim", "joint", "count", "shape"),
    [
        ("TCZYX", 2, False, 2 * 3 * 4, (1, 6, 7)),
        ("TCZYX", 3, False, 2 * 3, (1, 4, 6, 7)),
        ("TCZYX", 2, True, 2 * 4, (3, 6, 7)),
        ("TCZYX", 3, True, 2, (3, 4, 6, 7)),
    ],
)
def test_planes_cover_every_pixel_once(axes: str, ndim: int, joint: bool, count: int, shape: tuple[int, ...]) -> None:
    image = Image(np.zeros((2, 3, 4, 6, 7)), axes)
    planes = list(image.planes(ndim, joint))
    assert len(planes) == count
    for plane in planes:
        view = plane.view(image.data)
        assert view.shape == shape
        view += 1  # a view, not a copy
    assert (image.data == 1).all()


def test_planes_name_their_channel_whatever_the_order_of_axes() -> None:
    data = np.zeros((5, 6, 3, 2))  # Y, X, C, T: the value is the channel
    data[..., 1, :], data[..., 2, :] = 1, 2
    for plane in Image(data, "YXCT").planes():
        view = plane.view(data)
        assert view.shape == (1, 5, 6)
        assert (view == plane.channel).all()


@pytest.mark.parametrize(("samples", "colours"), [(1, 1), (2, 1), (3, 3), (4, 3)])
def test_alpha_is_in_no_plane(samples: int, colours: int) -> None:
    image = Image(np.zeros((5, 6, samples)), "YXS")
    (plane,) = image.planes()
    plane.view(image.data)[...] = 1
    assert image.samples() == colours
    assert image.data.sum() == 5 * 6 * colours
    assert (image.data[..., :colours] == 1).all()


def test_four_samples_without_alpha() -> None:
    assert Image(np.zeros((5, 6, 4)), "YXS", meta={"alpha": False}).samples() == 4


@pytest.mark.parametrize(
    ("shape", "axes"),
    [((9, 8), "YX"), ((7, 9, 8), "ZYX"), ((9, 8, 3), "YXS"), ((2, 7, 9, 8), "TZYX"), ((2, 3, 7, 9, 8), "TCZYX")],
)
def test_guess_axes(shape: tuple[int, ...], axes: str) -> None:
    assert guess_axes(shape) == axes


@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((64, 48, 1), "YXC"), ((64, 48, 2), "YXC"), ((5, 64, 48, 2), "ZYXC"), ((5, 7, 64, 48, 1), "TZYXC"),
        ((5, 64, 48, 3), "ZYXS"), ((64, 48, 4), "YXS"), ((3, 64, 2), "ZYX"), ((64, 48, 5), "ZYX"), ((1, 64, 48), "ZYX"),
    ],
)  # fmt: skip
def test_a_short_last_axis_is_colour_or_channels(shape: tuple[int, ...], axes: str) -> None:
    assert guess_axes(shape) == axes


@pytest.mark.parametrize(
    ("shape", "guessed"),
    [((9, 8), 0), ((9, 8, 3), 0), ((9, 8, 1), 1), ((9, 8, 2), 1), ((7, 9, 8), 1), ((1, 9, 8), 1), ((2, 7, 9, 8), 1)],
)
def test_a_guess_of_axes_is_said_once(shape: tuple[int, ...], guessed: int) -> None:
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        image = as_image(np.zeros(shape))
        assert ("guessed" in image.meta) == guessed
        assert len(said) == guessed
        hush.denoise(noise(shape), method="gaussian", sigma=5.0)
    assert [one.category for one in said] == [HushWarning] * 2 * guessed
    as_image(np.zeros(shape), image.axes)  # what is named is not guessed


@pytest.mark.parametrize("count", [1, 2])
def test_channels_last_come_out_as_each_channel_alone(count: int) -> None:
    data = noise((64, 48, count))
    with pytest.warns(HushWarning):
        result: Any = hush.denoise(data, method="gaussian", sigma=5.0)
    for channel in range(count):
        np.testing.assert_array_equal(result[..., channel], hush.denoise(data[..., channel], "gaussian", sigma=5.0))


@pytest.mark.parametrize(
    ("data", "axes", "part"),
    [
        (np.zeros((3, 4)), "YXZ", "do not fit"),
        (np.zeros((3, 4)), "YY", "do not fit"),
        (np.zeros((3, 4)), "ZX", "no Y and X"),
        (np.zeros((3, 4), complex), "YX", "magnitude"),
        (np.zeros((0, 4)), "YX", "no pixels"),
    ],
)
def test_what_is_no_image(data: np.ndarray, axes: str, part: str) -> None:
    with pytest.raises(HushError, match=part):
        Image(data, axes)


def test_volume_needs_z() -> None:
    with pytest.raises(HushError, match=r"'YX'.*ZYX"):
        list(Image(np.zeros((5, 6)), "YX").planes(ndim=3))


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8"])
def test_cast_rounds_and_clips(dtype: str) -> None:
    info = np.iinfo(dtype)
    values = np.array([-1e30, float(info.min), 0.49, 0.51, 41.7, float(info.max), 1e30])
    result = cast(values, np.dtype(dtype))
    assert result.dtype == np.dtype(dtype)
    assert result[[2, 3, 4]].tolist() == [0, 1, 42]
    assert result[0] == result[1] == info.min
    assert result[-1] == result[-2]
    assert result[-1] >= info.max - (info.max // 2**52)  # 64-bit integers end where float64 ends


def test_cast_to_bool_and_float() -> None:
    assert cast(np.array([0.4, 0.5]), np.dtype(bool)).tolist() == [False, True]
    assert cast(np.array([1.5]), np.dtype("f2")).dtype == np.float16


def test_crop_keeps_axes() -> None:
    image = as_image(np.arange(2 * 5 * 6).reshape(2, 5, 6), "ZYX").crop(slice(1, 3), slice(2, 6))
    assert image.axes == "ZYX"
    assert image.data.shape == (2, 2, 4)
    assert image.data[0, 0, 0] == 1 * 6 + 2
