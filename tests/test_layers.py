"""The architecture, executable: a room imports only from rooms above it."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "hush"
# Top to bottom; within a line nobody imports anybody, except a folder's files their private neighbours.
ROWS: list[set[str]] = [
    {"errors"},
    {"image", "registry", "defects", "photons", "fluorescence"},
    {"io", "metrics", "tiles", "masking", "nets", "noise", "vst", "vst_speckle", "collaborative", "risk", "kept"},
    {"stein", "machine", "patches", "train", "noisereport", "noiselevel", "simulate", "peers", "tables"},
    {"checkpoint", "prediction", "analysis", "stabilise", "trainset", "likelihood", "dataset", "weights"},
    {"denoiser", "shown"},
    {"apply", "judging", "photograph", "knowing", "efforts"},
    {"trained", "fitting", "classical", "blend", "doubts", "pretraindata"},
    {"netdenoiser", "pretrain"},
    {"models"},
    {"methods"},
    {"removed"},
    {"results", "comparison"},
    {"report", "noisepage", "comparepage", "benchpage"},
    {"files", "pairs"},
    {"jobs", "experiment"},
    {"teaching", "choices"},
    {"studies"},
    {"console"},
    {"cli"},
]
ROW = {room: number for number, rooms in enumerate(ROWS) for room in rooms}
FILES = sorted(path for path in SOURCE.rglob("*.py") if path != SOURCE / "__init__.py")


def room_of(path: Path) -> str:
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
            own = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from ([name for name in own if name.split(".")[1] in ROW] if node.module == "hush" else [node.module])


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_run_downward(path: Path) -> None:
    room = room_of(path)
    assert room in ROW, f"{room} has no row: add it to the table, and say why in docs/architecture.md"
    for name in imports(path):
        if name == "hush":  # the version
            continue
        other = name.split(".")[1]
        assert other == room or ROW[other] < ROW[room], f"{room} must not import {other}"


def test_a_forbidden_import_would_be_seen(tmp_path: Path) -> None:
    file = tmp_path / "x.py"
    file.write_text("def f():\n    from hush import jobs\n    import hush.cli\n    from hush.models import load\n")
    assert set(imports(file)) == {"hush.jobs", "hush.cli", "hush.models"}


def test_methods_import_one_another_only_as_parents() -> None:
    """A variant may inherit from its method's file; a circle is not possible then."""
    parents = {
        path.stem: {name.split(".")[2] for name in imports(path) if name.startswith("hush.methods.")}
        for path in (SOURCE / "methods").glob("*.py")
    }
    for name, above in parents.items():
        assert all(not parents[parent] for parent in above), f"{name} has a grandparent"


@pytest.mark.parametrize(
    "room", ["errors", "image", "registry", "tiles", "report", "io/__init__", "io/tiff", "vst", "analysis"]
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
