"""Fourier ring correlation: known cutoffs, known signal-to-noise ratios, and what says nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from conftest import records
from hush import io
from hush.core.errors import HushError, SettingError
from hush.core.image import Image
from hush.datasets.synthetic import epithelium
from hush.quality.frc import RingCorrelation, frc

Plane = NDArray[np.float64]
Run = Callable[..., tuple[int, str, str]]


def low_passed(scene: Any, cutoff: float, ratio: float = 1.0) -> Plane:
    """Nothing beyond a frequency, cycles per pixel of X; pixels are so many times as high as wide."""
    y, x = np.fft.fftfreq(scene.shape[0]) / ratio, np.fft.rfftfreq(scene.shape[1])
    return np.fft.irfft2(np.fft.rfft2(scene) * (np.hypot(y[:, None], x) <= cutoff), scene.shape)


def exposures(scene: Plane, sigma: float, seed: int = 0) -> tuple[Plane, Plane]:
    rng = np.random.default_rng(seed)
    return scene + rng.normal(0, sigma, scene.shape), scene + rng.normal(0, sigma, scene.shape)


def white(seed: int, shape: tuple[int, ...] = (256, 256)) -> Plane:
    return np.random.default_rng(100 + seed).normal(0, 30, shape)


@pytest.mark.parametrize("piece", [False, True], ids=["whole", "piece"])
@pytest.mark.parametrize("sigma", [1.0, 10.0])
@pytest.mark.parametrize("cutoff", [0.08, 0.12, 0.2, 0.27])
def test_the_cutoff_of_a_known_blur_is_found(cutoff: float, sigma: float, piece: bool) -> None:
    """Simulated cells behind an ideal low-pass; a piece of them is not periodic, as no real image is."""
    for seed in range(2):
        scene = low_passed(epithelium(384 if piece else 256, seed), cutoff)[:256, :256]
        found = frc(*exposures(scene, sigma, seed))
        assert found.state == "found"
        assert found.cutoff == pytest.approx(cutoff, rel=0.05)
        assert found.resolution == pytest.approx(1 / cutoff, rel=0.05)


def test_a_soft_blur_ends_where_the_noise_is_six_times_the_signal() -> None:
    length, noise = 3.0, 5.0
    blurred = ndimage.gaussian_filter(np.random.default_rng(3).standard_normal((640, 640)), length, mode="wrap")
    scene = blurred[:512, :512] * 40 * np.sqrt(4 * np.pi) * length
    power = 40**2 * 4 * np.pi * length**2 / noise**2  # at frequency 0, where it falls as exp(-(2 pi length f)^2)
    expected = np.sqrt(np.log(6 * power)) / (2 * np.pi * length)
    assert frc(*exposures(scene, noise)).cutoff == pytest.approx(expected, rel=0.05)


def test_the_curve_is_the_share_of_the_signal() -> None:
    found = frc(*exposures(white(0), 30 / np.sqrt(3)))
    weights = found.independent / found.independent.sum()
    assert (found.correlation * weights).sum() == pytest.approx(0.75, abs=0.01)
    assert found.state == "beyond"
    assert found.resolution is None
    assert found.limit == pytest.approx(2, rel=0.01)


def test_the_spread_of_noise_is_that_of_its_independent_pixels() -> None:
    """The half-bit threshold rests on their number."""
    drawn = [frc(white(seed), white(seed + 50), smoothing=1) for seed in range(12)]
    rings = slice(20, None)
    scatter = np.sqrt(np.mean([each.correlation[rings] ** 2 for each in drawn], axis=0))
    expected = 1 / np.sqrt(2 * drawn[0].independent[rings])
    assert np.mean(scatter / expected) == pytest.approx(1, abs=0.08)


def test_noise_alone_has_no_resolution() -> None:
    for seed in range(15):
        assert frc(white(seed), white(seed + 50)).state == "none"
        assert frc(white(seed, (512, 128))).state == "none"


def test_gain_and_offset_of_an_exposure_do_not_matter() -> None:
    a, b = exposures(low_passed(white(1), 0.2), 10)
    plain, scaled = frc(a, b), frc(a, 1e-3 * b - 7e5)
    np.testing.assert_allclose(scaled.correlation, plain.correlation, atol=1e-6)
    assert frc(1e200 * a, b).cutoff == pytest.approx(plain.cutoff)


def test_stricter_thresholds_end_earlier() -> None:
    scene = ndimage.gaussian_filter(white(2), 1, mode="wrap")
    found: dict[str, RingCorrelation] = {
        name: frc(*exposures(scene, 3), threshold=name) for name in ("1/7", "half-bit", "1-bit")
    }
    sizes = [found[name].resolution or 0 for name in found]
    assert 2 < sizes[0] < sizes[1] < sizes[2]
    for name, r in (("half-bit", (np.sqrt(2) - 1) / 2), ("1-bit", 0.5)):
        last, n = found[name].threshold[-1], found[name].independent[-1]
        assert last == pytest.approx((r + (2 * r**0.5 + 1) / n**0.5) / (r + 1 + 2 * r**0.5 / n**0.5))
        assert r / (r + 1) < last < (r + 3 / n**0.5) / (r + 1)  # of ever more pixels: 0.2071 / 1.2071 and 0.5 / 1.5


@pytest.mark.parametrize("cutoff", [0.08, 0.12, 0.2])
def test_one_image_tells_what_two_would(cutoff: float) -> None:
    for seed in range(2):
        a, b = exposures(low_passed(epithelium(384, seed), cutoff)[:256, :256], 8, seed)
        assert frc(a).cutoff == pytest.approx(cutoff, rel=0.05)
        assert frc(a).cutoff == pytest.approx(frc(a, b).cutoff or 0, rel=0.05)


def test_the_split_curve_is_that_of_whole_exposures() -> None:
    """Flat up to 0.22 cycles per pixel: the parts' shift and their fourfold noise are taken out."""
    scene = low_passed(white(3, (512, 512)), 0.22)
    a, b = exposures(scene, 30.0)
    one, two = frc(a), frc(a, b)
    inside = [(each.frequency > 0.03) & (each.frequency < 0.21) for each in (one, two)]
    assert one.correlation[inside[0]].mean() == pytest.approx(two.correlation[inside[1]].mean(), abs=0.03)
    assert two.correlation[inside[1]].mean() == pytest.approx(0.5, abs=0.02)  # both have a deviation of 30 a pixel
    assert one.limit == pytest.approx(4, rel=0.01)


def test_pixels_have_a_size() -> None:
    scene = low_passed(white(4, (200, 301)), 0.2)
    a, b = (Image(each, "YX", {"Y": 0.1, "X": 0.1}, "µm") for each in exposures(scene, 5))
    found = frc(a, b)
    assert found.resolution == pytest.approx(5, rel=0.05)
    assert found.physical == pytest.approx(0.5, rel=0.05)
    assert (found.as_dict()["unit"], found.as_dict()["physical"]) == ("µm", found.physical)
    assert "unit" not in frc(a.data, b.data).as_dict()


def test_pixels_need_not_be_square() -> None:
    scene = low_passed(white(5, (160, 320)), 0.15, ratio=2.0)
    a, b = (Image(each, "YX", {"Y": 2.0, "X": 1.0}, "nm") for each in exposures(scene, 5))
    assert frc(a, b).physical == pytest.approx(1 / 0.15, rel=0.05)
    assert frc(a, b).limit == pytest.approx(4, rel=0.02)  # the rows' own limit


def test_planes_are_averaged_and_empty_ones_left_out() -> None:
    pairs = [exposures(low_passed(white(seed), 0.2), 30, seed) for seed in range(3)]
    stacks = [np.stack([pair[k] for pair in pairs] + [np.zeros((256, 256))]) for k in (0, 1)]
    found = frc(*(Image(stack, "CYX") for stack in stacks))
    expected = np.mean([frc(*pair).correlation for pair in pairs], axis=0)
    np.testing.assert_allclose(found.correlation, expected)
    np.testing.assert_allclose(frc(*stacks).correlation, expected)
    assert found.cutoff == pytest.approx(0.2, rel=0.05)


def test_what_cannot_be_correlated() -> None:
    plane = white(0)
    for given in [(plane[:31], plane[:31]), (plane[:63],), (plane, plane[1:]), (0 * plane, plane), (0 * plane,)]:
        with pytest.raises(HushError):
            frc(*given)
    hole = plane.copy()
    hole[3, 3] = np.nan
    with pytest.raises(HushError):
        frc(hole, plane)
    with pytest.raises(SettingError, match="half-bit"):
        frc(plane, plane, threshold="halfbit")  # type: ignore[arg-type]
    for width in (0, 4):
        with pytest.raises(SettingError):
            frc(plane, plane, smoothing=width)


def test_from_the_command_line(run: Run, tmp_path: Path) -> None:
    pair = exposures(low_passed(white(6), 0.2), 5)
    for name, data in zip("ab", pair, strict=True):
        io.write(tmp_path / f"{name}.tif", Image(data.astype(np.float32), "YX", {"Y": 0.2, "X": 0.2}, "µm"))
    code, out, _ = run("score", tmp_path / "a.tif", tmp_path / "b.tif", "--metric", "frc", "--json")
    (row,) = records(out)
    assert code == 0
    assert set(row) == {"image", "reference", "frc"}
    assert row["frc"]["state"] == "found"
    assert row["frc"]["physical"] == pytest.approx(1, rel=0.05)
    assert len(row["frc"]["frequency"]) == len(row["frc"]["smoothed"]) == 128
    code, out, _ = run("score", tmp_path / "a.tif", "--metric", "frc", "--threshold", "half-bit")
    assert code == 0
    assert float(out.split()[1]) == pytest.approx(5, rel=0.05)
    both = records(run("score", tmp_path / "a.tif", tmp_path / "b.tif", "--metric", "frc,rmse", "--json")[1])[0]
    assert {"rmse", "frc"} <= set(both)
    assert "psnr" not in both
    assert run("score", tmp_path / "a.tif", "--metric", "frcc")[0] == 2
    assert run("score", tmp_path / "a.tif")[0] == 2
    assert run("score", tmp_path / "a.tif", "--metric", "psnr")[0] == 2
