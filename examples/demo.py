"""Denoise a real image and a simulated one, and print both gains: what `make demo` runs."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

import numpy as np
import skimage

import hush
from hush.cli import main
from hush.core.metrics import fit_gain
from hush.datasets.synthetic import epithelium
from hush.noise import parse

ROOT = Path(__file__).resolve().parents[1]
FMD = ROOT.parent / "shared" / "data" / "FMD"
HUBBLE = Path(skimage.__file__).parent / "data" / "hubble_deep_field.jpg"
SIDE = 16  # of the blocks in which noise is measured where nobody knows the truth
QUIET = 0.1  # share of them that are flattest


def gain_of(noisy: Path, clean: Path, truth: Path, fitted: bool) -> str:
    """Say how much nearer the truth the result is."""
    images = [np.asarray(hush.read(path).data, np.float64) for path in (noisy, clean, truth)]
    before, after = (hush.psnr(image, images[2], peak=255) for image in images[:2])
    text = f"{after - before:+.1f} dB ({before:.1f} before, {after:.1f} after)"
    if fitted:
        before, after = (hush.psnr(fit_gain(image, images[2])[0], images[2], peak=255) for image in images[:2])
        text += f"; after a gain-and-offset fit {after - before:+.1f} dB ({before:.1f}, {after:.1f})"
    return text


def gain_where_flat(noisy: Path, clean: Path) -> str:
    """Say how much weaker the noise is where the result is flattest: all that can be measured without the truth."""
    images = [np.asarray(hush.read(path).data, np.float64) for path in (noisy, clean)]
    grey = [image.mean(-1) if image.ndim == 3 else image for image in images]
    size = [side // SIDE * SIDE for side in grey[0].shape]
    blocks = [
        image[: size[0], : size[1]].reshape(size[0] // SIDE, SIDE, size[1] // SIDE, SIDE).std((1, 3)).ravel()
        for image in grey
    ]
    flat = np.argsort(blocks[1])[: max(1, int(QUIET * len(blocks[1])))]
    before, after = (float(np.sqrt(np.mean(block[flat] ** 2))) for block in blocks)
    return (
        f"noise of {before:.1f} of 255 before and {after:.1f} after in the flattest parts; nobody has the clean image"
    )


def denoise(noisy: Path) -> tuple[int, Path]:
    """Denoise a file beside itself, with a page."""
    clean, page = noisy.with_name(f"{noisy.stem}_clean{noisy.suffix}"), noisy.with_suffix(".html")
    code = main(["denoise", str(noisy), "-o", str(clean), "--report", str(page), "--overwrite", "--quiet"])
    return code, clean


def said(what: str, noisy: Path, clean: Path, gain: str) -> None:
    """Print what was done, the gain, and where everything is."""
    print(f"{noisy.name}: {what}")
    print(f"  gain    {gain}")
    print(f"  before  {noisy}\n  after   {clean}\n  page    {noisy.with_suffix('.html')}")


def real(folder: Path, reference: Path = FMD) -> int:
    """Denoise a micrograph, where the research data are, or else the Hubble deep field."""
    source = reference / "raw" / "fish.tif"
    known = source.exists()
    noisy = folder / (source if known else HUBBLE).name
    shutil.copyfile(source if known else HUBBLE, noisy)
    code, clean = denoise(noisy)
    if code:
        return code
    if known:
        what = "real, a zebrafish embryo, confocal, one exposure (FMD), against the mean of 50"
        said(what, noisy, clean, gain_of(noisy, clean, reference / "gt" / "fish.tif", fitted=True))
    else:
        what = "real, the Hubble deep field (NASA, from scikit-image)"
        said(what, noisy, clean, gain_where_flat(noisy, clean))
    return 0


def simulated(folder: Path, size: int = 256) -> int:
    """Denoise simulated cells with at most ten photons per pixel, whose truth is known."""
    noisy, truth = folder / "cells.tif", folder / "cells_truth.tif"
    clean = hush.Image(epithelium(size, seed=1).clip(0, 255).astype(np.float32), "YX")
    hush.write(truth, clean, overwrite=True)
    hush.write(noisy, hush.add_noise(clean, parse("poisson:photons=10"), seed=0), overwrite=True)
    code, result = denoise(noisy)
    if code == 0:
        what = "simulated cells, at most ten photons per pixel, against the truth"
        said(what, noisy, result, gain_of(noisy, result, truth, fitted=False))
    return code


def demo(folder: Path) -> int:
    """Denoise both into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    return real(folder) or simulated(folder)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=ROOT / "demo")
    sys.exit(demo(parser.parse_args().folder))
