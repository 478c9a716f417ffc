"""Images on which a denoiser may do harm: the same at every call, with what their names say."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from hush.core.errors import HushError
from hush.datasets.hard import DTYPES, GIANT_SIDE, KINDS, LARGE_SIDES, NOISES, SMALL_SIDES, Case, design, make

CASES = design()


@pytest.mark.parametrize("kind", KINDS)
def test_a_scene_is_finite_in_range_and_follows_its_seed(kind: str) -> None:
    one, same, other = (KINDS[kind](64, np.random.default_rng(seed)) for seed in (1, 1, 2))
    for scene in (one, other):
        assert scene.shape == (64, 64)
        assert scene.dtype == np.float64
        assert np.isfinite(scene).all()
        assert scene.min() >= 0
        assert scene.max() <= 255
        assert np.ptp(scene) > 20
    assert (one == same).all()
    assert (one != other).any()


@pytest.mark.parametrize("noise", NOISES)
def test_a_case_is_the_same_at_every_call_and_another_by_its_seed(noise: str) -> None:
    (one, truth, peak), (same, same_truth, _), (other, other_truth, _) = (
        make(Case("molecules", 64, noise, "uint8", seed)) for seed in (3, 3, 4)
    )
    assert (one.data == same.data).all()
    assert (truth == same_truth).all()
    assert (one.data != other.data).any()
    assert (truth != other_truth).any()
    assert peak == np.ptp(truth)


def test_every_kind_has_every_noise_twice_and_every_dtype() -> None:
    assert 30 <= len(KINDS) <= 34
    assert len(CASES) == len({case.name for case in CASES}) == 20 * len(KINDS)
    assert design() == CASES
    assert design(1) != CASES
    for kind in KINDS:
        own = [case for case in CASES if case.kind == kind]
        assert Counter(case.noise for case in own) == dict.fromkeys(NOISES, 2)
        assert all(many >= 4 for many in Counter(case.dtype for case in own).values())
        assert {case.dtype for case in own} == set(DTYPES)
        assert {case.dtype for case in own if case.noise == "clipped"} == {"uint8"}
        assert len({case.size for case in own}) == 2
        assert len({case.seed for case in own}) == 20


@pytest.mark.parametrize("seed", range(3))
def test_there_are_fewer_than_60_million_pixels(seed: int) -> None:
    cases = design(seed)
    assert sum(case.size**2 for case in cases) < 60e6
    assert {case.size for case in cases} == {*SMALL_SIDES, *LARGE_SIDES, GIANT_SIDE}
    assert len({case.kind for case in cases if case.size == GIANT_SIDE}) == 4


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", ["stars-nebula", "dark-cells", "jpeg"])
def test_a_clean_image_is_the_truth(kind: str, dtype: str) -> None:
    image, truth, peak = make(Case(kind, 64, "clean", dtype, 5))
    assert (str(image.data.dtype), image.axes, str(truth.dtype)) == (dtype, "YX", "float64")
    assert (image.data == truth).all()
    assert peak > 0
    if dtype == "int16":
        assert truth.min() < 0 < truth.max()
    if dtype == "uint16":
        assert truth.min() >= 5000


def test_floats_are_of_any_magnitude() -> None:
    peaks = [make(Case("grating", 32, "clean", "float32", seed))[2] for seed in range(40)]
    assert 1e-17 < min(peaks) < 1e-10
    assert 1e5 < max(peaks) < 255e12


SIGMAS = [(f"gaussian-{sigma}", sigma) for sigma in (1, 2, 5, 10, 25)] + [("correlated", 10)]


@pytest.mark.parametrize("dtype", ["float32", "uint16", "int16"])
@pytest.mark.parametrize(("noise", "sigma"), SIGMAS)
def test_noise_is_as_strong_as_its_name_says(noise: str, sigma: int, dtype: str) -> None:
    image, truth, peak = make(Case("grating-oblique", 96, noise, dtype, 2))
    away = image.data.astype(np.float64) - truth
    assert np.sqrt((away**2).mean()) == pytest.approx(sigma / 255 * peak, rel=0.1)
    shared = np.corrcoef(away[:, 1:].ravel(), away[:, :-1].ravel())[0, 1]
    assert shared > 0.5 if noise == "correlated" else abs(shared) < 0.05


@pytest.mark.parametrize("photons", [30, 300])
@pytest.mark.parametrize("dtype", ["float32", "uint16"])
def test_photons_keep_the_mean_and_are_whole(photons: int, dtype: str) -> None:
    image, truth, peak = make(Case("texture-grey-coarse", 128, f"photons-{photons}", dtype, 1))
    noisy, one = image.data.astype(np.float64), peak / photons
    assert noisy.mean() == pytest.approx(truth.mean(), abs=0.02 * peak)
    counts = (noisy - truth.min()) / one
    assert np.abs(counts - counts.round()).max() < 0.05
    assert ((noisy - truth) ** 2).mean() == pytest.approx((truth - truth.min()).mean() * one, rel=0.1)


def test_clipped_noise_is_of_8_bits() -> None:
    image, truth, _ = make(Case("texture-binary-coarse", 128, "clipped", "uint8", 1))
    assert image.data.dtype == np.uint8
    assert np.abs(image.data - truth).std() > 2
    with pytest.raises(HushError, match="give uint8"):
        Case("cells", 64, "clipped", "float32")


@pytest.mark.parametrize("case", [("cell", "clean", "uint8"), ("cells", "loud", "uint8"), ("cells", "clean", "int8")])
def test_a_case_of_unknown_names_is_refused(case: tuple[str, str, str]) -> None:
    with pytest.raises(HushError, match="Possible: "):
        Case(case[0], 64, *case[1:])


@pytest.mark.parametrize("seed", range(3))
def test_outside_a_mask_all_is_0_with_noise_too(seed: int) -> None:
    image, truth, _ = make(Case("masked", 128, "gaussian-10", "float32", seed))
    outside = truth == 0
    assert 0.2 < outside.mean() < 0.9
    assert outside[[0, 0, -1, -1], [0, -1, 0, -1]].all()
    assert (image.data[outside] == 0).all()
    assert (image.data[~outside] != truth[~outside]).mean() > 0.99


@pytest.mark.parametrize("seed", range(3))
def test_padding_has_one_value_and_no_noise(seed: int) -> None:
    image, truth, _ = make(Case("padded", 128, "gaussian-10", "float32", seed))
    kept = image.data == truth
    border = kept.all(1)[:, None] | kept.all(0)
    assert len(np.unique(image.data[border])) == 1
    assert 0.02 < border.mean() < 0.7
    assert (kept == border).mean() > 0.999


def test_bands_two_values_and_points_are_what_they_say() -> None:
    for kind in ("text-two-valued", "lines-two-valued", "chequerboard-fine", "texture-binary-fine"):
        assert len(np.unique(KINDS[kind](96, np.random.default_rng(0)))) == 2
    assert len(np.unique(KINDS["gradient-banded"](96, np.random.default_rng(0)))) <= 256
    points = KINDS["points-dense"](128, np.random.default_rng(0))
    assert (points > points.min()).mean() == pytest.approx(0.03, abs=0.001)
