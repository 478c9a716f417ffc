"""How the defaults of the hidden-pixel methods were chosen: settings against development images only.

    python benchmarks/defaults.py --data ../shared/data "steps=420" "steps=420 residual=none"

Each argument is a set of settings; for each, every development image is learned by itself and denoised. The
images: four fields of W2S 006-008 (real noise; PSNR after a gain and an offset), two simulated epithelia with
Poisson-Gaussian noise, two of the last 40 of Train400 and two of the last 20 of BSDS500_train in grey
(Gaussian noise, sigma 25, unclipped, one frozen draw each). PSNR has peak 255. One thread, so that two can run
side by side; the cost is processor time an image, training and prediction.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import mean

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

import hush
from hush.core import registry
from hush.core.metrics import fit_gain

ROOT = Path(__file__).resolve().parents[1]
Picture = NDArray[np.float32]


def cells(seed: int, side: int = 512) -> Picture:
    """Membrane-labelled cells: edges of a Voronoi diagram, uneven and blurred, on a background of 10."""
    rng = np.random.default_rng(seed)
    points = rng.uniform(0, side, (side * side // 900, 2))
    distance, _ = cKDTree(points).query(np.moveaxis(np.mgrid[:side, :side], 0, -1), k=2)
    membrane = np.exp(-(((distance[..., 1] - distance[..., 0]) / 2) ** 2))
    membrane *= ndimage.gaussian_filter(rng.standard_normal((side, side)), 20) * 20 + 1
    blurred: Picture = (10 + 200 * ndimage.gaussian_filter(membrane.clip(0), 1)).astype(np.float32)
    return blurred


def grey(path: Path) -> Picture:
    """Read an image as grey float32."""
    data = np.asarray(hush.read(path).data, np.float32)
    return data @ np.array([0.299, 0.587, 0.114], np.float32) if data.ndim == 3 else data


def development(data: Path) -> Iterator[tuple[str, Picture, Picture, bool]]:
    """Yield kind, noisy, clean, and whether gain and offset are fitted."""
    for field, channel in ((6, 0), (7, 1), (8, 2), (7, 2)):
        name = f"{field:03d}_{channel}.tif"
        yield "W2S", grey(data / f"W2S/avg1/input_avg1_{name}"), grey(data / f"W2S/avg400/target_avg400_{name}"), True
    for seed, gain, read in ((0, 10, 5), (1, 40, 3)):
        clean, rng = cells(seed), np.random.default_rng(100 + seed)
        noisy = gain * rng.poisson(clean / gain) + rng.normal(0, read, clean.shape)
        yield "cells", noisy.astype(np.float32), clean, False
    last = {"Train400": sorted((data / "Train400").glob("*.png"))[-40:]}
    last["BSDS500"] = sorted((data / "BSDS500_train").glob("*.jpg"))[-20:]
    for kind, picks in (("Train400", (3, 21)), ("BSDS500", (2, 11))):
        for pick in picks:
            clean = grey(last[kind][pick])
            noise = np.random.default_rng(pick).normal(0, 25, clean.shape)
            yield kind, clean + noise.astype(np.float32), clean, False


def row(method: str, settings: str, images: list[tuple[str, Picture, Picture, bool]]) -> str:
    """Train and score one set of settings on every image: a line of the table."""
    scores: dict[str, list[float]] = {}
    begun = time.process_time()
    for kind, noisy, clean, fitted in images:
        model = registry.get("methods", method).from_text(settings.split()).fit(noisy)
        result = model.denoise(noisy).data
        scores.setdefault(kind, []).append(hush.psnr(fit_gain(result, clean)[0] if fitted else result, clean, 255))
    cost = (time.process_time() - begun) / len(images)
    means = [mean(values) for values in scores.values()]
    return f"| `{settings}` | {cost:.1f} | " + " | ".join(f"{value:.2f}" for value in [*means, mean(means)]) + " |"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("settings", nargs="+", help="for example 'steps=420 maps=32'")
    parser.add_argument("--method", default="n2v")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    given = parser.parse_args()
    torch.set_num_threads(1)
    everything = list(development(given.data))
    print("| settings | s | W2S | cells | Train400 | BSDS500 | mean |\n| --- | --- | --- | --- | --- | --- | --- |")
    for one in given.settings:
        print(row(given.method, one, everything), flush=True)
