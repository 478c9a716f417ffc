"""What the tables of several studies share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import stats

Row = dict[str, Any]


def difference(values: Sequence[float]) -> str:
    """Say a mean paired difference with its 95 % interval (Student's t).

    Examples
    --------
    >>> difference([1.0, 2.0, 3.0])
    '+2.00 ± 2.48'
    """
    if len(values) < 2:
        return "–" if not values else f"{values[0]:+.2f}"
    half = stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values))
    return f"{np.mean(values):+.2f} ± {half:.2f}"


def percent(values: Sequence[float]) -> str:
    """Say a median as a percentage, a dash for none."""
    return f"{np.median(values):.1%}" if values else "–"


def mean(values: Sequence[float]) -> float:
    """Return the mean of those that are finite."""
    known = [value for value in values if np.isfinite(value)]
    return float(np.mean(known)) if known else float("nan")


def groups(rows: Sequence[Row], *keys: str) -> list[list[Row]]:
    """Rows that agree in the keys, in order of appearance."""
    found: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        found.setdefault(tuple(row[key] for key in keys), []).append(row)
    return list(found.values())
