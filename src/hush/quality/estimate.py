"""Judging what a method made of an image, when nobody has the clean one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from hush.core.image import Array, Image
from hush.estimation.correlation import lags_of, like
from hush.estimation.report import NoiseReport
from hush.quality import risk
from hush.vst.stabilizer import Stabilizer

Denoise = Callable[[Image], Image]
WINDOW = 256  # side of the window in which risk is measured


class Domain:
    """All planes of an image, in the domain in which their noise is white and of one level.

    Parameters
    ----------
    image : Image
    report : NoiseReport
        What noise it has.
    """

    def __init__(self, image: Image, report: NoiseReport) -> None:
        self.image = image
        self.places = [
            (plane, sample, Stabilizer(report.channels[plane.channel * image.samples() + sample]))
            for plane in image.planes(2)
            for sample in range(image.samples())
        ]
        self.sigma = np.array([max(way.sigma, 1e-12) for _, _, way in self.places])
        self.mask = next((channel.mask for channel in report.channels if channel.mask), None)
        self.lags = lags_of([way.noise for _, _, way in self.places])

    def stack(self, data: Array, how: Callable[[Stabilizer, Array], Array]) -> Array:
        """Return (planes, Y, X), each plane transformed by `how`."""
        return np.stack(
            [how(way, np.asarray(plane.view(data)[sample], np.float32)) for plane, sample, way in self.places]
        )

    def deviation(self, values: Array) -> Array:
        """Return the standard deviation of the noise at every pixel of the stabilised planes."""
        return np.stack([way.deviation(one) for (_, _, way), one in zip(self.places, values, strict=True)])

    def unstack(self, values: Array) -> Image:
        """Return the image whose stabilised planes these are."""
        data = np.array(self.image.data, np.float32)
        for (plane, sample, way), one in zip(self.places, values, strict=True):
            plane.view(data)[sample] = way.plain_inverse(one)
        return Image(data, self.image.axes, meta=self.image.meta)

    def through(self, denoise: Denoise) -> Callable[[Array], Array]:
        """Return what a fitted method does as a function of stabilised planes."""
        return lambda values: self.stack(denoise(self.unstack(values)).data, Stabilizer.forward_mean)


def judge(
    denoise: Denoise,
    image: Image,
    report: NoiseReport,
    seed: int = 0,
    learn: Callable[[Image], Denoise] | None = None,
) -> tuple[risk.Risk, risk.Stein | None]:
    """Estimate the risk of a fitted method on an image, in units of the variance of its noise.

    It is measured where the noise is of one level: by Stein's formula where it is white, and by masked pixels where it
    is spatially correlated. Where impulses were nothing is told.

    Parameters
    ----------
    denoise : callable
        What the fitted method makes of an image.
    image : Image
        Best a window, see `middle`.
    report : NoiseReport
        What noise it has.
    seed : int
        Of the probe.
    learn : callable, optional
        Image -> what the method makes of an image after it has learned from that one; for a method that learned
        from the image itself.

    Returns
    -------
    risk : Risk
    stein : Stein or None
        Where it comes from, if from Stein's formula, and sure enough that means may be weighed by it.
    """
    domain = Domain(image, report)
    noisy = domain.stack(image.data, lambda way, plane: way.forward(way.repair(plane)))  # a moved impulse is none
    hit = domain.stack(image.data, Stabilizer.hit)
    unit = float(np.mean(domain.sigma**2))
    if all(channel.white for channel in report.channels):
        probe = like(noisy.shape, domain.lags, seed).astype(np.float32)  # what passes for white may be a little shared
        found = risk.stein(domain.through(denoise), noisy, domain.deviation(noisy), probe=probe)
        known = ~hit / max(float(np.mean(~hit)), 1e-3)  # where impulses were nothing is known
        scaled = risk.Stein(
            found.away * np.sqrt(known) / unit**0.5, found.passed * known / unit, found.power * known / unit
        )
        return scaled.risk, scaled
    hidden = hidden_risk(denoise, domain, noisy, seed, learn)
    return risk.Risk(hidden.value / unit, hidden.error / unit), None


def hidden_risk(
    denoise: Denoise, domain: Domain, noisy: Array, seed: int = 0, learn: Callable[[Image], Denoise] | None = None
) -> risk.Risk:
    """Measure the risk at hidden pixels; a method that learns from the image learns once more without them.

    Parameters
    ----------
    denoise, learn : callable
        See `judge`.
    domain : Domain
        Of the image, or of a window of it.
    noisy : array, shape (planes, Y, X)
        The image in that domain.
    seed : int
        Of the noise that hidden pixels get.
    """
    if learn is None:
        return risk.hidden(domain.through(denoise), noisy, domain.sigma, mask=domain.mask, seed=seed)
    gone = np.array(noisy)
    gone[:, risk.hidden_grid(noisy.shape[1:], 0, domain.mask)] = np.nan  # missing pixels are not learned from
    blind = learn(domain.unstack(gone))
    return risk.hidden(domain.through(blind), noisy, domain.sigma, mask=domain.mask, phases=1, seed=seed)


def middle(image: Image, side: int = WINDOW, **longer: int) -> Image:
    """Return the middle of an image: `side` pixels high and wide at most, and one plane of a stack or of frames.

    Along an axis that is named in `longer`, so many planes.

    Examples
    --------
    >>> image = Image(np.zeros((2, 9, 400, 90)), "CZYX")
    >>> middle(image).data.shape, middle(image, Z=5).data.shape
    ((2, 1, 256, 90), (2, 5, 256, 90))
    """
    most = {"Y": side, "X": side, "C": image.sizes.get("C", 1), "S": image.sizes.get("S", 1)} | longer
    cuts = []
    for axis, size in zip(image.axes, image.data.shape, strict=True):
        start = max(0, (size - most.get(axis, 1)) // 2)
        cuts.append(slice(start, start + most.get(axis, 1)))
    return replace(image, data=image.data[tuple(cuts)])
