"""NoiseAware: methods that use what is known of the noise, and what they are shown of an image."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

import numpy as np

from hush import io
from hush.core.image import Array, Image, as_image
from hush.estimation.analyze import analyze, without_dark
from hush.estimation.report import NoiseReport
from hush.methods._base import Denoiser, Report, Result, Strength
from hush.methods._outliers import put_back, set_aside
from hush.noise import parse


@dataclass(kw_only=True, eq=False)
class NoiseAware(Denoiser):
    """A method that uses what is known about the noise, found by `hush.analyze` or said by the user.

    Parameters
    ----------
    noise : str or None
        What noise it is, in the notation ``gaussian:sigma=25``, image units; None: found out.
    gain, offset, read_noise : float or None
        Of the camera, in image units; None: found out.
    dark : str or None
        File with a picture without light: by how much a pixel's offset is off their mean is taken off.
    """

    scope: ClassVar[str] = "image"

    noise: str | None = None
    gain: float | None = None
    offset: float | None = None
    read_noise: float | None = None
    dark: str | None = None

    _report: NoiseReport | None = field(default=None, init=False, repr=False)

    def check(self) -> None:
        """Refuse settings that make no sense, naming what is possible."""
        super().check()
        if self.noise is not None:
            parse(self.noise)

    def use(self, report: NoiseReport) -> Self:
        """Take the noise from an analysis that was made before; returns self."""
        self._report = report
        return self

    def prepared(self, image: Image) -> Image:
        """Return an image as the method is shown it: without the pattern of the dark picture, as bright as before."""
        if self.dark is None:
            return image
        dark = io.read(self.dark)
        level = without_dark(image, dark)
        return replace(level, data=level.data + np.float32(np.mean(dark.data)))

    def look(self, image: Image) -> NoiseReport:
        """Find out, or take from the settings, what noise is in an image."""
        said = parse(self.noise) if self.noise is not None else None
        return analyze(self.prepared(image), noise=said, gain=self.gain, offset=self.offset, read_noise=self.read_noise)


@dataclass(kw_only=True, eq=False)
class PreparedInput(NoiseAware):
    """A method whose `fit` and `run_prepared` work on images as they are `seen`: `run` gives back the files' own.

    Of colours that are all the same, as grey micrographs are exported, it sees one: their noise is the same too.
    """

    def prepared(self, image: Image) -> Image:
        """Return an image as the method is shown it."""
        return one_colour(set_aside(super().prepared(image))[0])

    def run_prepared(
        self, image: Image, out: Array | None, done: Report | None, std: Array | None, strength: Strength
    ) -> Result:
        """Denoise an image as it is seen; see `hush.methods._base.Denoiser.run`."""
        raise TypeError(f"{type(self).__name__} has no run_prepared")

    def run(
        self,
        image: Image | Array,
        out: Array | None = None,
        done: Report | None = None,
        std: Array | None = None,
        strength: Strength | None = None,
    ) -> Result:
        """Denoise an image; see `hush.methods._base.Denoiser.run`."""
        noisy = as_image(image)
        aside = set_aside(noisy)[1]
        result = self._run(noisy, out, done, std, strength or self.own_strength)
        if aside is not None:
            put_back(noisy, aside, result)
        return result

    def _run(
        self, noisy: Image, out: Array | None, done: Report | None, std: Array | None, strength: Strength
    ) -> Result:
        """Denoise an image, and give back the file's own colours."""
        seen = self.prepared(noisy)
        if seen is noisy:
            return self.run_prepared(noisy, out, done, std, strength)
        clean = np.empty(noisy.data.shape, noisy.data.dtype) if out is None else out
        if seen.axes == noisy.axes:
            result = self.run_prepared(seen, clean, done, std, strength)
            return replace(result, image=replace(result.image, data=clean))
        first, *others = (noisy.colour(number) for number in range(noisy.samples()))
        result = self.run_prepared(seen, clean[first], done, None if std is None else std[first], strength.grey)
        for array in [clean] if std is None else [clean, std]:
            for other in others:
                array[other] = array[first]
        if noisy.alpha:
            clean[noisy.colour(-1)] = noisy.data[noisy.colour(-1)]
        spread = None if result.std is None else replace(noisy, data=std, meta=result.std.meta)
        coloured = replace(noisy, data=clean, meta=result.image.meta)
        return Result(coloured, spread, result.info | {"axes": noisy.axes})


def one_colour(image: Image) -> Image:
    """Return one colour of an image whose colours are all the same; any other image as it is.

    Examples
    --------
    >>> grey = np.random.default_rng(0).normal(100, 9, (64, 64))
    >>> one_colour(Image(np.stack([grey] * 3, -1), "YXS")).data.shape
    (64, 64)
    """
    if image.samples() < 2 or "S" not in image.axes:
        return image
    for plane in image.planes():
        first, *others = plane.view(image.data)
        if not all(np.array_equal(first, other, equal_nan=first.dtype.kind == "f") for other in others):
            return image
    return replace(image, data=image.data[image.colour(0)], axes=image.axes.replace("S", ""))
