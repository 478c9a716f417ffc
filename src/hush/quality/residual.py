"""The residual, before minus after: its figures and what they say in words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hush.core.image import Array

MIDDLE = 1024  # side of the window from which correlations are measured
LAGS_SHOWN = 8
CORRELATED = 0.1  # a lag-1 correlation worth a word


@dataclass(frozen=True)
class Pair:
    """One plane before and after, as views of shape (samples, Y, X) that are read piece by piece."""

    label: str
    before: Array
    after: Array

    def read(self, y: slice = slice(None), x: slice = slice(None)) -> list[Array]:
        """Return before, after, and the residual (before - after) of a window as float64."""
        with np.errstate(all="ignore"):  # infinite pixels: inf - inf is NaN, and counts as missing
            before, after = (np.asarray(a[:, y, x], np.float64) for a in (self.before, self.after))
            noise = before - after
            if self.before.dtype == np.float64:
                noise[np.abs(before) > 1e100] = np.nan  # their squares would overflow: no measurement
            return [before, after, noise]


def measure(after: Array, noise: Array, whole: bool) -> dict[str, Any]:
    """Return mean, standard deviation (in the dark and in the bright too) and histogram of the residual."""
    facts: dict[str, Any] = dict.fromkeys(("mean", "std", "dark", "bright"))
    facts |= {"edges": [], "counts": [], "outside": 0, "gaussian": []}
    if not noise.size:
        return facts
    mean, std = float(noise.mean()), float(noise.std())
    if std <= 1e-12 * float(np.abs(noise).max()):
        std = 0.0  # one value everywhere, but for rounding
    facts |= {"mean": mean, "std": std}
    if std > 0:
        # differences of integers are integers: a bin that holds a broken number of them makes a comb
        bin_ = max(1, round(9 * std / 101)) if whole else 9 * std / 101
        half = math.ceil(4.5 * std / bin_)
        centres = (round(mean) if whole else mean) + bin_ * np.arange(-half, half + 1)
        edges = np.append(centres - bin_ / 2, centres[-1] + bin_ / 2)
        counts, _ = np.histogram(noise, edges)
        bell = np.exp(-(((centres - mean) / std) ** 2) / 2) * noise.size * bin_ / std / math.sqrt(2 * math.pi)
        facts |= {"edges": edges, "counts": counts, "outside": int(noise.size - counts.sum()), "gaussian": bell}
        low, high = np.percentile(after, [25, 75])
        if noise.size >= 400 and low < high:
            facts |= {"dark": float(noise[after <= low].std()), "bright": float(noise[after >= high].std())}
    return facts


def _lags(plane: Array) -> Array:
    """Return the sums of products of a plane with itself, moved by -LAGS_SHOWN to LAGS_SHOWN in both axes."""
    shape = (plane.shape[0] + LAGS_SHOWN, plane.shape[1] + LAGS_SHOWN)  # zeros enough that nothing comes round
    power = np.abs(np.fft.rfft2(plane, shape)) ** 2
    at = np.arange(-LAGS_SHOWN, LAGS_SHOWN + 1)
    found: Array = np.fft.irfft2(power, shape)[np.ix_(at, at)]
    return found


def correlation(pairs: Sequence[Pair], noise: bool, expected: str = "") -> dict[str, Any]:
    """Return the autocorrelation of the residual in the middle of the planes; what it says as a code and a sentence.

    Parameters
    ----------
    pairs : sequence of Pair
    noise : bool
        Whether there is a residual.
    expected : str
        Why neighbours may be correlated and nothing is wrong, to end a sentence with; empty where they must not be.
    """
    grid: list[list[float | None]] = [[None] * (2 * LAGS_SHOWN + 1) for _ in range(2 * LAGS_SHOWN + 1)]
    facts: dict[str, Any] = {"autocorrelation": grid, "lag1": {"rows": None, "columns": None}, "strongest": None}
    _, height, width = pairs[0].before.shape
    y, x = ((max(0, (n - MIDDLE) // 2), max(0, (n - MIDDLE) // 2) + MIDDLE) for n in (height, width))
    products, counts = np.zeros((2, 2 * LAGS_SHOWN + 1, 2 * LAGS_SHOWN + 1))
    for pair in pairs if noise else ():
        for plane in pair.read(slice(*y), slice(*x))[2]:
            good = np.isfinite(plane)
            if good.any():
                products += _lags(np.where(good, plane - plane[good].mean(), 0))
                counts += np.rint(_lags(good.astype(np.float64)))
    if products[LAGS_SHOWN, LAGS_SHOWN] <= 0:
        return facts | {"code": "constant", "sentence": "The residual is the same everywhere: nothing to correlate."}
    if counts[LAGS_SHOWN, LAGS_SHOWN] < 64:
        sentence = "There are too few pixels to tell whether the residual is spatially correlated."
        return facts | {"code": "few_pixels", "sentence": sentence}
    with np.errstate(all="ignore"):
        found = np.where(counts > 0, products / counts, np.nan)
    found /= found[LAGS_SHOWN, LAGS_SHOWN]
    rows, columns = float(found[LAGS_SHOWN, LAGS_SHOWN + 1]), float(found[LAGS_SHOWN + 1, LAGS_SHOWN])
    rest = np.where(counts >= 16, np.abs(found), 0)
    rest[LAGS_SHOWN, LAGS_SHOWN] = 0
    down, right = (int(i) - LAGS_SHOWN for i in np.unravel_index(int(np.argmax(rest)), rest.shape))
    strongest = {"down": down, "right": right, "value": float(found[down + LAGS_SHOWN, right + LAGS_SHOWN])}
    least = max(CORRELATED, 4 / math.sqrt(counts[LAGS_SHOWN, LAGS_SHOWN]))  # four standard errors of white noise
    facts |= {"autocorrelation": found, "lag1": {"rows": rows, "columns": columns}, "strongest": strongest}
    code, sentence = _verdict(rows, columns, strongest, least, expected)
    return facts | {"code": code, "sentence": sentence}


def _verdict(rows: float, columns: float, strongest: Mapping[str, Any], least: float, expected: str) -> tuple[str, str]:
    """Say what the autocorrelation means: a code for programs, a sentence for people."""
    both = [
        (f"{_hundredths(v)} along {way}", v) for way, v in (("rows", rows), ("columns", columns)) if math.isfinite(v)
    ]
    high = [(words, value) for words, value in both if abs(value) > least]
    if not high:
        known = (
            f"Neighbouring pixels of the residual are uncorrelated (lag one: {', '.join(words for words, _ in both)})"
        )
        if abs(strongest["value"]) <= least:
            return "uncorrelated", known + "."
        place = f"{abs(strongest['down'])} rows and {abs(strongest['right'])} columns"
        return (
            "pattern",
            f"{known}, but pixels {place} apart are not ({_hundredths(strongest['value'])}): look for a pattern.",
        )
    known = f"The residual is spatially correlated (lag one: {' and '.join(words for words, _ in high)}): "
    if max(abs(value) for _, value in both) == max(-value for _, value in both):
        return "alternating", known + "neighbouring pixels alternate more than chance allows; look for a pattern."
    if expected:
        return "expected", f"{known}{expected}."
    sizes = sorted(abs(value) for _, value in both)
    if len(sizes) == 1 or sizes[0] < sizes[1] / 2:  # one direction stands out: the camera, not the object
        return "one_direction", known + "the noise is not white; structn2v may fit better."
    return "both_directions", known + "either the noise is not white, or structure was removed with it; look for edges."


def _hundredths(value: float) -> str:
    return f"{round(value, 2) + 0.0:.2f}".replace("-", "−")


def say(value: float | None) -> str:
    """Write a number for people: three digits, thousands whole.

    Examples
    --------
    >>> say(12.345), say(12345.6), say(-0.00123)
    ('12.3', '12,346', '−0.00123')
    """
    if value is None:
        return "unknown"
    return (f"{value:,.0f}" if 1000 <= abs(value) < 1e7 else f"{value:.3g}").replace("-", "−")


def summary(method: str, channels: Sequence[Mapping[str, Any]]) -> str:
    """Say in one sentence how much noise was removed."""
    known = [(c["name"], c["noise"]["std"]) for c in channels if c["noise"]["std"]]
    means = [c["noise"]["mean"] for c in channels if c["noise"]["mean"] is not None]
    if not means:
        return f"{method} removed nothing: no pixel is finite"
    if not known and not any(means):
        return f"{method} removed nothing: the result equals the input"
    if not known:
        return f"{method} removed the same value from every pixel ({say(means[0])}, image units)"
    values = [std for _, std in known]
    text = f"{say(min(values))} to {say(max(values))}" if len(values) > 1 else say(values[0])
    if 1 < len(known) <= 3:
        text = ", ".join(f"{say(std)} in {name}" for name, std in known)
    return f"{method} removed noise of standard deviation {text} (image units)"


def trust(channels: Sequence[Mapping[str, Any]]) -> list[str]:
    """Say what is known of the result without a clean image, and what is not."""
    said = [
        "There is no clean image to compare with: this page cannot say how close the result is to the truth. "
        "It shows what was removed.",
        "The residual (before minus after) should look like noise and nothing else. Edges, outlines or texture in it "
        "mean that structure was removed too.",
    ]
    for channel in channels[:4]:
        noise, name = channel["noise"], f"{channel['name']}: " if channel["name"] else ""
        if noise["std"]:
            part = abs(noise["mean"]) / noise["std"]
            kept = "the mean brightness is preserved" if part < 0.05 else "the mean brightness has changed"
            said.append(
                f"{name}The mean of the residual is {say(noise['mean'])}, {part:.1%} of its standard deviation: {kept}."
            )
        if noise["dark"]:
            ratio = noise["bright"] / noise["dark"]
            grows = "grows with brightness, as photon noise does" if ratio > 1.25 else "hardly depends on brightness"
            grows = "is smaller where the image is bright, so look for clipping" if ratio < 0.8 else grows
            said.append(
                f"{name}The standard deviation of the residual {grows}: {say(noise['dark'])} in the darkest quarter of "
                f"the pixels, {say(noise['bright'])} in the brightest."
            )
    return [*said, "Before you measure fine detail or brightness in the result, check it in the noisy image."]
