"""What noise is in this image? One noisy image is enough; frames or a stack say it better."""

from __future__ import annotations

from typing import Literal

from hush.core.image import Array, Image
from hush.estimation import analyze as by_blocks
from hush.estimation.report import NoiseReport
from hush.noise import Noise, NoiseModel
from hush.pretrained import level


def analyze(
    image: Image | Array,
    *,
    noise: Noise | NoiseModel | None = None,
    gain: float | None = None,
    offset: float | None = None,
    read_noise: float | None = None,
    dark: Image | Array | None = None,
    hot_pixels: Literal["keep", "remove"] = "keep",
) -> NoiseReport:
    """Find out what noise is in an image.

    Parameters
    ----------
    image : Image or array
        One noisy image, or frames of one scene along T, whose differences hold nothing but noise.
    noise : Noise or NoiseModel, optional
        What the user knows, in image units: it is used instead of what would be found.
    gain, offset, read_noise : float, optional
        Of the camera, in image units; each replaces what would be found.
    dark : Image or array, optional
        A picture without light: its values are every pixel's offset.
    hot_pixels : {"keep", "remove"}
        Single points that are all bright or all dark may be the picture's: whether they are impulses all the same.

    Returns
    -------
    NoiseReport

    Raises
    ------
    HushError
        When what is said contradicts itself.
    WeightsError
        When the weights of the level's estimator are missing or damaged.

    Notes
    -----
    Variance against brightness and the correlation of neighbours are measured in flat blocks
    (`hush.estimation.flat_blocks`, `hush.estimation.correlation`). The level with its interval comes from there and
    from a network that has learned to tell noise from texture (`hush.pretrained.level`).
    ``hush bench noise-estimation`` shows how well.

    Examples
    --------
    >>> import numpy as np
    >>> noisy = np.random.default_rng(0).normal(100, 20, (128, 128))
    >>> report = analyze(noisy)
    >>> report.channels[0].kind, round(report.channels[0].sigma)
    ('gaussian', 20)
    """
    return by_blocks.analyze(
        image,
        noise=noise,
        gain=gain,
        offset=offset,
        read_noise=read_noise,
        dark=dark,
        hot_pixels=hot_pixels,
        estimator=level.estimate,
    )
