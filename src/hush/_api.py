"""The public functions that work on arrays and Images."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hush.core import foreign, registry
from hush.core.image import Array, Image, alike, as_image
from hush.core.lazy import Lazy, chunk_shape

DEFAULT_METHOD = "auto"


def denoise(image: Image | Array, method: str = DEFAULT_METHOD, **settings: Any) -> Image | Array:
    """Denoise one image by itself.

    Parameters
    ----------
    image : Image or array
        The noisy image: of hush, numpy, torch, xarray, Dask, Zarr. Axes are named by the dimensions of xarray and Zarr
        (t, c, z, y, x), else guessed from the shape (pages are Z, a last axis of 3 or 4 is colour, of 1 or 2 channels),
        which a HushWarning says; ``hush.Image(array, "TYX")`` names them.
    method : str
        A name that ``hush list`` shows.
    **settings
        The method's settings, for example ``noise="gaussian:sigma=25"``, or ``seconds=60`` of a learned one.

    Returns
    -------
    Image or array
        Like what was given, of the same shape and dtype: an image, a tensor (on its device, without a gradient), a
        masked array (what is masked stays as it is, and takes no part), an array of xarray (dimensions, coordinates,
        attributes and name are kept), of Zarr (in memory, with its chunks), else of numpy. One of Dask is computed in
        pieces when it is asked for; the method is fitted at once, to a sample. A method that must see all of an image
        computes it at once.

    Examples
    --------
    >>> import numpy as np
    >>> noisy = np.random.default_rng(0).poisson(30, (64, 64)).astype(np.uint8)
    >>> denoise(noisy).dtype
    dtype('uint8')
    """
    denoiser = registry.get("methods", method)(**settings)
    source = foreign.dask_of(image)
    if source is not None and denoiser.cuts:
        from hush.scale.blocks import denoised_lazily

        named = as_image(foreign.blank_of(image))  # once, so that a guess is said once
        noisy = replace(named, data=Lazy(source, chunk_shape(source)))
        return foreign.wrapped(denoised_lazily(denoiser, noisy, source), image)
    noisy = as_image(image)
    if isinstance(noisy.data, Lazy) and foreign.is_of(image, "zarr", "Array"):
        out = foreign.empty_zarr(image)
        denoiser.fit([noisy]).denoise(noisy, out)
        return out
    result: Image = denoiser.fit([noisy]).denoise(noisy)
    return result if isinstance(image, Image) else alike(result.data, image)
