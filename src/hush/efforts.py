"""How long methods take, and how much time an effort has for them."""

from __future__ import annotations

import os
from typing import Any

from hush import weights
from hush.image import Image

BUDGET = {"fast": 2.0, "balanced": 20.0, "thorough": 180.0}  # seconds for a million pixels, on two cores
LEARNING = {"fast": 8.0, "balanced": 8.0, "thorough": 60.0}  # seconds of a training among them
JUDGED = 4.0  # seconds more until what was trained is judged
BM3D = 14.0  # seconds for a million pixels, on two cores
TURNS, HEAVY = 2.7, 1.7  # the same of the network on eight turned images; times as long with weights of more arithmetic
LEARNED = 5.0  # and of one that was trained on the image


def budget(effort: str, image: Image, doubted: bool = False) -> float:
    """Return the seconds for an image; where there is no haste a result that is doubted is worth twice as many."""
    twice = 2 if doubted and effort != "fast" else 1
    return float(twice * BUDGET[effort] * max(1.0, image.data.size / 1e6))


def seconds(effort: str, method: str, settings: dict[str, Any], image: Image) -> float:
    """Return about how long a method takes for the whole image, and for its trial."""
    million = image.data.size / 1e6 * 2 / (os.cpu_count() or 2)
    if method == "bm3d":
        return float(BM3D * million)
    if method == "pretrained":
        best = settings.get("best") or settings.get("weights", "").endswith(weights.BEST)
        return float((HEAVY if best else 1.0) * (TURNS if settings.get("tta") else TURNS / 8) * million)
    return float(LEARNING[effort] + JUDGED + LEARNED * million)
