"""Whether an image is a photograph as a camera or a converter of raw files stores it."""

from __future__ import annotations

import numpy as np

from hush.core.image import Image
from hush.core.missing import fill
from hush.estimation.camera_pipeline import eight_bits, of_a_camera
from hush.estimation.report import MANY, NoiseReport
from hush.quality.estimate import middle


def colour_window(image: Image, report: NoiseReport, side: int) -> Image | None:
    """Return the middle of an image of colours; None of another image, or where pixels are lost in all.

    Parameters
    ----------
    image : Image
    report : NoiseReport
        Whose noise was given is not looked at again: None.
    side : int
        Of the window, in pixels.
    """
    noises = report.channels
    if noises[0].given or image.samples() != 3 or image.channels > 1:
        return None
    window = middle(image, side)
    lost = all(noise.impulses_removed >= MANY for noise in noises)
    return window if np.isfinite(np.asarray(window.data, np.float32)).any() and not lost else None


def noise_of_camera(window: Image, report: NoiseReport) -> bool:
    """Whether there may be noise of a camera or a converter, by the look of the colours; see `of_a_camera`.

    In 8 bits rounding and JPEG hide noise from the analysis: there it may be where the analysis finds none.
    """
    values = np.asarray(next(iter(window.planes(2))).view(window.data), np.float32)
    found = report.recommendation["method"] is not None
    return (found or eight_bits(values[np.isfinite(values)])) and of_a_camera(fill(values)[0])
