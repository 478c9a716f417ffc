"""The public functions that work on arrays and Images."""

from __future__ import annotations

from typing import Any

from hush.core import registry
from hush.core.image import Array, Image, alike, as_image

DEFAULT_METHOD = "auto"


def denoise(image: Image | Array, method: str = DEFAULT_METHOD, **settings: Any) -> Image | Array:
    """Denoise one image by itself.

    Parameters
    ----------
    image : Image or array
        The noisy image; axes of an array are guessed from its shape (pages are Z, a last axis of 3 or 4 is colour,
        of 1 or 2 channels), which a HushWarning says; ``hush.Image(array, "TYX")`` names them.
    method : str
        A name that ``hush list`` shows.
    **settings
        The method's settings, for example ``noise="gaussian:sigma=25"``, or ``seconds=60`` of a learned one.

    Returns
    -------
    Image or array
        Like what was given, of the same shape and dtype: an image, a tensor (on its device, without a gradient), a
        masked array (what is masked stays as it is, and takes no part), and else an array.

    Examples
    --------
    >>> import numpy as np
    >>> noisy = np.random.default_rng(0).poisson(30, (64, 64)).astype(np.uint8)
    >>> denoise(noisy).dtype
    dtype('uint8')
    """
    denoiser = registry.get("methods", method)(**settings)
    noisy = as_image(image)  # once, so that a guess is said once
    result: Image = denoiser.fit([noisy]).denoise(noisy)
    return result if isinstance(image, Image) else alike(result.data, image)
