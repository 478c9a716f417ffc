"""Kinds of study, one file each: `row` makes what a row of an experiment holds, `table` the table of all rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from hush.core.errors import unknown
from hush.datasets.recipes import Item

Row = dict[str, Any]
Make = Callable[[Item, Row, Row], Row]


def names() -> list[str]:
    """Return the kinds that there are, as recipes name them."""
    found = (path.stem for path in Path(__file__).parent.glob("*.py") if not path.stem.startswith("_"))
    return sorted(name.replace("_", "-") for name in found)


def kind_of(recipe: Row) -> tuple[Make, Callable[[Sequence[Row], Row], str]]:
    """Return the row-maker and the table of a recipe.

    Raises
    ------
    HushError
        For an unknown kind.
    """
    kind = recipe.get("kind", "denoise")
    if kind not in names():
        raise unknown("kind of recipe", kind, names())
    module = import_module(f"hush.bench.studies.{kind.replace('-', '_')}")
    return module.row, module.table
