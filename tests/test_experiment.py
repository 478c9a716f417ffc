"""Recipes: frozen noise, resuming, refusals, tables; and the page of a comparison."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hush
from hush.bench import runner, studies
from hush.bench.compare import Entry, collect
from hush.bench.studies import choice, coverage, denoise, noise_estimation, trained, volume
from hush.core import registry
from hush.core.errors import HushError
from hush.core.image import Image
from hush.datasets import recipes
from hush.datasets.synthetic import epithelium, fluorescence
from hush.reports.bench import write_document
from hush.reports.comparison import compare_page

RECIPE = """
title = "small"
baseline = "noisy"
seeds = [0, 1]
data = [{ name = "cells", files = "cells/*.tif" }]
noise = [{ notation = "gaussian:sigma=20" }, { notation = "gaussian:sigma=20", clip8 = true }]
method = [{ peer = "noisy" }, { name = "gaussian", settings = { sigma = "known" } }, { name = "median" }]
[scale.smoke]
images = 1
crop = 40
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    for seed in range(2):
        path = tmp_path / "data" / "cells" / f"{seed}.tif"
        path.parent.mkdir(parents=True, exist_ok=True)
        hush.write(path, Image(epithelium(64, seed), "YX"))
    (tmp_path / "small.toml").write_text(RECIPE)
    return tmp_path / "small.toml"


def rows(recipe: Path, out: str = "out", make: Any = denoise.row, **how: Any) -> list[dict[str, Any]]:
    folder = recipe.parent
    loaded = runner.load(str(recipe))
    return runner.run(loaded, make, scale=how.pop("scale", "smoke"), data=folder / "data", out=folder / out, **how)


def test_rows_are_complete(recipe: Path) -> None:
    found = rows(recipe)
    assert len(found) == 1 * 2 * 2 * 3
    assert {row["method"] for row in found} == {"noisy", "gaussian", "median"}
    by = {(row["noise"], row["seed"], row["method"]): row for row in found}
    assert by["gaussian:sigma=20", 0, "gaussian"]["psnr"] > by["gaussian:sigma=20", 0, "noisy"]["psnr"] + 1
    assert by["gaussian:sigma=20", 0, "noisy"]["psnr"] == pytest.approx(20 * np.log10(255 / 20), abs=0.3)
    assert json.loads((recipe.parent / "out/rows.json").read_text()) == found
    assert (recipe.parent / "out/rows.csv").read_text().count("\n") == 13
    assert len(rows(recipe, "full", scale="full")) == 24
    assert len(list((recipe.parent / "out/pictures").glob("*.png"))) == 2 * 4  # clean and three methods, two noises


def test_noise_is_frozen(recipe: Path) -> None:
    loaded = runner.load(str(recipe))
    one, again = (list(recipes.items(loaded, "smoke", recipe.parent / "data")) for _ in range(2))
    assert [item.noisy.tobytes() for item in one] == [item.noisy.tobytes() for item in again]
    assert one[0].noisy.tobytes() != one[1].noisy.tobytes()
    assert one[0].noisy.dtype == np.float32
    assert (one[2].noisy == np.rint(one[2].noisy)).all()
    rows(recipe, export=recipe.parent / "noise")
    files = sorted((recipe.parent / "noise/cells").glob("*.tif"))
    assert len(files) == 4
    kept = [hush.read(file).data.tobytes() for file in files]
    assert sorted(kept) == sorted(item.noisy.tobytes() for item in one)  # each of them once


def test_a_stopped_run_goes_on(recipe: Path) -> None:
    calls: list[str] = []

    def counted(item: Any, method: Any, one: Any) -> dict[str, Any]:
        if len(calls) == 5:
            raise KeyboardInterrupt
        calls.append(method["label"])
        return {"psnr": float(item.noisy.mean()), "ssim": 1.0, "seconds": 0.0}

    with pytest.raises(KeyboardInterrupt):
        rows(recipe, make=counted)
    with (recipe.parent / "out/rows.jsonl").open("a") as file:
        file.write('{"data": "ce')  # killed in the middle of a line
    more: list[str] = []

    def rest(item: Any, method: Any, one: Any) -> dict[str, Any]:
        more.append(method["label"])
        return {"psnr": float(item.noisy.mean()), "ssim": 1.0, "seconds": 0.0}

    found = rows(recipe, make=rest)
    assert (len(calls), len(more)) == (5, 7)  # every row was made once: what was known is not made again
    assert [row["method"] for row in found] == calls + more
    assert found == rows(recipe, "other", make=rest)


def test_changed_recipes_and_missing_data_are_refused(recipe: Path) -> None:
    rows(recipe)
    with pytest.raises(HushError, match="--overwrite"):
        rows(recipe, scale="full")
    rows(recipe, scale="full", overwrite=True)
    shutil.rmtree(recipe.parent / "data")
    with pytest.raises(HushError, match="--data DIR"):
        rows(recipe, "new")
    for text, part in (
        ("titel = 'x'", "did you mean 'title'"),
        ("[[noise]]\nnotation = 'gausian:sigma=2'", "gaussian"),
        ("a = [", "cannot be read"),
    ):
        recipe.write_text(text)
        with pytest.raises(HushError, match=part):
            runner.load(str(recipe))
    with pytest.raises(HushError, match=r"clasical.*'classical'"):
        runner.load("clasical")


def test_peers_are_rows_where_they_are_installed(recipe: Path) -> None:
    item = next(recipes.items(runner.load(str(recipe)), "smoke", recipe.parent / "data"))
    before = hush.psnr(item.noisy, item.clean, 255)
    for peer in ("skimage-nlm", "skimage-tv", "skimage-wavelet"):
        row = denoise.row(item, {"peer": peer, "settings": {"sigma": "known"}}, {})
        assert row["psnr"] > before + 1, peer
    assert "did you mean 'bm3d'" in denoise.row(item, {"peer": "bm3", "settings": {}}, {})["error"]
    if importlib.util.find_spec("careamics") is None:
        assert "careamics" in denoise.row(item, {"peer": "careamics", "settings": {}}, {})["error"]


def test_shipped_recipes_are_sound() -> None:
    assert {"classical", "noise-estimation", "risk-agreement"} <= set(runner.names())
    for name in runner.names():
        recipe = runner.load(name)
        assert recipe["about"].endswith(".")
        studies.kind_of(recipe)
        for method in recipe.get("method", []):
            if "name" in method and recipe.get("kind", "denoise") in ("denoise", "risk-agreement"):
                kind = registry.get("methods", method["name"])
                assert set(method.get("settings", {})) <= set(kind.settings_of())


def test_table_has_means_and_paired_intervals() -> None:
    base = {"data": "d", "noise": "n", "seed": 0, "ssim": 0.5, "seconds": 1.0}
    table = denoise.table(
        [{**base, "image": k, "method": m, "psnr": p} for m, ps in (("a", (20, 22, 24)), ("b", (21, 24, 27)))
         for k, p in enumerate(ps)],
        {"baseline": "a"},
    )  # fmt: skip
    assert "| a | 3 | 22.00 | 0.5000 | 1 | baseline |" in table
    assert "| b | 3 | 24.00 | 0.5000 | 1 | +2.00 ± 2.48 |" in table  # 4.303 * 1 / sqrt(3)


def test_the_table_of_choices_counts_harm_and_near_misses() -> None:
    def row(image: int, method: str, score: float, seconds: float, **more: Any) -> dict[str, Any]:
        key = {"data": "d", "noise": "real", "image": image, "seed": 0, "method": method}
        return key | {"psnr": score - 1, "psnr_fitted": score, "ssim": 0.5, "seconds": seconds} | more

    found = [row(k, "noisy", 20, 0) for k in range(2)]
    found += [row(0, "auto", 30, 1, chosen="pretrained"), row(1, "auto", 19.9, 1, chosen=None)]
    found += [row(0, "bm3d", 29, 9), row(1, "bm3d", 19.96, 9)]
    found += [row(0, "slow", 40, 90), row(1, "slow", 40, 90)]  # too slow to be the best
    lines = choice.table(found, {"baseline": "bm3d"}).splitlines()
    cells = {line.split(" | ")[2]: [cell.strip(" |") for cell in line.split(" | ")] for line in lines[2:]}
    assert cells["auto"][4:6] == ["24.95", "23.95"]  # after the fit, and without
    assert cells["auto"][9] == "1"  # below what went in
    assert cells["bm3d"][9] == "0"  # not by more than .05
    assert cells["auto"][10] == "50%"
    assert cells["auto"][11] == "100%"  # 19.9 is within .2 of 20, which the noisy image itself has
    assert cells["bm3d"][11] == "100%"
    assert cells["auto"][12] == "nothing 1, pretrained 1"
    assert cells["bm3d"][8] == "baseline"


def test_coverage_of_a_known_deviation() -> None:
    clean = np.full((256, 256), 100.0, np.float32)
    noisy = clean + np.random.default_rng(0).normal(0, 10, clean.shape).astype(np.float32)
    item = recipes.Item("d", "i", "gaussian:sigma=10", 0, clean, noisy, 255.0, False)
    found = coverage.row(item, {"name": "pretrained", "settings": {"sigma": 10.0}}, {})
    assert 0.3 < found["inside_1"] < found["inside_2"] <= 1
    assert found["ratio"] > 0
    table = coverage.table([item.key | {"method": "m"} | found], {}).splitlines()
    assert f"{found['inside_1']:.1%}" in table[2]


def test_documents_keep_their_other_text(tmp_path: Path) -> None:
    path = tmp_path / "b.md"
    path.write_text("# Mine\n\nwords\n")
    facts = {"processor": "p", "threads": 2, "torch": "2"}
    for table in ("| one |", "| two |"):
        write_document("x", {"title": "T", "about": "A."}, "cpu", table, facts, path)
    text = path.read_text()
    assert text.startswith("# Mine\n\nwords\n")
    assert "| two |" in text
    assert "| one |" not in text
    assert text.count("bench:x") == 2


def test_studies_on_simulated_cells(tmp_path: Path) -> None:
    """Every kind of row and its table, on one small image."""
    item = recipes.Item(
        "cells", "a", "poisson_gaussian:gain=4", 0, epithelium(128),
        recipes.frozen_noise(epithelium(128), "poisson_gaussian:gain=4", "a", 0), 255.0, False,
    )  # fmt: skip
    apart = (
        "autoencoder",
        "collection",
        "diffusion",
        "exposures",
        "failures",
        "folds",
        "raw",
        "seconds",
        "series",
        "trained",
        "volume",
    )  # have tests of their own
    for kind in (kind for kind in studies.names() if kind not in apart):
        make, table = studies.kind_of({"kind": kind})
        method = {"name": "median", "settings": {}, "label": "median"}
        row = item.key | {"method": "median"} | make(item, method, {})
        text = table([row, row | {"image": "b"}], {"baseline": ""})
        assert text.startswith("| data |"), kind
        assert "cells" in text
    assert denoise.row(item, {"name": "median", "settings": {}, "label": "median"}, {})["psnr"] > 20
    estimate = noise_estimation.row(item, {}, {})
    assert abs(estimate["gain_error"]) < 0.2


TRAINED = """
title = "t"
about = "a"
kind = "trained"
baseline = "n2c"
seeds = [0, 1]
noise = [{ notation = "gaussian:sigma=25" }]
common = { steps = 3, batch = 2, patch = 16, maps = 4 }
method = [
  { peer = "noisy" },
  { name = "n2c" },
  { name = "ssdn", settings = { noise = "known" } },
]
[[data]]
name = "copies"
files = "cells/*.tif"
copies = 3
train = { files = "cells/*.tif", frozen = true }
pretrain = { files = "cells/*.tif" }
"""
CELLS = """
[[data]]
name = "cells"
files = "cells/*.tif"
train = { generate = "epithelium", count = 1 }
"""


def test_methods_are_trained_once_and_then_tested(recipe: Path) -> None:
    path = recipe.parent / "trained.toml"
    path.write_text((TRAINED + CELLS).replace('  { name = "n2c" },\n', ""))
    loaded = runner.load(str(path))
    found = runner.run(loaded, trained.row, scale="cpu", data=recipe.parent / "data", out=recipe.parent / "t")
    models = sorted((recipe.parent / "t/models").glob("*.hush"))
    assert len(models) == 2 * 2  # two sets of data, two seeds
    learned = [row for row in found if row["method"] == "ssdn"]
    assert len(learned) == len({(row["data"], row["image"], row["seed"]) for row in learned})
    assert {row["training_pixels"] for row in learned} == {3 * 2 * 16 * 16}
    assert all(0 < row["inside_1"] < row["inside_2"] < 1 for row in learned)
    text = trained.table(found, loaded)
    assert "| copies | gaussian:sigma=25 | ssdn |" in text


def test_a_method_may_begin_with_another_training(recipe: Path) -> None:
    path = recipe.parent / "tuned.toml"
    begin = 'begin = { settings = { steps = 2, simulate = "known" } }'
    text = TRAINED.replace(
        '{ name = "n2c" }', f'{{ name = "ssdn", label = "tuned", settings = {{ noise = "known" }}, {begin} }}'
    )
    text = text.replace(
        'settings = { noise = "known" } },\n]',
        f'label = "only", settings = {{ noise = "known" }}, {begin[:-2]}, only = true }} }},\n]',
    )
    path.write_text(text.replace("seeds = [0, 1]", "seeds = [0]"))
    loaded = runner.load(str(path))
    found = runner.run(loaded, trained.row, scale="cpu", data=recipe.parent / "data", out=recipe.parent / "u")
    of = {row["method"]: row["psnr"] for row in found}
    assert set(of) == {"noisy", "tuned", "only"}
    assert len(set(of.values())) == 3


def test_volumes_and_the_bias_of_magnitudes() -> None:
    clean = np.zeros((6, 32, 32), np.float32)
    clean[:, 8:24, 8:24] = 150
    noisy = recipes.frozen_noise(clean, "rician:sigma=20", "x", 0)
    item = recipes.Item("head", "a", "rician:sigma=20", 0, clean, noisy, 255.0, False)
    plain: dict[str, Any] = {"name": "mean", "settings": {"ndim": 3, "size": 3, "sigma": 20.0}, "label": "mean"}
    biased, right = (volume.row(item, {**plain, "settings": {**plain["settings"], "correct": c}}, {}) for c in (0, 1))
    assert biased["bias_outside"] > 20
    assert right["bias_outside"] < 0.5 * biased["bias_outside"]
    assert "| head | rician:sigma=20 | mean |" in volume.table([item.key | {"method": "mean"} | right], {})


# The page of a comparison ------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path, noisy: np.ndarray) -> Path:
    good = Entry("bm3d", Image(noisy * 0.9 + 10, "YX"), {"psnr": 31.234, "risk": 0.5, "risk_error": 0.01}, "asked for")
    odd = Entry("<script>alert(1)</script>", None, {}, "failed: </script><b>")
    image = Image(noisy, "YX", meta={"name": "cells.tif"})
    collect(tmp_path / "c", image, [good, odd], Image(noisy, "YX"), "hush compare cells.tif -o c")
    return tmp_path / "c"


def test_the_page_shows_figures_and_escapes(folder: Path) -> None:
    target = folder / "page.html"
    compare_page(folder, target)
    text = target.read_text()
    assert "31.23" in text
    assert "0.5 ± 0.01" in text
    assert "<script>alert" not in text
    assert "</script><b>" not in text
    assert str(folder.parent) not in text
    with pytest.raises(HushError, match="--overwrite"):
        compare_page(folder, target)
    with pytest.raises(HushError, match="no comparison"):
        compare_page(folder.parent, folder / "x.html")


def test_equal_values_look_equal(folder: Path) -> None:
    """The noisy image and the reference are the same here, and so are their pictures."""
    assert (folder / "noisy.png").read_bytes() == (folder / "reference.png").read_bytes()
    assert (folder / "bm3d.png").read_bytes() != (folder / "noisy.png").read_bytes()


def test_the_page_works_in_a_browser(folder: Path) -> None:
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium on this machine")
    compare_page(folder, folder / "page.html")
    probe = """<script>
    document.querySelector('#figures tbody tr').click();
    document.querySelectorAll('#figures thead th')[1].click();
    document.querySelector('[data-zoom="2"]').click();
    document.title = [document.getElementById('left').alt, document.getElementById('right').alt,
      document.querySelectorAll('#figures thead th')[1].getAttribute('aria-sort'),
      document.getElementById('left').naturalWidth].join('|');
    </script></body>"""
    text = (folder / "page.html").read_text().replace("</body>", probe)
    (folder / "probe.html").write_text(text)
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=3000", "--dump-dom"]
    said = subprocess.run([*command, (folder / "probe.html").as_uri()], capture_output=True, text=True, timeout=600)
    assert "<title>noisy|bm3d|ascending|" in said.stdout


# Commands ----------------------------------------------------------------------------------------

Run = Callable[..., tuple[int, str, str]]


def test_noise_simulate_analyze_denoise(run: Run, tmp_path: Path) -> None:
    clean, one, two = (tmp_path / name for name in ("clean.tif", "n1.tif", "n2.tif"))
    assert run("simulate", "epithelium", "-o", clean, "--size", 128, "--seed", 3)[0] == 0
    for path in (one, two):
        assert run("noise", clean, "-o", path, "--noise", "poisson:photons=20..40", "--seed", 5)[0] == 0
    assert one.read_bytes() == two.read_bytes()
    assert run("simulate", "fluorescence", "-o", tmp_path / "f.tif", "--size", 64, "--seed", 3)[0] == 0
    np.testing.assert_array_equal(hush.read(tmp_path / "f.tif").data, fluorescence(64, 3))
    assert "poisson:photons=" in str(hush.read(one).meta["description"])
    code, out, _ = run("analyze", one, "--json", "--report", tmp_path / "n.html")
    record = json.loads(out)
    assert code == 0
    assert record["noise"]["kind"] in ("poisson", "poisson_gaussian")
    assert set(record["recommendation"]) == {"method", "settings", "code", "reason"}
    assert "<svg" in (tmp_path / "n.html").read_text()
    _, out, _ = run("denoise", one, "-o", tmp_path / "d.tif", "--json")
    assert json.loads(out)["chosen"] == "pretrained"
    truth = hush.read(clean)
    assert hush.psnr(hush.read(tmp_path / "d.tif"), truth) > hush.psnr(hush.read(one), truth) + 5


def test_what_is_said_on_the_command_line_is_used(run: Run, tmp_path: Path, noisy: np.ndarray) -> None:
    hush.write(tmp_path / "n.tif", Image(noisy, "YX"))
    code, out, _ = run(
        "denoise", tmp_path / "n.tif", "-o", tmp_path / "d.tif", "--noise", "gaussian:sigma=33", "--json"
    )
    assert code == 0
    assert json.loads(out)["noise"]["sigma"] == 33
    code, _, said = run("denoise", tmp_path / "n.tif", "-o", tmp_path / "e.tif", "--method", "n2v", "--gain", 3)
    assert code == 2
    assert "n2v" in said
    assert run("analyze", tmp_path / "n.tif", "--noise", "gausian:sigma=3")[0] == 2


def test_noise_refuses_formats_that_cannot_hold_it(run: Run, tmp_path: Path) -> None:
    run("simulate", "epithelium", "-o", tmp_path / "c.tif", "--size", 32)
    code, _, said = run("noise", tmp_path / "c.tif", "-o", tmp_path / "n.png", "--noise", "gaussian:sigma=5")
    assert code == 2
    assert "n.tif" in said
    assert "--clip" in said
    assert not (tmp_path / "n.png").exists()


def test_compare_and_bench(run: Run, tmp_path: Path, recipe: Path, noisy: np.ndarray) -> None:
    hush.write(tmp_path / "n.tif", Image(noisy, "YX"))
    words = ("compare", tmp_path / "n.tif", "--reference", tmp_path / "n.tif", "--methods", "median,gaussian")
    code, out, _ = run(*words, "-o", tmp_path / "c", "--json")
    assert code == 0
    assert [json.loads(line)["method"] for line in out.splitlines()] == ["median", "gaussian"]
    assert (tmp_path / "c/page.html").is_file()
    assert run(*words, "-o", tmp_path / "c")[0] == 2
    assert run("compare", tmp_path / "n.tif", "--methods", "medan", "-o", tmp_path / "d")[0] == 2
    how = ("--data", recipe.parent / "data", "--scale", "smoke", "-o", tmp_path / "r", "--table", tmp_path / "t.md")
    code, out, _ = run("bench", recipe, *how)
    assert code == 0
    assert out.strip() in (tmp_path / "t.md").read_text()
    assert (tmp_path / "r/recipe.toml").read_text() == RECIPE
    page = (tmp_path / "r/page.html").read_text()
    assert page.count("data:image/png") == 8
    assert "<td>median</td>" in page
    code, out, _ = run("bench")
    assert "classical" in out
