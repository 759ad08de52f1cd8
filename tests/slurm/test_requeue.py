"""Runs that lose their time, their place or their node: they go on from their folder, and end as one left alone."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.drill.cluster_kills import TRAINING as LONG
from tests.drill.kills import difference
from tests.slurm.cluster import Cluster
from tests.slurm.test_queue import jobs_of, status

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(900)]  # a busy machine takes its time; seconds on a quiet one
TRAINING = (*LONG, "trainer.max_steps=40")


@pytest.fixture(scope="module")
def whole(small: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that was left alone."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    command = [sys.executable, "-m", "r1lab", *TRAINING, f"hydra.run.dir={folder}"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=600)
    return folder


class Queued:
    """A run in the queue, started with `cluster.wait=false`."""

    def __init__(self, cluster: Cluster, *words: str):
        self.cluster = cluster
        cluster.r1lab(*TRAINING, "hydra/launcher=submitit_slurm", "cluster.wait=false", *words)
        (self.sweep,) = Path("outputs/sweeps").iterdir()
        self.run = self.sweep / "0"
        self.job = jobs_of(self.sweep)[0]

    def steps(self) -> int:
        """Steps that are written."""
        stream = self.run / "metrics.jsonl"
        return stream.read_text().count('"loss"') if stream.is_file() else 0

    def wait_for_steps(self, steps: int) -> None:
        self.cluster.wait_for(lambda: self.steps() >= steps, 400)

    def wait_for_checkpoint(self) -> None:
        self.cluster.wait_for(lambda: list(self.run.glob("checkpoints/*/COMPLETE")), 400)

    def wait_for_end(self) -> str:
        """Slurm's word for how it ended."""
        return self.cluster.ended(self.job, 600)

    def starts(self) -> int:
        """How often the run was started."""
        return 1 + len(json.loads((self.run / "manifest.json").read_text())["resumed"])

    def node(self) -> int:
        """The number of the node that it runs on."""
        return int(self.cluster.run("squeue", "-h", "-j", self.job, "-o", "%N").stdout.strip().removeprefix("n"))


@pytest.fixture
def queued(cluster: Cluster, workplace: Path) -> Iterator[Callable[..., Queued]]:
    """Puts one run of a kind into the queue; it is gone afterwards."""
    made: list[Queued] = []

    def start(*words: str) -> Queued:
        made.append(Queued(cluster, *words))
        return made[-1]

    yield start
    for item in made:
        cluster.run("scancel", item.job, check=False)


def test_warned_of_its_end_a_run_saves_goes_back_and_ends_the_same(
    cluster: Cluster, whole: Path, queued: Callable[..., Queued]
) -> None:
    run = queued()
    run.wait_for_steps(3)
    cluster.run("scancel", "--batch", "--signal=USR1", run.job)  # what Slurm sends cluster.warning seconds before
    cluster.wait_for(lambda: (run.run / "requeue").exists() or run.starts() > 1, 200)
    kept = [int(path.name.rpartition("-")[2]) for path in run.run.glob("checkpoints/checkpoint-*")]
    assert 3 <= max(kept) <= 40
    assert run.wait_for_end() == "COMPLETED"
    assert run.starts() == 2
    assert "its time was nearly up: it goes on from step" in (run.run / "slurm.log").read_text()
    assert difference(whole, run.run) is None


@pytest.mark.slow
def test_a_time_limit_that_is_too_short_for_the_run_is_enough_for_it(
    cluster: Cluster, queued: Callable[..., Queued]
) -> None:
    """Slurm's own clock: it looks every half minute, and warns up to a minute early."""
    run = queued("cluster.time=2", "cluster.warning=60", "trainer.max_steps=4000", "eval.problems=0")
    cluster.wait_for(lambda: (run.run / "manifest.json").is_file() and run.starts() > 1, 600)
    told = status(cluster, run.sweep)["0"]
    assert told["state"] in ("queued", "running")
    assert told["step"] >= 1
    assert list(run.run.glob("checkpoints/*/COMPLETE"))


@pytest.mark.slow
def test_requeued_by_hand_a_run_goes_on(cluster: Cluster, whole: Path, queued: Callable[..., Queued]) -> None:
    run = queued()
    run.wait_for_checkpoint()
    cluster.run("scontrol", "requeue", run.job)
    assert run.wait_for_end() == "COMPLETED"
    assert run.starts() == 2
    assert difference(whole, run.run) is None


def test_preempted_a_run_saves_and_goes_on_afterwards(
    cluster: Cluster, whole: Path, queued: Callable[..., Queued]
) -> None:
    run = queued()
    run.wait_for_steps(3)
    cluster.run("srun", "-p", "urgent", "-N", "4", "--exclusive", "hostname")
    assert run.wait_for_end() == "COMPLETED"
    assert run.starts() == 2
    assert difference(whole, run.run) is None


def test_when_its_node_goes_dark_a_run_goes_on_elsewhere(
    cluster: Cluster, whole: Path, queued: Callable[..., Queued]
) -> None:
    run = queued()
    run.wait_for_checkpoint()
    lost = run.node()
    cluster.power_off(lost)
    try:
        cluster.wait_for(lambda: run.starts() == 2, 400)
        assert run.node() != lost
        assert run.wait_for_end() == "COMPLETED"
    finally:
        cluster.power_on(lost)
        cluster.wait_for(lambda: len(cluster.idle()) == cluster.nodes)
    assert difference(whole, run.run) is None
