"""The check for test images that are crops of training images finds them, and nothing else."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers import data
from hush.core.image import Image


@pytest.fixture(scope="module")
def crops() -> Any:
    path = Path(__file__).parents[1] / "benchmarks" / "crops.py"
    spec = importlib.util.spec_from_file_location("crops", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["crops"] = module  # a dataclass looks for its module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("scale", "turn"), [(1.0, "as it is"), (0.75, "mirrored"), (1.3, "left")])
def test_a_crop_is_found_at_its_place(crops: Any, scale: float, turn: str) -> None:
    images = [crops.picture(name, Image(getattr(data, name)(), "YX")) for name in ("camera", "coins", "grass")]
    cut = images[0].data[60:260, 130:330]
    template = crops.resized(np.ascontiguousarray(cut), scale)
    back = {"as it is": "as it is", "mirrored": "mirrored", "left": "right"}[turn]
    template = crops.Picture("cut", crops.turned(template, back), 1.0)
    other = crops.picture("other", Image(data.moon()[100:300, 100:300], "YX"))
    found = list(crops.pairs([template, other], images))
    assert [(one.name, image.name) for one, image, _ in found] == [("cut", "camera")]
    pair = found[0][2]
    assert pair.correlation > 0.97
    assert pair.details > 0.8
    assert pair.scale == pytest.approx(1 / scale, rel=0.03)
    assert (pair.top, pair.left) == pytest.approx((60, 130), abs=4)
    assert pair.turn == turn


def test_the_same_thing_taken_anew_is_no_crop(crops: Any) -> None:
    images = [crops.picture("coins", Image(data.coins(), "YX"))]
    template = crops.picture("brick", Image(data.brick()[:256, :256], "YX"))
    assert list(crops.pairs([template], images)) == []
