"""The results folder and its page: known numbers, nothing private or from elsewhere, and a browser tries it."""

from __future__ import annotations

import base64
import json
import math
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
from PIL import Image as Picture

import hush
from hush.core.errors import HushError
from hush.core.image import Image
from hush.methods._base import Result
from hush.reports.denoising import page
from hush.reports.results import FORMAT, PICTURE_SIDE, SETS, collect, without_directories

SECRET = "Jane Doe 1970"
Large = tuple[Path, dict[str, Any], list[np.memmap]]  # a folder, its facts, and the image before and after

INFO: dict[str, Any] = {
    "method": "n2v",
    "settings": {"steps": 30, "radius": 5, "device": None, "learning_rate": np.float32(0.002)},
    "reason": "the noise is white",
    "seed": 0,
    "steps": 30,
    "seconds": 4.2,
    "device": "cpu",
    "warnings": [],
    "loss": [[[1, 1.0], [10, 0.7], [20, float("nan")], [30, 0.5]]],
}
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def collected(
    folder: Path,
    before: np.ndarray,
    after: np.ndarray,
    axes: str,
    info: dict[str, Any] = INFO,
    command: str = "hush denoise in.tif -o out.tif",
    **meta: Any,
) -> dict[str, Any]:
    noisy = Image(before, axes, meta={"name": "in.tif", "description": SECRET, **meta})
    collect(folder, noisy, Result(Image(after, axes), None, dict(info)), command=command)
    return read(folder)


def read(folder: Path) -> dict[str, Any]:
    def refuse(token: str) -> NoReturn:
        raise AssertionError(f"{token} is no JSON")

    facts: dict[str, Any] = json.loads((folder / "result.json").read_text("utf-8"), parse_constant=refuse)
    return facts


def match_in(pattern: str, text: str, flags: int = 0) -> re.Match[str]:
    match = re.search(pattern, text, flags)
    assert match is not None, f"{pattern} is not in the text"
    return match


def pictures(folder: Path, facts: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str, np.ndarray]]:
    for item in facts["sets"]:
        for side in ("before", "after", "noise"):
            with Picture.open(folder / item[side]) as picture:
                yield item, side, np.asarray(picture)


def with_nan() -> np.ndarray:
    values = rng().normal(10, 2, (40, 50)).astype(np.float32)
    values[3, 4], values[5, 6], values[7, 8] = np.nan, np.inf, -np.inf
    return values


KINDS: dict[str, tuple[np.ndarray, str]] = {
    "uint8": (rng().integers(0, 255, (40, 60), np.uint8), "YX"),
    "stack": (rng().integers(0, 65535, (7, 2, 5, 24, 30), np.uint16), "TCZYX"),
    "rgba": (rng().integers(0, 255, (30, 40, 4), np.uint8), "YXS"),
    "samples last, alpha of two": (rng().integers(0, 255, (30, 40, 2), np.uint8), "YXS"),
    "missing": (with_nan(), "YX"),
    "all missing": (np.full((9, 9), np.nan, np.float32), "YX"),
    "constant": (np.full((20, 20), 7, np.float32), "YX"),
    "one pixel": (np.ones((1, 1), np.uint8), "YX"),
    "one row": (rng().normal(size=(1, 3000)), "YX"),
    "one column": (rng().normal(size=(3000, 1)), "YX"),
    "bool": (rng().random((20, 30)) > 0.5, "YX"),
    "int64": (rng().integers(-(2**40), 2**40, (20, 20)), "YX"),
    "beyond squares": (rng().random((9, 9)) * 1.7e308, "YX"),
    "many channels": (rng().integers(0, 9, (40, 12, 12), np.uint8), "CYX"),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("change", ["something", "nothing"])
def test_every_kind_of_image(tmp_path: Path, kind: str, change: str) -> None:
    before, axes = KINDS[kind]
    after = before.copy()
    if change == "something":
        after = np.roll(before, 1, axis=axes.index("X"))
        after = np.where(np.isfinite(before), after, before)
    facts = collected(tmp_path / "results", before, after, axes)
    assert facts["format"] == FORMAT
    assert 0 < len(facts["sets"]) <= SETS
    for item, _, picture in pictures(tmp_path / "results", facts):
        assert picture.shape[:2] == (item["height"], item["width"])
        assert max(picture.shape[:2]) <= PICTURE_SIDE
        assert picture.shape[2:] == ((3,) if kind == "rgba" else ())
    for channel in facts["channels"]:
        noise = channel["noise"]
        assert np.array(noise["autocorrelation"], float).shape == (17, 17)
        assert len(noise["edges"]) == len(noise["counts"]) + 1 or not noise["edges"]
        assert len(noise["gaussian"]) == len(noise["counts"]) <= 110
        assert sum(noise["counts"]) + noise["outside"] in (noise["values"], 0)
    if change == "nothing":
        assert all(channel["noise"]["std"] in (0, None) for channel in facts["channels"])
    page(tmp_path / "results", tmp_path / "page.html")


def test_white_noise_has_its_std_and_no_correlation(tmp_path: Path) -> None:
    clean = np.tile(np.linspace(0, 50, 400, dtype=np.float32), (300, 1))
    noise = rng().normal(3, 12, clean.shape).astype(np.float32)
    found = collected(tmp_path, clean + noise, clean, "YX")["channels"][0]["noise"]
    assert found["std"] == pytest.approx(12, rel=0.01)
    assert found["mean"] == pytest.approx(3, abs=0.15)
    grid = np.array(found["autocorrelation"])
    assert grid[8, 8] == pytest.approx(1)
    grid[8, 8] = 0
    assert np.abs(grid).max() < 5 / math.sqrt(noise.size)
    assert np.allclose(grid, grid[::-1, ::-1], atol=1e-6)
    assert found["code"] == "uncorrelated"
    # the histogram is the Gaussian that was drawn from, and lies where the values are
    counts, bell = np.array(found["counts"]), np.array(found["gaussian"])
    assert np.abs(counts - bell).max() < 6 * math.sqrt(bell.max())
    assert counts.sum() + found["outside"] == noise.size


@pytest.mark.parametrize(("axis", "way", "other"), [(1, "rows", "columns"), (0, "columns", "rows")])
def test_noise_averaged_along_one_direction(tmp_path: Path, axis: int, way: str, other: str) -> None:
    noise = rng().normal(0, 9, (300, 310))
    noise = (noise + np.roll(noise, 1, axis)) / 2  # lag-1 correlation of exactly one half
    found = collected(tmp_path, noise, np.zeros_like(noise), "YX")["channels"][0]["noise"]
    assert found["lag1"][way] == pytest.approx(0.5, abs=0.02)
    assert found["lag1"][other] == pytest.approx(0, abs=0.02)
    grid = found["autocorrelation"]
    assert grid[8][9] == found["lag1"]["rows"] and grid[9][8] == found["lag1"]["columns"]
    assert found["code"] == "one_direction" and "structn2v" in found["sentence"]


def grain(shape: tuple[int, ...], *shifts: tuple[float, int, int]) -> np.ndarray:
    noise = rng().normal(0, 9, shape)
    return sum([np.roll(noise, (down, across), (0, 1)) * weight for weight, down, across in shifts], noise)


@pytest.mark.parametrize(
    ("code", "noise", "method"),
    [
        ("uncorrelated", grain((200, 200)), "n2v"),
        ("pattern", grain((200, 200), (1, 3, 2)), "n2v"),
        ("alternating", grain((200, 200), (-0.8, 0, 1), (-0.8, 1, 0)), "n2v"),
        ("expected", grain((200, 200), (1, 0, 1)), "structn2v"),
        ("one_direction", grain((200, 200), (1, 0, 1)), "n2v"),
        ("both_directions", grain((200, 200), (1, 0, 1), (1, 1, 0)), "n2v"),
        ("constant", np.full((200, 200), 4.0), "n2v"),
        ("few_pixels", grain((5, 6)), "n2v"),
    ],
)
def test_a_code_says_what_the_residual_means(tmp_path: Path, code: str, noise: np.ndarray, method: str) -> None:
    facts = collected(tmp_path, noise, np.zeros_like(noise), "YX", INFO | {"method": method})
    assert facts["channels"][0]["noise"]["code"] == code


def test_stripes_that_were_taken_off_explain_the_residual(tmp_path: Path) -> None:
    rows = np.tile(rng().normal(0, 9, (200, 1)), 200) + grain((200, 200))
    for found, code in (({"stripes": {"rows": 9.0}}, "expected"), ({"stripes": {}}, "one_direction")):
        facts = collected(tmp_path, rows, np.zeros_like(rows), "YX", INFO | {"noise": found})
        assert facts["channels"][0]["noise"]["code"] == code


def test_missing_pixels_do_not_count(tmp_path: Path) -> None:
    noise = rng().normal(0, 5, (200, 200))
    noise = (noise + np.roll(noise, 1, 1)) / 2
    before = noise + 100
    before[50:90, 20:120] = np.nan
    facts = collected(tmp_path, before, np.where(np.isnan(before), before, 100.0), "YX")
    found = facts["channels"][0]["noise"]
    assert found["values"] == 36000 and found["std"] == pytest.approx(5 / math.sqrt(2), rel=0.03)
    assert found["lag1"]["rows"] == pytest.approx(0.5, abs=0.03)
    shown = {side: picture for _, side, picture in pictures(tmp_path, facts)}
    assert shown["before"][60, 60] == 0  # bottom of the range
    assert shown["noise"][60, 60] == 128  # nothing was removed there


def test_whole_numbers_get_bins_of_whole_numbers(tmp_path: Path) -> None:
    clean = np.full((200, 200), 100, np.uint8)
    noisy = np.rint(clean + rng().normal(0, 2, clean.shape)).astype(np.uint8)
    found = collected(tmp_path, noisy, clean, "YX")["channels"][0]["noise"]
    assert np.allclose(np.diff(found["edges"]), 1)
    values = noisy.astype(int) - 100
    middle = (np.array(found["edges"][:-1]) + 0.5).astype(int)
    assert found["counts"] == [int((values == m).sum()) for m in middle]


def test_before_and_after_share_one_range(tmp_path: Path) -> None:
    before = rng().normal(1000, 100, (2, 64, 64)).astype(np.float32)
    before[1] *= 5
    after = before * 0.5
    facts = collected(tmp_path, before, after, "CYX", channels=["DAPI", "GFP"])
    assert [c["name"] for c in facts["channels"]] == ["DAPI", "GFP"]
    for item, side, picture in pictures(tmp_path, facts):
        plane = {"before": before, "after": after, "noise": before - after}[side][item["channel"]]
        low, high = facts["channels"][item["channel"]]["range"]
        if side == "noise":
            low, high = item["noise_range"]
            assert low == -high
        wanted = np.clip((plane - low) / (high - low), 0, 1) * 255
        assert np.abs(picture - wanted).max() <= 0.51
    assert facts["channels"][0]["range"] == pytest.approx(np.percentile(before[0], [0.1, 99.8]), rel=1e-5)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Large:
    """A memory-mapped image whose noise and detail sit in known corners."""
    folder = tmp_path_factory.mktemp("large")
    files = [np.lib.format.open_memmap(folder / f"{n}.npy", "w+", np.uint16, (3000, 4500)) for n in "ab"]
    for file in files:
        file[:] = 1000
    files[1][:1000, :1000] += (rng().random((1000, 1000)) * 900).astype(np.uint16)  # detail, top left
    files[0][:] = files[1]
    files[0][2000:, 3500:] += (rng().random((1000, 1000)) * 300).astype(np.uint16)  # noise, bottom right
    facts = collected(folder / "results", files[0], files[1], "YX")
    return folder, facts, files


def test_large_image_is_an_overview_and_crops(large: Large) -> None:
    folder, facts, (before, _) = large
    assert [item["view"] for item in facts["sets"]] == [
        "overview",
        "crop 1: centre",
        "crop 2: most detail",
        "crop 3: largest residual",
    ]
    overview, _, detail, noise = facts["sets"]
    assert (detail["y"], detail["x"]) == (0, 0) and (noise["y"], noise["x"]) == (1976, 3476)
    assert overview["step"] == 5 and (overview["height"], overview["width"]) == (600, 900)
    low, high = facts["channels"][0]["range"]
    for item, side, picture in pictures(folder / "results", facts):
        assert max(picture.shape) <= PICTURE_SIDE
        if item is overview and side == "before":
            block = before[2500:2505, 4000:4005].astype(float).mean()
            assert picture[500, 800] == pytest.approx(255 * np.clip((block - low) / (high - low), 0, 1), abs=0.51)
    found = facts["channels"][0]["noise"]
    assert found["of"] == before.size > found["values"] > 1e6
    assert found["mean"] == pytest.approx(150 * 1e6 / before.size, rel=0.05)  # rows drawn at random, so not exact


def test_planes_and_pictures_are_bounded(tmp_path: Path) -> None:
    stack = np.zeros((3, 40, 2, 20, 20), np.uint8)
    facts = collected(tmp_path, stack, stack, "TZCYX")
    assert len(facts["sets"]) == 12
    assert [s["plane"] for s in facts["sets"] if s["channel"] == 1][::5] == ["T=0 Z=0", "T=2 Z=39"]
    again = collected(tmp_path / "again", stack, stack, "TZCYX")
    assert again == facts


def test_same_input_same_files(tmp_path: Path) -> None:
    before = rng().integers(0, 255, (60, 70), np.uint8)
    for name in "ab":
        collected(tmp_path / name, before, before // 2, "YX")
    for file in (tmp_path / "a").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes()


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("hush denoise in.tif -o sub/out.tif", "hush denoise in.tif -o sub/out.tif"),
        ("hush denoise '/home/ann b/in.tif' --model=/x/m.hush", "hush denoise in.tif --model=m.hush"),
        ("hush denoise -o/x/y.tif ~/in.tif", "hush denoise -oy.tif in.tif"),
        (r"hush denoise C:\Users\ann\in.tif", "hush denoise in.tif"),
        (r"hush denoise \\server\ann\in.tif", "hush denoise in.tif"),
        ("hush denoise '/home/ann/in.tif", "hush denoise in.tif"),
    ],
)
def test_commands_lose_their_folders(given: str, wanted: str) -> None:
    assert without_directories(given) == wanted


def test_nothing_private_and_nothing_from_elsewhere(tmp_path: Path) -> None:
    before = rng().integers(0, 255, (40, 60), np.uint8)
    info = INFO | {
        "warnings": ["/home/zoltan/in.tif was odd", "read '/home/zoltan lee/in.tif' again"],
        "settings": {"model": "/home/zoltan/m.hush"},
        "reason": "as in /home/zoltan/recipe.toml",
    }
    command = f"hush denoise {tmp_path}/in.tif -o /home/zoltan/out.tif"
    facts = collected(
        tmp_path / "r", before, before // 2, "YX", info, command, name="/home/zoltan/in.tif", private=SECRET
    )
    assert facts["input"]["name"] == "in.tif" and facts["shortened"] and facts["settings"] == {"model": "m.hush"}
    page(tmp_path / "r", tmp_path / "page.html")
    for text in ((tmp_path / "page.html").read_text("utf-8"), (tmp_path / "r" / "result.json").read_text("utf-8")):
        assert SECRET not in text and "zoltan" not in text
        assert str(tmp_path) not in text and "/home" not in text
        assert "http:" not in text and "https:" not in text
    text = (tmp_path / "page.html").read_text("utf-8")
    assert "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'" in text
    assert not re.search(r"@@|<link|@import|url\(|\bfetch\(|XMLHttp", text)
    assert set(re.findall(r'src="([^"]{5})', text)) == {"data:"}


def test_texts_cannot_break_out(tmp_path: Path) -> None:
    evil = "</script><img src=x onerror=alert(1)>\"'&@@css@@\u2028"
    before = rng().integers(0, 255, (2, 30, 30), np.uint8)
    info = {
        "method": evil,
        "warnings": [evil],
        "reason": evil,
        "settings": {evil: evil},
        "loss": [],
        "device": evil,
        "seconds": 1,
    }
    collected(
        tmp_path / "r", before, before // 2, "CYX", info, evil, name=evil.replace("/", "∕"), channels=[evil, evil]
    )
    page(tmp_path / "r", tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text("utf-8")
    assert "<img src=x" not in text
    assert text.lower().count("</script") == 2
    data = match_in(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert json.loads(data[1])["channels"][0]["name"].endswith("alert(1)>\"'&@@css@@\u2028")


def test_medical_images_and_warnings_are_prominent(tmp_path: Path) -> None:
    before = rng().integers(0, 255, (30, 30), np.uint8)
    for medical in (True, False):
        info = INFO | {"warnings": ["axes were guessed"] * medical}
        collected(tmp_path / "r", before, before // 2, "YX", info, medical=medical)
        page(tmp_path / "r", tmp_path / "page.html", overwrite=True)
        text = (tmp_path / "page.html").read_text("utf-8")
        assert ("Not for diagnosis" in text) == ("axes were guessed" in text) == medical


@dataclass
class Found:
    """A record as hush may note it: the page takes it like a mapping."""

    name: str
    value: float
    limit: float
    passed: bool


def test_decisions_and_warnings_are_on_the_page_with_their_figures(tmp_path: Path) -> None:
    before = rng().integers(0, 255, (30, 30), np.uint8)
    info = INFO | {
        "decisions": [
            {"name": "whiteness of the residual", "value": np.float32(0.0712), "limit": 0.1, "passed": np.bool_(True)},
            Found("power of the residual", 1.46, 1.3, False),
            {"name": "two estimates <b>", "value": float("nan"), "limit": [0.5, 2], "passed": None},
            {"name": "bits"},
        ],
        "warnings": [
            "axes were guessed",
            {"code": "residual_power", "figure": 1.4612, "sentence": "detail may be lost"},
            {"code": None, "figure": None, "sentence": "plain"},
        ],
    }
    facts = collected(tmp_path / "r", before, before // 2, "YX", info)
    assert facts["decisions"][1] == {"name": "power of the residual", "value": 1.46, "limit": 1.3, "passed": False}
    page(tmp_path / "r", tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text("utf-8")
    table = match_in(r'<table class="decisions">.*?<tbody>(.*?)</tbody>', text, re.DOTALL)[1]
    rows = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in re.findall(r"<tr>(.*?)</tr>", table)]
    assert rows == [
        ["whiteness of the residual", "0.0712", "0.1", "yes"],
        ["power of the residual", "1.46", "1.3", "no"],
        ["two estimates &lt;b&gt;", "–", "[0.5, 2]", "–"],
        ["bits", "–", "–", "–"],
    ]
    warnings = re.findall(r"<li>(.*?)</li>", match_in(r'<div class="warnings".*?</div>', text)[0])
    assert [re.sub(r"<[^>]*>", "", one) for one in warnings] == [
        "axes were guessed",
        "detail may be lost (residual_power 1.46)",
        "plain",
    ]

    del facts["decisions"]  # as an older hush of the same format wrote it
    (tmp_path / "r" / "result.json").write_text(json.dumps(facts))
    page(tmp_path / "r", tmp_path / "page.html", overwrite=True)
    assert 'class="decisions"' not in (tmp_path / "page.html").read_text("utf-8")


def test_facts_are_on_the_page_with_units(tmp_path: Path) -> None:
    before = rng().integers(0, 255, (100, 200), np.uint8)
    noisy = Image(before, "YX", {"Y": 0.25, "X": 0.25}, "µm", {"name": "cells.tif"})
    collect(tmp_path / "r", noisy, Result(Image(before // 2, "YX"), None, INFO), command="hush denoise cells.tif")
    assert read(tmp_path / "r")["sets"][0]["bars"][0] == {"pixels": 40, "text": "10 µm"}
    page(tmp_path / "r", tmp_path / "page.html")
    text = unescape((tmp_path / "page.html").read_text("utf-8"))
    for wanted in ("cells.tif", "Noise2Void", "0.25 µm (Y, X)", "4.2 s", "100 Y × 200 X"):
        assert wanted in text
    assert "Krull" in text and "hush denoise cells.tif" in text


def test_a_result_that_says_nothing(tmp_path: Path) -> None:
    before = rng().integers(0, 255, (30, 30), np.uint8)
    collect(tmp_path / "r", Image(before, "YX"), Result(Image(before // 2, "YX")), command="")
    page(tmp_path / "r", tmp_path / "page.html")
    assert "This method removed noise" in (tmp_path / "page.html").read_text("utf-8")


def test_refusals(tmp_path: Path) -> None:
    folder, target = tmp_path / "r", tmp_path / "page.html"
    folder.mkdir()
    with pytest.raises(HushError, match=r"no result\.json"):
        page(folder, target)
    before = rng().integers(0, 255, (30, 30), np.uint8)
    facts = collected(folder, before, before // 2, "YX")
    target.write_text("mine")
    with pytest.raises(HushError, match="exists"):
        page(folder, target)
    assert target.read_text() == "mine"
    page(folder, target, overwrite=True)
    assert target.read_text("utf-8").startswith("<!doctype html>")
    page(folder, tmp_path / "r" / "new" / "page.html")
    with pytest.raises(HushError):
        page(folder, target / "page.html")  # a file stands where its folder should be
    with pytest.raises(HushError, match=folder.name):
        page(folder, folder, overwrite=True)
    for change, said in (
        ({"format": FORMAT + 1, "versions": {"hush": "9.9"}}, f"format {FORMAT + 1}, written by hush 9.9"),
        ({"sets": [facts["sets"][0] | {"after": "../page.html"}]}, "no picture"),
    ):
        (folder / "result.json").write_text(json.dumps(facts | change))
        with pytest.raises(HushError, match=said):
            page(folder, target, overwrite=True)
    (folder / "result.json").write_text("{")
    with pytest.raises(HushError, match=r"result\.json"):
        page(folder, target, overwrite=True)
    assert {file.name for file in tmp_path.iterdir()} == {"r", "page.html"}  # no partial file stays


def browse(file: Path, profile: Path) -> tuple[dict[str, Any], str]:
    """Open a page in headless Chromium and return what its own test reports."""
    off = ("quic", "background-networking", "component-update", "sync", "extensions", "default-apps")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", *(f"--disable-{word}" for word in off)]
    flags += ["--enable-logging=stderr", "--window-size=1280,900", "--virtual-time-budget=4000", "--dump-dom"]
    assert CHROMIUM is not None
    run = subprocess.run(
        [CHROMIUM, *flags, f"--user-data-dir={profile}", file.as_uri() + "#selftest"],
        capture_output=True,
        text=True,
        timeout=600,  # it hangs; a loaded machine is slow
        check=True,
    )
    assert 'data-ready="1"' in run.stdout
    console = [line for line in run.stderr.splitlines() if "CONSOLE" in line]
    assert not console
    return json.loads(unescape(match_in(r'data-selftest="([^"]*)"', run.stdout)[1])), run.stdout


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine to open the page with")
def test_the_page_works_in_a_browser(tmp_path: Path, large: Large) -> None:
    stack = rng().integers(0, 65535, (3, 2, 50, 90), np.uint16)
    evil = "</script><b>.tif"
    facts = collected(
        tmp_path / "r", stack, stack // 2, "TCYX", name=evil.replace("/", "∕"), channels=["<b>", "</script>"]
    )
    page(tmp_path / "r", tmp_path / "page.html")
    report, dom = browse(tmp_path / "page.html", tmp_path / "profile")
    assert report["errors"] == []
    assert report["sizes"] and report["sets"] == len(facts["sets"]) == 6
    assert report["values"] == ["50", "52", "0", "100", "25"]
    assert len(set(report["clips"])) == 5  # every move of the divider changed what is seen
    assert report["shown"][:2] == [1, 4]  # middle plane of both channels
    assert report["mode"] == "visible" and report["zoom"] == 4
    assert report["bars"] == 3 and report["cells"] == 289
    assert "<b>.tif" not in dom

    page(large[0] / "results", tmp_path / "large.html")
    report, dom = browse(tmp_path / "large.html", tmp_path / "profile")
    assert report["errors"] == [] and report["sizes"]
    assert report["shown"][-4:] == [0, 1, 2, 3]
    assert len(base64.b64decode(match_in(r'id="before"[^>]*base64,([^"]+)', dom)[1])) > 1000


def test_the_page_names_the_method_that_auto_chose(tmp_path: Path) -> None:
    image = Image(np.random.default_rng(0).normal(100, 20, (64, 64)).astype(np.float32), "YX")
    collect(tmp_path / "r", image, hush.Auto().fit(image).run(image), command="hush denoise a.tif")
    page(tmp_path / "r", tmp_path / "p.html")
    text = (tmp_path / "p.html").read_text()
    assert "Pretrained" in text
