"""What a DNG says of its picture: where it is in the file, its mosaic, black, white, and noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hush.core.errors import FormatError
from hush.io._common import from_note
from hush.io._dng_mosaic import CELL, COLOUR_CODES, Mosaic
from hush.io._dng_tags import SUB_IFDS, Folder, Patched

MOSAIC, LINEAR = 32803, 34892  # photometric interpretations
SUBFILE, WIDTH, LENGTH, BITS, COMPRESSION, PHOTOMETRIC, SOFTWARE = 254, 256, 257, 258, 259, 262, 305
CFA_REPEAT, CFA_PATTERN, CFA_COLOURS = 33421, 33422, 50710
VERSION, CURVE_TAG, BLACK_REPEAT_TAG, BLACK_TAG, WHITE_TAG, ACTIVE_AREA = 50706, 50712, 50713, 50714, 50717, 50829
ROW_INTERLEAVE, COLUMN_INTERLEAVE = 50975, 52547
NOISE_PROFILE, NOISE_REDUCTION = 51041, 50935
PREVIEWS = (1, 65537)  # kinds of pictures that were made of the raw one to be looked at
SMALL_PREVIEW = 320  # pixels of a side; in a picture made so small no noise is seen


@dataclass(frozen=True)
class Facts:
    """What is stated of the raw picture of a DNG.

    Attributes
    ----------
    folder : Folder
        Its tags.
    mosaic : Mosaic or None
        None for a linear one, whose pixels have all their colours.
    samples, bits : int
        Colours of a pixel, and bits of each, as stored.
    table : tuple of float
        Linear value of each stored one; empty where they are linear.
    previews : list of Folder
        Pictures to be looked at that are so large that one sees their noise.
    """

    folder: Folder
    mosaic: Mosaic | None
    samples: int
    bits: int
    table: tuple[float, ...]
    previews: list[Folder]


def look(file: Patched) -> Facts:
    """Find the raw picture of a DNG.

    Raises
    ------
    FormatError
        When there is none, or one whose pattern is not read.
    """
    if not any(VERSION in folder.entries for folder in file.folders[:1]):
        raise FormatError("it is no DNG: it states no version of one; rename it if it is a plain TIFF")
    every = list(file.every())
    raws = [folder for folder in every if _first(file, folder, PHOTOMETRIC) in (MOSAIC, LINEAR)]
    if not raws:
        raise FormatError("it holds no raw picture")
    folder = max(raws, key=lambda one: (_first(file, one, SUBFILE) == 0, _side(file, one)))
    size = int(_first(file, folder, LENGTH)), int(_first(file, folder, WIDTH))
    mosaic = None
    if _first(file, folder, PHOTOMETRIC) == MOSAIC:
        area = file.numbers(folder, ACTIVE_AREA) or (0, 0, *size)
        known = bytes(map(int, file.numbers(folder, CFA_COLOURS))) or bytes(range(3))
        numbers = file.body(folder, CFA_PATTERN)
        colours = "".join(COLOUR_CODES[one] if one < len(COLOUR_CODES) else "?" for one in numbers)
        if not set(numbers) <= set(known) or "?" in colours:
            raise FormatError(f"it is damaged: its pattern has the colours {list(numbers)} of {list(known)}")
        mosaic = Mosaic.of(area, size, file.numbers(folder, CFA_REPEAT), colours)
    previews = [
        one for one in every
        if one is not folder and _first(file, one, SUBFILE) in PREVIEWS and _side(file, one) > SMALL_PREVIEW
    ]  # fmt: skip
    bits = int(_first(file, folder, BITS) or 1)
    samples = int(_first(file, folder, 277) or 1)
    return Facts(folder, mosaic, samples, bits, file.numbers(folder, CURVE_TAG), previews)


def meta(file: Patched, facts: Facts) -> dict[str, Any]:
    """Return what people and methods may want to know."""
    first = file.folders[0]
    software = file.body(first, SOFTWARE).decode("latin-1").rstrip("\0")
    names = facts.mosaic.names if facts.mosaic else []
    said: dict[str, Any] = {
        "channels": names,
        "description": file.body(first, 270).rstrip(b"\0").decode("utf-8", "replace"),
        "camera": camera(file, facts),
        "warnings": _remarks(file, facts),
    }
    return said | ({"hush": note} if (note := from_note(software)) else {})


def camera(file: Patched, facts: Facts) -> dict[str, Any]:
    """Return the pattern, black and white levels, and the noise that is stated, of every plane, in image units."""
    folder = facts.folder
    count = CELL**2 if facts.mosaic else facts.samples
    white = _white(file, facts)
    black = _black(file, facts, count)
    said: dict[str, Any] = {"black": black, "white": white, "pattern": facts.mosaic.pattern if facts.mosaic else None}
    profile = [file.numbers(one, NOISE_PROFILE) for one in (folder, file.folders[0]) if NOISE_PROFILE in one.entries]
    done = file.numbers(folder, NOISE_REDUCTION)
    if profile and len(profile[0]) >= 2 and not (done and done[0] > 0):
        said["noise"] = [
            _noise(profile[0], plane, low, white) for plane, low in zip(_colours(facts), black, strict=True)
        ]
    return said


def _colours(facts: Facts) -> list[int]:
    """The number of each plane's colour among those of the file."""
    if facts.mosaic is None:
        return list(range(facts.samples))
    pattern = facts.mosaic.pattern
    among = sorted(set(pattern), key=COLOUR_CODES.index)
    return [among.index(pattern[place]) for place in facts.mosaic.order]


def _noise(profile: tuple[float, ...], colour: int, black: float, white: float) -> str:
    """Noise of a variance S x + O, x from 0 at black to 1 at white, in the notation of noise."""
    at = 2 * colour if len(profile) >= 2 * colour + 2 else 0
    slope, constant, extent = profile[at], max(profile[at + 1], 0.0), white - black
    if slope <= 0:
        return f"gaussian:sigma={extent * constant**0.5:.6g}"
    return f"poisson_gaussian:gain={slope * extent:.6g},offset={black:.6g},sigma={extent * constant**0.5:.6g}"


def _black(file: Patched, facts: Facts, count: int) -> list[float]:
    """Black level of every plane."""
    values = file.numbers(facts.folder, BLACK_TAG) or (0.0,)
    down, across = map(int, file.numbers(facts.folder, BLACK_REPEAT_TAG) or (1, 1))
    if facts.mosaic is None:
        return [float(values[k % len(values)]) for k in range(count)]
    if len(values) < down * across:
        raise FormatError(f"it is damaged: it states {len(values)} black levels for {down} x {across} pixels")
    cell = [values[(place // CELL % down) * across + place % CELL % across] for place in range(count)]
    return [float(value) for value in facts.mosaic.in_order(cell)]


def _white(file: Patched, facts: Facts) -> float:
    stated = file.numbers(facts.folder, WHITE_TAG)
    if stated:
        return float(stated[0])
    if _first(file, facts.folder, 339) == 3:  # floats
        return 1.0
    return float(max(facts.table)) if facts.table else 2.0**facts.bits - 1


def _remarks(file: Patched, facts: Facts) -> list[str]:
    held = [one for folder in file.every() for one in folder.sub]
    gone = sum(any(one is other for other in held) for one in facts.previews)
    stay = len(facts.previews) - gone
    said = []
    if gone:
        said.append(f"its {gone} large previews show the noise, and are not written with other pixels")
    if stay:
        said.append(f"its {stay} large previews show the noise, and stay: only raw software shows the new pixels")
    if any(_first(file, one, SUBFILE) == 16 for one in file.every()):
        said.append("its enhanced picture stays as it is")
    return said


def _first(file: Patched, folder: Folder, code: int) -> float:
    numbers = file.numbers(folder, code)
    return numbers[0] if numbers else 0


def _side(file: Patched, folder: Folder) -> float:
    return max(_first(file, folder, WIDTH), _first(file, folder, LENGTH))


def without_previews(file: Patched, facts: Facts) -> None:
    """Take the large previews out of the file, those that are held by another list of tags."""
    for folder in list(file.every()):
        gone = [one for one in folder.sub if any(one is other for other in facts.previews)]
        if not gone or SUB_IFDS not in folder.entries:
            continue
        for one in gone:
            for starts, sizes in ((273, 279), (324, 325), (513, 514)):
                for start, size in zip(file.numbers(one, starts), file.numbers(one, sizes), strict=False):
                    file.clear(int(start), int(size))
        file.keep_only(folder, [one for one in folder.sub if not any(one is other for other in gone)])
