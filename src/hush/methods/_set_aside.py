"""Hot pixels, dead lines, areas without data: set aside while the rest is denoised, and put back as they were.

A value far beyond all others is spread over its surroundings by whatever averages, and widens every range that is
measured. What is set aside is not called noise: it stays.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from hush.core.findings import Finding
from hush.core.image import Array, Image, cast
from hush.estimation.no_data import without_no_data
from hush.estimation.outliers import outliers
from hush.methods._base import Result, warn
from hush.quality import risk
from hush.quality.diagnostics import contrast_lost


@dataclass(frozen=True)
class Aside:
    """What was set aside of an image, as arrays of bool of its shape.

    Attributes
    ----------
    outliers : array or None
        Single pixels and thin lines, filled from what is around.
    no_data : array or None
        Areas that hold no data, shown as NaN.
    """

    outliers: Array | None
    no_data: Array | None


def set_aside(image: Image) -> tuple[Image, Aside | None]:
    """Fill single pixels far beyond all others and thin lines of one value; make areas without data NaN.

    Returns
    -------
    image : Image
        The same where there is nothing of the kind.
    aside : Aside or None

    Examples
    --------
    >>> dark = np.random.default_rng(0).integers(90, 130, (128, 128)).astype(np.uint16)
    >>> dark[20, 30] = 65535
    >>> filled, aside = set_aside(Image(dark, "YX"))
    >>> np.argwhere(aside.outliers).tolist(), bool(90 <= filled.data[20, 30] < 130)
    ([[20, 30]], True)
    """
    measured = without_no_data(image)
    missing = None if measured is image else np.isnan(measured.data) & np.isfinite(image.data)
    filled, alone = _without_outliers(measured)
    return filled, None if alone is None and missing is None else Aside(alone, missing)


def _without_outliers(image: Image) -> tuple[Image, Array | None]:
    found = where = None
    for plane in image.planes(2):
        for sample, values in enumerate(plane.view(image.data)):
            apart = outliers(np.asarray(values))
            if apart is None:
                continue
            if found is None or where is None:
                found, where = image.data.copy(), np.zeros(image.data.shape, bool)
            plane.view(where)[sample] = apart
            gone = apart | ~np.isfinite(values)
            filled = cast(risk.around(np.asarray(values, np.float64), gone), found.dtype)
            plane.view(found)[sample] = np.where(apart, filled, values)
    return (image, None) if found is None else (replace(image, data=found), where)


def put_back(noisy: Image, aside: Aside, result: Result, outliers: bool = True) -> None:
    """Give what was set aside its own values again, `outliers` too; how far they are off is not known."""
    clean, where = result.image.data, aside.outliers if outliers else None
    nan = noisy.data.dtype.kind == "f"
    if where is not None and not np.array_equal(clean[~where], noisy.data[~where], equal_nan=nan):
        count = int(where.sum())
        sentence = (
            f"{count} pixels stay as they are: single ones far beyond all others, or lines of one "
            "value; --hot-pixels remove replaces them."
        )
        warn(result.info, Finding("outliers-kept", sentence, count))
    for one in (where, aside.no_data):
        if one is not None:
            clean[one] = noisy.data[one]
            if result.std is not None:
                result.std.data[one] = np.nan


def with_contrast(noisy: Image, result: Result) -> None:
    """Give a plane back as it was where the result has none of its contrast: nothing that is surely there may go."""
    count = 0
    for plane in noisy.planes(2):
        for before, after in zip(plane.view(noisy.data), plane.view(result.image.data), strict=True):
            if contrast_lost(before, after):
                after[...] = before
                count += 1
    if count:
        why = f"{count} planes come back unchanged, since the result had none of their contrast"
        sentence = f"{why}: give --noise, or another --method."
        warn(result.info, Finding("contrast-lost", sentence, count))
