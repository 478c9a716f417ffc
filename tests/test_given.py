"""What Python hands over as an image: masked arrays, matrices, tensors; and what is no image at all."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import hush
from hush.core import registry
from hush.core.errors import HushError
from hush.core.image import Image

pytestmark = [  # of missing pixels hush warns; of matrices numpy
    pytest.mark.filterwarnings("ignore::hush.core.errors.HushWarning"),
    pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning"),
]


def noise(shape: tuple[int, ...] = (48, 60)) -> np.ndarray:
    return np.random.default_rng(0).normal(100, 12, shape)


def denoise(image: Any) -> Any:
    return hush.denoise(image, method="gaussian", noise="gaussian:sigma=12")


def bar(shape: tuple[int, ...] = (48, 60)) -> np.ndarray:
    """A mask: the first ten columns."""
    return np.broadcast_to(np.arange(shape[-1]) < 10, shape)


@pytest.mark.parametrize("dtype", ["u1", "u2", "i2", "i4", "u8", "f2", "f4", "f8", ">f4"])
@pytest.mark.parametrize("lost", [0, 255])
def test_masked_pixels_stay_and_do_not_spread(dtype: str, lost: int) -> None:
    """Whatever stands under a mask, the result beside it is the same."""
    given = np.ma.masked_array(np.where(bar(), lost, noise().clip(0, 255)).astype(dtype), bar(), fill_value=9)
    result = denoise(given)
    assert isinstance(result, np.ma.MaskedArray)
    assert result.dtype == given.dtype
    assert result.fill_value == given.fill_value
    np.testing.assert_array_equal(result.mask, bar())
    np.testing.assert_array_equal(result.data[bar()], given.data[bar()])
    other = denoise(np.ma.masked_array(np.where(bar(), 77, given.data).astype(dtype), bar()))
    np.testing.assert_array_equal(result.data[~bar()], other.data[~bar()])
    assert result.data[~bar()].astype(float).std() < 0.7 * given.data[~bar()].astype(float).std()
    assert (given.data[bar()] == lost).all()  # what was given is untouched


def test_masked_pixels_are_missing_pixels() -> None:
    missing = denoise(np.where(bar(), np.nan, noise()))
    np.testing.assert_array_equal(denoise(np.ma.masked_array(noise(), bar())).filled(np.nan), missing)


@pytest.mark.parametrize("method", ["auto", "median"])
def test_masked_values_do_not_enter_the_analysis(method: str) -> None:
    given = np.ma.masked_array(np.where(bar(), -9999, noise()), bar())
    result: Any = hush.denoise(given, method)
    assert result[:, 14:].std() < 7


def test_a_mask_of_nothing_changes_nothing() -> None:
    plain = noise().astype(np.uint8)
    for mask in (np.ma.nomask, np.zeros(plain.shape, bool)):
        result = denoise(np.ma.masked_array(plain, mask))
        assert isinstance(result, np.ma.MaskedArray)
        np.testing.assert_array_equal(result.data, denoise(plain))


def test_masked_channels_and_colours() -> None:
    given = np.ma.masked_array(noise((48, 60, 3)), False)
    given[5, 5, 0] = given[9, 9] = np.ma.masked
    result = denoise(given)
    np.testing.assert_array_equal(result.mask, given.mask)
    assert np.isfinite(result.compressed()).all()


def test_an_image_of_a_masked_array_has_missing_pixels() -> None:
    for dtype, kept in (("u1", "f4"), ("i4", "f8"), ("f4", "f4")):
        image = Image(np.ma.masked_array(noise().astype(dtype), bar()), "YX")
        assert type(image.data) is np.ndarray
        assert image.data.dtype == kept
        np.testing.assert_array_equal(np.isnan(image.data), bar())
        assert np.isnan(denoise(image).data).sum() == bar().sum()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64", "uint8", "int16", "uint16", "bool"])
def test_a_tensor_gives_a_tensor(dtype: str) -> None:
    kind = getattr(torch, dtype)
    given = torch.from_numpy(noise().astype(np.float32)).to(kind)
    result = denoise(given)
    assert isinstance(result, torch.Tensor)
    assert (result.dtype, result.shape, result.device) == (given.dtype, given.shape, given.device)
    if dtype not in ("bfloat16", "bool"):
        np.testing.assert_array_equal(result.numpy(), denoise(given.numpy()))
    spread = [tensor.float().std() for tensor in (result, given)]
    assert spread[0] < 0.7 * spread[1] or dtype == "bool"


def test_a_tensor_that_records_its_gradient() -> None:
    given = torch.from_numpy(noise()).requires_grad_()
    result = denoise(given)
    assert not result.requires_grad
    np.testing.assert_array_equal(result.numpy(), denoise(noise()))


@pytest.mark.parametrize("shape", [(0, 3), (40, 0)])
def test_no_pixels(shape: tuple[int, ...]) -> None:
    for given in (np.zeros(shape), torch.zeros(shape), np.ma.zeros(shape), np.matrix(np.zeros(shape))):
        with pytest.raises(HushError):
            denoise(given)


def test_a_matrix_and_nested_lists_give_an_array() -> None:
    for given in (np.matrix(noise()), noise().tolist(), Image(np.matrix(noise()), "YX").data):
        result = denoise(given)
        assert type(result) is np.ndarray
        np.testing.assert_array_equal(result, denoise(noise()))


@pytest.mark.parametrize(
    "given",
    [
        [[1, 2], [3]], [["a"] * 9] * 9, "a.tif", None, object(), {}, np.float64(3), noise((48,)),
        noise().astype(complex), noise().astype(object), np.zeros((9, 9), [("a", "f4")]), np.zeros((9, 9), "M8[s]"),
        torch.zeros(9, 9, device="meta"), torch.zeros(9, 9).to_sparse(), torch.zeros(9, 9, dtype=torch.complex64),
        torch.zeros(9), np.ma.zeros((9, 9), complex), np.ma.zeros((9, 9), [("a", "f4")]),
    ],
)  # fmt: skip
def test_what_is_no_image_is_told(given: object) -> None:
    with pytest.raises(HushError):
        denoise(given)
    with pytest.raises(HushError):
        hush.analyze(given)


@pytest.mark.parametrize("name", ["auto", "n2v", "bm3d", "pretrained", "median", "ssdn"])
def test_an_unknown_setting_is_told_with_the_nearest(name: str) -> None:
    calls: list[Callable[[], object]] = [
        lambda: hush.denoise(noise(), name, sede=3),
        lambda: registry.get("methods", name)(sede=3),
        lambda: registry.get("methods", name).from_text([], sede=3),
    ]
    for call in calls:
        with pytest.raises(HushError, match="did you mean 'seed'"):
            call()


@pytest.mark.parametrize("name", ["auto", "n2v", "bm3d"])
def test_a_method_is_copied_with_what_it_holds(name: str) -> None:
    model = registry.get("methods", name)(seed=3)
    for twin in (copy.copy(model), copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert twin.settings == model.settings


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("gaussian", {"sigma": "strong"}), ("gaussian", {"sigma": [3]}), ("gaussian", {"seed": 1.5}),
        ("gaussian", {"noise": 3}), ("auto", {"effort": "most"}), ("auto", {"effort": ["fast"]}),
        ("bm3d", {"ndim": "2"}), ("n2v", {"steps": "many"}), ("n2v", {"augment": "some"}), ("n2v", {"tta": "yes"}),
        ("n2v", {"maps": None}), ("n2v", {"norm": noise()}),
        ("pretrained", {"weights": 7}), ("median", {"strength": noise()}),
    ],
)  # fmt: skip
def test_a_setting_of_another_type_is_told(name: str, settings: dict[str, object]) -> None:
    with pytest.raises(HushError, match=next(iter(settings))):
        hush.denoise(noise(), name, **settings)


def test_numbers_of_numpy_are_numbers() -> None:
    model = registry.get("methods", "n2v")(seed=np.int64(3), strength=np.float32(0.5), tta=np.True_, steps=np.uint8(3))
    model.check()
