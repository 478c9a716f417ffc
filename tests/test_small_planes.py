"""Many small planes: each core takes planes of its own, and the result is that of one plane after the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import hush
from hush.core import registry, tiling
from hush.core.image import Image


def stack(axes: str, shape: tuple[int, ...]) -> Image:
    clean = 100 + 50 * np.sin(np.arange(shape[-2])[:, None] / 6) * np.cos(np.arange(shape[-1]) / 5)
    return Image(np.random.default_rng(0).poisson(np.broadcast_to(clean, shape)).astype(np.uint16), axes)


def model(**settings: Any) -> Any:
    return registry.get("methods", "pretrained")(noise="poisson_gaussian:gain=1,sigma=1", calibrate=False, **settings)


@pytest.fixture
def used(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The threads that were used for planes at once, a number for every time."""
    seen: list[int] = []
    at_once = tiling.at_once

    def counted(function: Callable[..., Any], items: Any, workers: int, begin: Any = None) -> Any:
        seen.append(workers)
        return at_once(function, items, workers, begin)

    monkeypatch.setattr(tiling, "at_once", counted)
    return seen


@pytest.mark.parametrize(
    ("axes", "shape"),
    [
        ("ZYX", (6, 30, 40)),
        ("TZYX", (2, 2, 40, 30)),
        ("CYX", (3, 33, 17)),
        ("TCYX", (3, 2, 64, 64)),
        ("TYX", (2, 1, 9)),
    ],
)
@pytest.mark.filterwarnings("ignore::hush.core.errors.HushWarning")
def test_planes_at_once_are_the_same_bytes(axes: str, shape: tuple[int, ...], used: list[int]) -> None:
    """Of one core there is nothing to share: planes come one after the other."""
    image, results, before = stack(axes, shape), [], torch.get_num_threads()
    try:
        for cores in (1, 2):
            torch.set_num_threads(cores)
            ticks: list[tuple[int, int]] = []
            std = np.zeros(shape, np.float32)
            result = model(tta=True).fit(image).run(image, None, lambda *at, ticks=ticks: ticks.append(at), std)
            assert torch.get_num_threads() == cores
            planes = int(np.prod(shape[:-2]))
            assert ticks == [(number + 1, planes) for number in range(planes)]
            results.append((result.image.data, std))
    finally:
        torch.set_num_threads(before)
    assert used == [2]
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)
    assert results[0][0].std() < image.data.std()


@pytest.mark.parametrize(("axes", "shape"), [("YX", (30, 40)), ("ZYX", (2, 300, 40))])
def test_one_plane_or_large_ones_have_all_cores(axes: str, shape: tuple[int, ...], used: list[int]) -> None:
    image = stack(axes, shape)
    model().fit(image).run(image)
    assert used == []


def test_missing_pixels_and_warnings_of_many_planes(used: list[int]) -> None:
    data = stack("ZYX", (6, 30, 40)).data.astype(np.float32)
    data[:, 3, 4] = np.nan
    with pytest.warns(hush.HushWarning) as said:
        result = model().fit(Image(data, "ZYX")).run(Image(data, "ZYX"))
    assert used == [2] or torch.get_num_threads() < 2
    assert len(said) == len(result.info["warnings"]) == 1
    np.testing.assert_array_equal(np.isnan(result.image.data), np.isnan(data))
