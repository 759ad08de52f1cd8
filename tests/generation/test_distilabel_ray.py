"""generator=distilabel on a real Ray: in parts, after a crash, when an actor dies, and on a cluster that is there."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from r1lab.engines.base import Sampling
from r1lab.engines.server import ServerEngine
from r1lab.errors import EngineError
from r1lab.generation.distilabel import DistilabelEngine
from tests.engines.chat_server import ChatServer
from tests.generation.conftest import Generate, right_when_even
from tests.generation.test_distilabel import rows_of

pytestmark = [pytest.mark.ray, pytest.mark.timeout(1500)]  # every actor imports distilabel: minutes on a busy machine

Serve = Callable[..., ChatServer]
ON_RAY = ("generator=distilabel", "generator.shard=4")


def below(root: int) -> dict[int, str]:
    """The processes that a process started, and those that they started: their ids, with their titles."""
    parents, titles = {}, {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                titles[int(entry.name)] = (entry / "cmdline").read_text().replace("\0", " ")
            except OSError:
                continue
    found = {root}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return {pid: titles[pid] for pid in found - {root}}


def runs(pid: int) -> bool:
    """Whether a process runs; one that has ended and that nobody asked how does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def asks(body: dict[str, Any], number: int) -> bool:
    return str(body["messages"][-1]["content"]).startswith(f"What is {number} ")


def test_a_crash_on_ray_and_the_rest_of_it(serve: Serve, generate: Generate, tmp_path: Path) -> None:
    """All of it ends at once in the second of three parts; the same command makes the other two."""
    started: dict[int, str] = {}

    def deadly(body: dict[str, Any], place: int) -> Any:
        if asks(body, 5) and not started:
            mine = below(os.getpid())
            worker = next(pid for pid, title in mine.items() if "distilabel_worker" in title)
            started.update(below(worker))
            os.kill(worker, signal.SIGKILL)
        return right_when_even(body, place)

    store = f"task.store={tmp_path / 'store'}"
    server = serve(deadly)
    with pytest.raises(EngineError, match="distilabel ended before its work was done"):
        generate(server, *ON_RAY, "generator.ray=local", store, folder="ray")
    assert any("raylet" in title for title in started.values())
    gone = time.monotonic() + 400  # one that is still importing sees only then that its raylet is gone
    while left := [title for pid, title in started.items() if runs(pid)]:
        assert time.monotonic() < gone, left
        time.sleep(0.2)
    before = len(server.requests)
    metrics = generate(server, *ON_RAY, "generator.ray=local", "generator.replicas=2", store, folder="again")
    again = {body["messages"][-1]["content"].split()[2] for body in server.requests[before:]}
    assert again == {str(number) for number in range(4, 12)}
    assert metrics["rows"] == 12 * 3 and metrics["failures"] == 0
    generate(serve(), folder="own")
    assert rows_of(tmp_path / "again") == rows_of(tmp_path / "own")


def test_an_actor_that_dies_is_told_and_not_waited_for(serve: Serve, tmp_path: Path) -> None:
    engines: list[DistilabelEngine] = []

    def deadly(body: dict[str, Any], place: int) -> Any:
        if asks(body, 1):
            for pid, title in below(engines[0].child.pid).items():
                if "ray::Actor" in title:
                    os.kill(pid, signal.SIGKILL)
        return right_when_even(body, place)

    server = ServerEngine([serve(deadly).url], tries=1)
    prompts = [[{"role": "user", "content": f"What is {number} ?"}] for number in range(2)]
    try:
        with DistilabelEngine(server, "tiny", tmp_path, 2, 1, "local") as engine:
            engines.append(engine)
            with pytest.raises(EngineError, match=r"(?s)before its work was done.*_0 on Ray: .*actor died"):
                engine.generate(prompts, Sampling(seed=1))
    finally:
        server.close()


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """The address of a cluster of one node, which asks for a token."""
    (tmp_path / "token").write_text("a" * 64)
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "token"))
    address = socket.gethostbyname(socket.gethostname())
    with socket.socket() as found:
        found.bind((address, 0))
        port = found.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="ray-") as folder:  # sockets are there: their paths must be short
        command = [str(Path(sys.executable).with_name("ray")), "start", "--head", "--block", f"--port={port}"]
        command += [f"--node-ip-address={address}", "--num-cpus=2", "--include-dashboard=false"]
        command += ["--disable-usage-stats", f"--temp-dir={folder}"]
        env = {**os.environ, "RAY_AUTH_MODE": "token"}
        head = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)
        assert head.stdout is not None
        assert any("runtime started" in line for line in head.stdout)
        yield f"{address}:{port}"
        head.terminate()
        head.wait(60)
        head.stdout.close()


def test_on_a_cluster_that_asks_for_a_token(serve: Serve, generate: Generate, cluster: str, tmp_path: Path) -> None:
    generate(serve(), *ON_RAY, f"generator.ray={cluster}", folder="ray")
    generate(serve(), folder="own")
    assert rows_of(tmp_path / "ray") == rows_of(tmp_path / "own")


def test_where_no_ray_answers_it_is_told_with_what_to_do(serve: Serve, generate: Generate) -> None:
    with pytest.raises(
        EngineError, match=r"no Ray answers at generator\.ray=127\.0\.0\.1:9\n    fix      start it; where"
    ):
        generate(serve(), *ON_RAY, "generator.ray=127.0.0.1:9")
