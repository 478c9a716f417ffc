"""Weights: networks that come with hush, trained beforehand on clean images, each with its card."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from hush.core import files, registry
from hush.core.device import memory_format
from hush.core.errors import HushError, unknown

FORMAT = 1
HERE = Path(__file__).parent
KEY = "hush-weights"
WEIGHTS = {  # what ships for so many colours, without and with a camera's noise; the first that is here is taken
    (1, False): ("gaussian-fast",),
    (1, True): ("camera-fast", "gaussian-fast"),
    (3, False): ("colour-fast", "gaussian-fast"),
    (3, True): ("camera-fast", "gaussian-fast"),
}
BLIND = "photograph-fast"  # those that are told nothing of the noise
FAST, BEST = "-fast", "-best"  # how the names of weights end: of less arithmetic, and of more, where there are any


def cache() -> Path:
    """Return the folder of weights that were put there by hand: ``HUSH_WEIGHTS``, or one in the user's cache."""
    return Path(os.environ.get("HUSH_WEIGHTS") or Path.home() / ".cache" / "hush" / "weights")


def paths() -> dict[str, Path]:
    """Return the files of all weights by name; one in the cache goes before a shipped one."""
    found: dict[str, Path] = {}
    for folder in (HERE, cache()):
        if folder.is_dir():
            found |= {path.stem: path for path in sorted(folder.glob("*.safetensors"))}
    return found


def suited(samples: int, camera: bool, best: bool = False) -> str:
    """Return the name of the weights for an image of so many colours, whose noise is white and Gaussian or not.

    With `best` those of more arithmetic, where there are any.
    """
    names = WEIGHTS[samples if samples in (1, 3) else 1, camera]
    here = paths()
    return _better(next((name for name in names if name in here), names[-1]), best)


def rival(samples: int, taken: str, best: bool = False) -> str | None:
    """Return the name of other weights that may suit an image of so many colours too; None where there are none."""
    here, count = paths(), samples if samples in (1, 3) else 1
    names = (*WEIGHTS[count, False], *WEIGHTS[count, True])
    other = next((name for name in names if name in here and name != taken.replace(BEST, FAST)), None)
    return other and _better(other, best)


def _better(name: str, best: bool) -> str:
    """The weights of the same kind and of more arithmetic, if they are asked for and here."""
    better = name.replace(FAST, BEST)
    return better if best and better in paths() else name


def card(name: str) -> dict[str, Any]:
    """Return what is known of some weights.

    Returns
    -------
    dict
        ``title, net, settings, channels, sigma, licence, data, training, scores``, and of the file ``parameters``,
        ``bytes`` and ``sha256``.

    Raises
    ------
    HushError
        When they are missing or damaged.
    """
    return _read(name)[0]


@lru_cache(maxsize=8)
def load(name: str, device: str = "cpu") -> tuple[nn.Module, dict[str, Any]]:
    """Return a network with its weights, ready to be applied, and its card.

    It maps (B, `inputs_of` its card, Y, X), noisy channels in -0.5 to 0.5 and for each a plane with its noise's
    standard deviation in the same units, to (B, C, Y, X).

    Raises
    ------
    HushError
        When they are missing or damaged.
    """
    note, values = _read(name)
    try:
        net = build(note)
        net.load_state_dict({key: value.float() for key, value in values.items()})
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise HushError(f"the weights {name} are damaged: {str(error).splitlines()[0]}") from None
    net = net.to(device).eval().requires_grad_(False)
    return net.to(memory_format=memory_format(2)), note  # type: ignore[call-overload]


def inputs_of(note: dict[str, Any]) -> int:
    """Return the planes that a network sees: channels and their levels; one that is told nothing, channels only.

    One for camera noise also sees how far below its level the noise of each channel is, where photons are few; which
    pixels are lost; and the correlation of neighbours along Y and along X.

    Examples
    --------
    >>> inputs_of({"channels": 3}), inputs_of({"channels": 1, "camera": {"shared": 0.4, "longest": 1.4}})
    (6, 6)
    """
    channels = int(note["channels"])
    if note.get("blind"):
        return channels
    return 3 * channels + 3 if note.get("camera") else 2 * channels


def build(note: dict[str, Any]) -> nn.Module:
    """Build the network of a card or a recipe, untrained."""
    net: nn.Module = registry.get("nets", note["net"])(inputs_of(note), note["channels"], ndim=2, **note["settings"])
    return net


def write(path: Path, net: nn.Module, note: dict[str, Any]) -> None:
    """Write weights in half precision and, beside them, their card for people.

    Parameters
    ----------
    path : Path
        ``NAME.safetensors``.
    net : Module
    note : dict
        See `card`.
    """
    halves = {key: value.detach().cpu().half().contiguous() for key, value in net.state_dict().items()}
    data = save(halves, {KEY: json.dumps({"format": FORMAT} | note, sort_keys=True)})
    files.write_bytes(path, data)
    files.write_text(path.with_suffix(".md"), as_text(path.stem, note))


def _share(share: float | Sequence[float]) -> str:
    return f"{share:.0%}" if isinstance(share, int | float) else ", then ".join(f"{one:.0%}" for one in share)


def as_text(name: str, note: dict[str, Any]) -> str:
    """Return a card in Markdown."""
    training = note["training"]
    lines = [f"# {name}", "", note["title"], "",
             f"- Network: `{note['net']}` {note['settings']}, {training['parameters']:,} weights in float16.",
             f"- Noise: {_noise(note)}; channels: {note['channels']}.",
             f"- Licence: {note['licence']}.",
             f"- Trained for {_steps(training['cycles'])} pixels "
             f"({training['gigapixels']:.2f} Gpixel) in {training['hours']:.1f} h on {training['device']}, "
             f"seed {training['seed']}.",
             *([f"- Begun with the weights `{note['begin']}`."] if "begin" in note else []),
             f"- Command: `{training['command']}`", "", "## Trained on", "",
             "| images | number | share | licence |", "| --- | --- | --- | --- |"]  # fmt: skip
    lines += [f"| {d['name']} | {d['images']} | {_share(d['share'])} | {d['licence']} |" for d in note["data"]]
    lines += ["", "## Scores", "", f"{_scored(note)}, peak 255.", "",
              "| images | noise | PSNR |", "| --- | --- | --- |"]  # fmt: skip
    lines += [f"| {s['name']} | {s['noise']} | {s['psnr']:.2f} |" for s in note["scores"]]
    return "\n".join(lines) + "\n"


def _steps(cycles: Sequence[dict[str, Any]]) -> str:
    said = []
    for one in cycles:
        more = f" (error over level to the power {one['power']})" if "power" in one else ""
        more += f" ({one['amplified']:.0%} of photon noise amplified by chance)" if "amplified" in one else ""
        said.append(f"{one['steps']:,} steps of {one['batch']} x {one['patch']}²{more}")
    return ", then ".join(said)


def _scored(note: dict[str, Any]) -> str:
    if note.get("blind"):
        return "One frozen photograph a scene, against the one without noise; in brackets what came out of the camera"
    return "Noise of known level, one frozen draw an image, unclipped"


def _noise(note: dict[str, Any]) -> str:
    if note.get("blind"):
        return "a camera's, smoothed and compressed, of which nothing is told; values of 0 to 255"
    low, high = note["sigma"]
    plain = f"Gaussian, of known level, {low:g} to {high:g} of a range of 255"
    if "camera" not in note:
        return plain
    how = note["camera"]
    smeared = f", smeared in {how['smeared']:.0%} of those" if how.get("smeared") else ""
    return (
        f"{plain}; in {how['shared']:.0%} of the patches neighbours share it, smoothed over up to {how['longest']:g} "
        "pixels; "
        f"{how['photons']:.0%} have photon noise of {how['least']:g} to {how['most']:g} photons at white, stabilised"
        f"{smeared}; in {how['lost']:.0%} some pixels are lost"
    )


def tensors(path: Path) -> dict[str, torch.Tensor]:
    """Return what a file holds, in float16."""
    return _open(path)[1]


def _open(path: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    try:
        with safe_open(path, "pt") as file:
            note = json.loads((file.metadata() or {})[KEY])
            return note, {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise HushError(f"the weights {path.name} are damaged or not hush's: {error}") from None


def _read(name: str) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    found = paths()
    if name not in found:
        raise unknown("weights", name, found)
    path = found[name]
    note, values = _open(path)
    if note.get("format", 0) > FORMAT:
        raise HushError(f"the weights {path.name} have format {note['format']}: a later hush wrote them")
    facts = {"bytes": path.stat().st_size, "parameters": sum(value.numel() for value in values.values())}
    return note | facts | {"sha256": hashlib.sha256(path.read_bytes()).hexdigest()}, values
