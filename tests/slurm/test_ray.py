"""Real Ray over the nodes of a job, with a program in the place of vLLM."""

from __future__ import annotations

import json
import stat
import sys
from pathlib import Path

import pytest

from r1lab.config.compose import session
from r1lab.errors import ConfigError
from r1lab.launch.ray import AUTHENTICATION, serve_words
from r1lab.plan.request import plan_request
from tests.slurm.cluster import Cluster
from tests.slurm.test_nodes import stand_in_server
from tests.slurm.test_queue import jobs_of, sweep_of


@pytest.fixture
def ray_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """A login node without Slurm, where a plan is made that starts nothing."""
    monkeypatch.setattr("r1lab.plan.cluster.present", lambda: False)
    monkeypatch.setattr("r1lab.plan.ray.installed", lambda package: True)


WORDS = ("task=ray", "model=deepseek-r1", "cluster=h100-8x", "accelerator.nodes=2", "dry_run=true")


@pytest.mark.usefixtures("ray_there")
def test_a_server_takes_a_node_s_gpus_within_and_the_nodes_between() -> None:
    words = ["engine.arguments={max-model-len: 4096, enforce-eager: true}", "engine.model=seven"]
    with session():
        (plan,) = plan_request([*WORDS, *words]).plans
    program, *said = serve_words(plan.cfg, "10.0.0.1")
    assert Path(program).name == "vllm"
    assert said[:2] == ["serve", "deepseek-ai/DeepSeek-R1"]
    text = " ".join(said)
    for part in (
        "--served-model-name seven",
        "--tensor-parallel-size 8 --pipeline-parallel-size 2",
        "--distributed-executor-backend ray",
        "--max-model-len 4096",
        "--enforce-eager",
    ):
        assert part in text
    roles = "node 0: Ray's head and vllm serve over all nodes; node 1: its worker; 8 GPUs of each node"
    assert plan.facts["machine"]["roles"] == roles
    assert "--tensor-parallel-size 8" in plan.facts["completions"]["server"]


@pytest.mark.usefixtures("ray_there")
@pytest.mark.parametrize(
    ("words", "what", "nearest"),
    [
        (
            ("model=qwen2.5-math-7b",),
            "engine.tensor_parallel=8 does not divide the 28 attention heads",
            "engine.tensor_parallel=7",
        ),
        (
            ("engine.tensor_parallel=4",),
            "the job has 16 GPUs and tensor × pipeline × data parallel = 4 × 1 × 1 of them",
            "engine.tensor_parallel=8 engine.pipeline_parallel=2 engine.data_parallel=1",
        ),
        (("cluster=slurm",), "the job asks for no GPU, and `vllm serve` runs on GPUs", "cluster.gpus=8"),
        (("model=tiny",), "tiny is built on first use, and a server reads a model that is saved", ""),
        (("engine=vllm",), "task=ray starts `vllm serve` over all of the job's nodes", "engine=server"),
        (("engine.nodes=2",), "engine.nodes=2: with task=ray", "accelerator.nodes=2 engine.nodes=0"),
        (("accelerator.nodes=0",), "accelerator.nodes=0 is out of range", "accelerator.nodes=1"),
    ],
)
def test_what_does_not_fit_is_found_before_it_is_queued(words: tuple[str, ...], what: str, nearest: str) -> None:
    kept = [word for word in WORDS if word.partition("=")[0] not in {other.partition("=")[0] for other in words}]
    with session(), pytest.raises(ConfigError) as caught:
        plan_request([*kept, *words])
    found = next(item for item in caught.value.findings if item.severity == "error")
    assert found.what.startswith(what) and found.nearest == nearest


@pytest.mark.usefixtures("ray_there")
def test_without_a_queue_there_are_no_nodes_for_it() -> None:
    with session(), pytest.raises(ConfigError) as caught:
        plan_request(["task=ray", "task.serve=false"])
    (found,) = caught.value.findings
    assert (found.what, found.nearest) == ("task=ray runs on the nodes of a Slurm job", "cluster=slurm")


def answered(cluster: Cluster, url: str) -> int:
    """The status of an answer to somebody on the login node, who has no token."""
    code = """
import sys, urllib.error, urllib.request
try:
    print(urllib.request.urlopen(sys.argv[1], timeout=30).status)
except urllib.error.HTTPError as error:
    print(error.code)
"""
    return int(cluster.run(sys.executable, "-S", "-c", code, url).stdout)


@pytest.mark.slurm
@pytest.mark.timeout(900)
def test_ray_over_nodes_and_its_end_in_order(
    cluster: Cluster, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray")
    monkeypatch.setenv("STAND_IN_FOLDER", str(workplace))
    for name in AUTHENTICATION:
        monkeypatch.delenv(name, raising=False)
    (workplace / "model").mkdir()
    (workplace / "model/config.json").write_text("{}")
    words = ("task=ray", "model.path=model", "model.layers=2", "cluster=slurm", "accelerator.nodes=2", "cluster.gpus=2")
    program = stand_in_server(workplace)
    said = cluster.r1lab(*words, "cluster.wait=false", f"engine.command={program}", "engine.start_timeout=500")
    sweep = sweep_of(said.stdout)
    job, log = jobs_of(sweep)[0], sweep / "0/slurm.log"

    def ready() -> bool:
        assert cluster.state(job) in ("PENDING", "RUNNING"), log.read_text()
        return log.is_file() and "r1lab: server http://10.77.0." in log.read_text()

    cluster.wait_for(ready, 520)
    told = log.read_text()
    assert ": 2 nodes, 4 GPUs" in told
    assert "r1lab: dashboard http://10.77.0.10:8265" in told
    (token,) = sweep.glob("0/nodes/*/ray-token")
    assert stat.S_IMODE(token.stat().st_mode) == 0o600 and str(token) in told
    assert answered(cluster, "http://10.77.0.10:8265/") == 200
    assert answered(cluster, "http://10.77.0.10:8265/api/jobs/") == 401  # a stranger would start programs there
    given = json.loads((workplace / "server.json").read_text())["words"]
    assert "--tensor-parallel-size 2 --pipeline-parallel-size 2" in " ".join(given)
    cluster.r1lab("task=cancel", f"task.run={sweep}")
    cluster.ended(job, 90)
    cluster.wait_for(lambda: cluster.processes("raylet", "gcs_server", "server.py") == [], 60)
    ends = [line for line in log.read_text().splitlines() if line.endswith(" ends")]
    assert "the server" in ends[0]
    head = next(index for index, line in enumerate(ends) if "Ray on 10.77.0.10" in line)
    assert head == len(ends) - 1
    assert not token.exists() and not list(Path("/tmp").glob(f"ray-{token.parent.name}-*"))
