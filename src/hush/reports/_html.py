"""What all pages share: one template engine, reading what a page is made from, and pictures as part of it."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hush.core import files
from hush.core.errors import HushError

if TYPE_CHECKING:
    from jinja2 import Environment


@cache
def environment() -> Environment:
    """Return the one template engine: texts are escaped, and a name that is not given is an error.

    ``{{ value | tojson }}`` writes JSON into a script element: nothing in it can end the element, because
    ``<``, ``>``, ``&``, ``'`` and all signs beyond ASCII are escaped.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    made = Environment(
        loader=PackageLoader("hush", "reports/assets"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.policies["json.dumps_kwargs"] = {"allow_nan": False, "separators": (",", ":")}
    room = resources.files("hush") / "reports" / "assets"
    # style and script go in as they are: their braces are no places to fill
    made.globals["asset"] = lambda name: Markup((room / name).read_text("utf-8"))
    return made


def render(template: str, **context: Any) -> str:
    """Fill a template of ``reports/assets``; what is filled in is not searched for places again.

    Parameters
    ----------
    template : str
        Its file name. All extend ``base.html``, which asks for ``kind``, ``name``, ``summary`` and ``made_by``,
        and for ``data`` where there is a ``script``.
    **context
        What the template asks for.

    Examples
    --------
    >>> page = render("bench.html", kind="bench", name="a < b", summary="", made_by={}, head=[], rows=[], groups={})
    >>> "<h1>a &lt; b</h1>" in page
    True
    """
    text = environment().get_template(template).render(context)
    # names of files may hold bytes that are no text: they come as lone surrogates, which UTF-8 cannot hold
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def check(path: Path, overwrite: bool) -> None:
    """Refuse a page that cannot be written; makes its folder.

    Raises
    ------
    HushError
        When it exists and `overwrite` is false, when it is a folder, or when its folder cannot be made.
    """
    if path.is_dir():
        raise HushError(f"{path.name} is a folder; give the page a name, for example {path.name}/page.html")
    files.refuse_existing(path, overwrite)
    with files.plain_errors(path):
        path.absolute().parent.mkdir(parents=True, exist_ok=True)


@contextmanager
def reading(record: Path, command: str) -> Iterator[None]:
    """Turn what goes wrong with a record that is not as hush wrote it into a HushError that says what to do."""
    try:
        yield
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        detail = f"no {error}" if isinstance(error, KeyError) else files.reason(error)
        name = f"{record.parent.name}/{record.name}"
        raise HushError(f"{name} cannot be read ({detail}); make it again with {command}") from error


def read_json(record: Path, command: str) -> dict[str, Any]:
    """Read a mapping that `command` wrote."""
    with reading(record, command):
        return dict(json.loads(record.read_text("utf-8")))


def read_record(record: Path, newest: int, command: str) -> dict[str, Any]:
    """Read the JSON that a page is made from, and check its format.

    Parameters
    ----------
    record : Path
    newest : int
        The newest format that this hush knows.
    command : str
        What writes such a record.

    Raises
    ------
    HushError
        When there is none, it cannot be read, or a newer hush wrote it.
    """
    if not record.is_file():
        raise HushError(f"{record.parent.name} holds no {record.name}: give a folder that {command} wrote")
    facts = read_json(record, command)
    with reading(record, command):
        made, by = int(facts["format"]), facts.get("versions", {}).get("hush", "a newer one")
    if made > newest:
        raise HushError(
            f"{record.parent.name}/{record.name} has format {made}, written by hush {by}; this hush reads format "
            f"{newest}: update it, or make the record again with {command}"
        )
    return facts


def picture(folder: Path, name: str) -> str:
    """Return a PNG of a folder as a data address, which is part of the page.

    Raises
    ------
    HushError
        When there is no such picture in this very folder.
    """
    file = folder / name
    if Path(name).name != name or file.suffix != ".png" or not file.is_file():
        raise HushError(f"{folder.name} holds no picture {name!r}; make the folder again")
    return "data:image/png;base64," + base64.b64encode(file.read_bytes()).decode("ascii")


def shown(value: Any) -> str:
    """Write a setting or a figure for people.

    Examples
    --------
    >>> shown(True), shown(None), shown([1, 2]), shown("é")
    ('yes', 'none', '[1, 2]', 'é')
    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, Mapping)):
        return json.dumps(value, ensure_ascii=False)
    return "none" if value is None else str(value)


def rescale(stated: Mapping[str, Any]) -> str:
    """Say what stored values stand for: their slope, intercept and unit, which no figure of a page is given in.

    Examples
    --------
    >>> rescale({"slope": 1.0, "intercept": -1024.0, "unit": "HU"})
    'HU = stored value − 1024; figures here are stored values'
    >>> rescale({"slope": 0.5, "intercept": 0.0}), rescale({"slope": 1.0, "intercept": 0.0, "unit": "HU"})
    ('measure = 0.5 × stored value; figures here are stored values', 'values are HU')
    """
    slope, intercept, unit = float(stated["slope"]), float(stated["intercept"]), str(stated.get("unit") or "")
    if slope == 1 and intercept == 0:
        return f"values are {unit}" if unit else ""
    factor = "" if slope == 1 else f"{slope:.6g} × "
    shift = "" if intercept == 0 else f" {'−' if intercept < 0 else '+'} {abs(intercept):.6g}"
    return f"{unit or 'measure'} = {factor}stored value{shift}; figures here are stored values"
