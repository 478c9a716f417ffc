"""Several processes train one network: the same as one process with all of their patches."""

from __future__ import annotations

import copy
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from safetensors import safe_open
from torch import Tensor, nn
from torch.distributed import TCPStore  # type: ignore[attr-defined]  # it is public, and its types say nothing

import hush
from hush import cli
from hush.cli import _training
from hush.core.errors import HushError
from hush.core.launched import Launched, launched
from hush.training.processes import ONE_PROCESS, Processes, current
from hush.training.train_network import Task
from hush.training.trainer import Schedule, Trainer

Run = Callable[..., tuple[int, str, str]]
STEPS = 30
BATCH = 4
# a network that predicts the whole image, not what the mean of the neighbours lacks, has much to learn
LEARN: dict[str, Any] = {"maps": 4, "patch": 16, "residual": "none", "learning_rate": 0.02}
SETS = [word for name, value in LEARN.items() for word in ("--set", f"{name}={value}")]
TRAIN = ["--method", "n2v", "--steps", STEPS, *SETS]
LIMIT = 300  # seconds after which processes that wait for each other are given up, however busy the machine is
COMMAND = "from hush.cli import run_and_exit; run_and_exit()"


def environment(**more: str) -> dict[str, str]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("TORCHELASTIC", "RANK"))}
    return plain | {"OMP_NUM_THREADS": "1"} | more


def together(code: str, *words: object) -> list[tuple[int, str, str]]:
    """Start two processes as torchrun does, and return of each its exit code and what it said.

    Like torchrun this process holds the store: a first one that did would end while the second still asks.
    """
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    agent = {"TORCHELASTIC_USE_AGENT_STORE": "True", "TORCHELASTIC_RESTART_COUNT": "0", "TORCHELASTIC_RUN_ID": "test"}
    there = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(store.port)}
    started = []
    for rank in "01":
        started.append(
            subprocess.Popen(
                [sys.executable, "-c", code, *map(str, words)],
                env=environment(RANK=rank, LOCAL_RANK=rank, **agent, **there),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    try:
        said = [process.communicate(timeout=LIMIT) for process in started]
    finally:
        for process in started:
            process.kill()
    return [(process.returncode, *texts) for process, texts in zip(started, said, strict=True)]


def messages(ended: list[tuple[int, str, str]]) -> list[str]:
    return [line for _, _, err in ended for line in err.splitlines() if line.startswith("hush: ")]


def note(model: Path) -> dict[str, Any]:
    with safe_open(model, "pt") as file:
        result: dict[str, Any] = json.loads(file.metadata()["hush"])
    return result


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two noisy planes."""
    folder = tmp_path_factory.mktemp("noisy")
    y, x = np.mgrid[:64, :64]
    for k in range(2):
        noise = np.random.default_rng(k).normal(0, 20, x.shape)
        tifffile.imwrite(folder / f"{k}.tif", (100 + 60 * np.sin(x / 9 + k) * np.cos(y / 7) + noise).astype("f4"))
    return sorted(folder.iterdir())


@pytest.fixture(scope="module")
def whole(files: list[Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """A model that two processes trained, as a person would let them, and what they said."""
    model = tmp_path_factory.mktemp("models") / "two.hush"
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    words = [*torchrun, "-m", "hush", "train", *files, "-o", model, *TRAIN, "--set", f"batch={BATCH}", "--json"]
    command = [*map(str, words)]
    ended = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=LIMIT, check=False)
    assert ended.returncode == 0, ended.stderr
    return model, ended.stdout, ended.stderr


# What comes out ------------------------------------------------------------------------------------------------------


def test_the_loss_falls_as_with_twice_the_batch(files: list[Path], whole: tuple[Path, str, str]) -> None:
    """How far curves of other seeds lie apart is the noise; the draws differ, so that no more can be asked."""
    images = [hush.read(path) for path in files]

    def curve(seed: int) -> np.ndarray:
        model = hush.Noise2Void(batch=2 * BATCH, seed=seed, steps=STEPS, **LEARN).fit(images)
        return np.array(model.history_[0].losses)[:, 1]

    seeds = np.array([curve(seed) for seed in range(6)])
    two = np.array(note(whole[0])["history"][0]["losses"])[:, 1]
    assert two.shape == seeds.shape[1:]
    for begin in range(0, STEPS, 10):
        means = seeds[:, begin : begin + 10].mean(1)
        assert abs(two[begin : begin + 10].mean() - means.mean()) < 6 * means.std(ddof=1)
    assert two[-10:].mean() < seeds[:, :10].mean() - 6 * seeds[:, :10].mean(1).std(ddof=1)  # it does fall


def test_only_the_first_says_anything_and_the_model_knows_how_many(whole: tuple[Path, str, str]) -> None:
    model, out, err = whole
    assert [json.loads(line)["processes"] for line in out.splitlines()] == [2]
    assert sum(str(model) in line for line in err.splitlines()) == 1
    assert note(model)["learned"] == {"processes": 2}
    assert [path.name for path in model.parent.iterdir()] == [model.name]
    assert hush.load(model).denoise(np.zeros((20, 20), np.float32)).data.shape == (20, 20)


EXACT = """
import copy, os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import torch
from test_processes import net_of, loss_of, STEPS
from hush.training.processes import joined
from hush.training.trainer import Schedule, Trainer
with joined() as processes:
    for norm in (False, True):
        net = net_of(norm)
        if processes.rank:  # it begins where the first one does
            torch.nn.init.zeros_(net[0].weight)
        trainer = Trainer(net, copy.deepcopy(net).requires_grad_(False), Schedule(steps=STEPS))
        trainer.share()
        trainer.run(lambda net, step: loss_of(net, step, processes.rank))
        what = {"losses": trainer.state.losses, "tensors": trainer.tensors()}
        torch.save(what, Path(sys.argv[2]) / f"{processes.rank}{int(norm)}.pt")
os._exit(0)  # as the command line ends: threads of gloo may still run
"""


def net_of(norm: bool) -> nn.Module:
    """A network with a part that is never used: it has no gradient."""
    torch.manual_seed(3)
    middle = nn.BatchNorm2d(4) if norm else nn.ReLU()
    net: Any = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), middle, nn.Conv2d(4, 1, 3, padding=1))
    net.unused = nn.Identity()
    net.unused.weight = nn.Parameter(torch.ones(2))
    result: nn.Module = net.to(memory_format=torch.channels_last)
    return result


def loss_of(net: Any, step: int, rank: int) -> Tensor:
    x = torch.randn(3, 1, 8, 8, generator=torch.Generator().manual_seed(2 * step + rank))
    result: Tensor = (net[2](net[1](net[0](x))) - x.flip(-1)).square().mean()
    return result


@pytest.fixture(scope="module")
def exact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exact")
    ended = together(EXACT, Path(__file__).parent, folder)
    assert [code for code, *_ in ended] == [0, 0], ended
    return folder


def test_two_processes_compute_what_one_does_with_the_patches_of_both(exact: Path) -> None:
    net = net_of(norm=False)
    one = Trainer(net, copy.deepcopy(net).requires_grad_(False), Schedule(steps=STEPS))
    one.run(lambda net, step: (loss_of(net, step, 0) + loss_of(net, step, 1)) / 2)
    found = torch.load(exact / "00.pt", weights_only=True)
    assert found["tensors"].keys() == one.tensors().keys()
    for name, value in one.tensors().items():
        torch.testing.assert_close(found["tensors"][name], value, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found["losses"], one.state.losses, rtol=1e-5)


@pytest.mark.parametrize("norm", [0, 1])
def test_weights_and_statistics_are_equal_on_both(exact: Path, norm: int) -> None:
    first, second = (torch.load(exact / f"{rank}{norm}.pt", weights_only=True) for rank in (0, 1))
    assert first["tensors"].keys() == second["tensors"].keys()
    assert all(torch.equal(value, second["tensors"][name]) for name, value in first["tensors"].items())
    assert first["losses"] == second["losses"]
    if norm:
        assert float(first["tensors"]["net/1.running_mean"].abs().max()) > 0


# Stopping and going on -----------------------------------------------------------------------------------------------

STOPPED = """
import os
from hush.training.trainer import Trainer
from hush.cli import run_and_exit
step, rank = Trainer._step, os.environ["RANK"]
def stopping(self, loss):
    value = step(self, loss)
    if rank == "1" and self.state.step == 17:
        os.kill(os.getpid(), {how})
    return value
Trainer._step = stopping
run_and_exit()
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_one_stops_all_and_resumed_it_is_the_same_bytes(
    run: Run, files: list[Path], whole: tuple[Path, str, str], tmp_path: Path, how: signal.Signals
) -> None:
    words = ["train", *files, "-o", tmp_path / "two.hush", *TRAIN, "--set", f"batch={BATCH}", "--resume"]
    stopped = together(STOPPED.format(how=int(how)), *words)
    assert [code for code, *_ in stopped] == [128 + signal.SIGINT, 128 + how]
    assert len(messages(stopped)) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["two.hush.partial"]
    with safe_open(tmp_path / "two.hush.partial", "pt") as file:
        assert json.loads(file.metadata()["hush-checkpoint"])["states"]["0"]["step"] == 17
    code, _, err = run(*words)  # alone it would be another training
    assert code == 2
    assert "two.hush.partial" in err
    ended = together(COMMAND, *words)
    assert [code for code, *_ in ended] == [0, 0], ended
    assert (tmp_path / "two.hush").read_bytes() == whole[0].read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["two.hush"]


# Failing -------------------------------------------------------------------------------------------------------------

FAILING = """
import os
from hush.core.errors import HushError
from hush.training.trainer import Trainer
from hush.cli import run_and_exit
step = Trainer._step
def failing(self, loss):
    if os.environ["RANK"] == "1" and self.state.step == 5:
        {what}
    return step(self, loss)
Trainer._step = failing
run_and_exit()
"""


@pytest.mark.parametrize(
    ("what", "codes", "said"),
    [
        ("raise HushError('no more')", [2, 2], "no more"),
        ("os._exit(9)", [2, 9], ""),  # without a word, as what runs out of memory
        ("next(iter(self.net.state_dict().values())).add_(1)", [2, 2], "6"),  # seen after the step
    ],
    ids=["error", "killed", "other weights"],
)
def test_what_ends_one_ends_all_with_one_message(
    files: list[Path], tmp_path: Path, what: str, codes: list[int], said: str
) -> None:
    ended = together(FAILING.format(what=what), "train", *files, "-o", tmp_path / "x.hush", *TRAIN)
    assert [code for code, *_ in ended] == codes, ended
    (message,) = messages(ended)
    assert said in message
    assert not (tmp_path / "x.hush").exists()


def test_a_bad_file_is_one_message(tmp_path: Path) -> None:
    (tmp_path / "bad.tif").write_bytes(b"no picture")
    ended = together(COMMAND, "train", tmp_path / "bad.tif", "-o", tmp_path / "x.hush", *TRAIN, "--json")
    assert [code for code, *_ in ended] == [2, 2]
    assert len(messages(ended)) == 1
    assert [json.loads(line)["input"] for _, out, _ in ended for line in out.splitlines()] == [
        str(tmp_path / "bad.tif")
    ]


def test_other_files_on_another_machine_are_refused(files: list[Path], tmp_path: Path) -> None:
    code = f"import os, sys; sys.argv[2] = {[*map(str, files)]}[int(os.environ['RANK'])]; {COMMAND}"
    ended = together(code, "train", files[0], "-o", tmp_path / "x.hush", *TRAIN)
    assert [code for code, *_ in ended] == [2, 2]
    (message,) = messages(ended)
    assert "inputs" in message


@pytest.mark.parametrize(
    "words",
    [
        ["denoise", "x.tif", "--method", "n2v"],
        ["apply", "m.hush", "x.tif"],
        ["train", "x.tif", "-o", "m.hush", "--folds", "2"],
        ["train", "x.tif", "-o", "m.hush", "--method", "noisebreaker", "--noise", "gaussian:sigma=9"],
    ],
)
def test_what_one_process_does_alone_is_refused(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, words: list[str]
) -> None:
    def second() -> Launched:
        return Launched(1, 2, 1)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli, "launched", second)
    monkeypatch.setattr(_training, "launched", second)
    code, _, err = run(*words)
    assert code == 2
    assert "torchrun" in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("device", ["cuda:0", "mps", "cuda"])
def test_processes_do_not_share_a_device(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(HushError, match="--device"):
        Processes(1, 2, local=1).check_device(device)
    Processes(1, 2, local=1).check_device("cpu")
    ONE_PROCESS.check_device(device)
    if device == "cuda":
        Processes(2, 4, local=0).check_device(device)  # the first on another machine


def test_each_process_has_a_gpu_of_its_own(files: list[Path], tmp_path: Path) -> None:
    if not torch.cuda.is_available() or torch.cuda.device_count() < 2:
        pytest.skip("this machine has fewer than two CUDA GPUs")
    ended = together(COMMAND, "train", *files, "-o", tmp_path / "x.hush", *TRAIN, "--device", "cuda")
    assert [code for code, *_ in ended] == [0, 0], ended
    assert note(tmp_path / "x.hush")["learned"] == {"processes": 2}


# One process ---------------------------------------------------------------------------------------------------------


def test_alone_nothing_is_touched() -> None:
    net = net_of(norm=True)
    loss = loss_of(net, 0, 0)
    loss.backward()  # type: ignore[no-untyped-call]
    before = {name: value.grad for name, value in net.named_parameters()}
    assert current() is ONE_PROCESS
    assert ONE_PROCESS.average(net, loss) is loss
    assert all(value.grad is before[name] for name, value in net.named_parameters())
    assert [ONE_PROCESS.any(asked) for asked in (False, True)] == [False, True]
    assert ONE_PROCESS.from_first(before) is before


def test_without_torchrun_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cluster's own variables do not make two programs one."""
    for name, value in {"RANK": "3", "WORLD_SIZE": "8", "LOCAL_RANK": "1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    assert launched() == Launched(0, 1, 0)
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    assert launched() == Launched(3, 8, 1)
    assert not launched().first


def test_every_process_draws_its_own_patches() -> None:
    task = Task(network=1, seed=5, batch=4, ndim=2, device="cpu", precision="float32", schedule=Schedule())
    first, loss = task.draw(8)
    assert first == [5, 1, 8]  # as before there were several
    assert loss == (5 * 1009 + 1) * 1_000_003 + 8
    drawn = [task.draw(step, rank) for step in range(200) for rank in range(16)]
    assert len({np.random.default_rng(seeds).integers(1 << 60) for seeds, _ in drawn}) == 3200
    assert len({number % (1 << 32) for _, number in drawn}) == 3200  # what PyTorch's generator on the CPU looks at
