"""The site: what `make docs` builds."""

from __future__ import annotations

import dataclasses
import inspect
from pathlib import Path
from typing import Any

import hush
from hush.core import registry

HERE = Path(__file__).parent
METHODS = HERE / "methods"  # a page for every method, made at each build and ignored by git

project = "hush"
author = copyright = "the hush developers"  # noqa: A001
release = version = hush.__version__
extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "gallery/**/*.ipynb", "gallery/**/*.py"]
default_role = "code"
html_theme = "furo"
html_title = "hush"
myst_heading_anchors = 3
autosummary_generate = True
autodoc_member_order = "bysource"
autodoc_typehints = "none"
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False
suppress_warnings = ["config.cache"]
sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "filename_pattern": r"/plot_",
    "ignore_pattern": r"^(demo|automatic)\.py",
    "within_subsection_order": "FileNameSortKey",
    "copyfile_regex": "",
    "download_all_examples": False,
    "show_memory": False,
    "min_reported_time": 1e9,  # pages do not tell how busy the machine was
    "abort_on_example_error": True,
}


def settings(kind: type[Any]) -> list[str]:
    """Return a table of a method's settings and their defaults: what `--set` takes."""
    fields = [field for field in dataclasses.fields(kind) if field.init]
    types = {field.name: str(field.type).replace(" | ", " or ") for field in fields}  # a bar would end the cell
    rows = [f"| `{field.name}` | `{types[field.name]}` | `{field.default!r}` |" for field in fields]
    return ["| name | type | default |", "| --- | --- | --- |", *rows]


def method_page(name: str) -> str:
    """Return the page of a method: its docstring and its settings."""
    kind = registry.get("methods", name)
    lines = [f"# {name}", "", f"`hush denoise noisy.tif -o clean.tif --method {name}`" if kind.needs == "noisy" else ""]
    lines += ["", "```{eval-rst}", f".. autoclass:: {kind.__module__}.{kind.__qualname__}", "```", ""]
    return "\n".join([*lines, "## All settings", "", *settings(kind), ""])


def write_methods(app: Any) -> None:
    """Write a page for every method; one that did not change is not touched, so that it is not built again."""
    METHODS.mkdir(exist_ok=True)
    for name in registry.names("methods"):
        path, text = METHODS / f"{name}.md", method_page(name)
        if not path.exists() or path.read_text("utf-8") != text:
            path.write_text(text, "utf-8")


def without_signature(app: Any, what: str, name: str, thing: Any, *_: Any) -> tuple[str, None] | None:
    """Leave the signature of a dataclass out: its settings are a table, or its attributes."""
    return ("", None) if inspect.isclass(thing) and dataclasses.is_dataclass(thing) else None


def setup(app: Any) -> None:
    """Connect both."""
    app.connect("builder-inited", write_methods, priority=100)
    app.connect("autodoc-process-signature", without_signature)
