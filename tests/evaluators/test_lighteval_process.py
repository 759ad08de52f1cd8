"""The process that lighteval runs in, with a stand-in for lighteval: what it can reach, and how its end is told."""

from __future__ import annotations

import os
import shutil
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from r1lab.errors import RunError, SandboxError
from r1lab.evaluators import lighteval_process
from r1lab.evaluators.lighteval_process import Lighteval

TALK = """
import json, os, sys
source, sink = os.fdopen(int(sys.argv[2])), os.fdopen(int(sys.argv[3]), "w")
work = json.load(open(sys.argv[1]))
def tell(**message):
    print(json.dumps(message), file=sink, flush=True)
"""
Start = Callable[..., Lighteval]


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Start:
    """Starts a script in lighteval's place."""

    def begin(script: str, **work: Any) -> Lighteval:
        place = tmp_path / "source"
        place.mkdir()
        (place / "worker.py").write_text(TALK + script)
        monkeypatch.setattr(lighteval_process, "WORKER", place / "worker.py")
        return Lighteval(Path(sys.executable), tmp_path / "run" / "lighteval", work)

    return begin


def test_it_speaks_in_both_directions(start: Start) -> None:
    with start(
        "tell(asked=work['name'], rows=[1])\ntell(scored='a', heard=json.loads(source.readline()))", name="a"
    ) as one:
        assert one.hear("asked", "a")["rows"] == [1]
        one.tell({"completions": "FILE"})
        assert one.hear("scored", "a")["heard"] == {"completions": "FILE"}
    assert one.child.returncode == 0


def test_its_death_is_told_with_its_last_words(start: Start) -> None:
    with start("print('loading')\nraise LookupError('no task of that name')") as one:
        with pytest.raises(RunError, match="lighteval ended before it had asked aime24") as error:
            one.hear("asked", "aime24")
        assert "LookupError: no task of that name" in str(error.value) and "lighteval.log" in str(error.value)
        one.tell({"completions": "FILE"})  # nobody is there any more; the next `hear` says so
        with pytest.raises(RunError):
            one.hear("scored", "aime24")


def test_a_task_that_is_not_due_is_refused(start: Start) -> None:
    with start("tell(asked='b')") as one, pytest.raises(RunError, match="tells of b where a is due"):
        one.hear("asked", "a")


def test_it_sees_no_secret(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HF_TOKEN", "OPENAI_API_KEY", "R1LAB_ENGINE_KEY", "WANDB_API_KEY", "PYTHONPATH"):
        monkeypatch.setenv(name, "s3cret")
    with start("tell(asked='a', seen=dict(os.environ))") as one:
        seen = one.hear("asked", "a")["seen"]
    assert "s3cret" not in seen.values()
    assert seen["HF_HUB_OFFLINE"] == "1" and seen["HOME"].endswith("lighteval/scratch")


@pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed")
def test_it_reaches_neither_network_nor_files_beside_its_own(start: Start, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    script = f"""
import socket
def tried(what):
    try:
        what()
        return "done"
    except OSError as error:
        return type(error).__name__
tell(
    asked="a",
    network=tried(lambda: socket.create_connection(("127.0.0.1", work["port"]), timeout=5)),
    inside=tried(lambda: open("inside", "w").write("x")),
    system=tried(lambda: open("/usr/r1lab", "w").write("x")),
    beside=tried(lambda: open({str(outside)!r}, "w").write("x")),
    home=os.listdir("/root") if os.path.isdir("/root") else [],
)
"""
    with socket.create_server(("127.0.0.1", 0)) as listening, start(script, port=listening.getsockname()[1]) as one:
        told = one.hear("asked", "a")
    assert told["network"] != "done" and told["system"] != "done" and told["inside"] == "done"
    assert not outside.exists()
    assert (tmp_path / "run" / "lighteval" / "inside").read_text() == "x"
    assert [name for name in told["home"] if name in (".bashrc", ".ssh", ".netrc", ".cache")] == []


def test_one_that_does_not_end_is_ended(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lighteval_process, "STOP", 0.2)
    with start("import time\ntell(asked='a')\ntime.sleep(600)") as one:
        one.hear("asked", "a")
        group = one.child.pid
    assert one.child.returncode is not None
    until = time.monotonic() + 30
    while alive(group):
        assert time.monotonic() < until
        time.sleep(0.01)


def alive(group: int) -> bool:
    """Whether anything of a process group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_programs_are_refused_where_bubblewrap_does_not_start(
    start: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "bwrap").write_text("#!/bin/sh\necho 'No permissions to create new namespace' >&2\nexit 1\n")
    (tmp_path / "bin" / "bwrap").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    with start("tell(asked='a', rows=[])") as one:
        assert one.hear("asked", "a")["rows"] == []
    with pytest.raises(SandboxError, match="No permissions to create new namespace"):
        Lighteval(Path(sys.executable), tmp_path / "run" / "lighteval", {}, programs=True)
