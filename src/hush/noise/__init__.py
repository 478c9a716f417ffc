"""Noise models: one file each, a shared contract, and the notation ``gaussian:sigma=25 + bernoulli:p=0.1``."""

from __future__ import annotations

from hush.noise._compose import Noise as Noise
from hush.noise._compose import Range as Range
from hush.noise._compose import parse as parse
from hush.noise._model import Estimate as Estimate
from hush.noise._model import NoiseModel as NoiseModel
