"""The distribution: a wheel is built and installed, and README's Python block runs with it. Nothing is downloaded."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import site
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BUILD = "import sys; from setuptools import build_meta; print(build_meta.build_wheel(sys.argv[1]))"
pytestmark = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("setuptools", "pip")),
    reason="a wheel is built with setuptools and installed with pip",
)


def run(*words: object, cwd: Path) -> str:
    # as on the machine of somebody who has no checkout
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    done = subprocess.run([str(word) for word in words], cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy, so that the checkout stays as it is."""
    copy, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy2(ROOT / name, copy / name)
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(ROOT / "src", copy / "src", ignore=ignored)
    run(sys.executable, "-W", "ignore", "-c", BUILD, out, cwd=copy)
    (made,) = out.glob("*.whl")
    return made


def test_wheel_has_a_name_that_is_free_and_all_data(wheel: Path) -> None:
    assert wheel.name.startswith("hush_denoise-")
    inside = set(zipfile.ZipFile(wheel).namelist())
    source = ROOT / "src"
    wanted = {str(path.relative_to(source)) for path in (source / "hush").rglob("*") if path.is_file()}
    assert {name for name in wanted if "__pycache__" not in name and not name.endswith(".partial")} <= inside


def test_readme_runs_with_the_installed_wheel(wheel: Path, tmp_path: Path) -> None:
    home, elsewhere = tmp_path / "env", tmp_path / "elsewhere"
    elsewhere.mkdir()
    venv.create(home, with_pip=False, symlinks=True)
    binaries = home / ("Scripts" if os.name == "nt" else "bin")
    python = binaries / "python"
    (own,) = run(python, "-c", "import site; print(site.getsitepackages()[0])", cwd=elsewhere).splitlines()
    # It sees what the tests' environment has, but a plain path in a .pth reads no .pth there: no editable hush
    others = [path for path in [*site.getsitepackages(), site.getusersitepackages()] if Path(path).is_dir()]
    Path(own, "others.pth").write_text("\n".join(others), "utf-8")
    install = ("-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index", "--ignore-installed")
    run(sys.executable, *install, "--disable-pip-version-check", wheel, cwd=elsewhere)

    where = run(python, "-c", "import hush; print(hush.__file__)", cwd=elsewhere).strip()
    assert Path(where).is_relative_to(home)
    (block,) = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert "uint8" in run(python, "-c", block, cwd=elsewhere)
    assert "0." in run(binaries / "hush", "--version", cwd=elsewhere)
