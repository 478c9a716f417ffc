"""
How far to trust a pixel
========================

The network gives a standard deviation for every pixel. Here the truth is known, so the two can be compared.
"""

import matplotlib.pyplot as plt
import numpy as np
from skimage import data

import hush
from hush.methods.pretrained import Pretrained
from hush.noise import parse

truth = hush.Image(data.camera()[60:260, 120:320].astype(np.float32), "YX")
noisy = hush.add_noise(truth, parse("gaussian:sigma=25"), seed=0)
std = np.zeros(noisy.data.shape, np.float32)  # is filled in
result = Pretrained().fit(noisy).run(noisy, std=std)
error = np.abs(result.image.data - truth.data)
print(f"within one standard deviation: {np.mean(error < std):.0%} (68 % if it were exact)")

# %%
# Edges and texture are uncertain, flat parts are not.

panels = {
    "hush": (result.image.data, 255),
    "stated standard deviation": (std, 20),
    "true error": (error, 20),
}
figure, axes = plt.subplots(1, 3, figsize=(11, 4), layout="constrained")
for axis, (name, (values, most)) in zip(axes, panels.items(), strict=True):
    axis.imshow(values, cmap="gray" if most == 255 else "magma", vmin=0, vmax=most)
    axis.set_title(name)
    axis.set_axis_off()
plt.show()
