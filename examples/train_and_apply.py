"""
Train, keep, apply
==================

Train on a few images, keep the model, apply it to a new one.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

import hush
from hush.methods._model_file import save_model

rng = np.random.default_rng(0)
y, x = np.mgrid[:64, :64]
signals = [100 + 60 * np.sin(x / 6 + k) * np.cos(y / 7) for k in range(5)]
noisy = [signal + rng.normal(0, 20, signal.shape) for signal in signals]

with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "waves.hush"
    save_model(hush.Noise2Void(steps=60, maps=8, patch=32).fit(noisy[:4]), path)
    clean = hush.load(path, tta=True).denoise(noisy[4])

print(f"error {hush.rmse(noisy[4], signals[4]):.1f} before, {hush.rmse(clean, signals[4]):.1f} after")
