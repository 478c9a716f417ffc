"""
What noise is in an image
=========================

The variance of photon noise grows with brightness. :func:`hush.analyze` finds the line: its slope is the value of one
photon, its height without light is the read noise.
"""

import matplotlib.pyplot as plt
import numpy as np

import hush
from hush.datasets.synthetic import epithelium
from hush.noise import parse

truth = hush.Image(epithelium(256, seed=2).astype(np.float32), "YX")
noisy = hush.add_noise(truth, parse("poisson_gaussian:gain=4,offset=10,sigma=6"), seed=0)
report = hush.analyze(noisy)
print(report.verdict)

# %%
# Points are flat parts of the image, the line is what was found, the dashed line the truth.

found = report.channels[0]
points = np.array(found.points)
brightness = np.linspace(10, 200, 50)
figure, axis = plt.subplots(figsize=(6, 4), layout="constrained")
axis.plot(points[:, 0], points[:, 1], "o", label="flat parts")
axis.plot(brightness, found.a * brightness + found.b, label=f"found: {found.a:.2f} per photon")
axis.plot(brightness, 4 * (brightness - 10) + 36, "--", label="truth: 4 per photon")
axis.set(xlabel="brightness", ylabel="variance of the noise")
axis.legend()
plt.show()
