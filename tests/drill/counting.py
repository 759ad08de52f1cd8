"""A task for the cluster drill: it counts steps, keeps checkpoints as training does, and loads no library."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from r1lab.runs.folder import COMPLETE, RunFolder

STEPS, EVERY, PAUSE = 400, 5, 0.05


def run(cfg: DictConfig, folder: RunFolder) -> dict[str, Any]:
    """Count to `STEPS`, from the last checkpoint on; ranks but the first wait for it."""
    rank = int(os.environ.get("RANK", 0))
    attempt = Path(os.environ["R1LAB_FAILURE"]).stem
    (folder.path / f"rank-{attempt}-{rank}").write_text(str(os.getpid()))
    done = folder.path / f"done-{attempt}"
    if rank:
        while not done.exists():
            time.sleep(PAUSE)
        return {}
    last = folder.last_checkpoint()
    step = int(last.name.rpartition("-")[2]) if last else 0
    folder.rewind(step)
    with (folder.path / "starts.jsonl").open("a") as file:
        file.write(json.dumps({"attempt": attempt, "step": step}) + "\n")
    while step < STEPS:
        time.sleep(PAUSE)
        step += 1
        folder.append("metrics.jsonl", [{"step": step, "reward": step / STEPS}])
        if step % EVERY == 0:
            keep(folder, step, last)
            last = folder.checkpoints / f"checkpoint-{step}"
    done.touch()
    return {"eval/accuracy": 1.0, "objective": "eval/accuracy"}


def keep(folder: RunFolder, step: int, last: Path | None) -> None:
    """Write a checkpoint; the one before goes once this one is whole."""
    path = folder.checkpoints / f"checkpoint-{step}"
    path.mkdir(parents=True, exist_ok=True)
    (path / "state").write_text(str(step))
    (path / COMPLETE).touch()
    if last:
        shutil.rmtree(last)
