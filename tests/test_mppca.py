"""Series of volumes: Marchenko-Pastur PCA and Patch2Self, the phantom, and the study on it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hush
from hush.bench.studies import diffusion as study
from hush.core import registry
from hush.core.errors import HushError, HushWarning, SettingError
from hush.core.image import Image
from hush.datasets import recipes
from hush.datasets.diffusion import b_values, diffusion
from hush.methods import mppca
from hush.methods._series import Series
from hush.noise.rician import Rician

SERIES = [name for name in registry.names("methods") if issubclass(registry.get("methods", name), Series)]
Floats = np.ndarray[Any, Any]


def build(name: str, **settings: Any) -> Any:
    return registry.get("methods", name)(**settings)


def low_rank(volumes: int = 30, shape: tuple[int, ...] = (7, 12, 12), rank: int = 2, seed: int = 0) -> Floats:
    """A series of `rank` patterns in every window, around 200."""
    rng = np.random.default_rng(seed)
    maps = np.stack([np.cos(rng.uniform(0.2, 0.5) * at + k) for k, at in enumerate(np.indices(shape))])
    maps = np.concatenate([maps, maps])[:rank]
    return 200 + 40 * np.tensordot(rng.normal(size=(volumes, rank)), maps, 1)


def with_noise(clean: Floats, sigma: float, seed: int = 1) -> Floats:
    return clean + np.random.default_rng(seed).normal(0, sigma, clean.shape)


def by_hand(window: Floats) -> tuple[Floats, float, int]:
    """One window (volumes, voxels), by its singular values and a loop: clean, variance, components."""
    middle = window.mean(1, keepdims=True)
    u, s, vt = np.linalg.svd(window - middle, full_matrices=False)
    smaller, larger = sorted((len(window), window.shape[1] - 1))
    values = s[:smaller] ** 2 / larger
    for kept in range(smaller):
        rest = values[kept:]
        if rest.mean() >= (rest[0] - rest[-1]) / (4 * np.sqrt(len(rest) / larger)):
            return (u[:, :kept] * s[:kept]) @ vt[:kept] + middle, float(rest.mean()), kept
    raise AssertionError


# Marchenko-Pastur PCA ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("volumes", [20, 60, 150])
def test_one_window_is_what_its_singular_values_say(volumes: int) -> None:
    clean = low_rank(volumes, (4, 5, 5))
    noisy = with_noise(clean, 20)
    model = build("mppca", patch=5)
    result = model.fit(image := Image(noisy, "TZYX")).run(image)
    expected, variance, kept = by_hand(noisy.reshape(volumes, -1))
    np.testing.assert_allclose(result.image.data.reshape(volumes, -1), expected, rtol=1e-8)
    np.testing.assert_allclose(model.noise_maps_[0], np.sqrt(variance), rtol=1e-8)
    assert kept >= 2


def test_the_mean_over_windows_is_weighted_by_their_components() -> None:
    noisy = with_noise(low_rank(12, (1, 5, 6)), 20)
    image = Image(noisy, "TZYX")
    found = build("mppca", patch=5).fit(image).denoise(image).data
    parts = [by_hand(noisy[..., k : k + 5].reshape(12, -1)) for k in (0, 1)]
    first, second = (part[0].reshape(12, 1, 5, 5) for part in parts)
    weights = [1 / (1 + part[2]) for part in parts]
    both = (weights[0] * first[..., 1:] + weights[1] * second[..., :-1]) / sum(weights)
    np.testing.assert_allclose(found, np.concatenate([first[..., :1], both, second[..., -1:]], -1), rtol=1e-8)


@pytest.mark.parametrize(("axes", "shape", "rank"), [("TZYX", (7, 12, 12), 3), ("TYX", (24, 24), 2)])
def test_noise_level_and_error_are_those_of_the_theory(axes: str, shape: tuple[int, ...], rank: int) -> None:
    clean = low_rank(40, shape, rank)
    noisy = Image(with_noise(clean, 20), axes)
    model = build("mppca")
    result = model.fit(noisy).run(noisy, std=np.zeros(clean.shape, np.float32))
    assert float(np.median(model.noise_maps_[0])) == pytest.approx(20, rel=0.04)
    assert result.info["noise_level"] == pytest.approx(20, rel=0.04)
    error = np.sqrt(np.mean((result.image.data - clean) ** 2))
    number = np.prod(mppca.window_sides(clean.shape, None))
    left = np.sqrt((rank * (40 + number - 1 - rank) + 40) / (40 * number))  # of white noise, in one window
    assert error < 1.1 * 20 * left
    assert result.std is not None
    assert float(result.std.data.mean()) == pytest.approx(error, rel=0.25)
    assert (result.std.data == result.std.data[:1]).all()


def test_a_series_without_noise_stays() -> None:
    clean = low_rank(30)
    image = Image(clean, "TZYX")
    np.testing.assert_allclose(build("mppca").fit(image).denoise(image).data, clean, atol=1e-6 * np.ptp(clean))


def test_noise_that_changes_from_place_to_place_has_a_map() -> None:
    clean = low_rank(40, (6, 12, 24), 1)
    level = np.where(np.arange(24) < 12, 5.0, 25.0)
    image = Image(clean + level * np.random.default_rng(0).normal(size=clean.shape), "TZYX")
    model = build("mppca")
    model.fit(image).run(image)
    assert float(model.noise_maps_[0][..., :7].mean()) == pytest.approx(5, rel=0.05)
    assert float(model.noise_maps_[0][..., 17:].mean()) == pytest.approx(25, rel=0.05)


def test_cores_and_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    image = Image(with_noise(low_rank(20, (5, 9, 9)), 20).astype(np.float32), "TZYX")
    results = []
    for workers in (1, 3):
        monkeypatch.setattr(mppca, "cores", lambda number=workers: number)
        ticks: list[tuple[int, int]] = []
        results.append(build("mppca").fit(image).run(image, None, lambda *at, ticks=ticks: ticks.append(at)).image.data)
        assert ticks[-1][0] == ticks[-1][1]
    assert results[0].tobytes() == results[1].tobytes()
    monkeypatch.setattr(mppca, "BLOCK_NUMBERS", 1)
    np.testing.assert_allclose(build("mppca").fit(image).denoise(image).data, results[0], rtol=1e-5)


def test_windows_further_apart_cover_everything() -> None:
    clean = low_rank(20, (6, 13, 11))
    image = Image(with_noise(clean, 20), "TZYX")
    for stride in (2, 5):
        found = build("mppca", stride=stride).fit(image).denoise(image).data
        assert np.std(found - clean) < 9
    with pytest.raises(HushError, match="stride"):
        build("mppca", stride=6).fit(image)
    with pytest.raises(HushError, match="patch"):
        build("mppca", patch=1).fit(image)


def test_the_bias_of_magnitudes_is_taken_off() -> None:
    clean = diffusion((6, 24, 24), volumes=40).astype(np.float64)
    image = Image(Rician(20).sample(clean, np.random.default_rng(0)), "TZYX")
    plain, corrected = build("mppca"), build("mppca", rician=True)
    results = [model.fit(image).denoise(image).data for model in (plain, corrected)]
    inside = clean[0] > 0
    biases = [[abs((found - clean)[:, where].mean()) for found in results] for where in (inside, ~inside)]
    assert all(after < before / 3 for before, after in biases), biases
    assert float(np.median(corrected.noise_maps_[0])) == pytest.approx(20, rel=0.06)
    corner = float(plain.noise_maps_[0][:, 0, 0].mean())  # of which no window reaches the head
    assert corner == pytest.approx(20 * np.sqrt(2 - np.pi / 2), rel=0.06)


def test_the_deviation_of_corrected_magnitudes_is_that_of_their_errors() -> None:
    clean = diffusion((6, 24, 24), volumes=40).astype(np.float64)
    image = Image(Rician(20).sample(clean, np.random.default_rng(0)), "TZYX")
    plain, corrected = (np.zeros(clean.shape, np.float32) for _ in range(2))
    build("mppca").fit(image).run(image, std=plain)
    result = build("mppca", rician=True).fit(image).run(image, std=corrected)
    assert (corrected >= plain * 0.999).all()
    dark = (clean > 0) & (clean < 40)  # a magnitude hardly tells the signal here
    errors = result.image.data[dark] - clean[dark]
    error, told = (float(np.sqrt(np.mean(values**2))) for values in (errors, corrected[dark]))
    assert told == pytest.approx(error, rel=0.15)


def test_agrees_with_dipy() -> None:
    local = pytest.importorskip("dipy.denoise.localpca")
    clean = low_rank(40, (6, 10, 10), 3)
    noisy = with_noise(clean, 20)
    model = build("mppca", patch=5)
    ours = model.fit(image := Image(noisy, "TZYX")).denoise(image).data
    theirs, sigma = local.mppca(np.moveaxis(noisy, 0, -1), return_sigma=True)
    assert np.std(ours - np.moveaxis(theirs, -1, 0)) < 0.05 * 20
    np.testing.assert_allclose(model.noise_maps_[0], sigma, rtol=0.03)


# Patch2Self ----------------------------------------------------------------------------------------------------------


def test_patch2self_is_the_regression_of_each_volume_on_the_others() -> None:
    noisy = with_noise(low_rank(12), 20)
    image = Image(noisy, "TZYX")
    found = build("patch2self").fit(image).denoise(image).data
    for number in (0, 7):
        others = np.delete(noisy, number, 0).reshape(11, -1)
        design = np.column_stack([others.T, np.ones(others.shape[1])])
        weights = np.linalg.lstsq(design, noisy[number].ravel(), rcond=None)[0]
        np.testing.assert_allclose(found[number].ravel(), design @ weights, rtol=1e-7)


def test_patch2self_of_equal_volumes_is_that_volume() -> None:
    one = np.random.default_rng(0).normal(100, 9, (5, 8, 8))
    image = Image(np.stack([one] * 6), "TZYX")
    np.testing.assert_allclose(build("patch2self").fit(image).denoise(image).data, image.data, rtol=1e-4)


# Both ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SERIES)
def test_describes_itself_without_being_imported(name: str) -> None:
    facts, kind = registry.describe("methods", name), registry.get("methods", name)
    assert (facts["about"], facts["needs"]) == ((kind.__doc__ or "").split("\n")[0], kind.needs)
    assert (facts["scope"], kind().method) == (kind.scope, name)


@pytest.mark.parametrize("name", SERIES)
@pytest.mark.parametrize(
    "settings",
    [{"strength": 1.5}, {"strength_chroma": -1}, {"ndim": 4}, {"seed": -1}, {"joint_channels": "no"}],
    ids=str,
)
def test_settings_that_make_no_sense(name: str, settings: dict[str, Any]) -> None:
    """Named when it is fitted, and when they are changed after that."""
    image = Image(with_noise(low_rank(6, (3, 5, 5)), 20), "TZYX")
    (key,) = settings
    wrong, model = build(name, **settings), build(name).fit(image)
    assert wrong.settings[key] == settings[key]
    with pytest.raises(SettingError, match=key):
        wrong.fit(image)
    setattr(model, key, settings[key])
    with pytest.raises(SettingError, match=key):
        model.run(image)


@pytest.mark.parametrize("name", SERIES)
def test_settings_that_there_are_not(name: str) -> None:
    with pytest.raises(SettingError, match=r"sede.*seed"):
        build(name, sede=1)
    model = build(name, strength_luma=0.5)
    image = Image(with_noise(low_rank(6, (3, 5, 5)), 20), "TZYX")
    with pytest.raises(SettingError, match="--strength"):  # it has no colours
        model.fit(image).run(image)


@pytest.mark.parametrize("name", SERIES)
@pytest.mark.parametrize("shape", [(6, 1, 1), (6, 1, 2), (40, 2, 3)])
def test_fewer_voxels_than_volumes(name: str, shape: tuple[int, ...]) -> None:
    image = Image(with_noise(np.full(shape, 200.0), 20), "TYX")
    found = build(name).fit(image).denoise(image).data
    assert np.isfinite(found).all()
    if shape[1:] == (1, 1):  # of one voxel nothing is known
        np.testing.assert_array_equal(found, image.data)


@pytest.mark.parametrize("name", SERIES)
def test_volumes_that_are_constant_each_come_back(name: str) -> None:
    image = Image(np.full((6, 9, 8), 1.0) * np.arange(6)[:, None, None], "TYX")
    np.testing.assert_allclose(build(name).fit(image).denoise(image).data, image.data, atol=1e-9)


@pytest.mark.parametrize("name", SERIES)
@pytest.mark.parametrize(
    ("axes", "shape", "dtype"),
    [
        ("TZYX", (12, 5, 9, 8), "u2"),
        ("CZYX", (12, 5, 9, 8), "f4"),
        ("ZTYX", (5, 12, 9, 8), ">i2"),
        ("TYX", (12, 16, 17), "u1"),
        ("TCZYX", (12, 2, 3, 8, 9), "f8"),
        ("TCYX", (1, 12, 16, 17), "f2"),
    ],
)
def test_what_goes_in_comes_out(name: str, axes: str, shape: tuple[int, ...], dtype: str) -> None:
    sizes = dict(zip(axes, shape, strict=True))
    y, x = np.indices((sizes["Y"], sizes["X"]))
    plane = np.expand_dims(np.cos(y / 4) * np.sin(x / 3), [k for k, axis in enumerate(axes) if axis not in "YX"])
    rng = np.random.default_rng(0)
    along = rng.uniform(20, 60, [size if axis in "TC" else 1 for axis, size in sizes.items()])
    clean = np.broadcast_to(100 + along * plane, shape)
    data = (clean + rng.normal(0, 8, shape)).astype(dtype)
    image = Image(data, axes, {"X": 0.5}, "mm", {"medical": True})
    before, out = data.copy(), np.zeros_like(data)
    result = build(name).fit(image).run(image, out)
    assert (result.image.axes, result.image.scale, result.image.unit) == (axes, {"X": 0.5}, "mm")
    assert (result.image.data.dtype, result.image.data.shape) == (data.dtype, shape)
    assert result.image.data is out
    assert result.image.meta["medical"] is True
    assert result.image.meta["hush"]["method"] == name
    assert result.info["warnings"] == []
    np.testing.assert_array_equal(data, before)
    assert np.std(out - clean) < 0.75 * np.std(data - clean)
    assert hush.denoise(image, name).data.tobytes() == out.tobytes()


@pytest.mark.parametrize("name", SERIES)
def test_the_order_of_the_volumes_does_not_matter(name: str) -> None:
    noisy = with_noise(low_rank(16), 20)
    order = np.random.default_rng(0).permutation(16)
    straight, mixed = (
        build(name).fit(one).denoise(one).data for one in (Image(noisy, "TZYX"), Image(noisy[order], "TZYX"))
    )
    np.testing.assert_allclose(mixed, straight[order], rtol=1e-6)


@pytest.mark.parametrize("name", SERIES)
def test_channels_are_series_of_their_own_unless_they_are_the_series(name: str) -> None:
    two = np.stack([with_noise(low_rank(12, seed=k), 20, seed=k) for k in range(4)], 1)
    image = Image(two, "TCZYX")
    found = build(name).fit(image).denoise(image).data
    for channel in range(4):
        alone = Image(two[:, channel], "TZYX")
        np.testing.assert_array_equal(found[:, channel], build(name).fit(alone).denoise(alone).data)
    joint = build(name, joint_channels=True).fit(image).denoise(image).data
    first = Image(two[0], "CZYX")
    np.testing.assert_array_equal(joint[0], build(name).fit(first).denoise(first).data)


@pytest.mark.parametrize("name", SERIES)
def test_what_is_no_series_is_refused(name: str) -> None:
    rng = np.random.default_rng(0)
    for axes, shape in (("YX", (20, 20)), ("ZYX", (9, 20, 20)), ("TZYX", (3, 5, 9, 9)), ("TYXS", (9, 8, 8, 3))):
        with pytest.raises(HushError, match=axes):
            build(name).fit(Image(rng.normal(100, 9, shape), axes))
    model = build(name).fit(Image(rng.normal(100, 9, (6, 5, 9, 9)), "TZYX"))
    with pytest.raises(HushError, match=r"\b6\b.*\b7\b"):
        model.run(Image(rng.normal(100, 9, (7, 5, 9, 9)), "TZYX"))
    with pytest.raises(HushError, match="fit"):
        build(name).run(Image(np.zeros((6, 5, 9, 9)), "TZYX"))


@pytest.mark.parametrize("name", SERIES)
def test_missing_and_masked_voxels_stay_and_do_not_spread(name: str) -> None:
    clean = low_rank(16)
    noisy = with_noise(clean, 10)
    noisy[:, 0, :3] = 0  # masked
    noisy[3, 2, 5, 5], noisy[4, 3, 6, 6] = np.nan, np.inf
    image = Image(noisy, "TZYX")
    with pytest.warns(HushWarning, match=r"\b2\b"):
        result = build(name).fit(image).run(image)
    found, gone = result.image.data, ~np.isfinite(noisy)
    np.testing.assert_array_equal(found[gone], noisy[gone])
    assert np.isfinite(found[~gone]).all()
    assert not found[:, 0, :3].any()
    away = (found - clean)[:, 2:][~gone[:, 2:]]
    assert np.sqrt(np.mean(away**2)) < 10


@pytest.mark.parametrize("name", SERIES)
def test_a_constant_series_comes_back(name: str) -> None:
    image = Image(np.full((6, 4, 8, 8), 7, np.uint8), "TZYX")
    with pytest.warns(HushWarning, match="constant"):
        assert (build(name).fit(image).denoise(image).data == 7).all()


@pytest.mark.parametrize("name", SERIES)
def test_one_constant_channel_does_not_stop_the_other(name: str) -> None:
    noisy = with_noise(low_rank(12), 20)
    image = Image(np.stack([noisy, np.full_like(noisy, 7)], 1), "TCZYX")
    with pytest.warns(HushWarning, match="C=1"):
        found = build(name).fit(image).denoise(image).data
    assert (found[:, 1] == 7).all()
    assert np.std(found[:, 0] - low_rank(12)) < 20


@pytest.mark.parametrize("name", SERIES)
def test_strength_mixes_noise_back(name: str) -> None:
    image = Image(with_noise(low_rank(12), 20), "TZYX")
    full, half = (build(name, strength=share).fit(image).denoise(image).data for share in (1.0, 0.5))
    np.testing.assert_allclose(half, (full + image.data) / 2, rtol=1e-9)


def test_a_file_is_denoised_and_its_uncertainty_written(
    run: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    noisy = with_noise(low_rank(12), 20).astype(np.float32)
    hush.write(tmp_path / "a.nii.gz", Image(noisy, "TZYX", {"X": 2.0}, "mm"))
    code, _, said = run(
        "denoise", tmp_path / "a.nii.gz", "-o", tmp_path / "b.nii.gz", "--method", "mppca",
        "--uncertainty", tmp_path / "s.npy", "--report", tmp_path / "r.html",
    )  # fmt: skip
    assert code == 0, said
    clean = hush.read(tmp_path / "b.nii.gz")
    assert (clean.axes, clean.data.shape, clean.scale["X"]) == ("TZYX", noisy.shape, 2.0)
    assert np.std(clean.data - low_rank(12)) < 10
    assert 2 < hush.read(tmp_path / "s.npy").data.mean() < 15
    assert (tmp_path / "r.html").is_file()


# The phantom and the study -------------------------------------------------------------------------------------------


def test_the_signal_of_free_water_is_known() -> None:
    series, weights = diffusion((8, 32, 32), volumes=30), b_values(30)
    middle = series[:, 4, 16, 16]
    np.testing.assert_allclose(middle, 255 * np.exp(-weights * 3e-3), rtol=1e-5)
    assert set(weights) == {0.0, 1000.0, 2000.0}
    air = series[0] == 0
    assert not series[:, air].any()
    assert (series[:, ~air] > 0).all()


def test_the_study_has_a_row_for_every_way() -> None:
    clean = diffusion((4, 24, 24), volumes=24)
    noisy = recipes.frozen_noise(clean, "rician:sigma=20", "heads/a", 0)
    item = recipes.Item("heads", "a", "rician:sigma=20", 0, clean, noisy, 255.0, False)
    ways: dict[str, dict[str, Any]] = {
        "noisy": {"peer": "noisy", "settings": {}},
        "mppca": {"name": "mppca", "settings": {"rician": True}},
        "gaussian": {"name": "gaussian", "settings": {}},
    }
    found = [item.key | {"method": label} | study.row(item, way, {}) for label, way in ways.items()]
    of = {one["method"]: one for one in found}
    assert of["mppca"]["psnr"] > of["gaussian"]["psnr"] > of["noisy"]["psnr"]
    assert of["noisy"]["bias_air"] == pytest.approx(20 * np.sqrt(np.pi / 2), rel=0.03)
    assert of["mppca"]["level"] == pytest.approx(1, abs=0.1)
    lines = study.table(found, {"baseline": "noisy"}).splitlines()
    assert len(lines) == 5
    assert {line.count("|") for line in lines} == {12}
