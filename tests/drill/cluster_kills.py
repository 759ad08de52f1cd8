"""Kill whatever a run on a cluster consists of, at random moments, and look at what becomes of the run.

    python -m tests.drill.cluster_kills            # what `make drill` runs: fifty kills

Each run takes two nodes that train and one that serves. A kill hits a rank, the server, a supervisor, a node or a
slurmd. After it the run must go on by itself (node, slurmd) or be FAILED with the cause that it was (rank, server,
supervisor); then its script is submitted again. No process may be left over, no whole checkpoint lost, and every step
is written once.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import tempfile
import time
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

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
from tests.slurm.cluster import Cluster
from tests.slurm.test_nodes import stand_in_server

KINDS = ("rank", "server", "supervisor", "node", "slurmd")
GOES_ON = ("node", "slurmd")
CAUSES = {"rank": "training process", "server": "the server on", "supervisor": "the supervisor on"}


class Drill:
    """One run on a cluster, and what is done to it.

    Args:
        cluster: with four nodes, of which the run takes three.
        folder: the run's.
        dice: which choose what is killed, and when.
    """

    def __init__(self, cluster: Cluster, folder: Path, dice: random.Random):
        self.cluster, self.folder, self.dice = cluster, folder, dice
        self.run = RunFolder(folder)
        engine = {"name": "vllm", "mode": "server", "nodes": 1, "start_timeout": 120.0}
        changes = {
            "task": {"name": "counting", "_target_": "tests.drill.counting.run"},
            "accelerator": {"device": "cuda", "gpus": 1, "processes": 1, "nodes": 2, "kind": "ddp"},
            "engine": engine | {"command": str(stand_in_server(folder))},
            "model": {"path": "/a/model", "build": None},
        }
        cfg = resolve(compose(*SMALL))
        OmegaConf.set_struct(cfg, False)
        cfg.task = changes.pop("task")
        cfg.merge_with(changes)
        self.run.write_config(cfg)
        (folder / "slurm.sh").write_text(script(cfg, header(cfg, folder / "slurm.log"), [0], str(folder)))
        self.submit()

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
        marks = {"rank": "r1lab.launch.worker", "server": "/vllm serve", "supervisor": "r1lab.launch.slurm_node"}
        mine = str(self.folder)
        found = [
            (pid, words)
            for pid, words in self.cluster.pids()
            if marks[kind] in words
            and mine in words
            and not words.startswith(("srun", "/bin/bash", "bash"))
            and "launch.agent" not in words
            and "keeper.py" not in words
        ]
        pid, words = self.dice.choice(found)
        os.kill(pid, signal.SIGKILL)
        return words[-60:]

    def strike(self, kind: str) -> dict[str, Any]:
        """Let the run go on for a while, kill, and look at what becomes of it; the record of that."""
        goal = self.step() + self.dice.randint(1, 30)
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
        if kind != "slurmd":
            record["resumed_from"] = self.starts()[-1]["step"]
            assert record["resumed_from"] >= before, record
        return record

    def finish(self) -> None:
        """Wait for the run's end, and hold it against one that was left alone."""
        self.cluster.wait_for(self.ended, 300)
        assert self.state() == "COMPLETED", self.told()
        steps = [record["step"] for record in self.run.records("metrics.jsonl")]
        assert steps == list(range(1, STEPS + 1)), steps
        assert self.checkpoint() == STEPS
        self.cluster.wait_for(lambda: self.cluster.processes(str(self.folder)) == [], 20)


def drill(cluster: Cluster, folder: Path, kills: int, seed: int, kinds: tuple[str, ...] = KINDS) -> dict[str, Any]:
    """Kill `kills` times over as many runs as that takes."""
    dice = random.Random(seed)
    hits: list[dict[str, Any]] = []
    runs = 0
    while len(hits) < kills:
        runs += 1
        (folder / f"run-{runs}").mkdir(parents=True)
        one = Drill(cluster, folder / f"run-{runs}", dice)
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
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        cluster = Cluster(Path(folder) / "cluster")
        try:
            keep("cluster_kills", drill(cluster, Path(folder) / "runs", options.kills, options.seed))
        finally:
            cluster.stop()


if __name__ == "__main__":
    main()
