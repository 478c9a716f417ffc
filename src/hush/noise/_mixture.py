"""Noise drawn from a notation with several parts: in sequence, and in space."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np

from hush.noise._base import NoiseModel, diagonal, namespace, solve
from hush.noise._formulas import Weighed, either, log_normal_vector, mixture, outer
from hush.noise.bernoulli import Bernoulli
from hush.noise.gaussian import Gaussian
from hush.noise.impulse import Impulse
from hush.noise.poisson import Poisson
from hush.noise.poisson_gaussian import PoissonGaussian
from hush.noise.salt_pepper import SaltPepper

Array = Any


@dataclass(frozen=True)
class InSequence(NoiseModel):
    """Several noises, one after the other."""

    parts: tuple[NoiseModel, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "pixelwise", all(part.pixelwise for part in self.parts))

    def __str__(self) -> str:
        return " + ".join(map(str, self.parts))

    def scaled(self, factor: float) -> InSequence:
        """Return the same noise for an image whose values are multiplied by `factor`."""
        return InSequence(tuple(part.scaled(factor) for part in self.parts))

    def sample(self, clean: Array, rng: np.random.Generator) -> Array:
        """Return a noisy draw, unclipped."""
        for part in self.parts:
            clean = part.sample(clean, rng)
        return clean

    def moments(self, clean: Array) -> tuple[Array, Array]:
        """Return mean and variance: each part sees the mean and variance that the one before it left."""
        mean, cov = self.marginal(clean, diagonal(0 * clean))
        return mean, namespace(cov).diagonal(cov, 0, -2, -1)

    def marginal(self, mu: Array, cov: Array) -> tuple[Array, Array]:
        """Return the noisy value's mean and covariance, part after part."""
        for part in self.parts:
            mu, cov = part.marginal(mu, cov)
        return mu, cov

    def posterior(self, noisy: Array, mu: Array, cov: Array) -> tuple[Array, Array]:
        """Return the clean value's mean and covariance: back through the last part as it says, others linearly.

        Pixels lost in the last part are known as lost; of what came before only means and covariances are used.
        """
        stages = [(mu, cov)]
        for part in self.parts:
            stages.append(part.marginal(*stages[-1]))
        mean, left = self.parts[-1].posterior(noisy, *stages[-2])
        for part, before, after in reversed(list(zip(self.parts[:-1], stages[:-2], stages[1:-1], strict=True))):
            # the smoother of Rauch, Tung and Striebel (1965): what is now known of the value after this part
            slope = part.moments(before[0] + 1)[0] - part.moments(before[0])[0]  # lost pixels follow the clean less
            back = solve(after[1], slope[..., :, None] * before[1])
            mean = before[0] + (back * (mean - after[0])[..., :, None]).sum(-2)
            left = before[1] + back.swapaxes(-1, -2) @ (left - after[1]) @ back
        return mean, left

    def log_prob(self, noisy: Array, clean: Array) -> Array | None:
        """Return the logarithm of the density, or of a probability: see `atom`.

        Of lost, stuck and hit pixels in any order with one noise of another kind, or with photons and read noise.
        None of others: of impulses before another noise, and of several noises whose sum has no formula.
        """
        found = _in_sequence(self.parts, noisy, clean)
        return None if found is None else found[0]

    def atom(self, noisy: Array, clean: Array) -> Array:
        """Return where a value has a probability."""
        found = _in_sequence(self.parts, noisy, clean)
        return super().atom(noisy, clean) if found is None else found[1]


def _in_sequence(parts: Sequence[NoiseModel], noisy: Array, clean: Array) -> tuple[Array, Array] | None:
    """The logarithm of density or probability, and where it is the latter; None where there is no formula."""
    if not all(part.pixelwise for part in parts):
        return None
    first, *others = parts
    if not others:
        log = first.log_prob(noisy, clean)
        return None if log is None else (log, first.atom(noisy, clean))
    if isinstance(parts[-1], (Bernoulli, SaltPepper, Impulse)):
        before = _in_sequence(parts[:-1], noisy, clean)
        return None if before is None else _mixed(parts[-1].over(noisy, clean, (1, *before)))
    if isinstance(first, (Bernoulli, SaltPepper)):
        after = [(share, _in_sequence(others, noisy, value + 0 * clean)) for share, value in first.stuck]
        after.append((1 - first.p, _in_sequence(others, noisy, clean)))
        return _mixed([(share, *one) for share, one in after if one is not None]) if after[0][1] else None
    if isinstance(parts[1], Gaussian):  # read noise, once more
        if isinstance(first, Gaussian):
            return _in_sequence((Gaussian(_root(first.sigma, parts[1].sigma)), *others[1:]), noisy, clean)
        if isinstance(first, Poisson) or type(first) is PoissonGaussian:
            known = first.parameters
            read = _root(known.get("sigma", 0.0), parts[1].sigma)
            light = PoissonGaussian(first.gain, known.get("offset", 0.0), read)
            return _in_sequence((light, *others[1:]), noisy, clean)
    return None


def _root(one: Any, other: Any) -> Any:
    return (one**2 + other**2) ** 0.5


def _mixed(parts: Sequence[Weighed]) -> tuple[Array, Array]:
    return mixture(parts), reduce(lambda one, other: one | other, [atom for _, _, atom in parts])


@dataclass(frozen=True)
class InSpace(NoiseModel):
    """Several noises side by side: every pixel belongs to one of them, by chance."""

    parts: tuple[NoiseModel, ...]
    shares: tuple[float, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "pixelwise", all(part.pixelwise for part in self.parts))

    def __str__(self) -> str:
        return " | ".join(f"{percent(share)}% {part}" for share, part in zip(self.shares, self.parts, strict=True))

    def scaled(self, factor: float) -> InSpace:
        """Return the same noise for an image whose values are multiplied by `factor`."""
        return InSpace(tuple(part.scaled(factor) for part in self.parts), self.shares)

    def sample(self, clean: Array, rng: np.random.Generator) -> Array:
        """Return a noisy draw, unclipped."""
        shares = np.array(self.shares) / sum(self.shares)  # numpy is stricter about their sum than the notation
        which = rng.choice(len(self.parts), size=clean.shape[1:], p=shares)
        return np.choose(which, [part.sample(clean, rng) for part in self.parts])

    def moments(self, clean: Array) -> tuple[Array, Array]:
        """Return mean and variance of the noisy value of a pixel of unknown part."""
        both = [part.moments(clean) for part in self.parts]
        mean = sum(share * one[0] for share, one in zip(self.shares, both, strict=True))
        square = sum(share * (one[1] + one[0] ** 2) for share, one in zip(self.shares, both, strict=True))
        return mean, square - mean**2

    def marginal(self, mu: Array, cov: Array) -> tuple[Array, Array]:
        """Return the noisy value's mean and covariance."""
        both = [part.marginal(mu, cov) for part in self.parts]
        mean = sum(share * one[0] for share, one in zip(self.shares, both, strict=True))
        square = sum(share * (one[1] + outer(one[0])) for share, one in zip(self.shares, both, strict=True))
        return mean, square - outer(mean)

    def posterior(self, noisy: Array, mu: Array, cov: Array) -> tuple[Array, Array]:
        """Return the clean value's mean and covariance.

        The parts are weighed by their shares and by how likely each makes the noisy value (as a Gaussian).
        """
        xp, weighed = namespace(mu), []
        for part, share in zip(self.parts, self.shares, strict=True):
            expected, total = part.marginal(mu, cov)
            weighed.append((log_normal_vector(noisy - expected, total) + math.log(share), part))
        weight, first = weighed[0]
        mean, left = first.posterior(noisy, mu, cov)
        for more, part in weighed[1:]:
            both = xp.logaddexp(weight, more)
            mean, left = either(xp.exp(weight - both)[..., None], (mean, left), part.posterior(noisy, mu, cov))
            weight = both
        return mean, left

    def log_prob(self, noisy: Array, clean: Array) -> Array | None:
        """Return the logarithm of the mixed density, or of a probability (see `atom`); None where a part has none."""
        logs = [part.log_prob(noisy, clean) for part in self.parts]
        atoms = [part.atom(noisy, clean) for part in self.parts]
        both = zip(self.shares, logs, atoms, strict=True)
        known = [(share, log, atom) for share, log, atom in both if log is not None]
        return mixture(known) if len(known) == len(logs) else None

    def atom(self, noisy: Array, clean: Array) -> Array:
        """Return where a value has a probability in one of the parts."""
        return reduce(lambda one, other: one | other, [part.atom(noisy, clean) for part in self.parts])


def percent(share: float) -> str:
    """Write a share as the shortest percentage that reads back as the same number.

    Examples
    --------
    >>> percent(0.07), percent(0.125)
    ('7', '12.5')
    """
    near = (100 * share, math.nextafter(100 * share, 0), math.nextafter(100 * share, math.inf))
    texts = (f"{number:.{digits}g}" for digits in range(3, 18) for number in near)  # 3: no 3e+01
    return next((text for text in texts if float(text) / 100 == share), repr(100 * share))
