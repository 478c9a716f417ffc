"""Fourier ring correlation: the resolution of an image without a reference, from two exposures or from one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hush.core.errors import HushError, SettingError, unknown
from hush.core.image import Array, Image
from hush.quality._planes import pair_of, planes_of

Threshold = Literal["1/7", "half-bit", "1-bit"]
Vector = NDArray[np.float64]

LEAST_FRC_SIDE = 32  # pixels a side of what is correlated: below it there are too few rings
SMOOTHED_SHARE = 60  # rings of a curve for each ring of the running median, which has 3 at least
LOWEST_RINGS = 3  # they have few pixels, and drift of the light is in them: no cutoff is looked for there
# Hann's window spreads a ring's power: a sixth of it into each neighbour, two thirds stay. Beyond a sharp edge a ring
# then has at most a quarter of the one before; with rings of one pixel up to a third. What is below is taken off.
LEAKED = 0.5
FIRST_LEAKED = 8  # ring from which on a natural spectrum falls by less than that from one ring to the next
INDEPENDENT_SHARE = 0.58  # of a ring's Fourier pixels under the window, from the scatter of white noise
# standard errors by which the correlation below the cutoff exceeds 0, or there is none: they are those of independent
# rings, and neighbours are not, so that it takes about 3 of the true ones
BY_CHANCE = 4.5
SPLIT = 4  # pixels of the image for each of a part of the chequerboard split
ROUNDING = 1e-16  # power below that share of the largest ring's is rounding


@dataclass(frozen=True, eq=False)
class RingCorrelation:
    """A curve of Fourier ring correlation, and where it ends.

    Attributes
    ----------
    frequency : array of float64, shape (rings,)
        Cycles per pixel (of X), the mean of each ring.
    correlation : array of float64, shape (rings,)
        As measured, -1 to 1 (of one image: what two such exposures would have).
    smoothed : array of float64, shape (rings,)
        The same without the window's leakage, as a running median: what is compared with the threshold.
    threshold : array of float64, shape (rings,)
    independent : array of float64, shape (rings,)
        How many independent Fourier pixels a ring has; its correlation has a standard error of 1/sqrt(2 n) about 0.
    criterion : str
        Name of the threshold.
    state : {"found", "beyond", "none"}
        ``found``: the curve falls below the threshold. ``beyond``: it does not up to the last ring, so the resolution
        is finer than `limit`. ``none``: the images have nothing in common beyond chance.
    cutoff : float or None
        Where it does, cycles per pixel.
    pixel, unit : float or None, str or None
        Size of a pixel along X, and its unit, where the file says them.
    """

    frequency: Vector
    correlation: Vector
    smoothed: Vector
    threshold: Vector
    independent: Vector
    criterion: str
    state: Literal["found", "beyond", "none"]
    cutoff: float | None
    pixel: float | None = None
    unit: str | None = None

    @property
    def resolution(self) -> float | None:
        """The finest period that is seen, pixels; None where none was found."""
        return None if self.cutoff is None else 1 / self.cutoff

    @property
    def physical(self) -> float | None:
        """The same in `unit`; None where the file says no pixel size."""
        return None if self.cutoff is None or self.pixel is None else self.pixel / self.cutoff

    @property
    def limit(self) -> float:
        """The finest period that could be found, pixels."""
        return 1 / float(self.frequency[-1])

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        curves = ("frequency", "correlation", "smoothed", "threshold")
        figures = {name: getattr(self, name) for name in ("state", "resolution", "cutoff", "limit", "criterion")}
        physical = {"physical": self.physical, "unit": self.unit} if self.pixel is not None else {}
        return figures | physical | {name: np.round(getattr(self, name), 6).tolist() for name in curves}


def frc(
    first: Image | Array,
    second: Image | Array | None = None,
    *,
    threshold: Threshold = "1/7",
    smoothing: int | None = None,
) -> RingCorrelation:
    r"""Return the Fourier ring correlation of two exposures of one scene, and the resolution that it shows.

    .. math:: FRC(q) = \frac{\mathrm{Re} \sum_{|k| \in q} F_1(k) \overline{F_2(k)}}
              {\sqrt{\sum_{|k| \in q} |F_1(k)|^2 \sum_{|k| \in q} |F_2(k)|^2}}

    over the ring q of one Fourier pixel, after the mean was taken off under a Hann window. With independent noise it is
    S / (S + N), the signal's share of the power. The resolution is the period 1 / q where it falls below a threshold:

    - ``1/7``: fixed (Nieuwenhuizen et al., Nature Methods 10, 2013); a signal a sixth as strong as the noise.
    - ``half-bit``, ``1-bit``: half a bit, or one, of information in each pixel of both exposures together, and more
      where a ring has few pixels n (van Heel and Schatz, J. Struct. Biol. 151, 2005). With r = (2^bits - 1) / 2,
      T = (r + (2 sqrt(r) + 1) / sqrt(n)) / (r + 1 + 2 sqrt(r) / sqrt(n)): 0.17 and 0.33 for large n. Here n counts
      independent pixels: half of a ring's, for the others are their conjugates, and the window's share of them.

    The window spreads an edge of the spectrum over two rings: what a ring has from the one before it is taken off
    before the comparison, and a running median smooths the curve, which moves no edge. A sharp cutoff is found within
    about one ring, 1 / (the image's shorter side).

    One image alone is split into four by a chequerboard (Koho et al., Nature Communications 10, 2019): two pairs of
    diagonal neighbours, each half as wide. Koho's parts lie a pixel apart and have a quarter of the pixels, which they
    correct by a curve fitted to their microscope. Here both are undone exactly: the shift by its phase, and the noise,
    four times that of a whole exposure in the same band, by 4 F / (1 + 3 F) (Spearman and Brown). The result is what a
    second exposure would have shown, up to a quarter of a cycle per pixel: the image must have been sampled twice as
    finely as its optics ask for, and its noise must be white. Of a denoised or a compressed image it says nothing.

    It measures agreement, not truth: fixed patterns, offsets of rows and hot pixels agree in both exposures, and so
    does what a method invents alike in both. Exposures that moved against each other disagree: align them first.

    Parameters
    ----------
    first : Image or array
        An exposure; arrays are planes of (..., Y, X). Of several planes or colours the curves' mean is taken, those of
        one value aside.
    second : Image or array, optional
        Another one of the same shape and scene, with noise of its own; gain and offset may differ. None splits the
        first.
    threshold : {"1/7", "half-bit", "1-bit"}
    smoothing : int, optional
        Width of the running median in rings, odd; 1 for none. Raise it for noisy curves, lower it for short ones; by
        default a sixtieth of the curve, 3 or more.

    Returns
    -------
    RingCorrelation
        With `resolution` (pixels), and `physical` where the image has a pixel size.

    Raises
    ------
    HushError
        When the shapes differ, a side is below 32 pixels (64 for one image), a pixel is missing or infinite, or there
        is no such threshold.

    Examples
    --------
    Two exposures of a scene that has nothing beyond 0.2 cycles per pixel.

    >>> rng = np.random.default_rng(0)
    >>> scene = np.fft.rfft2(rng.normal(0, 100, (256, 256)))
    >>> scene[np.hypot(np.fft.fftfreq(256)[:, None], np.fft.rfftfreq(256)) > 0.2] = 0
    >>> scene = np.fft.irfft2(scene, (256, 256))
    >>> found = frc(*(scene + rng.normal(0, 10, scene.shape) for _ in range(2)))
    >>> found.state, round(found.resolution, 1)
    ('found', 5.0)
    """
    if threshold not in get_args(Threshold):
        raise unknown("threshold", threshold, get_args(Threshold), SettingError)
    if smoothing is not None and (smoothing < 1 or smoothing % 2 == 0):
        raise SettingError(f"smoothing {smoothing} is no width of a median: give an odd number of rings, 1 for none")
    ratio, pixel, unit = _pixels(first)
    split = second is None
    pairs = _halves(first) if second is None else _exposures(first, second)
    rings = _Rings.of(pairs[0][0].shape, ratio)
    curves = [rings.correlate(*pair) for pair in pairs]
    raw = np.mean([curve for curve, _ in curves], axis=0)
    independent = rings.independent * len(curves)
    limits = _limits(threshold, independent)
    # of a part of the split image the same threshold is a lower one
    lowest = limits / (SPLIT - (SPLIT - 1) * limits) if split else limits
    clean = np.mean([_without_leakage(curve, power, lowest) for curve, power in curves], axis=0)
    width = 2 * max(1, round(clean.size / SMOOTHED_SHARE / 2)) + 1 if smoothing is None else smoothing
    smoothed = ndimage.median_filter(clean, width, mode="nearest")
    state, cutoff = _crossing(rings.frequency, smoothed, lowest, raw, independent)
    raw, smoothed = (_whole(curve) if split else curve for curve in (raw, smoothed))
    scale = 2 if split else 1  # pixels of a part are two of the image
    return RingCorrelation(
        frequency=rings.frequency / scale,
        correlation=raw,
        smoothed=smoothed,
        threshold=limits,
        independent=independent,
        criterion=threshold,
        state=state,
        cutoff=None if cutoff is None else cutoff / scale,
        pixel=pixel,
        unit=unit,
    )


def _pixels(image: Image | Array) -> tuple[float, float | None, str | None]:
    """Height of a pixel in widths, its width, and the unit of that; 1 and None where the file does not say them."""
    scale = image.scale if isinstance(image, Image) else {}
    y, x = (float(scale.get(axis) or 0) for axis in "YX")
    if not (np.isfinite(x) and x > 0):
        return 1.0, None, None
    assert isinstance(image, Image)
    return (y / x if np.isfinite(y) and y > 0 else 1.0), x, image.unit


def _exposures(first: Image | Array, second: Image | Array) -> list[tuple[Array, Array, int]]:
    """Return the planes of two exposures under the window, and 0: they are not split."""
    a, b = pair_of(first, second)
    planes = zip(a.reshape(-1, *a.shape[2:]), b.reshape(-1, *b.shape[2:]), strict=True)
    return [
        (_windowed(one), _windowed(other), 0) for one, other in planes if _varied(one) and _varied(other)
    ] or _none()


def _halves(image: Image | Array) -> list[tuple[Array, Array, int]]:
    """Split planes by a chequerboard into pairs of diagonal neighbours, under one window.

    Of each pair the second part lies a pixel lower, and a pixel to the right (1) or to the left (-1).
    """
    planes = planes_of(image)
    high, wide = (size // 2 * 2 for size in planes.shape[2:])
    pairs = []
    for plane in planes[..., :high, :wide].reshape(-1, high, wide):
        if _varied(plane):
            seen = _windowed(plane)
            pairs += [(seen[::2, ::2], seen[1::2, 1::2], 1), (seen[::2, 1::2], seen[1::2, ::2], -1)]
    return pairs or _none()


def _varied(plane: Array) -> bool:
    """Whether a plane has more than one value: others have no spectrum, and are left out."""
    if not np.isfinite(plane).all():
        raise HushError("Fourier rings need finite pixels: crop or fill NaN and infinity first")
    return bool(plane.max() > plane.min())


def _none() -> list[tuple[Array, Array, int]]:
    raise HushError("every plane has one value only: there is nothing to correlate")


def _windowed(plane: Array) -> Array:
    """Return a plane without its mean, under a Hann window, in units of its range: squares of it do not overflow."""
    y, x = (np.hanning(size + 2)[1:-1] for size in plane.shape)
    window = y[:, None] * x
    plane = (plane - plane.min()) / (plane.max() - plane.min())
    return (plane - (plane * window).sum() / window.sum()) * window


@dataclass(frozen=True, eq=False)
class _Rings:
    """Which Fourier pixels of a plane belong to which ring.

    `number` and `weight` are of the half plane that a real transform has: of pixels that stand for their conjugates as
    well the weight is 2. `axes` are the frequencies of its rows and columns.
    """

    number: NDArray[np.intp]
    weight: Vector
    axes: tuple[Vector, Vector]
    frequency: Vector
    independent: Vector

    @classmethod
    def of(cls, shape: tuple[int, ...], ratio: float) -> _Rings:
        """Make rings for planes of this shape, whose pixels are so many times as high as wide."""
        high, wide = shape
        if min(shape) < LEAST_FRC_SIDE:
            raise HushError(
                f"Fourier rings need {LEAST_FRC_SIDE} x {LEAST_FRC_SIDE} pixels ({2 * LEAST_FRC_SIDE} x "
                f"{2 * LEAST_FRC_SIDE} of one image alone), and these are {high} x {wide}"
            )
        y, x = (np.asarray(axis, np.float64) for axis in (np.fft.fftfreq(high), np.fft.rfftfreq(wide)))
        radius = np.hypot(y[:, None] / ratio, x)
        width = 1 / min(high * ratio, wide)
        count = int(min(0.5, 0.5 / ratio) / width + 1e-9)
        weight: Vector = np.full(radius.shape, 2.0)
        weight[:, 0] = 1
        if wide % 2 == 0:
            weight[:, -1] = 1
        number = np.minimum(np.rint(radius / width).astype(np.intp), count + 1)
        pixels = np.bincount(number.ravel(), weight.ravel(), count + 2)
        middle = np.bincount(number.ravel(), (weight * radius).ravel(), count + 2) / np.maximum(pixels, 1)
        inside = slice(1, count + 1)
        return cls(number, weight, (y, x), middle[inside], pixels[inside] / 2 * INDEPENDENT_SHARE)

    def sums(self, values: Array) -> Vector:
        """Sum over each ring but the mean's and what lies beyond the last."""
        found = np.bincount(self.number.ravel(), (values * self.weight).ravel(), self.frequency.size + 2)
        return np.asarray(found[1:-1], np.float64)

    def correlate(self, first: Array, second: Array, right: int) -> tuple[Vector, Vector]:
        """Return the correlation of two planes in each ring, and their power there, for each Fourier pixel.

        Where `right` is not 0, the second lies half a pixel lower, and half a pixel to the right, or to the left (-1).
        """
        one, other = np.fft.rfft2(first), np.fft.rfft2(second)
        if right:
            y, x = self.axes
            other = other * np.exp(-1j * np.pi * (y[:, None] + right * x))
        shared = self.sums((one * other.conj()).real)
        power = np.sqrt(self.sums(np.abs(one) ** 2) * self.sums(np.abs(other) ** 2))
        power = np.maximum(power, ROUNDING * power.max())
        return shared / power, power / self.sums(np.ones_like(self.weight))


def _limits(threshold: Threshold, independent: Vector) -> Vector:
    """Return the threshold of each ring."""
    if threshold == "1/7":
        return np.full(independent.shape, 1 / 7)
    ratio = (2.0 ** {"half-bit": 0.5, "1-bit": 1.0}[threshold] - 1) / 2  # signal to noise in one exposure
    root, error = np.sqrt(ratio), 1 / np.sqrt(independent)
    limits: Vector = (ratio + (2 * root + 1) * error) / (ratio + 1 + 2 * root * error)
    return limits


def _whole(curve: Vector) -> Vector:
    """Correlation of whole exposures from that of parts with a quarter of their pixels, at most 1."""
    low = -0.2  # chance gives no less, and the formula has no value at -1/3
    bounded = np.clip(curve, low, 1)
    return SPLIT * bounded / (1 + (SPLIT - 1) * bounded)


def _without_leakage(curve: Vector, power: Vector, limits: Vector) -> Vector:
    """Take off what a ring may have from the one before: it matters where that is strong enough to pass the limit."""
    strong = curve[:-1] > SPLIT * limits[1:] / (1 + (SPLIT - 1) * limits[1:])  # a quarter of it would
    shared = curve * power
    leaked = np.where(strong, LEAKED * np.maximum(shared[:-1] - shared[1:], 0), 0)
    leaked[: FIRST_LEAKED - 1] = 0
    clean = curve.copy()
    clean[1:] -= leaked / power[1:]
    return np.maximum(clean, -1)


def _crossing(
    frequency: Vector, curve: Vector, limits: Vector, raw: Vector, independent: Vector
) -> tuple[Literal["found", "beyond", "none"], float | None]:
    """Find where a curve falls below the limits for the first time, between two rings, the lowest aside."""
    below = np.flatnonzero(curve[LOWEST_RINGS:] < limits[LOWEST_RINGS:]) + LOWEST_RINGS
    last = int(below[0]) if below.size else curve.size
    weight = independent[:last]
    if last == LOWEST_RINGS or (raw[:last] * weight).sum() < BY_CHANCE * np.sqrt(weight.sum() / 2):
        return "none", None
    if not below.size:
        return "beyond", None
    before, after = curve[last - 1] - limits[last - 1], curve[last] - limits[last]
    step = frequency[last] - frequency[last - 1]
    return "found", float(frequency[last - 1] + step * before / (before - after))
