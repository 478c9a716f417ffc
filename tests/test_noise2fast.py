"""Noise2Fast: the chequerboard, the range, and which weights are taken."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import hush
from hush.core.image import Image
from hush.core.metrics import psnr
from hush.methods._model_file import save_model
from hush.methods.noise2fast import Noise2Fast, _Bounded, halves
from hush.nets.plain import Plain
from hush.training.patches import Batch

SMALL: dict[str, Any] = {"steps": 6, "maps": 4, "depth": 2, "precision": "float32"}


def waves() -> tuple[np.ndarray, np.ndarray]:
    """A smooth picture, and it with Gaussian noise of sigma 25."""
    y, x = np.mgrid[:96, :96]
    clean = (100 + 60 * np.sin(x / 9) * np.cos(y / 7)).astype(np.float32)
    return clean, clean + np.random.default_rng(0).normal(0, 25, clean.shape).astype(np.float32)


def test_the_network_has_the_published_size() -> None:
    """Eight convolutions 3 x 3 of 64 maps, and one of 1 x 1: from grey to grey."""
    weights = (9 * 1 * 64 + 64) + 7 * (9 * 64 * 64 + 64) + (64 + 1)
    assert sum(weight.numel() for weight in Noise2Fast().build(1, 2).parameters()) == weights


def test_halves_are_the_squares_of_a_chequerboard() -> None:
    x = torch.arange(20).reshape(1, 1, 4, 5)
    white, black = halves(x, 0)  # the odd column stays where the halving is along the other side
    assert white[0, 0].tolist() == [[0, 6, 2, 8, 4], [10, 16, 12, 18, 14]]
    assert black[0, 0].tolist() == [[5, 1, 7, 3, 9], [15, 11, 17, 13, 19]]
    white, black = halves(x, 2)
    assert white[0, 0].tolist() == [[0, 2], [6, 8], [10, 12], [16, 18]]
    assert black[0, 0].tolist() == [[1, 3], [5, 7], [11, 13], [15, 17]]
    for way in (0, 2):
        assert all(torch.equal(a, b) for a, b in zip(halves(x, way), reversed(halves(x, way + 1)), strict=True))


@pytest.mark.parametrize("way", range(4))
@pytest.mark.parametrize("shape", [(6, 8), (3, 6, 8), (1, 9), (8, 1)])
def test_every_pixel_is_in_one_half(way: int, shape: tuple[int, ...]) -> None:
    x = torch.arange(int(np.prod(shape))).reshape(1, 1, *shape)
    one, other = halves(x, way)
    assert one.shape == other.shape
    seen = sorted(torch.cat([one.flatten(), other.flatten()]).tolist())
    assert seen == x.flatten().tolist()[: 8 if 1 in shape else None]


def test_halves_have_independent_noise_and_the_same_picture() -> None:
    noise = torch.randn(1, 1, 200, 200, generator=torch.Generator().manual_seed(0))
    clean = torch.from_numpy(waves()[0])[None, None]
    for way in range(4):
        one, other = halves(noise, way)
        assert abs(float((one * other).mean())) < 0.02
        one, other = halves(clean, way)
        assert float((one - other).abs().max()) < 12


def test_what_lies_beyond_the_range_stays() -> None:
    """Within it a network cannot leave it, whatever it says; what was added beyond it comes out again."""
    net = _Bounded(Plain(1, 1, maps=4, depth=1), 1, 2)
    net.low.fill_(-1.0)
    net.width.fill_(3.0)
    x = torch.empty(1, 1, 9, 9).uniform_(-1, 2, generator=torch.Generator().manual_seed(0))
    y = net(x)
    assert -1 < y.min() < y.max() < 2
    bright = x.clone()
    bright[..., 4, 4] = 2.0
    above = bright.clone()
    above[..., 4, 4] = 5.0
    expected = net(bright)
    expected[..., 4, 4] += 3.0
    torch.testing.assert_close(net(above), expected)


def test_an_image_brighter_than_the_one_learned_from_is_not_clipped(tmp_path: Path) -> None:
    _, noisy = waves()
    save_model(Noise2Fast(**SMALL).fit(noisy), tmp_path / "m.hush")
    bright = noisy.copy()
    bright[40:50, 40:50] += 1000
    clean = hush.load(tmp_path / "m.hush").denoise(bright).data
    assert clean[42:48, 42:48].mean() > 700


def test_the_loss_never_sees_missing_pixels() -> None:
    """Targets that were not measured, and those whose partner was not, leave the loss as it is."""
    model = Noise2Fast(**SMALL)
    net = _Bounded(Plain(1, 1, depth=0), 1, 2).train()
    net.low.fill_(-3.0)
    net.width.fill_(6.0)
    x = torch.randn(1, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    valid = torch.ones(1, 1, 8, 8, dtype=torch.bool)
    valid[..., 2:4, 2:4] = False
    other = torch.where(valid, x, torch.tensor(2.0))
    with torch.no_grad():
        for seed in range(8):
            one, two = (
                float(model.loss(net, Batch(values, valid), torch.Generator().manual_seed(seed)))
                for values in (x, other)
            )
            assert one == two
        one, two = (float(model.loss(net.eval(), Batch(values, valid), torch.Generator())) for values in (x, other))
        assert one == two


def test_the_weights_nearest_to_the_noisy_image_are_taken() -> None:
    clean, noisy = waves()
    model = Noise2Fast(steps=150, maps=12, depth=4, learning_rate=4e-3, precision="float32").fit(noisy)
    (state,) = model.history_
    errors = {int(step): error for step, error in state.validation}
    assert len(errors) == 50
    assert state.best == min(errors, key=lambda step: errors[step])
    found = float(np.mean((model.denoise(noisy).data - noisy) ** 2)) / float(noisy.std()) ** 2
    assert found == pytest.approx(errors[state.best], rel=0.02)
    assert psnr(model.denoise(noisy), clean, 255) - psnr(noisy, clean, 255) > 6


@pytest.mark.parametrize("shape", [(1, 200), (200, 1), (3, 90)])
def test_thin_images_can_be_learned_from(shape: tuple[int, int]) -> None:
    image = Image(np.random.default_rng(0).normal(100, 20, shape).astype(np.float32), "YX")
    with pytest.warns(match="thin") if 1 in shape else nullcontext():
        clean = Noise2Fast(**SMALL).fit(image).denoise(image).data
    assert np.isfinite(clean).all()


def test_each_channel_has_its_own_range(noisy: np.ndarray) -> None:
    """A constant channel between two others: ranges belong to networks by number, and survive the file."""
    image = Image(np.stack([noisy, np.zeros_like(noisy), 50 * noisy]), "CYX")
    model = Noise2Fast(**SMALL)
    with pytest.warns(match="constant"):
        clean = model.fit(image).denoise(image).data
    assert sorted(model.learned_) == ["0", "2"]
    np.testing.assert_allclose(model.learned_["0"], model.learned_["2"], rtol=1e-4)
    assert clean[2].max() > 10 * clean[0].max()
