"""How many pixels a second the weights that come with hush denoise: once the noise is known, nothing else counted.

    python benchmarks/throughput.py [NAME ...]

Medians over the repeats, after one run that is not counted. Needs a machine that does nothing else.
"""

from __future__ import annotations

import sys
from statistics import median
from time import perf_counter

import numpy as np

from hush.core import registry
from hush.core.device import device_name

REPEATS = 21


def main(names: list[str]) -> None:
    """Print megapixels a second for three sizes."""
    for name in names or ["gaussian-fast"]:
        for side in (256, 512, 1024):
            noisy = np.random.default_rng(0).normal(100, 20, (side, side)).astype(np.float32)
            model = registry.get("methods", "pretrained")(weights=name, scale=1.0, noise="gaussian:sigma=20").fit(noisy)
            times = []
            for _ in range(REPEATS + 1):
                begun = perf_counter()
                model.run(noisy)
                times.append(perf_counter() - begun)
            device, precision = model.where
            rate = side**2 / median(times[1:]) / 1e6
            print(f"{name} {side} x {side}: {rate:.1f} Mpixel/s on {device_name(device)} in {precision}")


if __name__ == "__main__":
    main(sys.argv[1:])
