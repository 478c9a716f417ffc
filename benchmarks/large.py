"""Images larger than most: peak memory and time, and what kill -9 leaves.

``python benchmarks/large.py memory`` denoises a TIFF of 8192 x 8192, a series of 1000 frames of 512 x 512, and of a
zarr of 512 x 2048 x 2048 as much as fits into five minutes; ``python benchmarks/large.py kills`` kills `hush denoise`
twenty times at a random moment for a zarr and for a TIFF, goes on with ``--resume``, and compares the bytes. It needs
the extra zarr and 8 GB of disk.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from hush import io
from hush.core.image import Image
from hush.io._unfinished import Journal

DENOISE = [sys.executable, "-m", "hush", "denoise"]
NOISE, LEVEL = 30, 1000


def made(path: Path, axes: str, shape: tuple[int, ...]) -> Path:
    """Write an image of blobs in 16 bits with Gaussian noise, plane by plane: it may be larger than memory."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[: shape[-2], : shape[-1]]
    clean = (LEVEL + 300 * np.sin(y / 17) * np.cos(x / 23)).astype(np.float32)
    lazy = np.lib.format.open_memmap(path.with_suffix(".npy"), "w+", np.uint16, shape)
    for plane in lazy.reshape(-1, *shape[-2:]):
        plane[...] = clean + NOISE * rng.standard_normal(clean.shape, np.float32)
    io.write(path, Image(lazy, axes))
    path.with_suffix(".npy").unlink()
    return path


def measured(source: Path, target: Path, *more: str) -> None:
    """Denoise a file whole, and print peak memory and time."""
    begun = time.perf_counter()
    told = subprocess.run(
        [*DENOISE, str(source), "-o", str(target), "--json", *more], capture_output=True, text=True, check=True
    )
    said = json.loads(told.stdout.splitlines()[-1])
    took = time.perf_counter() - begun
    print(f"{source.name}: peak {said['peak_memory_mb']} MB, {took:.0f} s, chosen {said.get('chosen')}", flush=True)


def measured_in_part(source: Path, target: Path, seconds: float, *more: str) -> None:
    """Denoise a file for some time, and print peak memory and how many pieces there were; then Ctrl-C."""
    process = subprocess.Popen([*DENOISE, str(source), "-o", str(target), "--quiet", *more])
    time.sleep(seconds)
    status = Path(f"/proc/{process.pid}/status").read_text("utf-8").splitlines()
    peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")) >> 10
    process.send_signal(signal.SIGINT)
    process.wait()
    print(f"{source.name}: peak {peak} MB, {len(Journal(target).lines())} pieces in {seconds:g} s", flush=True)


def digest(path: Path) -> str:
    """The checksum of a file, or of all files of a folder."""
    found = hashlib.sha256()
    for file in [path] if path.is_file() else sorted(one for one in path.rglob("*") if one.is_file()):
        found.update(file.read_bytes())
    return found.hexdigest()


def killed(source: Path, count: int) -> None:
    """Kill a run at random moments, go on, and print how many results have the bytes of a run that was left alone."""
    folder, rng = source.parent, random.Random(0)
    whole = folder / f"whole{source.suffix}"
    command = [*DENOISE, str(source), "--method", "pretrained", "--memory", "1GB", "--tile", "128", "--quiet"]
    begun = time.perf_counter()
    subprocess.run([*command, "-o", str(whole)], check=True)
    took, equal, begun_ones = time.perf_counter() - begun, 0, 0
    for number in range(count):
        target = folder / f"clean{number}{source.suffix}"
        process = subprocess.Popen([*command, "-o", str(target)])
        time.sleep(rng.uniform(0.2, 0.95) * took)
        process.kill()
        process.wait()
        begun_ones += len(Journal(target).lines()) > 0
        if not target.exists():
            subprocess.run([*command, "-o", str(target), "--resume"], check=True)
        equal += digest(target) == digest(whole)
    print(f"{source.name}: {equal} of {count} have the same bytes; {begun_ones} were killed between pieces", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("memory", "kills"))
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--frames", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=300)
    said = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if said.what == "kills":
            for suffix in (".zarr", ".tif"):
                killed(made(folder / f"noisy{suffix}", "ZYX", (12, 256, 256)), said.count)
            return
        measured(made(folder / "wide.tif", "YX", (8192, 8192)), folder / "wide-clean.tif", "--memory", "2GB")
        series = made(folder / "series.tif", "TYX", (said.frames, 512, 512))
        measured(series, folder / "series-clean.tif", "--memory", "2GB")
        volume = made(folder / "volume.zarr", "ZYX", (512, 2048, 2048))
        measured_in_part(volume, folder / "volume-clean.zarr", said.seconds, "--memory", "2GB")


if __name__ == "__main__":
    main()
