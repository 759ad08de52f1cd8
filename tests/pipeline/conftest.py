"""A user's folder with a task that takes a number and leaves one: pipelines of it run as real processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

CONF = """\
name: add
_target_: mytasks.run
outputs: {out: out}
input: null             # a folder with a number
add: 1
how: well
"""
TASKS = '''
"""A task of the user's own: adds to the number that another run left."""
import os, time
from pathlib import Path
from r1lab.errors import RunError

def run(cfg, folder):
    with Path("ran.txt").open("a") as file:
        file.write(f"{folder.path.name.rpartition('-')[0]}\\n")
    if cfg.task.how == "fails" and not Path("mended").exists():
        raise RunError("the loss is gone")
    if cfg.task.how == "waits" and not Path("go").exists():
        Path("begun").write_text(str(os.getpid()))
        while True:
            time.sleep(0.05)
    before = int((Path(cfg.task.input) / "number").read_text()) if cfg.task.input else 0
    if cfg.task.how != "silent":
        (folder.path / "out").mkdir(exist_ok=True)
        (folder.path / "out/number").write_text(str(before + cfg.task.add))
    return {"eval/accuracy": (before + cfg.task.add) / 100, "objective": "eval/accuracy"}
'''
EXPERIMENT = """\
defaults:
  - override /task: pipeline
name: sum
task:
  stages:
    a: {choose: {task: add}}
    b: {choose: {task: add}, task.add: 10, task.input: "${stage.a.out}"}
    c: {choose: {task: add}, task.add: 20, task.input: "${stage.b.out}"}
    d: {choose: {task: add}, task: {add: 5}}
"""


@dataclass
class Workplace:
    """Where pipelines of the user's own task run."""

    path: Path

    @property
    def command(self) -> list[str]:
        return [sys.executable, "-m", "r1lab", "--config-dir", "conf", "plugins=[mytasks]", "accelerator=cpu"]

    def __call__(self, *words: str, code: int = 0) -> str:
        """Run a pipeline, which has to end with an exit code; what it prints."""
        done = subprocess.run(
            [*self.command, "experiment=sum", *words], capture_output=True, text=True, env=dict(os.environ)
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def ran(self) -> list[str]:
        """The stages that ran since this was last asked, in order."""
        file = self.path / "ran.txt"
        names = file.read_text().split() if file.is_file() else []
        file.unlink(missing_ok=True)
        return names

    def numbers(self) -> dict[str, int]:
        """What each stage of the last start left."""
        stages = json.loads((self.path / "outputs/sum/pipeline.json").read_text())["stages"]
        files = {item["name"]: Path(item["folder"]) / "out/number" for item in stages}
        return {name: int(file.read_text()) for name, file in files.items() if file.is_file()}

    def record(self) -> dict[str, dict[str, Any]]:
        """The record of the last start, by stage."""
        stages = json.loads((self.path / "outputs/sum/pipeline.json").read_text())["stages"]
        return {item["name"]: item for item in stages}


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workplace:
    """A user's folder, the place to be."""
    (tmp_path / "conf/task").mkdir(parents=True)
    (tmp_path / "conf/task/add.yaml").write_text(CONF)
    (tmp_path / "mytasks.py").write_text(TASKS)
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments/sum.yaml").write_text(EXPERIMENT)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.syspath_prepend(str(tmp_path))
    return Workplace(tmp_path)
