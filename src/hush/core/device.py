"""What this machine can do: device, precision, cores, memory."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import psutil
import torch

from hush.core.errors import HushError

LIMITS = (  # (limit, used) of version 2 and 1 of Linux's control groups
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)
QUOTAS = (  # files that hold (microseconds of processor time that may be used, in so many), of version 2 and 1
    ("/sys/fs/cgroup/cpu.max",),
    ("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "/sys/fs/cgroup/cpu/cpu.cfs_period_us"),
)
PRECISIONS = ("bfloat16", "float32")


def precision_of(device: str, wanted: str | None = None, ndim: int = 2) -> str:
    """Choose the precision of a network's body: bfloat16 where the processor computes it natively.

    The environment variable ``HUSH_PRECISION`` replaces that choice: with ``float32``, machines of all kinds give
    results that are alike. What the user asks for goes before it.

    Parameters
    ----------
    device : str
        ``"cpu"``, ``"cuda"``, ``"mps"``.
    wanted : {"bfloat16", "float32"} or None
        What the user asked for.
    ndim : {2, 3}
        Volumes stay in float32 on the CPU: PyTorch's bfloat16 gradients of 3-D convolutions there are now
        and then not finite (seen with 2.13, one training in eight).

    Returns
    -------
    str
        ``"bfloat16"`` or ``"float32"``.
    """
    if ndim == 3 and device == "cpu":
        if wanted == "bfloat16":
            raise HushError("bfloat16 is not safe for volumes on the CPU; possible: float32, or --device cuda")
        return "float32"
    if wanted is not None:
        if wanted not in PRECISIONS:
            raise HushError(f"no precision {wanted!r}: possible are {' and '.join(PRECISIONS)}")
        return wanted
    if said := os.environ.get("HUSH_PRECISION"):
        if said not in PRECISIONS:
            raise HushError(f"HUSH_PRECISION is {said!r}: possible are {' and '.join(PRECISIONS)}, or leave it unset")
        return said
    if device.startswith("cuda"):
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    return "bfloat16" if device == "cpu" and native_bfloat16() else "float32"


@cache
def native_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 itself; emulating it is slower than float32."""
    for probe in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        if getattr(torch.cpu, probe, bool)():
            return True
    try:
        flags = Path("/proc/cpuinfo").read_text("utf-8", "ignore")
    except OSError:
        return False
    return " bf16" in flags  # Arm


def device_of(wanted: str | None = None) -> str:
    """Choose the device: the one asked for, else cuda, mps, cpu, whichever is there first."""
    if wanted is None:
        return "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        torch.empty(1, device=wanted)
    except (RuntimeError, AssertionError) as error:
        raise HushError(f"device {wanted!r} is not here ({str(error).splitlines()[0]}); try --device cpu") from None
    return wanted


def cores() -> int:
    """Count the cores that this process may use: what the system lets it use, and no more than its container may.

    Examples
    --------
    >>> cores() >= 1
    True
    """
    try:
        count = len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        count = os.cpu_count() or 1
    for files in QUOTAS:
        try:
            quota, period = (int(word) for file in files for word in Path(file).read_text("ascii").split())
        except (OSError, ValueError):  # another version of control groups, or "max": as many as there are
            continue
        if quota > 0 and period > 0:  # version 1 says -1 for as many as there are
            count = min(count, round(quota / period))
    return max(1, count)


def device_name(device: str) -> str:
    """Say in words what a device is."""
    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    return f"{device}, {torch.get_num_threads()} threads" if device == "cpu" else device


@contextmanager
def body_precision(device: str, precision: str) -> Iterator[None]:
    """Autocast a network's body; the networks keep their last layer and their sums in float32."""
    if device == "cpu":
        _keep_memory()
    with torch.autocast(device.split(":")[0], torch.bfloat16, enabled=precision == "bfloat16"):
        yield


@cache
def _keep_memory() -> None:
    """Let glibc keep what is freed: it returns blocks of megabytes to the system until one of up to 32 MiB was freed.

    Every layer's maps would be mapped and cleared anew: a seventh of the time of an image of 512 x 512.
    """
    torch.empty(31 << 20, dtype=torch.uint8)


def memory_format(ndim: int) -> torch.memory_format:
    """Channels last: two to five times as fast on CPUs in bfloat16."""
    return torch.channels_last if ndim == 2 else torch.channels_last_3d


def available_memory() -> int:
    """Return the bytes that can still be taken, never more than the container allows."""
    free = int(psutil.virtual_memory().available)
    for limit, used in LIMITS:
        try:
            free = min(free, int(Path(limit).read_text("ascii")) - int(Path(used).read_text("ascii")))
        except (OSError, ValueError):
            continue
    return max(free, 64 << 20)


UNITS_OF_MEMORY = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12} | {
    f"{letter}i": 1 << 10 * power for power, letter in enumerate("kmgt", 1)
}


def parse_memory(text: str) -> int:
    """Read an amount of memory: ``2GB``, ``500 MB``, ``1.5GiB``, or a share of what is free, ``50%``.

    Raises
    ------
    HushError
        When it is none.

    Examples
    --------
    >>> parse_memory("2GB"), parse_memory("1.5 GiB")
    (2000000000, 1610612736)
    """
    found = re.fullmatch(r"([0-9]*\.?[0-9]+) *([kmgt]?i?)b?", text.strip().lower())
    share = re.fullmatch(r"([0-9]*\.?[0-9]+) *%", text.strip())
    if share and 0 < float(share[1]) <= 100:
        return int(available_memory() * float(share[1]) / 100)
    if found is None or found[2] not in UNITS_OF_MEMORY or not float(found[1]):
        raise HushError(f"{text!r} is no amount of memory; give one as 2GB, 500MB, 1.5GiB, or 50% of what is free")
    return int(float(found[1]) * UNITS_OF_MEMORY[found[2]])


def memory_taken() -> int:
    """Return the bytes that this process takes now."""
    return int(psutil.Process().memory_info().rss)


def peak_memory_mb() -> int | None:
    """Return the largest resident size of this process so far, or None where the system does not say.

    On Linux `getrusage` answers with the size of the process that started this one where that was larger: it is asked
    only where `/proc` is not there.
    """
    try:
        lines = Path("/proc/self/status").read_text("utf-8").splitlines()
        return next(round(int(line.split()[1]) / (1 << 10)) for line in lines if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        pass
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1 << 20 if sys.platform == "darwin" else 1 << 10))
