"""A sweep through the queue: what fails by no fault of its own goes back there; given again, what is left does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from r1lab.runs.folder import RunFolder
from tests.slurm.cluster import Cluster
from tests.slurm.test_queue import sweep_of

pytestmark = pytest.mark.slurm

TASK = """
import os, pathlib, signal

def run(cfg, folder):
    size = cfg.trainer.per_device_train_batch_size
    with open(pathlib.Path(cfg.task.count), "a") as file:
        file.write(f"{cfg.seed} {size}\\n")
    if cfg.seed == 1 and size > 4:
        raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
    if cfg.seed == 2 and not pathlib.Path("killed").exists():
        pathlib.Path("killed").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if cfg.seed == 3 and not pathlib.Path("mended").exists():
        raise KeyError("answer")
    return {"eval/accuracy": cfg.seed / 10, "objective": "eval/accuracy"}
"""
WORDS = ("--config-dir", "conf", "task=swept", "plugins=[swept]", "-m", "seed=1,2,3", "hydra/launcher=submitit_slurm")


def test_a_sweep_comes_to_its_end_in_the_queue(cluster: Cluster, workplace: Path) -> None:
    (workplace / "conf/trainer").mkdir()
    (workplace / "conf/trainer/swept.yaml").write_text("defaults: [grpo]\n")
    (workplace / "conf/task/swept.yaml").write_text("name: swept\n_target_: swept.run\ncount: count.txt\n")
    (workplace / "swept.py").write_text(TASK)
    first = cluster.r1lab(*WORDS, "accelerator=cpu", check=False)
    assert first.returncode == 1, first.stdout + first.stderr
    sweep = sweep_of(first.stdout)
    assert "per device × accumulation is now 4 × 2 (was 8 × 1), the same global batch" in first.stdout
    assert "is tried again: the training process was killed by SIGKILL" in first.stdout
    counted = sorted((workplace / "count.txt").read_text().splitlines())
    assert counted == ["1 4", "1 8", "2 8", "2 8", "3 8"]
    assert RunFolder(sweep / "0").read_config().trainer.gradient_accumulation_steps == 2
    assert json.loads((sweep / "sweep.json").read_text())["best"]["run"] == "1"

    (workplace / "mended").touch()
    kept = cluster.r1lab(*WORDS, "accelerator=cpu", check=False)
    assert kept.returncode == 1 and "in the queue as" not in kept.stdout
    assert "sweep.failed=retry tries it again" in kept.stdout
    last = cluster.r1lab(*WORDS, "accelerator=cpu", "sweep.failed=retry")
    assert "1 run in the queue" in last.stdout
    counted = sorted((workplace / "count.txt").read_text().splitlines())
    assert counted == ["1 4", "1 8", "2 8", "2 8", "3 8", "3 8"]
    assert json.loads((sweep / "sweep.json").read_text())["best"]["run"] == "2"
    with_nothing_left = cluster.r1lab(*WORDS, "accelerator=cpu", "cluster.wait=false")
    assert "in the queue as" not in with_nothing_left.stdout
