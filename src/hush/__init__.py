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
    "load": "hush.models",
    "denoise": "hush.jobs",
    "analyze": "hush.analysis",
    "NoiseReport": "hush.noisereport",
    "add_noise": "hush.simulate",
    "BM3D": "hush.methods.bm3d",
    "Auto": "hush.methods.auto",
    "Noise2Void": "hush.methods.n2v",
    "N2V2": "hush.methods.n2v2",
    "StructN2V": "hush.methods.structn2v",
    "Noise2Noise": "hush.methods.n2n",
    "Noise2Clean": "hush.methods.n2c",
    "SSDN": "hush.methods.ssdn",
}
__all__ = sorted([*_HOME, "__version__"])

if TYPE_CHECKING:
    from hush.analysis import analyze as analyze
    from hush.denoiser import Result as Result
    from hush.errors import HushError as HushError
    from hush.errors import HushWarning as HushWarning
    from hush.image import Image as Image
    from hush.io import read as read
    from hush.io import write as write
    from hush.jobs import denoise as denoise
    from hush.methods.auto import Auto as Auto
    from hush.methods.bm3d import BM3D as BM3D
    from hush.methods.n2c import Noise2Clean as Noise2Clean
    from hush.methods.n2n import Noise2Noise as Noise2Noise
    from hush.methods.n2v import Noise2Void as Noise2Void
    from hush.methods.n2v2 import N2V2 as N2V2
    from hush.methods.ssdn import SSDN as SSDN
    from hush.methods.structn2v import StructN2V as StructN2V
    from hush.metrics import psnr as psnr
    from hush.metrics import rmse as rmse
    from hush.metrics import ssim as ssim
    from hush.models import load as load
    from hush.noisereport import NoiseReport as NoiseReport
    from hush.simulate import add_noise as add_noise


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: ``import hush`` stays light."""
    if name not in _HOME:
        raise AttributeError(f"module 'hush' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
