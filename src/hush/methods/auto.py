"""Look at the noise, then choose the method."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from hush import __version__, registry
from hush.classical import Knowing
from hush.denoiser import Denoiser, Images, Report, Result, as_images, warn
from hush.errors import HushError
from hush.image import Array, Image, as_image
from hush.machine import peak_memory_mb


@dataclass(kw_only=True, eq=False)
class Auto(Knowing):
    """Analyse the noise, choose the method, and say why: BM3D after stabilising, or structN2V for correlated noise.

    A clean image comes back untouched.

    Parameters
    ----------
    steps : int or None
        Training steps, where a network is trained.
    seconds : float
        Training time, where a network is trained and no steps are given.

    Examples
    --------
    >>> noisy = np.random.default_rng(0).normal(100, 9, (64, 64)).astype(np.float32)
    >>> model = Auto().fit(noisy)
    >>> model.run(noisy).info["chosen"]
    'bm3d'
    """

    needs: ClassVar[str] = "noisy"
    scope: ClassVar[str] = "image"

    steps: int | None = None
    seconds: float = 20.0
    device: str | None = None

    def fit(self, images: Images, targets: Images | None = None) -> Self:
        """Analyse the image, choose the method and fit it."""
        self.check()
        given = as_images(images)
        if not given:
            raise HushError("there is no image to look at")
        self.report_ = self.look(given[0])
        self.chosen_ = self._choose(given[0])
        if self.chosen_ is not None:
            self.chosen_.fit(given)
        return self

    def _choose(self, image: Image) -> Denoiser | None:
        """Build the recommended method with what this one was told."""
        advice = self.report_.recommendation
        name = advice["method"]
        if name is None:
            return None
        if self.ndim == 3 and name == "bm3d":
            name = "nlm"
        kind = registry.get("methods", name)
        known: dict[str, Any] = {key: value for key, value in self.settings.items() if key in kind.settings_of()}
        model: Denoiser = kind(**known, **advice["settings"])
        return model

    def run(
        self, image: Image | Array, out: Array | None = None, done: Report | None = None, std: Array | None = None
    ) -> Result:
        """Denoise with the chosen method; ``info`` has ``chosen`` and ``reason``."""
        if not hasattr(self, "report_"):
            raise HushError(f"{type(self).__name__} has learned nothing yet: call fit first")
        noisy = as_image(image)
        if self.chosen_ is None:
            result = self._untouched(noisy, out)
        else:
            for name in ("strength", "strength_luma", "strength_chroma"):
                setattr(self.chosen_, name, getattr(self, name))
            result = self.chosen_.run(noisy, out, done, std)
        result.info["chosen"] = self.chosen_.method if self.chosen_ is not None else None
        result.info["reason"] = f"{self.report_.verdict} So: {self.report_.recommendation['reason']}."
        result.info["noise"] = self.report_.as_dict()["noise"]
        return Result(
            result.image.with_meta(hush={"version": __version__, "method": self.method}),
            result.std,
            result.info | {"method": self.method, "settings": self.settings},
        )

    def _untouched(self, noisy: Image, out: Array | None) -> Result:
        clean = np.array(noisy.data) if out is None else out
        clean[...] = noisy.data
        info: dict[str, Any] = {
            "warnings": [],
            "seed": self.seed,
            "steps": 0,
            "seconds": 0.0,
            "device": "cpu",
            "precision": "float32",
            "peak_memory_mb": peak_memory_mb(),
            "axes": noisy.axes,
            "ndim": self.ndim,
            "loss": [],
        }
        if noisy.data.size and (np.asarray(noisy.data) == np.asarray(noisy.data).flat[0]).all():
            warn(info, "the image is constant: it is given back unchanged")
        return Result(dataclasses.replace(noisy, data=clean), None, info)
