"""Contrast-to-noise ratio: known answers, boxes and masks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from conftest import records
from hush import io
from hush.core.errors import SettingError
from hush.core.image import Image
from hush.quality.contrast import Kind, cnr

Run = Callable[..., tuple[int, str, str]]
SPOT, GROUND = "10:30,10:30", "40:80,40:80"


@pytest.fixture
def disc() -> np.ndarray:
    """A bright square with noise of deviation 3 on ground with noise of deviation 4."""
    rng = np.random.default_rng(0)
    image = rng.normal(100, 4, (80, 90))
    image[10:30, 10:30] = rng.normal(150, 3, (20, 20))
    return image


def test_known_answers() -> None:
    image = np.array([[0.0, 2.0, 10.0, 14.0]])  # means 1 and 12, variances 2 and 8
    for kind, noise in {"pooled": 5**0.5, "sum": 10**0.5, "background": 2**0.5}.items():
        assert cnr(np.vstack([image]), ":,2:4", ":,0:2", kind=kind) == pytest.approx(11 / noise)  # type: ignore[arg-type]


@pytest.mark.parametrize(("kind", "noise"), [("pooled", 12.5**0.5), ("sum", 5), ("background", 4)])
def test_of_noise_whose_level_is_known(disc: np.ndarray, kind: Kind, noise: float) -> None:
    assert cnr(disc, SPOT, GROUND, kind=kind) == pytest.approx(50 / noise, rel=0.06)


def test_neither_scale_nor_offset_nor_order_matters(disc: np.ndarray) -> None:
    plain = cnr(disc, SPOT, GROUND)
    assert cnr(3 * disc - 1000, SPOT, GROUND) == pytest.approx(plain)
    assert cnr(-disc, GROUND, SPOT) == pytest.approx(plain)
    mean = disc[40:80, 40:80].mean()
    quiet = np.where(np.arange(80)[:, None] < 35, disc, mean + (disc - mean) / 2)  # half the noise below
    assert cnr(quiet, SPOT, GROUND, kind="background") == pytest.approx(2 * cnr(disc, SPOT, GROUND, kind="background"))


def test_masks_and_boxes_are_the_same(disc: np.ndarray) -> None:
    masks = np.zeros((2, 80, 90), np.uint8)
    masks[0, 10:30, 10:30] = 255
    masks[1, 40:80, 40:80] = 1
    expected = cnr(disc, SPOT, GROUND)
    assert cnr(disc, *masks) == expected
    assert cnr(disc, Image(masks[0], "YX"), masks[1].astype(bool)) == expected
    assert cnr(disc, " 10:30 , 10:30 ", "40:,40:80") == expected


def test_planes_and_colours_are_averaged(disc: np.ndarray) -> None:
    other = disc[:, ::-1]
    sets = [cnr(one, SPOT, GROUND) for one in (disc, other)]
    assert cnr(np.stack([disc, other]), SPOT, GROUND) == pytest.approx(np.mean(sets))
    colours = Image(np.stack([disc, other, disc, np.zeros_like(disc)], -1), "YXS")  # opacity has no contrast
    assert cnr(colours, SPOT, GROUND) == pytest.approx((2 * sets[0] + sets[1]) / 3)
    follows = np.zeros((2, 80, 90), bool)  # a mask for each plane
    follows[0, 10:30, 10:30] = follows[1, 10:30, 60:80] = True
    assert cnr(np.stack([disc, other]), follows, GROUND) > 2 * cnr(np.stack([disc, other]), SPOT, GROUND) * 0.9


def test_missing_pixels_are_left_out(disc: np.ndarray) -> None:
    holes = disc.copy()
    holes[10:20, 10:30] = np.nan
    assert cnr(holes, SPOT, GROUND) == cnr(disc, "20:30,10:30", GROUND)


def test_without_noise_it_has_no_bound() -> None:
    flat = np.zeros((20, 20))
    flat[:10] = 3
    assert cnr(flat, ":10,:", "10:,:") == float("inf")
    assert cnr(flat, ":5,:", "5:10,:") == 0


@pytest.mark.parametrize(
    "region",
    ["10:30", "a:b,c:d", "30:10,10:30", "0:81,0:9", "0:1,0:1", "-5:10,0:9", np.ones((8, 9)), np.zeros((80, 90)),
     np.ones((3, 80, 90))],
)  # fmt: skip
def test_what_is_no_region(disc: np.ndarray, region: str | np.ndarray) -> None:
    with pytest.raises(SettingError):
        cnr(disc, region, GROUND)


def test_unknown_kinds_are_refused(disc: np.ndarray) -> None:
    with pytest.raises(SettingError, match="pooled"):
        cnr(disc, SPOT, GROUND, kind="mean")  # type: ignore[arg-type]


def test_from_the_command_line(run: Run, tmp_path: Path, disc: np.ndarray) -> None:
    image = disc.astype(np.float32)
    np.save(tmp_path / "a.npy", image)
    np.save(tmp_path / "noisy.npy", image + np.random.default_rng(1).normal(0, 20, image.shape).astype(np.float32))
    mask = np.zeros((80, 90), np.uint8)
    mask[10:30, 10:30] = 1
    io.write(tmp_path / "mask.png", Image(mask, "YX"))
    code, out, _ = run("score", tmp_path / "a.npy", "--regions", SPOT, GROUND, "--json")
    assert code == 0
    assert records(out)[0]["cnr"] == pytest.approx(cnr(image, SPOT, GROUND))
    (row,) = records(
        run("score", tmp_path / "a.npy", tmp_path / "a.npy", "--noisy", tmp_path / "noisy.npy", "--cnr", "background",
            "--regions", tmp_path / "mask.png", GROUND, "--regions", SPOT, "60:80,:30", "--json")[1]
    )  # fmt: skip
    assert row["cnr"] == pytest.approx(cnr(image, SPOT, GROUND, kind="background"))
    assert row["cnr_2"] == pytest.approx(cnr(image, SPOT, "60:80,:30", kind="background"))
    assert row["cnr_noisy"] < row["cnr"] / 3
    assert run("score", tmp_path / "a.npy", "--regions", SPOT, "lost.png")[0] == 2
