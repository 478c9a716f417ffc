"""What the network of neighbours learns from: five planes of a volume, or of a picture that moves and changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor
from torch.nn import functional

from hush.core.image import Array
from hush.datasets.camera import PEAK
from hush.datasets.slices import read_volume
from hush.pretrained.data import views_of
from hush.training.patches import Batch

REACH = 2  # neighbours on each side
STACK_PLANES = 2 * REACH + 1
OF_VOLUMES = 0.5  # share of the patches that are cut from volumes
SPACINGS, SPACING_SHARES = (1, 2, 3, 4), (0.55, 0.25, 0.1, 0.1)  # slices of a volume from one plane to the next
THICK = 0.5  # share of the planes that are the mean of so many slices, where they are further apart
PLAIN_PATCH, PLAIN_SHARE = (
    8.0,
    0.15,
)  # a patch of smaller deviation is mostly ground: share of these that are learned from

VOLUMES: tuple[dict[str, Any], ...] = (  # for development: none of a table
    {"file": "MRI_nifti/chris_t1.nii.gz", "share": 0.45, "licence": "CC BY-NC 4.0",
     "less": ((66, 124), (0, 256), (0, 188))},
    {"file": "MRI_fetal_atlas/SB_GA22_notoperated.nii.gz", "share": 0.2, "licence": "CC0 1.0"},
    {"file": "MRI_fetal_atlas/SB_GA24_notoperated.nii.gz", "share": 0.2, "licence": "CC0 1.0"},
    {"file": "MRI_fetal/sub-01_run-1_T2w.nii.gz", "share": 0.15, "licence": "CC0", "shrink": 2},
)  # fmt: skip
PICTURES: tuple[dict[str, Any], ...] = (
    {"name": "BSDS500_train less its last 20", "files": "BSDS500_train/*.jpg", "last": -20, "share": 0.45,
     "licence": "BSDS images, research use"},
    {"name": "W2S 001-005, means of 400 exposures", "files": "W2S/avg400/target_avg400_00[1-5]_*.tif", "share": 0.2,
     "licence": "GPL-3.0 (repository)"},
    {"name": "simulated fluorescence", "generate": "fluorescence", "first": 1000, "count": 60, "share": 0.35,
     "licence": "made by hush"},
)  # fmt: skip

Volume = NDArray[np.float32]


@dataclass(frozen=True)
class Stacks:
    """Clean stacks of five planes, cut from volumes and made of pictures.

    Attributes
    ----------
    volumes : sequence of array, shape (Z, Y, X)
        Brightest value about 255.
    volume_shares : sequence of float
    pictures : sequence of sequence of array, shape (1, Y, X), uint8
    picture_shares : sequence of float
    side : int
        Of a patch.
    light : float
        Share of the pictures whose light changes.
    """

    volumes: Sequence[Volume]
    volume_shares: Sequence[float]
    pictures: Sequence[Sequence[Array]]
    picture_shares: Sequence[float]
    side: int
    light: float = 0.35

    @classmethod
    def of(cls, folder: Path, side: int) -> Stacks:
        """Read the data sets."""
        volumes = [pieces_of(data, folder) for data in VOLUMES]
        each = [(piece, data["share"] / len(found)) for data, found in zip(VOLUMES, volumes, strict=True)
                for piece in found]  # fmt: skip
        pictures = [views_of(dict(data), folder, 1) for data in PICTURES]
        return cls([one for one, _ in each], [share for _, share in each], pictures,
                   [data["share"] for data in PICTURES], side)  # fmt: skip

    def batch(self, count: int, rng: np.random.Generator, device: str = "cpu") -> Batch:
        """Draw stacks (B, 5, Y, X), the plane in question in the middle, of a range of 1 about zero."""
        drawn = [self._of_volume(rng) if rng.random() < OF_VOLUMES else self._moving(rng) for _ in range(count)]
        turned = [_turned(one, rng) for one in drawn]
        clean = np.stack(turned).astype(np.float32) / np.float32(PEAK) - np.float32(0.5)
        return Batch(torch.from_numpy(clean).to(device))

    def _of_volume(self, rng: np.random.Generator) -> Array:
        shares = np.asarray(self.volume_shares) / sum(self.volume_shares)
        for _ in range(20):
            volume = self.volumes[rng.choice(len(self.volumes), p=shares)]
            spacing = int(rng.choice(SPACINGS, p=SPACING_SHARES))
            axis = int(rng.integers(3)) if min(volume.shape) >= self.side // 2 else int(np.argmin(volume.shape))
            stack = np.moveaxis(volume, axis, 0)
            if len(stack) < STACK_PLANES * spacing:
                continue
            made = self._cut(stack, spacing, rng)
            if made[REACH].std() >= PLAIN_PATCH or rng.random() < PLAIN_SHARE:
                break
        return made * rng.uniform(0.6, 1.0) if rng.random() < 0.5 else made

    def _cut(self, stack: Array, spacing: int, rng: np.random.Generator) -> Array:
        first = int(rng.integers(len(stack) - STACK_PLANES * spacing + 1))
        places = [int(rng.integers(max(1, size - self.side + 1))) for size in stack.shape[1:]]
        region = tuple(slice(at, at + self.side) for at in places)
        slices = np.asarray(stack[(slice(first, first + STACK_PLANES * spacing), *region)], np.float32)
        each = slices.reshape(STACK_PLANES, spacing, *slices.shape[1:])
        made = each.mean(1) if rng.random() < THICK else each[:, 0]
        rest = [(0, self.side - size) for size in made.shape[1:]]
        return np.pad(made, [(0, 0), *rest], mode="symmetric") if any(pair[1] for pair in rest) else made

    def _moving(self, rng: np.random.Generator) -> Array:
        """A picture that stays, slides, turns or bends, or another one; parts that move, light that changes."""
        made = _seen(self._picture(rng), self.side, _paths(rng), rng)
        if rng.random() < 0.08:  # something else from a plane on
            other, at = _seen(self._picture(rng), self.side, _paths(rng), rng), int(rng.integers(1, STACK_PLANES))
            made = np.concatenate([made[:at], other[at:]]) if rng.random() < 0.5 else \
                np.concatenate([other[:at], made[at:]])  # fmt: skip
        if rng.random() < 0.3:
            made = _with_objects(made, self._picture(rng), rng)
        if rng.random() < self.light:
            made = _with_light(made, rng)
        return np.asarray(made.clip(0, 1.2 * PEAK), np.float32)

    def _picture(self, rng: np.random.Generator) -> Array:
        shares = np.asarray(self.picture_shares) / sum(self.picture_shares)
        views = self.pictures[rng.choice(len(self.pictures), p=shares)]
        view, room = views[int(rng.integers(len(views)))][0], 2 * self.side
        places = [int(rng.integers(max(1, size - room + 1))) for size in view.shape]
        return np.asarray(view[places[0] : places[0] + room, places[1] : places[1] + room], np.float32)


def pieces_of(data: dict[str, Any], folder: Path) -> list[Volume]:
    """Return a volume of 0 to 255 without its empty borders; without the slices of its `less`, in two pieces."""
    values = np.asarray(read_volume(folder / data["file"]).values, np.float32)
    values *= np.float32(PEAK / values.max())
    low, high = data["less"][0] if "less" in data else (len(values), len(values))
    pieces = [piece for piece in (values[:low], values[high:]) if len(piece) >= STACK_PLANES]
    times = data.get("shrink", 1)
    found = []
    for piece in pieces:
        filled = piece > 0
        box = tuple(
            slice(int(where[0]), int(where[-1]) + 1)
            for axis in range(3)
            for where in [np.flatnonzero(filled.any(tuple(other for other in range(3) if other != axis)))]
        )
        piece = piece[box]
        if times > 1:  # means over squares: what noise it came with is less
            high, wide = (size // times * times for size in piece.shape[1:])
            squares = piece[:, :high, :wide].reshape(len(piece), high // times, times, wide // times, times)
            piece = squares.mean((2, 4))
        found.append(np.ascontiguousarray(piece))
    return found


def _turned(stack: Array, rng: np.random.Generator) -> Array:
    if rng.random() < 0.5:
        stack = stack.swapaxes(1, 2)
    flips = tuple(axis for axis in range(3) if rng.random() < 0.5)
    return np.flip(stack, flips)


# What moves and changes ----------------------------------------------------------------------------------------------


def _paths(rng: np.random.Generator) -> Array:
    """Where each plane looks, (5, 4): shift along Y and X in pixels, turn in radians, logarithm of the zoom."""
    time, kind = np.arange(STACK_PLANES) - REACH, rng.random()
    paths = np.zeros((STACK_PLANES, 4))
    if kind < 0.3:
        return paths
    angle, speed = rng.uniform(0, 2 * np.pi), rng.choice([rng.uniform(0, 1), rng.uniform(0, 5)])
    paths[:, 0], paths[:, 1] = time * speed * np.sin(angle), time * speed * np.cos(angle)
    paths[:, :2] += rng.normal(0, rng.choice([0.0, 0.3, 1.0]), (STACK_PLANES, 2))
    if kind < 0.5:
        paths[:, 2], paths[:, 3] = time * rng.normal(0, 0.02), time * rng.normal(0, 0.02)
    return paths


def _seen(picture: Array, side: int, paths: Array, rng: np.random.Generator) -> Array:
    """Five planes of a picture along paths, which may bend smoothly as well; all are interpolated alike."""
    high, wide = picture.shape
    rows, columns = np.mgrid[:side, :side].astype(np.float32) - (side - 1) / 2
    bend, time = np.zeros((2, side, side), np.float32), np.arange(STACK_PLANES) - REACH
    if rng.random() < 0.4:  # as anatomy does from slice to slice
        length = side / rng.uniform(4, 12)
        field = ndimage.gaussian_filter(rng.standard_normal((2, side, side)), (0, length, length), mode="wrap")
        bend = (field / max(float(field.std()), 1e-9) * rng.uniform(0.2, 1.5)).astype(np.float32)
    middle = np.array([high - 1, wide - 1]) / 2 + rng.uniform(-0.5, 0.5, 2)
    middle += rng.uniform(-1, 1, 2) * np.maximum(np.array([high, wide]) - 1.5 * side, 0) / 2
    grids = []
    for at, (down, right, turn, zoom) in zip(time, paths, strict=True):
        scale, cos, sin = np.exp(zoom), np.cos(turn), np.sin(turn)
        y = middle[0] + down + scale * (cos * rows - sin * columns) + at * bend[0]
        x = middle[1] + right + scale * (sin * rows + cos * columns) + at * bend[1]
        grids.append(np.stack([2 * x / max(wide - 1, 1) - 1, 2 * y / max(high - 1, 1) - 1], -1))
    source = torch.from_numpy(np.ascontiguousarray(picture))[None, None].expand(STACK_PLANES, 1, -1, -1)
    grid = torch.from_numpy(np.stack(grids).astype(np.float32))
    made = functional.grid_sample(source, grid, mode="bicubic", padding_mode="reflection", align_corners=True)
    return np.asarray(made[:, 0].numpy(), np.float32)


def _with_objects(stack: Array, picture: Array, rng: np.random.Generator) -> Array:
    """Spots, and cut-outs of another picture, that move their own way; some appear only in some planes."""
    made, side = stack.copy(), stack.shape[-1]
    rows, columns = np.mgrid[:side, :side]
    for _ in range(int(rng.integers(1, 7))):
        place, angle = rng.uniform(0, side, 2), rng.uniform(0, 2 * np.pi)
        step = rng.uniform(0.3, 8) * np.array([np.sin(angle), np.cos(angle)])
        radius, light, solid = rng.uniform(0.8, 12), rng.uniform(-60, 150), rng.random() < 0.4
        here = rng.random(STACK_PLANES) < rng.choice([1.0, 0.6])
        for k in np.flatnonzero(here):
            away = np.hypot(rows - place[0] - step[0] * (k - REACH), columns - place[1] - step[1] * (k - REACH))
            mask = 1 / (1 + np.exp(np.clip(2 * (away - radius), -30, 30)))
            if solid:
                offset = tuple(int(size // 4 + s * (k - REACH)) for size, s in zip(picture.shape, step, strict=True))
                moved = np.roll(picture, offset, (0, 1))[:side, :side]
                moved = np.pad(moved, [(0, side - size) for size in moved.shape], mode="symmetric")
                made[k] += mask * (moved - made[k])
            else:
                made[k] += light * mask
    return made


def _with_light(stack: Array, rng: np.random.Generator) -> Array:
    """Light that fades or flickers as a whole, or areas that flash."""
    time, made = np.arange(STACK_PLANES), stack.copy()
    if rng.random() < 0.5:
        gains = np.exp(-time * rng.uniform(0, 0.15) + rng.normal(0, rng.choice([0.0, 0.1]), STACK_PLANES))
        made *= (gains / gains.max())[:, None, None]
        return made
    side = stack.shape[-1]
    rows, columns = np.mgrid[:side, :side]
    for _ in range(int(rng.integers(1, 6))):
        y, x = rng.uniform(0, side, 2)
        away = np.hypot(rows - y, columns - x)
        mask = 1 / (1 + np.exp(np.clip(1.5 * (away - rng.uniform(1.5, 16)), -30, 30)))
        after = time - rng.integers(-2, STACK_PLANES)
        course = np.where(after < 0, 0, np.exp(-np.maximum(after, 0) / rng.uniform(0.5, 8)))
        made += rng.uniform(10, 120) * course[:, None, None] * mask
    return made


# What the network is shown -------------------------------------------------------------------------------------------


def noisy_stacks(clean: Tensor, sigma: tuple[float, float], rng: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Put noise on stacks (B, 5, Y, X); at the ends of a stack some neighbours are missing.

    Returns
    -------
    Tensor, shape (B, 5, Y, X)
    Tensor, shape (B, 1, 1, 1)
        The noise's level.
    Tensor, shape (B, 4, 1, 1)
        Which neighbours there are, in the order of `hush.pretrained.neighbours.network.NEIGHBOUR_OFFSETS`.
    """
    count = len(clean)
    low, high = sigma
    level = (low + (high - low) * torch.rand((count, 1, 1, 1), generator=rng, device=clean.device)) / PEAK
    noisy = clean + level * torch.randn(clean.shape, generator=rng, device=clean.device)
    kind = torch.rand((count, 1), generator=rng, device=clean.device)
    # of the neighbours -1, +1, -2, +2: all; all but the last; none before; only the next; none at all
    sets: list[Callable[[], list[float]]] = [lambda: [1, 1, 1, 1], lambda: [1, 1, 1, 0], lambda: [0, 1, 0, 1],
                                             lambda: [0, 1, 0, 0], lambda: [0, 0, 0, 0]]  # fmt: skip
    which = torch.bucketize(kind[:, 0], torch.tensor([0.8, 0.88, 0.96, 0.98], device=clean.device)).tolist()
    there = torch.tensor([sets[int(k)]() for k in which], device=clean.device).view(count, 4, 1, 1)
    return noisy, level, there
