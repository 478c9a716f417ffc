"""NoiseReport: what noise was found, in numbers, in a sentence, and which method it calls for."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hush.core.findings import Finding
from hush.core.units import Units
from hush.noise import NoiseModel
from hush.noise.gaussian import Gaussian
from hush.noise.poisson_gaussian import PoissonGaussian
from hush.noise.rician import Rician
from hush.noise.speckle import Speckle

MANY = 0.005  # share of impulses that are removed from an image without other noise


@dataclass(frozen=True)
class ChannelNoise:
    """What was found in one channel; amplitudes in image units.

    Attributes
    ----------
    kind : str
        ``none``, ``gaussian``, ``poisson``, ``poisson_gaussian``, ``speckle`` or ``rician``.
    gain, offset, sigma : float
        Of the model; gain 0 for noise that is the same at all brightnesses.
    apart : bool
        Whether offset and read noise are known one by one; where only the line is, they are one way to have it.
    a, b : float
        The variance as a line of brightness: a x + b.
    interval : dict
        For ``a`` and ``sigma`` (at `middle`) what holds the true value in about 95 of 100 images.
    white : bool
        Whether neighbours are independent.
    lags : dict
        Correlation at ``"rows,columns"`` of distance.
    mask : str or None
        For structN2V: the neighbours that share noise.
    impulse_fraction : float
        Share of single pixels that fit neither their neighbours nor the noise.
    impulse_values : tuple of float
        The values they have, when they have but one or two.
    impulses_stay : bool
        Whether they may be points of the picture: all bright or all dark, of many values. They come back as they were.
    clipped_low, clipped_high : float or None
        Values at which the image is cut off.
    quantisation : float or None
        Step between values.
    stripes : dict
        Amplitude of offsets of ``rows`` and ``columns``, those that are there; the noise is what is left without them.
    chequerboard : float
        Amplitude of a chequerboard, 0 when there is none.
    middle : float
        The brightness at which the level is known best.
    points : tuple
        (brightness, variance, weight in the fit) of the flat blocks, for the plot.
    flat : float
        Share of blocks that are flat; where it is small, texture may have been taken for noise.
    given : bool
        Whether the user said what noise it is.
    doubt : Finding or None
        Why what was given or found may be wrong; none where nothing speaks against it.
    positive : bool
        Whether no value is below zero, nor cut off there: speckle then follows a gamma law.
    binary : bool
        Whether a pixel counted one photon or none: of the variance p (1 - p).
    learned : bool
        Whether the interval of the level is a learned one: it is honest where blocks that seem flat are texture.
    """

    kind: str
    gain: float
    offset: float
    sigma: float
    a: float
    b: float
    interval: dict[str, tuple[float, float]] = field(default_factory=dict)
    white: bool = True
    lags: dict[str, float] = field(default_factory=dict)
    mask: str | None = None
    impulse_fraction: float = 0.0
    impulse_values: tuple[float, ...] = ()
    impulses_stay: bool = False
    clipped_low: float | None = None
    clipped_high: float | None = None
    quantisation: float | None = None
    stripes: dict[str, float] = field(default_factory=dict)
    chequerboard: float = 0.0
    middle: float = 0.0
    points: tuple[tuple[float, float, float], ...] = ()
    flat: float = 0.0
    given: bool = False
    doubt: Finding | None = None
    apart: bool = False
    positive: bool = False
    binary: bool = False
    learned: bool = False

    @property
    def model(self) -> NoiseModel | None:
        """The pixelwise noise as a model, None for none."""
        if self.kind == "none":
            return None
        if self.kind == "rician":
            return Rician(self.sigma)
        if self.kind == "speckle":
            return Speckle(self.sigma)
        return self.light if self.gain > 0 else Gaussian(self.sigma)

    @property
    def light(self) -> PoissonGaussian:
        """The noise of photons and of reading them out: as known, or by the line."""
        if self.a > 0 and not self.apart:
            return PoissonGaussian.from_line(self.a, self.b)
        return PoissonGaussian(self.gain, self.offset, self.sigma)

    @property
    def impulses_removed(self) -> float:
        """Share of impulses that are removed."""
        return 0.0 if self.impulses_stay else self.impulse_fraction

    @property
    def photons(self) -> bool:
        """Whether single photons were counted, and few of them: its values are whole numbers of photons."""
        return self.kind == "poisson" and self.gain == self.quantisation

    @property
    def level(self) -> float:
        """Standard deviation at the middle brightness, in image units."""
        return float(np.sqrt(max(self.a * self.middle + self.b, 0.0)))

    def in_units(self, units: Units) -> ChannelNoise:
        """Return the same noise of the image in other units."""
        if units.own:
            return self
        offset, factor = float(units.offset), units.factor

        def place(value: float) -> float:
            return (value - offset) / factor

        def ends(values: tuple[float, float]) -> tuple[float, float]:
            return values[0] / factor, values[1] / factor

        noise = self
        if offset and self.kind in ("speckle", "rician"):  # so far off zero they are of one level
            noise = dataclasses.replace(self, kind="gaussian", sigma=self.level, a=0.0, b=self.level**2)
        return dataclasses.replace(
            noise,
            gain=noise.gain / factor,
            offset=place(noise.offset) if noise.gain else 0.0,
            sigma=noise.sigma if noise.kind == "speckle" else noise.sigma / factor,
            a=noise.a / factor,
            b=(noise.b / factor + noise.a * (offset / factor)) / factor,
            interval={name: ends(pair) for name, pair in noise.interval.items()},
            impulse_values=tuple(map(place, noise.impulse_values)),
            clipped_low=None if noise.clipped_low is None else place(noise.clipped_low),
            clipped_high=None if noise.clipped_high is None else place(noise.clipped_high),
            quantisation=None if noise.quantisation is None else noise.quantisation / factor,
            stripes={axis: value / factor for axis, value in noise.stripes.items()},
            chequerboard=noise.chequerboard / factor,
            middle=place(noise.middle),
            points=tuple((place(mean), variance / factor / factor, weight) for mean, variance, weight in noise.points),
        )


@dataclass(frozen=True)
class NoiseReport:
    """What `analyze` found, a `ChannelNoise` for each channel (or colour).

    Attributes
    ----------
    channels : tuple of ChannelNoise
    peak : float
        255 for 8 bits, else the extent of the values.
    verdict : str
        One sentence.
    recommendation : dict
        ``method`` (None for a clean image), ``settings``, ``code`` and ``reason``.
    """

    channels: tuple[ChannelNoise, ...]
    peak: float
    verdict: str
    recommendation: dict[str, Any]

    def in_units(self, units: Units) -> NoiseReport:
        """Return the same noise in other units; the words stay."""
        if units.own:
            return self
        channels = tuple(channel.in_units(units) for channel in self.channels)
        return dataclasses.replace(self, channels=channels, peak=self.peak / units.factor)

    @property
    def reason(self) -> Finding:
        """Why that method is recommended."""
        return Finding(self.recommendation["code"], self.recommendation["reason"])

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain values for JSON; ``channels`` only where there are several."""
        rows = []
        for channel in self.channels:
            row = dataclasses.asdict(channel)
            correlation = {"white": row.pop("white"), "lags": row.pop("lags"), "mask": row.pop("mask")}
            rows.append(row | {"correlation": correlation, "peak": self.peak})
        noise = rows[0] | ({"channels": rows} if len(rows) > 1 else {})
        return {"noise": noise, "verdict": self.verdict, "recommendation": self.recommendation}


def together(noises: Sequence[ChannelNoise]) -> NoiseModel:
    """Return one model for channels or images that are taken to share their noise: the median of what was found.

    Parameters
    ----------
    noises : sequence of ChannelNoise
        Those without noise count only when all are.
    """
    noisy = [noise for noise in noises if noise.model is not None]
    if not noisy:
        spans = [np.ptp([point[0] for point in noise.points]) if noise.points else 1.0 for noise in noises]
        return Gaussian(1e-3 * float(max(*spans, 1e-6)))
    special = [noise for noise in noisy if noise.kind in ("rician", "speckle")]
    if 2 * len(special) > len(noisy):
        kind = Rician if special[0].kind == "rician" else Speckle
        return kind(float(np.median([noise.sigma for noise in special])))
    a, b = (float(np.median([getattr(noise, name) for noise in noisy])) for name in ("a", "b"))
    level = float(np.median([noise.level for noise in noisy]))
    return PoissonGaussian.from_line(a, b) if any(noise.gain > 0 for noise in noisy) and a > 0 else Gaussian(level)


NAMES = {
    "none": "no noise",
    "gaussian": "Gaussian noise",
    "poisson": "photon (Poisson) noise",
    "poisson_gaussian": "photon and read (Poisson-Gaussian) noise",
    "speckle": "speckle",
    "rician": "Rician (magnitude MRI) noise",
}


def verdict(channels: Sequence[ChannelNoise]) -> str:
    """Say in a sentence what was found."""
    one = max(channels, key=lambda channel: channel.level)
    stripes = {axis: value for channel in channels for axis, value in channel.stripes.items()} | one.stripes
    if one.kind == "none" and one.impulses_removed < MANY and not stripes:
        doubts = dict.fromkeys(str(channel.doubt) for channel in channels if channel.doubt)
        return "; ".join([_none(channels), *doubts]) + "."
    if one.kind == "none":
        text = _none(channels)
    elif one.gain > 0 and one.kind != "speckle":
        shift = f" less {one.offset:.4g}" if one.offset else ""
        read = f", and {one.sigma:.4g} of read noise" if one.sigma else ""
        text = f"{NAMES[one.kind]}, {one.gain:.4g} a photon{shift}{read}: {one.level:.4g} at {one.middle:.4g}"
    else:
        text = f"{NAMES[one.kind]} of standard deviation {one.sigma:.4g}"
    text = text[0].upper() + text[1:]
    extras = ["" if one.white else f"spatially correlated (lag-one {max(one.lags['0,1'], one.lags['1,0']):.2f})"]
    impulses = "single points, which stay (--hot-pixels remove takes them off)" if one.impulses_stay else "impulses"
    extras += [f"{100 * one.impulse_fraction:.2g} % of the pixels are {impulses}" if one.impulse_fraction else ""]
    extras += [f"stripes along {axis} ({value:.3g})" for axis, value in stripes.items()]
    extras += [f"a chequerboard ({one.chequerboard:.3g})" if one.chequerboard else ""]
    extras += [f"cut off at {one.clipped_low:g}" if one.clipped_low is not None else ""]
    extras += [f"cut off at {one.clipped_high:g}" if one.clipped_high is not None else ""]
    extras += ["one photon at most in a pixel" if one.binary else ""]
    extras += ["little of the image is flat, texture may pass for noise" if 0 < one.flat < 0.02 else ""]
    extras += [str(one.doubt or "")]
    several = f" (the noisiest of {len(channels)} channels)" if len(channels) > 1 else ""
    return "; ".join([text + several, *filter(None, extras)]) + "."


def _none(channels: Sequence[ChannelNoise]) -> str:
    """Say that no noise was found, and how much there may be."""
    most = max(channel.interval.get("level", (0.0, 0.0))[1] for channel in channels)
    return "No noise to speak of was found" + (f": {most:.2g} at most" if most > 0 else "")


def recommend(channels: Sequence[ChannelNoise]) -> dict[str, Any]:
    """Suggest a method for noise like this: ``method``, ``settings``, ``code``, ``reason``."""
    one = max(channels, key=lambda channel: channel.level)
    if all(channel.kind == "none" and channel.impulses_removed < MANY for channel in channels):
        code, why = "clean", "there is no noise to remove"
        if any(channel.stripes for channel in channels):
            code, why = "stripes", "there is no other noise to remove"
        return {"method": None, "settings": {}, "code": code, "reason": why}
    if not one.white:
        code, why = "correlated", "spatially correlated noise: the shipped network, which is given the correlation"
    elif one.gain > 0 and one.kind != "speckle":
        code, why = "stabilised", "white noise that grows with brightness: stabilised, then the shipped network"
    else:
        code, why = "white", "white noise of one level: the shipped network, which is given the level"
    return {"method": "pretrained", "settings": {}, "code": code, "reason": why}
