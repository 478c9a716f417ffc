"""Studies of the SSDN report, of the failures of Noise2Void, and of decibels against seconds."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Picture

from helpers import waves
from hush.bench import runner
from hush.bench.boxes import EDGE, NAMES_WIDTH, PLOT_WIDTH
from hush.bench.studies import _plots, denoise, exposures, failures, runtime, seconds, structured, trained
from hush.core import registry
from hush.datasets.recipes import Item, frozen_noise, pictures
from hush.noise.poisson_gaussian import PoissonGaussian

NOISY: dict[str, Any] = {"peer": "noisy", "settings": {}, "label": "noisy"}


def item(noise: str = "gaussian:sigma=25", image: str = "a", size: int = 64) -> Item:
    clean = waves(size).astype(np.float32)
    drawn = clean if noise == "real" else frozen_noise(clean, noise, f"d/{image}", 0)
    return Item("d", image, noise, 0, clean, drawn, 255.0, False)


# Plots ---------------------------------------------------------------------------------------------------------------


def columns(page: Any, shade: str, y: int) -> float:
    """The middle of what has a colour in a line of a picture."""
    wanted = [int(shade[k : k + 2], 16) for k in (1, 3, 5)]
    return float(np.flatnonzero((np.asarray(page)[y] == wanted).all(-1)).mean())


def test_dots_lie_where_their_values_are() -> None:
    page = _plots.dots({"a": {"1": 0.0, "2": 50.0}, "b": {"1": 100.0, "2": 25.0}}, "x")
    first = 2 * EDGE - 10 + _plots.DOT_LINE // 2
    for line, values in enumerate(((0.0, 50.0), (100.0, 25.0))):
        for shade, value in zip(_plots.SHADES, values, strict=False):
            found = columns(page, shade, first + line * _plots.DOT_LINE)
            assert found == pytest.approx(NAMES_WIDTH + PLOT_WIDTH * value / 100, abs=1)


def test_seconds_are_on_a_logarithmic_scale() -> None:
    page = np.asarray(_plots.scatter({"a": (1.0, 5.0), "b": (10.0, 7.0), "c": (100.0, 9.0)}, "x"))
    blue = (page == [int(_plots.SHADES[1][k : k + 2], 16) for k in (1, 3, 5)]).all(-1)
    rows = [np.flatnonzero(blue[:, x]).mean() for x in np.flatnonzero(blue.any(0))]
    places = np.flatnonzero(blue.any(0))
    groups = np.split(places, np.flatnonzero(np.diff(places) > 1) + 1)
    x = [group.mean() for group in groups]
    assert len(x) == 3
    assert x[1] - x[0] == pytest.approx(x[2] - x[1], abs=1)
    assert rows[0] > rows[-1]  # more decibels are higher up


def test_names_do_not_lie_over_one_another_nor_over_dots() -> None:
    places = {"one": (100.0, 50.0), "two": (102.0, 52.0), "three": (118.0, 50.0), "far": (400.0, 51.0)}
    found = _plots._apart(places, lambda name: 6.0 * len(name))
    boxes = [(x, y - 5, x + 6 * len(name), y + 5) for name, (x, y) in found.items()]
    boxes += [(x - 4, y - 4, x + 4, y + 4) for x, y in places.values()]
    for number, box in enumerate(boxes[: len(found)]):
        assert not any(_plots._meet(box, other) for other in boxes[number + 1 :])
    assert found["far"][1] == 51


def test_rows_on_disk_are_read_without_the_torn_one(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"a": 1}\n{"a": 2', "utf-8")
    assert _plots.known_rows(tmp_path, {"a": 3}) == [{"a": 1}, {"a": 3}]


# Exposures -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("gain", "offset"), [(4.0, 3.0), (12.0, 0.0)])
def test_the_line_of_noise_is_found_from_one_exposure(gain: float, offset: float) -> None:
    one = item(f"poisson_gaussian:gain={gain},offset={offset}", size=256)
    one = replace(one, noisy=1.1 * one.noisy - 2)  # as fish: the reference has another gain
    found: Any = exposures.line_of_noise(one)
    assert found.gain == pytest.approx(1.1**2 * gain, rel=0.05)
    spread = float(np.sqrt(np.mean(found.moments(one.clean)[1])))
    assert spread == pytest.approx(float((one.noisy - 1.1 * one.clean + 2).std()), rel=0.03)


def test_averages_are_frozen_and_have_the_variance_of_so_many_exposures() -> None:
    one = item()
    noise = PoissonGaussian(gain=4, sigma=5)
    found, again = exposures.averages(one, noise), exposures.averages(one, noise)
    assert (found[16] == again[16]).all()
    variance = float(np.mean(noise.moments(one.clean)[1]))
    for count, image in found.items():
        assert float(np.var(image - one.clean)) == pytest.approx(variance / count, rel=0.1)


def test_the_mean_change_leaves_out_what_is_not_known() -> None:
    rows: list[dict[str, Any]]
    rows = [{"method": "a", "psnr_var_1": 0.1}, {"method": "a", "psnr_var_1": 0.3}, {"method": "b", "psnr_var_1": None}]
    found = exposures.changes(rows, "psnr_var")
    assert found["a"]["1"] == pytest.approx(0.2)
    assert np.isnan(found["b"]["1"])


def photographs(folder: Path, count: int = 3) -> None:
    for number in range(count):
        values = np.clip(waves(64) + 5 * number, 0, 255).astype(np.uint8)
        Picture.fromarray(np.repeat(values[..., None], 3, -1)).save(folder / f"photo{number}.png")


def test_networks_learn_photographs_once_and_are_scored_on_every_average(tmp_path: Path) -> None:
    photographs(tmp_path)
    one = item()
    for name, values in (("raw", one.noisy), ("gt", one.clean)):
        Picture.fromarray(np.clip(values, 0, 255).astype(np.uint8)).save(tmp_path / f"{name}.png")
    spec = {"name": "FMD", "files": "raw*.png", "reference": "gt*.png", "train": {"files": "photo*.png"}}
    small = {"steps": 2, "batch": 2, "patch": 32, "maps": 4, "simulate": "gaussian:sigma=25"}
    recipe = {
        "kind": "exposures", "title": "t", "about": "a.", "data": [spec], "common": small,
        "method": [
            {"peer": "noisy"},
            {"name": "ssdn", "label": "known", "family": "grey", "settings": {"noise": "known"}},
            {"name": "n2c", "label": "colour", "family": "colour"},
        ],
    }  # fmt: skip
    rows = runner.run(recipe, exposures.row, scale="smoke", data=tmp_path, out=tmp_path / "out")
    assert len(rows) == 3
    assert len(list((tmp_path / "out/models").glob("*.hush"))) == 2  # for six levels each
    noisy = next(row for row in rows if row["method"] == "noisy")
    scores = [noisy[f"psnr_noisy_{count}"] for count in exposures.AVERAGED]
    assert np.diff(scores) == pytest.approx([10 * np.log10(2)] * 4, abs=0.4)
    assert {path.stem for path in (tmp_path / "out/pictures").glob("figure*")} == {
        "figure 3--psnr_var", "figure 4--ssim_var"
    }  # fmt: skip
    text = exposures.table(rows, recipe)
    assert text.count("| PSNR_var, % | gaussian:sigma=25 |") == 2
    assert sum(line.startswith("| PSNR, dB |") for line in text.splitlines()) == 1


def test_the_report_has_eleven_variants() -> None:
    methods = runner.load("report-exposures")["method"]
    assert sum(one.get("name") == "ssdn" for one in methods) == 11
    assert {one["family"] for one in methods if "name" in one} == {"grey", "colour"}


# Failures ------------------------------------------------------------------------------------------------------------


def test_the_worst_places_are_found_and_only_worse_ones_are_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = {"a": 50.0, "b": 20.0, "c": 90.0}

    def fake(one: Item, method: dict[str, Any], recipe: dict[str, Any]) -> dict[str, Any]:
        result = one.clean.copy()
        result[7, 30] += error[one.image] / (1 if method["label"] == "n2v" else 2)
        return {"psnr": 20.0, "ssim": 0.5, "picture": result}

    monkeypatch.setattr(trained, "row", fake)
    drawn: list[tuple[str, set[str]]] = []
    monkeypatch.setattr(failures, "_draw", lambda path, one, results, side: drawn.append((one.image, set(results))))
    recipe: dict[str, Any] = {
        "kind": "failures", "title": "t", "about": "a.", "noise": [{"notation": "gaussian:sigma=25"}],
        "data": [{"name": "d", "files": "*.png"}], "method": [{"name": "n2c"}, {"name": "n2v"}],
    }  # fmt: skip
    for name in "abc":
        Picture.fromarray(item().clean.astype(np.uint8)).save(tmp_path / f"{name}.png")
    rows = runner.run(recipe, failures.row, scale="cpu", data=tmp_path, out=tmp_path / "out")
    assert [(row["pixel_y"], row["pixel_x"]) for row in rows] == [(7, 30)] * 6
    assert [row["pixel_error"] for row in rows if row["method"] == "n2v"] == pytest.approx([50, 20, 90])
    assert drawn == [(name, {"n2c", "n2v"}) for name in "aacc"]  # two pictures each, and none of b
    lines = [line for line in failures.table(rows, recipe).splitlines() if line.startswith("| largest")]
    assert [line.split(" | ")[1] for line in lines] == ["c"] * 4


def test_the_picture_of_a_failure_is_kept(tmp_path: Path) -> None:
    one = item()
    wrong = one.clean.copy()
    wrong[10, 10] += 99
    failures._draw(tmp_path / "x/y.png", one, {"n2c": one.clean, "n2v": wrong}, 1)
    with Picture.open(tmp_path / "x/y.png") as picture:
        assert picture.width > 5 * 64
    failures._draw(tmp_path / "none.png", one, {"n2v": one.clean}, 1)
    assert not (tmp_path / "none.png").exists()  # nothing is wrong


# Patterns ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pattern", ["chequerboard:amplitude=10", "stripes:amplitude=10,axis=columns"])
def test_what_is_left_of_a_pattern_is_a_share_of_it_whatever_else_is_wrong(pattern: str) -> None:
    noise = f"gaussian:sigma=5 + {pattern}"
    one = item(noise, size=128)
    alone = frozen_noise(np.zeros_like(one.clean), pattern, "d/a", 0)
    white = np.random.default_rng(0).normal(0, 5, one.clean.shape)
    for share in (0.0, 0.3, 1.0):
        assert structured.left(share * alone + white, alone, noise) == pytest.approx(share, abs=0.02)
    assert structured.left(white, 0 * white, noise) is None


def test_correlated_noise_is_measured_where_it_lasts() -> None:
    noise = "correlated:sigma=20,length=0.7"
    before = item(noise, size=128)
    rest = before.noisy - before.clean
    y, x = np.indices(rest.shape)
    assert structured.left(0.4 * rest + 9 * (1 - 2 * ((y + x) % 2)), rest, noise) == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("noise", "mask"),
    [("correlated:sigma=25,length=0.7", "5x5"), ("gaussian:sigma=20 + chequerboard:amplitude=10", "1x11")],
)
def test_structn2v_takes_the_mask_that_the_analysis_finds(
    noise: str, mask: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Any] = []

    def fake(one: Item, method: dict[str, Any], recipe: dict[str, Any]) -> dict[str, Any]:
        told.append(method["settings"]["mask"])
        return {"psnr": 20.0, "ssim": 0.5, "picture": (one.noisy + one.clean) / 2}

    one = item(noise, size=128)
    noisy = structured.row(one, NOISY, {})
    assert noisy["pattern_left"] == 1
    assert noisy["found"] != "–"
    monkeypatch.setattr(denoise, "row", fake)
    made = structured.row(one, {"name": "structn2v", "label": "s", "settings": {"mask": "found"}}, {})
    assert told == [mask]
    assert made["pattern_left"] == pytest.approx(0.5, rel=1e-3)
    assert "found" not in made
    rows = [one.key | {"method": name} | row for name, row in (("noisy", noisy), ("structn2v", made))]
    text = structured.table(rows, {})
    assert "| structn2v | 1 | 20.00 | 0.5000 | 50% |" in text
    assert "| 1 of 1 images |" in text


def test_white_noise_has_no_finding() -> None:
    assert structured.row(item(size=128), NOISY, {})["found"] == "–"


# Time ----------------------------------------------------------------------------------------------------------------


def timed(method: str, image: int, psnr: float, took: float, **more: Any) -> dict[str, Any]:
    return {
        "data": "d", "noise": "n", "image": image, "seed": 0, "method": method, "psnr": psnr, "ssim": 0.5,
        "seconds": took, "pixels": 65536,
    } | more  # fmt: skip


def test_a_training_is_paid_back_after_some_images() -> None:
    rows = [timed("bm3d", k, 28, 2.0) for k in range(2)] + [timed("bm3d (package)", 0, 0, 0, error="no such package")]
    rows += [timed("n2v", k, 27, 0.5, training_seconds=30.0) for k in range(2)]
    lines = runtime.table(rows, {"baseline": "bm3d"}).splitlines()
    cells = {line.split(" | ")[2]: line.strip("| ").split(" | ")[4:] for line in lines[2:4]}
    assert cells["n2v"] == ["27.00", "0.5", "4", "30", "20 images"]
    assert cells["bm3d"] == ["28.00", "2", "1", "–", "–"]
    assert "bm3d (package)" in lines[-1]


@pytest.mark.parametrize("study", [runtime, structured])
def test_trained_methods_are_trained_on_others_and_the_rest_learn_from_the_image(
    study: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, ran = item("gaussian:sigma=9 + stripes:amplitude=9"), []
    for name, module in (("others", trained), ("itself", denoise)):

        def fake(one: Item, method: dict[str, Any], recipe: dict[str, Any], name: str = name) -> dict[str, Any]:
            ran.append((name, method["label"]))
            return {"psnr": 20.0, "ssim": 0.5, "picture": one.clean}

        monkeypatch.setattr(module, "row", fake)
    study.row(one, {"name": "n2v", "label": "a", "settings": {}}, {})
    made = study.row(one, {"name": "n2v", "label": "b", "family": "trained", "settings": {}}, {})
    assert ran == [("itself", "a"), ("others", "b")]
    assert made.get("pixels", 64**2) == 64**2
    assert made.get("pattern_left", 0) == 0


def test_methods_are_timed_with_their_defaults() -> None:
    for one in runner.load("methods-seconds")["method"]:
        if "name" in one:
            defaults = registry.get("methods", one["name"])().settings
            assert one.get("settings", {}).items() <= defaults.items(), one["name"]


def test_the_gain_of_a_method_that_had_fewer_images_is_not_that_of_easy_ones() -> None:
    noisy, base = [20.0, 24.0, 22.0], [30.0, 31.0, 26.0]
    rows = [timed("noisy", k, value, 0) for k, value in enumerate(noisy)]
    rows += [timed("bm3d", k, value, 1.0) for k, value in enumerate(base)]
    rows += [timed("dip", 0, 29.0, 200.0), timed("dip", 1, 0, 0, error=seconds.LEFT_OUT)]
    found = seconds.summary(rows)
    assert list(found) == ["bm3d", "dip"]
    assert found["bm3d"]["gain"] == pytest.approx(7.0)
    assert found["dip"]["gain"] == pytest.approx(6.0)  # a decibel below BM3D where both were; not 9 dB
    assert (found["dip"]["n"], found["dip"]["seconds"]) == (1, 200.0)
    text = seconds.table(rows, {})
    assert "| dip | 1 | 200 | +6.00 |" in text
    assert seconds.LEFT_OUT not in text


def test_slow_methods_get_fewer_images_and_every_row_draws_the_plot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[str] = []

    def fake(one: Item, method: dict[str, Any], recipe: dict[str, Any]) -> dict[str, Any]:
        ran.append(method["label"])
        return {"psnr": 20.0 + len(method["label"]), "ssim": 0.5, "seconds": 1.0}

    monkeypatch.setattr(denoise, "row", fake)
    recipe = {
        "kind": "seconds", "title": "t", "about": "a.", "noise": [{"notation": "gaussian:sigma=25"}],
        "data": [{"name": "d", "files": "*.png"}], "method": [{"peer": "noisy"}, {"name": "bm3d"}, {"name": "dip"}],
    }  # fmt: skip
    for number in range(4):
        Picture.fromarray(item().clean.astype(np.uint8)).save(tmp_path / f"{number}.png")
    rows = runner.run(recipe, seconds.row, scale="cpu", data=tmp_path, out=tmp_path / "out")
    assert (ran.count("dip"), ran.count("bm3d")) == (seconds.FEWER_IMAGES["dip"], 4)
    assert sum(row.get("error") == seconds.LEFT_OUT for row in rows) == 4 - ran.count("dip")
    assert (tmp_path / "out/pictures" / seconds.PICTURE_FILE).exists()


# Data ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["medical-brain", "medical-chest"])
def test_no_image_of_the_medical_tables_is_trained_on(name: str, data: Path) -> None:
    spec = runner.load(name)["data"][0]

    def seen(one: dict[str, Any]) -> list[str]:
        return [hashlib.sha256(clean.tobytes()).hexdigest() for _, clean, _ in pictures(one, data, {})]

    tested = seen(spec)
    assert len(tested) == len(set(tested)) >= 10
    assert not set(tested) & set(seen({"name": "train"} | spec["train"]))
