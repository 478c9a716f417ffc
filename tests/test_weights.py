"""Weights that come trained: how they are made, kept, listed, and refused when damaged."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hush import io
from hush.core import registry
from hush.core.errors import HushError
from hush.core.image import Image
from hush.core.metrics import psnr
from hush.datasets.camera import photograph
from hush.estimation.report import ChannelNoise, NoiseReport
from hush.nets.resunet import ResUNet
from hush.pretrained import data, train, weights
from hush.pretrained.card import CameraNoise
from hush.pretrained.trainings import TRAININGS
from hush.quality import risk
from hush.training.patches import Batch

Run = Callable[..., tuple[int, str, str]]
SECOND = "{ steps = 4, learning_rate = 1e-3, batch = 2, patch = 48, power = 0.7 }"
RECIPE = f"""
title = "A test"
licence = "none"
net = "resunet"
settings = {{ maps = 4, norm = "none", residual = "input" }}
channels = 1
sigma = [0.0, 75.0]
cycles = [{{ steps = 8, learning_rate = 2e-3 }}, {SECOND}]
batch = 4
patch = 32
averaging = 4.0
seed = 3
data = [
  {{ name = "cells", generate = "epithelium", first = 0, count = 2, share = 0.7, licence = "made" }},
  {{ name = "fields", generate = "random-field", first = 0, count = 2, share = 0.3, licence = "made" }},
]
score = [{{ name = "other cells", generate = "epithelium", first = 50, count = 1, sigma = [25] }}]
"""


class Plain(torch.nn.Module):
    """A network that gives back what is noisy."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, :1]


CAMERA = {"lost": 0.0, "shared": 0.35, "longest": 1.4, "photons": 0.45, "least": 0.3, "most": 60.0}


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(RECIPE, "utf-8")
    return path


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with weights that were trained for a moment; nobody writes into it."""
    folder = tmp_path_factory.mktemp("tiny")
    recipe = folder.parent / "tiny.toml"
    recipe.write_text(RECIPE, "utf-8")
    train.pretrain(str(recipe), folder, folder / "tiny.safetensors", steps=3)
    return folder


@pytest.fixture
def made(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of the user's own weights with one in it."""
    folder = tmp_path / "cache"
    shutil.copytree(tiny, folder)
    monkeypatch.setenv("HUSH_WEIGHTS", str(folder))
    weights.load.cache_clear()
    return folder


def test_the_network_learns_to_remove_noise_of_the_level_that_it_is_told(recipe: Path) -> None:
    torch.manual_seed(0)
    settings = train.recipe_of(str(recipe)) | {"sigma": [10.0, 60.0]}
    clean = torch.zeros(64, 1, 64, 64)
    made = data.shown(clean, settings, torch.Generator().manual_seed(0))
    x, level = made.x, made.level
    assert torch.equal(made.target, clean)
    assert x.shape == (64, 2, 64, 64)
    told = x[:, 1].mean((1, 2))
    torch.testing.assert_close(told, level.flatten())
    assert float(told.min()) > 10 / 255
    assert float(told.max()) < 60 / 255
    torch.testing.assert_close(x[:, 0].std((1, 2)), told, rtol=0.05, atol=0)


def test_noise_that_neighbours_share_is_told_by_their_correlation(recipe: Path) -> None:
    settings = train.recipe_of(str(recipe)) | {
        "sigma": [20.0, 60.0],
        "camera": CAMERA | {"shared": 0.8, "photons": 0.0},
    }
    made = data.shown(torch.zeros(60, 1, 96, 96), settings, torch.Generator().manual_seed(0))
    x = made.x
    assert x.shape == (60, 6, 96, 96)
    assert float(x[:, 2].abs().max()) == 0
    noise = x[:, 0] / made.level[:, 0]
    torch.testing.assert_close(noise.std((1, 2)), torch.ones(60), rtol=0.15, atol=0)
    down, across = x[:, 4, 0, 0], x[:, 5, 0, 0]
    found = [(noise[:, 1:] * noise[:, :-1]).mean((1, 2)), (noise[:, :, 1:] * noise[:, :, :-1]).mean((1, 2))]
    torch.testing.assert_close(torch.stack([down, across]), torch.stack(found), rtol=0, atol=0.15)
    white = (down == 0) & (across == 0)
    assert 0.05 < float(white.float().mean()) < 0.4
    assert ((down == 0) & (across > 0.1)).any()
    assert ((across == 0) & (down > 0.1)).any()


def test_few_photons_are_shown_stabilised_with_the_noise_that_they_have(recipe: Path) -> None:
    settings = train.recipe_of(str(recipe)) | {"camera": CAMERA | {"shared": 0.0, "photons": 1.0, "most": 2.0}}
    clean = torch.full((40, 1, 96, 96), 0.3)
    made = data.shown(clean, settings, torch.Generator().manual_seed(0))
    away = (made.x[:, 0] - made.target[:, 0]).mean((1, 2)) / made.level[:, 0, 0, 0]
    assert float(away.abs().max()) < 0.05  # the target is the mean of the stabilised values
    real = (made.x[:, 0] - made.target[:, 0]).std((1, 2)) / made.level[:, 0, 0, 0]
    assert float(real.min()) < 0.7
    torch.testing.assert_close(1 - made.x[:, 2].mean((1, 2)), real, rtol=0, atol=0.12)
    assert float(made.x[:, 3:].abs().max()) == 0
    bright = {"camera": CAMERA | {"shared": 0.0, "photons": 1.0, "least": 50.0}}
    made = data.shown(torch.full((40, 1, 32, 32), 0.5), settings | bright, torch.Generator().manual_seed(0))
    assert float(made.x[:, 2].abs().max()) < 0.1


def test_few_photons_may_be_amplified_by_chance(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "READ_NOISES", (0.0,))
    camera = CAMERA | {"shared": 0.0, "photons": 1.0, "least": 1.0, "most": 1.0}
    settings = train.recipe_of(str(recipe)) | {"camera": camera}
    clean, dark, away = torch.full((40, 1, 96, 96), 0.5), [], []
    for share, least, most in ((0.0, 1, 12), (1.0, 3000, 9216)):
        made = data.shown(clean, settings | {"amplified": share}, torch.Generator().manual_seed(0))
        seen, target, level = made.x[:, 0], made.target[:, 0], made.level[:, 0]
        assert all(least < one.unique().numel() < most for one in seen)  # photons alike, or each of any amount
        dark.append(float((seen == seen.amin((1, 2), keepdim=True)).float().mean()))
        away.append(float(((seen - target) / level).std()))
    assert 0.4 * dark[0] < dark[1] < 0.8 * dark[0]  # more photons, each of less: fewer pixels are without
    assert away[1] == pytest.approx(away[0], rel=0.15)  # of one variance before stabilising


def test_few_photons_may_be_smeared_along_rows(recipe: Path) -> None:
    camera = CAMERA | {"shared": 0.0, "photons": 1.0, "least": 20.0, "smeared": 1.0}
    made = data.shown(
        torch.full((40, 1, 96, 96), 0.5),
        train.recipe_of(str(recipe)) | {"camera": camera},
        torch.Generator().manual_seed(0),
    )
    noise = (made.x[:, 0] - made.target[:, 0]) / made.level[:, 0]
    torch.testing.assert_close(noise.std((1, 2)), torch.ones(40), rtol=0.05, atol=0)
    down, across = made.x[:, 4, 0, 0], made.x[:, 5, 0, 0]
    assert 0.15 < float(across.max()) < 0.2
    assert 0.1 < float((down > 0).float().mean()) < 0.6
    torch.testing.assert_close((noise[:, 1:] * noise[:, :-1]).mean((1, 2)), down, rtol=0, atol=0.04)
    torch.testing.assert_close((noise[:, :, 1:] * noise[:, :, :-1]).mean((1, 2)), across, rtol=0, atol=0.04)


def test_a_photograph_is_shown_as_a_camera_makes_it() -> None:
    from helpers import data

    clean = np.moveaxis(data.astronaut()[:96, 100:196].astype(np.float32) / 255 - 0.5, -1, 0)
    lags, levels = [], []
    for seed in range(12):
        noisy, target, level = photograph(clean, np.random.default_rng(seed))
        assert noisy.shape == target.shape == clean.shape
        away = noisy - target
        np.testing.assert_allclose(np.maximum(away.std((1, 2)), 1 / 255), level.ravel(), rtol=0.02)
        middle = np.s_[:, 44:52, 44:52]  # where it is, however much the scene is enlarged
        np.testing.assert_allclose(target[middle].mean((1, 2)), clean[middle].mean((1, 2)), atol=0.06)
        for image in (noisy, target):  # both are files of 8 bits
            np.testing.assert_allclose((image + 0.5) * 255, np.rint((image + 0.5) * 255), atol=1e-4)
        levels.append(float(level.mean()))
        lags.append(float((away[:, 1:] * away[:, :-1]).mean() / (away**2).mean()))
    assert 0.2 < np.mean(lags) < 0.9
    assert min(levels) < 0.01 < 0.03 < max(levels) < 0.2


def test_photographs_are_learned_without_a_word_on_their_noise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import Image as Pillow

    from helpers import data as pictures

    scene = pictures.astronaut()
    Pillow.fromarray(scene).save(tmp_path / "scene.png")
    lines = [
        line for line in RECIPE.splitlines() if not line.startswith(("sigma", "channels", "data", "score", "  {", "]"))
    ]
    kept = 'name = "scenes", files = "*.png", shrink = 2'
    lines += ["blind = true", "channels = 3", f'data = [{{ {kept}, share = 1.0, licence = "none" }}]']
    lines += [f"score = [{{ {kept}, photons = [100, 9000] }}]"]
    (tmp_path / "snaps.toml").write_text("\n".join(lines), "utf-8")
    recipe = train.recipe_of(str(tmp_path / "snaps.toml"))
    (view,) = data.views_of(recipe["data"][0], tmp_path, 3)
    np.testing.assert_allclose(view[:, 7, 9], scene[14:16, 18:20].mean((0, 1)), atol=0.5)  # means of four

    monkeypatch.setenv("HUSH_WEIGHTS", str(tmp_path))
    weights.load.cache_clear()
    card = train.pretrain(str(tmp_path / "snaps.toml"), tmp_path, tmp_path / "snaps.safetensors", steps=3)
    dim, bright = card.scores
    assert 20 < dim["psnr"] < bright["psnr"]
    assert card.blind and card.sigma is None

    model = registry.get("methods", "pretrained")(weights="snaps")
    image = Image(scene[:64, :80], "YXS")
    result = model.fit(image).run(image)
    assert result.image.data.dtype == np.uint8
    assert abs(result.image.data.astype(float) - image.data).mean() < 5  # begun: it gives nearly what it was given
    with pytest.raises(HushError, match=r"snaps\b.*\b3\b.*\b1\b"):
        model.fit(Image(scene[:64, :80, 0], "YX"))


def test_colour_patches_of_all_kinds(recipe: Path) -> None:
    how = CAMERA | {"lost": 0.3, "shared": 0.25, "photons": 0.25, "least": 1.0}
    settings = train.recipe_of(str(recipe)) | {"channels": 3, "camera": how}
    made = data.shown(torch.rand(40, 3, 32, 32) - 0.5, settings, torch.Generator().manual_seed(0))
    assert made.x.shape == (40, 12, 32, 32)
    assert torch.isfinite(made.x).all()
    real = (made.x[:, :3] - made.target).std((2, 3)) / made.level[:, :, 0, 0]
    assert 0.8 < float(real.median()) < 1.1
    assert float((made.x[:, 6:9].abs().amax((1, 2, 3)) > 0).float().mean()) == pytest.approx(0.25, abs=0.15)
    assert float((made.x[:, 10:].abs().amax((1, 2, 3)) > 0).float().mean()) == pytest.approx(0.25, abs=0.15)


def test_lost_pixels_are_filled_from_around_and_told(recipe: Path) -> None:
    how = {"camera": CAMERA | {"lost": 1.0, "shared": 0.0, "photons": 0.0}, "sigma": [0.0, 0.1]}
    ramp = torch.linspace(-0.5, 0.5, 64).expand(30, 1, 64, 64).contiguous()
    made = data.shown(ramp, train.recipe_of(str(recipe)) | how, torch.Generator().manual_seed(0))
    lost = made.x[:, 3] > 0
    shares = lost.float().mean((1, 2))
    assert float(shares.min()) > 0.001
    assert 0.02 < float(shares.mean()) < 0.3
    assert torch.equal(made.target, ramp)
    inner = lost[:, :, 8:-8]
    torch.testing.assert_close(made.x[:, 0, :, 8:-8][inner], ramp[:, 0, :, 8:-8][inner], atol=0.03, rtol=0)


def test_missing_values_are_filled_and_the_network_is_told_where(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kind, seen = registry.get("methods", "pretrained"), []

    def look(self: Any, x: torch.Tensor) -> torch.Tensor:
        seen.append(x)
        return x[:, :1]

    monkeypatch.setattr(kind, "_apply", look)
    monkeypatch.setattr(
        kind, "_loaded", (weights.load("tiny")[0], replace(weights.card("tiny"), camera=CameraNoise(**CAMERA)))
    )
    noisy = np.random.default_rng(0).normal(100, 10, (64, 64)).astype(np.float32)
    noisy[np.random.default_rng(1).random((64, 64)) < 0.03] = 255
    model = method()
    result = model.fit(noisy).run(noisy)
    np.testing.assert_array_equal(seen[0][0, 3, :64, :64].numpy() > 0, noisy == 255)
    assert result.image.data.max() < 140
    assert model.knows_missing


def test_weights_that_begin_with_others_give_at_first_what_those_gave(made: Path, recipe: Path, tmp_path: Path) -> None:
    path = tmp_path / "more.toml"
    how = ", ".join(f"{key} = {value}" for key, value in CAMERA.items())
    added = f'begin = "tiny"\ncamera = {{ {how} }}\nseed = 3'
    path.write_text(RECIPE.replace("seed = 3", added).replace("rate = 2e-3", "rate = 0.0"), "utf-8")
    card = train.pretrain(str(path), tmp_path, made / "more.safetensors", steps=1)
    assert "Begun with the weights `tiny`" in card.as_text("more")
    assert (card.begin, card.inputs.count) == ("tiny", 6)
    x = torch.rand(1, 6, 32, 32, generator=torch.Generator().manual_seed(0)) - 0.5
    (old, _), (new, _) = weights.load("tiny"), weights.load("more")
    torch.testing.assert_close(new(x), old(x[:, :2]))


def test_a_deeper_network_begins_with_what_the_shallower_one_gave(made: Path, recipe: Path, tmp_path: Path) -> None:
    path = tmp_path / "deeper.toml"
    text = RECIPE.replace("maps = 4", "maps = 4, blocks = 3").replace("seed = 3", 'begin = "tiny"\nseed = 3')
    path.write_text(text.replace("rate = 2e-3", "rate = 0.0"), "utf-8")
    train.pretrain(str(path), tmp_path, made / "same.safetensors", steps=1)
    path.write_text(text, "utf-8")
    train.pretrain(str(path), tmp_path, made / "deeper.safetensors", steps=2)
    x = torch.rand(1, 2, 32, 32, generator=torch.Generator().manual_seed(0)) - 0.5
    (old, _), (same, _), (deeper, _) = (weights.load(name) for name in ("tiny", "same", "deeper"))
    torch.testing.assert_close(same(x), old(x))
    assert (same.margin, same.blocks) > (old.margin, old.blocks)
    down: Any = deeper.down
    assert float(down[0][2].body[-1].weight.abs().max()) > 0  # what was added learns at once


def test_weights_for_colours_begin_with_what_grey_ones_do_to_their_mean(
    made: Path, recipe: Path, tmp_path: Path
) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for k in range(4):
        io.write(pictures / f"{k}.png", Image(np.full((64, 64), 60 * k, np.uint8), "YX"))
    path = tmp_path / "colours.toml"
    text = RECIPE.split("data = [")[0].replace("channels = 1", "channels = 3").replace("rate = 2e-3", "rate = 0.0")
    dyes = 'name = "dyes", files = "pictures/*.png", last = 3, together = 3, share = 1.0, licence = "none"'
    path.write_text(f'begin = "tiny"\n{text}data = [{{ {dyes} }}]\nscore = []', "utf-8")
    train.pretrain(str(path), tmp_path, made / "colours.safetensors", steps=1)
    (view,) = data.views_of(train.recipe_of(str(path))["data"][0], tmp_path, 3)
    assert view[:, 0, 0].tolist() == [60, 120, 180]
    (old, _), (new, card) = weights.load("tiny"), weights.load("colours")
    assert card.inputs.count == 6
    x = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0)) - 0.5
    level = torch.full((1, 3, 32, 32), 0.1)
    mean = x.mean(1, keepdim=True)
    expected = x - mean + old(torch.cat([mean, level[:, :1] / 3**0.5], 1))
    torch.testing.assert_close(new(torch.cat([x, level], 1)), expected, rtol=0, atol=2e-3)


def test_with_a_lower_power_strong_noise_counts_more(recipe: Path) -> None:
    settings = train.recipe_of(str(recipe))
    batch = Batch(torch.zeros(4, 1, 32, 32), None)

    def lost(sigma: float, **own: float) -> float:
        loss = train.loss_of(settings | {"sigma": [sigma, sigma]} | own)
        return float(loss(Plain(), batch, torch.Generator().manual_seed(0)))

    def loss_at(sigma: float, power: float) -> float:
        return lost(sigma, power=power) / lost(sigma)

    assert loss_at(50, 0.7) / loss_at(5, 0.7) == pytest.approx(((50 + 3) / (5 + 3)) ** 0.5, rel=1e-4)


def test_levels_of_colours_differ_in_some_patches_only(recipe: Path) -> None:
    settings = train.recipe_of(str(recipe))
    level = data.shown(torch.zeros(400, 3, 8, 8), settings, torch.Generator().manual_seed(0)).level
    apart = (level.amax(1) > level.amin(1)).float().mean()
    assert 0.4 < float(apart) < 0.6
    assert float((level.amax(1) / level.amin(1).clip(1e-6)).max()) <= 4.001


def test_patches_come_from_all_collections_by_their_share(recipe: Path, tmp_path: Path) -> None:
    settings = train.recipe_of(str(recipe))
    sets = [[np.full((1, 40, 40), value, np.uint8)] for value in (0, 255)]
    batch = data.mixture(settings, sets).batch(1000, np.random.default_rng(0))
    assert batch.noisy.shape == (1000, 1, 32, 32)
    assert set(batch.noisy[:, 0, 0, 0].tolist()) == {-0.5, 0.5}
    assert abs(float((batch.noisy[:, 0, 0, 0] < 0).float().mean()) - 0.7) < 0.05


def test_a_collection_may_have_a_share_for_each_cycle(recipe: Path) -> None:
    settings = train.recipe_of(str(recipe))
    settings["data"] = [{"share": [0.0, 0.5]}, {"share": 0.5}]
    sets = [[np.full((1, 40, 40), value, np.uint8)] for value in (0, 255)]
    batches = [data.mixture(settings, sets, cycle).batch(1000, np.random.default_rng(0)) for cycle in (0, 1)]
    black = [float((batch.noisy[:, 0, 0, 0] < 0).float().mean()) for batch in batches]
    assert black[0] == 0
    assert abs(black[1] - 0.5) < 0.05
    settings["data"][0]["name"] = "mine"
    with pytest.raises(HushError, match=r"mine.*\b2\b.*\b3\b"):
        data.mixture(settings, sets, 2)


@pytest.mark.parametrize("last", [5, 10])
def test_stopped_and_resumed_gives_the_same_weights(recipe: Path, tmp_path: Path, last: int) -> None:
    def stop(step: int, steps: int, loss: float) -> None:
        if step == last:
            raise KeyboardInterrupt

    train.pretrain(str(recipe), tmp_path, tmp_path / "a.safetensors")
    with pytest.raises(KeyboardInterrupt):
        train.pretrain(str(recipe), tmp_path, tmp_path / "b.safetensors", report=stop, every=0.0)
    assert not (tmp_path / "b.safetensors").exists()
    begun: list[int] = []
    train.pretrain(
        str(recipe), tmp_path, tmp_path / "b.safetensors", resume=True, report=lambda step, *_: begun.append(step)
    )
    assert begun[0] in (last, last + 1)
    assert weights.tensors(tmp_path / "a.safetensors").keys() == weights.tensors(tmp_path / "b.safetensors").keys()
    for key, value in weights.tensors(tmp_path / "a.safetensors").items():
        assert torch.equal(value, weights.tensors(tmp_path / "b.safetensors")[key]), key
    assert not list(tmp_path.glob("*.partial"))


def test_a_recipe_with_another_cycle_goes_on(recipe: Path, tmp_path: Path) -> None:
    train.pretrain(str(recipe), tmp_path, tmp_path / "whole.safetensors")
    recipe.write_text(RECIPE.replace(f", {SECOND}", ""), "utf-8")
    train.pretrain(str(recipe), tmp_path, tmp_path / "parts.safetensors", keep=True)
    recipe.write_text(RECIPE, "utf-8")
    seen: list[int] = []
    card = train.pretrain(
        str(recipe), tmp_path, tmp_path / "parts.safetensors", resume=True, report=lambda step, *_: seen.append(step)
    )
    assert seen == [9, 10, 11, 12]
    assert card.training["steps"] == 12
    assert card.training["gigapixels"] == pytest.approx((8 * 4 * 32**2 + 4 * 2 * 48**2) / 1e9)
    said = card.as_text("parts")
    assert all(fact in said for fact in ("8 steps", "32²", "4 steps", "48²", "0.7"))
    whole, parts = (weights.tensors(tmp_path / f"{name}.safetensors") for name in ("whole", "parts"))
    assert all(torch.equal(value, parts[key]) for key, value in whole.items())


def test_weights_are_listed_with_their_card(made: Path, run: Run) -> None:
    code, out, _ = run("weights", "--json")
    assert code == 0
    (row,) = (row for row in map(json.loads, out.splitlines()) if row["name"] == "tiny")
    assert row["training"]["steps"] == 3
    assert row["training"]["gigapixels"] == pytest.approx(3 * 4 * 32**2 / 1e9)
    assert [data["images"] for data in row["data"]] == [2, 2]
    assert row["scores"][0]["name"] == "other cells"
    assert len(row["sha256"]) == 64
    code, out, _ = run("weights", "tiny")
    assert "| cells | 2 | 70% | made |" in out
    assert (made / "tiny.md").read_text("utf-8") == out.rstrip("\n") + "\n"


def test_networks_of_one_task_are_listed_with_their_card(run: Run) -> None:
    code, out, _ = run("weights", "--json")
    assert code == 0
    listed = {row["name"]: row for row in map(json.loads, out.splitlines())}
    assert set(TRAININGS) <= set(listed)
    for name, known in TRAININGS.items():
        assert listed[name]["bytes"] == known.shipped.stat().st_size
        code, out, _ = run("weights", name)
        assert code == 0
        assert out.startswith(f"# {known.shipped.stem}\n")


def test_loaded_weights_are_the_trained_ones(made: Path) -> None:
    net, card = weights.load("tiny")
    assert isinstance(net, ResUNet)
    assert not net.training
    assert card.sigma == (0.0, 75.0)
    stored = weights.tensors(made / "tiny.safetensors")
    for key, value in net.state_dict().items():
        assert torch.equal(value, stored[key].float())


@pytest.mark.parametrize("damage", ["cut", "other", "newer"])
def test_damaged_weights_are_refused_in_words(made: Path, damage: str, run: Run) -> None:
    path = made / "tiny.safetensors"
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:200])
    elif damage == "other":
        from safetensors.torch import save

        path.write_bytes(save({"x": torch.zeros(1)}, {}))
    else:
        path.write_bytes(path.read_bytes().replace(b'\\"format\\": 1', b'\\"format\\": 9'))
    with pytest.raises(HushError, match="later hush" if damage == "newer" else "damaged"):
        weights.load("tiny")
    code, _, err = run("weights", "tiny")
    assert code == 2
    assert "tiny" in err


def test_unknown_names_are_answered_with_the_nearest(made: Path, run: Run) -> None:
    code, _, err = run("weights", "tini")
    assert (code, "tiny" in err) == (2, True)
    for name, near in (("gausian-fast", "gaussian-fast"), ("noise-clasifier", "noise-classifier")):
        code, _, err = run("pretrain", name)
        assert (code, near in err) == (2, True)


def test_trainings_without_a_recipe_are_listed_and_say_whether_they_go_on(run: Run) -> None:
    code, out, _ = run("pretrain")
    assert code == 0
    assert {"level", "noise-mobilenet", "noisebreaker-speckle", "gaussian-fast"} <= {
        line.split()[0] for line in out.splitlines()
    }
    code, _, err = run("pretrain", "level", "--resume")
    assert (code, "--resume" in err) == (2, True)


def test_existing_weights_are_not_overwritten(made: Path, recipe: Path, run: Run) -> None:
    code, _, err = run("pretrain", recipe, "--data", made, "-o", made / "tiny.safetensors")
    assert (code, "--overwrite" in err) == (2, True)


def test_shipped_recipes_can_be_read_and_keep_away_from_test_images() -> None:
    assert "gaussian-fast" in train.recipes()
    for name in train.recipes():
        recipe: dict[str, Any] = train.recipe_of(name)
        for cycle in range(len(recipe["cycles"])):
            assert sum(data.shares_of(recipe, cycle)) == pytest.approx(1)
        for images in recipe["data"]:
            assert images["licence"]
            files = images.get("files", "")
            assert not any(part in files for part in ("BSD68", "Set12", "FMD", "PolyU", "W2S/avg1/", "MRI_nifti"))
            if files.startswith(("Train400", "BSDS500")):
                assert images["last"] <= (-40 if files.startswith("Train400") else -20)


# The method ------------------------------------------------------------------------------------


def method(**settings: Any) -> Any:
    return registry.get("methods", "pretrained")(
        **{"weights": "tiny", "scale": 1.0, "precision": "float32", **settings}
    )


@pytest.fixture
def photons() -> np.ndarray:
    """Ten photons a pixel and more, of gain 3."""
    y, x = np.mgrid[:90, :110]
    return np.asarray(3.0 * np.random.default_rng(0).poisson(30 + 20 * np.sin(x / 9) * np.cos(y / 7)), np.float32)


@pytest.mark.parametrize("net", ["grey", "colour"])
def test_tiled_equals_untiled(made: Path, photons: np.ndarray, net: str) -> None:
    photons = photons[:52, :70]
    image = Image(photons, "YX") if net == "grey" else Image(np.stack([photons, photons[::-1], photons], -1), "YXS")
    whole, std = (np.zeros(image.data.shape, np.float32) for _ in range(2))
    said = {"noise": "poisson_gaussian:gain=3,sigma=0"}
    method(**said).fit(image).run(image, whole, std=std)
    tiled, spread = (np.zeros(image.data.shape, np.float32) for _ in range(2))
    method(tile=16, **said).fit(image).run(image, tiled, std=spread)
    np.testing.assert_allclose(tiled, whole, atol=2e-4 * 20)
    assert not np.array_equal(whole, photons)
    np.testing.assert_allclose(spread, std, rtol=2e-3)


def test_the_network_is_told_the_level_and_sees_the_image_in_its_range(
    made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[torch.Tensor] = []

    def look(self: Any, x: torch.Tensor) -> torch.Tensor:
        seen.append(x)
        return x[:, :1]

    monkeypatch.setattr(registry.get("methods", "pretrained"), "_apply", look)
    rng = np.random.default_rng(0)
    noisy = (1000 + 400 * rng.random((64, 64)) + rng.normal(0, 20, (64, 64))).astype(np.float32)
    result = method(noise="gaussian:sigma=20", scale=1.5).fit(noisy).run(noisy)
    np.testing.assert_allclose(result.image.data, noisy, rtol=1e-5)
    (x,) = seen
    assert float(x[0, 0].abs().max()) < 0.6
    extent = float((noisy.max() - noisy.min()) / (x[0, 0].max() - x[0, 0].min()))
    assert float(x[0, 1].min()) == float(x[0, 1].max())
    assert float(x[0, 1, 0, 0]) == pytest.approx(1.5 * 20 / extent, rel=1e-4)
    strong = rng.normal(0, 100, (64, 64)).astype(np.float32)
    method(noise="gaussian:sigma=100", scale=3.0).fit(strong).run(strong)
    assert float(seen[-1][0, 1].max()) == pytest.approx(75 / 255)


@pytest.mark.parametrize("name", ["small", "wide"])
def test_the_deviation_of_a_linear_denoiser_is_known(made: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    # its derivative is its kernel: the share of the noise's variance is the weight of the pixel itself
    steps = torch.arange(-9.0, 10.0)
    wide = torch.exp(-(steps[:, None] ** 2 + steps**2) / (2 * 3**2)) / (2 * np.pi * 3**2)
    small = torch.tensor([[0.0, 0.1, 0.0], [0.1, 0.36, 0.1], [0.1, 0.1, 0.04]])
    kernel = {"small": small, "wide": wide}[name]
    edge = len(kernel) // 2

    def blur(self: Any, x: torch.Tensor) -> torch.Tensor:
        padded = torch.nn.functional.pad(x[:, :1], (edge,) * 4, mode="replicate")
        return torch.nn.functional.conv2d(padded, kernel[None, None])

    monkeypatch.setattr(registry.get("methods", "pretrained"), "_apply", blur)
    noisy = np.random.default_rng(0).normal(100, 10, (64, 64)).astype(np.float32)
    std = np.zeros((64, 64), np.float32)
    method(noise="gaussian:sigma=10").fit(noisy).run(noisy, std=std)
    inner = std[edge + 4 : -edge - 4, edge + 4 : -edge - 4]
    np.testing.assert_allclose(inner, 10 * np.sqrt(float(kernel[edge, edge])), rtol=1e-4 if name == "small" else 0.15)


def test_the_network_is_told_how_neighbours_share_the_noise(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from scipy import ndimage

    seen: list[torch.Tensor] = []

    def look(self: Any, x: torch.Tensor) -> torch.Tensor:
        seen.append(x)
        return x[:, :1]

    kind = registry.get("methods", "pretrained")
    monkeypatch.setattr(kind, "_apply", look)
    card = replace(weights.card("tiny"), camera=CameraNoise(**CAMERA))
    monkeypatch.setattr(kind, "_loaded", (weights.load("tiny")[0], card))
    noisy = ndimage.gaussian_filter1d(np.random.default_rng(0).normal(0, 30, (256, 256)), 0.6, axis=1)
    noisy = (100 + noisy).astype(np.float32)
    method(tta=True).fit(noisy).run(noisy)
    assert [x.shape[1] for x in seen] == [6] * 8
    assert float(seen[0][0, 4].max()) < 0.1
    assert 0.4 < float(seen[0][0, 5].min()) < 0.6
    assert float(seen[-1][0, 4].min()) == float(seen[0][0, 5].min())  # the last ones are turned
    white = np.random.default_rng(0).normal(100, 9, (64, 64)).astype(np.float32)
    method().fit(white).run(white)
    assert float(seen[-1][0, 2:4].abs().max()) == 0
    assert float(seen[-1][0, 4:].max()) < 0.1


def test_of_two_turned_images_one_is_the_half_turn(made: Path, photons: np.ndarray) -> None:
    def denoised(image: np.ndarray, **settings: Any) -> np.ndarray:
        return np.asarray(method(noise="gaussian:sigma=12", **settings).fit(image).denoise(image).data)

    photons = photons[:64, :96]  # on the network's grid: nothing is mirrored at an end
    there, back = denoised(photons), denoised(photons[::-1, ::-1].copy())[::-1, ::-1]
    assert np.abs(there - back).max() > 1e-3
    np.testing.assert_allclose(denoised(photons, tta=True, turns=2), (there + back) / 2, rtol=0, atol=1e-4)
    np.testing.assert_array_equal(denoised(photons, tta=True, turns=1), there)


@pytest.mark.parametrize("name", ["gaussian-fast", "colour-fast"])
def test_colours_are_mixed_on_one_scale(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from helpers import data

    clean = data.astronaut()[:128, 100:228].astype(np.float32)
    image = clean + np.random.default_rng(0).normal(0, 20, clean.shape).astype(np.float32)
    plain = ChannelNoise("gaussian", 0.0, 0.0, 20.0, 0.0, 400.0, middle=100.0)
    dim = ChannelNoise("poisson_gaussian", 0.02, 0.0, 20.0, 0.02, 400.0, middle=100.0)  # the same, but for its name
    results = []
    for blue in (plain, dim):
        report = NoiseReport((plain, plain, blue), 255, "", {})
        monkeypatch.setattr("hush.methods._noise_aware.analyze", lambda *_, report=report, **__: report)
        model = method(weights=name, scale=1.0)
        results.append(model.fit(Image(image, "YXS")).run(Image(image, "YXS")).image.data)
    assert psnr(results[0], clean, 255) > 29
    np.testing.assert_allclose(psnr(results[1], clean, 255), psnr(results[0], clean, 255), atol=0.3)


def test_every_image_has_other_weights_to_try(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = [(1, "gaussian-fast"), (1, "camera-fast"), (3, "colour-fast"), (3, "camera-fast"), (2, "camera-fast")]
    others = ["camera-fast", "gaussian-fast", "gaussian-fast", "colour-fast", "gaussian-fast"]
    assert [weights.rival(*pair) for pair in pairs] == others
    monkeypatch.setattr(weights, "paths", lambda: {"gaussian-fast": Path()})
    assert weights.rival(1, "gaussian-fast") is None


def test_weights_of_more_arithmetic_are_taken_where_they_are_asked_for_and_here(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here = {name: Path() for name in ("camera-best", "camera-fast", "colour-fast", "gaussian-fast")}
    monkeypatch.setattr(weights, "paths", lambda: here)
    assert [weights.suited(1, True, best) for best in (False, True)] == ["camera-fast", "camera-best"]
    assert weights.suited(1, False, best=True) == "gaussian-fast"
    assert weights.rival(1, "gaussian-fast", best=True) == "camera-best"
    assert weights.rival(1, "camera-best", best=True) == "gaussian-fast"  # not its smaller sister
    del here["camera-best"]
    assert weights.suited(1, True, best=True) == "camera-fast"


def test_weights_for_colours_refuse_other_images() -> None:
    image = np.random.default_rng(0).normal(90, 9, (2, 40, 40)).astype(np.float32)
    for axes in ("CYX", "TYX"):
        model = registry.get("methods", "pretrained")(weights="colour-fast", noise="gaussian:sigma=9")
        with pytest.raises(HushError, match=r"colour-fast\b.*\b3\b.*\b1\b"):
            model.fit(Image(image, axes))


def test_weights_are_taken_by_colours_and_noise(made: Path) -> None:
    suited, shipped = weights.suited, weights.paths()
    assert suited(1, False) == "gaussian-fast"
    assert suited(1, True) == ("camera-fast" if "camera-fast" in shipped else "gaussian-fast")
    (made / "camera-fast.safetensors").write_bytes((made / "tiny.safetensors").read_bytes())
    assert suited(3, False) == "colour-fast"
    assert suited(3, True) == "camera-fast"
    assert suited(2, True) == "camera-fast"
    dim = np.random.default_rng(0).poisson(0.4, (128, 128)).astype(np.float32)
    assert method(weights=None, noise="poisson:photons=1", calibrate=False, scale=None).fit(dim).taken_ == "camera-fast"
    bright = np.random.default_rng(0).poisson(400, (128, 128)).astype(np.float32)
    assert method(weights=None, noise="poisson:photons=1", scale=1.0).fit(bright).taken_ == "gaussian-fast"


@pytest.mark.parametrize(("sigma", "said"), [(20.0, 14.0), (20.0, 30.0), (8.0, 12.0)])
def test_a_network_finds_the_level_that_is_wrongly_said(sigma: float, said: float) -> None:
    from helpers import data

    clean = data.camera()[100:356, 180:436].astype(np.float32)
    noisy = clean + np.random.default_rng(0).normal(0, sigma, clean.shape).astype(np.float32)
    model = method(weights="gaussian-fast", noise=f"gaussian:sigma={said}")
    ready, level, prepared, _ = model.fit(noisy)._window(Image(noisy, "YX"), 0)
    probe = np.random.default_rng(1).normal(0, said, ready.shape).astype(np.float32)
    found, _ = risk.consistent(lambda y, scale: model.filter_trial(y, level, scale, prepared), ready, probe)
    assert found * said == pytest.approx(sigma, rel=0.08)


@pytest.mark.parametrize(
    ("own", "most", "taken"),
    [(1.5, 9.0, 1.35), (1.2, 9.0, 1.2), (1.05, 9.0, None), (0.7, 9.0, 1.0), (1.5, 1.1, 1.1), (1.5, None, 1.03)],
)
def test_the_level_is_changed_only_where_two_witnesses_agree(
    made: Path, monkeypatch: pytest.MonkeyPatch, own: float, most: float | None, taken: float | None
) -> None:
    told: list[float] = []

    def filtered(self: Any, values: np.ndarray, sigma: np.ndarray, value: float, prepared: Any) -> np.ndarray:
        told.append(value)
        return values if value != 1.35 else np.full_like(values, values.mean())

    monkeypatch.setattr(risk, "consistent", lambda *_: risk.Consistent(own, 0.3))
    kind = registry.get("methods", "pretrained")
    monkeypatch.setattr(kind, "filter_trial", filtered)
    if most is not None:  # else what the analysis holds possible of an image without texture
        monkeypatch.setattr("hush.methods.pretrained._possible", lambda _: (0.0, most))
    noisy = np.random.default_rng(0).normal(100, 10, (64, 64)).astype(np.float32)
    model = method(scale=None).fit(noisy)
    assert set(told) == (set(kind.options) if taken else set())
    noise = model.report_.channels[0]
    taken = noise.interval["level"][1] / noise.level if most is None else taken
    assert model.values_ == [pytest.approx(taken or 1.0, rel=1e-6)]
    assert method(scale=None, calibrate=False).fit(noisy).values_ == [1.0]


@pytest.mark.parametrize(("levels", "more"), [((25, 25, 25), -0.1), ((10, 20, 40), 0.6)])
def test_weights_for_colours_know_a_level_of_each_and_how_far_they_err(levels: tuple[int, ...], more: float) -> None:
    from helpers import data

    clean = data.astronaut()[:128, 132:260].astype(np.float32)
    noisy = Image((clean + np.random.default_rng(0).normal(0, levels, clean.shape)).astype(np.float32), "YXS")
    std = np.zeros(clean.shape, np.float32)
    grey, colour = (method(weights=name, scale=1.0).fit(noisy) for name in ("gaussian-fast", "colour-fast"))
    result = colour.run(noisy, std=std).image.data
    assert psnr(result, clean, 255) > psnr(grey.run(noisy).image.data, clean, 255) + more
    error = np.sqrt(((result - clean) ** 2).mean((0, 1)))
    np.testing.assert_allclose(np.sqrt((std**2).mean((0, 1))), error, rtol=0.25)
    np.testing.assert_allclose(result.mean((0, 1)), noisy.data.mean((0, 1)), atol=0.5)


def test_colours_are_denoised_as_brightness_and_differences_by_weights_that_know_only_grey() -> None:
    from helpers import data

    clean = data.astronaut()[:112, 132:244].astype(np.float32)
    noisy = clean + np.random.default_rng(0).normal(0, 25, clean.shape).astype(np.float32)
    said = {"weights": "gaussian-fast", "noise": "gaussian:sigma=25"}
    std = np.zeros(clean.shape, np.float32)
    together = method(**said).fit(Image(noisy, "YXS")).run(Image(noisy, "YXS"), std=std).image.data
    apart = np.stack([method(**said).fit(noisy[..., k]).run(noisy[..., k]).image.data for k in range(3)], -1)

    def error(image: np.ndarray) -> float:
        return float(np.sqrt(np.mean((image - clean) ** 2)))

    assert error(together) < 0.9 * error(apart) < 0.5 * 25
    assert 0.5 * error(together) < float(std.mean()) < 1.5 * error(together)
