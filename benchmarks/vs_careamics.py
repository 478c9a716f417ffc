"""Noise2Void of hush against CAREamics on micrographs with references: quality and speed.

    python benchmarks/vs_careamics.py --data ../shared/data --out table.md

Run by the python that has hush. Both tools learn one image and denoise that image, each time in a fresh
process, in turn: CAREamics with the settings that its user gets (100 epochs of 4 steps of 16 patches of
64x64) takes T seconds; then hush gets the shares `--ratio` of that T, its own prediction included. Timed are
training and prediction; importing is timed apart, reading and writing files not at all. The seed is the
number of the repeat. The table holds medians over the repeats. dB is PSNR with peak 255: plain, and after a
least-squares gain and offset, because the references of this data have another gain than the exposures.

`--data` holds FMD/raw/NAME.tif and FMD/gt/NAME.tif.

CAREamics gets an environment of its own, `.venv-careamics`, made at the first run (1.6 GB, two minutes):

    python -m venv .venv-careamics
    pip install torch==(the version in constraints.txt, so that both tools run the same torch)
    pip install --no-deps torchvision==0.26.0 careamics==0.3.5
    pip install (what careamics 0.3.5 requires besides torchvision, in the versions that it allows)

The --no-deps is there because that torchvision asks for an older torch; pip remarks on it. CAREamics' U-Net
uses nothing of torchvision that is compiled: _careamics_side.py. To measure another environment, for
example a plain `pip install careamics==0.3.5` with the older torch: `--careamics-python PATH`.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[1]
SIDE = 2048  # of the image that is predicted for the pixels a second
REQUIRED = """
from importlib.metadata import requires
for line in requires("careamics"):
    if "extra ==" not in line and not line.startswith("torchvision"):
        print(line)
"""


def make_environment(folder: Path) -> Path:
    """Make the environment of CAREamics unless it is there, and return its python."""
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    done = folder / "complete"
    if not done.exists():
        pin = re.search(r"^torch==([\d.]+)", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
        torch = f"torch=={pin[1]}" if pin else "torch"
        pip = [str(python), "-m", "pip", "install", "--quiet"]
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([*pip, torch], check=True)
        subprocess.run([*pip, "--no-deps", "torchvision==0.26.0", "careamics==0.3.5"], check=True)
        asked = subprocess.run([str(python), "-c", REQUIRED], check=True, capture_output=True, text=True)
        subprocess.run([*pip, torch, *asked.stdout.splitlines()], check=True)
        done.touch()
    return python


def run(command: Sequence[str | Path], job: dict[str, Any]) -> dict[str, Any]:
    """Run one side in a fresh process and return what it measured."""
    said = subprocess.run([*command, json.dumps(job)], capture_output=True, text=True)
    if said.returncode:
        raise RuntimeError(f"{command[-1]} ended with {said.returncode}:\n{said.stderr[-2000:]}")
    result: dict[str, Any] = json.loads(said.stdout.splitlines()[-1])
    return result


def hush_side(job: dict[str, Any]) -> None:
    """Do in this process what _careamics_side.py does in CAREamics'.

    `job` has `image`, `seed`, and either `seconds` and `prediction`, or `side`.
    """
    begin = perf_counter()
    import hush

    read, method = hush.read, hush.Noise2Void  # hush imports what it needs at the first use
    result: dict[str, Any] = {"import_s": perf_counter() - begin}

    import torch

    image = read(job["image"])
    image = replace(image, data=np.asarray(image.data).astype(np.float32))
    begin = perf_counter()
    if "prediction" in job:
        fitted = method(seconds=job["seconds"], seed=job["seed"]).fit([image])
        middle = perf_counter()
        prediction = fitted.denoise(image)
        result |= {"fit_s": middle - begin, "predict_s": perf_counter() - middle}
        np.save(job["prediction"], prediction.data)
    else:
        fitted = method(steps=10, depth=2, maps=32, seed=job["seed"]).fit([image])
        large = replace(image, data=enlarge(image.data, job["side"]))
        seconds = []
        for _ in range(3):
            begin = perf_counter()
            fitted.denoise(large)
            seconds.append(perf_counter() - begin)
        result["predict_s"] = median(seconds)
    print(json.dumps(result | {"version": f"hush {hush.__version__}, torch {torch.__version__}"}))


def enlarge(image: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """Mirror a picture again and again up to `side` pixels square."""
    height, width = image.shape
    return np.pad(image, ((0, side - height), (0, side - width)), "symmetric")


def decibels(estimate: NDArray[Any], truth: NDArray[Any]) -> tuple[float, float]:
    """Return the PSNR with peak 255: plain, and after the best gain and offset."""
    x, y = (np.asarray(a, np.float64).ravel() for a in (estimate, truth))
    gain, offset = np.polyfit(x, y, 1)
    plain, fitted = (10 * np.log10(255**2 / np.mean((a - y) ** 2)) for a in (x, gain * x + offset))
    return float(plain), float(fitted)


class Measurement:
    """Runs the two sides on pictures, and keeps what came out."""

    def __init__(self, careamics: Sequence[str | Path], options: argparse.Namespace) -> None:
        self.careamics = careamics
        self.hush = [sys.executable, __file__, "--side", "hush"]
        self.options = options
        self.versions: set[str] = set()

    def ask(self, command: Sequence[str | Path], job: dict[str, Any], truth: NDArray[Any]) -> list[float]:
        """Let one side train and predict; return import, fit and predict seconds, dB plain, dB fitted."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "prediction.npy")
            answer = run(command, job | {"prediction": str(file)})
            scores = decibels(np.load(file), truth)
        self.versions.add(answer["version"])
        row = [answer["import_s"], answer["fit_s"], answer["predict_s"], *scores]
        print(job, " ".join(f"{x:.2f}" for x in row), file=sys.stderr, flush=True)
        return row

    def picture(self, name: str) -> list[str]:
        """Measure one picture, and return its rows of the table."""
        raw, truth = (Path(self.options.data, "FMD", kind, f"{name}.tif") for kind in ("raw", "gt"))
        clean = tifffile.imread(truth)
        tools: dict[str, list[list[float]]] = {"CAREamics": []}
        spare = 0.0  # what hush needs besides its budget of training, for start and prediction
        if self.options.ratio:
            warm = self.ask(self.hush, {"image": str(raw), "seed": 0, "seconds": 5.0}, clean)
            spare = warm[1] + warm[2] - 5.0
        for seed in range(self.options.repeats):
            job = {"image": str(raw), "seed": seed}
            peer = {"epochs": self.options.epochs, "precision": self.options.careamics_precision}
            row = self.ask(self.careamics, job | peer, clean)
            whole = row[1] + row[2]
            tools["CAREamics"].append([row[0], whole, 1.0, *row[3:]])
            for ratio in self.options.ratio:
                for _ in range(3):  # again only when the time was overdrawn
                    seconds = max(0.98 * ratio * whole - spare, 0.1)
                    row = self.ask(self.hush, job | {"seconds": seconds}, clean)
                    total = row[1] + row[2]
                    spare = total - seconds
                    if total <= ratio * whole:
                        break
                tools.setdefault(f"hush ({ratio:g} T)", []).append([row[0], total, total / whole, *row[3:]])
        plain, fitted = decibels(tifffile.imread(raw), clean)
        lines = [f"| {name} | noisy | | | | {plain:.2f} | {fitted:.2f} |"]
        for tool, rows in tools.items():
            start, total, share, plain, fitted = (median(column) for column in zip(*rows, strict=True))
            cells = f"{start:.2f} | {total:.2f} | {share:.3f} | {plain:.2f} | {fitted:.2f}"
            lines.append(f"| {name} | {tool} | {cells} |")
        return lines

    def speed(self, name: str) -> list[str]:
        """Measure the prediction of a large picture, and return its rows of the table."""
        job = {"image": str(Path(self.options.data, "FMD", "raw", f"{name}.tif")), "seed": 0, "side": SIDE}
        peer = job | {"epochs": 3, "precision": self.options.careamics_precision}
        asked = [
            ("CAREamics, untiled", self.careamics, peer | {"tile": 0}),
            ("CAREamics, tiles of 256, overlap 48", self.careamics, peer | {"tile": 256}),
        ]
        if self.options.ratio:
            asked.append(("hush", self.hush, job))
        lines = []
        for tool, command, task in asked:
            try:
                seconds = run(command, task)["predict_s"]
                lines.append(f"| {tool} | {seconds:.2f} | {SIDE**2 / seconds / 1e6:.2f} |")
            except RuntimeError as error:  # above all: it does not fit into memory
                print(error, file=sys.stderr)
                lines.append(f"| {tool} | failed | |")
        return lines


def main() -> None:
    style = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=style)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--images", nargs="+", default=["fish", "mice"])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--ratio", type=float, nargs="*", default=[0.05, 0.1, 0.2], help="shares of T")
    parser.add_argument("--epochs", type=int, default=100, help="of CAREamics")
    parser.add_argument("--careamics-precision", default="32-true", help="or bf16-mixed")
    parser.add_argument("--careamics-python", type=Path, help="of an environment that you made")
    parser.add_argument("--no-speed", action="store_true", help="leave the large prediction out")
    parser.add_argument("--out", type=Path, help="write the tables here too")
    parser.add_argument("--side", choices=["hush"], help=argparse.SUPPRESS)
    parser.add_argument("job", nargs="?", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        return hush_side(json.loads(options.job))

    python = options.careamics_python or make_environment(ROOT / ".venv-careamics")
    measurement = Measurement([python, ROOT / "benchmarks" / "_careamics_side.py"], options)
    lines = ["| image | tool | import s | fit + predict s | ratio | dB plain | dB fitted |"]
    lines.append("| --- " * 7 + "|")
    for name in options.images:
        lines += measurement.picture(name)
    if not options.no_speed:
        lines += ["", f"| prediction of {SIDE}x{SIDE}, U-Net of depth 2 and 32 maps | s | Mpixel/s |"]
        lines += ["| --- " * 3 + "|", *measurement.speed(options.images[0])]
    facts = [f"medians of {options.repeats}", f"{os.cpu_count()} CPUs", *sorted(measurement.versions)]
    facts.append(f"CAREamics with {options.epochs} epochs in {options.careamics_precision}")
    lines += ["", "; ".join(facts) + "."]
    print("\n".join(lines))
    if options.out:
        options.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
