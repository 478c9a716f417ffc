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
from hush.estimation.report import ChannelNoise, together
from hush.methods._base import demand
from hush.methods._learned import NetDenoiser
from hush.methods._noise_aware import NoiseAware
from hush.methods._ssdn_likelihood import Prior, fit_line, negative_log_likelihood, prior_of
from hush.methods._trained import Context
from hush.noise import NoiseModel, parse
from hush.training.masking import error_everywhere
from hush.training.normalization import Scale
from hush.training.patches import Batch, Patches

# standard deviations of an image that its range has, typically: the paper's constants are for 0..1
RANGE_DEVIATIONS = 4.5
PULL = {True: 0.05, False: 0.1}  # of the paper: what one unit of unknown noise is worth, for one channel and for colour
PACE = 20.0  # how much faster than a weight a global parameter moves: it has hundreds of steps, not 500,000
ENOUGH_PIXELS = 64  # pixels: smaller images do not tell whether their noise is correlated
LEAST_VARIANCE = 1e-3  # variance that noise has at least while training, of the image's
LEAST_FITTED = 2e-2  # the same where no model bounds it from below: a spread near zero makes the training diverge
LOOKED_AT = 8  # images in which the noise is looked for
CROPS, CROP_SIDE = 64, 128  # of an image, from which its own noise is estimated


@dataclass(frozen=True)
class _Known(Context):
    noise: NoiseModel | None = None


class _Net(nn.Module):
    """A blind-spot network, and what it knows or learns of the noise."""

    variable: nn.Module | None  # the second network, where an image has its own noise

    def __init__(self, blind: nn.Module) -> None:
        super().__init__()
        self.blind, self.variable = blind, None
        self.margin, self.multiple = blind.margin, blind.multiple
        self.noise: NoiseModel | None = None

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.blind(x)
        return out


@dataclass(kw_only=True, eq=False)
class SSDN(NoiseAware, NetDenoiser):
    """Predict a pixel's distribution from its surroundings, then update it with its noisy value (Laine et al. 2019).

    A blind-spot network, trained on noisy images alone, gives for every pixel a mean and a covariance of its
    colours. With the noise known this is a prior, and the posterior's mean uses the pixel's own value as well, to
    which `n2v` is blind; the posterior's standard deviation is a map of the uncertainty.

    Parameters
    ----------
    noise, gain, offset, read_noise : see `hush.methods._noise_aware.NoiseAware`
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

    References
    ----------
    * S. Laine, T. Karras, J. Lehtinen and T. Aila, High-quality self-supervised deep image denoising, NeurIPS 2019.
    * W. Khademi et al., Self-supervised Poisson-Gaussian denoising, WACV 2021.

    Examples
    --------
    >>> noisy = np.random.default_rng(0).normal(100, 9, (64, 64)).astype(np.float32)
    >>> result = SSDN(steps=2, maps=4, noise="gaussian:sigma=9").fit(noisy).run(noisy)
    >>> result.std.data.shape
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

    def _fixed(self, said: str) -> str:
        """The noise that was said, without ranges and all of its pixels alike."""
        model = parse(said).draw(np.random.default_rng(0))
        if str(model) != str(parse(said).draw(np.random.default_rng(1))) or not model.pixelwise:
            raise HushError(f"noise {said!r} has no likelihood with fixed parameters: give one kind and its numbers")
        if self.parameter in ("global", "variable") and not model.learnable:
            raise HushError(f"noise {said!r} has no parameter that could be learned; --set parameter=known")
        return str(model)

    @property
    def used_noise(self) -> list[NoiseModel | None]:
        """The noise of every network, as known, learned or fitted; None where an image has its own."""
        nets = [net for net in self.nets_ if isinstance(net, _Net)]
        return [None if net.noise is None or net.variable is not None else self._noise(net) for net in nets]

    # The method ----------------------------------------------------------------------------------

    def build(self, channels: int, ndim: int) -> nn.Module:
        """Return the blind-spot network; `equip` adds what it knows of the noise."""
        more = {"full": channels * (channels + 1) // 2, "diag": channels, "mean": 0}[self.covariance]
        return _Net(self.network(channels, channels + (1 if self.parameter == "fitted" else more), ndim))

    def equip(self, net: nn.Module, network: int) -> None:
        """Give the network its noise, and what learns its parameters."""
        assert isinstance(net, _Net)
        if self.learned_["noise"][network] is None:  # not used, or fitted after training
            return
        net.noise = parse(self.learned_["noise"][network]).draw(np.random.default_rng(0))
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
        assert isinstance(net, _Net)
        assert batch.scale is not None
        out = net(batch.noisy)
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

    def _apart(self, net: _Net, prior: Prior, batch: Batch) -> list[tuple[Prior, NoiseModel]]:
        """What shares its noise: the whole batch, or image by image."""
        assert net.noise is not None
        if self.parameter == "variable":
            factors = self._factors(net, batch.noisy).exp()
            return [(prior.part(k), net.noise.varied(list(factors[k]))) for k in range(len(factors))]
        return [(prior, self._noise(net))]

    def _one(self, net: _Net, prior: Prior, noise: NoiseModel) -> Tensor:
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
    def _factors(net: _Net, x: Tensor) -> Tensor:
        """Logarithms of the noise's parameters against those it began with, (B, n)."""
        assert net.variable is not None
        logarithms: Tensor = net.variable(x).flatten(2).mean(-1)
        return logarithms

    @staticmethod
    def _noise(net: _Net) -> NoiseModel:
        """The noise of all images."""
        assert net.noise is not None
        factors = getattr(net, "factors", None)
        return net.noise if factors is None else net.noise.varied(list((PACE * factors).exp()))

    def settle(self, net: nn.Module, network: int, patches: Patches) -> None:
        """Fit the line of the noise's variance to what the network predicted, where it is unknown till now."""
        if self.parameter != "fitted" or self.covariance == "mean":
            return
        assert isinstance(net, _Net)
        batch = patches.batch(64, np.random.default_rng(self.seed), self.device_)
        with torch.inference_mode(), body_precision(self.device_, self.precision_):
            out = net(batch.noisy).float()
        prior = prior_of(out, batch.noisy, patches.scale, self.covariance)
        model = fit_line((prior.unit * prior.mean).cpu().numpy(), (prior.unit * prior.noisy).cpu().numpy())
        self.learned_["noise"][network], net.noise = str(model), model

    # Applying ------------------------------------------------------------------------------------

    def prepare(self, net: nn.Module, views: Sequence[Array], scale: Scale) -> Context:
        """Find the noise of an image: from all of its planes, once."""
        assert isinstance(net, _Net)
        if self.covariance == "mean":
            return _Known(scale)
        if self.parameter != "variable":
            return _Known(scale, self._noise(net))
        some = [views[k] for k in np.unique(np.linspace(0, len(views) - 1, CROPS).astype(int))]
        size = [CROP_SIDE] * self.ndim if self.ndim == 2 else [16, CROP_SIDE // 2, CROP_SIDE // 2]
        size = [max(self.grid, n // 4 * 4) for n in np.minimum(size, some[0].shape[1:])]
        batch = Patches(some, size, scale, "none").batch(CROPS, np.random.default_rng(self.seed), self.device_)
        with torch.inference_mode(), body_precision(self.device_, self.precision_):
            factors = torch.cat([self._factors(net, one) for one in torch.split(batch.noisy, 8)]).mean(0)
        assert net.noise is not None
        return _Known(scale, net.noise.varied([float(factor) for factor in factors.exp()]))

    def predict(self, net: nn.Module, x: Tensor, context: Context) -> tuple[Tensor, Tensor | None]:
        """Return the posterior's mean and variance."""
        assert isinstance(context, _Known)
        out = net(x)
        with torch.autocast(out.device.type, enabled=False):
            if context.noise is None:
                return out, None
            prior = prior_of(out, x, context.scale, self.covariance)
            noise = context.noise.scaled(1 / prior.unit)
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
