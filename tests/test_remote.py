"""Zarrs at addresses: read chunk by chunk, and what is wrong with an address is said."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hush import io
from hush.cli import main
from hush.core.errors import HushError
from hush.core.image import Image
from hush.core.lazy import Lazy
from hush.io._unfinished import Journal, folder_of
from hush.io._zarr_remote import Remote, address_of

zarr = pytest.importorskip("zarr")
pytest.importorskip("fsspec")
pytest.importorskip("aiohttp")

pytestmark = pytest.mark.usefixtures("small_process")
QUICK = ["--method", "gaussian", "--set", "sigma=30", "--set", "width=1.2", "--tile", "64", "-q"]


class Quiet(SimpleHTTPRequestHandler):
    """Say nothing, and remember what was asked for."""

    asked: list[str] = []  # noqa: RUF012 -- of the one server of a test

    def do_GET(self) -> None:
        """Answer, also with a part of a file, as hosts do and the class above does not."""
        self.asked.append(self.path)
        path, wanted = Path(self.translate_path(self.path)), self.headers.get("Range", "")
        if not wanted or not path.is_file():
            super().do_GET()
            return
        content = path.read_bytes()
        first, last = wanted.removeprefix("bytes=").split("-")
        begin = int(first) if first else len(content) - int(last)
        part = content[begin : int(last) + 1 if first and last else None]
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {begin}-{begin + len(part) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        self.wfile.write(part)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def host(tmp_path: Path) -> Iterator[str]:
    """The address of a server, on this machine, of the test's folder."""
    Quiet.asked.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def stack(shape: tuple[int, ...] = (3, 200, 260)) -> np.ndarray:
    y, x = np.mgrid[: shape[-2], : shape[-1]]
    clean = 1000 + 300 * np.sin(y / 17) * np.cos(x / 23)
    noisy: np.ndarray = np.random.default_rng(0).normal(np.broadcast_to(clean, shape), 30).astype(np.uint16)
    return noisy


@pytest.mark.parametrize("kind", ["ome", "bare", "sharded", "collection"])
def test_what_is_read_from_an_address_is_what_is_on_the_disk(kind: str, host: str, tmp_path: Path) -> None:
    path, data = tmp_path / "a.zarr", stack()
    if kind == "ome":
        io.write(path, Image(data, "ZYX", {"Z": 2.0, "Y": 0.5, "X": 0.5}, "µm", {"description": "cells"}))
    elif kind == "collection":
        for name in ("0", "1"):
            io.write(tmp_path / f"{name}.zarr", Image(data + int(name), "ZYX"))
        zarr.open_group(str(path), mode="w")
        for name in ("0", "1"):
            (tmp_path / f"{name}.zarr").rename(path / name)
    else:
        shards = (2, 128, 160) if kind == "sharded" else None
        made = zarr.create_array(
            store=str(path), shape=data.shape, dtype=data.dtype, chunks=(1, 64, 80), shards=shards,
            dimension_names=list("zyx"),
        )  # fmt: skip
        made[:] = data
    choice = "1" if kind == "collection" else None
    here, there = io.read(path, choice=choice), io.read(f"{host}/a.zarr", choice=choice)
    np.testing.assert_array_equal(there.data, here.data)
    assert (there.axes, there.scale, there.unit) == (here.axes, here.scale, here.unit)
    for name in ("format", "name", "description", "channels"):
        assert there.meta[name] == here.meta[name]


def test_only_the_chunks_that_are_needed_are_asked_for(host: str, tmp_path: Path) -> None:
    made = zarr.create_array(store=str(tmp_path / "a.zarr"), shape=(4, 256, 256), dtype="u2", chunks=(1, 64, 64))
    made[:] = 7
    image = io.read(f"{host}/a.zarr", "ZYX", lazy_from=0)
    assert isinstance(image.data, Lazy)
    before = len([one for one in Quiet.asked if "/c/" in one])
    assert image.data[2, 64:100, 10:20].tolist() == [[7] * 10] * 36
    chunks = [one for one in Quiet.asked if "/c/" in one]
    assert (before, chunks) == (0, ["/a.zarr/c/2/1/0"])


def test_an_address_is_denoised_and_what_was_stopped_is_gone_on_with(
    host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = zarr.create_array(
        store=str(tmp_path / "a.zarr"), shape=(3, 200, 260), dtype="u2", chunks=(2, 64, 80), dimension_names=list("zyx")
    )
    made[:] = stack()
    memory = ["--memory", "900MB"]
    here, there = tmp_path / "here.zarr", tmp_path / "there.zarr"
    assert main(["denoise", str(tmp_path / "a.zarr"), "-o", str(here), *QUICK, *memory]) == 0
    add, numbers = Journal.add, []

    class Stopped(BaseException):
        pass

    def stopping(self: Journal, line: Any) -> None:
        add(self, line)
        numbers.append(line.number)
        if len(numbers) == 2:
            raise Stopped

    monkeypatch.setattr(Journal, "add", stopping)
    command = ["denoise", f"{host}/a.zarr", "-o", str(there), *QUICK]
    with pytest.raises(Stopped):
        main([*command, *memory])
    assert main([*command, "--resume"]) == 0
    assert len(numbers) == len(set(numbers))
    assert not folder_of(there).exists()
    np.testing.assert_array_equal(io.read(there).data, io.read(here).data)


@pytest.mark.parametrize("what", ["no zarr", "404", "other suffix", "no server", "no library", "damaged"])
def test_what_is_wrong_with_an_address_is_said(what: str, host: str, tmp_path: Path) -> None:
    (tmp_path / "folder.zarr").mkdir()
    (tmp_path / "bad.zarr").mkdir()
    (tmp_path / "bad.zarr" / "zarr.json").write_text("{", "utf-8")
    address = {
        "no zarr": f"{host}/folder.zarr",
        "404": f"{host}/none.zarr",
        "other suffix": f"{host}/a.tif",
        "no server": "http://127.0.0.1:1/a.zarr",
        "no library": "nothing-known://a/b.zarr",
        "damaged": f"{host}/bad.zarr",
    }[what]
    with pytest.raises(HushError):
        io.read(address)
    assert main(["denoise", address, "-o", str(tmp_path / "out.zarr")]) == 2
    assert not (tmp_path / "out.zarr").exists()
    if what == "other suffix":
        assert Quiet.asked == []


@pytest.mark.parametrize("target", ["s3://bucket/clean.zarr", "http://127.0.0.1:1/clean.zarr", None])
def test_results_are_written_to_disks(
    target: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    monkeypatch.chdir(tmp_path)
    io.write(tmp_path / "a.zarr", Image(stack((64, 64)), "YX"))
    before = sorted(tmp_path.iterdir())
    command = ["denoise", f"{host}/a.zarr", *QUICK, *([] if target is None else ["-o", target])]
    assert main(command) == 2
    assert sorted(tmp_path.iterdir()) == before  # no folder that is called http:


def test_addresses_and_paths() -> None:
    for text in ("https://host/a.zarr", "s3://bucket/deep/a.zarr", "http://host:80/a.zarr/"):
        assert address_of(Path(text)) == address_of(text) == text.rstrip("/")
    for text in ("a.zarr", "C:/data/a.zarr", "file.h5:/group/data", "folder:0", "a:b/c.tif"):
        assert address_of(text) is None
    place = Remote("s3://bucket/a.zarr")
    assert str(place / "." / "0") == "s3://bucket/a.zarr/0"
    assert str(pickle.loads(pickle.dumps(place / "0"))) == "s3://bucket/a.zarr/0"
