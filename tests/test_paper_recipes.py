"""Recipes of the fetal MRI paper and of the autoencoder paper: files of many images, training on volumes, leaks."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Picture

from hush.bench import runner, studies
from hush.bench.catalogue import missing
from hush.bench.studies import autoencoder, collection
from hush.core import registry
from hush.core.errors import FormatError
from hush.datasets.arrays import evenly, images_in, read_idx
from hush.datasets.recipes import Item, items, pictures
from hush.datasets.slices import Volume, read_volume, slices_of

MINE = [name for name in runner.names() if name.startswith(("fetal-", "autoencoder-"))]
CODES = {"<u2": 512, ">i2": 4, "<f4": 16}


def nifti(path: Path, values: np.ndarray, axes: np.ndarray, slope: float = 0.0, intercept: float = 0.0) -> None:
    """Write a NIfTI-1 file of the array's own numbers and byte order."""
    order = values.dtype.str[0]
    order = "<" if order == "=" else order
    header = bytearray(352)
    struct.pack_into(f"{order}i", header, 0, 348)
    struct.pack_into(f"{order}8h", header, 40, values.ndim, *values.shape, *[1] * (7 - values.ndim))
    struct.pack_into(f"{order}h", header, 70, CODES[order + values.dtype.str[1:]])
    struct.pack_into(f"{order}4f", header, 76, 1, *np.linalg.norm(axes, axis=0))
    struct.pack_into(f"{order}3f", header, 108, 352, slope, intercept)
    struct.pack_into(f"{order}h", header, 254, 1)
    struct.pack_into(f"{order}12f", header, 280, *np.hstack([axes, np.zeros((3, 1))]).ravel())
    header[344:348] = b"n+1\0"
    path.parent.mkdir(parents=True, exist_ok=True)
    data = bytes(header) + values.tobytes(order="F")
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


def idx(path: Path, images: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(struct.pack(">4I", 0x803, *images.shape) + images.astype(np.uint8).tobytes()))


def blob(side: int, centre: float) -> np.ndarray:
    """A bright ball in an empty volume, whose middle is brighter."""
    z, y, x = np.mgrid[:side, :side, :side]
    far = np.hypot(np.hypot(z - side / 2, y - side / 2), x - centre)
    return np.where(far < 0.4 * side, 900 - 20 * far, 0).astype("<f4")


# Files of many images ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", CODES)
@pytest.mark.parametrize("name", ["v.nii", "v.nii.gz"])
def test_volumes_of_any_byte_order_are_read(tmp_path: Path, kind: str, name: str) -> None:
    values, axes = np.arange(24, dtype=kind).reshape(2, 3, 4), np.diag([2.0, 1.0, 3.0])
    nifti(tmp_path / name, values, axes)
    found = read_volume(tmp_path / name)
    np.testing.assert_array_equal(found.values, values.T)  # X runs fastest in the file
    np.testing.assert_array_equal(found.axes, axes[:, ::-1])
    nifti(tmp_path / name, values, axes, slope=0.5, intercept=3)
    np.testing.assert_allclose(read_volume(tmp_path / name).values, values.T * 0.5 + 3)


def test_a_volume_is_read_as_nibabel_reads_it(data: Path) -> None:
    nibabel = pytest.importorskip("nibabel")
    for path in sorted((data / "MRI_fetal").glob("*T2w.nii.gz")):
        other, mine = nibabel.load(path), read_volume(path)
        np.testing.assert_array_equal(mine.values, np.asarray(other.dataobj).T)
        np.testing.assert_allclose(mine.axes, other.affine[:3, 2::-1], atol=1e-5)


def test_slices_are_sagittal_and_what_is_above_is_above() -> None:
    values = np.zeros((6, 7, 8), np.float32)
    values[1:5, 1:6, 1:7] = 1
    values[2, 3, 6] = 5  # the third voxel from the left, high up
    right_front_up = slices_of(Volume(values, np.eye(3)))
    assert right_front_up.shape == (4, 6, 5)
    assert right_front_up.max() == 255
    np.testing.assert_array_equal(np.argwhere(right_front_up == 255), [[1, 0, 2]])
    turned = slices_of(Volume(values.transpose(2, 0, 1)[::-1], np.array([[0, 1, 0], [0, 0, 1], [-1, 0, 0]])))
    np.testing.assert_array_equal(turned, right_front_up)


def test_a_stack_of_thick_slices_is_cut_as_it_was_scanned() -> None:
    values = np.ones((6, 7, 3), np.float32)
    values[2, 6, 1] = 2  # in front
    found = slices_of(Volume(values, np.diag([1.0, 1.0, 3.3])), peak=1)
    assert found.shape == (3, 7, 6)
    np.testing.assert_array_equal(np.argwhere(found == 1), [[1, 0, 2]])
    assert len(slices_of(Volume(0 * values, np.eye(3)))) == 0


def test_idx_files(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 4, 3))
    path = tmp_path / "a-images-idx3-ubyte.gz"
    idx(path, images)
    np.testing.assert_array_equal(read_idx(path), images)
    np.testing.assert_array_equal(images_in(path), images)
    for data in (gzip.decompress(path.read_bytes())[:-1], b"\0\0\10\1" + bytes(99)):
        path.write_bytes(gzip.compress(data))
        with pytest.raises(FormatError, match="idx3"):
            read_idx(path)


@pytest.mark.parametrize(("total", "count"), [(10, 3), (7, 7), (100, 9), (3, 1)])
def test_places_are_evenly_spread(total: int, count: int) -> None:
    found = evenly(total, count)
    assert len(set(found)) == count
    assert found[0] == pytest.approx(total - 1 - found[-1], abs=1)  # as far from both ends
    assert np.ptp(np.diff(found)) <= 1 if count > 1 else True


def test_a_recipe_takes_images_from_files_of_many(tmp_path: Path) -> None:
    images = np.arange(40)[:, None, None] * np.ones((1, 4, 4), int)
    for part in range(2):
        idx(tmp_path / f"x-idx3-ubyte.part{part}.gz", images[20 * part : 20 * part + 20])
    spec = {"name": "x", "files": "x-idx3-ubyte.part*.gz"}

    def taken(limits: dict[str, Any] | None = None, **more: Any) -> list[int]:
        return [int(image[0, 0]) for _, image, _ in pictures(spec | more, tmp_path, limits or {})]

    assert taken() == list(range(40))
    assert taken(count=2) == [5, 15, 25, 35]
    assert taken({"images": 2}, count=2) == [15, 35]
    assert taken(first=38) == [38, 39]
    assert taken(last=-38) == [0, 1]
    assert taken(count=2, pick=[0]) == [5]
    names = [name for name, _, _ in pictures(spec, tmp_path, {})]
    assert len(set(names)) == 40
    assert all(one is other for _, one, other in pictures(spec | {"reference": spec["files"]}, tmp_path, {}))


# Training on volumes -------------------------------------------------------------------------------------------------

FETAL = """
title = "t"
about = "a."
kind = "collection"
baseline = "n2n"
noise = [{ notation = "gaussian:sigma=20" }, { notation = "rician:sigma=30" }]
method = [
  { peer = "noisy" },
  { peer = "noisy", label = "noisy, mean of two", settings = { draws = 2 } },
  { name = "median" },
  { name = "n2n", settings = { steps = 3, patch = 16, maps = 4, validation = 0.3 } },
  { label = "two", name = "n2n", settings = { steps = 3, patch = 16, maps = 4, validation = 0.3, draws = 2 } },
  { name = "n2v", settings = { steps = 3, batch = 2, patch = 16, maps = 4 } },
  { name = "n2c", settings = { steps = 3, batch = 2, patch = 16, maps = 4 } },
]
[[data]]
name = "balls"
files = "test/*.nii.gz"
count = 2
train = { files = "train/*.nii" }
"""


@pytest.fixture
def volumes(tmp_path: Path) -> Path:
    for number in range(3):
        nifti(tmp_path / f"data/train/v{number}.nii", blob(28, 12 + 2 * number), np.eye(3))
    nifti(tmp_path / "data/test/v.nii.gz", blob(28, 13), np.eye(3))
    (tmp_path / "fetal.toml").write_text(FETAL)
    return tmp_path


def rows_of(folder: Path, name: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    recipe = runner.load(str(folder / f"{name}.toml"))
    make, table = studies.kind_of(recipe)
    rows = runner.run(recipe, make, scale="cpu", data=folder / "data", out=folder / "out")
    assert table(rows, recipe).startswith("| data |")
    return recipe, rows


def test_methods_are_trained_on_volumes_and_scored_on_others(volumes: Path) -> None:
    recipe, rows = rows_of(volumes, "fetal")
    of = {(row["noise"], row["method"], row["image"]): row for row in rows}
    images = {row["image"] for row in rows}
    assert len(rows) == 2 * len(images) * 7
    assert len(list((volumes / "out/models").glob("*.hush"))) == 3 * 2  # two rows of n2n share a model
    for row in rows:
        assert row["psnr"] == pytest.approx(-20 * np.log10(row["rmse"]), abs=1e-4)
        assert row["psnr_inside"] < row["psnr"] + 20
        assert ("psnr_corrected" in row) == row["noise"].startswith("rician")
    for image in images:
        one, two = (of["gaussian:sigma=20", name, image]["psnr"] for name in ("noisy", "noisy, mean of two"))
        assert one == pytest.approx(20 * np.log10(255 / 20), abs=0.4)
        assert two - one == pytest.approx(3.01, abs=0.5)  # half the variance
        assert of["gaussian:sigma=20", "median", image]["psnr"] > one + 1
        magnitude = of["rician:sigma=30", "n2c", image]
        assert magnitude["psnr_corrected"] != magnitude["psnr_inside"]
    assert {row["training_images"] for row in rows if row["method"] in ("n2n", "n2v", "n2c")} == {
        sum(len(images_in(path)) for path in (volumes / "data/train").glob("*"))
    }
    mean = np.mean([of["gaussian:sigma=20", "two", image]["psnr"] for image in images])
    assert f"| balls | gaussian:sigma=20 | two | {len(images)} | {mean:.2f} |" in collection.table(rows, recipe)


def test_pairs_are_two_draws_and_what_is_held_out_is_a_volume(volumes: Path) -> None:
    recipe = runner.load(str(volumes / "fetal.toml"))
    item = next(items(recipe, "cpu", volumes / "data"))
    here = {"here": {"data": volumes / "data", "limits": {}}}
    from hush.methods.n2n import Noise2Noise
    from hush.methods.n2v import Noise2Void

    pairs, targets = collection._volumes(item, Noise2Noise, here)
    single, _ = collection._volumes(item, Noise2Void, here)
    assert targets is None
    assert [image.axes for image in pairs] == ["TZYX"] * 3  # one image a volume: files are held out whole
    for image, alone in zip(pairs, single, strict=True):
        assert image.sizes["T"] == 2
        np.testing.assert_array_equal(image.data[0], alone.data)
        rest = image.data[1] - image.data[0]
        assert rest.std() == pytest.approx(20 * np.sqrt(2), rel=0.05)


def test_real_stacks_have_no_score_but_a_picture(volumes: Path) -> None:
    text = FETAL[: FETAL.index("noise =")] + 'method = [{ name = "gaussian", settings = { sigma = 20.0 } }]\n'
    text += '[[data]]\nname = "run"\nfiles = "test/*"\nreference = "test/*"\ncount = 2\ntrain = { files = "test/*" }\n'
    (volumes / "real.toml").write_text(text)
    _, rows = rows_of(volumes, "real")
    assert [row["noise"] for row in rows] == ["real", "real"]
    for row in rows:
        assert "psnr" not in row
        assert row["removed"] > 0
        assert -1 <= row["lag"] <= 1
    (path,) = (volumes / "out/pictures").glob("*.png")  # one slice of the stack
    with Picture.open(path) as picture:
        assert picture.width == 3 * images_in(volumes / "data/test/v.nii.gz").shape[2]


def test_the_correlation_of_a_residual_is_that_of_its_neighbours() -> None:
    rng = np.random.default_rng(0)
    white = rng.normal(0, 5, (200, 201))
    for rest, expected in ((white[:, 1:], 0.0), (white[:, 1:] + white[:, :-1], 0.5)):
        noisy = (100 + rest).astype(np.float32)
        item = Item("d", "i", "real", 0, noisy, noisy, 255.0, False)
        found = collection._residual(item, np.full_like(noisy, 100))
        assert found["lag"] == pytest.approx(expected, abs=0.03)
        assert found["removed"] == pytest.approx(rest.std(), rel=0.01)


# Autoencoder ---------------------------------------------------------------------------------------------------------

DIGITS = """
title = "t"
about = "a."
kind = "autoencoder"
noise = [{ notation = "gaussian:sigma=25.5" }]
method = [
  { peer = "noisy" },
  { name = "autoencoder", label = "honest", settings = { epochs = 1, copies = 2, maps = 4 } },
  { name = "autoencoder", label = "leaking", settings = { epochs = 1, copies = 2, maps = 4, leaking = true } },
]
[[data]]
name = "digits"
files = "test-idx3-ubyte.gz"
count = 6
pick = [0]
train = { files = "train-idx3-ubyte.gz", size = 12 }
"""


@pytest.fixture
def digits(tmp_path: Path) -> Path:
    images = np.random.default_rng(0).integers(0, 256, (46, 16, 16))
    idx(tmp_path / "data/train-idx3-ubyte.gz", np.concatenate([images[:40], images[:3]]))  # three are there twice
    idx(tmp_path / "data/test-idx3-ubyte.gz", np.concatenate([images[:2], images[40:44]]))  # two are learned from
    (tmp_path / "digits.toml").write_text(DIGITS)
    return tmp_path


def test_an_autoencoder_is_scored_on_images_that_it_never_learned(digits: Path) -> None:
    recipe, rows = rows_of(digits, "digits")
    noisy, honest, leaking = rows
    assert [row["method"] for row in rows] == ["noisy", "honest", "leaking"]
    assert {row["images"] for row in rows} == {4}  # of one data set one row; those that were learned from are left out
    assert {row["trained_images"] for row in (honest, leaking)} == {40}
    assert noisy["mse"] == pytest.approx(0.01, rel=0.2)
    assert honest["mse"] == honest["mse_unseen"]
    assert leaking["mse"] != leaking["mse_unseen"]
    assert honest["steps"] == -(-36 * 2 // 32)  # a tenth of the images is held out, then there are copies
    assert leaking["steps"] == -(-72 // 32)  # the same number, of which a tenth of the copies is held out
    assert "| digits | gaussian:sigma=25.5 | honest | 40 x 2 | 4 |" in autoencoder.table(rows, recipe)
    found = {path.name for path in (digits / "out/pictures").glob("*.png")}
    assert found == {
        f"digits_{what}--{method}.png"
        for what in ("loss", "noisy_output_sharpened_clean")
        for method in ("honest", "leaking")
    }
    with Picture.open(digits / "out/pictures/digits_noisy_output_sharpened_clean--honest.png") as picture:
        assert picture.size == (3 * 12 * 4, 4 * 12 * 4)  # resized to 12, four rows of three


def test_losses_are_of_a_peak_of_one(digits: Path) -> None:
    """The loss held out is that of the network at its end: as large as the error on other images of the kind."""
    _, (_, honest, _) = rows_of(digits, "digits")
    assert honest["loss_held_out"] == pytest.approx(honest["mse"], rel=0.5)


def test_copies_leak_only_where_they_are_made_first(digits: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[tuple[int, int]] = []
    kind = registry.get("methods", "autoencoder")
    fit = kind.fit

    def counted(self: Any, images: Any, **more: Any) -> Any:
        shown.append((len(images), self.copies))
        return fit(self, images, **more)

    monkeypatch.setattr(kind, "fit", counted)
    rows_of(digits, "digits")
    assert shown == [(40, 2), (80, 1)]


# What comes with hush ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MINE)
def test_published_figures_are_of_rows_of_the_recipe(name: str) -> None:
    recipe = runner.load(name)
    labels = {runner.label_of(method) for method in recipe["method"]}
    for one in recipe.get("published", []):
        assert one["data"] in {data["name"] for data in recipe["data"]}
        assert one["noise"] in {noise["notation"] for noise in recipe["noise"]}
        assert one["method"] in labels
        assert one["score"] in ("psnr", "rmse", "mse")
    assert recipe.get("baseline", "") in {*labels, ""}
    for method in recipe["method"]:
        given = {key: value for key, value in method.get("settings", {}).items() if key not in ("draws", "leaking")}
        if "name" in method:
            registry.get("methods", method["name"])(**given).check()


@pytest.mark.parametrize("name", MINE)
def test_no_volume_is_trained_on_and_tested(name: str, data: Path) -> None:
    recipe = runner.load(name)
    assert missing(recipe, data) is None
    for one in recipe["data"]:
        tested, trained = (set(data.glob(files)) for files in (one["files"], one["train"]["files"]))
        assert trained
        assert tested == trained if "reference" in one else not tested & trained
