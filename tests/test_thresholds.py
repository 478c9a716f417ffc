"""The count of thresholds: what is one, in the working tree and at another revision."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="module")
def thresholds() -> Any:
    path = Path(__file__).parents[1] / "benchmarks" / "thresholds.py"
    spec = importlib.util.spec_from_file_location("thresholds", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("LIMIT = 0.5", (1, 0)),
        ("LIMIT: float = 2**-10", (1, 0)),
        ("LOW, ENDS = 0.1, (2.0, 3.0 / 255)", (3, 0)),
        ("TABLE = {'a': 1.5, 'b': (2.0, 4.0)}", (3, 0)),
        ("NAMES, YES, small = ('a', 'b'), True, 0.3", (0, 0)),
        ("def f(x):\n    LIMIT = 3\n    return x > 0.5", (0, 1)),
        ("if x < 1 or -1 < x <= 2 or x == 0: pass", (0, 0)),
        ("if 3 < x[7] < 4 * y[5:6]: pass", (0, 2)),
        ("if (a > 5) == (b > 0.5): pass", (0, 2)),
        ("y = 5 * x", (0, 0)),
    ],
)
def test_what_is_a_threshold(thresholds: Any, source: str, expected: tuple[int, int]) -> None:
    assert thresholds.count(source) == expected


def test_the_table_has_a_line_a_file_and_their_sum(thresholds: Any) -> None:
    text = thresholds.table({"before": {"a.py": (3, 2), "b.py": (1, 0)}, "now": {"b.py": (1, 1)}})
    assert text.splitlines()[2:] == [
        "| a.py | 3 + 2 = 5 | – |",
        "| b.py | 1 + 0 = 1 | 1 + 1 = 2 |",
        "| all | 4 + 2 = 6 | 1 + 1 = 2 |",
    ]


def test_the_working_tree_is_counted(thresholds: Any) -> None:
    found = thresholds.sources()
    assert {"src/hush/estimation/level.py", "src/hush/methods/auto.py"} <= set(found)
    assert sum(sum(thresholds.count(text)) for text in found.values()) > 50
