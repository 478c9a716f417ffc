"""The four planes of a sensor's mosaic, shown to weights for grey as brightness and three differences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from hush.core.image import Array, Image
from hush.core.missing import fill
from hush.estimation.correlation import lags_of
from hush.pretrained.card import Card
from hush.pretrained.conditioning import PEAK, VALUES_SAMPLE, Conditioning, ends
from hush.vst.stabilizer import Stabilizer

BAYER = "BGGR"  # colours of a mosaic that is shown so, sorted
# rows of length one for R, G1, G2, B: brightness, greens less the others, red less blue, one green less the other
MOSAIC_OPPONENT = np.array(
    [[0.5, 0.5, 0.5, 0.5], [-0.5, 0.5, 0.5, -0.5], [0.5**0.5, 0, 0, -(0.5**0.5)], [0, 0.5**0.5, -(0.5**0.5), 0]],
    np.float32,
)


def is_mosaic(image: Image) -> bool:
    """Whether an image is the planes R, G1, G2 and B of a raw photograph, see `hush.io.dng`.

    Examples
    --------
    >>> is_mosaic(Image(np.zeros((4, 8, 8)), "CYX", meta={"camera": {"pattern": "RGGB"}}))
    True
    """
    pattern = (image.meta.get("camera") or {}).get("pattern")
    return image.sizes.get("C") == len(BAYER) and "".join(sorted(pattern or "")) == BAYER


@dataclass(frozen=True)
class MosaicConditioning(Conditioning):
    """How the planes of a mosaic are shown: in units of their noise, mixed by an orthogonal matrix.

    ::

        z = H (T(y) / σ),    H Hᵀ = 1

    The noise of z is white and of level one, since that of every plane is. Most of what planes have in common is in
    the first of z; the others are nearly empty, and there a network can smooth over more pixels.
    """

    @classmethod
    def of(cls, views: Sequence[Array], ways: Sequence[Stabilizer], card: Card, colours: bool) -> MosaicConditioning:
        """Look at the planes (4, Y, X) of a mosaic; those of an image are one, and `views` are its frames."""
        unit = np.array([max(way.sigma, 1e-12) for way in ways], np.float32).reshape(-1, 1, 1)
        plain = cls(card, ways, unit=unit)
        seen = np.concatenate([np.reshape(fill(view)[0], (len(ways), 1, -1)) for view in views], 2)
        seen = seen[..., :: max(1, seen.shape[2] // VALUES_SAMPLE)]
        values = plain.mixed(np.stack([way.forward(each) for way, each in zip(ways, seen, strict=True)]))[:, 0]
        low, high = np.transpose([ends(one, PEAK) for one in values])
        middle, extent = (
            np.asarray(one, np.float32).reshape(-1, 1, 1) for one in ((low + high) / 2, np.maximum(high - low, 1e-12))
        )
        lags = plain.weighed(lags_of([way.noise for way in ways]))
        return replace(plain, middle=middle, extent=extent, lags=lags).widened(views, False)

    @property
    def joint(self) -> bool:
        """Whether the network sees all planes at once: never."""
        return False

    def mixed(self, values: Array) -> Array:
        """(4, ...) as they are shown."""
        mixed: Array = np.tensordot(MOSAIC_OPPONENT, values / self.unit, 1)
        return mixed

    def unmixed(self, values: Array) -> Array:
        """Undo `mixed`."""
        back: Array = self.unit * np.tensordot(MOSAIC_OPPONENT.T, values, 1)
        return back

    def unmixed_variance(self, values: Array) -> Array:
        """The variances of `unmixed` values, of those that were shown."""
        back: Array = self.unit**2 * np.tensordot(MOSAIC_OPPONENT.T**2, values, 1)
        return back

    def weighed(self, values: Array) -> Array:
        """What holds of the planes' variances, for what is shown."""
        weighed: Array = np.tensordot(MOSAIC_OPPONENT**2, values, 1)
        return weighed
