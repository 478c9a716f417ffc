"""Make README's picture: a piece of the Hubble deep field before and after hush."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import skimage
from PIL import Image as Pillow

import hush

HUBBLE = Path(skimage.__file__).parent / "data" / "hubble_deep_field.jpg"


def picture(path: Path, method: hush.Noise2Void) -> None:
    """Denoise the whole image, then write a piece of it, twice as large, before and after."""
    noisy = hush.read(HUBBLE)
    clean = method.fit(noisy).denoise(noisy)
    pieces = [image.crop(slice(290, 530), slice(370, 690)).data for image in (noisy, clean)]
    pair = np.concatenate([pieces[0], np.full((240, 4, 3), 255, np.uint8), pieces[1]], axis=1)
    Pillow.fromarray(pair).resize((pair.shape[1] * 2, pair.shape[0] * 2), Pillow.Resampling.NEAREST).save(path)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path(__file__).parents[1] / "docs/images/before_after.png")
    parser.add_argument("--steps", type=int, help="instead of 20 seconds")
    given = parser.parse_args()
    picture(given.output, hush.Noise2Void(steps=given.steps))
