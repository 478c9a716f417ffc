from __future__ import annotations

from typing import Any

import pytest
import torch

from hush.core.device import body_precision, precision_of
from hush.core.errors import HushError
from hush.nets._parts import MaxBlurPool
from hush.nets.unet import UNet

VARIANTS: list[dict[str, Any]] = [
    {},
    {"depth": 0},
    {"depth": 1, "kernel": 5},
    {"depth": 3},
    {"norm": "none", "residual": "input"},
    {"blur_pool": True, "top_skip": False},
    {"depth": 0, "residual": "smooth"},
    {"ndim": 3, "depth": 1, "residual": "smooth"},
    {"ndim": 3, "depth": 1, "blur_pool": True},
]


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_margin_is_honest(variant: dict[str, Any]) -> None:
    """No output depends on an input farther away than the margin, and the margin is not twice too large."""
    torch.manual_seed(0)
    net = UNet(1, 1, maps=2, **variant).double().eval()
    ndim = variant.get("ndim", 2)
    size = -(-(2 * net.margin + 3 * net.multiple) // net.multiple) * net.multiple
    reach = 0
    for shift in range(net.multiple):  # every phase of the pooling grid
        x = torch.randn(1, 1, *(size,) * ndim, dtype=torch.float64, requires_grad=True)
        at = size // 2 // net.multiple * net.multiple + shift
        net(x)[(0, 0, *(at,) * ndim)].backward()
        assert x.grad is not None
        distance = (x.grad[0, 0].nonzero() - at).abs()
        reach = max(reach, int(distance.max()))
    assert reach <= net.margin <= 2 * reach + 2


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_shape_and_learning(variant: dict[str, Any]) -> None:
    net = UNet(3, 3 if "residual" in variant else 2, maps=2, **variant)
    side = net.multiple * 2
    y = net(torch.randn(2, 3, *(side,) * variant.get("ndim", 2)))
    assert y.shape[2:] == (side,) * variant.get("ndim", 2)
    y.square().mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())


@pytest.mark.parametrize("ndim", [2, 3])
def test_blur_pool_of_a_constant_is_the_constant(ndim: int) -> None:
    x = torch.full((1, 2, *(8,) * ndim), 3.0)
    assert torch.allclose(MaxBlurPool(ndim)(x), torch.full((1, 2, *(4,) * ndim), 3.0))


def test_a_16_bit_ramp_keeps_its_levels_in_bfloat16() -> None:
    """Near the identity, a residual network must not reduce 65536 levels to bfloat16's 256."""
    torch.manual_seed(0)
    net = UNet(1, 1, maps=4, residual="input", norm="none").eval()
    torch.nn.init.normal_(net.last.weight, std=1e-6)
    ramp = torch.linspace(-1.7, 1.7, 1 << 16).reshape(1, 1, 256, 256)
    with torch.inference_mode(), body_precision("cpu", "bfloat16"):
        y = net(ramp)
    assert y.dtype == torch.float32
    assert (y - ramp).abs().max() < 0.5 * float(ramp[0, 0, 0, 1] - ramp[0, 0, 0, 0])


def test_volumes_stay_in_float32_on_the_cpu() -> None:
    assert precision_of("cpu", ndim=3) == "float32"
    with pytest.raises(HushError, match=r"bfloat16.*float32"):
        precision_of("cpu", "bfloat16", ndim=3)
    with pytest.raises(HushError, match=r"float8.*bfloat16.*float32"):
        precision_of("cpu", "float8")
