"""What `auto` tries beside the network that it takes by default."""

from __future__ import annotations

from typing import Any

from hush.core.image import Image
from hush.estimation.report import MANY, NoiseReport
from hush.methods._base import Denoiser
from hush.pretrained import weights

CAMERA_KINDS = ("poisson", "poisson_gaussian")
LAWFUL = (*CAMERA_KINDS, "gaussian", "none")  # noise whose law the shipped network is told

Rival = tuple[str, dict[str, Any]]  # a method and its settings


def worth_a_trial(usual: Denoiser, report: NoiseReport, image: Image, *, doubted: bool, effort: str) -> list[Rival]:
    """Return what may be better than the default, best first.

    Parameters
    ----------
    usual : Denoiser
        The default, fitted.
    report : NoiseReport
    image : Image
    doubted : bool
        Whether something speaks against the default.
    effort : {"fast", "balanced", "thorough"}
    """
    mask = next((channel.mask for channel in report.channels if channel.mask), None)
    wanted: list[Rival] = []
    if usual.method == "finetuned" and effort == "balanced":
        wanted.append(("pretrained", {"best": True, "tta": True}))
    wanted.append(("bm3d", {}))
    if effort == "fast":
        return wanted
    if any(channel.impulses_removed >= MANY for channel in report.channels):  # noises over each other
        wanted.append(("noisebreaker", {}))
    if not mask and (doubted or any(channel.kind not in LAWFUL for channel in report.channels)):
        wanted.append(("noise2vst", {}))
    rival = weights.rival(image.samples(), usual.weights_used, best=True)
    if usual.weights_used and rival and not mask:
        wanted.append(("pretrained", {"weights": rival, "tta": True}))
    if doubted or not mask or effort == "thorough":
        wanted.append(("structn2v", {"mask": mask, "tta": True}) if mask else ("n2v", {"tta": True}))
    if effort == "thorough" and not mask:
        wanted.append(("ssdn", {}))
    return wanted
