"""Where a result is most wrong: places that are known, and their picture."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture

from conftest import records
from hush.core.errors import HushError
from hush.core.image import Image
from hush.quality.error_maps import MARK, Place, error_picture, largest_errors, worst_images

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def pair() -> tuple[np.ndarray, np.ndarray]:
    """A clean image, and one with a lost spot (error 90), a lesser one (40) and a patch of lost texture."""
    clean = 100 + 10 * np.random.default_rng(0).standard_normal((120, 150))
    result = clean.copy()
    result[7, 140] -= 90
    result[60, 20] += 40
    result[80:96, 100:116] += 9 * (-1) ** np.indices((16, 16)).sum(0)
    return result, clean


def test_single_pixels_and_areas(pair: tuple[np.ndarray, np.ndarray]) -> None:
    spots = largest_errors(*pair, 2)
    assert [(spot.y, spot.x) for spot in spots] == [(7, 140), (60, 20)]
    assert [spot.value for spot in spots] == pytest.approx([8100, 1600])
    first = largest_errors(*pair, 1, side=16)[0]
    assert (first.y, first.x, first.side) == (80, 100, 16)
    assert first.value == pytest.approx(256 * 81)


@pytest.mark.parametrize("side", [1, 2, 5, 8, 31])
def test_the_worst_square_is_the_worst_of_all(side: int) -> None:
    rng = np.random.default_rng(side)
    image, clean = rng.normal(0, 1, (2, 40, 33))
    error = (image - clean) ** 2
    every = {
        (y, x): error[y : y + side, x : x + side].sum() for y in range(41 - side) for x in range(34 - side)
    }  # fmt: skip
    (place,) = largest_errors(image, clean, 1, side=side)
    assert (place.y, place.x) == max(every, key=lambda at: every[at])
    assert place.value == pytest.approx(max(every.values()))


@pytest.mark.parametrize(("side", "apart"), [(1, None), (1, 10), (16, None), (40, None), (16, 50)])
def test_places_are_apart_and_in_order(side: int, apart: int | None) -> None:
    image, clean = np.random.default_rng(1).normal(0, 1, (2, 160, 200))
    places = largest_errors(image, clean, 6, side=side, apart=apart)
    assert len(places) > 3
    least = apart or max(side, 32)
    assert all(max(abs(a.y - b.y), abs(a.x - b.x)) >= least for a, b in combinations(places, 2))
    assert [place.value for place in places] == sorted((place.value for place in places), reverse=True)


def test_only_errors_are_places(pair: tuple[np.ndarray, np.ndarray]) -> None:
    assert largest_errors(pair[1], pair[1]) == []
    assert largest_errors(pair[1], pair[1], side=9) == []
    assert len(largest_errors(pair[1] + 1, pair[1], 1000, side=100)) == 1  # there is no room for another


def test_missing_pixels_have_no_error(pair: tuple[np.ndarray, np.ndarray]) -> None:
    image, clean = (each.copy() for each in pair)
    image[7, 140] = np.nan
    clean[60, 20] = np.inf
    (place,) = largest_errors(image, clean, 1)
    assert 80 <= place.y < 96
    assert np.isfinite(place.value)


def test_planes_and_colours() -> None:
    clean = np.zeros((3, 50, 60))
    image = clean.copy()
    image[2, 9, 8] = 5
    image[0, 30, 31] = 4
    assert [(p.plane, p.y, p.x) for p in largest_errors(image, clean, 2)] == [(2, 9, 8), (0, 30, 31)]
    seen, truth = (Image(np.moveaxis(each, 0, -1), "YXS") for each in (image, clean))
    assert [(p.plane, p.value) for p in largest_errors(seen, truth, 2, apart=20)] == [(0, 25), (0, 16)]
    seen.data[9, 8] = 3  # three errors of 9 are more than one of 25
    assert largest_errors(seen, truth, 1)[0].value == 27


def test_the_worst_images_of_a_set(pair: tuple[np.ndarray, np.ndarray]) -> None:
    image, clean = pair
    blurred = clean + np.random.default_rng(2).normal(0, 5, clean.shape)
    assert worst_images([(clean, clean), (image, clean), (blurred, clean)]) == (1, 2)
    with pytest.raises(HushError):
        worst_images([])


def test_what_cannot_be_searched(pair: tuple[np.ndarray, np.ndarray]) -> None:
    image, clean = pair
    for settings in ({"side": 121}, {"side": 0}, {"count": 0}, {"apart": 0}):
        with pytest.raises(HushError):
            largest_errors(image, clean, **settings)
    with pytest.raises(HushError):
        largest_errors(image, clean[1:])
    with pytest.raises(HushError):
        error_picture(clean, {"a": image}, [])
    with pytest.raises(HushError):
        error_picture(clean, {}, [Place(0, 0, 1.0)])


def test_the_picture_marks_the_place(pair: tuple[np.ndarray, np.ndarray]) -> None:
    """Columns: reference, result, error; the framed pixel of the error is the brightest of its row."""
    image, clean = pair
    places = [*largest_errors(image, clean, 2), *largest_errors(image, clean, 1, side=16)]
    picture = error_picture(clean, {"result": image}, places, side=40)
    step = 40 * 3 + 4
    assert picture.shape == (18 + 3 * step, 3 * step, 3)
    for row, place in enumerate(places):
        tile = picture[18 + row * step :][:120, 2 * step :][:, :120]
        middle = place.y + place.side // 2, place.x + place.side // 2
        corner = min(max(0, middle[0] - 20), 120 - 40), min(max(0, middle[1] - 20), 150 - 40)
        y, x = 3 * (place.y - corner[0]), 3 * (place.x - corner[1])
        assert (tile[y : y + 3, x : x + 3] == 255).all()
        marked = (tile == MARK).all(-1)
        assert marked[max(0, y - 1), x]
        assert marked.sum() > 12 * place.side - 2
        grey = tile[~marked]
        assert (grey == grey[:, :1]).all()


def test_colours_are_shown_in_colour() -> None:
    clean = np.zeros((64, 64, 3))
    clean[:, 32:, 0] = 1
    image = Image(clean + 0.5, "YXS")
    picture = error_picture(Image(clean, "YXS"), {"x": image}, [Place(5, 5, 1.0)], side=64)
    assert tuple(picture[18 + 150, 100]) == (255, 0, 0)


def test_from_the_command_line(run: Run, tmp_path: Path, pair: tuple[np.ndarray, np.ndarray]) -> None:
    image, clean = (each.astype(np.float32) for each in pair)
    for name, data in {"a": image, "b": clean, "noisy": clean + 1}.items():
        np.save(tmp_path / f"{name}.npy", data)
    files = [tmp_path / "a.npy", tmp_path / "b.npy", "--noisy", tmp_path / "noisy.npy"]
    target = tmp_path / "errors.png"
    code, out, _ = run("score", *files, "--errors", target, "--json")
    (row,) = records(out)
    assert code == 0
    assert [(place["y"], place["x"]) for place in row["errors"][:2]] == [(7, 140), (60, 20)]
    assert {place["side"] for place in row["errors"]} == {1, 32}
    with Picture.open(target) as shown:
        assert shown.size == (5 * (64 * 3 + 4), 18 + len(row["errors"]) * (64 * 3 + 4))
    assert run("score", *files, "--errors", target)[0] == 2  # exists
    assert run("score", *files, "--errors", target, "--overwrite", "--fit-gain")[0] == 0
    assert run("score", *files, "--errors", tmp_path / "errors.txt")[0] == 2
    assert run("score", files[0], "--metric", "frc", "--errors", tmp_path / "x.png")[0] == 2
    assert run("score", files[1], files[1], "--errors", tmp_path / "y.png")[0] == 2
    assert not (tmp_path / "y.png").exists()
