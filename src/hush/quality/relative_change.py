"""How much a score changed by denoising, relative to the noisy image's own."""

from __future__ import annotations

import numpy as np

from hush.core.image import Array, Image
from hush.core.metrics import scores


def relative_change(
    image: Image | Array,
    noisy: Image | Array,
    reference: Image | Array,
    *,
    peak: float | None = None,
    fit: bool = False,
) -> dict[str, float | None]:
    r"""Return the relative change of PSNR and SSIM from the noisy image to the denoised one.

    .. math:: PSNR_{var} = \frac{PSNR_{denoised} - PSNR_{noisy}}{PSNR_{noisy}}

    where both are measured against the clean image, and the same for SSIM (Calvi and Roussel, "Deep convolutional
    neural network for image denoising in the medical field", figures 3 and 4). It makes noise levels comparable: the
    PSNR itself is higher wherever there is less noise. Positive is better than the noisy image, negative worse.

    Parameters
    ----------
    image : Image or array
        The denoised image.
    noisy, reference : Image or array
        Of its shape.
    peak : float, optional
        Data range; by default `hush.core.metrics.data_range` of the reference.
    fit : bool
        Fit gain and offset of both images to the reference first, each by itself.

    Returns
    -------
    dict
        ``psnr_noisy`` (dB), ``ssim_noisy``, ``psnr_var``, ``ssim_var`` (0.1 is 10 % more). None where the noisy image's
        score is infinite, unknown, or not above 0 (a share of it would have no meaning), or the denoised one's is.

    Raises
    ------
    HushError
        When the shapes differ.

    Examples
    --------
    >>> clean = np.tile(np.arange(16.0), (16, 1))
    >>> change = relative_change(clean + 0.1, clean + 1, clean, peak=100)  # 60 dB instead of 40
    >>> round(change["psnr_noisy"], 6), round(change["psnr_var"], 6)
    (40.0, 0.5)
    """
    after, before = (scores(x, reference, peak=peak, fit=fit) for x in (image, noisy))
    result: dict[str, float | None] = {f"{name}_noisy": before[name] for name in ("psnr", "ssim")}
    return result | {f"{name}_var": _share(after[name], before[name]) for name in ("psnr", "ssim")}


def _share(after: float | None, before: float | None) -> float | None:
    """(after - before) / before, where both are known and the second is above 0."""
    if after is None or before is None or before <= 0:
        return None
    change = (after - before) / before
    return change if np.isfinite(change) else None
