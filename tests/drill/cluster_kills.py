"""Kill whatever a run on a cluster consists of, at random moments, and look at what becomes of the run.

    python -m tests.drill.cluster_kills            # what `make drill` runs: fifty kills

Forty hit runs of a task that counts, on two nodes that train and one that serves: a rank, the server, a supervisor, a
node or a slurmd. Ten hit GRPO trainings of the tiny model on a node each. After a kill the run must go on by itself
(node, slurmd) or be FAILED with the cause that it was (rank, server, supervisor); then its script is submitted again.
No process may be left over, no whole checkpoint lost, and every step is written once. A training that has ended must be
equal to one that was left alone: every metric but the clocks, every completion, every weight.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from benchmarks.measure import keep
from r1lab.notebook import compose
from r1lab.plan.checks import resolve
from r1lab.runs.folder import COMPLETE, RunFolder
from r1lab.slurm.commands import Job
from r1lab.slurm.record import Submitted
from r1lab.slurm.script import header, script
from r1lab.slurm.states import Status, status
from tests.conftest import SMALL
from tests.drill.counting import STEPS
from tests.drill.kills import difference
from tests.slurm.cluster import Cluster
from tests.slurm.test_nodes import stand_in_server

TRAINING = (  # steps enough to be hit between two of them
    *SMALL,
    "task=grpo",
    "trainer.max_steps=120",
    "trainer.save_steps=7",
    "trainer.per_device_train_batch_size=8",
    "trainer.num_generations=4",
    "trainer.steps_per_generation=3",
    "trainer.max_completion_length=16",
    "eval.every=0.5",
)
KINDS = ("rank", "server", "supervisor", "node", "slurmd")
WITHOUT_SERVER = tuple(kind for kind in KINDS if kind != "server")
CAUSES = {
    "rank": ("training process", "the training process"),
    "server": "the server on",
    "supervisor": "the supervisor on",
}
MARKS = {"rank": "r1lab.launch.worker", "server": "/vllm serve", "supervisor": "r1lab.launch.slurm_node"}


class Drill:
    """One run on a cluster, and what is done to it.

    Args:
        cluster: with four nodes, of which the run takes three.
        folder: the run's.
        dice: which choose what is killed, and when.
    """

    calm = 30  # steps at most between two kills

    def __init__(self, cluster: Cluster, folder: Path, dice: random.Random):
        self.cluster, self.folder, self.dice = cluster, folder, dice
        self.run = RunFolder(folder)
        cfg = self.config()
        self.run.write_config(cfg)
        (folder / "slurm.sh").write_text(script(cfg, header(cfg, folder / "slurm.log"), [0], str(folder)))
        self.submit()

    def config(self) -> DictConfig:
        """What is run."""
        engine = {"name": "vllm", "mode": "server", "nodes": 1, "start_timeout": 120.0}
        changes = {
            "task": {"name": "counting", "_target_": "tests.drill.counting.run"},
            "accelerator": {"device": "cuda", "gpus": 1, "processes": 1, "nodes": 2, "kind": "ddp"},
            "engine": engine | {"command": str(stand_in_server(self.folder))},
            "model": {"path": "/a/model", "build": None},
        }
        cfg = resolve(compose(*SMALL))
        OmegaConf.set_struct(cfg, False)
        cfg.task = changes.pop("task")
        cfg.merge_with(changes)
        return cfg

    def submit(self) -> None:
        env = {"STAND_IN_FOLDER": str(self.folder)}
        self.job = self.cluster.run("sbatch", "--parsable", self.folder / "slurm.sh", env=env).stdout.strip()

    def state(self) -> str:
        return self.cluster.state(f"{self.job}_0")

    def told(self) -> Status:
        """What task=status says of the run."""
        return status(Submitted(self.folder, f"{self.job}_0"), Job(self.state()))

    def step(self) -> int:
        return max((record["step"] for record in self.run.records("metrics.jsonl")), default=0)

    def checkpoint(self) -> int:
        whole = self.folder.glob(f"checkpoints/*/{COMPLETE}")
        return max((int(path.parent.name.rpartition("-")[2]) for path in whole), default=0)

    def starts(self) -> list[dict[str, Any]]:
        """What each start wrote when it began."""
        file = self.folder / "starts.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.is_file() else []

    def ended(self) -> bool:
        return self.state() not in ("PENDING", "RUNNING", "COMPLETING", "CONFIGURING", "REQUEUED")

    def kill(self, kind: str) -> str:
        """Kill one thing of a kind; what it was."""
        if kind in ("node", "slurmd"):
            listed = self.cluster.run("squeue", "-h", "-j", self.job, "-o", "%N").stdout.strip()
            names = self.cluster.run("scontrol", "show", "hostnames", listed).stdout.split()
            number = int(self.dice.choice(names).removeprefix("n"))
            if kind == "node":
                self.cluster.power_off(number)
                return f"n{number}"
            (pid,) = [pid for pid, words in self.cluster.pids(node=number) if words.startswith("slurmd -D")]
            os.kill(pid, signal.SIGKILL)
            return f"slurmd of n{number}"
        mine = str(self.folder)
        found = [
            (pid, words)
            for pid, words in self.cluster.pids()
            if MARKS[kind] in words
            and mine in words
            and not words.startswith(("srun", "/bin/bash", "bash"))
            and "launch.agent" not in words
            and "keeper.py" not in words
        ]
        assert found, (kind, self.cluster.pids())
        pid, words = self.dice.choice(found)
        os.kill(pid, signal.SIGKILL)
        return words[-60:]

    def strike(self, kind: str) -> dict[str, Any]:
        """Let the run go on for a while, kill, and look at what becomes of it; the record of that."""
        goal = self.step() + self.dice.randint(1, self.calm)
        self.cluster.wait_for(lambda: self.step() >= goal or self.ended(), 200)
        if self.ended():
            return {}
        time.sleep(self.dice.uniform(0, 0.3))
        starts, before = len(self.starts()), self.checkpoint()
        what, began = self.kill(kind), time.monotonic()
        record: dict[str, Any] = {"kind": kind, "what": what, "step": self.step(), "checkpoint": before}
        if kind == "slurmd":
            self.cluster.wait_for(lambda: self.step() > record["step"] or self.ended(), 60)
        elif kind == "node":
            self.cluster.wait_for(lambda: len(self.starts()) > starts or self.ended(), 200)
            self.cluster.power_on(int(what.removeprefix("n")))
        else:
            self.cluster.wait_for(self.ended, 100)
            record["seconds"] = round(time.monotonic() - began, 1)
            told = self.told()
            record |= {"state": told.slurm, "cause": told.why.splitlines()[0] if told.why else ""}
            assert told.state == "failed" and told.why.startswith(CAUSES[kind]), (record, told)
            self.cluster.wait_for(lambda: self.cluster.processes(str(self.folder)) == [], 20)
            self.submit()
            self.cluster.wait_for(lambda: len(self.starts()) > starts or self.ended(), 200)
        assert not self.ended() or self.state() == "COMPLETED", (record, self.told())
        if kind != "slurmd" and "step" in self.starts()[-1]:
            record["resumed_from"] = self.starts()[-1]["step"]
            assert record["resumed_from"] >= before, record
        assert self.checkpoint() >= before, record
        return record

    def finish(self) -> None:
        """Wait for the run's end, and hold it against one that was left alone."""
        self.cluster.wait_for(self.ended, 300)
        assert self.state() == "COMPLETED", self.told()
        steps = [record["step"] for record in self.run.records("metrics.jsonl")]
        assert steps == list(range(1, STEPS + 1)), steps
        assert self.checkpoint() == STEPS
        self.cluster.wait_for(lambda: self.cluster.processes(str(self.folder)) == [], 20)


class Training(Drill):
    """A run that trains the tiny model on one node; `whole` is the folder of the one that was left alone."""

    whole: Path

    def config(self) -> DictConfig:
        cfg = resolve(compose(*TRAINING))
        cfg.cluster.kind = "slurm"
        return cfg

    def starts(self) -> list[dict[str, Any]]:
        manifest = self.run.read_json("manifest.json")
        return [{"at": moment} for moment in [manifest["started"], *manifest["resumed"]]] if manifest else []

    def finish(self) -> None:
        self.cluster.wait_for(self.ended, 600)
        assert self.state() == "COMPLETED", self.told()
        assert (fault := difference(self.whole, self.folder)) is None, fault
        self.cluster.wait_for(lambda: self.cluster.processes(str(self.folder)) == [], 20)


def left_alone(folder: Path) -> Path:
    """The training that nothing happens to."""
    done = subprocess.run([sys.executable, "-m", "r1lab", *TRAINING, f"hydra.run.dir={folder}"], timeout=900)
    assert done.returncode == 0
    return folder


def drill(
    cluster: Cluster,
    folder: Path,
    kills: int,
    seed: int,
    kinds: tuple[str, ...] = KINDS,
    run: type[Drill] = Drill,
) -> dict[str, Any]:
    """Kill `kills` times over as many runs as that takes."""
    dice = random.Random(seed)
    hits: list[dict[str, Any]] = []
    runs = 0
    while len(hits) < kills:
        runs += 1
        (folder / f"run-{runs}").mkdir(parents=True)
        one = run(cluster, folder / f"run-{runs}", dice)
        while len(hits) < kills and not one.ended():
            if record := one.strike(dice.choice(kinds) if len(hits) >= len(kinds) else kinds[len(hits)]):
                hits.append(record)
                print(record, flush=True)
        one.finish()
        cluster.wait_for(lambda: len(cluster.idle()) == cluster.nodes, 120)
    return {"kills": len(hits), "runs": runs, "hits": hits}


def main() -> None:
    """Entry of the drill; writes benchmarks/results/cluster_kills.json."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=40, help="of runs that count")
    parser.add_argument("--trainings", type=int, default=10, help="kills of runs that train")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        cluster = Cluster(place / "cluster")
        try:
            result = drill(cluster, place / "runs", options.kills, options.seed) if options.kills else {}
            if options.trainings:
                Training.whole = left_alone(place / "whole")
                words = (options.trainings, options.seed, WITHOUT_SERVER, Training)
                result["trainings"] = drill(cluster, place / "trainings", *words)
            keep("cluster_kills" if options.kills else "cluster_kills_trainings", result)
        finally:
            cluster.stop()


if __name__ == "__main__":
    main()
