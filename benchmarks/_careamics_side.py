"""CAREamics' half of vs_careamics.py: run by the python of CAREamics' own environment, not by hush's.

One argument, a JSON object: `image` (path of a grey TIFF), `seed`, `epochs`, `precision`, and either
`prediction` (path of the .npy to write: one timed training and prediction) or `side` (the width of the
image to be predicted three times) with `tile` (0: untiled). One JSON object is printed, as the last line.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any


def import_careamics() -> tuple[Any, Any]:
    """Import what a user of CAREamics imports."""
    import torch

    try:
        import torchvision  # noqa: F401
    except RuntimeError:
        # torchvision's compiled operators are of another torch. CAREamics' U-Net uses none, but the
        # package looks one of them up when it is imported: declare it, and the import goes through.
        torch.library.define("torchvision::nms", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    from careamics import CAREamist
    from careamics.config import create_advanced_n2v_config

    return CAREamist, create_advanced_n2v_config


def main() -> None:
    job: dict[str, Any] = json.loads(sys.argv[1])
    begin = perf_counter()
    careamist, create_config = import_careamics()
    result: dict[str, Any] = {"import_s": perf_counter() - begin}

    import numpy as np
    import tifffile
    import torch
    from careamics import __version__

    image = tifffile.imread(job["image"]).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:  # checkpoints and logs
        begin = perf_counter()
        config = create_config(
            experiment_name="n2v",
            data_type="array",
            axes="YX",
            patch_size=[64, 64],
            batch_size=16,
            num_epochs=job["epochs"],
            trainer_params={"precision": job["precision"]},
            seed=job["seed"] + 1,  # it must be positive
        )
        tool = careamist(config=config, work_dir=folder, enable_progress_bar=False)
        tool.train(train_data=image)
        fitted = perf_counter()
        if "prediction" in job:
            (prediction,), _ = tool.predict(image)
            done = perf_counter()
            result |= {"fit_s": fitted - begin, "predict_s": done - fitted}
            np.save(Path(job["prediction"]), np.asarray(prediction, np.float32).reshape(image.shape))
        else:
            height, width = image.shape
            large = np.pad(image, ((0, job["side"] - height), (0, job["side"] - width)), "symmetric")
            tile = {"tile_size": (job["tile"], job["tile"]), "tile_overlap": (48, 48)} if job["tile"] else {}
            seconds = []
            for _ in range(3):
                begin = perf_counter()
                tool.predict(large, **tile)
                seconds.append(perf_counter() - begin)
            result["predict_s"] = sorted(seconds)[1]
        result["steps"] = tool.trainer.global_step
    print(json.dumps(result | {"version": f"careamics {__version__}, torch {torch.__version__}"}))


if __name__ == "__main__":
    main()
