"""Several methods on one image: figures with a reference, risk without one, and a folder for the page."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as Picture

from hush.core import files, registry
from hush.core.errors import HushError
from hush.core.image import Array, Image
from hush.core.metrics import scores
from hush.estimation.report import NoiseReport
from hush.methods._base import Denoiser, learning
from hush.pretrained.analyze import analyze
from hush.quality import risk
from hush.quality.estimate import Domain, hidden_risk, middle
from hush.vst.stabilizer import Stabilizer

FORMAT = 1
CROP_SHOWN = 1024  # longest side of a picture on the page
GOALS = {"psnr": "high", "ssim": "high", "rmse": "low", "risk": "low", "hidden": "low", "whiteness": "zero",
         "slope": "one", "offset": "zero", "seconds": "low", "memory_mb": "low"}  # fmt: skip


@dataclass
class Entry:
    """One method on the image.

    Attributes
    ----------
    method : str
    image : Image or None
        The result; None when the method failed.
    figures : dict
        ``psnr, ssim, rmse`` with a reference; ``risk, risk_error`` (SURE), ``hidden, hidden_error`` (masked pixels),
        ``whiteness, slope, offset`` without one; ``seconds, memory_mb``.
    note : str
        Why this method, or the error.
    """

    method: str
    image: Image | None = None
    figures: dict[str, float | None] = field(default_factory=dict)
    note: str = ""


def compare(
    image: Image,
    methods: Sequence[str],
    *,
    reference: Image | None = None,
    seconds: float = 30.0,
    seed: int = 0,
    hidden: bool = False,
    said: Callable[[str], None] = lambda text: None,
) -> list[Entry]:
    """Run methods on the same image, and judge each.

    Parameters
    ----------
    image : Image
    methods : sequence of str
        Names of ``hush list``.
    reference : Image, optional
        A clean image of the same shape.
    seconds : float
        For each method that is trained.
    seed : int
    hidden : bool
        Also measure the risk at masked pixels; learned methods are trained once more, without these pixels.
    said : callable, optional
        Told what is being done.

    Returns
    -------
    list of Entry
        In the order of `methods`; one that fails has no image and its error as note.
    """
    kinds = {name: registry.get("methods", name) for name in methods}
    if reference is not None and reference.data.shape != image.data.shape:
        raise HushError(f"the reference has shape {reference.data.shape}, and the image {image.data.shape}")
    report = analyze(image)
    entries = []
    for name, kind in kinds.items():
        said(f"{name} ...")

        def build(kind: Any = kind) -> Denoiser:
            known = {"seconds": seconds, "seed": seed}
            model: Denoiser = kind(**{key: value for key, value in known.items() if key in kind.settings_of()})
            return model

        try:
            entries.append(_entry(name, build, image, reference, report, hidden, seed))
        except HushError as error:
            entries.append(Entry(name, note=f"failed: {error}"))
    return entries


def _entry(
    name: str,
    build: Callable[[], Denoiser],
    image: Image,
    reference: Image | None,
    report: NoiseReport,
    hidden: bool,
    seed: int,
) -> Entry:
    import time
    import warnings

    begun = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = build().fit([image])
        result = model.run(Image(np.asarray(image.data, np.float32), image.axes, meta=image.meta))
        seconds = time.perf_counter() - begun
        figures: dict[str, float | None] = {}
        if reference is not None:
            figures |= {key: value for key, value in scores(result.image, reference).items() if key != "peak"}
        window = middle(image)
        domain = Domain(window, report)
        noisy = domain.stack(window.data, Stabilizer.forward)
        if np.isfinite(noisy).all():
            estimate = risk.sure(domain.through(model.denoise), noisy, domain.deviation(noisy), seed=seed)
            figures |= {"risk": estimate.value, "risk_error": estimate.error}
            if hidden:
                other = hidden_risk(model.denoise, domain, noisy, seed, learning(build))
                figures |= {"hidden": other.value, "hidden_error": other.error}
    whole = Domain(image, report)
    before = whole.stack(image.data, Stabilizer.forward)
    after = whole.stack(result.image.data, Stabilizer.forward_mean)
    figures |= {"whiteness": risk.residual(before, after)["whiteness"]}
    plain = whole.stack(image.data, lambda way, plane: plane), whole.stack(result.image.data, lambda way, plane: plane)
    figures |= {key: value for key, value in risk.residual(*plain).items() if key != "whiteness"}
    figures |= {"seconds": seconds, "memory_mb": result.info.get("peak_memory_mb")}
    return Entry(name, result.image, figures, str(result.info.get("reason") or ""))


def collect(
    folder: str | os.PathLike[str], noisy: Image, entries: Sequence[Entry], reference: Image | None, command: str
) -> None:
    """Write everything that the page shows into a folder: ``comparison.json`` (last) and 8-bit pictures.

    All pictures share one contrast, so that equal values look equal; residuals share another, with grey for zero.

    Parameters
    ----------
    folder : path
        Made when it does not exist.
    noisy : Image
    entries : sequence of Entry
    reference : Image or None
    command : str
        What was typed, without folders.
    """
    folder = Path(folder)
    record = folder / "comparison.json"
    with files.plain_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        record.unlink(missing_ok=True)  # a folder half written must not pass for a whole one
    before = _shown(noisy)
    truth = None if reference is None else _shown(reference)
    low, high = _contrast(before if truth is None else truth)
    good = [(entry.method, _shown(entry.image)) for entry in entries if entry.image is not None]
    with np.errstate(invalid="ignore"):  # of two infinite values the difference is missing
        residuals = [(method, before - after) for method, after in good]
    spread = 3 * max([_deviation(residual) for _, residual in residuals], default=0.0) or 1.0
    images = [("noisy", before)] + ([] if truth is None else [("reference", truth)]) + good
    pictures = [_save(folder, name, name, (values - low) / (high - low)) for name, values in images]
    pictures += [
        _save(folder, f"residual-{method}", f"residual of {method}", 0.5 + residual / (2 * spread), missing=0.5)
        for method, residual in residuals
    ]
    rows = [{"method": e.method, "figures": e.figures, "note": e.note, "failed": e.image is None} for e in entries]
    facts = {
        "format": FORMAT,
        "name": str(noisy.meta.get("name") or "image"),
        "sizes": noisy.sizes,
        "contrast": [float(low), float(high)],
        "pictures": pictures,
        "rows": rows,
        "goals": GOALS,
        "command": command,
    }
    files.write_json(record, facts)


def _shown(image: Image) -> Array:
    """Return the middle plane, (Y, X) or (Y, X, 3), cut to the size of the page."""
    planes = list(image.planes(2))
    view = np.asarray(planes[len(planes) // 2].view(image.data), np.float64)
    view = np.moveaxis(view, 0, -1) if len(view) == 3 else view[0]
    cuts = [
        slice(max(0, (size - CROP_SHOWN) // 2), max(0, (size - CROP_SHOWN) // 2) + CROP_SHOWN)
        for size in view.shape[:2]
    ]
    return view[tuple(cuts)]


def _contrast(values: Array) -> tuple[float, float]:
    """Return what is shown black and white: 0.2 to 99.8 percent of the finite values."""
    finite = values[np.isfinite(values)]
    low, high = (float(value) for value in np.percentile(finite, [0.2, 99.8])) if finite.size else (0.0, 1.0)
    return low, high if high > low else low + max(1.0, abs(low))  # of one value only: black


def _deviation(values: Array) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.std()) if finite.size else 0.0


def _save(folder: Path, name: str, label: str, values: Array, missing: float = 0.0) -> dict[str, str]:
    """Write values between 0 (black) and 1 (white) as 8 bits, for display only."""
    grey = np.clip(np.nan_to_num(values, nan=missing), 0, 1)
    with files.replacing(folder / f"{name}.png") as hidden:
        Picture.fromarray((grey * 255 + 0.5).astype(np.uint8)).save(hidden)
    return {"file": f"{name}.png", "label": label}
