"""A diffusion series made by rule: what a signal of many directions is, without noise."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Floats = NDArray[np.float64]

B_VALUES = (0.0, 1000.0, 2000.0)  # s/mm^2; the first sixth of the volumes has none, the others in turn
WATER = 3e-3  # mm^2/s, diffusivity of free water
TISSUE = 0.7e-3  # and of tissue, its mean
HEAD_RADIUS = 0.9  # of the half of each axis: radius of the head
FREE_RADIUS = 0.3  # of the ventricle, as a share of the head's


def b_values(volumes: int) -> Floats:
    """Return the diffusion weighting of every volume, in s/mm^2.

    Examples
    --------
    >>> b_values(8).tolist()
    [0.0, 2000.0, 1000.0, 2000.0, 1000.0, 2000.0, 1000.0, 2000.0]
    """
    number = np.arange(volumes)
    return np.where(number < max(1, volumes // 6), B_VALUES[0], np.where(number % 2, B_VALUES[2], B_VALUES[1]))


def diffusion(shape: tuple[int, int, int] = (8, 32, 32), seed: int = 0, volumes: int = 60) -> NDArray[np.float32]:
    """Make a diffusion-weighted head: tissue of fibres around a ventricle of free water, and air of zero.

    The signal is that of a diffusion tensor of axial symmetry, ``S0 exp(-b g^T D g)``, whose direction, anisotropy and
    mean diffusivity change smoothly; so does S0, with an edge at the ventricle. Free water without weighting is 255.

    Parameters
    ----------
    shape : tuple of int
        Voxels along Z, Y and X.
    seed : int
    volumes : int
        Directions and weightings; see `b_values`.

    Returns
    -------
    array of float32, shape (volumes, Z, Y, X)

    Examples
    --------
    >>> series = diffusion((4, 16, 16), volumes=12)
    >>> series.shape, float(series.max()), float(series[0].max()) > float(series[-1].max())
    ((12, 4, 16, 16), 255.0, True)
    """
    rng = np.random.default_rng(seed)
    directions = rng.standard_normal((volumes, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    fibres = np.stack([_smooth(rng, shape) for _ in range(3)])
    fibres /= np.linalg.norm(fibres, axis=0)
    anisotropy = 1 / (1 + np.exp(-2 * _smooth(rng, shape)))
    diffusivity = TISSUE * (1 + 0.2 * _smooth(rng, shape).clip(-2, 2))
    brightness = 0.55 + 0.1 * _smooth(rng, shape).clip(-2, 2)
    half = np.array(shape).reshape(3, 1, 1, 1) / 2
    radius = np.sqrt((((np.indices(shape) + 0.5 - half) / (HEAD_RADIUS * half)) ** 2).sum(0))
    water = radius < FREE_RADIUS
    brightness = np.where(water, 1.0, brightness) * (radius < 1)
    diffusivity, anisotropy = np.where(water, WATER, diffusivity), np.where(water, 0.0, anisotropy)
    along = np.einsum("vc,czyx->vzyx", directions, fibres) ** 2
    apparent = diffusivity * (
        1 + 0.75 * anisotropy * (3 * along - 1)
    )  # its mean over all directions is the diffusivity
    weighted = np.exp(-b_values(volumes)[:, None, None, None] * apparent)
    return np.asarray(255 * brightness * weighted, np.float32)


def _smooth(rng: np.random.Generator, shape: tuple[int, int, int]) -> Floats:
    """A smooth field of mean near 0 and standard deviation 1."""
    field: Floats = ndimage.gaussian_filter(rng.standard_normal(shape), (1.5, 3, 3))
    field /= field.std()
    return field
