"""How near is one image to another? Plain functions and one table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from skimage.metrics import structural_similarity

from hush.core.errors import HushError
from hush.core.image import Image

Array = Any


def _pair(image: Image | Array, reference: Image | Array) -> tuple[Array, Array]:
    """Both as float64, after checking that they can be compared."""
    a, b = (np.asarray(getattr(x, "data", x) if isinstance(x, Image) else x) for x in (image, reference))
    if a.shape != b.shape:
        raise HushError(f"images of shapes {a.shape} and {b.shape} cannot be compared: crop them alike")
    return a.astype(np.float64), b.astype(np.float64)


def data_range(reference: Image | Array) -> float:
    """Return the peak that a score is measured against: 255 for uint8, else the reference's extent.

    Examples
    --------
    >>> data_range(np.zeros((4, 4), np.uint8)), data_range(np.array([[0.0, 2.5]]))
    (255.0, 2.5)
    """
    array = np.asarray(reference.data if isinstance(reference, Image) else reference)
    if array.dtype == np.uint8:
        return 255.0
    finite = array[np.isfinite(array)]
    extent = float(finite.max()) - float(finite.min()) if finite.size else 0.0
    return extent or 1.0


def rmse(image: Image | Array, reference: Image | Array) -> float:
    """Return the root of the mean squared error, over pixels that are finite in both.

    Parameters
    ----------
    image, reference : Image or array
        Of one shape, in the same units.

    Examples
    --------
    >>> rmse(np.array([[3.0, 4.0]]), np.array([[0.0, 4.0]])).__round__(4)
    2.1213
    """
    a, b = _pair(image, reference)
    finite = np.isfinite(a) & np.isfinite(b)
    if not finite.any():
        raise HushError("the images share no finite pixel")
    return float(np.sqrt(np.mean((a[finite] - b[finite]) ** 2)))


def psnr(image: Image | Array, reference: Image | Array, peak: float | None = None) -> float:
    """Return the peak signal-to-noise ratio in dB; infinite for equal images.

    Parameters
    ----------
    image, reference : Image or array
        Of one shape, in the same units.
    peak : float, optional
        Data range; by default `data_range` of the reference.

    Examples
    --------
    >>> round(psnr(np.full((4, 4), 10, np.uint8), np.zeros((4, 4), np.uint8)), 2)
    28.13
    """
    error = rmse(image, reference)
    peak = data_range(reference) if peak is None else peak
    return float("inf") if error == 0 else float(20 * np.log10(peak / error))


def ssim(image: Image | Array, reference: Image | Array, peak: float | None = None) -> float:
    """Return the structural similarity with a Gaussian window of sigma 1.5 (Wang et al. 2004).

    The mean over all planes (and colours) of an image; windows of 11 x 11 pixels, so smaller images are refused.

    Parameters
    ----------
    image, reference : Image or array
        Of one shape; arrays are planes of (..., Y, X).
    peak : float, optional
        Data range; by default `data_range` of the reference.

    Examples
    --------
    >>> pattern = np.tile(np.arange(16.0), (16, 1))
    >>> ssim(pattern, pattern)
    1.0
    """
    a, b = _pair(image, reference)
    peak = data_range(reference) if peak is None else peak
    axes = reference.axes if isinstance(reference, Image) else None
    if axes is not None:  # planes last
        order = [axes.index(x) for x in axes if x not in "YX"] + [axes.index("Y"), axes.index("X")]
        a, b = a.transpose(order), b.transpose(order)
    if min(a.shape[-2:]) < 11:
        raise HushError(f"SSIM needs at least 11 x 11 pixels, and these are {a.shape[-2]} x {a.shape[-1]}")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise HushError("SSIM needs finite pixels: crop or fill NaN and infinity first")
    planes = zip(a.reshape(-1, *a.shape[-2:]), b.reshape(-1, *b.shape[-2:]), strict=True)
    wang = {"data_range": peak, "gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    return float(np.mean([structural_similarity(x, y, **wang) for x, y in planes]))  # type: ignore[no-untyped-call]


def fit_gain(image: Image | Array, reference: Image | Array) -> tuple[Array, float, float]:
    """Fit gain and offset of an image to a reference by least squares.

    Returns
    -------
    fitted : array of float64
        ``gain * image + offset``.
    gain, offset : float

    Examples
    --------
    >>> x = np.arange(6.0).reshape(2, 3)
    >>> [round(v, 6) for v in fit_gain(x, 2 * x + 1)[1:]]
    [2.0, 1.0]
    """
    a, b = _pair(image, reference)
    finite = np.isfinite(a) & np.isfinite(b)
    x, y = a[finite], b[finite]
    spread = float(((x - x.mean()) ** 2).sum())
    gain = float(((x - x.mean()) * (y - y.mean())).sum() / spread) if spread else 0.0
    offset = float(y.mean() - gain * x.mean())
    return gain * a + offset, gain, offset


METRICS: dict[str, Callable[..., float]] = {"psnr": psnr, "ssim": ssim, "rmse": rmse}


def scores(
    image: Image | Array, reference: Image | Array, *, peak: float | None = None, fit: bool = False
) -> dict[str, float | None]:
    """Compute every metric of the table.

    Parameters
    ----------
    image, reference : Image or array
        Of one shape.
    peak : float, optional
        Data range; by default `data_range` of the reference.
    fit : bool
        Fit gain and offset of the image to the reference first.

    Returns
    -------
    dict
        A number for each metric, ``peak``, and ``gain`` and ``offset`` when fitted. None stands for an
        infinite PSNR, and for an SSIM that an image is too small for.

    Examples
    --------
    >>> scores(np.eye(16), np.eye(16))
    {'psnr': None, 'ssim': 1.0, 'rmse': 0.0, 'peak': 1.0}
    """
    peak = data_range(reference) if peak is None else peak
    fitted: dict[str, float | None] = {}
    if fit:
        values, gain, offset = fit_gain(image, reference)
        image = Image(values, image.axes) if isinstance(image, Image) else values
        fitted = {"gain": gain, "offset": offset}
    result: dict[str, float | None] = {}
    for name, function in METRICS.items():
        try:
            value = function(image, reference, **({} if name == "rmse" else {"peak": peak}))
        except HushError:
            if name != "ssim":
                raise
            value = float("nan")
        result[name] = value if np.isfinite(value) else None
    return {**result, "peak": peak, **fitted}
