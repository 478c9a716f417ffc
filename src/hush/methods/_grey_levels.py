"""Grey levels: values of any image as those of one whose peak is 255, and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hush.core.block_means import block_means
from hush.core.image import Array
from hush.core.missing import fill
from hush.datasets.camera import PEAK

USUAL_PEAKS = (1.0, 255.0, 65535.0)  # what white often is
REACHED = (1 / 3, 1.15)  # multiples of a usual peak between which the brightest area lies where that is the peak
MEAN_BLOCK = 8  # side of the areas whose mean tells brightness whatever the noise
BELOW_ZERO = 0.05  # of the brightest area: so far below zero the darkest may lie by chance
OFF_ZERO = 16.0  # times its extent that an image lies off zero where zero means nothing


@dataclass(frozen=True)
class GreyLevels:
    """Which values are black and white.

    Attributes
    ----------
    black, white : float
        In image units: 0 and 255 in grey levels.

    Examples
    --------
    >>> levels = GreyLevels.of([np.full((1, 16, 16), 0.8, np.float32)])
    >>> levels
    GreyLevels(black=0.0, white=1.0)
    >>> round(float(levels.into(np.float32(0.5))), 1)
    127.5
    """

    black: float = 0.0
    white: float = PEAK

    @classmethod
    def of(cls, views: Sequence[Array], peak: float | None = None) -> GreyLevels:
        """Find out which they are, from the means of small areas.

        White is 255 of 8 bits. Of other numbers it is `peak` where that is given; 1, 255 or 65535 where the brightest
        area reaches a third of it; else the brightest area. Black is 0, but the darkest area where that is negative,
        or where the whole image lies far off zero.

        Parameters
        ----------
        views : sequence of array, shape (C, Y, X)
        peak : float or None
        """
        if peak is not None:
            return cls(0.0, peak)
        if views[0].dtype == np.uint8:
            return cls()
        filled = [np.asarray(fill(np.asarray(view))[0], np.float64) for view in views]
        means = np.concatenate([block_means(view, MEAN_BLOCK).ravel() for view in filled])
        low, high = float(means.min()), float(means.max())
        every = np.concatenate([one.ravel() for one in filled])
        least, most = (float(end) for end in np.quantile(every, [1e-3, 0.999]))
        if low < -BELOW_ZERO * abs(high) or 0 < OFF_ZERO * (most - least) < least:
            return cls(min(low, least), max(high, most)) if high > low else cls(low, low + 1)
        usual = [peak for peak in USUAL_PEAKS if REACHED[0] * peak <= high <= REACHED[1] * peak]
        return cls(0.0, usual[0] if usual else high if high > 0 else 1.0)

    @property
    def own(self) -> bool:
        """Whether the image is in grey levels already."""
        return self.black == 0 and self.white == PEAK

    @property
    def unit(self) -> float:
        """What a grey level is in image units."""
        return (self.white - self.black) / PEAK

    def into(self, values: Array) -> Array:
        """Return values in grey levels, float32."""
        if self.own:
            return np.asarray(values, np.float32)
        return ((np.asarray(values, np.float64) - self.black) * (1 / self.unit)).astype(np.float32)

    def back(self, values: Array) -> Array:
        """Return grey levels in image units."""
        if self.own:
            return values
        return np.asarray(values, np.float64) * self.unit + self.black
