"""What `hush denoise` makes of real OCT and SEM images, whose noise is correlated.

    python benchmarks/instruments.py DATA

DATA holds OCT_Bioptigen and SEM_KRISS; those on which choices may be made are apart from the others. Scored against the
mean of many scans after a fit of gain and offset, peak 255.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

import numpy as np

import hush
from hush import io
from hush.core import registry
from hush.core.metrics import fit_gain

PAIRS = {  # names of noisy files and references, and which numbers
    "OCT, development": ("OCT_Bioptigen/{}_noisy.tif", "OCT_Bioptigen/{}_avg.tif", "01 03 05 07"),
    "OCT": ("OCT_Bioptigen/{}_noisy.tif", "OCT_Bioptigen/{}_avg.tif", "02 04 06 08"),
    "SEM, development": (
        "SEM_KRISS/line{}_noisy.png",
        "SEM_KRISS/line{}_ref.png",
        "003 005 006 009 010 019 024 037 038 041 044 045 046",
    ),
    "SEM": ("SEM_KRISS/line{}_noisy.png", "SEM_KRISS/line{}_ref.png", "015 016 018 023 025"),
}


def main() -> None:
    """Print a row for every kind of image."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    folder = parser.parse_args().data
    warnings.simplefilter("ignore", hush.HushWarning)
    print("| images | n | noisy | hush | least gain | certain share |\n" + "| --- " * 6 + "|")
    for name, (noisy, reference, numbers) in PAIRS.items():
        rows = []
        for number in numbers.split():
            image = io.read(folder / noisy.format(number))
            truth = io.read(folder / reference.format(number)).data.astype(float)
            result = registry.get("methods", "auto")().fit(image).run(image)
            scores = (hush.psnr(fit_gain(one, truth)[0], truth, 255) for one in (image, result.image))
            rows.append((*scores, result.info["share"]))
        before, after, share = np.transpose(rows)
        said = f"{before.mean():.2f} | {after.mean():.2f} | {(after - before).min():+.2f} | {np.median(share):.2f}"
        print(f"| {name} | {len(rows)} | {said} |", flush=True)


if __name__ == "__main__":
    main()
