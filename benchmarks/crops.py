"""Which test images show a piece of a training image: correlation over positions, scales, quarter turns and mirroring.

    python benchmarks/crops.py DATA

DATA holds the test sets (Set12, BSD68, PolyU_cropped, W2S, FMD) and what the shipped weights were trained on. All are
compared in grey; a pair is found when it shares a square of three quarters of the smaller image's short side. Prints
the pairs whose whole overlap correlates by more than .9, and writes nothing. Of `details`, the correlation of what a
Gaussian of 2 pixels leaves, .9 means the same picture; .73 was seen where overlaps are small and pictures smooth.
Train400 is not compared with BSDS500_train: its first 200 are known to be crops of it.
"""

from __future__ import annotations

import argparse
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import fft, ndimage, signal
from torch.nn import functional

from hush import io
from hush.core.image import Image

Floats = NDArray[np.float32]

TESTS = {
    "Set12": r"Set12/.*\.png",
    "BSD68": r"BSD68/.*\.png",
    "PolyU, test cameras": r"PolyU_cropped/(Canon5D2|Canon600D|NikonD800)_.*_mean\.JPG",
    "W2S 009-016": r"W2S/avg400/target_avg400_0(09|1[0-6])_.*\.tif",
    "FMD": r"FMD/gt/.*\.tif",
}
SMALL = {"Train400": r"Train400/.*\.png"}  # smaller than the test images: they are looked for in those
LARGE = {
    "BSDS500_train": r"BSDS500_train/.*\.jpg",
    "ImageNet_sample": r"ImageNet_sample/.*\.JPEG",
    "W2S 001-005": r"W2S/avg400/target_avg400_00[1-5]_.*\.tif",
    "MRI_brain_jpg": r"MRI_brain_jpg/.*",
    "ChestXray_NIH_1024": r"ChestXray_NIH_1024/.*\.png",
}
SCALES = 0.4, 2.5  # of a piece in the other image against the piece
STEP = 1.15  # from one scale to the next
SHORT = 480  # pixels: larger images are reduced first
LEAST = 56  # pixels a side that a piece has in the other image
SIDE, HOP = 16, 2  # of a thumbnail of a piece, and from one to the next
WAVES = 6  # of a thumbnail's cosine transform, an axis
BLUR = 2.0  # pixels
SLACK = 6  # pixels that a place may be off by, before the last look
TRIES = 2  # pieces of a picture that are looked for in one image
FLAT = 6.0  # grey levels: pieces that vary less hold nothing that could be found again
LIKELY, PROBABLE, SURE = 0.9, 0.5, 0.9  # correlation of thumbnails, of the details of pieces, of the whole overlap
TURNS = {"as it is": (0, False), "mirrored": (0, True), "left": (1, False), "right": (3, False)}


@dataclass(frozen=True)
class Picture:
    """A grey image, by how much it was reduced, and its name."""

    name: str
    data: Floats
    reduced: float


@dataclass(frozen=True)
class Piece:
    """A square of a turned picture, which another may hold."""

    picture: int
    turn: str
    top: int
    left: int
    side: int


@dataclass(frozen=True)
class Found:
    """Where a picture lies in another: at `scale`, its first corner at (top, left)."""

    correlation: float
    details: float
    scale: float
    top: float
    left: float
    shape: tuple[int, int]
    turn: str


def main() -> None:
    """Print a table of pairs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    data, begun = parser.parse_args().data, perf_counter()
    torch.set_num_threads(1)  # an image a thread instead
    tests, small, large = (pictures(data, sets) for sets in (TESTS, SMALL, LARGE))
    print("| test image | training image | correlation | details | scale | turn | overlap |\n|" + " --- |" * 7)
    number = 0
    for swapped, templates, images in ((False, tests, large), (True, small, tests)):
        for template, image, found in pairs(templates, images):
            test, trained = (image, template) if swapped else (template, image)
            high, wide = found.shape
            print(
                f"| {test.name} | {trained.name} | {found.correlation:.3f} | {found.details:.2f} | {found.scale:.2f} | "
                f"{found.turn} | {wide}x{high} at {found.left:.0f}, {found.top:.0f} |",
                flush=True,
            )
            number += 1
    counts = f"{len(tests)} test images against {len(small) + len(large)} training images"
    print(f"\n{number} pairs; {counts}, {(perf_counter() - begun) / 60:.0f} minutes")


def pictures(folder: Path, sets: dict[str, str]) -> list[Picture]:
    """Read the images of some sets as grey ones."""
    files = [(str(file.relative_to(folder)), file) for file in sorted(folder.glob("*/**/*")) if file.is_file()]
    read = []
    for name, pattern in sets.items():
        chosen = [file for at, file in files if re.fullmatch(pattern, at.replace("\\", "/"))]
        if not chosen:
            raise SystemExit(f"no image of {name} in {folder}")
        read += [picture(f"{file.parts[len(folder.parts)]}/{file.stem}", io.read(file)) for file in chosen]
    return read


def picture(name: str, image: Image) -> Picture:
    """Return an image's brightness, reduced to a short side of `SHORT`; values from 0 to 255."""
    grey = np.stack([view.mean(0) for view in (plane.view(image.data) for plane in image.planes(2))]).mean(0)
    factor = min(1.0, SHORT / min(grey.shape))
    return Picture(name, resized(np.asarray(grey, np.float32), factor), factor)


def resized(image: Floats, factor: float) -> Floats:
    """Return an image at another scale, without aliasing."""
    size = [max(1, round(side * factor)) for side in image.shape]
    x = torch.from_numpy(np.ascontiguousarray(image))[None, None]
    out: Floats = functional.interpolate(x, size=size, mode="bilinear", antialias=True, align_corners=False)[
        0, 0
    ].numpy()
    return out


def turned(image: Floats, turn: str) -> Floats:
    """Turn an image by quarters to the left, or mirror it."""
    quarters, mirrored = TURNS[turn]
    return np.ascontiguousarray(np.rot90(image[:, ::-1] if mirrored else image, quarters))


# Looking for candidates ------------------------------------------------------------------------------


def thumbnails(image: Floats, factor: float) -> tuple[Floats, NDArray[np.intp]]:
    """Return what all squares of `SIDE` / `factor` pixels look like, and where they are.

    Coefficients of a cosine transform, without the mean and of length one. Pictures have less of the finer waves:
    all are made to count alike, else everything that is bright on one side would look the same.
    """
    small = torch.from_numpy(resized(image, factor))[None, None]
    line = torch.from_numpy(fft.dct(np.eye(SIDE, dtype=np.float32), norm="ortho", axis=0)[:WAVES])
    waves = (line[:, None, :, None] * line[None, :, None, :]).reshape(-1, 1, SIDE, SIDE)[1:]
    steps = torch.arange(WAVES, dtype=torch.float32)
    weight = (steps[:, None] ** 2 + steps**2).sqrt().flatten()[1:]
    parts = functional.conv2d(small, waves, stride=HOP)[0]
    high, wide = parts.shape[1:]
    flat = parts.flatten(1).T
    varied = flat.norm(dim=1) / SIDE > FLAT
    flat = flat * weight
    at = np.stack(np.unravel_index(np.arange(high * wide), (high, wide)), 1) * HOP
    kept = varied.numpy()
    return (flat / flat.norm(dim=1, keepdim=True)).numpy()[kept], np.rint(at[kept] / factor).astype(np.intp)


def pieces(templates: Sequence[Picture]) -> tuple[Floats, list[Piece]]:
    """Return the thumbnails of what is looked for: the largest squares, and those of half their side."""
    looks, found = [], []
    for number, one in enumerate(templates):
        for turn in TURNS:
            image = turned(one.data, turn)
            for share in (1, 2):
                side = min(image.shape) // share
                for y in np.unique(np.linspace(0, image.shape[0] - side, 3).astype(int)):
                    for x in np.unique(np.linspace(0, image.shape[1] - side, 3).astype(int)):
                        look, _ = thumbnails(image[y : y + side, x : x + side], SIDE / side)
                        if len(look):
                            looks.append(look[0])
                            found.append(Piece(number, turn, int(y), int(x), side))
    return np.stack(looks), found


def candidates(looks: Floats, image: Picture) -> Iterator[tuple[int, float, int, int]]:
    """Yield which pieces an image seems to hold, the likeliest first: their number, side there, and place."""
    side = float(LEAST)
    best, where = np.full(len(looks), -1.0, np.float32), np.zeros((len(looks), 3))
    while side <= min(image.data.shape):
        seen, at = thumbnails(image.data, SIDE / side)
        for start in range(0, len(seen), 1024):
            alike = looks @ seen[start : start + 1024].T
            top = alike.argmax(1)
            value = alike[np.arange(len(looks)), top]
            better = value > best
            best[better] = value[better]
            where[better] = np.column_stack([np.full(better.sum(), side), at[start + top[better]]])
        side *= STEP
    for number in np.argsort(-best)[: (best > LIKELY).sum()]:
        yield int(number), float(where[number, 0]), int(where[number, 1]), int(where[number, 2])


# Looking closely -------------------------------------------------------------------------------------


def correlation(image: Floats, template: Floats) -> Floats:
    """Return the normalised cross-correlation at all positions of a template within an image."""
    image, template = image.astype(np.float64) - image.mean(), template.astype(np.float64) - template.mean()
    both = signal.fftconvolve(image, template[::-1, ::-1], "valid")
    first = tuple(slice(side // 2, side // 2 + n) for side, n in zip(template.shape, both.shape, strict=True))
    mean, square = (ndimage.uniform_filter(part, template.shape)[first] for part in (image, image**2))
    power = template.size * np.maximum(square - mean**2, 1e-3)  # no piece is quite flat
    out: Floats = (both / np.sqrt(power * max(float((template**2).sum()), 1e-6))).astype(np.float32)
    return out


def details(image: Floats) -> Floats:
    """Return what a blur takes away: pictures are smooth, and alike by chance without it."""
    out: Floats = image - ndimage.gaussian_filter(image, BLUR)
    return out


def closely(piece: Floats, image: Floats, side: float, top: int, left: int) -> tuple[float, float, float, float]:
    """Return the best correlation of a piece's details near a place, its side there, and its place."""
    reach = round(side / 4)
    y, x = max(0, top - reach), max(0, left - reach)
    window = image[y : y + round(side) + 2 * reach, x : x + round(side) + 2 * reach]
    factor = min(1.0, 3 * SIDE / side)
    small, best = details(resized(window, factor)), (-1.0, 0.0, 0.0, 0.0)
    for scale in np.geomspace(STEP**-0.75, STEP**0.75, 7):
        template = details(resized(piece, side * scale * factor / len(piece)))
        if min(small.shape) < len(template):
            continue
        map_ = correlation(small, template)
        at = np.unravel_index(int(map_.argmax()), map_.shape)
        best = max(best, (float(map_[at]), side * scale, y + at[0] / factor, x + at[1] / factor))
    return best


def whole(template: Floats, image: Floats, scale: float, top: float, left: float, turn: str) -> Found | None:
    """Return how well all of a template that lies within an image fits there, at the best scale and place nearby."""
    found = None
    for width in (0.02, 0.005, 0.001):
        for factor in np.linspace(1 - 2 * width, 1 + 2 * width, 5):
            one = _fit(template, image, scale * factor, top, left, turn)
            if one is not None and (found is None or one.correlation > found.correlation):
                found = one
        if found is None:
            return None
        scale, top, left = found.scale, found.top, found.left
    return found


def _fit(template: Floats, image: Floats, scale: float, top: float, left: float, turn: str) -> Found | None:
    large = resized(template, scale)
    axes = list(zip(image.shape, large.shape, (top, left), strict=True))
    # the place may be off by SLACK: what is looked for keeps so far from the image's border where it can
    for slack in (SLACK, 0):
        cut = [(max(0, round(slack - at)), min(side, round(size - slack - at))) for size, side, at in axes]
        if all(last - first >= LEAST // 2 for first, last in cut):
            break
    else:
        return None
    inner = large[tuple(slice(*one) for one in cut)]
    start = [max(0, round(at) + first - SLACK) for (_, _, at), (first, _) in zip(axes, cut, strict=True)]
    window = image[tuple(slice(y, y + 2 * SLACK + size) for y, size in zip(start, inner.shape, strict=True))]
    if any(a < b for a, b in zip(window.shape, inner.shape, strict=True)):
        return None
    map_ = correlation(window, inner)
    y, x = (int(at) for at in np.unravel_index(int(map_.argmax()), map_.shape))
    same = window[y : y + inner.shape[0], x : x + inner.shape[1]]
    fine = float(np.corrcoef(details(same).ravel(), details(inner).ravel())[0, 1])
    at = start[0] + y - cut[0][0], start[1] + x - cut[1][0]
    return Found(float(map_[y, x]), fine, scale, *at, (inner.shape[0], inner.shape[1]), turn)


def pairs(templates: Sequence[Picture], images: Sequence[Picture]) -> Iterator[tuple[Picture, Picture, Found]]:
    """Yield the pairs of pictures that show the same."""
    looks, known = pieces(templates)
    with ThreadPoolExecutor() as pool:
        for image, best in zip(
            images, pool.map(lambda image: _held(templates, looks, known, image), images), strict=True
        ):
            for which, found in sorted(best.items()):
                yield templates[which], image, found


def _held(templates: Sequence[Picture], looks: Floats, known: Sequence[Piece], image: Picture) -> dict[int, Found]:
    """Return which of the templates an image holds, by their number."""
    best: dict[int, Found] = {}
    tried: Counter[int] = Counter()
    for number, seen, top, left in candidates(looks, image):
        piece = known[number]
        tried[piece.picture] += 1
        if piece.picture in best or tried[piece.picture] > TRIES:
            continue
        source = turned(templates[piece.picture].data, piece.turn)
        part = source[piece.top : piece.top + piece.side, piece.left : piece.left + piece.side]
        value, side, y, x = closely(part, image.data, seen, top, left)
        scale = side / piece.side
        if value < PROBABLE or not SCALES[0] < scale < SCALES[1]:
            continue
        found = whole(source, image.data, scale, y - scale * piece.top, x - scale * piece.left, piece.turn)
        if found is not None and found.correlation > SURE:
            best[piece.picture] = found
    return best


if __name__ == "__main__":
    main()
