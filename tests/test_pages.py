"""What all four pages keep: every text comes out as text, and nothing is loaded from elsewhere."""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Picture

import hush
from hush.bench import runner
from hush.bench.compare import Entry
from hush.bench.compare import collect as collect_comparison
from hush.core.errors import HushError
from hush.core.image import Image
from hush.datasets.synthetic import epithelium
from hush.methods._base import Result
from hush.reports import bench, comparison, denoising, noise, results

TEXTS = [
    "x@@data@@.tif @@css@@",
    "{{ 7 * 7 }} {{ data }} {% raise %} {# gone #}",
    "</script><script>alert(1)</script></style><!--",
    "\"'><img src=x onerror=alert(1)> ' onload='alert(1)' &lt; &amp; `",
    "é µ 日本 🔬 \u2028 \u2029 end",
]
KEPT = ("before", "after", "noise", "file", "axes")  # names of pictures, and what must fit the shape
NAMED = ("settings", "stripes", "lags", "versions")  # whose keys are shown as well


def changed(value: Any, text: str, key: str = "") -> Any:
    """Return a record with another text in every place that holds one, and as the names of settings and the like."""
    if key == "goals" or (key in KEPT and isinstance(value, str)):
        return value
    if isinstance(value, dict):
        names = (f"{text}{i}" if key in NAMED else name for i, name in enumerate(value))
        return {name: changed(item, text, old) for name, (old, item) in zip(names, value.items(), strict=True)}
    if isinstance(value, list | tuple):
        return [changed(item, text, key) for item in value]
    return text if isinstance(value, str) else value


def noisy_image() -> Image:
    values = 100 + np.random.default_rng(0).normal(0, 9, (2, 64, 80))
    meta = {"name": "a.tif", "channels": ["DAPI", "GFP"], "medical": True}
    return Image(values.astype(np.float32), "CYX", {"Y": 0.25, "X": 0.25}, "µm", meta)


def of_denoising(folder: Path, change: Callable[[Any], Any]) -> Path:
    image = noisy_image()
    info = {"method": "n2v", "settings": {"device": None, "net": "unet"}, "reason": "r", "tried": "t", "steps": 3}
    info |= {"seconds": 4.2, "seed": 0, "device": "cpu", "precision": "float32", "axes": "CYX", "warnings": ["w"]}
    info |= {"loss": [[[1, 2.0], [2, 1.0]]]}
    results.collect(folder / "r", image, Result(Image(image.data * 0.9, "CYX"), None, info), command="hush denoise")
    record = folder / "r" / "result.json"
    record.write_text(json.dumps(change(json.loads(record.read_text("utf-8")))), "utf-8")
    denoising.page(folder / "r", folder / "page.html")
    return folder / "page.html"


def of_comparison(folder: Path, change: Callable[[Any], Any]) -> Path:
    image = Image(noisy_image().data[0], "YX", meta={"name": "a.tif"})
    entries = [Entry("bm3d", Image(image.data * 0.9, "YX"), {"psnr": 31.2, "risk": 0.5, "risk_error": 0.1}, "why")]
    entries += [Entry("nlm", None, {}, "failed: no")]
    collect_comparison(folder / "c", image, entries, None, "hush compare a.tif")
    record = folder / "c" / "comparison.json"
    record.write_text(json.dumps(change(json.loads(record.read_text("utf-8")))), "utf-8")
    comparison.compare_page(folder / "c", folder / "page.html")
    return folder / "page.html"


def of_noise(folder: Path, change: Callable[[Any], Any]) -> Path:
    record = {"input": "a.tif", **hush.analyze(noisy_image()).as_dict()}
    record["recommendation"] = {"method": "structn2v", "settings": {"mask": "1x11"}, "reason": "stripes"}
    for one in record["noise"]["channels"]:
        one["stripes"] = {"rows": 2.0}
        one["correlation"] |= {"white": False, "mask": "1x11"}
    noise.noise_page(change(record), folder / "page.html")
    return folder / "page.html"


def of_bench(folder: Path, change: Callable[[Any], Any]) -> Path:
    said = change({"title": "t", "about": "a", "head": "h", "cell": "c"})
    (folder / "pictures").mkdir()
    (folder / "pictures" / "cells_gaussian--median.png").write_bytes(b"png")
    table = f"| {said['head']} | n |\n| --- | --- |\n| {said['cell']} | 1 |"
    bench.bench_page(folder, said, table)
    return folder / "page.html"


PAGES = {"denoising": of_denoising, "comparison": of_comparison, "noise": of_noise, "bench": of_bench}


class Read(HTMLParser):
    """The elements of a page with the names of their attributes, the texts, the attributes' values, the scripts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, ...]] = []
        self.texts: list[str] = []
        self.values: list[tuple[str, str]] = []
        self.scripts: list[str] = []
        self.inside = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.inside = tag
        self.elements.append((tag, *(name for name, _ in attrs)))
        self.values += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""
        self.elements.append((f"/{tag}",))

    def handle_data(self, data: str) -> None:
        (self.scripts if self.inside in ("script", "style") else self.texts).append(data)

    def handle_comment(self, data: str) -> None:
        self.elements.append(("comment", data))

    def count(self, text: str) -> int:
        return sum(one.count(text) for one in [*self.texts, *(value for _, value in self.values)])

    @property
    def data(self) -> Any:
        found = [text for text in self.scripts if text.startswith("{")]
        return json.loads(found[0]) if found else None


@pytest.mark.parametrize("kind", PAGES)
def test_every_text_of_every_page_comes_out_as_text(tmp_path: Path, kind: str) -> None:
    def page(name: str, text: str) -> Read:
        (tmp_path / name).mkdir()
        return Read(PAGES[kind](tmp_path / name, lambda record: changed(record, text)).read_text("utf-8"))

    plain = page("plain", "Quoz")
    assert plain.count("Quoz") > 3
    for number, text in enumerate(TEXTS):
        other = page(str(number), text)
        assert other.elements == plain.elements
        assert other.count(text) == plain.count("Quoz")
        assert json.dumps(other.data, ensure_ascii=False).count(json.dumps(text, ensure_ascii=False)[1:-1]) == (
            json.dumps(plain.data).count("Quoz")
        )


@pytest.mark.parametrize("kind", PAGES)
def test_a_page_loads_nothing_from_elsewhere(tmp_path: Path, kind: str) -> None:
    text = PAGES[kind](tmp_path, lambda record: record).read_text("utf-8")
    page = Read(text)
    policy = next(value for name, value in page.values if name == "content" and "default-src" in value)
    allowed = {"default-src 'none'", "img-src data:", "style-src 'unsafe-inline'", "script-src 'unsafe-inline'"}
    rules = set(policy.split("; "))
    assert {"default-src 'none'"} < rules <= allowed
    assert ("script-src 'unsafe-inline'" in rules) == (page.data is not None)
    assert all(value.startswith("data:") for name, value in page.values if name in ("src", "href", "srcset", "data"))
    assert not re.search(r"@@|<link|@import|url\(|\bfetch\(|XMLHttp|https?:", text)


@pytest.mark.parametrize("kind", PAGES)
def test_bytes_that_are_no_text_do_not_stop_a_page(tmp_path: Path, kind: str) -> None:
    """On Linux the name of a file may hold any bytes; Python gives them as lone surrogates."""
    PAGES[kind](tmp_path, lambda record: changed(record, "caf\udce9.tif")).read_text("utf-8")


@pytest.mark.parametrize(
    "record",
    ["", "[]", "3", "null", '{"format": 1}', '{"format": "new"}', '{"format": 1, "sets": 3}', '{"format": 99}'],
)
def test_a_record_that_is_not_as_hush_wrote_it_is_refused(tmp_path: Path, record: str) -> None:
    for name, page in (("result.json", denoising.page), ("comparison.json", comparison.compare_page)):
        (tmp_path / name).write_text(record)
        with pytest.raises(HushError):
            page(tmp_path, tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()


def document(folder: Path, change: Callable[[Any], Any]) -> Path:
    (folder / "t.md").write_text("# Mine\n")
    environment = {"processor": "p", "threads": 2, "torch": "2"}
    bench.write_document("small", {"title": "t"}, "smoke", "| a |", environment, folder / "t.md")
    return folder / "t.md"


def experiment(folder: Path, change: Callable[[Any], Any]) -> Path:
    (folder / "data").mkdir()
    hush.write(folder / "data" / "a.tif", Image(epithelium(32, 0), "YX"))
    (folder / "small.toml").write_text(
        'title = "t"\nkind = "denoise"\nseeds = [0]\ndata = [{ name = "cells", files = "*.tif" }]\n'
        'noise = [{ notation = "gaussian:sigma=20" }]\nmethod = [{ name = "median" }]\n'
    )

    def row(item: Any, method: Any, recipe: Any) -> dict[str, Any]:
        return {"psnr": 1.0, "picture": item.noisy}

    recipe = runner.load(str(folder / "small.toml"))
    runner.run(recipe, row, scale="smoke", data=folder / "data", out=folder / "out")
    return folder / "out" / "rows.csv"


class FullDisk:
    """Lets a number of files reach the disk, and says that it is full at the next."""

    def __init__(self, room: int) -> None:
        self.room, self.sync = room, os.fsync

    def __call__(self, number: int) -> None:
        if not self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.room -= 1
        self.sync(number)


@pytest.mark.parametrize("make", [*PAGES.values(), document, experiment], ids=lambda make: make.__name__)
def test_a_full_disk_is_said_and_leaves_no_litter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[..., Path]
) -> None:
    """Whichever file is the one that no longer fits: a HushError, nothing half written, and what was there stays."""
    for room in range(100):
        folder = tmp_path / str(room)
        folder.mkdir()
        with monkeypatch.context() as patch:
            disk = FullDisk(room)
            patch.setattr(os, "fsync", disk)
            try:
                made = make(folder, lambda record: record)
            except HushError as error:
                assert isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.ENOSPC
            else:
                break
        found = [path for path in folder.rglob("*") if path.is_file()]
        assert not [path for path in found if path.name.startswith(".") or "partial" in path.name]
        assert not (folder / "page.html").exists()
        if make is document:
            assert (folder / "t.md").read_text() == "# Mine\n"
    assert room > 0
    assert made.is_file()


@pytest.mark.parametrize("kind", PAGES)
def test_a_page_that_exists_is_replaced_only_when_asked_for(tmp_path: Path, kind: str) -> None:
    (tmp_path / "page.html").write_text("mine")
    if kind == "bench":  # its folder is hush's own: `hush bench` asks for the whole of it
        PAGES[kind](tmp_path, lambda record: record)
        return
    with pytest.raises(HushError):
        PAGES[kind](tmp_path, lambda record: record)
    assert (tmp_path / "page.html").read_text() == "mine"


def gaps(value: float) -> np.ndarray:
    return np.where(np.arange(1024).reshape(32, 32) % 7 == 0, value, np.arange(32.0))


@pytest.mark.parametrize(
    ("values", "axes"),
    [
        (np.full((32, 32), 7, np.uint8), "YX"),
        (np.full((32, 32), np.nan, np.float32), "YX"),
        (np.full((32, 32), 1e30), "YX"),
        (gaps(np.nan), "YX"),
        (gaps(np.inf), "YX"),
        (np.linspace(-1e38, 1e38, 1024).reshape(32, 32).astype(np.float32), "YX"),
        (np.ones((9, 9), bool), "YX"),
        (np.zeros((2, 5, 16, 16), np.uint16), "CZYX"),
        (np.zeros((16, 16, 3), np.uint8), "YXS"),
    ],
)
def test_a_comparison_shows_images_of_one_value_and_with_missing_pixels(
    tmp_path: Path, values: np.ndarray, axes: str
) -> None:
    """Without a warning of numpy: those are errors here."""
    image = Image(values, axes)
    entries = [Entry("same", Image(values.copy(), axes)), Entry("zero", Image(np.zeros_like(values), axes))]
    collect_comparison(tmp_path, image, entries, None, "hush compare")
    low, high = json.loads((tmp_path / "comparison.json").read_text())["contrast"]
    assert low < high
    with Picture.open(tmp_path / "residual-same.png") as picture:
        assert set(np.asarray(picture).flat) == {128}  # nothing was removed: grey
    comparison.compare_page(tmp_path, tmp_path / "page.html")


CHANNEL = dict(hush.analyze(np.random.default_rng(0).normal(100, 9, (64, 64)).astype(np.float32)).as_dict()["noise"])


@pytest.mark.parametrize(
    "points",
    [
        [(10.0, 50.0, 1.0), (90.0, 130.0, 1.0), (50.0, 900.0, 0.1)],
        [(7.0, 5.0, 1.0)],
        [(1e20, 0.0, 1.0), (1e20, 0.0, 0.0)],
        [(-1e-18, 1e-36, 1.0), (2e-18, 3e-36, 1.0)],
        [(3.0, 4.0, 0.0), (5.0, 6.0, 0.0)],
        [],
    ],
)
@pytest.mark.parametrize("line", [(0.0, 50.0), (4.0, -20.0), (-1.0, 0.0)])
def test_the_plot_shows_every_point_that_was_used(
    tmp_path: Path, points: list[tuple[float, ...]], line: tuple[float, float]
) -> None:
    found = CHANNEL | {"points": points, "a": line[0], "b": line[1]}
    advice: dict[str, Any] = {"method": None, "settings": {}, "reason": "none"}
    record = {"input": "a.tif", "verdict": "v", "recommendation": advice, "noise": found}
    noise.noise_page(record, tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text("utf-8")
    places = re.findall(r'<circle class="(\w+)" r="4" cx="([\d.]+)" cy="([\d.]+)"/>', text)
    assert [place[0] for place in places] == ["used" if weight > noise.USED else "unused" for *_, weight in points]
    for what, x, y in places:
        assert noise.LEFT <= float(x) <= noise.PLOT_WIDE - noise.ROOM
        assert what == "unused" or noise.ROOM < float(y) <= noise.PLOT_HIGH - noise.PLOT_BELOW
    assert text.count("<svg class") == bool(points)
    assert not re.search(r'="[^"]*(nan|inf)\b', text)


@pytest.mark.parametrize("ends", [(0.0, 1.0), (-3.9, 336.1), (1e-36, 3e-36), (-7e20, 1e20), (65000.0, 65535.0)])
def test_ticks_are_round_and_between_the_ends(ends: tuple[float, float]) -> None:
    found = noise.ticks(*ends, 5)
    assert 2 <= len(found) <= 6
    assert all(ends[0] <= tick <= ends[1] for tick in found)
    step = found[1] - found[0]
    assert f"{step:.3e}"[:5] in ("1.000", "2.000", "5.000")


def test_every_fact_that_is_taken_over_has_a_name_on_the_page() -> None:
    assert set(denoising.LABELS) == {"method", "reason", *results.DONE}
