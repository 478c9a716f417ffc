"""The contract that every noise model keeps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy import integrate

from hush.core import registry
from hush.core.errors import HushError
from hush.datasets.synthetic import epithelium, fluorescence
from hush.estimation.analyze import analyze
from hush.noise import parse

EXAMPLES = {
    "emccd": "emccd:gain=8,excess=2,offset=10,sigma=3",
    "bernoulli": "bernoulli:p=0.2",
    "chequerboard": "chequerboard:amplitude=5",
    "correlated": "correlated:sigma=20,length=0.7",
    "gaussian": "gaussian:sigma=25",
    "impulse": "impulse:p=0.3",
    "poisson": "poisson:photons=40",
    "poisson_gaussian": "poisson_gaussian:gain=4,offset=10,sigma=6",
    "ramp": "ramp:low=24,high=26",
    "rician": "rician:sigma=15",
    "salt_pepper": "salt_pepper:p=0.3",
    "speckle": "speckle:sigma=40",
    "stripes": "stripes:amplitude=5",
    "uniform": "uniform:s=30",
}
NAMES = registry.names("noise")
DENSE = ("bernoulli", "emccd", "gaussian", "impulse", "poisson", "poisson_gaussian", "rician", "salt_pepper", "speckle",
         "uniform")  # fmt: skip
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


def test_noise_that_is_independent_from_pixel_to_pixel_has_a_density() -> None:
    for name in NAMES:
        found = drawn(EXAMPLES[name]).log_prob(np.array(50.0), np.array(60.0))
        assert (found is not None) == (name in DENSE), name


@pytest.mark.parametrize("name", DENSE)
def test_densities_integrate_to_one(name: str) -> None:
    model = drawn(EXAMPLES[name])
    if name in ("bernoulli", "salt_pepper", "impulse"):  # single values have a probability
        alone = np.array([0.0, 60.0, 255.0])
        total = np.exp(model.log_prob(alone, 0 * alone + 60))[model.atom(alone, 0 * alone + 60)].sum()
        total += 255 * np.exp(model.log_prob(np.array(50.5), np.array(60.0)))
        assert total == pytest.approx(1)
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
    if not model.pixelwise:
        pytest.skip("it has no pixelwise noise")
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


@pytest.mark.parametrize("level", [0.0, 100.0])
@pytest.mark.parametrize("channels", [1, 3])
def test_posterior_is_the_prior_when_that_is_certain(channels: int, level: float) -> None:
    mu, cov = np.full((4, channels), level), np.zeros((4, channels, channels))
    certain = ["gaussian:sigma=0", "poisson_gaussian:gain=4,offset=120", "gaussian:sigma=0 + poisson"]
    for text in [*EXAMPLES.values(), MIXED, *certain]:
        for kind in (np.asarray, torch.tensor, lambda x: torch.tensor(x, dtype=torch.float32)):
            mean, left = drawn(text).posterior(kind(mu), kind(mu), kind(cov))
            np.testing.assert_allclose(mean, mu, atol=1e-4)
            np.testing.assert_allclose(left, cov, atol=1e-4)


def test_posterior_of_a_prior_that_varies_along_one_direction() -> None:
    direction = np.array([[1.0, 2.0, 2.0]]) / 3
    mean, _ = drawn("gaussian:sigma=0").posterior(
        90 + 6 * direction, np.full((1, 3), 90.0), 9 * direction.T * direction
    )
    np.testing.assert_allclose(mean, 90 + 6 * direction)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("gaussian:sigma=15", 110.0),
        ("impulse:p=0.4", 95.0),
        ("impulse:p=0.4", 40.0),
        ("bernoulli:p=0.3", 110.0),
        ("bernoulli:p=0.3", 0.0),
        ("salt_pepper:p=0.3", 255.0),
        ("gaussian:sigma=15 + bernoulli:p=0.3", 0.0),
        ("gaussian:sigma=15 + bernoulli:p=0.3", 110.0),
        ("gaussian:sigma=9 + uniform:s=6 + gaussian:sigma=9", 110.0),
        ("30% gaussian:sigma=5 | 70% gaussian:sigma=40", 90.0),
        ("30% gaussian:sigma=5 | 70% gaussian:sigma=40", 190.0),
    ],
)
def test_posteriors_agree_with_simulation(text: str, value: float) -> None:
    model, rng = drawn(text), np.random.default_rng(6)
    clean = rng.normal(120, 12, (1, 1, 1_000_000))
    chosen = clean[abs(model.sample(clean, rng) - value) <= 1]
    mean, left = (
        one.item() for one in model.posterior(np.array([[value]]), np.array([[120.0]]), np.full((1, 1, 1), 144.0))
    )
    assert len(chosen) > 400
    assert chosen.mean() == pytest.approx(mean, abs=5 * chosen.std() / np.sqrt(len(chosen)) + 0.1)
    assert chosen.var() == pytest.approx(left, rel=5 * np.sqrt(2 / len(chosen)) + 0.01, abs=0.5)


def test_a_black_pixel_where_black_is_likely_may_be_untouched() -> None:
    model, rng = drawn("salt_pepper:p=0.02"), np.random.default_rng(7)
    clean = np.rint(rng.normal(12, 6, (1, 1, 1_000_000)))
    chosen = clean[model.sample(clean, rng) == 0]
    mean, left = model.posterior(np.zeros((1, 1)), np.full((1, 1), 12.0), np.full((1, 1, 1), 36.0))
    assert 3 < chosen.mean() < 9
    assert mean.item() == pytest.approx(chosen.mean(), rel=0.06)
    assert left.item() == pytest.approx(chosen.var(), rel=0.06)


def test_what_cannot_be_lost_is_kept() -> None:
    for text in ("bernoulli:p=0", "salt_pepper:p=0", "impulse:p=0"):
        mean, left = drawn(text).posterior(np.zeros((1, 1)), np.full((1, 1), 250.0), np.ones((1, 1, 1)))
        assert (mean.item(), left.item()) == (0, 0)


def test_lost_pixels_come_from_the_prior_and_others_from_the_image() -> None:
    noisy, mu, cov = np.array([[0.0], [80.0]]), np.array([[50.0], [50.0]]), np.full((2, 1, 1), 9.0)
    mean, left = drawn("bernoulli:p=0.2").posterior(noisy, mu, cov)
    assert mean[:, 0].tolist() == [50, 80]
    assert left[:, 0, 0].tolist() == [9, 0]
    mean, _ = drawn("impulse:p=0.2").posterior(np.array([[51.0], [200.0]]), mu, cov)
    assert mean[0, 0] == pytest.approx(51, abs=0.1)
    assert mean[1, 0] == pytest.approx(50, abs=0.1)


@pytest.mark.parametrize("text", [*EXAMPLES.values(), MIXED])
def test_same_seed_same_draw(text: str) -> None:
    clean = np.full((3, 12, 14), 80.0)
    one, same = (drawn(text).sample(clean, np.random.default_rng(5)).tobytes() for _ in range(2))
    other = drawn(text).sample(clean, np.random.default_rng(6)).tobytes()
    assert one == same
    assert (one == other) == ("chequerboard" in text)  # where nothing is drawn


@pytest.mark.parametrize("text", [*EXAMPLES.values(), MIXED, "gaussian:sigma=3..9 + poisson"])
def test_scaled_noise_is_noise_of_the_scaled_image(text: str) -> None:
    clean = np.random.default_rng(0).uniform(20, 200, (3, 16, 18))
    one = drawn(text).sample(clean, np.random.default_rng(5)) * 7
    other = drawn(text).scaled(7).sample(clean * 7, np.random.default_rng(5))
    np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9)
    notation = parse(text).scaled(np.float64(7))
    assert parse(str(notation)) == notation
    third = notation.draw(np.random.default_rng(0)).sample(clean * 7, np.random.default_rng(5))
    np.testing.assert_allclose(one, third, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("name", "learned"),
    [
        ("gaussian", ["sigma"]),
        ("poisson_gaussian", ["gain", "offset", "sigma"]),
        ("rician", ["sigma"]),
        ("speckle", ["sigma"]),
        ("uniform", ["s"]),
    ],
)
def test_parameters_can_be_learned(name: str, learned: list[str]) -> None:
    noisy, mu, cov = (torch.tensor(array) for array in vectors())
    parameters = {key: torch.tensor(40.0, dtype=torch.float64, requires_grad=True) for key in learned}
    model = registry.get("noise", name)(**parameters)
    mean, left = model.posterior(noisy, mu, cov)
    log = model.log_prob(noisy, mu)
    for value in (mean.sum() + left.sum(), log[log.isfinite()].sum()):
        for gradient in torch.autograd.grad(value, list(parameters.values()), retain_graph=True):
            assert torch.isfinite(gradient)
            assert gradient != 0


def test_a_line_of_variance_can_be_learned() -> None:
    kind = registry.get("noise", "poisson_gaussian")
    values = torch.tensor([50.0, 100.0])
    for b in (9.0, -9.0):
        assert (kind.from_line(4.0, b).a, kind.from_line(4.0, b).b) == (4, b)
        line = [torch.tensor(one, requires_grad=True) for one in (4.0, b)]
        variance = kind.from_line(*line).moments(values)[1]
        torch.testing.assert_close(variance, 4 * values + b)
        gradients = torch.autograd.grad(variance.sum(), line)
        torch.testing.assert_close(torch.stack(gradients), torch.tensor([150.0, 2.0]))


def test_densities_at_their_edges() -> None:
    at = np.array([60.0])
    for text in ("gaussian:sigma=0", "uniform:s=0", "poisson_gaussian:gain=1,offset=80", "speckle:sigma=0"):
        assert np.isfinite(drawn(text).log_prob(at, at)).all()
    assert drawn("poisson:photons=255").log_prob(at, at + 0.0)[0] == pytest.approx(
        60 * np.log(60) - 60 - np.log(np.arange(1.0, 61)).sum()
    )
    rician = drawn("rician:sigma=15")
    assert rician.log_prob(at, -at) == rician.log_prob(at, at)  # as likely as the magnitude
    assert (rician.log_prob(np.array([-3.0, 0.0]), np.array([60.0, 60.0])) == -np.inf).all()


def test_densities_of_mixtures() -> None:
    model = drawn("30% gaussian:sigma=5 | 70% gaussian:sigma=20")
    grid = np.linspace(-100, 220, 6401)
    assert np.exp(model.log_prob(grid, 0 * grid + 60)).sum() * 0.05 == pytest.approx(1, abs=1e-6)
    assert -6000 < model.log_prob(np.array([2000.0]), np.array([60.0]))[0] < -4000  # no underflow


def test_composites_know_whether_they_are_pixelwise() -> None:
    assert drawn(MIXED).pixelwise
    assert not drawn("gaussian:sigma=3 + stripes:amplitude=3").pixelwise
    assert not drawn("50% gaussian:sigma=3 | 50% correlated:sigma=3").pixelwise


@pytest.mark.parametrize("size", [6, 40])
def test_correlated_noise_has_its_level_also_in_small_images(size: int) -> None:
    noise = drawn("correlated:sigma=20,length=1.5").sample(
        np.zeros((9000 // size, size, size)), np.random.default_rng(0)
    )
    assert noise.std() == pytest.approx(20, rel=0.03)


def test_shares_that_are_almost_all() -> None:
    model = drawn("33.33333% bernoulli:p=1 | 33.33333% gaussian:sigma=0 | 33.33334% gaussian:sigma=0")
    assert (model.sample(np.ones((1, 90, 90)), np.random.default_rng(0)) == 0).mean() == pytest.approx(1 / 3, abs=0.02)


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


@pytest.mark.parametrize("name", NAMES)
def test_the_analysis_recovers_what_was_drawn(name: str) -> None:
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
    alone = model.pixelwise and "p" not in model.parameters
    white = 0 if alone or name == "correlated" else rng.normal(0, 8, clean.shape)
    lost = "p" in model.parameters
    image = model.sample(clean + white, rng) if lost else model.sample(clean, rng) + white
    found = analyze(image[0]).channels[0]
    if lost:
        assert name == "impulse" or found.impulse_fraction == pytest.approx(model.p, rel=0.1)
    elif name == "stripes":
        assert found.stripes[model.axis] == pytest.approx(model.amplitude, rel=0.2)
    elif name == "chequerboard":
        assert found.chequerboard == pytest.approx(model.amplitude, rel=0.1)
    elif name == "correlated":
        assert found.level == pytest.approx(model.sigma, rel=0.1)
    elif name == "rician":
        assert found.kind == "rician"
        assert found.sigma == pytest.approx(model.sigma, rel=0.1)
    else:
        variance = model.moments(np.array([[found.middle]]))[1].item()
        assert found.level == pytest.approx(np.sqrt(variance), rel=0.05)


def test_simulated_fluorescence_is_bright_structure_on_a_dark_ground() -> None:
    pictures = [fluorescence(128, seed) for seed in range(12)]
    assert pictures[3].tobytes() == fluorescence(128, 3).tobytes()
    assert all(picture.min() >= 1 and picture.max() <= 252 for picture in pictures)
    assert np.mean([np.median(picture) < 0.3 * picture.max() for picture in pictures]) > 0.7
    assert all(picture.std() > 1 for picture in pictures)
    likeness = np.corrcoef([picture.ravel() for picture in pictures])[np.triu_indices(12, 1)]
    assert np.abs(likeness).max() < 0.6
    with pytest.raises(HushError, match="give 32 or more"):
        fluorescence(20)
