"""What no noise can have reached stays what it was: a masked background, saturated areas."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from hush.core.image import Array, Image

SIDE = 7  # of the squares of one value that an area is made of: chance makes none
MOST_MASKED = 0.8  # share of the lowest values that a mask holds; where photons are few there are as many outside


def keep_flat(noisy: Image, clean: Array, std: Array | None = None) -> float:
    """Give areas that are exactly at a plane's lowest or highest value back what they were, with no deviation.

    Parameters
    ----------
    noisy : Image
    clean : array
        The result, of the image's shape; changed in place.
    std : array, optional
        Per-pixel standard deviation; changed in place.

    Returns
    -------
    float
        Share of the pixels that were kept.

    Examples
    --------
    >>> image = np.random.default_rng(0).normal(50, 9, (32, 32))
    >>> image[:, :8] = 0
    >>> clean = np.full((32, 32), 50.0)
    >>> keep_flat(Image(image, "YX"), clean), float(clean[:, :8].max())
    (0.25, 0.0)
    """
    kept = 0
    for plane in noisy.planes(2):
        view, target = plane.view(noisy.data), plane.view(clean)
        spread = None if std is None else plane.view(std)
        for sample, values in enumerate(view):
            area = flat(np.asarray(values))
            if area is None:
                continue
            kept += int(area.sum())
            target[sample] = np.where(area, values, target[sample])
            if spread is not None:
                spread[sample] = np.where(area, 0, spread[sample])
    return float(kept / max(1, noisy.data.size))


def flat(values: Array) -> Array | None:
    """Return where (Y, X) lies in squares that are all at its lowest or all at its highest value; None for nowhere.

    A plane of one value does everywhere.
    """
    area = None
    if values.dtype.kind == "b" or not np.isfinite(values).any():
        return None
    for end, least in ((np.nanmin(values), MOST_MASKED), (np.nanmax(values), 0.0)):
        same = values == end
        if same.all():
            return same
        if same.sum() < SIDE**2:
            continue
        found = ndimage.binary_opening(same, np.ones((SIDE, SIDE), bool))
        if found.sum() > least * same.sum():
            area = found if area is None else area | found
    return area
