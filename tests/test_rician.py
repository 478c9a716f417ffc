"""Rician noise where it is known to be: the fixed point, the air around a body, and files that say magnitude."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hush
from helpers import waves
from hush.core.image import Image
from hush.estimation.air import sigma_of_air
from hush.io._dicom_read import is_magnitude
from hush.noise.rician import Rician, fixed_point

pydicom = pytest.importorskip("pydicom")


def magnitude(clean: np.ndarray, sigma: float, seed: int = 0) -> np.ndarray:
    return np.asarray(Rician(sigma).sample(np.asarray(clean, float), np.random.default_rng(seed)))


def head(side: int = 160, texture: float = 1.0) -> np.ndarray:
    """A body of uneven brightness in air."""
    y, x = np.mgrid[:side, :side] / side - 0.5
    inside = np.hypot(y, x) < 0.33
    fine = np.random.default_rng(5).normal(0, texture, (side, side))
    return np.where(inside, waves(side) + fine, 0.0)


# The fixed point of Koay and Basser ----------------------------------------------------------------------------------


@pytest.mark.parametrize("ratio", [0.5, 1.0, 2.0, 5.0, 20.0, 300.0])
def test_the_fixed_point_of_one_signal(ratio: float) -> None:
    mean, variance = Rician(7.0).moments(np.array([7.0 * ratio]))
    signal, sigma = fixed_point(mean[None], variance)
    assert float(sigma[0]) == pytest.approx(7, rel=1e-3)
    assert float(signal[0, 0]) == pytest.approx(7 * ratio, rel=5e-3)


def test_signals_of_one_sigma_are_solved_for_together_and_each_place_by_itself() -> None:
    clean = np.array([[0.0, 30.0, 4.0], [9.0, 50.0, 2.0], [40.0, 80.0, 6.0]])
    level = np.array([5.0, 10.0, 3.0])
    moments = [Rician(level[k]).moments(clean[:, k]) for k in range(3)]
    mean = np.stack([one for one, _ in moments], 1)
    signal, sigma = fixed_point(mean, np.array([variance.mean() for _, variance in moments]))
    np.testing.assert_allclose(sigma, level, rtol=1e-3)
    np.testing.assert_allclose(signal, clean, atol=0.2)


def test_without_noise_the_mean_is_the_signal() -> None:
    mean = np.array([[0.0, 3.0], [9.0, 1e5]])
    signal, sigma = fixed_point(mean, np.zeros(2))
    np.testing.assert_allclose(signal, mean)
    assert not sigma.any()


# The air -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sigma", [0.004, 3.0, 5e4])
def test_the_air_around_a_body_tells_sigma(sigma: float) -> None:
    noisy = magnitude(head() * sigma / 8, sigma)
    found, error = sigma_of_air([noisy]) or (0.0, 0.0)
    assert found == pytest.approx(sigma, rel=0.03)
    assert abs(found - sigma) < 2 * error * sigma


def test_correlated_noise_in_the_air_is_rayleigh_too() -> None:
    """Scanners interpolate the complex signal: the neighbours share its noise, and each pixel's law stays."""
    rng = np.random.default_rng(0)
    parts = rng.normal(0, 10, (2, 257, 256))
    real, imaginary = (parts[:, 1:] + parts[:, :-1]) / np.sqrt(2)
    found, _ = sigma_of_air([np.hypot(real + np.pad(head(128, 0), 64), imaginary)]) or (0.0, 0.0)
    assert found == pytest.approx(10, rel=0.04)


def test_other_air_tells_nothing() -> None:
    rng = np.random.default_rng(0)
    coils = np.sqrt(np.square(rng.normal(0, 9, (8, 128, 128))).sum(0))  # four of them, their squares summed
    others = {
        "four coils": coils,
        "masked": magnitude(head(), 9) * (head() > 0),
        "an offset": rng.normal(90, 9, (128, 128)),
        "below zero": rng.normal(0, 9, (128, 128)),
        "rectified": np.abs(rng.normal(0, 9, (128, 128))),
        "one look": rng.exponential(9, (128, 128)),
        "small": magnitude(np.zeros((20, 20)), 9),
        "nothing": np.full((128, 128), np.nan),
    }
    assert {name: sigma_of_air([plane]) for name, plane in others.items()} == dict.fromkeys(others)


# What a file says ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ({"Modality": "MR", "ImageType": ["ORIGINAL", "PRIMARY", "M", "ND"]}, True),
        ({"Modality": "MR", "ImageType": ["ORIGINAL", "PRIMARY", "M_FFE", "M", "FFE"]}, True),
        ({"Modality": "MR", "ImageType": ["ORIGINAL", "PRIMARY", "EPI", "NONE"]}, True),
        ({"Modality": "MR", "ImageType": ["ORIGINAL", "PRIMARY", "T1"], "ComplexImageComponent": "MAGNITUDE"}, True),
        ({"Modality": "MR", "ImageType": ["ORIGINAL", "PRIMARY", "T1"], "ComplexImageComponent": "PHASE"}, False),
        ({"Modality": "MR", "ImageType": ["ORIGINAL", "PRIMARY", "P", "ND"]}, False),
        ({"Modality": "MR", "ImageType": ["ORIGINAL", "PRIMARY", "R_IR", "R", "IR"]}, False),
        ({"Modality": "MR", "ImageType": ["DERIVED", "PRIMARY", "ADC"]}, False),
        ({"Modality": "MR"}, False),
        ({"Modality": "CT", "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"]}, False),
        ({}, False),
    ],
)
def test_magnitudes_by_their_header(entries: dict[str, Any], expected: bool) -> None:
    header = pydicom.Dataset()
    for name, value in entries.items():
        setattr(header, name, value)
    assert is_magnitude(header) is expected


def test_nifti_may_be_a_magnitude_unless_its_zero_is_not_zero(tmp_path: Path) -> None:
    hush.write(tmp_path / "a.nii", Image(np.zeros((2, 9, 8), np.int16), "ZYX"))
    assert hush.read(tmp_path / "a.nii").meta["magnitude"] is True
    raw = bytearray((tmp_path / "a.nii").read_bytes())
    raw[112:120] = np.array([1.0, -1024.0], "<f4").tobytes()  # slope and intercept
    (tmp_path / "b.nii").write_bytes(raw)
    assert "magnitude" not in hush.read(tmp_path / "b.nii").meta


def test_a_file_of_magnitudes_is_read_as_rician_whatever_its_texture(tmp_path: Path) -> None:
    """In texture alone the variance grows with brightness, and would pass for photons."""
    clean = head(192, 9.0)
    noisy = magnitude(clean, 6).astype(np.float32)
    hush.write(tmp_path / "a.nii", Image(noisy[None], "ZYX"))
    image = hush.read(tmp_path / "a.nii")
    (found,) = hush.analyze(image).channels
    assert found.kind == "rician"
    assert found.sigma == pytest.approx(6, rel=0.04)
    low, high = found.interval["level"]
    assert low < 6 < high
    outside = clean == 0
    done = np.asarray(hush.denoise(image, "gaussian").data)[0]
    assert done[outside].mean() < 0.5 * noisy[outside].mean()  # the bias is gone, but for what noise is left


def test_what_the_user_says_goes_before_the_file(tmp_path: Path) -> None:
    image = Image(magnitude(head(), 6).astype(np.float32), "YX", meta={"magnitude": True})
    said = hush.noise.parse("gaussian:sigma=9")
    assert hush.analyze(image, noise=said).channels[0].kind == "gaussian"
    assert hush.analyze(image, gain=2.0).channels[0].kind == "poisson_gaussian"


def test_air_that_tissue_contradicts_is_not_believed() -> None:
    """Filtered air, or coils weighted by place: the level in the air is not that of the body."""
    clean = head(192, 0.0)
    tissue = clean + np.random.default_rng(1).normal(0, 24, clean.shape)
    noisy = np.where(clean > 0, tissue.clip(0), magnitude(np.zeros_like(clean), 4)).astype(np.float32)
    (found,) = hush.analyze(Image(noisy, "YX", meta={"magnitude": True})).channels
    assert found.kind != "rician"


@pytest.mark.parametrize("sigma", [4, 10])
def test_a_head_with_rician_noise(data: Path, sigma: int) -> None:
    clean = np.asarray(hush.read(data / "MRI_nifti" / "chris_t1.nii.gz").data[100], float)
    image = Image(magnitude(clean, sigma).astype(np.float32), "YX", meta={"magnitude": True})
    (found,) = hush.analyze(image).channels
    assert found.kind == "rician"
    assert found.sigma == pytest.approx(sigma, rel=0.04)
