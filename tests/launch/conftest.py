"""A user's own task, which ends in every way that a run can end."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.command_line import r1lab, write

__all__ = ["r1lab", "write"]

CONF = """\
name: mine
_target_: mytasks.run
how: well
"""
TASKS = '''
"""A task of the user's own."""
import errno, os, signal, time
from r1lab.errors import DataError, RunError
from r1lab.runs.folder import write_atomic

def run(cfg, folder):
    (folder.path / "started").write_text(str(os.getpid()))
    how = cfg.task.how
    if how == "sleep":
        time.sleep(60)
    if how == "deaf":
        while True:
            try:
                time.sleep(60)
            except KeyboardInterrupt:
                pass
    if how == "user error":
        raise DataError("the file is empty")
    if how == "run error":
        raise RunError("the loss is gone")
    if how == "bug":
        {}["no such key"]
    if how == "memory":
        raise MemoryError
    if how == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "killed with completions":
        folder.store.mkdir()
        (folder.store / "a.jsonl").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "killed with a checkpoint":
        (folder.checkpoints / "checkpoint-3").mkdir(parents=True)
        (folder.checkpoints / "checkpoint-3" / "COMPLETE").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "abort":
        os.abort()
    if how == "full disk":
        while True:
            write_atomic(folder.path / f"part-{time.monotonic_ns()}", "x" * 2_000_000)
    if how == "quota":
        raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT), "model.safetensors")
    if how == "library":
        raise RuntimeError("[enforce fail at inline_container.cc:664] . unexpected pos 64 vs 0")
    return {"eval/mine": 0.5, "objective": "eval/mine", "environment": dict(os.environ), "pid": os.getpid()}
'''


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folder, where `mytasks.py` and a config of it stand; the place to be."""
    (tmp_path / "conf/task").mkdir(parents=True)
    (tmp_path / "conf/task/mine.yaml").write_text(CONF)
    (tmp_path / "mytasks.py").write_text(TASKS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


@pytest.fixture
def start(workplace: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts `python -m r1lab task=mine task.how=…` in a folder `run`, in a process group of its own."""
    started: list[subprocess.Popen[str]] = []

    def command(how: str, *words: str, folder: str = "run") -> subprocess.Popen[str]:
        options = ["--config-dir", "conf", "task=mine", "plugins=[mytasks]", f"task.how='{how}'", "accelerator=cpu"]
        process = subprocess.Popen(
            [sys.executable, "-m", "r1lab", *options, f"hydra.run.dir={folder}", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(workplace), *sys.path]), "COLUMNS": "200"},
        )
        started.append(process)
        return process

    yield command
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def wait_for(happens: Callable[[], object], seconds: float = 30.0) -> None:
    """Wait until something is true.

    Raises:
        AssertionError: it was not in time.
    """
    deadline = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
