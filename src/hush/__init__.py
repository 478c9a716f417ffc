"""hush removes noise from images when nobody has the clean ones."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME = {
    "HushError": "hush.errors",
    "HushWarning": "hush.errors",
    "Image": "hush.image",
    "read": "hush.io",
    "write": "hush.io",
    "psnr": "hush.metrics",
    "ssim": "hush.metrics",
    "rmse": "hush.metrics",
    "Result": "hush.denoiser",
    "load": "hush.denoiser",
    "denoise": "hush.jobs",
    "Noise2Void": "hush.methods.n2v",
    "N2V2": "hush.methods.n2v2",
    "StructN2V": "hush.methods.structn2v",
}
__all__ = sorted([*_HOME, "__version__"])

if TYPE_CHECKING:
    from hush.denoiser import Result, load
    from hush.errors import HushError, HushWarning
    from hush.image import Image
    from hush.io import read, write
    from hush.jobs import denoise
    from hush.methods.n2v import Noise2Void
    from hush.methods.n2v2 import N2V2
    from hush.methods.structn2v import StructN2V
    from hush.metrics import psnr, rmse, ssim


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: ``import hush`` stays light."""
    if name not in _HOME:
        raise AttributeError(f"module 'hush' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
