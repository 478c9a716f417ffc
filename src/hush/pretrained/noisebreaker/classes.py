"""The classes of noise that NoiseBreaker tells apart: a table, and a draw of each."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from hush.core.errors import HushError, unknown
from hush.noise import Noise, NoiseModel, Range, parse

TABLE = Path(__file__).parent / "classes.toml"


@dataclass(frozen=True)
class NoiseClass:
    """A type of noise with a range of its parameter.

    Attributes
    ----------
    name : str
    noise : Noise or None
        For images whose peak is 255; None: there is none, the image is clean.
    denoiser : str or None
        Name of the weights that remove it.
    """

    name: str
    noise: Noise | None = None
    denoiser: str | None = None

    @property
    def level(self) -> str | None:
        """Name of the parameter that is the class's level: the first that is a range, else the first amplitude."""
        return self._given[0] if self._given else None

    @property
    def limits(self) -> tuple[float, float]:
        """Ends of its range; the same where it has none, zero where there is no noise."""
        return self._given[1] if self._given else (0.0, 0.0)

    @property
    def _given(self) -> tuple[str, tuple[float, float]] | None:
        if self.noise is None:
            return None
        pairs = [pair for _, steps in self.noise.terms for _, given in steps for pair in given]
        ranges = [(name, (value.low, value.high)) for name, value in pairs if isinstance(value, Range)]
        fixed = [(name, (float(value),) * 2) for name, value in pairs if isinstance(value, float)]
        return (ranges + fixed)[0] if pairs else None

    def draw(self, rng: np.random.Generator) -> tuple[NoiseModel | None, float]:
        """Draw its noise, and say at what level."""
        low, high = self.limits
        place = float(rng.random())
        return self.at(low + place * (high - low)), low + place * (high - low)

    def at(self, level: float) -> NoiseModel | None:
        """Return its noise at a level, which is kept within its range."""
        low, high = self.limits
        place = float(np.clip((level - low) / (high - low), 0, 1)) if high > low else 0.0
        return None if self.noise is None else self.noise.at([place] * self.noise.ranges)


@lru_cache(maxsize=4)
def classes(path: Path = TABLE) -> tuple[NoiseClass, ...]:
    """Read a table of classes; the shipped one has the eleven of the paper's table 1.

    Raises
    ------
    HushError
        Where a noise is no notation.

    Examples
    --------
    >>> [one.name for one in classes()][-3:]
    ['bernoulli', 'poisson', 'clean']
    >>> str(classes()[1].at(20.0))
    'gaussian:sigma=20'
    """
    rows: Sequence[dict[str, Any]] = tomllib.loads(path.read_text("utf-8"))["class"]
    return tuple(
        NoiseClass(row["name"], parse(row["noise"]) if "noise" in row else None, row.get("denoiser")) for row in rows
    )


def named(text: str, table: Sequence[NoiseClass]) -> list[NoiseClass]:
    """Return the classes that a user names: ``gaussian:35..55,bernoulli``, by name, or by type and range.

    Raises
    ------
    HushError
        Where there is no such class; it says which there are.

    Examples
    --------
    >>> [one.name for one in named("gaussian:35..55,bernoulli", classes())]
    ['gaussian-strong', 'bernoulli']
    """
    return [_one(word.strip(), table) for word in text.split(",")]


def _one(word: str, table: Sequence[NoiseClass]) -> NoiseClass:
    for one in table:
        if word in (one.name, _short(one)):
            return one
    raise unknown("class of noise", word, [_short(one) for one in table], HushError)


def _short(one: NoiseClass) -> str:
    """A class by type and range, as ``gaussian:35..55``; by its type alone where that is enough."""
    if one.noise is None:
        return one.name
    kind, (low, high) = one.noise.terms[0][1][0][0], one.limits
    if one.level in ("p", "photons"):
        return kind
    return f"{kind}:{low:g}..{high:g}" if high > low else f"{kind}:{high:g}"
