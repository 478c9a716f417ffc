"""The exceptions that a user meets: what was given, what is possible, what to try."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class HushError(Exception):
    """Bad input or usage. Its message is meant for the person who typed the command (exit code 2).

    Attributes
    ----------
    source : str or None
        The file that it is about, where there is one.
    """

    source: str | None = None


class FormatError(HushError):
    """A file cannot be read, or cannot hold what is to be written."""


class SettingError(HushError):
    """A setting or an option does not exist, or cannot have this value."""


class ModelFileError(HushError):
    """A trained model's file is missing, damaged, or of a newer hush."""


class WeightsError(HushError):
    """Shipped or cached weights are missing, damaged, or do not fit the image."""


class HushWarning(UserWarning):
    """Something a user should know about a result that was made all the same.

    Attributes
    ----------
    code : str
        Names its kind; see `hush.core.findings.Finding`.
    figure : float or None
        What was measured.
    """

    code: str = ""
    figure: float | None = None


def unknown(what: str, given: str, possible: Iterable[str], kind: type[HushError] = HushError) -> HushError:
    """Make the error for a name that does not exist.

    Parameters
    ----------
    what : str
        What kind of name it is, for example ``"method"``.
    given : str
        What was typed.
    possible : iterable of str
        The names that exist.
    kind : type
        Class of the error.

    Returns
    -------
    HushError
        An error that lists the possible names and suggests the nearest one.

    Examples
    --------
    >>> str(unknown("method", "n2w", ["n2v", "median"]))
    "no method 'n2w'; did you mean 'n2v'? Possible: median, n2v"
    """
    names = sorted(possible)
    near = get_close_matches(given, names, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    return kind(f"no {what} {given!r}{hint} Possible: {', '.join(names) or 'none'}")
