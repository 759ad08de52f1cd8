"""Evaluations of checkpoints, submitted from inside a training that runs as a job."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from r1lab.config.compose import session
from r1lab.errors import ConfigError
from r1lab.launch import COMMAND
from r1lab.launch.environment import environment, scrubbed
from r1lab.plan.request import plan_request
from r1lab.report.page import write_page
from r1lab.report.records import read_run
from r1lab.tasks.after_checkpoints import untrained
from tests.conftest import SMALL
from tests.slurm.cluster import Cluster
from tests.slurm.test_queue import sweep_of


def test_a_command_with_a_typo_or_without_a_queue_is_refused() -> None:
    commands = "eval.checkpoints=['task=evl cluster=slurm','task=eval']"
    with session(), pytest.raises(ConfigError) as caught:
        plan_request([*SMALL, commands])
    first, second = caught.value.findings
    assert first.what == "task has no option 'evl'"
    assert first.where.startswith("eval.checkpoints, override task=evl")
    assert "would run beside the training" in second.what
    assert second.fix == "add cluster=slurm to it"


def test_an_evaluation_gets_the_environment_that_the_training_was_started_from(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv("R1LAB_ENGINE_KEY", "kept")
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "true")
    started_from = scrubbed()
    with session():
        env = environment(plan_request(["accelerator=cpu"]).plans[0].cfg)
    assert env["HF_HUB_OFFLINE"] == "1" and env["CUDA_VISIBLE_DEVICES"] == ""
    inside = {**env, COMMAND: "typed", "RANK": "1", "MASTER_ADDR": "node", "GLOO_SOCKET_IFNAME": "eth0"}
    after = untrained(inside)
    for item in (after, started_from):
        item.pop("PYTHONPATH", None)  # the working directory's, which is the same
    assert after == {name: value for name, value in started_from.items() if name != "CUDA_VISIBLE_DEVICES"}


@pytest.mark.slurm
@pytest.mark.timeout(900)
def test_every_checkpoint_is_evaluated_once_and_the_page_has_it(
    cluster: Cluster, small: tuple[str, ...], workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_JOB_ACCOUNT", "leaked")
    monkeypatch.setenv("SBATCH_TIMELIMIT", "not a time")
    evaluation = " ".join([*SMALL, "task=eval", "task.n=2", "task.k=[1]", "cluster=slurm"])
    words = ("task=sft", "trainer.max_steps=4", "trainer.save_steps=2", "trainer.per_device_train_batch_size=4")
    said = cluster.r1lab(
        *SMALL, *words, f"eval.checkpoints=['{evaluation}']", "cluster=slurm", timeout=500, check=False
    )
    run = sweep_of(said.stdout) / "0"
    assert said.returncode == 0, said.stdout + (run / "slurm.log").read_text()
    assert sorted(json.loads((run / "evaluations.json").read_text())) == ["2/0", "4/0"]
    places = sorted(path.name for path in (run / "evaluations").iterdir())
    assert places == ["step-000000002", "step-000000004"]
    logs = [(run / "evaluations" / place / "submitted-0.log").read_text() for place in places]
    assert all("1 run in the queue" in log for log in logs), logs
    results = [run / "evaluations" / place / "0/0/metrics.json" for place in places]
    cluster.wait_for(lambda: all(file.is_file() for file in results), 280)
    found = read_run(run).series["benchmark/arithmetic/pass@1"]
    assert list(found.steps) == [2, 4]
    assert list(found.values) == [json.loads(file.read_text())["eval/pass@1"] for file in results]
    assert "Benchmarks after checkpoints" in write_page(run).read_text()
