"""Noise2VST: the curve and its inverse, masked pixels, and what is learned of noise whose law nobody told."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from hush.core.errors import HushError
from hush.core.image import Image
from hush.core.metrics import psnr
from hush.methods._model_file import save_model
from hush.methods._stabilized import FIRST_LEVELS, Stabilized, ranges
from hush.methods.noise2vst import Noise2VST
from hush.methods.pretrained import Pretrained
from hush.nets._curve import MonotoneCurve
from hush.pretrained import weights


def rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def bent(channels: int = 2, knots: int = 32) -> MonotoneCurve:
    """A curve whose pieces rise by one to a hundred."""
    curve = MonotoneCurve(channels, knots)
    curve.span([(-1.0, 3.0)] * channels, [(-0.5, 2.0)] * channels)
    curve.rises.data = 2 * torch.rand(channels, knots - 1, generator=rng()) - 1
    curve.rises.data[0] *= 2.3
    return curve


# The curve -------------------------------------------------------------------------------------


def test_the_inverse_undoes_the_curve_beyond_its_ends_too() -> None:
    x = torch.linspace(-4, 7, 3 * 2 * 50).reshape(3, 2, 5, 10)
    torch.testing.assert_close(bent().inverse(bent()(x)), x, rtol=0, atol=1e-4)


def test_it_rises_and_passes_through_what_is_shown() -> None:
    x = torch.linspace(-4, 7, 400).expand(1, 2, 1, 400)
    y = bent()(x)
    assert (y.diff(dim=-1) > 0).all()
    ends = bent()(torch.tensor([-0.5, 2.0]).expand(1, 2, 1, 2))
    torch.testing.assert_close(ends, torch.tensor([-0.5, 0.5]).expand_as(ends))
    torch.testing.assert_close(bent()(x[..., :1]), y[..., :1])  # every value by itself
    assert not torch.allclose(y[:, 0], y[:, 1])  # every channel has its own


def test_it_is_straight_between_knots() -> None:
    curve = bent(1, 5)  # knots at -1, 0, 1, 2, 3
    at = curve(torch.tensor([-1.0, 0.0, 1.0, 2.0, 3.0]).reshape(1, 1, 1, 5)).flatten()
    torch.testing.assert_close(at, curve.heights()[0])
    between = curve(torch.tensor([0.25, 1.5]).reshape(1, 1, 1, 2)).flatten()
    torch.testing.assert_close(between, torch.stack([0.75 * at[1] + 0.25 * at[2], (at[2] + at[3]) / 2]))


@pytest.mark.parametrize("inverse", [False, True])
def test_gradients_are_those_of_finite_differences(inverse: bool) -> None:
    curve = bent(1, 6).double()
    x = torch.tensor([-0.7, 0.3, 1.1, 2.6]).double().reshape(1, 1, 1, 4) / (4 if inverse else 1)

    def made(rises: Tensor, x: Tensor) -> Tensor:
        way = "inverse" if inverse else "forward"
        bound = {"rises": rises, "ends": curve.ends, "shown": curve.shown}
        holder = torch.nn.Module()
        holder.forward = lambda x: getattr(curve, way)(x)
        holder.curve = curve
        made: Tensor = torch.func.functional_call(holder, {f"curve.{key}": one for key, one in bound.items()}, (x,))
        return made

    rises = curve.rises.detach().clone().requires_grad_(True)
    assert torch.autograd.gradcheck(made, (rises, x.requires_grad_(True)))


# What it begins with -----------------------------------------------------------------------------


def test_it_begins_with_the_range_that_there_is() -> None:
    y = torch.randn(4, 2, 64, 64, generator=rng()) * torch.tensor([1.0, 3.0])[:, None, None]
    valid = torch.ones(4, 1, 64, 64, dtype=torch.bool)
    valid[:, :, :9, :9] = False
    ends, shown = ranges(torch.where(valid, y, 1e9), valid, (1.0, 1.0), together=False)
    spread = 2 * 2.576  # of normal values, between their percentiles of 0.5 and 99.5
    torch.testing.assert_close(shown.diff(dim=1)[:, 0], torch.tensor([spread, 3 * spread]), rtol=0.05, atol=0)
    torch.testing.assert_close(ends[:, 1], torch.where(valid, y, -torch.inf).amax((0, 2, 3)))
    alike = ranges(y, None, (1.0, 0.5), together=True)[1].diff(dim=1)  # in image units deviations of 1 and 1.5
    assert float(alike[0]) == pytest.approx(0.5 * float(alike[1]))


def test_hardly_any_values_are_a_range_too() -> None:
    for one in ranges(torch.zeros(2, 1, 8, 8), None, (1.0,), together=False):
        assert one[0, 1] > one[0, 0]


def test_it_begins_with_the_level_that_predicts_masked_pixels_best() -> None:
    """Of two channels one is twenty times as noisy."""
    y, x = np.mgrid[:64, :64]
    clean = torch.from_numpy(np.sin(x / 6) * np.cos(y / 7)).float().expand(2, 2, 64, 64)
    noise = torch.randn(clean.shape, generator=rng()) * torch.tensor([0.02, 0.4])[:, None, None]
    hidden = torch.zeros(1, 1, 64, 64, dtype=torch.bool)
    hidden[..., ::4, ::4] = True
    net = Stabilized(2, 16, *weights.load("camera-fast"))
    net.begin(clean + noise, None, (1.0, 1.0), hidden)
    wide = net.curve.shown.diff(dim=1)[:, 0]
    level = net.level.detach().exp()
    assert set(level.tolist()) <= set(FIRST_LEVELS)
    assert 0.004 < float(level[0] * wide[0]) < 0.1
    assert 0.2 < float(level[1] * wide[1]) < 0.8


# Masked pixels -----------------------------------------------------------------------------------


def stabilized(name: str, channels: int = 1) -> Stabilized:
    net = Stabilized(channels, 16, *weights.load(name))
    net.curve.span([(-2.0, 2.0)] * channels, [(-2.0, 2.0)] * channels)
    net.level.data.fill_(np.log(0.1))
    return net


@pytest.mark.parametrize(("name", "channels"), [("gaussian-fast", 1), ("camera-fast", 2), ("colour-fast", 3)])
def test_masked_pixels_tell_nothing_of_themselves(name: str, channels: int) -> None:
    net, x = stabilized(name, channels), torch.randn(1, channels, 32, 32, generator=rng())
    hidden = torch.zeros(1, 1, 32, 32, dtype=torch.bool)
    hidden[..., ::4, 1::4] = True
    changed = torch.where(hidden, x + 1, x)
    with torch.inference_mode():
        one, other, seen, seen_changed = net(x, hidden), net(changed, hidden), net(x), net(changed)
    where = hidden.expand_as(x)
    torch.testing.assert_close(one[where], other[where], rtol=0, atol=1e-5)
    assert (seen - seen_changed)[where].abs().mean() > 0.05  # what is not masked is used


def test_planes_of_a_volume_go_through_one_by_one() -> None:
    net, x = stabilized("gaussian-fast"), torch.randn(2, 1, 3, 16, 16, generator=rng())
    with torch.inference_mode():
        torch.testing.assert_close(net(x)[:, :, 1], net(x[:, :, 1]), rtol=0, atol=1e-5)


def test_stronger_noise_than_the_network_knows_is_shown_smaller() -> None:
    net = stabilized("gaussian-fast")
    x = 8 * torch.randn(1, 1, 64, 64, generator=rng())
    with torch.inference_mode():
        net.level.fill_(np.log(2.0))
        assert net.most == pytest.approx(75 / 255)
        assert float(net(x).std()) < 0.1 * float(x.std())


# Learning ----------------------------------------------------------------------------------------


def scene() -> np.ndarray:
    """A smooth picture of 20 to 220."""
    y, x = np.mgrid[:96, :96]
    return np.asarray(120 + 100 * np.sin(x / 11) * np.cos(y / 13), np.float32)


@cache
def speckled() -> tuple[np.ndarray, Noise2VST]:
    """The picture multiplied by a gamma variable of eight looks, and what was learned from it."""
    noisy = (scene() * np.random.default_rng(0).gamma(8, 1 / 8, (96, 96))).astype(np.float32)
    return noisy, Noise2VST(steps=60, batch=2, patch=48, learning_rate=0.1).fit(noisy)


def spreads(net: Stabilized, scale: float) -> list[float]:
    """Deviations of the noise at three brightnesses, as the network is shown it; `scale`: 1 in image units."""
    drawn = np.random.default_rng(1).gamma(8, 1 / 8, 4000)
    made = []
    for light in (40.0, 100.0, 200.0):
        x = torch.from_numpy(((light * drawn) - scene_mean()) * scale).float().reshape(1, 1, 1, -1)
        with torch.inference_mode():
            made.append(float(net.curve(x).std()))
    return made


def scene_mean() -> float:
    return float(speckled()[0].mean())


def test_noise_that_grows_with_brightness_becomes_of_one_level() -> None:
    noisy, model = speckled()
    net = model.nets_[0]
    assert isinstance(net, Stabilized)
    dark, middle, bright = spreads(net, 1 / float(noisy.std()))
    assert bright / dark < 2.5  # five before
    assert dark < middle < float(net.level.exp()) < 1.5 * bright


def test_it_beats_the_network_without_a_transform() -> None:
    noisy, model = speckled()
    plain = Pretrained(sigma=float((noisy - scene()).std())).fit(noisy).denoise(noisy).data
    assert psnr(model.denoise(noisy).data, scene(), 255) > psnr(plain, scene(), 255) + 0.5


def test_brightness_is_kept() -> None:
    """The inverse of the transform alone would darken: what is learned corrects it."""
    noisy, model = speckled()
    clean = model.denoise(noisy).data
    for low, high in ((20, 80), (80, 160), (160, 220)):
        where = (scene() > low) & (scene() < high)
        assert float(clean[where].mean()) == pytest.approx(float(scene()[where].mean()), rel=0.06)


def test_the_shipped_network_stays_and_is_no_part_of_the_model(tmp_path: Path) -> None:
    _, model = speckled()
    net = model.nets_[0]
    assert isinstance(net, Stabilized)
    shipped = weights.load("camera-fast")[0]
    for own, value in zip(net._shipped[0].parameters(), shipped.parameters(), strict=True):
        assert torch.equal(own, value)
    assert sum(one.numel() for one in net.parameters()) == 127 + 3
    save_model(model, tmp_path / "m.hush")
    assert (tmp_path / "m.hush").stat().st_size < 20_000


@pytest.mark.parametrize(("shape", "axes", "taken"), [((24, 32, 3), "YXS", "colour-fast"), ((24, 32), "YX", "camera")])
def test_weights_are_for_the_colours(shape: tuple[int, ...], axes: str, taken: str) -> None:
    noisy = Image(np.random.default_rng(0).normal(100, 20, shape).astype(np.float32), axes)
    model = Noise2VST(steps=1, batch=1, patch=16).fit(noisy)
    assert model.learned_["weights"].startswith(taken)
    assert model.denoise(noisy).data.std() < 10


def test_settings_that_make_no_sense() -> None:
    noisy = np.random.default_rng(0).normal(100, 20, (24, 32)).astype(np.float32)
    for wrong in ({"knots": 1}, {"width": 1}, {"net": "unet"}, {"weights": "snapshot-fast"}, {"weights": "none"}):
        with pytest.raises(HushError, match=str(next(iter(wrong)) if "weights" not in wrong else wrong["weights"])):
            Noise2VST(steps=1, **wrong).fit(noisy)
    with pytest.raises(HushError, match=r"colour-fast.*\b3\b"):
        Noise2VST(steps=1, weights="colour-fast").fit(noisy)
