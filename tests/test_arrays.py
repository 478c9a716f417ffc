"""Arrays of other libraries go in and come out as what they are."""

from __future__ import annotations

import sys
import warnings
from typing import Any

import numpy as np
import pytest
import torch

import hush
from hush.core import foreign
from hush.core.image import Image, as_image, guess_axes

KNOWN: dict[str, Any] = {"method": "gaussian", "sigma": 30.0, "width": 1.2}  # nothing is analysed


def stack(shape: tuple[int, ...] = (3, 200, 260)) -> np.ndarray:
    y, x = np.mgrid[: shape[-2], : shape[-1]]
    clean = 1000 + 300 * np.sin(y / 17) * np.cos(x / 23)
    noisy: np.ndarray = np.random.default_rng(0).normal(np.broadcast_to(clean, shape), 30).astype(np.uint16)
    return noisy


def quietly(given: Any, **settings: Any) -> Any:
    """Denoise something whose axes are guessed rightly."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", hush.HushWarning)
        return hush.denoise(given, **{**KNOWN, **settings})


@pytest.fixture(scope="module")
def whole() -> np.ndarray:
    image: Any = hush.denoise(Image(stack(), "ZYX"), **KNOWN)
    made: np.ndarray = image.data
    return made


class Counting:
    """A source of Dask that counts what is read of it."""

    def __init__(self, array: np.ndarray) -> None:
        self.array, self.shape, self.dtype, self.ndim = array, array.shape, array.dtype, array.ndim
        self.read = 0

    def __getitem__(self, index: Any) -> np.ndarray:
        part: np.ndarray = self.array[index]
        self.read += part.size
        return part


# -- dask -----------------------------------------------------------------------------------------------


def test_dask_is_computed_when_it_is_asked_for() -> None:
    dask = pytest.importorskip("dask.array")
    source = Counting(stack((3, 1500, 1600)))
    lazy = dask.from_array(source, chunks=(1, 500, 400))
    made = quietly(lazy)  # the method is fitted to a sample, which is all of a small one
    assert isinstance(made, dask.Array)
    assert (made.shape, made.dtype) == (lazy.shape, lazy.dtype)
    source.read = 0
    corner = made[1, :100, :100].compute(scheduler="synchronous")
    assert 0 < source.read < source.array.size / 2
    plain = quietly(source.array)
    np.testing.assert_array_equal(corner, plain[1, :100, :100])
    np.testing.assert_array_equal(made.compute(), plain)


@pytest.mark.parametrize("chunks", [(3, 200, 260), (1, 64, 80), (2, (150, 50), (13, 247)), (1, 7, 260)])
def test_dask_of_any_chunks_gives_the_same(chunks: Any, whole: np.ndarray) -> None:
    dask = pytest.importorskip("dask.array")
    made = quietly(dask.from_array(stack(), chunks=chunks), tile=64)
    np.testing.assert_array_equal(made.compute(), whole)


def test_dask_with_missing_pixels_is_as_numpy() -> None:
    dask = pytest.importorskip("dask.array")
    data = stack((180, 260)).astype(np.float32)
    data[60:80, 40:130] = np.nan
    np.testing.assert_allclose(quietly(dask.from_array(data, chunks=64), tile=64).compute(), quietly(data), rtol=1e-4)


def test_dask_and_a_learned_method() -> None:
    dask = pytest.importorskip("dask.array")
    lazy = dask.from_array(stack(), chunks=(1, 100, 130))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", hush.HushWarning)
        made: Any = hush.denoise(lazy, "n2v", steps=2, precision="float32", tile=96)
        here = hush.denoise(stack(), "n2v", steps=2, precision="float32")
    away = np.abs(made.compute().astype(int) - here)
    assert away.max() <= 1  # the last bit of float32, where it turns a rounding


def test_a_method_that_must_see_all_gives_dask_as_well() -> None:
    dask = pytest.importorskip("dask.array")
    lazy = dask.from_array(stack((64, 64)), chunks=32)
    made: Any = hush.denoise(lazy, "dip", steps=1)
    assert isinstance(made, dask.Array)
    assert (made.chunks, made.dtype) == (lazy.chunks, lazy.dtype)


# -- xarray ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lazy", [False, True])
def test_xarray_keeps_what_it_says(lazy: bool, whole: np.ndarray) -> None:
    xarray = pytest.importorskip("xarray")
    data = pytest.importorskip("dask.array").from_array(stack(), chunks=(1, 100, 100)) if lazy else stack()
    coords = {"z": [0.0, 0.5, 1.0], "place": ("x", np.arange(260))}
    given = xarray.DataArray(data, coords, ("z", "Y", "x"), "cells", {"unit": "counts"})
    made: Any = hush.denoise(given, **KNOWN)  # and guesses nothing
    assert (type(made), type(made.data), made.dtype) == (type(given), type(given.data), given.dtype)
    assert (made.dims, made.name, made.attrs) == (given.dims, given.name, given.attrs)
    assert made.coords.identical(given.coords)
    np.testing.assert_array_equal(made.values, whole)
    np.testing.assert_array_equal(given.values, stack())


def test_dimensions_of_xarray_are_axes() -> None:
    xarray = pytest.importorskip("xarray")

    def axes(names: str, shape: tuple[int, ...]) -> str:
        return as_image(xarray.DataArray(np.zeros(shape, np.uint8), dims=names.split())).axes

    assert axes("t c y x", (2, 2, 30, 30)) == "TCYX"
    assert axes("X Y", (30, 40)) == "XY"
    for names, shape, letters in (
        ("time y x", (5, 30, 40), "ZYX"),
        ("lat lon", (30, 40), "YX"),
        ("y x band", (30, 40, 3), "YXS"),
        ("x y depth", (30, 40, 9), "XYZ"),
        ("band lon lat c", (5, 30, 40, 9), "ZYXC"),
    ):
        with pytest.warns(hush.HushWarning) as said:
            assert axes(names, shape) == letters
        assert [getattr(one.message, "code", "") for one in said] == ["axes-guessed"]


def test_turned_axes_are_denoised_as_straight_ones(whole: np.ndarray) -> None:
    xarray = pytest.importorskip("xarray")
    made: Any = hush.denoise(xarray.DataArray(stack().transpose(2, 0, 1), dims=("x", "z", "y")), **KNOWN)
    np.testing.assert_array_equal(made.transpose("z", "y", "x").values, whole)


# -- zarr -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", [2, 3])
@pytest.mark.parametrize("large", [False, True])
def test_zarr_gives_zarr(form: int, large: bool, whole: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    zarr = pytest.importorskip("zarr")
    if large:
        monkeypatch.setattr("hush.core.lazy.LAZY_FROM", 1)
    names: dict[str, Any] = {"dimension_names": list("zyx"), "shards": (2, 128, 160)} if form == 3 else {}
    given = zarr.create_array(
        store={}, shape=(3, 200, 260), dtype="u2", chunks=(1, 64, 80), attributes={"unit": "counts"},
        zarr_format=form, **names,
    )  # fmt: skip
    given[:] = stack()
    made: Any = hush.denoise(given, **KNOWN) if form == 3 else quietly(given)
    assert isinstance(made, zarr.Array)
    assert (made.chunks, made.shards, made.dtype) == (given.chunks, given.shards, given.dtype)
    assert (dict(made.attrs), made.metadata.zarr_format) == ({"unit": "counts"}, form)
    assert made.compressors == given.compressors
    np.testing.assert_array_equal(made[:], whole)
    np.testing.assert_array_equal(given[:], stack())


# -- the others -----------------------------------------------------------------------------------------


def test_tensors_and_masked_arrays_stay_what_they_are(whole: np.ndarray) -> None:
    tensor = quietly(torch.from_numpy(stack().astype(np.int32)))
    assert tensor.dtype == torch.int32
    np.testing.assert_array_equal(tensor.numpy(), whole)
    masked = np.ma.masked_array(stack(), stack() > 1300)
    made = quietly(masked)
    assert isinstance(made, np.ma.MaskedArray)
    np.testing.assert_array_equal(made.mask, masked.mask)
    np.testing.assert_array_equal(made.data[masked.mask], masked.data[masked.mask])


def test_nothing_is_imported_for_an_array_of_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("xarray", "dask.array", "zarr"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    data = stack((20, 30))
    assert foreign.wrapped(data, data) is data
    assert foreign.dask_of(data) is None
    assert foreign.named_axes(data, guess_axes) == (None, None)
    assert not {"xarray", "dask.array", "zarr"} & set(sys.modules)
