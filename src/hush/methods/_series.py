"""Series: what methods share that see all volumes (or planes) of one place at once."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np

from hush import __version__
from hush.core.device import peak_memory_mb
from hush.core.errors import HushError
from hush.core.findings import Finding
from hush.core.image import Array, Image, Plane, as_image, cast
from hush.core.missing import fill
from hush.methods._base import Denoiser, Images, Report, Result, Strength, as_images, spread_of, warn

LEAST_VOLUMES = 4  # of fewer there is no telling what they have in common
SWAPPED = str.maketrans("TC", "CT")

Tick = Callable[[int, int], None]  # parts done, of so many


@dataclass(frozen=True)
class Separated:
    """A series without its noise, and what is known of the noise.

    Attributes
    ----------
    clean : array of float, shape (volumes, [Z,] Y, X)
    deviation : array, shape (volumes, [Z,] Y, X) or ([Z,] Y, X), or None
        Standard deviation of `clean`: of each volume, or the same for all.
    noise : array, shape ([Z,] Y, X), or None
        Standard deviation of the noise.
    """

    clean: Array
    deviation: Array | None = None
    noise: Array | None = None


@dataclass(kw_only=True, eq=False)
class Series(Denoiser):
    """A method for a series: volumes (Z, Y, X), or planes (Y, X), that show the same place time and again.

    The volumes stand along T, or along C where there is no T, or with ``joint_channels``; along the other of the two,
    each series is denoised by itself. With a Z axis a method always sees volumes: ``ndim`` changes nothing.

    Attributes
    ----------
    volumes_ : int
        How many volumes `fit` has seen.
    noise_maps_ : list of array
        Standard deviation of the noise, shape ([Z,] Y, X), of each series of the image that was last denoised, without
        those that are constant; empty for a method that does not know it.
    """

    volumes_: int = field(init=False, repr=False)
    noise_maps_: list[Array] = field(init=False, repr=False)

    def separate(self, volumes: Array, tick: Tick) -> Separated:
        """Remove the noise of a series.

        Parameters
        ----------
        volumes : array, shape (volumes, [Z,] Y, X)
            In the image's own numbers, all of them finite.
        tick : callable
            To be called with how much is done, of how much.
        """
        raise TypeError(f"{type(self).__name__} has no separate")

    def fit(self, images: Images, targets: Images | None = None) -> Self:
        """See how many volumes there are; nothing else is learned before `run`.

        Parameters
        ----------
        images : Image or array, or sequence of them
            The noisy series.
        targets
            Not used.

        Raises
        ------
        HushError
            When it is no series, or one of colours.
        """
        self.check()
        given = as_images(images)
        if not given:
            raise HushError("there is no image to look at")
        self.volumes_ = self._as_series(given[0]).channels
        return self

    def run(
        self,
        image: Image | Array,
        out: Array | None = None,
        done: Report | None = None,
        std: Array | None = None,
        strength: Strength | None = None,
    ) -> Result:
        """Denoise a series; see `hush.methods._base.Denoiser.run`."""
        if not hasattr(self, "volumes_"):
            raise HushError(f"{type(self).__name__} has seen no series yet: call fit first")
        self.check()
        noisy, strength = as_image(image), strength or self.own_strength
        strength.check(noisy)
        series = self._as_series(noisy)
        if series.channels != self.volumes_:
            raise HushError(f"fit saw {self.volumes_} volumes, and this image has {series.channels}: fit it anew")
        begun = time.perf_counter()
        info: dict[str, Any] = {"warnings": []}
        clean = np.empty(noisy.data.shape, noisy.data.dtype) if out is None else out
        std = std if self.uncertain else None
        ndim = 3 if "Z" in noisy.axes else 2
        planes = list(series.planes(ndim, joint_channels=True))
        if series is not noisy:  # people are told of the image's own axes
            planes = [replace(plane, label=plane.label.translate(SWAPPED)) for plane in planes]
        self.noise_maps_ = []
        for number, plane in enumerate(planes):

            def ticked(part: int, parts: int, before: int = number) -> None:
                if done is not None:
                    done(before * parts + part, len(planes) * parts)

            self._one(plane, series.data, clean, std, strength, info, ticked)
        info |= {
            "method": self.method,
            "settings": self.settings,
            "seed": self.seed,
            "steps": 0,
            "seconds": round(time.perf_counter() - begun, 3),
            "device": "cpu",
            "precision": "float64",
            "peak_memory_mb": peak_memory_mb(),
            "axes": noisy.axes,
            "ndim": ndim,
            "loss": [],
        }
        if self.noise_maps_:
            info["noise_level"] = float(np.median(np.concatenate([one.ravel() for one in self.noise_maps_])))
        note = {"version": __version__, "method": self.method}
        return Result(replace(noisy, data=clean).with_meta(hush=note), spread_of(noisy, std, note), info)

    def _as_series(self, image: Image) -> Image:
        """Return the image with its volumes along C; what is along the other axis of the two, along T."""
        sizes = image.sizes
        if "S" in sizes:
            raise HushError(
                f"{self.method} takes series of one value a pixel, and the axes {image.axes!r} have colours: "
                "give one colour at a time"
            )
        along = "C" if self.joint_channels or sizes.get("T", 1) == 1 else "T"
        number = sizes.get(along, 1)
        if number < LEAST_VOLUMES:
            raise HushError(
                f"{self.method} takes {LEAST_VOLUMES} or more volumes (or planes) of one place, along T or C; "
                f"the axes {image.axes!r} have {number} along {along}. Name the axes (--axes TZYX), or take another "
                "method, e.g. auto"
            )
        return image if along == "C" else replace(image, axes=image.axes.translate(SWAPPED))

    def _one(
        self,
        plane: Plane,
        noisy: Array,
        clean: Array,
        std: Array | None,
        strength: Strength,
        info: dict[str, Any],
        tick: Tick,
    ) -> None:
        """Denoise one series into its place: what is missing stays missing, a voxel that never changes as it was."""
        source, target = np.asarray(plane.view(noisy)), plane.view(clean)
        filled, valid = fill(source)
        if valid is not None:
            count = int(valid.size - np.count_nonzero(valid))
            sentence = f"{count} voxels hold no data in some volume (NaN or infinite): there they stay."
            warn(info, Finding("missing-pixels", sentence, count))
        if (filled == filled.flat[0]).all():
            where = f" ({plane.label})" if plane.label else ""
            warn(info, Finding("constant", f"The series{where} is constant: it comes back unchanged."))
            target[...] = source
            if std is not None:
                plane.view(std)[...] = 0
            return
        made = self.separate(filled, tick)
        if made.noise is not None:
            self.noise_maps_.append(made.noise)
        still = (filled == filled[:1]).all(0)  # masked, or saturated: there is no noise to see
        result = cast(strength.mix(filled, np.where(still, filled, made.clean)), clean.dtype)
        known = True if valid is None else np.isfinite(source)
        kept = source if clean.dtype.kind == "f" else 0  # whole numbers hold no NaN
        target[...] = np.where(known, result, kept)
        if std is not None and made.deviation is not None:
            plane.view(std)[...] = np.where(known, np.where(still, 0, made.deviation), np.nan)
