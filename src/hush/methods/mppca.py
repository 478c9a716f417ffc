"""Marchenko-Pastur PCA of a series of volumes."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from typing import ClassVar

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from hush.core.device import cores
from hush.core.image import Array
from hush.methods._base import demand
from hush.methods._series import Separated, Series, Tick
from hush.noise.rician import fixed_point, signal_of

USUAL_PATCH = 5  # voxels along each axis
BLOCK_NUMBERS = 1_000_000  # of the windows that are decomposed at once


@dataclass(kw_only=True, eq=False)
class MPPCA(Series):
    """Marchenko-Pastur PCA: of a diffusion series, keep the components that noise cannot explain (Veraart 2016).

    Parameters
    ----------
    patch : int or None
        Side of the windows, in voxels; None: 5, or as many as hold more voxels than there are volumes.
    stride : int
        Voxels from a window to the next: 1 for all of them; 2 takes an eighth of the time in a volume.
    rician : bool
        Take off the bias that the noise of magnitudes has, with the noise level found at each voxel.

    Notes
    -----
    Use it for diffusion MRI and other series of volumes of one place (relaxometry, functional MRI), before any
    interpolation or registration. It needs to be told nothing of the noise, and measures it: ``noise_maps_`` after
    `run`, a map for each series. The noise has to be independent between voxels, and of one level within a window.

    ::

        X = U Λ^½ Vᵀ       a window as a matrix, N voxels by M volumes, less the mean of each volume
        p = min { q : mean(λ_q+1 … λ_M) ≥ (λ_q+1 - λ_M) / (4 √((M - q) / N)) }
        σ² = mean(λ_p+1 … λ_M)
        x̂ = Σ_w x̂_w / (1 + p_w)  /  Σ_w 1 / (1 + p_w)

    The eigenvalues λ of pure noise follow the law of Marchenko and Pastur, whose width σ² and M / N fix. The p that are
    too large for it hold the signal, and are kept. A voxel is the weighted mean over the windows w in which it lies.

    The mean of a magnitude is larger than the signal (Rician noise), by much where the signal is below twice σ. With
    `rician` signal and σ are found together from the mean and the noise map, as the fixed point of Koay and Basser.

    Raise `patch` where there are many volumes, lower it where structures are small. Raise `stride` to save time.

    References
    ----------
    * J. Veraart et al., Denoising of diffusion MRI using random matrix theory, NeuroImage 2016.
    * J. V. Manjón et al., Diffusion weighted image denoising using overcomplete local PCA, PLOS ONE 2013: the weights.
    * C. G. Koay and P. J. Basser, Analytically exact correction scheme for signal extraction from noisy magnitude MR
      signals, Journal of Magnetic Resonance 2006.

    Examples
    --------
    >>> from hush.core.image import Image
    >>> rng = np.random.default_rng(0)
    >>> clean = rng.uniform(50, 100, (2, 20, 1, 1, 1)).prod(0) * rng.uniform(0, 1, (6, 8, 8))
    >>> model = MPPCA()
    >>> denoised = model.fit(noisy := Image(clean + rng.normal(0, 9, clean.shape), "TZYX")).denoise(noisy)
    >>> error = float((denoised.data - clean).std())
    >>> error < 3, round(float(model.noise_maps_[0].mean()))
    (True, 9)
    """

    needs: ClassVar[str] = "noisy volumes"
    scope: ClassVar[str] = "image"

    patch: int | None = None
    stride: int = 1
    rician: bool = False

    def check(self) -> None:
        """Refuse settings that make no sense, naming what is possible."""
        super().check()
        demand(self.patch is None or self.patch >= 2, "patch", self.patch, "2 or more, or none: by the volumes")
        least = USUAL_PATCH if self.patch is None else self.patch
        demand(1 <= self.stride <= least, "stride", self.stride, f"1 to {least}, the side of a window")

    @property
    def uncertain(self) -> bool:
        """It gives a standard deviation: what of the noise is in the components that are kept."""
        return True

    @property
    def blind(self) -> bool:
        """It is given nothing about the noise, and finds it out."""
        return True

    def separate(self, volumes: Array, tick: Tick) -> Separated:
        """Remove the noise of (volumes, [Z,] Y, X), window by window."""
        sides = window_sides(volumes.shape, self.patch)
        sums = Sums(volumes, sides, self.stride)
        blocks, workers = list(sums.blocks()), cores()
        with ThreadPoolExecutor(workers) as pool:
            for first in range(0, len(blocks), workers):
                some = blocks[first : first + workers]
                for block, found in zip(some, pool.map(sums.decompose, some), strict=True):
                    sums.add(block, found)  # one after the other: the sums do not depend on the number of cores
                tick(first + len(some), len(blocks))
        clean, variance, deviation = sums.means()
        if not self.rician:
            return Separated(clean, deviation, np.sqrt(variance))
        signal, sigma = fixed_point(clean, variance)
        return Separated(signal.astype(clean.dtype), of_signal(clean, deviation, sigma), sigma)


def of_signal(mean: Array, deviation: Array, sigma: Array) -> Array:
    """Return the standard deviation of signals, of which magnitudes have a mean that is known this well.

    ::

        s(m): the signal whose magnitudes have the mean m, of noise σ
        d_s = max(d, (s(m + d) - s(m - d)) / 2)

    It is larger in the dark, where a small change of the mean is a large one of the signal.

    Parameters
    ----------
    mean : array, shape (volumes, [Z,] Y, X)
    deviation : array, shape ([Z,] Y, X)
        Of `mean`.
    sigma : array, shape ([Z,] Y, X)
        Of the noise in the two channels of the receiver.

    Returns
    -------
    array, shape (volumes, [Z,] Y, X)

    Examples
    --------
    >>> bright, dark = of_signal(np.array([500.0, 15.0]), np.array(2.0), np.array(10.0))
    >>> round(float(bright), 2), bool(dark > 3)
    (2.0, True)
    """
    above, below = (signal_of(mean + sign * deviation, sigma) for sign in (1, -1))
    wider: Array = np.maximum(deviation, (above - below) / 2)
    return wider


def window_sides(shape: tuple[int, ...], patch: int | None) -> tuple[int, ...]:
    """Return the sides of a window in (volumes, [Z,] Y, X): cut where the image is smaller.

    Examples
    --------
    >>> window_sides((60, 3, 64, 64), None), window_sides((60, 64, 64), None), window_sides((60, 64, 64), 6)
    ((3, 5, 5), (9, 9), (6, 6))
    """
    number, *sizes = shape
    side = patch or USUAL_PATCH
    while patch is None and np.prod([min(side, size) for size in sizes]) <= number and side < max(sizes):
        side += 2
    return tuple(min(side, size) for size in sizes)


def components(eigenvalues: Array, larger: int) -> tuple[Array, Array]:
    """Return how many components are signal, and the variance of the noise.

    Parameters
    ----------
    eigenvalues : array, shape (windows, m), falling
        Of X X^T over `larger`, without those that are zero because X has so few rows or columns.
    larger : int
        The larger side of X.

    Examples
    --------
    >>> noise = np.random.default_rng(0).normal(0, 3, (40, 125))
    >>> found = np.linalg.eigvalsh(noise @ noise.T / 125)[::-1] + np.eye(40)[0] * 50
    >>> number, variance = components(found[None], 125)
    >>> int(number[0]), round(float(variance[0]))
    (1, 9)
    """
    left = np.arange(eigenvalues.shape[1], 0, -1)
    mean = np.cumsum(eigenvalues[:, ::-1], 1)[:, ::-1] / left
    width = (eigenvalues - eigenvalues[:, -1:]) / (4 * np.sqrt(left / larger))
    number = (mean >= width).argmax(1)
    return number, mean[np.arange(len(number)), number]


@dataclass(frozen=True)
class Block:
    """Where the windows of a block begin: one along Z, the same along X for all along Y."""

    z: int
    y: Array
    x: Array


@dataclass(frozen=True)
class Found:
    """What was found in the windows of a block, arrays over (Y, X) of them; `clean`: (Z, Y, X of a window, ..., M)."""

    clean: Array
    weight: Array
    variance: Array
    deviation: Array


class Sums:
    """Weighted sums over the windows in which a voxel lies.

    Parameters
    ----------
    volumes : array, shape (M, [Z,] Y, X)
    sides : tuple of int
        Of a window.
    stride : int
    """

    def __init__(self, volumes: Array, sides: tuple[int, ...], stride: int) -> None:
        self.flat = volumes.ndim == 3
        values = np.moveaxis(volumes[:, None] if self.flat else volumes, 0, -1)
        self.sides = (1, *sides) if self.flat else sides
        self.stride = stride
        self.windows = sliding_window_view(values, self.sides, axis=(0, 1, 2))
        self.total = np.zeros(values.shape, np.result_type(values.dtype, np.float32))
        self.weight, self.variance, self.deviation = (np.zeros(values.shape[:3]) for _ in range(3))

    def blocks(self) -> Iterator[Block]:
        """Yield blocks of windows that together are all of them."""
        along_z, along_y, along_x = (
            np.unique([*range(0, number, self.stride), number - 1]) for number in self.windows.shape[:3]
        )
        each = len(along_x) * int(np.prod(self.windows.shape[3:]))
        rows = max(1, BLOCK_NUMBERS // each)
        for z in along_z:
            for first in range(0, len(along_y), rows):
                yield Block(int(z), along_y[first : first + rows], along_x)

    def decompose(self, block: Block) -> Found:
        """Separate signal and noise in the windows of a block."""
        picked = self.windows[block.z][np.ix_(block.y, block.x)]
        shape, volumes = picked.shape[:2], picked.shape[2]
        x = picked.reshape(-1, volumes, int(np.prod(self.sides))).astype(np.float64)
        middle = x.mean(2, keepdims=True)
        x -= middle
        free = max(1, x.shape[2] - 1)  # what the mean of each volume leaves; of one voxel nothing, which is no noise
        tall = volumes > free
        smaller, larger = sorted((volumes, free))
        values, vectors = np.linalg.eigh((x.mT @ x if tall else x @ x.mT) / larger)
        values, vectors = (array[..., ::-1][..., :smaller] for array in (values, vectors))
        number, variance = components(values.clip(0), larger)
        kept = vectors * (np.arange(smaller) < number[:, None])[:, None]
        clean = ((x @ kept) @ kept.mT if tall else kept @ (kept.mT @ x)) + middle
        # of the noise as much is left as there are free numbers in what is kept, and in the means
        share = (number * (volumes + free - number) + volumes) / x[0].size
        weight = 1 / (1 + number)
        clean *= weight[:, None, None]
        placed = np.moveaxis(clean.reshape(*shape, volumes, *self.sides), (3, 4, 5), (0, 1, 2))
        maps = (weight, weight * variance, weight * np.sqrt(variance * share))
        return Found(np.ascontiguousarray(placed), *(one.reshape(shape) for one in maps))

    def add(self, block: Block, found: Found) -> None:
        """Add what was found in the windows of a block to the voxels that they hold."""
        for z, y, x in product(*map(range, self.sides)):
            at = (block.z + z, *np.ix_(block.y + y, block.x + x))
            self.total[at] += found.clean[z, y, x]
            self.weight[at] += found.weight
            self.variance[at] += found.variance
            self.deviation[at] += found.deviation

    def means(self) -> tuple[Array, Array, Array]:
        """Return the series (M, [Z,] Y, X), and maps of the noise's variance and of the result's deviation."""
        self.total /= self.weight[..., None]
        results = (np.moveaxis(self.total, -1, 0), self.variance / self.weight, self.deviation / self.weight)
        clean, variance, deviation = (one[..., 0, :, :] for one in results) if self.flat else results
        return clean, variance, deviation
