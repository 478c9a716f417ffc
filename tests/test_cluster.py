"""Pieces on a cluster of Dask: the bytes are those of one process, and no worker takes anything with it."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hush import io
from hush.cli import main
from hush.core import registry
from hush.core.errors import HushError
from hush.core.image import Image
from hush.io._unfinished import Journal, folder_of
from hush.methods._pieces import cut, quiet

distributed = pytest.importorskip("distributed")

from hush.scale import cluster  # noqa: E402
from hush.scale.cluster import Source, Target, Work  # noqa: E402

pytestmark = pytest.mark.usefixtures("small_process")
QUICK = ["--method", "gaussian", "--set", "sigma=30", "--set", "width=1.2", "--tile", "64", "-q"]
TWO_WORKERS = """
import logging, sys
from distributed import Client, LocalCluster

if __name__ == "__main__":
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=logging.CRITICAL) as two:
        print(two.scheduler_address, flush=True)
        sys.stdin.read()
"""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """The scheduler of two workers in processes of their own; one that is killed is started again."""
    command = [sys.executable, "-c", TWO_WORKERS]
    pipe: Any = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        yield process.stdout.readline().strip()
        process.stdin.close()
        process.wait(60)


def stack(shape: tuple[int, ...] = (3, 200, 260)) -> np.ndarray:
    y, x = np.mgrid[: shape[-2], : shape[-1]]
    clean = 1000 + 300 * np.sin(y / 17) * np.cos(x / 23)
    noisy: np.ndarray = np.random.default_rng(0).normal(np.broadcast_to(clean, shape), 30).astype(np.uint16)
    return noisy


def written(path: Path, data: np.ndarray) -> Path:
    if path.suffix == ".zarr":
        zarr = pytest.importorskip("zarr")
        made = zarr.create_array(
            store=str(path), shape=data.shape, dtype=data.dtype, chunks=(2, 64, 80), dimension_names=list("zyx")
        )
        made[:] = data
    else:
        io.write(path, Image(data, "ZYX"[-data.ndim :]))
    return path


def contents(path: Path) -> list[tuple[str, bytes]]:
    files = sorted(one for one in path.rglob("*") if one.is_file()) if path.is_dir() else [path]
    return [(str(one.relative_to(path)), one.read_bytes()) for one in files]


@pytest.mark.parametrize("suffix", [".zarr", ".npy", ".tif"])
def test_two_workers_give_the_same_bytes(suffix: str, address: str, tmp_path: Path) -> None:
    source = written(tmp_path / f"noisy{suffix}", stack())
    command = ["denoise", str(source), "--axes", "ZYX", *QUICK, "--memory", "900MB"]
    assert main([*command, "-o", str(tmp_path / f"a{suffix}")]) == 0
    assert main([*command, "-o", str(tmp_path / f"b{suffix}"), "--cluster", address]) == 0
    assert contents(tmp_path / f"a{suffix}") == contents(tmp_path / f"b{suffix}")
    assert not folder_of(tmp_path / f"b{suffix}").exists()


def test_a_crop_and_the_standard_deviation_are_computed_there_as_well(address: str, tmp_path: Path) -> None:
    source = written(tmp_path / "noisy.npy", stack((90, 80)))
    command = ["denoise", str(source), "--method", "pretrained", "--noise", "gaussian:sigma=30", "--tile", "48", "-q"]
    command += ["--crop", "10:80,4:72", "--memory", "1500MB", "--precision", "float32"]
    for name, more in (("a", []), ("b", ["--cluster", address])):
        out, std = str(tmp_path / f"{name}.npy"), str(tmp_path / f"{name}_std.npy")
        assert main([*command, "-o", out, "--uncertainty", std, *more]) == 0
    for end in (".npy", "_std.npy"):
        np.testing.assert_array_equal(np.load(tmp_path / f"a{end}"), np.load(tmp_path / f"b{end}"))
    assert np.load(tmp_path / "a_std.npy").min() > 0


def test_all_workers_get_pieces(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = written(tmp_path / "noisy.zarr", stack((6, 300, 300)))
    asked, workers = cluster.results, []

    def counting(*given: Any) -> Iterator[cluster.Done]:
        for done in asked(*given):
            workers.append(done.worker)
            yield done

    monkeypatch.setattr(cluster, "results", counting)
    command = ["denoise", str(source), *QUICK, "--memory", "900MB", "--cluster", address]
    assert main([*command, "-o", str(tmp_path / "clean.zarr")]) == 0
    assert len(set(workers)) == 2
    assert min(workers.count(one) for one in set(workers)) > len(workers) // 5


def test_a_worker_that_is_killed_loses_nothing(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = written(tmp_path / "noisy.zarr", stack((6, 300, 300)))
    command = ["denoise", str(source), *QUICK, "--memory", "900MB"]
    assert main([*command, "-o", str(tmp_path / "a.zarr")]) == 0
    with distributed.Client(address, set_as_default=False) as client:
        workers = client.run(os.getpid)
    add, numbers = Journal.add, []

    def killing(self: Journal, line: Any) -> None:
        add(self, line)
        numbers.append(line.number)
        if len(numbers) == 2:
            os.kill(next(iter(workers.values())), signal.SIGKILL)

    monkeypatch.setattr(Journal, "add", killing)
    assert main([*command, "-o", str(tmp_path / "b.zarr"), "--cluster", address]) == 0
    assert sorted(numbers) == list(range(len(numbers)))
    assert len(numbers) > 2
    assert contents(tmp_path / "a.zarr") == contents(tmp_path / "b.zarr")


class Stopped(BaseException):
    """As Ctrl-C does: no part of the program catches it."""


@pytest.mark.parametrize("first", ["with", "without"])
def test_what_was_stopped_is_gone_on_with_there_and_here(
    first: str, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = written(tmp_path / "noisy.npy", stack())
    command = ["denoise", str(source), "--axes", "ZYX", *QUICK, "--memory", "900MB", "-o"]
    assert main([*command, str(tmp_path / "a.npy")]) == 0
    far = ["--cluster", address]
    add, numbers = Journal.add, []

    def stopping(self: Journal, line: Any) -> None:
        add(self, line)
        numbers.append(line.number)
        if len(numbers) == 2:
            raise Stopped

    monkeypatch.setattr(Journal, "add", stopping)
    with pytest.raises(Stopped):
        main([*command, str(tmp_path / "b.npy"), *(far if first == "with" else [])])
    assert set(Journal(tmp_path / "b.npy").lines()) == set(numbers)
    assert main([*command, str(tmp_path / "b.npy"), "--resume", *(far if first == "without" else [])]) == 0
    assert len(numbers) == len(set(numbers))  # no piece twice
    assert contents(tmp_path / "a.npy") == contents(tmp_path / "b.npy")


@pytest.mark.parametrize("where", ["tcp://127.0.0.1:1", "127.0.0.1", "local:0", "nowhere"])
def test_a_wrong_address_is_said_before_any_work(where: str, tmp_path: Path) -> None:
    source, begun = written(tmp_path / "noisy.npy", stack()), time.monotonic()
    out = tmp_path / "clean.npy"
    assert main(["denoise", str(source), "--axes", "ZYX", *QUICK, "-o", str(out), "--cluster", where]) == 2
    assert time.monotonic() - begun < 8 * cluster.SECONDS_TO_ANSWER  # a busy machine is slow
    assert not out.exists()
    assert not folder_of(out).exists()


def test_a_method_that_must_see_all_is_refused(address: str, tmp_path: Path) -> None:
    source = written(tmp_path / "noisy.npy", stack((64, 64)))
    out = tmp_path / "clean.npy"
    assert main(["denoise", str(source), "--method", "dip", "-o", str(out), "--cluster", address]) == 2
    assert not out.exists()


@pytest.mark.parametrize("name", ["gaussian", "median", "bm3d", "n2v", "ssdn", "pretrained", "auto"])
def test_the_work_of_every_method_can_be_sent(name: str, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"steps": 2} if name in ("n2v", "ssdn") else {"noise": "gaussian:sigma=30"}
    source = written(tmp_path / "noisy.npy", stack((200, 200)))
    image = io.read(source)
    with quiet():
        model = registry.get("methods", name)(**settings).fit([image])
        model.tile = 96
        pieces = cut(model, image, 1 << 30, chunks=(64, 64))
        work = pickle.loads(pickle.dumps(Work.of(pieces, Source(str(source), "YX"), [])))
        sent, targets, _ = work.opened
        last = len(pieces.plan) - 1
        np.testing.assert_array_equal(sent.region(last).clean, pieces.region(last).clean)
    assert last > 0
    assert targets == []


def test_a_worker_that_does_not_see_the_folders_says_so(tmp_path: Path) -> None:
    target = Target(tmp_path / "elsewhere" / "clean.npy", "uint16", {}, {"way": "spooled"})
    with pytest.raises(HushError):
        target.open(Image(stack((64, 64)), "YX"))
    assert not (tmp_path / "elsewhere").exists()
