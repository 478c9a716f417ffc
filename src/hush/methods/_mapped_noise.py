"""Noise of a level that changes from place to place: what a method does that is given a noise map, or finds one."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from hush.core.errors import HushError
from hush.core.image import Array, Image
from hush.methods._apply import Work
from hush.methods._base import Images, Report, as_images, demand
from hush.methods._learned import PARTNER, NetDenoiser
from hush.methods._noise_aware import NoiseAware
from hush.methods._noise_map import MapPatches, estimated_map, in_words, pieces_in_order, read_map, spread_map
from hush.methods._ssdn_network import PACE, BlindNet, Known
from hush.nets._parts import pad_end
from hush.noise import NoiseModel
from hush.noise._mixture import InSequence
from hush.noise.gaussian import Gaussian
from hush.training.dataset import Partner, Scene
from hush.training.normalization import Scale, scale_of
from hush.training.patches import Patches


@dataclass(kw_only=True, eq=False)
class MappedNoise(NoiseAware, NetDenoiser):
    """A method whose network may be shown, beside the image, the level of the noise at every pixel.

    Parameters
    ----------
    noise_map : None, "estimate", or a file, array or image (or in Python a list with one for each image of `fit`)
        The standard deviation of the noise at every pixel, in image units, of the shape of a plane (Y, X) or of a
        frame: the posterior uses at each pixel its own, and the network is shown those of the others, so that one
        model serves noise of many levels. ``"estimate"``: found in every image, one smooth map for each channel or
        colour. What `noise` says comes beside the map (photons on a camera whose read noise is mapped). With
        ``parameter="global"`` one factor of the map is learned.
    averaged : int
        How many exposures the images are a mean of: `noise` and a map that is given are those of one exposure, and the
        mean has so many times less variance. Leave it at 1 where nothing is given: what is found is that of the mean.
    """

    noise_map: str | np.ndarray[Any, Any] | list[Any] | None = None
    averaged: int = 1

    _own: Any = field(default=None, init=False, repr=False)  # the map of all images of `fit`
    _levels: Any = field(default=None, init=False, repr=False)  # the map to run with, instead of that one

    def check(self) -> None:
        """Refuse settings that make no sense, naming what is possible."""
        super().check()
        demand(self.averaged >= 1, "averaged", self.averaged, "1 or more exposures")
        said = self.noise is not None or (self.mapped and not self._estimates)
        demand(self.averaged == 1 or (said and self.simulate is None), "averaged", self.averaged,
               "1, unless noise or noise_map says what one exposure has")  # fmt: skip
        if self.mapped:
            self._check_map()

    def _check_map(self) -> None:
        """Refuse settings that make no sense beside a noise map."""
        what = in_words(self.noise_map)
        demand(self.simulate is None, "noise_map", what, "none with simulate: the map is that of noisy images")
        demand(not self._estimates or self.noise is None, "noise", self.noise,
               "none with noise_map=estimate, which finds all of the noise")  # fmt: skip

    @property
    def settings(self) -> dict[str, Any]:
        """The values that the constructor stored; a map in words."""
        return super().settings | {"noise_map": in_words(self.noise_map)}

    @property
    def mapped(self) -> bool:
        """Whether every pixel has a level of its own."""
        return self.noise_map is not None

    @property
    def _estimates(self) -> bool:
        return isinstance(self.noise_map, str) and self.noise_map == "estimate"

    # Learning ----------------------------------------------------------------------------------

    def keep_map(self) -> None:
        """Keep a map that is given for all images with what is learned."""
        if not self._estimates and not isinstance(self.noise_map, list):
            self._own = read_map(self.noise_map)
            self.learned_["map"] = list(self._own.shape)

    def equip_map(self, net: BlindNet, learned: bool) -> None:
        """Give the network the map that all images share, and the factor of maps where that is learned."""
        if "map" in self.learned_:
            known = torch.zeros(self.learned_["map"]) if self._own is None else torch.from_numpy(self._own)
            net.register_buffer("levels", known)  # of a model from a file its weights hold it
        if learned:
            net.register_parameter("factors", nn.Parameter(torch.zeros(1)))

    def fit(
        self,
        images: Images,
        targets: Images | None = None,
        *,
        checkpoint: Path | None = None,
        resume: bool = False,
        progress: Report | None = None,
        start: NetDenoiser | None = None,
    ) -> Self:
        """Learn from noisy images; see `hush.methods._learned.NetDenoiser.fit`. A noise map is given as `targets`."""
        self.check()
        inputs = as_images(images)
        if self.mapped:
            targets = self._maps(inputs)
        return super().fit(inputs, targets, checkpoint=checkpoint, resume=resume, progress=progress, start=start)

    def with_map(self, noise_map: Any) -> Self:
        """Return the same model for images with another noise map, of one exposure, or ``"estimate"``.

        Parameters
        ----------
        noise_map : "estimate", or a file, array or image
            See `noise_map`.

        Raises
        ------
        HushError
            When the model was trained without a map.
        """
        if not self.mapped:
            raise HushError("this model was trained without a noise map: fit one with noise_map")
        other = copy.copy(self)
        other._levels = noise_map
        return other

    def _maps(self, images: Sequence[Image]) -> list[Image]:
        """The map of every image that is learned from."""
        if isinstance(self.noise_map, list):
            if len(self.noise_map) != len(images):
                raise HushError(f"there are {len(images)} images and {len(self.noise_map)} noise maps: each needs one")
            given = self.noise_map
        else:
            given = [self.noise_map] * len(images)
        pairs = zip(given, images, strict=True)
        return [replace(image, data=self._levels_of(one, image)) for one, image in pairs]

    def _levels_of(self, given: Any, image: Image, clear: bool = False) -> Array:
        """The standard deviation of the noise at every pixel of an image."""
        if isinstance(given, str) and given == "estimate":
            return estimated_map(image if clear else self.cleared(image), self.joint_channels)
        return spread_map(read_map(given) / np.float32(math.sqrt(self.averaged)), image)

    def _map_of(self, image: Image, net: nn.Module) -> Array:
        """The map of an image that is denoised: the one of `with_map`, the model's own, or estimated."""
        if self._levels is not None:
            return self._levels_of(self._levels, image, clear=True)
        if "map" in self.learned_:
            return self._levels_of(net.get_buffer("levels").cpu().numpy(), image)
        if self._estimates:
            return self._levels_of("estimate", image, clear=True)
        raise HushError("every image had a noise map of its own: say that of this one, model.with_map(...)")

    @property
    def _partner(self) -> Partner:
        return "clean" if self.mapped else PARTNER[self.needs]  # a map is cut as a clean partner is

    def sources(
        self, kept: Sequence[Scene], held: Sequence[Scene], size: Sequence[int], scale: Scale
    ) -> tuple[Patches, Patches | None]:
        """Return what patches to learn from, and what those held out, are drawn from."""
        if not self.mapped:
            return super().sources(kept, held, size, scale)
        aside = MapPatches.of(held, size, scale, "none") if held else None
        return MapPatches.of(kept, size, scale, self.augment), aside

    def with_levels(self, net: BlindNet, shares: Tensor, scale: Scale) -> NoiseModel:
        """The noise of pixels whose level is a share (B, C, [Z,] Y, X) of the normalisation; image units."""
        levels = Gaussian(shares.movedim(1, -1) * shares.new_tensor(scale.std))  # type: ignore[arg-type]
        factors = getattr(net, "factors", None)
        own = levels if factors is None else levels.varied([(PACE * factors).exp()[0]])
        return own if net.noise is None else InSequence((net.noise, own))

    @property
    def cuts(self) -> bool:
        """Whether it can work on pieces: a noise map is one of all of an image."""
        return not self.mapped

    def _work(self, image: Image, network: int) -> Work | None:
        """What is done to a piece of the image by one network: with a map it is shown its piece of it as well."""
        work, net = super()._work(image, network), self.nets_[network]
        if work is None or net is None or not self.mapped:
            return work
        scale, multiple = self._scale_of(image, network), int(net.multiple)  # type: ignore[arg-type]
        pieces = pieces_in_order(image, self._map_of(image, net), network, work, self.ndim, self.joint_channels)

        def function(piece: Array) -> tuple[Array, ...]:
            std = np.reshape(scale.std, (-1, *(1,) * self.ndim))
            both = np.concatenate([scale.normalise(piece), np.float32(next(pieces) / std)])
            x = pad_end(torch.from_numpy(both)[None].to(self.device_), multiple)
            (made,) = self._forward(net, x, Known(scale))
            inside = tuple(slice(0, size) for size in piece.shape[1:])
            mean, variance = (y[0].cpu().numpy()[(slice(None), *inside)] for y in made.chunk(2, 1))
            return scale.restore(mean, piece), scale.spread(np.sqrt(np.maximum(variance, 0)))

        return replace(work, function=function)

    def _scale_of(self, image: Image, network: int) -> Scale:
        return scale_of(self._views(image, network)).without_zero() if self.renormalize else self.scales_[network]
