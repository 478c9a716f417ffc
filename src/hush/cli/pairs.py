"""Partners of files: by folder, by pattern, or one for one."""

from __future__ import annotations

import glob
import re
from collections.abc import Sequence
from pathlib import Path

from hush.core.errors import HushError

SHOWN = 5  # names in an error


def partners(sources: Sequence[Path], targets: str) -> list[Path]:
    """Find the partner of every file.

    Parameters
    ----------
    sources : sequence of Path
    targets : str
        A folder, in which the partner has the same name; a pattern such as ``"clean/gt_*.tif"``, in which the part
        under ``*`` stands in the source's name as well; or the one partner of one file.

    Returns
    -------
    list of Path
        In the order of the sources.

    Raises
    ------
    HushError
        Naming the files that have no partner, or share one.
    """
    folder = Path(targets)
    if folder.is_dir():
        found = [folder / source.name for source in sources]
        _demand([source for source, path in zip(sources, found, strict=True) if not path.is_file()],
                f"has no partner of its name in {targets}")  # fmt: skip
    elif glob.has_magic(targets):
        found = _by_pattern(sources, targets)
    elif len(sources) == 1:
        found = [folder]
        if not folder.is_file():
            raise HushError(f"the partner {targets} is not there")
    else:
        raise HushError(
            f"--targets {targets} is one file, and there are {len(sources)} to pair: give a folder or a pattern"
        )
    _demand([source for source, path in zip(sources, found, strict=True) if _same(source, path)],
            "would be its own partner")  # fmt: skip
    _demand([path for path in dict.fromkeys(found) if found.count(path) > 1], "is the partner of several files")
    return found


def _same(one: Path, other: Path) -> bool:
    return one.resolve() == other.resolve()


def _demand(wrong: Sequence[Path], what: str) -> None:
    if wrong:
        names = ", ".join(path.name for path in wrong[:SHOWN])
        more = f" and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
        raise HushError(f"{names}{more} {what}")


def _by_pattern(sources: Sequence[Path], pattern: str) -> list[Path]:
    """The partner whose varying part stands in the source's name, the longest where several do."""
    candidates = [Path(name) for name in sorted(glob.glob(pattern, recursive=True))]  # noqa: PTH207 -- any pattern
    if not candidates:
        raise HushError(f"no file matches --targets {pattern!r}")
    name = Path(pattern).name
    varying = re.compile(re.escape(name).replace(r"\*", "(.*)").replace(r"\?", "(.)"))
    keys: dict[Path, list[str]] = {}
    for path in candidates:
        matched = varying.fullmatch(path.name)
        keys[path] = [part for part in matched.groups() if part] if matched else [path.stem]
    found: list[Path] = []
    missing: list[Path] = []
    for source in sources:
        fitting = [path for path in candidates if keys[path] and all(_stands(key, source.stem) for key in keys[path])]
        fitting = [path for path in fitting if not _same(path, source)]
        if fitting:
            found.append(max(fitting, key=lambda path: sum(map(len, keys[path]))))
        else:
            missing.append(source)
    _demand(missing, f"has no partner among {pattern}")
    return found


def _stands(key: str, name: str) -> bool:
    """Whether `key` is in `name`, and not within a longer number: 1 is not in 11.

    Examples
    --------
    >>> _stands("1", "cell_1"), _stands("1", "cell_11"), _stands("001_0", "input_001_0")
    (True, False, True)
    """
    before = r"(?<!\d)" if key[:1].isdigit() else ""
    after = r"(?!\d)" if key[-1:].isdigit() else ""
    return re.search(before + re.escape(key) + after, name) is not None
