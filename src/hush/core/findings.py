"""What a user should know about a result, and the decisions behind it: each with a code and a figure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from hush.core.errors import HushWarning


@dataclass(frozen=True)
class Finding:
    """A warning, a doubt, or a reason.

    Attributes
    ----------
    code : str
        Names its kind, in kebab case; it stays the same when the sentence changes.
    sentence : str
        For people.
    figure : float or None
        What was measured, where something was.

    Examples
    --------
    >>> Finding("contrast-changed", "The contrast is 0.9 of what it was.", 0.9).as_dict()["code"]
    'contrast-changed'
    """

    code: str
    sentence: str
    figure: float | None = None

    def __str__(self) -> str:
        return self.sentence

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)

    def warning(self) -> HushWarning:
        """Return it as the warning that Python raises."""
        found = HushWarning(self.sentence)
        found.code, found.figure = self.code, self.figure
        return found


@dataclass(frozen=True)
class Decision:
    """A threshold that decided something, and what it saw.

    Attributes
    ----------
    name : str
        What was asked.
    value : float
    limit : float or tuple of float
        A bound, or a range.
    passed : bool
        The answer.
    """

    name: str
    value: float
    limit: float | tuple[float, float]
    passed: bool

    @classmethod
    def within(cls, name: str, value: float, low: float, high: float) -> Decision:
        """Decide whether a value lies between two others."""
        return cls(name, float(value), (low, high), bool(low < value < high))

    @classmethod
    def at_least(cls, name: str, value: float, limit: float) -> Decision:
        """Decide whether a value reaches a limit."""
        return cls(name, float(value), limit, bool(value >= limit))

    @classmethod
    def at_most(cls, name: str, value: float, limit: float) -> Decision:
        """Decide whether a value keeps a limit."""
        return cls(name, float(value), limit, bool(value <= limit))

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; what is infinite becomes none."""

        def plain(number: float) -> float | None:
            return number if abs(number) < float("inf") else None

        limit = [plain(end) for end in self.limit] if isinstance(self.limit, tuple) else plain(self.limit)
        return {"name": self.name, "value": plain(self.value), "limit": limit, "passed": self.passed}


def as_findings(entries: Any) -> list[Mapping[str, Any]]:
    """Return a file's own remarks, which are plain sentences, beside findings of a result."""
    return [entry if isinstance(entry, Mapping) else Finding("file", str(entry)).as_dict() for entry in entries]
