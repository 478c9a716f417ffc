"""The denoising autoencoder: its network, its one size, what an epoch shows, and that it learns."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import hush
from hush import io
from hush.core.errors import HushError, HushWarning
from hush.core.image import Image
from hush.core.metrics import psnr
from hush.methods._model_file import save_model
from hush.methods.autoencoder import Autoencoder, _Wholes, resized
from hush.nets._autoencoder import Autoencoder as Net
from hush.noise import parse
from hush.training.normalization import Scale

Run = Callable[..., tuple[int, str, str]]
UNIT = Scale((0.0,), (1.0,))
NOISE = "gaussian:sigma=60"
QUICK: dict[str, Any] = {"maps": 4, "batch": 4, "steps": 6, "simulate": NOISE, "precision": "float32"}


def discs(count: int, side: int = 20, seed: int = 0) -> np.ndarray:
    """Bright discs of random places and sizes: images that are all alike, (count, side, side)."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side]
    middle, radius = rng.uniform(6, side - 6, (count, 2, 1, 1)), rng.uniform(3, 6, (count, 1, 1))
    away = np.hypot(y - middle[:, 0], x - middle[:, 1])
    return np.asarray(200 * np.clip(radius - away, 0, 1), np.float32)


def stack(count: int, side: int = 20, seed: int = 0) -> Image:
    return Image(discs(count, side, seed), "TYX")


# The network --------------------------------------------------------------------------------------


def test_the_network_has_the_papers_size_and_order() -> None:
    """32 and 64 maps, a code of 16, mirrored: counted by hand for 28 x 28."""
    net = Net(1, (28, 28))
    convolutions = 9 * (32 + 32 * 64 + 64 * 64 + 64 * 32 + 32) + (32 + 64 + 64 + 32 + 1)
    norms = 2 * (32 + 64 + 64 + 32)
    full = 7 * 7 * 64 * 16 * 2 + 16 + 7 * 7 * 64
    assert sum(p.numel() for p in net.parameters()) == convolutions + norms + full
    for stage in (*net.down, *net.up):
        assert [type(part) for part in stage][1:] == [nn.LeakyReLU, nn.BatchNorm2d]
    assert nn.ReLU in {type(part) for part in Net(1, (28, 28), activation="relu").modules()}


def test_all_of_an_image_goes_through_the_code() -> None:
    torch.manual_seed(0)
    net = Net(1, (12, 12), maps=4, latent=3).double().eval()

    def function(x: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", enabled=False):
            made: torch.Tensor = net.last(
                net.up(net.decode(net.encode(net.down(x).flatten(1))).unflatten(1, (8, 3, 3)))
            )
        return made

    jacobian = torch.func.jacrev(function)(torch.randn(1, 1, 12, 12, dtype=torch.float64))
    assert torch.linalg.matrix_rank(jacobian.reshape(144, 144)) == 3


@pytest.mark.parametrize(("size", "depth"), [((28, 28), 2), ((8, 16), 3), ((4, 12, 12), 1), ((20, 20), 1)])
def test_what_comes_out_is_as_large(size: tuple[int, ...], depth: int) -> None:
    net = Net(3, size, depth=depth, maps=2, kernel=5)
    x = torch.randn(2, 3, *size)
    assert net(x).shape == x.shape
    net(x).square().mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())


# One size -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("into", "out"), [(30, 12), (13, 5), (9, 8), (64, 16)])
def test_smaller_is_the_mean_of_an_area(into: int, out: int) -> None:
    """Each pixel as `out` small ones, of which `into` make a new one."""
    values = np.random.default_rng(0).normal(0, 1, (2, into, 7))
    fine = values.repeat(out, 1).reshape(2, out, into, 7).mean(2)
    np.testing.assert_allclose(resized(values, (out, 7)), fine, atol=1e-12)


def test_larger_is_linear_as_in_pytorch() -> None:
    values = np.random.default_rng(0).normal(0, 1, (2, 5, 9))
    peer = F.interpolate(torch.from_numpy(values)[None], (13, 21), mode="bilinear", align_corners=False)[0]
    np.testing.assert_allclose(resized(values, (13, 21)), peer.numpy(), atol=1e-12)


def test_resizing_keeps_the_mean_and_precision() -> None:
    image = np.random.default_rng(0).integers(0, 65536, (1, 60, 45)).astype(np.uint16)
    assert resized(image, (20, 11)).mean() == pytest.approx(image.mean(), rel=1e-5)
    large = np.full((1, 9, 9), 2**31 - 2, np.int32)
    assert (resized(large, (4, 4)) == 2**31 - 2).all()


@pytest.mark.parametrize(
    ("shape", "patch", "size"), [((28, 28), 52, 28), ((30, 27), 52, 32), ((96, 80), 52, 52), ((5, 6), 52, 8)]
)
def test_the_size_is_that_of_the_images_up_to_a_limit(shape: tuple[int, int], patch: int, size: int) -> None:
    images = np.random.default_rng(0).normal(100, 9, (3, *shape)).astype(np.float32)
    model = Autoencoder(**QUICK | {"steps": 1}, patch=patch).fit(Image(images, "TYX"))
    assert model.learned_["size"] == [size, size]


def test_what_is_finer_than_the_size_is_said_to_be_lost(tmp_path: Path) -> None:
    model = Autoencoder(**QUICK, patch=20).fit(stack(8))
    assert model.run(stack(2)).info["warnings"] == []
    rng = np.random.default_rng(0)
    for shape, figure in (((50, 70), 3.5), ((20, 21), 1.05)):
        with pytest.warns(HushWarning):
            result = model.run(rng.normal(100, 9, shape).astype(np.uint8))
        (found,) = result.info["warnings"]
        assert (found["code"], found["figure"]) == ("detail-lost", pytest.approx(figure))
        assert (result.image.data.shape, result.image.data.dtype) == (shape, np.uint8)


def test_an_image_twice_as_large_gives_the_same_twice_as_large() -> None:
    model = Autoencoder(**QUICK, patch=20).fit(stack(8))
    small = discs(1, seed=1)[0]
    with pytest.warns(HushWarning):
        large = model.denoise(small.repeat(2, 0).repeat(2, 1)).data
    expected = resized(model.denoise(small).data[None], (40, 40))[0]
    np.testing.assert_allclose(large, expected, atol=1e-3)


# What is shown ------------------------------------------------------------------------------------


def shown(copies: int | None, times: int) -> list[np.ndarray]:
    """The distinct noisy images of which one clean image is made in so many draws."""
    view = discs(1)
    source = _Wholes([view], (20, 20), UNIT, "none", None, parse(NOISE), "clean", copies=copies, copies_seed=0)
    batch = source.batch(times, np.random.default_rng(3))
    assert batch.target is not None
    assert torch.equal(batch.target[0], torch.from_numpy(view))
    return list(np.unique(batch.noisy.numpy(), axis=0))


def test_copies_have_noise_of_their_own_that_stays() -> None:
    assert [len(shown(copies, 40)) for copies in (1, 3, None)] == [1, 3, 40]
    residual = np.stack(shown(3, 40)) - discs(1)
    assert residual.std() == pytest.approx(60, rel=0.1)
    assert abs(np.corrcoef(residual.reshape(3, -1))[0, 1]) < 0.2


def test_noise_is_put_on_before_an_image_shrinks() -> None:
    """A mean of four pixels has half their noise: so it is when a noisy image is given."""
    view = np.zeros((1, 40, 40), np.float32)
    source = _Wholes([view], (20, 20), UNIT, "none", None, parse(NOISE), "clean", copies=None, copies_seed=0)
    assert float(source.batch(8, np.random.default_rng(0)).noisy.std()) == pytest.approx(30, rel=0.05)


def test_large_images_are_shown_no_more_often() -> None:
    views = [np.full((1, 8, 8), 1.0, np.float32), np.full((1, 80, 80), 2.0, np.float32)]
    batch = _Wholes(views, (8, 8), UNIT, copies=None, copies_seed=0).batch(400, np.random.default_rng(0))
    assert float(batch.noisy.mean()) == pytest.approx(1.5, abs=0.1)


def test_pixels_that_are_missing_do_not_count() -> None:
    view = np.random.default_rng(0).normal(100, 9, (1, 16, 16)).astype(np.float32)
    view[0, :8, :8] = np.nan
    batch = _Wholes([view], (8, 8), UNIT, "none", copies=None, copies_seed=0).batch(1, np.random.default_rng(0))
    assert batch.valid is not None
    assert int(batch.valid.sum()) == 64 - 16
    assert not batch.valid[0, 0, :4, :4].any()
    assert batch.noisy.isfinite().all()


@pytest.mark.parametrize(
    ("settings", "steps"),
    [
        ({"epochs": 3}, 3 * 5),  # 18 of 20 planes are learned from, 4 at once
        ({"epochs": 3, "copies": 5}, 3 * 23),
        ({"epochs": 3, "validation": 0.0}, 3 * 5),
        ({"epochs": 2, "validation": 0.5}, 2 * 3),
        ({"epochs": 3, "steps": 2}, 2),
    ],
)
def test_epochs_are_steps(settings: dict[str, Any], steps: int) -> None:
    model = Autoencoder(**QUICK | {"steps": None} | settings)
    before = model.settings
    model.fit(stack(20))
    assert model.history_[0].step == steps
    assert model.settings == before


def test_planes_are_held_out_whole_and_the_best_weights_are_taken() -> None:
    planes = Image(np.stack([np.full((8, 8), k, np.float32) for k in range(10)]), "TYX")
    seen: list[Any] = []

    class Spied(Autoencoder):
        def sources(self, *how: Any) -> Any:
            seen.extend(how[:2])
            return super().sources(*how)

    model = Spied(**QUICK, validation=0.3).fit(planes)
    kept, held = ({float(view.flat[0]) for scene in part for view in scene.views} for part in seen)
    assert (len(kept), len(held), kept & held) == (7, 3, set())
    assert all(view.shape == (1, 8, 8) for part in seen for scene in part for view in scene.views)
    pairs: Any = model.history_[0].validation
    losses: dict[Any, float] = dict(pairs)
    assert losses[model.history_[0].best] == min(losses.values())


def test_of_a_single_plane_nothing_is_held_out() -> None:
    model = Autoencoder(**QUICK).fit(discs(1)[0])
    assert model.history_[0].validation == []
    assert model.settings["validation"] == 0.1


# Learning -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("activation", ["leaky_relu", "relu"])
def test_it_learns_images_that_are_alike(activation: str) -> None:
    clean = stack(300)
    how: dict[str, Any] = {
        "activation": activation,
        "steps": 250,
        "maps": 8,
        "latent": 8,
        "learning_rate": 4e-3,
        "simulate": NOISE,
    }
    model = Autoencoder(**how).fit(clean)
    other = discs(20, seed=1)
    noisy = other + np.random.default_rng(2).normal(0, 60, other.shape).astype(np.float32)
    result = model.denoise(Image(noisy, "TYX")).data
    mean = np.broadcast_to(clean.data.mean(0), other.shape)
    assert psnr(result, other, 200) > max(psnr(noisy, other, 200), psnr(mean, other, 200)) + 5


def test_a_model_is_saved_loaded_and_gone_on_with(tmp_path: Path) -> None:
    model = Autoencoder(**QUICK, latent=5, activation="relu").fit(stack(8))
    save_model(model, tmp_path / "m.hush")
    loaded = hush.load(tmp_path / "m.hush", precision="float32")
    assert loaded.denoise(stack(2, seed=1)).data.tobytes() == model.denoise(stack(2, seed=1)).data.tobytes()
    # other images, of another size: the network keeps its own
    more = Autoencoder(**QUICK | {"learning_rate": 1e-12}, latent=5, activation="relu")
    more.fit(stack(8, side=40), start=loaded)
    assert more.learned_["size"] == [20, 20]
    for ours, theirs in zip(more.nets_[0].parameters(), loaded.nets_[0].parameters(), strict=True):  # type: ignore[union-attr]
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)


def test_interrupted_and_resumed_is_the_same_bytes(tmp_path: Path) -> None:
    how = QUICK | {"steps": None, "epochs": 3, "copies": 2}
    whole = Autoencoder(**how).fit(stack(8)).denoise(stack(2)).data

    def stop(network: int, networks: int, step: int, steps: int, loss: float) -> None:
        if step == 5:
            raise KeyboardInterrupt

    for start, progress in ((False, stop), (True, None)):
        model = Autoencoder(**how)
        try:
            model.fit(stack(8), checkpoint=tmp_path / "x.partial", resume=start, progress=progress)
        except KeyboardInterrupt:
            assert not start
    assert model.denoise(stack(2)).data.tobytes() == whole.tobytes()


@pytest.mark.parametrize(
    ("settings", "part"),
    [
        ({"patch": 4}, "8 or more"),
        ({"patch": 30}, "multiple of 4"),
        ({"depth": 0}, "depth"),
        ({"latent": 0}, "latent"),
        ({"activation": "tanh"}, "leaky_relu"),
        ({"copies": 0}, "copies"),
        ({"epochs": 0}, "epochs"),
        ({"epochs": 2, "seconds": 3.0}, "epochs"),
        ({"net": "dncnn"}, "net"),
        ({"residual": "input"}, "residual"),
    ],
)
def test_settings_that_make_no_sense(settings: dict[str, Any], part: str) -> None:
    with pytest.raises(HushError, match=part):
        Autoencoder(**settings).check()


def test_pairs_that_are_none_are_told() -> None:
    with pytest.raises(HushError, match="no pair"):
        Autoencoder(**QUICK | {"simulate": None}).fit(stack(4), Image(discs(3), "TYX"))
    with pytest.raises(HushError, match="--targets"):
        Autoencoder(**QUICK | {"simulate": None}).fit(stack(4))


def test_from_the_command_line(tmp_path: Path, run: Run) -> None:
    (tmp_path / "clean").mkdir()
    for k, image in enumerate(discs(6)):
        io.write(tmp_path / "clean" / f"{k}.png", Image(image.astype(np.uint8), "YX"))
    model = tmp_path / "m.hush"
    code, _, said = run("train", tmp_path / "clean", "--method", "autoencoder", "--noise", NOISE, "-o", model,
                        "--set", "epochs=2", "--set", "copies=3", "--set", "maps=4", "--set", "batch=4")  # fmt: skip
    assert code == 0, said
    loaded = hush.load(model)
    assert (loaded.settings["simulate"], loaded.settings["copies"]) == (NOISE, 3)
    assert loaded.history_[0].steps == 2 * 4  # 5 of the 6, 3 copies, 4 at once
    code, _, said = run("apply", model, tmp_path / "clean" / "0.png", "-o", tmp_path / "o.png", "--sharpen")
    assert code == 0, said
    assert io.read(tmp_path / "o.png").data.dtype == np.uint8
