"""Runs that go through a real queue: refused before it, their outcomes kept, looked at, cancelled, in order."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest

from r1lab.runs.folder import RunFolder
from tests.slurm.cluster import Cluster
from tests.slurm.conftest import MINE

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(600)]


def sweep_of(said: str) -> Path:
    """The sweep's folder that a command names."""
    (found,) = set(re.findall(r"outputs/sweeps/[\d_-]+", said))
    return Path(found)


def jobs_of(sweep: Path) -> dict[int, str]:
    """The array tasks of a sweep by the number of the run."""
    noted = json.loads((sweep / "slurm.json").read_text())["jobs"]
    return {int(Path(run).name): job for run, job in noted.items()}


def status(cluster: Cluster, folder: Path) -> dict[str, dict[str, Any]]:
    """What task=status tells of each run, by the folder's name."""
    said = cluster.r1lab("task=status", f"task.run={folder}", "task.json=true")
    return {Path(item["run"]).name: item for item in json.loads(said.stdout)}


def test_what_does_not_fit_is_refused_before_sbatch(cluster: Cluster, workplace: Path) -> None:
    listed = ("squeue", "-h", "-t", "all", "-o", "%i")
    before = sorted(cluster.run(*listed).stdout.split())
    words = ("cluster.partition=gpu-h10", "cluster.time=3-00:00:00", "trainer.lerning_rate=1", "task=grpo")
    said = cluster.r1lab("hydra/launcher=submitit_slurm", *words, check=False)
    assert said.returncode == 2
    assert "nearest  trainer.learning_rate" in said.stderr
    said = cluster.r1lab("hydra/launcher=submitit_slurm", *words[:2], "accelerator.nodes=9", check=False)
    assert said.returncode == 2
    assert "cluster.partition=gpu-h10 is none of this cluster's" in said.stderr
    assert "nearest  cluster.partition=gpu-h100" in said.stderr
    assert "fix      one of: batch, gpu-h100, urgent" in said.stderr
    asks = ("cluster.partition=gpu-h100", "cluster.time=3:00:00", "cluster.gpus=8", "accelerator=cpu")
    said = cluster.r1lab("hydra/launcher=submitit_slurm", *asks, check=False)
    assert said.returncode == 2
    assert "8 GPUs on each node asked for; partition gpu-h100 has 4 at most" in said.stderr
    assert "10,800 seconds asked for; partition gpu-h100 has 7,200 at most" in said.stderr
    said = cluster.r1lab("-m", "hydra/launcher=submitit_slurm", "seed=range(1002)", "accelerator=cpu", check=False)
    assert "a sweep of 1,002 runs: this cluster's job arrays hold 1001 at most" in said.stderr
    assert sorted(cluster.run(*listed).stdout.split()) == before
    assert not (workplace / "outputs").exists()


def test_what_slurm_itself_refuses_queues_nothing(cluster: Cluster, workplace: Path) -> None:
    said = cluster.r1lab(*MINE, "cluster.constraint=nvlink", check=False)
    assert said.returncode == 2
    assert "Slurm refuses the job" in said.stderr
    assert "Traceback" not in said.stderr


def test_every_outcome_is_kept_and_slurm_tells_the_truth(cluster: Cluster, workplace: Path) -> None:
    words = ("-m", "sweep.retries=0", "task.how=well,raises,bug,killed", "seed=7", "cluster.gpus=2")
    said = cluster.r1lab(*MINE, *words, check=False)
    assert said.returncode == 1
    sweep = sweep_of(said.stdout)
    jobs = jobs_of(sweep)
    assert [cluster.ended(jobs[number]) for number in range(4)] == ["COMPLETED", "FAILED", "FAILED", "FAILED"]
    assert "1 (" in said.stdout and "failed: the loss is gone" in said.stdout
    assert "KeyError: 'no such key'" in said.stdout
    assert "killed by SIGKILL" in said.stdout
    assert (sweep / "sweep.html").is_file()
    told = status(cluster, sweep)
    assert {name: item["state"] for name, item in told.items()} == dict.fromkeys("123", "failed") | {"0": "finished"}
    assert (told["0"]["step"], told["0"]["reward"], told["0"]["eval/accuracy"]) == (3, 0.25, 0.07)
    assert told["1"]["why"] == "the loss is gone"
    here = json.loads((sweep / "0/here.json").read_text())
    assert here["host"] in ("n0", "n1", "n2", "n3")
    assert {key for key in here["env"] if key.startswith(("SLURM", "SBATCH"))} <= {"SLURM_CONF"}
    manifest = json.loads((sweep / "0/manifest.json").read_text())
    assert manifest["command"].startswith("python -m r1lab --config-dir ")
    assert manifest["command"].endswith("task.how=well seed=7 cluster.gpus=2 cluster=slurm")
    assert "the loss is gone" in (sweep / "1/slurm.log").read_text()


def test_learning_rates_swept_through_the_queue_end_in_a_table(
    cluster: Cluster, small: tuple[str, ...], workplace: Path
) -> None:
    rates = ["0.0001", "0.001", "0.01"]
    words = ("task=sft", "trainer.max_steps=2", "trainer.per_device_train_batch_size=4", "cluster=slurm")
    said = cluster.r1lab("-m", *small, *words, f"trainer.learning_rate={','.join(rates)}", timeout=280)
    sweep = sweep_of(said.stdout)
    for number, rate in enumerate(rates):
        run = sweep / str(number)
        assert json.loads((run / "manifest.json").read_text())["status"] == "finished"
        assert RunFolder(run).read_config().trainer.learning_rate == float(rate)
        assert re.search(rf"^{number}\s+│\s+{rate} │.*finished", said.stdout, re.M), said.stdout
    assert {cluster.ended(job) for job in jobs_of(sweep).values()} == {"COMPLETED"}
    assert (sweep / "sweep.html").is_file()


def test_without_waiting_runs_are_looked_at_and_cancelled_later(cluster: Cluster, workplace: Path) -> None:
    began = time.monotonic()
    words = ("task.seconds=300", "-m", "seed=1,2,3", "cluster.wait=false", "cluster.parallel=1")
    said = cluster.r1lab(*MINE, *words)
    assert time.monotonic() - began < 200
    sweep = sweep_of(said.stdout)
    jobs = jobs_of(sweep)
    assert jobs[0].partition("_")[0] in said.stdout
    assert f"task=status task.run={sweep}" in said.stdout
    cluster.wait_for(lambda: (sweep / "0/here.json").is_file())
    told = status(cluster, sweep)
    assert [told[name]["state"] for name in "012"] == ["running", "queued", "queued"]
    assert told["1"]["why"] == "as many runs of the sweep as may are running"
    assert told["0"]["reward"] == 0.25
    assert "3 runs: 1 running, 2 queued" in cluster.r1lab("task=status").stdout
    assert "1 run cancelled, 0 had ended" in cluster.r1lab("task=cancel", f"task.run={sweep / '2'}").stdout
    told = status(
        cluster, sweep
    )  # Slurm keeps nothing of a task that never started while others of its array are there
    assert (told["2"]["state"], told["2"]["why"]) == ("cancelled", "it was cancelled")
    again = cluster.r1lab(*MINE, *words).stdout
    assert "2 was cancelled before it began: it is queued anew" in again
    assert "1 run in the queue" in again
    assert "cluster.parallel=1 holds for these alone: 2 runs of earlier commands are under way beside them" in again
    jobs |= jobs_of(sweep)
    assert jobs[2].partition("_")[0] != jobs[0].partition("_")[0]
    assert status(cluster, sweep)["2"]["state"] in ("queued", "running")
    ended = cluster.r1lab("task=cancel", f"task.run={sweep}").stdout
    assert "3 runs cancelled, 0 had ended" in ended
    assert {cluster.ended(job) for job in jobs.values()} == {"CANCELLED"}
    told = status(cluster, sweep)
    assert [told[name]["state"] for name in "12"] == ["cancelled", "cancelled"]
    assert told["0"]["state"] in ("cancelled", "interrupted")
    assert "0 runs cancelled, 3 had ended" in cluster.r1lab("task=cancel", f"task.run={sweep}").stdout


def test_a_run_after_another_starts_only_if_that_went_well(cluster: Cluster, workplace: Path) -> None:
    first = sweep_of(cluster.r1lab(*MINE, "-m", "task.how=well,raises", "task.seconds=2", "cluster.wait=false").stdout)
    jobs = jobs_of(first)
    after = cluster.r1lab(*MINE, f"cluster.after=[{jobs[0]}]")
    assert (sweep_of(after.stdout) / "0/metrics.json").is_file()
    in_vain = cluster.r1lab(*MINE, f"cluster.after=[{jobs[1]}]", check=False)
    assert in_vain.returncode == 1
    assert "cancelled: a job it waits for failed" in in_vain.stdout


def test_two_hundred_tasks_that_only_sleep(cluster: Cluster, workplace: Path) -> None:
    """Not through r1lab's own process on the node, which two hundred times over measures only this machine's cores."""
    words = ("-m", "seed=range(200)", "cluster.wait=false")
    sleeper = workplace / "sleeper"
    sleeper.write_text('#!/bin/bash\nsleep 0.5; echo "slept for ${!#}"\n')
    sleeper.chmod(0o755)
    said = cluster.r1lab(*MINE, *words, f"cluster.python={sleeper}")
    sweep = sweep_of(said.stdout)
    assert "200 runs in the queue" in said.stdout
    array = jobs_of(sweep)[0].partition("_")[0]
    listed = ["squeue", "-h", "-r", "-t", "all", "-j", array, "-o", "%T"]
    cluster.wait_for(lambda: cluster.run(*listed).stdout.split() == ["COMPLETED"] * 200, 120)
    assert (sweep / "199/slurm.log").read_text().strip() == f"slept for {sweep.resolve()}/199"
