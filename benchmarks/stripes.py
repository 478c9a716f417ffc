"""What is left of stripes: by `auto`, which takes them off, beside StructN2V, BM3D and the shipped network.

    python benchmarks/stripes.py DATA [--every 20] [--steps 200]

DATA holds Train400: its last 40 images, of which every so many; offsets of rows N(0, amplitude^2) and white noise, one
draw each, unclipped. Figures are root mean squares of result minus clean, less its mean, in grey levels of 0 to 255.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import hush
from hush import io
from hush.methods.pretrained import Pretrained

CASES = ((15, 0), (5, 0), (15, 10), (5, 10), (3, 10), (15, 25))  # amplitude, sigma


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--every", type=int, default=20)
    parser.add_argument("--steps", type=int, default=200)
    arguments = parser.parse_args()
    files = sorted((arguments.data / "Train400").glob("*.png"))[-40:]
    clean_files = files + sorted((arguments.data / "BSDS500_train").glob("*.jpg"))[-20:]
    found = [any(one.stripes for one in hush.analyze(io.read(file)).channels) for file in clean_files]
    print(f"{sum(found)} of {len(found)} clean development photographs have stripes\n")
    files = files[:: arguments.every]
    print("| amplitude | sigma | noisy | auto | found | structn2v | network | bm3d |\n|" + " --- |" * 8)
    for amplitude, sigma in CASES:
        rows = []
        for seed, file in enumerate(files):
            clean = np.asarray(io.read(file).data, np.float32)
            rng = np.random.default_rng(seed)
            offsets = rng.normal(0, amplitude, (len(clean), 1))
            noisy = (clean + offsets + rng.normal(0, 1, clean.shape) * sigma).astype(np.float32)
            white = f"gaussian:sigma={sigma or 1}"  # said to be all there is: then the stripes stay
            auto = hush.Auto().fit(noisy)
            results = [
                noisy,
                auto.denoise(noisy).data,
                hush.StructN2V(mask="1x11", steps=arguments.steps).fit(noisy).denoise(noisy).data,
                Pretrained(noise=white).fit(noisy).denoise(noisy).data,
                hush.BM3D(noise=white).fit(noisy).denoise(noisy).data,
            ]
            seen = float(bool(auto.found_.channels[0].stripes))
            rows.append([float(np.std(result - clean)) for result in results] + [seen])
        before, after, *rivals, share = np.mean(rows, 0)
        figures = " | ".join(f"{value:.2f}" for value in rivals)
        print(f"| {amplitude} | {sigma} | {before:.2f} | {after:.2f} | {share:.0%} | {figures} |", flush=True)


if __name__ == "__main__":
    main()
