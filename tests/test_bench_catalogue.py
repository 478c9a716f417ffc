"""All recipes at once: the list, running one after the other, and published figures beside ours."""

from __future__ import annotations

import csv
import json
import runpy
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hush.bench import catalogue, runner, studies
from hush.bench.studies import denoise
from hush.core.errors import HushError
from hush.reports.bench import write_document

ROOT = Path(__file__).parents[1]
Run = Callable[..., tuple[int, str, str]]
NOISE = "gaussian:sigma=20"
TINY = """
title = "tiny"
about = "Small."
paper = "Paper"
shows = "table 9"
seeds = [0, 1]
data = [{{ name = "cells", generate = "epithelium", count = 2 }}]
noise = [{{ notation = "gaussian:sigma=20" }}]
method = [{{ peer = "noisy" }}, {{ name = "{method}" }}]
published = [
  {{ data = "cells", noise = "gaussian:sigma=20", method = "noisy", score = "psnr", value = 30.0, where = "table 9" }},
  {{ data = "cells", noise = "gaussian:sigma=20", method = "median", score = "psnr", value = 5, where = "table 9", against = "noisy" }},
]
[scale.smoke]
images = 1
crop = 24
hours = 0.001
"""  # noqa: E501
BREAKS = TINY.replace('shows = "table 9"', 'kind = "trained"').replace('paper = "Paper"', "")  # nothing to train on
ABSENT = BREAKS.replace('generate = "epithelium", count = 2', 'files = "nowhere/*.tif"')
Shipped = Callable[..., None]


@pytest.fixture
def shipped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Shipped:
    """Put other recipes in the place of those that come with hush, and work in a folder of its own."""
    monkeypatch.chdir(tmp_path)

    def put(**texts: str) -> None:
        monkeypatch.setattr(runner, "names", lambda: sorted(texts))
        monkeypatch.setattr(runner, "source", lambda name: texts[name])

    return put


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Count the rows that are made, and be interrupted at one of them."""
    state = SimpleNamespace(rows=[], stop_at=None)
    kept = denoise.row

    def counted(item: Any, method: Any, recipe: Any) -> dict[str, Any]:
        if len(state.rows) == state.stop_at:
            raise KeyboardInterrupt
        state.rows.append(method["label"])
        return kept(item, method, recipe)

    monkeypatch.setattr(denoise, "row", counted)
    return state


def records(text: str) -> dict[str, dict[str, Any]]:
    return {one["name"]: one for one in map(json.loads, text.splitlines())}


# The list ------------------------------------------------------------------------------------------------------------


def test_the_list_has_every_recipe_file(run: Run, tmp_path: Path) -> None:
    there = sorted(path.stem for path in (ROOT / "src/hush/bench/recipes").glob("*.toml"))
    code, table, _ = run("bench", "--list", "--data", tmp_path)
    assert code == 0
    assert [line.split()[0] for line in table.splitlines()[1:]] == there
    found = records(run("bench", "--list", "--json", "--data", tmp_path)[1])
    assert sorted(found) == there
    figure = found["n2v-figure4"]
    assert (figure["paper"], figure["data"]) == ("Noise2Void", ["BSD68", "cells"])
    assert {"n2v", "bm3d", "noisy"} <= set(figure["methods"])
    assert not figure["data_there"]
    assert "BSD68" in figure["missing"]
    assert found["calibration"]["data_there"]  # what is simulated needs no folder


def test_every_recipe_says_how_long_it_takes() -> None:
    for name in runner.names():
        hours = {scale: one["hours"] for scale, one in runner.load(name)["scale"].items() if "hours" in one}
        assert {"cpu", "full"} <= set(hours), name
        assert 0 < hours.get("smoke", hours["cpu"]) <= hours["cpu"] <= hours["full"], name


def test_published_figures_are_of_rows_that_the_recipe_makes() -> None:
    for name in runner.names():
        recipe = runner.load(name)
        assert "paper" in recipe or not recipe.get("published"), name
        data, methods = (
            {one["name"] for one in recipe["data"]},
            {runner.label_of(one) for one in recipe.get("method", [])},
        )
        noises = {one["notation"] + (" (8 bit)" if one.get("clip8") else "") for one in recipe.get("noise", [])}
        for one in recipe.get("published", []):
            assert one["data"] in data, (name, one)
            assert one["noise"] in noises | {"real"}, (name, one)
            assert {one["method"], one.get("against", one["method"])} <= methods, (name, one)


def test_the_list_knows_results_and_papers(run: Run, shipped: Shipped) -> None:
    shipped(one=TINY.format(method="median"), two=BREAKS.format(method="n2c"))
    found = records(run("bench", "--list", "--json")[1])
    assert [found[name]["results"] for name in ("one", "two")] == [None, None]
    assert found["one"]["hours"] == {"smoke": 0.001}
    assert run("bench", "one", "--scale", "smoke", "--rows", "docs/benchmarks/rows/one.csv", "-q")[0] == 0
    one = records(run("bench", "one", "--list", "--json")[1])["one"]
    assert (one["results"], one["scale"]) == ("results/one/rows.csv", "smoke")
    one = records(run("bench", "one", "--list", "--json", "-o", "elsewhere")[1])["one"]
    assert (one["results"], one["scale"]) == ("docs/benchmarks/rows/one.csv", "smoke")
    assert list(records(run("bench", "--list", "--json", "--only-paper", "PAPER")[1])) == ["one"]
    code, _, said = run("bench", "--list", "--only-paper", "Papr")
    assert code == 2
    assert "'Paper'" in said


# All of them ---------------------------------------------------------------------------------------------------------


def test_all_goes_on_after_a_failure_and_says_so(run: Run, shipped: Shipped) -> None:
    shipped(a=BREAKS.format(method="n2c"), b=ABSENT.format(method="n2c"), c=TINY.format(method="median"))
    code, said, _ = run("bench", "all", "--scale", "smoke", "--json", "-o", "out", "--rows", "kept")
    found = records(said)
    assert code == 1
    assert {name: one["ended"] for name, one in found.items()} == {"a": "failed", "b": "left out", "c": "done"}
    assert "nowhere/*.tif" in found["b"]["reason"]
    assert found["c"]["rows"] == 1 * 2 * 2
    assert len(list(csv.DictReader(Path("out/c/rows.csv").read_text().splitlines()))) == 4
    assert [path.name for path in Path("kept").iterdir()] == ["c.csv"]
    code, said, _ = run("bench", "all", "--scale", "smoke", "-o", "out", "--only-paper", "paper")
    assert code == 0
    assert [line.split()[:3] for line in said.splitlines()] == [["c", "4", "rows"]]


def test_all_that_was_interrupted_goes_on(run: Run, shipped: Shipped, made: SimpleNamespace) -> None:
    shipped(a=TINY.format(method="median"), b=TINY.format(method="mean").replace('"median"', '"mean"'))
    made.stop_at = 6
    code, said, _ = run("bench", "all", "--scale", "smoke")
    assert code == 130
    assert [line.split()[0] for line in said.splitlines()] == ["a"]
    made.stop_at = None
    code, said, _ = run("bench", "all", "--scale", "smoke")
    assert code == 0
    assert [line.split()[0] for line in said.splitlines()] == ["a", "b"]
    assert made.rows == ["noisy", "median"] * 2 + ["noisy", "mean"] * 2  # each once


def test_a_peer_that_is_not_there_is_no_failure(
    run: Run, shipped: Shipped, made: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = TINY.format(method="median")
    shipped(a=text.replace('{ peer = "noisy" }', '{ peer = "noisy" }, { peer = "careamics" }'), b=text)

    def without(name: str, *_: Any) -> Any:
        if name == "careamics":
            raise ImportError("careamics is not installed")
        return _[0]

    monkeypatch.setattr(denoise, "run_peer", without)
    with monkeypatch.context() as patch:
        patch.setattr("importlib.util.find_spec", lambda name: None)
        assert catalogue.not_installed(runner.load("a")) == ["careamics"]
    found = records(run("bench", "all", "--scale", "smoke", "--json")[1])
    assert found["a"]["without"] == {"careamics": "careamics is not installed"}
    assert (found["a"]["ended"], found["b"]["without"]) == ("done", {})

    def fails(*_: Any) -> Any:
        raise ModuleNotFoundError("No module named 'bm3d'", name="bm3d")

    monkeypatch.setattr(denoise, "row", fails)  # of a study that lets it through
    code, said, _ = run("bench", "all", "--scale", "smoke", "--json", "-o", "again")
    assert (code, records(said)["b"]["ended"]) == (0, "left out")
    monkeypatch.setattr(denoise, "row", lambda *_: 1 / 0)  # a fault of a study is not hidden
    code, said, _ = run("bench", "all", "--scale", "smoke", "--json", "-o", "once more")
    assert (code, records(said)["b"]["reason"]) == (1, "ZeroDivisionError: division by zero")


def test_options_of_one_recipe_are_refused_for_all(run: Run, shipped: Shipped) -> None:
    shipped(a=TINY.format(method="median"))
    for words in (("all", "--table", "x.md"), ("all", "--export-noise", "x"), ("a", "--only-paper", "Paper")):
        assert run("bench", *words)[0] == 2


def test_how_long_it_takes_is_said_before_it_begins(run: Run, shipped: Shipped, made: SimpleNamespace) -> None:
    shipped(a=TINY.format(method="median").replace("0.001", "2.5"))
    made.stop_at = 0
    code, _, said = run("bench", "a", "--scale", "smoke")
    assert code == 130
    assert "2.5 hours" in said


def test_words_for_readers_do_not_make_results_those_of_another_recipe(tmp_path: Path) -> None:
    path = tmp_path / "one.toml"
    path.write_text(TINY.format(method="median"))
    before = runner.load(str(path))
    make, _ = studies.kind_of(before)
    runner.run(before, make, scale="smoke", data=tmp_path, out=tmp_path / "out")
    head, rest = TINY.format(method="median").split("published = [")
    path.write_text((head + rest.partition("\n]\n")[2]).replace("0.001", "3").replace('shows = "table 9"', ""))
    runner.run(runner.load(str(path)), make, scale="smoke", data=tmp_path, out=tmp_path / "out")
    path.write_text(path.read_text().replace("crop = 24", "crop = 25"))
    with pytest.raises(HushError, match="--overwrite"):
        runner.run(runner.load(str(path)), make, scale="smoke", data=tmp_path, out=tmp_path / "out")
    path.write_text(TINY.format(method="median").replace("value = 30.0, ", ""))
    with pytest.raises(HushError, match="'value'"):
        runner.load(str(path))


# Published figures ---------------------------------------------------------------------------------------------------


def row(image: str, method: str, psnr: float, seed: int = 0, **more: Any) -> dict[str, Any]:
    key = {"data": "cells", "image": image, "noise": NOISE, "seed": seed, "method": method}
    return key | {"psnr": psnr} | more


def test_rows_come_back_as_they_were_written_without_what_is_no_score(tmp_path: Path) -> None:
    said = [
        row("a", "median", 30.123456789, ssim=0.5, warned=["in /home/me"], chosen="bm3d"),
        row("b", "median", float("inf"), error="/home/me has nothing"),
    ]
    path = tmp_path / "new" / "x.csv"
    catalogue.write_rows(path, said, "cpu")
    text = path.read_text()
    assert text.splitlines()[0] == "scale,data,image,noise,seed,method,psnr,ssim"
    assert "/home" not in text
    first, second = catalogue.read_rows(path)
    assert first == {"scale": "cpu"} | row("a", "median", 30.1235, ssim=0.5) | {"seed": "0"}
    assert "psnr" not in second
    path.write_text("scale,data\ncpu,a,b\n")
    with pytest.raises(HushError, match=r"x\.csv"):
        catalogue.read_rows(path)


def figures(tmp_path: Path, rows: list[dict[str, Any]], **published: Any) -> catalogue.Figure:
    text = TINY.format(method="median").partition("published")[0]
    one = {
        "data": "cells",
        "noise": NOISE,
        "method": "median",
        "score": "psnr",
        "value": 30.0,
        "where": "t",
    } | published
    said = ", ".join(f"{key} = {json.dumps(value)}" for key, value in one.items())
    (tmp_path / "one.toml").write_text(f"{text}\npublished = [{{ {said} }}]\n")
    catalogue.write_rows(tmp_path / "one.csv", rows, "cpu")
    (found,) = catalogue.published(str(tmp_path / "one.toml"), tmp_path)
    return found


def test_ours_is_the_mean_over_images_and_its_spread_is_known(tmp_path: Path) -> None:
    three = [row(name, "median", score) for name, score in zip("abc", (26.0, 28.0, 30.0), strict=True)]
    others = [row("a", "noisy", 99.0), row("a", "median", 99.0) | {"noise": "real"}, row("a", "median", 9.0, data="x")]
    found = figures(tmp_path, three + others)
    assert (found.ours, found.count, found.scale) == (28.0, 3, "cpu")
    assert found.spread == pytest.approx(4.30265 * 2 / 3**0.5, rel=1e-4)  # Student's t with two degrees of freedom
    assert found.difference == -2.0
    assert not found.worse  # within its spread of 4.97
    assert figures(tmp_path, three, value=33.0).worse
    assert not figures(tmp_path, three, value=20.0).worse
    errors = [row(one["image"], "median", 1.0, rmse=one["psnr"]) for one in three]
    assert figures(tmp_path, errors, score="rmse", value=20.0).worse  # of an error less is better
    assert not figures(tmp_path, errors, score="rmse", value=33.0).worse
    assert figures(tmp_path, three, score="ssim").ours is None


def test_seeds_of_an_image_are_no_further_images(tmp_path: Path) -> None:
    rows = [row(name, "median", score + seed, seed) for name, score in (("a", 20.0), ("b", 22.0)) for seed in (0, 2)]
    found = figures(tmp_path, rows)
    assert (found.ours, found.count) == (22.0, 2)
    assert found.spread == pytest.approx(12.7062 * 2**0.5 / 2**0.5, rel=1e-4)  # of 21 and 23
    alone = figures(tmp_path, rows[:2])
    assert (alone.ours, alone.count) == (21.0, 1)
    assert alone.spread == pytest.approx(12.7062, rel=1e-4)  # of 20 and 22: its seeds
    single = figures(tmp_path, rows[:1])
    assert (single.ours, single.spread, single.worse) == (20.0, None, False)  # nothing to say how far off it may be


def test_a_printed_difference_is_compared_by_pairs(tmp_path: Path) -> None:
    rows = [row(name, "noisy", score) for name, score in (("a", 20.0), ("b", 30.0), ("alone", 90.0))]
    rows += [row("a", "median", 24.0), row("b", "median", 36.0)]
    found = figures(tmp_path, rows, against="noisy", value=6.0)
    assert (found.ours, found.difference, found.count) == (5.0, -1.0, 2)
    assert found.spread == pytest.approx(12.7062, rel=1e-4)  # of 4 and 6, not of 24 and 36
    percent = figures(tmp_path, rows, against="noisy", value=6.0, percent=True)
    assert percent.ours == pytest.approx(20.0)  # 30 is a fifth more than 25
    assert percent.spread == pytest.approx(4 * 12.7062, rel=1e-4)


def test_the_line_of_the_page_is_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shipped: Shipped) -> None:
    made = runpy.run_path(str(ROOT / "docs" / "make_summary.py"))
    globals_ = made["papers"].__globals__
    pages = tmp_path / "pages"
    monkeypatch.setitem(globals_, "PAGES", pages)
    monkeypatch.setitem(globals_, "ROWS", pages / "rows")
    shipped(one=TINY.format(method="median"), none=BREAKS.format(method="n2c"))
    rows = [row(name, "noisy", score) for name, score in (("a", 22.0), ("b", 22.5))]
    catalogue.write_rows(pages / "rows" / "one.csv", rows, "cpu")
    facts = {"processor": "p", "threads": 1, "torch": "2"}
    write_document("one", {"title": "T"}, "cpu", "| a |", facts, pages / "which.md")
    lines = [line for line in made["papers"]().splitlines() if line.startswith("| Paper")]
    assert lines == [
        f"| Paper | table 9 | cells | {NOISE} | noisy | PSNR | 30 | 22.25 ± 3.18 | **-7.75** | 2 | cpu "
        "| [one](which.md) |  |",
        f"| Paper | table 9 | cells | {NOISE} | median against noisy | PSNR | +5 | not run yet | – | – | – "
        "| [one](which.md) |  |",
    ]


def test_the_page_of_published_figures_is_up_to_date() -> None:
    made = runpy.run_path(str(ROOT / "docs" / "make_summary.py"))
    assert made["PAPERS"].read_text("utf-8") == made["papers"](), "run `make docs`"
