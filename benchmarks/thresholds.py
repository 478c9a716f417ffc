"""How many thresholds the analysis of noise and the automatic choice have: now, and at another revision.

    python benchmarks/thresholds.py [REVISION]

Of every file a line, and their sum. A threshold is a number in a constant in capitals (each number of a tuple or
dictionary counts; an expression counts once), or a number in a comparison other than 0, 1, -1 and 2. Places in an
array, as in ``x[:, 3]``, are none.
"""

from __future__ import annotations

import argparse
import ast
import subprocess
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COUNTED = (
    "src/hush/estimation",
    "src/hush/methods/auto.py",
    "src/hush/methods/pretrained.py",
    "src/hush/methods/_certain.py",
    "src/hush/quality/diagnostics.py",
)
NO_THRESHOLDS = (0, 1, 2)  # -1 is a sign and a 1

Count = tuple[int, int]  # numbers in constants, and in comparisons


def count(source: str) -> Count:
    """Count the thresholds of a module.

    Examples
    --------
    >>> count("LOW, ENDS = 0.1, (2.0, 3 / 255); seen = a[4] > 5 * b or c > 1")
    (3, 1)
    """
    tree = ast.parse(source)
    constants = [value for statement in tree.body for name, value in _assigned(statement) if name.isupper()]
    compared = {id(number): number.value for node in ast.walk(tree) for number in _compared(node)}
    return sum(map(_numbers, constants)), sum(value not in NO_THRESHOLDS for value in compared.values())


def _assigned(statement: ast.stmt) -> list[tuple[str, ast.expr]]:
    """Names, each with its value, where both sides list as many."""
    if not isinstance(statement, ast.Assign | ast.AnnAssign) or statement.value is None:
        return []
    target = statement.target if isinstance(statement, ast.AnnAssign) else statement.targets[0]
    pairs: list[tuple[ast.expr, ast.expr]] = [(target, statement.value)]
    if isinstance(target, ast.Tuple) and isinstance(statement.value, ast.Tuple):
        pairs = list(zip(target.elts, statement.value.elts, strict=True))
    return [(name.id, value) for name, value in pairs if isinstance(name, ast.Name)]


def _numbers(value: ast.expr) -> int:
    """How many numbers a constant holds."""
    if isinstance(value, ast.Tuple | ast.List | ast.Set):
        return sum(map(_numbers, value.elts))
    if isinstance(value, ast.Dict):
        return sum(map(_numbers, value.values))
    return int(any(_is_number(node) for node in ast.walk(value)))


def _compared(node: ast.AST) -> Iterator[ast.Constant]:
    """The numbers that stand in a comparison."""
    if not isinstance(node, ast.Compare):
        return
    left: list[ast.AST] = [node]
    while left:
        one = left.pop()
        if isinstance(one, ast.Constant) and _is_number(one):
            yield one
        left += [one.value] if isinstance(one, ast.Subscript) else ast.iter_child_nodes(one)


def _is_number(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, int | float) and not isinstance(node.value, bool)


def sources(revision: str | None = None) -> dict[str, str]:
    """Return the files that are counted, by their path: of the working tree, or of a revision."""
    if revision is None:
        places = [ROOT / place for place in COUNTED]
        paths = [path for place in places for path in (sorted(place.rglob("*.py")) if place.is_dir() else [place])]
        return {path.relative_to(ROOT).as_posix(): path.read_text("utf-8") for path in paths if path.exists()}
    listed = _git("ls-tree", "-r", "--name-only", revision, "--", *COUNTED).splitlines()
    return {path: _git("show", f"{revision}:{path}") for path in listed if path.endswith(".py")}


def _git(*words: str) -> str:
    done = subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr.strip())
    return done.stdout


def table(columns: dict[str, dict[str, Count]]) -> str:
    """Return the table of some revisions: numbers in constants + in comparisons = all, a line for each file."""
    lines = [f"| file | {' | '.join(columns)} |", "| --- " * (1 + len(columns)) + "|"]
    for path in sorted({path for counts in columns.values() for path in counts}):
        lines.append(f"| {path} | {' | '.join(_said(counts.get(path)) for counts in columns.values())} |")
    totals = [(sum(n for n, _ in counts.values()), sum(n for _, n in counts.values())) for counts in columns.values()]
    return "\n".join([*lines, f"| all | {' | '.join(map(_said, totals))} |"])


def _said(found: Count | None) -> str:
    return "–" if found is None else f"{found[0]} + {found[1]} = {sum(found)}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("revision", nargs="?")
    revision = parser.parse_args().revision
    names = {"now": None} if revision is None else {revision: revision, "now": None}
    print(table({name: {path: count(text) for path, text in sources(at).items()} for name, at in names.items()}))


if __name__ == "__main__":
    main()
