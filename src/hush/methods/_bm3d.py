"""Collaborative filtering, the two stages of BM3D: pure functions on tensors.

Similar blocks are stacked into a group, the group is transformed, small coefficients are noise and go, and
every block returns to its place. The sliding transform is computed once for all positions, so that a group is
a gather of rows; distances are matrix products; the blocks come back as one sparse sum before the inverse
transform, which is linear. So nearly all time goes into large matrix products.

Dabov et al., Image denoising by sparse 3-D transform-domain collaborative filtering, IEEE TIP 2007.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

BM3D_BLOCK = 8
BM3D_STEP = 3  # between reference blocks
HALF = 19  # of the search window of 39 x 39 positions
MATCHES = 16  # blocks in a group; twice as many in the second stage under strong noise
STRONG_NOISE = 1 / 8  # of the range of the values: noise of 32 grey levels
THRESHOLD = 2.5  # times sigma; chosen on the last 40 of Train400 (docs/decisions/001)
MOST_LEVELS = 700  # grey levels at matching: squared distances of 64 such values are whole numbers that float32 holds
MARGIN = 2 * 2 * (HALF + BM3D_BLOCK)  # both stages: a block, its matches, their blocks
ROW = 28  # reference blocks matched in one matrix product
CHUNK = 1024  # groups filtered at once: they stay in the cache


@dataclass(frozen=True)
class Noise:
    """What the filter must know of a plane before it is cut into tiles.

    Attributes
    ----------
    sigma : tuple of float
        Standard deviation of each channel, in image units.
    low, span : float
        The range of the values in which blocks are compared, from the whole plane so that all tiles agree.
    """

    sigma: tuple[float, ...]
    low: float
    span: float


def bm3d(noisy: Tensor, noise: Noise, *, wiener: bool = True) -> Tensor:
    """Denoise one plane with white Gaussian noise of known level.

    Parameters
    ----------
    noisy : Tensor of float32, shape (C, Y, X)
        One channel, or three colours, which are filtered in the opponent space (mean, red - blue, green against
        both); the blocks are matched in the mean.
    noise : Noise
        Its level and the range of the values.
    wiener : bool
        Whether the second stage runs.

    Returns
    -------
    Tensor, shape (C, Y, X)

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> clean = np.tile(np.arange(64.0) > 32, (64, 1)) * 100
    >>> noisy = torch.tensor(clean[None] + rng.normal(0, 20, (1, 64, 64)), dtype=torch.float32)
    >>> bool((bm3d(noisy, Noise((20.0,), -60, 220))[0].numpy() - clean).std() < 5)
    True
    """
    size = noisy.shape[1:]
    short = [max(0, BM3D_BLOCK - side) for side in size]
    if any(short):  # thinner than a block: reflected until it is one
        padded = np.pad(noisy.numpy(force=True), ((0, 0), (0, short[0]), (0, short[1])), "symmetric")
        noisy = torch.from_numpy(padded).to(noisy.device)
    colours = _opponent(len(noisy)).to(noisy.device)
    planes = torch.einsum("ij,jyx->iyx", colours, noisy)
    sigma = (colours**2 @ torch.tensor(noise.sigma, device=noisy.device) ** 2).sqrt()
    low = noise.low * float(colours[0].sum())
    basic = _stage(planes, None, sigma, low, noise.span)
    result = _stage(planes, basic, sigma, low, noise.span) if wiener else basic
    return torch.einsum("ij,jyx->iyx", torch.linalg.inv(colours), result)[:, : size[0], : size[1]]


def _opponent(channels: int) -> Tensor:
    """Rows of the opponent transform; channels that are no colours are filtered each by itself."""
    if channels != 3:
        return torch.eye(channels)
    return torch.tensor([[1 / 3, 1 / 3, 1 / 3], [0.5, 0.0, -0.5], [0.25, -0.5, 0.25]])


def _stage(planes: Tensor, basic: Tensor | None, sigma: Tensor, low: float, span: float) -> Tensor:
    """Run one stage: hard thresholds without a basic estimate, a Wiener filter with one."""
    guide = planes if basic is None else basic
    many = basic is not None and float(sigma[0]) > STRONG_NOISE * span
    groups = _match(guide[0], low, span, float(sigma[0]), 2 * MATCHES if many else MATCHES)
    forward, inverse = _transform(basic is None)
    result = torch.empty_like(planes)
    for channel in range(len(planes)):
        table = _blocks(planes[channel]) @ forward.to(planes.device).T  # (positions, 64)
        if basic is None:
            shrink = _hard(table, THRESHOLD * float(sigma[channel]))
        else:
            pilot = _blocks(basic[channel]) @ forward.to(planes.device).T
            shrink = _wiener(table, pilot, float(sigma[channel]) ** 2)
        result[channel] = _aggregate(groups, shrink, inverse.to(planes.device), planes.shape[1:])
    return result


def _blocks(plane: Tensor) -> Tensor:
    """Return the block at every position, shape (positions, 64)."""
    return F.unfold(plane[None, None], BM3D_BLOCK)[0].T.contiguous()


def _match(guide: Tensor, low: float, span: float, sigma: float, count: int) -> Tensor:
    """Return positions of the blocks most like each reference block, itself first, shape (references, count)."""
    values = guide - (low + span / 2)
    if 0 < span < MOST_LEVELS * sigma / 2:  # whole numbers have exact distances, which do not depend on the tile
        values = (values * (MOST_LEVELS / span)).round().clamp(-MOST_LEVELS / 2, MOST_LEVELS / 2)
    high, wide = guide.shape[0] - BM3D_BLOCK + 1, guide.shape[1] - BM3D_BLOCK + 1
    features = _blocks(values).view(high, wide, -1)
    norms = F.pad((features**2).sum(-1), (HALF, HALF, HALF, HALF), value=math.inf)
    padded = F.pad(features, (0, 0, HALF, HALF, HALF, HALF))
    found = [
        _match_row(features[y, columns], padded[y:, columns[0] :], norms[y:, columns[0] :], columns, (y, wide, count))
        for y in _references(high)
        for columns in _rows_of(_references(wide))
    ]
    return torch.cat(found)


def _match_row(
    blocks: Tensor, padded: Tensor, norms: Tensor, columns: list[int], where: tuple[int, int, int]
) -> Tensor:
    """Match evenly spaced references of one row with all positions of their windows; where: (y, width, matches)."""
    (y, wide, matches), count, side = where, len(columns), 2 * HALF + 1
    reach = columns[-1] - columns[0] + side
    step = columns[1] - columns[0] if count > 1 else 0
    candidates = padded[:side, :reach].reshape(side * reach, -1)
    # |a - b|^2 less |a|^2, which is the same for all candidates of a reference
    distances = torch.addmm(norms[:side, :reach].reshape(1, -1), blocks, candidates.T, alpha=-2)
    windows = distances.as_strided((count, side, side), (side * reach + step, reach, 1)).reshape(count, -1)
    middle = HALF * side + HALF
    windows[:, middle] = -math.inf  # itself first
    smallest, at = windows.topk(matches, largest=False)
    at = torch.where(smallest == math.inf, middle, at)  # beyond the image: itself again
    down, right = at // side - HALF, at % side - HALF
    return (y + down) * wide + torch.tensor(columns, device=at.device)[:, None] + right


def _references(positions: int) -> list[int]:
    """Every third position, and the last."""
    return sorted({*range(0, positions, BM3D_STEP), positions - 1})


def _rows_of(columns: list[int]) -> Iterator[list[int]]:
    """Cut columns into evenly spaced runs; the last may be off the grid and stands alone."""
    even = columns if (columns[-1] - columns[0]) % BM3D_STEP == 0 else columns[:-1]
    for start in range(0, len(even), ROW):
        yield even[start : start + ROW]
    if len(even) < len(columns):
        yield columns[-1:]


def _hard(table: Tensor, threshold: float) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    def shrink(groups: Tensor) -> tuple[Tensor, Tensor]:
        """(groups, matches) -> filtered rows (groups, matches, 64) and a weight for each group."""
        haar = _haar(groups.shape[1]).to(table.device)
        spectrum = haar @ table[groups]
        keep = spectrum.abs() > threshold
        keep[:, 0, 0] = True  # the mean is never noise
        return haar.T @ (spectrum * keep), 1 / keep.sum((1, 2))

    return shrink


def _wiener(table: Tensor, pilot: Tensor, variance: float) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    def shrink(groups: Tensor) -> tuple[Tensor, Tensor]:
        """(groups, matches) -> filtered rows (groups, matches, 64) and a weight for each group."""
        haar = _haar(groups.shape[1]).to(table.device)
        power = (haar @ pilot[groups]).square_()
        gain = power / (power + variance)
        return haar.T @ ((haar @ table[groups]) * gain), 1 / (gain**2).sum((1, 2)).clamp(min=1e-6)

    return shrink


def _aggregate(
    groups: Tensor, shrink: Callable[[Tensor], tuple[Tensor, Tensor]], inverse: Tensor, shape: torch.Size
) -> Tensor:
    """Filter all groups and put their blocks back, each weighted by how little noise is left in it."""
    positions = (shape[0] - BM3D_BLOCK + 1) * (shape[1] - BM3D_BLOCK + 1)
    total = inverse.new_zeros(positions, BM3D_BLOCK**2)
    weights = inverse.new_zeros(positions)
    for start in range(0, len(groups), CHUNK):
        chunk = groups[start : start + CHUNK]
        rows, weight = shrink(chunk)
        total.index_add_(0, chunk.flatten(), (rows * weight[:, None, None]).flatten(0, 1))
        weights.index_add_(0, chunk.flatten(), weight.repeat_interleave(chunk.shape[1]))
    window = _window().to(inverse.device)
    summed = F.fold(((total @ inverse.T) * window).T[None], shape, BM3D_BLOCK)
    grid = weights.view(1, 1, shape[0] - BM3D_BLOCK + 1, shape[1] - BM3D_BLOCK + 1)
    return (summed / F.conv_transpose2d(grid, window.view(1, 1, BM3D_BLOCK, BM3D_BLOCK)))[0, 0]


@cache
def _window() -> Tensor:
    kaiser = np.kaiser(BM3D_BLOCK, 2.0)
    return torch.tensor(np.outer(kaiser, kaiser).ravel(), dtype=torch.float32)


@cache
def _haar(size: int) -> Tensor:
    """Orthonormal Haar transform of `size` values, a power of two."""
    matrix = np.ones((1, 1))
    while len(matrix) < size:
        matrix = np.concatenate([np.kron(matrix, [1, 1]), np.kron(np.eye(len(matrix)), [1, -1])]) / math.sqrt(2)
    return torch.tensor(matrix, dtype=torch.float32)


@cache
def _transform(hard: bool) -> tuple[Tensor, Tensor]:
    """Two-dimensional transform of flattened blocks and its inverse: bior1.5 for thresholds, else the DCT."""
    rows = _bior() if hard else _dct()
    return tuple(torch.tensor(np.kron(one, one), dtype=torch.float32) for one in (rows, np.linalg.inv(rows)))  # type: ignore[return-value]


def _dct() -> np.ndarray:
    k, i = np.mgrid[:BM3D_BLOCK, :BM3D_BLOCK]
    matrix: np.ndarray = np.cos(np.pi * (2 * i + 1) * k / (2 * BM3D_BLOCK)) * math.sqrt(2 / BM3D_BLOCK)
    matrix[0] /= math.sqrt(2)
    return matrix


def _bior() -> np.ndarray:
    """Periodic biorthogonal spline wavelet 1.5 down to one mean; rows of unit norm, so that noise keeps its level."""
    low = np.array([3, -3, -22, 22, 128, 128, 22, -22, -3, 3]) / (128 * math.sqrt(2))
    matrix, size = np.eye(BM3D_BLOCK), BM3D_BLOCK
    while size > 1:
        level = np.eye(BM3D_BLOCK)
        level[:size, :size] = 0
        for k in range(size // 2):
            for offset, value in enumerate(low):
                level[k, (2 * k + offset - 4) % size] += value
            level[size // 2 + k, 2 * k : 2 * k + 2] = np.array([-1, 1]) / math.sqrt(2)
        matrix, size = level @ matrix, size // 2
    unit: np.ndarray = matrix / np.linalg.norm(matrix, axis=1, keepdims=True)
    return unit
