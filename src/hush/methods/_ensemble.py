"""Blend: of methods that were tried on an image, the one that is surely better, or a weighted mean of several."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import optimize

from hush.core.findings import Decision, Finding
from hush.core.image import Array, Image, as_image, cast
from hush.core.pieces import Need
from hush.methods._base import Denoiser, Report, Result, Strength, warn
from hush.quality.risk import Risk, Stein

OTHER_WEIGHT = 0.1  # share of every other method before anything is known: development images have 0 to 0.3
BESIDE = 0.15  # share of the other of two methods of which nothing will be known
EVIDENCE = 512**2  # pixels of the window whose evidence counts as much as that
FAR_APART = 3.0  # times the best method's risk, beyond which another has no share by being usual
LEAST_WEIGHT = 0.03  # share below which a method is not worth its time


@dataclass(frozen=True)
class Trial:
    """A method that was tried on a window of the image.

    Attributes
    ----------
    method : str
    settings : dict
    risk : Risk
        Mean squared error, in units of the noise's variance.
    """

    method: str
    settings: dict[str, Any]
    risk: Risk

    @property
    def name(self) -> str:
        """Its method, or the weights that were named."""
        return str(self.settings.get("weights") or self.method)


@dataclass(frozen=True)
class Candidate:
    """A fitted method with its trial, and Stein's estimate where there is one."""

    trial: Trial
    model: Denoiser
    stein: Stein | None

    @property
    def flattered(self) -> bool:
        """Whether it learned from the very noise with which Stein's formula judges it: of that it knows nothing."""
        return self.stein is not None and self.model.learned_from_image


@dataclass(kw_only=True, eq=False)
class Blend(Denoiser):
    """A weighted mean of fitted methods, of every frame by itself; strengths are theirs.

    Attributes
    ----------
    models : sequence of Denoiser
        Fitted, the usual one first.
    shares : sequence of float
        One a model; together 1.
    """

    models: Sequence[Denoiser] = ()
    shares: Sequence[float] = ()

    @property
    def method(self) -> str:
        """The names of the methods, or of the weights that were named."""
        return " + ".join(model.label for model in self.models)

    @property
    def blind(self) -> bool:
        """As the first method."""
        return self.models[0].blind

    @property
    def level_factors(self) -> Sequence[float]:
        """Those of the first method."""
        return self.models[0].level_factors

    @property
    def cuts(self) -> bool:
        """Whether all methods can work on pieces."""
        return all(model.cuts for model in self.models)

    def need(self, image: Image) -> Need:
        """Say what all methods need to work on pieces of an image: the most of each, on a grid that suits all."""
        needs = [model.need(image) for model in self.models]
        return Need(
            max(need.margin for need in needs),
            math.lcm(*(need.multiple for need in needs)),
            min(need.side for need in needs),
            max(need.pixel_bytes for need in needs),
            whole=any(need.whole for need in needs),
        )

    def freeze(self, sample: Image) -> None:
        """Let every method find out what depends on all of an image."""
        self.models = [model.frozen(sample) for model in self.models]

    def run(
        self,
        image: Image | Array,
        out: Array | None = None,
        done: Report | None = None,
        std: Array | None = None,
        strength: Strength | None = None,
    ) -> Result:
        """Denoise with each method in float32, and convert their mean once."""
        noisy = as_image(image)
        clean = np.empty(noisy.data.shape, noisy.data.dtype) if out is None else out
        sizes = [1 if axis in "CSYX" else size for axis, size in zip(noisy.axes, noisy.data.shape, strict=True)]
        frames = list(itertools.product(*map(range, sizes)))
        infos: list[dict[str, Any]] = []
        for number, frame in enumerate(frames):
            cut = tuple(
                slice(None) if axis in "CSYX" else slice(at, at + 1) for axis, at in zip(noisy.axes, frame, strict=True)
            )
            view = replace(noisy, data=np.asarray(noisy.data[cut], np.float32))
            mean = np.zeros(view.data.shape, np.float32)
            for turn, (model, share) in enumerate(zip(self.models, self.shares, strict=True)):
                result = model.run(view, strength=strength or self.own_strength)
                mean += np.float32(share) * result.image.data
                infos.append(result.info)
                if done is not None:
                    done(number * len(self.models) + turn + 1, len(frames) * len(self.models))
            clean[cut] = cast(mean, clean.dtype)
        if noisy.alpha and "S" in noisy.axes:
            clean[noisy.colour(-1)] = noisy.data[noisy.colour(-1)]
        info = infos[0] | {"warnings": [], "seconds": round(sum(one["seconds"] for one in infos), 3)}
        for found in (found for one in infos for found in one["warnings"]):
            warn(info, Finding(**found))
        return Result(replace(noisy, data=clean), None, info)


def choose(tried: Sequence[Candidate]) -> tuple[Candidate, Finding | None, list[Decision]]:
    """Return what is surely better than the first of several methods, or it; why, if it is another; and the decisions.

    One method takes its place if its risk is lower by two standard errors; none that is `flattered`. Then all are
    weighed: means of methods that err in different ways err less than each, what is flattered with its usual share at
    most. A mean is taken if its risk is lower by two standard errors of the difference.

    Parameters
    ----------
    tried : sequence of Candidate
        The usual one first.
    """
    best, reason, decisions = tried[0], None, []
    for one in tried[1:]:
        decisions.append(_surely_better(one, best))
        if decisions[-1].passed:
            best = one
    if best is not tried[0]:
        sentence = f"{best.trial.name}, {_against(best.trial, tried[0].trial)}"
        reason = Finding("lower-risk", sentence, best.trial.risk.value)
    most = FAR_APART * abs(best.trial.risk.value)
    others = [one for one in tried if one is not best and one.trial.risk.value <= most]
    known = [one for one in (best, *others) if one.stein is not None]
    if best.stein is None or len(known) < 2:
        return best, reason, decisions
    mean = _mean_of(known)
    if mean is None or mean.stein is None:
        return best, reason, decisions
    gain = mean.stein.less(best.stein)
    decisions.append(Decision.at_most("risk-of-mean", gain.value, -2 * gain.error))
    if not decisions[-1].passed:
        return best, reason, decisions
    shares = mean.trial.settings["shares"]
    words = " and ".join(f"{share:.0%} {name}" for name, share in shares.items())
    sentence = f"the mean of {words}, {_against(mean.trial, best.trial)}"
    return mean, Finding("mean-of-methods", sentence, mean.trial.risk.value), decisions


def _surely_better(one: Candidate, best: Candidate) -> Decision:
    """Whether a method's risk is lower by two standard errors of the difference."""
    risk, other = one.trial.risk, best.trial.risk
    limit = other.value - 2 * float(np.hypot(risk.error, other.error))
    return Decision(f"risk-{one.trial.name}", risk.value, limit, risk.below(other) and not one.flattered)


def _against(better: Trial, worse: Trial) -> str:
    return (
        f"whose estimated risk on a window is {better.risk.value:.3g} (in units of the noise's variance) against "
        f"{worse.risk.value:.3g} of {worse.name}"
    )


def _mean_of(known: Sequence[Candidate]) -> Candidate | None:
    """The mean of several methods that is best, as far as can be told; None where it is the first alone."""
    parts = [one.stein for one in known if one.stein is not None]
    most = [1.0, *(OTHER_WEIGHT if one.flattered else 1.0 for one in known[1:])]
    kept = [(one, share) for one, share in zip(known, weigh(parts, most), strict=True) if share >= LEAST_WEIGHT]
    if len(kept) < 2 or kept[0][0] is not known[0]:
        return None
    shares = [float(share / sum(share for _, share in kept)) for _, share in kept]
    models = [one.model for one, _ in kept]
    stein = Stein.of_mean([one.stein for one, _ in kept if one.stein is not None], shares)
    model = _blend(models, shares)
    named = {one.trial.name: round(share, 3) for (one, _), share in zip(kept, shares, strict=True)}
    return Candidate(Trial(model.method, {"shares": named}, stein.risk), model, stein)


def beside(model: Denoiser, other: Denoiser) -> Blend:
    """Return the mean of two fitted methods whose errors cannot be told: nearly all of the first."""
    return _blend([model, other], [1 - BESIDE, BESIDE])


def _blend(models: Sequence[Denoiser], shares: Sequence[float]) -> Blend:
    first = models[0]
    return Blend(ndim=first.ndim, joint_channels=first.joint_channels, seed=first.seed, models=models, shares=shares)


def weigh(parts: Sequence[Stein], most: Sequence[float] | None = None) -> Array:
    """Return the shares, together 1, with which the mean of methods has the lowest estimated risk.

    The fewer pixels there are to tell by, the nearer they stay to what is usual: nearly all for the first.

    Parameters
    ----------
    parts : sequence of Stein
        Of the same noisy image.
    most : sequence of float, optional
        The most that each may have.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> errors = rng.normal(0, 1, (2, 1, 2048, 2048))  # of two methods, of the same size and independent
    >>> zero = np.zeros(errors.shape[1:])
    >>> weigh([Stein(error, zero, zero) for error in errors]).round(1)
    array([0.5, 0.5])
    """
    count, size = len(parts), parts[0].away.size
    usual = np.array([1 - OTHER_WEIGHT * (count - 1), *[OTHER_WEIGHT] * (count - 1)])
    away = np.stack([part.away.ravel() for part in parts]).astype(np.float64)
    square, passed = away @ away.T / size, np.array([float(np.mean(part.passed)) for part in parts])
    found = optimize.minimize(
        lambda shares: (shares @ square @ shares + passed @ shares, 2 * square @ shares + passed),
        usual,
        jac=True,
        method="SLSQP",
        bounds=[(0.0, limit) for limit in most or [1.0] * count],
        constraints={"type": "eq", "fun": lambda shares: shares.sum() - 1, "jac": lambda shares: np.ones(count)},
        options={"ftol": 1e-12},
    ).x
    trust = size / (size + EVIDENCE)
    shares: Array = trust * found + (1 - trust) * usual
    return shares
