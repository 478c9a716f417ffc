"""Contrast-to-noise ratio of two regions: how well one stands out from the other."""

from __future__ import annotations

import re
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from hush.core.errors import SettingError, unknown
from hush.core.image import Array, Image, plain
from hush.quality._planes import planes_of

Kind = Literal["pooled", "sum", "background"]
Region = str | Image | Array
BOX = re.compile(r"\s*(\d*)\s*:\s*(\d*)\s*,\s*(\d*)\s*:\s*(\d*)\s*")  # y0:y1,x0:x1, either end left out


def cnr(image: Image | Array, region: Region, background: Region, *, kind: Kind = "pooled") -> float:
    r"""Return the contrast-to-noise ratio of a region against another.

    With the means :math:`\mu` and the variances :math:`\sigma^2` (of a sample: divided by n - 1) of the region a and
    the background b, fields differ in what they call the noise:

    ============== ========================================================== =========================
    kind           formula                                                    where
    ============== ========================================================== =========================
    ``pooled``     :math:`|\mu_a-\mu_b| / \sqrt{(\sigma_a^2+\sigma_b^2) / 2}` the default
    ``sum``        :math:`|\mu_a-\mu_b| / \sqrt{\sigma_a^2+\sigma_b^2}`       ultrasound, OCT
    ``background`` :math:`|\mu_a-\mu_b| / \sigma_b`                           MRI, CT
    ============== ========================================================== =========================

    The first is :math:`\sqrt 2` times the second. OCT often gives 10 or 20 times the decimal logarithm: take it of this
    number, and say which. The third asks for a background of noise alone. Structure inside a region counts as noise,
    so choose regions that are flat in the sample. Smoothing raises the ratio without end: look at sharpness as well.

    Parameters
    ----------
    image : Image or array
        Arrays are planes of (..., Y, X). Of several planes or colours the mean of their ratios is returned.
    region, background : str, Image or array
        A box ``"y0:y1,x0:x1"`` (pixels; the ends are not in it, and may be left out), or a mask: not zero where the
        region is, of shape (Y, X) for all planes, or with as many planes as the image has.
    kind : {"pooled", "sum", "background"}

    Returns
    -------
    float
        Without a unit, 0 or more; infinite where the regions differ and have no noise. Missing pixels are left out.

    Raises
    ------
    SettingError
        When there is no such kind, a box is not one or leaves the image, a mask does not fit, or a region has
        fewer than two finite pixels.

    Examples
    --------
    >>> image = np.array([[1.0, 3.0, 11.0, 13.0]] * 2)  # means 2 and 12, both variances 4/3
    >>> round(cnr(image, ":,2:", ":,:2"), 4), round(cnr(image, ":,2:", ":,:2", kind="sum"), 4)
    (8.6603, 6.1237)
    """
    if kind not in get_args(Kind):
        raise unknown("kind of contrast-to-noise ratio", kind, get_args(Kind), SettingError)
    planes = planes_of(image)
    masks = [region_mask(each, planes.shape) for each in (region, background)]
    ratios = [
        _ratio(_values(plane, masks[0][number]), _values(plane, masks[1][number]), kind)
        for number, colours in enumerate(planes)
        for plane in colours
    ]
    return float(np.mean(ratios))


def region_mask(region: Region, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return where a region is in planes of samples, as (planes, Y, X).

    Parameters
    ----------
    region : str, Image or array
        See `cnr`.
    shape : tuple of int
        (planes, samples, Y, X), as of `hush.quality._planes.planes_of`.

    Examples
    --------
    >>> region_mask("1:3,:2", (1, 1, 4, 4))[0].astype(int).tolist()
    [[0, 0, 0, 0], [1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0]]
    """
    planes, _, high, wide = shape
    if isinstance(region, str):
        y, x = box(region, high, wide)
        mask = np.zeros((1, high, wide), bool)
        mask[:, y, x] = True
    else:
        data = np.nan_to_num(planes_of(region if isinstance(region, Image) else np.asarray(plain(region), np.float64)))
        mask = (data != 0).any(axis=1)
    if mask.shape[1:] != (high, wide) or len(mask) not in (1, planes):
        raise SettingError(
            f"a mask of {len(mask)} planes of {mask.shape[1]} x {mask.shape[2]} does not fit an image of {planes} of "
            f"{high} x {wide}: give one plane, or as many as the image has, of its size"
        )
    return np.broadcast_to(mask, (planes, high, wide))


def box(text: str, high: int, wide: int) -> tuple[slice, slice]:
    """Read a box ``y0:y1,x0:x1`` inside an image of this height and width.

    Raises
    ------
    SettingError
        When it is no box, is empty, or leaves the image.

    Examples
    --------
    >>> box("10:20,:5", 100, 50)
    (slice(10, 20, None), slice(0, 5, None))
    """
    found = BOX.fullmatch(text)
    if not found:
        raise SettingError(
            f"a region is a box y0:y1,x0:x1 or a mask, and was given as {text!r}; for example 0:32,40:72"
        )
    ends = [int(end) if end else default for end, default in zip(found.groups(), (0, high, 0, wide), strict=True)]
    y0, y1, x0, x1 = ends
    if not (y0 < y1 <= high and x0 < x1 <= wide):
        raise SettingError(
            f"the region {text!r} is empty or leaves the image of {high} x {wide} pixels (rows, columns)"
        )
    return slice(y0, y1), slice(x0, x1)


def _values(plane: Array, mask: Array) -> NDArray[np.float64]:
    values: NDArray[np.float64] = plane[mask]
    values = values[np.isfinite(values)]
    if values.size < 2:
        raise SettingError(f"a region has {values.size} finite pixels, and a variance needs two: make it larger")
    return values


def _ratio(a: Array, b: Array, kind: Kind) -> float:
    contrast = abs(float(a.mean()) - float(b.mean()))
    one, other = float(a.var(ddof=1)), float(b.var(ddof=1))
    power = {"pooled": (one + other) / 2, "sum": one + other, "background": other}[kind]
    if power == 0:
        return float("inf") if contrast else 0.0
    return contrast / float(np.sqrt(power))
