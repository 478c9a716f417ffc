"""SSDN against a float64 reference of its formulas, and its uncertainty."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import hush
from hush import io
from hush.core import registry
from hush.core.errors import HushError, HushWarning
from hush.core.image import Image
from hush.core.metrics import psnr
from hush.methods._ssdn_likelihood import BEGIN, FLOOR, fit_line, negative_log_likelihood, prior_of
from hush.nets.blindgrid import BlindGrid
from hush.nets.blindspot import BlindSpot
from hush.noise import NoiseModel, parse
from hush.training.normalization import Scale
from hush.training.patches import Batch

Run = Callable[..., tuple[int, str, str]]
KINDS = ["gaussian:sigma=25", "poisson:photons=30", "poisson_gaussian:gain=4,offset=10,sigma=3", "rician:sigma=20",
         "impulse:p=0.2", "speckle:sigma=20"]  # fmt: skip


def model_of(notation: str) -> NoiseModel:
    return parse(notation).draw(np.random.default_rng(0))


def ssdn(**settings: Any) -> Any:
    quick: dict[str, Any] = {"steps": 6, "maps": 4, "batch": 2, "patch": 16, "depth": 2}
    return registry.get("methods", "ssdn")(**{**quick, **settings})


# The network -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [BlindSpot, BlindGrid])
@pytest.mark.parametrize("variant", [{}, {"depth": 0}, {"depth": 1, "kernel": 5}, {"norm": "batch"}], ids=str)
def test_the_network_is_blind_to_its_own_pixel_and_sees_all_others(kind: Any, variant: dict[str, Any]) -> None:
    torch.manual_seed(0)
    net = kind(1, 1, maps=2, **{"depth": 2, **variant}).double().eval()
    size = -(-(2 * net.margin + 3 * net.multiple) // net.multiple) * net.multiple
    reach = 0
    for shift in range(net.multiple):
        x = torch.randn(1, 1, size, size, dtype=torch.float64, requires_grad=True)
        at = size // 2 // net.multiple * net.multiple + shift
        net(x)[0, 0, at, at].backward()
        assert x.grad is not None
        seen = x.grad[0, 0] != 0
        assert not seen[at, at]
        around = seen[at - 2 : at + 3, at - 2 : at + 3]
        assert int(around.sum()) == 24
        reach = max(reach, int((seen.nonzero() - at).abs().max()))
    assert reach <= net.margin <= 2 * reach + 2


@pytest.mark.parametrize("kind", [BlindSpot, BlindGrid])
def test_in_volumes_it_is_blind_to_the_column(kind: Any) -> None:
    net = kind(1, 1, maps=2, depth=1, ndim=3).double().eval()
    x = torch.randn(1, 1, 6, 24, 24, dtype=torch.float64, requires_grad=True)
    net(x)[0, 0, 3, 11, 12].backward()
    assert x.grad is not None
    seen = x.grad[0, 0] != 0
    assert not seen[:, 11, 12].any()
    assert seen[3, 11, 11]
    assert seen[2, 12, 12]


# The formulas ------------------------------------------------------------------------------------


def reference(out: np.ndarray, noisy: np.ndarray, scale: Scale, kind: str, model: NoiseModel) -> tuple[float, Any, Any]:
    """Loss, posterior mean and covariance of one pixel, straight from the paper's formulas, in image units."""
    size = len(noisy)
    std, middle, unit = np.array(scale.std), np.array(scale.mean), np.mean(scale.std)
    mean, rest = out[:size] * std + middle, out[size:]
    a = np.zeros((size, size))
    if kind == "full":
        a[np.tril_indices(size)] = rest
    else:
        a[np.diag_indices(size)] = rest
    a[np.diag_indices(size)] += BEGIN
    prior = np.diag(std) @ a.T @ a @ np.diag(std) + FLOOR * np.diag(std**2)
    value = noisy * std + middle
    expected, total = model.marginal(mean[None], prior[None])
    away = value - expected[0]
    # the determinant in the unit that the loss has
    loss = 0.5 * away @ np.linalg.solve(total[0], away) + 0.5 * np.linalg.slogdet(total[0] / unit**2)[1]
    after, spread = model.posterior(value[None], mean[None], prior[None])
    return float(loss), after[0], spread[0]


@pytest.mark.parametrize("kind", ["full", "diag"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("notation", KINDS)
def test_loss_gradient_and_posterior_are_the_formulas(notation: str, channels: int, kind: str) -> None:
    rng = np.random.default_rng(1)
    scale = Scale(tuple(rng.uniform(90, 110, channels)), tuple(rng.uniform(40, 60, channels)))
    more = channels * (channels + 1) // 2 if kind == "full" else channels
    out = rng.normal(0, 0.5, channels + more)
    noisy = rng.normal(0, 1, channels)
    model = model_of(notation)

    def loss_of(values: Tensor) -> Tensor:
        prior = prior_of(values[None, :, None, None], torch.from_numpy(noisy)[None, :, None, None], scale, kind)
        own = model.scaled(1 / prior.unit)
        mean, total = own.marginal(prior.mean, prior.covariance)
        return negative_log_likelihood(prior.noisy - mean, total).squeeze()

    values = torch.from_numpy(out).requires_grad_(True)
    loss = loss_of(values)
    torch.autograd.backward(loss)
    wanted, after, spread = reference(out, noisy, scale, kind, model)
    assert float(loss.detach()) == pytest.approx(wanted, rel=1e-6, abs=1e-8)
    assert values.grad is not None
    for index in range(len(out)):
        step = np.zeros(len(out))
        step[index] = 1e-5
        slope = (
            reference(out + step, noisy, scale, kind, model)[0] - reference(out - step, noisy, scale, kind, model)[0]
        )
        assert float(values.grad[index]) == pytest.approx(slope / 2e-5, rel=1e-3, abs=1e-5)
    prior = prior_of(values.detach()[None, :, None, None], torch.from_numpy(noisy)[None, :, None, None], scale, kind)
    own = model.scaled(1 / prior.unit)
    mean, variance = prior.back(*own.posterior(prior.noisy, prior.mean, prior.covariance), scale)
    std, middle = np.array(scale.std), np.array(scale.mean)
    np.testing.assert_allclose(mean[0, :, 0, 0].numpy() * std + middle, after, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(variance[0, :, 0, 0].numpy() * std**2, np.diag(spread), rtol=1e-4, atol=1e-6)


def test_gaussian_likelihood_is_scipys() -> None:
    from scipy.stats import multivariate_normal

    rng = np.random.default_rng(0)
    root = rng.normal(size=(5, 4, 4))
    covariance = root @ root.transpose(0, 2, 1) + 0.1 * np.eye(4)
    away = rng.normal(size=(5, 4))
    found = negative_log_likelihood(torch.from_numpy(away), torch.from_numpy(covariance)).numpy()
    wanted = [-multivariate_normal(cov=c).logpdf(x) - 2 * math.log(2 * math.pi)
              for x, c in zip(away, covariance, strict=True)]  # fmt: skip
    np.testing.assert_allclose(found, wanted, rtol=1e-9)


def test_the_posterior_lies_between_and_is_surer_than_both() -> None:
    prior = prior_of(torch.tensor([[[[0.2]], [[0.5]]]]), torch.tensor([[[[1.4]]]]), Scale((100.0,), (50.0,)), "full")
    noise = model_of("gaussian:sigma=25").scaled(1 / 50)
    mean, covariance = noise.posterior(prior.noisy, prior.mean, prior.covariance)
    assert float(prior.mean) < float(mean) < float(prior.noisy)
    assert float(covariance) < min(float(prior.covariance), 0.25)


@pytest.mark.parametrize("notation", [*KINDS, "uniform:s=20", "bernoulli:p=0.2", "salt_pepper:p=0.2"])
def test_what_is_learned_of_a_noise_is_multiplied(notation: str) -> None:
    model = model_of(notation)
    assert model.learnable
    assert model.varied([1.0] * len(model.learnable)).parameters == pytest.approx(model.parameters)
    more = model.varied([2.0] * len(model.learnable))
    for name in model.learnable:
        before, after = getattr(model, name), getattr(more, name)
        wanted = 2 * before if name != "p" else 2 * before / (1 + before)
        assert after == pytest.approx(wanted)


def test_the_line_of_photon_noise_is_fitted() -> None:
    rng = np.random.default_rng(0)
    mean = rng.uniform(20, 200, 40000)
    found = fit_line(mean, 4 * rng.poisson(mean / 4) + rng.normal(0, 5, mean.shape))
    values = found.moments(np.array([[30.0], [180.0]]))[1][:, 0]
    np.testing.assert_allclose(values, [4 * 30 + 25, 4 * 180 + 25], rtol=0.05)
    flat = fit_line(mean, mean + rng.normal(0, 7, mean.shape))
    assert float(flat.moments(np.array([[100.0]]))[1][0, 0]) == pytest.approx(49, rel=0.05)


# The method ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("notation", KINDS)
@pytest.mark.parametrize("parameter", ["known", "global", "variable"])
def test_no_kind_of_noise_is_special(notation: str, parameter: str, noisy: np.ndarray) -> None:
    colour = np.abs(np.stack([noisy, 0.7 * noisy, noisy + 20], -1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HushWarning)
        result = ssdn(noise=notation, parameter=parameter, steps=3).fit(colour).run(colour)
    assert np.isfinite(result.image.data).all()
    assert result.std is not None
    assert np.isfinite(result.std.data).all()
    assert (result.std.data >= 0).all()


def test_a_level_that_is_not_known_is_learned() -> None:
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:128, :128]
    clean = 100 + 60 * np.sin(x / 9) * np.cos(y / 7)
    image = (clean + rng.normal(0, 20, clean.shape)).astype(np.float32)
    model = ssdn(noise="gaussian:sigma=40", parameter="global", steps=150, maps=8, batch=4, patch=32).fit(image)
    assert model.used_noise[0].parameters["sigma"] == pytest.approx(20, rel=0.2)
    assert psnr(model.denoise(image).data, clean, 255) > 28


def test_each_image_has_a_level_of_its_own(noisy: np.ndarray) -> None:
    model = ssdn(noise="gaussian:sigma=20", parameter="variable", precision="float32").fit(noisy)
    net = model.nets_[0]
    torch.nn.init.normal_(net.variable.last.weight, std=0.3)
    scale = model.scales_[0]
    one, other = (model.prepare(net, [view[None]], scale).noise for view in (noisy, 40 + 0.2 * noisy))
    assert one.sigma != other.sigma
    model.tile = 4096
    whole = model.denoise(noisy).data
    model.tile = 16
    np.testing.assert_allclose(model.denoise(noisy).data, whole, atol=2e-4)


def test_known_noise_comes_from_the_analysis() -> None:
    y, x = np.mgrid[:128, :150]
    image = 100 + 60 * np.sin(x / 19) * np.cos(y / 17) + np.random.default_rng(0).normal(0, 20, y.shape)
    found = ssdn().fit(image.astype(np.float32)).used_noise[0].parameters["sigma"]
    assert found == pytest.approx(20, rel=0.15)


def test_a_wrong_model_is_warned_of() -> None:
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:160, :160]
    photons = rng.poisson(20 + 18 * np.sin(x / 30) * np.cos(y / 25)).astype(np.float32)
    with pytest.warns(HushWarning) as seen:
        ssdn(noise="gaussian:sigma=12").fit(photons)
    assert "given-differs" in [getattr(one.message, "code", None) for one in seen]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ssdn(noise="poisson:photons=255").fit(photons)


@pytest.mark.parametrize(
    ("settings", "part"),
    [
        ({"parameter": "guessed"}, "'known', 'global'"),
        ({"covariance": "half"}, "'full', 'diag'"),
        ({"net": "unet"}, "blindgrid, blindspot"),
        ({"residual": "input"}, "must not be given its own pixel"),
        ({"noise": "gaussian:sigma=5..20"}, "fixed parameters"),
        ({"noise": "correlated:sigma=5,length=1"}, "no likelihood"),
        ({"noise": "50% gaussian:sigma=5 | 50% uniform:s=9", "parameter": "global"}, "no parameter that could"),
    ],
)
def test_settings_that_make_no_sense(settings: dict[str, Any], part: str, noisy: np.ndarray) -> None:
    with pytest.raises(HushError, match=part):
        ssdn(**settings).fit(noisy)


def test_missing_pixels_do_not_count(noisy: np.ndarray) -> None:
    model = ssdn(noise="gaussian:sigma=20").fit(noisy)
    net, scale = model.nets_[0], model.scales_[0]
    x = torch.randn(2, 1, 16, 16)
    valid = torch.ones(2, 1, 16, 16, dtype=torch.bool)
    valid[0, 0, 3, 4] = False
    rng = torch.Generator()
    whole, without = (float(model.loss(net, Batch(x, v, None, scale), rng).detach()) for v in (None, valid))
    assert whole != without
    assert whole == pytest.approx(without, rel=0.2)


# Uncertainty -------------------------------------------------------------------------------------


def test_uncertainty_as_a_file(tmp_path: Path, run: Run, noisy: np.ndarray) -> None:
    holed = noisy.copy()
    holed[4, 5] = np.nan
    stack = Image(np.stack([noisy, holed]), "ZYX", {"X": 0.5, "Y": 0.5}, "µm")
    io.write(tmp_path / "noisy.tif", stack)
    quick = ("--method", "ssdn", "--noise", "gaussian:sigma=20", "--steps", 4, "--set", "maps=4", "--set", "patch=16")
    model = tmp_path / "m.hush"
    code, _, said = run("train", tmp_path / "noisy.tif", "-o", model, *quick)
    assert code == 0, said
    spread = tmp_path / "u.tif"
    code, _, said = run("apply", model, tmp_path / "noisy.tif", "-o", tmp_path / "clean.tif", "--uncertainty", spread)
    assert code == 0, said
    found = io.read(spread)
    assert (found.data.dtype, found.axes, found.data.shape) == (np.float32, "ZYX", stack.data.shape)
    assert dict(found.scale) == pytest.approx(dict(stack.scale))
    assert np.isnan(found.data[1, 4, 5])
    assert np.isnan(found.data).sum() == 1
    assert 0.5 < np.nanmean(found.data) < 20
    expected = hush.load(model).run(Image(noisy, "YX")).std
    assert expected is not None
    np.testing.assert_allclose(found.data[0], expected.data, rtol=1e-4, atol=1e-4)
    code, _, said = run("apply", model, tmp_path / "noisy.tif", "-o", tmp_path / "c2.tif", "--uncertainty", spread)
    assert (code, "--overwrite" in said) == (2, True)


def test_channels_with_a_line_of_their_own_are_fitted(noisy: np.ndarray) -> None:
    image = Image(np.stack([noisy, 0.3 * noisy]), "CYX")
    model = ssdn(parameter="fitted").fit(image)
    one, other = (float(noise.moments(np.array([[40.0]]))[1][0, 0]) for noise in model.used_noise)
    assert one > other > 0


@pytest.mark.parametrize(("name", "part"), [("u.png", "give .tif or .npy"), ("c.tif", "own name")])
def test_uncertainty_needs_a_file_of_its_own(tmp_path: Path, run: Run, noisy: np.ndarray, name: str, part: str) -> None:
    io.write(tmp_path / "noisy.tif", Image(noisy, "YX"))
    code, _, said = run("denoise", tmp_path / "noisy.tif", "-o", tmp_path / "c.tif", "--method", "ssdn",
                        "--uncertainty", tmp_path / name)  # fmt: skip
    assert (code, part in " ".join(said.split())) == (2, True), said


def test_uncertainty_of_methods_that_have_none(tmp_path: Path, run: Run, noisy: np.ndarray) -> None:
    io.write(tmp_path / "noisy.tif", Image(noisy, "YX"))
    for settings in (("--method", "n2v"), ("--method", "bm3d"), ("--method", "ssdn", "--set", "covariance=mean")):
        code, _, said = run("denoise", tmp_path / "noisy.tif", "-o", tmp_path / "c.tif", *settings,
                            "--uncertainty", tmp_path / "u.tif")  # fmt: skip
        assert (code, "no uncertainty" in " ".join(said.split())) == (2, True), said
        assert not (tmp_path / "c.tif").exists()
