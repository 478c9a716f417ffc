"""What several tests need that is no fixture."""

from __future__ import annotations

from typing import Any

import numpy as np
from skimage import data as pictures

from hush.noise import parse

data: Any = pictures  # none of its functions says what it returns


def waves(side: int) -> Any:
    """A smooth plane of about 50 to 170, float64."""
    y, x = np.mgrid[:side, :side]
    return 110 + 60 * np.sin(x / 25) * np.cos(y / 31)


def noisy(clean: np.ndarray, text: str, seed: int = 0) -> np.ndarray:
    """Draw noise of a notation on a plane (Y, X) or on colours (Y, X, S), float32."""
    rng = np.random.default_rng(seed)
    planes = np.moveaxis(clean, -1, 0) if clean.ndim == 3 else clean[None]
    drawn = parse(text).draw(rng).sample(planes.astype(np.float64), rng)
    return np.asarray(np.moveaxis(drawn, 0, -1) if clean.ndim == 3 else drawn[0], np.float32)
