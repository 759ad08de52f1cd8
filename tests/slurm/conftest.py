"""One cluster for all tests of this folder, and a user's folder with a task that ends as it is told to."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.slurm.cluster import Cluster, lacking


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Four nodes with four fake GPUs each; required where R1LAB_REQUIRE_SLURM is set."""
    if reason := lacking():
        if os.environ.get("R1LAB_REQUIRE_SLURM"):
            pytest.fail(reason)
        pytest.skip(reason)
    cluster = Cluster(tmp_path_factory.mktemp("cluster") / "slurm")
    yield cluster
    cluster.stop()


@pytest.fixture(autouse=True)
def nothing_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whatever a test leaves in the queue, as one that fails may, is gone before the next."""
    yield
    if "cluster" in request.fixturenames:
        request.getfixturevalue("cluster").clear()


CONF = """\
name: mine
_target_: mytasks.run
how: well
seconds: 0
"""
TASKS = '''
"""A task of the user's own."""
import json, os, signal, socket, time
from r1lab.errors import RunError

def run(cfg, folder):
    how = cfg.task.how
    visible = {key: value for key, value in os.environ.items() if key.startswith(("SLURM", "SBATCH", "CUDA"))}
    folder.append("metrics.jsonl", [{"step": 3, "reward": 0.25}])
    here = {"host": socket.gethostname(), "pid": os.getpid(), "env": visible}
    (folder.path / "here.json").write_text(json.dumps(here))
    deadline = time.monotonic() + cfg.task.seconds
    while time.monotonic() < deadline:
        time.sleep(0.05)
    if how == "raises":
        raise RunError("the loss is gone")
    if how == "bug":
        {}["no such key"]
    if how == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    return {"eval/accuracy": cfg.seed / 100, "objective": "eval/accuracy"}
'''


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folder, the place to be, where `mytasks.py` and a config of it stand."""
    (tmp_path / "conf/task").mkdir(parents=True)
    (tmp_path / "conf/task/mine.yaml").write_text(CONF)
    (tmp_path / "mytasks.py").write_text(TASKS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path


MINE = ("--config-dir", "conf", "task=mine", "plugins=[mytasks]", "hydra/launcher=submitit_slurm")
