"""What `pretrained` makes of small bright spots and of stars: how much of their height stays, and of the noise.

    python benchmarks/bright_spots.py

Forty spots of one pixel, or Gaussian with a deviation of one, on a flat background with noise of sigma 20, which is
said; and 400 stars of 100 to 40,000 photons on a sky of 200, with read noise of 8, of which nothing is said.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hush.core import registry

SIGMA, SKY = 20.0, 200.0


def spots(height: float, wide: bool) -> tuple[Any, Any, list[Any]]:
    """Return the clean image, the noisy one, and where the spots are."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:256, :256]
    clean, at = np.full((256, 256), 100.0), rng.integers(8, 248, (40, 2))
    for a, b in at:
        clean += height * (np.exp(-((y - a) ** 2 + (x - b) ** 2) / 2) if wide else (y == a) & (x == b))
    return clean, rng.normal(clean, SIGMA).astype(np.float32), list(at)


def stars() -> tuple[Any, Any]:
    """Return a clean and a noisy field of stars."""
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:512, :512]
    clean = np.full((512, 512), SKY)
    for _ in range(400):
        a, b = rng.uniform(4, 508, 2)
        clean += 10 ** rng.uniform(2, 4.6) * np.exp(-((y - a) ** 2 + (x - b) ** 2) / 2 / 1.3**2)
    return clean, (rng.poisson(clean) + rng.normal(0, 8, clean.shape)).astype(np.float32)


def main() -> None:
    """Print a table of the spots, and a line of the stars."""
    pretrained = registry.get("methods", "pretrained")
    print("| height | one pixel: dB gained (height kept) | Gaussian |\n| --- | --- | --- |")
    for height in (150.0, 400.0, 3000.0, 60000.0):
        cells = []
        for wide in (False, True):
            clean, noisy, at = spots(height, wide)
            after = pretrained(noise=f"gaussian:sigma={SIGMA}", scale=1.0).fit(noisy).denoise(noisy).data
            gain = 10 * np.log10(np.square(noisy - clean).mean() / np.square(after - clean).mean())
            kept = np.mean([(after[a, b] - 100) / (clean[a, b] - 100) for a, b in at])
            cells.append(f"{gain:.1f} ({kept:.2f})")
        print(f"| {height:.0f} | {' | '.join(cells)} |")
    clean, noisy = stars()
    after, sky = pretrained().fit(noisy).denoise(noisy).data, clean < SKY + 50
    noise, left = ((one - clean)[sky].std() for one in (noisy, after))
    print(
        f"\nstars: noise of the sky {noise:.1f}, left {left:.1f}; light {(after - SKY).sum() / (clean - SKY).sum():.1%}"
    )


if __name__ == "__main__":
    main()
