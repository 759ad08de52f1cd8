"""Runs over several nodes of a real cluster: they find each other, and whatever dies, the cause is told at once."""

from __future__ import annotations

import json
import re
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
from omegaconf import OmegaConf

from r1lab.notebook import compose
from r1lab.plan.checks import resolve
from r1lab.runs.folder import RunFolder
from r1lab.slurm.script import header, script
from tests.conftest import SMALL
from tests.launch.server import options_of
from tests.slurm.cluster import Cluster
from tests.slurm.test_queue import jobs_of, sweep_of

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(600)]
ROOT = Path(__file__).parents[2]
SPREAD = '''
"""A task of the user's own that runs on every node, and ends as the run's name says: RANK-HOW."""
import json, os, signal, socket, time

def run(cfg, folder):
    rank, world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    mine = {"host": socket.gethostname(), "pid": os.getpid(), "gpus": os.environ.get("CUDA_VISIBLE_DEVICES", ""),
            "server": cfg.trainer.get("vllm_server_base_url")}
    part = folder.path / f".here-{rank}"
    part.write_text(json.dumps(mine))
    part.rename(folder.path / f"here-{rank}.json")
    while not all((folder.path / f"here-{other}.json").exists() for other in range(world)):
        time.sleep(0.02)
    who, _, how = cfg.name.partition("-") if cfg.name[0].isdigit() else ("", "", "")
    if how == "sleeps":
        time.sleep(300)
    if how and rank != int(who):
        time.sleep(300)
    (folder.path / "died").write_text(str(time.time()))
    if how == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "raises":
        raise RuntimeError("the loss is gone")
    return {"eval/accuracy": 0.5, "objective": "eval/accuracy"}
'''
WORDS = ("plugins=[spread]", "task._target_=spread.run", "hydra/launcher=submitit_slurm", "eval.problems=8")
CPU = (*SMALL[1:], "accelerator=ddp", "accelerator.device=cpu", "accelerator.processes=1")


@pytest.fixture
def spread(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's folder, with that task."""
    (workplace / "spread.py").write_text(SPREAD)
    monkeypatch.syspath_prepend(workplace)
    return workplace


def here(run: Path) -> list[dict[str, str]]:
    """What every rank wrote of itself."""
    files = sorted(run.glob("here-*.json"), key=lambda file: int(file.stem.partition("-")[2]))
    return [json.loads(file.read_text()) for file in files]


def test_a_sweep_whose_runs_take_two_nodes_each(cluster: Cluster, spread: Path) -> None:
    said = cluster.r1lab(*WORDS, *CPU, "accelerator.nodes=2", "-m", "seed=1,2")
    sweep = sweep_of(said.stdout)
    for number in (0, 1):
        hosts = [item["host"] for item in here(sweep / str(number))]
        assert len(hosts) == len(set(hosts)) == 2
    assert {cluster.ended(job) for job in jobs_of(sweep).values()} == {"COMPLETED"}
    assert len(re.findall(r"^\d\s+│.*finished", said.stdout, re.M)) == 2


def test_two_processes_on_each_of_two_nodes_train(cluster: Cluster, small: tuple[str, ...], workplace: Path) -> None:
    words = (
        *SMALL[1:],
        "task=grpo",
        "trainer.max_steps=2",
        "trainer.per_device_train_batch_size=4",
        "trainer.num_generations=4",
        "trainer.max_completion_length=8",
        "accelerator=ddp",
        "accelerator.device=cpu",
        "accelerator.nodes=2",
        "accelerator.processes=2",
        "hydra/launcher=submitit_slurm",
    )
    said = cluster.r1lab(*words, check=False, timeout=500)
    run = sweep_of(said.stdout) / "0"
    assert said.returncode == 0, said.stdout + (run / "run.log").read_text()
    assert json.loads((run / "metrics.json").read_text())["steps"] == 2
    assert (run / "model/model.safetensors").is_file()
    assert sorted(file.name for file in (run / "ranks").glob("*.log")) == ["1.log", "2.log", "3.log"]


@pytest.mark.parametrize(
    ("name", "cause"),
    [("2-raises", "RuntimeError: the loss is gone"), ("3-killed", "training process 3 was killed by SIGKILL")],
)
def test_one_of_four_nodes_fails(cluster: Cluster, spread: Path, name: str, cause: str) -> None:
    said = cluster.r1lab(*WORDS, *CPU, "accelerator.nodes=4", f"name={name}", check=False)
    assert said.returncode == 1
    assert f"failed: {cause}" in said.stdout
    run = sweep_of(said.stdout) / "0"
    assert cluster.ended(jobs_of(run.parent)[0]) == "FAILED"
    assert json.loads((run / "manifest.json").read_text())["cause"].startswith(cause)
    (record,) = (run / "failures").glob("*.json")
    assert json.loads(record.read_text())["host"] == here(run)[int(name[0])]["host"]
    cluster.wait_for(lambda: cluster.processes(str(run.resolve())) == [])


def submitted(cluster: Cluster, folder: Path, changes: dict[str, Any], **env: str) -> str:
    """Hands a run to Slurm whose config is changed after it was planned; the job."""
    cfg = resolve(compose(*SMALL, "plugins=[spread]", "task._target_=spread.run"))
    OmegaConf.set_struct(cfg, False)
    cfg.merge_with(changes)
    RunFolder(folder).write_config(cfg)
    file = folder / "slurm.sh"
    file.write_text(script(cfg, header(cfg, folder / "slurm.log"), [0], str(folder)))
    return cluster.run("sbatch", "--parsable", file, env=env).stdout.strip() + "_0"


def stand_in_server(folder: Path) -> Path:
    """A program in a folder that takes the words of `vllm`."""
    program = folder / "vllm"
    server = str(ROOT / "tests/launch/server.py")
    lines = [
        f"#!{sys.executable} -S",
        "import runpy, sys",
        f"sys.argv[0] = {server!r}",
        f"runpy.run_path({server!r}, run_name='__main__')",
    ]
    program.write_text("\n".join(lines))
    program.chmod(0o755)
    return program


@pytest.fixture
def served(spread: Path) -> dict[str, Any]:
    """What makes a run one of two training nodes and one that serves, with a program that takes the words of `vllm`."""
    engine = {"name": "vllm", "mode": "server", "nodes": 1, "data_parallel": 2, "start_timeout": 60.0}
    return {
        "accelerator": {"device": "cuda", "gpus": 2, "processes": 2, "nodes": 2, "kind": "ddp"},
        "engine": engine | {"command": str(stand_in_server(spread))},
        "model": {"path": "/a/model", "build": None},
    }


def test_training_nodes_and_one_that_serves(cluster: Cluster, served: dict[str, Any], spread: Path) -> None:
    run = spread / "run"
    job = submitted(cluster, run, served, STAND_IN_FOLDER=str(spread))
    assert cluster.ended(job, 200) == "COMPLETED", (run / "slurm.log").read_text()
    ranks = here(run)
    assert len(ranks) == 4
    assert {item["gpus"] for item in ranks} == {"0,1"}
    (url,) = {item["server"] for item in ranks}
    assert re.fullmatch(r"http://10\.77\.0\.1\d:\d+", url)
    assert cluster.processes("tests/launch/server.py") == []


def test_a_server_that_dies_ends_the_run_with_its_name(cluster: Cluster, served: dict[str, Any], spread: Path) -> None:
    run = spread / "run"
    changes = {**served, "name": "0-sleeps"}
    job = submitted(cluster, run, changes, STAND_IN_FOLDER=str(spread), STAND_IN_DIES="later")
    cluster.wait_for(lambda: len(list(run.glob("here-*.json"))) == 4, 200)
    (spread / "started-0").touch()  # what it waits for
    began = time.monotonic()
    assert cluster.ended(job, 100) == "FAILED"
    print(f"{time.monotonic() - began:.1f} s from the server's death to the job's end")
    cause = json.loads((run / "manifest.json").read_text())["cause"]
    assert re.match(r"the server on 10\.77\.0\.1\d was killed by SIGSEGV", cause)
    assert "an illegal memory access was encountered" in cause
    cluster.wait_for(lambda: cluster.processes(str(run), "server.py") == [])


def test_a_server_over_two_nodes_for_a_run_that_trains_nothing(
    cluster: Cluster, small: tuple[str, ...], workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN_FOLDER", str(workplace))
    words = ("task=generate", "task.problems=5", "task.n=2", "cluster=slurm", "engine=server", "engine.nodes=2")
    server = (f"engine.command={stand_in_server(workplace)}", "engine.data_parallel=2", "engine.start_timeout=120")
    said = cluster.r1lab(*small, *words, *server, check=False)
    run = sweep_of(said.stdout) / "0"
    assert said.returncode == 0, said.stdout + (run / "slurm.log").read_text()
    table = pyarrow.parquet.read_table(run / "dataset/all").to_pylist()
    assert len(table) == 10 and all(row["completion"].startswith("What is") for row in table)
    parts = [json.loads((workplace / name).read_text()) for name in ("server.json", "headless.json")]
    first, second = (" ".join(part["words"]) for part in parts)
    assert "--data-parallel-size 2 " in first and "--data-parallel-size-local 1" in first and "--headless" not in first
    assert "--data-parallel-start-rank 1" in second and "--headless" in second
    (head,) = {options_of(part["words"])["--data-parallel-address"] for part in parts}
    assert head.startswith("10.77.0.1")
    assert {options_of(part["words"])["--host"] for part in parts} > {head}  # each at its own address
    cluster.wait_for(lambda: cluster.processes("tests/launch/server.py", "/vllm serve") == [])


def test_a_node_that_goes_dark_is_given_up_and_the_run_goes_back(cluster: Cluster, spread: Path) -> None:
    """From the loss to the next start: Slurm holds the node for down after its SlurmdTimeout, 5 s here."""
    words = ("accelerator.nodes=2", "name=9-sleeps", "cluster.wait=false")
    sweep = sweep_of(cluster.r1lab(*WORDS, *CPU, *words).stdout)
    run, job = sweep / "0", jobs_of(sweep)[0]
    cluster.wait_for(lambda: len(here(run)) == 2, 120)
    lost = int(here(run)[1]["host"].removeprefix("n"))
    first = {item["pid"] for item in here(run)}
    cluster.power_off(lost)
    began = time.monotonic()
    try:
        cluster.wait_for(lambda: first.isdisjoint(item["pid"] for item in here(run)), 120)
        print(f"{time.monotonic() - began:.1f} s from the node's loss to the run's next start")
        assert f"n{lost}" not in {item["host"] for item in here(run)}
    finally:
        cluster.run("scancel", job, check=False)
        cluster.power_on(lost)
        cluster.wait_for(lambda: len(cluster.idle()) == cluster.nodes)
