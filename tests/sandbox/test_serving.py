"""task=sandbox_server as a process of its own: where it listens, how it stops, what Slurm hears, and its plan."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from r1lab.errors import ConfigError
from r1lab.sandbox.local import LocalSandbox
from r1lab.sandbox_server.server import SandboxServer
from r1lab.sandbox_server.serving import rename_job, serve
from tests.command_line import CommandLine

pytestmark = pytest.mark.skipif(not shutil.which("bwrap"), reason="bubblewrap is not installed")
SLEEP = {"language": "python", "version": "*", "files": [{"content": "import time; time.sleep(1.5); print('whole')"}]}
Start = Callable[..., tuple["subprocess.Popen[str]", str]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a server on a free port and waits until it says where it listens: the process and its URL."""
    started: list[subprocess.Popen[str]] = []

    def command(*words: str, **environment: str) -> tuple[subprocess.Popen[str], str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "r1lab", "task=sandbox_server", "task.port=0", *words],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment},
        )
        started.append(process)
        assert process.stdout is not None
        first = process.stdout.readline()
        found = re.search(r"http://[^/]+:(\d+)/api/v2, (\d+) jobs? at once", first)
        assert found, first + process.stdout.read()
        return process, f"http://127.0.0.1:{found[1]}"

    yield command
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def children(pid: int) -> list[int]:
    """The process's descendants that are there."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout.split()
    parents = {int(child): int(parent) for child, parent in zip(listed[::2], listed[1::2], strict=True)}
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found[1:]


def rest(process: subprocess.Popen[str]) -> str:
    """What a process that ends well still says."""
    assert process.wait(10) == 0
    assert process.stdout is not None
    return process.stdout.read()


def gone(pids: list[int], seconds: float = 5.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not any(Path(f"/proc/{pid}").exists() for pid in pids):
            return True
        time.sleep(0.05)
    return False


def in_background(process: subprocess.Popen[str], url: str, answers: list[object]) -> threading.Thread:
    """Ask for a program that runs for a while, and wait until it does."""

    def ask() -> None:
        try:
            answers.append(httpx.post(f"{url}/api/v2/execute", json=SLEEP, timeout=20))
        except httpx.HTTPError as error:
            answers.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    deadline = time.monotonic() + 10
    while len(children(process.pid)) < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    return thread


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_finishes_what_runs_and_takes_nothing_new(start: Start, number: signal.Signals) -> None:
    process, url = start()
    assert httpx.get(f"{url}/health").json()["status"] == "ok"
    answers: list[object] = []
    thread = in_background(process, url, answers)
    left = children(process.pid)
    assert left
    process.send_signal(number)
    time.sleep(0.3)
    refused = httpx.post(f"{url}/api/v2/execute", json=SLEEP, timeout=20)
    assert (refused.status_code, refused.json()) == (503, {"message": "the server is about to stop"})
    thread.join(20)
    (answer,) = answers
    assert isinstance(answer, httpx.Response)
    assert answer.json()["run"]["stdout"] == "whole\n"
    assert rest(process).endswith("sandbox server: ended\n")
    assert gone(left)


def test_what_waits_is_sent_away_at_the_end(start: Start) -> None:
    process, url = start("task.parallel=1")
    first: list[object] = []
    waiting: list[object] = []
    threads = [in_background(process, url, first), in_background(process, url, waiting)]
    deadline = time.monotonic() + 5
    while httpx.get(f"{url}/health").json()["jobs"] < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.terminate()
    for thread in threads:
        thread.join(20)
    assert [getattr(item, "status_code", item) for item in first + waiting] == [200, 503]
    assert rest(process).endswith("sandbox server: ended\n")


def test_it_does_not_wait_for_ever(start: Start) -> None:
    process, url = start("task.stop_seconds=0.2")
    answers: list[object] = []
    thread = in_background(process, url, answers)
    left = children(process.pid)
    process.terminate()
    assert process.wait(60) == 0
    thread.join(5)
    (answer,) = answers
    assert isinstance(answer, httpx.HTTPError) or getattr(answer, "status_code", 0) == 500
    assert gone(left)


def test_a_killed_server_leaves_no_process(start: Start) -> None:
    process, url = start()
    thread = in_background(process, url, [])
    left = children(process.pid)
    process.kill()
    assert gone(left)
    thread.join(5)


def test_slurm_hears_of_it(start: Start, tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "scontrol").write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/told\n')
    (tools / "scontrol").chmod(0o755)
    process, url = start(SLURM_JOB_ID="4711", PATH=f"{tools}:{os.environ['PATH']}")
    port = url.rpartition(":")[2]
    process.terminate()
    said = rest(process)
    assert (tmp_path / "told").read_text().split() == ["update", "JobId=4711", f"JobName=piston-worker-{port}"]
    assert f"job 4711 is now piston-worker-{port}" in said
    assert "whoever reaches this port may run programs" in said


def scontrol(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Puts an scontrol on PATH, and this process into a Slurm job."""
    (folder / "scontrol").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "scontrol").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_JOB_ID", "4711")


def test_one_job_of_an_array_is_renamed_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scontrol(tmp_path, f'echo "$@" > {tmp_path}/told', monkeypatch)
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "4711")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "2")
    assert "job 4711_2 is now piston-worker-2000" in rename_job(2000)
    assert (tmp_path / "told").read_text().split() == ["update", "JobId=4711_2", "JobName=piston-worker-2000"]


def test_slurm_without_scontrol_is_no_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scontrol(tmp_path, "echo 'Access denied' >&2\nexit 1", monkeypatch)
    said = rename_job(2000)
    assert "job 4711 keeps its name" in said
    assert "Access denied" in said
    monkeypatch.delenv("SLURM_JOB_ID")
    assert rename_job(2000) == ""


def test_an_address_that_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "r1lab", "task=sandbox_server", f"task.port={port}"]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, env=environment)
    assert done.returncode == 2
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("host", "why"),
    [
        ("nope.invalid", "no host is known by that name"),
        ("203.0.113.7", "Cannot assign requested address"),
        ("a..b", "no host can have that name"),
    ],
)
def test_an_address_that_is_not_this_machines(host: str, why: str) -> None:
    server = SandboxServer(LocalSandbox(workers=1))
    with pytest.raises(ConfigError) as caught:
        asyncio.run(serve(server, host, 0, 1.0, lambda *_: None))
    said = caught.value.findings[0].text()
    assert f"cannot listen on {host}:0: {why}" in said
    assert "task.host=127.0.0.1" in said
    assert "task.port=0" not in said


def test_its_plan(r1lab: CommandLine) -> None:
    assert r1lab.plan("task=sandbox_server", "task.port=0").errors == []
    found = r1lab.all("task=sandbox_server", "sandbox=piston", "task.port=70000", "task.parallel=0")
    assert [item["what"] for item in found] == [
        "task=sandbox_server serves the sandbox of this machine, not sandbox=piston",
        "task.port=70000: it is a number, from 0 to 65535",
        "task.parallel=0: it is a number, 1 or more",
        "sandbox=piston has no endpoint",
    ]
    assert found[0]["nearest"] == "sandbox=local"
    assert found[0]["where"] == "override sandbox=piston"
    assert json.loads(r1lab("task=sandbox_server", "dry_run=json").out)["findings"] == []
