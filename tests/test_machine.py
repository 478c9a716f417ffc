"""What is seen of a machine: cores, also in a container, and the precision it computes in."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hush.core import device
from hush.core.errors import HushError
from hush.methods.pretrained import Pretrained


@pytest.mark.parametrize(
    ("files", "most"),
    [
        ({"cpu.max": "400000 100000"}, 4),
        ({"cpu.max": "150000 100000"}, 2),  # one and a half
        ({"cpu.max": "25000 100000"}, 1),  # a quarter of one
        ({"cpu.max": "max 100000"}, 64),
        ({"cpu.max": "9000000 100000"}, 64),  # more than there are
        ({"cfs_quota": "300000", "cfs_period": "100000"}, 3),
        ({"cfs_quota": "-1", "cfs_period": "100000"}, 64),
        ({"cfs_quota": "300000"}, 64),
        ({}, 64),
    ],
)
def test_a_container_has_as_many_cores_as_it_is_given(
    files: dict[str, str], most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text + "\n", "ascii")
    quotas = (("cpu.max",), ("cfs_quota", "cfs_period"))
    monkeypatch.setattr(device, "QUOTAS", [[str(tmp_path / name) for name in names] for names in quotas])
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    assert device.cores() == most


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="processes are not bound to cores on this system")
def test_a_process_that_is_bound_to_a_core_has_one() -> None:
    bound = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})"
    told = "from hush.core.device import cores; print(cores())"
    done = subprocess.run([sys.executable, "-c", f"{bound}; {told}"], capture_output=True, text=True, check=True)
    assert int(done.stdout) == 1


def test_where_the_system_binds_no_process_all_cores_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(device, "QUOTAS", ())
    for found, cores in ((6, 6), (None, 1)):
        monkeypatch.setattr(os, "cpu_count", lambda found=found: found)
        assert device.cores() == cores


@pytest.mark.parametrize("native", [False, True])
def test_precision_is_what_is_asked_for_then_what_the_environment_says_then_the_processors(
    native: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HUSH_PRECISION", raising=False)
    monkeypatch.setattr(device, "native_bfloat16", lambda: native)
    assert device.precision_of("cpu") == ("bfloat16" if native else "float32")
    for said in device.PRECISIONS:
        monkeypatch.setenv("HUSH_PRECISION", said)
        assert device.precision_of("cpu") == device.precision_of("cuda") == device.precision_of("mps") == said
        assert [device.precision_of("cpu", wanted) for wanted in device.PRECISIONS] == list(device.PRECISIONS)
        assert device.precision_of("cpu", ndim=3) == "float32"  # the only one that is safe there
    for wrong in ("float16", "Float32"):
        monkeypatch.setenv("HUSH_PRECISION", wrong)
        with pytest.raises(HushError, match=rf"HUSH_PRECISION.*{wrong}.*bfloat16.*float32"):
            device.precision_of("cpu")


@pytest.mark.parametrize("precision", device.PRECISIONS)
def test_a_network_runs_in_what_the_environment_says(precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUSH_PRECISION", precision)
    noisy = np.random.default_rng(0).normal(100, 9, (32, 32)).astype(np.float32)
    assert Pretrained().fit(noisy).run(noisy).info["precision"] == precision


def test_a_process_is_not_charged_for_the_one_that_started_it() -> None:
    """On Linux the resource limits of a child begin at the size of its parent."""
    held = np.ones(60_000_000)  # 480 MB
    code = "from hush.core.device import peak_memory_mb; print(peak_memory_mb())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) < held.nbytes >> 20
