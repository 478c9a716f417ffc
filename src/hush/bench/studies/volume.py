"""Study: a volume denoised by itself, and the bias of a magnitude's noise."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from hush.bench.tables import groups
from hush.core import registry
from hush.core.errors import HushError
from hush.core.image import Image
from hush.datasets.recipes import Item
from hush.noise import parse
from hush.noise.rician import Rician

FOREGROUND = 0.05  # of the peak: brighter is not background


Row = dict[str, Any]


def row(item: Item, method: Row, recipe: Row) -> Row:
    """Denoise a volume by itself, with and without taking off the bias of a magnitude's noise."""
    settings = dict(method["settings"])
    begun = time.perf_counter()
    corrected = settings.pop("correct", False)
    clean = item.noisy
    if "name" in method:
        image = Image(item.noisy, "ZYX")
        clean = registry.get("methods", method["name"])(**settings, seed=item.seed).fit([image]).denoise(image).data
    if corrected:
        model = parse(item.noise).draw(np.random.default_rng(0))
        if not isinstance(model, Rician):
            raise HushError(f"there is a bias to correct in Rician noise, not in {item.noise}")
        clean = model.correct(clean)
    seconds = time.perf_counter() - begun
    inside = item.clean > FOREGROUND * item.peak
    error = np.square(clean - item.clean)
    scores = [float(10 * np.log10(item.peak**2 / values.mean())) for values in (error, error[inside])]
    return {"psnr": scores[0], "psnr_inside": scores[1], "bias": float((clean - item.clean).mean()),
            "bias_outside": float((clean - item.clean)[~inside].mean()), "seconds": round(seconds, 2)}  # fmt: skip


def table(rows: Sequence[Row], recipe: Row) -> str:
    """PSNR of the whole volume and of the foreground, and the mean error."""
    lines = ["| data | noise | method | n | PSNR | PSNR of the foreground | mean error | in the background | seconds |",
             "| --- " * 9 + "|"]  # fmt: skip
    for group in groups(rows, "data", "noise", "method"):
        names = ("psnr", "psnr_inside", "bias", "bias_outside", "seconds")
        one, inside, bias, outside, seconds = (np.mean([row[name] for row in group]) for name in names)
        lines.append(
            f"| {group[0]['data']} | {group[0]['noise']} | {group[0]['method']} | {len(group)} | {one:.2f} | "
            f"{inside:.2f} | {bias:+.2f} | {outside:+.2f} | {seconds:.3g} |"
        )
    return "\n".join(lines)
