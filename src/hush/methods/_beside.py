"""Whether neighbouring planes help: what `auto` asks before it shows a network more than one plane at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from hush.core.findings import Decision, Finding
from hush.core.image import Array, Image
from hush.estimation.report import NoiseReport
from hush.methods import _stacks
from hush.methods._base import Denoiser
from hush.quality import risk
from hush.quality.estimate import judge, middle
from hush.vst.stabilizer import Stabilizer

WORTH = 1.2  # planes that the mean of a plane and its neighbours must be worth before it is tried
WHOLE_STACK = 2 * _stacks.HALO + 3  # planes that are judged: most of them have all their neighbours
SURE_ERRORS = 3.0  # standard errors by which the risk must be lower: those of neighbours are not quite independent
SMALL_BLOCK = 16  # side of the blocks from which these are told


def tried(
    alone: Denoiser, build: Callable[[], Denoiser], image: Image, report: NoiseReport, seed: int
) -> tuple[Denoiser | None, list[Decision], Finding | None]:
    """Return the network that sees neighbours too, if it is surely better than a method that sees each plane alone.

    Both are judged on the middle of some planes by Stein's estimate, or by masked pixels where the noise is
    correlated. Other planes have noise of their own, so neither knows what it is judged by.

    Parameters
    ----------
    alone : Denoiser
        Fitted.
    build : callable
        Gives the other one, fitted to the image.
    image : Image
    report : NoiseReport
    seed : int

    Returns
    -------
    Denoiser or None
    list of Decision
    Finding or None
        Why, with how many planes the mean is worth.

    Raises
    ------
    HushError
        Where weights are damaged.
    """
    axis = _stacks.axis_of(image, None)
    if axis is None:
        return None, [], None
    window = middle(image, **{axis: WHOLE_STACK})
    if not np.isfinite(np.asarray(window.data, np.float64)).all():
        return None, [], None
    decisions = [Decision.at_least("planes-in-mean", _worth(window, axis, report), WORTH)]
    if not decisions[0].passed:
        return None, decisions, None
    near = build()
    (risk_near, stein), (risk_alone, of_other) = (_judged(one, window, axis, report, seed) for one in (near, alone))
    if stein is not None and of_other is not None:
        gain, error = _mean_and_error(stein.errors - of_other.errors)
        decisions.append(Decision.at_most("risk-with-neighbours", gain, -SURE_ERRORS * error))
    else:
        limit = risk_alone.value - 2 * float(np.hypot(risk_near.error, risk_alone.error))
        decisions.append(Decision("risk-with-neighbours", risk_near.value, limit, risk_near.below(risk_alone)))
    if not decisions[-1].passed:
        return None, decisions, None
    planes = "frames" if axis == "T" else "planes"
    sentence = (
        f"each with the {planes} beside it, whose mean is worth {decisions[0].value:.1f}: the estimated risk on a "
        f"window is {risk_near.value:.3g} (in units of the noise's variance) against {risk_alone.value:.3g} by itself"
    )
    return near, decisions, Finding("neighbours", sentence, decisions[0].value)


def _judged(
    model: Denoiser, window: Image, axis: str, report: NoiseReport, seed: int
) -> tuple[risk.Risk, risk.Stein | None]:
    """The risk of a method: on all planes where the noise is white, else on the middle one.

    Masked pixels are masked in that plane only: in another one they would be known.
    """
    if all(channel.white for channel in report.channels):
        return judge(model.denoise, window, report, seed)
    at = tuple(slice(size // 2, size // 2 + 1) if letter == axis else slice(None)
               for letter, size in zip(window.axes, window.data.shape, strict=True))  # fmt: skip

    def denoised(plane: Image) -> Image:
        stack = np.array(window.data, np.float32)
        stack[at] = plane.data
        return replace(plane, data=model.denoise(replace(window, data=stack)).data[at])

    return judge(denoised, replace(window, data=window.data[at]), report, seed)


def _mean_and_error(errors: Array) -> tuple[float, float]:
    """The mean of (planes, Y, X), and its standard error from blocks of every plane."""
    high, wide = (max(1, size // SMALL_BLOCK) for size in errors.shape[1:])
    rows, columns = (
        np.linspace(0, size, n + 1).astype(int)[:-1] for size, n in zip(errors.shape[1:], (high, wide), strict=True)
    )
    sums = np.add.reduceat(np.add.reduceat(errors, rows, 1), columns, 2)
    sizes = np.add.reduceat(np.add.reduceat(np.ones_like(errors), rows, 1), columns, 2)
    means = (sums / sizes).ravel()
    if len(means) < 2:
        return float(errors.mean()), float("inf")
    return float(errors.mean()), float(np.std(means, ddof=1) / np.sqrt(len(means)))


def _worth(window: Image, axis: str, report: NoiseReport) -> float:
    """How many planes the mean is worth, see `hush.methods._stacks.planes_in_mean`."""
    return _stacks.planes_in_mean(_stacks.along(window, axis), [Stabilizer(report.channels[0])])
