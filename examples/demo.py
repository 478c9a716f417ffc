"""Denoise a real noisy image and say where the picture and the page are: what `make demo` runs."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

import skimage

from hush.cli import main

ROOT = Path(__file__).resolve().parents[1]
MICROGRAPH = ROOT.parent / "shared" / "data" / "FMD" / "raw" / "fish.tif"
HUBBLE = Path(skimage.__file__).parent / "data" / "hubble_deep_field.jpg"


def demo(folder: Path, seconds: float) -> int:
    """Copy the image into a folder, denoise it there, write its page."""
    if MICROGRAPH.exists():
        source, what = MICROGRAPH, "a confocal micrograph of a zebrafish embryo, one exposure (FMD data set)"
    else:
        source, what = HUBBLE, "the Hubble deep field, a photograph with its sensor noise (NASA, from scikit-image)"
    folder.mkdir(parents=True, exist_ok=True)
    noisy = folder / source.name
    shutil.copyfile(source, noisy)
    clean, page = noisy.with_name(f"{noisy.stem}_clean{noisy.suffix}"), folder / "page.html"
    print(f"{source.name} is {what}")
    words = ["denoise", noisy, "-o", clean, "--report", page, "--seconds", seconds, "--overwrite"]
    code = main([str(word) for word in words])
    if code == 0:
        print(f"before   {noisy}\nafter    {clean}\nthe page {page}")
    return code


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=ROOT / "demo")
    parser.add_argument("--seconds", type=float, default=20)
    given = parser.parse_args()
    sys.exit(demo(given.folder, given.seconds))
