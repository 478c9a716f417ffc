"""How long `hush denoise` takes with nothing said: after imports, and the whole command's, for every effort.

    python benchmarks/command.py [FILE ...] [--efforts fast,balanced]

The files, and simulated cells of a million pixels with photon and read noise. Medians over the repeats, of `thorough`
one run. Needs a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path
from statistics import median
from time import perf_counter

import hush
from hush import io
from hush.core.device import device_name, device_of
from hush.core.image import Image
from hush.datasets import synthetic
from hush.noise import parse

REPEATS = {"fast": 5, "balanced": 3, "thorough": 1}
SIDE = 1024


def seconds(image: Image, effort: str) -> float:
    """Time the call after a first one that is not counted: imports and weights are there."""
    begun = perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        hush.denoise(image, effort=effort)
    return perf_counter() - begun


def command_seconds(file: Path, effort: str, output: Path) -> float:
    """Time the command, the start of the interpreter included."""
    words = ["denoise", str(file), "-o", str(output), "--overwrite", "--effort", effort]
    begun = perf_counter()
    subprocess.run([sys.executable, "-m", "hush", *words], check=True, capture_output=True)
    return perf_counter() - begun


def main(names: list[str], efforts: list[str]) -> None:
    """Print a line a file and effort."""
    with tempfile.TemporaryDirectory() as folder:
        cells = Path(folder) / "cells.tif"
        clean = Image(synthetic.epithelium(SIDE, seed=0), "YX")
        io.write(cells, synthetic.add_noise(clean, parse("poisson_gaussian:gain=2,sigma=5")))
        print(f"{device_name(device_of())}: seconds after imports, and the whole command's")
        for file in [*map(Path, names), cells]:
            image = io.read(file)
            seconds(image, "fast")
            for effort in efforts:
                repeats = REPEATS[effort]
                after = median(seconds(image, effort) for _ in range(repeats))
                whole = median(command_seconds(file, effort, Path(folder) / "out.tif") for _ in range(repeats))
                print(f"{file.stem} {' x '.join(map(str, image.data.shape))}, {effort}: {after:.2f}, {whole:.2f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*")
    parser.add_argument("--efforts", default=",".join(REPEATS))
    given = parser.parse_args()
    main(given.files, given.efforts.split(","))
