"""Noise in sequence and in space, and the notation for it."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hush import registry
from hush.errors import HushError
from hush.noise._check import either, outer
from hush.noise._model import NoiseModel, diagonal, namespace

Array = Any


@dataclass(frozen=True)
class InSequence(NoiseModel):
    """Several noises, one after the other."""

    parts: tuple[NoiseModel, ...]

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


@dataclass(frozen=True)
class InSpace(NoiseModel):
    """Several noises side by side: every pixel belongs to one of them, by chance."""

    parts: tuple[NoiseModel, ...]
    shares: tuple[float, ...]

    def __str__(self) -> str:
        return " | ".join(f"{100 * share:g}% {part}" for share, part in zip(self.shares, self.parts, strict=True))

    def scaled(self, factor: float) -> InSpace:
        """Return the same noise for an image whose values are multiplied by `factor`."""
        return InSpace(tuple(part.scaled(factor) for part in self.parts), self.shares)

    def sample(self, clean: Array, rng: np.random.Generator) -> Array:
        """Return a noisy draw, unclipped."""
        which = rng.choice(len(self.parts), size=clean.shape[1:], p=self.shares)
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
        """Return the clean value's mean and covariance, the parts weighed by their shares."""
        mean, total = self.parts[0].posterior(noisy, mu, cov)
        share = self.shares[0]
        for part, more in zip(self.parts[1:], self.shares[1:], strict=True):
            lost = share / (share + more) + 0 * mean[..., :1]
            mean, total = either(lost, (mean, total), part.posterior(noisy, mu, cov))
            share += more
        return mean, total

    def log_prob(self, noisy: Array, clean: Array) -> Array | None:
        """Return the logarithm of the mixed density, None where a part has none."""
        logs = [part.log_prob(noisy, clean) for part in self.parts]
        if any(one is None for one in logs):
            return None
        xp = namespace(clean)
        return xp.log(sum(share * xp.exp(one) for share, one in zip(self.shares, logs, strict=True)))


@dataclass(frozen=True)
class Range:
    """A parameter that is drawn uniformly, once an image."""

    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.low!r}..{self.high!r}".replace(".0..", "..").removesuffix(".0")


@dataclass(frozen=True)
class Noise:
    """What a notation says: shares of sequences of named models, parameters still as ranges.

    Attributes
    ----------
    terms : tuple
        One for each part of the image: (share, ((name, parameters), ...)).
    """

    terms: tuple[tuple[float, tuple[tuple[str, tuple[tuple[str, Any], ...]], ...]], ...]

    def draw(self, rng: np.random.Generator) -> NoiseModel:
        """Draw the ranges and return the model."""
        parts, shares = [], []
        for share, steps in self.terms:
            models = [registry.get("noise", name)(**{k: _drawn(v, rng) for k, v in given}) for name, given in steps]
            parts.append(models[0] if len(models) == 1 else InSequence(tuple(models)))
            shares.append(share)
        return parts[0] if len(parts) == 1 else InSpace(tuple(parts), tuple(shares))

    def scaled(self, factor: float) -> Noise:
        """Return the same noise for images whose values are multiplied by `factor`."""

        def step(name: str, given: tuple[tuple[str, Any], ...]) -> tuple[str, tuple[tuple[str, Any], ...]]:
            model = registry.get("noise", name)
            defaults = {f.name: f.default for f in dataclasses.fields(model) if f.default is not dataclasses.MISSING}
            values = {**{k: v for k, v in defaults.items() if k in model.amplitudes and v}, **dict(given)}
            return name, tuple((k, _times(v, factor) if k in model.amplitudes else v) for k, v in values.items())

        if factor == 1:
            return self
        return Noise(tuple((share, tuple(step(*one) for one in steps)) for share, steps in self.terms))

    def __str__(self) -> str:
        texts = [" + ".join(_text(*one) for one in steps) for _, steps in self.terms]
        if len(texts) == 1:
            return texts[0]
        return " | ".join(f"{100 * share:g}% {text}" for (share, _), text in zip(self.terms, texts, strict=True))


def _drawn(value: Any, rng: np.random.Generator) -> Any:
    return float(rng.uniform(value.low, value.high)) if isinstance(value, Range) else value


def _times(value: Any, factor: float) -> Any:
    return Range(value.low * factor, value.high * factor) if isinstance(value, Range) else value * factor


def _text(name: str, given: Sequence[tuple[str, Any]]) -> str:
    words = (
        f"{key}={value if isinstance(value, (str, Range)) else repr(value).removesuffix('.0')}" for key, value in given
    )
    return f"{name}:{','.join(words)}" if given else name


def parse(text: str) -> Noise:
    """Read the notation of noise.

    ``gaussian:sigma=25``; ``+`` for one after the other; ``|`` with shares for side by side; a range
    ``0..55`` is drawn once an image. Amplitudes are for images whose peak is 255: see `Noise.scaled`.

    Raises
    ------
    HushError
        Quoting what was typed, with the mistake underlined, and what is possible.

    Examples
    --------
    >>> parse("gaussian:sigma=25").draw(np.random.default_rng(0))
    Gaussian(sigma=25.0)
    >>> str(parse("10% uniform:s=50 | 90% gaussian:sigma=0..5 + bernoulli:p=0.1"))
    '10% uniform:s=50 | 90% gaussian:sigma=0..5 + bernoulli:p=0.1'
    """
    terms, at = [], 0
    pieces = text.split("|")
    for piece in pieces:
        share, start = 1.0, at
        if len(pieces) > 1:
            percent, sign, _ = piece.partition("%")
            if not sign:
                raise mistake(text, at, piece, "each part needs its share, for example '10% uniform:s=50'")
            share = _number(text, at, percent) / 100
            start = at + len(percent) + 1
        terms.append((share, _sequence(text, start, text[start : at + len(piece)])))
        at += len(piece) + 1
    if abs(sum(share for share, _ in terms) - 1) > 1e-6:
        total = 100 * sum(share for share, _ in terms)
        raise mistake(text, 0, text, f"the shares sum to {total:g} %; they must sum to 100 %")
    noise = Noise(tuple(terms))
    return noise


def _sequence(text: str, at: int, piece: str) -> tuple[tuple[str, tuple[tuple[str, Any], ...]], ...]:
    steps = []
    for part in piece.split("+"):
        steps.append(_model(text, at, part))
        at += len(part) + 1
    return tuple(steps)


def _model(text: str, at: int, part: str) -> tuple[str, tuple[tuple[str, Any], ...]]:
    name, colon, rest = part.partition(":")
    key = name.strip().replace("-", "_")
    if not key:
        raise mistake(text, at, part, "a noise is missing here")
    try:
        model = registry.get("noise", key)
    except HushError as error:
        raise mistake(text, at, name, str(error)) from None
    fields = {field.name: field for field in dataclasses.fields(model)}
    given: dict[str, Any] = {}
    at += len(name) + 1
    for pair in rest.split(",") if colon else []:
        given |= _pair(text, at, pair, key, model, given)
        at += len(pair) + 1
    for field in fields.values():
        if field.default is dataclasses.MISSING and field.name not in given:
            example = ",".join(f"{f}=..." for f in fields if fields[f].default is dataclasses.MISSING)
            raise mistake(text, text.find(part), part, f"{key} needs {field.name}: {key}:{example}")
    for end in ("low", "high"):  # both ends of its ranges must be possible
        try:
            model(**{k: getattr(v, end) if isinstance(v, Range) else v for k, v in given.items()})
        except HushError as error:
            raise mistake(text, text.find(part), part, str(error)) from None
    return key, tuple(given.items())


def _pair(text: str, at: int, pair: str, key: str, model: Any, before: dict[str, Any]) -> dict[str, Any]:
    from hush.errors import unknown

    name, equals, value = pair.partition("=")
    name = name.strip()
    if not equals:
        raise mistake(text, at, pair, f"expected name=value for {key}")
    known = [field.name for field in dataclasses.fields(model)]
    if name not in known:
        raise mistake(text, at, pair.partition("=")[0], str(unknown(f"parameter of {key}", name, known)))
    if name in before:
        raise mistake(text, at, pair, f"{name} is given twice")
    if typing.get_type_hints(model)[name] is not float:
        return {name: value.strip()}
    at += len(pair) - len(value)
    low, dots, high = value.partition("..")
    if not dots:
        return {name: _number(text, at, value)}
    ends = Range(_number(text, at, low), _number(text, at + len(low) + 2, high))
    if ends.high < ends.low:
        raise mistake(text, at, value, "the range runs backwards: low..high")
    return {name: ends}


def _number(text: str, at: int, word: str) -> float:
    try:
        value = float(word)
    except ValueError:
        value = float("nan")
    if not np.isfinite(value):
        raise mistake(text, at, word, f"{word.strip()!r} is no number")
    return value


def mistake(text: str, at: int, piece: str, what: str) -> HushError:
    """Make the error that quotes what was typed and underlines a piece of it."""
    lead = len(piece) - len(piece.lstrip())
    width = max(1, len(piece.strip()))
    return HushError(f"{what}\n  {text}\n  {' ' * (at + (lead if piece.strip() else 0))}{'^' * width}")
