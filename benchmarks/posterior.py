"""How near SSDN's posterior is to the truth, beside its own prior mean and a network trained by squared error.

    python benchmarks/posterior.py DATA [--seeds 3] [--steps 300]

DATA holds ChestXray_NIH_1024: crops of 512, Poisson noise of 25 photons, trained on 32 films, tested on five of the
last ten. The prior is the mean and the standard deviation that the network trained by likelihood gives of a pixel's
surroundings; the posterior adds the pixel's own value; `mean` is another network, trained by squared error.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hush import io
from hush.core.metrics import psnr
from hush.methods._ssdn_likelihood import prior_of
from hush.methods.ssdn import SSDN
from hush.noise import parse

Floats = NDArray[np.float32]
NOISE = "poisson:photons=25"
CROP, TRAINED, TESTED = 512, 32, 5


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=300)
    arguments = parser.parse_args()
    files = sorted((arguments.data / "ChestXray_NIH_1024").glob("*.png"))[: TRAINED + TESTED]
    clean = [cropped(io.read(file).data) for file in files]
    model = parse(NOISE).draw(np.random.default_rng(0))
    noisy = [model.sample(one, np.random.default_rng(100 + k)).astype(np.float32) for k, one in enumerate(clean)]
    heads = ["seed", "mean", "prior", "posterior", "prior inside one deviation", "posterior inside one"]
    print(f"| {' | '.join(heads)} | prior's share of the variance |\n|" + " --- |" * 7)
    for seed in range(arguments.seeds):
        settings: dict[str, Any] = {"steps": arguments.steps, "batch": 8, "noise": NOISE, "seed": seed}
        mean, whole = (SSDN(covariance=kind, **settings).fit(noisy[:TRAINED]) for kind in ("mean", "full"))
        rows: list[list[float]] = []
        for one, truth in zip(noisy[TRAINED:], clean[TRAINED:], strict=True):
            result = whole.run(one)
            before, spread = prior(whole, one)
            after, known = np.asarray(result.image.data), np.asarray(result.std.data if result.std else None)
            scores = [psnr(each, truth, 255) for each in (mean.run(one).image.data, before, after)]
            inside = [float(np.mean(np.abs(x - truth) < s)) for x, s in ((before, spread), (after, known))]
            own = float(np.mean(spread**2))
            rows.append([*scores, *inside, own / (own + float(np.mean(model.moments(truth)[1])))])
        means = np.mean(rows, 0)
        figures = [f"{value:.2f}" for value in means[:3]] + [f"{value:.1%}" for value in means[3:]]
        print(f"| {seed} | {' | '.join(figures)} |", flush=True)


def cropped(image: Any) -> Floats:
    """Return the middle of a grey image."""
    y, x = (side // 2 - CROP // 2 for side in image.shape[:2])
    return np.asarray(image[y : y + CROP, x : x + CROP], np.float32)


def prior(model: SSDN, noisy: Floats) -> tuple[Floats, Floats]:
    """Return mean and standard deviation of what the surroundings tell of every pixel."""
    net, scale = model.nets_[0], model.scales_[0]
    assert net is not None
    x = torch.from_numpy(scale.normalise(noisy[None]))[None]
    with torch.inference_mode():
        found = prior_of(net(x), x, scale, model.covariance)
    mean, variance = found.mean[0, ..., 0], found.covariance[0, ..., 0, 0]
    return (found.unit * mean).numpy(), (found.unit * variance.sqrt()).numpy()


if __name__ == "__main__":
    main()
