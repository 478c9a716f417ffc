"""What a mixture of images is good for: weights from photographs alone, and from all that `gaussian-fast` learns from.

    python benchmarks/mixture.py DATA [--steps 3000]

Two short trainings that differ in nothing but their images; then W2S 006-008, one exposure each, by the real noise that
is in them, and photographs with noise of a known level. Nothing but development images is scored.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

import numpy as np

from hush import io
from hush.core import metrics, registry
from hush.pretrained.train import pretrain, recipes

PHOTOGRAPHS = ("Train400", "BSDS500", "ImageNet")
BLOCK = "[[data]]\n"


def photographs(recipe: str) -> str:
    """A recipe's text, of whose data only the photographs are left."""
    head, *blocks = recipe.split(BLOCK)
    last, scores = blocks[-1].split("[[score]]", 1)
    kept = [block for block in (*blocks[:-1], last) if block.startswith(tuple(f'name = "{one}' for one in PHOTOGRAPHS))]
    return head + "".join(BLOCK + block for block in kept) + "[[score]]" + scores


def real(name: str, data: Path) -> list[float]:
    """PSNR of W2S 006-008, three dyes each, peak 255, after a fit of gain and offset."""
    found = []
    for clean_file in sorted((data / "W2S/avg400").glob("target_avg400_00[678]_*.tif")):
        noisy = io.read(data / "W2S/avg1" / clean_file.name.replace("target_avg400", "input_avg1"))
        clean = np.asarray(io.read(clean_file).data, np.float32)
        model = registry.get("methods", "pretrained")(weights=name).fit(noisy)
        result = np.asarray(model.run(noisy).image.data, np.float32)
        found.append(metrics.psnr(metrics.fit_gain(result, clean)[0], clean, 255))
    return found


def main(data: Path, steps: int) -> None:
    """Train both, and print a line each."""
    recipe = recipes()["gaussian-fast"].read_text("utf-8")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["HUSH_WEIGHTS"] = folder
        for name, text in (("photographs", photographs(recipe)), ("mixture", recipe)):
            file = Path(folder, f"{name}.toml")
            file.write_text(text, "utf-8")
            card = pretrain(str(file), data, Path(folder, f"{name}.safetensors"), steps=steps)
            known = ", ".join(f"{row['name'][:8]} {row['noise'][15:]}: {row['psnr']:.2f}" for row in card.scores)
            print(f"{name}: {known}; W2S 006-008, real noise: {np.mean(real(name, data)):.2f} dB", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--steps", type=int, default=3000)
    main(**vars(parser.parse_args()))
