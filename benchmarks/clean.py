"""What `hush denoise` with nothing said makes of images that are clean: how many come back as they were.

    python benchmarks/clean.py DATA

DATA holds Set12 and BSD68 (grey photographs), PolyU_cropped (colour, means of many shots), FMD and W2S (means of 50 and
400 exposures). Of those that were changed: how far from what went in, as PSNR with the image's range as its peak.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

import numpy as np

import hush
from hush import io

SETS = {
    "Set12": "Set12/*.png",
    "BSD68": "BSD68/*.png",
    "PolyU, means": "PolyU_cropped/*_mean.JPG",
    "FMD, means of 50": "FMD/gt/*.tif",
    "W2S, means of 400": "W2S/avg400/*.tif",
}


def main() -> None:
    """Print a table, a row for each set of images."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    folder = parser.parse_args().data
    warnings.simplefilter("ignore", hush.HushWarning)
    print("| images | n | as they were | the others, at least | in the mean |\n| --- | --- | --- | --- | --- |")
    for name, files in SETS.items():
        images = [io.read(file) for file in sorted(folder.glob(files))]
        if not images:
            raise SystemExit(f"no file {files} in {folder}")
        after = [hush.denoise(image).data for image in images]
        pairs = [(image.data, clean) for image, clean in zip(images, after, strict=True)]
        moved = [
            hush.psnr(clean, before, float(np.ptp(before)))
            for before, clean in pairs
            if clean.tobytes() != before.tobytes()
        ]
        told = f"{min(moved):.1f} dB | {np.mean(moved):.1f} dB" if moved else "– | –"
        print(f"| {name} | {len(pairs)} | {len(pairs) - len(moved)} | {told} |", flush=True)


if __name__ == "__main__":
    main()
