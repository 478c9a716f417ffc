"""Trained models as files: safetensors with one metadata key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from hush import __version__
from hush.core import files, registry
from hush.core.device import device_of, memory_format, precision_of
from hush.core.errors import ModelFileError, SettingError
from hush.methods._learned import RUN_SETTINGS, NetDenoiser
from hush.training.normalization import Scale
from hush.training.trainer import State

FORMAT = 1
HISTORY = ("step", "steps", "losses", "validation", "best", "stopped")


def save_model(denoiser: NetDenoiser, path: str | Path, *, overwrite: bool = False, last: bool = False) -> None:
    """Write a fitted method to a file, atomically.

    Parameters
    ----------
    denoiser : NetDenoiser
        After `fit`.
    path : path
        By custom ``NAME.hush``.
    overwrite : bool
        Whether an existing file may be replaced.
    last : bool
        Write the weights at the end of training, not those that were best on the part held out.

    Raises
    ------
    HushError
        When nothing was fitted, the file exists, or it cannot be written.
    """
    path = Path(path)
    if not hasattr(denoiser, "nets_"):
        raise ModelFileError("there is nothing to save: call fit first")
    files.refuse_existing(path, overwrite)
    nets = [final or best for best, final in zip(denoiser.nets_, denoiser.lasts_, strict=True)]
    nets = nets if last else denoiser.nets_
    note = {
        "format": FORMAT,
        "method": denoiser.method,
        "parameters": {k: v for k, v in denoiser.settings.items() if k not in RUN_SETTINGS},
        "normalisation": [vars(scale) for scale in denoiser.scales_],
        "trained": [net is not None for net in nets],
        "axes": denoiser.axes_,
        "precision": denoiser.precision_,
        "learned": denoiser.learned_,
        "versions": {"hush": __version__, "torch": torch.__version__},
        "history": [{key: vars(state)[key] for key in HISTORY} for state in denoiser.history_],
    }
    tensors = {
        f"{index}/{key}": value.detach().cpu().contiguous()
        for index, net in enumerate(nets)
        if net is not None
        for key, value in net.state_dict().items()
    }
    files.write_bytes(path, save(tensors, {"hush": json.dumps(note, sort_keys=True)}))


def load(path: str | Path, **settings: Any) -> NetDenoiser:
    """Load a trained model.

    Parameters
    ----------
    path : path
        A file that `save_model` or ``hush train`` wrote.
    **settings
        How to run it: ``device, precision, tile, tta, renormalize, strength, strength_luma, strength_chroma,
        sharpen``.

    Returns
    -------
    NetDenoiser
        Ready to `denoise`.

    Raises
    ------
    HushError
        When the file is missing, damaged, no model of hush, or of a newer format.
    """
    path = Path(path)
    note, tensors = read(path)
    if note.get("method") == "noisebreaker":
        raise ModelFileError(
            f"{path.name} holds a noise for noisebreaker: hush denoise --method noisebreaker --set model={path.name}"
        )
    wrong = sorted(set(settings) - set(RUN_SETTINGS))
    if wrong:
        raise SettingError(f"a trained model's {wrong[0]} cannot be changed; possible: {', '.join(RUN_SETTINGS)}")
    try:
        model: NetDenoiser = registry.get("methods", note["method"])(**note["parameters"], **settings)
        model.check()
        model.device_ = device_of(model.device)
        model.precision_ = precision_of(model.device_, model.precision, model.ndim)
        model.axes_ = note["axes"]
        model.scales_ = [Scale(tuple(s["mean"]), tuple(s["std"])) for s in note["normalisation"]]
        model.learned_ = note["learned"]
        model.history_ = [State(**history) for history in note["history"]]
        model.nets_, model.lasts_ = [], [None] * len(note["trained"])
        for index, trained in enumerate(note["trained"]):
            net = None
            if trained:
                net = model.build(len(model.scales_[index].mean), model.ndim)
                model.equip(net, index)
                mine = {k.partition("/")[2]: v for k, v in tensors.items() if k.startswith(f"{index}/")}
                net.load_state_dict(mine)
                net = net.to(model.device_).eval()
                net = net.to(memory_format=memory_format(model.ndim))  # type: ignore[call-overload]
            model.nets_.append(net)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ModelFileError(f"{path.name} is damaged: {str(error).splitlines()[0]}") from None
    return model


def read(path: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """Return the note and the tensors of a model file.

    Raises
    ------
    HushError
        When the file is missing, damaged, no model of hush, or of a newer format.
    """
    if not path.is_file():
        raise ModelFileError(f"{path.name} is not there" if not path.exists() else f"{path.name} is not a file")
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ModelFileError(f"{path.name} is not a model, or damaged: {error}") from None
    try:
        note = json.loads(metadata["hush"])
    except (KeyError, ValueError):
        raise ModelFileError(f"{path.name} is a safetensors file, but not a model of hush") from None
    if note.get("format", 0) > FORMAT:
        by = note.get("versions", {}).get("hush", "a later version")
        raise ModelFileError(
            f"{path.name} has format {note['format']}, written by hush {by}; this is hush {__version__}"
        )
    return note, tensors
