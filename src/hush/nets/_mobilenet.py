"""MobileNetV2 1.0/224 (Sandler and others, CVPR 2018) as TensorFlow Slim trained it, with torchvision's names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

INVERTED_RESIDUALS = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
FIRST_MAPS, LAST_MAPS, HEAD_UNITS = 32, 1280, 1024  # maps of the first and of the last convolution; units of the head
BATCH_NORM_EPSILON = 1e-3  # TensorFlow Slim's


class SamePadding(nn.Conv2d):
    """A convolution that pads as TensorFlow's ``same``: where an odd number is missing, one more right and bottom.

    Examples
    --------
    >>> [tuple(SamePadding(1, 1, 3, stride=2)(torch.zeros(1, 1, side, 4)).shape[2:]) for side in (4, 5)]
    [(2, 2), (3, 2)]
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, Y, X) to (B, C', ceil(Y / stride), ceil(X / stride))."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        pads = []
        for size in (x.shape[3], x.shape[2]):  # of the last axis first, as `pad` has it
            need = max((-(-size // stride) - 1) * stride + kernel - size, 0)
            pads += [need // 2, need - need // 2]
        made: Tensor = super().forward(F.pad(x, pads) if any(pads) else x)
        return made


class MobileNetV2(nn.Module):
    """The paper's classifier: MobileNetV2, global mean, 1024 units, and for each class its logit and its level.

    Parameters
    ----------
    classes : int

    Examples
    --------
    >>> logits, places = MobileNetV2(11).eval()(torch.zeros(2, 1, 224, 224))
    >>> tuple(logits.shape), tuple(places.shape)
    ((2, 11), (2, 11))
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        layers, into = [_unit(3, FIRST_MAPS, 3, 2)], FIRST_MAPS
        for expansion, out, number, stride in INVERTED_RESIDUALS:
            for place in range(number):
                layers.append(_Block(into, out, stride if place == 0 else 1, expansion))
                into = out
        self.features = nn.Sequential(*layers, _unit(into, LAST_MAPS, 1, 1))
        self.head = nn.Sequential(nn.Linear(LAST_MAPS, HEAD_UNITS), nn.ReLU(), nn.Linear(HEAD_UNITS, 2 * classes))

    def seen(self, planes: Tensor) -> Tensor:
        """Return what the head decides by, (B, LAST_MAPS), of planes (B, 1, Y, X) in grey levels of 255."""
        found: Tensor = self.features((planes / 127.5 - 1).expand(-1, 3, -1, -1)).mean((2, 3))
        return found

    def forward(self, planes: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (B, classes), and for each class the place of the level within its range, near 0 to 1."""
        logits, places = self.head(self.seen(planes)).chunk(2, 1)
        return logits, places


class _Block(nn.Module):
    """An inverted residual: expand, convolve each map, project; what comes in is added where it fits."""

    def __init__(self, into: int, out: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = into * expansion
        expand = [_unit(into, wide, 1, 1)] if expansion > 1 else []
        project = SamePadding(wide, out, 1, bias=False), nn.BatchNorm2d(out, BATCH_NORM_EPSILON)
        self.conv = nn.Sequential(*expand, _unit(wide, wide, 3, stride, groups=wide), *project)
        self.added = stride == 1 and into == out

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.conv(x)
        return x + made if self.added else made


def _unit(into: int, out: int, kernel: int, stride: int, groups: int = 1) -> nn.Module:
    convolution = SamePadding(into, out, kernel, stride, groups=groups, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(out, BATCH_NORM_EPSILON), nn.ReLU6())


def load_body(net: MobileNetV2, path: Path) -> None:
    """Load the weights of the convolutional part from a ``.npz`` with torchvision's names.

    Raises
    ------
    KeyError, RuntimeError
        When an array is missing, or has another shape.
    """
    body: dict[str, Any] = net.features.state_dict()
    with np.load(path) as arrays:
        for name in body:
            if not name.endswith("num_batches_tracked"):
                body[name] = torch.from_numpy(arrays[f"features.{name}"])
    net.features.load_state_dict(body)
