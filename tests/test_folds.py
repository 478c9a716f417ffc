"""Cross-validation: who is tested by whom, known scores, the loss, resuming, the command, the study."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

import hush
from conftest import SMALL, records
from hush.bench import runner
from hush.bench.studies import folds as study
from hush.cli import jobs
from hush.core.errors import HushError
from hush.core.image import Image
from hush.datasets.synthetic import epithelium
from hush.methods._base import Denoiser, Result
from hush.methods._model_file import load
from hush.methods.median import Median
from hush.training.folds import CrossValidation, cross_validate, divide

Run = Callable[..., tuple[int, str, str]]


def named(arrays: list[Any], axes: str = "YX") -> list[Image]:
    return [Image(one, axes, meta={"name": f"{k}.tif"}) for k, one in enumerate(arrays)]


def waves(count: int, sigma: float = 0.0, side: int = 40) -> list[np.ndarray]:
    y, x = np.mgrid[:side, :side]
    rng = np.random.default_rng(1)
    clean = [100 + 40 * np.sin(x / (5 + k)) * np.cos(y / 7) for k in range(count)]
    return [np.asarray(one + sigma * rng.normal(size=one.shape), np.float32) for one in clean]


@dataclass(kw_only=True, eq=False)
class Memory(Denoiser):
    """Gives the target of what it has learned from, and everything else as it is."""

    needs: ClassVar[str] = "noisy and clean"

    def fit(self, images: Any, targets: Any = None) -> Memory:
        self.known_ = {one.data.tobytes(): target.data for one, target in zip(images, targets, strict=True)}
        return self

    def run(self, image: Any, *more: Any, **how: Any) -> Result:
        return Result(Image(self.known_.get(image.data.tobytes(), image.data), image.axes))


# Dividing ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "folds"), [(5, 5), (7, 3), (23, 4)])
def test_every_file_is_tested_once_and_folds_are_as_large_as_can_be(count: int, folds: int) -> None:
    found = divide(range(count), folds, seed=3)
    assert sorted(k for fold in found for k in fold) == list(range(count))
    assert {len(fold) for fold in found} <= {count // folds, -(-count // folds)}
    assert found == divide(range(count), folds, seed=3)


def test_the_seed_divides_otherwise() -> None:
    assert len({str(divide(range(12), 3, seed)) for seed in range(5)}) == 5


def test_files_of_a_group_stay_together() -> None:
    groups = ["a", "b", "a", "c", "b", "a", "d"]
    found = divide(groups, 3)
    for name in "abcd":
        assert sum(any(groups[k] == name for k in fold) for fold in found) == 1
    assert sorted(map(len, found)) == [2, 2, 3]


@pytest.mark.parametrize(("count", "folds", "said"), [(3, 5, ("5", "3")), (1, 2, ("2", "1")), (4, 1, ("2", "1"))])
def test_more_folds_than_files_are_refused(count: int, folds: int, said: tuple[str, str]) -> None:
    with pytest.raises(HushError, match=rf"\b{said[0]}\b.*\b{said[1]}\b"):
        divide(range(count), folds)


# Scores --------------------------------------------------------------------------------------------------------------


def test_a_model_is_not_tested_on_what_it_has_learned() -> None:
    """What only repeats what it has seen leaves every tested file as it was."""
    clean = waves(6)
    noisy = [one + 3 for one in clean]
    found = cross_validate(Memory(), named(noisy), named(clean), folds=3, peak=255)
    assert found.mean["rmse"] == pytest.approx(3, abs=1e-4)
    assert found.mean["psnr"] == pytest.approx(20 * np.log10(255 / 3), abs=1e-3)
    assert found.mean["psnr"] == found.mean["psnr_noisy"]
    assert sorted(one["name"] for row in found.rows for one in row["files"]) == [f"{k}.tif" for k in range(6)]


def test_copies_of_a_file_are_on_one_side() -> None:
    clean = waves(3)
    noisy = [one + 3 for one in clean]
    found = cross_validate(Memory(), named(noisy * 2), named(clean * 2), folds=3, peak=255)
    assert found.spread["rmse"] == pytest.approx(0, abs=1e-4)
    assert found.mean["rmse"] == pytest.approx(3, abs=1e-4)
    with pytest.raises(HushError, match=r"4 folds.*6.*3"):
        cross_validate(Memory(), named(noisy * 2), named(clean * 2), folds=4)
    leaking = cross_validate(Memory(), named(noisy * 2), named(clean * 2), folds=3, groups=range(6), peak=255)
    assert any(one["rmse"] == 0 for row in leaking.rows for one in row["files"])


def test_mean_and_spread_are_those_of_the_folds() -> None:
    clean = waves(4)
    noisy = [one + 1 + k for k, one in enumerate(clean)]
    found = cross_validate(Memory(), named(noisy), named(clean), folds=4, peak=255)
    errors = [row["rmse"] for row in found.rows]
    assert sorted(errors) == pytest.approx([1, 2, 3, 4], abs=1e-4)
    assert found.mean["rmse"] == pytest.approx(2.5, abs=1e-4)
    assert found.spread["rmse"] == pytest.approx(np.std([1, 2, 3, 4], ddof=1), abs=1e-4)
    fitted = cross_validate(Memory(), named(noisy), named(clean), folds=4, peak=255, fit_gain=True)
    assert fitted.mean["rmse"] == pytest.approx(0, abs=1e-3)  # an offset is no error then


def test_what_is_infinite_or_undefined_is_none() -> None:
    tiny = [one[:9, :9] for one in waves(2)]  # too small for SSIM
    found = cross_validate(Memory(), named(tiny), named(tiny), folds=2)
    assert found.mean == {"psnr": None, "ssim": None, "rmse": 0.0, "psnr_noisy": None}
    assert json.loads(json.dumps(found.as_dict(), allow_nan=False))["mean"]["psnr"] is None
    assert len(found.table().splitlines()) == 2 + 2


def test_targets_do_not_teach_a_method_that_needs_none() -> None:
    """Noise2Void learns the same with and without them, and leaves the model that was given as it was."""
    noisy, clean = waves(2, 15), waves(2)
    model = hush.Noise2Void(**SMALL)
    first = cross_validate(model, named(noisy), named(clean), folds=2)
    other = cross_validate(model, named(noisy), named([one + 50 for one in clean]), folds=2)
    assert not hasattr(model, "nets_")
    assert [row["steps"] for row in first.rows] == [6, 6]
    assert first.against == "targets"
    assert (first.mean["rmse"] or 0) + 20 < (other.mean["rmse"] or 0)


def test_noise_that_is_put_on_clean_files_is_scored_against_them() -> None:
    clean = waves(4, side=64)
    found = cross_validate(hush.Noise2Clean(**SMALL, simulate="gaussian:sigma=20"), named(clean), folds=2, peak=255)
    assert found.against == "clean"
    assert found.mean["psnr_noisy"] == pytest.approx(20 * np.log10(255 / 20), abs=0.2)
    again = cross_validate(hush.Noise2Void(**SMALL, simulate="gaussian:sigma=20"), named(clean), folds=2, peak=255)
    assert [row["psnr_noisy"] for row in again.rows] == [row["psnr_noisy"] for row in found.rows]  # the same draws


def test_a_second_exposure_is_learned_from_and_scored_against() -> None:
    one = waves(4, 10)
    other = [x + np.random.default_rng(k).normal(0, 10, x.shape).astype(np.float32) for k, x in enumerate(waves(4))]
    found = cross_validate(hush.Noise2Noise(**SMALL), named(one), named(other), folds=2)
    assert found.mean["rmse"] is not None
    assert found.mean["rmse"] > 9  # the noise of the second exposure is in it


@pytest.mark.parametrize("axes", ["ZYX", "CYX", "YXS"])
def test_all_planes_of_a_file_are_on_one_side(axes: str) -> None:
    shape = {"ZYX": (3, 20, 24), "CYX": (2, 20, 24), "YXS": (20, 24, 3)}[axes]
    rng = np.random.default_rng(0)
    noisy = named([rng.integers(90, 110, shape).astype(np.uint8) for _ in range(3)], axes)
    found = cross_validate(hush.Noise2Void(**SMALL), noisy, folds=3)
    assert [len(row["files"]) for row in found.rows] == [1, 1, 1]
    assert all(0.3 < row["loss"] < 5 for row in found.rows)


# The loss ------------------------------------------------------------------------------------------------------------


def test_the_loss_is_that_of_the_methods_own_validation() -> None:
    """Of two files one is held out by either; the weights are the same, and the patches others."""
    noisy = named(waves(2, 15, side=64))
    how: dict[str, Any] = {"steps": 12, "maps": 4, "batch": 8, "patch": 32}
    own = hush.Noise2Void(**how, validation=0.5).fit(noisy).history_[0]
    held = int(np.random.default_rng(0).permutation(2)[0])
    found = cross_validate(hush.Noise2Void(**how), noisy, folds=2)
    (mine,) = [row["loss"] for row in found.rows if row["files"][0]["name"] == f"{held}.tif"]
    assert mine == pytest.approx(own.validation[-1][1], rel=0.2)


def test_noise_alone_is_predicted_no_better_than_by_its_mean() -> None:
    """Of normalised noise the squared error at masked pixels is its variance: 1."""
    rng = np.random.default_rng(0)
    noisy = [rng.normal(50, 7, (64, 64)).astype(np.float32) for _ in range(3)]
    found = cross_validate(hush.Noise2Void(steps=40, maps=4, batch=4, patch=32), named(noisy), folds=3)
    assert found.against == "loss"
    assert found.mean["loss"] == pytest.approx(1, abs=0.15)


def test_hot_and_missing_pixels_do_not_count() -> None:
    rng = np.random.default_rng(0)
    noisy = [rng.integers(90, 130, (128, 128)).astype(np.float32) for _ in range(3)]
    noisy[0][64, 64], noisy[1][20:24, 5] = 65535, np.nan
    found = cross_validate(hush.Noise2Void(**SMALL | {"patch": 64}), named(noisy), folds=3)
    assert all(0.5 < row["loss"] < 5 for row in found.rows)


def test_what_cannot_be_tested_is_refused_before_any_training() -> None:
    noisy = named(waves(4, 10))
    begun: list[int] = []

    @contextmanager
    def watch(fold: int, *more: int) -> Iterator[None]:
        begun.append(fold)
        yield None

    small: Any = hush.Noise2Void(**SMALL)
    cases: list[tuple[Any, Any, dict[str, Any], str]] = [
        (Median(), noisy, {}, "median"),
        (Memory(), None, {}, "targets"),
        (small, noisy[:3], {}, "4 images and 3"),
        (small, named([one[:-1] for one in waves(4)]), {}, "no pair"),
        (hush.Noise2Clean(**SMALL, simulate="gaussian:sigma=5"), noisy, {}, "leave the targets out"),
        (small, None, {"groups": "abc"}, "4 files and 3"),
        (small, None, {"folds": 5}, "5 folds"),
    ]
    for model, targets, more, part in cases:
        with pytest.raises(HushError, match=part):
            cross_validate(model, noisy, targets, watch=watch, **({"folds": 2} | more))
    assert begun == []


# Stopping and going on -----------------------------------------------------------------------------------------------


def watched(calls: list[int], stop: int = 0) -> Any:
    @contextmanager
    def watch(fold: int, *more: int) -> Iterator[Callable[..., None]]:
        calls.append(fold)

        def progress(network: int, networks: int, step: int, steps: int, loss: float) -> None:
            if fold == stop and step == 2:
                raise KeyboardInterrupt

        yield progress

    return watch


def test_finished_folds_are_kept_and_the_rest_ends_in_the_same_figures(tmp_path: Path) -> None:
    noisy, path, model = named(waves(3, 10)), tmp_path / "m.folds", hush.Noise2Void(**SMALL)
    whole = cross_validate(model, noisy, folds=3)
    calls: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        cross_validate(model, noisy, folds=3, checkpoint=path, watch=watched(calls, stop=2))
    assert calls == [1, 2]
    found = cross_validate(model, noisy, folds=3, checkpoint=path, resume=True, watch=watched(calls))
    assert calls == [1, 2, 2, 3]
    assert found == whole
    assert [one.name for one in tmp_path.iterdir()] == ["m.folds"]  # no training is left
    cross_validate(model, noisy, folds=3, checkpoint=path, watch=watched(calls))
    assert calls[4:] == [1, 2, 3]  # without resume from the beginning


def test_folds_of_other_files_or_settings_are_refused(tmp_path: Path) -> None:
    noisy, path = named(waves(3, 10)), tmp_path / "m.folds"
    cross_validate(hush.Noise2Void(**SMALL), noisy, folds=3, checkpoint=path)
    again: dict[str, Any] = {"checkpoint": path, "resume": True}
    cases: list[tuple[Any, Any, dict[str, Any], str]] = [
        (hush.Noise2Void(**SMALL | {"steps": 7}), noisy, {"folds": 3}, r"steps.*\b6\b.*\b7\b"),
        (hush.N2V2(**SMALL), noisy, {"folds": 3}, "method"),
        (hush.Noise2Void(**SMALL), noisy[::-1], {"folds": 3}, "inputs"),
        (hush.Noise2Void(**SMALL), noisy, {"folds": 2}, "folds"),
        (hush.Noise2Void(**SMALL), noisy, {"folds": 3, "targets": noisy}, "targets"),
    ]
    for model, images, more, part in cases:
        with pytest.raises(HushError, match=part):
            cross_validate(model, images, **more, **again)
    path.write_text("{}")
    with pytest.raises(HushError, match=path.name):
        cross_validate(hush.Noise2Void(**SMALL), noisy, folds=3, **again)


# The command ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, arrays in (("noisy", waves(3, 15)), ("clean", waves(3))):
        (tmp_path / name).mkdir()
        for k, one in enumerate(arrays):
            hush.write(tmp_path / name / f"{k}.tif", Image(one, "YX"))
    return tmp_path


def test_the_command_tests_then_trains_on_all(run: Run, folder: Path, small: list[str]) -> None:
    model = folder / "m.hush"
    words = ["train", folder / "noisy", *small, "-o", model, "--folds", 3, "--targets", folder / "clean"]
    code, out, err = run(*words, "--json")
    assert code == 0
    *each, last = records(out)
    assert [row["fold"] for row in each] == [1, 2, 3]
    assert sorted(one["name"] for row in each for one in row["files"]) == ["0.tif", "1.tif", "2.tif"]
    assert len(last["trained_on"]) == 3
    assert last["cross_validation"]["mean"]["psnr"] == pytest.approx(np.mean([row["psnr"] for row in each]))
    assert [f"fold {k} of 3" in err for k in (1, 2, 3)] == [True] * 3
    assert load(model).learned_["cross_validation"] == last["cross_validation"]
    assert sorted(one.name for one in folder.iterdir()) == ["clean", "m.hush", "noisy"]
    assert run("apply", model, folder / "noisy" / "0.tif", "-o", folder / "x.tif", "-q")[0] == 0
    plain = folder / "plain.hush"
    assert run("train", folder / "noisy", *small, "-o", plain, "-q")[0] == 0
    assert load(plain).fingerprint == load(model).fingerprint  # the model is the one that learns from all


def test_the_table_is_printed_and_quiet_is_quiet(run: Run, folder: Path, small: list[str]) -> None:
    words = ["train", folder / "clean", *small, "-o", folder / "m.hush", "--folds", 2, "--noise", "gaussian:sigma=9"]
    code, out, err = run(*words, "-q")
    assert (code, err) == (0, "")
    lines = [line.split() for line in out.splitlines()]
    assert [line[0] for line in lines] == ["fold", "1", "2", "mean"]
    assert lines[-1][1] == "3"
    assert load(folder / "m.hush").simulate == "gaussian:sigma=9"


def test_the_command_goes_on_with_finished_folds(
    run: Run, folder: Path, small: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["train", folder / "noisy", *small, "-o", folder / "m.hush", "--folds", 2]

    def stop(*what: Any, **how: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(jobs, "train_file", stop)
        code, first, err = run(*words)
    assert code == 130
    assert "fold 2 of 2" in err
    assert (folder / "m.hush.folds").exists()
    code, again, err = run(*words, "--resume")
    assert code == 0
    assert "fold 1 of 2" not in err
    assert again == first
    assert not (folder / "m.hush.folds").exists()


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["--folds", 4], "4 folds need 4 files, and there are 3"),
        (["--folds", 2, "--method", "bm3d"], "bm3d"),
        (["--folds", 2, "--method", "zs_n2n"], "zs_n2n"),
        (["--folds", 2, "--method", "noisebreaker", "--noise", "gaussian:sigma=5"], "noisebreaker"),
        (["--folds", 1], "--folds"),
    ],
)
def test_the_command_refuses_what_makes_no_folds(run: Run, folder: Path, words: list[Any], part: str) -> None:
    code, _, err = run("train", folder / "noisy", "-o", folder / "m.hush", *words)
    assert code == 2
    assert part in err
    assert not (folder / "m.hush").exists()


# The study -----------------------------------------------------------------------------------------------------------

RECIPE = """
title = "t"
about = "a."
kind = "folds"
baseline = "n2v"
seeds = [0]
noise = [{ notation = "gaussian:sigma=25" }]
common = { steps = 3, batch = 2, patch = 16, maps = 4 }
method = [
  { peer = "noisy" },
  { name = "n2v" },
  { name = "n2c" },
  { name = "n2v", label = "only", begin = { only = true, settings = { simulate = "known" } } },
  { name = "n2v", label = "tuned", begin = { settings = { simulate = "gaussian:sigma=5..50" } } },
]
[[data]]
name = "cells"
files = "cells/*.tif"
pretrain = { files = "cells/*.tif" }
[[data]]
name = "real"
files = "cells/*.tif"
reference = "cells/*.tif"
fit_gain = true
crop = 32
"""


def test_a_study_tests_every_image_by_what_has_not_seen_it(tmp_path: Path) -> None:
    for seed in range(3):
        path = tmp_path / "cells" / f"{seed}.tif"
        path.parent.mkdir(exist_ok=True)
        hush.write(path, Image(epithelium(48, seed), "YX"))
    (tmp_path / "r.toml").write_text(RECIPE.replace('  { name = "n2c" },\n', ""))
    recipe = runner.load(str(tmp_path / "r.toml"))
    recipe["data"], real = recipe["data"][:1], recipe["data"][1:]
    found = runner.run(recipe, study.row, scale="cpu", data=tmp_path, out=tmp_path / "o")
    of = {name: [row for row in found if row["method"] == name] for name in ("noisy", "n2v", "only", "tuned")}
    assert all(sorted(row["fold"] for row in rows) == [1, 2, 3] for rows in of.values())
    assert len({tuple(row["psnr"] for row in rows) for rows in of.values()}) == 4
    names = sorted(one.suffix for one in (tmp_path / "o/models").iterdir())
    assert names == [".folds"] * 2 + [".hush"] * 2  # two of them were divided, and two begin with photographs
    table = study.table(found, recipe)
    assert table.count("| cells | gaussian:sigma=25 |") == 4
    assert table.count("±") == 4 * 3 + 3  # three scores each, and what is not the baseline against it
    recipe |= {"data": real, "method": recipe["method"][:2]}
    exact = runner.run(recipe, study.row, scale="cpu", data=tmp_path, out=tmp_path / "p")
    assert {row["noise"] for row in exact} == {"real"}
    assert "gain" in study.table([row | {"psnr": 1.0} for row in exact], recipe)


def test_a_table_has_the_mean_of_folds_not_of_files() -> None:
    rows = [
        {"fold": 1, "files": [{"rmse": 1.0}, {"rmse": 3.0}], "steps": 5, "rmse": 2.0},
        {"fold": 2, "files": [{"rmse": 4.0}], "steps": 5, "rmse": 4.0},
    ]
    found = CrossValidation(rows, "targets", 0)
    assert found.mean["rmse"] == 3.0
    assert found.table().splitlines()[-1].split() == ["mean", "3", "3.000", "±", "1.414"]
    assert [one["files"] for one in found.as_dict()["each"]] == [2, 1]
