"""What several formats share: choosing axes, flat pictures, the note that says what hush did."""

from __future__ import annotations

import importlib
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hush.core.errors import FormatError, HushError
from hush.core.image import Array, Image, guess_axes, said_guess

LETTERS = "TCZYXS"

# An open memory map holds a file handle, and systems allow about a thousand of them: smaller files,
# which may come in folders of many, are read into memory.
MAP_FROM = 64 * 2**20
SMALL_FILE = 2**24  # a claim so small harms nobody, and is left to the decoder

SCREENS = (72, 96)  # pixels an inch that programs write when they know nothing


def need(module: str, extra: str) -> Any:
    """Import a library that a person needs only sometimes.

    Raises
    ------
    FormatError
        When it is not here, with the command that installs it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        name = module.partition(".")[0]
        raise FormatError(f"such files need {name}, which is not here: pip install 'hush-denoise[{extra}]'") from error


def choose(number: int | str | None, names: Sequence[str], what: str) -> int:
    """Return the position of the image that was asked for among those of a file, 0 if none was.

    Parameters
    ----------
    number : int, str or None
        Position from 0, or name.
    names : sequence of str
        Of all.
    what : str
        What they are called: ``"series"``, ``"scene"``, ``"data set"``.

    Raises
    ------
    FormatError
        When there is none such.

    Examples
    --------
    >>> choose("b", ["a", "b"], "series"), choose(None, ["a", "b"], "series")
    (1, 0)
    """
    if number is None:
        return 0
    if isinstance(number, int) and number < len(names):
        return number
    if number in names:
        return list(names).index(str(number))
    listed = ", ".join(f"{place}: {name or 'without a name'}" for place, name in enumerate(names))
    raise FormatError(f"there is no {what} {number!r}: it holds {listed}")


def settle_axes(shape: tuple[int, ...], given: str | None, declared: str | None) -> tuple[str, str | None]:
    """Return axes for `shape`, and a sentence when they are guessed: the user's, the file's, a guess."""
    if given is not None:
        axes = given.upper()
        fits = len(axes) == len(shape) == len(set(axes)) and set(axes) <= set(LETTERS) and {*"YX"} <= {*axes}
        if not fits:
            raise FormatError(
                f"axes {given!r} do not fit its shape {tuple(shape)}: give {len(shape)} different letters of "
                f"T, C, Z, Y, X, S, among them Y and X, e.g. {_example(shape)!r}"
            )
        return axes, None
    if declared is not None:
        return declared, None
    axes = guess_axes(shape)
    return axes, said_guess(axes, shape)


def check_claim(pixels: int, held: int, most: int, size: int) -> None:
    """Refuse, before anything is decoded, a header that claims more pixels than the file's bytes can hold.

    Parameters
    ----------
    pixels : int
        Bytes of pixels that the header claims.
    held : int
        Bytes of the file that hold them.
    most : int
        How many of them one byte can become: the limit of the compression, 1 where there is none.
    size : int
        Bytes of the file.
    """
    if pixels > max(held * most, SMALL_FILE if most > 1 else 0):
        raise FormatError(
            f"it is cut short or damaged: its header claims {pixels} bytes of pixels, and the file ends at byte {size}"
        )


def left_over(count: int) -> list[str]:
    """Say that a file goes on behind the pixels that its header states: a remark, or none."""
    return [f"{count} bytes behind its pixels are not read, and not written again"] if count > 0 else []


def _example(shape: tuple[int, ...]) -> str:
    try:
        return guess_axes(shape)
    except HushError:
        return LETTERS[: len(shape)]


def flat(image: Image, what: str) -> Array:
    """Return the pixels as (Y, X) or (Y, X, S), for formats that hold one plane."""
    data, axes = image.data, image.axes
    for letter in axes:
        if letter not in "YXS" and data.shape[axes.index(letter)] == 1:
            data, axes = data.take(0, axes.index(letter)), axes.replace(letter, "")
    if set(axes) - set("YXS"):
        raise FormatError(
            f"{what} holds one plane, and this image has axes {image.axes} of shape {tuple(image.data.shape)}; "
            "write a .tif or .npy file"
        )
    data = np.asarray(data).transpose([axes.index(a) for a in "YXS" if a in axes])
    if "S" in axes and data.shape[-1] == 1:
        data = data[..., 0]
    return np.ascontiguousarray(data)


def frames(image: Image, what: str) -> tuple[Array, int]:
    """Return the pixels as (frames, Y, X) or (frames, Y, X, S) for formats that hold an animation, and their number.

    A single picture comes as `flat` gives it, with 0 frames.
    """
    pages = [axis for axis, size in image.sizes.items() if axis not in "YXS" and size > 1]
    if not pages:
        return flat(image, what), 0
    if len(pages) > 1 or pages[0] not in "TZ":
        raise FormatError(
            f"{what} holds one plane or a row of frames, and this image has axes {image.axes} of shape "
            f"{tuple(image.data.shape)}; write a .tif or .npy file"
        )
    data, axes = image.data, image.axes
    for letter in axes:
        if letter not in (*"YXS", pages[0]):
            data, axes = data.take(0, axes.index(letter)), axes.replace(letter, "")
    data = np.asarray(data).transpose([axes.index(a) for a in (pages[0], *"YXS") if a in axes])
    if "S" in axes and data.shape[-1] == 1:
        data = data[..., 0]
    return np.ascontiguousarray(data), len(data)


def refuse(what: str, holds: str, data: Array) -> HushError:
    """Make the error for pixels that a format cannot hold."""
    samples = f" with {data.shape[-1]} colour samples" if data.ndim == 3 else ""
    return FormatError(f"{what} holds {holds}, not {data.dtype}{samples}; write a .tif or .npy file")


def to_note(hush: Mapping[str, Any] | None) -> str:
    """Return what hush did as one ASCII line, empty when it did nothing."""
    return f"hush {json.dumps(dict(hush), default=str)}" if hush else ""


def from_note(text: str) -> dict[str, Any] | None:
    """Return what hush wrote with `to_note`, wherever in `text` its line begins; None if nowhere."""
    at = text.rfind("hush {")
    if at < 0:
        return None
    try:
        found = json.JSONDecoder().raw_decode(text[at + 5 :])[0]
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def without_note(text: str) -> str:
    """Return `text` without what `to_note` added to it."""
    at = text.rfind("hush {")
    return text if at < 0 or from_note(text) is None else text[:at].rstrip(" |\n\0")


def cut_before(image: Image, axes: str) -> tuple[int, ...]:
    """Return how many pixels of the file lie before an image along these axes: of a crop some, else none.

    Examples
    --------
    >>> cut_before(Image(np.zeros((9, 9)), "YX").crop(slice(2, 8), slice(None)).crop(slice(3, 5), slice(0, 5)), "XY")
    (0, 5)
    """
    before = image.meta.get("cropped") or {}
    return tuple(int(before.get(axis, 0)) for axis in axes)


def positive(value: Any) -> float | None:
    """Return a number that can be a pixel size, else None."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) and number > 0 else None


def is_screen(microns: float) -> bool:
    """Tell whether a pixel size is a screen's: programs write 72 or 96 pixels an inch for want of knowledge."""
    return any(abs(25400 / microns - dots) < 0.05 for dots in SCREENS)
