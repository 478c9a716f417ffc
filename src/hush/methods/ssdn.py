"""SSDN: a blind-spot network predicts each pixel's distribution, and its own noisy value updates it."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn

from hush.core.device import body_precision
from hush.core.errors import HushError
from hush.core.findings import Finding
from hush.core.image import Array, Image
from hush.estimation.report import ChannelNoise, NoiseReport, together
from hush.methods._base import demand
from hush.methods._mapped_noise import MappedNoise
from hush.methods._ssdn_likelihood import Prior, fit_line, negative_log_likelihood, prior_of
from hush.methods._ssdn_network import PACE, BlindNet, Known
from hush.methods._trained import Context
from hush.noise import NoiseModel, parse
from hush.noise._averaged import of_mean
from hush.pretrained.analyze import analyze
from hush.training.masking import error_everywhere
from hush.training.normalization import Scale
from hush.training.patches import Batch, Patches

# standard deviations of an image that its range has, typically: the paper's constants are for 0..1
RANGE_DEVIATIONS = 4.5
PULL = {True: 0.05, False: 0.1}  # of the paper: what one unit of unknown noise is worth, for one channel and for colour
ENOUGH_PIXELS = 64  # pixels: smaller images do not tell whether their noise is correlated
LEAST_VARIANCE = 1e-3  # variance that noise has at least while training, of the image's
LEAST_FITTED = 2e-2  # the same where no model bounds it from below: a spread near zero makes the training diverge
LOOKED_AT = 8  # images in which the noise is looked for
CROPS, CROP_SIDE = 64, 128  # of an image, from which its own noise is estimated


@dataclass(kw_only=True, eq=False)
class SSDN(MappedNoise):
    """Predict a pixel's distribution from its surroundings, then update it with its noisy value (Laine et al. 2019).

    A blind-spot network, trained on noisy images alone, gives for every pixel a mean and a covariance of its
    colours. With the noise known this is a prior, and the posterior's mean uses the pixel's own value as well, to
    which `n2v` is blind; the posterior's standard deviation is a map of the uncertainty.

    Parameters
    ----------
    noise, gain, offset, read_noise : see `hush.methods._noise_aware.NoiseAware`
    noise_map, averaged : see `hush.methods._mapped_noise.MappedNoise`
    dark : None
        It takes no pattern off.
        What is not said is found out by `hush.analyze`.
    parameter : {"known", "global", "variable", "fitted"}
        The noise's parameters are known; or learned, one for all images, beginning at those of `noise`; or
        estimated an image by a second network; or fitted after training as the line of Poisson-Gaussian noise
        (Khademi et al. 2021).
    covariance : {"full", "diag", "mean"}
        Of a pixel's colours; ``"mean"``: none, trained with the squared error, and without a posterior.

    Notes
    -----
    Use it on a collection with white noise and some minutes of training, or for a map of the uncertainty.

    ::

        p(x | y, Ω) ∝ p(y | x) N(x; μ_Ω, Σ_Ω)
        L(θ) = -log ∫ p(y | x) N(x; μ_Ω, Σ_Ω) dx

    Ω are the surroundings of a pixel, of which the network gives μ and Σ. Raise `maps` and `depth` for long
    trainings, lower them for one image. Take ``parameter="global"`` where the noise level is in doubt.

    Where the defaults differ from the paper's, they are for a minute on two cores: the network is `blindgrid`, whose
    steps take less than half the time of the paper's turned half planes (``net="blindspot", maps=48, depth=5``);
    crops of 64 pixels (256), 4e-3 (3e-4), and the network adds to the mean of the 24 pixels around.

    Noises that are composed (``gaussian:sigma=5 + speckle:sigma=10``) are used by their moments: each part adds its
    variance to that which the ones before it left, and for the posterior the total is a normal distribution's. With a
    noise map σ(p) it is N(0, σ(p)²) that is added, as FFDNet's network is shown a map of the level.

    References
    ----------
    * S. Laine, T. Karras, J. Lehtinen and T. Aila, High-quality self-supervised deep image denoising, NeurIPS 2019.
    * W. Khademi et al., Self-supervised Poisson-Gaussian denoising, WACV 2021.
    * K. Zhang, W. Zuo and L. Zhang, FFDNet, IEEE TIP 2018.

    Examples
    --------
    >>> noisy = np.random.default_rng(0).normal(100, 9, (64, 64)).astype(np.float32)
    >>> result = SSDN(steps=2, maps=4, noise="gaussian:sigma=9").fit(noisy).run(noisy)
    >>> result.std.data.shape
    (64, 64)
    >>> levels = np.full((64, 64), 9.0)
    >>> SSDN(steps=2, maps=4, noise_map=levels).fit(noisy).denoise(noisy).data.shape
    (64, 64)
    """

    needs: ClassVar[str] = "noisy"
    scope: ClassVar[str] = "collection"

    parameter: Literal["known", "global", "variable", "fitted"] = "known"
    covariance: Literal["full", "diag", "mean"] = "full"
    net: str = "blindgrid"
    batch: int = 4
    learning_rate: float = 4e-3
    norm: Literal["batch", "none"] = "none"

    def check(self) -> None:
        """Refuse settings that make no sense, naming what is possible."""
        super().check()
        demand(self.parameter in ("known", "global", "variable", "fitted"), "parameter", self.parameter,
               "known, global, variable, fitted")  # fmt: skip
        demand(self.covariance in ("full", "diag", "mean"), "covariance", self.covariance, "full, diag, mean")
        demand("blind" in self.net, "net", self.net, "blindgrid, blindspot")
        demand(self.dark is None, "dark", self.dark, "none: ssdn takes no pattern off; subtract it first, or take auto")
        if self.mapped:
            demand(self.covariance != "mean", "noise_map", self.settings["noise_map"],
                   "none with covariance=mean, which has no posterior")  # fmt: skip
            demand(self.parameter in ("known", "global"), "parameter", self.parameter, "known, global with a noise map")

    @property
    def uncertain(self) -> bool:
        """Whether it gives a per-pixel standard deviation."""
        return self.covariance != "mean"

    @property
    def removes_outliers(self) -> bool:
        """Whether that was asked for."""
        return self.hot_pixels == "remove"

    # The noise ---------------------------------------------------------------------------------

    def get_ready(self, images: Sequence[Image]) -> None:
        """Find out the noise of every channel, or take what was given."""
        networks = self._networks(images[0])
        self.learned_["noise"] = [None] * networks
        if self.mapped:
            self.learned_["noise"] = [self.noise and self._fixed(self.noise)] * networks
            self.keep_map()
            _warn_of_correlation(self._found(images), images[0])
            return
        if self.covariance == "mean" or self.parameter == "fitted":
            return
        given = self.noise or (self.simulate if self.gain is None else None)
        if given is not None:
            self.learned_["noise"] = [self._fixed(given)] * networks
        if given is not None and self.simulate is not None:  # the images are clean
            return
        found = self._found(images)
        if given is None:
            self.learned_["noise"] = [str(together(noises)) for noises in found]
            _warn_of_correlation(found, images[0])
        elif self.parameter == "known":
            _warn_of_doubts(found)

    def _found(self, images: Sequence[Image]) -> list[list[ChannelNoise]]:
        """What `hush.analyze` finds in some of the images, for every network."""
        some = [images[k] for k in np.unique(np.linspace(0, len(images) - 1, LOOKED_AT).astype(int))]
        reports = [self.look(image) for image in some]
        samples = images[0].samples(self.joint_channels)
        return [
            [noise for report in reports for noise in report.channels[network * samples : (network + 1) * samples]]
            for network in range(self._networks(images[0]))
        ]

    def analysed(self, clear: Image) -> NoiseReport:
        """Find out, or take from the settings, what noise is in an image that is cleared."""
        if self.averaged == 1 or self.noise is None:
            return super().analysed(clear)
        return analyze(clear, noise=parse(self._fixed(self.noise)), hot_pixels=self.hot_pixels)

    def _fixed(self, said: str) -> str:
        """The noise that was said, without ranges and all of its pixels alike, in the images as they are."""
        model = parse(said).draw(np.random.default_rng(0))
        if str(model) != str(parse(said).draw(np.random.default_rng(1))) or not model.pixelwise:
            raise HushError(f"noise {said!r} has no likelihood with fixed parameters: give one kind and its numbers")
        if self.parameter in ("global", "variable") and not (model.learnable or self.mapped):
            raise HushError(f"noise {said!r} has no parameter that could be learned; --set parameter=known")
        return str(of_mean(model, self.averaged))

    @property
    def used_noise(self) -> list[NoiseModel | None]:
        """The noise of every network, as known, learned or fitted; None where an image has its own."""
        nets = [net for net in self.nets_ if isinstance(net, BlindNet)]
        return [None if net.noise is None or net.variable is not None else self._noise(net) for net in nets]

    # The method ----------------------------------------------------------------------------------

    def build(self, channels: int, ndim: int) -> nn.Module:
        """Return the blind-spot network; `equip` adds what it knows of the noise."""
        more = {"full": channels * (channels + 1) // 2, "diag": channels, "mean": 0}[self.covariance]
        maps = channels if self.mapped else 0
        outputs = channels + maps + (1 if self.parameter == "fitted" else more)
        return BlindNet(self.network(channels + maps, outputs, ndim), channels, maps)

    def equip(self, net: nn.Module, network: int) -> None:
        """Give the network its noise, and what learns its parameters."""
        assert isinstance(net, BlindNet)
        known = self.learned_["noise"][network]
        if known is not None:
            net.noise = parse(known).draw(np.random.default_rng(0))
        if self.mapped:
            self.equip_map(net, learned=self.parameter == "global")
            return
        if net.noise is None:  # not used, or fitted after training
            return
        count = len(net.noise.learnable)
        if self.parameter == "global":
            net.register_parameter("factors", nn.Parameter(torch.zeros(count)))
        if self.parameter == "variable":
            channels: Any = net.blind.inputs
            unet = {"depth": 2, "maps": 16, "norm": "none", "residual": "none"}
            variable: Any = self.network(channels, count, self.ndim, net="unet", **unet)
            nn.init.zeros_(variable.last.weight)
            net.variable = variable

    def loss(self, net: nn.Module, batch: Batch, rng: torch.Generator) -> Tensor:
        """Return minus the logarithm of the likelihood of the noisy values, given their surroundings."""
        assert isinstance(net, BlindNet)
        assert batch.scale is not None
        out = net(batch.noisy if batch.target is None else torch.cat([batch.noisy, batch.target], 1))
        with torch.autocast(out.device.type, enabled=False):
            if self.covariance == "mean":
                return error_everywhere(out, batch.noisy, batch.valid)
            prior = prior_of(out, batch.noisy, batch.scale, self.covariance)
            if self.parameter == "fitted":  # the spread of the noisy value itself
                losses = [self._fit(prior.noisy - prior.mean, prior.covariance, LEAST_FITTED)]
            else:
                losses = [self._one(net, *one) for one in self._apart(net, prior, batch)]
            loss = torch.cat(losses)  # (B, [Z,] Y, X)
            if batch.valid is None:
                return loss.mean()
            return (loss * batch.valid[:, 0]).sum() / batch.valid.sum().clip(1)

    def _apart(self, net: BlindNet, prior: Prior, batch: Batch) -> list[tuple[Prior, NoiseModel]]:
        """What shares its noise: the whole batch, or image by image."""
        if batch.target is not None and batch.scale is not None:
            return [(prior, self.with_levels(net, batch.target, batch.scale))]
        assert net.noise is not None
        if self.parameter == "variable":
            factors = self._factors(net, batch.noisy).exp()
            return [(prior.part(k), net.noise.varied(list(factors[k]))) for k in range(len(factors))]
        return [(prior, self._noise(net))]

    def _one(self, net: BlindNet, prior: Prior, noise: NoiseModel) -> Tensor:
        own = noise.scaled(1 / prior.unit)
        mean, total = own.marginal(prior.mean, prior.covariance)
        loss = self._fit(prior.noisy - mean, total)
        if self.parameter == "known":
            return loss
        # what is unknown might be noise or signal: the paper pulls towards noise
        level = (total - prior.covariance).diagonal(0, -2, -1).mean(-1).clip(1e-8).sqrt()
        pulled: Tensor = loss - PULL[mean.shape[-1] == 1] / RANGE_DEVIATIONS * level
        return pulled

    @staticmethod
    def _fit(away: Tensor, total: Tensor, least: float = LEAST_VARIANCE) -> Tensor:
        """The negative logarithm of the likelihood, with a little noise more: where photons lack there is none."""
        return negative_log_likelihood(away, total + torch.diag_embed(torch.full_like(away, least)))

    @staticmethod
    def _factors(net: BlindNet, x: Tensor) -> Tensor:
        """Logarithms of the noise's parameters against those it began with, (B, n)."""
        assert net.variable is not None
        logarithms: Tensor = net.variable(x).flatten(2).mean(-1)
        return logarithms

    @staticmethod
    def _noise(net: BlindNet) -> NoiseModel:
        """The noise of all images; a factor of the map is not this one's."""
        assert net.noise is not None
        factors = None if net.maps else getattr(net, "factors", None)
        return net.noise if factors is None else net.noise.varied(list((PACE * factors).exp()))

    def settle(self, net: nn.Module, network: int, patches: Patches) -> None:
        """Fit the line of the noise's variance to what the network predicted, where it is unknown till now."""
        if self.parameter != "fitted" or self.covariance == "mean":
            return
        assert isinstance(net, BlindNet)
        batch = patches.batch(64, np.random.default_rng(self.seed), self.device_)
        with torch.inference_mode(), body_precision(self.device_, self.precision_):
            out = net(batch.noisy).float()
        prior = prior_of(out, batch.noisy, patches.scale, self.covariance)
        model = fit_line((prior.unit * prior.mean).cpu().numpy(), (prior.unit * prior.noisy).cpu().numpy())
        self.learned_["noise"][network], net.noise = str(model), model

    # Applying ------------------------------------------------------------------------------------

    def prepare(self, net: nn.Module, views: Sequence[Array], scale: Scale) -> Context:
        """Find the noise of an image: from all of its planes, once."""
        assert isinstance(net, BlindNet)
        if self.covariance == "mean" or self.mapped:
            return Known(scale)
        if self.parameter != "variable":
            return Known(scale, self._noise(net))
        some = [views[k] for k in np.unique(np.linspace(0, len(views) - 1, CROPS).astype(int))]
        size = [CROP_SIDE] * self.ndim if self.ndim == 2 else [16, CROP_SIDE // 2, CROP_SIDE // 2]
        size = [max(self.grid, n // 4 * 4) for n in np.minimum(size, some[0].shape[1:])]
        batch = Patches(some, size, scale, "none").batch(CROPS, np.random.default_rng(self.seed), self.device_)
        with torch.inference_mode(), body_precision(self.device_, self.precision_):
            factors = torch.cat([self._factors(net, one) for one in torch.split(batch.noisy, 8)]).mean(0)
        assert net.noise is not None
        return Known(scale, net.noise.varied([float(factor) for factor in factors.exp()]))

    def predict(self, net: nn.Module, x: Tensor, context: Context) -> tuple[Tensor, Tensor | None]:
        """Return the posterior's mean and variance."""
        assert isinstance(context, Known)
        assert isinstance(net, BlindNet)
        out, (noisy, shares) = net(x), (x[:, : net.channels], x[:, net.channels :])
        with torch.autocast(out.device.type, enabled=False):
            known = self.with_levels(net, shares, context.scale) if self.mapped else context.noise
            if known is None:
                return out, None
            prior = prior_of(out, noisy, context.scale, self.covariance)
            noise = known.scaled(1 / prior.unit)
            if self.parameter == "fitted":
                prior = prior.without(noise)
            return prior.back(*noise.posterior(prior.noisy, prior.mean, prior.covariance), context.scale)


def _warn_of_correlation(found: Sequence[Sequence[ChannelNoise]], image: Image) -> None:
    shared = float(np.mean([not noise.white for noises in found for noise in noises]))
    if shared > 0.5 and min(image.sizes[axis] for axis in "YX") >= ENOUGH_PIXELS:
        sentence = "the noise is spatially correlated, which this method cannot remove: try --method structn2v"
        warnings.warn(Finding("noise-correlated", sentence, shared).warning(), stacklevel=5)


def _warn_of_doubts(found: Sequence[Sequence[ChannelNoise]]) -> None:
    doubt = next((noise.doubt for noises in found for noise in noises if noise.doubt), None)
    if doubt is not None:
        sentence = f"{doubt}; where none is given, what is found is used"
        warnings.warn(Finding(doubt.code, sentence, doubt.figure).warning(), stacklevel=5)
