"""A hot pixel or a dead line does no harm to the rest of an image, and stays as it was."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import hush
from helpers import data
from hush.core import registry
from hush.core.image import Image
from hush.estimation.outliers import outliers
from hush.methods._set_aside import set_aside

Y, X = np.mgrid[:128, :128]
SCENE = 112 + 50 * np.exp(-((X - 60) ** 2 + (Y - 70) ** 2) / 300)


def photographed(dtype: Any = np.uint16, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    noisy = rng.poisson(SCENE) + rng.normal(0, 3, SCENE.shape)
    return np.asarray(noisy.round(), dtype)


SPOILT: dict[str, list[tuple[Any, Any, float]]] = {
    "hot": [(30, 40, 65535)],
    "warm": [(30, 40, 900)],
    "corner": [(0, 127, 20000)],
    "column": [(slice(None), 50, 0)],
    "two rows": [(slice(70, 72), slice(None), 65535)],
    "columns and a hot pixel": [(slice(None), 50, 0), (slice(None), 90, 4000), (20, 20, 65535)],
}


@pytest.mark.filterwarnings("ignore::hush.HushWarning")
@pytest.mark.parametrize("spoilt", SPOILT)
@pytest.mark.parametrize(("method", "dtype"), [("auto", np.uint16), ("bm3d", np.float32), ("pretrained", np.int32)])
def test_no_harm_elsewhere_and_it_stays(method: str, dtype: Any, spoilt: str) -> None:
    def run(noisy: np.ndarray) -> Any:
        model = registry.get("methods", method)().fit(noisy)
        return model.run(noisy, std=np.zeros(noisy.shape, np.float32) if model.uncertain else None)

    good = photographed(dtype)
    bad, where = good.copy(), np.zeros(good.shape, bool)
    for y, x, value in SPOILT[spoilt]:
        bad[y, x], where[y, x] = value, True
    result = run(bad)
    before, after = (one.image.data.astype(float) - SCENE for one in (run(good), result))
    assert np.sqrt(np.mean(after[~where] ** 2)) < 1.2 * np.sqrt(np.mean(before[~where] ** 2))
    assert np.abs(after[~where]).max() < 25
    assert result.image.data.dtype == dtype
    assert (result.image.data[where] == bad[where]).all()
    if result.std is not None:
        assert np.isnan(result.std.data[where]).all()
        assert np.isfinite(result.std.data[~where]).all()


@pytest.mark.filterwarnings("ignore::hush.HushWarning")
@pytest.mark.parametrize("method", ["n2v", "n2s", "ssdn", "zs_n2n", "n2n"])
@pytest.mark.parametrize("spoilt", ["hot", "column", "hole"])
def test_what_learns_from_the_image_does_not_learn_from_them(method: str, spoilt: str) -> None:
    kind = registry.get("methods", method)
    settings = {"steps": 40, "batch": 2, "maps": 8} | (
        {"noise": "poisson_gaussian:gain=1,sigma=3"} if method == "ssdn" else {}
    )
    settings = {name: value for name, value in settings.items() if name in kind.settings_of()}
    two = np.stack([photographed(np.int32, seed) for seed in (0, 1)])  # frames of one scene, for pairs
    bad, where = two.copy(), np.zeros(two.shape, bool)
    here: Any = {"hot": (0, 30, 40), "column": (..., 50), "hole": (..., slice(40), slice(40))}[spoilt]
    bad[here], where[here] = -9999 if spoilt == "hole" else 65535, True
    good, spoiled = (Image(one, "TYX") for one in (two, bad))
    before = kind(**settings).fit(good).denoise(good).data - SCENE
    clean = kind(**settings).fit(spoiled).denoise(spoiled).data
    after = clean - SCENE
    assert np.sqrt(np.mean(after[~where] ** 2)) < 1.3 * np.sqrt(np.mean(before[~where] ** 2))
    assert (clean[where] == bad[where]).all()


@pytest.mark.filterwarnings("ignore::hush.HushWarning")
@pytest.mark.parametrize("method", ["auto", "ssdn"])
def test_where_it_is_asked_for_they_are_replaced(method: str) -> None:
    kind, bad = registry.get("methods", method), photographed()
    bad[30, 40], bad[:, 50] = 65535, 0
    settings = {"steps": 20, "batch": 2, "maps": 8} if method == "ssdn" else {}
    clean = kind(hot_pixels="remove", **settings).fit(bad).denoise(bad).data.astype(float)
    assert abs(clean[30, 40] - SCENE[30, 40]) < 30
    assert np.abs(clean[:, 50] - SCENE[:, 50]).mean() < 12


def test_a_cosmic_ray_is_set_aside_and_a_star_is_not() -> None:
    noisy = np.tile(photographed(np.float32), (2, 2))
    down, across = np.mgrid[:256, :256]
    for k in range(6):
        noisy[40 + k // 2, 20 + k] = 3000 + 700 * k
    for width, (y, x) in {0.7: (100, 30), 1.0: (90, 100)}.items():
        noisy += 40000 * np.exp(-((across - x) ** 2 + (down - y) ** 2) / (2 * width**2)).astype(np.float32)
    found = outliers(noisy)
    assert found is not None
    assert found.sum() == 6
    assert all(found[40 + k // 2, 20 + k] for k in range(6))


@pytest.mark.parametrize(
    "plane",
    [
        data.camera(),
        data.text(),
        data.page(),
        data.moon(),
        np.random.default_rng(0).poisson(0.01, (256, 256)),
        np.random.default_rng(0).poisson(0.3, (256, 256)),
        np.random.default_rng(0).standard_t(3, (256, 256)),
        np.random.default_rng(0).exponential(1, (256, 256)),
        np.tile(np.arange(64.0), (64, 1)),
        np.pad(photographed(), 20),
        np.zeros((64, 64)),
        np.full((64, 64), np.nan),
    ],
    ids=lambda plane: f"{plane.dtype}{plane.shape}",
)
def test_pictures_and_noise_hold_nothing_of_the_kind(plane: np.ndarray) -> None:
    assert outliers(np.asarray(plane)) is None


def test_many_are_left_to_the_analysis_as_impulses() -> None:
    noisy = photographed()
    noisy[np.random.default_rng(1).random(noisy.shape) < 0.002] = 65535
    assert outliers(noisy) is None
    assert hush.analyze(noisy).channels[0].impulse_fraction > 1e-3


def test_planes_and_colours_are_looked_at_one_by_one() -> None:
    stack = np.stack([photographed(np.uint16, seed) for seed in range(3)])
    stack[1, 20, 30] = 60000
    image, aside = set_aside(Image(stack, "CYX"))
    assert aside is not None
    where = aside.outliers
    assert where is not None
    assert np.argwhere(where).tolist() == [[1, 20, 30]]
    assert (image.data[~where] == stack[~where]).all()
    assert 80 < image.data[1, 20, 30] < 160
    aside = set_aside(Image(np.moveaxis(stack, 0, -1), "YXS"))[1]
    assert aside is not None and aside.outliers is not None
    assert np.argwhere(aside.outliers).tolist() == [[20, 30, 1]]
    assert set_aside(Image(stack[:1], "CYX"))[1] is None
