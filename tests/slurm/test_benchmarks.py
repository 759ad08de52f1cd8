"""task=eval in a queue: a job for each benchmark, and their results side by side."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from r1lab.runs.folder import RunFolder
from tests.lighteval import miniatures
from tests.slurm.cluster import Cluster
from tests.slurm.test_queue import jobs_of, sweep_of

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(600)]


def test_each_benchmark_is_a_job_of_its_own(cluster: Cluster, small: tuple[str, ...], workplace: Path) -> None:
    Path("aime24.jsonl").write_text("".join(json.dumps(row) + "\n" for row in miniatures.AIME[:2]))
    words = (
        *("task=eval", "benchmark=[arithmetic,aime24]", "cluster=slurm", "debug=true"),
        *("benchmark.arithmetic.problems=3", "benchmark.arithmetic.samples=2", "benchmark.arithmetic.k=[1]"),
        *("benchmark.aime24.path=aime24.jsonl", "benchmark.aime24.samples=3", "benchmark.aime24.k=[1]"),
        "benchmark.aime24.max_tokens=8",
    )
    said = cluster.r1lab(*small, *words, timeout=500, check=False)
    sweep = sweep_of(said.stdout)
    assert said.returncode == 0, said.stdout + "".join(file.read_text() for file in sweep.glob("*/slurm.log"))
    jobs = jobs_of(sweep)
    assert len(set(jobs.values())) == 2
    assert {cluster.ended(job) for job in jobs.values()} == {"COMPLETED"}
    made = {}
    for number in jobs:
        run = sweep / str(number)
        only = RunFolder(run).read_config().task.only
        made[only] = json.loads((run / "metrics.json").read_text())
        assert [name for name in made[only] if name.endswith("/pass@1")] == [f"eval/{only}/pass@1"]
    assert made["aime24"]["eval/aime24/pass@1"] == 0.0  # eight tokens of a model that has learnt nothing
    assert set(made) == {"arithmetic", "aime24"}
    assert "arithmetic" in said.stdout and "aime24" in said.stdout
