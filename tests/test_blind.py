"""Whatever its size, and however it is applied, a blind method does not see the pixel that it predicts."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

from hush.core.image import as_image
from hush.core.tiling import plan
from hush.methods._apply import Work, mean_over_symmetries
from hush.methods._learned import NetDenoiser
from hush.methods.n2s import Noise2Self
from hush.methods.n2v import Noise2Void
from hush.methods.ssdn import SSDN

SMALL: dict[str, Any] = {"steps": 1, "batch": 1, "maps": 2, "depth": 1, "patch": 16, "precision": "float32"}
MODELS: dict[str, Callable[[], NetDenoiser]] = {
    "blindgrid": lambda: SSDN(**SMALL, covariance="mean", noise="gaussian:sigma=1"),
    "blindspot": lambda: SSDN(**SMALL, covariance="mean", noise="gaussian:sigma=1", net="blindspot"),
    "n2s": lambda: Noise2Self(**SMALL, inference="j-invariant", width=2),
    "n2v": lambda: Noise2Void(**SMALL, net="blindgrid", norm="none"),
}


@cache
def learned(kind: str) -> NetDenoiser:
    """A network of random weights: with trained ones a leak can be small."""
    model = MODELS[kind]().fit(np.random.default_rng(0).normal(0, 1, (32, 32)).astype(np.float32))
    torch.manual_seed(0)
    net = model.nets_[0]
    assert net is not None
    for value in net.parameters():
        torch.nn.init.normal_(value, std=0.5)
    return model


@pytest.mark.parametrize("shape", [(33, 35), (3, 21)])
@pytest.mark.parametrize("more", [{}, {"tta": True, "tile": 24}], ids=str)
@pytest.mark.parametrize("kind", MODELS)
def test_a_pixel_does_not_change_what_is_said_of_it(kind: str, more: dict[str, Any], shape: tuple[int, int]) -> None:
    noisy = np.random.default_rng(0).normal(0, 1, shape).astype(np.float32)
    model = learned(kind)
    model.tta, model.tile = more.get("tta", False), more.get("tile")
    clean = model.denoise(noisy).data
    for y, x in [(-1, -1), (-2, -4), (1, 1)]:
        other = noisy.copy()
        other[y, x] += 16
        away = np.abs(model.denoise(other).data - clean)
        assert away[y, x] <= 1e-6 * np.abs(clean).max()
        assert away.max() > 1e-3  # others see it


@pytest.mark.parametrize("shape", [(37, 50), (40, 40)])
@pytest.mark.parametrize("number", [1, 8])
@pytest.mark.parametrize("kind", MODELS)
def test_the_derivative_by_the_own_pixel_is_exactly_zero(kind: str, number: int, shape: tuple[int, int]) -> None:
    model = learned(kind)
    image = as_image(np.zeros(shape, np.float32))
    net, work = model.nets_[0], model._work(image, 0)
    assert net is not None
    context = model.prepare(net, model._views(image, 0), model.scales_[0])
    assert isinstance(work, Work)
    for tile in plan(shape, (24, 24), work.margin, work.multiple, padded=work.padded):
        x = torch.randn(1, 1, *(one.stop - one.start for one in tile.read), requires_grad=True)
        assert all(side % work.multiple == 0 for side in x.shape[2:])  # nothing is padded
        out = mean_over_symmetries(lambda turned: model.predict(net, turned, context)[0], x, number=number)
        for at in [(-1, -1), (-2, -5), (3, 4)]:
            (gradient,) = torch.autograd.grad(out[0, 0][at], x, retain_graph=True)
            assert gradient[0, 0][at] == 0
            assert gradient.abs().max() > 0
