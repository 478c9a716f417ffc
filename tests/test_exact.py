"""Formulas of noise against independent computation: dense quadrature, scipy's distributions, simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from hush.vst import anscombe


def mean_of_the_stabilised(photons: float, read: float) -> float:
    """By brute force: all numbers of photons, and read noise in steps of a ten-thousandth of its deviation."""
    count = np.arange(int(photons + 12 * np.sqrt(photons) + 12))
    z = np.linspace(-10, 10, 200_001) if read else np.zeros(1)
    weights = stats.norm.pdf(z) / stats.norm.pdf(z).sum()
    roots = [2 * np.sqrt(np.maximum(n + read * z + 0.375 + read**2, 0)) @ weights for n in count]
    return float(stats.poisson.pmf(count, photons) @ np.array(roots))


@pytest.mark.parametrize("read", [0, 0.05, 0.4, 0.7, 1, 1.5, 2.5, 10])
def test_the_unbiased_inverse_is_exact_for_every_read_noise(read: float) -> None:
    for photons in (0.0, 0.003, 0.03, 0.3, 1.01, 4.1, 20.1, 59.9):
        back = anscombe.inverse(np.array([mean_of_the_stabilised(photons, read)]), 1, 0, read)[0]
        assert back == pytest.approx(photons, abs=1e-3 * (photons + read) + 1e-9)
