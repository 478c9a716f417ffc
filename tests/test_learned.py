"""Pairs, clean images with noise put on them, what is held out, fine-tuning, and what is particular to a method."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import hush
from conftest import SMALL
from hush import io
from hush.cli.pairs import partners
from hush.core import registry
from hush.core.errors import HushError
from hush.core.image import Image
from hush.core.metrics import psnr
from hush.methods._model_file import save_model
from hush.noise import parse
from hush.training.dataset import Scene, scene_of, split
from hush.training.normalization import Scale
from hush.training.patches import Patches

UNIT = Scale((0.0,), (1.0,))
QUICK = ["--steps", "4", "--set", "maps=4", "--set", "batch=2", "--set", "patch=16"]
Run = Callable[..., tuple[int, str, str]]


def method(name: str, **settings: Any) -> Any:
    return registry.get("methods", name)(**{**SMALL, **settings})


@pytest.fixture
def clean() -> np.ndarray:
    y, x = np.mgrid[:96, :112]
    return np.asarray(100 + 60 * np.sin(x / 9) * np.cos(y / 7), np.float32)


def draws(clean: np.ndarray, count: int, sigma: float = 25.0) -> list[np.ndarray]:
    rng = np.random.default_rng(5)
    return [clean + rng.normal(0, sigma, clean.shape).astype(np.float32) for _ in range(count)]


# Pairs -----------------------------------------------------------------------------------------


@pytest.fixture
def folders(tmp_path: Path, clean: np.ndarray) -> Path:
    for folder, names in {"a": ("x_1.tif", "x_11.tif"), "b": ("x_1.tif", "x_11.tif", "gt_1.tif", "gt_11.tif")}.items():
        (tmp_path / folder).mkdir()
        for name, values in zip(names, draws(clean, 4), strict=False):
            io.write(tmp_path / folder / name, Image(values, "YX"))
    return tmp_path


def test_partners_by_folder_and_by_pattern(folders: Path) -> None:
    sources = [folders / "a" / "x_1.tif", folders / "a" / "x_11.tif"]
    assert [p.name for p in partners(sources, str(folders / "b"))] == ["x_1.tif", "x_11.tif"]
    assert [p.name for p in partners(sources[::-1], str(folders / "b" / "gt_*.tif"))] == ["gt_11.tif", "gt_1.tif"]
    assert partners(sources[:1], str(folders / "b" / "gt_1.tif")) == [folders / "b" / "gt_1.tif"]


@pytest.mark.parametrize(
    ("inputs", "targets", "part"),
    [
        (["a/x_1.tif", "b/gt_1.tif"], "a", "gt_1.tif has no partner of its name"),
        (["a/x_1.tif", "a/x_11.tif"], "b/gt_11*.tif", "has no partner among"),
        (["a/x_1.tif", "a/x_11.tif"], "b/gt_1.tif", "is one file, and there are 2"),
        (["a/x_1.tif"], "a", "would be its own partner"),
        (["a/x_1.tif"], "b/none*.tif", "no file matches"),
        (["a/x_1.tif"], "b/none.tif", "is not there"),
    ],
)
def test_missing_partners_are_named(
    folders: Path, run: Run, inputs: list[str], targets: str, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folders)
    code, _, said = run("train", "--method", "n2n", *inputs, "--targets", targets, "-o", "m.hush", "--steps", 2)
    assert (code, part in " ".join(said.split())) == (2, True), said
    assert not Path("m.hush").exists()


def test_other_shapes_are_named(folders: Path, run: Run, clean: np.ndarray) -> None:
    io.write(folders / "b" / "x_1.tif", Image(clean[:50], "YX"), overwrite=True)
    code, _, said = run("train", "--method", "n2c", folders / "a" / "x_1.tif", "--targets", folders / "b", "-o",
                        folders / "m.hush")  # fmt: skip
    assert code == 2
    assert "x_1.tif (YX 96x112) and x_1.tif (YX 50x112) are no pair" in " ".join(said.split())


def test_train_on_pairs_and_apply(folders: Path, run: Run) -> None:
    model, result = folders / "m.hush", folders / "clean.tif"
    code, _, said = run("train", "--method", "n2n", folders / "a", "--targets", folders / "b", "-o", model, *QUICK)
    assert code == 0, said
    assert run("apply", model, folders / "a" / "x_1.tif", "-o", result)[0] == 0
    assert io.read(result).data.shape == (96, 112)
    code, _, said = run("train", "--method", "n2v", folders / "a", "--targets", folders / "b", "-o", folders / "n.hush")
    assert (code, "learns without partners" in " ".join(said.split())) == (2, True)


def test_a_pair_is_used_both_ways(clean: np.ndarray) -> None:
    one, other = (Image(values, "YX") for values in draws(clean, 2))
    scene = scene_of(one, other, 0, 2, False, "noisy", False)
    for view, targets in zip(scene.views, scene.targets, strict=True):
        assert any((target == x.data).all() for target in targets for x in (one, other))
        assert all((target != view).any() for target in targets)
    supervised = scene_of(one, other, 0, 2, False, "clean", False)
    assert len(supervised.views) == 1


def test_frames_of_one_scene_are_pairs_of_each_other_only(clean: np.ndarray) -> None:
    frames = np.stack([np.stack([clean * 0 + 10 * t + z for z in range(2)]) for t in range(3)])
    scene = scene_of(Image(frames, "TZYX"), None, 0, 2, False, "noisy", False)
    assert len(scene.views) == 6
    for view, targets in zip(scene.views, scene.targets, strict=True):
        assert len(targets) == 2
        assert {float(target.flat[0]) % 10 for target in targets} == {float(view.flat[0]) % 10}
        assert float(view.flat[0]) not in {float(target.flat[0]) for target in targets}


def test_without_a_partner_the_error_says_what_to_do(clean: np.ndarray) -> None:
    with pytest.raises(HushError, match="--axes TYX"):
        method("n2n").fit(clean)
    with pytest.raises(HushError, match="--targets"):
        method("n2c").fit(clean)
    with pytest.raises(HushError, match=r"\b1\b.*\b2\b"):
        method("n2c").fit(clean, [clean, clean])


def test_frames_averaged(clean: np.ndarray) -> None:
    stack = Image(np.stack(draws(clean, 3)), "TYX")
    how: dict[str, Any] = {"steps": 120, "maps": 8, "patch": 32, "batch": 4}
    apart, together = (method("n2n", **how, average_frames=mean).fit(stack).denoise(stack).data for mean in (0, 1))
    assert (together[0] == together[2]).all()
    np.testing.assert_allclose(together[1], apart.mean(0), atol=1e-3)
    assert psnr(together[0], clean, 255) > psnr(apart[0], clean, 255) > 25


# Clean images, and noise put on them --------------------------------------------------------------


def test_noise_is_drawn_anew_for_every_patch(clean: np.ndarray) -> None:
    flat = [np.zeros((1, 64, 64), np.float32)]
    noise = parse("gaussian:sigma=2..20")
    pair = Patches(flat, (32, 32), UNIT, noise=noise, partner="noisy").batch(40, np.random.default_rng(0))
    assert pair.target is not None
    levels = pair.noisy.std((1, 2, 3))
    assert levels.min() < 6
    assert levels.max() > 16
    np.testing.assert_allclose(levels, pair.target.std((1, 2, 3)), rtol=0.15)
    assert abs(float((pair.noisy * pair.target).mean())) < 2
    lit = Patches(flat, (32, 32), UNIT, noise=noise, partner="clean").batch(3, np.random.default_rng(0))
    assert lit.target is not None
    assert not lit.target.any()


def test_the_command_puts_noise_on_clean_images(tmp_path: Path, run: Run, clean: np.ndarray) -> None:
    io.write(tmp_path / "clean.tif", Image(clean, "YX"))
    for name in ("n2c", "n2n", "dncnn"):
        code, _, said = run("train", "--method", name, tmp_path / "clean.tif", "--noise", "gaussian:sigma=25",
                            "-o", tmp_path / f"{name}.hush", *QUICK)  # fmt: skip
        assert code == 0, said
        assert hush.load(tmp_path / f"{name}.hush").settings["simulate"] == "gaussian:sigma=25"
    code, _, said = run("train", "--method", "n2c", tmp_path / "clean.tif", "--noise", "gauss:sigma=25", "-o", "m.hush")
    assert (code, "gaussian" in said) == (2, True)


def test_the_spread_that_normalises_holds_the_noise(clean: np.ndarray) -> None:
    model = method("n2c", simulate="gaussian:sigma=80").fit(clean)
    assert model.scales_[0].std[0] == pytest.approx(np.hypot(clean.std(), 80), rel=0.05)


# What is held out -----------------------------------------------------------------------------------


def test_files_are_held_out_whole() -> None:
    scenes = [Scene([np.full((1, 8, 8), k)] * 2) for k in range(10)]
    kept, held = split(scenes, 0.3, seed=4)
    numbers = [[int(view[0, 0, 0]) for scene in part for view in scene.views] for part in (kept, held)]
    assert (len(numbers[0]), len(numbers[1])) == (14, 6)
    assert not set(numbers[0]) & set(numbers[1])
    assert split(scenes, 0.3, seed=4)[1] == held
    assert [x.views[0][0, 0, 0] for x in split(scenes, 0.3, seed=5)[1]] != [x.views[0][0, 0, 0] for x in held]


def test_stops_early_and_keeps_best_and_last(tmp_path: Path, run: Run, clean: np.ndarray) -> None:
    """A rate that grows worse and worse: what is held out tells, and the best weights are not the last."""
    for k, values in enumerate(draws(clean, 4)):
        io.write(tmp_path / f"{k}.tif", Image(values, "YX"))
    how = ("--set", "maps=4", "--set", "patch=16", "--set", "batch=2", "--set", "learning_rate=0.5")
    code, _, said = run("train", tmp_path, "-o", tmp_path / "m.hush", "--steps", 400, "--validation", 0.25,
                        "--patience", 3, *how)  # fmt: skip
    assert code == 0, said
    assert "m.last.hush" in said
    best, last = (hush.load(tmp_path / name) for name in ("m.hush", "m.last.hush"))
    state = best.history_[0]
    assert state.stopped
    assert state.step < 400
    pairs: Any = state.validation
    losses: dict[Any, float] = dict(pairs)
    assert losses[state.best] == min(losses.values())
    weights = [next(net.parameters()) for net in (best.nets_[0], last.nets_[0]) if net is not None]
    assert not torch.equal(*weights)


def test_patience_needs_something_held_out(clean: np.ndarray) -> None:
    with pytest.raises(HushError, match="patience"):
        method("n2v", patience=3).fit(clean)


# Fine-tuning -----------------------------------------------------------------------------------------


def test_fine_tuning_begins_with_the_model(tmp_path: Path, run: Run, clean: np.ndarray) -> None:
    one, other = (Image(values, "YX") for values in draws(clean, 2))
    io.write(tmp_path / "one.tif", one)
    io.write(tmp_path / "other.tif", other)
    io.write(tmp_path / "clean.tif", Image(clean, "YX"))
    base = tmp_path / "base.hush"
    code, _, said = run("train", "--method", "n2c", tmp_path / "clean.tif", "--noise", "gaussian:sigma=25", "-o", base,
                        *QUICK, "--set", "depth=1")  # fmt: skip
    assert code == 0, said
    tuned = tmp_path / "tuned.hush"
    code, _, said = run("train", "--from", base, "--method", "n2v", tmp_path / "other.tif", "-o", tuned,
                        "--steps", 1, "--set", "learning_rate=1e-9", "--set", "averaging=1e-9")  # fmt: skip
    assert code == 0, said
    before, after = hush.load(base), hush.load(tuned)
    assert (after.method, after.settings["depth"], after.settings["maps"]) == ("n2v", 1, 4)
    assert after.scales_ == before.scales_
    np.testing.assert_allclose(after.denoise(one).data, before.denoise(one).data, atol=2)  # but for batch norm's means
    code, _, said = run("train", "--from", base, tmp_path / "other.tif", "-o", tuned, "--set", "maps=8", "--overwrite",
                        "--noise", "gaussian:sigma=5")  # fmt: skip
    assert (code, "weights do not fit" in " ".join(said.split())) == (2, True)


def test_fine_tuning_takes_new_images_as_they_are(tmp_path: Path, run: Run, clean: np.ndarray) -> None:
    """A model of n2v that learned from clean images with noise goes on without putting more noise on noisy ones."""
    one, other = draws(clean, 2)
    base = method("n2v", simulate="gaussian:sigma=25").fit(clean)
    save_model(base, tmp_path / "base.hush")
    io.write(tmp_path / "one.tif", Image(one, "YX"))
    code, _, said = run("train", "--from", tmp_path / "base.hush", tmp_path / "one.tif", "-o", tmp_path / "t.hush",
                        "--steps", 2)  # fmt: skip
    assert code == 0, said
    assert hush.load(tmp_path / "t.hush").settings["simulate"] is None
    with pytest.raises(HushError, match=r"\b1\b.*\b2\b"):
        method("n2v").fit(Image(np.stack([one, other]), "CYX"), start=base)


def test_resuming_with_another_beginning_is_refused(tmp_path: Path, clean: np.ndarray) -> None:
    noisy = draws(clean, 1)[0]
    starts = [method("n2v", seed=seed).fit(noisy) for seed in (1, 2)]
    where = tmp_path / "m.partial"
    method("n2v").fit(noisy, checkpoint=where, start=starts[0])
    with pytest.raises(HushError, match="start was"):
        method("n2v").fit(noisy, checkpoint=where, resume=True, start=starts[1])


# Methods ------------------------------------------------------------------------------------------------


def test_noise2self_does_not_use_a_pixel_for_itself(clean: np.ndarray) -> None:
    noisy = draws(clean, 1)[0]
    model = method("n2s", inference="j-invariant", precision="float32").fit(noisy)
    changed = noisy.copy()
    changed[40, 50] += 500
    change = np.abs(model.denoise(changed).data - model.denoise(noisy).data)
    assert change[40, 50] < 1e-3
    assert change[40, 51] > 1e-3
    whole, tiled = (replace_tile(model, tile).denoise(noisy).data for tile in (4096, 20))
    np.testing.assert_allclose(whole, tiled, rtol=0, atol=1e-4)


def replace_tile(model: Any, tile: int) -> Any:
    model.tile = tile
    return model


def test_noise2self_never_learns_the_last_phase(clean: np.ndarray) -> None:
    model = method("n2s")
    scene = [Scene([clean[None]])]
    source, aside = model.sources(scene, [], (16, 16), UNIT)
    assert aside is not None
    row, column = np.mgrid[:96, :112]
    last = (row % 4 == 3) & (column % 4 == 3)
    for origin in ((0, 0), (5, 7), (13, 2)):
        window = (slice(origin[0], origin[0] + 16), slice(origin[1], origin[1] + 16))
        np.testing.assert_array_equal(aside.chosen(origin, (16, 16))[0], last[window])
        np.testing.assert_array_equal(source.chosen(origin, (16, 16))[0], ~last[window])


def test_halves_have_independent_noise_and_the_same_picture(clean: np.ndarray) -> None:
    from hush.methods.zs_n2n import halves

    noise = torch.randn(1, 1, 200, 200, generator=torch.Generator().manual_seed(0))
    first, second = halves(noise)
    assert abs(float((first * second).mean())) < 0.02
    assert float(first.var()) == pytest.approx(0.5, rel=0.05)
    smooth = torch.from_numpy(clean)[None, None]
    assert float((halves(smooth)[0] - halves(smooth)[1]).abs().max()) < 3


@pytest.mark.parametrize(("variant", "weights"), [("S", 556_097), ("B", 667_073)])
def test_dncnn_has_the_papers_size(variant: str, weights: int) -> None:
    net = registry.get("methods", "dncnn")(variant=variant).build(1, 2)
    assert sum(p.numel() for p in net.parameters()) == weights


@pytest.mark.parametrize("net", registry.names("nets"))
@pytest.mark.parametrize("name", ["n2v", "n2n"])
def test_any_network_under_any_loss(name: str, net: str, clean: np.ndarray) -> None:
    pair = draws(clean, 2)
    model = method(name, net=net, residual="smooth").fit(pair[0], pair[1] if name == "n2n" else None)
    assert model.denoise(pair[0]).data.shape == clean.shape


def test_unknown_networks_and_depths() -> None:
    with pytest.raises(HushError, match="dncnn"):
        method("n2v", net="dncn").check()
    with pytest.raises(HushError, match="0 to 6"):
        method("n2v", depth=7).check()
    method("n2v", net="dncnn", depth=20).check()
    with pytest.raises(HushError, match=r"dncnn.*n2v2"):
        method("n2v2", net="dncnn").build(1, 2)


def test_image_of_a_pair_keeps_its_metadata(clean: np.ndarray) -> None:
    one, other = (Image(values, "YX", {"X": 0.5}, "µm") for values in draws(clean, 2))
    result = method("n2n").fit(one, other).run(replace(one, data=one.data.astype(np.uint16)))
    assert (result.image.data.dtype, result.image.scale) == (np.uint16, {"X": 0.5})
