"""
Spatially correlated noise
==========================

Cameras and interpolation correlate the noise of neighbouring pixels. BM3D takes such noise for detail; the network that
comes with hush is conditioned on the correlation that the analysis finds.
"""

import matplotlib.pyplot as plt
import numpy as np
from skimage import data

import hush
from hush.noise import parse

truth = hush.Image(data.camera()[60:260, 120:320].astype(np.float32), "YX")
noisy = hush.add_noise(truth, parse("correlated:sigma=25,length=0.7"), seed=0)
print(hush.analyze(noisy).verdict)

# %%
# The residual, on the right, should look like the noise and show nothing of the image.

clean = hush.denoise(noisy)
images = {"noisy": noisy, "hush": clean, "BM3D": hush.denoise(noisy, "bm3d"), "truth": truth}
figure, axes = plt.subplots(1, 5, figsize=(15, 3.4), layout="constrained")
for axis, (name, image) in zip(axes, images.items(), strict=False):
    axis.imshow(image.data, cmap="gray", vmin=0, vmax=255)
    score = "" if name == "truth" else f", {hush.psnr(image, truth, peak=255):.1f} dB"
    axis.set_title(name + score)
axes[-1].imshow(noisy.data - clean.data, cmap="gray", vmin=-75, vmax=75)
axes[-1].set_title("residual of hush")
for axis in axes:
    axis.set_axis_off()
plt.show()
