"""Real Ray over the nodes of a job, with a program in the place of vLLM."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from r1lab.config.compose import session
from r1lab.launch.ray import serve_words
from r1lab.plan.request import plan_request
from tests.slurm.cluster import Cluster
from tests.slurm.test_nodes import stand_in_server
from tests.slurm.test_queue import jobs_of, sweep_of


def test_a_server_takes_a_node_s_gpus_within_and_the_nodes_between(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("r1lab.plan.cluster.present", lambda: False)
    words = ["task=ray", "model=qwen2.5-math-7b", "cluster=h100-8x", "accelerator.nodes=2", "dry_run=true"]
    with session():
        cfg = plan_request([*words, 'task.arguments=["--max-model-len=4096","--enforce-eager"]']).plans[0].cfg
    program, *said = serve_words(cfg, "10.0.0.1", 2)
    assert Path(program).name == "vllm"
    assert said[:2] == ["serve", "Qwen/Qwen2.5-Math-7B"]
    text = " ".join(said)
    assert (
        "--tensor-parallel-size 8 --pipeline-parallel-size 2" in text and "--distributed-executor-backend ray" in text
    )
    assert "--max-model-len=4096 --enforce-eager" in text


@pytest.mark.slurm
def test_ray_over_three_nodes_and_its_end_in_order(
    cluster: Cluster, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray")
    monkeypatch.setenv("STAND_IN_FOLDER", str(workplace))
    words = ("task=ray", "cluster=slurm", "accelerator.nodes=3", "cluster.gpus=2", "cluster.wait=false")
    said = cluster.r1lab(*words, f"task.command={stand_in_server(workplace)}")
    sweep = sweep_of(said.stdout)
    job, log = jobs_of(sweep)[0], sweep / "0/slurm.log"

    def ready() -> bool:
        assert cluster.state(job) in ("PENDING", "RUNNING"), log.read_text()
        return log.is_file() and "r1lab: server http://10.77.0." in log.read_text()

    cluster.wait_for(ready, 280)
    told = log.read_text()
    assert ": 3 nodes, 6 GPUs" in told
    assert "r1lab: dashboard http://10.77.0." in told
    given = json.loads((workplace / "server.json").read_text())["words"]
    assert "--tensor-parallel-size 2 --pipeline-parallel-size 3" in " ".join(given)
    cluster.r1lab("task=cancel", f"task.run={sweep}")
    cluster.wait_for(lambda: cluster.processes("raylet", "gcs_server", "server.py") == [], 60)
    ends = [line for line in log.read_text().splitlines() if line.endswith(" ends")]
    assert "the server" in ends[0]
    head = next(index for index, line in enumerate(ends) if "Ray on 10.77.0.10" in line)
    assert head == len(ends) - 1
