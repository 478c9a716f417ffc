"""The noise of a mean of several exposures."""

from __future__ import annotations

import dataclasses
import math

from hush.core.errors import HushError
from hush.noise._base import NoiseModel
from hush.noise._mixture import InSequence
from hush.noise.gaussian import Gaussian
from hush.noise.poisson import Poisson
from hush.noise.poisson_gaussian import PoissonGaussian
from hush.noise.speckle import Speckle
from hush.noise.uniform import Uniform

# of a mean of n: these amplitudes shrink with the root of n, a photon counts an n-th
SPREADS = {Gaussian: "sigma", Speckle: "sigma", Uniform: "s"}


def of_mean(model: NoiseModel, exposures: int) -> NoiseModel:
    """Return the noise of the mean of n exposures: of the same mean, and n times less variance.

    Parameters
    ----------
    model : NoiseModel
        Of one exposure: Gaussian, Poisson, Poisson-Gaussian, EMCCD, speckle or uniform, or a sum of these. The law of a
        mean of uniform noises is another than is returned; its variance is this one.
    exposures : int
        1 or more.

    Raises
    ------
    HushError
        For noise whose mean of exposures is no noise of the same kind: lost pixels, Rician noise, patterns, mixtures.

    Examples
    --------
    >>> import numpy as np
    >>> from hush.noise import parse
    >>> one = parse("poisson:photons=30 + gaussian:sigma=8").draw(np.random.default_rng(0))
    >>> str(of_mean(one, 4))
    'poisson:photons=120,peak=255 + gaussian:sigma=4'
    """
    if exposures == 1:
        return model
    if isinstance(model, InSequence):
        return InSequence(tuple(of_mean(part, exposures) for part in model.parts))
    root = math.sqrt(exposures)
    if isinstance(model, Poisson):
        return dataclasses.replace(model, photons=model.photons * exposures)
    if isinstance(model, PoissonGaussian):  # and of photons that are amplified by chance
        return dataclasses.replace(model, gain=model.gain / exposures, sigma=model.sigma / root)
    if type(model) in SPREADS:
        name = SPREADS[type(model)]
        return dataclasses.replace(model, **{name: getattr(model, name) / root})
    raise HushError(
        f"the mean of {exposures} exposures with {model} is noise of another kind: say that of the mean itself"
    )
