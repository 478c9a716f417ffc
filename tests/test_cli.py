"""The command line as a user meets it: results, refusals, exit codes, interruption."""

from __future__ import annotations

import html
import os
import re
import resource
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch

import hush
from conftest import records
from hush.cli.files import parse_crop, plan_outputs
from hush.core.errors import HushError
from hush.core.image import Image
from hush.training.checkpoint import Checkpoint

Run = Callable[..., tuple[int, str, str]]
FIELDS = {
    "input", "output", "method", "settings", "reason", "seed", "steps", "seconds", "device", "precision",
    "peak_memory_mb", "axes", "ndim", "warnings",
}  # fmt: skip


@pytest.fixture
def tif(tmp_path: Path, noisy: np.ndarray) -> Path:
    path = tmp_path / "in" / "a.tif"
    path.parent.mkdir()
    tifffile.imwrite(path, noisy.clip(0, 255).astype(np.uint8))
    return path


def test_denoise_writes_beside_the_input_and_says_so(run: Run, tif: Path, small: list[str]) -> None:
    code, out, err = run("denoise", tif, *small)
    target = tif.with_name("a_denoised.tif")
    assert (code, out) == (0, "")
    assert target.name in err
    assert "48" in err  # the plan names the image's size
    image = hush.read(target)
    assert image.data.dtype == np.uint8
    assert image.meta["hush"]["method"] == "n2v"
    assert sorted(p.name for p in tif.parent.iterdir()) == ["a.tif", "a_denoised.tif"]


def test_json_has_every_field(run: Run, tif: Path, small: list[str], tmp_path: Path) -> None:
    code, out, _ = run("denoise", tif, "-o", tmp_path / "b.tif", *small, "--seed", 3, "--json")
    (record,) = records(out)
    assert code == 0
    assert set(record) == FIELDS
    assert (record["steps"], record["seed"], record["reason"]) == (6, 3, "asked for")
    assert record["settings"]["maps"] == 4


def test_same_steps_and_seed_same_bytes(run: Run, tif: Path, small: list[str], tmp_path: Path) -> None:
    for name in ("b.tif", "c.tif"):
        assert run("denoise", tif, "-o", tmp_path / name, *small)[0] == 0
    assert (tmp_path / "b.tif").read_bytes() == (tmp_path / "c.tif").read_bytes()


def test_several_files_keep_their_folders_and_a_bad_one_is_listed(
    run: Run, tif: Path, small: list[str], tmp_path: Path
) -> None:
    other = tif.parent / "sub" / "a.tif"
    other.parent.mkdir()
    other.write_bytes(tif.read_bytes())
    bad = tif.parent / "bad.tif"
    bad.write_bytes(tif.read_bytes()[:700])
    code, out, err = run("denoise", f"{tif.parent}/**/*.tif", "-o", tmp_path / "out", *small, "--json")
    assert code == 1
    assert (tmp_path / "out/a.tif").is_file()
    assert (tmp_path / "out/sub/a.tif").is_file()
    found = {Path(record["input"]).name: record for record in records(out)}
    assert set(found["bad.tif"]) == {"input", "error"}
    assert "1 of 3" in err
    assert not list((tmp_path / "out").glob("*.partial"))


def test_each_trains_a_model_a_file(run: Run, tif: Path, small: list[str], tmp_path: Path) -> None:
    other = tif.with_name("b.tif")
    tifffile.imwrite(other, np.random.default_rng(0).integers(0, 99, (30, 30), np.uint8))
    assert run("denoise", tif, other, "-o", tmp_path / "each", "--each", *small)[0] == 0
    assert run("denoise", tif, "-o", tmp_path / "alone.tif", *small)[0] == 0
    same = tifffile.imread(tmp_path / "each/a.tif") == tifffile.imread(tmp_path / "alone.tif")
    assert same.all()


def test_train_then_apply(run: Run, tif: Path, small: list[str], tmp_path: Path) -> None:
    model = tmp_path / "m.hush"
    assert run("train", tif, "-o", model, *small)[0] == 0
    assert run("train", tif, "-o", model, *small)[0] == 2
    code, out, _ = run("apply", model, tif, "-o", tmp_path / "x.tif", "--json", "--tta")
    (record,) = records(out)
    assert code == 0
    assert set(record) == FIELDS
    assert record["reason"] == "a trained model"
    assert run("denoise", tif, "-o", tmp_path / "y.tif", *small)[0] == 0
    assert run("apply", model, tif, "-o", tmp_path / "z.tif")[0] == 0
    assert (tmp_path / "y.tif").read_bytes() == (tmp_path / "z.tif").read_bytes()


def test_a_one_pixel_image_can_be_applied_to_and_not_trained_on(
    run: Run, tif: Path, small: list[str], tmp_path: Path
) -> None:
    pixel = tmp_path / "pixel.tif"
    tifffile.imwrite(pixel, np.full((1, 1), 9, np.uint8))
    assert run("train", tif, "-o", tmp_path / "m.hush", *small)[0] == 0
    assert run("apply", tmp_path / "m.hush", pixel, "-o", tmp_path / "p.tif")[0] == 0
    assert tifffile.imread(tmp_path / "p.tif").shape == (1, 1)
    code, _, err = run("denoise", pixel, "-o", tmp_path / "q.tif", "--method", "n2v")
    assert code == 2
    assert str(pixel) in err or pixel.name in err


def test_crop_float_and_strength(run: Run, tif: Path, small: list[str], tmp_path: Path) -> None:
    options = ["--crop", "10:30,5:45", "--float", "--strength", "0"]
    assert run("denoise", tif, "-o", tmp_path / "c.tif", *small, *options)[0] == 0
    result = tifffile.imread(tmp_path / "c.tif")
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result, tifffile.imread(tif)[10:30, 5:45])


def test_again_must_be_asked_for(run: Run, tif: Path, small: list[str], tmp_path: Path) -> None:
    once = tmp_path / "once.tif"
    assert run("denoise", tif, "-o", once, *small)[0] == 0
    code, _, err = run("denoise", once, *small)
    assert code == 2
    assert "--again" in err
    assert run("denoise", once, "--again", *small)[0] == 0


def test_quoted_pattern_without_a_match(run: Run, tmp_path: Path) -> None:
    code, _, err = run("denoise", tmp_path / "*.tif", "-o", tmp_path / "out")
    assert code == 2
    assert "*.tif" in err


def test_clashing_names_are_refused_before_any_work(tmp_path: Path) -> None:
    sources = [tmp_path / "a.tif", tmp_path / "a.tif"]
    with pytest.raises(HushError, match=r"a\.tif.*a\.tif"):
        plan_outputs(sources, str(tmp_path / "out"), overwrite=False)


def odd(folder: Path) -> dict[str, tuple[Path, str]]:
    """Odd inputs: name -> (file, what the error must say)."""
    whole = folder / "whole.tif"
    tifffile.imwrite(whole, np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8))
    cases = {
        "empty": ("empty.tif", b"", "empty"),
        "truncated": ("short.tif", whole.read_bytes()[:2000], "short.tif"),
        "text": ("text.png", b"this is no picture at all", "text.png"),
        "suffix": ("a.xyz", b"x", "suffix"),
    }
    made = {}
    for key, (name, content, part) in cases.items():
        (folder / name).write_bytes(content)
        made[key] = (folder / name, part)
    (folder / "folder.tif").mkdir()
    np.save(folder / "complex.npy", np.zeros((9, 9), complex))
    made["folder"] = (folder / "folder.tif", "folder")
    made["missing"] = (folder / "missing.tif", "missing.tif")
    made["complex"] = (folder / "complex.npy", "complex")
    return made


@pytest.mark.parametrize("kind", ["empty", "truncated", "text", "suffix", "folder", "missing", "complex"])
def test_odd_input_is_a_clear_error(run: Run, tmp_path: Path, kind: str) -> None:
    path, part = odd(tmp_path)[kind]
    before = sorted(p.name for p in tmp_path.iterdir())
    code, out, err = run("denoise", path, "--json")
    assert code == 2
    assert part in err
    assert "Traceback" not in err
    (record,) = records(out)
    assert set(record) == {"input", "error"}
    assert record["error"] in err
    assert record["input"] == str(path) or kind in ("suffix", "folder")  # known before any file is opened
    assert sorted(p.name for p in tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (["--axes", "ZYX"], "axes"),
        (["--method", "nv2"], "did you mean"),
        (["--method", "n2v", "--set", "mapps=3"], "did you mean 'maps'"),
        (["--method", "n2v", "--set", "maps=many"], "takes int"),
        (["--set", "maps"], "name=value"),
        (["--steps", "3", "--seconds", "3"], "--seconds"),
        (["--crop", "3"], "y0:y1,x0:x1"),
        (["--crop", "900:,0:"], "no pixels"),
        (["--steps", "0"], "steps"),
        (["--nonsense"], "nonsense"),
        (["--ndim", "3"], "Z axis"),
        (["--method", "structn2v", "--set", "mask=2x2"], "odd"),
        (["--method", "structn2v", "--set", "mask=[[1,1]]"], "mask"),
        (["--method", "structn2v", "--set", "mask=[[1,1,1],[1]]"], "mask"),
        (["--method", "structn2v", "--set", "mask=[[1,1,null]]"], "mask"),
        (["--method", "structn2v", "--set", "mask=[[1,'a',1]]"], "mask"),
        (["--method", "structn2v", "--set", "mask=[[1,1,1]"], "mask"),
        (["--method", "structn2v", "--set", "mask=1x-3"], "mask"),
        (["--method", "structn2v", "--set", "mask="], "mask"),
    ],
)
def test_odd_options_are_a_clear_error(run: Run, tif: Path, options: list[str], part: str) -> None:
    code, _, err = run("denoise", tif, *options)
    assert code == 2
    assert part in err
    assert sorted(p.name for p in tif.parent.iterdir()) == ["a.tif"]


@pytest.mark.parametrize(
    ("lists", "words"),
    [
        ("[[1,1,1]]", "1x3"),
        ("[[1], [1], [1]]", "3x1"),
        ("[[0,1,0],[1,1,1],[0,1,0]]", "010,111,010"),
        ("[1, 1, 1]", "111"),
    ],
)
def test_a_mask_may_be_lists(run: Run, tif: Path, tmp_path: Path, lists: str, words: str) -> None:
    small = ["--method", "structn2v", "--steps", "3", "--set", "maps=2", "--set", "batch=1", "--set", "patch=16"]
    for name, mask in (("a.tif", lists), ("b.tif", words)):
        code, _, err = run("denoise", tif, "-o", tmp_path / name, *small, "--set", f"mask={mask}")
        assert code == 0, err
    assert (tmp_path / "a.tif").read_bytes() == (tmp_path / "b.tif").read_bytes()


def test_output_that_must_not_be_written(run: Run, tif: Path, small: list[str], tmp_path: Path) -> None:
    exists = tmp_path / "exists.tif"
    exists.write_bytes(b"mine")
    for target, part in ((exists, "--overwrite"), (tif, "input"), (tmp_path / "x.xyz", "suffix")):
        code, _, err = run("denoise", tif, "-o", target, *small, *(["--overwrite"] if target == tif else []))
        assert code == 2
        assert part in err
    assert exists.read_bytes() == b"mine"
    assert run("denoise", tif, "-o", exists, "--overwrite", *small)[0] == 0
    assert hush.read(exists).sizes == {"Y": 48, "X": 60}


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs Linux's /proc, which root cannot write to")
def test_unreadable_and_unwritable(run: Run, tif: Path, small: list[str]) -> None:
    """Permissions do not stop root, who runs many a CI; /proc does."""
    unreadable = tif.with_name("unreadable.tif")
    unreadable.symlink_to("/proc/self/mem")
    for words, part in (([unreadable], "unreadable.tif"), ([tif, "-o", "/proc/x.tif"], "/proc/x.tif")):
        code, _, err = run("denoise", *words, *small)
        assert code == 2
        assert part in err
        assert "Traceback" not in err


def test_a_full_disk_loses_nothing(run: Run, tif: Path, small: list[str], tmp_path: Path) -> None:
    """A limit on file size stands for the full disk: the write fails in the middle."""
    target = tmp_path / "x.tif"
    target.write_bytes(b"old")
    handler, limits = signal.signal(signal.SIGXFSZ, signal.SIG_IGN), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1500, limits[1]))
    try:
        code, _, err = run("denoise", tif, "-o", target, "--overwrite", *small)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert code == 2, err
    assert "x.tif" in err
    assert target.read_bytes() == b"old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in", "x.tif"]


def start(*words: object) -> subprocess.Popen[bytes]:
    code = (  # as in a terminal: a job in the background, as tests may be, begins with Ctrl-C ignored
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from hush.cli import main; sys.exit(main())"
    )
    command = [sys.executable, "-c", code, *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def stops(monkeypatch: pytest.MonkeyPatch) -> None:
    """Interrupt a training as soon as its state has been written, however fast the machine."""
    store = Checkpoint.store

    def halt(self: Checkpoint, *what: Any) -> None:
        store(self, *what)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Checkpoint, "store", halt)


STOPPED = """
import os, sys
from hush.training.checkpoint import Checkpoint
from hush.cli import main
store = Checkpoint.store
def halt(self, *what):
    store(self, *what)
    os.kill(os.getpid(), {how})
Checkpoint.store = halt
sys.exit(main())
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_stopped_and_resumed_is_the_same_bytes(run: Run, tif: Path, tmp_path: Path, how: signal.Signals) -> None:
    words = ["denoise", tif, "--method", "n2v", "--steps", 30, "--set", "maps=4", "--set", "batch=8"]
    target, partial = tmp_path / "stopped.tif", tmp_path / "stopped.tif.partial"
    threads = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())}  # as many, for the same bytes
    command = [sys.executable, "-c", STOPPED.format(how=int(how)), *map(str, words), "-o", str(target)]
    code = subprocess.run(command, env=threads, check=False).returncode
    assert code == (-how if how == signal.SIGKILL else 128 + how)
    assert partial.exists()
    assert not target.exists()
    assert run(*words, "-o", target, "--resume")[0] == 0
    assert run(*words, "-o", tmp_path / "whole.tif")[0] == 0
    assert target.read_bytes() == (tmp_path / "whole.tif").read_bytes()
    assert not partial.exists()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("background", [False, True])
def test_what_is_stopped_leaves_nothing_behind(tmp_path: Path, how: signal.Signals, background: bool) -> None:
    """Background: a shell lets its jobs ignore Ctrl-C, and they can be ended all the same."""
    source, out = tmp_path / "a.tif", tmp_path / "out"
    tifffile.imwrite(source, np.random.default_rng(0).integers(0, 255, (1500, 1500), np.uint8))
    code = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.SIG_IGN); from hush.cli import main; sys.exit(main())"
    )
    words = [
        "denoise",
        source,
        "--method",
        "wavelet",
        "--set",
        "sigma=70",
        "-o",
        out / "b.tif",
        "--report",
        out / "p.html",
    ]
    if background and how == signal.SIGINT:
        pytest.skip("ignored")
    process = start(*words) if not background else subprocess.Popen(
        [sys.executable, "-c", code, *map(str, words)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )  # fmt: skip
    limit = time.monotonic() + 120
    while not list(out.glob(".hush-*")):
        assert process.poll() is None
        assert time.monotonic() < limit
        time.sleep(0.005)
    process.send_signal(how)
    assert process.wait() == 128 + how
    assert list(out.iterdir()) == []


def test_a_signal_that_is_ignored_stays_so_and_handlers_are_given_back(run: Run) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert run("list")[0] == 0
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("command", ["denoise", "info", "analyze", "score", "compare", "train", "apply"])
def test_a_pipe_is_refused_before_it_is_opened(run: Run, tmp_path: Path, tif: Path, command: str) -> None:
    pipe = tmp_path / "pipe.tif"
    os.mkfifo(pipe)
    words: dict[str, list[object]] = {
        "score": [tif, pipe], "compare": [pipe, "-o", tmp_path / "o"], "train": [pipe, "-o", tmp_path / "m.hush"],
        "apply": [pipe, tif],
    }  # fmt: skip
    code, _, err = run(command, *words.get(command, [pipe]))
    assert code == 2
    assert pipe.name in err


@pytest.mark.parametrize("device", ["/dev/null", "/dev/zero"])
def test_a_device_is_refused(run: Run, tmp_path: Path, device: str) -> None:
    link = tmp_path / "link.png"
    link.symlink_to(device)
    assert run("denoise", link)[0] == 2


def test_resume_refuses_other_inputs_and_settings(
    run: Run, tif: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["denoise", tif, "--method", "n2v", "--set", "maps=4", "-o", tmp_path / "x.tif"]
    with monkeypatch.context() as patched:
        stops(patched)
        assert run(*words, "--steps", 5000)[0] == 130
    code, _, err = run(*words, "--steps", 4000, "--resume")
    assert code == 2
    assert all(fact in err for fact in ("steps", "5000", "4000"))
    image = tifffile.imread(tif)
    tifffile.imwrite(tif, image + 1)
    code, _, err = run(*words, "--steps", 5000, "--resume")
    assert code == 2
    assert "inputs" in err


def test_score(run: Run, tmp_path: Path, noisy: np.ndarray) -> None:
    hush.write(tmp_path / "a.npy", Image(2 * noisy + 5, "YX"))
    hush.write(tmp_path / "b.npy", Image(noisy, "YX"))
    (exact,) = records(run("score", tmp_path / "b.npy", tmp_path / "b.npy", "--json")[1])
    assert exact["psnr"] is None
    assert exact["rmse"] == 0
    (fitted,) = records(run("score", tmp_path / "a.npy", tmp_path / "b.npy", "--fit-gain", "--json")[1])
    assert fitted["gain"] == pytest.approx(0.5, rel=1e-4)
    assert fitted["offset"] == pytest.approx(-2.5, rel=1e-3)
    assert fitted["rmse"] < 1e-3
    code, out, _ = run("score", tmp_path / "a.npy", tmp_path / "b.npy", "--peak", 255)
    assert code == 0
    assert "255" in out


def test_info_list_doctor(run: Run, tif: Path) -> None:
    (facts,) = records(run("info", tif, "--json")[1])
    assert (facts["axes"], facts["shape"], facts["dtype"]) == ("YX", [48, 60], "uint8")
    rows = {row["name"]: row for row in records(run("list", "--json")[1])}
    assert set(rows) == {
        "auto", "autoencoder", "bilateral", "bm3d", "dip", "dncnn", "finetuned", "gaussian", "mean", "median", "mppca",
        "n2c", "n2n", "n2s", "n2v", "n2v2", "neighbor2neighbor", "neighbours", "nlm", "noise2fast", "noise2vst",
        "noisebreaker", "patch2self", "pretrained", "ssdn", "structn2v", "tv", "wavelet", "zs_n2n",
    }  # fmt: skip
    assert "Krull" in rows["n2v"]["about"]
    formats = {row["name"]: row for row in records(run("list", "formats", "--json")[1])}
    assert formats["tiff"]["written"]
    assert ".ome.tif" in formats["tiff"]["suffixes"]
    assert [row.split()[0] for row in run("list", "formats")[1].splitlines()].count("png") == 1
    (machine,) = records(run("doctor", "--json")[1])
    assert machine["hush"] == hush.__version__
    assert machine["threads"] >= 1


def test_report_of_one_and_of_several(run: Run, tif: Path, small: list[str], tmp_path: Path) -> None:
    page, results = tmp_path / "p.html", tmp_path / "results"
    words = ["denoise", tif, "-o", tmp_path / "o.tif", *small, "--report", page, "--results", results]
    assert run(*words)[0] == 0
    assert str(tmp_path) not in page.read_text("utf-8")
    assert "a.tif" in page.read_text("utf-8")
    again = tmp_path / "again.html"
    assert run("report", results, "-o", again)[0] == 0
    assert again.read_bytes() == page.read_bytes()
    other = tif.with_name("b.tif")
    other.write_bytes(tif.read_bytes())
    code, _, err = run("denoise", tif, other, "-o", tmp_path / "o", *small, "--report", tmp_path / "q.html")
    assert code == 2
    assert "folder" in err
    assert run("denoise", tif, other, "-o", tmp_path / "o", *small, "--report", tmp_path / "pages")[0] == 0
    assert sorted(p.name for p in (tmp_path / "pages").iterdir()) == ["a.html", "b.html"]


@pytest.mark.parametrize(
    ("names", "pages"),
    [
        (["a.tif", "b.tif"], ["a.html", "b.html"]),
        (["same.tif", "same.npy"], ["same.npy.html", "same.tif.html"]),
        (["a.tif", "a.npy", "a.npy.tif"], ["a.npy.html", "a.npy.tif.html", "a.tif.html"]),
        (["a.tif", "sub/a.tif", "sub/a.npy"], ["a.tif.html", "sub/a.npy.html", "sub/a.tif.html"]),
        (["one/a.tif", "two/a.tif"], ["one/a.tif.html", "two/a.tif.html"]),
        (["one/a.tif", "two/b.tif"], ["a.html", "b.html"]),
    ],
)
@pytest.mark.parametrize("beside", [False, True])
def test_every_file_has_its_page_results_and_uncertainty(
    run: Run, tmp_path: Path, names: list[str], pages: list[str], beside: bool
) -> None:
    data = np.random.default_rng(0).normal(100, 5, (24, 24)).astype(np.float32)
    for number, name in enumerate(names):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        hush.write(tmp_path / "in" / name, Image(data + number, "YX"))
    words = [
        "denoise",
        *(tmp_path / "in" / name for name in names),
        "--method",
        "pretrained",
        "--noise",
        "gaussian:sigma=5",
    ]
    words += [] if beside else ["-o", tmp_path / "out"]
    folders = [tmp_path / name for name in ("pages", "kept", "std")]
    words += ["--report", folders[0], "--results", folders[1], "--uncertainty", folders[2]]
    code, _, err = run(*words)
    assert code == 0, err
    found = [sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()) for folder in folders]
    if beside:
        names = [str(Path(name).with_name(f"{Path(name).stem}_denoised{Path(name).suffix}")) for name in names]
    assert len(found[0]) == len(found[2]) == len(names)
    assert beside or found[0] == pages
    assert sum(name.endswith("result.json") for name in found[1]) == len(names)
    before = {path: path.read_bytes() for path in folders[0].rglob("*.html")}
    assert run(*words)[0] == 2  # nothing is replaced unasked, and that is known before the work
    assert run(*words, "--overwrite")[0] == 0
    assert {path.name for path in before} == {path.name for path in folders[0].rglob("*.html")}


def test_every_file_has_its_page_of_noise(run: Run, tmp_path: Path) -> None:
    names = ["a.tif", "a.npy", "sub/a.tif"]
    (tmp_path / "sub").mkdir()
    for name in names:
        hush.write(tmp_path / name, Image(np.random.default_rng(0).normal(100, 5, (64, 64)), "YX"))
    assert run("analyze", *(tmp_path / name for name in names), "--report", tmp_path / "pages")[0] == 0
    found = {str(path.relative_to(tmp_path / "pages")) for path in (tmp_path / "pages").rglob("*.html")}
    assert found == {f"{name}.html" for name in names}


@pytest.mark.parametrize("name", ["x@@data@@.tif", "@@table@@.tif", "@@name@@.tif", "@@other@@.tif", "<b>&amp;\\1.tif"])
def test_a_name_in_the_comparison_is_only_a_name(run: Run, tmp_path: Path, name: str) -> None:
    tifffile.imwrite(tmp_path / name, np.random.default_rng(0).integers(0, 255, (24, 24), np.uint8))
    assert run("compare", tmp_path / name, "--methods", "gaussian", "-o", tmp_path / "c")[0] == 0
    page = (tmp_path / "c" / "page.html").read_text("utf-8")
    title = re.search("<title>(.*?)</title>", page, re.DOTALL)
    assert title is not None
    assert name in html.unescape(title[1])
    assert len(title[1]) < 100
    assert f"hush compare {shlex.quote(name)}" in html.unescape(page)


def test_python_interface(noisy: np.ndarray) -> None:
    small = {"steps": 3, "maps": 4, "batch": 2, "patch": 16}
    array = hush.denoise(noisy.astype(np.uint8))
    assert isinstance(array, np.ndarray)
    assert array.dtype == np.uint8
    image = hush.denoise(Image(noisy, "YX"), method="n2v2", **small)
    assert isinstance(image, Image)


def test_a_large_file_streams_in_bounded_memory(tmp_path: Path) -> None:
    """4096 x 4096 pixels through a trained model: as one piece they take 1.1 GB at the peak, in tiles 0.4."""
    big = tifffile.memmap(tmp_path / "big.tif", shape=(4096, 4096), dtype=np.uint16)
    rows = np.random.default_rng(0).integers(0, 4000, (64, 4096), np.uint16)
    for top in range(0, 4096, 64):
        big[top : top + 64] = rows
    big.flush()
    hush_model = hush.Noise2Void(steps=2, maps=2, depth=1, patch=16, batch=2).fit(rows)
    from hush.methods._model_file import save_model

    save_model(hush_model, tmp_path / "m.hush")
    words = ("apply", tmp_path / "m.hush", tmp_path / "big.tif", "-o", tmp_path / "out.tif", "-q")
    code = (
        "import sys; from hush.cli import main; from hush.core.device import peak_memory_mb\n"
        "print(main(sys.argv[1:]), peak_memory_mb())"
    )
    done = subprocess.run([sys.executable, "-c", code, *map(str, words)], capture_output=True, text=True, check=True)
    status, used = map(int, done.stdout.split())
    assert status == 0
    assert used < 800
    out = tifffile.memmap(tmp_path / "out.tif", mode="r")
    assert out.shape == (4096, 4096)
    np.testing.assert_array_equal(out[2048 - 512 : 2048 + 512, 100], out[1024 - 512 : 1024 + 512, 100])


def test_crop_is_parsed() -> None:
    assert parse_crop("1:2,3:4") == (slice(1, 2), slice(3, 4))
    for text in ("1,2", "a:b,c:d", "1:2:3,4:5", ":", "1:2,3:4,5:6"):
        with pytest.raises(HushError):
            parse_crop(text)
