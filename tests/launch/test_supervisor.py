"""One node of a run, with real processes: whatever dies, the cause is told and nothing is left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from r1lab.notebook import compose
from r1lab.plan.checks import resolve
from r1lab.processes.health import free_port
from r1lab.processes.keeper import below
from r1lab.runs.folder import RunFolder
from tests.conftest import SMALL
from tests.launch.faults import alive

pytestmark = pytest.mark.whole

ROOT = Path(__file__).parents[2]
STAND_IN = f"""#!{sys.executable} -S
import runpy, sys
sys.argv[0] = {str(ROOT / "tests/launch/server.py")!r}
runpy.run_path(sys.argv[0], run_name="__main__")
"""
SERVED = {
    "accelerator": {"device": "cuda", "gpus": 2, "processes": 1, "kind": "single"},
    "engine": {"name": "vllm", "mode": "server", "gpus": 1, "start_timeout": 20.0},
    "model": {"path": "/a/model", "build": None},
}
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a node of a run of `faults.run`; whatever is left of it at the end is killed."""
    started: list[subprocess.Popen[str]] = []

    def node(how: str, *more: str, changes: dict[str, Any] | None = None, **env: str) -> subprocess.Popen[str]:
        cfg = resolve(compose(*SMALL, "accelerator.processes=2"))
        cfg.task = {"name": "faults", "_target_": "tests.launch.faults.run", "how": how, "bystander": "notices"}
        OmegaConf.set_struct(cfg, False)
        cfg.merge_with(changes or {})
        run_yaml = RunFolder(tmp_path).write_config(cfg)
        process = subprocess.Popen(
            [sys.executable, "-m", "r1lab.launch.node", str(run_yaml), *more],
            cwd=ROOT,
            env={**os.environ, "STAND_IN_FOLDER": str(tmp_path), "SLURM_JOB_ID": "7", "RANK": "9", **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield node
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()
    assert [pid for pid in pids(tmp_path) if alive(pid)] == []


@pytest.fixture
def stand_in(tmp_path: Path) -> str:
    """A program that takes the words of `vllm`."""
    program = tmp_path / "vllm"
    program.write_text(STAND_IN)
    program.chmod(0o755)
    return str(program)


def pids(folder: Path) -> list[int]:
    """Training processes, and the server's, as they wrote them down."""
    found = [int(path.read_text() or 0) for path in folder.glob("started-*")]
    server = folder / "server.json"
    return found + (json.loads(server.read_text())["pids"] if server.exists() else [])


def wait_for(what: Callable[[], bool], seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until, "it never came"
        time.sleep(0.02)


def manifest(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "manifest.json").read_text())  # type: ignore[no-any-return]


def ended(process: subprocess.Popen[str], folder: Path) -> tuple[str, float]:
    """What a run said, and the seconds from the first look at all of its processes to its end."""
    wait_for(lambda: len(list(folder.glob("started-*"))) == 2)
    began = time.monotonic()
    said, _ = process.communicate(timeout=60)
    return said, time.monotonic() - began


def test_two_processes_and_one_folder(start: Start, tmp_path: Path) -> None:
    process = start("well")
    said, _ = process.communicate(timeout=100)
    assert process.returncode == 0, said
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    env = metrics["environment"]
    assert metrics["rank"] == 0 and (tmp_path / "ranks/1.log").is_file()
    assert [item["rank"] for item in RunFolder(tmp_path).records("metrics.jsonl")] == [0]  # the first one alone
    assert (env["RANK"], env["WORLD_SIZE"], env["LOCAL_RANK"]) == ("0", "2", "0") and "SLURM_JOB_ID" not in env
    assert manifest(tmp_path)["status"] == "finished" and not list(tmp_path.glob("failures/*"))


@pytest.mark.parametrize(
    ("how", "bystander", "rank", "cause", "code"),
    [
        ("0 killed", "notices", 0, "training process 0 was killed by SIGKILL (by hand, or by the kernel", -9),
        ("1 killed", "hangs", 1, "training process 1 was killed by SIGKILL", -9),
        ("1 ends", "notices", 1, "training process 1 ended with exit code 7 and without a word", 7),
    ],
)
def test_the_cause_and_not_the_bystander(
    start: Start, tmp_path: Path, how: str, bystander: str, rank: int, cause: str, code: int
) -> None:
    process = start(how, changes={"task": {"bystander": bystander}})
    said, seconds = ended(process, tmp_path)
    assert process.returncode == 1 and seconds < 10, said
    assert cause in said and "reset by peer" not in said and "Traceback" not in said
    first = json.loads((tmp_path / "failures/local.json").read_text())
    assert (first["rank"], first["exit"]) == (rank, code) and first["cause"].startswith(cause.partition(" (")[0])
    assert first["pid"] == int((tmp_path / f"started-{rank}").read_text()) and first["host"]
    found = manifest(tmp_path)
    assert found["status"] == "failed" and found["cause"].startswith(cause.partition(" (")[0]) and found["exit"] == code
    assert not any(alive(pid) for pid in pids(tmp_path))


def test_what_all_of_them_refuse_is_said_once(start: Start, tmp_path: Path) -> None:
    process = start("all refuse")
    said, _ = ended(process, tmp_path)
    assert process.returncode == 2 and said.count("the file is empty") == 1 and "Traceback" not in said
    assert (manifest(tmp_path)["cause"], manifest(tmp_path)["exit"]) == ("the file is empty", 2)


def test_an_interrupt_ends_it_in_order(start: Start, tmp_path: Path) -> None:
    process = start("0 sleeps")
    wait_for(lambda: len(list(tmp_path.glob("started-*"))) == 2)
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=30)
    assert process.returncode == 130 and "Traceback" not in said, said
    found = manifest(tmp_path)
    assert (found["status"], found["exit"], found["cause"]) == ("interrupted", 130, "interrupted")
    assert not list(tmp_path.glob("failures/*"))


def test_a_supervisor_that_is_killed_leaves_nothing(start: Start, tmp_path: Path, stand_in: str) -> None:
    changes = OmegaConf.merge(SERVED, {"engine": {"command": stand_in}, "accelerator": {"processes": 2, "gpus": 3}})
    process = start("0 sleeps", changes=changes)  # type: ignore[arg-type]
    wait_for(lambda: len(list(tmp_path.glob("started-*"))) == 2)
    everybody = pids(tmp_path)
    assert len(everybody) == 4 and all(map(alive, everybody))
    process.kill()
    wait_for(lambda: not any(map(alive, everybody)), seconds=10)


def test_training_waits_for_its_server(start: Start, tmp_path: Path, stand_in: str) -> None:
    process = start(
        "well", changes=SERVED | {"engine": {**SERVED["engine"], "command": stand_in}}, STAND_IN_READY="1.5"
    )
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 0, said
    server = json.loads((tmp_path / "server.json").read_text())
    words, env = server["words"], server["environment"]
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert words[:2] == ["serve", "/a/model"] and json.loads(words[words.index("--weight-transfer-config") + 1])
    assert metrics["server"] == f"http://127.0.0.1:{words[words.index('--port') + 1]}"
    assert env["VLLM_SERVER_DEV_MODE"] == "1" and "SLURM_JOB_ID" not in env
    assert (env["CUDA_VISIBLE_DEVICES"], metrics["environment"]["CUDA_VISIBLE_DEVICES"]) == ("1", "0")
    assert not any(map(alive, server["pids"]))


@pytest.mark.parametrize(
    ("env", "limit", "cause", "line"),
    [
        (
            {"STAND_IN_DIES": "early"},
            20.0,
            "the server on 127.0.0.1 ended with exit code 3",
            "out of memory on device 0",
        ),
        ({"STAND_IN_DIES": "later"}, 20.0, "the server on 127.0.0.1 was killed by SIGSEGV", "an illegal memory access"),
        ({"STAND_IN_READY": "60"}, 1.0, "was not ready after 1 seconds (engine.start_timeout)", "loading the weights"),
    ],
)
def test_a_server_that_fails(
    start: Start, tmp_path: Path, stand_in: str, env: dict[str, str], limit: float, cause: str, line: str
) -> None:
    engine = {**SERVED["engine"], "command": stand_in, "start_timeout": limit}
    process = start("0 sleeps", changes=SERVED | {"engine": engine}, **env)
    said, _ = process.communicate(timeout=40)
    assert process.returncode == 1 and cause in said and line in said and "Traceback" not in said, said
    first = json.loads((tmp_path / "failures/local.json").read_text())
    assert first["process"] == "server" and cause in first["cause"] and first["log"] == "servers/0.log"
    assert not any(map(alive, pids(tmp_path)))


def test_a_server_whose_keeper_is_killed_leaves_nothing(start: Start, tmp_path: Path, stand_in: str) -> None:
    process = start("0 sleeps", changes=SERVED | {"engine": {**SERVED["engine"], "command": stand_in}})
    wait_for(lambda: (tmp_path / "started-0").exists())
    keeper = int(Path(f"/proc/{pids(tmp_path)[1]}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(keeper, signal.SIGKILL)
    said, _ = process.communicate(timeout=30)
    assert process.returncode == 1 and "the server on 127.0.0.1 was killed by SIGKILL" in said
    assert not any(map(alive, pids(tmp_path)))


def test_two_nodes_of_one_run(start: Start, tmp_path: Path) -> None:
    """Two supervisors on this machine, which know each other by the folder alone; a process of the second one fails."""
    changes = {"accelerator": {"nodes": 2, "processes": 1}}
    words = ("--addresses", "127.0.0.1,127.0.0.1", "--rendezvous", str(free_port()), "--attempt", "3-0")
    nodes = [start("1 raises", "--index", str(index), *words, changes=changes) for index in range(2)]
    texts = [node.communicate(timeout=100)[0] for node in nodes]
    assert [node.returncode for node in nodes] == [1, 1], texts
    assert all("RuntimeError: the loss is gone" in text and "reset by peer" not in text for text in texts)
    first = json.loads((tmp_path / "failures/3-0.json").read_text())
    assert (first["rank"], first["node"]) == (1, 1) and "in run" in first["trace"]
    assert manifest(tmp_path)["cause"] == "RuntimeError: the loss is gone"


def test_a_node_that_goes_dark_is_named(start: Start, tmp_path: Path) -> None:
    """Stopped with all of its processes, it breaks no connection: the other one would wait for it in vain."""
    changes = {"accelerator": {"nodes": 2, "processes": 1, "silence": 6.0}}
    words = ("--addresses", "127.0.0.1,127.0.0.2", "--rendezvous", str(free_port()), "--attempt", "4-0")
    first, second = (start("1 sleeps", "--index", str(index), *words, changes=changes) for index in range(2))
    wait_for(lambda: len(list(tmp_path.glob("started-*"))) == 2)
    dark = [second.pid, *below(second.pid)]
    for pid in dark:
        os.kill(pid, signal.SIGSTOP)
    said, _ = first.communicate(timeout=100)
    assert first.returncode == 1
    cause = "a node failed: 127.0.0.2 gave no sign of life for 6 seconds (accelerator.silence)"
    assert cause in said
    assert manifest(tmp_path)["cause"] == cause
    for pid in dark:
        os.kill(pid, signal.SIGCONT)
    assert second.wait(60) == 1  # it finds the record, and ends
