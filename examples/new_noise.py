"""
A noise more
============

NoiseBreaker knows five kinds of noise. Teach it stripes from three clean pictures; what it knew before stays.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from skimage import data

import hush
from hush.methods._noisebreaker_train import teach
from hush.methods.noisebreaker import NoiseBreaker
from hush.noise import parse

pictures: Any = data  # none of its functions says what it returns
clean = [hush.Image(picture, "YX") for picture in (pictures.camera(), pictures.coins(), pictures.brick())]
truth = hush.Image(pictures.moon()[:256, :256].astype(np.float32), "YX")
noisy = hush.add_noise(truth, parse("stripes:amplitude=20 + bernoulli:p=0.1"), seed=0)

with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "stripes.hush"
    teach(clean, parse("stripes:amplitude=5..30"), steps=40).write(path)
    result = NoiseBreaker(model=str(path)).fit(noisy).run(noisy)

for noise in result.info["noises"]:
    print(f"{noise['class']}, {noise['parameter']} {noise['level']:.2f}")
print(f"error {hush.rmse(noisy, truth):.1f} before, {hush.rmse(result.image, truth):.1f} after")
