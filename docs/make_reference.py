"""Write docs/reference.md from the docstrings: what `make docs` runs."""

from __future__ import annotations

import dataclasses
import inspect
from pathlib import Path
from typing import Any

import hush
from hush.core import registry

TARGET = Path(__file__).parent / "reference.md"


def entry(name: str, thing: Any) -> str:
    """One heading, its signature and its docstring."""
    kind = isinstance(thing, type)
    signature = "" if kind else str(inspect.signature(thing))
    text = inspect.getdoc(thing) or ""
    return f"### `{name}{signature}`\n\n```text\n{text}\n```\n"


def settings(method: str) -> str:
    """A table of a method's settings and their defaults: what `--set` takes."""
    fields = [field for field in dataclasses.fields(registry.get("methods", method)) if field.init]
    types = {field.name: str(field.type).replace(" | ", " or ") for field in fields}  # a bar would end the cell
    rows = [f"| `{field.name}` | `{types[field.name]}` | `{field.default!r}` |" for field in fields]
    return "\n".join([f"### Settings of `{method}`\n", "| name | type | default |", "| --- | --- | --- |", *rows, ""])


def reference() -> str:
    """Return the whole page."""
    public = [entry(f"hush.{name}", getattr(hush, name)) for name in hush.__all__ if not name.startswith("_")]
    tables = [settings(method) for method in registry.names("methods")]
    head = "# Reference\n\nMade from the docstrings by `make docs`; do not edit.\n"
    return "\n".join([head, "## Python\n", *public, "## Methods\n", *tables])


if __name__ == "__main__":
    TARGET.write_text(reference(), "utf-8")
