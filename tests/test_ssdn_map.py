"""SSDN with a noise map, with composed noises, and on means of exposures."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import hush
from hush import io
from hush.bench import runner
from hush.bench.studies import noise_map
from hush.core.errors import HushError, HushWarning
from hush.core.image import Image
from hush.core.metrics import psnr
from hush.datasets.synthetic import epithelium
from hush.methods._model_file import save_model
from hush.methods._noise_map import MapPatches, estimated_map, local_levels, read_map, spread_map
from hush.methods._ssdn_likelihood import BEGIN, FLOOR
from hush.methods._ssdn_network import BlindNet, Known
from hush.methods.ssdn import SSDN
from hush.noise import parse
from hush.noise._averaged import of_mean
from hush.noise.ramp import Ramp
from hush.training.dataset import Scene
from hush.training.normalization import Scale

Run = Callable[..., tuple[int, str, str]]
SCALE = Scale((90.0,), (50.0,))


def ssdn(**settings: Any) -> SSDN:
    quick: dict[str, Any] = {"steps": 6, "maps": 4, "batch": 2, "patch": 16, "depth": 2, "precision": "float32"}
    return SSDN(**{**quick, **settings})


def waves(height: int = 64, width: int = 80) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    picture: np.ndarray = 100 + 60 * np.sin(x / 9) * np.cos(y / 7)
    return picture


def drawn(text: str) -> Any:
    return parse(text).draw(np.random.default_rng(0))


class Says(nn.Module):
    """A network that says the same of every pixel: the mean and the variance of its prior, in image units."""

    inputs, margin, multiple = 1, 0, 1

    def __init__(self, mean: float, variance: float, maps: int) -> None:
        super().__init__()
        root = np.sqrt(variance / SCALE.std[0] ** 2 - FLOOR) - BEGIN
        self.values = [(mean - SCALE.mean[0]) / SCALE.std[0], *[7.0] * maps, root]

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([torch.full_like(x[:, 0], float(value)) for value in self.values], 1)


def posterior(model: SSDN, noisy: float, noise: str | None, levels: list[float] | None = None) -> tuple[Any, Any]:
    """Mean and variance, in image units, of pixels with the prior N(100, 10^2)."""
    net = BlindNet(Says(100.0, 100.0, 1 if levels else 0), 1, 1 if levels else 0)
    net.noise = None if noise is None else drawn(noise)
    x = torch.full((1, 1, 1, len(levels or [0])), (noisy - SCALE.mean[0]) / SCALE.std[0])
    if levels:
        x = torch.cat([x, torch.tensor(levels).reshape(1, 1, 1, -1) / SCALE.std[0]], 1)
    mean, variance = model.predict(net, x, Known(SCALE, net.noise))
    assert variance is not None
    return mean.ravel().numpy() * SCALE.std[0] + SCALE.mean[0], variance.ravel().numpy() * SCALE.std[0] ** 2


# Composed noises ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("noise", "total"),
    [
        ("gaussian:sigma=5", 100 + 25),
        # the variance before is 125; speckle of a tenth adds a hundredth of the mean square, 100^2 + 125
        ("gaussian:sigma=5 + speckle:sigma=25.5", 125 + 101.25),
        ("speckle:sigma=25.5 + gaussian:sigma=5", 100 + 101 + 25),
        ("poisson:photons=127.5 + gaussian:sigma=3", 100 + 2 * 100 + 9),
        ("poisson_gaussian:gain=2,offset=20,sigma=3", 100 + 2 * 80 + 9),
        ("gaussian:sigma=3 + gaussian:sigma=4 + uniform:s=6", 100 + 25 + 12),
    ],
)
def test_the_posterior_of_composed_noises_by_hand(noise: str, total: float) -> None:
    gain = 100 / total
    mean, variance = posterior(ssdn(noise=noise), 120.0, noise)
    assert mean[0] == pytest.approx(100 + 20 * gain, abs=1e-3)
    assert variance[0] == pytest.approx(100 - 100 * gain, abs=1e-2)


def test_the_moments_of_a_composed_noise_are_those_of_draws() -> None:
    rng = np.random.default_rng(1)
    clean = rng.normal(100, 10, (1, 500, 500))
    noisy = drawn("gaussian:sigma=5 + speckle:sigma=25.5").sample(clean, rng)
    assert noisy.var() == pytest.approx(226.25, rel=0.02)


def test_composed_noise_is_given_on_the_command_line(tmp_path: Path, run: Run, noisy: np.ndarray) -> None:
    io.write(tmp_path / "noisy.tif", Image(noisy, "YX"))
    words = ("--method", "ssdn", "--steps", 4, "--set", "maps=4", "--set", "patch=16")
    composed = ("--noise", "gaussian:sigma=5 + speckle:sigma=10")
    code, _, said = run("denoise", tmp_path / "noisy.tif", "-o", tmp_path / "c.tif", *words, *composed)
    assert code == 0, said
    assert np.isfinite(io.read(tmp_path / "c.tif").data).all()


# Means of exposures ------------------------------------------------------------------------------


@pytest.mark.parametrize("noise", ["gaussian:sigma=20", "poisson:photons=30", "poisson_gaussian:gain=4,sigma=9",
                                   "speckle:sigma=40", "uniform:s=30", "emccd:gain=8,sigma=3",
                                   "poisson:photons=30 + gaussian:sigma=8"])  # fmt: skip
def test_the_mean_of_exposures_has_the_variance_of_its_draws(noise: str) -> None:
    one, rng = drawn(noise), np.random.default_rng(2)
    clean = np.full((1, 200, 200), 120.0)
    mean = np.mean([one.sample(clean, rng) for _ in range(4)], 0)
    expected, variance = (float(np.ravel(values)[0]) for values in of_mean(one, 4).moments(np.full((1, 1), 120.0)))
    assert mean.mean() == pytest.approx(expected, rel=0.01)
    assert mean.var() == pytest.approx(variance, rel=0.05)
    assert variance == pytest.approx(float(one.moments(np.full((1, 1), 120.0))[1][0, 0]) / 4)


@pytest.mark.parametrize("noise", ["rician:sigma=20", "bernoulli:p=0.1", "50% gaussian:sigma=5 | 50% uniform:s=9"])
def test_means_that_are_noise_of_another_kind_are_refused(noise: str) -> None:
    with pytest.raises(HushError, match="another kind"):
        of_mean(drawn(noise), 4)
    assert of_mean(drawn(noise), 1) == drawn(noise)


def test_an_image_that_is_a_mean_of_four_has_half_the_noise() -> None:
    noisy = (waves(128, 128) + np.random.default_rng(0).normal(0, 10, (128, 128))).astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # what is given fits the image
        (noise,) = ssdn(noise="gaussian:sigma=20", averaged=4).fit(noisy).used_noise
    assert noise is not None
    assert noise.parameters["sigma"] == pytest.approx(10)
    with pytest.warns(HushWarning) as seen:
        ssdn(noise="gaussian:sigma=10", averaged=4).fit(noisy)
    assert "given-differs" in [getattr(one.message, "code", None) for one in seen]


def test_a_map_of_one_exposure_is_divided_too(noisy: np.ndarray) -> None:
    levels = np.full(noisy.shape, 12.0)
    one, four = ssdn(noise_map=levels).fit(noisy), ssdn(noise_map=2 * levels, averaged=4).fit(noisy)
    np.testing.assert_array_equal(one.denoise(noisy).data, four.denoise(noisy).data)


# The map -----------------------------------------------------------------------------------------


def test_photons_beside_a_map_whose_factor_is_learned(noisy: np.ndarray) -> None:
    photons, levels = "poisson:photons=30", np.full(noisy.shape, 9.0)
    model = ssdn(noise=photons, noise_map=levels, parameter="global").fit(noisy)
    assert model.used_noise == [drawn(photons)]
    assert np.isfinite(model.denoise(noisy).data).all()


def test_every_pixel_has_the_posterior_of_its_own_level() -> None:
    mean, variance = posterior(ssdn(noise_map="estimate"), 120.0, None, [0.0, 10.0, 30.0])
    gain = 100 / (100 + np.array([0.0, 100.0, 900.0]))
    np.testing.assert_allclose(mean, 100 + 20 * gain, atol=1e-3)
    np.testing.assert_allclose(variance, 100 - 100 * gain, atol=1e-2)


def test_what_noise_says_comes_beside_the_map() -> None:
    noise = "poisson_gaussian:gain=2,offset=0,sigma=0"
    mean, variance = posterior(ssdn(noise_map="given", noise=noise), 120.0, noise, [0.0, 10.0])
    gain = 100 / (100 + 200 + np.array([0.0, 100.0]))
    np.testing.assert_allclose(mean, 100 + 20 * gain, atol=1e-3)
    np.testing.assert_allclose(variance, 100 - 100 * gain, atol=1e-2)


def test_the_network_is_shown_the_map_and_stays_blind() -> None:
    torch.manual_seed(0)
    net = ssdn(noise_map="estimate").build(1, 2).double().eval()
    x = torch.randn(1, 2, 32, 32, dtype=torch.float64, requires_grad=True)
    out = net(x)
    assert out.shape == (1, 2, 32, 32)  # mean and spread
    out[0, :, 13, 18].sum().backward()
    assert x.grad is not None
    assert not x.grad[0, :, 13, 18].any()
    assert (x.grad[0, :, 12:15, 17] != 0).all()


def test_patches_and_their_maps_are_cut_and_turned_together() -> None:
    view = np.random.default_rng(0).uniform(5, 50, (2, 40, 50)).astype(np.float32)
    scale = Scale((30.0, 1e6), (10.0, 20.0))
    data = view + np.reshape(scale.mean, (2, 1, 1))
    patches = MapPatches.of([Scene([data], [[view]])], (16, 16), scale, "all")
    batch = patches.batch(6, np.random.default_rng(1))
    assert batch.target is not None
    assert batch.target.std() > 0.5
    np.testing.assert_allclose(batch.target.numpy(), batch.noisy.numpy(), atol=1e-5)  # both: the level, normalised


@pytest.mark.parametrize(
    ("axes", "shape", "map_shape"),
    [
        ("YX", (6, 8), (6, 8)),
        ("TYX", (3, 6, 8), (6, 8)),
        ("TZYX", (3, 2, 6, 8), (2, 6, 8)),
        ("TCZYX", (3, 2, 4, 6, 8), (2, 6, 8)),
        ("ZYXS", (4, 6, 8, 3), (6, 8, 3)),
        ("TYX", (3, 6, 8), (3, 6, 8)),
    ],
)
def test_a_map_is_spread_over_what_it_lacks(axes: str, shape: tuple[int, ...], map_shape: tuple[int, ...]) -> None:
    levels = np.random.default_rng(0).uniform(1, 9, map_shape)
    whole = spread_map(levels, Image(np.zeros(shape), axes))
    assert whole.shape == shape
    assert set(np.unique(whole)) == set(np.unique(levels))
    if len(shape) - len(map_shape) == 1 and axes[0] in "TZ":
        np.testing.assert_array_equal(whole[-1], levels)
    if axes == "TCZYX":
        np.testing.assert_array_equal(whole[1, 1, 3], levels[1])


@pytest.mark.parametrize("bad", [np.full((6, 8), -1.0), np.zeros((6, 8)), np.full((6, 8), np.nan)], ids=str)
def test_what_is_no_deviation_is_refused(bad: np.ndarray) -> None:
    with pytest.raises(HushError, match="standard deviations"):
        read_map(bad)


def test_a_map_that_does_not_fit_is_refused(noisy: np.ndarray) -> None:
    with pytest.raises(HushError, match="possible: YX"):
        ssdn(noise_map=np.ones((5, 7))).fit(noisy)
    with pytest.raises(HushError, match="1 images and 2"):
        ssdn(noise_map=[np.ones(noisy.shape)] * 2).fit(noisy)
    with pytest.raises(HushError, match="with_map"):
        ssdn(noise_map=[np.ones(noisy.shape)]).fit(noisy).run(noisy)
    with pytest.raises(HushError, match="without a noise map"):
        ssdn(noise="gaussian:sigma=20").with_map(np.ones(noisy.shape))


@pytest.mark.parametrize(
    ("settings", "part"),
    [
        ({"noise_map": "estimate", "noise": "gaussian:sigma=5"}, "setting noise cannot"),
        ({"noise_map": "estimate", "parameter": "variable"}, "known, global"),
        ({"noise_map": "estimate", "covariance": "mean"}, "setting noise_map"),
        ({"noise_map": "estimate", "simulate": "gaussian:sigma=5"}, "setting noise_map"),
        ({"averaged": 0, "noise": "gaussian:sigma=5"}, "setting averaged"),
        ({"averaged": 4}, "setting averaged"),
        ({"averaged": 4, "noise_map": "estimate"}, "setting averaged"),
        ({"noise": "ramp:low=5,high=9"}, "no likelihood"),
        ({"noise_map": "missing.tif"}, "missing.tif"),
    ],
)
def test_settings_that_make_no_sense(settings: dict[str, Any], part: str, noisy: np.ndarray) -> None:
    with pytest.raises(HushError, match=part):
        ssdn(**settings).fit(noisy)


def test_a_map_is_worth_more_than_one_level() -> None:
    clean, levels = waves(96, 160), Ramp(4, 40).levels((96, 160))
    noisy = (clean + levels * np.random.default_rng(0).normal(size=clean.shape)).astype(np.float32)
    longer = {"steps": 120, "maps": 8, "batch": 4, "patch": 32}
    mean = float(np.sqrt(np.mean(levels**2)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HushWarning)
        one = ssdn(noise=f"gaussian:sigma={mean}", **longer).fit(noisy).denoise(noisy).data
    mapped = ssdn(noise_map=levels, **longer).fit(noisy).denoise(noisy).data
    assert psnr(mapped, clean, 255) > psnr(one, clean, 255) + 3


def test_a_factor_of_the_map_is_learned() -> None:
    clean, levels = waves(96, 128), Ramp(10, 30).levels((96, 128))
    noisy = (clean + levels * np.random.default_rng(0).normal(size=clean.shape)).astype(np.float32)
    model = ssdn(noise_map=levels / 2, parameter="global", steps=120, maps=8, batch=4, patch=32).fit(noisy)
    (net,) = model.nets_
    assert isinstance(net, BlindNet)
    assert model.used_noise == [None]
    found = model.with_levels(net, torch.ones(1, 1, 1, 1), Scale((0.0,), (1.0,)))
    assert float(found.parameters["sigma"].detach()) == pytest.approx(2, rel=0.25)


@pytest.mark.filterwarnings("ignore::hush.core.errors.HushWarning")  # of the missing pixel
@pytest.mark.parametrize(("given", "axes"), [("map", "TYX"), ("map", "CYX"), ("estimate", "YXS")])
def test_tiles_find_their_piece_of_the_map(given: str, axes: str, tmp_path: Path) -> None:
    sizes = {"Y": 57, "X": 70, "S": 3, "C": 2, "T": 2}
    shape, rng = [sizes[axis] for axis in axes], np.random.default_rng(0)
    data = rng.normal(100, 20, shape).astype(np.float32)
    data.reshape(-1)[sizes["X"] * 20 + 31] = np.nan
    image = Image(data, axes)
    frame = [sizes[axis] for axis in axes if axis != "T"]
    levels = rng.uniform(2, 40, frame)
    save_model(ssdn(noise_map=levels if given == "map" else given).fit(image), tmp_path / "m.hush")
    for tta in (False, True) if axes == "YXS" else (False,):
        models = [hush.load(tmp_path / "m.hush", tile=tile, tta=tta, precision="float32") for tile in (16, 4096)]
        small, whole = (model.run(image) for model in models)
        np.testing.assert_allclose(small.image.data, whole.image.data, atol=2e-4)
        assert small.std is not None
        assert whole.std is not None
        np.testing.assert_allclose(small.std.data, whole.std.data, atol=2e-4)
        assert np.isnan(whole.image.data).sum() == 1
    assert isinstance(models[1], SSDN)
    other = models[1].with_map(np.full(frame, 1.0)).run(image)
    assert other.std is not None
    assert whole.std is not None
    assert np.nanmean(other.std.data) < 1 < np.nanmean(whole.std.data)


def test_the_map_of_a_file_is_kept_with_the_model(tmp_path: Path, run: Run, noisy: np.ndarray) -> None:
    io.write(tmp_path / "noisy.tif", Image(noisy, "YX"))
    levels = np.random.default_rng(0).uniform(5, 30, noisy.shape).astype(np.float32)
    io.write(tmp_path / "map.tif", Image(levels, "YX"))
    quick = ("--method", "ssdn", "--steps", 4, "--set", "maps=4", "--set", "patch=16")
    given = ("--set", f"noise_map={tmp_path / 'map.tif'}")
    code, _, said = run("train", tmp_path / "noisy.tif", "-o", tmp_path / "m.hush", *quick, *given)
    assert code == 0, said
    code, _, said = run("denoise", tmp_path / "noisy.tif", "-o", tmp_path / "one.tif", *quick, *given)
    assert code == 0, said
    (tmp_path / "map.tif").unlink()
    code, _, said = run("apply", tmp_path / "m.hush", tmp_path / "noisy.tif", "-o", tmp_path / "two.tif")
    assert code == 0, said
    np.testing.assert_array_equal(io.read(tmp_path / "one.tif").data, io.read(tmp_path / "two.tif").data)


# The estimate ------------------------------------------------------------------------------------


@pytest.mark.parametrize("unit", [1.0, 1e-6, 1e6])
def test_a_ramp_is_found(unit: float) -> None:
    clean = epithelium(256, 0).astype(np.float64)
    levels = Ramp(5, 50).levels(clean.shape)
    noisy = clean + levels * np.random.default_rng(0).normal(size=clean.shape)
    found = local_levels(unit * (noisy + 1000)) / unit
    assert np.sqrt(np.mean(np.log(found / levels) ** 2)) < 0.2


def test_one_level_is_found_everywhere() -> None:
    noisy = waves(128, 128) + np.random.default_rng(0).normal(0, 15, (128, 128))
    found = local_levels(noisy)
    assert np.abs(np.log(found / 15)).max() < 0.3


def test_planes_share_their_map_and_channels_do_not() -> None:
    rng = np.random.default_rng(0)
    data = np.stack([rng.normal(100, 5, (3, 50, 60)), rng.normal(100, 25, (3, 50, 60))])
    found = estimated_map(Image(data, "CTYX"))
    assert found.shape == data.shape
    np.testing.assert_array_equal(found[:, 0], found[:, 2])
    assert found[0].mean() == pytest.approx(5, rel=0.2)
    assert found[1].mean() == pytest.approx(25, rel=0.2)
    with pytest.raises(HushError, match="48 x 48"):
        local_levels(np.zeros((20, 90)))


def test_a_constant_image_has_a_map() -> None:
    assert (local_levels(np.full((60, 60), 7.0)) > 0).all()


# The noise and the study -------------------------------------------------------------------------


@pytest.mark.parametrize("axis", ["x", "y"])
def test_a_ramp_rises(axis: str) -> None:
    model = drawn(f"ramp:low=5,high=50,axis={axis}")
    noise = model.sample(np.zeros((1, 300, 300)), np.random.default_rng(0))[0]
    noise = noise if axis == "x" else noise.T
    assert noise[:, :15].std() == pytest.approx(6, rel=0.1)
    assert noise[:, -15:].std() == pytest.approx(49, rel=0.1)
    with pytest.raises(HushError, match="possible: x, y"):
        parse("ramp:low=5,high=50,axis=z").draw(np.random.default_rng(0))


def test_the_study_trains_once_and_gives_the_true_map(tmp_path: Path) -> None:
    for seed in range(3):
        path = tmp_path / "data" / "cells" / f"{seed}.tif"
        path.parent.mkdir(parents=True, exist_ok=True)
        hush.write(path, Image(epithelium(64, seed).astype(np.float32), "YX"))
    recipe = runner.load("ssdn-noise-map")
    recipe["data"] = [{"name": "cells", "files": "cells/*.tif", "last": 2, "train": {"files": "cells/*.tif"}}]
    recipe["common"] |= {"maps": 4, "patch": 16}
    recipe["method"] = [method for method in recipe["method"] if method.get("name") in (None, "ssdn")]
    recipe["scale"]["smoke"]["images"] = 2
    rows = runner.run(recipe, noise_map.row, scale="smoke", data=tmp_path / "data", out=tmp_path / "out")
    assert len(rows) == 2 * 5
    assert len(list((tmp_path / "out" / "models").glob("*.hush"))) == 4
    used = {row["method"]: row["noise_used"][0] for row in rows if "noise_used" in row}
    mean = float(np.sqrt(np.mean(Ramp(5, 50).levels((64, 64)) ** 2)))
    assert float(used["ssdn, one level (true mean)"].removeprefix("gaussian:sigma=")) == pytest.approx(mean, rel=1e-3)
    assert all(0 <= row["inside_1"] <= row["inside_2"] <= 1 for row in rows if "inside_1" in row)
    assert len(noise_map.table(rows, recipe).splitlines()) > 6
    with pytest.raises(HushError, match="no map"):
        noise_map.true_map("gaussian:sigma=5", (4, 4), 255)
