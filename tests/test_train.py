from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hush.core.errors import HushError, HushWarning
from hush.core.missing import fill
from hush.training.checkpoint import Checkpoint, digest
from hush.training.normalization import Scale, scale_of
from hush.training.patches import Patches
from hush.training.trainer import WARMUP, Schedule, Trainer


def line() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(1, 8), nn.BatchNorm1d(8), nn.Linear(8, 1))


def picture() -> nn.Module:
    torch.manual_seed(0)
    net: Any = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.Conv2d(8, 1, 3, padding=1))
    result: nn.Module = net.to(memory_format=torch.channels_last)  # which its annotations do not know
    return result


def loss(net: nn.Module, step: int) -> Tensor:
    x = torch.randn(16, 1, generator=torch.Generator().manual_seed(step))
    result: Tensor = (net(x) - 3 * x - 1).square().mean()
    return result


def picture_loss(net: nn.Module, step: int) -> Tensor:
    x = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(step))
    result: Tensor = (net(x) - x.flip(-1)).square().mean()
    return result


def trainer(schedule: Schedule, net: nn.Module | None = None) -> Trainer:
    net = line() if net is None else net
    return Trainer(net, copy.deepcopy(net).requires_grad_(False), schedule)


def test_it_learns_a_line() -> None:
    one = trainer(Schedule(steps=300, learning_rate=0.1))
    one.run(loss)
    with torch.no_grad():
        assert float(loss(one.average.eval(), 10_000)) < 0.2 < 5 < float(loss(line(), 10_000))


def test_schedule_warms_up_and_ends_at_zero() -> None:
    schedule = Schedule(learning_rate=1.0)
    known = [schedule.rate(step, 100) for step in range(100)]
    unknown = [schedule.rate(step, None) for step in range(WARMUP)]
    assert known[:WARMUP] == unknown  # so that --seconds and --steps give the same bytes
    assert max(known) == 1
    assert known[-1] < 1e-3
    assert [schedule.rate(0, 1)] == [1]


def test_seconds_become_steps_and_the_same_bytes() -> None:
    timed = trainer(Schedule(seconds=0.2))
    timed.run(loss)
    assert timed.state.steps is not None
    assert timed.state.steps >= 2 * WARMUP
    counted = trainer(Schedule(steps=timed.state.steps))
    counted.run(loss)
    for a, b in zip(timed.average.state_dict().values(), counted.average.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_average_follows_its_power_law() -> None:
    one = trainer(Schedule(steps=50, averaging=1.0))
    net: Any = one.net
    average: Any = one.average
    history = []

    def keep(now: bool) -> None:
        history.append(net[0].weight.detach().clone())

    one.run(loss, keep)
    # (1 - 1/t)^2 between steps: the weight of step t is t^2 - (t - 1)^2 = 2 t - 1, over 50^2
    expected = sum((2 * t - 1) * w for t, w in enumerate(history, 1)) / 50**2
    torch.testing.assert_close(average[0].weight, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("stop", [10, 17, 29])
def test_resumed_training_ends_in_the_same_bytes(tmp_path: Path, stop: int) -> None:
    """A convolution with channels last: the optimiser's memory must come back in the same layout."""
    whole = trainer(Schedule(steps=30), picture())
    whole.run(picture_loss)

    class KilledError(Exception):
        pass

    path = tmp_path / "x.partial"
    first, keeper = trainer(Schedule(steps=30), picture()), Checkpoint(path, {"a": 1}, resume=False)

    def save(now: bool) -> None:
        if first.state.step == stop:
            keeper.store("0", first)
        if first.state.step == min(stop + 3, 30):
            raise KilledError

    with pytest.raises(KilledError):
        first.run(picture_loss, save)
    second = trainer(Schedule(steps=30), picture())
    torch.manual_seed(99)
    Checkpoint(path, {"a": 1}, resume=True).restore("0", second)
    assert second.state.step == stop
    second.run(picture_loss)
    for a, b in zip(whole.average.state_dict().values(), second.average.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    assert second.state.losses == whole.state.losses


def test_checkpoint_of_other_settings_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.partial"
    Checkpoint(path, {"batch": 1}, resume=False).store("0", trainer(Schedule(steps=3)))
    with pytest.raises(HushError, match=r"batch.*\b1\b.*\b2\b"):
        Checkpoint(path, {"batch": 2}, resume=True)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(HushError, match=path.name):
        Checkpoint(path, {"batch": 1}, resume=True)


def test_checkpoint_that_cannot_be_written_does_not_end_the_training(tmp_path: Path) -> None:
    keeper = Checkpoint(tmp_path / "missing" / "x.partial", {}, resume=False)
    with pytest.warns(HushWarning, match="no checkpoint"):
        keeper.store("0", trainer(Schedule(steps=3)))


def test_digest_sees_a_changed_row() -> None:
    a = np.zeros((20, 30))
    b = a.copy()
    b[7, 3] = 1
    assert digest(a) != digest(b)


def test_scale_leaves_out_what_is_not_finite() -> None:
    values = np.random.default_rng(0).normal(1e6, 2, (1, 300, 40)).astype(np.float32)
    holed = np.concatenate([values, np.full((1, 5, 40), np.nan, np.float32)], axis=1)
    holed[0, 0, 0] = np.inf
    scale = scale_of([holed])
    assert scale.mean[0] == pytest.approx(values.mean(dtype=float), abs=0.01)
    assert scale.std[0] == pytest.approx(values.std(dtype=float), rel=0.01)


def test_scale_restores_what_it_normalised() -> None:
    for dtype in ("u1", "u2", "u4", "f4", "f8"):
        x = np.array([[[1, 7], [200, 255]]], dtype) + np.dtype(dtype).type(0 if dtype == "u1" else 4000)
        scale = scale_of([x])
        assert scale.normalise(x).dtype == np.float32
        np.testing.assert_allclose(scale.restore(scale.normalise(x), x), x, rtol=1e-6, atol=1e-4)


def test_fill_takes_the_nearest_pixel() -> None:
    x = np.array([[[1.0, np.nan, np.nan, 4.0]]])
    filled, valid = fill(x)
    assert filled.tolist() == [[[1, 1, 4, 4]]]
    assert valid is not None
    assert valid.tolist() == [[[True, False, False, True]]]
    assert np.isnan(x[0, 0, 1])  # the image itself is untouched
    whole = np.zeros((1, 2, 2))
    assert fill(whole)[0] is whole


def test_patches_are_pieces_of_the_image_and_repeat_with_their_seed() -> None:
    image = np.arange(40.0 * 30).reshape(1, 40, 30).astype(np.float32)
    patches = Patches([image], (8, 8), Scale((0.0,), (1.0,)))
    batch = patches.batch(64, np.random.default_rng(1)).noisy
    assert torch.equal(batch, patches.batch(64, np.random.default_rng(1)).noisy)
    steps = {(abs(float(p[0, 0, 1] - p[0, 0, 0])), abs(float(p[0, 1, 0] - p[0, 0, 0]))) for p in batch}
    assert steps == {(1.0, 30.0), (30.0, 1.0)}  # plain and swapped
    plain = Patches([image], (8, 8), Scale((0.0,), (1.0,)), "flips").batch(64, np.random.default_rng(1)).noisy
    assert {abs(float(p[0, 0, 1] - p[0, 0, 0])) for p in plain} == {1.0}
    assert {float(p[0, 0, 1] - p[0, 0, 0]) for p in plain} == {1.0, -1.0}


def test_patches_come_from_large_images_more_often_and_mark_what_is_padding() -> None:
    large, tiny = np.ones((1, 60, 60), np.float32), np.zeros((1, 6, 10), np.float32)
    batch = Patches([large, tiny], (8, 8), Scale((0.0,), (1.0,))).batch(300, np.random.default_rng(0))
    assert batch.valid is not None
    from_tiny = ~batch.valid.all(-1).all(-1)[:, 0]
    assert 0 < from_tiny.sum() < 20
    assert not batch.noisy[from_tiny].any()


def test_patches_and_targets_are_cut_at_the_same_places() -> None:
    image = np.random.default_rng(0).normal(size=(1, 40, 30)).astype(np.float32)
    batch = Patches([image], (8, 8), Scale((0.0,), (1.0,)), targets=[[2 * image]]).batch(9, np.random.default_rng(1))
    assert batch.target is not None
    torch.testing.assert_close(batch.target, 2 * batch.noisy)
