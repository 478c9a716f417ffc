"""The contract that every noise model keeps, and the notation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy import integrate

from hush import registry
from hush.errors import HushError
from hush.image import Image
from hush.noise import parse
from hush.simulate import add_noise, epithelium

EXAMPLES = {
    "bernoulli": "bernoulli:p=0.2",
    "chequerboard": "chequerboard:amplitude=5",
    "correlated": "correlated:sigma=20,length=0.7",
    "gaussian": "gaussian:sigma=25",
    "impulse": "impulse:p=0.3",
    "poisson": "poisson:photons=40",
    "poisson_gaussian": "poisson_gaussian:gain=4,offset=10,sigma=6",
    "rician": "rician:sigma=15",
    "salt_pepper": "salt_pepper:p=0.3",
    "speckle": "speckle:sigma=40",
    "stripes": "stripes:amplitude=5",
    "uniform": "uniform:s=30",
}
NAMES = registry.names("noise")
MIXED = "30% gaussian:sigma=20 + bernoulli:p=0.1 | 70% uniform:s=10"


def drawn(text: str) -> Any:
    return parse(text).draw(np.random.default_rng(0))


def test_every_model_has_an_example() -> None:
    assert set(EXAMPLES) == set(NAMES)


@pytest.mark.parametrize("text", [*EXAMPLES.values(), MIXED])
def test_samples_agree_with_moments(text: str) -> None:
    model = drawn(text)
    for value in (15.0, 60.0, 200.0):
        clean = np.full((1, 300, 300), value)
        noisy = model.sample(clean, np.random.default_rng(1))
        mean, variance = (float(np.ravel(one)[0]) for one in model.moments(clean[..., None]))
        each = noisy.mean((0, 2)) if "stripes" in text else noisy
        assert abs(noisy.mean() - mean) < 5 * np.sqrt(variance / (each.size / 9)) + 1e-9
        assert abs(each.var() / variance - 1) < (0.4 if "stripes" in text else 0.05)
        assert (clean == value).all()


@pytest.mark.parametrize("name", NAMES)
def test_densities_integrate_to_one(name: str) -> None:
    model = drawn(EXAMPLES[name])
    if model.log_prob(np.array(50.0), np.array(60.0)) is None:
        assert not model.pixelwise or name in ("bernoulli", "salt_pepper", "impulse")  # these have no density
        return
    if name == "poisson":
        counts = model.gain * np.arange(200)
        total = np.exp(model.log_prob(counts, np.full(200, 60.0))).sum()
    else:
        low = 1e-9 if name == "rician" else -400
        total = integrate.quad(
            lambda y: float(np.exp(model.log_prob(np.array(y), np.array(60.0)))),
            low,
            500,
            limit=400,
            points=[30, 60, 90],
        )[0]
    assert total == pytest.approx(1, abs=1e-4)


def vectors() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(2)
    roots = rng.normal(0, 6, (5, 3, 3))
    return rng.uniform(60, 160, (5, 3)), rng.uniform(60, 160, (5, 3)), roots @ roots.swapaxes(1, 2) + 4 * np.eye(3)


@pytest.mark.parametrize("text", [*EXAMPLES.values(), MIXED])
def test_numpy_and_torch_agree(text: str) -> None:
    model = drawn(text)
    arrays = vectors()
    tensors = [torch.tensor(array) for array in arrays]
    pairs = [
        (model.moments(arrays[1]), model.moments(tensors[1])),
        (model.marginal(*arrays[1:]), model.marginal(*tensors[1:])),
        (model.posterior(*arrays), model.posterior(*tensors)),
    ]
    for ours, theirs in pairs:
        for one, other in zip(ours, theirs, strict=True):
            assert isinstance(other, torch.Tensor)
            np.testing.assert_allclose(one, other.numpy(), rtol=1e-9, atol=1e-9)
    log = model.log_prob(arrays[0], arrays[1])
    if log is not None:
        np.testing.assert_allclose(log, model.log_prob(tensors[0], tensors[1]).numpy(), rtol=1e-9)


@pytest.mark.parametrize("text", [*EXAMPLES.values(), MIXED])
def test_marginals_agree_with_simulation(text: str) -> None:
    model = drawn(text)
    if "rician" in text or not model.pixelwise:
        pytest.skip("moment matching at the mean is an approximation for it, or it has no pixelwise noise")
    rng = np.random.default_rng(3)
    mu, cov = np.array([120.0, 100.0]), np.array([[90.0, 40.0], [40.0, 60.0]])
    clean = rng.multivariate_normal(mu, cov, 400_000)
    noisy = model.sample(clean.T[:, None, :], rng)[:, 0]
    mean, total = model.marginal(mu, cov)
    np.testing.assert_allclose(noisy.mean(1), mean, rtol=0.01)
    np.testing.assert_allclose(np.cov(noisy), total, rtol=0.06, atol=12)


def test_gaussian_posterior_is_the_formula() -> None:
    noisy, mu, cov = vectors()
    mean, left = drawn("gaussian:sigma=25").posterior(noisy, mu, cov)
    for row in range(5):
        gain = cov[row] @ np.linalg.inv(cov[row] + 625 * np.eye(3))
        np.testing.assert_allclose(mean[row], mu[row] + gain @ (noisy[row] - mu[row]))
        np.testing.assert_allclose(left[row], cov[row] - gain @ cov[row])


def test_posterior_stays_finite_when_the_prior_is_certain() -> None:
    for text in EXAMPLES.values():
        mean, left = drawn(text).posterior(np.full((4, 3), 90.0), np.full((4, 3), 100.0), np.zeros((4, 3, 3)))
        assert np.isfinite(mean).all()
        assert np.isfinite(left).all()


def test_lost_pixels_come_from_the_prior_and_others_from_the_image() -> None:
    noisy, mu, cov = np.array([[0.0], [80.0]]), np.array([[50.0], [50.0]]), np.full((2, 1, 1), 9.0)
    mean, left = drawn("bernoulli:p=0.2").posterior(noisy, mu, cov)
    assert mean[:, 0].tolist() == [50, 80]
    assert left[:, 0, 0].tolist() == [9, 0]
    mean, _ = drawn("impulse:p=0.2").posterior(np.array([[51.0], [200.0]]), mu, cov)
    assert mean[0, 0] == pytest.approx(51, abs=0.1)
    assert mean[1, 0] == pytest.approx(50, abs=0.1)


@pytest.mark.parametrize("text", EXAMPLES.values())
def test_scaled_noise_is_noise_of_the_scaled_image(text: str) -> None:
    clean = np.random.default_rng(0).uniform(20, 200, (3, 16, 18))
    one = drawn(text).sample(clean, np.random.default_rng(5)) * 7
    other = drawn(text).scaled(7).sample(clean * 7, np.random.default_rng(5))
    np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ["gaussian", "poisson_gaussian", "rician", "speckle"])
def test_parameters_can_be_learned(name: str) -> None:
    kind = registry.get("noise", name)
    first = "gain" if name == "poisson_gaussian" else "sigma"
    parameter = torch.tensor(4.0, dtype=torch.float64, requires_grad=True)
    noisy, mu, cov = (torch.tensor(array) for array in vectors())
    mean, left = kind(**{first: parameter}).posterior(noisy, mu, cov)
    (mean.sum() + left.sum()).backward()
    assert parameter.grad is not None
    assert torch.isfinite(parameter.grad)
    assert parameter.grad != 0


@pytest.mark.parametrize("name", ["bernoulli", "salt_pepper", "impulse"])
def test_one_mask_for_all_channels(name: str) -> None:
    clean = np.random.default_rng(0).uniform(20, 200, (3, 40, 40))
    hit = drawn(EXAMPLES[name]).sample(clean, np.random.default_rng(1)) != clean
    assert 0.1 < hit.mean() < 0.5
    assert (hit == hit[0]).all()


def test_rician_bias_is_removed() -> None:
    model = registry.get("noise", "rician")(10.0)
    clean = np.array([0.0, 2.0, 15.0, 80.0, 2000.0])
    noisy = model.sample(np.repeat(clean[:, None, None], 300_000, 2), np.random.default_rng(0))
    np.testing.assert_allclose(model.correct(noisy.mean((1, 2)))[2:], clean[2:], rtol=0.01)
    np.testing.assert_allclose(model.correct(model.moments(clean)[0]), clean, atol=0.05)
    assert model.correct(np.array([3.0]))[0] == 0


@pytest.mark.parametrize(
    "text",
    [
        *EXAMPLES.values(),
        MIXED,
        "poisson",
        "gaussian:sigma=0..55 + bernoulli:p=0..0.2",
        "stripes:amplitude=2,axis=columns",
    ],
)
def test_notation_round_trip(text: str) -> None:
    assert str(parse(text)) == text
    assert parse(str(parse(text))) == parse(text)
    assert str(parse(str(drawn(text))).draw(np.random.default_rng(0))) == str(drawn(text))


def test_ranges_are_drawn_once_an_image() -> None:
    noise = parse("gaussian:sigma=10..20")
    sigmas = [noise.draw(np.random.default_rng(seed)).parameters["sigma"] for seed in range(50)]
    assert 10 <= min(sigmas) < 12
    assert 18 < max(sigmas) <= 20


@pytest.mark.parametrize(
    ("text", "says", "under"),
    [
        ("gausian:sigma=25", "did you mean 'gaussian'", "gausian"),
        ("gaussian:sgma=2", "did you mean 'sigma'", "sgma"),
        ("gaussian:sigma=x", "'x' is no number", "x"),
        ("gaussian:sigma=nan", "'nan' is no number", "nan"),
        ("gaussian", "needs sigma", "gaussian"),
        ("gaussian:sigma=-3", "0 or more", "gaussian:sigma=-3"),
        ("gaussian:sigma=5 + bernoulli:p=2", "0 to 1", "bernoulli:p=2"),
        ("gaussian:sigma=55..0", "backwards", "55..0"),
        ("10% gaussian:sigma=3 | 20% poisson", "sum to 30 %", "10% gaussian:sigma=3 | 20% poisson"),
        ("gaussian:sigma=3 | 20% poisson", "its share", "gaussian:sigma=3"),
        ("gaussian:sigma=3,sigma=4", "twice", "sigma=4"),
        ("gaussian:25", "name=value", "25"),
        ("stripes:amplitude=3,axis=x", "rows, columns", "stripes:amplitude=3,axis=x"),
        ("gaussian:sigma=3 + ", "missing", ""),
    ],
)
def test_mistakes_are_quoted_and_underlined(text: str, says: str, under: str) -> None:
    with pytest.raises(HushError) as caught:
        parse(text)
    message, typed, marks = str(caught.value).rsplit("\n", 2)
    assert says in message
    assert typed == "  " + text
    start, width = marks.index("^"), marks.count("^")
    assert typed[start : start + width] == under or not under


def test_noise_on_images(noisy: np.ndarray) -> None:
    image = Image(noisy.astype(np.uint8), "YX", {"X": 0.5}, "µm", {"description": "cells"})
    one, same, other = (add_noise(image, parse("gaussian:sigma=0..50"), seed=seed) for seed in (1, 1, 2))
    assert one.data.dtype == np.float32
    assert one.data.tobytes() == same.data.tobytes() != other.data.tobytes()
    assert one.meta["noise"]["notation"].startswith("gaussian:sigma=")
    assert (one.axes, one.scale, one.unit) == ("YX", {"X": 0.5}, "µm")
    clipped = add_noise(image, parse("gaussian:sigma=90"), clip=True)
    assert clipped.data.dtype == np.uint8
    small = add_noise(Image(noisy / 255, "YX"), parse("gaussian:sigma=25.5"), peak=1)
    assert (small.data - noisy / 255).std() == pytest.approx(0.1, rel=0.05)


def test_noise_keeps_opacity_and_nan() -> None:
    rgba = np.full((20, 20, 4), 100.0)
    rgba[3, 4, 1] = np.nan
    result = add_noise(Image(rgba, "YXS"), parse("gaussian:sigma=5 + bernoulli:p=0.3")).data
    assert (result[..., 3] == 100).all()
    assert np.isnan(result[3, 4, 1])
    assert np.isnan(result).sum() == 1
    lost = result[..., :3] == 0
    assert (lost[..., 0] == lost[..., 2]).all()


def test_epithelium_is_cells() -> None:
    assert epithelium(64, 1).tobytes() == epithelium(64, 1).tobytes() != epithelium(64, 2).tobytes()
    picture = epithelium(200)
    assert picture.min() >= 10
    assert 0.1 < (picture > 60).mean() < 0.5
    with pytest.raises(HushError, match="16 or more"):
        epithelium(8)


@pytest.mark.parametrize("name", NAMES)
def test_estimates_recover_the_parameters(name: str) -> None:
    """From one noisy image; random-valued impulses cannot be counted, those near their neighbours do not show."""
    kind, model = registry.get("noise", name), drawn(EXAMPLES[name])
    clean = epithelium(512, 1).astype(np.float64)[None] + 20
    if name == "correlated":
        model = kind(20.0, 0.5)
    if name == "salt_pepper":
        model = kind(0.1)
    if name == "rician":
        clean = 200.0 * (np.hypot(*(np.indices((300, 300)) - 150)) < 100)[None]
    rng = np.random.default_rng(4)
    image = model.sample(clean, rng)
    if not model.pixelwise and name != "correlated":
        image = image + rng.normal(0, 8, image.shape)
    if name in ("bernoulli", "salt_pepper"):
        image = model.sample(clean + rng.normal(0, 8, clean.shape), rng)
    found = kind.estimate(image)
    if name == "impulse":
        assert found is None
        return
    for key, truth in model.parameters.items():
        value = found.model.parameters[key]
        if isinstance(truth, str):
            assert value == truth
        elif key not in ("offset", "sigma") or name != "poisson_gaussian":  # these two cannot be told apart
            assert value == pytest.approx(truth, rel=0.1)
        if key in found.interval:
            low, high = found.interval[key]
            assert low - 0.02 * truth <= truth <= high + 0.02 * truth
    if name == "poisson_gaussian":
        assert found.model.a * 100 + found.model.b == pytest.approx(model.a * 100 + model.b, rel=0.08)
