"""The architecture, executable: imports run one way."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "hush"
# Imports go to the left only; packages of one rank do not import each other; within a package files import freely.
ORDER = """
core < io nets noise < estimation < vst < quality datasets training < pretrained < methods < scale < bench reports
< _api < cli < __main__
"""
RANK = {room: rank for rank, rooms in enumerate(ORDER.split("<")) for room in rooms.split()}
FILES = sorted(path for path in SOURCE.rglob("*.py") if path != SOURCE / "__init__.py")


def package_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[str]:
    """Every module of hush that a file imports, also inside functions; not those for type checkers only."""
    tree = ast.parse(path.read_text("utf-8"))
    skipped = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("hush"))
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("hush"):
            module = node.module or ""
            own = [f"{module}.{alias.name}" for alias in node.names]
            yield from (own if module == "hush" or is_package(module) else [module])


def is_package(name: str) -> bool:
    return (SOURCE.parent / name.replace(".", "/")).is_dir()


def module_of(name: str) -> str:
    """The module that an import names: what a package holds may be a module, or a name of its __init__."""
    file = SOURCE.parent / f"{name.replace('.', '/')}.py"
    return name if file.exists() or is_package(name) else name.rpartition(".")[0]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_run_one_way(path: Path) -> None:
    own = package_of(path)
    assert own in RANK, f"{own} has no rank: give it one, and say why in docs/architecture.md"
    for name in imports(path):
        if "." not in name or name.split(".")[1] == "__version__":
            continue
        other = name.split(".")[1]
        assert other == own or RANK[other] < RANK[own], f"{own} must not import {name}"


def test_within_a_package_there_are_no_circles() -> None:
    modules = {".".join(("hush", *path.relative_to(SOURCE).with_suffix("").parts)): path for path in FILES}
    modules = {name.removesuffix(".__init__"): path for name, path in modules.items()}
    sorter: TopologicalSorter[str] = TopologicalSorter()
    for name, path in modules.items():
        others = {module_of(other) for other in imports(path)} & set(modules)
        # a package's __init__ collects its own files: those do not wait for it
        sorter.add(name, *(other for other in others if other != name and not name.startswith(f"{other}.")))
    sorter.prepare()


def test_a_forbidden_import_would_be_seen(tmp_path: Path) -> None:
    file = tmp_path / "x.py"
    file.write_text(
        "def f():\n    from hush.cli import jobs\n    import hush.cli\n    from hush.core.image import Image\n"
    )
    assert set(imports(file)) == {"hush.cli.jobs", "hush.cli", "hush.core.image"}


def test_the_top_is_small() -> None:
    assert len([path for path in SOURCE.iterdir() if path.name != "__pycache__"]) <= 19


SHARED = {path.stem for path in (SOURCE / "methods").glob("_*.py")}


def test_methods_import_one_another_only_as_parents() -> None:
    """A variant may inherit from its method's file; a circle is not possible then."""
    parents = {
        path.stem: {name.split(".")[2] for name in imports(path) if name.startswith("hush.methods.")} - SHARED
        for path in (SOURCE / "methods").glob("[!_]*.py")
    }
    for name, above in parents.items():
        assert all(not parents[parent] for parent in above), f"{name} has a grandparent"


@pytest.mark.parametrize(
    "room",
    [
        "core/errors",
        "core/image",
        "core/registry",
        "core/tiling",
        "reports/_html",
        "io/__init__",
        "io/tiff",
        "vst/anscombe",
        "estimation/analyze",
    ],
)
def test_rooms_that_know_nothing_of_torch(room: str) -> None:
    tree = ast.parse((SOURCE / f"{room}.py").read_text("utf-8"))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not {name for name in names if name.split(".")[0] == "torch"}


@pytest.mark.parametrize(
    "command",
    ["import hush", "from hush.cli import main; main(['--help'])", "from hush.cli import main; main(['list'])"],
)
def test_light_commands_stay_light(command: str) -> None:
    code = f"import sys\n{command}\nprint(sorted({{'torch', 'numpy', 'scipy', 'skimage', 'rich'}} & set(sys.modules)))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.splitlines()[-1] == "[]"


# every format, or every network, answers these
ANSWERED = {"MAGIC", "MAGIC_AT", "SUFFIXES", "CHOICES", "EXTRA", "NEEDS", "INSTEAD", "DEPTH", "BLIND"}


def test_a_constant_has_one_value() -> None:
    """A name in capitals that stands in two modules means the same in both: who searches for it finds one thing."""
    values: dict[str, dict[str, list[str]]] = {}
    for path in FILES:
        for node in ast.parse(path.read_text("utf-8")).body:
            if not isinstance(node, ast.Assign):
                continue
            target, value = node.targets[0], node.value
            pairs = [(target, value)]
            if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
                pairs = list(zip(target.elts, value.elts, strict=True))
            for name, number in pairs:
                if isinstance(name, ast.Name) and name.id.isupper() and name.id not in ANSWERED:
                    values.setdefault(name.id, {}).setdefault(ast.unparse(number), []).append(path.name)
    assert {name: found for name, found in values.items() if len(found) > 1} == {}
