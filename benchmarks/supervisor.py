"""r1lab's supervisor beside bare torchrun: the same two processes, the same training, alternating rounds.

    python -m benchmarks.supervisor [rounds] [steps]

Both start the same worker on the same `run.yaml` of a small GRPO run on the CPU (DDP, gloo); what differs is who starts
and watches the processes. Start-up is the time from the command to the beginning of the first training step; a step is
the mean time between steps after the first. Writes benchmarks/results/supervisor.json.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks.measure import keep
from r1lab.launch.environment import environment
from r1lab.models import tiny
from r1lab.notebook import compose
from r1lab.plan.checks import resolve
from r1lab.runs.folder import RunFolder

WORDS = ("accelerator=cpu", "accelerator.processes=2", "eval.problems=0", "trainer.save_strategy=no")


def once(kind: str, cfg: Any, folder: Path) -> dict[str, float]:
    """One run; its start-up, its seconds per step and its seconds in all."""
    shutil.rmtree(folder, ignore_errors=True)
    run_yaml = RunFolder(folder).write_config(cfg)
    worker = ["-m", "r1lab.launch.worker", str(run_yaml)]
    if kind == "torchrun":
        start = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", *worker]
    else:
        start = ["-m", "r1lab.launch.node", str(run_yaml)]
    began, clock = time.time(), time.monotonic()
    env = environment(cfg, 2)
    done = subprocess.run([sys.executable, *start], env=env, capture_output=True, text=True)
    seconds = time.monotonic() - clock
    if done.returncode:
        raise RuntimeError(done.stdout + done.stderr)
    manifest = RunFolder(folder).read_json("manifest.json")
    started = datetime.fromisoformat(manifest["started"]).timestamp()
    records = [item for item in RunFolder(folder).records("metrics.jsonl") if "loss" in item]
    times = [started + item["time"] for item in records]
    step = (times[-1] - times[0]) / (len(times) - 1)
    return {"startup": times[0] - began - step, "step": step, "seconds": seconds}


def main() -> None:
    """Measure and write the result."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    steps = int(sys.argv[2]) if len(sys.argv) > 2 else 60
    words = [*WORDS, f"trainer.max_steps={steps}", "trainer.per_device_train_batch_size=64"]
    cfg = resolve(compose(*words))
    tiny.ensure(cfg.model)
    found: dict[str, list[dict[str, float]]] = {"torchrun": [], "r1lab": []}
    with tempfile.TemporaryDirectory() as place:
        for number in range(rounds):
            for kind in sorted(found, reverse=bool(number % 2)):
                found[kind].append(once(kind, cfg, Path(place) / kind))
                print(number, kind, {name: round(value, 3) for name, value in found[kind][-1].items()}, flush=True)
    pairs = list(zip(found["r1lab"], found["torchrun"], strict=True))
    overheads = [ours["step"] / theirs["step"] for ours, theirs in pairs]
    later = [ours["startup"] - theirs["startup"] for ours, theirs in pairs]
    keep(
        "supervisor",
        {
            "steps": steps,
            "load_at_the_end": round(os.getloadavg()[0], 2),
            "overhead": round(statistics.median(overheads), 4),
            "overhead_by_round": [round(value, 3) for value in overheads],
            "seconds_later_to_start": round(statistics.median(later), 2),
            "seconds_later_by_round": [round(value, 2) for value in later],
            "rounds": {
                kind: [{name: round(value, 3) for name, value in item.items()} for item in items]
                for kind, items in found.items()
            },
        },
    )


if __name__ == "__main__":
    main()
