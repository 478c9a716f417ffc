"""Names of methods and formats: a file's name is its public name; others come through entry points."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from hush.core.errors import unknown

PACKAGE = Path(__file__).parents[1]
OLD_NAMES = {("noise", "amplified"): "emccd"}  # still understood


@cache
def _plugins(kind: str) -> Mapping[str, EntryPoint]:
    return {point.name.replace("-", "_"): point for point in entry_points(group=f"hush.{kind}")}


@cache
def names(kind: str) -> tuple[str, ...]:
    """Return the public names of a kind.

    Parameters
    ----------
    kind : str
        A folder of the package, for example ``"methods"`` or ``"io"``; other packages add to it
        through the entry point group ``hush.<kind>``.

    Examples
    --------
    >>> "n2v" in names("methods")
    True
    """
    own = {file.stem for file in (PACKAGE / kind).glob("*.py") if not file.stem.startswith("_")}
    return tuple(sorted(own | set(_plugins(kind))))


def module(kind: str, name: str) -> Any:
    """Import and return the module of a name of hush's own."""
    return import_module(f"hush.{kind}.{name.replace('-', '_')}")


def get(kind: str, name: str) -> Any:
    """Import what stands behind a name: the module's one public class, or the module if it has none.

    ``-`` and ``_`` are the same in names.

    Raises
    ------
    HushError
        When there is no such name; the message suggests the nearest.
    """
    key = name.replace("-", "_")
    key = OLD_NAMES.get((kind, key), key)
    if key not in names(kind):
        raise unknown(kind.rstrip("s"), name, names(kind))
    if key in _plugins(kind):
        return _plugins(kind)[key].load()
    own = module(kind, key)
    classes = [
        value
        for label, value in vars(own).items()
        if isinstance(value, type) and value.__module__ == own.__name__ and not label.startswith("_")
    ]
    return classes[0] if classes else own


def describe(kind: str, name: str) -> dict[str, str]:
    """Read a name's first docstring line and its ``needs`` and ``scope`` without importing anything heavy.

    Returns
    -------
    dict
        ``name``, ``about``, ``needs``, ``scope``; read from the syntax tree.
    """
    facts = {"name": name, "about": "", "needs": "noisy", "scope": "collection"}
    if name in _plugins(kind):
        loaded = _plugins(kind)[name].load()
        facts["about"] = (loaded.__doc__ or "").strip().split("\n")[0]
        return facts | {key: getattr(loaded, key) for key in ("needs", "scope") if hasattr(loaded, key)}
    tree = ast.parse((PACKAGE / kind / f"{name}.py").read_text("utf-8"))
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            facts["about"] = (ast.get_docstring(node) or "").split("\n")[0]
            for line in node.body:
                if isinstance(line, ast.AnnAssign) and isinstance(line.value, ast.Constant):
                    key = ast.unparse(line.target)
                    facts |= {key: str(line.value.value)} if key in ("needs", "scope") else {}
            break
    return facts
