"""Do twelve commands still give the same bytes? Run before and after a change that should not alter results.

``python benchmarks/same_bytes.py before.json`` writes the hashes; with ``--against before.json`` it also compares, and
exits 1 where one differs. Same machine, threads and precision only.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import skimage.data
import tifffile

import hush

HUSH = str(Path(sys.executable).with_name("hush"))
FIXED = {"seconds", "peak_memory_mb", "input", "output"}  # entries of a record that differ between runs


def inputs(folder: Path) -> None:
    """Write the noisy images."""
    rng = np.random.default_rng(0)
    grey = np.asarray(skimage.data.camera(), np.float32)[100:356, 100:356]  # type: ignore[no-untyped-call]
    colour = np.asarray(skimage.data.astronaut(), np.float32)[:192, 128:320]  # type: ignore[no-untyped-call]
    run(folder, "simulate", "epithelium", "-o", "cells.tif", "--size", "192", "--seed", "3")
    cells = hush.read(folder / "cells.tif").data
    eight = np.clip(np.rint(grey + rng.normal(0, 20, grey.shape)), 0, 255).astype(np.uint8)
    tifffile.imwrite(folder / "grey.tif", eight)
    tifffile.imwrite(
        folder / "colour.tif",
        np.clip(np.rint(colour + rng.normal(0, 15, colour.shape)), 0, 255).astype(np.uint8),
        photometric="rgb",
    )
    tifffile.imwrite(folder / "sixteen.tif", (40 * rng.poisson(cells / 4) + 300).astype(np.uint16))
    holes = (cells + rng.normal(0, 12, cells.shape)).astype(np.float32)
    holes[20:24, 30:50], holes[100, 100] = np.nan, np.inf
    tifffile.imwrite(folder / "holes.tif", holes)
    stack = np.stack([cells[y : y + 96, x : x + 96] for y in (0, 96) for x in (0, 96)]).reshape(2, 2, 96, 96)
    noisy = rng.poisson(stack * 2).astype(np.uint16)
    tifffile.imwrite(folder / "stack.tif", noisy, imagej=True, metadata={"axes": "ZCYX"})


def run(folder: Path, *words: str) -> list[dict[str, Any]]:
    """Run one command and return its records."""
    done = subprocess.run([HUSH, *words], cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"hush {' '.join(words)}\n{done.stderr}")
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    return [json.loads(line) for line in lines]


def commands(folder: Path) -> dict[str, str]:
    """Run the twelve commands and return a hash for each."""
    inputs(folder)
    found: dict[str, str] = {}

    def denoised(label: str, name: str, *words: str) -> None:
        run(folder, "denoise", f"{name}.tif", "-o", f"{label}-out.tif", "--json", *words)
        found[label] = digest([hush.read(folder / f"{label}-out.tif").data])
        print(f"{label:<12}{found[label]}", flush=True)

    for name in ("grey", "colour", "sixteen", "holes", "stack"):
        denoised(f"auto-{name}", name)
    denoised("pretrained", "grey", "--method", "pretrained", "--uncertainty", "std.tif")
    denoised("finetuned", "grey", "--method", "finetuned", "--steps", "30", "--seed", "1")
    denoised("n2v", "grey", "--method", "n2v", "--steps", "30", "--seed", "1")
    denoised("ssdn", "grey", "--method", "ssdn", "--steps", "20", "--seed", "1", "--uncertainty", "std2.tif")
    denoised("bm3d", "colour", "--method", "bm3d")
    run(folder, "train", "grey.tif", "--method", "n2v", "--steps", "20", "--seed", "2", "-o", "m.hush")
    run(folder, "apply", "m.hush", "sixteen.tif", "-o", "applied.tif")
    found["train-apply"] = digest([hush.read(folder / "applied.tif").data])
    records = [run(folder, "analyze", f"{name}.tif", "--json")[0] for name in ("grey", "colour", "sixteen", "stack")]
    figures = [_numbers(record["noise"]) for record in records]
    found["analyze"] = hashlib.sha256(json.dumps(figures).encode()).hexdigest()[:16]
    for label in ("train-apply", "analyze"):
        print(f"{label:<12}{found[label]}")
    found["std"] = digest([hush.read(folder / name).data for name in ("std.tif", "std2.tif")])
    return found


def _numbers(value: Any) -> list[float]:
    """All numbers of a record, in the order of its keys: words may change, figures may not."""
    if isinstance(value, dict):
        return [number for key in sorted(value) if key not in FIXED for number in _numbers(value[key])]
    if isinstance(value, (list, tuple)):
        return [number for one in value for number in _numbers(one)]
    return [float(value)] if isinstance(value, (int, float)) and not isinstance(value, bool) else []


def digest(arrays: Sequence[Any]) -> str:
    """Hash arrays with their shape and dtype."""
    total = hashlib.sha256()
    for array in arrays:
        plain = np.ascontiguousarray(array)
        total.update(f"{plain.shape}{plain.dtype}".encode() + plain.tobytes())
    return total.hexdigest()[:16]


def main() -> int:
    """Write the hashes and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path)
    parser.add_argument("--against", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = commands(Path(folder))
    args.output.write_text(json.dumps(found, indent=1) + "\n")
    if args.against is None:
        return 0
    before = json.loads(args.against.read_text())
    other = [label for label in before if before[label] != found.get(label)]
    print("all the same" if not other else f"different: {', '.join(other)}")
    return 1 if other else 0


if __name__ == "__main__":
    raise SystemExit(main())
