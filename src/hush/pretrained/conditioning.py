"""What a shipped network is shown of an image: stabilised values in its own range, and planes that tell the noise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, Self

import numpy as np
from scipy import ndimage

from hush.core.color import OPPONENT
from hush.core.image import Array
from hush.core.missing import fill
from hush.estimation.correlation import lags_of
from hush.estimation.saturation import flat
from hush.pretrained.card import Card
from hush.quality import risk
from hush.vst.stabilizer import BLUR, Stabilizer

CUT = 2.5  # deviations from the largest value that pixels can have, within which noise is cut off
PEAK = 255.0  # levels of the weights are said of it
LOW, HIGH_PERCENTILE = 0.5, 99.5  # percentiles that are taken for black and white
PLANES_LOOKED_AT = 8  # planes in which they are looked for
VALUES_SAMPLE = 1 << 18  # pixels of them
SPOT_BLUR = 1.0  # pixels over which a spot is averaged before the range is widened for it
WIDEST_RANGE = 25.0  # times the noise's level that the range is widened to
SURELY_BEYOND = 3.0  # times that level beyond the range where values are no noise
WAVES = 3  # frequencies along Y, along X and over colours at which a network's derivative is read
TURN = 0.42  # radians a pixel by which they lie off zero


def dark(values: Array, ways: Sequence[Stabilizer]) -> Array:
    """Return by how much the noise of stabilised (C, Y, X) is below its level, where photons are few: a share of it."""
    each = [1 - way.deviation(plane) / max(way.sigma, 1e-12) for way, plane in zip(ways, values, strict=True)]
    return np.stack(each)


def filled(values: Array) -> tuple[Array, Array]:
    """Missing values of (C, Y, X) filled from around, and where they are: 1, elsewhere 0."""
    gone: Array = np.isnan(values)
    if not gone.any():
        return values, np.zeros(values.shape, np.float32)
    return np.asarray(np.where(gone, risk.around(values, gone), values), np.float32), np.asarray(gone, np.float32)


def noisy_where(values: Array, ways: Sequence[Stabilizer]) -> Array:
    """Where stabilised (C, Y, X) have all their noise: not in areas of one value, nor where it was cut off."""
    good = np.ones(values.shape, bool)
    for each, plane, way in zip(good, values, ways, strict=True):
        area = flat(plane)
        if area is not None:
            each &= ~area
        ends = [way.noise.clipped_high]
        if not way.stabilises:  # at a low count there is none quite often
            ends.append(way.noise.clipped_low)
        around = ndimage.gaussian_filter(plane, BLUR)
        for end in ends:
            if end is not None:
                each &= np.abs(around - float(way.forward(np.float32(end)))) > CUT * way.sigma
    return good


def waves(channels: int, high: int, wide: int) -> Iterator[Array]:
    """Cosines and sines (C, Y, X) at a lattice of frequencies: of two pixels nearer than three they say nothing."""
    c, y, x = (np.arange(size, dtype=np.float32) for size in (channels, high, wide))
    steps = 2 * np.pi / WAVES * np.arange(WAVES) + TURN
    for down, across, colour in product(steps, steps, 2 * np.pi / channels * np.arange(channels)):
        phase = colour * c[:, None, None] + down * y[:, None] + across * x
        yield from (np.cos(phase).astype(np.float32), np.sin(phase).astype(np.float32))


def _measured(view: Array) -> Array:
    """A view in float32, its missing values filled."""
    return np.asarray(fill(view)[0], np.float32)


def _noisy(ways: Sequence[Stabilizer]) -> bool:
    """Whether all channels have noise besides impulses: of others nothing says what is far beyond it."""
    return all(way.sigma > 0 and way.noise.kind != "none" for way in ways)


def ends(values: Array, most: float) -> tuple[float, float]:
    """Black and white of values: where they lie further apart than `most`, of the range of that width with most values.

    Examples
    --------
    >>> ends(np.array([0.0, 1.0, 2.0, 3.0, 900.0]), 10.0)
    (0.0, 10.0)
    """
    low, high = (float(end) for end in np.percentile(values, [LOW, HIGH_PERCENTILE]))
    if high - low <= most:
        return low, high
    ordered = np.sort(values)
    within = np.searchsorted(ordered, ordered + most, "right") - np.arange(len(ordered))
    begin = float(ordered[int(within.argmax())])
    return begin, begin + most


def _unit(seen: Array, values: Array) -> Array:
    """What in stabilised (C, 1, N) is as much as 1 is in the image, (C, 1, 1)."""
    before, after = (np.ptp(np.percentile(each, [LOW, HIGH_PERCENTILE], axis=(1, 2)), 0) for each in (seen, values))
    unit: Array = (np.maximum(after, 1e-12) / np.maximum(before, 1e-12)).reshape(-1, 1, 1).astype(np.float32)
    return unit


@dataclass(frozen=True)
class Conditioning:
    """How a channel's planes are shown: what is known of all of them before they are cut into tiles.

    Attributes
    ----------
    card : Card
        Of the weights.
    ways : sequence of Stabilizer
    opponents : bool
        Whether colours are shown as brightness and two differences, each by itself: to weights that know only grey.
    unit : array, shape (C, 1, 1)
        What colours are divided by before they are mixed, where the variance of some had to be made equal and that of
        others not: the first are in units of their noise, the others of the image.
    middle, extent : array, shape (C, 1, 1)
        Of the values that are shown.
    lags : array, shape (C, 2)
        Correlation of neighbours along Y and along X.
    """

    card: Card
    ways: Sequence[Stabilizer]
    opponents: bool = False
    unit: Any = 1.0
    middle: Any = 0.0
    extent: Any = 1.0
    lags: Any = 0.0

    @classmethod
    def of(cls, views: Sequence[Array], ways: Sequence[Stabilizer], card: Card, colours: bool) -> Conditioning:
        """Look at some planes (C, Y, X) of a channel, whose C are colours or not."""
        plain = cls(card, ways, colours and len(ways) == 3 and card.channels == 1)
        looked_at = np.unique(np.linspace(0, len(views) - 1, PLANES_LOOKED_AT).astype(int))
        some = [_measured(views[k]) for k in looked_at]
        seen = np.concatenate([np.reshape(view, (len(ways), 1, -1)) for view in some], 2)
        seen = seen[..., :: max(1, seen.shape[2] // VALUES_SAMPLE)]
        values = np.stack([way.forward(each) for way, each in zip(ways, seen, strict=True)])
        alike = len({way.stabilises for way in ways}) == 1
        if plain.opponents and not alike:
            plain = replace(plain, unit=_unit(seen, values))
        values = plain.mixed(values)[:, 0]
        level = plain.level(np.array([way.sigma for way in ways])).ravel()
        most = PEAK * level if _noisy(ways) else np.full_like(level, np.inf)
        low, high = np.transpose([ends(one, float(width)) for one, width in zip(values, most, strict=True)])
        extent = np.maximum(high - low, 1e-12)
        together = plain.opponents or (plain.joint and alike)
        if together:
            extent = np.full_like(extent, extent.max())
        middle, extent = (np.asarray(one, np.float32).reshape(-1, 1, 1) for one in ((low + high) / 2, extent))
        lags = plain.weighed(lags_of([way.noise for way in ways]))
        return replace(plain, middle=middle, extent=extent, lags=lags).widened(views, together)

    def widened(self, views: Sequence[Array], together: bool) -> Self:
        """Widen the range to hold small bright spots too, of which percentiles know nothing: `together` one for all.

        A network makes values beyond its range weaker. A range that is many times the noise would hide that from it.
        """
        low, high = np.full_like(self.middle, np.inf), np.full_like(self.middle, -np.inf)
        for view in views:
            pairs = zip(self.ways, _measured(view), strict=True)
            seen = self.mixed(np.stack([way.forward(way.repair(plane)) for way, plane in pairs]))
            blurred = ndimage.gaussian_filter(seen, (0, SPOT_BLUR, SPOT_BLUR))
            low = np.minimum(low, blurred.min((1, 2), keepdims=True))
            high = np.maximum(high, blurred.max((1, 2), keepdims=True))
        bottom, top = self.middle - self.extent / 2, self.middle + self.extent / 2
        under, over = np.maximum(bottom - low, 0), np.maximum(high - top, 0)
        most = WIDEST_RANGE * self.level(np.array([max(way.sigma, 1e-12) for way in self.ways]))
        share = np.clip((most - self.extent) / np.maximum(under + over, 1e-12), 0, 1)
        bottom, top = bottom - share * under, top + share * over
        extent = top - bottom
        if together:
            extent = np.full_like(extent, extent.max())
        return replace(self, middle=((bottom + top) / 2).astype(np.float32), extent=extent.astype(np.float32))

    @classmethod
    def untold(cls, ways: Sequence[Stabilizer], card: Card, black: float, white: float) -> Conditioning:
        """Tell nothing of the noise of values from `black` to `white`, which are not stabilised."""
        middle, extent = (np.full((len(ways), 1, 1), at, np.float32) for at in ((black + white) / 2, white - black))
        return cls(card, ways, middle=middle, extent=extent)

    @property
    def joint(self) -> bool:
        """Whether the network sees all channels at once."""
        return self.card.channels == len(self.ways)

    def mixed(self, values: Array) -> Array:
        """(C, ...) as they are shown."""
        mixed: Array = np.tensordot(OPPONENT, values / self.unit, 1) if self.opponents else values
        return mixed

    def unmixed(self, values: Array) -> Array:
        """Undo `mixed`."""
        back: Array = self.unit * np.tensordot(OPPONENT.T, values, 1) if self.opponents else values
        return back

    def unmixed_variance(self, values: Array) -> Array:
        """The variances of `unmixed` values, of those that were shown."""
        back: Array = self.unit**2 * np.tensordot(OPPONENT.T**2, values, 1) if self.opponents else values
        return back

    def weighed(self, values: Array) -> Array:
        """What holds of (C, ...) channels' variances, for what is shown."""
        weighed: Array = np.tensordot(OPPONENT**2, values, 1) if self.opponents else values
        return weighed

    def level(self, sigma: Array) -> Array:
        """Levels (C,) of the noise, (C, 1, 1) for what is shown."""
        each = np.asarray(sigma, np.float32).reshape(-1, 1, 1) / self.unit
        level: Array = np.sqrt(self.weighed(each**2))
        return level

    def range(self, level: Array) -> Array:
        """What becomes 1, (C, 1, 1): noise stronger than any that the network has seen makes it larger."""
        if self.card.sigma is None:
            return self.extent
        return np.maximum(self.extent, level * PEAK / self.card.sigma[1])

    def beyond(self, values: Array, level: Array) -> Array:
        """What of (C, Y, X), as shown, is so far beyond the range that it is no noise: no network sees it, it is kept.

        ::

            r(z) = z - clip(z, m - e/2 - 3σ, m + e/2 + 3σ)

        m is the `middle`, e the `extent`, σ the level of the noise. A network sees z - r(z), and gets r(z) back after.
        It is zero where impulses are all the noise there is.
        """
        values, _ = filled(values)
        if not _noisy(self.ways):
            return np.zeros_like(values)
        half, off = self.extent / 2 + SURELY_BEYOND * level, self.mixed(values) - self.middle
        over: Array = off - np.clip(off, -half, half)
        return over

    def planes(self, values: Array, level: Array) -> Array:
        """What the network sees of (C, Y, X) with noise of a level (C, 1, 1): (B, its planes, Y, X)."""
        kept, (values, missing) = self.beyond(values, level), filled(values)
        extent = self.range(level)
        each = {"values": (self.mixed(values) - kept - self.middle) / extent}
        if "level" in self.card.inputs.names:
            each["level"] = np.broadcast_to(level / extent, values.shape)
        if self.card.inputs.camera:
            each["deficit"] = self.weighed(dark(values, self.ways))
            lags = [np.broadcast_to(lag.reshape(-1, 1, 1), values.shape) for lag in self.lags.T]
            rest = {"missing": self.weighed(missing), "lag_y": lags[0], "lag_x": lags[1]}
            each |= {name: one.mean(0, keepdims=True) if self.joint else one for name, one in rest.items()}
        planes = self.card.inputs.ordered(**each)
        shown: Array = np.concatenate(planes)[None] if self.joint else np.stack(planes, 1)
        return shown.astype(np.float32)
