"""hush removes noise from images when nobody has the clean ones."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME = {
    "HushError": "hush.core.errors",
    "HushWarning": "hush.core.errors",
    "Image": "hush.core.image",
    "read": "hush.io",
    "write": "hush.io",
    "psnr": "hush.core.metrics",
    "ssim": "hush.core.metrics",
    "rmse": "hush.core.metrics",
    "relative_change": "hush.quality.relative_change",
    "frc": "hush.quality.frc",
    "cnr": "hush.quality.contrast",
    "largest_errors": "hush.quality.error_maps",
    "Result": "hush.methods._base",
    "load": "hush.methods._model_file",
    "denoise": "hush._api",
    "analyze": "hush.pretrained.analyze",
    "NoiseReport": "hush.estimation.report",
    "add_noise": "hush.datasets.synthetic",
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
    from hush._api import denoise as denoise
    from hush.core.errors import HushError as HushError
    from hush.core.errors import HushWarning as HushWarning
    from hush.core.image import Image as Image
    from hush.core.metrics import psnr as psnr
    from hush.core.metrics import rmse as rmse
    from hush.core.metrics import ssim as ssim
    from hush.datasets.synthetic import add_noise as add_noise
    from hush.estimation.report import NoiseReport as NoiseReport
    from hush.io import read as read
    from hush.io import write as write
    from hush.methods._base import Result as Result
    from hush.methods._model_file import load as load
    from hush.methods.auto import Auto as Auto
    from hush.methods.bm3d import BM3D as BM3D
    from hush.methods.n2c import Noise2Clean as Noise2Clean
    from hush.methods.n2n import Noise2Noise as Noise2Noise
    from hush.methods.n2v import Noise2Void as Noise2Void
    from hush.methods.n2v2 import N2V2 as N2V2
    from hush.methods.ssdn import SSDN as SSDN
    from hush.methods.structn2v import StructN2V as StructN2V
    from hush.pretrained.analyze import analyze as analyze
    from hush.quality.contrast import cnr as cnr
    from hush.quality.error_maps import largest_errors as largest_errors
    from hush.quality.frc import frc as frc
    from hush.quality.relative_change import relative_change as relative_change


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: ``import hush`` stays light."""
    if name not in _HOME:
        raise AttributeError(f"module 'hush' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
