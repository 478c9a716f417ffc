from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

from hush.training.masking import RULES, _beyond, error_at, hide_pixels, stratified, structure_mask

BLIND = ["uniform_without_centre", "normal", "normal_fitted", "mean", "median"]


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("shape", [(64, 64), (1, 200), (7, 33), (8, 32, 32)])
@pytest.mark.parametrize("fraction", [0.002, 0.03, 0.25])
def test_about_the_wanted_fraction_is_hidden(shape: tuple[int, ...], fraction: float) -> None:
    batch = 64
    at = stratified(batch, shape, fraction, rng())
    pixels = batch * torch.tensor(shape).prod()
    wanted = max(fraction, batch / float(pixels))  # never less than one a patch
    assert len(at[0]) / pixels == pytest.approx(wanted, rel=0.25)
    flat = torch.stack(at, 1)
    assert len(torch.unique(flat, dim=0)) == len(flat)


def test_positions_are_stratified_and_uniform() -> None:
    """One in each box: never crowded; and over many draws every pixel is hidden equally often."""
    seen = torch.zeros(12, 12)
    for seed in range(400):
        _, y, x = stratified(4, (12, 12), 1 / 16, rng(seed))
        seen[y, x] += 1
        assert len(y) <= 4 * 16  # at most one in each of the (3 + 1)^2 boxes of a patch
    assert seen.min() > 0.6 * seen.mean()
    assert seen.max() < 1.4 * seen.mean()


@pytest.mark.parametrize("rule", sorted(RULES))
def test_only_hidden_pixels_change(rule: str) -> None:
    x = torch.randn(3, 2, 20, 21)
    hidden, where = hide_pixels(x, 0.05, 2, rule, rng())
    changed = (hidden != x).any(1, keepdim=True)
    assert where.any()
    assert not (changed & ~where).any()
    assert rule in ("identity", "uniform") or (changed == where).all()


@pytest.mark.parametrize("rule", BLIND)
@pytest.mark.parametrize("shape", [(20, 21), (1, 40), (6, 9, 9)])
def test_replacement_does_not_see_the_pixel(rule: str, shape: tuple[int, ...]) -> None:
    x = torch.randn(2, 1, *shape)
    hidden, where = hide_pixels(x, 0.01, 2, rule, rng())
    other, again = hide_pixels(torch.where(where, 1e6, x), 0.01, 2, rule, rng())
    assert (where == again).all()
    # sparse enough that most hidden pixels have no other hidden one in their window
    same = (hidden == other)[where].float().mean()
    assert same > 0.6
    assert (other[where].abs() < 1e5).float().mean() > 0.6


def test_known_answers() -> None:
    x = torch.arange(25.0).reshape(1, 1, 5, 5)
    for rule, at_centre in (("mean", 12.0), ("median", 11.0)):
        at = [torch.tensor([0]), torch.tensor([2]), torch.tensor([2])]
        assert RULES[rule](x, at, 1, rng())[0, 0].item() == at_centre
    corner = [torch.tensor([0]), torch.tensor([0]), torch.tensor([0])]
    assert RULES["mean"](x, corner, 1, rng())[0, 0].item() == (1 + 5 + 6) / 3


def test_uniform_draws_from_the_whole_window() -> None:
    x = torch.arange(49.0).reshape(1, 1, 7, 7)
    many = [torch.zeros(4000, dtype=torch.long), *(torch.full((4000,), 3) for _ in range(2))]
    with_centre = set(RULES["uniform"](x, many, 1, rng())[:, 0].tolist())
    without = set(RULES["uniform_without_centre"](x, many, 1, rng())[:, 0].tolist())
    window = {16.0, 17.0, 18.0, 23.0, 24.0, 25.0, 30.0, 31.0, 32.0}
    assert with_centre == window
    assert without == window - {24.0}


def test_structured_mask_hides_the_neighbours_too() -> None:
    x = torch.randn(1, 1, 32, 32)
    hidden, where = hide_pixels(x, 0.005, 2, "median", rng(), structure_mask("1x5", 2))
    changed = hidden != x
    for _, _, row, column in where.nonzero().tolist():
        left, right = max(0, column - 2), min(32, column + 3)
        assert changed[0, 0, row, left:right].all()
    rows = where.any(-1, keepdim=True).expand_as(changed)
    assert not (changed & ~rows).any()  # nothing above or below


@pytest.mark.parametrize("spec", ["1x5", "11111", [[1, 1, 1, 1, 1]]])
def test_masks_are_read(spec: str | Sequence[object]) -> None:
    assert structure_mask(spec, 2).tolist() == [[True] * 5]
    assert structure_mask(spec, 3).shape == (1, 1, 5)


@pytest.mark.parametrize("spec", ["2x5", "ab", "1x1x1x1", "121", [[1, 2, 1]], [[1, float("nan"), 1]], [[1, 1]], [[]]])
def test_wrong_masks_are_refused(spec: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        structure_mask(spec, 2)


def test_error_leaves_out_what_was_never_measured() -> None:
    noisy, predicted = torch.zeros(1, 2, 2, 2), torch.ones(1, 2, 2, 2)
    predicted[..., 0, 0] = 100
    where = torch.ones(1, 1, 2, 2, dtype=torch.bool)
    valid = where.clone()
    valid[..., 0, 0] = False
    assert error_at(where, predicted, noisy, valid).item() == 1
    assert error_at(where & ~where, predicted, noisy).item() == 0


@pytest.mark.parametrize("spec", ["1x11", "11x1", "010,111,010", "5x5", "1x5"])
@pytest.mark.parametrize("rule", [*BLIND, "uniform"])
def test_what_shares_the_noise_replaces_nothing(rule: str, spec: str) -> None:
    """Whatever the pixels under the mask hold, a hidden pixel's replacement is drawn from beyond them."""
    mask = structure_mask(spec, 2)
    x = torch.rand(200, 2, 24, 25)
    _, where = hide_pixels(x, 1 / 1200, 2, rule, rng(), mask)
    kernel = mask.float()[None, None]
    shared = torch.nn.functional.conv2d(where.float(), kernel, padding=tuple(n // 2 for n in mask.shape)) > 0
    hidden, again = hide_pixels(torch.where(shared, 1e6, x), 1 / 1200, 2, rule, rng(), mask)
    assert (where == again).all()
    alone = where.flatten(1).sum(1) == 1  # else a neighbour may lie under the mask of another hidden pixel
    assert alone.sum() > 30
    values = hidden.movedim(1, -1)[alone][where[alone, 0]]
    assert values.max() < 10
    assert len(torch.unique(values)) > 0.9 * values.numel()  # nor is it a constant


def test_where_all_pixels_share_the_noise_it_is_replaced_by_noise() -> None:
    x = torch.rand(4, 1, 1, 40)
    hidden, where = hide_pixels(x, 0.02, 2, "uniform", rng(), structure_mask("1x99", 2))
    assert where.any()
    assert (hidden[where] != x[where]).all()
    assert ((hidden >= x.amin()) & (hidden <= x.amax())).all()


def test_a_normal_draw_beyond_the_mask_is_near_rather_than_far() -> None:
    at = [torch.zeros(4000, dtype=torch.long), *(torch.full((4000,), 10) for _ in range(2))]
    rows = torch.arange(21.0)[:, None].expand(21, 21)[None, None]
    drawn = (_beyond(rows, at, structure_mask("1x3", 2), 4, "normal", rng()) - 10).abs()
    assert drawn.max() <= 4
    assert (drawn <= 2).float().mean() > 0.7
