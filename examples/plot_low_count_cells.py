"""
Low-count cells
===============

Simulated cell membranes with at most ten photons per pixel: noisy, hush, BM3D and the truth. Neither method is told the
noise.

Simulated cells are among the training images of the weights that come with hush, which favours it here; on real
micrographs the lead over BM3D is smaller (see the benchmarks).

``python examples/plot_low_count_cells.py PICTURE`` writes README's picture.
"""

import sys

import matplotlib.pyplot as plt
import numpy as np

import hush
from hush.datasets.synthetic import epithelium
from hush.noise import parse

# %%
# The truth is made by rule, and photon noise is put onto it: ten photons at a value of 255.

truth = hush.Image(epithelium(256, seed=1).astype(np.float32), "YX")
noisy = hush.add_noise(truth, parse("poisson:photons=10"), seed=0)

# %%
# With no method named, hush analyzes the noise and chooses.

print(hush.analyze(noisy).verdict)
images = {"noisy": noisy, "hush": hush.denoise(noisy), "BM3D": hush.denoise(noisy, "bm3d"), "truth": truth}
scores = {name: hush.psnr(image, truth, peak=255) for name, image in images.items()}

# %%
# A piece of each, on one scale of brightness.

figure, axes = plt.subplots(1, 4, figsize=(12, 3.4), layout="constrained")
for axis, (name, image) in zip(axes, images.items(), strict=True):
    axis.imshow(np.asarray(image.data)[32:192, 32:192], cmap="gray", vmin=0, vmax=200, interpolation="nearest")
    axis.set_title(name if name == "truth" else f"{name}, {scores[name]:.1f} dB")
    axis.set_axis_off()
if len(sys.argv) > 1:
    figure.savefig(sys.argv[1], dpi=100, bbox_inches="tight")
plt.show()
