"""Where a piece of a FITS image lies: its world coordinates are those of the image that it was cut from."""

from __future__ import annotations

from collections.abc import Sequence
from string import ascii_uppercase
from typing import Any

# What states coordinates along a pixel axis: of them all the reference pixel alone changes with a crop.
COORDINATE_KEYS = ("CTYPE", "CRVAL", "CDELT", "CUNIT", "CROTA")
MATRIX_KEYS = ("CD", "PC")


def move(header: Any, cut: Sequence[int]) -> None:
    """Set the reference pixels of all world coordinates, and IRAF's own, of a piece.

    Parameters
    ----------
    header : astropy Header
        Changed in place. Where world coordinates name no reference pixel it is 0, as the standard says.
    cut : sequence of int
        How many pixels lie before the piece along NAXIS1, NAXIS2 and so on.

    Examples
    --------
    >>> header = {"CTYPE1": "RA---TAN", "CRPIX1": 50.5, "CRVAL1A": 3.0}
    >>> move(header, [10, 0])
    >>> header["CRPIX1"], header["CRPIX1A"], len(header)
    (40.5, -10.0, 4)
    """
    for place, count in enumerate(cut, 1):
        if not count:
            continue
        for version in ("", *ascii_uppercase):  # of alternative coordinates
            keys = [f"{name}{place}{version}" for name in COORDINATE_KEYS]
            keys += [f"{name}{row}_{place}{version}" for name in MATRIX_KEYS for row in range(1, len(cut) + 1)]
            if f"CRPIX{place}{version}" in header or any(key in header for key in keys):
                _shift(header, f"CRPIX{place}{version}", count)
        if f"LTV{place}" in header:
            _shift(header, f"LTV{place}", count)


def _shift(header: Any, key: str, count: int) -> None:
    before = header.get(key, 0.0)
    if isinstance(before, int | float):
        header[key] = float(before) - count
