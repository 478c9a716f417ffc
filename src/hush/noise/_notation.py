"""The notation of noise, which is also that of noise in sequence and in space."""

from __future__ import annotations

import dataclasses
import re
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hush.core import registry
from hush.core.errors import HushError, unknown
from hush.noise._base import NoiseModel
from hush.noise._mixture import InSequence, InSpace, percent

Array = Any


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
        return self._model(lambda one: float(rng.uniform(one.low, one.high)))

    @property
    def ranges(self) -> int:
        """How many of its parameters are ranges."""
        return sum(isinstance(v, Range) for _, steps in self.terms for _, given in steps for _, v in given)

    def at(self, places: Sequence[float]) -> NoiseModel:
        """Return the model with each range at a place between its ends: 0 is its low one, 1 its high one."""
        left = iter(places)
        return self._model(lambda one: one.low + next(left) * (one.high - one.low))

    def _model(self, pick: Callable[[Range], float]) -> NoiseModel:
        parts, shares = [], []
        for share, steps in self.terms:
            models = [
                registry.get("noise", name)(**{k: pick(v) if isinstance(v, Range) else v for k, v in given})
                for name, given in steps
            ]
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

        factor = float(factor)  # a number of numpy would write itself as np.float64(...)
        if factor == 1:
            return self
        return Noise(tuple((share, tuple(step(*one) for one in steps)) for share, steps in self.terms))

    def __str__(self) -> str:
        texts = [" + ".join(_text(*one) for one in steps) for _, steps in self.terms]
        if len(texts) == 1:
            return texts[0]
        return " | ".join(f"{percent(share)}% {text}" for (share, _), text in zip(self.terms, texts, strict=True))


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
        before, sign, _ = piece.partition("%")
        if sign:
            share = _number(text, at, before) / 100
            if share <= 0:
                raise mistake(text, at, before, "a share is more than 0 %")
            start = at + len(before) + 1
        elif len(pieces) > 1:
            raise mistake(text, at, piece, "each part needs its share, for example '10% uniform:s=50'")
        terms.append((share, _sequence(text, start, text[start : at + len(piece)])))
        at += len(piece) + 1
    if abs(sum(share for share, _ in terms) - 1) > 1e-6:
        total = 100 * sum(share for share, _ in terms)
        raise mistake(text, 0, text, f"the shares sum to {total:g} %; they must sum to 100 %")
    return Noise(tuple(terms))


def _sequence(text: str, at: int, piece: str) -> tuple[tuple[str, tuple[tuple[str, Any], ...]], ...]:
    steps = []
    for part in re.split(r"(?<![\d.][eE])\+", piece):  # 1e+17 is a number
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
    begin, at = at, at + len(name) + 1
    for pair in rest.split(",") if colon else []:
        given |= _pair(text, at, pair, key, model, given)
        at += len(pair) + 1
    for field in fields.values():
        if field.default is dataclasses.MISSING and field.name not in given:
            example = ",".join(f"{f}=..." for f in fields if fields[f].default is dataclasses.MISSING)
            raise mistake(text, begin, part, f"{key} needs {field.name}: {key}:{example}")
    for end in ("low", "high"):  # both ends of its ranges must be possible
        try:
            model(**{k: getattr(v, end) if isinstance(v, Range) else v for k, v in given.items()})
        except HushError as error:
            raise mistake(text, begin, part, str(error)) from None
    return key, tuple(given.items())


def _pair(text: str, at: int, pair: str, key: str, model: Any, before: dict[str, Any]) -> dict[str, Any]:
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
        value = float("nan" if "_" in word else word)  # Python would read 1_0 as 10
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
