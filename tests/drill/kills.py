"""Kill a run at random moments, start it again each time, and compare with the run that was left alone.

    python -m tests.drill.kills            # what `make drill` runs: 20 kills each of GRPO and SFT

The runs must agree on every metric except the clocks, on every sampled completion, and on the final weights bit by bit.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from benchmarks.measure import keep
from r1lab.runs.folder import STREAMS, RunFolder
from r1lab.trainers.stream import CLOCKS

PATIENCE = 600  # seconds for one start


def command(task: str, folder: Path, extra: list[str]) -> list[str]:
    """The command that starts, and starts again, one run."""
    return [sys.executable, "-m", "r1lab", f"task={task}", f"hydra.run.dir={folder}", *extra]


def worker_of(process: subprocess.Popen[bytes]) -> int | None:
    """The training process that a launcher started, while it is there."""
    found = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True)
    return int(found.stdout.split()[0]) if found.stdout.split() else None


def run_through(task: str, folder: Path, extra: list[str]) -> float:
    """Run to the end, uninterrupted; the seconds it took."""
    began = time.monotonic()
    subprocess.run(command(task, folder, extra), check=True, timeout=PATIENCE, stdout=subprocess.DEVNULL)
    return time.monotonic() - began


def run_killed(task: str, folder: Path, extra: list[str], kills: int, longest: float, dice: random.Random) -> list[str]:
    """Run with `kills` kill -9 at random moments, half at the worker and half at the launcher; what was hit when.

    A start that ends before its kill is the end: the run was whole.
    """
    hits: list[str] = []
    started = 0
    while True:
        process = subprocess.Popen(command(task, folder, extra), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        started += 1
        if len(hits) >= kills:
            assert process.wait(PATIENCE) == 0, f"start {started} failed"
            return hits
        try:
            code = process.wait(0.2) if dice.random() < 0.2 else wait_for_moment(process, folder, longest, dice)
        except subprocess.TimeoutExpired:
            target = process.pid if len(hits) % 2 else worker_of(process) or process.pid
            os.kill(target, signal.SIGKILL)
            process.wait(PATIENCE)
            last = RunFolder(folder).last_checkpoint() if folder.exists() else None
            who = "launcher" if target == process.pid else "worker"
            hits.append(
                f"{who} after step {steps_done(folder)}, checkpoint {last.name.rpartition('-')[2] if last else 0}"
            )
            wait_until_free(folder)
            continue
        assert code == 0, f"start {started} ended with {code}"
        reset = kills - len(hits)
        hits.append(f"whole before kill; {reset} kills left for another run")
        return hits


def steps_done(folder: Path) -> int:
    """The last step that a run has written."""
    return max((record["step"] for record in RunFolder(folder).records("metrics.jsonl")), default=0)


def wait_for_moment(process: subprocess.Popen[bytes], folder: Path, longest: float, dice: random.Random) -> int:
    """Wait until the run is a random number of steps further, and a random moment more; its exit code if it ends.

    Raises:
        subprocess.TimeoutExpired: the moment has come.
    """
    deadline = time.monotonic() + longest + 60
    goal = steps_done(folder) + dice.randint(1, 12)
    while steps_done(folder) < goal and time.monotonic() < deadline:
        if process.poll() is not None:
            return process.returncode
        time.sleep(0.02)
    return process.wait(dice.uniform(0.0, 0.3))


def wait_until_free(folder: Path) -> None:
    """Wait for the kernel to take the worker down after its launcher; it must not take longer than a moment."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        found = subprocess.run(["pgrep", "-f", str(folder / "run.yaml")], capture_output=True)
        if found.returncode:
            return
        time.sleep(0.05)
    raise AssertionError(f"a worker of {folder} outlived its launcher")


def without_clocks(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Records as they must agree between two runs."""
    return [{key: value for key, value in record.items() if key not in CLOCKS} for record in records]


def difference(left: Path, right: Path) -> str | None:
    """The first difference between two finished runs; None where there is none."""
    for stream in STREAMS:
        one, two = (without_clocks(list(RunFolder(folder).records(stream))) for folder in (left, right))
        if len(one) != len(two):
            return f"{stream}: {len(one)} records and {len(two)}"
        for number, (a, b) in enumerate(zip(one, two, strict=True)):
            if a != b:
                keys = [key for key in {**a, **b} if a.get(key) != b.get(key)]
                return (
                    f"{stream}:{number + 1} step {a.get('step')}: {[(key, a.get(key), b.get(key)) for key in keys[:3]]}"
                )
    weights, others = (load_file(folder / "model" / "model.safetensors") for folder in (left, right))
    for name, tensor in weights.items():
        if not torch.equal(tensor, others[name]):
            return f"weights differ in {name}"
    return None


def drill(task: str, folder: Path, extra: list[str], kills: int, seed: int) -> dict[str, Any]:
    """Compare one uninterrupted run with runs killed `kills` times in all."""
    dice = random.Random(seed)
    seconds = run_through(task, folder / "whole", extra)
    hits: list[str] = []
    runs = 0
    while len([hit for hit in hits if "whole" not in hit]) < kills:
        runs += 1
        killed = folder / f"killed-{runs}"
        left = kills - len([hit for hit in hits if "whole" not in hit])
        hits += run_killed(task, killed, extra, min(left, 5), seconds, dice)
        if found := difference(folder / "whole", killed):
            raise AssertionError(f"{task} after {hits}: {found}")
    killed_times = len([hit for hit in hits if "whole" not in hit])
    return {
        "task": task,
        "kills": killed_times,
        "runs": runs,
        "seconds_whole": round(seconds, 1),
        "hits": hits,
    }


FORMS = {  # forms of a run that leave something unfinished at almost every step
    "grpo": ["trainer.max_steps=80", "trainer.save_steps=6", "eval.problems=40"],
    "sft": ["trainer.max_steps=60", "trainer.save_steps=6", "eval.problems=40", "dataset.train=1024"],
}


def main() -> None:
    """Entry of the drill; writes benchmarks/results/kills.json."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        results = [drill(task, Path(folder) / task, FORMS[task], options.kills, options.seed) for task in FORMS]
    keep("kills", {"results": results})


if __name__ == "__main__":
    main()
