"""LSM of Zeiss and STK of MetaMorph: TIFF files with tags of their own, from which the pixel size comes; read only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hush.core.image import Image
from hush.io import tiff
from hush.io._common import positive

SUFFIXES = (".lsm", ".stk")
METRE = 1e6  # micrometres


def read(path: Path, axes: str | None) -> Image:
    """Read the first series at full resolution; pixel sizes in µm, the time step in seconds."""
    import tifffile

    image = tiff.read(path, axes)
    with tifffile.TiffFile(path) as file:
        lsm: dict[str, Any] = file.lsm_metadata or {}
        stk: dict[str, Any] = file.stk_metadata or {}
    steps = {axis: (positive(lsm.get(f"VoxelSize{axis}")) or 0) * METRE for axis in "XYZ"}
    if str(stk.get("CalibrationUnits", "")).lower().replace("µ", "u") in ("um", "micron", "microns"):
        steps |= {axis: positive(stk.get(f"{axis}Calibration")) or 0 for axis in "XY"}
    steps["T"] = positive(lsm.get("TimeInterval")) or positive(lsm.get("TimeIntervall")) or 0
    scale = {axis: step for axis, step in steps.items() if step and axis in image.axes}
    meta = {key: value for key, value in image.meta.items() if key not in ("tiff", "description")}
    names = (lsm.get("ChannelColors") or {}).get("ColorNames") or []
    if len(names) == image.channels and all(names):
        meta["channels"] = [str(name) for name in names]
    return Image(image.data, image.axes, scale or image.scale, "µm" if scale else image.unit, meta)
