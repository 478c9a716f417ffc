"""The transform of frames in which a pixel counted one photon or none: of two values every transform is a line.

It is the Anscombe transform at 0 and 1, so that a network sees what it knows of low counts; and since it is a line its
inverse has no bias at any density, where that of photons that are counted one by one would be wrong. The functions are
those of `hush.vst.anscombe`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = Any
NO_PHOTON, ONE_PHOTON = 2 * np.sqrt(0.375), 2 * np.sqrt(1.375)  # the Anscombe transform of no photon, and of one


def forward(image: Array, gain: float) -> Array:
    """Return 0 and `gain` as the Anscombe transform has them, and all between on a line.

    Examples
    --------
    >>> forward(np.array([0.0, 255.0]), 255.0).round(2).tolist()
    [1.22, 2.35]
    """
    return NO_PHOTON + np.asarray(image) * ((ONE_PHOTON - NO_PHOTON) / gain)


def inverse(stabilised: Array, gain: float) -> Array:
    """Return to image units: the mean of the transform is the transform of the mean.

    Examples
    --------
    >>> inverse(forward(np.array([0.3]), 1.0), 1.0).round(6).tolist()
    [0.3]
    """
    return (np.asarray(stabilised) - NO_PHOTON) * (gain / (ONE_PHOTON - NO_PHOTON))


plain_inverse, expected = inverse, forward


def deviation(stabilised: Array, gain: float) -> Array:
    """Return the standard deviation of the transformed noise, that of a Bernoulli variable: sqrt(p (1 - p))."""
    chance = inverse(stabilised, 1.0).clip(0, 1)
    return (ONE_PHOTON - NO_PHOTON) * np.sqrt(chance * (1 - chance))
