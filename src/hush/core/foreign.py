"""Arrays of other libraries (xarray, Dask, Zarr): what their axes are called, and a result of the same kind.

None of them is imported here: who gives such an array has imported its library.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Array = Any
LETTERS_OF_NAMES = "TCZYXS"


def is_of(given: Any, module: str, kind: str) -> bool:
    """Whether something is of a class of a library, which is not imported for that.

    Examples
    --------
    >>> is_of([1], "xarray", "DataArray")
    False
    """
    found = getattr(sys.modules.get(module), kind, None)
    return found is not None and isinstance(given, found)


def labelled(given: Any) -> bool:
    """Whether it is an array of xarray."""
    return is_of(given, "xarray", "DataArray")


def unlabelled(given: Any) -> Any:
    """Return the array that one of xarray labels; anything else as it is."""
    return given.data if labelled(given) else given


def dask_of(given: Any) -> Any:
    """Return the array of Dask that something is, or that it labels; None where there is none."""
    inner = unlabelled(given) if not labelled(given) or given.chunks is not None else None
    return inner if is_of(inner, "dask.array", "Array") else None


def blank_of(given: Any) -> Any:
    """Return an array of Dask, or one of xarray around it, with zeros instead, which take no memory and no time."""
    zeros = np.broadcast_to(np.zeros((), given.dtype), given.shape)
    return given.copy(data=zeros) if labelled(given) else zeros


def named_axes(given: Any, guess: Callable[[tuple[int, ...]], str]) -> tuple[str | None, str | None]:
    """Return hush's letters for the named dimensions of an array of xarray or Zarr, and what was guessed of them.

    Parameters
    ----------
    given : object
    guess : callable
        Gives letters for a shape.

    Returns
    -------
    (str, str or None)
        The letters, and a sentence where some were guessed; (None, None) where nothing has a name.
    """
    if labelled(given):
        names = [str(name) for name in given.dims]
    elif is_of(given, "zarr", "Array"):
        names = [str(name) for name in getattr(given.metadata, "dimension_names", None) or []]
    else:
        return None, None
    known = [name.upper() if len(name) == 1 and name.upper() in LETTERS_OF_NAMES else "" for name in names]
    if not known or (not labelled(given) and not all(known)):
        return None, None
    if all(known) and len(set(known)) == len(known):
        return "".join(known), None
    axes = _filled(known, guess(tuple(given.shape)))
    return axes, f"axes {axes} guessed from dimensions {', '.join(names)} of shape {tuple(given.shape)}"


def _filled(known: Sequence[str], guessed: str) -> str:
    """Fill gaps between letters: as they were guessed, if that agrees with what is known."""
    if all(letter in ("", other) for letter, other in zip(known, guessed, strict=True)):
        return guessed
    letters = ["" if known.count(letter) > 1 else letter for letter in known]
    free = [letter for letter in "XYZTCS" if letter not in letters]
    for place in reversed(range(len(letters))):
        letters[place] = letters[place] or free.pop(0)
    return "".join(letters)


def wrapped(result: Array, given: Any) -> Any:
    """Return a result as an array of the library that the input is of; of any other input as it is.

    Parameters
    ----------
    result : array
        Of numpy, or of Dask or Zarr already.
    given : object
    """
    if labelled(given):
        return given.copy(data=wrapped(result, unlabelled(given)))
    if is_of(given, "dask.array", "Array") and not is_of(result, "dask.array", "Array"):
        return sys.modules["dask.array"].from_array(result, chunks=given.chunks)
    if is_of(given, "zarr", "Array") and not is_of(result, "zarr", "Array"):
        made = empty_zarr(given)
        made[...] = result
        return made
    return result


def empty_zarr(given: Any) -> Any:
    """Return an array of Zarr in memory, like another one: chunks, shards, compression, attributes."""
    zarr: Any = sys.modules["zarr"]
    old = given.metadata
    said: dict[str, Any] = {"compressors": given.compressors, "filters": given.filters, "fill_value": given.fill_value}
    if old.zarr_format == 3:
        said["dimension_names"] = old.dimension_names
    else:
        said["order"] = given.order
    return zarr.create_array(
        store={}, shape=given.shape, dtype=given.dtype, chunks=given.chunks, shards=given.shards,
        attributes=dict(given.attrs), zarr_format=old.zarr_format, **said,
    )  # fmt: skip
