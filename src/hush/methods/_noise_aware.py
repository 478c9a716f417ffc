"""NoiseAware: methods that use what is known of the noise, and what they are shown of an image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal, Self

import numpy as np

from hush import io
from hush.core.errors import HushError
from hush.core.findings import Decision, Finding
from hush.core.image import Array, Image, as_image
from hush.core.missing import fill
from hush.core.pieces import Need
from hush.core.units import Units
from hush.estimation.analyze import without_dark
from hush.estimation.one_scene import shared_structure
from hush.estimation.report import NoiseReport
from hush.estimation.stripes import destriped
from hush.methods._base import Denoiser, Report, Result, Strength, warn
from hush.methods._counts import of_squares, side_of_squares, spread_out, summed, whole_numbers
from hush.methods._set_aside import put_back, set_aside, with_contrast
from hush.noise import parse
from hush.pretrained.analyze import analyze
from hush.quality.estimate import middle

COLOURS_LOOKED_AT = 1024  # side of the window in which colours are compared
ONE_SCENE = 0.6  # structure that the colours of one scene share at least: composites to .4, photographs from .8


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
    hot_pixels : {"keep", "remove"}
        Single points that are all bright or all dark, and dead lines, may be the picture's: they come back as they
        were, or are removed.
    """

    scope: ClassVar[str] = "image"

    noise: str | None = None
    gain: float | None = None
    offset: float | None = None
    read_noise: float | None = None
    dark: str | None = None
    hot_pixels: Literal["keep", "remove"] = "keep"

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

    def cleared(self, image: Image) -> Image:
        """Return an image as its noise is measured: see `hush.methods._set_aside`; without the pattern of the dark."""
        return self._undarkened(set_aside(image)[0])

    def _undarkened(self, image: Image) -> Image:
        """An image without the pattern of the dark picture, as bright as before."""
        if self.dark is None:
            return image
        dark = io.read(self.dark)
        level = without_dark(image, dark)
        return replace(level, data=level.data + np.float32(np.mean(dark.data)))

    def look(self, image: Image) -> NoiseReport:
        """Find out, or take from the settings, what noise is in an image."""
        return self.analysed(self.cleared(image))

    def analysed(self, clear: Image) -> NoiseReport:
        """Find out the same of an image that is cleared."""
        said = parse(self.noise) if self.noise is not None else None
        return analyze(
            clear,
            noise=said,
            gain=self.gain,
            offset=self.offset,
            read_noise=self.read_noise,
            hot_pixels=self.hot_pixels,
        )


@dataclass(kw_only=True, eq=False)
class PreparedInput(NoiseAware):
    """A method whose `fit` and `run_prepared` work on images as they are `prepared`: `run` gives back the files' own.

    It is shown an image without what is set aside and without stripes, in units near one. Of colours that are all the
    same, as grey micrographs are exported, it is shown one: their noise is the same too. Colours that share no
    structure, as dyes in a composite, it is shown as channels. Where single photons were counted, and are rare, it is
    shown sums over squares.

    Attributes
    ----------
    found_ : NoiseReport
        What noise there is, in image units.
    units_ : Units
        In which an image is shown.
    squares_ : int
        Side of the squares whose sums are shown.
    report_ : NoiseReport
        The noise of what is shown.
    scene_ : Decision or None
        Whether colours are those of one scene; none where there are no colours, or the method is to take them together.
    """

    found_: NoiseReport = field(init=False, repr=False)
    report_: NoiseReport = field(init=False, repr=False)
    units_ = Units()  # until `fit`
    squares_ = 1
    scene_: Decision | None = None
    single_ = False  # of a copy that is frozen: whether one colour stands for all

    @property
    def cuts(self) -> bool:
        """Whether it can work on pieces: not with a picture without light, which belongs to all of an image."""
        return self.dark is None

    def need(self, image: Image) -> Need:
        """Say what it needs to work on pieces of an image."""
        if not self.cuts:
            return super().need(image)
        need = self.need_prepared(self._as_channels(image))
        return replace(need, margin=need.margin * self.squares_, multiple=need.multiple * self.squares_)

    def need_prepared(self, image: Image) -> Need:
        """Say what `run_prepared` needs."""
        return super().need(image)

    def freeze(self, sample: Image) -> None:
        """Find out what depends on all of an image; see `freeze_prepared`."""
        sample = self._as_channels(sample)
        cleared = self.cleared(sample)
        self.single_ = cleared.axes != sample.axes
        self.freeze_prepared(self._near(cleared))

    def freeze_prepared(self, shown: Image) -> None:
        """Find out what `run_prepared` must know of all of an image."""

    def look_and_prepare(self, images: Sequence[Image]) -> list[Image]:
        """Find out the noise of the first image, and return all as the method is shown them."""
        self.scene_ = self._one_scene(images[0])
        clear = [self.cleared(self._as_channels(image)) for image in images]
        self.units_ = Units.of(clear[0])
        self.found_ = self._report or self.analysed(clear[0])
        self.report_ = self.found_.in_units(self.units_)
        self.squares_ = side_of_squares(clear[0], self.found_)
        if self.squares_ > 1:
            self.report_ = of_squares(self.report_, self.squares_)
        if self._striped:
            shown = tuple(replace(channel, stripes={}) for channel in self.report_.channels)
            self.report_ = replace(self.report_, channels=shown)
        return [self._near(image) for image in clear]

    def prepared(self, image: Image) -> Image:
        """Return an image as the method is shown it."""
        return self._near(self.cleared(self._as_channels(image)))

    def _one_scene(self, image: Image) -> Decision | None:
        """Decide whether the colours of an image share structure; None where they are taken together all the same."""
        together = self.joint_channels or self.blind or not (self.strength_luma is None is self.strength_chroma)
        if together or image.samples() != 3 or image.channels > 1 or image.alpha:
            return None
        window = middle(image, COLOURS_LOOKED_AT)
        values = next(iter(window.planes(2))).view(window.data)
        shared = shared_structure(fill(np.asarray(values, np.float64))[0])
        return Decision.at_least("structure-shared-by-colours", shared, ONE_SCENE)

    def _as_channels(self, image: Image) -> Image:
        """An image whose colours are channels, where they share no structure."""
        if self.scene_ is None or self.scene_.passed or "C" in image.axes:
            return image
        return replace(image, axes=image.axes.replace("S", "C"))

    @property
    def _striped(self) -> bool:
        """Whether rows or columns have offsets of their own, which are taken off."""
        return any(channel.stripes for channel in self.found_.channels)

    def _near(self, clear: Image) -> Image:
        """An image in units near one, without stripes, summed over squares where photons are rare."""
        near = self.units_.into(clear)
        if self._striped:
            near = destriped(near, [channel.stripes for channel in self.found_.channels])
        if self.squares_ == 1:
            return near
        return summed(replace(near, data=fill(near.data[None])[0][0]), self.squares_)

    def cleared(self, image: Image) -> Image:
        """Return an image as its noise is measured: of colours that are all the same, one."""
        return self._single(super().cleared(image))

    def _single(self, image: Image) -> Image:
        """An image of one colour where all are the same; weights that are told nothing of noise are for three."""
        if self.is_frozen and not self.single_:
            return image
        return image if self.blind else one_colour(image)

    def run_prepared(
        self, image: Image, out: Array | None, done: Report | None, std: Array | None, strength: Strength
    ) -> Result:
        """Denoise an image as it is prepared; see `hush.methods._base.Denoiser.run`."""
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
        if not hasattr(self, "report_"):
            raise HushError(f"{type(self).__name__} has learned nothing yet: call fit first")
        given, strength = as_image(image), strength or self.own_strength
        seen = self._as_channels(given)
        if seen is given:
            return self._run_whole(given, out, done, std, strength)
        return self._run_whole(seen, out, done, std, strength.grey).with_axes(given.axes)

    def _run_whole(
        self, noisy: Image, out: Array | None, done: Report | None, std: Array | None, strength: Strength
    ) -> Result:
        """Denoise an image, and put back what was set aside."""
        clear, aside = set_aside(noisy)
        clear = self._single(self._undarkened(clear))
        shown = self._near(clear)
        if shown is noisy and not self._counts_whole(noisy if out is None else out):
            result = self.run_prepared(noisy, out, done, std, strength)
        else:
            result = self._run(noisy, clear, shown, out, done, std, strength)
        if aside is not None:
            put_back(noisy, aside, result, outliers=self.hot_pixels == "keep")
        if not self.is_frozen:  # else all planes were looked at before
            with_contrast(noisy, result)
        return result

    def _run(
        self,
        noisy: Image,
        clear: Image,
        shown: Image,
        out: Array | None,
        done: Report | None,
        std: Array | None,
        strength: Strength,
    ) -> Result:
        """Denoise an image as it is shown, and give back its own units, kind of numbers, and colours."""
        clean = np.empty(noisy.data.shape, noisy.data.dtype) if out is None else out
        first, *others = [...] if shown.axes == noisy.axes else map(noisy.colour, range(noisy.samples()))
        strength = strength if first is ... else strength.grey
        per_pixel = self.squares_ == 1 and not self._striped  # else it is not the pixel's own noise that is shown
        alike = shown.data.dtype == noisy.data.dtype and self.units_.own and per_pixel
        if alike and not self._counts_whole(clean):
            result = self.run_prepared(shown, clean[first], done, None if std is None else std[first], strength)
        else:
            made = np.empty(shown.data.shape, np.float32)
            spread = None if std is None else np.empty(shown.data.shape, np.float32)
            result = self.run_prepared(shown, made, done, spread, strength if per_pixel else Strength())
            made = self._whole(made, shown, clear.data.shape)
            if not per_pixel:  # the share of the noise that stays is a pixel's own
                _as_pixels(self.units_.into(clear), made, strength)
            clean[first] = self._own(made, replace(noisy, data=clean[first], axes=shown.axes))
            if std is not None and spread is not None:
                std[first] = self._whole(spread, shown, std[first].shape) * self.units_.factor
            if self._counts_whole(clean):
                sentence = "The image has a low count, and whole numbers hold no part of a photon: --float keeps them."
                warn(result.info, Finding("low-count-integers", sentence))
        for array in [clean] if std is None else [clean, std]:
            for other in others:
                array[other] = array[first]
        if noisy.alpha:
            clean[noisy.colour(-1)] = noisy.data[noisy.colour(-1)]
        image = replace(noisy, data=clean, meta=result.image.meta)
        wide = None if result.std is None else replace(noisy, data=std, meta=result.std.meta)
        return Result(image, wide, result.info | {"axes": noisy.axes})

    def _counts_whole(self, image: Image | Array) -> bool:
        """Whether a result is in whole numbers of photons, of which pixels have less than one."""
        low = all(noise.photons for noise in self.report_.channels)
        return low and (image.data if isinstance(image, Image) else image).dtype.kind in "bui"

    def _whole(self, values: Array, shown: Image, shape: tuple[int, ...]) -> Array:
        """Values as they are shown for all pixels of the image."""
        if self.squares_ == 1:
            return values
        return spread_out(replace(shown, data=values), self.squares_, shape)

    def _own(self, values: Array, like: Image) -> Array:
        """What was made, in the image's own units and kind of numbers."""
        if self._counts_whole(like):
            values = whole_numbers(values, like.axes, self.report_.channels[0].gain)
        dtype = like.data.dtype
        return self.units_.back(values if dtype.kind == "f" else np.nan_to_num(values), dtype)


def _as_pixels(noisy: Image, clean: Array, strength: Strength) -> None:
    """Give a result the share of each pixel's own noise that is to stay; what is missing stays missing."""
    for plane in noisy.planes(2):
        before, after = plane.view(noisy.data), plane.view(clean)
        after[...] = np.where(np.isfinite(before), strength.mix(before, after), before)


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
