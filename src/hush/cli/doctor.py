"""What this machine can do, for ``hush doctor``."""

from __future__ import annotations

import platform
import time

import torch

from hush.core.device import available_memory, body_precision, device_of, native_bfloat16, precision_of


def examine() -> dict[str, str | int | float | bool]:
    """Return what matters for speed and for repeating a result: versions, device, precision, memory, speed."""
    from hush import __version__

    device = device_of()
    precision = precision_of(device)
    return {
        "hush": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "system": platform.platform(),
        "device": device,
        "threads": torch.get_num_threads(),
        "native bfloat16": native_bfloat16(),
        "precision": precision,
        "free memory (GB)": round(available_memory() / 1e9, 1),
        "convolution (GFLOP/s)": round(_speed(device, precision)),
    }


def _speed(device: str, precision: str) -> float:
    """Time a typical convolution, best of five."""
    layer = torch.nn.Conv2d(64, 64, 3, padding=1).to(device)
    x = torch.zeros(8, 64, 128, 128, device=device).contiguous(memory_format=torch.channels_last)
    times = []
    with torch.inference_mode(), body_precision(device, precision):
        for _ in range(6):
            start = time.perf_counter()
            float(layer(x).sum())
            times.append(time.perf_counter() - start)
    return 2 * 9 * 64 * x.numel() / min(times[1:]) / 1e9
