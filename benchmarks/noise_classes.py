"""How often the classifier of noise is right: 2200 windows of 224 x 224 pixels, 200 of each of NoiseBreaker's classes.

    python benchmarks/noise_classes.py DATA [-o CONFUSION.png] [--net small|mobilenet] [--eight-bits]

DATA holds BSD68 and Train400, of which the last 40 are taken, enlarged by cubic splines from 180 to 224 pixels. Noise
is frozen and unclipped; with --eight-bits it is rounded and clipped to 0..255. Prints for each network the accuracy, of
BSD68 alone and by class, which errors there are, and the matrix of confusions, of which -o draws a picture.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hush import io
from hush.pretrained.noisebreaker.classes import NoiseClass, classes
from hush.pretrained.noisebreaker.classifier import CLASSIFIERS, CROP, classify

OF_A_CLASS = 200
SEED = 2021
FAINT = ("gaussian-weak", "speckle-weak", "uniform-weak", "clean")

Floats = NDArray[np.float32]


def main() -> None:
    """Print the scores of each network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("-o", "--output", type=Path, help="Picture of the matrix, NAME.png.")
    parser.add_argument("--net", choices=list(CLASSIFIERS), action="append", help="Of this network only.")
    parser.add_argument("--eight-bits", action="store_true", help="Round and clip to 0..255.")
    given = parser.parse_args()
    table, pictures = classes(), scenes(given.data)
    nets = given.net or list(CLASSIFIERS)
    found = {net: confusions(pictures, table, net, given.eight_bits) for net in nets}
    for net, (of_all, of_bsd) in found.items():
        print(f"## {net}\n\n{scores(of_all, of_bsd, table)}\n")
    if given.output:
        draw({net: both[0] for net, both in found.items()}, table, given.output)


def scenes(data: Path) -> list[tuple[str, Floats]]:
    """Return the names of sets, and grey images of at least the window's size."""
    made = []
    for name, files in (
        ("BSD68", sorted(data.glob("BSD68/*.png"))),
        ("Train400", sorted(data.glob("Train400/*.png"))[-40:]),
    ):
        if not files:
            raise SystemExit(f"no images of {name} in {data}")
        for file in files:
            image = np.asarray(io.read(file).data, np.float32)
            factor = max(1.0, CROP / min(image.shape))
            made.append((name, image if factor == 1 else ndimage.zoom(image, factor, order=3).clip(0, 255)))
    return made


def confusions(
    pictures: Sequence[tuple[str, Floats]], table: Sequence[NoiseClass], net: str, eight_bits: bool
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return how often each class (rows) was taken for each, of all windows and of those of BSD68."""
    rng, counts = np.random.default_rng(SEED), np.zeros((2, len(table), len(table)), np.int64)
    for number in range(OF_A_CLASS * len(table)):
        label = number % len(table)
        name, image = pictures[int(rng.integers(len(pictures)))]
        top, left = (int(rng.integers(size - CROP + 1)) for size in image.shape)
        window = image[top : top + CROP, left : left + CROP]
        model, _ = table[label].draw(rng)
        noisy = window if model is None else np.asarray(model.sample(window[None], rng)[0], np.float32)
        best = classify([noisy.round().clip(0, 255) if eight_bits else noisy], net).best
        counts[:, label, best] += (1, name == "BSD68")
    return counts[0], counts[1]


def scores(of_all: NDArray[np.int64], of_bsd: NDArray[np.int64], table: Sequence[NoiseClass]) -> str:
    """Return the figures as text."""
    names, total, right = [one.name for one in table], of_all.sum(), np.trace(of_all)
    faint = [name in FAINT for name in names]
    same = np.array([[a.partition("-")[0] == b.partition("-")[0] for b in names] for a in names]) & ~np.eye(
        len(names), dtype=bool
    )
    errors = max(total - right, 1)
    among_faint = (of_all * np.outer(faint, faint)).sum() - np.trace(of_all * np.outer(faint, faint))
    lines = [
        f"accuracy {right / total:.4f} of {total} windows, BSD68 alone {np.trace(of_bsd) / of_bsd.sum():.4f}",
        f"errors {total - right}: {among_faint / errors:.0%} among faint noise and clean, "
        f"{(of_all * same).sum() / errors:.0%} another level of the right type",
        "",
        "| true, taken for | " + " | ".join(names) + " | right |",
        "|" + " --- |" * (len(names) + 2),
    ]
    for name, row, good in zip(names, of_all, np.diag(of_all), strict=True):
        lines.append(f"| {name} | " + " | ".join(str(count or "") for count in row) + f" | {good / row.sum():.1%} |")
    return "\n".join(lines)


def draw(found: dict[str, NDArray[np.int64]], table: Sequence[NoiseClass], path: Path) -> None:
    """Draw the matrices side by side."""
    names = [one.name for one in table]
    figure, axes = plt.subplots(1, len(found), figsize=(6.5 * len(found), 6), squeeze=False, layout="constrained")
    every: Any = axes[0]
    for axis, (net, counts) in zip(every, found.items(), strict=True):
        shares = counts / counts.sum(1, keepdims=True)
        axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for (y, x), share in np.ndenumerate(shares):
            if share:
                axis.text(x, y, f"{100 * share:.0f}", ha="center", va="center", color="w" if share > 0.5 else "k")
        axis.set_xticks(range(len(names)), names, rotation=60, ha="right")
        axis.set_yticks(range(len(names)), names)
        axis.set(title=f"{net}: {np.trace(counts) / counts.sum():.3f}", xlabel="taken for, %", ylabel="true")
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
