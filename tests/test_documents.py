"""What the documents say is run: blocks, examples, doctests, options, links."""

from __future__ import annotations

import doctest
import importlib
import inspect
import os
import pkgutil
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest

import hush
from hush.bench import runner
from hush.cli import hush as command_line
from hush.core import registry
from hush.core.errors import HushWarning

ROOT = Path(__file__).parents[1]
MADE = {"_build", "gallery", "generated", "methods"}  # folders of docs/ that the site's build makes
PAGES = sorted(path for path in (ROOT / "docs").rglob("*.md") if path.relative_to(ROOT / "docs").parts[0] not in MADE)
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *PAGES]
EXAMPLES = sorted((ROOT / "examples").glob("plot_*.py"))
MODULES = sorted(
    module.name for module in pkgutil.walk_packages(hush.__path__, "hush.") if not module.name.endswith("__main__")
)
PUBLIC = [
    "Auto", "BM3D", "HushError", "HushWarning", "Image", "N2V2", "Noise2Clean", "Noise2Noise", "Noise2Void",
    "NoiseReport", "Result", "SSDN", "StructN2V",
    "__version__", "add_noise", "analyze", "cnr", "denoise", "frc", "largest_errors", "load", "psnr", "read",
    "relative_change", "rmse", "ssim", "write",
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


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shell_completion_is_as_documented(shell: str) -> None:
    (found,) = set(re.findall(rf"(\w+)={shell}_source hush", (ROOT / "docs/howto.md").read_text("utf-8")))
    current = "--eff" if shell == "fish" else "2"  # fish passes the word, the others its place
    environment = os.environ | {found: f"{shell}_complete", "COMP_WORDS": "hush denoise --eff", "COMP_CWORD": current}
    words = [sys.executable, "-m", "hush"]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert "--effort" in done.stdout


@pytest.mark.parametrize("name", sorted(command_line.commands))
def test_every_command_has_an_example_that_it_takes(name: str) -> None:
    command = command_line.commands[name]
    program, called, *words = shlex.split((command.epilog or "").removeprefix("Example: "))
    assert (program, called) == ("hush", name)
    command.make_context(name, words).close()


def test_every_option_has_help() -> None:
    for command in command_line.commands.values():
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert parameter.help, (command.name, parameter.name)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", path.read_text("utf-8")):
        made = path.parent == ROOT / "docs" and Path(link).parts[0] in MADE
        assert made or link.startswith("http") or (path.parent / link).exists(), link


def made_by(script: str) -> dict[str, Any]:
    return runpy.run_path(str(ROOT / script))


def test_the_summary_of_the_benchmarks_is_up_to_date() -> None:
    made = made_by("docs/make_summary.py")
    assert made["TARGET"].read_text("utf-8") == made["summary"](), "run `make docs`"
    assert {path.stem for path in made["PAGES"].glob("*.md")} == {*made["ORDER"], "index"}


def test_every_recipe_has_one_table_and_every_decision_a_line() -> None:
    marks = [name for path in PAGES for name in re.findall(r"^<!-- bench:(.*) -->$", path.read_text("utf-8"), re.M)]
    assert sorted(marks) == runner.names()
    listed = (ROOT / "docs/decisions/index.md").read_text("utf-8")
    for path in sorted((ROOT / "docs/decisions").glob("[0-9]*.md")):
        text = path.read_text("utf-8")
        assert f"({path.name})" in listed
        assert re.findall(r"^## (.*)$", text, re.M) == ["Context", "Decision", "Figures"], path.name
        assert len(text.splitlines()) < 60, f"{path.name} is more than a page"


def test_tables_carry_what_their_recipes_say() -> None:
    """A table made again must not bring an old title or an unmarked training image back."""
    for path in PAGES:
        text = path.read_text("utf-8")
        for name in re.findall(r"^<!-- bench:(.*) -->$", text, re.M):
            recipe = runner.load(name)
            assert f"<!-- bench:{name} -->\n### {recipe['title']}\n\n{recipe['about']}\n" in text, name
            if any(data["name"] == "Set12" for data in recipe["data"]):
                assert "12003" in recipe["about"], f"{name} has the starfish, which is a crop of a training image"


def rows_of_readme() -> list[list[str]]:
    text = (ROOT / "README.md").read_text("utf-8").partition("## How good it is")[2].partition("## Methods")[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"][2:]


def test_the_table_of_the_readme_is_that_of_the_benchmarks_and_bold_only_where_it_is_sure() -> None:
    made = made_by("docs/make_summary.py")
    rows = made["table"]("auto") + made["table"]("photographs") + made["table"]("smartphones")
    names = {"FMD": "FMD", "W2S": "W2S 009-016", "low-count": "Set12", "sigma 25": "Set12"}
    names |= {"PolyU": "PolyU", "SIDD": "SIDD"}
    noises = {"low-count": "poisson:photons=30", "sigma 25": "gaussian:sigma=25"}
    last, seen = "", 0
    for what, *scores, difference in rows_of_readme():
        fitted = "not fitted" not in what
        last = next((name for name in names if name in what), last)
        key = (names[last], noises.get(last, "real"))
        found = {row["method"]: row for row in rows if (row["data"], row["noise"]) == key}
        column = "PSNR" if fitted else "not fitted"
        known = [found[name][column] if name in found else "" for name in ("noisy", "auto", "bm3d", "n2v")]
        assert [score.strip("*") for score in scores] == known, what
        if fitted:
            assert difference == found["auto"]["against baseline"], what
            assert scores[1].startswith("**") == made["surely"](difference), what
        assert not any("*" in scores[k] for k in (0, 2, 3)), what
        seen += 1
    assert seen == 8


def test_python_page_has_every_public_name() -> None:
    listed = re.findall(r"^   (\w+)$", (ROOT / "docs/api.md").read_text("utf-8"), re.M)
    assert sorted(listed) == sorted(set(PUBLIC) - {"__version__"})


OLD = "neighbours share|few photons|at peace with|two witnesses|trained further|turned images|deviation a pixel"


@pytest.mark.parametrize("path", DOCUMENTS, ids=str)
def test_documents_speak_the_words_of_the_field(path: Path) -> None:
    if path.name != "glossary.md":
        assert not re.findall(f"{OLD}|nothing said", path.read_text("utf-8"), re.I)


def test_citation_names_this_version() -> None:
    assert f"version: {hush.__version__}\n" in (ROOT / "CITATION.cff").read_text("utf-8")


@pytest.mark.parametrize("name", ["stack_with_channels", "train_and_apply"])
def test_examples_run_and_denoise(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(ROOT / "examples" / f"{name}.py"), run_name="__main__")
    before, after = map(float, re.findall(r"(\d+\.\d) (?:before|after)", capsys.readouterr().out))
    assert after < before


@pytest.mark.filterwarnings("ignore::hush.core.errors.HushWarning")
def test_demo_prints_the_gain_of_a_real_image_and_of_one_whose_truth_is_known(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = made_by("examples/demo.py")
    assert made["real"](tmp_path, tmp_path / "no research data here") == 0
    assert made["simulated"](tmp_path, 64) == 0
    lines = [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines() if line.startswith("  ")]
    assert [word for word, _ in lines] == ["gain", "before", "after", "page"] * 2
    assert all(Path(text).is_file() for word, text in lines if word != "gain")
    (before, after), (gain, *both) = (
        map(float, re.findall(r"[+-]?\d+\.\d", text)) for word, text in lines if word == "gain"
    )
    assert after < before
    assert gain > 5
    assert both[1] - both[0] == pytest.approx(gain, abs=0.11)


def test_picture_of_what_is_chosen_shows_less_noise() -> None:
    made = made_by("examples/automatic.py")
    row = made["row"](*made["ROWS"][0]).astype(float)
    side, step = made["SIDE"], made["SIDE"] + made["GAP"]
    assert row.shape == (side, 4 * side + 3 * made["GAP"], 3)
    noisy, ours, bm3d, clean = (row[:, k * step : k * step + side] for k in range(4))
    errors = [float(np.abs(one - clean).mean()) for one in (ours, bm3d, noisy)]
    assert errors == sorted(errors)


def test_the_first_picture_shows_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pictures of the gallery need matplotlib; hush does not."""
    pytest.importorskip("matplotlib").use("Agg")
    monkeypatch.setattr(sys, "argv", ["plot", str(tmp_path / "x.png")])
    shown = runpy.run_path(str(ROOT / "examples/plot_low_count_cells.py"))
    assert shown["scores"]["hush"] > shown["scores"]["BM3D"] > shown["scores"]["noisy"] + 5
    assert hush.read(tmp_path / "x.png").sizes["X"] > 800


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_pictures_of_the_gallery_have_a_title_and_compile(path: Path) -> None:
    text = path.read_text("utf-8")
    assert re.match(r'"""\n.+\n=+\n\n', text)
    compile(text, str(path), "exec")


@pytest.mark.parametrize("name", registry.names("methods"))
def test_every_method_has_what_its_page_needs(name: str) -> None:
    """Formula, reference, when to use it, what to raise and lower: in the docstring, of which the page is made."""
    text = inspect.getdoc(registry.get("methods", name)) or ""
    for needed in ("\n::\n\n    ", "References\n----------", "Use it", "Raise", "ower "):
        assert needed in text, f"{name}: {needed}"


def test_warnings_are_a_kind_of_their_own() -> None:
    assert issubclass(HushWarning, UserWarning)
