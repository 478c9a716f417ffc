"""Shared by the tests: small settings, small images, the command line in-process."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hush.methods._budget import Clock

DATA = Path(__file__).parents[2] / "shared" / "data"
SMALL: dict[str, Any] = {"steps": 6, "maps": 4, "batch": 2, "patch": 16}


@pytest.fixture(autouse=True)
def _same_threads() -> None:
    torch.set_num_threads(min(2, torch.get_num_threads()))


@pytest.fixture
def noisy() -> np.ndarray:
    """A smooth picture with Gaussian noise of sigma 20, float32."""
    y, x = np.mgrid[:48, :60]
    clean = 100 + 60 * np.sin(x / 9) * np.cos(y / 7)
    return np.asarray(clean + np.random.default_rng(0).normal(0, 20, clean.shape), np.float32)


@pytest.fixture
def data() -> Path:
    """Folder of the research data, where it is."""
    if not DATA.is_dir():
        pytest.skip("the research data (../shared/data) is not on this machine")
    return DATA


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run hush's command line in this process: (exit code, standard output, standard error)."""
    from hush.cli import main

    def call(*arguments: object) -> tuple[int, str, str]:
        code = main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


@pytest.fixture
def small() -> list[str]:
    """Options that make a training take a moment."""
    return ["--method", "n2v", "--steps", "6", "--set", "maps=4", "--set", "batch=2", "--set", "patch=16"]


@pytest.fixture
def computer(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let efforts have time for what a machine of this description can do; what runs, runs as this one can."""

    def described(precision: str, cores: int = 2, device: str = "cpu") -> None:
        def of(effort: str, _: str | None, wanted: str | None) -> Clock:
            return Clock(effort, device, wanted or precision, cores)

        monkeypatch.setattr(Clock, "of", of)

    return described


def records(text: str) -> list[dict[str, Any]]:
    """Read JSON lines."""
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def small_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a command takes when it is begun: the process of the tests has grown by all that ran before."""
    monkeypatch.setattr("hush.cli.streamed.memory_taken", lambda: 400 << 20)
