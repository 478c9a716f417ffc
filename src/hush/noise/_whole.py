"""What a notation says of pixels that are not lost: a sum, a mixture or ranges as one noise over brightness."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from hush.noise._base import NoiseModel
from hush.noise._mixture import InSequence, InSpace
from hush.noise._notation import Noise
from hush.noise.chequerboard import Chequerboard
from hush.noise.gaussian import Gaussian
from hush.noise.poisson import Poisson
from hush.noise.poisson_gaussian import PoissonGaussian
from hush.noise.rician import Rician
from hush.noise.stripes import Stripes

Ends = tuple[float, float]
LEVEL_STEPS = 33  # of brightness, at which variance is taken
EVEN_VARIANCE = 0.01  # share of the variance that it changes by where it is the same at all brightnesses
RANGE_TURNS, RANGE_TRIED = 4, 31  # in which ranges are decided one after the other, and places that are tried of each
SMALL_SHARE = 1e-4  # share of brightness; a deviation that counts for nothing


def remaining(model: NoiseModel) -> tuple[float, NoiseModel | None]:
    """Return the share of pixels that are not lost or stuck, and their noise, None for none; patterns are none of it.

    Examples
    --------
    >>> share, left = remaining(InSpace((Gaussian(5.0), Gaussian(9.0)), (0.5, 0.5)))
    >>> share, str(left)
    (1.0, '50% gaussian:sigma=5 | 50% gaussian:sigma=9')
    """
    if isinstance(model, InSequence):
        each = [remaining(part) for part in model.parts]
        left = [one for _, one in each if one is not None]
        share = math.prod(share for share, _ in each)
        return share, InSequence(tuple(left)) if len(left) > 1 else left[0] if left else None
    if isinstance(model, InSpace):
        each = [remaining(part) for part in model.parts]
        shares = [share * one for share, (one, _) in zip(model.shares, each, strict=True)]
        parts = [(one or Gaussian(0.0), share) for (_, one), share in zip(each, shares, strict=True) if share > 0]
        if not any(one for _, one in each):
            return sum(shares), None
        if len(parts) == 1:
            return sum(shares), parts[0][0]
        return sum(shares), InSpace(tuple(one for one, _ in parts), tuple(share / sum(shares) for _, share in parts))
    if isinstance(model, (Stripes, Chequerboard)):
        return 1.0, None
    return (1 - model.parameters["p"], None) if "p" in model.parameters else (1.0, model)


def stripes(model: NoiseModel) -> dict[str, float]:
    """Return the amplitude of the offsets of ``rows`` and ``columns`` in a noise or a sum of noises.

    Examples
    --------
    >>> stripes(InSequence((Gaussian(5.0), Stripes(3.0, "columns"))))
    {'columns': 3.0}
    """
    parts = model.parts if isinstance(model, InSequence) else (model,)
    return {part.axis: part.amplitude for part in parts if isinstance(part, Stripes)}


def as_one(model: NoiseModel, ends: Ends) -> NoiseModel:
    """Return one noise for a sum or a mixture: of the same variance, or the line that fits it best between two ends.

    Examples
    --------
    >>> as_one(InSequence((Poisson(255.0), Gaussian(25.0))), (0, 255))
    PoissonGaussian(gain=1.0, offset=0.0, sigma=25.0)
    """
    if not isinstance(model, (InSequence, InSpace)):
        return model
    light = [part for part in getattr(model, "parts", ()) if isinstance(part, (Poisson, PoissonGaussian))]
    bright = np.linspace(*ends, LEVEL_STEPS)
    variance = model.moments(bright[:, None])[1][:, 0]
    if isinstance(model, InSequence) and any(isinstance(part, Rician) for part in model.parts):
        return Rician(math.sqrt(float(variance[-1])))
    if isinstance(model, InSequence) and len(light) == 1:
        others = [part.moments(bright[:, None])[1][:, 0] for part in model.parts if part is not light[0]]
        if all(np.ptp(each) <= 1e-9 * each.max() for each in others):  # nothing but an amount at every brightness
            read = float(getattr(light[0], "sigma", 0.0)) ** 2 + sum(float(each[0]) for each in others)
            return PoissonGaussian(light[0].gain, float(getattr(light[0], "offset", 0.0)), math.sqrt(read))
    middle, level = float(bright.mean()), float(variance.mean())
    slope = float(np.polyfit(bright - middle, variance, 1)[0])
    slope = min(slope, level / (middle - ends[0]))  # no variance below zero at the dark end
    if slope * (ends[1] - ends[0]) <= EVEN_VARIANCE * level:
        return Gaussian(math.sqrt(level))
    return PoissonGaussian.from_line(slope, level - slope * middle)


def decided(noise: Noise, seen: Callable[[np.ndarray], np.ndarray], ends: Ends) -> tuple[NoiseModel, list[NoiseModel]]:
    """Decide ranges by the variance that was seen: each becomes what of it fits best.

    Parameters
    ----------
    noise : Noise
        With ranges.
    seen : callable
        Brightness -> variance.
    ends : tuple of float
        Of brightness.

    Returns
    -------
    model : NoiseModel
    limits : list of NoiseModel
        With every range at its quieter end, and at its louder one.
    """
    bright = np.linspace(*ends, 3)
    least = (SMALL_SHARE * (ends[1] - ends[0])) ** 2
    wanted = np.log(np.maximum(seen(bright), 0) + least)

    def variance(places: Sequence[float]) -> np.ndarray:
        left = remaining(noise.at(places))[1]
        each = 0 * bright if left is None else as_one(left, ends).moments(bright[:, None])[1][:, 0]
        return np.asarray(each)

    def away(places: Sequence[float]) -> float:
        return float(np.square(np.log(variance(places) + least) - wanted).sum())

    places, quiet, loud = ([each] * noise.ranges for each in (0.5, 0.0, 1.0))
    for which in range(noise.ranges):
        low, high = (variance(_with(places, which, end)).sum() for end in (0.0, 1.0))
        if low > high:
            quiet[which], loud[which] = 1.0, 0.0
    for which in list(range(noise.ranges)) * (RANGE_TURNS if noise.ranges > 1 else 1):
        places = _with(places, which, _best(partial(_along, away, places, which)))
    return noise.at(places), [noise.at(quiet), noise.at(loud)]


def _with(places: Sequence[float], which: int, place: float) -> list[float]:
    return [*places[:which], place, *places[which + 1 :]]


def _along(away: Callable[[Sequence[float]], float], places: Sequence[float], which: int, place: float) -> float:
    return away(_with(places, which, place))


def _best(away: Callable[[float], float]) -> float:
    """The place between 0 and 1 where a function is least, near zero the finer; an end where that is as good."""
    from scipy import optimize  # slow to import, and for ranges alone

    tried = np.linspace(0, 1, RANGE_TRIED) ** 3
    at = int(np.argmin([away(place) for place in tried]))
    ends = float(tried[max(at - 1, 0)]), float(tried[min(at + 1, RANGE_TRIED - 1)])
    found = float(optimize.minimize_scalar(away, bounds=ends, method="bounded", options={"xatol": 1e-7}).x)
    return min((float(tried[at]), found), key=away)
