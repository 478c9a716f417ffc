"""
Look at the residual
====================

The residual is what a method removed. If you can see your sample in it, signal was lost.
"""

import matplotlib.pyplot as plt
import numpy as np

import hush
from hush.datasets.synthetic import epithelium
from hush.noise import parse

truth = hush.Image(epithelium(192, seed=3).astype(np.float32), "YX")
noisy = hush.add_noise(truth, parse("gaussian:sigma=15"), seed=0)

# %%
# A blur of two pixels removes the noise, and the membranes with it.

results = {"hush": hush.denoise(noisy), "blur": hush.denoise(noisy, "gaussian", width=2.0)}
figure, axes = plt.subplots(2, 2, figsize=(7, 7), layout="constrained")
for (above, below), (name, clean) in zip(axes.T, results.items(), strict=True):
    above.imshow(clean.data, cmap="gray", vmin=0, vmax=200)
    above.set_title(f"{name}, {hush.psnr(clean, truth, peak=255):.1f} dB")
    below.imshow(noisy.data - clean.data, cmap="gray", vmin=-45, vmax=45)
    below.set_title(f"residual of {name}")
for axis in axes.flat:
    axis.set_axis_off()
plt.show()
