"""What `hush denoise` makes of colours in 8 bits, in 16 bits and in floating point, and of dyes as colours.

    python benchmarks/colours.py DATA

DATA holds BSDS500_train, of which every second of the last 20 is taken, and W2S 006-008, whose three dyes become red,
green and blue; beside them are simulated cells of which each colour has others. One draw an image; 8 and 16 bits are
cut off at black and white. W2S is scored after a fit of gain and offset for each colour.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import hush
from hush import io
from hush.core.metrics import fit_gain
from hush.datasets.recipes import drawn_noise
from hush.datasets.synthetic import epithelium, fluorescence

NOISES = (
    "none",
    *(f"gaussian:sigma={level}" for level in (1, 5, 25, 75)),
    *(f"correlated:sigma={level},length=0.8" for level in (5, 20)),
    "poisson:photons=60",
)
DYE_NOISES = ("none", "poisson:photons=60", "correlated:sigma=15,length=0.7")
EQUAL = 99.0  # dB
NUMBERS = {"8 bits": (255, np.uint8), "16 bits": (65535, np.uint16), "floats": (1, np.float32)}


def stored(values: Any, numbers: str) -> Any:
    """Return values of 0 to 255 as a file holds them."""
    white, dtype = NUMBERS[numbers]
    scaled = values * (white / 255)
    return scaled.astype(dtype) if white == 1 else np.clip(np.rint(scaled), 0, white).astype(dtype)


def psnr(values: Any, clean: Any, numbers: str) -> float:
    """Return the PSNR, where white is the peak; of equal images 99."""
    return min(hush.psnr(np.asarray(values, float) * (255 / NUMBERS[numbers][0]), clean, 255), EQUAL)


def with_noise(clean: Any, notation: str, name: str) -> Any:
    """Return values (Y, X, 3) of 0 to 255 with noise."""
    if notation == "none":
        return clean
    model, rng = drawn_noise(notation, name, 0, 255.0)
    return model.sample(np.moveaxis(clean, -1, 0), rng).transpose(1, 2, 0)


def fitted(values: Any, clean: Any) -> Any:
    """Return values with the gain and the offset of each colour that are nearest to the clean ones."""
    return np.stack([fit_gain(values[..., k], clean[..., k])[0] for k in range(3)], -1)


def line(names: str, scores: Sequence[Sequence[float]]) -> None:
    """Print a row: means of PSNR before and after, the least gain, how many are worse."""
    before, after = np.transpose(scores)
    worse = int((after < before - 0.05).sum())
    said = f"{before.mean():.2f} | {after.mean():.2f} | {(after - before).min():+.2f} | {worse}"
    print(f"| {names} | {len(scores)} | {said} |", flush=True)


def numbers_table(files: Sequence[Path]) -> None:
    """Print photographs in three kinds of numbers."""
    print("\n| noise | numbers | n | noisy | hush | least gain | worse by .05 dB |\n" + "| --- " * 7 + "|")
    for notation in NOISES:
        for numbers in NUMBERS:
            scores = []
            for file in files:
                image = io.read(file)
                clean = image.data.astype(float)
                noisy = with_noise(clean, notation, f"BSDS500_train/{file.stem}")
                given = hush.Image(stored(noisy, numbers), image.axes)
                scores.append([psnr(one, clean, numbers) for one in (given.data, hush.denoise(given).data)])
            line(f"{notation} | {numbers}", scores)


def dyes_table(folder: Path) -> None:
    """Print composites: of real dyes and of simulated cells, in 8 bits."""
    print("| composite | noise | n | noisy | hush | least gain | worse by .05 dB |\n" + "| --- " * 7 + "|")
    scores = []
    for field in (6, 7, 8):
        one, mean = (
            np.stack([io.read(folder / f"{place}_{field:03d}_{dye}.tif").data for dye in range(3)], -1)
            for place in ("W2S/avg1/input_avg1", "W2S/avg400/target_avg400")
        )
        found = [fitted(values.astype(float), mean.astype(float)) for values in (one, denoised(one))]
        scores.append([psnr(values, mean, "8 bits") for values in found])
    line("W2S 006-008 | real", scores)
    for kind in (epithelium, fluorescence):
        cells = [np.stack([kind(256, 3 * place + k) for k in range(3)], -1) for place in range(3)]
        cells = [one * (200 / one.max()) + 20 for one in cells]
        for notation in DYE_NOISES:
            scores = []
            for place, clean in enumerate(cells):
                noisy = stored(with_noise(clean, notation, f"{kind.__name__}/{place}"), "8 bits")
                truth = stored(clean, "8 bits") if notation == "none" else clean
                scores.append([psnr(values, truth, "8 bits") for values in (noisy, denoised(noisy))])
            line(f"{kind.__name__} | {notation}", scores)


def denoised(values: Any) -> Any:
    """Return what hush makes of colours (Y, X, 3)."""
    return hush.denoise(hush.Image(values, "YXS")).data


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    folder = parser.parse_args().data
    warnings.simplefilter("ignore", hush.HushWarning)
    dyes_table(folder)
    numbers_table(sorted(folder.glob("BSDS500_train/*.jpg"))[-20::2])


if __name__ == "__main__":
    main()
