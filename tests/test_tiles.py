from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from scipy import ndimage

from hush.core import tiling


@given(
    shape=some.tuples(some.integers(1, 90), some.integers(1, 90)),
    tile=some.integers(1, 20),
    margin=some.integers(0, 9),
    multiple=some.sampled_from([1, 2, 4, 8]),
)
@settings(max_examples=200, deadline=None)
def test_tiles_that_must_not_be_padded_are_multiples(
    shape: tuple[int, int], tile: int, margin: int, multiple: int
) -> None:
    seen = np.zeros(shape, int)
    for one in tiling.plan(shape, (tile, tile), margin, multiple, padded=False):
        seen[one.write] += 1
        for read, inner, write, size in zip(one.read, one.inner, one.write, shape, strict=True):
            assert 0 <= read.start < read.stop <= size
            assert (read.stop - read.start) % multiple == 0 or size < multiple
            assert read.start <= write.start < write.stop <= read.stop
            assert read.start + inner.start == write.start
            assert inner.stop - inner.start == write.stop - write.start
            if size >= 2 * (margin + 2 * multiple):  # else the two reads that cover it do not reach as far
                assert read.start == 0 or write.start - read.start >= margin
                assert read.stop == size or read.stop - write.stop >= margin
    if all(size % multiple == 0 for size in shape):
        whole = [tiling.plan(shape, (tile, tile), margin, multiple, padded=padded) for padded in (True, False)]
        assert whole[0] == whole[1]
    assert (seen == 1).all()


@given(
    shape=some.tuples(some.integers(1, 50), some.integers(1, 50)),
    tile=some.integers(1, 20),
    margin=some.integers(0, 9),
    multiple=some.sampled_from([1, 2, 4, 8]),
)
@settings(max_examples=60, deadline=None)
def test_tiles_cover_once_and_begin_on_the_grid(shape: tuple[int, int], tile: int, margin: int, multiple: int) -> None:
    seen = np.zeros(shape, int)
    for one in tiling.plan(shape, (tile, tile), margin, multiple):
        seen[one.write] += 1
        for read, inner, write, size in zip(one.read, one.inner, one.write, shape, strict=True):
            assert read.start % multiple == 0
            assert read.stop % multiple == 0 or read.stop == size
            assert read.start + inner.start == write.start
            assert inner.stop - inner.start == write.stop - write.start
            assert read.start == 0 or write.start - read.start >= margin
            assert read.stop == size or read.stop - write.stop >= margin
    assert (seen == 1).all()


@pytest.mark.parametrize("shape", [(3, 700), (1, 1), (37, 53), (64, 64)])
def test_a_filter_in_tiles_is_the_filter(shape: tuple[int, int]) -> None:
    image = np.random.default_rng(0).normal(size=(1, *shape))
    out = np.empty_like(image)
    calls = []
    plan = tiling.plan(shape, (16, 16), margin=4, multiple=4)
    tiling.run(lambda x, where: ndimage.uniform_filter(x, (1, 9, 9)), image, plan, out, lambda: calls.append(1))
    # inside and at true edges alike, since edge tiles see the true edge
    np.testing.assert_allclose(out, ndimage.uniform_filter(image, (1, 9, 9)), atol=1e-12)
    assert len(calls) == len(plan)


def test_several_workers_write_the_same() -> None:
    image = np.random.default_rng(0).normal(size=(1, 70, 80))
    plan = tiling.plan((70, 80), (16, 16), 2, 1)
    results = []
    for workers in (1, 3):
        out = np.zeros_like(image)
        count: list[int] = []
        tiling.run(lambda piece, _: piece * 2, image, plan, out, partial(count.append, 1), workers)
        assert len(count) == len(plan)
        results.append(out)
    assert (results[0] == results[1]).all()
    assert (results[0] == image * 2).all()


def test_a_worker_that_fails_is_heard() -> None:
    def broken(piece: np.ndarray, region: object) -> np.ndarray:
        raise ValueError("broken")

    image = np.zeros((1, 40, 40))
    with pytest.raises(ValueError, match="broken"):
        tiling.run(broken, image, tiling.plan((40, 40), (8, 8), 0, 1), image.copy(), None, 2)


def test_at_once_begins_every_thread_and_hears_a_failure() -> None:
    begun: list[int] = []
    done: list[int] = []
    assert sum(1 for _ in tiling.at_once(done.append, range(20), 3, lambda: begun.append(1))) == 20
    assert sorted(done) == list(range(20))
    assert 1 <= len(begun) <= 3
    with pytest.raises(ZeroDivisionError):
        list(tiling.at_once(lambda item: 1 // item, [1, 0, 1], 2))
