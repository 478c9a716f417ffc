"""What the documents say is run: blocks, examples, doctests, options, links."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import re
import runpy
import shlex
import sys
from pathlib import Path

import click
import numpy as np
import pytest

import hush
from hush.cli import hush as command_line
from hush.core.errors import HushWarning

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
MODULES = sorted(
    module.name for module in pkgutil.walk_packages(hush.__path__, "hush.") if not module.name.endswith("__main__")
)
PUBLIC = [
    "Auto", "BM3D", "HushError", "HushWarning", "Image", "N2V2", "Noise2Clean", "Noise2Noise", "Noise2Void",
    "NoiseReport", "Result", "SSDN", "StructN2V",
    "__version__", "add_noise", "analyze", "denoise", "load", "psnr", "read", "rmse", "ssim",
    "write",
]  # fmt: skip


def blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", path.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def test_public_names() -> None:
    assert hush.__all__ == PUBLIC
    for name in PUBLIC:
        assert getattr(hush, name) is not None
    with pytest.raises(AttributeError, match="no attribute"):
        hush.nonsense  # noqa: B018


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.filterwarnings("ignore::hush.core.errors.HushWarning")
def test_doctests(name: str) -> None:
    module = importlib.import_module(name)
    failed, _ = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert failed == 0


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_python_blocks_run(path: Path) -> None:
    for number, block in enumerate(blocks(path, "python")):
        # in a module of its own: dataclasses look their module up
        name = f"block_{path.stem}_{number}"
        module = type(sys)(name)
        sys.modules[name] = module
        exec(compile(block, f"{path.name}:{number}", "exec"), module.__dict__)


def test_the_example_method_of_contributing_works() -> None:
    (block,) = blocks(ROOT / "CONTRIBUTING.md", "python")
    module = type(sys)("shuffled")
    sys.modules["shuffled"] = module
    exec(block, module.__dict__)
    image = np.random.default_rng(0).normal(100, 9, (32, 32)).astype(np.float32)
    method = module.Shuffled.from_text(["shift=2", "maps=4"], steps=3, batch=2, patch=16)
    assert method.shift == 2
    assert method.fit(image).denoise(image).data.shape == (32, 32)


def commands(path: Path) -> list[list[str]]:
    lines = [line for block in blocks(path, "bash") for line in block.splitlines()]
    lines += re.findall(r"`(hush [^`]*)`", path.read_text("utf-8"))
    return [shlex.split(line, comments=True) for line in lines if line.startswith("hush ")]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_commands_exist_with_their_options(path: Path) -> None:
    for words in commands(path):
        if words[1].startswith("-"):
            continue
        command = command_line.commands[words[1]]
        known = {option for parameter in command.params for option in parameter.opts + parameter.secondary_opts}
        assert {word for word in words[2:] if word.startswith("-")} <= known, words


def test_every_option_has_help() -> None:
    for command in command_line.commands.values():
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert parameter.help, (command.name, parameter.name)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", path.read_text("utf-8")):
        assert link.startswith("http") or (path.parent / link).exists(), link


def test_reference_is_up_to_date() -> None:
    made = runpy.run_path(str(ROOT / "docs" / "make_reference.py"))
    assert (ROOT / "docs" / "reference.md").read_text("utf-8") == made["reference"](), "run `make docs`"


@pytest.mark.parametrize("name", ["stack_with_channels", "train_and_apply"])
def test_examples_run_and_denoise(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(ROOT / "examples" / f"{name}.py"), run_name="__main__")
    before, after = map(float, re.findall(r"(\d+\.\d) (?:before|after)", capsys.readouterr().out))
    assert after < before


def test_demo_runs_and_says_where(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = runpy.run_path(str(ROOT / "examples" / "demo.py"))
    assert made["demo"](tmp_path, 0.1) == 0
    said = capsys.readouterr().out
    for line in said.splitlines()[1:]:
        assert Path(line.split(maxsplit=1)[1].removeprefix("page ")).is_file()
    assert "page.html" in said


def test_picture_is_made(tmp_path: Path) -> None:
    made = runpy.run_path(str(ROOT / "examples" / "picture.py"))
    made["picture"](tmp_path / "x.png", hush.Noise2Void(steps=2, maps=2, batch=2))
    image = hush.read(tmp_path / "x.png")
    assert image.sizes == {"Y": 480, "X": 2 * (320 + 4 + 320), "S": 3}


def test_picture_of_what_is_chosen_shows_less_noise() -> None:
    made = runpy.run_path(str(ROOT / "examples" / "nothing_said.py"))
    row = made["row"](*made["ROWS"][0]).astype(float)
    side, step = made["SIDE"], made["SIDE"] + made["GAP"]
    assert row.shape == (side, 4 * side + 3 * made["GAP"], 3)
    noisy, ours, bm3d, clean = (row[:, k * step : k * step + side] for k in range(4))
    errors = [float(np.abs(one - clean).mean()) for one in (ours, bm3d, noisy)]
    assert errors == sorted(errors)


def test_warnings_are_a_kind_of_their_own() -> None:
    assert issubclass(HushWarning, UserWarning)
