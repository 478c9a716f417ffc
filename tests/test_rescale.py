"""Stored values and what they stand for: pages say the slope, intercept and unit, and call no stored figure by it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hush import io
from hush.core.image import Image
from hush.reports import _html, denoising

Run = Callable[..., tuple[int, str, str]]
STATED = {"slope": 2.5, "intercept": -1000.0, "unit": "HU"}


def test_the_residual_in_the_unit_that_is_known() -> None:
    rows = dict(denoising._measures(STATED, [4.0, None]))
    assert rows["Rescale"] == _html.rescale(STATED)
    (known,) = (row for name, row in rows.items() if name != "Rescale")
    assert known.split() == ["10", "HU"]
    assert denoising._measures(None, [4.0]) == denoising._measures({"slope": 1.0, "intercept": 0.0}, [4.0]) == []
    assert len(denoising._measures(STATED | {"unit": ""}, [4.0])) == 1  # without a unit there is no figure in it


def test_pages_and_records_of_a_file_with_a_slope(tmp_path: Path, run: Run) -> None:
    nib: Any = pytest.importorskip("nibabel")
    values = np.random.default_rng(0).normal(500, 20, (64, 60)).astype(np.int16)
    made = nib.Nifti1Image(values, np.eye(4))
    made.header.set_slope_inter(2.5, -1000)
    nib.save(made, tmp_path / "a.nii")
    stored = io.read(tmp_path / "a.nii")
    assert stored.meta["rescale"] == {"slope": 2.5, "intercept": -1000.0}
    words = ("denoise", tmp_path / "a.nii", "-o", tmp_path / "b.nii", "--method", "median", "-q")
    code, _, said = run(*words, "--results", tmp_path / "results", "--report", tmp_path / "page.html")
    assert code == 0, said
    facts = json.loads((tmp_path / "results" / "result.json").read_text())
    assert facts["input"]["rescale"] == {"slope": 2.5, "intercept": -1000}
    words_of_page = _html.rescale(facts["input"]["rescale"])
    assert words_of_page in (tmp_path / "page.html").read_text()
    code, printed, _ = run("analyze", tmp_path / "a.nii", "--report", tmp_path / "noise.html", "--json")
    assert code == 0
    assert json.loads(printed)["rescale"] == {"slope": 2.5, "intercept": -1000.0}
    assert words_of_page in (tmp_path / "noise.html").read_text()
    code, printed, _ = run("info", tmp_path / "a.nii", "--json")
    assert json.loads(printed)["rescale"] == {"slope": 2.5, "intercept": -1000.0}


def test_an_image_without_a_slope_states_none(tmp_path: Path, run: Run) -> None:
    io.write(tmp_path / "a.npy", Image(np.zeros((9, 9), np.uint8), "YX"))
    code, printed, _ = run("info", tmp_path / "a.npy", "--json")
    assert code == 0
    assert "rescale" not in json.loads(printed)
