"""Workers in a Slurm queue, and how training processes share them. squeue is a script that prints what Slurm would."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from aiohttp import web

from r1lab.errors import ConfigError
from r1lab.providers import discovery
from r1lab.providers.piston import PistonSandbox
from r1lab.remote import pool, retrying
from r1lab.sandbox.base import Program, Test, Verdict
from tests.sandbox.stand_in import ran, reply, standing_in

Squeue = Callable[[str], Path]


@pytest.fixture
def squeue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Squeue:
    """Puts an squeue on PATH that runs a shell script; its arguments are left in `asked`."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "PISTON_ENDPOINTS", "PISTON_TOKEN"):
        monkeypatch.delenv(name, raising=False)

    def put(script: str) -> Path:
        path = tmp_path / "squeue"
        path.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {tmp_path}/asked\n{script}\n')
        path.chmod(0o755)
        return tmp_path / "asked"

    return put


LISTING = """\
node-7|piston-worker-2001
gpu-[01-02]|train
node-3|piston-worker-10022
node-4|piston-worker-2001x
node-5|my piston-worker-9
node-6|piston-worker-99999
|piston-worker-5
rack2-[9-10],login1|piston-worker-3223
node-7|piston-worker-2001
"""


def test_workers_in_the_queue(squeue: Squeue) -> None:
    asked = squeue(f"cat <<'END'\n{LISTING}END")
    assert discovery.slurm_endpoints() == [
        "http://login1:3223/api/v2",
        "http://node-3:10022/api/v2",
        "http://node-7:2001/api/v2",
        "http://rack2-10:3223/api/v2",
        "http://rack2-9:3223/api/v2",
    ]
    assert asked.read_text().split() == ["--noheader", "--states=RUNNING", "--format=%N|%j"]


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ("node1", ["node1"]),
        ("node1,node2", ["node1", "node2"]),
        ("n[1-3]", ["n1", "n2", "n3"]),
        ("n[008-010,12]", ["n008", "n009", "n010", "n12"]),
        ("r[1-2]n[01-02]", ["r1n01", "r1n02", "r2n01", "r2n02"]),
        ("a[1,3]-ib,b", ["a1-ib", "a3-ib", "b"]),
        ("", []),
    ],
)
def test_node_lists(nodes: str, expected: list[str]) -> None:
    assert discovery.hosts(nodes) == expected


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("exit 0", "no running Slurm job is named piston-worker-PORT"),
        ("echo 'Unable to contact slurm controller' >&2; exit 1", "Unable to contact slurm controller"),
        ("exit 7", "exit code 7"),
    ],
)
def test_a_queue_without_workers(squeue: Squeue, script: str, said: str) -> None:
    squeue(script)
    with pytest.raises(ConfigError, match=said):
        discovery.slurm_endpoints()


def test_no_slurm_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="squeue is not on PATH") as caught:
        discovery.slurm_endpoints()
    assert "PISTON_ENDPOINTS=" in caught.value.findings[0].fix


def test_a_queue_that_does_not_answer(squeue: Squeue, monkeypatch: pytest.MonkeyPatch) -> None:
    squeue("exec sleep 20")
    monkeypatch.setattr(discovery, "PATIENCE", 0.2)
    with pytest.raises(ConfigError, match="squeue did not answer"):
        discovery.slurm_endpoints()


@pytest.mark.parametrize("count", [1, 2, 3, 7, 8, 9, 16, 41])
@pytest.mark.parametrize("world", [1, 2, 7, 8])
def test_shares_are_fair(count: int, world: int) -> None:
    endpoints = [f"e{number}" for number in range(count)]
    shares = [discovery.share(endpoints, rank, world) for rank in range(world)]
    assert all(shares)
    uses = [sum(item in share for share in shares) for item in endpoints]
    if count >= world:
        assert uses == [1] * count
        assert max(map(len, shares)) - min(map(len, shares)) <= 1
    else:
        assert {len(share) for share in shares} == {1}
        assert max(uses) - min(uses) <= 1


@pytest.mark.parametrize(
    ("environment", "place"),
    [
        ({}, (0, 1)),
        ({"RANK": "9", "WORLD_SIZE": "16", "LOCAL_RANK": "1"}, (9, 16)),
        ({"LOCAL_RANK": "3", "LOCAL_WORLD_SIZE": "4"}, (3, 4)),
        ({"LOCAL_RANK": "3", "WORLD_SIZE": "8"}, (3, 8)),
    ],
)
def test_the_place_of_a_process(environment: dict[str, str], place: tuple[int, int]) -> None:
    assert discovery.place(environment) == place


async def double(request: web.Request) -> web.Response:
    return web.json_response(reply(ran(str(int((await request.json())["stdin"]) * 2))))


def test_ranks_use_disjoint_servers(squeue: Squeue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PISTON_ENDPOINTS", "slurm")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with standing_in(double) as one, standing_in(double) as two:
        squeue(f"echo '127.0.0.1|piston-worker-{one.port}'; echo '127.0.0.1|piston-worker-{two.port}'")
        for rank in "01":
            monkeypatch.setenv("RANK", rank)
            sandbox = PistonSandbox()
            assert sandbox.run(Program("python", ""), [Test("2", "4")])[0].passed
            sandbox.close()
        assert len(one.seen) == len(two.seen) == 1


def test_workers_are_looked_for_again_when_all_have_died(squeue: Squeue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "REST", 0.5)
    monkeypatch.setattr(retrying, "FIRST", 0.05)
    program, test = Program("python", ""), Test("2", "4")
    with standing_in(double) as later:
        with standing_in(double) as first:
            squeue(f"echo '127.0.0.1|piston-worker-{first.port}'")
            sandbox = PistonSandbox(endpoints="slurm", tries=3)
            assert sandbox.run(program, [test])[0].passed
        squeue(f"echo '127.0.0.1|piston-worker-{later.port}'")
        assert sandbox.run(program, [test])[0].passed
        assert len(later.seen) == 1
    squeue("exit 1")
    sandbox.tries = 2
    assert sandbox.run(program, [test])[0].verdict is Verdict.INFRASTRUCTURE
    sandbox.close()
