"""Filters, BM3D, auto, and risk without a clean image."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import hush
from helpers import data, noisy
from hush.bench.compare import compare
from hush.core import registry
from hush.core.errors import HushError
from hush.core.image import Image
from hush.datasets.synthetic import epithelium
from hush.estimation.analyze import analyze
from hush.estimation.report import ChannelNoise
from hush.methods import _bm3d
from hush.noise import parse
from hush.quality import risk
from hush.quality.estimate import Domain
from hush.vst.stabilizer import Stabilizer


@pytest.fixture(scope="module")
def camera() -> np.ndarray:
    return np.asarray(data.camera()[100:292, 150:342], np.float32)


def denoised(image: np.ndarray, name: str, **settings: Any) -> np.ndarray:
    return np.asarray(registry.get("methods", name)(**settings).fit([image]).denoise(image).data)


def test_bm3d_is_the_best_of_the_filters(camera: np.ndarray) -> None:
    image = noisy(camera, "gaussian:sigma=25")
    scores = {
        name: hush.psnr(denoised(image, name, sigma=25.0), camera, 255)
        for name in ("bm3d", "nlm", "tv", "wavelet", "bilateral", "gaussian", "median", "mean")
    }
    assert max(scores, key=lambda name: scores[name]) == "bm3d"
    assert scores["bm3d"] > scores["nlm"] + 0.5
    assert min(scores.values()) > hush.psnr(image, camera, 255) + 3
    first = denoised(image, "bm3d", sigma=25.0, wiener=False)
    assert scores["bm3d"] > hush.psnr(first, camera, 255) + 0.2


@pytest.mark.parametrize("name", ["bm3d", "pretrained"])
@pytest.mark.parametrize("said", [True, False])
def test_speckle_is_removed_where_it_is_bright_and_the_dark_stays(camera: np.ndarray, name: str, said: bool) -> None:
    image = noisy(camera, "speckle:sigma=40")
    clean = denoised(image, name, **({"noise": "speckle:sigma=40"} if said else {}))
    assert hush.psnr(clean, camera, 255) > hush.psnr(image, camera, 255) + 7
    dark = camera < 30
    assert clean[dark].mean() == pytest.approx(camera[dark].mean(), rel=0.05)
    assert clean.mean() == pytest.approx(camera.mean(), rel=0.01)


def test_bm3d_keeps_what_has_no_noise(camera: np.ndarray) -> None:
    kept = denoised(camera, "bm3d", sigma=0.05)
    assert np.abs(kept - camera).max() < 0.5


def test_bm3d_in_colour_uses_what_colours_share() -> None:
    clean = data.astronaut()[:128, 160:288].astype(np.float32)
    image = noisy(clean, "gaussian:sigma=30")
    together = denoised(image, "bm3d", sigma=30.0)
    apart = np.dstack([denoised(np.ascontiguousarray(image[..., k]), "bm3d", sigma=30.0) for k in range(3)])
    assert hush.psnr(together, clean, 255) > hush.psnr(apart, clean, 255) + 0.8


def test_the_transforms_invert_each_other() -> None:
    for hard in (True, False):
        forward, inverse = _bm3d._transform(hard)
        torch.testing.assert_close(inverse @ forward, torch.eye(64), atol=1e-5, rtol=0)
        torch.testing.assert_close(forward.norm(dim=1), torch.ones(64))  # noise keeps its level
    haar = _bm3d._haar(16)
    torch.testing.assert_close(haar @ haar.T, torch.eye(16), atol=1e-6, rtol=0)


@pytest.mark.parametrize("photons", [0.5, 3.0])
def test_few_photons_keep_their_mean(photons: float) -> None:
    image = noisy(np.full((128, 128), photons), "poisson:photons=255")
    clean = denoised(image, "bm3d", noise="poisson:photons=255")
    assert clean.mean() == pytest.approx(image.mean(), rel=0.08)
    assert clean.std() < 0.15 * image.std()


def test_stabilising_gains_where_noise_grows_with_brightness() -> None:
    clean = epithelium(192, 1)
    image = noisy(clean, "poisson:photons=30")
    plain, stable = (denoised(image, "bm3d", stabilise=how) for how in (False, True))
    assert hush.psnr(stable, clean, 255) > hush.psnr(plain, clean, 255) + 3


def test_rician_bias_is_taken_off() -> None:
    clean = 100.0 * (np.hypot(*(np.indices((160, 160)) - 80)) < 60)
    image = noisy(clean, "rician:sigma=15")
    result = denoised(image, "bm3d", noise="rician:sigma=15")
    outside = np.hypot(*(np.indices((160, 160)) - 80)) > 72
    assert image[outside].mean() > 17
    assert result[outside].mean() < 5


@pytest.mark.parametrize("text", ["gaussian:sigma=10 + bernoulli:p=0.08", "gaussian:sigma=10 + salt_pepper:p=0.08"])
def test_lost_pixels_are_filled(camera: np.ndarray, text: str) -> None:
    image = noisy(camera, text)
    result = denoised(image, "auto")
    assert hush.psnr(result, camera, 255) > hush.psnr(image, camera, 255) + 9


def test_an_edge_is_no_impulse(camera: np.ndarray) -> None:
    found = ChannelNoise("gaussian", 0.0, 0.0, 3.0, 0.0, 9.0, impulse_fraction=0.002)
    image = noisy(camera, "gaussian:sigma=3")
    hot = np.array(image)
    hot[5::29, 7::31] += 150
    repaired = Stabilizer(found).repair(hot)
    touched = repaired != hot
    assert touched[5::29, 7::31].mean() > 0.85
    assert touched.mean() < 0.004  # a step of 15 is more than noise explains: thousands of pixels on edges have it


def test_the_first_frame_does_not_speak_for_other_channels(camera: np.ndarray) -> None:
    both = np.stack([noisy(camera, "gaussian:sigma=5"), noisy(camera, "gaussian:sigma=40", 1)])
    clean = hush.BM3D().fit(Image(both, "CYX")).denoise(Image(both, "CYX")).data
    for channel, sigma in enumerate((5, 40)):
        alone = denoised(both[channel], "bm3d")
        np.testing.assert_allclose(clean[channel], alone, atol=0.2 * sigma)


@pytest.mark.parametrize("name", ["gaussian", "median", "tv", "nlm", "bilateral", "wavelet", "mean"])
def test_calibration_comes_near_the_best_parameter(name: str, camera: np.ndarray) -> None:
    image = noisy(camera, "gaussian:sigma=25")
    kind = registry.get("methods", name)
    scores = [
        hush.psnr(denoised(image, name, sigma=25.0, **{kind.parameter: value}), camera, 255) for value in kind.options
    ]
    assert hush.psnr(denoised(image, name, sigma=25.0, calibrate=True), camera, 255) > max(scores) - 0.8
    assert hush.psnr(denoised(image, name, sigma=25.0), camera, 255) > max(scores) - 0.8


def test_settings_of_filters_are_checked(camera: np.ndarray) -> None:
    with pytest.raises(HushError, match="sigma"):
        denoised(camera, "bm3d", sigma=-1.0)
    with pytest.raises(HushError, match=r"gausian.*'gaussian'"):
        denoised(camera, "bm3d", noise="gausian:sigma=3")
    two = Image(np.stack([camera, camera]), "CYX")
    with pytest.raises(HushError, match=r"\b2\b.*\b1\b"):
        hush.BM3D(sigma=5).fit(two).run(camera)


# Risk ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["gaussian", "tv", "bm3d"])
def test_sure_is_the_mean_squared_error(name: str, camera: np.ndarray) -> None:
    image = noisy(camera, "gaussian:sigma=20")
    model = registry.get("methods", name)(sigma=20.0).fit(image)
    domain = Domain(Image(image, "YX"), analyze(image, noise=parse("gaussian:sigma=20")))
    estimate = risk.sure(domain.through(model.denoise), image[None], np.array([20.0]))
    truth = float(((model.denoise(image).data - camera) ** 2).mean())
    assert abs(estimate.value - truth) < 4 * estimate.error
    assert 0 < estimate.error < 0.3 * truth + 10


def test_sure_holds_where_photons_are_few() -> None:
    """Below a few photons the stabilised noise has less than unit variance, and the estimate knows."""
    clean = epithelium(256, 2)
    image = noisy(clean, "poisson_gaussian:gain=16")
    said = analyze(image, noise=parse("poisson_gaussian:gain=16"))
    domain = Domain(Image(image, "YX"), said)
    stable = domain.stack(image, Stabilizer.forward)
    model = registry.get("methods", "gaussian")(width=1.2, noise="poisson_gaussian:gain=16").fit(image)
    unit = risk.sure(domain.through(model.denoise), stable, domain.sigma).value
    estimate = risk.sure(domain.through(model.denoise), stable, domain.deviation(stable)).value
    target = domain.stack(clean, Stabilizer.forward_mean)
    truth = float(((domain.through(model.denoise)(stable) - target) ** 2).mean())
    assert abs(estimate - truth) < 0.3 * abs(unit - truth)  # the noise is still no Gaussian one
    assert estimate > 0


def test_hidden_pixels_rank_a_family(camera: np.ndarray) -> None:
    image = noisy(camera, "gaussian:sigma=25")
    widths = (0.3, 0.8, 4.0)
    models = [registry.get("methods", "gaussian")(sigma=25.0, width=width) for width in widths]

    def through(model: Any) -> Any:
        return lambda values: model.filter(values, np.array([25.0]), model.width)

    risks = [risk.hidden(through(model), image[None], np.array([25.0])) for model in models]
    assert risks[1].value < risks[0].value
    assert risks[1].below(risks[2])
    assert not risks[2].below(risks[1])


def test_hidden_grids_hold_every_pixel_once() -> None:
    for mask in (None, "1x5", "010,111,010"):
        wide = risk.spacing(mask)
        total = np.sum([risk.hidden_grid((30, 24), phase, mask) for phase in range(wide**2)], axis=0)
        assert (total == 1).all()


def test_masked_neighbours_are_hidden_as_well(camera: np.ndarray) -> None:
    where = np.zeros(camera.shape, bool)
    where[50, 60] = True
    filled = risk.fill_hidden(camera[None], where, np.zeros((1, *camera.shape)), "1x3")
    changed = np.argwhere(filled[0] != camera)
    assert changed.tolist() == [[50, 59], [50, 60], [50, 61]]


def test_residual_tells_structure_from_noise(camera: np.ndarray) -> None:
    image = noisy(camera, "gaussian:sigma=20")
    good, blurred = denoised(image, "bm3d"), denoised(image, "gaussian", width=3.0)
    assert abs(risk.residual(image, good)["whiteness"]) < 0.1
    assert risk.residual(image, blurred)["whiteness"] > 0.3
    assert risk.residual(image, 0.9 * image + 7)["slope"] == pytest.approx(0.9)
    assert risk.residual(image, 0.9 * image + 7)["offset"] == pytest.approx(7)


def test_stabilised_domain_and_back() -> None:
    clean = epithelium(64)
    report = analyze(noisy(epithelium(256), "poisson_gaussian:gain=5,sigma=4"))
    way = Stabilizer(report.channels[0])
    np.testing.assert_allclose(way.plain_inverse(way.forward(clean)), clean, rtol=1e-4)
    np.testing.assert_allclose(way.inverse(way.forward_mean(clean)), clean, atol=0.05)


def test_methods_that_learn_from_the_image_leave_hidden_pixels_out(camera: np.ndarray) -> None:
    image = Image(noisy(camera[:64, :64], "gaussian:sigma=20"), "YX")
    (entry,) = compare(image, ["n2v"], seconds=0.3, hidden=True)
    assert entry.figures["hidden"] is not None
    assert entry.figures["hidden"] > 300  # noise of variance 400 cannot be predicted


def test_a_method_that_fails_is_reported_and_the_others_run() -> None:
    image = Image(np.random.default_rng(0).normal(100, 9, (3, 3)).astype(np.float32), "YX")
    bad, good = compare(image, ["n2v", "median"])
    assert bad.image is None
    assert bad.note and not good.note
    assert good.image is not None
