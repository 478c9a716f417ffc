from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from skimage import metrics

from conftest import records
from helpers import data
from hush.core.errors import HushError
from hush.core.image import Image
from hush.core.metrics import data_range, fit_gain, psnr, rmse, scores, ssim
from hush.quality.relative_change import relative_change

PEER: Any = metrics  # none of its functions says what it returns


@pytest.fixture
def pair() -> tuple[np.ndarray, np.ndarray]:
    clean = data.camera()[100:260, 100:300]
    return (clean + np.random.default_rng(0).normal(0, 25, clean.shape)).clip(0, 255).astype(np.uint8), clean


def test_agree_with_scikit_image(pair: tuple[np.ndarray, np.ndarray]) -> None:
    noisy, clean = pair
    assert psnr(noisy, clean) == pytest.approx(PEER.peak_signal_noise_ratio(clean, noisy), abs=1e-9)
    wang = PEER.structural_similarity(
        clean, noisy, data_range=255, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    assert ssim(noisy, clean) == pytest.approx(wang, abs=1e-6)


def test_known_answers() -> None:
    a, b = np.zeros((20, 20)), np.full((20, 20), 2.0)
    assert rmse(a, b) == 2
    assert psnr(a, b, peak=20) == pytest.approx(20)
    assert psnr(b, b) == float("inf")
    # SSIM of two constants is the luminance term alone
    c1 = (0.01 * 10) ** 2
    assert ssim(a + 1, b, peak=10) == pytest.approx((2 * 1 * 2 + c1) / (1 + 4 + c1))


def test_data_range() -> None:
    assert data_range(np.zeros((2, 2), np.uint8)) == 255
    assert data_range(np.array([[3, 1000]], np.uint16)) == 997
    assert data_range(np.array([[np.nan, 1.0, 3.0]])) == 2


def test_colours_and_stacks_are_means_over_planes(pair: tuple[np.ndarray, np.ndarray]) -> None:
    noisy, clean = pair
    colour = Image(np.dstack([noisy, clean, clean]), "YXS"), Image(np.dstack([clean] * 3), "YXS")
    assert ssim(*colour) == pytest.approx((ssim(noisy, clean) + 2) / 3)


def test_gain_and_offset_are_found(pair: tuple[np.ndarray, np.ndarray]) -> None:
    clean = pair[1].astype(float)
    fitted, gain, offset = fit_gain((clean - 7) / 3, clean)
    assert (gain, offset) == pytest.approx((3, 7))
    np.testing.assert_allclose(fitted, clean)
    result = scores((clean - 7) / 3, clean, fit=True)
    assert result["gain"] == pytest.approx(3)
    assert result["rmse"] == pytest.approx(0, abs=1e-9)


def test_what_cannot_be_compared() -> None:
    with pytest.raises(HushError, match=r"\(.*\).*\(.*\)"):
        psnr(np.zeros((3, 3)), np.zeros((3, 4)))
    with pytest.raises(HushError, match="11 x 11"):
        ssim(np.zeros((3, 3)), np.zeros((3, 3)))
    assert scores(np.zeros((3, 3)), np.ones((3, 3)))["ssim"] is None
    with pytest.raises(HushError, match="no finite"):
        rmse(np.full((3, 3), np.nan), np.zeros((3, 3)))


def test_missing_pixels_are_left_out() -> None:
    a, b = np.zeros((4, 4)), np.ones((4, 4))
    a[0, 0] = np.nan
    assert rmse(a, b) == 1


def test_the_relative_change_is_that_of_the_report(pair: tuple[np.ndarray, np.ndarray]) -> None:
    noisy, clean = pair
    better = (0.25 * noisy + 0.75 * clean).astype(np.float64)
    change = relative_change(better, noisy, clean)
    before, after = psnr(noisy, clean), psnr(better, clean)
    assert change["psnr_noisy"] == pytest.approx(before)
    assert change["psnr_var"] == pytest.approx((after - before) / before)
    before, after = ssim(noisy, clean), ssim(better, clean)
    assert change["ssim_noisy"] == pytest.approx(before)
    assert change["ssim_var"] == pytest.approx((after - before) / before)
    worse = relative_change(noisy, better, clean)
    assert (worse["psnr_var"] or 0) < 0 and (worse["ssim_var"] or 0) < 0
    assert relative_change(noisy, noisy, clean)["psnr_var"] == 0


def test_a_change_without_a_start_is_none(pair: tuple[np.ndarray, np.ndarray]) -> None:
    noisy, clean = pair
    assert relative_change(noisy, clean, clean)["psnr_var"] is None  # of an infinite score
    assert relative_change(clean, noisy, clean)["psnr_var"] is None  # to one
    far = clean + 1000.0  # its PSNR is below 0 dB: a share of it would say that worse is better
    assert relative_change(noisy, far, clean)["psnr_var"] is None
    small = relative_change(noisy[:8, :8], noisy[:8, :8], clean[:8, :8])
    assert small["ssim_var"] is None and small["psnr_var"] == 0


def test_the_change_fits_gains_if_asked(pair: tuple[np.ndarray, np.ndarray]) -> None:
    noisy, clean = pair
    scaled = relative_change(noisy * 0.5, noisy * 2.0 + 9, clean, fit=True, peak=255)
    assert scaled["psnr_var"] == pytest.approx(0, abs=1e-9)


def test_the_change_from_the_command_line(
    run: Callable[..., tuple[int, str, str]], tmp_path: Path, pair: tuple[np.ndarray, np.ndarray]
) -> None:
    noisy, clean = pair
    for name, image in {"clean": clean, "noisy": noisy, "best": clean // 2 + noisy // 2}.items():
        np.save(tmp_path / f"{name}.npy", image)
    files = [tmp_path / "best.npy", tmp_path / "clean.npy", "--noisy", tmp_path / "noisy.npy"]
    (row,) = records(run("score", *files, "--json")[1])
    assert row["psnr_var"] == pytest.approx(row["psnr"] / row["psnr_noisy"] - 1)
    assert row["ssim_var"] == pytest.approx(row["ssim"] / row["ssim_noisy"] - 1)
    assert run("score", files[0], "--noisy", files[3], "--metric", "frc")[0] == 2
