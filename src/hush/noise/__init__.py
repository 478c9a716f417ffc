"""Noise models: one file each, a shared contract, and the notation ``gaussian:sigma=25 + bernoulli:p=0.1``."""

from __future__ import annotations

from hush.noise._base import NoiseModel as NoiseModel
from hush.noise._notation import Noise as Noise
from hush.noise._notation import Range as Range
from hush.noise._notation import parse as parse
