"""Make the picture of docs/benchmarks/automatic.md: three kinds of unknown noise, hush, BM3D and the truth."""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from skimage import data

import hush
from hush.core.image import Image
from hush.datasets.synthetic import add_noise, epithelium
from hush.noise import parse

SIDE, GAP = 200, 4
ROWS = (  # image, where its piece begins, noise
    (Image(epithelium(400, seed=1).clip(0, 255).astype(np.uint8), "YX"), (60, 80), "poisson_gaussian:gain=12,sigma=6"),
    (Image(data.camera(), "YX"), (70, 140), "correlated:sigma=25,length=0.7"),
    (Image(data.chelsea(), "YXS"), (50, 100), "gaussian:sigma=40"),
)


def row(clean: Image, begin: tuple[int, int], noise: str) -> NDArray[np.uint8]:
    """Return noisy, hush, BM3D and clean side by side."""
    noisy = add_noise(clean, parse(noise), seed=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", hush.HushWarning)
        images = (noisy, hush.denoise(noisy), hush.denoise(noisy, "bm3d"), clean)
    y, x = begin
    pieces = [np.asarray(image.data)[y : y + SIDE, x : x + SIDE] for image in images]
    colours = [piece if piece.ndim == 3 else np.repeat(piece[..., None], 3, -1) for piece in pieces]
    gap = np.full((SIDE, GAP, 3), 255.0)
    line = np.concatenate([part for piece in colours for part in (piece, gap)][:-1], 1)
    return np.rint(line.clip(0, 255)).astype(np.uint8)


def picture(path: Path) -> None:
    """Write all rows."""
    rows = [row(*each) for each in ROWS]
    gap = np.full((GAP, rows[0].shape[1], 3), 255, np.uint8)
    Pillow.fromarray(np.concatenate([part for one in rows for part in (one, gap)][:-1])).save(path, quality=92)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path(__file__).parents[1] / "docs/images/automatic.jpg")
    picture(parser.parse_args().output)
