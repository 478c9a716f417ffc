"""Deep Image Prior: the masked pixels, the stop, pieces and sizes."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from hush.core.errors import HushError
from hush.core.image import Image
from hush.core.metrics import psnr
from hush.methods.dip import DIP, _Picture
from hush.nets._hourglass import Hourglass

TINY: dict[str, Any] = {"steps": 4, "maps": 4, "inputs": 4}


def picture(side: int, **settings: Any) -> _Picture:
    values = np.random.default_rng(0).random((1, side, side)).astype(np.float32)
    valid = np.ones((1, side, side), bool)
    valid[0, :3, :5] = False
    return _Picture(DIP(**{**TINY, **settings}), values, valid, 32, 0)


def test_the_network_has_the_published_size() -> None:
    """With 32 channels of noise and three colours the authors' own counts 2,217,831 weights."""
    assert sum(weight.numel() for weight in Hourglass(32, 3).parameters()) == 2_217_831


@pytest.mark.parametrize("depth", [1, 3])
def test_the_network_takes_multiples_and_stays_between_0_and_1(depth: int) -> None:
    torch.manual_seed(0)
    net = Hourglass(3, 2, depth=depth, maps=4)
    made = net(torch.randn(1, 3, 2 * net.multiple, 3 * net.multiple))
    assert made.shape == (1, 2, 2 * net.multiple, 3 * net.multiple)
    assert 0 < made.min() < made.max() < 1
    made.square().mean().backward()
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in net.parameters())


def test_masked_pixels_are_so_many_and_were_measured() -> None:
    one = picture(40, masked_fraction=0.1)
    measured = 40 * 40 - 15
    assert int(one.masked.sum()) == round(0.1 * measured)
    assert int(one.shown.sum()) == measured - int(one.masked.sum())
    assert not (one.masked & one.shown).any()
    assert not one.masked[..., :3, :5].any()
    assert not one.shown[..., :3, :5].any()


def test_the_loss_never_sees_masked_or_missing_pixels() -> None:
    """Other values there leave the loss as it is, to the bit; a shown pixel's does not."""
    losses = []
    for where in ("none", "masked", "missing", "shown"):
        one = picture(40)
        place = {"none": None, "masked": one.masked, "missing": ~(one.masked | one.shown), "shown": one.shown}[where]
        if place is not None:
            one.noisy = one.noisy + 7.0 * place
        torch.manual_seed(0)
        losses.append(float(one.loss(Hourglass(4, 1, maps=4).train(), 0).detach()))
    assert losses[0] == losses[1] == losses[2] != losses[3]


def test_the_mean_that_predicts_masked_pixels_best_is_kept() -> None:
    """Outputs come nearer to the masked values and then go away: the nearest mean stays, whatever comes after."""
    one = picture(40, smoothing=0.0)
    for step, away in enumerate((0.3, 0.1, 0.2, 0.4)):
        one._look(one.noisy + away, step)
    assert one.best == 2
    torch.testing.assert_close(one.clean, one.noisy + 0.1)


def test_the_mean_is_exponential() -> None:
    one = picture(40, smoothing=0.75)
    for step, value in enumerate((0.0, 4.0, 8.0)):
        one._look(torch.full_like(one.noisy, value), step)
    torch.testing.assert_close(one.mean, torch.full_like(one.noisy, 0.75 * 1.0 + 0.25 * 8.0))


def test_it_stops_before_the_noise_and_says_where() -> None:
    """Long before the last step; what is learned again takes as many steps as were best."""
    y, x = np.mgrid[:64, :64]
    clean = (100 + 60 * np.sin(x / 9) * np.cos(y / 7)).astype(np.float32)
    noisy = clean + np.random.default_rng(0).normal(0, 25, clean.shape).astype(np.float32)
    seen: list[tuple[int, int]] = []
    small: dict[str, Any] = {"maps": 8, "inputs": 8, "depth": 3, "smoothing": 0.9, "precision": "float32"}
    model = DIP(steps=2000, patience=40, **small).fit(noisy)
    result = model.run(noisy, done=lambda done, total: seen.append((done, total)))
    (best,) = result.info["best_steps"]
    assert len(seen) == best + 40 + best < 1000
    assert seen[best + 40 - 1 :: best] == [(best + 40, 4000), (2000 + best, 4000)]
    assert psnr(result.image, clean, 255) - psnr(noisy, clean, 255) > 8


def test_learned_again_means_from_every_pixel() -> None:
    """Without that, the result ends where the masked pixels say; with it, they are learned from, too."""
    values = np.random.default_rng(0).random((1, 40, 40)).astype(np.float32)
    again = _Picture(DIP(**TINY), values, np.ones((1, 40, 40), bool), 32, 0, every=True)
    assert bool(again.shown.all())
    for step, away in enumerate((0.1, 0.5)):
        again._look(again.noisy + away, step)
    assert again.best == 2
    torch.testing.assert_close(again.clean, again.noisy + 0.98 * 0.1 + 0.02 * 0.5)
    noisy = 100 * values[0]
    once, twice = (DIP(**TINY, refit=refit).fit(noisy).denoise(noisy).data for refit in (False, True))
    assert (once != twice).any()


def test_another_image_is_learned_anew(noisy: np.ndarray) -> None:
    other = noisy[::-1].copy()
    first = DIP(**TINY).fit(noisy).denoise(other).data
    assert first.tobytes() == DIP(**TINY).fit(other).denoise(other).data.tobytes()
    assert first.tobytes() != DIP(**TINY, seed=1).fit(other).denoise(other).data.tobytes()


@pytest.mark.parametrize("shape", [(1, 16), (5, 6), (70, 33)])
def test_any_size(shape: tuple[int, int]) -> None:
    image = np.random.default_rng(0).normal(100, 20, shape).astype(np.float32)
    result = DIP(**TINY).fit(Image(image, "YX"))
    with pytest.warns(match="thin") if 1 in shape else nullcontext():
        clean = result.run(Image(image, "YX")).image.data
    assert clean.shape == shape
    assert image.min() <= clean.min() < clean.max() <= image.max()


def test_larger_planes_are_learned_in_pieces() -> None:
    """Two channels of 40 x 70 in pieces of 40 x 40: four, each with steps of its own; one is missing altogether."""
    data = np.random.default_rng(0).normal(100, 20, (2, 40, 70)).astype(np.float32)
    data[1, :, 20:] = np.nan
    image = Image(data, "CYX")
    with pytest.warns(match="2000"):
        result = DIP(**TINY, tile=40).fit(image).run(image)
    assert len(result.info["best_steps"]) == 3
    np.testing.assert_array_equal(np.isnan(result.image.data), np.isnan(data))


def test_seconds_become_steps(noisy: np.ndarray) -> None:
    stack = Image(np.stack([noisy, noisy[::-1]])[:, :20, :20], "ZYX")
    small: dict[str, Any] = {"maps": 2, "inputs": 2, "depth": 2}
    result = DIP(seconds=0.01, **small).fit(stack).run(stack)
    steps = result.info["steps"]
    assert 10 < steps < 2000
    again = DIP(steps=steps, **small).fit(stack).denoise(stack)
    assert again.data.tobytes() == result.image.data.tobytes()


def test_colours_are_learned_together() -> None:
    rng = np.random.default_rng(0)
    colours = Image(rng.normal(100, 20, (40, 36, 3)).astype(np.float32), "YXS")
    whole = DIP(**TINY).fit(colours).run(colours)
    grey = Image(colours.data[..., 0], "YX")
    assert len(whole.info["best_steps"]) == 1
    assert (DIP(**TINY).fit(grey).denoise(grey).data != whole.image.data[..., 0]).any()
    with pytest.raises(HushError, match=r"1 samples.*3 samples"):
        DIP(**TINY).fit(grey).run(colours)


@pytest.mark.parametrize(
    ("settings", "part"),
    [
        ({"ndim": 3}, "--ndim 3"),
        ({"steps": 0}, "steps"),
        ({"seconds": 0.0}, "seconds"),
        ({"masked_fraction": 0.0}, "masked_fraction"),
        ({"smoothing": 1.0}, "smoothing"),
        ({"depth": 7}, "1 to 6"),
        ({"tile": 0}, "tile"),
        ({"jitter": -0.1}, "jitter"),
    ],
)
def test_settings_that_make_no_sense(settings: dict[str, Any], part: str) -> None:
    with pytest.raises(HushError, match=part):
        DIP(**settings).fit(np.zeros((20, 20)))


def test_images_that_cannot_be_learned_from() -> None:
    with pytest.raises(HushError, match="few pixels"):
        DIP(**TINY).fit(np.zeros((3, 5)))
    with pytest.raises(HushError, match="no image"):
        DIP(**TINY).fit([])
    nothing = np.full((20, 20), np.nan)
    with pytest.raises(HushError, match="finite"):
        DIP(**TINY).fit(nothing).run(nothing)


def test_strength_mixes_noise_back(noisy: np.ndarray) -> None:
    full = DIP(**TINY).fit(noisy).denoise(noisy).data
    quarter = replace(DIP(**TINY), strength=0.25).fit(noisy).denoise(noisy).data
    np.testing.assert_allclose(quarter, noisy + 0.25 * (full - noisy), rtol=1e-5)
