"""Neighbor2Neighbor: pairs of neighbours, the loss and its second part, and a training that was stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hush.core.errors import HushError
from hush.core.metrics import psnr
from hush.methods._model_file import load, save_model
from hush.methods.neighbor2neighbor import COUNT, Neighbor2Neighbor, draw_neighbours, taken
from hush.training.checkpoint import Checkpoint
from hush.training.patches import Batch
from hush.training.trainer import WARMUP


def rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def places(shape: tuple[int, ...]) -> Tensor:
    """Row and column of every pixel, as two channels."""
    *before, high, wide = shape
    grid = torch.stack(torch.meshgrid(torch.arange(high), torch.arange(wide), indexing="ij")).float()
    return grid.reshape(1, 2, *(1,) * len(before), high, wide).expand(3, 2, *before, high, wide)


@pytest.mark.parametrize("shape", [(40, 60), (3, 40, 60)])
def test_neighbours_share_a_cell_and_a_side(shape: tuple[int, ...]) -> None:
    x = places(shape)
    first, second = (taken(x, one) for one in draw_neighbours(x, rng()))
    assert first.shape == (3, 2, *shape[:-2], 20, 30)
    assert ((first - second).abs().sum(1) == 1).all()
    cells = places((*shape[:-2], 20, 30))
    for one in (first, second):
        assert torch.equal((one / 2).floor(), cells.expand_as(one))


def test_all_pairs_are_as_likely() -> None:
    first, second = draw_neighbours(torch.zeros(1, 1, 400, 400), rng())
    counts = np.bincount((4 * first + second).flatten().numpy(), minlength=16)
    likely = np.array([1, 2, 4, 7, 8, 11, 13, 14])
    assert counts[likely].sum() == 40_000
    assert counts[likely].min() > 4_700
    assert counts[likely].max() < 5_300


def test_the_two_have_independent_noise_of_the_whole_variance() -> None:
    noise = torch.randn(1, 1, 400, 400, generator=rng())
    first, second = (taken(noise, one) for one in draw_neighbours(noise, rng()))
    assert abs(float((first * second).mean())) < 0.02
    assert float(first.var()) == pytest.approx(1.0, rel=0.05)


class Times(nn.Module):
    """A network that multiplies."""

    def __init__(self, factor: float, done: int = 0, steps: int = 0) -> None:
        super().__init__()
        self.factor = factor
        self.register_buffer(COUNT, torch.tensor([done, steps]))

    def forward(self, x: Tensor) -> Tensor:
        return self.factor * x


def loss(net: nn.Module, noisy: Tensor, valid: Tensor | None = None, **settings: Any) -> float:
    return float(Neighbor2Neighbor(**settings).loss(net, Batch(noisy, valid), rng()))


def test_the_second_part_is_weighed_by_what_is_done() -> None:
    noisy = torch.randn(2, 1, 32, 32, generator=rng())
    second = taken(noisy, draw_neighbours(noisy, rng())[1])
    plain = float(second.square().mean())  # of a network that gives nothing
    steps = WARMUP + 100
    assert loss(Times(0.0, done=WARMUP, steps=steps), noisy) == pytest.approx(plain)
    assert loss(Times(0.0, done=WARMUP + 50, steps=steps), noisy) == pytest.approx(2 * plain)  # half of 2
    assert loss(Times(0.0, done=steps, steps=steps), noisy) == pytest.approx(3 * plain)
    assert loss(Times(0.0, done=steps, steps=steps), noisy, regularization=0.0) == pytest.approx(plain)
    assert loss(Times(0.0, done=steps, steps=steps).eval(), noisy) == pytest.approx(plain)  # what is held out


def test_what_changes_nothing_is_not_punished_for_unlike_neighbours() -> None:
    """Of the identity the second part is zero: drawing and denoising change places."""
    noisy = torch.randn(2, 1, 32, 32, generator=rng())
    assert loss(Times(1.0, 110, 110), noisy) == pytest.approx(loss(Times(1.0), noisy))


def test_missing_pixels_teach_nothing() -> None:
    noisy = torch.randn(2, 1, 32, 32, generator=rng())
    valid = torch.ones(2, 1, 32, 32, dtype=torch.bool)
    valid[:, :, 3:9, 5] = False
    spoilt = torch.where(valid, noisy, 1e6)
    assert loss(Times(0.5, 110, 110), spoilt, valid) == pytest.approx(loss(Times(0.5, 110, 110), noisy, valid))
    assert loss(Times(0.5, 110, 110), spoilt) > 1e6


def small(**settings: Any) -> Neighbor2Neighbor:
    return Neighbor2Neighbor(**{"steps": WARMUP + 6, "maps": 4, "batch": 2, "patch": 16, **settings})


def test_a_training_that_was_stopped_ends_in_the_same_bytes(
    noisy: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Checkpoint, "due", property(lambda self: True))
    whole = small().fit(noisy).denoise(noisy).data
    for stop in (3, WARMUP, WARMUP + 3):
        seen = []

        def stopped(network: int, networks: int, step: int, steps: int, value: float, stop: int = stop) -> None:
            seen.append(step)  # noqa: B023
            if step == stop:
                raise RuntimeError("stopped")

        where = tmp_path / f"{stop}.partial"
        with pytest.raises(RuntimeError, match="stopped"):
            small().fit(noisy, checkpoint=where, progress=stopped)
        again = small().fit(noisy, checkpoint=where, resume=True, progress=lambda *said: seen.append(said[2]))  # noqa: B023
        assert seen == [*range(1, WARMUP + 7)]
        assert again.denoise(noisy).data.tobytes() == whole.tobytes()


def test_what_is_learned_is_the_network_alone(noisy: np.ndarray, tmp_path: Path) -> None:
    """Another method can go on with it, and it with another's; the last weights of a training are a model too."""
    model = small(validation=0.25, norm="none").fit(noisy)
    for last in (False, True):
        save_model(model, tmp_path / f"{last}.hush", last=last)
        assert load(tmp_path / f"{last}.hush").denoise(noisy).data.shape == noisy.shape
    begun = small(steps=1, learning_rate=1e-9, norm="none").fit(noisy, start=model)
    np.testing.assert_allclose(begun.denoise(noisy).data, model.denoise(noisy).data, rtol=0, atol=1e-2)


def test_time_decides_how_many_steps_there_are(noisy: np.ndarray) -> None:
    model = small(steps=None, seconds=0.5).fit(noisy)
    assert model.history_[0].steps is not None
    assert model.history_[0].steps >= 2 * WARMUP


def test_it_learns_from_colours_of_odd_size() -> None:
    y, x = np.mgrid[:61, :75]
    clean = np.stack([100 + 60 * np.sin(x / 9 + k) * np.cos(y / 7) for k in range(3)], -1).astype(np.float32)
    noisy = clean + np.random.default_rng(0).normal(0, 25, clean.shape).astype(np.float32)
    model = Neighbor2Neighbor(steps=60, maps=8, patch=32).fit(noisy)
    assert psnr(model.denoise(noisy).data, clean, 255) > psnr(noisy, clean, 255) + 4


def test_settings_that_make_no_sense() -> None:
    with pytest.raises(HushError, match="regularization"):
        Neighbor2Neighbor(regularization=-1.0).check()
    with pytest.raises(HushError, match="multiple of 8"):  # halves lie on the pooling grid
        Neighbor2Neighbor(patch=20).check()
