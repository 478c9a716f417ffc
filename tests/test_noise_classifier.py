"""The classifier of noise: it names the noise and its level, the same each time, and learns a class more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from helpers import noisy, waves
from hush.core.errors import HushError, WeightsError
from hush.nets._mobilenet import MobileNetV2, SamePadding, load_body
from hush.nets._noise_net import NoiseNet
from hush.noise import parse
from hush.pretrained.noisebreaker import classifier, classifier_data, classifier_train
from hush.pretrained.noisebreaker.classes import NoiseClass, classes

SIDE = 128
BODY = Path(__file__).parents[2] / "shared" / "data" / classifier_train.BODY


def scene(side: int = SIDE) -> Any:
    return waves(side).astype(np.float32)


@pytest.mark.parametrize(
    ("notation", "name", "level"),
    [("gaussian:sigma=25", "gaussian-medium", 25), ("bernoulli:p=0.1", "bernoulli", 0.1), (None, "clean", 0)],
)
@pytest.mark.parametrize("net", list(classifier.CLASSIFIERS))
def test_noise_is_named(net: str, notation: str | None, name: str, level: float) -> None:
    image = noisy(scene(256), notation) if notation else scene(256)
    verdict = classifier.classify([image], net)
    assert classes()[verdict.best].name == name
    assert verdict.probabilities.sum() == pytest.approx(1)
    if net == "small":
        assert verdict.levels[verdict.best] == pytest.approx(level, rel=0.15)


def test_the_same_image_gives_the_same_verdict() -> None:
    image = noisy(scene(), "speckle:sigma=20")
    one, same = (classifier.classify([image, image[::-1]]) for _ in range(2))
    np.testing.assert_array_equal(one.probabilities, same.probabilities)
    np.testing.assert_array_equal(one.levels, same.levels)


def test_levels_lie_in_their_ranges() -> None:
    verdict = classifier.classify([noisy(scene(), "gaussian:sigma=200")])
    low, high = np.array([one.limits for one in classes()]).T
    assert ((verdict.levels >= low) & (verdict.levels <= high)).all()


@pytest.mark.parametrize("shape", [(48, 49), (51, 300)])
def test_any_shape_from_48_pixels(shape: tuple[int, int]) -> None:
    assert classifier.classify([scene(300)[: shape[0], : shape[1]]]).probabilities.shape == (len(classes()),)


def test_what_cannot_be_classified_is_said() -> None:
    with pytest.raises(HushError, match="48 x 48"):
        classifier.classify([scene()[:40]])
    with pytest.raises(HushError, match="small"):
        classifier.classify([scene()], "smal")
    with pytest.raises(HushError, match="10 classes"):
        classifier.classify([scene()], table=classes()[:10])


def test_damaged_weights_are_said(tmp_path: Path) -> None:
    path = tmp_path / "classifier.safetensors"
    path.write_bytes(b"nothing")
    with pytest.raises(WeightsError, match="damaged"):
        classifier.read("small", path)
    with pytest.raises(WeightsError, match="missing"):
        classifier.read("small", tmp_path / "none.safetensors")


def test_mobilenet_has_the_names_and_shapes_of_torchvision() -> None:
    state = MobileNetV2(11).state_dict()
    assert state["features.0.0.weight"].shape == (32, 3, 3, 3)
    assert state["features.1.conv.0.0.weight"].shape == (32, 1, 3, 3)
    assert state["features.2.conv.1.0.weight"].shape == (96, 1, 3, 3)
    assert state["features.17.conv.2.weight"].shape == (320, 960, 1, 1)
    assert state["features.18.1.running_var"].shape == (1280,)
    assert sum(value.numel() for name, value in MobileNetV2(11).features.named_parameters()) == 2_223_872


@pytest.mark.parametrize(("side", "corner"), [(4, 1.0), (5, 0.0)])
def test_same_padding_is_right_and_below(side: int, corner: float) -> None:
    """Of an even side at stride 2 the first window begins at the first pixel; of an odd one, one before it."""
    layer = SamePadding(1, 1, 3, stride=2, bias=False)
    torch.nn.init.zeros_(layer.weight)
    with torch.no_grad():
        layer.weight[0, 0, 0, 0] = 1
        image = torch.zeros(1, 1, side, side)
        image[0, 0, 0, 0] = 1
        assert layer(image)[0, 0, 0, 0] == corner


def test_the_body_loads() -> None:
    if not BODY.exists():
        pytest.skip("MobileNetV2's weights are not here")
    net = MobileNetV2(11)
    before = net.state_dict()["features.18.0.weight"].clone()
    load_body(net, BODY)
    assert not torch.equal(net.state_dict()["features.18.0.weight"], before)
    assert torch.isfinite(net.eval()(255 * torch.rand(1, 1, 64, 64))[0]).all()


def test_what_is_drawn_has_the_noise_of_its_class() -> None:
    pool, rng = classifier_data.Pool([scene(200)]), np.random.default_rng(0)
    labels = set()
    for _ in range(80):
        image, label, place = classifier_data.draw(pool, classes(), 64, rng)
        assert image.shape == (64, 64)
        assert image.dtype == np.float32
        assert np.isfinite(image).all()
        assert 0 <= place <= 1
        labels.add(label)
    assert labels == set(range(len(classes())))
    names = [one.name for one in classes()]
    image, _, place = classifier_data.draw(pool, classes(), 96, rng, only=names.index("bernoulli"))
    assert (image == 0).mean() == pytest.approx(0.2 * place, abs=0.02)


def test_training_learns() -> None:
    table, rng = [classes()[2], classes()[8], classes()[10]], np.random.default_rng(0)
    pool = classifier_data.Pool([scene(200)])
    torch.manual_seed(0)
    net, losses = NoiseNet(3, maps=8), []
    optimiser = torch.optim.Adam(net.parameters(), 5e-3)
    drawn = iter(lambda: classifier_train.batch(pool, table, 12, 48, rng), None)
    classifier_train.learn(net, optimiser, drawn, table, 120, lambda step, steps, loss: losses.append(loss))
    assert np.mean(losses[-8:]) < np.mean(losses[:4]) / 2


def test_a_class_is_added(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classifier_train, "REFIT_IMAGES", 400)
    new = NoiseClass("impulses", parse("salt_pepper:p=0.05..0.3"))
    head = classifier_train.refit(new, [scene(160), scene(200).T], 300)
    table = [*classes(), new]
    told = [classifier.classify([image], "small", head, table) for image in
            (noisy(scene(), "salt_pepper:p=0.15"), noisy(scene(), "gaussian:sigma=25"))]  # fmt: skip
    assert [table[verdict.best].name for verdict in told] == ["impulses", "gaussian-medium"]
