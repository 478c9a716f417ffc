"""Images larger than memory: read, computed and written in pieces; what stops the work loses a piece at most."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from hush import io
from hush.cli import main
from hush.core import registry
from hush.core.device import parse_memory
from hush.core.errors import HushError, HushWarning
from hush.core.image import Image
from hush.core.lazy import Lazy
from hush.core.pieces import Need, PiecePlan, plan_pieces, volume
from hush.core.sample import sample_of
from hush.io._unfinished import Growing, Journal, folder_of
from hush.methods._base import Denoiser
from hush.methods._model_file import save_model
from hush.methods._pieces import cut, run_in_pieces

pytestmark = pytest.mark.usefixtures("small_process")
QUICK = ["--method", "gaussian", "--set", "sigma=30", "--set", "width=1.2"]  # nothing is analysed
ENOUGH = "900MB"


class Recorder:
    """A stored array that counts what is read of it."""

    def __init__(self, array: np.ndarray) -> None:
        self.array, self.shape, self.dtype = array, array.shape, array.dtype
        self.largest = self.all = 0

    def __getitem__(self, index: Any) -> np.ndarray:
        piece: np.ndarray = self.array[index]
        self.largest, self.all = max(self.largest, piece.size), self.all + piece.size
        return piece


class Sheets:
    """A target whose chunks must be written whole, and once."""

    def __init__(self, shape: tuple[int, ...], chunks: tuple[int, ...], dtype: Any) -> None:
        self.made, self.chunks, self.dtype = np.zeros(shape, dtype), chunks, np.dtype(dtype)
        self.times = np.zeros(shape, np.uint8)

    def __setitem__(self, box: tuple[slice, ...], values: np.ndarray) -> None:
        for part, chunk, size in zip(box, self.chunks, self.made.shape, strict=True):
            assert part.start % chunk == 0
            assert part.stop % chunk == 0 or part.stop == size
        self.made[box] = values
        self.times[box] += 1


def stack(shape: tuple[int, ...] = (3, 200, 260)) -> np.ndarray:
    y, x = np.mgrid[: shape[-2], : shape[-1]]
    clean = 1000 + 300 * np.sin(y / 17) * np.cos(x / 23) + 200 * ((y // 40 + x // 40) % 2)
    noisy: np.ndarray = np.random.default_rng(0).normal(np.broadcast_to(clean, shape), 30).astype(np.uint16)
    return noisy


def gaussian(image: Image) -> Denoiser:
    fitted: Denoiser = registry.get("methods", "gaussian")(sigma=30.0, width=1.2, tile=64).fit(image)
    return fitted


# -- lazy arrays ----------------------------------------------------------------------------------------


@given(
    index=some.tuples(*[some.one_of(some.integers(-2, 1), some.slices(4)) for _ in range(3)]), turned=some.booleans()
)
@settings(max_examples=80, deadline=None)
def test_a_lazy_array_is_indexed_as_numpy_does(index: tuple[Any, ...], turned: bool) -> None:
    array = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    index = tuple(slice(p.start, p.stop, abs(p.step or 1)) if isinstance(p, slice) else p for p in index)
    lazy, plain = Lazy(array), array
    if turned:
        lazy, plain = lazy.transpose((3, 1, 0, 2)), plain.transpose((3, 1, 0, 2))
    for one in (index, (..., *index), (None, *index)):
        np.testing.assert_array_equal(lazy[one], plain[one])
        again = lazy.cut(one)
        assert again.shape == plain[one].shape
        np.testing.assert_array_equal(np.asarray(again), plain[one])


def test_a_lazy_array_reads_only_what_is_asked() -> None:
    recorder = Recorder(stack())
    image = Image(Lazy(recorder), "ZYX").crop(slice(50, 150), slice(None))
    assert image.data.shape == (3, 100, 260)
    assert recorder.all == 0
    plane = list(image.planes())[1].view(image.data)
    assert plane.shape == (1, 100, 260)
    np.testing.assert_array_equal(plane[:, 3:5, 10:20], recorder.array[1:2, 53:55, 10:20])
    assert recorder.all == 20


def test_other_lazy_arrays_stay_lazy_where_they_are_large() -> None:
    dask = pytest.importorskip("dask.array")
    large, small = dask.zeros((9, 3000, 3000), np.uint8, chunks=(1, 1000, 1000)), dask.ones((20, 30), chunks=10)
    image = Image(large, "ZYX")
    assert isinstance(image.data, Lazy)
    assert image.data.chunks == (1, 1000, 1000)
    assert image.data[2, 5:7, :3].tolist() == [[0] * 3] * 2
    assert isinstance(Image(small, "YX").data, np.ndarray)


def test_what_needs_all_of_a_huge_array_is_refused() -> None:
    huge = Lazy(Recorder(np.broadcast_to(np.uint8(0), (10**6, 10**6, 9))))
    with pytest.raises(HushError):
        np.asarray(huge)


def test_a_sample_is_bounded_and_holds_whole_rows_and_columns() -> None:
    array = np.broadcast_to(np.arange(3000, dtype=np.uint16)[:, None], (40, 3000, 5000))
    recorder = Recorder(array)
    sample = sample_of(Image(Lazy(recorder), "TYX"), 1 << 25)
    assert sample.data.shape == (4, 2048, 2048)  # frames of a series in a row
    assert recorder.largest <= sample.data.size
    assert (np.diff(sample.data[0, :, 0].astype(int)) > 0).all()
    assert (sample.data == sample.data[:, :, :1]).all()
    image = Image(stack(), "ZYX")
    assert sample_of(image) is image


# -- the plan -------------------------------------------------------------------------------------------


@given(
    shape=some.tuples(some.integers(1, 9), some.integers(1, 300), some.integers(1, 300)),
    chunks=some.tuples(some.integers(1, 4), some.integers(1, 90), some.integers(1, 90)),
    need=some.builds(Need, some.integers(0, 20), some.sampled_from([1, 3, 8]), side=some.sampled_from([32, 64, 100])),
)
@settings(max_examples=60, deadline=None)
def test_a_plan_writes_every_chunk_once_and_whole(shape: tuple[int, ...], chunks: tuple[int, ...], need: Need) -> None:
    made = plan_pieces(shape, "ZYX", need, 1 << 30, chunks=chunks)
    assert made is not None
    plan = PiecePlan.from_dict(json.loads(json.dumps(made[0].as_dict())))
    assert plan == made[0]
    seen = np.zeros(shape, int)
    for piece in plan:
        seen[piece.write] += 1
        assert sum(volume(tile) for tile in plan.tiles(piece)) == volume(piece.write)
        for read, write, chunk, size, axis in zip(piece.read, piece.write, chunks, shape, "ZYX", strict=True):
            assert write.start % chunk == 0
            assert write.stop % chunk == 0 or write.stop == size
            if axis == "Z":
                continue
            assert read.start % need.multiple == 0
            assert read.start == 0 or write.start - read.start >= need.margin
            assert read.stop == size or read.stop - write.stop >= need.margin
    assert (seen == 1).all()


def test_less_memory_makes_smaller_tiles_and_fewer_workers_and_none_is_said() -> None:
    need = Need(10, side=1024, pixel_bytes=500, workers=8)
    sides, crews = [], []
    for budget in (1 << 34, 1 << 30, 1 << 28):
        made = plan_pieces((100, 9000, 9000), "ZYX", need, budget)
        assert made is not None
        sides.append(made[0].tile[-1])
        crews.append(made[1])
    assert sides == sorted(sides, reverse=True)
    assert crews == sorted(crews, reverse=True)
    assert crews[0] > 1
    assert plan_pieces((100, 9000, 9000), "ZYX", need, 1 << 16) is None
    assert plan_pieces((9, 900, 900), "ZYX", replace(need, whole=True), 1 << 20) is None


def test_amounts_of_memory() -> None:
    assert parse_memory("2GB") == parse_memory("2 gb") == parse_memory("2000M") == 2 * 10**9
    assert parse_memory("1GiB") == 1 << 30
    assert parse_memory("2") == 2


@pytest.mark.parametrize("text", ["0GB", "much", "2 XB", "-1GB", "0%", "101%"])
def test_amounts_of_memory_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(HushError):
        parse_memory(text)


# -- pieces and the whole -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["gaussian", "median", "n2v", "pretrained"])
def test_pieces_are_the_whole(name: str) -> None:
    settings: dict[str, Any] = {"steps": 3, "precision": "float32"} if name == "n2v" else {"noise": "gaussian:sigma=30"}
    more: dict[str, dict[str, Any]] = {"gaussian": {"width": 1.2}, "pretrained": {"scale": 1.0, "precision": "float32"}}
    settings |= more.get(name, {})
    image = Image(stack((2, 200, 260)), "ZYX")
    model = registry.get("methods", name)(**settings).fit(image)
    whole = model.run(image).image.data
    model.tile = 96
    target = Sheets(image.data.shape, (1, 64, 80), np.uint16)
    recorder = Recorder(image.data)
    info = run_in_pieces(model, replace(image, data=Lazy(recorder)), target, 1 << 30)
    assert (target.times == 1).all()
    assert info["plan"]["pieces"] > 4
    away = np.abs(target.made.astype(int) - whole)
    assert away.max() <= 1
    assert (away > 0).mean() < 0.01  # the last bit of float32, where it turns a rounding


def test_pieces_of_floats_with_missing_pixels_are_the_whole() -> None:
    data = stack((180, 260)).astype(np.float32)
    data[60:80, 40:130] = np.nan
    data[100, ::7] = np.inf
    image = Image(data, "YX")
    model = gaussian(image)
    with pytest.warns(HushWarning, match="hold no data"):
        whole = model.run(image).image.data
    target = Sheets(data.shape, (64, 64), np.float32)
    run_in_pieces(model, image, target, 1 << 30)
    measured = np.isfinite(data)
    np.testing.assert_array_equal(target.made[~measured], data[~measured])
    np.testing.assert_allclose(target.made[measured], whole[measured], rtol=1e-4)


def test_a_lazy_image_is_denoised_by_the_same_call() -> None:
    image = Image(stack(), "ZYX")
    model = gaussian(image)
    lazy = replace(image, data=Lazy(Recorder(image.data)))
    result = model.fit(lazy).run(lazy)
    np.testing.assert_array_equal(result.image.data, model.run(image).image.data)


def test_one_region_needs_no_other() -> None:
    image = Image(stack(), "ZYX")
    pieces = cut(gaussian(image), image, 1 << 30, chunks=(1, 64, 64))
    order = np.random.default_rng(1).permutation(len(pieces.plan))
    made = np.zeros(image.data.shape, np.uint16)
    for number in order:
        one = pieces.region(int(number))
        made[one.write] = one.clean
    np.testing.assert_array_equal(made, gaussian(image).run(image).image.data)


def test_a_method_that_must_see_all_says_so(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", stack((64, 64)))
    assert (
        main(["denoise", str(tmp_path / "a.npy"), "-o", str(tmp_path / "b.npy"), "--method", "dip", "--memory", ENOUGH])
        == 2
    )
    assert not (tmp_path / "b.npy").exists()
    assert not folder_of(tmp_path / "b.npy").exists()


def test_what_could_not_begin_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.save(tmp_path / "a.npy", stack((64, 64)))
    monkeypatch.setattr("hush.methods._pieces.plan_pieces", lambda *_, **__: None)  # the memory is too little
    command = ["denoise", str(tmp_path / "a.npy"), "-o", str(tmp_path / "b.npy"), *QUICK, "--memory", ENOUGH]
    assert main(command) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["a.npy"]


HUGE = """
import sys, warnings
import numpy as np
from hush.core import registry
from hush.core.device import memory_taken, peak_memory_mb
from hush.core.image import Image
from hush.core.lazy import Lazy
from hush.core.sample import sample_of
from hush.methods._pieces import cut, quiet

class Volume:
    shape, dtype = (2000, 5000, 5000), np.dtype(np.uint16)
    def __getitem__(self, index):
        shape = [1 if isinstance(i, int) else len(range(n)[i]) for i, n in zip(index, self.shape)]
        made = np.random.default_rng(0).integers(900, 1100, shape, np.uint16)
        return made[tuple(0 if isinstance(i, int) else slice(None) for i in index)]

image = Image(Lazy(Volume(), (1, 512, 512)), "ZYX")
before = memory_taken()
model = registry.get("methods", "gaussian")(sigma=50.0, width=1.2).fit(sample_of(image, 1 << 18))
pieces = cut(model, image, 1 << 28)
with quiet():
    for made in pieces.results(range(50)):
        pass
print(image.data.nbytes, len(pieces.plan), made.number, peak_memory_mb() * 2**20 - before)
"""


def test_a_volume_of_100_gb_is_planned_and_begun_in_bounded_memory() -> None:
    said = subprocess.run([sys.executable, "-c", HUGE], capture_output=True, text=True, check=True).stdout.split()
    size, count, last, grown = map(int, said)
    assert size == 10**11
    assert count > 50
    assert last == 49
    if grown > 0:  # where the system says it
        assert grown < 600 << 20  # the libraries take some of it when they are first used


# -- files ----------------------------------------------------------------------------------------------


def written(path: Path, image: Image) -> Path:
    if path.suffix == ".zarr":
        zarr = pytest.importorskip("zarr")
        array = zarr.create_array(
            store=str(path), shape=image.data.shape, dtype=image.data.dtype, chunks=(2, 64, 80),
            dimension_names=list("zyx"),
        )  # fmt: skip
        array[:] = image.data
    elif path.suffix == ".h5":
        h5py = pytest.importorskip("h5py")
        with h5py.File(path, "w") as file:
            file.create_dataset("data", data=image.data, chunks=(1, 64, 64), compression="gzip").attrs["axes"] = "ZYX"
    else:
        if path.suffix == ".ims":
            pytest.importorskip("h5py")
        io.write(path, image)
    return path


def contents(path: Path) -> list[tuple[str, bytes]]:
    files = sorted(one for one in path.rglob("*") if one.is_file()) if path.is_dir() else [path]
    return [(str(one.relative_to(path)), one.read_bytes()) for one in files]


class Stopped(BaseException):
    """As Ctrl-C does: no part of the program catches it."""


@pytest.mark.parametrize("suffix", [".tif", ".npy", ".mrc", ".nii", ".zarr", ".h5", ".ims"])
def test_a_stop_loses_a_piece_at_most(suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = Image(stack(), "ZYX", {"Y": 0.5, "X": 0.5, "Z": 1.0}, "µm")
    source = written(tmp_path / f"noisy{suffix}", image)
    out, whole = tmp_path / f"clean{suffix}", tmp_path / f"whole{suffix}"
    command = ["denoise", str(source), "--axes", "ZYX", *QUICK, "--tile", "64", "-q", "-o"]
    assert main([*command, str(whole), "--memory", ENOUGH]) == 0
    computed: list[int] = []
    region = registry.module("methods", "_pieces").Pieces.region

    def stopping(self: Any, number: int) -> Any:
        if len(computed) == 3:
            raise Stopped
        computed.append(number)
        return region(self, number)

    monkeypatch.setattr("hush.methods._pieces.Pieces.region", stopping)
    monkeypatch.setattr("hush.methods._filter.cores", lambda: 1)
    with pytest.raises(Stopped):
        main([*command, str(out), "--memory", ENOUGH])
    assert not out.exists()
    assert sorted(Journal(out).lines()) == computed
    assert main([*command, str(out), "--memory", ENOUGH]) == 2  # neither --resume nor --overwrite
    again: list[int] = []

    def counting(self: Any, number: int) -> Any:
        again.append(number)
        return region(self, number)

    monkeypatch.setattr("hush.methods._pieces.Pieces.region", counting)
    assert main([*command, str(out), "--resume"]) == 0
    assert again
    assert not set(again) & set(computed)
    assert contents(out) == contents(whole)
    assert not folder_of(out).exists()
    np.testing.assert_array_equal(io.read(out).data, gaussian(image).run(image).image.data)


def begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[list[str], Path]:
    """A result that was stopped after two pieces, and the command that goes on with it."""
    np.save(tmp_path / "noisy.npy", stack())
    out = tmp_path / "clean.npy"
    command = ["denoise", str(tmp_path / "noisy.npy"), "--axes", "ZYX", *QUICK, "--tile", "64", "-o", str(out)]
    add, lines = Journal.add, []

    def stopping(self: Journal, line: Any) -> None:
        add(self, line)
        lines.append(line)
        if len(lines) == 2:
            raise Stopped

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "add", stopping)
        with pytest.raises(Stopped):
            main([*command, "--memory", ENOUGH])
    return command, out


@pytest.mark.parametrize(("act", "nth"), [("finish", 1), ("finish", 2), ("remove", 1), ("remove", 2)])
@pytest.mark.parametrize("suffix", [".npy", ".tif"])
def test_a_stop_between_the_names_of_two_results_loses_neither(
    act: str, nth: int, suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = written(tmp_path / f"noisy{suffix}", Image(stack((2, 64, 64)), "ZYX"))
    out, spread, page = (tmp_path / name for name in (f"clean{suffix}", f"std{suffix}", "page.html"))
    say = ["denoise", str(source), "--axes", "ZYX", "--noise", "gaussian:sigma=30", "--method", "pretrained", "-q"]
    command = [*say, "-o", str(out), "--uncertainty", str(spread), "--report", str(page), "--memory", ENOUGH]
    assert main(command) == 0
    expected = [contents(out), contents(spread)]
    for path in (out, spread, page):
        path.unlink()
    where = Growing if act == "finish" else Journal
    done, calls = getattr(where, act), []

    def stopping(self: Any) -> None:
        calls.append(self.path)
        if len(calls) == nth:
            raise Stopped
        done(self)

    with monkeypatch.context() as patch:
        patch.setattr(where, act, stopping)
        with pytest.raises(Stopped):
            main(command)
    assert main([*command, "--resume"]) == 0
    assert [contents(out), contents(spread)] == expected
    assert not folder_of(out).exists()
    assert not folder_of(spread).exists()


@pytest.mark.parametrize("change", ["settings", "input", "version", "float"])
def test_what_was_begun_otherwise_is_not_gone_on_with(
    change: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command, out = begun(tmp_path, monkeypatch)
    if change == "settings":
        command = [word.replace("width=1.2", "width=0.9") for word in command]
    elif change == "input":
        os.utime(tmp_path / "noisy.npy", ns=(1, 1))
    elif change == "version":
        journal = Journal(out)
        journal.file.write_text(json.dumps(journal.read() | {"version": "0.0"}))
    else:
        command.append("--float")
    assert main([*command, "--resume"]) == 2
    assert len(Journal(out).lines()) == 2  # nothing is lost
    capsys.readouterr()
    assert main([*command, "--overwrite", "-q"]) == 0
    assert out.exists()
    assert not folder_of(out).exists()


def test_bytes_that_are_not_as_they_were_written_are_computed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command, out = begun(tmp_path, monkeypatch)
    hidden = next(folder_of(out).glob(".result*"))
    pixels = np.lib.format.open_memmap(hidden, "r+")
    pixels[0, :8, :8] = 0  # as after a crash of the system, whose disk had not all of it
    pixels.flush()
    with Journal(out).log.open("ab") as file:
        file.write(b"[7, [12")  # and a line that was cut off
    assert main([*command, "--resume", "-q"]) == 0
    image = Image(stack(), "ZYX")
    np.testing.assert_array_equal(np.load(out), gaussian(image).run(image).image.data)


KILLED = """
import os, random, signal, sys, time
from hush.cli import main

command, out, whole, trials = sys.argv[4:], sys.argv[1], sys.argv[2], int(sys.argv[3])

def child(more):
    number = os.fork()
    if number == 0:
        os._exit(main([*command, *more]))
    return number

begun = time.monotonic()
assert os.waitstatus_to_exitcode(os.waitpid(child(["-o", whole]), 0)[1]) == 0
took, rng, kills = time.monotonic() - begun, random.Random(0), 0
for trial in range(trials):
    number = child(["-o", out, "--resume"])
    time.sleep(rng.uniform(0.1, 0.6) * took)
    try:
        os.kill(number, signal.SIGKILL)
    except ProcessLookupError:
        pass
    kills += os.WIFSIGNALED(os.waitpid(number, 0)[1])
    if os.path.exists(out):
        break
if not os.path.exists(out):
    assert os.waitstatus_to_exitcode(os.waitpid(child(["-o", out, "--resume"]), 0)[1]) == 0
print(kills)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_kill_9_at_any_moment_leaves_nothing_broken(tmp_path: Path) -> None:
    np.save(tmp_path / "noisy.npy", stack((6, 300, 300)))
    out, whole, model = tmp_path / "clean.npy", tmp_path / "whole.npy", tmp_path / "tiny.hush"
    tiny = registry.get("methods", "n2v")(steps=1, maps=2, depth=1, patch=16, batch=1)
    save_model(tiny.fit(Image(stack((64, 64)), "YX")), model)
    command = ["apply", str(model), str(tmp_path / "noisy.npy"), "--axes", "ZYX", "--tile", "64", "-q"]
    told = subprocess.run(
        [sys.executable, "-c", KILLED, str(out), str(whole), "3", *command, "--memory", ENOUGH],
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    assert int(told.stdout) >= 1
    assert contents(out) == contents(whole)
