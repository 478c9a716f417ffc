"""Noise2Noise: learn from pairs of noisy images of the same scene."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from hush.core.image import Array, Image, as_image, cast
from hush.methods._base import Report, Result, Strength
from hush.methods._learned import NetDenoiser
from hush.training.masking import error_everywhere
from hush.training.patches import Batch


@dataclass(kw_only=True, eq=False)
class Noise2Noise(NetDenoiser):
    """Learn from pairs of noisy images of one scene (Lehtinen et al., ICML 2018).

    A pair is an image and its target (``--targets``), any two frames of a T axis, or two draws of `simulate` on a
    clean image. The error to the other noisy image has the same minimum as the error to the clean one, as long as
    the noise has no bias and the two draws are independent.

    Parameters
    ----------
    average_frames : bool
        The frames of a T axis show one still scene: each frame of the result is the mean of all frames' outputs,
        as in the study on fetal MRI.

    Notes
    -----
    Use it where each scene was taken twice, or a stack holds frames of a still scene.

    ::

        L(θ) = E ‖f_θ(y₁) - y₂‖² = E ‖f_θ(y₁) - x‖² + constant

    The constant is the variance of the second draw. Raise `maps` and `steps` for a large collection, lower them for
    one or two pairs.

    References
    ----------
    * J. Lehtinen et al., Noise2Noise: learning image restoration without clean data, ICML 2018.

    Examples
    --------
    >>> frames = np.random.default_rng(0).normal(100, 9, (2, 32, 32)).astype(np.float32)
    >>> model = Noise2Noise(steps=2, maps=4, average_frames=True).fit(Image(frames, "TYX"))
    >>> clean = model.denoise(Image(frames, "TYX")).data
    >>> bool((clean[0] == clean[1]).all())
    True
    """

    needs: ClassVar[str] = "noisy pairs"

    average_frames: bool = False

    def loss(self, net: nn.Module, batch: Batch, rng: torch.Generator) -> Tensor:
        """Return the squared error to the other noisy image, at all pixels."""
        return error_everywhere(net(batch.noisy), batch.target, batch.valid)

    @property
    def cuts(self) -> bool:
        """Whether it can work on pieces: a mean over all frames is made of all."""
        return not self.average_frames

    def run(
        self,
        image: Image | Array,
        out: Array | None = None,
        done: Report | None = None,
        std: Array | None = None,
        strength: Strength | None = None,
    ) -> Result:
        """Denoise an image; with `average_frames` all frames of T together."""
        noisy = as_image(image)
        if not self.average_frames or noisy.sizes.get("T", 1) < 2:
            return super().run(noisy, out, done, std, strength)
        result = super().run(noisy, np.empty(noisy.data.shape, np.float32), done, None, strength)
        axis = noisy.axes.index("T")
        mean = np.broadcast_to(result.image.data.mean(axis, keepdims=True), noisy.data.shape)
        clean = np.empty(noisy.data.shape, noisy.data.dtype) if out is None else out
        clean[...] = cast(mean, clean.dtype)
        return Result(replace(result.image, data=clean), None, result.info)
