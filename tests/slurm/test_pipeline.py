"""A pipeline in a real queue: jobs that wait for each other, what has finished left alone, failures told, cancelled."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from tests.slurm.cluster import Cluster
from tests.small_pipeline import HEAD

pytestmark = pytest.mark.slurm

EXPERIMENT = (
    HEAD
    + """\
    a: {choose: {task: mine}}
    b: {choose: {task: mine}, task.after: "${stage.a.folder}"}
    c: {choose: {task: mine}, task.after: "${stage.b.folder}", task.seconds: 1}
    d: {choose: {task: mine}, task.seconds: 2}
"""
)
PATH = ("--config-dir", "conf", "plugins=[mytasks]", "hydra/launcher=submitit_slurm", "experiment=path")


@pytest.fixture
def path(workplace: Path) -> Path:
    (workplace / "experiments").mkdir()
    (workplace / "experiments/path.yaml").write_text(EXPERIMENT)
    task = workplace / "conf/task/mine.yaml"
    task.write_text(task.read_text() + "after: null\n")
    return Path("outputs/path")


def status(cluster: Cluster, folder: Path) -> dict[str, dict[str, Any]]:
    """What task=status tells of each stage."""
    said = cluster.r1lab("task=status", f"task.run={folder}", "task.json=true")
    return {Path(item["run"]).name.rpartition("-")[0]: item for item in json.loads(said.stdout)}


def ended(folder: Path, stage: str) -> float:
    """When a stage ended."""
    (run,) = folder.glob(f"{stage}-*/manifest.json")
    return run.stat().st_mtime


def test_stages_wait_for_each_other_and_run_once(cluster: Cluster, path: Path) -> None:
    said = cluster.r1lab(*PATH)
    assert "4 stages in the queue; each waits for those that it needs" in said.stdout
    assert {name: item["state"] for name, item in status(cluster, path).items()} == dict.fromkeys("abcd", "finished")
    assert ended(path, "a") < ended(path, "b") < ended(path, "c")
    listed = ("squeue", "-h", "-t", "all", "-o", "%i")
    before = sorted(cluster.run(*listed).stdout.split())
    said = cluster.r1lab(*PATH)
    assert "0 stages in the queue" in said.stdout
    assert sorted(cluster.run(*listed).stdout.split()) == before
    assert (path / "pipeline.html").is_file()


def test_a_failed_stage_cancels_those_after_it_and_goes_on(cluster: Cluster, path: Path) -> None:
    said = cluster.r1lab(*PATH, "task.stages.b.task.how=raises", check=False)
    assert said.returncode == 1
    found = status(cluster, path)
    assert {name: item["state"] for name, item in found.items()} == {
        "a": "finished",
        "b": "failed",
        "c": "cancelled",
        "d": "finished",
    }
    assert found["b"]["why"].startswith("the loss is gone") and found["c"]["why"] == "a job it waits for failed"
    tasks = Path("mytasks.py")
    tasks.write_text(tasks.read_text().replace('raise RunError("the loss is gone")', "pass"))
    said = cluster.r1lab(*PATH, "task.stages.b.task.how=raises")
    assert "2 stages in the queue" in said.stdout
    assert {item["state"] for item in status(cluster, path).values()} == {"finished"}


def test_a_second_start_joins_what_is_in_the_queue_and_cancel_ends_all(cluster: Cluster, path: Path) -> None:
    long = ("task.stages.a.task.seconds=600", "cluster.wait=false")
    cluster.r1lab(*PATH, *long)
    said = cluster.r1lab(*PATH, *long)
    assert "0 stages in the queue" in said.stdout and "a: in the queue as " in said.stdout
    said = cluster.r1lab(
        *PATH, *long, "task.stages.c.task.seconds=3"
    )  # a new one, which waits for the one that is there
    assert "1 stage in the queue" in said.stdout
    said = cluster.r1lab("task=cancel", f"task.run={path}")
    assert "cancelled" in said.stdout
    deadline = time.monotonic() + 60
    while {item["state"] for item in status(cluster, path).values()} & {"queued", "running"}:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    found = [item["state"] for item in status(cluster, path).values()]
    assert "cancelled" in found and "queued" not in found
