"""What `hush denoise` makes of strong noise in 8 bits, much of it cut off; of blurred noise and of weak noise.

    python benchmarks/strong_noise.py DATA

DATA holds Train400 (every fourth of the last 40, grey) and BSDS500_train (the last 20, colour; every fourth of them a
quarter as bright as well). One draw an image, the seed its place. What the gauge of `snapshot-fast` finds of white
noise is in a table of its own: its level over the real one, and its error in units of what it says.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

import hush
from hush import io
from hush.core import registry

CASES = (  # name, files, those that are taken, brightness, levels, blur
    ("grey", "Train400/*.png", slice(-40, None, 4), 1.0, (50, 75, 100), 0.0),
    ("grey, blurred", "Train400/*.png", slice(-40, None, 4), 1.0, (5, 10, 20), 0.7),
    ("colour", "BSDS500_train/*.jpg", slice(-20, None, 1), 1.0, (1, 2, 25, 75, 90), 0.0),
    ("colour, dark", "BSDS500_train/*.jpg", slice(-20, None, 4), 0.25, (75,), 0.0),
    ("colour, dark, blurred", "BSDS500_train/*.jpg", slice(-20, None, 4), 0.25, (75, 140), 0.6),
)
GAUGED = (10, 25, 50, 75)


def drawn(clean: Any, level: float, blur: float, seed: int) -> Any:
    """Return an image with noise, rounded and cut off."""
    noise = np.random.default_rng(seed).normal(0, 1, clean.shape)
    if blur:
        noise = ndimage.gaussian_filter(noise, (blur, blur, *[0] * (clean.ndim - 2)))
        noise /= noise.std()
    return np.clip(np.rint(clean + level * noise), 0, 255).astype(np.uint8)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    folder = parser.parse_args().data
    warnings.simplefilter("ignore", hush.HushWarning)
    print("| images | sigma | n | noisy | hush | worse by .05 dB |\n| --- | --- | --- | --- | --- | --- |")
    for name, files, taken, bright, levels, blur in CASES:
        images = [io.read(file) for file in sorted(folder.glob(files))[taken]]
        for level in levels:
            scores = []
            for seed, image in enumerate(images):
                clean = image.data * bright
                noisy = hush.Image(drawn(clean, level, blur, seed), image.axes)
                scores.append([hush.psnr(one, clean, 255) for one in (noisy.data, hush.denoise(noisy).data)])
            before, after = np.mean(scores, 0)
            worse = sum(one < other - 0.05 for other, one in scores)
            print(f"| {name} | {level} | {len(images)} | {before:.2f} | {after:.2f} | {worse} |", flush=True)
    print("\n| sigma | gauge: level over the real one, least, median, most | RMS error over what it says |")
    print("| --- | --- | --- |")
    images = [io.read(file) for file in sorted(folder.glob("BSDS500_train/*.jpg"))[-20:]]
    for level in GAUGED:
        model = registry.get("methods", "pretrained")(weights="snapshot-fast")
        found = []
        for seed, image in enumerate(images):
            noisy = drawn(image.data.astype(float), level, 0.0, seed)
            told, off = model.fit(hush.Image(noisy, image.axes))._gauged(np.moveaxis(noisy, -1, 0).astype(np.float32))
            ratio = told / (noisy - image.data.astype(float)).std()
            found.append((ratio, np.log(ratio) / off))
        ratios, errors = np.transpose(found)
        spread = f"{ratios.min():.2f}, {np.median(ratios):.2f}, {ratios.max():.2f}"
        print(f"| {level} | {spread} | {np.sqrt(np.mean(errors**2)):.2f} |", flush=True)


if __name__ == "__main__":
    main()
