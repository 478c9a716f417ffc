"""Formulas of noise against independent computation: dense quadrature, scipy's distributions, simulation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import special, stats

from hush.noise import parse
from hush.noise.poisson_gaussian import PoissonGaussian
from hush.noise.rician import Rician
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


def rician_posterior(noisy: float, mu: float, clean: float, sigma: float) -> tuple[float, float]:
    """Mean and standard deviation on a dense grid; `clean` is a standard deviation."""
    x = np.linspace(mu - 12 * clean, mu + 12 * clean, 200_001)
    log = stats.norm.logpdf(x, mu, clean) - (noisy - abs(x)) ** 2 / (2 * sigma**2)
    log += np.log(special.i0e(noisy * x / sigma**2))
    weight = np.exp(log - log.max())
    weight /= weight.sum()
    mean = float(weight @ x)
    return mean, float(np.sqrt(weight @ (x - mean) ** 2))


@pytest.mark.parametrize("sigma", [1.0, 25.0])
@pytest.mark.parametrize("snr", [-2, 0, 0.4, 2, 10, 300])
@pytest.mark.parametrize("prior", [0.02, 0.4, 3, 60])
def test_the_rician_posterior_is_exact(sigma: float, snr: float, prior: float) -> None:
    mu, clean = snr * sigma, prior * sigma
    for noisy in sigma * np.hypot([snr, snr + prior, snr - 2 * prior], [0.1, 1.5, 0.5]):
        mean, std = rician_posterior(noisy, mu, clean, sigma)
        for kind in (np.float64, np.float32):
            given = [np.array(value, kind) for value in ([[noisy]], [[mu]], [[[clean**2]]])]
            one = Rician(sigma).posterior(*given)
            other = Rician(sigma).posterior(*map(torch.tensor, given))
            for found in (one, other):
                assert found[0].item() == pytest.approx(mean, abs=0.01 * sigma)
                assert found[1].item() ** 0.5 == pytest.approx(std, abs=0.01 * sigma)


@pytest.mark.parametrize("snr", [-2, 0, 0.5, 3, 19, 21, 500])
@pytest.mark.parametrize("prior", [0.02, 1, 6, 90])
def test_the_rician_marginal_is_exact(snr: float, prior: float) -> None:
    sigma = 8.0
    x = sigma * np.linspace(snr - 9 * prior, snr + 9 * prior, 4001)
    weight = stats.norm.pdf(x, sigma * snr, sigma * prior)
    weight /= weight.sum()
    each = Rician(sigma).moments(x)
    mean = float(weight @ each[0])
    std = float(np.sqrt(weight @ (each[1] + (each[0] - mean) ** 2)))
    found = Rician(sigma).marginal(np.array([sigma * snr]), np.array([[(sigma * prior) ** 2]]))
    assert found[0].item() == pytest.approx(mean, abs=0.01 * sigma)
    assert found[1].item() ** 0.5 == pytest.approx(std, abs=0.01 * sigma)


def test_the_rician_posterior_of_two_channels() -> None:
    """What one says of the other by their covariance, against a grid of both."""
    mu, cov, sigma = np.array([30.0, 12.0]), np.array([[150.0, 90.0], [90.0, 100.0]]), 10.0
    one, two = np.meshgrid(np.linspace(-50, 110, 801), np.linspace(-60, 90, 801), indexing="ij")
    for noisy in ([45.0, 20.0], [12.0, 30.0]):
        log = stats.multivariate_normal(mu, cov).logpdf(np.stack([one, two], -1))
        for x, y in ((one, noisy[0]), (two, noisy[1])):
            log = log + stats.rice.logpdf(y, abs(x) / sigma, scale=sigma)
        weight = np.exp(log - log.max())
        weight /= weight.sum()
        mean = np.array([(weight * one).sum(), (weight * two).sum()])
        found, left = Rician(sigma).posterior(np.array(noisy), mu, cov)
        np.testing.assert_allclose(found, mean, atol=0.05 * sigma)
        assert left[0, 1] == pytest.approx((weight * (one - mean[0]) * (two - mean[1])).sum(), abs=0.06 * sigma**2)


def test_the_rician_posterior_can_be_learned_from() -> None:
    """Its derivatives by the noise and by the prior are those of small steps."""
    at = [torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in (25.0, 10.0, 100.0)]

    def mean(sigma: torch.Tensor, mu: torch.Tensor, clean: torch.Tensor) -> torch.Tensor:
        noisy = torch.tensor([60.0], dtype=torch.float64)
        found: torch.Tensor = Rician(sigma).posterior(noisy, mu[None], clean[None, None])[0]  # type: ignore[arg-type]
        return found.sum()

    assert mean(*at).item() == pytest.approx(12.05, abs=0.005)
    assert torch.autograd.gradcheck(mean, at)


@pytest.mark.parametrize(("gain", "offset", "sigma"), [(10.0, 0.0, 3.0), (1.0, 100.0, 0.2), (4.0, -20.0, 400.0)])
def test_the_density_of_photons_and_read_noise_is_exact(gain: float, offset: float, sigma: float) -> None:
    """Against the sum over all numbers of photons; far in the tails and at hundreds of thousands of photons as well."""
    model = PoissonGaussian(gain, offset, sigma)
    for photons in (0.0, 0.02, 0.7, 6.0, 90.0, 2e5):
        spread = np.hypot(np.sqrt(photons) * gain, sigma)
        noisy = offset + gain * photons + spread * np.array([-5, -1.2, 0, 0.4, 2.3, 9])
        clean = np.full(6, offset + gain * photons)
        count = np.arange(max(0, int(photons - 60 * spread / gain)), int(photons + 60 * spread / gain) + 90)
        log = stats.poisson.logpmf(count, max(photons, 1e-6)) + stats.norm.logpdf(
            noisy[:, None], offset + gain * count, np.hypot(sigma, 1e-3 * gain)
        )
        exact = special.logsumexp(log, axis=1)
        np.testing.assert_allclose(model.log_prob(noisy, clean), exact, rtol=1e-6, atol=1e-6)
        tensors = torch.tensor(noisy), torch.tensor(clean)
        np.testing.assert_allclose(model.log_prob(*tensors).numpy(), exact, rtol=1e-6, atol=1e-6)


def test_the_density_of_photons_can_be_learned_from() -> None:
    at = [torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in (10.0, 5.0, 8.0, 70.0)]

    def log(gain: torch.Tensor, offset: torch.Tensor, sigma: torch.Tensor, clean: torch.Tensor) -> torch.Tensor:
        noisy = torch.tensor([2.0, 64.0, 131.0], dtype=torch.float64)
        model = PoissonGaussian(gain, offset, sigma)  # type: ignore[arg-type]
        found: torch.Tensor = model.log_prob(noisy, clean + 0 * noisy)
        return found.sum()

    assert torch.autograd.gradcheck(log, at)


LOST = [
    "bernoulli:p=0.2",
    "salt_pepper:p=0.3",
    "impulse:p=0.4",
    "gaussian:sigma=12 + bernoulli:p=0.2",
    "bernoulli:p=0.2 + gaussian:sigma=12",
    "impulse:p=0.1 + bernoulli:p=0.2",
    "bernoulli:p=0.1 + gaussian:sigma=9 + salt_pepper:p=0.2 + impulse:p=0.1",
    "poisson:photons=60 + gaussian:sigma=9 + gaussian:sigma=4 + bernoulli:p=0.1",
    "30% gaussian:sigma=20 + bernoulli:p=0.1 | 70% uniform:s=10",
    "30% salt_pepper:p=0.5 | 70% gaussian:sigma=10",
]


@pytest.mark.parametrize("text", LOST)
def test_lost_pixels_have_probabilities_and_others_a_density(text: str) -> None:
    """Of what was drawn: the share of each value that has a probability, and how many lie between others."""
    model, value = parse(text).draw(np.random.default_rng(0)), 60.0
    noisy = model.sample(np.full((1, 1000, 1000), value), np.random.default_rng(1)).ravel()
    alone = np.array([0.0, 60.0, 255.0])
    log = model.log_prob(alone, 0 * alone + value)
    assert log is not None
    chance, has = np.exp(log), model.atom(alone, 0 * alone + value)
    np.testing.assert_allclose([np.mean(noisy == one) for one in alone], np.where(has, chance, 0), atol=0.002)
    edges = np.linspace(-80.5, 300.5, 77)
    middles = (np.linspace(-80.5, 300.5, 76 * 64 + 1)[:-1] + 381 / 76 / 128).reshape(76, 64)
    between = model.log_prob(middles, 0 * middles + value)
    assert between is not None
    density = np.exp(between).mean(1) * np.diff(edges)
    counts = np.histogram(noisy[~np.isin(noisy, alone[has])], edges)[0] / noisy.size
    np.testing.assert_allclose(density, counts, atol=0.0015)
    same = model.log_prob(torch.tensor(alone), torch.tensor(0 * alone + value))
    assert same is not None
    np.testing.assert_allclose(same.numpy(), log)


@pytest.mark.parametrize(
    "text",
    ["impulse:p=0.2 + gaussian:sigma=5", "gaussian:sigma=5 + uniform:s=3", "correlated:sigma=3", "stripes:amplitude=3"],
)
def test_what_has_no_formula_says_so(text: str) -> None:
    model = parse(text).draw(np.random.default_rng(0))
    assert model.log_prob(np.array([9.0]), np.array([8.0])) is None
