"""
Two channels over time
======================

Each channel gets a network of its own; all frames train it.
"""

from __future__ import annotations

import numpy as np

import hush

y, x = np.mgrid[:64, :64]
frames = [100 + 60 * np.sin((x + 4 * t) / 8) for t in range(5)]
signal = np.stack([[frame, 200 - frame] for frame in frames])  # (T, C, Y, X)
noisy = np.random.default_rng(0).poisson(signal).astype(np.uint16)

image = hush.Image(noisy, "TCYX", scale={"Y": 0.2, "X": 0.2}, unit="µm", meta={"channels": ["DAPI", "GFP"]})
method = hush.Noise2Void(steps=60, maps=8, patch=32).fit(image)
clean = method.denoise(image)

print(
    f"{len(method.nets_)} networks; error {hush.rmse(noisy, signal):.1f} before, {hush.rmse(clean, signal):.1f} after"
)
print(
    f"axes {clean.axes}, {clean.data.dtype}, pixel {clean.scale['X']} {clean.unit}, channels {clean.meta['channels']}"
)
