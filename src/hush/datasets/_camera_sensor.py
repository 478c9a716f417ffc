"""What a sensor counts of a scene under its mosaic of colours, and what colours a camera makes of that."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Self

import numpy as np
from scipy import ndimage

from hush.core.image import Array

PHOTON_RANGE, READ_PHOTONS = (50, 30000), 5.0  # in white, and the most electrons of read noise
RED, BLUE = (1.1, 2.4), (1.1, 2.6)  # white balance: times green
GAMMA = (1.9, 2.4)  # of the scale that files have
S_SHAPE = 0.7  # the most by which a tone curve darkens shadows and brightens lights
SATURATION = (0.0, 0.6)  # by how much colours are taken apart that the sensor's filters share
CROSSTALK = 0.08  # spread of the other entries of the colour matrix
STRIPED, ROW_PHOTONS = 0.15, 1.5  # share of the sensors whose rows have offsets of their own, and the most of these
TONE_NODES = np.linspace(0, 1, 4096)  # of a tone curve
BINNED = "binned"  # every pixel has measured all colours: a picture that was made smaller
MOSAICS = ("linear", "corrected", "directed", "directed")  # how colours are interpolated
REACH = 2  # pixels that these look far, beyond their neighbours


@dataclass(frozen=True)
class Sensor:
    """One camera at one setting, up to the colours on the scale of files.

    Attributes
    ----------
    photons, read, rows : float
        In white; electrons of read noise a pixel, and of the offset that a row has.
    balance : array, shape (3, 1, 1)
        What colours are multiplied by, green by 1.
    matrix : array, shape (3, 3)
        From the sensor's colours to those of the file; grey stays grey.
    tones : array
        Tone curve at nodes from 0 to 1.
    mosaic : {"binned", "linear", "corrected", "directed"}
    steady : int
        Pixels over which the direction of an edge is decided.
    """

    photons: float
    read: float
    rows: float
    balance: Array
    matrix: Array
    tones: Array
    mosaic: str
    steady: int

    @classmethod
    def draw(cls, rng: np.random.Generator, photons: float | None, binned: bool) -> Self:
        """Draw any; `photons` may be said."""
        count = np.exp(rng.uniform(*np.log(PHOTON_RANGE))) if photons is None else photons
        balance = np.array([rng.uniform(*RED), 1.0, rng.uniform(*BLUE)], np.float32).reshape(3, 1, 1)
        cross = CROSSTALK * rng.standard_normal((3, 3))
        matrix = np.eye(3) + rng.uniform(*SATURATION) * (np.eye(3) - 1 / 3) + cross - cross.mean(1, keepdims=True)
        tone = TONE_NODES ** (1 / rng.uniform(*GAMMA))
        shape = rng.uniform(0, S_SHAPE) * (rng.random() < 0.6)
        tone += shape * (tone**2 * (3 - 2 * tone) - tone)
        return cls(
            photons=float(count),
            read=rng.uniform(0, READ_PHOTONS),
            rows=rng.uniform(0, ROW_PHOTONS) * (rng.random() < STRIPED),
            balance=balance,
            matrix=matrix.astype(np.float32),
            tones=tone.astype(np.float32),
            mosaic=BINNED if binned else str(rng.choice(MOSAICS)),
            steady=int(rng.choice([1, 3, 5])),
        )

    def light(self, scene: Array) -> Array:
        """Return the light of (3, Y, X) from 0 to 1 on the scale of files, for every colour of the sensor."""
        linear = _looked_up(scene, np.interp(TONE_NODES, self.tones, TONE_NODES).astype(np.float32))
        own = np.tensordot(np.linalg.inv(self.matrix).astype(np.float32), linear, 1)
        light: Array = np.clip(own, 0, 1) / self.balance
        return light

    def counted(self, light: Array, rng: np.random.Generator) -> Array:
        """Count the photons of light (3, Y, X) once: (Y, X) under a mosaic, else (3, Y, X)."""
        clean = self.seen(light) * np.float32(self.photons)
        counts = rng.poisson(clean).astype(np.float32)
        counts += np.float32(self.read) * rng.standard_normal(clean.shape, np.float32)
        if self.rows:
            counts += np.float32(self.rows) * rng.standard_normal((clean.shape[-2], 1), np.float32)
        return counts / np.float32(self.photons)

    def seen(self, light: Array) -> Array:
        """Return the light that is measured: of (3, Y, X) one colour a pixel under a mosaic, (Y, X)."""
        if self.mosaic == BINNED:
            return light
        seen: Array = (light * _mosaic(*light.shape[1:])[0]).sum(0)
        return seen

    def developed(self, raw: Array) -> Array:
        """Make (3, Y, X), 0 to 1 on the scale of files, of what was measured."""
        colours = raw * self.balance if self.mosaic == BINNED else self._interpolated(raw)
        linear = np.clip(np.tensordot(self.matrix, np.clip(colours, 0, 1), 1), 0, 1)
        return _looked_up(linear, self.tones)

    def _interpolated(self, raw: Array) -> Array:
        """(Y, X) to (3, Y, X): balanced first, so that colours tell each other where an edge is."""
        known, weights = _mosaic(*raw.shape)
        raw = raw * (known * self.balance).sum(0)
        if self.mosaic == "directed":
            return _directed(raw, known, weights, self.steady)
        plain = _spread(raw * known) / weights
        return plain if self.mosaic == "linear" else _corrected(raw, plain, known)


def _looked_up(values: Array, curve: Array) -> Array:
    """A curve, known at nodes from 0 to 1, at values between: faster than `numpy.interp`, whose nodes lie anywhere."""
    at = values * np.float32(len(curve) - 1)
    before = np.minimum(at.astype(np.int32), len(curve) - 2)
    found: Array = curve.take(before) + (at - before) * np.diff(curve).take(before)
    return found


@lru_cache(maxsize=8)
def _mosaic(high: int, wide: int) -> tuple[Array, Array]:
    """Which colour (3, Y, X) every pixel measures, and the weights of what lies around."""
    colour = np.zeros((high, wide), int)
    colour[::2, 1::2] = colour[1::2, ::2] = 1
    colour[1::2, 1::2] = 2
    known = (colour == np.arange(3).reshape(3, 1, 1)).astype(np.float32)
    return known, _spread(known)


def _spread(planes: Array) -> Array:
    """Weighted sums over 3 x 3 pixels: what linear interpolation of a mosaic takes."""
    for axis in (1, 2):
        planes = ndimage.convolve1d(planes, [0.5, 1.0, 0.5], axis=axis, mode="mirror")
    return planes


def _corrected(raw: Array, plain: Array, known: Array) -> Array:
    """Linear interpolation and a share of what the measured colour has beyond its own (Malvar, He, Cutler 2004)."""
    at = _Around(raw)
    own = raw - (at(-2, 0) + at(2, 0) + at(0, -2) + at(0, 2)) / 4
    green = raw - (at(-1, -1) + at(-1, 1) + at(1, -1) + at(1, 1)) / 4
    red, middle, blue = known
    plain[1] += 0.5 * own * (red + blue)
    plain[0] += 0.75 * own * blue + 0.625 * green * middle
    plain[2] += 0.75 * own * red + 0.625 * green * middle
    return plain


def _directed(raw: Array, known: Array, weights: Array, steady: int) -> Array:
    """Green along edges, not across (Hamilton and Adams 1997); the other colours by their difference to it."""
    at, ways, steps = _Around(raw), [], []
    for down, across in ((0, 1), (1, 0)):
        before, after = at(-down, -across), at(down, across)
        bend = 2 * raw - at(-2 * down, -2 * across) - at(2 * down, 2 * across)
        ways.append((before + after) / 2 + bend / 4)
        steps.append(ndimage.uniform_filter(np.abs(before - after) + np.abs(bend), steady, mode="mirror") ** 2)
    share = (steps[1] + 1e-8) / (steps[0] + steps[1] + 2e-8)
    green = np.where(known[1] > 0, raw, share * ways[0] + (1 - share) * ways[1])
    colours: Array = green + _spread((raw - green) * known) / weights
    return colours


class _Around:
    """What lies so many pixels down and across from every pixel of (Y, X), mirrored so that colours stay in place."""

    def __init__(self, plane: Array) -> None:
        self.shape, self.wide = plane.shape, np.pad(plane, REACH, mode="reflect")

    def __call__(self, down: int, across: int) -> Array:
        (high, wide), y, x = self.shape, REACH + down, REACH + across
        return self.wide[y : y + high, x : x + wide]
