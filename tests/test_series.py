"""Planes with the help of their neighbours: nothing is smeared, nothing is lost, and where it helps it is used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hush.bench.studies import series as study
from hush.core.errors import HushError, WeightsError
from hush.core.image import Array, Image
from hush.core.metrics import psnr
from hush.datasets.recipes import Item
from hush.datasets.series import KINDS, SERIES, light_sheet, series
from hush.methods import _drift, _stacks
from hush.methods.auto import Auto
from hush.methods.neighbours import Neighbours
from hush.methods.pretrained import Pretrained
from hush.pretrained import _halves, weights
from hush.pretrained.neighbours import data, network, train
from hush.pretrained.neighbours.gathering import gather
from hush.training.patches import Batch

SIGMA = 20.0


def noisy_of(clean: Array, axes: str = "TYX", sigma: float = SIGMA, seed: int = 0) -> Image:
    noise = np.random.default_rng(seed).normal(0, sigma, clean.shape)
    return Image((clean + noise).astype(np.float32), axes)


def result_of(image: Image, kind: Any = Neighbours, **settings: Any) -> Array:
    given = {"sigma": SIGMA, "scale": 1.0, "precision": "float32"} | settings
    return kind(**given).fit([image]).denoise(image).data


def dots(places: list[tuple[int, int]], light: float = 150.0, size: int = 64) -> Array:
    """A dot a frame on a ground of 50."""
    rows, columns = np.mgrid[:size, :size]
    frames = [50 + light * np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / 8) for y, x in places]
    return np.stack(frames).astype(np.float32)


# What is made by rule ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_series_are_the_same_for_the_same_seed(kind: str) -> None:
    one, same, other = (series(kind, 3, 40, seed) for seed in (2, 2, 6))
    assert one.shape == (3, 40, 40)
    assert one.dtype == np.float32
    assert one.tobytes() == same.tobytes() != other.tobytes()
    assert one.min() >= 0
    assert (one[0] == one[2]).all() == (kind == "still")


def test_series_of_tables_have_odd_seeds() -> None:
    np.testing.assert_array_equal(SERIES["series-moving"](seed=1), series("moving", seed=3))
    np.testing.assert_array_equal(SERIES["light-sheet"](seed=0), light_sheet(seed=1))


def test_series_that_cannot_be_made() -> None:
    for wrong in ({"kind": "stil"}, {"kind": "still", "frames": 0}, {"kind": "still", "size": 8}):
        with pytest.raises(HushError):
            series(**wrong)


# The mean with neighbours --------------------------------------------------------------------------------------------


def test_equal_planes_are_averaged_and_others_are_not() -> None:
    rng = torch.Generator().manual_seed(0)
    noise = torch.randn(1, 5, 96, 96, generator=rng)
    sigma, there = torch.ones(1, 1, 1, 1), torch.ones(1, 4, 1, 1)
    mean, level = gather(noise[:, :1], noise[:, 1:], sigma, there)
    assert float(level.mean()) == pytest.approx(5**-0.5, rel=0.05)
    assert float(mean.std()) == pytest.approx(float(level.mean()), rel=0.1)
    away = noise.clone()
    away[:, 1:, :, 48:] += 6.0
    mean, level = gather(away[:, :1], away[:, 1:], sigma, there)
    assert float(level[..., 70:].mean()) > 0.95  # nothing is taken
    assert abs(float((mean - away[:, :1])[..., 70:].mean())) < 0.15  # and nothing of the difference either
    assert float(level[..., :20].mean()) < 0.5


def test_neighbours_that_are_not_there_play_no_part() -> None:
    planes = torch.randn(1, 5, 40, 40, generator=torch.Generator().manual_seed(1))
    sigma = torch.full((1, 1, 1, 1), 0.7)
    mean, level = gather(planes[:, :1], 1e6 * planes[:, 1:], sigma, torch.zeros(1, 4, 1, 1))
    assert torch.equal(mean, planes[:, :1])
    assert torch.allclose(level, sigma.expand_as(level))
    shown = network.tell(planes[:, :1], planes[:, 1:], sigma, torch.zeros(1, 4, 1, 1))
    assert torch.equal(shown[:, 4:], planes[:, :1].expand(-1, 4, -1, -1))


def test_training_begins_with_what_the_network_for_planes_does() -> None:
    planes = 0.1 * torch.randn(1, 5, 32, 32, generator=torch.Generator().manual_seed(2))
    sigma = torch.full((1, 1, 1, 1), 0.1)
    seen = network.tell(planes[:, :1], planes[:, 1:], sigma, torch.zeros(1, 4, 1, 1))
    with torch.inference_mode():
        begun, plain = network.untrained()(seen), weights.load(network.BEGUN_WITH)[0](seen[:, :2])
    assert torch.allclose(begun, plain, atol=1e-5)


# Series --------------------------------------------------------------------------------------------------------------


def test_five_frames_of_a_still_scene_gain_two_decibels() -> None:
    clean = series("still", 5, 96, 0)
    noisy = noisy_of(clean)
    alone, near = result_of(noisy, Pretrained), result_of(noisy)
    assert psnr(near, clean, 255) > psnr(alone, clean, 255) + 2


@pytest.mark.parametrize("kind", ["drifting", "moving", "calcium", "bleaching"])
def test_what_moves_and_changes_is_not_worse_than_by_itself(kind: str) -> None:
    clean = series(kind, 5, 96, 2)
    noisy = noisy_of(clean)
    assert psnr(result_of(noisy), clean, 255) > psnr(result_of(noisy, Pretrained), clean, 255)


def test_a_dot_that_moves_leaves_no_ghost() -> None:
    places = [(12, 10), (20, 24), (34, 30), (44, 42), (54, 54)]
    made = result_of(noisy_of(dots(places)))
    at = [tuple(slice(one - 1, one + 2) for one in place) for place in places]
    for frame, here in zip(made, places, strict=True):
        for place, where in zip(places, at, strict=True):
            seen = float(frame[where].mean()) - 50
            assert seen > 90 if place == here else abs(seen) < 0.4 * SIGMA


def test_a_flash_keeps_its_height() -> None:
    rows, columns = np.mgrid[:96, :96]
    cell = 1 / (1 + np.exp(np.hypot(rows - 48, columns - 48) - 16))
    course = np.array([0, 0, 0, 0, 2, 1, 0.4, 0.1, 0, 0, 0])
    clean = (40 + 40 * (1 + course[:, None, None]) * cell).astype(np.float32)
    (kept,) = study.flashes_kept(clean, result_of(noisy_of(clean)), 25.0)
    assert kept == pytest.approx(1, abs=0.05)


def test_time_has_no_direction() -> None:
    noisy = noisy_of(series("moving", 6, 48, 0))
    back = Image(noisy.data[::-1].copy(), "TYX")
    np.testing.assert_allclose(result_of(back)[::-1], result_of(noisy), atol=1e-2)


def test_one_frame_is_denoised_by_itself() -> None:
    clean = series("still", 1, 64, 0)
    for axes, shape in (("TYX", (1, 64, 64)), ("YX", (64, 64)), ("CYX", (1, 64, 64))):
        noisy = noisy_of(clean.reshape(shape), axes)
        assert result_of(noisy).tobytes() == result_of(noisy, Pretrained).tobytes()


@pytest.mark.parametrize(
    ("axes", "shape", "dtype"),
    [("TYX", (3, 40, 36), ">u2"), ("TCYX", (3, 2, 40, 36), "u2"), ("TZYX", (3, 2, 40, 36), "i2"),
     ("ZYXS", (3, 40, 36, 3), "u1"), ("YXT", (40, 36, 3), "f8"), ("TYX", (3, 40, 36), "?")],
)  # fmt: skip
def test_what_goes_in_comes_out(axes: str, shape: tuple[int, ...], dtype: str) -> None:
    values = np.random.default_rng(0).normal(100, 15, shape)
    noisy = Image((values > 100) if dtype == "?" else values.astype(dtype), axes, {"X": 0.5}, "µm", {"kept": 1})
    model = Neighbours(sigma=15.0 if dtype != "?" else 0.5, scale=1.0).fit([noisy])
    if dtype == "?":
        with pytest.warns(UserWarning, match="two values"):
            made = model.run(noisy)
    else:
        made = model.run(noisy)
        assert np.std(made.image.data.astype(float)) < np.std(values)
    assert (made.image.axes, made.image.scale, made.image.unit) == (axes, {"X": 0.5}, "µm")
    assert made.image.data.dtype == np.dtype(dtype)
    assert made.image.meta["kept"] == 1
    assert made.info["axes"] == axes
    assert made.info["neighbours"]["axes"][0] == ("T" if "T" in axes else "Z")
    assert made.std is None


def test_runs_of_planes_are_the_whole_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    noisy = noisy_of(series("drifting", 11, 48, 0))
    whole = result_of(noisy)
    monkeypatch.setattr(_stacks, "CHUNK_PIXELS", 7 * 48 * 48)
    np.testing.assert_allclose(result_of(noisy), whole, atol=1e-3)
    assert result_of(noisy, tile=16).shape == whole.shape
    np.testing.assert_allclose(result_of(noisy, tile=16), whole, atol=0.05 * SIGMA)


def test_noise_of_a_camera_gains_as_well() -> None:
    clean = series("still", 5, 96, 0)
    light = np.random.default_rng(0).poisson(clean / 255 * 20) * (255 / 20)
    image = Image(light.astype(np.float32), "TYX")
    how = {"noise": "poisson:photons=20", "sigma": None}
    alone, near = result_of(image, Pretrained, **how), result_of(image, **how)
    assert psnr(near, clean, 255) > psnr(alone, clean, 255) + 1.5


def test_missing_pixels_stay() -> None:
    noisy = noisy_of(series("still", 4, 48, 0))
    noisy.data[1, 5:8, 6] = np.nan
    with pytest.warns(UserWarning, match=r"\b3\b"):
        made = result_of(noisy)
    np.testing.assert_array_equal(np.isnan(made), np.isnan(noisy.data))


def test_settings_that_make_no_sense() -> None:
    stack = noisy_of(np.zeros((3, 32, 32)), "ZYX")
    for wrong in ({"axis": "T"}, {"axis": "X"}, {"orientations": 2}, {"ndim": 3}, {"weights": "snapshot-fast"}):
        with pytest.raises(HushError):
            Neighbours(sigma=9.0, **wrong).fit([stack])


def test_damaged_weights_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "neighbours.safetensors"
    path.write_bytes(b"x" * 99)
    with pytest.raises(WeightsError):
        network.load("cpu", path)


def test_the_page_beside_the_weights_says_what_they_hold() -> None:
    note = json.loads(_halves.read(network.NEIGHBOURS_PATH)[0][network.NEIGHBOURS_KEY])
    page = network.NEIGHBOURS_PATH.with_suffix(".md").read_text("utf-8")
    assert page == network.card("neighbours", note)
    assert weights.card(network.BEGUN_WITH).licence in page


# Drift ---------------------------------------------------------------------------------------------------------------


def test_a_drift_is_found_and_parts_that_move_are_none() -> None:
    from hush.estimation.report import ChannelNoise
    from hush.vst.stabilizer import Stabilizer

    ways = [Stabilizer(ChannelNoise("gaussian", 0.0, 0.0, SIGMA, 0.0, SIGMA**2))]
    scene = series("still", 1, 128, 0)[0]
    moved = np.stack([np.roll(scene, (2 * k, -3 * k), (0, 1)) for k in range(4)])
    steps = _drift.steps_of(_stacks.along(noisy_of(moved), "T"), ways, (-1, 1, -2, 2))
    assert steps[1].tolist() == [[-2, 3], [2, -3], [0, 0], [4, -6]]
    still = np.repeat(scene[None], 4, 0) + dots([(30 + 6 * k, 40) for k in range(4)], 200, 128)
    assert not _drift.steps_of(_stacks.along(noisy_of(still), "T"), ways, (-1, 1, -2, 2)).any()
    nothing = noisy_of(np.zeros((4, 64, 64)))
    assert not _drift.steps_of(_stacks.along(nothing, "T"), ways, (-1, 1, -2, 2)).any()


# Volumes -------------------------------------------------------------------------------------------------------------


def blobs(shape: tuple[int, int, int], thick: float) -> Array:
    rng, grid = np.random.default_rng(0), np.indices(shape)
    made = np.full(shape, 30.0)
    for _ in range(12):
        at = rng.uniform(0, shape)
        away = np.sqrt((thick * (grid[0] - at[0])) ** 2 + (grid[1] - at[1]) ** 2 + (grid[2] - at[2]) ** 2)
        made += 90 / (1 + np.exp(np.clip(away - rng.uniform(4, 9), -30, 30)))
    return made.astype(np.float32)


def test_volumes_of_cubes_are_seen_from_three_sides() -> None:
    clean = blobs((24, 40, 40), 1.0)
    noisy = noisy_of(clean, "ZYX", 15.0)
    cubes = Image(noisy.data, "ZYX", {"Z": 0.9, "Y": 0.88, "X": 0.88}, "mm")
    scores = [psnr(result_of(noisy, Pretrained, sigma=15.0), clean, 255)]
    for image, sides in ((noisy, 1), (cubes, 3)):
        model = Neighbours(sigma=15.0, scale=1.0).fit([image])
        assert model.orientations_ == sides
        made = model.run(image)
        assert made.info["neighbours"]["axes"] == ["Z", "Y", "X"][:sides]
        assert (made.image.axes, made.image.scale) == ("ZYX", image.scale)
        scores.append(psnr(made.image.data, clean, 255))
    assert scores[0] + 1 < scores[1] < scores[2]
    thick = Image(noisy.data, "ZYX", {"Z": 4.0, "Y": 0.88, "X": 0.88}, "mm")
    assert Neighbours(sigma=15.0, scale=1.0).fit([thick]).orientations_ == 1


# Automatic -----------------------------------------------------------------------------------------------------------


def test_auto_uses_neighbours_where_they_help_and_says_so() -> None:
    clean = series("still", 5, 96, 0)
    noisy = noisy_of(clean)
    model = Auto().fit([noisy])
    made = model.run(noisy)
    assert made.info["chosen"] == "neighbours"
    assert made.info["reason_code"] == "neighbours"
    decided = {one["name"]: one for one in made.info["decisions"]}
    assert decided["planes-in-mean"]["value"] > 4
    assert decided["risk-with-neighbours"]["passed"]
    alone = result_of(noisy, Pretrained, sigma=None, scale=None)
    assert psnr(made.image.data, clean, 255) > psnr(alone, clean, 255) + 2


def test_auto_leaves_planes_that_have_nothing_in_common_by_themselves() -> None:
    clean = np.concatenate([series("still", 1, 96, seed) for seed in (0, 2, 4, 6, 8)])
    noisy = noisy_of(clean, "ZYX")
    made = Auto().fit([noisy]).run(noisy)
    assert made.info["chosen"] != "neighbours"
    assert not all(one["passed"] for one in made.info["decisions"] if one["name"] in ("planes-in-mean",
                   "risk-with-neighbours"))  # fmt: skip


def test_auto_goes_on_where_the_weights_of_neighbours_are_damaged(monkeypatch: pytest.MonkeyPatch) -> None:
    def damaged(device: str) -> None:
        raise WeightsError("damaged")

    noisy = noisy_of(series("still", 5, 64, 0))
    monkeypatch.setattr(network, "load", damaged)
    with pytest.warns(UserWarning, match="neighbours"):
        made = Auto().fit([noisy]).run(noisy)
    assert made.info["chosen"] == "pretrained"
    assert "left-out" in {one["code"] for one in made.info["warnings"]}


def test_auto_gives_a_deviation_where_it_is_asked_for() -> None:
    noisy = noisy_of(series("still", 5, 64, 0))
    spread = np.empty(noisy.data.shape, np.float32)
    made = Auto().fit([noisy]).run(noisy, std=spread)
    assert made.std is not None
    assert made.info["reason_code"] == "uncertainty-asked"


# Training ------------------------------------------------------------------------------------------------------------


def test_stacks_to_learn_from_have_all_kinds_of_ends() -> None:
    rng = np.random.default_rng(0)
    volumes = [blobs((20, 40, 44), 1.0), blobs((30, 24, 50), 2.0)]
    pictures = [[series("still", 1, 90, 0).clip(0, 255).astype(np.uint8)]]
    stacks = data.Stacks(volumes, [0.5, 0.5], pictures, [1.0], 32)
    batch = stacks.batch(24, rng)
    assert batch.noisy.shape == (24, 5, 32, 32)
    assert -0.5 <= float(batch.noisy.min()) < float(batch.noisy.max()) <= 0.75
    noisy, level, there = data.noisy_stacks(batch.noisy, (0.0, 75.0), torch.Generator().manual_seed(0))
    spread = (noisy - batch.noisy).std((1, 2, 3)) / level.flatten()
    assert torch.allclose(spread, torch.ones(24), atol=0.1)
    known = {tuple(one) for one in there.flatten(1).int().tolist()}
    assert (1, 1, 1, 1) in known
    assert known <= {(1, 1, 1, 1), (1, 1, 1, 0), (0, 1, 0, 1), (0, 1, 0, 0), (0, 0, 0, 0)}
    loss = train.loss_of(network.untrained(), Batch(batch.noisy[:2]), torch.Generator().manual_seed(0))
    loss.backward()  # type: ignore[no-untyped-call]
    assert torch.isfinite(loss)


def test_pieces_of_a_volume_leave_out_what_is_for_choosing(monkeypatch: pytest.MonkeyPatch) -> None:
    from hush.datasets.slices import Volume

    values = np.zeros((30, 9, 8))
    values[2:28, 1:8, 2:] = 5
    monkeypatch.setattr(data, "read_volume", lambda path: Volume(values, np.eye(3)))
    (whole,) = data.pieces_of({"file": "x"}, Path())
    assert whole.shape == (26, 7, 6)
    assert whole.max() == 255
    before, after = data.pieces_of({"file": "x", "less": ((10, 20),)}, Path())
    assert (len(before), len(after)) == (8, 8)
    (half,) = data.pieces_of({"file": "x", "shrink": 2}, Path())
    assert half.shape == (26, 3, 3)


# The study -----------------------------------------------------------------------------------------------------------


def test_the_study_scores_planes_changes_and_flashes() -> None:
    clean = series("calcium", 9, 48, 0)
    item = Item("calcium", "series-calcium-0", "gaussian:sigma=20", 0, clean, noisy_of(clean).data, 255.0, False)
    noisy, alone = (
        study.row(item, {"settings": {}} | method, {})
        for method in ({"peer": "noisy"}, {"name": "pretrained", "settings": {"sigma": "known", "scale": 1.0}})
    )
    assert noisy["psnr"] == pytest.approx(10 * np.log10(255**2 / SIGMA**2), abs=0.1)
    assert alone["psnr"] > noisy["psnr"] > noisy["psnr_worst_plane"] - 1
    assert alone.get("flashes", 0) == noisy.get("flashes", 0)
    rows = [item.key | {"method": name} | made for name, made in (("noisy", noisy), ("single", alone))]
    table = study.table(rows, {"baseline": "single"})
    assert len(table.splitlines()) == 4
    assert f"{noisy['psnr'] - alone['psnr']:+.2f}" in table
