"""Other people's denoisers as rows of the same experiment, where they are installed; hush depends on none."""

from __future__ import annotations

import importlib.util
import tempfile
from typing import Any

import numpy as np

from hush.core.errors import unknown

Array = Any
PEERS = ("noisy", "bm3d", "careamics", "skimage-nlm", "skimage-tv", "skimage-wavelet")


def run_peer(name: str, noisy: Array, settings: dict[str, Any]) -> Array:
    """Denoise with a peer, as its user would.

    Parameters
    ----------
    name : str
        One of `PEERS`; ``noisy`` gives the image back.
    noisy : array of float32, shape (Y, X)
    settings : dict
        ``sigma`` for filters; ``epochs`` and ``seed`` for CAREamics.

    Raises
    ------
    ImportError
        When the peer is not installed.
    HushError
        For an unknown name.
    """
    sigma = float(settings.get("sigma", 0))
    if name == "noisy":
        return noisy
    if name == "bm3d":
        import bm3d

        return np.asarray(bm3d.bm3d(noisy, sigma), np.float32).reshape(noisy.shape)
    if name == "careamics":
        return _careamics(noisy, int(settings.get("epochs", 100)), int(settings.get("seed", 0)))
    if name not in PEERS:
        raise unknown("peer", name, PEERS)
    from skimage import restoration

    if name == "skimage-nlm":
        return restoration.denoise_nl_means(noisy, 5, 6, 0.8 * sigma, sigma=sigma, fast_mode=True)
    if name == "skimage-tv":
        return restoration.denoise_tv_chambolle(noisy / 255, weight=0.8 * sigma / 255) * 255  # type: ignore[no-untyped-call]
    return restoration.denoise_wavelet(noisy, sigma, rescale_sigma=False)


def _careamics(noisy: Array, epochs: int, seed: int) -> Array:
    """Noise2Void of CAREamics 0.3, trained on the image itself: 16 patches of 64 x 64 a step."""
    if importlib.util.find_spec("careamics") is None:
        raise ImportError("careamics is not installed: pip install careamics")
    import torch

    try:
        import torchvision  # noqa: F401
    except RuntimeError:  # of another torch: its compiled operators are not used, but looked up at import
        torch.library.define("torchvision::nms", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    from careamics import CAREamist
    from careamics.config import create_advanced_n2v_config

    with tempfile.TemporaryDirectory() as folder:  # checkpoints and logs
        config = create_advanced_n2v_config(
            experiment_name="n2v",
            data_type="array",
            axes="YX",
            patch_size=[64, 64],
            batch_size=16,
            num_epochs=epochs,
            seed=seed + 1,  # it must be positive
        )
        tool = CAREamist(config=config, work_dir=folder, enable_progress_bar=False)
        tool.train(train_data=noisy)
        (prediction,), _ = tool.predict(noisy)
    return np.asarray(prediction, np.float32).reshape(noisy.shape)
